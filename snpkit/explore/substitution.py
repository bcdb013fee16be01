"""A caption with one word taken out: [MASK] in its place, or what else could stand there."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from snpkit.evaluation.encoding import to_model
from snpkit.language.significance import SignificanceTable
from snpkit.language.tokenizer import CaptionBatch

if TYPE_CHECKING:
    from transformers import BertTokenizer

    from snpkit.model.pretraining import SNPForPreTraining


@dataclass(frozen=True)
class Substitution:
    """One caption of W words, and every way in which one of its words was exchanged.

    Row 0 is the caption itself, then follow, word by word, the caption with [MASK] in the word's
    place and the caption with each of G guesses there: 1 + W x (1 + G) rows.

    Attributes:
        input_ids: int64 [rows, tokens].
        attention_mask: int64 [rows, tokens].
        first: int64 [W], position of each word's first piece.
        guesses: per word its G guesses, the likeliest first; empty lists where none were made.
    """

    input_ids: Tensor
    attention_mask: Tensor
    first: Tensor
    guesses: list[list[str]]

    @property
    def positions(self) -> Tensor:
        """int64 [rows - 1], in each changed row the position of the word that was exchanged."""
        return self.first.repeat_interleave(1 + len(self.guesses[0]))

    def per_word(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Sort values of the changed rows: [rows - 1, ...] -> with [MASK] [W, ...], and the mean
        over the guesses [W, ...] (where none were made: with [MASK] again)."""
        of_word = rows.unflatten(0, (len(self.first), -1))  # [W, 1 + G, ...]
        masked = of_word[:, 0]
        return masked, (of_word[:, 1:].mean(1) if of_word.shape[1] > 1 else masked)


@torch.no_grad()
def exchange_words(
    model: "SNPForPreTraining",
    tokenizer: "BertTokenizer",
    batch: CaptionBatch,
    table: SignificanceTable | None = None,
    guesses: int = 8,
) -> Substitution:
    """Take out each word of a caption in turn.

    The guesses are the words that the text MLM head, which sees no video, would put in the place of
    the masked word: never the word itself, and of its own kind, significant for significant. So
    "red" gives way to other colours and "the" to other small words, and the caption stays one of
    the kind that the model was trained on. (Left to itself the MLM of a model that was trained with
    MSSM guesses a significant word everywhere: it was asked for nothing else.)

    Args:
        batch: one caption; the words of `batch.words[0]` are exchanged, all pieces together.
        table: says which words are significant; None = any word is a guess for any.
        guesses: number of guesses per word; none are made by a model without text MLM.
    """
    ids, mask = to_model(model, batch.input_ids), to_model(model, batch.attention_mask)
    words = torch.arange(len(batch.words[0]), device=ids.device)
    own = batch.word_ids[0].to(ids.device) == words[:, None]  # [words, tokens]
    first = own.long().argmax(1)
    masked = ids.masked_fill(own, tokenizer.mask_token_id)
    able = "text_mlm" in model.config.tasks and hasattr(model, "text_mlm_head")
    guesses = guesses if able else 0
    allowed = _candidates(tokenizer, batch.words[0], table, guesses).to(ids.device)
    allowed[words, ids[0, first]] = False
    best = ids.new_empty(len(words), 0)  # [words, guesses]
    if guesses:
        tokens = model.network.text_pass(masked, mask.expand_as(masked)).tokens[words, first]
        logits = model.text_mlm_head(tokens, model.word_embeddings)
        logits = logits.masked_fill(~allowed, -torch.inf)
        best = logits.topk(min(guesses, int(allowed.sum(1).min())), dim=1).indices
    # A guess is one token: it takes the place of the word's first piece, the others are hidden.
    starts = torch.arange(ids.shape[1], device=ids.device) == first[:, None]  # [words, tokens]
    filled = torch.where(starts[:, None], best[..., None], ids)  # [words, guesses, tokens]
    hidden = mask.masked_fill(own & ~starts, 0)  # [words, tokens]
    changed = torch.cat([masked[:, None], filled], 1).flatten(0, 1)
    masks = torch.cat([mask.expand(len(words), 1, -1), hidden[:, None].expand_as(filled)], 1)
    return Substitution(
        torch.cat([ids, changed]),
        torch.cat([mask, masks.flatten(0, 1)]),
        first,
        [tokenizer.convert_ids_to_tokens(row) for row in best.tolist()],
    )


def _candidates(
    tokenizer: "BertTokenizer", words: list[str], table: SignificanceTable | None, least: int
) -> Tensor:
    """bool [words, vocabulary]: tokens that may take a word's place. Where fewer than `least` and
    one more are of the word's kind, all whole words may."""
    vocabulary, special = tokenizer.get_vocab(), set(tokenizer.all_special_tokens)
    whole = torch.zeros(len(tokenizer), dtype=torch.bool)
    whole[[i for token, i in vocabulary.items() if token[0].isalpha() and token not in special]] = 1
    if table is None:
        return whole.repeat(len(words), 1)
    significant = torch.zeros_like(whole)
    significant[[vocabulary[word] for word in table.significant_words if word in vocabulary]] = 1
    kind = torch.tensor([table.is_significant(word) for word in words])
    alike = whole & (significant == kind[:, None])  # [words, vocabulary]
    return torch.where(alike.sum(1, keepdim=True) > least, alike, whole)
