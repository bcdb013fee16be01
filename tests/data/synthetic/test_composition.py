from collections import Counter

import numpy as np
import pytest

from snpkit.data.synthetic.composition import (
    ATTRIBUTES,
    RELATIONS,
    TOTAL,
    complete,
    draw_quadruples,
    draw_splits,
)
from snpkit.errors import UserError

COUNTS = {"train": 3000, "validation": 200, "test": 400}


@pytest.mark.parametrize("kind", ["compositions", "pairs"])
def test_every_value_is_seen_evenly(kind: str) -> None:
    drawn, _ = draw_splits(COUNTS, kind, np.random.default_rng(0))
    assert {split: len(rows) for split, rows in drawn.items()} == COUNTS
    slack = {"compositions": 0.15, "pairs": 0.3}[kind]
    for split in ("train", "test"):
        for column, values in enumerate(ATTRIBUTES):
            counts = Counter(row[column] for row in drawn[split])
            mean = COUNTS[split] / len(values)
            assert set(counts) == set(values)
            if split == "train":
                assert max(abs(count - mean) for count in counts.values()) <= slack * mean


@pytest.mark.parametrize("kind,share", [("compositions", 2), ("pairs", 16)])
def test_too_many_held_out_clips_are_refused(kind: str, share: int) -> None:
    counts = {"train": 1, "validation": 0, "test": TOTAL // share + 1}
    with pytest.raises(UserError, match="ask for fewer"):
        draw_splits(counts, kind, np.random.default_rng(0))


def test_impossible_draws_end() -> None:
    with pytest.raises(UserError, match="Cannot find 5 compositions"):
        draw_quadruples(5, np.random.default_rng(0), lambda row: False, distinct=True)


def test_second_objects() -> None:
    rng = np.random.default_rng(0)
    hidden = {("ball", "red"), ("boat", "blue")}
    seen = []
    for _ in range(600):
        made = complete(("kite", "green", "falls", "sea"), 1, 0.25, rng, hidden)
        assert (made.second is None) == (made.relation is None) == (made.count == 1)
        if made.second is not None:
            seen.append(made.relation)
            assert made.second["noun"] != "kite" and made.second["colour"] != "green"
            assert tuple(made.second.values()) not in hidden
    assert 0.18 < len(seen) / 600 < 0.32
    assert set(seen) == set(RELATIONS)
    assert complete(("kite", "green", "falls", "sea"), 1, 0.0, rng, hidden).second is None
