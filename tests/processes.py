"""Cases that several processes run together: each process runs all of them, and writes what became of each.

A case is a function of no arguments; a module has them by name, in `CASES`, or in `cases(ranks)` where there are others
for other numbers of processes. Whoever starts the processes names the module, because they are started afresh and
import it themselves.
"""

import importlib
import json
import traceback
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing

PATIENCE = timedelta(seconds=120)
"""With a process that fails where the others do not."""

Outcomes = list[dict[str, str]]
"""For each process and case, the traceback, or nothing."""


def begin(rank: int, ranks: int, folder: str, patience: timedelta = PATIENCE) -> None:
    """Be one of several processes."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # those of torch's own
    dist.init_process_group("gloo", f"file://{folder}/store", patience, rank=rank, world_size=ranks)


def _run(rank: int, ranks: int, folder: str, modules: tuple[str, ...]) -> None:
    begin(rank, ranks, folder)
    outcomes = {}
    for module in map(importlib.import_module, modules):
        cases = module.cases(ranks) if hasattr(module, "cases") else module.CASES
        for name, case in cases.items():
            try:
                case()
                outcomes[name] = ""
            except (Exception, pytest.fail.Exception):  # the latter, of pytest.raises, is no Exception
                outcomes[name] = traceback.format_exc()
            dist.barrier()
            Path(folder, f"{rank}.json").write_text(json.dumps(outcomes), "utf-8")
    dist.destroy_process_group()


def run(ranks: int, folder: Path, *modules: str) -> Outcomes:
    """Run all cases of some modules."""
    torch.multiprocessing.spawn(_run, (ranks, str(folder), modules), ranks)
    return [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in range(ranks)]


def assert_good(name: str, outcomes: Outcomes) -> None:
    """A case went well in all processes."""
    failures = [f"rank {rank}: {outcome[name]}" for rank, outcome in enumerate(outcomes) if outcome[name]]
    assert not failures, "\n".join(failures)
