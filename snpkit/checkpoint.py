"""Checkpoints: a folder that is whole or not there, and that is never unpickled.

    runs/laptop/last/            config.json, model.safetensors (as save_pretrained writes them),
                                 tokenizer files, significance.json, recipe.json,
                                 training.json   step, metrics, versions, position of the data
                                 resume.safetensors   optimiser and random generators
                                 checksums.json  size and SHA-256 of all of these
    runs/laptop/last.previous/   the one before, in case a disk fails under the newest
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from snpkit.errors import CheckpointError, UserError
from snpkit.files import open_regular, own_file, read_object, write_json

_CHECKSUMS = "checksums.json"
_RESUME = "resume.safetensors"


@dataclass
class Checkpoint:
    """A checkpoint that has been found whole.

    Attributes:
        folder: where it lies.
        training: the values of training.json.
        warning: a sentence if the newest one was damaged and this is the one before, or if a run
            that goes on from it will not be equal in its last bits.
    """

    folder: Path
    training: dict[str, Any] = field(default_factory=dict)
    warning: str | None = None

    def resume_tensors(self) -> dict[str, Tensor]:
        """The optimiser's and generators' tensors.

        Raises:
            CheckpointError: the checkpoint was saved without them, or they are damaged.
        """
        path = self.folder / _RESUME
        if own_file(self.folder, _RESUME) is None:
            raise CheckpointError(f"{self.folder} was saved without {_RESUME}: it cannot resume.")
        return _load_tensors(path)


def save_checkpoint(
    folder: str | Path,
    model: nn.Module,
    *,
    training: Mapping[str, Any],
    tokenizer: Any = None,
    table: Any = None,
    recipe: Mapping[str, Any] | None = None,
    resume: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a checkpoint beside `folder`, then let it take the place of the old one.

    Args:
        model: a transformers PreTrainedModel.
        training: JSON values for training.json (step, metrics, versions, ...).
        tokenizer, table: written with their own `save_pretrained` and `save`.
        resume: tensors that an exact continuation needs.

    Raises:
        CheckpointError: the disk is full or not writable; the old checkpoint is as it was.
    """
    folder = Path(folder)
    new = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(new, ignore_errors=True)  # left behind by a run that was killed
        new.mkdir(parents=True)
        _write_parts(new, model, tokenizer, table)
        if recipe is not None:
            write_json(new / "recipe.json", recipe)
        write_json(new / "training.json", training)
        if resume is not None:
            save_file({name: tensor.cpu() for name, tensor in resume.items()}, new / _RESUME)
        _seal(new)
        _swap(new, folder)
    except (OSError, SafetensorError, UserError) as error:
        shutil.rmtree(new, ignore_errors=True)
        before = "the one saved before it is whole"
        if not has_checkpoint(folder):
            before = "none was saved before it"
        raise CheckpointError(
            f"Cannot save the checkpoint {folder}: {_reason(error)}; {before}."
        ) from error
    return folder


def _write_parts(folder: Path, model: nn.Module, tokenizer: Any, table: Any) -> None:
    with without_progress_bar():
        model.save_pretrained(folder)
    if tokenizer is not None:
        try:
            tokenizer.save_pretrained(folder)
        except Exception as error:
            if type(error) is not Exception:  # all that the tokenizers library raises
                raise
            raise OSError(str(error)) from error
    if table is not None:
        table.save(folder / "significance.json")


@contextmanager
def without_progress_bar() -> Iterator[None]:
    """transformers draws a progress bar per save, which would tear the run's own."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _reason(error: Exception) -> str:
    # Full disks reach us as OSError, or as text from safetensors or from our own file writer.
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
        return "the disk is full, free some space"
    return str(getattr(error, "strerror", None) or error).splitlines()[0].rstrip(".")


def _seal(folder: Path) -> None:
    """Write the checksums and push everything to the disk, before any name points to it."""
    entries = {path.relative_to(folder).as_posix(): _fingerprint(path) for path in _files(folder)}
    write_json(folder / _CHECKSUMS, entries)
    for path in _files(folder):
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
    _sync_folder(folder)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _fingerprint(path: Path) -> dict[str, Any]:
    with open_regular(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Windows cannot open a folder; its renames are journalled
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def previous_of(folder: Path) -> Path:
    """Where the checkpoint before the newest one lies."""
    return folder.with_name(f"{folder.name}.previous")


def _swap(new: Path, folder: Path) -> None:
    # Killed between the two renames, `folder` is missing and the reader takes the previous one.
    if folder.exists():
        shutil.rmtree(previous_of(folder), ignore_errors=True)
        os.replace(folder, previous_of(folder))
    os.replace(new, folder)
    _sync_folder(folder.parent)


def has_checkpoint(folder: str | Path) -> bool:
    """True if `folder`, or the checkpoint saved before it, is there (whole or damaged)."""
    return os.path.isdir(folder) or os.path.isdir(previous_of(Path(folder)))


def find_checkpoint(folder: str | Path) -> Checkpoint:
    """The newest whole checkpoint at `folder`: itself, else the one saved before it.

    Raises:
        CheckpointError: there is none, or none is whole.
    """
    folder = Path(folder)
    previous = previous_of(folder)
    try:
        return verify_checkpoint(folder)
    except CheckpointError as error:
        if not previous.is_dir():
            raise
        checkpoint = verify_checkpoint(previous)
        checkpoint.warning = f"{error} The one saved before it, {previous}, is used instead."
        return checkpoint


def adopt(checkpoint: Checkpoint, folder: Path) -> None:
    """Make `checkpoint` the newest one at `folder`, in place of a damaged one that lies there.

    Else the next save would first delete the only whole checkpoint and then move the damaged one
    to its place.
    """
    if checkpoint.folder != folder:
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(checkpoint.folder, folder)
        checkpoint.folder = folder


def verify_checkpoint(folder: str | Path) -> Checkpoint:
    """Check every file of a checkpoint against its size and SHA-256.

    A folder that `save_pretrained` wrote has no checksums: then only its parts are looked for.

    Raises:
        CheckpointError: it is no checkpoint, or a file is missing or damaged; names the file.
        UserError: a file may not be read by this user.
    """
    folder = Path(folder)
    _check_rights(folder)
    for name in ("config.json", "model.safetensors"):
        if own_file(folder, name) is None:
            raise CheckpointError(f"{folder} is no whole checkpoint: {name} is missing.")
    if own_file(folder, _CHECKSUMS):
        for name, expected in _read_object(folder / _CHECKSUMS).items():
            _check_file(folder, name, expected)
    elif own_file(folder, "training.json"):
        raise CheckpointError(f"{folder} is no whole checkpoint: {_CHECKSUMS} is missing.")
    training = own_file(folder, "training.json")
    return Checkpoint(folder, _read_object(training) if training else {})


def _check_rights(folder: Path) -> None:
    """Raise UserError where another user's file is closed to this one: it is not damaged."""
    try:
        if not folder.is_dir():
            raise CheckpointError(f"There is no checkpoint {folder}.")
        for path in (folder, *sorted(folder.iterdir())):
            if not os.access(path, os.R_OK) and os.path.exists(path):  # no broken link
                raise _forbidden(path)
            os.stat(path, follow_symlinks=False)  # fails where names can be read and files cannot
    except PermissionError as error:
        raise _forbidden(folder) from error


def _forbidden(path: Path) -> UserError:
    return UserError(f"{path} may not be read by this user; ask its owner for the right to read.")


def _check_file(folder: Path, name: str, expected: Any) -> None:
    try:
        path = own_file(folder, name)
        # The size first: it finds a cut file without reading it.
        whole = path is not None and path.stat().st_size == expected["bytes"]
        whole = whole and _fingerprint(path) == expected
    except PermissionError as error:
        raise _forbidden(folder / name) from error
    except (OSError, ValueError, TypeError, KeyError):
        whole = False
    if not whole:
        raise CheckpointError(f"{folder} is no whole checkpoint: {name!r} is damaged or missing.")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        return read_object(path)
    except UserError as error:
        raise CheckpointError(str(error)) from error


def _load_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except PermissionError as error:
        raise _forbidden(path) from error
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors; it is damaged.") from error


def load_weights(model: nn.Module, folder: str | Path) -> None:
    """Copy a checkpoint's weights into `model`, bit for bit, and nothing less than all of them.

    Raises:
        CheckpointError: the checkpoint is of another configuration, or damaged.
    """
    folder = Path(folder)
    config = getattr(model, "config", None)
    if config is not None:
        # In the form in which save_pretrained writes it: without the defaults.
        wanted = json.loads(config.to_json_string(use_diff=True))
        _compare_configs(folder, _read_object(folder / "config.json"), wanted)
    saved, own = _load_tensors(folder / "model.safetensors"), model.state_dict()
    # Tied weights are saved once: a name may be absent if its memory is filled under another name.
    filled = {own[name].data_ptr() for name in saved if name in own}
    missing = [n for n in own if n not in saved and own[n].data_ptr() not in filled]
    wrong = [n for n in saved if n not in own or saved[n].shape != own[n].shape]
    if missing or wrong:
        raise CheckpointError(
            f"{folder} does not fit this model: {(missing + wrong)[0]} is "
            f"{'missing' if missing else 'unknown or of another shape'}."
        )
    for name, tensor in saved.items():
        own[name].copy_(tensor)


def _compare_configs(folder: Path, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    # Bookkeeping of transformers does not count.
    ignored = {"transformers_version", "architectures", "dtype", "_name_or_path"}
    keys = sorted((saved.keys() | wanted.keys()) - ignored)
    different = [key for key in keys if saved.get(key) != wanted.get(key)]
    if different:
        pairs = ", ".join(f"{k} {saved.get(k)!r} (here {wanted.get(k)!r})" for k in different[:3])
        raise CheckpointError(f"{folder} is of another configuration: {pairs}.")
