"""Models that are spread over processes: sharded, replicated, in a pipeline, by classes, and losses of DTensors.

Two processes run all cases of `parallel_training`, `parallel_losses`, `parallel_heads` and `parallel_metrics` once,
four those of `parallel_meshes` and `parallel_models`; each test here reads what became of one.
"""

import pytest

import parallel_heads
import parallel_losses
import parallel_meshes
import parallel_metrics
import parallel_models
import parallel_training
import ranks

CASES = {**parallel_training.CASES, **parallel_losses.CASES, **parallel_heads.CASES, **parallel_metrics.CASES}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    modules = ("parallel_training", "parallel_losses", "parallel_heads", "parallel_metrics")
    return ranks.outcomes_of(modules, parallel_training.RANKS, tmp_path_factory.mktemp("parallel"))


@pytest.mark.parametrize("name", CASES)
def test_parallel(name: str, outcomes: list[dict[str, str]]) -> None:
    ranks.check(name, outcomes)


@pytest.fixture(scope="module")
def outcomes_of_four(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    modules = ("parallel_meshes", "parallel_models")
    return ranks.outcomes_of(modules, 4, tmp_path_factory.mktemp("four"))


@pytest.mark.parametrize("name", {**parallel_meshes.CASES, **parallel_models.CASES})
def test_parallel_of_four(name: str, outcomes_of_four: list[dict[str, str]]) -> None:
    ranks.check(name, outcomes_of_four)
