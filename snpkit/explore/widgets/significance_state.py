"""The state of the SignificanceExplorer as traits, and what can be asked of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snpkit.errors import UserError
from snpkit.explore.significance import Kind, spearman
from snpkit.explore.widgets import significance_checks as checks
from snpkit.explore.widgets.base import Explorer, State
from snpkit.explore.widgets.significance_answers import Answers
from snpkit.explore.widgets.significance_pictures import joint_map
from snpkit.explore.widgets.significance_words import agreement_in_words, minus

if TYPE_CHECKING:
    from torch import Tensor

    from snpkit.explore.explanation import Explanation
    from snpkit.language.significance import SignificanceTable

CAPTION = "a red fish is shaking over the meadow"  # of a shipped, held-out clip


class SignificanceState(Explorer):
    """Every question is about the present state, and is answered without a browser.

    Attributes:
        caption: text with a word in it.
        clip: name of a shipped clip or a path; "" = none.
        kind: "corpus", "attention", "match" or "counterfactual"; the last two need a clip.
        compare: a second kind, or "".
        top_k: number of significant words, for corpus significance and MSSM.
        mask_ratio: share of the tokens that are masked, 0.05 to 0.95.
        seed: of the drawing of masks.
        selected: places of the selected words; their joint map is shown.
        time: which frame is shown large.
        show_map: whether frames lie under the map of the selected words.
        edit: what happens to the selected words in "What if": "none", "mask" or "replace".
        replacement: what each of them is replaced by.
    """

    answers: Answers
    largest_k: int

    caption = State(CAPTION, checks.check_caption)
    clip = State("", checks.check_clip)
    kind = State("corpus", checks.check_kind)
    compare = State("", checks.check_compare)
    top_k = State(1, checks.check_top_k)
    mask_ratio = State(0.15, checks.check_ratio)
    seed = State(0, checks.check_seed)
    selected = State((), checks.check_selected)
    time = State(0, checks.check_time)
    show_map = State(True, lambda explorer, value: bool(value))
    edit = State("none", checks.check_edit)
    replacement = State("", checks.check_text)

    @property
    def words(self) -> list[str]:
        """The words that the model reads, as they were written."""
        return self.answers.read(self.caption).words

    @property
    def table(self) -> "SignificanceTable | None":
        """The significance table with the present top K."""
        return self.answers.table_at(self.top_k)

    def answer(self, name: str) -> Kind:
        """One kind of significance of the present caption (and clip)."""
        path = checks.path_of(self.clip) if self.clip else ""
        return self.answers.kind(name, self.caption, path, self.top_k)

    def kind_values(self, name: str) -> list[float]:
        """Values in [0, 1] of one kind."""
        return self.answer(name).values

    @property
    def shown_kinds(self) -> list[Kind]:
        """The kind that is shown, and the one that it is compared with."""
        return [self.answer(name) for name in (self.kind, self.compare) if name]

    def known_kinds(self) -> list[Kind]:
        """All kinds that the present state can give."""
        names = ["corpus"]
        if self.answers.pipeline is not None:
            names += ["attention", *(checks.NEED_CLIP if self.clip else ())]
        return [self.answer(name) for name in names]

    @property
    def agreement(self) -> float | None:
        """Spearman agreement of the two kinds that are shown; None without two."""
        kinds = self.shown_kinds
        return spearman(kinds[0].values, kinds[1].values) if len(kinds) == 2 else None

    @property
    def agreement_text(self) -> str:
        """The agreement in a sentence; "" without two kinds."""
        return agreement_in_words(self.kind, self.compare, self.agreement) if self.compare else ""

    @property
    def masks(self) -> dict[str, list[str | None]]:
        """ "MLM" and "MSSM" -> per word what stands in its place; None = it was not drawn."""
        options = {"top_k": self.top_k, "ratio": self.mask_ratio, "seed": self.seed}
        return self.answers.masks(self.caption, **options)

    def explanation(self) -> "Explanation":
        """The whole explanation of caption and clip (see `snpkit.explore.explanation`)."""
        if not self.clip:
            raise UserError("An explanation needs a clip; choose one first.")
        return self.answers.explanation(self.caption, checks.path_of(self.clip))

    @property
    def frames(self) -> "Tensor | None":
        """uint8 [clips, frames, 3, height, width] as the model reads them; None without a clip."""
        return self.answers.clip(checks.path_of(self.clip)).frames if self.clip else None

    @property
    def frame_count(self) -> int:
        """Frames of all clips together; 0 without a clip."""
        return 0 if self.frames is None else self.frames.shape[0] * self.frames.shape[1]

    @property
    def relevance(self) -> "Tensor | None":
        """Joint map of the selected words, [clips, frames, gh, gw]; None where none is shown."""
        if not (self.clip and self.selected and self.show_map):
            return None
        return joint_map(self.explanation().relevance, self.selected)

    @property
    def score(self) -> float | None:
        """Matching score of caption and clip; None without a clip."""
        return self._score(self.caption) if self.clip else None

    @property
    def changed_score(self) -> float | None:
        """Matching score after the edit; None where nothing is edited."""
        if not (self.clip and self.selected) or self.edit == "none":
            return None
        if self.edit == "mask":
            return self._score(self.caption, self.selected)
        return self._score(self.changed_caption) if self.replacement.strip() else None

    @property
    def changed_caption(self) -> str:
        """The caption with the selected words masked or replaced."""
        text = "[MASK]" if self.edit == "mask" else self.replacement.strip()
        if self.edit == "none" or not self.selected or not text:
            return self.caption
        return self.answers.read(self.caption).with_words(self.selected, text)

    def _score(self, caption: str, hidden: Sequence[int] = ()) -> float:
        return self.answers.score(caption, checks.path_of(self.clip), tuple(hidden))

    @property
    def clip_name(self) -> str:
        """The clip in a few words."""
        return Path(self.clip).name if self.clip else "no clip"

    @property
    def score_text(self) -> str:
        """The matching score in a sentence; "" without a clip."""
        return (
            "" if self.score is None else f"{self.answers.score_name}: {minus(f'{self.score:.2f}')}"
        )

    @property
    def change_text(self) -> str:
        """What the edit did to the score, in a sentence."""
        if self.changed_score is None:
            return ""
        before, after = self.score, self.changed_score
        numbers = f"{before:.2f} → {after:.2f} ({after - before:+.2f})"
        return f"“{self.changed_caption}”: " + minus(numbers)

    def picture_alt(self) -> str:
        """Alt text of the frames."""
        words = ", ".join(f"“{self.words[place]}”" for place in self.selected)
        what = f"under the relevance of {words}" if self.relevance is not None else "as read"
        return f"{self.frame_count} frames of {self.clip_name}, {what}"
