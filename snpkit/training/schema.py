"""What a recipe is: every choice of a training run in one frozen object, saved beside its weights.

    recipe = get_recipe("laptop")
    recipe = override(recipe, {"optimisation.total_steps": 10, "model.hidden_size": 64})
    write_json("recipe.json", recipe_to_dict(recipe))
    recipe = read_recipe("recipe.json")
"""

import dataclasses
import difflib
import json
import re
import reprlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from snpkit.errors import UserError
from snpkit.files import read_json

Section = TypeVar("Section")


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise UserError(f"Recipe: {sentence}.")


@dataclass(frozen=True)
class DataRecipe:
    """What one batch is made of."""

    clips: int = 2  # clips per video; each is one token of the cross-modal pass
    frames: int = 4  # frames per clip
    size: int = 64  # pixels; frames are size x size
    fit: Literal["crop", "long"] = "crop"  # centre square; or long side = size, rest padded
    middle: Literal["upper", "lower"] = "upper"  # the middle frame of a range, in evaluation
    min_scale: float = 1.0  # "long", in training: the long side is min_scale x size .. size
    # Augmentation in training, alike for all frames of a video (snpkit.data.augment).
    flip: bool = False  # mirror half of the videos, but none whose text names a side
    random_crop: tuple[float, float] | None = None  # smallest and largest share of the area
    crop_aspect: float = 1.0  # width / height of a crop: 1 / crop_aspect .. crop_aspect
    randaugment: int = 0  # operations of RandAugment, each with probability 1/2 ...
    magnitude: int = 9  # ... of this strength, 0 to 10
    batch_size: int = 64  # samples of one step over ALL processes (256 = 8 GPUs x 32)
    # An epoch visits each video (a file, or a window of it) once, with one of its captions at
    # random, so that no video stands twice in a batch; or each caption once.
    draw: Literal["videos", "captions"] = "videos"
    group: int = 1  # captions side by side in a batch that share their two commonest words
    max_tokens: int = 30  # caption length with [CLS] and [SEP]
    # Of longer captions, in pre-training and retrieval training: the first part or a random one.
    truncation: Literal["start", "random"] = "start"
    tokenizer: str = "own"  # "own" trains a small WordPiece; else a directory or a hub id
    vocabulary_size: int = 2000  # of the own WordPiece
    workers: int = 0  # processes that decode ahead; 0 = decode in the training process
    cache: bool = True  # keep the decoded clips in memory at training size
    # A video that hangs so long, or crashes its decoder, is left out and named; 0 = no guard.
    # Reading on demand costs 6 to 26 % more with it, filling the cache 2 to 2.5 times as much.
    guard_seconds: float = 60.0

    def __post_init__(self) -> None:
        sizes = (self.clips, self.frames, self.size, self.vocabulary_size)
        _require(min(sizes) > 0, "data.clips, frames, size and vocabulary_size must be positive")
        _require(self.batch_size > 1, "data.batch_size must be 2 or more: matching compares pairs")
        _require(self.max_tokens > 2, "data.max_tokens must leave room between [CLS] and [SEP]")
        _require(self.workers >= 0 and self.guard_seconds >= 0,
                 "data.workers and data.guard_seconds must be 0 or more")
        _require(self.group >= 1, "data.group must be 1 or more")
        _require(0 < self.min_scale <= 1, "data.min_scale must lie above 0 and up to 1")
        _require(self.fit == "long" or self.min_scale == 1,
                 'data.min_scale below 1 needs data.fit "long"')
        _require(self.fit == "crop" or not self.cache,
                 'data.fit "long" decodes on demand; switch data.cache off')
        crop = self.random_crop or (1.0, 1.0)
        _require(0 < crop[0] <= crop[1] <= 1 and self.crop_aspect >= 1,
                 "data.random_crop must be two shares, 0 < smallest <= largest <= 1, and "
                 "data.crop_aspect 1 or more")
        _require(self.randaugment >= 0 and 0 <= self.magnitude <= 10,
                 "data.randaugment must be 0 or more and data.magnitude 0 to 10")
        _require(self.fit == "crop" or not (self.random_crop or self.randaugment),
                 'data.random_crop and data.randaugment need data.fit "crop"')


@dataclass(frozen=True)
class OptimisationRecipe:
    """AdamW, its schedule and the limits of a run. The length is total_steps or else epochs.

    An epoch visits what `data.draw` says: by default each video once, whatever its captions.
    """

    learning_rate: float = 5e-5
    # Factors on it, for weights that are pretrained; the published code has one for both of them.
    encoder_rate: float = 1.0  # of the visual encoder
    text_rate: float = 1.0  # of the shared network: BERT's embeddings, layers and pooler
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 1e-3  # on matrices only: not on biases, norms and the logit scale
    warmup_steps: int = 2000  # linear, from 0
    total_steps: int | None = None
    epochs: float | None = None
    schedule: Literal["constant", "linear", "cosine", "step"] = "constant"
    milestones: tuple[float, ...] = ()  # "step": in the unit of the length (steps or epochs)
    gamma: float = 0.1  # "step": factor at every milestone
    gradient_clip: float = 5.0  # of the global norm
    # Samples of each process whose activations are kept at a time: less memory, a third more time,
    # the same losses and gradients. None = keep all.
    micro_batch: int | None = None
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    time_limit: float | None = None  # seconds of one run; the schedule keeps its own horizon
    nonfinite_limit: int = 20  # stop after so many skipped steps with a NaN or infinite loss

    def __post_init__(self) -> None:
        lengths = [length for length in (self.total_steps, self.epochs) if length is not None]
        _require(len(lengths) == 1 and lengths[0] > 0,
                 "set optimisation.total_steps or optimisation.epochs (one of them, positive)")
        _require(self.learning_rate > 0 and self.weight_decay >= 0 and self.gradient_clip > 0,
                 "optimisation.learning_rate and gradient_clip must be positive, weight_decay >= 0")
        _require(min(self.encoder_rate, self.text_rate) >= 0,
                 "optimisation.encoder_rate and text_rate must be 0 (frozen) or more")
        _require(all(0 <= beta < 1 for beta in self.betas), "optimisation.betas must lie in [0, 1)")
        _require(self.warmup_steps >= 0 and self.nonfinite_limit >= 0,
                 "optimisation.warmup_steps and nonfinite_limit must be >= 0")
        _require(self.micro_batch is None or self.micro_batch > 0,
                 "optimisation.micro_batch must be 1 or more")
        _require(self.time_limit is None or self.time_limit > 0,
                 "optimisation.time_limit must be a positive number of seconds")
        _require(list(self.milestones) == sorted(self.milestones),
                 "optimisation.milestones must be in ascending order")


@dataclass(frozen=True)
class MaskingRecipe:
    """Which tokens the two masked-language losses predict."""

    kind: Literal["mssm", "mlm"] = "mssm"  # significant words first, or any word
    ratio: float = 0.15  # share of the caption's word tokens

    def __post_init__(self) -> None:
        _require(0 < self.ratio < 1, "masking.ratio must lie between 0 and 1")


@dataclass(frozen=True)
class SignificanceRecipe:
    """Which words count as significant (paper, sec. III-C)."""

    top_k: int = 3000  # words by total count
    min_share: float = 0.25  # a part of speech below this share of a word's count is dropped

    def __post_init__(self) -> None:
        _require(self.top_k > 0, "significance.top_k must be positive")
        _require(0 <= self.min_share <= 1, "significance.min_share must lie between 0 and 1")


@dataclass(frozen=True)
class EvaluationRecipe:
    """How often a run reports, evaluates and saves, in steps."""

    log_every: int = 10  # losses are read from the device only here
    every: int = 500
    checkpoint_every: int = 500
    monitor: str = "matching.text_to_video.r10"  # the metric that decides "best"; more is better
    clips: int | None = None  # clips per video when measuring; None = data.clips, as in training

    def __post_init__(self) -> None:
        _require(min(self.log_every, self.every, self.checkpoint_every) > 0,
                 "evaluation.log_every, every and checkpoint_every must be positive")
        _require(self.clips is None or self.clips > 0, "evaluation.clips must be positive")


@dataclass(frozen=True)
class TaskRecipe:
    """What is learned."""

    name: Literal["pretraining", "retrieval", "qa", "multichoice"] = "pretraining"
    answers: int = 1000  # "qa": the label set holds the commonest answers of the training split
    questions: int = 1  # "qa": questions about each video of a batch, which is encoded once for all
    answer_from: Literal["pooled", "pooled_and_clips"] = "pooled"  # "qa": see SNPConfig
    answer_head: Literal["mlp", "linear"] = "mlp"  # "qa": the same
    choice_score: Literal["both", "cross_modal", "text_video"] = "both"  # "multichoice": the same

    def __post_init__(self) -> None:
        _require(self.answers > 1, "task.answers must be 2 or more")
        _require(self.questions == 1 or (self.questions > 1 and self.name == "qa"),
                 'task.questions must be 1 or more, and 1 for other tasks than "qa"')


@dataclass(frozen=True)
class Recipe:
    """One training run. `choices` says in sentences what was chosen and why."""

    name: str
    optimisation: OptimisationRecipe
    data: DataRecipe = field(default_factory=DataRecipe)
    model: dict[str, Any] = field(default_factory=dict)  # fields of SNPConfig
    masking: MaskingRecipe = field(default_factory=MaskingRecipe)
    significance: SignificanceRecipe = field(default_factory=SignificanceRecipe)
    evaluation: EvaluationRecipe = field(default_factory=EvaluationRecipe)
    task: TaskRecipe = field(default_factory=TaskRecipe)
    seed: int = 0
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # The name becomes a folder's, runs/NAME, and a recipe file may be a stranger's.
        _require(re.fullmatch(r"\w[\w .+-]{,99}", self.name) is not None,
                 "name must be of letters, digits, spaces and _ . + -, at most 100 of them, and "
                 "begin with a letter or digit")
        _require(self.task.questions == 1 or not self.data.flip,
                 "data.flip looks at one question of a video, whose other questions may name a "
                 "side; set task.questions=1 or data.flip=false")


# Fields of earlier versions: the value that still means what happens without them.
_FORMER = {"optimisation.accumulation": 1, "optimisation.gradient_cache": False}


def _refuse_former(name: str) -> None:
    _require(name not in _FORMER, f"{name} is no field any more: write the samples of the whole "
             "step into data.batch_size, and into optimisation.micro_batch how many of them are "
             "to be held in memory at a time; all of them are then compared with each other")


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON values (tuples become lists)."""
    return json.loads(json.dumps(dataclasses.asdict(recipe)))


def recipe_from_dict(values: Any) -> Recipe:
    """Build a recipe from the values of `recipe_to_dict`, checking every name and type.

    Raises:
        UserError: an unknown or missing field, or a value of another type; names the field.
    """
    return _build(Recipe, values, "")


def read_recipe(path: str | Path) -> Recipe:
    """The recipe of a file that holds what `recipe_to_dict` gave.

    Raises:
        UserError: no such file, not JSON, or a field is wrong; names the file and the field.
    """
    values = read_json(path)
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
        _refuse_former(name)
        *path, last = name.split(".")
        section = values
        for part in path:
            section = section.get(part) if isinstance(section, dict) else None
        if not isinstance(section, dict) or (last not in section and path != ["model"]):
            raise UserError(f"A recipe has no field {name!r}{_suggestion(name, values)}.")
        section[last] = value
        partner = {"total_steps": "epochs", "epochs": "total_steps"}.get(last)
        if path == ["optimisation"] and partner and partner not in _last_parts(changes):
            section[partner] = None
    return recipe_from_dict(values)


def _last_parts(changes: Mapping[str, Any]) -> set[str]:
    return {name.rpartition(".")[2] for name in changes}


def _suggestion(name: str, values: dict[str, Any]) -> str:
    known = [key for key, value in values.items() if not isinstance(value, dict)]
    known += [f"{key}.{sub}" for key, value in values.items() if isinstance(value, dict)
              for sub in value]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    return f"; did you mean {close[0]!r}?" if close else ""


def _build(kind: type[Section], values: Any, where: str) -> Section:
    """Build the dataclass `kind` from a dict; `where` is its dotted name for messages."""
    _require(isinstance(values, dict), f"{where or 'the file'} must be an object with named fields")
    hints = get_type_hints(kind)
    for name in sorted(set(values) - set(hints)):
        full = f"{where}.{name}" if where else name
        if full in _FORMER and values[name] == _FORMER[full]:
            continue
        _refuse_former(full)
        raise UserError(f"Recipe: {reprlib.repr(full)} is no field.")
    built = {}
    for item in fields(kind):  # type: ignore[arg-type]
        name = f"{where}.{item.name}" if where else item.name
        if item.name in values:
            built[item.name] = _convert(values[item.name], hints[item.name], name)
        else:
            optional = item.default is not dataclasses.MISSING
            optional |= item.default_factory is not dataclasses.MISSING
            _require(optional, f"{name} is missing")
    return kind(**built)


def _convert(value: Any, hint: Any, name: str) -> Any:
    """Check a JSON value against a type hint; lists become tuples, whole numbers may be floats."""
    if is_dataclass(hint):
        return _build(hint, value, name)
    shown = reprlib.repr(value)  # shortened: a damaged file may hold a very long value
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:  # "int | None"
        return None if value is None else _convert(value, arguments[0], name)
    if origin is Literal:
        choices = ", ".join(map(repr, arguments))
        _require(value in arguments, f"{name} must be one of {choices}, not {shown}")
        return value
    if origin is tuple:
        _require(isinstance(value, list | tuple), f"{name} must be a list, not {shown}")
        if arguments[-1] is not ...:
            _require(len(value) == len(arguments), f"{name} needs {len(arguments)} values")
        return tuple(_convert(item, arguments[0], name) for item in value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        # Compared first: an int of hundreds of digits is no float at all.
        _require(abs(value) <= sys.float_info.max,
                 f"{name} must be a finite number, not {shown}")
        value = float(value)
    expected = origin or hint
    right = isinstance(value, expected) and not (expected is int and isinstance(value, bool))
    _require(right, f"{name} must be of type {expected.__name__}, not {shown}")
    return dict(value) if expected is dict else value
