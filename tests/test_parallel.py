"""Models that are spread over processes: sharded, replicated, in a pipeline, and losses of DTensors.

Two processes run all cases of `parallel_training` and `parallel_losses`, once; each test here reads what became of one.
"""

import pytest

import parallel_losses
import parallel_training
import ranks

pytestmark = pytest.mark.xdist_group("parallel")  # whose cases are run once, by two processes

CASES = {**parallel_training.CASES, **parallel_losses.CASES}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    modules = ("parallel_training", "parallel_losses")
    return ranks.outcomes_of(modules, parallel_training.RANKS, tmp_path_factory.mktemp("parallel"))


@pytest.mark.parametrize("name", CASES)
def test_parallel(name: str, outcomes: list[dict[str, str]]) -> None:
    ranks.check(name, outcomes)
