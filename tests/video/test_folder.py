"""What lies below a folder: which files are taken for videos, and what is said of the others."""

import os
from pathlib import Path

import pytest

from snpkit.errors import UserError
from snpkit.video.suffixes import find_videos


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_videos_and_images_are_found_whatever_the_case_and_others_are_counted(tmp_path):
    seen = ["A.MTS", "b.m2ts", "c.vob", "d.asf", "e.3g2", "f.mpe", "g.f4v", "h.dv", "i.jfif",
            "j.tif", "k.avif", "l.Mp4", "m.jpg", "deep/er/n.gif", "o.mp4/p.mkv"]  # fmt: skip
    hidden = [".q.mp4", ".r/s.mp4", ".notes"]
    touch(tmp_path, *seen, *hidden, "t.txt", "deep/u.TXT", "v.srt", "README")
    names, left_out, passed_over = find_videos(tmp_path)
    assert names == sorted(seen) and not left_out
    assert passed_over == {".txt": 2, ".srt": 1, "README": 1}


def test_linked_folders_are_followed_once_and_without_loops(tmp_path):
    root, other = tmp_path / "clips", tmp_path / "other"
    touch(root, "a.mp4", "in/b.mp4")
    touch(other, "c.mp4", "deep/d.mp4")
    links = {
        "0in": root / "in", "loop": root, "in/loop": root, "up": tmp_path, "z-other": other,
        "z-twice": other, "zz-deep": other / "deep", "nowhere": tmp_path / "gone",
    }  # fmt: skip
    for name, target in links.items():
        (root / name).symlink_to(target, target_is_directory=True)
    (other / "back").symlink_to(root, target_is_directory=True)
    (other / "self").symlink_to(other, target_is_directory=True)
    names, left_out, _ = find_videos(root)
    assert names == ["a.mp4", "in/b.mp4", "z-other/c.mp4", "zz-deep/d.mp4"]
    assert list(left_out) == ["up"] and "leads upwards" in left_out["up"]


def test_a_folder_that_is_a_link_itself_is_searched(tmp_path):
    touch(tmp_path, "real/a.mp4", "real/b/c.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert find_videos(tmp_path / "link")[0] == ["a.mp4", "b/c.mp4"]


def test_closed_folders_are_named(tmp_path, monkeypatch):
    touch(tmp_path, "a.mp4", "closed/b.mp4", "open/c.mp4")
    scan = os.scandir  # rights keep no administrator out, who may run this test

    def scandir(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    names, left_out, _ = find_videos(tmp_path)
    assert names == ["a.mp4", "open/c.mp4"]
    assert left_out == {"closed": f"Cannot read {tmp_path / 'closed'}: Permission denied."}
    with pytest.raises(UserError, match="Permission denied"):
        find_videos(tmp_path / "closed")


def test_no_folder_and_no_video_are_one_sentence(tmp_path):
    touch(tmp_path, "notes.txt", "more/.a.mp4")
    for path, said in (("gone", "is not a folder"), ("notes.txt", "is not a folder"),
                       ("more", "no videos or images; their names end in")):  # fmt: skip
        with pytest.raises(UserError, match=said):
            find_videos(tmp_path / path)
