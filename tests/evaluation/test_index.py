"""The kept index of a folder: what is encoded again, and what is not."""

import json
import os
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snpkit.errors import VideoError
from snpkit.evaluation import index as indexing
from snpkit.evaluation import index_file
from snpkit.evaluation.index import encode_folder
from snpkit.video.reader import read_clips
from tests.data import misbehaving
from tests.evaluation.folders import COLOURS, LONG_AGO, Colours, paint, same_as_fresh
from tests.video.films import write_film


def names_opened(monkeypatch, module, function):
    """The names of the files that a function is called with."""
    names, whole = [], getattr(module, function)
    monkeypatch.setattr(
        module, function, lambda path, *a, **o: names.append(path.name) or whole(path, *a, **o)
    )
    return names


@pytest.fixture
def tries(monkeypatch):
    return names_opened(monkeypatch, indexing, "read_square")


def test_a_folder_is_encoded_once(folder, kept):
    first, second = Colours(), Colours()
    index = encode_folder(first, folder, cache=kept)
    assert first.read == index.encoded == 3 and index.kept_in.is_relative_to(kept)
    again = encode_folder(second, folder, cache=kept)
    assert second.read == again.encoded == 0 and same_as_fresh(again, second, folder)
    kinds = sorted(path.suffix for path in kept.rglob("*") if path.is_file())
    assert [kind for kind in kinds if kind != ".lock"] == [".json", ".safetensors"]


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
    opened = names_opened(monkeypatch, index_file, "content_key")
    # It was written a moment ago, and may change again within one tick of the clock.
    for _ in range(2):
        encode_folder(Colours(), folder, cache=kept)
        assert opened == ["new.png"]
        opened.clear()


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


def test_a_sparse_film_of_200_gb_is_not_hashed_whole(tmp_path, kept):
    paint(tmp_path / "a.png", (9, 9, 9))
    with open(tmp_path / "huge.mp4", "wb") as file:
        file.truncate(200 << 30)  # hashed whole it takes minutes
    index = encode_folder(Colours(), tmp_path, cache=kept)
    assert index.names == ["a.png"] and list(index.unreadable) == ["huge.mp4"]


def test_of_a_large_file_both_ends_its_size_and_its_time_count(tmp_path, monkeypatch):
    monkeypatch.setattr(index_file, "_WHOLE", 8)
    path, keys = tmp_path / "a.mp4", set()

    def key(content, when=1):
        path.write_bytes(content)
        os.utime(path, (when, when))
        return index_file.content_key(path, path.stat())

    contents = [b"12345678", b"12345679", b"1234567890", b"0234567890", b"1234567800", b"1" * 11]
    keys = [key(content) for content in contents]
    assert len({*keys, key(contents[2], when=2)}) == 7
    assert key(contents[0], when=2) == keys[0] and key(b"1234xx7890") == keys[2]


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


def test_an_unreadable_file_is_tried_again_only_when_it_changed(folder, kept, tries, monkeypatch):
    broken = folder / "broken.mp4"
    broken.write_bytes(b"no video")
    os.utime(broken, (LONG_AGO, LONG_AGO))
    reasons = encode_folder(Colours(), folder, cache=kept).unreadable
    assert list(reasons) == ["broken.mp4"] and "broken.mp4" in tries
    tries.clear()
    assert encode_folder(Colours(), folder, cache=kept).unreadable == reasons
    os.utime(broken)  # touched, but the same
    assert encode_folder(Colours(), folder, cache=kept).unreadable == reasons
    assert tries == []
    monkeypatch.setattr(index_file, "_readers", lambda: "newer ones")
    encode_folder(Colours(), folder, cache=kept)
    assert tries == ["broken.mp4"]
    broken.unlink()
    paint(folder / "broken.gif", (7, 7, 7))
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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_pipes_broken_links_and_closed_files_are_named_and_not_remembered(
    folder, kept, monkeypatch
):
    os.mkfifo(folder / "pipe.mp4")
    (folder / "link.mp4").symlink_to(folder / "nowhere.mp4")
    key = index_file.content_key

    def closed(path, now):
        if path.name == "red.png":
            raise PermissionError(13, "Permission denied")
        return key(path, now)

    with monkeypatch.context() as patch:
        patch.setattr(index_file, "content_key", closed)
        index = encode_folder(Colours(), folder, cache=kept)
    assert list(index.unreadable) == ["link.mp4", "pipe.mp4", "red.png"]
    for why, said in zip(
        index.unreadable.values(), ("No such file", "is no regular file", "denied"), strict=True
    ):
        assert why.startswith("Cannot read") and said in why
    assert encode_folder(Colours(), folder, cache=kept).names == [
        "blue.png", "green.png", "red.png"
    ]  # fmt: skip


def test_a_file_that_hangs_or_crashes_its_decoder_is_left_out(folder, kept, monkeypatch):
    unguarded = encode_folder(Colours(), folder)
    for name in misbehaving.NAMES:
        write_film(folder / name, 4, 16, 16)
    monkeypatch.setattr(indexing, "read_clips", misbehaving.read)
    model = Colours()
    index = encode_folder(model, folder, cache=kept, guard_seconds=4.0)
    assert index.names == unguarded.names and model.read == 3
    assert torch.equal(index.videos.clip_features, unguarded.videos.clip_features)
    assert set(index.unreadable) == set(misbehaving.NAMES)
    assert "takes longer than 4 s" in index.unreadable["hang.mp4"]
    kept_names = json.loads(index.kept_in.read_text())["files"].keys()
    assert kept_names == set(index.names)  # both are tried again: another time they may be read


def test_a_film_that_took_too_long_is_tried_again(folder, kept):
    write_film(folder / "film.mp4", 4, 16, 16)
    with pytest.raises(VideoError, match=r"takes longer than 0\.001 s"):
        encode_folder(Colours(), folder, cache=kept, guard_seconds=1e-3)
    assert "film.mp4" in encode_folder(Colours(), folder, cache=kept).names


def test_a_file_that_changes_while_it_is_read_is_not_remembered(folder, kept, monkeypatch):
    read = indexing.read_square

    def slow(path, **options):
        if path.name == "red.png":
            paint(path, (9, 9, 9), when=77)
        return read(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(indexing, "read_square", slow)
        index = encode_folder(Colours(), folder, cache=kept)
    assert len(index.names) == 3
    paint(folder / "red.png", COLOURS["red"], when=0)  # what its digest was taken of
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
