"""What the RetrievalExplorer shows: pure functions from the clips that were found to HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from snpkit.explore.page import Html, film_strip, join, tag
from snpkit.explore.plots.style import shorten
from snpkit.explore.reasons import Reasons
from snpkit.explore.significance import relative_values

_MINUS = "\N{MINUS SIGN}"
_WHY = "Why: what each word adds to the score"
STYLE = """
.snpkit-view .widget-html-content { line-height: 1.45; white-space: normal; overflow: visible;
  font: 14px/1.45 var(--sk-font); }
.snpkit-hits { list-style: none; margin: 0; padding: 0; display: grid; gap: 16px 24px;
  grid-template-columns: repeat(auto-fill, minmax(min(370px, 100%), 1fr)); }
.snpkit-hits li { margin: 0; min-width: 0; padding-top: 14px;
  border-top: 1px solid var(--sk-line); }
.snpkit-hits li.is-true { border-top: 3px solid var(--sk-accent); padding-top: 12px; }
.snpkit-hits img { display: block; width: 100%; max-width: 520px; height: auto; border-radius: 5px;
  background: var(--sk-wash); }
.snpkit-hits p { margin: 6px 0 0; color: var(--sk-muted); font-size: 12.5px;
  overflow-wrap: anywhere; }
.snpkit-hits p.snpkit-head { display: flex; flex-wrap: wrap; gap: 0 10px; margin: 0 0 8px;
  font-size: 14px; color: var(--sk-ink); align-items: baseline; }
.snpkit-head b { font-weight: 600; }
.snpkit-head .snpkit-score { margin-left: auto; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.snpkit-hits .snpkit-why { display: flex; flex-wrap: wrap; gap: 6px 3px; margin-top: 8px; }
.snpkit-why .snpkit-word { font-size: 14px; }
.snpkit-why .snpkit-word b { padding: 3px 6px; }
"""


@dataclass(frozen=True)
class Result:
    """One clip that was found.

    Attributes:
        place: 1 = best.
        name: of the clip below its folder.
        path: its file.
        score: what orders the clips: cross-modal + matching score when re-ranked, else matching.
        matching: the matching score.
        before: its place by the matching score alone.
        captions: what was written for it, as far as that is known.
        is_true: the sentence is one of these captions.
        frames: uint8 [frames, 3, height, width]; None = they cannot be read any more.
        reasons: which words raise its score; None = was not asked for.
    """

    place: int
    name: str
    path: Path
    score: float
    matching: float
    before: int
    captions: Sequence[str]
    is_true: bool
    frames: Tensor | None
    reasons: Reasons | None

    @property
    def moved(self) -> str:
        """Where re-ranking moved it from, in words."""
        if self.before == self.place:
            return "place unchanged"
        way = "up" if self.before > self.place else "down"
        return f"moved {way} from place {self.before}"


def found(results: Sequence[Result], *, reranked: bool) -> Html:
    """The clips as a list of cards: place, frames, scores, and why."""
    cards = [_card(result, reranked) for result in results]
    return join(tag("style", Html(STYLE)), tag("ol", *cards, class_="snpkit-hits"))


def _card(result: Result, reranked: bool) -> Html:
    true = tag("span", "✓ written for this clip") if result.is_true else None
    score = tag("span", number(result.score), class_="snpkit-score")
    said = f"“{result.captions[0]}”" if result.captions else None
    return tag(
        "li",
        tag("p", tag("b", f"{result.place}. {result.name}"), true, score, class_="snpkit-head"),
        _frames(result),
        tag("p", "Its caption: ", said) if said else None,
        tag("p", sums(result, reranked)),
        None if result.reasons is None else tag("p", _WHY),
        None if result.reasons is None else why(result.reasons),
        class_="is-true" if result.is_true else None,
    )  # fmt: skip


def _frames(result: Result) -> Html:
    if result.frames is None:
        return tag("p", "Its frames cannot be read any more.")
    return film_strip(result.frames, in_words(result))


def in_words(result: Result) -> str:
    """What the frames show, as far as it is known."""
    frames = 0 if result.frames is None else len(result.frames)
    said = f": {result.captions[0]}" if result.captions else ""
    return f"{frames} frame{'s' * (frames != 1)} of {result.name}{said}"


def sums(result: Result, reranked: bool) -> str:
    """How the score comes about."""
    if not reranked:
        return f"Matching score {number(result.matching)}"
    cross = result.score - result.matching
    return (
        f"Cross-modal {number(cross)} + matching {number(result.matching)} · {result.moved}"
    )  # fmt: skip


def why(reasons: Reasons) -> Html:
    """The sentence with what each word adds to the score, as a row of marked words."""
    shares = relative_values(torch.tensor(reasons.gains))
    words = [
        tag(
            "span", tag("b", word, dir="auto"),
            tag("span", tag("i"), class_="snpkit-bar is-0", aria_hidden="true"),
            tag("small", signed(gain)),
            class_="snpkit-word is-tinted", style=f"--share:{share:.2f}",
        )
        for word, gain, share in zip(reasons.words, reasons.gains, shares, strict=True)
    ]  # fmt: skip
    return tag("div", *words, class_="snpkit-why", role="group", aria_label=_WHY)


def why_in_words(reasons: Reasons | None) -> str:
    """The words that raise the score most, in one line."""
    if reasons is None:
        return ""
    raising = ", ".join(f"{word} {signed(gain)}" for word, gain in reasons.raising())
    return raising or "no single word"


def number(value: float) -> str:
    """A score to two digits."""
    return f"{value:.2f}".replace("-", _MINUS)


def signed(value: float) -> str:
    """A gain to one digit, always with its sign."""
    return f"{value + 0:+.1f}".replace("-", _MINUS).replace(f"{_MINUS}0.0", "+0.0")


def picture(sentence: str, results: Sequence[Result], *, reranked: bool, note: str) -> Html:
    """The state as plain HTML: a table of the clips with their frames."""
    titles = ("place", "clip", "score", "matching", "by matching", "words that raise its score")
    rows = [
        tag(
            "tr", tag("th", str(r.place)),
            tag("td", _frames(r), tag("br"), r.name + (" ✓" if r.is_true else "")),
            tag("td", number(r.score)), tag("td", number(r.matching)), tag("td", str(r.before)),
            tag("td", why_in_words(r.reasons)),
        )
        for r in results
    ]  # fmt: skip
    head = tag("tr", *(tag("th", title) for title in titles))
    how = "re-ranked by the cross-modal pass" if reranked else "by the matching score"
    return tag(
        "div", tag("p", tag("strong", "Search"), tag("br"), f"“{sentence}”, {how}"),
        tag("table", tag("thead", head), tag("tbody", *rows)), tag("p", note),
    )  # fmt: skip


def summary(sentence: str, results: Sequence[Result], *, reranked: bool, note: str) -> str:
    """The state in a few lines."""
    how = "re-ranked by the cross-modal pass" if reranked else "by the matching score"
    lines = [f"Search for “{shorten(sentence, 200)}”, {how}"]
    for result in results:
        true = "  (written for this clip)" if result.is_true else ""
        reason = f"  because of {why_in_words(result.reasons)}" if result.reasons else ""
        lines.append(f"  {result.place}. {result.name}  {number(result.score)}{true}{reason}")
    return "\n".join([*lines, f"  {note}"])
