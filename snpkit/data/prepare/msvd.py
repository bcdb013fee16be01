"""MSVD: `raw-captions.pkl` and the lists of its splits.

A pickle is a program: reading one can run any command. This one is read in two steps that allow no
program: its instructions are looked through first and only those that build dicts, lists, texts
and numbers may be there; then an unpickler without access to any class or function reads it.
"""

import io
import pickle
import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from snpkit.data.prepare.reading import Reading
from snpkit.data.prepare.records import sentence
from snpkit.data.rows import VideoText, WrongRow
from snpkit.errors import AnnotationError
from snpkit.files import open_regular

_LARGEST = 1 << 28  # bytes; MSVD's own file has 8 million
_EXPANSION, _SLACK = 64, 1 << 20  # letters of captions allowed: so many a byte, and so many more
# Instructions that only build plain values: not GLOBAL, REDUCE, BUILD, INST and the like, and not
# those of tuples: a million of them in each other, as a key, end the process.
_HARMLESS = frozenset(
    """PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG
    LONG1 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES UNICODE BINUNICODE
    SHORT_BINUNICODE BINUNICODE8 EMPTY_LIST APPEND APPENDS LIST EMPTY_DICT DICT SETITEM SETITEMS GET
    BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE
    """.split()  # noqa: SIM905
)


def read_msvd(reading: Reading, captions: dict[str, list[str]]) -> Iterator[VideoText]:
    """The captions of the videos that `train_list.txt`, `val_list.txt` or `test_list.txt` names."""
    for record in reading.records():
        video = record.value.strip()
        for place, said in enumerate(captions.get(video, [None])):
            with reading.row(record):
                if said is None:
                    problem = f"{video[:40]!r} has no caption; is it the list of another data set?"
                    raise WrongRow(problem, "video without captions")
                path, said = reading.video(video, "YouTubeClips"), sentence(said)
                yield VideoText(f"{video}:{place}", path, said, reading.split)


def read_pickle(path: Path) -> dict[str, list[str]]:
    """`raw-captions.pkl`, {video: [[word, ...], ...]}, as captions of words joined by spaces.

    Raises:
        AnnotationError: the file cannot be read, holds anything else, or is a program.
    """
    try:
        with open_regular(path, "rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise AnnotationError(f"Cannot read {path}: {error.strerror or error}.") from None
    if len(content) > _LARGEST:
        raise AnnotationError(f"{path} is too large for captions; is it the right file?")
    try:
        _look_through(path, content)
        # Texts that Python 2 wrote are bytes to the unpickler, mostly UTF-8.
        found = _PlainUnpickler(io.BytesIO(content), encoding="utf-8", errors="replace").load()
    except AnnotationError:
        raise
    except Exception:
        # pickle raises nearly anything on damaged input; none of it is another error than this.
        raise _damaged(path) from None
    if not isinstance(found, dict) or not found:
        raise AnnotationError(f"{path} must hold a dict of captions; is it the right file?")
    captions: dict[str, list[str]] = {}
    room = _EXPANSION * len(content) + _SLACK
    for video, said in found.items():
        if not isinstance(video, str) or not video.strip():
            raise AnnotationError(f"{path} names a video {video!r:.40}; it must be text.")
        captions[video.strip()] = joined = _joined(path, video, said, room)
        room -= sum(map(len, joined))
    return captions


def _look_through(path: Path, content: bytes) -> None:
    """Refuse a pickle with an instruction that could call something or claim endless memory."""
    stored, stream = 0, io.BytesIO(content)
    while (code := stream.read(1)) != b".":
        instruction = pickletools.code2op[code.decode("latin-1")]
        if instruction.name not in _HARMLESS:
            raise AnnotationError(
                f"{path} holds more than lists of words ({instruction.name}): a pickle can run any "
                "program; do not use this file, fetch it anew from a source you trust."
            )
        argument = None
        if instruction.name == "STRING":  # pickletools takes a text of Python 2 for ASCII
            stream.readline()
        elif instruction.arg is not None:
            argument = instruction.arg.reader(stream)
        if instruction.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            stored += 1
            # The unpickler makes room up to the place named, however far off it is.
            if not 0 <= argument <= 4 * stored + 256:
                raise _damaged(path)


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"{module}.{name} is no caption")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("a reference is no caption")


def _joined(path: Path, video: str, captions: Any, room: int) -> list[str]:
    """[[word, ...], ...] -> [caption, ...], of not more than `room` letters."""
    joined: list[str] = []
    for words in captions if isinstance(captions, list) else [None]:
        if not isinstance(words, list) or not all(isinstance(w, str) for w in words):
            raise AnnotationError(f"{path}, {video[:40]!r}: its captions must be lists of words.")
        # One list can stand in many places: a small file can say more than any memory holds.
        room -= sum(map(len, words)) + len(words)
        if room < 0:
            raise AnnotationError(f"{path} stands for far more text than it holds; fetch it anew.")
        joined.append(" ".join(words))
    return joined


def _damaged(path: Path) -> AnnotationError:
    return AnnotationError(f"{path} is no pickle, or it is damaged; fetch it anew.")
