"""Losses of DTensors on a mesh of two dimensions, by four processes."""

import functools
import itertools

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Shard
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

import crossentropy.functional as F
from parallel_losses import (
    C,
    Case,
    D,
    R,
    close,
    compiled,
    mesh_of,
    mixed_placements,
    spread,
    tensors,
    what_is_sent,
    whole,
)
from sampling import EXHAUSTIVE


def head_of_fsdp_and_tensor_parallel() -> None:
    """Its classes are cut by both, the outer dimension within the inner one."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "classes"))
    torch.manual_seed(0)
    plain = torch.nn.Linear(D, 8, dtype=torch.float64)
    for n, placement in itertools.product((3, 50), (Shard(0), R)):
        model = torch.nn.Sequential(torch.nn.Linear(D, 8, dtype=torch.float64))
        model[0].load_state_dict(plain.state_dict())
        parallelize_module(model, mesh["classes"], {"0": ColwiseParallel()})
        fully_shard(model, mesh=mesh["data"])
        head, y = model[0], torch.arange(n) % 8
        hidden = tensors("h", n)["h"]
        exact = hidden.clone().requires_grad_()
        plain.zero_grad()
        loss = F.linear_cross_entropy(exact, plain.weight, y, linear_bias=plain.bias)
        loss.backward()
        h = spread(hidden, mesh, placement, R).requires_grad_()
        found = F.linear_cross_entropy(h, head.weight, y, linear_bias=head.bias)
        found.backward()
        close(whole(found), loss.detach())
        for x, y in ((h, exact), (head.weight, plain.weight), (head.bias, plain.bias)):
            assert x.grad.placements == x.placements
            close(whole(x.grad), y.grad)


def rows_of_sequences() -> None:
    """Rows (batch · time) of logits whose sequences are cut."""
    mesh = mesh_of((2, 2))
    z, y = torch.randn(4, 6, C, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), torch.arange(24) % C
    exact = z.clone().requires_grad_()
    F.cross_entropy(exact.view(-1, C), y).backward()
    for how in ([Shard(0), Shard(1)], [Shard(1), Shard(0)], [Shard(1), Shard(2)], [R, Shard(1)]):
        logits = spread(z, mesh, *how).requires_grad_()
        F.cross_entropy(logits.view(-1, C), y).backward()
        close(whole(logits.grad), exact.grad)
        assert logits.grad.placements == logits.placements


CASES: dict[str, Case] = {
    **dict(mixed_placements((2, 2), 4 if EXHAUSTIVE else 2)),
    **dict(what_is_sent((2, 2), ("NC", "CC", "DN"))),
    "head of FSDP and tensor parallel": head_of_fsdp_and_tensor_parallel,
    "rows of sequences": rows_of_sequences,
    "compiled": functools.partial(compiled, (Shard(0), Shard(1)), (Shard(1), Shard(1))),
}
