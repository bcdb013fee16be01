"""Batches of the downstream tasks: captions, questions with labels, or options."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from snpkit.data.dataset import VideoTextDataset
from snpkit.data.task_rows import answer_of, check_rows, encode_options, label_of
from snpkit.language.tokenizer import encode_captions
from snpkit.model.downstream import NO_LABEL
from snpkit.training.batches import ShuffledSamples
from snpkit.training.schema import Recipe


class TaskBatches(ShuffledSamples):
    """Batches of one downstream task, as `snpkit.model.downstream` takes them.

    Args:
        dataset: the training samples; rows of "qa" carry "answer" in their `extra`, rows of
            "multichoice" carry "options" and "label".
        answers: the label set of "qa".

    Raises:
        UserError: rows that do not fit the task, or less than one batch of them.
    """

    def __init__(
        self,
        dataset: VideoTextDataset,
        tokenizer: Any,
        recipe: Recipe,
        answers: Sequence[str] = (),
    ) -> None:
        super().__init__(dataset, tokenizer, recipe)
        self.task, self.labels = recipe.task.name, {name: n for n, name in enumerate(answers)}
        check_rows(self.task, dataset.manifest.rows)

    def build(self, samples: dict[str, Any]) -> dict[str, Tensor]:
        """The model's batch of collated samples."""
        rows = [self.dataset.manifest.rows[index] for index in samples["index"].tolist()]
        longest = self.recipe.data.max_tokens
        batch = self.pixels(samples)
        if self.task == "multichoice":
            ids, mask = encode_options(self.tokenizer, rows, longest)
            labels = torch.tensor([label_of(row) for row in rows])
            return batch | {"input_ids": ids, "attention_mask": mask, "labels": labels}
        captions = encode_captions(self.tokenizer, [row.caption for row in rows], longest)
        batch |= {"input_ids": captions.input_ids, "attention_mask": captions.attention_mask}
        if self.task == "qa":
            known = [self.labels.get(answer_of(row), NO_LABEL) for row in rows]
            batch["labels"] = torch.tensor(known)
        return batch
