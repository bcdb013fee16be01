"""Search, evaluate and generate from the command line; loading by name."""

import json
import re
import shutil

import pytest

import snpkit
from snpkit.cli import main
from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import Manifest
from snpkit.errors import CheckpointError
from snpkit.evaluation.retrieval import evaluate_retrieval

HOSTILE = "<img src=x onerror=alert(1)>.mp4"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """Not in the home of whoever runs the tests."""
    monkeypatch.setenv("SNPKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def clips(corpus):
    """Six clips and three files that are none."""
    folder = corpus / "clips"
    folder.mkdir()
    for path in sorted((corpus / "videos").iterdir())[:6]:
        shutil.copy(path, folder)
    next(folder.iterdir()).rename(folder / HOSTILE)
    for name in ("broken.mp4", "<script>alert(1)<script>.mp4", "\x1b[31mred.mp4"):
        (folder / name).write_bytes(b"no video")
    return folder


def told(capsys, *arguments, status=0):
    capsys.readouterr()
    assert main(["search", *map(str, arguments)]) == status
    return capsys.readouterr()


def test_search_prints_the_best_first(clips, checkpoint, capsys):
    sentences = ("a red kite falls", "over the sea a boat spins")
    options = ("--checkpoint", checkpoint, "--top-k", "3", "--json")
    rows = json.loads(told(capsys, clips, *sentences, *options).out)
    assert [row["sentence"] for row in rows] == list(sentences)
    for row in rows:
        scores = [hit["score"] for hit in row["hits"]]
        assert len(scores) == 3 and scores == sorted(scores, reverse=True)


def test_words_that_the_model_has_never_seen_are_named(clips, checkpoint, capsys):
    command = (clips, "a red zzz falls", "--checkpoint", checkpoint)
    assert "never seen: zzz" in told(capsys, *command).err
    wrong = told(capsys, clips, "a red kite falls", "???", "--checkpoint", checkpoint, status=2)
    assert "knows no word of '???'" in wrong.err and "encoded" not in wrong.err


def test_the_folder_is_encoded_once(clips, checkpoint, cache, capsys):
    command = (clips, "a red kite falls", "--checkpoint", checkpoint)
    first = told(capsys, *command)
    assert "6 clips, 6 newly encoded" in first.err and str(cache) in first.err
    (clips / HOSTILE).rename(clips / "renamed.mp4")
    second = told(capsys, *command)
    assert "6 clips, 0 newly encoded" in second.err
    assert second.out == first.out.replace(HOSTILE, "renamed.mp4")


def test_the_index_lies_where_it_is_told_to(clips, checkpoint, cache, tmp_path, capsys):
    command = (clips, "a red kite falls", "--checkpoint", checkpoint)
    own = tmp_path / "own"
    assert str(own) in told(capsys, *command, "--index", own).err
    assert list(own.rglob("*.safetensors")) and not cache.exists()
    before = sorted(tmp_path.rglob("*"))
    assert "not kept" in told(capsys, *command, "--no-index").err
    assert sorted(tmp_path.rglob("*")) == before
    assert "not both" in told(capsys, *command, "--no-index", "--index", own, status=2).err
    # What cannot be written to costs a warning, not the answer.
    assert told(capsys, *command, "--index", clips / "broken.mp4").out.count(".mp4") == 5


def test_unreadable_files_are_counted_and_named_each_time(clips, checkpoint, capsys):
    command = (clips, "a red kite falls", "--checkpoint", checkpoint)
    for _ in range(2):
        found = told(capsys, *command)
        assert "3 files left out" in found.err and "broken.mp4" in found.err
        assert "\x1b[31m" not in found.err + found.out  # would steer the terminal
    (row,) = json.loads(told(capsys, *command, "--json").out)
    assert row["clips"] == 6 and len(row["hits"]) == 5
    assert set(row["unreadable"]) >= {"broken.mp4", "\x1b[31mred.mp4"}


def test_names_of_files_steer_no_terminal_and_are_whole_in_json(clips, checkpoint, capsys):
    names = ["two\nlines.mp4", "\x9b31m.mp4", "caf\udce9.mp4", "\u202egpm.mp4"]
    for name in names:
        next(clips.glob("[a-z]*-*.mp4")).rename(clips / name)
    (clips / "notes.txt").write_text("no video")
    command = (clips, "a red kite falls", "--checkpoint", checkpoint, "--top-k", 6)
    table = told(capsys, *command)
    assert "two\\nlines.mp4" in table.out and len(table.out.splitlines()) == 8
    assert "1 file passed over, by name no videos or images: .txt" in table.err
    (row,) = json.loads(found := told(capsys, *command, "--json").out)
    assert not {"\x9b", "\u202e"} & {*found, *table.out, *table.err}
    assert set(names) <= {hit["path"].rpartition("/")[2] for hit in row["hits"]}
    assert row["passed_over"] == {".txt": 1}


@pytest.mark.parametrize("option", [("--candidates", -5), ("--top-k", 0)])
def test_wrong_numbers_are_one_sentence_before_anything_is_read(option, capsys):
    said = told(capsys, "no folder", "a red kite", *option, status=2).err
    assert said.count("\n") == 1 and f"{option[0]} is {option[1]}" in said


def test_a_page_is_written_beside_the_table(clips, checkpoint, tmp_path, capsys):
    output = tmp_path / "found.html"
    options = ("--checkpoint", checkpoint, "--html", output, "--top-k", 6)
    table = told(capsys, clips, "a red kite falls", *options).out
    page = output.read_text(encoding="utf-8")
    assert "<img" not in page  # one of the clips is called so
    data = re.search(r'<script id="view"[^>]*>(.*?)</script>', page, re.S)[1]
    (view,) = json.loads(data)["searches"]
    lines = [line.split() for line in table.splitlines() if line[:4].strip().isdigit()]
    assert len(lines) == len(view["hits"]) == 6
    for (_, score, *_), hit in zip(lines, view["hits"], strict=True):
        assert float(score) == pytest.approx(hit["reranked"]["score"], abs=0.006)


def test_python_keeps_the_index_as_the_command_does(clips, checkpoint, cache, tmp_path):
    pipeline = snpkit.load(checkpoint)
    index = pipeline.index(clips)
    assert index.kept_in.is_relative_to(cache) and index.encoded == 6
    assert pipeline.index(clips) is index
    (hits,) = pipeline.search("a red kite falls", clips, top_k=6)
    assert pipeline.index(clips, refresh=True).encoded == 0
    own = pipeline.index(clips, cache=tmp_path / "own")
    assert own.kept_in.is_relative_to(tmp_path / "own") and own.encoded == 6
    assert pipeline.index(clips, cache=False).kept_in is None
    again = snpkit.load(checkpoint)
    assert again.search("a red kite falls", clips, top_k=6) == [hits]
    assert again.index(clips).encoded == 0


def test_search_sees_pixels_not_names(clips, checkpoint, tmp_path):
    pipeline, folder = snpkit.load(checkpoint), tmp_path / "renamed"
    (before,) = pipeline.search("a red kite", clips, top_k=6, candidates=0)
    assert [hit.score for hit in before] == [hit.matching for hit in before]
    folder.mkdir()
    for number, hit in enumerate(reversed(before)):
        shutil.copy(hit.path, folder / f"{number}.mp4")
    (after,) = pipeline.search(["a red kite"], folder, top_k=6, candidates=0)
    assert [hit.path.stem for hit in after] == list("543210")
    scores = [hit.score for hit in before]
    assert [hit.score for hit in after] == pytest.approx(scores, abs=1e-4)


def test_evaluate_prints_the_metrics_of_the_run(tiny_run, capsys):
    data = ["--data", str(tiny_run / "corpus" / "manifest.jsonl")]
    assert main(["evaluate", str(tiny_run / "run" / "last"), *data, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    written = json.loads((tiny_run / "run" / "metrics.json").read_text())
    for column in ("matching", "reranked"):
        for direction in ("text_to_video", "video_to_text"):
            assert measured[column][direction] == pytest.approx(written[column][direction])
    assert main(["evaluate", str(tiny_run / "run" / "last"), *data]) == 0
    assert "chance text to video" in capsys.readouterr().out


def test_evaluate_reads_the_middle_frames_of_the_model(tiny_run, monkeypatch, capsys):
    pipeline, seen = snpkit.load(tiny_run / "run" / "last", device="cpu"), []
    pipeline.model.config.frame_middle = "lower"
    monkeypatch.setattr("snpkit.load", lambda *_, **__: pipeline)

    def measure(task, model, tokenizer, dataset, **options):
        seen.append(dataset.middle)
        return {"queries": 1}

    monkeypatch.setattr("snpkit.evaluation.tasks.evaluate_task", measure)
    monkeypatch.setattr(
        "snpkit.evaluation.grounding.measure_grounding",
        lambda explain, manifest, middle: seen.append(middle),
    )
    data = ["--data", str(tiny_run / "corpus" / "manifest.jsonl"), "--split", "validation"]
    assert main(["evaluate", "any", *data, "--explanations", "--json"]) == 0
    assert seen == ["lower", "lower"]


def test_evaluate_takes_another_number_of_clips(tiny_run, capsys):
    """The same as with the configuration of the loaded model changed by hand."""
    checkpoint, path = tiny_run / "run" / "last", tiny_run / "corpus" / "manifest.jsonl"
    command = ["evaluate", str(checkpoint), "--data", str(path), "--split", "validation", "--json"]
    assert main([*command, "--clips", "16"]) == 0
    measured = json.loads(capsys.readouterr().out)
    pipeline = snpkit.load(checkpoint)
    config = pipeline.model.config
    assert config.clips == 2
    config.clips = 16
    rows = Manifest.load(path).split("validation")
    dataset = VideoTextDataset(rows, config.clips, config.frames, config.image_size, False)
    expected = evaluate_retrieval(
        pipeline.model, pipeline.tokenizer, dataset, top_k=20, matching_weight=1.0
    )
    assert {name: measured[name] for name in expected} == expected
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["matching"] != measured["matching"]
    for wrong in ("0", "64", "-1"):
        assert main([*command, "--clips", wrong]) != 0
        assert f"--clips is {wrong}; this model takes 1 to 63 clips" in capsys.readouterr().err


def test_evaluate_measures_explanations_beside_chance(tiny_run, tmp_path, capsys):
    corpus = tiny_run / "corpus"
    rows = Manifest.load(corpus / "manifest.jsonl").split("validation").rows[:4]
    Manifest(corpus, rows).save(tmp_path / "four.jsonl")
    data = ["--data", tmp_path / "four.jsonl", "--root", corpus, "--split", "validation"]
    options = ["--top-k", "0", "--explanations"]
    command = ["evaluate", *map(str, [tiny_run / "run" / "last", *data, *options])]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["explanations"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    for name, game in (("map of the noun", "pointing"), ("contrast alone", "contrast")):
        (line,) = [line for line in shown.splitlines() if line.startswith(name)]
        assert line.split()[-2:] == [
            f"{100 * found[game][share]:.1f}" for share in ("videos_hit", "frames_hit")
        ]
    assert "chance (a random point)" in shown
    assert f"{100 * found['contests']['match']['mean']:.1f}" in shown


def test_generate_reuses_a_finished_corpus(tiny_run, capsys):
    manifest = tiny_run / "corpus" / "manifest.jsonl"
    before = manifest.stat().st_mtime_ns
    sizes = ["--train", "64", "--validation", "16", "--test", "48", "--workers", "1"]
    assert main(["generate", "--output", str(tiny_run / "corpus"), *sizes]) == 0
    assert "128 clips" in capsys.readouterr().out
    assert manifest.stat().st_mtime_ns == before


def test_mine_writes_a_table(tmp_path, capsys):
    captions = tmp_path / "captions.txt"
    captions.write_text("a red kite falls\na red ball bounces\nthe blue kite is falling\n")
    assert main(["mine", str(captions), "-o", str(tmp_path / "table.json")]) == 0
    table = snpkit.SignificanceTable.load(tmp_path / "table.json")
    assert {"kite", "red"} <= set(table.significant_words) and "the" not in table


def test_a_hub_id_that_is_not_there_is_one_sentence(monkeypatch):
    import huggingface_hub

    def missing(*_, **__):
        raise ConnectionError

    monkeypatch.setattr(huggingface_hub, "snapshot_download", missing)
    with pytest.raises(CheckpointError, match="nobody/nothing"):
        snpkit.load("nobody/nothing")


def test_a_hub_download_takes_no_pickles_and_no_code(monkeypatch, checkpoint):
    import huggingface_hub

    asked = {}

    def download(name, allow_patterns):
        asked.update(name=name, patterns=allow_patterns)
        return str(checkpoint)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert snpkit.load("somebody/model").folder == checkpoint
    assert asked["name"] == "somebody/model"
    assert not any(p.endswith((".bin", ".pt", ".pth", ".py", "*")) for p in asked["patterns"])
