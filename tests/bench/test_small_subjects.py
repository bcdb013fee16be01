"""Masking, retrieval and decoding: both ways come to the same, and a wrong way is noticed."""

import os
import subprocess
import sys

import pytest
import torch

from snpkit.bench import decoding, small_subjects
from snpkit.bench.comparison import compare
from snpkit.bench.oracle import straightforward
from snpkit.data.samples import samples_folder
from snpkit.errors import UserError


def test_masking_hides_as_much_in_both_ways(monkeypatch):
    found = compare(small_subjects.masking_subject(130), 1)
    assert found.equal and found.difference == 0
    plain = straightforward("masking")
    honest = plain.mask_captions
    monkeypatch.setattr(plain, "mask_captions", lambda *a: honest(*a, ratio=0.3))
    assert not compare(small_subjects.masking_subject(130), 1).equal


def test_retrieval_ranks_alike_in_both_ways(monkeypatch):
    assert compare(small_subjects.retrieval_subject(60, hidden=16), 1).equal
    plain = straightforward("retrieval")
    monkeypatch.setattr(plain, "ranks", lambda texts, clips: [1.0] * len(texts))
    assert not compare(small_subjects.retrieval_subject(60, hidden=16), 1).equal


def test_ranks_of_the_straightforward_way_share_ties():
    clips = torch.eye(3)[:, None]  # [videos, clips, hidden]
    texts = torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    assert straightforward("retrieval").ranks(texts, clips) == [1, 2, 2]


def few(monkeypatch, kept=3):
    from snpkit.data import samples

    manifest = samples.sample_manifest()
    manifest = type(manifest)(manifest.root, manifest.rows[:kept])
    monkeypatch.setattr(samples, "sample_manifest", lambda: manifest)


def test_decoding_gives_the_same_frames(monkeypatch):
    few(monkeypatch)
    subjects = decoding.decoding_subjects(0, rounds_of=1)
    assert [subject.name for subject in subjects][-1] == "decode PyAV"
    for subject in subjects:
        found = compare(subject, 1)
        assert found.equal and found.difference > 0, subject.name
    # Neighbouring frames are noticed.
    plain = straightforward("decoding")
    monkeypatch.setattr(plain, "middles", lambda frames, count: [frames - 1] * count)
    assert not compare(decoding.decoding_subjects(0, rounds_of=1)[-1], 1).equal


_SPAWNED = """
import multiprocessing
import sys

from snpkit.bench import decoding

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    seconds, frames = decoding._read_all(decoding.Plainly("PyAV"), sys.argv[1:], 1)
    print([tuple(each.shape) for each in frames])
"""


def test_spawned_workers_find_the_straightforward_way(tmp_path):
    script = tmp_path / "spawned.py"
    script.write_text(_SPAWNED)
    clip = str(samples_folder() / "real" / "bunny-wakes.mp4")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # In another folder than the clone's, whose `tests` nobody finds there by chance.
    run = subprocess.run(
        [sys.executable, str(script), clip], cwd=tmp_path, env=environment, capture_output=True,
        text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[(8, 3, 64, 64)]"


def test_decoding_in_workers(monkeypatch):
    few(monkeypatch)
    found = compare(decoding.decoding_subjects(1, rounds_of=1)[-1], 1)
    assert found.equal and found.ours.median > 0 and "1 worker;" in found.table()
    with pytest.raises(UserError, match="--workers is -1"):
        decoding.decoding_subjects(-1)
