"""Which tensors have values that can be looked at, and those values where torch.func wraps them."""

import torch
from torch import Tensor
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue]
from torch._subclasses.fake_tensor import FakeTensor


def is_readable(tensor: Tensor) -> bool:
    """Whether a tensor has numbers: meta, fake, sparse, nested and unfinished ones have none, or in other forms."""
    if tensor.is_meta or isinstance(tensor, FakeTensor) or torch.nn.parameter.is_lazy(tensor):
        return False
    return tensor.layout == torch.strided and not tensor.is_nested and not tensor.is_complex()


def one_sample(tensor: Tensor) -> Tensor:
    """The first of the tensors over which vmap maps; a tensor that is not mapped, itself."""
    if not _is_mapped(tensor):
        return tensor
    while _functorch.is_functorch_wrapped_tensor(tensor):
        inner = _functorch.get_unwrapped(tensor)
        if _functorch.is_batchedtensor(tensor):
            inner = inner.select(_functorch.maybe_get_bdim(tensor), 0)
        tensor = inner
    return tensor


def _is_mapped(tensor: Tensor) -> bool:
    while _functorch.is_functorch_wrapped_tensor(tensor):
        if _functorch.is_batchedtensor(tensor):
            return True
        tensor = _functorch.get_unwrapped(tensor)
    return False
