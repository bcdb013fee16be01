"""Captions of about the same length pass together: which, how wide; and nothing else changes."""

from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snpkit.model import lengths as module
from snpkit.model.lengths import (
    Facts,
    Lengths,
    chunk_overhead,
    make_chunks,
    put_back,
    with_facts,
)
from tests.model.cases import TIGHT, build, random_batch, random_weights, small_config

CPU, GPU = torch.device("cpu"), torch.device("cuda")
captions = st.lists(st.integers(1, 30), min_size=1, max_size=40)


def cost(chunks, extra, overhead):
    return sum(len(c.rows) * (c.length + extra) + overhead for c in chunks)


def cheapest(lengths, extra, overhead):
    """All ways of cutting the sorted lengths, tried one after the other."""
    ordered = sorted(lengths)
    found = []
    for count in range(len(ordered)):
        for cuts in combinations(range(1, len(ordered)), count):
            ends = [*cuts, len(ordered)]
            starts = [0, *cuts]
            found.append(sum((end - start) * (ordered[end - 1] + extra) + overhead
                             for start, end in zip(starts, ends, strict=True)))
    return min(found)


@given(captions, st.integers(0, 5), st.sampled_from([CPU, GPU]))
@settings(deadline=None)
def test_every_row_is_in_one_chunk_that_is_wide_enough(tokens, extra, device):
    chunks = make_chunks(Lengths(tuple(tokens)), device, 768, extra)
    assert sorted(row for chunk in chunks for row in chunk.rows) == list(range(len(tokens)))
    for chunk in chunks:
        longest = max(tokens[row] for row in chunk.rows)
        assert chunk.length >= longest
        shorter = any(tokens[row] < chunk.length for row in chunk.rows)
        assert chunk.padded or not shorter
        if device == CPU:
            assert len(chunk.rows) == 1 or len(chunk.rows) * (chunk.length + extra) <= 1024


@given(st.lists(st.integers(1, 30), min_size=1, max_size=9), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_no_other_cuts_take_less_time(tokens, extra):
    overhead = chunk_overhead(CPU, 768)
    chunks = make_chunks(Lengths(tuple(tokens)), CPU, 768, extra)
    assert cost(chunks, extra, overhead) == pytest.approx(cheapest(tokens, extra, overhead))


def test_narrow_networks_take_fewer_chunks_than_wide_ones():
    lengths = Lengths((7, 9, 12, 15, 18, 21) * 40)
    counts = [len(make_chunks(lengths, CPU, hidden)) for hidden in (64, 256, 1024)]
    assert counts[0] == 1 and counts[0] < counts[1] < counts[2]


def test_equal_lengths_have_no_padding_and_a_gpu_takes_few_chunks():
    tokens = (12,) * 16 + (20,) * 16 + (7,) * 16
    chunks = make_chunks(Lengths(tokens), CPU, 768)
    assert [(c.length, len(c.rows), c.padded) for c in chunks] == [
        (7, 16, False), (12, 16, False), (20, 16, False)
    ]  # fmt: skip
    (whole,) = make_chunks(Lengths(tokens), GPU, 768)
    assert whole.rows == tuple(range(48)) and whole.length == 20 and whole.padded
    # A hidden token inside must stay hidden, also where all have one length.
    assert all(c.padded for c in make_chunks(Lengths(tokens, whole=False), CPU, 768))


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=5))
def test_lengths_of_a_mask(rows):
    found = Lengths.of(torch.tensor(rows).long())
    last = [max((n + 1 for n, real in enumerate(row) if real), default=1) for row in rows]
    assert list(found.tokens) == last
    assert found.whole == all(all(row[:n]) for row, n in zip(rows, last, strict=True))


@given(st.permutations(list(range(9))), st.sets(st.integers(1, 8)))
def test_rows_come_back_in_their_order(order, cuts):
    ends = [*sorted(cuts), 9]
    pieces = [tuple(order[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
    parts = [torch.tensor(piece) * 10.0 for piece in pieces]
    joined = put_back(parts, pieces) if len(parts) > 1 else put_back(parts, [tuple(range(9))])
    assert joined.tolist() == [n * 10.0 for n in (range(9) if len(parts) > 1 else order)]


def test_facts_are_counted_once_and_stay_where_they_are():
    batch = random_batch(small_config(itm=True))
    found = with_facts(batch)
    labelled = int((batch["labels"] != -100).sum())
    assert found["facts"] == Facts(Lengths((6, 11, 4)), Lengths((6, 11, 4)), labelled)
    assert "facts" not in batch
    known = Facts(labelled=7)
    assert with_facts({**batch, "facts": known})["facts"].to("cuda", non_blocking=True) is known
    on_device = {name: value.to("meta") for name, value in batch.items()}
    assert with_facts(on_device)["facts"] == Facts()  # what lies elsewhere is not asked for


LENGTHS = (6, 11, 4, 5, 6, 9)


def losses_and_gradients(model, batch):
    model.zero_grad()
    output = model(batch)
    output.loss.backward()
    return output.losses | {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("overhead", [0, 48, 10_000])
def test_however_captions_are_cut_losses_and_gradients_stay(monkeypatch, overhead, checkpointing):
    config = small_config(itm=True, lvwm_stage="both", max_position_embeddings=40)
    batch, weights = random_batch(config, LENGTHS), random_weights(config)
    wide = {
        name: torch.nn.functional.pad(value, (0, 9), value=-100 if name == "labels" else 0)
        if value.ndim == 2 and name != "significant_positions" else value
        for name, value in batch.items()
    }  # fmt: skip
    with monkeypatch.context() as patch:  # one padded pass: what happens where nothing is known
        patch.setattr(Facts, "of", lambda batch: Facts())
        expected = losses_and_gradients(build(config, weights), wide)
    monkeypatch.setattr(module, "chunk_overhead", lambda device, hidden: overhead)
    monkeypatch.setattr(module, "chunk_limit", lambda device, hidden: 40)
    config.gradient_checkpointing_pairs = checkpointing
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
        patch.setattr(Facts, "of", lambda batch: Facts())
        expected = model(batch).losses
    torch.testing.assert_close(model(batch).losses, expected, **TIGHT)


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
