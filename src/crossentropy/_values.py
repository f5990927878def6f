"""Looking at the numbers inside tensors: when that is allowed, where the first offence is, what a row sums to.

Shapes and dtypes are always known; values are not. Under torch.compile, vmap, on the meta device or inside a CUDA
graph there is nothing to look at, and on an accelerator a look makes the program wait. Every check of values in the
package asks `readable` first.
"""

import torch
from torch import Tensor
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue]


def readable(*tensors: Tensor, wait: bool = False) -> bool:
    """Whether the values of all `tensors` can be read now: without waiting for a device, unless `wait` is true."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # pyright: ignore[reportPrivateImportUsage]
        return False
    return all(_is_readable(tensor, wait) for tensor in tensors)


def _is_readable(tensor: Tensor, wait: bool) -> bool:
    while _functorch.is_functorch_wrapped_tensor(tensor):
        if _functorch.is_batchedtensor(tensor):
            return False
        tensor = _functorch.get_unwrapped(tensor)
    ordinary = type(tensor) in (Tensor, torch.nn.Parameter)  # a fake or sharded tensor has no values of its own
    return ordinary and (tensor.device.type == "cpu" or (wait and tensor.device.type != "meta"))


def first(mask: Tensor) -> tuple[int, ...] | None:
    """Index of the first true entry of `mask` in row-major order, or None."""
    if not bool(mask.any()):
        return None
    return tuple(int(i) for i in mask.nonzero()[0])


def position(index: tuple[int, ...]) -> str:
    """The index as it is written behind a name: "[2, 0]", or nothing for a tensor without axes."""
    return f"[{', '.join(map(str, index))}]" if index else ""


def check_probabilities(name: str, p: Tensor, dim: int) -> None:
    """Raise ValueError unless every entry of `p` is at least 0 and every row along `dim` sums to 1."""
    rows = p.detach().movedim(dim, -1)
    offence = first(~(rows >= 0))  # a nan fails every comparison
    if offence is not None:
        *row, entry = offence
        raise ValueError(
            f"{name}: row {position(tuple(row))} holds {rows[offence].item():.6g} at class {entry}; "
            f"probabilities are at least 0. {_show(rows[tuple(row)])} — if these are logits, "
            "apply softmax or pass them as logits"
        )
    totals = rows.sum(-1, dtype=torch.float64)
    tolerance = _sum_tolerance(rows)
    offence = first((totals - 1).abs() > tolerance)
    if offence is not None:
        raise ValueError(
            f"{name}: row {position(offence)} sums to {totals[offence].item():.6g}, expected 1 (± {tolerance:.1g}). "
            f"{_show(rows[offence])} — divide counts by their sum, pass logits as logits"
        )


def _sum_tolerance(rows: Tensor) -> float:
    """How far from 1 the sum of C correctly computed probabilities may be.

    Each entry is rounded by half an ulp of itself (together eps/2) or, below the smallest normal number, by half of
    the smallest subnormal; the normaliser that they were divided by, summed in the same dtype, is off by about √C eps.
    """
    info, classes = torch.finfo(rows.dtype), max(rows.shape[-1], 1)
    return info.eps * (8 + classes**0.5 + classes * info.smallest_normal)


def _show(row: Tensor, most: int = 6) -> str:
    """The row, shortened: "[0.1, 0.2, 0.7]"."""
    numbers = [f"{value:.4g}" for value in row[:most].tolist()]
    return f"[{', '.join(numbers)}{', …' if row.numel() > most else ''}]"
