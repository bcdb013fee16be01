"""`snpkit encode`, and what `snpkit evaluate` writes row by row."""

import json
import shutil

import pytest
import torch
from safetensors import safe_open

import snpkit
from snpkit.cli import main
from snpkit.data.samples import Manifest, VideoText, sample_manifest, samples_folder
from snpkit.evaluation.encoding import encode_one, evaluating
from snpkit.video.reader import read_clips


@pytest.fixture(scope="module")
def pipeline():
    return snpkit.load("laptop", device="cpu")


@pytest.fixture
def clips(tmp_path):
    """Three clips in two folders, and a file that is none."""
    files = sorted((samples_folder() / "generated").glob("*.mp4"))[:3]
    for number, path in enumerate(files):
        target = tmp_path / "clips" / ("deep" if number else ".") / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"no video")
    return tmp_path / "clips"


def encoded(capsys, *arguments):
    assert main(["encode", *map(str, arguments)]) == 0
    said = capsys.readouterr()
    with safe_open(arguments[2], "pt") as file:
        about = {name: json.loads(value) for name, value in file.metadata().items()}
        return about, file.get_tensor("clip_features"), file.get_tensor("clip_tokens"), said


def test_the_vectors_of_a_folder(clips, tmp_path, pipeline, capsys):
    about, features, tokens, said = encoded(capsys, clips, "-o", tmp_path / "out.safetensors")
    index = pipeline.index(clips, cache=False)
    assert about["videos"] == [{"video": name} for name in index.names]
    assert list(about["unreadable"]) == ["broken.mp4"] and "broken.mp4" in said.err
    assert torch.equal(features, index.videos.clip_features)
    assert torch.equal(tokens, index.videos.clip_tokens)
    assert "3 videos" in said.out and "1 unreadable" in said.out


def test_the_vectors_of_a_manifest_are_of_each_window_once(clips, tmp_path, pipeline, capsys):
    name = next((clips / "deep").iterdir()).relative_to(clips).as_posix()
    rows = [
        VideoText("a", name, "one", "train", start=0.5, end=1.5),
        VideoText("b", "broken.mp4", "two", "train"),
        VideoText("c", name, "three", "train"),
        VideoText("d", name, "four", "train", start=0.5, end=1.5),
        VideoText("e", name, "five", "test", start=0.5),
    ]
    Manifest(clips, rows).save(clips / "rows.jsonl")
    options = ("-o", tmp_path / "out.safetensors", "--seconds", "0")
    about, features, _, _ = encoded(capsys, clips / "rows.jsonl", *options, "--split", "train")
    assert about["videos"] == [{"video": name, "start": 0.5, "end": 1.5}, {"video": name}]
    assert list(about["unreadable"]) == ["broken.mp4"]
    window = read_clips(clips / name, 2, 4, size=64, start=0.5, end=1.5)
    with evaluating(pipeline.model):
        expected = encode_one(pipeline.model, window).clip_features[0]
    torch.testing.assert_close(features[0], expected)
    assert not torch.equal(features[0], features[1])
    about, features, _, _ = encoded(capsys, clips / "rows.jsonl", *options)
    assert len(about["videos"]) == len(features) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("clips", "-o", "out.npy"), "name a .safetensors file"),
        (("clips", "-o", "out.safetensors", "--split", "test"), "has no splits"),
        (("gone.jsonl", "-o", "out.safetensors"), "gone.jsonl"),
        (("clips", "-o", "clips/broken.mp4/x.safetensors"), "Cannot write clips/broken.mp4/x"),
    ],
)
def test_what_cannot_be_encoded_is_one_sentence(
    clips, arguments, message, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    assert main(["encode", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not list(tmp_path.glob("out*"))


def test_predictions_give_the_metrics_and_the_videos_found(tmp_path, capsys):
    rows = [row for row in sample_manifest().rows if "tags" in row.extra]
    output = tmp_path / "out.jsonl"
    root = shutil.copytree(samples_folder() / "generated", tmp_path / "generated").parent
    data = root / "rows.jsonl"
    Manifest(root, rows).save(data)
    split = rows[0].split
    command = ["evaluate", "laptop", "--data", str(data), "--split", split, "--json"]
    assert main([*command, "--predictions", str(output)]) == 0
    metrics = json.loads(capsys.readouterr().out)
    found = [json.loads(line) for line in output.read_text().splitlines()]
    for direction in ("text_to_video", "video_to_text"):
        own = [row for row in found if row["direction"] == direction]
        for column in ("matching", "reranked"):
            ranks = [row[f"{column}_rank"] for row in own]
            expected = metrics[column][direction]
            assert 100 * sum(rank <= 1 for rank in ranks) / len(ranks) == expected["r1"]
            assert sum(ranks) / len(ranks) == pytest.approx(expected["mean_rank"])
        for row in own:
            scores = [item.pop("score") for item in row["top"]]
            assert len(scores) == 10 and scores == sorted(scores, reverse=True)
            (true,) = row["true"]
            best = row["top"].index(true) + 1 if true in row["top"] else 11
            assert best == min(row["reranked_rank"], 11)
    asked = [row for row in found if row["direction"] == "text_to_video"]
    assert [row["query"]["caption"] for row in asked] == [row.caption for row in rows]
    assert [row["true"] for row in asked] == [[{"video": row.video}] for row in rows]
    assert main([*command, "--predictions", str(tmp_path)]) == 2
    assert "name a file in it" in capsys.readouterr().err
