"""Exercises of notebook 05: ranks under ties, what re-ranking costs, baselines, choices, leaks."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from snpkit.data.samples import VideoText
from snpkit.data.synthetic.tasks import OPTIONS
from snpkit.data.task_rows import label_set
from snpkit.evaluation.answering import commonest_by_type
from snpkit.evaluation.metrics import accuracy, rank_of_truth
from snpkit.evaluation.retrieval import dual_softmax

from . import Exercise, called, number

Pairs = Sequence[tuple[str, str]]  # (type of the question, answer)
_SCORES = (
    ([3.0, 1.0, 2.0], 0), ([3.0, 1.0, 2.0], 1), ([1.0, 1.0, 1.0, 1.0], 2),
    ([2.0, 5.0, 2.0, 0.0], 0), ([0.0, -1.0, 0.0, 0.0, -1.0], 4),
)  # fmt: skip
_GALLERIES = ((256, 256, 20), (1000, 1000, 10), (10, 8, 50))  # texts, videos, K
_TRAIN = (
    ("what", "cat"), ("what", "cat"), ("what", "dog"), ("what", "bird"), ("how", "two"),
    ("how", "two"), ("how", "two"), ("how", "one"), ("who", "cat"), ("who", "man"), ("who", "man"),
)  # fmt: skip
_TEST = (
    ("what", "cat"), ("what", "dog"), ("what", "dog"), ("how", "two"), ("how", "one"),
    ("how", "one"), ("who", "man"), ("who", "woman"), ("who", "cat"),
)  # fmt: skip
_CHANGED = (
    ("noun", None, "scene", "motion", "colour"), (None, "colour", "noun", "scene", "motion"),
    ("motion", "scene", None, "noun", "colour"), ("colour", "noun", "scene", None, "motion"),
    ("scene", "motion", "colour", "noun", None), (None, "motion", "scene", "colour", "noun"),
)  # fmt: skip
_LISTS = (
    (["video1", "video2"], ["video3"], set()),
    (["video1", "video2"], ["video2", "video3"], {"video2"}),
    (["videos/video1.mp4", "video2"], ["video1", "clips/video2.avi"], {"video1", "video2"}),
    (["video1", "video10"], ["video100.mp4"], set()),
)


def _rank(answer: Any) -> str | None:
    for scores, place in _SCORES:
        found = number(called(answer, torch.tensor(scores), place), "a rank")
        if isinstance(found, str):
            return found
        true = float(rank_of_truth(torch.tensor([scores]), [place]))
        if abs(found - true) < 1e-6:
            continue
        above = sum(score > scores[place] for score in scores)
        tied = sum(score == scores[place] for score in scores)
        line = f"of the scores {scores} item {place} has rank {true:g}, you say {found:g}"
        for said, wrong in (
            ("ranks count from 1", above), ("that is its best place of the tie", above + 1),
            ("that is its worst place of the tie", above + tied),
            ("the highest score is the best", len(scores) - above),
        ):  # fmt: skip
            if abs(found - wrong) < 1e-6:
                return f"{line}: {said}."
        return f"{line}; count what is above, then add the mean place of what is equal."
    return None


def _passes(answer: Any) -> str | None:
    for texts, videos, top in _GALLERIES:
        found = number(called(answer, texts, videos, top), "a count")
        if isinstance(found, str):
            return found
        true = min(texts * videos, texts * min(top, videos) + videos * min(top, texts))
        if found == true:
            continue
        line = f"{texts} texts, {videos} videos, the best {top}: {true:,} pairs, you say {found:,g}"
        if found == texts * min(top, videos):
            return f"{line}: the videos have candidates too."
        if found == texts * videos:
            return f"{line}: not all pairs are read, only the candidates."
        if found > texts * videos:
            return f"{line}: there are no more than {texts * videos:,} pairs."
        return f"{line}; each query has at most {top} candidates, in both directions."
    return None


def _dual(answer: Any) -> str | None:
    scores = torch.randn(4, 6, generator=torch.Generator().manual_seed(5)) * 3
    found = torch.as_tensor(called(answer, scores.clone())).float()
    if found.shape != scores.shape:
        return f"as many scores come out as went in, [4, 6], not {list(found.shape)}."
    true = dual_softmax(scores.clone())
    if torch.allclose(found, true, atol=1e-4):
        return None
    for name, rival in _DUAL_RIVALS.items():
        if torch.allclose(found, rival(scores), atol=1e-4):
            return f"this is {name}."
    return "take the log-softmax over the videos and that over the texts, and add the two."


_DUAL_RIVALS: dict[str, Callable[[Tensor], Tensor]] = {
    "the log-softmax over the videos (dim 1) alone": lambda s: s.log_softmax(1),
    "the log-softmax over the texts (dim 0) alone": lambda s: s.log_softmax(0),
    "the product of both shares; add their logarithms instead": lambda s: (
        s.softmax(0) * s.softmax(1)
    ),
    "one softmax over all pairs; each direction has its own": lambda s: (
        s.flatten().log_softmax(0).view_as(s)
    ),
}


def _ceiling(answer: Any) -> str | None:
    train, test = [said for _, said in _TRAIN], [said for _, said in _TEST]
    for size in (2, 3, 6):
        found = number(called(answer, list(train), list(test), size), "an accuracy")
        if isinstance(found, str):
            return found
        known = set(label_set(_rows(_TRAIN), size))
        true = 100 * sum(said in known for said in test) / len(test)
        if abs(found - true) < 1e-6:
            continue
        line = f"with {size} answers {true:.4g} % can be right, you say {found:.4g}"
        if abs(100 * found - true) < 1e-6:
            return f"{line}: give it in percent."
        mine = {said for said, _ in Counter(test).most_common(size)}
        if abs(found - 100 * sum(said in mine for said in test) / len(test)) < 1e-6:
            return f"{line}: the label set comes from the training answers, not from the test."
        if size == 2 and abs(found - 100 * sum(said in train for said in test) / len(test)) < 1e-6:
            return f"{line}: only the {size} commonest training answers are in the label set."
        return f"{line}; count the test answers that are in the label set."
    return None


def _rows(pairs: Pairs) -> list[VideoText]:
    return [
        VideoText(str(n), "a.mp4", "a", "train", extra={"answer": said, "answer_type": kind})
        for n, (kind, said) in enumerate(pairs)
    ]


def _baseline(answer: Any) -> str | None:
    found = number(called(answer, list(_TRAIN), list(_TEST)), "an accuracy")
    if isinstance(found, str):
        return found
    best, true = commonest_by_type(_rows(_TRAIN)), [said for _, said in _TEST]
    right = accuracy([best[kind] for kind, _ in _TEST], true)
    if abs(found - right) < 1e-6:
        return None
    line = f"the commonest answer of each type gets {right:.4g} %, you say {found:.4g}"
    rivals = {
        "give it in percent": right / 100,
        "that is the commonest answer of all, whatever is asked": accuracy(
            [best[""]] * len(true), true
        ),
        "those are the commonest answers of the test; it must not be looked at": accuracy(
            [commonest_by_type(_rows(_TEST))[kind] for kind, _ in _TEST], true
        ),
    }
    for said, wrong in rivals.items():
        if abs(found - wrong) < 1e-6:
            return f"{line}: {said}."
    return f"{line}; count the training answers of each type, then say the first of each."


def _confused(answer: Any) -> str | None:
    scores = torch.randn(len(_CHANGED), OPTIONS, generator=torch.Generator().manual_seed(11))
    found = called(answer, scores.clone(), [list(row) for row in _CHANGED])
    if not isinstance(found, Mapping):
        return f"a dict {{attribute: count}} was asked for, not {type(found).__name__}."
    true = _blamed(scores)
    found = {name: int(count) for name, count in found.items() if count}
    if found == true:
        return None
    if None in found:
        return "None stands for the true option; choosing it is no confusion, leave it out."
    if found == _blamed(-scores):
        return "that blames the option with the lowest score; the highest is chosen."
    if sum(found.values()) == len(_CHANGED) * (OPTIONS - 1):
        return "that counts every false option; only the chosen one of each row matters."
    return f"our scores give {true}, yours are {found}; take the best option of each row."


def _blamed(scores: Tensor) -> dict[str, int]:
    chosen = scores.argmax(1).tolist()
    names = [row[option] for row, option in zip(_CHANGED, chosen, strict=True)]
    return dict(Counter(name for name in names if name is not None))


def _leaks(answer: Any) -> str | None:
    for train, test, true in _LISTS:
        found = called(answer, list(train), list(test))
        if isinstance(found, str) or not hasattr(found, "__iter__"):
            return f"a set of names was asked for, not {type(found).__name__}."
        found = {str(name) for name in found}
        if found == true:
            continue
        line = f"train {train} and test {test} share {sorted(true) or 'nothing'}"
        if found == set(train) & set(test) or found < true:
            return f"{line}; one video may be written with a folder and an ending, and without."
        if any("/" in name or "." in name for name in found):
            return f"{line}; give the bare name, without folder and ending."
        return f"{line}, you say {sorted(found)}."
    return None


def _stem(name: str) -> str:
    return name.rpartition("/")[2].split(".")[0]


EXERCISES = (
    Exercise(
        "rank",
        "count the scores above the true one, then those equal to it, itself included.",
        _rank,
        "A model that says the same of everything lands in the middle, not on top.",
        (
            lambda scores, true: int((scores > scores[true]).sum()) + 1,
            lambda scores, true: int((scores >= scores[true]).sum()),
            lambda scores, true: int((scores > scores[true]).sum()),
            lambda scores, true: int((scores <= scores[true]).sum()),
            lambda scores, true: "first",
        ),
    ),
    Exercise(
        "passes",
        "every text has at most K candidates among the videos, every video K among the texts.",
        _passes,
        "The bill grows with the queries, no longer with their square.",
        (
            lambda texts, videos, k: texts * min(k, videos),
            lambda texts, videos, k: texts * videos,
            lambda texts, videos, k: k * (texts + videos),
            lambda texts, videos, k: k,
            lambda texts, videos, k: "many",
        ),
    ),
    Exercise(
        "dual_softmax",
        "log_softmax over dim 1 says how a text divides itself among videos; dim 0 the reverse.",
        _dual,
        "A video that every text likes loses; but one must know every text to see that.",
        (*_DUAL_RIVALS.values(), lambda scores: scores, lambda scores: scores.logsumexp(1)),
    ),
    Exercise(
        "ceiling",
        "Counter(train).most_common(size) is nearly the label set; what of the test is in it?",
        _ceiling,
        "No training can lift a classifier above its label set.",
        (
            lambda train, test, size: {2: 3, 3: 4, 6: 8}[size] / 9,
            lambda train, test, size: 100 * sum(a in train for a in test) / len(test),
            lambda train, test, size: sum(n for _, n in Counter(test).most_common(size)) / 0.09,
            lambda train, test, size: 100.0,
        ),
    ),
    Exercise(
        "baseline",
        "for each type of question find the commonest training answer, and give it every time.",
        _baseline,
        "A model that does not beat this has learned to read questions, not to watch videos.",
        (
            lambda train, test: 100 * sum(said == "cat" for _, said in test) / len(test),
            lambda train, test: 3 / 9,
            lambda train, test: 100 * 5 / 9,  # the commonest of the test itself
            lambda train, test: 0.0,
        ),
    ),
    Exercise(
        "confused",
        "scores.argmax(1) is what the model chose; look up what is wrong with that option.",
        _confused,
        "An accuracy says how often a model errs; this says what it does not see.",
        (
            lambda scores, changed: Counter(
                row[int(n)] for row, n in zip(changed, scores.argmax(1), strict=True)
            ),
            lambda scores, changed: Counter(name for row in changed for name in row if name),
            lambda scores, changed: {},
            lambda scores, changed: _blamed(-scores),
            lambda scores, changed: "motion",
        ),
    ),
    Exercise(
        "leaks",
        "bring the names of both lists to one form, then intersect two sets.",
        _leaks,
        "A test video that was trained on makes every number too good.",
        (
            lambda train, test: set(train) & set(test),
            lambda train, test: {name for name in train if _stem(name) in map(_stem, test)},
            lambda train, test: set(map(_stem, train)),
            lambda train, test: "video2",
        ),
    ),
)
