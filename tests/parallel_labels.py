"""What is counted and shifted before a loss, by several processes: as one process does it that has all labels.

Each function is a case, which all processes run; `test_parallel_runs.py` starts them.
"""

import functools
import re
from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard

import crossentropy
from crossentropy.distributed import shift_labels, token_denominator

Case = Callable[[], None]
CLASSES = 7
EXACT = 2.0**-45
"""Float64 rounds by 2^-53, and sums here have fewer than 2^8 terms."""


def labels_of(rank: int) -> list[Tensor]:
    """Micro-batches of one rank: as many as its number, of unlike size, with ignored labels; rank 0 has none."""
    generator = torch.Generator().manual_seed(rank)
    return [torch.randint(-1, CLASSES, (2 + i, 3), generator=generator) for i in range(rank)]


def weights_of(rank: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(100 + rank)
    return [torch.rand(2 + i, 3, generator=generator) for i in range(rank)]


CLASS_WEIGHT = torch.rand(CLASSES, generator=torch.Generator().manual_seed(7)) + 0.5


def count(labels: Tensor, weight: Tensor | None, t: Tensor | None) -> float:
    """One label after the other."""
    total = 0.0
    for position, label in enumerate(labels.flatten().tolist()):
        if label != -1:
            n = 1.0 if weight is None else float(weight[label])
            total += n if t is None else n * float(t.flatten()[position])
    return total


def counted(weighted: bool, by_row: bool, averaged: bool) -> None:
    rank, ranks = dist.get_rank(), dist.get_world_size()
    weight = CLASS_WEIGHT if weighted else None
    exact = 0.0
    for other in range(ranks):
        t_of = weights_of(other) if by_row else [None] * other
        exact += sum(count(labels, weight, t) for labels, t in zip(labels_of(other), t_of))
    found = token_denominator(
        labels_of(rank), weight=weight, token_weight=weights_of(rank) if by_row else None, ignore_index=-1,
        averaged=averaged,
    )  # fmt: skip
    assert found.shape == ()
    assert float(found) == pytest.approx(exact / (ranks if averaged else 1), rel=EXACT)


def counted_in_a_part() -> None:
    """Of the ranks of a mesh's dimension; the others have a sum of their own."""
    mesh = init_device_mesh("cpu", (2, dist.get_world_size() // 2), mesh_dim_names=("pp", "dp"))
    mine = torch.full((1 + dist.get_rank(),), 3, dtype=torch.uint8)
    others = mesh["dp"].mesh.tolist()
    for group in (mesh["dp"], mesh.get_group("dp")):
        assert float(token_denominator(mine, group=group, averaged=False)) == sum(1 + other for other in others)


def not_counted() -> None:
    """A rank whose labels are wrong raises; the denominator of the others is nan, and the next one is right again."""
    last = dist.get_rank() == dist.get_world_size() - 1
    wrong = torch.rand(2, 3) if last else torch.tensor([1, 2])
    if last:
        with pytest.raises(crossentropy.ArgumentTypeError, match="expected class indices"):
            token_denominator(wrong)
    else:
        assert token_denominator(wrong).isnan()
    assert float(token_denominator(torch.tensor([1]), averaged=False)) == dist.get_world_size()


# --- the next labels ----------------------------------------------------------------------------------------------


def shifted_whole(labels: Tensor, dim: int, ignore_index: int = -100) -> Tensor:
    end = torch.full_like(labels.narrow(dim, 0, 1), ignore_index)
    return torch.cat([labels.narrow(dim, 1, labels.shape[dim] - 1), end], dim)


def contiguous() -> None:
    """Parts of any length, empty ones in any place."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    for lengths in ([3] * 4, [5, 1, 2, 4], [0, 3, 0, 2], [4, 0, 0, 1], [2, 0, 0, 0], [0, 0, 0, 0]):
        parts = lengths[:ranks]
        whole = torch.arange(2 * sum(parts) * 3).view(2, sum(parts), 3)
        for dim in (1, -2):
            mine = whole.split(parts, 1)[rank]
            expected = shifted_whole(whole, 1).split(parts, 1)[rank] if sum(parts) else mine
            found = shift_labels(mine, dim=dim)
            assert torch.equal(found, expected), (parts, found, expected)


def balanced() -> None:
    rank, ranks = dist.get_rank(), dist.get_world_size()
    for each in (1, 3):
        whole = torch.arange(2 * 2 * ranks * each).view(2, -1)
        pieces, expected = whole.chunk(2 * ranks, 1), shifted_whole(whole, 1).chunk(2 * ranks, 1)
        mine = (rank, 2 * ranks - 1 - rank)
        found = shift_labels(torch.cat([pieces[i] for i in mine], 1), layout="balanced")
        assert torch.equal(found, torch.cat([expected[i] for i in mine], 1))
    empty = torch.zeros(2, 0, dtype=torch.int64)
    assert torch.equal(shift_labels(empty, layout="balanced"), empty)


def of_any_dtype() -> None:
    rank = dist.get_rank()
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16):
        for ignored in (-100, 100):
            found = shift_labels(torch.tensor([2 * rank, 2 * rank + 1], dtype=dtype), ignore_index=ignored)
            last = rank == dist.get_world_size() - 1
            assert found.tolist() == [2 * rank + 1, ignored if last else 2 * rank + 2]
            assert found.dtype == (dtype if torch.iinfo(dtype).min <= ignored else torch.int64)


def same_error(error: type[Exception], words: str, *arguments: object, **keywords: object) -> None:
    """Every rank raises the same, and the group stays usable."""
    with pytest.raises(error, match=re.escape(words)) as raised:
        shift_labels(*arguments, **keywords)  # pyright: ignore[reportArgumentType]
    messages: list[str] = [""] * dist.get_world_size()
    dist.all_gather_object(messages, str(raised.value))
    assert len(set(messages)) == 1, messages
    rank, last = dist.get_rank(), dist.get_rank() == dist.get_world_size() - 1
    assert shift_labels(torch.tensor([rank])).tolist() == [-100 if last else rank + 1]


def not_shifted() -> None:
    first, last = dist.get_rank() == 0, dist.get_rank() == dist.get_world_size() - 1
    good, value, kind = torch.zeros(2, 4, dtype=torch.int64), ValueError, TypeError
    same_error(value, "expected one even number on all", good[:, :3], layout="balanced")
    same_error(value, "expected one even number on all", good[:, :2] if last else good, layout="balanced")
    same_error(value, "layout is 'zigzag'", good, layout="zigzag" if first else "balanced")
    same_error(value, "disagree on layout", good, layout="balanced" if first else "contiguous")
    same_error(value, "disagree on the shape of labels beside the sequence", good[:1] if last else good)
    same_error(value, "disagree on the dtype of labels", good.int() if last else good)
    same_error(value, "disagree on ignore_index", good, ignore_index=-1 if last else -100)
    same_error(kind, "on rank 0", good.float() if first else good)
    same_error(IndexError, "expected an axis of labels", good, dim=2)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    same_error(kind, "labels is a DTensor", DTensor.from_local(good, mesh, [Shard(1)]))


def cases(ranks: int) -> dict[str, Case]:
    found: dict[str, Case] = {
        f"counted, weight {weighted}, token_weight {by_row}, averaged {averaged}": functools.partial(
            counted, weighted, by_row, averaged
        )
        for weighted in (False, True)
        for by_row in (False, True)
        for averaged in (False, True)
    }
    if ranks % 2 == 0:
        found["counted in a part"] = counted_in_a_part
    more = (not_counted, contiguous, balanced, of_any_dtype, not_shifted)
    return {**found, **{case.__name__: case for case in more}}
