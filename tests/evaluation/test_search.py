"""Searching a folder: what is left out, and the order of the answers."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snpkit.errors import UserError, VideoError
from snpkit.evaluation.search import best_places, encode_folder, search
from snpkit.language.tokenizer import train_tokenizer
from tests.evaluation.folders import COLOURS, Colours

TOKENIZER = train_tokenizer(COLOURS, 60)


class Searched(Colours):
    """A word and a video of its colour share an axis; blue wins when crossed."""

    def encode_text(self, input_ids, attention_mask, lengths=None):
        words = TOKENIZER.convert_tokens_to_ids(list(COLOURS))
        return SimpleNamespace(
            pooled=torch.stack([(input_ids == word).any(1) for word in words], dim=1).float()
        )

    def match(self, text, clip_features):
        return torch.einsum("th,vch->tvc", text, clip_features).logsumexp(-1)

    def cross_match(self, input_ids, attention_mask, clip_tokens, lengths=None):
        self.crossed = [*getattr(self, "crossed", []), len(input_ids)]
        return clip_tokens[:, 0, 2]


@pytest.fixture
def model():
    return Searched()


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_what_is_no_video_is_left_out_and_named(folder, model, batch_size):
    (folder / "broken.mp4").write_bytes(b"not a video")
    (folder / ".hidden.png").write_bytes((folder / "red.png").read_bytes())
    (folder / "notes.txt").write_text("not a video either")
    index = encode_folder(model, folder, batch_size=batch_size)
    assert index.names == ["blue.png", "green.png", "red.png"] and model.read == len(index.videos)
    ((name, reason),) = index.unreadable.items()
    assert name == "broken.mp4" in reason and index.passed_over == {".txt": 1}


def test_matching_puts_the_asked_colour_first(folder, model):
    index, asked = encode_folder(model, folder), ["green \ud83d", "red", "blue"]
    found = search(model, TOKENIZER, asked, index, top_k=2, candidates=0)
    assert [hits[0].path for hits in found] == [folder / f"{text.split()[0]}.png" for text in asked]
    assert all(hit.score == hit.matching for hits in found for hit in hits)
    assert {len(hits) for hits in found} == {2} and not hasattr(model, "crossed")


def test_re_ranking_reads_the_candidates_only(folder, model):
    index = encode_folder(model, folder)

    def hits(**options):
        model.crossed = []
        return search(model, TOKENIZER, ["red"], index, **options)[0]

    found = hits(top_k=3, candidates=3, matching_weight=0)
    assert found[0].path.stem == "blue" and model.crossed == [3]
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    crossed = {hit.path: hit.score for hit in found}
    both = hits(top_k=3, candidates=3, matching_weight=9)
    assert both[0].path.stem == "red"
    assert all(hit.score == pytest.approx(crossed[hit.path] + 9 * hit.matching) for hit in both)
    assert [hit.path.stem for hit in hits(top_k=1, candidates=1)] == ["red"]


@given(st.lists(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=7, max_size=7),
                min_size=1, max_size=3), st.integers(1, 7))  # fmt: skip
def test_the_best_places_are_those_of_a_stable_sort(rows, count):
    scores = torch.tensor(rows)
    expected = scores.argsort(dim=1, descending=True, stable=True)[:, :count]
    assert torch.equal(best_places(scores, count), expected)


def test_bad_questions_and_folders_are_clear_errors(folder, model, tmp_path):
    index = encode_folder(model, folder)
    for texts, options, message in (
        ([], {}, "no caption"), ([" "], {}, "holds no word"), (["red"], {"top_k": 0}, "top_k"),
        (["red"], {"candidates": -5}, "candidates is -5"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            search(model, TOKENIZER, texts, index, **options)
    index.videos.clip_features[1] = torch.nan
    with pytest.raises(UserError, match="diverged model"):
        search(model, TOKENIZER, ["red"], index)
    with pytest.raises(UserError, match="is not a folder"):
        encode_folder(model, tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.mp4").write_bytes(b"")
    with pytest.raises(VideoError, match="None of the 1 videos"):
        encode_folder(model, tmp_path / "empty")
