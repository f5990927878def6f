"""Launches: how a job is cut into programs, and the one call that runs it.

A launch is a pure function of the shape: nothing is tuned while a program runs, and every run adds in the same order.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossentropy._backends.compiled import Job

_READ = ("label", "apart_logit", "weight", "scale", "tilt", "peak", "extra")
_LEFT = ("loss", "entropy", "logsumexp", "maximum", "others", "apart", "weighted", "mass", "elsewhere",
         "energy", "target", "top")  # fmt: skip


class Launch(NamedTuple):
    """How rows are cut: see `_rows`."""

    across: bool
    single: bool
    """Whether a row is one tile."""
    rows: int
    block: int
    """Classes of a tile."""
    warps: int

    def programs(self, outer: int, inner: int) -> int:
        """How many programs there are."""
        return outer * -(-inner // self.rows) if self.across else -(-outer // self.rows)


def plan_rows(classes: int, inner: int, itemsize: int, *, crowded: bool = False) -> Launch:
    """The launch of rows of so many classes, or of (outer, classes, inner).

    A thread loads 16 bytes at once. It keeps 32 numbers, of the longest rows that fit one tile 64; half as many if rows
    are `crowded`, where more than its exponential is kept of a class.
    """
    power, numbers = 1 << max(classes - 1, 1).bit_length(), 32 >> crowded
    if inner > 1:
        if power > 256 >> crowded:
            return Launch(True, False, 128, 16, 4)
        rows = max(32, min(128, 4096 // power))
        return Launch(True, True, rows, power, _warps(rows * power // numbers))
    if power > 32768 >> 2 * crowded:
        return Launch(False, False, 1, 16 * 32 * 16 // itemsize, 16)
    rows = max(1, 2048 // power >> crowded)
    return Launch(False, True, rows, power, _warps(rows * power // numbers))


def _warps(threads: int) -> int:
    return min(16, max(1, threads // 32))


def call(job: Job, launch: Launch | None = None) -> tuple[int, int, dict[str, Any]]:
    """Programs, warps and arguments of a call of the kernel."""
    spec, (outer, classes, inner) = job.spec, job.sizes
    capped, smoothed, scale = spec.softcap is not None, spec.label_smoothing > 0, spec.logit_scale / spec.temperature
    if launch is None:
        crowded = job.statistics or job.probabilities is not None or capped or smoothed
        launch = plan_rows(classes, inner, job.logits.itemsize, crowded=crowded)
    arguments = {name: getattr(job, name) for name in _LEFT}
    arguments |= {name: _contiguous(getattr(job, name)) for name in _READ}
    arguments |= {
        "uniform": job.uniform if isinstance(job.uniform, Tensor) else None,
        "begin": job.begin,
        "ignore_index": spec.ignore_index,
        "inner_scale": scale if spec.softcap is None else spec.logit_scale / spec.softcap,
        "outer_scale": 1.0 if spec.softcap is None else spec.softcap / spec.temperature,
        "smoothing": spec.label_smoothing,
        "share": job.share,
        "z_loss": spec.z_loss,
        "TASK": int(job.task),
        "STATISTICS": job.statistics,
        "SMOOTHED": smoothed,
        "Z_LOSS": spec.z_loss > 0,
        "CAPPED": capped,
        "SCALED": scale != 1.0,
        "ACROSS": launch.across,
        "SINGLE": launch.single,
        "R": launch.rows,
        "BLOCK": launch.block,
    }
    arguments |= _coefficients(job.coefficient) | _layout(job)
    return launch.programs(outer, inner), launch.warps, arguments


def _contiguous(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.contiguous()


def _coefficients(c: Tensor | None) -> dict[str, Any]:
    """Of each row, or one number for all, by a stride of 0."""
    if c is None or not any(c.stride()):
        return {"coefficient": c, "coefficient_stride": 0, "coefficient_kind": 0}
    return {"coefficient": c.contiguous(), "coefficient_stride": 1, "coefficient_kind": c[0].numel()}


def _layout(job: Job) -> dict[str, Any]:
    """Tensors of the logits' shape, and where their entries are: in units of what divides all their strides."""
    tensors = {"logits": job.logits, "gradient": job.gradient, "probabilities": job.probabilities}
    (row, across), (gradient_row, gradient_across), (target_row, target_across) = (
        (0, 0) if x is None else x.stride()[:2] for x in tensors.values()
    )
    outer, classes, inner = job.sizes
    if inner == 1:
        across = gradient_across = 0
    unit = math.gcd(16, row, gradient_row, target_row, across, gradient_across, classes if inner == 1 else inner)
    return {
        **tensors,
        "outer": outer,
        "classes": classes // unit if inner == 1 else classes,
        "inner": inner // unit if inner > 1 else inner,
        "row_stride": row // unit,
        "class_stride": across // unit,
        "gradient_row_stride": gradient_row // unit,
        "gradient_class_stride": gradient_across // unit,
        "target_row_stride": target_row // unit,
        "target_class_stride": target_across,
        "target_inner_stride": 0 if job.probabilities is None else (*job.probabilities.stride(), 0)[2],
        "UNIT": unit,
    }


def run(job: Job, launch: Launch | None = None) -> None:
    """Do a job, on the device of its logits and in its current stream."""
    from crossentropy._backends.triton._rows import row_kernel

    programs, warps, arguments = call(job, launch)
    if programs:
        with torch.cuda.device_of(job.logits):
            row_kernel[(programs,)](**arguments, num_warps=warps, enable_fp_fusion=True)  # pyright: ignore[reportCallIssue]
