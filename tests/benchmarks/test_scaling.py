"""Scaling: what is counted, how the cost model is taken from it, and what the command writes."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest
import torch

from snpkit.model.slices import Slice
from tests.benchmarks import scaling, steps
from tests.benchmarks.race import main
from tests.benchmarks.workload import Workload

TINY = Workload(size="tiny", batch=4)


def test_the_model_computes_the_tokens_that_are_counted(monkeypatch):
    """Counted where they go through the layers, with slices that hold no padding."""

    def exact(lengths, hidden, device, *, extra=0, limit=None):
        rows = {n: [row for row, own in enumerate(lengths) if own == n] for n in set(lengths)}
        return [Slice(own, width, False) for width, own in rows.items()]

    monkeypatch.setattr("snpkit.model.shared.cut", exact)
    counted = []
    for batch, layers in ((4, None), (7, 3)):
        work = replace(TINY, batch=batch, layers=layers)
        turn = steps.build("ours", "forward", work)
        seen = []

        def note(module, args, kwargs, seen=seen):
            hidden = args[0] if args else kwargs["hidden_states"]
            seen.append(hidden.shape[0] * hidden.shape[1])

        original = torch.nn.Module.__call__

        def watched(module, *args, original=original, note=note, **kwargs):
            if type(module).__name__ == "BertLayer":
                note(module, args, kwargs)
            return original(module, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(torch.nn.Module, "__call__", watched)
            turn()
        counted.append((sum(seen), scaling.layer_tokens(work)))
    for found, expected in counted:
        assert found == expected


def test_a_true_cost_model_is_found_and_predicts_every_axis():
    def measure(work, repeat):
        seconds = 0.01 + 2e-5 * scaling.layer_tokens(work)
        return [seconds * factor for factor in (1.0, 0.9, 1.2)[:repeat]]

    curves = scaling.measure_scaling(TINY, 3, measure=measure)
    assert [len(curve.values) for curve in curves] == [4] * 4
    for curve in curves:
        assert curve.model == pytest.approx([median for median, _, _ in curve.seconds])
        assert all(low < median < high for median, low, high in curve.seconds)
    assert "cost model" in scaling.table(curves)


def test_neither_constant_nor_price_is_negative():
    fixed, price = scaling._fit([(1, 1.0), (2, 4.0), (3, 9.0)])
    assert fixed == 0 and price > 0
    # A step that seems to get quicker is taken as one that costs the same: least relative error.
    fixed, price = scaling._fit([(1, 3.0), (2, 2.0), (3, 1.0)])
    assert price == 0 and fixed == pytest.approx((1 / 3 + 1 / 2 + 1) / (1 / 9 + 1 / 4 + 1))


def test_scaling_is_measured_in_the_precision_asked_for(monkeypatch):
    asked = []

    def measured(work, repeat):
        asked.append(work.precision)
        return []

    monkeypatch.setattr("tests.benchmarks.scaling.measure_scaling", measured)
    for precision in ("both", "fp32", "bf16"):
        assert main(["scaling", "--size", "tiny", "--precision", precision, "--json"]) == 0
    assert asked == ["fp32", "fp32", "bf16"]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_command_writes_a_figure(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scaling, "AXES", {"clips": ("clips of a video", (1, 3))} | {
        "batch": ("captions of a batch", (2, 3))})  # fmt: skip
    path = tmp_path / f"curves.{kind}"
    arguments = ["scaling", "--size", "tiny", "--batch", "3", "--repeat", "1"]
    assert main([*arguments, "-o", str(path)]) == 0
    assert "clips of a video" in capsys.readouterr().out
    if kind == "svg":
        root = ElementTree.fromstring(path.read_text())
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "cost model at most" in root.attrib["aria-label"]
    else:
        assert path.read_bytes().startswith(b"\x89PNG")
