"""Data sets in the true layout of their authors, small, written by the tests.

Each builder writes its files below a folder and gives what must be read back: a list of
(split, video, caption, extra) in the order of the files.
"""

import csv
import json
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

FIVE = ["one", "two", "three", "four", "five"]


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_lines(path: Path, values: Iterable[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")


def write_csv(path: Path, header: list[str], rows: Iterable[list[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def expected(split: str, video: str, captions: list[str], **extra: Any) -> list[tuple]:
    """A row for each caption; {n} in the name of its video is the caption's number."""
    return [(split, video.format(n=n), caption, extra) for n, caption in enumerate(captions)]


def msrvtt(root: Path, captions: list[str], name: str = "7k") -> list[tuple]:
    """video0 .. of the training list with every caption but the last, which is the test list's."""
    *trained, tested = captions
    videos = [f"video{number % 3}" for number in range(len(trained))]
    test = f"video{len(captions) + 7}"
    # The file holds the sentences of all videos, those of the test too.
    every = zip([*videos, test], [*trained, "not asked for"], strict=True)
    sentences = [{"caption": c, "video_id": v, "sen_id": n} for n, (v, c) in enumerate(every)]
    listed = [{"video_id": video, "split": "train", "id": 0} for video in {*videos, test}]
    data = {"info": {"year": "2016"}, "videos": listed, "sentences": sentences}
    write_json(root / "MSRVTT_data.json", data)
    names = [[video] for video in dict.fromkeys(videos)]
    write_csv(root / f"MSRVTT_train.{name}.csv", ["video_id"], names)
    header = ["key", "vid_key", "video_id", "sentence"]
    write_csv(root / "MSRVTT_JSFUSION_test.csv", header, [["ret0", "msr7", test, tested]])
    rows = [("train", f"videos/{v}.mp4", c, {}) for v, c in zip(videos, trained, strict=True)]
    return [*rows, ("test", f"videos/{test}.mp4", tested, {})]


def jsonl(root: Path, captions: list[str]) -> list[tuple]:
    """The reference's form of MSR-VTT."""
    rows = [{"caption": c, "clip_name": f"video{n}", "sen_id": n} for n, c in enumerate(captions)]
    write_lines(root / "train.jsonl", rows)
    write_lines(root / "test.jsonl", [rows[0] | {"retrieval_key": "ret0"}])
    read = [("train", f"videos/video{n}.mp4", c, {"sen_id": n}) for n, c in enumerate(captions)]
    return [("test", *read[0][1:]), *read]  # files in the order of their names


def caption_list(root: Path, captions: list[str]) -> list[tuple]:
    items = [{"video": "video3.mp4", "caption": captions, "duration": 9.5}]
    write_json(root / "msrvtt_ret_train9k.json", items)
    write_json(root / "msrvtt_ret_test1k.json", [{"video": "video4.mp4", "caption": captions[0]}])
    test = expected("test", "videos/video4.mp4", captions[:1])
    return test + expected("train", "videos/video3.mp4", captions, duration=9.5)


def choices(root: Path, captions: list[str]) -> list[tuple]:
    row = {"clip_name": "video1", "answer": "3", "options": FIVE}
    rows = [row | {"qid": n, "title": caption} for n, caption in enumerate(captions)]
    write_lines(root / "msrvtt_mc_test.jsonl", rows)
    extra = {"options": FIVE, "label": 3, "answer": "four"}
    return [("test", "videos/video1.mp4", "four", {"question": c} | extra) for c in captions]


def choices_list(root: Path, captions: list[str]) -> list[tuple]:
    options = [captions[0], *FIVE[1:]]
    rows = [{"video": "video1.mp4", "caption": options, "answer": 0}] * len(captions)
    write_json(root / "msrvtt_mc_test.json", rows)
    extra = {"question": "", "options": options, "label": 0, "answer": options[0]}
    return expected("test", "videos/video1.mp4", options[:1], **extra) * len(captions)


def questions(root: Path, captions: list[str]) -> list[tuple]:
    """Answers "yes" (label 1), "no" (0) and, at the end, one outside the label set."""
    answers = [("no", "yes")[n % 2] for n in range(len(captions) - 1)] + ["a purple elephant"]
    rows = [{"question": c, "answer": a, "answer_type": "what"}
            for c, a in zip(captions, answers, strict=True)]  # fmt: skip
    write_lines(root / "train.jsonl", [row | {"video_id": "video2"} for row in rows])
    write_json(root / "train_ans2label.json", {"yes": 1, "no": 0})
    return [("train", "videos/video2.mp4", row["question"], row) for row in rows]


def questions_labelled(root: Path, captions: list[str]) -> list[tuple]:
    rows = [{"caption": c, "clip_name": "video2", "label": n} for n, c in enumerate(captions)]
    write_lines(root / "val.jsonl", rows)
    write_json(root / "train_ans2label.json", {"no": 0, "yes": 1})
    answers = [{"answer": "no"}, {"answer": "yes"}, *[{"label": -1}] * (len(captions) - 2)]
    return [("validation", "videos/video2.mp4", c, {"question": c} | answer)
            for c, answer in zip(captions, answers, strict=True)]  # fmt: skip


def questions_original(root: Path, captions: list[str]) -> list[tuple]:
    """MSVD's original files: numbered videos and their mapping; no label set."""
    row = {"answer": "cat", "video_id": 1301}
    write_json(root / "train_qa.json", [row | {"question": c} for c in captions])
    (root / "youtube_mapping.txt").write_text("-4wsuPCjDBc_5_15 vid1301\nabc vid2\n")
    video = "videos/-4wsuPCjDBc_5_15.mp4"
    return [("train", video, c, {"question": c, "answer": "cat"}) for c in captions]


def msvd(root: Path, captions: list[str]) -> list[tuple]:
    video = "-4wsuPCjDBc_5_15"
    words = {video: [c.split() for c in captions], "other_1_2": [["not", "asked"]]}
    (root / "raw-captions.pkl").write_bytes(pickle.dumps(words, protocol=2))
    (root / "train_list.txt").write_text(f"{video}\n")
    return expected("train", f"YouTubeClips/{video}.mp4", [" ".join(c.split()) for c in captions])


def didemo(root: Path, captions: list[str]) -> list[tuple]:
    row = {"video": "1@N0_2.mov", "times": [[0, 0], [1, 2]], "num_segments": 6}
    items = [row | {"description": c} for c in captions]
    items.insert(1, {"video": "second.mp4", "description": "between", "times": []})
    write_json(root / "val_data.json", items)
    times = [[[0, 0], [1, 2]]] * len(captions)
    first = ("validation", "videos/1@N0_2.mov", " ".join(captions), {"times": times})
    return [first, ("validation", "videos/second.mp4", "between", {"times": [[]]})]


def webvid(root: Path, captions: list[str]) -> list[tuple]:
    header = ["videoid", "contentUrl", "duration", "page_dir", "name"]
    url, folder = "https://example.org/1.mp4", "000001_000050"
    rows = [[n, url, "PT00H01M05S", folder, c] for n, c in enumerate(captions)]
    write_csv(root / "results_2M_train.csv", header, rows)
    return expected("train", f"videos/{folder}/{{n}}.mp4", captions, duration=65)


def cc3m(root: Path, captions: list[str]) -> list[tuple]:
    url = "https://example.org/a.jpg"
    lines = "".join(f"{c}\t{url}\n" for c in captions)
    (root / "Train_GCC-training.tsv").write_text(lines, encoding="utf-8")
    return expected("train", "train/00000/{n:09d}.jpg", captions, url=url)


def image_list(root: Path, captions: list[str]) -> list[tuple]:
    write_json(root / "cc3m_train.json", [{"image": "a/b.jpg", "caption": c} for c in captions])
    return expected("train", "images/a/b.jpg", captions)


def coco(root: Path, captions: list[str]) -> list[tuple]:
    data = {
        "info": {"year": 2017},
        "images": [{"id": 9, "file_name": "000000000009.jpg", "height": 480}],
        "annotations": [{"image_id": 9, "id": n, "caption": c} for n, c in enumerate(captions)],
    }
    write_json(root / "annotations" / "captions_val2017.json", data)
    return expected("validation", "images/000000000009.jpg", captions)


def visual_genome(root: Path, captions: list[str]) -> list[tuple]:
    box = {"x": 1, "y": 2, "width": 3, "height": 4}
    regions = [{"region_id": n, "image_id": 7, "phrase": c} | box for n, c in enumerate(captions)]
    write_json(root / "region_descriptions.json", [{"id": 7, "regions": regions}])
    return expected("train", "VG_100K/7.jpg", captions, box=[1, 2, 3, 4])


def reference(root: Path, captions: list[str]) -> list[tuple]:
    kinds = [{"type": "video", "start": 0.5, "end": 2}, {"type": "image"}]
    row = {"sen_id": 3, "label": 1}
    rows = [row | kinds[n % 2] | {"caption": c, "clip_name": f"a/{n}"}
            for n, c in enumerate(captions)]  # fmt: skip
    write_lines(root / "train.jsonl", rows)
    extra = {"sen_id": 3, "reference_label": 1}
    paths = "videos/a/{n}.mp4", "images/a/{n}.jpg"
    return [("train", paths[n % 2].format(n=n), c, extra) for n, c in enumerate(captions)]


def video_folder(root: Path, captions: list[str]) -> list[tuple]:
    """Hugging Face's VideoFolder: a folder for each split."""
    rows = [{"file_name": f"{n}.mp4", "text": c, "more": 7} for n, c in enumerate(captions)]
    for split in ("dev", "train"):
        write_lines(root / split / "metadata.jsonl", rows)
    dev = expected("validation", "dev/{n}.mp4", captions, more=7)
    return dev + expected("train", "train/{n}.mp4", captions, more=7)


# (the data set as it is recognised, what writes it): each in all forms that are published
BUILDERS: list[tuple[str, Callable[[Path, list[str]], list[tuple]]]] = [
    ("msrvtt-7k", msrvtt), ("msrvtt-9k", caption_list), ("captions", jsonl),
    ("captions", reference), ("msrvtt-mc", choices), ("msrvtt-mc", choices_list),
    ("msrvtt-qa", questions), ("msrvtt-qa", questions_labelled), ("msvd-qa", questions_original),
    ("msvd", msvd), ("didemo", didemo), ("webvid-2m", webvid), ("cc3m", cc3m),
    ("cc3m", image_list), ("coco-2017", coco), ("vg", visual_genome),
    ("videofolder", video_folder),
]  # fmt: skip
