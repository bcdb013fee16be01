"""`--data` and `--layout`, as pre-training, fine-tuning and evaluation take them."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from snpkit.errors import UserError

if TYPE_CHECKING:
    from snpkit.data.sources import Source

GENERATED = Path("data/generated")


def read_source(task: str, data: Path | None, layout: str | None = None) -> "Source":
    """The rows of a task, by default those of the generated corpus; see `open_source`.

    Says on stderr how many rows are wrong. Of several processes one writes the index file and the
    others find it.
    """
    from snpkit.data.sources import FILES, open_source
    from snpkit.training import distributed

    path = data or GENERATED / FILES.get(task, "manifest.jsonl")
    if data is None and not path.exists():
        raise UserError(f"{path} is not there; make it with `snpkit generate`, or give --data.")
    first, local = distributed.is_main(), int(os.environ.get("LOCAL_RANK", 0))
    found = None
    # The first of all, then the first of each machine, whose disk may be its own; then the rest.
    for turn in (first, local == 0, True):
        if turn and found is None:
            found = open_source(path, task, layout)
        distributed.barrier()
    if found.wrong and first:
        rows = f"{found.wrong:,} wrong rows" if found.wrong > 1 else "1 wrong row"
        say = f"{found.name}: {rows} left out; `snpkit verify {path}` names them."
        print(say, file=sys.stderr)
    return found
