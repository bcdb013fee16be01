"""From a recipe and the rows of its task to what the training loop takes."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from torch import nn

from snpkit.data.augment import Augmentation
from snpkit.data.cache import FrameCache
from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import Manifest
from snpkit.data.task_rows import Texts, check_rows, label_set, one_row_a_clip
from snpkit.errors import UserError
from snpkit.evaluation.answering import commonest_by_type
from snpkit.evaluation.tasks import check_metric, evaluate_task
from snpkit.language.significance import SignificanceTable
from snpkit.language.tokenizer import load_tokenizer, train_tokenizer
from snpkit.loading import Loaded, load_checkpoint
from snpkit.model.base import SNPPreTrainedModel
from snpkit.model.config import SNPConfig
from snpkit.model.downstream import from_pretraining
from snpkit.model.limits import check_clips, check_lengths
from snpkit.model.pretrained_text import config_from_bert, load_text_weights
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.model.vision import backbones
from snpkit.training.batches import PreTrainingBatches, ShuffledSamples
from snpkit.training.randomness import seed_everything
from snpkit.training.recipe import Recipe
from snpkit.training.run import Evaluate
from snpkit.training.task_batches import TaskBatches
from snpkit.weights import check_reachable

_BERT_VOCABULARY = 30_522  # bert-base-uncased
# What a pretrained BERT brings along.
_SIZES_OF_BERT = {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
                  "max_position_embeddings", "vocab_size", "vision_width"}  # fmt: skip


@dataclass
class Setup:
    """All parts of one run: see `prepare`."""

    recipe: Recipe
    tokenizer: Any
    table: SignificanceTable | None
    model: SNPPreTrainedModel
    batches: ShuffledSamples
    held_out: VideoTextDataset | None

    def evaluate(self, model: nn.Module, step: int = 0) -> dict[str, Any]:
        """The metrics of the task on the held-out rows."""
        return self.measure(model, self.held_out)

    def measure(self, model: nn.Module, dataset: VideoTextDataset) -> dict[str, Any]:
        """The task's metrics on a data set; pre-training is measured by retrieval."""
        task = self.recipe.task.name
        options: dict[str, Any] = {"max_tokens": self.recipe.data.max_tokens}
        if task == "qa":
            options["majority"] = self.majority
        elif task == "pretraining":
            options["top_k"] = 10  # half of what a fine-tuned model re-ranks
        return evaluate_task(task, model, self.tokenizer, dataset, **options)

    @cached_property
    def majority(self) -> dict[str, str]:
        """Of "qa": the majority answers of training, which go through all training rows."""
        return commonest_by_type(self.batches.rows)

    @property
    def evaluation(self) -> Evaluate | None:
        """What the loop calls to evaluate; None without held-out rows."""
        return self.evaluate if self.held_out is not None else None


def prepare(
    recipe: Recipe,
    manifest: Manifest,
    *,
    train: str = "train",
    held_out: str | None = "validation",
    text: str | None = None,
    start: str | Path | None = None,
    answers: Sequence[str] | None = None,
    significance: str | Path | None = None,
    cache: FrameCache | None = None,
    progress: bool = True,
) -> Setup:
    """Load or build the model, its tokenizer, the significant words and the batches of a run.

    Args:
        train, held_out: names of splits; a manifest of one split trains on all of it.
        text: BERT directory or hub id that initialises the shared network; None = the recipe's
            model.text_pretrained, where it has one.
        start: checkpoint (a folder, a shipped name or a hub id) that brings weights, model
            settings and tokenizer; None = the recipe's model section, with random weights.
        answers: the label set of "qa"; None = the commonest answers of the training split.
        significance: file of a table of significant words; None = mine the training captions, or
            take the table of `start` for another task than pre-training.
        cache: the decoded clips of all splits, built before; None = as the recipe says.

    Raises:
        UserError: a split is missing or too small, rows do not fit the task, or parts do not fit
            each other.
    """
    task, training = recipe.task.name, manifest.split(train)
    unseen = manifest.split(held_out) if held_out else None
    for part in (training, unseen):
        if task in ("qa", "multichoice") and part is not None:
            check_rows(task, part.rows)
    table = None if significance is None else read_table(recipe, significance)
    if start is None:
        given, text = None, text or recipe.model.get("text_pretrained")
        check_reachable("model.text_pretrained", text)
        check_reachable("model.vision_pretrained", recipe.model.get("vision_pretrained"))
        if text is not None or recipe.data.tokenizer != "own":
            tokenizer = load_tokenizer(text or recipe.data.tokenizer)  # a BERT has its own
        else:
            texts = Texts(training.rows, options=task != "pretraining")
            tokenizer = train_tokenizer(texts, recipe.data.vocabulary_size)
        config = make_config(recipe, tokenizer, text)
    else:
        given, config = start_from(start, recipe)
        tokenizer = given.tokenizer
        _check_start(start, given.model, text, task)
    if unseen is not None:
        check_metric(recipe.evaluation.monitor, task, config.architecture, unseen.rows)
    if table is None and given is not None and task != "pretraining":
        table = given.table
    if table is None and (task == "pretraining" or recipe.data.group > 1):
        table = SignificanceTable.mine(
            Texts(training.rows),
            top_k=recipe.significance.top_k,
            min_share=recipe.significance.min_share,
        )
    labels = label_set(training.rows, recipe.task.answers, answers) if task == "qa" else []
    model = _make_model(recipe, config, given, labels)
    if text is not None:
        load_text_weights(model, text, vocabulary=tokenizer.get_vocab())
    dataset = partial(make_dataset, recipe, cache=cache, progress=progress)
    batches: ShuffledSamples
    if task == "pretraining":
        batches = PreTrainingBatches(
            dataset(training, training=True), tokenizer, table, recipe,
            words=config.lvwm_words, mismatched=config.itm,
        )  # fmt: skip
    else:
        questions = training.rows if recipe.task.questions > 1 else None
        if questions is not None:
            training = Manifest(training.root, one_row_a_clip(questions))
        batches = TaskBatches(
            dataset(training, training=True), tokenizer, recipe, labels, questions, table
        )
    watched = None if unseen is None else dataset(unseen, training=False)
    return Setup(recipe, tokenizer, table, model, batches, watched)


def _make_model(
    recipe: Recipe, config: SNPConfig, given: Loaded | None, answers: Sequence[str]
) -> SNPPreTrainedModel:
    """The model of the recipe's task, with the weights of `given` where there are such."""
    task = recipe.task
    seed_everything(recipe.seed)  # new weights are a function of the recipe's seed alone
    if task.name == "pretraining":
        model = SNPForPreTraining(config)
        if given is not None:
            model.load_state_dict(given.model.state_dict())
        return model
    options = {}
    if task.name == "qa":
        options["answers"] = answers
        config.answer_from, config.answer_head = task.answer_from, task.answer_head
    elif task.name == "multichoice":
        config.choice_score = task.choice_score
    return from_pretraining(task.name, given and given.model, config, **options)


def _check_start(start: str | Path, model: nn.Module, text: str | None, task: str) -> None:
    if text is not None:
        raise UserError(f"The weights come from {start} or from {text}; choose one of the two.")
    if task == "pretraining" and not isinstance(model, SNPForPreTraining):
        raise UserError(
            f"{start} is a {type(model).__name__} and lacks heads that pre-training needs; start "
            "from a pre-trained checkpoint."
        )


def read_table(recipe: Recipe, path: str | Path) -> SignificanceTable:
    """The table of a file, in our own form or the published one.

    Our own form says how many words are significant; of the recipe's significance section only
    `top_k` is read, and only for the published form, which does not say it.

    Raises:
        UserError: the file cannot be read, or no word of it is significant.
    """
    table = SignificanceTable.load(path, top_k=recipe.significance.top_k)
    if not table.significant_words:
        raise UserError(f"{path} holds no significant word; mine a table with `snpkit mine`.")
    return table


def make_config(recipe: Recipe, tokenizer: Any, text: str | None = None) -> SNPConfig:
    """The model's configuration: the recipe's fields, and what tokenizer and data decide.

    `text_pretrained` is no field of the model: `prepare` reads it, and loads the weights once.
    """
    decided = recipe.decided_by_data() | {"vocab_size": len(tokenizer)}
    for kind in ("pad", "cls", "sep", "mask"):
        decided[f"{kind}_token_id"] = getattr(tokenizer, f"{kind}_token_id")
    model = recipe.network_fields()
    if text is None:
        config = SNPConfig(**model, **decided)
    else:
        own = {name: value for name, value in model.items() if name not in _SIZES_OF_BERT}
        config = config_from_bert(text, **own, **decided)
    check_lengths(config, recipe.data.max_tokens)
    check_clips(config, recipe.evaluation.clips, "evaluation.clips")
    return config


def model_config(recipe: Recipe) -> SNPConfig:
    """The recipe's model; nothing is fetched: a hub's BERT is taken to have the recipe's sizes, and
    BERT's own vocabulary."""
    text = recipe.model.get("text_pretrained")
    local = text if text and Path(text).is_dir() else None
    tokenizer = local or recipe.data.tokenizer
    words: Any = range(recipe.data.vocabulary_size if tokenizer == "own" else _BERT_VOCABULARY)
    words = load_tokenizer(tokenizer) if Path(tokenizer).is_dir() else _Vocabulary(words)
    fields = {"text_pretrained": None, "attentive_masking": 0.0}
    config = make_config(recipe.model_copy(update={"model": recipe.model | fields}), words, local)
    if config.vision in backbones.KINDS or Path(config.vision).is_dir():
        backbones._backbone_config(config)  # while config.json may still be read
    return config


class _Vocabulary(tuple[int, ...]):
    """As many words as a tokenizer has; what `make_config` asks of one."""

    pad_token_id, cls_token_id, sep_token_id, mask_token_id = 0, 2, 3, 4


def make_dataset(
    recipe: Recipe,
    manifest: Manifest,
    *,
    training: bool,
    cache: FrameCache | None = None,
    progress: bool = True,
) -> VideoTextDataset:
    """The samples of a manifest as the recipe wants to see them.

    Args:
        training: random frames and augmentation; else as many clips as evaluation.clips says.
        cache: the decoded clips, built before; None = as the recipe says.
    """
    data = recipe.data
    augmentation = Augmentation(
        data.flip, data.random_crop, data.crop_aspect, data.randaugment, data.magnitude
    )
    names = ("cache_frames", "fit", "min_scale", "middle", "guard_seconds")
    options = {name: getattr(data, name) for name in names}
    options |= {"cache": cache or data.cache, "seed": recipe.seed, "progress": progress}
    options["augmentation"] = augmentation if training else None
    clips = data.clips if training else recipe.evaluation.clips or data.clips
    return VideoTextDataset(manifest, clips, data.frames, data.size, training, **options)


def start_from(checkpoint: str | Path, recipe: Recipe) -> tuple[Loaded, SNPConfig]:
    """Load a checkpoint, and its configuration for the recipe's clips and frames.

    Of the recipe's model section only `attn_implementation` is read, which is no property of the
    weights: in bfloat16 on a CPU a step with the fused one takes nearly twice as long.

    Args:
        checkpoint: a folder, a shipped name or a hub id.

    Raises:
        UserError: the checkpoint's weights do not fit the frames or captions of the recipe.
        CheckpointError: there is no such checkpoint, or it is damaged.
    """
    data, loaded = recipe.data, load_checkpoint(checkpoint)
    config = deepcopy(loaded.model.config)
    # The number of clips is free: it is a number of tokens. What sizes a weight stays as it is.
    seen, asked = (config.image_size, config.frames), (data.size, data.frames)
    if config.vision == "patch" and seen != asked:
        raise UserError(
            f"{checkpoint} was trained on {seen[1]} frames of {seen[0]} px a clip, and the "
            "positions of its patch encoder belong to them; set "
            f"data.frames={seen[1]} data.size={seen[0]}."
        )
    for name, value in recipe.decided_by_data().items():
        setattr(config, name, value)
    # How attention is computed is no property of weights, and no checkpoint keeps it.
    chosen = recipe.model.get("attn_implementation", config._attn_implementation)
    config._attn_implementation = chosen
    config.check()
    check_lengths(config, data.max_tokens)
    check_clips(config, recipe.evaluation.clips, "evaluation.clips")
    return loaded, config
