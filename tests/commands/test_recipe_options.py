"""A recipe on the command line: a name or a file, with every `--set`; and wrong numbers."""

import json

import pytest

from snpkit.language.significance import SignificanceTable
from snpkit.training.recipe import read_recipe

MINE = """\
name: mine
data:
  batch_size: 8  # Few clips are there.
  cache: false
model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64}
optimisation: {total_steps: 9, learning_rate: 1e-4, precision: fp32}
"""


def test_a_yaml_file_is_trained_as_a_named_recipe_is(said, corpus, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    options = ("--data", corpus, "--output", tmp_path / "run", "--no-progress", "--held-out",
               "none", "--seed", 4)  # fmt: skip
    changes = ("--set", "optimisation.total_steps=1", "data.clips=1", "--set", "data.frames=2")
    table = SignificanceTable.mine(["a red kite falls"])
    table.save(tmp_path / "table.json")
    table_option = ("--significance", tmp_path / "table.json")
    assert said("pretrain", path, *options, *table_option, *changes) == (0, "")
    assert SignificanceTable.load(tmp_path / "run" / "last" / "significance.json") == table
    kept = read_recipe(tmp_path / "run" / "last" / "recipe.json")
    assert (kept.name, kept.seed, kept.data.batch_size) == ("mine", 4, 8)
    assert (kept.optimisation.total_steps, kept.data.clips, kept.data.frames) == (1, 1, 2)
    assert kept.optimisation.learning_rate == 1e-4
    assert kept.choices == ("data.batch_size: Few clips are there.",)
    config = json.loads((tmp_path / "run" / "last" / "config.json").read_text())
    assert (config["hidden_size"], config["clips"], config["frames"]) == (32, 1, 2)


@pytest.mark.parametrize("command", [("pretrain",), ("finetune", "qa"), ("plan",)])
@pytest.mark.parametrize("wrong", range(3))
def test_every_set_counts(said, tmp_path, command, wrong):
    fields = ["data.clips=1", "optimisation.total_steps=7", "data.frames=2"]
    fields[wrong] = "seed=-1"
    status, text = said(*command, "--set", fields[0], "--set", *fields[1:])
    assert status == 2 and text == (
        "snpkit: Recipe: seed is -1; it should be greater than or equal to 0."
    )


def test_a_file_that_is_no_recipe_is_named(said, tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text(MINE.replace("batch_size", "bach_size"))
    for command in (("pretrain", path), ("finetune", "qa", "--recipe", path), ("plan", path)):
        status, text = said(*command)
        assert status == 2 and text == (
            f"snpkit: {path} is no recipe that can be used: 'data.bach_size' is no field (did you "
            "mean 'data.batch_size'?)."
        )


@pytest.mark.parametrize(("arguments", "sentence"), [
    (("pretrain", "--device", "meta"), "The device 'meta' is not to be had here"),
    (("pretrain", "--seed", -1), "seed is -1"),
    (("pretrain", "--set", "data.size=7"), "data.size is 7; use a multiple"),
    (("pretrain", "--set", "optimisation.learning_rate=NaN"), "learning_rate is nan"),
    (("mine", "captions.txt", "--workers", -2), "--workers is -2; use 1 or more."),
    (("mine", "captions.txt", "--examples", -1), "--examples is -1; use 0 or more."),
    (("search", ".", "a kite", "--candidates", -5), "--candidates is -5; use 0"),
])  # fmt: skip
def test_a_wrong_number_is_one_sentence(said, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "captions.txt").write_text("a red kite flies\n")
    status, text = said(*arguments)
    assert status == 2 and sentence in text and len(text.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["captions.txt"]
