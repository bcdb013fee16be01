"""Pictures by Pillow: still images, animated WebP and AVIF, and folders of numbered pictures."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from snpkit.errors import VideoError
from snpkit.video.container import check_pixels, first_bytes
from snpkit.video.index import VideoIndex, VideoInfo
from snpkit.video.suffixes import is_image_name

# Pillow's own limit lies below ours.
warnings.filterwarnings("ignore", "Image size .* could be decompression bomb")

# Left to itself Pillow goes by content: an EPS that is called .jpg starts Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
_BEGIN = rb"\xff\xd8\xff|\x89PNG|RIFF....WEBP|BM|II\*\0|MM\0\*|....ftyp(avif|avis|mif1|msf1)"
_MOVING = ("PNG", "WEBP", "AVIF")  # the others hold several pictures for other reasons
_ORIENTATION = 0x0112  # EXIF's tag


def is_picture(path: Path) -> bool:
    """Whether a file is one of these, by its content.

    JPEGs one after the other are a film; HEIC begins as AVIF may, and ffmpeg knows it.

    Raises:
        VideoError: missing, empty or no regular file.
    """
    known = re.match(_BEGIN, first_bytes(path), re.DOTALL)
    return bool(known) and path.suffix.lower() not in (".mjpg", ".mjpeg", ".heic", ".heif")


def build_index(path: Path) -> VideoIndex | None:
    """The index of an image, shown for one second, or of a moving one.

    Returns:
        None for a moving PNG, which PyAV reads as a film.

    Raises:
        VideoError: far too large or no whole image.
    """
    with _opened(path) as image:
        width, height = _size(image)
        count = getattr(image, "n_frames", 1) if image.format in _MOVING else 1
        if count == 1:
            return _index(path, (path,), [1.0], width, height)
        if image.format == "PNG":
            return None
        spans = []
        for number in range(count):
            image.seek(number)
            image.load()  # only then is it known for how long it is shown
            milliseconds = image.info["duration"]
            # As in browsers: nobody could see a shorter one.
            spans.append(milliseconds / 1000 if milliseconds > 10 else 0.1)
    return _index(path, (path,), spans, width, height)


def folder_index(path: Path) -> VideoIndex:
    """The index of a folder of pictures: a video of 25 frames a second.

    They follow each other in the natural order of their names ("2.jpg" before "10.jpg"), all at the
    size of the first. Hidden files are left out.

    Raises:
        VideoError: it holds no picture, or the first one cannot be read.
    """
    try:
        names = [entry.name for entry in path.iterdir()]
    except OSError:
        raise VideoError(f"{path} may not be read; change its access rights.") from None
    names = sorted((n for n in names if is_image_name(n) and not n.startswith(".")), key=_natural)
    if not names:
        raise VideoError(f"{path} is a folder without pictures; give the path of a video or image.")
    with _opened(path / names[0]) as image:
        width, height = _size(image)
    files = tuple(path / name for name in names)
    # ffmpeg assumes the same rate.
    return _index(path, files, [1 / 25] * len(files), width, height)


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)  # text and digits take turns
    return [(int(part) if place % 2 else 0, part) for place, part in enumerate(parts)]


def _index(
    path: Path, pictures: tuple[Path, ...], spans: list[float], width: int, height: int
) -> VideoIndex:
    ends = np.cumsum(spans)
    numbers, duration = np.arange(len(spans)), float(ends[-1])
    info = VideoInfo(len(spans), width, height, len(spans) / duration)
    return VideoIndex(path, info, numbers, ends - spans, duration, numbers[:1], pictures=pictures)


def in_order(
    index: VideoIndex, wanted: np.ndarray, width: int, height: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Pictures, upright (EXIF), transparent parts on white, scaled (bilinear, smoothed).

    For arguments and results see `backends.in_order`.

    Raises:
        VideoError: an image is cut short.
    """
    if len(index.pictures) > 1:
        for place, number in enumerate(wanted):
            with _opened(index.pictures[number]) as image:
                yield place, _picture(image, width, height)
        return
    with _opened(index.pictures[0]) as image:
        for place, number in enumerate(wanted.tolist()):
            if number:
                image.seek(number)
            yield place, _picture(image, width, height)


def _picture(image: Any, width: int, height: int) -> np.ndarray:
    """What an opened image shows: uint8 [height, width, 3]."""
    from PIL import Image

    turn = _orientation(image)
    if image.mode.startswith("I"):  # 16 bits of grey; Pillow itself would clip, not scale
        grey = np.asarray(image).clip(0, 65_535)
        clear = grey == image.info.get("transparency", -1)
        image = Image.fromarray(np.where(clear, 255, grey >> 8).astype(np.uint8))
    if turn > 1:
        image = image.transpose(Image.Transpose[_UPRIGHT[turn]])
    if image.has_transparency_data:
        image = on_white(image)
    image = image.convert("RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


def on_white(image: Any) -> Any:
    """A picture without its transparency."""
    from PIL import Image

    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


# EXIF orientation -> Pillow's name of what undoes it.
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
    7: "TRANSVERSE", 8: "ROTATE_90",
}  # fmt: skip


def _orientation(image: Any) -> int:
    """EXIF's orientation, 1 to 8; 1, upright, where it says nothing that makes sense."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
        if isinstance(value, tuple):
            (value,) = value
        value = int.from_bytes(value) if isinstance(value, bytes) else int(value)
    except Exception:  # Pillow's reader of EXIF has no list of what it raises
        return 1
    return value if value in _UPRIGHT else 1


def _size(image: Any) -> tuple[int, int]:
    """Width and height of the upright picture."""
    return image.size[::-1] if _orientation(image) >= 5 else image.size


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from PIL import Image

    first_bytes(path)  # whether it is a file at all
    try:
        with Image.open(path, formats=_FORMATS) as image:
            check_pixels(path, *image.size)
            if image.mode == "F":
                raise VideoError(f"{path} holds fractions and no colours; export it with 16 bits.")
            yield image
    except (VideoError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise VideoError(f"{path} has far too many pixels; scale it down.") from None
    except Exception:  # Pillow's readers raise nearly everything
        raise VideoError(f"{path} is not a whole image; fetch or export it again.") from None
