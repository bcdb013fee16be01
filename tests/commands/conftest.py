"""A tiny corpus and a checkpoint that was trained on it for two steps, made once."""

import shutil
from pathlib import Path

import pytest

from snpkit.cli import main
from tests.video.films import write_film


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> Path:
    """A whole `snpkit run` in small: corpus/, run/."""
    root = tmp_path_factory.mktemp("tiny")
    sizes = ["--train", "64", "--validation", "16", "--test", "48", "--steps", "2"]
    folders = ["--data", str(root / "corpus"), "--output", str(root / "run")]
    assert main(["run", *sizes, *folders, "--workers", "1"]) == 0
    return root


@pytest.fixture(scope="session")
def films(tmp_path_factory) -> list[Path]:
    """Four short films that differ in what they hold."""
    folder = tmp_path_factory.mktemp("films")
    return [write_film(folder / f"{n}.mp4", 6 + n, 64, 64) for n in range(4)]


@pytest.fixture
def corpus(tiny_run, tmp_path) -> Path:
    """A copy of the corpus that a test may damage."""
    return Path(shutil.copytree(tiny_run / "corpus", tmp_path / "corpus"))


@pytest.fixture
def checkpoint(tiny_run, tmp_path) -> Path:
    """A copy of the checkpoint that a test may damage."""
    return Path(shutil.copytree(tiny_run / "run" / "last", tmp_path / "checkpoint"))


@pytest.fixture
def said(capsys):
    """Run the command; its status and what it said on stderr, without progress bars."""

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        lines = [line for line in capsys.readouterr().err.splitlines() if "snpkit:" in line]
        return status, "\n".join(line.split("\r")[-1] for line in lines)

    return run
