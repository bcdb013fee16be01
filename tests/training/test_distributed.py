"""Runs each case of `distributed_cases.py` and `gathering_cases.py` in a process of its own.

The cases fork. A process that has computed gradients has threads whose locks its children would
inherit locked; one that is forked from a process that has only imported has none.
"""

import subprocess
import sys
from pathlib import Path

import pytest

CASES = {"distributed_cases.py": 7, "gathering_cases.py": 7}  # how many cases they have at least
ROOT = Path(__file__).parents[2]
# No watchdog thread: a forked process would wait for ever for the one that it has not got.
OPTIONS = ("-p", "no:xdist", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib",
           "-o", "faulthandler_timeout=0")  # fmt: skip
# Collecting imports all that the cases need, which takes longer than most of them; each is forked.
FORKING = """
import os, sys
import pytest

file, *options = sys.argv[1:]

class Collected:
    def pytest_collection_modifyitems(self, items):
        self.names = [item.nodeid for item in items]

collected = Collected()
pytest.main([*options, "--collect-only", "-q", file], plugins=[collected])
for case in collected.names:
    sys.stdout.flush()
    if not (child := os.fork()):
        status = pytest.main([*options, case])
        sys.stdout.flush()
        os._exit(status)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"failed: {case}")
print("cases that passed:", len(collected.names))
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("file", CASES)
def test_several_processes_compute_what_one_computes(file):
    command = [sys.executable, "-c", FORKING, Path(__file__).with_name(file), *OPTIONS]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[-1]) >= CASES[file]
