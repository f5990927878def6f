"""Compiled kernels alone, beside a copy: does a compiler still make of them what it did? Fails where one is too slow.

One thread, of each instruction set of this machine, on 8 MB of logits in rows of 1000 classes and in strips of 21, each
the least of many short runs in CPU time. A compiler that takes vectors through the stack in halves makes them 3 to 4
times slower, which no other test would see. The most that is allowed is 2.5 times what an AMD EPYC with AVX-512 took.
"""

import argparse
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from crossentropy._backends.compiled import Job, Task
from crossentropy._backends.native import _library
from crossentropy._loss import LossSpec

SHAPES = {"rows": (2048, 1000), "strips": (8, 21, 12_288)}
MOST = {
    "sse4": {"rows": 33, "strips": 60},
    "avx2": {"rows": 14, "strips": 25},
    "avx512": {"rows": 11, "strips": 21},
    "neon": {"rows": 33, "strips": 60},
}
"""Copies in cache that loss and gradient may take, in float32. In half precision a copy is of half the bytes, and
numbers must be converted: three times that."""


def job(logits: Tensor, gradient: Tensor | None) -> Job:
    """Loss, and maybe gradient, of logits (N, C) or (N, C, P)."""
    classes, rows = logits.shape[1], logits.numel() // logits.shape[1]
    spec = LossSpec(class_dim=1, num_classes=classes, probabilities=False, dtype=torch.float32)
    label, one = torch.randint(classes, (rows,)), torch.ones(()).expand(rows)
    return Job(Task.COMPLETE, spec, logits, gradient, 0, label=label, coefficient=one, loss=torch.empty(rows))


def least(run: Callable[[], object], repeat: int) -> float:
    """Seconds of CPU."""
    times = []
    for _ in range(repeat):
        begin = time.thread_time()
        run()
        times.append(time.thread_time() - begin)
    return min(times)


def main() -> int:
    """Print a line for each kernel; 1 if one is too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=40, metavar="N", help="runs of each (default: 40)")
    repeat, slow = parser.parse_args().repeat, 0
    library = _library.LIBRARY
    if library is None:
        print(_library.MISSING)
        return 1
    torch.set_num_threads(1)
    for number, name in enumerate(_library.SETS):
        if not number or library.functions.crossentropy_isa(number) != number:
            continue
        _library.LIBRARY = library._replace(instructions=number)
        for kind, shape in SHAPES.items():
            for dtype in _library.DTYPES:
                logits = torch.randn(shape).to(dtype)
                gradient, copy = torch.zeros_like(logits), torch.zeros_like(logits)
                one = least(lambda to=copy, x=logits: to.copy_(x), repeat)
                most = MOST[name][kind] * (1 if logits.itemsize == 4 else 3)
                ratios = []
                for left in (None, gradient):
                    work = job(logits, left)
                    ratios.append(least(lambda work=work: _library.run(work), repeat) / one)
                slow += ratios[1] > most
                print(
                    f"{name:7}{kind:7}{str(dtype).removeprefix('torch.'):9} loss {ratios[0]:5.2f}, "
                    f"with gradient {ratios[1]:5.2f} copies, of {most:g}{' TOO SLOW' if ratios[1] > most else ''}"
                )
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
