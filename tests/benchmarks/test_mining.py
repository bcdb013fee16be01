"""`race mine`: what it compares."""

from types import SimpleNamespace

import pytest

from snpkit.data.samples import sample_manifest
from snpkit.errors import UserError
from tests.benchmarks import mining
from tests.benchmarks.comparison import Round


def test_the_default_captions_are_the_samples_and_the_same_generated_ones():
    captions = mining.default_captions(200)
    samples = [row.caption for row in sample_manifest().rows]
    assert captions[: len(samples)] == samples
    assert len(captions) == len(samples) + 200
    assert captions == mining.default_captions(200)


def test_a_round_times_both_ways(tmp_path, monkeypatch):
    path = tmp_path / "captions.txt"
    path.write_text("".join(f"a dog runs {i}\n" for i in range(1200)))
    seen = {}

    def measured(captions, *, workers, baseline):
        seen.update(captions=captions, workers=workers, baseline=baseline)
        return {"one_at_a_time": 2.0, "mining": 10.0, "ratio": 5.0}

    monkeypatch.setattr(mining, "measure_mining", measured)
    subject = mining.mining_subject(path, 3)
    assert subject.measure() == Round(2.0, 10.0)
    assert len(seen["captions"]) == 1200 and seen["workers"] == 3
    assert len(seen["baseline"]) == 500 and set(seen["baseline"]) <= set(seen["captions"])
    assert str(path) in subject.facts["Captions"] and "1,200" in subject.facts["Captions"]


def test_a_long_file_is_read_as_far_as_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(mining, "_FILE_LIMIT", 100)
    path = tmp_path / "captions.txt"
    path.write_text("a dog runs\n" * 150)
    assert mining.mining_subject(path, 1).facts["Captions"].startswith("100 (the first of")


def test_each_way_is_timed_on_its_own_captions(monkeypatch):
    clock = iter([0.0, 2.0, 10.0, 14.0])  # the slow way takes two seconds, mining four
    monkeypatch.setattr(mining, "time", SimpleNamespace(perf_counter=clock.__next__))
    captions = ["a red kite falls slowly", "two dogs run"] * 40
    found = mining.measure_mining(captions, baseline=captions[::8])
    assert found == {"one_at_a_time": 5.0, "mining": 20.0, "ratio": 4.0}


def test_nothing_to_mine_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match="no caption"):
        mining.measure_mining([])
    with pytest.raises(UserError, match="--workers is 0"):
        mining.mining_subject(None, 0)
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(UserError, match=r"empty\.txt"):
        mining.mining_subject(tmp_path / "empty.txt", 1)
