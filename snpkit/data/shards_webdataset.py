"""Shards for those who use WebDataset itself."""

from typing import Any

from snpkit.data.samples import Manifest
from snpkit.data.shards import CLIP_SUFFIXES
from snpkit.errors import UserError


def webdataset_stream(manifest: Manifest, **options: Any) -> Any:
    """The shards as a `webdataset.WebDataset`: samples {"__key__", "json", "mp4" or "jpg" ...}.

    For pipelines that exist already; its order and place in an epoch are WebDataset's own affair.
    Contents come as bytes and nothing is decoded, above all no pickle.

    Args:
        manifest: of `open_shards`, or one of its splits.
        options: those of WebDataset, such as shardshuffle.

    Raises:
        UserError: webdataset is not installed, or a shard is no regular file.
    """
    try:
        import webdataset
    except ImportError:
        raise UserError(
            'WebDataset is not installed; run `pip install "snpkit[shards]"`, or read the shards '
            "with VideoTextDataset, which does without it."
        ) from None
    tars = [shard.tar for shard in manifest.rows.shards]
    for tar in tars:
        if not tar.is_file():
            raise UserError(f"{tar} is no regular file; write the shards again.")
    # Paths by file: URLs only, since WebDataset runs what follows "pipe:".
    return webdataset.WebDataset(
        [f"file:{tar}" for tar in tars],
        select_files=lambda name: name.rpartition(".")[2] in {*CLIP_SUFFIXES, "json"},
        **{"shardshuffle": False} | options,
    )
