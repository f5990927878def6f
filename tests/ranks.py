"""Cases that several processes run together: started once, and what became of each on every rank.

A case is a function that all processes call at the same time. One that fails on a rank alone must not leave the others
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


def _run(rank: int, ranks: int, modules: Sequence[str], folder: str) -> None:
    """Run all cases of some modules as one of the processes, and write what became of them."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # those of torch's own
    dist.init_process_group("gloo", f"file://{folder}/store", PATIENCE, rank=rank, world_size=ranks)
    outcomes = {}
    for module in modules:
        for name, case in importlib.import_module(module).CASES.items():
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
    torch.multiprocessing.spawn(_run, (ranks, modules, str(folder)), ranks)
    return [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in range(ranks)]


def check(name: str, outcomes: list[dict[str, str]]) -> None:
    """A case passed on every rank."""
    failures = [f"rank {rank}: {outcome[name]}" for rank, outcome in enumerate(outcomes) if outcome[name]]
    assert not failures, "\n".join(failures)
