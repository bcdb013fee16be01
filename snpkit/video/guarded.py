"""Reading files that may be damaged or hostile: in processes of their own, which may die.

ffmpeg and decord are written in C: a bad file may crash them, keep them busy for ever or make them
ask for all memory. Here this costs one process, which is replaced, and the file is named in a
VideoError. These processes have the rights of the one that starts them: they are no sandbox.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from snpkit.errors import PassingError, UserError, VideoError
from snpkit.spawning import check_main_guard

UNEXPECTED = "is damaged in a way that the reader does not know"
_START_SECONDS = 180.0  # torch takes seconds to import, on a busy machine a minute
_WHAT = "Reading in processes of their own"
_AHEAD = 4  # jobs for each process that `map` takes before their turn


class ReaderPool(AbstractContextManager):
    """Processes that read files; each file has a limit of time and of memory.

    Threads may use it side by side: each call has a process to itself. In a script it belongs below
    `if __name__ == "__main__":`, since the processes import the script again.

    Args:
        workers: processes of `map`.
        seconds: limit for one file, by the clock.
        megabytes: memory that a file may take on top of the libraries; held on Linux only.

    Attributes:
        replaced: processes that died or had to be ended.
    """

    def __init__(self, workers: int = 1, *, seconds: float = 60.0, megabytes: int = 2048) -> None:
        if workers < 1 or not seconds > 0 or megabytes < 1:
            raise UserError(
                f"{workers} readers with {seconds:g} s and {megabytes} MB for a file can read "
                "nothing; each must be above 0."
            )
        self.workers, self.megabytes = workers, megabytes
        self.seconds = min(seconds, 1e9)  # no clock takes what is far beyond, such as inf
        self.replaced, self._readers, self._idle = 0, set(), []

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:  # another process starts processes of its own
        limits = {"seconds": self.seconds, "megabytes": self.megabytes}
        return partial(ReaderPool, self.workers, **limits), ()

    def call(self, function: Callable[..., Any], path: str | Path, **options: Any) -> Any:
        """`function(path, **options)`, a tensor or what can be pickled, from another process.

        Raises:
            VideoError: the file cannot be read. It is a PassingError where it takes too long or
                too much memory, or crashes the process: another attempt may succeed, and what is
                kept on disk must not remember it.
            UserError: the options are wrong, or no process can be started.
        """
        reader = self._take(function)
        try:
            result = reader.executor.submit(_attempt, function, path, options).result(self.seconds)
            self._idle.append(reader)
            return torch.from_numpy(result) if isinstance(result, np.ndarray) else result
        except UserError as error:
            self._idle.append(reader)
            raise error from None  # without the traceback of the other process
        except TimeoutError:
            problem = f"takes longer than {self.seconds:g} s to read; encode it again."
        except MemoryError:
            problem = f"takes more than {self.megabytes} MB of memory to read; encode it smaller."
        except BrokenProcessPool:
            problem = f"made the reader crash ({self._drop(reader)}); fetch or encode it again."
        except BaseException:  # Ctrl-C: nobody wants the answer
            self._drop(reader)
            raise
        self._drop(reader)
        self.replaced += 1
        raise PassingError(f"{path} {problem}")

    def map(
        self, function: Callable[..., Any], jobs: Iterable[tuple[str | Path, dict[str, Any]]]
    ) -> Iterator[tuple[str | Path, Any]]:
        """`call` for every (path, options), in their order: (path, result or VideoError)."""

        def attempt(path: str | Path, options: dict[str, Any]) -> tuple[str | Path, Any]:
            try:
                return path, self.call(function, path, **options)
            except VideoError as error:
                return path, error

        check_main_guard(_WHAT)  # here: threads do not tell who called
        threads, ahead = ThreadPoolExecutor(self.workers), deque[Future]()
        try:
            for job in jobs:
                ahead.append(threads.submit(attempt, *job))
                if len(ahead) >= _AHEAD * self.workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:  # after an error or an abandoned loop nobody wants what is still at work
            working = [future for future in ahead if not future.cancel()]
            while wait(working, timeout=0.05).not_done:
                self.close()
            threads.shutdown()

    def close(self) -> None:
        """End the processes; a later call starts new ones."""
        for reader in list(self._readers):
            self._drop(reader)

    def _take(self, function: Callable[..., Any]) -> "_Reader":
        with suppress(IndexError):  # none is idle
            while True:
                reader = self._idle.pop()
                if reader.process.is_alive():
                    return reader
        self._readers.add(reader := _Reader(function, self.megabytes))
        return reader

    def _drop(self, reader: "_Reader") -> str:
        self._readers.discard(reader)
        return reader.end()


class _Reader:
    """One process, alone in its executor: what breaks that is the file at work."""

    def __init__(self, function: Callable[..., Any], megabytes: int) -> None:
        check_main_guard(_WHAT)
        # A fork server has imported the libraries once: a new process costs milliseconds. It has
        # one thread, so that none of our threads' locks are inherited, as with a plain fork.
        known = "forkserver" in multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if known else "spawn")
        if known:
            context.set_forkserver_preload(["av", "snpkit.video.guarded", "snpkit.video.reader"])
        self.executor = ProcessPoolExecutor(1, context)
        try:
            pid = self.executor.submit(_prepare, function, megabytes).result(_START_SECONDS)
        except (BrokenProcessPool, TimeoutError):
            raise UserError(
                "The reader processes do not start; a script's own code must stand below "
                '`if __name__ == "__main__":`.'
            ) from None
        (self.process,) = [one for one in multiprocessing.active_children() if one.pid == pid]

    def end(self) -> str:
        """End the process; tells how it ended."""
        self.process.kill()
        self.executor.shutdown(cancel_futures=True)
        with suppress(ValueError):
            return signal.Signals(-self.process.exitcode).name
        return f"exit status {self.process.exitcode}"


def _prepare(function: Callable[..., Any], megabytes: int) -> int:
    """The number of this process, which has imported `function` and now has a limit of memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that has the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    if sys.platform == "linux":
        import resource

        # Data and not address space: libraries for a GPU map many gigabytes that they never touch.
        pages = int(Path("/proc/self/statm").read_text().split()[5])
        limit = pages * resource.getpagesize() + (megabytes << 20)
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    return os.getpid()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _attempt(function: Callable[..., Any], path: str | Path, options: dict[str, Any]) -> Any:
    try:
        result = function(path, **options)
    except (UserError, MemoryError):
        raise
    except Exception as error:
        raise VideoError(f"{path} {UNEXPECTED} ({type(error).__name__}: {error}).") from None
    # Torch would hand a tensor over in memory that ends with its process.
    return result.numpy() if isinstance(result, torch.Tensor) else result
