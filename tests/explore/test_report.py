"""The report: everything in it, nothing but it, and never more than 3 MB."""

import math

import pytest
import torch

from snpkit.errors import UserError
from snpkit.evaluation.metrics import chance_metrics
from snpkit.explore import report
from snpkit.explore.examples import Answer, Example
from snpkit.explore.report import write_report

FACTS = {
    "command": "snpkit pretrain <laptop> --seed 0", "seed": 0, "peak memory": "2.1 GB",
    "unreadable videos": ["a.mp4", "<b>.mp4"], "resumed": False, "GPU": None, "parameters": 1234567,
}  # fmt: skip


def metrics_of(r10, **more):
    values = {"r1": 11.5, "r5": 40.25, "r10": r10, "median_rank": 7.5, "mean_rank": 1234.5}
    chance = chance_metrics(256)
    both = {"text_to_video": values, "video_to_text": values | {"r1": 12.5}}
    return {
        "matching": both, **more, "queries": 256,
        "chance": {"text_to_video": chance, "video_to_text": chance},
    }  # fmt: skip


def frames(seed, count=3, size=16):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def example(caption, rank=2, **options):
    answers = [Answer(i + 1, frames(i, **options), 5.5 - i, i + 1 == rank, f"{caption} {i}")
               for i in range(3)]  # fmt: skip
    if rank > 3:
        answers.append(Answer(rank, frames(9, **options), None, True, caption))
    return Example(caption, answers, rank)


HISTORY = [
    {
        "step": step,
        "loss": 9.0 / step if step != 3 else None,
        "losses": {"text_mlm": 6.0 / step, "gvtm_text_video": 4.0 / step},
    }
    for step in range(1, 20)
] + [{"step": s, "evaluation": {"matching.text_to_video.r10": float(s)}} for s in (10, 19)]


@pytest.fixture
def write(tmp_path, table):
    def write_it(**changes):
        content = {
            "title": "Laptop run", "history": HISTORY, "metrics": metrics_of(61.25),
            "examples": [example("a red kite falls"), example("a boat", rank=14)],
            "significance": table, "facts": FACTS, "chance": {"gvtm_text_video": math.log(64)},
        }  # fmt: skip
        path = tmp_path / "deep" / "report.html"
        write_report(path, **(content | changes))
        return path.read_text(encoding="utf-8")

    return write_it


def test_the_curve_of_validation_has_its_own_line_of_chance(write, parse):
    page = parse(write(validation=128))
    assert "of the validation split during the run, not on the test split above" in page.words
    (said,) = (a["aria-label"] for a in page.all("svg") if "R@10 of" in a.get("aria-label", ""))
    assert "a random order reaches R@10 of 7.8 %" in said  # 3.9 of the 256 test clips


def test_the_report_says_what_was_measured(write, parse):
    page = parse(write())
    assert page.words.startswith("Laptop run")
    assert "11.5 % and among the first ten in 61.2 % of 256 held-out captions" in (
        page.words.replace("\xa0", " ")
    )
    for shown in ("61.2", "7.5", "1,234.5", "0.4", "3.9", "128.5", "12.5"):
        assert shown in page.words, shown
    assert "matching" in page.words
    assert "re-ranked" not in page.words
    names = [name for name, _ in page.elements]
    assert names.count("h1") == 1
    assert names.count("h2") == 5
    assert names.count("main") == names.count("table") == names.count("caption") == 1
    scopes = {attributes.get("scope") for attributes in page.all("th")}
    assert scopes == {"col", "row", "rowgroup"}


def test_every_column_of_the_metrics_has_its_row(write, parse):
    extra = {name: metrics_of(77.75)["matching"] for name in ("reranked", "dual_softmax")}
    page = parse(write(metrics=metrics_of(61.25, **extra)))
    assert "among the first ten in 77.8 %" in page.words.replace("\xa0", " ")
    rows = [a for a in page.all("th") if a.get("scope") == "row"]
    assert len(rows) == 2 * 4
    assert "dual softmax" in page.words


def test_every_loss_has_a_curve_with_alt_text(write, parse):
    page = parse(write())
    labels = [attributes["aria-label"] for attributes in page.all("svg")]
    assert all(labels)
    for start in ("text_mlm goes from 6 to", "gvtm_text_video goes from 4 to", "loss goes from 9"):
        assert any(start in label for label in labels), start
    assert any("R@10 goes from 10.0 % to 19.0 %" in label for label in labels)
    assert sum("Most frequent" in label for label in labels) == 4
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_examples_show_frames_and_mark_the_true_video(write, parse):
    page = parse(write())
    images = page.all("img")
    assert len(images) == 3 + 4
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in images)
    assert "a red kite falls 1" in images[1]["alt"]
    marked = [a for a in page.all("li") if a.get("class") == "true"]
    assert len(marked) == page.words.count("✓ true video") == 2
    assert "True video: rank 2." in page.words
    assert "True video: rank 14." in page.words
    assert page.words.count("5.50") == 2
    assert "noun 1" in page.words  # kite, the commonest word of the table


def test_facts_are_shown_as_they_are(write, parse):
    page = parse(write())
    assert "command snpkit pretrain <laptop> --seed 0" in page.words.replace("command", "command ")
    for shown in ("a.mp4, <b>.mp4", "1,234,567", "not known", "2.1 GB"):
        assert shown in page.words
    assert len(page.all("dt")) == len(page.all("dd")) == len(FACTS)


def test_nasty_text_stays_text_everywhere(write, parse, nasty):
    history = [{"step": i, "losses": dict.fromkeys(nasty[:3], 1.0)} for i in (1, 2)]
    facts = {text: [text, text] for text in nasty}
    examples = [example(text, size=8) for text in nasty]
    page = parse(write(title=nasty[9], examples=examples, facts=facts, history=history))
    assert page.all("html") == [{"lang": "en"}]
    assert {name for name, _ in page.elements if name.startswith("s")} == {
        "span", "section", "small", "strong", "style", "svg",
    }  # fmt: skip
    assert len(page.all("img")) == 3 * len(nasty)  # none came from a caption
    for text in ("<img src=x onerror=alert(1)>", "</style></svg></title>", "$x_{y}$"):
        assert text in page.words


def test_nothing_to_show_is_said(write, parse, table):
    empty = type(table)({}, 10)
    page = parse(write(history=[], examples=[], significance=empty, facts={}))
    assert "The run logged no loss." in page.words
    assert "No examples are shown." in page.words
    assert "holds no words" in page.words
    lost = [{"step": 1, "loss": None, "losses": {"text_mlm": None}}]
    assert "The run logged no loss." in parse(write(history=lost)).words


def test_a_long_run_with_big_frames_stays_below_three_megabytes(write, parse):
    noise = [example(f"caption {i}", size=256) for i in range(12)]  # incompressible on purpose
    losses = {"text_mlm": 1.0}
    history = [{"step": i, "loss": 1 + 1 / i, "losses": losses} for i in range(1, 5000)]
    document = write(examples=noise, history=history)
    assert len(document.encode()) <= report.LIMIT == 3_000_000
    page = parse(document)
    shown = len(page.all("article"))
    assert 0 < shown < 12
    assert f"{12 - shown} more were left out" in page.words


def test_the_number_of_significant_words_is_told(write, parse, table):
    words = parse(write()).words
    assert "Of 36 content words in the training captions the 20 most frequent count as" in words
    wide = type(table)(table.entries, 300)
    words = parse(write(significance=wide, history=[], examples=[])).words
    assert "All 36 content words of the training captions count as significant" in words


def test_it_is_written_whole_or_not_at_all(write, tmp_path):
    (tmp_path / "deep").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="Cannot write"):
        write()
