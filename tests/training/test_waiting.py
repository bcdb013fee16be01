"""What a step waits for: hardly for its batch, and never for a number from the device.

On a CPU nobody waits for numbers, so the questions themselves are counted: operations whose result
Python reads (a number, a size that depends on values) and the methods that copy a tensor to the
host.
"""

import time
from collections import Counter
from contextlib import contextmanager

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from training_toys import ToyBatches, toy_recipe

from snpkit.data.samples import Manifest, samples_folder
from snpkit.model.downstream import SNPForRetrieval
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.model.slices import count_lengths
from snpkit.training import loop, setup
from snpkit.training.recipe import get_recipe, override
from tests.model.cases import random_batch, small_config

ASKING = {
    "_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "_unique2",
    "unique_dim", "unique_consecutive", "bincount", "repeat_interleave.Tensor",
}  # fmt: skip
METHODS = (
    "item", "cpu", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__",
)  # fmt: skip


class Questions(TorchDispatchMode):
    """Counts operations whose result the host reads."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        name = str(operation).removeprefix("aten.")
        base = name.partition(".")[0]
        by_mask = base in ("index", "index_put", "index_put_") and any(
            part is not None and part.dtype in (torch.bool, torch.uint8) for part in arguments[1]
        )
        if name in ASKING or (base in ASKING and "." not in base) or by_mask:
            self.asked[base] += 1
        return operation(*arguments, **(options or {}))


@contextmanager
def questions(monkeypatch):
    """Yields a Counter of what is asked meanwhile."""
    with monkeypatch.context() as patch, Questions() as mode:
        for name in METHODS:
            original = getattr(torch.Tensor, name)

            def asking(tensor, *more, name=name, original=original, **options):
                mode.asked[name] += 1
                return original(tensor, *more, **options)

            patch.setattr(torch.Tensor, name, asking)
        yield mode.asked


CONFIGS = {
    "plain": {},
    "everything": {"itm": True, "lvwm_stage": "both", "logit_scale": True, "negatives": 2,
                   "architecture": "three_fusion"},
    "copying": {"text_mlm": "unmasked", "pooling": "mean_max"},
    "moco": {"negative_source": "moco"},
    "drawn words": {},
    "recomputed pairs": {"gradient_checkpointing_pairs": True},
    "same videos": {"negatives": 2, "negative_sampling": "nearest"},
}  # fmt: skip


def prepared_run(model, batch, tmp_path, **changes):
    recipe = override(toy_recipe(), {f"optimisation.{n}": v for n, v in changes.items()})
    run = loop.new_run(model, ToyBatches(), recipe, tmp_path, torch.device("cpu"))
    # As it lies on the device: what must be known beforehand was counted.
    known = batch | {"lengths": count_lengths(batch["attention_mask"])}
    if "labels" in batch:
        known["label_count"] = int((batch["labels"] != -100).sum())
        known["mismatched_lengths"] = count_lengths(batch["mismatched_attention_mask"])
    return run, iter([(known, ["clip.mp4"])] * 9)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_step_of_pretraining_asks_nothing(name, precision, tmp_path, monkeypatch):
    config = small_config(**CONFIGS[name])
    batch = random_batch(config, (6, 11, 4, 5))
    batch["pixel_values"] = batch["pixel_values"].float()
    if name == "drawn words":
        del batch["significant_positions"]
    if name == "same videos":
        batch["video_ids"] = torch.tensor([1, 2, 1, 3])
    run, source = prepared_run(SNPForPreTraining(config), batch, tmp_path, precision=precision)
    loop.train_step(run, source)
    with questions(monkeypatch) as asked:
        record = loop.train_step(run, source)
    assert not asked
    assert torch.isfinite(record.values["loss"])


@pytest.mark.parametrize("size", [None, 2])
def test_neither_do_retrieval_and_micro_batches(size, tmp_path, monkeypatch):
    batch = random_batch(small_config(), (6, 11, 4, 5))
    batch["pixel_values"] = batch["pixel_values"].float()
    del batch["labels"]
    run, source = prepared_run(SNPForRetrieval(small_config()), batch, tmp_path, micro_batch=size)
    loop.train_step(run, source)
    with questions(monkeypatch) as asked:
        loop.train_step(run, source)
    assert not asked


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: x.sum().item(), lambda x: bool((x > 0).any()), lambda x: x[x > 0],
        lambda x: x.tolist(), lambda x: x.nonzero(), lambda x: float(x[0]), lambda x: x.cpu(),
    ],
)  # fmt: skip
def test_the_counter_counts(ask, monkeypatch):
    with questions(monkeypatch) as asked:
        ask(torch.arange(4.0))
    assert sum(asked.values()) >= 1


@pytest.mark.slow
def test_the_laptop_recipe_hardly_waits_for_its_batches(tmp_path):
    """At most 5 % of a step: the frames lie in memory, and a batch is masked all at once."""
    recipe = override(get_recipe("laptop"), {"data.draw": "captions"})  # of few videos
    manifest = Manifest.load(samples_folder() / "manifest.jsonl")
    found = setup.prepare(recipe, manifest, train="samples", held_out=None, progress=False)
    run = loop.new_run(found.model, found.batches, recipe, tmp_path, torch.device("cpu"))
    source, shares = iter(found.batches), []
    for _ in range(5):  # the least disturbed counts
        start = time.process_time()
        batch = next(source)
        waited = time.process_time() - start
        loop.train_step(run, iter([batch]))
        shares.append(waited / (time.process_time() - start))
    assert 0 < min(shares) <= 0.05
