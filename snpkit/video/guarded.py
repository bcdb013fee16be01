"""Reading files that may be damaged or hostile: in processes of their own, which may die.

ffmpeg and decord are written in C: a bad file may crash them, keep them busy for ever or make them
ask for all memory. Here this costs one process, which is replaced, and the file is named in a
VideoError. What a reader process sends back is never unpickled: JSON, and the bytes of an array.
"""

import json
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snpkit.errors import UserError, VideoError

# What a function may give back: frames, an encoded file, or JSON values.
Result = Tensor | bytes | dict | list | str | int | float | None
Job = tuple[str | Path, dict[str, Any]]
UNEXPECTED = "is damaged in a way that the reader does not know"

_START_SECONDS = 180.0  # torch takes seconds to import, on a busy machine a minute
_AHEAD = 4  # jobs a worker may be ahead of the slowest one


@dataclass
class _Worker:
    process: Any
    connection: Connection
    function: Callable[..., Result] | None = None  # imported there
    number: int | None = None  # of the job at work
    path: str | Path = ""
    deadline: float = 0.0


class ReaderPool:
    """Processes that read files; each file has a limit of time and of memory.

    Use it in a `with` statement, from one thread, and in a script below
    `if __name__ == "__main__":`, since the processes import the script again.

    Args:
        workers: processes; they start with the first file.
        seconds: limit for one file, by the clock.
        megabytes: memory that reading a file may take on top of what the libraries take; held by
            the operating system on Linux, and nowhere else.

    Attributes:
        replaced: processes that died or had to be ended, and were replaced.
    """

    def __init__(self, workers: int = 1, *, seconds: float = 60.0, megabytes: int = 2048) -> None:
        if workers < 1 or seconds <= 0 or megabytes < 1:
            raise UserError(
                f"{workers} readers with {seconds:g} s and {megabytes} MB for a file can read "
                "nothing; each must be above 0."
            )
        self.count, self.seconds, self.megabytes = workers, seconds, megabytes
        self.replaced = 0
        self._function: Callable[..., Result] | None = None
        self._workers: list[_Worker] = []

    def __enter__(self) -> "ReaderPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, function: Callable[..., Result], path: str | Path, **options: Any) -> Result:
        """`function(path, **options)` in a process of the pool, such as `read_clips`.

        Raises:
            VideoError: the file cannot be read, takes too long or too much memory, or crashes the
                reader; one sentence that names it.
            UserError: the options are wrong.
        """
        ((_, result),) = self.map(function, [(path, options)])
        if isinstance(result, VideoError):
            raise result
        return result

    def map(
        self, function: Callable[..., Result], jobs: Iterable[Job]
    ) -> Iterator[tuple[str | Path, Result | VideoError]]:
        """`function(path, **options)` of every job, in their order: (path, result or VideoError).

        Args:
            function: of a module's top level; it gives a tensor, bytes or JSON values.
            jobs: pairs of a path and options.

        Raises:
            UserError: the options of a job are wrong.
        """
        waiting, done, given, taken = iter(jobs), {}, 0, 0
        self._function = function
        self._start()
        try:
            while True:
                for worker in self._idle():
                    if taken - given >= _AHEAD * self.count:
                        break
                    job = next(waiting, None)
                    if job is None:
                        break
                    self._assign(worker, taken, *job)
                    taken += 1
                if given == taken:
                    return
                if given not in done:
                    done |= self._collect()
                while given in done:
                    given += 1
                    yield done.pop(given - 1)
        finally:
            # After an error or an abandoned loop nobody wants what is still at work.
            for worker in [worker for worker in self._workers if worker.number is not None]:
                self._end(worker)

    def close(self) -> None:
        """End the processes; a later call starts new ones."""
        for worker in list(self._workers):
            self._end(worker)

    def _idle(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.number is None]

    def _assign(
        self, worker: _Worker, number: int, path: str | Path, options: dict[str, Any]
    ) -> None:
        worker.number, worker.path = number, path
        worker.deadline = time.monotonic() + self.seconds
        with suppress(OSError):  # dead already: `_collect` will find out
            worker.connection.send((path, options))

    def _collect(self) -> dict[int, tuple[str | Path, Result | VideoError]]:
        """What the next workers to finish, die or run out of time have to say."""
        busy = {w.connection: w for w in self._workers if w.number is not None}
        nearest = min(worker.deadline for worker in busy.values())
        ready = wait(list(busy), timeout=max(nearest - time.monotonic(), 0))
        answers = {}
        for connection, worker in busy.items():
            if connection in ready:
                answer = self._receive(worker)
            elif time.monotonic() >= worker.deadline:
                self._replace(worker)
                answer = VideoError(
                    f"{worker.path} takes longer than {self.seconds:g} s to read; encode it again.",
                    passing=True,
                )
            else:
                continue
            answers[worker.number] = (worker.path, answer)
            worker.number = None
        return answers

    def _receive(self, worker: _Worker) -> Result | VideoError:
        try:
            return _decoded(worker.connection.recv_bytes(self.megabytes << 20))
        except (EOFError, OSError):
            worker.process.join(10)
            code = worker.process.exitcode
            self._replace(worker)
            return VideoError(
                f"{worker.path} made the reader crash ({_cause(code)}); fetch or encode it again.",
                passing=True,
            )

    def _start(self) -> None:
        """Have all workers there, each with the function imported: no file's time pays for it."""
        missing = self.count - len(self._workers)
        self._workers += [_launch(self.megabytes) for _ in range(missing)]
        fresh = [worker for worker in self._workers if worker.function is not self._function]
        try:
            for worker in fresh:
                worker.connection.send(self._function)
            for worker in fresh:
                if not worker.connection.poll(_START_SECONDS):
                    raise EOFError
                worker.connection.recv_bytes()
                worker.function = self._function
        except (EOFError, OSError):
            self.close()
            raise UserError(
                "The reader processes do not start; a script's own code must stand below "
                '`if __name__ == "__main__":`.'
            ) from None

    def _replace(self, worker: _Worker) -> None:
        self._end(worker)
        self.replaced += 1
        self._start()

    def _end(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.process.kill()
        worker.process.join(10)
        worker.connection.close()


def _launch(megabytes: int) -> _Worker:
    # A fork server has imported the libraries once: a new process costs milliseconds. It is single
    # threaded, so that none of our threads' locks are inherited, as with a plain fork.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload(["av", "snpkit.video.guarded", "snpkit.video.reader"])
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, megabytes), daemon=True)
    process.start()
    theirs.close()  # so that its death is the end of the connection
    return _Worker(process, ours)


def _serve(connection: Connection, megabytes: int) -> None:
    """The life of a reader process: read what it is told to, until nobody tells it any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that has the pool
    torch.set_num_threads(1)
    with suppress(EOFError, OSError):
        while True:
            told = connection.recv()
            if callable(told):  # what to read with, imported by now
                function = told
                _limit_memory(megabytes)
                connection.send_bytes(b"ready")
            else:
                connection.send_bytes(_attempt(function, *told, megabytes))


def _limit_memory(megabytes: int) -> None:
    if sys.platform != "linux":
        return
    import resource

    # Data and not address space: libraries for a GPU map many gigabytes that they never touch.
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    limit = pages * resource.getpagesize() + (megabytes << 20)
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _attempt(
    function: Callable[..., Result], path: str | Path, options: dict[str, Any], megabytes: int
) -> bytes:
    try:
        return _encoded(function(path, **options))
    except MemoryError:
        sentence = f"{path} takes more than {megabytes} MB of memory to read; encode it smaller."
        return _message({"error": sentence, "passing": True})
    except VideoError as error:
        return _message({"error": str(error), "passing": error.passing})
    except UserError as error:
        return _message({"mistake": str(error)})
    except Exception as error:
        return _message({"error": f"{path} {UNEXPECTED} ({type(error).__name__}: {error})."})


def _message(header: dict[str, Any], payload: bytes = b"") -> bytes:
    head = json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + payload


def _encoded(result: Result) -> bytes:
    if isinstance(result, bytes):
        return _message({"bytes": len(result)}, result)
    if isinstance(result, Tensor):
        array = result.contiguous().numpy()
        return _message({"shape": array.shape, "dtype": array.dtype.str}, array.tobytes())
    return _message({"value": result})


def _decoded(message: bytes) -> Result | VideoError:
    start = 8 + int.from_bytes(message[:8], "little")
    header = json.loads(message[8:start])
    if "error" in header:
        return VideoError(header["error"], passing=header.get("passing", False))
    if "mistake" in header:
        raise UserError(header["mistake"])
    if "bytes" in header:
        return message[start:]
    if "shape" in header:
        array = np.frombuffer(bytearray(message[start:]), dtype=np.dtype(header["dtype"]))
        return torch.from_numpy(array.reshape(header["shape"]))
    return header["value"]


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit status {code}"
