"""What a recipe is: every choice of a training run in one frozen object, saved beside its weights.

    recipe = get_recipe("laptop")            # snpkit/recipes/laptop.yaml
    recipe = override(recipe, {"optimisation.total_steps": 10, "model.hidden_size": 64})
    write_json("recipe.json", recipe_to_dict(recipe))
    recipe = read_recipe("recipe.json")      # or a .yaml file of one's own
"""

import difflib
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from snpkit.errors import UserError
from snpkit.files import read_json
from snpkit.model.config import FORMER_NAMES, SNPConfig
from snpkit.training.recipe_yaml import read_yaml

# Bounds are beyond any real run, and below what a machine hangs on.
Whole = Annotated[int, Field(ge=0, le=10**12)]
Count = Annotated[int, Field(ge=1, le=10**12)]
NotNegative = Annotated[float, Field(ge=0, le=1e12)]
Positive = Annotated[float, Field(gt=0, le=1e12)]
Share = Annotated[float, Field(ge=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]
LOOSE = Field(strict=False)  # a list of JSON or YAML becomes a tuple


def _no_number(value: Any) -> Any:
    # 1 equals True, and would be taken for it.
    return str(value) if type(value) in (int, float) else value


class Section(BaseModel):
    """Fields of fixed names and types: "3" is no number, True none either, and 1 may be a float."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _follow_rules(self) -> Self:
        for holds, sentence in self._rules():
            if not holds:
                raise ValueError(sentence)
        return self

    def _rules(self) -> Iterator[tuple[bool, str]]:
        """What must hold between fields, and the sentence where it does not."""
        yield from ()


class DataRecipe(Section):
    """What one batch is made of."""

    clips: Count = 2  # clips per video; each is one token of the cross-modal pass
    frames: Count = 4  # frames per clip
    size: Count = 64  # pixels; frames are size x size
    fit: Literal["crop", "long"] = "crop"  # centre square; or long side = size, rest padded
    middle: Literal["upper", "lower"] = "upper"  # the middle frame of a range, in evaluation
    # "long", in training: the long side is min_scale x size .. size
    min_scale: float = Field(1.0, gt=0, le=1)
    # Augmentation in training, alike for all frames of a video (snpkit.data.augment).
    flip: bool = False  # mirror half of the videos, but none whose text names a side
    # Smallest and largest share of the area.
    random_crop: Annotated[tuple[Share, Share], LOOSE] | None = None
    crop_aspect: float = Field(1.0, ge=1, le=100)  # width / height: 1 / crop_aspect .. crop_aspect
    randaugment: int = Field(0, ge=0, le=100)  # operations, each with probability 1/2 ...
    magnitude: int = Field(9, ge=0, le=10)  # ... of this strength
    # Samples of one step over ALL processes (256 = 8 GPUs x 32); matching compares pairs: 2 or more
    batch_size: int = Field(64, ge=2, le=10**6)
    # An epoch visits each video (a file, or a window of it) once, with one of its captions at
    # random, so that no video stands twice in a batch; or each caption once.
    draw: Literal["videos", "captions"] = "videos"
    group: Count = 1  # captions side by side in a batch that share their two commonest words
    max_tokens: int = Field(30, ge=3, le=10**6)  # caption length with [CLS] and [SEP]
    # Of longer captions, in pre-training and retrieval training: the first part or a random one.
    truncation: Literal["start", "random"] = "start"
    # "own" trains a small WordPiece; else a directory or a hub id
    tokenizer: str = Field("own", min_length=1, max_length=4096)
    vocabulary_size: int = Field(2000, ge=1, le=5_000_000)  # of the own WordPiece
    # Processes that decode ahead; 0 = decode in the training process
    workers: int = Field(0, ge=0, le=1000)
    # Keep the decoded clips at training size: in memory, or in a file of snpkit's cache folder.
    cache: Annotated[Literal[True, False, "disk"], BeforeValidator(_no_number)] = True
    cache_frames: Count | None = None  # of each clip, spread evenly; None = all
    # A video that hangs so long, or crashes its decoder, is left out and named; 0 = no guard.
    # Reading on demand costs 6 to 26 % more with it, filling the cache 2 to 2.5 times as much.
    guard_seconds: float = Field(60.0, ge=0, le=86_400)

    @property
    def frames_kept(self) -> int:
        """Frames of each clip in the cache, as far as the recipe says: else those of one sample."""
        return self.cache_frames or self.clips * self.frames

    def _rules(self) -> Iterator[tuple[bool, str]]:
        long, crop = self.fit == "long", self.random_crop or (1.0, 1.0)
        yield long or self.min_scale == 1, 'data.min_scale below 1 needs data.fit "long"'
        yield not (long and self.cache), 'data.fit "long" decodes on demand; switch data.cache off'
        # Without a cache other frames would be drawn: data.cache may change when a run is resumed.
        yield bool(self.cache) or self.cache_frames is None, (
            "data.cache_frames needs a cache; set data.cache to true or disk, or "
            "data.cache_frames to null"
        )
        yield 0 < crop[0] <= crop[1], "data.random_crop must be 0 < smallest <= largest <= 1"
        crops = self.random_crop or self.randaugment
        yield not (long and crops), 'data.random_crop and randaugment need data.fit "crop"'


# Fields of earlier versions: the value that still means what happens without them.
_FORMER = {"accumulation": 1, "gradient_cache": False}
_FORMER_ADVICE = (
    "optimisation.{} is no field any more: write the samples of the whole step into "
    "data.batch_size, and into optimisation.micro_batch how many of them are to be held in memory "
    "at a time; all of them are then compared with each other"
)


class OptimisationRecipe(Section):
    """AdamW, its schedule and the limits of a run. The length is total_steps or else epochs.

    An epoch visits what `data.draw` says: by default each video once, whatever its captions.
    """

    learning_rate: Positive = 5e-5
    # Factors on it, for weights that are pretrained; the published code has one for both of them.
    # 0 = frozen.
    encoder_rate: NotNegative = 1.0  # of the visual encoder
    text_rate: NotNegative = 1.0  # of the shared network: BERT's embeddings, layers and pooler
    betas: Annotated[tuple[Beta, Beta], LOOSE] = (0.9, 0.98)
    weight_decay: NotNegative = 1e-3  # on matrices only: not on biases, norms and the logit scale
    warmup_steps: Whole = 2000  # linear, from 0
    total_steps: Count | None = None
    epochs: Positive | None = None
    schedule: Literal["constant", "linear", "cosine", "step"] = "constant"
    # "step": in the unit of the length (steps or epochs)
    milestones: Annotated[tuple[NotNegative, ...], LOOSE] = ()
    gamma: NotNegative = 0.1  # "step": factor at every milestone
    gradient_clip: Positive = 5.0  # of the global norm
    # Samples of each process whose activations are kept at a time: less memory, a third more time,
    # the same losses and gradients. None = keep all.
    micro_batch: Count | None = None
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    time_limit: Positive | None = None  # seconds of one run; the schedule keeps its own horizon
    nonfinite_limit: Whole = 20  # stop after so many skipped steps with a NaN or infinite loss

    @model_validator(mode="before")
    @classmethod
    def _without_former(cls, values: Any) -> Any:
        kept = dict(values) if isinstance(values, dict) else {}
        for name in _FORMER.keys() & kept.keys():
            if kept.pop(name) != _FORMER[name]:
                raise ValueError(_FORMER_ADVICE.format(name))
        return kept or values

    def _rules(self) -> Iterator[tuple[bool, str]]:
        one = (self.total_steps is None) != (self.epochs is None)
        yield one, "set optimisation.total_steps or optimisation.epochs (one of them, positive)"
        ascend = list(self.milestones) == sorted(self.milestones)
        yield ascend, "optimisation.milestones must be in ascending order"


class MaskingRecipe(Section):
    """Which tokens the two masked-language losses predict."""

    kind: Literal["mssm", "mlm"] = "mssm"  # significant words first, or any word
    ratio: float = Field(0.15, gt=0, lt=1)  # share of the caption's word tokens


class SignificanceRecipe(Section):
    """Which words count as significant (paper, sec. III-C)."""

    top_k: Count = 3000  # words by total count
    min_share: Share = 0.25  # a part of speech below this share of a word's count is dropped


class EvaluationRecipe(Section):
    """How often a run reports, evaluates and saves, in steps."""

    log_every: Count = 10  # losses are read from the device only here
    every: Count = 500
    checkpoint_every: Count = 500
    monitor: str = "matching.text_to_video.r10"  # the metric that decides "best"; more is better
    clips: Count | None = None  # clips per video when measuring; None = data.clips, as in training


class TaskRecipe(Section):
    """What is learned."""

    name: Literal["pretraining", "retrieval", "qa", "multichoice"] = "pretraining"
    # "qa": the label set holds the commonest answers of the training split
    answers: int = Field(1000, ge=2, le=10**7)
    questions: Count = 1  # "qa": questions about each video of a batch, encoded once for all
    answer_from: Literal["pooled", "pooled_and_clips"] = "pooled"  # "qa": see SNPConfig
    answer_head: Literal["mlp", "linear"] = "mlp"  # "qa": the same
    choice_score: Literal["both", "cross_modal", "text_video"] = "both"  # "multichoice": the same

    def _rules(self) -> Iterator[tuple[bool, str]]:
        one = self.questions == 1 or self.name == "qa"
        yield one, 'task.questions must be 1 for other tasks than "qa"'


# Fields of SNPConfig that stand in the data section, under these names; and those that belong to
# the tokenizer. The others may stand in the model section.
_OF_DATA = {"clips": "clips", "frames": "frames", "image_size": "size", "image_fit": "fit",
            "frame_middle": "middle"}  # fmt: skip
_OF_TOKENIZER = {"vocab_size", "pad_token_id", "cls_token_id", "sep_token_id", "mask_token_id"}
_MODEL_FIELDS = set(signature(SNPConfig).parameters) | FORMER_NAMES | {"attn_implementation"}
_MODEL_FIELDS -= {"kwargs"} | _OF_DATA.keys() | _OF_TOKENIZER
_MODEL_FIELDS |= {"text_pretrained"}  # no field of SNPConfig: only the first step needs it


class Recipe(Section):
    """One training run. `choices` says in sentences what was chosen and why (see `read_yaml`)."""

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
            near = _nearest(name, _MODEL_FIELDS)
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
        raise UserError(f"Recipe: {sentence_of(error)}.") from None


def read_recipe(path: str | Path) -> Recipe:
    """The recipe of a .yaml or .yml file, or else of a JSON file of `recipe_to_dict`.

    Raises:
        UserError: no such file, not YAML or JSON, or a field is wrong; names file and field.
    """
    values = (read_yaml if Path(path).suffix in (".yaml", ".yml") else read_json)(path)
    try:
        return recipe_from_dict(values)
    except UserError as error:
        problem = str(error).removeprefix("Recipe: ")
        raise UserError(f"{path} is no recipe that can be used: {problem}") from None


def override(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """A copy with fields replaced by dotted name, e.g. {"optimisation.total_steps": 10}.

    Setting total_steps clears epochs and the other way round, as a run has one length.

    Raises:
        UserError: no such field, a value of another type, or a value out of range.
    """
    values = recipe_to_dict(recipe)
    for name, value in changes.items():
        section, _, last = name.rpartition(".")
        if section == "optimisation" and last in _FORMER:
            raise UserError(f"Recipe: {_FORMER_ADVICE.format(last)}.")
        fields = values.get(section) if section else values
        if not isinstance(fields, dict) or not (section == "model" or name in _FIELDS):
            raise UserError(f"A recipe has no field {name!r}{_nearest(name, _FIELDS)}.")
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
        raise UserError(f"There is no recipe {name!r}{_nearest(name, RECIPES)}; choose one of "
                        f"{', '.join(RECIPES)}, or a .yaml or .json file.")
    return read_recipe(_FOLDER / f"{name}.yaml")


def _nearest(name: str, known: Iterable[str]) -> str:
    """A question that names the nearest field, if possible of the same section; "" = none is."""
    section, _, last = name.rpartition(".")
    in_order = sorted(known, key=lambda field: field.rpartition(".")[0] == section)
    by_last = {field.rpartition(".")[2]: field for field in in_order}
    close = difflib.get_close_matches(last, by_last, n=1)
    return f" (did you mean {by_last[close[0]]!r}?)" if close else ""


_ADVICE = {
    "int_type": "use a whole number", "float_type": "use a number", "string_type": "use text",
    "bool_type": "use true or false", "tuple_type": "use a list",
    "dict_type": "use named fields", "model_type": "use named fields",
}  # fmt: skip


def sentence_of(
    error: ValidationError, known: Iterable[str] = (), whole: str = "the recipe"
) -> str:
    """What is wrong first: field, value, and what is allowed.

    Args:
        known: names of fields, the nearest of which is named; those of a recipe by default.
        whole: what the error's object is called.
    """
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    match first["type"]:
        case "extra_forbidden":
            return f"{reprlib.repr(where)} is no field{_nearest(where, known or _FIELDS)}"
        case "missing":
            return f"{where} is missing"
        case "value_error":
            return str(first["ctx"]["error"])
    advice = _ADVICE.get(first["type"], re.sub(r"^\w+ should", "it should", first["msg"]))
    return f"{where or whole} is {reprlib.repr(first['input'])}; {advice}"
