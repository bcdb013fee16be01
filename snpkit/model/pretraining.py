"""SNPForPreTraining: encoders and proxy tasks put together into a dict of losses."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.utils import ModelOutput

from snpkit.errors import UserError
from snpkit.model import gathering, objectives
from snpkit.model.config import SNPConfig
from snpkit.model.contrast import Batch, Encoded, SNPContrastiveModel
from snpkit.model.heads import MLMHead
from snpkit.model.lengths import Lengths
from snpkit.model.matching import SNPPreTrainedModel, TextFeatures, similarity_head
from snpkit.model.momentum import MomentumEncoders
from snpkit.model.shared import CrossModalPass, attention_received
from snpkit.model.unpadded import pair_layers

__all__ = ["PreTrainingOutput", "SNPForPreTraining", "SNPPreTrainedModel", "TextFeatures"]

_ORDER = (
    "text_mlm", "gvtm_text_video", "gvtm_cross_modal", "cross_mlm", "itm", "lvwm", "lvwm_before",
    "lvwm_after",
)  # fmt: skip
_LABELS_STEP = 16  # labelled tokens pass through a head in multiples of this number


@dataclass
class PreTrainingOutput(ModelOutput):
    """loss: the plain sum of `losses`; similarities: detached [text, video] scores by task."""

    loss: Tensor | None = None
    losses: dict[str, Tensor] | None = None
    similarities: dict[str, Tensor] | None = None


class SNPForPreTraining(SNPContrastiveModel):
    """All proxy tasks of SNP-S3 over one batch (paper sec. III; total loss = plain sum)."""

    pair_ids = "masked_input_ids"

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
        losses, scores = self.compare({**(batch or {}), **inputs})
        losses = {name: losses[name] for name in _ORDER if name in losses}
        reduced = {name: s.detach().logsumexp(-1) for name, s in scores.items()}
        return PreTrainingOutput(loss=sum(losses.values()), losses=losses, similarities=reduced)

    @property
    def matches_pairs(self) -> bool:
        """True where the cross-modal matching is learned."""
        return "gvtm_cross_modal" in self.config.tasks

    def prepare(self, batch: Batch, *, first: bool = True) -> Batch:
        """The batch with its significant words, sometimes with masks where attention goes
        ("attended_input_ids", and their labels), and with MoCo's keys."""
        batch = dict(super().prepare(batch, first=first))
        if "lvwm" in self.config.tasks:
            batch["significant_positions"], batch["present"] = self._significant_words(batch)
        if self._masks_by_attention():
            ids, mask = batch["input_ids"], batch["attention_mask"]
            received = attention_received(self.network.bert, ids, mask)
            chosen = objectives.draw_attended(received, word_positions(self.config, ids, mask))
            batch["attended_input_ids"] = ids.masked_fill(chosen, self.config.mask_token_id)
            batch["labels"] = ids.masked_fill(~chosen, -100)
            # Drawn on the device: their number is not known here.
            batch["facts"] = replace(batch["facts"], labelled=None)
        moving = self.config.level1 == "moco" and "gvtm_text_video" in self.config.tasks
        if self.training and moving:
            if first:  # once per step
                self.moco.update(self.network.bert, self.video)
            batch["text_keys"], batch["clip_keys"] = self.moco.keys(batch)
        return batch

    def _masks_by_attention(self) -> bool:
        chance = self.config.attentive_masking
        if not (self.training and chance):
            return False
        # The draw is made on the host from the host's generator: no device is waited for. All
        # processes follow the first: they must compute the same losses in the same order.
        return bool(gathering.agreed(torch.rand(())) < chance)

    def encode(self, batch: Batch) -> Encoded:
        """Texts, clips, significant words and MoCo's keys, as far as the tasks need them."""
        tasks = set(self.config.tasks)
        video = self.encode_video(batch["pixel_values"], batch.get("pixel_mask"))
        encoded = Encoded({})
        if tasks & {"gvtm_text_video", "gvtm_cross_modal", "lvwm"}:
            lengths = batch["facts"].lengths
            text = self.encode_text(batch["input_ids"], batch["attention_mask"], lengths)
            encoded.tokens = text.tokens
            encoded.compared = {"text": text.pooled, "clips": video.clip_features}
            keys = {name: batch[name] for name in ("text_keys", "clip_keys") if name in batch}
            encoded.compared |= keys
        if "lvwm" in tasks:
            encoded.compared |= self._words(batch, text.tokens)
        if tasks & {"gvtm_cross_modal", "cross_mlm"} or self.config.itm:
            encoded.visual = self.network.embed_clips(video.clip_tokens)
        return encoded

    def _words(self, batch: Batch, tokens: Tensor) -> dict[str, Tensor]:
        """Vectors of the drawn words by the loss that matches them, each [batch, words, hidden],
        and which are "present"."""
        stages, vectors = self.config.lvwm_stage, {}
        if stages in ("before", "both"):
            vectors["before"] = self.network.embed_text(batch["input_ids"])
        if stages in ("after", "both"):
            vectors["after"] = tokens
        positions = batch["significant_positions"]
        rows = torch.arange(len(positions), device=positions.device)[:, None]
        return {"present": batch["present"]} | {
            f"lvwm_{stage}" if stages == "both" else "lvwm":
                self.scale("words") * vector[rows, positions]
            for stage, vector in vectors.items()
        }  # fmt: skip

    def own_counts(self, batch: Batch) -> dict[str, Tensor | int]:
        """The MLM losses are means over labelled tokens, ITM over true and false captions."""
        labelled = (batch["labels"] != -100).sum()
        return {"text_mlm": labelled, "cross_mlm": labelled, "itm": 2 * len(batch["labels"])}

    def text_losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        """MLM of the text pass."""
        if "text_mlm" not in self.config.tasks:
            return {}
        ids, mask, tokens = batch["input_ids"], batch["attention_mask"], encoded.tokens
        lengths = batch["facts"].lengths
        if self.config.text_mlm == "masked":
            masked_ids = batch.get("attended_input_ids", batch["masked_input_ids"])
            tokens = self.encode_text(masked_ids, mask, lengths).tokens
        elif tokens is None:
            tokens = self.encode_text(ids, mask, lengths).tokens
        return {"text_mlm": self._mlm(self.text_mlm_head, tokens, batch)}

    def _mlm(self, head: MLMHead, tokens: Tensor, batch: Batch) -> Tensor:
        # The decoder is as wide as the vocabulary: only labelled positions go through it. How many
        # they are is known beforehand, so that no device is asked for it; a few more, without a
        # label, make their number one of few, whose products a CPU has prepared already.
        labels = batch["labels"].flatten()
        labelled, count = labels != -100, batch["facts"].labelled
        if count is None:
            places = labelled.nonzero().squeeze(1)
            chosen = labels.index_select(0, places)
        else:
            size = -(-count // _LABELS_STEP) * _LABELS_STEP
            places = labelled.nonzero_static(size=size, fill_value=0).squeeze(1)
            chosen = F.pad(labels.index_select(0, places[:count]), (0, size - count), value=-100)
        logits = head(tokens.flatten(0, 1).index_select(0, places), self.word_embeddings)
        return objectives.masked_language_modelling(logits, chosen)

    def cross_losses(
        self, batch: Batch, visual: Tensor | None, own: CrossModalPass | None
    ) -> dict[str, Tensor]:
        """MLM of the cross-modal pass, and ITM."""
        losses: dict[str, Tensor] = {}
        predicted = "cross_mlm" in self.config.tasks
        if (predicted or self.config.itm) and (own is None or "attended_input_ids" in batch):
            ids = batch.get("attended_input_ids", batch["masked_input_ids"])
            own = self._own_pairs(ids, batch["attention_mask"], batch["facts"].lengths, visual)
        if predicted:
            losses["cross_mlm"] = self._mlm(self.cross_mlm_head, own.text, batch)
        if self.config.itm:
            false = batch["mismatched_input_ids"], batch["mismatched_attention_mask"]
            wrong = self._own_pairs(*false, batch["facts"].mismatched, visual)
            losses["itm"] = objectives.image_text_matching(
                self.itm_head(own.pooled), self.itm_head(wrong.pooled)
            )
        return losses

    def _own_pairs(
        self, ids: Tensor, mask: Tensor, lengths: Lengths | None, visual: Tensor
    ) -> CrossModalPass:
        """Each caption with its own video: ids and mask [batch, tokens], visual
        [batch, clips + 1, hidden]."""
        embedded = self.network.embed_text(ids)
        if lengths is None:
            return self.network.cross_modal_layers(embedded, mask, visual)
        pairs = range(len(ids)), torch.arange(len(ids), device=ids.device)
        return pair_layers(self.network, embedded, mask, visual, pairs, lengths)

    def matching_losses(
        self, joined: dict[str, Tensor], pairs: Tensor | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """GVTM (text-video and cross-modal) and LVWM."""
        losses, scores = {}, {}
        if joined:
            text, clips = joined["text"], joined["clips"]
            scores["text_video"] = self.text_video_scores(text, clips)
        if "text_keys" in joined:
            keys = joined["text_keys"], joined["clip_keys"]
            losses["gvtm_text_video"] = self.moco.loss(text, clips, *keys)
        elif "gvtm_text_video" in self.config.tasks:
            losses["gvtm_text_video"] = objectives.mil_nce(scores["text_video"])
        if pairs is not None:
            scores["cross_modal"] = pairs[:, :, None]
            losses["gvtm_cross_modal"] = objectives.mil_nce(scores["cross_modal"])
        # In one order everywhere: their gradients travel between processes.
        for name in (name for name in _ORDER if name.startswith("lvwm") and name in joined):
            scores[name] = objectives.word_video_similarity(joined[name], joined["present"], clips)
            losses[name] = objectives.mil_nce(scores[name])
        return losses, scores

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
            # As many columns for captions shorter than that: rows of other processes are joined.
            missing = self.config.lvwm_words - positions.shape[1]
            positions = nn.functional.pad(positions, (0, missing), value=-1)
        present = positions >= 0
        present[:, 0] |= ~present.any(dim=1)
        return positions.clamp(min=0), present


def word_positions(config: SNPConfig, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """True where a token belongs to a word: not [CLS], [SEP], [MASK] or padding."""
    special = torch.zeros_like(input_ids, dtype=torch.bool)
    for token in (config.cls_token_id, config.sep_token_id, config.pad_token_id):
        special |= input_ids == token
    return (attention_mask > 0) & ~special & (input_ids != config.mask_token_id)
