"""The page of a search: every hit with frames, score and reasons; text stays text."""

import json
import re

import pytest

from snpkit.errors import UserError
from snpkit.explore.explorer.search_page import search_page, write_search_page
from snpkit.explore.reasons import reasons
from tests.explore.explaining import noise_picture, small_pipeline

SENTENCE = "a red kite glides over the beach"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def pipeline():
    return small_pipeline(seed=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("some") / "clips"
    (folder / "deep").mkdir(parents=True)
    for i, name in enumerate(["a", "deep/b", "c", HOSTILE]):
        picture = noise_picture(i, 60 + 20 * i)
        picture.save(folder / f"{name}.png")
    (folder / "<script>alert(1)<script>.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture(scope="module")
def index(pipeline, folder):
    return pipeline.index(folder, cache=False)


def answers(pipeline, folder, *sentences, **options):
    found = pipeline.search(sentences, folder, cache=False, **options)
    return list(zip(sentences, found, strict=True))


def read(parse, document):
    """The page, and what its script shows: one view for each sentence."""
    page = parse(document)
    data = re.search(r'<script id="view"[^>]*>(.*?)</script>', document, re.S)[1]
    return page, json.loads(data)["searches"]


@pytest.mark.parametrize("candidates", [20, 0])
def test_every_hit_has_frames_score_and_reasons(pipeline, folder, index, parse, candidates):
    found = answers(pipeline, folder, SENTENCE, top_k=4, candidates=candidates)
    page, (view,) = read(parse, search_page(pipeline, index, found, reranked=candidates > 0))
    names = [hit.path.relative_to(index.root).as_posix() for hit in found[0][1]]
    columns = [index.names.index(name) for name in names]
    why = reasons(pipeline, SENTENCE, index, columns, reranked=candidates > 0)
    order = "reranked" if candidates else "matching"
    for place, (name, hit, reason, shown) in enumerate(
        zip(names, found[0][1], why, view["hits"], strict=True), start=1
    ):
        assert (shown["name"], len(shown["frames"])) == (name, 1)
        assert shown[order] == {"place": place, "score": hit.score}
        assert shown["matching"]["score"] == hit.matching
        assert [word["text"] for word in shown["words"]] == reason.words
        assert [word["gain"] for word in shown["words"]] == reason.gains
    assert view["reranked"] == (candidates > 0) == ("cross-modal pass" in page.words)


def test_the_clips_of_a_sentence_share_one_scale(pipeline, folder, index, parse):
    found = answers(pipeline, folder, SENTENCE, top_k=4)
    _, (view,) = read(parse, search_page(pipeline, index, found))
    words = [word for hit in view["hits"] for word in hit["words"]]
    most = max(1, *(word["gain"] for word in words))
    expected = [max(0, word["gain"]) / most for word in words]
    shares = [word["share"] for word in words]
    assert shares == pytest.approx(expected, abs=1e-5) and max(shares) > 0


@pytest.mark.parametrize("explained", [0, 1])
def test_only_the_first_hits_are_explained(pipeline, folder, index, parse, explained):
    found = answers(pipeline, folder, SENTENCE, top_k=4)
    _, (view,) = read(parse, search_page(pipeline, index, found, explained=explained))
    assert ["words" in hit for hit in view["hits"]] == [place < explained for place in range(4)]


def test_hostile_sentences_and_names_stay_text(pipeline, folder, index, parse, nasty):
    sentences = [f"a red kite {text}" for text in (HOSTILE, *nasty)]
    found = answers(pipeline, folder, *sentences, top_k=4)
    page, views = read(parse, search_page(pipeline, index, found))
    assert len(views) == len(sentences) and not page.all("img")
    assert views[0]["sentence"] == sentences[0]
    assert f"{HOSTILE}.png" in {hit["name"] for hit in views[0]["hits"]}
    assert "<script>alert(1)<script>.mp4" in page.words


def test_what_is_left_out_is_told_without_the_path_of_the_folder(pipeline, folder, index, parse):
    document = search_page(pipeline, index, answers(pipeline, folder, "kite " * 40 + "boat"))
    page, (view,) = read(parse, document)
    assert "1 file could not be read" in page.words
    assert "does not read that far" in view["told"] and view["told"].endswith("boat.")
    assert str(folder.parent) not in document


def test_a_clip_that_is_gone_by_now_is_still_told(pipeline, tmp_path, parse):
    for seed, name in enumerate("ab"):
        noise_picture(seed, 90).save(tmp_path / f"{name}.png")
    found = answers(pipeline, tmp_path, SENTENCE)
    (tmp_path / "a.png").unlink()
    index = pipeline.index(tmp_path, cache=False)
    _, (view,) = read(parse, search_page(pipeline, index, found))
    assert {hit["name"]: len(hit["frames"]) for hit in view["hits"]} == {"a.png": 0, "b.png": 1}


def test_a_twin_tower_is_explained_by_matching_alone(folder, parse):
    pipeline = small_pipeline(
        architecture="twin_tower", tasks=("text_mlm", "gvtm_text_video", "lvwm")
    )
    index = pipeline.index(folder, cache=False)
    page, (view,) = read(parse, search_page(pipeline, index, answers(pipeline, folder, SENTENCE)))
    assert "Matching alone" in page.words and "cross-modal" not in page.words
    assert not any("reranked" in hit for hit in view["hits"])


def test_it_is_written_whole_or_not_at_all(pipeline, folder, index, tmp_path):
    found = answers(pipeline, folder, SENTENCE)
    write_search_page(tmp_path / "new" / "found.html", pipeline, index, found)
    text = (tmp_path / "new" / "found.html").read_text(encoding="utf-8")
    assert text == search_page(pipeline, index, found) and text.endswith("</html>\n")
    with pytest.raises(UserError, match="Cannot write"):
        write_search_page(folder / "a.png" / "found.html", pipeline, index, found)
