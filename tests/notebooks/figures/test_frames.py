"""Retrieval strips and relevance overlays."""

import io

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image

from figures import Found, relevance_overlay, retrieval_strip
from snpkit.errors import UserError
from snpkit.explore.plots import to_png, to_svg
from snpkit.explore.plots.style import GREEN


def clip(colour, frames=2, height=24, width=24):
    pixels = torch.tensor(colour, dtype=torch.uint8)[None, :, None, None]
    return pixels.expand(frames, 3, height, width).contiguous()


def test_the_true_video_is_framed_and_named():
    found = [Found(clip((200, 0, 0)), 3.2, label="a"), Found(clip((0, 200, 0)), 2.9, True, "b")]
    figure = retrieval_strip("a kite", found, rank=2)
    assert len(figure.axes) == 4
    framed = [to_hex(ax.spines["left"].get_edgecolor()) == GREEN for ax in figure.axes]
    assert framed == [False, False, True, True]
    titles = [ax.get_title("left") for ax in figure.axes]
    assert titles[0].startswith("1.")
    assert "true" not in titles[0]
    assert "✓ true" in titles[2]
    assert figure.axes[2].images[0].get_array()[0, 0].tolist() == [0, 200, 0]
    assert figure.alt == "The 2 best videos for “a kite”; the true one is number 2."


def test_a_missing_truth_is_told():
    found = [Found(clip((1, 2, 3)), 1.0)]
    assert "not among them (rank 17)" in retrieval_strip("q", found, rank=17).alt
    assert "none is marked" in retrieval_strip("q", found).alt
    with pytest.raises(UserError, match="found nothing"):
        retrieval_strip("q", [])


def test_videos_of_different_length_and_shape_share_a_strip(nasty):
    found = [
        Found(clip((9, 9, 9), frames, height, 32), 1.0, label=text)
        for text, frames, height in zip(nasty, (1, 3, 2, 1), (16, 48, 32, 24), strict=False)
    ]
    for text in nasty:
        assert to_png(retrieval_strip(text, found), 1)


def test_relevance_brightens_the_right_place(parse):
    """The picture itself is checked: the relevant corner is lighter than the others."""
    maps = torch.zeros(1, 4, 4)
    maps[0, 0, 3] = 5.0
    figure = relevance_overlay(clip((150, 150, 150), 1, 64, 64), maps, "kite",
                               boxes=[[0.6, 0.1, 0.9, 0.3]])  # fmt: skip
    assert figure.alt == (
        "Relevance of the word “kite” over 1 frames. Strongest in frame 1, top right."
    )
    tinted = figure.axes[1]
    (x,), (y,) = tinted.lines[0].get_data()
    assert (x, y) == (56, 8)
    box = tinted.patches[0]
    assert box.get_xy() == pytest.approx((38.4, 6.4))
    assert box.get_width() == pytest.approx(19.2)
    picture = np.asarray(Image.open(io.BytesIO(to_png(figure, 2))).convert("L"), dtype=float)
    place = tinted.get_position()
    height, width = picture.shape
    left, right = int(place.x0 * width), int(place.x1 * width)
    top, bottom = int((1 - place.y1) * height), int((1 - place.y0) * height)
    shown = picture[top:bottom, left:right]
    part = len(shown) // 4
    assert shown[:part, -part:].mean() > 1.8 * shown[-part:, :part].mean()
    parse(to_svg(figure, "r"))


def test_flat_and_odd_relevance_draws(nasty):
    frames = clip((20, 40, 60), 3)
    for maps in (np.zeros((3, 2, 2)), np.full((3, 7, 7), np.nan), torch.rand(3, 1, 1)):
        assert to_png(relevance_overlay(frames, maps, nasty[2]), 1)
    for bad in (np.zeros((2, 4, 4)), np.zeros((4, 4)), np.zeros((3, 0, 4))):
        with pytest.raises(UserError, match="Relevance must be"):
            relevance_overlay(frames, bad, "kite")
