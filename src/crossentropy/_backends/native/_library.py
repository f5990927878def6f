"""The compiled library: where it is, what it is asked, and by whose threads.

It is plain C, in `csrc`, that knows nothing of Python and torch: a job is a struct of pointers and numbers. The threads
are torch's own, by `torch_parallel_for` of its stable C interface, so that one library serves every torch and every
Python, and no second pool of threads waits beside torch's.
"""

import ctypes
import logging
import os
import sys
from ctypes import c_float, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy._backends.compiled import Job

SWITCH = "CROSSENTROPY_NATIVE"
"""An environment variable: 0 switches the library off, the name of an instruction set chooses that, if it is there."""
DTYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
SETS = ("", "sse4", "avx2", "avx512", "neon")
"""Instruction sets, by the library's numbers; the first stands for the best."""
VERSION = 3
"""That of csrc/job.h: a library that was built for another is not used."""
FAR = 8 << 20
"""Bytes of a gradient that is written past the caches, if it does not replace the logits;"""
LONG = 1 << 14
"""and of its rows: the ends of short ones are no whole lines."""

_log = logging.getLogger("crossentropy")


class Struct(ctypes.Structure):
    """`struct job` of csrc/job.h, which says what the fields are."""

    _fields_ = (
        *[(name, c_int32) for name in ("task", "dtype", "statistics", "far", "isa", "target_dtype")],
        *[(name, c_int64) for name in ("outer", "classes", "inner", "row", "across")],
        *[(name, c_int64) for name in ("gradient_row", "gradient_across")],
        *[(name, c_void_p) for name in ("logits", "gradient", "upstream", "label", "target")],
        *[(name, c_int64) for name in ("target_row", "target_across")],
        *[(name, c_int64) for name in ("begin", "ignore_index")],
        *[(name, c_void_p) for name in ("weight", "coefficient")],
        *[(name, c_int64) for name in ("coefficient_step", "coefficient_kind")],
        *[(name, c_float) for name in ("inner_scale", "softcap", "outer_scale")],
        *[(name, c_float) for name in ("share", "uniform", "on_label", "z_loss")],
        *[(name, c_void_p) for name in ("loss", "entropy", "logsumexp")],
        *[(name, c_void_p) for name in ("maximum", "others", "apart", "weighted", "mass", "elsewhere", "energy")],
        *[(name, c_void_p) for name in ("at_label", "top", "normaliser")],
        *[(name, c_void_p) for name in ("scale", "tilt", "peak", "pull", "pos_weight")],
        *[(name, c_int64) for name in ("weight_row", "pos_weight_row")],
        ("extra", c_void_p),
        *[(name, c_void_p) for name in ("parallel", "failed")],
    )

    def point(self, name: str, tensor: Tensor | None) -> None:
        """Let a field point to a tensor, which is kept as long as the struct is."""
        if tensor is not None:
            tensor = tensor.resolve_neg()
            setattr(self, name, tensor.data_ptr())
            self.kept = (*getattr(self, "kept", ()), tensor)

    def leave(self, gradient: Tensor) -> None:
        """Let the gradient go there, if it is large and new past the caches."""
        long = self.inner > 1 or self.classes * gradient.itemsize >= LONG
        self.far = long and gradient.nbytes >= FAR and gradient.data_ptr() != self.logits
        self.point("gradient", gradient)


_READ = ("label", "weight", "scale", "tilt", "peak", "pull", "extra")
_LEFT = (
    *("loss", "entropy", "logsumexp"),
    *("maximum", "others", "apart", "weighted", "mass", "elsewhere", "energy", "top"),
)


def _struct(job: Job) -> Struct:
    """A job as the library has it. What it reads is made contiguous, but for logits whose last axis lies together."""
    spec, logits, gradient = job.spec, job.logits, job.gradient
    outer, classes, inner = job.sizes
    logits = logits if logits.stride(-1) == 1 or logits.shape[-1] == 1 else logits.contiguous()
    made = Struct(task=job.task, dtype=DTYPES[logits.dtype], statistics=job.statistics, begin=job.begin)
    made.outer, made.classes, made.inner, made.ignore_index = outer, classes, inner, spec.ignore_index
    made.row, made.across = logits.stride(0), logits.stride(1)
    made.point("logits", logits)
    if gradient is not None:
        made.gradient_row, made.gradient_across = gradient.stride(0), gradient.stride(1)
        made.leave(gradient)
    made.inner_scale, made.outer_scale, made.softcap = spec.logit_scale / spec.temperature, 1.0, 0.0
    if spec.softcap is not None:
        made.inner_scale, made.softcap = spec.logit_scale / spec.softcap, spec.softcap
        made.outer_scale = spec.softcap / spec.temperature
    made.share, made.uniform = job.share, float(job.uniform)
    made.on_label, made.z_loss = 1 - spec.label_smoothing, spec.z_loss
    for name in _READ:
        tensor = getattr(job, name)
        made.point(name, None if tensor is None else tensor.contiguous())
    for name in _LEFT:
        made.point(name, getattr(job, name))
    made.point("at_label", job.target)
    target = job.probabilities
    if target is not None:
        if target.dtype not in (torch.float32, logits.dtype):  # of a head, whose products are in another
            target = target.float()
        target = target if target.stride(-1) == 1 or target.shape[-1] == 1 else target.contiguous()
        made.target_dtype = DTYPES[target.dtype]
        made.target_row, made.target_across = target.stride(0), target.stride(1)
        made.point("target", target)
    c = job.coefficient
    if c is not None:
        if any(c.stride()):
            made.coefficient_step, made.coefficient_kind, c = 1, c[0].numel(), c.contiguous()
        made.point("coefficient", c)
    return made


class Library(NamedTuple):
    """The library, loaded."""

    functions: ctypes.CDLL
    parallel: int
    """Address of torch's function that runs a loop by threads."""
    instructions: int
    """The instruction set, one of `SETS`."""


def run(job: Job) -> None:
    """Do a job."""
    do(_struct(job))


def do(made: Struct) -> None:
    """Do a job as the library has it."""
    assert LIBRARY is not None
    made.parallel, made.isa = LIBRARY.parallel, LIBRARY.instructions
    if LIBRARY.functions.crossentropy_run(ctypes.byref(made)):
        raise MemoryError("no memory for a few logits of each thread")


def path() -> Path:
    """Where the library is, if it is there."""
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    return Path(__file__).with_name(f"libcrossentropy{suffix}")


def _open(file: Path) -> ctypes.CDLL:
    if not file.is_file():
        raise OSError(f"{file.name} was not built for this machine")
    return ctypes.CDLL(str(file))


def _parallel_for() -> int:
    name = {"win32": "torch_cpu.dll", "darwin": "libtorch_cpu.dylib"}.get(sys.platform, "libtorch_cpu.so")
    torch_cpu = ctypes.CDLL(str(Path(torch.__file__).with_name("lib") / name))
    address = ctypes.cast(torch_cpu.torch_parallel_for, c_void_p).value
    assert address is not None
    return address


def _load() -> tuple[Library | None, str]:
    """The library; or none, and why."""
    wish = os.environ.get(SWITCH, "")
    if wish == "0":
        return None, f"{SWITCH}=0 switches the compiled library off"
    try:
        functions = _open(path())
        if functions.crossentropy_version() != VERSION * 10_000 + ctypes.sizeof(Struct):
            raise OSError(f"{path().name} is of another version of this package; build_native.py makes it anew")
        instructions = functions.crossentropy_isa(SETS.index(wish) if wish in SETS else 0)
        if not instructions:
            raise OSError("this processor has none of the instruction sets that it is compiled for")
        return Library(functions, _parallel_for(), instructions), ""
    except (OSError, AttributeError) as error:
        _log.debug("the compiled library is not used: %s", error)
        return None, f"the compiled library is not there: {error}"


LIBRARY, MISSING = _load()
"""What is loaded, when torch's operators are first needed; and why nothing is. (A compiler would not look it up.)"""
