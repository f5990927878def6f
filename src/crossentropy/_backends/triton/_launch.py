"""Launches: how a job is cut into programs, and the one call that runs it.

A launch is a pure function of the shape: nothing is tuned while a program runs, and every run adds in the same order.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossentropy._backends.chunked._tile import factor
from crossentropy._backends.compiled import Job, Pair
from crossentropy._loss import LossSpec

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
            return Launch(True, False, 128, 16, 8)
        rows = max(32, min(128, 4096 // power))
        return Launch(True, True, rows, power, _warps(rows * power // numbers))
    if power > 32768 >> 2 * crowded:
        return Launch(False, False, 1, 16 * 32 * 16 // itemsize, 16)
    rows = max(1, min(128, 2048 // power >> crowded))
    return Launch(False, True, rows, power, _warps(rows * power // numbers))


def _warps(threads: int) -> int:
    return min(16, max(1, threads // 32))


def call(job: Job, launch: Launch | None = None) -> tuple[int, int, dict[str, Any]]:
    """Programs, warps and arguments of a call of the kernel."""
    spec, (outer, classes, inner) = job.spec, job.sizes
    capped, smoothed, (inner_scale, outer_scale) = spec.softcap is not None, spec.label_smoothing > 0, _scales(spec)
    if launch is None:
        crowded = job.statistics or job.probabilities is not None or capped or smoothed
        launch = plan_rows(classes, inner, job.logits.itemsize, crowded=crowded)
    arguments = {name: getattr(job, name) for name in _LEFT}
    arguments |= {name: _contiguous(getattr(job, name)) for name in _READ}
    arguments |= {
        "uniform": job.uniform if isinstance(job.uniform, Tensor) else None,
        "begin": job.begin,
        "ignore_index": spec.ignore_index,
        "inner_scale": inner_scale,
        "outer_scale": outer_scale,
        "smoothing": spec.label_smoothing,
        "share": job.share,
        "z_loss": spec.z_loss,
        "TASK": int(job.task),
        "STATISTICS": job.statistics,
        "SMOOTHED": smoothed,
        "Z_LOSS": spec.z_loss > 0,
        "CAPPED": capped,
        "SCALED": inner_scale != 1.0,
        **_tile(launch),
    }
    arguments |= _coefficients(job.coefficient) | _layout(job)
    return launch.programs(outer, inner), launch.warps, arguments


def call_pair(pair: Pair, launch: Launch | None = None) -> tuple[int, int, dict[str, Any]]:
    """Programs, warps and arguments of a call of the kernel of two logits."""
    outer, classes, inner = pair.sizes
    if launch is None:
        launch = plan_rows(classes, inner, max(z.itemsize for z in pair.logits), crowded=True)
    (student, teacher), (spec, t_spec), (scales, t_scales) = pair.logits, pair.specs, map(_scales, pair.specs)
    sizes, (row, t_row), (across, t_across), unit = _in_units(pair.sizes, pair.logits)
    coefficient = _coefficients(pair.coefficient)
    arguments = {
        **sizes,
        "student": student,
        "teacher": teacher,
        "coefficient": coefficient["coefficient"],
        "coefficient_stride": coefficient["coefficient_stride"],
        "loss": pair.loss,
        "maximum": pair.maximum,
        "log_total": pair.log_total,
        "t_maximum": pair.t_maximum,
        "t_log_total": pair.t_log_total,
        "row_stride": row,
        "class_stride": across,
        "t_row_stride": t_row,
        "t_class_stride": t_across,
        "inner_scale": scales[0],
        "outer_scale": scales[1],
        "factor": factor(spec),
        "t_inner_scale": t_scales[0],
        "t_outer_scale": t_scales[1],
        "t_factor": factor(t_spec),
        "TASK": int(pair.task),
        "GRADIENT": pair.coefficient is not None,
        "CAPPED": spec.softcap is not None,
        "T_CAPPED": t_spec.softcap is not None,
        "UNIT": unit,
        **_tile(launch),
    }
    return launch.programs(outer, inner), launch.warps, arguments


def _tile(launch: Launch) -> dict[str, Any]:
    return {"ACROSS": launch.across, "SINGLE": launch.single, "R": launch.rows, "BLOCK": launch.block}


def _scales(spec: LossSpec) -> tuple[float, float]:
    """What a logit is multiplied by before and after a softcap; before alone where there is none."""
    if spec.softcap is None:
        return spec.logit_scale / spec.temperature, 1.0
    return spec.logit_scale / spec.softcap, spec.softcap / spec.temperature


def _contiguous(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.contiguous()


def _coefficients(c: Tensor | None) -> dict[str, Any]:
    """Of each row, or one number for all, by a stride of 0."""
    if c is None or not any(c.stride()):
        return {"coefficient": c, "coefficient_stride": 0, "coefficient_kind": 0}
    return {"coefficient": c.contiguous(), "coefficient_stride": 1, "coefficient_kind": c[0].numel()}


def _layout(job: Job) -> dict[str, Any]:
    """Tensors of the logits' shape, and where their entries are."""
    target = job.probabilities
    sizes, (row, gradient_row, target_row), (across, gradient_across, _), unit = _in_units(
        job.sizes, (job.logits, job.gradient, target)
    )
    return {
        "logits": job.logits,
        "gradient": job.gradient,
        "probabilities": target,
        **sizes,
        "row_stride": row,
        "class_stride": across,
        "gradient_row_stride": gradient_row,
        "gradient_class_stride": gradient_across,
        "target_row_stride": target_row,
        "target_class_stride": 0 if target is None else target.stride(1),
        "target_inner_stride": 0 if target is None else (*target.stride(), 0)[2],
        "UNIT": unit,
    }


def _in_units(
    sizes: tuple[int, int, int], tensors: Sequence[Tensor | None]
) -> tuple[dict[str, int], list[int], list[int], int]:
    """Sizes, strides of rows and of classes, and the unit in which strides, and what lies together, are told."""
    outer, classes, inner = sizes
    rows = [0 if x is None else x.stride(0) for x in tensors]
    across = [0 if x is None or inner == 1 else x.stride(1) for x in tensors]
    unit = math.gcd(16, *rows, *across, classes if inner == 1 else inner)
    told = {"outer": outer, "classes": classes, "inner": inner // unit}
    if inner == 1:
        told |= {"classes": classes // unit, "inner": 1}
    return told, [x // unit for x in rows], [x // unit for x in across], unit


def run(job: Job, launch: Launch | None = None) -> None:
    """Do a job, on the device of its logits and in its current stream."""
    from crossentropy._backends.triton._rows import row_kernel

    programs, warps, arguments = call(job, launch)
    start(row_kernel, job.logits, (programs,), warps, arguments)


def run_pair(pair: Pair, launch: Launch | None = None) -> None:
    """The same for two logits."""
    from crossentropy._backends.triton._divergence import divergence_kernel

    programs, warps, arguments = call_pair(pair, launch)
    start(divergence_kernel, pair.logits[0], (programs,), warps, arguments)


def start(kernel: Any, on: Tensor, programs: tuple[int, ...], warps: int, arguments: dict[str, Any]) -> None:  # noqa: ANN401
    """Launch a kernel on the device of a tensor, in its current stream."""
    if 0 not in programs:
        with torch.cuda.device_of(on):
            # fused by our wish, for Triton's default is to change
            kernel[programs](**arguments, num_warps=warps, enable_fp_fusion=True)
