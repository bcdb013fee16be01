"""The significance table: ranking by hand and by an oracle, files, and the flags of a batch."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snpkit.errors import UserError
from snpkit.language.counting import WordCounts
from snpkit.language.significance import (
    STOP_WORDS,
    SignificanceTable,
    compare,
    significance_of,
)
from snpkit.language.tokenizer import encode_captions, train_tokenizer

CAPTIONS = [
    "a red kite falls over the beach",
    "a red ball falls on the beach",
    "two dogs are running on the beach",
]


def counts_of(words, **other):
    return WordCounts({word: Counter(parts) for word, parts in words.items()}, **other)


def table_of(words, **options):
    return SignificanceTable.from_counts(counts_of(words), **options)


def test_ranking_by_hand():
    table = table_of(
        {
            "dog": {"NOUN": 6, "PROPN": 2},
            "run": {"VERB": 5, "NOUN": 2, "ADJ": 1},  # 2 of 8 is 25 %: kept; 1 of 8 is dropped
            "like": {"ADP": 30, "VERB": 5},  # 5 of 35: dropped, and nothing is left
            "cat": {"NOUN": 6},
            "is": {"VERB": 100},
            "x": {"NOUN": 100},
            "the": {"DET": 100},
        },
        top_k=2,
    )
    assert list(table.entries) == ["run", "cat", "dog"]  # 7, then 6 and 6 alphabetically
    assert [table.rank(word) for word in ("run", "cat", "dog")] == [0, 1, 2]
    assert table.rank("like") is table.rank("is") is table.rank("x") is table.rank("the") is None
    assert table.significant_words == ["run", "cat"]
    assert table.is_significant("RUN") and not table.is_significant("dog")
    assert table.entry("run").count == 7
    assert table.parts_of("run") == {"VERB": pytest.approx(5 / 7), "NOUN": pytest.approx(2 / 7)}
    assert list(table.parts_of("run")) == ["VERB", "NOUN"]
    assert table.parts_of("the") == {}
    assert len(table) == 3 and "dog" in table and "the" not in table and 3 not in table


def test_shares_of_the_counted_parts_alone():
    words = {"like": {"ADP": 30, "VERB": 5}, "run": {"VERB": 5, "NOUN": 2, "ADJ": 1}}
    table = table_of(words, share_of="parts")
    assert list(table.entries) == ["run", "like"]
    assert table.entry("like").parts == {"VERB": 5}


def test_the_published_way_leaves_dropped_parts_in_the_count():
    words = {
        "run": {"VERB": 5, "NOUN": 2, "ADJ": 1},
        "cat": {"NOUN": 7},
        "like": {"VERB": 1, "ADP": 9},
    }
    ours = table_of(words)
    assert [(e.word, e.count) for e in ours.entries.values()] == [("cat", 7), ("run", 7)]
    published = table_of(words, share_of="parts", count_dropped=True, min_share=0.26)
    counts = [(e.word, e.rank, e.count) for e in published.entries.values()]
    assert counts == [("run", 0, 8), ("cat", 1, 7), ("like", 2, 1)]
    assert published.entry("run").parts == {"VERB": 5} and published.settings["count_dropped"]
    assert "count_dropped" not in ours.settings


def test_options():
    words = {
        "two": {"NUM": 4},
        "paris": {"PROPN": 3},
        "background": {"NOUN": 2},
        "café": {"NOUN": 9},
        "blue": {"ADJ": 8, "NOUN": 2},
    }
    assert "background" in table_of(words)
    assert "background" not in table_of(words, stop_words={"Background"})
    assert list(table_of(words, parts=("NUM", "PROPN")).entries) == ["two", "paris"]
    assert list(table_of(words, vocabulary=["blue", "dog"]).entries) == ["blue"]
    assert table_of(words, min_share=0.9).rank("blue") is None
    assert table_of(words, min_share=0.0).entry("blue").count == 10
    assert table_of(words, top_k=0).significant_words == []
    assert {"be", "is", "are", "was", "were"} == STOP_WORDS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": -1}, "top_k"),
        ({"min_share": 1.5}, "min_share"),
        ({"parts": ("NUON",)}, "parts"),
        ({"parts": ()}, "parts"),
        ({"share_of": "some"}, "share_of"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        table_of({"dog": {"NOUN": 1}}, **options)


words = st.text("abcd", min_size=1, max_size=3)
parts = st.dictionaries(
    st.sampled_from(["VERB", "NOUN", "ADJ", "DET", "AUX"]), st.integers(1, 9), min_size=1
)


@given(st.dictionaries(words, parts, max_size=12), st.integers(0, 12), st.integers(0, 100))
def test_ranking_agrees_with_an_oracle(found, top_k, percent):
    table = table_of(found, top_k=top_k, min_share=percent / 100)
    expected = []
    for word, counts in found.items():
        total = sum(counts.values())
        kept = sum(
            n for p, n in counts.items()
            if p in ("VERB", "NOUN", "ADJ") and n * 100 >= percent * total - 1e-6
        )  # fmt: skip
        if len(word) > 1 and kept:
            expected.append((-kept, word))
    expected = [word for _, word in sorted(expected)]
    assert list(table.entries) == expected
    assert table.significant_words == expected[:top_k]
    for rank, word in enumerate(expected):
        entry = table.entry(word)
        assert entry.rank == rank and entry.count == sum(entry.parts.values())
        assert sum(table.parts_of(word).values()) == pytest.approx(1.0)
        assert table.is_significant(word) == (rank < top_k)


def test_mining_real_captions():
    table = SignificanceTable.mine(iter(CAPTIONS), examples=2, top_k=5)
    assert table.significant_words == ["beach", "falls", "red", "ball", "dogs"]
    assert table.rank("kite") == 5 and table.rank("running") == 6
    assert table.rank("are") is None and table.rank("the") is None and table.rank("two") is None
    assert table.parts_of("red") == {"ADJ": 1.0} and table.parts_of("falls") == {"VERB": 1.0}
    assert table.entry("beach").examples == tuple(CAPTIONS[:2])
    assert table.settings["captions"] == 3


def test_accents_and_capitals_do_not_matter():
    table = SignificanceTable.mine(["the café opens near the street"])
    assert table.is_significant("café") and table.is_significant("cafe") and "CAFÉ" in table


@given(st.dictionaries(words, parts, max_size=12), st.integers(0, 12))
def test_a_saved_table_is_the_same(tmp_path_factory, found, top_k):
    path = tmp_path_factory.mktemp("table") / "table.json"
    examples = {word: [f"<i>{word}</i> 😀"] for word in found}
    table = SignificanceTable.from_counts(counts_of(found, examples=examples), top_k=top_k)
    table.save(path)
    loaded = SignificanceTable.load(path)
    assert loaded == table
    assert loaded.significant_words == table.significant_words


def test_compare_by_hand():
    before = table_of({"dog": {"NOUN": 9}, "cat": {"NOUN": 8}, "run": {"VERB": 7}}, top_k=3)
    after = table_of(
        {"cat": {"NOUN": 9}, "dog": {"NOUN": 8}, "red": {"ADJ": 7}, "run": {"VERB": 1}}, top_k=3
    )
    result = compare(before, after)
    assert result.entered == ["red"] and result.left == ["run"]
    assert result.moved == {"cat": (1, 0), "dog": (0, 1)}
    assert result.kept == 2
    same = compare(before, before)
    assert (same.entered, same.left, same.moved, same.kept) == ([], [], {}, 3)


@given(*[st.dictionaries(words, parts, max_size=10)] * 2, st.integers(0, 6))
def test_comparison_accounts_for_every_word(first, second, top_k):
    before, after = table_of(first, top_k=top_k), table_of(second, top_k=top_k)
    result = compare(before, after)
    assert set(result.entered) == set(after.significant_words) - set(before.significant_words)
    assert set(result.left) == set(before.significant_words) - set(after.significant_words)
    assert result.kept == len(set(before.significant_words) & set(after.significant_words))
    for word, (old, new) in result.moved.items():
        assert old != new and before.rank(word) == old and after.rank(word) == new


@pytest.fixture(scope="module")
def pieces():
    """A tokenizer that knows few words, so that the others fall into pieces."""
    return train_tokenizer([*CAPTIONS, "umbrella"], 70)


def test_every_piece_of_a_significant_word_is_flagged(pieces):
    table = table_of({"umbrella": {"NOUN": 5}, "beach": {"NOUN": 4}, "dogs": {"NOUN": 1}}, top_k=2)
    batch = encode_captions(pieces, ["The Umbrella on the beach", "two dogs"])
    flags = significance_of(batch, table)
    assert flags.dtype == torch.bool and flags.shape == batch.input_ids.shape
    for row, ids, caption in zip(flags, batch.word_ids, batch.words, strict=True):
        for flag, word in zip(row.tolist(), ids.tolist(), strict=True):
            assert flag == (word >= 0 and caption[word] in ("umbrella", "beach"))
    assert int(flags[0].sum()) > 2 and not flags[1].any()


def test_token_by_token_each_piece_is_looked_up_alone(pieces):
    batch = encode_captions(pieces, ["umbrella beach"])
    tokens = pieces.convert_ids_to_tokens(batch.input_ids[0])
    piece = next(token for token in tokens if token.startswith("##"))
    table = table_of({"beach": {"NOUN": 2}, "umbrella": {"NOUN": 3}, piece: {"NOUN": 1}})
    flags = significance_of(batch, table, unit="token", tokenizer=pieces)
    assert flags[0].tolist() == [token in ("beach", "umbrella", piece) for token in tokens]
    with pytest.raises(UserError, match="needs the tokenizer"):
        significance_of(batch, table, unit="token")
