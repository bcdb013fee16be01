"""Frames and patches: the figures show the numbers that they were given."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from figures import clip_frames, patch_sheet, sampling_plan
from snpkit.errors import UserError
from snpkit.explore.plots import to_png, to_svg
from snpkit.explore.plots.style import RED


def frames(clips=2, count=3, side=8):
    draw = torch.Generator().manual_seed(0)
    shape = (clips, count, 3, side, side)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)


def test_a_plan_marks_the_frames_taken_and_all_ranges():
    figure = sampling_plan(10, 3, {"middle": [1, 4, 8], "one": [5]})
    (ax,) = figure.axes
    red = [dots for dots in ax.collections if to_hex(dots.get_facecolor()[0]) == RED]
    assert [dots.get_offsets().tolist() for dots in red] == [
        [[1, 0], [4, 0], [8, 0]],
        [[5, 1]],
    ]
    bands = [(p.get_x(), p.get_x() + p.get_width()) for p in ax.patches]
    assert bands == [(-0.5, 2.5), (2.5, 5.5), (5.5, 9.5)]
    assert "middle: 1, 4, 8; one: 5." in figure.alt
    for wrong in ({}, {"a": [10]}, {"a": [-1]}):
        with pytest.raises(UserError, match="10 of them"):
            sampling_plan(10, 3, wrong)


def test_clips_stand_in_rows_with_numbers_grid_and_values():
    clips, values = frames(), np.arange(24).reshape(2, 3, 2, 2)
    numbers = [[0, 2, 4], [6, 8, 9]]
    figure = clip_frames(clips, numbers=numbers, cells=(2, 2), values=values, title="A kite")
    assert len(figure.axes) == 6
    for place, ax in enumerate(figure.axes):
        clip, frame = divmod(place, 3)
        shown = ax.images[0].get_array()
        assert (shown == clips[clip, frame].permute(1, 2, 0).numpy()).all()
        assert f"(no. {numbers[clip][frame]})" in ax.get_title()
        assert [text.get_text() for text in ax.texts] == [str(4 * place + i) for i in range(4)]
        assert {line.get_xdata()[0] for line in ax.lines} >= {3.5}  # the border of two cells
    assert figure.alt == (
        "A kite: 2 clips of 3 frames, taken at 0, 2, 4, 6, 8, 9, cut into 2 by 2 cells each, "
        "largest value 23 in clip 1, frame 2, row 1, column 1."
    )


def test_patches_lie_in_reading_order():
    frame = frames()[0, 0]
    whole, sheet = patch_sheet(frame, 4).axes
    assert [text.get_text() for text in whole.texts] == ["0", "1", "2", "3"]
    for number, image in enumerate(sheet.images):
        row, column = divmod(number, 2)
        cut = frame[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert (image.get_array() == cut.permute(1, 2, 0).numpy()).all()
    with pytest.raises(UserError, match="do not cut"):
        patch_sheet(frame, 3)


@pytest.mark.filterwarnings("error")
def test_all_draw_as_png_and_svg_whatever_the_names(nasty, parse):
    name = " ".join(nasty[:4])
    figures = [
        sampling_plan(5, 2, {name: [1, 3]}),
        clip_frames(frames(1, 1), title=name),
        patch_sheet(frames()[0, 0], 8),
    ]
    for figure in figures:
        assert to_png(figure, 1)
        parse(to_svg(figure, "s"))
