"""What a plan's steps are measured on: real clips, or made-up ones of the recipe's exact shapes."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import Manifest, VideoText, sample_manifest
from snpkit.data.shards_packing import pack_clip
from snpkit.data.synthetic.plan import CorpusSettings, plan_corpus
from snpkit.data.unreadable import UnreadableReport
from snpkit.errors import UserError, VideoError
from snpkit.language.tokenizer import load_tokenizer, train_tokenizer
from snpkit.training.schema import Recipe
from snpkit.training.setup import make_dataset
from snpkit.video.reader import probe, read_clips

_BERT_VOCABULARY = 30_522  # bert-base-uncased
_PROBED = 64  # clips whose frames are counted for the size of the frame cache
_TRIED = 12  # clips that are packed, and decoded
_SIZED = 5000  # clips whose files are measured


class MadeUpClips(VideoTextDataset):
    """Noise for frames and captions of the generated corpus: nothing is read or decoded."""

    def __init__(self, recipe: Recipe, size: int) -> None:
        """So many samples in the recipe's shapes."""
        data = recipe.data
        plans = plan_corpus(CorpusSettings(train=size, validation=0, test=0))
        rows = [VideoText(plan.name, plan.video, plan.caption.text, "train") for plan in plans]
        self.manifest, self.cache, self.guarded = Manifest(Path(), rows), None, False
        generator = torch.Generator().manual_seed(recipe.seed)
        shape = (data.clips, data.frames, 3, data.size, data.size)
        self.shown: dict[str, Tensor] = {
            "frames": torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        }
        if data.fit == "long":
            self.shown["pixel_mask"] = torch.ones(shape[:2] + shape[3:], dtype=torch.bool)
        self._report, self._max_unreadable = UnreadableReport(len(rows)), 0.0

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        index = key[1] if isinstance(key, tuple) else key
        caption = self.manifest.rows[index].caption
        return self.shown | {"caption": caption, "index": index, "unreadable": {}}


def measured_dataset(recipe: Recipe, manifest: Manifest | None, size: int) -> VideoTextDataset:
    """The clips to measure on: `size` of the manifest's training rows, or made-up ones."""
    if manifest is None:
        return MadeUpClips(recipe, size)
    names = {row.split for row in manifest.rows}
    rows = manifest.split("train").rows if "train" in names else manifest.rows
    some = rows[:: max(1, len(rows) // size)][:size]
    return make_dataset(recipe, Manifest(manifest.root, some), training=True, progress=False)


def measured_tokenizer(recipe: Recipe, captions: list[str]) -> tuple[Any, int]:
    """A tokenizer and the vocabulary size of the model.

    A hub's tokenizer that is not on this machine is replaced by a small one trained here, with
    BERT's vocabulary size for the model: captions come out somewhat longer, the model as large.
    """
    if recipe.data.tokenizer == "own":
        tokenizer = train_tokenizer(captions, recipe.data.vocabulary_size)
        return tokenizer, len(tokenizer)
    try:
        tokenizer = load_tokenizer(recipe.data.tokenizer)
        return tokenizer, len(tokenizer)
    except UserError:
        if "/" in recipe.data.tokenizer or Path(recipe.data.tokenizer).exists():
            raise
        return train_tokenizer(captions, 2000), _BERT_VOCABULARY


@dataclass(frozen=True)
class ClipFacts:
    """What the clips of a manifest take up, measured.

    Attributes:
        source: which clips were measured, in words.
        file_bytes: of a clip's file, on average.
        frames: of a clip, on average; None if none of them could be read.
        clips_per_pair: a clip with twenty captions is one file and twenty pairs.
        shard_bytes: of a clip in a shard at the training size, on average; None = none was packed.
        decode_seconds: that a core works for one sample's frames; None = no clips were given.
    """

    source: str
    file_bytes: float
    frames: float | None
    clips_per_pair: float
    shard_bytes: float | None = None
    decode_seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def measure_clips(manifest: Manifest | None, recipe: Recipe | None = None) -> ClipFacts:
    """Sizes of the clips' files and their number of frames; of the shipped samples by default.

    Args:
        recipe: also measure what its training size makes of them: in shards, and decoded.

    Raises:
        UserError: not one of the files is there.
    """
    chosen = sample_manifest() if manifest is None else manifest
    clips = list({row.video: row for row in chosen.rows}.values())
    some = clips[:: max(1, len(clips) // _SIZED)][:_SIZED]
    paths = [path for path in map(chosen.path_of, some) if path.is_file()]
    if not paths:
        raise UserError(f"None of the manifest's clips is to be found in {chosen.root}.")
    frames = []
    for path in paths[:: max(1, len(paths) // _PROBED)][:_PROBED]:
        try:
            frames.append(probe(path).frames)
        except VideoError:
            continue  # the training run will name it
    name = "shipped sample" if manifest is None else "manifest's"
    return ClipFacts(
        source=f"{len(paths):,} {name} clips",
        file_bytes=sum(path.stat().st_size for path in paths) / len(paths),
        frames=sum(frames) / len(frames) if frames else None,
        # The samples have a few captions each; of data that we do not know we assume one.
        clips_per_pair=1.0 if manifest is None else len(clips) / len(chosen.rows),
        shard_bytes=None if recipe is None else _packed_bytes(paths, recipe.data.size),
        # How long the small samples take says nothing of other clips.
        decode_seconds=None if None in (manifest, recipe) else _decode_seconds(paths, recipe),
    )


def _some(paths: list[Path], seconds: float) -> Iterator[Path]:
    """A few of the paths, as long as there is time."""
    deadline = time.monotonic() + seconds
    for path in paths[:: max(1, len(paths) // _TRIED)][:_TRIED]:
        yield path
        if time.monotonic() > deadline:
            return


def _packed_bytes(paths: list[Path], size: int) -> float | None:
    sizes = []
    for path in _some(paths, 10.0):
        with suppress(VideoError):
            sizes.append(len(pack_clip(path, size=size + size % 2)))
    return sum(sizes) / len(sizes) if sizes else None


def _decode_seconds(paths: list[Path], recipe: Recipe) -> float | None:
    """Seconds of a core, not of the clock: the decoder's threads count, other processes do not."""
    data, taken = recipe.data, []
    options = {"clips": data.clips, "frames": data.frames, "size": data.size, "fit": data.fit}
    for path in _some(paths, 10.0):
        with suppress(VideoError):
            start = time.process_time()
            read_clips(path, **options, generator=np.random.default_rng(0))
            taken.append(time.process_time() - start)
    # The first one loads the libraries.
    return sum(taken[1:]) / len(taken[1:]) if len(taken) > 1 else None
