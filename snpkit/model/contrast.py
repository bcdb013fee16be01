"""Learning by comparison: every text with every video of a batch, or of the batches of all
processes, or of those that a gradient cache has put together.

What is compared comes in stages, because only the first and the second need much memory:

    prepare   draws and keys: nothing with a gradient
    encode    the own rows: pooled texts, clip features, words, embedded clips -> join them
    pair_pass the own texts beside all videos, through the cross-modal layers -> join the scores
    matching_losses   of the joined rows and scores, the same in every process
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from snpkit.model import gathering, objectives
from snpkit.model.gathering import Rows
from snpkit.model.lengths import to_device, with_facts
from snpkit.model.matching import SNPMatchingModel
from snpkit.model.shared import CrossModalPass, no_cross_modal_pass
from snpkit.model.unpadded import pair_layers

Batch = dict[str, Any]  # tensors, and the "facts" that `with_facts` adds


@dataclass
class Encoded:
    """What the encoders make of the own rows.

    compared: rows that others are compared with, by name: "text" [batch, hidden], "clips"
        [batch, clips, hidden], and what the model adds;
    visual: [batch, clips + 1, hidden], embedded clip tokens; None = no cross-modal pass;
    tokens: [batch, tokens, hidden], contextual vectors of the captions; None = no text pass.
    """

    compared: dict[str, Tensor]
    visual: Tensor | None = None
    tokens: Tensor | None = None


@dataclass(frozen=True)
class Pairs:
    """Pairs of the cross-modal matching; the own pairs come first, in the order of the texts.

    captions: row of the own captions, where Python runs, as they are sorted by their length there;
    video: int64 [pairs], row of the joined batch.
    """

    captions: tuple[int, ...]
    video: Tensor

    @property
    def text(self) -> Tensor:
        """The captions as int64 [pairs], on the device of the videos."""
        return to_device(self.captions, self.video.device)

    @classmethod
    def of(cls, others: Tensor, rows: slice) -> Self:
        """The pairs of the texts in `rows` of the joined batch.

        Args:
            others: int64 [texts, negatives], the other videos beside each text of the joined batch.
        """
        own = torch.arange(rows.start, rows.stop, device=others.device)
        texts, others = range(rows.stop - rows.start), others[rows]
        beside = (text for text in texts for _ in range(others.shape[1]))
        return cls((*texts, *beside), torch.cat([own, others.flatten()]))

    def split(self, size: int) -> "list[Pairs]":
        """At most `size` pairs each."""
        starts = range(0, len(self.captions), size)
        return [
            Pairs(self.captions[start : start + size], self.video[start : start + size])
            for start in starts
        ]

    def matrix(self, scores: Tensor, texts: int, videos: int) -> Tensor:
        """Scores [pairs] -> [texts, videos], -inf where a pair was not computed."""
        matrix = scores.new_full((texts, videos), -torch.inf)
        return matrix.index_put((self.text, self.video), scores)


class SNPContrastiveModel(SNPMatchingModel):
    """A model that learns by the matching losses (GVTM, the paper's L3 and L4)."""

    pair_ids = "input_ids"  # the captions that are paired with videos

    @property
    def matches_pairs(self) -> bool:
        """True where the cross-modal matching is learned."""
        raise NotImplementedError

    def prepare(self, batch: Batch, *, first: bool = True) -> Batch:
        """The batch with all that is drawn for it, so that its passes can be repeated, and with
        the facts that must not be asked of a device (see `with_facts`).

        Args:
            first: no other batch of this step was prepared before.
        """
        return with_facts(batch)

    def encode(self, batch: Batch) -> Encoded:
        """The own rows."""
        raise NotImplementedError

    def matching_losses(
        self, joined: dict[str, Tensor], pairs: Tensor | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses and scores [text, video, clip] of the joined rows, by name.

        Args:
            joined: `Encoded.compared` of the joined batch.
            pairs: cross-modal scores [text, video] of the joined batch, -inf = not computed.
        """
        raise NotImplementedError

    def own_counts(self, batch: Batch) -> dict[str, Tensor | int]:
        """Of each loss that is a mean over the own rows' items: how many items there are."""
        return {}

    def text_losses(self, batch: Batch, encoded: Encoded) -> dict[str, Tensor]:
        """Those of them that need no video."""
        return {}

    def cross_losses(
        self, batch: Batch, visual: Tensor | None, own: CrossModalPass | None
    ) -> dict[str, Tensor]:
        """Those of them that read text and video together.

        Args:
            visual: [batch, clips + 1, hidden] embedded clip tokens.
            own: the pass of the own pairs, where there was one.
        """
        return {}

    def compare(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """All losses and scores of a batch.

        In training under several processes the batch is that of all of them, and the losses are
        the same in each. In evaluation every process has its own: it may well be the only one.
        """
        batch = self.prepare(batch)
        rows = Rows.of(len(batch["input_ids"]), joined=self.training)
        encoded = self.encode(batch)
        joined = {name: rows.join(value) for name, value in encoded.compared.items()}
        means = self.text_losses(batch, encoded)
        matrix, own = None, None
        if self.matches_pairs:
            drawn_by = self.scores_to_draw_by(joined)
            scores, own = self._score_pairs(batch, encoded.visual, rows, drawn_by)
            matrix = rows.join(scores)
        means |= self.cross_losses(batch, encoded.visual, own)
        losses, scores = self.matching_losses(joined, matrix)
        counts = self.own_counts(batch)
        return losses | {n: rows.mean(mean, counts[n]) for n, mean in means.items()}, scores

    def pair_scores(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        clip_tokens: Tensor,
        text_video: Tensor | None = None,
    ) -> tuple[Tensor, CrossModalPass]:
        """Cross-modal scores of the pairs of a batch (GVTM, the paper's L4).

        Args:
            input_ids, attention_mask: [batch, tokens].
            clip_tokens: [batch, clips, hidden].
            text_video: scores [text, video, clip] that hard negatives are drawn by; not needed
                with `negatives="all"`.

        Returns:
            Scores [text, video] (-inf = not computed) and the pass of the own pairs.
        """
        batch = {self.pair_ids: input_ids, "attention_mask": attention_mask}
        visual = self.network.embed_clips(clip_tokens)
        return self._score_pairs(batch, visual, Rows((len(input_ids),)), text_video)

    def _score_pairs(
        self, batch: Batch, visual: Tensor, rows: Rows, drawn_by: Tensor | None
    ) -> tuple[Tensor, CrossModalPass]:
        """Scores [own text, joined video] (-inf = not computed) and the pass of the own pairs, from
        the own rows' embedded clips [batch, clips + 1, hidden]."""
        size = len(visual)
        pairs = Pairs.of(self.other_videos(rows, drawn_by, visual.device), rows.own)
        output = self.pair_pass(batch, rows.join(visual), pairs)
        scores = pairs.matrix(self.pair_score(output.pooled), size, rows.total)
        return scores, own_pairs(output, size)

    def other_videos(
        self, rows: Rows, text_video: Tensor | None, device: torch.device
    ) -> Tensor:
        """The videos that stand beside each text in the cross-modal matching, besides its own.

        Args:
            rows: the own rows in the joined batch. The first process draws for all, so that
                several processes draw what one would with its random numbers.
            text_video: scores [text, video, clip] of the joined batch, to draw by.

        Returns:
            int64 [texts, negatives], for all texts of the joined batch: all other videos; or, where
            `negatives` is a number, so many of them.
        """
        if self.config.negatives == "all":
            texts = torch.arange(rows.total, device=device)
            return (texts[:, None] + torch.arange(1, rows.total, device=device)) % rows.total
        detached = text_video.detach().logsumexp(-1)
        if not self.config.hard_negatives:
            detached = torch.zeros_like(detached)  # all equally likely
        drawn = objectives.draw_negatives(detached, int(self.config.negatives))
        return gathering.agreed(drawn) if len(rows.counts) > 1 else drawn

    def pair_pass(self, batch: Batch, visual: Tensor, pairs: Pairs) -> CrossModalPass:
        """The cross-modal pass of pairs of the batch's captions and joined videos.

        Args:
            visual: [videos, clips + 1, hidden] embedded clip tokens of the joined batch.
        """
        if self.config.architecture == "twin_tower":
            raise no_cross_modal_pass()
        embedded = self.network.embed_text(batch[self.pair_ids])  # once per caption, not per pair
        mask, lengths = batch["attention_mask"], with_facts(batch)["facts"].lengths
        if lengths is not None:
            rows = pairs.captions, pairs.video
            return pair_layers(self.network, embedded, mask, visual, rows, lengths)
        texts = pairs.text
        # index_select adds up gradients in a fixed order; [texts] would add them as its threads
        # come, and no run could be repeated bit for bit.
        return self.network.cross_modal_layers(
            embedded.index_select(0, texts), mask[texts], visual.index_select(0, pairs.video)
        )

    def scores_to_draw_by(self, joined: dict[str, Tensor]) -> Tensor | None:
        """What `other_videos` draws by; None where it does not draw."""
        if self.config.negatives == "all":
            return None
        with torch.no_grad():
            return self.text_video_scores(joined["text"], joined["clips"])


def own_pairs(output: CrossModalPass, size: int) -> CrossModalPass:
    """The first `size` pairs of a pass."""
    return CrossModalPass(output.text[:size], output.clips[:size], output.pooled[:size])
