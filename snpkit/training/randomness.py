"""The state of every random generator as one tensor of bytes, so that it can be saved and gathered.

Python and numpy use the Mersenne Twister, torch its own form of it; their states are plain numbers
of fixed length. They are written as such: no pickle.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from snpkit.errors import CheckpointError

_TWISTER = 624  # 32-bit words of a Mersenne Twister


def seed_everything(seed: int, rank: int = 0) -> None:
    """Seed Python, numpy and torch (all devices); every process of a run gets another stream."""
    mixed = int(np.random.SeedSequence([seed, rank]).generate_state(1)[0])
    random.seed(mixed)
    np.random.seed(mixed)
    torch.manual_seed(mixed)


def random_state() -> Tensor:
    """The states of Python, numpy, torch's CPU and, where there is one, CUDA generator.

    Returns:
        uint8 [bytes]; its length is the same in every process of a run.
    """
    _, words, gauss = random.getstate()
    _, np_words, np_position, np_has_gauss, np_gauss = np.random.get_state()
    numbers = np.concatenate([
        np.array(words, dtype=np.int64),  # 624 words and the position
        np.asarray(np_words, dtype=np.int64),
        np.array([np_position, np_has_gauss, gauss is not None], dtype=np.int64),
        # The spare normal deviates, bit for bit.
        np.array([gauss or 0.0, np_gauss], dtype=np.float64).view(np.int64),
    ])
    parts = [torch.from_numpy(numbers).view(torch.uint8), torch.get_rng_state()]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_rng_state())
    return torch.cat(parts)


def set_random_state(state: Tensor) -> None:
    """Put the generators back to a state from `random_state`.

    A state saved with a CUDA device continues without one (and the other way round): the CPU
    generators are restored, the device's is left as seeded.

    Raises:
        CheckpointError: the bytes are no such state.
    """
    count = 2 * _TWISTER + 1 + 3 + 2
    expected = 8 * count + len(torch.get_rng_state())
    try:
        if state.dtype != torch.uint8 or state.ndim != 1 or len(state) < expected:
            raise ValueError("too short, or no bytes")
        numbers = state[: 8 * count].clone().view(torch.int64).numpy()
        words, np_words = numbers[: _TWISTER + 1], numbers[_TWISTER + 1 : 2 * _TWISTER + 1]
        np_position, np_has_gauss, has_gauss = map(int, numbers[-5:-2])
        gauss, np_gauss = numbers[-2:].copy().view(np.float64).tolist()
        random.setstate((3, tuple(map(int, words)), gauss if has_gauss else None))
        np_state = ("MT19937", np_words.astype(np.uint32), np_position, np_has_gauss, np_gauss)
        np.random.set_state(np_state)
        torch.set_rng_state(state[8 * count : expected].clone())
        if torch.cuda.is_available() and len(state) > expected:
            torch.cuda.set_rng_state(state[expected:].clone())
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        raise CheckpointError(
            "The checkpoint's random state is damaged; it cannot be continued."
        ) from error


@contextmanager
def undisturbed() -> Iterator[None]:
    """What happens inside leaves no trace in the random generators: for evaluations."""
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)
