"""Does an explanation point at what it should? Measured where the truth is known.

`snpkit evaluate --explanations` asks two questions of clips whose objects' boxes and whose
captions' parts of speech are known, such as the generated ones:

* The pointing game: does the map of a noun have its strongest point on the noun's object? Beside
  it stand three baselines that need no model: a random point, the best fixed point, and the map of
  contrast alone.
* Words: are content words (nouns, verbs, adjectives) more significant than function words?
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from snpkit.data.samples import Manifest, VideoText
from snpkit.data.synthetic.vocabulary import NOUN_WORDS, tag
from snpkit.errors import UserError
from snpkit.video.sampling import Middle, sample_frames

CONTENT = ("NOUN", "VERB", "ADJ")
STOP = frozenset({"be", "is", "are", "was", "were"})  # verbs by their tag, not by their meaning


@dataclass(frozen=True)
class PointingGame:
    """Shares in [0, 1] over the videos of a pointing game.

    Attributes:
        videos: number of videos.
        videos_hit: the strongest cell of all frames has its centre in the box of its frame.
        frames_hit: mean over videos of the share of frames whose own strongest cell does.
        chance: a random point: mean share of the frame that the box covers.
        best_fixed_frames: `frames_hit` of the one cell that does best on these very videos.
        best_fixed_video: `videos_hit` of the one frame and cell that do best on them.
        ceiling: `frames_hit` of a perfect map; below 1, as a box may hold no cell's centre.
    """

    videos: int
    videos_hit: float
    frames_hit: float
    chance: float
    best_fixed_frames: float
    best_fixed_video: float
    ceiling: float


def pointing_game(maps: Tensor, boxes: Tensor) -> PointingGame:
    """Measure the pointing game; of equal maxima the first cell counts.

    Args:
        maps: [videos, frames, grid_height, grid_width], higher is more relevant.
        boxes: [videos, frames, 4], x0, y0, x1, y1 in [0, 1]; edges belong to the box.

    Raises:
        UserError: no video, or shapes that do not fit.
    """
    if maps.ndim != 4 or not maps.numel() or boxes.shape != (*maps.shape[:2], 4):
        raise UserError(
            "The pointing game needs maps [videos, frames, height, width] and boxes "
            f"[videos, frames, 4], not {list(maps.shape)} and {list(boxes.shape)}."
        )
    inside = centres_inside(boxes, *maps.shape[2:]).flatten(2).double()  # [videos, frames, cells]
    points = maps.flatten(2).argmax(2, keepdim=True)
    strongest = maps.flatten(1).argmax(1, keepdim=True)
    x0, y0, x1, y1 = boxes.double().unbind(-1)
    return PointingGame(
        videos=len(maps),
        videos_hit=inside.flatten(1).gather(1, strongest).mean().item(),
        frames_hit=inside.gather(2, points).mean().item(),
        chance=((x1 - x0) * (y1 - y0)).mean().item(),
        best_fixed_frames=inside.mean((0, 1)).max().item(),
        best_fixed_video=inside.mean(0).max().item(),
        ceiling=inside.amax(2).mean().item(),
    )


def centres_inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """Which cells of a grid have their centre in a box: [..., 4] -> bool [..., height, width]."""
    y = ((torch.arange(height, dtype=torch.float64) + 0.5) / height)[:, None]
    x = (torch.arange(width, dtype=torch.float64) + 0.5) / width
    x0, y0, x1, y1 = boxes.double()[..., None, None].unbind(-3)
    return (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)


@dataclass(frozen=True)
class WordContest:
    """Content words against function words: shares in [0, 1] over captions that have both.

    Attributes:
        captions: number of captions with both.
        mean: captions whose content words are more significant on average.
        median: ... whose median content word is more significant than the median function word.
        pairs: mean share of (content, function) pairs whose content word is more significant; ties
            count half.
    """

    captions: int
    mean: float
    median: float
    pairs: float


def word_contest(captions: Iterable[tuple[Sequence[float], Sequence[str]]]) -> WordContest:
    """Compare the significance of content words with that of function words.

    Args:
        captions: per caption the significance and the part of speech (UPOS) of each word. Other
            tags than CONTENT are function words; PUNCT is left out.

    Raises:
        UserError: no caption has both.
    """
    shares: list[tuple[float, float, float]] = []
    for values, parts in captions:
        tagged = list(zip(values, parts, strict=True))
        content = [value for value, part in tagged if part in CONTENT]
        function = [value for value, part in tagged if part not in (*CONTENT, "PUNCT")]
        if content and function:
            pairs = [(one > other) + (one == other) / 2 for one in content for other in function]
            by_mean = fmean(content) > fmean(function)
            by_median = median(content) > median(function)
            shares.append((by_mean, by_median, fmean(pairs)))
    if not shares:
        raise UserError("No caption has both content and function words.")
    return WordContest(len(shares), *(fmean(column) for column in zip(*shares, strict=True)))


def parts_of_caption(tags: Iterable[tuple[str, str]]) -> list[str]:
    """Parts of speech of a generated caption's words; "is" and the like count as AUX, a function
    word, also where they are the only verb ("there is a kite")."""
    return ["AUX" if word in STOP else part for word, part in tags]


@dataclass(frozen=True)
class Grounding:
    """Outcome of `measure_grounding`: the pointing game of the maps and of contrast alone on
    the same videos, and the comparison of words by kind."""

    pointing: PointingGame
    contrast: PointingGame
    contests: dict[str, WordContest]


def measure_grounding(
    explain: Callable[[str, Path], Any],
    manifest: Manifest,
    kinds: Sequence[str] = ("match", "counterfactual"),
    middle: Middle = "upper",
) -> Grounding:
    """Explain every row of a generated manifest and compare with what is known of it.

    Args:
        explain: caption and file -> `Explanation`, such as `Pipeline.explain`; of it "words",
            "frames", "values" (significance by kind) and "relevance" [words, clips, frames,
            grid_height, grid_width] are read.
        manifest: rows with the generator's "tags", "composition" and "boxes".
        kinds: of significance, by which words are compared.
        middle: which middle frame of a range `explain` reads: `config.frame_middle`.

    Raises:
        UserError: a row lacks one of these, or no row names its object.
    """
    maps, contrasts, boxes, words = [], [], [], {kind: [] for kind in kinds}
    for row in manifest.rows:
        if missing := {"tags", "composition", "boxes"} - set(row.extra):
            raise UserError(f"{row.id} lacks {sorted(missing)}; measure on generated clips.")
        found = explain(row.caption, manifest.path_of(row))
        parts = parts_of_caption(row.extra["tags"])[: len(found.words)]
        for kind, captions in words.items():
            captions.append((found.values(kind), parts))
        place = named_object(row)
        if place is not None and place < len(found.words):
            relevance = found.relevance[place]  # [clips, frames, gh, gw]
            maps.append(relevance.flatten(0, 1))
            grid = tuple(relevance.shape[-2:])
            contrasts.append(contrast_maps(found.frames.flatten(0, 1), grid))
            of_frames = torch.tensor(row.extra["boxes"], dtype=torch.float64)
            seen = sample_frames(len(of_frames), *relevance.shape[:2], middle=middle)
            boxes.append(of_frames[seen.reshape(-1)])
    if not maps:
        raise UserError("No caption names its object; there is nothing to point at.")
    return Grounding(
        pointing_game(torch.stack(maps), torch.stack(boxes)),
        pointing_game(torch.stack(contrasts), torch.stack(boxes)),
        {kind: word_contest(captions) for kind, captions in words.items()},
    )


def contrast_maps(frames: Tensor, grid: tuple[int, int]) -> Tensor:
    """How far each patch lies from its frame's mean colour: uint8 [frames, 3, height, width] ->
    [frames, grid_height, grid_width]; a map that needs neither word nor model."""
    pixels = frames.float()
    distance = (pixels - pixels.mean((-1, -2), keepdim=True)).abs().sum(1)
    return F.adaptive_avg_pool2d(distance, grid)


def named_object(row: VideoText) -> int | None:
    """Which word of a generated caption is the noun of its main object; None = it has none."""
    synonyms = {tag(word)[0] for word in NOUN_WORDS[row.extra["composition"]["noun"]]}
    words = [word for word, _ in row.extra["tags"]]
    return next((place for place, word in enumerate(words) if word in synonyms), None)
