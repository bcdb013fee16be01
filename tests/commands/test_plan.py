"""The `snpkit plan` command."""

import json

import pytest

from snpkit.cli import main
from snpkit.training import planning
from tests.training.planning_cases import measurement


@pytest.fixture
def asked(monkeypatch):
    """What the command asks to be measured; nothing is."""
    seen = {}

    def measured(recipe, **options):
        seen.update(options, recipe=recipe)
        return measurement()

    monkeypatch.setattr(planning, "measure", measured)
    return seen


def test_a_plan_is_printed(asked, capsys):
    assert main(["plan", "laptop", "--data", "40k", "--steps", "3"]) == 0
    said = capsys.readouterr()
    pairs = [line.split()[0] for line in said.out.splitlines() if "GB" in line or "MB" in line]
    assert [p for p in pairs if p[0].isdigit()] == ["10k", "40k", "250k", "2.5M", "10M"]
    assert "Measuring laptop" in said.err
    assert asked["steps"] == 3 and asked["batch"] is None


def test_fields_of_the_recipe_can_be_changed(asked, capsys):
    changes = ["data.batch_size=32", "model.negatives=all"]
    assert main(["plan", "laptop", "--batch", "4", "--set", *changes]) == 0
    assert asked["recipe"].data.batch_size == 32 and asked["batch"] == 4
    assert asked["recipe"].model["negatives"] == "all"


def test_json(asked, capsys):
    assert main(["plan", "--json", "--data", "6400"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["measurement"]["recipe"]["name"] == "laptop"
    assert [plan["pairs"] for plan in found["plans"]] == [6400, *planning.PAIRS]
    assert found["plans"][0]["epoch_seconds"]["median"] == pytest.approx(50)


def test_real_steps(capsys):
    fields = ["data.batch_size=4", "model.num_hidden_layers=1", "data.cache=false"]
    assert main(["plan", "laptop", "--steps", "1", "--device", "cpu", "--set", *fields]) == 0
    said = capsys.readouterr().out
    assert "Measured    1 step after warm-up" in said and "peak, measured" in said


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("lap",), "'lap'"),
        (("laptop", "--data", "many"), "'many'"),
        (("laptop", "--data", "3"), "3 pairs"),
        (("laptop", "--steps", "0"), "at least one step"),
        (("laptop", "--batch", "65"), "--batch is 65"),
        (("laptop", "--manifest", "/nowhere/manifest.jsonl"), "manifest.jsonl"),
        (("laptop", "--set", "data.bacth_size=4"), "bacth_size"),
    ],
)
def test_mistakes_are_one_sentence(said, monkeypatch, arguments, named):
    monkeypatch.setattr(planning, "_ask_fresh_process", None)  # they show before the work
    status, text = said("plan", *arguments)
    lines = [line for line in text.splitlines() if not line.startswith("Measuring")]
    assert status == 2
    assert named in text and len(lines) == 1
