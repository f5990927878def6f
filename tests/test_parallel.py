"""Models that are spread over processes: sharded, replicated, in a pipeline, and losses of DTensors.

Two processes run all cases of `parallel_training` and `parallel_losses`, once, and four those of meshes of two
dimensions; each test here reads what became of one.
"""

import functools
import json
import traceback
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing

import parallel_losses
import parallel_training

pytestmark = pytest.mark.xdist_group("parallel")  # whose cases are run once, by two processes

CASES = {
    2: {**parallel_training.CASES, **parallel_losses.CASES},
    4: parallel_losses.CASES_OF_FOUR,
}
"""What so many processes run."""


def _run(rank: int, ranks: int, folder: str) -> None:
    """Run all cases of so many processes as one of them, and write what became of them."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # those of torch's own
    store = f"file://{folder}/store"
    patience = timedelta(seconds=120)  # with a process that fails where the other does not
    dist.init_process_group("gloo", store, patience, rank=rank, world_size=ranks)
    outcomes = {}
    for name, case in CASES[ranks].items():
        try:
            case()
            outcomes[name] = ""
        except Exception:
            outcomes[name] = traceback.format_exc()
        dist.barrier()
        Path(folder, f"{rank}.json").write_text(json.dumps(outcomes), "utf-8")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], list[dict[str, str]]]:
    @functools.cache
    def of(ranks: int) -> list[dict[str, str]]:
        folder = tmp_path_factory.mktemp("parallel")
        torch.multiprocessing.spawn(_run, (ranks, str(folder)), ranks)
        return [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in range(ranks)]

    return of


@pytest.mark.parametrize(("ranks", "name"), [(ranks, name) for ranks, cases in CASES.items() for name in cases])
def test_parallel(ranks: int, name: str, outcomes: Callable[[int], list[dict[str, str]]]) -> None:
    failures = [f"rank {rank}: {outcome[name]}" for rank, outcome in enumerate(outcomes(ranks)) if outcome[name]]
    assert not failures, "\n".join(failures)
