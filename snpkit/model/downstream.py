"""The models that people fine-tune: retrieval, question answering, multiple choice.

Each reads the weights of a pre-trained model by their own names:

    model = SNPForQuestionAnswering.from_pretrained("runs/laptop/best", answers=["red", "blue"])

Heads that a task has no use for are left behind; a head that pre-training did not have (the answer
head) starts at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.utils import ModelOutput

from snpkit.errors import UserError
from snpkit.model import objectives
from snpkit.model.base import Batch, SNPPreTrainedModel
from snpkit.model.config import SNPConfig
from snpkit.model.heads import similarity_head
from snpkit.model.initialisation import take_weights
from snpkit.model.momentum import MomentumEncoders

NO_LABEL = -100  # an answer outside the label set: nothing to learn from, and always wrong


@dataclass
class DownstreamOutput(ModelOutput):
    """loss: sum of `losses`; logits: [batch, answers] or [batch, options], None in retrieval."""

    loss: Tensor | None = None
    losses: dict[str, Tensor] | None = None
    logits: Tensor | None = None


# What a task has no use for: regular expressions. transformers says nothing of these when it loads
# a pre-trained model.
_UNUSED = (r"^text_mlm_head\.", r"^cross_mlm_head\.", r"^itm_head\.", r"^moco\.", r"^answer_head\.")


def _refuse_twin_tower(config: SNPConfig, task: str) -> None:
    if config.architecture == "twin_tower":
        raise UserError(
            f"{task} reads text and video together, which a twin tower cannot; start from "
            "architecture 'snp' or 'three_fusion'."
        )


def _classify(
    model: SNPPreTrainedModel, logits: Tensor, labels: Tensor | None, name: str
) -> DownstreamOutput:
    """Logits, and the mean cross-entropy over the rows that have a label, in training over those
    of all processes."""
    if labels is None:
        return DownstreamOutput(logits=logits)
    # A batch without any label gives 0, not NaN, and a gradient of 0.
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    total = F.cross_entropy(exact, labels, ignore_index=NO_LABEL, reduction="sum")
    count = (labels != NO_LABEL).sum()
    loss = model.mean(total / count.clamp(min=1), count)
    return DownstreamOutput(loss, {name: loss}, logits)


class SNPForRetrieval(SNPPreTrainedModel):
    """Text-video retrieval: both matching losses (GVTM, the paper's L3 and L4) on whole captions.

    A twin tower learns by the first alone.
    """

    _keys_to_ignore_on_load_unexpected = _UNUSED
    _keys_to_ignore_on_load_missing = (r"^moco\.",)  # its keys then start as copies

    def __init__(self, config: SNPConfig) -> None:
        super().__init__(config)
        if config.architecture != "twin_tower":
            self.similarity = similarity_head(config)
        self.post_init()
        if config.negative_source == "moco":
            self.moco = MomentumEncoders(config, self.network.bert, self.video)

    def forward(self, batch: Batch | None = None, **inputs: Tensor) -> DownstreamOutput:
        """Compute the matching losses.

        Args:
            batch: a dict (or the same as keywords) with what `snpkit.model.base.Batch` describes.
        """
        batch = {**(batch or {}), **inputs}
        clip_tokens, clip_features = self.encode_clips(batch)
        text = self.encode_text(batch["input_ids"], batch["attention_mask"], self.lengths(batch))
        texts, clips, videos = (
            self.gather(each) for each in (text.pooled, clip_features, batch.get("video_ids"))
        )
        scores = self.text_video_scores(texts, clips)  # [text, video, clip]
        losses = {"gvtm_text_video": self.contrast(scores, texts, clips, videos, batch)}
        if self.config.architecture != "twin_tower":
            pairs = self.gather(self.match_pairs(batch, clip_tokens, scores, videos))
            losses["gvtm_cross_modal"] = objectives.mil_nce(pairs[:, :, None], videos)
        return DownstreamOutput(sum(losses.values()), losses)


class SNPForQuestionAnswering(SNPPreTrainedModel):
    """Open-ended question answering as classification: question + video -> one of the answers.

    The answers are `config.id2label`, as in any transformers classifier.
    """

    _keys_to_ignore_on_load_missing = (r"^answer_head\.",)
    _keys_to_ignore_on_load_unexpected = (*_UNUSED[:-1], r"^similarity\.")

    def __init__(self, config: SNPConfig, answers: Sequence[str] | None = None) -> None:
        """Build the model.

        Args:
            answers: the label set, in order; None = what config.id2label says.

        Raises:
            UserError: fewer than two answers, one twice, or a twin tower.
        """
        if answers is not None:
            if len(answers) < 2 or len(set(answers)) < len(answers):
                raise UserError("Question answering needs two or more answers, none of them twice.")
            config.id2label = dict(enumerate(answers))
            config.label2id = {answer: number for number, answer in enumerate(answers)}
        super().__init__(config)
        _refuse_twin_tower(config, type(self).__name__)
        hidden = config.hidden_size
        read = hidden if config.answer_from == "pooled" else 2 * hidden
        self.answer_head: nn.Module = nn.Linear(read, config.num_labels)
        if config.answer_head == "mlp":
            self.answer_head = nn.Sequential(
                nn.Linear(read, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, config.num_labels)
            )
        self.post_init()

    @property
    def answers(self) -> list[str]:
        """The label set, in the order of the logits."""
        return [self.config.id2label[number] for number in range(self.config.num_labels)]

    def forward(self, batch: Batch | None = None, **inputs: Tensor) -> DownstreamOutput:
        """Answer questions; with labels also the cross-entropy.

        Args:
            batch: a dict (or the same as keywords) of
                input_ids, attention_mask [batch, tokens]: the questions;
                pixel_values, pixel_mask: as in retrieval;
                video_index [batch], optional: the row of pixel_values that each question is about,
                    where there are several about one video;
                labels [batch], optional: numbers of the answers, -100 = not in the label set.
        """
        batch = {**(batch or {}), **inputs}
        clips, _ = self.encode_clips(batch)
        if "video_index" in batch:
            clips = clips.index_select(0, batch["video_index"])  # adds gradients in a fixed order
        questions = batch["input_ids"], batch["attention_mask"]
        logits = self.answer_logits(*questions, clips, self.lengths(batch))
        return _classify(self, logits, batch.get("labels"), "answer")

    def answer_logits(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        clip_tokens: Tensor,
        lengths: Sequence[int] | None = None,
    ) -> Tensor:
        """Questions [batch, tokens], of `lengths` tokens each (None = their padding is computed
        too), and clip tokens [batch, clips, hidden] -> [batch, answers]."""
        joint = self.network.cross_modal_pass(
            input_ids, attention_mask, clip_tokens, lengths, pooled_only=True,
            limit=self.slice_size,
        )  # fmt: skip
        if self.config.answer_from == "pooled":
            return self.answer_head(joint.pooled)
        return self.answer_head(torch.cat([joint.pooled, clip_tokens.mean(1)], dim=-1))


class SNPForMultipleChoice(SNPPreTrainedModel):
    """Choose the text that fits a video: the options' scores (`config.choice_score`), compared.

    It has no weights of its own, so a pre-trained or retrieval model answers zero-shot.
    """

    _keys_to_ignore_on_load_unexpected = _UNUSED

    def __init__(self, config: SNPConfig) -> None:
        super().__init__(config)
        _refuse_twin_tower(config, type(self).__name__)
        self.similarity = similarity_head(config)
        self.post_init()

    def forward(self, batch: Batch | None = None, **inputs: Tensor) -> DownstreamOutput:
        """Score the options of each video; with labels also the cross-entropy.

        Args:
            batch: a dict (or the same as keywords) of
                input_ids, attention_mask [batch, options, tokens];
                pixel_values, pixel_mask: as in retrieval;
                labels [batch], optional: which option is right.
        """
        batch = {**(batch or {}), **inputs}
        clip_tokens, clip_features = self.encode_clips(batch)
        scores = self.option_scores(
            batch["input_ids"], batch["attention_mask"], clip_features, clip_tokens
        )
        logits = choice_logits(self.config, *scores)
        return _classify(self, logits, batch.get("labels"), "choice")


def choice_logits(config: SNPConfig, matching: Tensor, cross_modal: Tensor) -> Tensor:
    """What multiple choice compares, by `config.choice_score`.

    Args:
        matching, cross_modal: of `option_scores`, each [batch, options].

    Returns:
        [batch, options]; of a twin tower always the text-video scores.
    """
    if config.choice_score == "text_video" or config.architecture == "twin_tower":
        return matching
    return cross_modal if config.choice_score == "cross_modal" else matching + cross_modal


DOWNSTREAM: dict[str, type[SNPPreTrainedModel]] = {
    "retrieval": SNPForRetrieval,
    "qa": SNPForQuestionAnswering,
    "multichoice": SNPForMultipleChoice,
}


def from_pretraining(
    task: str, weights: nn.Module | None, config: SNPConfig, **options: Any
) -> SNPPreTrainedModel:
    """A downstream model with the weights of another model, matched by name.

    Args:
        task: a key of DOWNSTREAM.
        weights: a pre-trained or fine-tuned model; None = start from scratch.
        config: of the new model.
        **options: of the model, such as `answers`.

    Raises:
        UserError: no such task, or weights that both models have differ in shape.
    """
    if task not in DOWNSTREAM:
        raise UserError(f"There is no task {task!r}; choose one of {', '.join(DOWNSTREAM)}.")
    model = DOWNSTREAM[task](config, **options)
    if weights is None:
        return model
    own, given = model.state_dict(), weights.state_dict()
    shared = {
        name: value for name, value in given.items()
        if name in own and not name.startswith("moco.")  # keys start anew, as copies
        and not (name.startswith("answer_head.") and own[name].shape != value.shape)
    }  # fmt: skip
    for name, value in shared.items():
        if own[name].shape != value.shape:
            raise UserError(
                f"The weight {name} is {list(value.shape)} in the checkpoint, but "
                f"{list(own[name].shape)} here; keep the checkpoint's model settings."
            )
    take_weights(model, shared)
    return model
