"""Triton's interpreter, as tests use it on a machine without a GPU: with the rounding that GPUs have.

Its cast from float32 to bfloat16 truncates, in 3.6 and 3.7, which errs by a whole ulp. And what a GPU computes of
infinities without a word, NumPy warns of.
"""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from crossentropy._backends.triton import _launch


@contextlib.contextmanager
def as_a_gpu() -> Iterator[None]:
    """Kernels that run in it round as a GPU does."""
    import triton.language as tl
    from triton.runtime import interpreter

    convert = interpreter._convert_float  # pyright: ignore[reportPrivateImportUsage]

    def rounding(data: Any, source: Any, destination: Any, mode: Any) -> Any:
        if source == tl.float32 and destination == tl.bfloat16:
            exact = torch.from_numpy(np.ascontiguousarray(data).view(np.float32).copy())
            return exact.bfloat16().view(torch.int16).numpy().view(np.uint16).reshape(data.shape)
        return convert(data, source, destination, mode)

    interpreter._convert_float = rounding  # pyright: ignore[reportPrivateImportUsage]
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
            yield
    finally:
        interpreter._convert_float = convert  # pyright: ignore[reportPrivateImportUsage]


@contextlib.contextmanager
def cut_by(launch: _launch.Launch | None) -> Iterator[None]:
    """Every job is cut in this way; None: as it is planned."""
    plan = _launch.plan_rows
    if launch is not None:
        _launch.plan_rows = lambda *_, **__: launch
    try:
        yield
    finally:
        _launch.plan_rows = plan
