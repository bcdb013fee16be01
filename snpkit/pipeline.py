"""`snpkit.load(...)`: a model with its tokenizer, significance table and frame sampling."""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snpkit.errors import UserError
from snpkit.loading import Loaded, load_checkpoint

if TYPE_CHECKING:
    import torch

    from snpkit.data.dataset import VideoTextDataset
    from snpkit.data.samples import Manifest
    from snpkit.evaluation.search import FolderIndex, Hit
    from snpkit.explore.explanation import Explanation


@dataclass
class Pipeline(Loaded):
    """Everything that is needed to ask a trained model: its checkpoint's parts, on a device."""

    _indices: "dict[tuple[Path, Path | None], FolderIndex]" = field(
        default_factory=dict, repr=False
    )

    def read(self, video: str | Path) -> "torch.Tensor | tuple[torch.Tensor, torch.Tensor]":
        """Read a video as the model was trained to see it: the middle frame of every range.

        Returns:
            uint8 [clips, frames, 3, size, size]. Of a model for whole pictures (`image_fit` of its
            config is "long") these frames are padded, and come as a pair with the mask of the real
            pixels, bool [clips, frames, size, size].
        Raises:
            VideoError: the file cannot be read.
        """
        from snpkit.evaluation.encoding import sampling_of
        from snpkit.video.reader import read_square

        frames, mask = read_square(video, **sampling_of(self.model.config))
        return frames if mask is None else (frames, mask)

    def index(
        self,
        folder: str | Path,
        *,
        refresh: bool = False,
        cache: str | Path | bool = True,
        **options: Any,
    ) -> "FolderIndex":
        """Encode the videos below a folder; kept in memory and on disk for later searches.

        Args:
            refresh: look at the folder again, even if its index is in memory; files that are on
                disk as they were are not encoded again.
            cache: where the index is kept on disk; True = in snpkit's cache folder (see
                `snpkit.files.cache_folder`), False = nowhere.
            guard_seconds: let a video hang so long, or crash its decoder, in a process of its own;
                0 = read in this process.
            progress: show a bar on a terminal.

        Raises:
            UserError: no such folder, or no video in it; VideoError: none can be read.
        """
        from snpkit.evaluation.search import encode_folder
        from snpkit.files import cache_folder

        root, where = Path(folder).resolve(), None
        if cache is not False and cache is not None:
            where = cache_folder() / "search" if cache is True else Path(cache).expanduser()
        if refresh or (root, where) not in self._indices:
            self._indices[root, where] = encode_folder(self.model, root, cache=where, **options)
        return self._indices[root, where]

    def dataset(self, manifest: "Manifest", **options: Any) -> "VideoTextDataset":
        """The rows of a manifest as the model was made to see them, for measuring and encoding.

        Args:
            options: others of `VideoTextDataset`, such as guard_seconds.
        """
        from snpkit.data.dataset import VideoTextDataset
        from snpkit.evaluation.encoding import sampling_of

        seen = sampling_of(self.model.config) | options
        return VideoTextDataset(manifest, training=False, **seen)

    def search(
        self,
        texts: str | Sequence[str],
        folder: str | Path,
        *,
        top_k: int = 5,
        candidates: int = 20,
        cache: str | Path | bool = True,
    ) -> list[list["Hit"]]:
        """The videos below `folder` that answer each sentence best.

        Args:
            texts: one sentence or several.
            candidates: best matches that the cross-modal pass reads again; 0 = no re-ranking. A
                twin tower has no such pass and ranks by matching alone.
            cache: where the index of the folder is kept; see `index`.
        Returns:
            For each sentence at most `top_k` hits, best first.
        Raises:
            UserError: no such folder, no video in it, or a sentence without a word that the model
            knows; `unknown_words` names those that it does not.
        """
        from snpkit.evaluation.search import search

        self._must_be_able("search", "similarity", "match videos")
        texts = [texts] if isinstance(texts, str) else list(texts)
        for text in texts:
            self.unknown_words(text)
        if self.model.config.architecture == "twin_tower":
            candidates = 0
        index = self.index(folder, cache=cache)
        options = {"top_k": top_k, "candidates": candidates}
        return search(self.model, self.tokenizer, texts, index, **options)

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that the model has never met, in their order.

        Those are words that hold an unknown token. With a tokenizer that was trained on the
        model's own captions, and had room for all their words, every word in pieces is new too.

        Raises:
            UserError: none of its words is known; the model's answer would mean nothing.
        """
        from snpkit.language.tokenizer import known_words
        from snpkit.text import is_empty

        text = text.encode("utf-8", "replace").decode()  # no tokenizer takes lone surrogates
        known = known_words(self.tokenizer, text, whole=self._cut_no_word)
        if self.table is not None:  # a word in pieces may have been mined from the captions
            known |= {word: True for word in known if word in self.table}
        if not any(known.values()) and not is_empty(text):
            some = ", ".join(self.table.significant_words[:3]) if self.table else ""
            such = f", such as {some}" if some else ""
            raise UserError(f"The model knows no word of {reprlib.repr(text)}; use its own{such}.")
        return [word for word, there in known.items() if not there]

    @cached_property
    def _cut_no_word(self) -> bool:
        """Whether all words of the training captions are whole words of the tokenizer."""
        from snpkit.files import own_file
        from snpkit.training.recipe import read_recipe

        path = own_file(self.folder, "recipe.json")
        recipe = read_recipe(path) if path else None
        if recipe is None or recipe.task.name != "pretraining":  # other captions may have come
            return False
        own, size = recipe.data.tokenizer == "own", recipe.data.vocabulary_size
        return own and len(self.tokenizer) < size

    def explain(
        self, caption: str, video: "str | Path | torch.Tensor", **options: Any
    ) -> "Explanation":
        """Which words of a caption matter to its match with a video, and where they look.

        Args:
            caption: any text with a word in it.
            video: a file, or uint8 frames [clips, frames, 3, height, width].
            options: see `snpkit.explore.explanation.explain`.
        Raises:
            UserError: no word in the caption; VideoError: the file cannot be read.
        """
        from snpkit.explore.explanation import explain

        self._must_be_able("explain", "similarity", "match videos")
        return explain(self, caption, video, **options)

    def answer(self, question: str, video: "str | Path | torch.Tensor") -> list[tuple[str, float]]:
        """Answer a question about a video.

        Args:
            question: any text with a word in it.
            video: a file, or uint8 frames [clips, frames, 3, height, width].
        Returns:
            Every answer of the label set with its probability, the likeliest first.
        Raises:
            UserError: the model was not trained to answer; VideoError: the file cannot be read.
        """
        from snpkit.evaluation.answering import answer_logits, ranked
        from snpkit.evaluation.encoding import encode_one, evaluating

        self._must_be_able("answer", "answer_head", "answer; make one with `snpkit finetune qa`")
        with evaluating(self.model):
            clips = encode_one(self.model, *self.frames_of(video)).clip_tokens
            logits = answer_logits(self.model, self.tokenizer, [question], clips)
        return ranked(self.model.answers, logits[0])

    def choose(
        self, options: Sequence[str], video: "str | Path | torch.Tensor"
    ) -> list[tuple[str, float]]:
        """Which of several sentences fits a video.

        A pre-trained or retrieval model chooses zero-shot; `config.choice_score` says by what.

        Returns:
            The options with their probabilities, the likeliest first.
        Raises:
            UserError: fewer than two options, an empty one, or a model that cannot match;
            VideoError: the file cannot be read.
        """
        from snpkit.evaluation.answering import ranked
        from snpkit.evaluation.encoding import encode_one, evaluating, to_model
        from snpkit.language.tokenizer import encode_captions
        from snpkit.model.downstream import choice_logits

        self._must_be_able("choose", "similarity", "match videos")
        options = list(options)
        if len(options) < 2:
            raise UserError(f"{len(options)} option leaves nothing to choose; give two or more.")
        batch = encode_captions(self.tokenizer, options, 30)
        texts = (to_model(self.model, ids[None]) for ids in (batch.input_ids, batch.attention_mask))
        with evaluating(self.model):
            seen = encode_one(self.model, *self.frames_of(video))
            scores = self.model.option_scores(*texts, seen.clip_features, seen.clip_tokens)
        return ranked(options, choice_logits(self.model.config, *scores)[0])

    def frames_of(
        self, video: "str | Path | torch.Tensor"
    ) -> "tuple[torch.Tensor, torch.Tensor | None]":
        """Frames and mask of the real pixels (None = all are) of a file, or of frames as they are.

        Raises:
            UserError: frames of another form; VideoError: the file cannot be read.
        """
        import torch

        if not isinstance(video, torch.Tensor):
            seen = self.read(video)
            return seen if isinstance(seen, tuple) else (seen, None)
        formed = video.ndim == 5 and video.dtype == torch.uint8 and video.shape[2] == 3
        if not formed or not video.numel():
            raise UserError(
                "Frames must be uint8 [clips, frames, 3, height, width], not "
                f"{str(video.dtype).removeprefix('torch.')} {list(video.shape)}."
            )
        return video, None

    def _must_be_able(self, verb: str, head: str, what: str) -> None:
        if hasattr(self.model, head) or (
            head == "similarity" and self.model.config.architecture == "twin_tower"
        ):
            return
        kind = type(self.model).__name__
        raise UserError(f"{self.folder} cannot {verb}: its model ({kind}) was not made to {what}.")


def load(name_or_path: str | Path, *, device: str = "auto", **options: Any) -> Pipeline:
    """Load a checkpoint with all that belongs to it.

    Args:
        name_or_path: "laptop" (shipped in data_samples), a checkpoint folder, or a hub id such as
            "owner/name".
        device: "auto", "cpu", "cuda", "mps".
        options: handed to `from_pretrained`, such as `dtype` or `attn_implementation`.
    Raises:
        CheckpointError: there is no such checkpoint, it is damaged, or it is of another model.
    """
    from snpkit.training.device import choose_device, prepare_cpu

    prepare_cpu(products=False)  # the float32 setting of a program that only loads stays its own
    found = load_checkpoint(name_or_path, **options)
    found.model.to(choose_device(device))
    return Pipeline(**vars(found))
