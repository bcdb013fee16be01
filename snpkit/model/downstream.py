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
from snpkit.model.config import SNPConfig
from snpkit.model.contrast import Batch, Encoded, SNPContrastiveModel
from snpkit.model.gathering import Rows
from snpkit.model.matching import SNPMatchingModel, similarity_head

NO_LABEL = -100  # an answer outside the label set: nothing to learn from, and always wrong


@dataclass
class DownstreamOutput(ModelOutput):
    """loss: sum of `losses`; logits: [batch, answers] or [batch, options], None in retrieval."""

    loss: Tensor | None = None
    losses: dict[str, Tensor] | None = None
    logits: Tensor | None = None


class SNPDownstreamModel(SNPMatchingModel):
    """Ground of the three: knows which pre-trained weights it has no use for."""

    # Regular expressions; transformers says nothing of these when it loads a pre-trained model.
    _keys_to_ignore_on_load_unexpected = (
        r"^text_mlm_head\.", r"^cross_mlm_head\.", r"^itm_head\.", r"^moco\.", r"^answer_head\.",
    )  # fmt: skip

    def __init__(self, config: SNPConfig) -> None:
        super().__init__(config)
        if config.architecture != "twin_tower":
            self.similarity = similarity_head(config)
        elif not self.works_as_twin_tower:
            raise UserError(
                f"{type(self).__name__} reads text and video together, which a twin tower cannot; "
                "start from architecture 'snp' or 'three_fusion'."
            )

    works_as_twin_tower = False

    def _classified(self, logits: Tensor, labels: Tensor | None, name: str) -> DownstreamOutput:
        """Logits, and the mean cross-entropy over the rows that have a label, in training over
        those of all processes."""
        if labels is None:
            return DownstreamOutput(logits=logits)
        # A batch without any label gives 0, not NaN, and a gradient of 0.
        total = F.cross_entropy(logits.float(), labels, ignore_index=NO_LABEL, reduction="sum")
        count = (labels != NO_LABEL).sum()
        rows = Rows.of(len(labels), joined=self.training)
        loss = rows.mean(total / count.clamp(min=1), count)
        return DownstreamOutput(loss, {name: loss}, logits)


class SNPForRetrieval(SNPContrastiveModel, SNPDownstreamModel):
    """Text-video retrieval: both matching losses (GVTM, the paper's L3 and L4) on whole captions.

    A twin tower learns by the first alone.
    """

    works_as_twin_tower = True

    def __init__(self, config: SNPConfig) -> None:
        super().__init__(config)
        self.post_init()

    def forward(self, batch: Batch | None = None, **inputs: Tensor) -> DownstreamOutput:
        """Compute the matching losses.

        Args:
            batch: a dict (or the same as keywords) of
                input_ids, attention_mask [batch, tokens]: the captions, row i of video i;
                pixel_values [batch, clips, frames, channels, height, width];
                pixel_mask [batch, clips, frames, height, width], optional.
        """
        losses, _ = self.compare({**(batch or {}), **inputs})
        return DownstreamOutput(sum(losses.values()), losses)

    @property
    def matches_pairs(self) -> bool:
        """True but for a twin tower."""
        return self.config.architecture != "twin_tower"

    def encode(self, batch: Batch) -> Encoded:
        """Texts and clips."""
        video = self.encode_video(batch["pixel_values"], batch.get("pixel_mask"))
        lengths = batch["facts"].lengths
        text = self.encode_text(batch["input_ids"], batch["attention_mask"], lengths)
        visual = self.network.embed_clips(video.clip_tokens) if self.matches_pairs else None
        return Encoded({"text": text.pooled, "clips": video.clip_features}, visual)

    def matching_losses(
        self, joined: dict[str, Tensor], pairs: Tensor | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Text-video and cross-modal matching."""
        scores = {"text_video": self.text_video_scores(joined["text"], joined["clips"])}
        if pairs is not None:
            scores["cross_modal"] = pairs[:, :, None]
        return {f"gvtm_{name}": objectives.mil_nce(each) for name, each in scores.items()}, scores


class SNPForQuestionAnswering(SNPDownstreamModel):
    """Open-ended question answering as classification: question + video -> one of the answers.

    The answers are `config.id2label`, as in any transformers classifier.
    """

    _keys_to_ignore_on_load_missing = (r"^answer_head\.",)
    _keys_to_ignore_on_load_unexpected = (
        *SNPDownstreamModel._keys_to_ignore_on_load_unexpected[:-1], r"^similarity\.",
    )  # fmt: skip

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
        del self.similarity  # the answer head takes its place
        hidden = config.hidden_size
        read = hidden if config.answer_from == "pooled" else 2 * hidden
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
        video = self.encode_video(batch["pixel_values"], batch.get("pixel_mask"))
        clips = video.clip_tokens
        if "video_index" in batch:
            clips = clips.index_select(0, batch["video_index"])  # adds gradients in a fixed order
        logits = self.answer_logits(batch["input_ids"], batch["attention_mask"], clips)
        return self._classified(logits, batch.get("labels"), "answer")

    def answer_logits(
        self, input_ids: Tensor, attention_mask: Tensor, clip_tokens: Tensor
    ) -> Tensor:
        """Questions [batch, tokens] and clip tokens [batch, clips, hidden] -> [batch, answers]."""
        joint = self.network.cross_modal_pass(input_ids, attention_mask, clip_tokens)
        if self.config.answer_from == "pooled":
            return self.answer_head(joint.pooled)
        return self.answer_head(torch.cat([joint.pooled, clip_tokens.mean(1)], dim=-1))


class SNPForMultipleChoice(SNPDownstreamModel):
    """Choose the text that fits a video: the matching scores of the options, compared.

    It has no weights of its own, so a pre-trained or retrieval model answers zero-shot.
    """

    def __init__(self, config: SNPConfig) -> None:
        super().__init__(config)
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
        video = self.encode_video(batch["pixel_values"], batch.get("pixel_mask"))
        matching, cross_modal = self.option_scores(
            batch["input_ids"], batch["attention_mask"], video.clip_features, video.clip_tokens
        )
        return self._classified(matching + cross_modal, batch.get("labels"), "choice")


DOWNSTREAM: dict[str, type[SNPDownstreamModel]] = {
    "retrieval": SNPForRetrieval,
    "qa": SNPForQuestionAnswering,
    "multichoice": SNPForMultipleChoice,
}


def from_pretraining(
    task: str, weights: nn.Module | None, config: SNPConfig, **options: Any
) -> SNPDownstreamModel:
    """A downstream model with the weights of another model, matched by name.

    Args:
        task: a key of DOWNSTREAM.
        weights: a pre-trained or fine-tuned model; None = start from nothing.
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
        if name in own and not (name.startswith("answer_head.") and own[name].shape != value.shape)
    }  # fmt: skip
    for name, value in shared.items():
        if own[name].shape != value.shape:
            raise UserError(
                f"The weight {name} is {list(value.shape)} in the checkpoint, but "
                f"{list(own[name].shape)} here; keep the checkpoint's model settings."
            )
    with torch.no_grad():
        for name, value in shared.items():
            own[name].copy_(value)
    return model
