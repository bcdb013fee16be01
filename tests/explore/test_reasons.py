"""Reasons of a search: they explain the very score that orders the hits, word by word."""

import pytest
import torch

from snpkit.errors import UserError
from snpkit.evaluation.encoding import encode_videos
from snpkit.evaluation.search import FolderIndex, search
from snpkit.explore.explanation import read_caption
from snpkit.explore.reasons import Reasons, reasons
from snpkit.explore.substitution import exchange_words
from tests.explore.explaining import noise, small_pipeline

SENTENCE = "A red Kite glides over the beach"


@pytest.fixture(scope="module")
def pipeline():
    return small_pipeline(seed=4)


def index_of(pipeline, tmp_path, videos=5):
    encoded = encode_videos(pipeline.model, [(noise(i), None) for i in range(videos)])
    return FolderIndex(tmp_path, [f"{i}.mp4" for i in range(videos)], encoded, {})


@pytest.mark.parametrize("reranked", [False, True])
def test_the_score_is_the_one_that_orders_the_hits(pipeline, tmp_path, reranked):
    index = index_of(pipeline, tmp_path)
    candidates = 5 if reranked else 0
    hits = search(pipeline.model, pipeline.tokenizer, [SENTENCE], index, candidates=candidates)[0]
    columns = [index.names.index(hit.path.name) for hit in hits]
    found = reasons(pipeline, SENTENCE, index, columns, reranked=reranked)
    assert [r.score for r in found] == pytest.approx([hit.score for hit in hits], abs=1e-4)


@pytest.mark.parametrize("reranked", [False, True])
def test_a_gain_is_the_score_lost_to_words_in_its_place(pipeline, tmp_path, reranked):
    """Against a loop over single captions: one pass per exchanged word."""
    model, index = pipeline.model, index_of(pipeline, tmp_path)
    (found,) = reasons(pipeline, SENTENCE, index, [2], reranked=reranked, guesses=3)
    assert found.words == ["A", "red", "Kite", "glides", "over", "the", "beach"]
    batch, _, _ = read_caption(pipeline.tokenizer, SENTENCE)
    swap = exchange_words(model, pipeline.tokenizer, batch, pipeline.table, 3)
    features, tokens = index.videos.clip_features[2:3], index.videos.clip_tokens[2:3]

    def score(row):
        ids, mask = swap.input_ids[row : row + 1], swap.attention_mask[row : row + 1]
        with torch.no_grad():
            value = model.match(model.encode_text(ids, mask).pooled, features)[0, 0]
            return (value + model.cross_match(ids, mask, tokens)[0] if reranked else value).item()

    for word, gain in enumerate(found.gains):
        first = 1 + 4 * word  # with [MASK]; the guesses follow
        others = [score(first + 1 + guess) for guess in range(3)]
        assert gain == pytest.approx(score(0) - sum(others) / 3, abs=1e-4)


def test_a_twin_tower_explains_its_matching_score(tmp_path):
    pipeline = small_pipeline(
        architecture="twin_tower", tasks=("text_mlm", "gvtm_text_video", "lvwm")
    )
    index = index_of(pipeline, tmp_path)
    plain = reasons(pipeline, SENTENCE, index, [0], reranked=False)
    assert reasons(pipeline, SENTENCE, index, [0], reranked=True) == plain


def test_raising_words_come_strongest_first():
    found = Reasons(["a", "red", "kite", "falls"], [0.1, 2.0, 3.0, -4.0], 7.0)
    assert found.raising() == [("kite", 3.0), ("red", 2.0)]
    assert found.raising(most=1) == [("kite", 3.0)]
    assert found.raising(least=2.5) == [("kite", 3.0)]


def test_bad_input_is_refused(pipeline, tmp_path):
    index = index_of(pipeline, tmp_path)
    with pytest.raises(UserError, match="no clip 5"):
        reasons(pipeline, SENTENCE, index, [5])
    with pytest.raises(UserError, match="no clip -1"):
        reasons(pipeline, SENTENCE, index, [-1])
    with pytest.raises(UserError):
        reasons(pipeline, " ", index, [0])
    assert reasons(pipeline, SENTENCE, index, []) == []
