"""Cross entropy of a head with millions of classes, against some of them.

    Z_i ≈ exp z_{y_i} + Σ_{s: n_s ≠ y_i} exp z_{n_s} / (S q_{n_s})          L_i = log Z_i − z_{y_i}

n_1 … n_S negatives, drawn with probabilities q and shared by all rows. The sum has the expectation of the whole one, so
that the loss tends to cross entropy as S grows. An accidental hit, a negative that is the row's label, is left out: the
label is there already.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy._contract import AnyOptions, Ignored, number
from crossentropy._errors import ArgumentIndexError, ArgumentTypeError, ArgumentValueError, kind_of
from crossentropy._keywords import overridable
from crossentropy._logspace import wide
from crossentropy._loss import LossTensors
from crossentropy._losses._rows import Rows, resolve
from crossentropy._tensors import INTEGERS
from crossentropy._values import first, position, readable, sum_tolerance

Sampler = Literal["uniform", "log_uniform", "in_batch"]


@overridable
def sampled_linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    negatives: Sampler | Tensor = "uniform",
    num_samples: int | None = None,
    log_q: Tensor | None = None,
    generator: torch.Generator | None = None,
    sparse: bool = False,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: Ignored = -100,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    logit_scale: float = 1.0,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
) -> Tensor:
    """Cross entropy of a linear head against each row's label and some of the other classes.

        L_i = log(exp z_y + Σ_{n ≠ y} exp(z_n − log(S q_n))) − z_y          z = input @ linear_weight.T + linear_bias

    For heads of which even the product is too much: words, items of a shop. Of the head only the rows of labels and
    negatives are read, and the (N, S) logits are not built. With the correction log(S q) the loss estimates cross
    entropy, and tends to it as S grows; without one ("in_batch" or one's own negatives without log_q) it is a
    contrastive loss.

    Args:
        input: Hidden states (…, D).
        linear_weight: Head (C, D), items' embeddings say.
        target: Class indices (…), any integer dtype.
        negatives: "uniform"; "log_uniform", q_c ~ log(1 + 1/(c + 1)), for classes in order of falling frequency (Zipf);
            "in_batch", the labels of all rows that count; or classes (S), in any integer dtype.
        num_samples: How many classes are drawn, S: "uniform" and "log_uniform" need it, and draw with replacement. None
            for others.
        log_q: Log-probability (C) with which a class is drawn, for "in_batch" and one's own negatives. Default: nothing
            is corrected.
        generator: Source of random numbers, on the head's device. Default: torch's.
        sparse: Give the head a sparse gradient, for torch.optim.SparseAdam: with millions of classes a dense one costs
            more than the loss.
        linear_bias: Bias (C). Default: none.
        weight: Class weights (C) of the labels, any floating dtype. Default: 1.
        reduction: "none", "mean" (over rows that count, weighted) or "sum".
        ignore_index: A target value whose rows are left out, or several.
        token_weight: Weight of each row (…). Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element. Default: the weight of the rows that
            count, in sum.
        logit_scale: Factor on the logits, before the correction.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: hidden states, heads' rows, labels, weights, log_q.

    Returns:
        The loss: a scalar, or (…) for "none"; in the promoted dtype of input and head (float32 under autocast), or
        out_dtype.

    Raises:
        ValueError: A shape, device or number does not fit; with validate, log_q are no log-probabilities.
        TypeError: A type or dtype does not fit.
        IndexError: A label or negative is out of range (where it can be read).

    Examples:
        >>> items, user = torch.eye(4), torch.tensor([[3.0, 0.0, 0.0, 0.0]])
        >>> sampled_linear_cross_entropy(user, items, torch.tensor([0]), negatives=torch.tensor([1, 2]))
        tensor(0.0949)

    See Also:
        `linear_cross_entropy`, against all classes.

    References:
        Y. Bengio, J.-S. Senécal, Adaptive Importance Sampling to Accelerate Training of a Neural Probabilistic Language
        Model, 2008; X. Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations, 2019.
    """
    if generator is not None and not isinstance(generator, torch.Generator):
        raise ArgumentTypeError(f"generator is {kind_of(generator)}, expected a torch.Generator")
    if not isinstance(sparse, bool):
        raise ArgumentTypeError(f"sparse is {sparse!r:.40}, expected True or False")
    rows = resolve(
        "sampled_linear_cross_entropy",
        LossTensors(input, target, weight, token_weight, denominator, linear_weight, linear_bias),
        reduction=reduction,
        ignore_index=ignore_index,
        logit_scale=logit_scale,
        out_dtype=out_dtype,
        options=options,
    )
    scale = number("logit_scale", logit_scale)
    if scale == 0:
        raise ArgumentValueError("logit_scale is 0: all logits are then equal")
    tensors, spec = rows.heard().tensors, rows.spec
    assert tensors.target is not None
    known = (tensors.target >= 0) & (tensors.target < spec.num_classes)
    label = torch.where(known, tensors.target, 0)
    heard = known & ~rows.silent()
    drawn, log_count = _drawn(negatives, num_samples, log_q, label, heard, rows, generator)
    if validate and log_q is not None:
        _check_log_probabilities(log_q)
    # one lookup, so that the head has one gradient
    index = torch.cat([label.flatten(), drawn])
    vectors = F.embedding(index, linear_weight, sparse=sparse)
    biases = None if linear_bias is None else linear_bias.index_select(0, index)
    count = label.numel()
    z = (tensors.input.to(spec.dtype) * vectors[:count].reshape(tensors.input.shape).to(spec.dtype)).sum(-1)
    if biases is not None:
        z = z + biases[:count].reshape(z.shape).to(spec.dtype)
    bias = None if biases is None else biases[count:]
    if log_count is not None:
        bias = -log_count / scale if bias is None else bias.to(spec.dtype) - log_count / scale
    absent = drawn == label.unsqueeze(-1)
    if isinstance(negatives, str) and negatives == "in_batch":
        absent = absent | ~heard.flatten()
    given = LossTensors(tensors.input, linear_weight=vectors[count:], linear_bias=bias)
    lse = _log_sum(given, absent, scale, options, validate=validate)
    margin = (z * scale - lse).masked_fill(~known & ~rows.silent(), torch.nan)
    return rows.reduced(-F.logsigmoid(margin))


def _log_sum(tensors: LossTensors, absent: Tensor, scale: float, options: AnyOptions, *, validate: bool) -> Tensor:
    """Logsumexp of each row over the negatives that are not absent, of which an empty batch has none."""
    if not absent.shape[-1]:
        return tensors.input.new_full(absent.shape[:-1], -torch.inf, dtype=wide(tensors.input.dtype))
    rows = resolve(
        "sampled_linear_cross_entropy",
        tensors,
        labelled=False,
        reduction="none",
        logit_scale=scale,
        options=options,
        validate=validate,
    )
    return rows.statistics(absent=absent).logsumexp


def _check_log_probabilities(log_q: Tensor) -> None:
    """None is above 0, but for a sure class by rounding; where all are at least 0, they are something else."""
    if not readable(log_q, wait=True):
        return
    log_q = log_q.detach()
    rounding = sum_tolerance(log_q.dtype, len(log_q)) if bool((log_q < 0).any()) else 0.0
    offence = first(~(log_q <= rounding))  # a nan fails every comparison
    if offence is None:
        return
    total = float(log_q.sum(dtype=torch.float64))
    are_probabilities = bool((log_q >= 0).all()) and abs(total - 1) <= sum_tolerance(log_q.dtype, len(log_q))
    raise ArgumentValueError(
        f"log_q{position(offence)} is {log_q[offence].item():.6g}, expected log-probabilities, which are ≤ 0: "
        + (
            "these sum to 1, as probabilities do; pass log_q.log()"
            if are_probabilities
            else "of counts n, (n / n.sum()).log()"
        )
    )


def check_sampler(negatives: object, num_samples: object) -> None:
    """Negatives are drawn, so many, or they are there."""
    if isinstance(negatives, str) and negatives in ("uniform", "log_uniform"):
        if isinstance(num_samples, bool) or not isinstance(num_samples, int) or num_samples < 1:
            raise ArgumentValueError(f"num_samples is {num_samples!r}, expected a number ≥ 1 of negatives")
    elif negatives != "in_batch" and not isinstance(negatives, Tensor):
        raise ArgumentTypeError(
            f"negatives is {negatives!r:.40}, expected 'uniform', 'log_uniform', 'in_batch' or a tensor (S) of classes"
        )
    elif num_samples is not None:
        raise ArgumentValueError("num_samples is given, and the negatives are too: leave it out")


def _drawn(
    negatives: object,
    num_samples: object,
    log_q: Tensor | None,
    label: Tensor,
    heard: Tensor,
    rows: Rows,
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor | None]:
    """Negatives (S), and the logarithm of how often each is expected among them.

    Those in a batch are the labels of all rows, of which the ones that are not heard will be left out: how many that
    are, nobody waits for.
    """
    classes, device = rows.spec.num_classes, rows.tensors.input.device
    check_sampler(negatives, num_samples)
    if isinstance(negatives, str) and isinstance(num_samples, int):
        if log_q is not None:
            raise ArgumentValueError(f"log_q is given, and negatives={negatives!r} has its own: leave it out")
        if negatives == "uniform":
            drawn = torch.randint(classes, (num_samples,), generator=generator, device=device)
            return drawn, torch.full((num_samples,), math.log(num_samples / classes), device=device)
        u = torch.rand(num_samples, generator=generator, device=device, dtype=torch.float64)
        drawn = ((u * math.log(classes + 1)).exp().long() - 1).clamp(0, classes - 1)
        q = torch.log1p(1 / (drawn.double() + 1)) / math.log(classes + 1)
        return drawn, (num_samples * q).log().to(wide(rows.spec.dtype))
    if isinstance(negatives, str):
        drawn = label.flatten()
    elif isinstance(negatives, Tensor) and negatives.dtype in INTEGERS and negatives.dim() == 1:
        drawn = negatives.long()
        if not len(drawn):
            raise ArgumentValueError("negatives is empty, expected one class at least")
        wrong = (drawn < 0) | (drawn >= classes)
        if readable(drawn) and (offence := first(wrong)) is not None:
            raise ArgumentIndexError(
                f"negatives{position(offence)} is {int(drawn[offence])}, expected a class in [0, {classes})"
            )
        if drawn.device != device:
            raise ArgumentValueError(f"negatives is on {drawn.device}, input on {device}")
    else:
        raise ArgumentTypeError(
            f"negatives is {kind_of(negatives)}, expected classes: a tensor (S) of an integer dtype"
        )
    if log_q is None:
        return drawn, None
    if not isinstance(log_q, Tensor) or log_q.shape != (classes,) or not log_q.is_floating_point():
        raise ArgumentValueError(f"log_q is {kind_of(log_q)}, expected the log-probability of each class, ({classes})")
    dtype = rows.spec.dtype
    log_count = heard.sum().clamp(min=1).to(dtype).log() if isinstance(negatives, str) else math.log(len(drawn))
    return drawn, log_q.to(dtype)[drawn] + log_count
