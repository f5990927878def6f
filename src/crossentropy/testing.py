"""Testing numerics: error budgets that are derived, and inputs that find errors.

    budget of k roundings in a dtype:   |actual − exact| ≤ k · ½ eps · max(|exact|, magnitude) + smallest subnormal

eps is the distance from 1 to the next number of the dtype, so that one correct rounding costs at most ½ eps relative
to the result. `magnitude` is the size of the largest intermediate, where that is larger than the result. Count the
roundings of an algorithm to choose k; do not enlarge it until a test passes.

The helpers raise AssertionError; none returns a bool that could be forgotten.
"""

import itertools
import os
from collections.abc import Callable

import torch
from torch import Tensor

from crossentropy._exports import Listing, listing

__all__ = ["assert_accurate", "assert_no_worse", "hostile_logits", "peak_bytes"]


def assert_accurate(actual: Tensor, exact: Tensor, *, roundings: float, magnitude: Tensor | float = 0.0) -> None:
    """Raise AssertionError unless `actual` is within a number of roundings, in its own dtype, of `exact`.

    Args:
        actual: The result, any shape, a floating dtype.
        exact: The true value in float64, of the same shape. Infinities and nans must be in the same places.
        roundings: The budget k, each worth ½ eps of `actual`'s dtype.
        magnitude: Size of the intermediates, that of the result if larger; a number or broadcastable.

    Raises:
        AssertionError: Shapes differ or an entry is off; the message shows the worst one.

    Examples:
        >>> assert_accurate(torch.tensor([0.1]), torch.tensor([0.1], dtype=torch.float64), roundings=1)
    """
    if actual.shape != exact.shape:
        raise AssertionError(f"shape {tuple(actual.shape)}, expected {tuple(exact.shape)}")
    got, true = actual.detach().double(), exact.detach().double().to(actual.device)
    budget = _budget(actual.dtype, true, roundings, magnitude)
    excess = torch.where(_same(got, true), 0.0, (got - true).abs() / budget).nan_to_num(nan=torch.inf)
    if excess.numel() and excess.max() > 1:
        i = int(excess.argmax())
        raise AssertionError(
            f"{int((excess > 1).sum())} of {excess.numel()} entries are off; the worst, {_unravel(i, excess.shape)}, "
            f"is {got.flatten()[i]:.9g} instead of {true.flatten()[i]:.9g}: "
            f"{roundings * excess.flatten()[i]:.3g} roundings, allowed {roundings:g}"
        )


def assert_no_worse(
    actual: Tensor, rival: Tensor, exact: Tensor, *, roundings: float = 8.0, magnitude: Tensor | float = 0.0
) -> None:
    """Raise AssertionError where `actual` is neither close to `rival` nor closer to `exact` than the rival is.

    Args:
        actual: The result, any shape.
        rival: The result of another implementation, of the same shape.
        exact: The true value in float64, of the same shape.
        roundings: What counts as close, in roundings of `actual`'s dtype.
        magnitude: Size of the intermediates, as for `assert_accurate`.

    Raises:
        AssertionError: Shapes differ or an entry is worse; the message shows the first one.

    Examples:
        >>> exact = torch.tensor([8.7565e-27], dtype=torch.float64)
        >>> assert_no_worse(torch.tensor([8.7565e-27]), torch.tensor([0.0]), exact)
    """
    if actual.shape != rival.shape:
        raise AssertionError(f"shape {tuple(actual.shape)}, expected {tuple(rival.shape)}")
    got, other, true = (t.detach().double().to(actual.device) for t in (actual, rival, exact))
    close = _same(got, other) | ((got - other).abs() <= _budget(actual.dtype, other, roundings, magnitude))
    closer = _same(got, true) | ((got - true).abs() <= (other - true).abs().nan_to_num(nan=torch.inf))
    worse = ~(close | closer)
    if worse.any():
        i = int(worse.flatten().to(torch.uint8).argmax())
        raise AssertionError(
            f"{int(worse.sum())} of {worse.numel()} entries are worse; the first, at {_unravel(i, worse.shape)}, is "
            f"{got.flatten()[i]:.9g}, the rival's {other.flatten()[i]:.9g}, the truth {true.flatten()[i]:.9g}"
        )


def hostile_logits(num_rows: int, num_classes: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Logits (N, C) on which losses go wrong, by name.

    Args:
        num_rows: N ≥ 1.
        num_classes: C ≥ 2.
        dtype: A floating dtype; values fit float16.

    Returns:
        "ordinary" (normal), "flat" (all equal), "peaked" (class 0 is 60 above the rest), "huge" (of size 1e4), "tiny"
        (of size 1e-7), "one-hot" (0 and 1) and "masked" (a −inf in every second class but never in class 0).

    Examples:
        >>> hostile_logits(1, 3)["peaked"]
        tensor([[60.,  0.,  0.]])
    """
    ordinary = torch.randn(num_rows, num_classes)
    first = torch.zeros(num_rows, num_classes).index_fill(1, torch.tensor([0]), 1.0)
    odd = torch.arange(num_classes) % 2 == 1
    logits = {
        "ordinary": ordinary,
        "flat": torch.full_like(ordinary, 3.0),
        "peaked": 60 * first,
        "huge": 1e4 * ordinary.clamp(-4, 4),
        "tiny": 1e-7 * ordinary,
        "one-hot": first,
        "masked": ordinary.masked_fill(odd, -torch.inf),
    }
    return {name: z.to(dtype) for name, z in logits.items()}


def peak_bytes(step: Callable[[], object]) -> int:
    """Most memory, in bytes, that tensors made by a step held on the CPU at one time.

    Counted from the allocations that torch's profiler records: exact, repeatable, and blind to what was there before.

    Args:
        step: A function without arguments, run once.

    Returns:
        The peak of allocated minus freed bytes during the step.

    Examples:
        >>> peak_bytes(lambda: torch.empty(1000).neg())  # two tensors of 4,000 bytes
        8000
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's own messages
    cpu = [torch.profiler.ProfilerActivity.CPU]
    # one cycle is recorded: acc_events changes nothing but that torch 2.10 warns without it
    with torch.profiler.profile(activities=cpu, profile_memory=True, acc_events=True) as profile:
        step()
    assert profile.profiler is not None
    recorded = profile.profiler.kineto_results
    changes = sorted(
        (event.start_ns(), event.nbytes())  # pyright: ignore[reportAttributeAccessIssue]
        for event in recorded.events()  # pyright: ignore[reportOptionalMemberAccess]
        if event.name() == "[memory]"
    )
    return max(itertools.accumulate(change for _, change in changes), default=0)


def _budget(dtype: torch.dtype, true: Tensor, roundings: float, magnitude: Tensor | float) -> Tensor:
    info = torch.finfo(dtype)
    scale = torch.maximum(true.abs(), torch.as_tensor(magnitude, dtype=torch.float64, device=true.device))
    return roundings * info.eps / 2 * scale + info.smallest_normal * info.eps


def _same(a: Tensor, b: Tensor) -> Tensor:
    return (a == b) | (a.isnan() & b.isnan())


def _unravel(index: int, shape: torch.Size) -> tuple[int, ...]:
    return tuple(int(i) for i in torch.unravel_index(torch.tensor(index), shape))


__dir__: Listing = listing(__name__)
