"""What is wrong with the input of a loss: an activation too many, one too few, or one over another axis.

The operation that made the numbers decides; values decide alone only where it is not known, and then with less
confidence.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import (  # by these names a program may have put others in their place
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    nll_loss,
)

from crossentropy.doctor._knowledge._operations import doing
from crossentropy.doctor._runtime._call import Call, Found, class_axis, ignored_label, num_classes, place_of
from crossentropy.doctor._runtime._sources import Source, made_by
from crossentropy.doctor._runtime._targets import ones_per_row
from crossentropy.doctor._runtime._trace import Trace
from crossentropy.doctor.rules import UNDERFLOWS


def activation(call: Call) -> Iterator[Found]:
    """A softmax, sigmoid, relu or logarithm before cross_entropy."""
    made, classes = made_by(call.input, class_axis(call)), num_classes(call)
    loss = f"the loss is {_value(call):.4g}"
    if made.op == "softmax":
        right = _other(call, call.x.double().log())
        numbers = f"{loss}; on the logits it would be {right:.4g}" if math.isfinite(right) else loss
        yield Found(
            "softmax-before-cross-entropy",
            "certain",
            f"softmax{place_of(made.trace)} comes before cross_entropy, which applies log_softmax itself: "
            f"{numbers}; as written it can never go below {floor(classes):.3f} for {classes} classes, and its "
            f"gradient is {_shrinkage(call):.2g}× smaller",
        )
    elif made.op == "sigmoid":
        yield Found(
            "sigmoid-before-cross-entropy",
            "certain",
            f"sigmoid{place_of(made.trace)} comes before cross_entropy, which takes logits: {loss}, and as "
            f"written it can never go below {floor(classes):.3f} for {classes} classes",
        )
    elif made.op == "relu":
        zero = float((call.x == 0).double().mean())
        yield Found(
            "relu-before-cross-entropy",
            "certain",
            f"a ReLU{place_of(made.trace)} is the last operation before cross_entropy: {zero:.0%} of the "
            "logits are 0 and have no gradient, and no class can be ruled out",
        )
    elif made.op == "log of softmax":
        yield from _log_of_softmax(made)
    elif made.op == "log_softmax":
        if made.right_axis is False:
            yield _wrong_dim(call, made)
        else:
            yield Found(
                "log-softmax-before-cross-entropy",
                "info",
                f"log_softmax{place_of(made.trace)} comes before cross_entropy, which applies it again: the "
                "same value, twice the work",
            )
    elif looks_like_probabilities(call.x, class_axis(call)):
        yield Found(
            "softmax-before-cross-entropy",
            "likely",
            "all rows of the input sum to 1 and none is negative: these look like probabilities, not logits; "
            f"{loss}, and it can never go below {floor(classes):.3f} for {classes} classes",
        )


def _shrinkage(call: Call) -> float:
    """How many times smaller the gradient is than that on the logits z = log q, by its norm."""
    if call.y.is_floating_point() or call.x.numel() == 0:
        return float(num_classes(call))
    axis, y = class_axis(call), call.y.long()
    rows = (*call.x.shape[:axis], *call.x.shape[axis + 1 :])
    counted = (y != ignored_label(call)) & (y >= 0) & (y < num_classes(call))
    if y.shape != rows:
        return float(num_classes(call))
    q = call.x.detach().double()
    true = torch.zeros_like(q).scatter(axis, y.where(counted, 0).unsqueeze(axis), 1.0)
    q, true = q * counted.unsqueeze(axis), true * counted.unsqueeze(axis)
    second = q.softmax(axis) * counted.unsqueeze(axis) - true
    once, twice = (q - true).norm(), (q * (second - (q * second).sum(axis, keepdim=True))).norm()
    return float(once / twice) if twice > 0 else math.inf


def _value(call: Call) -> float:
    return _other(call, call.x.double())


def _other(call: Call, z: Tensor) -> float:
    """The mean loss of other logits against the same target; nan where there is none."""
    target = call.y.double() if call.y.is_floating_point() else call.y.long()
    try:
        return _mean(cross_entropy(z.double(), target, ignore_index=ignored_label(call)))
    except (RuntimeError, IndexError, ValueError, TypeError):
        return math.nan


def looks_like_probabilities(x: Tensor, axis: int) -> bool:
    if x.shape[axis] < 2 or x.numel() == 0 or not x.is_floating_point():
        return False
    return bool((x >= 0).all()) and bool(((x.double().sum(axis) - 1).abs() < 1e-3).all())


def _log_of_softmax(made: Source) -> Iterator[Found]:
    """One that was not seen when it was taken; `History` finds the others."""
    if made.trace.place is None or not made.trace.requires_grad:
        yield Found(
            "log-of-softmax",
            "certain",
            f"the input is the logarithm{place_of(made.trace)} of a softmax: {UNDERFLOWS}",
        )


def _wrong_dim(call: Call, made: Source) -> Found:
    dim, axis = made.trace.arguments.get("dim"), class_axis(call)
    sums = call.x.double().exp().sum(axis) if made.op == "log_softmax" else call.x.double().sum(axis)
    return Found(
        "softmax-wrong-dim",
        "certain",
        f"{made.op}(dim={dim}){place_of(made.trace)} is not over the classes, which the loss reads along dim "
        f"{axis}: rows sum to {float(sums.min()):.3g} … {float(sums.max()):.3g} instead of 1",
    )


def nll_input(call: Call) -> Iterator[Found]:
    made = made_by(call.input, class_axis(call))
    value = _nll(call)
    if made.op == "softmax":
        yield Found(
            "softmax-before-nll",
            "certain",
            f"softmax{place_of(made.trace)} comes before nll_loss, which takes log-probabilities: the loss is "
            f"{value:.4g}, minus a mean probability",
        )
    elif made.op == "log of softmax":
        yield from _log_of_softmax(made)
    elif made.op == "log_softmax":
        if made.right_axis is False:
            yield _wrong_dim(call, made)
    elif made.op != "log" and not _normalised_logs(call.x, class_axis(call)):
        known = made.op not in ("", "logsigmoid")
        if looks_like_probabilities(call.x, class_axis(call)):
            rule, what = "softmax-before-nll", "probabilities"
        else:
            rule, what = "logits-into-nll", "logits"
        yield Found(
            rule,
            "certain" if known else "likely",
            f"nll_loss gets {what}{place_of(made.trace)}, not log-probabilities: exp of a row sums to "
            f"{float(call.x.double().exp().sum(class_axis(call)).flatten()[0]):.3g}; the loss is {value:.4g}",
        )


def _nll(call: Call) -> float:
    try:
        return _mean(nll_loss(call.x.double(), call.y.long(), ignore_index=ignored_label(call)))
    except (RuntimeError, IndexError, ValueError):
        return math.nan


def _normalised_logs(x: Tensor, axis: int) -> bool:
    """Whether rows are log-probabilities; masked or weighted ones sum to at most 1."""
    return bool((x.double().exp().sum(axis) < 1 + 1e-2).all()) and bool((x <= 1e-6).all())


def binary_input(call: Call) -> Iterator[Found]:
    made = made_by(call.input, call.x.dim() - 1)
    logits = call.loss == "binary_cross_entropy_with_logits"
    if made.op == "softmax" and not _one_of_two(call, made.trace):
        yield Found(
            "softmax-before-bce",
            "certain",
            f"softmax{place_of(made.trace)} comes before {call.loss}: its "
            f"{made.trace.shape[-1] if made.trace.shape else 'C'} outputs sum to 1, so that several labels of "
            "a row cannot all be likely",
        )
    elif made.op == "sigmoid" and logits:
        value = _mean(binary_cross_entropy_with_logits(call.x.double(), call.y.double().expand_as(call.x)))
        right = _mean(binary_cross_entropy(call.x.double().clamp(0, 1), call.y.double().clamp(0, 1).expand_as(call.x)))
        yield Found(
            "sigmoid-before-bce-with-logits",
            "certain",
            f"sigmoid{place_of(made.trace)} comes before binary_cross_entropy_with_logits, which applies it "
            f"itself: the loss is {value:.4g}; on the logits it would be {right:.4g}; as written it can never "
            "go below 0.313 for a positive",
        )
    elif not logits and made.op != "sigmoid":
        outside = (call.x < 0) | (call.x > 1)
        if made.op in _LINEAR:
            yield Found(
                "logits-into-bce",
                "certain",
                "binary_cross_entropy takes probabilities, and gets a linear layer's "
                f"output{place_of(made.trace)}, {float(call.x.min()):.4g} … {float(call.x.max()):.4g} here: "
                "use binary_cross_entropy_with_logits",
            )
        elif bool(outside.any()):
            yield Found(
                "logits-into-bce",
                "certain",
                f"binary_cross_entropy takes probabilities, and {float(call.x[outside].flatten()[0]):.4g} is "
                "none: use binary_cross_entropy_with_logits",
            )


_LINEAR = doing("scores") | {"batch_norm"}


def _one_of_two(call: Call, softmax: Trace) -> bool:
    """Whether the input is one column of a softmax over two classes."""
    return 2 in softmax.shape and math.prod(softmax.shape) == 2 * call.x.numel()


def divergence(call: Call) -> Iterator[Found]:
    x, axis = call.x, call.x.dim() - 1
    made = made_by(call.input, axis)
    if made.op == "softmax" or (made.op != "log_softmax" and looks_like_probabilities(x, axis)):
        yield Found(
            "kl-div-on-probabilities",
            "certain" if made.op == "softmax" else "likely",
            f"kl_div gets probabilities{place_of(made.trace)} as its input, which is to be log-probabilities",
        )
    elif made.op == "log of softmax":
        yield from _log_of_softmax(made)
    rows = math.prod(x.shape[:-1])
    if call.reduction == "mean" and x.dim() > 1 and x.shape[-1] > 1:
        yield Found(
            "kl-div-reduction",
            "certain",
            f"reduction='mean' divides by all {x.numel()} entries, and not by the {rows} rows: the divergence "
            f"is {x.shape[-1]}× too small",
        )
    elif call.reduction == "batchmean" and x.dim() > 2 and rows != x.shape[0]:
        yield Found(
            "kl-div-reduction",
            "certain",
            f"reduction='batchmean' divides by {x.shape[0]}, and there are {rows} rows in {tuple(x.shape)}: "
            f"the divergence is {rows // max(x.shape[0], 1)}× too large",
        )


def _mean(loss: Tensor) -> float:
    return float(loss.double().mean())


def floor(classes: int) -> float:
    """The least loss of numbers in [0, 1] taken for logits."""
    return math.log1p((classes - 1) / math.e)


def squared(call: Call) -> Iterator[Found]:
    x, y = call.x, call.y
    trains = x.requires_grad or y.requires_grad  # else it is a measure, such as Brier's
    if not trains or x.shape != y.shape or x.dim() < 2 or x.shape[-1] < 2 or ones_per_row(y, y.dim() - 1) != 1:
        return
    known = made_by(call.input, x.dim() - 1).op == "softmax" or call.target.back().op in (
        "one_hot",
        "scatter",
    )
    yield Found(
        "mse-on-one-hot",
        "certain" if known else "likely",
        f"the squared error of {x.shape[-1]} outputs against one-hot rows: its gradient vanishes where the "
        "model is wrong and certain; cross_entropy on the logits does not",
    )


def cut_graph(call: Call) -> Iterator[Found]:
    """An input that was made anew as a leaf of the graph, out of numbers that had one."""
    made = call.input
    if call.x.requires_grad and call.x.grad_fn is None and made.parents:
        while made.parents and not made.parents[0].requires_grad:
            made = made.parents[0]
        if made.parents and _is_computed(made.parents[0]):
            yield Found(
                "detached-loss",
                "certain",
                f"the input was cut from the model{place_of(made)} ({made.op}) and requires a gradient of its "
                "own: no weight of the model gets one",
            )


def _is_computed(trace: Trace) -> bool:
    """Whether numbers that require a gradient were computed from others, not given by the program."""
    return trace.op.endswith("Backward") or any(parent.requires_grad for parent in trace.parents)
