"""Batches: every sample once, an exact position, and the same batches from any worker."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snpkit.data.dataset import VideoTextDataset
from snpkit.data.loader import ShuffledBatches, make_loader
from snpkit.data.samples import Manifest, VideoText
from snpkit.errors import UserError
from tests.video.films import write_film

sizes = st.integers(1, 60)


@given(sizes, sizes, st.integers(0, 5), st.booleans())
def test_an_epoch_takes_every_sample_once(size, batch_size, seed, drop_last):
    if drop_last and size < batch_size:
        with pytest.raises(UserError, match="smaller batch size"):
            ShuffledBatches(size, batch_size, seed)
        return
    batches = ShuffledBatches(size, batch_size, seed, drop_last)
    for epoch in range(2):
        assert batches.epoch == epoch
        taken = list(batches)
        flat = [index for batch in taken for index in batch]
        assert len(taken) == len(batches)
        assert all(len(batch) == batch_size for batch in (taken if drop_last else taken[:-1]))
        assert len(set(flat)) == len(flat)
        assert len(flat) == size - (size % batch_size if drop_last else 0)
        assert set(flat) <= set(range(size))


@given(st.integers(4, 60), st.integers(1, 4), st.integers(0, 40))
def test_a_saved_position_is_exact(size, batch_size, steps):
    def endless(batches):
        while True:
            yield from batches

    first = ShuffledBatches(size, batch_size, 7)
    stream = endless(first)
    for _ in range(steps):
        next(stream)
    state = first.state_dict()
    second = ShuffledBatches(size, batch_size, 7)
    second.load_state_dict(state)
    resumed = endless(second)
    assert [next(resumed) for _ in range(20)] == [next(stream) for _ in range(20)]


def test_the_order_changes_with_seed_and_epoch():
    batches = ShuffledBatches(50, 50, 0)
    first, second = list(batches), list(batches)
    other = list(ShuffledBatches(50, 50, 1))
    assert first != second and first != other
    assert first == list(ShuffledBatches(50, 50, 0))
    assert first[0] != list(range(50))


def test_processes_share_each_batch():
    whole = list(ShuffledBatches(20, 6, 3))
    shares = [list(ShuffledBatches(20, 6, 3, rank=rank, world_size=3)) for rank in range(3)]
    for number, batch in enumerate(whole):
        parts = [share[number] for share in shares]
        assert all(len(part) == 2 for part in parts)
        assert sorted(index for part in parts for index in part) == sorted(batch)
    with pytest.raises(UserError, match="does not divide among 4"):
        ShuffledBatches(20, 6, world_size=4)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"size": 21}, "has size 21"),
        ({"seed": 1}, "has seed 1"),
        ({"batch_size": 4}, "has batch_size 4"),
        ({"position": 4}, "no position"),
        ({"epoch": -1}, "no position"),
    ],
)
def test_a_position_of_another_run_is_refused(change, problem):
    batches = ShuffledBatches(20, 5)
    with pytest.raises(UserError, match=problem):
        batches.load_state_dict(batches.state_dict() | change)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    folder = tmp_path_factory.mktemp("films")
    rows = [VideoText(str(n), f"{n}.mp4", f"caption {n}", "train") for n in range(10)]
    for number in range(9):
        write_film(folder / f"{number}.mp4", 8, 48, 48)
    (folder / "9.mp4").write_text("not a film")
    return Manifest(folder, rows)


def make(manifest, workers=0, cache=False, context=None, **settings):
    dataset = VideoTextDataset(
        manifest, 2, 2, 40, training=True, cache=cache, progress=False, **settings
    )
    return make_loader(dataset, ShuffledBatches(10, 3, 5), workers, context=context)


def same(first, second) -> bool:
    return (
        first.keys() == second.keys() == {"frames", "captions", "index"}
        and torch.equal(first["frames"], second["frames"])
        and torch.equal(first["index"], second["index"])
        and first["captions"] == second["captions"]
    )


@pytest.mark.parametrize(
    ("workers", "cache", "context"),
    [(0, True, None), (2, True, None), (2, False, "fork"), (1, False, "spawn")],
)
def test_batches_are_the_same_however_they_are_read(manifest, workers, cache, context):
    if context and context not in torch.multiprocessing.get_all_start_methods():
        pytest.skip(f"no {context} here")
    expected, loader = make(manifest), make(manifest, workers, cache, context)
    shown = set()
    for _ in range(2):
        for ours, theirs in zip(loader, expected, strict=True):
            assert same(ours, theirs)
            shown |= set(ours["index"].tolist())
    assert loader.state_dict() == expected.state_dict()
    assert loader.batches.epoch == 2 and shown == set(range(9))
    # What workers could not read is known here.
    assert set(loader.dataset.report().reasons) == {"9.mp4"}


@pytest.mark.parametrize("workers", [0, 2])
def test_resuming_in_the_middle_of_an_epoch(manifest, workers):
    loader = make(manifest, workers)
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()  # workers are ahead of it by now
    assert state["position"] == 1
    second, third = next(batches), next(batches)
    fresh = make(manifest, workers)
    fresh.load_state_dict(state)
    assert all(map(same, fresh, (second, third)))
    loader.load_state_dict(state)  # the same loader may go back, too
    assert same(next(iter(loader)), second)


def test_a_worker_that_gives_up_says_one_sentence(manifest):
    loader = make(manifest, 1, max_unreadable=0.0)
    with pytest.raises(UserError, match=r"^1 of 10 clips cannot be read") as caught:
        for _ in range(2):
            list(loader)
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)


def test_the_training_loops_random_numbers_are_left_alone(manifest):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(make(manifest, 0))
    assert torch.equal(torch.get_rng_state(), before)


def test_order_and_data_set_must_fit(manifest):
    dataset = VideoTextDataset(manifest, 1, 1, 40, training=False)
    with pytest.raises(UserError, match="11 samples is not of 10"):
        make_loader(dataset, ShuffledBatches(11, 3))


@given(st.lists(st.integers(0, 4), min_size=8, max_size=80), st.integers(2, 6), st.integers(0, 9))
def test_groups_of_one_kind_stand_together(kinds, group, seed):
    kinds = np.array(kinds)
    batches = ShuffledBatches(len(kinds), 1, seed, kinds=kinds, group=group)
    order = [index for batch in batches for index in batch]
    assert sorted(order) == list(range(len(kinds)))
    # Each kind falls into whole groups and one rest; two groups of a kind may meet by chance.
    pieces = sum(-(-int(count) // group) for count in np.bincount(kinds))
    changes = sum(kinds[a] != kinds[b] for a, b in itertools.pairwise(order))
    assert changes <= pieces - 1


def test_groups_do_not_touch_the_order_when_there_are_none():
    plain = list(ShuffledBatches(30, 5, 3))
    assert plain == list(ShuffledBatches(30, 5, 3, kinds=np.zeros(30), group=1))
    assert plain == list(ShuffledBatches(30, 5, 3, kinds=None, group=4))
