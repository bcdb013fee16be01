"""The clips of shards as a torch data set, and a way in for those who use WebDataset itself."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import Manifest, VideoText
from snpkit.data.shards import CLIP_SUFFIXES, ShardRows
from snpkit.errors import UserError


class ShardDataset(VideoTextDataset):
    """As `VideoTextDataset`, with the clips taken out of shards; the items are the same.

    Args:
        manifest: of `open_shards`, or one of its splits.
        The others are those of `VideoTextDataset`; there is no cache, because small clips are
        decoded quickly and a data set in shards seldom fits into memory.

    Raises:
        UserError: as `VideoTextDataset`; the manifest is not of shards; a cache is asked for.
    """

    def __init__(
        self,
        manifest: Manifest,
        clips: int,
        frames: int,
        size: int,
        training: bool,
        seed: int = 0,
        cache: bool = False,
        **options: Any,
    ) -> None:
        if not isinstance(manifest.rows, ShardRows):
            raise UserError(f"{manifest.root} holds no shards; take VideoTextDataset for its rows.")
        if cache:
            raise UserError("Shards are decoded on demand; set data.cache=false.")
        super().__init__(manifest, clips, frames, size, training, seed, **options)

    def _file(self, row: VideoText, index: int) -> AbstractContextManager[Path]:
        return self.manifest.rows.member(index).as_file()


def webdataset_stream(manifest: Manifest, **options: Any) -> Any:
    """The shards as a `webdataset.WebDataset`: samples {"__key__", "json", "mp4" or "jpg" ...}.

    For pipelines that exist already; its order and place in an epoch are WebDataset's own affair.
    Contents come as bytes and nothing is decoded, above all no pickle.

    Args:
        manifest: of `open_shards`, or one of its splits.
        options: those of WebDataset, such as shardshuffle.

    Raises:
        UserError: webdataset is not installed.
    """
    try:
        import webdataset
    except ImportError:
        raise UserError(
            'WebDataset is not installed; run `pip install "snpkit[shards]"`, or read the shards '
            "with ShardDataset, which does without it."
        ) from None
    known = {*CLIP_SUFFIXES, "json"}

    def right(name: str) -> bool:
        return name.rpartition(".")[2] in known

    # Paths by file: URLs only, since WebDataset runs what follows "pipe:".
    tars = [f"file:{shard.tar}" for shard in manifest.rows.shards]
    return webdataset.WebDataset(tars, select_files=right, **{"shardshuffle": False} | options)
