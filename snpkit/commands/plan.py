"""`snpkit plan`: what a recipe will take, from a few steps measured here."""

from pathlib import Path
from typing import Annotated

import tyro

from snpkit.commands.pretrain import Changes


def plan(
    recipe: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE")] = "laptop",
    data: str | None = None,
    manifest: Path | None = None,
    steps: int = 8,
    batch: int | None = None,
    time_limit: float = 120.0,
    changes: Changes = (),
    device: str = "auto",
    gpus: int = 1,
    speedup: float = 1.0,
    efficiency: float = 1.0,
    price: float | None = None,
    memory: float | None = None,
    table: bool = False,
    json: bool = False,
) -> int:
    """Measure a few steps of a recipe here; say what time, memory and storage a whole run takes.

    The steps are real: the recipe's model, losses, optimiser and number format. Where its batch is
    too large for this machine, a smaller one is measured and the rest is reckoned, and said so.

    Args:
        recipe: laptop, gpu_subset, coco_vg_resnet, coco_vg_pvt, webvid_swin, or a .yaml or
            .json file of your own.
        data: Number of pairs to plan for, such as 40000, 40k or 2.5M, beside the usual ones.
        manifest: Clips to take the steps on, decoding included; noise by default.
        steps: Steps to measure, after warm-up.
        batch: Samples to measure with; by default the recipe's, or as many as fit.
        time_limit: Seconds to measure for; a step under way is finished.
        changes: Fields of the recipe to change, such as data.batch_size=32.
        device: auto, cpu, cuda or mps.
        gpus: Devices that share every batch.
        speedup: How many times faster one of them is than the device measured here: your figure.
        efficiency: Share of the ideal that they reach together, up to 1: your figure.
        price: EUR for one of them for an hour; without it no cost is told.
        memory: GB that one of them has; that of the device measured by default.
        table: Also show up to where one machine will do, and what takes over there.
        json: Print JSON in place of a table.
    """
    import sys
    from json import dumps

    from snpkit.commands.pretrain import chosen_recipe
    from snpkit.training.planning import PAIRS, Fleet, check_pairs, extrapolate, measure
    from snpkit.training.planning_limits import limits
    from snpkit.training.planning_report import plan_text
    from snpkit.training.planning_units import read_pairs

    chosen = chosen_recipe(recipe, changes, None)
    asked = sorted({*PAIRS, *([] if data is None else [read_pairs(data)])})
    check_pairs(chosen, asked[0])  # before the work
    fleet = Fleet(gpus, speedup, efficiency, price, None if memory is None else memory * 1e9)
    fleet.check(chosen)
    print(f"Measuring {chosen.name}, about {time_limit:.0f} s at most ...", file=sys.stderr)
    found = measure(
        chosen, manifest=manifest, steps=steps, batch=batch, device=device, time_limit=time_limit
    )
    plans = [extrapolate(found, pairs, fleet) for pairs in asked]
    if json:
        values = {"measurement": found.to_dict(), "plans": [each.to_dict() for each in plans],
                  "fleet": vars(fleet), "limits": [vars(each) for each in limits(found, fleet)]}
        print(dumps(values, indent=2, ensure_ascii=False))
    else:
        print(plan_text(found, plans, fleet, table=table))
    return 0
