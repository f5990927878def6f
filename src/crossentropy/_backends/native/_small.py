"""Small problems in one call: `csrc/small.cpp`, which was compiled for one minor version of torch."""

import ctypes
import logging
import sys
import sysconfig
from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy._backends.native._library import LIBRARY, MISSING, VERSION
from crossentropy._torch import address

CrossEntropy = Callable[[Tensor, Tensor, int, str, int], Tensor | None]
"""Of logits, labels, ignore_index, reduction and the most logits: the loss, or None where it is not plain."""
LogSoftmax = Callable[[Tensor, int, int], Tensor | None]
"""Of logits, axis and the most logits: log-probabilities, or None where the logits are not plain."""
Gradient = Callable[[Tensor, Tensor, int, str, Tensor], Tensor]
"""Of logits, labels, ignore_index, reduction and upstream: the gradient, which can be differentiated."""
GradientOfLogSoftmax = Callable[[Tensor, Tensor, int], Tensor]
"""The same of logits or log-probabilities, upstream and axis."""
BinaryCrossEntropy = Callable[[Tensor, Tensor, Tensor | None, Tensor | None, str], Tensor | None]
"""Of logits, target, weight, pos_weight and reduction: the loss, or None where something is not plain."""
GradientOfBinary = Callable[[Tensor, Tensor, Tensor | None, Tensor | None, str, Tensor], Tensor]
"""The same and upstream: the gradient, which can be differentiated."""


class Functions(NamedTuple):
    """What the library has."""

    cross_entropy: CrossEntropy
    log_softmax: LogSoftmax
    binary: BinaryCrossEntropy


_log = logging.getLogger("crossentropy")


def path() -> Path:
    """Where the library is, if it is there."""
    version = "_".join(torch.__version__.split(".")[:2])
    return Path(__file__).with_name(f"libcrossentropy_small_{version}.so")


def load(gradient: Gradient, of_log_softmax: GradientOfLogSoftmax, of_binary: GradientOfBinary) -> Functions | None:
    """The library's functions, if there is one for this torch and this Python."""
    try:
        return _loaded(gradient, of_log_softmax, of_binary)
    except ImportError as error:
        _log.debug("small problems go to torch: %s", error)
        return None


def _loaded(gradient: Gradient, of_log_softmax: GradientOfLogSoftmax, of_binary: GradientOfBinary) -> Functions:
    file = path()
    if LIBRARY is None or not file.is_file():
        raise ImportError(MISSING or f"{file.name} was not built")
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise ImportError(f"{file.name} is for CPython with its lock")
    spec = spec_from_file_location("small", file, loader=ExtensionFileLoader("small", str(file)))
    assert spec is not None
    assert spec.loader is not None
    library = module_from_spec(spec)
    spec.loader.exec_module(library)
    known = torch.empty(0)
    if library.address(known) != address(known):
        raise ImportError(f"{file.name} does not find tensors where this torch has them")
    run = ctypes.cast(LIBRARY.functions.crossentropy_run, ctypes.c_void_p).value
    try:
        library.prepare(run, LIBRARY.parallel, LIBRARY.instructions, VERSION, gradient, of_log_softmax, of_binary)
    except TypeError as error:
        raise ImportError(f"{file.name} is of another version of this package") from error
    return Functions(library.cross_entropy, library.log_softmax, library.binary)
