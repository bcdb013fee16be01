"""Batches: their order, with a position to come back to, and who reads them ahead."""

import multiprocessing
import re
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from snpkit.data.dataset import VideoTextDataset, collate
from snpkit.data.video_ids import RowsByClip, caption_draws
from snpkit.errors import UserError
from snpkit.spawning import check_main_guard

_AHEAD = 2  # batches that threads read while one is in use


class ShuffledBatches:
    """Numbers of samples in batches, in a new random order each epoch, with an exact position.

    Iterating yields the batches that are left of the present epoch and moves the position along;
    the order depends on (seed, epoch) only, so that the position is all there is to save.

    With `clips` an epoch visits every clip once, with one of its samples (captions) drawn anew each
    epoch: no clip stands twice in a batch, where it would be its own negative. Where every clip has
    one sample, the order is the same as without `clips`.

    Attributes:
        epoch: the present epoch, from 0.
        position: batches of it that are taken.
        visited: samples that an epoch visits: all, or one of each clip.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        seed: int = 0,
        drop_last: bool = True,
        *,
        rank: int = 0,
        world_size: int = 1,
        kinds: np.ndarray | None = None,
        group: int = 1,
        clips: np.ndarray | None = None,
    ) -> None:
        """Set up epoch 0.

        Args:
            size: samples in the data set.
            batch_size: samples in a batch, over all processes.
            seed: of the order.
            drop_last: leave out the incomplete last batch; contrastive losses want equal batches.
            rank, world_size: which share of each batch this process takes, of how many.
            kinds: int [size], the kind of each sample.
            group: how many of one kind stand side by side, as far as there are so many.
            clips: int [size], the clip that each sample shows (`snpkit.data.video_ids`); None =
                an epoch visits every sample.

        Raises:
            UserError: there is no whole batch, or it does not divide among the processes.
        """
        by_clip = None if clips is None else RowsByClip(clips)
        self._by_clip = by_clip if by_clip is not None and len(by_clip) < size else None
        self.visited = size if self._by_clip is None else len(self._by_clip)
        if batch_size < 1 or self.visited < (batch_size if drop_last else 1):
            drawn = f"{self.visited} videos, each drawn once an epoch,"
            what = f"{size} samples" if self._by_clip is None else drawn
            raise UserError(f"{what} give no batch of {batch_size}; choose a smaller batch size.")
        if world_size > 1 and (batch_size % world_size or not drop_last):
            raise UserError(
                f"A batch of {batch_size} does not divide among {world_size} processes; choose a "
                "multiple of it and leave out the incomplete batch."
            )
        self.size, self.batch_size, self.seed, self.drop_last = size, batch_size, seed, drop_last
        self.rank, self.world_size = rank, world_size
        self.kinds, self.group = kinds, group
        self.epoch = self.position = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(self.visited, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        """The batches that are left of this epoch; each is taken as it is given."""
        for batch in self.remaining():
            self.advance()
            yield batch

    def remaining(self) -> Iterator[list[int]]:
        """The batches that are left of this epoch; the position stays."""
        # Each list is made when its turn comes: those of an epoch of millions fill the memory.
        order = self._shuffled(np.random.default_rng([self.seed, self.epoch]))
        starts = range(0, len(self) * self.batch_size, self.batch_size)[self.position :]
        batches = (order[start : start + self.batch_size] for start in starts)
        return (batch[self.rank :: self.world_size].tolist() for batch in batches)

    def _shuffled(self, random: np.random.Generator) -> np.ndarray:
        """A random order of the samples, in which groups of one kind stand together."""
        order = random.permutation(self.visited)
        if self._by_clip is not None:
            order = self._by_clip.draw(caption_draws(self.seed, self.epoch))[order]
        if self.kinds is None or self.group == 1:
            return order
        kinds = self.kinds[order]
        order = order[np.argsort(kinds, kind="stable")]  # kind by kind
        _, counts = np.unique(kinds, return_counts=True)
        place = np.arange(len(order)) - np.repeat(counts.cumsum() - counts, counts)  # in its kind
        groups = np.split(order, np.flatnonzero(place % self.group == 0)[1:])
        return np.concatenate([groups[place] for place in random.permutation(len(groups))])

    def advance(self) -> None:
        """Take one batch; after the last one of an epoch comes the first of the next."""
        self.position += 1
        if self.position == len(self):
            self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        """The position, and what the order depends on."""
        return self._order() | {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Come back to a position.

        Raises:
            UserError: the state is of another data set, batch size or seed, or its epochs visit
                captions in place of videos, or the other way round.
        """
        saved, own = ("videos" if "videos" in one else "captions" for one in (state, self._order()))
        if saved != own:
            raise UserError(
                f"The saved run draws {saved} but this one draws {own}; resume with "
                f"data.draw={saved}."
            )
        for name, value in self._order().items():
            if state.get(name) != value:
                raise UserError(
                    f"The saved position has {name} {state.get(name)} but this run has {value}; "
                    "resume with the settings of the saved run."
                )
        epoch, position = state.get("epoch", -1), state.get("position", -1)
        if epoch < 0 or not 0 <= position < len(self):
            raise UserError(f"Batch {position} of epoch {epoch} is no position in this data set.")
        self.epoch, self.position = epoch, position

    def _order(self) -> dict[str, int]:
        order = {"size": self.size, "batch_size": self.batch_size, "seed": self.seed}
        order["drop_last"] = int(self.drop_last)
        # Only where it makes a difference: positions that were saved before still fit.
        return order | ({"videos": self.visited} if self.visited < self.size else {})


class _Upcoming:
    """The batch sampler of a DataLoader: what is left of the epoch, each number with its epoch.

    The position stays: workers read ahead, and only what has been used counts as taken.
    """

    def __init__(self, batches: ShuffledBatches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.batches.epoch
        for batch in self.batches.remaining():
            yield [(epoch, index) for index in batch]


class _ThreadedReader:
    """Reads the batches of a guarded data set ahead, each sample by a thread.

    The threads wait for processes. A DataLoader's workers could not have any: they may start none.
    """

    def __init__(self, dataset: VideoTextDataset, upcoming: _Upcoming, workers: int) -> None:
        self.dataset, self.upcoming = dataset, upcoming
        self.readers = ThreadPoolExecutor(workers, "snpkit-reader")
        self.collator = ThreadPoolExecutor(1, "snpkit-collate")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        upcoming = iter(self.upcoming)
        ahead: deque[tuple[list[Future], Future]] = deque()
        try:
            while True:
                while len(ahead) <= _AHEAD and (batch := next(upcoming, None)) is not None:
                    samples = [self.readers.submit(self.dataset.__getitem__, key) for key in batch]
                    ahead.append((samples, self.collator.submit(self._collate, samples)))
                if not ahead:
                    return
                yield ahead[0][1].result()
                ahead.popleft()
        finally:
            # What an abandoned loop or an error leaves unread stays so.
            for samples, batch in ahead:
                for future in (*samples, batch):
                    future.cancel()

    @staticmethod
    def _collate(samples: list[Future]) -> dict[str, Any]:
        batch = collate([sample.result() for sample in samples])
        if not torch.cuda.is_available():
            return batch
        # Pinned, so that they travel to the GPU while it works.
        return {n: v.pin_memory() if isinstance(v, torch.Tensor) else v for n, v in batch.items()}


class VideoTextLoader:
    """Batches of a data set in the order of `ShuffledBatches`; see `make_loader`."""

    def __init__(
        self, dataset: VideoTextDataset, batches: ShuffledBatches, loader: Iterable[dict[str, Any]]
    ) -> None:
        self.dataset, self.batches, self._loader = dataset, batches, loader

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.batches)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The batches (see `collate`) that are left of this epoch; then the next one is up.

        Raises:
            UserError: too many videos are unreadable.
        """
        try:
            for batch in self._loader:
                # Workers have copies of the data set: what they could not read comes along.
                self.dataset.note(batch.pop("unreadable"))
                self.batches.advance()
                yield batch
        except UserError as error:
            # torch puts a worker's traceback before the sentence.
            sentence = str(error).strip().splitlines()[-1]
            raise UserError(re.sub(r"^snpkit\.errors\.\w+: ", "", sentence)) from None
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise UserError(
                "A process that reads clips was killed, perhaps for want of memory; take fewer of "
                "them (data.workers)."
            ) from error

    def state_dict(self) -> dict[str, int]:
        """The position behind the last batch that was given."""
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Come back to a position; batches that workers hold already are forgotten."""
        self.batches.load_state_dict(state)


def make_loader(
    dataset: VideoTextDataset,
    batches: ShuffledBatches,
    workers: int = 0,
    *,
    context: str | None = None,
) -> VideoTextLoader:
    """Read batches, in `workers` processes ahead of their use.

    Frames in memory are taken in this process, whatever `workers` says.

    Args:
        dataset: where samples come from.
        batches: their order; its position follows the batches that are given.
        workers: processes, one decoding thread each; 0 reads in this process.
        context: "fork", "spawn" or None for the platform's way of starting processes.

    Raises:
        UserError: the order is of a data set of another size, or a script asks for fresh processes
            outside `if __name__ == "__main__":`.
    """
    if batches.size != len(dataset):
        raise UserError(f"The order of {batches.size} samples is not of {len(dataset)} samples.")
    if dataset.cache and dataset.cache.file is None:
        workers = 0
    guarded, start = dataset.guard is not None, context or multiprocessing.get_start_method()
    if workers and (guarded or start != "fork"):
        check_main_guard("make_loader")
    if workers and guarded:
        reader = _ThreadedReader(dataset, _Upcoming(batches), workers)
        return VideoTextLoader(dataset, batches, reader)
    loader = DataLoader(
        dataset,
        batch_sampler=_Upcoming(batches),
        num_workers=workers,
        collate_fn=collate,
        # Its own generator: torch's global one belongs to the training loop, which saves its state.
        generator=torch.Generator(),
        pin_memory=torch.cuda.is_available(),
        multiprocessing_context=context if workers else None,
        persistent_workers=workers > 0,
    )
    return VideoTextLoader(dataset, batches, loader)
