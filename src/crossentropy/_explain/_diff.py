"""The first step at which two computations part, and what explains it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crossentropy._errors import ArgumentTypeError, ArgumentValueError, kind_of
from crossentropy._explain._data import Computation, Step, number, plain
from crossentropy._explain._words import say


@dataclass(frozen=True, eq=False)
class Difference:
    """Where two explanations part."""

    step: str | None
    """Key of the first step that differs, or None."""
    cause: str
    """What explains it: "softmax", "scale", "ignored", "off_by_one", "weight", "reduction", … or "entries"."""
    message: str
    """The same in words, with the numbers."""
    where: tuple[int, ...] | None
    """The entry of the step's tensor that differs most."""
    a: float
    """That entry in the first explanation."""
    b: float
    """And in the second."""

    def __str__(self) -> str:
        return self.message

    def to_dict(self) -> dict[str, Any]:
        """The difference as what JSON can hold."""
        where = None if self.where is None else list(self.where)
        return {
            "step": self.step,
            "cause": self.cause,
            "message": self.message,
            "where": where,
            "a": plain(self.a),
            "b": plain(self.b),
        }


OPTIONAL = ("raw", "tau", "weight", "z_loss", "token_weight", "denominator", "rows")
"""Steps that are there only if the computation was asked for them."""


def diff(a: object, b: object) -> Difference:
    """The first step at which two explanations part."""
    for name, e in (("a", a), ("b", b)):
        if not isinstance(e, Computation):
            raise ArgumentTypeError(f"{name} is {kind_of(e)}, expected a crossentropy.Explanation")
    assert isinstance(a, Computation)
    assert isinstance(b, Computation)
    if a.kind != b.kind:
        raise ArgumentValueError(f"a explains {a.kind} and b {b.kind}: expected two of the same kind")
    return (
        _shape(a, b)
        or _ignored(a, b)
        or _first(a, b)
        or Difference(None, "none", say(a.lang, "diff.none"), None, 0.0, 0.0)
    )


def _shape(a: Computation, b: Computation) -> Difference | None:
    sizes = [(e.shown.all_rows, e.shown.all_classes) for e in (a, b)]
    if sizes[0] == sizes[1]:
        return None
    rows, classes = zip(*sizes)
    message = say(a.lang, "diff.shape", a=f"{rows[0]:,} × {classes[0]:,}", b=f"{rows[1]:,} × {classes[1]:,}")
    return Difference(a.steps[0].key, "shape", message, None, float(rows[0]), float(rows[1]))


def _ignored(a: Computation, b: Computation) -> Difference | None:
    for row, (ours, theirs) in enumerate(zip(a.shown.ignored, b.shown.ignored)):
        if ours != theirs:
            found = Difference("target", "ignored", say(a.lang, "diff.ignored"), (row,), float(ours), float(theirs))
            return _with_values(a, b, found)
    return None


def _first(a: Computation, b: Computation) -> Difference | None:
    theirs, ours = {step.key: step for step in b.steps}, {step.key: step for step in a.steps}
    for key in _in_order(list(ours), list(theirs)):
        x, y = ours.get(key), theirs.get(key)
        if x is not None and y is not None:
            entry = _parting(x, y, max(a.tolerance, b.tolerance))
            if entry is not None:
                return _explained(a, b, x, y, entry)
        elif key in OPTIONAL:
            return _one_sided(a, b, key)
    return None


def _in_order(ours: list[str], theirs: list[str]) -> list[str]:
    """The keys of both, where those that both have are in the same order."""
    merged, left = [], list(theirs)
    for key in ours:
        while key in left:
            merged.append(left.pop(0))
        if key not in merged:
            merged.append(key)
    return merged + left


def _parting(x: Step, y: Step, tolerance: float) -> tuple[int, ...] | None:
    """The entry that differs most, if any does by more than rounding; () also for tensors of different shapes."""
    if x.tensor.shape != y.tensor.shape:
        return ()
    p, q = x.tensor.double(), y.tensor.double()
    apart = torch.where((p == q) | (p.isnan() & q.isnan()), 0.0, (p - q).abs()).nan_to_num(nan=torch.inf)
    if apart.numel() == 0 or float(apart.max()) <= tolerance:
        return None
    flat = int(apart.argmax())
    return tuple(int(i) for i in torch.unravel_index(torch.tensor(flat), apart.shape)) if apart.dim() else ()


def _one_sided(a: Computation, b: Computation, key: str) -> Difference:
    """A step that only one computation has."""
    step = a.step(key) or b.step(key)
    assert step is not None
    cause = "reduction" if key in ("denominator", "rows") else key
    with_it, without = ("a", "b") if a.step(key) else ("b", "a")
    message = say(a.lang, "diff.one_sided", step=step.name, has=with_it, lacks=without)
    return _with_values(a, b, Difference(key, cause, message, None, torch.nan, torch.nan))


def _explained(a: Computation, b: Computation, x: Step, y: Step, entry: tuple[int, ...]) -> Difference:
    cause = _cause(a, b, x, y)
    p, q = (float(step.tensor[entry]) if step.tensor.dim() == len(entry) else torch.nan for step in (x, y))
    where = f"[{', '.join(map(str, entry))}]" if entry else ""
    words = say(a.lang, f"diff.{cause}", step=x.name, where=where, a=number(p), b=number(q))
    return _with_values(a, b, Difference(x.key, cause, words, entry or None, p, q))


def _with_values(a: Computation, b: Computation, found: Difference) -> Difference:
    """The difference, with what becomes of the value."""
    same = a.value.shape == b.value.shape and torch.allclose(
        a.value.double(), b.value.double(), atol=max(a.tolerance, b.tolerance), rtol=0.0, equal_nan=True
    )
    if a.value.dim() or b.value.dim():
        return found
    key = "diff.same_value" if same else "diff.values"
    tail = say(a.lang, key, a=number(float(a.value)), b=number(float(b.value)))
    gap = " " if a.lang == "en" else ""
    return Difference(found.step, found.cause, f"{found.message}{gap}{tail}", found.where, found.a, found.b)


def _cause(a: Computation, b: Computation, x: Step, y: Step) -> str:
    if x.tensor.shape != y.tensor.shape:
        return "path" if x.key == "target" else "entries"
    if x.key == "target":
        return _cause_of_target(x.tensor, y.tensor)
    if x.key in ("logits", "raw"):
        return _cause_of_logits(a, b, x.tensor.double(), y.tensor.double())
    return x.key if x.key in ("weight", "token_weight", "tau", "denominator") else "entries"


def _cause_of_target(x: Tensor, y: Tensor) -> str:
    if not x.is_floating_point() and bool(((y - x).abs() == 1).all()) and len({*(y - x).tolist()}) == 1:
        return "off_by_one"
    return "labels" if not x.is_floating_point() else "entries"


def _cause_of_logits(a: Computation, b: Computation, x: Tensor, y: Tensor) -> str:
    """What maps the logits of one to those of the other."""
    if not torch.equal(a.shown.classes, b.shown.classes):
        return "entries"
    tolerance = 4 * max(a.tolerance, b.tolerance)

    def close(p: Tensor, q: Tensor) -> bool:
        return torch.allclose(p.double(), q.double(), atol=tolerance, rtol=0.0)

    for name, first, second in (("", a, y), ("_reversed", b, x)):
        for key in ("softmax", "log_softmax"):
            step = first.step(key)
            if step is not None and close(step.tensor, second):
                return key + name
    elementwise: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid, "relu": torch.relu}
    for name, function in elementwise.items():
        if close(function(x), y):
            return name
    apart = y - x
    if close(apart, apart.mean(1, keepdim=True).expand_as(apart)):
        return "shift"
    ratio = float((x * y).sum() / x.square().sum())
    return "scale" if close(ratio * x, y) else "entries"
