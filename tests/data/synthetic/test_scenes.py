import itertools

import numpy as np
import pytest

from snpkit.data.synthetic.scenes import SCENES, background
from snpkit.data.synthetic.sprites import COLOURS


def draw(scene: str, seed: int, size: int = 64) -> np.ndarray:
    return np.asarray(background(scene, size, np.random.default_rng(seed))).astype(float)


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_varies_a_little_and_repeats_exactly(scene: str) -> None:
    first, again, other = draw(scene, 0), draw(scene, 0), draw(scene, 1)
    assert first.shape == (64, 64, 3)
    assert (first == again).all()
    assert 1 < np.abs(first - other).mean() < 40
    assert draw(scene, 0, 97).shape == (97, 97, 3)


def test_scenes_differ_more_than_their_variants() -> None:
    variants = {scene: [draw(scene, seed) for seed in range(4)] for scene in SCENES}
    for one, two in itertools.combinations(SCENES, 2):
        across = np.abs(np.mean(variants[one], axis=0) - np.mean(variants[two], axis=0)).mean()
        assert across > 12, f"{one} and {two} look alike"


@pytest.mark.parametrize("scene", SCENES)
def test_scenes_are_paler_than_objects(scene: str) -> None:
    """Objects stand out: either by saturation or by their dark outline."""
    picture = draw(scene, 0)
    saturation = (picture.max(axis=-1) - picture.min(axis=-1)).mean()
    vivid = [max(c) - min(c) for name, c in COLOURS.items() if name != "white"]
    assert saturation < min(vivid)
