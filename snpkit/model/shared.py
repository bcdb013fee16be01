"""The shared network (SNP) and the two architectures it is compared with, behind one interface.

One BERT reads a caption alone (text pass) or a caption followed by clip tokens (cross-modal pass).
`SharedNetwork` uses the same embeddings and layers in both roles; `ThreeFusion` (P3E) keeps a
separate cross-modal encoder; `TwinTower` has no cross-modal pass at all. Paper sec. III-B.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertModel
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.bert.modeling_bert import (
    BertEmbeddings,
    BertEncoder,
    BertLayer,
    BertPooler,
    eager_attention_forward,
)

from snpkit.errors import UserError
from snpkit.model.config import SNPConfig
from snpkit.model.slices import Slice, cut, even, run, take, widen

Pairs = tuple[Sequence[int], Tensor]  # row of the caption, row of the video (int64 [pairs])


@dataclass
class TextPass:
    """tokens [batch, tokens, hidden]: contextual vectors (0 where padding was trimmed);
    pooled [batch, hidden]: tanh pooler."""

    tokens: Tensor
    pooled: Tensor


@dataclass
class CrossModalPass:
    """pooled [pairs, hidden]; text [pairs, tokens, hidden] (0 where padding was trimmed) and clips
    [pairs, clips, hidden], both None where only `pooled` was asked for."""

    pooled: Tensor
    text: Tensor | None = None
    clips: Tensor | None = None


class SharedNetwork(nn.Module):
    """One BERT in two roles; only the pooler of the cross-modal pass is its own (paper, SNP)."""

    def __init__(self, config: SNPConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = BertModel(config.bert_config())
        self.cross_pooler = BertPooler(self.bert.config)

    @property
    def cross_embeddings(self) -> BertEmbeddings:
        """Embeddings of the cross-modal pass: for SNP the very ones of the text pass."""
        return self.bert.embeddings

    @property
    def cross_encoder(self) -> BertEncoder:
        """Layers of the cross-modal pass: for SNP the very ones of the text pass."""
        return self.bert.encoder

    def text_pass(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        lengths: Sequence[int] | None = None,
        *,
        limit: int | None = None,
        bert: BertModel | None = None,
    ) -> TextPass:
        """Refine captions alone.

        Args:
            input_ids, attention_mask: [batch, tokens].
            lengths: tokens of each caption, which must be whole: captions of about the same length
                then pass together, trimmed to the longest of them. None = one padded pass.
            limit: rows that pass at a time; their activations are then computed again in the
                backward pass. None = as many as are fast, and activations are kept.
            bert: another BERT of the same sizes in this one's place (MoCo's key encoder).
        """
        bert = bert or self.bert

        def refine(one: Slice) -> tuple[Tensor, Tensor]:
            ids, mask = _trim(input_ids, one), _trim(attention_mask, one)
            embedded = bert.embeddings(input_ids=ids)
            tokens = self._layers(bert.encoder, embedded, mask if one.padded else None)
            return widen(tokens, input_ids.shape[1]), bert.pooler(tokens)

        slices = self._slices(attention_mask, lengths, limit=limit)
        return TextPass(*run(refine, slices, recompute=limit is not None))

    def embed_text(self, input_ids: Tensor) -> Tensor:
        """LN(word + position + type 0): [batch, tokens] -> [batch, tokens, hidden]."""
        return self.cross_embeddings(input_ids=input_ids)

    def embed_clips(self, clip_tokens: Tensor) -> Tensor:
        """LN([clip tokens ; SEP] + position + type 1): [batch, clips, hidden] -> one token more.

        Positions restart at 0, so that a clip token means the same whatever the caption's length.
        """
        batch = clip_tokens.shape[0]
        separator = self.cross_embeddings.word_embeddings.weight[self.config.sep_token_id]
        visual = torch.cat([clip_tokens, separator.expand(batch, 1, -1)], dim=1)
        types = torch.ones(visual.shape[:2], dtype=torch.long, device=visual.device)
        return self.cross_embeddings(inputs_embeds=visual, token_type_ids=types)

    def cross_modal_pass(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        clip_tokens: Tensor,
        lengths: Sequence[int] | None = None,
        *,
        pairs: Pairs | None = None,
        pooled_only: bool = False,
        limit: int | None = None,
    ) -> CrossModalPass:
        """Refine caption + video together, text first.

        Args:
            input_ids, attention_mask: [captions, tokens].
            clip_tokens: [videos, clips, hidden], not normalised.
            lengths, limit: as in `text_pass`; `limit` counts pairs.
            pairs: which caption meets which video; None = the first the first, and so on.
            pooled_only: give `pooled` alone: of the last layer only the first token is computed.
        """
        if pairs is None:
            pairs = range(len(input_ids)), torch.arange(len(input_ids), device=clip_tokens.device)
        captions, videos = pairs
        text, visual = self.embed_text(input_ids), self.embed_clips(clip_tokens)

        def refine(one: Slice) -> tuple[Tensor, ...]:
            own = one._replace(rows=[captions[row] for row in one.rows])
            clips = visual.index_select(0, take(videos, one.rows))
            joint = torch.cat([_trim(text, own), clips], dim=1)  # [pairs, width + clips + 1, ...]
            mask = _trim(attention_mask, own)
            mask = torch.cat([mask, mask.new_ones(clips.shape[:2])], dim=1) if own.padded else None
            hidden = self._layers(self.cross_encoder, joint, mask, first_only=pooled_only)
            pooled = self.cross_pooler(hidden)
            if pooled_only:
                return (pooled,)
            return pooled, widen(hidden[:, : one.width], text.shape[1]), hidden[:, one.width : -1]

        slices = self._slices(attention_mask, lengths, captions, visual.shape[1], limit)
        recompute = limit is not None or self.config.gradient_checkpointing_pairs
        return CrossModalPass(*run(refine, slices, recompute=recompute))

    def _slices(
        self,
        mask: Tensor,
        lengths: Sequence[int] | None,
        captions: Sequence[int] | None = None,
        extra: int = 0,
        limit: int | None = None,
    ) -> list[Slice]:
        captions = range(len(mask)) if captions is None else captions
        if lengths is None:
            return even(len(captions), limit, mask.shape[1])
        own = [lengths[row] for row in captions]
        return cut(own, self.config.hidden_size, mask.device, extra=extra, limit=limit)

    def _layers(
        self, encoder: BertEncoder, hidden: Tensor, mask: Tensor | None, first_only: bool = False
    ) -> Tensor:
        """All layers: hidden [rows, tokens, hidden], mask [rows, tokens] (None = all are real)
        -> the same shape, or [rows, 1, hidden] where only the first token's vector is wanted."""
        if mask is not None:
            # Without the skip: whether all is real would make a GPU be waited for.
            mask = create_bidirectional_mask(
                config=self.bert.config, inputs_embeds=hidden, attention_mask=mask,
                allow_is_bidirectional_skip=False,
            )  # fmt: skip
        if not first_only:
            return encoder(hidden, attention_mask=mask).last_hidden_state
        for layer in encoder.layer[:-1]:
            hidden = layer(hidden, attention_mask=mask)
        return _first_token(encoder.layer[-1], hidden, mask)


def _trim(rows: Tensor, one: Slice) -> Tensor:
    return take(rows, one.rows)[:, : one.width]


def _first_token(layer: BertLayer, hidden: Tensor, mask: Any) -> Tensor:
    """One BERT layer for the first token alone, which attends to all: -> [rows, 1, hidden]."""
    attention, first = layer.attention.self, hidden[:, :1]
    heads = attention.num_attention_heads, attention.attention_head_size
    query, key, value = (
        project(tokens).unflatten(-1, heads).transpose(1, 2)  # [rows, heads, tokens, head size]
        for project, tokens in (
            (attention.query, first), (attention.key, hidden), (attention.value, hidden),
        )
    )  # fmt: skip
    attend = ALL_ATTENTION_FUNCTIONS.get_interface(
        attention.config._attn_implementation, eager_attention_forward
    )
    mixed, _ = attend(
        attention, query, key, value, mask if mask is None else mask[..., :1, :],
        dropout=attention.dropout.p if attention.training else 0.0, scaling=attention.scaling,
    )  # fmt: skip
    return layer.feed_forward_chunk(layer.attention.output(mixed.reshape(first.shape), first))


class ThreeFusion(SharedNetwork):
    """P3E: a separate cross-modal encoder with its own embeddings (paper, Table II).

    At BERT-base size that is 23,837,184 + 3 x 7,087,872 = 45,100,800 parameters more.
    """

    def __init__(self, config: SNPConfig) -> None:
        super().__init__(config)
        own = config.bert_config(num_hidden_layers=config.cross_layers)
        self.separate_embeddings = BertEmbeddings(own)
        self.separate_encoder = BertEncoder(own)
        # One config object for all layers: the attention mask is built for `self.bert.config`, and
        # `set_attn_implementation` must not change the one without the other.
        for module in self.separate_encoder.modules():
            if getattr(module, "config", None) is own:
                module.config = self.bert.config

    @property
    def cross_embeddings(self) -> BertEmbeddings:
        """The separate encoder's own embeddings."""
        return self.separate_embeddings

    @property
    def cross_encoder(self) -> BertEncoder:
        """The separate encoder's own layers."""
        return self.separate_encoder


class TwinTower(SharedNetwork):
    """One tower per modality: no cross-modal pass, so only text-video matching is possible."""

    def __init__(self, config: SNPConfig) -> None:
        super().__init__(config)
        del self.cross_pooler

    def cross_modal_pass(self, *arguments: Any, **options: Any) -> CrossModalPass:
        """Always refuses.

        Raises:
            UserError: a twin tower cannot read caption and video together.
        """
        raise UserError(
            "A twin tower has no cross-modal pass: choose architecture 'snp' or 'three_fusion' for "
            "cross-modal matching, question answering or multiple choice."
        )


NETWORKS: dict[str, type[SharedNetwork]] = {
    "snp": SharedNetwork,
    "three_fusion": ThreeFusion,
    "twin_tower": TwinTower,
}


@torch.no_grad()
def attention_received(bert: BertModel, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Attention that every token receives in the text pass: [batch, tokens] -> [batch, tokens].

    Summed over layers and querying tokens, averaged over heads (the weights of attentive masking).
    The probabilities are computed here from each layer's queries and keys, because fused attention
    kernels do not return them; dropout is left out.
    """
    output = bert(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
    total = torch.zeros_like(attention_mask, dtype=output.last_hidden_state.dtype)
    for layer, hidden in zip(bert.encoder.layer, output.hidden_states[:-1], strict=True):
        total = total + attention_probabilities(layer, hidden, attention_mask).mean(1).sum(1)
    return total


def attention_probabilities(layer: nn.Module, hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Attention probabilities of one BertLayer: hidden [batch, tokens, hidden] and mask
    [batch, tokens] -> [batch, heads, tokens (querying), tokens (attended)]."""
    attention = layer.attention.self
    shape = (*hidden.shape[:2], -1, attention.attention_head_size)
    query = attention.query(hidden).view(shape).transpose(1, 2)
    key = attention.key(hidden).view(shape).transpose(1, 2)
    scores = query @ key.transpose(2, 3) * attention.scaling
    hidden_keys = attention_mask[:, None, None, :] == 0
    return scores.masked_fill(hidden_keys, torch.finfo(scores.dtype).min).softmax(-1)
