"""Tensors that are spread over processes: DTensors, and plain tensors that are a part of one.

What cannot be right raises an error with the remedy:

    a plain tensor beside DTensors        it is the whole where its shape says so: of labels, weights, a bias. Logits,
                                          hidden states and heads may have any shape, whole or this process's part
    a part of the classes                 its softmax would be over these classes alone, while labels count all of them

That second kind is known by its node in the graph, where it has one: `DTensor.to_local()`. A plain tensor that was made
without gradients is not told from any other.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from crossentropy import _torch
from crossentropy._errors import ArgumentTypeError, ArgumentValueError


def is_distributed(x: object) -> bool:
    """Whether a tensor is a DTensor."""
    return type(x) not in (Tensor, torch.nn.Parameter) and isinstance(x, Tensor) and hasattr(x, "device_mesh")


def replicated(x: Tensor) -> Tensor:
    """The same tensor, whole on each process if it is a DTensor, and with no sum left to do."""
    if not is_distributed(x):
        return x
    from torch.distributed.tensor import DTensor, Replicate

    assert isinstance(x, DTensor)
    return x.redistribute(placements=[Replicate()] * x.device_mesh.ndim)


def together(tensors: Mapping[str, Tensor], whole: Mapping[str, Sequence[torch.Size]]) -> dict[str, Any]:
    """Tensors by their argument names, all DTensors on one mesh if one is; plain ones of their `whole` shape join."""
    given: dict[str, Any] = dict(tensors)
    first = next((name for name, x in given.items() if is_distributed(x)), None)
    if first is None:
        return given
    mesh = given[first].device_mesh
    for name, x in given.items():
        if not is_distributed(x):
            given[name] = _on_mesh(name, x, whole.get(name), first, mesh)
        elif x.device_mesh != mesh:
            raise ArgumentValueError(
                f"{name} is on {x.device_mesh} and {first} on {mesh}: move it with "
                f"distribute_tensor({name}.full_tensor(), {first}.device_mesh, [Replicate()])"
            )
    return given


def _on_mesh(name: str, x: Tensor, whole: Sequence[torch.Size] | None, first: str, mesh: Any) -> Tensor:  # noqa: ANN401 (a DeviceMesh)
    """A plain tensor as a DTensor that is whole on each process, beside the `first` DTensor."""
    from torch.distributed.tensor import DTensor, Replicate

    part = f"for a part, DTensor.from_local({name}, {first}.device_mesh, [Shard(0)])"
    if whole is None:
        raise ArgumentTypeError(
            f"{name} is a plain tensor beside {first}, a DTensor: is it the whole, or this process's part? — if it is "
            f"the whole, use distribute_tensor({name}, {first}.device_mesh, [Replicate()]); {part}. Or gather "
            f"{first} with {first}.full_tensor()"
        )
    if x.shape not in whole:
        shapes = " or ".join(str(tuple(shape)) for shape in whole)
        raise ArgumentValueError(
            f"{name} is a plain tensor of shape {tuple(x.shape)} beside {first}, a DTensor: expected the whole, "
            f"{shapes}; {part}"
        )
    return DTensor.from_local(x, mesh, [Replicate()] * mesh.ndim, run_check=False)


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
            f"use_local_output=False and distribute_tensor(target, mesh, [Replicate()]); or pass the part to "
            f"crossentropy.distributed.vocab_parallel_cross_entropy"
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
        "use_local_output=True gives it), crossentropy.distributed.vocab_parallel_cross_entropy takes them; or keep "
        "them DTensors"
    )
