"""`snpkit shard`: what it writes and says."""

import json

import pytest

from snpkit.cli import main
from snpkit.data.shards import open_shards
from tests.video.films import write_film


@pytest.fixture
def films(tmp_path):
    lines = []
    for number in range(4):
        write_film(tmp_path / f"{number}.mp4", 8, 96, 64)
        line = {"id": str(number), "video": f"{number}.mp4", "caption": "a film", "split": "train"}
        lines.append(json.dumps(line))
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    return tmp_path


def run(films, *options):
    folder = films / "shards"
    fixed = ["--workers", "1", "--no-progress", "--per-shard", "3"]
    return main(["shard", str(films / "manifest.jsonl"), "-o", str(folder), *fixed, *options])


def test_shards_and_the_sentence(films, capsys):
    assert run(films, "--size", "32") == 0
    assert "4 files with 4 captions in 2 shards" in capsys.readouterr().out
    rows = open_shards(films / "shards").rows
    assert [row.video for row in rows] == ["0.mp4", "1.mp4", "2.mp4", "3.mp4"]
    (films / "3.mp4").write_text("broken now")
    assert run(films, "--size", "32") == 1
    said = capsys.readouterr().out
    assert "1 of them there before" in said and "3.mp4 is not a video" in said
    assert len(open_shards(films / "shards").rows) == 3


def test_mistakes(films, capsys):
    assert run(films, "--size", "33") == 2
    assert "must be even" in capsys.readouterr().err
    assert main(["shard", str(films / "none.jsonl"), "-o", str(films / "x")]) == 2
    assert "none.jsonl" in capsys.readouterr().err


def test_a_model_is_trained_on_shards(films, capsys):
    assert run(films, "--size", "32") == 0
    command = ["pretrain", "laptop", "--data", films / "shards", "--output", films / "run"]
    command += ["--held-out", "none", "--no-progress", "--device", "cpu", "--set"]
    command += ["data.batch_size=2", "data.size=32", "optimisation.total_steps=2",
                "model.num_hidden_layers=1", "data.workers=1"]  # fmt: skip
    assert main(list(map(str, command))) == 2
    assert "set data.cache=false" in capsys.readouterr().err
    assert main(list(map(str, [*command, "data.cache=false"]))) == 0
    said = capsys.readouterr()
    assert "finished at step 2; all 4 clips can be read" in said.out
    state = json.loads((films / "run/last/training.json").read_text())
    assert state["batches"]["together"] == 4  # the order of shards, and not of single files
