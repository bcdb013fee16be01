"""Heat maps: every weight at its place, one scale, labels that stay text."""

import re

import pytest

from snpkit.explore.widgets.heat_map import heat_figure, heat_map, width_of

MATRIX = [[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.1, 0.2, 0.7]]
TOKENS = ["[CLS]", "kite", "clip 1"]


def draw(matrix=MATRIX, tokens=TOKENS, **options):
    settings = {"largest": 1.0, "query": 1, "caption": 2, "alt": "what it shows"} | options
    return heat_map(matrix, tokens, **settings)


def cells(page):
    return [a for a in page.all("rect") if "fill-opacity" in a]


def test_every_weight_is_a_cell_as_strong_as_its_share_of_the_largest(parse):
    found = cells(parse(draw(largest=2.0)))
    assert [float(c["fill-opacity"]) for c in found] == [
        pytest.approx(weight / 2, abs=0.006) for row in MATRIX for weight in row
    ]
    xs, ys = ([int(c[axis]) for c in found] for axis in ("x", "y"))
    assert xs[:3] == sorted(set(xs)) and ys[::3] == sorted(set(ys))  # columns right, rows down
    assert xs[:3] == ys[::3]


def test_clips_stand_apart_and_the_querying_row_is_framed(parse):
    page = parse(draw())
    xs = [int(c["x"]) for c in cells(page)[:3]]
    assert (xs[2] - xs[1]) - (xs[1] - xs[0]) == 5
    (frame,) = [a for a in page.all("rect") if a.get("class") == "is-frame"]
    assert int(frame["y"]) == int(cells(page)[3]["y"]) - 1
    assert not [a for a in parse(draw(query=3)).all("rect") if a.get("class") == "is-frame"]


def test_maps_beside_each_other_have_equal_cells(parse):
    short = draw([[1.0]], ["[CLS]"], query=0, caption=1, longest=["[CLS]"] * 29 + ["glittering"])
    long = draw([[1 / 30] * 30] * 30, ["[CLS]"] * 29 + ["glittering"], caption=30)
    width = {re.search(r'viewBox="0 0 (\d+)', text)[1] for text in (short, long)}
    assert width == {str(width_of(["glittering"] * 30))}
    assert cells(parse(short))[0]["width"] == cells(parse(long))[0]["width"]


def test_the_map_is_a_picture_with_a_name_and_titles(parse):
    page = parse(draw())
    assert page.all("svg")[0]["role"] == "img"
    assert page.all("svg")[0]["aria-label"] == "what it shows"
    assert "kite → clip 1: 0.000" in page.words and "[CLS] → kite: 0.250" in page.words


def test_nasty_tokens_stay_text(parse, nasty):
    for token in nasty:
        page = parse(draw([[1.0]], [token], query=0, caption=1, alt=token))
        assert {name for name, _ in page.elements} <= {"svg", "g", "rect", "text", "title"}


def test_the_figure_has_one_scale_for_all_its_maps(nasty):
    panels = [("Alone", [[0.4, 0.6], [1.0, 0.0]], ["a", "b"]), ("Cross-modal", MATRIX, nasty[:3])]
    figure = heat_figure(panels, query=2, title="layer 0", alt="two maps")
    limits = [ax.images[0].get_clim() for ax in figure.axes if ax.images]
    assert limits == [(0, 1.0), (0, 1.0)]
    frames = [len(ax.patches) for ax in figure.axes if ax.images]
    assert frames == [0, 1]  # the first has no third token
    assert figure.alt == "two maps"
    assert figure._repr_html_().startswith('<img alt="two maps"')
