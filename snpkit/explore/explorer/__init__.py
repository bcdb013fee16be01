"""Explorers for notebooks: see which words matter, how the shared network reads, what is found.

    from snpkit.explore.explorer import SignificanceExplorer
    SignificanceExplorer(caption="a red kite falls over the beach")

Every explorer's state is plain attributes, so that a notebook cell can drive it as a hand does.
"""

from importlib import import_module
from typing import Any

_MODULES = {
    "SignificanceExplorer": "significance",
    "SharedNetworkExplorer": "network",
    "RetrievalExplorer": "retrieval",
}

__all__ = ["RetrievalExplorer", "SharedNetworkExplorer", "SignificanceExplorer"]


def __getattr__(name: str) -> Any:
    # Lazily: anywidget is only needed by those who ask for a widget.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
