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

SWITCH = "CROSSENTROPY_NATIVE"
"""An environment variable: 0 switches the library off, the name of an instruction set chooses that, if it is there."""
COMPLETE, MEASURE, DERIVE = range(3)
"""Tasks: rows of all classes, from statistics to gradients; statistics of a block of classes; gradients of one."""
DTYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
SETS = ("", "sse4", "avx2", "avx512", "neon")
"""Instruction sets, by the library's numbers; the first stands for the best."""

_log = logging.getLogger("crossentropy")


class Job(ctypes.Structure):
    """`struct job` of csrc/job.h, which says what the fields are."""

    _fields_ = (
        *[(name, c_int32) for name in ("task", "dtype", "statistics", "far", "isa", "unused")],
        *[(name, c_int64) for name in ("outer", "classes", "inner", "row", "across")],
        *[(name, c_int64) for name in ("gradient_row", "gradient_across")],
        *[(name, c_void_p) for name in ("logits", "gradient", "label")],
        *[(name, c_int64) for name in ("begin", "ignore_index")],
        *[(name, c_void_p) for name in ("weight", "coefficient")],
        *[(name, c_int64) for name in ("coefficient_step", "coefficient_kind")],
        *[(name, c_float) for name in ("inner_scale", "softcap", "outer_scale")],
        *[(name, c_float) for name in ("share", "uniform", "on_label", "z_loss")],
        *[(name, c_void_p) for name in ("loss", "entropy", "logsumexp")],
        *[(name, c_void_p) for name in ("maximum", "others", "apart", "weighted", "energy", "target", "top")],
        *[(name, c_void_p) for name in ("scale", "tilt", "peak", "pull", "extra")],
        *[(name, c_void_p) for name in ("parallel", "failed")],
    )

    def read(self, **tensors: Tensor | None) -> None:
        """Let fields point to tensors, made contiguous, which are kept as long as the job is."""
        for name, tensor in tensors.items():
            if tensor is not None:
                self._point(name, tensor.contiguous())

    def read_logits(self, logits: Tensor) -> None:
        """Logits (N, C) or (N, C, P), whose last axis lies together, or is made to."""
        logits = logits if logits.stride(-1) == 1 or logits.shape[-1] == 1 else logits.contiguous()
        self.row, self.across = logits.stride(0), logits.stride(1)
        self._point("logits", logits)

    def read_coefficients(self, coefficient: Tensor | None) -> None:
        """Coefficients of rows, or (3, rows), where one number may stand for all."""
        if coefficient is None:
            return
        if any(coefficient.stride()):
            self.coefficient_step, self.coefficient_kind = 1, coefficient[0].numel()
            coefficient = coefficient.contiguous()
        self._point("coefficient", coefficient)

    def leave(self, **tensors: Tensor | None) -> None:
        """Let results be left in tensors."""
        for name, tensor in tensors.items():
            if tensor is not None:
                assert name == "gradient" or tensor.is_contiguous()
                self._point(name, tensor)

    def _point(self, name: str, tensor: Tensor) -> None:
        setattr(self, name, tensor.data_ptr())
        self.kept = (*getattr(self, "kept", ()), tensor)


class Library(NamedTuple):
    """The library, loaded."""

    functions: ctypes.CDLL
    parallel: int
    """Address of torch's function that runs a loop by threads."""
    instructions: int
    """The instruction set, one of `SETS`."""


def run(job: Job) -> None:
    """Do a job."""
    assert LIBRARY is not None
    job.parallel, job.isa = LIBRARY.parallel, LIBRARY.instructions
    if LIBRARY.functions.crossentropy_run(ctypes.byref(job)):
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
        instructions = functions.crossentropy_isa(SETS.index(wish) if wish in SETS else 0)
        if not instructions:
            raise OSError("this processor has none of the instruction sets that it is compiled for")
        return Library(functions, _parallel_for(), instructions), ""
    except (OSError, AttributeError) as error:
        _log.debug("the compiled library is not used: %s", error)
        return None, f"the compiled library is not there: {error}"


LIBRARY, MISSING = _load()
"""What is loaded, when torch's operators are first needed; and why nothing is. (A compiler would not look it up.)"""
