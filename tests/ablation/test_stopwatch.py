"""Times of steps: nothing between them is counted, and nothing is lost by a stop."""

import itertools
import json

import pytest

from snpkit.ablation import stopwatch
from snpkit.ablation.stopwatch import TimedBatches


class Counting:
    """Batches 0, 1, 2, ...; drawing one takes a second."""

    def __init__(self, clock):
        self.clock, self.position = clock, 0

    def __len__(self):
        return 7

    def __iter__(self):
        for position in itertools.count(self.position + 1):
            self.position = position
            self.clock.pass_by(1.0)
            yield {}, [str(position)]

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


class Clock:
    """Half of the time that passes is spent by this process."""

    def __init__(self):
        self.now = 100.0

    def pass_by(self, seconds):
        self.now += seconds

    def monotonic(self):
        return self.now

    def process_time(self):
        return self.now / 2


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(stopwatch, "time", clock)
    return clock


def test_steps_are_counted_and_what_follows_a_pause_is_not(clock):
    batches = TimedBatches(Counting(clock))
    source = iter(batches)
    clock.pass_by(50)  # before the first step
    for _ in range(3):
        next(source)
        clock.pass_by(2)
    batches.pause()
    clock.pass_by(1000)  # an evaluation
    assert (batches.seconds, batches.cpu_seconds) == (9.0, 4.5)
    next(source), next(source)  # a step of two batches counts both
    clock.pass_by(2)
    batches.pause()
    batches.pause()
    assert (batches.seconds, batches.cpu_seconds) == (13.0, 6.5)
    assert len(batches) == 7


def test_times_go_on_where_a_checkpoint_left_them(clock):
    first = TimedBatches(Counting(clock))
    source = iter(first)
    next(source), clock.pass_by(2)
    state = json.loads(json.dumps(first.state_dict()))  # saved in the middle of a lap: it counts
    assert (state["seconds"], state["batches"]) == (3.0, {"position": 1})
    second = TimedBatches(Counting(clock))
    second.load_state_dict(state)
    clock.pass_by(500)
    _, files = next(iter(second))
    assert files == ["2"]
    second.pause()
    assert second.seconds == 4.0
    with pytest.raises(KeyError):
        second.load_state_dict({"position": 3})
