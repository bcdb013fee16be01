"""SNPForPreTraining: encoders and proxy tasks put together into a dict of losses."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.utils import ModelOutput

from snpkit.errors import UserError
from snpkit.model import objectives, parallel
from snpkit.model.base import Batch, SNPPreTrainedModel, TextFeatures
from snpkit.model.config import SNPConfig
from snpkit.model.heads import MLMHead, similarity_head
from snpkit.model.momentum import MomentumEncoders
from snpkit.model.shared import attention_received

__all__ = ["PreTrainingOutput", "SNPForPreTraining", "SNPPreTrainedModel", "TextFeatures"]

_LABELS_STEP = 16  # labelled tokens pass through a head in multiples of this number


@dataclass
class PreTrainingOutput(ModelOutput):
    """loss: the unweighted sum of `losses`; similarities: detached [text, video] scores by task."""

    loss: Tensor | None = None
    losses: dict[str, Tensor] | None = None
    similarities: dict[str, Tensor] | None = None


class SNPForPreTraining(SNPPreTrainedModel):
    """All proxy tasks of SNP-S3 over one batch (paper sec. III; total loss = unweighted sum)."""

    # Of which videos queued keys are was not kept by earlier versions.
    _keys_to_ignore_on_load_missing = (r"^moco\.(text|video)_ids$",)

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
        if config.negative_source == "moco":
            self.moco = MomentumEncoders(config, self.network.bert, self.video)

    @property
    def word_embeddings(self) -> Tensor:
        """[vocabulary, hidden]: read by the embeddings, tied to both MLM decoders."""
        return self.network.bert.embeddings.word_embeddings.weight

    def forward(self, batch: Batch | None = None, **inputs: Tensor) -> PreTrainingOutput:
        """Compute every task of the configuration, in the paper's order.

        Args:
            batch: a dict (or the same as keywords) with what `Batch` describes.
        """
        batch = self.prepare({**(batch or {}), **inputs})
        tasks = set(self.config.tasks)
        losses: dict[str, Tensor] = {}
        clip_tokens, clip_features = self.encode_clips(batch)
        text, mlm_tokens = self.encode_captions(batch)
        # Matching compares the texts and videos of all processes.
        texts, clips, videos = (
            self.gather(each) for each in (text.pooled, clip_features, batch.get("video_ids"))
        )
        scores = {"text_video": self.text_video_scores(texts, clips)}  # [text, video, clip]

        if "text_mlm" in tasks:  # L1
            losses["text_mlm"] = self.mlm_loss(self.text_mlm_head, mlm_tokens, batch)

        if "gvtm_text_video" in tasks:  # L3
            losses["gvtm_text_video"] = self.contrast(
                scores["text_video"], texts, clips, videos, batch
            )

        if "lvwm" in tasks:
            present = self.gather(batch["present"])
            for name, words in self.word_vectors(batch, text.tokens).items():
                scores[name] = objectives.word_video_similarity(self.gather(words), present, clips)
                losses[name] = objectives.mil_nce(scores[name], videos)

        own = None  # each caption with its own video
        if "cross_mlm" in tasks or self.config.itm:
            own = self.network.cross_modal_pass(
                batch["mlm_input_ids"], batch["attention_mask"], clip_tokens,
                self.lengths(batch), limit=self.slice_size,
            )  # fmt: skip
        if "gvtm_cross_modal" in tasks:  # L4
            pairs = self.match_pairs(batch, clip_tokens, scores["text_video"], videos, own)
            scores["cross_modal"] = self.gather(pairs)[:, :, None]
            losses["gvtm_cross_modal"] = objectives.mil_nce(scores["cross_modal"], videos)

        if "cross_mlm" in tasks:  # L2
            losses["cross_mlm"] = self.mlm_loss(self.cross_mlm_head, own.text, batch)
        if self.config.itm:
            losses["itm"] = self.itm_loss(own.pooled, clip_tokens, batch)

        similarities = {name: each.detach().logsumexp(-1) for name, each in scores.items()}
        return PreTrainingOutput(sum(losses.values()), losses, similarities)

    def prepare(self, batch: Batch) -> Batch:
        """The batch with all that is drawn for it: significant words, and in some steps other
        masks, where attention goes."""
        batch = dict(batch)
        batch["mlm_input_ids"] = batch["masked_input_ids"]
        if "lvwm" in self.config.tasks:
            batch["significant_positions"], batch["present"] = self._significant_words(batch)
        if self._masks_by_attention():
            ids, mask = batch["input_ids"], batch["attention_mask"]
            received = attention_received(self.network.bert, ids, mask)
            chosen = objectives.draw_attended(received, word_positions(self.config, ids, mask))
            batch["mlm_input_ids"] = ids.masked_fill(chosen, self.config.mask_token_id)
            batch["labels"] = ids.masked_fill(~chosen, -100)
            batch["label_count"] = None  # drawn on the device: their number is not known here
        return batch

    def _masks_by_attention(self) -> bool:
        chance = self.config.attentive_masking
        if not (self.training and chance):
            return False
        # The draw is made on the host from the host's generator: no device is waited for. All
        # processes follow the first: they must compute the same losses in the same order.
        return bool(parallel.from_first_process(torch.rand(())) < chance)

    def encode_captions(self, batch: Batch) -> tuple[TextFeatures, Tensor]:
        """The whole captions, and the tokens [batch, tokens, hidden] that the text MLM reads.

        Whole and masked captions have the same lengths: they go through the text pass together.
        """
        ids, mask, lengths = batch["input_ids"], batch["attention_mask"], self.lengths(batch)
        if self.config.text_mlm == "unmasked" or "text_mlm" not in self.config.tasks:
            text = self.encode_text(ids, mask, lengths)
            return text, text.tokens
        both = self.encode_text(
            torch.cat([ids, batch["mlm_input_ids"]]),
            torch.cat([mask, mask]),
            lengths and [*lengths, *lengths],
        )
        (pooled, _), (tokens, masked) = both.pooled.chunk(2), both.tokens.chunk(2)
        return TextFeatures(pooled, tokens), masked

    def word_vectors(self, batch: Batch, tokens: Tensor) -> dict[str, Tensor]:
        """LVWM: scaled vectors of the drawn words by loss: each [batch, words, hidden].

        Args:
            tokens: [batch, tokens, hidden], contextual vectors of the unmasked captions.
        """
        stage, positions = self.config.lvwm_stage, batch["significant_positions"]
        vectors = {}
        if stage in ("before", "both"):
            vectors["lvwm_before"] = self.network.embed_text(batch["input_ids"])
        if stage in ("after", "both"):
            vectors["lvwm_after"] = tokens
        rows = torch.arange(len(positions), device=positions.device)[:, None]
        return {
            name if stage == "both" else "lvwm": self.scale("words") * vector[rows, positions]
            for name, vector in vectors.items()
        }

    def mlm_loss(self, head: MLMHead, tokens: Tensor, batch: Batch) -> Tensor:
        """Mean over the labelled tokens of all processes; tokens [batch, tokens, hidden]."""
        # The decoder is as wide as the vocabulary: only labelled positions go through it. How many
        # they are is known beforehand, so that no device is waited for; a few more, without a
        # label, make their number one of few, whose products a CPU has prepared already.
        labels, count = batch["labels"].flatten(), batch.get("label_count")
        labelled = labels != -100
        if count is None:  # not counted beforehand
            places = labelled.nonzero().squeeze(1)
            chosen = labels.index_select(0, places)
        else:
            size = -(-count // _LABELS_STEP) * _LABELS_STEP
            places = labelled.nonzero_static(size=size, fill_value=0).squeeze(1)
            chosen = F.pad(labels.index_select(0, places[:count]), (0, size - count), value=-100)
        logits = head(tokens.flatten(0, 1).index_select(0, places), self.word_embeddings)
        return self.mean(objectives.masked_language_modelling(logits, chosen), labelled.sum())

    def itm_loss(self, pooled: Tensor, clip_tokens: Tensor, batch: Batch) -> Tensor:
        """Image-text matching: pooled true pairs [batch, hidden] against false captions."""
        wrong = self.network.cross_modal_pass(
            batch["mismatched_input_ids"], batch["mismatched_attention_mask"], clip_tokens,
            self.lengths(batch, "mismatched_"), pooled_only=True, limit=self.slice_size,
        )  # fmt: skip
        logits = self.itm_head(pooled), self.itm_head(wrong.pooled)
        return self.mean(objectives.image_text_matching(*logits), 2 * len(pooled))

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
