"""RetrievalExplorer: a sentence against a folder of clips."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import ipywidgets
import torch
from torch import Tensor

import snpkit
from snpkit.data.samples import samples_folder
from snpkit.errors import UserError, VideoError
from snpkit.evaluation.encoding import EncodedVideos
from snpkit.evaluation.search import FolderIndex, Hit, search
from snpkit.explore.explanation import read_caption
from snpkit.explore.page import Html
from snpkit.explore.protocols import TrainedModel
from snpkit.explore.reasons import MATCHING_WEIGHT, Reasons, reasons
from snpkit.explore.widgets import retrieval_view
from snpkit.explore.widgets.base import Explorer, State, link
from snpkit.explore.widgets.controls import Note, Slider, TextInput, Toggle
from snpkit.explore.widgets.retrieval_view import Result
from snpkit.explore.widgets.sample_clips import caption_of, captions_of, whole
from snpkit.video.reader import read_clips
from snpkit.video.suffixes import is_image_name

_SHIPPED = ("generated", "real")  # folders of the sample clips
_FRAMES, _SIZE = 4, 112  # of a film strip
_MOST, _MOST_CANDIDATES = 20, 100
_LEAD = (
    "Matching compares one vector of the sentence with one of each clip, so it is fast. Re-ranking "
    "lets the cross-modal pass read the sentence together with each of the best clips. What a word "
    "adds is what the score loses when other words take its place."
)


class RetrievalExplorer(Explorer):
    """Search a folder of clips with a sentence, and see why each clip was found.

        explorer = RetrievalExplorer(sentence="a red fish is shaking over the meadow")
        explorer.reranking = False
        explorer.found[0].name, explorer.found[0].reasons.raising()

    Attributes:
        sentence: any text with a word in it.
        folder: the clips' folder; "" = the shipped sample clips.
        results: clips to show, 1 to 20.
        reranking: order the best `candidates` anew by cross-modal + matching score.
        candidates: clips that re-ranking reads again, 1 to 100.
        explained: of the clips shown, how many of the first are explained word by word, 0 to 20.
    """

    sentence = State("", lambda self, value: self._check_sentence(value))
    folder = State("", lambda self, value: self._check_folder(value))
    results = State(6, lambda self, value: whole(value, _MOST, "number of results", 1))
    reranking = State(True, lambda self, value: self._check_reranking(value))
    candidates = State(
        20, lambda self, value: whole(value, _MOST_CANDIDATES, "number of candidates", 1)
    )
    explained = State(
        3, lambda self, value: whole(value, _MOST + 1, "number of explained clips", 0)
    )

    def __init__(
        self,
        pipeline: TrainedModel | None = None,
        folder: str | Path | None = None,
        sentence: str | None = None,
        **options: Any,
    ) -> None:
        """Read the folder's clips, once for all searches, and search.

        Args:
            pipeline: what `snpkit.load` gave; None = the shipped laptop checkpoint.
            folder: None = the shipped sample clips.
            sentence: None = one that fits a sample clip.

        Raises:
            UserError: no word in the sentence, no such folder, or no video in it; VideoError: none
                of its videos can be read.
        """
        super().__init__(**options)
        self.pipeline = snpkit.load("laptop") if pipeline is None else pipeline
        # Bounded: an afternoon of searches must not fill the memory.
        self._look = lru_cache(maxsize=256)(_look)
        self._why = lru_cache(maxsize=64)(self._ask_why)
        self.folder = "" if folder is None else folder
        self.sentence = "a pink tree is swaying over the desert" if sentence is None else sentence
        self.reranking = self._can_rerank
        self.found: list[Result] = []
        self._build()
        self.redraw(set())

    @property
    def index(self) -> FolderIndex:
        """The clips as vectors, and the files that could not be read."""
        if self.folder:
            return self.pipeline.index(self.folder)
        root = samples_folder()
        return _joined(root, [self.pipeline.index(root / part) for part in _SHIPPED])

    def reread(self) -> None:
        """Read the folder's clips again, after some were added or taken away."""
        with self.guard():
            root = samples_folder()
            for part in [self.folder] if self.folder else [root / part for part in _SHIPPED]:
                self.pipeline.index(part, refresh=True)
            self._look.cache_clear()
            self._why.cache_clear()
            self.redraw(set())

    def picture(self) -> Html:
        """The best clips as one picture, and all that are shown as a table."""
        return retrieval_view.picture(
            self.sentence, self.found, reranked=self.reranking, note=self._note()
        )

    def summary(self) -> str:
        """The clips in their order, with scores and the words that raise them."""
        return retrieval_view.summary(
            self.sentence, self.found, reranked=self.reranking, note=self._note()
        )

    def redraw(self, names: set[str]) -> None:
        """Search, and show what was found."""
        index = self.index
        self.found = self._results(index)
        self._candidates.disabled = not self.reranking
        self._count.label = self._note()
        self._hits.value = retrieval_view.found(self.found, reranked=self.reranking)
        _, _, left_out = read_caption(self.pipeline.tokenizer, self.sentence)
        if left_out:
            words = ", ".join(left_out)
            self.say(f"The model reads 30 tokens; these words come after them: {words}.")

    def _results(self, index: FolderIndex) -> list[Result]:
        matching = self._search(index, len(index.names), 0)
        before = {hit.path: place for place, hit in enumerate(matching, start=1)}
        hits = matching[: self.results]
        if self.reranking:
            hits = self._search(index, self.results, self.candidates)
        names = [hit.path.relative_to(index.root).as_posix() for hit in hits]
        why = self._why(self.sentence, str(self.folder), self.reranking,
                        tuple(names[: self.explained]))  # fmt: skip
        return [
            self._result(place, name, hit, before[hit.path], why.get(name))
            for place, (name, hit) in enumerate(zip(names, hits, strict=True), start=1)
        ]

    def _search(self, index: FolderIndex, top_k: int, candidates: int) -> list[Hit]:
        options = {"candidates": candidates, "matching_weight": MATCHING_WEIGHT}
        model, tokenizer = self.pipeline.model, self.pipeline.tokenizer
        return search(model, tokenizer, [self.sentence], index, top_k=top_k, **options)[0]

    def _ask_why(
        self, sentence: str, _: str, reranked: bool, names: Sequence[str]
    ) -> dict[str, Reasons]:
        index = self.index
        columns = [index.names.index(name) for name in names]
        given = reasons(self.pipeline, sentence, index, columns, reranked=reranked)
        return dict(zip(names, given, strict=True))

    def _result(self, place: int, name: str, hit: Hit, before: int, why: Reasons | None) -> Result:
        captions = [] if self.folder else captions_of(name)
        asked = " ".join(self.sentence.lower().split())
        true = asked in (caption.lower() for caption in captions)
        frames = self._look(hit.path)
        return Result(place, name, hit.path, hit.score, hit.matching, before, captions, true,
                      frames, why)  # fmt: skip

    def _note(self) -> str:
        """What was searched, and what could not be."""
        index = self.index
        where = f"in {index.root}" if self.folder else "shipped with snpkit"
        note = f"{len(index.names)} clips {where}."
        if index.unreadable:
            reasons = "; ".join(index.unreadable.values())
            note += f" {len(index.unreadable)} could not be read: {reasons}"
        return note

    # Checks: a UserError is told in the status line, and the old value stays.

    def _check_sentence(self, value: Any) -> str:
        sentence = caption_of(value, "sentence")
        read_caption(self.pipeline.tokenizer, sentence)
        return sentence

    def _check_folder(self, value: Any) -> str:
        if not isinstance(value, str | Path):
            raise UserError(f"The folder must be a path, not {type(value).__name__}.")
        folder = str(value).strip()
        if not folder:
            return ""
        try:
            folder = str(Path(folder).expanduser())
            self.say(f"Reading the clips in {folder} …")
            self.pipeline.index(folder)
        except UserError:
            raise
        except (OSError, ValueError, RuntimeError) as error:  # no path at all; nobody's home
            raise UserError(f"The folder {folder!r} cannot be read; name another.") from error
        return folder

    @property
    def _can_rerank(self) -> bool:
        return self.pipeline.model.config.architecture != "twin_tower"

    def _check_reranking(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise UserError(f"Re-ranking must be True or False, not {value!r}.")
        return value and self._can_rerank

    # Controls.

    def _build(self) -> None:
        self._text = TextInput(label="Sentence")
        self._where = TextInput(
            label="Folder of clips", live=False, placeholder="the shipped sample clips"
        )
        self._results_shown = Slider(label="Results", minimum=1, maximum=_MOST)
        again = "" if self._can_rerank else "A twin tower has no cross-modal pass to re-rank with."
        self._again = Toggle(label="Re-ranking", hint=again, disabled=not self._can_rerank)
        self._candidates = Slider(
            label="Candidates read again", minimum=1, maximum=_MOST_CANDIDATES
        )
        self._explained = Slider(label="Clips explained", maximum=_MOST)
        link(self._text, self, "sentence")
        link(self._where, self, "folder")
        link(self._again, self, "reranking")
        for control, name in ((self._results_shown, "results"), (self._candidates, "candidates"),
                              (self._explained, "explained")):  # fmt: skip
            link(control, self, name, convert=int)
        self._text.add_class("snpkit-wide")
        row = ipywidgets.Box([self._text, self._where])
        more = ipywidgets.Box([self._again, self._candidates, self._results_shown, self._explained])
        for box in (row, more):
            box.add_class("snpkit-row")
        self._count = Note(kind="quiet", live=True)
        self._hits = ipywidgets.HTML()
        self._hits.add_class("snpkit-view")
        self.add_class("snpkit-retrieval")
        title = Note(kind="title", label="Find clips with a sentence")
        self.show(title, Note(label=_LEAD), row, more, self._count, self._hits)


def _joined(root: Path, parts: Sequence[FolderIndex]) -> FolderIndex:
    """Several folders below `root` as one index."""
    places = [(part, part.root.relative_to(root.resolve()).as_posix()) for part in parts]
    return FolderIndex(
        root.resolve(),
        [f"{place}/{name}" for part, place in places for name in part.names],
        EncodedVideos(
            torch.cat([part.videos.clip_features for part in parts]),
            torch.cat([part.videos.clip_tokens for part in parts]),
        ),
        {f"{place}/{name}": why for part, place in places for name, why in part.unreadable.items()},
    )


def _look(path: Path) -> Tensor | None:
    """A few frames of a clip: uint8 [frames, 3, height, width]; None = it cannot be read."""
    count = 1 if is_image_name(path) else _FRAMES
    try:
        return read_clips(path, count, 1, size=_SIZE).flatten(0, 1)
    except VideoError:
        return None
