"""The folder of a run: fit to be written to, and held by one process at a time."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import torch

from snpkit.errors import UserError
from snpkit.training import distributed
from snpkit.training.checkpoint import has_checkpoint

_LOCK = ".lock"
_held: dict[str, int] = {}  # folders that this process holds -> by which of its threads


@contextmanager
def run_folder(
    output: str | Path, *, resume: bool = False, overwrite: bool = False
) -> Iterator[Path]:
    """Hold the folder of a run; made if it is missing, removed again if it stays empty.

    Whatever is wrong with it is found out here, before a command decodes anything. The lock is the
    operating system's, so that it goes with the process, however that ends. The thread that holds a
    folder may ask for it again. Of several processes the main one holds it.

    Args:
        resume, overwrite: a run that lies there already will be continued, or deleted.

    Raises:
        UserError: the folder cannot be made or written to, its name is no text, another process
            writes to it, or it holds a run that is neither to be continued nor to be replaced.
    """
    folder, problem, held, made = Path(output), None, None, []
    key, thread = os.path.realpath(folder), threading.get_ident()
    if distributed.is_main():
        try:
            _check_name(folder)
            if _held.get(key, thread) != thread:  # the system would let this process pass
                raise _busy(folder)
            if key not in _held:
                made = _make(folder)
                held = _lock(folder)
                _held[key] = thread
            _check_run(folder, resume or overwrite)
        except UserError as error:
            problem = error
    failed = distributed.any_process(torch.tensor(float(problem is not None))) > 0
    try:
        if failed:
            raise problem or UserError(f"The first process cannot use {folder}; it says why.")
        yield folder
    finally:
        if held is not None:
            del _held[key]
            with suppress(OSError):  # gone with its folder, or Windows keeps what is open
                os.unlink(folder / _LOCK)
            held.close()
        for path in made:
            with suppress(OSError):  # only if nothing was written to it
                path.rmdir()


def _check_name(folder: Path) -> None:
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise UserError(
            f"The name of the folder {str(folder)!a} is not text in this locale's encoding; "
            "choose another one, or a UTF-8 locale."
        ) from None


def _make(folder: Path) -> list[Path]:
    """Make the folder; returns what was made, the deepest first."""
    try:
        missing = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"{folder} is a file; name a folder for the run.") from None
    except (OSError, ValueError) as error:
        raise _unusable(folder, error) from error
    return missing


def _unusable(folder: Path, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or error
    return UserError(f"Cannot write to the folder {folder}: {reason}; choose another one.")


def _busy(folder: Path) -> UserError:
    sentence = "wait until it has ended or choose another folder"
    return UserError(f"Another run is writing to {folder}; {sentence}.")


def _check_run(folder: Path, wanted: bool) -> None:
    if not wanted and has_checkpoint(folder / "last"):
        raise UserError(
            f"{folder} holds a run already; continue it with --resume, replace it with "
            "--overwrite, or choose another folder."
        )


def _lock(folder: Path) -> IO[str]:
    """The locked file; closing it gives the lock back."""
    while True:
        try:
            file = open(folder / _LOCK, "a")  # noqa: SIM115 (held open)
        except OSError as error:
            raise _unusable(folder, error) from error
        try:
            _lock_file(file)
            # The one that held it may have removed it meanwhile: then this is no one's file.
            if os.path.samestat(os.fstat(file.fileno()), os.stat(folder / _LOCK)):
                return file
        except FileNotFoundError:
            pass
        except (BlockingIOError, PermissionError):
            file.close()
            raise _busy(folder) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise _unusable(folder, error) from error
            return file  # a network file system without locks
        file.close()


def _lock_file(file: IO[str]) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        # Of the process, not of the open file: worker processes that live on do not keep it.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
