"""Search, evaluate and generate from the command line; loading by name."""

import json
import shutil

import pytest

import snpkit
from snpkit.cli import main
from snpkit.errors import CheckpointError


def test_search_prints_the_best_first_and_names_what_it_left_out(corpus, checkpoint, capsys):
    (corpus / "videos" / "broken.mp4").write_bytes(b"no video")
    (corpus / "videos" / "notes.txt").write_text("no video either")
    sentences = ("a red kite falls", "over the sea a boat spins")
    arguments = [str(corpus / "videos"), *sentences, "--checkpoint", str(checkpoint)]
    assert main(["search", *arguments, "--top-k", "3", "--json"]) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert [row["sentence"] for row in rows] == list(sentences)
    for row in rows:
        scores = [hit["score"] for hit in row["hits"]]
        assert len(scores) == 3 and scores == sorted(scores, reverse=True)
    assert "broken.mp4" in err and "notes.txt" not in err


def test_search_without_reranking_orders_by_matching(corpus, checkpoint):
    pipeline = snpkit.load(checkpoint)
    (hits,) = pipeline.search("a red kite falls", corpus / "videos", top_k=5, candidates=0)
    assert [hit.score for hit in hits] == [hit.matching for hit in hits]
    (again,) = pipeline.search(["a red kite falls"], corpus / "videos", top_k=5, candidates=0)
    assert hits == again


def test_search_sees_pixels_not_names(corpus, checkpoint):
    pipeline = snpkit.load(checkpoint)
    videos = sorted((corpus / "videos").iterdir())[:4]
    folder = corpus / "renamed"
    folder.mkdir()
    for number, path in enumerate(reversed(videos)):
        shutil.copy(path, folder / f"{number}.mp4")
    (before,) = pipeline.search("a red kite", corpus / "videos", top_k=112, candidates=0)
    (after,) = pipeline.search("a red kite", folder, top_k=4, candidates=0)
    scores = {hit.path.name: hit.score for hit in before}
    expected = sorted((scores[path.name] for path in videos), reverse=True)
    assert [hit.score for hit in after] == pytest.approx(expected, abs=1e-4)


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


def test_evaluate_measures_explanations_beside_chance(tiny_run, capsys):
    data = ["--data", str(tiny_run / "corpus" / "manifest.jsonl"), "--split", "validation"]
    command = ["evaluate", str(tiny_run / "run" / "last"), *data, "--top-k", "0", "--explanations"]
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
