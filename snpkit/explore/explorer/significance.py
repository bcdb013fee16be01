"""SignificanceExplorer: which words of a caption matter, in four ways, and where they look."""

import csv
import io
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from snpkit.errors import UserError
from snpkit.evaluation.encoding import evaluating, to_model
from snpkit.explore.explanation import Explanation, read_caption
from snpkit.explore.explorer import clips
from snpkit.explore.explorer.base import Explorer, State, View, whole
from snpkit.explore.explorer.masks import draw_masks, table_at
from snpkit.explore.explorer.view import explanation_view
from snpkit.explore.fill_in import FillIn, fill_in
from snpkit.explore.significance import agreement, corpus_significance
from snpkit.files import write_text

if TYPE_CHECKING:
    from snpkit.explore.protocols import TrainedModel
    from snpkit.language.significance import SignificanceTable

CAPTION = "a red fish is shaking over the meadow"  # of a shipped, held-out clip
_STRANGERS = ("zebra", "zeppelin", "quasar")  # one of them no model of ours knows


class SignificanceExplorer(Explorer):
    """See which words of a caption matter, to the corpus, to the caption and to a clip.

        explorer = SignificanceExplorer(caption="a red kite falls over the beach")
        explorer.word = 2

    Attributes:
        caption: any text with a word in it.
        clip: name of a shipped clip, a path, or uint8 frames [clips, frames, 3, height, width].
        backwards: whether the clip is shown to the model with its time reversed.
        word: place of the selected word; None = the one that counts most.
        top_k: number of significant words, for corpus significance and MSSM.
        mask_ratio: share of the tokens that are masked, 0.05 to 0.95.
        seed: of the drawing of masks.
    """

    title = "Which words matter"

    caption = State(lambda self, value: self._check_caption(value))
    clip = State(lambda self, value: self._check_clip(value))
    backwards = State(lambda self, value: bool(value))
    word = State(lambda self, value: None if value is None else whole(value, "word", 0, 10_000))
    top_k = State(lambda self, value: whole(value, "top K", 1, self.largest_k))
    mask_ratio = State(lambda self, value: self._check_ratio(value))
    seed = State(lambda self, value: whole(value, "seed", 0, 2**32 - 1))

    def __init__(
        self,
        pipeline: "TrainedModel | None" = None,
        caption: str | None = None,
        video: "str | Path | Tensor | None" = None,
        *,
        table: "SignificanceTable | None" = None,
        **first: Any,
    ) -> None:
        """Explain a caption and a clip.

        Args:
            pipeline: what `snpkit.load` gave; None = the shipped model.
            caption: None = the clip's own.
            video: see `clip`; None = the shipped clip that fits the caption best.
            table: whose corpus significance and masks; None = the pipeline's.
            first: first values of other attributes.

        Raises:
            UserError: no word in the caption, no such clip, or a value that makes no sense;
            VideoError: the clip cannot be read.
        """
        super().__init__()
        self.pipeline = clips.shipped_model() if pipeline is None else pipeline
        self.table = self.pipeline.table if table is None else table
        self.largest_k = max(len(self.table), self.table.top_k) if self.table else 1
        # Bounded: an afternoon of typing must not fill the memory.
        self._explained = lru_cache(maxsize=16)(self._explain)
        self._scores = lru_cache(maxsize=16)(self._score_shipped)
        if video is None:
            video = clips.likeliest_clip(CAPTION if caption is None else caption)
        if caption is None:
            caption = next(iter(clips.captions_of(video)), CAPTION)
        top_k = self.table.top_k if self.table else 1
        start = {"caption": caption, "clip": video, "backwards": False, "word": None}
        self.change(**start | {"top_k": max(top_k, 1), "mask_ratio": 0.15, "seed": 0} | first)

    # What code asks.

    @property
    def explanation(self) -> Explanation:
        """The explanation of the present state; corpus significance counts with `top_k`."""
        found, _ = self._explained(self.caption, self._source(), self.backwards)
        batch, _, _ = read_caption(self.pipeline.tokenizer, self.caption)
        corpus = corpus_significance(batch.words[0], table_at(self.table, self.top_k))
        kinds = [corpus, *found.kinds[1:]]
        return replace(found, kinds=kinds, agreement=agreement(kinds))

    @property
    def words(self) -> list[str]:
        """The words that the model reads, as they were written."""
        return self.explanation.words

    @property
    def masks(self) -> dict[str, list[str | None]]:
        """What MLM and MSSM hide; see `draw_masks`."""
        table = table_at(self.table, self.top_k)
        options = {"ratio": self.mask_ratio, "seed": self.seed}
        return draw_masks(self.pipeline.tokenizer, table, self.caption, **options)

    def with_word(self, place: int, text: str) -> str:
        """The caption with `text` in the place of a word."""
        start, end = self.explanation.spans[place]
        return self.caption[:start] + text + self.caption[end:]

    def draw_mask(self) -> None:
        """Draw other masks: the next seed."""
        self.seed = self.seed + 1

    def to_csv(self) -> str:
        """The words and their numbers as CSV."""
        found = self.explanation
        buffer = io.StringIO()
        rows = found.rows()
        masks = self.masks
        writer = csv.DictWriter(buffer, [*rows[0], *masks], lineterminator="\n")
        writer.writeheader()
        for place, row in enumerate(rows):
            drawn = {name: line[place] or "" for name, line in masks.items()}
            # A spreadsheet would take these for the beginning of a formula.
            word = "'" + row["word"] if row["word"][0] in "=+-@" else row["word"]
            writer.writerow(row | drawn | {"word": word})
        return buffer.getvalue()

    def export(self, path: str | Path) -> None:
        """Write a .csv file of the numbers, or an .html page that plays on, atomically.

        Raises:
            UserError: another ending, or the file cannot be written.
        """
        ending = Path(path).suffix.lower()
        if ending not in (".csv", ".html"):
            raise UserError(f"{path} ends in {ending!r}; use .csv or .html.")
        write_text(path, self.to_csv() if ending == ".csv" else self.to_html())

    def to_html(self, *, saved: bool = False) -> str:
        """The state as one self-contained HTML document, with all numbers as tables."""
        from snpkit.explore.explorer.page import numbers, view_page

        title, view = f"{self.title}: {self.caption[:80]}", self.view | {"saved": saved}
        return view_page(title, view, () if saved else numbers(self.explanation))

    def summary(self) -> str:
        """The words with their significance, one line each."""
        found = self.explanation
        names = [kind.name for kind in found.kinds]
        lines = [f"SignificanceExplorer: “{self.caption}” and {clips.clip_name(self.clip)}"]
        lines += [
            f"  {word}" + "".join(f"  {name} {found.values(name)[place]:.2f}" for name in names)
            for place, word in enumerate(found.words)
        ]
        return "\n".join([*lines, f"{found.score_name}: {found.score:.2f}"])

    # The state and its view.

    def settle(self, names: set[str]) -> None:
        """A clip brings its own caption along where the old clip's own one stood."""
        own = clips.captions_of(self.state["clip"])
        shipped = {said for each in clips.sample_captions().values() for said in each}
        if "clip" in names and "caption" not in names and own and self.caption in shipped:
            self.state["caption"] = own[0]
            names |= {"caption"}
        word = self.state["word"]
        if "word" in names and word is not None and word >= len(self.words):
            raise UserError(f"There is no word {word}; the words are 0 to {len(self.words) - 1}.")
        if "caption" in names and "word" not in names:
            self.state["word"] = None

    def draw(self) -> View:
        """The stage, its controls, the masks, the score line and what to try."""
        found = self.explanation
        video = clips.clip_name(self.clip)
        _, guesses = self._explained(self.caption, self._source(), self.backwards)
        options = {"video": video, "word": self.word, "guesses": guesses}
        view = explanation_view(self.pipeline, found, **options)
        fields = clips.fields(self.caption, self.clip)
        masking = [
            {"name": "top_k", "label": "Significant words (top K)", "kind": "number",
             "value": self.top_k, "min": 1, "max": self.largest_k, "step": 1},
            {"name": "mask_ratio", "label": "Mask ratio", "kind": "number",
             "value": self.mask_ratio, "min": 0.05, "max": 0.95, "step": 0.05},
            {"name": "seed", "label": "Draw other masks", "kind": "button", "value": self.seed + 1},
        ]  # fmt: skip
        known = {"name": "significance", "fields": fields, "masking": masking, "masks": self.masks}
        return view | known | {"line": self._line(), "chips": self._chips(found)}

    def _line(self) -> list[dict[str, Any]]:
        """The score of the caption with every shipped clip."""
        own = str(self.clip)
        return [
            {"name": name, "score": score, "own": name == own}
            for name, score in self._scores(self.caption)
        ]

    def _score_shipped(self, caption: str) -> list[tuple[str, float]]:
        index, model = clips.sample_index(self.pipeline), self.pipeline.model
        batch, _, _ = read_caption(self.pipeline.tokenizer, caption)
        ids, mask = to_model(model, batch.input_ids), to_model(model, batch.attention_mask)
        with evaluating(model), torch.no_grad():
            if model.config.architecture == "twin_tower":
                pooled = model.encode_text(ids, mask).pooled
                scores = model.match(pooled, to_model(model, index.videos.clip_features))[0]
            else:
                tokens = to_model(model, index.videos.clip_tokens)
                many = (len(tokens), -1)
                scores = model.cross_match(ids.expand(many), mask.expand(many), tokens)
        return list(zip(index.names, scores.float().tolist(), strict=True))

    def _chips(self, found: Explanation) -> list[dict[str, Any]]:
        """Changes that teach: a swapped word of each kind, time reversed, an unknown word."""
        chips = []
        for part, label in (("VERB", "Swap the verb"), ("ADJ", "Swap the colour")):
            place = next((i for i, own in enumerate(found.parts) if own == part), None)
            other = None if place is None else self._other(found, place, part)
            if other is not None:
                what = f"{label}: {found.words[place]} → {other}"
                chips.append({"label": what, "set": {"caption": self.with_word(place, other)}})
        back = "Play the clip forwards" if self.backwards else "Play the clip backwards"
        chips.append({"label": back, "set": {"backwards": not self.backwards}})
        noun = next((i for i, own in enumerate(found.parts) if own == "NOUN"), None)
        vocabulary = self.pipeline.tokenizer.get_vocab()
        stranger = next((word for word in _STRANGERS if word not in vocabulary), None)
        if noun is not None and stranger:
            caption = self.with_word(noun, stranger)
            chips.append({"label": f"An unknown word: {stranger}", "set": {"caption": caption}})
        return chips

    def _other(self, found: Explanation, place: int, part: str) -> str | None:
        """The likeliest guess for a word that is of the same part of speech."""
        alike = (g for g in found.guesses[place] if next(iter(self.table.parts_of(g)), "") == part)
        return next(alike, None)

    def _source(self) -> "Path | Tensor":
        return clips.source_of(self.clip)

    def _explain(
        self, caption: str, source: "Path | Tensor", backwards: bool
    ) -> tuple[Explanation, list[FillIn]]:
        """What no choice of K, masks or word changes."""
        if backwards:
            frames, _ = self.pipeline.frames_of(source)
            source = frames.flatten(0, 1).flip(0).unflatten(0, frames.shape[:2])
        found = self.pipeline.explain(caption, source)
        return found, fill_in(self.pipeline, found.caption, found.frames)

    def _check_caption(self, value: Any) -> str:
        return clips.caption_of(value, self.pipeline.tokenizer)

    def _check_clip(self, value: Any) -> Any:
        clip = clips.named_clip(value, clips.likeliest_clip(self.state.get("caption", CAPTION)))
        self.pipeline.frames_of(clips.source_of(clip))
        return clip

    def _check_ratio(self, value: Any) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0.05 <= value <= 0.95:
            raise UserError(f"The mask ratio must be a number from 0.05 to 0.95, not {value!r}.")
        return float(value)
