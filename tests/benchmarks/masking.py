"""MSSM one caption and one token at a time, with Python's own random numbers."""

import math
import random
from collections.abc import Sequence

IGNORE = -100


def mask_captions(
    input_ids: Sequence[Sequence[int]],
    word_ids: Sequence[Sequence[int]],
    significant: Sequence[Sequence[bool]],
    replacements: Sequence[int],
    mask_id: int,
    rng: random.Random,
    ratio: float = 0.15,
) -> tuple[list[list[int]], list[list[int]]]:
    """Hide 15 % of each caption's tokens, significant ones first; 80 % [MASK], 10 % another
    significant token, 10 % unchanged.

    Args:
        word_ids: -1 for special tokens and padding.

    Returns:
        Token ids with replacements, and labels (the true id where hidden, else -100).
    """
    masked, labels = [], []
    for ids, words, flags in zip(input_ids, word_ids, significant, strict=True):
        places = [place for place, word in enumerate(words) if word >= 0]
        wanted = len(places) * ratio + 1e-9
        count = math.floor(wanted) + (wanted % 1 >= 0.3)
        count = min(max(count, 1), len(places))
        first = [place for place in places if flags[place]]
        rest = [place for place in places if not flags[place]]
        rng.shuffle(first)
        rng.shuffle(rest)
        row, label = list(ids), [IGNORE] * len(ids)
        for place in (first + rest)[:count]:
            label[place] = ids[place]
            draw = rng.random()
            if draw < 0.8:
                row[place] = mask_id
            elif draw < 0.9:
                row[place] = rng.choice([r for r in replacements if r != ids[place]])
        masked.append(row)
        labels.append(label)
    return masked, labels
