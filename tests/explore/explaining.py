"""A small untrained model with tokenizer and table, and videos for it."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from snpkit.language.significance import SignificanceTable
from snpkit.language.table_files import WordEntry
from snpkit.language.tokenizer import train_tokenizer
from snpkit.model.config import SNPConfig
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.pipeline import Pipeline

CAPTIONS = [
    "a red kite falls over the beach", "the blue boat spins in a city at night",
    "one green ball slides to the left", "a yellow bird is rising above the sea",
]  # fmt: skip
SIGNIFICANT = ("red", "blue", "kite", "boat", "green", "falls", "spins", "beach", "bird", "city")


def small_pipeline(seed=0, **changes) -> Pipeline:
    """Words of CAPTIONS are one token each, others fall into pieces."""
    tokenizer = train_tokenizer(CAPTIONS, 300)
    settings = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 40,
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.2,
        "image_size": 32, "patch_size": 8, "patch_layers": 1, "patch_heads": 2, "clips": 2,
        "frames": 2, "patch_motion": True, "logit_scale": True,
        "cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id,
        "mask_token_id": tokenizer.mask_token_id,
    }  # fmt: skip
    torch.manual_seed(seed)
    model = SNPForPreTraining(SNPConfig(**(settings | changes))).eval()
    return Pipeline(model, tokenizer, small_table(), Path("nowhere"))


def small_table() -> SignificanceTable:
    """Ten significant words and "over", which is ranked below them."""
    parts = {"falls": "VERB", "spins": "VERB", "red": "ADJ", "blue": "ADJ", "green": "ADJ"}
    words = [*SIGNIFICANT, "over"]
    entries = {
        word: WordEntry(word, rank, 50 - rank, {parts.get(word, "NOUN"): 50 - rank})
        for rank, word in enumerate(words)
    }
    return SignificanceTable(entries, top_k=10)


def noise(seed=0, clips=2, frames=2, size=32) -> torch.Tensor:
    """uint8 [clips, frames, 3, size, size]."""
    generator = torch.Generator().manual_seed(seed)
    shape = (clips, frames, 3, size, size)
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator)


def noise_picture(seed=0, deviation=80.0, width=48, height=40) -> Image.Image:
    """A grey RGB picture of noise; Pillow's own noise takes no seed."""
    grey = np.random.default_rng(seed).normal(128, deviation, (height, width)).clip(0, 255)
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
