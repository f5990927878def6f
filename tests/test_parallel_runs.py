"""By 2, 3 and 4 processes: training runs are those of one, labels are counted and shifted as those of one.

Where a process is killed, the others end.
"""

import json
import signal
from pathlib import Path

import pytest
import torch.multiprocessing

import parallel_labels
import parallel_runs
import ranks

MODULES = (parallel_runs, parallel_labels)
CASES = [(count, name) for count in (2, 3, 4) for module in MODULES for name in module.cases(count)]
Started = dict[int, list[dict[str, str]]]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Started:
    """What became of the cases, by the number of processes."""
    modules = [module.__name__ for module in MODULES]
    return {count: ranks.outcomes_of(modules, count, tmp_path_factory.mktemp("runs")) for count in (2, 3, 4)}


@pytest.mark.parametrize(("count", "name"), CASES)
def test_several_processes_do_what_one_does(count: int, name: str, started: Started) -> None:
    ranks.check(name, started[count])


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])
def test_no_process_waits_forever_for_another(name: str, tmp_path: Path) -> None:
    """Where one dies the others end at once with an error, and where one is stuck, when their patience does."""
    context = torch.multiprocessing.get_context(ranks.METHOD)
    number = getattr(signal, name)
    started = [
        context.Process(target=parallel_runs.interrupted, args=(rank, str(tmp_path), number)) for rank in range(3)
    ]
    for process in started:
        process.start()
    try:
        for rank in (0, 2):
            started[rank].join(60)
            assert started[rank].exitcode == 0
            error, seconds = json.loads((tmp_path / f"{rank}.json").read_text("utf-8"))
            assert error
            patience = 0.0 if name == "SIGKILL" else parallel_runs.PATIENCE.total_seconds()
            assert patience - 1 <= seconds <= patience + 20  # on a machine that does other things too
    finally:
        for process in started:
            process.kill()
            process.join()
    assert started[1].exitcode == -signal.SIGKILL
