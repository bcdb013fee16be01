"""One way of doing the work in a process of its own, with its own memory and settings.

The other way waits meanwhile. With one thread the clock counts the seconds that the process itself
computed, so that a busy machine does not blur the figures; with several threads it is the clock on
the wall, as threads that wait for each other would count too.
"""

import ctypes
import gc
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from snpkit.errors import UserError

Turn = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Answer:
    """One turn: seconds of it, what it found, bytes held at most so far (None if unknown)."""

    seconds: float
    result: dict[str, Any]
    peak: float | None


class Worker:
    """A process that does the same work whenever it is its turn."""

    def __init__(self, build: Callable[..., Turn], arguments: tuple[Any, ...]) -> None:
        """Start it and wait until it is ready; its first turn, which is not timed, is over.

        Args:
            build: makes the work of `arguments`, in the process; both are pickled for it.

        Raises:
            UserError: it could not be built.
        """
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, build, arguments), daemon=True
        )
        self._process.start()
        theirs.close()
        self.machine, self.products = self._receive()

    def turn(self) -> Answer:
        """Do the work once."""
        return self._receive("turn")

    def close(self) -> None:
        """End the process."""
        self._connection.close()  # closing twice does no harm
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()  # only then is it gone

    def _receive(self, request: str | None = None) -> Any:
        try:
            if request is not None:
                self._connection.send(request)
            answer = self._connection.recv()
        except (EOFError, OSError):  # it may have ended while it waited
            raise UserError(
                "A process of the benchmark ended before its time; it may have run out of memory: "
                "choose a smaller --batch or --size."
            ) from None
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(connection: Connection, build: Callable[..., Turn], arguments: tuple[Any, ...]) -> None:
    try:
        work = build(*arguments)
        work()
        give_memory_back()
        connection.send(describe_machine())
        while connection.recv() == "turn":
            answer = timed(work)
            give_memory_back()
            connection.send(answer)
    except EOFError:
        pass
    except UserError as error:
        connection.send(error)
    except Exception:
        # Exceptions do not always survive pickling; their text does.
        connection.send(RuntimeError(traceback.format_exc()))


def timed(work: Turn) -> Answer:
    """Do the work once and time it."""
    import torch

    from snpkit.machine import peak_memory

    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    result = work()
    seconds = clock() - start
    return Answer(seconds, result, peak_memory(torch.device("cpu")))


def give_memory_back() -> None:
    """What was freed goes back to the system, for the other process; only where C's library can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def describe_machine() -> tuple[str, str]:
    """The machine, such as "1 thread, torch 2.13.0, AVX512; seconds that the process computed", and
    the library that multiplies float32 matrices in this process."""
    import torch

    threads = torch.get_num_threads()
    count, clock = "1 thread", "seconds that the process computed"
    if threads > 1:
        count, clock = f"{threads} threads", "seconds on the wall"
    kind = torch.backends.cpu.get_cpu_capability()
    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    theirs = getattr(matmul, "fp32_precision", "none") == "bf16"
    library = "multiplied by oneDNN in snpkit's way" if theirs else "multiplied as torch comes"
    return f"{count}, torch {torch.__version__}, {kind}; {clock}", library
