"""What the model's benchmarks compute: a configuration, a batch of captions of natural length."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snpkit.errors import UserError

if TYPE_CHECKING:
    import torch

    from snpkit.model.config import SNPConfig

SIZES: dict[str, dict[str, int]] = {
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
             "intermediate_size": 3072, "vocab_size": 30522, "max_position_embeddings": 512},
    "laptop": {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
               "intermediate_size": 512, "vocab_size": 1000, "max_position_embeddings": 64},
    "tiny": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 64, "vocab_size": 300, "max_position_embeddings": 64},
}  # fmt: skip
_GRID = 7  # cells a side: grid features are given, so that no visual encoder is measured
_SHORTEST = 5  # tokens: three words between [CLS] and [SEP]


@dataclass(frozen=True)
class Workload:
    """A step to measure.

    Attributes:
        size: name in SIZES.
        batch: captions, each with its video; all batch x batch pairs are matched.
        limit: tokens that captions are padded to.
        mean: tokens of a caption on average, with [CLS] and [SEP]; 12 is usual (MSR-VTT, COCO).
        clips: per video.
        layers: of the network; None = as its size has.
        precision: of our way, "fp32" or "bf16"; the straightforward way is always in float32.
        checkpointing: recompute the pairs' activations in our backward pass.
        seed: of weights and batch.
    """

    size: str = "base"
    batch: int = 16
    limit: int = 30
    mean: float = 12.0
    clips: int = 2
    layers: int | None = None
    precision: str = "fp32"
    checkpointing: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise UserError(f"--size is {self.size!r}; choose one of: {', '.join(SIZES)}.")
        if self.precision not in ("fp32", "bf16"):
            raise UserError(f"--precision is {self.precision!r}; choose fp32 or bf16.")
        if self.batch < 2 or self.clips < 1 or (self.layers is not None and self.layers < 1):
            raise UserError("A step takes --batch 2 or more, and 1 or more clips and layers.")
        if not _SHORTEST <= self.mean <= self.limit:
            raise UserError(
                f"--tokens is {self.mean:g}; captions have {_SHORTEST} to {self.limit} tokens."
            )

    def config(self) -> "SNPConfig":
        """All losses, image-text matching included, no dropout, the visual encoder left out."""
        from snpkit.model.config import SNPConfig

        sizes = SIZES[self.size]
        sizes = sizes | {"num_hidden_layers": self.layers or sizes["num_hidden_layers"]}
        return SNPConfig(
            **sizes, vision="features", clips=self.clips, frames=1, itm=True, negatives="all",
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
            gradient_checkpointing_pairs=self.checkpointing,
            # On a CPU, and over so few tokens, faster than torch's fused attention.
            attn_implementation="eager",
        )  # fmt: skip

    def lengths(self) -> np.ndarray:
        """Tokens of every caption: 2 and a Poisson number of words, which is close to how captions
        are spread; int64 [batch]. Even quantiles in random order: no batch is short by chance."""
        random = np.random.default_rng(self.seed)
        words = np.sort(random.poisson(self.mean - 2, 1000))
        middle = ((np.arange(self.batch) + 0.5) * len(words) / self.batch).astype(int)
        return random.permutation(np.clip(words[middle] + 2, _SHORTEST, self.limit))

    def make_batch(self) -> "dict[str, torch.Tensor]":
        """The batch, padded to the limit; float32 grid features."""
        import torch

        config, generator = self.config(), torch.Generator().manual_seed(self.seed)
        lengths = torch.from_numpy(self.lengths())
        ids, mask = _captions(config, lengths, self.limit, generator)
        wrong, wrong_mask = _captions(config, lengths.flip(0), self.limit, generator)
        keys = torch.rand(ids.shape, generator=generator).masked_fill(ids < 104, 2.0)
        order = keys.argsort(1)
        quota = ((lengths - 2) * 0.15).round().clamp(min=1).long()
        hidden = order.argsort(1) < quota[:, None]
        grid = (self.batch, self.clips, 1, config.hidden_size, _GRID, _GRID)
        return {
            "input_ids": ids, "attention_mask": mask,
            "masked_input_ids": ids.masked_fill(hidden, config.mask_token_id),
            "labels": ids.masked_fill(~hidden, -100),
            "mismatched_input_ids": wrong, "mismatched_attention_mask": wrong_mask,
            "significant_positions": order[:, :3].clone(),
            "pixel_values": torch.randn(grid, generator=generator),
        }  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """What the figures depend on, by name."""
        lengths = self.lengths()
        return {
            "Model": f"{self.size}, {self.config().num_hidden_layers} layers, all losses",
            "Batch": f"{self.batch} captions of {lengths.mean():.1f} tokens on average "
            f"({lengths.min()} to {lengths.max()}), limit {self.limit}, {self.clips} clips; "
            f"{self.batch**2} pairs; seed {self.seed}",
        }


def _captions(
    config: "SNPConfig", lengths: "torch.Tensor", limit: int, generator: "torch.Generator"
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Random captions [batch, limit] of these lengths, and their mask."""
    import torch

    shape = (len(lengths), limit)
    ids = torch.randint(104, config.vocab_size, shape, generator=generator)
    places, end = torch.arange(limit), lengths[:, None]
    ids[:, 0] = config.cls_token_id
    ids = ids.masked_fill(places == end - 1, config.sep_token_id)
    return ids.masked_fill(places >= end, config.pad_token_id), (places < end).long()
