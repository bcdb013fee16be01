"""SECURITY.md names tests that exist: a promise without one is not made."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def references():
    """(row of the table, test file, test or "") of every test that the table names."""
    for line in (ROOT / "SECURITY.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("| ") or line.startswith("| Promise"):
            continue
        promise, held = line.strip("|").split(" | ")
        file = ""
        for found, test in re.findall(r"`(tests/[\w/]+\.py)?(?:::(\w+)(?:\[\w+\])?)?`", held):
            file = found or file
            yield promise.strip(), file, test
        assert file, f"No test holds: {promise}"


@pytest.mark.parametrize(("promise", "file", "test"), list(references()))
def test_a_promise_is_held_by_a_test(promise, file, test):
    source = (ROOT / file).read_text(encoding="utf-8")
    assert f"def {test or 'test_'}" in source
