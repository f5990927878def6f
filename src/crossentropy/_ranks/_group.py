"""The processes that share something, and what they tell each other.

    gather     (…)     → (W, …)    each rank's, in rank order: the same bits on all of them
    total      Σ over ranks        most, least    the elementwise extremes
    scatter    (W · n, …) → (n, …)    the rank's part of the sum over ranks

W ranks. A group of one has nobody to talk to: then nothing is sent, and torch.distributed need not be initialised.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from crossentropy import _torch
from crossentropy._errors import ArgumentTypeError, ArgumentValueError, kind_of

AnyGroup: TypeAlias = "dist.ProcessGroup | DeviceMesh | None"


class Group(NamedTuple):
    """A process group, as this process sees it."""

    processes: "dist.ProcessGroup | None"
    """None for one process alone."""
    size: int
    rank: int
    along: "tuple[Group, ...]" = ()
    """The groups that it consists of, if it is a grid of ranks, the outermost first."""

    @property
    def device(self) -> torch.device:
        """Where small tensors of its own are."""
        nccl = self.processes is not None and "nccl" in dist.get_backend(self.processes)
        return torch.device("cuda", torch.cuda.current_device()) if nccl else torch.device("cpu")

    def gather(self, x: Tensor) -> Tensor:
        """Of all ranks, in rank order."""
        if self.size == 1:
            return x.unsqueeze(0)
        if self.along:
            for group in reversed(self.along):
                x = group.gather(x)
            return x.flatten(0, len(self.along) - 1)
        out = x.new_empty(self.size * x.numel())
        _torch.all_gather(out, x.flatten(), group=self.processes)
        return out.view(self.size, *x.shape)

    def total(self, x: Tensor) -> Tensor:
        """The sum over ranks; of what is computed in place, the same tensor."""
        return self._reduced(x, dist.ReduceOp.SUM)

    def ordered_total(self, x: Tensor) -> Tensor:
        """The sum over ranks in their order: the same bits on all of them."""
        return self.gather(x).sum(0)

    def most(self, x: Tensor) -> Tensor:
        """The largest of all ranks, elementwise."""
        return self._reduced(x, dist.ReduceOp.MAX)

    def least(self, x: Tensor) -> Tensor:
        """The smallest of all ranks, elementwise."""
        return self._reduced(x, dist.ReduceOp.MIN)

    def start_total(self, x: Tensor, owner: int | None = None) -> "dist.Work | None":
        """Begin to sum a tensor over ranks, in place: for all of them, or for one, and the others' is lost."""
        if self.size == 1:
            return None
        if owner is not None:
            return dist.reduce(x, group=self.processes, group_dst=owner, async_op=True)
        if not self.along:
            return dist.all_reduce(x, group=self.processes, async_op=True)
        for processes in processes_of(self):  # one after the other, because each sums what the one before has summed
            dist.all_reduce(x, group=processes)
        return None

    def scatter(self, x: Tensor) -> Tensor:
        """The rank's part of the sum over ranks."""
        if self.size == 1:
            return x
        out = x.new_empty(x.numel() // self.size)
        _torch.reduce_scatter(out, x.flatten(), group=self.processes)
        return out.view(x.shape[0] // self.size, *x.shape[1:])

    def _reduced(self, x: Tensor, operation: "dist.ReduceOp.RedOpType") -> Tensor:
        if self.size == 1:
            return x
        out = x.clone(memory_format=torch.contiguous_format)
        for processes in processes_of(self):
            dist.all_reduce(out, operation, group=processes)
        return out


ALONE = Group(None, 1, 0)


def grid(along: "Sequence[Group]") -> Group:
    """The ranks along several dimensions of a mesh as one group; along the last the rank changes fastest."""
    if len(along) < 2:
        return along[0] if along else ALONE
    size, rank = 1, 0
    for group in along:
        size, rank = size * group.size, rank * group.size + group.rank
    return Group(along[-1].processes, size, rank, tuple(along))


def processes_of(group: Group) -> "list[dist.ProcessGroup]":
    """The process groups that a group consists of, the outermost first."""
    return [one.processes for one in group.along or (group,) if one.processes is not None]


def group_of(group: object, name: str = "group") -> Group:
    """The group that a caller means: a process group, a mesh of one dimension, or None for all processes."""
    if not dist.is_available() or not dist.is_initialized():
        if group is not None:
            raise ArgumentValueError(
                f"{name} is given and torch.distributed is not initialised — init_process_group does"
            )
        return ALONE
    if isinstance(group, DeviceMesh):
        if group.ndim != 1:
            names = group.mesh_dim_names or tuple(range(group.ndim))
            raise ArgumentValueError(
                f"{name} is a mesh of {group.ndim} dimensions, {names}: pass one of them, as in mesh[{names[0]!r}], or "
                "mesh.get_group(dimension)"
            )
        if group.get_coordinate() is None:
            raise ArgumentValueError(f"{name} is a mesh to which this process, rank {dist.get_rank()}, does not belong")
        group = group.get_group()
    if group is None:
        group = dist.group.WORLD
    if group is dist.GroupMember.NON_GROUP_MEMBER:  # what new_group gives to those that it leaves out
        raise ArgumentValueError(f"{name} is one to which this process, rank {dist.get_rank()} of all, does not belong")
    if not isinstance(group, dist.ProcessGroup):
        raise ArgumentTypeError(f"{name} is {kind_of(group)}, expected a ProcessGroup, a DeviceMesh or None")
    size, rank = dist.get_world_size(group), dist.get_rank(group)
    return ALONE if size == 1 else Group(group, size, rank)


def chunks(total: int, ranks: int) -> tuple[int, ...]:
    """Sizes of the parts into which torch.chunk cuts, empty ones at the end where it makes fewer."""
    each = -(-total // ranks)
    return tuple(max(0, min(each, total - i * each)) for i in range(ranks))
