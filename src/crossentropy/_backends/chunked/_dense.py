"""Logits that are given: for each tile, rows' statistics → loss; exp(z − m) → gradient, in the one new buffer.

Of a divergence there are two, of a student and a teacher, cut alike.

Logits are blocks (N, C), or (N, C, P) where the classes are not innermost; what belongs to a row has a class axis of 1.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from crossentropy._backends.chunked import _memory
from crossentropy._backends.chunked._tile import Index, Kernel, Tensors, shaped
from crossentropy._planner import Plan

_Blocks = TypeVar("_Blocks", Tensor, Tensor | None)


class Layout(NamedTuple):
    """Logits (…, C, …) seen as blocks, without a copy where their strides allow it."""

    shape: torch.Size
    class_dim: int
    flat: bool
    """Whether blocks are (rows, C), because the classes lie innermost, or (outer, C, inner)."""

    @classmethod
    def of(cls, x: Tensor, class_dim: int) -> "Layout":
        """The layout of logits."""
        inner = math.prod(x.shape[class_dim + 1 :])
        innermost = x.stride(class_dim) == 1 and x.movedim(class_dim, -1).is_contiguous()
        return cls(x.shape, class_dim, inner == 1 or innermost)

    def blocks(self, x: Tensor) -> Tensor:
        """What belongs to logits."""
        before, classes, after = self._sizes()
        if self.flat:
            return x.movedim(self.class_dim, -1).reshape(before * after, classes)
        return x.reshape(before, classes, after)

    def rows(self, x: Tensor) -> Tensor:
        """What belongs to rows."""
        before, _, after = self._sizes()
        return x.reshape(before * after, 1) if self.flat else x.reshape(before, 1, after)

    def restore(self, blocks: Tensor) -> Tensor:
        """Contiguous blocks as a tensor of the logits' shape."""
        if not self.flat:
            return blocks.view(self.shape)
        rows = (*self.shape[: self.class_dim], *self.shape[self.class_dim + 1 :])
        return blocks.view(*rows, self.shape[self.class_dim]).movedim(-1, self.class_dim)

    def empty_gradient(self, x: Tensor) -> Tensor:
        """An uninitialised gradient of logits."""
        return self.restore(x.new_empty(self.blocks(x).shape))

    def _sizes(self) -> tuple[int, int, int]:
        d = self.class_dim
        # not Size.numel, which makes numbers of symbols
        return math.prod(self.shape[:d]), self.shape[d], math.prod(self.shape[d + 1 :])


def sweep(kernel: Kernel, logits: Tensors, pieces: Plan, wanted: Sequence[bool]) -> list[Tensor | None]:
    """Results of the rows of blocks, of one side or two, and the gradients that are wanted."""
    derived, scratches = _room(kernel, logits, pieces, wanted)
    for rows in chunks(logits[0].shape[0], pieces.chunk):
        part = kernel.chunk((rows,))
        for at, tile, works, places in _works(part, _cut(logits, rows), _cut(derived, rows), scratches, pieces):
            at.tile(tile, works, gradient=any(wanted))
            _store(works, places)
        part.conclude()
    return derived


def measure(kernel: Kernel, logits: Tensor, pieces: Plan, begin: int) -> None:
    """Statistics of rows, whose classes from `begin` on these blocks are."""
    derived, scratches = _room(kernel, (logits,), pieces, (False,))
    for at, (tile,), (work,), _ in _works(kernel, (logits,), derived, scratches, pieces):
        at.accumulate(tile, work, begin, first=True)


def compare(kernel: Kernel, logits: Tensors, pieces: Plan) -> None:
    """What the classes of these blocks add to divergences, of rows whose statistics are known."""
    derived, scratches = _room(kernel, logits, pieces, (False, False))
    for at, tile, works, _ in _works(kernel, logits, derived, scratches, pieces):
        at.compare(tile, works)


def derive(kernel: Kernel, logits: Tensors, pieces: Plan, begin: int, wanted: Sequence[bool]) -> list[Tensor | None]:
    """The gradients of such blocks, of rows that have their statistics."""
    derived, scratches = _room(kernel, logits, pieces, wanted)
    for at, tile, works, places in _works(kernel.ready(), logits, derived, scratches, pieces):
        at.block(tile, works, begin)
        _store(works, places)
    return derived


def _room(
    kernel: Kernel, logits: Tensors, pieces: Plan, wanted: Sequence[bool]
) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """For each side the gradient that is wanted, and a tile to work on where that is not the gradient itself."""
    derived = [_memory.empty(tuple(z.shape), z.dtype, z.device) if want else None for z, want in zip(logits, wanted)]
    unwanted = [kernel.in_place or (g is not None and g.dtype == kernel.dtype) for g in derived]
    scratches = [None if no else z.new_empty(pieces.tile, dtype=kernel.dtype) for z, no in zip(logits, unwanted)]
    return derived, scratches


def _works(
    kernel: Kernel, logits: Tensors, derived: Sequence[Tensor | None], scratches: Sequence[Tensor | None], pieces: Plan
) -> Iterator[tuple[Kernel, Tensors, Tensors, list[Tensor | None]]]:
    """For each tile its kernel, logits, where to work on them, and where the gradients go."""
    for index in tiles(logits[0].shape, pieces.tile):
        tile, places = tuple([z[index] for z in logits]), [None if g is None else g[index] for g in derived]
        works = []
        for z, place, scratch in zip(tile, places, scratches):
            work = place if scratch is None else shaped(scratch, z)
            works.append(z if work is None else work)
        yield kernel.at(index), tile, tuple(works), places


def _cut(blocks: Sequence[_Blocks], rows: slice) -> tuple[_Blocks, ...]:
    return tuple([x if x is None else x[rows] for x in blocks])


def _store(works: Tensors, places: Sequence[Tensor | None]) -> None:
    for work, place in zip(works, places):
        if place is not None and work is not place:
            place.copy_(work)


def chunks(rows: int, most: int) -> Iterator[slice]:
    """Slices of at most `most` rows."""
    return (slice(i, min(i + most, rows)) for i in range(0, rows, max(most, 1)))


def tiles(shape: torch.Size, most: int) -> Iterator[Index]:
    """Indices of tiles of at most `most` logits (and at least one row) of blocks (N, C) or (N, C, P)."""
    outer, classes, inner = (*shape, 1) if len(shape) == 2 else shape
    step = max(1, most // max(classes * inner, 1))
    if len(shape) == 2:
        yield from ((slice(i, i + step),) for i in range(0, outer, step))
        return
    width = inner if classes * inner <= most else max(1, most // classes)
    for i, j in itertools.product(range(0, outer, step), range(0, inner, max(width, 1))):
        yield slice(i, i + step), slice(None), slice(j, j + width)
