"""Models that are spread over processes: sharded, replicated, in a pipeline, and losses of DTensors.

Two processes run all cases of `parallel_training` and `parallel_losses`, once; each test here reads what became of one.
Four run those of `parallel_meshes`.
"""

import pytest

import parallel_losses
import parallel_meshes
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


@pytest.fixture(scope="module")
def outcomes_of_four(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    return ranks.outcomes_of(("parallel_meshes",), 4, tmp_path_factory.mktemp("meshes"))


@pytest.mark.parametrize("name", parallel_meshes.CASES)
def test_meshes(name: str, outcomes_of_four: list[dict[str, str]]) -> None:
    ranks.check(name, outcomes_of_four)
