"""`snpkit search`: find videos of a folder with a sentence."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from snpkit.text import one_line

if TYPE_CHECKING:
    from snpkit.evaluation.search import FolderIndex, Hit

    Answers = Sequence[tuple[str, Sequence[Hit]]]

_NAMED = 20  # unreadable files that are named; --json and --html name more
_ENDINGS = 8  # of names of files that were passed over


def search(
    folder: tyro.conf.Positional[Path],
    sentences: tyro.conf.Positional[tuple[str, ...]],
    checkpoint: str = "laptop",
    top_k: int = 5,
    candidates: int = 20,
    index: Path | None = None,
    no_index: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    seconds: float = 60.0,
    html: Path | None = None,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Print the videos of a folder that answer each sentence best.

    The folder is encoded once; the next time only files that are new or have changed are.

    Args:
        folder: Its videos and images are read, with those of its subfolders.
        sentences: What to look for.
        checkpoint: "laptop", a checkpoint folder or a hub id.
        top_k: Videos per sentence.
        candidates: Best matches that the cross-modal pass reads again; 0 leaves re-ranking out.
        index: Folder to keep the index in; else snpkit's cache folder ($SNPKIT_CACHE, or what the
            platform has for it, such as ~/.cache/snpkit).
        no_index: Keep no index, and use none.
        seconds: Limit for reading one file, in a process that it may crash; 0 = read without.
        html: Also write one HTML file, with frames of the videos and why each was found.
        device: auto, cpu, cuda or mps.
        json: Print JSON in place of a table.
    """
    import sys

    import snpkit
    from snpkit.errors import UserError
    from snpkit.files import check_output

    if not sentences:
        raise UserError('Say what to look for, such as: snpkit search FOLDER "a red kite falls".')
    if index is not None and no_index:
        raise UserError("Choose --index or --no-index, not both.")
    if candidates < 0:
        raise UserError(f"--candidates is {candidates}; use 0 (no re-ranking) or more.")
    if top_k < 1:
        raise UserError(f"--top-k is {top_k}; show at least 1 video.")
    if html is not None:
        check_output(html)
    pipeline = snpkit.load(checkpoint, device=device)
    # Before a folder is encoded in vain: a sentence without a known word is refused.
    unknown = [words for words in map(pipeline.unknown_words, sentences) if words]
    cache = not no_index if index is None else index
    indexed = pipeline.index(folder, cache=cache, guard_seconds=seconds, progress=True)
    for words in unknown:
        note = f"snpkit: words that the model has never seen: {', '.join(words)}"
        print(one_line(note), file=sys.stderr)
    options = {"top_k": top_k, "candidates": candidates, "cache": cache}
    answers = list(zip(sentences, pipeline.search(sentences, folder, **options), strict=True))
    print("\n".join(_notes(indexed)), file=sys.stderr)
    if html is not None:
        from snpkit.explore.explorer.search_page import write_search_page

        write_search_page(html, pipeline, indexed, answers, reranked=candidates > 0)
    print(_json(indexed, answers) if json else _tables(indexed, answers))
    return 0


def _notes(index: "FolderIndex") -> list[str]:
    """What was searched, and what was left out."""
    kept = "not kept" if index.kept_in is None else f"index in {index.kept_in}"
    lines = [f"snpkit: {len(index.names):,} clips, {index.encoded:,} newly encoded; {kept}"]
    if count := len(index.unreadable):
        lines.append(f"snpkit: {_counted(count)} left out:")
        lines += [f"  {reason}" for reason in list(index.unreadable.values())[:_NAMED]]
        if (rest := count - _NAMED) > 0:
            lines.append(f"  and {rest:,} more; --json names them all")
    if passed := index.passed_over:
        endings = ", ".join(list(passed)[:_ENDINGS]) + ", ..." * (len(passed) > _ENDINGS)
        files = _counted(sum(passed.values()))
        lines.append(f"snpkit: {files} passed over, by name no videos or images: {endings}")
    return [one_line(line) for line in lines]


def _counted(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _tables(index: "FolderIndex", answers: "Answers") -> str:
    """One table a sentence."""
    lines = []
    for sentence, hits in answers:
        lines += [one_line(sentence), "   #     score  matching  file"]
        lines += [
            f"{place:4}  {hit.score:8.2f}  {hit.matching:8.2f}  {one_line(str(hit.path))}"
            for place, hit in enumerate(hits, start=1)
        ]
    return "\n".join(lines)


def _json(index: "FolderIndex", answers: "Answers") -> str:
    from json import dumps

    about = {"clips": len(index.names), "unreadable": index.unreadable}
    about["passed_over"] = index.passed_over
    rows = []
    for sentence, hits in answers:
        shown = [vars(hit) | {"path": str(hit.path)} for hit in hits]
        rows.append({"sentence": sentence, "hits": shown} | about)
    found = dumps(rows, indent=2, ensure_ascii=False)
    # What no terminal should get and what is no Unicode, as JSON spells it out.
    return re.sub("[\x7f-\x9f\ud800-\udfff]", lambda one: f"\\u{ord(one[0]):04x}", found)
