"""Drawings of the course alone, in the style of `snpkit.explore.plots`, each with alt text."""

from . import diagrams
from .bars import accuracy_bars
from .cells import position_similarity, receptive_fields, window_partition
from .costs import growth_curves, share_bars
from .matrices import attention_maps, similarity_matrix
from .patches import clip_frames, patch_sheet, sampling_plan

__all__ = [
    "accuracy_bars",
    "attention_maps",
    "clip_frames",
    "diagrams",
    "growth_curves",
    "patch_sheet",
    "position_similarity",
    "receptive_fields",
    "sampling_plan",
    "share_bars",
    "similarity_matrix",
    "window_partition",
]
