"""The controls of the SignificanceExplorer, panel by panel, and how they follow its state."""

from pathlib import Path

import ipywidgets

from snpkit.explore.significance import KINDS
from snpkit.explore.widgets import significance_checks as checks
from snpkit.explore.widgets import significance_pictures as pictures
from snpkit.explore.widgets.base import Explorer, link, mark
from snpkit.explore.widgets.controls import (
    Button,
    Download,
    Note,
    Picture,
    Select,
    Slider,
    TextInput,
    Toggle,
    TokenStrip,
)
from snpkit.explore.widgets.sample_clips import clip_options
from snpkit.explore.widgets.significance_words import mask_tokens_shown, strip_tokens

_KINDS = {
    "corpus": "Corpus: how often it carries meaning",
    "attention": "Attention: how much the caption looks at it",
    "match": "Match: how well it fits the clip",
    "counterfactual": "Counterfactual: what is lost without it",
}
_EDITS = [["none", "stay as they are"], ["mask", "are masked"], ["replace", "are replaced by"]]
_LOOK_HINT = "Point at a word, or move to it with the arrow keys, to see what is known of it."
_SELECT_HINT = f"{_LOOK_HINT} Select words to see where they look and what the score loses."
_MASK_HINT = (
    "Both hide the same share of the words. MLM draws from all words alike; MSSM draws from the "
    "significant ones (tinted) first. Of the drawn words 80 % become [MASK], 10 % another word, "
    "10 % stay (dashed); the model has to say all of them."
)


def _row(*controls: ipywidgets.Widget) -> ipywidgets.Box:
    return ipywidgets.Box(controls).add_class("snpkit-row")


def _panel(heading: str, *content: ipywidgets.Widget) -> ipywidgets.Box:
    panel = ipywidgets.Box((Note(label=heading, kind="heading"), *content))
    panel.add_class("snpkit-panel")
    return panel


class Panels:
    """All controls of an explorer; `boxes` are its children, from top to bottom."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        model = explorer.answers.pipeline is not None
        self.boxes = [Note(label="Which words matter", kind="title"), self._input(model)]
        self.boxes += [self._words(model)]
        if model:
            self.boxes += [self._frames(), self._what_if()]
        self.boxes += [self._masks(), self._export()]
        self._parts = {
            self._show_words: {"caption", "clip", "kind", "compare", "top_k"},
            self._show_masks: {"caption", "top_k", "mask_ratio", "seed"},
        }
        if model:
            self._parts |= {
                self._show_clip: {"caption", "clip"},
                self._show_frames: {"caption", "clip", "selected", "time", "show_map"},
                self._show_change: {"caption", "clip", "selected", "edit", "replacement"},
            }

    def update(self, names: set[str]) -> None:
        """Bring the parts that depend on the traits of these names up to date."""
        for show, needs in self._parts.items():
            if names & needs:
                show()

    def _input(self, model: bool) -> ipywidgets.Widget:
        self.caption = TextInput(label="Caption", placeholder="a red kite falls over the beach")
        link(self.caption, self.explorer, "caption")
        if not model:
            return self.caption
        self.clip = Select(label="Clip")
        self.path = TextInput(
            label="Or a video file of your own", placeholder="path/to/video.mp4", live=False
        )
        self._offer_clips()
        self.clip.observe(lambda change: self._picked(change["new"]), "value")
        self.path.observe(lambda change: self._typed_path(change["new"]), "value")
        return ipywidgets.VBox([self.caption, _row(self.clip, self.path)]).add_class("snpkit-form")

    def _offer_clips(self) -> None:
        own, shipped = self.explorer.clip, checks.samples()
        offered = [["", "No clip"]]
        if own and own not in shipped:
            offered.append([own, Path(own).name, "Your own"])
        if shipped:
            offered += clip_options(next(iter(shipped)))[0]
        with self.clip.hold_trait_notifications():
            self.clip.options, self.clip.value = offered, own

    def _picked(self, clip: str) -> None:
        if clip != self.explorer.clip:
            self.explorer.pick(clip)

    def _typed_path(self, path: str) -> None:
        if path and path != self.explorer.clip:
            self.explorer.clip = path
            mark(self.path, self.explorer)

    def _show_clip(self) -> None:
        clip = self.explorer.clip
        if self.clip.value != clip or clip not in {option[0] for option in self.clip.options}:
            self._offer_clips()
        self.path.value = "" if clip in checks.samples() else clip
        self.path.invalid = False
        self.caption.suggestions = checks.samples().get(clip, [])

    def _words(self, model: bool) -> ipywidgets.Widget:
        self.kind = Select(
            label="Kind of significance",
            options=[[name, _KINDS[name]] for name in (KINDS if model else KINDS[:1])],
        )
        self.compare = Select(label="Compare with", options=[["", "Nothing"], *self.kind.options])
        link(self.kind, self.explorer, "kind")
        link(self.compare, self.explorer, "compare")
        hint = _SELECT_HINT if model else _LOOK_HINT
        self.strip = TokenStrip(label="Words of the caption", hint=hint)
        link(self.strip, self.explorer, "selected", trait="selected", convert=tuple)
        self.agreement = Note(kind="figure", live=True)
        self.left_out = Note(kind="quiet")
        self.rules = Note(kind="quiet")
        choose = [_row(self.kind, self.compare)] if model else []
        return _panel("The words", *choose, self.strip, self.agreement, self.left_out, self.rules)

    def _show_words(self) -> None:
        explorer = self.explorer
        kinds = explorer.shown_kinds
        looked = {explorer.kind, explorer.compare} & set(checks.NEED_CLIP)
        guesses = explorer.explanation().guesses if looked else None
        self.strip.tokens = strip_tokens(
            explorer.words, kinds, explorer.table, explorer.top_k, guesses
        )
        self.strip.series = [kind.name.capitalize() for kind in kinds]
        self.agreement.label = explorer.agreement_text
        self.rules.label = "\n".join(f"{kind.name.capitalize()}: {kind.rule}" for kind in kinds)
        left_out = explorer.answers.read(explorer.caption).left_out
        self.left_out.label = (
            f"The model reads no further; left out at the end: {' '.join(left_out)}"
            if left_out else ""
        )  # fmt: skip

    def _frames(self) -> ipywidgets.Widget:
        self.pair, self.film = Picture(), Picture()
        self.time = Slider(label="Time", form="list")
        link(self.time, self.explorer, "time", convert=int)
        self.show_map = Toggle(label="Show the map of the selected words")
        link(self.show_map, self.explorer, "show_map")
        pictures_ = _row(self.pair, self.film)
        return _panel("Where they look", pictures_, _row(self.time, self.show_map))

    def _show_frames(self) -> None:
        explorer = self.explorer
        frames, maps, time = explorer.frames, explorer.relevance, explorer.time
        for control in (self.film, self.time):
            control.layout.display = "" if explorer.frame_count > 1 else "none"
        if frames is None:
            self.pair.source = self.film.source = ""
            self.pair.label = "Choose a clip to see it here."
            return
        clips, count = frames.shape[:2]
        self.time.names = [
            f"clip {clip + 1} of {clips}, frame {frame + 1} of {count}"
            for clip in range(clips) for frame in range(count)
        ]  # fmt: skip
        self.time.maximum = float(explorer.frame_count - 1)
        self.time.value = float(time)
        self.pair.source = pictures.frame_pair(frames, maps, time)
        self.pair.alt = f"{self.time.names[time].capitalize()}: {explorer.picture_alt()}"
        self.pair.label = (
            "Select a word above to see on which patches its match rests." if maps is None else
            f"Left as the model reads it, right under the map of {self._chosen()}: bright patches "
            "are those that the match rests on; the cross marks the strongest."
        )  # fmt: skip
        self.film.source, self.film.alt = pictures.film(frames, maps, time), explorer.picture_alt()

    def _chosen(self) -> str:
        return ", ".join(f"“{self.explorer.words[place]}”" for place in self.explorer.selected)

    def _what_if(self) -> ipywidgets.Widget:
        self.score = Note(kind="figure")
        self.edit = Select(label="The selected words", options=_EDITS)
        link(self.edit, self.explorer, "edit")
        self.replacement = TextInput(label="Replacement", placeholder="another word")
        link(self.replacement, self.explorer, "replacement")
        self.change = Note(kind="figure", live=True)
        about = "A higher score is a better match. Only scores of one model can be compared."
        quiet = Note(label=about, kind="quiet")
        self.edits = ipywidgets.VBox([_row(self.edit, self.replacement), self.change, quiet])
        return _panel("What if", self.score, self.edits.add_class("snpkit-form"))

    def _show_change(self) -> None:
        explorer = self.explorer
        self.score.kind = "figure" if explorer.clip else "quiet"
        self.score.label = explorer.score_text or "Choose a clip to see how it matches."
        self.edits.layout.display = "" if explorer.clip else "none"
        self.replacement.disabled = explorer.edit != "replace"
        guesses = explorer.explanation().guesses if explorer.clip and explorer.selected else None
        self.replacement.suggestions = guesses[explorer.selected[0]] if guesses else []
        waiting = explorer.edit != "none" and not explorer.selected
        self.change.label = "Select a word above." if waiting else explorer.change_text

    def _masks(self) -> ipywidgets.Widget:
        explorer = self.explorer
        known = 0 if explorer.answers.table is None else len(explorer.answers.table)
        self.top_k = Slider(
            label="Top K: significant words", minimum=1.0, maximum=float(explorer.largest_k),
            disabled=not known, hint=f"the table holds {known:,} words",
        )  # fmt: skip
        link(self.top_k, explorer, "top_k", convert=int)
        self.ratio = Slider(
            label="Mask ratio", minimum=0.05, maximum=0.95, step=0.05, form="percent",
            hint="of the caption's tokens",
        )  # fmt: skip
        link(self.ratio, explorer, "mask_ratio")
        self.seed = TextInput(label="Seed", number=True)
        link(self.seed, explorer, "seed", back=str)
        self.draw = Button(explorer.draw_mask, label="Draw a mask", primary=True)
        self.mlm = TokenStrip(label="Masked by MLM", selectable=False)
        self.mssm = TokenStrip(label="Masked by MSSM", selectable=False)
        about = Note(label=_MASK_HINT, kind="quiet")
        lines = [_row(Note(label=name, kind="text").add_class("snpkit-name"), strip)
                 for name, strip in (("MLM", self.mlm), ("MSSM", self.mssm))]  # fmt: skip
        controls = _row(
            self.top_k, self.ratio, _row(self.seed, self.draw.add_class("snpkit-beside"))
        )
        return _panel("Masks", controls, *lines, about)

    def _show_masks(self) -> None:
        explorer = self.explorer
        strong = explorer.kind_values("corpus")
        for strip, drawn in zip((self.mlm, self.mssm), explorer.masks.values(), strict=True):
            strip.tokens = mask_tokens_shown(explorer.words, drawn, strong)

    def _export(self) -> ipywidgets.Widget:
        explorer = self.explorer
        makers = (
            ("CSV", "text/csv", "the words and their numbers", explorer.to_csv),
            ("PNG", "image/png", "the figures", explorer.to_png),
            ("HTML", "text/html", "one self-contained page", explorer.to_html),
        )
        self.downloads = {
            name: Download(
                lambda name=name, mime=mime, make=make: self._file(name, mime, make),
                label=f"Save {name}", hint=hint,
            )
            for name, mime, hint, make in makers
        }  # fmt: skip
        return _row(*self.downloads.values()).add_class("snpkit-export")

    def _file(self, name: str, mime: str, make: object) -> tuple[str, str, bytes] | None:
        with self.explorer.guard():
            made = make()
            file = f"significance.{name.lower()}"
            self.explorer.say(f"{file} was handed to the browser.")
            return file, mime, made if isinstance(made, bytes) else made.encode()
        return None
