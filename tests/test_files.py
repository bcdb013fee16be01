"""Atomic files and paths that stay below their root."""

import errno
import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.errors import AnnotationError, CheckpointError, UserError
from snpkit.files import (
    atomic_path,
    cache_folder,
    check_output,
    inside,
    open_regular,
    own_file,
    read_json,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path):
    target = tmp_path / "file.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_full_disk_is_one_sentence(tmp_path):
    target = tmp_path / "file.txt"
    write_text(target, "old")
    sentence = r"file\.txt.*No space left.*free some space"
    with pytest.raises(UserError, match=sentence), atomic_path(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert target.read_text() == "old"


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="Cannot write"):
        write_text(tmp_path / "taken" / "file.txt", "text")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_json_comes_back_as_it_was(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_json(path, value)
    assert read_json(path) == value


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 5000])
def test_a_bad_json_file_is_named(tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.json"):
        read_json(path)


def test_a_number_that_json_lacks_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "nan.json", float("nan"))
    assert not (tmp_path / "nan.json").exists()


@pytest.mark.parametrize(
    "relative",
    ["../x", "a/../../x", "/etc/passwd", "C:/x", "C:\\x", r"\\host\x", r"a\..\..\x", "", "a\0b"],
)
def test_a_path_that_leaves_its_root_is_refused(tmp_path, relative):
    with pytest.raises(AnnotationError):
        inside(tmp_path, relative)


def test_a_path_that_windows_wrote_is_read_everywhere(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.mp4").write_text("film")
    assert inside(tmp_path, r"a\b.mp4").read_text() == "film"
    assert inside(tmp_path, r"a\.\b.mp4").read_text() == "film"


@pytest.mark.skipif(os.sep == "\\", reason="no such names on Windows")
def test_a_backslash_in_a_name_comes_first(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.mp4").write_text("film")
    (tmp_path / r"a\b.mp4").write_text("named so")
    assert inside(tmp_path, r"a\b.mp4").read_text() == "named so"


@pytest.mark.parametrize("relative", [r"link\secret", r"a\..\link\secret", r"\secret", r"c:secret"])
def test_backslashes_lead_nowhere_else(tmp_path, relative):
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    (tmp_path / "secret").write_text("x")
    with pytest.raises(AnnotationError):
        inside(root, relative)


def test_a_link_that_leads_out_is_refused(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    (tmp_path / "secret").write_text(json.dumps("x"))
    with pytest.raises(AnnotationError, match="link"):
        inside(root, "link/secret")


@given(st.lists(st.text("abc .-_é", min_size=1).filter(lambda s: s.strip(". ")), min_size=1))
def test_plain_paths_stay_inside(parts):
    root = Path("/root-folder")
    assert inside(root, "/".join(parts)).is_relative_to(root)


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")


@needs_pipes
@pytest.mark.parametrize("check", [check_output, lambda path: write_text(path, "text")])
def test_a_file_replaces_no_folder_and_no_device(check, tmp_path):
    os.mkfifo(tmp_path / "out")
    with pytest.raises(UserError, match=r"out is a pipe, socket or device; name a file\."):
        check(tmp_path / "out")
    with pytest.raises(UserError, match="is a folder; name a file in it"):
        check(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").is_fifo()


@needs_pipes
@pytest.mark.parametrize("read", [read_json, open_regular])
def test_a_pipe_is_not_read(read, tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises((UserError, OSError), match="no regular file"):
        read(tmp_path / "config.json")
    if os.path.exists("/dev/zero"):
        with pytest.raises((UserError, OSError), match="no regular file"):
            read("/dev/zero")


@needs_pipes
@pytest.mark.parametrize(
    "name", ["m.jsonl", "shards/shards.json", "shards/train-video-000000.jsonl", "captions.txt"]
)
def test_a_pipe_in_place_of_a_list_is_one_sentence(name, tmp_path):
    from snpkit.data.samples import Manifest
    from snpkit.data.shards import INDEX, Shard, open_shards, read_table
    from snpkit.language.caption_files import read_captions

    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    shard = Shard(path.parent, path.stem, "train", "video", 1, 1, 1)
    readers = {
        "m.jsonl": lambda: Manifest.load(path),
        "captions.txt": lambda: list(read_captions(path)),
        f"shards/{INDEX}": lambda: open_shards(path.parent),
    }
    with pytest.raises(UserError) as refusal:
        readers.get(name, lambda: read_table(shard))()
    assert path.name in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_json_file_has_a_limit(tmp_path):
    write_json(tmp_path / "long.json", "x" * 100)
    assert read_json(tmp_path / "long.json", most_bytes=103) == "x" * 100
    with pytest.raises(UserError, match=r"long\.json is larger than 102 bytes"):
        read_json(tmp_path / "long.json", most_bytes=102)


def test_own_files_are_regular_and_below_the_folder(tmp_path):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.json").write_text("1")
    (folder / "link.json").symlink_to("sub/a.json")
    (tmp_path / "secret.json").write_text("2")
    (folder / "out.json").symlink_to(tmp_path / "secret.json")
    (folder / "broken.json").symlink_to("absent.json")
    assert own_file(folder, "absent.json") is None
    assert own_file(folder, "link.json").read_text() == "1"
    for name in ("out.json", "../secret.json", str(tmp_path / "secret.json"), "sub", "broken.json"):
        with pytest.raises(CheckpointError, match=r"leads out|no regular file"):
            own_file(folder, name)


def test_without_a_home_folder_the_variable_is_named(monkeypatch):
    """As in a container whose user has no name and no $HOME."""
    pwd = pytest.importorskip("pwd")

    def unknown(number):
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "SNPKIT_CACHE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="set SNPKIT_CACHE to a folder"):
        cache_folder()
    monkeypatch.setenv("SNPKIT_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere")


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="the rules of Linux")
@pytest.mark.parametrize(
    ("xdg", "expected"), [("", "/home/me/.cache"), ("relative", "/home/me/.cache"), ("/x", "/x")]
)
def test_the_cache_folder_follows_the_rules(monkeypatch, xdg, expected):
    monkeypatch.delenv("SNPKIT_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    assert cache_folder() == Path(expected, "snpkit")
