"""Training data behind a guard: a video that hangs or crashes its decoder costs one video."""

import pickle
import shutil

import pytest
import torch

from snpkit.data import decoding
from snpkit.data.cache import FrameCache
from snpkit.data.dataset import VideoTextDataset
from snpkit.data.loader import ShuffledBatches, make_loader
from snpkit.data.samples import Manifest, VideoText
from snpkit.errors import UserError
from tests.data import misbehaving
from tests.video.films import write_film

SECONDS = 3.0  # a busy machine may take long over a small film
NAMES = [f"{number}.mp4" for number in range(8)] + list(misbehaving.NAMES)


def manifest_of(folder, names=NAMES) -> Manifest:
    return Manifest(folder, [VideoText(name, name, f"shows {name}", "train") for name in names])


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Manifest:
    """Ten films; the last two are fine, but see `misbehaving`."""
    folder = tmp_path_factory.mktemp("films")
    for name in NAMES:
        write_film(folder / name, 8, 48, 48)
    return manifest_of(folder)


@pytest.fixture(scope="module")
def damaged(films, tmp_path_factory) -> Manifest:
    """The same films, but for the last two, which are plainly no films."""
    folder = tmp_path_factory.mktemp("damaged")
    for name in NAMES[:-2]:  # copied: written anew a film may come out with other pixels
        shutil.copy(films.root / name, folder)
    for name in NAMES[-2:]:
        (folder / name).write_text("no film")
    return manifest_of(folder)


def make(manifest, guard=0.0, read=None, **settings):
    settings = {"training": True, "max_unreadable": 0.5, "progress": False} | settings
    dataset = VideoTextDataset(manifest, 2, 2, 40, guard_seconds=guard, **settings)
    if read is not None:
        dataset._read_clips = read
    return dataset


def batches_of(dataset, workers, epochs=2):
    loader = make_loader(dataset, ShuffledBatches(len(dataset), 3, 5), workers)
    return [batch for _ in range(epochs) for batch in loader], loader


def same(first, second) -> bool:
    equal = torch.equal(first["frames"], second["frames"])
    return equal and first["captions"] == second["captions"]


@pytest.mark.parametrize("options", [{}, {"fit": "long", "min_scale": 0.5}, {"training": False}])
def test_a_guard_changes_no_frame(films, options):
    plain, guarded = make(films, **options), make(films, SECONDS, **options)
    assert guarded.guard and not plain.guard
    for index in (0, 3, 9):
        one, other = plain[4, index], guarded[4, index]
        assert torch.equal(one["frames"], other["frames"]) and one["index"] == other["index"]
        assert ("pixel_mask" in one) == ("pixel_mask" in other)


@pytest.mark.parametrize("workers", [0, 3])
def test_videos_that_hang_or_crash_are_named_and_replaced(films, damaged, workers):
    expected, _ = batches_of(make(damaged), 0)
    dataset = make(films, SECONDS, misbehaving.read)
    found, loader = batches_of(dataset, workers)
    assert len(found) == len(expected) and all(map(same, found, expected))
    reasons = dataset.report().reasons
    assert set(reasons) == set(misbehaving.NAMES) and "2 of 10 clips" in str(dataset.report())
    assert "takes longer than 3 s" in reasons["hang.mp4"]
    assert "made the reader crash" in reasons["crash.mp4"]
    assert loader.state_dict()["epoch"] == 2
    # Each cost its reader once: what is known is not tried again.
    assert dataset.guard.replaced == 2


def test_readers_ahead_of_a_position_are_forgotten(films):
    loader = make_loader(make(films, SECONDS), ShuffledBatches(10, 3, 5), 2)
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    assert state["position"] == 1  # readers are ahead of it by now
    second, third = next(batches), next(batches)
    batches.close()
    loader.load_state_dict(state)
    assert all(map(same, loader, (second, third)))


def test_too_many_end_the_run_in_one_sentence(films):
    dataset = make(films, SECONDS, misbehaving.read, max_unreadable=0.0)
    sentence = r"^1 of 10 clips cannot be read.*(hang|crash)\.mp4"
    with pytest.raises(UserError, match=sentence) as said:
        batches_of(dataset, 2)
    assert "\n" not in str(said.value)


def test_a_cache_is_filled_without_them(films, monkeypatch):
    plain = FrameCache.build(films, 40, progress=False)
    guarded = FrameCache.build(films, 40, guard_seconds=SECONDS, progress=False)
    assert torch.equal(plain.frames, guarded.frames) and plain.spans == guarded.spans
    monkeypatch.setattr(decoding, "open_index", misbehaving.index)
    options = {"guard_seconds": SECONDS, "workers": 2, "progress": False}
    found = FrameCache.build(films, 40, **options)
    assert set(found.report.reasons) == found.report.passing == set(misbehaving.NAMES)
    assert set(found.spans) == set(NAMES[:-2])
    for name in NAMES[:-2]:
        first, second = plain.spans[name], found.spans[name]
        assert torch.equal(plain.frames[first.start : first.stop],
                           found.frames[second.start : second.stop])  # fmt: skip


def test_a_guarded_data_set_travels_without_its_processes(films):
    dataset = make(films, SECONDS)
    dataset[0]
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[1]["frames"], dataset[1]["frames"])
    assert len(copy.guard._readers) == 1
