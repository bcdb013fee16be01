"""RetrievalExplorer: a sentence against a folder of clips."""

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snpkit.errors import UserError
from snpkit.evaluation.search import FolderIndex, Hit, search
from snpkit.explore.explanation import read_caption
from snpkit.explore.explorer import clips
from snpkit.explore.explorer.base import Explorer, State, View, whole
from snpkit.explore.explorer.view import explanation_view, look, word_gains
from snpkit.explore.plots.style import clean
from snpkit.explore.reasons import MATCHING_WEIGHT, Reasons, reasons

if TYPE_CHECKING:
    from snpkit.explore.protocols import TrainedModel

_MOST, _MOST_CANDIDATES = 20, 100


@dataclass(frozen=True)
class Result:
    """A clip that was found.

    Attributes:
        place: 1 = best; matching_place: its place by matching alone.
        score: the one that orders the results; matching: the matching score.
        captions: what was written for a shipped clip; is_true: the sentence is one of these.
        reasons: what each word adds to the score; None where it was not asked.
    """

    name: str
    path: Path
    place: int
    matching_place: int
    score: float
    matching: float
    captions: list[str]
    is_true: bool
    reasons: Reasons | None


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
        opened: the clip that is open on the stage, by its name; "" = none.
    """

    title = "Clips for a sentence"

    sentence = State(lambda self, value: self._check_sentence(value))
    folder = State(lambda self, value: self._check_folder(value))
    results = State(lambda self, value: whole(value, "number of results", 1, _MOST))
    reranking = State(lambda self, value: self._check_reranking(value))
    candidates = State(
        lambda self, value: whole(value, "number of candidates", 1, _MOST_CANDIDATES)
    )
    explained = State(lambda self, value: whole(value, "number of explained clips", 0, _MOST))
    opened = State(lambda self, value: str(value))

    def __init__(
        self,
        pipeline: "TrainedModel | None" = None,
        folder: str | Path | None = None,
        sentence: str | None = None,
        **first: Any,
    ) -> None:
        """Read the folder's clips, once for all searches, and search.

        Args:
            pipeline: what `snpkit.load` gave; None = the shipped model.
            folder: None = the shipped sample clips.
            sentence: None = one that fits a sample clip.
            first: first values of other attributes.

        Raises:
            UserError: no word that the model knows in the sentence, no such folder, or no video in
                it; VideoError: none of its videos can be read.
        """
        super().__init__()
        self.pipeline = clips.shipped_model() if pipeline is None else pipeline
        # Bounded: an afternoon of searches must not fill the memory.
        self._look = lru_cache(maxsize=256)(look)
        self._shipped = lru_cache(maxsize=1)(partial(clips.sample_index, self.pipeline))
        self._why = lru_cache(maxsize=64)(self._ask_why)
        sentence = "a pink tree is swaying over the desert" if sentence is None else sentence
        start = {"results": 6, "reranking": self._can_rerank, "candidates": 20, "explained": 3,
                 "opened": ""}  # fmt: skip
        self.change(folder=folder or "", sentence=sentence, **start | first)

    @property
    def index(self) -> FolderIndex:
        """The clips as vectors, and the files that could not be read."""
        if self.folder:
            return self.pipeline.index(self.folder)
        return self._shipped()

    @property
    def found(self) -> list[Result]:
        """The clips in the present order, best first."""
        return self._results(self.reranking)

    def reread(self) -> None:
        """Read the folder's clips again, after some were added or taken away."""
        if self.folder:
            self.pipeline.index(self.folder, refresh=True)
        self._look.cache_clear()
        self._why.cache_clear()
        self.change(opened="")

    def summary(self) -> str:
        """The clips in their order, with scores and the words that raise them."""
        how = "re-ranked by the cross-modal pass" if self.reranking else "by matching"
        lines = [f"Search for “{self.sentence}”, {how}"]
        for result in self.found:
            raising = result.reasons.raising() if result.reasons else []
            why = ", ".join(f"{word} {gain:+.1f}" for word, gain in raising)
            why = f"  because of {why}" if why else ""
            lines.append(f"  {result.place}. {result.name}  {result.score:.2f}{why}")
        return "\n".join([*lines, f"  {self._searched()}"])

    def settle(self, names: set[str]) -> None:
        """Another search closes what is open."""
        if names & {"sentence", "folder"} and "opened" not in names:
            self.state["opened"] = ""
        if self.state["opened"] and self.state["opened"] not in self.index.names:
            raise UserError(f"There is no clip {self.state['opened']!r} in this folder.")

    def draw(self) -> View:
        """The cards of both orders, and the clip that is open."""
        orders = {"matching": self._results(False)}
        if self._can_rerank:
            orders["reranked"] = self._results(True)
        hits: dict[str, dict[str, Any]] = {}
        for order, results in orders.items():
            explained = [result for result in results if result.reasons]
            gains = word_gains([result.reasons for result in explained])
            words = {result.name: own for result, own in zip(explained, gains, strict=True)}
            for result in results:
                hit = hits.setdefault(result.name, self._card(result))
                hit[order] = {"place": result.place, "score": result.score}
                if order == "reranked":
                    hit["matching"] = {"place": result.matching_place, "score": result.matching}
                if result.name in words:
                    hit["words"] = words[result.name]
        view = {
            "name": "retrieval",
            "fields": self._fields(),
            "hits": list(hits.values()),
            "results": self.results,
            "reranked": self.reranking,
            "can_rerank": self._can_rerank,
            "told": self._searched(),
        }
        if self.opened:
            path = self.index.root / self.opened
            found = self.pipeline.explain(self.sentence, path)
            view["opened"] = explanation_view(self.pipeline, found, video=self.opened)
        return view

    def _fields(self) -> list[dict[str, Any]]:
        def number(name: str, label: str, least: int, most: int) -> dict[str, Any]:
            value = getattr(self, name)
            return {"name": name, "label": label, "kind": "number", "value": value, "min": least,
                    "max": most, "step": 1}  # fmt: skip

        return [
            {"name": "sentence", "label": "Sentence", "kind": "text", "value": self.sentence},
            {"name": "folder", "label": "Folder of clips (empty: the shipped ones)", "kind": "text",
             "value": str(self.folder), "sets": "folder"},
            number("results", "Results", 1, _MOST),
            number("candidates", "Candidates read again", 1, _MOST_CANDIDATES),
            number("explained", "Clips explained", 0, _MOST),
        ]  # fmt: skip

    def _card(self, result: Result) -> dict[str, Any]:
        return {
            "name": clean(result.name),
            "frames": self._look(result.path),
            "true": result.is_true,
        }

    def _results(self, reranked: bool) -> list[Result]:
        index = self.index
        matching = self._search(index, len(index.names), 0)
        before = {hit.path: place for place, hit in enumerate(matching, start=1)}
        hits = self._search(index, self.results, self.candidates) if reranked else matching
        hits = hits[: self.results]
        names = [hit.path.relative_to(index.root).as_posix() for hit in hits]
        # Of the order that is not shown, nobody asks why.
        asked = tuple(names[: self.explained]) if reranked == self.reranking else ()
        why = self._why(self.sentence, str(self.folder), reranked, asked)
        own = " ".join(self.sentence.lower().split())
        found = []
        for place, (name, hit) in enumerate(zip(names, hits, strict=True), start=1):
            captions = [] if self.folder else clips.captions_of(name)
            true = own in (caption.lower() for caption in captions)
            found.append(
                Result(name, hit.path, place, before[hit.path], hit.score, hit.matching, captions,
                       true, why.get(name))
            )  # fmt: skip
        return found

    def _search(self, index: FolderIndex, top_k: int, candidates: int) -> list[Hit]:
        options = {"candidates": candidates, "matching_weight": MATCHING_WEIGHT}
        model, tokenizer = self.pipeline.model, self.pipeline.tokenizer
        return search(model, tokenizer, [self.sentence], index, top_k=top_k, **options)[0]

    def _ask_why(
        self, sentence: str, _: str, reranked: bool, names: tuple[str, ...]
    ) -> dict[str, Reasons]:
        index = self.index
        columns = [index.names.index(name) for name in names]
        given = reasons(self.pipeline, sentence, index, columns, reranked=reranked)
        return dict(zip(names, given, strict=True))

    def _searched(self) -> str:
        """What was searched, what could not be, and words that the model does not know."""
        index = self.index
        where = f"in {index.root}" if self.folder else "shipped with snpkit"
        said = f"{len(index.names)} clips {where}."
        if index.unreadable:
            reasons_ = "; ".join(index.unreadable.values())
            said += f" {len(index.unreadable)} could not be read: {reasons_}"
        if unknown := self.pipeline.unknown_words(self.sentence):
            said += f" The model has never seen these words: {', '.join(unknown)}."
        _, _, left_out = read_caption(self.pipeline.tokenizer, self.sentence)
        if left_out:
            said += f" It does not read the words after its 30th token: {', '.join(left_out)}."
        return clean(said)

    @property
    def _can_rerank(self) -> bool:
        return self.pipeline.model.config.architecture != "twin_tower"

    def _check_sentence(self, value: Any) -> str:
        sentence = clips.caption_of(value, self.pipeline.tokenizer, "sentence")
        self.pipeline.unknown_words(sentence)  # an error where it knows none
        return sentence

    def _check_folder(self, value: Any) -> str:
        if not isinstance(value, str | Path):
            raise UserError(f"The folder must be a path, not {type(value).__name__}.")
        folder = str(value).strip()
        if not folder:
            return ""
        try:
            folder = str(Path(folder).expanduser())
            self.pipeline.index(folder)
        except UserError:
            raise
        except (OSError, ValueError, RuntimeError) as error:  # no path at all; no such home folder
            raise UserError(f"The folder {folder!r} cannot be read; name another.") from error
        return folder

    def _check_reranking(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise UserError(f"Re-ranking must be True or False, not {value!r}.")
        return value and self._can_rerank
