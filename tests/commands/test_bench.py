"""The `snpkit bench` command."""

import json

import pytest

from snpkit.bench import mining
from snpkit.cli import main


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(mining, "GENERATED", 300)
    monkeypatch.setattr(mining, "_BASELINE", 40)


def test_mine_prints_both_rates_and_their_ratio(quick, capsys):
    assert main(["bench", "mine", "--repeat", "2"]) == 0
    said = capsys.readouterr().out
    assert said.count("captions/s") == 2
    assert "ratio" in said and "2 rounds" in said and "397" in said


def test_mine_as_json_reads_a_file(quick, capsys, tmp_path):
    (tmp_path / "captions.jsonl").write_text('{"caption": "a red kite falls"}\n' * 60)
    assert main(["bench", "mine", str(tmp_path / "captions.jsonl"), "--repeat", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["subject"] == "mine" and len(found["rounds"]) == 1
    turn = found["rounds"][0]
    assert found["ratio"]["median"] == pytest.approx(turn["ours"] / turn["plain"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("fly",), "'fly'"),
        (("mine", "/nowhere/captions.txt"), "captions.txt"),
        (("mine", "--repeat", "0"), "--repeat is 0"),
        (("mine", "--workers", "-1"), "--workers is -1"),
    ],
)
def test_mistakes_are_one_sentence(said, arguments, named):
    status, text = said("bench", *arguments)
    assert status == 2
    assert named in text and len(text.splitlines()) == 1
