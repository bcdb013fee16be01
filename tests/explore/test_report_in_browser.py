"""The report in a real browser, from disk and without a network, wide and narrow."""

import numpy as np
import pytest
import torch

from snpkit.evaluation.metrics import chance_metrics
from snpkit.explore.examples import Answer, Example
from snpkit.explore.report import write_report
from tests.explore.opening import opened

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory, table, nasty):
    chance = chance_metrics(64)
    both = {"text_to_video": chance, "video_to_text": chance}
    frames = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    answers = [Answer(1, frames, 1.5, True, nasty[0]), Answer(2, frames, 1.0, False, nasty[5])]
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(
        path,
        title="A run",
        history=[{"step": i, "losses": {"lvwm": float(np.exp(-i / 50))}} for i in range(1, 100)],
        metrics={"matching": both, "reranked": both, "queries": 64, "chance": both},
        examples=[Example(text, answers, 1.0) for text in nasty],
        significance=table,
        facts={"command": "snpkit pretrain laptop", nasty[5]: nasty[5]},
        chance={"lvwm": 4.2},
    )
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 400])
def test_nothing_runs_nothing_loads_nothing_overflows(report, chromium, tmp_path, width, scheme):
    with opened(report, chromium, tmp_path, width, scheme) as page:
        smallest = page.evaluate(
            "Math.min(...[...document.querySelectorAll('svg text')].map(t => "
            "{ const m = t.getScreenCTM(); "
            "return parseFloat(getComputedStyle(t).fontSize) * Math.hypot(m.a, m.b); }))"
        )
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert smallest >= 9
    assert ground == {"light": "rgb(252, 251, 249)", "dark": "rgb(20, 24, 28)"}[scheme]
