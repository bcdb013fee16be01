"""How many times as fast snpkit is as a straightforward way of doing the same.

    python -m tests.benchmarks.race step          # a training step, each way in its own process
    python -m tests.benchmarks.race --help
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from snpkit.errors import UserError

if TYPE_CHECKING:
    from tests.benchmarks.workload import Workload


def race(
    subject: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[SUBJECT]")] = "all",
    source: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[FILE]")] = None,
    size: Literal["base", "laptop", "tiny"] = "base",
    batch: int = 16,
    tokens: float = 12.0,
    clips: int = 2,
    layers: int | None = None,
    precision: Literal["both", "fp32", "bf16"] = "both",
    checkpointing: bool = False,
    workers: int | None = None,
    repeat: int = 5,
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None,
    json: bool = False,
) -> int:
    """Time snpkit against a straightforward way of doing the same, in turns, and print the ratio.

    step, forward: a training step of all losses, or the losses alone. decode: frames of clips.
    mask: MSSM. mine: tagging captions. retrieve: ranking videos. all: these, one after the other.
    scaling: steps of our way over batch, caption length, clips and layers, and the cost model.

    Args:
        subject: What to measure: all, step, forward, decode, mask, mine, retrieve or scaling.
        source: mine: a file of captions; the samples' and generated ones by default.
        size: Of the model: base (BERT-base), laptop, tiny.
        batch: Captions of a step; every pair of them is matched.
        tokens: Mean tokens of a caption, with [CLS] and [SEP]; all are padded to 30.
        clips: Clips of a video.
        layers: Layers of the network, if not those of its size.
        precision: Of our step; both: bf16 too, where the processor computes in it (scaling: fp32).
        checkpointing: Recompute the pairs' activations: less memory, more time.
        workers: Processes that decode (2) or mine (1).
        repeat: Rounds; each times both ways.
        output: scaling: the figure, a .png or .svg file.
        json: Print JSON in place of tables.
    """
    from tests.benchmarks.workload import Workload

    _check(subject, source, workers, repeat, output)
    work = Workload(
        size, batch, mean=tokens, clips=clips, layers=layers, checkpointing=checkpointing,
        precision="fp32" if precision == "both" else precision,
    )  # fmt: skip
    if subject == "scaling":
        return _scaling(work, repeat, output, json)
    from json import dumps

    from tests.benchmarks.comparison import compare_all
    from tests.benchmarks.subjects import SUBJECTS, Options, get_subjects

    options = Options(source, workers, work, _precisions(precision))
    found = []
    for name in SUBJECTS if subject == "all" else [subject]:
        for comparison in compare_all(get_subjects(name, options), repeat):
            found.append(comparison)
            if not json:
                title = "" if subject == "mine" else f"== {comparison.subject.name}\n"
                print(f"{title}{comparison.table()}\n", flush=True)
    if json:
        values = [comparison.to_dict() for comparison in found]
        print(dumps(values[0] if len(values) == 1 else values, indent=2, ensure_ascii=False))
    return 0 if all(comparison.equal for comparison in found) else 1


def _check(
    subject: str, source: Path | None, workers: int | None, repeat: int, output: Path | None
) -> None:
    """Refuse before anything is measured."""
    if repeat < 1:
        raise UserError(f"--repeat is {repeat}; measure at least once.")
    if workers is not None and workers < 1 and subject in ("all", "mine"):
        raise UserError(f"--workers is {workers}; mining takes at least one process.")
    if output is not None and subject != "scaling":
        raise UserError(f"--output is for the figure of scaling; {subject} prints its figures.")
    if source is not None and subject not in ("all", "mine"):
        raise UserError(f"{source}: only mine reads a file; {subject} makes what it needs.")


def _precisions(asked: str) -> tuple[str, ...]:
    import torch

    from snpkit.training.device import autocast_dtype

    if asked != "both":
        return (asked,)
    has = autocast_dtype("auto", torch.device("cpu")) is torch.bfloat16
    return ("fp32", "bf16") if has else ("fp32",)


def _scaling(work: "Workload", repeat: int, output: Path | None, json: bool) -> int:
    from json import dumps

    from tests.benchmarks.processes import describe_machine
    from tests.benchmarks.scaling import measure_scaling, table, to_dict
    if output is not None and output.suffix not in (".png", ".svg"):
        raise UserError(f"--output is {output}; the figure is a .png or .svg file.")
    curves = measure_scaling(work, repeat)
    print(dumps(to_dict(work, curves), indent=2) if json else table(curves))
    if output is not None:
        kind = f"{work.size}, {work.batch} captions, {work.clips} clips"
        _draw(curves, f"{kind}; {describe_machine()[0]}", output)
    return 0


def _draw(curves: list[Any], note: str, output: Path) -> None:
    from snpkit.explore.plots import to_png, to_svg
    from snpkit.files import atomic_path
    from tests.benchmarks.scaling_figure import scaling_curves

    figure = scaling_curves(curves, note)
    if output.suffix == ".png":
        picture = to_png(figure)
    else:
        # Inline SVG needs no namespace; a file of its own does.
        space = '<svg xmlns="http://www.w3.org/2000/svg" '
        picture = to_svg(figure, "scaling").replace("<svg ", space, 1).encode()
    with atomic_path(output) as path:
        path.write_bytes(picture)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; a mistake of the user ends with one sentence and status 2."""
    try:
        return tyro.cli(race, prog="python -m tests.benchmarks.race", args=arguments)
    except UserError as error:
        print(f"race: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
