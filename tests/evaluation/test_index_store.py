"""The index on disk: damage, killed runs, two runs at once, and no place to write to."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from snpkit.evaluation import index_store
from snpkit.evaluation.index_folder import encode_folder
from snpkit.evaluation.index_keys import Stamp, model_key
from snpkit.evaluation.index_store import IndexStore, Seen
from snpkit.files import cache_folder
from tests.evaluation.folders import COLOURS, Colours, paint
from tests.evaluation.test_index_folder import same_as_fresh

HOSTILE = "<img src=x onerror=alert(1)>.png"


@pytest.fixture
def folder(tmp_path):
    for when, (name, colour) in enumerate(COLOURS.items()):
        paint(tmp_path / "clips" / f"{name}.png", colour, when)
    paint(tmp_path / "clips" / HOSTILE, (5, 5, 5), 0)
    return tmp_path / "clips"


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "index"


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-5])


def empty(path):
    path.write_bytes(b"")


def noise(path):
    path.write_bytes(bytes(range(256)) * 9)


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


@pytest.mark.parametrize("damage", [flip, cut, empty, noise, of_another, pickled])
def test_a_damaged_part_is_made_again_with_one_warning(folder, kept, caplog, damage):
    place = encode_folder(Colours(), folder, cache=kept).kept_in
    (part,) = place.glob("part-*")
    damage(part)
    model = Colours()
    index = encode_folder(model, folder, cache=kept)
    assert same_as_fresh(index, model, folder) and model.read == 4
    (warning,) = caplog.records
    assert "damaged" in warning.getMessage() and part.name in warning.getMessage()
    assert not list(kept.rglob("BOOM"))
    caplog.clear()
    encode_folder(model, folder, cache=kept)
    assert model.read == 4 and not caplog.records


LISTINGS = [
    "", "{", "[]", "3", "{}", '{"files": []}', '{"files": {"red.png": 3}, "readers": ""}',
    '{"files": {"red.png": {"size": 1}}, "readers": ""}', "[" * 9000,
    '{"files": {"red.png": {"size": "1", "mtime_ns": 1, "content": "x"}}, "readers": ""}',
    '{"files": {"red.png": {"size": 1, "mtime_ns": 1, "content": ["x"]}}, "readers": ""}',
]  # fmt: skip


@pytest.mark.parametrize("content", LISTINGS)
def test_a_damaged_listing_costs_a_look_but_no_encoding(folder, kept, caplog, content):
    place = encode_folder(Colours(), folder, cache=kept).kept_in
    (place / "files.json").write_text(content)
    model = Colours()
    index = encode_folder(model, folder, cache=kept)
    assert same_as_fresh(index, model, folder) and model.read == 0
    (warning,) = caplog.records
    assert "damaged (files.json)" in warning.getMessage()
    caplog.clear()
    encode_folder(model, folder, cache=kept)
    assert not caplog.records


def test_a_listing_never_names_a_file_that_the_folder_does_not_hold(folder, kept):
    place = encode_folder(Colours(), folder, cache=kept).kept_in
    listing = json.loads((place / "files.json").read_text())
    assert HOSTILE in listing["files"] and Path(listing["folder"]) == folder.resolve()
    files = listing["files"]
    files["../outside.png"] = files["/etc/passwd"] = files["red.png"]
    (place / "files.json").write_text(json.dumps(listing))
    index = encode_folder(Colours(), folder, cache=kept)
    assert index.names == sorted([HOSTILE, "blue.png", "green.png", "red.png"])
    assert json.loads((place / "files.json").read_text())["files"].keys() == set(index.names)


def test_what_is_gone_is_gone_from_the_disk_too(folder, kept):
    place = encode_folder(Colours(), folder, cache=kept).kept_in
    for name in ("red.png", "blue.png"):
        (folder / name).unlink()
    encode_folder(Colours(), folder, cache=kept)
    (part,) = place.glob("part-*")
    assert len(load_file(part)["clip_tokens"]) == 2


def test_many_small_parts_are_put_together(folder, kept):
    for number in range(12):
        paint(folder / f"{number:02}.png", (number, 2, 3), number)
        place = encode_folder(Colours(), folder, cache=kept).kept_in
    assert 1 < len(list(place.glob("part-*"))) <= 8
    model = Colours()
    assert same_as_fresh(encode_folder(model, folder, cache=kept), model, folder)
    assert model.read == 0


SLOW = """
import sys, time
from pathlib import Path
from snpkit.evaluation import index_folder
from tests.evaluation.folders import Colours

class Slow(Colours):
    def encode_video(self, pixel_values, pixel_mask=None):
        time.sleep(float(sys.argv[3]))
        return super().encode_video(pixel_values, pixel_mask)

Slow.__name__ = "Colours"  # the key of a model has its class's name
index_folder.SAVE_SECONDS = 0
print("ready", flush=True)
sys.stdin.readline()
found = index_folder.encode_folder(Slow(), sys.argv[1], cache=sys.argv[2], batch_size=1)
print(found.encoded)
"""


def start(folder, kept, seconds):
    command = [sys.executable, "-c", SLOW, str(folder), str(kept), str(seconds)]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=environment, cwd=root, **pipes)
    assert process.stdout.readline() == "ready\n"
    return process


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_run_that_is_killed_leaves_what_it_encoded(folder, kept):
    process = start(folder, kept, 0.5)
    go(process)
    try:
        deadline = time.monotonic() + 120
        while len(list(kept.rglob("part-*"))) < 2:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    model = Colours()
    index = encode_folder(model, folder, cache=kept)
    assert same_as_fresh(index, model, folder)
    assert 1 <= model.read <= 2 and index.encoded == model.read


def test_two_runs_at_once_do_no_damage(folder, kept, caplog):
    for number in range(12):
        paint(folder / f"{number:02}.png", (number, 2, 3), number)
    processes = [start(folder, kept, seconds) for seconds in (0.05, 0.07)]
    for process in processes:
        go(process)
    for process in processes:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0 and 0 < int(said) <= 16  # both had something to do
    model = Colours()
    index = encode_folder(model, folder, cache=kept)
    assert same_as_fresh(index, model, folder) and model.read == 0
    assert not caplog.records


def stored(kept, folder):
    return IndexStore(kept, folder, "model")


def entry(content):
    return Seen(Stamp(1, 1), content)


def vectors(value):
    return torch.full((1, 3), float(value)), torch.full((1, 3), -float(value))


def test_a_second_run_that_ends_later_keeps_the_vectors_of_the_first(kept, folder):
    ours, theirs = stored(kept, folder), stored(kept, folder)
    ours.vectors["a"], theirs.vectors["b"] = vectors(1), vectors(2)
    ours.finish({"a.png": entry("a")})
    theirs.finish({"b.png": entry("b")})
    after = stored(kept, folder)
    assert list(after.files) == ["b.png"]  # the last one wins ...
    assert torch.equal(after.find("a")[0], vectors(1)[0])  # ... and nothing is lost
    assert torch.equal(after.find("b")[1], vectors(2)[1])


def test_parts_that_another_run_put_together_meanwhile(kept, folder):
    stored(kept, folder).finish({})
    first = stored(kept, folder)
    first.vectors |= {"a": vectors(1), "b": vectors(2)}
    first.finish({"a.png": entry("a"), "b.png": entry("b")})
    ours, theirs = stored(kept, folder), stored(kept, folder)
    theirs.finish({"b.png": entry("b")})  # removes the part that we know of
    ours.vectors["c"] = vectors(3)
    ours.finish({"a.png": entry("a"), "c.png": entry("c")})
    after = stored(kept, folder)
    for content, value in (("a", 1), ("b", 2), ("c", 3)):
        assert torch.equal(after.find(content)[0], vectors(value)[0])


@pytest.mark.parametrize("step", range(8))
@pytest.mark.parametrize("what", ["_write_part", "_write_listing", "_remove"])
def test_a_run_may_end_before_any_step_of_writing(kept, folder, monkeypatch, caplog, what, step):
    encode_folder(Colours(), folder, cache=kept)
    (folder / "red.png").unlink()  # so that parts are put together at the end
    for number in range(3):
        paint(folder / f"{number}.png", (number, 2, 3), number)
    home = index_store if what == "_remove" else IndexStore
    whole, calls = getattr(home, what), []

    def ending(*arguments):
        calls.append(arguments)
        if len(calls) > step:
            raise SystemExit
        return whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("snpkit.evaluation.index_folder.SAVE_SECONDS", 0)
        patch.setattr(home, what, ending)
        try:
            encode_folder(Colours(), folder, cache=kept, batch_size=1)
        except SystemExit:
            assert len(calls) > step
    model = Colours()
    index = encode_folder(model, folder, cache=kept)
    assert same_as_fresh(index, model, folder) and not caplog.records
    (part,) = index.kept_in.glob("part-*")
    assert len(load_file(part)["clip_tokens"]) == 6
    again = Colours()
    encode_folder(again, folder, cache=kept)
    assert again.read == 0


def test_abandoned_temporary_files_go_and_fresh_ones_stay(kept, folder, monkeypatch):
    place = encode_folder(Colours(), folder, cache=kept).kept_in
    old, fresh = place / ".part-a.safetensors.7.part", place / ".part-b.safetensors.8.part"
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    encode_folder(Colours(), folder, cache=kept)
    assert not old.exists() and fresh.exists()


@pytest.mark.parametrize("way", ["a file", "below a file"])
def test_where_nothing_can_be_written_one_warning_is_given_and_the_search_goes_on(
    folder, tmp_path, caplog, way
):
    place = tmp_path / "taken"
    place.write_text("a file")
    index = encode_folder(Colours(), folder, cache=place / "x" if way == "below a file" else place)
    assert len(index.names) == 4 and index.kept_in is None
    (warning,) = caplog.records
    assert "is not kept" in warning.getMessage() and "taken" in warning.getMessage()


def test_a_full_disk_is_one_warning(folder, kept, caplog, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(index_store, "save_file", full)
    index = encode_folder(Colours(), folder, cache=kept, batch_size=1)
    assert len(index.names) == 4 and len(caplog.records) == 1
    assert "No space left" in caplog.text


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


def test_the_key_of_a_model_is_of_its_weights_config_and_sampling():
    model, sampling = Colours(), {"clips": 1}
    key = model_key(model, sampling)
    assert key == model_key(Colours(), {"clips": 1}) and len(key) == 64
    model.config.transformers_version = "9"
    assert model_key(model, sampling) == key
    others = [Colours(1.001), Colours(frames=2), Colours().half(), Colours()]
    others[-1].register_buffer("more", torch.zeros(1))
    keys = {model_key(one, sampling) for one in others} | {model_key(Colours(), {"clips": 2})}
    assert len(keys) == 5 and key not in keys


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="the rules of Linux")
def test_the_cache_folder_follows_the_rules(monkeypatch, tmp_path):
    monkeypatch.delenv("SNPKIT_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "snpkit"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "snpkit"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "snpkit"
    monkeypatch.setenv("SNPKIT_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_in_place_of_a_part_or_of_the_listing_is_damage(tmp_path, caplog):
    folder = IndexStore(tmp_path / "index", tmp_path, "m" * 32).folder
    folder.mkdir(parents=True)
    beside = folder.with_name("other") / "part-0.safetensors"
    beside.parent.mkdir()
    pipes = [folder / "part-0.safetensors", folder / "files.json"]
    for path in (*pipes, beside):
        os.mkfifo(path)
    store = IndexStore(tmp_path / "index", tmp_path, "m" * 32)
    assert (store.files, store.vectors, store.find("content")) == ({}, {}, None)
    assert "was damaged" in caplog.text and not any(path.exists() for path in pipes)
