"""The clips of an ablation: generated once, decoded once, and shared by all runs on them."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from snpkit.data.cache import FrameCache
from snpkit.data.samples import Manifest
from snpkit.data.synthetic import generate_corpus
from snpkit.data.synthetic.plan import CorpusSettings
from snpkit.data.synthetic.tasks import QUESTIONS_FILE, write_tasks


class SharedCorpus(NamedTuple):
    """A corpus in memory: its rows with captions and with questions, and the frames of all clips.
    """

    captions: Manifest
    questions: Manifest
    cache: FrameCache


def make_corpus(folder: Path, settings: CorpusSettings, *, progress: bool = True) -> Manifest:
    """Generate the clips, captions and questions of a corpus, or reuse those in the folder.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    manifest = generate_corpus(folder, settings, progress=progress)
    if not (folder / QUESTIONS_FILE).is_file():
        write_tasks(manifest, settings.seed)
    return manifest


@lru_cache(maxsize=1)  # runs come corpus by corpus: the frames of one are in memory at a time
def open_corpus(folder: Path, settings: CorpusSettings, size: int) -> SharedCorpus:
    """A corpus that `make_corpus` made, with its frames decoded at size x size pixels.

    Raises:
        UserError: the clips cannot be read or take too much memory.
    """
    manifest = make_corpus(folder, settings, progress=False)
    questions = Manifest.load(folder / QUESTIONS_FILE)
    return SharedCorpus(manifest, questions, FrameCache.build(manifest, size, progress=False))
