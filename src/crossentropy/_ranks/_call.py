"""From what a rank was called with to its share of a loss.

    resolve what this rank was given → agree with the others → settle what depends on all of them → reduce

With `vocab_start` and `num_classes` nothing is asked of the others first: the classes are shared out as torch.chunk
does it. A rank whose arguments are wrong then takes part in the one collective before it raises, and the loss of the
others is nan.
"""

import functools
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple, SupportsIndex

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy._contract import AnyOptions
from crossentropy._dispatch import select_slicing
from crossentropy._errors import ArgumentValueError
from crossentropy._logspace import wide
from crossentropy._loss import Kind, Loss, LossSpec, LossTensors, Side, tensors_of, without, without_tensors
from crossentropy._ranks import _agreement, _operator
from crossentropy._ranks._fold import Shares, fields, poison
from crossentropy._ranks._function import Function, Share
from crossentropy._ranks._group import Group, chunks
from crossentropy._reduction import reduce, weigh
from crossentropy._torch import tracing
from crossentropy._validation import check_shared


class Slice(NamedTuple):
    """Which classes a rank says it has."""

    group: Group
    start: int | None
    """`vocab_start`."""
    total: int | None
    """`num_classes`."""
    validate: bool

    @property
    def asks(self) -> bool:
        """Whether the ranks compare what they were called with first."""
        return self.validate or self.start is None or self.total is None

    def check(self) -> None:
        """Both are numbers of classes."""
        for name, value, least in (("vocab_start", self.start, 0), ("num_classes", self.total, 1)):
            whole = isinstance(value, (int, torch.SymInt, SupportsIndex)) and not isinstance(value, bool)
            if value is not None and not (whole and value >= least):
                raise ArgumentValueError(f"{name} is {value!r}, expected a whole number ≥ {least}, or None")


class Message(NamedTuple):
    """What a rank can say of its statistics' message when its arguments are wrong."""

    kind: Kind
    rows: tuple[int, ...]
    target: object
    label_smoothing: object
    dtype: torch.dtype
    device: torch.device
    hidden: Tensor | None = None
    """Parts of a sequence, which the others gather first, in the shape of a part."""

    def poison(self, group: Group) -> None:
        """Take part in the collectives that the others wait at, so that what they compute is nan."""
        if self.hidden is not None:
            group.gather(self.hidden)
        soft = isinstance(self.target, Tensor) and self.target.is_floating_point()
        smooths = not (isinstance(self.label_smoothing, (int, float)) and self.label_smoothing == 0)
        spec = LossSpec(0, 1, soft, wide(self.dtype), label_smoothing=float(smooths))
        like = torch.empty(0, dtype=self.dtype, device=self.device)
        loss = Loss(self.kind, (Side(like, None, None, spec),), torch.Size(), None if self.target is None else like)
        rows, both = math.prod(self.rows), self.kind == "divergence"
        poison(fields(loss), rows * (1 + both), spec.dtype, self.device, group)
        if both:
            group.gather(torch.full((2 * rows,), torch.nan, dtype=spec.dtype, device=self.device))


@dataclass(frozen=True)
class Resolved:
    """A rank's part of a loss, as far as it knows by itself."""

    kind: Kind
    tensors: LossTensors
    spec: LossSpec
    shape: torch.Size
    """Of its logits."""
    options: AnyOptions
    how: Mapping[str, object]
    """Fields of the `Share`."""
    teacher: tuple[LossTensors, LossSpec] | None = None
    """Of a divergence."""

    @property
    def classes(self) -> int:
        return self.shape[self.spec.class_dim]

    def facts(self) -> dict[str, object]:
        """What all ranks must share."""
        facts = {
            "the loss": self.kind,
            "the rows' shape": tuple(without(self.shape, self.spec.class_dim)),
            **_facts("", self.tensors, self.spec),
            **self.how,
        }
        return facts if self.teacher is None else {**facts, **_facts("teacher's ", *self.teacher)}

    def shared(self) -> dict[str, Tensor]:
        """Tensors that all ranks must share, by name, and a number that may be one."""
        tensors, denominator = self.tensors, self.tensors.denominator
        if denominator is not None and not isinstance(denominator, Tensor):
            denominator = torch.tensor(denominator, dtype=torch.float64, device=tensors.input.device)
        named = {
            "target": None if self.spec.probabilities else tensors.target,
            "weight": tensors.weight,
            "token_weight": tensors.token_weight,
            "denominator": denominator,
        }
        return {name: x for name, x in named.items() if isinstance(x, Tensor)}

    def settled(self, num_classes: int) -> "Resolved":
        """The same, when the number of all classes is known."""
        teacher = self.teacher
        if teacher is not None:
            teacher = teacher[0], contract.settled(*teacher, num_classes)
        return replace(self, spec=contract.settled(self.tensors, self.spec, num_classes), teacher=teacher)

    def loss(self) -> Loss:
        """The loss of all classes, of which the tensors are a slice."""
        spec, shape = self.spec, list(self.shape)
        shape[spec.class_dim] = spec.num_classes
        sides = ((self.tensors, spec),) if self.teacher is None else ((self.tensors, spec), self.teacher)
        return contract.make_loss(self.kind, torch.Size(shape), sides, self.options)


def _facts(whose: str, tensors: LossTensors, spec: LossSpec) -> dict[str, object]:
    """What all ranks must share of one side of a loss."""
    head = tensors.linear_weight
    facts: dict[str, object] = {
        "the dtype of input": tensors.input.dtype,
        "the number of features": 0 if head is None else head.shape[-1],
        "the dtype of linear_weight": None if head is None else head.dtype,
        "linear_bias": tensors.linear_bias is not None,
        "whether weight requires a gradient": tensors.weight is not None and tensors.weight.requires_grad,
        "whether input gets a gradient": head is not None and tensors.input.requires_grad and torch.is_grad_enabled(),
        **{name: getattr(spec, name) for name in LossSpec.__dataclass_fields__ if name not in _OWN},
    }
    return {whose + name: fact for name, fact in facts.items()}


_OWN = ("num_classes", "ignores")
"""Fields of a spec that are settled later, with the number of classes."""


def share_out(
    part: Slice, resolve: Callable[[int], Resolved], message: Callable[[], Message]
) -> tuple[Resolved, Shares]:
    """A rank's part of a loss, and how the classes are shared out; an error is the same on all ranks."""
    return _asked(part, resolve) if part.asks else _unasked(part, resolve, message)


def _unasked(
    part: Slice, resolve: Callable[[int], Resolved], message: Callable[[], Message]
) -> tuple[Resolved, Shares]:
    """Without a word to the others."""
    try:
        part.check()
        shares = Shares(part.group, chunks(part.total or 0, part.group.size))
        resolved = resolve(part.total or 0)
        _check_place(part, resolved.classes, shares)
        share_of(resolved, shares, resolved.loss())
    except Exception:
        with suppress(Exception):  # without rows there is no message
            message().poison(part.group)
        raise
    return resolved, shares


def _asked(part: Slice, resolve: Callable[[int], Resolved]) -> tuple[Resolved, Shares]:
    """After all ranks have compared what they were called with."""
    resolved, error = None, None
    own, facts = (0, -1, -1), {}
    try:
        part.check()
        resolved = resolve(0)
        own = (resolved.classes, *(-1 if number is None else number for number in (part.start, part.total)))
        facts = {**resolved.facts(), **{name: _fingerprint(x) for name, x in resolved.shared().items()}}
    except Exception as found:
        error = found
    told = _agreement.shake_hands(part.group, own, facts, error)
    shares = Shares(part.group, tuple(classes for classes, _, _ in told))
    for rank, (classes, start, total) in enumerate(told):
        group = part.group._replace(rank=rank)
        said = Slice(group, None if start < 0 else start, None if total < 0 else total, True)
        _check_place(said, classes, shares)
    assert resolved is not None
    resolved = resolved.settled(shares.classes)
    if part.validate:  # of what all ranks share, so that all of them raise
        check_shared(resolved.loss(), resolved.tensors, resolved.spec)
    return resolved, shares


def _fingerprint(x: Tensor) -> str:
    return f"{x.dtype} values whose checksum is {int(_agreement.checksum(x)) & 0xFFFFFFFF:08x}"


def _check_place(said: Slice, classes: int, shares: Shares) -> None:
    """What a rank says of its classes is what it has, in the order of ranks."""
    rank, sizes = said.group.rank, shares.sizes
    start = sum(sizes[:rank])
    if classes != sizes[rank] or said.start not in (None, start) or said.total not in (None, shares.classes):
        hint = ": with both given, classes are shared out as by torch.chunk; leave one out otherwise"
        raise ArgumentValueError(
            f"rank {rank} has {classes} classes, with vocab_start {said.start} and num_classes {said.total}; expected "
            f"{sizes[rank]} from {start} on, of {shares.classes}{'' if said.asks else hint}"
        )


def agreement(resolved: Resolved) -> Tensor:
    """A checksum of all that the ranks must share, which travels with the statistics."""
    known = 0  # under a compiler the operator adds the settings
    if not (torch.compiler.is_compiling() or tracing()):
        known = _agreement.hashed({**resolved.facts(), "num_classes": resolved.spec.num_classes})
    total = torch.full((), known, dtype=torch.int64, device=resolved.tensors.input.device)
    for i, x in enumerate(resolved.shared().values()):
        total = total + (2 * i + 1) * _agreement.checksum(x)
    return total


def execute(resolved: Resolved, shares: Shares, loss: Loss, coefficient: Tensor, summed: bool) -> tuple[Tensor, Tensor]:
    """Σ coefficient · rows, and the rows; see `crossentropy._reduction`."""
    share = share_of(resolved, shares, loss)
    rows, _ = rows_of(share, loss, agreement(resolved))
    total = weigh(coefficient, rows).sum() if summed else rows.new_zeros(())
    return total, rows


def rows_of(share: Share, loss: Loss, agreement: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of a loss (K, rows), and their argmax for statistics."""
    tensors = tensors_of(loss)
    if torch.compiler.is_compiling() or tracing():
        return _operator.rows_of(share, tensors, agreement)
    return Function.apply(share, agreement, *tensors)  # pyright: ignore[reportReturnType]


def share_of(resolved: Resolved, shares: Shares, loss: Loss) -> Share:
    """A rank's share of a loss."""
    backend = select_slicing(loss, contract.backend(resolved.options))
    return Share(backend, without_tensors(loss), shares, **resolved.how)  # pyright: ignore[reportArgumentType]


def reduced(resolved: Resolved, shares: Shares) -> Tensor:
    """The reduced loss."""
    run = functools.partial(execute, resolved, shares)
    return reduce(resolved.loss(), resolved.tensors, resolved.spec.reduction, resolved.spec.out_dtype, run)


def statistics(resolved: Resolved, shares: Shares) -> tuple[Tensor, Tensor]:
    """The statistics (3, rows), and the argmax of the rows."""
    loss = resolved.loss()
    return rows_of(share_of(resolved, shares, loss), loss, agreement(resolved))
