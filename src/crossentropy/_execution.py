"""Who computes: a process what it has, or each rank its part of DTensors.

torch.distributed.tensor, which takes most of a second, is imported when a DTensor comes.
"""

import functools
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy import _autograd
from crossentropy import _contract as contract
from crossentropy import _logspace as logspace
from crossentropy._backends.native import _log_softmax
from crossentropy._contract import AnyOptions
from crossentropy._dispatch import select
from crossentropy._loss import Loss, LossSpec, LossTensors
from crossentropy._reduction import reduce
from crossentropy._sharding import is_distributed
from crossentropy._valid_rows import gathered
from crossentropy._validation import check_loss


def reduced(loss: Loss, tensors: LossTensors, spec: LossSpec, options: AnyOptions) -> Tensor:
    """The reduced loss."""
    if is_distributed(tensors.input):
        from crossentropy._ranks import _dtensors

        return _dtensors.reduced(loss, tensors, spec, options)
    loss, tensors, restored = gathered(loss, tensors, contract.valid_rows(options))
    execute = functools.partial(_autograd.execute, select(loss, contract.backend(options)).backend)
    return restored(reduce(loss, tensors, spec.reduction, spec.out_dtype, execute), spec.reduction)


def check(loss: Loss, tensors: LossTensors, spec: LossSpec) -> None:
    """The values of a loss, whose first side has these tensors and this spec, are such as it can mean."""
    if is_distributed(tensors.input):
        from crossentropy._ranks import _dtensors

        _dtensors.check(loss, tensors, spec)
    else:
        check_loss(loss, tensors, spec)


def statistics(loss: Loss, options: AnyOptions) -> tuple[Iterable[Tensor], Tensor]:
    """The three statistics of the rows, and their argmax."""
    if is_distributed(loss.sides[0].input):
        from crossentropy._ranks import _dtensors

        return _dtensors.statistics(loss, options)
    return _autograd.statistics(select(loss, contract.backend(options)).backend, loss)


def softmax(input: Tensor, dim: int, dtype: torch.dtype | None) -> Tensor:
    """Probabilities."""
    if is_distributed(input):
        from crossentropy._ranks import _elements

        input = input if dtype is None else input.to(dtype)
        return _elements.log_softmax(input, dim).exp().to(dtype or contract.loss_dtype(input))
    return F.softmax(input, dim, dtype=dtype)


def log_softmax(input: Tensor, dim: int, dtype: torch.dtype) -> Tensor:
    """Log-probabilities."""
    if is_distributed(input):
        from crossentropy._ranks import _elements

        return _elements.log_softmax(input, dim).to(dtype)
    log_p = _log_softmax.log_softmax(input.to(dtype), dim)
    return logspace.log_softmax(input.to(logspace.wide(input.dtype)), dim).to(dtype) if log_p is None else log_p


def kl_terms(input: Tensor, target: Tensor, log_target: bool) -> Tensor:
    """Terms of a divergence, in the accumulation dtype."""
    return elementwise(functools.partial(logspace.kl_terms, log_target=log_target), input, target)


def elementwise(function: Callable[..., Tensor], input: Tensor, *others: Tensor | None) -> Tensor:
    """A function whose result has an element for each of the tensors', which broadcast."""
    if is_distributed(input):
        from crossentropy._ranks import _elements

        return _elements.elementwise(function, input, *others)
    return function(input, *others)
