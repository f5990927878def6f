"""Logits that a linear head makes, chunk by chunk or block by block.

    for each chunk of rows:        logits = h Wᵀ + b;  tiles in place: loss, G;  dh = G W,  dW += Gᵀ h
    for each block of classes:     logits again;  G from the statistics;  dW = Gᵀ h   (see `crossentropy._planner`)

G is the gradient with respect to the logits, what a kernel leaves of a tile. N rows · C classes · D in_features · P
positions that share a hidden state (1 but for K-dimensional heads).
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from crossentropy._backends.chunked import _memory
from crossentropy._backends.chunked._dense import chunks, tiles
from crossentropy._backends.chunked._tile import Kernel
from crossentropy._logspace import wide
from crossentropy._loss import Collector, Loss, Side, product_dtype
from crossentropy._planner import Plan
from crossentropy._reduction import ignored


class Head:
    """One side of a linear loss: products with its head, and the gradients as they are collected."""

    def __init__(
        self,
        side: Side,
        wanted: tuple[bool, ...],
        pieces: Plan,
        collector: Collector | None = None,
        absent: Tensor | None = None,
    ) -> None:
        assert side.weight is not None
        self.side = side
        self.dtype = product_dtype(side)
        self.hidden = side.input.reshape(math.prod(side.input.shape[:-1]), side.input.shape[-1])
        self.unseen: Tensor | None = None
        self.classes = side.weight.shape[0]
        self.head = side.weight.flatten(1, -2) if side.weight.dim() > 2 else side.weight.unsqueeze(1)  # (C, P, D)
        self.positions = self.head.shape[1]
        self.absent = None if absent is None else absent.reshape(len(self.hidden), absent.shape[-1])
        self.bias = None if side.bias is None else side.bias.reshape(self.classes, self.positions)
        self.widens = pieces.widens
        self.collector = collector
        self.input_gradient = None
        if wanted[0]:
            total = wide(self.dtype) if pieces.blockwise else self.hidden.dtype
            self.input_gradient = collector.buffer if collector else self._new(self.hidden, total)
        collected = wide(self.dtype) if pieces.widens else self.head.dtype
        self.head_gradient = self._new(self.head, collected) if wanted[1] else None
        self.bias_gradient = None
        if wanted[2]:
            self.bias_gradient = self.head.new_zeros(self.classes, self.positions, dtype=wide(self.dtype))
        self.wants_head = wanted[1] or wanted[2]

    @staticmethod
    def _new(like: Tensor, dtype: torch.dtype) -> Tensor:
        return _memory.empty(tuple(like.shape), dtype, like.device)

    def some(self, rows: slice = slice(None)) -> Tensor:
        """Hidden states of some rows as products see them: in their dtype, and 0 where these may not."""
        hidden = self.hidden[rows].to(self.dtype)
        return hidden if self.unseen is None else hidden.masked_fill(self.unseen[rows].unsqueeze(1), 0.0)

    def logits(self, hidden: Tensor, out: Tensor, begin: int = 0) -> Tensor:
        """Logits (R, B, P), or (R, B), of `hidden` (R, D) for the classes of `out` (R, B · P) from `begin` on."""
        for i, j, weight in self._blocks(begin, out.shape[1] // self.positions, hidden.shape[0]):
            part = out if len(weight) == out.shape[1] else out[:, (i - begin) * self.positions :][:, : len(weight)]
            torch.mm(hidden, weight.T, out=part)
            if self.bias is not None:
                part.add_(self.bias[i:j].flatten().to(part.dtype))
        return self.shaped(out)

    def leave_out(self, logits: Tensor, rows: slice, begin: int) -> None:
        """Set logits (R, B) of the classes from `begin` on to −inf where a row has no such class."""
        if self.absent is None:
            return
        absent, classes = self.absent[rows], logits.shape[1]
        if absent.dtype == torch.bool:
            logits.masked_fill_(absent[:, begin : begin + classes], -torch.inf)
            return
        inside = (absent >= begin) & (absent < begin + classes)
        least = torch.zeros_like(absent, dtype=logits.dtype).masked_fill_(inside, -torch.inf)
        least.masked_fill_(~inside, torch.inf)  # which is no minimum, whatever else is written there
        logits.scatter_reduce_(1, (absent - begin).clamp(0, classes - 1), least, "amin")

    def shaped(self, logits: Tensor) -> Tensor:
        if self.positions == 1:
            return logits
        return logits.view(logits.shape[0], logits.shape[1] // max(self.positions, 1), self.positions)

    def _blocks(
        self, begin: int, classes: int, rows: int, *, converted: bool = False
    ) -> Iterator[tuple[int, int, Tensor]]:
        """The head's rows for some classes in the product's dtype; piece by piece where they are converted."""
        step = self._piece(rows, classes) if converted or self.head.dtype != self.dtype else classes
        for i in range(begin, begin + classes, max(step, 1)):
            j = min(i + step, begin + classes)
            yield i, j, self.head[i:j].flatten(0, 1).to(self.dtype)

    def _piece(self, rows: int, classes: int) -> int:
        """Classes whose features are no more than an eighth of the logits, at which they are converted."""
        return max(16, rows * classes // max(8 * self.head.shape[2], 1))

    def collect_input(self, rows: slice, gradient: Tensor) -> None:
        """The input's gradient of a chunk, from the logits' (R, C · P)."""
        if self.input_gradient is None:
            return
        out = self.input_gradient[rows]
        if self.head.dtype == self.dtype == out.dtype:
            torch.mm(gradient, self.head.flatten(0, 1), out=out)
        else:
            dtype = out.dtype if self.collector else self.dtype
            total = torch.zeros(out.shape, dtype=wide(gradient.dtype), device=out.device)
            for i, j, weight in self._blocks(0, self.classes, len(gradient), converted=dtype != self.dtype):
                total += _product(gradient[:, i * self.positions : j * self.positions], weight, dtype)
            out.copy_(total)
        if self.collector:
            self.collector.filled(rows.stop)

    def add_input(self, gradient: Tensor, begin: int, *, first: bool) -> None:
        """What a block of classes makes of the input's gradient of all rows: set, or added if not `first`."""
        out = self.input_gradient
        if out is None:
            return
        if first:
            out.zero_()
        wider, classes = out.dtype != self.dtype, gradient.shape[1] // self.positions
        for i, j, weight in self._blocks(begin, classes, len(gradient), converted=wider):
            part = gradient[:, (i - begin) * self.positions : (j - begin) * self.positions]
            out.add_(_product(part, weight, out.dtype)) if wider else out.addmm_(part, weight)
        if self.collector and begin + classes == self.classes:
            self.collector.filled(len(gradient))

    def collect_head(self, gradient: Tensor, hidden: Tensor, begin: int, *, first: bool) -> None:
        """The gradient of head and bias for the classes of `gradient` (R, B · P): set, or added if not `first`."""
        classes = slice(begin, begin + gradient.shape[1] // self.positions)
        if self.bias_gradient is not None:
            self.bias_gradient[classes] += gradient.sum(0, dtype=self.bias_gradient.dtype).view(-1, self.positions)
        if self.head_gradient is None:
            return
        out = self.head_gradient[classes].flatten(0, 1)
        if out.dtype != gradient.dtype:
            block = gradient.shape[1] < self.classes * self.positions
            step = -(-len(out) // 8) if self.widens else len(out) if block else self._piece(*gradient.shape)
            _collect_widened(out, gradient.T, hidden, max(step, 1), first=first)
        elif first:
            torch.mm(gradient.T, hidden, out=out)
        else:
            out.addmm_(gradient.T, hidden)

    def gradients(self) -> tuple[Tensor | None, ...]:
        """All that was collected, in the shapes and dtypes of the tensors it belongs to."""
        side, of_input = self.side, self.input_gradient
        assert side.weight is not None
        if of_input is not None and not self.collector:
            of_input = of_input.to(side.input.dtype)
        return (
            None if of_input is None else of_input.view(side.input.shape),
            None if self.head_gradient is None else self.head_gradient.view(side.weight.shape).to(side.weight.dtype),
            None
            if self.bias_gradient is None or side.bias is None
            else self.bias_gradient.view(side.bias.shape).to(side.bias.dtype),
        )


def _collect_widened(out: Tensor, a: Tensor, b: Tensor, step: int, *, first: bool) -> None:
    """Set or add a @ b, where either has the wider dtype, without a rounding between: at once, or in pieces of rows."""
    dtype = torch.promote_types(out.dtype, a.dtype)
    if a.is_cuda and out.dtype == dtype and _collects_at_once(out, a, b, first=first):
        return
    for i in range(0, len(out), step):
        part, product = out[i : i + step], _product(a[i : i + step], b, dtype)
        part.copy_(product) if first else part.add_(product)


def _collects_at_once(out: Tensor, a: Tensor, b: Tensor, *, first: bool) -> bool:
    """Set or add a @ b to the wider `out`, which is read and written once; False where torch has no such product.

    Before pytorch#167931, of November 2025, what is added to must be of the factors' dtype.
    """
    if first:
        torch.mm(a, b, out_dtype=out.dtype, out=out)
        return True
    try:
        torch.addmm(out, a, b, out_dtype=out.dtype, out=out)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:  # of its check of arguments, before anything is computed
        return False
    return True


def _product(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """The product a @ b in a dtype that may be wider, without a rounding between."""
    if a.is_cuda and a.dtype != dtype:
        return torch.mm(a, b, out_dtype=dtype)
    return torch.mm(a.to(dtype), b.to(dtype))


def poisoned(loss: Loss, coefficient: Tensor | None, heads: list[Head]) -> Tensor | None:
    """Hidden states (N,) that are not finite and count for nothing: no product may see them; None if there are none.

    They count for nothing if all their rows are ignored or have a coefficient of 0. (An ignored row has statistics.)
    """
    idle = ignored(loss) if loss.kind != "statistics" else None
    if coefficient is not None:
        silent = (coefficient == 0).all(0)
        idle = silent if idle is None else idle | silent
    if idle is None:
        return None
    idle = idle.reshape(len(heads[0].hidden), heads[0].positions).all(1)
    if idle.is_cpu and not bool(idle.any()):
        return None
    found = idle & ~functools.reduce(torch.logical_and, (head.hidden.isfinite().all(1) for head in heads))
    return found if not found.is_cpu or bool(found.any()) else None


def sweep_rows(kernel: Kernel, heads: list[Head], pieces: Plan, *, gradient: bool) -> None:
    """Chunks of rows: losses, gradients of the inputs and, without a second sweep, of the heads."""
    buffers, scratches = _buffers(heads, pieces), _scratches(kernel, heads, pieces)
    for rows in chunks(len(heads[0].hidden), pieces.chunk):
        part = kernel.chunk((rows,))
        hidden = [head.some(rows) for head in heads]
        logits = _logits(heads, hidden, buffers, 0, heads[0].classes, rows)
        for index in tiles(logits[0].shape, pieces.tile):
            tile = tuple([z[index] for z in logits])
            works = _works(tile, scratches)
            part.at(index).tile(tile, works, gradient=gradient)
            if gradient:
                _store(works, tile)
        part.conclude()
        if gradient:
            _collect(heads, rows, hidden, logits, pieces)


def sweep_classes(kernel: Kernel, heads: list[Head], pieces: Plan, begin: int = 0) -> None:
    """Blocks of classes: gradients of the heads, and of inputs that have none yet, from the rows' statistics."""
    kernel = kernel.ready()
    hidden = [head.some() for head in heads]
    buffers = [h.new_empty(h.shape[0] * pieces.block * head.positions) for h, head in zip(hidden, heads)]
    scratches = _scratches(kernel, heads, pieces)
    for first in range(0, heads[0].classes, pieces.block):
        logits = _logits(heads, hidden, buffers, first, min(pieces.block, heads[0].classes - first))
        _derive(kernel, logits, scratches, pieces, begin + first)
        for head, h, z in zip(heads, hidden, logits):
            if pieces.blockwise:
                head.add_input(z.flatten(1), first, first=first == 0)
            if head.wants_head:
                head.collect_head(z.flatten(1), h, first, first=True)


def derive(kernel: Kernel, heads: list[Head], pieces: Plan, begin: int, kept: Tensor | None = None) -> None:
    """Gradients of inputs and heads, whose classes begin at `begin`, from the statistics that the rows have.

    Logits that were kept become gradients in place, in one chunk; others are computed again.
    """
    kernel = kernel.ready()
    if pieces.blockwise and kept is None:
        sweep_classes(kernel, heads, pieces, begin)
        return
    if kept is not None:
        pieces = replace(pieces, strategy="rows", chunk=len(kept))
    buffers = _buffers(heads, pieces) if kept is None else []
    scratches = _scratches(kernel, heads, pieces)
    for rows in chunks(len(heads[0].hidden), pieces.chunk):
        hidden = [head.some(rows) for head in heads]
        made = kept is None
        logits = _logits(heads, hidden, buffers, 0, heads[0].classes, rows) if made else [heads[0].shaped(kept[rows])]
        _derive(kernel.at((rows,)), logits, scratches, pieces, begin)
        _collect(heads, rows, hidden, logits, pieces)
    if pieces.second_sweep:
        sweep_classes(kernel, heads, pieces, begin)


def compare(kernel: Kernel, heads: list[Head], pieces: Plan) -> None:
    """What the classes of these heads add to divergences, of rows whose statistics are known."""
    buffers, scratches = _buffers(heads, pieces), _scratches(kernel, heads, pieces)
    for rows in chunks(len(heads[0].hidden), pieces.chunk):
        hidden = [head.some(rows) for head in heads]
        logits = _logits(heads, hidden, buffers, 0, heads[0].classes, rows)
        for index in tiles(logits[0].shape, pieces.tile):
            tile = tuple([z[index] for z in logits])
            kernel.at((rows,)).at(index).compare(tile, _works(tile, scratches))


def keep_logits(kernel: Kernel, head: Head, pieces: Plan, begin: int, kept: Tensor) -> None:
    """Statistics, from logits of all classes at once, which are kept."""
    (logits,) = _logits([head], [head.some()], [kept.flatten()], 0, head.classes)
    scratch = None if kernel.in_place else kept.new_empty(pieces.tile, dtype=kernel.dtype)
    for index in tiles(logits.shape, pieces.tile):
        (work,) = _works((logits[index],), [scratch])
        kernel.at(index).accumulate(logits[index], work, begin, first=True)


def sweep_statistics(kernel: Kernel, head: Head, pieces: Plan, begin: int = 0) -> None:
    """Blocks of classes, which are counted from `begin` on: statistics merge, and the head is read once."""
    hidden = head.some()
    buffer = hidden.new_empty(hidden.shape[0] * pieces.block * head.positions)
    scratches = _scratches(kernel, [head], pieces)
    for first in range(0, head.classes, pieces.block):
        (logits,) = _logits([head], [hidden], [buffer], first, min(pieces.block, head.classes - first))
        for index in tiles(logits.shape, pieces.tile):
            tile = logits[index]
            kernel.at(index).accumulate(tile, _works((tile,), scratches)[0], begin + first, first=first == 0)


def _buffers(heads: list[Head], pieces: Plan) -> list[Tensor]:
    """Room for the logits of a chunk."""
    return [_memory.empty((pieces.chunk * h.classes * h.positions,), h.dtype, h.hidden.device) for h in heads]


def _logits(
    heads: list[Head],
    hidden: list[Tensor],
    buffers: list[Tensor],
    begin: int,
    classes: int,
    rows: slice = slice(None),
) -> list[Tensor]:
    """Logits of some rows and classes, by each head."""
    made = []
    for head, h, buffer in zip(heads, hidden, buffers):
        width = classes * head.positions
        out = buffer[: len(h) * width].view(len(h), width)
        made.append(head.logits(h, out, begin))
        head.leave_out(out, rows, begin)
    return made


def _derive(kernel: Kernel, logits: list[Tensor], scratches: list[Tensor | None], pieces: Plan, begin: int) -> None:
    """Turn logits into their gradients."""
    for index in tiles(logits[0].shape, pieces.tile):
        tile = tuple([z[index] for z in logits])
        works = _works(tile, scratches)
        kernel.at(index).block(tile, works, begin)
        _store(works, tile)


def _collect(heads: list[Head], rows: slice, hidden: list[Tensor], gradients: list[Tensor], pieces: Plan) -> None:
    """Gradients of the inputs of a chunk and, without a second sweep, its part of those of the heads."""
    for head, h, z in zip(heads, hidden, gradients):
        head.collect_input(rows, z.flatten(1))
        if head.wants_head and not pieces.second_sweep:
            head.collect_head(z.flatten(1), h, 0, first=rows.start == 0)


def _scratches(kernel: Kernel, heads: list[Head], pieces: Plan) -> list[Tensor | None]:
    """A tile in the accumulation dtype for each head whose logits are in another."""
    return [
        None
        if kernel.in_place or head.dtype == kernel.dtype
        else head.hidden.new_empty(pieces.tile, dtype=kernel.dtype)
        for head in heads
    ]


def _works(tile: tuple[Tensor, ...], scratches: list[Tensor | None]) -> tuple[Tensor, ...]:
    """Where to work on a tile: in place, or in scratch."""
    return tuple([z if scratch is None else scratch[: z.numel()].view(z.shape) for z, scratch in zip(tile, scratches)])


def _store(works: tuple[Tensor, ...], tile: tuple[Tensor, ...]) -> None:
    for work, z in zip(works, tile):
        if work is not z:
            z.copy_(work)
