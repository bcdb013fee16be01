"""What lies below a folder: videos and images, and what is left out."""

import os
from collections import Counter
from pathlib import Path

from snpkit.errors import UserError
from snpkit.video.suffixes import VIDEO_SUFFIXES, is_image_name, is_video_name


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
            if is_video_name(name) or is_image_name(name):
                found.append((below / name).relative_to(root).as_posix())
            else:
                passed[Path(name).suffix.lower() or name] += 1
    if not found:
        endings = f"their names end in {', '.join(VIDEO_SUFFIXES[:4])} ..."
        raise UserError(f"{root} holds no videos or images; {[*left_out.values(), endings][0]}")
    return sorted(found), left_out, dict(passed.most_common())
