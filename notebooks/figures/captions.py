"""Captions as strips of words: how significant each is, and which of them get masked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.patches import FancyBboxPatch, Rectangle

from snpkit.errors import UserError
from snpkit.explore.plots.style import (
    BLUE,
    GRID,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    SEQUENTIAL,
    Picture,
    drawable,
    readable_on,
    shorten,
    text_width,
)


@dataclass(frozen=True)
class _Box:
    """A word in the flow of a caption: everything in points, `y` is the line's number."""

    text: str
    x: float
    y: int
    width: float


_FONT = 11.0
_PADDING = 5.0
_GAP = 4.0
_MARGIN = 6.0


def _fitting(word: str, width: float) -> str:
    limit = min(len(word), 60)
    while limit > 1 and text_width(drawable(word, limit), _FONT) > width:
        limit -= 1
    return drawable(word, limit)


def _flow(words: Sequence[str], line: float, least: Sequence[float] | None = None) -> list[_Box]:
    """Set words in lines of `line` points; a word wider than a line is cut."""
    boxes: list[_Box] = []
    x, y = 0.0, 0
    for place, word in enumerate(words):
        text = _fitting(word, line - 2 * _PADDING)
        width = max(text_width(text, _FONT), least[place] if least else 0.0) + 2 * _PADDING
        if x and x + width > line:
            x, y = 0.0, y + 1
        boxes.append(_Box(text, x, y, width))
        x += width + _GAP
    return boxes


def _canvas(width: float, height: float) -> tuple[Picture, Any]:
    """A figure whose data units are points, y downwards."""
    figure = Picture(width / 72, height / 72, layout=None)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(-_MARGIN, width - _MARGIN), ylim=(height, 0))
    ax.set_axis_off()
    return figure, ax


def _draw_box(ax: Any, box: _Box, top: float, height: float, text: str, **style: Any) -> None:
    ink = style.pop("ink", INK)
    corner = (box.x + 0.5, top + 0.5)
    ax.add_artist(
        FancyBboxPatch(
            corner, box.width - 1, height - 1, boxstyle="round,pad=0,rounding_size=3",
            **({"linewidth": 0} | style),
        )
    )  # fmt: skip
    ax.text(
        box.x + box.width / 2, top + height / 2, text, ha="center", va="center_baseline",
        fontsize=_FONT, color=ink,
    )  # fmt: skip


def caption_strip(
    words: Sequence[str],
    values: Sequence[float | None],
    *,
    numbers: Sequence[str] | None = None,
    title: str = "",
    width: float = 7.4,
) -> Picture:
    """A caption whose words are tinted by their significance, with a bar and a number below each.

    Args:
        words: the words, in order.
        values: in [0, 1] per word; None = not significant.
        numbers: what to write below each word; the value, by default.
        title: written above.
        width: inches; the caption wraps.

    Raises:
        UserError: no words, or lists of different lengths.
    """
    if not words or len(words) != len(values) or len(numbers or words) != len(words):
        raise UserError("A caption strip needs one value (and number) for every word.")
    if numbers is None:
        numbers = ["—" if value is None else f"{value:.2f}" for value in values]
    least = [text_width(drawable(number, 16), 7.5) for number in numbers]
    boxes = _flow(words, width * 72 - 2 * _MARGIN, least)
    top, pitch = (26.0 if title else _MARGIN), 46.0
    figure, ax = _canvas(width * 72, top + pitch * (boxes[-1].y + 1))
    if title:
        ax.text(0, 12, drawable(title, 100), fontsize=9, color=INK, fontweight="bold", va="center")
    for box, value, number in zip(boxes, values, numbers, strict=True):
        _draw_word(ax, box, top + pitch * box.y, value, drawable(number, 16))
    said = ", ".join(f"{w} {n}" for w, n in zip(words, numbers, strict=True))
    figure.alt = f"{title or 'Significance of each word'}: {shorten(said, 600)}."
    return figure


def _draw_word(ax: Any, box: _Box, top: float, value: float | None, number: str) -> None:
    share = 0.0 if value is None else min(max(float(value), 0.0), 1.0)
    colour = SEQUENTIAL(share)
    _draw_box(ax, box, top, 22, box.text, facecolor=colour, ink=readable_on(colour))
    for width, ink in ((box.width, GRID), (box.width * share, BLUE)):
        ax.add_artist(Rectangle((box.x, top + 25), width, 3, color=ink, linewidth=0))
    ax.text(
        box.x + box.width / 2, top + 35.5, number, ha="center", va="center", fontsize=7.5,
        color=MUTED,
    )  # fmt: skip


def masking_comparison(
    words: Sequence[str],
    drawings: Mapping[str, Sequence[str | None]],
    significant: Sequence[bool],
) -> Picture:
    """One caption masked in several ways, line under line.

    Args:
        words: the caption.
        drawings: name ("MLM", "MSSM") -> per word None where it stays visible and unasked, else
            what stands in its place: "[MASK]", another word, or the word itself.
        significant: whether each word is significant.
    """
    if not words or any(len(row) != len(words) for row in (*drawings.values(), significant)):
        raise UserError("A masking comparison needs one entry per word in every line.")
    least = [
        max(text_width(drawable(row[i] or "", 24), _FONT) for row in drawings.values())
        for i in range(len(words))
    ]
    label, width, top = 54.0, 7.4 * 72, _MARGIN
    boxes = _flow(words, width - label - 2 * _MARGIN, least)
    block = 30.0 + 27.0 * len(drawings) + 12
    figure, ax = _canvas(width, block * (boxes[-1].y + 1) + 24)
    for line in range(boxes[-1].y + 1):
        for place, name in enumerate(("caption", *drawings)):
            ax.text(0, top + block * line + 27 * place + 11, drawable(name, 9),
                    fontsize=8.5, color=MUTED, va="center_baseline")  # fmt: skip
    for i, box in enumerate(boxes):
        moved = _Box(box.text, box.x + label, box.y, box.width)
        tint = SEQUENTIAL(0.3) if significant[i] else "none"
        _draw_box(ax, moved, top + block * box.y, 22, box.text, facecolor=tint)
        for place, row in enumerate(drawings.values(), start=1):
            _draw_masked(ax, moved, top + block * box.y + 27 * place, words[i], row[i])
    _draw_key(ax, label, block * (boxes[-1].y + 1) + 6)
    figure.alt = " ".join(
        [f"The caption: {shorten(' '.join(words), 300)}."]
        + [f"{name}: {_masked_in_words(words, row)}." for name, row in drawings.items()]
    )
    return figure


def _draw_masked(ax: Any, box: _Box, top: float, word: str, shown: str | None) -> None:
    # Three fates besides "untouched", each told by text and frame, not by colour alone.
    if shown is None:
        _draw_box(ax, box, top, 22, box.text, facecolor="none", ink=MUTED)
    elif shown == "[MASK]":
        _draw_box(ax, box, top, 22, shown, facecolor=INK, ink=PAPER)
    elif shown == word:
        _draw_box(ax, box, top, 22, box.text, facecolor="none", edgecolor=BLUE, linewidth=1.4,
                  linestyle=(0, (3, 2)))  # fmt: skip
    else:
        _draw_box(ax, box, top, 22, drawable(shown, 24), facecolor=ORANGE)


def _draw_key(ax: Any, x: float, y: float) -> None:
    key = [
        ("tinted in the caption: significant", {"facecolor": SEQUENTIAL(0.3)}),
        ("hidden", {"facecolor": INK}),
        ("another word", {"facecolor": ORANGE}),
        ("kept, yet asked for", {"facecolor": "none", "edgecolor": BLUE, "linewidth": 1.4,
                                 "linestyle": (0, (3, 2))}),
    ]  # fmt: skip
    for text, look in key:
        ax.add_artist(
            FancyBboxPatch(
                (x + 0.7, y + 0.7), 11, 8, boxstyle="round,pad=0,rounding_size=2",
                **({"linewidth": 0} | look),
            )
        )  # fmt: skip
        ax.text(x + 17, y + 4.7, text, fontsize=8, color=MUTED, va="center_baseline")
        x += 34 + text_width(text, 8)


def _masked_in_words(words: Sequence[str], shown: Sequence[str | None]) -> str:
    fates = []
    for word, there in zip(words, shown, strict=True):
        if there == "[MASK]":
            fates.append(f"{word} is hidden")
        elif there is not None:
            fates.append(f"{word} is kept" if there == word else f"{word} becomes {there}")
    return shorten(", ".join(fates) or "nothing is masked", 400)
