"""Questions and five-option choices about the generated clips, from what their scenes hold.

The rows go into `questions.jsonl` and `choices.jsonl` beside the corpus's manifest. Their `extra`
has the keys of every such data set (`snpkit.data.prepare`): "question", "answer" and
"answer_type"; or "question" (empty), "options", "label", "answer" (the true option) and "changed"
(what is wrong with each option: noun, colour, motion or scene; null for the true one).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from snpkit.data.samples import Manifest, VideoText
from snpkit.data.synthetic.composition import ATTRIBUTES, Composition
from snpkit.data.synthetic.grammar import write_caption
from snpkit.data.synthetic.motions import direction_of
from snpkit.errors import UserError

QUESTIONS_FILE, CHOICES_FILE = "questions.jsonl", "choices.jsonl"
OPTIONS = 5

# How a question of each kind may be put; the answer is one word of the composition.
_FORMS = {
    "colour": ("what colour is the {noun}?", "which colour does the {noun} have?"),
    "thing": ("what {motion}?", "what is it that {motion}?", "what is the {colour} thing?"),
    "count": ("how many things are there?", "how many objects do we see?"),
    "place": ("where does it happen?", "where is the {noun}?"),
    "direction": ("which way does the {noun} move?", "in which direction does the {noun} go?"),
    "motion": ("what does the {noun} do?", "what is the {colour} {noun} doing?"),
}
_NUMBERS = {1: "one", 2: "two"}
_NAMES = ("noun", "colour", "motion", "scene")  # in the order of ATTRIBUTES


def questions_about(shown: Composition, rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """(kind, question, answer) of every kind that the clip can answer, in random wording."""
    answers = {
        "colour": shown.colour,
        "thing": shown.noun,
        "count": _NUMBERS[shown.count],
        "place": shown.scene,
        "direction": shown.direction,
        "motion": shown.motion,
    }
    asked = []
    for kind, answer in answers.items():
        form = str(rng.choice(_FORMS[kind]))
        if answer is not None:
            words = {"noun": shown.noun, "colour": shown.colour, "motion": shown.motion}
            asked.append((kind, form.format(**words), answer))
    return asked


def options_for(
    shown: Composition, rng: np.random.Generator
) -> tuple[list[str], int, list[str | None]]:
    """Five captions, one of them true; its place; and for each the attribute that it gets wrong.

    Each false one differs in one of noun, colour, motion and scene, so that all of the clip must be
    understood; the sentence shapes differ in all five.
    """
    scenes = [shown, *(_with_other(shown, number, rng) for number in range(len(ATTRIBUTES)))]
    written = [write_caption(scene, rng, omission=0.0).text for scene in scenes]
    place = int(rng.integers(OPTIONS))
    order = [1 + int(index) for index in rng.permutation(OPTIONS - 1)]
    order = [*order[:place], 0, *order[place:]]
    changed = (None, *_NAMES)
    return [written[n] for n in order], place, [changed[n] for n in order]


def _with_other(shown: Composition, attribute: int, rng: np.random.Generator) -> Composition:
    name = _NAMES[attribute]
    own = getattr(shown, name)
    # The second object's noun or colour would make the false caption half true.
    taken = {own, (shown.second or {}).get(name)}
    other = str(rng.choice([value for value in ATTRIBUTES[attribute] if value not in taken]))
    changed = replace(shown, **{name: other})
    if name == "motion":
        changed = replace(changed, direction=direction_of(other, int(rng.choice((-1, 1)))))
    return changed


def question_rows(manifest: Manifest, seed: int = 0) -> list[VideoText]:
    """One row per question about every clip of a generated corpus.

    Raises:
        UserError: a row does not say what its clip shows.
    """
    rows = []
    for row, shown, rng in _clips(manifest, seed):
        for kind, question, answer in questions_about(shown, rng):
            extra = {"question": question, "answer": answer, "answer_type": kind}
            rows.append(replace(row, id=f"{row.id}-{kind}", caption=question, extra=extra))
    return rows


def choice_rows(manifest: Manifest, seed: int = 0) -> list[VideoText]:
    """One row of five options per clip of a generated corpus.

    Raises:
        UserError: a row does not say what its clip shows.
    """
    rows = []
    for row, shown, rng in _clips(manifest, seed + 1):
        options, label, changed = options_for(shown, rng)
        extra = {"question": "", "options": options, "label": label, "answer": options[label]}
        extra["changed"] = changed
        rows.append(replace(row, id=f"{row.id}-choice", caption=options[label], extra=extra))
    return rows


_Clip = tuple[VideoText, Composition, np.random.Generator]


def _clips(manifest: Manifest, seed: int) -> list[_Clip]:
    """Every clip once, what it shows, and random numbers of its own."""
    first: dict[str, VideoText] = {}
    for row in manifest.rows:
        if "composition" not in row.extra:
            raise UserError(
                f"{row.id} does not say what its clip shows; questions are written for clips of "
                "`snpkit generate` only."
            )
        first.setdefault(row.video, row)
    return [
        (row, Composition(**row.extra["composition"]), np.random.default_rng([seed, number]))
        for number, row in enumerate(first.values())
    ]


def write_tasks(manifest: Manifest, seed: int = 0) -> tuple[Path, Path]:
    """Write the questions and the choices of a corpus beside its clips; their two files."""
    made = []
    for name, rows in (
        (QUESTIONS_FILE, question_rows(manifest, seed)),
        (CHOICES_FILE, choice_rows(manifest, seed)),
    ):
        Manifest(manifest.root, rows).save(manifest.root / name)
        made.append(manifest.root / name)
    return made[0], made[1]
