"""Masking: true labels, exact quotas, significant words first, 80/10/10, real replacements."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizer

from snpkit.language.counting import WordCounts
from snpkit.language.masking import (
    IGNORE,
    MaskVocabulary,
    draw_significant_positions,
    mask_significant,
    mask_tokens,
    quota,
)
from snpkit.language.significance import SignificanceTable
from snpkit.language.tokenizer import SPECIAL_TOKENS, CaptionBatch

PAD, CLS, SEP, MASK = 0, 2, 3, 4
FIRST, LAST = 5, 60  # ids of real tokens: 5..59
VOCABULARY = MaskVocabulary(MASK, torch.arange(FIRST, LAST), torch.arange(40, LAST))
seeds = st.integers(0, 2**31)


def make_batch(captions):
    """A batch from captions given as lists of words, a word being its number of pieces."""
    ids = torch.Generator().manual_seed(len(captions))
    length = max(sum(words) for words in captions) + 2
    word_ids = torch.full((len(captions), length), -1)
    input_ids = torch.full((len(captions), length), PAD)
    for row, words in enumerate(captions):
        pieces = [index for index, size in enumerate(words) for _ in range(size)]
        end = len(pieces) + 1
        word_ids[row, 1:end] = torch.tensor(pieces, dtype=torch.long)
        input_ids[row, 0], input_ids[row, end] = CLS, SEP
        input_ids[row, 1:end] = torch.randint(FIRST, LAST, (len(pieces),), generator=ids)
    attention = (input_ids != PAD).long()
    return CaptionBatch(input_ids, attention, word_ids, [["w"] * len(words) for words in captions])


def flags_of(batch, significant):
    """bool [batch, tokens] from the significant word numbers of each caption."""
    rows = zip(batch.word_ids.tolist(), significant, strict=True)
    return torch.tensor([[word in words for word in row] for row, words in rows])


@st.composite
def batches(draw):
    captions = draw(st.lists(st.lists(st.integers(1, 4), max_size=28), min_size=1, max_size=6))
    significant = [draw(st.sets(st.integers(0, len(c) - 1))) if c else set() for c in captions]
    return captions, significant


def oracle_quota(tokens, ratio):
    """The rule in whole hundredths, exactly."""
    if tokens == 0:
        return 0
    whole, rest = divmod(tokens * round(100 * ratio), 100)
    return min(max(1, whole + (rest >= 30)), tokens)


def masked_units(labels, word_ids):
    """The words that carry labels; fails when a word is labelled only in part."""
    units = []
    for row, words in zip((labels != IGNORE).tolist(), word_ids.tolist(), strict=True):
        chosen = {w for on, w in zip(row, words, strict=True) if on}
        assert all(on == (w in chosen) for on, w in zip(row, words, strict=True))
        units.append(chosen)
    return units


@given(st.integers(0, 500), st.integers(0, 100).map(lambda percent: percent / 100))
def test_quota_is_the_rule(tokens, ratio):
    assert quota(torch.tensor([tokens]), ratio).tolist() == [oracle_quota(tokens, ratio)]


def test_quota_of_usual_lengths():
    # floor(0.15 n) and one more from 0.3 on: 0.9 -> 1, 1.2 -> 1, 1.35 -> 2, 1.95 -> 2, 3.0 -> 3.
    assert quota(torch.tensor([0, 1, 6, 8, 9, 13, 20, 28])).tolist() == [0, 1, 1, 1, 2, 2, 3, 4]
    assert quota(torch.tensor([2, 22, 42])).tolist() == [1, 4, 7]  # n.3, which binary cannot hold


@given(batches(), seeds)
def test_significant_words_are_taken_first_and_whole(case, seed):
    captions, significant = case
    batch = make_batch(captions)
    flags = flags_of(batch, significant)
    masked = mask_significant(
        batch, flags, VOCABULARY, generator=torch.Generator().manual_seed(seed)
    )
    for chosen, sizes, words in zip(
        masked_units(masked.labels, batch.word_ids), captions, significant, strict=True
    ):
        wanted = oracle_quota(sum(sizes), 0.15)
        taken = sum(sizes[w] for w in chosen)
        assert taken >= wanted
        # Without its last word the quota was not reached yet: some chosen word must account for it.
        assert not chosen or taken - max(sizes[w] for w in chosen) < wanted
        if chosen - words:  # another word only when no significant one is left
            assert words <= chosen
            assert sum(sizes[w] for w in words) < wanted


@given(batches(), seeds)
def test_labels_are_true_and_replacements_real(case, seed):
    captions, significant = case
    batch = make_batch(captions)
    before = batch.input_ids.clone()
    generator = torch.Generator().manual_seed(seed)
    flags = flags_of(batch, significant)
    for masked, allowed in (
        (mask_significant(batch, flags, VOCABULARY, generator=generator), range(40, LAST)),
        (mask_tokens(batch, VOCABULARY, generator=generator), range(FIRST, LAST)),
        (mask_tokens(batch, VOCABULARY, generator=generator, unit="word"), range(FIRST, LAST)),
    ):
        hidden = masked.labels != IGNORE
        assert torch.equal(batch.input_ids, before)
        assert torch.equal(masked.labels[hidden], before[hidden])
        assert torch.equal(masked.input_ids[~hidden], before[~hidden])
        assert not (hidden & (batch.word_ids < 0)).any()
        written = masked.input_ids[hidden & (masked.input_ids != before)]
        assert all(token == MASK or token in allowed for token in written.tolist())
        assert masked.input_ids.dtype == masked.labels.dtype == torch.int64
    same = (mask_tokens(batch, VOCABULARY, generator=generator.manual_seed(1)) for _ in range(2))
    assert all(torch.equal(first, second) for first, second in zip(*same, strict=True))


@given(batches(), seeds)
def test_tokens_meet_the_quota_exactly(case, seed):
    captions, significant = case
    batch = make_batch(captions)
    flags = flags_of(batch, significant)
    generator = torch.Generator().manual_seed(seed)
    masked = mask_tokens(batch, VOCABULARY, generator=generator)
    chosen = mask_significant(batch, flags, VOCABULARY, generator=generator, unit="token")
    wanted = [oracle_quota(sum(sizes), 0.15) for sizes in captions]
    assert (masked.labels != IGNORE).sum(1).tolist() == wanted
    assert (chosen.labels != IGNORE).sum(1).tolist() == wanted
    # Token by token, too, significant ones come first.
    taken = ((chosen.labels != IGNORE) & flags).sum(1).tolist()
    there = flags.sum(1).tolist()
    assert taken == [min(a, b) for a, b in zip(there, wanted, strict=True)]


def within_binomial(successes, trials, share):
    """Within five standard deviations: fails by chance once in a million."""
    return abs(successes - trials * share) < 5 * math.sqrt(trials * share * (1 - share))


@pytest.mark.parametrize("unit", ["word", "token"])
def test_eighty_ten_ten(unit):
    batch = make_batch([[1, 2, 1, 3, 1, 1, 2, 1]] * 4000)
    flags = torch.rand(batch.word_ids.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    generator = torch.Generator().manual_seed(2)
    masked = mask_significant(batch, flags, VOCABULARY, generator=generator, unit=unit)
    hidden = masked.labels != IGNORE
    before = torch.nn.functional.pad(batch.word_ids[:, :-1], (1, 0), value=-1)
    starts = hidden & (batch.word_ids != before) if unit == "word" else hidden
    count = int(starts.sum())
    masks = int((starts & (masked.input_ids == MASK)).sum())
    same = int((starts & (masked.input_ids == batch.input_ids)).sum())
    assert within_binomial(masks, count, 0.8)
    assert within_binomial(same, count, 0.1)
    assert within_binomial(count - masks - same, count, 0.1)


def test_a_word_has_one_fate():
    batch = make_batch([[3, 3, 3]] * 500)
    everything = batch.word_ids >= 0
    masked = mask_significant(
        batch, everything, VOCABULARY, ratio=1.0, generator=torch.Generator().manual_seed(0)
    )
    fates = torch.full(batch.word_ids.shape, 2)  # 2 = another token
    fates[masked.input_ids == MASK], fates[masked.input_ids == batch.input_ids] = 0, 1
    pieces = fates[:, 1:10].reshape(-1, 3)
    assert (pieces == pieces[:, :1]).all()
    assert set(pieces[:, 0].tolist()) == {0, 1, 2}


def test_replacements_are_drawn_evenly_and_never_the_token_itself():
    batch = make_batch([[1] * 20] * 3000)
    candidates = torch.tensor([7, 9, 40, 41])
    vocabulary = MaskVocabulary(MASK, candidates, candidates)
    batch.input_ids[:, 1:21] = 9
    masked = mask_tokens(batch, vocabulary, ratio=1.0, generator=torch.Generator().manual_seed(0))
    words = masked.input_ids[:, 1:21]
    drawn = words[(words != MASK) & (words != 9)]
    assert set(drawn.tolist()) == {7, 40, 41}
    for token in (7, 40, 41):
        assert within_binomial(int((drawn == token).sum()), drawn.numel(), 1 / 3)
    # Drawing the token itself as its own replacement would raise the unchanged share over 10 %.
    assert within_binomial(int((words == 9).sum()), words.numel(), 0.1)


@pytest.mark.parametrize("candidates", [[], [9]])
def test_without_another_token_the_mask_takes_its_place(candidates):
    batch = make_batch([[1] * 20] * 200)
    batch.input_ids[:, 1:21] = 9
    vocabulary = MaskVocabulary(MASK, torch.tensor(candidates), torch.tensor(candidates))
    masked = mask_tokens(batch, vocabulary, ratio=1.0, generator=torch.Generator().manual_seed(0))
    assert set(masked.input_ids[:, 1:21].unique().tolist()) == {MASK, 9}


def test_every_significant_word_has_the_same_chance():
    batch = make_batch([[1] * 10] * 6000)
    flags = flags_of(batch, [{1, 4, 8}] * 6000)
    masked = mask_significant(batch, flags, VOCABULARY, generator=torch.Generator().manual_seed(3))
    counts = (masked.labels != IGNORE).sum(0)[1:11].tolist()
    assert sum(counts) == 6000 * 2  # 10 * 0.15 = 1.5
    assert [place for place, count in enumerate(counts) if count] == [1, 4, 8]
    assert all(within_binomial(counts[place], 6000, 2 / 3) for place in (1, 4, 8))


def test_a_batch_without_any_word_has_no_labels():
    batch = make_batch([[], []])
    nothing = torch.zeros_like(batch.word_ids, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    for masked in (
        mask_tokens(batch, VOCABULARY, generator=generator),
        mask_significant(batch, nothing, VOCABULARY, generator=generator),
    ):
        assert (masked.labels == IGNORE).all()
        assert torch.equal(masked.input_ids, batch.input_ids)
    assert (draw_significant_positions(batch, nothing, 3, generator) == -1).all()


@given(batches(), st.integers(1, 8), seeds)
def test_drawn_positions_are_first_pieces_significant_first_none_twice(case, words, seed):
    captions, significant = case
    batch = make_batch(captions)
    flags = flags_of(batch, significant)
    generator = torch.Generator().manual_seed(seed)
    positions = draw_significant_positions(batch, flags, words, generator)
    assert positions.shape == (len(captions), words) and positions.dtype == torch.int64
    for row, sizes, wanted in zip(positions.tolist(), captions, significant, strict=True):
        starts = {1 + sum(sizes[:word]): word for word in range(len(sizes))}
        found = [place for place in row if place >= 0]
        assert len(found) == min(words, len(sizes)) == len(set(found))
        assert row == found + [-1] * (words - len(found))  # missing ones stand at the end
        drawn = [starts[place] for place in found]
        hits = [word in wanted for word in drawn]
        assert sum(hits) == min(len(wanted), words)
        assert hits == sorted(hits, reverse=True)


def vocabulary_of(tokens, counts, same_lemma=0.0):
    tokenizer = BertTokenizer(vocab={token: place for place, token in enumerate(tokens)})
    table = SignificanceTable.from_counts(WordCounts(counts)) if counts else None
    return MaskVocabulary.build(tokenizer, table, same_lemma=same_lemma)


def test_vocabulary_leaves_out_special_and_unused_tokens():
    tokens = [*SPECIAL_TOKENS, "[unused0]", "[", "dog", "##s", "run"]
    built = vocabulary_of(tokens, {"run": Counter(VERB=3), "fly": Counter(VERB=1)})
    assert built.mask_id == 4
    assert built.word_token_ids.tolist() == [6, 7, 8, 9]
    assert built.significant_token_ids.tolist() == [9]
    assert vocabulary_of(tokens, None).significant_token_ids.tolist() == [6, 7, 8, 9]


LEMMA_TOKENS = [
    *SPECIAL_TOKENS,
    *("run", "runs", "running", "dog", "dogs", "red", "play", "##ing", "fly"),
]


def forms_of(same_lemma):
    counts = {word: Counter(VERB=9) for word in ("run", "runs", "running", "play", "fly")}
    counts |= {"dog": Counter(NOUN=5), "dogs": Counter(NOUN=5), "red": Counter(ADJ=5)}
    return vocabulary_of(LEMMA_TOKENS, counts, same_lemma)


def test_other_forms_are_tokens_of_the_same_lemma():
    assert forms_of(0.0).forms is None
    forms = [{LEMMA_TOKENS[i] for i in row if i >= 0} for row in forms_of(0.5).forms.tolist()]
    found = dict(zip(LEMMA_TOKENS, forms, strict=True))
    assert found["run"] == {"runs", "running"} and found["runs"] == {"run", "running"}
    assert found["dogs"] == {"dog"} and found["dog"] == {"dogs"}
    assert not any(found[token] for token in ("red", "play", "##ing", "fly", "[MASK]"))


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_so_many_replaced_words_take_another_form(share):
    run, red, play = (LEMMA_TOKENS.index(word) for word in ("run", "red", "play"))
    batch = make_batch([[1, 1, 2]] * 20_000)
    batch.input_ids[:, 1:5] = torch.tensor([run, red, play, LEMMA_TOKENS.index("##ing")])
    vocabulary, generator = forms_of(share), torch.Generator().manual_seed(0)
    everything = batch.word_ids >= 0
    masked = mask_significant(batch, everything, vocabulary, ratio=0.99, generator=generator)
    changed = (masked.input_ids != batch.input_ids) & (masked.input_ids != MASK)
    written = masked.input_ids[:, 1][changed[:, 1]]
    own = (written == run + 1) | (written == run + 2)
    by_chance = 2 / 7  # of the seven other significant words two are forms as well
    expected = share + (1 - share) * by_chance
    assert own.all() if share == 1 else within_binomial(int(own.sum()), len(own), expected)
    assert within_binomial(int((written == run + 1).sum()), int(own.sum()), 0.5)
    # A word without another form becomes any other word, as before; so do pieces of a word.
    for place in (2, 3):
        assert len(masked.input_ids[:, place][changed[:, place]].unique()) >= 7
