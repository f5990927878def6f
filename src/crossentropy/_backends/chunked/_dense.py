"""Logits that are given: for each tile, rows' statistics → loss; exp(z − m) → gradient, in the one new buffer.

Logits are blocks (N, C), or (N, C, P) where the classes are not innermost; what belongs to a row has a class axis of 1.
"""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy._backends.chunked import _memory
from crossentropy._backends.chunked._tile import Index, Kernel, shaped
from crossentropy._planner import Plan


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


def sweep(kernel: Kernel, z: Tensor, pieces: Plan, *, gradient: bool) -> Tensor | None:
    """Results of the rows of blocks z, and the gradient if wanted."""
    derived = _memory.empty(tuple(z.shape), z.dtype, z.device) if gradient else None
    scratch = _scratch(kernel, z, pieces, gradient=gradient)
    for rows in chunks(z.shape[0], pieces.chunk):
        part, out = kernel.chunk((rows,)), None if derived is None else derived[rows]
        for at, logits, work, place in _works(part, z[rows], out, scratch, pieces):
            at.tile((logits,), (work,), gradient=gradient)
            _store(work, place)
        part.conclude()
    return derived


def measure(kernel: Kernel, z: Tensor, pieces: Plan, begin: int) -> None:
    """Statistics of rows, whose classes from `begin` on these blocks are."""
    for at, logits, work, _ in _works(kernel, z, None, _scratch(kernel, z, pieces, gradient=False), pieces):
        at.accumulate(logits, work, begin, first=True)


def derive(kernel: Kernel, z: Tensor, pieces: Plan, begin: int) -> Tensor:
    """The gradient of such blocks, of rows that have their statistics."""
    derived = _memory.empty(tuple(z.shape), z.dtype, z.device)
    scratch = _scratch(kernel, z, pieces, gradient=True)
    for at, logits, work, place in _works(kernel.ready(), z, derived, scratch, pieces):
        at.block((logits,), (work,), begin)
        _store(work, place)
    return derived


def _scratch(kernel: Kernel, z: Tensor, pieces: Plan, *, gradient: bool) -> Tensor | None:
    """A tile to work on, where that is not the gradient itself."""
    unwanted = kernel.in_place or (gradient and z.dtype == kernel.dtype)
    return None if unwanted else z.new_empty(pieces.tile, dtype=kernel.dtype)


def _works(
    kernel: Kernel, z: Tensor, derived: Tensor | None, scratch: Tensor | None, pieces: Plan
) -> Iterator[tuple[Kernel, Tensor, Tensor, Tensor | None]]:
    """For each tile its kernel, logits, where to work on them, and where the gradient goes."""
    for index in tiles(z.shape, pieces.tile):
        logits, place = z[index], None if derived is None else derived[index]
        work = place if scratch is None else shaped(scratch, logits)
        yield kernel.at(index), logits, logits if work is None else work, place


def _store(work: Tensor, out: Tensor | None) -> None:
    if out is not None and work is not out:
        out.copy_(work)


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
