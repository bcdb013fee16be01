"""How long the steps of a run take, without what happens between them."""

import time
from collections.abc import Iterator
from typing import Any

from snpkit.training.run import Batch, Batches


class TimedBatches:
    """Batches that time the steps made of them, and keep the sums through a stop and a resume.

    A step lasts from the moment when its first batch is asked for until the next one is, or until
    `pause`. What follows a pause, such as an evaluation and the checkpoint after it, is not
    counted.

    Args:
        batches: what the training loop would draw from.

    Attributes:
        seconds: wall time of the steps so far.
        cpu_seconds: CPU time of this process meanwhile, over all its threads. It hardly
            changes where other programs want the same cores, which wall time does.
    """

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        self.seconds = self.cpu_seconds = 0.0
        self._began: tuple[float, float] | None = None

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Batch, list[str]]]:
        """The batches from the present position on; asking for one starts the watch."""
        source = iter(self.batches)
        while True:
            self.pause()
            self._began = time.monotonic(), time.process_time()
            yield next(source)

    def pause(self) -> None:
        """Stop the watch, if it runs, until the next batch is asked for."""
        if self._began is not None:
            self.seconds += time.monotonic() - self._began[0]
            self.cpu_seconds += time.process_time() - self._began[1]
        self._began = None

    def state_dict(self) -> dict[str, Any]:
        """The position of the batches, and the times; the watch stops."""
        self.pause()
        times = {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds}
        return {"batches": self.batches.state_dict(), **times}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Come back to a position and its times.

        Raises:
            KeyError: the state is of untimed batches.
        """
        self.seconds, self.cpu_seconds = float(state["seconds"]), float(state["cpu_seconds"])
        self._began = None
        self.batches.load_state_dict(state["batches"])
