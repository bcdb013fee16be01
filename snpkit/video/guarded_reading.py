"""`read_clips` behind a guard: a video that hangs or crashes its decoder costs one video.

    read = GuardedReader(seconds=60)
    frames = read(path, clips=2, frames=4, size=224)

Each thread that reads has a reader process of its own (see `ReaderPool`), so that threads read side
by side. Frames come back by a pipe.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snpkit.errors import UserError
from snpkit.video.guarded import ReaderPool, Result
from snpkit.video.reader import read_clips


class GuardedReader:
    """Reads in processes that may die, from any number of threads.

    Below `if __name__ == "__main__":` in a script, as the processes import the script again.

    Args:
        seconds: limit for one file, by the clock.
        function: of a module's top level, called with a path and options by name.

    Raises:
        UserError: the limit is not above 0.
    """

    def __init__(self, seconds: float, function: Callable[..., Any] = read_clips) -> None:
        if not seconds > 0:
            raise UserError(f"A guard of {seconds:g} s leaves no time to read; give more than 0.")
        self.seconds, self.function = seconds, function
        self._own, self._pools, self._lock = threading.local(), [], threading.Lock()

    def __call__(self, path: str | Path, **options: Any) -> Any:
        """`function(path, **options)`, by default the frames of `read_clips`.

        Raises:
            VideoError: the file cannot be read, takes too long or too much memory, or crashes the
                reader; one sentence that names it.
        """
        return self.call(self.function, path, **options)

    def call(self, function: Callable[..., Result], path: str | Path, **options: Any) -> Result:
        """Any other function of a module's top level."""
        pool = getattr(self._own, "pool", None)
        if pool is None:
            pool = self._own.pool = ReaderPool(1, seconds=self.seconds)
            with self._lock:
                self._pools.append(pool)
        return pool.call(function, path, **options)

    @property
    def replaced(self) -> int:
        """Processes that died or had to be ended."""
        return sum(pool.replaced for pool in self._pools)

    def close(self) -> None:
        """End the processes; nobody may be reading. A later call starts new ones."""
        for pool in self._pools:
            pool.close()

    def __reduce__(self) -> tuple[type, tuple[float, Callable[..., Any]]]:
        # Another process gets a reader without processes: those belong to whom they were made for.
        return GuardedReader, (self.seconds, self.function)
