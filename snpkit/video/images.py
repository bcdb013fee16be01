"""Still images: videos of one frame, shown for one second."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from snpkit.errors import VideoError
from snpkit.video.index import VideoIndex, VideoInfo, check_file
from snpkit.video.suffixes import is_image_name

# Left to itself Pillow goes by content: an EPS that is called .jpg starts Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
_MOST_PIXELS, _LONGEST_SIDE = 150_000_000, 65_535  # what decoding allocates, 4 bytes a pixel


def is_image(path: Path) -> bool:
    """Whether a file is read as a still image, by its name."""
    return is_image_name(path)


def build_index(path: Path) -> VideoIndex:
    """The index of an image; reads its header only.

    Raises:
        VideoError: missing, empty, far too large or no image.
    """
    with _opened(path) as image:
        width, height = image.size
        # EXIF orientations 5 to 8 turn the picture by a quarter.
        if image.getexif().get(0x0112, 1) >= 5:
            width, height = height, width
    one = np.zeros(1, dtype=np.int64)
    info = VideoInfo(1, width, height, 1.0)
    return VideoIndex(path, info, one, one.astype(float), 1.0, one, still=True)


def decode(index: VideoIndex, wanted: np.ndarray, width: int, height: int) -> np.ndarray:
    """The image, upright (EXIF), transparent parts on white, scaled (bilinear, smoothed).

    Returns:
        uint8 [n, height, width, 3]; n is the length of `wanted`.

    Raises:
        VideoError: the image is cut short.
    """
    from PIL import Image, ImageOps

    with _opened(index.path) as file:
        image = ImageOps.exif_transpose(file)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(image)[None].repeat(len(wanted), axis=0)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from PIL import Image

    check_file(path)
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS or max(image.size) > _LONGEST_SIDE:
                raise VideoError(
                    f"{path} says that it has {image.width} x {image.height} pixels, which is too "
                    "large; scale it down or leave it out."
                )
            yield image
    except VideoError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise VideoError(f"{path} is not a whole image; fetch or export it again.") from None
