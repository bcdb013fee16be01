"""SNPForPreTraining: encoders and proxy tasks put together into a dict of losses."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput

from snpkit.errors import UserError
from snpkit.model import objectives
from snpkit.model.config import SNPConfig
from snpkit.model.heads import MLMHead
from snpkit.model.matching import (
    SNPMatchingModel,
    SNPPreTrainedModel,
    TextFeatures,
    similarity_head,
)
from snpkit.model.momentum import MomentumEncoders
from snpkit.model.shared import CrossModalPass, attention_received
from snpkit.model.video import VideoFeatures

__all__ = ["PreTrainingOutput", "SNPForPreTraining", "SNPPreTrainedModel", "TextFeatures"]

Batch = dict[str, Tensor]


@dataclass
class PreTrainingOutput(ModelOutput):
    """loss: the plain sum of `losses`; similarities: detached [text, video] scores by task."""

    loss: Tensor | None = None
    losses: dict[str, Tensor] | None = None
    similarities: dict[str, Tensor] | None = None


class SNPForPreTraining(SNPMatchingModel):
    """All proxy tasks of SNP-S3 over one batch (paper sec. III; total loss = plain sum)."""

    def __init__(self, config: SNPConfig) -> None:
        super().__init__(config)
        hidden = config.hidden_size
        self.text_mlm_head = MLMHead(config)
        if config.architecture != "twin_tower":
            self.cross_mlm_head = MLMHead(config)
            self.similarity = similarity_head(config)
            self.itm_head = nn.Linear(hidden, 2)
        elif set(config.tasks) & {"cross_mlm", "gvtm_cross_modal"} or config.itm:
            raise UserError(
                "A twin tower has no cross-modal pass: leave 'cross_mlm', 'gvtm_cross_modal' and "
                "ITM out of the tasks, or choose architecture 'snp' or 'three_fusion'."
            )
        self.post_init()
        if config.level1 == "moco":
            self.moco = MomentumEncoders(config, self.network.bert, self.video)

    @property
    def word_embeddings(self) -> Tensor:
        """[vocabulary, hidden]: read by the embeddings, tied to both MLM decoders."""
        return self.network.bert.embeddings.word_embeddings.weight

    def forward(self, batch: Batch | None = None, **inputs: Tensor) -> PreTrainingOutput:
        """Compute every task of the configuration.

        Args:
            batch: a dict (or the same as keywords) of
                input_ids, masked_input_ids, attention_mask, labels [batch, tokens] (-100 = none);
                pixel_values [batch, clips, frames, channels, height, width], float or uint8;
                pixel_mask [batch, clips, frames, height, width], optional, True = real;
                significant_positions [batch, words], optional, -1 = none; drawn when absent, from
                    significant_mask [batch, tokens] or else from all words of the caption;
                mismatched_input_ids, mismatched_attention_mask [batch, tokens], for ITM.
        """
        batch = {**(batch or {}), **inputs}
        tasks, losses, scores = set(self.config.tasks), {}, {}
        video = self.encode_video(batch["pixel_values"], batch.get("pixel_mask"))
        text = None
        if tasks & {"gvtm_text_video", "gvtm_cross_modal", "lvwm"}:
            text = self.encode_text(batch["input_ids"], batch["attention_mask"])
        masked_ids, labels = self._masked_caption(batch)
        if "text_mlm" in tasks:
            losses["text_mlm"] = self._text_mlm(batch, masked_ids, labels, text)
        if text is not None:
            scores["text_video"] = self.text_video_scores(text.pooled, video.clip_features)
        if "gvtm_text_video" in tasks:
            losses["gvtm_text_video"] = self._text_video_loss(batch, text, video, scores)
        losses.update(self._cross_modal_losses(batch, masked_ids, labels, video, scores))
        if "lvwm" in tasks:
            losses.update(self._word_losses(batch, text, video, scores))
        reduced = {name: s.detach().logsumexp(-1) for name, s in scores.items()}
        return PreTrainingOutput(loss=sum(losses.values()), losses=losses, similarities=reduced)

    def _masked_caption(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The masked ids and labels of the MLM tasks; sometimes masked where attention goes."""
        chance = self.config.attentive_masking
        # The draw is made on the host from the host's generator: no device is waited for.
        if not (self.training and chance and torch.rand(()) < chance):
            return batch["masked_input_ids"], batch["labels"]
        ids, mask = batch["input_ids"], batch["attention_mask"]
        received = attention_received(self.network.bert, ids, mask)
        chosen = objectives.draw_attended(received, word_positions(self.config, ids, mask))
        masked = ids.masked_fill(chosen, self.config.mask_token_id)
        return masked, ids.masked_fill(~chosen, -100)

    def _mlm(self, head: MLMHead, tokens: Tensor, labels: Tensor) -> Tensor:
        # The decoder is as wide as the vocabulary: only labelled positions go through it.
        labelled = labels != -100
        logits = head(tokens[labelled], self.word_embeddings)
        return objectives.masked_language_modelling(logits, labels[labelled])

    def _text_mlm(
        self, batch: Batch, masked_ids: Tensor, labels: Tensor, text: TextFeatures | None
    ) -> Tensor:
        if self.config.text_mlm == "masked":
            tokens = self.network.text_pass(masked_ids, batch["attention_mask"]).tokens
        else:
            text = text or self.encode_text(batch["input_ids"], batch["attention_mask"])
            tokens = text.tokens
        return self._mlm(self.text_mlm_head, tokens, labels)

    def _text_video_loss(
        self, batch: Batch, text: TextFeatures, video: VideoFeatures, scores: dict[str, Tensor]
    ) -> Tensor:
        if self.config.level1 == "moco" and self.training:
            self.moco.update(self.network.bert, self.video)
            return self.moco.loss(batch, text.pooled, video.clip_features)
        return objectives.mil_nce(scores["text_video"])

    def _cross_modal_losses(
        self,
        batch: Batch,
        masked_ids: Tensor,
        labels: Tensor,
        video: VideoFeatures,
        scores: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        losses, tasks, mask = {}, set(self.config.tasks), batch["attention_mask"]
        own: CrossModalPass | None = None
        if "gvtm_cross_modal" in tasks:
            similarity, own = self.pair_scores(
                batch["masked_input_ids"], mask, video.clip_tokens, scores.get("text_video")
            )
            scores["cross_modal"] = similarity[:, :, None]
            losses["gvtm_cross_modal"] = objectives.mil_nce(scores["cross_modal"])
        attended = masked_ids is not batch["masked_input_ids"]
        if ("cross_mlm" in tasks or self.config.itm) and (own is None or attended):
            own = self.network.cross_modal_pass(masked_ids, mask, video.clip_tokens)
        if "cross_mlm" in tasks:
            losses["cross_mlm"] = self._mlm(self.cross_mlm_head, own.text, labels)
        if self.config.itm:
            wrong = self.network.cross_modal_pass(
                batch["mismatched_input_ids"],
                batch["mismatched_attention_mask"],
                video.clip_tokens,
            )
            losses["itm"] = objectives.image_text_matching(
                self.itm_head(own.pooled), self.itm_head(wrong.pooled)
            )
        return losses

    def _word_losses(
        self, batch: Batch, text: TextFeatures, video: VideoFeatures, scores: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        positions, present = self._significant_words(batch)
        stages, losses = self.config.lvwm_stage, {}
        vectors = {}
        if stages in ("before", "both"):
            vectors["before"] = self.network.embed_text(batch["input_ids"])
        if stages in ("after", "both"):
            vectors["after"] = text.tokens
        rows = torch.arange(len(positions), device=positions.device)[:, None]
        for stage, tokens in vectors.items():
            name = f"lvwm_{stage}" if stages == "both" else "lvwm"
            similarity = objectives.word_video_similarity(
                self.scale("words") * tokens[rows, positions], present, video.clip_features
            )
            scores[name] = similarity
            losses[name] = objectives.mil_nce(similarity)
        return losses

    def _significant_words(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Positions [batch, words] and which of them are there; a caption without any word is
        represented by its first token, once, so that its row of scores stays finite."""
        positions = batch.get("significant_positions")
        if positions is None:
            allowed = batch.get("significant_mask")
            if allowed is None:
                allowed = word_positions(self.config, batch["input_ids"], batch["attention_mask"])
            keys = torch.rand(allowed.shape, device=allowed.device).masked_fill(~allowed, -1.0)
            best = keys.topk(min(self.config.lvwm_words, keys.shape[1]), dim=1)
            positions = best.indices.masked_fill(best.values < 0, -1)
        present = positions >= 0
        present[:, 0] |= ~present.any(dim=1)
        return positions.clamp(min=0), present


def word_positions(config: SNPConfig, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """True where a token belongs to a word: not [CLS], [SEP], [MASK] or padding."""
    special = torch.zeros_like(input_ids, dtype=torch.bool)
    for token in (config.cls_token_id, config.sep_token_id, config.pad_token_id):
        special |= input_ids == token
    return (attention_mask > 0) & ~special & (input_ids != config.mask_token_id)
