"""SignificanceExplorer: which words of a caption matter, in four ways, and where they look."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from snpkit.errors import UserError
from snpkit.explore.page import Html
from snpkit.explore.widgets import significance_checks as checks
from snpkit.explore.widgets import significance_pictures as pictures
from snpkit.explore.widgets.base import State
from snpkit.explore.widgets.significance_answers import Answers
from snpkit.explore.widgets.significance_panels import Panels
from snpkit.explore.widgets.significance_state import CAPTION, SignificanceState
from snpkit.explore.widgets.significance_words import masks_in_words

if TYPE_CHECKING:
    from snpkit.explore.protocols import TrainedModel
    from snpkit.language.significance import SignificanceTable


class SignificanceExplorer(SignificanceState):
    """See which words of a caption matter, to the corpus, to the caption and to a clip.

        explorer = SignificanceExplorer(caption="a red kite falls over the beach")
        explorer.kind, explorer.compare = "match", "counterfactual"
        explorer.selected = [2]

    Args:
        pipeline: what `snpkit.load` gave; None = the shipped model, or with `table` none at all.
        caption: None = one of the shipped clip's, or of the table's examples.
        video: a file or the name of a shipped clip; None = the shipped clip that fits the caption
            best; "" = none.
        table: whose corpus significance and masks; None = the pipeline's.
        tokenizer: for a table without a pipeline; None = one is trained on the table's words.
        first: first values of the traits, which `SignificanceState` lists.
    """

    def __init__(
        self,
        pipeline: "TrainedModel | None" = None,
        caption: str | None = None,
        video: str | Path | None = None,
        *,
        table: "SignificanceTable | None" = None,
        tokenizer: Any = None,
        **first: Any,
    ) -> None:
        if pipeline is None and table is None:
            import snpkit

            pipeline = snpkit.load("laptop")
        self.answers = Answers(pipeline, table, tokenizer)
        super().__init__()
        whole = self.answers.table
        self.largest_k = 1 if whole is None else max(whole.top_k, len(whole), 1)
        self.top_k = 1 if whole is None else max(whole.top_k, 1)
        self.caption, self.clip = self._begin(caption, video)
        for name, value in first.items():
            if not isinstance(self.traits().get(name), State):
                raise UserError(f"SignificanceExplorer has no {name!r} to set.")
            setattr(self, name, value)
        self.panels = Panels(self)
        self.show(*self.panels.boxes)
        self.panels.update({"caption", "clip"})

    def _begin(self, caption: str | None, video: str | Path | None) -> tuple[str, str | Path]:
        """Caption and clip to begin with, where one or both are left open."""
        if self.answers.pipeline is None:
            if video:
                raise UserError("A clip needs a model to look at it; give a pipeline too.")
            entries = self.answers.table.entries.values()
            example = next((text for e in entries for text in e.examples), None)
            words = " ".join(entry.word for entry in list(entries)[:8])
            return caption or example or words if caption is None else caption, ""
        if video is None:
            video = checks.likeliest_sample(CAPTION if caption is None else caption)
        if caption is None:
            name = checks.check_clip(self, video)
            caption = CAPTION if name in ("", checks.likeliest_sample(CAPTION)) else next(
                iter(checks.samples().get(name, [CAPTION]))
            )  # fmt: skip
        return caption, video

    # What can be done.

    def pick(self, clip: str) -> None:
        """Take a clip and, if it is a shipped one, its first caption."""
        with self.together():
            self.clip = clip
            captions = checks.samples().get(self.clip, [])
            if captions and self.caption not in captions:
                self.caption = captions[0]

    def draw_mask(self) -> None:
        """Draw other masks: the next seed."""
        self.seed += 1

    def to_csv(self) -> str:
        """The words and their numbers as CSV."""
        return pictures.to_csv(self)

    def to_png(self) -> bytes:
        """The figures of the present state as one PNG."""
        return pictures.to_picture(self)

    def to_html(self) -> str:
        """The present state as one self-contained HTML document."""
        return pictures.to_page(self)

    def export(self, path: str | Path) -> None:
        """Write a .csv, .png or .html file, atomically.

        Raises:
            UserError: another ending, or the file cannot be written.
        """
        from snpkit.files import atomic_path

        makers = {".csv": self.to_csv, ".png": self.to_png, ".html": self.to_html}
        ending = Path(path).suffix.lower()
        if ending not in makers:
            raise UserError(f"{path} ends in {ending!r}; use .csv, .png or .html.")
        made = makers[ending]()
        with atomic_path(path) as temporary:
            temporary.write_bytes(made if isinstance(made, bytes) else made.encode())

    def redraw(self, names: set[str]) -> None:
        """Bring what depends on the traits of these names up to date."""
        with self.together():
            if "clip" in names or "caption" in names:
                self._settle(names)
            self.panels.update(names)

    def _settle(self, names: set[str]) -> None:
        """Other traits follow a new caption or clip where they no longer fit."""
        kept = "selected" in names or "caption" not in names
        if not kept or any(place >= len(self.words) for place in self.selected):
            self.selected = ()
        if self.time >= max(self.frame_count, 1):
            self.time = 0
        if not self.clip:
            self.kind = "corpus" if self.kind in checks.NEED_CLIP else self.kind
            self.compare = "" if self.compare in checks.NEED_CLIP else self.compare

    def picture(self) -> Html:
        """The present state as plain HTML."""
        return pictures.static_picture(self)

    def summary(self) -> str:
        """The present state in a few lines of text."""
        kinds = self.shown_kinds
        words = [
            "  " + word + "".join(f"  {kind.name} {kind.values[place]:.2f}" for kind in kinds)
            for place, word in enumerate(self.words)
        ]
        lines = [f"SignificanceExplorer: “{self.caption}” and {self.clip_name}", *words]
        lines += [self.agreement_text, self.score_text, self.change_text]
        lines += masks_in_words(self.words, self.masks)
        return "\n".join(line for line in lines if line)
