"""The reference backend: every loss as a plain composition of torch operators, to be checked by eye.

    z_i  = softcap · tanh(logit_scale · logits_i / softcap) / temperature          the logits of row i, (…, C, …)
    τ_ic = w_c · ((1 − ε) p_ic + ε / C)                                            what class c of row i weighs
    ℓ_i  = −Σ_c τ_ic log softmax(z_i)_c + λ n_i lse(z_i)²                          the loss of row i

p the target: one-hot at class y for indices · ε label_smoothing · w weight · λ z_loss · n_i what the row counts in the
mean: w_y for indices, 1 for probabilities. `_reduction` weighs and adds the rows.

Three rules keep infinities and nans where they belong:

- A row that is skipped, because it is ignored or because its coefficient is 0 and its loss is not finite, is replaced
  by zeros *before* any arithmetic: what it holds reaches neither loss nor gradient.
- A zero weight or probability annihilates an infinite log-probability (`product`).
- A label outside [0, C) that could not be refused, because its value could not be read, makes loss and gradient nan.
"""

import contextlib
import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy import _torch
from crossentropy._logspace import log_ratios, log_softmax, logsumexp, product, transform, wide
from crossentropy._loss import FIXED, Loss, LossSpec, Result, Side, mixes, moves_absent, tensors_of, with_tensors
from crossentropy._planner import Plan
from crossentropy._reduction import ignored, picked, weigh
from crossentropy._values import readable
from crossentropy.information import kl_divergence


def eligible(loss: Loss) -> tuple[str, ...]:
    """Reasons why this backend cannot execute a loss: there are none."""
    return ()


def plan(loss: Loss, wanted: tuple[bool, ...]) -> Plan:
    """What the operators need at once: logits, their logarithms and, for a gradient, two more."""
    logits, dtype, side = math.prod(loss.shape), loss.sides[0].spec.dtype, loss.sides[0]
    sides = [side for side in loss.sides if side.weight is not None]
    product = sum(2 * logits * side.input.shape[-1] for side in sides)
    slots = [x for x, want in zip(tensors_of(loss)[FIXED:], wanted) if want and x is not None]
    return Plan(
        strategy="operators",
        tile=logits,
        chunk=logits // max(side.spec.num_classes, 1),
        block=side.spec.num_classes,
        workspace=(2 + 2 * any(wanted)) * logits * dtype.itemsize * len(loss.sides),
        gradients=sum(x.numel() * x.element_size() for x in slots),
        flops=product * (1 + any(wanted[::3]) + any(wanted[1::3])),
        reason="plain operators of torch, one after the other",
    )


def execute(loss: Loss, coefficient: Tensor | None, wanted: tuple[bool, ...]) -> Result:
    """The rows of a loss and the wanted gradients of Σ coefficient · rows, for coefficients that vmap may map over."""
    tensors = list(tensors_of(loss))
    chosen = [i for i, want in enumerate(wanted, start=FIXED) if want]

    def rows(*some: Tensor) -> Tensor:
        moved = list(tensors)
        for i, x in zip(chosen, some):
            moved[i] = x
        return compose(with_tensors(loss, moved), torch.ones(()), False)[1]

    values = [x for i in chosen if (x := tensors[i]) is not None]
    if _torch.transformed():
        result, pull = torch.func.vjp(rows, *values)  # pyright: ignore[reportAssignmentType]
        found = pull(coefficient)
    else:
        with torch.enable_grad():
            leaves = [x.detach().requires_grad_() for x in values]
            result = rows(*leaves)
            found = torch.autograd.grad(result, leaves, coefficient) if leaves else ()
    gradients = dict(zip(chosen, found))
    index = argmax(loss) if loss.kind == "statistics" else None
    return Result(result.detach(), index, tuple(gradients.get(i) for i in range(FIXED, len(tensors))))


def empty_gradient(x: Tensor, class_dim: int) -> Tensor:
    """An uninitialised gradient of logits, in the layout that `execute` gives it."""
    return torch.empty_like(x)


def compose(loss: Loss, coefficient: Tensor, summed: bool = True) -> tuple[Tensor, Tensor]:
    """Σ coefficient · rows, and the rows (K, rows), 0 where they are skipped: differentiable in all there is."""
    skipped = ignored(loss)
    silent, statistics = (coefficient == 0).all(0), loss.kind == "statistics"
    if not statistics:
        silent = silent & ~skipped
    if readable(silent) and not silent.any():
        result = rows(loss, skipped)
    else:
        with torch.no_grad():
            found = rows(loss, skipped)
            lost = silent & ~functools.reduce(torch.logical_and, [_finite(s, skipped) for s in loss.sides])
            lost = lost | (silent & ~found.isfinite().all(0))
        if statistics:  # which such a row has, but no derivative
            side = loss.sides[0]
            dim = side.spec.class_dim if side.weight is None else -1
            blank = loss._replace(sides=(side._replace(input=_blank(side.input, lost, dim)),))
            result = torch.where(lost, found, rows(blank, skipped))
        else:
            result = rows(loss, skipped | lost)
    return weigh(coefficient, result).sum() if summed else result.new_zeros(()), result


def rows(loss: Loss, skipped: Tensor) -> Tensor:
    """The K results of each row, (K, rows)."""
    kinds = {
        "cross_entropy": _cross_entropy,
        "nll": _nll,
        "statistics": _statistics,
        "divergence": _divergence,
    }
    return torch.stack(kinds[loss.kind](loss, skipped))


def argmax(loss: Loss) -> Tensor:
    """The class of the largest logit of each row."""
    side = loss.sides[0]
    return _transform(_logits(side, None, loss.absent), side.spec).argmax(side.spec.class_dim)


def _cross_entropy(loss: Loss, skipped: Tensor) -> tuple[Tensor]:
    side = loss.sides[0]
    z, c = _transform(_logits(side, skipped, loss.absent), side.spec), side.spec.class_dim
    against = _against_probabilities if side.spec.probabilities else _against_labels
    result = against(log_softmax(z, c), skipped, loss)
    if side.spec.z_loss:
        lse = logsumexp(z, c).masked_fill(skipped, 0.0)
        result = result + product(picked(loss, skipped), (side.spec.z_loss**0.5 * lse).square())
    return (result,)


def _nll(loss: Loss, skipped: Tensor) -> tuple[Tensor]:
    side = loss.sides[0]
    return (_against_labels(side.input.to(side.spec.dtype), skipped, loss),)


def _statistics(loss: Loss, skipped: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    side = loss.sides[0]
    z, c = _transform(_logits(side, None, loss.absent), side.spec), side.spec.class_dim
    log_p = log_softmax(z, c)
    p = log_p.exp()
    entropy = -(p * log_p.masked_fill(p == 0, 0.0)).sum(c)
    log_prob = torch.zeros_like(entropy)
    if loss.target is not None:
        log_p = log_softmax(_transform(_logits(side, skipped, loss.absent), side.spec), c)
        log_prob = 0 - _against_labels(log_p, skipped, loss)  # 0 − x, not −x: no negative zero
    return log_prob, entropy, logsumexp(z, c)


def _divergence(loss: Loss, skipped: Tensor) -> tuple[Tensor]:
    q, p = (_transform(_logits(side, skipped), side.spec) for side in loss.sides)
    dim, mixture = loss.sides[0].spec.class_dim, loss.sides[0].spec.mixture
    if not mixes(mixture):
        believed, true = (q, p) if mixture.student_share else (p, q)
        return (kl_divergence(p_logits=true, q_logits=believed, dim=dim),)
    a, b, *shares = mixture
    log_q, log_p = log_softmax(q, dim), log_softmax(p, dim)
    of_p, of_q = log_ratios(log_p, log_q, *shares)
    # a (m − p) + b (m − q) = s (q − p) = s (p (q/m − 1) − q (p/m − 1)) adds up to 0, and makes each term ≥ 0
    s = a * shares[1] - b * shares[0]
    of_student = -s * torch.expm1(-of_p) - b * of_q
    of_teacher = s * torch.expm1(-of_q) - a * of_p
    total = (log_q.exp() * of_student + log_p.exp() * of_teacher).sum(dim)
    return (total - total.detach().clamp(max=0.0),)  # a rounding below 0


# --- logits -------------------------------------------------------------------------------------------------------


def _logits(side: Side, skipped: Tensor | None, absent: Tensor | None = None) -> Tensor:
    """Logits (…, C, …), given or made by a head in float32 or wider, with zeros in rows that are skipped.

    They are −inf at absent classes. Under autocast the product runs in autocast's dtype, as torch's would. In rows that
    are skipped hidden states are blanked for the sake of the head's gradient, logits because a bias may be infinite.
    """
    weight, bias, hidden = side.weight, side.bias, side.input
    if weight is None:
        return hidden if skipped is None else _blank(hidden, skipped, side.spec.class_dim)
    positions = weight.dim() - 2  # K axes of a row that share its hidden state
    if skipped is not None:
        hidden = _blank(hidden, skipped.flatten(-positions).all(-1) if positions else skipped, -1)
    dtype = wide(torch.promote_types(hidden.dtype, weight.dtype))
    bias = None if bias is None else bias.reshape(-1).to(dtype)
    on = side.spec.autocast is not None
    with contextlib.nullcontext() if hidden.is_meta else torch.autocast(hidden.device.type, side.spec.autocast, on):
        logits = F.linear(hidden.to(dtype), weight.flatten(0, -2).to(dtype), bias)
    logits = logits.unflatten(-1, weight.shape[:-1])
    if absent is not None:
        logits = logits.masked_fill(_marked(absent, side.spec), -torch.inf)
    return logits if skipped is None else _blank(logits, skipped, side.spec.class_dim)


def _marked(absent: Tensor, spec: LossSpec) -> Tensor:
    """Absent classes as a mask (…, C), whether they came so or by their indices."""
    if absent.dtype == torch.bool:
        return absent
    classes = spec.num_classes
    room = torch.zeros((*absent.shape[:-1], classes + 1), dtype=torch.bool, device=absent.device)
    return room.scatter(-1, torch.where(absent < 0, classes, absent), True)[..., :classes]


def _transform(logits: Tensor, spec: LossSpec) -> Tensor:
    """Logits in the accumulation dtype, scaled, capped and divided by the temperature."""
    return transform(logits.to(spec.dtype), spec.logit_scale, spec.softcap, spec.temperature, masked=moves_absent(spec))


def _finite(side: Side, like: Tensor) -> Tensor:
    """Rows of finite input. A softcap hides infinite ones from the loss, but not from the head's gradient."""
    if side.weight is None:
        return side.input.isfinite().all(side.spec.class_dim)
    finite = side.input.isfinite().all(-1)
    return finite.reshape((*finite.shape, *[1] * (like.dim() - finite.dim()))).expand_as(like)


def _blank(x: Tensor, rows: Tensor, dim: int) -> Tensor:
    """The tensor x with zeros in the given rows, across axis `dim`."""
    return x.masked_fill(rows.unsqueeze(dim), 0.0)


# --- loss of each row, 0 where it is skipped ----------------------------------------------------------------------


def _against_labels(log_p: Tensor, skipped: Tensor, loss: Loss) -> Tensor:
    spec, target = loss.sides[0].spec, loss.target
    assert target is not None
    known = (target >= 0) & (target < spec.num_classes)
    label = torch.where(skipped | ~known, 0, target).unsqueeze(spec.class_dim)
    nll = -log_p.gather(spec.class_dim, label).squeeze(spec.class_dim).masked_fill(skipped, 0.0)
    result = product(picked(loss, skipped), nll)
    if spec.label_smoothing:
        uniform = _class_sum(spec.label_smoothing / spec.num_classes, log_p, loss).masked_fill(skipped, 0.0)
        result = product(1 - spec.label_smoothing, result) + uniform
    return result * torch.ones_like(result).masked_fill(~(skipped | known), torch.nan)


def _against_probabilities(log_p: Tensor, skipped: Tensor, loss: Loss) -> Tensor:
    spec = loss.sides[0].spec
    assert loss.target is not None
    p = _blank(loss.target, skipped, spec.class_dim).to(spec.dtype)
    if spec.label_smoothing:
        p = (1 - spec.label_smoothing) * p + spec.label_smoothing / spec.num_classes
    return _class_sum(p, log_p, loss).masked_fill(skipped, 0.0)


def _class_sum(p: Tensor | float, log_p: Tensor, loss: Loss) -> Tensor:
    """Sum over the classes of −w_c p_c log p_c."""
    c = loss.sides[0].spec.class_dim
    if loss.weight is not None:
        p = p * loss.weight.to(log_p.dtype).reshape((-1,) + (1,) * (log_p.dim() - c - 1))
    return -product(p, log_p).sum(c)
