"""The clips that the explorers offer, and checks that they share."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from snpkit.data.samples import sample_manifest, samples_folder
from snpkit.errors import UserError
from snpkit.explore.explanation import read_caption
from snpkit.explore.plots.style import shorten

if TYPE_CHECKING:
    from snpkit.evaluation.search import FolderIndex
    from snpkit.explore.protocols import TrainedModel

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


def named_clip(clip: Any, otherwise: str) -> Any:
    """A clip as it is kept: the full name of a shipped one that is named in short, `otherwise`
    where an emptied field names none, and any other path, or frames, as they are."""
    if not isinstance(clip, str):
        return clip
    if not clip.strip():
        return otherwise
    named = Path(clip.strip()).as_posix()
    return next((c for c in sample_captions() if named in (c, Path(c).name, Path(c).stem)), clip)


def likeliest_clip(caption: str) -> str:
    """The shipped clip whose captions share most words with this one."""
    words = set(caption.lower().split())

    def shared(clip: str) -> int:
        return max(len(words & set(text.lower().split())) for text in sample_captions()[clip])

    return max(sample_captions(), key=shared)


@lru_cache(maxsize=1)
def shipped_model() -> "TrainedModel":
    """The shipped checkpoint: one for all explorers of a kernel."""
    import snpkit

    return snpkit.load("laptop")


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


def fields(caption: str, clip: Any) -> list[dict[str, Any]]:
    """The controls of a caption and a clip: a shipped one, or a file of one's own."""
    text = {"name": "caption", "label": "Caption", "kind": "text", "value": caption}
    return [text, _clip_field(clip), _path_field(clip)]


def _clip_field(clip: Any) -> dict[str, Any]:
    """The control that chooses one of the shipped clips; one of your own is named in it."""
    options = [
        [name, f"{Path(name).stem}: {shorten(said[0], 60)}", _GROUPS.get(name.split("/")[0], "")]
        for name, said in sample_captions().items()
    ]
    own = isinstance(clip, Tensor) or str(clip) not in sample_captions()
    if own:
        options.insert(0, [OWN, clip_name(clip), "Your own"])
    value = OWN if own else str(clip)
    return {"name": "clip", "label": "Clip", "kind": "select", "value": value, "options": options}


def _path_field(clip: Any) -> dict[str, Any]:
    """The control that names a file of one's own."""
    own = "" if isinstance(clip, Tensor) or str(clip) in sample_captions() else str(clip)
    label = "Or a video file of your own"
    return {"name": "path", "label": label, "kind": "text", "value": own, "sets": "clip"}


def sample_index(pipeline: "TrainedModel") -> "FolderIndex":
    """All shipped clips as one index, encoded once."""
    from snpkit.evaluation.encoding import EncodedVideos
    from snpkit.evaluation.search import FolderIndex

    root = samples_folder().resolve()
    parts = {name: pipeline.index(root / name) for name in _GROUPS}
    encoded = [part.videos for part in parts.values()]
    return FolderIndex(
        root,
        [f"{place}/{name}" for place, part in parts.items() for name in part.names],
        EncodedVideos(
            torch.cat([videos.clip_features for videos in encoded]),
            torch.cat([videos.clip_tokens for videos in encoded]),
        ),
        {f"{place}/{name}": why for place, part in parts.items()
         for name, why in part.unreadable.items()},
    )  # fmt: skip


def clip_name(clip: Any) -> str:
    """What a clip is called in a sentence."""
    return "the given frames" if isinstance(clip, Tensor) else Path(clip).name


def caption_of(value: Any, tokenizer: Any, what: str = "caption") -> str:
    """A caption that a model can be asked about.

    Raises:
        UserError: no text, or text without a word.
    """
    if not isinstance(value, str):
        raise UserError(f"The {what} must be text, not {type(value).__name__}.")
    if not value.strip():
        raise UserError(f"The {what} is empty; write at least one word.")
    caption = value.encode("utf-8", "replace").decode()  # lone surrogates are no text
    read_caption(tokenizer, caption)
    return caption
