"""Readers in processes of their own: a file that hangs, crashes or bloats them costs one file."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from snpkit.errors import PassingError, UserError, VideoError
from snpkit.video.guarded import UNEXPECTED, ReaderPool
from snpkit.video.reader import read_clips
from tests.video.films import write_film


def misbehave(path, do="ok"):
    """What a damaged file makes a decoder do."""
    if do == "hang":
        time.sleep(3600)
    if do == "abort":
        os.abort()
    if do == "exit":
        os._exit(7)
    if do == "bloat":
        return int(np.ones(600_000_000, dtype=np.uint8).max())
    if do == "bug":
        raise ZeroDivisionError("no such thing")
    if do == "refuse":
        raise VideoError(f"{path} is no video.")
    if do == "mistake":
        raise UserError("size=0 is no frame size.")
    return {"path": str(path), "process": os.getpid()}


def give(path, value):
    return value


@pytest.fixture(scope="module")
def pool():
    with ReaderPool(2, seconds=3, megabytes=400) as pool:
        pool.call(misbehave, "warm")
        yield pool


def test_frames_are_those_that_are_read_here(pool, tmp_path):
    film = write_film(tmp_path / "film.mp4")
    frames = pool.call(read_clips, film, clips=2, frames=3, size=32)
    assert torch.equal(frames, read_clips(film, 2, 3, size=32)) and frames.dtype == torch.uint8
    frames[0] = 0  # ours to write to


@pytest.mark.parametrize("value", [b"", b"\x80\x04.", None, 3, [1, "ä"], torch.eye(2)])
def test_results_come_back_as_they_are(pool, value):
    back = pool.call(give, "name", value=value)
    assert torch.equal(back, value) if isinstance(value, torch.Tensor) else back == value


@pytest.mark.parametrize(
    ("do", "sentence"),
    [
        ("hang", r"^bad\.mp4 takes longer than 3 s to read"),
        ("abort", r"^bad\.mp4 made the reader crash \((SIGABRT|exit status \d+)\)"),
        ("exit", r"^bad\.mp4 made the reader crash \(exit status 7\)"),
        ("refuse", r"^bad\.mp4 is no video\.$"),
        ("bug", rf"^bad\.mp4 {UNEXPECTED} \(ZeroDivisionError: no such thing\)"),
    ],
)
def test_a_bad_file_is_named_and_the_next_one_is_read(pool, do, sentence):
    before = pool.replaced
    with pytest.raises(VideoError, match=sentence) as caught:
        pool.call(misbehave, "bad.mp4", do=do)
    assert isinstance(caught.value, PassingError) == (do in ("hang", "abort", "exit"))
    assert pool.replaced - before == (do in ("hang", "abort", "exit"))
    assert pool.call(misbehave, "good.mp4")["path"] == "good.mp4"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited on Linux only")
def test_memory_is_limited(pool):
    with pytest.raises(PassingError, match=r"^bad\.mp4 takes more than 400 MB"):
        pool.call(misbehave, "bad.mp4", do="bloat")
    with ReaderPool(1, megabytes=900) as larger:
        assert larger.call(misbehave, "large.mp4", do="bloat") == 1


def test_mistakes_of_the_caller_are_no_video_errors(pool):
    with pytest.raises(UserError, match="size=0") as caught:
        pool.call(misbehave, "good.mp4", do="mistake")
    assert not isinstance(caught.value, VideoError)
    for wrong in ({"workers": 0}, {"seconds": 0}, {"megabytes": 0}):
        with pytest.raises(UserError, match="can read nothing"):
            ReaderPool(**wrong)


def test_answers_keep_the_order_of_the_jobs(pool):
    doing = ["exit" if number % 7 == 3 else "ok" for number in range(30)]
    jobs = [(f"{number}.mp4", {"do": do}) for number, do in enumerate(doing)]
    answers = list(pool.map(misbehave, iter(jobs)))
    assert [path for path, _ in answers] == [path for path, _ in jobs]
    for (path, answer), do in zip(answers, doing, strict=True):
        assert isinstance(answer, VideoError) if do == "exit" else answer["path"] == path
    working = {answer["process"] for _, answer in answers if isinstance(answer, dict)}
    assert len(working) >= 2  # both of them, or those that took their place


def test_an_abandoned_loop_and_a_closed_pool_leave_no_process():
    with ReaderPool(2, seconds=float("inf")) as pool:
        answers = pool.map(misbehave, ((f"{n}.mp4", {}) for n in range(100)))
        process = next(answers)[1]["process"]
        answers.close()
        assert pool.call(misbehave, "later.mp4")["path"] == "later.mp4"
        processes = [reader.process.pid for reader in pool._readers]
    check_ended(process, *processes)


def test_readers_end_with_a_program_that_is_killed():
    lines = (
        "from snpkit.video.guarded import ReaderPool",
        "import os, time",
        "pool = ReaderPool()",
        "pool.call(os.fspath, 'name')",
        "print(*[reader.process.pid for reader in pool._readers], flush=True)",
        "time.sleep(60)",
    )
    command = [sys.executable, "-c", "\n".join(lines)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        reader = int(program.stdout.readline())
        assert psutil.pid_exists(reader)
        program.kill()
    check_ended(reader)


def check_ended(*numbers):
    deadline = time.monotonic() + 10
    while any(map(lives, numbers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(lives, numbers))


def lives(number):
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
