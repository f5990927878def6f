"""The chunked backend's promises: accuracy at any number of chunks, memory within the budget, every option on it."""

import ctypes
import itertools
import math
import platform
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as TF
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import crossentropy.functional as F
from crossentropy import Options, _loss, _planner, _tiny
from crossentropy import _statistics as statistics
from crossentropy._backends.chunked import _linear, _memory
from crossentropy._logspace import log_softmax
from crossentropy._planner import CPU, H200, Plan, Workload, plan
from crossentropy._statistics import RowStatistics
from crossentropy.testing import assert_accurate, hostile_logits, peak_bytes
from sampling import some

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def in_chunks(count: int, rows: int, row_bytes: int) -> Options:
    """Options that cut `rows` into about `count` chunks."""
    return Options(backend="chunked", memory_budget=max(1, rows * row_bytes // count))


# --- statistics ---------------------------------------------------------------------------------------------------


def measured(z: Tensor, label: Tensor, weights: Tensor, begin: int, end: int) -> RowStatistics:
    """Statistics of the classes begin … end, by their definitions; the label's class apart."""
    part, w = z[:, begin:end], weights[begin:end]
    maximum = part.amax(1).clamp(min=statistics.lowest(z.dtype))
    inside = (label >= begin) & (label < end)
    index = (label - begin).clamp(0, end - begin - 1)[:, None]
    apart = torch.where(inside, part.gather(1, index)[:, 0], -torch.inf)
    d = part - maximum[:, None]
    others = d.exp().scatter(1, index, torch.where(inside[:, None], 0.0, d.exp().gather(1, index))).sum(1)
    energy = (d.exp() * d.clamp(min=-1000)).sum(1)
    return RowStatistics(maximum, others, apart, (w * d).sum(1), w.sum().expand(len(z)), energy=energy)


def measured_at_top(z: Tensor, label: Tensor, weights: Tensor, begin: int, end: int) -> RowStatistics:
    """The same, with the largest class apart."""
    part, w = z[:, begin:end], weights[begin:end]
    row = measured(z, part.argmax(1) + begin, weights, begin, end)
    inside = (label >= begin) & (label < end)
    target = part.gather(1, (label - begin).clamp(0, end - begin - 1)[:, None])[:, 0].masked_fill(~inside, -torch.inf)
    top = part.argmax(1)
    return row._replace(elsewhere=w.sum() - w[top], top=top + begin, target=target)


@pytest.mark.parametrize("apart", [measured, measured_at_top])
@given(
    first=st.integers(1, 8),
    second=st.integers(1, 8),
    kind=st.sampled_from(["ordinary", "flat", "peaked", "tiny", "one-hot"]),
)
def test_statistics_of_disjoint_classes_merge(apart: Callable, first: int, second: int, kind: str) -> None:
    z = hostile_logits(5, 10, torch.float64)[kind]
    label, weights = torch.tensor([0, 9, 4, 1, 0]), torch.rand(10, dtype=torch.float64)
    a, b = sorted((min(first, 9), min(first + second, 9)))
    cuts = [0, a, b, 10] if a < b else [0, a, 10]
    parts = [apart(z, label, weights, i, j) for i, j in itertools.pairwise(cuts)]
    whole = apart(z, label, weights, 0, 10)
    merged = parts[0]
    for part in parts[1:]:
        merged = statistics.merge(merged, part)
    for actual, expected in zip(merged, whole):
        assert (actual is None) == (expected is None)
        torch.testing.assert_close(actual, expected)
    assert_accurate(statistics.logsumexp(merged), z.logsumexp(1), roundings=64)
    exact = -torch.log_softmax(z, 1).gather(1, (label if whole.top is None else whole.top)[:, None])[:, 0]
    torch.testing.assert_close(statistics.information(merged), exact)
    p = z.softmax(1)
    torch.testing.assert_close(statistics.entropy(merged), torch.special.entr(p).sum(1))


def test_classes_that_are_all_masked_merge() -> None:
    masked = RowStatistics(torch.tensor([statistics.lowest(torch.float32)]), torch.zeros(1), torch.tensor([-torch.inf]))
    row = RowStatistics(torch.tensor([2.0]), torch.tensor([1.5]), torch.tensor([1.0]))
    for a, b in ((masked, row), (row, masked)):
        torch.testing.assert_close(tuple(statistics.merge(a, b)[:3]), tuple(row[:3]))
    assert statistics.logsumexp(statistics.merge(masked, masked)).item() == -torch.inf


# --- plans --------------------------------------------------------------------------------------------------------


HEADS = st.builds(
    Workload,
    rows=st.integers(0, 5000),
    classes=st.integers(1, 200_000),
    dtype=st.sampled_from(DTYPES[:3]),
    positions=st.integers(1, 3),
    features=st.integers(1, 5000),
    head_dtype=st.sampled_from(DTYPES),
    input_gradient=st.booleans(),
    head_gradient=st.booleans(),
    scratch=st.integers(0, 3),
    converted=st.booleans(),
)


@given(HEADS, st.one_of(st.none(), st.integers(1, 10**9)), st.one_of(st.none(), st.integers(1, 500)))
def test_plans_keep_the_budget(work: Workload, budget: int | None, most_rows: int | None) -> None:
    chosen = plan(work, budget, most_rows)
    assert chosen == plan(work, budget, most_rows)
    assert 0 <= chosen.chunk <= max(work.rows, 0)
    assert most_rows is None or chosen.chunk <= most_rows
    assert chosen.chunk >= min(work.rows, 1)
    assert 1 <= chosen.block <= work.classes
    smallest = chosen.strategy != "classes" and (chosen.chunk <= 1 or chosen.block <= 16)
    hidden = work.rows * work.features * work.dtype.itemsize * work.converted  # a copy beside the budget
    assert smallest or chosen.workspace <= (budget or CPU.budget) + hidden
    if chosen.strategy == "rows, then classes":
        assert work.head_gradient
        assert work.head_dtype != work.dtype or work.dtype == torch.bfloat16
    assert chosen.strategy in str(chosen)
    assert chosen.to_dict()["strategy"] == chosen.strategy


def test_what_a_plan_of_a_language_model_says() -> None:
    work = Workload(
        rows=4096, classes=128_256, dtype=torch.bfloat16, features=4096, input_gradient=True, head_gradient=True
    )
    product = 2 * 4096 * 128_256 * 4096
    assert plan(work).flops == 4 * product
    assert plan(work, 2 * 10**9).flops == 3 * product  # one chunk
    assert plan(work).workspace <= CPU.budget
    assert plan(work, most_rows=100).chunk <= 100


def test_plans_by_hand() -> None:
    rows, classes, features = 4096, 32_000, 768
    product, head, hidden = 2 * rows * classes * features, classes * features, rows * features

    def of(dtype: torch.dtype = torch.float32, gradients: bool = True, budget: int | None = None, **more: Any) -> Plan:
        settings = {"features": features, "input_gradient": gradients, "head_gradient": gradients, **more}
        return plan(Workload(rows, classes, dtype, **settings), budget)

    # tiles of 2 MB in place; a row has 128 kB of logits, of which 524 fit 64 MiB: 8 chunks of 512 rows, or 32 · 16
    assert of() == Plan(
        "rows", 1 << 19, 512, 512, 512 * 128_000, 4 * (hidden + head), 3 * product,
        "the head's gradient accumulates in float32",
    )  # fmt: skip
    kept = rows * 64  # their statistics
    # a block has 16 kB of logits for each class, in 8 MB; the head is read once
    assert of(gradients=False) == Plan(
        "statistics",
        1 << 19,
        512,
        512,
        (512 << 14) + kept,
        0,
        product,
        "blocks of classes merge; the head is read once",
    )
    alone = of(head_gradient=False)
    assert (alone.strategy, alone.gradients, alone.flops) == ("rows", 4 * hidden, 2 * product)
    assert of(input_gradient=False).gradients == 4 * head
    assert of(input_gradient=False).flops == 2 * product
    # a tile in float32 beside the logits; 64 kB a row, 1015 of them: 5 chunks of 820 rows, or 52 · 16
    half = of(torch.bfloat16)
    assert half == Plan(
        "rows, then classes", 1 << 19, 832, 1024, 832 * 64_000 + (1 << 21), 2 * (hidden + head), 4 * product,
        "a head in bfloat16 gets each entry of its gradient from one product, rounded once",
    )  # fmt: skip
    assert not of().second_sweep
    assert half.second_sweep
    # room for few rows: each chunk would read the head, so blocks of classes are made twice, for half the budget
    few = of(budget=47 * 128_000)
    assert few == Plan(
        "classes", 376_000, 32, 183, (183 << 14) + kept, 4 * (hidden + head), 4 * product,
        "chunks of few rows would read the head too often"
    )  # fmt: skip
    assert of(budget=47 * 128_000, head_gradient=False).flops == 3 * product
    assert of(torch.bfloat16, budget=47 * 64_000).strategy == "rows, then classes"  # no room for a gradient in float32
    assert of(budget=48 * 128_000).strategy == "rows"
    assert of(budget=128_000).strategy == "rows"  # nor for blocks of 16 classes
    assert of(budget=128_000, gradients=False).strategy == "rows"
    assert of(budget=47 * 128_000, merges=False).strategy == "rows"
    # with room for all rows there is one chunk, and no second sweep
    assert of(torch.bfloat16, budget=10**9).strategy == "rows"
    assert of(torch.bfloat16, budget=10**9).reason == "one chunk"
    # a head in another dtype is converted: 1/8 of the logits more, and the features of a row or class
    converted = of(torch.float32, head_dtype=torch.float16, converted=True)
    row, column = classes * 4 * 9 // 8 + features * 4, rows * 4 * 9 // 8 + features * 4
    assert converted.chunk == 416  # 64 MiB hold 448 rows and a multiple of 16: 10 chunks of 410, or 26 · 16
    assert converted.block == (8 << 20) // column
    assert converted.workspace == 416 * row + rows * features * 4
    assert converted.gradients == 4 * hidden + 2 * head
    # in one chunk its gradient is one product too, which is rounded once
    assert of(torch.float32, head_dtype=torch.float16, converted=True, budget=10**9).strategy == "rows"
    # three tiles of scratch leave a quarter of the budget for each, and are paid for
    assert of(scratch=3, budget=16_000_000).tile == 250_000
    assert of(scratch=3, budget=16_000_000).workspace == of(scratch=3, budget=16_000_000).chunk * 128_000 + 3_000_000
    assert str(of(scratch=3, budget=16_000_000)) == (
        "rows: tiles of 250,000 logits, chunks of 96 rows, blocks of 396 classes\n"
        "workspace 15.3 MB, gradients 110.9 MB, products 604.0 GFLOP\nthe head's gradient accumulates in float32"
    )
    read = of(head_dtype=torch.float16, converted=True, gradients=False)
    assert read.workspace == read.block * column + rows * features * 4 + kept
    # accelerators: room for 4096 rows, tiles of 64 MB, blocks of half the budget
    far = of(machine=H200)
    assert (far.tile, far.chunk, far.block, far.workspace) == (1 << 24, 4096, 16_000, 4096 * 128_000)
    assert of(machine=H200, budget=10**9 // 4).chunk == 1024  # 250 MB less a tile hold 1428 rows
    # positions: classes of a head, rows of given logits
    assert of(positions=2).chunk == 256  # 262 fit, and 16 · 16 of them are a multiple
    assert of(positions=2).block == 256


def test_a_converted_head_is_rounded_once_in_any_number_of_chunks() -> None:
    """float16 on a CPU, whose products are in float32: each entry is off by half an ulp, and by what float32 sums."""
    generator = torch.Generator().manual_seed(0)
    h, w = torch.randn(40, 24, generator=generator).half(), torch.randn(300, 24, generator=generator).half()
    y = torch.randint(300, (40,), generator=generator)
    exact = [x.double().requires_grad_() for x in (h, w)]
    expected = torch.autograd.grad(F.linear_cross_entropy(*exact, y, reduction="sum"), exact)
    for budget in (None, 30_000):
        ours = [x.clone().requires_grad_() for x in (h, w)]
        loss = F.linear_cross_entropy(*ours, y, reduction="sum", options=Options(memory_budget=budget))
        for a, b in zip(torch.autograd.grad(loss, ours), expected):
            torch.testing.assert_close(a.double(), b, rtol=2**-11, atol=2**-24 + 1e-6)


def test_plans_of_accelerators() -> None:
    """A head in half precision collects its gradient in its own dtype in two chunks, and in float32 in more."""
    classes, features, row, tile = 128_256, 4096, 2 * 128_256, 1 << 26  # and a tile in float32 beside the logits
    buffer, product = 4 * classes * features, 2 * features * classes

    def of(rows: int, budget: int | None = None, **more: Any) -> Plan:
        settings = {"features": features, "input_gradient": True, "head_gradient": True, "machine": H200, **more}
        return plan(Workload(rows, classes, torch.bfloat16, **settings), budget)

    def summary(of: Plan) -> tuple[str, int, int, bool, int]:
        return of.strategy, of.chunk, of.workspace, of.widens, of.flops

    assert summary(of(4096)) == ("rows", 4096, 4096 * row + tile, False, 3 * 4096 * product)
    assert of(4096).reason == "one chunk"
    assert summary(of(6000)) == ("rows", 3072, 3072 * row + tile, False, 3 * 6000 * product)
    assert summary(of(8192)) == ("rows", 4096, 4096 * row + tile, False, 3 * 8192 * product)
    assert of(8192).reason == "the head's gradient accumulates in bfloat16"
    assert summary(of(9000)) == ("rows", 3072, 3072 * row + tile + buffer, True, 3 * 9000 * product)
    assert of(9000).reason == "the head's gradient accumulates in float32"
    # a given budget holds the buffer too; where it is not there, there are two sweeps
    many = 30_000
    assert summary(of(many, 3 * 10**9)) == ("rows", 3072, 3072 * row + tile + buffer, True, 3 * many * product)
    assert summary(of(9000, 2 * 10**9)) == ("rows", 5120, 5120 * row + tile, False, 3 * 9000 * product)
    assert summary(of(many, 2 * 10**9)) == ("rows, then classes", 6144, 6144 * row + tile, False, 4 * many * product)
    # the gradient of a float32 head, multiplied in bfloat16 under autocast, is its own buffer
    mixed = of(9000, head_dtype=torch.float32, converted=True)
    assert (mixed.widens, mixed.chunk) == (True, 3072)
    assert mixed.workspace == 3072 * (9 * row // 8 + 2 * features) + tile


def test_a_gradient_that_is_collected_in_float32_is_rounded_once() -> None:
    """Logits of 0: G is an integer of seven bits times 2^-15, and sums are exact in float32, but not in bfloat16."""
    n, d, v = 256, 8, 128
    generator = torch.Generator().manual_seed(0)
    h, w, y = torch.zeros(n, 2 * d), torch.zeros(v, 2 * d), torch.randint(0, 2, (n,), generator=generator)
    h[:, :d] = torch.randint(1, 9, (n, d), generator=generator)
    w[:, d:] = torch.randint(-8, 9, (v, d), generator=generator)
    leaf = w.bfloat16().requires_grad_()
    exact = ((1 / v - TF.one_hot(y, v).double()) / n).T @ h.double()
    wrong = []
    for widens in (True, False):
        machine = replace(
            H200, budget=16_000, tile=2_000, tile_across=2_000, rows=1, even=4, halves=1 if widens else 999
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_planner, "CPU", machine)
            patch.setattr(_tiny, "MOST", 0)
            patch.setattr(_loss, "cpu_multiplies", lambda dtype: True)
            (found,) = torch.autograd.grad(F.linear_cross_entropy(h.bfloat16(), leaf, y), leaf)
        wrong.append(int((found != exact.bfloat16()).sum()))
    assert wrong[0] == 0 < wrong[1]


@pytest.mark.parametrize("adds", [True, False], ids=["addmm", "torch without"])
def test_products_to_float32_are_set_and_added(adds: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch has them on CUDA, and where what is added to must be of the factors' dtype."""

    def mm(a: Tensor, b: Tensor, out_dtype: torch.dtype, out: Tensor | None = None) -> Tensor:
        product = a.to(out_dtype).matmul(b.to(out_dtype))
        return product if out is None else out.copy_(product)

    def addmm(c: Tensor, a: Tensor, b: Tensor, out_dtype: torch.dtype, out: Tensor) -> Tensor:
        if not adds:
            raise RuntimeError("self and mat2 must have the same dtype, but got Float and BFloat16")
        return out.copy_(c + mm(a, b, out_dtype))

    for name, function in (("mm", mm), ("addmm", addmm)):
        monkeypatch.setattr(torch, name, function)
    monkeypatch.setattr(Tensor, "is_cuda", True)
    a, b, out = torch.randn(2, 20, 6).bfloat16(), torch.randn(2, 6, 5).bfloat16(), torch.full((20, 5), torch.nan)
    for i in range(2):
        _linear._collect_widened(out, a[i], b[i], 8, first=i == 0)
    # each entry is a sum of twelve products that float32 holds exactly
    torch.testing.assert_close(out.double(), (a.double() @ b.double()).sum(0), rtol=0, atol=12 * 2**-24 * 20)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("positions", [1, 2])
def test_a_gradient_that_is_collected_in_float32_is_that_of_the_loss(dtype: torch.dtype, positions: int) -> None:
    """As accelerators do it, here with a machine that is like them."""
    generator = torch.Generator().manual_seed(0)
    h, w = torch.randn(64, 8, generator=generator), torch.randn(50, positions, 8, generator=generator)
    y = torch.randint(0, 50, (64, positions), generator=generator)
    h, w, y = h.to(dtype), w.to(dtype).squeeze(1), y.squeeze(1)
    machine = replace(H200, budget=3_000, tile=1_000, tile_across=1_000, rows=1, even=4)
    leaves, exact = ([x.detach().to(d).requires_grad_() for x in (h, w)] for d in (dtype, torch.float64))
    seen: list[Plan] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_planner, "CPU", machine)
        patch.setattr(_tiny, "MOST", 0)
        patch.setattr(_planner, "plan", lambda *arguments: seen.append(plan(*arguments)) or seen[-1])
        loss = F.linear_cross_entropy(*leaves, y)
        found = torch.autograd.grad(loss, leaves)
    assert seen[-1].chunk < 32
    assert seen[-1].widens
    logits = torch.einsum("nd,v...d->nv...", *exact)
    for ours, exactly in zip(found, torch.autograd.grad(TF.cross_entropy(logits, y), exact)):
        # logits in bfloat16 (float16 is multiplied in float32) err by 2^-9 of 10, and gradients of them by as much
        near = 2**-5 if dtype == torch.bfloat16 else 2**-10
        torch.testing.assert_close(ours.double(), exactly, rtol=near, atol=near * exactly.abs().max().item())


def test_a_block_of_many_rows_may_be_the_largest_piece() -> None:
    settings = {"features": 16, "input_gradient": True, "head_gradient": True}
    chosen = plan(Workload(1_000_000, 100, torch.bfloat16, **settings), 10_000_000)
    assert chosen.block == 16
    assert chosen.workspace == 16 * 2_000_000 + (1 << 21)


def test_plans_of_given_logits_by_hand() -> None:
    def of(rows: int, classes: int, dtype: torch.dtype = torch.float32, positions: int = 1, **more: Any) -> Plan:
        return plan(Workload(rows, classes, dtype, positions=positions, **more))

    once = "the gradient is computed with the loss, in place"
    assert of(100_000, 1000, input_gradient=True) == Plan("dense", 1 << 19, 32_768, 0, 0, 400_000_000, 0, once)
    half = of(100_000, 1000, torch.bfloat16, input_gradient=True)
    assert half == Plan("dense", 1 << 19, 32_768, 0, 1 << 21, 200_000_000, 0, once)
    forward = of(100_000, 1000)
    assert forward == Plan("dense", 1 << 19, 32_768, 0, 1 << 21, 0, 0, "the logits are read once")
    assert of(100, 1000).tile == 100_000
    assert of(100, 1000).chunk == 100
    assert of(10, 1 << 20).tile == 1 << 20  # a row at the least
    # where classes do not lie innermost: tiles of 8 MB, two in a quarter of the budget; and 32,768 rows in a chunk, of
    # which there are 10,000 for each outer index
    images = of(64, 10, positions=10_000, input_gradient=True, scratch=1)
    assert (images.tile, images.chunk, images.workspace, images.gradients) == (1 << 21, 20, 1 << 23, 64 * 400_000)
    assert of(64, 100, positions=10_000).chunk == 3
    assert of(64, 10, positions=100_000).chunk == 2
    assert of(64, 100, positions=100_000).chunk == 1
    assert str(of(64, 100, positions=10_000)) == (
        "dense: tiles of 2,097,152 logits\nworkspace 8.4 MB, gradients 0.0 MB, products 0.0 GFLOP\n"
        "the logits are read once"
    )


def test_workloads_of_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Workload] = []

    def spy(work: Workload, budget: int | None, most_rows: int | None) -> Plan:
        seen.append(work)
        return plan(work, budget, most_rows)

    monkeypatch.setattr(_planner, "plan", spy)
    monkeypatch.setattr(_loss, "cpu_multiplies", lambda dtype: dtype != torch.float16)  # on any processor
    chosen = {"options": Options("chunked")}

    def of(loss: Callable[..., Any], *tensors: Tensor, **settings: Any) -> Workload:
        loss(*tensors, **settings, **chosen)
        return seen.pop()

    z, x, y = torch.randn(6, 5), torch.randn(6, 5, 7).bfloat16(), torch.zeros(6).long()
    leaf, many = z.clone().requires_grad_(), torch.zeros(6, 7).long()
    f = torch.float32
    assert of(F.cross_entropy, z, y) == Workload(6, 5, f)
    assert of(F.cross_entropy, leaf, y) == Workload(6, 5, f, input_gradient=True)
    assert of(F.cross_entropy, leaf, y, softcap=3.0) == Workload(6, 5, f, input_gradient=True, scratch=1)
    assert of(F.cross_entropy, z, y, softcap=3.0) == Workload(6, 5, f)  # tanh is kept for a gradient only
    assert of(F.cross_entropy, z, z.softmax(1)) == Workload(6, 5, f, scratch=1)
    assert of(F.token_statistics, z, y) == Workload(6, 5, f, scratch=1)
    assert of(F.cross_entropy, x, many) == Workload(6, 5, torch.bfloat16, positions=7)
    assert of(F.cross_entropy, x.movedim(2, 1).contiguous().movedim(2, 1), many) == Workload(42, 5, torch.bfloat16)
    h, w = torch.randn(6, 4), torch.randn(5, 4)
    head = {"features": 4, "head_dtype": f}
    assert of(F.linear_cross_entropy, h, w, y) == Workload(6, 5, f, **head)
    for i, name in enumerate(("input_gradient", "head_gradient", "head_gradient")):
        tensors = [t.clone().requires_grad_(i == k) for k, t in enumerate((h, w, torch.randn(5)))]
        work = of(F.linear_cross_entropy, *tensors[:2], y, linear_bias=tensors[2])
        assert work == Workload(6, 5, f, **head, **{name: True})
    assert of(F.linear_cross_entropy, h, torch.randn(5, 3, 7, 4), torch.zeros(6, 3, 7).long()) == Workload(
        6, 5, f, positions=21, **head
    )
    both = of(F.linear_kl_div, h, w, torch.randn(6, 2), torch.randn(5, 2))
    assert both == Workload(6, 10, f, **head, scratch=3, merges=False)
    mixed = of(F.linear_cross_entropy, h.half(), w.half(), y)  # which a CPU multiplies in float32
    assert mixed == Workload(6, 5, f, features=4, head_dtype=torch.float16, converted=True)
    mixed = of(F.linear_kl_div, h, w, torch.randn(6, 2).bfloat16(), torch.randn(5, 2).bfloat16())
    assert mixed == Workload(6, 10, f, features=4, head_dtype=torch.bfloat16, scratch=3, merges=False)


# --- memory -------------------------------------------------------------------------------------------------------

N, D, V = 256, 16, 8000
OPTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "plain": dict,
    "class weights": lambda: {"weight": torch.rand(V)},
    "ignored rows": dict,
    "label smoothing": lambda: {"label_smoothing": 0.1},
    "smoothed class weights": lambda: {"label_smoothing": 0.1, "weight": torch.rand(V)},
    "bias": lambda: {"linear_bias": torch.randn(V, requires_grad=True)},
    "softcap and scale": lambda: {"softcap": 5.0, "logit_scale": 0.5},
    "z-loss": lambda: {"z_loss": 0.01},
    "token weights": lambda: {"token_weight": torch.rand(N)},
    "learned token weights": lambda: {"token_weight": torch.rand(N, requires_grad=True)},
    "denominator": lambda: {"denominator": 77.0},
    "out_dtype": lambda: {"out_dtype": torch.float64},
    "rows": lambda: {"reduction": "none"},
    "sum": lambda: {"reduction": "sum"},
}


@pytest.mark.parametrize(
    ("name", "dtype"), some(itertools.product(OPTIONS, [torch.float32, torch.bfloat16, torch.float16]), 17)
)
def test_no_option_builds_the_logits(name: str, dtype: torch.dtype) -> None:
    h, w = torch.randn(N, D).to(dtype).requires_grad_(), torch.randn(V, D).to(dtype).requires_grad_()
    y = torch.randint(0, V, (N,))
    if name == "ignored rows":
        y[::3] = -100
    settings, budget = OPTIONS[name](), 1_000_000
    bias = settings.get("linear_bias")
    if bias is not None:
        settings["linear_bias"] = bias = bias.detach().to(dtype).requires_grad_()
    leaves = [h, w] if bias is None else [h, w, bias]

    def step(**more: Any) -> tuple[Tensor, ...]:
        loss = F.linear_cross_entropy(h, w, y, **settings, **more)
        return torch.autograd.grad(loss.sum(), leaves)

    logits = N * V * dtype.itemsize
    gradients = sum(x.nbytes for x in leaves)
    peak = peak_bytes(lambda: step(options=Options(backend="chunked", memory_budget=budget)))
    # vectors of classes and rows, and the upstream's products, beside the workspace
    assert peak <= gradients + budget + 40 * (N + V) * 4
    assert peak < logits + gradients
    for actual, expected in zip(step(options=Options("chunked", budget)), step(options=Options("reference"))):
        # bfloat16 logits are rounded by 2^-9 of up to 20, so probabilities by a few percent, and averaged
        near = {torch.float32: 1e-4, torch.bfloat16: 0.05, torch.float16: 2e-3}[dtype]
        assert (actual.float() - expected.float()).norm() <= near * expected.float().norm()


def test_forward_alone_keeps_nothing() -> None:
    h, w, y = torch.randn(N, D), torch.randn(V, D), torch.randint(0, V, (N,))
    x = torch.randn(4 * N, V)
    budget = Options(backend="chunked", memory_budget=1_000_000)
    assert peak_bytes(lambda: F.linear_cross_entropy(h, w, y, options=budget)) <= 1_000_000 + 40 * (N + V)
    assert peak_bytes(lambda: F.cross_entropy(x, y.repeat(4))) <= 2_500_000
    h.requires_grad_()
    with torch.no_grad():
        assert peak_bytes(lambda: F.linear_cross_entropy(h, w, y, options=budget)) <= 1_000_000 + 40 * (N + V)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", ["rows", "images", "channels last", "sequences"])
def test_dense_gradients_take_one_buffer(layout: str, dtype: torch.dtype) -> None:
    shape = (1024, 2000) if layout == "rows" else (4, 50, 100, 100)
    x = torch.randn(shape).to(dtype)
    if layout == "channels last":
        x = x.to(memory_format=torch.channels_last)
    if layout == "sequences":
        x = torch.randn(8, 128, 2000).to(dtype).transpose(1, 2)
    x.requires_grad_()
    y = torch.randint(0, x.shape[1], (x.shape[0], *x.shape[2:]))
    result: list[Tensor] = []
    peak = peak_bytes(lambda: result.extend(torch.autograd.grad(F.cross_entropy(x, y), x)))
    # a tile of 2 or 8 MB for half precision, and a few vectors of the rows
    tile = 0 if dtype == torch.float32 else (8 << 20 if layout == "images" else 2 << 20)
    assert peak <= 1.02 * x.nbytes + tile + 16 * y.nbytes
    assert result[0].stride() == x.stride()
    exact = x.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(TF.cross_entropy(exact, y), exact)
    # one rounding to the dtype, and float32 arithmetic
    assert_accurate(result[0], expected, roundings=2 if dtype == torch.bfloat16 else 40)


def test_a_system_without_huge_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, device = (1 << 21, 2), torch.device("cpu")
    monkeypatch.setattr(_memory, "_WORTHWHILE", 1 << 20)
    for broken in (lambda _: (_ for _ in ()).throw(OSError("no libc")), lambda _: object()):
        _memory._madvise.cache_clear()
        monkeypatch.setattr(ctypes, "CDLL", broken)
        assert _memory._madvise() is None
        assert _memory.empty(shape, torch.float32, device).fill_(1.0).sum() == 1 << 22
    _memory._madvise.cache_clear()


def test_huge_pages_are_asked_for_once_and_within_the_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(_memory, "_WORTHWHILE", 1 << 20)
    monkeypatch.setattr(_memory, "_madvise", lambda: lambda *range: asked.append(range))
    device = torch.device("cpu")
    _memory.empty((1000,), torch.float32, device)
    assert not asked
    tensor = _memory.empty((1 << 19,), torch.float32, device)
    ((begin, length),) = asked
    assert begin % 4096 == 0
    assert 0 <= begin - tensor.data_ptr() < 4096 * 16
    assert begin + length == tensor.data_ptr() + tensor.nbytes
    monkeypatch.setattr(_memory.mmap, "PAGESIZE", 16)  # smaller than the shares of 2^16 threads
    assert _memory.empty((1 << 19,), torch.float32, device)[::4].eq(0).all()
    assert asked[1][0] % 16 == 0


def test_probabilities_and_positions_take_no_more_than_the_budget() -> None:
    h, budget = torch.randn(N, D, requires_grad=True), Options(backend="chunked", memory_budget=1_000_000)
    w, p = torch.randn(V, D, requires_grad=True), torch.randn(N, V).softmax(1)
    positions, y = torch.randn(V // 4, 2, 2, D, requires_grad=True), torch.randint(0, V // 4, (N, 2, 2))
    for head, target in ((w, p), (positions, y)):

        def step(options: Options, head: Tensor = head, target: Tensor = target) -> list[Tensor]:
            loss = F.linear_cross_entropy(h, head, target, label_smoothing=0.1, options=options)
            return [loss, *torch.autograd.grad(loss, (h, head))]

        peak = peak_bytes(lambda: step(budget))
        assert peak <= h.nbytes + head.nbytes + 1_000_000 + 40 * (4 * N + V) * 4 < h.nbytes + head.nbytes + N * V * 4
        torch.testing.assert_close(step(budget), step(Options(backend="reference")), rtol=1e-4, atol=1e-6)


# --- accuracy -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("sweeps")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_does_not_depend_on_the_chunks(dtype: torch.dtype, smoothing: float) -> None:
    n, v = 256, 2000
    # logits are sums of −1, 0 and 1: exact, in whatever order a BLAS adds them for chunks of this size
    h, w, y = (
        torch.randint(-1, 2, (n, 32)).to(dtype),
        torch.randint(-1, 2, (v, 32)).to(dtype),
        torch.randint(0, v, (n,)),
    )
    h.requires_grad_()
    size = max(4, dtype.itemsize)
    losses = [
        F.linear_cross_entropy(h, w, y, label_smoothing=smoothing, options=in_chunks(count, n, 2 * v * size))
        for count in (1, 7, 64, 10**6)
    ]
    exact = TF.cross_entropy(h.detach().double() @ w.double().T, y, label_smoothing=smoothing)
    # exp errs by an ulp and sums over V classes, in pairs, by log2 V: relative errors of the normaliser, so absolute
    # ones of its logarithm; sums over the rows by log2 N; and one rounding of the result
    work = torch.finfo(torch.promote_types(dtype, torch.float32)).eps / 2
    near = (2 + 2 * math.log2(v)) * work + (math.log2(n) * work + torch.finfo(dtype).eps / 2) * exact
    for loss in losses:
        assert (loss.double() - losses[0].double()).abs() <= 2 * near
        assert (loss.double() - exact).abs() <= near


@pytest.mark.usefixtures("sweeps")
@pytest.mark.parametrize("budget", [None, 20_000])
def test_a_processor_without_products_in_bfloat16(budget: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads are multiplied in float32 there, piece by piece, and gradients are rounded once."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    _loss.cpu_multiplies.cache_clear()
    generator = torch.Generator().manual_seed(0)
    h, w = (torch.randn(n, 32, generator=generator).bfloat16() for n in (64, 200))
    y, options = (
        torch.randint(0, 200, (64,), generator=generator),
        None if budget is None else Options(memory_budget=budget),
    )
    try:
        leaves = [x.clone().requires_grad_() for x in (h, w)]
        loss = F.linear_cross_entropy(*leaves, y, out_dtype=torch.float32, options=options)
        found = torch.autograd.grad(loss, leaves)
    finally:
        _loss.cpu_multiplies.cache_clear()
    exact = [x.double().requires_grad_() for x in (h, w)]
    expected = TF.cross_entropy(exact[0] @ exact[1].T, y)
    # bfloat16 products would round logits of size 20 by 2^-4
    assert_accurate(loss.detach(), expected.detach(), roundings=64)
    for ours, exactly in zip(found, torch.autograd.grad(expected, exact)):
        torch.testing.assert_close(ours.double(), exactly, rtol=2**-8, atol=2**-20)


CHUNKS = tuple(some((1, 4, 16, 64, 256, 10**6), 3))


@pytest.mark.usefixtures("sweeps")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_chunks_add_up_to_the_bit(dtype: torch.dtype) -> None:
    """Where no product and no sum needs rounding, no number of chunks rounds: on any processor, in any order.

    Hidden states (a, 0) and a head (0, b) of small integers have logits 0, so G = (1/V − [y = v]) / n is an integer
    of seven bits times 2^−15, and every sum of n or V products with integers of at most 8 is exact in float32.
    """
    n, d, v = 256, 8, 128
    h, w, y = torch.zeros(n, 2 * d), torch.zeros(v, 2 * d), torch.randint(0, v, (n,))
    h[:, :d], w[:, d:] = torch.randint(-8, 9, (n, d)), torch.randint(-8, 9, (v, d))
    h, w = (x.to(dtype).requires_grad_() for x in (h, w))
    g = (1 / v - TF.one_hot(y, v).double()) / n
    exact = ((g @ w.detach().double()).to(dtype), (g.T @ h.detach().double()).to(dtype))
    for count in CHUNKS:
        loss = F.linear_cross_entropy(h, w, y, options=in_chunks(count, n, 2 * v * max(4, dtype.itemsize)))
        assert all(map(torch.equal, torch.autograd.grad(loss, (h, w)), exact)), count


@pytest.mark.usefixtures("sweeps")
@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
@pytest.mark.parametrize("kind", ["ordinary", "peaked", "flat", "huge", "tiny", "one-hot"])
def test_gradients_of_any_number_of_chunks_are_sums_in_some_order(kind: str, dtype: torch.dtype) -> None:
    """Each entry of Gᵀ h and of G W is within what rounding permits a sum of so many products, in any order.

    With u = ½ eps of float32, whatever the order, the sum of k products has an error of at most k u Σ |g| |x|. So a
    chunk may hold one row or all of them. The logits are exact: sums of D products of −1, 0, 1 and a power of two. Then
    each entry of G has a relative error of 2R + V + 8 roundings (see `test_numerics.budget`), and in half precision one
    of that dtype, as the sum has in the end. Of classes of a probability under the dtype's smallest number, G has none.
    """
    n, d, v = 256, 24, 500
    # hidden states and a head whose logits have the given character
    scale = {"ordinary": 0.25, "peaked": 8.0, "flat": 0.0, "huge": 256.0, "tiny": 2.0**-20, "one-hot": 2.0}[kind]
    h, w, y = torch.randint(-1, 2, (n, d)).float(), torch.randint(-1, 2, (v, d)).float(), torch.randint(0, v, (n,))
    if kind == "one-hot":
        h = w[y]
    h, w = (scale * h).to(dtype).requires_grad_(), w.to(dtype).requires_grad_()
    h64, w64 = (x.detach().double().requires_grad_() for x in (h, w))
    z = h64 @ w64.T
    exact = torch.autograd.grad(TF.cross_entropy(z, y), (h64, w64))
    g = ((z.softmax(1) - TF.one_hot(y, v)) / n).detach().abs()
    spread = (z.amax(1) - z.amin(1)).max().item()
    half = 2.0 if dtype.itemsize == 2 else 0.0
    lost = v * torch.finfo(dtype).smallest_normal  # of G, over classes or rows
    for count in CHUNKS:
        loss = F.linear_cross_entropy(h, w, y, options=in_chunks(count, n, 2 * v * max(4, dtype.itemsize)))
        gradients = torch.autograd.grad(loss, (h, w))
        for actual, true, terms, other in zip(gradients, exact, (v, n), (w64.abs(), h64.abs())):
            magnitude = (g @ other if actual is gradients[0] else g.T @ other).detach()
            u = terms + 2 * spread + v + 8
            roundings = half + u * torch.finfo(torch.float32).eps / torch.finfo(dtype).eps
            assert_accurate(actual, true, roundings=roundings, magnitude=magnitude + lost)


def test_float16_gradients_survive_a_loss_scale() -> None:
    n, d, v = 512, 16, 3000
    h, w, y = torch.randn(n, d).half(), torch.randn(v, d).half(), torch.randint(0, v, (n,))
    scale = 2.0**12
    for linear in (False, True):
        leaves = [x.requires_grad_() for x in ((h, w) if linear else ((h @ w.T).detach(),))]
        exact_leaves = [x.detach().double().requires_grad_() for x in leaves]
        loss = F.linear_cross_entropy(*leaves, y) if linear else F.cross_entropy(leaves[0], y)
        logits = exact_leaves[0] @ exact_leaves[1].T if linear else exact_leaves[0]
        gradients = torch.autograd.grad(scale * loss.float(), leaves)
        exact = torch.autograd.grad(scale * TF.cross_entropy(logits, y), exact_leaves)
        for g, e in zip(gradients, exact):
            representable = e.abs() > torch.finfo(torch.float16).smallest_normal
            assert (g[representable] != 0).all()
            assert (g.double() - e).norm() <= 1e-3 * e.norm()


@pytest.mark.usefixtures("sweeps")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_two_runs_are_bit_equal(dtype: torch.dtype) -> None:
    h, w, y = torch.randn(300, 20).to(dtype), torch.randn(3000, 20).to(dtype), torch.randint(0, 3000, (300,))
    h.requires_grad_()
    w.requires_grad_()
    x = (h @ w.T).detach().requires_grad_()
    options = Options(memory_budget=500_000)

    def run() -> list[Tensor]:
        first, second = F.linear_cross_entropy(h, w, y, options=options), F.cross_entropy(x, y, z_loss=0.1)
        return [first, second, *torch.autograd.grad(first, (h, w)), *torch.autograd.grad(second, x)]

    assert all(map(torch.equal, run(), run()))


def test_more_than_2_to_the_31_logits() -> None:
    row = torch.randn(1, 32_768).bfloat16()
    x = row.expand(65_537, -1)
    y = torch.zeros(65_537, dtype=torch.long)
    expected = TF.cross_entropy(row.float(), y[:1])
    with torch.no_grad():
        torch.testing.assert_close(F.cross_entropy(x, y, out_dtype=torch.float32), expected)
    leaf = row.float().requires_grad_()
    rows = F.cross_entropy(leaf.expand(65_537, -1), y, reduction="none")
    torch.testing.assert_close(rows, expected.expand(65_537))


@pytest.mark.parametrize("kind", ["ordinary", "flat", "peaked", "huge", "tiny", "one-hot", "masked"])
def test_statistics_and_distillation_of_hostile_logits(kind: str) -> None:
    z = hostile_logits(6, 9)[kind].requires_grad_()
    z64 = z.detach().double().requires_grad_()
    y = torch.tensor([0, 2, 4, 0, 2, 4])
    ours = F.token_statistics(z, y)
    exact = log_softmax(z64, 1)  # torch's gives 0 for −1e−26
    p = exact.exp()
    entropy = -(p * exact.masked_fill(p == 0, 0.0)).sum(1)
    spread = (z64.masked_fill(z64.isinf(), 0).amax(1) - z64.masked_fill(z64.isinf(), 0).amin(1)).max().item()
    work = 2 * spread + 40
    assert ours.log_prob is not None
    assert_accurate(ours.log_prob, exact.gather(1, y[:, None])[:, 0], roundings=work, magnitude=1e-30)
    assert_accurate(ours.entropy, entropy, roundings=work, magnitude=1e-6)
    assert_accurate(ours.logsumexp, z64.logsumexp(1), roundings=work)
    assert torch.equal(ours.argmax, z.argmax(1))
    (gradient,) = torch.autograd.grad((ours.log_prob + 2 * ours.entropy + 3 * ours.logsumexp).sum(), z)
    total = exact.gather(1, y[:, None]).sum() + 2 * entropy.sum() + 3 * z64.logsumexp(1).sum()
    (expected,) = torch.autograd.grad(total, z64)
    assert_accurate(gradient, expected, roundings=work, magnitude=4.0)


# --- statistics of a head -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("sweeps")
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_statistics_of_a_head_are_those_of_its_logits(dtype: torch.dtype) -> None:
    h, w, b = (torch.randn(s, dtype=torch.float64).to(dtype).requires_grad_() for s in ((3, 7, 4), (50, 4), (50,)))
    y = torch.randint(0, 50, (3, 7))
    y[0, 0] = -100
    ours = F.token_statistics(h, y, linear_weight=w, linear_bias=b, softcap=4.0, options=Options(memory_budget=2_000))
    with torch.no_grad():
        again = F.token_statistics(
            h, y, linear_weight=w, linear_bias=b, softcap=4.0, options=Options(memory_budget=2_000)
        )
    h64, w64, b64 = (x.detach().double().requires_grad_() for x in (h, w, b))
    logits = h64 @ w64.T + b64
    expected = F.token_statistics(logits, y, softcap=4.0)
    near = {"rtol": 1e-9, "atol": 1e-9} if dtype == torch.float64 else {"rtol": 0.02, "atol": 0.05}
    for first, second, true in zip(ours[:3], again[:3], expected[:3]):
        torch.testing.assert_close(first.double(), true, **near)
        torch.testing.assert_close(second.double(), true, **near)
    if dtype == torch.float64:
        assert torch.equal(ours.argmax, expected.argmax)
        assert torch.equal(again.argmax, expected.argmax)
    total, true_total = (s.log_prob.sum() + 2 * s.entropy.sum() + s.logsumexp.square().sum() for s in (ours, expected))
    actual = torch.autograd.grad(total, (h, w, b))
    for g, e in zip(actual, torch.autograd.grad(true_total, (h64, w64, b64))):
        assert g.dtype == dtype
        assert (g.double() - e).norm() <= (1e-9 if dtype == torch.float64 else 0.05) * e.norm()


def test_statistics_and_distillation_never_build_the_logits() -> None:
    h, w, y = torch.randn(N, D, requires_grad=True), torch.randn(V, D, requires_grad=True), torch.randint(0, V, (N,))
    teacher, head = torch.randn(N, D), torch.randn(V, D)
    gradients, logits = h.nbytes + w.nbytes, N * V * 4

    def statistics_step() -> None:
        s = F.token_statistics(h, y, linear_weight=w, options=Options(memory_budget=1_000_000))
        torch.autograd.grad(s.log_prob.sum() + s.entropy.sum(), (h, w))

    def distillation_step() -> None:
        loss = F.linear_kl_div(h, w, teacher, head, options=Options(memory_budget=1_000_000))
        torch.autograd.grad(loss, (h, w))

    for step in (statistics_step, distillation_step):
        assert peak_bytes(step) <= gradients + 1_000_000 + 60 * (N + V) * 4 < logits


# --- what adversarial use found -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("sweeps")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_no_rows_at_all(dtype: torch.dtype, reduction: str) -> None:
    w = torch.randn(5, 4).to(dtype)
    expected = {"mean": torch.tensor(torch.nan), "sum": torch.tensor(0.0), "none": torch.zeros(0)}[reduction]
    for options in (None, Options(backend="chunked"), Options(backend="chunked", memory_budget=1)):
        for needs in (False, True):
            h, head = torch.zeros(0, 4, dtype=dtype, requires_grad=needs), w.clone().requires_grad_(needs)
            losses = (
                F.linear_cross_entropy(h, head, torch.zeros(0).long(), reduction=reduction, options=options),
                F.linear_kl_div(h, head, h.detach(), head.detach(), reduction=reduction, options=options),
            )
            for loss in losses:
                torch.testing.assert_close(loss.detach().float(), expected, equal_nan=True)
                if needs:
                    gradients = torch.autograd.grad(loss.sum(), (h, head))
                    assert gradients[1].eq(0).all()


@pytest.mark.parametrize(("input", "head"), [("float32", "bfloat16"), ("float64", "float32"), ("bfloat16", "bfloat16")])
def test_teachers_of_other_dtypes(input: str, head: str) -> None:
    tensors = (
        torch.randn(64, 3),
        torch.randn(50, 3),
        torch.randn(64, 2).to(getattr(torch, input)),
        torch.randn(50, 2).to(getattr(torch, head)),
    )
    leaves = [x.requires_grad_() for x in tensors]
    exact_leaves = [x.detach().double().requires_grad_() for x in tensors]
    exact = torch.autograd.grad(F.linear_kl_div(*exact_leaves), exact_leaves)
    for budget in (1, 10_000, 10**7):
        loss = F.linear_kl_div(*leaves, options=Options("chunked", budget))
        for g, e, x in zip(torch.autograd.grad(loss, leaves), exact, leaves):
            near = 0.03 if "bfloat16" in (input, head) else 1e-5  # logits rounded to 8 bits, or not
            assert g.dtype == x.dtype
            assert (g.double() - e).norm() <= near * e.norm()


@pytest.mark.parametrize("backend", ["auto", "chunked", "reference"])
@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("ignore", [True, False])
def test_hidden_states_that_are_left_out_reach_nothing(
    ignore: bool, dtype: torch.dtype, poison: float, backend: str
) -> None:
    h, w, y = torch.randn(33, 5).to(dtype), torch.randn(40, 5).to(dtype).requires_grad_(), torch.arange(33)
    h[7, 2] = poison
    settings = {"softcap": 5.0, "options": Options(backend=backend)}
    if ignore:
        y[7] = -100
    else:
        settings["token_weight"] = torch.ones(33).index_fill(0, torch.tensor([7]), 0.0)
    h.requires_grad_()
    rows = F.linear_cross_entropy(h, w, y, reduction="none", **settings)
    assert rows[torch.arange(33) != 7].isfinite().all()
    for loss in (rows.sum(), F.linear_cross_entropy(h, w, y, **settings)):
        for g in torch.autograd.grad(loss, (h, w)):
            assert g.isfinite().all()
    assert F.linear_cross_entropy(h.detach(), w.detach(), y, **settings).isfinite()


def test_scales_of_zero_and_smoothing_of_one() -> None:
    tensors = [torch.randn(s, requires_grad=True) for s in ((6, 3), (5, 3), (6, 3), (5, 3))]
    results = []
    for backend in ("chunked", "reference"):
        loss = F.linear_kl_div(*tensors, logit_scale=0.0, options=Options(backend=backend))
        results.append((loss, *torch.autograd.grad(loss, tensors)))
    torch.testing.assert_close(*results)
    z = torch.tensor([[-torch.inf, 0.0, 1.0]])
    assert F.cross_entropy(z, torch.tensor([0]), label_smoothing=1.0, options=Options("chunked")).item() == torch.inf


@pytest.mark.parametrize("backend", ["auto", "chunked", "reference"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_heads_without_features_or_positions(dtype: torch.dtype, backend: str) -> None:
    options = Options(backend=backend)
    for shape in ((4, 0), (2, 2, 0)):
        h, w = torch.zeros(shape, dtype=dtype, requires_grad=True), torch.zeros(5, 0, dtype=dtype, requires_grad=True)
        y = torch.zeros(shape[:-1]).long()
        for settings in ({}, {"options": options}):
            loss = F.linear_cross_entropy(h, w, y, **settings)
            assert loss.item() == pytest.approx(math.log(5), rel=1e-2)
            loss.backward()
    h, w = torch.zeros(4, 3, dtype=dtype, requires_grad=True), torch.zeros(5, 0, 3, dtype=dtype)
    assert F.linear_cross_entropy(h, w, torch.zeros(4, 0).long(), reduction="sum", options=options).item() == 0.0
    if hasattr(torch.nn, "LinearCrossEntropyOptions"):
        aspect = torch.nn.LinearCrossEntropyOptions(chunking_method="aspect_ratio:2")
        h, w = torch.zeros(4, 0, dtype=dtype), torch.zeros(5, 0, dtype=dtype)
        assert F.linear_cross_entropy(h, w, torch.zeros(4).long(), options=aspect).isfinite()


def test_lists_and_arrays_are_refused_by_name() -> None:
    h, w = torch.randn(4, 3), torch.randn(5, 3)
    for target in ([0, 1, 2, 3], None):
        with pytest.raises(TypeError, match="target is a"):
            F.linear_cross_entropy(h, w, target)
        with pytest.raises(TypeError, match="target is a"):
            F.cross_entropy(h, target)
    for input in ([[1.0, 2.0, 3.0]], h.numpy()):
        with pytest.raises(TypeError, match="input is a"):
            F.linear_cross_entropy(input, w, torch.tensor([0]))


@pytest.mark.skipif(not hasattr(torch.nn, "LinearCrossEntropyOptions"), reason="torch has them since 2.13")
@pytest.mark.parametrize(("rows", "features", "classes"), [(64, 4, 50), (1000, 7, 50), (37, 16, 16), (5, 3, 1000)])
def test_torchs_chunk_size_is_an_upper_bound(
    rows: int, features: int, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int | None, int]] = []

    def spy(work: Workload, budget: int | None, most_rows: int | None) -> Plan:
        made = plan(work, budget, most_rows)
        asked.append((most_rows, made.chunk))
        return made

    monkeypatch.setattr(_planner, "plan", spy)
    h, w = (torch.randn(n, features, requires_grad=True) for n in (rows, classes))
    y = torch.randint(0, classes, (rows,))
    for settings in (
        {"batch_chunk_size": 10, "chunking_method": None},
        {"chunking_method": "aspect_ratio"},
        {"chunking_method": "aspect_ratio:2"},
        {"chunking_method": "aspect_ratio:4"},
    ):
        options = torch.nn.LinearCrossEntropyOptions(**settings)
        F.linear_cross_entropy(h, w, y, options=options)
        most, chunk = asked.pop()
        torchs = options._adjust(rows, features, classes, torch.float32).batch_chunk_size
        assert most is not None
        assert min(most, rows) == torchs
        assert chunk <= torchs
    F.linear_cross_entropy(h, w, y, options=torch.nn.LinearCrossEntropyOptions(chunking_method="auto"))
    assert asked.pop()[0] is None
