"""One look for every figure: colours that everybody can tell apart, quiet axes, alt text.

Figures are made without pyplot, so nothing is kept in global state and no window system is asked
for. Every figure carries its alt text: `Picture.alt`.
"""

import base64
import html
import io
import math
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

import numpy as np
from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

# Okabe and Ito's palette ("Color Universal Design", 2008), made for all kinds of colour vision;
# its vermilion is a shade darker here, so that white text on it can be read.
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#c25500"
SKY, PURPLE = "#56b4e9", "#cc79a7"
INK, MUTED, GRID, PAPER = "#161c22", "#56626d", "#dfe3e6", "#ffffff"
# Areas with text on them: the same in light and dark pages, so that the text stays readable.
PART_COLOURS = {"VERB": "#c15400", "NOUN": "#0071b1", "ADJ": "#009d72"}
BLACK, WHITE = "#000000", "#fefefe"
PART_NAMES = {"VERB": "verbs", "NOUN": "nouns", "ADJ": "adjectives"}
OTHER_COLOUR = "#8a949e"
SEQUENTIAL = LinearSegmentedColormap.from_list(
    "snpkit", ["#f5f8fa", "#b5d4e9", "#5b9dcb", "#1a659f", "#0b2f52"]
)
# A page that shows a figure as inline SVG may set these to follow its light or dark theme.
CSS_VARIABLES = {
    INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--paper", BLUE: "--blue",
    ORANGE: "--orange", GREEN: "--green", RED: "--red", OTHER_COLOUR: "--other",
}  # fmt: skip
_WIDTH = 7.4  # inches: 710 px, the text width of a notebook or of half a wide screen


class Picture(Figure):
    """A matplotlib figure with alt text, which notebooks show as an <img alt=...>."""

    def __init__(self, width: float = _WIDTH, height: float = 3.0, **options: Any) -> None:
        options = {"layout": "constrained", "facecolor": PAPER, "dpi": 100} | options
        super().__init__(figsize=(width, height), **options)
        if self.get_layout_engine():
            self.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
        self.alt = ""

    def panels(self, rows: int, columns: int, **options: Any) -> list[Axes]:
        """Add rows x columns styled axes, in reading order."""
        axes = self.subplots(rows, columns, squeeze=False, **options).ravel().tolist()
        for ax in axes:
            quiet(ax)
        return axes

    def __repr__(self) -> str:
        # What a notebook keeps as plain text, and nbval compares: the numbers, not the size.
        return f"Picture: {clean(self.alt)}" if self.alt else super().__repr__()

    def _repr_html_(self) -> str:
        return to_html_img(self)


def quiet(ax: Axes) -> None:
    """Take from the axes what does not carry data."""
    ax.set_facecolor("none")
    ax.spines[["top", "right"]].set_visible(False)
    for spine in ax.spines.values():
        spine.set_color(GRID)
    ax.tick_params(colors=MUTED, labelsize=8, length=0, pad=4)
    ax.set_axisbelow(True)


def heading(ax: Axes, text: str, note: str = "") -> None:
    """A left-aligned title, with a quieter note at the right end of the line."""
    ax.set_title(drawable(text, 56), loc="left", fontsize=9, color=INK, fontweight="bold", pad=7)
    if note:
        ax.set_title(drawable(note), loc="right", fontsize=8.5, color=MUTED, pad=7)


def drawable(text: str, limit: int | None = None) -> str:
    """Make any text safe to draw: one line, no mathtext, no glyph that the font lacks.

    matplotlib reads text between dollar signs as a formula and may fail on it. Characters without
    a glyph (most emoji) become a small box; the alt text keeps them.

    Args:
        limit: characters after which the text is cut, with an ellipsis.
    """
    text = " ".join(unicodedata.normalize("NFC", str(text)).split())
    text = "".join(letter if ord(letter) in _glyphs() else "\N{WHITE SQUARE}" for letter in text)
    return shorten(text, limit).replace("$", r"\$")


def shorten(text: str, limit: int | None) -> str:
    """Cut a text after `limit` characters, the ellipsis included."""
    return text if limit is None or len(text) <= limit else text[: max(limit - 1, 1)] + "…"


@lru_cache(maxsize=1)
def _font() -> FT2Font:
    font = FT2Font(font_manager.findfont("DejaVu Sans"))
    font.set_size(100, 72)
    return font


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    return frozenset(code for code in _font().get_charmap() if chr(code).isprintable())


@lru_cache(maxsize=4096)
def _advance(letter: str) -> float:
    return _font().load_char(ord(letter)).linearHoriAdvance / 65536 / 100


def text_width(text: str, size: float) -> float:
    """Width in points of a `drawable` text: needs no renderer, so it holds for PNG and SVG."""
    return size * sum(map(_advance, text.replace(r"\$", "$")))


def readable_on(colour: Sequence[float]) -> str:
    """Black or white, whichever stands out more on `colour` (RGB in 0..1): at least 4.5 to 1."""
    light = relative_luminance(colour) + 0.05
    return WHITE if 1.05 / light > light / 0.05 else BLACK


def relative_luminance(colour: Sequence[float]) -> float:
    """Luminance of an sRGB colour in 0..1, as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def tidy_number(value: float) -> str:
    """A number for an axis or a label: 1,200, 12.5, 0.034; a dash for what is not finite."""
    if not math.isfinite(value):
        return "—"
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def to_frames(frames: Any) -> np.ndarray:
    """Frames as uint8 [n, height, width, 3] from uint8 [n, 3, height, width] (array or tensor)."""
    array = np.asarray(frames.cpu() if hasattr(frames, "cpu") else frames)
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[1] != 3 or array.dtype != np.uint8:
        raise ValueError(
            f"Frames must be uint8 [n, 3, height, width], not {array.dtype} {array.shape}."
        )
    return array.transpose(0, 2, 3, 1)


def alt_text(figure: Figure) -> str:
    """What the figure says, in words."""
    return getattr(figure, "alt", "")


def to_png(figure: Figure, scale: float = 2.0) -> bytes:
    """The figure as PNG; `scale` 2 is sharp on dense screens. Equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=96 * scale, metadata={"Software": None})
    return buffer.getvalue()


def to_html_img(figure: Figure, scale: float = 2.0) -> str:
    """The figure as <img> with its alt text and the picture inside: no file beside the page."""
    data = base64.b64encode(to_png(figure, scale)).decode("ascii")
    width = round(figure.get_figwidth() * 96)
    return (
        f'<img alt="{html.escape(clean(alt_text(figure)))}" width="{width}" '
        f'style="max-width:100%;height:auto" src="data:image/png;base64,{data}">'
    )


def clean(text: str) -> str:
    """Text that any HTML or XML file may hold: control characters and lone surrogates replaced."""
    kept = (c if c in "\t\n" or unicodedata.category(c) not in ("Cc", "Cs") else "�" for c in text)
    return "".join(kept)


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an inline <svg> that follows the page's theme (see CSS_VARIABLES).

    Args:
        name: unique on the page; it keeps the drawing's internal ids apart from other figures'.
    """
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        metadata = {"Date": None, "Creator": None}
        figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in root.iter():
        for child in list(parent):
            # A <style> would hold for the whole page; metadata says nothing to a reader.
            if child.tag in (f"{{{_SVG}}}style", f"{{{_SVG}}}metadata"):
                parent.remove(child)
    for element in root.iter():
        element.attrib = {
            key.rpartition("}")[2]: _themed(key, value, name)
            for key, value in element.attrib.items()
        }
        element.tag = element.tag.rpartition("}")[2]
    for size in ("width", "height"):
        del root.attrib[size]
    root.attrib |= {"role": "img", "aria-label": clean(alt_text(figure))}
    return ElementTree.tostring(root, encoding="unicode")


_SVG = "http://www.w3.org/2000/svg"


def _themed(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key.endswith("href"):
        return value.replace("#", f"#{name}-")
    if key == "clip-path":
        return value.replace("url(#", f"url(#{name}-")
    if key == "d":  # hundredths of a point are finer than any screen
        return re.sub(r"(\.\d\d)\d+", r"\1", " ".join(value.split()))
    if key == "style":
        value = re.sub(r"font-family: [^;]*", "font-family: var(--sans, sans-serif)", value)
        return re.sub(r"#[0-9a-f]{6}", _variable, value)
    return value


def _variable(match: re.Match[str]) -> str:
    colour = match.group()
    return f"var({CSS_VARIABLES[colour]}, {colour})" if colour in CSS_VARIABLES else colour
