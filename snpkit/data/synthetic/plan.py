"""Plan a corpus: what every clip shows, its caption and its seed, before anything is drawn."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snpkit.data.samples import VideoText
from snpkit.data.synthetic.composition import Composition, complete, draw_splits
from snpkit.data.synthetic.grammar import Caption, write_caption
from snpkit.data.synthetic.render import ClipForm
from snpkit.errors import UserError

_SPLITS = ("validation", "test", "train")  # held-out captions are written first


@dataclass(frozen=True)
class CorpusSettings:
    """Everything that decides the corpus; the same settings give the same clips and captions.

    Attributes:
        train, validation, test: clips of each split.
        seed: of everything random.
        size: pixels of the square clips, even, 32 to 512.
        rate: frames per second.
        seconds: length of each clip.
        split_kind: "compositions" or "pairs" (see `composition.draw_splits`).
        second_object: chance of a second object.
        omission: chance that a caption does not name one of noun, colour, motion and scene.
        afterimage: strength of the trail behind moving objects, 0 to 1; 0 = none.
    """

    train: int = 4000
    validation: int = 256
    test: int = 512
    seed: int = 0
    size: int = 96
    rate: int = 8
    seconds: float = 2.0
    split_kind: str = "compositions"
    second_object: float = 0.25
    omission: float = 0.1
    afterimage: float = 0.3

    def check(self) -> None:
        """Raise UserError for a setting that makes no corpus."""
        counts = (self.train, self.validation, self.test)
        problems = {
            "train, validation and test must not be negative": min(counts) < 0,
            "train + validation + test must be at least 1": sum(counts) < 1,
            "seed must not be negative": self.seed < 0,
            "size must be an even number from 32 to 512": self.size not in range(32, 513, 2),
            "rate must be a whole number from 1 to 60": self.rate not in range(1, 61),
            "seconds must lie between 0.25 and 60": not 0.25 <= self.seconds <= 60,
            'split_kind must be "compositions" or "pairs"': self.split_kind
            not in ("compositions", "pairs"),
            "second_object, omission and afterimage must lie between 0 and 1": not all(
                0 <= share <= 1 for share in (self.second_object, self.omission, self.afterimage)
            ),
        }
        for sentence, wrong in problems.items():
            if wrong:
                raise UserError(f"The corpus settings are wrong: {sentence}.")

    @property
    def form(self) -> ClipForm:
        """What rendering needs to know."""
        return ClipForm(self.size, self.rate, self.seconds, self.afterimage)


@dataclass(frozen=True)
class ClipPlan:
    """One clip before it is drawn: what it shows, its caption and the seed of its pixels."""

    name: str
    split: str
    composition: Composition
    caption: Caption
    seed: int

    @property
    def video(self) -> str:
        """Path of the file, relative to the corpus."""
        return f"videos/{self.name}.mp4"

    def row(self, boxes: list, second_box: Any) -> VideoText:
        """The manifest's row."""
        extra = {
            "tags": [list(word) for word in self.caption.tags],
            "composition": asdict(self.composition),
            "named": sorted(self.caption.named),
            "boxes": [list(box) for box in boxes],
            "second_box": None if second_box is None else list(second_box),
        }
        return VideoText(
            id=self.name, video=self.video, caption=self.caption.text, split=self.split, extra=extra
        )


def plan_corpus(settings: CorpusSettings) -> list[ClipPlan]:
    """Decide what every clip shows and says; no held-out caption occurs in training.

    Raises:
        UserError: the settings ask for what cannot be.
    """
    settings.check()
    counts = {split: getattr(settings, split) for split in _SPLITS}
    rng = np.random.default_rng(settings.seed)
    quadruples, held_out_pairs = draw_splits(counts, settings.split_kind, rng)
    held_out: set[str] = set()
    plans: dict[str, list[ClipPlan]] = {split: [] for split in _SPLITS}
    for number, split in enumerate(_SPLITS):
        hidden = held_out_pairs if split == "train" else set()
        for index, quadruple in enumerate(quadruples[split]):
            rng = np.random.default_rng([settings.seed, number, index])
            sign = 1 if rng.random() < 0.5 else -1
            composition = complete(quadruple, sign, settings.second_object, rng, hidden)
            caption = _new_caption(composition, rng, settings.omission, held_out)
            if split != "train":
                held_out.add(caption.text)
            seed = int(rng.integers(2**62))
            plan = ClipPlan(f"{split}-{index:06d}", split, composition, caption, seed)
            plans[split].append(plan)
    return [plan for split in ("train", "validation", "test") for plan in plans[split]]


def _new_caption(
    composition: Composition, rng: np.random.Generator, omission: float, taken: set[str]
) -> Caption:
    for _ in range(1000):
        caption = write_caption(composition, rng, omission=omission)
        if caption.text not in taken:
            return caption
    raise UserError("Cannot find a caption that is not yet taken; ask for fewer clips.")
