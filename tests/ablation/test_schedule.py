"""Which runs are done, in how many processes, and how all of it stops and goes on."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from ablation_toys import numbers, quiet, toy_values, workplace, write_plan

from snpkit.ablation import schedule
from snpkit.ablation.plan import load_plan
from snpkit.ablation.runs import Job, read_record
from snpkit.ablation.schedule import jobs_of, run_all
from snpkit.cli import main
from snpkit.errors import UserError
from snpkit.files import read_json


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
    place = replace(finished, output=tmp_path)
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
    killer = threading.Timer(300, process.kill)
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
