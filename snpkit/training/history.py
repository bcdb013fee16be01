"""What a run leaves to read: history.jsonl, one line a step, and TensorBoard if it is installed."""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from snpkit.errors import UserError
from snpkit.files import open_regular


class History:
    """Lines of a run in `folder`/history.jsonl, each a JSON object with a "step".

    A killed run may leave half a line, and lines after its last checkpoint: opening the history at
    a step cuts both away, so that a resumed run writes every step once.

    Args:
        folder: the run's folder.
        step: steps already done; later lines are cut.
        tensorboard: also write scalars to `folder`/tensorboard if the package is installed.
    """

    def __init__(self, folder: Path, step: int = 0, *, tensorboard: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "history.jsonl"
        _cut(self.path, step)
        self.file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115 (see close)
        self.board = _board(folder / "tensorboard", step) if tensorboard else None

    def write(self, lines: list[dict[str, Any]]) -> None:
        """Append lines and hand them to the operating system: they survive the process."""
        text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
        try:
            self.file.write(text)
            self.file.flush()
        except OSError as error:
            raise UserError(
                f"Cannot write {self.path}: {error.strerror or error}; free some space, then "
                "continue with --resume."
            ) from error
        for line in lines if self.board else ():
            for name, value in flatten(line).items():
                self.board.add_scalar(name, value, line["step"])

    def sync(self) -> None:
        """Force the lines to the disk: before a checkpoint that stands for them."""
        os.fsync(self.file.fileno())

    def __enter__(self) -> "History":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        self.file.close()
        if self.board is not None:
            self.board.close()


def read_history(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a history file, or of the one in a run's folder; half a last line is left out.

    Raises:
        UserError: there is no such file.
    """
    path = Path(path)
    path = path / "history.jsonl" if path.is_dir() else path
    try:
        return [line for line, _ in _whole_lines(_read(path))]
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from error


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Nested numbers by dotted name: {"a": {"b": 1}} -> {"a.b": 1.0}; what is no number is left."""
    flat: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat[prefix + name] = float(value)
    return flat


def _read(path: Path) -> bytes:
    with open_regular(path, "rb") as file:
        return file.read()


def _whole_lines(content: bytes) -> list[tuple[dict[str, Any], int]]:
    """The JSON objects up to the first damaged line, each with the offset where its line ends."""
    lines, end = [], 0
    for raw in content.splitlines(keepends=True):
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
    kept = [end for line, end in _whole_lines(_read(path)) if line["step"] <= step]
    with open(path, "rb+") as file:
        file.truncate(kept[-1] if kept else 0)


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
