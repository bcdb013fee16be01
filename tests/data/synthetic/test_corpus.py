import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from snpkit.data.samples import Manifest
from snpkit.data.synthetic import corpus as module
from snpkit.data.synthetic import generate_corpus
from snpkit.errors import UserError

TINY = {"train": 10, "validation": 2, "test": 3, "size": 64, "seconds": 0.5, "progress": False}


def decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_corpus_is_whole(corpus: Manifest) -> None:
    rows = corpus.rows
    assert Counter(row.split for row in rows) == {"train": 60, "validation": 12, "test": 24}
    assert len({row.id for row in rows}) == len(rows)
    assert np.mean([corpus.path_of(row).stat().st_size for row in rows]) < 20_000
    for row in rows[::8]:
        frames = decode(corpus.path_of(row))
        assert frames.shape == (16, 96, 96, 3)
        assert len(row.extra["boxes"]) == 16
        words = [word for word, _ in row.extra["tags"]]
        assert " ".join(words).replace(" ,", ",") == row.caption
        assert {"noun", "colour", "motion", "scene", "size", "texture", "second", "relation",
                "direction", "count"} == set(row.extra["composition"])  # fmt: skip


def test_same_settings_same_corpus_whatever_the_workers(tmp_path: Path) -> None:
    one = generate_corpus(tmp_path / "one", **TINY | {"train": 30}, workers=1)
    two = generate_corpus(tmp_path / "two", **TINY | {"train": 30}, workers=2)
    lines = [(m.root / "manifest.jsonl").read_bytes() for m in (one, two)]
    assert lines[0] == lines[1]
    for row in one.rows:
        assert (decode(one.path_of(row)) == decode(two.path_of(row))).all()


def test_a_finished_corpus_is_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = generate_corpus(tmp_path / "c", **TINY)
    before = state(tmp_path / "c")
    monkeypatch.setattr(module, "_run", lambda *_: pytest.fail("drew again"))
    again = generate_corpus(tmp_path / "c", **TINY)
    assert again.rows == first.rows
    assert state(tmp_path / "c") == before


@pytest.mark.parametrize("all_of_them", [False, True])
def test_missing_clips_are_made_again(tmp_path: Path, all_of_them: bool) -> None:
    first = generate_corpus(tmp_path / "c", **TINY)
    before = state(tmp_path / "c")
    lost = first.path_of(first.rows[4])
    content = lost.read_bytes()
    shutil.rmtree(lost.parent) if all_of_them else lost.unlink()
    generate_corpus(tmp_path / "c", **TINY)
    assert lost.read_bytes() == content
    after = state(tmp_path / "c")
    same = {name for name in before if name.endswith(".mp4") and before[name] == after[name]}
    assert len(same) == (0 if all_of_them else len(first.rows) - 1)


def test_other_settings_are_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    generate_corpus(tmp_path / "c", **TINY)
    before = state(tmp_path / "c")
    with pytest.raises(UserError, match="other settings"):
        generate_corpus(tmp_path / "c", **TINY | {"seed": 9})
    assert state(tmp_path / "c") == before


def interrupt_after(monkeypatch: pytest.MonkeyPatch, clips: int) -> None:
    real, made = module.render, []

    def render(*arguments: object) -> object:
        if len(made) == clips:
            raise KeyboardInterrupt
        made.append(1)
        return real(*arguments)

    monkeypatch.setattr(module, "render", render)


def test_an_interrupted_run_leaves_no_manifest_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, 5)
        generate_corpus(tmp_path / "c", **TINY, workers=1)
    names = state(tmp_path / "c")
    assert "manifest.jsonl" not in names and "corpus.json" not in names
    assert not [name for name in names if name.endswith(".part")]
    assert sum(name.startswith("videos") for name in names) == 5
    resumed = generate_corpus(tmp_path / "c", **TINY, workers=1)
    after = state(tmp_path / "c")
    assert all(after[name] == names[name] for name in names if name.startswith("videos"))
    fresh = generate_corpus(tmp_path / "d", **TINY, workers=1)
    texts = [(m.root / "manifest.jsonl").read_bytes() for m in (resumed, fresh)]
    assert texts[0] == texts[1]


def test_an_interrupted_run_of_other_settings_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, 5)
        generate_corpus(tmp_path / "c", **TINY | {"seed": 8}, workers=1)
    mixed = generate_corpus(tmp_path / "c", **TINY, workers=1)
    fresh = generate_corpus(tmp_path / "d", **TINY, workers=1)
    for row in fresh.rows:
        assert (decode(mixed.path_of(row)) == decode(fresh.path_of(row))).all()
    assert len(list((tmp_path / "c" / "videos").iterdir())) == len(fresh.rows)


def test_folders_that_hold_something_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        generate_corpus(tmp_path / "file", **TINY)
    (tmp_path / "mine" / "videos").mkdir(parents=True)
    precious = tmp_path / "mine" / "videos" / "holiday.mp4"
    precious.write_bytes(b"precious")
    with pytest.raises(UserError, match="other files"):
        generate_corpus(tmp_path / "mine", **TINY)
    assert precious.read_bytes() == b"precious"
    with pytest.raises(UserError, match="workers must be at least 1"):
        generate_corpus(tmp_path / "c", **TINY, workers=0)
    assert not (tmp_path / "c").exists()


def _fill_disk(folder: str) -> None:
    """In a process of its own: files may not grow beyond 3000 bytes, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
    try:
        generate_corpus(folder, **TINY | {"size": 128, "seconds": 2.0}, workers=1)
    except UserError as error:
        sentence = str(error)
        sys.exit(0 if sentence.startswith("Cannot write") and "\n" not in sentence else 3)


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=_fill_disk, args=(str(tmp_path / "c"),)
    )
    process.start()
    process.join(60)
    assert process.exitcode == 0
    names = state(tmp_path / "c")
    assert not [name for name in names if name.endswith((".part", "manifest.jsonl", "corpus.json"))]


_SCRIPT = """
from snpkit.data.synthetic import generate_corpus
if __name__ == "__main__":
    generate_corpus({folder!r}, train=4000, validation=0, test=0, workers=2, progress=False)
"""


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
def test_ctrl_c_stops_every_process(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT.format(folder=str(tmp_path / "c")))
    process = subprocess.Popen(
        [sys.executable, str(script)], stderr=subprocess.PIPE, start_new_session=True
    )
    end = time.monotonic() + 60
    while time.monotonic() < end and not list(tmp_path.glob("c/videos/*.mp4")):
        time.sleep(0.05)
    (tmp_path / "c" / "videos" / ".half.mp4.1.part").touch()  # as a killed worker leaves it
    os.killpg(process.pid, signal.SIGINT)  # the terminal sends it to the whole group
    stderr = process.communicate(timeout=60)[1].decode()
    assert process.returncode != 0 and "KeyboardInterrupt" in stderr
    assert "UserError" not in stderr
    names = state(tmp_path / "c")
    assert 0 < sum(name.endswith(".mp4") for name in names) < 4000
    assert not [name for name in names if name.endswith((".part", "manifest.jsonl", "corpus.json"))]
