"""An explanation as a page and as the view that its script draws: whole, exact, safe."""

import base64
import hashlib
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from snpkit.errors import UserError
from snpkit.explore.explorer.page import explanation_page, write_explanation
from snpkit.explore.explorer.view import explanation_view
from tests.explore.explaining import noise, small_pipeline

CAPTION = "A red kite falls over the beach"


@pytest.fixture(scope="module")
def pipeline():
    return small_pipeline()


@pytest.fixture(scope="module")
def explained(pipeline):
    return pipeline.explain(CAPTION, noise())


def view_of(document):
    """The JSON that a page's script reads."""
    return json.loads(re.search(r'<script id="view"[^>]*>(.*?)</script>', document, re.S)[1])


def test_the_view_holds_what_was_explained(pipeline, explained):
    view = explanation_view(pipeline, explained, video="clip.mp4")
    assert json.loads(json.dumps(view)) == view
    assert [w["text"] for w in view["words"]] == explained.words
    assert all(CAPTION[w["start"] : w["end"]] == w["text"] for w in view["words"])
    assert [k["name"] for k in view["kinds"]] == ["corpus", "attention", "match", "counterfactual"]
    for kind, shown in zip(explained.kinds, view["kinds"], strict=True):
        assert (shown["values"], shown["raw"], shown["rule"]) == (kind.values, kind.raw, kind.rule)
    assert view["grid"] == [4, 4] and view["per_clip"] == 2 and len(view["frames"]) == 4
    assert view["score"] == explained.score
    means = np.mean([kind.values for kind in explained.kinds], axis=0)
    assert view["start"] == means.argmax()


def test_maps_keep_their_places_and_use_the_whole_scale(pipeline, explained):
    view = explanation_view(pipeline, explained)
    for place, word in enumerate(view["words"]):
        levels = np.frombuffer(base64.b64decode(word["map"]), np.uint8).reshape(2, 2, 4, 4)
        true = explained.relevance[place].numpy()
        scaled = (true - true.min()) / (true.max() - true.min())
        assert np.abs(levels / 255 - scaled).max() <= 0.5 / 255 + 1e-6


def test_frames_are_shown_as_they_are(pipeline):
    frames = torch.zeros(2, 2, 3, 32, 32, dtype=torch.uint8)
    frames[0, 1, 0] = 200
    view = explanation_view(pipeline, pipeline.explain("a red kite", frames))
    shown = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))), dtype=int)
        for url in view["frames"]
    ]
    assert [picture.shape for picture in shown] == [(32, 32, 3)] * 4
    assert np.abs(shown[1].mean((0, 1)) - [200, 0, 0]).max() < 10
    assert max(shown[other].max() for other in (0, 2, 3)) < 10


def test_the_policy_allows_this_script_alone(pipeline, explained, parse):
    document = explanation_page(pipeline, explained, video="clip.mp4")
    page = parse(document)
    script = re.search(r'<script type="module">(.*?)</script>', document, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert policy.split("; ") == [
        "default-src 'none'", "img-src data:", "style-src 'unsafe-inline'",
        f"script-src 'sha256-{digest}'",
    ]  # fmt: skip
    assert "clip.mp4" in page.words and len(document) < 600_000


def test_the_tables_hold_all_numbers(pipeline, explained, parse):
    page = parse(explanation_page(pipeline, explained))
    assert len(page.all("table")) == len(page.all("caption")) == 3
    rows = [a for a in page.all("th") if a.get("scope") == "row"]
    assert len(rows) == 7 + 7 + 4
    for row in explained.rows():
        assert f"{round(row['match_raw'], 2) + 0:.2f}".removesuffix(".00") in page.words
    for number in explained.kind("match").detail["similarity"].flatten().tolist():
        assert f"{number:.2f}" in page.words
    for value in explained.agreement.values():
        assert f"{value:.2f}" in page.words


def test_words_that_the_model_does_not_read_stay_in_the_caption(pipeline):
    words = ["red", "kite", "falls"] * 10
    view = explanation_view(pipeline, pipeline.explain(" ".join(words), noise()))
    assert len(view["words"]) == 28 and view["words"][-1]["end"] < len(view["caption"])


def test_a_word_that_the_model_never_saw_is_marked(pipeline):
    view = explanation_view(pipeline, pipeline.explain("a red 日 kite", noise()))
    assert [w["text"] for w in view["words"] if w["unknown"]] == ["日"]


def test_what_is_not_defined_is_a_dash(pipeline, parse):
    page = parse(explanation_page(pipeline, pipeline.explain("the", noise())))
    assert "— = not defined" in page.words
    assert page.words.count("—") >= 12


def test_nasty_captions_and_names_stay_text(pipeline, nasty, parse):
    for text in nasty:
        document = explanation_page(pipeline, pipeline.explain(text, noise()), video=text)
        page = parse(document)
        assert not page.all("img") and len(page.all("script")) == 2
        view = view_of(document)
        for word in view["words"]:
            assert view["caption"][word["start"] : word["end"]] == word["text"]


def test_it_is_written_whole_or_not_at_all(pipeline, explained, tmp_path, parse):
    path = tmp_path / "deep" / "out.html"
    write_explanation(path, pipeline, explained)
    assert parse(path.read_text(encoding="utf-8")).words.startswith("Which words matter")
    with pytest.raises(UserError, match="Cannot write"):
        write_explanation(path / "below.html", pipeline, explained)
