"""Captions of about the same length pass together: which, how wide; and nothing else changes."""

from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snpkit.model import shared, slices
from snpkit.model.slices import Slice, count_lengths, cut, even, run
from tests.model.cases import TIGHT, build, random_batch, random_weights, small_config

CPU, GPU = torch.device("cpu"), torch.device("cuda")
captions = st.lists(st.integers(1, 30), min_size=0, max_size=40)
COST = 40 + 16e6 / 768**2  # of a slice more, in tokens, on a CPU


def cost(found, beside):
    return sum(len(one.rows) * (one.width + beside) + COST for one in found)


def cheapest(lengths, beside):
    """All ways of cutting the sorted lengths, tried one after the other."""
    ordered = sorted(lengths)
    found = []
    for count in range(len(ordered)):
        for cuts in combinations(range(1, len(ordered)), count):
            ends = [*cuts, len(ordered)]
            starts = [0, *cuts]
            found.append(sum((end - start) * (ordered[end - 1] + beside) + COST
                             for start, end in zip(starts, ends, strict=True)))
    return min(found)


@given(captions, st.integers(0, 5), st.sampled_from([CPU, GPU]), st.sampled_from([None, 1, 7]))
@settings(deadline=None)
def test_every_row_is_in_one_slice_that_is_wide_enough(lengths, beside, device, most):
    found = cut(lengths, 768, device, extra=beside, limit=most)
    assert sorted(row for one in found for row in one.rows) == list(range(len(lengths)))
    for one in found:
        own = [lengths[row] for row in one.rows]
        assert one.width == max(own, default=1)
        assert one.padded == any(length < one.width for length in own)
        assert len(one.rows) <= (most or len(lengths))
        if device == CPU:
            assert len(one.rows) <= 1 or len(one.rows) * (one.width + beside) <= 1024


@given(st.lists(st.integers(1, 30), min_size=1, max_size=9), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_the_cuts_are_nearly_the_best_ones(lengths, beside):
    assert cost(cut(lengths, 768, CPU, extra=beside), beside) <= 1.25 * cheapest(lengths, beside)


def test_narrow_networks_take_fewer_slices_than_wide_ones_and_a_gpu_takes_few():
    lengths = [7, 9, 12, 15, 18, 21] * 40
    counts = [len(cut(lengths, hidden, CPU)) for hidden in (64, 256, 1024)]
    assert counts[0] == 1 and counts[0] < counts[1] < counts[2]
    assert cut(lengths, 768, GPU) == [Slice(range(240), 21, True)]


def test_equal_lengths_have_no_padding():
    found = cut([12] * 32 + [20] * 32 + [7] * 32, 768, CPU)
    assert [(one.width, len(one.rows), one.padded) for one in found] == [
        (20, 32, False), (12, 32, False), (7, 32, False)
    ]  # fmt: skip


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=5))
def test_lengths_are_counted_where_captions_are_whole(rows):
    found = count_lengths(torch.tensor(rows).long())
    whole = all(row[0] and row == sorted(row, reverse=True) for row in rows)
    assert found == ([sum(row) for row in rows] if whole else None)
    assert count_lengths(torch.ones(2, 3, device="meta")) is None  # no device is asked


@given(st.permutations(list(range(9))), st.sets(st.integers(1, 8)))
def test_rows_come_back_in_their_order(order, cuts):
    ends = [*sorted(cuts), 9]
    parts = [order[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    if len(parts) == 1:
        parts = [list(range(9))]
    found = run(lambda one: (torch.tensor(one.rows) * 10.0,), [Slice(p, 1, False) for p in parts],
                recompute=False)  # fmt: skip
    assert found[0].tolist() == [n * 10.0 for n in range(9)]


@pytest.mark.parametrize(
    ("count", "most", "sizes"), [(7, 3, [3, 3, 1]), (4, None, [4]), (0, 2, [0])]
)
def test_even_slices(count, most, sizes):
    found = even(count, most, 5)
    assert [len(one.rows) for one in found] == sizes
    assert [row for one in found for row in one.rows] == list(range(count))


LENGTHS = (6, 11, 4, 5, 6, 9)


def losses_and_gradients(model, batch):
    model.zero_grad()
    output = model(batch)
    output.loss.backward()
    return output.losses | {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def padded_pass(monkeypatch):
    """One padded pass: what happens where no lengths are known."""
    monkeypatch.setattr(slices, "count_lengths", lambda mask: None)


@pytest.mark.parametrize("changes", [
    {}, {"gradient_checkpointing_pairs": True}, {"negatives": 2, "negative_sampling": "top_k"},
    {"architecture": "three_fusion", "attn_implementation": "eager"},
])  # fmt: skip
@pytest.mark.parametrize("most", [1, 3, None])
def test_however_captions_are_cut_losses_and_gradients_stay(monkeypatch, most, changes):
    config = small_config(itm=True, lvwm_stage="both", max_position_embeddings=40, **changes)
    batch, weights = random_batch(config, LENGTHS), random_weights(config)
    wide = {
        name: torch.nn.functional.pad(value, (0, 9), value=-100 if name == "labels" else 0)
        if value.ndim == 2 and name != "significant_positions" else value
        for name, value in batch.items()
    }  # fmt: skip
    with monkeypatch.context() as patch:
        padded_pass(patch)
        expected = losses_and_gradients(build(config, weights), wide)

    whole = shared.cut
    monkeypatch.setattr(shared, "cut", lambda *a, extra, limit: whole(*a, extra=extra, limit=most))
    found = losses_and_gradients(build(config, weights), wide)
    torch.testing.assert_close(found, expected, **TIGHT)


def test_a_hidden_token_inside_a_caption_is_not_seen(monkeypatch):
    config = small_config()
    batch = random_batch(config, (8, 8, 8))
    batch["attention_mask"][1, 3] = 0
    batch["labels"][1, 3] = -100
    batch["significant_positions"][1] = 1
    model = build(config, random_weights(config))
    with monkeypatch.context() as patch:
        padded_pass(patch)
        expected = model(batch).losses
    torch.testing.assert_close(model(batch).losses, expected, **TIGHT)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("architecture", ["snp", "three_fusion"])
def test_the_first_token_alone_is_what_all_tokens_give(attention, architecture):
    config = small_config(architecture=architecture, attn_implementation=attention)
    network = build(config, random_weights(config)).network
    batch = random_batch(config, LENGTHS)
    captions = batch["input_ids"], batch["attention_mask"]
    clips = torch.randn(len(LENGTHS), 3, 24, dtype=torch.float64)
    whole = network.cross_modal_pass(*captions, clips)
    for lengths in (None, LENGTHS):
        first = network.cross_modal_pass(*captions, clips, lengths, pooled_only=True)
        assert first.text is None and first.clips is None
        torch.testing.assert_close(first.pooled, whole.pooled, **TIGHT)


def test_pairs_are_what_each_of_them_is_alone():
    config = small_config()
    network = build(config, random_weights(config)).network
    batch = random_batch(config, LENGTHS)
    captions = batch["input_ids"], batch["attention_mask"]
    clips = torch.randn(4, 3, 24, dtype=torch.float64)
    pairs = [5, 0, 2, 2, 1], torch.tensor([3, 0, 1, 2, 0])
    found = network.cross_modal_pass(*captions, clips, LENGTHS, pairs=pairs)
    for row, (text, video) in enumerate(zip(pairs[0], pairs[1].tolist(), strict=True)):
        length = LENGTHS[text]
        own = [each[[text], :length] for each in captions]
        alone = network.cross_modal_pass(*own, clips[[video]])
        torch.testing.assert_close(found.pooled[row], alone.pooled[0], **TIGHT)
        torch.testing.assert_close(found.text[row, :length], alone.text[0], **TIGHT)
        torch.testing.assert_close(found.clips[row], alone.clips[0], **TIGHT)


def test_checkpointing_keeps_less_for_the_backward_pass():
    batch, kept = random_batch(small_config(), LENGTHS), {}
    for checkpointing in (False, True):
        config = small_config(gradient_checkpointing_pairs=checkpointing)
        model, kept[checkpointing] = build(config, random_weights(config)), {}

        def note(tensor, seen=kept[checkpointing]):
            seen[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            model(batch)
    size = {name: sum(t.nbytes for t in seen.values()) for name, seen in kept.items()}
    assert size[True] < 0.6 * size[False]
