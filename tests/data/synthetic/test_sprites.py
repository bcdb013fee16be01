import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.data.synthetic.sprites import (
    COLOURS,
    LEVELS,
    NOUNS,
    TEXTURES,
    contrast,
    pose,
    sprite,
)


def alpha_of(noun: str) -> np.ndarray:
    return np.asarray(sprite(noun, "red", "plain")[-1].getchannel("A"), dtype=float) / 255


@pytest.mark.parametrize("noun", NOUNS)
def test_a_sprite_has_room_around_it_and_takes_its_colour(noun: str) -> None:
    large = np.asarray(sprite(noun, "blue", "plain")[0])
    assert large.shape == (LEVELS[0], LEVELS[0], 4)
    edge = np.concatenate([large[0], large[-1], large[:, 0], large[:, -1]])[:, 3]
    assert edge.max() == 0, "the drawing is cut off at the canvas"
    solid = large[large[..., 3] == 255][:, :3].astype(int)
    near = (np.abs(solid - COLOURS["blue"]).sum(axis=1) < 30).mean()
    assert near > 0.25, "too little of the body shows its colour"
    other = np.asarray(sprite(noun, "yellow", "plain")[0])
    assert (other[..., 3] == large[..., 3]).all()
    assert np.abs(other.astype(int) - large).max() > 100


def test_silhouettes_differ_from_each_other() -> None:
    alphas = {noun: alpha_of(noun) for noun in NOUNS}
    for one, two in itertools.combinations(NOUNS, 2):
        shared = np.minimum(alphas[one], alphas[two]).sum()
        union = np.maximum(alphas[one], alphas[two]).sum()
        assert shared / union < 0.93, f"{one} and {two} have nearly one silhouette"


def test_colours_are_far_apart() -> None:
    for one, two in itertools.combinations(COLOURS, 2):
        assert np.linalg.norm(np.subtract(COLOURS[one], COLOURS[two])) > 85, (one, two)


@pytest.mark.parametrize("colour", COLOURS)
def test_textures_show(colour: str) -> None:
    plain = np.asarray(sprite("heart", colour, "plain")[0]).astype(int)
    pictures = {name: np.asarray(sprite("heart", colour, name)[0]).astype(int) for name in TEXTURES}
    for one, two in itertools.combinations(TEXTURES, 2):
        changed = np.abs(pictures[one] - pictures[two]).max(axis=-1) > 40
        assert changed.sum() > 0.1 * (plain[..., 3] > 0).sum(), (one, two)
    assert np.abs(np.subtract(contrast(colour), COLOURS[colour])).max() > 60


@given(
    st.sampled_from(NOUNS),
    st.integers(12, 120),
    st.integers(75, 125),
    st.integers(-720, 720),
)
def test_a_pose_keeps_the_whole_sprite(noun: str, width: int, aspect: int, angle: int) -> None:
    height = width * aspect / 100
    picture, (x, y) = pose(noun, "green", "plain", width, height, angle)
    alpha = np.asarray(picture.getchannel("A"), dtype=float) / 255
    share = (np.asarray(sprite(noun, "green", "plain")[0].getchannel("A")) / 255).mean()
    assert picture.size == (2 * x, 2 * y)
    assert alpha.sum() == pytest.approx(share * width * height, rel=0.1, abs=8)


def test_a_quarter_turn_is_clockwise() -> None:
    upright, _ = pose("key", "red", "plain", 64, 64, 0)
    turned, _ = pose("key", "red", "plain", 64, 64, 90)
    expected = np.rot90(np.asarray(upright.getchannel("A"), dtype=float), k=-1)
    got = np.asarray(turned.getchannel("A"), dtype=float)
    size = min(got.shape[0], expected.shape[0])
    cut = [(side - size) // 2 for side in (got.shape[0], expected.shape[0])]
    got = got[cut[0] : cut[0] + size, cut[0] : cut[0] + size]
    expected = expected[cut[1] : cut[1] + size, cut[1] : cut[1] + size]
    assert np.abs(got - expected).mean() < 4
