"""What is wrong with the input of a loss: an activation too many, one too few, or one over another axis."""

from __future__ import annotations

import math

from crossentropy.doctor._source._indexing import times
from crossentropy.doctor._source._loss_call import LossCall, at
from crossentropy.doctor._source._report import Report
from crossentropy.doctor._source._values import Dim, Place, Tensor
from crossentropy.doctor.rules import UNDERFLOWS

_PROBABILITIES = ("probabilities", "mixture")
_RAW = ("logits", "relu", "tanh")


def _floor(classes: Dim | None) -> str:
    """The least loss of numbers in [0, 1] taken for logits."""
    if isinstance(classes, int) and classes > 1:
        return f"the loss can never go below {math.log1p((classes - 1) / math.e):.3f} for {classes} classes"
    return "the loss can never go below ln(1 + (C − 1)/e) for C classes, 1.461 for 10"


def activation(report: Report, case: LossCall) -> None:
    """A softmax, sigmoid, relu or logarithm before cross_entropy."""
    x = case.x
    if x.kind in _PROBABILITIES:
        report.add(
            "softmax-before-cross-entropy",
            case.place,
            f"softmax{at(x)} feeds {case.title}, which applies log_softmax itself: {_floor(case.classes)}",
            case.confidence,
            cause=x.made,
        )
    elif x.kind == "sigmoid":
        report.add(
            "sigmoid-before-cross-entropy",
            case.place,
            f"sigmoid{at(x)} feeds {case.title}, which takes logits: {_floor(case.classes)}",
            case.confidence,
            cause=x.made,
        )
    elif x.kind == "relu":
        _clipped(report, case, x.made, "")
    elif x.kind == "log-probabilities" and x.logs is None and not _wrong_dim(report, case):
        report.add(
            "log-softmax-before-cross-entropy",
            case.place,
            f"log_softmax{at(x)} feeds {case.title}, which applies it again: the same value, twice the work",
            cause=x.made,
        )
    _clipped(report, case, x.clipped, "log_softmax and ")
    _logarithm(report, case)


def _clipped(report: Report, case: LossCall, relu: Place | None, before: str) -> None:
    """A ReLU as the last operation on logits."""
    if relu is not None:
        report.add(
            "relu-before-cross-entropy",
            case.place,
            f"the ReLU at {relu} is the last operation before {before}{case.title}: no class can be ruled out, and "
            "where all logits are 0 there is no gradient",
            case.confidence,
            cause=relu,
        )


def _logarithm(report: Report, case: LossCall) -> None:
    """The logarithm of a softmax in two steps, on its way to a loss."""
    if case.x.logs is not None and case.x.graph is not False:
        report.add(
            "log-of-softmax",
            case.x.logs,
            f"the logarithm of a softmax, in two steps, on its way to {case.loss} at {case.place}: {UNDERFLOWS}",
            case.confidence,
        )


def nll(report: Report, case: LossCall) -> None:
    """Anything but log-probabilities before nll_loss."""
    x = case.x
    if x.kind in _PROBABILITIES:
        report.add(
            "softmax-before-nll",
            case.place,
            f"softmax{at(x)} feeds {case.title}, which takes log-probabilities: the loss is minus a mean "
            "probability, between −1 and 0",
            case.confidence,
            cause=x.made,
        )
    elif x.kind in _RAW:
        report.add(
            "logits-into-nll",
            case.place,
            f"{case.title} gets raw scores{at(x)}, not log-probabilities: the loss falls without bound below 0",
            case.confidence,
            cause=case.made,
        )
    elif x.kind == "log-probabilities":
        _wrong_dim(report, case)
    _clipped(report, case, x.clipped, "log_softmax and ")
    _logarithm(report, case)


def _wrong_dim(report: Report, case: LossCall) -> bool:
    """A log_softmax over another axis than the loss reads."""
    x, axis = case.x, case.class_axis
    if x.normal is None or x.logs is not None:
        return False
    if x.rank is None or axis is None:
        wrong = x.normal == 0 and case.y.rank != 0
        sure = case.y.rank is not None and case.y.kind in ("", "indices", "range") and case.y.dtype != "float"
        shown = "1"
    else:
        wrong, sure = x.normal != axis and x.rank > 1, True
        shown = str(axis + x.rank)
    if wrong:
        over = x.normal if x.rank is None else x.normal + x.rank
        report.add(
            "softmax-wrong-dim",
            case.place,
            f"log_softmax{at(x)} is taken over axis {over}, and {case.title} reads the classes along axis "
            f"{shown}: rows are not normalised",
            case.confidence if sure else "likely",
            cause=x.made,
        )
    return wrong


def binary(report: Report, case: LossCall) -> None:
    """Activations before a binary cross entropy, or none."""
    x, takes_logits = case.x, case.loss.endswith("with_logits")
    if x.kind == "probabilities":
        classes = x.count if isinstance(x.count, int) else "C"
        report.add(
            "softmax-before-bce",
            case.place,
            f"softmax{at(x)} feeds {case.title}: its {classes} outputs sum to 1, so that several labels of a "
            "row cannot all be likely",
            case.confidence,
            cause=x.made,
        )
    elif x.kind in ("sigmoid", "column") and takes_logits:
        what = "sigmoid" if x.kind == "sigmoid" else "softmax"
        report.add(
            "sigmoid-before-bce-with-logits",
            case.place,
            f"{what}{at(x)} feeds {case.title}, which applies the sigmoid itself: the loss can never go below "
            "0.313 for a positive, 0.693 for a negative",
            case.confidence,
            cause=x.made,
        )
    elif x.kind == "log-probabilities" and not takes_logits:
        report.add(
            "logits-into-bce",
            case.place,
            f"{case.title} takes probabilities and gets log-probabilities{at(x)}, of which none is above 0: use "
            "cross_entropy on the logits, or nll_loss",
            case.confidence,
            cause=x.made,
        )
    elif x.kind in _RAW and x.kind != "relu" and not takes_logits:
        report.add(
            "logits-into-bce",
            case.place,
            f"{case.title} takes probabilities and gets raw scores{at(x)}: use binary_cross_entropy_with_logits",
            case.confidence,
            cause=case.made,
        )


def divergence(report: Report, case: LossCall) -> None:
    """kl_div: probabilities as its input, and means over too much or too little."""
    x = case.x
    if x.kind in _PROBABILITIES:
        report.add(
            "kl-div-on-probabilities",
            case.place,
            f"softmax{at(x)} feeds the input of {case.title}, which takes log-probabilities: give it log_softmax",
            case.confidence,
            cause=x.made,
        )
    elif x.kind == "log-probabilities" and x.rank == 2 and x.normal == -2 and x.logs is None:
        report.add(
            "softmax-wrong-dim",
            case.place,
            f"log_softmax{at(x)} is taken over the rows and not over the classes that {case.title} compares",
            case.confidence,
            cause=x.made,
        )
    _logarithm(report, case)
    _reduction(report, case)


def of_distributions(case: LossCall) -> bool:
    """Whether a divergence is between distributions over several classes, as far as is known."""
    return case.loss == "kl_div" and case.x.count != 1 and any(map(_distribution, (case.x, case.y)))


def _reduction(report: Report, case: LossCall) -> None:
    x = case.x
    if case.open or not of_distributions(case):
        return
    if case.reduction == "mean" and (x.rank is None or x.rank > 1):
        classes = f"{x.count}" if isinstance(x.count, int) else "C"
        report.add(
            "kl-div-reduction",
            case.place,
            f"{case.title} with reduction='mean' divides by all entries and not by the rows: the divergence is "
            f"{classes}× too small — reduction='batchmean'",
            case.confidence,
            cause=case.made,
        )
    elif case.reduction == "batchmean" and x.shape and len(x.shape) > 2 and times(x.shape[1:-1]) != 1:
        report.add(
            "kl-div-reduction",
            case.place,
            f"{case.title} with reduction='batchmean' divides by the first axis only, and the input has "
            f"{x.rank}: the divergence is as many times too large as a sample has positions — flatten to (N·T, "
            "C) first",
            case.confidence,
            cause=case.made,
        )


def _distribution(tensor: Tensor) -> bool:
    return tensor.kind in ("probabilities", "log-probabilities", "mixture", "soft")


def squared(report: Report, case: LossCall) -> None:
    """The squared error of a classifier."""
    x, y = (case.y, case.x) if case.x.kind == "one-hot" else (case.x, case.y)
    if y.kind == "one-hot" and x.kind in ("probabilities", "logits", "sigmoid", "relu") and x.graph:
        report.add(
            "mse-on-one-hot",
            case.place,
            f"{case.title} of class outputs{at(x)} against one-hot rows: the gradient vanishes where the model "
            "is wrong and certain; cross_entropy on the logits does not",
            case.confidence,
        )
