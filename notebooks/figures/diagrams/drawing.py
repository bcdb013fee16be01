"""A small drawing core: boxes, arrows, labels and rows of tokens, as one SVG picture.

Notebooks show a drawing as <img> with the SVG inside: JupyterLab keeps that even in notebooks it
does not trust yet, and GitHub shows it, whereas inline <svg> loses its styles or all of itself
there. Inside an <img> the page's CSS is out of reach, so the drawing brings its own paper, light
or dark by `prefers-color-scheme`: it is readable on any page, whichever of the two is chosen.
"""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass

from snpkit.explore.plots.style import clean, text_width

# kind -> (light, dark); the same few meanings in every diagram. Text keeps 4.5 : 1 on the paper.
COLOURS = {
    "paper": ("#ffffff", "#111111"),
    "ink": ("#161c22", "#eceae6"),
    "muted": ("#56626d", "#a9b3bc"),
    "text": ("#0067a3", "#6fbdf0"),  # captions, and what is made of them
    "video": ("#a35c00", "#f0b43c"),  # pixels, clip tokens, clip features
    "shared": ("#007556", "#3fc99d"),  # parameters that serve both roles
    "own": ("#a0437a", "#e59ac4"),  # parameters of one role only
    "loss": ("#b04600", "#f08a4b"),
}
Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A drawn box: where arrows may start and end."""

    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> Point:
        return self.x + self.width / 2, self.y

    @property
    def bottom(self) -> Point:
        return self.x + self.width / 2, self.y + self.height

    @property
    def left(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> Point:
        return self.x + self.width, self.y + self.height / 2


class Diagram:
    """A picture made of text and lines. Equal calls give equal bytes.

    Args:
        width, height: in pixels; y points downwards.
        alt: what the picture says, in words; also its text in notebooks without pictures.
    """

    def __init__(self, width: int, height: int, alt: str) -> None:
        self.width, self.height, self.alt = width, height, clean(alt)
        self._parts: list[str] = []

    def box(
        self, x: float, y: float, width: float, height: float, text: str = "",
        *, kind: str = "ink", note: str = "", strength: float = 0.14, dashed: bool = False,
    ) -> Box:  # fmt: skip
        """A rounded box with a centred text and a smaller note below it.

        Args:
            kind: a name in COLOURS, which gives frame and filling.
            strength: opacity of the filling.
        """
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" '
            f'class="f-{kind} s-{kind}" fill="{COLOURS[kind][0]}" stroke="{COLOURS[kind][0]}" '
            f'fill-opacity="{strength:g}"{dash}/>'
        )
        lines = [*((line, 13, "ink") for line in text.splitlines() if line),
                 *((line, 11, "muted") for line in note.splitlines())]  # fmt: skip
        tall = sum(size + 4 for _, size, _ in lines)
        base = y + (height - tall) / 2
        for line, size, colour in lines:
            base += size + 4
            self.label(x + width / 2, base - 5, line, size=size, kind=colour)
        return Box(x, y, width, height)

    def disc(self, x: float, y: float, radius: float, *, kind: str) -> None:
        """A filled circle."""
        self._parts.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" class="f-{kind}" '
            f'fill="{COLOURS[kind][0]}" fill-opacity="0.6"/>'
        )

    def label(
        self, x: float, y: float, text: str, *, size: float = 12, kind: str = "ink",
        anchor: str = "middle", bold: bool = False,
    ) -> None:  # fmt: skip
        """Text whose baseline is at y; several lines go downwards."""
        weight = ' font-weight="600"' if bold else ""
        for place, line in enumerate(clean(text).splitlines()):
            self._parts.append(
                f'<text x="{x:g}" y="{y + place * (size + 3):g}" font-size="{size:g}" '
                f'text-anchor="{anchor}" class="f-{kind}" fill="{COLOURS[kind][0]}"{weight}>'
                f"{html.escape(line)}</text>"
            )

    def arrow(
        self, *points: Point, kind: str = "muted", dashed: bool = False, head: bool = True
    ) -> None:
        """A line through the points, with a head at its end."""
        path = "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        end = f' marker-end="url(#head-{kind})"' if head else ""
        self._parts.append(
            f'<path d="{path}" fill="none" class="s-{kind}" stroke="{COLOURS[kind][0]}" '
            f'stroke-width="1.4"{dash}{end}/>'
        )

    def row(
        self, x: float, y: float, texts: Sequence[str], *, kind: str = "text", least: float = 30,
        gap: float = 6, height: float = 26, strength: float = 0.14,
    ) -> list[Box]:  # fmt: skip
        """Tokens side by side, each as wide as its text needs."""
        boxes = []
        for text in texts:
            width = max(least, round(fitting(text)))
            boxes.append(self.box(x, y, width, height, text, kind=kind, strength=strength))
            x += width + gap
        return boxes

    @property
    def svg(self) -> str:
        """The picture as a file of its own."""
        heads = "".join(_head(kind) for kind in COLOURS if f"#head-{kind})" in "".join(self._parts))
        paper = f'<rect width="100%" height="100%" rx="6" class="f-paper" fill="{PAPER}"/>'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{html.escape(self.alt)}" font-family="{_FONTS}">'
            f"<style>{_dark()}</style><defs>{heads}</defs>{paper}{''.join(self._parts)}</svg>"
        )

    def __repr__(self) -> str:
        return f"Diagram: {self.alt}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        data = base64.b64encode(self.svg.encode()).decode("ascii")
        image = (
            f'<img alt="{html.escape(self.alt)}" width="{self.width}" '
            'style="max-width:100%;height:auto;display:block" '
            f'src="data:image/svg+xml;base64,{data}">'
        )
        return {"text/html": _FOLLOW + image, "image/svg+xml": self.svg, "text/plain": repr(self)}


def fitting(text: str, size: float = 13, padding: float = 7) -> float:
    """Width of a box for a text: measured in a wide font, so that any reader's font fits too."""
    return text_width(text, size) * 0.95 + 2 * padding


PAPER = COLOURS["paper"][0]
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# An <img> tells its SVG the colour scheme that it is shown in. JupyterLab names its theme on the
# body; where this <style> is taken out the picture is the light one.
_FOLLOW = (
    '<style>[data-jp-theme-light="false"] img[src^="data:image/svg"]{color-scheme:dark}</style>'
)


def _head(kind: str) -> str:
    return (
        f'<marker id="head-{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto-start-reverse"><path d="M0 0.8 L7.5 4 L0 7.2 Z" '
        f'class="f-{kind}" fill="{COLOURS[kind][0]}"/></marker>'
    )


def _dark() -> str:
    rules = "".join(f".f-{k}{{fill:{d}}}.s-{k}{{stroke:{d}}}" for k, (_, d) in COLOURS.items())
    return f"@media (prefers-color-scheme:dark){{{rules}}}"
