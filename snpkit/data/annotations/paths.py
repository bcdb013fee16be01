"""Where the video or image of a row lies below the data set's root."""

import os
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

from snpkit.data.annotations.records import WrongRow
from snpkit.errors import AnnotationError
from snpkit.files import inside
from snpkit.video.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES

_FOLDERS = 64  # so many folders are searched at most
_ENTRIES = 10_000  # looked at in a folder to find its subfolders
_KNOWN = 100_000  # folders remembered as safe


class Locator:
    """Finds files below one root and refuses paths that leave it.

    Args:
        root: folder of the data set.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._prefix = os.path.join(root, "")
        self._known: set[str] = set()
        self._folders: list[str] | None = None
        self._last = ""
        # Many captions in a row speak of the same video.
        self.find = lru_cache(maxsize=1 << 16)(self._find)

    def check(self, relative: str) -> str:
        """The path itself, if it stays below the root.

        Raises:
            WrongRow: it is absolute, climbs out with "..", or a link leads out of the root.
        """
        name = relative.rpartition("/")[2]
        folder = relative[: len(relative) - len(name)]  # with its slash: "/a" is not in ""
        # As `snpkit.files.inside`, but each folder is followed once only: there are millions.
        simple = name not in ("", ".", "..") and not set(name) & set("\\:\0")
        try:
            if simple and folder in self._known and not os.path.islink(self._prefix + relative):
                return relative
            inside(self.root, relative)
        except AnnotationError as error:
            raise WrongRow(str(error).rstrip("."), "path") from None
        except (OSError, RuntimeError, ValueError):  # loops of links, surrogates, endless names
            raise WrongRow(f"{relative[:80]!r} cannot be a path; mend it", "path") from None
        if len(self._known) < _KNOWN:
            self._known.add(folder)
        return relative

    def _find(self, name: str, suffixes: tuple[str, ...], folder: str) -> str:
        """The path of the file `name`, whose suffix may be left out or may have changed.

        It is looked for in the root, its subfolders and theirs. One that is nowhere is said to be
        in `folder`, with the first of `suffixes` if it has none.

        Raises:
            WrongRow: the path leaves the root.
        """
        self.check(name)
        stem, suffix = os.path.splitext(name)
        media = suffix.lower() in (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES)
        names = [name] if media else []
        names += [name + other for other in suffixes]
        if media:
            names += [stem + other for other in suffixes if other != suffix]
        for place in dict.fromkeys((self._last, *self._search())):
            for candidate in names:
                if os.path.isfile(self._prefix + place + candidate):
                    self._last = place
                    return self.check(place + candidate)
        return self.check(f"{folder}/{names[0]}")

    def first(self, candidates: tuple[str, ...]) -> str:
        """The first path that is a file, else the first one.

        Raises:
            WrongRow: a path leaves the root.
        """
        for candidate in candidates:
            if os.path.isfile(self._prefix + self.check(candidate)):
                return candidate
        return candidates[0]

    def _search(self) -> list[str]:
        """The root, its subfolders and theirs, each with a slash behind it."""
        if self._folders is None:
            first = list(islice(_subfolders(self._prefix, ""), _FOLDERS))
            second = (below for folder in first for below in _subfolders(self._prefix, folder))
            self._folders = ["", *first, *islice(second, max(_FOLDERS - len(first), 0))]
        return self._folders


def is_folder(entry: os.DirEntry) -> bool:
    """Whether it is a folder; a link that leads round in a circle is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _subfolders(prefix: str, folder: str) -> Iterator[str]:
    try:
        with os.scandir(prefix + folder) as entries:
            some = list(islice(entries, _ENTRIES))
    except OSError:
        return
    for name in sorted(entry.name for entry in some if is_folder(entry)):
        if not name.startswith("."):
            yield f"{folder}{name}/"
