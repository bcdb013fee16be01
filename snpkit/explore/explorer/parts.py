"""The module and the style sheet that show every explorer and every page: no build step."""

from functools import lru_cache
from pathlib import Path

_SCRIPTS = ("parts.js", "stage.js", "network.js", "retrieval.js", "explorer.js")


@lru_cache(maxsize=1)
def script() -> str:
    """One JavaScript module of all parts, which exports `render` (anywidget's form)."""
    return "\n".join((Path(__file__).parent / name).read_text("utf-8") for name in _SCRIPTS)


@lru_cache(maxsize=1)
def style() -> str:
    """The rules of all parts; each is for elements below `.snpkit` alone."""
    return (Path(__file__).parent / "explorer.css").read_text("utf-8")
