"""Values, only when asked: what validate=True looks at.

    class weights, token weights, denominator    finite and ≥ 0, in the dtype of sums too
    target                                       labels in range, on any device; class probabilities ≥ 0 that sum to 1
    rows                                         at least one counts
    log-probabilities                            normalised
    logits, hidden states, head                  no nan, no +inf, a finite logit in each row
    logits of the target's classes               not −inf, which makes the loss infinite
    logits as given                              no probabilities, nor their logarithms; two classes: else a warning

Rows that are ignored or have token weight 0 are not looked at. Of DTensors labels and weights are, by each rank.
Where values cannot be read (torch.compile, vmap, the meta device, a CUDA graph that is captured) nothing is. None of it
changes a result or a gradient.

What is seen of a row of logits merges over disjoint classes, so those of a head are made in pieces and never built:

    top = max z      low = min z      total = Σ z      mass = Σ exp(min(z, 1))      lost = any (τ > 0 where z = −inf)

z logits, neither scaled nor capped · τ what a class weighs in the loss: w ((1 − ε) p + ε/C). mass is 1 where z are
log-probabilities, and cannot overflow where they are not. Logits are pieces (rows, classes, positions): the axes before
the classes are rows, those behind are positions.
"""

import functools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy._contract import check_denominator
from crossentropy._errors import ArgumentValueError, warn
from crossentropy._logspace import wide
from crossentropy._loss import Loss, LossSpec, LossTensors, Side, mixes, product_dtype, rows_shape
from crossentropy._reduction import ignored, picked
from crossentropy._targets import check_labels
from crossentropy._values import check_probabilities, first, position, readable, remedy, row_position, sum_tolerance

_AT_ONCE = 1 << 22
"""Numbers that are looked at at once: 16 MB, and three times that for what is computed of them."""

_NAMES = (("input", "linear_weight", "linear_bias"), ("teacher_input", "teacher_weight", "teacher_bias"))


def check_loss(loss: Loss, tensors: LossTensors, spec: LossSpec) -> None:
    """The values of a loss, whose first side has these tensors and this spec, are such as it can mean."""
    given = [x for side in loss.sides for x in side[:3]] + [tensors.target, tensors.weight, tensors.token_weight]
    given += [tensors.denominator] if isinstance(tensors.denominator, Tensor) else []
    if not readable(*(x for x in given if x is not None), wait=True):
        return
    check_shared(loss, tensors, spec)
    with torch.no_grad(), torch.autocast(tensors.input.device.type, enabled=False):
        skipped = ignored(loss)
        present = ~skipped if tensors.token_weight is None else ~skipped & (tensors.token_weight != 0)
        if not loss.shape.numel():
            return
        if spec.probabilities and tensors.target is not None:
            _check_distributions("target", tensors.target, spec.class_dim, present, _hint_of_target)
        if loss.kind == "nll":
            _check_log_probabilities(loss.sides[0], loss, present)
            return
        for names, side in zip(_NAMES, loss.sides):
            _check_logits(names, side, loss, present)
        if loss.kind == "divergence" and bool(present.any()):
            _check_masks(loss, present)


def check_shared(loss: Loss, tensors: LossTensors, spec: LossSpec) -> None:
    """Labels and weights, which ranks that share out the classes of a loss have all of, and whether a row counts."""
    with torch.no_grad(), torch.autocast(tensors.input.device.type, enabled=False):
        check_of_rows(loss, tensors, spec)
        _check_count(loss, tensors, spec, ignored(loss))


def check_of_rows(loss: Loss, tensors: LossTensors, spec: LossSpec) -> None:
    """Labels and weights, of some of the rows of a loss too."""
    if tensors.target is not None and not spec.probabilities:
        check_labels(tensors.target, spec.num_classes, spec.ignore_index, wait=True)
    _check_weights(tensors, spec, ignored(loss))


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
    if readable(input, target, wait=True):
        offence = first((input == -math.inf) & (target > (-math.inf if log_target else 0.0)))
        if offence is not None:
            where = f"at {position(offence)} " if offence else ""
            raise ArgumentValueError(f"{where}input is -inf and the target is possible: the loss is inf")


def check_binary(
    input: Tensor,
    target: Tensor,
    count: Tensor,
    weight: Tensor | None,
    pos_weight: Tensor | None,
    denominator: Tensor | float | None,
    reduction: str,
    *,
    logits: bool,
) -> None:
    """Logits or probabilities, answers in [0, 1] and weights of a binary loss, whose elements count `count` each."""
    given = [x for x in (input, target, count, weight, pos_weight, denominator) if isinstance(x, Tensor)]
    if not readable(*given, wait=True):
        return
    with torch.no_grad():
        divides = reduction == "mean" and denominator is None
        _check_weight("token_weight", count, count.dtype, "was it divided by 0?", at_least_zero=divides)
        for name, factor in (("weight", weight), ("pos_weight", pos_weight)):
            if factor is not None:
                _check_weight(name, factor, count.dtype, "a count of 0? clamp it first")
        check_denominator(denominator, reduction, count.dtype, wait=True)
        present = (count != 0).expand(input.shape)
        if not bool(present.any()):
            if divides:
                raise ArgumentValueError(f"no element counts, of {input.numel()}: the mean is nan")
            warn(f"no element counts, of {input.numel()}: nothing is trained")
            return
        hint = "is it a label to leave out? pass ignore_index, or token_weight 0"
        _check_range(
            "target", target.to(count.dtype).masked_fill(~present, 0.0), 0.0, 1.0, "a probability of yes", hint
        )
        if not logits:
            hint = "for logits use binary_cross_entropy_with_logits"
            _check_range("input", input.masked_fill(~present, 0.0), 0.0, 1.0, "a probability", hint)
            return
        _check_binary_logits(input.masked_fill(~present, 0.0), target)
        if bool(((input > 0) & (input < 1) | ~present).all()) and int(present.sum()) >= _ENOUGH:
            warn("input holds probabilities: each number is in (0, 1). The sigmoid is applied here: pass the logits")


_ENOUGH = 32
"""Logits of a model that are all between 0 and 1 are no chance, if there are so many."""


def _check_binary_logits(input: Tensor, target: Tensor) -> None:
    """No logit is nan, and none that is certain is wrong."""
    offence = first(input.isnan())
    if offence is not None:
        raise ArgumentValueError(f"input{position(offence)} is nan, expected a number")
    offence = first((input == math.inf) & (target != 1) | (input == -math.inf) & (target != 0))
    if offence is not None:
        raise ArgumentValueError(
            f"input{position(offence)} is {input[offence].item()} and target{position(offence)} "
            f"{target[offence].item():.6g}: the loss is inf"
        )


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


def _check_weights(tensors: LossTensors, spec: LossSpec, skipped: Tensor) -> None:
    """Weights are finite and not negative. A token weight may be, where it enters no denominator: an advantage, say."""
    if tensors.weight is not None:
        infinite = "one of a class that never occurs? clamp the counts first"
        _check_weight("weight", tensors.weight, spec.dtype, infinite)
    if tensors.token_weight is not None:
        t, divides = tensors.token_weight, spec.reduction == "mean" and tensors.denominator is None
        t = t.to(torch.promote_types(t.dtype, spec.dtype)).masked_fill(skipped, 1.0)
        _check_weight("token_weight", t, spec.dtype, "was it divided by 0?", at_least_zero=divides)
    check_denominator(tensors.denominator, spec.reduction, spec.dtype, wait=True)


def _check_weight(name: str, x: Tensor, dtype: torch.dtype, infinite: str, *, at_least_zero: bool = True) -> None:
    """Weights are finite in the dtype of sums, and those that are not 0 are not 0 there."""
    w = x.to(dtype)
    wrong = ~w.isfinite() | ((w == 0) & (x != 0))
    offence = first(wrong | (w < 0) if at_least_zero else wrong)
    if offence is None:
        return
    value, hint = x[offence].item(), ""
    if math.isinf(value):
        hint = f" — {infinite}"
    elif value < 0 and at_least_zero:
        hint = " — advantages? sum them, or give the denominator" if name == "token_weight" else ""
    elif not math.isnan(value):
        hint = f" — it is {w[offence].item():g} in {dtype}, in which the loss is computed"
    raise ArgumentValueError(
        f"{name}{position(offence)} is {value:.6g}, expected a finite number{' ≥ 0' if at_least_zero else ''}{hint}"
    )


def _check_count(loss: Loss, tensors: LossTensors, spec: LossSpec, skipped: Tensor) -> None:
    """At least one row counts, else the mean is nan; and one is trained."""
    if loss.kind == "statistics" and loss.target is None:
        return
    weightless = torch.zeros_like(skipped) if tensors.token_weight is None else (tensors.token_weight == 0) & ~skipped
    asked, uncounted = ~skipped & ~weightless, picked(loss, skipped) == 0
    silent = uncounted if not spec.label_smoothing else torch.zeros_like(skipped)
    if loss.weight is not None and not bool(loss.weight.any()):
        silent = torch.ones_like(skipped)
    trained = int((asked & ~silent).sum())
    if tensors.denominator is not None:  # which is there for batches in which nothing counts
        if trained and float(tensors.denominator) == 0:
            raise ArgumentValueError(f"denominator is 0 and {trained} rows count: expected a number > 0")
    elif spec.reduction == "mean" and not bool((asked & ~uncounted).any()):
        why, fix = _left_out(loss, skipped, weightless, asked & uncounted), ""
        if loss.kind != "nll":
            fix = "; where such batches are due, pass denominator="
        divided = ", over the class weights of the labels," if trained else ""
        raise ArgumentValueError(f"no row counts: {why} — the mean{divided} is nan{fix}")
    elif not trained:
        warn(f"no row counts: {_left_out(loss, skipped, weightless, asked & silent)} — nothing is trained")


def _left_out(loss: Loss, skipped: Tensor, weightless: Tensor, unweighed: Tensor) -> str:
    """How many rows do not count, and why."""
    spec = loss.sides[0].spec
    reasons = {
        f"the label ignore_index ({spec.ignore_index})": int(skipped.sum()),
        "token_weight 0": int(weightless.sum()),
        "class weights of 0" if spec.probabilities else "a label of class weight 0": int(unweighed.sum()),
    }
    found = ", ".join(f"{count} with {reason}" for reason, count in reasons.items() if count)
    return f"of {skipped.numel()} rows, {found}" if found else f"{tuple(loss.shape)} logits have no row"


# --- distributions ------------------------------------------------------------------------------------------------


def _check_distributions(
    name: str, p: Tensor, class_dim: int, present: Tensor, hint: Callable[[Tensor], str], *, logarithms: bool = False
) -> None:
    """Rows of p, or of exp p, that are looked at are probabilities."""
    rows = p.movedim(class_dim, -1)
    parts = _slices(len(rows), _AT_ONCE // rows[0].numel()) if rows.dim() > 1 else [...]
    for part in parts:
        piece, begin = rows[part], part.start if isinstance(part, slice) else 0
        filled = (piece.exp() if logarithms else piece).masked_fill(~present[part].unsqueeze(-1), 1 / rows.shape[-1])
        check_probabilities(name, filled, -1, hint=hint, begin=begin)


def _hint_of_target(row: Tensor) -> str:
    """What to do with class probabilities (C,) that are none."""
    several = "use binary_cross_entropy_with_logits"
    if len(row) == 1:
        return f"one logit for two classes? make it two, or {several}"
    if bool(((row == 0) | (row == 1)).all()):
        if bool(row.any()):
            return f"several classes in a row? {several}, or divide each row by its sum"
        return f"a row without a class? give it token_weight 0, or {several} for rows of none or several"
    return remedy(row, "logits? use softmax")


def _check_log_probabilities(side: Side, loss: Loss, present: Tensor) -> None:
    look = _look(side, loss)
    tolerance = sum_tolerance(side.input.dtype, side.spec.num_classes)
    if bool((look.logarithms(tolerance) | ~present).all()):
        row = first(look.lost & present)
        if row is not None:
            raise _lost("input", side, loss, row)
        return
    hint = "input must be log-probabilities: apply log_softmax to logits"
    if present.any() and bool((look.probabilities(tolerance) | ~present).all()):
        hint = "input holds probabilities: pass the logits to cross_entropy, or take their logarithm"
    _check_distributions("exp(input)", side.input, side.spec.class_dim, present, lambda _: hint, logarithms=True)


# --- logits -------------------------------------------------------------------------------------------------------


class _Look(NamedTuple):
    """What is seen of rows of logits over a set of classes, (rows, positions)."""

    top: Tensor
    """nan or +inf where one of the logits is, −inf where all are."""
    low: Tensor
    total: Tensor
    mass: Tensor
    lost: Tensor
    """Whether a class that weighs has a logit of −inf, which makes the loss infinite."""

    def merge(self, other: "_Look") -> "_Look":
        return _Look(
            torch.maximum(self.top, other.top),
            torch.minimum(self.low, other.low),
            self.total + other.total,
            self.mass + other.mass,
            self.lost | other.lost,
        )

    def usable(self, spec: LossSpec) -> Tensor:
        """Rows whose largest logit, scaled and capped, is a number."""
        top = torch.maximum(self.top * spec.logit_scale, self.low * spec.logit_scale)
        return top.isfinite() if spec.softcap is None else top < torch.inf  # the cap makes -inf finite

    def probabilities(self, tolerance: float) -> Tensor:
        """Rows that are ≥ 0 and sum to 1."""
        return (self.low >= 0) & ((self.total - 1).abs() <= tolerance)

    def logarithms(self, tolerance: float) -> Tensor:
        """Rows whose exponentials sum to 1."""
        return (self.mass - 1).abs() <= tolerance


def _check_logits(names: tuple[str, str, str], side: Side, loss: Loss, present: Tensor) -> None:
    if side.weight is not None:
        _check_head(names, side, side.weight, present)
    name, look = names[0] if side.weight is None else f"{names[0]} @ {names[1]}.T", _look(side, loss)
    row = first(~look.usable(side.spec) & present)
    if row is not None:
        raise _unusable(name, side, row)
    row = first(look.lost & present)
    if row is not None:
        raise _lost(name, side, loss, row)
    if bool(present.any()):
        _warn_of_logits(name, side, loss, look, present)


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


def _check_masks(loss: Loss, present: Tensor) -> None:
    """No class is masked in what is believed and possible in what is true: their divergence would be infinite."""
    mixture = loss.sides[0].spec.mixture
    if mixes(mixture):
        return
    sides = [(side, _masks(side), names) for side, names in zip(loss.sides, _NAMES)]
    (_, masked, names), (true, masked_too, _) = sides if mixture.student_share else reversed(sides)
    if masked is None:
        return
    if masked.dim() > 1:
        masked &= present.unsqueeze(true.spec.class_dim)
    offence = first(masked if masked_too is None else masked & ~masked_too)
    if offence is not None:
        owner = "teacher" if mixture.student_share else "student"
        name = names[0] if masked.dim() > 1 else names[2]
        raise ArgumentValueError(
            f"{name}{position(offence)} is -inf, and the {owner} gives probability to that class: the loss is inf"
        )


def _masks(side: Side) -> Tensor | None:
    """Where logits that are given, or a bias, are −inf; None if there are none, or a cap makes them finite."""
    x = side.input if side.weight is None else side.bias
    return None if x is None or side.spec.softcap is not None else x == -torch.inf


def _unusable(name: str, side: Side, row: tuple[int, ...]) -> ArgumentValueError:
    """The error of a row of logits with nan or +inf, or with nothing but −inf."""
    z = _logits_of(side, row).to(side.spec.dtype)
    scaled, where = z * side.spec.logit_scale, f"{name}{row_position(row)}"
    offence = first(~(scaled < torch.inf))
    if offence is None:
        return ArgumentValueError(
            f"{where} is -inf at every class, expected a finite logit — does a mask leave out all classes?"
        )
    value, hint = z[offence].item(), ""
    if value < math.inf and value * side.spec.logit_scale != value:
        hint = f" — times logit_scale, {side.spec.logit_scale:g}, it is {scaled[offence].item()}"
    elif side.weight is not None:  # input and head are finite
        hint = f" — the product overflows in {product_dtype(side)}"
    elif math.isinf(value) and side.input.dtype.itemsize < 4:
        hint = f" — overflow in {side.input.dtype}?"
    return ArgumentValueError(f"{where} holds {value:.6g} at class {offence[0]}, expected numbers below inf{hint}")


def _lost(name: str, side: Side, loss: Loss, row: tuple[int, ...]) -> ArgumentValueError:
    """The error of a row in which a class that weighs has a logit of −inf."""
    assert loss.target is not None
    infinite = _logits_of(side, row).to(side.spec.dtype) * side.spec.logit_scale == -torch.inf
    if side.spec.probabilities:
        wanted = loss.target.movedim(side.spec.class_dim, -1)[row] > 0
    else:
        wanted = torch.arange(len(infinite), device=infinite.device) == loss.target[row]
    weighs = infinite if loss.weight is None else infinite & (loss.weight > 0)
    at, who = first(weighs & wanted), "the target"
    if at is None:
        at, who = first(weighs), "label_smoothing"
    assert at is not None
    return ArgumentValueError(
        f"{name}{row_position(row)} masks classes with -inf ({int(infinite.sum())} of {len(infinite)}), and {who} "
        f"gives probability to one of them, class {at[0]}: the loss is inf"
    )


def _warn_of_logits(name: str, side: Side, loss: Loss, look: _Look, present: Tensor) -> None:
    """Logits that are numbers, and probably not logits."""
    spec = side.spec
    if spec.num_classes == 1:
        warn(
            f"{name} has one class, whose probability is 1 whatever the logit: two classes need two logits, or "
            "binary_cross_entropy_with_logits"
        )
        return
    dtype = side.input.dtype if side.weight is None else product_dtype(side)
    tolerance = sum_tolerance(dtype, spec.num_classes)
    if bool((look.probabilities(tolerance) | ~present).all()):
        warn(f"{name} holds probabilities: each row is ≥ 0 and sums to 1. The softmax is applied here: pass the logits")
    elif loss.kind == "cross_entropy" and bool((look.logarithms(tolerance) | ~present).all()):
        changed = " and ".join(option for option in ("softcap", "z_loss") if getattr(spec, option))
        plain = spec.logit_scale == 1.0 and not spec.label_smoothing
        effect = "The loss is right, but log_softmax is applied twice"
        fix = "pass the logits, or use nll_loss" if plain and not changed else "pass the logits"
        warn(
            f"{name} holds log-probabilities: the exponentials of each row sum to 1. "
            f"{f'They are no input for {changed}' if changed else effect}: {fix}"
        )


def _look(side: Side, loss: Loss) -> _Look:
    """What is seen of all rows, each field in their shape."""
    look = None
    for classes, pieces in _pieces_of(side, loss):
        parts = (_seen(z, side.spec, functools.partial(_weighs, loss, rows, classes)) for rows, z in pieces)
        found = _Look(*map(torch.cat, zip(*parts)))
        look = found if look is None else look.merge(found)
    assert look is not None
    return _Look(*(field.reshape(rows_shape(loss)) for field in look))


def _seen(z: Tensor, spec: LossSpec, weighs: Callable[[], Tensor]) -> _Look:
    """What is seen of logits (rows, classes, positions), of which a class may weigh."""
    z = z.to(spec.dtype)
    top, low, scale = z.amax(1), z.amin(1), spec.logit_scale
    lost = (torch.minimum(top * scale, low * scale) == -torch.inf) & (spec.softcap is None)
    if bool(lost.any()):
        lost = ((z * scale == -torch.inf) & weighs()).any(1)
    return _Look(top, low, z.sum(1), z.clamp(max=1.0).exp().sum(1), lost)


def _weighs(loss: Loss, rows: slice, classes: slice) -> Tensor:
    """Whether classes weigh in the loss of rows, (rows, classes, positions) or with axes of size 1."""
    if loss.kind not in ("cross_entropy", "nll"):
        return torch.zeros((), dtype=torch.bool, device=loss.sides[0].input.device)
    spec, target = loss.sides[0].spec, loss.target
    assert target is not None
    before, _, behind = _axes(loss)
    if spec.label_smoothing:
        weighs = torch.ones((), dtype=torch.bool, device=target.device)
    elif spec.probabilities:
        weighs = target.reshape(before, -1, behind)[rows, classes] > 0
    else:
        index = torch.arange(spec.num_classes, device=target.device)[classes, None]
        weighs = target.reshape(before, 1, behind)[rows] == index
    return weighs if loss.weight is None else weighs & (loss.weight[classes, None] > 0)


def _axes(loss: Loss) -> tuple[int, int, int]:
    """How many rows, classes and positions the logits have: the axes before the classes, they, and those behind."""
    c = loss.sides[0].spec.class_dim
    return math.prod(loss.shape[:c]), loss.shape[c], math.prod(loss.shape[c + 1 :])


def _pieces_of(side: Side, loss: Loss) -> Iterator[tuple[slice, Iterator[tuple[slice, Tensor]]]]:
    """Blocks of classes, and of each the chunks of rows with their logits (rows, classes, positions)."""
    at_once = _AT_ONCE if loss.budget is None else min(_AT_ONCE, max(loss.budget // 16, 1))
    rows, classes, positions = _axes(loss)
    if side.weight is None:
        logits = side.input.reshape(rows, classes, positions)
        parts = _slices(rows, at_once // (classes * positions))
        yield slice(0, classes), ((part, logits[part]) for part in parts)
        return
    hidden, dtype = side.input.reshape(-1, side.input.shape[-1]), product_dtype(side)
    block = max(16, at_once // (positions * max(rows, side.weight.shape[-1], 1)))
    for part in _slices(classes, block):
        head = side.weight[part].flatten(0, -2).to(dtype)
        bias = None if side.bias is None else side.bias[part].flatten().to(dtype)
        made = (
            (chunk, F.linear(hidden[chunk].to(dtype), head, bias).unflatten(-1, (-1, positions)))
            for chunk in _slices(rows, at_once // (positions * block))
        )
        yield part, made


def _slices(size: int, step: int) -> Iterator[slice]:
    """Slices of an axis, of at least one entry each."""
    step = max(step, 1)
    return (slice(begin, begin + step) for begin in range(0, size, step))


def _logits_of(side: Side, row: tuple[int, ...]) -> Tensor:
    """The logits (C,) of one row, neither scaled nor capped."""
    if side.weight is None:
        return side.input.movedim(side.spec.class_dim, -1)[row]
    leading, dtype = side.input.dim() - 1, product_dtype(side)
    classes = (slice(None), *row[leading:])
    bias = None if side.bias is None else side.bias[classes].to(dtype)
    return F.linear(side.input[row[:leading]].to(dtype), side.weight[classes].to(dtype), bias)
