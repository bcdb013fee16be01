"""The answers of a search as one HTML file: frames of each clip, and why it was found."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from snpkit.errors import VideoError
from snpkit.explore.explanation import read_caption
from snpkit.explore.page import Html, film_strip, page, tag
from snpkit.explore.reasons import Reasons, reasons
from snpkit.explore.significance import relative_values
from snpkit.explore.widgets.retrieval_view import number, signed
from snpkit.explore.word_strip import marked_word
from snpkit.files import write_text
from snpkit.video.reader import read_clips
from snpkit.video.suffixes import is_image_name

if TYPE_CHECKING:
    from snpkit.evaluation.search import FolderIndex, Hit
    from snpkit.explore.protocols import TrainedModel

_FRAMES, _SIZE = 4, 144  # of a film strip
_NAMED = 100  # unreadable files that are named
_STYLE = """
.hits { list-style: none; margin: 1.75rem 0 0; padding: 0; display: grid; gap: 1.25rem;
  grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); }
.hits li { background: var(--card); border: 1px solid var(--grid); border-radius: 6px;
  overflow: hidden; min-width: 0; }
.hits img { display: block; width: 100%; height: auto; background: var(--grid); }
.hits img.still { width: 25%; }
.hits .head { display: flex; gap: 0.75rem; align-items: baseline; padding: 0.6rem 0.9rem 0.5rem; }
.hits h3 { overflow-wrap: anywhere; }
.hits h3 b { color: var(--muted); font-weight: 400; }
.hits .head span { margin-left: auto; font-weight: 600; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.hits .head small { color: var(--muted); font-weight: 400; }
.hits .body { padding: 0.7rem 0.9rem 0.9rem; }
.hits .note { margin: 0 0 0.6rem; }
.hits .gone { padding: 0 0.9rem; }
.hits .words { font-size: 1rem; gap: 0.4rem 0.2rem; }
.unread { padding-left: 1.2rem; overflow-wrap: anywhere; }
"""


def write_search_page(
    path: str | Path,
    pipeline: "TrainedModel",
    index: "FolderIndex",
    answers: "Sequence[tuple[str, Sequence[Hit]]]",
    *,
    reranked: bool = True,
    explained: int = 20,
) -> None:
    """Write the answers of a search as one HTML file that loads nothing, atomically.

    Args:
        pipeline, index: what was searched with, and what was searched.
        answers: sentences with their hits, best first.
        reranked: the hits are ordered by cross-modal + matching score, not by the latter alone.
        explained: of each sentence's hits, how many of the first are explained word by word.

    Raises:
        UserError: the file cannot be written.
    """
    found = search_page(pipeline, index, answers, reranked=reranked, explained=explained)
    write_text(path, found)


def search_page(
    pipeline: "TrainedModel",
    index: "FolderIndex",
    answers: "Sequence[tuple[str, Sequence[Hit]]]",
    *,
    reranked: bool = True,
    explained: int = 20,
) -> str:
    """The HTML document of `write_search_page`."""
    reranked = reranked and pipeline.model.config.architecture != "twin_tower"
    column = {name: place for place, name in enumerate(index.names)}
    sections = []
    for asked, hits in answers:
        sentence = asked.encode("utf-8", "replace").decode()  # lone surrogates are no text
        names = [hit.path.relative_to(index.root).as_posix() for hit in hits]
        columns = [column[name] for name in names[:explained]]
        why = reasons(pipeline, sentence, index, columns, reranked=reranked)
        words = _words(why) + [None] * (len(hits) - len(why))
        each = zip(range(1, len(hits) + 1), names, hits, words, strict=True)
        cards = tag("ol", *(_card(*one, reranked) for one in each), class_="hits")
        heading = f"“{sentence}”" if len(answers) > 1 else _best(len(hits))
        sections.append(tag("section", tag("h2", heading), _left_out(pipeline, sentence), cards))
    title = f"“{answers[0][0]}”" if len(answers) == 1 else f"{len(answers)} sentences asked"
    body = tag(
        "main", _header(title, index, reranked), *sections, _unreadable(index),
        tag("footer", "Written by snpkit. This file is complete: it loads nothing."),
    )  # fmt: skip
    return page(f"snpkit search: {title[:80]}", body, _STYLE)


def _left_out(pipeline: "TrainedModel", sentence: str) -> Html | None:
    """The words of a long sentence that the model does not read."""
    _, _, words = read_caption(pipeline.tokenizer, sentence)
    said = f"The model does not read that far; left out at the end: {' '.join(words)}."
    return tag("p", said, class_="note") if words else None


def _best(count: int) -> str:
    return "The best clip" if count == 1 else f"The best {count} clips"


def _header(title: str, index: "FolderIndex", reranked: bool) -> Html:
    clips = _count(len(index.names), "clip")
    order = (
        "The clips that match best, by one vector of the sentence and one of each of their parts, "
        "were read again together with the sentence by the cross-modal pass. Score = cross-modal "
        "score + matching score"
        if reranked
        else "Score = matching score of the sentence's vector with those of the clip"
    )
    how = (
        f"{order}; only scores of one sentence can be compared. The number under a word is what it "
        "adds to the score of that clip: what is lost when other words take its place. The more it "
        "adds, the stronger its tint and the longer its bar; all clips of a sentence share a scale."
    )
    return tag(
        "header",
        tag("p", "snpkit search", class_="kicker"),
        tag("h1", title),
        tag("p", f"Looked for in {clips} below the folder “{index.root.name}”.", class_="lede"),
        tag("p", how, class_="note"),
    )


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _card(place: int, name: str, hit: "Hit", words: Html | None, reranked: bool) -> Html:
    cross = f"Cross-modal {number(hit.score - hit.matching)} + matching {number(hit.matching)}"
    score = tag("span", tag("small", "score "), number(hit.score))
    return tag(
        "li",
        tag("div", tag("h3", tag("b", f"{place}."), " ", name), score, class_="head"),
        _strip(hit.path, name),
        tag(
            "div",
            tag("p", cross if reranked else "Matching alone", class_="note"),
            words,
            class_="body",
        ),
    )


def _strip(path: Path, name: str) -> Html:
    frames = look(path)
    if frames is None:
        return tag("p", "Its frames cannot be read any more.", class_="note gone")
    return film_strip(frames, f"{_count(len(frames), 'frame')} of {name}")


def look(path: Path) -> Tensor | None:
    """A few frames of a clip for people: uint8 [frames, 3, height, width]; None = unreadable."""
    try:
        return read_clips(path, 1 if is_image_name(path) else _FRAMES, 1, size=_SIZE).flatten(0, 1)
    except VideoError:
        return None


def _words(found: Sequence[Reasons]) -> list[Html]:
    """The sentence once for each clip, each word with what it adds to the clip's score.

    All clips of a sentence share one scale: where no word adds much, none is tinted much.
    """
    gains = [gain for why in found for gain in why.gains]
    scaled = iter(relative_values(torch.tensor(gains)) if gains else [])
    return [
        tag(
            "p",
            *(
                marked_word(word, signed(gain), next(scaled), f"“{word}” adds {signed(gain)}")
                for word, gain in zip(why.words, why.gains, strict=True)
            ),
            class_="words",
        )
        for why in found
    ]


def _unreadable(index: "FolderIndex") -> Html | None:
    """What is missing, without the path of the folder: pages are handed on."""
    told = [
        why.replace(str(index.root / name), name) for name, why in index.unreadable.items()
    ]
    if not told:
        return None
    rest = len(told) - _NAMED
    return tag(
        "section",
        tag("h2", f"{_count(len(told), 'file')} could not be read"),
        tag("ul", *(tag("li", why) for why in told[:_NAMED]), class_="unread"),
        tag("p", f"And {rest:,} more.", class_="note") if rest > 0 else None,
    )
