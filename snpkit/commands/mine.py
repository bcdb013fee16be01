"""`snpkit mine`: the significant words of a file of captions."""

from pathlib import Path
from typing import Annotated, Literal

import tyro


def mine(
    captions: tyro.conf.Positional[Path],
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("significance.json"),
    field: str | None = None,
    top_k: int = 3000,
    min_share: float = 0.25,
    parts: tuple[str, ...] = ("VERB", "NOUN", "ADJ"),
    share_of: Literal["all", "parts"] = "all",
    count_dropped: bool = False,
    stop_words: tuple[str, ...] | None = None,
    tokenizer: str | None = None,
    examples: int = 3,
    workers: int | None = None,
    restart: bool = False,
) -> int:
    """Tag captions, count their words and write the table of significant words.

    Memory grows with the number of different words, not of captions. After Ctrl-C the same command
    goes on where it stopped.

    Args:
        captions: A manifest or other .jsonl file, a .csv, .tsv or .txt file.
        output: JSON file of the table.
        field: Key or column of the caption; found by its usual names if not given.
        top_k: So many of the most frequent words are significant.
        min_share: A part of speech below this share of a word's count is dropped.
        parts: Parts of speech that count: VERB, NOUN, ADJ, NUM, PROPN.
        share_of: The count that a share refers to: all occurrences of the word, or those as one of
            the parts of speech that count (as in the published code).
        count_dropped: Leave a dropped part of speech in the word's count (as in the published
            code).
        stop_words: Words to leave out, in place of be, is, are, was, were.
        tokenizer: Keep only words of this vocabulary (directory or hub id).
        examples: Example captions kept per word.
        workers: Processes that tag; by default one per core, where the file is long enough.
        restart: Start anew, even if an unfinished run lies beside the output.
    """
    from snpkit.errors import UserError
    from snpkit.language.mining import mine_file

    for name, number, least in (("--workers", workers, 1), ("--examples", examples, 0)):
        if number is not None and number < least:
            raise UserError(f"{name} is {number}; use {least} or more.")
    options: dict = {"top_k": top_k, "min_share": min_share, "parts": parts}
    options |= {"share_of": share_of, "count_dropped": count_dropped}
    if stop_words is not None:
        options["stop_words"] = stop_words
    if tokenizer is not None:
        from snpkit.language.tokenizer import load_tokenizer

        options["vocabulary"] = load_tokenizer(tokenizer).get_vocab()
    options |= {"field": field, "examples": examples, "resume": not restart}
    table = mine_file(captions, output, workers=workers, **options)
    words = table.significant_words
    print(f"{len(words)} significant words in {output}: {', '.join(words[:10])} ...")
    return 0
