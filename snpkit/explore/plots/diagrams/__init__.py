"""Diagrams of transformers and of the method, drawn by our own code as vector graphics."""

from snpkit.explore.plots.diagrams.drawing import Box, Diagram
from snpkit.explore.plots.diagrams.method import masking, objectives, patch_pipeline
from snpkit.explore.plots.diagrams.network import (
    shared_network,
    three_fusion,
    transformer_layer,
    twin_tower,
)
from snpkit.explore.plots.diagrams.tasks import downstream_heads

__all__ = [
    "Box",
    "Diagram",
    "downstream_heads",
    "masking",
    "objectives",
    "patch_pipeline",
    "shared_network",
    "three_fusion",
    "transformer_layer",
    "twin_tower",
]
