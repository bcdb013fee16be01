"""`--data` and `--root`, as pre-training, fine-tuning and evaluation take them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snpkit.errors import UserError

if TYPE_CHECKING:
    from snpkit.data.sources import Source

GENERATED = Path("data/generated")


def read_source(task: str, data: Sequence[Path], roots: Sequence[Path] = ()) -> "Source":
    """The rows of a task, by default those of the generated corpus; see `open_source`."""
    from snpkit.data.sources import FILES, open_source

    default = GENERATED / FILES.get(task, "manifest.jsonl")
    if not data and not default.exists():
        raise UserError(f"{default} is not there; make it with `snpkit generate`, or give --data.")
    return open_source(data or [default], task, roots)
