"""Vocabulary-parallel losses, by one to four processes; a test reads what became of a case of `parallel_vocabulary`."""

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

import crossentropy.distributed as D
import parallel_vocabulary
import ranks
from crossentropy._ranks import _call, _hidden, _operator
from crossentropy._ranks._group import Group
from sampling import some


@pytest.fixture(scope="module", params=some([1, 2, 3, 4], 2))
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    return ranks.outcomes_of(("parallel_vocabulary",), request.param, tmp_path_factory.mktemp("distributed"))


@pytest.mark.parametrize("name", parallel_vocabulary.CASES)
def test_distributed(name: str, outcomes: list[dict[str, str]]) -> None:
    ranks.check(name, outcomes)


def test_a_sum_begins_as_soon_as_its_rows_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the products of later rows; of a sequence each piece is for the rank whose rows it is."""
    monkeypatch.setattr(_hidden, "BUCKET", 4 * 5 * 2)  # two rows
    monkeypatch.setattr(_hidden, "SMALLEST", 1)
    begun: list[tuple[int, int | None]] = []

    class Recorded(Group):
        def start_total(self, x: Tensor, owner: int | None = None) -> None:
            begun.append((len(x), owner))

    for spread, expected in (
        (None, [(2, None), (2, None), (2, None), (1, None)]),
        (_hidden.Spread(0, 7), [(2, 0), (2, 0), (2, 1), (1, 1)]),
    ):
        begun.clear()
        total = _hidden.Total(torch.zeros(7, 5), Recorded(None, 2, 0), None, spread)
        collector = total.collector()
        collector.filled(3)
        assert begun == expected[:1]
        collector.filled(4)
        assert begun == expected[:2]
        assert total.finish().shape == ((7, 5) if spread is None else (4, 5))
        assert begun == expected


LOSSES: dict[str, Callable[..., object]] = {
    "dense": lambda h, w, y: D.vocab_parallel_cross_entropy(h @ w.T, y, label_smoothing=0.1, z_loss=0.1),
    "probabilities": lambda h, w, y: D.vocab_parallel_cross_entropy(h @ w.T, torch.full((4, 7), 1 / 7)),
    "linear": lambda h, w, y: D.vocab_parallel_linear_cross_entropy(h, w, y, softcap=3.0),
    "sequence": lambda h, w, y: D.vocab_parallel_linear_cross_entropy(h, w, y.repeat(2), sequence_dim=0),
    "statistics": lambda h, w, y: D.vocab_parallel_token_statistics(h, y, linear_weight=w).entropy,
    "distillation": lambda h, w, y: D.vocab_parallel_linear_kl_div(h, w, 2 * h, w),
}


@pytest.fixture
def two_processes() -> Iterator[None]:
    """A group of two, of which one is here; messages are echoes of its own."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("two_processes")
@pytest.mark.parametrize("name", LOSSES)
def test_the_operators_for_compilers_are_what_torch_expects(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's own check of schema, fake tensors, autograd and AOT dispatch."""
    calls: list[tuple[object, ...]] = []
    operator = _operator._forward

    def recorded(tensors: list[Tensor], *others: object) -> list[Tensor]:
        leaves = [x.detach().requires_grad_(x.requires_grad) for x in tensors]
        calls.append((leaves, *others))
        return operator(tensors, *others)

    monkeypatch.setattr(_operator, "_forward", recorded)
    monkeypatch.setattr(_call, "tracing", lambda: True)  # someone looks for operators
    h, w = torch.randn(4, 3, requires_grad=True), torch.randn(7, 3, requires_grad=True)
    LOSSES[name](h, w, torch.tensor([0, 6, -100, 3]))
    assert len(calls) == 1
    torch.library.opcheck(operator, calls[0])  # pyright: ignore[reportArgumentType]
