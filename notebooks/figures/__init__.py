"""Drawings of the course alone, in the style of `snpkit.explore.plots`, each with alt text."""

from . import diagrams
from .bars import accuracy_bars
from .captions import caption_strip, masking_comparison
from .cells import position_similarity, receptive_fields, window_partition
from .costs import growth_curves, share_bars
from .frames import Found, relevance_overlay, retrieval_strip
from .matrices import attention_maps, similarity_matrix
from .patches import clip_frames, patch_sheet, sampling_plan

__all__ = [
    "Found",
    "accuracy_bars",
    "attention_maps",
    "caption_strip",
    "clip_frames",
    "diagrams",
    "growth_curves",
    "masking_comparison",
    "patch_sheet",
    "position_similarity",
    "receptive_fields",
    "relevance_overlay",
    "retrieval_strip",
    "sampling_plan",
    "share_bars",
    "similarity_matrix",
    "window_partition",
]
