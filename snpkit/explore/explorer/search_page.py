"""The answers of a search as one HTML file: frames of each clip, and why it was found."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snpkit.explore.explanation import read_caption
from snpkit.explore.explorer.page import view_page
from snpkit.explore.explorer.view import View, look, word_gains
from snpkit.explore.page import Html, tag
from snpkit.explore.plots.style import clean
from snpkit.explore.reasons import reasons
from snpkit.files import write_text

if TYPE_CHECKING:
    from snpkit.evaluation.search import FolderIndex, Hit
    from snpkit.explore.protocols import TrainedModel

_NAMED = 100  # unreadable files that are named


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
    views = [_view(pipeline, index, *one, reranked, explained) for one in answers]
    where = f"{_count(len(index.names), 'clip')} below the folder “{index.root.name}”"
    order = (
        "The clips that match best, by one vector of the sentence and one of each of their parts, "
        "were read again together with the sentence by the cross-modal pass. Score = cross-modal "
        "score + matching score"
        if reranked
        else "Matching alone: score = matching score of the sentence's vector with the clip's"
    )
    how = (
        f"{order}; only scores of one sentence can be compared. The number under a word is what it "
        "adds to the score of that clip: what is lost when other words take its place. All clips "
        "of a sentence share a scale."
    )
    about = [tag("p", how, class_="note"), _unreadable(index)]
    title = f"Searched for in {where}"
    return view_page(title, {"name": "searches", "searches": views}, below=about)


def _view(
    pipeline: "TrainedModel",
    index: "FolderIndex",
    asked: str,
    hits: "Sequence[Hit]",
    reranked: bool,
    explained: int,
) -> View:
    """One sentence and its hits, as `retrieval.js` shows them."""
    sentence = asked.encode("utf-8", "replace").decode()  # lone surrogates are no text
    names = [hit.path.relative_to(index.root).as_posix() for hit in hits]
    column = {name: place for place, name in enumerate(index.names)}
    columns = [column[name] for name in names[:explained]]
    words = word_gains(reasons(pipeline, sentence, index, columns, reranked=reranked))
    cards: list[dict[str, Any]] = []
    for place, (name, hit) in enumerate(zip(names, hits, strict=True)):
        card = {"name": clean(name), "frames": look(hit.path), "true": False}
        card["matching"] = {"place": place + 1, "score": hit.matching}
        if reranked:
            card["reranked"] = {"place": place + 1, "score": hit.score}
        if place < len(words):
            card["words"] = words[place]
        cards.append(card)
    _, _, left_out = read_caption(pipeline.tokenizer, sentence)
    told = f"The model does not read that far; left out at the end: {' '.join(left_out)}."
    return {
        "name": "retrieval", "sentence": clean(sentence), "hits": cards, "results": len(cards),
        "reranked": reranked, "can_rerank": False, "told": clean(told) if left_out else "",
    }  # fmt: skip


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _unreadable(index: "FolderIndex") -> Html | None:
    """What is missing, without the path of the folder: pages are handed on."""
    told = [why.replace(str(index.root / name), name) for name, why in index.unreadable.items()]
    if not told:
        return None
    rest = len(told) - _NAMED
    return tag(
        "section",
        tag("h2", f"{_count(len(told), 'file')} could not be read"),
        tag("ul", *(tag("li", why) for why in told[:_NAMED])),
        tag("p", f"And {rest:,} more.", class_="note") if rest > 0 else None,
    )
