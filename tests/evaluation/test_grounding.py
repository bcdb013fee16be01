"""The pointing game and the word contest, by hand and by brute force; and the shipped model."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import snpkit
from snpkit.data.samples import Manifest, VideoText, sample_manifest
from snpkit.errors import UserError
from snpkit.evaluation.grounding import (
    centres_inside,
    contrast_maps,
    measure_grounding,
    named_object,
    parts_of_caption,
    pointing_game,
    word_contest,
)


def random_game(seed=0, videos=5, frames=3, height=4, width=6):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(videos, frames, height, width, generator=generator)
    corners = torch.rand(videos, frames, 2, 2, generator=generator).sort(2).values
    return maps, corners.flatten(2)  # x0, y0, x1, y1


@given(st.integers(0, 10_000))
def test_the_game_agrees_with_brute_force(seed):
    maps, boxes = random_game(seed)
    videos, frames, height, width = maps.shape

    def hit(video, frame, row, column):
        x0, y0, x1, y1 = boxes[video, frame].tolist()
        return x0 <= (column + 0.5) / width <= x1 and y0 <= (row + 0.5) / height <= y1

    cells = [(row, column) for row in range(height) for column in range(width)]
    hits = [[hit(v, f, *divmod(int(maps[v, f].argmax()), width)) for f in range(frames)]
            for v in range(videos)]  # fmt: skip
    strongest = [divmod(int(maps[v].argmax()), height * width) for v in range(videos)]
    whole = [hit(v, frame, *divmod(cell, width)) for v, (frame, cell) in enumerate(strongest)]
    fixed = {
        (f, cell): sum(hit(v, f, *cell) for v in range(videos)) / videos
        for f in range(frames) for cell in cells
    }  # fmt: skip
    areas = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    game = pointing_game(maps, boxes)
    assert game.videos == videos
    assert game.frames_hit == pytest.approx(sum(map(sum, hits)) / videos / frames)
    assert game.videos_hit == pytest.approx(sum(whole) / videos)
    assert game.chance == pytest.approx(areas.mean().item(), rel=1e-5)
    assert game.best_fixed_video == pytest.approx(max(fixed.values()))
    assert game.best_fixed_frames == pytest.approx(
        max(sum(fixed[f, cell] for f in range(frames)) / frames for cell in cells)
    )
    assert game.frames_hit <= game.ceiling <= 1


def test_perfect_maps_reach_the_ceiling_and_random_ones_only_chance():
    _, boxes = random_game(1, videos=400)
    inside = centres_inside(boxes, 4, 6).float()
    perfect = pointing_game(inside, boxes)
    assert perfect.frames_hit == perfect.ceiling < 1
    random = pointing_game(random_game(2, videos=400)[0], boxes)
    assert random.frames_hit == pytest.approx(inside.mean().item(), abs=0.04)


def test_edges_belong_to_the_box():
    box = torch.tensor([0.125, 0.375, 0.625, 0.375])
    inside = centres_inside(box, 4, 4)
    assert inside.nonzero().tolist() == [[1, 0], [1, 1], [1, 2]]


@pytest.mark.parametrize(
    ("maps", "boxes"), [((2, 3, 4, 4), (2, 3, 3)), ((0, 3, 4, 4), (0, 3, 4)), ((3, 4, 4), (3, 4))]
)
def test_shapes_that_do_not_fit_are_named(maps, boxes):
    with pytest.raises(UserError, match="pointing game needs"):
        pointing_game(torch.zeros(maps), torch.zeros(boxes))


def test_a_word_contest_by_hand():
    captions = [
        ([0.9, 0.8, 0.1, 0.0], ["NOUN", "VERB", "DET", "ADP"]),  # wins everything
        ([0.9, 0.1, 0.4, 9.0], ["ADJ", "NOUN", "DET", "PUNCT"]),  # mean .5, pairs 1 of 2
        ([0.5, 0.5], ["NOUN", "DET"]),  # a tie
        ([1.0], ["NOUN"]),  # nothing to compare with
    ]
    contest = word_contest(captions)
    assert contest.captions == 3
    assert contest.mean == contest.median == pytest.approx(2 / 3)
    assert contest.pairs == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_a_contest_without_opponents_is_a_users_error():
    with pytest.raises(UserError, match="both content and function"):
        word_contest([([1.0, 1.0], ["NOUN", "PUNCT"])])


def test_forms_of_be_are_function_words():
    tags = [("there", "PRON"), ("is", "VERB"), ("spins", "VERB"), ("was", "AUX")]
    assert parts_of_caption(tags) == ["PRON", "AUX", "VERB", "AUX"]


def test_the_noun_is_found_under_its_other_names_but_not_in_its_absence():
    def place(noun, *words):
        extra = {"composition": {"noun": noun}, "tags": [[word, "X"] for word in words]}
        return named_object(VideoText("x", "x.mp4", " ".join(words), "test", extra=extra))

    assert place("boat", "a", "red", "ship", "falls") == 2
    assert place("boat", "a", "boat", "above", "a", "ship") == 1
    assert place("boat", "a", "thing", "beside", "a", "kite") is None


@pytest.fixture
def manifest(tmp_path):
    rows = []
    for index in range(4):
        tags = [["a", "DET"], ["red", "ADJ"], ["kite", "NOUN"], ["falls", "VERB"]]
        corner = 0.25 * index
        boxes = [[corner, 0.25, corner + 0.25, 0.5]] * 4 + [[corner, 0.75, corner + 0.25, 1]] * 4
        extra = {"tags": tags, "composition": {"noun": "kite"}, "boxes": boxes}
        rows.append(VideoText(str(index), f"{index}.mp4", "a red kite falls", "test", extra=extra))
    return Manifest(tmp_path, rows)


def oracle(caption, path, *, better=1.0):
    """Points at the kite in 2 clips of 2 frames; the first clip is seen above, the second below."""
    index, words = int(path.stem), caption.split()
    relevance = torch.zeros(len(words), 2, 2, 4, 4)
    relevance[2, 0, :, 1, index] = better
    relevance[2, 1, :, 3, index] = better
    numbers = {"match": [0.1, 0.5, 0.9, 0.5], "counterfactual": [1.0, 0.2, 0.2, 0.2]}
    frames = torch.zeros(2, 2, 3, 8, 8, dtype=torch.uint8)
    frames[:, :, :, 2:4] = 255  # the upper kite's row: right in the first clip, wrong in the second
    shown = {"words": words, "frames": frames, "relevance": relevance}
    return SimpleNamespace(**shown, values=numbers.__getitem__)


def test_measuring_joins_the_words_map_with_the_boxes_of_the_frames_seen(manifest):
    found = measure_grounding(oracle, manifest)
    assert found.pointing.videos == 4
    assert found.pointing.frames_hit == found.pointing.videos_hit == found.pointing.ceiling == 1
    assert found.contrast.videos_hit == 1 / 4  # of equal maxima the first counts
    assert found.contrast.frames_hit == 1 / 8
    assert found.contests["match"].mean == 1
    assert found.contests["counterfactual"].mean == 0
    wrong = measure_grounding(partial(oracle, better=-1.0), manifest, kinds=["match"])
    assert wrong.pointing.frames_hit == 0
    assert list(wrong.contests) == ["match"]


def test_the_boxes_are_those_of_the_middle_frames_that_the_model_reads(manifest):
    for row in manifest.rows:  # the upper one of each two frames shows the kite elsewhere
        row.extra["boxes"][1::2] = [[0, 0, 0.25, 0.25]] * 4
    assert measure_grounding(oracle, manifest).pointing.frames_hit == 0
    assert measure_grounding(oracle, manifest, middle="lower").pointing.frames_hit == 1


def test_rows_that_know_nothing_are_named(manifest):
    rows = [replace(manifest.rows[0], id="bare", extra={"tags": []})]
    with pytest.raises(UserError, match=r"bare lacks \['boxes', 'composition'\]"):
        measure_grounding(oracle, Manifest(manifest.root, rows))


def test_captions_that_name_no_object_cannot_be_pointed_at(manifest):
    for row in manifest.rows:
        row.extra["composition"]["noun"] = "boat"
    with pytest.raises(UserError, match="nothing to point at"):
        measure_grounding(oracle, manifest)


def test_contrast_is_brightest_where_the_colour_differs_most():
    frames = torch.full((2, 3, 8, 8), 100, dtype=torch.uint8)
    frames[0, :, :4, 4:] = 250
    frames[1, 2, 6:, :2] = 0
    maps = contrast_maps(frames, (4, 4))
    assert maps.shape == (2, 4, 4)
    assert (maps[0] == maps[0].max()).nonzero().tolist() == [[0, 2], [0, 3], [1, 2], [1, 3]]
    assert maps[1].argmax().item() == 12


def test_the_shipped_model_points_at_what_its_nouns_name():
    """The bar of the whole test split, on the held-out clips that are shipped."""
    pipeline = snpkit.load("laptop", device="cpu")
    manifest = sample_manifest()
    rows = [row for row in manifest.rows if "tags" in row.extra]  # one caption of each clip
    manifest = Manifest(manifest.root, rows)
    found = measure_grounding(pipeline.explain, manifest)
    assert found.pointing.videos >= 30
    for share in ("videos_hit", "frames_hit"):
        assert getattr(found.pointing, share) >= 0.6
        assert getattr(found.pointing, share) > getattr(found.contrast, share)
    assert found.pointing.frames_hit > found.pointing.best_fixed_frames
    for contest in found.contests.values():
        assert contest.mean >= 0.9
