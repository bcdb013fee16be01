"""The sections of a recipe: their fields, default values and limits."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from snpkit.fields import LOOSE, Beta, Count, NotNegative, Positive, Section, Share, Whole


def _no_number(value: Any) -> Any:
    # 1 equals True, and would be taken for it.
    return str(value) if type(value) in (int, float) else value


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
FORMER = {"accumulation": 1, "gradient_cache": False}
FORMER_ADVICE = (
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
        for name in FORMER.keys() & kept.keys():
            if kept.pop(name) != FORMER[name]:
                raise ValueError(FORMER_ADVICE.format(name))
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
    same_lemma: Share = 0.0  # "mssm": of the replaced words, those that take another form instead


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
