"""The pictures of the SignificanceExplorer: frames with maps, static HTML, and what is exported."""

import base64
import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.colors import to_rgb
from torch import Tensor

from snpkit.explore.page import Html, tag
from snpkit.explore.plots.captions import caption_strip, masking_comparison
from snpkit.explore.plots.frames import relevance_overlay
from snpkit.explore.plots.style import ORANGE, SEQUENTIAL, Picture, readable_on, to_frames, to_png
from snpkit.explore.relevance import upsample
from snpkit.explore.significance import Kind
from snpkit.explore.widgets.base import Explorer
from snpkit.explore.widgets.significance_words import masks_in_words

_MARK = (255, 255, 255)
_FRAME = 144  # pixels a side, at least, of a frame that is shown


def joint_map(relevance: Tensor, places: Sequence[int]) -> Tensor:
    """Mean of the maps of several words, each brought to [0, 1] first: [clips, frames, gh, gw]."""
    maps = relevance[list(places)].float()
    low, high = maps.amin((1, 2, 3, 4), keepdim=True), maps.amax((1, 2, 3, 4), keepdim=True)
    return ((maps - low) / (high - low).clamp(min=1e-12)).mean(0)


def _enlarged(frames: Tensor) -> Tensor:
    """Small frames made large enough to look at, without new colours between pixels."""
    factor = -(-_FRAME // min(frames.shape[-2:]))
    return frames.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def overlay(frames: Tensor, maps: Tensor) -> Tensor:
    """Frames darkened where they are irrelevant and tinted where they are relevant.

    Args:
        frames: uint8 [clips, frames, 3, height, width].
        maps: [clips, frames, grid_height, grid_width], scaled over all frames together.

    Returns:
        uint8, like the frames, enlarged; a cross marks the centre of each frame's strongest cell.
    """
    frames = _enlarged(frames)
    size = tuple(frames.shape[-2:])
    maps = maps.float() - maps.min()
    weight = upsample(maps / maps.max().clamp(min=1e-12), size)[:, :, None]  # [c, f, 1, h, w]
    glow = torch.tensor(to_rgb(ORANGE))[:, None, None] * 255
    shade = 0.3 + 0.7 * weight
    tint = 0.4 * weight**2
    picture = frames.float() * shade * (1 - tint) + glow * tint
    return _crossed(picture.round().clamp(0, 255).to(torch.uint8), maps)


def _crossed(frames: Tensor, maps: Tensor) -> Tensor:
    height, width = frames.shape[-2:]
    rows, columns = maps.shape[-2:]
    arm = height // 18
    for clip, frame in np.ndindex(*maps.shape[:2]):
        row, column = divmod(int(maps[clip, frame].argmax()), columns)
        y, x = int((row + 0.5) * height / rows), int((column + 0.5) * width / columns)
        for reach, half, ink in ((arm + 1, 2, 0), (arm, 1, 255)):  # light on dark: seen anywhere
            picture = frames[clip, frame]
            picture[:, max(y - reach, 0) : y + reach, max(x - half, 0) : x + half] = ink
            picture[:, max(y - half, 0) : y + half, max(x - reach, 0) : x + reach] = ink
    return frames


def with_map(frames: Tensor, maps: Tensor | None) -> np.ndarray:
    """Frames under a map, or enlarged as they are: uint8 [clips * frames, height, width, 3]."""
    shown = _enlarged(frames) if maps is None else overlay(frames, maps)
    return to_frames(shown.flatten(0, 1))


def frame_pair(frames: Tensor, maps: Tensor | None, time: int) -> str:
    """One frame as the model reads it, and under the map, side by side; a data: URL."""
    plain = with_map(frames, None)[time]
    pieces = [plain]
    if maps is not None:
        gap = np.full((len(plain), 6, 3), 128, dtype=np.uint8)
        pieces += [gap, with_map(frames, maps)[time]]
    return image_url(_larger(np.concatenate(pieces, axis=1), 2))


def film(frames: Tensor, maps: Tensor | None, time: int | None = None) -> str:
    """All frames under the map, one marked by a border; a data: URL."""
    pictures = with_map(frames, maps).copy()
    if time is not None:
        picture, width = pictures[time], 5
        for edge in (np.s_[:width], np.s_[-width:], np.s_[:, :width], np.s_[:, -width:]):
            picture[edge] = _MARK
        for edge in (np.s_[:2], np.s_[-2:], np.s_[:, :2], np.s_[:, -2:]):
            picture[edge] = 0
    # One row per clip; clips of one frame share a row.
    columns = frames.shape[1] if frames.shape[1] > 1 else min(len(pictures), 4)
    pictures = np.pad(pictures, ((0, -len(pictures) % columns), (2, 2), (2, 2), (0, 0)),
                      constant_values=128)  # fmt: skip
    rows = [
        np.concatenate(list(row), axis=1) for row in np.split(pictures, len(pictures) // columns)
    ]
    return image_url(np.concatenate(rows, axis=0))


def _larger(picture: np.ndarray, factor: int) -> np.ndarray:
    return picture.repeat(factor, 0).repeat(factor, 1)


def image_url(picture: np.ndarray) -> str:
    """uint8 [height, width, 3] as a data: URL (JPEG: quick to make and small to send)."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def static_picture(explorer: Explorer) -> Html:
    """The state as HTML that stays readable when every style is taken away from it."""
    frames = None
    if explorer.frames is not None:
        maps = explorer.relevance
        frames = tag("p", tag("img", src=film(explorer.frames, maps), alt=explorer.picture_alt(),
                              width=min(4, explorer.frames.shape[1]) * 150))  # fmt: skip
    masks = masks_in_words(explorer.words, explorer.masks)
    lines = [explorer.agreement_text, explorer.score_text, explorer.change_text]
    return tag(
        "div",
        tag("p", tag("strong", f"“{explorer.caption}”"), " · ", explorer.clip_name),
        _words_table(explorer.words, explorer.shown_kinds),
        *(tag("p", line) for line in lines if line),
        frames,
        tag("p", "Masks of seed ", str(explorer.seed), ":"),
        tag("ul", *(tag("li", line) for line in masks)),
    )


def _words_table(words: Sequence[str], kinds: Sequence[Kind]) -> Html:
    head = tag("tr", tag("th", "word", scope="col"),
               *(tag("th", kind.name, scope="col", colspan=2) for kind in kinds))  # fmt: skip
    rows = [
        tag("tr", tag("th", word, scope="row"), *(c for k in kinds for c in _cells(k, place)))
        for place, word in enumerate(words)
    ]
    return tag("table", tag("thead", head), tag("tbody", *rows))


def _cells(kind: Kind, place: int) -> tuple[Html, Html]:
    value = kind.values[place]
    colour = SEQUENTIAL(value)
    rgb = ", ".join(str(round(255 * part)) for part in colour[:3])
    style = f"background: rgb({rgb}); color: {readable_on(colour)}"
    # Blocks of text: a bar that needs neither style nor picture.
    bar = "█" * round(10 * value) or "·"
    return tag("td", f"{value:.2f}", style=style), tag("td", bar, style="text-align: left")


def to_csv(explorer: Explorer) -> str:
    """One line per word: table, the kinds that are shown, both masks."""
    table, kinds = explorer.table, explorer.known_kinds()
    names = ["word", "part", "rank", "count", "significant", "selected"]
    names += [name for kind in kinds for name in (kind.name, f"{kind.name}_raw")]
    names += list(explorer.masks)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    for place, word in enumerate(explorer.words):
        entry = None if table is None else table.entry(word)
        row: list[Any] = [_cell(word)]
        row += ["", "", "", False] if entry is None else [
            next(iter(entry.shares)), entry.rank + 1, entry.count, table.is_significant(word)
        ]  # fmt: skip
        row.append(place in explorer.selected)
        for kind in kinds:
            raw = kind.raw[place]
            row += [f"{kind.values[place]:.6f}", "" if raw is None else f"{raw:.6f}"]
        row += [_cell(drawn[place] or "") for drawn in explorer.masks.values()]
        writer.writerow(row)
    return buffer.getvalue()


def _cell(text: str) -> str:
    # A spreadsheet takes these for the start of a formula.
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def figures(explorer: Explorer) -> list[Picture]:
    """The figures of the present state, in the order that they are read."""
    found = [
        caption_strip(explorer.words, kind.values, title=f"{kind.name.capitalize()} significance")
        for kind in explorer.shown_kinds
    ]
    if explorer.relevance is not None:
        frames = explorer.frames.flatten(0, 1)
        words = ", ".join(explorer.words[place] for place in explorer.selected)
        found.append(relevance_overlay(frames, explorer.relevance.flatten(0, 1), words))
    strong = explorer.kind_values("corpus")
    found.append(masking_comparison(explorer.words, explorer.masks, [v > 0 for v in strong]))
    return found


def to_picture(explorer: Explorer) -> bytes:
    """The figures below each other in one PNG."""
    from PIL import Image

    pictures = [io.BytesIO(to_png(figure)) for figure in figures(explorer)]
    pieces = [Image.open(picture, formats=("PNG",)) for picture in pictures]
    width, gap = max(piece.width for piece in pieces), 24
    height = sum(piece.height + gap for piece in pieces) + gap
    sheet = Image.new("RGB", (width + 2 * gap, height), "white")
    top = gap
    for piece in pieces:
        sheet.paste(piece.convert("RGB"), (gap, top))
        top += piece.height + gap
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=False)
    return buffer.getvalue()


def to_page(explorer: Explorer) -> str:
    """One self-contained HTML document: the explanation where there is a clip, else the picture."""
    from dataclasses import replace

    from snpkit.explore.explorer.page import explanation_page
    from snpkit.explore.page import page
    from snpkit.explore.significance import agreement

    if explorer.frames is None:
        title = f"Which words matter: {explorer.caption[:80]}"
        body = tag("main", tag("h1", f"“{explorer.caption}”"), explorer.picture())
        return page(title, body)
    explanation = explorer.explanation()
    kinds = [explorer.answer(kind.name) for kind in explanation.kinds]
    explanation = replace(explanation, kinds=kinds, agreement=agreement(kinds))
    word = min(explorer.selected, default=None)
    pipeline = explorer.answers.pipeline
    return explanation_page(pipeline, explanation, video=explorer.clip_name, word=word)
