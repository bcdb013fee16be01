"""Which files are taken for videos and pictures, by the endings of their names in lower case.

One list for whoever looks for files: search, `snpkit prepare`, `snpkit verify`. Whether a file can
be read is found out by reading it.
"""

import os
from collections import Counter
from pathlib import Path

from snpkit.errors import UserError

# The likeliest first: a data set's annotations may leave the ending out.
VIDEO_SUFFIXES = (
    ".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".3gp", ".mpg", ".wmv", ".flv", ".mpeg", ".ts",
    ".mts", ".m2ts", ".3g2", ".dv", ".mod", ".ogv", ".gif", ".vob", ".asf", ".f4v", ".mpe", ".m2t",
    ".m1v", ".m2v", ".mpv", ".tod", ".trp", ".qt", ".ogm", ".divx", ".xvid", ".rm", ".rmvb",
    ".mxf", ".nut", ".wtv", ".amv", ".ivf", ".mjpg", ".mjpeg", ".h264", ".264", ".h265", ".hevc",
    ".y4m", ".apng", ".mk3d", ".mp4v", ".dvr-ms",
)  # fmt: skip
# Of these .png, .webp and .avif may also be moving pictures, which are read as videos.
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".jfif", ".jpe", ".tif", ".tiff", ".avif",
)  # fmt: skip


def is_image_name(path: str | Path) -> bool:
    """Whether a file's name is that of a picture."""
    return str(path).lower().endswith(IMAGE_SUFFIXES)


def find_videos(root: Path) -> tuple[list[str], dict[str, str], dict[str, int]]:
    """The videos and images below a folder, by their names' endings; hidden ones are left out.

    Links to folders elsewhere are followed, each folder once.

    Returns:
        Paths below it, sorted; folders that are left out -> why; ending -> other files passed over.

    Raises:
        UserError: no such folder, or nothing in it.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; name the folder that holds your videos.")
    top = Path(os.path.realpath(root))
    found, left_out, passed, entered = [], {}, Counter(), {top}

    def leave_out(path: Path, reason: str) -> None:
        left_out[path.relative_to(root).as_posix()] = reason

    def enters(path: Path) -> bool:
        real = Path(os.path.realpath(path))
        if path.is_symlink() and (top.is_relative_to(real) or real.is_relative_to(top)):
            if real in top.parents:
                leave_out(path, f"{path} leads upwards and is not followed.")
            return False  # what it shows of the folder itself is found at its own place
        new = real not in entered
        entered.add(real)
        return new

    for place, folders, files in os.walk(
        root,
        onerror=lambda e: leave_out(Path(e.filename), f"Cannot read {e.filename}: {e.strerror}."),
        followlinks=True,
    ):
        below = Path(place)
        folders[:] = sorted(name for name in folders if name[0] != "." and enters(below / name))
        for name in (name for name in files if name[0] != "."):
            if name.lower().endswith(VIDEO_SUFFIXES + IMAGE_SUFFIXES):
                found.append((below / name).relative_to(root).as_posix())
            else:
                passed[Path(name).suffix.lower() or name] += 1
    if not found:
        endings = f"their names end in {', '.join(VIDEO_SUFFIXES[:4])} ..."
        raise UserError(f"{root} holds no videos or images; {[*left_out.values(), endings][0]}")
    return sorted(found), left_out, dict(passed.most_common())
