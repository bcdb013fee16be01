"""From a checkpoint's name to its folder, and from there to model, tokenizer and table."""

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snpkit.errors import CheckpointError, UserError

if TYPE_CHECKING:
    from snpkit.language.significance import SignificanceTable
    from snpkit.model.base import SNPPreTrainedModel

SHIPPED = ("laptop",)  # checkpoints in data_samples/checkpoints


@dataclass
class Loaded:
    """The parts of a checkpoint.

    Attributes:
        model: in evaluation mode; on the CPU as it is loaded.
        tokenizer: the one that it was trained with.
        table: significance of the words of its training captions; None if none was saved.
        folder: the checkpoint.
        training: what training.json says of the run (steps, metrics, seed, machine).
    """

    model: "SNPPreTrainedModel"
    tokenizer: Any
    table: "SignificanceTable | None"
    folder: Path
    training: dict[str, Any] = field(default_factory=dict)


def load_checkpoint(name_or_path: str | Path, **options: Any) -> Loaded:
    """Load a checkpoint with all that belongs to it.

    Args:
        name_or_path: a shipped name, a checkpoint folder, or a hub id.
        options: handed to `from_pretrained`, such as `dtype` or `attn_implementation`.

    Raises:
        CheckpointError: there is no such checkpoint, it is damaged, or it is of another model.
    """
    from snpkit.checkpoint import find_checkpoint
    from snpkit.files import own_file
    from snpkit.language.significance import SignificanceTable
    from snpkit.language.tokenizer import load_tokenizer

    checkpoint = find_checkpoint(locate(str(name_or_path)))
    folder = checkpoint.folder
    if checkpoint.warning:
        logging.getLogger(__name__).warning(checkpoint.warning)
    model = load_model(folder, **options).eval()
    tokenizer = load_tokenizer(folder)
    if len(tokenizer) != model.config.vocab_size:
        raise CheckpointError(
            f"The tokenizer of {folder} has {len(tokenizer)} entries, but the model was made for "
            f"{model.config.vocab_size}; one of the two is of another checkpoint."
        )
    path = own_file(folder, "significance.json")
    table = SignificanceTable.load(path) if path else None
    return Loaded(model, tokenizer, table, folder, checkpoint.training)


def load_model(folder: Path, **options: Any) -> "SNPPreTrainedModel":
    """`from_pretrained` of the class that wrote the checkpoint, strictly: every weight there and
    none left over.

    Raises:
        CheckpointError: config and weights do not fit each other; the message lists the names.
    """
    from huggingface_hub.errors import StrictDataclassError

    from snpkit.checkpoint import without_progress_bar
    from snpkit.files import read_json
    from snpkit.model.downstream import DOWNSTREAM
    from snpkit.model.pretraining import SNPForPreTraining

    classes = {kind.__name__: kind for kind in (SNPForPreTraining, *DOWNSTREAM.values())}
    try:
        config = read_json(folder / "config.json")
        kind, names = config.get("model_type"), config.get("architectures") or ["SNPForPreTraining"]
    except (UserError, AttributeError) as error:
        raise CheckpointError(f"{folder / 'config.json'} is no model configuration.") from error
    if kind != "snpkit":
        raise CheckpointError(f"{folder} holds a {kind!r} model; snpkit reads its own checkpoints.")
    if not isinstance(names, list) or names[0] not in classes:
        raise CheckpointError(
            f"{folder / 'config.json'} names the model {names}; snpkit knows {', '.join(classes)}."
        )
    try:
        with without_progress_bar():
            model, info = classes[names[0]].from_pretrained(
                folder,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are reported below, with the other misfits
                **options,
            )
    except CheckpointError:
        raise
    except UserError as error:
        raise CheckpointError(f"{folder / 'config.json'} cannot be used: {error}") from error
    except (OSError, ValueError, TypeError, RuntimeError, LookupError, AttributeError,
            ArithmeticError, AssertionError, StrictDataclassError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise CheckpointError(f"The checkpoint {folder} cannot be loaded: {reason}") from error
    misfits = {name: list(info[f"{name}_keys"]) for name in ("missing", "unexpected", "mismatched")}
    if any(misfits.values()):
        found = "; ".join(f"{name}: {values[:3]}" for name, values in misfits.items() if values)
        raise CheckpointError(f"The weights in {folder} do not fit its config.json ({found}).")
    return model


def locate(name: str) -> Path:
    """The folder of a checkpoint: shipped under that name, a path, or downloaded from the hub.

    Raises:
        CheckpointError: the hub gives none of that name.
    """
    if name in SHIPPED:
        from snpkit.data.samples import samples_folder

        return samples_folder() / "checkpoints" / name
    path = Path(name)
    if path.name in ("", ".."):  # "." inside a checkpoint: its neighbours are looked for by name
        path = path.resolve()
    if os.path.exists(path) or name.count("/") != 1 or name.startswith((".", "/", "~")):
        return path
    return _download(name)


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        # Nothing but tables of numbers and text: no pickled weights, no code.
        return Path(snapshot_download(hub_id, allow_patterns=["*.json", "*.safetensors", "*.txt"]))
    except Exception as error:
        raise CheckpointError(
            f"There is no checkpoint folder {hub_id}, and the hub gives none of that name here "
            f"({type(error).__name__}); check the name and the connection."
        ) from None
