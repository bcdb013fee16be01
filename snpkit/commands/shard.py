"""`snpkit shard`: a data set as WebDataset tar files, at the size that training takes."""

from pathlib import Path
from typing import Annotated

import tyro


def shard(
    manifest: tyro.conf.Positional[Path],
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    size: int = 64,
    per_shard: int = 1000,
    workers: int | None = None,
    seconds: float = 300.0,
    root: Path | None = None,
    progress: bool = True,
) -> int:
    """Write a data set into shards; run it again after an interruption, and it goes on.

    Clips that cannot be read are counted, named in OUTPUT/shards.json and left out; the status
    is then 1.

    Args:
        manifest: A manifest, or a folder with one.
        output: Folder for the shards.
        size: Pixels of the short side, an even number; smaller videos keep their size. 0 keeps
            mp4, JPEG and PNG files as they are.
        per_shard: Videos or images in a shard.
        workers: Processes that encode; one per core by default.
        seconds: Limit for one file, by the clock.
        root: Folder that the manifest's paths start from, if it is not its own.
        progress: Show a progress bar.
    """
    import time

    from snpkit.commands.data_option import read_source
    from snpkit.data.shards_writing import write_shards

    rows = read_source("pretraining", [manifest], [root] if root else []).manifest
    options = {"size": size, "per_shard": per_shard, "workers": workers, "seconds": seconds}
    start = time.perf_counter()
    done = write_shards(rows, output, progress=progress, **options)
    took = time.perf_counter() - start
    total = {name: sum(entry[name] for entry in done.shards) for name in ("files", "rows", "bytes")}
    kept = f", {done.reused} of them there before" if done.reused else ""
    print(
        f"{total['files']} files with {total['rows']} captions in {len(done.shards)} shards "
        f"({total['bytes'] / 1e6:.1f} MB{kept}) in {output}, {took:.1f} s; {done.report}"
    )
    return 1 if done.report.reasons else 0
