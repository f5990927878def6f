"""Sums of products that are written with letters: torch.einsum.

torch.einsum("nd,dk->nk", x, weight)         scores
torch.einsum("ne,nek->nk", gates, experts)   a mixture, of a softmax over e and one over k
torch.einsum("ii->i", probabilities)         a diagonal
"""

from __future__ import annotations

from typing import NamedTuple

from crossentropy.doctor._knowledge._facts import Dim, Shape
from crossentropy.doctor._source import _arithmetic, _shapes
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._report import Report
from crossentropy.doctor._source._values import Call, Tensor, Unknown


class _Side(NamedTuple):
    """One tensor and its letters."""

    letters: str
    tensor: Tensor

    def letter(self, axis: int | None) -> str:
        """That of an axis that is counted from the end; empty where it is not known."""
        return "" if axis is None or not -len(self.letters) <= axis < 0 else self.letters[axis]


def contracted(report: Report, x: Tensor, call: Call) -> Tensor:
    """einsum(equation, *operands)."""
    equation, *operands = call.get("args", default=(None,))
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    tensors = [as_tensor(value) for value in given]
    graph = True if any(tensor.graph for tensor in tensors) else None
    if not isinstance(equation, str) or call.open:
        return Tensor(graph=graph)
    inputs, arrow, out = equation.replace(" ", "").partition("->")
    sides = [_Side(letters, tensor) for letters, tensor in zip(inputs.split(","), tensors)]
    if not arrow or "." in equation or inputs.count(",") + 1 != len(tensors):
        return Tensor(graph=graph)
    shape = _shape(sides, out)
    if len(sides) == 1:
        return _of_one(sides[0], out, shape, call)
    return _of_several(sides, out, shape, call)


def _shape(sides: list[_Side], out: str) -> Shape:
    sizes: dict[str, Dim] = {}
    for side in sides:
        if side.tensor.rank == len(side.letters):
            sizes.update(zip(side.letters, side.tensor.shape or ()))
    return tuple(sizes.get(letter, Unknown()) for letter in out)


def _of_one(side: _Side, out: str, shape: Shape, call: Call) -> Tensor:
    x = side.tensor
    if sorted(side.letters) == sorted(out):
        return _shapes.moved(x, "permute", {"dims": [side.letters.index(letter) for letter in out]}, call.place)
    diagonal = set(side.letters) == set(out)
    kind = "column" if diagonal and x.kind == "probabilities" else ""
    return x.plain(kind=kind, made=x.made, shape=shape, axis=None, count=None, source=None)


def _of_several(sides: list[_Side], out: str, shape: Shape, call: Call) -> Tensor:
    first, second = sides[0].tensor, sides[1].tensor
    base = _arithmetic.merged(first, second).to(shape=shape, axis=None, count=None, source=None, dtype="float")
    if any(side.tensor.graph for side in sides):
        base = base.to(graph=True)
    if len(sides) > 2:
        return base
    for gates, rows in (sides, sides[::-1]):
        if _mixes(gates, rows, out):
            return base.to(kind="mixture", made=rows.tensor.made, axis=-1, count=shape[-1])
    axis, count = (-1, shape[-1]) if len(shape) == 2 else (None, None)  # of more, the classes may be on any
    return base.to(kind=_arithmetic.product_kind(first, second), made=call.place, axis=axis, count=count)


def _mixes(gates: _Side, rows: _Side, out: str) -> bool:
    """Whether rows that sum to 1 are weighed by numbers that do, over the only axis that is summed."""
    if gates.tensor.kind not in ("probabilities", "mixture") or not out:
        return False
    over, classes = gates.letter(gates.tensor.normal), rows.letter(_arithmetic.class_axis(rows.tensor))
    summed = (set(gates.letters) | set(rows.letters)) - set(out)
    return (
        bool(over) and summed == {over} and over in rows.letters and classes == out[-1] and classes not in gates.letters
    )
