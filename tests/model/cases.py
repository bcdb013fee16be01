"""Small cases for the model's tests: the golden one, and random weights and batches."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from snpkit.model.config import SNPConfig
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.model.reference import from_reference
from tests.benchmarks.straightforward import Choices
from tests.benchmarks.weights import weight_shapes

TIGHT = {"rtol": 0.0, "atol": 1e-9}
GOLDEN = Path(__file__).parents[1] / "golden" / "reference_case.safetensors"


def golden_config(**changes: object) -> SNPConfig:
    """The configuration of the golden case."""
    settings: dict[str, object] = dict(
        vocab_size=600, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, vision="features", clips=2, frames=1,
        text_mlm="unmasked", itm=True,
    )  # fmt: skip
    return SNPConfig(**(settings | changes))


def golden_case() -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """(weights under the published names, batch under ours in float64, everything in the file)."""
    case = load_file(GOLDEN)
    weights = {name[2:]: value for name, value in case.items() if name.startswith("w/")}
    given = {name[3:]: value for name, value in case.items() if name.startswith("in/")}
    labels = given["caption_lm_label_ids"]
    batch = {
        "input_ids": given["caption_raw_input_ids"],
        "masked_input_ids": given["caption_input_ids"],
        "attention_mask": given["caption_input_mask"],
        "labels": labels.masked_fill(labels == -1, -100),
        "mismatched_input_ids": given["caption_false_input_ids"],
        "mismatched_attention_mask": given["caption_false_input_mask"],
        "pixel_values": given["image_data"].unflatten(1, (2, 1)).double(),
        "pixel_mask": ~given["image_pad_mask"].unflatten(1, (2, 1)),
        "significant_positions": case["out64/vwm_word_positions"],
    }
    return weights, batch, case


def double(weights: dict[str, Tensor], grad: bool = False) -> dict[str, Tensor]:
    """The floating weights in float64; `grad` makes them leaves that collect a gradient."""
    floating = {n: v.double() for n, v in weights.items() if v.is_floating_point()}
    return {n: v.requires_grad_(grad) for n, v in floating.items()}


def small_config(**changes: object) -> SNPConfig:
    """A configuration unlike the golden one in every size: 3 clips of 2 frames, hidden 24."""
    settings: dict[str, object] = dict(
        vocab_size=150, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=40, max_position_embeddings=20, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, vision="features", clips=3, frames=2, cross_layers=1,
        moco_queue=7,
    )  # fmt: skip
    return SNPConfig(**(settings | changes))


def choices(config: SNPConfig) -> Choices:
    """The straightforward implementation's options for a configuration."""
    return Choices(
        heads=config.num_attention_heads,
        text_mlm=config.text_mlm,
        lvwm_stage=config.lvwm_stage,
        itm=config.itm,
        pooling=config.pooling,
        scales=(config.initial_logit_scale or 1.0, 1.0, 1.0),
    )


def random_weights(config: SNPConfig, seed: int = 0) -> dict[str, Tensor]:
    """Float64 weights of every shape, biases and norms included, none of them special."""
    generator = torch.Generator().manual_seed(seed)
    scale = {True: 1.0, False: 0.0}
    return {
        name: scale["LayerNorm.weight" in name]
        + 0.3 * torch.randn(shape, generator=generator, dtype=torch.float64)
        for name, shape in weight_shapes(config).items()
    }


def build(config: SNPConfig, weights: dict[str, Tensor], *options: Any) -> SNPForPreTraining:
    """Our model with these weights, in float64; `options` are task and answers."""
    default = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        return from_reference(weights, config, *options)
    finally:
        torch.set_default_dtype(default)


def random_batch(
    config: SNPConfig, lengths: tuple[int, ...] = (6, 11, 4), *, seed: int = 0, grid: int = 3
) -> dict[str, Tensor]:
    """A float64 batch: captions of these lengths, partly real grids, 0 to 3 significant words."""
    generator = torch.Generator().manual_seed(seed)
    size, tokens = len(lengths), max(lengths)

    def captions() -> tuple[Tensor, Tensor]:
        ids = torch.randint(104, config.vocab_size, (size, tokens), generator=generator)
        places, end = torch.arange(tokens), torch.tensor(lengths)[:, None]
        ids[:, 0] = config.cls_token_id
        ids = ids.masked_fill(places == end - 1, config.sep_token_id).masked_fill(places >= end, 0)
        return ids, (places < end).long()

    ids, mask = captions()
    wrong_ids, wrong_mask = captions()
    words = (mask == 1) & (ids > 103)
    hidden = words & (torch.rand(ids.shape, generator=generator) < 0.3)
    shape = (size, config.clips, config.frames, grid, grid + 1)
    pixel_mask = torch.rand(shape, generator=generator) < 0.7
    pixel_mask[..., 0, 0] = True  # a clip without any real cell has no mean
    pixels = torch.randn(
        size, config.clips, config.frames, config.vision_width, grid, grid + 1,
        generator=generator, dtype=torch.float64,
    )  # fmt: skip
    positions = torch.stack([torch.randint(1, n - 1, (3,), generator=generator) for n in lengths])
    for row in range(size):
        positions[row, 3 - row % 4 :] = -1  # 3, 2, 1, then no word at all
    return {
        "input_ids": ids, "masked_input_ids": ids.masked_fill(hidden, config.mask_token_id),
        "attention_mask": mask, "labels": ids.masked_fill(~hidden, -100),
        "mismatched_input_ids": wrong_ids, "mismatched_attention_mask": wrong_mask,
        "pixel_values": pixels, "pixel_mask": pixel_mask, "significant_positions": positions,
    }  # fmt: skip


def compare_gradients(model: SNPForPreTraining, leaves: dict[str, Tensor]) -> None:
    """A model whose weights are the expected gradients lines the two sets of names up."""
    gradients = {n: torch.zeros_like(v) if v.grad is None else v.grad for n, v in leaves.items()}
    expected = dict(build(model.config, gradients).named_parameters())
    for name, parameter in model.named_parameters():
        if name != "log_scales" and not name.startswith("moco."):
            actual = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(actual, expected[name].detach(), **TIGHT, msg=name)
