"""Explanations of odd captions, of every architecture, and of the shipped model."""

import time

import pytest
import torch

import snpkit
from snpkit.data.samples import sample_manifest
from snpkit.errors import UserError, VideoError
from snpkit.explore.explanation import read_caption
from snpkit.explore.relevance import relevance_maps
from snpkit.explore.significance import KINDS, word_vectors
from snpkit.explore.substitution import exchange_words
from tests.explore.explaining import noise, noise_picture, small_pipeline

ODD = [
    "kite", "<img src=x onerror=alert(1)>", "<script>red</script> & \"kite\"",
    "a 🙂 red 日本語 kite", "🙂", "Kite!!! — reD...", "nul\0l bell\x07 kite", "[MASK] [SEP] kite",
    "\N{LATIN SMALL LETTER E WITH ACUTE}t\N{LATIN SMALL LETTER E WITH ACUTE} red",
]  # fmt: skip


@pytest.fixture(scope="module")
def pipeline():
    return small_pipeline()


@pytest.fixture(scope="module")
def laptop():
    return snpkit.load("laptop", device="cpu")


@pytest.mark.parametrize("caption", ODD)
def test_odd_captions_have_four_kinds_and_a_map_for_every_word(pipeline, caption):
    found = pipeline.explain(caption, noise())
    count = len(found.words)
    assert count >= 1
    assert found.words == [caption[start:end] for start, end in found.spans]
    assert found.left_out == []
    assert [kind.name for kind in found.kinds] == list(KINDS)
    for kind in found.kinds:
        assert len(kind.raw) == len(kind.values) == count
        assert all(0 <= value <= 1 for value in kind.values), kind.name
        assert kind.rule
    assert found.relevance.shape == (count, 2, 2, 4, 4)
    assert found.relevance.isfinite().all()
    assert len(found.agreement) == 6
    assert len(found.guesses) == len(found.parts) == count


def test_bytes_that_are_no_text_are_shown_as_question_marks(pipeline):
    found = pipeline.explain("red \udcff kite", noise())
    assert found.words == ["red", "?", "kite"]


def test_words_keep_their_capitals_and_pieces_are_one_word(pipeline):
    found = pipeline.explain("A RED kite glides", noise())
    assert found.words == ["A", "RED", "kite", "glides"]
    assert found.parts == [None, "ADJ", "NOUN", None]
    assert found.kind("corpus").raw == [None, 1, 3, None]
    rows = found.rows()
    assert [row["word"] for row in rows] == found.words
    assert rows[1]["corpus"] == found.values("corpus")[1] == 1
    assert rows[3]["match_raw"] == found.kind("match").raw[3]


def test_a_long_caption_says_what_it_leaves_out(pipeline):
    words = [("red", "kite", "falls")[i % 3] for i in range(500)]
    found = pipeline.explain(" ".join(words), noise())
    assert len(found.words) == 28  # 30 tokens without [CLS] and [SEP]
    assert found.words + found.left_out == words
    assert found.relevance.shape[0] == 28


@pytest.mark.parametrize("caption", ["", "  \n", "\0"])
def test_a_caption_without_a_word_is_a_users_error(pipeline, caption):
    with pytest.raises(UserError, match="holds no word"):
        pipeline.explain(caption, noise())


@pytest.mark.parametrize(
    "frames", [noise().float(), noise()[0], noise()[:, :, :2], noise()[:0], noise().long()]
)
def test_frames_of_another_form_are_a_users_error(pipeline, frames):
    with pytest.raises(UserError, match="Frames must be uint8"):
        pipeline.explain("a kite", frames)


def test_guesses_below_zero_are_a_users_error(pipeline):
    with pytest.raises(UserError, match="guesses is -1"):
        pipeline.explain("a kite", noise(), guesses=-1)


def test_rules_say_what_a_word_was_compared_with(pipeline):
    guessed, masked = (pipeline.explain("a kite", noise(), guesses=n) for n in (2, 0))
    assert "words that could stand in its place" in guessed.kind("match").rule
    assert "that of [MASK] in its place" in masked.kind("match").rule
    assert "filled with what else" in guessed.kind("counterfactual").rule
    assert "when the word is masked. Value" in masked.kind("counterfactual").rule
    drops = masked.kind("counterfactual")
    assert drops.raw == drops.detail["mask_drop"].tolist()


def test_a_missing_file_is_a_users_error(pipeline, tmp_path):
    with pytest.raises(VideoError, match=r"none\.mp4"):
        pipeline.explain("a kite", tmp_path / "none.mp4")


@pytest.mark.parametrize("architecture", ["three_fusion", "twin_tower"])
def test_the_other_architectures_are_explained_too(architecture):
    tasks = ["text_mlm", "gvtm_text_video", "lvwm"]
    pipeline = small_pipeline(architecture=architecture, tasks=tasks)
    found = pipeline.explain("a red kite", noise())
    twin = architecture == "twin_tower"
    assert found.score_name.startswith("text-video" if twin else "cross-modal")
    assert found.score_name in found.kind("counterfactual").rule


def test_a_checkpoint_without_a_table_still_explains(pipeline):
    bare = small_pipeline()
    bare.table = None
    found = bare.explain("a red kite", noise())
    assert found.values("corpus") == [0, 0, 0]
    assert found.parts == [None] * 3
    assert found.agreement["corpus", "match"] is None


def test_explaining_twice_gives_the_same_and_leaves_the_model_as_it_was(pipeline):
    pipeline.model.train()
    try:
        first, second = (pipeline.explain("a red kite", noise()) for _ in range(2))
        assert pipeline.model.training
    finally:
        pipeline.model.eval()
    assert first.rows() == second.rows()
    assert torch.equal(first.relevance, second.relevance)
    assert all(parameter.grad is None for parameter in pipeline.model.parameters())


def test_maps_are_those_of_what_a_word_has_before_its_substitutes(pipeline):
    found = pipeline.explain("a red kite", noise(), guesses=3)
    batch, _, _ = read_caption(pipeline.tokenizer, "a red kite")
    swap = exchange_words(pipeline.model, pipeline.tokenizer, batch, pipeline.table, 3)
    own, others = word_vectors(pipeline.model, swap)
    expected = relevance_maps(pipeline.model, own - others, noise())
    torch.testing.assert_close(found.relevance, expected)
    assert not torch.allclose(relevance_maps(pipeline.model, own, noise()), expected, rtol=0.1)


def test_maps_over_the_frames_lie_in_the_unit_interval(pipeline):
    found = pipeline.explain("a red kite", noise())
    maps = found.relevance_of(1)
    assert maps.shape == (2, 2, 32, 32)
    assert maps.min() == 0 and maps.max() == 1
    strongest = int(found.relevance[1].argmax())
    clip, frame, cell = strongest // 32, strongest // 16 % 2, strongest % 16
    row, column = divmod(int(maps[clip, frame].argmax()), 32)
    assert (row // 8, column // 8) == divmod(cell, 4)


def test_a_padded_picture_is_explained_where_it_is_real(tmp_path):
    pipeline = small_pipeline(image_fit="long")
    path = tmp_path / "wide.png"
    noise_picture(width=64, height=32).save(path)
    found = pipeline.explain("a red kite", path)
    assert found.frames.shape == (2, 2, 3, 32, 32)
    assert (found.relevance[..., 2:, :] <= found.relevance[..., :2, :].amin()).all()


def test_a_file_and_its_frames_are_explained_alike(laptop):
    manifest = sample_manifest()
    row = next(row for row in manifest.rows if row.video.startswith("generated/"))
    path = manifest.path_of(row)
    one, other = laptop.explain(row.caption, path), laptop.explain(row.caption, laptop.read(path))
    assert one.rows() == other.rows()
    assert torch.equal(one.relevance, other.relevance)


def test_the_shipped_model_answers_within_a_second(laptop):
    manifest = sample_manifest()
    row = next(row for row in manifest.rows if row.video.startswith("generated/"))
    caption = f"{row.caption}, a red kite falls over the sea"
    laptop.explain(caption, manifest.path_of(row))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:  # what one core needs; a busy machine takes longer on the clock
        start = time.thread_time()
        laptop.explain(caption, manifest.path_of(row))
        assert time.thread_time() - start < 1.0
    finally:
        torch.set_num_threads(threads)
