"""Cross entropy of cosines, with the margins of face recognition and metric learning.

    cos θ_c = (h / ‖h‖) · (W_c / ‖W_c‖)        z_c = s cos θ_c,        z_y = s (cos(θ_y + a) − m)

s scale · a angular margin (ArcFace) · m margin (CosFace). Where θ_y + a would pass π, cos(θ_y + a) is continued by
cos θ_y − a sin a, so that it falls on. The label's logit is computed apart; the other classes are summed in chunks.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy._contract import AnyOptions, Ignored
from crossentropy._keywords import overridable
from crossentropy._logspace import wide
from crossentropy._loss import LossTensors
from crossentropy._losses._chosen import chosen_logits
from crossentropy._losses._rows import Rows, of_statistics, resolve
from crossentropy._values import readable

_SQUARABLE = 2.0**-50
"""A number whose square is far from what float32 cannot hold, as that of its reciprocal is."""


@overridable
def cosine_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    scale: float = 64.0,
    margin: float = 0.0,
    angular_margin: float = 0.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: Ignored = -100,
    token_weight: Tensor | None = None,
    denominator: Tensor | float | None = None,
    out_dtype: torch.dtype | None = None,
    options: AnyOptions = None,
    validate: bool = False,
) -> Tensor:
    """Cross entropy of scaled cosines between hidden states and classes, with a margin at the label.

        z_c = s cos θ_c,   z_y = s (cos(θ_y + a) − m)          L = −log softmax(z)_y

    A class is a direction. The margin asks of a row that it is nearer to its class than to others by so much.

    Args:
        input: Hidden states (…, D), of any length; the cosines of one of length 0 are 0.
        linear_weight: Classes (C, D), of any length.
        target: Class indices (…), any integer dtype.
        scale: s > 0, the inverse of a temperature.
        margin: m ≥ 0, taken from the label's cosine (CosFace; 0.35 say).
        angular_margin: a in [0, π], in radians, added to its angle (ArcFace; 0.5 say).
        weight: Class weights (C), any floating dtype. Default: 1.
        reduction: "none", "mean" (weighted by w_y, as cross_entropy's) or "sum".
        ignore_index: A target value whose rows are left out, or several.
        token_weight: Weight of each row (…). Default: 1.
        denominator: What "mean" divides by; a number or a tensor of one element. Default: the weight of the rows that
            count, in sum.
        out_dtype: Dtype of the returned loss. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        validate: Look at the values: hidden states, head, labels, weights.

    Returns:
        The loss: a scalar, or (…) for "none"; in the promoted dtype of input and head (float32 under autocast), or
        out_dtype.

    Raises:
        ValueError: A shape, device or number does not fit.
        TypeError: A type or dtype does not fit.
        IndexError: A label is out of range (where it can be read; else the loss is nan).

    Examples:
        >>> hidden, classes = torch.tensor([[3.0, 4.0]]), torch.eye(2)
        >>> cosine_cross_entropy(hidden, classes, torch.tensor([1]), scale=10.0)
        tensor(0.1269)
        >>> cosine_cross_entropy(hidden, classes, torch.tensor([1]), scale=10.0, margin=0.35)
        tensor(1.7014)

    See Also:
        `linear_cross_entropy`, of products instead of cosines.

    References:
        H. Wang et al., CosFace, 2018; J. Deng et al., ArcFace, 2019.
    """
    scale = contract.number("scale", scale, low=0.0, above=True)
    margin = contract.number("margin", margin, low=0.0)
    angle = contract.number("angular_margin", angular_margin, low=0.0, high=math.pi)
    given = resolve(
        "cosine_cross_entropy",
        LossTensors(input, target, weight, token_weight, denominator, linear_weight),
        reduction=reduction,
        ignore_index=ignore_index,
        logit_scale=scale,
        out_dtype=out_dtype,
        options=options,
        validate=validate,
    )
    rows = given.of(_direction(given.heard().tensors.input), _direction(linear_weight))
    if not margin and not angle:
        return of_statistics(lambda found: 0 - found.log_prob, rows)  # pyright: ignore[reportOperatorIssue]
    label = rows.tensors.target
    assert label is not None
    known = (label >= 0) & (label < rows.spec.num_classes)
    label = torch.where(known, label, -1).unsqueeze(-1)
    cosine = torch.where(known, chosen_logits(rows.tensors, rows.spec, label).squeeze(-1) / scale, 0.0)
    others = Rows(rows.tensors._replace(target=None), rows.spec, rows.loss._replace(target=None), options)
    lse = others.statistics(absent=label).logsumexp
    if angle:
        cosine = _turned(cosine, _sine(cosine, rows.tensors, label.squeeze(-1).clamp(min=0)), angle)
    z = scale * (cosine - margin)
    return rows.reduced(-F.logsigmoid(z - lse).masked_fill(~known & ~rows.silent(), torch.nan))


def _direction(x: Tensor) -> Tensor:
    """Vectors of length 1, rounded once; those of length 0 have no direction, and no gradient: all cosines are 0."""
    dtype = wide(x.dtype)
    unit = _near_one(x, dtype)
    length = torch.linalg.vector_norm(unit, dim=-1, keepdim=True, dtype=dtype)
    return (unit / length.masked_fill(length == 0, torch.inf)).to(x.dtype)


def _near_one(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Vectors in the same directions, whose squares are neither lost nor infinite; x, if that can be read of it."""
    if not x.numel():
        return x
    least, most = (f(x.detach(), dim=-1, keepdim=True).to(dtype) for f in (torch.amin, torch.amax))
    largest = torch.maximum(most, -least)
    near = ((largest > _SQUARABLE) & (largest < 1 / _SQUARABLE)) | (largest == 0)
    if readable(near) and bool(near.all()):
        return x
    return x / torch.where(near, 1.0, largest)


def _sine(cosine: Tensor, directions: LossTensors, label: Tensor) -> Tensor:
    """Sine of the label's θ: ½ ‖u − v‖ ‖u + v‖, as exact as u and v, where √(1 − cos²) has lost half the digits.

    Of directions in half precision, which are not exact enough for that to matter, it is that root.
    """
    u, v = directions.input, directions.linear_weight
    assert v is not None
    if u.dtype == v.dtype == wide(u.dtype):
        v = v[label]
        square = (u - v).square().sum(-1) * (u + v).square().sum(-1) / 4
    else:
        square = (1 - cosine) * (1 + cosine)
    return square.clamp(min=torch.finfo(square.dtype).tiny).sqrt()  # of finite slope


def _turned(cosine: Tensor, sine: Tensor, angle: float) -> Tensor:
    """cos(θ + a), continued where the angle would pass π."""
    turned = cosine * math.cos(angle) - sine * math.sin(angle)
    return torch.where(cosine > -math.cos(angle), turned, cosine - angle * math.sin(angle))
