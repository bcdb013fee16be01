"""When a run stops before its last step: Ctrl-C, a scheduler's SIGTERM, or its time limit."""

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

import torch

from snpkit.training import distributed

_REASONS = ("", "time_limit", "interrupted")


class StopSignal:
    """Turns Ctrl-C and SIGTERM into a flag, so that the step under way is finished and saved.

    A second Ctrl-C stops at once. In a thread other than the main one, where Python takes no
    signals, only the time limit works.

    Attributes:
        reason: "" = go on, "time_limit" or "interrupted".
    """

    def __init__(self, time_limit: float | None = None) -> None:
        self.reason = ""
        self.deadline = None if time_limit is None else time.monotonic() + time_limit
        self.former: dict[int, Any] = {}
        self.process = os.getpid()

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.former[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.process:
            return  # a worker that was forked: it reads on until its parent has finished
        self.reason = "interrupted"
        self._restore()
        if distributed.is_main():
            print("\nFinishing this step, then saving; Ctrl-C again stops at once.",
                  file=sys.stderr)

    def _restore(self) -> None:
        for number, handler in self.former.items():
            signal.signal(number, handler)
        self.former = {}

    def __exit__(self, *_: object) -> None:
        self._restore()

    def check(self, device: torch.device, agree: bool) -> str:
        """The reason to stop now, or "".

        Several processes must stop at the same step or they wait for each other for ever: they
        stop only where all call this with `agree` true, with the gravest reason of any of them.
        """
        if not self.reason and self.deadline is not None and time.monotonic() >= self.deadline:
            self.reason = "time_limit"
        if distributed.world_size() == 1:
            return self.reason
        if not agree:
            return ""
        own = torch.tensor(_REASONS.index(self.reason), device=device)
        return _REASONS[int(distributed.any_process(own))]
