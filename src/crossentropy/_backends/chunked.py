"""The chunked backend: losses and their gradients in one pass over pieces of the logits, in place.

    dense     for each tile of the logits:   rows' statistics → loss;  exp(z − m) → gradient, in the one new buffer
    linear    for each chunk of rows:        logits = h Wᵀ + b;  tiles as above, in place;  dh = G W,  dW += Gᵀ h
              for each block of classes:     logits again;  G from the statistics;  dW = Gᵀ h   (see _planner)

G is the gradient with respect to the logits, what a *kernel* leaves of a tile. There is one for each kind of loss;
this module cuts, multiplies and calls them.

N rows · C classes · D in_features · P positions that share a hidden state (1 but for K-dimensional heads). Logits are
blocks (N, C), or (N, C, P) where the classes are not innermost; what belongs to a row has a class axis of 1, so that
one index cuts both.
"""

import functools
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from crossentropy import _memory, _planner
from crossentropy._kernels import Kernel, make
from crossentropy._logspace import wide
from crossentropy._loss import Loss, Result, Side, product_dtype, rows_shape, tensors_of
from crossentropy._planner import Plan, Workload
from crossentropy._reduction import ignored

Index: TypeAlias = tuple[slice, ...]
Gradients: TypeAlias = tuple[Tensor | None, ...]


def eligible(loss: Loss) -> tuple[str, ...]:
    """Reasons why this backend cannot execute a loss; none if it can."""
    reasons = []
    if not torch.is_grad_enabled():
        return ()
    if loss.weight is not None and loss.weight.requires_grad:
        reasons.append("class weights that require gradients need every log-probability")
    if loss.target is not None and loss.target.requires_grad:
        reasons.append("class probabilities that require gradients have one for every logit")
    return tuple(reasons)


def workload(loss: Loss, wanted: tuple[bool, ...]) -> Workload:
    """The workload of a loss; `wanted` tells for each side whether input, weight and bias need gradients."""
    side, spec = loss.sides[0], loss.sides[0].spec
    rows = loss.shape.numel() // spec.num_classes
    input_gradient, head_gradient = any(wanted[::3]), any(wanted[1::3]) or any(wanted[2::3])
    capped = any(s.spec.softcap is not None for s in loss.sides) and any(wanted)
    scratch = capped + (spec.probabilities or loss.kind != "cross_entropy") + 2 * (len(loss.sides) - 1)
    if side.weight is None:
        layout = _Layout.of(side.input, spec.class_dim)
        positions = 1 if layout.flat else math.prod(layout.shape[layout.class_dim + 1 :])
        return Workload(
            rows=rows // max(positions, 1),
            positions=positions,
            classes=spec.num_classes,
            dtype=side.input.dtype,
            device=side.input.device.type,
            input_gradient=input_gradient,
            scratch=scratch,
        )
    positions = math.prod(side.weight.shape[1:-1])
    dtypes = [(product_dtype(s), s.weight.dtype) for s in loss.sides if s.weight is not None]
    dtype = functools.reduce(torch.promote_types, (product for product, _ in dtypes))
    # one head that cannot accumulate its gradient decides for both
    head_dtype = next((head for product, head in dtypes if product != head or head.itemsize == 2), dtype)
    return Workload(
        rows=rows // max(positions, 1),
        classes=spec.num_classes * len(loss.sides),
        dtype=dtype,
        positions=positions,
        features=side.weight.shape[-1],
        head_dtype=head_dtype,
        device=side.input.device.type,
        input_gradient=input_gradient,
        head_gradient=head_gradient,
        scratch=scratch,
        converted=any(s.input.dtype != p or head != p for s, (p, head) in zip(loss.sides, dtypes)),
    )


def plan(loss: Loss, wanted: tuple[bool, ...]) -> Plan:
    """How a loss is executed."""
    return _planner.plan(workload(loss, wanted), loss.budget, loss.most_rows)


def execute(loss: Loss, coefficient: Tensor | None, wanted: tuple[bool, ...]) -> Result:
    """The rows of a loss and the wanted gradients of Σ coefficient · rows, which has shape (K, rows) or (1, rows)."""
    with torch.no_grad(), torch.autocast(loss.sides[0].input.device.type, enabled=False):
        if not loss.shape.numel():
            return _nothing(loss, wanted)
        pieces = plan(loss, wanted)
        if loss.sides[0].weight is None:
            return _dense(loss, coefficient, wanted, pieces)
        return _linear(loss, coefficient, wanted, pieces)


def _nothing(loss: Loss, wanted: tuple[bool, ...]) -> Result:
    """The result of a loss without rows."""
    slots = tensors_of(loss)[2:]
    shape = rows_shape(loss)
    statistics = loss.kind == "statistics"
    x = loss.sides[0].input
    return Result(
        x.new_zeros((3 if statistics else 1, *shape), dtype=loss.sides[0].spec.dtype),
        x.new_zeros(shape, dtype=torch.int64) if statistics else None,
        tuple(torch.zeros_like(x) if x is not None and want else None for x, want in zip(slots, wanted)),
    )


# --- logits that are given ----------------------------------------------------------------------------------------


class _Layout(NamedTuple):
    """Logits (…, C, …) seen as blocks, without a copy where their strides allow it."""

    shape: torch.Size
    class_dim: int
    flat: bool
    """Whether blocks are (rows, C), because the classes lie innermost, or (outer, C, inner)."""

    @classmethod
    def of(cls, x: Tensor, class_dim: int) -> "_Layout":
        inner = math.prod(x.shape[class_dim + 1 :])
        innermost = x.stride(class_dim) == 1 and x.movedim(class_dim, -1).is_contiguous()
        return cls(x.shape, class_dim, inner == 1 or innermost)

    def blocks(self, x: Tensor) -> Tensor:
        before, classes, after = self._sizes()
        if self.flat:
            return x.movedim(self.class_dim, -1).reshape(before * after, classes)
        return x.reshape(before, classes, after)

    def rows(self, x: Tensor) -> Tensor:
        before, _, after = self._sizes()
        return x.reshape(before * after, 1) if self.flat else x.reshape(before, 1, after)

    def restore(self, blocks: Tensor) -> Tensor:
        """Contiguous blocks as a tensor of the logits' shape."""
        if not self.flat:
            return blocks.view(self.shape)
        rows = (*self.shape[: self.class_dim], *self.shape[self.class_dim + 1 :])
        return blocks.view(*rows, self.shape[self.class_dim]).movedim(-1, self.class_dim)

    def _sizes(self) -> tuple[int, int, int]:
        d = self.class_dim
        # not Size.numel, which makes numbers of symbols
        return math.prod(self.shape[:d]), self.shape[d], math.prod(self.shape[d + 1 :])


def empty_gradient(x: Tensor, class_dim: int) -> Tensor:
    """An uninitialised gradient of logits, in the layout that `execute` gives it."""
    layout = _Layout.of(x, class_dim)
    return layout.restore(x.new_empty(layout.blocks(x).shape))


def _dense(loss: Loss, coefficient: Tensor | None, wanted: tuple[bool, ...], pieces: Plan) -> Result:
    side = loss.sides[0]
    layout = _Layout.of(side.input, side.spec.class_dim)
    z = layout.blocks(side.input)
    kernel = make(loss, coefficient if wanted[0] else None, layout.rows, layout.blocks, pieces)
    gradient = _memory.empty(tuple(z.shape), z.dtype, z.device) if wanted[0] else None
    in_place = gradient is not None and gradient.dtype == kernel.dtype
    scratch = None if in_place else z.new_empty(pieces.tile, dtype=kernel.dtype)
    for rows in _chunks(z.shape[0], pieces.chunk):
        part, chunk, derived = kernel.chunk((rows,)), z[rows], None if gradient is None else gradient[rows]
        for index in _tiles(chunk.shape, pieces.tile):
            logits, out = chunk[index], None if derived is None else derived[index]
            work = _work(logits if out is None else out, scratch)
            part.at(index).tile((logits,), (work,), gradient=wanted[0])
            if out is not None and work is not out:
                out.copy_(work)
        part.conclude()
    return _result(kernel, loss, (None if gradient is None else layout.restore(gradient), None, None))


def _chunks(rows: int, most: int) -> Iterator[slice]:
    """Slices of at most `most` rows."""
    return (slice(i, min(i + most, rows)) for i in range(0, rows, max(most, 1)))


def _tiles(shape: torch.Size, most: int) -> Iterator[Index]:
    """Indices of tiles of at most `most` logits (and at least one row) of blocks (N, C) or (N, C, P)."""
    outer, classes, inner = (*shape, 1) if len(shape) == 2 else shape
    step = max(1, most // max(classes * inner, 1))
    if len(shape) == 2:
        yield from ((slice(i, i + step),) for i in range(0, outer, step))
        return
    width = inner if classes * inner <= most else max(1, most // classes)
    for i, j in itertools.product(range(0, outer, step), range(0, inner, max(width, 1))):
        yield slice(i, i + step), slice(None), slice(j, j + width)


def _result(kernel: Kernel, loss: Loss, gradients: Gradients) -> Result:
    shape = rows_shape(loss)
    results, argmax = kernel.results()
    rows = [row.reshape(1, *shape) for row in results]
    return Result(
        torch.cat(rows) if len(rows) > 1 else rows[0], None if argmax is None else argmax.reshape(shape), gradients
    )


# --- logits of a linear head --------------------------------------------------------------------------------------


class _Head:
    """One side of a linear loss: products with its head, and the gradients as they are collected."""

    def __init__(self, side: Side, wanted: tuple[bool, ...]) -> None:
        assert side.weight is not None
        self.side = side
        self.dtype = product_dtype(side)
        self.hidden = side.input.reshape(math.prod(side.input.shape[:-1]), side.input.shape[-1])
        self.classes = side.weight.shape[0]
        self.head = side.weight.flatten(1, -2) if side.weight.dim() > 2 else side.weight.unsqueeze(1)  # (C, P, D)
        self.positions = self.head.shape[1]
        self.bias = None if side.bias is None else side.bias.reshape(self.classes, self.positions)
        self.input_gradient = self._new(self.hidden) if wanted[0] else None
        self.head_gradient = self._new(self.head) if wanted[1] else None
        self.bias_gradient = None
        if wanted[2]:
            self.bias_gradient = self.head.new_zeros(self.classes, self.positions, dtype=wide(self.dtype))
        self.wants_head = wanted[1] or wanted[2]

    @staticmethod
    def _new(like: Tensor) -> Tensor:
        return _memory.empty(tuple(like.shape), like.dtype, like.device)

    def logits(self, hidden: Tensor, out: Tensor, begin: int = 0) -> Tensor:
        """Logits (R, B, P), or (R, B), of `hidden` (R, D) for the classes of `out` (R, B · P) from `begin` on."""
        for i, j, weight in self._blocks(begin, out.shape[1] // self.positions, hidden.shape[0]):
            part = out if len(weight) == out.shape[1] else out[:, (i - begin) * self.positions :][:, : len(weight)]
            torch.mm(hidden, weight.T, out=part)
            if self.bias is not None:
                part.add_(self.bias[i:j].flatten().to(part.dtype))
        return self.shaped(out)

    def shaped(self, logits: Tensor) -> Tensor:
        if self.positions == 1:
            return logits
        return logits.view(logits.shape[0], logits.shape[1] // max(self.positions, 1), self.positions)

    def _blocks(self, begin: int, classes: int, rows: int) -> Iterator[tuple[int, int, Tensor]]:
        """The head's rows for some classes in the product's dtype; converted piece by piece, else at once."""
        step = classes
        if self.head.dtype != self.dtype:
            # a piece no larger than an eighth of the logits
            step = max(16, rows * classes // max(8 * self.head.shape[2], 1))
        for i in range(begin, begin + classes, max(step, 1)):
            j = min(i + step, begin + classes)
            yield i, j, self.head[i:j].flatten(0, 1).to(self.dtype)

    def collect_input(self, rows: slice, gradient: Tensor) -> None:
        """The input's gradient of a chunk, from the logits' (R, C · P)."""
        if self.input_gradient is None:
            return
        out = self.input_gradient[rows]
        if self.head.dtype == self.dtype == out.dtype:
            torch.mm(gradient, self.head.flatten(0, 1), out=out)
            return
        total = torch.zeros(out.shape, dtype=wide(gradient.dtype), device=out.device)
        for i, j, weight in self._blocks(0, self.classes, gradient.shape[0]):
            total += torch.mm(gradient[:, i * self.positions : j * self.positions], weight)
        out.copy_(total)

    def collect_head(self, gradient: Tensor, hidden: Tensor, begin: int, *, first: bool) -> None:
        """The gradient of head and bias for the classes of `gradient` (R, B · P): set, or added if not `first`."""
        classes = slice(begin, begin + gradient.shape[1] // self.positions)
        if self.bias_gradient is not None:
            self.bias_gradient[classes] += gradient.sum(0, dtype=self.bias_gradient.dtype).view(-1, self.positions)
        if self.head_gradient is None:
            return
        out = self.head_gradient[classes].flatten(0, 1)
        if not first:
            out.addmm_(gradient.T, hidden)
        elif out.dtype == gradient.dtype:
            torch.mm(gradient.T, hidden, out=out)
        else:
            out.copy_(torch.mm(gradient.T, hidden))

    def gradients(self) -> Gradients:
        """All that was collected, in the shapes and dtypes of the tensors it belongs to."""
        side = self.side
        assert side.weight is not None
        return (
            None if self.input_gradient is None else self.input_gradient.view(side.input.shape),
            None if self.head_gradient is None else self.head_gradient.view(side.weight.shape),
            None
            if self.bias_gradient is None or side.bias is None
            else self.bias_gradient.view(side.bias.shape).to(side.bias.dtype),
        )


def _linear(loss: Loss, coefficient: Tensor | None, wanted: tuple[bool, ...], pieces: Plan) -> Result:
    heads = [_Head(side, wanted[3 * i : 3 * i + 3]) for i, side in enumerate(loss.sides)]
    count, positions, classes = heads[0].hidden.shape[0], heads[0].positions, heads[0].classes

    def rows(x: Tensor) -> Tensor:
        return x.reshape((count, 1) if positions == 1 else (count, 1, positions))

    def blocks(x: Tensor) -> Tensor:
        return x.reshape((count, classes) if positions == 1 else (count, classes, positions))

    poisoned = _poisoned(loss, coefficient, heads)
    if poisoned is not None:
        for head in heads:
            head.hidden = head.hidden.masked_fill(poisoned.unsqueeze(1), 0.0)
    kernel = make(loss, coefficient if any(wanted) else None, rows, blocks, pieces)
    if pieces.strategy == "statistics" and kernel.merges:
        _sweep_statistics(kernel, heads[0], pieces)
    else:
        _sweep_rows(kernel, heads, pieces, any(wanted))
        if pieces.second_sweep:
            _sweep_classes(kernel, heads, pieces)
    result = _result(kernel, loss, tuple(g for head in heads for g in head.gradients()))
    if poisoned is not None:
        result.rows.view(-1, *poisoned.shape, positions).masked_fill_(poisoned.unsqueeze(1), 0.0)
    return result


def _poisoned(loss: Loss, coefficient: Tensor | None, heads: list[_Head]) -> Tensor | None:
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
    poisoned = idle & ~functools.reduce(torch.logical_and, (head.hidden.isfinite().all(1) for head in heads))
    return poisoned if not poisoned.is_cpu or bool(poisoned.any()) else None


def _sweep_rows(kernel: Kernel, heads: list[_Head], pieces: Plan, gradient: bool) -> None:
    """Chunks of rows: losses, gradients of the inputs and, without a second sweep, of the heads."""
    total = heads[0].hidden.shape[0]
    buffers = [_memory.empty((pieces.chunk, h.classes * h.positions), h.dtype, h.hidden.device) for h in heads]
    scratches = _scratches(kernel, heads, pieces)
    for rows in _chunks(total, pieces.chunk):
        part = kernel.chunk((rows,))
        hidden = [head.hidden[rows].to(head.dtype) for head in heads]
        flat = [buffer[: len(h)] for buffer, h in zip(buffers, hidden)]
        logits = [head.logits(h, z) for head, h, z in zip(heads, hidden, flat)]
        for index in _tiles(logits[0].shape, pieces.tile):
            tiles = tuple(z[index] for z in logits)
            works = _works(tiles, scratches)
            part.at(index).tile(tiles, works, gradient=gradient)
            if gradient:
                _store(works, tiles)
        part.conclude()
        if gradient:
            for head, h, z in zip(heads, hidden, flat):
                head.collect_input(rows, z)
                if head.wants_head and not pieces.second_sweep:
                    head.collect_head(z, h, 0, first=rows.start == 0)


def _sweep_classes(kernel: Kernel, heads: list[_Head], pieces: Plan) -> None:
    """Blocks of classes: gradients of the heads, from the statistics that the rows have by now."""
    hidden = [head.hidden.to(head.dtype) for head in heads]
    step = pieces.block
    buffers = [h.new_empty(h.shape[0] * step * head.positions) for h, head in zip(hidden, heads)]
    scratches = _scratches(kernel, heads, pieces)
    for begin in range(0, heads[0].classes, step):
        count = min(step, heads[0].classes - begin)
        widths = [count * head.positions for head in heads]
        flat = [b[: len(h) * width].view(len(h), width) for b, h, width in zip(buffers, hidden, widths)]
        logits = [head.logits(h, z, begin) for head, h, z in zip(heads, hidden, flat)]
        for index in _tiles(logits[0].shape, pieces.tile):
            tiles = tuple(z[index] for z in logits)
            works = _works(tiles, scratches)
            kernel.at(index).block(tiles, works, begin)
            _store(works, tiles)
        for head, h, z in zip(heads, hidden, flat):
            if head.wants_head:
                head.collect_head(z, h, begin, first=True)


def _sweep_statistics(kernel: Kernel, head: _Head, pieces: Plan) -> None:
    """Blocks of classes, forward alone: statistics merge, and the head is read once."""
    hidden, step = head.hidden.to(head.dtype), pieces.block
    part = kernel.chunk((slice(None),))
    buffer = hidden.new_empty(hidden.shape[0] * step * head.positions)
    scratches = _scratches(kernel, [head], pieces)
    for begin in range(0, head.classes, step):
        width = min(step, head.classes - begin) * head.positions
        logits = head.logits(hidden, buffer[: len(hidden) * width].view(len(hidden), width), begin)
        for index in _tiles(logits.shape, pieces.tile):
            tile = logits[index]
            part.at(index).accumulate(tile, _works((tile,), scratches)[0], begin)
    part.conclude()


def _scratches(kernel: Kernel, heads: list[_Head], pieces: Plan) -> list[Tensor | None]:
    """A tile in the accumulation dtype for each head whose logits are in another."""
    return [
        None if head.dtype == kernel.dtype else head.hidden.new_empty(pieces.tile, dtype=kernel.dtype) for head in heads
    ]


def _works(tiles: tuple[Tensor, ...], scratches: list[Tensor | None]) -> tuple[Tensor, ...]:
    return tuple(map(_work, tiles, scratches))


def _work(tile: Tensor, scratch: Tensor | None) -> Tensor:
    """Where to work on a tile: in place, or in scratch."""
    return tile if scratch is None else scratch[: tile.numel()].view(tile.shape)


def _store(works: tuple[Tensor, ...], tiles: tuple[Tensor, ...]) -> None:
    for work, tile in zip(works, tiles):
        if work is not tile:
            tile.copy_(work)
