"""Weights and configurations of others: fixed file names, tensors only, nothing from elsewhere.

A folder or hub repository holds `model.safetensors`, or its shards beside
`model.safetensors.index.json`, or a `pytorch_model.bin`. Transformers is given the tensors: left to
itself it follows what a config.json, an index or an adapter names, wherever that leads.
"""

import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.modules import module as registration
from transformers import PretrainedConfig
from transformers.utils import cached_file

from snpkit.errors import CheckpointError, UserError
from snpkit.files import own_file, read_object

_INDEX = "model.safetensors.index.json"
_HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "revision", "token")
MOST_NUMBERS = 20_000_000_000  # parameters of one network
_PARTS = 50_000  # modules, parameters and buffers: far more than any model here has


@contextmanager
def one_sentence_only() -> Iterator[None]:
    """Keep the warnings of the hub's and of transformers' loaders away: each retry and each tensor
    that does not fit is a line of theirs, and an error of ours says it."""
    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def find_file(source: str | Path, name: str, **hub: Any) -> Path | None:
    """A file of a directory or of a hub repository; None when it is not there.

    Raises:
        CheckpointError: it is a link that leads out of its directory, or no regular file.
    """
    if Path(source).is_dir():
        return own_file(source, name)
    try:
        with one_sentence_only():
            found = cached_file(str(source), name, **hub)
    except (OSError, ValueError):  # no such repository, no such file in it, or no network
        return None
    return None if found is None else Path(found)


def check_reachable(field: str, source: str | None) -> None:
    """Raise UserError where first weights are neither on this machine nor on a reachable hub."""
    if source is None or Path(source).exists() or find_file(source, "config.json") is not None:
        return
    raise UserError(
        f"There are no weights at {source!r}: no such folder, and no hub id that can be reached "
        f"from here; on a machine with a network run `hf download {source} --local-dir DIR`, copy "
        f"DIR here and add --set {field}=DIR, or {field}=null to start from random weights."
    )


def read_weights(source: str | Path, **hub: Any) -> dict[str, Tensor]:
    """Read a state dict from a file, a directory or a hub id.

    A file is `.safetensors`, or a `.pth` or `.bin`: those are read by torch's restricted unpickler,
    which makes tensors and plain containers only and never runs code of the file.

    Raises:
        CheckpointError: nothing readable there, or a name that leads out of the directory; names
            the source and says what to do.
    """
    path = Path(source)
    files = [path] if path.is_file() else _weight_files(source, **hub)
    weights: dict[str, Tensor] = {}
    for file in files:
        try:
            if file.suffix == ".safetensors":
                weights |= load_file(file)
            else:
                weights |= _state_dict_in(torch.load(file, map_location="cpu", weights_only=True))
        except Exception as error:
            # safetensors, torch and zipfile raise unrelated types for a damaged file.
            reason = str(error).strip().split("\n")[0][:300]
            raise CheckpointError(f"Cannot read the weights in {file}: {reason}.") from error
    return weights


def _weight_files(source: str | Path, **hub: Any) -> list[Path]:
    if (file := find_file(source, "model.safetensors", **hub)) is not None:
        return [file]
    if (index := find_file(source, _INDEX, **hub)) is not None:
        return [_shard(source, index, name, **hub) for name in _shard_names(index)]
    if (file := find_file(source, "pytorch_model.bin", **hub)) is not None:
        return [file]
    if not Path(source).is_dir():
        raise CheckpointError(
            f"Cannot read weights from {source}: there is no such file or folder, and no hub id of "
            "that name with weights can be reached."
        )
    raise CheckpointError(
        f"There are no weights in {source}: it needs model.safetensors or pytorch_model.bin."
    )


def _shard_names(index: Path) -> list[str]:
    table = read_object(index).get("weight_map")
    names = list(table.values()) if isinstance(table, dict) else [None]
    for name in names:
        plain = isinstance(name, str) and name.endswith(".safetensors") and len(name) < 256
        if not plain or any(sign in name for sign in "/\\:\0"):
            raise CheckpointError(
                f"{index} names {str(name)[:80]!r}; only .safetensors files beside it are read."
            )
    return sorted(set(names))


def _shard(source: str | Path, index: Path, name: str, **hub: Any) -> Path:
    file = find_file(source, name, **hub)
    if file is None:
        raise CheckpointError(f"{index} names {name}, which is not there; fetch it.")
    return file


def _state_dict_in(stored: Any) -> dict[str, Tensor]:
    # Training frameworks store the weights beside other things, under one of these keys.
    for key in ("state_dict", "model"):
        if isinstance(stored, Mapping) and isinstance(stored.get(key), Mapping):
            stored = stored[key]
    tensors = isinstance(stored, Mapping) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in stored.items()
    )
    if not tensors:
        raise ValueError("it holds no state dict of tensors")
    return dict(stored)


def match(
    own: Mapping[str, Tensor],
    stored: Iterable[tuple[str, str, Tensor]],
    optional: Container[str] = (),
) -> tuple[dict[str, Tensor], list[str]]:
    """Line tensors of others up with a model's own, strictly by name and shape.

    Args:
        own: the model's state dict.
        stored: of each tensor the name it has there, our name of it, and the tensor.
        optional: which of our names may be missing.
    Returns:
        What fits, by our names; and the faults, one phrase each: a name that is unknown, given
        twice or missing, or a shape that differs. Nothing is to be copied where there are any.
    """
    fitting: dict[str, Tensor] = {}
    faults, wrong = [], set()
    for name, ours, value in stored:
        if ours not in own:
            faults.append(f"{name} (unknown)")
        elif ours in fitting:
            faults.append(f"{name} (given twice)")
        elif value.shape != own[ours].shape:
            faults.append(f"{name} (shape {list(value.shape)}, not {list(own[ours].shape)})")
            wrong.add(ours)
        else:
            fitting[ours] = value
    absent = (name for name in own if name not in fitting and name not in wrong)
    faults += [f"{name} (missing)" for name in absent if name not in optional]
    return fitting, faults


@contextmanager
def bounded(numbers: int = MOST_NUMBERS) -> Iterator[None]:
    """While modules are made, refuse more than that many numbers in them, or endless layers.

    The model is to be made on the meta device: then nothing has been allocated yet.

    Raises:
        UserError: the configuration asks for more.
    """
    parts, size = 0, 0

    def count(module: nn.Module, name: str, part: nn.Module | Tensor | None) -> None:
        nonlocal parts, size
        parts, size = parts + 1, size + (part.numel() if isinstance(part, Tensor) else 0)
        if parts > _PARTS or size > numbers:
            raise UserError(
                "The configuration describes a model of more than "
                + (f"{_PARTS:,} parts" if parts > _PARTS else f"{numbers:,} numbers")
                + ", which no weights here have; are its sizes right?"
            )

    handles = [
        registration.register_module_module_registration_hook(count),
        registration.register_module_parameter_registration_hook(count),
        registration.register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def pretrained(
    fill: Callable[..., Any],
    config: PretrainedConfig | type[PretrainedConfig],
    source: str | Path,
    *arguments: Any,
    **options: Any,
) -> Any:
    """`from_pretrained` with the files of `source` read here, so that transformers looks for none.

    Args:
        fill: the `from_pretrained` of a model class.
        config: the model's configuration, or its class: then config.json of `source` is read, and
            those of the options that are its fields replace its values.
        options: those of `from_pretrained`.
    Raises:
        UserError: no such config.json, or one that describes no possible model.
        CheckpointError: weights that are missing or unreadable.
    """
    hub = {name: options.pop(name) for name in _HUB_OPTIONS if name in options}
    options.pop("use_safetensors", None)
    if isinstance(config, type):
        path = find_file(source, "config.json", **hub)
        if path is None:
            raise UserError(f"There is no config.json in {source}; is it a checkpoint?")
        own = {name: options.pop(name) for name in ("dtype", "torch_dtype") if name in options}
        config, rest = config.from_dict(read_object(path), return_unused_kwargs=True, **options)
        options = rest | own
    weights = read_weights(source, **hub)
    # Parts that are new here may come on top; they and the tensors filled in are counted as well.
    held = sum(value.numel() for value in weights.values())
    with bounded(8 * held + 1_000_000_000), one_sentence_only():
        return fill(None, *arguments, config=config, state_dict=weights, **options)
