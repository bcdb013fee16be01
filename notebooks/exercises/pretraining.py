"""Exercises of notebook 04: what guessing gives, the losses, the schedule, resuming, the cost."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from snpkit.evaluation.metrics import chance_metrics
from snpkit.model import objectives
from snpkit.training.optimisation import learning_rate
from snpkit.training.recipe import get_recipe

from . import Exercise, called, number

_BATCHES = (2, 8, 32, 64, 128)
_STEPS = (0, 10, 49, 50, 51, 300, 999)
_GALLERIES = ((256, 1), (256, 10), (1000, 5), (8, 10))  # videos, K
_RUNS = ((10_000, 64, 16, 0.5), (100, 64, 1, 2.0), (2_500_000, 128, 10, 1.0))
PARTS = (
    "weights",
    "averages of AdamW",
    "number of the step",
    "position in the data",
    "state of the generators",
    "learning rate",
    "gradients",
    "masks of the next batch",
)
_NEEDED = frozenset(PARTS[:5])
_REMADE = {
    "learning rate": "it is a function of the step's number",
    "gradients": "they are used up and cleared in every step",
    "masks of the next batch": "they are drawn anew from seed, epoch and position",
}
_LOST = {
    "weights": "everything learned is lost",
    "averages of AdamW": "the next steps go other ways",
    "number of the step": "the learning rate starts to warm up again",
    "position in the data": "the first clips are seen twice and others not at all",
    "state of the generators": "other negatives are drawn",
}


def _guessing(answer: Any) -> str | None:
    for batch in _BATCHES:
        found, true = called(answer, batch), math.log(2 * batch - 1)
        found = number(found, "the loss")
        if isinstance(found, str):
            return found
        if math.isclose(found, true, abs_tol=1e-3):
            continue
        line = f"for a batch of {batch} you say {found:.3f}, but guessing gives {true:.3f}"
        if math.isclose(found, math.log(batch), abs_tol=1e-3):
            return f"{line}: other captions compete as well as other videos."
        if math.isclose(found, math.log(2 * batch), abs_tol=1e-3):
            return f"{line}: you count the true pair twice."
        return f"{line}; count the competitors, the true pair once, and take the natural log."
    return None


def _matching_loss(answer: Any) -> str | None:
    scores = torch.randn(6, 6, generator=torch.Generator().manual_seed(4))
    found = torch.as_tensor(called(answer, scores.clone())).float()
    if found.shape != ():
        return f"one number was asked for, the mean over the pairs, not {list(found.shape)}."
    true = objectives.mil_nce(scores[:, :, None])
    if torch.isclose(found, true, atol=1e-4):
        return None
    for name, rival in _RIVALS.items():
        if torch.isclose(found, rival(scores), atol=1e-4):
            return f"this is {name}; {true:.3f} is right where you have {found:.3f}."
    return (
        f"for our scores the loss is {true:.3f}, yours is {found:.3f}; for pair i compare s[i, i] "
        "with row i and column i together, the pair itself counted once."
    )


def _both(scores: Tensor) -> Tensor:
    return torch.cat([scores, scores.T], dim=1)


_RIVALS: dict[str, Callable[[Tensor], Tensor]] = {
    "the loss over videos only, the rows": lambda s: F.cross_entropy(s, torch.arange(len(s))),
    "the loss over captions only, the columns": lambda s: F.cross_entropy(
        s.T, torch.arange(len(s))
    ),
    "the loss with the true pair counted twice": lambda s: (
        _both(s).logsumexp(1) - s.diagonal()
    ).mean(),
    "the sum over the pairs, not their mean": lambda s: objectives.mil_nce(s[:, :, None]) * len(s),
    "the negative of the loss": lambda s: -objectives.mil_nce(s[:, :, None]),
}


def _masked_loss(answer: Any) -> str | None:
    logits = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(2))
    labels = torch.tensor([[-100, 3, -100, 6, -100], [-100, -100, 0, -100, -100]])
    found = torch.as_tensor(called(answer, logits.clone(), labels.clone())).float()
    if found.shape != ():
        return f"one number was asked for, the mean over the labels, not {list(found.shape)}."
    true = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
    if torch.isclose(found, true, atol=1e-4):
        return None
    if torch.isclose(found, true * 3, atol=1e-3):
        return f"{found:.3f} is the sum over the three labelled tokens; take their mean."
    if torch.isclose(found, true * 3 / 10, atol=1e-3):
        return f"{found:.3f} divides by all ten tokens; only the three with a label count."
    return (
        f"the loss is {true:.3f}, yours is {found:.3f}: take the log-softmax of the labelled "
        "tokens (label not -100), pick each true token, and average the negatives."
    )


def _rate(answer: Any) -> str | None:
    for step in _STEPS:
        found = number(called(answer, step), "a learning rate")
        true = learning_rate(get_recipe("laptop").optimisation, step, 1000)
        if isinstance(found, str):
            return found
        if not math.isclose(found, true, rel_tol=1e-3, abs_tol=1e-8):
            where = "warm-up" if step < 50 else "the cosine after the warm-up"
            return f"at step {step} ({where}) the rate is {true:.3g}, yours is {found:.3g}."
    return None


def _resume_parts(answer: Any) -> str | None:
    if isinstance(answer, str) or not hasattr(answer, "__iter__"):
        return f"a set of names was asked for, not {type(answer).__name__}."
    chosen = set(answer)
    if unknown := sorted(str(name) for name in chosen if name not in PARTS):
        return f"{unknown[0]!r} is not in the list PARTS."
    for name in PARTS:
        if name in _NEEDED and name not in chosen:
            return f"without the {name}, {_LOST[name]}."
        if name in chosen and name not in _NEEDED:
            return f"the {name} need not be saved: {_REMADE[name]}."
    return None


def _chance(answer: Any) -> str | None:
    for videos, top in _GALLERIES:
        found = number(called(answer, videos, top), "a percentage")
        if isinstance(found, str):
            return found
        true = 100 * min(top, videos) / videos
        assert top not in (1, 5, 10) or math.isclose(true, chance_metrics(videos)[f"r{top}"])
        if math.isclose(found, true, abs_tol=1e-3):
            continue
        line = f"of {videos} videos R@{top} by chance is {true:.3g} %, you say {found:.3g}"
        if math.isclose(100 * found, true, abs_tol=1e-3):
            return f"{line}: give it in percent."
        if found > 100:
            return f"{line}: more than all cannot be found."
        return f"{line}; every place is as likely for the true video."
    return None


def _run_days(answer: Any) -> str | None:
    for pairs, batch, epochs, seconds in _RUNS:
        found = number(called(answer, pairs, batch, epochs, seconds), "the time")
        if isinstance(found, str):
            return found
        true = (pairs // batch) * epochs * seconds / 86_400
        if math.isclose(found, true, rel_tol=1e-4):
            continue
        asked = f"{pairs:,} pairs, batch {batch}, {epochs} epochs, {seconds} s a step"
        line = f"for {asked} it is {true:.4g} days, you say {found:.4g}"
        if math.isclose(found, true * 86_400, rel_tol=1e-4):
            return f"{line}: those are seconds; a day has 86,400."
        if math.isclose(found, pairs / batch * epochs * seconds / 86_400, rel_tol=1e-4):
            return f"{line}: the last, unfilled batch of an epoch is left out."
        return f"{line}; whole batches of an epoch, times epochs, times seconds, in days."
    return None


def _mean_of_true(logits: Tensor, labels: Tensor) -> Tensor:
    kept = labels != -100
    return -logits.log_softmax(-1)[kept].gather(1, labels[kept][:, None])


EXERCISES = (
    Exercise(
        name="guessing",
        hint="return the loss of a model that gives all pairs of a batch the same score.",
        judge=_guessing,
        praise="A larger batch is a harder question, so its plateau lies higher.",
        mistakes=(
            math.log,
            lambda batch: math.log(2 * batch),
            lambda batch: math.log2(2 * batch - 1),
            lambda batch: 2 * batch - 1,
            lambda batch: "log(2B - 1)",
        ),
    ),
    Exercise(
        name="matching_loss",
        hint="return the mean over i of log(sum of the exps that compete) - scores[i, i].",
        judge=_matching_loss,
        praise="Each pair competes with its row and its column at once: 2B - 1 candidates.",
        mistakes=(
            *_RIVALS.values(),
            lambda scores: scores.diagonal(),
            lambda scores: scores.mean(),
        ),
    ),
    Exercise(
        name="masked_loss",
        hint="choose the tokens whose label is not -100, then take minus the log-softmax there.",
        judge=_masked_loss,
        praise="Only hidden tokens are asked; all others serve as context.",
        mistakes=(
            lambda logits, labels: _mean_of_true(logits, labels).sum(),
            lambda logits, labels: _mean_of_true(logits, labels).sum() / labels.numel(),
            lambda logits, labels: -_mean_of_true(logits, labels).mean(),
            lambda logits, labels: _mean_of_true(logits, labels)[:, 0],
        ),
    ),
    Exercise(
        name="rate",
        hint="below step 50 return 1e-3 * (step + 1) / 51; from there on a cosine down to 0.",
        judge=_rate,
        praise="As the rate is a function of the step alone, it never has to be saved.",
        mistakes=(
            lambda step: 1e-3,
            lambda step: 1e-3 * step / 50 if step < 50 else 1e-3,
            lambda step: 1e-3 * min(1, (step + 1) / 51) * (1 + math.cos(math.pi * step / 1000)) / 2,
            lambda step: "1e-3",
        ),
    ),
    Exercise(
        name="resume_parts",
        hint="name those of PARTS without which a continued run would take other steps.",
        judge=_resume_parts,
        praise="What can be worked out again from seed and step need not be stored.",
        mistakes=(
            set(),
            {"weights"},
            set(PARTS),
            _NEEDED | {"learning rate"},
            _NEEDED - {"state of the generators"},
            {"wheights"},
            "weights",
        ),
    ),
    Exercise(
        name="chance",
        hint="how often does a random order put the one true video among the first k, in percent?",
        judge=_chance,
        praise="A recall means nothing without the size of the gallery beside it.",
        mistakes=(
            lambda videos, k: k / videos,
            lambda videos, k: 100 / videos,
            lambda videos, k: 100 * k / videos,
            lambda videos, k: "0.4 %",
        ),
    ),
    Exercise(
        name="run_days",
        hint="count the whole batches of an epoch, then multiply; a day has 86,400 seconds.",
        judge=_run_days,
        praise="Ten times the pairs are ten times the days: measure a step before you start.",
        mistakes=(
            lambda pairs, batch, epochs, seconds: pairs / batch * epochs * seconds / 86_400,
            lambda pairs, batch, epochs, seconds: pairs // batch * epochs * seconds,
            lambda pairs, batch, epochs, seconds: pairs * epochs * seconds / 86_400,
            lambda pairs, batch, epochs, seconds: "a week",
        ),
    ),
)
