"""Losses on a GPU: what only one can show, and what must be the same there.

Tests of values run on a CPU too, by the backend that is chosen there, and those of sizes with small ones. The others
need a GPU.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as TF
from torch import Tensor

from crossentropy import Options, _benchmark
from crossentropy import functional as F
from crossentropy._benchmark import Case
from crossentropy.testing import hostile_logits

BFLOAT16, FLOAT32 = torch.bfloat16, torch.float32
WEIGHTED = {"weight": True, "label_smoothing": 0.2, "z_loss": 1e-3, "softcap": 7.0, "logit_scale": 2.0}
SETTINGS = [
    {},
    {"label_smoothing": 0.1},
    {"z_loss": 1e-2},
    {"softcap": 5.0},
    {"logit_scale": 0.5},
    {"weight": True},
    WEIGHTED,
]
Step = Callable[[], tuple[Tensor, ...]]
"""Loss and gradients."""


def options(device: str, budget: int | None = None) -> Options:
    """The kernels on a GPU, and nothing else there; on a CPU what is chosen."""
    return Options("triton" if device == "cuda" else "auto", budget)


def chosen(settings: dict[str, Any], classes: int, device: str, dtype: torch.dtype = FLOAT32) -> dict[str, Any]:
    """Settings with their class weights."""
    weight = torch.linspace(0.5, 1.5, classes, dtype=dtype, device=device) if "weight" in settings else None
    return {**settings, "weight": weight}


def gradients(loss: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
    """A loss and its gradients."""
    return (loss.detach(), *torch.autograd.grad(loss, leaves))


def rows(device: str, shape: tuple[int, ...], dtype: torch.dtype, **settings: Any) -> Step:
    """A pass of given logits."""
    x = torch.randn(shape, device=device, dtype=dtype).requires_grad_()
    y = torch.randint(shape[1], (shape[0], *shape[2:]), device=device)
    y.view(-1)[1] = -100
    given = chosen(settings, shape[1], device)
    return lambda: gradients(F.cross_entropy(x, y, options=options(device), **given), x)


def head(device: str, dtype: torch.dtype, budget: int | None = None, **settings: Any) -> Step:
    """A pass of a head of 500 classes and 64 rows, in one chunk or in several."""
    h = torch.randn(64, 32, device=device, dtype=dtype).requires_grad_()
    w = torch.randn(500, 32, device=device, dtype=dtype).requires_grad_()
    y = torch.randint(500, (64,), device=device)
    given = chosen(settings, 500, device)
    return lambda: gradients(F.linear_cross_entropy(h, w, y, options=options(device, budget), **given), h, w)


def statistics(device: str) -> Step:
    """A pass of log-probability and entropy."""
    x = torch.randn(6, 300, device=device).requires_grad_()
    y = torch.randint(300, (6,), device=device)

    def step() -> tuple[Tensor, ...]:
        found = F.token_statistics(x, y, options=options(device))
        assert found.log_prob is not None
        return gradients((found.log_prob + found.entropy).sum(), x)

    return step


def probabilities(device: str) -> Step:
    """A pass against class probabilities."""
    x = torch.randn(6, 300, device=device, dtype=BFLOAT16).requires_grad_()
    p = torch.randn(6, 300, device=device).softmax(1).to(BFLOAT16)
    return lambda: gradients(F.cross_entropy(x, p, label_smoothing=0.1, options=options(device)), x)


def distillation(device: str) -> Step:
    """A pass of two heads, in chunks."""
    h, w = (torch.randn(n, 32, device=device, dtype=BFLOAT16).requires_grad_() for n in (64, 500))
    teacher = [torch.randn(n, 32, device=device, dtype=BFLOAT16) for n in (64, 500)]
    return lambda: gradients(F.linear_kl_div(h, w, *teacher, options=options(device, 32_000)), h, w)


STEPS: dict[str, Callable[[str], Step]] = {
    "rows": lambda device: rows(device, (33, 1000), BFLOAT16),
    "rows of every option": lambda device: rows(device, (9, 1000), FLOAT32, **WEIGHTED),
    "long rows": lambda device: rows(device, (3, 40_000), BFLOAT16),
    "across": lambda device: rows(device, (2, 21, 300), FLOAT32),
    "head": lambda device: head(device, BFLOAT16),
    "head in chunks": lambda device: head(device, BFLOAT16, 16_000),
    "head of every option": lambda device: head(device, FLOAT32, 16_000, **WEIGHTED),
    "statistics": statistics,
    "class probabilities": probabilities,
    "distillation": distillation,
}


@pytest.fixture(params=list(STEPS))
def make(request: pytest.FixtureRequest) -> Callable[[str], Step]:
    return STEPS[request.param]


# --- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16, torch.float16], ids=str)
@pytest.mark.parametrize("shape", [(5, 1), (33, 17), (3, 1000), (2, 40_001), (3, 21, 300), (2, 300, 40)], ids=str)
def test_every_switch_is_what_float64_says(shape: tuple[int, ...], dtype: torch.dtype, device: str) -> None:
    """Sums in float32 err by an ulp or two; a loss and a gradient are rounded once to their dtype."""
    z = (torch.randn(shape) * 4).to(device, dtype)
    y = torch.randint(shape[1], (shape[0], *shape[2:]), device=device)
    y.view(-1)[-1] = -100
    for settings in SETTINGS:
        x, e = z.clone().requires_grad_(), z.double().requires_grad_()
        given, exactly = chosen(settings, shape[1], device), chosen(settings, shape[1], device, torch.float64)
        loss = F.cross_entropy(x, y, reduction="none", options=options(device), **given)
        exact = F.cross_entropy(e, y, reduction="none", options=Options("reference"), **exactly)
        upstream = torch.rand(loss.shape, device=device).to(loss.dtype)
        (of_x,), (of_e,) = torch.autograd.grad(loss, x, upstream), torch.autograd.grad(exact, e, upstream.double())
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(loss.double(), exact, rtol=8e-7 + eps, atol=2e-8 * shape[1] ** 0.5)
        torch.testing.assert_close(of_x.double(), of_e, rtol=8e-6 + eps, atol=4e-7 + eps * torch.finfo(dtype).tiny)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(s) or "plain")
def test_a_head_is_what_float64_says(settings: dict[str, Any], device: str) -> None:
    """In float32, in several chunks: products of 32 features err by a few ulp of 32 · 4."""
    h, w = torch.randn(40, 32, device=device), torch.randn(700, 32, device=device)
    y = torch.randint(700, (40,), device=device)
    given, exactly = chosen(settings, 700, device), chosen(settings, 700, device, torch.float64)
    leaves, exact = ([x.to(dtype).requires_grad_() for x in (h, w)] for dtype in (FLOAT32, torch.float64))
    found = gradients(F.linear_cross_entropy(*leaves, y, options=options(device, 30_000), **given), *leaves)
    true = gradients(F.linear_cross_entropy(*exact, y, options=Options("reference"), **exactly), *exact)
    for a, b in zip(found, true):
        torch.testing.assert_close(a.double(), b, rtol=2e-4, atol=2e-6)


def test_hostile_rows_are_as_the_reference_has_them(device: str) -> None:
    for name, z in hostile_logits(4, 300).items():
        x, e = z.to(device).requires_grad_(), z.to(device).requires_grad_()
        y = torch.zeros(4, dtype=torch.int64, device=device)
        loss = F.cross_entropy(x, y, reduction="none", options=options(device))
        exact = F.cross_entropy(e, y, reduction="none", options=Options("reference"))
        (of_x,), (of_e,) = torch.autograd.grad(loss.sum(), x), torch.autograd.grad(exact.sum(), e)
        torch.testing.assert_close(loss, exact, rtol=4e-6, atol=0, msg=lambda m, name=name: f"{name}: {m}")
        torch.testing.assert_close(of_x, of_e, rtol=8e-6, atol=1e-30, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("dim", [1, 2])
def test_nan_in_ignored_rows_reaches_nothing(dim: int, device: str) -> None:
    shape = (6, 50) if dim == 1 else (2, 50, 3)
    x, y = torch.randn(shape, device=device), torch.randint(50, (shape[0], *shape[2:]), device=device)
    y[0] = -100
    found = []
    for value in (0.0, torch.nan, torch.inf):
        z = x.index_fill(0, torch.tensor([0], device=device), value).requires_grad_()
        found.append(gradients(F.cross_entropy(z, y, options=options(device)), z))
    for loss, gradient in found:  # torch's operators sum in another order where a row is not finite
        torch.testing.assert_close(loss, found[0][0], rtol=1e-6, atol=0)
        torch.testing.assert_close(gradient, found[0][1], rtol=1e-6, atol=1e-9)
        assert not gradient[0].any()


def test_nan_in_ignored_hidden_states_reaches_nothing(device: str) -> None:
    h, w = torch.randn(8, 16, device=device), torch.randn(50, 16, device=device, requires_grad=True)
    y = torch.randint(50, (8,), device=device)
    y[2] = -100
    found = []
    for value in (0.0, torch.nan):
        x = h.index_fill(0, torch.tensor([2], device=device), value).requires_grad_()
        found.append(gradients(F.linear_cross_entropy(x, w, y, options=options(device)), x, w))
    for a, b in zip(*found):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_every_run_gives_the_same_bits(make: Callable[[str], Step], device: str) -> None:
    step = make(device)
    first = step()
    for _ in range(2):
        assert all(torch.equal(a, b) for a, b in zip(first, step()))


# --- around it ----------------------------------------------------------------------------------------------------


def test_autocast_multiplies_in_bfloat16(device: str) -> None:
    h, w = torch.randn(24, 32, device=device), torch.randn(300, 32, device=device)
    y = torch.randint(300, (24,), device=device)
    leaves = [x.clone().requires_grad_() for x in (h, w)]
    halves = [x.bfloat16().requires_grad_() for x in (h, w)]
    with torch.autocast(device, BFLOAT16):
        loss, *found = gradients(F.linear_cross_entropy(*leaves, y, options=options(device)), *leaves)
    expected, *exact = gradients(
        F.linear_cross_entropy(*halves, y, out_dtype=FLOAT32, options=options(device)), *halves
    )
    torch.testing.assert_close(loss.float(), expected, rtol=1e-2, atol=0)  # of logits that are rounded alike
    for a, b in zip(found, exact):
        assert a.dtype == FLOAT32
        assert (a - b.float()).norm() <= 2e-2 * b.float().norm()


def test_second_derivatives_are_the_references(device: str) -> None:
    x, y = torch.randn(4, 30, device=device), torch.randint(30, (4,), device=device)
    direction, found = torch.randn(4, 30, device=device), []
    for dtype, chosen_options in ((FLOAT32, options(device)), (torch.float64, Options("reference"))):
        z = x.to(dtype).requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(z, y, options=chosen_options), z, create_graph=True)
        found.append(torch.autograd.grad((slope * direction.to(dtype)).sum(), z)[0])
    torch.testing.assert_close(found[0].double(), found[1], rtol=1e-4, atol=1e-7)


def test_a_compiler_takes_it_as_one_operator(device: str) -> None:
    x = torch.randn(6, 300, device=device, dtype=BFLOAT16).requires_grad_()
    y = torch.randint(300, (6,), device=device)
    torch.compiler.reset()
    plain = lambda x: F.cross_entropy(2 * x, y, label_smoothing=0.1, options=options(device))  # noqa: E731
    compiled = torch.compile(plain, fullgraph=True, backend="aot_eager")
    for a, b in zip(gradients(compiled(x), x), gradients(plain(x), x)):
        assert torch.equal(a, b)


LARGE = pytest.mark.parametrize(
    ("device", "shape"),
    [
        ("cpu", (17, 130)),
        ("cpu", (3, 15, 200)),
        pytest.param("cuda", (17_000, 128_256), marks=pytest.mark.cuda),
        pytest.param("cuda", (8, 150, 2_000_000), marks=pytest.mark.cuda),
    ],
    ids=str,
)


@LARGE
def test_more_logits_than_32_bits_count(device: str, shape: tuple[int, ...]) -> None:
    """On a GPU 2.2 and 2.4 thousand million: the last rows are right, in bfloat16."""
    x = torch.randn(shape, device=device, dtype=BFLOAT16).requires_grad_()
    y = torch.randint(shape[1], (shape[0], *shape[2:]), device=device)
    loss = F.cross_entropy(x, y, reduction="none", out_dtype=FLOAT32, options=options(device))
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    last = x.detach()[-1:].double().requires_grad_()
    exact = TF.cross_entropy(last, y[-1:], reduction="none")
    (slope,) = torch.autograd.grad(exact.sum(), last)
    torch.testing.assert_close(loss[-1:].double(), exact, rtol=2e-6, atol=0)
    torch.testing.assert_close(gradient[-1:].double(), slope, rtol=2**-8, atol=1e-12)


@pytest.mark.parametrize(
    ("device", "shape", "budget"),
    [
        ("cpu", (256, 32, 2000), 300_000),
        ("cpu", (256, 32, 2000), None),
        pytest.param("cuda", (4096, 1024, 32_000), None, marks=pytest.mark.cuda),
        pytest.param("cuda", (4096, 1024, 32_000), 132_000_000, marks=pytest.mark.cuda),
        pytest.param("cuda", (12_288, 1024, 32_000), None, marks=pytest.mark.cuda),
        pytest.param("cuda", (4096, 1024, 32_000), 40_000_000, marks=pytest.mark.cuda),
    ],
    ids=str,
)
def test_a_head_takes_the_memory_that_is_planned(device: str, shape: tuple[int, ...], budget: int | None) -> None:
    """In one chunk, in two, in more with a float32 buffer, and in two sweeps; a few numbers a row and class beside.

    On a GPU nobody knows whether hidden states that no product may see are not finite: it works with a copy of them.
    """
    case = Case("head", shape, "bfloat16", settings={"options": options(device, budget)})
    plan = _benchmark.plan_of(case, device, budget)[1]
    step = _benchmark.step(
        "crossentropy", _benchmark.contenders(case, device)["crossentropy"], _benchmark.inputs(case, device)
    )
    step()  # compiles
    n, features, v = shape
    copy = 2 * n * features if device == "cuda" else 0
    assert _benchmark._bytes(step, device) <= plan.workspace + plan.gradients + copy + 100 * (n + v) + 2_000_000


# --- on a GPU alone -----------------------------------------------------------------------------------------------


@pytest.fixture
def refusing_waits() -> Iterator[None]:
    """Whatever waits for the GPU raises."""
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.cuda
def test_no_pass_waits_for_the_gpu(make: Callable[[str], Step], request: pytest.FixtureRequest) -> None:
    step = make("cuda")
    step()  # compiles
    request.getfixturevalue("refusing_waits")
    step()


@pytest.mark.cuda
def test_a_captured_pass_is_replayed_on_other_numbers() -> None:
    h, w = (torch.randn(n, 32, device="cuda", dtype=BFLOAT16, requires_grad=True) for n in (64, 500))
    y = torch.randint(500, (64,), device="cuda")
    step = lambda: gradients(F.linear_cross_entropy(h, w, y, options=options("cuda")), h, w)  # noqa: E731
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # compiles, and allocates what libraries keep
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    with torch.no_grad():
        h.copy_(torch.randn_like(h))
        y.copy_(y.roll(1))
    graph.replay()
    assert all(torch.equal(a, b) for a, b in zip(captured, step()))


@pytest.mark.cuda
def test_streams_share_nothing(make: Callable[[str], Step]) -> None:
    steps = [make("cuda") for _ in range(4)]
    expected, found = [step() for step in steps], []
    for step in steps:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            found.append([step() for _ in range(3)])
    torch.cuda.synchronize()
    for first, runs in zip(expected, found):
        assert all(torch.equal(a, b) for run in runs for a, b in zip(first, run))


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_tensors_of_another_device_than_the_current_one() -> None:
    x = torch.randn(33, 1000, dtype=BFLOAT16)
    y = torch.randint(1000, (33,))
    found = []
    for device in ("cuda:0", "cuda:1"):
        z = x.to(device).requires_grad_()
        found.append(gradients(F.cross_entropy(z, y.to(device), options=options("cuda")), z))
    assert torch.cuda.current_device() == 0
    assert all(torch.equal(a.cpu(), b.cpu()) for a, b in zip(*found))
