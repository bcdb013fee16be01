"""What a clip shows, and which combinations a split may show."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from snpkit.data.synthetic.motions import MOTIONS, direction_of
from snpkit.data.synthetic.scenes import SCENES
from snpkit.data.synthetic.sprites import COLOURS, NOUNS, TEXTURES
from snpkit.errors import UserError

Quadruple = tuple[str, str, str, str]  # noun, colour, motion, scene
Allowed = Callable[[Quadruple], bool]
ATTRIBUTES = (NOUNS, tuple(COLOURS), tuple(MOTIONS), tuple(SCENES))
SIZES = ("small", "medium", "large")
RELATIONS = ("beside", "above", "below", "behind", "in front of")
TOTAL = int(np.prod([len(values) for values in ATTRIBUTES]))


@dataclass(frozen=True)
class Composition:
    """Everything a clip shows.

    Attributes:
        size: small, medium or large.
        direction: left, right, up, down, clockwise, anticlockwise, or None if it has none.
        second: noun and colour of a second, resting object.
        relation: where the main object is, seen from the second.
        count: objects to be seen.
    """

    noun: str
    colour: str
    motion: str
    scene: str
    size: str = "medium"
    texture: str = "plain"
    direction: str | None = None
    second: dict[str, str] | None = None
    relation: str | None = None
    count: int = 1

    @property
    def quadruple(self) -> Quadruple:
        """The four attributes whose combinations are held out."""
        return self.noun, self.colour, self.motion, self.scene


def _balanced(values: tuple[str, ...], count: int, rng: np.random.Generator) -> list[str]:
    """`count` values, each as often as every other (within one), in random order."""
    rounds = max(1, -(-count // len(values)))
    order = np.concatenate([rng.permutation(len(values)) for _ in range(rounds)])[:count]
    return [values[index] for index in rng.permutation(order)]


def draw_quadruples(
    count: int, rng: np.random.Generator, allowed: Allowed, *, distinct: bool
) -> list[Quadruple]:
    """Draw combinations in which each noun, colour, motion and scene is equally frequent.

    Args:
        allowed: which combinations may be drawn; others are replaced by changing colour, motion
            and scene, so the balance is kept but for a few.
        distinct: no combination twice.
    """
    columns = [_balanced(values, count, rng) for values in ATTRIBUTES]
    drawn: list[Quadruple] = []
    seen: set[Quadruple] = set()
    for row in zip(*columns, strict=True):
        tries = 0
        while not allowed(row) or (distinct and row in seen):
            colour, motion, scene = (str(rng.choice(values)) for values in ATTRIBUTES[1:])
            row = (row[0], colour, motion, scene)
            tries += 1
            if tries > 10_000:
                raise UserError(
                    f"Cannot find {count} compositions for one split; ask for fewer clips."
                )
        drawn.append(row)
        seen.add(row)
    return drawn


def _held_out_pairs(rng: np.random.Generator) -> tuple[set[tuple[str, str]], ...]:
    """For validation and for test: one (noun, colour) pair of every noun, colours evenly used."""
    nouns = [NOUNS[index] for index in rng.permutation(len(NOUNS))]
    colours = ATTRIBUTES[1]
    return tuple(
        {(noun, colours[(place + shift) % len(colours)]) for place, noun in enumerate(nouns)}
        for shift in (0, 3)
    )


def _is_free(taken: set[Quadruple], pairs: set[tuple[str, str]] | None, row: Quadruple) -> bool:
    return row not in taken and (pairs is None or row[:2] in pairs)


def draw_splits(
    counts: dict[str, int], split_kind: str, rng: np.random.Generator
) -> tuple[dict[str, list[Quadruple]], set[tuple[str, str]]]:
    """Draw the quadruples of training, validation and test.

    Args:
        counts: clips of "train", "validation" and "test".
        split_kind: "compositions" holds out whole quadruples; "pairs" holds out (noun, colour)
            pairs, so that a held-out clip shows an object in a colour it never had in training.
        rng: draws them.

    Returns:
        The quadruples of each split, and the (noun, colour) pairs that training never shows.

    Raises:
        UserError: more held-out clips than half of all combinations.
    """
    held_out = counts["validation"] + counts["test"]
    share = 2 if split_kind == "compositions" else 16
    if held_out > TOTAL // share:
        raise UserError(
            f"validation + test = {held_out} clips, but at most {TOTAL // share} of the {TOTAL} "
            f'combinations can be held out with split_kind="{split_kind}"; ask for fewer.'
        )
    by_pairs = split_kind == "pairs"
    pairs = _held_out_pairs(rng) if by_pairs else (set(), set())
    taken: set[Quadruple] = set()
    quadruples = {}
    for split, own in zip(("validation", "test"), pairs, strict=True):
        free = partial(_is_free, taken, own if by_pairs else None)
        quadruples[split] = draw_quadruples(counts[split], rng, free, distinct=True)
        taken |= set(quadruples[split])
    hidden = pairs[0] | pairs[1]
    quadruples["train"] = draw_quadruples(
        counts["train"],
        rng,
        lambda row: row not in taken and row[:2] not in hidden,
        distinct=counts["train"] <= TOTAL // 4,
    )
    return quadruples, hidden


def complete(
    quadruple: Quadruple,
    sign: int,
    second_object: float,
    rng: np.random.Generator,
    hidden_pairs: set[tuple[str, str]],
) -> Composition:
    """Add size, texture and perhaps a second object to a quadruple.

    Args:
        sign: 1 or -1, the direction of the motion.
        second_object: chance of a second object.
        hidden_pairs: (noun, colour) pairs the second object may not be.
    """
    noun, colour, motion, scene = quadruple
    size = str(rng.choice(SIZES, p=(0.25, 0.5, 0.25)))
    texture = str(rng.choice(TEXTURES, p=(0.55, 0.15, 0.15, 0.15)))
    second = relation = None
    if rng.random() < second_object:
        relation = str(rng.choice(RELATIONS))
        second = {"noun": noun, "colour": colour}
        while (
            second["noun"] == noun
            or second["colour"] == colour
            or (second["noun"], second["colour"]) in hidden_pairs
        ):
            second = {"noun": str(rng.choice(NOUNS)), "colour": str(rng.choice(ATTRIBUTES[1]))}
    direction = direction_of(motion, sign)
    count = 1 + (second is not None)
    return Composition(
        noun, colour, motion, scene, size, texture, direction, second, relation, count
    )
