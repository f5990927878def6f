"""What does a loss over ranks cost: collectives, bytes and time, forward and backward? See README.md for the protocol.

    python ranks.py --ranks 2             gloo on a CPU; with --device cuda nccl, one GPU a rank

A vocabulary of 32,000 classes, an even part on each rank, float32; 1024 rows of given logits, or hidden states of 768
features and a head. Contenders take turns in the same processes; a time is the median over rounds, of the slowest rank.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.parallel import loss_parallel
from torch.utils._python_dispatch import TorchDispatchMode

from crossentropy import _benchmark
from crossentropy import distributed as ours

ROWS, FEATURES, CLASSES = 1024, 768, 32_000
Step = Callable[[], Any]


class Watch(TorchDispatchMode):
    """Counts collectives, and the bytes that this rank gives to them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.bytes = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if DTensor in types:
            return NotImplemented  # whose operators on local tensors come here next
        name = func.__name__
        if func.namespace in ("c10d", "_c10d_functional") and "wait" not in name:
            given = args[1] if name.lstrip("_").startswith("allgather") else args[0]
            self.calls += 1
            self.bytes += sum(x.nbytes for x in (given if isinstance(given, (list, tuple)) else [given]))
        return func(*args, **(kwargs or {}))


# --- contenders ---------------------------------------------------------------------------------------------------


class _Sum(torch.autograd.Function):
    """Sum over ranks, of which each knows the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class _Copy(torch.autograd.Function):
    """The same on all ranks, whose gradients are summed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous()
        dist.all_reduce(gradient)
        return gradient


def three_reductions(z: Tensor, y: Tensor, begin: int) -> Tensor:
    """The largest, the label's logit and the sum of exponentials, each reduced by itself, as in Megatron-LM."""
    top = z.detach().amax(1)
    dist.all_reduce(top, dist.ReduceOp.MAX)
    z = z - top.unsqueeze(1)
    inside = (y >= begin) & (y < begin + z.shape[1])
    picked = z.gather(1, (y - begin).clamp(0, z.shape[1] - 1).unsqueeze(1)).squeeze(1)
    picked = _Sum.apply(torch.where(inside, picked, 0.0))
    total = _Sum.apply(z.exp().sum(1))
    return (total.log() - picked).mean()  # pyright: ignore[reportAttributeAccessIssue]


def gathered(z: Tensor, y: Tensor) -> Tensor:
    """All logits on every rank."""
    parts = [torch.empty_like(z) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, z.detach())
    parts[dist.get_rank()] = z
    return F.cross_entropy(torch.cat(parts, 1), y)


def torchs(z: Tensor, y: Tensor, mesh: DeviceMesh) -> None:
    """Torch's loss_parallel, forward and backward."""
    with loss_parallel():
        logits = DTensor.from_local(z, mesh, [Shard(1)], run_check=False)
        target = DTensor.from_local(y, mesh, [Replicate()], run_check=False)
        F.cross_entropy(logits, target).backward()


def steps(kind: str, mesh: DeviceMesh) -> dict[str, Step]:
    """One pass of each contender."""
    ranks, rank, device = dist.get_world_size(), dist.get_rank(), mesh.device_type
    generator = torch.Generator().manual_seed(0)
    classes = CLASSES // ranks
    begin = rank * classes
    y = torch.randint(0, CLASSES, (ROWS,), generator=generator).to(device)
    place: dict[str, Any] = {"vocab_start": begin, "num_classes": CLASSES}
    if kind == "logits":
        z = torch.randn(ROWS, classes, generator=generator).to(device).requires_grad_()
        leaves = [z]
        runs: dict[str, Step] = {
            "crossentropy": lambda: ours.vocab_parallel_cross_entropy(z, y, **place).backward(),
            "torch's loss_parallel": lambda: torchs(z, y, mesh),
            "three reductions": lambda: three_reductions(z, y, begin).backward(),
            "full logits": lambda: gathered(z, y).backward(),
        }
    else:
        h = torch.randn(ROWS, FEATURES, generator=generator).to(device).requires_grad_()
        w = (torch.randn(classes, FEATURES, generator=generator) / FEATURES**0.5).to(device).requires_grad_()
        leaves = [h, w]

        def copied() -> Tensor:
            hidden: Any = _Copy.apply(h)
            return hidden @ w.T

        runs = {
            "crossentropy": lambda: ours.vocab_parallel_linear_cross_entropy(h, w, y, **place).backward(),
            "torch's loss_parallel": lambda: torchs(copied(), y, mesh),
            "three reductions": lambda: three_reductions(copied(), y, begin).backward(),
            "full logits": lambda: gathered(copied(), y).backward(),
        }
    return {name: _fresh(run, leaves) for name, run in runs.items()}


def _fresh(run: Step, leaves: list[Tensor]) -> Step:
    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        run()

    return step


# --- measuring ----------------------------------------------------------------------------------------------------


def measure(kind: str, mesh: DeviceMesh, repeat: int) -> dict[str, dict[str, float]]:
    """Median seconds of the slowest rank, collectives and bytes of each contender, in turns."""
    found: dict[str, dict[str, float]] = {}
    runs = steps(kind, mesh)
    for name, run in runs.items():
        run()
        with Watch() as watch:
            run()
        found[name] = {"collectives": watch.calls, "bytes": watch.bytes}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeat):
        for name, run in runs.items():
            run()
            times[name].append(_slowest(run, mesh.device_type))
    for name, taken in times.items():
        found[name]["milliseconds"] = 1e3 * statistics.median(taken)
    return found


def _slowest(run: Step, device: str) -> float:
    dist.barrier()
    began = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    taken = torch.tensor(time.perf_counter() - began, device=device)
    dist.all_reduce(taken, dist.ReduceOp.MAX)
    return float(taken)


def work(rank: int, ranks: int, device: str, repeat: int, folder: str) -> None:
    """One rank."""
    torch.set_num_threads(max(1, torch.get_num_threads() // ranks))
    backend = "nccl" if device == "cuda" else "gloo"
    if device == "cuda":
        torch.cuda.set_device(rank)
    dist.init_process_group(backend, f"file://{folder}/store", rank=rank, world_size=ranks)
    mesh = init_device_mesh(device, (ranks,))
    found = {kind: measure(kind, mesh, repeat) for kind in ("logits", "head")}
    if rank == 0:
        Path(folder, "found.json").write_text(json.dumps(found), "utf-8")
    dist.destroy_process_group()


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=2, metavar="W")
    parser.add_argument("--repeat", type=int, default=9, metavar="N", help="rounds (default: 9)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to store results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        arguments = (options.ranks, options.device, options.repeat, folder)
        mp.spawn(  # pyright: ignore[reportPrivateImportUsage]
            work, arguments, options.ranks
        )
        found = json.loads(Path(folder, "found.json").read_text("utf-8"))
    for kind, results in found.items():
        print(f"{kind}: {ROWS} rows, {CLASSES} classes on {options.ranks} ranks")
        base = results["torch's loss_parallel"]["milliseconds"]
        for name, result in results.items():
            print(
                f"  {name:24}{result['milliseconds']:10.2f} ms {result['milliseconds'] / base:8.2f}"
                f"{result['collectives']:6d} collectives {result['bytes']:14,d} bytes"
            )
    if options.out is not None:
        stored = {**_benchmark.machine(), "ranks": options.ranks, "results": found}
        options.out.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
