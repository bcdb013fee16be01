"""The check of a GPU runs through on a CPU: what it compares holds there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_check_of_a_gpu_runs_on_a_cpu():
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.gpu_check", "--device", "cpu"],
        cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    for line in ("bf16, cpu:", "resume: weights differ by 0.0e+00", "two processes:", "all as it"):
        assert line in ended.stdout
