"""Data sets in their published layouts go straight into the commands: small ones, real clips."""

import json
import shutil
from pathlib import Path

import pytest

from snpkit.cli import main
from tests.data.annotations.builders import write_csv, write_json, write_lines
from tests.video.films import write_film

STEPS = ("optimisation.total_steps=2", "optimisation.warmup_steps=1", "data.batch_size=4")
SAID = ["a red kite falls", "a dog runs to the left", "two cats sleep", "a ball is thrown"]


@pytest.fixture(scope="session")
def films(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("films")
    return [write_film(folder / f"{n}.mp4", 6 + n, 64, 64) for n in range(4)]


def place(films: list[Path], root: Path, count: int) -> None:
    """Videos video0 .. below the root."""
    (root / "videos").mkdir(parents=True)
    for number in range(count):
        shutil.copy(films[number % 4], root / "videos" / f"video{number}.mp4")


@pytest.fixture(scope="session")
def msrvtt(films, tmp_path_factory) -> Path:
    """7k and 9k lists; two captions a training video; of three test videos the last is missing."""
    root = tmp_path_factory.mktemp("msrvtt")
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


@pytest.fixture(scope="session")
def questions(films, tmp_path_factory) -> Path:
    """MSRVTT-QA with its label set; answers of every split outside of it."""
    root = tmp_path_factory.mktemp("qa")
    place(films, root, 6)
    answers = ["kite", "dog", "kite", "cat", "dog", "a purple elephant"]
    for split, count in (("train", 6), ("val", 6), ("test", 6)):
        rows = [
            {"question": f"what is in video {n}?", "answer": answers[n], "video_id": f"video{n}",
             "answer_type": "what"}
            for n in range(count)
        ]  # fmt: skip
        write_lines(root / f"{split}.jsonl", rows)
    write_json(root / "train_ans2label.json", {"cat": 2, "dog": 0, "kite": 1, "never asked": 3})
    return root


@pytest.fixture(scope="session")
def labelled(films, tmp_path_factory) -> Path:
    """Questions whose answers are known by their labels alone; -1 = outside the set."""
    root = tmp_path_factory.mktemp("labelled")
    place(films, root, 6)
    for split in ("train", "test"):
        rows = [
            {"caption": f"what is in video {n}?", "clip_name": f"video{n}", "label": label}
            for n, label in enumerate([7, 7, 3, 3, 7, -1])
        ]
        write_lines(root / f"{split}.jsonl", rows)
    return root


@pytest.fixture(scope="session")
def choices(films, tmp_path_factory) -> Path:
    """MSRVTT-MC, which has a test split only."""
    root = tmp_path_factory.mktemp("mc")
    place(films, root, 4)
    rows = [
        {"qid": n, "clip_name": f"video{n}", "title": "", "answer": str(n), "options":
         [*SAID, "a plane"]}
        for n in range(4)
    ]  # fmt: skip
    write_lines(root / "msrvtt_mc_test.jsonl", rows)
    return root


@pytest.fixture
def snpkit(capsys):
    """Run the command; its status, what it said, and what it complained of."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        complaints = [line.split("\r")[-1] for line in said.err.splitlines() if "snpkit" in line]
        return status, said.out, "\n".join(complaints)

    return run


def finetune(task, root, output, *options, steps=STEPS):
    start = ("--start", "laptop", "--data", root, "--output", output, "--no-progress")
    return ("finetune", task, *start, *options, "--set", *steps)


def test_retrieval_of_msrvtt_from_its_own_folder(msrvtt, tmp_path, snpkit):
    run = tmp_path / "run"
    layout = ("--layout", "msrvtt-7k")
    status, _, said = snpkit(*finetune("retrieval", msrvtt, run))
    assert status == 2 and said.endswith("choose with --layout: msrvtt-7k, msrvtt-9k.")
    status, _, said = snpkit(*finetune("retrieval", msrvtt, run, *layout))
    assert status == 2 and len(said.splitlines()) == 1
    assert said.endswith("it has: test, train. Choose with --held-out none|test.")
    assert not run.exists()
    command = finetune("retrieval", msrvtt, run, *layout, "--held-out", "test")
    status, _, said = snpkit(*command)  # with two captions each
    assert status == 2 and "3 videos, each drawn once an epoch, give no batch of 4" in said
    status, shown, said = snpkit(*command, "data.batch_size=3")
    assert status == 0, said
    written = json.loads((run / "metrics.json").read_text())
    assert written["queries"] == 4
    assert list(written["unreadable"]) == ["videos/video77.mp4"]
    data = ("--data", msrvtt, *layout, "--json")
    status, shown, said = snpkit("evaluate", run / "last", *data)
    measured = json.loads(shown)
    assert status == 0 and measured["matching"] == written["matching"]
    assert "video77.mp4" in measured["unreadable"]["videos/video77.mp4"]
    status, shown, _ = snpkit("evaluate", run / "last", *data, "--split", "train")
    assert json.loads(shown)["queries"] == 6


def test_several_captions_of_a_test_video(films, tmp_path, snpkit):
    """MSR-VTT's full test split has 20 captions a video: each must find its video."""
    place(films, tmp_path, 4)
    sentences = [
        {"caption": f"{SAID[n % 4]} {n}", "video_id": f"video{n % 4}", "sen_id": n}
        for n in range(80)
    ]
    videos = [{"video_id": f"video{n}", "split": "test"} for n in range(4)]
    write_json(tmp_path / "MSRVTT_data.json", {"videos": videos, "sentences": sentences})
    status, shown, said = snpkit("evaluate", "laptop", "--data", tmp_path, "--json")
    assert status == 0, said
    found = json.loads(shown)
    assert found["queries"] == 80
    # One of 4 videos; of 80 captions 20 are right, so that the first one is so every fourth time.
    assert found["chance"]["text_to_video"]["r1"] == pytest.approx(25)
    assert found["chance"]["video_to_text"]["r1"] == pytest.approx(25)
    assert found["chance"]["text_to_video"]["mean_rank"] == pytest.approx(2.5)


def test_questions_with_a_label_set_of_their_own(questions, tmp_path, snpkit):
    run = tmp_path / "run"
    status, shown, said = snpkit(*finetune("qa", questions, run))
    assert status == 0, said
    names = json.loads((run / "last" / "config.json").read_text())["id2label"]
    assert list(names.values()) == ["dog", "kite", "cat", "never asked"]
    written = json.loads((run / "metrics.json").read_text())
    assert written["outside"] == 1 and written["questions"] == 6
    assert written["commonest"] == pytest.approx(100 * 2 / 6)
    assert "always the commonest answer" in shown
    status, shown, said = snpkit("evaluate", run / "last", "--data", questions, "--json")
    assert json.loads(shown)["accuracy"] == written["accuracy"] <= 100 * 5 / 6


def test_questions_whose_answers_are_labels(labelled, tmp_path, snpkit):
    run = tmp_path / "run"
    status, _, said = snpkit(*finetune("qa", labelled, run, "--held-out", "none"))
    assert status == 0, said
    names = json.loads((run / "last" / "config.json").read_text())["id2label"]
    assert list(names.values()) == ["7", "3"]
    written = json.loads((run / "metrics.json").read_text())
    assert written["outside"] == 1 and written["commonest"] == pytest.approx(50)
    assert written["accuracy"] <= 100 * 5 / 6


def test_multiple_choice_from_a_model_that_never_saw_it(choices, tmp_path, snpkit):
    command = ("evaluate", "laptop", "--task", "multichoice", "--data", choices, "--json")
    status, shown, said = snpkit(*command)
    assert status == 0, said
    found = json.loads(shown)
    assert found["chance"] == 20 and found["questions"] == 4
    status, _, said = snpkit(*finetune("multichoice", choices, tmp_path / "run"))
    assert status == 2 and said.endswith("has no split 'train'; it has: test. "
                                         "Choose with --train test.")
    trained = finetune("multichoice", choices, tmp_path / "run", "--train", "test",
                       "--held-out", "none")
    status, shown, said = snpkit(*trained)
    assert status == 0, said
    assert "choosing by both scores" in shown


def test_pretraining_on_a_published_layout(msrvtt, tmp_path, snpkit):
    layout = ("--data", msrvtt, "--layout", "msrvtt-9k", "--held-out", "none")
    command = ("pretrain", "laptop", *layout, "--output", tmp_path / "run", "--no-progress")
    status, shown, said = snpkit(*command, "--set", *STEPS)
    assert status == 0, said
    assert "all 4 clips can be read" in shown


def test_paragraphs_are_cut_where_asked(films, tmp_path, snpkit):
    place(films, tmp_path, 2)
    items = [
        {"video": f"video{n}.mp4", "description": said, "times": []}
        for said in ("a kite " * 16, "flies") for n in range(2)
    ]  # fmt: skip
    items[-1]["description"] = "falls into the sea"
    write_json(tmp_path / "test_data.json", items)
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
    steps = (*STEPS, "data.max_tokens=65", "data.batch_size=2")
    train = finetune("retrieval", tmp_path, tmp_path / "run", "--train", "test", "--held-out",
                     "none", steps=steps)
    status, _, said = snpkit(*train)
    assert status == 2 and "data.max_tokens is 65" in said
