"""From the name of a checkpoint to its folder, and from the folder to its model."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snpkit.errors import CheckpointError, UserError

if TYPE_CHECKING:
    from snpkit.model.base import SNPPreTrainedModel

SHIPPED = ("laptop",)  # checkpoints in data_samples/checkpoints


def load_model(folder: Path, **options: Any) -> "SNPPreTrainedModel":
    """`from_pretrained` of the class that wrote the checkpoint, strictly: every weight there and
    none left over.

    Raises:
        CheckpointError: config and weights do not fit each other; the message lists the names.
    """
    from huggingface_hub.errors import StrictDataclassError

    from snpkit.files import read_json
    from snpkit.model.downstream import DOWNSTREAM
    from snpkit.model.pretraining import SNPForPreTraining
    from snpkit.training.checkpoint import without_progress_bar

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
