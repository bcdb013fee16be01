"""`snpkit plan`: what a recipe takes on a card: memory, FLOPs, time, money and disk."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from snpkit.commands.training import Changes
from snpkit.errors import UserError

if TYPE_CHECKING:
    from snpkit.training.cards import Card
    from snpkit.training.estimate import Plan, Step
    from snpkit.training.recipe import Recipe

_SIZES = (12, 16, 24, 40, 80)  # GB of cards in the table
_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9}


def plan(
    recipe: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE")] = "laptop",
    gpu: str = "cpu",
    data: str = "10k",
    gpus: int = 1,
    price: float | None = None,
    tokens: int | None = None,
    utilisation: float | None = None,
    measure: bool = False,
    changes: Changes = (),
    table: bool = False,
    json: bool = False,
) -> int:
    """Say what a pre-training recipe takes: memory by part, FLOPs, hours, cost, disk.

    One real step runs on tensors without values, on any machine; nothing is downloaded.

    Args:
        recipe: laptop, gpu_subset, coco_vg_resnet, coco_vg_pvt, webvid_swin, or a .yaml
            or .json file of your own.
        gpu: t4, rtx3060, rtx4090, l4, a10g, v100, v100-32, a100-40, a100-80, h100, h200, or cpu for
            this machine.
        data: Number of caption-video pairs, such as 4000, 10k or 2.5M.
        gpus: Cards that share every batch.
        price: Of one of them for an hour, in any currency; without it no cost is given.
        tokens: Of every caption, with [CLS] and [SEP]; by default as many as the recipe allows.
        utilisation: Share of the card's peak that training reaches: your figure.
        measure: Take a few real steps here and use the share of the peak that they reach.
        changes: Fields of the recipe to change, such as data.batch_size=32.
        table: Also say which sizes of cards suffice.
        json: Print JSON in place of text.
    """
    from dataclasses import asdict
    from json import dumps

    from snpkit.commands.training import chosen_recipe
    from snpkit.training.estimate import (
        UTILISATION,
        estimate_step,
        largest_micro_batch,
        make_plan,
        measured_utilisation,
    )

    chosen, card, pairs = chosen_recipe(recipe, changes, None), _card(gpu), read_pairs(data)
    if gpus < 1 or (price or 0) < 0 or not (utilisation is None or 0 < utilisation <= 1):
        raise UserError("Use --gpus from 1, --price from 0, --utilisation above 0 and up to 1.")
    if tokens is not None and tokens < 3:
        raise UserError("--tokens counts [CLS] and [SEP] too: use 3 or more.")
    if pairs < chosen.data.batch_size:  # before the work
        raise UserError(f"--data {data} gives no batch of {chosen.data.batch_size}; take more.")
    step = estimate_step(chosen, card, gpus=gpus, tokens=tokens)
    share = measured_utilisation(chosen) if measure else utilisation or UTILISATION
    found = make_plan(chosen, step, card, pairs, gpus=gpus, utilisation=share, price=price)
    options = {"gpus": gpus, "tokens": tokens}
    smaller = None if found.fits else largest_micro_batch(chosen, card, **options)
    sizes = _verdicts(chosen, step, card, options) if table else {}
    notes = _assumptions(card, gpus, tokens, measured=measure)
    if json:
        values = {
            "recipe": chosen.name, "card": asdict(card), "gpus": gpus, "pairs": pairs,
            "dtype": str(step.dtype or "torch.float32").removeprefix("torch."),
            "memory": asdict(step.memory) | {"peak": step.memory.peak}, "flops": step.flops,
            "parameters": step.parameters, **asdict(found),
            "largest_micro_batch": smaller, "cards": sizes, "assumptions": notes,
        }  # fmt: skip
        print(dumps(values, indent=2))
        return 0
    print("\n".join([*_lines(chosen, step, found, card, gpus, pairs), *_advice(found, smaller)]))
    for size, verdict in sizes.items():
        print(f"  {size:4} GB card  {verdict}")
    print("\nAssumed:", *notes, sep="\n  ")
    return 0


def _card(name: str) -> "Card":
    from snpkit.fields import did_you_mean
    from snpkit.training.cards import GPUS

    if name.lower() in GPUS:
        return GPUS[name.lower()]
    near = did_you_mean(name.lower(), GPUS)
    raise UserError(f"--gpu {name!r} is not in the table{near}; it has {', '.join(GPUS)}.")


def read_pairs(text: str) -> int:
    """A number of pairs: "10k", "2.5M", "4000" or "4,000".

    Raises:
        UserError: the text is no positive number.
    """
    import math
    import re

    match = re.fullmatch(r"([\d,_]*\.?\d+)([kmb]?)", text.strip().lower())
    pairs = float(re.sub("[,_]", "", match[1])) * _FACTORS[match[2]] if match else 0
    if not 1 <= pairs < math.inf:
        raise UserError(f"--data takes a number of pairs, such as 4000 or 2.5M, not {text!r}.")
    return round(pairs)


def _lines(
    recipe: "Recipe", step: "Step", plan: "Plan", card: "Card", gpus: int, pairs: int
) -> list[str]:
    from snpkit.text import format_bytes, format_seconds

    data, micro = recipe.data, recipe.optimisation.micro_batch
    number = str(step.dtype or "float32").removeprefix("torch.")
    slices = f", micro_batch {micro}" if micro else ""
    rows = [
        (f"{recipe.name} on {gpus} x {card.name}", f"{format_bytes(card.memory)}, {number}"),
        ("batch", f"{data.batch_size}{slices}; {step.parameters / 1e6:.1f} million parameters"),
        ("peak memory of a step", format_bytes(step.memory.peak)),
        *((f"  {name}", format_bytes(size)) for name, size in vars(step.memory).items()),
        ("FLOPs of a step", f"{step.flops:.3g}" + (" on each card" if gpus > 1 else "")),
        ("steps", f"{plan.steps:,} on {pairs:,} pairs"),
        ("time", f"{format_seconds(plan.seconds)} ({plan.seconds / 3600:.3g} hours), "
                 f"{format_seconds(plan.seconds / plan.steps)} a step"),
        ("cost", "give --price" if plan.cost is None else f"{plan.cost:,.2f}"),
        ("frame cache on disk", f"{format_bytes(plan.cache_bytes)}: {pairs:,} clips x "
                                f"{data.frames_kept} frames x 3 x {data.size} x {data.size} bytes"),
    ]  # fmt: skip
    return [f"{name:24} {value}" for name, value in rows]


def _advice(plan: "Plan", smaller: int | None) -> Sequence[str]:
    if plan.fits:
        return ["It fits this card."]
    if smaller is None:
        return ["It does not fit this card, with no micro_batch; use smaller frames or a smaller "
                "batch (--set data.size=..., data.batch_size=...)."]  # fmt: skip
    return [f"It does not fit this card; it does with --set optimisation.micro_batch={smaller}."]


def _verdicts(
    recipe: "Recipe", step: "Step", card: "Card", options: dict[str, Any]
) -> dict[int, str]:
    """What cards of other sizes can do, by their GB."""
    from dataclasses import replace

    from snpkit.training.estimate import fits, largest_micro_batch

    verdicts = {}
    for size in reversed(_SIZES):
        if fits(step, size * 1e9):
            verdicts[size] = "fits"
            continue
        smaller = largest_micro_batch(recipe, replace(card, memory=size * 1e9), **options)
        verdicts[size] = f"fits with micro_batch {smaller}" if smaller else "does not fit"
    return dict(sorted(verdicts.items()))


def _assumptions(card: "Card", gpus: int, tokens: int | None, *, measured: bool) -> list[str]:
    length = "as long as the recipe allows" if tokens is None else f"of {tokens} tokens"
    lines = [
        f"memory: of tensors, every caption {length}; fits = a tenth of the memory stays free, for "
        "the libraries' own and fragmentation",
        "FLOPs: of products, convolutions and attention, recomputed ones included",
        "time: FLOPs / (peak x utilisation); decoding keeps up and nothing else waits",
        "utilisation: " + ("measured on this machine, in its own number format, of the speed of "
        "large products here" if measured else "a usual share; --measure takes real steps here"),
        "frame cache: one clip a pair, as bytes; without data.cache_frames it keeps all frames of "
        "a clip, of which those of one sample are counted",
    ]  # fmt: skip
    if card.name == "cpu":
        lines.append("peak speed: of large products, measured here; attention as on this machine")
    else:
        lines.append("peak speed: the data sheet's, dense; attention fused without its matrix kept,"
                     " no work space of cuDNN")  # fmt: skip
    if gpus > 1:
        lines.append("several cards: each its share of the batch, and talk between them is free")
    return lines
