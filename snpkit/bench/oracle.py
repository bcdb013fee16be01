"""The straightforward implementations stay with the tests: `snpkit bench` needs a clone."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from snpkit.errors import UserError

_ROOT = Path(__file__).resolve().parents[2]


def straightforward(name: str) -> ModuleType:
    """The module `tests/benchmarks/NAME.py` of this clone.

    Raises:
        UserError: snpkit was installed without its tests.
    """
    folder = _ROOT / "tests"
    if not (folder / "benchmarks" / f"{name}.py").is_file():
        raise UserError(
            f"The straightforward way to compare with is not there: {folder / 'benchmarks'} holds "
            f"no {name}.py; run `snpkit bench` from a clone of the repository."
        )
    if "tests" not in sys.modules:
        # Not by sys.path: another package may have installed a `tests` of its own.
        package = ModuleType("tests")
        package.__path__ = [str(folder)]
        sys.modules["tests"] = package
    return import_module(f"tests.benchmarks.{name}")
