"""A loss over ranks for compilers: two opaque operators, forward and backward, messages and all.

What backward has to know travels as one tensor of floats, whose size depends on no setting, one of indices, and whether
the ranks agree. Everything about a share that is no tensor is a list of integers and words, the group by its name.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from crossentropy import _torch
from crossentropy._autograd import SLOTS, Call, Tensors, complete, decoded, encoded
from crossentropy._dispatch import SLICING
from crossentropy._loss import FIXED, Loss, rows_shape, with_tensors
from crossentropy._ranks._agreement import hashed
from crossentropy._ranks._fold import Shares, kept
from crossentropy._ranks._function import Share, collected, computed, derived
from crossentropy._ranks._group import Group, grid, processes_of
from crossentropy._ranks._hidden import Spread
from crossentropy._statistics import RowStatistics

_FLOATS = tuple(name for name in RowStatistics._fields if name != "top")
_SIDE = ("maximum", "others", "apart")
"""The floats that are known of each side of a divergence."""
_DTYPES = {str(x).removeprefix("torch."): x for x in (torch.float16, torch.bfloat16, torch.float32, torch.float64)}


def rows_of(share: Share, tensors: Tensors, agreement: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of a loss (K, rows), and their argmax for statistics."""
    wanted = tuple(x is not None and x.requires_grad for x in tensors[FIXED:])
    call = Call(share.backend, share.loss, False, wanted)
    rows, argmax, *_ = _forward(*encoded(call, (agreement, *tensors)), list(share.shares.sizes), *_words(share))
    return rows, argmax


def _words(share: Share) -> tuple[str, str]:
    """The name of the group, and how a share is computed."""
    spread, names = share.spread, [processes.group_name for processes in processes_of(share.shares.group)]
    spec = share.loss.sides[0].spec
    how = f"{spec.reduction} {spec.out_dtype} {'1' if share.reduces else '0'}"
    how += " none" if share.comm_dtype is None else f" {str(share.comm_dtype).removeprefix('torch.')}"
    how += " none" if spread is None else f" {spread.dim},{spread.length}"
    return " ".join(names), how


def _share(call: Call, ranks: Sequence[int], group: str, how: str) -> Share:
    _, _, reduces, dtype, spread = how.split()
    return Share(
        next(backend for backend in SLICING if backend is call.backend),
        call.loss,
        Shares(_group(group), tuple(ranks)),
        reduces=reduces == "1",
        spread=None if spread == "none" else Spread(*map(int, spread.split(","))),
        comm_dtype=_DTYPES.get(dtype),
    )


def _settings(share: Share, how: str) -> dict[str, object]:
    """What all ranks must share, beside tensors."""
    loss = share.loss
    shape = [size for i, size in enumerate(loss.shape) if i != loss.sides[0].spec.class_dim]
    specs = [replace(side.spec, ignores=True) for side in loss.sides]
    return {"the loss": loss.kind, "rows": shape, "settings": specs, "how": how}


def _group(names: str) -> Group:
    groups = [_torch.group_named(name) for name in names.split()]
    return grid([Group(group, group.size(), group.rank()) for group in groups])


# --- what backward has to know ------------------------------------------------------------------------------------


def _packed(loss: Loss, known: Sequence[Tensor | None]) -> list[Tensor]:
    """Floats (F, rows), indices, and whether the ranks agree."""
    *rows, agree = known
    assert agree is not None
    if loss.kind == "divergence":
        *rows, divergence, of_student = rows
        assert divergence is not None
        assert of_student is not None
        count = len(RowStatistics._fields)
        sides = RowStatistics(*rows[:count]), RowStatistics(*rows[count:])  # pyright: ignore[reportArgumentType]
        floats = torch.stack([*(getattr(side, name) for side in sides for name in _SIDE), divergence, of_student])
        return [floats, divergence.new_empty(0, dtype=torch.int64), agree]
    row = RowStatistics(*rows)  # pyright: ignore[reportArgumentType]
    floats = [getattr(row, name) for name in _FLOATS]
    floats = torch.stack([torch.zeros_like(row.apart) if x is None else x for x in floats])
    return [floats, torch.zeros_like(row.apart, dtype=torch.int64) if row.top is None else row.top, agree]


def _unpacked(loss: Loss, floats: Tensor, top: Tensor, agree: Tensor) -> tuple[Tensor | None, ...]:
    if loss.kind == "divergence":
        *sides, divergence, of_student = floats.unbind(0)
        return *RowStatistics(*sides[:3]), *RowStatistics(*sides[3:]), divergence, of_student, agree
    known = kept(loss)
    fields = {name: x for name, x in zip(_FLOATS, floats.unbind(0)) if name in known}
    return *RowStatistics(**fields, top=top if "top" in known else None), agree


# --- the operators ------------------------------------------------------------------------------------------------


@torch.library.custom_op("crossentropy::ranks", mutates_args=())
def _forward(
    tensors: Sequence[Tensor],
    constants: Sequence[float] | None,
    sizes: Sequence[int],
    key: str,
    ranks: Sequence[int],
    group: str,
    how: str,
) -> list[Tensor]:
    """Rows, argmax, and what backward has to know, with the hidden states of all rows if they were spread."""
    call, (agreement, *own), numbers = decoded(tensors, constants, sizes, key)
    share = _share(complete(call, numbers), ranks, group, how)
    assert agreement is not None
    agreement = agreement + hashed(_settings(share, how))
    own = collected(share, own)
    loss = with_tensors(share.loss, own)
    known, rows, argmax = computed(share, loss, agreement)
    hidden = own[FIXED] if share.spread is not None else None
    return [rows.clone(), argmax.clone(), *_packed(loss, known), rows.new_empty(0) if hidden is None else hidden]


@torch.library.custom_op("crossentropy::ranks_backward", mutates_args=())
def _backward(
    tensors: Sequence[Tensor],
    constants: Sequence[float] | None,
    sizes: Sequence[int],
    key: str,
    ranks: Sequence[int],
    group: str,
    how: str,
    known: Sequence[Tensor],
) -> list[Tensor]:
    """The gradients of input, head and bias of each side."""
    call, (upstream, *own), numbers = decoded(tensors, constants, sizes, key)
    share = _share(complete(call, numbers), ranks, group, how)
    assert upstream is not None
    *known, hidden = known
    if share.spread is not None:
        own[FIXED] = hidden
    loss = with_tensors(share.loss, own)
    gradients = derived(share, loss, _unpacked(loss, *known), upstream, call.wanted)
    return [upstream.new_empty(0) if g is None else g for g in gradients]


@_forward.register_fake
def _(
    tensors: Sequence[Tensor],
    constants: Sequence[float] | None,
    sizes: Sequence[int],
    key: str,
    ranks: Sequence[int],
    group: str,
    how: str,
) -> list[Tensor]:
    call, (_, *own), _ = decoded(tensors, constants, sizes, key)
    loss, spec, x = call.loss, call.loss.sides[0].spec, own[FIXED]
    assert x is not None
    shape, statistics, spread = rows_shape(loss), loss.kind == "statistics", how.split()[-1]
    hidden = x.new_empty(0)
    if spread != "none":
        dim, length = map(int, spread.split(","))
        hidden = x.new_empty((*x.shape[:dim], length, *x.shape[dim + 1 :]))
    floats = 2 * len(_SIDE) + 2 if loss.kind == "divergence" else len(_FLOATS)
    return [
        x.new_empty((3 if statistics else 1, *shape), dtype=spec.dtype),
        x.new_empty(shape if statistics else 0, dtype=torch.int64),
        x.new_empty((floats, *shape), dtype=spec.dtype),
        x.new_empty(0 if loss.kind == "divergence" else shape, dtype=torch.int64),
        x.new_empty((), dtype=torch.bool),
        hidden,
    ]


@_backward.register_fake
def _(
    tensors: Sequence[Tensor],
    constants: Sequence[float] | None,
    sizes: Sequence[int],
    key: str,
    ranks: Sequence[int],
    group: str,
    how: str,
    known: Sequence[Tensor],
) -> list[Tensor]:
    call, own, _ = decoded(tensors, constants, sizes, key)
    found, first = [], own[SLOTS]
    for i, (slot, want) in enumerate(zip(own[SLOTS:], call.wanted)):
        if not want or slot is None:
            found.append(tensors[0].new_empty(0))
        elif i % 3 == 0 and own[SLOTS + 1] is None:
            assert first is not None
            found.append(call.backend.empty_gradient(first, call.loss.sides[0].spec.class_dim).to(slot.dtype))
        else:
            found.append(slot.new_empty(slot.shape))
    return found


class _Context(Protocol):
    arguments: tuple[Any, ...]
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...
    def mark_non_differentiable(self, *tensors: Tensor) -> None: ...


def _setup(ctx: _Context, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    tensors, *ctx.arguments = inputs  # pyright: ignore[reportAttributeAccessIssue]
    ctx.save_for_backward(*tensors, *output[2:])
    ctx.mark_non_differentiable(*output[1:])


def _differentiate(ctx: _Context, upstream: list[Tensor]) -> tuple[Any, ...]:
    *tensors, floats, top, agree, hidden = ctx.saved_tensors
    constants, sizes, key, *others = ctx.arguments
    call, own, numbers = decoded(tensors, constants, sizes, key)
    given = (upstream[0].contiguous(), *tensors[1:])
    gradients = iter(_backward(given, constants, sizes, key, *others, [floats, top, agree, hidden]))
    of_slots = [g if want else None for g, want in zip(gradients, call.wanted)]
    found = [g for x, g in zip(own, (*[None] * SLOTS, *of_slots)) if x is not None]
    return found + [None] * (numbers is not None), None, None, None, None, None, None


_forward.register_autograd(_differentiate, setup_context=_setup)
