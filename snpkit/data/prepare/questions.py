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
from snpkit.data.prepare.records import Record, field, name, records, sentence, text
from snpkit.data.prepare.records import text_lines as lines_of
from snpkit.data.rows import VideoText, WrongRow, shorten
from snpkit.errors import AnnotationError
from snpkit.text import clean_caption


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
    names = None if mapping is None else read_mapping(mapping)

    def row(record: Record) -> Iterator[VideoText]:
        clip = field(record, "video_id", "video", "clip_name")
        if names is not None and isinstance(clip, int):
            if f"vid{clip}" not in names:
                raise WrongRow(f'"video_id" is {clip}, which {mapping.name} does not name; add it')
            clip = names[f"vid{clip}"]
        elif isinstance(clip, int):
            clip = f"video{name(record, 'video_id', 'video', 'clip_name')}"
        else:
            clip = text(record, "video_id", "video", "clip_name")
        question = sentence(field(record, "question", "caption"), "question")
        extra = {"question": question, **_answer(record, labels)}
        kept = ("answer_type", "category_id")
        extra |= {key: record.value[key] for key in kept if key in record.value}
        key = reading.identity(record)
        yield VideoText(key, reading.video(clip), question, reading.split, extra=extra)

    return reading.rows(records(reading.file.path), row)


def read_choices(reading: Reading) -> Iterator[VideoText]:
    """{"clip_name", "options", "answer": index} or {"video", "caption": [options], "answer"}."""

    def row(record: Record) -> Iterator[VideoText]:
        video = reading.video(text(record, "clip_name", "video", "video_id"))
        options = field(record, "options", "caption")
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
        extra = {"question": title, "options": options, "answer": options[label], "label": label}
        key = reading.identity(record)
        if "qid" in record.value:
            key = f"{key.rpartition(':')[0]}:{name(record, 'qid')}"
        yield VideoText(key, video, options[label], reading.split, extra=extra)

    return reading.rows(records(reading.file.path), row)


def read_mapping(path: Path) -> dict[str, str]:
    """`youtube_mapping.txt` as {"vid<number>": name of the file}.

    Raises:
        AnnotationError: a line is not "<name> vid<number>".
    """
    names: dict[str, str] = {}
    for line, content in lines_of(path):
        clip, _, video = content.strip().rpartition(" ")
        if not clip.strip() or not video.removeprefix("vid").isdecimal():
            raise AnnotationError(f'{path}, line {line}: it must be "<name> vid<number>".')
        names[video] = clip.strip()
    return names


def _answer(record: Record, labels: AnswerLabels | None) -> dict[str, str | int]:
    if "answer" in record.value or isinstance(record.value.get("label"), str):
        return {"answer": name(record, "answer", "label")}
    label = _number(record, "label")
    if labels is not None and 0 <= label < len(labels):
        return {"answer": labels.answers[label]}
    return {"label": label if labels is None and label >= 0 else OUTSIDE}


def _number(record: Record, key: str) -> int:
    number = whole_number(field(record, key))
    if number is None:
        raise WrongRow(f'"{key}" is {shorten(record.value[key])}; it must be a whole number')
    return number
