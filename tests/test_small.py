"""Small problems in one call of compiled code: its numbers, every promise, and what it leaves alone."""

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as TF
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from crossentropy import Options, _tiny
from crossentropy import functional as F
from crossentropy._backends.native import _log_softmax, _small

INF, NAN = float("inf"), float("nan")
ENGINE = Options()  # given, it is no default: the long way
REDUCTIONS = ["none", "mean", "sum"]

pytestmark = pytest.mark.skipif(_tiny._small is None, reason="the library was not built for this torch")


def small(z: Tensor, y: Tensor, ignore_index: int = -100, reduction: str = "mean") -> Tensor | None:
    assert _tiny._small is not None
    return _tiny._small.cross_entropy(z, y, ignore_index, reduction, _tiny.MOST)


def problem(rows: int = 12, classes: int = 5, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows * classes)
    z = torch.randn(rows, classes, generator=generator).mul(4).to(dtype)
    return z.requires_grad_(), torch.randint(classes, (rows,), generator=generator)


def was_small(loss: Tensor) -> bool:
    return loss.grad_fn is not None and "SmallCrossEntropy" in loss.grad_fn.name()


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (7, 3), (32, 10), (33, 17), (256, 100), (9, 1025), (64, 4099)], ids=str
)
def test_loss_and_gradient_are_what_float64_says(shape: tuple[int, int], dtype: torch.dtype, reduction: str) -> None:
    """Sums in float32 err by an ulp or two; loss and gradient are rounded once, the product with upstream again."""
    z, y = problem(*shape, dtype)
    exact = z.detach().double().requires_grad_()
    for ignored in (-100, int(y[0])):
        if bool((y == ignored).all()):
            continue
        loss = F.cross_entropy(z, y, ignore_index=ignored, reduction=reduction)
        expected = TF.cross_entropy(exact, y, ignore_index=ignored, reduction=reduction)
        assert was_small(loss)
        assert loss.dtype == dtype
        upstream = torch.linspace(0.5, 2.0, loss.numel()).reshape(loss.shape).to(dtype)
        (ours,) = torch.autograd.grad(loss, z, upstream)
        (theirs,) = torch.autograd.grad(expected, exact, upstream.double())
        eps = torch.finfo(dtype).eps
        assert ours.dtype == dtype
        torch.testing.assert_close(loss.detach().double(), expected.detach(), rtol=1e-6 + eps, atol=1e-6)
        torch.testing.assert_close(ours.double(), theirs, rtol=8e-6 + 2 * eps, atol=4e-7 * upstream.max().item())
        without = F.cross_entropy(z.detach(), y, ignore_index=ignored, reduction=reduction)
        assert torch.equal(without, loss)


HOSTILE = [
    [0.0, -INF, 1.0], [-INF] * 3, [INF, 0.0, 1.0], [NAN, 0.0, 1.0], [INF, INF, 0.0], [INF, -INF, NAN],
    [torch.finfo().min] * 3, [torch.finfo().min, 0.0, -INF], [torch.finfo().max, 0.0, 1.0], [torch.finfo().max] * 3,
    [0.0, -60.0, -100.0], [0.0, -110.0, -131.0], [1e30, -1e30, 0.0], [-0.0, 0.0, 1e-45], [88.0, 89.0, -89.0],
]  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_hostile_rows_are_as_the_engine_has_them(reduction: str) -> None:
    """Beside each other, and each alone; with each class as label; and where the loss after all leaves a row out."""
    cases = [(torch.tensor(HOSTILE), torch.full((len(HOSTILE),), label)) for label in range(3)]
    cases += [(torch.tensor([row]), torch.tensor([label])) for row in HOSTILE for label in range(3)]
    for z, y in cases:
        found = []
        for options in (None, ENGINE):
            x = z.clone().requires_grad_()
            loss = F.cross_entropy(x, y, reduction=reduction, options=options)
            assert was_small(loss) == (options is None)
            loss.masked_fill(~loss.isfinite(), 0.0).sum().backward()
            found.append((loss.detach(), x.grad))
        torch.testing.assert_close(*found, rtol=8e-6, atol=1e-30, equal_nan=True)


def test_what_is_almost_certain_keeps_its_digits() -> None:
    z, y = torch.tensor([[60.0, 0.0, 0.0]]).repeat(4, 1).requires_grad_(), torch.zeros(4).long()
    loss = F.cross_entropy(z, y)
    exact = 2 * torch.tensor(-60.0, dtype=torch.float64).exp()
    torch.testing.assert_close(loss.double(), exact, rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(loss, z)
    torch.testing.assert_close(gradient[:, 0].double(), -exact.expand(4) / 4, rtol=1e-6, atol=0)


def test_ignored_rows_are_not_read_and_none_is_nan() -> None:
    z = torch.full((6, 5), NAN)
    z[4:] = torch.randn(2, 5)
    y = torch.tensor([3, 3, 3, 3, 0, 1])
    for reduction in REDUCTIONS:
        x = z.clone().requires_grad_()
        loss = F.cross_entropy(x, y, ignore_index=3, reduction=reduction)
        assert was_small(loss)
        assert loss.isfinite().all()
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        assert not gradient[:4].any()
        assert gradient[4:].all()
    x = z.clone().requires_grad_()
    loss = F.cross_entropy(x, torch.full((6,), 3), ignore_index=3)
    assert was_small(loss)
    assert loss.isnan()
    assert not torch.autograd.grad(loss, x)[0].any()


def test_a_sum_does_not_depend_on_the_number_of_threads() -> None:
    z, y = problem(1024, 1000)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            loss = F.cross_entropy(z, y)
            results.append((loss.detach(), torch.autograd.grad(loss, z)[0]))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other))


# --- promises -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_derivatives_of_any_order(reduction: str) -> None:
    """That of the gradient is the engine's, in float32: differences of float64 tell its truth."""
    z, y = problem()
    y[2] = -100

    def derivatives(options: Options | None, dtype: torch.dtype) -> list[Tensor]:
        x = z.detach().to(dtype).requires_grad_()
        upstream = torch.linspace(0.5, 2.0, 12 if reduction == "none" else 1, dtype=dtype).requires_grad_()
        loss = F.cross_entropy(x, y, reduction=reduction, options=options)
        assert was_small(loss) == (options is None)
        (first,) = torch.autograd.grad(loss, x, upstream.reshape(loss.shape), create_graph=True)
        second = torch.autograd.grad(first.square().sum(), (x, upstream), create_graph=True)
        third = torch.autograd.grad(second[0].square().sum(), x)
        return [v.detach().double() for v in (first, *second, *third)]

    for ours, exact in zip(derivatives(None, torch.float32), derivatives(ENGINE, torch.float64)):
        torch.testing.assert_close(ours, exact, rtol=2e-5, atol=2e-6)


def test_the_gradient_that_can_be_differentiated_keeps_its_digits() -> None:
    z, y = torch.tensor([[60.0, 0.0]], requires_grad=True), torch.tensor([0])
    loss = F.cross_entropy(z, y)
    assert was_small(loss)
    (first,) = torch.autograd.grad(loss, z, create_graph=True)
    assert first.requires_grad
    torch.testing.assert_close(first[0, 0].item(), -(2.718281828459045**-60), rtol=1e-6, atol=0)


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_is_called_once_for_each_gradient(create_graph: bool) -> None:
    z, y = problem()
    x, seen = z * 1, []
    z.register_hook(lambda g: seen.append("leaf"))
    x.register_hook(lambda g: seen.append("logits"))
    x.retain_grad()
    loss = F.cross_entropy(x, y)
    assert was_small(loss)
    loss.register_hook(lambda g: seen.append("loss"))
    torch.autograd.grad(loss, z, create_graph=create_graph)
    assert seen == ["loss", "logits", "leaf"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_graph_serves_as_often_as_it_is_kept(reduction: str) -> None:
    z, y = problem()
    loss = F.cross_entropy(z, y, reduction=reduction)
    assert was_small(loss)
    upstream = torch.full_like(loss, 3.0)
    first, second, last = (torch.autograd.grad(loss, z, upstream, retain_graph=keep)[0] for keep in (True, True, False))
    expected = TF.cross_entropy(z, y, reduction=reduction)
    (exact,) = torch.autograd.grad(expected, z, upstream)
    for gradient in (first, second, last):
        torch.testing.assert_close(gradient, exact)
    assert first.data_ptr() != second.data_ptr()
    for create_graph in (False, True):
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            torch.autograd.grad(loss, z, upstream, create_graph=create_graph)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_logits_may_be_changed_after_the_loss(reduction: str) -> None:
    for keep in (False, True):
        z, y = problem()
        x = z * 1
        (expected,) = torch.autograd.grad(F.cross_entropy(z, y, reduction=reduction).sum(), z)
        loss = F.cross_entropy(x, y, reduction=reduction)
        assert was_small(loss)
        x.detach().mul_(7)
        x.data.add_(1)
        torch.testing.assert_close(torch.autograd.grad(loss.sum(), z, retain_graph=keep)[0], expected)
    loss = F.cross_entropy(x := z * 1, y)
    x.mul_(7)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, z, create_graph=True)


def test_batches_of_upstreams() -> None:
    z, y = problem()
    rows = F.cross_entropy(z, y, reduction="none")
    assert was_small(rows)
    (jacobian,) = torch.autograd.grad(rows, z, torch.eye(12), is_grads_batched=True, retain_graph=True)
    expected = torch.autograd.functional.jacobian(lambda x: TF.cross_entropy(x, y, reduction="none"), z)
    torch.testing.assert_close(jacobian, expected)
    mapped = torch.func.vmap(lambda v: torch.autograd.grad(rows, z, v, retain_graph=True)[0])(torch.eye(12))
    torch.testing.assert_close(mapped, expected)
    loss = F.cross_entropy(z, y)
    (scaled,) = torch.autograd.grad(loss, z, torch.arange(3.0), is_grads_batched=True)
    torch.testing.assert_close(scaled[2], 2 * torch.autograd.grad(F.cross_entropy(z, y), z)[0])


def test_graphs_free_their_memory() -> None:
    z, y = problem()
    x = z * 1
    gone = weakref.ref(x)
    loss = F.cross_entropy(x, y)
    assert was_small(loss)
    del x
    loss.backward()
    gc.collect()
    assert gone() is None


def test_changes_of_a_loss_in_place_and_views_of_it() -> None:
    z, y = problem()
    for reduction in REDUCTIONS:
        loss = F.cross_entropy(z, y, reduction=reduction)
        assert was_small(loss)
        loss.mul_(2)
        (gradient,) = torch.autograd.grad(loss.sum(), z)
        (expected,) = torch.autograd.grad(TF.cross_entropy(z, y, reduction=reduction).sum() * 2, z)
        torch.testing.assert_close(gradient, expected)


# --- the long way -------------------------------------------------------------------------------------------------


def _as_fake(z: Tensor, y: Tensor) -> Tensor | None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        return small(z, y)


def _in_mode(z: Tensor, y: Tensor) -> Tensor | None:
    with FlopCounterMode(display=False):
        return small(z, y)


def _in_dual_level(z: Tensor, y: Tensor) -> Tensor | None:
    with forward_ad.dual_level():
        return small(z, y)


def _in_autocast(z: Tensor, y: Tensor) -> Tensor | None:
    with torch.autocast("cpu"):
        return small(z, y)


def _in_inference(z: Tensor, y: Tensor) -> Tensor | None:
    with torch.inference_mode():
        return small(z, y)


def _with_hooks(z: Tensor, y: Tensor) -> Tensor | None:
    with torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x):
        return small(z, y)


def _in_transform(z: Tensor, y: Tensor) -> Tensor | None:
    seen: list[Tensor | None] = []

    def look(x: Tensor) -> Tensor:
        seen.append(small(x, y))
        seen.append(small(z.detach(), y))
        return x.sum()

    torch.func.grad(look)(z.detach())
    torch.func.vmap(look)(z.detach())
    return next((x for x in seen if x is not None), None)


def _in_trace(z: Tensor, y: Tensor) -> Tensor | None:
    seen: list[Tensor | None] = []

    def look(x: Tensor) -> Tensor:
        seen.append(small(x, y))
        return x.sum()

    torch.jit.trace(look, z.detach(), check_trace=False)
    return seen[0]


WATCHED = [_as_fake, _in_mode, _in_dual_level, _in_autocast, _in_inference, _with_hooks, _in_transform, _in_trace]


@pytest.mark.parametrize("way", WATCHED, ids=lambda f: f.__name__)
def test_who_watches_sees_operators(way: Callable[[Tensor, Tensor], Tensor | None]) -> None:
    z, y = problem()
    assert small(z, y) is not None
    assert way(z, y) is None
    assert small(z, y) is not None


def test_what_is_not_plain_goes_the_long_way() -> None:
    z, y = problem()
    z = z.detach()
    assert small(torch.nn.Parameter(z), y) is not None
    for dtype in (torch.float16, torch.float64, torch.int64, torch.complex64):
        assert small(z.to(dtype), y) is None
    for dtype in (torch.int32, torch.uint8, torch.float32):
        assert small(z, y.to(dtype)) is None
    strided = torch.empty(24, dtype=torch.int64)[::2].copy_(y)
    with torch.inference_mode():
        made = z.clone()
    for logits, labels in [
        (z.T.contiguous().T, y), (z[:, :3], y.clamp(max=2)), (z, strided), (z[0], y[0]), (z[:, :, None], y[:, None]),
        (z[:0], y[:0]), (z[:, :0], y), (z, y[:-1]), (z[None], y[None]), (z.to("meta"), y), (z, y.to("meta")),
        (z.to_sparse(), y), (made, y), (TwoTensor(z, z), y), (z, TwoTensor(y, y)), (z, torch.rand(12, 5)),
        (z, y + 5), (z, y - 9), (z.numpy(), y), (None, y), (z, None), (torch._efficientzerotensor(12, 5), y),
    ]:  # fmt: skip
        assert small(logits, labels) is None
    for ignored in (True, 1.0, None, 2**70, torch.tensor(1)):
        assert small(z, y, ignored) is None
    for reduction in ("Mean", "", "batchmean", None, 1):
        assert small(z, y, reduction=reduction) is None
    zeros = torch.zeros((1 << 10) + 1, 1 << 10), torch.zeros((1 << 10) + 1).long()
    assert small(zeros[0][1:], zeros[1][1:]) is not None
    assert small(*zeros) is None
    assert _tiny._small is not None
    assert _tiny._small.cross_entropy(z, y, -100, "mean") is None  # pyright: ignore[reportCallIssue]


def test_a_label_out_of_range_is_an_error_of_ours() -> None:
    z, y = problem()
    for wrong in (5, -1, 2**40):
        y[3] = wrong
        with pytest.raises(IndexError, match=rf"target\[3\] is {wrong}, expected a class in \[0, 5\)"):
            F.cross_entropy(z, y)
    y[3] = -100
    assert was_small(F.cross_entropy(z, y))
    z, y = torch.zeros(2, 3), torch.tensor([2**63 - 1, 0])
    assert small(z, y, 2**63 - 1) is not None


def test_the_rest_is_as_it_was() -> None:
    z, y = problem()
    x = z.detach()
    empty = F.cross_entropy(x[:0], y[:0])
    assert empty.isnan()
    assert F.cross_entropy(x[:0], y[:0], reduction="sum") == 0
    (tangent,) = torch.func.jvp(lambda v: F.cross_entropy(v, y), (x,), (x,))[1:]
    torch.testing.assert_close(tangent, torch.func.jvp(lambda v: TF.cross_entropy(v, y), (x,), (x,))[1])
    torch.testing.assert_close(torch.func.grad(F.cross_entropy)(x, y), torch.func.grad(TF.cross_entropy)(x, y))
    both = torch.func.vmap(F.cross_entropy)(torch.stack((x, -x)), torch.stack((y, y)))
    torch.testing.assert_close(both[0], TF.cross_entropy(x, y))
    assert not F.cross_entropy(z, y).requires_grad or was_small(F.cross_entropy(z, y))
    with torch.no_grad():
        assert not F.cross_entropy(z, y).requires_grad
    with torch.inference_mode():
        assert F.cross_entropy(z, y).is_inference()
    torch.testing.assert_close(checkpoint(F.cross_entropy, z, y, use_reentrant=False), TF.cross_entropy(z, y))
    assert torch.compile(F.cross_entropy, backend="eager", fullgraph=True)(z, y).requires_grad
    with torch.autocast("cpu", torch.bfloat16):
        assert F.cross_entropy(x.bfloat16(), y).dtype == torch.float32
    program = torch.export.export(_Loss(), (x, y))
    torch.testing.assert_close(program.module()(x, y), TF.cross_entropy(x, y))


class _Loss(torch.nn.Module):
    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(z, y)


def test_compiled_autograd_takes_the_node() -> None:
    from torch._dynamo.compiled_autograd import _enable

    z, y = problem()
    loss = F.cross_entropy(z, y)
    assert was_small(loss)
    with _enable(torch.compile(backend="eager")):
        loss.backward()
    torch.testing.assert_close(z.grad, torch.autograd.grad(TF.cross_entropy(z, y), z)[0])


PROGRAM = """
import torch
from crossentropy import _tiny
print(_tiny._small is None)
"""


@pytest.mark.parametrize("switch", ["0", ""])
def test_the_switch_switches_it_off(switch: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"CROSSENTROPY_NATIVE": switch}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert told == f"{switch == '0'}\n"


def test_a_library_that_does_not_fit_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike) -> None:
    monkeypatch.setattr(_small, "path", lambda: tmp_path / "libcrossentropy_small_9_9.so")
    assert _small.load(_tiny._gradient, _log_softmax.differentiable, lambda *_: None) is None
    (tmp_path / "libcrossentropy_small_9_9.so").write_bytes(b"of another machine")
    assert _small.load(_tiny._gradient, _log_softmax.differentiable, lambda *_: None) is None
