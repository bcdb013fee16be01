"""`snpkit ablate`: train the rows of a plan with several seeds, and compare them."""

from pathlib import Path
from typing import Annotated

import tyro


def ablate(
    plan: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PLAN")] = "paper_laptop",
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None,
    data: Path = Path("data/ablation"),
    only: tuple[str, ...] = (),
    seeds: int | None = None,
    workers: int = 1,
    report: bool = False,
    keep_weights: bool = False,
    device: str = "auto",
) -> int:
    """Train every row of a plan with several seeds, measure all alike, and compare them in pairs.

    Finished runs are skipped and interrupted ones continued: the same command goes on where it was
    stopped. At the end, and with --report at any time, the results are written as results.json,
    results.md and figures.

    Args:
        plan: paper_laptop (Tables II and III of the paper, on generated clips), or a plan.json.
        output: Folder of the runs and results; runs/PLAN by default.
        data: Folder of the generated corpora.
        only: Rows, tables or corpora of the plan to run; all by default.
        seeds: Runs of each row on each corpus, in place of the plan's number.
        workers: Processes, each with a run of its own.
        report: Train nothing; write the results of what is finished.
        keep_weights: Keep the checkpoints of finished runs.
        device: auto, cpu, cuda or mps.
    """
    from snpkit.ablation.plan import load_plan
    from snpkit.ablation.report import markdown_tables, write_report
    from snpkit.ablation.runs import Workplace, read_record
    from snpkit.ablation.schedule import Outcome, jobs_of, run_all
    from snpkit.ablation.summary import summarise
    from snpkit.errors import UserError

    for name, count in (("--seeds", seeds), ("--workers", workers)):
        if count is not None and count < 1:
            raise UserError(f"{name} is {count}; it must be 1 or more.")
    chosen = load_plan(plan)
    place = Workplace(chosen, output or Path("runs") / chosen.name, data, device, keep_weights)
    outcome = Outcome() if report else run_all(place, jobs_of(chosen, only, seeds), workers)
    if outcome.interrupted:
        print("Stopped; the same command continues.")
        return 130
    records = [read_record(place, job) for job in jobs_of(chosen, (), seeds)]
    results = summarise(chosen, [record for record in records if record is not None])
    paths = write_report(chosen, results, place.output)
    print(markdown_tables(chosen, results))
    print(f"\n{len(paths)} files in {place.output}: {', '.join(path.name for path in paths)}")
    return 1 if outcome.failed else 0
