"""Micro-batches: a large batch slice by slice, in one forward and one backward pass, exactly."""

import pytest
import torch
from joined_batches import (
    CASES,
    alone,
    largest_deviation,
    make_batch,
    make_model,
    results,
)
from training_toys import same_weights, toy_recipe, train

from snpkit.errors import UserError
from snpkit.training.recipe import override, recipe_from_dict, recipe_to_dict


def sliced(name, size, dtype=torch.float64, **changes):
    model = make_model(name, dtype, **changes)
    model.micro_batch = size
    torch.manual_seed(0)
    output = model(make_batch(name, dtype))
    output.loss.backward()
    return results(model, output.losses)


@pytest.mark.parametrize("size", [1, 3, 4, 20])
@pytest.mark.parametrize("name", CASES)
def test_slices_give_what_the_whole_gives(name, size):
    assert largest_deviation(sliced(name, size), alone(name)) < 1e-9
    # In single precision as well, as close as its rounding allows.
    found = sliced(name, size, torch.float32)
    assert largest_deviation(found, alone(name, torch.float32)) < 1e-5


DROPOUT = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3}


def test_the_second_pass_drops_what_the_first_dropped(monkeypatch):
    found = sliced("pretraining", 2, **DROPOUT)
    with monkeypatch.context() as patch:  # the same slices in the same order, their graphs kept
        from snpkit.model import slices

        patch.setattr(slices, "checkpoint", lambda function, one, **options: function(one))
        expected = sliced("pretraining", 2, **DROPOUT)
    assert largest_deviation(found, expected) < 1e-9
    assert largest_deviation(found, alone("pretraining", **DROPOUT)) > 1e-2  # others are dropped


@pytest.mark.parametrize("name", ["pretraining", "everything"])
def test_no_slice_is_larger_than_a_batch_of_that_size(name, monkeypatch):
    from snpkit.model.shared import SharedNetwork
    from snpkit.model.video import VideoTower

    seen = {"layers": [], "video": []}
    layers, video = SharedNetwork._layers, VideoTower.forward

    def watched(network, encoder, hidden, *more, **options):
        seen["layers"].append(len(hidden))
        return layers(network, encoder, hidden, *more, **options)

    def watched_video(tower, pixels, *more):
        seen["video"].append(len(pixels))
        return video(tower, pixels, *more)

    monkeypatch.setattr(SharedNetwork, "_layers", watched)
    monkeypatch.setattr(VideoTower, "forward", watched_video)
    sliced(name, 2)
    assert seen["video"] == [2] * 8  # four slices, each computed again
    assert max(seen["layers"]) <= 4  # 2 x 2 pairs in a batch of 2


def test_far_less_is_kept_for_the_backward_pass():
    def kept(size):
        model, found = make_model("pretraining"), {}
        model.micro_batch = size

        def note(tensor):
            found[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            model(make_batch("pretraining"))
        return sum(tensor.untyped_storage().nbytes() for tensor in found.values())

    assert kept(2) < 0.35 * kept(None)


def test_running_statistics_move_once():
    patches = {"vision": "patch", "vision_width": 24, "image_size": 16, "patch_heads": 2}
    batch = make_batch("pretraining", torch.float32)
    shape = (8, 3, 2, 3, 16, 16)
    batch["pixel_values"] = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    del batch["pixel_mask"]
    one, other = (make_model("pretraining", torch.float32, **patches) for _ in range(2))
    for pixels in batch["pixel_values"].split(4):
        one.video(pixels)
    other.micro_batch = 4
    other(batch).loss.backward()
    theirs = dict(one.named_buffers())
    moved = {n: b for n, b in other.named_buffers() if "running" in n or "num_" in n}
    assert moved
    for name, buffer in moved.items():
        torch.testing.assert_close(buffer, theirs[name], msg=name)
    norms = [m for m in other.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(norm.momentum == 0.1 for norm in norms)  # as before


def test_half_precision_reaches_every_weight():
    expected = alone("everything", torch.float32)
    model = make_model("everything", torch.float32)
    model.micro_batch = 3
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(make_batch("everything", torch.float32))
    output.loss.backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == (name not in expected), name
    gradients = [n for n, p in model.named_parameters() if p.grad is not None]
    ours = torch.cat([model.get_parameter(n).grad.flatten() for n in gradients])
    theirs = torch.cat([expected[n].flatten() for n in gradients])
    assert torch.cosine_similarity(ours, theirs, dim=0) > 0.99


class Rows:
    """Endless batches of eight rows; `poison`: the numbers of those with a NaN."""

    def __init__(self, poison=()):
        self.poison, self.position = poison, 0

    def __len__(self):
        return 2

    def __iter__(self):
        while True:
            batch = make_batch("", torch.float32)
            if self.position in self.poison:
                batch["pixel_values"][0] = float("nan")
            self.position += 1
            yield batch, [f"clip{self.position - 1}.mp4"]

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


RECIPE = {"optimisation__micro_batch": 3, "optimisation__precision": "fp32"}


def test_training_goes_on_after_a_stop_and_names_the_bad_batch(tmp_path):
    model = make_model("pretraining", torch.float32)
    recipe = toy_recipe(**RECIPE, optimisation__total_steps=6, evaluation__checkpoint_every=3)
    whole, result = train(tmp_path / "whole", model, Rows(poison=[1]), recipe, evaluate=None)
    assert (result.step, result.skipped, result.suspects) == (6, 1, ["clip1.mp4"])

    class Stopped(Exception):
        pass

    class Breaking(Rows):
        def __iter__(self):
            for batch in super().__iter__():
                if self.position > 4:
                    raise Stopped
                yield batch

    model = make_model("pretraining", torch.float32)
    with pytest.raises(Stopped):
        train(tmp_path / "cut", model, Breaking(poison=[1]), recipe, evaluate=None)
    model = make_model("pretraining", torch.float32)
    again, _ = train(tmp_path / "cut", model, Rows(poison=[1]), recipe, evaluate=None, resume=True)
    assert same_weights(whole, again)


def test_former_fields_say_what_to_write_instead():
    plain = recipe_to_dict(toy_recipe())
    same = {"accumulation": 1, "gradient_cache": False}  # as earlier versions saved every recipe
    assert recipe_from_dict(plain | {"optimisation": plain["optimisation"] | same}) == toy_recipe()
    for name, value in (("accumulation", 4), ("gradient_cache", True)):
        sentence = rf"optimisation\.{name} is no field any more: .*batch_size.*micro_batch"
        with pytest.raises(UserError, match=sentence):
            recipe_from_dict(plain | {"optimisation": plain["optimisation"] | {name: value}})
        with pytest.raises(UserError, match=sentence):
            override(toy_recipe(), {f"optimisation.{name}": value})
    with pytest.raises(UserError, match=r"optimisation\.micro_batch is 0; it should be greater"):
        override(toy_recipe(), {"optimisation.micro_batch": 0})
