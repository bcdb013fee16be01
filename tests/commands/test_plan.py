"""`snpkit plan`: its table, its JSON and its refusals, on a tiny recipe."""

import json

import pytest

from snpkit.cli import main
from snpkit.commands.plan import read_pairs
from snpkit.errors import UserError
from snpkit.training import estimate

TINY = (
    "--set", "model.hidden_size=32", "model.num_hidden_layers=1", "model.num_attention_heads=2",
    "model.intermediate_size=64", "data.size=32", "data.batch_size=8",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_step():
    """Each recipe and card is estimated once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        take, found = estimate.estimate_step, {}

        def remembered(recipe, card, **more):
            key = repr((recipe, card.name, more))
            if key not in found:
                found[key] = take(recipe, card, **more)
            return found[key]

        patch.setattr(estimate, "estimate_step", remembered)
        yield


def test_the_text_names_every_part_and_what_is_assumed(capsys):
    assert main(["plan", "laptop", "--gpu", "t4", "--data", "10k", "--price", "2", *TINY]) == 0
    shown = capsys.readouterr().out
    for part in ("weights", "gradients", "optimiser", "activations", "pixels"):
        assert f"  {part} " in shown
    for word in ("FLOPs of a step", "hours", "cost", "frame cache", "It fits", "Assumed:"):
        assert word in shown
    assert "1,000 on 10,000 pairs" in shown and "float16" in shown


def test_json_holds_the_same_numbers(capsys):
    assert main(["plan", "laptop", "--gpu", "a100-40", "--gpus", "2", "--json", *TINY]) == 0
    found = json.loads(capsys.readouterr().out)
    memory = found["memory"]
    assert memory.pop("peak") == pytest.approx(sum(memory.values()))
    assert found["dtype"] == "bfloat16" and found["steps"] == 1000 and found["cost"] is None
    assert found["cache_bytes"] == 10_000 * 2 * 4 * 3 * 32 * 32
    seconds = 1000 * found["flops"] / (312e12 * found["utilisation"])
    assert found["seconds"] == pytest.approx(seconds)


def test_the_table_says_which_cards_suffice(capsys, monkeypatch):
    peak = estimate.Memory(10e9, 0, 0, 4e9, 0)  # 14 GB: a tenth of 16 is to stay free
    step = estimate.Step(peak, 1e12, 10**9, None)
    small = estimate.Step(estimate.Memory(10e9, 0, 0, 0, 0), 1e12, 10**9, None)
    monkeypatch.setattr(
        estimate, "estimate_step",
        lambda recipe, card, **_: small if recipe.optimisation.micro_batch == 4 else step,
    )  # fmt: skip
    assert main(["plan", "laptop", "--gpu", "rtx3060", "--table", *TINY]) == 0
    shown = capsys.readouterr().out
    assert "does with --set optimisation.micro_batch=4" in shown
    lines = dict(line.split(" GB card  ") for line in shown.splitlines() if " GB card  " in line)
    verdicts = {int(size): verdict for size, verdict in lines.items()}
    assert verdicts == {12: "fits with micro_batch 4", 16: "fits", 24: "fits", 40: "fits",
                        80: "fits"}  # fmt: skip


def test_measured_steps_replace_the_utilisation(capsys):
    assert main(["plan", "laptop", "--measure", "--json", *TINY]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0 < found["utilisation"] < 1.5 and found["utilisation"] != estimate.UTILISATION
    assert any("measured on this machine" in line for line in found["assumptions"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--gpu", "rtx4900"], "did you mean 'rtx4090'"),
        (["--gpu", "x"], "is not in the table"),
        (["--data", "many"], "takes a number of pairs"),
        (["--data", "0"], "takes a number of pairs"),
        (["--data", "30"], "gives no batch of 64"),
        (["--gpus", "0"], "--gpus from 1"),
        (["--gpus", "3"], "does not divide among 3"),
        (["--utilisation", "0"], "above 0 and up to 1"),
        (["--tokens", "2"], "use 3 or more"),
        (["--set", "optimisation.precision=fp16"], "needs a CUDA device"),
    ],
)
def test_a_mistake_gets_one_sentence(arguments, sentence, capsys):
    assert main(["plan", "laptop", *arguments]) == 2
    shown = capsys.readouterr().err
    assert sentence in shown and shown.count("\n") == 1 and "Traceback" not in shown


def test_plans_are_of_pre_training(capsys):
    assert main(["plan", "laptop_qa"]) == 2
    assert "fine-tuning" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "pairs"), [("10k", 10_000), ("2.5M", 2_500_000), ("4,000", 4000), ("1e", None)]
)
def test_numbers_of_pairs(text, pairs):
    if pairs is None:
        with pytest.raises(UserError):
            read_pairs(text)
    else:
        assert read_pairs(text) == pairs
