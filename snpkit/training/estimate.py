"""What a recipe takes on a named card: the memory of a step, its FLOPs, and the time of a run.

    recipe, card = get_recipe("gpu_subset"), GPUS["t4"]
    step = estimate_step(recipe, card)
    step.memory.peak, step.flops
    make_plan(recipe, step, card, pairs=10_000).seconds

One real training step (`snpkit.training.loop.train_step`) runs on tensors without values: torch's
FakeTensorMode knows shapes and number formats only, so that any size fits any machine. A dispatch
mode counts what is allocated and freed meanwhile, and the FLOPs of products and convolutions.
"""

import weakref
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import aten, flop_registry

from snpkit.errors import UserError
from snpkit.model import parallel
from snpkit.model.config import SNPConfig
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.training.cards import GPUS, Card, as_on_a_gpu, measured_peak, seconds_of
from snpkit.training.device import choose_device, prepare_cpu
from snpkit.training.loop import Run, TrainingResult, new_run, train_step
from snpkit.training.optimisation import BufferGuard, make_optimizer, step_unless, total_steps
from snpkit.training.recipe import Recipe, override
from snpkit.training.setup import model_config

UTILISATION = 0.35  # of a card's peak: what training of networks of this size usually reaches
RESERVE = 0.1  # of a card's memory: CUDA's own, and what fragmentation makes unusable
_MICRO_BATCHES = (64, 32, 16, 8, 4)  # tried where a recipe does not fit
_FUSED = "_scaled_dot_product_flash_attention"
_FLOPS = flop_registry | {  # torch counts for GPUs alone
    getattr(aten, f"{_FUSED}_for_cpu{way}"): flop_registry[getattr(aten, _FUSED + way)]
    for way in ("", "_backward")
}


@dataclass(frozen=True)
class Memory:
    """Bytes of each part at the moment when their sum is highest.

    Attributes:
        weights: parameters and buffers; gradients: those that are there at that moment;
        optimiser: AdamW's two averages; pixels: the frames of the batch, as bytes;
        activations: all else, which is what the forward pass keeps, and working space.
    """

    weights: float
    gradients: float
    optimiser: float
    activations: float
    pixels: float

    @property
    def peak(self) -> float:
        """Bytes held at most."""
        return sum(vars(self).values())


@dataclass(frozen=True)
class Step:
    """An optimiser step of one process: memory, FLOPs of products and convolutions (recomputed ones
    included), the model's parameters, and its number format (None = float32)."""

    memory: Memory
    flops: float
    parameters: int
    dtype: torch.dtype | None


@dataclass(frozen=True)
class Plan:
    """A whole run: optimiser steps, seconds, price of all cards (None = no price was given), bytes
    of decoded frames on disk, share of the peak assumed or measured, and whether memory suffices.
    """

    steps: int
    seconds: float
    cost: float | None
    cache_bytes: float
    utilisation: float
    fits: bool


class Tracker(TorchDispatchMode):
    """Counts FLOPs, and the bytes of all storages that are alive, by part; keeps both at the peak.

    What is computed again under `torch.utils.checkpoint` is seen as any other operation is.

    Args:
        block: bytes come in multiples of this number (512 in CUDA's allocator).
    """

    def __init__(self, block: int = 1) -> None:
        super().__init__()
        self.block, self.flops, self.peak = block, 0, 0
        self.now = dict.fromkeys(Memory.__dataclass_fields__, 0)
        self.at_peak = dict(self.now)
        self._alive: dict[int, tuple[str, int, Any]] = {}

    def put(self, tensors: Any, part: str) -> None:
        """Count these tensors' storages as this part from now on."""
        for tensor in tree_leaves(tensors):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self._forget(storage._cdata)
                size = -(-storage.nbytes() // self.block) * self.block
                gone = weakref.ref(storage, lambda _, key=storage._cdata: self._forget(key))
                self._alive[storage._cdata] = part, size, gone
                self.now[part] += size

    def _forget(self, key: int) -> None:
        part, size, _ = self._alive.pop(key, ("weights", 0, None))
        self.now[part] -= size

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):  # noqa: ANN001, ANN204
        options = options or {}
        out = operation(*arguments, **options)
        if operation is torch.ops.prim.device.default:  # asked for very often
            return out
        new = [each for each in tree_leaves(out) if isinstance(each, Tensor)
               and each.untyped_storage()._cdata not in self._alive]  # fmt: skip
        if new:
            self.put(new, "activations")
            if (total := sum(self.now.values())) > self.peak:
                self.peak, self.at_peak = total, dict(self.now)
        if (count := _FLOPS.get(operation._overloadpacket)) is not None:
            self.flops += count(*arguments, **options, out_val=out)
        return out


def estimate_step(recipe: Recipe, card: Card, *, gpus: int = 1, tokens: int | None = None) -> Step:
    """Memory and FLOPs of one of the recipe's steps, in one of `gpus` processes that share it.

    Args:
        tokens: of every caption with [CLS] and [SEP]; None = as many as the recipe allows.

    Raises:
        UserError: the batch does not divide among the cards, or the recipe is not of pre-training.
    """
    if recipe.task.name != "pretraining":
        raise UserError(f"{recipe.name} is a recipe for fine-tuning; plans are of pre-training.")
    batch, rest = divmod(recipe.data.batch_size, gpus)
    if rest or batch < 2:
        raise UserError(f"A batch of {recipe.data.batch_size} does not divide among {gpus} cards; "
                        "change --gpus or --set data.batch_size.")  # fmt: skip
    tokens = min(tokens or recipe.data.max_tokens, recipe.data.max_tokens)
    cpu, dtype = torch.device("cpu"), card.dtype(recipe.optimisation.precision)
    config = model_config(recipe)
    with torch.device("meta"):  # no weights are read for it
        model = SNPForPreTraining(config).train()
    on_cpu = card.name == "cpu"
    tracker = Tracker(block=1 if on_cpu else 512)
    with FakeTensorMode(allow_non_fake_inputs=True), ExitStack() as stack:
        # Fake tensors of the CPU in the place of those without a device.
        renewed = torch.__future__.set_overwrite_module_params_on_conversion
        renewed(True)
        stack.callback(renewed, False)
        model.to_empty(device="cpu")
        model.micro_batch = recipe.optimisation.micro_batch
        if "attn_implementation" not in recipe.model:  # as the training loop chooses it
            model.set_attention("eager" if on_cpu else "sdpa")
        optimizer = make_optimizer(model, recipe.optimisation)
        scaler = torch.amp.GradScaler("cpu", enabled=dtype is torch.float16)
        run = Run(recipe, model, model, [], optimizer, scaler, BufferGuard(model), cpu, 1,
                  TrainingResult(Path()), dtype)  # type: ignore[arg-type]  # fmt: skip
        _make_optimiser_state(optimizer)
        inputs = example_batch(config, batch, tokens)
        tracker.put([*model.parameters(), *model.buffers()], "weights")
        tracker.put([list(state.values()) for state in optimizer.state.values()], "optimiser")
        tracker.put(inputs["pixel_values"], "pixels")
        trained = [one for one in model.parameters() if one.requires_grad]
        for one in trained:
            one.register_post_accumulate_grad_hook(lambda p: tracker.put(p.grad, "gradients"))
        if not on_cpu:
            stack.enter_context(as_on_a_gpu())
        if gpus > 1:  # the others' rows are as many as one's own
            stack.enter_context(mock.patch.object(
                parallel, "gather", lambda own: torch.cat([own.detach()] * (gpus - 1) + [own])))
            # DistributedDataParallel's buckets are as large as the gradients.
            buckets = [torch.empty_like(one) for one in trained]
            tracker.put(buckets, "gradients")
        with tracker:
            train_step(run, iter([(inputs, [])]))
    parameters = sum(one.numel() for one in model.parameters())
    return Step(Memory(**tracker.at_peak), float(tracker.flops), parameters, dtype)


def _make_optimiser_state(optimizer: torch.optim.Optimizer) -> None:
    """What the first step leaves behind: every later one begins with it."""
    for parameter in (one for group in optimizer.param_groups for one in group["params"]):
        parameter.grad = torch.zeros_like(parameter)
    step_unless(optimizer, torch.zeros((), dtype=torch.bool))
    optimizer.zero_grad(set_to_none=True)


def make_plan(
    recipe: Recipe, step: Step, card: Card, pairs: int, *, gpus: int = 1,
    utilisation: float = UTILISATION, price: float | None = None,
) -> Plan:  # fmt: skip
    """The whole run on `pairs` caption-video pairs, at a share of the card's peak up to 1 and at
    a price of each card for an hour.

    Raises:
        UserError: the pairs are less than a batch.
    """
    data = recipe.data
    if pairs < data.batch_size:
        raise UserError(f"{pairs} pairs give no batch of {data.batch_size}; take more pairs.")
    steps = total_steps(recipe.optimisation, pairs // data.batch_size)
    seconds = steps * step.flops / (card.peak(step.dtype) * utilisation)
    return Plan(
        steps=steps,
        seconds=seconds,
        cost=None if price is None else price * gpus * seconds / 3600,
        cache_bytes=float(pairs * data.frames_kept * 3 * data.size**2),
        utilisation=utilisation,
        fits=fits(step, card.memory),
    )


def fits(step: Step, memory: float) -> bool:
    """Whether a step fits into so many bytes, a tenth of which are left free."""
    return step.memory.peak <= (1 - RESERVE) * memory


def largest_micro_batch(recipe: Recipe, card: Card, *, gpus: int = 1, **options: Any) -> int | None:
    """The largest power of two, 64 to 4, that as `micro_batch` makes the recipe fit the card; None
    = none does. Options as in `estimate_step`."""
    share = recipe.data.batch_size // gpus
    limit = min(recipe.optimisation.micro_batch or share, share)
    for size in (one for one in _MICRO_BATCHES if one < limit):
        smaller = override(recipe, {"optimisation.micro_batch": size})
        # What two slices need at least is known soon; a whole batch takes no less.
        two = override(smaller, {"data.batch_size": gpus * min(share, 2 * size)})
        steps = (estimate_step(one, card, gpus=gpus, **options) for one in (two, smaller))
        if all(fits(step, card.memory) for step in steps):
            return size
    return None


def measured_utilisation(recipe: Recipe) -> float:
    """Share of this machine's own peak that a few real steps of the recipe reach here, on noise,
    with a batch of at most 8 samples; the best of 3 after one that is not counted."""
    changes = {"data.batch_size": min(8, recipe.data.batch_size)}
    changes |= {"model.vision_pretrained": None}  # no weights are fetched
    prepare_cpu()
    small, device = override(recipe, changes), choose_device()
    config = model_config(small)
    run = new_run(SNPForPreTraining(config), [None], small, Path(), device)  # type: ignore[arg-type]
    inputs = example_batch(config, small.data.batch_size, small.data.max_tokens)
    source = iter([(inputs, [])] * 4)
    took = [seconds_of(lambda: train_step(run, source), device.type) for _ in range(4)]
    card = GPUS["cpu"] if device.type == "cpu" else GPUS["h200"]
    flops = estimate_step(small, card).flops
    return flops / min(took[1:]) / measured_peak(device.type, run.dtype)


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
