"""log_softmax by compiled code: its numbers, its gradients of any order, and what it leaves to torch's operators."""

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from crossentropy import _logspace as logspace
from crossentropy import _tiny
from crossentropy import functional as F
from crossentropy._backends.native import _library, _log_softmax
from test_native import HERE, HOSTILE, INF, NAN, SETS, _at, guarded

pytestmark = pytest.mark.skipif(HERE is None, reason=_library.MISSING)

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
SHAPES = [
    ((5, 1), 1), ((1, 2), 1), ((33, 17), 1), ((4, 1000), 1), ((3, 5003), -1), ((7,), 0), ((2, 3, 4), 1),
    ((3, 21, 300), 1), ((700, 40), 0), ((2, 16, 5, 7), -3), ((2, 130, 257), 1), ((40, 1, 9), 2), ((6, 1, 5), 1),
]  # fmt: skip


@pytest.fixture(params=SETS, ids=lambda i: _library.SETS[i])
def instructions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Each instruction set of this machine, in the way that takes tensors of any size."""
    assert HERE is not None
    monkeypatch.setattr(_library, "LIBRARY", HERE._replace(instructions=request.param))
    monkeypatch.setattr(_tiny, "_small", None)
    monkeypatch.setattr(_tiny, "MOST_BY_TORCH", 0)
    return request.param


def was_compiled(log_p: Tensor) -> bool:
    assert log_p.grad_fn is not None
    return any(name in log_p.grad_fn.name() for name in ("SmallLogSoftmax", "_LogSoftmaxBackward"))


WAYS = ["any size", pytest.param("small", marks=pytest.mark.skipif(_tiny._small is None, reason="not built"))]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Callable[[Tensor, int], Tensor | None]:
    """The function that may do it: in Python, or in one call of the library for small problems."""
    if request.param == "any size":
        return _log_softmax.log_softmax
    assert _tiny._small is not None
    function = _tiny._small.log_softmax
    return lambda z, dim: function(z, dim, _tiny.MOST)


def by_float64(z: Tensor, dim: int, g: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities and their gradient, where each sum is of positive numbers."""
    x = z.detach().double().requires_grad_()
    log_p = logspace.log_softmax(x, dim)
    return log_p.detach(), torch.autograd.grad(log_p, x, g.double())[0]


def check(way: Callable[[Tensor, int], Tensor | None], z: Tensor, dim: int, g: Tensor) -> None:
    """Sums in float32 err by some ulp; in half precision the result is rounded once more.

    A difference z − m − log s errs by half an ulp of each step, and p by that times p; a gradient by what its two terms
    err, which may cancel.
    """
    x = z.detach().requires_grad_()
    log_p = way(x, dim)
    assert log_p is not None
    (gradient,) = torch.autograd.grad(log_p, x, g)
    exact, slope = by_float64(z, dim, g)
    eps = 0 if z.dtype == torch.float32 else torch.finfo(z.dtype).eps
    tiny = 0 if z.dtype == torch.float32 else torch.finfo(z.dtype).tiny * torch.finfo(z.dtype).eps
    torch.testing.assert_close(log_p.detach().double(), exact.to(z.dtype).double(), rtol=6e-7 + eps, atol=1e-37 + tiny)
    near = 4e-6 * (g.double().abs() + exact.exp() * g.double().abs().sum(dim, keepdim=True))
    wrong = (gradient.double() - slope).abs() > near + eps * slope.abs() + tiny
    assert not wrong.any(), (z.shape, gradient[wrong], slope[wrong])
    without = way(z.detach(), dim)
    assert without is not None
    assert torch.equal(without, log_p)
    assert log_p.dtype == gradient.dtype == z.dtype
    assert log_p.is_contiguous()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "dim"), SHAPES, ids=str)
def test_value_and_gradient_are_what_float64_says(
    shape: tuple[int, ...], dim: int, dtype: torch.dtype, instructions: int
) -> None:
    generator = torch.Generator().manual_seed(math.prod(shape))
    for scale in (1.0, 6.0):
        z = (torch.randn(shape, generator=generator) * scale).to(dtype)
        check(_log_softmax.log_softmax, z, dim, torch.randn(shape, generator=generator).to(dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "dim"), SHAPES, ids=str)
def test_both_ways_give_the_same(shape: tuple[int, ...], dim: int, dtype: torch.dtype) -> None:
    if _tiny._small is None:
        pytest.skip("not built")
    generator = torch.Generator().manual_seed(math.prod(shape))
    z = (torch.randn(shape, generator=generator) * 4).to(dtype).requires_grad_()
    g = torch.randn(shape, generator=generator).to(dtype)
    large, small = _log_softmax.log_softmax(z, dim), _tiny._small.log_softmax(z, dim, _tiny.MOST)
    assert large is not None
    assert small is not None
    assert torch.equal(large, small)
    assert torch.equal(torch.autograd.grad(large, z, g)[0], torch.autograd.grad(small, z, g)[0])


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_hostile_rows_are_as_operators_have_them(across: bool, dtype: torch.dtype, instructions: int) -> None:
    """In rows that end a vector, that fill one and that fill many, where the largest may come late."""
    for repeat in (1, 6, 400):
        z = torch.tensor(HOSTILE).repeat(1, repeat).to(dtype)
        g = torch.linspace(-1.0, 1.0, z.shape[1]).expand_as(z).to(dtype)
        z, g, dim = (z.T.contiguous(), g.T.contiguous(), 0) if across else (z, g, 1)
        x = z.clone().requires_grad_()
        log_p = _log_softmax.log_softmax(x, dim)
        assert log_p is not None
        (gradient,) = torch.autograd.grad(log_p, x, g)
        exact, slope = by_float64(z, dim, g)
        eps = 2e-6 if dtype == torch.float32 else torch.finfo(dtype).eps
        torch.testing.assert_close(log_p.double(), exact.to(dtype).double(), rtol=eps, atol=1e-30, equal_nan=True)
        torch.testing.assert_close(gradient.double(), slope.to(dtype).double(), rtol=eps, atol=4e-5, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("across", [False, True])
def test_what_is_almost_certain_keeps_its_digits(across: bool, dtype: torch.dtype, instructions: int) -> None:
    """log p_k = −log1p(o), G_k = g_k o − p_k Σ_{c≠k} g_c, to rounding, where 1 − p_k would be 0."""
    eps = 2e-6 if dtype == torch.float32 else torch.finfo(dtype).eps
    for gap in (0.5, 1.0, 3.0, 12.0, 40.0) if dtype != torch.float16 else (0.5, 1.0, 3.0, 8.0):
        for classes in (2, 3, 70, 2000):
            z = torch.full((4, classes), -gap).log_softmax(1).sub(gap).to(dtype)  # o = exp(−2 gap), about
            k = torch.tensor([0, 1, classes // 2, classes - 1])
            z[torch.arange(4), k] = 0
            g = torch.zeros(4, classes, dtype=dtype)
            g[:2] = 1e-3
            g[torch.arange(4), k] = -1.0
            z, g, dim = (z.T.contiguous(), g.T.contiguous(), 0) if across else (z, g, 1)
            x = z.requires_grad_()
            log_p = _log_softmax.log_softmax(x, dim)
            assert log_p is not None
            (gradient,) = torch.autograd.grad(log_p, x, g)
            exact, slope = by_float64(z, dim, g)
            torch.testing.assert_close(log_p.double(), exact.to(dtype).double(), rtol=eps, atol=0)
            torch.testing.assert_close(gradient.double(), slope.to(dtype).double(), rtol=2 * eps, atol=0)


def test_half_precision_rounds_a_gradient_once(instructions: int) -> None:
    """Of log p that was rounded to bfloat16, exp has no digit left at −60."""
    z = torch.tensor([[0.0, -61.3, -3.1]], dtype=torch.bfloat16, requires_grad=True)
    g = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.bfloat16)
    for axis, x in ((1, z), (0, z.T)):
        log_p = _log_softmax.log_softmax(x, axis)
        assert log_p is not None
        (gradient,) = torch.autograd.grad(log_p, z, g if axis else g.T)
        assert torch.equal(gradient, by_float64(z, 1, g)[1].bfloat16())


def test_no_logarithm_is_a_negative_zero() -> None:
    for z in (torch.tensor([[60.0, -60.0]]), torch.tensor([[5.0]]), torch.tensor([[200.0, 0.0]])):
        log_p = F.log_softmax(z, 1)
        assert not (log_p == 0).logical_and(log_p.signbit()).any()


def test_no_result_depends_on_the_number_of_threads(instructions: int) -> None:
    before = torch.get_num_threads()
    for shape in [(999, 517), (3, 21, 4000), (7, 40000)]:
        z, g, results = torch.randn(shape, requires_grad=True), torch.randn(shape), []
        try:
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                log_p = _log_softmax.log_softmax(z, 1)
                assert log_p is not None
                results.append((log_p.detach(), torch.autograd.grad(log_p, z, g)[0]))
        finally:
            torch.set_num_threads(before)
        assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other))


def test_any_strides_and_offsets(way: Callable[[Tensor, int], Tensor | None]) -> None:
    generator = torch.Generator().manual_seed(0)
    big = torch.randn(12, 40, 9, generator=generator) * 3
    views = [
        big, big[:, 1:31, 3], big[..., 0].T, big.flatten()[3:363].view(12, 30), big[:, :1].expand(12, 7, 9),
        big.movedim(1, 2).contiguous().movedim(2, 1), big[:, :, ::2], big[3], big[:, 0, 0], big[0, 0, :1].expand(5),
        torch.complex(big, -big).conj().imag,
    ]  # fmt: skip
    for z in views:
        for dim in range(-z.dim(), z.dim()):
            upstreams = [torch.randn(z.shape, generator=generator), torch.tensor(2.0).expand(z.shape)]
            upstreams += [torch.randn((*z.shape, 2), generator=generator)[..., 1]]
            for g in upstreams:
                x = z.detach().requires_grad_()
                log_p = F.log_softmax(x, dim)
                exact, slope = by_float64(z, dim, g)
                torch.testing.assert_close(log_p.double(), exact, rtol=2e-6, atol=0)
                torch.testing.assert_close(torch.autograd.grad(log_p, x, g)[0].double(), slope, rtol=1e-5, atol=4e-6)
                assert log_p.stride() == torch.log_softmax(z, dim).stride()
            if not z.is_neg():
                check(way, z, dim, upstreams[0])


@pytest.mark.skipif(sys.platform != "linux", reason="mprotect")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("at_end", [False, True])
def test_nothing_beside_the_tensors_is_touched(
    dtype: torch.dtype, at_end: bool, instructions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = dtype != torch.float32
    for shape in [(1, 1), (3, 7), (2, 15), (2, 16), (2, 17), (5, 63), (3, 100), (1, 3, 5), (2, 5, 17), (1, 2, 300)]:
        like, rows = (torch.randn(shape) * 4).to(dtype), math.prod(shape) // shape[1]
        size = like.nbytes
        with (
            guarded(size, at_end) as a, guarded(size, at_end) as b, guarded(size, at_end) as c,
            guarded(size, at_end) as d, guarded(8 * rows, at_end) as e,
        ):  # fmt: skip
            z, log_p, g, slope = _at(a, like), _at(b, like), _at(c, like.flip(1)), _at(d, like)
            numbers = _at(e, torch.zeros(2, rows))
            for far in (1 << 60, 0):  # near, and past the caches
                monkeypatch.setattr(_library, "FAR", far)
                monkeypatch.setattr(_library, "LONG", far)
                _log_softmax._do(_log_softmax._NORMALISE, 1, z, log_p, numbers if half else None)
                _log_softmax._do(_log_softmax._PROJECT, 1, z if half else log_p, slope, numbers if half else None, g)
                exact, right = by_float64(like, 1, like.flip(1))
                eps = torch.finfo(dtype).eps
                torch.testing.assert_close(log_p.double(), exact, rtol=1e-6 + eps, atol=1e-6)
                torch.testing.assert_close(slope.double(), right, rtol=1e-5 + eps, atol=1e-5)
            del z, log_p, g, slope, numbers


# --- promises -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("dim", [0, 1])
def test_derivatives_of_any_order(dim: int, dtype: torch.dtype, way: Callable[[Tensor, int], Tensor | None]) -> None:
    """Those of the composition in float64; with a class that is almost certain."""
    z = (torch.randn(5, 4, generator=torch.Generator().manual_seed(1)) * 2).to(dtype)
    z[1, 2] = 9

    def derivatives(function: Callable[[Tensor, int], Tensor | None], dtype: torch.dtype) -> list[Tensor]:
        x = z.detach().to(dtype).requires_grad_()
        g = torch.linspace(-1.0, 2.0, 20, dtype=dtype).view(5, 4).requires_grad_()
        log_p = function(x, dim)
        assert log_p is not None
        (first,) = torch.autograd.grad(log_p, x, g, create_graph=True)
        second = torch.autograd.grad(first.square().sum(), (x, g), create_graph=True)
        third = torch.autograd.grad(second[0].square().sum(), x)
        return [v.detach().double() for v in (log_p, first, *second, *third)]

    ours, exact = derivatives(way, dtype), derivatives(logspace.log_softmax, torch.float64)
    eps = 2e-6 if dtype == torch.float32 else torch.finfo(dtype).eps
    for a, b in zip(ours, exact):
        torch.testing.assert_close(a, b, rtol=8 * eps, atol=8 * eps * b.abs().max().item())


def test_the_gradient_that_can_be_differentiated_keeps_its_digits(way: Callable[[Tensor, int], Tensor | None]) -> None:
    for dtype in DTYPES:
        z = torch.tensor([[9.0, 0.0, -3.0]], dtype=dtype, requires_grad=True)
        log_p = way(z, 1)
        assert log_p is not None
        g = torch.tensor([[1.0, 0.0, 0.0]], dtype=dtype)
        (first,) = torch.autograd.grad(log_p, z, g, create_graph=True)
        (second,) = torch.autograd.grad(first[0, 0], z)
        x = z.detach().double().requires_grad_()
        (exact,) = torch.autograd.grad(logspace.log_softmax(x, 1), x, g.double(), create_graph=True)
        eps = 2e-6 if dtype == torch.float32 else 2 * torch.finfo(dtype).eps
        torch.testing.assert_close(first.double(), exact, rtol=eps, atol=0)
        torch.testing.assert_close(second.double(), torch.autograd.grad(exact[0, 0], x)[0], rtol=2 * eps, atol=0)


def test_graphs_serve_as_often_as_they_are_kept(way: Callable[[Tensor, int], Tensor | None]) -> None:
    for dtype in DTYPES:
        z = torch.randn(6, 5).to(dtype).requires_grad_()
        log_p, g = way(z, 1), torch.randn(6, 5).to(dtype)
        assert log_p is not None
        first, second = (torch.autograd.grad(log_p, z, g, retain_graph=keep)[0] for keep in (True, False))
        assert torch.equal(first, second)
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            torch.autograd.grad(log_p, z, g)


def test_changes_in_place_are_seen_as_torch_sees_them(way: Callable[[Tensor, int], Tensor | None]) -> None:
    """float32 has kept the result, half precision the logits; what is kept must not change, the other may."""
    for dtype in DTYPES:
        z = torch.randn(6, 5).to(dtype).requires_grad_()
        (right,) = torch.autograd.grad(F.log_softmax(z, 1)[0, 0], z)
        for change_result in (False, True):
            x = z * 1
            log_p = way(x, 1)
            assert log_p is not None
            one = log_p[0, 0].clone()
            (log_p if change_result else x).mul_(2)
            if change_result == (dtype == torch.float32):
                with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                    torch.autograd.grad(one, z)
            else:
                assert torch.equal(torch.autograd.grad(one, z)[0], right)


def test_batches_of_upstreams(way: Callable[[Tensor, int], Tensor | None]) -> None:
    for dtype in (torch.float32, torch.float16):
        z, eye = torch.randn(3, 4).to(dtype).requires_grad_(), torch.eye(12).view(12, 3, 4).to(dtype)
        log_p = way(z, 1)
        assert log_p is not None
        (jacobian,) = torch.autograd.grad(log_p, z, eye, is_grads_batched=True, retain_graph=True)
        expected = torch.stack([torch.autograd.grad(log_p, z, g, retain_graph=True)[0] for g in eye])
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(jacobian, expected, rtol=4 * eps, atol=eps)
        mapped = torch.func.vmap(lambda g, a=log_p, b=z: torch.autograd.grad(a, b, g, retain_graph=True)[0])(eye)
        torch.testing.assert_close(mapped, expected, rtol=4 * eps, atol=eps)


def test_hooks_may_save_what_they_like() -> None:
    z = torch.randn(6, 5, requires_grad=True)
    (right,) = torch.autograd.grad(F.log_softmax(z, 1)[0, 0], z)
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        with torch.autograd.graph.saved_tensors_hooks(lambda x, to=dtype: x.to(to), lambda x: x):
            log_p = F.log_softmax(z, 1)
            (found,) = torch.autograd.grad(log_p[0, 0], z)
        torch.testing.assert_close(found, right, rtol=2e-2, atol=2e-2)
        for half in (z.detach().half().requires_grad_(), z.detach().bfloat16().requires_grad_()):
            with torch.autograd.graph.saved_tensors_hooks(lambda x, to=dtype: x.to(to), lambda x: x):
                (found,) = torch.autograd.grad(F.log_softmax(half, 1)[0, 0], half)
            torch.testing.assert_close(found.float(), right, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(checkpoint(F.log_softmax, z, 1, use_reentrant=False), torch.log_softmax(z, 1))


# --- what is left to operators ------------------------------------------------------------------------------------


def _as_fake(see: Callable[[Tensor], None], z: Tensor) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        see(z)


def _in_mode(see: Callable[[Tensor], None], z: Tensor) -> None:
    with FlopCounterMode(display=False):
        see(z)


def _in_dual_level(see: Callable[[Tensor], None], z: Tensor) -> None:
    with forward_ad.dual_level():
        see(z)


def _in_transform(see: Callable[[Tensor], None], z: Tensor) -> None:
    torch.func.grad(lambda x: (see(x), see(z), x.sum())[2])(z.detach())
    torch.func.vmap(lambda x: (see(x), see(z), x.sum())[2])(z.detach())


def _in_trace(see: Callable[[Tensor], None], z: Tensor) -> None:
    torch.jit.trace(lambda x: (see(x), x.sum())[1], z.detach(), check_trace=False)


def _is_not_plain(see: Callable[[Tensor], None], z: Tensor) -> None:
    x = z.detach()
    others = [x.double(), x.long(), x.to("meta"), x.to_sparse(), TwoTensor(x, x), x[:0], x[:, :0], x.sum()]
    for other in others:
        see(other)


@pytest.mark.parametrize(
    "watched", [_as_fake, _in_mode, _in_dual_level, _in_transform, _in_trace, _is_not_plain], ids=lambda f: f.__name__
)
def test_who_watches_sees_operators(
    watched: Callable[[Callable[[Tensor], None], Tensor], None], way: Callable[[Tensor, int], Tensor | None]
) -> None:
    seen: list[Tensor | None] = []
    z = torch.randn(3, 4, requires_grad=True)
    watched(lambda x: seen.append(way(x, 0)), z)
    assert seen
    assert all(x is None for x in seen)
    assert way(z, 1) is not None
    assert way(torch.nn.Parameter(z), 1) is not None


def test_the_rest_is_as_it_was() -> None:
    z = torch.randn(3, 4)
    x = z.clone().requires_grad_()
    assert was_compiled(F.log_softmax(x, 1))
    assert was_compiled(F.log_softmax(torch.randn(1025, 1024, requires_grad=True), 0))
    expected = torch.log_softmax(z, 1)
    (tangent,) = torch.func.jvp(lambda v: F.log_softmax(v, 1), (z,), (z,))[1:]
    torch.testing.assert_close(tangent, torch.func.jvp(lambda v: torch.log_softmax(v, 1), (z,), (z,))[1])
    torch.testing.assert_close(torch.func.vmap(lambda v: F.log_softmax(v, 0))(z), expected)
    torch.testing.assert_close(torch.compile(F.log_softmax, backend="eager", fullgraph=True)(x, 1), expected)
    with torch.no_grad():
        assert not F.log_softmax(x, 1).requires_grad
    with torch.inference_mode():
        assert F.log_softmax(x, 1).is_inference()
    with torch.autocast("cpu", torch.bfloat16):
        found = F.log_softmax(x.bfloat16(), 1)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.log_softmax(z.bfloat16().float(), 1))
    wide = F.log_softmax(x.bfloat16(), 1, dtype=torch.float32)
    assert wide.dtype == torch.float32
    assert torch.autograd.grad(wide.sum(), x)[0].dtype == torch.float32
    for shape, dim in (((0, 3), 1), ((3, 0), 1), ((), 0), ((), -1)):
        assert torch.equal(F.log_softmax(torch.zeros(shape), dim), torch.log_softmax(torch.zeros(shape), dim))
    for bad in (2, -3):
        with pytest.raises(IndexError, match=f"dim is {bad}"):
            F.log_softmax(z, bad)
    with pytest.raises(TypeError, match="_stacklevel"):
        F.log_softmax(z, 1, torch.float64)  # pyright: ignore[reportArgumentType]


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch looks at what is saved
def test_compiled_autograd_takes_both_nodes() -> None:
    from torch._dynamo.compiled_autograd import _enable

    for shape in ((3, 4), (1025, 1024)):
        z, g = torch.randn(shape, requires_grad=True), torch.randn(shape)
        log_p = F.log_softmax(z, 1)
        assert was_compiled(log_p)
        with _enable(torch.compile(backend="eager")):
            log_p.backward(g)
        assert z.grad is not None
        torch.testing.assert_close(z.grad, torch.autograd.grad(torch.log_softmax(z, 1), z, g)[0], rtol=1e-4, atol=1e-5)


def test_without_the_library_torch_does_it_where_no_class_is_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tiny, "_small", None)
    for dtype in (torch.float32, torch.float64):
        z = torch.zeros(3, 4, dtype=dtype)
        assert _tiny.log_softmax(z, 1) is not None
        z[1, 2] = 2
        assert _tiny.log_softmax(z, 1) is None
        z[1, 2] = NAN
        assert _tiny.log_softmax(z, 1) is None
        z[1, 2] = -INF
        assert _tiny.log_softmax(z, 1) is not None
    assert _tiny.log_softmax(torch.zeros(3, 4).half(), 1) is None
    assert _tiny.log_softmax(torch.zeros(1 << 17, 2), 1) is None
    assert _tiny.log_softmax(torch.zeros(3, 0), 1) is None


PROGRAM = """
import torch
from crossentropy import functional as F
from crossentropy._backends.native import _log_softmax
z = torch.tensor([[60.0, 0.0]], requires_grad=True)
log_p = F.log_softmax(z, 1)
gradient, = torch.autograd.grad(log_p[0, 0], z)
print(_log_softmax.log_softmax(z, 1) is None, *log_p.tolist()[0], *gradient.tolist()[0])
"""


@pytest.mark.parametrize("switch", ["0", ""])
def test_the_switch_switches_it_off(switch: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"CROSSENTROPY_NATIVE": switch}, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    tiny = math.exp(-60)
    assert told[0] == str(switch == "0")
    assert [float(x) for x in told[1:]] == pytest.approx([-tiny, -60.0, tiny, -tiny], rel=2e-6)
