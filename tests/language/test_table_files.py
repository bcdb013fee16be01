"""The files of a table: exact forms, round trips, and one clear sentence for each damage."""

import copy
import json
import pickle
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.errors import UserError
from snpkit.language import table_files
from snpkit.language.counting import WordCounts
from snpkit.language.significance import SignificanceTable

KEYS = [
    *("id", "name", "total_count", "verb_count", "noun_count", "adj_count", "rank"),
    *("verb_percentage", "noun_percentage", "adj_percentage"),
]


@pytest.fixture
def table():
    counts = {"run": Counter(VERB=6, NOUN=2), "dog": Counter(NOUN=5), "red": Counter(ADJ=5)}
    return SignificanceTable.from_counts(WordCounts(counts, {"run": ["dogs run"]}), top_k=2)


def test_the_file_can_be_read_without_us(table, tmp_path):
    table.save(tmp_path / "table.json")
    value = json.loads((tmp_path / "table.json").read_text())
    assert value["schema"] == "snpkit.significance" and value["version"] == 1
    assert value["top_k"] == 2 and value["settings"]["min_share"] == 0.25
    assert value["words"][0] == {
        "word": "run", "rank": 0, "count": 8, "parts": {"VERB": 6, "NOUN": 2},
        "examples": ["dogs run"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(schema="other"), "not a significance table"),
        (lambda v: v.update(version=2), "version is 2"),
        (lambda v: v.pop("words"), "damaged"),
        (lambda v: v.update(top_k="many"), "damaged"),
        (lambda v: v.update(top_k=True), "damaged"),
        (lambda v: v.update(settings=None), "damaged"),
        (lambda v: v["words"].append("run"), r"words\.3 is"),
        (lambda v: v["words"][1].pop("rank"), r"words\.1\."),
        (lambda v: v["words"][1].update(rank=-1), r"words\.1\."),
        (lambda v: v["words"][1].update(parts={}), r"words\.1\."),
        (lambda v: v["words"][1].update(parts={"NOUN": "5"}), r"words\.1\."),
        (lambda v: v["words"][1].update(count=1.5), r"words\.1\."),
        (lambda v: v["words"][1].update(examples=[3]), r"words\.1\."),
        (lambda v: v["words"].append(copy.deepcopy(v["words"][0])), "twice"),
    ],
)
def test_damage_is_named(table, tmp_path, change, message):
    table.save(tmp_path / "table.json")
    refused(tmp_path / "table.json", change, message)


def refused(path, change, message):
    """Change the file's value; reading it then gives one sentence that names the file."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(UserError, match=message) as caught:
        SignificanceTable.load(path)
    assert str(path) in str(caught.value)


def test_other_files_are_refused(tmp_path):
    for name, content in {
        "list.json": b"[]",
        "text.json": b"dog",
        "cut.json": b'{"schema": ',
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            SignificanceTable.load(tmp_path / name)
    with pytest.raises(UserError, match=r"missing\.json"):
        SignificanceTable.load(tmp_path / "missing.json")


def test_a_pickle_is_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    for name in ("table.json", "table.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
        for read in (SignificanceTable.load, SignificanceTable.read_reference):
            with pytest.raises(UserError):
                read(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_the_reference_form_by_hand(table, tmp_path):
    path = tmp_path / "reference.json"
    table.write_reference(path, {"[PAD]": 0, "dog": 1, "cat": 3, "run": 2, "red": 4})
    value = json.loads(path.read_text())
    assert list(value) == KEYS
    assert value["id"] == [0, 1, 2, 3, 4]
    assert value["name"] == ["[PAD]", "dog", "run", "cat", "red"]
    assert value["total_count"] == [0, 5, 8, 0, 5]
    assert value["verb_count"] == [0, 0, 6, 0, 0]
    assert value["noun_count"] == [0, 5, 2, 0, 0]
    assert value["adj_count"] == [0, 0, 0, 0, 5]
    assert value["rank"] == [19084, 1, 0, 19084, 2]
    assert value["verb_percentage"] == [0.0, 0.0, 0.75, 0.0, 0.0]
    assert value["noun_percentage"] == [0.0, 1.0, 0.25, 0.0, 0.0]
    assert value["adj_percentage"] == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_a_file_as_published(tmp_path):
    """Equal counts share a rank, and a dropped part of speech stays in the total."""
    path = tmp_path / "reference.json"
    rows = [
        (0, "[PAD]", 0, 0, 0, 0, 19084, 0.0, 0.0, 0.0),
        (1, "red", 4, 0, 0, 4, 1, 0.0, 0.0, 1.0),
        (2, "run", 10, 6, 3, 0, 0, 6 / 9, 3 / 9, 0.0),
        (3, "dog", 4, 0, 4, 0, 1, 0.0, 1.0, 0.0),
        (4, "cat", 1, 0, 1, 0, 3, 0.0, 1.0, 0.0),
    ]
    path.write_text(json.dumps(dict(zip(KEYS, map(list, zip(*rows, strict=True)), strict=True))))
    table = SignificanceTable.read_reference(path, top_k=2)
    assert len(table) == 4 and "[PAD]" not in table
    assert [table.rank(word) for word in ("run", "dog", "red", "cat")] == [0, 1, 1, 3]
    assert table.significant_words == ["run", "dog", "red"]
    assert table.entry("run").count == 10
    assert table.parts_of("run") == {"VERB": pytest.approx(6 / 9), "NOUN": pytest.approx(3 / 9)}
    assert SignificanceTable.load(path) == SignificanceTable.read_reference(path)
    table.write_reference(tmp_path / "again.json", ["[PAD]", "red", "run", "dog", "cat"])
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(path.read_text())


@given(st.dictionaries(
    st.text("abc", min_size=2, max_size=3),
    st.dictionaries(st.sampled_from(["VERB", "NOUN", "ADJ"]), st.integers(1, 9), min_size=1),
    max_size=9,
))  # fmt: skip
def test_the_reference_form_keeps_ranks_and_counts(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("reference") / "reference.json"
    table = SignificanceTable.from_counts(
        WordCounts({word: Counter(parts) for word, parts in found.items()})
    )
    table.write_reference(path, ["[PAD]", *found])
    again = SignificanceTable.read_reference(path)
    assert again.entries == table.entries


def test_more_words_than_the_published_file_had(table, tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "NEVER_SEEN", 1)
    table.write_reference(tmp_path / "many.json", ["run", "dog", "red", "never"])
    value = json.loads((tmp_path / "many.json").read_text())
    assert value["rank"][-1] > max(value["rank"][:-1])
    assert "never" not in SignificanceTable.read_reference(tmp_path / "many.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("rank"), "rank is missing"),
        (lambda v: v["name"].pop(), "equally long"),
        (lambda v: v.update(name="dog"), "name is 'dog'"),
        (lambda v: v["total_count"].__setitem__(1, -4), r"total_count\.1 is"),
        (lambda v: v["rank"].__setitem__(1, "x"), r"rank\.1 is"),
        (lambda v: v["verb_count"].__setitem__(1, True), r"verb_count\.1 is"),
        (lambda v: v["name"].__setitem__(1, 7), r"name\.1 is"),
        (lambda v: v["adj_percentage"].__setitem__(1, 40.0), r"adj_percentage\.1 is"),
        (lambda v: v["name"].__setitem__(1, "run"), "twice"),
    ],
)
def test_damage_of_the_reference_form_is_named(table, tmp_path, change, message):
    table.write_reference(tmp_path / "reference.json", ["[PAD]", "dog", "run"])
    refused(tmp_path / "reference.json", change, message)
