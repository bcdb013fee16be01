"""Batches from shards: their order, in which neighbours come from the same few shards."""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from snpkit.data.loader import ShuffledBatches
from snpkit.data.shards import ShardRows
from snpkit.errors import UserError


@dataclass(frozen=True)
class _Part:
    """Shards that are drawn from together: so many rows a batch, `draws` times in a pass."""

    number: int
    ranges: list[range]
    count: int

    @property
    def draws(self) -> int:
        return sum(map(len, self.ranges)) // self.count


class ShardBatches(ShuffledBatches):
    """As `ShuffledBatches`, for shards, with images and videos in a given proportion.

    In each epoch the shards come in a new order; the rows of `together` of them at a time are
    shuffled, so that reading stays within a few files. The order is a function of (seed, epoch);
    the processes of a training take turns within each batch, and the workers of a process take
    whole batches: nothing is read twice or left out, however many they are.

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
            rank: the share of each batch that this process takes ...
            world_size: ... of so many.

        Raises:
            UserError: there is no whole batch, it does not divide among the processes, or one of
                the kinds is not there.
        """
        super().__init__(len(rows), batch_size, seed, rank=rank, world_size=world_size)
        if together < 1:
            raise UserError(f"together={together} shards cannot be mixed; choose 1 or more.")
        self.together = together
        self.images = None if image_share is None else _images(image_share, batch_size)
        self.parts = self._parts(rows, image_share)
        layout = [(shard.name, shard.clips, shard.rows) for shard in rows.shards]
        self._layout = zlib.crc32(json.dumps(layout).encode())

    def _parts(self, rows: ShardRows, image_share: float | None) -> list[_Part]:
        videos, images = rows.ranges("video"), rows.ranges("image")
        if self.images is None:
            return [_Part(0, videos + images, self.batch_size)]
        parts = [_Part(0, videos, self.batch_size - self.images), _Part(1, images, self.images)]
        if min(part.draws for part in parts) < 1:
            raise UserError(
                f"{sum(map(len, videos))} videos and {sum(map(len, images))} images give no batch "
                f"of {self.batch_size} with an image share of {image_share}."
            )
        return parts

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
            ranges = [part.ranges[shard] for shard in order[place : place + self.together]]
            length = sum(map(len, ranges))
            if skip < length:
                rows = np.concatenate([np.arange(one.start, one.stop) for one in ranges])
                # A generator of their own: groups that are skipped need not be drawn.
                shuffled = np.random.default_rng([self.seed, number, part.number, place])
                yield rows[shuffled.permutation(length)][skip:]
            skip = max(skip - length, 0)

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
