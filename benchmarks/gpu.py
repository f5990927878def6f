"""What losses cost on a GPU, and whether they are right there, in one command: `make gpu`.

    python benchmarks/gpu.py --limit 540          sections in order of worth, until the time is over
    python benchmarks/gpu.py --only head          one section

Each number is stored as soon as it is there; one that fails is stored as its error, and the next is measured. So a run
that is cut off has brought what it had. With `--device cpu --tiny` every section runs on small shapes, to see that it
does: those times say nothing.
"""

import argparse
import contextlib
import faulthandler
import json
import math
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossentropy import Options, _benchmark, functional
from crossentropy._backends.chunked import _linear
from crossentropy._backends.compiled import Job, Task
from crossentropy._backends.triton import _launch
from crossentropy._backends.triton._launch import Launch
from crossentropy._benchmark import BASELINE, FLOORS, Case
from crossentropy._loss import LossSpec
from crossentropy._planner import CARDS, H200, Machine

ROOT = Path(__file__).parent.parent
TINY = 8
"""Most of each size in a tiny run."""
FLUSH = 1 << 30
"""Bytes that are written before each timed call: more than a cache holds, and long enough for the call to be queued."""

HEADS = ((4096, 4096, 128_256), (8192, 4096, 128_256), (8192, 2048, 256_000))
VOCABULARY, CLASSES, IMAGES = (4096, 128_256), (65_536, 1000), (8, 21, 256, 256)
KERNELS = (VOCABULARY, CLASSES, (8192, 32_000), (8, 21, 65_536))

COPY = "of the copy's rate"
PACKAGES = ("triton", "liger-kernel", "cut-cross-entropy", "quack-kernels")
OUTPUT = "output"
"""What is stored and not printed."""

Number = dict[str, Any]
"""What is known of one thing by unit: "ms", "TB/s"; or "failed"."""


class TimeIsOverError(Exception):
    """No further number is begun."""


class Session:
    """One run: its device, its results and its time."""

    def __init__(self, device: str, file: Path, limit: float, *, tiny: bool = False) -> None:
        self.device, self.file, self.tiny = device, file, tiny
        self.begin = time.monotonic()
        self.end = self.begin + limit
        self.sections: dict[str, dict[str, Number]] = {}
        self.results: dict[str, Any] = {
            **_benchmark.machine(),
            "packages": installed(PACKAGES),
            "command": " ".join(["python", *sys.argv]),
            "tiny": tiny,
            "sections": self.sections,
        }

    def section(self, measure: Callable[["Session"], None]) -> None:
        """Measure the numbers of a section; what fails between them ends it alone."""
        self.sections[measure.__name__] = self.numbers = {}
        try:
            measure(self)
        except TimeIsOverError:
            raise
        except Exception as error:
            self._keep("the section", _failure(error))
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def number(
        self,
        name: str,
        measure: Callable[[], Number],
        *,
        most: Mapping[str, float] | None = None,
        least: Mapping[str, float] | None = None,
    ) -> Number:
        """Measure one number and keep it, beside the targets that are set for it."""
        if time.monotonic() > self.end:
            raise TimeIsOverError
        try:
            found = measure()
        except Exception as error:
            found = _failure(error)
        targets = {unit: f"≤ {bound:g}" for unit, bound in (most or {}).items()}
        targets |= {unit: f"≥ {bound:g}" for unit, bound in (least or {}).items()}
        self._keep(name, found | ({"targets": targets} if targets else {}))
        return found

    def _keep(self, name: str, found: Number) -> None:
        self.numbers[name] = found
        self.file.write_text(json.dumps(self.results, indent=1, ensure_ascii=False) + "\n", "utf-8")
        print(f"{time.monotonic() - self.begin:6.1f} s  {line(name, found)}", flush=True)

    def shape(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """Sizes, or tiny ones."""
        return tuple(min(n, TINY) for n in sizes) if self.tiny else sizes

    def random(self, *sizes: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
        """Normal numbers."""
        return torch.randn(sizes, device=self.device, dtype=dtype)

    def milliseconds(self, run: Callable[[], object], repeat: int = 10) -> float:
        """Median time of a call that finds nothing of its own in a cache."""
        run()
        repeat = 1 if self.tiny else repeat
        flush = torch.empty(FLUSH if self.device == "cuda" else 1, dtype=torch.int8, device=self.device)
        times = []
        for _ in range(repeat):
            flush.zero_()
            times.append(self._time(run))
        return statistics.median(times)

    def _time(self, run: Callable[[], object]) -> float:
        if self.device != "cuda":
            begin = time.perf_counter()
            run()
            return 1e3 * (time.perf_counter() - begin)
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    @contextlib.contextmanager
    def refusing_waits(self) -> Iterator[None]:
        """Whatever would wait for the GPU raises."""
        if self.device != "cuda":
            yield
            return
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


def installed(names: tuple[str, ...]) -> dict[str, str]:
    """The versions of those packages that are there."""
    found = {}
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _failure(error: Exception) -> Number:
    return {"failed": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"}


def line(name: str, found: Number) -> str:
    """A number in words, with its targets and whether they are missed."""
    targets, parts = found.get("targets", {}), []
    for unit, value in found.items():
        if unit in ("targets", OUTPUT):
            continue
        shown = f"{value:.3g} {unit}" if isinstance(value, float) else f"{unit}: {value}"
        if unit in targets:
            shown += f" ({targets[unit]}{'' if reached(value, targets[unit]) else ', missed'})"
        parts.append(shown)
    return f"{name:44} {', '.join(parts)}"


def reached(value: float, target: str) -> bool:
    """Whether a value is within a target such as "≤ 1.06"."""
    sign, bound = target.split()
    return value <= float(bound) if sign == "≤" else value >= float(bound)


def named(shape: tuple[int, ...]) -> str:
    """A shape in words."""
    return "×".join(map(str, shape))


# --- what the card can do -----------------------------------------------------------------------------------------


def ceilings(session: Session) -> None:
    """The rate of a copy, and of the products of three heads, in the layouts in which losses multiply."""
    session.number("a copy", partial(_copy, session))
    for shape in HEADS:
        for name, product in _products(session, *session.shape(shape)).items():
            session.number(f"{name}, {named(shape)}", partial(_product, session, product, session.shape(shape)))


def _copy(session: Session) -> Number:
    x = session.random(*session.shape((1 << 14, 1 << 15)))
    y = torch.empty_like(x)
    time = session.milliseconds(lambda: y.copy_(x))
    return {"ms": time, "TB/s": 2e-9 * x.nbytes / time}


def _products(session: Session, n: int, d: int, v: int) -> dict[str, Callable[[], object]]:
    """The three, and how the second of two chunks adds its part to the head's gradient."""
    hidden, head, logits = session.random(n, d), session.random(v, d), session.random(n, v)
    of_hidden, of_head, wide = (torch.zeros_like(x) for x in (hidden, head, head.float()))
    return {
        "logits": partial(torch.mm, hidden, head.T, out=logits),
        "dX": partial(torch.mm, logits, head, out=of_hidden),
        "dW": partial(torch.mm, logits.T, hidden, out=of_head),
        "dW added": partial(of_head.addmm_, logits.T, hidden),
        "dW added in float32": partial(
            _linear._collect_widened, wide, logits.T, hidden, -(-len(wide) // 8), first=False
        ),
    }


def _product(session: Session, product: Callable[[], object], shape: tuple[int, ...]) -> Number:
    n, d, v = shape
    time = session.milliseconds(product, 6)
    return {"ms": time, "TFLOP/s": 2e-9 * n * d * v / time}


# --- what must hold -----------------------------------------------------------------------------------------------


def determinism(session: Session) -> None:
    """Three runs give the same bits; and a pass, once its kernels are compiled, waits for nothing."""
    for case in (
        Case("rows", (512, 128_256), "bfloat16"),
        Case("rows", CLASSES, "bfloat16"),
        Case("across", IMAGES),
        Case("head", (4096, 1024, 32_000), "bfloat16", settings={"options": Options(memory_budget=200_000_000)}),
    ):
        here = replace(case, shape=session.shape(case.shape))
        function = _benchmark.contenders(here, session.device)["crossentropy"]
        step = partial(_pass, function, _benchmark.inputs(here, session.device))
        session.number(f"the bits of three runs, {case}", partial(_equal_runs, step))
        session.number(f"no wait, {case}", partial(_without_waits, session, step))


def _pass(function: Callable[..., Tensor], tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Loss and gradients."""
    loss = function(*tensors)
    return (loss.detach(), *torch.autograd.grad(loss, [x for x in tensors if x.requires_grad]))


def _equal_runs(step: Callable[[], tuple[Tensor, ...]]) -> Number:
    first, *others = step(), step(), step()
    return {"equal": all(torch.equal(a, b) for run in others for a, b in zip(first, run))}


def _without_waits(session: Session, step: Callable[[], object]) -> Number:
    with session.refusing_waits():
        step()
    return {"waits": "none"}


def large_index(session: Session) -> None:
    """More logits than 32 bits count: the last rows are those of float64."""
    for shape in ((17_000, 128_256), (8, 150, 2_000_000)):
        session.number(named(shape), partial(_last_rows, session, session.shape(shape)), most={"error": 1e-2})


def _last_rows(session: Session, shape: tuple[int, ...]) -> Number:
    """Largest error of the losses and, as their coefficients are 1, of the gradients of the last rows."""
    logits = session.random(*shape).requires_grad_()
    target = torch.randint(shape[1], (shape[0], *shape[2:]), device=session.device)
    loss = functional.cross_entropy(logits, target, reduction="none", out_dtype=torch.float32)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    last = logits.detach()[-1:].double().requires_grad_()
    exact = torch.nn.functional.cross_entropy(last, target[-1:], reduction="none")
    (slope,) = torch.autograd.grad(exact.sum(), last)
    return {"error": max((loss[-1:] - exact).abs().max().item(), (gradient[-1:] - slope).abs().max().item())}


def tests(session: Session) -> None:
    """The tests that are about a GPU, whose reference is in float64."""
    session.number("pytest -m cuda", partial(_pytest, session))


def _pytest(session: Session) -> Number:
    """What they say last, and which fail; of failures the end of the output is kept."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "--maxfail", "20", "-p", "no:cacheprovider"]
    command += ["tests/test_triton_cuda.py"] if session.tiny else ["--numprocesses", "4", "--dist", "loadfile", "tests"]
    limit = min(150.0, max(session.end - time.monotonic(), 10.0))
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=limit, check=False)
        output, code = run.stdout.decode(), run.returncode
    except subprocess.TimeoutExpired as late:
        output, code = (late.stdout or b"").decode(), -1
    failures = re.findall(r"^FAILED (\S+)", output, re.MULTILINE)
    found: Number = {"said": output.strip().rpartition("\n")[2], "failures": failures, "exit code": code}
    return found if code == 0 else found | {OUTPUT: output[-8000:]}


# --- rows of logits -----------------------------------------------------------------------------------------------


def rows(session: Session) -> None:
    """Loss and gradient of rows by one launch of the kernel, as it is planned, beside a copy."""
    for shape in KERNELS:
        for dtype in (torch.bfloat16, torch.float32):
            least = {COPY: 0.8} if dtype == torch.bfloat16 and shape in (VOCABULARY, CLASSES) else None
            planned = partial(_launched, session, shape, dtype)
            session.number(f"{named(shape)}, {str(dtype).removeprefix('torch.')}", planned, least=least)


def launches(session: Session) -> None:
    """The same in bfloat16 by launches that are near the planned one."""
    for shape in KERNELS:
        for launch in near(_planned(session.shape(shape), torch.bfloat16)):
            name = f"{named(shape)} in {launch.rows} × {launch.block}, {launch.warps} warps"
            session.number(name, partial(_launched, session, shape, torch.bfloat16, launch))


def _planned(shape: tuple[int, ...], dtype: torch.dtype) -> Launch:
    return _launch.plan_rows(shape[1], (*shape, 1)[2], dtype.itemsize)


def near(launch: Launch) -> list[Launch]:
    """Those with half or twice the rows, the classes or the warps; a row that is one tile stays one."""
    found = [
        launch._replace(**{name: int(getattr(launch, name) * factor)})
        for name in ("rows", "block", "warps")
        for factor in (0.5, 2)
        if not (name == "block" and launch.single)
    ]
    return [one for one in found if min(one.rows, one.warps) >= 1 and one.warps <= 32]


def _launched(session: Session, shape: tuple[int, ...], dtype: torch.dtype, launch: Launch | None = None) -> Number:
    """A job of all classes, whose gradient replaces no logits, so that each call finds the same ones."""
    logits = session.random(*session.shape(shape), dtype=dtype)
    rows = (logits.shape[0], *logits.shape[2:])
    label = torch.randint(logits.shape[1], rows, device=session.device)
    gradient, loss = torch.empty_like(logits), torch.empty(rows, device=session.device)
    job = Job(
        Task.COMPLETE,
        LossSpec(1, logits.shape[1], False, torch.float32),
        logits,
        gradient,
        0,
        label=label.flatten(),
        coefficient=torch.ones_like(loss).flatten(),
        loss=loss.flatten(),
    )
    copy = session.milliseconds(lambda: gradient.copy_(logits))
    time = session.milliseconds(lambda: _launch.run(job, launch))
    exact = torch.nn.functional.cross_entropy(logits[:8].double(), label[:8], reduction="none")
    error = (loss[:8] - exact).abs().max().item()
    return {"ms": time, "TB/s": 2e-9 * logits.nbytes / time, COPY: copy / time, "error": error}


def dense(session: Session) -> None:
    """Losses of given logits beside torch's, the compiler's and those of other packages."""
    for case in (
        Case("vocabulary", VOCABULARY, "bfloat16"),
        Case("classes", CLASSES, "bfloat16"),
        Case("segmentation", IMAGES),
        Case("segmentation", IMAGES, "bfloat16"),
    ):
        for name in _contenders(session, case):
            session.number(f"{name}, {case}", partial(_contended, session, case, name))


def _contenders(session: Session, case: Case) -> list[str]:
    """All but the floors; the compiler, which takes longest, is the last."""
    found = _benchmark.contenders(case, session.device, compiled=not session.tiny).keys() - set(FLOORS)
    return sorted(found, key=lambda name: (name == "torch.compile", name != "crossentropy", name))


def _contended(session: Session, case: Case, name: str) -> Number:
    """Time, memory beside the gradients, and errors of one contender, in turns with torch and with a floor."""
    case = replace(case, shape=session.shape(case.shape))
    found = _benchmark.contenders(case, session.device)
    *_, floor = (one for one in found if one in FLOORS)
    others = found.keys() - {name, BASELINE, floor}
    report = _benchmark.measure(
        replace(case, without=tuple(others)),
        device=session.device,
        repeat=2 if session.tiny else 8,
        compiled=name == "torch.compile",
        memory=False,
    )
    measured = report.measurements[name]
    n, d, v = case.shape if case.linear else (0, 0, 0)
    gradients = getattr(torch, case.dtype).itemsize * (d * (n + v) or math.prod(case.shape)) * case.gradient
    return {
        "ms": measured.milliseconds,
        f"of {floor}": measured.milliseconds / report.measurements[floor].milliseconds,
        "of torch": measured.ratio,
        "GB beside gradients": (measured.bytes - gradients) / 1e9,
        "loss error": measured.loss_error,
        "gradient error": measured.gradient_error,
    }


# --- heads --------------------------------------------------------------------------------------------------------


def head(session: Session) -> None:
    """A language model's head: ours at three budgets, beside what one would use instead."""
    case, found = Case("head", HEADS[0], "bfloat16"), {}
    for name, budget, most in (
        ("crossentropy", None, {"of products": 1.06, "GB beside gradients": 1.1}),
        ("crossentropy in 0.55 GB", 540_000_000, {"of products": 1.10, "GB beside gradients": 0.55}),
        ("crossentropy in 0.27 GB", 265_000_000, {"GB beside gradients": 0.27}),
    ):
        ours = replace(case, settings={"options": Options(memory_budget=budget)})
        found[name] = session.number(name, partial(_ours, session, ours, budget), most=most)
        session.number(f"{name}: dW", partial(_head_error, session, ours), most={"of one product's error": 1.25})
    for name in _contenders(session, case):
        if name != "crossentropy":
            found[name] = session.number(name, partial(_contended, session, case, name))
    logits = found.get("torch, float32 logits", found["torch"])
    compare = partial(_relative, logits, found["crossentropy"])
    session.number("torch, float32 logits, to ours", compare, least={"of our time": 1.15, "of our memory": 4.0})
    for d in (1024, 4096):
        forward = replace(case, shape=(4096, d, 128_256), gradient=False)
        session.number(str(forward), partial(_contended, session, forward, "crossentropy"))
    for shape in HEADS[1:]:
        case = replace(case, shape=shape)
        for name in _contenders(session, case):
            if name != "torch.compile":
                session.number(f"{name}, {named(shape)}", partial(_contended, session, case, name))


def _ours(session: Session, case: Case, budget: int | None) -> Number:
    """Beside what the planner predicts of it."""
    plan = _benchmark.plan_of(case, session.device, budget)[1]
    predicted = 1e3 * _benchmark.predicted_seconds(case, plan, card(session))
    return {"predicted ms": predicted} | _contended(session, case, "crossentropy")


def _relative(other: Number, ours: Number) -> Number:
    """Time and memory beside the gradients, in ours."""
    memory = "GB beside gradients"
    return {"of our time": other["ms"] / ours["ms"], "of our memory": other[memory] / ours[memory]}


def card(session: Session) -> Machine:
    """The rates of this card, or of the one that others are planned for as."""
    name = session.results.get("gpu", "")
    return next((machine for label, machine in CARDS.items() if label in name), H200)


def _head_error(session: Session, case: Case) -> Number:
    """Error of the head's gradient, relative to that of one product of gradients that are rounded as ours are."""
    case = replace(case, shape=session.shape(case.shape))
    hidden, weight, target = _benchmark.inputs(case, session.device)
    exact = _of_head(hidden.double(), weight.double(), target, torch.float64)
    once = _of_head(hidden, weight, target, torch.bfloat16)
    function = _benchmark.contenders(case, session.device)["crossentropy"]
    ours = _pass(function, (hidden, weight, target))[2]
    return {"of one product's error": ((ours - exact).norm() / (once - exact).norm()).item()}


@torch.no_grad()
def _of_head(hidden: Tensor, head: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
    """Gᵀ h by one product, of gradients G of a mean that are computed in float32 at least and rounded to a dtype."""
    wide = torch.promote_types(dtype, torch.float32)
    gradient = (hidden @ head.T).to(wide).softmax(1)
    gradient[torch.arange(len(target), device=target.device), target] -= 1
    return (gradient / len(target)).to(dtype).T @ hidden


def skipping_rows(session: Session) -> None:
    """The logits of some rows, whose number the device alone knows, by a grouped product; and of all by a plain one."""
    n, d, v = session.shape(HEADS[0])
    hidden, weight = session.random(n, d), session.random(v, d)
    session.number("mm, all rows", partial(_product, session, lambda: hidden @ weight.T, (n, d, v)))
    for percent in (100, 50, 10):
        count = torch.tensor([n * percent // 100], dtype=torch.int32, device=session.device)
        grouped = partial(torch.nn.functional.grouped_mm, hidden, weight.T.unsqueeze(0), offs=count)
        rows = (n * percent // 100, d, v)
        session.number(f"grouped_mm, {percent} % of them", partial(_product, session, grouped, rows))


SECTIONS = (ceilings, determinism, rows, tests, head, launches, dense, large_index, skipping_rows)


def main() -> None:
    """Run the sections; print what came of each."""
    parser = argparse.ArgumentParser(description="losses on a GPU: speed, memory, and whether they are right")
    names = [section.__name__ for section in SECTIONS]
    parser.add_argument("--limit", type=float, default=540, metavar="SECONDS", help="time for all (default: 540)")
    parser.add_argument("--only", choices=names, nargs="*", default=names, metavar="SECTION", help=", ".join(names))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "gpu.local.json", metavar="FILE")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small shapes, to see that every section runs")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py: torch sees no GPU on this machine, so there is nothing to measure")
    faulthandler.dump_traceback_later(options.limit + 30, exit=True)  # what hangs ends the run, whose results are kept
    session = Session(options.device, options.out, options.limit, tiny=options.tiny)
    try:
        for section in SECTIONS:
            if section.__name__ in options.only:
                print(f"\n{section.__name__}: {section.__doc__}")
                session.section(section)
    except TimeIsOverError:
        print("the time is over")
    print(f"\nstored in {options.out}\n")
    for name, numbers in session.sections.items():
        print(name, *(f"  {line(label, found)}" for label, found in numbers.items()), sep="\n")


if __name__ == "__main__":
    main()
