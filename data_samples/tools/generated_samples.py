"""Choose the generated clips that data_samples ships (for maintainers).

    python -m data_samples.tools.generated_samples CORPUS data_samples

They come from the corpus's test split, so that the shipped checkpoint has seen none of their
compositions. Every noun is shown once. Each clip has its own caption and a second one, a question
with its answer, and a choice of five captions of which one is true.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np

from snpkit.data.samples import Manifest, VideoText
from snpkit.data.synthetic.composition import Composition
from snpkit.data.synthetic.grammar import write_caption
from snpkit.data.synthetic.sprites import NOUNS
from snpkit.errors import UserError

SPLIT = "samples"
_KEPT = ("tags", "composition", "boxes", "second_box")


def choose_rows(corpus: Manifest, count: int) -> list[VideoText]:
    """`count` test rows whose caption names everything: each noun first, then more of them.

    Raises:
        UserError: the corpus has too few of them.
    """
    whole = [row for row in corpus.split("test").rows if len(row.extra["named"]) >= 4]
    first = {row.extra["composition"]["noun"]: row for row in reversed(whole)}
    chosen = [first[noun] for noun in NOUNS if noun in first]
    chosen += [row for row in whole if row not in chosen]
    if len(chosen) < count:
        raise UserError(f"The corpus {corpus.root} has only {len(chosen)} clips to choose from.")
    return chosen[:count]


def second_caption(row: VideoText, taken: set[str], rng: np.random.Generator) -> str:
    """Another caption of the same clip, in other words, that no clip of the corpus has."""
    composition = Composition(**row.extra["composition"])
    for _ in range(1000):
        text = write_caption(composition, rng, omission=0.0).text
        if text not in taken:
            return text
    raise UserError(f"No new caption can be written for {row.id}.")


def question_of(row: VideoText, number: int) -> tuple[str, str]:
    """A question about the clip and its one-word answer; the kinds take turns."""
    shown = row.extra["composition"]
    questions = (
        (f"what colour is the {shown['noun']}?", shown["colour"]),
        (f"what is the {shown['colour']} thing?", shown["noun"]),
        ("where does it happen?", shown["scene"]),
    )
    return questions[number % len(questions)]


def sample_rows(corpus: Manifest, count: int = 32, seed: int = 0) -> list[VideoText]:
    """Two rows per chosen clip, with paths below `generated/`."""
    rng = np.random.default_rng(seed)
    taken = {row.caption for row in corpus.rows}
    chosen = choose_rows(corpus, count)
    rows = []
    for number, row in enumerate(chosen):
        others = [chosen[(number + step) % count].caption for step in (1, 3, 7, 11)]
        place = number % 5
        question, answer = question_of(row, number)
        extra = {key: row.extra[key] for key in _KEPT} | {
            "question": question,
            "answer": answer,
            "options": [*others[:place], row.caption, *others[place:]],
            "answer_index": place,
            "licence": "MIT",
        }
        another = second_caption(row, taken, rng)
        taken.add(another)
        for index, caption in enumerate((row.caption, another), start=1):
            # The true parts of speech belong to the first caption only.
            kept = extra if index == 1 else {k: v for k, v in extra.items() if k != "tags"}
            name, video = f"{row.id}-{index}", f"generated/{Path(row.video).name}"
            rows.append(VideoText(name, video, caption, SPLIT, extra=kept))
    return rows


def make(corpus: Manifest, output: Path) -> Manifest:
    """Copy the clips to `output/generated` and write their rows; rows of other splits stay."""
    path = output / "manifest.jsonl"
    kept = [row for row in Manifest.load(path).rows if row.split != SPLIT] if path.exists() else []
    rows = sample_rows(corpus)
    folder = output / "generated"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for row in rows:
        name = Path(row.video).name
        shutil.copyfile(corpus.root / "videos" / name, folder / name)
    manifest = Manifest(output, rows + kept)
    manifest.save(path)
    return manifest


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="folder of a generated corpus")
    parser.add_argument("output", type=Path, help="the data_samples folder")
    arguments = parser.parse_args()
    made = make(Manifest.load(arguments.corpus / "manifest.jsonl"), arguments.output)
    print(f"{len(made.rows)} rows written")
