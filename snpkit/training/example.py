"""A recipe's model settings and a batch of its shapes, without data, a tokenizer or the network."""

from pathlib import Path
from typing import Any

import torch

from snpkit.language.tokenizer import load_tokenizer
from snpkit.model.config import SNPConfig
from snpkit.model.vision import backbones
from snpkit.training.recipe import Recipe
from snpkit.training.setup import make_config

_BERT_VOCABULARY = 30_522  # bert-base-uncased


def model_config(recipe: Recipe) -> SNPConfig:
    """The recipe's model; nothing is fetched: a hub's BERT is taken to have the recipe's sizes, and
    BERT's own vocabulary."""
    text = recipe.model.get("text_pretrained")
    local = text if text and Path(text).is_dir() else None
    tokenizer = local or recipe.data.tokenizer
    words: Any = range(recipe.data.vocabulary_size if tokenizer == "own" else _BERT_VOCABULARY)
    words = load_tokenizer(tokenizer) if Path(tokenizer).is_dir() else _Vocabulary(words)
    fields = {"text_pretrained": None, "attentive_masking": 0.0}
    config = make_config(recipe.model_copy(update={"model": recipe.model | fields}), words, local)
    if config.vision in backbones.KINDS or Path(config.vision).is_dir():
        backbones._backbone_config(config)  # while config.json may still be read
    return config


class _Vocabulary(tuple[int, ...]):
    """As many words as a tokenizer has; what `make_config` asks of one."""

    pad_token_id, cls_token_id, sep_token_id, mask_token_id = 0, 2, 3, 4


def example_batch(config: SNPConfig, batch: int, tokens: int) -> dict[str, Any]:
    """A batch of the shapes that training reads, see `snpkit.model.base.Batch`; captions of
    `tokens` tokens each, of which 15 % of the words are masked, and no two of one video."""
    labelled = max(1, round(0.15 * (tokens - 2)))
    ids = torch.full((batch, tokens), config.vocab_size - 1)
    labels = torch.full((batch, tokens), -100)
    labels[:, 1 : 1 + labelled] = config.vocab_size - 1
    shape, size = (batch, config.clips, config.frames), config.image_size
    inputs = {
        "pixel_values": torch.zeros((*shape, 3, size, size), dtype=torch.uint8),
        "input_ids": ids, "masked_input_ids": ids.clone(), "attention_mask": torch.ones_like(ids),
        "labels": labels, "lengths": [tokens] * batch, "label_count": labelled * batch,
        "significant_positions": torch.ones((batch, config.lvwm_words), dtype=torch.long),
        "video_ids": torch.arange(batch),
    }  # fmt: skip
    if config.vision == "features":  # a grid of 7 x 7 cells
        inputs["pixel_values"] = torch.zeros((*shape, config.vision_width, 7, 7))
    if config.image_fit == "long":
        inputs["pixel_mask"] = torch.ones((*shape, size, size), dtype=torch.bool)
    if config.itm:
        for name in ("input_ids", "attention_mask", "lengths"):
            inputs[f"mismatched_{name}"] = inputs[name]
    return inputs
