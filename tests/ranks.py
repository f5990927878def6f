"""Cases that several processes run together: started once, and what became of each on every rank.

A case is a function that all processes call at the same time; a module has them by name, in `CASES`, or in
`cases(ranks)` where other numbers of processes have others. One that fails on a rank alone must not leave the others
waiting for more than the group's timeout.
"""

import importlib
import json
import traceback
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing

PATIENCE = timedelta(seconds=120)
"""With a process that fails where the others do not."""

METHOD = "forkserver"
"""Processes begin as copies of one that has loaded what they need, which takes each of them a second and a half."""
torch.multiprocessing.get_context(METHOD).set_forkserver_preload(
    ["torch.distributed.fsdp", "torch.distributed.pipelining", "torch.distributed.tensor.parallel", "pytest"]
)


def begin(rank: int, ranks: int, folder: str, patience: timedelta = PATIENCE) -> None:
    """Be one of several processes."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # those of torch's own
    dist.init_process_group("gloo", f"file://{folder}/store", patience, rank=rank, world_size=ranks)


def _run(rank: int, ranks: int, modules: Sequence[str], folder: str) -> None:
    """Run all cases of some modules as one of the processes, and write what became of them."""
    begin(rank, ranks, folder)
    outcomes = {}
    for module in map(importlib.import_module, modules):
        cases = module.cases(ranks) if hasattr(module, "cases") else module.CASES
        for name, case in cases.items():
            try:
                case()
                outcomes[name] = ""
            except BaseException:  # pytest's failures are no exceptions
                outcomes[name] = traceback.format_exc()
            dist.barrier()
            Path(folder, f"{rank}.json").write_text(json.dumps(outcomes), "utf-8")
    dist.destroy_process_group()


def outcomes_of(modules: Sequence[str], ranks: int, folder: Path) -> list[dict[str, str]]:
    """For each rank, by the name of a case, the traceback of its failure or nothing."""
    torch.multiprocessing.start_processes(_run, (ranks, modules, str(folder)), ranks, start_method=METHOD)
    return [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in range(ranks)]


def check(name: str, outcomes: list[dict[str, str]]) -> None:
    """A case passed on every rank."""
    failures = [f"rank {rank}: {outcome[name]}" for rank, outcome in enumerate(outcomes) if outcome[name]]
    assert not failures, "\n".join(failures)
