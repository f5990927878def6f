r"""What a loss of some shape needs, before it is computed: ours by its plan, torch's by a formula.

Most bytes that are held above the inputs during one pass, L those of the logits in the dtype that the loss is given,
L' in that of the inputs, G those of the gradients of hidden states and head:

    torch, of given logits, forward        L                 log_softmax; 2 L with the logits, if L ≠ L'
                            and gradient   3 L               log_softmax, its gradient, the logits' gradient
    torch, of a head,       forward        2 L               the logits, log_softmax
                            and gradients  max(3 L, L' + G)  as above; then the logits' gradient, the products with it
    ours                                   workspace + G     (of given logits G = L')

So it is in one expression, `cross_entropy(linear(hidden, head).float(), target)`: a name keeps the logits, L more.
Without `.float()`, by which many models make float32 of half precision, L = L'.

    seconds = products / FLOP rate + bytes moved / bandwidth        (_benchmark.predicted_seconds)
"""

import math
from dataclasses import dataclass
from typing import Any

import torch

from crossentropy import _benchmark, _dispatch
from crossentropy._benchmark import Case
from crossentropy._dispatch import Selection
from crossentropy._planner import CARDS, Machine, Plan, machine_of


@dataclass(frozen=True)
class Forecast:
    """A plan, what it should take, and what torch would need."""

    case: Case
    device: str
    selection: Selection
    plan: Plan
    machine: Machine
    """With the rates that times are made of."""
    measured: bool
    """Whether the rates were measured here; else they are those that the card is known for, of half precision."""

    @property
    def bytes(self) -> int:
        """Most memory of ours above the inputs."""
        return self.plan.workspace + self.plan.gradients

    @property
    def moved(self) -> float:
        """Bytes read and written beside the products."""
        return _benchmark.moved_bytes(self.case, self.plan, self.machine)

    @property
    def seconds(self) -> float:
        """The time to expect."""
        return _benchmark.predicted_seconds(self.case, self.plan, self.machine)

    def torch_bytes(self) -> dict[str, int]:
        """Most memory of torch's eager functions above the inputs, with logits in the dtype given and in float32."""
        return {dtype: eager_bytes(self.case, dtype) for dtype in dict.fromkeys((self.case.dtype, "float32"))}

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it: bytes, FLOPs and seconds."""
        case = self.case
        return {
            "shape": list(case.shape),
            "dtype": case.dtype,
            "gradient": case.gradient,
            "device": self.device,
            "backend": _dispatch.name_of(self.selection.backend),
            "reasons": list(self.selection.reasons),
            "plan": self.plan.to_dict(),
            "bytes": self.bytes,
            "torch": {"logits": logits_bytes(case, case.dtype), "bytes": self.torch_bytes()},
            "seconds": self.seconds,
            "moved_bytes": self.moved,
            "flops_per_second": self.machine.flops,
            "bytes_per_second": self.machine.bandwidth,
            "measured": self.measured,
        }

    def __str__(self) -> str:
        case, gradient = self.case, self.case.gradient
        loss = "linear_cross_entropy" if case.linear else "cross_entropy"
        axes = "N×D×V" if case.linear else "N×C" + "".join(f"×d{i}" for i in range(1, len(case.shape) - 1))
        shape = "×".join(f"{size:,}" for size in case.shape)
        counted = "forward and gradients (--forward: without)" if gradient else "forward alone, gradients not counted"
        cut = str(self.plan).split("\n")[0]
        lines = [
            f"{loss} of {axes} = {shape} in {case.dtype}: {counted}",
            f"backend  {self.selection}",
            f"plan     {cut}",
            f"         {self.plan.reason}",
            f"memory   {scaled(self.bytes, 'B')}: workspace {scaled(self.plan.workspace, 'B')}"
            + (f", gradients {scaled(self.plan.gradients, 'B')}" if gradient else ""),
        ]
        for dtype, held in self.torch_bytes().items():
            logits = f"logits in {dtype} ({scaled(logits_bytes(case, dtype), 'B')})"
            held_for = "log_softmax and gradients of" if gradient else "log_softmax of"
            times = f"; {held / self.bytes:.1f}× ours" if self.bytes else ""
            lines.append(f"torch    {scaled(held, 'B')}, eager: {held_for} {logits}{times}")
        return "\n".join([*lines, f"time     {self._time()}"])

    def _time(self) -> str:
        where = "rates measured here" if self.measured else f"rates of {self.device} in half precision"
        slower = not self.measured and self.case.dtype in ("float32", "float64")
        if slower:
            where += f", which {self.case.dtype} does not reach"
        total = f"{'more than' if slower else 'about'} {scaled(self.seconds, 's')}"
        moving = f"{scaled(self.moved, 'B')} moved at {scaled(self.machine.bandwidth, 'B/s')}"
        if not self.plan.flops:
            return f"{total}: {moving} ({where})"
        products = f"{scaled(self.plan.flops, 'FLOP')} of products at {scaled(self.machine.flops, 'FLOP/s')}"
        return f"{total}: {products} + {moving} ({where})"


def forecast(case: Case, device: str, memory: int | None) -> Forecast:
    """The forecast of a case: on this machine, or on a card that need not be here.

    Args:
        case: Shape, dtype, and whether gradients are wanted.
        device: "cpu", "cuda", or the name of a card.
        memory: Bytes of workspace; by default those of the device.
    """
    card = CARDS.get(device)
    kind = device if card is None else "cuda"
    backend = None if card is None or case.dtype == "float64" else _dispatch.CARDS
    selection, plan = _benchmark.plan_of(case, kind, memory, backend)
    machine = card or _benchmark.measured(machine_of(torch.device(kind)), getattr(torch, case.dtype), kind)
    return Forecast(case, device, selection, plan, machine, card is None)


def logits_bytes(case: Case, dtype: str) -> int:
    """L: bytes of the logits."""
    entries = case.shape[0] * case.shape[2] if case.linear else math.prod(case.shape)
    return entries * getattr(torch, dtype).itemsize


def eager_bytes(case: Case, dtype: str) -> int:
    """Most bytes that torch's eager functions hold above the inputs, with logits in some dtype."""
    logits, given = logits_bytes(case, dtype), logits_bytes(case, case.dtype)
    if not case.gradient:
        return logits if not case.linear and logits == given else 2 * logits
    if not case.linear:
        return 3 * logits
    n, d, v = case.shape
    gradients = (n + v) * d * getattr(torch, case.dtype).itemsize
    return max(3 * logits, given + gradients)


def scaled(number: float, unit: str) -> str:
    """A number with three digits and the prefix of its unit: 1.05 GB, 790 TFLOP/s, 16.8 ms."""
    prefixes = {"s": ((1, ""), (1e-3, "m"), (1e-6, "µ"))}.get(
        unit, ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))
    )
    size, prefix = next((each for each in prefixes if number >= 0.9995 * each[0]), prefixes[-1])
    digits = f"{number / size:.3g}"
    return f"{float(digits):,.0f} {prefix}{unit}" if "e" in digits else f"{digits} {prefix}{unit}"
