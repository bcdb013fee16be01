"""Exercises of notebook 01: from pixels to grid features and clip tokens."""

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F

from snpkit.model.vision.windows import cut_windows, join_windows
from snpkit.video.sampling import sample_frames

from . import Exercise, called

POOLED = torch.tensor([[4.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 4.0]])  # [cells, channels]


def _judge_grid_cells(answer: Any) -> str | None:
    known = {
        36: "36 are the cells of one frame; a video gives 2 clips of 4 frames.",
        144: "144 are the cells of one clip; a video gives 2 clips.",
        48: "48 counts one side of the grid; a frame is cut along both its sides.",
        128: "128 would be right for frames of 64 pixels a side; these have 96.",
    }
    if answer == 288:
        return None
    return known.get(answer) or (
        f"{answer!r} is not the number of cells; multiply the cells of one frame by frames and "
        "clips."
    )


def _judge_middle_frames(answer: Any) -> str | None:
    for count, ranges in ((16, 4), (43, 8), (100, 1), (7, 3), (3, 8)):
        found = [int(number) for number in called(answer, count, ranges)]
        right = sample_frames(count, ranges, 1)[:, 0].tolist()
        where = f"for {count} frames in {ranges} ranges"
        if len(found) != ranges:
            return f"{where} it gives {len(found)} numbers; every range gives one."
        if min(found) < 0 or max(found) >= count:
            return f"{where} it gives {found}, but the last frame has the number {count - 1}."
        if found != right:
            return f"{where} it gives {found}; the middle frames are {right}."
    return None


def _first_frames(count: int, ranges: int) -> list[int]:
    return [i * count // ranges for i in range(ranges)]


def _equal_steps(count: int, ranges: int) -> list[int]:
    step = count // ranges
    return [i * step + step // 2 for i in range(ranges)]


def _judge_embed_patches(answer: Any) -> str | None:
    draw = torch.Generator().manual_seed(1)
    image, weight, bias = (
        torch.randn(*shape, generator=draw) for shape in ((3, 16, 24), (5, 3, 8, 8), (5,))
    )
    right = F.conv2d(image[None], weight, bias, stride=8)[0].permute(1, 2, 0)
    found = called(answer, image, weight, bias)
    if tuple(found.shape) != tuple(right.shape):
        return (
            f"an image of 16 x 24 pixels in patches of 8 with 5 channels gives a grid of shape "
            f"{tuple(right.shape)}, [height, width, channels], but this one is "
            f"{tuple(found.shape)}."
        )
    if torch.allclose(found, right, atol=1e-4):
        return None
    if torch.allclose(found + bias, right, atol=1e-4):
        return "the products are right, but the bias is missing."
    return (
        "the shape is right, the numbers are not: a patch must be laid out as the weight is, "
        "channel by channel, and rows before columns."
    )


def _cut(image: torch.Tensor, side: int) -> torch.Tensor:
    """[3, height, width] -> [height / side, width / side, 3, side, side]."""
    return image.unfold(1, side, side).unfold(2, side, side).permute(1, 2, 0, 3, 4)


def _without_bias(image: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return _cut(image, weight.shape[-1]).flatten(2) @ weight.flatten(1).T


def _channels_last(image: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    pixels = _cut(image, weight.shape[-1]).permute(0, 1, 3, 4, 2).flatten(2)
    return pixels @ weight.flatten(1).T + bias


def _channels_first(image: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.conv2d(image[None], weight, bias, stride=weight.shape[-1])[0]


def _judge_receptive_side(answer: Any) -> str | None:
    for steps, right in ((1, 3), (2, 7), (3, 15), (4, 31)):
        found = called(answer, steps)
        if found != right:
            return f"of {steps} such convolutions a cell sees {right} pixels a side, not {found}."
    return None


def _judge_window_of(answer: Any) -> str | None:
    size, window = (4, 8, 8), (2, 4, 4)
    for shift in ((0, 0, 0), (1, 2, 2)):
        right = _window_places(size, window, shift)
        for cell in product(*(range(side) for side in size)):
            found = tuple(int(i) for i in called(answer, cell, window, shift, size))
            if found != right[cell]:
                return f"with shift {shift}, cell {cell} lies in window {right[cell]}, not {found}."
    return None


def _window_places(
    size: tuple[int, int, int], window: tuple[int, int, int], shift: tuple[int, int, int]
) -> dict[tuple[int, ...], tuple[int, ...]]:
    """Cell -> its window, found by rolling and cutting a grid as the network does."""
    counts = [side // unit for side, unit in zip(size, window, strict=True)]
    cells = torch.zeros(1, *size, 1, dtype=torch.long)
    numbers = torch.zeros_like(cut_windows(cells, window))
    numbers += torch.arange(numbers.shape[1])[None, :, None, None]
    joined = join_windows(numbers, window, size)[0, ..., 0].roll(shift, (0, 1, 2))
    places = list(product(*(range(count) for count in counts)))
    return {cell: places[joined[cell]] for cell in product(*(range(side) for side in size))}


def _guess_window(move: Callable[[int, int, int], int]) -> Callable[..., tuple[int, ...]]:
    """A solver of "window_of" that moves each coordinate its own way."""

    def window_of(cell: Any, window: Any, shift: Any, size: Any) -> tuple[int, ...]:
        axes = zip(cell, window, shift, size, strict=True)
        return tuple(move(place, step, side) // unit for place, unit, step, side in axes)

    return window_of


def _judge_pooling(answer: Any) -> str | None:
    other = torch.as_tensor(answer, dtype=torch.float32)
    if other.shape != POOLED.shape:
        return f"the grid must be of shape [4 cells, 2 channels], not {tuple(other.shape)}."
    if not torch.allclose(other.mean(0), POOLED.mean(0)):
        return f"its mean is {other.mean(0).tolist()}, the one to meet is [1.0, 1.0]."
    if torch.allclose(other.amax(0), POOLED.amax(0)):
        return (
            "mean and maximum are both the same, so both poolings confuse the two grids; "
            "spread what one cell holds over several."
        )
    return None


EXERCISES = (
    Exercise(
        "grid_cells",
        "count the cells along one side of a frame first.",
        _judge_grid_cells,
        "6 x 6 cells, 4 frames, 2 clips: attention compares the 144 cells of a clip in pairs.",
        (36, 144, 48, 128, 300),
    ),
    Exercise(
        "middle_frames",
        "range i goes from i * frame_count // ranges up to where the next one starts.",
        _judge_middle_frames,
        "This is all that a model in testing ever sees of a video.",
        (
            _first_frames,
            _equal_steps,
            lambda count, ranges: [count // 2],
            lambda count, ranges: [(i + 1) * count // ranges for i in range(ranges)],
        ),
    ),
    Exercise(
        "embed_patches",
        "cut with image.unfold(1, side, side).unfold(2, side, side), then flatten each patch.",
        _judge_embed_patches,
        "Patch embedding is one matrix product, the same matrix for every patch.",
        (_without_bias, _channels_last, _channels_first),
    ),
    Exercise(
        "receptive_side",
        "one convolution sees 3 pixels; how far apart are the neighbours that the next one joins?",
        _judge_receptive_side,
        "The grid halves each time, so every step adds twice as many pixels as the one before.",
        (lambda n: 2**n, lambda n: 3**n, lambda n: 2 * n + 1),
    ),
    Exercise(
        "window_of",
        "rolling by -shift moves a cell from place p to (p - shift) % size; then divide.",
        _judge_window_of,
        "With the remainder the grid stays whole; the mask then parts what only the roll joined.",
        (
            _guess_window(lambda place, step, side: place),
            _guess_window(lambda place, step, side: place - step),
            _guess_window(lambda place, step, side: (place + step) % side),
        ),
    ),
    Exercise(
        "pooling",
        "the mean of each column must stay 1, but the largest number of a column must change.",
        _judge_pooling,
        "The mean cannot tell a strong sign in one place from a weak one everywhere; "
        "mean plus maximum can.",
        (POOLED.flip(0), 2 * POOLED, torch.ones(2, 2), torch.zeros(4, 2)),
    ),
)
