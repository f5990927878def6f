"""Measuring losses: interleaved ratios in one process, peak memory in fresh ones, errors against float64.

    ratio      median time of a contender / that of torch's own function, all contenders taking turns
    bytes      most memory held above the inputs during one pass, in a process that does nothing else
    errors     of the loss, relative; of all gradients together, ‖g − exact‖ / ‖exact‖; on at most 256 rows

A pass is forward and backward, or forward alone. Shapes are those of logits (N, C) or (N, C, d1, …, dK), or three
numbers N, D, V of hidden states (N, D) and a head (V, D).
"""

import importlib.util
import math
import multiprocessing
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as torch_functional
from torch import Tensor

import crossentropy
from crossentropy import _contract as contract
from crossentropy import _torch, functional
from crossentropy._contract import Options
from crossentropy._dispatch import Backend, Selection, select
from crossentropy._loss import LossTensors, cpu_multiplies
from crossentropy._planner import Machine, Plan
from crossentropy._progress import Progress, silent
from crossentropy.testing import peak_bytes

LossFunction = Callable[..., Tensor]

BASELINE = "torch"
FLOORS = ("read", "copy", "copy, memory at hand", "products")
"""Contenders that are no losses."""
ERROR_ROWS = 256
"""Rows on which errors are computed: float64 logits of all rows would take twice the memory of everything else."""


@dataclass(frozen=True)
class Case:
    """One question: which loss, of which shape, with or without a gradient."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    gradient: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Keywords of ours that torch does not have."""
    without: tuple[str, ...] = ()
    """Contenders that are left out."""
    targets: Mapping[str, float] = field(default_factory=dict)
    """Contender → most that ours may take of its time; "bytes" → most memory of ours."""

    @property
    def linear(self) -> bool:
        """Whether the shape is N, D, V of a head."""
        return len(self.shape) == 3

    def __str__(self) -> str:
        what = "" if self.gradient else ", forward only"
        return f"{self.name} {'×'.join(map(str, self.shape))}, {self.dtype}{what}"


@dataclass(frozen=True)
class Measurement:
    """What one contender took."""

    milliseconds: float
    ratio: float
    """Of its median time to the baseline's."""
    quartiles: tuple[float, float]
    """Of the ratios of each round."""
    bytes: int
    loss_error: float
    gradient_error: float


@dataclass(frozen=True)
class Report:
    """All contenders of one case."""

    case: Case
    measurements: dict[str, Measurement]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        case = {"name": self.case.name, "shape": list(self.case.shape), "dtype": self.case.dtype}
        case |= {
            "gradient": self.case.gradient,
            "settings": dict(self.case.settings),
            "targets": dict(self.case.targets),
        }
        return case | {"results": {name: asdict(m) for name, m in self.measurements.items()}}

    def __str__(self) -> str:
        lines = [str(self.case)]
        heading = ("", "ms", "of torch", "quartiles", "MB above inputs", "loss error", "gradient error")
        widths = (22, 10, 10, 16, 17, 12, 16)
        lines.append(
            "  " + "".join(f"{h:{'<' if i == 0 else '>'}{w}}" for i, (h, w) in enumerate(zip(heading, widths)))
        )
        for name, m in self.measurements.items():
            quartiles = f"{m.quartiles[0]:.2f} … {m.quartiles[1]:.2f}"
            lines.append(
                f"  {name:22}{m.milliseconds:10.2f}{m.ratio:10.2f}{quartiles:>16}{m.bytes / 1e6:17.1f}"
                f"{m.loss_error:12.1e}{m.gradient_error:16.1e}"
            )
        return "\n".join(lines)


# --- contenders ---------------------------------------------------------------------------------------------------


def contenders(case: Case, device: str, *, compiled: bool = True) -> dict[str, LossFunction]:
    """What a user would choose among: torch's functions, ours, and peers that are installed."""
    base, ours = (_linear, functional.linear_cross_entropy) if case.linear else (_dense, functional.cross_entropy)
    found: dict[str, LossFunction] = {BASELINE: base}
    if case.settings:
        plain = ours
        found["crossentropy, plain"] = plain
        ours = _with_settings(ours, case.settings)
    found["crossentropy"] = ours
    if not case.settings:
        if compiled:
            found["torch.compile"] = torch.compile(base)
        if case.linear and hasattr(torch.nn, "LinearCrossEntropyOptions"):
            found["torch chunked"] = _torch_chunked
        if device == "cuda":
            if case.linear and case.dtype != "float32":
                found["torch, float32 logits"] = _linear_float32
            found |= _peers(case)
    found |= _floors(case)
    return {name: function for name, function in found.items() if name not in case.without}


def _dense(logits: Tensor, target: Tensor) -> Tensor:
    return torch_functional.cross_entropy(logits, target)


def _linear(hidden: Tensor, head: Tensor, target: Tensor) -> Tensor:
    return torch_functional.cross_entropy(torch_functional.linear(hidden, head), target)


def _linear_float32(hidden: Tensor, head: Tensor, target: Tensor) -> Tensor:
    """As the models of transformers do."""
    return torch_functional.cross_entropy(torch_functional.linear(hidden, head).float(), target)


def _torch_chunked(hidden: Tensor, head: Tensor, target: Tensor) -> Tensor:
    return torch_functional.linear_cross_entropy(
        hidden, head, target, options=torch.nn.LinearCrossEntropyOptions(allow_retain_graph=False)
    )


def _floors(case: Case) -> dict[str, LossFunction]:
    """What no loss can do without: reading the logits, or copying them; the products of a head."""
    if case.linear:
        return {"products": _products if case.gradient else _product}
    return {"copy": _copy, "copy, memory at hand": _Copy()} if case.gradient else {"read": _read}


def _read(logits: Tensor, target: Tensor) -> Tensor:
    return logits.sum()


def _copy(logits: Tensor, target: Tensor) -> Tensor:
    return logits.clone()


class _Copy:
    """A copy into memory that was touched before."""

    copy: Tensor | None = None

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        self.copy = torch.empty_like(logits) if self.copy is None else self.copy
        return self.copy.copy_(logits)


def _product(hidden: Tensor, head: Tensor, target: Tensor) -> Tensor:
    return _multiplied(hidden) @ _multiplied(head).T


def _products(hidden: Tensor, head: Tensor, target: Tensor) -> Tensor:
    hidden, head = _multiplied(hidden), _multiplied(head)
    logits = hidden @ head.T
    return (logits @ head)[0, 0] + (logits.T @ hidden)[0, 0]


def _multiplied(x: Tensor) -> Tensor:
    """In the dtype whose products are fastest: a CPU's are in float32."""
    return x if x.is_cuda else x.float()


def _with_settings(function: LossFunction, settings: Mapping[str, Any]) -> LossFunction:
    def loss(*tensors: Tensor) -> Tensor:
        extra = dict(settings)
        if extra.pop("class_weight", False):
            classes = tensors[1].shape[0] if len(tensors) == 3 else tensors[0].shape[1]
            extra["weight"] = torch.linspace(0.5, 1.5, classes, device=tensors[0].device)
        return function(*tensors, **extra)

    return loss


def _peers(case: Case) -> dict[str, LossFunction]:
    """Losses of other packages, on CUDA, where they are installed; none takes logits (N, C, d1, …, dK)."""
    found: dict[str, LossFunction] = {}
    if len(case.shape) > 3:
        return found
    if importlib.util.find_spec("liger_kernel"):
        from liger_kernel.transformers import functional as liger  # pyright: ignore[reportMissingImports]

        found["liger-kernel"] = liger.liger_fused_linear_cross_entropy if case.linear else liger.liger_cross_entropy
    if case.linear and importlib.util.find_spec("cut_cross_entropy"):
        from cut_cross_entropy import linear_cross_entropy  # pyright: ignore[reportMissingImports]

        found["cut-cross-entropy"] = linear_cross_entropy
    if importlib.util.find_spec("quack"):
        from quack.cross_entropy import cross_entropy  # pyright: ignore[reportMissingImports]
        from quack.linear_cross_entropy import chunked_linear_cross_entropy  # pyright: ignore[reportMissingImports]

        found["quack-kernels"] = chunked_linear_cross_entropy if case.linear else cross_entropy
    return found


# --- passes -------------------------------------------------------------------------------------------------------


def inputs(case: Case, device: str) -> tuple[Tensor, ...]:
    """Random tensors of a case: those that may need a gradient, and the target."""
    generator = torch.Generator(device).manual_seed(0)
    dtype = getattr(torch, case.dtype)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    if case.linear:
        n, d, v = case.shape
        tensors, classes, rows = (normal(n, d), normal(v, d) / d**0.5), v, (n,)
    else:
        tensors, classes = (normal(*case.shape),), case.shape[1]
        rows = (case.shape[0], *case.shape[2:])
    target = torch.randint(0, classes, rows, generator=generator, device=device)
    return (*(x.to(dtype).requires_grad_(case.gradient) for x in tensors), target)


def step(name: str, function: LossFunction, tensors: tuple[Tensor, ...]) -> Callable[[], object]:
    """One pass."""
    leaves = [x for x in tensors if x.requires_grad]
    if name in FLOORS:
        tensors, leaves = tuple(x.detach() for x in tensors), []
    if not leaves:
        return lambda: function(*tensors)
    return lambda: torch.autograd.grad(function(*tensors), leaves)


def measure(
    case: Case,
    *,
    device: str = "cpu",
    repeat: int = 15,
    compiled: bool = True,
    memory: bool = True,
    progress: Progress = silent,
) -> Report:
    """Time, memory and errors of all contenders of a case; `progress` is told of each step."""
    progress("making the tensors", 0, 0)
    tensors = inputs(case, device)
    functions = contenders(case, device, compiled=compiled)
    steps = {name: step(name, function, tensors) for name, function in functions.items()}
    times = _interleaved(steps, repeat, device, progress)
    base = times[BASELINE]
    progress("comparing with float64", 0, 0)
    errors = {name: _errors(name, function, case, tensors) for name, function in functions.items()}
    measurements = {}
    for done, (name, taken) in enumerate(times.items()):
        progress("measuring memory, each in a process of its own", done, len(times))
        low, _, high = statistics.quantiles([a / b for a, b in zip(taken, base)], n=4)
        median = statistics.median(taken)
        measurements[name] = Measurement(
            milliseconds=1e3 * median,
            ratio=median / statistics.median(base),
            quartiles=(low, high),
            bytes=_bytes_in_fresh_process(case, name, device) if memory else _bytes(steps[name], device),
            loss_error=errors[name][0],
            gradient_error=errors[name][1],
        )
    return Report(case, measurements)


def _interleaved(
    steps: dict[str, Callable[[], object]],
    repeat: int,
    device: str,
    progress: Progress = silent,
) -> dict[str, list[float]]:
    """Seconds per pass of each, in turns. A short pass is repeated for a millisecond at least.

    In its turn each takes one pass that is not timed: it then finds memory as it left it itself, as in a program that
    uses it alone, and not as a contender did.
    """
    calls = {}
    for name, run in steps.items():
        progress(f"first passes of {name}", 0, 0)
        run()
        calls[name] = max(1, int(1e-3 / max(_seconds(run, 1, device), 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in steps}
    for done in range(max(repeat, 2)):
        progress("timing rounds", done, max(repeat, 2))
        for name, run in steps.items():
            run()
            times[name].append(_seconds(run, calls[name], device))
    return times


def _seconds(run: Callable[[], object], calls: int, device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(calls):
        run()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - begin) / calls


def _bytes(run: Callable[[], object], device: str) -> int:
    if device != "cuda":
        return peak_bytes(run)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def _bytes_in_fresh_process(case: Case, name: str, device: str) -> int:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_second_pass, (case, name, device))


def _second_pass(case: Case, name: str, device: str) -> int:
    """Peak of a pass after a first one, which compiles and fills caches."""
    tensors = inputs(case, device)
    run = step(name, contenders(case, device)[name], tensors)
    run()
    return _bytes(run, device)


def _errors(name: str, function: LossFunction, case: Case, tensors: tuple[Tensor, ...]) -> tuple[float, float]:
    """Relative errors of the loss and of all gradients together, on the first rows; (nan, nan) if there is no loss."""
    if name in FLOORS:
        return float("nan"), float("nan")
    some = [x.detach()[:ERROR_ROWS] for x in tensors]
    if case.linear:
        some[1] = tensors[1].detach()
    target = some.pop()
    exact_function: LossFunction = _linear if case.linear else _dense
    if case.settings and function not in (functional.linear_cross_entropy, functional.cross_entropy, exact_function):
        ours = functional.linear_cross_entropy if case.linear else functional.cross_entropy
        exact_function = _with_settings(ours, {**case.settings, "options": crossentropy.Options("reference")})
    leaves = [x.requires_grad_(case.gradient) for x in some]
    exact_leaves = [x.detach().double().requires_grad_(case.gradient) for x in some]
    loss, exact = function(*leaves, target), exact_function(*exact_leaves, target)
    loss_error = abs(loss.detach().item() - exact.detach().item()) / abs(exact.detach().item())
    if not case.gradient:
        return loss_error, float("nan")
    gradients = torch.autograd.grad(loss, leaves)
    exact_gradients = torch.autograd.grad(exact, exact_leaves)
    difference = math.hypot(*((g - e).norm().item() for g, e in zip(gradients, exact_gradients)))
    return loss_error, difference / math.hypot(*(e.norm().item() for e in exact_gradients))


def machine() -> dict[str, Any]:
    """What results depend on: processor, threads, versions, date."""
    described = {
        "processor": f"{_processor()}, {torch.get_num_threads()} threads",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "crossentropy": crossentropy.__version__,
        "date": date.today().isoformat(),
    }
    if torch.cuda.is_available():
        described["gpu"] = torch.cuda.get_device_name()
    return described


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


# --- plans --------------------------------------------------------------------------------------------------------


def plan_of(case: Case, device: str, budget: int | None, backend: Backend | None = None) -> tuple[Selection, Plan]:
    """Who executes a case, and how, from tensors without storage; or how a backend would, wherever that is."""
    dtype = getattr(torch, case.dtype)
    with _torch.fake_mode():
        if case.linear:
            n, d, v = case.shape
            hidden, head = (torch.empty(s, dtype=dtype, device=device) for s in ((n, d), (v, d)))
            shape, rows, class_dim, linear_weight = torch.Size((n, v)), (n,), 1, head
        else:
            hidden, linear_weight = torch.empty(case.shape, dtype=dtype, device=device), None
            shape, rows, class_dim = hidden.shape, (case.shape[0], *case.shape[2:]), 1
        target = torch.zeros(rows, dtype=torch.int64, device=device)
        pair = contract.resolve(LossTensors(hidden, target, linear_weight=linear_weight), shape, class_dim)
        wanted = (case.gradient, case.gradient and case.linear, False)
        loss = contract.make_loss("cross_entropy", shape, (pair,), Options(memory_budget=budget))
        selection = select(loss) if backend is None else Selection(backend, ())
        return selection, selection.backend.plan(loss, wanted)


def measured(machine: Machine, dtype: torch.dtype, device: str) -> Machine:
    """A machine with the rates of a product of (512, 1024) and (1024, 4096), and of a copy of 64 MB: best of five.

    The product is in the dtype in which a head is multiplied, which on a CPU may be another.
    """
    dtype = dtype if device != "cpu" or cpu_multiplies(dtype) else torch.float32
    a, b = (torch.randn(s, device=device).to(dtype) for s in ((512, 1024), (1024, 4096)))
    x, y = torch.zeros(1 << 24, device=device), torch.zeros(1 << 24, device=device)
    product = _interleaved({"product": lambda: torch.mm(a, b)}, 5, device)["product"]
    copy = _interleaved({"copy": lambda: y.copy_(x)}, 5, device)["copy"]
    return replace(machine, flops=2 * 512 * 1024 * 4096 / min(product), bandwidth=2 * x.nbytes / min(copy))


def predicted_seconds(case: Case, chosen: Plan, machine: Machine) -> float:
    """Time of a plan: of its products, and of what else is read and written."""
    return chosen.flops / machine.flops + moved_bytes(case, chosen, machine) / machine.bandwidth


def moved_bytes(case: Case, chosen: Plan, machine: Machine) -> float:
    """What is read and written beside the products: the logits in some passes, and the head's gradient.

    Where chunks collect that, each but the first reads and writes it; a wider one is rounded at the end.
    """
    passes = sum(n * done for n, done in zip(machine.passes, (True, case.gradient, chosen.second_sweep)))
    if not case.linear:
        return 4 * passes * math.prod(case.shape)
    n, d, v = case.shape
    size, chunks = getattr(torch, case.dtype).itemsize, -(-n // chosen.chunk)
    again = 2 * (4 if chosen.widens else size) * (chunks - 1) + (4 + size) * chosen.widens
    return 4 * passes * n * v + again * d * v * (case.gradient and not chosen.second_sweep)
