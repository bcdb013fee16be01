"""Diagrams of transformers and of the method, drawn by our own code as vector graphics."""

from .drawing import Box, Diagram
from .method import objectives, patch_pipeline
from .network import (
    shared_network,
    three_fusion,
    transformer_layer,
    twin_tower,
)
from .tasks import downstream_heads

__all__ = [
    "Box",
    "Diagram",
    "downstream_heads",
    "objectives",
    "patch_pipeline",
    "shared_network",
    "three_fusion",
    "transformer_layer",
    "twin_tower",
]
