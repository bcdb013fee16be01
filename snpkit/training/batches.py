"""The batches of pre-training, and what those of every task have in common."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snpkit.data.dataset import VideoTextDataset
from snpkit.data.loader import ShuffledBatches, make_loader
from snpkit.data.samples import VideoText
from snpkit.data.shards import ShardRows
from snpkit.data.shards_order import ShardBatches
from snpkit.data.task_rows import digest_rows
from snpkit.data.unreadable import UnreadableReport
from snpkit.data.video_ids import clip_numbers, video_id
from snpkit.errors import CheckpointError, UserError
from snpkit.language.masking import (
    MaskVocabulary,
    draw_significant_positions,
    mask_significant,
    mask_tokens,
)
from snpkit.language.significance import SignificanceTable, significance_of
from snpkit.language.tokenizer import CaptionBatch, encode_captions
from snpkit.model.slices import count_lengths
from snpkit.training import distributed
from snpkit.training.recipe import Recipe

# What `ShuffledSamples.made_of` compares, as a sentence names it.
_OTHERS = {
    "rows": "other training rows (captions, videos or windows)",
    "tokenizer": "another tokenizer",
    "table": "another table of significant words",
}
_FAR_DRAWS = 64  # rows of the data set to look at where a batch has no false caption


class ShuffledSamples:
    """Endless batches of a training set, with an exact position to come back to.

    What a batch holds depends on (seed, epoch, position) alone: frames, masks and drawn words. So
    the position is the whole state, and a resumed run sees what an uninterrupted one would.

    An epoch visits each video once, with one of its captions drawn at random, or each caption
    (recipe: data.draw). Every batch carries "video_ids", int64 [batch], the same number for all
    samples of one file (`snpkit.data.video_ids`), so that the matching losses compare none of them:
    the sample in the place of an unreadable video may be one that the batch already holds.

    A subclass says in `build` what becomes of collated samples.
    """

    def __init__(
        self,
        dataset: VideoTextDataset,
        tokenizer: Any,
        recipe: Recipe,
        table: SignificanceTable | None = None,
    ) -> None:
        """Set up the first epoch.

        Args:
            table: by which captions are alike, where the recipe's data.group is above 1; without
                one, or with shards, their order is random.
        """
        share = {"rank": distributed.rank(), "world_size": distributed.world_size()}
        rows, size = dataset.manifest.rows, recipe.data.batch_size
        if isinstance(rows, ShardRows):  # neighbours of an order that stays within a few files
            videos = recipe.data.draw == "videos"
            order = ShardBatches(rows, size, recipe.seed, draw_videos=videos, **share)
        else:
            options: dict[str, Any] = {}
            if recipe.data.draw == "videos":
                options["clips"] = clip_numbers(rows)
            if table is not None and recipe.data.group > 1:
                kinds = table.kinds_of(row.caption for row in rows)
                options |= {"kinds": kinds, "group": recipe.data.group}
            order = ShuffledBatches(len(dataset), size, recipe.seed, **share, **options)
        self.dataset, self.tokenizer, self.recipe = dataset, tokenizer, recipe
        self.table = table if recipe.data.group > 1 else None
        self.rows: Sequence[VideoText] = rows
        self.loader = make_loader(dataset, order, recipe.data.workers)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], list[str]]]:
        """(batch, the files it shows), epoch after epoch, from the present position on."""
        _ = self.made_of  # of what is there now: files may be edited while the run goes on
        while True:
            for samples in self.loader:
                rows = [self.dataset.manifest.rows[index] for index in samples["index"].tolist()]
                ids = torch.tensor([video_id(row) for row in rows])
                yield self.build(samples) | {"video_ids": ids}, [row.video for row in rows]

    def unreadable(self) -> UnreadableReport:
        """The clips that any process met and could not read; all processes must call this."""
        report = self.dataset.report()
        own = [text for pair in report.reasons.items() for text in pair]
        texts = distributed.gather_names(own, torch.device("cpu"))
        named = zip(texts[::2], texts[1::2], strict=True)
        # Each process leaves out what it cannot read; what all of them cannot read counts once.
        return UnreadableReport(report.clips, dict(named))

    def build(self, samples: dict[str, Any]) -> dict[str, Tensor]:
        """The model's batch of collated samples (`snpkit.data.dataset.collate`)."""
        raise NotImplementedError

    def pixels(self, samples: dict[str, Any]) -> dict[str, Tensor]:
        """What every model reads of the frames."""
        names = {"frames": "pixel_values", "pixel_mask": "pixel_mask"}
        return {new: samples[old] for old, new in names.items() if old in samples}

    def encode(self, captions: Sequence[str], generator: torch.Generator) -> CaptionBatch:
        """Captions as token ids, longer ones cut as the recipe says (data.truncation).

        What is cut is drawn once for each caption, so that masked and whole text are the same.
        """
        data = self.recipe.data
        drawn = generator if data.truncation == "random" else None
        return encode_captions(self.tokenizer, captions, data.max_tokens, drawn)

    def generator(self) -> torch.Generator:
        """Random numbers of the batch at the present position, and of no other."""
        position = self.loader.batches
        parts = [self.recipe.seed, position.epoch, position.position, distributed.rank()]
        seed = np.random.SeedSequence(parts).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(seed) >> 1)

    @cached_property
    def made_of(self) -> dict[str, str]:
        """A SHA-256 of each part that, besides the recipe, decides what the batches hold."""
        words = sorted(self.tokenizer.get_vocab().items(), key=lambda item: item[1])
        # The same words may be found otherwise: with capitals, accents, other scripts.
        probe = self.tokenizer("Café RED 北京 t-shirt, 3.5")["input_ids"]
        parts: dict[str, Any] = {"tokenizer": [words, probe]}
        if self.table is not None:
            ranks = [(word, entry.rank) for word, entry in self.table.entries.items()]
            parts["table"] = [self.table.top_k, ranks]
        digests = {n: sha256(json.dumps(part).encode()).hexdigest() for n, part in parts.items()}
        return {"rows": digest_rows(self.rows)} | digests

    def state_dict(self) -> dict[str, Any]:
        """The position behind the last batch that was given, and what the batches are made of."""
        return self.loader.state_dict() | {"made_of": self.made_of}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Come back to a position.

        Raises:
            CheckpointError: the state is of other rows, another tokenizer or another table; one
                saved by an earlier version does not say.
            UserError: the state is of another batch size or seed.
        """
        saved = state.get("made_of", {})
        for name, digest in self.made_of.items():
            if saved.get(name, digest) != digest:
                raise CheckpointError(
                    f"The saved run was trained with {_OTHERS[name]} than this one; resume with "
                    "those of the saved run, or start a new run in another folder."
                )
        self.loader.load_state_dict(state)


class PreTrainingBatches(ShuffledSamples):
    """Batches of pre-training: captions with masks and significant words."""

    def __init__(
        self,
        dataset: VideoTextDataset,
        tokenizer: Any,
        table: SignificanceTable,
        recipe: Recipe,
        *,
        words: int = 3,
        mismatched: bool = False,
    ) -> None:
        """Set up the first epoch.

        Args:
            dataset: the training samples.
            words: significant words to draw per caption for LVWM (paper: 3).
            mismatched: also give a false caption per sample, for image-text matching.

        Raises:
            UserError: the data set holds less than one batch.
        """
        super().__init__(dataset, tokenizer, recipe, table)
        self.table = table
        same_lemma = recipe.masking.same_lemma if recipe.masking.kind == "mssm" else 0.0
        self.vocabulary = MaskVocabulary.build(tokenizer, table, same_lemma=same_lemma)
        self.words, self.mismatched = words, mismatched
        self.true_captions: dict[str, set[str]] = defaultdict(set)
        for row in dataset.manifest.rows if mismatched else ():
            self.true_captions[row.video].add(row.caption)

    def build(self, samples: dict[str, Any]) -> dict[str, Tensor]:
        """The model's batch (see `SNPForPreTraining.forward`) of collated samples."""
        generator = self.generator()
        captions = self.encode(samples["captions"], generator)
        significant = significance_of(captions, self.table)
        masking = {"ratio": self.recipe.masking.ratio, "generator": generator}
        if self.recipe.masking.kind == "mssm":
            masked = mask_significant(captions, significant, self.vocabulary, **masking)
        else:
            masked = mask_tokens(captions, self.vocabulary, unit="word", **masking)
        batch = {
            **self.pixels(samples),
            "input_ids": captions.input_ids,
            "attention_mask": captions.attention_mask,
            "masked_input_ids": masked.input_ids,
            "labels": masked.labels,
            # Counted here, in main memory: a step asks no device for them.
            "lengths": count_lengths(captions.attention_mask),
            "label_count": int((masked.labels != -100).sum()),
            "significant_positions": draw_significant_positions(
                captions, significant, self.words, generator
            ),
        }
        if self.mismatched:
            false = self._false_captions(samples["index"].tolist(), generator)
            wrong = self.encode(false, generator)
            batch["mismatched_input_ids"] = wrong.input_ids
            batch["mismatched_attention_mask"] = wrong.attention_mask
            batch["mismatched_lengths"] = count_lengths(wrong.attention_mask)
        return batch

    def _false_captions(self, indices: list[int], generator: torch.Generator) -> list[str]:
        """For every sample the caption of another video: of the batch, else of the data set.

        None of the video's own captions will do, nor the same words said of another video.
        """
        rows = self.dataset.manifest.rows
        false = []
        for own in (rows[index] for index in indices):
            near = torch.randperm(len(indices), generator=generator).tolist()
            far = torch.randint(len(rows), (_FAR_DRAWS,), generator=generator).tolist()
            others = (rows[index] for index in (*(indices[place] for place in near), *far))
            true = self.true_captions[own.video]
            strange = (o for o in others if o.video != own.video and o.caption not in true)
            found = next(strange, None)
            if found is None:
                raise UserError(
                    f"Image-text matching finds no caption that is false for {own.video}: nearly "
                    "all rows show this video; leave `itm` out or add other videos."
                )
            false.append(found.caption)
        return false
