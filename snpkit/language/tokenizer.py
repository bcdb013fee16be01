"""WordPiece: train a small tokenizer or load one, and keep track of which token is which word."""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import punctuation
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from unicodedata import category

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from snpkit.errors import UserError
from snpkit.files import own_file, read_json, write_json
from snpkit.text import is_empty

if TYPE_CHECKING:
    from transformers import BertTokenizer

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# What a tokenizer_config.json may say. Other entries of it name files, code or other classes.
_SETTINGS = {
    "do_lower_case", "strip_accents", "tokenize_chinese_chars", "unk_token", "sep_token",
    "pad_token", "cls_token", "mask_token", "model_max_length", "max_length", "stride",
    "padding_side", "pad_to_multiple_of", "pad_token_type_id", "truncation_side",
    "truncation_strategy",
}  # fmt: skip
LONGEST_WORD = 100  # characters; BERT's tokenizer makes [UNK] of a longer word
_PREFIX = "##"  # marks a piece that continues a word


@dataclass
class CaptionBatch:
    """Captions as token ids, each token knowing the word that it is a piece of.

    Attributes:
        input_ids: int64 [batch, tokens]; [CLS] pieces [SEP], then [PAD].
        attention_mask: int64 [batch, tokens]; 1 = token, 0 = padding.
        word_ids: int64 [batch, tokens]; index of the word in `words`, -1 = special or padding.
        words: per caption the lower-cased words that have a token in the batch.
    """

    input_ids: Tensor
    attention_mask: Tensor
    word_ids: Tensor
    words: list[list[str]]

    def to(self, device: torch.device | str) -> "CaptionBatch":
        """The same batch with its tensors on `device`."""
        moved = (x.to(device) for x in (self.input_ids, self.attention_mask, self.word_ids))
        return CaptionBatch(*moved, self.words)

    def __len__(self) -> int:
        return len(self.input_ids)


def train_tokenizer(captions: Iterable[str], vocab_size: int = 2000) -> "BertTokenizer":
    """Train a lower-case WordPiece tokenizer on captions.

    Merges run until every word of the captions is one token or `vocab_size` is reached, the most
    frequent pairs first. The same captions give the same vocabulary in every process. Words of more
    than `LONGEST_WORD` characters are left out: the tokenizer makes [UNK] of them, and the time of
    training grows with the square of a word's length.

    Args:
        captions: texts to learn from. They are gone through twice and not held in memory; of an
            iterator, which can be gone through only once, a list is made.
        vocab_size: largest number of tokens, special tokens and single characters included.

    Returns:
        A transformers BertTokenizer with [PAD]=0, [UNK]=1, [CLS]=2, [SEP]=3, [MASK]=4.

    Raises:
        UserError: no caption holds a word, or `vocab_size` has no room for words.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import BertTokenizer

    if vocab_size < 32:
        raise UserError(f"A vocabulary of {vocab_size} tokens is too small; take at least 32.")
    model = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    model.normalizer = normalizer = normalizers.BertNormalizer(lowercase=True)
    model.pre_tokenizer = cutter = pre_tokenizers.BertPreTokenizer()
    captions = list(captions) if iter(captions) is captions else captions

    def texts() -> Iterator[str]:
        # Nothing of `model` is asked here: it is locked while it is trained.
        for text in map(normalizer.normalize_str, captions):
            if len(text) > LONGEST_WORD:
                words = (word for word, _ in cutter.pre_tokenize_str(text))
                text = " ".join(word for word in words if len(word) <= LONGEST_WORD)
            yield text

    letters = _alphabet(texts(), limit=(vocab_size - len(SPECIAL_TOKENS)) // 3)
    if not letters:
        raise UserError("Cannot train a tokenizer: the captions hold no words.")
    # The trainer numbers continuing letters in the order of a hash map, and that number breaks ties
    # between pairs: handing them over in sorted order makes the outcome repeatable.
    start = [*SPECIAL_TOKENS, *letters, *(_PREFIX + letter for letter in letters)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=start,
        limit_alphabet=len(letters),
        show_progress=False,
    )
    model.train_from_iterator(texts(), trainer)
    return BertTokenizer(vocab=model.get_vocab(), do_lower_case=True)


def _alphabet(texts: Iterable[str], limit: int) -> list[str]:
    # Captions from the web hold thousands of rare characters; they may not crowd out the words.
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    frequent = sorted((c for c in counts if not c.isspace()), key=lambda c: (-counts[c], c))
    return sorted(frequent[:limit])


def load_tokenizer(path_or_hub_id: str | Path) -> "BertTokenizer":
    """Load a WordPiece tokenizer from a local directory or by hub id (`bert-base-uncased`).

    Raises:
        UserError: the directory holds no tokenizer, or the hub id cannot be loaded.
    """
    folder = _tokenizer_folder(path_or_hub_id)
    # Without them transformers makes a tokenizer of special tokens only and says nothing.
    if not any(own_file(folder, name) for name in ("tokenizer.json", "vocab.txt")):
        raise UserError(
            f"{path_or_hub_id} holds no tokenizer (tokenizer.json or vocab.txt); "
            "name a folder written by save_pretrained or a hub id."
        )
    try:
        tokenizer = _read_tokenizer(folder)
        # Its own words only: transformers appends special tokens that a vocabulary lacks, with ids
        # that no model knows.
        vocabulary = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False)
    except UserError:
        raise
    except Exception as error:  # the tokenizers library raises plain Exception
        raise UserError(
            f"The tokenizer in {path_or_hub_id} cannot be read; is it BERT's WordPiece?"
        ) from error
    missing = [token for token in SPECIAL_TOKENS if token not in vocabulary]
    if missing or len(vocabulary) <= len(SPECIAL_TOKENS):
        lack = ", ".join(missing) or "words"
        raise UserError(f"The vocabulary in {path_or_hub_id} lacks {lack}; is it BERT's WordPiece?")
    return tokenizer


def _read_tokenizer(folder: Path) -> "BertTokenizer":
    """BERT's tokenizer of a folder's own files, read from copies that hold nothing else."""
    from transformers import BertTokenizer

    with TemporaryDirectory(prefix="snpkit-") as copies:
        for name in ("tokenizer.json", "vocab.txt"):
            if (path := own_file(folder, name)) is not None:
                shutil.copyfile(path, Path(copies) / name)
        if (path := own_file(folder, "tokenizer_config.json")) is not None:
            settings = {k: v for k, v in read_json(path).items() if k in _SETTINGS}
            write_json(Path(copies) / path.name, settings)
        tokenizer = BertTokenizer.from_pretrained(copies, trust_remote_code=False)
    tokenizer.name_or_path = str(folder)
    return tokenizer


def _tokenizer_folder(path_or_hub_id: str | Path) -> Path:
    path = Path(path_or_hub_id)
    if path.is_dir():
        return path
    if path.exists():
        raise UserError(f"{path} is a file; name the folder that holds the tokenizer.")
    from huggingface_hub import snapshot_download

    files = ["tokenizer.json", "tokenizer_config.json", "vocab.txt"]
    try:
        return Path(snapshot_download(str(path_or_hub_id), allow_patterns=files))
    except Exception as error:  # no network, no such model, not even a valid name
        raise UserError(
            f"There is no folder {path_or_hub_id}, and no model of that name can be reached on the "
            "hub; check the spelling or the network."
        ) from error


def encode_captions(
    tokenizer: "BertTokenizer",
    captions: Sequence[str],
    max_tokens: int = 30,
    generator: torch.Generator | None = None,
) -> CaptionBatch:
    """Turn captions into a padded batch of token ids.

    Captions are cut at `max_tokens` tokens, [CLS] and [SEP] included, and padded to the longest of
    the batch. A caption that contains the text "[MASK]" gets those letters, not the mask token.

    Args:
        generator: draws which part of a longer caption is kept, once for each of them: as many
            tokens as fit from the start of a random word on, so that every word may be kept and
            none loses its beginning. None = keep the first part.

    Raises:
        UserError: no caption at all, a caption without a word, or `max_tokens` under 3.
    """
    if max_tokens < 3:
        raise UserError(f"max_tokens is {max_tokens}; [CLS], one word and [SEP] need at least 3.")
    if not captions:
        raise UserError("There is no caption to encode.")
    encoded = tokenizer(
        list(captions), add_special_tokens=False, split_special_tokens=True, verbose=False
    )
    ids, word_ids, words = [], [], []
    for index, (caption, pieces) in enumerate(zip(captions, encoded["input_ids"], strict=True)):
        of_word = encoded.word_ids(index)
        if not pieces or is_empty(caption):
            raise UserError(
                f"Caption {index} ({caption!r}) holds no word; leave it out or write one."
            )
        room = max_tokens - 2
        start = 0 if generator is None else _window_start(of_word, room, generator)
        kept = of_word[start : start + room]
        ids.append([tokenizer.cls_token_id, *pieces[start : start + room], tokenizer.sep_token_id])
        word_ids.append([-1, *(word - kept[0] for word in kept), -1])
        words.append(_words(tokenizer, caption)[kept[0] : kept[-1] + 1])
    return CaptionBatch(
        _padded(ids, tokenizer.pad_token_id),
        _padded([[1] * len(row) for row in ids], 0),
        _padded(word_ids, -1),
        words,
    )


def _padded(rows: list[list[int]], value: int) -> Tensor:
    return pad_sequence([torch.tensor(row) for row in rows], True, value)


def _window_start(word_ids: list[int], room: int, generator: torch.Generator) -> int:
    """The piece at which a window of `room` pieces starts: that of a random word.

    The last start is the first one from which the caption fits to its end.
    """
    if len(word_ids) <= room:
        return 0
    starts = [n for n, word in enumerate(word_ids) if n == 0 or word_ids[n - 1] != word]
    before = sum(start < len(word_ids) - room for start in starts)
    choices = starts[: before + 1]
    return choices[int(torch.randint(len(choices), (), generator=generator))]


def _words(tokenizer: "BertTokenizer", caption: str) -> list[str]:
    backend = tokenizer.backend_tokenizer
    text = backend.normalizer.normalize_str(caption)
    return [word.lower() for word, _ in backend.pre_tokenizer.pre_tokenize_str(text)]


def known_words(tokenizer: "BertTokenizer", text: str, *, whole: bool = False) -> dict[str, bool]:
    """Which words of a text a model can know; punctuation is left out.

    A word is unknown where it, or one of its pieces, is [UNK] to the tokenizer.

    Args:
        whole: a word in pieces is unknown too. So it is where the tokenizer cut no word of the
            captions that the model learned from: the pieces then never stood in a caption.
    """
    encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
    known = {}
    for place, word in enumerate(_words(tokenizer, text)):
        if not all(c in punctuation or category(c).startswith("P") for c in word):
            pieces = encoded["input_ids"][slice(*encoded.word_to_tokens(place))]
            known[word] = tokenizer.unk_token_id not in pieces and not (whole and pieces[1:])
    return known


def word_spans(tokenizer: "BertTokenizer", caption: str) -> list[tuple[int, int]]:
    """Where each word stands in the caption as the user wrote it.

    Returns:
        One (start, end) pair of character offsets per word, in the order of `CaptionBatch.words`;
        `caption[start:end]` keeps the caption's capitals and accents.
    """
    encoded = tokenizer(caption, add_special_tokens=False, split_special_tokens=True, verbose=False)
    words = dict.fromkeys(encoded.word_ids())
    return [tuple(encoded.word_to_chars(word)) for word in words]
