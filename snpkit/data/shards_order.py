"""Batches from shards: their order, in which neighbours come from the same few shards."""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from snpkit.data.loader import ShuffledBatches, caption_draws
from snpkit.data.shards import ShardRows
from snpkit.data.video_ids import RowsByClip, clip_numbers
from snpkit.errors import AnnotationError, UserError


@dataclass(frozen=True)
class _Part:
    """Shards that are drawn from together: so many rows a batch, `draws` times in a pass.

    `visited`: rows of each shard that a pass visits, all or one of each clip.
    """

    number: int
    ranges: list[range]
    visited: list[int]
    count: int

    @property
    def draws(self) -> int:
        return sum(self.visited) // self.count


class ShardBatches(ShuffledBatches):
    """As `ShuffledBatches`, for shards, with images and videos in a given proportion.

    In each epoch the shards come in a new order; the rows of `together` of them at a time are
    shuffled, so that reading stays within a few files. The order is a function of (seed, epoch);
    the processes of a training take turns within each batch, and the workers of a process take
    whole batches: nothing is read twice or left out, however many they are.

    With `draw_videos` an epoch visits every clip once, with one of its captions drawn anew each
    epoch. All rows of a file lie in one shard, so that the table of contents, which is read for the
    captions anyhow, tells them.

    With `image_share`, images and videos each have an order of their own. An epoch ends when one
    kind has been shown once; the other goes on from where it stopped.

    Attributes:
        images: images in a batch, or None where they come as they lie.
    """

    def __init__(
        self,
        rows: ShardRows,
        batch_size: int,
        seed: int = 0,
        *,
        image_share: float | None = None,
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
            image_share: share of the images in a batch, in (0, 1), rounded to whole images; None
                leaves them in the proportion that the data has.
            together: shards whose rows are shuffled among each other.
            draw_videos: visit every clip once an epoch; else every row.
            rank: the share of each batch that this process takes ...
            world_size: ... of so many.

        Raises:
            UserError: there is no whole batch, it does not divide among the processes, or one of
                the kinds is not there.
        """
        visited = rows.clip_count() if draw_videos else len(rows)
        super().__init__(visited, batch_size, seed, rank=rank, world_size=world_size)
        self.rows, self.size, self.draw_videos = rows, len(rows), draw_videos
        if together < 1:
            raise UserError(f"together={together} shards cannot be mixed; choose 1 or more.")
        self.together = together
        self.images = None if image_share is None else _images(image_share, batch_size)
        self.parts = self._parts(rows, image_share)
        layout = [(shard.name, shard.clips, shard.rows) for shard in rows.shards]
        self._layout = zlib.crc32(json.dumps(layout).encode())

    def _parts(self, rows: ShardRows, image_share: float | None) -> list[_Part]:
        videos, images = rows.ranges("video"), rows.ranges("image")
        of_videos, of_images = (self._visited(rows, kind) for kind in ("video", "image"))
        if self.images is None:
            return [_Part(0, videos + images, of_videos + of_images, self.batch_size)]
        parts = [
            _Part(0, videos, of_videos, self.batch_size - self.images),
            _Part(1, images, of_images, self.images),
        ]
        if min(part.draws for part in parts) < 1:
            raise UserError(
                f"{sum(of_videos)} videos and {sum(of_images)} images give no batch "
                f"of {self.batch_size} with an image share of {image_share}."
            )
        return parts

    def _visited(self, rows: ShardRows, kind: str) -> list[int]:
        """Rows of each shard of a kind that a pass visits."""
        shards = [shard for shard in rows.shards if shard.kind == kind]
        return [shard.clips if self.draw_videos else shard.rows for shard in shards]

    def __len__(self) -> int:
        """Batches in an epoch."""
        return min(part.draws for part in self.parts)

    def remaining(self) -> Iterator[list[int]]:
        """The batches that are left of this epoch; the position stays."""
        first = self.epoch * len(self) + self.position
        streams = [self._draws(part, first) for part in self.parts]
        for _ in range(len(self) - self.position):
            batch = np.concatenate([next(stream) for stream in streams])
            yield batch[self.rank :: self.world_size].tolist()

    def _draws(self, part: _Part, first: int) -> Iterator[np.ndarray]:
        """What a part gives to each batch, from the batch numbered `first` since the beginning."""
        number, draw = divmod(first, part.draws)
        while True:
            left, skip, rest = part.draws - draw, draw * part.count, np.empty(0, np.int64)
            for group in self._groups(part, number, skip):
                rest = np.concatenate([rest, group])
                ready = min(len(rest) // part.count, left)
                yield from rest[: ready * part.count].reshape(ready, part.count)
                rest, left = rest[ready * part.count :], left - ready
            number, draw = number + 1, 0

    def _groups(self, part: _Part, number: int, skip: int) -> Iterator[np.ndarray]:
        """The shuffled rows of pass `number`, a few shards at a time, without the first `skip`."""
        generator = np.random.default_rng([self.seed, number, part.number])
        order = generator.permutation(len(part.ranges))
        for place in range(0, len(order), self.together):
            shards = order[place : place + self.together]
            length = sum(part.visited[shard] for shard in shards)
            if skip < length:
                rows = np.concatenate([self._drawn(part, number, shard) for shard in shards])
                # A generator of their own: groups that are skipped need not be drawn.
                shuffled = np.random.default_rng([self.seed, number, part.number, place])
                yield rows[shuffled.permutation(length)][skip:]
            skip = max(skip - length, 0)

    def _drawn(self, part: _Part, number: int, shard: int) -> np.ndarray:
        """The rows of a shard that pass `number` visits: int64 [visited]."""
        span, expected = part.ranges[shard], part.visited[shard]
        if expected == len(span):
            return np.arange(span.start, span.stop)
        by_clip = RowsByClip(clip_numbers(self.rows[span.start : span.stop]))
        if len(by_clip) != expected:
            raise AnnotationError(
                f"The rows from {self.rows[span.start].id!r} on show {len(by_clip)} clips, but the "
                f"index of their shard says {expected}; write the shards again."
            )
        return span.start + by_clip.draw(caption_draws(self.seed, number, part.number, int(shard)))

    def _order(self) -> dict[str, int]:
        images = -1 if self.images is None else self.images
        shards = {"images": images, "together": self.together, "shards": self._layout}
        return super()._order() | shards


def _images(share: float, batch_size: int) -> int:
    images = round(Fraction(share) * batch_size) if 0 < share < 1 else 0
    if not 0 < images < batch_size:
        raise UserError(
            f"An image share of {share} in batches of {batch_size} leaves no image or no video; "
            "choose another one, or none to take them as they come."
        )
    return images
