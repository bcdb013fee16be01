"""What the search index is keyed by: the content of a file, and all that makes its vectors."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

import snpkit
from snpkit.files import open_regular

# What may differ between two configs without changing a vector.
_IRRELEVANT = ("transformers_version", "_name_or_path", "architectures", "dtype")
_READERS = ("av", "decord", "pillow")
_SETTLED = 2_000_000_000  # ns; clocks of file systems may tick that slowly


@dataclass(frozen=True)
class Stamp:
    """Size and time of change of a file: the quick check of whether it is still the same.

    A file that changed a moment ago may change again without its time moving on, so its stamp is
    marked as one that proves nothing (`mtime_ns` = -1), and its content is looked at next time.
    """

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Read it. Raises OSError where the file is gone."""
        found = path.stat()
        settled = time.time_ns() - found.st_mtime_ns > _SETTLED
        return cls(found.st_size, found.st_mtime_ns if settled else -1)

    def proves(self, other: "Stamp") -> bool:
        """Whether the file that had the stamp `other` is unchanged, now that it has this one."""
        return self == other and self.mtime_ns != -1


def content_key(path: Path) -> str:
    """SHA-256 of a file's bytes; the same for a renamed, moved or copied file."""
    with open_regular(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_key(model: nn.Module, sampling: Mapping[str, Any]) -> str:
    """SHA-256 of all that makes a vector of a file: weights, config, sampling, and the code.

    The code is part of it, so that a snpkit that reads or encodes in another way never
    reads vectors of the one before.
    """
    config = model.config.to_dict() if hasattr(model.config, "to_dict") else vars(model.config)
    fields = {name: value for name, value in config.items() if name not in _IRRELEVANT}
    digest = hashlib.sha256(f"{type(model).__name__} {_code_key()}".encode())
    digest.update(json.dumps([fields, dict(sampling)], sort_keys=True, default=str).encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        numbers = weight.detach().cpu().contiguous().reshape(-1)
        digest.update(numbers.view(torch.uint8).numpy())
    return digest.hexdigest()


@cache
def _code_key() -> str:
    """SHA-256 of the modules that read and encode videos."""
    root = Path(snpkit.__file__).parent
    packages = root / "model", root / "video"
    files = sorted(path for package in packages for path in package.rglob("*.py"))
    files.append(root / "evaluation" / "encoding.py")
    digest = hashlib.sha256(snpkit.__version__.encode())
    for path in filter(Path.is_file, files):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def readers_key() -> str:
    """The versions of what decodes: a newer one may read what this one cannot."""
    versions = []
    for name in _READERS:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"no {name}")
    return ", ".join(versions)
