"""The reference backend: every loss as a plain composition of torch operators, to be checked by eye.

    z_i  = softcap · tanh(logit_scale · logits_i / softcap)                        the logits of row i, (…, C, …)
    τ_ic = w_c · ((1 − ε) p_ic + ε / C)                                            what class c of row i weighs
    L_i  = t_i · (−Σ_c τ_ic log softmax(z_i)_c + λ n_i lse(z_i)²)                  the loss of row i
    mean = Σ L_i / Σ t_i n_i                                                       or Σ L_i / denominator

p the target: one-hot at class y for indices · ε label_smoothing · w weight · t token_weight · λ z_loss · n_i what the
row counts in the mean: w_y for indices, 1 for probabilities. A row of weight t counts as t rows of weight 1.

Three rules keep infinities and nans where they belong:
- An ignored row is replaced by zeros *before* any arithmetic, so what it holds reaches neither loss nor gradient.
- A zero weight or probability annihilates an infinite log-probability (`product`).
- A label outside [0, C) that could not be refused, because its value could not be read, makes loss and gradient nan.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy._contract import LossSpec, LossTensors
from crossentropy._logspace import log_softmax, logsumexp, product, wide
from crossentropy.information import kl_divergence


def cross_entropy(tensors: LossTensors, spec: LossSpec) -> Tensor:
    """Loss of logits (…, C, …) against a target."""
    skipped = _skipped(tensors, spec)
    return _logits_loss(_blank(tensors.input, skipped, spec.class_dim), skipped, tensors, spec)


def linear_cross_entropy(tensors: LossTensors, spec: LossSpec) -> Tensor:
    """Loss of the logits input @ linear_weight.T + linear_bias against a target."""
    skipped = _skipped(tensors, spec)
    return _logits_loss(_linear_logits(tensors, skipped), skipped, tensors, spec)


def nll_loss(tensors: LossTensors, spec: LossSpec) -> Tensor:
    """Loss of log-probabilities (…, C, …) against class indices."""
    skipped = _skipped(tensors, spec)
    log_p = _blank(tensors.input, skipped, spec.class_dim).to(spec.dtype)
    loss, count = _index_rows(log_p, skipped, tensors, spec)
    return _reduce(loss, count, skipped, tensors, spec)


def linear_kl_div(student: LossTensors, teacher: LossTensors, spec: LossSpec, teacher_spec: LossSpec) -> Tensor:
    """Loss KL(teacher‖student) of a student's hidden states and head against a teacher's."""
    skipped = torch.zeros(student.input.shape[:-1], dtype=torch.bool, device=student.input.device)
    if student.token_weight is not None:
        skipped = (student.token_weight == 0) & (_poisoned(student, spec) | _poisoned(teacher, spec))
    q = _transform(_linear_logits(student, skipped), spec)
    p = _transform(_linear_logits(teacher, skipped), teacher_spec)
    loss = kl_divergence(p_logits=p, q_logits=q, dim=spec.class_dim)
    return _reduce(loss, torch.ones_like(loss), skipped, student, spec)


def kl_div(input: Tensor, target: Tensor, log_target: bool) -> Tensor:
    """Terms p (log p − input), which are 0 where p = 0, in the accumulation dtype."""
    dtype = wide(torch.promote_types(input.dtype, target.dtype))
    input, target = input.to(dtype), target.to(dtype)
    present = target != (-torch.inf if log_target else 0.0)  # nan is present
    log_p = torch.where(present, target, 0.0) if log_target else torch.where(present, target, 1.0).log()
    p = target.exp() if log_target else target
    return product(p, log_p - torch.where(present, input, 0.0))


def token_statistics(tensors: LossTensors, spec: LossSpec) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
    """Log-probability of the target (if there is one), entropy, logsumexp and argmax of each row of logits."""
    z = _transform(tensors.input, spec)
    log_p = log_softmax(z, spec.class_dim)
    entropy = -product(log_p.exp(), log_p).sum(spec.class_dim)
    log_prob = None
    if tensors.target is not None:
        log_prob = 0 - nll_loss(tensors._replace(input=log_p), spec)  # 0 − x, not −x: no negative zero
    return (
        None if log_prob is None else log_prob.to(spec.out_dtype),
        entropy.to(spec.out_dtype),
        logsumexp(z, spec.class_dim).to(spec.out_dtype),
        z.argmax(spec.class_dim),
    )


# --- rows that count for nothing ----------------------------------------------------------------------------------


def _skipped(tensors: LossTensors, spec: LossSpec) -> Tensor:
    """Rows that are not read: ignored ones, and those of token weight 0 that hold nan or inf."""
    assert tensors.target is not None
    if spec.probabilities:
        skipped = torch.zeros_like(tensors.target.select(spec.class_dim, 0), dtype=torch.bool)
    else:
        skipped = tensors.target == spec.ignore_index
    if tensors.token_weight is None:
        return skipped
    return skipped | ((tensors.token_weight == 0) & _poisoned(tensors, spec))


def _poisoned(tensors: LossTensors, spec: LossSpec) -> Tensor:
    """Rows whose logits or hidden states make the loss nan. A logit of −inf does not: it masks a class."""
    if tensors.linear_weight is None:
        return ~(tensors.input < torch.inf).all(spec.class_dim)
    finite = tensors.input.isfinite().all(-1)
    return ~finite.reshape(finite.shape + (1,) * (tensors.linear_weight.dim() - 2))


def _blank(x: Tensor, rows: Tensor, dim: int) -> Tensor:
    """X with zeros in the given rows, across axis `dim`."""
    return x.masked_fill(rows.unsqueeze(dim), 0.0)


# --- logits -------------------------------------------------------------------------------------------------------


def _linear_logits(tensors: LossTensors, skipped: Tensor) -> Tensor:
    """Logits (…, C, d1, …, dK) of hidden states (…, D) under a head (C, d1, …, dK, D), in float32 or wider.

    Under autocast the product runs in autocast's dtype, as torch's would.
    """
    weight, bias = tensors.linear_weight, tensors.linear_bias
    assert weight is not None
    dtype = wide(torch.promote_types(tensors.input.dtype, weight.dtype))
    positions = weight.dim() - 2  # K axes of a row that share its hidden state
    hidden = _blank(tensors.input, skipped.flatten(-positions).all(-1) if positions else skipped, -1)
    logits = F.linear(
        hidden.to(dtype), weight.flatten(0, -2).to(dtype), None if bias is None else bias.reshape(-1).to(dtype)
    )
    logits = logits.unflatten(-1, weight.shape[:-1])
    return _blank(logits, skipped, 1) if positions else logits


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


# --- loss of each row, and what the row counts in the mean --------------------------------------------------------


def _logits_loss(logits: Tensor, skipped: Tensor, tensors: LossTensors, spec: LossSpec) -> Tensor:
    z = _transform(logits, spec)
    log_p = log_softmax(z, spec.class_dim)
    if spec.probabilities:
        loss, count = _probability_rows(log_p, tensors, spec)
    else:
        loss, count = _index_rows(log_p, skipped, tensors, spec)
    if spec.z_loss:
        loss = loss + spec.z_loss * product(count, logsumexp(z, spec.class_dim).square())
    return _reduce(loss, count, skipped, tensors, spec)


def _index_rows(log_p: Tensor, skipped: Tensor, tensors: LossTensors, spec: LossSpec) -> tuple[Tensor, Tensor]:
    c, target = spec.class_dim, tensors.target
    assert target is not None
    in_range = (target >= 0) & (target < spec.num_classes)
    label = torch.where(skipped | ~in_range, 0, target)
    nll = -log_p.gather(c, label.unsqueeze(c)).squeeze(c)
    count = torch.ones_like(nll)
    if tensors.weight is not None:
        count = tensors.weight.to(spec.dtype).gather(0, label.flatten()).reshape(label.shape)
    loss = product(count, nll)
    if spec.label_smoothing:
        uniform = _class_sum(1 / spec.num_classes, log_p, tensors, spec)
        loss = product(1 - spec.label_smoothing, loss) + spec.label_smoothing * uniform
    return loss * torch.ones_like(loss).masked_fill(~(skipped | in_range), torch.nan), count


def _probability_rows(log_p: Tensor, tensors: LossTensors, spec: LossSpec) -> tuple[Tensor, Tensor]:
    assert tensors.target is not None
    p = tensors.target.to(spec.dtype)
    if spec.label_smoothing:
        p = (1 - spec.label_smoothing) * p + spec.label_smoothing / spec.num_classes
    loss = _class_sum(p, log_p, tensors, spec)
    return loss, torch.ones_like(loss)


def _class_sum(p: Tensor | float, log_p: Tensor, tensors: LossTensors, spec: LossSpec) -> Tensor:
    """Sum over the classes of −w_c p_c log p_c."""
    if tensors.weight is not None:
        p = p * tensors.weight.to(spec.dtype).reshape((-1,) + (1,) * (log_p.dim() - spec.class_dim - 1))
    return -product(p, log_p).sum(spec.class_dim)


# --- reduction ----------------------------------------------------------------------------------------------------


def _reduce(loss: Tensor, count: Tensor, skipped: Tensor, tensors: LossTensors, spec: LossSpec) -> Tensor:
    """The row losses under the token weights, reduced, and rounded once."""
    if tensors.token_weight is not None:
        token_weight = tensors.token_weight.to(spec.dtype)
        loss, count = product(token_weight, loss), token_weight * count
    loss = loss.masked_fill(skipped, 0.0)
    if spec.reduction == "mean":
        loss = loss.sum() / _denominator(count.masked_fill(skipped, 0.0), skipped, tensors)
    elif spec.reduction == "sum":
        loss = loss.sum()
    return loss.to(spec.out_dtype)


def _denominator(count: Tensor, skipped: Tensor, tensors: LossTensors) -> Tensor:
    """What "mean" divides by. An explicit 0 is that of a batch with nothing to count, whose loss is 0 and not 0/0."""
    if tensors.denominator is None:
        return count.sum()
    denominator = torch.as_tensor(tensors.denominator, dtype=count.dtype, device=count.device).reshape(())
    return denominator.masked_fill(skipped.all() & (denominator == 0), 1.0)
