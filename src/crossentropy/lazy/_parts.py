"""Heads of which each rank has a part of the classes, as `ColwiseParallel` spreads them over a mesh of one dimension.

    z_r = h W_rᵀ + b_r (N, V_r)      h (N, D) on every rank · W_r (V_r, D), b_r (V_r) · V classes, cut as by torch.chunk

What leaves such a head is a DTensor of all logits (N, V), or its local part z_r. Lazy logits stand for either: they
hold this rank's tensors, and remember of which whole these are a part. A loss of them is that of all classes, computed
over the ranks; what else looks at them gets what torch gives, without a word to the others.

The gradient of a rank's h is its part of a sum, which DTensor reduces: once, and to where h came from.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from crossentropy._ranks._group import chunks
from crossentropy._sharding import is_distributed


@dataclass(frozen=True)
class Part:
    """The classes [begin, begin + own) of all."""

    mesh: Any
    classes: int
    """V, on all ranks."""
    begin: int
    own: int
    """V_r."""
    spread: bool = True
    """Whether the logits are seen as a DTensor of all classes; else as the local part of one."""

    @property
    def seen(self) -> int:
        """How many classes the logits have."""
        return self.classes if self.spread else self.own

    def local(self) -> "Part":
        """The same, as the local part of a DTensor."""
        return replace(self, spread=False)

    def shown(self, z: Tensor) -> Tensor:
        """Logits (…, V_r) of this rank as torch gives them."""
        from torch.distributed.tensor import DTensor, Shard

        whole = torch.empty((*z.shape[:-1], self.classes), device="meta")
        placements = [Shard(z.dim() - 1)]
        x = DTensor.from_local(z, self.mesh, placements, run_check=False, shape=whole.shape, stride=whole.stride())
        return x if self.spread else x.to_local()

    def placements(self, class_dim: int) -> tuple[Any, ...]:
        """Those of the logits as a DTensor."""
        from torch.distributed.tensor import Shard

        return (Shard(class_dim),)

    def shared(self, x: Any) -> Any:
        """What all ranks have the same, as a plain tensor."""
        from torch.distributed.tensor import Replicate

        return x.redistribute(placements=[Replicate()]).to_local() if is_distributed(x) else x

    def own_of(self, x: Any) -> Tensor:
        """This rank's part of what has a number for each class (…, C)."""
        from torch.distributed.tensor import Shard

        if is_distributed(x):
            return x.redistribute(placements=[Shard(x.dim() - 1)]).to_local()
        return x.narrow(-1, self.begin, self.own) if self.spread else x

    def everywhere(self, x: Tensor) -> Tensor:
        """A result that is the same on all ranks, in the form of the logits."""
        from torch.distributed.tensor import DTensor, Replicate

        return DTensor.from_local(x, self.mesh, [Replicate()], run_check=False) if self.spread else x

    def is_elsewhere(self, x: object) -> bool:
        """Whether a tensor is a DTensor of another mesh."""
        return is_distributed(x) and x.device_mesh != self.mesh  # pyright: ignore[reportAttributeAccessIssue]


def part_of(head: Any, input: Tensor) -> Part | None:
    """The part of a head that this rank has; None where it is spread in another way, or not at all."""
    tensors: list[Any] = [x for x in (head.weight, head.bias, input) if x is not None]
    if not all(map(is_distributed, tensors)):
        return None
    from torch.distributed.tensor import Replicate, Shard

    mesh, classes = tensors[0].device_mesh, len(head.weight)
    wanted = [(Shard(0),)] * (len(tensors) - 1) + [(Replicate(),)]
    if any((tuple(x.placements), x.device_mesh) != (placements, mesh) for x, placements in zip(tensors, wanted)):
        return None
    sizes, rank = chunks(classes, mesh.size()), mesh.get_local_rank()
    if not all(sizes):
        return None  # there are ranks without classes
    return Part(mesh, classes, sum(sizes[:rank]), sizes[rank])


class _HiddenStates(torch.autograd.Function):
    """A rank's hidden states, whose gradient is its part of a sum."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Tensor:
        ctx.mesh, ctx.shape, ctx.stride = x.device_mesh, x.shape, x.stride()
        local = x.to_local()
        return (local.wait() if hasattr(local, "wait") else local).view_as(local)  # which may still be on its way

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        from torch.distributed.tensor import DTensor, Partial

        return DTensor.from_local(
            gradients[0], ctx.mesh, [Partial()], run_check=False, shape=ctx.shape, stride=ctx.stride
        )


def local_tensors(head: Any, input: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Hidden states, head and bias of this rank."""
    weight: Any = head.weight
    bias: Any = head.bias
    hidden = _HiddenStates.apply(input)
    assert isinstance(hidden, Tensor)
    return hidden, weight.to_local(), None if bias is None else bias.to_local()
