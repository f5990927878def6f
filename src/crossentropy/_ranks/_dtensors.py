"""Losses of DTensors: by the engine, on what this rank has of them.

    arguments are checked by their whole shapes → this rank's tensors → its rows, or their sum → a DTensor

A loss lays out logits (rows, classes) on the mesh. Along each of its dimensions one thing is cut, or nothing:

    along a dimension    logits        hidden states    head, bias    rows          what is sent
    classes are cut      Shard(C)      Replicate        Shard(0)      Replicate     statistics of rows: see `_fold`
    rows are cut         Shard(row)    Shard(row)       Replicate     Shard(row)    Σ t n, and the sum of the rows
    nothing is           Replicate     Replicate        Replicate     Replicate     nothing

Gradients are placed as their tensors. Where a tensor is whole and what uses it is cut, each rank has a part of a sum:
of the hidden states' gradient where classes are cut, which `_hidden` adds up, and of a head's where rows are, which
DTensor does. Hidden states that are cut along a sequence where classes are cut come and go as parts of it. No logits
are sent, but where they are a sum that is still to do, or cut over classes in another way than torch.chunk's.

Labels are not read, because a rank that raises alone leaves the others waiting: one out of range makes the loss nan.
With validate=True the ranks of the mesh tell each other what they found.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.distributed.tensor.placement_types import Placement

from crossentropy import _autograd, _torch
from crossentropy import _contract as contract
from crossentropy._contract import AnyOptions
from crossentropy._dispatch import PLAIN, select, select_slicing
from crossentropy._errors import ArgumentError
from crossentropy._loss import Loss, LossSpec, LossTensors, Side, without, without_tensors
from crossentropy._ranks import _agreement
from crossentropy._ranks._call import rows_of
from crossentropy._ranks._fold import Shares
from crossentropy._ranks._function import Share
from crossentropy._ranks._group import chunks, grid, group_of
from crossentropy._ranks._hidden import Spread
from crossentropy._reduction import Execute, reduce, weigh
from crossentropy._validation import check_of_rows

Placements = tuple[Placement, ...]


class Layout(NamedTuple):
    """How logits are laid out on a mesh."""

    mesh: DeviceMesh
    logits: Placements
    """Each a cut along the class axis or another one, or Replicate."""
    class_dim: int
    rank: int
    """How many axes the logits have."""

    @property
    def cut(self) -> tuple[int, ...]:
        """Dimensions of the mesh along which classes are cut."""
        return tuple([i for i, p in enumerate(self.logits) if axis_of(p, self.rank) == self.class_dim])

    @property
    def data(self) -> tuple[int, ...]:
        """Dimensions of the mesh along which rows are cut."""
        axes = [axis_of(p, self.rank) for p in self.logits]
        return tuple([i for i, axis in enumerate(axes) if axis not in (None, self.class_dim)])

    @property
    def whole(self) -> Placements:
        """Of what is the same on all ranks."""
        return (Replicate(),) * self.mesh.ndim

    @property
    def rows(self) -> Placements:
        """Of what there is for each row."""

        def moved(p: Placement) -> Placement:
            axis = axis_of(p, self.rank)
            if axis in (None, self.class_dim):
                return Replicate()
            return _along(p, axis - (axis > self.class_dim))

        return tuple([moved(p) for p in self.logits])

    @property
    def hidden(self) -> Placements:
        """Of hidden states, whose rows have the logits' axes before the classes."""
        return tuple([Replicate() if i in self.cut else p for i, p in enumerate(self.logits)])

    @property
    def head(self) -> Placements:
        """Of a head, and of its bias."""
        return tuple([Shard(0) if i in self.cut else Replicate() for i in range(self.mesh.ndim)])

    def shares(self, num_classes: int) -> Shares:
        """How the classes are shared out: cut as by torch.chunk, once for each dimension."""
        sizes = [num_classes]
        for i in self.cut:
            sizes = [part for size in sizes for part in chunks(size, self.mesh.size(i))]
        return Shares(grid([group_of(self.mesh.get_group(i)) for i in self.cut]), tuple(sizes))


# --- layouts ------------------------------------------------------------------------------------------------------


def axis_of(placement: Placement, rank: int) -> int | None:
    """The axis that a placement cuts, of a tensor with `rank` axes."""
    axis = getattr(placement, "dim", None)
    return None if axis is None else axis % rank


def _along(placement: Placement, axis: int) -> Placement:
    """The same cut along another axis."""
    if type(placement) is Shard:
        return Shard(axis)
    return type(placement)(axis, split_factor=placement.split_factor)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]


def layout_of(x: Tensor, head: Tensor | None, class_dim: int, rank: int) -> Layout:
    """How logits with `rank` axes are laid out: as they are, or as hidden states x and their head suggest."""
    assert isinstance(x, DTensor)
    mesh = x.device_mesh
    if head is None:
        found = [_of_logits(p, class_dim, rank) for p in x.placements]
    else:
        assert isinstance(head, DTensor)
        found = [_of_head(x, head, i, class_dim) for i in range(mesh.ndim)]
    found = [p if mesh.size(i) > 1 else Replicate() for i, p in enumerate(found)]
    return Layout(mesh, tuple(found), class_dim, rank)


def _of_logits(placement: Placement, class_dim: int, rank: int) -> Placement:
    axis = axis_of(placement, rank)
    if axis is None or (axis == class_dim and type(placement) is not Shard):
        return Replicate()
    return _along(placement, axis)


def _of_head(x: DTensor, head: DTensor, dim: int, class_dim: int) -> Placement:
    """Where both rows and classes are cut, the smaller of hidden states and head becomes whole."""
    row, placement = axis_of(x.placements[dim], x.dim()), head.placements[dim]
    rows_are_cut = row is not None and row < x.dim() - 1
    if type(placement) is Shard and placement.dim == 0 and not (rows_are_cut and x.numel() > head.numel()):
        return Shard(class_dim)
    return _along(x.placements[dim], row) if rows_are_cut and row is not None else Replicate()


# --- to a rank's tensors, and back --------------------------------------------------------------------------------


def local(x: Tensor, placements: Placements, parts: Sequence[int] = ()) -> Tensor:
    """What this rank has of a DTensor; along `parts` of the mesh its gradient is a part of a sum."""
    grads = [Partial() if i in parts else p for i, p in enumerate(placements)]
    if not (_torch.DTENSORS_DIFFERENTIATE_TWICE or torch.compiler.is_compiling()):
        x = _Once.apply(x)  # pyright: ignore[reportAssignmentType]
    assert isinstance(x, DTensor)
    # also if it is placed so already: the gradient is then placed as the tensor
    return _waited(x.redistribute(placements=placements).to_local(grad_placements=grads))


class _Once(torch.autograd.Function):
    """The same tensor, whose gradient has none."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return x.view_as(x)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        if torch.is_grad_enabled():
            raise NotImplementedError("second derivatives of DTensors are those of this rank alone before torch 2.13")
        return gradients[0]


def _waited(x: Tensor) -> Tensor:
    """A tensor of which a collective may still be under way, when it has ended."""
    return x if type(x) in (Tensor, torch.nn.Parameter) or not hasattr(x, "trigger_wait") else x.clone()


def placed(x: Tensor, mesh: DeviceMesh, placements: Placements, shape: torch.Size) -> Tensor:
    """A DTensor of this shape, of which this rank has x."""
    stride = torch.empty(shape, device="meta").stride()
    return DTensor.from_local(x, mesh, placements, run_check=False, shape=shape, stride=stride)


def added(x: Tensor, layout: Layout, parts: Sequence[int], placements: Placements, shape: torch.Size) -> Tensor:
    """A DTensor of which this rank has a part of a sum along `parts` of the mesh."""
    if not parts:
        return placed(x, layout.mesh, placements, shape)
    summed = tuple([Partial() if i in parts else p for i, p in enumerate(placements)])
    found = placed(x, layout.mesh, summed, shape)
    assert isinstance(found, DTensor)
    return found.redistribute(placements=placements)


# --- losses -------------------------------------------------------------------------------------------------------


class Here(NamedTuple):
    """A loss of DTensors, as this rank computes it."""

    layout: Layout
    loss: Loss
    """Of this rank's rows, and of all classes; its tensors are this rank's."""
    parts: tuple[int, ...]
    """Dimensions of the mesh along which its rows are parts of a sum."""
    shape: torch.Size
    """Of the rows of all ranks."""
    spread: Spread | None
    """How the hidden states are, along the dimension on which classes are cut."""

    @classmethod
    def of(cls, loss: Loss) -> "Here":
        """The rank's part of a loss."""
        side = loss.sides[0]
        layout = layout_of(side.input, side.weight, side.spec.class_dim, len(loss.shape))
        parts = layout.cut if loss.kind == "nll" else ()
        axis = None if loss.kind == "divergence" else _sequence(side, layout)
        sides = tuple([_side(side, layout, axis) for side in loss.sides])
        spec, x = side.spec, sides[0].input
        shape = list(x.shape) if side.weight is None else [*x.shape[:-1], *loss.shape[x.dim() - 1 :]]
        shape[spec.class_dim] = spec.num_classes
        spread = None if axis is None else Spread(axis, side.input.shape[axis])
        if spread is not None:
            shape[spread.dim] = spread.length
        shared = (*layout.data, *parts)
        soft = loss.target is not None and loss.target.is_floating_point()
        here = loss._replace(
            sides=sides,
            shape=torch.Size(shape),
            target=None if loss.target is None else local(loss.target, layout.logits if soft else layout.rows),
            weight=None if loss.weight is None else local(loss.weight, layout.whole, shared),
        )
        return cls(layout, here, parts, without(loss.shape, spec.class_dim), spread)

    def tensors(self, tensors: LossTensors) -> LossTensors:
        """What the reduction needs beside the loss."""
        t, total = tensors.token_weight, tensors.denominator
        t = None if t is None else local(t, self.layout.rows, self.parts)
        if isinstance(total, Tensor):
            total = local(total, self.layout.whole, (*self.layout.data, *self.parts))
        return tensors._replace(token_weight=t, denominator=total)

    def total(self, x: Tensor) -> Tensor:
        """A number's sum over the ranks that have other rows."""
        layout = self.layout
        return local(added(x, layout, layout.data, layout.whole, x.shape), layout.whole, layout.data)

    def number(self, x: Tensor) -> Tensor:
        """The sum of what each rank has of a number."""
        layout = self.layout
        return added(x, layout, (*layout.data, *self.parts), layout.whole, x.shape)

    def of_rows(self, x: Tensor) -> Tensor:
        """What each rank has of the rows."""
        return added(x, self.layout, self.parts, self.layout.rows, self.shape)


def _sequence(side: Side, layout: Layout) -> int | None:
    """The axis along which hidden states are cut where classes are, and nowhere else."""
    if side.weight is None or len(layout.cut) != 1:
        return None
    x, (dim,) = side.input, layout.cut
    assert isinstance(x, DTensor)
    axis = axis_of(x.placements[dim], x.dim())
    taken = [axis_of(p, x.dim()) for i, p in enumerate(layout.hidden) if i != dim]
    return axis if type(x.placements[dim]) is Shard and axis not in (x.dim() - 1, *taken) else None


def _side(side: Side, layout: Layout, sequence: int | None) -> Side:
    if side.weight is None:
        return side._replace(input=local(side.input, layout.logits))
    hidden = layout.hidden
    if sequence is not None:
        hidden = tuple([Shard(sequence) if i in layout.cut else p for i, p in enumerate(hidden)])
    return side._replace(
        input=local(side.input, hidden),
        weight=local(side.weight, layout.head, layout.data),
        bias=None if side.bias is None else local(side.bias, layout.head, layout.data),
    )


def reduced(loss: Loss, tensors: LossTensors, spec: LossSpec, options: AnyOptions) -> Tensor:
    """The reduced loss of DTensors, a DTensor; rounded once."""
    here = Here.of(loss)
    own = here.tensors(tensors)
    run = _execution(here, own, contract.backend(options))
    found = reduce(here.loss, own, spec.reduction, loss.sides[0].spec.dtype, run, here.total)
    return (here.of_rows if spec.reduction == "none" else here.number)(found).to(spec.out_dtype)


def statistics(loss: Loss, options: AnyOptions) -> tuple[Sequence[Tensor], Tensor]:
    """The three statistics of the rows of DTensors, and their argmax: DTensors."""
    here, asked = Here.of(loss), contract.backend(options)
    if here.layout.cut:
        rows, argmax = _folded(here, (), asked)
    else:
        rows, argmax = _autograd.statistics(select(here.loss, asked).backend, here.loss)
    return [here.of_rows(x) for x in rows], here.of_rows(argmax)


def check(loss: Loss, tensors: LossTensors, spec: LossSpec) -> None:
    """Labels and weights are such as a loss can mean; the same error on every rank of the mesh."""
    if torch.compiler.is_compiling():
        return
    error = None
    with torch.no_grad():
        here = Here.of(loss)
        own = here.tensors(tensors)
        try:
            check_of_rows(here.loss, own._replace(target=here.loss.target, weight=here.loss.weight), spec)
        except ArgumentError as found:
            error = found
    mesh = here.layout.mesh
    _agreement.shake_hands(grid([group_of(mesh.get_group(i)) for i in range(mesh.ndim)]), (), {}, error)


def _execution(here: Here, tensors: LossTensors, asked: str) -> Execute:
    """How this rank computes its rows, and their weighted sum."""
    agreed = [x for x in (tensors.token_weight, tensors.denominator) if isinstance(x, Tensor)]

    def whole(loss: Loss, coefficient: Tensor, summed: bool) -> tuple[Tensor, Tensor]:
        return _autograd.execute(select(loss, asked).backend, loss, coefficient, summed)

    def picked(loss: Loss, coefficient: Tensor, summed: bool) -> tuple[Tensor, Tensor]:
        return _autograd.execute(PLAIN, _slice(loss, here.layout), coefficient, summed)

    def folded(loss: Loss, coefficient: Tensor, summed: bool) -> tuple[Tensor, Tensor]:
        rows, _ = _folded(here._replace(loss=loss), agreed, asked)
        return weigh(coefficient, rows).sum() if summed else rows.new_zeros(()), rows

    if not here.layout.cut:
        return whole
    return picked if here.loss.kind == "nll" else folded


def _folded(here: Here, agreed: Sequence[Tensor], asked: str) -> tuple[Tensor, Tensor]:
    """The rows, and their argmax, of statistics that are folded over the ranks that have other classes."""
    loss = here.loss
    shares = here.layout.shares(loss.sides[0].spec.num_classes)
    backend = select_slicing(loss, asked)
    labels = None if loss.target is None or loss.target.is_floating_point() else loss.target
    agreement = torch.zeros((), dtype=torch.int64, device=loss.sides[0].input.device)
    for i, x in enumerate((labels, loss.weight, *agreed)):
        agreement = agreement if x is None else agreement + (2 * i + 1) * _agreement.checksum(x)
    return rows_of(Share(backend, without_tensors(loss), shares, spread=here.spread), loss, agreement)


def _slice(loss: Loss, layout: Layout) -> Loss:
    """The loss of log-probabilities of this rank's classes: 0 for labels of others, nan for those of nobody."""
    side, target, weight = loss.sides[0], loss.target, loss.weight
    assert target is not None
    spec, shares = side.spec, layout.shares(side.spec.num_classes)
    begin, count = shares.begin, shares.sizes[shares.group.rank]
    known, mine = (target >= 0) & (target < spec.num_classes), (target >= begin) & (target < begin + count)
    known = known | (target == spec.ignore_index)
    mine = mine & (target != spec.ignore_index)
    x, weight = side.input, None if weight is None else weight[begin : begin + count]
    if not count:  # one class, which no label has, so that the gradient is zero and not absent
        x, weight, count = _with_a_class(x, spec.class_dim), None if weight is None else _with_a_class(weight, 0), 1
    spec = replace(spec, num_classes=count, ignore_index=_OTHERS, ignores=True)
    label = torch.where(mine, target - begin, torch.where(known, _OTHERS, _NOBODY))
    return loss._replace(sides=(side._replace(input=x, spec=spec),), shape=x.shape, target=label, weight=weight)


_OTHERS, _NOBODY = -1, -2
"""Labels of classes that other ranks have, and of no class at all."""


def _with_a_class(x: Tensor, dim: int) -> Tensor:
    shape = list(x.shape)
    shape[dim] = 1
    return torch.cat([x, x.new_zeros(shape)], dim)
