"""A gradient cache gives the losses and gradients of one large batch."""

import pytest
import torch
from joined_batches import (
    CASES,
    alone,
    cached_run,
    cut,
    largest_deviation,
    make_batch,
    make_model,
    results,
)
from training_toys import ToyBatches, same_weights, toy_recipe, train

from snpkit.errors import UserError
from snpkit.model.contrast import Pairs
from snpkit.model.gathering import Rows
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.training import gradient_cache
from snpkit.training.schema import override


def cached(name, sizes, dtype, tmp_path, **changes):
    model = make_model(name, dtype, **changes)
    run, source = cached_run(model, cut(make_batch(name, dtype), sizes), tmp_path)
    torch.manual_seed(0)
    losses, bad, files = gradient_cache.accumulate(run, source)
    assert not torch.stack(bad).any() and files == [[f"clip{n}.mp4"] for n in range(len(sizes))]
    named = {n.removeprefix("losses/"): v for n, v in losses.items() if n != "loss"}
    torch.testing.assert_close(losses["loss"], sum(named.values()))
    return results(model, named)


@pytest.mark.parametrize("sizes", [(4, 4), (3, 1, 4), (2, 2, 2, 2)])
@pytest.mark.parametrize("name", [name for name in CASES if name != "qa"])
def test_parts_give_what_the_whole_gives(name, sizes, tmp_path):
    found = cached(name, sizes, torch.float64, tmp_path)
    assert largest_deviation(found, alone(name)) < 1e-7
    # In single precision as well, as close as its rounding allows.
    found = cached(name, sizes, torch.float32, tmp_path)
    assert largest_deviation(found, alone(name, torch.float32)) < 1e-5


def test_accumulation_alone_does_not():
    model = make_model("pretraining")
    for part in cut(make_batch("pretraining"), (4, 4)):
        output = model(part)
        (output.loss / 2).backward()
    assert largest_deviation(results(model, output.losses), alone("pretraining")) > 1e-2


DROPOUT = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3,
           "tasks": ["gvtm_text_video", "gvtm_cross_modal", "lvwm"]}  # fmt: skip


def with_one_graph(sizes):
    """The same passes in the same order, with all their graphs kept: no pass is repeated."""
    model = make_model("pretraining", **DROPOUT)
    torch.manual_seed(0)
    parts = [model.prepare(part) for part in cut(make_batch("pretraining"), sizes)]
    encoded = [model.encode(part) for part in parts]
    joined = {name: torch.cat([each.compared[name] for each in encoded])
              for name in encoded[0].compared}
    visual, total = torch.cat([each.visual for each in encoded]), sum(sizes)
    others = model.other_videos(Rows((total,)), None, visual.device)
    matrix, first = [], 0
    for part, size in zip(parts, sizes, strict=True):
        pairs, first = Pairs.of(others, slice(first, first + size)), first + size
        scores = [model.pair_score(model.pair_pass(part, visual, piece).pooled)
                  for piece in pairs.split(size * total // len(sizes))]
        matrix.append(pairs.matrix(torch.cat(scores), size, total))
    losses, _ = model.matching_losses(joined, torch.cat(matrix))
    sum(losses.values()).backward()
    return results(model, losses)


def test_the_second_pass_drops_what_the_first_dropped(tmp_path, monkeypatch):
    found = cached("pretraining", (4, 4), torch.float64, tmp_path, **DROPOUT)
    expected = with_one_graph((4, 4))
    assert largest_deviation(found, expected) < 1e-7
    used = torch.get_rng_state()
    monkeypatch.setattr(gradient_cache, "_replay", lambda *state: None)
    found = cached("pretraining", (4, 4), torch.float64, tmp_path, **DROPOUT)
    assert largest_deviation(found, expected) > 1e-2  # the test sees what it is for
    monkeypatch.undo()
    # The next step draws on, and not again what this one has drawn.
    cached("pretraining", (4, 4), torch.float64, tmp_path, **DROPOUT)
    assert torch.equal(torch.get_rng_state(), used)


@pytest.mark.parametrize("name", ["pretraining", "everything"])
def test_no_pass_is_larger_than_without_the_cache(name, tmp_path, monkeypatch):
    sizes, seen = (2, 2, 2, 2), {"encode": [], "pair_pass": []}
    for method in seen:
        plain = getattr(SNPForPreTraining, method)

        def watched(model, batch, *more, method=method, plain=plain):
            count = len(more[-1].text) if more else len(batch["input_ids"])
            seen[method].append((count, torch.is_grad_enabled()))
            return plain(model, batch, *more)

        monkeypatch.setattr(SNPForPreTraining, method, watched)
    cached(name, sizes, torch.float64, tmp_path)
    assert seen["encode"] == [(2, False)] * 4 + [(2, True)] * 4
    assert max(seen["pair_pass"]) == (4, True)  # 2 x 2 pairs in a batch of 2
    wanted = 8 * 8 if name == "pretraining" else 8 * 3  # all pairs, or the own and 2 negatives
    assert sum(count for count, graph in seen["pair_pass"] if graph) == wanted


def test_running_statistics_move_once(tmp_path):
    patches = {"vision": "patch", "vision_width": 24, "image_size": 16, "patch_heads": 2}
    counts = []
    for way in ("plain", "cached"):
        model = make_model("pretraining", torch.float32, **patches)
        batch = make_batch("pretraining", torch.float32)
        shape = (8, 3, 2, 3, 16, 16)
        batch["pixel_values"] = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        del batch["pixel_mask"]
        parts = cut(batch, (4, 4))
        if way == "plain":
            for part in parts:
                model(part)
        else:
            gradient_cache.accumulate(*cached_run(model, parts, tmp_path))
        counts.append({n: b for n, b in model.named_buffers() if "running" in n or "num_" in n})
    torch.testing.assert_close(*counts)
    assert all(norm.track_running_stats for norm in model.modules()
               if isinstance(norm, torch.nn.BatchNorm2d))


def test_half_precision_reaches_every_weight(tmp_path):
    expected = alone("everything", torch.float32)
    model = make_model("everything", torch.float32)
    run, source = cached_run(model, cut(make_batch("everything", torch.float32), (4, 4)), tmp_path)
    run.dtype = torch.bfloat16
    torch.manual_seed(0)
    gradient_cache.accumulate(run, source)
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == (name not in expected), name
    gradients = [n for n, p in model.named_parameters() if p.grad is not None]
    ours = torch.cat([model.get_parameter(n).grad.flatten() for n in gradients])
    theirs = torch.cat([expected[n].flatten() for n in gradients])
    assert torch.cosine_similarity(ours, theirs, dim=0) > 0.99


class Parts:
    """Endless batches of four rows; `poison`: the numbers of those with a NaN."""

    def __init__(self, poison=()):
        self.parts, self.poison, self.position = cut(make_batch(""), (4, 4)), poison, 0

    def __len__(self):
        return 2

    def __iter__(self):
        while True:
            batch = dict(self.parts[self.position % 2])
            batch["pixel_values"] = batch["pixel_values"].float().clone()
            if self.position in self.poison:
                batch["pixel_values"][0] = float("nan")
            self.position += 1
            yield batch, [f"clip{self.position - 1}.mp4"]

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


RECIPE = {"optimisation__gradient_cache": True, "optimisation__accumulation": 2,
          "optimisation__precision": "fp32"}  # fmt: skip


def test_training_goes_on_after_a_stop_and_names_the_bad_part(tmp_path):
    model = make_model("pretraining", torch.float32)
    recipe = toy_recipe(**RECIPE, optimisation__total_steps=6, evaluation__checkpoint_every=3)
    whole, result = train(tmp_path / "whole", model, Parts(poison=[3]), recipe, evaluate=None)
    assert (result.step, result.skipped, result.suspects) == (6, 1, ["clip3.mp4"])

    class Stopped(Exception):
        pass

    class Breaking(Parts):
        def __iter__(self):
            for batch in super().__iter__():
                if self.position > 8:
                    raise Stopped
                yield batch

    model = make_model("pretraining", torch.float32)
    with pytest.raises(Stopped):
        train(tmp_path / "cut", model, Breaking(poison=[3]), recipe, evaluate=None)
    model = make_model("pretraining", torch.float32)
    again, _ = train(tmp_path / "cut", model, Parts(poison=[3]), recipe, evaluate=None, resume=True)
    assert same_weights(whole, again)


def test_what_compares_nothing_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(UserError, match="ToyModel compares no samples; switch"):
        train(tmp_path, recipe=toy_recipe(**RECIPE), batches=ToyBatches())
    with pytest.raises(UserError, match='the task "qa" has none'):
        override(toy_recipe(**RECIPE), {"task.name": "qa"})
