"""The proxy tasks' formulas: brute force, properties, gradients."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch import Tensor

from snpkit.model import objectives
from tests.benchmarks.straightforward import nce
from tests.model.cases import TIGHT, build, random_batch, random_weights, small_config


def brute_force_nce(s: list[list[list[float]]]) -> float:
    """The formula of `mil_nce` with loops over Python numbers; -inf = not computed."""
    size, total = len(s), 0.0
    for i in range(size):
        clips = len(s[i][i])
        centre = clips // 2
        column = sum(clips * math.exp(s[t][i][centre]) for t in range(size))
        row = sum(math.exp(x) for v in range(size) if v != i for x in s[i][v])
        total -= math.log(clips * math.exp(s[i][i][centre]) / (column + row))
    return total / size


@st.composite
def similarities(draw: st.DrawFn) -> Tensor:
    """Scores [text, video, clip] of any small size, some pairs other than a text's own missing."""
    size, clips = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale = draw(st.sampled_from([0.1, 1.0, 10.0, 60.0]))
    scores = scale * torch.randn(size, size, clips, generator=generator, dtype=torch.float64)
    missing = torch.rand(size, size, generator=generator) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    return scores.masked_fill((missing & ~torch.eye(size, dtype=torch.bool))[:, :, None], -math.inf)


@given(similarities())
def test_mil_nce_is_the_formula(scores) -> None:
    expected = torch.tensor(brute_force_nce(scores.tolist()), dtype=torch.float64)
    torch.testing.assert_close(objectives.mil_nce(scores), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(nce(scores), expected, rtol=1e-9, atol=1e-9)


@given(similarities())
def test_mil_nce_has_finite_gradients_and_none_for_missing_pairs(scores) -> None:
    leaf = scores.clone().requires_grad_()
    objectives.mil_nce(leaf).backward()
    assert torch.isfinite(leaf.grad).all()
    assert (leaf.grad[scores.isinf()] == 0).all()


@given(similarities(), st.integers(-300, 300))
def test_mil_nce_does_not_feel_a_common_shift_and_never_falls_below_zero(scores, shift) -> None:
    loss = objectives.mil_nce(scores)
    torch.testing.assert_close(objectives.mil_nce(scores + shift), loss, rtol=1e-9, atol=1e-9)
    assert loss >= -1e-12


@given(similarities(), st.integers(0, 2**31))
def test_mil_nce_does_not_feel_the_order_of_the_pairs(scores, seed) -> None:
    order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(
        objectives.mil_nce(scores[order][:, order]), objectives.mil_nce(scores), **TIGHT
    )


def test_mil_nce_survives_scores_that_overflow_exp() -> None:
    scores = 1000 * torch.eye(3, dtype=torch.float64)[:, :, None]
    assert objectives.mil_nce(scores) == 0
    assert objectives.mil_nce(-scores) == pytest.approx(1000 + math.log(4), abs=1e-9)


def test_mil_nce_of_unequal_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="as many texts as videos, got 3 and 2"):
        objectives.mil_nce(torch.zeros(3, 2, 1))


@given(similarities(), st.sampled_from([0.05, 1.0]))
def test_momentum_contrast_is_the_formula(scores, temperature) -> None:
    scores = torch.tanh(scores)  # cosines; -inf becomes -1
    positive, negative = scores[:, 0], scores.flatten(1)
    expected = 0.0
    for p, n in zip(positive.tolist(), negative.tolist(), strict=True):
        good = sum(math.exp(x / temperature) for x in p)
        expected -= math.log(good / (good + sum(math.exp(x / temperature) for x in n)))
    actual = objectives.momentum_contrast(positive, negative, temperature)
    assert actual.item() == pytest.approx(expected / len(positive), abs=1e-9)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**31))
def test_word_scores_count_present_words_only(texts, words, clips, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(texts, words, 6, generator=generator, dtype=torch.float64)
    features = torch.randn(texts + 1, clips, 6, generator=generator, dtype=torch.float64)
    present = torch.rand(texts, words, generator=generator) < 0.6
    present[:, 0] = True
    scores = objectives.word_video_similarity(vectors, present, features)
    assert scores.shape == (texts, texts + 1, clips)
    for t, v, c in torch.cartesian_prod(*map(torch.arange, scores.shape)).tolist():
        dots = [vectors[t, w] @ features[v, c] for w in range(words) if present[t, w]]
        expected = math.log(sum(math.exp(dot) for dot in dots))
        assert scores[t, v, c].item() == pytest.approx(expected, abs=1e-9)


def test_masked_language_modelling_and_matching_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    first = -math.log(math.e / (math.e**2 + 1 + math.e))
    loss = objectives.masked_language_modelling(logits, torch.tensor([2, 0]))
    assert loss.item() == pytest.approx((first + math.log(3)) / 2, abs=1e-12)
    positive = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    negative = torch.tensor([[3.0, 0.0]], dtype=torch.float64)
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-3))) / 2
    actual = objectives.image_text_matching(positive, negative)
    assert actual.item() == pytest.approx(expected, abs=1e-12)


def test_masked_language_modelling_without_labels_is_zero_with_zero_gradient() -> None:
    logits = torch.zeros(0, 7, requires_grad=True)
    loss = objectives.masked_language_modelling(logits, torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss == 0 and logits.grad.shape == (0, 7)


@given(st.integers(1, 8), st.integers(1, 9), st.integers(0, 2**31))
def test_drawn_negatives_are_others_and_all_different(size, count, seed) -> None:
    torch.manual_seed(seed)
    drawn = objectives.draw_negatives(20 * torch.randn(size, size), count)
    assert drawn.shape == (size, min(count, size - 1))
    for text, videos in enumerate(drawn.tolist()):
        assert text not in videos and len(set(videos)) == len(videos)
        assert set(videos) <= set(range(size))


def assert_shares(indices: Tensor, expected: Tensor) -> None:
    """Observed shares lie within 5 standard deviations of the expected ones."""
    observed = torch.bincount(indices.flatten(), minlength=len(expected)) / indices.numel()
    allowed = 5 * (expected * (1 - expected) / indices.numel()).sqrt()
    assert ((observed - expected).abs() <= allowed).all(), (observed, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_negatives_are_drawn_like_the_exponential_of_their_scores(dtype) -> None:
    torch.manual_seed(1)
    scores = torch.tensor([0.5, 0.0, 1.0, 2.0, -1.0, -3.0], dtype=torch.float64)
    # Rows 6 and on belong to no video of the table, so that all six may be drawn.
    drawn = objectives.draw_negatives(scores.expand(50_000, 6).to(dtype), 2)[6:]
    chance = scores.softmax(0)
    assert_shares(drawn[:, 0], chance)
    for first in range(4):  # the second one: the same weights without the first
        rest = chance.clone()
        rest[first] = 0
        assert_shares(drawn[drawn[:, 0] == first, 1], rest / rest.sum())


def test_negatives_of_the_own_row_share_the_weight_of_the_own_video() -> None:
    torch.manual_seed(2)
    scores = torch.tensor([2.0, 0.0, 1.0], dtype=torch.float64)
    drawn = [objectives.draw_negatives(scores.expand(3, 3), 1)[0] for _ in range(4000)]
    assert_shares(torch.stack(drawn), torch.tensor([0, 1, math.e]) / (1 + math.e))


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(0, 2**31))
def test_attended_words_are_words_and_as_many_as_the_quota(counts, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    words = torch.zeros(len(counts), 64, dtype=torch.bool)
    for row, count in enumerate(counts):
        words[row, torch.randperm(64, generator=generator)[:count]] = True
    received = 10 * torch.rand(words.shape, generator=generator)
    drawn = objectives.draw_attended(received, words)
    assert not (drawn & ~words).any()
    quota = [min(count, max(int(count * 0.15), 1)) for count in counts]
    assert drawn.sum(1).tolist() == quota


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_attended_words_are_drawn_like_the_attention_they_receive(dtype) -> None:
    torch.manual_seed(3)
    received = torch.tensor([5.0, 1.0, 2.0, 0.25, 0.0, 4.0])
    words = torch.tensor([False, True, True, True, True, False])
    drawn = objectives.draw_attended(received.expand(50_000, 6).to(dtype), words.expand(50_000, 6))
    assert (drawn.sum(1) == 1).all()
    weights = (received + 1e-6) * words
    assert_shares(drawn.int().argmax(1), (weights / weights.sum()).double())


def test_words_without_attention_can_still_be_drawn() -> None:
    torch.manual_seed(4)
    words = torch.ones(500, 4, dtype=torch.bool)
    drawn = objectives.draw_attended(torch.zeros(500, 4), words)
    assert (drawn.sum(1) == 1).all() and drawn.any(0).all()


TINY = {"hidden_size": 4, "num_attention_heads": 2, "intermediate_size": 4, "vocab_size": 107}
TASKS: dict[str, dict[str, object]] = {
    "text_mlm": {},
    "cross_mlm": {},
    "gvtm_text_video": {},
    "gvtm_cross_modal": {},
    "lvwm": {"lvwm_stage": "both", "logit_scale": 2.0},
    "itm": {"itm": True, "tasks": []},
    "moco": {"level1": "moco", "moco_momentum": 1.0, "tasks": ["gvtm_text_video"]},
}
LEAVES = (
    "network.bert.embeddings.word_embeddings.weight",
    "network.bert.embeddings.token_type_embeddings.weight",
    "network.bert.encoder.layer.1.attention.self.key.weight",
    "video.projection.weight",
)


@pytest.mark.parametrize("task", TASKS)
def test_gradient_of_every_loss(task) -> None:
    """With respect to the grid features and to weights of both roles of the network.

    The 428 numbers of the word embeddings move along eight random directions, which no wrong
    gradient survives; every other number moves by itself.
    """
    config = small_config(**TINY, clips=2, vision_width=2, **({"tasks": [task]} | TASKS[task]))
    batch = random_batch(config, (4, 5), grid=1)
    batch["labels"] = batch["input_ids"].masked_fill(batch["input_ids"] < 104, -100)
    model = build(config, random_weights(config)).train()
    start = {name: buffer.clone() for name, buffer in model.named_buffers()}
    words = model.get_parameter(LEAVES[0]).detach()
    torch.manual_seed(7)
    directions = torch.randn(8, *words.shape, dtype=words.dtype)

    def loss(pixel_values: Tensor, *weights: Tensor) -> Tensor:
        for name, buffer in model.named_buffers():  # MoCo's queues move at every step
            buffer.data.copy_(start[name])
        along = words + torch.einsum("d,dwh->wh", weights[0], directions)
        chosen = dict(zip(LEAVES, (along, *weights[1:]), strict=True))
        arguments = (batch | {"pixel_values": pixel_values},)
        return torch.func.functional_call(model, chosen, arguments).loss

    inputs = [batch["pixel_values"], directions.new_zeros(8)]
    inputs += [model.get_parameter(name).detach() for name in LEAVES[1:]]
    for leaf in inputs:
        leaf.requires_grad_()
    gradients = torch.autograd.grad(loss(*inputs), inputs, allow_unused=True)
    moves = [g is not None and bool(g.abs().max() > 1e-6) for g in gradients]
    sees_video = task != "text_mlm"
    assert moves == [sees_video, True, True, True, sees_video]
    # MoCo's keys follow the pixels too, but by design no gradient flows through them.
    inputs[0].requires_grad_(sees_video and task != "moco")
    inputs[4].requires_grad_(sees_video)
    assert torch.autograd.gradcheck(loss, inputs, atol=1e-6)
