"""The JSON view of an explanation: all that the stage (stage.js) needs to draw it and play on."""

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from snpkit.errors import UserError, VideoError
from snpkit.explore.explanation import Explanation
from snpkit.explore.fill_in import FillIn, fill_in
from snpkit.explore.plots.style import clean
from snpkit.explore.reasons import Reasons
from snpkit.explore.significance import relative_values
from snpkit.video.reader import read_clips
from snpkit.video.suffixes import is_image_name

if TYPE_CHECKING:
    from snpkit.explore.protocols import TrainedModel

View = dict[str, Any]
_FRAMES, _SIZE = 4, 112  # of a clip that was found
# T = caption, V = video, w = word, g = what else could stand in its place (mean over guesses).
EQUATIONS = {
    "corpus": "1 - log rank(w) / log(K + 1)",
    "attention": "Σ layers Σ queries mean over heads of A(query, w)",
    "match": "mean over clips of τ⟨h(w), v⟩ - mean over g of τ⟨h(g), v⟩",
    "counterfactual": "S(T, V) - mean over g of S(T with g for w, V)",
}


def explanation_view(
    pipeline: "TrainedModel",
    explanation: Explanation,
    *,
    video: str = "",
    word: int | None = None,
    guesses: Sequence[FillIn] | None = None,
) -> View:
    """What `stage.js` draws.

    Args:
        pipeline: the model that explained; it is asked for its guesses of each hidden word.
        explanation: of a caption and a video.
        video: name of the video.
        word: the word that is selected at first; None = the one that counts most.
        guesses: what `fill_in` gave for them; None = it is asked.

    Returns:
        caption, words (text, place in the caption, part of speech, map as base64 of uint8 [frames *
        grid rows * grid columns], guesses), kinds (values and raw values per word, rule), frames
        (data URLs, clip by clip), grid [rows, columns] and the score.
    """
    frames = explanation.frames.flatten(0, 1)  # [clips * frames, 3, height, width]
    if guesses is None:
        guesses = fill_in(pipeline, explanation.caption, explanation.frames)
    unknown = _unknown(pipeline, explanation)
    if word is None:
        values = torch.tensor([kind.values for kind in explanation.kinds])
        word = int(values.mean(0).argmax())
    words = zip(explanation.words, explanation.spans, explanation.parts, guesses, strict=True)
    return {
        "name": "significance",
        "caption": clean(explanation.caption),
        "video": clean(video),
        "words": [
            {
                "text": clean(text), "start": start, "end": end, "part": part,
                "unknown": text.lower() in unknown,
                "map": levels(_scaled(explanation.relevance[place])),
                **asdict(guess),
            }
            for place, (text, (start, end), part, guess) in enumerate(words)
        ],
        "kinds": [
            {
                "name": kind.name, "title": kind.name.capitalize(),
                "equation": EQUATIONS[kind.name],
                "rule": kind.rule, "values": kind.values, "raw": kind.raw,
            }
            for kind in explanation.kinds
        ],
        "frames": [picture(frame) for frame in frames],
        "per_clip": explanation.frames.shape[1],
        "height": frames.shape[2],
        "width": frames.shape[3],
        "grid": list(explanation.relevance.shape[-2:]),
        "score": explanation.score,
        "score_name": explanation.score_name,
        "start": word,
    }  # fmt: skip


def word_gains(found: Sequence[Reasons]) -> list[list[dict[str, Any]]]:
    """What each word of a sentence adds to the scores of some clips, on one scale for all of them:
    where no word adds much, none is tinted much."""
    gains = torch.tensor([why.gains for why in found])  # [clips, words]
    shares = relative_values(gains.flatten()) if found else []
    each = iter(shares)
    return [
        [
            {"text": clean(word), "gain": gain, "share": next(each)}
            for word, gain in zip(why.words, why.gains, strict=True)
        ]
        for why in found
    ]


def look(path: Path) -> list[str]:
    """A few frames of a clip for people, as data URLs; none where it can no longer be read."""
    count = 1 if is_image_name(path) else _FRAMES
    try:
        return list(map(picture, read_clips(path, count, 1, size=_SIZE).flatten(0, 1)))
    except VideoError:
        return []


def _unknown(pipeline: "TrainedModel", explanation: Explanation) -> set[str]:
    try:
        return set(pipeline.unknown_words(explanation.caption))
    except UserError:  # it knows none of them
        return {word.lower() for word in explanation.words}


def levels(values: Tensor) -> str:
    """Values in [0, 1] as base64 of bytes."""
    return base64.b64encode((255 * values).round().to(torch.uint8).numpy().tobytes()).decode()


def _scaled(relevance: Tensor) -> Tensor:
    """A map [clips, frames, rows, columns] in [0, 1], over all its frames."""
    shifted = relevance - relevance.min()
    return shifted / shifted.max().clamp(min=1e-12)


def picture(frame: Tensor) -> str:
    """A frame [3, height, width] as the model reads it, as a data URL."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(frame.permute(1, 2, 0).numpy()).save(buffer, format="JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
