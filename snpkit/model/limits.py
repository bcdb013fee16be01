"""What a configuration leaves room for: tokens of a caption, clips of a video."""

from snpkit.errors import UserError
from snpkit.model.config import SNPConfig


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
