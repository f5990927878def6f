"""Hidden states over ranks: parts of a sequence are gathered, and the gradient is summed behind the products.

    forward     of hidden states that are spread along an axis, each rank's part → those of all rows
    backward    each rank's part of the gradient's sum → the sum: of all rows, or of this rank's part of them

The sum of some rows begins while the products of later ones are still computed: in pieces, whose number depends only on
what all ranks share. Of all rows a piece is summed for every rank; of a sequence, for the rank that has these rows, so
that as much is sent as by one reduce-scatter. Where that one is a single piece, or the pieces would be many and small
(a long batch of short sequences), it is done instead, after the products.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy._logspace import wide
from crossentropy._loss import Collector
from crossentropy._ranks._group import Group, chunks

BUCKET = 16 << 20
"""Bytes of the hidden states' gradient that are summed at once: enough that their transfer is not all latency."""
SMALLEST = BUCKET // 16
"""Bytes of a piece for one rank, below which latency would be most of its time."""


class Spread(NamedTuple):
    """How hidden states are spread along one of their axes: as torch.chunk cuts."""

    dim: int
    length: int
    """Of all parts."""

    def part(self, group: Group) -> int:
        """How long this rank's part is."""
        return chunks(self.length, group.size)[group.rank]

    def gather(self, x: Tensor, group: Group) -> Tensor:
        """Those of all ranks."""
        every = group.gather(_padded(x.movedim(self.dim, 0), -(-self.length // group.size)))
        return every.flatten(0, 1)[: self.length].movedim(0, self.dim)

    def scatter(self, x: Tensor, group: Group) -> Tensor:
        """This rank's part of the sum over ranks."""
        mine = group.scatter(_padded(x.movedim(self.dim, 0), -(-self.length // group.size) * group.size))
        return mine[: self.part(group)].movedim(0, self.dim)

    def own(self, x: Tensor, group: Group) -> Tensor:
        """This rank's part of what all ranks have; a copy, so that the rest can be freed."""
        sizes = chunks(self.length, group.size)
        return x.narrow(self.dim, sum(sizes[: group.rank]), sizes[group.rank]).clone()


def _padded(x: Tensor, length: int) -> Tensor:
    """As many rows, with zeros after those that are there."""
    return torch.nn.functional.pad(x, [0, 0] * (x.dim() - 1) + [0, length - x.shape[0]])


class _Piece(NamedTuple):
    """Rows that are summed at once."""

    begin: int
    end: int
    owner: int | None
    """The rank that needs them; None: all of them."""


class Total:
    """The sum over ranks of the hidden states' gradient, begun piece by piece as they are filled."""

    def __init__(self, hidden: Tensor, group: Group, dtype: torch.dtype | None, spread: Spread | None) -> None:
        self._shape, self._group, self._spread = hidden.shape, group, spread
        rows, features = math.prod(hidden.shape[:-1]), hidden.shape[-1]
        self._sum = torch.zeros(rows, features, dtype=dtype or wide(hidden.dtype), device=hidden.device)
        self._waiting = list(_pieces(hidden.shape, group, spread, max(self._sum.itemsize * features, 1)))
        self._scatters = spread is not None and not self._waiting
        self._works = []

    def collector(self) -> Collector:
        """Where a backend leaves this rank's part of the sum."""
        return Collector(self._sum, self._filled)

    def _filled(self, end: int) -> None:
        """All rows up to `end` are there."""
        while self._waiting and self._waiting[0].end <= end:
            begin, end_of_piece, owner = self._waiting.pop(0)
            self._works.append(self._group.start_total(self._sum[begin:end_of_piece], owner))

    def finish(self) -> Tensor:
        """All rows are there, and summed: those that this rank needs."""
        self._filled(len(self._sum))
        for work in self._works:
            if work is not None:
                work.wait()
        found = self._sum.view(self._shape)
        if self._spread is None:
            return found
        return (self._spread.scatter if self._scatters else self._spread.own)(found, self._group)


def _pieces(shape: torch.Size, group: Group, spread: Spread | None, row: int) -> Iterator[_Piece]:
    """The rows in pieces, in their order, `row` bytes each; none for a sequence that is better summed at once."""
    most, rows = max(1, BUCKET // row), math.prod(shape[:-1])
    if spread is None:
        yield from _cut(0, rows, most, None)
        return
    inner = math.prod(shape[spread.dim + 1 : -1])  # rows of one place of the sequence
    sizes = [size * inner for size in chunks(spread.length, group.size)]
    if rows <= most or sizes[0] * row < SMALLEST:
        return
    begin = 0
    for _ in range(math.prod(shape[: spread.dim])):
        for owner, size in enumerate(sizes):
            yield from _cut(begin, begin + size, most, owner)
            begin += size


def _cut(begin: int, end: int, most: int, owner: int | None) -> Iterator[_Piece]:
    for start in range(begin, end, most):
        yield _Piece(start, min(start + most, end), owner)
