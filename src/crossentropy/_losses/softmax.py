"""Probabilities of logits, and their logarithms: drop-in for torch's.

softmax(z)_c = exp(z_c) / Σ exp(z)          log_softmax(z) = z − lse(z)
"""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import _execution, _tiny, _validation
from crossentropy._errors import ArgumentTypeError
from crossentropy._keywords import overridable
from crossentropy._tensors import check_floating, check_tensor
from crossentropy._values import axis


@overridable
def softmax(
    input: Tensor,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: torch.dtype | None = None,
    *,
    validate: bool = False,
) -> Tensor:
    """Softmax along an axis.

        softmax(z)_c = exp(z_c) / Σ_j exp(z_j)

    The probabilities that belong to logits z. This is torch's own, which meets the numerics of this package: half
    precision is summed in float32 and rounded once.

    Args:
        input: Logits, any shape.
        dim: The axis along which the result sums to 1. Implicit choice is deprecated, with torch's warning.
        dtype: Convert the input to this dtype first. Default: its own.
        validate: Look at the values: nan, +inf, rows of −inf; a softmax of a softmax, or of one class.

    Returns:
        Probabilities, in the input's shape and dtype (or `dtype`).

    Raises:
        IndexError: `dim` is not an axis of `input`.
        TypeError: `input` is not of a floating dtype and `dtype` is not given.

    Examples:
        >>> softmax(torch.tensor([1.0, 2.0, 3.0]), dim=0)
        tensor([0.0900, 0.2447, 0.6652])

    See Also:
        `log_softmax`; `cross_entropy`, which takes the logits: do not put a softmax before it.

    References:
        torch.nn.functional.softmax.
    """
    _check_softmax(input, dim, _stacklevel, dtype)
    result = F.softmax(input, dim, _stacklevel + 2, dtype) if dim is None else _execution.softmax(input, dim, dtype)
    if validate:
        _validation.check_softmax(input if dtype is None else input.to(dtype), dim)
    return result


@overridable
def log_softmax(
    input: Tensor,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: torch.dtype | None = None,
    *,
    validate: bool = False,
) -> Tensor:
    """Logarithm of the softmax along an axis.

        log_softmax(z)_c = z_c − log Σ_j exp(z_j)

    Never overflows, and keeps relative accuracy where a class is almost certain: there log p is computed as
    log1p(−Σ of the other classes), where torch gives 0.

    Args:
        input: Logits, any shape.
        dim: The class axis. Implicit choice is deprecated, with torch's warning.
        dtype: Convert the input to this dtype first. Default: its own.
        validate: Look at the values: nan, +inf, rows of −inf; a softmax of a softmax, or of one class.

    Returns:
        Log-probabilities, in the input's shape and dtype (or `dtype`; float32 under autocast).

    Raises:
        IndexError: `dim` is not an axis of `input`.
        TypeError: `input` is not of a floating dtype and `dtype` is not given.

    Examples:
        >>> log_softmax(torch.tensor([60.0, 0.0]), dim=0)
        tensor([-8.7565e-27, -6.0000e+01])

    See Also:
        `nll_loss`, which takes these; `cross_entropy`, which does both.

    References:
        torch.nn.functional.log_softmax.
    """
    tiny = None
    if type(dim) is int and type(_stacklevel) is int and dtype is None and isinstance(input, Tensor):
        tiny = _tiny.log_softmax(input, dim)
        if tiny is not None and not validate:
            return tiny
    _check_softmax(input, dim, _stacklevel, dtype)
    if dtype is None:
        dtype = contract.loss_dtype(input)
    else:
        input = input.to(dtype)
    if dim is None:
        dim = _implicit_axis(input, _stacklevel + 1)
    result = _execution.log_softmax(input, dim, dtype) if tiny is None else tiny
    if validate:
        _validation.check_softmax(input, dim)
    return result


def _check_softmax(input: object, dim: int | None, stacklevel: object, dtype: object) -> None:
    """A tensor that is floating, or made so by `dtype`, and one of its axes."""
    if not isinstance(stacklevel, int):
        hint = f", dtype={stacklevel}" if isinstance(stacklevel, torch.dtype) else ""
        raise ArgumentTypeError(
            f"_stacklevel is {stacklevel!r:.60}, expected an int: it is the third argument, as in torch — give dtype "
            f"by keyword{hint}"
        )
    contract.check_dtype("dtype", dtype)
    x = check_tensor("input", input)
    if dtype is None or x.is_complex():
        check_floating("input", x)
    if dim is not None and (x.dim() or dim not in (0, -1)):
        axis("input", x, dim)


def _implicit_axis(input: Tensor, stacklevel: int) -> int:
    """The class axis that torch chooses where none is given, with its warning (which torch.compile cannot trace)."""
    axis = 0 if input.dim() in (0, 1, 3) else 1
    if not torch.compiler.is_compiling():
        text = f"Implicit dimension choice for log_softmax has been deprecated: it is {axis} here, pass dim={axis}"
        warnings.warn(text, stacklevel=stacklevel)
    return axis
