"""Values, only when asked: what validate=True looks at.

    class weights, token weights, denominator    finite and ≥ 0
    target                                       labels in range, on any device; class probabilities ≥ 0 that sum to 1
    rows                                         at least one counts
    log-probabilities                            normalised
    logits, hidden states, head                  no nan, no +inf, a finite logit in each row
    logits of the target's classes               not −inf, which makes the loss infinite
    logits                                       no probabilities, nor their logarithms; two classes: else a warning

Rows that are ignored or have token weight 0 are not looked at. Where values cannot be read (torch.compile, vmap, the
meta device, sharded tensors, a CUDA graph that is captured) nothing is. Nothing here changes a result or a gradient.

What is seen of a row of logits merges over disjoint classes, so those of a head are made in pieces and never built:

    top = max z      low = min z      total = Σ z      mass = Σ exp(min(z, 1))

z logits, scaled and not capped. mass is 1 where z are log-probabilities, and cannot overflow where they are not.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy._contract import check_denominator
from crossentropy._errors import ArgumentValueError, warn
from crossentropy._logspace import wide
from crossentropy._loss import Loss, LossSpec, LossTensors, Side, product_dtype, rows_shape
from crossentropy._reduction import ignored, picked
from crossentropy._targets import check_labels
from crossentropy._values import check_probabilities, first, position, readable, row_position, sum_tolerance

_AT_ONCE = 1 << 22
"""Numbers that are looked at at once: 16 MB, and three times that for what is computed of them."""

_NAMES = (("input", "linear_weight", "linear_bias"), ("teacher_input", "teacher_weight", "teacher_bias"))


def check_loss(loss: Loss, tensors: LossTensors, spec: LossSpec) -> None:
    """The values of a loss, whose first side has these tensors and this spec, are such as it can mean."""
    given = [x for side in loss.sides for x in side[:3]] + [tensors.target, tensors.weight, tensors.token_weight]
    given += [tensors.denominator] if isinstance(tensors.denominator, Tensor) else []
    if not readable(*(x for x in given if x is not None), wait=True):
        return
    with torch.no_grad(), torch.autocast(tensors.input.device.type, enabled=False):
        _check_target(tensors, spec)
        skipped = ignored(loss)
        _check_weights(tensors, spec, skipped)
        present = ~skipped if tensors.token_weight is None else ~skipped & (tensors.token_weight != 0)
        _check_count(loss, tensors, spec, skipped)
        if spec.probabilities and tensors.target is not None:
            _check_distributions("target", tensors.target, spec.class_dim, present, _hint_of_target)
        if loss.kind == "nll":
            _check_log_probabilities(loss.sides[0], loss, present)
            return
        for names, side in zip(_NAMES, loss.sides):
            _check_logits(names, side, loss, present)


def check_softmax(input: Tensor, dim: int | None) -> None:
    """The values of logits whose softmax along `dim`, or torch's implicit axis, is taken."""
    if dim is None:
        dim = 0 if input.dim() in (0, 1, 3) else 1
    if not input.numel() or not input.dim() or not readable(input, wait=True):
        return
    class_dim, dtype = dim % input.dim(), wide(input.dtype)
    side = Side(input, None, None, LossSpec(class_dim, input.shape[class_dim], False, dtype))
    loss = Loss("statistics", (side,), input.shape)
    with torch.no_grad(), torch.autocast(input.device.type, enabled=False):
        _check_logits(_NAMES[0], side, loss, ~ignored(loss))


def check_kl_div(input: Tensor, target: Tensor, log_target: bool, reduction: str) -> None:
    """Log-probabilities are at most 0, probabilities in [0, 1]; their class axis is not known."""
    if not input.numel() and "mean" in reduction:
        raise ArgumentValueError(f"input has shape {tuple(input.shape)}: the mean over no elements is nan")
    logarithms = (-math.inf, 0.0, "log-probabilities")
    _check_range("input", input, *logarithms, "apply log_softmax to logits, log to probabilities")
    if log_target:
        _check_range("target", target, *logarithms, "for probabilities leave out log_target=True")
    else:
        _check_range("target", target, 0.0, 1.0, "probabilities", "for logarithms log_target=True")


def _check_range(name: str, x: Tensor, low: float, high: float, what: str, hint: str) -> None:
    """Every entry is in [low, high], up to rounding."""
    if not x.numel() or not readable(x, wait=True):
        return
    slack = 4 * torch.finfo(x.dtype).eps
    offence = first(~((x >= low - slack) & (x <= high + slack)))
    if offence is not None:
        raise ArgumentValueError(
            f"{name}{position(offence)} is {x[offence].item():.6g}, expected {what} in [{low:g}, {high:g}] — {hint}"
        )


# --- what weighs rows, and which count ----------------------------------------------------------------------------


def _check_target(tensors: LossTensors, spec: LossSpec) -> None:
    if tensors.target is not None and not spec.probabilities:
        check_labels(tensors.target, spec.num_classes, spec.ignore_index, wait=True)


def _check_weights(tensors: LossTensors, spec: LossSpec, skipped: Tensor) -> None:
    """Weights are finite and not negative. A token weight may be, where it enters no denominator: an advantage, say."""
    if tensors.weight is not None:
        w = tensors.weight
        _check_weight("weight", w, ~w.isfinite() | (w < 0), "one of a class that never occurs? clamp the counts first")
    if tensors.token_weight is not None:
        t, divides = tensors.token_weight.to(spec.dtype), spec.reduction == "mean" and tensors.denominator is None
        wrong = ~t.isfinite() | (t < 0) if divides else ~t.isfinite()
        _check_weight("token_weight", t, wrong & ~skipped, "was it divided by 0?", at_least_zero=divides)
    check_denominator(tensors.denominator, spec.reduction, spec.dtype, wait=True)


def _check_weight(name: str, x: Tensor, wrong: Tensor, infinite: str, *, at_least_zero: bool = True) -> None:
    offence = first(wrong)
    if offence is not None:
        value = x[offence].item()
        hint = f" — {infinite}" if math.isinf(value) else ""
        if value < 0 and name == "token_weight":
            hint = " — advantages? sum them, or give the denominator"
        raise ArgumentValueError(
            f"{name}{position(offence)} is {value:.6g}, expected a finite number{' ≥ 0' if at_least_zero else ''}{hint}"
        )


def _check_count(loss: Loss, tensors: LossTensors, spec: LossSpec, skipped: Tensor) -> None:
    """At least one row counts, else the mean is nan, and a sum trains nothing."""
    if loss.kind == "statistics" and loss.target is None:
        return
    weightless = torch.zeros_like(skipped) if tensors.token_weight is None else (tensors.token_weight == 0) & ~skipped
    unweighed = (picked(loss, skipped) == 0) & ~skipped & ~weightless
    reasons = {
        f"the label ignore_index ({spec.ignore_index})": int(skipped.sum()),
        "token_weight 0": int(weightless.sum()),
        "a label of class weight 0": int(unweighed.sum()),
    }
    counted = skipped.numel() - sum(reasons.values())
    if tensors.denominator is not None:  # which is there for batches in which nothing counts
        if counted and float(tensors.denominator) == 0:
            raise ArgumentValueError(f"denominator is 0 and {counted} rows count: expected a number > 0")
        return
    if counted:
        return
    why = ", ".join(f"{count} with {reason}" for reason, count in reasons.items() if count)
    message = f"no row counts: of {skipped.numel()} rows, {why}" if why else f"{tuple(loss.shape)} logits have no row"
    if spec.reduction == "mean":
        fix = "" if loss.kind == "nll" else "; where such batches are due, pass denominator="
        raise ArgumentValueError(f"{message} — the mean is nan{fix}")
    warn(f"{message} — nothing is trained")


# --- distributions ------------------------------------------------------------------------------------------------


def _check_distributions(
    name: str, p: Tensor, class_dim: int, present: Tensor, hint: Callable[[Tensor], str], *, logarithms: bool = False
) -> None:
    """Rows of p, or of exp p, that are looked at are probabilities."""
    rows = p.movedim(class_dim, -1)
    for begin, piece in _pieces(rows, _AT_ONCE):
        mask = present if rows.dim() == 1 else present[begin : begin + len(piece)]
        filled = (piece.exp() if logarithms else piece).masked_fill(~mask.unsqueeze(-1), 1 / rows.shape[-1])
        check_probabilities(name, filled, -1, hint=hint(filled), begin=begin)


def _hint_of_target(p: Tensor) -> str:
    """What to make of class probabilities (…, C) that are none."""
    if p.shape[-1] == 1:
        return "one logit for two classes? make it two, or use binary_cross_entropy_with_logits"
    if bool(((p == 0) | (p == 1)).all()):
        return "none or several classes in a row? use binary_cross_entropy_with_logits, or divide each row by its sum"
    return "divide each row by its sum"


def _check_log_probabilities(side: Side, loss: Loss, present: Tensor) -> None:
    look = _look(side, loss)
    tolerance = sum_tolerance(side.input.dtype, side.spec.num_classes)
    if bool((look.logarithms(tolerance) | ~present).all()):
        return
    hint = "input must be log-probabilities: apply log_softmax to logits"
    if present.any() and bool((look.probabilities(tolerance) | ~present).all()):
        hint = "input holds probabilities: pass the logits to cross_entropy, or take their logarithm"
    _check_distributions("exp(input)", side.input, side.spec.class_dim, present, lambda _: hint, logarithms=True)


def _pieces(rows: Tensor, at_once: int) -> Iterator[tuple[int, Tensor]]:
    """Pieces of rows (…, C) along their first axis, and where they begin."""
    if rows.dim() == 1:
        yield 0, rows
        return
    step = max(1, at_once // max(math.prod(rows.shape[1:]), 1))
    for begin in range(0, len(rows), step):
        yield begin, rows[begin : begin + step]


# --- logits -------------------------------------------------------------------------------------------------------


class _Look(NamedTuple):
    """What is seen of rows of logits over a set of classes."""

    top: Tensor
    """nan or +inf where one of the logits is, −inf where all are."""
    low: Tensor
    total: Tensor
    mass: Tensor

    @classmethod
    def at(cls, logits: Tensor, dim: int, spec: LossSpec) -> "_Look":
        z = logits.to(spec.dtype)
        z = z if spec.logit_scale == 1.0 else z * spec.logit_scale
        return cls(z.amax(dim), z.amin(dim), z.sum(dim), z.clamp(max=1.0).exp().sum(dim))

    def merge(self, other: "_Look") -> "_Look":
        return _Look(
            torch.maximum(self.top, other.top),
            torch.minimum(self.low, other.low),
            self.total + other.total,
            self.mass + other.mass,
        )

    def probabilities(self, tolerance: float) -> Tensor:
        """Rows that are ≥ 0 and sum to 1."""
        return (self.low >= 0) & ((self.total - 1).abs() <= tolerance)

    def logarithms(self, tolerance: float) -> Tensor:
        """Rows whose exponentials sum to 1."""
        return (self.mass - 1).abs() <= tolerance


def _check_logits(names: tuple[str, str, str], side: Side, loss: Loss, present: Tensor) -> None:
    if not loss.shape.numel():
        return
    if side.weight is not None:
        _check_head(names, side, side.weight, present)
    look = _look(side, loss)
    unusable = ~look.top.isfinite()
    if side.spec.softcap is not None:
        unusable &= look.top != -torch.inf  # the cap makes them equal, and finite
    offence = first(unusable & present)
    if offence is not None:
        raise _unusable(_name(names, side), side, offence)
    if loss.kind == "cross_entropy" and loss.weight is None and side.spec.softcap is None:
        _check_masks(_name(names, side), side, loss, (look.low == -torch.inf) & present)
    if bool(present.any()):
        _warn_of_logits(_name(names, side), side, loss, look, present)


def _name(names: tuple[str, str, str], side: Side) -> str:
    """What logits are called that are given, or made by a head."""
    return names[0] if side.weight is None else f"{names[0]} @ {names[1]}.T"


def _check_head(names: tuple[str, str, str], side: Side, weight: Tensor, present: Tensor) -> None:
    """Hidden states that are looked at and the head are finite; a bias of −inf masks a class."""
    positions = weight.dim() - 2
    rows = present.flatten(-positions).any(-1) if positions else present
    if not _all_finite(side.input):
        _check_finite(names[0], side.input, ~side.input.isfinite() & rows.unsqueeze(-1), "finite hidden states")
    if not _all_finite(weight):
        _check_finite(names[1], weight, ~weight.isfinite(), "finite numbers")
    if side.bias is not None:
        _check_finite(names[2], side.bias, ~(side.bias < torch.inf), "numbers below inf (−inf masks a class)")


def _all_finite(x: Tensor) -> bool:
    """Whether all numbers are finite, without a mask of them."""
    return not x.numel() or all(bool(extreme.isfinite()) for extreme in x.detach().aminmax())


def _check_finite(name: str, x: Tensor, wrong: Tensor, expected: str) -> None:
    offence = first(wrong)
    if offence is not None:
        raise ArgumentValueError(f"{name}{position(offence)} is {x[offence].item()}, expected {expected}")


def _check_masks(name: str, side: Side, loss: Loss, masked: Tensor) -> None:
    """In rows with logits of −inf, those are not of a class of the target: the loss would be infinite."""
    if not bool(masked.any()) or (side.weight is not None and not side.spec.label_smoothing):
        return
    who, wrong = "label_smoothing", masked
    if not side.spec.label_smoothing:
        who, wrong = "the target", masked & _meets_target(side, loss)
    row = first(wrong)
    if row is not None:
        masks = int((_logits_of(side, row) == -torch.inf).sum())
        raise ArgumentValueError(
            f"{name}{row_position(row)} masks classes with -inf ({masks} of {side.spec.num_classes}), and {who} gives "
            "probability to one of them: the loss is inf"
        )


def _meets_target(side: Side, loss: Loss) -> Tensor:
    """Rows in which a class of the target has a logit of −inf."""
    assert loss.target is not None
    infinite = side.input.movedim(side.spec.class_dim, -1).isinf()
    if side.spec.probabilities:
        return (infinite & (loss.target.movedim(side.spec.class_dim, -1) > 0)).any(-1)
    known = (loss.target >= 0) & (loss.target < side.spec.num_classes)
    return infinite.gather(-1, torch.where(known, loss.target, 0).unsqueeze(-1)).squeeze(-1)


def _unusable(name: str, side: Side, row: tuple[int, ...]) -> ArgumentValueError:
    """The error of a row of logits with nan or +inf, or with nothing but −inf."""
    z = _logits_of(side, row).to(side.spec.dtype) * side.spec.logit_scale
    where = f"{name}{row_position(row)}"
    offence = first(~(z < torch.inf))
    if offence is None:
        return ArgumentValueError(
            f"{where} is -inf at every class, expected a finite logit — does a mask leave out all classes?"
        )
    value, hint = z[offence].item(), ""
    if side.weight is not None:  # input and head are finite
        hint = f" — the product overflows in {product_dtype(side)}"
    elif math.isinf(value) and side.input.dtype.itemsize < 4:
        hint = f" — overflow in {side.input.dtype}?"
    return ArgumentValueError(f"{where} holds {value} at class {offence[0]}, expected numbers below inf{hint}")


def _warn_of_logits(name: str, side: Side, loss: Loss, look: _Look, present: Tensor) -> None:
    """Logits that are numbers, and probably not logits."""
    if side.spec.num_classes == 1:
        warn(
            f"{name} has one class, whose probability is 1 whatever the logit: two classes need two logits, or "
            "binary_cross_entropy_with_logits"
        )
        return
    dtype = side.input.dtype if side.weight is None else product_dtype(side)
    tolerance = sum_tolerance(dtype, side.spec.num_classes)
    if bool((look.probabilities(tolerance) | ~present).all()):
        warn(f"{name} holds probabilities: each row is ≥ 0 and sums to 1. The softmax is applied here: pass the logits")
    elif loss.kind == "cross_entropy" and bool((look.logarithms(tolerance) | ~present).all()):
        warn(
            f"{name} holds log-probabilities: the exponentials of each row sum to 1. The loss is right, but "
            "log_softmax is applied twice: pass the logits, or use nll_loss"
        )


def _look(side: Side, loss: Loss) -> _Look:
    """What is seen of all rows, each field in their shape."""
    at_once = _AT_ONCE if loss.budget is None else min(_AT_ONCE, max(loss.budget // 16, 1))
    if side.weight is None:
        rows = side.input.movedim(side.spec.class_dim, -1)
        looks = [_Look.at(piece, -1, side.spec) for _, piece in _pieces(rows, at_once)]
        look = _Look(*map(torch.cat, zip(*looks))) if rows.dim() > 1 else looks[0]
    else:
        look = _look_at_head(side, side.weight, at_once)
    return _Look(*(field.reshape(rows_shape(loss)) for field in look))


def _look_at_head(side: Side, weight: Tensor, at_once: int) -> _Look:
    """What is seen of a head's logits, (rows, positions), made of chunks of rows and blocks of classes."""
    dtype, hidden = product_dtype(side), side.input.flatten(0, -2)
    features, positions = weight.shape[-1], math.prod(weight.shape[1:-1])
    block = max(16, at_once // max(positions * max(len(hidden), features), 1))
    chunk = max(1, at_once // max(positions * block, 1))
    look = None
    for begin in range(0, len(weight), block):
        part = slice(begin, begin + block)
        head = weight[part].flatten(0, -2).to(dtype)
        bias = None if side.bias is None else side.bias[part].flatten().to(dtype)
        logits = (F.linear(h.to(dtype), head, bias) for h in hidden.split(chunk))
        looks = [_Look.at(z.unflatten(-1, (-1, positions)), -2, side.spec) for z in logits]
        found = _Look(*map(torch.cat, zip(*looks)))
        look = found if look is None else look.merge(found)
    assert look is not None
    return look


def _logits_of(side: Side, row: tuple[int, ...]) -> Tensor:
    """The logits (C,) of one row, neither scaled nor capped."""
    if side.weight is None:
        return side.input.movedim(side.spec.class_dim, -1)[row]
    leading, dtype = side.input.dim() - 1, product_dtype(side)
    classes = (slice(None), *row[leading:])
    bias = None if side.bias is None else side.bias[classes].to(dtype)
    return F.linear(side.input[row[:leading]].to(dtype), side.weight[classes].to(dtype), bias)
