"""Before a loss: what the labels of all ranks count, and the labels of a sequence that is spread over ranks.

    denominator     Σ over ranks and micro-batches of Σ t n            one sum of one number
    next tokens     the first label of the next part follows the last of this one    one gather of a label a sequence

t token_weight · n what a row counts, see `crossentropy._reduction` · W ranks, of which each has a part of the sequence.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from crossentropy import _sharding as sharding
from crossentropy._contract import label_to_ignore
from crossentropy._errors import ArgumentError, ArgumentTypeError, ArgumentValueError, kind_of
from crossentropy._loss import Loss, LossSpec, Side
from crossentropy._ranks._agreement import shake_hands
from crossentropy._ranks._group import AnyGroup, Group, group_of
from crossentropy._reduction import weights
from crossentropy._targets import check_labels, long
from crossentropy._tensors import (
    INTEGERS,
    check_floating,
    check_same_device,
    check_tensor,
    check_token_weight,
)
from crossentropy._values import axis

# --- the denominator ----------------------------------------------------------------------------------------------


def token_denominator(
    target: Tensor | Sequence[Tensor],
    *,
    weight: Tensor | None = None,
    token_weight: Tensor | Sequence[Tensor] | None = None,
    ignore_index: int = -100,
    group: AnyGroup = None,
    averaged: bool = True,
) -> Tensor:
    """What a mean over the rows of all ranks, and of all micro-batches, is divided by.

        d = Σ t n,   divided by the number of ranks if gradients are averaged over them

    The sum is over all ranks of the group, and all micro-batches of each. With `denominator=d` each loss is its part
    of one mean over all rows, wherever they are, and gradients are those of that mean. Without it every rank, and
    every micro-batch, has a mean of its own, and rows count more where there are fewer of them.

    Give each rank of the group labels of its own: a group over which they are replicated would count them more than
    once. Ranks of tensor parallelism have the same labels, and belong to no such group.

    Args:
        target: This rank's labels, of any shape and integer dtype; or a sequence of them, one for each micro-batch, of
            any number.
        weight: Class weights (C), if the loss has them. Default: 1.
        token_weight: Weight of each row, in the labels' shape, if the loss has them (default: 1); a sequence if
            `target` is one.
        ignore_index: The label whose rows count nothing.
        group: The ranks that have rows of the same mean: for DistributedDataParallel and FSDP all, the default; a
            process group, or a mesh of one dimension.
        averaged: Whether gradients are averaged over the group, as DistributedDataParallel and FSDP do; False where
            they are summed.

    Returns:
        A float64 tensor of no dimensions, on the labels' device, or where the group communicates if that is a CPU.
        Where another rank raised one of the errors below it is nan.

    Raises:
        ValueError: Shapes do not fit, or there are not as many token weights as micro-batches. Also a RuntimeError.
        TypeError: The target is a DTensor, or holds no class indices. Also a RuntimeError.
        IndexError: With class weights, a label is out of range. Also a RuntimeError.

    Examples:
        >>> labels = [torch.tensor([3, 1, -100]), torch.tensor([2, -100, -100])]  # of two micro-batches
        >>> token_denominator(labels)  # of one process
        tensor(3., dtype=torch.float64)

    See Also:
        `denominator` of `crossentropy.functional.cross_entropy` and all other losses.
    """
    ranks = group_of(group)
    try:
        counted = _counted(target, weight, token_weight, ignore_index)
    except ArgumentError:  # the others wait: what they get is not finite either
        ranks.total(torch.full((), torch.nan, dtype=torch.float64, device=ranks.device))
        raise
    total = ranks.total(counted.to(ranks.device)) / (ranks.size if averaged else 1)
    return total if counted.device.type == "cpu" else total.to(counted.device)


def _counted(target: object, weight: object, token_weight: object, ignore_index: object) -> Tensor:
    """Σ t n of this rank's micro-batches."""
    ignored = label_to_ignore(ignore_index)
    if isinstance(target, Tensor):
        return _counted_one("target", target, weight, token_weight, ignored)
    targets = _listed("target", target)
    token_weights = [None] * len(targets) if token_weight is None else _listed("token_weight", token_weight)
    if len(targets) != len(token_weights):
        raise ArgumentValueError(
            f"{len(targets)} micro-batches in target and {len(token_weights)} in token_weight, expected as many"
        )
    counts = [
        _counted_one(f"target[{i}]", labels, weight, t, ignored)
        for i, (labels, t) in enumerate(zip(targets, token_weights))
    ]
    return torch.stack(counts).sum() if counts else torch.zeros((), dtype=torch.float64)


def _listed(name: str, several: object) -> list[object]:
    if isinstance(several, Sequence) and not isinstance(several, str):
        return list(several)
    of = "a tensor or a list of them, one for each micro-batch"
    single = " — target is a list" if name == "token_weight" else ""
    raise ArgumentTypeError(f"{name} is {kind_of(several)}, expected {of}{single}")


def _counted_one(name: str, target: object, weight: object, token_weight: object, ignored: int) -> Tensor:
    """Σ t n of one micro-batch, as the mean of a loss has it."""
    soft = f" — rows of class probabilities count 1: pass {name}.argmax(class_axis), of the rows' shape"
    labels = _own_labels(name, target, soft)
    check_token_weight(token_weight, labels.shape)
    check_same_device(**{name: labels, "weight": weight, "token_weight": token_weight})
    numbers, classes = long(labels), 0
    if weight is not None:
        classes = _classes(weight)
        check_labels(numbers, classes, ignored, dtype=labels.dtype)
    spec = LossSpec(labels.dim(), classes, False, torch.float64, ignored)
    side = Side(numbers, None, None, spec)
    loss = Loss("cross_entropy", (side,), torch.Size((*labels.shape, classes)), numbers, _detached(weight))
    return weights(loss, _detached(token_weight))[1]


def _classes(weight: object) -> int:
    """How many classes the class weights are of."""
    shape = check_floating("weight", weight).shape
    if len(shape) != 1:
        raise ArgumentValueError(f"weight has shape {tuple(shape)}, expected (C,): one number for each class")
    return shape[0]


def _detached(x: object) -> Tensor | None:
    return x.detach() if isinstance(x, Tensor) else None


def _own_labels(name: str, labels: object, hint: str = "") -> Tensor:
    """Labels that this rank has."""
    found = check_tensor(name, labels)
    if sharding.is_distributed(found):
        raise ArgumentTypeError(
            f"{name} is a DTensor, expected this rank's labels, a plain tensor — pass {name}.to_local(), and the "
            "group over which it is sharded"
        )
    if found.dtype not in INTEGERS:
        raise ArgumentTypeError(
            f"{name} has dtype {found.dtype}, expected class indices: integers{hint * found.is_floating_point()}"
        )
    return found


# --- the next tokens ----------------------------------------------------------------------------------------------


def shift_labels(
    labels: Tensor,
    *,
    dim: int = -1,
    ignore_index: int = -100,
    group: AnyGroup = None,
    layout: str = "contiguous",
) -> Tensor:
    """Labels of the next token, where each rank has a part of the sequence.

        shifted_i = labels_{i+1},   ignore_index at the end of the whole sequence

    A part ends in the middle of the sequence: what comes next is the first label of the next part. Shifted within
    each part alone, W − 1 labels of each sequence would be lost. Pass the result as the target, and do not shift again.

    Args:
        labels: The labels of this rank's tokens, aligned with them; any integer dtype. Parts of any length, 0 too.
        dim: The axis of the sequence.
        ignore_index: What follows the last token.
        group: The ranks over which the sequence is spread; a process group, or a mesh of one dimension. Default: all.
        layout: How it is spread. "contiguous": rank r has the r-th part. "balanced": in 2W pieces of one length, of
            which rank r has those at r and 2W − 1 − r, as context parallelism of torch (by default) and of
            TransformerEngine cuts it, so that causal attention is as much work on each.

    Returns:
        Labels in the shape of `labels`; in their dtype, or in int64 if that cannot hold ignore_index.

    Raises:
        ValueError: `layout` is not known, or the parts of a balanced one are not all of one even length. Also a
            RuntimeError, and on every rank the same.
        TypeError: The labels are a DTensor, or no integers. Also a RuntimeError, and on every rank.
        IndexError: `dim` is no axis. Also a RuntimeError, and on every rank.

    Examples:
        >>> shift_labels(torch.tensor([[5, 6, 7, 8]]))  # of one process
        tensor([[   6,    7,    8, -100]])

    See Also:
        `token_denominator`, of the shifted labels; torch.distributed.tensor.experimental.context_parallel, which cuts
        the sequence: give it the labels with the tokens, and shift them then, or shift them before.
    """
    ranks = group_of(group)
    part, error = None, None
    try:
        part = _Part.of(labels, dim, ignore_index, layout, ranks)
    except ArgumentError as raised:
        error = raised
    told = shake_hands(ranks, (0 if part is None else part.labels.shape[0],), {} if part is None else part.facts, error)
    assert part is not None
    return part.shifted([length for (length,) in told])


class _Part:
    """The labels of this rank, with the sequence in front."""

    def __init__(self, labels: Tensor, at: int, ignored: int, balanced: bool, ranks: Group) -> None:
        self.labels, self._at, self._ignored = labels.movedim(at, 0), at, ignored
        self._balanced, self._ranks = balanced and ranks.size > 1, ranks
        self.facts = {
            "the shape of labels beside the sequence": tuple(self.labels.shape[1:]),
            "the dtype of labels": labels.dtype,
            "dim": at,
            "ignore_index": ignored,
            "layout": "balanced" if balanced else "contiguous",
        }

    @classmethod
    def of(cls, labels: object, dim: int, ignore_index: object, layout: object, ranks: Group) -> "_Part":
        """From the arguments."""
        ignored, found = label_to_ignore(ignore_index), _own_labels("labels", labels)
        if layout not in ("contiguous", "balanced"):
            raise ArgumentValueError(f"layout is {layout!r}, expected 'contiguous' or 'balanced'")
        info = torch.iinfo(found.dtype)
        fits = info.min <= ignored <= info.max
        return cls(found if fits else long(found), axis("labels", found, dim), ignored, layout == "balanced", ranks)

    def shifted(self, lengths: list[int]) -> Tensor:
        """The next labels; `lengths` are those of all ranks' parts."""
        ranks, size = self._ranks, len(self.labels)
        holders = [
            (rank, 0) for rank in range(ranks.size)
        ]  # of the pieces of the sequence: a rank, and which of its own
        pieces, places = [self.labels], [ranks.rank]
        if self._balanced:
            _check_halves(lengths)
            holders += [(rank, 1) for rank in reversed(range(ranks.size))]
            pieces, places = [self.labels[: size // 2], self.labels[size // 2 :]], [ranks.rank, -1 - ranks.rank]
        end = self.labels.new_full(self.labels.shape[1:], self._ignored)
        mine = torch.stack([piece[0] if len(piece) else end for piece in pieces])
        firsts = ranks.gather(mine.to(ranks.device, torch.int64)).to(mine.device, mine.dtype)  # (W, pieces, …)
        shifted = []
        for place, piece in zip(places, pieces):
            later = holders[place % len(holders) + 1 :]
            after = next((firsts[holder] for holder in later if lengths[holder[0]]), end)
            shifted.append(torch.cat([piece, after.unsqueeze(0)])[1:] if len(piece) else piece)
        return torch.cat(shifted).movedim(0, self._at)


def _check_halves(lengths: list[int]) -> None:
    """The parts of a balanced layout are two pieces each, all of one length."""
    if len(set(lengths)) > 1 or lengths[0] % 2:
        raise ArgumentValueError(
            f"labels have {_series(lengths)} positions along the sequence, rank by rank, expected one even number on "
            "all: a balanced layout has two pieces of one length on each rank — pad the sequence to a multiple of "
            f"{2 * len(lengths)}, or use layout='contiguous'"
        )


def _series(numbers: list[int]) -> str:
    """A list, shortened."""
    return ", ".join(map(str, numbers[:8])) + ", …" * (len(numbers) > 8)
