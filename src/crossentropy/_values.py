"""Looking at the numbers inside tensors: when that is allowed, where the first offence is, what a row sums to.

Shapes and dtypes are always known; values are not. Under torch.compile, vmap, on the meta device or inside a CUDA
graph there is nothing to look at, and on an accelerator a look makes the program wait. Every check of values in the
package asks `readable` first.
"""

from collections.abc import Callable
from numbers import Integral

import torch
from torch import Tensor

from crossentropy import _torch
from crossentropy._errors import ArgumentIndexError, ArgumentTypeError, ArgumentValueError

_CLASSES = {Tensor, torch.nn.Parameter}
_OWN_VALUES = getattr(Tensor, "__torch_dispatch__")  # noqa: B009


def readable(*tensors: Tensor, wait: bool = False) -> bool:
    """Whether the values of all `tensors` can be read now: without waiting for a device, unless `wait` is true."""
    if torch.compiler.is_compiling() or _torch.scripting() or _torch.tracing():
        return False
    return all(_is_readable(tensor, wait) for tensor in tensors)


def own_values(tensor: Tensor) -> bool:
    """Whether a tensor is what it seems: neither fake nor sharded, nor another class that redefines operators."""
    return getattr(type(tensor), "__torch_dispatch__") is _OWN_VALUES  # noqa: B009 (pyright takes it for a method)


def plain(tensor: Tensor) -> bool:
    """Whether a tensor on a CPU is torch's own, and nobody but autograd sees what is done with it."""
    return (
        not torch.compiler.is_compiling()
        and type(tensor) in _CLASSES
        and tensor.is_cpu
        and tensor.layout is torch.strided
        and not (_torch.forward_mode() or _torch.modes() or _torch.scripting())
        and _torch.transform() is None
        and not _torch.is_legacy_batched(tensor)
    )


def _is_readable(tensor: Tensor, wait: bool) -> bool:
    inner = _torch.unwrapped(tensor)
    if inner is None or not own_values(inner):
        return False
    return inner.device.type == "cpu" or (wait and inner.device.type != "meta" and not _captured(inner))


def _captured(tensor: Tensor) -> bool:
    """Whether what is done now with a tensor goes into a CUDA graph, which cannot wait for it."""
    return tensor.device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def first(mask: Tensor) -> tuple[int, ...] | None:
    """Index of the first true entry of `mask` in row-major order, or None."""
    if not bool(mask.any()):
        return None
    return tuple(int(i) for i in mask.nonzero()[0])


def position(index: tuple[int, ...]) -> str:
    """The index as it is written behind a name: "[2, 0]", or nothing for a tensor without axes."""
    return f"[{', '.join(map(str, index))}]" if index else ""


def check_axis(name: str, dim: object) -> None:
    """An axis is a whole number."""
    if isinstance(dim, bool) or not isinstance(dim, (int, Integral, torch.SymInt)):
        raise ArgumentTypeError(f"dim is {dim!r}, expected an axis of {name}: a whole number")


def axis(name: str, tensor: Tensor, dim: int) -> int:
    """The axis `dim` of a tensor, counted from the front."""
    check_axis(name, dim)
    if not -tensor.dim() <= dim < tensor.dim():
        raise ArgumentIndexError(f"dim is {dim}, expected an axis of {name}, which has shape {tuple(tensor.shape)}")
    return dim % tensor.dim()


def check_broadcast(**tensors: Tensor) -> None:
    """The shapes of all tensors, given by their argument names, broadcast."""
    try:
        torch.broadcast_shapes(*(t.shape for t in tensors.values()))
    except RuntimeError:
        shapes = " and ".join(f"{name} {tuple(t.shape)}" for name, t in tensors.items())
        raise ArgumentValueError(f"the shapes of {shapes} do not broadcast, expected the same shape") from None


def check_probabilities(name: str, p: Tensor, dim: int, *, hint: Callable[[Tensor], str], begin: int = 0) -> None:
    """Raise ArgumentValueError unless every entry of `p` is at least 0 and every row along `dim` sums to 1.

    `hint` says what to do with the first row that is none; `begin` is where p begins along the first axis of what is
    called `name`.
    """
    rows = p.detach().movedim(dim, -1)
    offence = first(~((rows >= 0) & (rows < torch.inf)))  # a nan fails every comparison
    if offence is not None:
        row, value = rows[offence[:-1]], rows[offence].item()
        expected = "finite probabilities" if value == torch.inf else "probabilities ≥ 0"
        raise ArgumentValueError(
            f"{name}{row_position(offence[:-1], begin)} holds {value:.6g} at class {offence[-1]}, expected {expected}: "
            f"{_show(row)} — {hint(row)}"
        )
    totals = rows.sum(-1, dtype=torch.float64)
    tolerance = sum_tolerance(rows.dtype, rows.shape[-1])
    offence = first(~((totals - 1).abs() <= tolerance))
    if offence is not None:
        total = totals[offence].item()
        amount = f"1 {total - 1:+.1g}" if abs(total - 1) < 1e-4 else f"{total:.6g}"
        raise ArgumentValueError(
            f"{name}{row_position(offence, begin)} sums to {amount}, expected 1 (± {tolerance:.1g}): "
            f"{_show(rows[offence])} — {hint(rows[offence])}"
        )


def remedy(row: Tensor, logits: str) -> str:
    """What to do with a row that is not of probabilities; `logits` says it of logits."""
    if bool(row.isnan().any()):
        return "was a row of zeros divided by its sum?"
    if bool(row.isinf().any()):
        return "did a number overflow?"
    if bool((row < 0).any()):
        mass = float(row.exp().sum(dtype=torch.float64))
        return "log-probabilities? use exp()" if abs(mass - 1) <= sum_tolerance(row.dtype, len(row)) else logits
    return "divide each row by its sum" if bool(row.any()) else "no class has any probability in this row"


def row_position(index: tuple[int, ...], begin: int = 0) -> str:
    """A row as it is written behind a name, ": row [2]", or nothing for the only one, which has no index."""
    return f": row {position((begin + index[0], *index[1:]))}" if index else ""


def sum_tolerance(dtype: torch.dtype, classes: int) -> float:
    """How far from 1 the sum of C correctly computed probabilities may be.

    Each entry is rounded by half an ulp of itself (together eps/2) or, below the smallest normal number, by half of
    the smallest subnormal; the normaliser that they were divided by, summed in the same dtype, is off by about √C eps.
    In float64 the bound is that of float32: numbers that were made in it keep its rounding when they are converted. A
    sum that is off by a quarter is no rounding, whatever the dtype: with bfloat16 the bound passes 1 at C = 14,400.
    """
    info, classes = torch.finfo(torch.float32 if dtype == torch.float64 else dtype), max(classes, 1)
    return min(info.eps * (8 + classes**0.5 + classes * info.smallest_normal), 0.25)


def _show(row: Tensor, most: int = 6) -> str:
    """The row, shortened: "[0.1, 0.2, 0.7]"."""
    numbers = [f"{value:.4g}" for value in row[:most].tolist()]
    return f"[{', '.join(numbers)}{', …' if row.numel() > most else ''}]"
