"""`snpkit convert`: from a checkpoint of the published code to a folder that snpkit opens."""

import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from snpkit.errors import CheckpointError, UserError

if TYPE_CHECKING:
    from torch import Tensor

Task = Literal["auto", "pretraining", "retrieval", "qa", "multichoice"]
Vision = Literal["features", "resnet50", "pvt_v2_b2", "video_swin_s", "video_swin_b"]


def convert(
    checkpoint: tyro.conf.Positional[Path],
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    task: Task = "auto",
    vision: Vision | None = None,
    heads: int | None = None,
    labels: Path | None = None,
    tokenizer: str = "bert-base-uncased",
    clips: int = 16,
    frames: int = 1,
    size: int | None = None,
    fit: Literal["crop", "long"] | None = None,
) -> int:
    """Convert a checkpoint of the paper's published code, with all of its weights.

    Sizes, visual encoder and task are found in the weights. The folder has no table of significant
    words, which no published checkpoint holds: `snpkit mine` makes one.

    Args:
        checkpoint: A .ckpt, .pth, .bin or .safetensors file. No code of it is run.
        output: Folder to write; it may not be there yet.
        task: What the model was made for; auto goes by its heads, and takes multiple choice for
            retrieval, as both have the same weights.
        vision: The visual encoder, if another one than its weights' names and widths say.
        heads: Attention heads; by default one for 64 numbers, as in BERT.
        labels: The train_ans2label.json of a model that answers questions; without it its answers
            are called 0, 1, 2 and so on.
        tokenizer: The one of its BERT: a folder or a hub id.
        clips: Clips of a video, as it is to be read from now on.
        frames: Frames of a clip.
        size: Pixels of a frame's side; by default 224 for Video Swin, else 448.
        fit: Centre square (crop) or whole picture (long); by default crop for Video Swin, else
            long.
    """
    from snpkit.checkpoint import has_checkpoint, save_checkpoint
    from snpkit.data.labels import AnswerLabels
    from snpkit.language.tokenizer import load_tokenizer
    from snpkit.model.downstream import SNPForQuestionAnswering
    from snpkit.model.limits import check_lengths
    from snpkit.model.reference import from_reference, published_config

    if output.exists() or has_checkpoint(output):
        raise UserError(f"{output} is there already; name another folder.")
    if size is not None and size < 1:
        raise UserError(f"--size is {size}; use a number above 0.")
    answers = None if labels is None else AnswerLabels.load(labels).answers
    words = load_tokenizer(tokenizer)
    weights = _read(checkpoint)
    choices: dict[str, Any] = {"clips": clips, "frames": frames}
    choices |= {f"{kind}_token_id": getattr(words, f"{kind}_token_id")
                for kind in ("pad", "cls", "sep", "mask")}  # fmt: skip
    choices |= {} if vision is None else {"vision": vision}
    try:
        config = published_config(weights, heads, **choices)
        swin = config.vision.startswith("video_swin")
        config.image_size = size or (224 if swin else 448)
        config.image_fit = fit or ("crop" if swin else "long")
        if len(words) != config.vocab_size:
            raise CheckpointError(f"The tokenizer {tokenizer} has {len(words)} entries, but the "
                                  f"weights know {config.vocab_size}; give its own tokenizer.")
        if answers and len(answers) != config.num_labels:
            raise CheckpointError(f"{labels} names {len(answers)} answers, but the weights know "
                                  f"{config.num_labels}; give the file it was trained with.")
        check_lengths(config, 3)  # the clips: how long captions are is chosen later
        model = from_reference(weights, config, task, answers)
    except UserError as error:
        raise CheckpointError(f"{checkpoint} cannot be converted: {error}") from error
    training = {"step": 0, "metrics": {}, "converted_from": checkpoint.name}
    save_checkpoint(output, model, training=training, tokenizer=words)
    kind, count = type(model).__name__, sum(value.numel() for value in model.parameters())
    print(f"{output}: {kind} of {count:,} weights, {config.architecture} with {config.vision}, "
          f"{clips} x {frames} frames of {config.image_size} px.")  # fmt: skip
    if isinstance(model, SNPForQuestionAnswering) and answers is None:
        print(f"Its {config.num_labels} answers are called by their numbers; give --labels.")
    return 0


def _read(path: Path) -> "dict[str, Tensor]":
    """The weights of a file, made without running its code.

    Raises:
        CheckpointError: no such file, or no weights in it, or things that are none.
    """
    from snpkit.weights import read_weights

    if not path.is_file():
        raise CheckpointError(f"There is no file {path}.")
    try:
        return read_weights(path)
    except CheckpointError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error.__cause__))
        if named and isinstance(error.__cause__, pickle.UnpicklingError):
            raise CheckpointError(
                f"{path} is refused, as it holds more than weights ({named[1]}) and could run code "
                "of its own; only where you trust its source, save the weights alone: "
                f'torch.save(torch.load("{path.name}", weights_only=False)["model"], "w.pth").'
            ) from None
        raise
