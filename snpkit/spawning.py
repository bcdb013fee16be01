"""Fresh processes import the script that starts them again: is it ready for that?"""

import ast
import sys
from pathlib import Path

from snpkit.errors import UserError


def check_main_guard(what: str) -> None:
    """Raise UserError where a script starts processes outside `if __name__ == "__main__":`.

    A process that is started by "spawn" runs the script's own lines first, which would start
    processes again: Python refuses that there, and the script may wait for ever.

    Args:
        what: who starts processes, for the message.
    """
    main = sys.modules["__main__"]
    frame = sys._getframe()
    while frame.f_back is not None and not (
        frame.f_globals is vars(main) and frame.f_code.co_name == "<module>"
    ):
        frame = frame.f_back
    path = getattr(main, "__file__", None)  # none: a notebook or `python -c`, not imported again
    if path is None or frame.f_globals is not vars(main):
        return
    try:
        lines = ast.parse(Path(path).read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return
    at = [line for line in lines if line.lineno <= frame.f_lineno <= (line.end_lineno or 0)]
    if at and not (isinstance(at[0], ast.If) and "__name__" in ast.dump(at[0].test)):
        raise UserError(
            f"{what} starts processes, which import {path} again; put its line {frame.f_lineno} "
            'below `if __name__ == "__main__":`.'
        )
