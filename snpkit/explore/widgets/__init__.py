"""Explorers for notebooks: see which words matter, how the shared network reads, what is found.

    from snpkit.explore.widgets import SignificanceExplorer
    SignificanceExplorer(caption="a red kite falls over the beach")

Every explorer's state is public traits, so that a notebook cell can drive it like a hand does.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Explorer": "base",
    "SignificanceExplorer": "significance",
    "SharedNetworkExplorer": "network",
    "RetrievalExplorer": "retrieval",
}

__all__ = ["Explorer", "RetrievalExplorer", "SharedNetworkExplorer", "SignificanceExplorer"]


def __getattr__(name: str) -> Any:
    # Lazily: ipywidgets is only needed by those who ask for a widget.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
