"""The plan of an ablation: which rows are trained on which corpora, and what is compared.

A plan is a JSON file; `plans/` holds the shipped ones. Rows are changes of one base recipe, by the
dotted names that `snpkit pretrain --set` takes.
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, fields
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from snpkit.data.synthetic.plan import CorpusSettings
from snpkit.errors import UserError, listed
from snpkit.fields import LOOSE, Count, Section, sentence_of
from snpkit.files import read_json
from snpkit.training.recipe import Recipe, get_recipe, override, recipe_to_dict

_WORDS = ("name", "choices")  # of a recipe: words, which change no number


class Row(Section):
    """One way of training.

    Attributes:
        title: as tables show it.
        changes: of the base recipe, by dotted name.
    """

    title: str
    changes: dict[str, Any] = Field(default_factory=dict)


class Table(Section):
    """Rows to be shown and compared together.

    Attributes:
        title: what the table asks.
        baseline: the row that the others are compared with.
        rows: names, in order; the baseline is one of them.
    """

    title: str
    baseline: str
    rows: Annotated[tuple[str, ...], LOOSE]


class Corpus(Section):
    """A generated corpus; its "train" split is trained on, its "test" split measured with.

    Attributes:
        title: what is hard about it.
        settings: of `snpkit.data.synthetic.CorpusSettings`, by name.
    """

    title: str
    settings: dict[str, Any] = Field(default_factory=dict)

    def parsed(self) -> CorpusSettings:
        """The settings of the corpus."""
        return CorpusSettings(**self.settings)


class Plan(Section):
    """Everything that decides the numbers of an ablation.

    Attributes:
        name: of the plan; its results lie in runs/NAME by default.
        recipe: name of the base recipe.
        corpora, rows, tables: by name.
        changes: of the base recipe, for all rows.
        seeds: runs of each row on each corpus, with seeds 0, 1, ...
        evaluate_every: steps between two evaluations.
        top_k: best matches of a query that the cross-modal pass reads again.
        questions: changes of the recipe laptop_qa, with which every row that has a cross-modal
            pass is fine-tuned on questions at the end; None leaves questions out.
        notes: why things were chosen so.
    """

    name: str
    recipe: str
    corpora: dict[str, Corpus]
    rows: dict[str, Row]
    tables: dict[str, Table]
    changes: dict[str, Any] = Field(default_factory=dict)
    seeds: Count = 5
    evaluate_every: Count = 50
    top_k: Count = 20
    questions: dict[str, Any] | None = None
    notes: Annotated[tuple[str, ...], LOOSE] = ()

    def _rules(self) -> Iterator[tuple[bool, str]]:
        for name in ("corpora", "rows", "tables"):
            yield bool(getattr(self, name)), f"{name} is empty"
            for key in getattr(self, name):
                yield re.fullmatch(r"[\w-]+", key, re.ASCII) is not None, (
                    f"{key!r} of {name} names a folder: letters, digits, - and _ only"
                )
        for name, table in self.tables.items():
            for row in (*table.rows, table.baseline):
                yield row in self.rows, f"the table {name} names {row!r}, which is no row"
            yield table.baseline in table.rows, f"the baseline of {name} is none of its rows"
        for row in self.rows:
            try:
                self.recipe_of(row, 0), self.questions_of(row, 0)
            except UserError as error:
                yield False, f"row {row!r}: {str(error).removesuffix('.')}"
        for name, corpus in self.corpora.items():
            unknown = sorted(set(corpus.settings) - {item.name for item in fields(CorpusSettings)})
            yield not unknown, f"the corpus {name} has no setting {listed(unknown, 1)!r}"
            try:
                settings = corpus.parsed()
                settings.check()
            except (UserError, TypeError) as error:
                yield False, f"the corpus {name}: {str(error).removesuffix('.')}"
            enough = min(settings.train, settings.test) > 1
            yield enough, f"the corpus {name} needs train and test"

    def recipe_of(self, row: str, seed: int) -> Recipe:
        """The recipe of a run."""
        often = {name: self.evaluate_every for name in ("every", "checkpoint_every")}
        changes = self.changes | self.rows[row].changes | {"seed": seed}
        changes |= {f"evaluation.{name}": value for name, value in often.items()}
        return override(get_recipe(self.recipe), changes)

    def questions_of(self, row: str, seed: int) -> Recipe | None:
        """The recipe of a run's fine-tuning on questions; None where it has none."""
        own = self.recipe_of(row, seed)
        if self.questions is None or own.model.get("architecture") == "twin_tower":
            return None
        seen = {f"data.{name}": value for name, value in recipe_to_dict(own)["data"].items()}
        return override(get_recipe("laptop_qa"), seen | self.questions | {"seed": seed})

    def identity_of(self, corpus: str, row: str, seed: int) -> dict[str, Any]:
        """What decides the numbers of a run, as JSON values: to know a finished one by."""
        recipes = {"recipe": self.recipe_of(row, seed), "questions": self.questions_of(row, seed)}
        described = {name: recipe and _numbers_of(recipe) for name, recipe in recipes.items()}
        return described | {"corpus": asdict(self.corpora[corpus].parsed()), "top_k": self.top_k}


def shipped_plans() -> dict[str, Path]:
    """The plans that come with snpkit, by name."""
    folder = Path(str(files("snpkit.ablation") / "plans"))
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def load_plan(name_or_path: str) -> Plan:
    """Read a plan by its shipped name or its path, and check all of it.

    Raises:
        UserError: there is no such plan, or something in it is wrong; says where.
    """
    path = shipped_plans().get(name_or_path, Path(name_or_path))
    if path.suffix != ".json":
        known = ", ".join(shipped_plans())
        raise UserError(f"There is no plan {name_or_path!r}; choose one of {known}, or a .json.")
    values = read_json(path)
    try:
        return Plan.model_validate(values)
    except ValidationError as error:
        known = [name for kind in (Plan, Row, Table, Corpus) for name in kind.model_fields]
        raise UserError(f"{path}: {sentence_of(error, known, 'the plan')}.") from None


def _numbers_of(recipe: Recipe) -> dict[str, Any]:
    return {k: v for k, v in recipe_to_dict(recipe).items() if k not in _WORDS}
