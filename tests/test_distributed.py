"""Vocabulary-parallel losses, by one to four processes; a test reads what became of a case of `parallel_vocabulary`."""

import pytest

import parallel_vocabulary
import ranks

pytestmark = pytest.mark.xdist_group("distributed")  # whose cases are run once for each number of processes


@pytest.fixture(scope="module", params=[1, 2, 3, 4])
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    return ranks.outcomes_of(("parallel_vocabulary",), request.param, tmp_path_factory.mktemp("distributed"))


@pytest.mark.parametrize("name", parallel_vocabulary.CASES)
def test_distributed(name: str, outcomes: list[dict[str, str]]) -> None:
    ranks.check(name, outcomes)
