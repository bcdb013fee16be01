"""Gradient caching: the matching losses of a large batch in the memory of a small one.

Accumulation alone compares each batch's samples among themselves: 4 x 32 pairs are no batch of 128.
With `optimisation.gradient_cache` the samples of all `accumulation` batches (of all processes) are
compared with each other, and losses and gradients are those of one batch of them all:

    1. every batch is encoded without a graph; the features of all of them are joined
    2. so are the cross-modal scores of all their pairs, a batch's worth of pairs at a time
    3. the losses of the joined features and scores give the gradient of each feature and score
    4. the pairs pass again, now with a graph, backward from their scores' gradients
    5. the batches are encoded again, with a graph, backward from their features' gradients

Each forward pass is computed twice, each backward pass once (Gao et al., "Scaling Deep Contrastive
Learning Batch Size under Memory Limited Setup", 2021; steps 2 and 4 add the cross-modal matching).
Nothing is approximate: the second pass replays the random numbers of the first, so that dropout
leaves out the same places; MoCo's encoders move once and queue all keys; the MLM losses are means
over the tokens of all batches. Batch norms normalise each batch by itself, in both passes, and
move their running statistics once.

With `negatives="all"` the number of pairs is that of the large batch: B x B passes, where
accumulation alone has (B / k) x B. They take no more memory, but k times the time.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from snpkit.errors import UserError
from snpkit.model.contrast import Encoded, Pairs, SNPContrastiveModel, own_pairs
from snpkit.model.gathering import Rows, sum_over_processes, world_size
from snpkit.model.lengths import with_facts
from snpkit.training.distributed import average_gradients

if TYPE_CHECKING:
    from snpkit.training.loop import Batch, Run


@dataclass
class _Part:
    """One of the batches; `start`: its first row among this process's own rows of the step."""

    batch: "Batch"
    start: int
    random: list[Tensor] = field(default_factory=list)
    pieces: list[tuple[Pairs, list[Tensor]]] = field(default_factory=list)  # and random state

    @property
    def size(self) -> int:
        return len(self.batch["input_ids"])

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + self.size)


def accumulate(
    run: "Run", source: "Iterator[tuple[Batch, list[str]]]"
) -> tuple[dict[str, Tensor], list[Tensor], list[list[str]]]:
    """Gradients of the joined batch of `accumulation` batches of all processes.

    Returns:
        The losses; for each batch whether something in it is not finite; its files.

    Raises:
        UserError: the model has no matching losses.
    """
    if not isinstance(run.model, SNPContrastiveModel):
        raise UserError(
            f"{type(run.model).__name__} compares no samples; switch "
            "optimisation.gradient_cache off."
        )
    taken = [next(source) for _ in range(run.recipe.optimisation.accumulation)]
    batches = [
        {name: value.to(run.device, non_blocking=True) for name, value in with_facts(batch).items()}
        for batch, _ in taken
    ]
    losses, bad = _Cache(run).step(batches)
    # Where only the comparison went wrong, none is more to blame than the others.
    unknown = ~losses["loss"].isfinite() & ~torch.stack(bad).any()
    return losses, [flag | unknown for flag in bad], [names for _, names in taken]


class _Cache:
    """The passes of one step; `own`: this process's rows of the joined batch."""

    def __init__(self, run: "Run") -> None:
        self.run, self.model = run, run.model
        self.losses: dict[str, Tensor] = {}

    def step(self, batches: "list[Batch]") -> tuple[dict[str, Tensor], list[Tensor]]:
        """Add the gradients to the parameters'; returns the losses and each batch's bad flag."""
        parts = self._prepare(batches)
        self.rows = Rows.of(sum(part.size for part in parts))
        features, finite = self._first_pass(parts)
        joined = {name: self._leaf(rows) for name, rows in features.items()}
        visual = joined.pop("visual", None)
        scores = None
        if visual is not None:
            scores = self._leaf(self._pair_scores(parts, joined, visual))
        end = _random_state(self.run.device)
        self._compare(joined, scores)
        if visual is not None:
            self._pairs_again(parts, visual, scores)
            visual.grad = sum_over_processes(visual.grad)
            joined["visual"] = visual
        self._encode_again(parts, joined)
        # The next step takes new numbers, not those that were replayed.
        _replay(end, self.run.device)
        average_gradients(self.model)
        named = {f"losses/{name}": value for name, value in self.losses.items()}
        return {"loss": sum(self.losses.values()), **named}, [~flag for flag in finite]

    def _prepare(self, batches: "list[Batch]") -> list[_Part]:
        parts, start = [], 0
        for number, batch in enumerate(batches):
            with self._autocast():
                parts.append(_Part(self.model.prepare(batch, first=number == 0), start))
            start += parts[-1].size
        counts = [self.model.own_counts(part.batch) for part in parts]
        self.counts = {
            name: sum_over_processes(torch.as_tensor(
                sum(each[name] for each in counts), dtype=torch.float32, device=self.run.device
            )).clamp(min=1)
            for name in counts[0]
        }  # fmt: skip
        return parts

    def _first_pass(self, parts: list[_Part]) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Features of the joined batch, and which batches' own are finite."""
        found: dict[str, list[Tensor]] = {}
        finite = []
        for part in parts:
            part.random = _random_state(self.run.device)
            with torch.no_grad(), self._autocast(), _kept_statistics(self.model):
                features = self._features(self.model.encode(part.batch))
            for name, rows in features.items():
                found.setdefault(name, []).append(rows)
            flags = [f.isfinite().all() for f in features.values()]
            finite.append(torch.stack(flags).all() if flags else self._one().bool())
        return {name: self.rows.join(torch.cat(rows)) for name, rows in found.items()}, finite

    def _features(self, encoded: Encoded) -> dict[str, Tensor]:
        pairs = {"visual": encoded.visual} if self.model.matches_pairs else {}
        return encoded.compared | pairs

    def _pair_scores(
        self, parts: list[_Part], joined: dict[str, Tensor], visual: Tensor
    ) -> Tensor:
        """Cross-modal scores of the joined batch: [text, video]."""
        with torch.no_grad(), self._autocast():
            drawn_by = self.model.scores_to_draw_by(joined)
            others = self.model.other_videos(self.rows, drawn_by, visual.device)
        matrices, first = [], self.rows.own.start
        for part in parts:
            pairs = Pairs.of(others, slice(first + part.rows.start, first + part.rows.stop))
            # At most as many at a time as without the cache; the own pairs are in the first piece.
            pieces = pairs.split(part.size * max(self.rows.total // len(parts), 1))
            scores = []
            for piece in pieces:
                part.pieces.append((piece, _random_state(self.run.device)))
                with torch.no_grad(), self._autocast():
                    output = self.model.pair_pass(part.batch, visual, piece)
                    scores.append(self.model.pair_score(output.pooled))
            matrices.append(pairs.matrix(torch.cat(scores), part.size, self.rows.total))
        return self.rows.join(torch.cat(matrices))

    def _compare(self, joined: dict[str, Tensor], scores: Tensor | None) -> None:
        """The matching losses; leaves the gradients of joined features and scores in `.grad`."""
        with self._autocast():
            losses, _ = self.model.matching_losses(joined, scores)
        if not losses:
            return
        self.run.scaler.scale(sum(losses.values())).backward()
        self.losses |= {name: loss.detach() for name, loss in losses.items()}
        # Each process goes back through its own rows only; the average over them follows.
        for leaf in (*joined.values(), scores):
            if leaf is not None and leaf.grad is not None:
                leaf.grad *= world_size()

    def _pairs_again(self, parts: list[_Part], visual: Tensor, scores: Tensor) -> None:
        """Backward from the scores to the parameters and to the gradient of `visual`."""
        gradient = scores.grad[self.rows.own]
        for part in parts:
            own_visual = visual[self.rows.own][part.rows]
            for number, (piece, state) in enumerate(part.pieces):
                _replay(state, self.run.device)
                losses: dict[str, Tensor] = {}
                with self._autocast():
                    output = self.model.pair_pass(part.batch, visual, piece)
                    computed = self.model.pair_score(output.pooled)
                    if number == 0:
                        own = own_pairs(output, part.size)
                        losses = self.model.cross_losses(part.batch, own_visual, own)
                theirs = gradient[part.rows][piece.text, piece.video]
                self._backward(part, losses, [(computed, theirs)])

    def _encode_again(self, parts: list[_Part], joined: dict[str, Tensor]) -> None:
        """Backward from the features to the parameters."""
        for part in parts:
            _replay(part.random, self.run.device)
            with self._autocast():
                encoded = self.model.encode(part.batch)
                features = self._features(encoded)
                losses = self.model.text_losses(part.batch, encoded)
                if not self.model.matches_pairs:  # else the pairs' pass served them
                    losses |= self.model.cross_losses(part.batch, encoded.visual, None)
            ends = [
                (rows, joined[name].grad[self.rows.own][part.rows])
                for name, rows in features.items()
                if rows.requires_grad and joined[name].grad is not None
            ]
            self._backward(part, losses, ends)

    def _backward(
        self, part: _Part, means: dict[str, Tensor], ends: list[tuple[Tensor, Tensor]]
    ) -> None:
        """Backward from tensors with known gradients, and from means over the part's items."""
        counts = self.model.own_counts(part.batch)
        for name, mean in means.items():
            share = mean * counts[name] / self.counts[name]
            value = sum_over_processes(share.detach())
            self.losses[name] = self.losses.get(name, 0) + value
            scaled = self.run.scaler.scale(share * world_size())
            ends = [*ends, (scaled, torch.ones_like(scaled))]
        if ends:
            torch.autograd.backward(*map(list, zip(*ends, strict=True)))

    def _leaf(self, rows: Tensor) -> Tensor:
        return rows.detach().requires_grad_(rows.is_floating_point())

    def _one(self) -> Tensor:
        return torch.ones((), device=self.run.device)

    def _autocast(self) -> AbstractContextManager[None]:
        # A context for each pass: its cache of half-precision weights must not outlive it, as one
        # made without a graph would cut the gradient of the next pass.
        dtype = self.run.dtype
        return torch.autocast(self.run.device.type, dtype, enabled=dtype is not None)


def _random_state(device: torch.device) -> list[Tensor]:
    """The states of torch's generators, which dropout draws from."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _replay(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


@contextmanager
def _kept_statistics(model: nn.Module) -> Iterator[None]:
    """Batch norms normalise as ever, but their running statistics stay."""
    kinds = nn.modules.batchnorm._BatchNorm
    norms = [m for m in model.modules() if isinstance(m, kinds) and m.training]
    tracked = [norm.track_running_stats for norm in norms]
    try:
        for norm in norms:
            norm.track_running_stats = False
        yield
    finally:
        for norm, before in zip(norms, tracked, strict=True):
            norm.track_running_stats = before
