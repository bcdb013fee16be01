"""Figures of one style, safe for every kind of colour vision, each with alt text.

All functions take plain data (lists, arrays, tensors) and return a `Picture`: a matplotlib figure
that notebooks show with its alt text, and that pages take as PNG or as SVG.
"""

from snpkit.explore.plots.ablations import (
    Curve,
    Difference,
    learning_curves,
    paired_differences,
)
from snpkit.explore.plots.curves import (
    LOSS_TITLES,
    evaluation_series,
    loss_curves,
    loss_series,
    recall_curves,
    smooth,
)
from snpkit.explore.plots.pace import Pace, pace_curves, read_pace
from snpkit.explore.plots.style import (
    PART_COLOURS,
    Picture,
    alt_text,
    drawable,
    to_html_img,
    to_png,
    to_svg,
)
from snpkit.explore.plots.words import (
    part_shares,
    significance_distribution,
    top_words,
    word_frequencies,
)

__all__ = [
    "LOSS_TITLES",
    "PART_COLOURS",
    "Curve",
    "Difference",
    "Pace",
    "Picture",
    "alt_text",
    "drawable",
    "evaluation_series",
    "learning_curves",
    "loss_curves",
    "loss_series",
    "pace_curves",
    "paired_differences",
    "part_shares",
    "read_pace",
    "recall_curves",
    "significance_distribution",
    "smooth",
    "to_html_img",
    "to_png",
    "to_svg",
    "top_words",
    "word_frequencies",
]
