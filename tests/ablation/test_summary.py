"""Results from made-up records, checked against numbers worked out apart from the code."""

import json
import math
import statistics

import numpy as np
import pytest
from ablation_toys import made_up_record, made_up_records, toy_values, write_plan

from snpkit.ablation.figures import curves_figure, differences_figure
from snpkit.ablation.plan import load_plan
from snpkit.ablation.report import markdown_tables, verdict, write_report
from snpkit.ablation.summary import metrics_at, metrics_of, step_cost, summarise
from snpkit.errors import UserError


@pytest.fixture
def plan(tmp_path):
    return load_plan(str(write_plan(tmp_path)))


def test_rows_are_described_by_all_their_seeds(plan):
    records = made_up_records()
    results = summarise(plan, records[::-1])  # in whatever order they come
    assert json.loads(json.dumps(results)) == results
    row = results["corpora"]["easy"]["rows"]["snp"]
    used = [r["curve"][-1]["reranked"]["r10"] for r in records if r["row"] == "snp"]
    assert row["seeds"] == [0, 1, 2, 3, 4]
    assert row["final"]["r10"]["values"] == pytest.approx(used, rel=1e-3)
    assert row["final"]["r10"]["mean"] == pytest.approx(statistics.fmean(used), rel=1e-3)
    assert row["final"]["r10"]["sd"] == pytest.approx(statistics.stdev(used), rel=1e-3)
    assert row["final"]["matching_r10"]["mean"] == pytest.approx(statistics.fmean(used) - 1, 1e-3)
    assert row["curve"]["steps"] == [2, 4]
    assert row["curve"]["r10"]["mean"][0] == pytest.approx(
        statistics.fmean((value - 1) / 2 + 1 for value in used), rel=1e-3
    )
    twin = results["corpora"]["easy"]["rows"]["twin"]
    assert twin["final"]["r10"] == twin["final"]["matching_r10"]
    assert "questions" not in twin["final"]


def test_differences_are_taken_seed_by_seed(plan):
    records = made_up_records()
    # A seed that only one of the two has finished takes no part.
    records.append(made_up_record("snp", 5, 999.0, cost=0.2))
    found = summarise(plan, records)["corpora"]["easy"]["tables"]["II"]["rows"]["twin"]
    values = {(r["row"], r["seed"]): r["curve"][-1]["matching"]["r10"] for r in records}
    differences = [values["twin", s] - values["snp", s] for s in range(5)]
    one = found["difference_same_steps"]["matching_r10"]
    assert one["values"] == pytest.approx(differences, rel=1e-3)
    assert one["n"] == 5
    reach = 2.776445 * statistics.stdev(differences) / math.sqrt(5)
    assert (one["low"], one["high"]) == pytest.approx(
        (one["mean"] - reach, one["mean"] + reach), rel=1e-3
    )
    assert "questions" not in found["difference_same_steps"]


def test_the_same_time_is_that_of_the_fastest_row(plan):
    results = summarise(plan, made_up_records())
    table = results["corpora"]["easy"]["tables"]["II"]
    assert (table["fastest"], table["cpu_seconds"]) == ("twin", pytest.approx(0.4))
    # The twin tower takes 0.1 s a step, the other one 0.2 s: half of its 4 steps.
    assert table["rows"]["twin"]["steps_in_time"] == pytest.approx(4)
    assert table["rows"]["snp"]["steps_in_time"] == pytest.approx(2)
    row = results["corpora"]["easy"]["rows"]["snp"]
    same = table["rows"]["snp"]["same_time"]["r10"]["mean"]
    assert same == pytest.approx(row["curve"]["r10"]["mean"][0], rel=1e-3)
    late = table["rows"]["twin"]["difference_same_time"]["matching_r10"]["mean"]
    early = table["rows"]["twin"]["difference_same_steps"]["matching_r10"]["mean"]
    assert early < 0 < late  # behind after the same steps, ahead after the same time


def test_between_two_evaluations_a_line_is_drawn():
    record = made_up_record("twin", 0, 60.0)
    assert metrics_at(record, 3)["r10"] == pytest.approx(45)
    assert metrics_at(record, 2.5)["r1"] == pytest.approx((7.5 * 3 + 15) / 4)
    assert metrics_at(record, 0)["r10"] == 30
    assert metrics_at(record, 99) == pytest.approx(metrics_of(record["curve"][-1]))


def test_one_busy_hour_does_not_change_the_cost_of_a_step():
    records = [made_up_record("snp", seed, 50, cost=0.2) for seed in range(5)]
    records[3] = made_up_record("snp", 3, 50, cost=1.9)
    assert step_cost(records) == pytest.approx(0.2)


def test_corpora_are_pooled_and_missing_rows_left_out(tmp_path):
    values = toy_values()
    values["corpora"]["hard"] = {"title": "pairs", "settings": {"train": 16, "test": 6}}
    values["rows"]["third"] = {"title": "not yet run"}
    values["tables"]["II"]["rows"].append("third")
    plan = load_plan(str(write_plan(tmp_path, values)))
    records = made_up_records() + [r | {"corpus": "hard"} for r in made_up_records(gain=5)]
    results = summarise(plan, records)
    assert "third" not in results["corpora"]["easy"]["rows"]
    pooled = results["pooled"]["II"]["twin"]["r1"]
    single = [results["corpora"][name]["tables"]["II"]["rows"]["twin"]["difference_same_steps"]
              ["r1"]["mean"] for name in ("easy", "hard")]  # fmt: skip
    assert pooled["n"] == 10
    assert pooled["mean"] == pytest.approx(np.mean(single), rel=1e-3)
    assert pooled["holm_p"] == pooled["t_p"]  # one comparison: nothing to adjust
    assert f"{pooled['mean']:+.1f} (" in markdown_tables(plan, results).split("## All corpora")[1]
    only_hard = summarise(plan, [r for r in records if r["corpus"] == "hard"])
    assert only_hard["corpora"]["easy"]["tables"]["II"] == {"rows": {}}
    assert "pairs" in markdown_tables(plan, only_hard)
    assert curves_figure(plan, only_hard, "II") is not None
    with pytest.raises(UserError, match="No run of the plan toy is finished"):
        summarise(plan, [])


def test_several_rows_are_tested_with_holm(tmp_path):
    values = toy_values()
    values["rows"]["other"] = {"title": "other"}
    values["tables"]["II"]["rows"].append("other")
    plan = load_plan(str(write_plan(tmp_path, values)))
    records = made_up_records() + [made_up_record("other", s, 50 + 3 * s) for s in range(5)]
    rows = summarise(plan, records)["corpora"]["easy"]["tables"]["II"]["rows"]
    tested = [rows[name]["difference_same_steps"]["r1"] for name in ("twin", "other")]
    least, most = sorted(tested, key=lambda one: one["t_p"])
    assert least["holm_p"] == pytest.approx(min(1, 2 * least["t_p"]), rel=1e-3)
    assert most["holm_p"] == pytest.approx(max(2 * least["t_p"], most["t_p"]), rel=1e-3)


def test_a_single_seed_reports_without_spread_or_test(plan, tmp_path):
    results = summarise(plan, made_up_records(seeds=1))
    text = markdown_tables(plan, results)
    assert "not decided" in text and "±" not in text
    assert differences_figure(plan, results, "II").alt.count("(") == 0
    one_row = summarise(plan, [r for r in made_up_records() if r["row"] == "snp"])
    assert differences_figure(plan, one_row, "II") is None
    assert "difference" in markdown_tables(plan, one_row)


def test_the_words_follow_the_adjusted_test():
    found = {"mean": -2.0, "t_p": 0.01, "holm_p": 0.03}
    assert verdict(found) == "lower"
    assert verdict(found | {"mean": 2.0}) == "higher"
    assert verdict(found | {"holm_p": 0.06}) == "not decided"
    assert verdict({"mean": 2.0, "t_p": None}) == "not decided"


def test_the_report_is_small_and_whole(plan, tmp_path):
    results = summarise(plan, made_up_records())
    paths = write_report(plan, results, tmp_path / "out")
    assert {path.name for path in paths} == {
        "results.json", "results.md", "curves_II.png", "differences_II.png"
    }  # fmt: skip
    assert all(path.is_file() for path in paths)
    lines = (tmp_path / "out/results.md").read_text().splitlines()
    tables = [line for line in lines if line.startswith("|")]
    assert len(tables) == 8 and len({line.count("|") for line in tables[:4]}) == 1
    snp = next(line for line in tables if "SNP" in line)
    mean = results["corpora"]["easy"]["rows"]["snp"]["final"]["r1"]["mean"]
    assert f"{mean:.1f} ±" in snp
