"""Runs of a toy plan through the real loop: their records, and how they go on after a kill."""

import json

import pytest
from ablation_toys import numbers, quiet, toy_values, workplace

from snpkit.ablation import runs, schedule
from snpkit.ablation.runs import Job, read_record, run_job
from snpkit.ablation.schedule import jobs_of, run_all
from snpkit.errors import UserError
from snpkit.files import read_json, write_json


def test_a_record_holds_the_curve_the_times_and_the_answers(finished):
    record = read_record(finished, Job("easy", "snp", 1))
    assert [point["step"] for point in record["curve"]] == [2, 4]
    assert record["curve"][1]["cpu_seconds"] > record["curve"][0]["cpu_seconds"] > 0
    assert set(record["curve"][0]["reranked"]) == {"r1", "r5", "r10", "median_rank"}
    assert 0 <= record["questions"]["accuracy"] <= 100
    assert record["losses"].keys() == {"text_mlm", "cross_mlm", "gvtm_text_video",
                                       "gvtm_cross_modal", "lvwm"}  # fmt: skip
    twin = read_record(finished, Job("easy", "twin", 0))
    assert twin["questions"] is None and "reranked" not in twin["curve"][0]
    assert not finished.folder(Job("easy", "snp", 1)).exists()  # weights are gone
    assert finished.record(Job("easy", "snp", 1)).stat().st_size < 20_000


def test_finished_runs_are_skipped_and_a_lost_one_comes_out_the_same(finished, monkeypatch):
    lost, done = Job("easy", "snp", 0), []
    before = read_record(finished, lost)
    finished.record(lost).unlink()
    monkeypatch.setattr(schedule, "run_job", lambda place, job: done.append(job) or True)
    assert run_all(finished, jobs_of(finished.plan), tell=quiet).done == 1
    assert done == [lost]
    assert run_job(finished, lost)
    assert numbers(read_record(finished, lost)) == numbers(before)


@pytest.mark.parametrize("moment", ["training", "questions", "record"])
def test_a_killed_run_goes_on_and_ends_as_one_that_was_never_stopped(
    finished, tmp_path, monkeypatch, moment
):
    class Killed(BaseException):
        pass

    job, place = Job("easy", "snp", 1), workplace(tmp_path)
    calls = []

    def killing(original):
        def wrapped(*arguments, **options):
            calls.append(moment)
            if moment != "training" or len(calls) == 2:  # at the evaluation of step 4
                raise Killed
            return original(*arguments, **options)
        return wrapped

    name = {"training": "_measure", "questions": "make_dataset", "record": "_record"}[moment]
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(runs, name, killing(getattr(runs, name)))
        run_job(place, job)
    assert read_record(place, job) is None
    assert place.folder(job).is_dir()
    steps = []
    real = runs.pretrain

    def counted(*arguments, **options):
        before = options["output"] / "last" / "training.json"
        steps.append(json.loads(before.read_text())["step"] if before.exists() else 0)
        return real(*arguments, **options)

    monkeypatch.setattr(runs, "pretrain", counted)
    assert run_job(place, job)
    # Of the training: from its checkpoint. Of the questions: from theirs.
    assert steps == {"training": [2, 0], "questions": [4, 2], "record": [4, 2]}[moment]
    assert numbers(read_record(place, job)) == numbers(read_record(finished, job))


def test_a_plan_that_was_changed_is_told_from_the_finished_one(finished, tmp_path):
    values = toy_values()
    values["changes"]["optimisation.learning_rate"] = 0.5
    changed = workplace(tmp_path, values)
    job = Job("easy", "twin", 0)
    record = read_json(finished.record(job))
    write_json(changed.record(job), record)
    with pytest.raises(UserError, match=r"another recipe\.optimisation\.learning_rate"):
        read_record(changed, job)
    # A field that snpkit has learned since then had its default value.
    del record["identity"]["recipe"]["masking"]["ratio"]
    same = workplace(tmp_path)
    write_json(same.record(job), record)
    assert read_record(same, job) == record
    for damage in ([], {"format": 0}, {"format": 1}):
        write_json(changed.record(job), damage)
        with pytest.raises(UserError, match="is no record of this version"):
            read_record(changed, job)
