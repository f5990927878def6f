"""Statistics of slices of the classes → those of all classes, the same bits on every rank.

    one gather of K floats a row, merged in rank order           K · W · N numbers of at most 8 MB
    the largest, and then one sum of what is scaled to it        above

K = 3 (maximum, others, apart) for labels, 4 with smoothing (weighted); 5 for class probabilities and for statistics,
whose class apart is the largest, so that it is the maximum as well. What a rank adds to `weight` under smoothing is
known to all of them. For a divergence both logits have 2, and then one sum of what each rank's classes add to it. A few
more numbers carry what the ranks must agree on.

N rows · W ranks. Where the class apart is the largest, `top` says where it is: −1 on ranks that do not have it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy import _statistics as statistics
from crossentropy._logspace import product
from crossentropy._loss import Loss
from crossentropy._ranks import _agreement
from crossentropy._ranks._group import Group
from crossentropy._statistics import RowStatistics

MOST = 8_000_000
"""Bytes of all messages together, above which two reductions of N rows are cheaper than a gather of W · N."""

_BITS = {torch.float32: torch.int32, torch.float64: torch.int64}


class Shares(NamedTuple):
    """How the classes of a loss are shared out among the ranks of a group."""

    group: Group
    sizes: tuple[int, ...]
    """Classes of each rank."""

    @property
    def begin(self) -> int:
        """The first class of this rank."""
        return sum(self.sizes[: self.group.rank])

    @property
    def classes(self) -> int:
        """All of them."""
        return sum(self.sizes)


def fields(loss: Loss) -> tuple[str, ...]:
    """The statistics that a rank has to tell."""
    spec = loss.sides[0].spec
    if loss.kind == "divergence":
        return ("others", "apart")
    if loss.kind == "statistics":
        return ("others", "apart", "energy", "top", *(["target"] if loss.target is not None else []))
    if spec.probabilities:
        return ("others", "apart", "weighted", "weight", "elsewhere")
    return ("maximum", "others", "apart", *(["weighted"] if spec.label_smoothing else []))


def kept(loss: Loss) -> tuple[str, ...]:
    """The statistics of all classes that are known after that."""
    names = ["maximum", *(name for name in fields(loss) if name != "maximum")]
    if "weighted" in names and "weight" not in names:
        names.append("weight")
    if "elsewhere" in names:
        names.append("top")
    return tuple(names)


def fold(loss: Loss, row: RowStatistics, shares: Shares, agreement: Tensor) -> tuple[RowStatistics, Tensor]:
    """Statistics of all classes in the rows' shape, and whether the ranks agree."""
    names, shape = fields(loss), row.apart.shape
    flat = RowStatistics(*[None if x is None else x.reshape(-1) for x in row])  # pyright: ignore[reportArgumentType]
    few = _few(names, flat.apart.numel(), flat.apart.dtype, shares.group)
    merged, agree = (_gathered if few else _summed)(loss, flat, shares, agreement, names)
    if loss.kind == "cross_entropy" and loss.sides[0].spec.probabilities:
        assert merged.top is not None
        here = merged.top == shares.group.rank
        merged = merged._replace(top=torch.where(here, flat.top if flat.top is not None else 0, -1))
    return RowStatistics(*[None if x is None else x.reshape(shape) for x in merged]), agree  # pyright: ignore[reportArgumentType]


def fold_both(
    loss: Loss, rows: Sequence[RowStatistics], shares: Shares, agreement: Tensor
) -> tuple[RowStatistics, RowStatistics, Tensor]:
    """The same for two logits, of a student and a teacher, at once."""
    student, teacher = rows
    both = [None if a is None or b is None else torch.stack([a, b]) for a, b in zip(student, teacher)]
    merged, agree = fold(loss, RowStatistics(*both), shares, agreement)  # pyright: ignore[reportArgumentType]
    return _each(merged, 0), _each(merged, 1), agree


def _few(names: tuple[str, ...], rows: int, dtype: torch.dtype, group: Group) -> bool:
    """Whether one gather is the cheaper way."""
    return len(names) * rows * dtype.itemsize * group.size <= MOST


# --- one gather ---------------------------------------------------------------------------------------------------


def _gathered(
    loss: Loss, row: RowStatistics, shares: Shares, agreement: Tensor, names: tuple[str, ...]
) -> tuple[RowStatistics, Tensor]:
    dtype = row.apart.dtype
    columns = [_packed(getattr(row, name), dtype) for name in names]
    tail = _agreement.pieces(agreement, dtype)
    every = shares.group.gather(torch.cat([*columns, tail]))
    agree = (every[:, -len(tail) :] == every[:1, -len(tail) :]).all()
    told = dict(zip(names, every[:, : -len(tail)].unflatten(1, (len(names), -1)).unbind(1)))
    return _merged(_complete(loss, told, shares)), agree


def _packed(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Floats as they are; indices as the bits of floats."""
    return x if x.is_floating_point() else x.to(_BITS[dtype]).view(dtype)


def _complete(loss: Loss, told: dict[str, Tensor], shares: Shares) -> RowStatistics:
    """Statistics (W, N) of all ranks, with what need not be told."""
    apart = told["apart"]
    maximum = told.get("maximum")
    if maximum is None:
        maximum = apart.clamp(min=statistics.lowest(apart.dtype))
    weight, top = told.get("weight"), told.get("top")
    if weight is None and "weighted" in told:
        weight = _weights(loss, shares, apart).unsqueeze(1).expand_as(apart)
    if top is not None:
        top = top.contiguous().view(_BITS[apart.dtype]).long()
    elif loss.sides[0].spec.probabilities:
        top = torch.arange(shares.group.size, device=apart.device).unsqueeze(1).expand_as(apart)
    return RowStatistics(
        maximum, told["others"], apart, told.get("weighted"), weight, told.get("elsewhere"), told.get("energy"), top,
        told.get("target"),
    )  # fmt: skip


def _weights(loss: Loss, shares: Shares, like: Tensor) -> Tensor:
    """What smoothing puts on the classes of each rank, (W,)."""
    spec = loss.sides[0].spec
    share = spec.label_smoothing / spec.num_classes
    sizes = torch.tensor(shares.sizes, device=like.device)
    if loss.weight is None:
        return share * sizes.to(like.dtype)
    places = torch.arange(max(shares.sizes), device=like.device)
    classes = places + (sizes.cumsum(0) - sizes).unsqueeze(1)  # (W, most classes of a rank)
    weights = loss.weight.detach().to(like.dtype)[classes.clamp(max=shares.classes - 1)]
    return share * weights.masked_fill(places >= sizes.unsqueeze(1), 0.0).sum(1)


def _merged(rows: RowStatistics) -> RowStatistics:
    """Statistics (N,) of those (W, N) of each rank: neighbours merge, log₂ W times."""
    while len(rows.apart) > 1:
        count = len(rows.apart) // 2 * 2
        pairs = statistics.merge(_each(rows, slice(0, count, 2)), _each(rows, slice(1, count, 2)))
        if count < len(rows.apart):
            last = _each(rows, slice(count, None))
            joined = [None if x is None or y is None else torch.cat([x, y]) for x, y in zip(pairs, last)]
            pairs = RowStatistics(*joined)  # pyright: ignore[reportArgumentType]
        rows = pairs
    return _each(rows, 0)


def _each(rows: RowStatistics, index: slice | int) -> RowStatistics:
    return RowStatistics(*[None if x is None else x[index] for x in rows])  # pyright: ignore[reportArgumentType]


# --- the largest, then a sum --------------------------------------------------------------------------------------

_EXTREMES = ("maximum", "apart", "target")
"""Of each the largest is that of all classes: a label is −inf on all ranks but one."""


def _summed(
    loss: Loss, row: RowStatistics, shares: Shares, agreement: Tensor, names: tuple[str, ...]
) -> tuple[RowStatistics, Tensor]:
    group, tail = shares.group, _agreement.pieces(agreement, row.apart.dtype)
    largest = [name for name in _EXTREMES if name in names]
    message = group.most(torch.cat([*(getattr(row, name) for name in largest), tail, -tail]))
    *extremes, most, least = message.split([*[len(row.apart)] * len(largest), len(tail), len(tail)])
    told = dict(zip(largest, extremes))
    stays = None
    if "maximum" not in names:
        told["maximum"] = told["apart"].clamp(min=statistics.lowest(tail.dtype))
        own = row.top
        if own is None or loss.kind != "statistics":
            own = torch.full_like(row.apart, group.rank, dtype=torch.int64)
        own = own.masked_fill(row.apart < told["apart"], torch.iinfo(torch.int64).max)
        top = group.least(own)
        told["top"], stays = top, own == top
    if "weighted" in names and "weight" not in names:
        weights = _weights(loss, shares, row.apart)
        row = row._replace(weight=weights[group.rank].expand_as(row.apart))
        told["weight"] = weights.sum().expand_as(row.apart)
    sums = _rescaled(row, told["maximum"], stays)
    wanted = [name for name in names if name in sums]
    told.update(zip(wanted, group.total(torch.stack([sums[name] for name in wanted])).unbind(0)))
    return RowStatistics(**told), (most == -least).all()


def _rescaled(row: RowStatistics, maximum: Tensor, stays: Tensor | None) -> dict[str, Tensor]:
    """What a rank adds to the sums of all, scaled to the maximum of all."""
    shift = row.maximum - maximum
    scale, sums = shift.exp(), {}
    sums["others"] = row.others * scale
    if stays is not None:  # a class that was apart on its rank, and is not the largest of all, joins the others
        sums["others"] = sums["others"] + torch.where(stays, 0.0, torch.exp(row.apart - maximum))
    if row.weighted is not None and row.weight is not None:
        sums["weighted"] = row.weighted + product(row.weight, shift)
        sums["weight"] = row.weight
    if row.elsewhere is not None and row.weight is not None and stays is not None:
        sums["elsewhere"] = torch.where(stays, row.elsewhere, row.weight)
    if row.energy is not None:
        sums["energy"] = scale * (row.energy + statistics.total(row) * statistics.finite(shift))
    return sums


# --- a rank that has nothing to tell -----------------------------------------------------------------------------


def poison(names: tuple[str, ...], rows: int, dtype: torch.dtype, device: torch.device, group: Group) -> None:
    """Take part in what the others wait at, and let them see that nothing is agreed on."""
    nan = torch.full((len(names) * rows + _agreement.PIECES,), torch.nan, dtype=dtype, device=device)
    if _few(names, rows, dtype, group):
        group.gather(nan)
        return
    largest = [name for name in _EXTREMES if name in names]
    group.most(torch.full((len(largest) * rows + 2 * _agreement.PIECES,), torch.inf, dtype=dtype, device=device))
    if "maximum" not in names:
        group.least(torch.zeros(rows, dtype=torch.int64, device=device))
    summed = [name for name in names if name not in (*_EXTREMES, "top")]
    group.total(torch.full((len(summed), rows), torch.nan, dtype=dtype, device=device))
