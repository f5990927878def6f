"""The compiled library: its numbers on each instruction set, for any shapes, strides and threads; and its absence."""

import contextlib
import ctypes
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as TF
from torch import Tensor

from crossentropy import Options
from crossentropy import functional as F
from crossentropy._backends.compiled import Job, Task
from crossentropy._backends.native import _library, _small, eligible
from crossentropy._loss import Loss, LossSpec, Side

NATIVE, REFERENCE = Options("native"), Options("reference")
HERE = _library.LIBRARY
SETS = [] if HERE is None else [i for i in range(1, len(_library.SETS)) if HERE.functions.crossentropy_isa(i) == i]
INF, NAN = float("inf"), float("nan")

pytestmark = pytest.mark.skipif(HERE is None, reason=_library.MISSING)


@pytest.fixture(params=SETS, ids=lambda i: _library.SETS[i])
def instructions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Each instruction set of this machine."""
    assert HERE is not None
    monkeypatch.setattr(_library, "LIBRARY", HERE._replace(instructions=request.param))
    return request.param


OPTIONS = [
    {},
    {"label_smoothing": 0.1},
    {"z_loss": 1e-2},
    {"softcap": 5.0},
    {"logit_scale": 0.5},
    {"weight": True},
    {"weight": True, "label_smoothing": 0.2, "z_loss": 1e-3, "softcap": 7.0, "logit_scale": 2.0},
]
SHAPES = [
    (5, 1), (5, 2), (33, 17), (4, 1000), (3, 32003), (1, 4099),
    (2, 5, 7), (3, 21, 300), (2, 3, 1), (1, 700, 40), (2, 16, 16, 16), (2, 130, 257),
]  # fmt: skip


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_option_is_what_float64_says(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Sums in float32 err by an ulp or two; a gradient is rounded once to its dtype."""
    generator = torch.Generator().manual_seed(len(shape) * shape[1])
    z = (torch.randn(shape, generator=generator) * 4).to(dtype)
    y = torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
    y.view(-1)[-1] = -100
    w = torch.rand(shape[1], generator=generator) + 0.1
    for options in OPTIONS:
        chosen = {**options, "weight": w if options.get("weight") else None}
        exactly = {**chosen, "weight": None if chosen["weight"] is None else w.double()}
        x, e = z.clone().requires_grad_(), z.double().requires_grad_()
        loss = F.cross_entropy(x, y, reduction="none", options=NATIVE, **chosen)
        exact = F.cross_entropy(e, y, reduction="none", options=REFERENCE, **exactly)
        upstream = torch.rand(loss.shape, generator=generator)
        (of_x,) = torch.autograd.grad(loss, x, upstream.to(loss.dtype))
        (of_e,) = torch.autograd.grad(exact, e, upstream.to(loss.dtype).double())
        eps = torch.finfo(dtype).eps
        # the sum over classes and the logarithm; then the rounding to the loss's dtype
        torch.testing.assert_close(loss.double(), exact, rtol=8e-7 + eps, atol=2e-6 * shape[1] ** 0.5 / 100)
        torch.testing.assert_close(of_x.double(), of_e, rtol=8e-6 + eps, atol=4e-7 + eps * torch.finfo(dtype).tiny)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_class_probabilities_are_what_float64_says(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """In the logits' dtype, and in float32."""
    generator = torch.Generator().manual_seed(len(shape) * shape[1])
    z = (torch.randn(shape, generator=generator) * 4).to(dtype)
    w = torch.rand(shape[1], generator=generator) + 0.1
    for i, options in enumerate(OPTIONS):
        p = (torch.randn(shape, generator=generator) * 3).softmax(1).to(dtype if i % 2 else torch.float32)
        chosen = {**options, "weight": w if options.get("weight") else None}
        exactly = {**chosen, "weight": None if chosen["weight"] is None else w.double()}
        x, e = z.clone().requires_grad_(), z.double().requires_grad_()
        loss = F.cross_entropy(x, p, reduction="none", options=NATIVE, **chosen)
        exact = F.cross_entropy(e, p.double(), reduction="none", options=REFERENCE, **exactly)
        upstream = torch.rand(loss.shape, generator=generator).to(loss.dtype)
        (of_x,) = torch.autograd.grad(loss, x, upstream)
        (of_e,) = torch.autograd.grad(exact, e, upstream.double())
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(loss.double(), exact, rtol=2e-6 + eps, atol=2e-6 * shape[1] ** 0.5 / 100)
        torch.testing.assert_close(of_x.double(), of_e, rtol=8e-6 + eps, atol=8e-7 + eps * torch.finfo(dtype).tiny)


@pytest.mark.usefixtures("instructions")
def test_statistics_are_what_float64_says() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in SHAPES:
        z = torch.randn(shape, generator=generator) * 4
        y = torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
        y.view(-1)[-1] = -100
        for target in (y, None):
            for softcap in (None, 6.0):
                x, e = z.clone().requires_grad_(), z.double().requires_grad_()
                ours, exact = (
                    F.token_statistics(v, target, softcap=softcap, dim=1, options=o)
                    for v, o in ((x, NATIVE), (e, REFERENCE))
                )
                assert torch.equal(ours.argmax, exact.argmax)
                total, expected = z.new_zeros(()), e.new_zeros(())
                for name in ("log_prob", "entropy", "logsumexp"):
                    a, b = getattr(ours, name), getattr(exact, name)
                    if a is None:
                        continue
                    torch.testing.assert_close(a.double(), b, rtol=2e-6, atol=4e-6)
                    c = torch.rand(a.shape, generator=generator)
                    total, expected = total + (c * a).sum(), expected + (c.double() * b).sum()
                (of_x,), (of_e,) = torch.autograd.grad(total, x), torch.autograd.grad(expected, e)
                torch.testing.assert_close(of_x.double(), of_e, rtol=2e-5, atol=2e-6)


HOSTILE = [
    [0.0, -INF, 1.0], [-INF] * 3, [INF, 0.0, 1.0], [NAN, 0.0, 1.0], [INF, INF, 0.0], [INF, -INF, NAN],
    [torch.finfo().min] * 3, [torch.finfo().min, 0.0, -INF], [torch.finfo().max, 0.0, 1.0], [torch.finfo().max] * 3,
    [0.0, -60.0, -100.0], [0.0, -110.0, -131.0], [1e30, -1e30, 0.0], [-0.0, 0.0, 1e-45], [88.0, 89.0, -89.0],
]  # fmt: skip


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o) or "plain")
def test_hostile_rows_are_as_the_chunked_backend_has_them(options: dict, across: bool) -> None:
    """In rows that end a vector, that fill one and that fill many; each class is once the label."""
    for repeat in (1, 6, 400):
        z = torch.tensor(HOSTILE).repeat(3, repeat)
        y = torch.arange(3).repeat_interleave(len(HOSTILE))
        w = torch.linspace(0.0, 1.0, z.shape[1])
        chosen = {**options, "weight": w if options.get("weight") else None}
        z, y = (z.T.unsqueeze(0).contiguous(), y.unsqueeze(0)) if across else (z, y)
        found = []
        for backend in ("native", "chunked"):
            x = z.clone().requires_grad_()
            loss = F.cross_entropy(x, y, reduction="none", options=Options(backend), **chosen)
            found.append((loss.detach(), torch.autograd.grad(loss.sum(), x)[0]))
        (loss, gradient), (expected, slope) = found
        torch.testing.assert_close(loss, expected, rtol=4e-6, atol=0, equal_nan=True)
        torch.testing.assert_close(gradient, slope, rtol=8e-6, atol=1e-30 if not options else 1e-6, equal_nan=True)


@pytest.mark.usefixtures("instructions")
def test_what_does_not_count_is_not_read() -> None:
    """Ignored rows, those of coefficient 0: nothing that is in them shows."""
    for shape in [(6, 50), (2, 50, 3)]:
        z = torch.randn(shape)
        y = torch.randint(50, (shape[0], *shape[2:]))
        y.view(-1)[:3] = -100
        index = (slice(0, 3),) if len(shape) == 2 else (0,)
        z[index] = NAN
        z.requires_grad_()
        loss = F.cross_entropy(z, y, options=NATIVE)
        (gradient,) = torch.autograd.grad(loss, z)
        assert loss.isfinite()
        assert gradient.isfinite().all()
        assert not gradient[index].any()


@pytest.mark.usefixtures("instructions")
def test_no_result_depends_on_the_number_of_threads() -> None:
    before = torch.get_num_threads()
    for shape in [(999, 517), (3, 21, 4000), (7, 40000)]:
        z, y = torch.randn(shape, requires_grad=True), torch.randint(shape[1], (shape[0], *shape[2:]))
        results = []
        try:
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                loss = F.cross_entropy(z, y, reduction="none", options=NATIVE)
                results.append((loss.detach(), torch.autograd.grad(loss.sum(), z)[0]))
        finally:
            torch.set_num_threads(before)
        assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other))


@pytest.mark.usefixtures("instructions")
def test_any_strides_and_offsets() -> None:
    generator = torch.Generator().manual_seed(0)
    big = torch.randn(12, 40, 9, generator=generator)
    y = torch.randint(30, (12,), generator=generator)
    views = [
        big[:, :30, 0], big[:, 1:31, 3], big.movedim(1, 0)[:30, :, 2].T, big.flatten()[3 : 3 + 12 * 30].view(12, 30),
        big[::2, :30, 4].repeat_interleave(2, 0), big[:, :30, 0].expand(12, 30), big[0, :30, 0].expand(12, 30),
    ]  # fmt: skip
    for view in views:
        x = view.detach().requires_grad_()
        ours, exact = (F.cross_entropy(x, y, options=o) for o in (Options(), REFERENCE))
        torch.testing.assert_close(ours, exact)
        torch.testing.assert_close(torch.autograd.grad(ours, x), torch.autograd.grad(exact, x))
    y = torch.randint(40, (12, 9), generator=generator)
    spatial = [big, big.movedim(1, 2).contiguous().movedim(2, 1), big.flip(2), big[:, :, ::2].repeat(1, 1, 2)[:, :, :9]]
    for view in spatial:
        x = view.detach().requires_grad_()
        ours, exact = (F.cross_entropy(x, y, options=o) for o in (Options(), REFERENCE))
        torch.testing.assert_close(ours, exact)
        torch.testing.assert_close(torch.autograd.grad(ours, x), torch.autograd.grad(exact, x))


@pytest.mark.usefixtures("instructions")
def test_what_is_expanded_is_read_where_it_is() -> None:
    """Labels, class weights and token weights that are one number in memory; an axis of 1 with any stride."""
    z = torch.randn(64, 300, generator=torch.Generator().manual_seed(0))
    of_rows, of_classes = torch.tensor(7).expand(64), torch.tensor([2.0]).expand(300)
    for target in (of_rows, torch.arange(64)):
        for options in (
            {},
            {"weight": of_classes, "label_smoothing": 0.1},
            {"token_weight": torch.tensor(2.0).expand(64)},
        ):
            for reduction in ("none", "mean"):
                x, e = (v.detach().requires_grad_() for v in (z, z.double()))
                wide = {k: v.double() if isinstance(v, Tensor) else v for k, v in options.items()}
                ours = F.cross_entropy(x, target, **options, reduction=reduction, options=NATIVE)
                exact = F.cross_entropy(e, target, **wide, reduction=reduction, options=REFERENCE)
                torch.testing.assert_close(ours.double(), exact, rtol=2e-6, atol=2e-6)
                slope, right = torch.autograd.grad(ours.sum(), x)[0], torch.autograd.grad(exact.sum(), e)[0]
                torch.testing.assert_close(slope.double(), right, rtol=2e-5, atol=2e-6)
        ours, exact = (F.token_statistics(v, target, options=o) for v, o in ((z, NATIVE), (z.double(), REFERENCE)))
        assert ours.log_prob is not None
        torch.testing.assert_close(ours.log_prob.double(), exact.log_prob, rtol=2e-6, atol=4e-6)
    images = torch.randn(4, 30, 40)[:, :, ::2].unsqueeze(-1)
    y = torch.randint(30, (4, 20, 1))
    ours, exact = (F.cross_entropy(images, y, z_loss=1e-3, options=o) for o in (Options(), REFERENCE))
    torch.testing.assert_close(ours, exact)


def test_logits_whose_sign_is_a_bit_of_the_tensor() -> None:
    """Views of conjugates are negated when they are read, which no pointer tells."""
    z, y = torch.randn(4, 300), torch.arange(4)
    for shape in (z, z.view(4, 3, 100)):
        target = y if shape.dim() == 2 else y[:, None].expand(4, 100) % 3
        exact = F.cross_entropy(-shape, target, options=REFERENCE)
        torch.testing.assert_close(F.cross_entropy(torch._neg_view(shape), target, options=NATIVE), exact)
        torch.testing.assert_close(F.log_softmax(torch._neg_view(shape), 1), torch.log_softmax(-shape, 1))


@contextlib.contextmanager
def guarded(size: int, at_end: bool) -> Iterator[int]:
    """An address of `size` bytes that end, or begin, beside a page that nobody may touch."""
    page = mmap.PAGESIZE
    room = -(-size // page) * page
    area = mmap.mmap(-1, room + 2 * page)
    first = ctypes.addressof(ctypes.c_char.from_buffer(area))
    protect = ctypes.CDLL(None).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for guard in (first, first + page + room):
        assert protect(guard, page, 0) == 0
    try:
        yield first + page + (room - size if at_end else 0)
    finally:
        for guard in (first, first + page + room):
            protect(guard, page, mmap.PROT_READ | mmap.PROT_WRITE)


def _at(address: int, like: Tensor) -> Tensor:
    """A tensor at an address."""
    buffer = (ctypes.c_char * like.nbytes).from_address(address)
    return torch.frombuffer(buffer, dtype=like.dtype).view(like.shape).copy_(like)


@pytest.mark.skipif(sys.platform != "linux", reason="mprotect")
@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("at_end", [False, True])
def test_nothing_beside_the_logits_is_touched(
    dtype: torch.dtype, at_end: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shape in [(1, 1), (3, 7), (2, 15), (2, 16), (2, 17), (5, 63), (3, 100), (1, 3, 5), (2, 5, 17), (1, 2, 300)]:
        like = torch.randn(shape).to(dtype)
        rows = like.numel() // shape[1]
        spec, label = LossSpec(1, shape[1], False, torch.float32), torch.zeros(rows, dtype=torch.int64)
        with guarded(like.nbytes, at_end) as logits, guarded(like.nbytes, at_end) as gradient:
            z, g = _at(logits, like), _at(gradient, like)
            for far in (1 << 60, 0):  # near, and past the caches
                monkeypatch.setattr(_library, "FAR", far)
                monkeypatch.setattr(_library, "LONG", far)
                loss, ones = torch.empty(rows), torch.ones(1).expand(rows)
                _library.run(Job(Task.COMPLETE, spec, z, g, 0, label=label, coefficient=ones, loss=loss))
                expected = TF.cross_entropy(
                    like.float(), torch.zeros(shape[:1] + shape[2:], dtype=torch.int64), reduction="none"
                )
                torch.testing.assert_close(loss, expected.flatten())
            del z, g


def test_heads_and_blocks_of_classes_are_as_with_torchs_operators() -> None:
    generator = torch.Generator().manual_seed(0)
    h, w = torch.randn(70, 24, generator=generator), torch.randn(300, 24, generator=generator) / 4
    y = torch.randint(300, (70,), generator=generator)
    y[3] = -100
    c = torch.rand(300, generator=generator) + 0.1
    for options in OPTIONS:
        chosen = {**options, "weight": c if options.get("weight") else None}
        for dtype in (torch.float32, torch.bfloat16):
            for budget in (1, 20_000, None):
                found = []
                for backend in ("native", "chunked"):
                    a, b = (x.to(dtype).requires_grad_() for x in (h.clone(), w.clone()))
                    how = Options(backend, budget)
                    loss = F.linear_cross_entropy(a, b, y, options=how, **chosen)
                    with torch.no_grad():
                        alone = F.linear_cross_entropy(a, b, y, options=how, **chosen)
                    found.append([loss.detach(), alone, *torch.autograd.grad(loss, (a, b))])
                eps = 4e-6 if dtype == torch.float32 else 2**-7
                for ours, theirs in zip(*found):
                    near = eps * theirs.abs().max().item()
                    torch.testing.assert_close(ours, theirs, rtol=eps, atol=near)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_a_head_against_probabilities_of_any_dtype(dtype: torch.dtype) -> None:
    """Also where its products are in another dtype than all tensors."""
    generator = torch.Generator().manual_seed(0)
    h, w = torch.randn(9, 8, generator=generator).half(), torch.randn(50, 8, generator=generator).half()
    p = torch.randn(9, 50, generator=generator).softmax(1).to(dtype)
    found = []
    for backend in ("native", "chunked"):
        a, b = h.clone().requires_grad_(), w.clone().requires_grad_()
        loss = F.linear_cross_entropy(a, b, p, options=Options(backend))
        found.append([loss.detach(), *torch.autograd.grad(loss, (a, b))])
    for ours, theirs in zip(*found):
        torch.testing.assert_close(ours, theirs, rtol=2**-10, atol=2**-24)


def test_what_it_cannot_do_it_says() -> None:
    z, y = torch.randn(4, 5), torch.tensor([0, 1, 2, 3])
    spec = LossSpec(1, 5, False, torch.float32)
    loss = Loss("cross_entropy", (Side(z, None, None, spec),), z.shape, y)
    assert eligible(loss) == ()
    cases = {
        "reads probabilities of torch.float32 or torch.bfloat16, not torch.float64": loss._replace(
            sides=(Side(z.bfloat16(), None, None, LossSpec(1, 5, True, torch.float32)),), target=z.double()
        ),
        "not with other logits": loss._replace(kind="divergence"),
        "sums in float32, this loss in float64": loss._replace(
            sides=(Side(z.double(), None, None, LossSpec(1, 5, False, torch.float64)),)
        ),
        "lie together": loss._replace(sides=(Side(torch.randn(5, 4).T, None, None, spec),)),
        "for CPUs, and the logits are on meta": loss._replace(sides=(Side(z.to("meta"), None, None, spec),)),
    }
    for reason, case in cases.items():
        assert any(reason in found for found in eligible(case)), eligible(case)
    with pytest.raises(ValueError, match="backend 'native' cannot execute this loss: compiled code sums in float32"):
        F.cross_entropy(z.double(), y, options=NATIVE)


def test_a_label_out_of_range_raises_before_anything_is_returned() -> None:
    with pytest.raises(IndexError, match="7"):
        F.cross_entropy(torch.randn(3, 5), torch.tensor([0, 7, 1]), options=NATIVE)


PROGRAM = """
import logging, sys, torch
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(message)s")
import crossentropy.functional as F
from crossentropy import Options
z, y = torch.zeros(2, 3), torch.tensor([0, 1])
F.cross_entropy(z, y, z_loss=0.1)
try:
    F.cross_entropy(z, y, options=Options("native"))
except ValueError as error:
    print(error)
"""


def _run(**environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | environment, capture_output=True, text=True, check=True
    ).stdout


def test_without_the_library_torchs_operators_do_it() -> None:
    told = _run(CROSSENTROPY_NATIVE="0")
    assert "by chunked, because CROSSENTROPY_NATIVE=0 switches the compiled library off" in told
    assert "backend 'native' cannot execute this loss: CROSSENTROPY_NATIVE=0 switches" in told
    assert "by native\n" in _run(CROSSENTROPY_NATIVE="")


@pytest.mark.skipif(sys.platform != "linux", reason="memory that is not touched must cost nothing")
@pytest.mark.parametrize("shape", [(3, 100), (2, 5, 33)], ids=str)
def test_logits_further_apart_than_32_bits_count(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    whole = torch.empty((1 << 31) + 4096, dtype=torch.bfloat16)
    strides = ((1 << 30) + 7, 1) if len(shape) == 2 else ((1 << 31) + 9, 40, 1)
    far = whole.as_strided(shape, strides).copy_(torch.randn(shape, generator=generator))
    y = torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
    found = []
    for x in (far, far.clone()):
        leaf = x.detach().requires_grad_()
        loss = F.cross_entropy(leaf, y, options=NATIVE)
        found.append((loss.detach(), *torch.autograd.grad(loss, leaf)))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


def test_a_library_of_another_version_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    header = (Path(__file__).parents[1] / "src/crossentropy/_backends/native/csrc/job.h").read_text("utf-8")
    assert f"#define VERSION {_library.VERSION}" in header.splitlines()
    for module in (_library, _small):
        monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    with caplog.at_level("DEBUG", "crossentropy"):
        library, why = _library._load()
        assert _small.load(*[lambda *_: None] * 3) is None  # pyright: ignore[reportArgumentType]
    assert library is None
    assert "is of another version of this package" in why
    assert "is of another version of this package" in caplog.text


@pytest.mark.parametrize("backend", ["native", "chunked", "reference"])
def test_values_are_read_where_torch_keeps_them_negated(backend: str) -> None:
    generator = torch.Generator().manual_seed(0)
    z, y = torch.randn(6, 9, generator=generator), torch.randint(1, 9, (6,), generator=generator)
    h, head, w = (torch.randn(*shape, generator=generator).abs() for shape in ((6, 4), (9, 4), (9,)))
    p, how = torch.randn(6, 9, generator=generator).softmax(1), Options(backend)

    def negated(x: Tensor, padded: bool = False) -> Tensor:
        whole = torch._neg_view(torch.cat([-x, -x], -1) if padded else -x)
        return whole[..., : x.shape[-1]]

    calls = [
        lambda f: F.cross_entropy(f(z), f(y), f(w), options=how),
        lambda f: F.cross_entropy(f(z), f(p), f(w), label_smoothing=0.1, options=how),
        lambda f: F.cross_entropy(f(z.bfloat16()), f(y), token_weight=f(w[:6]), label_smoothing=0.1, options=how),
        lambda f: F.linear_cross_entropy(f(h), f(head), f(y), weight=f(w), options=how),
        lambda f: F.log_softmax(f(z), 1),
    ]
    for call in calls:
        for padded in (False, True):
            torch.testing.assert_close(call(lambda x, padded=padded: negated(x, padded)), call(lambda x: x))
