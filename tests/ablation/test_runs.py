"""Runs of a toy plan through the real loop: skipped, continued, told apart."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from ablation_toys import toy_values, workplace, write_plan

from snpkit.ablation import runs, schedule
from snpkit.ablation.runs import Job, read_record, run_job
from snpkit.ablation.schedule import jobs_of, run_all
from snpkit.cli import main
from snpkit.errors import UserError
from snpkit.files import read_json, write_json


def quiet(sentence):
    pass


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """All four runs of the toy plan, done once."""
    place = workplace(tmp_path_factory.mktemp("finished"))
    outcome = run_all(place, jobs_of(place.plan), tell=quiet)
    assert (outcome.done, outcome.failed, outcome.interrupted) == (4, {}, False)
    return place


def numbers(record):
    """A record without what differs from run to run: the times."""
    points = [{k: v for k, v in point.items() if "seconds" not in k} for point in record["curve"]]
    return {k: v for k, v in record.items() if k != "machine"} | {"curve": points}


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


def test_a_run_that_fails_is_told_of_and_its_row_is_left(tmp_path, monkeypatch):
    place, said, tried = workplace(tmp_path), [], []

    def fails(place, job):
        tried.append(job)
        if job.row == "twin":
            raise UserError("Too many losses.")
        return True

    monkeypatch.setattr(schedule, "run_job", fails)
    outcome = run_all(place, jobs_of(place.plan), tell=said.append)
    assert list(outcome.failed) == [Job("easy", "twin", 0)] and outcome.done == 2
    assert Job("easy", "twin", 1) not in tried
    assert "easy/twin/seed-0 failed: Too many losses." in said


def test_jobs_come_seed_by_seed_and_may_be_chosen():
    from snpkit.ablation.plan import load_plan

    plan = load_plan("paper_laptop")
    every = jobs_of(plan)
    assert len(every) == len(set(every)) == len(plan.rows) * len(plan.corpora) * plan.seeds
    assert [job.row for job in every[: len(plan.rows)]] == list(plan.rows)
    chosen = jobs_of(plan, ["II", "mssm", "compositions"], seeds=2)
    assert {job.row for job in chosen} == {*plan.tables["II"].rows, "mssm"}
    assert {job.corpus for job in chosen} == {"compositions"}
    assert {job.seed for job in chosen} == {0, 1}
    with pytest.raises(UserError, match="--only tables: the plan has"):
        jobs_of(plan, ["tables"])


def test_several_processes_leave_the_same_records(finished, tmp_path):
    place = workplace(tmp_path)
    jobs = jobs_of(place.plan, seeds=1)
    assert run_all(place, jobs, workers=2, tell=quiet).done == 2
    for job in jobs:
        assert numbers(read_record(place, job)) == numbers(read_record(finished, job))


def test_ctrl_c_stops_after_the_step_and_the_same_command_continues(finished, tmp_path):
    values = toy_values()
    values["changes"]["optimisation.total_steps"] = 4000
    values["evaluate_every"] = 2000
    plan = write_plan(tmp_path, values)
    folder = tmp_path / "runs"
    command = [sys.executable, "-m", "snpkit", "ablate", str(plan), "-o", str(folder), "--data",
               str(finished.data), "--only", "twin", "--device", "cpu"]  # fmt: skip
    history = folder / "easy/twin/seed-0/history.jsonl"
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    killer = threading.Timer(120, process.kill)
    killer.start()
    while process.poll() is None and not (history.exists() and history.stat().st_size):
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    out, errors = process.communicate()
    killer.cancel()
    assert process.returncode == 130, errors
    assert "the same command continues" in out and "Traceback" not in errors
    saved = read_json(folder / "easy/twin/seed-0/last/training.json")
    assert 0 < saved["step"] < 4000
    assert saved["batches"]["cpu_seconds"] > 0


def test_the_command_reports_and_its_mistakes_are_sentences(finished, tmp_path, capsys):
    plan = str(write_plan(tmp_path))
    common = ["--data", str(finished.data), "--device", "cpu"]
    assert main(["ablate", plan, "-o", str(finished.output), *common]) == 0
    said = capsys.readouterr().out
    assert "4 of 4 runs are finished, 0 to do." in said
    assert "Table II, compositions: towers" in said and "**SNP**" in said
    results = read_json(finished.output / "results.json")
    assert results["corpora"]["easy"]["rows"]["snp"]["seeds"] == [0, 1]
    assert (finished.output / "curves_II.png").read_bytes().startswith(b"\x89PNG")
    for arguments, sentence in (
        (["--report", "-o", str(tmp_path / "empty")], "No run of the plan toy is finished"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--workers", "0"], "--workers is 0"),
        (["--only", "nobody", "-o", str(tmp_path / "empty")], "--only nobody"),
    ):
        assert main(["ablate", plan, *common, *arguments]) == 2
        assert sentence in capsys.readouterr().err
