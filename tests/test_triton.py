"""The Triton backend, interpreted: its numbers for every option, layout and launch; what it refuses, and how it cuts.

Where a GPU is, the same tests run on it. What each kernel is compiled to, `triton_variants` has for other tests.
"""

import contextlib
import ctypes
import functools
import itertools
import mmap
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing._internal.common_methods_invocations import op_db

import test_conformance
import test_dispatch
from crossentropy import Options, _dispatch
from crossentropy import functional as F
from crossentropy._backends import native, triton
from crossentropy._backends.compiled import Job, Task
from crossentropy._backends.triton._launch import Launch, plan_rows, run
from crossentropy._dispatch import select
from crossentropy._loss import Loss, LossSpec, Side
from crossentropy.testing import assert_accurate
from test_native import HOSTILE, INF, NAN, OPTIONS, guarded
from triton_interpreter import as_a_gpu, cut_by
from triton_variants import variants

TRITON, REFERENCE = Options("triton"), Options("reference")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SINGLE, SWEEPS = Launch(False, True, 64, 64, 4), Launch(False, False, 64, 8, 4)
SINGLE_ACROSS, SWEEPS_ACROSS = Launch(True, True, 64, 64, 4), Launch(True, False, 64, 8, 4)
LAUNCHES = {"rows": (SINGLE, SWEEPS), "across": (SINGLE_ACROSS, SWEEPS_ACROSS)}

pytestmark = pytest.mark.skipif(bool(triton.MISSING), reason=triton.MISSING)


@pytest.fixture(autouse=True)
def _rounding() -> Iterator[None]:
    with as_a_gpu():
        yield


def identity(options: dict) -> str:
    return "-".join(options) or "plain"


def tensors(options: dict, weight: Tensor) -> dict[str, Any]:
    """Options with class weights in them."""
    return {**options, "weight": weight if options.get("weight") else None}


def turned(z: Tensor, layout: str) -> Tensor:
    """Rows of (N, C) as the positions of (1, C, N)."""
    return z.T.unsqueeze(0).contiguous() if layout == "across" else z


def by(backend: str, target: Tensor, **options: Any) -> Callable[[Tensor], Tensor]:
    """Rows of the loss of logits, by a backend."""
    return lambda x: F.cross_entropy(x, target, reduction="none", options=Options(backend), **options)


def both(loss: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """Rows, and the gradient of a weighted sum of them."""
    x = z.detach().clone().requires_grad_()
    rows = loss(x)
    upstream = torch.linspace(0.5, 1.5, rows.numel(), device=rows.device).view_as(rows)
    return rows.detach(), torch.autograd.grad(rows, x, upstream.to(rows.dtype))[0]


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAUNCHES)
@pytest.mark.parametrize("options", OPTIONS, ids=identity)
def test_hostile_rows_are_as_the_chunked_backend_has_them(options: dict, layout: str) -> None:
    """In rows that end a tile and that fill many; each class is once the label."""
    for repeat, launch in ((1, 0), (6, 0), (6, 1)):
        z = torch.tensor(HOSTILE, device=DEVICE).repeat(3, repeat)
        y = torch.arange(3, device=DEVICE).repeat_interleave(len(HOSTILE))
        chosen = tensors(options, torch.linspace(0.0, 1.0, z.shape[1], device=DEVICE))
        x, labels = turned(z, layout), y.unsqueeze(0) if layout == "across" else y
        found = []
        for backend in ("triton", "chunked"):
            with cut_by(LAUNCHES[layout][launch]):
                found.append(both(by(backend, labels, **chosen), x))
        (rows, gradient), (expected, slope) = found
        torch.testing.assert_close(rows, expected, rtol=4e-6, atol=0, equal_nan=True)
        torch.testing.assert_close(gradient, slope, rtol=8e-6, atol=1e-30 if not options else 1e-6, equal_nan=True)


def test_elementary_functions_err_by_few_ulp() -> None:
    """log1p on [0, 1], tanh and its slope: relative to themselves, however small they are."""
    from triton_functions import look

    x = torch.cat([torch.linspace(-20, 20, 8192), torch.logspace(-30, 0, 8192)]).to(DEVICE)
    log, tanh, slope = (torch.empty_like(x) for _ in range(3))
    look[(1,)](x, log, tanh, slope, count=len(x))
    true = x.double()
    assert_accurate(log, torch.exp(-x.abs()).double().log1p(), roundings=6)
    assert_accurate(tanh, true.tanh(), roundings=8)
    # exp's argument is at most 40, and rounded once
    assert_accurate(slope, 4 * torch.exp(-2 * true.abs()) / (1 + torch.exp(-2 * true.abs())) ** 2, roundings=48)


PAIRS = [
    {"weight": True, "label_smoothing": 0.2},
    {"weight": True, "z_loss": 1e-2},
    {"label_smoothing": 1.0, "z_loss": 1e-2},
    {"softcap": 5.0, "logit_scale": -1.5},
]


@pytest.mark.parametrize("layout", LAUNCHES)
@pytest.mark.parametrize("options", OPTIONS + PAIRS, ids=identity)
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
def test_every_option_is_what_float64_says(kind: str, options: dict, layout: str) -> None:
    """Sums in float32 err by an ulp or two; a gradient is rounded once to its dtype."""
    dtypes = {"labels": [torch.float32, torch.bfloat16, torch.float16], "probabilities": [torch.float32]}[kind]
    for i, dtype in enumerate(dtypes):
        z = turned(torch.randn(12, 37, device=DEVICE) * 4, layout).to(dtype)
        y = torch.randint(37, (12,), device=DEVICE)
        y[3] = -100
        target = y.unsqueeze(0) if layout == "across" else y
        if kind == "probabilities":
            target = turned((3 * torch.randn(12, 37, device=DEVICE)).softmax(1), layout)
        chosen = tensors(options, torch.rand(37, device=DEVICE) + 0.1)
        exact = {k: v.double() if isinstance(v, Tensor) else v for k, v in chosen.items()}
        with cut_by(LAUNCHES[layout][i % 2]):
            rows, gradient = both(by("triton", target, **chosen), z)
        true_target = target.double() if target.is_floating_point() else target
        expected, slope = both(by("reference", true_target, **exact), z.double())
        eps = torch.finfo(dtype).eps
        # the sum over classes and the logarithm; then the rounding to the loss's dtype
        torch.testing.assert_close(rows.double(), expected, rtol=1e-6 + eps, atol=1e-6)
        torch.testing.assert_close(gradient.double(), slope, rtol=8e-6 + eps, atol=8e-7 + torch.finfo(dtype).tiny)


def test_a_gradient_in_bfloat16_is_the_exact_one_rounded() -> None:
    z, y = (torch.randn(8, 40, device=DEVICE) * 3).bfloat16(), torch.randint(40, (8,), device=DEVICE)
    for launch in (SINGLE, SWEEPS):
        with cut_by(launch):
            _, gradient = both(by("triton", y), z)
        _, exact = both(by("reference", y), z.double())
        # the upstream is rounded to bfloat16 with the loss
        upstream = torch.linspace(0.5, 1.5, 8, device=DEVICE)
        exact *= (upstream.bfloat16().double() / upstream.double()).unsqueeze(1)
        assert torch.equal(gradient, exact.bfloat16())


@pytest.mark.parametrize("layout", LAUNCHES)
@pytest.mark.parametrize("softcap", [None, 6.0])
@pytest.mark.parametrize("labelled", [True, False])
def test_statistics_are_what_float64_says(labelled: bool, softcap: float | None, layout: str) -> None:
    z = torch.randn(12, 37, device=DEVICE) * 4
    z[0] = z[0].round()  # with equal largest ones
    z[1, 5:] = -INF
    y = torch.randint(37, (12,), device=DEVICE)
    y[0], y[1], y[2] = z[0].argmax(), 3, -100
    target = (turned(y.unsqueeze(1), layout).squeeze(1) if layout == "across" else y) if labelled else None
    for launch in LAUNCHES[layout]:
        found = []
        for x, options in ((turned(z, layout), TRITON), (turned(z, layout).double(), REFERENCE)):
            x.requires_grad_()
            with cut_by(launch):
                s = F.token_statistics(x, target, softcap=softcap, dim=1, options=options)
                some = [v for v in (s.log_prob, s.entropy, s.logsumexp) if v is not None]
                total = sum((weight * v).sum() for weight, v in zip((1.0, -2.0, 0.5), some))
                assert isinstance(total, Tensor)
                found.append([*some, torch.autograd.grad(total, x)[0], s.argmax])
        for ours, exact in zip(*found):
            torch.testing.assert_close(ours.to(exact.dtype), exact, rtol=4e-6, atol=4e-6)


def test_statistics_of_hostile_rows_are_as_the_chunked_backend_has_them() -> None:
    z = torch.tensor(HOSTILE, device=DEVICE).repeat(3, 5)
    y = torch.arange(3, device=DEVICE).repeat_interleave(len(HOSTILE))
    for launch in (SINGLE, SWEEPS):
        found = []
        for backend in ("triton", "chunked"):
            x = z.clone().requires_grad_()
            with cut_by(launch):
                s = F.token_statistics(x, y, options=Options(backend))
                assert s.log_prob is not None
                (slope,) = torch.autograd.grad((s.log_prob + 2 * s.entropy + 0.5 * s.logsumexp).sum(), x)
            found.append([s.log_prob, s.entropy, s.logsumexp, slope, s.argmax])
        for ours, theirs in zip(*found):
            torch.testing.assert_close(ours, theirs, rtol=8e-6, atol=2e-6, equal_nan=True)


def test_probabilities_of_hostile_rows_are_as_the_chunked_backend_has_them() -> None:
    z = torch.tensor(HOSTILE, device=DEVICE).repeat(3, 6)
    p = torch.rand(z.shape, device=DEVICE).masked_fill(torch.rand(z.shape, device=DEVICE) < 0.5, 0.0)
    p[: len(HOSTILE)] = torch.nn.functional.one_hot(z[: len(HOSTILE)].nan_to_num().argmax(1), z.shape[1])
    p[len(HOSTILE) : len(HOSTILE) + 4] = 0.0
    for options, launch in itertools.product(({}, OPTIONS[-1]), (SINGLE, SWEEPS)):
        chosen = tensors(options, torch.linspace(0.0, 1.0, z.shape[1], device=DEVICE))
        found = []
        for backend in ("triton", "chunked"):
            with cut_by(launch):
                found.append(both(by(backend, p, **chosen), z))
        for ours, theirs in zip(*found):
            torch.testing.assert_close(ours, theirs, rtol=8e-6, atol=4e-6, equal_nan=True)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_divergences_are_what_float64_says(temperature: float) -> None:
    hidden, head, bias = (torch.randn(n, device=DEVICE) for n in ((6, 5), (37, 5), (37,)))
    other, teacher = torch.randn(6, 7, device=DEVICE), torch.randn(37, 7, device=DEVICE)
    bias[3] = -INF
    for budget, launch in ((None, SINGLE), (None, SWEEPS), (600, SWEEPS)):
        found = []
        for dtype, options in ((torch.float32, Options("triton", budget)), (torch.float64, REFERENCE)):
            leaves = [x.to(dtype).requires_grad_() for x in (hidden, head, other, teacher)]
            with cut_by(launch):
                loss = F.linear_kl_div(
                    *leaves, linear_bias=bias.to(dtype), teacher_bias=bias.to(dtype), temperature=temperature,
                    reduction="none", options=options,
                )  # fmt: skip
                found.append([loss, *torch.autograd.grad(loss.sum(), leaves)])
        for ours, exact in zip(*found):
            assert_accurate(ours, exact.double(), roundings=200, magnitude=exact.abs().max().item())


def test_a_divergence_is_cut_into_slices_of_the_classes() -> None:
    """What two slices add to a divergence, and their gradients, from the statistics of all classes."""
    hidden, other = torch.randn(5, 4, device=DEVICE), torch.randn(5, 4, device=DEVICE)
    head, teacher = torch.randn(20, 4, device=DEVICE), torch.randn(20, 4, device=DEVICE)
    spec = LossSpec(1, 20, False, torch.float32, softcap=3.0)
    wanted, c = (True, True, False) * 2, torch.linspace(0.0, 1.0, 5, device=DEVICE).unsqueeze(0)

    def part(begin: int, end: int) -> Loss:
        sides = (Side(hidden, head[begin:end], None, spec), Side(other, teacher[begin:end], None, spec))
        return Loss("divergence", sides, torch.Size((5, 20)))

    def statistics(side: Side) -> Any:
        return triton.measure(Loss("statistics", (side,), torch.Size((5, 20))), 0)

    with cut_by(SWEEPS):
        exact = triton.execute(part(0, 20), c, wanted)
        rows = [statistics(side) for side in part(0, 20).sides]
        cuts = ((0, 7), (7, 20))
        terms = sum(triton.compare(part(*cut), *rows) for cut in cuts)
        torch.testing.assert_close(terms, torch.stack([exact.rows[0], torch.zeros(5)]), rtol=4e-6, atol=4e-6)
        known = _dispatch.Comparison(*rows, exact.rows[0], torch.zeros_like(exact.rows[0]))
        found = list(zip(*[triton.derive(part(*cut), cut[0], known, c, wanted) for cut in cuts]))
    for i, join in ((0, sum), (1, torch.cat), (3, sum), (4, torch.cat)):
        torch.testing.assert_close(join(found[i]), exact.gradients[i], rtol=1e-5, atol=2e-6)


@pytest.mark.skipif(DEVICE != "cpu", reason="the slices of these tests are a CPU's")
@pytest.mark.parametrize("form", ["innermost", "across", "head"])
@pytest.mark.parametrize("kind", ["plain", "options", "weights", "soft", "statistics"])
def test_slices_of_the_classes_are_measured_merged_and_derived(kind: str, form: str) -> None:
    with cut_by(Launch(form == "across", False, 8, 2, 4)):
        test_dispatch.test_slices_of_the_classes_are_measured_merged_and_derived(
            triton, kind, torch.float32, form, "some without classes"
        )


def test_heads_are_as_with_torchs_operators() -> None:
    h, w = torch.randn(10, 8, device=DEVICE), torch.randn(37, 8, device=DEVICE)
    y, c = torch.randint(37, (10,), device=DEVICE), torch.rand(37, device=DEVICE) + 0.1
    y[3] = -100
    for options, budget in itertools.product((OPTIONS[0], OPTIONS[-1]), (1, None)):
        for target in (y, torch.randn(10, 37, device=DEVICE).softmax(1)):
            found = []
            for backend in ("triton", "chunked"):
                a, b = h.clone().requires_grad_(), w.clone().requires_grad_()
                loss = functools.partial(
                    F.linear_cross_entropy, options=Options(backend, budget), **tensors(options, c)
                )
                with torch.no_grad():
                    alone = loss(a, b, target)
                with cut_by(SWEEPS):
                    found.append([alone, total := loss(a, b, target), *torch.autograd.grad(total, (a, b))])
            for ours, theirs in zip(*found):
                torch.testing.assert_close(ours, theirs, rtol=8e-6, atol=4e-6)


# --- what is read and written -------------------------------------------------------------------------------------


def job_of(z: Tensor, y: Tensor, **more: Any) -> Job:
    """A job of all there is: loss and a new gradient."""
    n = y.numel()
    settings = {name: more.pop(name) for name in ("label_smoothing", "softcap") if name in more}
    spec = LossSpec(1, z.shape[1], False, torch.float32, **settings)
    job = Job(Task.COMPLETE, spec, z, None, 0, label=y, uniform=spec.label_smoothing)
    job.gradient = torch.full(z.shape, 7.0, dtype=z.dtype, device=z.device)
    job.coefficient = torch.linspace(0.5, 1.0, n, device=z.device)
    job.loss = torch.empty(n, device=z.device)
    for name, value in more.items():
        setattr(job, name, value)
    return job


CUTS = [
    *[Launch(False, True, r, 64, 2) for r in (1, 4)],
    *[Launch(False, False, r, block, 2) for r, block in ((1, 8), (1, 16), (2, 32), (4, 64))],
]


def test_launches_give_one_result_in_place_and_in_a_new_buffer() -> None:
    z, y = torch.randn(5, 61, device=DEVICE) * 5, torch.randint(61, (5,), device=DEVICE)
    for shape in (z.shape, (1, 61, 5)):
        across = len(shape) == 3
        x, results = turned(z, "across") if across else z, []
        for launch in CUTS:
            cut = launch._replace(across=across)
            new = job_of(x, y, label_smoothing=0.1, softcap=8.0)
            run(new, cut)
            replaced = job_of(x.clone(), y, label_smoothing=0.1, softcap=8.0)
            replaced.gradient = replaced.logits
            run(replaced, cut)
            assert new.gradient is not None
            assert torch.equal(new.gradient, replaced.logits)
            assert torch.equal(new.loss, replaced.loss)
            results.append((new.loss, new.gradient))
        for loss, gradient in results[1:]:
            torch.testing.assert_close(loss, results[0][0], rtol=4 * 2**-23, atol=0)
            torch.testing.assert_close(gradient, results[0][1], rtol=16 * 2**-23, atol=2**-24)


def test_one_coefficient_may_stand_for_all() -> None:
    z, y = torch.randn(5, 20, device=DEVICE), torch.randint(20, (5,), device=DEVICE)
    jobs = [job_of(z, y, coefficient=c) for c in (torch.full((5,), 0.3), torch.tensor(0.3).expand(5))]
    for job in jobs:
        job.coefficient = job.coefficient.to(DEVICE)
        run(job, SINGLE)
    assert torch.equal(jobs[0].gradient, jobs[1].gradient)


@pytest.mark.parametrize("launch", [SINGLE, SWEEPS, SINGLE_ACROSS, SWEEPS_ACROSS], ids=str)
def test_what_does_not_count_shows_nowhere_and_what_is_no_class_is_nan(launch: Launch) -> None:
    z, y = torch.randn(5, 20, device=DEVICE), torch.tensor([3, -100, 20, -1, 4], device=DEVICE)
    z[1], z[4, 3] = NAN, NAN
    x = turned(z, "across" if launch.across else "rows")
    job = job_of(x, y, coefficient=torch.tensor([1.0, 1.0, 1.0, 0.5, 0.0], device=DEVICE))
    run(job, launch)
    assert job.gradient is not None
    gradient = job.gradient.squeeze(0).T if launch.across else job.gradient
    assert job.loss is not None
    assert job.loss[0].isfinite()
    assert job.loss[1] == 0
    assert job.loss[2:].isnan().all()
    assert gradient[0].isfinite().all()
    assert not gradient[1].any()
    assert gradient[2:4].isnan().all()
    assert not gradient[4].any()


@pytest.mark.skipif(sys.platform != "linux" or DEVICE != "cpu", reason="mprotect")
@pytest.mark.parametrize("launch", [SINGLE, SWEEPS], ids=str)
def test_an_ignored_row_is_not_read(launch: Launch) -> None:
    """It lies in a page that nobody may touch; so does all behind the last row."""
    page, classes = mmap.PAGESIZE // 4, 40
    with guarded(mmap.PAGESIZE, at_end=True) as address:
        buffer = (ctypes.c_char * (2 * mmap.PAGESIZE)).from_address(address)
        z = torch.frombuffer(buffer, dtype=torch.float32).view(2, page)[:, page - classes :]
        z[0] = torch.randn(classes)
        job = job_of(z, torch.tensor([2, -100]))
        job.gradient = torch.empty(2, classes)
        run(job, launch)
        exact = torch.nn.functional.cross_entropy(z[0].double(), torch.tensor(2))
        assert job.loss is not None
        torch.testing.assert_close(job.loss.double(), torch.stack([exact, 0 * exact]))
        assert not job.gradient[1].any()


def at_the_edge(stack: contextlib.ExitStack, x: Tensor, at_end: bool) -> Tensor:
    """A copy in memory that ends, or begins, beside a page that nobody may touch."""
    buffer = (ctypes.c_char * x.nbytes).from_address(stack.enter_context(guarded(x.nbytes, at_end)))
    return torch.frombuffer(buffer, dtype=x.dtype).view(x.shape).copy_(x)


KINDS = {
    "labels": {"label": True, "weight": True, "uniform": True, "label_smoothing": 0.1},
    "probabilities": {
        "probabilities": True,
        "weight": True,
        "label_smoothing": 0.1,
        "left": ("mass", "elsewhere", "top"),
    },
    "statistics": {"label": True, "statistics": True, "left": ("entropy", "logsumexp", "energy", "target", "top")},
}


@pytest.mark.skipif(sys.platform != "linux" or DEVICE != "cpu", reason="mprotect")
@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_beside_a_tensor_is_touched(kind: str, across: bool, at_end: bool) -> None:
    """By tiles that are larger than what there is, of any task."""
    settings = dict(KINDS[kind])
    smoothing, left = settings.pop("label_smoothing", 0.0), settings.pop("left", ())
    shape = (1, 13, 3) if across else (3, 13)
    rows = (3, 3) if settings.get("statistics") else (1, 3)
    given = {
        "label": torch.tensor([12, 0, 5]), "weight": torch.rand(13), "uniform": torch.tensor(0.1),
        "probabilities": torch.rand(shape), "coefficient": torch.rand(rows),
    }  # fmt: skip
    for task, single in itertools.product(Task, (True, False)):
        with contextlib.ExitStack() as stack:
            edge = functools.partial(at_the_edge, stack, at_end=at_end)
            spec = LossSpec(1, 13, kind == "probabilities", torch.float32, label_smoothing=smoothing)
            job = Job(task, spec, edge(torch.randn(shape)), None, 0, statistics="statistics" in settings)
            for name, x in given.items():
                if settings.get(name) or name == "coefficient":
                    setattr(job, name, edge(x))
            if task != Task.MEASURE:
                job.gradient = edge(torch.zeros(shape))
            fields = ("scale", "tilt", "peak", "extra", "maximum", "top")
            if task != Task.DERIVE:
                fields = ("loss", "maximum", "others", "apart", "weighted", *left)
            for name in fields:
                setattr(job, name, edge(torch.zeros(3, dtype=torch.int64 if name == "top" else torch.float32)))
            run(job, Launch(across, single, 8, 16 if single else 8, 1))
            assert job.gradient is None or job.gradient.isfinite().all()
            assert task == Task.DERIVE or job.maximum.any()
            del job, x


def test_any_strides() -> None:
    big = torch.randn(6, 40, 9, device=DEVICE)
    y = torch.randint(30, (6,), device=DEVICE)
    views = [
        big.flatten(1)[:, 3:33], big.flatten()[3:183].view(6, 30), big[0, :30, 0].contiguous().expand(6, 30),
        big.flatten(1)[::2, :30].repeat_interleave(2, 0),
    ]  # fmt: skip
    spatial = [big, big.movedim(1, 2).contiguous().movedim(2, 1), big[:, ::2].repeat(1, 2, 1), big.unsqueeze(3)]
    labels = torch.randint(40, (6, 9), device=DEVICE)
    for x, target in [(x, y) for x in views] + [(x, labels.view(6, *x.shape[2:])) for x in spatial]:
        ours, exact = (both(by(backend, target), x) for backend in ("triton", "reference"))
        torch.testing.assert_close(ours, exact, check_stride=False)
    soft = torch.randn(30, 6, device=DEVICE).softmax(0).T  # classes do not lie together
    for target in (soft, soft[:1].expand(6, 30)):
        ours, exact = (both(by(backend, target), views[0]) for backend in ("triton", "reference"))
        torch.testing.assert_close(ours, exact)


@pytest.mark.parametrize("statistics", [False, True])
def test_a_labels_logit_that_is_known_better_is_used_everywhere(statistics: bool) -> None:
    """As if it were in the logits, and the others in half precision."""
    z, y = (3 * torch.randn(6, 40, device=DEVICE)).bfloat16(), torch.randint(40, (6,), device=DEVICE)
    at = torch.arange(6, device=DEVICE)
    logit = z[at, y].float() + torch.linspace(-0.1, 0.1, 6, device=DEVICE)
    wide = z.float()
    wide[at, y] = logit
    for launch in (SINGLE, SWEEPS):
        jobs = []
        for x, exact in ((z, logit), (wide, None)):
            job = job_of(x, y, softcap=20.0, apart_logit=exact, statistics=statistics)
            job.gradient = torch.empty(6, 40, device=DEVICE)
            if statistics:
                job.coefficient = torch.linspace(-1.0, 1.0, 18, device=DEVICE).view(3, 6)
                job.entropy, job.logsumexp, job.top = torch.empty(6), torch.empty(6), torch.empty(6, dtype=torch.int64)
                job.entropy, job.logsumexp, job.top = (x.to(DEVICE) for x in (job.entropy, job.logsumexp, job.top))
            run(job, launch)
            jobs.append(job)
        for name in ("loss", "gradient", "entropy", "logsumexp", "top"):
            ours, expected = (getattr(job, name) for job in jobs)
            assert (ours is None) == (expected is None)
            assert ours is None or torch.equal(ours, expected)


# --- torch's own material -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nn.functional.cross_entropy", "nn.functional.linear_cross_entropy"])
def test_torchs_samples(name: str) -> None:
    """Those whose target and class weights require no gradient, which the reference computes."""
    ours, count = functools.partial(test_conformance.OURS[name], options=TRITON), 0
    some = 1 if name.endswith(".cross_entropy") else 3
    for op in [op for op in op_db if op.name == name]:
        for args, kwargs in itertools.islice(test_conformance.samples(op, torch.float32, DEVICE), 0, None, some):
            target, weight = args[1 if some == 1 else 2], kwargs.get("weight")
            if target.requires_grad or (weight is not None and weight.requires_grad) or kwargs.get("options"):
                continue
            test_conformance.compare(ours, op.op, args, kwargs)
            count += 1
    assert count > 5


# --- plans, and what is refused -----------------------------------------------------------------------------------


def test_launches_are_a_function_of_the_shape() -> None:
    found = {
        (classes, inner, size, crowded): plan_rows(classes, inner, size, crowded=crowded)[1:]
        for classes, inner, size, crowded in [
            (2, 1, 4, False), (1000, 1, 2, False), (1000, 1, 2, True), (32000, 1, 2, False), (32000, 1, 2, True),
            (128256, 1, 2, False), (128256, 1, 4, True), (21, 65536, 4, False), (150, 65536, 2, False),
            (150, 65536, 2, True), (1000, 4096, 2, False),
        ]
    }  # fmt: skip
    # in one tile, rows, classes, warps
    assert found == {
        (2, 1, 4, False): (True, 128, 2, 1),
        (1000, 1, 2, False): (True, 2, 1024, 2),
        (1000, 1, 2, True): (True, 1, 1024, 2),
        (32000, 1, 2, False): (True, 1, 32768, 16),
        (32000, 1, 2, True): (False, 1, 4096, 16),
        (128256, 1, 2, False): (False, 1, 4096, 16),
        (128256, 1, 4, True): (False, 1, 2048, 16),
        (21, 65536, 4, False): (True, 128, 32, 4),
        (150, 65536, 2, False): (True, 32, 256, 8),
        (150, 65536, 2, True): (False, 128, 16, 8),
        (1000, 4096, 2, False): (False, 128, 16, 8),
    }


@pytest.mark.skipif(DEVICE != "cpu", reason="on a GPU memory that is not touched is taken nevertheless")
@pytest.mark.parametrize("launch", [SINGLE, SWEEPS, SINGLE_ACROSS, SWEEPS_ACROSS], ids=str)
def test_no_offset_is_counted_in_32_bits(launch: Launch) -> None:
    """Rows, and across them classes, begin behind 2^31 entries, of which no more than these are touched."""
    z, y, far = torch.randn(2, 9), torch.tensor([8, 3]), 2**28 + 8  # times 8 classes
    memory = torch.empty(8 * far + 2 if launch.across else 2**31 + 16, dtype=torch.bfloat16)
    x = memory.as_strided((1, 9, 2), (1, far, 1)) if launch.across else memory.as_strided((2, 9), (2**31 + 1, 1))
    near = turned(z, "across") if launch.across else z
    x.copy_(near)
    jobs = [job_of(v, y, loss=torch.empty(2)) for v in (x, near.bfloat16())]
    for job in jobs:
        job.gradient = job.logits
        run(job, launch)
    assert torch.equal(jobs[0].loss, jobs[1].loss)
    assert torch.equal(x, jobs[1].logits)


@pytest.mark.skipif(DEVICE != "cpu", reason="the loss of this test is a CPU's")
def test_it_has_all_that_is_asked_of_a_backend() -> None:
    test_dispatch.test_a_backend_has_all_that_is_asked_of_it(triton)


def test_it_is_preferred_on_gpus_alone() -> None:
    z, y = torch.randn(3, 5), torch.tensor([0, 4, 2])
    spec = LossSpec(1, 5, False, torch.float32)
    loss = Loss("cross_entropy", (Side(z, None, None, spec),), z.shape, y)
    assert triton.eligible(loss) == () or not triton.INTERPRETED
    assert select(loss).backend is not triton
    with FakeTensorMode():
        there = torch.empty(3, 5, device="cuda")
        loss = Loss("cross_entropy", (Side(there, None, None, spec),), z.shape, torch.zeros(3, device="cuda").long())
        assert triton.eligible(loss) == ()
        assert any("for CPUs" in reason for reason in native.eligible(loss))
        assert _dispatch._preferred(_dispatch.BACKENDS, loss) == [triton, _dispatch.chunked, _dispatch.reference]


def test_what_it_cannot_do_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    z, y = torch.randn(4, 5, device=DEVICE), torch.tensor([0, 1, 2, 3], device=DEVICE)
    with pytest.raises(ValueError, match="backend 'triton' cannot execute this loss: compiled code sums in float32"):
        F.cross_entropy(z.double(), y, options=TRITON)
    with pytest.raises(ValueError, match="lie together"):
        F.cross_entropy(torch.randn(5, 4, device=DEVICE).T, y, options=TRITON)
    if DEVICE == "cpu":
        monkeypatch.setattr(triton, "INTERPRETED", False)
        with pytest.raises(ValueError, match=r"Triton's kernels are for GPUs, .* logits are on cpu"):
            F.cross_entropy(z, y, options=TRITON)
    monkeypatch.setattr(triton, "MISSING", "Triton is not installed")
    with pytest.raises(ValueError, match="Triton is not installed"):
        F.cross_entropy(z, y, options=TRITON)


def test_a_machine_where_triton_launches_nothing_is_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """One without a C compiler, say: Triton makes its launcher there, torch's operators need none."""
    from triton.runtime import driver

    def missing() -> None:
        raise RuntimeError("Failed to find C compiler.\nPlease specify via CC environment variable")

    spec = LossSpec(1, 5, False, torch.float32)
    with FakeTensorMode():
        side = Side(torch.empty(3, 5, device="cuda"), None, None, spec)
        loss = Loss("cross_entropy", (side,), side.input.shape, torch.zeros(3, device="cuda").long())
    monkeypatch.setattr(triton, "INTERPRETED", False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(triton, "launch_failure", triton.launch_failure.__wrapped__)
    monkeypatch.setattr(driver, "_active", SimpleNamespace(get_current_target=lambda: None))
    assert triton.eligible(loss) == ()
    monkeypatch.setattr(driver, "_active", SimpleNamespace(get_current_target=missing))
    told = "Failed to find C compiler. Please specify via CC environment variable"
    assert triton.eligible(loss) == (f"Triton cannot launch kernels here: {told}",)


PROGRAM = """
import sys
sys.modules["triton"] = None
import torch
import crossentropy.functional as F
from crossentropy import Options
z, y = torch.zeros(2, 3), torch.tensor([0, 1])
print(F.cross_entropy(z, y, z_loss=0.1).item())
assert "crossentropy._backends.triton._rows" not in sys.modules
try:
    F.cross_entropy(z, y, options=Options("triton"))
except ValueError as error:
    print(error)
"""


def test_without_triton_the_package_works() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    assert "backend 'triton' cannot execute this loss: Triton is not installed" in told


def test_variants_are_of_many_kinds() -> None:
    """What other tests compile: each name once, each switch in some."""
    found = variants()
    assert len({v.name for v in found}) == len(found)
    on = {name for v in found for name, value in v.constants.items() if value is True}
    assert {"STATISTICS", "SMOOTHED", "Z_LOSS", "CAPPED", "SCALED", "ACROSS", "SINGLE", "GRADIENT"} <= on
    for v in found:
        assert set(v.signature) == set(v.kernel.arg_names)
