"""Question answering and multiple choice: from the files of each data set to rows.

Each row keeps in `extra`, under these keys whatever the file calls them:

* question answering: "question" (also the caption), and "answer" or, where the answer is known by
  its label alone, "label": its place in the label set, -1 = outside of it;
* multiple choice: "question" (the file's title; "" if it has none), "options", "label", the place
  of the right option, and "answer", its text (also the caption).
"""

from collections.abc import Iterator
from pathlib import Path

from snpkit.data.labels import OUTSIDE, AnswerLabels, whole_number
from snpkit.data.prepare.reading import Reading
from snpkit.data.prepare.records import Record, records, sentence
from snpkit.data.rows import VideoText, WrongRow, shorten
from snpkit.errors import AnnotationError
from snpkit.text import clean_caption

_VIDEO = ("video_id", "video", "clip_name")


def read_questions(
    reading: Reading, labels: AnswerLabels | None, mapping: Path | None
) -> Iterator[VideoText]:
    """{"question", "answer", "video_id"}, or {"caption": question, "clip_name", "label"}.

    A numbered video, as in the original files, is video<number> of MSR-VTT or named by `mapping`.
    A label is the number of an answer, or the answer itself.

    Args:
        reading: of the file.
        labels: the label set, which gives the answers of numbers; None = they stay numbers.
        mapping: MSVD's `youtube_mapping.txt`; None = there is none.
    """
    names = None if mapping is None else _names(mapping)
    for record in reading.records():
        with reading.row(record):
            clip = record.name(*_VIDEO)
            if isinstance(record.field(*_VIDEO), int):
                if names is not None and f"vid{clip}" not in names:
                    problem = f'"video_id" is {clip}, which {mapping.name} does not name; add it'
                    raise WrongRow(problem)
                clip = f"video{clip}" if names is None else names[f"vid{clip}"]
            question = sentence(record.field("question", "caption"), "question")
            extra = {"question": question, **_answer(record, labels)}
            kept = ("answer_type", "category_id")
            extra |= {key: record.value[key] for key in kept if key in record.value}
            video, key = reading.video(clip), reading.identity(record)
            yield VideoText(key, video, question, reading.split, extra=extra)


def read_choices(reading: Reading) -> Iterator[VideoText]:
    """{"clip_name", "options", "answer": index} or {"video", "caption": [options], "answer"}."""
    for record in reading.records():
        with reading.row(record):
            video = reading.video(record.text("clip_name", "video", "video_id"))
            options = record.field("options", "caption")
            if not isinstance(options, list) or len(options) < 2:
                problem = f'"options" is {shorten(options)}; it must be a list of two or more'
                raise WrongRow(problem, "options")
            options = [sentence(option, "option") for option in options]
            label = _number(record, "answer")
            if not 0 <= label < len(options):
                problem = f'"answer" is {label}; it must be 0 to {len(options) - 1}, an option'
                raise WrongRow(problem, "answer outside the options")
            title = record.value.get("title") or record.value.get("question") or ""
            title = clean_caption(title) if isinstance(title, str) else ""
            answer = options[label]
            extra = {"question": title, "options": options, "answer": answer, "label": label}
            key = reading.identity(record)
            if "qid" in record.value:
                key = f"{key.rpartition(':')[0]}:{record.name('qid')}"
            yield VideoText(key, video, answer, reading.split, extra=extra)


def _names(path: Path) -> dict[str, str]:
    """`youtube_mapping.txt` as {"vid<number>": name of the file}."""
    names: dict[str, str] = {}
    for _, line, content in records(path):
        clip, _, video = content.strip().rpartition(" ")
        if not clip.strip() or not video.removeprefix("vid").isdecimal():
            raise AnnotationError(f'{path}, line {line}: it must be "<name> vid<number>".')
        names[video] = clip.strip()
    return names


def _answer(record: Record, labels: AnswerLabels | None) -> dict[str, str | int]:
    if "answer" in record.value or isinstance(record.value.get("label"), str):
        return {"answer": record.name("answer", "label")}
    label = _number(record, "label")
    if labels is not None and 0 <= label < len(labels):
        return {"answer": labels.answers[label]}
    return {"label": label if labels is None and label >= 0 else OUTSIDE}


def _number(record: Record, key: str) -> int:
    number = whole_number(record.field(key))
    if number is None:
        raise WrongRow(f'"{key}" is {shorten(record.value[key])}; it must be a whole number')
    return number
