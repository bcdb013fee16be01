"""The report of a run: one HTML file that needs nothing beside it and no network."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snpkit.evaluation.metrics import chance_metrics
from snpkit.explore.examples import Answer, Example
from snpkit.explore.page import Html, film_strip, join, page, tag
from snpkit.explore.plots import (
    PART_COLOURS,
    Picture,
    evaluation_series,
    loss_curves,
    loss_series,
    part_shares,
    recall_curves,
    to_svg,
    top_words,
    word_frequencies,
)
from snpkit.explore.plots.style import tidy_number
from snpkit.explore.word_strip import word_legend, word_strip
from snpkit.files import write_text
from snpkit.language.significance import SignificanceTable

LIMIT = 3_000_000  # bytes of a report
_COLUMNS = {"r1": "R@1 %", "r5": "R@5 %", "r10": "R@10 %", "median_rank": "median rank",
            "mean_rank": "mean rank"}  # fmt: skip
_DIRECTIONS = {"text_to_video": "Text to video", "video_to_text": "Video to text"}
_SCORES = {
    "matching": "matching",
    "reranked": "re-ranked",
    "dual_softmax": "dual softmax",
    "chance": "chance",
}


def write_report(
    path: str | Path,
    *,
    title: str,
    history: Iterable[Mapping[str, Any]],
    metrics: Mapping[str, Any],
    examples: Sequence[Example],
    significance: SignificanceTable,
    facts: Mapping[str, object],
    chance: Mapping[str, float] | None = None,
    validation: int | None = None,
) -> None:
    """Write the report of a run as one self-contained HTML file of at most 3 MB, atomically.

    Args:
        history: the lines of the run's history.jsonl.
        metrics: what `evaluate_retrieval` returns.
        examples: searches to show; fewer are shown if the file would grow too large.
        significance: the table that the run used.
        facts: name -> value, shown as they are: seed, command, machine, time, peak memory, videos
            that could not be read ...
        chance: loss name -> its value when guessing, drawn as a line.
        validation: captions of the validation split that the run was measured on as it went.

    Raises:
        UserError: the file cannot be written.
    """
    head = join(_header(title, metrics), _section("How well it finds", _metrics(metrics)))
    rest = join(
        _section("How it learned", _losses(list(history), chance or {}, validation)),
        _section("Which words matter", _significance(significance)),
        _section("Facts", _facts(facts)),
        tag("footer", "Written by snpkit. This file is complete: it loads nothing."),
    )
    shown, quality = len(examples), 82
    while True:
        found = _section("What it finds", _examples(examples, shown, significance, quality))
        document = page(title, tag("main", join(head, found, rest)))
        if len(document.encode()) <= LIMIT or not shown:
            break
        shown, quality = (shown, 60) if quality == 82 else (shown // 2, 60)
    write_text(path, document)


def _section(heading: str, *content: Html) -> Html:
    return tag("section", tag("h2", heading), *content)


def _header(title: str, metrics: Mapping[str, Any]) -> Html:
    best = metrics.get("reranked") or metrics["matching"]
    found, chance = best["text_to_video"], metrics["chance"]["text_to_video"]
    lede = tag(
        "p",
        "Asked with a sentence, the model puts the right video first in ",
        tag("strong", _percent(found["r1"])),
        " and among the first ten in ",
        tag("strong", _percent(found["r10"])),
        f" of {metrics['queries']:,} held-out captions. A random order would reach "
        f"{_percent(chance['r1'])} and {_percent(chance['r10'])}.",
        class_="lede",
    )
    return tag("header", tag("p", "snpkit report", class_="kicker"), tag("h1", title), lede)


def _percent(value: float) -> str:
    return f"{value:.1f}\N{NO-BREAK SPACE}%"


def _metrics(metrics: Mapping[str, Any]) -> Html:
    head = tag("tr", tag("th", "scores", scope="col"),
               *(tag("th", name, scope="col") for name in _COLUMNS.values()))  # fmt: skip
    groups = [
        tag(
            "tbody",
            tag("tr", tag("th", label, scope="rowgroup", colspan=len(_COLUMNS) + 1)),
            *(
                _metric_row(name, metrics[key][direction], key == "chance")
                for key, name in _SCORES.items()
                if key in metrics
            ),
        )
        for direction, label in _DIRECTIONS.items()
    ]
    about = f"Retrieval over {metrics['queries']:,} captions; higher R@K, lower ranks are better."
    note = (
        "R@K: queries whose true item is among the first K. Equal scores share the mean of their "
        "ranks. Matching compares captions and videos by dot products; re-ranking reads the best "
        "candidates of each query again, words and clips together."
    )
    table = tag("table", tag("caption", about), tag("thead", head), *groups)
    return join(tag("div", table, class_="wide", tabindex=0), tag("p", note, class_="note"))


def _metric_row(name: str, values: Mapping[str, float], is_chance: bool) -> Html:
    cells = []
    for key in _COLUMNS:
        if key.startswith("r"):
            width = f"width:{min(max(values[key], 0), 100):.1f}%"
            bar = tag("span", tag("i", style=width), class_="bar", aria_hidden="true")
            cells.append(tag("td", f"{values[key]:.1f}", bar))
        else:
            cells.append(tag("td", f"{values[key]:,.1f}"))
    row_class = "chance" if is_chance else None
    return tag("tr", tag("th", name, scope="row"), *cells, class_=row_class)


def _losses(
    history: Sequence[Mapping[str, Any]], chance: Mapping[str, float], validation: int | None
) -> Html:
    series = {n: s for n, s in loss_series(history).items() if any(map(math.isfinite, s[1]))}
    if not series:
        return tag("p", "The run logged no loss.")
    charts = [
        _chart(loss_curves({name: one}, chance=chance), f"loss{place}")
        for place, (name, one) in enumerate(series.items())
    ]
    note = "Every loss of the run: faint as logged, strong as averaged over neighbouring steps."
    if any(name in chance for name in series):
        note += " Dashed: what guessing gives."
    recalls = evaluation_series(history)
    if recalls and len(next(iter(recalls.values()))[0]) > 1:
        # Not the test split: its chance is another one.
        line = chance_metrics(validation)["r10"] if validation else None
        charts.append(_chart(recall_curves(recalls, chance=line), "recall"))
        of = f"the {validation:,} captions of the validation split" if validation else "other clips"
        note += f" Last: text to video on {of} during the run, not on the test split above."
    return join(tag("p", note), tag("div", *charts, class_="charts"))


def _chart(figure: Picture, name: str) -> Html:
    # A little larger than drawn: text of 8 points comes out at the size of the page's notes.
    width = f"max-width:{figure.get_figwidth() * 7.4:.1f}rem"
    return tag("figure", Html(to_svg(figure, name)), style=width)


def _examples(
    examples: Sequence[Example], shown: int, table: SignificanceTable, quality: int
) -> Html:
    if not shown:
        return tag("p", "No examples are shown.")
    intro = (
        "Captions the model never saw, and the videos it puts first. The true video is framed and "
        "says so; where it is not among the first, it follows with its rank."
    )
    left_out = None
    if shown < len(examples):
        left_out = tag("p", f"{len(examples) - shown} more were left out to keep this file small.",
                       class_="note")  # fmt: skip
    articles = (_example(example, table, quality) for example in examples[:shown])
    return join(tag("p", intro), word_legend(table), *articles, left_out)


def _example(example: Example, table: SignificanceTable, quality: int) -> Html:
    rank = f"True video: rank {tidy_number(example.rank)}."
    return tag(
        "article",
        tag("h3", *word_strip(example.caption, table), class_="words"),
        tag("p", rank, class_="note"),
        tag("ol", *(_answer(answer, quality) for answer in example.answers), class_="answers"),
        class_="example",
    )


def _answer(answer: Answer, quality: int) -> Html:
    alt = f"{len(answer.frames)} frames of the video at place {answer.place}"
    alt += f", whose caption is: {answer.caption}" if answer.caption else ""
    score = None
    if answer.score is not None:
        score = tag("span", f"{answer.score:.2f}", class_="score", title="score")
    mark = tag("span", " ✓ true video", class_="mark") if answer.is_true else None
    text = tag(
        "div",
        score,
        tag("span", f"{answer.place}", class_="place"),
        mark,
        tag("p", answer.caption) if answer.caption else None,
    )
    strip = film_strip(answer.frames, alt, quality=quality)
    return tag("li", strip, text, class_="true" if answer.is_true else None)


def _significance(table: SignificanceTable) -> Html:
    entries = list(table.entries.values())
    if not entries:
        return tag("p", "The significance table holds no words.")
    chosen = (
        f"Of {len(entries):,} content words in the training captions the "
        f"{table.top_k:,} most frequent count as significant."
        if table.top_k < len(entries)
        else f"All {len(entries):,} content words of the training captions count as "
        f"significant, as there may be up to {table.top_k:,}."
    )
    text = (
        f"{chosen} The masks of pre-training fall on them first, and each video is matched with "
        "them."
    )
    significant = entries[: table.top_k]
    parts = [part for part in PART_COLOURS if any(part in entry.parts for entry in significant)]
    charts = (_chart(top_words(significant, part), f"top-{part.lower()}") for part in parts)
    spread = (
        _chart(word_frequencies(entries, table.top_k), "zipf"),
        _chart(part_shares(entries, table.top_k), "parts"),
    )
    return join(
        tag("p", text),
        tag("div", *charts, class_="charts"),
        tag("div", *spread, class_="charts wide-ones"),
    )


def _facts(facts: Mapping[str, object]) -> Html:
    rows = (join(tag("dt", name), tag("dd", _fact(value))) for name, value in facts.items())
    return tag("dl", *rows, class_="facts")


def _fact(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not known"}[value]
    if isinstance(value, int | float):
        return tidy_number(value)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
