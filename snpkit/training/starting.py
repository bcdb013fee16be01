"""What a run takes over from a checkpoint: weights, tokenizer and model settings."""

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

from snpkit.errors import UserError
from snpkit.model.config import SNPConfig
from snpkit.training.schema import Recipe

if TYPE_CHECKING:
    from snpkit.pipeline import Pipeline


def start_from(checkpoint: str | Path, recipe: Recipe) -> tuple["Pipeline", SNPConfig]:
    """Load a checkpoint, and its configuration for the recipe's clips and frames.

    Of the recipe's model section only `attn_implementation` is read, which is no property of the
    weights: in bfloat16 on a CPU a step with the fused one takes nearly twice as long.

    Args:
        checkpoint: a folder, a shipped name or a hub id.

    Raises:
        UserError: the checkpoint's weights do not fit the frames or captions of the recipe.
        CheckpointError: there is no such checkpoint, or it is damaged.
    """
    from snpkit.pipeline import load

    data = recipe.data
    pipeline = load(checkpoint, device="cpu")
    config = deepcopy(pipeline.model.config)
    # The number of clips is free: it is a number of tokens. What sizes a weight stays as it is.
    seen, asked = (config.image_size, config.frames), (data.size, data.frames)
    if config.vision == "patch" and seen != asked:
        raise UserError(
            f"{checkpoint} was trained on {seen[1]} frames of {seen[0]} px a clip, and the "
            "positions of its patch encoder belong to them; set "
            f"data.frames={seen[1]} data.size={seen[0]}."
        )
    config.clips, config.image_fit = data.clips, data.fit
    config.image_size, config.frames = asked
    config.frame_middle = data.middle
    # How attention is computed is no property of weights, and no checkpoint keeps it.
    chosen = recipe.model.get("attn_implementation", config._attn_implementation)
    config._attn_implementation = chosen
    config.check()
    check_lengths(config, data.max_tokens)
    check_clips(config, recipe.evaluation.clips, "evaluation.clips")
    return pipeline, config


def check_lengths(config: SNPConfig, tokens: int, name: str = "data.max_tokens") -> None:
    """Raise UserError where a model has fewer positions than a caption's tokens, or its clips."""
    positions = config.max_position_embeddings
    if not 3 <= tokens <= positions:
        raise UserError(f"{name} is {tokens}; this model takes 3 to {positions} tokens a caption.")
    check_clips(config, config.clips)


def check_clips(config: SNPConfig, clips: int | None, name: str = "data.clips") -> None:
    """Raise UserError where a model has fewer positions than a video's clips; None passes."""
    most = config.max_position_embeddings - 1  # they count from 0 anew, with a [SEP] behind them
    if clips is not None and not 1 <= clips <= most:
        raise UserError(f"{name} is {clips}; this model takes 1 to {most} clips.")
