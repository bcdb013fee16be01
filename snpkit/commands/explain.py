"""`snpkit explain`: which words of a caption matter to its match with a video."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from snpkit.text import format_table

if TYPE_CHECKING:
    from snpkit.explore.explanation import Explanation


def explain(
    video: tyro.conf.Positional[Path],
    caption: tyro.conf.Positional[str],
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None,
    checkpoint: str = "laptop",
    method: Literal["pixels", "similarity", "gradient", "contrast"] = "pixels",
    guesses: int = 8,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Print how much each word of a caption matters to its match with a video, in four ways.

    Args:
        video: A video or an image.
        caption: What to explain.
        output: Also write one HTML file: words above the frames under their maps, to play with.
        checkpoint: "laptop", a checkpoint folder or a hub id.
        method: How the maps are made.
        guesses: Words that take each word's place in turn; 0 puts [MASK] there.
        device: auto, cpu, cuda or mps.
        json: Print JSON in place of a table.
    """
    from json import dumps

    import snpkit

    pipeline = snpkit.load(checkpoint, device=device)
    found = pipeline.explain(caption, video, method=method, guesses=guesses)
    if output is not None:
        from snpkit.explore.explorer.page import write_explanation

        write_explanation(output, pipeline, found, video=video.name)
    if json:
        agreement = {" ".join(pair): value for pair, value in found.agreement.items()}
        said = {found.score_name: found.score, "left_out": found.left_out, "agreement": agreement}
        print(dumps({"words": found.rows(), **said}, indent=2, ensure_ascii=False))
    else:
        print(words_table(found))
    return 0


def words_table(explanation: "Explanation") -> str:
    """An explanation as lines of text: one word a line, each value with its raw value."""
    names = [kind.name for kind in explanation.kinds]
    rows = [["", *names]]
    for row in explanation.rows():
        raw = (row[f"{name}_raw"] for name in names)
        cells = (
            f"{row[name]:.2f} ({'-' if number is None else f'{number:.2f}'})"
            for name, number in zip(names, raw, strict=True)
        )
        rows.append([row["word"], *cells])
    lines = [format_table(rows)]
    lines.append(f"{explanation.score_name}: {explanation.score:.2f}")
    if explanation.left_out:
        lines.append(f"left out: {' '.join(explanation.left_out)}")
    return "\n".join(lines)
