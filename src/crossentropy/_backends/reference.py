"""The reference backend: every loss as a plain composition of torch operators, to be checked by eye.

    z_i  = softcap · tanh(logit_scale · logits_i / softcap)                        the logits of row i, (…, C, …)
    τ_ic = w_c · ((1 − ε) p_ic + ε / C)                                            what class c of row i weighs
    L_i  = t_i · (−Σ_c τ_ic log softmax(z_i)_c + λ n_i lse(z_i)²)                  the loss of row i
    mean = Σ L_i / Σ t_i n_i                                                       or Σ L_i / denominator

p the target: one-hot at class y for indices · ε label_smoothing · w weight · t token_weight · λ z_loss · n_i what the
row counts in the mean: w_y for indices, 1 for probabilities. A row of weight t counts as t rows of weight 1.

Three rules keep infinities and nans where they belong:

- A row that is skipped, because it is ignored or because its token weight is 0 and its loss is not finite, is replaced
  by zeros *before* any arithmetic: what it holds reaches neither loss nor gradient.
- A zero weight or probability annihilates an infinite log-probability (`product`).
- A label outside [0, C) that could not be refused, because its value could not be read, makes loss and gradient nan.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy._contract import LossSpec, LossTensors
from crossentropy._logspace import log_softmax, logsumexp, product, wide
from crossentropy.information import kl_divergence


def cross_entropy(tensors: LossTensors, spec: LossSpec) -> Tensor:
    """Loss of logits (…, C, …) against a target."""

    def rows(skipped: Tensor) -> tuple[Tensor, Tensor]:
        return _logits_rows(_blank(tensors.input, skipped, spec.class_dim), skipped, tensors, spec)

    return _reduce(rows, tensors, spec)


def linear_cross_entropy(tensors: LossTensors, spec: LossSpec) -> Tensor:
    """Loss of the logits input @ linear_weight.T + linear_bias against a target."""

    def rows(skipped: Tensor) -> tuple[Tensor, Tensor]:
        return _logits_rows(_linear_logits(tensors, skipped), skipped, tensors, spec)

    return _reduce(rows, tensors, spec)


def nll_loss(tensors: LossTensors, spec: LossSpec) -> Tensor:
    """Loss of log-probabilities (…, C, …) against class indices."""

    def rows(skipped: Tensor) -> tuple[Tensor, Tensor]:
        log_p = _blank(tensors.input, skipped, spec.class_dim).to(spec.dtype)
        return _index_rows(log_p, skipped, tensors, spec)

    return _reduce(rows, tensors, spec)


def linear_kl_div(student: LossTensors, teacher: LossTensors, spec: LossSpec, teacher_spec: LossSpec) -> Tensor:
    """Loss KL(teacher‖student) of a student's hidden states and head against a teacher's."""

    def rows(skipped: Tensor) -> tuple[Tensor, Tensor]:
        q = _transform(_linear_logits(student, skipped), spec)
        p = _transform(_linear_logits(teacher, skipped), teacher_spec)
        loss = kl_divergence(p_logits=p, q_logits=q, dim=spec.class_dim)
        return loss, torch.ones_like(loss)

    return _reduce(rows, student, spec)


def kl_div(input: Tensor, target: Tensor, log_target: bool) -> Tensor:
    """Terms p (log p − input), which are 0 where p = 0, in the accumulation dtype."""
    dtype = wide(torch.promote_types(input.dtype, target.dtype))
    input, target = input.to(dtype), target.to(dtype)
    absent = target == (-torch.inf if log_target else 0.0)
    log_p = target.masked_fill(absent, 0.0) if log_target else target.masked_fill(absent, 1.0).log()
    p = target.exp() if log_target else target
    return p * (log_p - input.masked_fill(absent & input.isinf(), 0.0))


def token_statistics(tensors: LossTensors, spec: LossSpec) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
    """Log-probability of the target (if there is one), entropy, logsumexp and argmax of each row of logits."""
    c, log_prob = spec.class_dim, None
    if tensors.target is not None:
        log_prob = 0 - cross_entropy(tensors, spec)  # 0 − x, not −x: no negative zero
    z = _transform(tensors.input, spec)
    log_p = log_softmax(z, c)
    entropy = -product(log_p.exp(), log_p).sum(c)
    return log_prob, entropy.to(spec.out_dtype), logsumexp(z, c).to(spec.out_dtype), z.argmax(c)


# --- logits -------------------------------------------------------------------------------------------------------


def _linear_logits(tensors: LossTensors, skipped: Tensor) -> Tensor:
    """Logits (…, C, d1, …, dK) of hidden states (…, D) under a head (C, d1, …, dK, D), in float32 or wider.

    Under autocast the product runs in autocast's dtype, as torch's would. In rows that are skipped hidden states are
    blanked for the sake of the head's gradient, and logits because a bias may be infinite.
    """
    weight, bias = tensors.linear_weight, tensors.linear_bias
    assert weight is not None
    dtype = wide(torch.promote_types(tensors.input.dtype, weight.dtype))
    positions = weight.dim() - 2  # K axes of a row that share its hidden state
    hidden = _blank(tensors.input, skipped.flatten(-positions).all(-1) if positions else skipped, -1)
    logits = F.linear(
        hidden.to(dtype), weight.flatten(0, -2).to(dtype), None if bias is None else bias.reshape(-1).to(dtype)
    )
    return _blank(logits.unflatten(-1, weight.shape[:-1]), skipped, tensors.input.dim() - 1)


def _transform(logits: Tensor, spec: LossSpec) -> Tensor:
    """Logits in the accumulation dtype, scaled, then capped, then divided by the temperature."""
    z = logits.to(spec.dtype)
    if spec.logit_scale != 1.0:
        z = z * spec.logit_scale
    if spec.softcap is not None:
        z = spec.softcap * torch.tanh(z / spec.softcap)
    if spec.temperature != 1.0:
        z = z / spec.temperature
    return z


def _blank(x: Tensor, rows: Tensor, dim: int) -> Tensor:
    """The tensor x with zeros in the given rows, across axis `dim`."""
    return x.masked_fill(rows.unsqueeze(dim), 0.0)


# --- loss of each row, and what the row counts in the mean; both 0 in rows that are skipped ------------------------


def _logits_rows(logits: Tensor, skipped: Tensor, tensors: LossTensors, spec: LossSpec) -> tuple[Tensor, Tensor]:
    z = _transform(logits, spec)
    log_p = log_softmax(z, spec.class_dim)
    rows = _probability_rows if spec.probabilities else _index_rows
    loss, count = rows(log_p, skipped, tensors, spec)
    if spec.z_loss:
        squares = logsumexp(z, spec.class_dim).square().masked_fill(skipped, 0.0)
        loss = loss + spec.z_loss * product(count, squares)
    return loss, count


def _index_rows(log_p: Tensor, skipped: Tensor, tensors: LossTensors, spec: LossSpec) -> tuple[Tensor, Tensor]:
    c, target = spec.class_dim, tensors.target
    assert target is not None
    in_range = (target >= 0) & (target < spec.num_classes)
    label = torch.where(skipped | ~in_range, 0, target)
    nll = -log_p.gather(c, label.unsqueeze(c)).squeeze(c).masked_fill(skipped, 0.0)
    count = torch.ones_like(nll)
    if tensors.weight is not None:
        count = tensors.weight.to(spec.dtype).gather(0, label.flatten()).reshape(label.shape)
    count = count.masked_fill(skipped, 0.0)
    loss = product(count, nll)
    if spec.label_smoothing:
        uniform = _class_sum(1 / spec.num_classes, log_p, tensors, spec).masked_fill(skipped, 0.0)
        loss = product(1 - spec.label_smoothing, loss) + spec.label_smoothing * uniform
    return loss * torch.ones_like(loss).masked_fill(~(skipped | in_range), torch.nan), count


def _probability_rows(log_p: Tensor, skipped: Tensor, tensors: LossTensors, spec: LossSpec) -> tuple[Tensor, Tensor]:
    assert tensors.target is not None
    p = _blank(tensors.target, skipped, spec.class_dim).to(spec.dtype)
    if spec.label_smoothing:
        p = (1 - spec.label_smoothing) * p + spec.label_smoothing / spec.num_classes
    loss = _class_sum(p, log_p, tensors, spec).masked_fill(skipped, 0.0)
    return loss, torch.ones_like(loss).masked_fill(skipped, 0.0)


def _class_sum(p: Tensor | float, log_p: Tensor, tensors: LossTensors, spec: LossSpec) -> Tensor:
    """Sum over the classes of −w_c p_c log p_c."""
    if tensors.weight is not None:
        p = p * tensors.weight.to(spec.dtype).reshape((-1,) + (1,) * (log_p.dim() - spec.class_dim - 1))
    return -product(p, log_p).sum(spec.class_dim)


# --- reduction ----------------------------------------------------------------------------------------------------


def _reduce(rows: Callable[[Tensor], tuple[Tensor, Tensor]], tensors: LossTensors, spec: LossSpec) -> Tensor:
    """The losses of the rows under the token weights, reduced, and rounded once.

    Args:
        rows: Gives the losses and counts of the rows when told which ones to skip.
        tensors: Their token weights, target and denominator.
        spec: Their reduction, ignore_index and dtypes.
    """
    skipped = _ignored(tensors, spec)
    weightless = skipped
    if tensors.token_weight is not None:
        weightless = tensors.token_weight == 0
        with torch.no_grad():
            hopeless = ~rows(skipped)[0].isfinite()
        skipped = skipped | (weightless & hopeless)
    loss, count = rows(skipped)
    if tensors.token_weight is not None:
        token_weight = tensors.token_weight.to(spec.dtype).masked_fill(skipped, 0.0)
        loss, count = token_weight * loss, token_weight * count
    if spec.reduction == "mean":
        loss = _mean(loss, count, (skipped | weightless).all(), tensors.denominator)
    elif spec.reduction == "sum":
        loss = loss.sum()
    return loss.to(spec.out_dtype)


def _ignored(tensors: LossTensors, spec: LossSpec) -> Tensor:
    """Rows whose class index is ignore_index."""
    if tensors.target is None:  # distillation: rows of hidden states
        return torch.zeros(tensors.input.shape[:-1], dtype=torch.bool, device=tensors.input.device)
    if spec.probabilities:
        return torch.zeros_like(tensors.target.select(spec.class_dim, 0), dtype=torch.bool)
    return tensors.target == spec.ignore_index


def _mean(loss: Tensor, count: Tensor, nothing: Tensor, denominator: Tensor | float | None) -> Tensor:
    """Sum of the losses by the sum of the counts, nan with zero gradients if that is 0, or by the denominator.

    An explicit denominator of 0 is that of a batch with nothing to count, whose loss is 0 and not 0/0.
    """
    if denominator is None:
        total = count.sum()
        empty = total == 0
        return (loss.sum() / total.masked_fill(empty, 1.0)).masked_fill(empty, torch.nan)
    divisor = torch.as_tensor(denominator, dtype=count.dtype, device=count.device).reshape(())
    return loss.sum() / divisor.masked_fill(nothing & (divisor == 0), 1.0)
