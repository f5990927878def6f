"""The facts of a call that is made: exact ones, of what made its tensors and of their numbers."""

import math

import torch
from torch import Tensor

from crossentropy.doctor._knowledge import _facts
from crossentropy.doctor._knowledge._loss_call import LossCall, reduction
from crossentropy.doctor._knowledge._operations import doing
from crossentropy.doctor._runtime._axes import source
from crossentropy.doctor._runtime._call import Call, class_axis, num_classes
from crossentropy.doctor._runtime._numbers import Measured, looks_like_probabilities, ones_per_row
from crossentropy.doctor._runtime._sources import Source, made_by
from crossentropy.doctor._runtime._trace import Place, Trace

_KINDS = {"softmax": "probabilities", "log_softmax": "log-probabilities", "log of softmax": "log-probabilities",
          "sigmoid": "sigmoid", "relu": "relu"}  # fmt: skip
"""What operations make, by the names of `made_by`."""
_SCORES = doing("scores") | {"batch_norm"}
_OF_CLASSES = ("cross_entropy", "nll_loss", "linear_cross_entropy")
_BINARY = ("binary_cross_entropy", "binary_cross_entropy_with_logits")


def facts(call: Call) -> LossCall:
    """What is known of a call of a loss."""
    place = call.place or Place("", 0)
    x, y = _input(call, place), _target(call)
    return LossCall(call.loss, x, y, call.arguments, place, reduction(call.arguments), numbers=Measured(call))


def _input(call: Call, place: Place) -> _facts.Tensor:
    axis = class_axis(call) if call.loss in _OF_CLASSES else call.x.dim() - 1
    made = made_by(call.input, axis)
    kind = _KINDS.get(made.op, "logits" if made.op in _SCORES else "")
    seen = "" if kind else _kind_by_numbers(call, made.op, axis)
    if kind == "probabilities" and call.loss in _BINARY and _is_column(call, made):
        kind = "column"
    shape = tuple(call.x.shape)
    if call.loss == "linear_cross_entropy":
        shape = (*shape[:-1], num_classes(call))
    return _facts.Tensor(
        kind=kind or seen,
        seen=bool(seen),
        made=made.trace.place,
        shape=shape,
        dtype=_dtype(call.x),
        count=shape[axis] if shape else None,
        normal=_normal(call, made, len(shape)) if made.op == "log_softmax" else None,
        graph=call.x.requires_grad,
        cut=_cut(call),
        logs=(made.trace.place or place) if made.op == "log of softmax" else None,
        clipped=_clipped(made.trace, axis) if made.op == "log_softmax" else None,
        likely=bool(seen) and made.op in ("", "logsigmoid"),
    )


def _kind_by_numbers(call: Call, operation: str, axis: int) -> str:
    """What an input is by its numbers, where nothing else tells."""
    x = call.x
    if call.loss in _BINARY:
        outside = call.loss == "binary_cross_entropy" and bool(((x < 0) | (x > 1)).any())
        return "logits" if outside else ""
    if operation != "log" and looks_like_probabilities(x, axis):
        return "probabilities"
    return "logits" if call.loss == "nll_loss" and operation != "log" and not _are_logs(x, axis) else ""


def _are_logs(x: Tensor, axis: int) -> bool:
    """Whether rows are log-probabilities; masked or weighted ones sum to at most 1."""
    return bool((x.double().exp().sum(axis) < 1 + 1e-2).all()) and bool((x <= 1e-6).all())


def _normal(call: Call, made: Source, rank: int) -> int | None:
    """The axis that a log_softmax was taken over, counted from the end; beyond all axes, if it is gone."""
    if made.over is None or made.at is None:
        return None
    olds = [source(call.input, axis)[1] for axis in range(rank)]
    return olds.index(made.over) - rank if made.over in olds else -rank - 1


def _is_column(call: Call, made: Source) -> bool:
    """Whether the input is one column of a softmax, so that each number of it stands alone."""
    shape, size = made.trace.shape, call.x.numel()
    if made.over is None or not shape:
        return 2 in shape and math.prod(shape) == 2 * size
    gone = made.over not in [source(call.input, axis)[1] for axis in range(call.x.dim())]
    return gone and math.prod(shape) == shape[made.over] * size


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
    y = _facts.Tensor(shape=tuple(call.y.shape), dtype=_dtype(call.y), graph=call.y.requires_grad)
    if call.loss == "mse_loss" and _is_one_hot(call):
        return y.to(kind="one-hot", seen=call.target.back().op not in ("one_hot", "scatter"))
    return y


def _is_one_hot(call: Call) -> bool:
    """Whether rows of outputs are compared with rows with a single one."""
    x, y = call.x, call.y
    return x.shape == y.shape and x.dim() > 1 and x.shape[-1] > 1 and ones_per_row(y, y.dim() - 1) == 1


def _dtype(tensor: Tensor) -> str:
    return "float" if tensor.is_floating_point() else "bool" if tensor.dtype == torch.bool else "long"
