"""The plan of an ablation: which rows are trained on which corpora, and what is compared.

A plan is a JSON file; `plans/` holds the shipped ones. Rows are changes of one base recipe, by the
dotted names that `snpkit pretrain --set` takes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from snpkit.data.synthetic.plan import CorpusSettings
from snpkit.errors import UserError
from snpkit.files import read_json
from snpkit.training.recipe import Recipe, get_recipe, override, recipe_to_dict

_WORDS = ("name", "choices")  # of a recipe: words, which change no number


@dataclass(frozen=True)
class Row:
    """One way of training.

    Attributes:
        title: as tables show it.
        changes: of the base recipe, by dotted name.
    """

    title: str
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Rows to be shown and compared together.

    Attributes:
        title: what the table asks.
        baseline: the row that the others are compared with.
        rows: names, in order; the baseline is one of them.
    """

    title: str
    baseline: str
    rows: tuple[str, ...]


@dataclass(frozen=True)
class Corpus:
    """A generated corpus; its "train" split is trained on, its "test" split measured with.

    Attributes:
        title: what is hard about it.
        settings: of `snpkit.data.synthetic.CorpusSettings`, by name.
    """

    title: str
    settings: dict[str, Any] = field(default_factory=dict)

    def parsed(self) -> CorpusSettings:
        """The settings of the corpus."""
        return CorpusSettings(**self.settings)


@dataclass(frozen=True)
class Plan:
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
    changes: dict[str, Any] = field(default_factory=dict)
    seeds: int = 5
    evaluate_every: int = 50
    top_k: int = 20
    questions: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()

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
        plan = _build(Plan, values, "the plan")
        _check(plan)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return plan


def _numbers_of(recipe: Recipe) -> dict[str, Any]:
    return {k: v for k, v in recipe_to_dict(recipe).items() if k not in _WORDS}


_PARTS = {"corpora": Corpus, "rows": Row, "tables": Table}
_TYPES = {"name": str, "title": str, "recipe": str, "baseline": str, "changes": dict,
          "settings": dict, "corpora": dict, "seeds": int, "evaluate_every": int, "top_k": int,
          "questions": dict | None, "notes": list}  # fmt: skip


def _build(kind: type, values: Any, where: str) -> Any:
    """A Plan or a part of it from JSON values, with names and types checked."""
    _require(isinstance(values, dict), f"{where} must be an object with named fields")
    known = {item.name: item for item in fields(kind)}
    unknown = [name for name in values if name not in known]
    _require(not unknown, f"{where} has no field {unknown[0]!r}" if unknown else "")
    built = {}
    for name, value in values.items():
        parts = _PARTS.get(name) if kind is Plan else None
        wanted = dict if parts else list if name == "rows" else _TYPES[name]
        right = isinstance(value, wanted) and not isinstance(value, bool)
        _require(right, f"{name} of {where} is of the wrong type ({type(value).__name__})")
        if parts:
            value = {key: _build(parts, one, f"{name}.{key}") for key, one in value.items()}
        built[name] = tuple(value) if isinstance(value, list) else value
    try:
        return kind(**built)
    except TypeError as error:  # a field is missing
        missing = str(error).rpartition(": ")[2]
        raise UserError(f"{where} lacks {missing}.") from None


def _check(plan: Plan) -> None:
    """Every name that is referred to is there, and every recipe and corpus can be made."""
    for name in ("corpora", "rows", "tables"):
        _require(bool(getattr(plan, name)), f"{name} is empty")
        for key in getattr(plan, name):
            plain = key.replace("_", "a").replace("-", "a").isalnum() and key.isascii()
            _require(plain, f"{key!r} of {name} names a folder: letters, digits, - and _ only")
    counts = {"seeds": plan.seeds, "evaluate_every": plan.evaluate_every, "top_k": plan.top_k}
    for name, count in counts.items():
        _require(count > 0, f"{name} is {count}; it must be 1 or more")
    for name, table in plan.tables.items():
        for row in (*table.rows, table.baseline):
            _require(row in plan.rows, f"the table {name} names {row!r}, which is no row")
        _require(table.baseline in table.rows, f"the baseline of {name} is none of its rows")
    for row in plan.rows:
        try:
            plan.recipe_of(row, 0), plan.questions_of(row, 0)
        except UserError as error:
            raise UserError(f"row {row!r}: {error}") from None
    _check_corpora(plan.corpora)


def _check_corpora(corpora: Mapping[str, Corpus]) -> None:
    known = {item.name for item in fields(CorpusSettings)}
    for name, corpus in corpora.items():
        unknown = sorted(set(corpus.settings) - known)
        _require(not unknown, f"the corpus {name} has no setting {unknown[0]!r}" if unknown else "")
        try:
            settings = corpus.parsed()
            settings.check()
        except (UserError, TypeError) as error:
            raise UserError(f"the corpus {name}: {error}") from None
        _require(min(settings.train, settings.test) > 1, f"the corpus {name} needs train and test")


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise UserError(f"{sentence}.")
