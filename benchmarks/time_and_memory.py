"""What does a loss cost, forward and backward, relative to torch's? See README.md for the protocol."""

import argparse
import json
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
import torch.nn.functional as torch_functional
from shapes import DENSE, LINEAR, Dense, Linear

import crossentropy
import crossentropy.functional as F
from crossentropy.testing import peak_bytes

Pass = Callable[[], object]
RESULTS = Path(__file__).parent / "results"


def dense(case: Dense) -> tuple[Pass, Pass, str]:
    """Passes of ours and of torch's over given logits."""
    logits = torch.randn(case.shape).to(getattr(torch, case.dtype)).requires_grad_()
    target = torch.randint(0, case.shape[1], (case.shape[0], *case.shape[2:]))

    def step(function: Callable[..., torch.Tensor]) -> Pass:
        return lambda: torch.autograd.grad(function(logits, target), logits)

    return step(F.cross_entropy), step(torch_functional.cross_entropy), "×".join(map(str, case.shape))


def linear(case: Linear) -> tuple[Pass, Pass, str]:
    """Passes of ours and of torch's over hidden states and a head."""
    dtype = getattr(torch, case.dtype)
    hidden = torch.randn(case.rows, case.features).to(dtype).requires_grad_()
    head = (torch.randn(case.vocabulary, case.features) / case.features**0.5).to(dtype).requires_grad_()
    target = torch.randint(0, case.vocabulary, (case.rows,))

    def ours() -> object:
        return torch.autograd.grad(F.linear_cross_entropy(hidden, head, target), (hidden, head))

    def torchs() -> object:
        loss = torch_functional.cross_entropy(torch_functional.linear(hidden, head), target)
        return torch.autograd.grad(loss, (hidden, head))

    return ours, torchs, f"{case.rows}×{case.features}×{case.vocabulary}"


def interleaved(ours: Pass, torchs: Pass, repeat: int) -> tuple[float, float, float]:
    """Ratio of the median times, and the quartiles of the ratios of each round."""
    times: tuple[list[float], list[float]] = ([], [])
    for step in (ours, torchs):
        step()
    for _ in range(repeat):
        for step, record in zip((ours, torchs), times):
            begin = time.perf_counter()
            step()
            record.append(time.perf_counter() - begin)
    low, _, high = statistics.quantiles([a / b for a, b in zip(*times)], n=4)
    return statistics.median(times[0]) / statistics.median(times[1]), low, high


def processor() -> str:
    """The processor's name, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """Measure every case, print a table and store it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=15, metavar="N", help="rounds per case (default: 15)")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "local.json", metavar="FILE", help="where to store results"
    )
    options = parser.parse_args()
    results = []
    print(f"{'case':38}{'time, ours / torch':>28}{'memory, ours / torch':>24}")
    for case in (*DENSE, *LINEAR):
        torch.manual_seed(0)
        ours, torchs, shape = dense(case) if isinstance(case, Dense) else linear(case)
        ratio, low, high = interleaved(ours, torchs, options.repeat)
        memory = peak_bytes(ours), peak_bytes(torchs)
        name = f"{case.name} {shape} {case.dtype}"
        print(f"{name:44.44}{ratio:8.2f} ({low:.2f} … {high:.2f}){memory[0] / memory[1]:14.2f}")
        results.append(
            {"case": name, "time_ratio": ratio, "quartiles": [low, high], "bytes": memory[0], "torch_bytes": memory[1]}
        )
    machine = {
        "processor": f"{processor()}, {torch.get_num_threads()} threads",
        "versions": {
            "python": platform.python_version(), "torch": torch.__version__, "crossentropy": crossentropy.__version__
        },
        "date": date.today().isoformat(),
        "command": " ".join(["python", *sys.argv]),
    }  # fmt: skip
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps({**machine, "results": results}, indent=1) + "\n")
    print(f"stored in {options.out}")


if __name__ == "__main__":
    main()
