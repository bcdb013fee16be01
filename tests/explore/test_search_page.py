"""The page of a search: every hit with frames, score and reasons; text stays text."""

import pytest

from snpkit.errors import UserError
from snpkit.explore.reasons import reasons
from snpkit.explore.search_page import search_page, write_search_page
from snpkit.explore.widgets.retrieval_view import number, signed
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
    page = parse(document)
    assert not page.unbalanced and not page.open and not page.all("script")
    assert all(image["src"].startswith("data:image/jpeg") for image in page.all("img"))
    return page


@pytest.mark.parametrize("candidates", [20, 0])
def test_every_hit_has_frames_score_and_reasons(pipeline, folder, index, parse, candidates):
    found = answers(pipeline, folder, SENTENCE, top_k=4, candidates=candidates)
    page = read(parse, search_page(pipeline, index, found, reranked=candidates > 0))
    names = [hit.path.relative_to(index.root).as_posix() for hit in found[0][1]]
    assert [image["alt"] for image in page.all("img")] == [f"1 frame of {name}" for name in names]
    columns = [index.names.index(name) for name in names]
    why = reasons(pipeline, SENTENCE, index, columns, reranked=candidates > 0)
    said = "".join(page.words.split())
    for place, (name, hit, reason) in enumerate(
        zip(names, found[0][1], why, strict=True), start=1
    ):
        assert f"{place}.{name}score{number(hit.score)}".replace(" ", "") in said
        words = zip(reason.words, reason.gains, strict=True)
        assert "".join(f"{word}{signed(gain)}" for word, gain in words) in said
    assert ("cross-modal pass" in page.words) == (candidates > 0)


def test_the_clips_of_a_sentence_share_one_scale(pipeline, folder, index, parse):
    found = answers(pipeline, folder, SENTENCE, top_k=4)
    page = read(parse, search_page(pipeline, index, found))
    names = [hit.path.relative_to(index.root).as_posix() for hit in found[0][1]]
    columns = [index.names.index(name) for name in names]
    gains = [gain for why in reasons(pipeline, SENTENCE, index, columns) for gain in why.gains]
    shown = [float(a["style"].removeprefix("--s:")) for a in page.all("span")
             if a.get("class") == "word on"]  # fmt: skip
    expected = [max(0, gain) / max(1, *gains) for gain in gains]
    assert shown == pytest.approx(expected, abs=0.006) and max(shown) > 0


def test_no_hit_needs_to_be_explained(pipeline, folder, index, parse):
    found = answers(pipeline, folder, SENTENCE)
    page = read(parse, search_page(pipeline, index, found, explained=0))
    assert not [a for a in page.all("p") if a.get("class") == "words"]


def test_only_the_first_hits_are_explained(pipeline, folder, index, parse):
    found = answers(pipeline, folder, SENTENCE, top_k=4)
    page = read(parse, search_page(pipeline, index, found, explained=1))
    assert len([a for a in page.all("p") if a.get("class") == "words"]) == 1
    assert len(page.all("img")) == 4


def test_hostile_sentences_and_names_stay_text(pipeline, folder, index, parse, nasty):
    sentences = [f"a red kite {text}" for text in (HOSTILE, *nasty)]
    found = answers(pipeline, folder, *sentences, top_k=4)
    document = search_page(pipeline, index, found)
    page = read(parse, document)
    assert len(page.all("img")) == 4 * len(sentences)
    for text in (f"“a red kite {HOSTILE}”", f"{HOSTILE}.png", "<script>alert(1)<script>.mp4"):
        assert text in page.words
    for name, _ in page.elements:
        assert name in {"html", "head", "meta", "title", "style", "body", "main", "header", "h1",
                        "h2", "h3", "p", "section", "ol", "ul", "li", "div", "span", "small", "b",
                        "i", "img", "footer"}  # fmt: skip


def test_what_is_left_out_is_told_without_the_path_of_the_folder(pipeline, folder, index, parse):
    document = search_page(pipeline, index, answers(pipeline, folder, "kite " * 40 + "boat"))
    page = read(parse, document)
    assert "1 file could not be read" in page.words
    assert "does not read that far" in page.words and "boat." in page.words
    assert str(folder.parent) not in document


def test_a_clip_that_is_gone_by_now_is_still_told(pipeline, tmp_path, parse):
    for seed, name in enumerate("ab"):
        noise_picture(seed, 90).save(tmp_path / f"{name}.png")
    found = answers(pipeline, tmp_path, SENTENCE)
    (tmp_path / "a.png").unlink()
    page = read(parse, search_page(pipeline, pipeline.index(tmp_path, cache=False), found))
    assert "a.png" in page.words and "cannot be read any more" in page.words
    assert len(page.all("img")) == 1


def test_a_twin_tower_is_explained_by_matching_alone(folder, parse):
    pipeline = small_pipeline(
        architecture="twin_tower", tasks=("text_mlm", "gvtm_text_video", "lvwm")
    )
    index = pipeline.index(folder, cache=False)
    page = read(parse, search_page(pipeline, index, answers(pipeline, folder, SENTENCE)))
    assert "Matching alone" in page.words and "Cross-modal" not in page.words


def test_it_is_written_whole_or_not_at_all(pipeline, folder, index, tmp_path):
    found = answers(pipeline, folder, SENTENCE)
    write_search_page(tmp_path / "new" / "found.html", pipeline, index, found)
    text = (tmp_path / "new" / "found.html").read_text(encoding="utf-8")
    assert text == search_page(pipeline, index, found) and text.endswith("</html>\n")
    with pytest.raises(UserError, match="Cannot write"):
        write_search_page(folder / "a.png" / "found.html", pipeline, index, found)
