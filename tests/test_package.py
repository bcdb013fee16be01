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


def cpu_seconds(code):
    """Processor time of a fresh interpreter, the best of several, less that of an empty one."""
    import resource

    def once(text):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", text], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once(code) for _ in range(5)) - min(once("pass") for _ in range(5))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not count a child's seconds")
def test_importing_snpkit_takes_a_third_of_a_second_at_most():
    assert cpu_seconds("import snpkit") < 0.3


def test_help_loads_neither_torch_nor_transformers():
    code = (
        "import sys\nfrom snpkit.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print('loaded', *sys.modules)"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(result.stdout.rpartition("loaded ")[2].split())
    assert not loaded & {"torch", "transformers", "spacy", "decord", "matplotlib"}
    assert "snpkit.commands.plan" in loaded
