"""Whole files or none: atomic writes, JSON, and paths that stay inside a root."""

import errno
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from filelock import FileLock, Timeout

from snpkit.errors import AnnotationError, CheckpointError, UserError, explained

LOCK_NAME = ".lock"


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` on success and goes on failure.

    A reader therefore sees the old file or the new one, never half of one, even after a crash or a
    full disk.

    Raises:
        UserError: the file cannot be written (missing rights, full disk), or what would be replaced
            is none; names the path.
    """
    path = Path(path)
    _check_kind(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with explained(f"Cannot write {path}", "free some space or choose another folder"):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            # A rename may reach the disk before the data does; fsync first, so that a crash keeps
            # one of the two versions whole.
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        # Where the folder itself could not be made there is nothing to remove either.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _check_kind(path: Path) -> None:
    if os.path.isdir(path):
        raise UserError(f"{path} is a folder; name a file in it.")
    if os.path.exists(path) and not os.path.isfile(path):  # for root, /dev/null would be no more
        raise UserError(f"{path} is a pipe, socket or device; name a file.")


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any, *, indent: int | None = 2) -> None:
    """Write `value` as JSON (UTF-8, no NaN), atomically."""
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def check_output(path: Path) -> None:
    """Find out before long work whether a file can be written after it.

    Raises:
        UserError: it is a folder or device, or nothing can be written beside it.
    """
    _check_kind(path)
    with explained(f"Cannot write {path}", "choose another folder"):
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()


def open_regular(path: str | Path, mode: str = "r", **options: Any) -> IO[Any]:
    """`open`, but of regular files only: reading from a pipe or a device may never end.

    Raises:
        OSError: the file is missing, unreadable or not regular.
    """
    kind = os.stat(path).st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):  # `open` itself refuses a folder
        raise OSError(errno.EINVAL, "it is no regular file but a pipe, socket or device", str(path))
    return open(path, mode, **options)


def read_text(path: str | Path, *, most_bytes: int) -> str:
    """Read a file of UTF-8 text.

    Raises:
        UserError: the file is missing, too large, no regular file or not UTF-8; names the file.
    """
    try:
        with explained(f"Cannot read {path}"), open_regular(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > most_bytes:
                sentence = f"{path} is larger than {most_bytes:,} bytes; is it the right file?"
                raise UserError(sentence)
            return file.read().decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; is it the right file?") from error


def read_json(path: str | Path, *, most_bytes: int = 200_000_000) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing, too large, unreadable or not JSON; names the file (and the
            line).
    """
    text = read_text(path, most_bytes=most_bytes)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON (line {error.lineno}: {error.msg}).") from error
    except ValueError as error:
        raise UserError(f"{path} holds a number of absurd length; is it the right file?") from error
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply to be one of our files.") from error


def read_object(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        UserError: the file is unreadable or holds something else.
    """
    stored = read_json(path)
    if not isinstance(stored, dict):
        raise UserError(f"{path} holds no JSON object; is it the right file?")
    return stored


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder for the output of a run; what was made and stays empty is removed again.

    Raises:
        UserError: its name is no text, it is a file, or it cannot be made.
    """
    try:
        str(folder).encode()
        missing = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
        if os.path.isfile(folder):
            raise UserError(f"{folder} is a file; name a folder for the run.")
        with explained(f"Cannot make the folder {folder}", "choose another"):
            folder.mkdir(parents=True, exist_ok=True)
    except UnicodeEncodeError:
        raise UserError(
            f"The name of the folder {str(folder)!a} is not text in this locale's encoding; "
            "choose another one, or a UTF-8 locale."
        ) from None
    try:
        yield
    finally:
        for path in missing:  # the deepest first
            with suppress(OSError):  # something was written to it
                path.rmdir()


@contextmanager
def locked_folder(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a folder for one process, by a lock of the operating system that goes with the process.

    The thread that holds it may ask again.

    Args:
        wait: until nobody else holds it; else that is an error.

    Raises:
        UserError: another process or thread holds it, or it cannot be written to.
    """
    path = os.path.join(os.path.realpath(folder), LOCK_NAME)
    # One lock of each path, for which its thread may ask again.
    lock = FileLock(path, is_singleton=True, fallback_to_soft=False)
    try:
        lock.acquire(timeout=-1 if wait else 0, poll_interval=0.1)
    except Timeout:
        raise UserError(
            f"Another run is writing to {folder}; wait for its end or choose another one."
        ) from None
    except OSError as error:
        # A network file system without locks keeps nobody from working.
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            reason = error.strerror or error
            raise UserError(
                f"Cannot write to {folder}: {reason}; choose another folder."
            ) from error
    try:
        yield
    finally:
        if lock.lock_counter <= 1:
            with suppress(OSError):  # gone with its folder, or Windows keeps what is open
                os.unlink(path)
        lock.release()


def inside(root: str | Path, relative: str) -> Path:
    """Join a path from an annotation file to its root and prove that it stays below it.

    A path that Windows wrote, with backslashes, is read everywhere.

    Raises:
        AnnotationError: the path is absolute, climbs out with "..", or a symbolic link leads out.
    """
    posix, windows = PurePosixPath(relative), PureWindowsPath(relative)
    absolute = posix.is_absolute() or windows.is_absolute() or windows.drive
    if not relative or "\0" in relative or absolute or ".." in windows.parts:
        raise AnnotationError(f"The path {relative!r} must be relative and stay below {root}.")
    base = Path(root).resolve()
    path = (base / relative).resolve()
    if "\\" in relative and not os.path.exists(path):
        # A letter like any other in the names of Linux, and between folders on Windows.
        path = (base / relative.replace("\\", "/")).resolve()
    if not path.is_relative_to(base):
        raise AnnotationError(f"The path {relative!r} leads out of {root} by a link.")
    return path


def own_file(folder: str | Path, name: str) -> Path | None:
    """A regular file of a checkpoint's folder; None = there is none of that name.

    The hub's cache keeps contents in the folder "blobs" of a repository and links to them.

    Raises:
        CheckpointError: it is a link that leads elsewhere, or a folder, pipe, socket or device.
    """
    path = Path(folder) / name
    if not os.path.lexists(path):
        return None
    base, target = Path(folder).resolve(), path.resolve()
    roots = [base]
    if base.parent.name == "snapshots":
        from huggingface_hub.constants import HF_HUB_CACHE

        if base.is_relative_to(Path(HF_HUB_CACHE).resolve()):
            roots.append(base.parents[1] / "blobs")
    if not any(target.is_relative_to(root) for root in roots):
        raise CheckpointError(f"{path} is a link that leads out of its folder; put the file there.")
    if not target.is_file():
        raise CheckpointError(f"{path} is no regular file; put the file itself there.")
    return path


def cache_folder() -> Path:
    """Where snpkit keeps what it can make again: $SNPKIT_CACHE, else as the platform has it.

    Linux: $XDG_CACHE_HOME/snpkit, else ~/.cache/snpkit; macOS: ~/Library/Caches/snpkit; Windows:
    %LOCALAPPDATA%\\snpkit\\Cache.

    Raises:
        UserError: none is named and this user has no home folder.
    """
    if named := os.environ.get("SNPKIT_CACHE"):
        return Path(named)
    try:
        home = Path.home()
    except RuntimeError:  # a container's user without a name, and no $HOME
        raise UserError(
            "There is no home folder to keep files in; set SNPKIT_CACHE to a folder for them."
        ) from None
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "snpkit"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData/Local") / "snpkit" / "Cache"
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    # The XDG rules: a relative path there is to be ignored.
    return (base if base.is_absolute() else home / ".cache") / "snpkit"
