"""What a process runs on: cores and memory, a container's limits heeded; versions of packages."""

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def available_cores() -> int:
    """Cores this process may really use: its CPU affinity, less where the container allows less."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _container_cores() or cores))


def _container_cores(limit_file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int | None:
    """The CPU quota of a Linux container, rounded up; None without one."""
    try:
        quota, period = limit_file.read_text().split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError):  # no such file, or "max" = no quota
        return None


def peak_memory(device: "torch.device") -> int | None:
    """The most memory held so far: allocated on a CUDA device, else resident in this process.

    On Linux the mark is that of this program alone; what getrusage gives is inherited from the
    process that started it. None where nobody counts it (Windows).
    """
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    found = _status("VmHWM")
    if found is not None:
        return found
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # macOS gives bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def current_memory(device: "torch.device") -> int:
    """The memory held now; where only the peak is known, that."""
    if device.type == "cuda":
        import torch

        return torch.cuda.memory_allocated(device)
    return _status("VmRSS") or peak_memory(device) or 0


def total_memory(device: "torch.device") -> int | None:
    """The memory of a device, or of the processor; a container's limit heeded; None if unknown."""
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_properties(device).total_memory
    sizes = [_kilobytes(Path("/proc/meminfo"), "MemTotal"), _of_container("memory.max")]
    return min((size for size in sizes if size is not None), default=None)


def _of_container(name: str) -> int | None:
    try:
        return int((Path("/sys/fs/cgroup") / name).read_text())
    except (OSError, ValueError):  # no such file, or "max" = no limit
        return None


def _status(name: str) -> int | None:
    return _kilobytes(Path("/proc/self/status"), name)


def _kilobytes(path: Path, name: str) -> int | None:
    """The value of a line such as "VmHWM:   1234 kB", in bytes."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return None


def versions() -> dict[str, str]:
    """Versions of the packages that decide the numbers of a run."""
    found = {}
    for package in ("torch", "snpkit", "transformers", "tokenizers", "numpy", "safetensors"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a checkout that is not installed
            continue
    return found
