"""Augmentation: exact flips and crops, one draw for all frames of a video, text that stays true."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from snpkit.data.augment import _NAMES, Augmentation, may_flip, operate
from snpkit.data.cache import FrameCache
from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import Manifest, VideoText
from snpkit.errors import UserError
from snpkit.training.recipe import get_recipe, override
from snpkit.training.setup import make_dataset
from tests.video.films import write_film

ROW = VideoText("x", "x.mp4", "a red ball falls", "train")


def noise(*shape, seed=0):
    return torch.randint(0, 256, shape, dtype=torch.uint8,
                         generator=torch.Generator().manual_seed(seed))  # fmt: skip


def ramp(size, clips=1, frames=1):
    """Red tells the column, green the row."""
    places = torch.arange(size, dtype=torch.uint8)
    picture = torch.stack([places.expand(size, size), places[:, None].expand(size, size),
                           torch.full((size, size), 7, dtype=torch.uint8)])  # fmt: skip
    return picture.expand(clips, frames, 3, size, size).clone()


def augment(augmentation, frames, seed=0, row=ROW, size=16):
    return augmentation(frames, row, size, np.random.default_rng(seed))


def test_half_of_the_videos_are_mirrored_exactly():
    frames = noise(2, 3, 3, 8, 8)
    mirrored = torch.from_numpy(frames.numpy()[..., ::-1].copy())
    results = [augment(Augmentation(flip=True), frames, seed) for seed in range(400)]
    flips = sum(torch.equal(result, mirrored) for result in results)
    assert flips + sum(torch.equal(result, frames) for result in results) == 400
    assert abs(flips - 200) < 40


@pytest.mark.parametrize(
    ("caption", "extra", "stays_true"),
    [
        ("a ball rolls to the Left", {}, False),
        ("the right-hand player", {}, False),
        ("the leftmost door", {}, False),
        ("it turns anticlockwise", {}, False),
        ("it spins counter-clockwise", {}, False),
        ("where does it go?", {"answer": "right"}, False),
        ("what is shown?", {"options": ["a ball flies up", "a ball flies left"]}, False),
        ("a cleft rock in bright light", {}, True),
        ("where does it go?", {"answer": "up", "options": ["down", "up"]}, True),
    ],
)
def test_what_names_a_side_is_not_mirrored(caption, extra, stays_true):
    row = VideoText("x", "x.mp4", caption, "train", extra=extra)
    assert may_flip(row) == stays_true
    frames = noise(1, 1, 3, 8, 8)
    flipped = any(not torch.equal(augment(Augmentation(flip=True), frames, seed, row), frames)
                  for seed in range(20))  # fmt: skip
    assert flipped == stays_true


def test_a_crop_by_hand():
    """The box from the same random numbers, cut by numpy, scaled by torch."""
    frames = noise(2, 2, 3, 30, 40)
    for seed in range(20):
        random = np.random.default_rng(seed)
        area = random.uniform(0.2, 0.5) * 30 * 40
        ratio = math.exp(random.uniform(-math.log(4 / 3), math.log(4 / 3)))
        height, width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        top, left = random.integers(30 - height + 1), random.integers(40 - width + 1)
        cut = frames.numpy()[..., top : top + height, left : left + width]
        scaled = F.interpolate(torch.tensor(cut).flatten(0, 1).float(), size=16, mode="bilinear",
                               antialias=True, align_corners=False)  # fmt: skip
        expected = scaled.round().to(torch.uint8).reshape(2, 2, 3, 16, 16)
        assert torch.equal(augment(Augmentation(crop=(0.2, 0.5), aspect=4 / 3), frames, seed),
                           expected)  # fmt: skip


@given(st.floats(0.05, 1), st.floats(0.05, 1), st.sampled_from([1, 4 / 3]), st.integers(0, 9999))
def test_a_crop_lies_within_the_picture_and_its_ranges(first, second, aspect, seed):
    low, high = sorted((first, second))
    shown = augment(Augmentation(crop=(low, high), aspect=aspect), ramp(200), seed, size=64)
    assert shown.shape == (1, 1, 3, 64, 64) and (shown[:, :, 2] == 7).all()
    across, down = shown[0, 0, 0, 0].double(), shown[0, 0, 1, :, 0].double()
    sides = []
    for places in (across, down):
        # The ramp's slope tells how far apart pixels of the crop lie.
        side = float(places[-9] - places[8]) / 47 * 64
        middle = float(places.mean())
        assert side / 2 - 2 <= middle <= 199 - side / 2 + 2
        sides.append(side)
    width, height = sides
    assert width * height < high * 40_000 * 1.1 + 400
    if width < 190 and height < 190:  # else it may have been cut at the border
        assert width * height > low * 40_000 * 0.9 - 400
        assert 0.9 / aspect - 0.05 < width / height < aspect * 1.1 + 0.05


def test_the_published_crop_is_a_scale_of_1_2_to_1_5():
    """224 pixels of a short side of 268 to 336: read at 336, and never scaled up."""
    augmentation = Augmentation(crop=(1 / 1.5**2, 1 / 1.2**2))
    assert augmentation.source_size(224) == 336
    assert Augmentation(crop=(0.08, 1)).source_size(224) == 448  # not 792
    assert Augmentation(flip=True, operations=2).source_size(224) == 224


everything = Augmentation(flip=True, crop=(0.3, 1), aspect=4 / 3, operations=3, magnitude=9)


@given(st.integers(0, 99_999))
def test_all_frames_of_a_video_get_the_same(seed):
    picture = noise(1, 1, 3, 20, 20)
    result = augment(everything, picture.expand(2, 3, 3, 20, 20), seed)
    assert result.dtype == torch.uint8 and result.shape == (2, 3, 3, 16, 16)
    assert (result == result[:1, :1]).all()
    # A statistic of the video does not depend on how many frames it has.
    assert torch.equal(result[:1, :1], augment(everything, picture, seed))


@given(st.sampled_from(_NAMES), st.integers(-100, 100).map(lambda n: n / 100), st.integers(0, 99))
def test_operations_keep_the_form_and_strength_zero_keeps_the_picture(name, strength, seed):
    frames = noise(2, 1, 3, 12, 12, seed=seed)
    result = operate(frames, name, strength)
    assert result.shape == frames.shape and result.dtype == torch.uint8
    if name != "autocontrast":
        assert (operate(frames, name, 0.0).int() - frames.int()).abs().max() <= 1
    flat = torch.full((1, 2, 3, 8, 8), 128, dtype=torch.uint8)
    if name != "brightness":  # of a grey picture everything else leaves grey
        assert torch.equal(operate(flat, name, strength), flat)


def test_operations_by_hand():
    frames = noise(1, 2, 3, 8, 8) // 2 + 20
    values = frames.numpy().astype(np.float64)
    darker = values * (1 - 0.45)
    assert abs(operate(frames, "brightness", -0.5).numpy() - darker).max() <= 0.51
    grey = (values.mean((0, 1, 3, 4)) * [0.299, 0.587, 0.114]).sum()
    starker = (grey + 1.45 * (values - grey)).clip(0, 255)
    assert abs(operate(frames, "contrast", 0.5).numpy() - starker).max() <= 0.51
    stretched = (values - values.min()) / (values.max() - values.min()) * 255
    assert abs(operate(frames, "autocontrast", 0).numpy() - stretched).max() <= 0.51
    smooth = np.zeros_like(values)
    padded = np.pad(values, [(0, 0)] * 3 + [(1, 1)] * 2, mode="edge")
    for row in range(3):
        for column in range(3):
            weight = 5 if row == column == 1 else 1
            smooth += weight / 13 * padded[..., row : row + 8, column : column + 8]
    sharper = (smooth + 1.9 * (values - smooth)).clip(0, 255)
    assert abs(operate(frames, "sharpness", 1.0).numpy() - sharper).max() <= 0.51
    # 45 % of 20 columns are 9: the picture moves to the left, and grey comes in.
    frames = noise(1, 1, 3, 20, 20)
    moved = operate(frames, "translate_x", 1.0)
    assert torch.equal(moved[..., :11], frames[..., 9:]) and (moved[..., 11:] == 128).all()
    moved = operate(frames, "translate_y", -1.0)
    assert torch.equal(moved[..., 9:, :], frames[..., :11, :]) and (moved[..., :9, :] == 128).all()
    turned = np.asarray(Image.fromarray(ramp(64)[0, 0].permute(1, 2, 0).numpy()).rotate(
        -30, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)))  # fmt: skip
    ours = {side: operate(ramp(64), "rotate", side)[0, 0].permute(1, 2, 0).numpy().astype(int)
            for side in (1.0, -1.0)}  # fmt: skip
    inner = slice(20, 44)
    apart = {side: abs(ours[side] - turned)[inner, inner].max() for side in ours}
    assert min(apart.values()) <= 1 and max(apart.values()) > 10


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    folder = tmp_path_factory.mktemp("films")
    for number in range(3):
        write_film(folder / f"{number}.mp4", 8, 64, 48)
    rows = [VideoText(str(n), f"{n}.mp4", f"caption {n}", "train") for n in range(3)]
    return Manifest(folder, rows)


@pytest.mark.parametrize("cached", [False, True])
def test_items_depend_on_seed_epoch_and_number_only(manifest, cached):
    cache = FrameCache.build(manifest, 32, progress=False) if cached else False

    def make(seed=0, training=True, augmentation=everything):
        return VideoTextDataset(manifest, 2, 2, 32, training, seed, cache,
                                augmentation=augmentation)  # fmt: skip

    first, second = make(), make()
    items = {key: first[key]["frames"] for key in [(0, 0), (0, 1), (1, 0), (4, 2)]}
    for key in reversed(items):
        assert torch.equal(second[key]["frames"], items[key])
        assert items[key].shape == (2, 2, 3, 32, 32) and items[key].dtype == torch.uint8
    assert not torch.equal(items[0, 0], items[1, 0])
    assert not torch.equal(make(seed=1)[0, 0]["frames"], items[0, 0])
    plain = make(augmentation=None)
    assert torch.equal(make(augmentation=Augmentation())[0, 0]["frames"], plain[0, 0]["frames"])
    # A flip, too, is of the frames that training without one would show.
    shown = make(augmentation=Augmentation(flip=True))
    for epoch in range(6):
        one, other = shown[epoch, 1]["frames"], plain[epoch, 1]["frames"]
        assert torch.equal(one, other) or torch.equal(one, other.flip(-1))
    unchanged = make(training=False), make(training=False, augmentation=None)
    assert torch.equal(*(one[0]["frames"] for one in unchanged))


def test_whole_pictures_are_mirrored_within_their_padding(manifest):
    def make(augmentation):
        return VideoTextDataset(manifest, 1, 1, 32, True, fit="long", augmentation=augmentation)

    plain, mirrored = make(None), make(Augmentation(flip=True))
    flips = 0
    for epoch in range(8):
        one, other = plain[epoch, 0], mirrored[epoch, 0]
        assert torch.equal(one["pixel_mask"], other["pixel_mask"])
        width = int(one["pixel_mask"].any(-2).sum())
        flipped = one["frames"].clone()
        flipped[..., :width] = flipped[..., :width].flip(-1)
        same = [torch.equal(other["frames"], frames) for frames in (one["frames"], flipped)]
        assert any(same)
        flips += same[1]
    assert 0 < flips < 8
    for augmentation in (Augmentation(crop=(0.5, 1)), Augmentation(operations=1)):
        with pytest.raises(UserError, match='need fit="crop"'):
            make(augmentation)


def test_a_recipe_says_what_happens(manifest):
    changes = {"data.flip": True, "data.random_crop": [0.5, 0.9], "data.crop_aspect": 1.2,
               "data.randaugment": 2, "data.magnitude": 7, "data.cache": False}  # fmt: skip
    recipe = override(get_recipe("laptop"), changes)
    training = make_dataset(recipe, manifest, training=True)
    assert training.augmentation == Augmentation(True, (0.5, 0.9), 1.2, 2, 7)
    assert make_dataset(recipe, manifest, training=False).augmentation is None
    plain = make_dataset(override(recipe, dict.fromkeys(
        ("data.flip",), False) | {"data.random_crop": None, "data.randaugment": 0}),
        manifest, training=True)  # fmt: skip
    assert plain.augmentation is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"data.random_crop": [0, 1]}, "0 < smallest <= largest"),
        ({"data.random_crop": [0.9, 0.5]}, "0 < smallest <= largest"),
        ({"data.random_crop": [0.5]}, r"random_crop\.1 is missing"),
        ({"data.crop_aspect": 0.5}, "crop_aspect is 0.5; it should be greater"),
        ({"data.magnitude": 11}, "magnitude is 11; it should be less"),
        ({"data.fit": "long", "data.cache": False, "data.randaugment": 1}, 'need data.fit "crop"'),
    ],
)
def test_impossible_settings(changes, problem):
    with pytest.raises(UserError, match=problem):
        override(get_recipe("laptop"), changes)
    with pytest.raises(UserError, match=r"set task\.questions=1"):
        override(get_recipe("laptop_qa"), {"data.flip": True})
