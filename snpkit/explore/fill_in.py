"""What a model puts in the place of a hidden word: from the text alone, and with the video.

The text pass sees the other words only, the cross-modal pass sees the clips as well; both are the
same network. Where their guesses differ, the model has looked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from snpkit.evaluation.encoding import encode_one, evaluating
from snpkit.explore.explanation import read_caption
from snpkit.explore.significance import scores_with
from snpkit.explore.substitution import exchange_words

if TYPE_CHECKING:
    from snpkit.explore.protocols import TrainedModel


@dataclass(frozen=True)
class Guess:
    """A word in the place of another.

    Attributes:
        word: a whole word of the vocabulary.
        probability: that the masked-language-modelling head gives it, in [0, 1].
        score: matching score of caption and video with this word there.
    """

    word: str
    probability: float
    score: float


@dataclass(frozen=True)
class FillIn:
    """Guesses for one hidden word, the likeliest first; None where the model has no such head."""

    alone: list[Guess] | None
    with_video: list[Guess] | None


@torch.no_grad()
def fill_in(
    pipeline: "TrainedModel", caption: str, video: "str | Tensor", *, most: int = 5
) -> list[FillIn]:
    """Hide each word of a caption in turn, and let the model guess it in both passes.

    Args:
        pipeline: what `snpkit.load` gave.
        caption: any text with a word in it.
        video: a file, or uint8 frames [clips, frames, 3, height, width].
        most: guesses per word and pass.

    Returns:
        One for each word that the model reads.

    Raises:
        UserError: no word in the caption; VideoError: the file cannot be read.
    """
    model, tokenizer = pipeline.model, pipeline.tokenizer
    batch, _, _ = read_caption(tokenizer, caption)
    seen = encode_one(model, *pipeline.frames_of(video))
    with evaluating(model):
        swap = exchange_words(model, tokenizer, batch, guesses=0)
        ids, mask, first = swap.input_ids[1:], swap.attention_mask[1:], swap.first  # [words, ...]
        place = torch.arange(len(ids), device=ids.device)

        def guesses(head: str, tokens: Callable[[], Tensor]) -> list[list[Guess]] | None:
            if not hasattr(model, head):
                return None
            logits = getattr(model, head)(tokens()[place, first], model.word_embeddings).float()
            whole = _whole_words(tokenizer, logits.shape[1]).to(logits.device)
            chances, best = logits.softmax(1).where(whole, 0).topk(most, dim=1)  # [words, most]
            own = swap.input_ids[0].expand(len(ids), most, -1).clone()  # [words, most, tokens]
            own[place[:, None], torch.arange(most), first[:, None]] = best
            pieces = _later_pieces(batch.word_ids[0].to(ids.device), first)  # [words, tokens]
            kept = mask[:, None].masked_fill(pieces[:, None], 0).expand_as(own)
            scores = scores_with(model, own.flatten(0, 1), kept.flatten(0, 1), seen)
            scored = scores.view(-1, most).tolist()
            return [
                list(map(Guess, tokenizer.convert_ids_to_tokens(row), *numbers))
                for row, *numbers in zip(best.tolist(), chances.tolist(), scored, strict=True)
            ]

        network, clips = model.network, seen.clip_tokens.expand(len(ids), -1, -1)
        alone = guesses("text_mlm_head", lambda: network.text_pass(ids, mask).tokens)
        joint = guesses("cross_mlm_head", lambda: network.cross_modal_pass(ids, mask, clips).text)
    none = [None] * len(ids)
    return [FillIn(*both) for both in zip(alone or none, joint or none, strict=True)]


def _whole_words(tokenizer: object, size: int) -> Tensor:
    """bool [vocabulary]: tokens that are whole words, no pieces and no signs."""
    special = set(tokenizer.all_special_tokens)
    whole = torch.zeros(size, dtype=torch.bool)
    whole[[i for word, i in tokenizer.get_vocab().items()
           if word[0].isalnum() and word not in special]] = True  # fmt: skip
    return whole


def _later_pieces(word_ids: Tensor, first: Tensor) -> Tensor:
    """bool [words, tokens]: the pieces of a word after its first."""
    own = word_ids == torch.arange(len(first), device=first.device)[:, None]
    return own & (torch.arange(len(word_ids), device=first.device) != first[:, None])
