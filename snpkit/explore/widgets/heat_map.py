"""Attention weights as heat maps: SVG that follows the notebook's theme, and a figure for PNG."""

from collections.abc import Sequence

from matplotlib.patches import Rectangle

from snpkit.explore.page import Html, tag
from snpkit.explore.plots.style import (
    GRID,
    INK,
    MUTED,
    ORANGE,
    SEQUENTIAL,
    Picture,
    drawable,
    heading,
    quiet,
    shorten,
)

Matrix = Sequence[Sequence[float]]  # [T (querying), T (attended)]
_LETTERS = 11  # of a token that are shown
_LETTER = 6.4  # pixels of one, about
_GAP = 5  # pixels between caption and clips
_BESIDE = 18  # pixels right of the cells, for the slanted label of the last column

STYLE = """
.snpkit-heat { display: block; margin: 0; width: 100%; height: auto; }
.snpkit-heat text { font: 11.5px var(--sk-font, sans-serif); fill: var(--sk-muted); }
.snpkit-heat .is-query { font-weight: 700; fill: var(--sk-ink); }
.snpkit-heat .is-paper { fill: var(--sk-wash); }
.snpkit-heat .is-cells { fill: var(--sk-accent); }
.snpkit-heat .is-frame { fill: none; stroke: var(--sk-second); stroke-width: 2; }
"""


def heat_map(
    matrix: Matrix,
    tokens: Sequence[str],
    *,
    largest: float,
    query: int,
    caption: int,
    alt: str,
    longest: Sequence[str] = (),
) -> Html:
    """An <svg> with one row per querying token and one column per attended token.

    Args:
        matrix: weights [T, T]; each row sums to 1.
        tokens: [T] labels.
        largest: the weight that is drawn in full colour.
        query: the row that is framed; a number from T on frames none.
        caption: number of tokens of the caption; a gap sets the others (clips) apart.
        alt: what the map shows, in words.
        longest: labels of the longest input beside which this one stands: cells of equal size.
    """
    cell, room, width = _sizes(max(tokens, longest, key=len))
    labels = [shorten(token, _LETTERS) for token in tokens]
    places = [room + cell * i + (_GAP if i >= caption else 0) for i in range(len(tokens))]
    end = places[-1] + cell
    middle = cell / 2 + 4
    rows = [
        tag("text", label, x=room - 7, y=_number(y + middle), text_anchor="end",
            class_="is-query" if i == query else None)
        for i, (label, y) in enumerate(zip(labels, places, strict=True))
    ]  # fmt: skip
    columns = [
        tag("text", label, transform=f"translate({_number(x + middle)} {room - 7}) rotate(-60)")
        for label, x in zip(labels, places, strict=True)
    ]
    cells = [
        _cell(x, y, cell, weight / largest, f"{looking} → {token}: {weight:.3f}")
        for y, looking, row in zip(places, tokens, matrix, strict=True)
        for x, token, weight in zip(places, tokens, row, strict=True)
    ]
    frame = None
    if query < len(tokens):
        frame = tag("rect", x=room - 1, y=places[query] - 1, width=end - room + 1,
                    height=cell + 1, rx=3, class_="is-frame")  # fmt: skip
    return tag(
        "svg", *rows, *columns, _papers(places, cell, caption), tag("g", *cells, class_="is-cells"),
        frame, class_="snpkit-heat", role="img", aria_label=alt, viewBox=f"0 0 {width} {end + 3}",
        style=f"min-width:{width}px;max-width:{round(1.35 * width)}px",
    )  # fmt: skip


def width_of(tokens: Sequence[str]) -> int:
    """Pixels that the heat map of these tokens needs."""
    return _sizes(tokens)[2]


def _sizes(tokens: Sequence[str]) -> tuple[int, int, int]:
    """Side of a cell, room for labels left of the cells and above them, and the whole width."""
    cell = max(15, min(28, 288 // len(tokens)))
    room = round(14 + _LETTER * max(len(shorten(token, _LETTERS)) for token in tokens))
    return cell, room, room + cell * len(tokens) + _GAP + _BESIDE


def _papers(places: Sequence[int], cell: int, caption: int) -> Html:
    """What lies under the cells: up to four blocks, caption and clips apart."""
    blocks = [places[:caption], places[caption:]]
    spans = [(block[0], block[-1] + cell - block[0] - 1) for block in blocks if block]
    rects = [
        tag("rect", x=x, y=y, width=width, height=height)
        for x, width in spans
        for y, height in spans
    ]
    return tag("g", *rects, class_="is-paper")


def _cell(x: int, y: int, size: int, share: float, title: str) -> Html:
    options = {"width": size - 1, "height": size - 1, "fill_opacity": f"{min(share, 1):.2f}"}
    return tag("rect", tag("title", title), x=x, y=y, **options)


def _number(value: float) -> str:
    return f"{value:g}"


def heat_figure(
    panels: Sequence[tuple[str, Matrix, Sequence[str]]], *, query: int, title: str, alt: str
) -> Picture:
    """The same maps as one figure, all panels on one scale from 0.

    Args:
        panels: heading, weights [T, T] and labels [T] of each.
        query: the row that is framed.
        title: written above all; alt: what the figure shows, in words.
    """
    figure = Picture(4.0 * len(panels), 4.4)
    figure.suptitle(drawable(title, 100), fontsize=10.5, color=INK, x=0.01, ha="left")
    largest = max(weight for _, matrix, _ in panels for row in matrix for weight in row)
    axes = figure.panels(1, len(panels))
    for ax, (name, matrix, tokens) in zip(axes, panels, strict=True):
        image = ax.imshow(matrix, cmap=SEQUENTIAL, vmin=0, vmax=largest)
        ax.spines[:].set_visible(False)
        size = 8 if len(tokens) <= 20 else 6
        labels = [drawable(token, _LETTERS) for token in tokens]
        ax.set_xticks(range(len(tokens)), labels, fontsize=size, rotation=90)
        ax.set_yticks(range(len(tokens)), labels, fontsize=size)
        heading(ax, name)
        ax.set_ylabel("looks from", fontsize=8, color=MUTED)
        ax.set_xlabel("looks at", fontsize=8, color=MUTED)
        if query < len(tokens):
            corner, look = (-0.5, query - 0.5), {"edgecolor": ORANGE, "linewidth": 1.8}
            ax.add_patch(Rectangle(corner, len(tokens), 1, fill=False, clip_on=False, **look))
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, shrink=0.7)
    bar.outline.set_edgecolor(GRID)
    quiet(bar.ax)
    figure.alt = alt
    return figure
