"""Batches from shards: their order, in which neighbours come from the same few shards."""

import json
import zlib
from collections.abc import Iterator

import numpy as np

from snpkit.data.loader import ShuffledBatches
from snpkit.data.shards import ShardRows
from snpkit.data.video_ids import RowsByClip, caption_draws, clip_numbers
from snpkit.errors import AnnotationError, UserError


class ShardBatches(ShuffledBatches):
    """As `ShuffledBatches`, for shards.

    In each epoch the shards come in a new order; the rows of `together` of them at a time are
    shuffled, so that reading stays within a few files. The order is a function of (seed, epoch);
    the processes of a training take turns within each batch, and the workers of a process take
    whole batches: nothing is read twice or left out, however many they are.

    With `draw_videos` an epoch visits every clip once, with one of its captions drawn anew each
    epoch. All rows of a file lie in one shard, so that the table of contents, which is read for the
    captions anyhow, tells them.
    """

    def __init__(
        self,
        rows: ShardRows,
        batch_size: int,
        seed: int = 0,
        *,
        together: int = 4,
        draw_videos: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Set up epoch 0.

        Args:
            rows: all rows of the data set.
            batch_size: rows in a batch, over all processes.
            seed: of the order.
            together: shards whose rows are shuffled among each other.
            draw_videos: visit every clip once an epoch; else every row.
            rank: the share of each batch that this process takes ...
            world_size: ... of so many.

        Raises:
            UserError: there is no whole batch, or it does not divide among the processes.
        """
        visited = rows.clip_count() if draw_videos else len(rows)
        super().__init__(visited, batch_size, seed, rank=rank, world_size=world_size)
        if together < 1:
            raise UserError(f"together={together} shards cannot be mixed; choose 1 or more.")
        self.rows, self.size, self.together = rows, len(rows), together
        # The rows of each shard, videos first, and how many of them an epoch visits.
        shards = [one for kind in ("video", "image") for one in rows.spans() if one[0].kind == kind]
        self._ranges = [span for _, span in shards]
        self._visits = [shard.clips if draw_videos else shard.rows for shard, _ in shards]
        layout = [(shard.name, shard.clips, shard.rows) for shard in rows.shards]
        self._layout = zlib.crc32(json.dumps(layout).encode())

    def remaining(self) -> Iterator[list[int]]:
        """The batches that are left of this epoch; the position stays."""
        left, rest = len(self) - self.position, np.empty(0, np.int64)
        for group in self._groups(self.position * self.batch_size):
            rest = np.concatenate([rest, group])
            ready = min(len(rest) // self.batch_size, left)
            for batch in rest[: ready * self.batch_size].reshape(ready, self.batch_size):
                yield batch[self.rank :: self.world_size].tolist()
            rest, left = rest[ready * self.batch_size :], left - ready

    def _groups(self, skip: int) -> Iterator[np.ndarray]:
        """The shuffled rows of this epoch, a few shards at a time, without the first `skip`."""
        epoch = [self.seed, self.epoch, 0]
        order = np.random.default_rng(epoch).permutation(len(self._ranges))
        for place in range(0, len(order), self.together):
            shards = order[place : place + self.together]
            length = sum(self._visits[shard] for shard in shards)
            if skip < length:
                rows = np.concatenate([self._drawn(epoch, shard) for shard in shards])
                # A generator of their own: groups that are skipped need not be drawn.
                shuffled = np.random.default_rng([*epoch, place])
                yield rows[shuffled.permutation(length)][skip:]
            skip = max(skip - length, 0)

    def _drawn(self, epoch: list[int], shard: int) -> np.ndarray:
        """The rows of a shard that an epoch visits: int64 [visited]."""
        span, expected = self._ranges[shard], self._visits[shard]
        if expected == len(span):
            return np.arange(span.start, span.stop)
        by_clip = RowsByClip(clip_numbers(self.rows[span.start : span.stop]))
        if len(by_clip) != expected:
            raise AnnotationError(
                f"The rows from {self.rows[span.start].id!r} on show {len(by_clip)} clips, but the "
                f"index of their shard says {expected}; write the shards again."
            )
        return span.start + by_clip.draw(caption_draws(*epoch, int(shard)))

    def _order(self) -> dict[str, int]:
        return super()._order() | {"together": self.together, "shards": self._layout}
