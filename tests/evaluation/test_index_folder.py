"""The kept index of a folder: what is encoded again, and what is not."""

import os
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snpkit.errors import VideoError
from snpkit.evaluation import index_folder
from snpkit.evaluation.index_folder import encode_folder
from snpkit.video.reader import read_clips
from tests.data import misbehaving
from tests.evaluation.folders import COLOURS, LONG_AGO, Colours, paint
from tests.video.films import write_film


@pytest.fixture
def folder(tmp_path):
    for when, (name, colour) in enumerate(COLOURS.items()):
        paint(tmp_path / "clips" / f"{name}.png", colour, when)
    return tmp_path / "clips"


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "index"


def same_as_fresh(index, model, root):
    """The kept index says what a new one would."""
    fresh = encode_folder(type(model)(model.weight.item(), **vars(model.config)), root)
    assert index.names == fresh.names and index.unreadable.keys() == fresh.unreadable.keys()
    assert torch.equal(index.videos.clip_features, fresh.videos.clip_features)
    assert torch.equal(index.videos.clip_tokens, fresh.videos.clip_tokens)
    return True


def test_a_folder_is_encoded_once(folder, kept):
    first, second = Colours(), Colours()
    index = encode_folder(first, folder, cache=kept)
    assert first.read == index.encoded == 3 and index.kept_in.is_relative_to(kept)
    again = encode_folder(second, folder, cache=kept)
    assert second.read == again.encoded == 0 and same_as_fresh(again, second, folder)


def test_videos_are_indexed_by_the_middle_frames_of_the_model(tmp_path):
    film = write_film(tmp_path / "film.mp4", 8)
    found = {}
    for middle in ("lower", "upper"):
        index = encode_folder(Colours(clips=2, frame_middle=middle), tmp_path)
        seen = read_clips(film, 2, 1, size=8, middle=middle).float().mean(dim=(1, 3, 4)) / 255
        found[middle] = index.videos.clip_tokens[0]
        torch.testing.assert_close(found[middle], seen, rtol=0, atol=1e-6)
    assert not torch.equal(*found.values())


def test_an_unchanged_file_is_not_even_opened(folder, kept, monkeypatch):
    encode_folder(Colours(), folder, cache=kept)
    (folder / "new.png").write_bytes((folder / "red.png").read_bytes())
    opened, hashed = [], index_folder.content_key
    monkeypatch.setattr(
        index_folder, "content_key", lambda path: opened.append(path.name) or hashed(path)
    )
    encode_folder(Colours(), folder, cache=kept)
    assert opened == ["new.png"]
    # It was written a moment ago, and may change again within one tick of the clock.
    opened.clear()
    encode_folder(Colours(), folder, cache=kept)
    assert opened == ["new.png"]


def test_without_a_place_nothing_is_written(folder, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert encode_folder(Colours(), folder).kept_in is None
    assert sorted(tmp_path.rglob("*")) == before


def test_renamed_moved_copied_and_touched_files_are_not_encoded_again(folder, kept, tmp_path):
    encode_folder(Colours(), folder, cache=kept)
    (folder / "deep").mkdir()
    (folder / "red.png").rename(folder / "deep" / "scarlet.png")
    shutil.copy(folder / "blue.png", folder / "azure.png")
    os.utime(folder / "green.png")
    model = Colours()
    index = encode_folder(model, folder, cache=kept)
    assert index.names == ["azure.png", "blue.png", "deep/scarlet.png", "green.png"]
    assert model.read == 0 and same_as_fresh(index, model, folder)
    folder.rename(tmp_path / "elsewhere")
    index = encode_folder(model, tmp_path / "elsewhere", cache=kept)
    assert model.read == 0 and same_as_fresh(index, model, tmp_path / "elsewhere")


def test_the_same_content_is_encoded_once(folder, kept):
    for number in range(3):
        shutil.copy(folder / "red.png", folder / f"again-{number}.png")
    model = Colours()
    index = encode_folder(model, folder, cache=kept, batch_size=2)
    assert len(index.names) == 6 and model.read == 3 and same_as_fresh(index, model, folder)


def test_new_and_changed_files_are_encoded_and_vanished_ones_dropped(folder, kept):
    encode_folder(Colours(), folder, cache=kept)
    paint(folder / "red.png", (1, 2, 3), when=9)
    paint(folder / "new.png", (4, 5, 6))
    (folder / "blue.png").unlink()
    model = Colours()
    index = encode_folder(model, folder, cache=kept)
    assert index.names == ["green.png", "new.png", "red.png"]
    assert model.read == 2 and same_as_fresh(index, model, folder)
    paint(folder / "blue.png", COLOURS["blue"])
    encode_folder(model, folder, cache=kept)
    assert model.read == 3  # forgotten when it was gone


def test_another_model_or_another_sampling_has_its_own_index(folder, kept):
    models = [Colours(), Colours(2.0), Colours(image_size=4), Colours().double()]
    places = {encode_folder(model, folder, cache=kept).kept_in for model in models}
    assert len(places) == 4 and [model.read for model in models] == [3, 3, 3, 3]
    again = [Colours(), Colours(2.0)]
    for model in again:
        assert same_as_fresh(encode_folder(model, folder, cache=kept), model, folder)
    assert [model.read for model in again] == [0, 0]
    sampled = Colours()
    encode_folder(sampled, folder, cache=kept, size=6)
    assert sampled.read == 3


@pytest.fixture
def tries(monkeypatch):
    """The names of the files that are decoded."""
    tried, read = [], index_folder.read_square
    monkeypatch.setattr(
        index_folder,
        "read_square",
        lambda path, **options: tried.append(path.name) or read(path, **options),
    )
    return tried


def test_an_unreadable_file_is_tried_again_only_when_it_changed(folder, kept, tries, monkeypatch):
    broken = folder / "broken.mp4"
    broken.write_bytes(b"no video")
    os.utime(broken, (LONG_AGO, LONG_AGO))
    reasons = encode_folder(Colours(), folder, cache=kept).unreadable
    assert list(reasons) == ["broken.mp4"] and "broken.mp4" in tries
    tries.clear()
    assert encode_folder(Colours(), folder, cache=kept).unreadable == reasons
    assert tries == []
    os.utime(broken)  # touched, but the same
    assert encode_folder(Colours(), folder, cache=kept).unreadable == reasons
    assert tries == []
    monkeypatch.setattr("snpkit.evaluation.index_store.readers_key", lambda: "newer ones")
    encode_folder(Colours(), folder, cache=kept)
    assert tries == ["broken.mp4"]
    broken.unlink()
    paint(folder / "broken.png", (7, 7, 7)).rename(broken.with_suffix(".gif"))
    index = encode_folder(Colours(), folder, cache=kept)
    assert not index.unreadable and "broken.gif" in index.names


def test_a_folder_of_unreadable_files_is_remembered_too(tmp_path, kept, tries):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(b"")
    os.utime(tmp_path / "clips" / "a.mp4", (LONG_AGO, LONG_AGO))
    for _ in range(2):
        with pytest.raises(VideoError, match=r"None of the 1 videos.*a\.mp4"):
            encode_folder(Colours(), tmp_path / "clips", cache=kept)
    assert tries == ["a.mp4"]


def test_a_file_that_may_not_be_read_is_named_and_not_remembered(folder, kept, monkeypatch):
    hashed = index_folder.content_key

    def forbidden(path):
        if path.name == "red.png":
            raise PermissionError(13, "Permission denied")
        return hashed(path)

    with monkeypatch.context() as patch:
        patch.setattr(index_folder, "content_key", forbidden)
        index = encode_folder(Colours(), folder, cache=kept)
    assert list(index.unreadable) == ["red.png"]
    assert "Permission denied" in index.unreadable["red.png"]
    assert encode_folder(Colours(), folder, cache=kept).names == ["blue.png", "green.png",
                                                                  "red.png"]  # fmt: skip


def test_a_file_that_hangs_or_crashes_its_decoder_is_left_out(folder, kept, monkeypatch):
    unguarded = encode_folder(Colours(), folder)
    for name in misbehaving.NAMES:
        write_film(folder / name, 4, 16, 16)
    monkeypatch.setattr(index_folder, "read_clips", misbehaving.read)
    model = Colours()
    index = encode_folder(model, folder, cache=kept, guard_seconds=4.0)
    assert index.names == unguarded.names and model.read == 3
    assert torch.equal(index.videos.clip_features, unguarded.videos.clip_features)
    assert set(index.unreadable) == set(misbehaving.NAMES)
    assert "takes longer than 4 s" in index.unreadable["hang.mp4"]
    # They are not tried again: else every search would wait for them.
    again = encode_folder(model, folder, cache=kept, guard_seconds=1e-3)
    assert again.unreadable == index.unreadable and model.read == 3


def test_a_file_that_changes_while_it_is_read_is_not_remembered(folder, kept, monkeypatch):
    read = index_folder.read_square

    def slow(path, **options):
        if path.name == "red.png":
            paint(path, (9, 9, 9), when=77)
        return read(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(index_folder, "read_square", slow)
        index = encode_folder(Colours(), folder, cache=kept)
    assert len(index.names) == 3
    paint(folder / "red.png", COLOURS["red"], when=0)  # what its hash was taken of
    model = Colours()
    assert same_as_fresh(encode_folder(model, folder, cache=kept), model, folder)
    assert model.read == 1


def test_ctrl_c_keeps_what_was_encoded(folder, kept):
    class Stopped(Colours):
        def encode_video(self, pixel_values, pixel_mask=None):
            if self.read == 2:
                raise KeyboardInterrupt
            return super().encode_video(pixel_values, pixel_mask)

    Stopped.__name__ = "Colours"  # the key of a model has its class's name
    with pytest.raises(KeyboardInterrupt):
        encode_folder(Stopped(), folder, cache=kept, batch_size=1)
    model = Colours()
    assert same_as_fresh(encode_folder(model, folder, cache=kept), model, folder)
    assert model.read == 1


NAMES = st.sampled_from(["a.png", "b.png", "c/d.png"])
STEPS = st.one_of(
    st.tuples(st.just("paint"), NAMES, st.integers(0, 3)),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("copy"), NAMES, NAMES),
    st.tuples(st.sampled_from(["remove", "touch", "break"]), NAMES, st.none()),
)


@settings(max_examples=25)
@given(st.lists(st.lists(STEPS, max_size=4), min_size=1, max_size=4))
def test_whatever_happens_to_the_files_the_index_says_what_a_new_one_would(runs):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as place:
        root, time = paint(Path(place) / "clips" / "always.png", (50, 60, 70), 0).parent, 0
        known = set()  # contents that the last index held
        for steps in [[], *runs]:
            for step in steps:
                time += 1
                act(root, time, *step)
            model = Colours()
            index = encode_folder(model, root, cache=Path(place) / "index", batch_size=2)
            assert same_as_fresh(index, model, root)
            contents = {(root / name).read_bytes() for name in index.names}
            assert model.read == len(contents - known)
            known = contents


def act(root, time, what, name, other):
    path = root / name
    if what == "paint":
        paint(path, (80 * other, 10, 10), time)
    elif what == "break":
        paint(path, (0, 0, 0)).write_bytes(b"no picture")
        os.utime(path, (LONG_AGO + time,) * 2)
    elif path.is_file() and what == "remove":
        path.unlink()
    elif path.is_file() and what == "touch":
        os.utime(path, (LONG_AGO + time,) * 2)
    elif path.is_file() and (root / other) != path:
        (root / other).parent.mkdir(exist_ok=True)
        (shutil.copy2 if what == "copy" else os.replace)(path, root / other)
