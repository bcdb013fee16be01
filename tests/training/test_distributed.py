"""Runs each case of `distributed_cases.py` and `gathering_cases.py` in a process of its own.

The cases fork. A process that has computed gradients has threads whose locks its children would
inherit locked; a fresh one has none.
"""

import subprocess
import sys
from pathlib import Path

import pytest

FILES = {"distributed_cases.py": 7, "gathering_cases.py": 7}  # how many cases they have at least
FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]


def run_pytest(*arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:cacheprovider"]
    result = subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=ROOT,
                            timeout=400)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("file", FILES)
def test_several_processes_compute_what_one_computes(file):
    # No watchdog thread: a forked process would wait for ever for the one that it has not got.
    options = ("-o", "addopts=--import-mode=importlib", "-o", "faulthandler_timeout=0")
    listed = run_pytest("--collect-only", "-q", *options, str(FOLDER / file))
    cases = [line for line in listed.splitlines() if "::" in line]
    assert len(cases) >= FILES[file]
    for case in cases:
        assert " passed" in run_pytest(*options, case)
