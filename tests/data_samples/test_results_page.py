"""The page of results: each number comes from the files; what cannot be compared is refused."""

import json
import re
import subprocess
import sys
from pathlib import Path
from statistics import fmean, stdev

import pytest

from data_samples.tools.results_page import read_results, results_page, write_results
from snpkit.errors import UserError

FOUND = {"r1": 10.0, "r5": 20.0, "r10": 30.0, "median_rank": 12.0, "mean_rank": 20.0}


def facts(task, start, seed):
    command = f"snpkit finetune {task} --start {start} --seed {seed}"
    return {"Command": command, "Seed": seed, "Steps": 400, "Device": "cpu", "Machine": "abacus"}


def retrieval(gain, start="laptop", seed=0):
    better = {name: value + gain for name, value in FOUND.items()}
    both = {"text_to_video": better, "video_to_text": FOUND}
    chance = {"text_to_video": FOUND | {"r1": 0.4}, "video_to_text": FOUND | {"r1": 0.5}}
    return {"matching": both, "reranked": both, "chance": chance, "queries": 256,
            "facts": facts("retrieval", start, seed), "unreadable": {}}  # fmt: skip


def answering(accuracy, start="laptop", seed=0, questions=1409):
    return {"accuracy": accuracy, "by_type": {"colour": accuracy + 1, "count": 77.7},
            "questions": questions, "left_out": 0, "outside": 3, "commonest": 13.1,
            "commonest_by_type": 21.4, "facts": facts("qa", start, seed)}  # fmt: skip


def choosing(accuracy, start="laptop", seed=0):
    return {"accuracy": accuracy, "matching": accuracy - 2, "cross_modal": accuracy - 4,
            "chance": 20.0, "questions": 256, "left_out": 0,
            "facts": facts("multichoice", start, seed)}  # fmt: skip


def save(root: Path, name: str, metrics: dict) -> None:
    path = root / (name if name.endswith(".json") else f"{name}/metrics.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(metrics))


@pytest.fixture
def results(tmp_path):
    """Three tasks, three seeds each from both starts, two zero-shot."""
    root = tmp_path / "results"
    for seed, change in enumerate((0.0, 1.5, 4.5)):
        for start, better in (("pretrained", 30), ("nothing", 0)):
            name = "laptop" if start == "pretrained" else "nothing"
            save(root, f"retrieval-{start}-seed{seed}", retrieval(better + change, name, seed))
            save(root, f"qa-{start}-seed{seed}", answering(40 + better + change, name, seed))
            save(root, f"multichoice-{start}-seed{seed}",
                 choosing(50 + better + change, name, seed))  # fmt: skip
    save(root, "retrieval-zeroshot.json", retrieval(25.0))
    save(root, "multichoice-zeroshot.json", choosing(66.6))
    (root / "notes.txt").write_text("not a result")
    return root


def rows(page, start):
    """The cells of all lines that begin with a label."""
    found = re.findall(rf"^\| {re.escape(start)} \|(.*)\|$", page, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in found]


def test_every_start_is_a_row_of_mean_and_deviation_over_seeds(results):
    page = results_page(read_results(results))
    seeds = [40.0, 41.5, 44.5]
    said = f"{fmean(seeds):.1f} ± {stdev(seeds):.1f}"
    first = rows(page, "trained from random weights")
    assert first[0][:2] == ["matching", "12.0 ± 2.3"]
    assert [said, f"{fmean(seeds) + 1:.1f} ± {stdev(seeds):.1f}", "77.7 ± 0.0"] in first
    assert rows(page, "pre-trained, as it is")[0] == [
        "matching", "35.0", "45.0", "55.0", "37.0", "45.00",
    ]  # fmt: skip
    assert rows(page, "pre-trained, as it is")[-1] == ["66.6", "64.6", "62.6"]


def test_baselines_stand_beside_the_models_without_a_deviation(results):
    page = results_page(read_results(results))
    assert [row[1] for row in rows(page, "chance")[:2]] == ["0.4", "0.5"]
    assert rows(page, "chance")[2] == ["20.0", "—", "—"]
    assert rows(page, "always the commonest answer") == [["13.1", "—", "—"]]
    assert rows(page, "the commonest of each type") == [["21.4", "—", "—"]]
    assert "3 of them with an answer outside the label set" in page


def test_what_pretraining_is_worth_is_said_with_its_deviation(results):
    page = results_page(read_results(results))
    assert page.count("a difference of +30.0 points") == 3
    assert "Accuracy: 72.0 after pre-training, 42.0 without" in page
    assert "over 3 and 3 seeds: 2.3 and 2.3" in page


def test_every_command_is_there_once_with_its_steps(results):
    save(results, "qa-other_idea-seed0", answering(1.0) | {"facts": {"Command": "a | b `c`"}})
    page = results_page(read_results(results))
    for task in ("retrieval", "qa", "multichoice"):
        for start in ("laptop", "nothing"):
            for seed in (1, 2):
                line = f"| `snpkit finetune {task} --start {start} --seed {seed}` | 400 | — |"
                assert page.count(line) == 1
    assert page.count("* cpu; abacus") == 1
    assert "| `a \\| b 'c'` | — |" in page and rows(page, "other_idea")[0][0] == "1.0"


def test_tables_have_as_many_cells_as_heads(results):
    for block in results_page(read_results(results)).split("\n\n"):
        widths = {line.replace(r"\|", "").count("|") for line in block.splitlines()}
        if block.startswith("|"):
            assert len(widths) == 1, block


@pytest.mark.parametrize(
    ("name", "metrics", "message"),
    [
        ("qa-pretrained-seed3", answering(9.0, questions=7), "of 1409 and 7 questions"),
        ("qa-pretrained-seed3", {"accuracy": 1.0}, "does not say which command"),
        ("retrieval-nothing-seed3", retrieval(0) | {"chance": 1, "matching": 2}, "has no 'match"),
    ],
)
def test_what_cannot_be_compared_is_refused_and_nothing_is_written(
    results, tmp_path, name, metrics, message
):
    save(results, name, metrics)
    with pytest.raises(UserError, match=message):
        write_results(results, tmp_path / "RESULTS.md")
    assert not (tmp_path / "RESULTS.md").exists()


def test_an_unfinished_run_and_an_empty_folder_are_named(results, tmp_path):
    (results / "qa-nothing-seed1" / "metrics.json").unlink()
    with pytest.raises(UserError, match=r"qa-nothing-seed1.metrics\.json"):
        read_results(results)
    with pytest.raises(UserError, match="holds no results"):
        read_results(tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        read_results(tmp_path / "nowhere")


def test_the_command_writes_the_page_or_says_one_sentence(results, tmp_path):
    module = [sys.executable, "-m", "data_samples.tools.results_page"]
    page = tmp_path / "RESULTS.md"
    done = subprocess.run([*module, str(results), str(page)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert page.read_text("utf-8") == results_page(read_results(results))
    done = subprocess.run([*module, str(tmp_path), str(page)], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("snpkit: ")
    assert len(done.stderr.splitlines()) == 1
