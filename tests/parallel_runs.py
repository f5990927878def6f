"""Whole training runs by several processes: parameters after 20 steps are those of one process with all of the data.

A small Llama learns batches whose sequences are of any length, so that ranks and micro-batches have unlike numbers of
tokens; in some steps one has none. Each function is a case, which all processes run, in float64 and in bfloat16;
`test_parallel_runs.py` starts 2, 3 and 4 of them.

float64     to rounding, parameter by parameter, relative to how far it moved. The one process computes the loss by
            torch's own function
bfloat16    all parameters together: no further from float64 than twice what the one process is
"""

import functools
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as torch_functional
from torch import Tensor, nn
from torch.distributed._functional_collectives import all_gather_tensor_autograd
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.pipelining import PipelineStage, ScheduleGPipe
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

import crossentropy
import crossentropy.distributed as D
import crossentropy.functional as F
import ranks

Case = Callable[[], None]
Parameters = dict[str, Tensor]
LossOf = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From hidden states, the head and labels."""

STEPS, BATCH, LENGTH = 20, 12, 24
VOCABULARY, WIDTH, HEADS = 61, 16, 2
SMOOTHING = 0.1


# --- the model ----------------------------------------------------------------------------------------------------


def rotated(x: Tensor, positions: Tensor) -> Tensor:
    """Rotary embedding of (…, S, D) at positions (S,)."""
    half = x.shape[-1] // 2
    angles = positions[:, None] * 100.0 ** (-torch.arange(half) / half)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.split(half, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Block(nn.Module):
    """Causal attention, over the keys of all ranks if the sequence is spread, and a gated layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.RMSNorm(WIDTH, eps=1e-6) for _ in range(2))
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.down = nn.Linear(2 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor, positions: Tensor, spread: bool) -> Tensor:
        q, k, v = self.qkv(self.norms[0](x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        q, k, past = rotated(q, positions), rotated(k, positions), positions
        if spread:  # the order of keys is that of their positions, which travel with them
            everyone = dist.group.WORLD
            k, v = all_gather_tensor_autograd(torch.stack([k, v]).contiguous(), 3, everyone).unbind(0)
            past = all_gather_tensor_autograd(positions.contiguous(), 0, everyone)
        seen = past[None, :] <= positions[:, None]
        mixed = torch_functional.scaled_dot_product_attention(q, k, v, seen)
        x = x + self.out(mixed.transpose(1, 2).flatten(-2))
        gate, value = self.up(self.norms[1](x)).chunk(2, -1)
        return x + self.down(torch_functional.silu(gate) * value)


class Llama(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.norm = nn.RMSNorm(WIDTH, eps=1e-6)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(
        self, tokens: Tensor, labels: Tensor, loss: LossOf, positions: Tensor | None = None, *, spread: bool = False
    ) -> Tensor:
        positions = torch.arange(tokens.shape[1]) if positions is None else positions
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, positions, spread)
        return loss(self.norm(x), self.head.weight, labels)


def make(dtype: torch.dtype) -> Llama:
    """The model, begun at numbers of bfloat16 in any dtype."""
    torch.manual_seed(0)
    return Llama().bfloat16().to(dtype)


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    """Tokens of each step, and the labels of these tokens, not shifted."""
    generator = torch.Generator().manual_seed(1)
    for step in range(STEPS):
        tokens = torch.randint(VOCABULARY, (BATCH, LENGTH), generator=generator)
        tokens[:, 1:] = torch.where(tokens[:, 1:] % 3 > 0, (2 * tokens[:, :-1] + 1) % VOCABULARY, tokens[:, 1:])
        lengths = torch.randint(2, LENGTH + 1, (BATCH, 1), generator=generator)
        lengths[: step % 5] = 0  # more or fewer of the first sequences have no label
        yield tokens, tokens.masked_fill(torch.arange(LENGTH) >= lengths, -100)


def following(labels: Tensor) -> Tensor:
    """The next labels, of whole sequences."""
    return torch_functional.pad(labels[:, 1:], (0, 1), value=-100)


def train(model: nn.Module, step: Callable[[Tensor, Tensor], object]) -> Parameters:
    """Take all steps, each of which leaves gradients: the parameters then. In bfloat16 they are copies of float32."""
    masters = {p: p.detach().to(torch.promote_types(p.dtype, torch.float32)) for p in model.parameters()}
    optimizer = torch.optim.SGD(masters.values(), 0.2, momentum=0.9)
    for tokens, labels in batches():
        step(tokens, labels)
        for p, master in masters.items():
            master.grad, p.grad = None if p.grad is None else p.grad.to(master.dtype), None
        optimizer.step()
        with torch.no_grad():
            for p, master in masters.items():
                p.copy_(master)
    named = {name.removeprefix("module."): masters[p] for name, p in model.named_parameters()}
    return {name: master.full_tensor() if isinstance(master, DTensor) else master for name, master in named.items()}


# --- what must come out -------------------------------------------------------------------------------------------


@functools.cache
def one_process(dtype: torch.dtype) -> tuple[Parameters, list[float]]:
    """The parameters after all steps, and the loss of each."""
    model, losses = make(dtype), []

    def loss_of(hidden: Tensor, head: Tensor, labels: Tensor) -> Tensor:
        if dtype != torch.float64:
            return F.linear_cross_entropy(hidden, head, labels, label_smoothing=SMOOTHING)
        logits = (hidden @ head.T).flatten(0, 1)
        return torch_functional.cross_entropy(logits, labels.flatten(), label_smoothing=SMOOTHING)

    def step(tokens: Tensor, labels: Tensor) -> None:
        loss = model(tokens, following(labels), loss_of)
        loss.backward()
        losses.append(float(loss))

    return train(model, step), losses


ROUNDING = 1e-10
"""Float64 rounds by 1e-16; a sum has fewer than 1e3 terms, and 20 steps enlarge a difference by less than 1e3."""


def assert_same(found: Parameters, dtype: torch.dtype) -> None:
    """Parameters, or some of them, are those of one process, relative to how far these moved."""
    exact, rounded = one_process(torch.float64)[0], one_process(dtype)[0]
    start = dict(make(torch.float64).named_parameters())
    assert found

    def off(parameters: Parameters, name: str) -> Tensor:
        assert (exact[name] - start[name]).norm() > 0.01, name
        return (parameters[name].double() - exact[name]).flatten()

    if dtype == torch.float64:
        for name in found:
            difference = float(off(found, name).norm() / (exact[name] - start[name]).norm())
            assert difference <= ROUNDING, f"{name} moved otherwise: {difference:.1e} of the way"
    else:  # ranks add two roundings to the ten or so on the way of each gradient, and there are thousands of those
        mine, others = (float(torch.cat([off(x, name) for name in found]).norm()) for x in (found, rounded))
        assert 0 < mine <= 2 * others, f"{mine / others:.2f} times as far from float64 as one process"


def assert_same_losses(found: list[float]) -> None:
    exact = torch.tensor(one_process(torch.float64)[1])
    torch.testing.assert_close(torch.tensor(found), exact, rtol=ROUNDING, atol=0.0)


def size() -> int:
    return dist.get_world_size()


def cut(total: int, ranks: int, rank: int) -> slice:
    """This rank's part, of unlike size: 5 and 7 of 12, 3 and 4 and 5, 2 and 2 and 3 and 5."""
    ends = [round(total * (i / ranks) ** 1.2) for i in range(ranks + 1)]
    return slice(ends[rank], ends[rank + 1])


def summed(parameters: list[nn.Parameter], mesh: DeviceMesh | None = None) -> None:
    """Sum gradients over ranks, by hand."""
    gradients = [p.grad for p in parameters]
    together = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(together, group=None if mesh is None else mesh.get_group())
    for gradient, whole in zip(gradients, together.split([gradient.numel() for gradient in gradients])):
        gradient.copy_(whole.view_as(gradient))


# --- data ---------------------------------------------------------------------------------------------------------


def mean_of(denominator: Tensor) -> LossOf:
    return functools.partial(F.linear_cross_entropy, label_smoothing=SMOOTHING, denominator=denominator)


def data_parallel(dtype: torch.dtype) -> None:
    """Ranks with unlike numbers of sequences."""
    model, losses = DistributedDataParallel(make(dtype)), []
    mine = cut(BATCH, size(), dist.get_rank())

    def step(tokens: Tensor, labels: Tensor) -> None:
        labels = following(labels)[mine]
        loss = model(tokens[mine], labels, mean_of(D.token_denominator(labels)))
        loss.backward()
        mean = loss.detach().double() / size()
        dist.all_reduce(mean)
        losses.append(float(mean))

    assert_same(train(model, step), dtype)
    if dtype == torch.float64:
        assert_same_losses(losses)


def means_of_their_own(dtype: torch.dtype) -> None:
    """Without a denominator it is another run: what all others here would be, if they had none."""
    model = DistributedDataParallel(make(dtype))
    mine, loss = (
        cut(BATCH, size(), dist.get_rank()),
        functools.partial(F.linear_cross_entropy, label_smoothing=SMOOTHING),
    )
    found = train(model, lambda tokens, labels: model(tokens[mine], following(labels)[mine], loss).backward())
    with pytest.raises(AssertionError, match="moved otherwise"):
        assert_same(found, dtype)


def accumulated(dtype: torch.dtype) -> None:
    """Ranks with unlike numbers of micro-batches, which are of unlike size."""
    model = DistributedDataParallel(make(dtype))
    mine = cut(BATCH, size(), dist.get_rank())

    def step(tokens: Tensor, labels: Tensor) -> None:
        pieces = list(zip(tokens[mine].split(2), following(labels)[mine].split(2)))
        denominator = D.token_denominator([piece[1] for piece in pieces])
        with model.no_sync():
            for piece in pieces[:-1]:
                model(*piece, mean_of(denominator)).backward()
        model(*pieces[-1], mean_of(denominator)).backward()

    assert_same(train(model, step), dtype)


def fully_sharded(dtype: torch.dtype) -> None:
    model = make(dtype)
    for part in (*model.blocks, model):
        fully_shard(part, mesh=init_device_mesh("cpu", (size(),)))
    mine = cut(BATCH, size(), dist.get_rank())

    def step(tokens: Tensor, labels: Tensor) -> None:
        labels = following(labels)[mine]
        model(tokens[mine], labels, mean_of(D.token_denominator(labels))).backward()

    assert_same(train(model, step), dtype)


# --- vocabulary ---------------------------------------------------------------------------------------------------


def with_part_of_head(dtype: torch.dtype, part: slice) -> Llama:
    model = make(dtype)
    model.head.weight = nn.Parameter(model.head.weight.detach()[part].clone())
    return model


def with_whole_head(found: Parameters) -> Parameters:
    parts: list[Any] = [None] * size()
    dist.all_gather_object(parts, found["head.weight"])
    return {**found, "head.weight": torch.cat(parts)}


def tensor_parallel(dtype: torch.dtype, before_step: Callable[[], None] = lambda: None) -> None:
    """The head is cut as torch.chunk does it, and all else is the same on all ranks, without a word about it."""
    each = -(-VOCABULARY // size())
    begin = each * dist.get_rank()
    model = with_part_of_head(dtype, slice(begin, begin + each))
    loss = functools.partial(
        D.vocab_parallel_linear_cross_entropy, label_smoothing=SMOOTHING, vocab_start=begin, num_classes=VOCABULARY
    )

    def step(tokens: Tensor, labels: Tensor) -> None:
        before_step()
        model(tokens, following(labels), loss).backward()

    assert_same(with_whole_head(train(model, step)), dtype)


def sequence_parallel(dtype: torch.dtype) -> None:
    """Each rank has its part of the sequence up to the head, of which it has a part of unlike size."""
    model = with_part_of_head(dtype, cut(VOCABULARY, size(), dist.get_rank()))
    loss = functools.partial(D.vocab_parallel_linear_cross_entropy, label_smoothing=SMOOTHING, sequence_dim=1)
    positions = torch.arange(LENGTH).chunk(size())[dist.get_rank()]

    def step(tokens: Tensor, labels: Tensor) -> None:
        model(tokens[:, positions], following(labels), loss, positions, spread=True).backward()
        summed([p for p in model.parameters() if p is not model.head.weight])

    assert_same(with_whole_head(train(model, step)), dtype)


def fully_sharded_vocabulary(dtype: torch.dtype) -> None:
    """FSDP2 over one dimension of a mesh, and the head over the other as well."""
    mesh = init_device_mesh("cpu", (size() // 2, 2), mesh_dim_names=("dp", "tp"))
    model = make(dtype)
    parallelize_module(model, mesh["tp"], {"head": ColwiseParallel()})
    for part in (*model.blocks, model):
        fully_shard(part, mesh=mesh["dp"])
    mine = cut(BATCH, mesh["dp"].size(), mesh["dp"].get_local_rank())

    def step(tokens: Tensor, labels: Tensor) -> None:
        labels = following(labels)[mine]
        denominator = D.token_denominator(labels, group=mesh["dp"])

        def loss(hidden: Tensor, head: Any, y: Tensor) -> Tensor:
            return D.vocab_parallel_linear_cross_entropy(
                hidden, head.to_local(), y, group=mesh["tp"], label_smoothing=SMOOTHING, denominator=denominator
            )

        model(tokens[mine], labels, loss).backward()

    assert_same(train(model, step), dtype)


# --- sequence -----------------------------------------------------------------------------------------------------


def context_parallel(layout: str, dtype: torch.dtype) -> None:
    model = DistributedDataParallel(make(dtype))
    rank, pieces = dist.get_rank(), torch.arange(LENGTH).chunk(2 * size())
    wanted = (2 * rank, 2 * rank + 1) if layout == "contiguous" else (rank, 2 * size() - 1 - rank)
    positions = torch.cat([pieces[i] for i in wanted])

    def step(tokens: Tensor, labels: Tensor) -> None:
        mine = D.shift_labels(labels[:, positions], layout=layout)
        assert torch.equal(mine, following(labels)[:, positions])
        loss = mean_of(D.token_denominator(mine))
        model(tokens[:, positions], mine, loss, positions, spread=True).backward()

    assert_same(train(model, step), dtype)


# --- layers -------------------------------------------------------------------------------------------------------


class First(nn.Module):
    def __init__(self, model: Llama) -> None:
        super().__init__()
        self.embedding, self.block = model.embedding, model.blocks[0]

    def forward(self, tokens: Tensor) -> Tensor:
        return self.block(self.embedding(tokens), torch.arange(tokens.shape[1]), False)


class Last(nn.Module):
    def __init__(self, model: Llama) -> None:
        super().__init__()
        self.block, self.norm, self.head = model.blocks[1], model.norm, model.head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.block(x, torch.arange(x.shape[1]), False)))


def pipeline(dtype: torch.dtype) -> None:
    """Two stages, each on as many ranks as there are; two micro-batches, of unlike numbers of tokens."""
    mesh = init_device_mesh("cpu", (2, size() // 2), mesh_dim_names=("pp", "dp"))
    model, data = crossentropy.fuse(make(dtype)), mesh["dp"]
    number = mesh["pp"].get_local_rank()
    part = Last(model) if number else First(model)
    denominator = torch.ones(())

    def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
        rows = logits.flatten(0, 1)
        return F.cross_entropy(rows, labels.flatten(), label_smoothing=SMOOTHING, denominator=denominator)

    stage = PipelineStage(part, number, 2, torch.device("cpu"), group=mesh["pp"].get_group())
    schedule = ScheduleGPipe(stage, n_microbatches=2, loss_fn=loss_of, scale_grads=False)

    def step(tokens: Tensor, labels: Tensor) -> None:
        nonlocal denominator
        tokens, labels = (x.chunk(data.size())[data.get_local_rank()] for x in (tokens, following(labels)))
        if number:
            denominator = D.token_denominator(labels, group=data, averaged=False)
            schedule.step(target=labels)
        else:
            schedule.step(tokens)
        summed(list(part.parameters()), data)

    names, found = {id(p): name for name, p in model.named_parameters()}, train(part, step)
    assert_same({names[id(p)]: found[name] for name, p in part.named_parameters()}, dtype)


# --- one that does not come back ----------------------------------------------------------------------------------


def interrupted(rank: int, folder: str, signal_to_self: int) -> None:
    """As one of three processes, train; the second sends itself a signal in the tenth step."""
    ranks.begin(rank, 3, folder, PATIENCE)
    steps = itertools.count(1)

    def before_step() -> None:
        if next(steps) == 10 and rank == 1:
            Path(folder, "when").write_text(str(time.time()), "utf-8")
            os.kill(os.getpid(), signal_to_self)

    try:
        tensor_parallel(torch.float64, before_step)
    except RuntimeError as error:
        began = float(Path(folder, "when").read_text("utf-8"))
        Path(folder, f"{rank}.json").write_text(json.dumps([str(error), time.time() - began]), "utf-8")
    os._exit(0)  # the store may be gone with the process that keeps it


PATIENCE = timedelta(seconds=5)
"""Of the processes that wait for one that does not come back."""


# --- all of them --------------------------------------------------------------------------------------------------

RUNS: dict[str, Callable[[torch.dtype], None]] = {
    "DDP": data_parallel,
    "DDP, accumulated": accumulated,
    "FSDP2": fully_sharded,
    "TP": tensor_parallel,
    "sequence parallel": sequence_parallel,
    "CP, contiguous": functools.partial(context_parallel, "contiguous"),
    "CP, balanced": functools.partial(context_parallel, "balanced"),
}
EVEN: dict[str, Callable[[torch.dtype], None]] = {"FSDP2 × TP": fully_sharded_vocabulary, "pipeline": pipeline}
"""Those that want an even number of ranks."""


def cases(ranks: int) -> dict[str, Case]:
    """All runs that so many ranks can do; in bfloat16 by 2 of them, and those that want a mesh by 4."""
    runs = {**RUNS, **(EVEN if ranks % 2 == 0 else {})}
    exact = {f"{name}, float64": functools.partial(run, torch.float64) for name, run in runs.items()}
    rounded = runs if ranks == 2 else EVEN if ranks == 4 else {}
    if ranks > 1:
        exact["DDP, each its own mean"] = functools.partial(means_of_their_own, torch.float64)
    return {**exact, **{f"{name}, bfloat16": functools.partial(run, torch.bfloat16) for name, run in rounded.items()}}
