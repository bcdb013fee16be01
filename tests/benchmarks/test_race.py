"""`python -m tests.benchmarks.race`."""

import json

import pytest

from tests.benchmarks import mining
from tests.benchmarks.comparison import Round, Subject
from tests.benchmarks.race import main


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(mining, "GENERATED", 300)
    monkeypatch.setattr(mining, "_BASELINE", 40)


def test_mine_prints_both_rates_and_their_ratio(quick, capsys):
    assert main(["mine", "--repeat", "2"]) == 0
    said = capsys.readouterr().out
    assert said.count("captions/s") == 2
    assert "ratio" in said and "2 rounds" in said and "397" in said


def test_mine_as_json_reads_a_file(quick, capsys, tmp_path):
    (tmp_path / "captions.jsonl").write_text('{"caption": "a red kite falls"}\n' * 60)
    assert main(["mine", str(tmp_path / "captions.jsonl"), "--repeat", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["subject"] == "mine" and len(found["rounds"]) == 1
    turn = found["rounds"][0]
    assert found["ratio"]["median"] == pytest.approx(turn["ours"] / turn["plain"])


def toy(name, difference):
    return Subject(name, "things/s", "slowly", "fast", lambda: Round(1.0, 3.0, difference))


def test_all_measures_one_after_the_other_and_fails_where_results_differ(monkeypatch, capsys):
    made = {"step": [toy("step fp32", 0.0), toy("step bf16", 0.0)], "mask": [toy("mask", 0.0)]}
    makers = {name: lambda options, found=found: found for name, found in made.items()}
    monkeypatch.setattr("tests.benchmarks.subjects.SUBJECTS", makers)
    assert main(["--repeat", "1"]) == 0
    said = capsys.readouterr().out
    assert [line[3:] for line in said.splitlines() if line.startswith("==")] == [
        "step fp32", "step bf16", "mask"
    ]  # fmt: skip
    made["mask"][0] = toy("mask", 0.5)
    assert main(["--repeat", "1", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [each["equal"] for each in found] == [True, True, False]
    assert found[0]["ratio"]["median"] == 3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("fly",), "'fly'"),
        (("mine", "/nowhere/captions.txt"), "captions.txt"),
        (("mine", "--repeat", "0"), "--repeat is 0"),
        (("mine", "--workers", "-1"), "--workers is -1"),
        (("all", "--workers", "0"), "--workers is 0"),
        (("step", "--repeat", "0"), "--repeat is 0"),
        (("mask", "-o", "mask.png"), "scaling"),
        (("mask", "captions.txt"), "captions.txt"),
        (("step", "--batch", "1"), "--batch"),
        (("scaling", "--repeat", "0"), "--repeat is 0"),
        (("scaling", "-o", "curves.pdf"), "curves.pdf"),
    ],
)
def test_mistakes_are_one_sentence(capsys, arguments, named):
    assert main(list(arguments)) == 2
    text = capsys.readouterr().err
    assert named in text and len(text.splitlines()) == 1
