"""`race mine`: mining against tagging one caption at a time."""

import time
from collections.abc import Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from snpkit.errors import UserError
from tests.benchmarks.comparison import Round, Subject

GENERATED = 4000  # captions written beside the samples' own where no file is given ...
_FOR_WORKERS = 5  # ... so many times as many where several processes, slow to start, share them
_FILE_LIMIT = 20_000  # captions taken from a file: enough for steady figures
_BASELINE = 500  # captions that the slow way is timed on


def default_captions(generated: int = GENERATED) -> list[str]:
    """Captions of the shipped samples, then generated ones; the same on every machine."""
    from snpkit.data.samples import sample_manifest
    from snpkit.data.synthetic.plan import CorpusSettings, plan_corpus

    written = plan_corpus(CorpusSettings(train=generated, validation=0, test=0))
    return [row.caption for row in sample_manifest().rows] + [p.caption.text for p in written]


def mining_subject(source: Path | None, workers: int) -> Subject:
    """Mining the captions of a file, or the default ones.

    Raises:
        UserError: the file cannot be read or holds no captions; `workers` is less than 1.
    """
    from snpkit.language.caption_files import read_captions
    from snpkit.machine import available_cores

    if workers < 1:
        raise UserError(f"--workers is {workers}; mining takes at least one process.")
    if source is None:
        captions = default_captions(GENERATED * (_FOR_WORKERS if workers > 1 else 1))
        origin = "the samples' and generated ones"
    else:
        captions = list(islice(read_captions(source), _FILE_LIMIT))
        origin = f"the first of {source}" if len(captions) == _FILE_LIMIT else str(source)
    # The plain way takes its captions from all over the file, as lengths may differ in its parts.
    spread = captions[:: max(1, len(captions) // _BASELINE)][:_BASELINE]

    def measure() -> Round:
        found = measure_mining(captions, workers=workers, baseline=spread)
        return Round(found["one_at_a_time"], found["mining"])

    words = sum(len(caption.split()) for caption in captions) / len(captions)
    processes = "1 process" if workers == 1 else f"{workers} processes, their start counted in"
    return Subject(
        name="mine",
        unit="captions/s",
        plain="one caption at a time, complete spaCy pipeline",
        ours=f"snpkit mine, {processes}",
        measure=measure,
        facts={
            "Captions": f"{len(captions):,} ({origin}), {words:.1f} words on average; "
            f"{len(spread):,} of them one at a time",
            "Machine": f"{available_cores()} cores, spaCy {version('spacy')}",
        },
    )


def measure_mining(
    captions: Sequence[str], *, workers: int = 1, baseline: int | Sequence[str] = 500
) -> dict[str, float]:
    """Compare mining with tagging one caption at a time by the complete spaCy pipeline.

    Args:
        captions: texts to mine.
        workers: processes that mine; their start is part of the time.
        baseline: captions that the slow way is timed on, or how many of the first.

    Returns:
        {"one_at_a_time", "mining"}: captions a second, and their "ratio".

    Raises:
        UserError: there is no caption.
    """
    import spacy

    from snpkit.language.counting import count_captions, count_chunk
    from snpkit.language.tagging import model_name

    few = list(captions[:baseline]) if isinstance(baseline, int) else list(baseline)
    if not captions or not few:
        raise UserError("There is no caption to measure mining with.")
    complete = spacy.load(model_name())
    complete(few[0])  # what happens once only is not measured
    count_chunk(few[:1], examples=0)
    start = time.perf_counter()
    for caption in few:
        complete(caption)
    slow = len(few) / (time.perf_counter() - start)
    start = time.perf_counter()
    for _ in count_captions(captions, workers=workers):
        pass
    fast = len(captions) / (time.perf_counter() - start)
    return {"one_at_a_time": slow, "mining": fast, "ratio": fast / slow}
