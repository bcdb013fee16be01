"""The `snpkit` command: `snpkit --help` is its manual.

Each subcommand is a function of `snpkit.commands`; its signature and docstring are its options and
its help. A mistake of the user ends with one sentence and status 2, never with a traceback.
"""

import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import wraps
from importlib import import_module
from typing import Any, TextIO

from snpkit import __version__
from snpkit.errors import UserError
from snpkit.text import printable

COMMANDS = (
    "run", "generate", "mine", "pretrain", "finetune", "evaluate", "search", "encode", "explain",
    "doctor", "plan", "prepare", "verify", "shard", "ablate", "convert",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the result is the exit status.

    0 = done; 1 = done, but something was found wrong; 2 = a mistake to mend; 130 = Ctrl-C.
    """
    _prepare_streams()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with redirect_stdout(_Output(sys.stdout)):
            status = _run(given)
            sys.stdout.flush()
        return status
    except OutputError as error:
        _discard_output()
        print(f"snpkit: {error}", file=sys.stderr)
        return 2
    except UserError as error:
        print(f"snpkit: {printable(str(error))}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        print("snpkit: The memory does not suffice; lower the batch size, for training "
              "optimisation.micro_batch or data.batch_size (`snpkit plan RECIPE` says what fits).",
              file=sys.stderr)  # fmt: skip
        return 2
    except KeyboardInterrupt:
        print("snpkit: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does; that is no failure of ours.
        _discard_output()
        return 0


def _out_of_memory(error: Exception) -> bool:
    """Whether Python, a GPU or torch's allocator on a CPU has no memory left."""
    by_torch = type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)
    return isinstance(error, MemoryError) or by_torch


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        print(f"snpkit {__version__}")
        return 0
    import tyro

    functions = {
        name: _printing_safely(getattr(import_module(f"snpkit.commands.{name}"), name))
        for name in COMMANDS
    }
    status = tyro.extras.subcommand_cli_from_dict(
        functions,
        prog="snpkit",
        description="Learn, run and scale SNP-S3 video-text pre-training.",
        args=arguments,
    )
    return int(status or 0)


def _prepare_streams() -> None:
    """Let every character be printed, whatever the locale, and nothing fail where nobody reads."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us, as by `>&-`
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (open until the end)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class OutputError(UserError):
    """Standard output cannot be written; the disk that it goes to may be full."""


class _Output(io.TextIOBase):
    """Standard output that says in one sentence where it cannot be written.

    Args:
        safely: spell out control characters: file names and captions are data.
    """

    def __init__(self, stream: TextIO, *, safely: bool = False) -> None:
        self.stream, self.safely = stream, safely

    def write(self, text: str) -> int:
        self._attempt(self.stream.write, printable(text) if self.safely else text)
        return len(text)

    def flush(self) -> None:
        self._attempt(self.stream.flush)

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def _attempt(self, function: Callable[..., Any], *values: Any) -> None:
        try:
            function(*values)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"Cannot write the output: {error.strerror or error}.") from error


def _printing_safely(command: Callable[..., Any]) -> Callable[..., Any]:
    # Around the command alone: tyro colours its help.
    @wraps(command)
    def printing(*values: Any, **named: Any) -> Any:
        with redirect_stdout(_Output(sys.stdout, safely=True)):
            return command(*values, **named)

    return printing


def _discard_output() -> None:
    # What is left in the buffer goes nowhere; else Python complains when it exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
