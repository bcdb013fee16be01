"""What a run leaves to read: history.jsonl, one line a step, and TensorBoard if it is installed."""

import json
import os
import socket
import sys
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from snpkit.errors import explained
from snpkit.files import open_regular


class History(AbstractContextManager):
    """Lines of a run in `folder`/history.jsonl, each a JSON object with a "step".

    A killed run may leave half a line, and lines after its last checkpoint: opening the history at
    a step cuts both away, so that a resumed run writes every step once.

    Args:
        folder: the run's folder.
        step: steps already done; later lines are cut.
        tensorboard: also write scalars to `folder`/tensorboard if the package is installed.
    """

    def __init__(self, folder: Path, step: int = 0, *, tensorboard: bool = True) -> None:
        self.path = folder / "history.jsonl"
        with explained(f"Cannot write {self.path}"):
            folder.mkdir(parents=True, exist_ok=True)
            _cut(self.path, step)
            self.file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115 (see __exit__)
        self.board = None
        if tensorboard:
            with suppress(ImportError, OSError):  # it is not installed, or the disk is full
                self.board = _Board(folder / "tensorboard", step)

    def write(self, lines: list[dict[str, Any]]) -> None:
        """Append lines and hand them to the operating system: they survive the process.

        Raises:
            UserError: the disk is full or fails.
        """
        text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
        with self._written():
            self.file.write(text)
            self.file.flush()
        if self.board is not None:
            try:
                self.board.write(lines)
            except OSError as error:  # a copy for looking at: the run goes on without it
                print(f"TensorBoard gets no more lines: {error}.", file=sys.stderr)
                self.board = None

    def sync(self) -> None:
        """Force the lines to the disk: before a checkpoint that stands for them.

        Raises:
            UserError: the disk is full or fails.
        """
        with self._written():
            os.fsync(self.file.fileno())

    def _written(self) -> AbstractContextManager[None]:
        advice = "free some space, then continue with --resume"
        return explained(f"Cannot write {self.path}", advice)

    def __exit__(self, *_: object) -> None:
        # What a full disk did not take was reported by `write`.
        with suppress(OSError):
            self.file.close()
        if self.board is not None:
            with suppress(OSError):
                self.board.file.close()


def read_history(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a history file, or of the one in a run's folder; half a last line is left out.

    Raises:
        UserError: there is no such file.
    """
    path = Path(path)
    path = path / "history.jsonl" if path.is_dir() else path
    with explained(f"Cannot read {path}"):
        return [line for line, _ in _whole_lines(path)]


def leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """What stands in nested fields, by dotted name: {"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        whole = f"{prefix}{name}"
        flat |= leaves(value, f"{whole}.") if isinstance(value, dict) else {whole: value}
    return flat


def flatten(values: dict[str, Any]) -> dict[str, float]:
    """The numbers among the `leaves`, as floats."""
    return {name: float(value) for name, value in leaves(values).items()
            if isinstance(value, int | float) and not isinstance(value, bool)}  # fmt: skip


def _whole_lines(path: Path) -> list[tuple[dict[str, Any], int]]:
    """The JSON objects up to the first damaged line, each with the offset where its line ends."""
    lines, end = [], 0
    with open_regular(path, "rb") as file:
        for raw in file:
            try:
                line = json.loads(raw)
            except ValueError:
                break
            if not raw.endswith(b"\n") or not isinstance(line, dict) or "step" not in line:
                break
            end += len(raw)
            lines.append((line, end))
    return lines


def _cut(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = [end for line, end in _whole_lines(path) if line["step"] <= step]
    with open(path, "rb+") as file:
        file.truncate(kept[-1] if kept else 0)


class _Board:
    """The numbers of a run as TensorBoard's event file.

    Written here and at once: the thread of torch's SummaryWriter prints a traceback where the disk
    is full, and cannot be asked whether it wrote.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.event, self.summary = Event, Summary
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self.file = open(folder / name, "wb")  # noqa: SIM115 (closed by History)
        self.records = RecordWriter(self.file)
        self._add(file_version="brain.Event:2")
        # What a former part of the run wrote about later steps does not count any more.
        self._add(step=step + 1, session_log=SessionLog(status=SessionLog.START))
        self.file.flush()

    def _add(self, **fields: Any) -> None:
        self.records.write(self.event(wall_time=time.time(), **fields).SerializeToString())

    def write(self, lines: list[dict[str, Any]]) -> None:
        """Add every number of the lines under its dotted name."""
        for line in lines:
            values = [
                self.summary.Value(tag=name, simple_value=value)
                for name, value in flatten(line).items()
            ]
            self._add(step=line["step"], summary=self.summary(value=values))
        self.file.flush()
