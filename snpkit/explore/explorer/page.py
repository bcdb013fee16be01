"""An explanation as one self-contained HTML file that plays on without a kernel (see stage.js)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snpkit.explore.explanation import Explanation
from snpkit.explore.explorer.parts import script, style
from snpkit.explore.explorer.view import View, explanation_view
from snpkit.explore.page import Html, page, tag
from snpkit.files import write_text

if TYPE_CHECKING:
    from snpkit.explore.protocols import TrainedModel

_START = """
const view = JSON.parse(document.getElementById("view").textContent);
render({ model: { get: () => view }, el: document.getElementById("explorer") });
"""
_PARTS = {"VERB": "verb", "NOUN": "noun", "ADJ": "adjective"}
_METHODS = {
    "pixels": "the gradient of the word's match on the pixels, times their contrast with the frame",
    "similarity": "the similarity of the word with each grid feature",
    "gradient": "gradient x activation of the word's match on the grid features",
    "contrast": "the contrast of the pixels with their frame; neither word nor model is asked",
}


def write_explanation(
    path: str | Path,
    pipeline: "TrainedModel",
    explanation: Explanation,
    *,
    video: str = "",
    word: int | None = None,
) -> None:
    """Write an explanation as one HTML file that loads nothing, atomically.

    Args:
        pipeline: the model that explained.
        video: name of the video.
        word: the word that is selected at first; None = the one that counts most.

    Raises:
        UserError: the file cannot be written.
    """
    write_text(path, explanation_page(pipeline, explanation, video=video, word=word))


def explanation_page(
    pipeline: "TrainedModel", explanation: Explanation, *, video: str = "", word: int | None = None
) -> str:
    """The HTML document of `write_explanation`."""
    view = explanation_view(pipeline, explanation, video=video, word=word)
    title = f"Which words matter: {explanation.caption[:80]}"
    return view_page(title, view, numbers(explanation))


def numbers(explanation: Explanation) -> list[Html]:
    """How to read the maps of an explanation, and all its numbers as tables."""
    about = (
        f"Light says where a word's match with the video rests, found by "
        f"{_METHODS[explanation.method]}: 1 is the word's strongest patch in all frames. It can be "
        "compared over the frames of one word, not between words; scores, only those of one model."
    )
    tables = _numbers(explanation), _match_by_clip(explanation), _agreement(explanation)
    return [
        tag("p", about, class_="note"), tag("details", tag("summary", "All numbers"), *tables)
    ]  # fmt: skip


def view_page(title: str, view: View, below: Sequence[Html | None] = ()) -> str:
    """A page that shows an explorer's view without a kernel.

    Args:
        title: of the page; what follows a colon in it is not repeated as its heading.
        view: what the explorer drew.
        below: what follows it.
    """
    video = view.get("video")
    body = tag(
        "main",
        tag("h1", title.split(":")[0], tag("small", f" in {video}") if video else None),
        tag("div", tag("noscript", "Turn on JavaScript to see words and frames."), id="explorer"),
        *below,
        tag("footer", "Written by snpkit. This file is complete: it loads nothing."),
    )  # fmt: skip
    return page(title, body, style() + _STYLE, script=script() + _START, view=view)


def _raw(raw: float | None) -> str:
    # Adding 0 turns the -0.0 that rounding leaves into 0.
    return "—" if raw is None else f"{round(raw, 2) + 0:.2f}".removesuffix(".00")


def _numbers(explanation: Explanation) -> Html:
    head = _head("word", *(kind.name for kind in explanation.kinds))
    rows = []
    for place, word in enumerate(explanation.words):
        part = explanation.parts[place]
        said = tag("small", _PARTS.get(part, part.lower())) if part else None
        cells = [
            _cell(f"{kind.values[place]:.2f}", _raw(kind.raw[place])) for kind in explanation.kinds
        ]
        rows.append(tag("tr", tag("th", word, " ", said, scope="row"), *cells))
    about = "Each word's value in [0, 1] and, small, its raw value (corpus: its rank)."
    return _table(about, head, rows)


def _head(*names: str) -> Html:
    return tag("tr", *(tag("th", name, scope="col") for name in names))


def _cell(number: str, below: str) -> Html:
    return tag("td", f"{number} ", tag("small", below))


def _table(about: str, head: Html, rows: Sequence[Html]) -> Html:
    table = tag("table", tag("caption", about), tag("thead", head), tag("tbody", *rows))
    return tag("div", table, class_="wide", tabindex=0, role="region", aria_label=about)


def _match_by_clip(explanation: Explanation) -> Html:
    detail = explanation.kind("match").detail
    gain, similarity = detail["gain"], detail["similarity"]  # [words, clips]
    clips = range(gain.shape[1])
    head = _head("word", *(f"clip {clip + 1}" for clip in clips))
    rows = []
    for place, word in enumerate(explanation.words):
        cells = [_cell(f"{gain[place, c]:.2f}", f"{similarity[place, c]:.2f}") for c in clips]
        rows.append(tag("tr", tag("th", word, scope="row"), *cells))
    about = "Match by clip: gain over what else could stand there and, small, the similarity."
    return _table(about, head, rows)


def _agreement(explanation: Explanation) -> Html:
    names = [kind.name for kind in explanation.kinds]
    head = _head("kind", *names)
    rows = []
    for one in names:
        found = [
            1.0 if one == other else explanation.agreement.get(
                (one, other), explanation.agreement.get((other, one))
            )
            for other in names
        ]  # fmt: skip
        cells = (tag("td", "—" if value is None else f"{value:.2f}") for value in found)
        rows.append(tag("tr", tag("th", one, scope="row"), *cells))
    about = (
        "Spearman correlation of the values: 1 = the same order of words, 0 = none, -1 = the "
        "reverse; — = not defined: all values of one kind are equal."
    )
    return _table(about, head, rows)


_STYLE = """
main { max-width: 84rem; padding: 1.2rem 1.5rem 3rem; }
h1 { font-size: 1.2rem; margin: 0 0 0.6rem; }
h1 small { font-weight: 400; color: var(--muted); }
td small, th small { display: block; color: var(--muted); font-size: 0.75rem; }
tbody th { overflow-wrap: anywhere; }
.note { margin: 1.2rem 0; max-width: 60rem; }
summary { cursor: pointer; padding: 0.2rem 0; }
footer { margin-top: 2rem; }
@media (max-width: 36rem) { main { padding: 0.8rem 0.8rem 2rem; } }
"""
