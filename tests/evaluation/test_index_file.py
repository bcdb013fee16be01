"""The index on disk: damage, killed runs, two runs at once, and no place to write to."""

import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from snpkit.evaluation import index as indexing
from snpkit.evaluation import index_file
from snpkit.evaluation.index import encode_folder
from snpkit.evaluation.index_file import IndexFile, Seen, index_path
from snpkit.files import cache_folder
from tests.evaluation.folders import Colours, paint, same_as_fresh


def vectors_of(listing):
    (path,) = listing.parent.glob("*.safetensors")
    return path


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def of_another(path):
    """A whole safetensors file, but none of ours."""
    tensors = load_file(path)
    save_file({"weights": tensors["clip_tokens"].clone()}, path)


def pickled(path):
    """What would run on being unpickled."""
    import pickle

    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(path.parent / "BOOM"),))

    path.write_bytes(pickle.dumps(Bomb()))


def piped(path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = {
    "flipped": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 9),
    "missing": Path.unlink,
    "of another": of_another,
    "pickled": pickled,
    "pipe": piped,
}


def mend(folder, kept, caplog):
    """Index a damaged folder; what is encoded again."""
    model = Colours()
    assert same_as_fresh(encode_folder(model, folder, cache=kept), model, folder)
    (warning,) = caplog.records
    assert "is damaged" in warning.getMessage()
    caplog.clear()
    read = model.read
    encode_folder(model, folder, cache=kept)
    assert model.read == read and not caplog.records
    return read


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_vectors_are_made_again_with_one_warning(folder, kept, caplog, damage):
    DAMAGES[damage](vectors_of(encode_folder(Colours(), folder, cache=kept).kept_in))
    assert mend(folder, kept, caplog) == 3
    assert not list(kept.rglob("BOOM"))


LISTINGS = [
    "", "{", "[]", "3", "{}", '{"files": []}', '{"files": {"red.png": 3}, "readers": ""}',
    '{"files": {"red.png": {"size": 1}}, "readers": ""}', "[" * 9000, "9" * 9000,
    '{"files": {"red.png": {"size": "1", "mtime_ns": 1, "content": "x"}}, "readers": ""}',
    '{"files": {"red.png": {"size": 1, "mtime_ns": 1, "content": ["x"]}}, "readers": ""}',
    '{"files": {}, "readers": "", "contents": [], "vectors": "../../../../etc/passwd"}',
    '{"files": {}, "readers": "", "contents": [], "vectors": 7}',
]  # fmt: skip


@pytest.mark.parametrize("content", LISTINGS)
def test_a_damaged_listing_is_made_again_with_one_warning(folder, kept, caplog, content):
    encode_folder(Colours(), folder, cache=kept).kept_in.write_text(content)
    assert mend(folder, kept, caplog) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_in_place_of_an_index_is_damage(folder, kept, caplog):
    listing = encode_folder(Colours(), folder, cache=kept).kept_in
    piped(listing)
    os.mkfifo(listing.with_name("another.json"))  # of another folder, which is asked too
    assert mend(folder, kept, caplog) == 3


def test_a_listing_never_names_a_file_that_the_folder_does_not_hold(folder, kept):
    listing = encode_folder(Colours(), folder, cache=kept).kept_in
    found = json.loads(listing.read_text())
    assert Path(found["folder"]) == folder
    found["files"]["../outside.png"] = found["files"]["/etc/passwd"] = found["files"]["red.png"]
    listing.write_text(json.dumps(found))
    index = encode_folder(Colours(), folder, cache=kept)
    assert index.names == ["blue.png", "green.png", "red.png"]
    assert json.loads(listing.read_text())["files"].keys() == set(index.names)


def test_what_is_gone_is_gone_from_the_disk_too(folder, kept):
    encode_folder(Colours(), folder, cache=kept)
    for name in ("red.png", "blue.png"):
        (folder / name).unlink()
    listing = encode_folder(Colours(), folder, cache=kept).kept_in
    assert len(load_file(vectors_of(listing))["clip_tokens"]) == 1


def work(folder, kept, seconds, ready, found):
    """Index a folder slowly, in a process of its own."""

    class Slow(Colours):
        def encode_video(self, pixel_values, pixel_mask=None):
            time.sleep(seconds)
            return super().encode_video(pixel_values, pixel_mask)

    Slow.__name__ = "Colours"  # the key of a model has its class's name
    indexing._SAVE_SECONDS = 0
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


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="forks")
def test_a_run_that_is_killed_leaves_what_it_encoded(folder, kept, launch):
    (process,), _ = launch(0.3)
    deadline = time.monotonic() + 60
    while not list(kept.rglob("*.json")):
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.join()
    model = Colours()
    index = encode_folder(model, folder, cache=kept)
    assert same_as_fresh(index, model, folder)
    assert 1 <= model.read <= 2 and index.encoded == model.read


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="forks")
def test_two_runs_at_once_lose_nothing(folder, kept, launch, caplog):
    for number in range(12):
        paint(folder / f"{number:02}.png", (number, 2, 3), number)
    processes, found = launch(0.02, 0.03)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0 and 0 < found.get() <= 15
    model = Colours()
    index = encode_folder(model, folder, cache=kept)
    assert same_as_fresh(index, model, folder) and model.read == 0
    assert not caplog.records


def vectors(value):
    return torch.full((1, 3), float(value)), torch.full((1, 3), -float(value))


def add(index, **values):
    """Save some files with these vectors."""
    for value in values.values():
        index.vectors[f"{value:032x}"] = vectors(value)
    index.save({name: Seen(1, 1, f"{value:032x}") for name, value in values.items()}, set())


def test_an_index_takes_up_what_another_run_wrote_and_forgets_only_what_it_knew(tmp_path):
    path = tmp_path / "index.json"
    add(IndexFile(path, tmp_path), old=1, kept=2)
    ours, theirs = IndexFile(path, tmp_path), IndexFile(path, tmp_path)
    add(theirs, new=3)
    ours.vectors["f" * 32] = vectors(4)
    ours.save({"kept": Seen(1, 1, f"{2:032x}"), "more": Seen(1, 1, "f" * 32)}, {"old"})
    after = IndexFile(path, tmp_path)
    assert sorted(after.files) == ["kept", "more", "new"]
    assert {content[-1]: int(pair[0][0, 0]) for content, pair in after.vectors.items()} == {
        "2": 2, "3": 3, "f": 4
    }  # fmt: skip


def test_many_threads_that_write_at_once_lose_nothing(tmp_path):
    def work(number):
        add(IndexFile(tmp_path / "index.json", tmp_path), **{f"name{number}": number})

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(work, range(12)))
    after = IndexFile(tmp_path / "index.json", tmp_path)
    assert len(after.files) == len(after.vectors) == 12


@pytest.mark.parametrize("step", range(3))
@pytest.mark.parametrize("what", ["atomic_path", "write_text", "_read_json"])
def test_a_run_may_end_before_any_step_of_writing(
    folder, kept, monkeypatch, caplog, what, step
):
    encode_folder(Colours(), folder, cache=kept)
    (folder / "red.png").unlink()
    for number in range(3):
        paint(folder / f"{number}.png", (number, 2, 3), number)
    whole, calls = getattr(index_file, what), []

    def ending(*arguments):
        calls.append(arguments)
        if len(calls) > step:
            raise SystemExit
        return whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(indexing, "_SAVE_SECONDS", 0)
        patch.setattr(index_file, what, ending)
        with suppress(SystemExit):
            encode_folder(Colours(), folder, cache=kept, batch_size=1)
    model = Colours()
    index = encode_folder(model, folder, cache=kept)
    assert same_as_fresh(index, model, folder) and not caplog.records
    assert len(load_file(vectors_of(index.kept_in))["clip_tokens"]) == 5
    again = Colours()
    encode_folder(again, folder, cache=kept)
    assert again.read == 0


def test_what_killed_runs_left_goes(folder, kept):
    listing = encode_folder(Colours(), folder, cache=kept).kept_in
    halves = [listing.with_name(f".{name}.7.part") for name in
              (listing.name, f"{listing.stem}.0123.safetensors")]  # fmt: skip
    for path in (*halves, listing.with_name(f"{listing.stem}.0123.safetensors")):
        path.write_bytes(b"half")
    paint(folder / "new.png", (1, 2, 3))
    encode_folder(Colours(), folder, cache=kept)
    vectors_of(listing)
    assert not any(path.exists() for path in halves)


def not_kept(caplog, folder, place, **options):
    index = encode_folder(Colours(), folder, cache=place, **options)
    assert len(index.names) == 3 and index.kept_in is None
    (warning,) = caplog.records
    assert "is not kept" in warning.getMessage()
    return warning.getMessage()


@pytest.mark.parametrize("place", ["taken", "taken/x"])
def test_where_nothing_can_be_written_one_warning_is_given_and_the_search_goes_on(
    folder, tmp_path, caplog, place
):
    (tmp_path / "taken").write_text("a file")
    assert "taken" in not_kept(caplog, folder, tmp_path / place)


def test_an_index_of_another_user_is_left_alone(folder, kept, caplog, monkeypatch):
    listing = encode_folder(Colours(), folder, cache=kept).kept_in
    before, whole = listing.read_bytes(), index_file.open_regular

    def closed(path, *arguments, **options):
        if kept in Path(path).parents:
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(index_file, "open_regular", closed)
        assert "Permission denied" in not_kept(caplog, folder, kept)
    caplog.clear()
    monkeypatch.setattr(index_file, "FileLock", closed)  # a folder that may not be written to
    assert "Permission denied" in not_kept(caplog, folder, kept)
    assert listing.read_bytes() == before


def test_a_full_disk_is_one_warning(folder, kept, caplog, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "No space left" in not_kept(caplog, folder, kept, batch_size=1)


def test_names_that_are_no_unicode_are_kept(tmp_path, kept):
    try:
        name = os.fsdecode(b"caf\xe9.png")
        paint(tmp_path / "clips" / "a.png", (9, 9, 9), 1).rename(tmp_path / "clips" / name)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes Unicode names only")
    model = Colours()
    for _ in range(2):
        index = encode_folder(model, tmp_path / "clips", cache=kept)
        assert index.names == [name]
    assert model.read == 1


def test_an_index_is_named_by_weights_config_sampling_and_folder(tmp_path):
    model, sampling = Colours(), {"clips": 1}
    path = index_path(tmp_path, tmp_path, model, sampling)
    assert path == index_path(tmp_path, tmp_path, Colours(), {"clips": 1})
    model.config.transformers_version = "9"
    assert index_path(tmp_path, tmp_path, model, sampling) == path
    others = [Colours(1.001), Colours(frames=2), Colours().half(), Colours()]
    others[-1].register_buffer("more", torch.zeros(1))
    paths = {index_path(tmp_path, tmp_path, one, sampling) for one in others}
    paths |= {index_path(tmp_path, tmp_path, Colours(), {"clips": 2}),
              index_path(tmp_path, tmp_path / "b", Colours(), sampling)}  # fmt: skip
    assert len(paths) == 6 and path not in paths


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="the rules of Linux")
@pytest.mark.parametrize(
    ("set_to", "expected"),
    [
        ({}, "/home/me/.cache/snpkit"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/snpkit"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/snpkit"),
        ({"XDG_CACHE_HOME": "/xdg", "SNPKIT_CACHE": "/own"}, "/own"),
    ],
)
def test_the_cache_folder_follows_the_rules(monkeypatch, set_to, expected):
    for name in ("SNPKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"HOME": "/home/me"} | set_to).items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)
