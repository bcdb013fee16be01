"""All runs of a plan, one after the other or in several processes; finished ones are skipped."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import torch

from snpkit.ablation.corpus import make_corpus
from snpkit.ablation.plan import Plan
from snpkit.ablation.runs import Job, Workplace, read_record, run_job
from snpkit.errors import UserError
from snpkit.machine import available_cores


@dataclass
class Outcome:
    """How far a plan came.

    Attributes:
        done: runs finished now.
        failed: the sentence of each run that cannot be done.
        interrupted: stopped by Ctrl-C or SIGTERM; the same call continues.
    """

    done: int = 0
    failed: dict[Job, str] = field(default_factory=dict)
    interrupted: bool = False


def jobs_of(plan: Plan, only: Collection[str] = (), seeds: int | None = None) -> list[Job]:
    """All runs, corpus by corpus and seed by seed.

    Rows come innermost: what else a machine does meanwhile then slows all rows alike, and whatever
    is finished can be compared in pairs.

    Args:
        only: names of rows, corpora and tables to keep; empty = all.
        seeds: in place of the plan's number.

    Raises:
        UserError: a name in `only` is none of the plan's.
    """
    known = [*plan.rows, *plan.corpora, *plan.tables]
    for name in only:
        if name not in known:
            raise UserError(f"--only {name}: the plan has {', '.join(known)}.")
    corpora = [name for name in plan.corpora if name in only] or list(plan.corpora)
    asked = {row for name in only if name in plan.tables for row in plan.tables[name].rows}
    asked |= {name for name in only if name in plan.rows}
    rows = [name for name in plan.rows if name in asked] or list(plan.rows)
    numbers = range(plan.seeds if seeds is None else seeds)
    return [Job(corpus, row, seed) for corpus in corpora for seed in numbers for row in rows]


def run_all(
    place: Workplace, jobs: list[Job], workers: int = 1, tell: Callable[[str], None] = print
) -> Outcome:
    """Do all runs that are not finished.

    A run that cannot be done is reported, and no other seed of its row is tried on that corpus.

    Raises:
        UserError: a finished run is of another plan; a worker process died.
    """
    open_jobs = [job for job in jobs if read_record(place, job) is None]
    tell(f"{len(jobs) - len(open_jobs)} of {len(jobs)} runs are finished, {len(open_jobs)} to do.")
    for corpus in dict.fromkeys(job.corpus for job in open_jobs):
        make_corpus(place.data / corpus, place.plan.corpora[corpus].parsed())
    outcome = Outcome()
    hopeless: set[tuple[str, str]] = set()
    waiting = (job for job in open_jobs if (job.corpus, job.row) not in hopeless)
    work = partial(run_job, place)
    for job, result in _results(work, waiting, workers):
        try:
            finished = result()
        except BrokenProcessPool as error:
            raise UserError(
                "A process of the ablation died, perhaps for want of memory; the same command "
                "with fewer --workers continues."
            ) from error
        except UserError as error:
            outcome.failed[job] = str(error)
            hopeless.add((job.corpus, job.row))
            tell(f"{job} failed: {error}")
            continue
        if not finished:
            outcome.interrupted = True
            break
        outcome.done += 1
        tell(f"{job}: done ({outcome.done} of {len(open_jobs)})")
    return outcome


def _results(
    work: Callable[[Job], bool], jobs: Iterator[Job], workers: int
) -> Iterator[tuple[Job, Callable[[], bool]]]:
    """The runs in the order in which they end; after an interruption no new one is begun."""
    if workers == 1:
        yield from ((job, partial(work, job)) for job in jobs)
        return
    context = multiprocessing.get_context("spawn")
    threads = max(1, available_cores() // workers)
    running: dict[Future, Job] = {}
    if threading.current_thread() is threading.main_thread():
        # Killed without a word, we would leave workers behind that wait for ever.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_limit_threads, initargs=(threads,)
    ) as pool:
        while True:
            # No more than there are workers: what waits inside of the pool cannot be called back.
            for job in islice(jobs, workers - len(running)):
                running[pool.submit(work, job)] = job
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result


def _limit_threads(threads: int) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # which `prepare_cpu` respects
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
