"""Masking, retrieval and decoding: both ways come to the same, and a wrong way is noticed."""

import pytest
import torch

from snpkit.errors import UserError
from tests.benchmarks import decoding, decoding_subjects, masking, retrieval, small_subjects
from tests.benchmarks.comparison import compare


def test_masking_hides_as_much_in_both_ways(monkeypatch):
    found = compare(small_subjects.masking_subject(130), 1)
    assert found.equal and found.difference == 0
    honest = masking.mask_captions
    monkeypatch.setattr(masking, "mask_captions", lambda *a: honest(*a, ratio=0.3))
    assert not compare(small_subjects.masking_subject(130), 1).equal


def test_retrieval_ranks_alike_in_both_ways(monkeypatch):
    assert compare(small_subjects.retrieval_subject(60, hidden=16), 1).equal
    monkeypatch.setattr(retrieval, "ranks", lambda texts, clips: [1.0] * len(texts))
    assert not compare(small_subjects.retrieval_subject(60, hidden=16), 1).equal


def test_ranks_of_the_straightforward_way_share_ties():
    clips = torch.eye(3)[:, None]  # [videos, clips, hidden]
    texts = torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    assert retrieval.ranks(texts, clips) == [1, 2, 2]


def few(monkeypatch, kept=3):
    from snpkit.data import samples

    manifest = samples.sample_manifest()
    manifest = type(manifest)(manifest.root, manifest.rows[:kept])
    monkeypatch.setattr(samples, "sample_manifest", lambda: manifest)


def test_decoding_gives_the_same_frames(monkeypatch):
    few(monkeypatch)
    subjects = decoding_subjects.decoding_subjects(0, rounds_of=1)
    assert [subject.name for subject in subjects][-1] == "decode PyAV"
    for subject in subjects:
        found = compare(subject, 1)
        assert found.equal and found.difference > 0, subject.name
    # Neighbouring frames are noticed.
    monkeypatch.setattr(decoding, "middles", lambda frames, count: [frames - 1] * count)
    assert not compare(decoding_subjects.decoding_subjects(0, rounds_of=1)[-1], 1).equal


def test_decoding_in_workers(monkeypatch):
    few(monkeypatch)
    found = compare(decoding_subjects.decoding_subjects(1, rounds_of=1)[-1], 1)
    assert found.equal and found.ours.median > 0 and "1 worker;" in found.table()
    with pytest.raises(UserError, match="--workers is -1"):
        decoding_subjects.decoding_subjects(-1)
