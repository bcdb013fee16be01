"""`snpkit generate`: a corpus of short clips with captions, questions and choices."""

from pathlib import Path
from typing import Literal


def generate(
    output: Path = Path("data/generated"),
    train: int = 4000,
    validation: int = 128,
    test: int = 256,
    seed: int = 0,
    size: int = 96,
    rate: int = 8,
    seconds: float = 2.0,
    split_kind: Literal["compositions", "pairs"] = "compositions",
    second_object: float = 0.25,
    workers: int | None = None,
) -> int:
    """Draw a corpus of short mp4 clips with captions, or reuse the finished one in the folder.

    Args:
        output: Folder for videos/*.mp4, manifest.jsonl, questions.jsonl and choices.jsonl.
        train: Clips to train on.
        validation: Clips to watch a training with; their compositions are not trained on.
        test: Clips to measure with; their compositions occur nowhere else.
        seed: The same settings give the same clips and captions.
        size: Pixels of the square clips, an even number.
        rate: Frames per second.
        seconds: Length of each clip.
        split_kind: Hold out whole compositions, or (harder) pairs of noun and colour.
        second_object: Share of the clips with a second object.
        workers: Processes; one per core by default.
    """
    import time

    from snpkit.data.synthetic import CorpusSettings, generate_corpus
    from snpkit.data.synthetic.tasks import write_tasks

    settings = CorpusSettings(
        train, validation, test, seed, size, rate, seconds, split_kind, second_object
    )
    start = time.perf_counter()
    manifest = generate_corpus(output, settings, workers=workers)
    write_tasks(manifest, seed)
    took = time.perf_counter() - start
    clips = len(manifest.rows)
    print(f"{clips} clips in {output} ({took:.1f} s, {clips / took:.0f} clips/s)")
    return 0
