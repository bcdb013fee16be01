"""The shared network (SNP) and its two rivals behind one interface.

One BERT reads a caption alone (text pass) or a caption followed by clip tokens (cross-modal pass).
`SharedNetwork` uses the same embeddings and layers in both roles; `ThreeFusion` (P3E) keeps a
separate cross-modal encoder; `TwinTower` has no cross-modal pass at all. Paper sec. III-B.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import BertModel
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.bert.modeling_bert import BertEmbeddings, BertEncoder, BertPooler

from snpkit.errors import UserError
from snpkit.model.config import SNPConfig


@dataclass
class TextPass:
    """tokens [batch, tokens, hidden]: contextual vectors; pooled [batch, hidden]: tanh pooler."""

    tokens: Tensor
    pooled: Tensor


@dataclass
class CrossModalPass:
    """text [pairs, tokens, hidden], clips [pairs, clips, hidden], pooled [pairs, hidden]."""

    text: Tensor
    clips: Tensor
    pooled: Tensor


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

    def text_pass(self, input_ids: Tensor, attention_mask: Tensor) -> TextPass:
        """Refine captions alone: ids and mask [batch, tokens] -> TextPass."""
        output = self.bert(input_ids=input_ids, attention_mask=attention_mask)
        return TextPass(output.last_hidden_state, output.pooler_output)

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
        self, input_ids: Tensor, attention_mask: Tensor, clip_tokens: Tensor
    ) -> CrossModalPass:
        """Refine caption + video together, text first.

        Args:
            input_ids, attention_mask: [pairs, tokens].
            clip_tokens: [pairs, clips, hidden], not normalised.
        """
        return self.cross_modal_layers(
            self.embed_text(input_ids), attention_mask, self.embed_clips(clip_tokens)
        )

    def cross_modal_layers(
        self, text: Tensor, attention_mask: Tensor, visual: Tensor
    ) -> CrossModalPass:
        """The cross-modal pass from embeddings on: text [pairs, tokens, hidden], visual
        [pairs, clips + 1, hidden] (the last is SEP)."""
        joint = torch.cat([text, visual], dim=1)  # [pairs, tokens + clips + 1, hidden]
        mask = torch.cat([attention_mask, attention_mask.new_ones(visual.shape[:2])], dim=1)
        mask = create_bidirectional_mask(
            config=self.bert.config, inputs_embeds=joint, attention_mask=mask
        )
        hidden = self.cross_encoder(joint, attention_mask=mask).last_hidden_state
        tokens = text.shape[1]
        return CrossModalPass(hidden[:, :tokens], hidden[:, tokens:-1], self.cross_pooler(hidden))


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

    def cross_modal_layers(
        self, text: Tensor, attention_mask: Tensor, visual: Tensor
    ) -> CrossModalPass:
        """Always refuses.

        Raises:
            UserError: a twin tower cannot read caption and video together.
        """
        raise no_cross_modal_pass()


def no_cross_modal_pass() -> UserError:
    """What a twin tower says to whoever asks it to read caption and video together."""
    return UserError(
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
