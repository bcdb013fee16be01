"""Heat maps of attention and similarity."""

import numpy as np
import pytest
import torch

from figures import attention_maps, similarity_matrix
from figures.matrices import to_matrix
from snpkit.errors import UserError
from snpkit.explore.plots import to_png, to_svg

TOKENS = ["[CLS]", "red", "kite", "[SEP]"]


def test_attention_keeps_its_orientation():
    weights = torch.zeros(4, 6)
    weights[1, 5] = 0.75
    keys = [*TOKENS, "clip 1", "clip 2"]
    figure = attention_maps(
        {"alone": (torch.eye(4), TOKENS, TOKENS), "crossed": (weights, TOKENS, keys)}, title="Head"
    )
    alone, crossed = figure.axes[:2]
    assert np.array_equal(crossed.images[0].get_array(), weights.numpy())
    assert [label.get_text() for label in crossed.get_xticklabels()] == keys
    assert [label.get_text() for label in alone.get_yticklabels()] == TOKENS
    assert "strongest from red to clip 2 (0.75)" in figure.alt
    assert to_png(figure)


def test_true_pairs_are_framed_and_counted():
    scores = torch.tensor([[0.9, 0.1, 0.0], [0.8, 0.2, 0.1]])
    figure = similarity_matrix(scores, ["a", "b"], ["x", "y", "z"], truth=[0, 1])
    frames = [(p.get_y() + 0.5, p.get_x() + 0.5) for p in figure.axes[0].patches]
    assert frames == [(0, 0), (1, 1)]
    assert "For 1 of 2 captions the true video scores highest." in figure.alt
    assert "highest" not in similarity_matrix(scores).alt  # no truth is known
    assert "For 3 of 3" in similarity_matrix(torch.eye(3)).alt


@pytest.mark.parametrize("side", [1, 8, 30, 256])
def test_all_sizes_draw(side):
    labels = [f"row {i}" for i in range(side)]
    scores = torch.randn(side, side)
    assert to_png(similarity_matrix(scores, labels, labels), 1)
    assert to_png(attention_maps({"one": (scores.softmax(1), labels, labels)}), 1)


@pytest.mark.filterwarnings("error")
def test_nasty_labels_and_odd_values_draw(nasty, parse):
    scores = np.zeros((len(nasty), len(nasty)))
    scores[0, 0], scores[1, 1] = np.nan, np.inf
    figure = similarity_matrix(scores, nasty, nasty, title=nasty[0])
    assert to_png(figure, 1)
    parse(to_svg(figure, "m"))
    assert to_png(similarity_matrix(np.full((2, 2), np.nan)), 1)
    attention = attention_maps({nasty[0]: (np.eye(len(nasty)), nasty, nasty)}, title=nasty[2])
    assert to_png(attention, 1)


def test_wrong_shapes_are_a_clear_error():
    with pytest.raises(UserError, match="3 labels do not fit 2"):
        similarity_matrix(torch.eye(2), ["a", "b", "c"])
    for bad in (torch.zeros(3), torch.zeros(0, 2), [[[1.0]]]):
        with pytest.raises(UserError, match=r"\[rows, columns\]"):
            to_matrix(bad)
    with pytest.raises(UserError, match="no attention"):
        attention_maps({})


def test_half_precision_tensors_with_gradients_are_read():
    matrix = to_matrix(torch.ones(2, 2, dtype=torch.bfloat16, requires_grad=True))
    assert matrix.tolist() == [[1, 1], [1, 1]]
