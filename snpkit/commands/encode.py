"""`snpkit encode`: the vectors of videos, for other programs."""

from pathlib import Path
from typing import Annotated, Any

import tyro

from snpkit.errors import UserError
from snpkit.text import one_line


def encode(
    data: tyro.conf.Positional[Path],
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    checkpoint: str = "laptop",
    split: str | None = None,
    seconds: float = 60.0,
    device: str = "auto",
) -> int:
    """Write the vectors of videos to a .safetensors file; each video is encoded once.

    It holds `clip_features` and `clip_tokens`, float32 [videos, clips, hidden]: what matching and
    the cross-modal pass read. Its metadata say, as JSON: "videos" (a list of their files, in that
    order, each with its window where it has one), "unreadable" (file: reason) and "checkpoint".

    Args:
        data: A folder, whose videos and images are encoded with those of its subfolders, or a
            manifest (.jsonl).
        output: The file to write.
        checkpoint: "laptop", a checkpoint folder or a hub id.
        split: Of a manifest, the split to encode; by default all.
        seconds: Limit for reading one file, in a process that it may crash; 0 = read without.
        device: auto, cpu, cuda or mps.
    """
    import sys
    from json import dumps

    from safetensors.torch import save

    import snpkit
    from snpkit.files import atomic_path, check_output

    if output.suffix != ".safetensors":
        raise UserError(f"--output is {output}; name a .safetensors file.")
    if split is not None and data.is_dir():
        raise UserError(f"{data} is a folder and has no splits; leave --split out.")
    check_output(output)
    pipeline = snpkit.load(checkpoint, device=device)
    if data.is_dir():
        index = pipeline.index(data, guard_seconds=seconds, progress=True)
        found, unreadable = index.videos, index.unreadable
        videos = [{"video": name} for name in index.names]
    else:
        found, videos, unreadable = _of_manifest(pipeline, data, split, seconds)
    about = {"videos": videos, "unreadable": unreadable, "checkpoint": str(pipeline.folder)}
    features = {"clip_features": found.clip_features, "clip_tokens": found.clip_tokens}
    tensors = {name: tensor.contiguous() for name, tensor in features.items()}
    with atomic_path(output) as temporary:
        temporary.write_bytes(save(tensors, {name: dumps(value) for name, value in about.items()}))
    for reason in unreadable.values():
        print(f"snpkit: left out: {one_line(reason)}", file=sys.stderr)
    shape = " x ".join(map(str, found.clip_features.shape))
    print(f"{output}: {len(videos):,} videos (videos x clips x hidden: {shape}), "
          f"{len(unreadable):,} unreadable")  # fmt: skip
    return 0


def _of_manifest(
    pipeline: Any, path: Path, split: str | None, seconds: float
) -> tuple[Any, list[Any], Any]:
    from snpkit.data.samples import Manifest
    from snpkit.evaluation.encoding import clip_of, encode_distinct

    manifest = Manifest.load(path)
    manifest = manifest if split is None else manifest.split(split)
    dataset = pipeline.dataset(manifest, max_unreadable=1.0, guard_seconds=seconds)
    found, rows, _ = encode_distinct(pipeline.model, dataset)
    return found, [clip_of(manifest.rows[row]) for row in rows], dataset.report().reasons
