"""The public names, and how quickly they are there."""

import subprocess
import sys

import pytest

import snpkit


@pytest.mark.parametrize("name", [name for name in snpkit.__all__ if not name.startswith("_")])
def test_every_public_name_is_there(name):
    assert getattr(snpkit, name) is not None
    assert name in dir(snpkit)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        _ = snpkit.nothing_of_ours


def test_importing_snpkit_loads_nothing_heavy():
    code = "import sys, snpkit; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert not loaded & {"torch", "transformers", "spacy", "decord", "matplotlib", "numpy"}


def test_the_command_line_has_help_for_every_command():
    from snpkit.cli import COMMANDS

    command = [sys.executable, "-m", "snpkit", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert all(name in result.stdout for name in COMMANDS)
