"""What each trait of the SignificanceExplorer may hold, and the clips on offer."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from snpkit.errors import UserError
from snpkit.explore.significance import KINDS
from snpkit.explore.widgets.base import Explorer
from snpkit.explore.widgets.sample_clips import sample_captions

NEED_CLIP = ("match", "counterfactual")
EDITS = ("none", "mask", "replace")
_LARGEST_SEED = 2**32 - 1


def samples() -> dict[str, list[str]]:
    """Shipped clips, as paths below the samples' folder, with their captions."""
    try:
        return sample_captions()
    except UserError:  # installed without them
        return {}


def path_of(clip: str) -> str:
    """Path of a clip: of a shipped one by its name, else what was given."""
    from snpkit.data.samples import samples_folder

    return str(samples_folder() / clip) if clip in samples() else clip


def likeliest_sample(caption: str) -> str:
    """The shipped clip whose captions share most words with this one; "" if none is there."""
    words = set(caption.lower().split())

    def shared(clip: str) -> int:
        return max(len(words & set(text.lower().split())) for text in samples()[clip])

    return max(samples(), key=shared, default="")


def check_caption(explorer: Explorer, value: Any) -> str:
    """Any text with a word in it."""
    if not isinstance(value, str):
        raise UserError(f"The caption is {value!r}; it must be text.")
    explorer.answers.read(value)
    return value


def check_clip(explorer: Explorer, value: Any) -> str:
    """A shipped clip by name, a readable file, or "" for none."""
    if value is None or not str(value).strip():
        return ""
    if not isinstance(value, str | Path):
        raise UserError(f"The clip is {value!r}; give a path or the name of a shipped clip.")
    named = Path(str(value).strip()).as_posix()
    clip = next((c for c in samples() if named in (c, Path(c).stem)), str(value).strip())
    explorer.answers.clip(path_of(clip))
    return clip


def check_kind(explorer: Explorer, value: Any) -> str:
    """One of KINDS that can be had: two need a clip, three a model."""
    if value not in KINDS:
        raise UserError(f"{value!r} is no kind of significance; choose from {', '.join(KINDS)}.")
    if value != "corpus" and explorer.answers.pipeline is None:
        raise UserError(f"{str(value).capitalize()} significance needs a model; only corpus does "
                        "without.")  # fmt: skip
    if value in NEED_CLIP and not explorer.clip:
        raise UserError(f"{str(value).capitalize()} significance needs a clip; choose one first.")
    return value


def check_compare(explorer: Explorer, value: Any) -> str:
    """A second kind, or "" for none."""
    return "" if value in ("", None) else check_kind(explorer, value)


def _number(value: Any, what: str, least: float, most: float, *, whole: bool = True) -> Any:
    try:
        number = float(value)
        fits = least <= number <= most and not (whole and number != int(number))
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        kind = "a whole number" if whole else "a number"
        raise UserError(f"{what} is {value!r}; it must be {kind} from {least:,} to {most:,}.")
    # int() of the value itself: a seed may hold more digits than a float.
    return int(value) if whole else number


def check_top_k(explorer: Explorer, value: Any) -> int:
    """1 to the largest K that makes a difference."""
    return _number(value, "Top K", 1, explorer.largest_k)


def check_ratio(explorer: Explorer, value: Any) -> float:
    """Share of the tokens that are masked, 0.05 to 0.95."""
    return _number(value, "The mask ratio", 0.05, 0.95, whole=False)


def check_seed(explorer: Explorer, value: Any) -> int:
    """A whole number from 0 on."""
    return _number(value, "The seed", 0, _LARGEST_SEED)


def check_time(explorer: Explorer, value: Any) -> int:
    """Which frame is shown large: 0 to the number of frames - 1."""
    return _number(value, "Time", 0, max(explorer.frame_count - 1, 0))


def check_selected(explorer: Explorer, value: Any) -> tuple[int, ...]:
    """Places of words in the caption."""
    count = len(explorer.words)
    places = tuple(value) if isinstance(value, Iterable) else (value,)
    for place in places:
        if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < count:
            raise UserError(f"There is no word {place!r}; the words are 0 to {count - 1}.")
    return tuple(sorted(set(places)))


def check_edit(explorer: Explorer, value: Any) -> str:
    """What happens to the selected words: one of EDITS."""
    if value not in EDITS:
        raise UserError(f"{value!r} is no edit; choose from {', '.join(EDITS)}.")
    return value


def check_text(explorer: Explorer, value: Any) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise UserError(f"The replacement is {value!r}; it must be text.")
    return value
