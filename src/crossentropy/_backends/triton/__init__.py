"""The Triton backend: the chunked backend's sweeps, with tiles that Triton's kernels work on, on a GPU.

    _rows       the kernel that does a job: statistics, loss and gradient of rows in one launch
    _divergence the same of two logits
    _lanes      how a row is summed while it is read; _elementary, with which functions
    _launch     how a job is cut into programs
    _head       kernels beside the products of a linear head; _linear, when they are asked

Triton comes with torch where there is a GPU, and is imported when a kernel is first run. The host waits for nothing:
what is on the device, kernels read there. With TRITON_INTERPRET=1 Triton interprets kernels, slowly, which is how they
are tested on a CPU.
"""

import functools
import importlib.util
import os

import torch

from crossentropy._backends import chunked, compiled
from crossentropy._backends.chunked._engine import Engine
from crossentropy._backends.chunked._tile import Setting
from crossentropy._backends.triton._launch import run, run_pair
from crossentropy._backends.triton._linear import exactly, sweep_statistics
from crossentropy._backends.triton._linear import scale as scale
from crossentropy._loss import Loss

INTERPRETED = os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "on", "yes", "y")
MISSING = "" if importlib.util.find_spec("triton") else "Triton is not installed, which comes with torch for GPUs"


def eligible(loss: Loss) -> tuple[str, ...]:
    """Reasons why this backend cannot execute a loss; none if it can."""
    if MISSING:
        return (MISSING,)
    reasons = [*chunked.eligible(loss), *compiled.reasons(loss)]
    if loss.kind == "divergence" and loss.sides[0].spec.mixture.teacher_share:
        reasons.append("Triton's kernels know one divergence, KL(teacher‖student)")
    if loss.kind == "divergence" and loss.sides[0].weight is None:
        reasons.append("Triton's kernel of a divergence leaves gradients in the logits, which must be a head's")
    device = loss.sides[0].input.device
    if device.type != "cuda" and not (INTERPRETED and device.type == "cpu"):
        reasons.append(f"Triton's kernels are for GPUs, or interpreted by TRITON_INTERPRET=1: logits are on {device}")
    # a compiler of graphs launches by Triton itself
    if device.type == "cuda" and not (reasons or torch.compiler.is_compiling()) and (failure := launch_failure()):
        reasons.append(failure)
    return tuple(reasons)


@functools.cache
def launch_failure() -> str:
    """Why Triton launches nothing on a GPU; "" if it does. What launches kernels is compiled when it is first asked."""
    if INTERPRETED or not torch.cuda.is_available():  # nothing is launched
        return ""
    from triton.runtime import driver

    try:
        driver.active.get_current_target()
    except Exception as error:  # of the C compiler, its headers, or the GPU's driver
        return f"Triton cannot launch kernels here: {' '.join(str(error).split())}"
    return ""


class _CrossEntropy(compiled.CrossEntropy):
    run = staticmethod(run)

    @classmethod
    def of(cls, setting: Setting) -> compiled.CrossEntropy:
        return exactly(super().of(setting), setting)


class _TokenStatistics(compiled.TokenStatistics):
    run = staticmethod(run)

    @classmethod
    def of(cls, setting: Setting) -> compiled.TokenStatistics:
        return exactly(super().of(setting), setting)


class _Divergence(compiled.Divergence):
    run = staticmethod(run_pair)


_engine = Engine(
    {"cross_entropy": _CrossEntropy.of, "statistics": _TokenStatistics.of, "divergence": _Divergence.of},
    compiled.plan,
    sweep_statistics,
)

plan, execute, empty_gradient = _engine.plan, _engine.execute, _engine.empty_gradient
room, measure, conclude, compare, derive = (
    _engine.room, _engine.measure, _engine.conclude, _engine.compare, _engine.derive
)  # fmt: skip
