"""Models that are spread over processes: sharded, replicated, in a pipeline, and losses of DTensors.

Two processes run all cases of `parallel_training` and `parallel_losses`, once; each test here reads what became of one.
"""

import json
import traceback
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing

import parallel_losses
import parallel_training

pytestmark = pytest.mark.xdist_group("parallel")  # whose cases are run once, by two processes

CASES = {**parallel_training.CASES, **parallel_losses.CASES}


def _run(rank: int, folder: str) -> None:
    """Run all cases as one of two processes, and write what became of them."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # those of torch's own
    store = f"file://{folder}/store"
    patience = timedelta(seconds=120)  # with a process that fails where the other does not
    dist.init_process_group("gloo", store, patience, rank=rank, world_size=parallel_training.RANKS)
    outcomes = {}
    for name, case in CASES.items():
        try:
            case()
            outcomes[name] = ""
        except Exception:
            outcomes[name] = traceback.format_exc()
        dist.barrier()
        Path(folder, f"{rank}.json").write_text(json.dumps(outcomes), "utf-8")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    folder = tmp_path_factory.mktemp("parallel")
    torch.multiprocessing.spawn(_run, (str(folder),), parallel_training.RANKS)
    return [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in range(parallel_training.RANKS)]


@pytest.mark.parametrize("name", CASES)
def test_parallel(name: str, outcomes: list[dict[str, str]]) -> None:
    failures = [f"rank {rank}: {outcome[name]}" for rank, outcome in enumerate(outcomes) if outcome[name]]
    assert not failures, "\n".join(failures)
