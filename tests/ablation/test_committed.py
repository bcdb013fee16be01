"""The committed results of the paper's tables: whole, in themselves consistent, and drawable."""

import statistics

import pytest

from snpkit.ablation.figures import curves_figure, differences_figure
from snpkit.ablation.plan import load_plan
from snpkit.ablation.report import markdown_tables
from snpkit.ablation.statistics import compared, holm
from snpkit.data.samples import samples_folder
from snpkit.files import read_json

PLAN = load_plan("paper_laptop")
RESULTS = read_json(samples_folder() / "ablations" / "paper_laptop.json")
CORPORA = list(PLAN.corpora)


@pytest.mark.parametrize("corpus", CORPORA)
def test_every_row_has_run_with_every_seed(corpus):
    rows = RESULTS["corpora"][corpus]["rows"]
    assert set(rows) == set(PLAN.rows)
    for name, row in rows.items():
        recipe = PLAN.recipe_of(name, 0)
        assert row["seeds"] == list(range(PLAN.seeds)) and PLAN.seeds >= 5
        assert row["steps"] == recipe.optimisation.total_steps
        assert row["skipped_steps"] == 0
        for sample in row["final"].values():
            assert sample["mean"] == pytest.approx(statistics.fmean(sample["values"]), rel=1e-3)
            assert sample["sd"] == pytest.approx(statistics.stdev(sample["values"]), abs=0.02)


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("table", PLAN.tables)
def test_differences_are_those_of_the_rows(corpus, table):
    found, baseline = RESULTS["corpora"][corpus], PLAN.tables[table].baseline
    rows, tested = found["rows"], []
    for name, own in found["tables"][table]["rows"].items():
        if name == baseline:
            continue
        one = own["difference_same_steps"]["r1"]
        tested.append(one)
        values = (rows[row]["final"]["r1"]["values"] for row in (name, baseline))
        differences = [a - b for a, b in zip(*values, strict=True)]
        assert one["values"] == pytest.approx(differences, abs=0.02)
        again = compared(one["values"])
        assert (one["mean"], one["low"], one["high"]) == pytest.approx(
            (again["mean"], again["low"], again["high"]), abs=0.02
        )
        assert one["t_p"] == pytest.approx(again["t_p"], rel=0.05, abs=1e-3)
    assert [one["holm_p"] for one in tested] == pytest.approx(
        holm([one["t_p"] for one in tested]), rel=1e-2
    )


@pytest.mark.parametrize("table", PLAN.tables)
def test_they_can_be_drawn_and_printed(table):
    for figure in (curves_figure(PLAN, RESULTS, table), differences_figure(PLAN, RESULTS, table)):
        assert figure is not None
        assert all(PLAN.corpora[corpus].title in figure.alt for corpus in CORPORA)
    assert markdown_tables(PLAN, RESULTS).count(f"## Table {table}, ") == len(CORPORA)


def test_the_results_tell_nothing_of_the_machine_but_its_kind():
    assert {key for machine in RESULTS["machines"] for key in machine} <= {
        "device", "threads", "number_format", "machine", "python", "snpkit", "torch",
        "transformers", "numpy", "tokenizers", "safetensors",
    }  # fmt: skip
