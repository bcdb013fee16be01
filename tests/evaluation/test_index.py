"""The kept index of a folder: what is encoded again, and what damage and other runs do to it."""

import json
import multiprocessing
import os
import pickle
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from snpkit.errors import VideoError
from snpkit.evaluation import index as on_disk
from snpkit.evaluation import search
from snpkit.evaluation.index import Index, Seen, content_key, index_path
from snpkit.evaluation.search import encode_folder
from snpkit.video.reader import read_clips
from tests.data import misbehaving
from tests.evaluation.folders import COLOURS, LONG_AGO, Colours, indexed, paint
from tests.video.films import write_film

FORKS = pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="forks")
PIPES = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")


def names_opened(monkeypatch, module, function):
    """The names of the files that a function is called with."""
    names, whole = [], getattr(module, function)
    monkeypatch.setattr(
        module, function, lambda path, *a, **o: names.append(path.name) or whole(path, *a, **o)
    )
    return names


@pytest.fixture
def tries(monkeypatch):
    return names_opened(monkeypatch, search, "read_square")


def test_a_folder_is_encoded_once_and_not_even_opened_again(folder, kept, monkeypatch):
    before = sorted(folder.parent.rglob("*"))
    assert indexed(folder)[0].kept_in is None
    assert sorted(folder.parent.rglob("*")) == before
    index, model = indexed(folder, kept)
    assert model.read == index.encoded == 3 and index.kept_in.is_relative_to(kept)
    kinds = sorted(path.suffix for path in kept.rglob("*") if path.is_file())
    assert kinds == [".json", ".safetensors"]
    shutil.copyfile(folder / "red.png", folder / "new.png")
    opened = names_opened(monkeypatch, on_disk, "content_key")
    # It was written a moment ago, and may change again within one tick of the clock.
    for _ in range(2):
        assert encode_folder(Colours(), folder, cache=kept).encoded == 0
        assert opened == ["new.png"]
        opened.clear()
    folder.rename(folder.with_name("elsewhere"))
    assert indexed(folder.with_name("elsewhere"), kept)[1].read == 0


def test_videos_are_indexed_by_the_middle_frames_of_the_model(tmp_path):
    film = write_film(tmp_path / "film.mp4", 8)
    found = {}
    for middle in ("lower", "upper"):
        index = encode_folder(Colours(clips=2, frame_middle=middle), tmp_path)
        seen = read_clips(film, 2, 1, size=8, middle=middle).float().mean(dim=(1, 3, 4)) / 255
        found[middle] = index.videos.clip_tokens[0]
        torch.testing.assert_close(found[middle], seen, rtol=0, atol=1e-6)
    assert not torch.equal(*found.values())


def test_a_sparse_film_of_200_gb_is_not_hashed_whole(tmp_path, kept):
    paint(tmp_path / "a.png", (9, 9, 9))
    with open(tmp_path / "huge.mp4", "wb") as file:
        file.truncate(200 << 30)  # hashed whole it takes minutes
    index = encode_folder(Colours(), tmp_path, cache=kept)
    assert index.names == ["a.png"] and list(index.unreadable) == ["huge.mp4"]


def test_of_a_large_file_both_ends_its_size_and_its_time_count(tmp_path, monkeypatch):
    monkeypatch.setattr(on_disk, "_WHOLE", 8)
    path = tmp_path / "a.mp4"

    def key(content, when=1):
        path.write_bytes(content)
        os.utime(path, (when, when))
        return content_key(path, path.stat())

    contents = [b"12345678", b"12345679", b"1234567890", b"0234567890", b"1234567800", b"1" * 11]
    keys = [key(content) for content in contents]
    assert len({*keys, key(contents[2], when=2)}) == 7
    assert key(contents[0], when=2) == keys[0] and key(b"1234xx7890") == keys[2]


def test_an_index_is_named_by_weights_config_and_folder(folder, kept):
    models = [Colours(), Colours(1.001), Colours(image_size=4), Colours().half(), Colours()]
    models[-1].register_buffer("more", torch.zeros(1))
    paths = {index_path(kept, folder, model) for model in models}
    assert len({*paths, index_path(kept, kept, models[0])}) == 6
    models[0].config.transformers_version = "9"
    assert index_path(kept, folder, models[0]) in paths
    for model in models[:3]:
        assert indexed(folder, kept, model)[1].read == 3


def test_an_unreadable_file_is_tried_again_only_when_it_changed(
    folder, kept, tries, monkeypatch, caplog
):
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
    with monkeypatch.context() as patch:
        patch.setattr(on_disk, "_READERS", "newer ones")
        encode_folder(Colours(), folder, cache=kept)
    assert tries == ["broken.mp4"]
    for name in COLOURS:
        (folder / f"{name}.png").unlink()
    for _ in range(2):
        with pytest.raises(VideoError, match=r"None of the 1 videos.*broken\.mp4"):
            encode_folder(Colours(), folder, cache=kept)
    assert tries == ["broken.mp4"] * 2 and not caplog.records
    paint(broken.with_suffix(".gif"), (7, 7, 7)).rename(broken)
    assert not encode_folder(Colours(), folder, cache=kept).unreadable


@PIPES
def test_pipes_broken_links_and_closed_files_are_named_and_not_remembered(
    folder, kept, monkeypatch
):
    os.mkfifo(folder / "pipe.mp4")
    (folder / "link.mp4").symlink_to(folder / "nowhere.mp4")

    def closed(path, now):
        if path.name == "red.png":
            raise PermissionError(13, "Permission denied")
        return content_key(path, now)

    with monkeypatch.context() as patch:
        patch.setattr(on_disk, "content_key", closed)
        found = encode_folder(Colours(), folder, cache=kept).unreadable
    said = {"link.mp4": "No such file", "pipe.mp4": "is no regular file", "red.png": "denied"}
    assert list(found) == list(said)
    assert all(found[name].startswith("Cannot read") and said[name] in found[name] for name in said)
    names = encode_folder(Colours(), folder, cache=kept).names
    assert names == ["blue.png", "green.png", "red.png"]


def test_a_file_that_hangs_or_crashes_its_decoder_is_left_out(folder, kept, monkeypatch):
    unguarded = encode_folder(Colours(), folder)
    for name in misbehaving.NAMES:
        write_film(folder / name, 4, 16, 16)
    monkeypatch.setattr(search, "read_clips", misbehaving.read)
    index = encode_folder(Colours(), folder, cache=kept, guard_seconds=4.0)
    assert index.names == unguarded.names and index.encoded == 3
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
    read = search.read_square

    def slow(path, **options):
        if path.name == "red.png":
            paint(path, (9, 9, 9), when=77)
        return read(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(search, "read_square", slow)
        assert len(encode_folder(Colours(), folder, cache=kept).names) == 3
    paint(folder / "red.png", COLOURS["red"], when=0)  # what its digest was taken of
    assert indexed(folder, kept)[1].read == 1


def test_ctrl_c_keeps_what_was_encoded(folder, kept):
    class Stopped(Colours):
        def encode_video(self, pixel_values, pixel_mask=None):
            if self.read == 2:
                raise KeyboardInterrupt
            return super().encode_video(pixel_values, pixel_mask)

    Stopped.__name__ = "Colours"  # the key of a model has its class's name
    with pytest.raises(KeyboardInterrupt):
        encode_folder(Stopped(), folder, cache=kept, batch_size=1)
    assert indexed(folder, kept)[1].read == 1


NAMES = st.sampled_from(["a.png", "b.png", "c/d.png"])
STEPS = st.one_of(
    st.tuples(st.just("paint"), NAMES, st.integers(0, 3)),
    st.tuples(st.sampled_from(["rename", "copy"]), NAMES, NAMES),
    st.tuples(st.sampled_from(["remove", "touch", "break"]), NAMES, st.none()),
)


@settings(max_examples=25)
@given(st.lists(st.lists(STEPS, max_size=4), min_size=1, max_size=4))
def test_whatever_happens_to_the_files_the_index_says_what_a_new_one_would(runs):
    with tempfile.TemporaryDirectory() as place:
        root, now = paint(Path(place) / "clips" / "always.png", (50, 60, 70), 0).parent, 0
        known = set()  # contents that the last index held
        for steps in [[], *runs]:
            for step in steps:
                now += 1
                act(root, now, *step)
            index, model = indexed(root, Path(place) / "index", batch_size=2)
            contents = {(root / name).read_bytes() for name in index.names}
            assert model.read == len(contents - known)
            known = contents
            listing = json.loads(index.kept_in.read_text())
            assert len(listing["contents"]) == len(contents)  # what is gone is forgotten


def act(root, now, what, name, other):
    path = root / name
    if what == "paint":
        paint(path, (80 * other, 10, 10), now)
    elif what == "break":
        paint(path, (0, 0, 0)).write_bytes(b"no picture")
        os.utime(path, (LONG_AGO + now,) * 2)
    elif path.is_file() and what == "remove":
        path.unlink()
    elif path.is_file() and what == "touch":
        os.utime(path, (LONG_AGO + now,) * 2)
    elif path.is_file() and (root / other) != path:
        (root / other).parent.mkdir(exist_ok=True)
        (shutil.copy2 if what == "copy" else os.replace)(path, root / other)


def vectors_of(listing):
    (path,) = listing.parent.glob("*.safetensors")
    return path


class Bomb:
    """What would run on being unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "flipped": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 9),
    "missing": Path.unlink,
    "of another": lambda path: save_file({"weights": load_file(path)["clip_tokens"].clone()}, path),
    "pickled": lambda path: path.write_bytes(pickle.dumps(Bomb(path.parent / "BOOM"))),
}
LISTINGS = [  # the text of one, or values that replace those of a healthy one
    "", "{", "[]", "3", "{}", "[" * 9000, "9" * 9000, {"files": []}, {"files": {"red.png": 3}},
    {"files": {"red.png": [1]}}, {"files": {"red.png": [1, 1, 7, None]}}, {"contents": 3},
    {"files": {"red.png": ["x", 1, "y", None]}}, {"contents": ["1"]}, {"vectors": 7},
    {"vectors": "../../../../etc/passwd"},
]  # fmt: skip


def mend(folder, kept, caplog):
    """A damaged index is made again, with one warning."""
    assert indexed(folder, kept)[1].read == 3
    (warning,) = caplog.records
    assert "is damaged" in warning.getMessage()
    caplog.clear()
    assert indexed(folder, kept)[1].read == 0 and not caplog.records


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_vectors_are_made_again(folder, kept, caplog, damage):
    DAMAGES[damage](vectors_of(encode_folder(Colours(), folder, cache=kept).kept_in))
    mend(folder, kept, caplog)
    assert not list(kept.rglob("BOOM"))


@pytest.mark.parametrize("content", LISTINGS)
def test_a_damaged_listing_is_made_again(folder, kept, caplog, content):
    listing = encode_folder(Colours(), folder, cache=kept).kept_in
    if isinstance(content, dict):
        content = json.dumps(json.loads(listing.read_text()) | content)
    listing.write_text(content)
    mend(folder, kept, caplog)


@PIPES
def test_a_pipe_in_place_of_an_index_is_damage(folder, kept, caplog):
    listing = encode_folder(Colours(), folder, cache=kept).kept_in
    for path in (listing, vectors_of(listing)):
        path.unlink()
        os.mkfifo(path)
    os.mkfifo(listing.with_name("another.json"))  # of another folder, which is asked too
    mend(folder, kept, caplog)


def test_a_listing_never_names_a_file_that_the_folder_does_not_hold(folder, kept):
    listing = encode_folder(Colours(), folder, cache=kept).kept_in
    found = json.loads(listing.read_text())
    assert Path(found["folder"]) == folder
    found["files"]["../outside.png"] = found["files"]["/etc/passwd"] = found["files"]["red.png"]
    listing.write_text(json.dumps(found))
    index = encode_folder(Colours(), folder, cache=kept)
    assert index.names == ["blue.png", "green.png", "red.png"]
    assert json.loads(listing.read_text())["files"].keys() == set(index.names)


def work(folder, kept, seconds, ready, found):
    """Index a folder slowly, in a process of its own."""

    class Slow(Colours):
        def encode_video(self, pixel_values, pixel_mask=None):
            time.sleep(seconds)
            return super().encode_video(pixel_values, pixel_mask)

    Slow.__name__ = "Colours"
    search._SAVE_SECONDS = 0
    ready.wait()
    found.put(encode_folder(Slow(), folder, cache=kept, batch_size=1).encoded)


@pytest.fixture
def launch(folder, kept):
    """Start processes that index the folder, all at once."""
    context = multiprocessing.get_context("fork")

    def start(*seconds):
        ready, found = context.Barrier(len(seconds)), context.SimpleQueue()
        processes = [
            context.Process(target=work, args=(folder, kept, one, ready, found)) for one in seconds
        ]
        for process in processes:
            process.start()
        return processes, found

    return start


@FORKS
def test_a_run_that_is_killed_leaves_what_it_encoded(folder, kept, launch):
    (process,), _ = launch(0.3)
    deadline = time.monotonic() + 60
    while not list(kept.rglob("*.json")):
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.join()
    index, model = indexed(folder, kept)
    assert 1 <= model.read <= 2 and index.encoded == model.read


@FORKS
def test_two_runs_at_once_lose_nothing(folder, kept, launch, caplog):
    for number in range(12):
        paint(folder / f"{number:02}.png", (number, 2, 3), number)
    processes, found = launch(0.02, 0.03)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0 and 0 < found.get() <= 15
    assert indexed(folder, kept)[1].read == 0 and not caplog.records


def add(index, *names):
    """Save some files with vectors of their own."""
    for name in names:
        index.vectors[name] = torch.full((1, 3), float(ord(name))), torch.zeros(1, 3)
        index.seen[name] = Seen(1, 1, name)
    index.save()


def test_an_index_takes_up_what_another_run_wrote_and_forgets_only_what_it_knew(tmp_path):
    path = tmp_path / "index.json"
    add(Index(path, tmp_path), "a", "b")
    ours, theirs = Index(path, tmp_path, ["b", "d"]), Index(path, tmp_path, ["a", "b", "c"])
    add(theirs, "c")
    add(ours, "d")
    after = Index(path, tmp_path)
    assert sorted(after.files) == sorted(after.vectors) == ["b", "c", "d"]
    assert all(pair[0][0, 0] == ord(name) for name, pair in after.vectors.items())


def test_many_threads_that_write_at_once_lose_nothing(tmp_path):
    path = tmp_path / "index.json"
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda name: add(Index(path, tmp_path, "abcdef"), name), "abcdef"))
    after = Index(path, tmp_path)
    assert sorted(after.files) == sorted(after.vectors) == [*"abcdef"]


@pytest.mark.parametrize("step", range(3))
@pytest.mark.parametrize("what", ["atomic_path", "write_text", "_read_json"])
def test_a_run_may_end_before_any_step_of_writing(folder, kept, monkeypatch, caplog, what, step):
    encode_folder(Colours(), folder, cache=kept)
    (folder / "red.png").unlink()
    for number in range(3):
        paint(folder / f"{number}.png", (number, 2, 3), number)
    whole, calls = getattr(on_disk, what), []

    def ending(*arguments):
        calls.append(arguments)
        if len(calls) > step:
            raise SystemExit
        return whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(search, "_SAVE_SECONDS", 0)
        patch.setattr(on_disk, what, ending)
        with suppress(SystemExit):
            encode_folder(Colours(), folder, cache=kept, batch_size=1)
    index, _ = indexed(folder, kept)
    assert not caplog.records
    assert len(load_file(vectors_of(index.kept_in))["clip_tokens"]) == 5
    assert indexed(folder, kept)[1].read == 0


def test_what_killed_runs_left_goes(folder, kept):
    listing = encode_folder(Colours(), folder, cache=kept).kept_in
    old = listing.with_name(f"{listing.stem}.0123.safetensors")
    left = [old, *(listing.with_name(f".{path.name}.7.part") for path in (listing, old))]
    for path in left:
        path.write_bytes(b"half")
    paint(folder / "new.png", (1, 2, 3))
    encode_folder(Colours(), folder, cache=kept)
    assert not any(path.exists() for path in left)


def not_kept(caplog, folder, place, **options):
    """An index that cannot be written costs one warning; what is said, and how many are encoded."""
    caplog.clear()
    index, _ = indexed(folder, place, **options)
    assert len(index.names) == 3 and index.kept_in is None
    (warning,) = caplog.records
    assert "is not kept" in warning.getMessage()
    return warning.getMessage(), index.encoded


@pytest.mark.parametrize("place", ["taken", "taken/x", "n" * 256])
def test_where_nothing_can_be_written_the_search_goes_on(folder, tmp_path, caplog, place):
    (tmp_path / "taken").write_text("a file")
    assert not_kept(caplog, folder, tmp_path / place)[0].count(place) == 1


def test_an_index_of_another_user_is_left_alone(folder, kept, caplog, monkeypatch):
    listing = encode_folder(Colours(), folder, cache=kept).kept_in
    before, whole = listing.read_bytes(), on_disk.open_regular

    def closed(path, *arguments, **options):
        if kept in Path(path).parents:
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(on_disk, "open_regular", closed)
        said, encoded = not_kept(caplog, folder, kept)
        assert "Permission denied" in said and encoded == 3
    monkeypatch.setattr(on_disk, "locked_folder", closed)  # may be read, but not written to
    assert not_kept(caplog, folder, kept)[1] == 0
    assert listing.read_bytes() == before


def test_a_full_disk_is_one_warning(folder, kept, caplog, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "No space left" in not_kept(caplog, folder, kept, batch_size=1)[0]


def test_names_that_are_no_unicode_are_kept(tmp_path, kept):
    try:
        name = os.fsdecode(b"caf\xe9.png")
        paint(tmp_path / "clips" / "a.png", (9, 9, 9), 1).rename(tmp_path / "clips" / name)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes Unicode names only")
    for encoded in (1, 0):
        index = encode_folder(Colours(), tmp_path / "clips", cache=kept)
        assert index.names == [name] and index.encoded == encoded
