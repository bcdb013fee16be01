"""The clips that the network's and the retrieval's explorers know, and checks that they share."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from snpkit.data.samples import sample_manifest, samples_folder
from snpkit.errors import UserError
from snpkit.explore.plots.style import shorten

OWN = "own"  # what a control calls a clip that is not one of the shipped ones
_GROUPS = {"generated": "Generated", "real": "Filmed or animated"}


@lru_cache(maxsize=1)
def sample_captions() -> dict[str, list[str]]:
    """Per shipped clip, by its name such as "real/tree-hand.mp4", what was written for it."""
    captions: dict[str, list[str]] = {}
    for row in sample_manifest().rows:
        captions.setdefault(row.video, []).append(row.caption)
    return dict(sorted(captions.items()))


def captions_of(clip: Any) -> list[str]:
    """What was written for a shipped clip; nothing for any other clip."""
    return sample_captions().get(str(clip), []) if isinstance(clip, str | Path) else []


def source_of(clip: Any) -> Path | Tensor:
    """The file of a clip (a shipped one's name or any path), or its frames.

    Raises:
        UserError: no such file, or something that is no clip at all.
    """
    if isinstance(clip, Tensor):
        return clip
    if not isinstance(clip, str | Path):
        raise UserError(f"A clip is a file or frames, not {type(clip).__name__}.")
    path = samples_folder() / clip if str(clip) in sample_captions() else Path(clip)
    try:
        there = path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        there = False
    if not there:
        raise UserError(f"There is no video {str(clip)!r}; name a file or one of the sample clips.")
    return path


def clip_options(clip: Any) -> tuple[list[list[str]], str]:
    """Options of a Select of all shipped clips, and the one that stands for `clip`."""
    options = [
        [name, f"{Path(name).stem}: {shorten(said[0], 60)}", _GROUPS.get(name.split("/")[0], "")]
        for name, said in sample_captions().items()
    ]
    if str(clip) in sample_captions() and not isinstance(clip, Tensor):
        return options, str(clip)
    return [[OWN, clip_name(clip), "Your own"], *options], OWN


def clip_name(clip: Any) -> str:
    """What a clip is called in a sentence."""
    return "the given frames" if isinstance(clip, Tensor) else Path(clip).name


def caption_of(value: Any, what: str = "caption") -> str:
    """A caption that a model can be asked about.

    Raises:
        UserError: no text, or text of blanks alone.
    """
    if not isinstance(value, str):
        raise UserError(f"The {what} must be text, not {type(value).__name__}.")
    if not value.strip():
        raise UserError(f"The {what} is empty; write at least one word.")
    return value.encode("utf-8", "replace").decode()  # lone surrogates are no text


def whole(value: Any, count: int, what: str, first: int = 0) -> int:
    """A whole number of `count` ones from `first` on.

    Raises:
        UserError: another one, or no whole number.
    """
    last = first + count - 1
    number = isinstance(value, int) and not isinstance(value, bool)
    if not number or not first <= value <= last:
        raise UserError(f"The {what} must be a whole number from {first} to {last}, not {value!r}.")
    return value
