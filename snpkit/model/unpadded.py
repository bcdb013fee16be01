"""Passes that compute hardly any padding: `text_pass` and the pass of many pairs, in chunks of
captions of about the same length. The mathematics is that of `SharedNetwork`."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import BertModel
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.bert.modeling_bert import BertEncoder

from snpkit.model.lengths import Lengths, make_chunks, put_back, take_rows, widen
from snpkit.model.shared import CrossModalPass, SharedNetwork, TextPass


def text_pass(
    bert: BertModel, input_ids: Tensor, attention_mask: Tensor, lengths: Lengths | None
) -> TextPass:
    """Refine captions alone; the vectors of padding are 0.

    Args:
        input_ids, attention_mask: [batch, tokens].
        lengths: of the captions; None = one padded pass.
    """
    if lengths is None:
        output = bert(input_ids=input_ids, attention_mask=attention_mask)
        return TextPass(output.last_hidden_state, output.pooler_output)
    chunks, tokens = make_chunks(lengths, input_ids.device, bert.config.hidden_size), []
    for chunk in chunks:
        width = slice(chunk.length)
        embedded = bert.embeddings(input_ids=take_rows(input_ids, chunk.rows)[:, width])
        mask = take_rows(attention_mask, chunk.rows)[:, width] if chunk.padded else None
        tokens.append(_layers(bert, bert.encoder, embedded, mask))
    pooled = [bert.pooler(each) for each in tokens]
    order, width = [chunk.rows for chunk in chunks], input_ids.shape[1]
    widened = [widen(each, width) for each in tokens]
    return TextPass(put_back(widened, order), put_back(pooled, order))


def pair_layers(
    network: SharedNetwork,
    text: Tensor,
    attention_mask: Tensor,
    visual: Tensor,
    pairs: tuple[Sequence[int], Tensor],
    lengths: Lengths,
) -> CrossModalPass:
    """`SharedNetwork.cross_modal_layers` of many pairs of captions and videos.

    Args:
        text, attention_mask: [texts, tokens, hidden] embedded captions and [texts, tokens].
        visual: [videos, clips + 1, hidden], embedded clips.
        pairs: row of the caption and row of the video (int64 [pairs]) of every pair.
        lengths: of the captions.

    Returns:
        Of the first `texts` pairs text and clips, 0 where a caption has ended; of all pairs the
        pooled vector.
    """
    captions, videos = pairs
    hidden, extra = text.shape[2], visual.shape[1]
    chunks = make_chunks(lengths.of_rows(captions), text.device, hidden, extra)
    pooled, tokens, clips, kept = [], [], [], []
    for chunk in chunks:
        rows = [captions[row] for row in chunk.rows]
        passed = _pair_chunk(
            network,
            take_rows(text, rows)[:, : chunk.length],
            take_rows(attention_mask, rows)[:, : chunk.length] if chunk.padded else None,
            visual.index_select(0, take_rows(videos, chunk.rows)),
        )
        pooled.append(network.cross_pooler(passed))
        own = [place for place, row in enumerate(chunk.rows) if row < len(text)]
        if own:
            mine = take_rows(passed, own)
            tokens.append(widen(mine[:, : chunk.length], text.shape[1]))
            clips.append(mine[:, chunk.length : -1])
            kept.append(tuple(chunk.rows[place] for place in own))
    order = [chunk.rows for chunk in chunks]
    return CrossModalPass(put_back(tokens, kept), put_back(clips, kept), put_back(pooled, order))


def _pair_chunk(
    network: SharedNetwork, text: Tensor, mask: Tensor | None, visual: Tensor
) -> Tensor:
    """One chunk of pairs through all layers: -> [pairs, tokens + clips + 1, hidden]."""
    joint = torch.cat([text, visual], dim=1)
    if mask is not None:
        mask = torch.cat([mask, mask.new_ones(visual.shape[:2])], dim=1)
    layers = network.bert, network.cross_encoder, joint, mask
    if network.config.gradient_checkpointing_pairs and torch.is_grad_enabled():
        return checkpoint(_layers, *layers, use_reentrant=False)
    return _layers(*layers)


def _layers(
    bert: BertModel, encoder: BertEncoder, hidden: Tensor, mask: Tensor | None
) -> Tensor:
    """All layers: hidden [rows, tokens, hidden], mask [rows, tokens] or None = all real."""
    if mask is not None:
        # Without the skip: whether all is real would be asked of the device.
        mask = create_bidirectional_mask(
            config=bert.config, inputs_embeds=hidden, attention_mask=mask,
            allow_is_bidirectional_skip=False,
        )  # fmt: skip
    return encoder(hidden, attention_mask=mask).last_hidden_state
