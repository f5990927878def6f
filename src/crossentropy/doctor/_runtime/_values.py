"""Which tensors have values that can be looked at, and those values where torch.func wraps them."""

import torch
from torch import Tensor

from crossentropy import _torch


def is_readable(tensor: Tensor) -> bool:
    """Whether a tensor has numbers: meta, fake, sparse, nested and unfinished ones have none, or in other forms."""
    if (
        _torch.unwrapped(tensor) is None
        or tensor.is_meta
        or isinstance(tensor, _torch.FakeTensor)
        or torch.nn.parameter.is_lazy(tensor)
    ):
        return False
    return tensor.layout == torch.strided and not tensor.is_nested and not tensor.is_complex()


def one_sample(tensor: Tensor) -> Tensor:
    """The first of the tensors over which vmap maps; a tensor that is not mapped, itself."""
    if _torch.unwrapped(tensor) is not None:
        return tensor
    sample = _torch.one_sample(tensor)
    return tensor if sample is None else sample
