"""The `snpkit` command: `snpkit --help` is its manual.

Each subcommand is a function of `snpkit.commands`; its signature and docstring are its options and
its help. A mistake of the user ends with one sentence and status 2, never with a traceback.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from snpkit.errors import UserError

COMMANDS = (
    "run", "generate", "mine", "pretrain", "finetune", "evaluate", "search", "explain", "doctor",
    "plan", "verify", "shard", "ablate", "convert",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the result is the exit status.

    0 = done; 1 = done, but something was found wrong; 2 = a mistake to mend; 130 = Ctrl-C.
    """
    import tyro

    functions = {
        name: getattr(import_module(f"snpkit.commands.{name}"), name) for name in COMMANDS
    }
    try:
        status = tyro.extras.subcommand_cli_from_dict(
            functions,
            prog="snpkit",
            description="Learn, run and scale SNP-S3 video-text pre-training.",
            args=None if arguments is None else list(arguments),
        )
        sys.stdout.flush()
        return int(status or 0)
    except UserError as error:
        print(f"snpkit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("snpkit: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does; that is no failure of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
