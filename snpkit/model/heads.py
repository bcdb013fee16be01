"""Small heads on top of the encoders."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import ACT2FN

from snpkit.model.config import SNPConfig


class MLMHead(nn.Module):
    """BERT's MLM head; the decoder is tied to the word embeddings, which the caller hands over."""

    def __init__(self, config: SNPConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.mlm_layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, tokens: Tensor, word_embeddings: Tensor) -> Tensor:
        """[..., hidden] and [vocabulary, hidden] -> logits [..., vocabulary]."""
        hidden = self.norm(self.activation(self.dense(tokens)))
        return F.linear(hidden, word_embeddings, self.bias)


def similarity_head(config: SNPConfig) -> nn.Module:
    """The perceptron of the cross-modal matching score: [pairs, hidden] -> [pairs, 1]."""
    hidden = config.hidden_size
    return nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, 1))
