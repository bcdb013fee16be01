"""Padding: the picture stays where it is, zeros fill the square, and the mask tells them apart."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from snpkit.errors import UserError
from snpkit.video.reader import pad_square, read_clips, read_square

sides = st.integers(1, 9)


@given(sides, sides, st.integers(0, 3))
def test_the_mask_marks_the_picture_and_nothing_else(height, width, more):
    size = max(height, width) + more
    frames = torch.randint(1, 256, (2, 3, 3, height, width), dtype=torch.uint8)
    padded, mask = pad_square(frames, size)
    assert padded.dtype == torch.uint8 and padded.shape == (2, 3, 3, size, size)
    assert mask.dtype == torch.bool and mask.shape == (2, 3, size, size)
    assert torch.equal(padded[..., :height, :width], frames)
    assert torch.equal(mask, (padded > 0).all(2))  # no pixel of these frames is black
    assert mask.sum() == 6 * height * width


def test_frames_that_are_too_large_are_refused():
    with pytest.raises(UserError, match="9 x 5 do not fit into 8 x 8"):
        pad_square(torch.zeros(1, 3, 5, 9, dtype=torch.uint8), 8)


def test_a_model_reads_crops_or_whole_pictures(tmp_path):
    path = tmp_path / "wide.png"
    Image.fromarray(np.full((20, 40, 3), 200, np.uint8)).save(path)
    crop, none = read_square(path, 2, 1, size=16, fit="crop")
    assert none is None and torch.equal(crop, read_clips(path, 2, 1, size=16))
    whole, mask = read_square(path, 2, 1, size=16, fit="long")
    assert whole.shape == (2, 1, 3, 16, 16)
    assert mask.sum() == 2 * 16 * 8 and (whole[..., :8, :] == 200).all()
