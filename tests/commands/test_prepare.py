"""From the files of public data sets to training and numbers: small ones, with real clips."""

import json
import shutil
from pathlib import Path

import pytest

from snpkit.cli import main
from tests.data.prepare.builders import write_csv, write_json, write_lines

STEPS = ("optimisation.total_steps=2", "optimisation.warmup_steps=1", "data.batch_size=4")
SAID = ["a red kite falls", "a dog runs to the left", "two cats sleep", "a ball is thrown"]


def place(films: list[Path], root: Path, count: int) -> None:
    """Videos video0 .. below the root."""
    (root / "videos").mkdir(parents=True)
    for number in range(count):
        shutil.copy(films[number % 4], root / "videos" / f"video{number}.mp4")


@pytest.fixture
def snpkit(capsys):
    """Run the command; its status, what it printed, and its sentence about a mistake."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        complaints = [line.split("\r")[-1] for line in said.err.splitlines() if "snpkit" in line]
        return status, said.out, "\n".join(complaints)

    return run


def finetune(task, data, output, *options, steps=STEPS):
    start = ("--start", "laptop", "--data", data, "--output", output, "--no-progress")
    return ("finetune", task, *start, *options, "--set", *steps)


@pytest.fixture
def msrvtt(films, tmp_path, snpkit) -> Path:
    """7k and 9k lists; two captions a training video; of three test videos the last is missing."""
    root = tmp_path / "msrvtt"
    place(films, root, 6)
    sentences = [
        {"caption": SAID[n % 4], "video_id": f"video{n // 2}", "sen_id": n} for n in range(8)
    ]
    write_json(root / "MSRVTT_data.json", {"videos": [], "sentences": sentences})
    for name, videos in (("7k", 3), ("9k", 4)):
        listed = [[f"video{n}"] for n in range(videos)]
        write_csv(root / f"MSRVTT_train.{name}.csv", ["video_id"], listed)
    tested = [[f"ret{n}", f"msr{n}", f"video{n}", SAID[n % 4]] for n in (*range(2, 6), 77)]
    header = ["key", "vid_key", "video_id", "sentence"]
    write_csv(root / "MSRVTT_JSFUSION_test.csv", header, tested)
    return root


def test_what_it_says_and_asks(msrvtt, snpkit, tmp_path):
    output = msrvtt / "manifest.jsonl"
    status, _, said = snpkit("prepare", "msrvtt", msrvtt, "-o", output)
    assert status == 2 and said.endswith("choose with --variant: 7k, 9k.") and not output.exists()
    status, _, said = snpkit("prepare", "msrvtt", msrvtt, "-o", output, "--variant", "1k")
    assert status == 2 and "no list '1k'; it holds: 7k, 9k" in said
    (msrvtt / "notes.json").write_text("[]")
    status, shown, _ = snpkit("prepare", "msrvtt", msrvtt, "-o", output, "--variant", "7K")
    assert status == 0 and shown.splitlines()[-1] == f"{output}: 11 captions."
    assert "train         6       3" in shown and "videos/video77.mp4" in shown
    assert "1 x files passed over" in shown and "video2.mp4 (test, train)" in shown
    status, _, said = snpkit("prepare", "captions", msrvtt, "-o", msrvtt / "notes.json")
    assert status == 2 and "notes.json is one of the files that are read" in said
    status, _, said = snpkit("prepare", "coco", tmp_path / "msrvtt" / "videos", "-o", output)
    assert status == 2 and "holds no files of coco" in said
    status, shown, _ = snpkit(
        "prepare", "msrvtt", msrvtt, "-o", tmp_path / "far" / "m.jsonl", "--variant", "9k"
    )
    assert status == 0 and f"give --root {msrvtt} wherever" in shown
    far = ("verify", tmp_path / "far" / "m.jsonl", "--json", "--root", msrvtt)
    found = json.loads(snpkit(*far)[1])["data_sets"][0]
    assert found["decoded"] == 6 and found["splits"]["test"] == {"captions": 5, "videos": 5}


def test_retrieval_of_msrvtt(msrvtt, tmp_path, snpkit):
    manifest, run = msrvtt / "manifest.jsonl", tmp_path / "run"
    status, _, said = snpkit(*finetune("retrieval", msrvtt, run))
    assert status == 2 and "convert them first: `snpkit prepare msrvtt " in said
    assert snpkit("prepare", "msrvtt", msrvtt, "-o", manifest, "--variant", "7k")[0] == 0
    status, _, said = snpkit(*finetune("retrieval", msrvtt, run))
    assert status == 2 and len(said.splitlines()) == 1
    assert said.endswith("it has: test, train. Choose with --held-out none|test.")
    assert not run.exists()
    command = finetune("retrieval", manifest, run, "--held-out", "test")
    status, _, said = snpkit(*command)  # with two captions each
    assert status == 2 and "3 videos, each drawn once an epoch, give no batch of 4" in said
    status, shown, said = snpkit(*command, "data.batch_size=3")
    assert status == 0, said
    written = json.loads((run / "metrics.json").read_text())
    assert written["queries"] == 4
    assert list(written["unreadable"]) == ["videos/video77.mp4"]
    status, shown, said = snpkit("evaluate", run / "last", "--data", manifest, "--json")
    measured = json.loads(shown)
    assert status == 0 and measured["matching"] == written["matching"]
    assert "video77.mp4" in measured["unreadable"]["videos/video77.mp4"]


def test_pretraining_on_two_data_sets_and_resuming_on_others(films, msrvtt, tmp_path, snpkit):
    coco = tmp_path / "coco"
    place(films, coco, 2)
    write_lines(coco / "train.jsonl", [{"caption": "a cat", "clip_name": f"video{n}"}
                                       for n in range(2)])  # fmt: skip
    for name, root, more in (("msrvtt", msrvtt, ("--variant", "9k")), ("captions", coco, ())):
        assert snpkit("prepare", name, root, "-o", root / f"{root.name}.jsonl", *more)[0] == 0
    both = (msrvtt / "msrvtt.jsonl", coco / "coco.jsonl")
    command = ("pretrain", "laptop", "--held-out", "none", "--output", tmp_path / "run",
               "--no-progress", "--set", *STEPS)  # fmt: skip
    status, shown, said = snpkit(*command, "--data", *both)
    assert status == 0 and "all 6 clips can be read" in shown, said
    more = ("--resume",)
    status, _, said = snpkit(*command, "--data", both[0], *more)
    assert status == 2 and "other training rows" in said
    lines = both[1].read_text().replace("a cat", "a dog")
    both[1].write_text(lines)
    status, _, said = snpkit(*command, "--data", *both, *more)
    assert status == 2 and "other training rows" in said


def test_several_captions_of_a_test_video(films, tmp_path, snpkit):
    """MSR-VTT's full test split has 20 captions a video: each must find its video."""
    place(films, tmp_path, 4)
    sentences = [
        {"caption": f"{SAID[n % 4]} {n}", "video_id": f"video{n % 4}", "sen_id": n}
        for n in range(80)
    ]
    videos = [{"video_id": f"video{n}", "split": "test"} for n in range(4)]
    write_json(tmp_path / "test_videodatainfo.json", {"videos": videos, "sentences": sentences})
    assert snpkit("prepare", "msrvtt", tmp_path, "-o", tmp_path / "manifest.jsonl")[0] == 0
    status, shown, said = snpkit("evaluate", "laptop", "--data", tmp_path, "--json")
    assert status == 0, said
    found = json.loads(shown)
    assert found["queries"] == 80
    # One of 4 videos; of 80 captions 20 are right, so that the first one is so every fourth time.
    assert found["chance"]["text_to_video"]["r1"] == pytest.approx(25)
    assert found["chance"]["video_to_text"]["r1"] == pytest.approx(25)
    assert found["chance"]["text_to_video"]["mean_rank"] == pytest.approx(2.5)


def test_questions_with_a_label_set_of_their_own(films, tmp_path, snpkit):
    place(films, tmp_path, 6)
    answers = ["kite", "Dog", "kite", "cat", "dog", "a purple elephant"]
    for split in ("train", "val", "test"):
        rows = [{"question": f"what is in video {n}?", "answer": answers[n],
                 "video_id": f"video{n}", "answer_type": "what"} for n in range(6)]  # fmt: skip
        write_lines(tmp_path / f"{split}.jsonl", rows)
    write_json(tmp_path / "train_ans2label.json", {"cat": 2, "dog": 0, "kite": 1, "never asked": 3})
    manifest, run = tmp_path / "out" / "qa.jsonl", tmp_path / "run"
    assert snpkit("prepare", "msrvtt-qa", tmp_path, "-o", manifest)[0] == 0
    options = ("--root", tmp_path)
    status, shown, said = snpkit(*finetune("qa", manifest, run, *options))
    assert status == 0, said
    names = json.loads((run / "last" / "config.json").read_text())["id2label"]
    assert list(names.values()) == ["dog", "kite", "cat", "never asked"]
    written = json.loads((run / "metrics.json").read_text())
    assert written["outside"] == 1 and written["questions"] == 6
    assert written["commonest"] == pytest.approx(100 * 2 / 6)
    status, shown, said = snpkit("evaluate", run / "last", "--data", manifest, *options, "--json")
    assert json.loads(shown)["accuracy"] == written["accuracy"] <= 100 * 5 / 6


def test_questions_whose_answers_are_labels(films, tmp_path, snpkit):
    place(films, tmp_path, 6)
    for split in ("train", "test"):
        rows = [
            {"caption": f"what is in video {n}?", "clip_name": f"video{n}", "label": label}
            for n, label in enumerate([7, 7, 3, 3, 7, -1])
        ]
        write_lines(tmp_path / f"qa_{split}.jsonl", rows)
    assert snpkit("prepare", "msrvtt-qa", tmp_path, "-o", tmp_path / "questions.jsonl")[0] == 0
    run = tmp_path / "run"
    status, _, said = snpkit(*finetune("qa", tmp_path, run, "--held-out", "none"))
    assert status == 0, said
    names = json.loads((run / "last" / "config.json").read_text())["id2label"]
    assert list(names.values()) == ["7", "3"]
    written = json.loads((run / "metrics.json").read_text())
    assert written["outside"] == 1 and written["commonest"] == pytest.approx(50)


def test_multiple_choice_from_a_model_that_never_saw_it(films, tmp_path, snpkit):
    place(films, tmp_path, 4)
    rows = [{"qid": n, "clip_name": f"video{n}", "title": "", "answer": str(n),
             "options": [*SAID, "a plane"]} for n in range(4)]  # fmt: skip
    write_lines(tmp_path / "msrvtt_mc_test.jsonl", rows)
    assert snpkit("prepare", "msrvtt-mc", tmp_path, "-o", tmp_path / "choices.jsonl")[0] == 0
    command = ("evaluate", "laptop", "--task", "multichoice", "--data", tmp_path, "--json")
    status, shown, said = snpkit(*command)
    assert status == 0, said
    found = json.loads(shown)
    assert found["chance"] == 20 and found["questions"] == 4
    status, _, said = snpkit(*finetune("multichoice", tmp_path, tmp_path / "run"))
    assert status == 2 and said.endswith("it has: test. Choose with --train test.")


def test_paragraphs_are_cut_where_asked(films, tmp_path, snpkit):
    place(films, tmp_path, 2)
    items = [
        {"video": f"video{n}.mp4", "description": said, "times": []}
        for said in ("a kite " * 16, "flies") for n in range(2)
    ]  # fmt: skip
    items[-1]["description"] = "falls into the sea"
    write_json(tmp_path / "test_data.json", items)
    prepare = ("prepare", "didemo", tmp_path, "-o", tmp_path / "manifest.jsonl")
    assert snpkit(*prepare, "--paragraphs", "no")[0] == 0
    assert len((tmp_path / "manifest.jsonl").read_text().splitlines()) == 4
    assert snpkit(*prepare)[0] == 0
    command = ("evaluate", "laptop", "--data", tmp_path, "--json")
    short, long = (
        json.loads(snpkit(*command, "--max-tokens", tokens)[1])["matching"]["video_to_text"]
        for tokens in (30, 64)
    )
    # Both paragraphs begin with the same 32 words: cut before their ends they are one to a model.
    assert (short["r1"], short["mean_rank"]) == (0, 1.5)
    assert long != short
    status, _, said = snpkit(*command, "--max-tokens", 65)
    assert status == 2 and "--max-tokens is 65; this model takes 3 to 64 tokens" in said
