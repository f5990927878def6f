"""Tensors that are spread over processes: DTensors, and plain tensors that are a part of one.

A loss of DTensors is computed with the class axis (and the head) whole on each process, rows as they are spread: logits
that are split over classes are gathered. What cannot be right raises an error with the remedy:

    a plain tensor beside DTensors        it may be the whole, or this process's part
    a part of the classes                 its softmax would be over these classes alone, while labels count all of them

That second kind is known by its node in the graph, where it has one: `DTensor.to_local()`. A plain tensor that was made
without gradients is not told from any other.
"""

import sys
from typing import Any, TypeVar

import torch
from torch import Tensor

from crossentropy import _torch
from crossentropy._errors import ArgumentTypeError, ArgumentValueError

_Tensor = TypeVar("_Tensor", Tensor, Tensor | None)


def is_distributed(x: object) -> bool:
    """Whether a tensor is a DTensor."""
    return type(x) not in (Tensor, torch.nn.Parameter) and isinstance(x, Tensor) and hasattr(x, "device_mesh")


def replicated(x: _Tensor) -> _Tensor:
    """A tensor that is whole on each process."""
    return x if x is None else whole(x, *range(x.dim()))


def whole(x: _Tensor, *axes: int) -> _Tensor:
    """A tensor with these axes whole on each process, and no sum left to do."""
    if x is None or not is_distributed(x):
        return x
    from torch.distributed.tensor import DTensor, Replicate, Shard

    assert isinstance(x, DTensor)
    axes = tuple(axis % x.dim() for axis in axes)
    placements = [p if type(p) is Shard and p.dim % x.dim() not in axes else Replicate() for p in x.placements]
    return x if placements == list(x.placements) else x.redistribute(placements=placements)


def scalar(value: float, dtype: torch.dtype, like: Tensor) -> Tensor:
    """A number on the device of a tensor, and on its mesh if it has one."""
    if is_distributed(like):
        return like.new_full((), value, dtype=dtype)
    return torch.full((), value, dtype=dtype, device=like.device)


def check_together(**tensors: object) -> bool:
    """Whether tensors, given by their argument names, are DTensors: all of them, and on the same mesh, or none is."""
    given: dict[str, Any] = {name: x for name, x in tensors.items() if isinstance(x, Tensor)}
    spread = [name for name, x in given.items() if is_distributed(x)]
    if not spread:
        return False
    first = spread[0]
    for name, x in given.items():
        if name not in spread:
            raise ArgumentTypeError(
                f"{name} is a plain tensor beside {first}, a DTensor: is it the whole, or this process's part? — if it "
                f"is the whole, use distribute_tensor({name}, {first}.device_mesh, [Replicate()]); for a part, "
                f"DTensor.from_local({name}, {first}.device_mesh, [Shard(0)]). Or gather {first} with "
                f"{first}.full_tensor()"
            )
        if x.device_mesh != given[first].device_mesh:
            raise ArgumentValueError(
                f"{name} is on {x.device_mesh} and {first} on {given[first].device_mesh}: move it with "
                f"distribute_tensor({name}.full_tensor(), {first}.device_mesh, [Replicate()])"
            )
    return True


def element_by_element(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities and probabilities, DTensors both or neither, with all axes but the batch's whole."""
    check_together(input=input, target=target)
    check_log_probabilities(input)
    # DTensor's gather has no gradient that is cut along its axis, and log_softmax may come before
    return whole(input, *range(input.dim() > 1, input.dim())), whole(target, *range(target.dim() > 1, target.dim()))


# --- torch's loss_parallel ----------------------------------------------------------------------------------------


def check_log_probabilities(input: Tensor) -> None:
    """Inside torch's loss_parallel, log_softmax has no gradient of its own; torch's nll_loss has both."""
    if is_distributed(input) and input.requires_grad and _torch.in_loss_parallel():
        raise ArgumentValueError(
            "input is a DTensor inside torch's loss_parallel(), where the gradient of log_softmax is left to torch's "
            "own nll_loss — use cross_entropy(logits, target) of this package, or this outside loss_parallel(). (An "
            "error inside it leaves it switched on.)"
        )


# --- a part of the classes ----------------------------------------------------------------------------------------

_SAME_AXES = {
    f"{name}Backward0" for name in ("ToCopy", "Clone", "Alias", "Mul", "Div", "Add", "Sub", "Neg", "Tanh", "LogSoftmax")
}
_SAME_LAST_AXIS = {f"{name}Backward0" for name in ("View", "UnsafeView", "ReshapeAlias", "Index")}


def check_whole(name: str, x: Tensor, axis: int) -> None:
    """The classes along an axis are all there are."""
    total = of_which(x, axis)
    if total is not None:
        raise ArgumentValueError(
            f"{name} has {x.shape[axis]} classes, which are this process's part of {total}: it is the local part of a "
            f"DTensor (ColwiseParallel gives it by default), and labels count all classes. Gather it, with "
            f"ColwiseParallel(output_layouts=Replicate()) or full_tensor() for to_local(); or keep DTensors, with "
            f"use_local_output=False and distribute_tensor(target, mesh, [Replicate()])"
        )


def of_which(x: Tensor, axis: int) -> int | None:
    """How many entries a DTensor has along the axis of which `x` is this process's part, as far as the graph tells."""
    if torch.compiler.is_compiling() or "torch.distributed.tensor" not in sys.modules:  # a compiler shows no graph
        return None
    if type(x) not in (Tensor, torch.nn.Parameter):
        return None
    node: Any = x.grad_fn
    size, rank, at = x.shape[axis], x.dim(), axis % x.dim()
    while node is not None:
        kind = type(node).__name__
        if kind == "_ToTorchTensorBackward":
            spec = node.dtensor_spec
            total = spec.shape[at] if any(p.is_shard(at) for p in spec.placements) else size
            return None if total == size else int(total)
        if kind == "TransposeBackward0":
            axes = [_torch.saved(node, name) for name in ("dim0", "dim1")]
            if None in axes:
                return None
            pair = [_signed(axis) % rank for axis in axes]
            at = pair[1 - pair.index(at)] if at in pair else at
        elif kind == "PermuteBackward0":
            axes = _torch.saved(node, "dims")
            if axes is None:
                return None
            at = _signed(axes[at]) % rank
        elif kind in _SAME_LAST_AXIS:
            shape = _torch.saved(node, "self_sym_sizes")
            if shape is None or at != rank - 1 or shape[-1] != size:
                return None
            rank, at = len(shape), len(shape) - 1
        elif kind == "SliceBackward0":
            sliced, shape = _torch.saved(node, "dim"), _torch.saved(node, "self_sym_sizes")
            if sliced is None or shape is None:
                return None
            size = shape[at] if _signed(sliced) % rank == at else size
        elif kind not in _SAME_AXES:
            return None
        node = node.next_functions[0][0]
    return None


def _signed(axis: int) -> int:
    """An axis as autograd shows it: a negative one as an unsigned number."""
    return axis - 2**64 if axis >= 2**63 else axis


def hint() -> str:
    """What a label out of range may mean where there are several processes."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return ""
    return (
        ". If these are one process's part of the classes (a sharded vocabulary, as ColwiseParallel with "
        "use_local_output=True gives it), gather the logits, or keep them DTensors"
    )
