"""Searching a folder: what is left out, and the order of the answers."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snpkit.errors import UserError, VideoError
from snpkit.evaluation.search import best_places, encode_folder, search
from snpkit.language.tokenizer import train_tokenizer
from tests.evaluation.folders import COLOURS, paint


@pytest.fixture
def folder(tmp_path):
    """Images of one colour (videos of one frame), one file that is none, one hidden, one text."""
    for name, colour in COLOURS.items():
        paint(tmp_path / "deep" / f"{name}.png", colour)
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    (tmp_path / ".hidden.png").write_bytes((tmp_path / "deep" / "red.png").read_bytes())
    (tmp_path / "notes.txt").write_text("not a video either")
    return tmp_path


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(COLOURS, 60)


@pytest.fixture
def colour_model(toy, tokenizer):
    """Knows colours: a word and a video of its colour share an axis; blue wins when crossed."""

    class ColourModel(toy.Model):
        def __init__(self):
            super().__init__()
            self.config = SimpleNamespace(clips=1, frames=1, image_size=8, image_fit="crop",
                                          frame_middle="upper")

        def encode_text(self, input_ids, attention_mask, lengths=None):
            words = tokenizer.convert_tokens_to_ids(list(COLOURS))
            pooled = torch.stack([(input_ids == word).any(1) for word in words], dim=1).float()
            return SimpleNamespace(pooled=pooled)

        def encode_video(self, pixel_values, pixel_mask=None):
            assert pixel_values.shape[1:] == (1, 1, 3, 8, 8)
            self.batch_sizes.append(len(pixel_values))
            tokens = pixel_values.float().mean(dim=(2, 4, 5)) / 255
            return SimpleNamespace(clip_tokens=tokens, clip_features=tokens)

        def cross_match(self, input_ids, attention_mask, clip_tokens, lengths=None):
            self.seen_pairs.append(len(input_ids))
            return clip_tokens[:, 0, 2]

    return ColourModel()


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_a_folder_is_encoded_once_and_names_what_it_cannot_read(folder, colour_model, batch_size):
    index = encode_folder(colour_model, folder, batch_size=batch_size)
    assert index.names == ["deep/blue.png", "deep/green.png", "deep/red.png"]
    assert len(index.videos) == 3
    assert sum(colour_model.batch_sizes) == 3
    assert max(colour_model.batch_sizes) <= batch_size
    assert list(index.unreadable) == ["broken.mp4"]
    assert "broken.mp4" in index.unreadable["broken.mp4"]
    assert index.passed_over == {".txt": 1}


def test_matching_puts_the_asked_colour_first(folder, colour_model, tokenizer):
    index = encode_folder(colour_model, folder)
    asked = ["green", "red", "blue"]
    found = search(colour_model, tokenizer, asked, index, top_k=2, candidates=0)
    assert [hits[0].path.stem for hits in found] == asked
    assert all(len(hits) == 2 for hits in found)
    assert found[0][0].path == folder / "deep" / "green.png"
    assert all(hit.score == hit.matching for hits in found for hit in hits)
    assert not colour_model.seen_pairs


def test_re_ranking_reads_the_candidates_only(folder, colour_model, tokenizer):
    index = encode_folder(colour_model, folder)
    options = {"top_k": 3, "candidates": 3, "matching_weight": 0}
    found = search(colour_model, tokenizer, ["red"], index, **options)[0]
    assert found[0].path.stem == "blue"
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert colour_model.seen_pairs == [3]
    both = search(colour_model, tokenizer, ["red"], index, **(options | {"matching_weight": 9}))
    assert both[0][0].path.stem == "red"
    crossed = {hit.path: hit.score for hit in found}
    assert all(hit.score == pytest.approx(crossed[hit.path] + 9 * hit.matching) for hit in both[0])
    colour_model.seen_pairs.clear()
    one = search(colour_model, tokenizer, ["red"], index, top_k=1, candidates=1)[0]
    assert [hit.path.stem for hit in one] == ["red"]


def test_bytes_that_are_no_text_are_searched_for_all_the_same(folder, colour_model, tokenizer):
    index = encode_folder(colour_model, folder)
    (found,) = search(colour_model, tokenizer, ["red \ud83d"], index, candidates=0)
    assert found[0].path.stem == "red"


@given(st.lists(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=7, max_size=7),
                min_size=1, max_size=3), st.integers(1, 7))  # fmt: skip
def test_the_best_places_are_those_of_a_stable_sort(rows, count):
    scores = torch.tensor(rows)
    expected = scores.argsort(dim=1, descending=True, stable=True)[:, :count]
    assert torch.equal(best_places(scores, count), expected)


def test_of_a_million_equal_scores_the_first_are_taken():
    scores = torch.zeros(1, 1_000_000)
    scores[0, 999_999] = 1
    assert best_places(scores, 3).tolist() == [[999_999, 0, 1]]


def test_bad_questions_and_folders_are_clear_errors(tmp_path, folder, colour_model, tokenizer):
    index = encode_folder(colour_model, folder)
    for texts, options, message in (
        ([], {}, "no caption"), ([" "], {}, "holds no word"), (["red"], {"top_k": 0}, "top_k"),
        (["red"], {"candidates": -5}, "candidates is -5"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            search(colour_model, tokenizer, texts, index, **options)
    index.videos.clip_features[1] = torch.nan
    with pytest.raises(UserError, match="diverged model"):
        search(colour_model, tokenizer, ["red"], index)
    with pytest.raises(UserError, match="is not a folder"):
        encode_folder(colour_model, tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.mp4").write_bytes(b"")
    with pytest.raises(VideoError, match="None of the 1 videos"):
        encode_folder(colour_model, tmp_path / "empty")
