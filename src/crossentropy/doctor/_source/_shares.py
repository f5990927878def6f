"""Rows that are weighed by numbers drawn at random, as in mixup: what each sums to, as multiples of what was drawn.

share · a + (1 − share) · b    1, where the rows of a and b sum to 1
share · a + share · b          2 share, which is 1 by chance alone
"""

from __future__ import annotations

import ast

from crossentropy.doctor._source._values import Tensor, Unknown, Value

ONE = None
"""What a constant is a multiple of."""


def drawn() -> Value:
    """A number drawn at random: once itself."""
    return ((Unknown(), 1.0),)


def is_weight(x: Tensor) -> bool:
    """Whether it is one number for all, or one for each row, that was drawn at random."""
    return x.share is not None and x.axis is None and (x.rank == 0 or (bool(x.rank) and x.size(-1) == 1))


def combined(
    op: type[ast.operator], a: Tensor, b: Tensor, left: Value, right: Value, sums: tuple[float | None, float | None]
) -> Value:
    """What the result of an operation is, or its rows sum to; `sums` are those of a and b."""
    if a.share is None and b.share is None:
        return None
    if op in (ast.Add, ast.Sub):
        weights = [is_weight(x) or isinstance(value, (int, float)) for x, value in ((a, left), (b, right))]
        first, second = _form(a, left, sums[0]), _form(b, right, sums[1])
        return None if weights[0] != weights[1] else _added(first, second, 1.0 if op is ast.Add else -1.0)
    if op is ast.Mult:
        for x, factor, total in ((a, right, sums[1]), (b, left, sums[0])):
            factor = factor if isinstance(factor, (int, float)) else total if is_weight(x) else None
            if x.share is not None and factor is not None:
                return _scaled(x.share, float(factor))
    return _scaled(a.share, 1 / right) if op is ast.Div and isinstance(right, (int, float)) and right else None


def _form(x: Tensor, value: Value, total: float | None) -> Value:
    constant = float(value) if isinstance(value, (int, float)) else total
    return x.share if x.share is not None or constant is None else ((ONE, constant),)


def _scaled(share: Value, factor: float) -> Value:
    return None if share is None else tuple((what, times * factor) for what, times in share)


def _added(first: Value, second: Value, sign: float) -> Value:
    if first is None or second is None:
        return None
    total: dict[Value, float] = dict(first)
    for what, times in second:
        total[what] = total.get(what, 0.0) + sign * times
    return tuple((what, times) for what, times in total.items() if abs(times) > 1e-9)


def constant(share: Value) -> float | None:
    """What does not hang on chance any more."""
    return None if share is None or any(what is not ONE for what, _ in share) else sum(times for _, times in share)
