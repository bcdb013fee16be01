"""Drawn backgrounds: muted colours and a soft texture, so that an object stands out on each."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
_SIDE = 128  # scenes are drawn on this square and resized to the clip


class _Canvas:
    """A square of _SIDE pixels addressed in 0..1, with a generator for the small differences.

    Every method but `between` paints over what is there; `line` takes its width in pixels.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.image = Image.new("RGB", (_SIDE, _SIDE))
        self.pen = ImageDraw.Draw(self.image)

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def sky(self, top: Colour, bottom: Colour, until: float = 1.0) -> None:
        """A vertical gradient from the upper edge down to `until`."""
        rows = max(1, round(until * _SIDE))
        share = np.linspace(0, 1, rows)[:, None]
        column = np.asarray(top) * (1 - share) + np.asarray(bottom) * share
        band = np.broadcast_to(column[:, None, :].astype(np.uint8), (rows, _SIDE, 3))
        self.image.paste(Image.fromarray(np.ascontiguousarray(band)), (0, 0))

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        self.pen.rectangle([x0 * _SIDE, y0 * _SIDE, x1 * _SIDE, y1 * _SIDE], fill=fill)

    def disc(self, x: float, y: float, radius: float, fill: Colour) -> None:
        box = [(x - radius) * _SIDE, (y - radius) * _SIDE, (x + radius) * _SIDE]
        self.pen.ellipse([*box, (y + radius) * _SIDE], fill=fill)

    def poly(self, points: list[tuple[float, float]], fill: Colour) -> None:
        self.pen.polygon([(x * _SIDE, y * _SIDE) for x, y in points], fill=fill)

    def line(self, points: list[tuple[float, float]], fill: Colour, width: int) -> None:
        self.pen.line([(x * _SIDE, y * _SIDE) for x, y in points], fill=fill, width=width)

    def hills(self, height: float, swing: float, waves: float, fill: Colour) -> None:
        """Everything below a sine line is filled."""
        phase = self.between(0, 2 * np.pi)
        x = np.linspace(0, 1, 33)
        y = height + swing * np.sin(2 * np.pi * waves * x + phase)
        self.poly([*zip(x.tolist(), y.tolist(), strict=True), (1, 1), (0, 1)], fill)

    def cloud(self, x: float, y: float, fill: Colour) -> None:
        for shift, lift, radius in ((-0.07, 0.0, 0.045), (0, -0.02, 0.06), (0.07, 0.0, 0.045)):
            self.disc(x + shift, y + lift, radius, fill)


def beach(canvas: _Canvas) -> None:
    """Sky, a strip of water, sand."""
    shore = canvas.between(0.5, 0.58)
    canvas.sky((176, 206, 224), (206, 222, 228), shore)
    canvas.box(0, shore - 0.17, 1, shore + 0.1, (112, 168, 192))
    canvas.hills(shore + 0.05, 0.02, 1.2, (214, 226, 226))
    canvas.hills(shore + 0.08, 0.02, 1.2, (222, 202, 158))
    for _ in range(14):
        x, y = canvas.between(0, 1), canvas.between(shore + 0.14, 1)
        canvas.disc(x, y, 0.012, (204, 182, 138))


def forest(canvas: _Canvas) -> None:
    """Trunks in two rows below dark crowns."""
    canvas.sky((96, 124, 100), (120, 144, 112))
    for row, colour in ((0.0, (84, 100, 82)), (0.07, (92, 84, 70))):
        for step in range(6):
            x = (step + canvas.between(0.1, 0.7)) / 6
            width = canvas.between(0.025, 0.05) + row / 3
            canvas.box(x, 0, x + width, 0.84 + row, colour)
    for _ in range(16):
        canvas.disc(canvas.between(0, 1), canvas.between(-0.02, 0.12), 0.1, (74, 104, 78))
    canvas.hills(0.85, 0.02, 1.5, (88, 108, 72))


def city(canvas: _Canvas) -> None:
    """Grey houses with windows along a street."""
    canvas.sky((190, 186, 194), (212, 204, 200))
    x = -0.04
    while x < 1:
        width, top = canvas.between(0.14, 0.22), canvas.between(0.16, 0.5)
        grey = round(canvas.between(128, 160))
        canvas.box(x, top, x + width - 0.012, 0.86, (grey, grey - 4, grey + 4))
        for y in np.arange(top + 0.05, 0.8, 0.1):
            for left in np.arange(x + 0.03, x + width - 0.05, 0.06):
                canvas.box(left, y, left + 0.025, y + 0.045, (grey + 30, grey + 28, grey + 12))
        x += width
    canvas.box(0, 0.86, 1, 1, (112, 112, 118))
    for step in range(5):
        canvas.box(step / 5 + 0.05, 0.92, step / 5 + 0.14, 0.94, (196, 194, 184))


def desert(canvas: _Canvas) -> None:
    """Dunes below a pale sun, a cactus."""
    canvas.sky((226, 208, 184), (238, 220, 190))
    canvas.disc(canvas.between(0.12, 0.88), canvas.between(0.1, 0.2), 0.085, (246, 236, 206))
    canvas.hills(0.52, 0.06, 0.8, (212, 168, 122))
    canvas.hills(0.68, 0.05, 1.1, (200, 152, 106))
    canvas.hills(0.84, 0.04, 0.7, (188, 138, 94))
    x, colour = canvas.between(0.06, 0.9), (118, 132, 92)
    canvas.line([(x, 0.45), (x, 0.78)], colour, 7)
    canvas.line([(x - 0.07, 0.53), (x - 0.07, 0.62), (x + 0.07, 0.62), (x + 0.07, 0.5)], colour, 5)


def sea(canvas: _Canvas) -> None:
    """Water up to the upper edge, lines of waves."""
    canvas.sky((122, 160, 190), (84, 128, 166))
    for step in range(7):
        height = (step + canvas.between(0.2, 0.8)) / 7
        tone = 26 * (step % 2)
        x = np.linspace(0, 1, 65)
        wave = height + 0.018 * np.abs(np.sin(np.pi * 5 * x + canvas.between(0, 3)))
        points = list(zip(x.tolist(), wave.tolist(), strict=True))
        canvas.line(points, (126 + tone, 168 + tone, 196 + tone // 2), 3)


def night(canvas: _Canvas) -> None:
    """A dark sky with stars and a moon above a hill."""
    canvas.sky((38, 42, 72), (74, 74, 108))
    for _ in range(26):
        x, y = canvas.between(0, 1), canvas.between(0, 0.8)
        canvas.disc(x, y, canvas.between(0.004, 0.009), (176, 176, 170))
    x, y = canvas.between(0.12, 0.88), canvas.between(0.12, 0.22)
    canvas.disc(x, y, 0.09, (206, 204, 184))
    canvas.disc(x + 0.045, y - 0.02, 0.08, (46, 50, 80))
    canvas.hills(0.86, 0.03, 1.0, (50, 54, 70))


def mountains(canvas: _Canvas) -> None:
    """Three grey peaks with snow."""
    canvas.sky((184, 196, 214), (216, 216, 222))
    for step, base in enumerate((0.2, 0.55, 0.88)):
        x, top = base + canvas.between(-0.06, 0.06), canvas.between(0.2, 0.36)
        slope, tone = canvas.between(0.55, 0.7), 126 - 8 * (step % 2)
        half = slope * (0.9 - top)
        canvas.poly([(x, top), (x + half, 0.9), (x - half, 0.9)], (tone, tone, tone + 18))
        cap = 0.14 * slope
        snow = [(x, top), (x + cap, top + 0.14), (x, top + 0.1), (x - cap, top + 0.14)]
        canvas.poly(snow, (224, 226, 232))
    canvas.hills(0.85, 0.03, 1.3, (122, 128, 116))


def meadow(canvas: _Canvas) -> None:
    """Green hills below clouds, blades of grass."""
    canvas.sky((168, 200, 226), (204, 218, 222), 0.6)
    for _ in range(2):
        canvas.cloud(canvas.between(0.1, 0.9), canvas.between(0.1, 0.32), (222, 228, 232))
    canvas.hills(0.48, 0.04, 0.9, (156, 186, 122))
    canvas.hills(0.6, 0.03, 1.2, (140, 174, 104))
    for _ in range(22):
        x, y = canvas.between(0, 1), canvas.between(0.68, 1)
        canvas.line([(x, y), (x + 0.012, y - 0.05)], (120, 154, 88), 2)


SCENES: dict[str, Callable[[_Canvas], None]] = {
    scene.__name__: scene for scene in (beach, forest, city, desert, sea, night, mountains, meadow)
}


def background(scene: str, size: int, rng: np.random.Generator) -> Image.Image:
    """Draw a scene.

    Args:
        scene: one of SCENES.
        size: pixels of the square picture.
        rng: decides the small differences (places of clouds, houses, waves) and the grain.

    Returns:
        An RGB picture of size x size pixels.
    """
    canvas = _Canvas(rng)
    SCENES[scene](canvas)
    picture = canvas.image.resize((size, size), Image.Resampling.BILINEAR)
    # Soft grain of 3 x 3 pixels: no flat area, yet far weaker than any object's edge.
    side = -(-size // 3)
    grain = rng.normal(rng.uniform(-6, 6), 3.0, (side, side)).repeat(3, 0).repeat(3, 1)
    pixels = np.asarray(picture, dtype=np.float32) + grain[:size, :size, None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
