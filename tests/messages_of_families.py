"""Messages of losses that torch does not have, and of metrics: a part of each, by which it is known, and its call."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import AffineTransform, Categorical, TransformedDistribution

import crossentropy.functional as F
from crossentropy import Options, continuous, metrics, nn

X, Y = torch.zeros(4, 5), torch.tensor([0, 1, 2, 3])
H, W = torch.ones(4, 3), torch.zeros(5, 3)
META = torch.zeros(4, 5, device="meta")
MASK = torch.ones(5, dtype=torch.bool)
TOP, LOG_TOP = torch.tensor([0, 1]).expand(4, 2), torch.full((4, 2), -2.0)
B = torch.full((4, 5), 0.5)


def _masked(mask: object, **more: Any) -> Callable[[], object]:
    return lambda: F.cross_entropy(X, Y, class_mask=mask, **more)


def _top(indices: object = TOP, log_probs: object = LOG_TOP, **more: Any) -> Callable[[], object]:
    return lambda: F.linear_topk_kl_div(H, W, indices, log_probs, **more)


def _sampled(negatives: object = "in_batch", **more: Any) -> Callable[[], object]:
    return lambda: F.sampled_linear_cross_entropy(H, W, Y, negatives=negatives, **more)


def _binary(input: Tensor = X, target: object = B, **more: Any) -> Callable[[], object]:
    return lambda: F.binary_cross_entropy_with_logits(input, target, **more)


MESSAGES: dict[str, Callable[[], object]] = {
    # which classes count
    "target[2] is class 2, which class_mask leaves out": _masked(torch.arange(5) != 2),
    "label_smoothing is 0.1, and class_mask has no values to read here": lambda: F.cross_entropy(
        META, Y.to("meta"), class_mask=MASK.to("meta"), label_smoothing=0.1
    ),
    "class_mask leaves out every class": lambda: F.cross_entropy(X[:0], Y[:0], class_mask=~MASK, label_smoothing=0.1),
    "class_mask is on meta, input on cpu": _masked(MASK.to("meta")),
    "class_mask is a list, expected a tensor of torch.bool": _masked([True] * 5),
    "class_mask has shape (3,), expected that of the classes (5,)": _masked(MASK[:3]),
    "and with a class_mask for each row it has no one number": _masked(MASK.expand(4, 5), label_smoothing=0.1),
    "class_mask of each row is not for K-dimensional heads": lambda: F.linear_cross_entropy(
        H, torch.zeros(5, 2, 3), torch.zeros(4, 2).long(), class_mask=torch.ones(4, 5, 2, dtype=torch.bool)
    ),
    "num_classes is a float, expected an int": lambda: F.cross_entropy(X, Y, num_classes=3.0),
    "num_classes is 6, expected a number in [1, 5]": lambda: F.cross_entropy(X, Y, num_classes=6),
    "ignore_index is [], expected one label or several": lambda: F.cross_entropy(X, Y, ignore_index=[]),
    "return_statistics has all rows": lambda: F.linear_cross_entropy(
        H, W, Y, return_statistics=True, options=Options(valid_rows=2)
    ),
    # losses of rows
    "function is an int, expected a callable": lambda: F.row_loss(3, X, Y),
    "function returned shape (), torch.float32, expected a floating tensor of the rows' shape (4,)": lambda: F.row_loss(
        lambda row: row.entropy.sum(), X, Y
    ),
    "linear_bias is given and linear_weight is not: pass the head": lambda: F.focal_loss(X, Y, linear_bias=X[0]),
    # sparse teachers
    "tail is 'all', expected 'rest' or 'none'": _top(tail="all"),
    "teacher_indices is a list, expected classes": _top([[0, 1]] * 4),
    "teacher_log_probs is a list, expected a floating tensor": _top(TOP, [[0.0, 1.0]] * 4),
    "teacher_indices has shape (4, 2) and teacher_log_probs (4, 1)": _top(TOP, LOG_TOP[:, :1]),
    "teacher_log_probs is on meta, input on cpu": _top(TOP, LOG_TOP.to("meta")),
    "teacher_indices[0, 0] is 5, expected a class in [0, 5), or -1": _top(TOP + 5),
    "the probabilities of row (0,) sum to 2, expected at most 1": _top(TOP, 0 * LOG_TOP),
    "teacher_indices: class 0 comes twice in row (0,)": _top(0 * TOP, validate=True),
    # sampled classes
    "sparse is 'no', expected True or False": _sampled(sparse="no"),
    "log_q[0] is 0.2, expected log-probabilities, which are ≤ 0: these sum to 1": _sampled(
        log_q=torch.full((5,), 0.2), validate=True
    ),
    "generator is an int, expected a torch.Generator": _sampled(generator=3),
    "logit_scale is 0: all logits are then equal": _sampled(logit_scale=0.0),
    "negatives is 'best', expected 'uniform', 'log_uniform', 'in_batch' or a tensor": _sampled("best"),
    "num_samples is None, expected a number ≥ 1 of negatives": _sampled("uniform"),
    "num_samples is given, and the negatives are too": _sampled(num_samples=3),
    "log_q is given, and negatives='uniform' has its own": _sampled("uniform", num_samples=3, log_q=X[0]),
    "log_q is ": _sampled(log_q=X),
    "negatives is empty, expected one class at least": _sampled(Y[:0]),
    "negatives[3] is 5, expected a class in [0, 5)": _sampled(torch.tensor([0, 1, 2, 5])),
    "negatives is on meta, input on cpu": _sampled(Y.to("meta")),
    "expected classes: a tensor (S) of an integer dtype": _sampled(X),
    # binary losses
    "weight has shape (3,), expected one that broadcasts to the input's, (4, 5)": _binary(weight=torch.ones(3)),
    "weight has dtype torch.complex64, expected real numbers": _binary(weight=torch.ones(5, dtype=torch.complex64)),
    "weight is complex, expected real numbers": lambda: nn.BCELoss(torch.ones(5, dtype=torch.complex64)),
    "token_weight has shape (5,), expected the input's, (4, 5), or axes of size 1": _binary(token_weight=torch.ones(5)),
    "target has dtype torch.complex64, expected real numbers in [0, 1]": _binary(target=B.to(torch.complex64)),
    "target has shape (4,) and input (4, 5), expected the same shape": _binary(target=Y),
    "input[0, 0] is 2, expected a probability in [0, 1]": lambda: F.binary_cross_entropy(X + 2, B),
    "no element counts, of 20: the mean is nan": _binary(target=-1 + 0 * X, ignore_index=-1, validate=True),
    "input[0, 0] is nan, expected a number": _binary(X * math.nan, validate=True),
    "input[0, 0] is inf and target[0, 0] 0.5: the loss is inf": _binary(X + math.inf, validate=True),
    # divergences
    "reverse is an int, expected True or False": lambda: nn.KLDivWithLogitsLoss(reverse=1),
    "beta is 1.0, where the divergence is 0, expected a number in (0, 1)": lambda: F.js_div_with_logits(X, X, beta=1.0),
    "skew is 1e-45, expected at least 1.175e-38, which float32 can hold": lambda: F.kl_div_with_logits(
        X, X, skew=1e-45
    ),
    "input has shape (4, 5) and teacher_input (4, 3): expected the same": lambda: F.kl_div_with_logits(X, X[:, :3]),
    # densities
    "p maps a discrete distribution, of which torch makes a density: pass p.base_dist": lambda: continuous.entropy(
        TransformedDistribution(Categorical(torch.ones(3)), [AffineTransform(0.0, 2.0)])
    ),
    # metrics
    "bins is 0, expected a whole number ≥ 1": lambda: metrics.ExpectedCalibrationError(bins=0),
    "num_bytes has shape (3,), expected (4,): one number for each row; or one for all": lambda: (
        metrics.BitsPerByte().update(X, Y, num_bytes=torch.ones(3))
    ),
    "num_bytes is one number beside token_weight": lambda: metrics.BitsPerByte().update(
        X, Y, num_bytes=3, token_weight=torch.ones(4)
    ),
    "no row counts: all 4 are ignored or have token_weight 0": lambda: metrics.TemperatureScaling().fit(X, 0 * Y - 100),
    "the mean −log p of the labels is not finite": lambda: metrics.TemperatureScaling().fit(X * math.nan, Y),
    "rows that count the label has the largest logit": lambda: metrics.TemperatureScaling().fit(torch.eye(4, 5), Y),
    "in each row that counts all logits are equal": lambda: metrics.TemperatureScaling().fit(X, Y),
    "the loss falls without end as T grows": lambda: metrics.TemperatureScaling().fit(-torch.eye(4, 5), Y),
    "k is 0, expected a whole number ≥ 1": lambda: metrics.TopKAccuracy(0),
    "k is 7, expected at most 5: there are no more classes": lambda: metrics.TopKAccuracy(7).update(X, Y),
    "input has no axes, expected logits (…, C)": lambda: metrics.Accuracy().update(X[0, 0], Y[0]),
    "linear_bias is given and linear_weight is not: pass the head too": lambda: metrics.Perplexity().update(
        X, Y, linear_bias=X[0]
    ),
}

WARNINGS: dict[str, Callable[[], object]] = {
    "no element counts, of 20: nothing is trained": _binary(
        target=-1 + 0 * X, ignore_index=-1, reduction="sum", validate=True
    ),
    "each number is in (0, 1). The sigmoid is applied here": lambda: F.binary_cross_entropy_with_logits(
        torch.full((8, 5), 0.5), torch.ones(8, 5), validate=True
    ),
}


def distributed(cut: Callable[..., Tensor]) -> dict[str, Callable[[], object]]:
    """Those of tensors that are spread over processes."""
    z, y = cut(X, 0), cut(Y, 0)
    return {
        "return_statistics is not for DTensors": lambda: F.cross_entropy(z, y, return_statistics=True),
        "class_mask is not for DTensors": lambda: F.cross_entropy(z, y, class_mask=MASK),
        "focal_loss is not for DTensors": lambda: F.focal_loss(z, y),
        "input is spread over ranks, expected all classes": lambda: metrics.Accuracy().update(z, Y),
    }
