"""What a recipe is: every choice of a training run in one frozen object, saved beside its weights.

    recipe = get_recipe("laptop")            # snpkit/recipes/laptop.yaml
    recipe = override(recipe, {"optimisation.total_steps": 10, "model.hidden_size": 64})
    write_json("recipe.json", recipe_to_dict(recipe))
    recipe = read_recipe("recipe.json")      # or a .yaml file of one's own
"""

import re
import reprlib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from snpkit.errors import UserError
from snpkit.fields import LOOSE, Section, did_you_mean, read_yaml, sentence_of
from snpkit.files import read_json
from snpkit.model.config import FORMER_NAMES, SNPConfig
from snpkit.training.sections import (
    FORMER,
    FORMER_ADVICE,
    DataRecipe,
    EvaluationRecipe,
    MaskingRecipe,
    OptimisationRecipe,
    SignificanceRecipe,
    TaskRecipe,
)

# Fields of SNPConfig that stand in the data section, under these names; and those that belong to
# the tokenizer. The others may stand in the model section.
_OF_DATA = {"clips": "clips", "frames": "frames", "image_size": "size", "image_fit": "fit",
            "frame_middle": "middle"}  # fmt: skip
_OF_TOKENIZER = {"vocab_size", "pad_token_id", "cls_token_id", "sep_token_id", "mask_token_id"}
_MODEL_FIELDS = set(signature(SNPConfig).parameters) | FORMER_NAMES | {"attn_implementation"}
_MODEL_FIELDS -= {"kwargs"} | _OF_DATA.keys() | _OF_TOKENIZER
_MODEL_FIELDS |= {"text_pretrained"}  # no field of SNPConfig: only the first step needs it


class Recipe(Section):
    """One training run. `choices` says in sentences what was chosen and why."""

    name: str
    optimisation: OptimisationRecipe
    data: DataRecipe = DataRecipe()
    # Fields of SNPConfig, and `text_pretrained`: folder or hub id of a BERT to start from.
    model: dict[str, Any] = Field(default_factory=dict)
    masking: MaskingRecipe = MaskingRecipe()
    significance: SignificanceRecipe = SignificanceRecipe()
    evaluation: EvaluationRecipe = EvaluationRecipe()
    task: TaskRecipe = TaskRecipe()
    seed: int = Field(0, ge=0, lt=2**63)
    choices: Annotated[tuple[str, ...], LOOSE] = ()

    def _rules(self) -> Iterator[tuple[bool, str]]:
        # The name becomes a folder's, runs/NAME, and a recipe file may be a stranger's.
        yield re.fullmatch(r"\w[\w .+-]{,99}", self.name) is not None, (
            "name must be of letters, digits, spaces and _ . + -, at most 100 of them, and begin "
            "with a letter or digit"
        )
        yield self.task.questions == 1 or not self.data.flip, (
            "data.flip looks at one question of a video, whose other questions may name a side; "
            "set task.questions=1 or data.flip=false"
        )
        for name in sorted(self.model.keys() - _MODEL_FIELDS):  # SNPConfig would take any keyword
            near = did_you_mean(name, _MODEL_FIELDS)
            yield False, f"the model has no field {reprlib.repr(name)}{near}"
        text = self.model.get("text_pretrained")
        yield text is None or isinstance(text, str), (
            f"model.text_pretrained is {text!r}; name a folder or a hub id"
        )
        yield text is None or self.task.name == "pretraining", (
            "model.text_pretrained is for pre-training; fine-tune from --start"
        )
        try:
            config = SNPConfig(**self.network_fields(), **self.decided_by_data())
        except UserError as error:
            name, _, problem = str(error).removeprefix("SNPConfig.").rstrip(".").partition(" ")
            where = f"data.{_OF_DATA[name]}" if name in _OF_DATA else f"model.{name}"
            raise ValueError(f"{where} {problem}") from None
        yield config.vision != "features", (
            "model.vision is 'features', which takes grid features in place of the frames that "
            "training reads; choose a visual encoder"
        )
        size, patch = self.data.size, config.patch_size
        fits = size % patch == 0 or (config.patch_stem == "patch" and size > patch)
        yield fits or config.vision != "patch", (
            f"data.size is {size}; use a multiple of model.patch_size={patch}"
        )

    def network_fields(self) -> dict[str, Any]:
        """The model section without what names weights to start from: fields of SNPConfig."""
        return {name: value for name, value in self.model.items() if name != "text_pretrained"}

    def decided_by_data(self) -> dict[str, Any]:
        """Fields of SNPConfig that the data section decides, with their values."""
        return {name: getattr(self.data, field) for name, field in _OF_DATA.items()}


_FIELDS = [
    *Recipe.model_fields,
    *(f"{section}.{name}" for section, field in Recipe.model_fields.items()
      for name in getattr(field.annotation, "model_fields", ())),
    *(f"model.{name}" for name in sorted(_MODEL_FIELDS)),
]  # fmt: skip


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON values (tuples become lists)."""
    return recipe.model_dump(mode="json")


def recipe_from_dict(values: Any) -> Recipe:
    """Build a recipe from the values of `recipe_to_dict`, checking every name, type and range.

    Raises:
        UserError: an unknown or missing field, or a value that it cannot have; names the field.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UserError(f"Recipe: {sentence_of(error, _FIELDS, 'the recipe')}.") from None


def read_recipe(path: str | Path) -> Recipe:
    """The recipe of a .yaml or .yml file, or else of a JSON file of `recipe_to_dict`.

    Comments of YAML that end in a full stop become its `choices`.

    Raises:
        UserError: no such file, not YAML or JSON, or a field is wrong; names file and field.
    """
    if Path(path).suffix in (".yaml", ".yml"):
        values, text = read_yaml(path)
        values = {"choices": _reasons(text)} | values if isinstance(values, dict) else values
    else:
        values = read_json(path)
    try:
        return recipe_from_dict(values)
    except UserError as error:
        problem = str(error).removeprefix("Recipe: ")
        raise UserError(f"{path} is no recipe that can be used: {problem}") from None


_LINE = re.compile(r"(\s*)(?:(\w+):)?[^#]*(?:#\s*(.*\S))?")  # indentation, key, comment


def _reasons(text: str) -> list[str]:
    """The comments of a YAML recipe that end in a full stop.

    One behind a value, with the lines of comment below it, is the reason for that value:
    "data.size: Small enough that a step is all model." Others stand by themselves.
    """
    reasons, section, goes_on = [], "", False
    for line in text.splitlines():
        indent, key, comment = _LINE.match(line).groups()
        if key and not indent:
            section = key
        if key and comment:
            reasons.append(f"{section}.{key}: {comment}" if indent else f"{key}: {comment}")
        elif comment and goes_on:
            reasons[-1] += f" {comment}"
        elif comment:
            reasons.append(comment)
        goes_on = bool(comment)
    return [reason for reason in reasons if reason.endswith(".")]


def override(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """A copy with fields replaced by dotted name, e.g. {"optimisation.total_steps": 10}.

    Setting total_steps clears epochs and the other way round, as a run has one length.

    Raises:
        UserError: no such field, a value of another type, or a value out of range.
    """
    values = recipe_to_dict(recipe)
    for name, value in changes.items():
        section, _, last = name.rpartition(".")
        if section == "optimisation" and last in FORMER:
            raise UserError(f"Recipe: {FORMER_ADVICE.format(last)}.")
        fields = values.get(section) if section else values
        if not isinstance(fields, dict) or not (section == "model" or name in _FIELDS):
            raise UserError(f"A recipe has no field {name!r}{did_you_mean(name, _FIELDS)}.")
        fields[last] = value
        partner = {"total_steps": "epochs", "epochs": "total_steps"}.get(last)
        if section == "optimisation" and partner and f"optimisation.{partner}" not in changes:
            fields[partner] = None
    return recipe_from_dict(values)


_FOLDER = Path(str(files("snpkit") / "recipes"))
RECIPES = tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))  # names of ours


@cache
def get_recipe(name: str) -> Recipe:
    """The named recipe: snpkit/recipes/NAME.yaml.

    Raises:
        UserError: there is no such recipe; lists the names.
    """
    if name not in RECIPES:
        raise UserError(f"There is no recipe {name!r}{did_you_mean(name, RECIPES)}; choose one of "
                        f"{', '.join(RECIPES)}, or a .yaml or .json file.")
    return read_recipe(_FOLDER / f"{name}.yaml")
