"""What calls of the Triton backend launch, as a compiler takes it: kernels that tests compile without a GPU.

Tensors are on "meta", of the sizes that users have, and `Variant` says of them what a launch would: types, what is
known of them, and what is a constant.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crossentropy._backends.compiled import Job, Pair, Task
from crossentropy._backends.triton import _launch
from crossentropy._loss import LossSpec

TYPES = {
    torch.float32: "fp32", torch.float64: "fp64", torch.bfloat16: "bf16", torch.float16: "fp16", torch.int64: "i64"
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One binary of a kernel."""

    name: str
    kernel: Any
    signature: dict[str, str]
    """Type of each argument, "constexpr" for constants."""
    constants: dict[str, Any]
    divisible: tuple[str, ...]
    """Arguments that 16 divides: aligned pointers, and sizes."""
    warps: int
    logits: int
    """How many there are,"""
    bytes: int
    """and what must be read and written of them."""


def of(name: str, kernel: Any, arguments: dict[str, Any], warps: int, *, passes: int = 1) -> Variant:
    """The variant that a launch with these arguments compiles, in the order of the kernel's own."""
    signature, constants, divisible = {}, {}, []
    plain = (kernel.kwargs["do_not_specialize"] if hasattr(kernel, "kwargs") else kernel.do_not_specialize) or ()
    for argument in kernel.arg_names:
        value = arguments[argument]
        signature[argument] = _type(value, constant=argument.isupper(), special=argument not in plain)
        if signature[argument] == "constexpr":
            constants[argument] = value
        elif isinstance(value, Tensor) or (isinstance(value, int) and value % 16 == 0 and argument not in plain):
            divisible.append(argument)
    z = next(x for x in arguments.values() if isinstance(x, Tensor))
    return Variant(name, kernel, signature, constants, tuple(divisible), warps, z.numel(), passes * z.nbytes)


def _type(value: Any, *, constant: bool, special: bool) -> str:
    if isinstance(value, Tensor):
        return "*" + TYPES[value.dtype]
    if hasattr(value, "block_shape"):  # a descriptor of a tensor
        return f"tensordesc<{TYPES[value.base.dtype]}{list(value.block_shape)}>"
    if value is None or constant or (special and isinstance(value, int) and value == 1):
        return "constexpr"
    return "fp32" if isinstance(value, float) else "i32" if abs(value) < 1 << 31 else "i64"


def rows(
    name: str,
    shape: tuple[int, ...],
    dtype: torch.dtype = torch.bfloat16,
    *,
    task: Task = Task.COMPLETE,
    gradient: bool = True,
    weighted: bool = False,
    soft: bool = False,
    statistics: bool = False,
    exact: bool = False,
    left: tuple[str, ...] = ("loss",),
    known: tuple[str, ...] = (),
    **options: Any,
) -> Variant:
    """A variant of the row kernel, for logits (N, C) or (N, C, P)."""
    from crossentropy._backends.triton._rows import row_kernel

    def new(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    z = new(*shape, dtype=dtype)
    count = z.numel() // shape[1]
    spec = LossSpec(1, shape[1], soft, torch.float32, **options)
    job = Job(task, spec, z, torch.empty_like(z) if gradient else None, 0, statistics=statistics)
    job.label = None if soft else new(count, dtype=torch.int64)
    job.probabilities = torch.empty_like(z) if soft else None
    job.apart_logit = new(count) if exact else None
    job.weight = new(shape[1]) if weighted else None
    job.uniform = new() if weighted and spec.label_smoothing else spec.label_smoothing
    job.coefficient = new(3 if statistics else 1, count) if gradient else None
    for field in (*left, *known):
        setattr(job, field, new(count, dtype=torch.int64 if field == "top" else torch.float32))
    _, warps, arguments = _launch.call(job)
    return of(name, row_kernel, arguments, warps, passes=1 + gradient + soft)


def divergence(
    name: str,
    shape: tuple[int, ...],
    dtype: torch.dtype = torch.bfloat16,
    *,
    task: Task = Task.COMPLETE,
    gradient: bool = True,
    **options: Any,
) -> Variant:
    """A variant of the kernel of two logits."""
    from crossentropy._backends.triton._divergence import divergence_kernel

    z, rows = torch.empty(shape, dtype=dtype, device="meta"), torch.empty(shape[0], device="meta")
    spec = LossSpec(1, shape[1], False, torch.float32, **options)
    pair = Pair(task, (spec, spec), (z, torch.empty_like(z)), rows if gradient else None, *[rows] * 5)
    _, warps, arguments = _launch.call_pair(pair)
    return of(name, divergence_kernel, arguments, warps, passes=2 * (1 + gradient))


def variants() -> list[Variant]:
    """Those of ordinary calls, and of each switch."""
    llama, small = (4096, 128256), (65536, 1000)
    everything = {"label_smoothing": 0.1, "z_loss": 1e-4, "softcap": 30.0}
    sums = ("maximum", "others", "apart")
    results = ("loss", "entropy", "logsumexp", *sums, "energy", "target", "top")
    return [
        rows("rows 1000 bf16", small),
        rows("rows 1000 fp32", small, torch.float32),
        rows("rows 1000 bf16, every option", small, weighted=True, **everything),
        rows("rows 32000 bf16", (8192, 32000)),
        rows("rows 32000 fp16", (8192, 32000), torch.float16),
        rows("rows 32000 fp32", (8192, 32000), torch.float32),
        rows("rows 128256 bf16", llama),
        rows("rows 128256 bf16, label's logit in float32", llama, exact=True),
        rows("rows 128256 bf16, forward alone", llama, gradient=False),
        rows("rows 128256 bf16, smoothing", llama, label_smoothing=0.1),
        rows("rows 128256 bf16, softcap", llama, softcap=30.0),
        rows("rows 128256 bf16, every option", llama, weighted=True, exact=True, **everything),
        rows("rows 128256 fp32", llama, torch.float32),
        rows("rows 256000 bf16", (4096, 256000)),
        rows("probabilities 1000 bf16", small, soft=True),
        rows("probabilities 128256 bf16", llama, soft=True),
        rows("probabilities 128256 bf16, every option", llama, soft=True, weighted=True, **everything),
        rows("statistics 1000 bf16", small, statistics=True, left=results),
        rows("statistics 128256 bf16", llama, statistics=True, left=results),
        rows("statistics 128256 bf16, softcap", llama, statistics=True, exact=True, left=results, softcap=30.0),
        rows("measure 32064 bf16", (4096, 32064), task=Task.MEASURE, gradient=False, left=sums),
        rows("measure 128256 bf16, probabilities", llama, task=Task.MEASURE, gradient=False, soft=True,
             left=(*sums, "weighted", "mass", "elsewhere", "top")),
        rows("derive 32064 bf16", (4096, 32064), task=Task.DERIVE, left=(), known=("maximum", "scale", "peak")),
        rows("derive 128256 bf16", llama, task=Task.DERIVE, left=(), known=("maximum", "scale", "peak")),
        rows("derive 128256 bf16, statistics", llama, task=Task.DERIVE, statistics=True, left=(),
             known=("maximum", "top", "scale", "tilt", "peak", "extra")),
        rows("segmentation 21 fp32", (8, 21, 65536), torch.float32),
        rows("segmentation 21 fp32, every option", (8, 21, 65536), torch.float32, weighted=True, **everything),
        rows("segmentation 150 bf16", (8, 150, 65536)),
        rows("segmentation 1000 bf16", (8, 1000, 4096)),
        rows("segmentation 150 bf16, probabilities", (8, 150, 65536), soft=True),
        rows("segmentation 150 bf16, statistics", (8, 150, 65536), statistics=True, left=results),
        divergence("divergence 1000 bf16", small),
        divergence("divergence 128256 bf16", llama, softcap=30.0),
        divergence("divergence 128256 bf16, forward alone", llama, gradient=False),
        divergence("divergence 128256 bf16, of a slice", llama, task=Task.MEASURE, gradient=False),
        divergence("divergence 128256 bf16, gradient of a slice", llama, task=Task.DERIVE),
    ]  # fmt: skip
