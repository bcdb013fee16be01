"""The folder of a run: fit to be written to, and held by one process at a time."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch

from snpkit.checkpoint import has_checkpoint
from snpkit.errors import UserError
from snpkit.files import locked_folder
from snpkit.training import distributed


@contextmanager
def run_folder(
    output: str | Path, *, resume: bool = False, overwrite: bool = False
) -> Iterator[Path]:
    """Hold the folder of a run; made if it is missing, removed again if it stays empty.

    Whatever is wrong with it is found out here, before a command decodes anything. Of several
    processes the main one holds it.

    Args:
        resume, overwrite: a run that lies there already will be continued, or deleted.

    Raises:
        UserError: the folder cannot be made or written to, its name is no text, another process
            writes to it, or it holds a run that is neither to be continued nor to be replaced.
    """
    folder, problem = Path(output), None
    with ExitStack() as stack:
        if distributed.is_main():
            try:
                stack.callback(_remove_empty, _make(folder))
                stack.enter_context(locked_folder(folder))
                if has_checkpoint(folder / "last") and not (resume or overwrite):
                    raise UserError(
                        f"{folder} holds a run already; continue it with --resume, replace it with "
                        "--overwrite, or choose another folder."
                    )
            except UserError as error:
                problem = error
        if distributed.any_process(torch.tensor(float(problem is not None))) > 0:
            raise problem or UserError(f"The first process cannot use {folder}; it says why.")
        yield folder


def _make(folder: Path) -> list[Path]:
    """Make the folder; returns what was made, the deepest first."""
    try:
        str(folder).encode()
        missing = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
        folder.mkdir(parents=True, exist_ok=True)
    except UnicodeEncodeError:
        raise UserError(
            f"The name of the folder {str(folder)!a} is not text in this locale's encoding; "
            "choose another one, or a UTF-8 locale."
        ) from None
    except FileExistsError:
        raise UserError(f"{folder} is a file; name a folder for the run.") from None
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"Cannot make the folder {folder}: {reason}; choose another.") from error
    return missing


def _remove_empty(folders: list[Path]) -> None:
    for path in folders:
        with suppress(OSError):  # only if nothing was written to it
            path.rmdir()
