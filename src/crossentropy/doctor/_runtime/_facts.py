"""The facts of a call that is made: exact ones, of what made its tensors and of their numbers."""

import math

import torch
from torch import Tensor

from crossentropy.doctor._knowledge import _facts
from crossentropy.doctor._knowledge._axes import class_axis_of, classes_last
from crossentropy.doctor._knowledge._loss_call import OF_TEACHERS, LossCall, reduction
from crossentropy.doctor._knowledge._operations import doing
from crossentropy.doctor._runtime._axes import layer, mixing_view, part_of, source, whole_axes
from crossentropy.doctor._runtime._call import Call, class_axis, ignored_label, num_classes
from crossentropy.doctor._runtime._history import Remembered
from crossentropy.doctor._runtime._numbers import Measured, looks_like_probabilities, ones_per_row
from crossentropy.doctor._runtime._sources import Source, distribution_axis, made_by
from crossentropy.doctor._runtime._trace import Place, Trace

_KINDS = {"softmax": "probabilities", "log_softmax": "log-probabilities", "log of softmax": "log-probabilities",
          "sigmoid": "sigmoid", "relu": "relu"}  # fmt: skip
"""What operations make, by the names of `made_by`."""
_SCORES = doing("scores") | {"batch_norm"}
_OF_CLASSES = ("cross_entropy", "nll_loss", "linear_cross_entropy")
_BINARY = ("binary_cross_entropy", "binary_cross_entropy_with_logits")


def facts(call: Call, remembered: Remembered) -> LossCall:
    """What is known of a call of a loss."""
    place = call.place or Place("", 0)
    settings = {name: _setting(value) for name, value in call.arguments.items() if name not in ("input", "target")}
    x, y = _input(call, place), _target(call).to(fills=remembered.padding)
    if remembered.padding and remembered.seems:
        y = y.to(likely=True)
    if remembered.shift is not None:
        x, y = x.to(source=remembered.tokens), y.to(source=remembered.tokens, offset=remembered.shift)
    return LossCall(call.loss, x, y, settings, place, reduction(call.arguments), numbers=Measured(call), name=call.name)


def _setting(value: object) -> object:
    return _facts.Tensor(shape=tuple(value.shape)) if isinstance(value, Tensor) else value


def _axis(call: Call) -> int:
    """The axis of the input along which a loss reads classes, or outputs; that of a distribution, if several fit."""
    if call.loss == "kl_div":
        return distribution_axis(call.input, call.x.dim())
    if call.loss in OF_TEACHERS and isinstance(call.dim, int) and call.x.dim():
        return call.dim % call.x.dim()
    return class_axis(call) if call.loss in _OF_CLASSES else call.x.dim() - 1


def _input(call: Call, place: Place) -> _facts.Tensor:
    axis, shape = _axis(call), tuple(call.x.shape)
    basis = _facts.Tensor(shape=shape, dtype=_dtype(call.x), graph=call.x.requires_grad)
    if not call.x.is_floating_point() or axis >= len(shape):
        return basis.to(kind="" if call.x.is_floating_point() else "indices")
    if call.loss == "linear_cross_entropy":
        return basis.to(kind="logits", shape=(*shape[:-1], num_classes(call)), count=num_classes(call))
    made = made_by(call.input, axis)
    kind = _KINDS.get(made.op, "logits" if made.op in _SCORES else "")
    if made.op == "matmul" and looks_like_probabilities(call.x, axis):  # a mixture
        kind = ""
    seen = "" if kind else _kind_by_numbers(call, made.op, axis)
    if kind == "probabilities" and call.loss in _BINARY and _is_column(call, made):
        kind = "column"
    return basis.to(
        kind=kind or seen,
        seen=bool(seen),
        made=made.trace.place,
        axis=_home(call, axis) if call.loss in _OF_CLASSES else None,
        count=shape[axis] if shape else None,
        normal=_normal(call, made, len(shape)) if made.op == "log_softmax" else None,
        cut=_cut(call),
        logs=(made.trace.place or place) if made.op == "log of softmax" else None,
        clipped=_clipped(made.trace, axis) if made.op == "log_softmax" else None,
        mixed=_mixed(call, axis) if call.loss in _OF_CLASSES else None,
        banned=_banned(call, axis) if call.loss in _OF_CLASSES else frozenset(),
        likely=bool(seen) and not made.op,
    )


def _rows(call: Call, axis: int) -> tuple[int, ...]:
    """The shape of class indices that fit."""
    return (*call.x.shape[:axis], *call.x.shape[axis + 1 :])


def _home(call: Call, axis: int) -> int | None:
    """Where the classes are: on the last axis if the target has the shape of all others, or where a layer put them.

    They may also be meant to be elsewhere than a layer's outputs are; but not where both are as many, and the last axis
    is still the layer's.
    """
    x, rows = call.x, _rows(call, axis)
    if classes_last(tuple(x.shape), tuple(call.y.shape)):
        return -1
    made, _ = layer(call.input, axis)
    home = class_axis_of(made.op, len(made.shape))
    if x.shape == call.y.shape and _is_last(call, axis):
        return -1 if home is not None and _now(call.input, made, home) == x.dim() - 1 else None
    fits = x.dim() > 2 and tuple(call.y.shape) == rows and home is not None and made.shape[home] == x.shape[axis]
    if home is None or not fits or made.shape[-1] != x.shape[-1]:
        return None
    now = _now(call.input, made, home)
    return None if now is None else now - x.dim()


def _now(trace: Trace, made: Trace, home: int) -> int | None:
    """The axis that an axis of a layer has become."""
    olds = (layer(trace, axis) for axis in range(len(trace.shape)))
    return next((axis for axis, old in enumerate(olds) if old == (made, home)), None)


def _mixed(call: Call, axis: int) -> _facts.Place | None:
    """The view that mixed a layer's outputs with the rows, where it has made as many classes of them, or a part."""
    view, classes = mixing_view(call.input, axis), call.x.shape[axis]
    if view is None or classes < 2 or _home(call, axis) is not None:
        return None
    made, at = layer(call.input, axis)
    home = class_axis_of(made.op, len(made.shape))
    if home is None or made.shape[home] % classes or at == home:
        return None
    if made.shape[home] > classes:  # several predictors of so many classes
        now = _now(view.of, made, home)
        mixed = now is not None and not part_of(view, now) and not whole_axes(view, 1)
    else:
        mixed = not whole_axes(view, 2)
    return view.view.place if mixed else None


def _banned(call: Call, axis: int) -> frozenset[int]:
    """True classes whose logit is −inf."""
    x, y = call.x, call.y
    if call.loss == "linear_cross_entropy" or y.is_floating_point() or tuple(y.shape) != _rows(call, axis):
        return frozenset()
    counted = (y != ignored_label(call)) & (y >= 0) & (y < x.shape[axis])
    index = torch.where(counted, y, 0).long().unsqueeze(axis)
    banned = counted & (x.gather(axis, index).squeeze(axis) == -torch.inf)
    return frozenset(y[banned].unique().tolist())


def _kind_by_numbers(call: Call, operation: str, axis: int) -> str:
    """What an input is by its numbers, where nothing else tells."""
    x = call.x
    if call.loss in _BINARY:
        outside = call.loss == "binary_cross_entropy" and bool(((x < 0) | (x > 1)).any())
        return "logits" if outside else ""
    if operation != "log" and looks_like_probabilities(x, axis):
        return "probabilities"
    return "logits" if call.loss == "nll_loss" and operation != "log" and not _are_logs(call, axis) else ""


_WEIGHINGS = doing("arithmetic", "limits")


def _are_logs(call: Call, axis: int) -> bool:
    """Whether rows are log-probabilities; masked ones sum to at most 1, and weighted ones come of logarithms."""
    x = call.x
    if not bool((x <= 1e-6).all()):
        return False
    weighed = [call.input.back()]
    for trace in weighed:
        if trace.op in ("log_softmax", "log", "logsumexp", "logsigmoid", "log_sigmoid"):
            return True
        if trace.op in _WEIGHINGS and len(weighed) < 64:
            weighed += [parent.back() for parent in trace.parents]
    return bool((x.double().exp().sum(axis) < 1 + 1e-2).all())


def _normal(call: Call, made: Source, rank: int) -> int | None:
    """The axis that a log_softmax was taken over, counted from the end; beyond all axes, if it is gone."""
    if made.over is None or made.at is None:
        return None
    olds = [source(call.input, axis)[1] for axis in range(rank)]
    return olds.index(made.over) - rank if made.over in olds else -rank - 1


def _is_column(call: Call, made: Source) -> bool:
    """Whether the input is one column of a softmax over several, so that each number of it stands alone."""
    shape, size = made.trace.shape, call.x.numel()
    if made.over is None or not shape:
        return 2 in shape and math.prod(shape) == 2 * size
    olds = [source(call.input, axis)[1] for axis in range(call.x.dim())]
    alone = made.over not in olds or call.x.shape[olds.index(made.over)] == 1
    return alone and shape[made.over] > 1 and math.prod(shape) == shape[made.over] * size


def _clipped(log_softmax: Trace, axis: int) -> _facts.Place | None:
    """The ReLU that logits passed last, before a log_softmax."""
    made = made_by(log_softmax.parents[0], axis) if log_softmax.parents else None
    return made.trace.place if made is not None and made.op == "relu" else None


def _cut(call: Call) -> _facts.Place | None:
    """Where an input was made anew as a leaf of the graph, out of numbers that had one."""
    made = call.input
    if call.x.requires_grad and call.x.grad_fn is None and made.parents:
        while made.parents and not made.parents[0].requires_grad:
            made = made.parents[0]
        if made.parents and _is_computed(made.parents[0]):
            return made.place
    return None


def _is_computed(trace: Trace) -> bool:
    """Whether numbers that require a gradient were computed from others, not given by the program."""
    return trace.op.endswith("Backward") or any(parent.requires_grad for parent in trace.parents)


def _target(call: Call) -> _facts.Tensor:
    x, y, axis = call.x, call.y, _axis(call)
    basis = _facts.Tensor(shape=tuple(y.shape), dtype=_dtype(call.arguments["target"]), graph=y.requires_grad)
    if not y.numel() or axis >= x.dim():
        return basis
    if call.loss in OF_TEACHERS:
        made = made_by(call.target, axis)
        return basis.to(kind=_KINDS.get(made.op, ""), made=made.trace.place)
    if call.loss == "mse_loss" and _is_one_hot(call):
        return basis.to(kind="one-hot", seen=call.target.back().op not in ("one_hot", "scatter"))
    if call.loss in _BINARY and bool((y > 1).any()) and bool((y == y.round()).all()):
        return basis.to(kind="indices", high=int(y.max()))
    if call.loss == "kl_div":
        return basis.to(**_of_distributions(call, axis))
    if call.loss not in _OF_CLASSES:
        return basis
    if _is_last(call, axis):
        return basis.to(axis=-1, kind="one-hot" if ones_per_row(y, y.dim() - 1) is not None else "soft")
    if y.shape == x.shape and x.shape[axis] > 1 and call.loss != "linear_cross_entropy":
        return basis.to(**_of_rows(y, axis))
    if y.is_floating_point():
        return basis
    return basis.to(kind="indices", **(_bounds(call) if tuple(y.shape) == _rows(call, axis) else {}))


def _is_last(call: Call, axis: int) -> bool:
    """Whether a target has a distribution over the classes along its last axis, and none where the loss reads it."""
    x, y = call.x, call.y
    if y.dim() != x.dim() or x.dim() < 3 or call.loss == "linear_cross_entropy":
        return False
    if y.shape != x.shape and y.shape[-1] != x.shape[axis]:
        return False

    def fits(at: int) -> bool:
        return bool((y >= 0).all()) and bool(((y.double().sum(at) - 1).abs() < 1e-3).all())

    return fits(-1) and not (y.shape == x.shape and fits(axis))


def _of_rows(y: Tensor, axis: int) -> dict[str, object]:
    """Of a target with a number for each class: how many are 1, or what they sum to."""
    ones = ones_per_row(y, axis)
    if ones is not None:
        return {"kind": "one-hot" if int(y.sum(axis).max()) == 1 else "multi-hot"}
    return {"sums": _sums(y, axis)} if y.is_floating_point() else {}


def _sums(y: Tensor, axis: int) -> float | None:
    """What the row sums to that is furthest from 1; rows of zeros do not count in a loss."""
    sums = y.double().sum(axis)[(y != 0).any(axis)]
    return float(sums[(sums - 1).abs().argmax()]) if sums.numel() else None


def _of_distributions(call: Call, axis: int) -> dict[str, object]:
    """Of the target of kl_div: what made it, and if the input is whole distributions what its rows sum to."""
    x, y, made = call.x, call.y, made_by(call.target, axis)
    kind = _KINDS.get(made.op, "logits" if made.op in _SCORES else "")
    if kind:
        return {"kind": kind, "made": made.trace.place}
    student = made_by(call.input, axis)
    whole = student.op in ("log_softmax", "log of softmax") and student.over is not None and student.over == student.at
    if not whole or y.shape != x.shape or x.dim() < 2 or x.shape[axis] != student.trace.shape[student.over or 0]:
        return {}
    return {"sums": _sums(y, axis)}


def _bounds(call: Call) -> dict[str, int]:
    """The least and the largest label that counts; the ignored one, if none does."""
    counted = call.y[call.y != ignored_label(call)]
    if not counted.numel():
        return {"low": ignored_label(call), "high": ignored_label(call)}
    return {"low": int(counted.min()), "high": int(counted.max())}


def _is_one_hot(call: Call) -> bool:
    """Whether rows of outputs are compared with rows with a single one."""
    x, y = call.x, call.y
    axes = {1, y.dim() - 1} if x.shape == y.shape and x.dim() > 1 else set[int]()
    return any(y.shape[axis] > 1 and ones_per_row(y, axis) == 1 for axis in axes)


def _dtype(tensor: Tensor) -> str:
    return "float" if tensor.is_floating_point() else "bool" if tensor.dtype == torch.bool else "long"
