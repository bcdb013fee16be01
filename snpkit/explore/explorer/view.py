"""The JSON view of an explanation: all that the stage (stage.js) needs to draw it and play on."""

import base64
import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from snpkit.explore.explanation import Explanation
from snpkit.explore.fill_in import fill_in
from snpkit.explore.plots.style import clean

if TYPE_CHECKING:
    from snpkit.explore.protocols import TrainedModel

View = dict[str, Any]
TITLES = {
    "corpus": "Corpus",
    "attention": "Attention",
    "match": "Match",
    "counterfactual": "Counterfactual",
}
# T = caption, V = video, w = word, g = what else could stand in its place (mean over guesses).
EQUATIONS = {
    "corpus": "1 - log rank(w) / log(K + 1)",
    "attention": "Σ layers Σ queries mean over heads of A(query, w)",
    "match": "mean over clips of τ⟨h(w), v⟩ - mean over g of τ⟨h(g), v⟩",
    "counterfactual": "S(T, V) - mean over g of S(T with g for w, V)",
}


def explanation_view(
    pipeline: "TrainedModel", explanation: Explanation, *, video: str = "", word: int | None = None
) -> View:
    """What `stage.js` draws.

    Args:
        pipeline: the model that explained; it is asked for its guesses of each hidden word.
        explanation: of a caption and a video.
        video: name of the video.
        word: the word that is selected at first; None = the one that counts most.

    Returns:
        caption, words (text, place in the caption, part of speech, map as base64 of uint8 [frames *
        grid rows * grid columns], guesses), kinds (values and raw values per word, rule), frames
        (data URLs, clip by clip), grid [rows, columns] and the score.
    """
    frames = explanation.frames.flatten(0, 1)  # [clips * frames, 3, height, width]
    guesses = fill_in(pipeline, explanation.caption, explanation.frames)
    unknown = _unknown(pipeline, explanation)
    if word is None:
        values = torch.tensor([kind.values for kind in explanation.kinds])
        word = int(values.mean(0).argmax())
    words = zip(explanation.words, explanation.spans, explanation.parts, guesses, strict=True)
    return {
        "caption": clean(explanation.caption),
        "video": clean(video),
        "words": [
            {
                "text": clean(text), "start": start, "end": end, "part": part,
                "unknown": text.lower() in unknown, "map": _levels(explanation.relevance[place]),
                **asdict(guess),
            }
            for place, (text, (start, end), part, guess) in enumerate(words)
        ],
        "kinds": [
            {
                "name": kind.name, "title": TITLES[kind.name], "equation": EQUATIONS[kind.name],
                "rule": kind.rule, "values": kind.values, "raw": kind.raw,
            }
            for kind in explanation.kinds
        ],
        "frames": [_picture(frame) for frame in frames],
        "per_clip": explanation.frames.shape[1],
        "height": frames.shape[2],
        "width": frames.shape[3],
        "grid": list(explanation.relevance.shape[-2:]),
        "score": explanation.score,
        "score_name": explanation.score_name,
        "start": word,
    }  # fmt: skip


def _unknown(pipeline: "TrainedModel", explanation: Explanation) -> set[str]:
    from snpkit.errors import UserError

    try:
        return set(pipeline.unknown_words(explanation.caption))
    except UserError:  # it knows none of them
        return {word.lower() for word in explanation.words}


def _levels(relevance: Tensor) -> str:
    """A map [clips, frames, rows, columns], scaled over all its frames, as base64 of bytes."""
    shifted = relevance - relevance.min()
    levels = (255 * shifted / shifted.max().clamp(min=1e-12)).round().to(torch.uint8)
    return base64.b64encode(levels.numpy().tobytes()).decode("ascii")


def _picture(frame: Tensor) -> str:
    """A frame [3, height, width] as the model reads it, as a data URL."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(frame.permute(1, 2, 0).numpy()).save(buffer, format="JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
