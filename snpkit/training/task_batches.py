"""The batches of downstream tasks: frames with captions, with questions, or with options."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from snpkit.data.cache import clip_name
from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import VideoText
from snpkit.data.task_rows import answer_of, encode_options, label_of
from snpkit.language.significance import SignificanceTable
from snpkit.language.tokenizer import encode_captions
from snpkit.model.downstream import NO_LABEL
from snpkit.model.slices import count_lengths
from snpkit.training.batches import ShuffledSamples
from snpkit.training.recipe import Recipe


class TaskBatches(ShuffledSamples):
    """Batches of one downstream task, as `snpkit.model.downstream` takes them.

    With `task.questions` above 1 a batch holds that many questions about each of its videos: what
    encoding a video costs is then paid once for all of them.

    Args:
        dataset: the training samples, whose rows fit the task (`check_rows`).
        answers: the label set of "qa".
        questions: all rows of "qa", where `dataset` has only one row of each clip
            (`one_row_a_clip`); None = the data set's own.
        table: of "retrieval" with data.group above 1: by which captions are alike.

    Raises:
        UserError: the data set holds less than one batch.
    """

    def __init__(
        self,
        dataset: VideoTextDataset,
        tokenizer: Any,
        recipe: Recipe,
        answers: Sequence[str] = (),
        questions: Sequence[VideoText] | None = None,
        table: SignificanceTable | None = None,
    ) -> None:
        super().__init__(dataset, tokenizer, recipe, table)
        self.task, self.labels = recipe.task.name, {name: n for n, name in enumerate(answers)}
        self.rows = dataset.manifest.rows if questions is None else questions
        self._about: dict[str, list[int]] = defaultdict(list)  # clip -> places of its questions
        for place, row in enumerate(self.rows if questions is not None else ()):
            self._about[clip_name(row)].append(place)

    def build(self, samples: dict[str, Any]) -> dict[str, Tensor]:
        """The model's batch of collated samples."""
        rows = [self.dataset.manifest.rows[index] for index in samples["index"].tolist()]
        longest = self.recipe.data.max_tokens
        batch = self.pixels(samples)
        if self.task == "multichoice":
            ids, mask = encode_options(self.tokenizer, rows, longest)
            labels = torch.tensor([label_of(row) for row in rows])
            return batch | {"input_ids": ids, "attention_mask": mask, "labels": labels}
        if self._about:
            rows, batch["video_index"] = self._questions(rows)
        texts = [row.caption for row in rows]
        if self.task == "retrieval":
            captions = self.encode(texts, self.generator())
        else:  # the end of a question is what is asked for
            captions = encode_captions(self.tokenizer, texts, longest)
        ids, mask = captions.input_ids, captions.attention_mask
        batch |= {"input_ids": ids, "attention_mask": mask, "lengths": count_lengths(mask)}
        if self.task == "qa":
            known = [self.labels.get(answer_of(row), NO_LABEL) for row in rows]
            batch["labels"] = torch.tensor(known)
        return batch

    def _questions(self, clips: Sequence[VideoText]) -> tuple[list[VideoText], Tensor]:
        """Some questions about each of the clips, and which clip each is about: int64 [questions].

        No question of a clip is drawn twice in a batch.
        """
        generator, drawn, index = self.generator(), [], []
        for number, clip in enumerate(clips):
            places = self._about[clip_name(clip)]
            order = torch.randperm(len(places), generator=generator)
            some = order[: self.recipe.task.questions].tolist()
            drawn += [self.rows[places[one]] for one in some]
            index += [number] * len(some)
        return drawn, torch.tensor(index)
