"""Every explorer: a change is kept whole or not at all, and each question gets its answer."""

import json

import pytest

from snpkit.errors import UserError, VideoError
from snpkit.explore.explorer import (
    RetrievalExplorer,
    SharedNetworkExplorer,
    SignificanceExplorer,
)
from tests.explore.explaining import noise
from tests.explore.explorer.conftest import ask

CAPTION, OTHER = "a red kite falls over the beach", "the blue boat spins in a city at night"


def significance(pipeline, folder):
    return SignificanceExplorer(pipeline, CAPTION, noise())


def network(pipeline, folder):
    return SharedNetworkExplorer(pipeline, CAPTION, noise())


def retrieval(pipeline, folder):
    return RetrievalExplorer(pipeline, folder, CAPTION)


ALL = pytest.mark.parametrize("make", [significance, network, retrieval])


def text_of(explorer):
    return explorer.sentence if isinstance(explorer, RetrievalExplorer) else explorer.caption


def name_of_text(explorer):
    return "sentence" if isinstance(explorer, RetrievalExplorer) else "caption"


@ALL
def test_the_view_is_json_and_follows_the_state(make, pipeline, folder):
    explorer = make(pipeline, folder)
    assert json.loads(json.dumps(explorer.view)) == explorer.view
    before = explorer.view
    explorer.change(**{name_of_text(explorer): OTHER})
    assert explorer.view != before and text_of(explorer) == OTHER
    assert explorer.view["fields"][0]["value"] == OTHER


@ALL
def test_a_refused_change_leaves_everything_as_it_was(make, pipeline, folder):
    explorer = make(pipeline, folder)
    state, view = dict(explorer.state), explorer.view
    good = {name_of_text(explorer): OTHER}
    bad = {"results": 0} if "results" in state else {"clip": "no/such/video.mp4"}
    for wrong in ({name_of_text(explorer): "  "}, {name_of_text(explorer): 3}, good | bad,
                  {"nonsense": 1}, {"summary": "x"}, {"_past": 1}):  # fmt: skip
        with pytest.raises(UserError):
            explorer.change(**wrong)
        assert explorer.state == state and explorer.view is view


@ALL
def test_an_error_while_drawing_keeps_the_last_good_state(make, pipeline, folder, monkeypatch):
    explorer = make(pipeline, folder)
    state, view = dict(explorer.state), explorer.view
    monkeypatch.setattr(type(explorer), "draw", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        explorer.change(**{name_of_text(explorer): OTHER})
    assert explorer.state == state and explorer.view is view


@ALL
def test_every_question_is_answered_with_its_number(make, pipeline, folder, monkeypatch):
    explorer = make(pipeline, folder)
    name = name_of_text(explorer)
    assert ask(explorer, 7, set={name: OTHER}) == {}
    assert explorer.view["asked"] == 7 and text_of(explorer) == OTHER
    refused = ask(explorer, 8, set={name: " "})
    assert refused["at"] == name and "is empty; write at least one word" in refused["error"]
    assert explorer.view["asked"] == 7 and text_of(explorer) == OTHER
    assert ask(explorer, 9, undo=True) == {}
    assert text_of(explorer) == CAPTION and not explorer.view["undo"]
    assert ask(explorer, 10, save="html")["page"].startswith("<!doctype html>")
    assert "error" in ask(explorer, 11, set={"__class__": "x"})
    monkeypatch.setattr(type(explorer), "draw", lambda self: 1 / 0)
    assert "ZeroDivisionError" in ask(explorer, 12, set={name: OTHER})["error"]


@ALL
def test_undo_goes_back_step_by_step(make, pipeline, folder):
    explorer = make(pipeline, folder)
    name = name_of_text(explorer)
    for text in (OTHER, "one green ball slides to the left"):
        explorer.change(**{name: text})
    explorer.undo()
    assert text_of(explorer) == OTHER
    explorer.undo()
    explorer.undo()  # nothing is left to undo
    assert text_of(explorer) == CAPTION


@ALL
def test_what_is_shown_holds_a_page_a_summary_and_the_live_explorer(
    make, pipeline, folder, parse, monkeypatch
):
    shown = []
    monkeypatch.setattr("snpkit.explore.explorer.base.display", lambda d, raw: shown.append(d))
    explorer = make(pipeline, folder)
    explorer._ipython_display_()
    saved, live = shown
    assert set(saved) == {"text/html", "text/plain"}
    assert saved["text/plain"] == explorer.summary() == repr(explorer)
    assert list(live) == ["application/vnd.jupyter.widget-view+json"]
    assert 'sandbox="allow-scripts"' in saved["text/html"]


@ALL
def test_hostile_text_stays_text(make, pipeline, folder, parse, nasty):
    explorer = make(pipeline, folder)
    for text in nasty:
        explorer.change(**{name_of_text(explorer): f"red {text}"})
        page = parse(explorer.to_html())
        assert len(page.all("script")) == 2 and not page.all("img")
        assert "srcdoc" in explorer._saved() and "<script" not in explorer._saved()


@ALL
def test_closing_frees_the_widget(make, pipeline, folder):
    import ipywidgets

    before = set(ipywidgets.Widget.widgets)
    explorer = make(pipeline, folder)
    assert len(set(ipywidgets.Widget.widgets) - before) <= 2  # itself and its layout
    explorer.close()
    assert explorer.comm is None


def test_significance_counts_with_top_k_and_draws_masks(pipeline, folder):
    explorer = significance(pipeline, folder)
    before = explorer.explanation.values("corpus")
    explorer.top_k = 2
    after = explorer.explanation.values("corpus")
    assert sum(map(bool, after)) == 1 < sum(map(bool, before))  # "red" alone is left
    assert explorer.view["kinds"][0]["values"] == after
    explorer.mask_ratio, first = 0.5, None
    for _ in range(3):
        explorer.draw_mask()
        first = first or explorer.masks
    assert explorer.seed == 3 and explorer.masks != first
    assert explorer.view["masks"] == explorer.masks
    with pytest.raises(UserError, match=r"from 0.05 to 0.95, not 2"):
        explorer.mask_ratio = 2
    with pytest.raises(UserError, match="from 1 to 11, not 40"):
        explorer.top_k = 40


def test_significance_offers_changes_that_teach(pipeline, folder):
    explorer = significance(pipeline, folder)
    chips = {chip["label"].split(":")[0]: chip["set"] for chip in explorer.view["chips"]}
    assert set(chips) >= {"Play the clip backwards", "An unknown word"}
    explorer.change(**chips["An unknown word"])
    assert [w["text"] for w in explorer.view["words"] if w["unknown"]] == ["zebra"]
    explorer.undo()
    forwards = explorer.explanation.frames
    explorer.backwards = True
    assert (explorer.explanation.frames.flatten(0, 1) == forwards.flatten(0, 1).flip(0)).all()


def test_significance_scores_every_shipped_clip(pipeline):
    explorer = SignificanceExplorer(pipeline, CAPTION, "generated/test-000008.mp4")
    line = explorer.view["line"]
    (own,) = (one for one in line if one["own"])
    assert own["score"] == pytest.approx(explorer.explanation.score, abs=1e-4)
    assert len(line) > 40 and own["name"] == "generated/test-000008.mp4"


def test_significance_is_written_as_csv_and_page(pipeline, folder, tmp_path):
    import csv

    explorer = significance(pipeline, folder)
    explorer.export(tmp_path / "numbers.csv")
    rows = list(csv.DictReader((tmp_path / "numbers.csv").open(encoding="utf-8")))
    assert [row["word"] for row in rows] == explorer.words
    for kind in explorer.explanation.kinds:
        assert [float(row[kind.name]) for row in rows] == pytest.approx(kind.values)
    explorer.caption = "=cmd + @sum -1 kite"
    explorer.export(tmp_path / "numbers.csv")
    rows = list(csv.DictReader((tmp_path / "numbers.csv").open(encoding="utf-8")))
    assert all(row["word"][0] not in "=+-@" for row in rows)
    explorer.export(tmp_path / "page.HTML")
    assert (tmp_path / "page.HTML").read_text("utf-8").startswith("<!doctype html>")
    with pytest.raises(UserError, match=r"\.pdf"):
        explorer.export(tmp_path / "out.pdf")


def test_a_word_beyond_the_caption_is_refused(pipeline, folder):
    explorer = significance(pipeline, folder)
    explorer.word = 2
    assert explorer.view["start"] == 2
    with pytest.raises(UserError, match="no word 40; the words are 0 to 6"):
        explorer.word = 40
    explorer.caption = "a kite"
    assert explorer.word is None


def test_a_clip_brings_its_own_caption_along(pipeline):
    explorer = SignificanceExplorer(pipeline, video="test-000008")
    assert explorer.clip == "generated/test-000008.mp4"
    first = explorer.caption
    explorer.clip = "real/tree-hand.mp4"
    assert explorer.caption != first
    explorer.caption = CAPTION
    explorer.clip = "generated/test-000000.mp4"
    assert explorer.caption == CAPTION  # one's own text stays


def test_an_emptied_path_takes_a_shipped_clip_again(pipeline, folder):
    for explorer in (significance(pipeline, folder), network(pipeline, folder)):
        explorer.clip = str(folder / "a.png")
        explorer.clip = " "
        assert explorer.clip.startswith("generated/test-")


def test_the_network_shows_both_roles_and_proves_that_they_are_one(pipeline, folder):
    explorer = network(pipeline, folder)
    assert explorer.tokens[explorer.query] == "kite"
    for role, pairs in explorer.weights().items():
        assert sum(weight for _, weight in pairs) == pytest.approx(1, abs=1e-4), role
    assert list(explorer.weights()) == ["alone", "cross-modal"]
    assert "the very same objects" in explorer.proof(1) and explorer.layers == 2
    explorer.layer, explorer.head = 1, 0
    assert "layer 1, head 0" in explorer.summary()
    for name, value in (("layer", 2), ("head", 2), ("query", 40), ("layer", "x"),
                        ("layer", float("nan")), ("layer", True), ("layer", 0.5)):
        with pytest.raises(UserError, match=r"whole number from 0 to"):
            setattr(explorer, name, value)


def test_the_levels_are_the_weights(pipeline, folder):
    import base64

    import numpy as np

    explorer = network(pipeline, folder)
    for role, one in (("alone", explorer.maps.alone), ("cross-modal", explorer.maps.together)):
        levels = np.frombuffer(base64.b64decode(explorer.view["roles"][role]["weights"]), np.uint8)
        assert np.abs(levels / 255 - one.weights.numpy().ravel()).max() <= 0.5 / 255 + 1e-6


def test_what_was_found_is_that_of_a_search_with_its_reasons(pipeline, folder):
    from snpkit.explore.reasons import reasons

    explorer = retrieval(pipeline, folder)
    (hits,) = pipeline.search(CAPTION, folder, cache=False)
    assert [result.path for result in explorer.found] == [hit.path for hit in hits]
    first = explorer.found[0]
    column = explorer.index.names.index(first.name)
    (why,) = reasons(pipeline, CAPTION, explorer.index, [column])
    assert first.reasons.gains == pytest.approx(why.gains, abs=1e-4)
    shown = {hit["name"]: hit for hit in explorer.view["hits"]}
    assert [word["gain"] for word in shown[first.name]["words"]] == first.reasons.gains
    explorer.reranking = False
    (plain,) = pipeline.search(CAPTION, folder, candidates=0, cache=False)
    assert [result.path for result in explorer.found] == [hit.path for hit in plain]
    assert "1 could not be read" in explorer.view["told"]


def test_a_clip_is_opened_on_the_stage_and_closed_by_another_search(pipeline, folder):
    explorer = retrieval(pipeline, folder)
    explorer.opened = "a.png"
    assert explorer.view["opened"]["video"] == "a.png"
    assert explorer.view["opened"]["caption"] == CAPTION
    with pytest.raises(UserError, match=r"no clip '\.\./secret.mp4'"):
        explorer.opened = "../secret.mp4"
    explorer.sentence = OTHER
    assert explorer.opened == "" and "opened" not in explorer.view


def test_words_that_no_model_knows_are_refused_or_named(pipeline, folder):
    explorer = retrieval(pipeline, folder)
    with pytest.raises(UserError, match="knows no word of"):
        explorer.sentence = "日本"
    explorer.sentence = "a red 日 kite"
    assert "never seen these words: 日" in explorer.view["told"]


@pytest.mark.parametrize("folder_", ["no/such/folder", "~nobody/x", "\0", 3])
def test_a_folder_that_cannot_be_read_is_refused(pipeline, folder, folder_):
    explorer = retrieval(pipeline, folder)
    with pytest.raises((UserError, VideoError)):
        explorer.folder = folder_
    assert explorer.folder == str(folder)


def test_a_twin_tower_has_one_role_and_no_reranking(folder):
    from tests.explore.explaining import small_pipeline

    twin = small_pipeline(architecture="twin_tower", tasks=("text_mlm", "gvtm_text_video", "lvwm"))
    assert list(network(twin, folder).view["roles"]) == ["alone"]
    explorer = retrieval(twin, folder)
    assert not explorer.reranking and not explorer.view["can_rerank"]
    assert all(word["with_video"] is None for word in significance(twin, folder).view["words"])
