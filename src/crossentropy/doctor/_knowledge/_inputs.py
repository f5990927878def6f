"""What is wrong with the input of a loss: an activation too many, one too few, or one over another axis.

What made the numbers decides; numbers decide alone only where that is not known, and then with less confidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from crossentropy.doctor._finding import Place
from crossentropy.doctor._knowledge._composed import log_of_softmax, mixed
from crossentropy.doctor._knowledge._facts import TO_NORMALISE, Dim, Output, Tensor, Unknown, times
from crossentropy.doctor._knowledge._loss_call import Found, LossCall, at, told
from crossentropy.doctor._knowledge._targets import soft
from crossentropy.doctor.rules import BY_ROWS, Confidence

_PROBABILITIES = ("probabilities", "mixture")
_RAW = ("logits", "relu", "tanh")


def _floor(classes: Dim | None) -> str:
    """The least loss of numbers in [0, 1] taken for logits."""
    if isinstance(classes, int) and classes > 1:
        return f"the loss can never go below {math.log1p((classes - 1) / math.e):.3f} for {classes} classes"
    return "the loss can never go below ln(1 + (C − 1)/e) for C classes, 1.461 for 10"


def _bound(case: LossCall) -> str:
    """What becomes of a loss of numbers in [0, 1] taken for logits."""
    return "logits that differ by 1 at most make no class likely" if case.name else _floor(case.classes)


def _softmax(x: Tensor) -> str:
    """What gave probabilities."""
    return f"what looks like probabilities{at(x)}, rows that sum to 1," if x.seen else f"softmax{at(x)}"


def _looks(case: LossCall) -> Confidence:
    """How certain it is what an input is, where numbers alone do not prove a mistake."""
    return "likely" if case.x.seen else case.confidence


def of_student(case: LossCall) -> Iterator[Found]:
    """Probabilities or a sigmoid where a divergence takes logits of a student and a teacher."""
    for x, whose in ((case.x, ""), (case.y, " as the teacher's")):
        if x.kind not in (*_PROBABILITIES, "sigmoid") or (whose and "topk" in case.loss):
            continue
        squashed = "sigmoid" if x.kind == "sigmoid" else "softmax"
        yield Found(
            f"{squashed}-before-cross-entropy",
            f"{squashed}{at(x)} feeds {case.title}{whose}, which takes logits and applies softmax itself: numbers "
            "between 0 and 1 make distributions that are almost uniform",
            "likely" if x.likely or x.seen else "certain",
            cause=x.made,
        )


def activation(case: LossCall) -> Iterator[Found]:
    """A softmax, sigmoid, relu or logarithm before cross_entropy."""
    x, n = case.x, case.numbers
    if case.classes == 1:  # whose softmax is 1, whatever it is
        return
    loss = n.loss() if n is not None and x.kind in (*_PROBABILITIES, "sigmoid") else ""
    if x.kind in _PROBABILITIES:
        gradient = "" if n is None else n.gradient()
        yield Found(
            "softmax-before-cross-entropy",
            f"{_softmax(x)} feeds {case.title}, which applies log_softmax itself: {told(loss)}{_bound(case)}{gradient}",
            _looks(case),
            cause=x.made,
        )
    elif x.kind == "sigmoid":
        yield Found(
            "sigmoid-before-cross-entropy",
            f"sigmoid{at(x)} feeds {case.title}, which takes logits: {told(loss)}{_bound(case)}",
            case.confidence,
            cause=x.made,
        )
    elif x.kind == "relu":
        yield _clipped(case, x.made, "")
    elif x.kind == "log-probabilities" and x.logs is None:
        yield from _wrong_dim(case) or (_applied_again(case),)
    yield from _before_log_softmax(case)
    yield from _logarithm(case)


def _applied_again(case: LossCall) -> Found:
    return Found(
        "log-softmax-before-cross-entropy",
        f"log_softmax{at(case.x)} feeds {case.title}, which applies it again: the same value, twice the work",
        cause=case.x.made,
    )


def _clipped(case: LossCall, relu: Place | None, before: str) -> Found:
    """A ReLU as the last operation on logits."""
    zeros = "" if case.numbers is None or before else case.numbers.zeros()
    where = "" if relu is None else f" at {relu}"
    return Found(
        "relu-before-cross-entropy",
        f"the ReLU{where} is the last operation before {before}{case.title}: {told(zeros)}no class can be ruled out, "
        "and where all logits are 0 there is no gradient",
        case.confidence,
        cause=relu,
    )


def _before_log_softmax(case: LossCall) -> Iterator[Found]:
    if case.x.clipped is not None:
        applied = "softmax" if case.x.kind in _PROBABILITIES else "log_softmax"
        yield _clipped(case, case.x.clipped, f"{applied} and ")


def _logarithm(case: LossCall) -> Iterator[Found]:
    """The logarithm of a softmax in two steps, on its way to a loss."""
    if case.x.logs is not None and case.x.graph is not False:
        where = f"on its way to {case.loss} at {case.place}"
        yield log_of_softmax(where, case.confidence)._replace(place=case.x.logs)


def nll(case: LossCall) -> Iterator[Found]:
    """Anything but log-probabilities before nll_loss."""
    x, loss = case.x, "" if case.numbers is None else case.numbers.loss()
    if x.kind in _PROBABILITIES:
        yield Found(
            "softmax-before-nll",
            f"{_softmax(x)} feeds {case.title}, which takes log-probabilities: {told(loss)}it is minus a mean "
            "probability, between −1 and 0",
            case.confidence,
            cause=x.made,
        )
    elif x.kind in (*_RAW, "sigmoid"):
        yield Found(
            "logits-into-nll",
            f"{case.title} gets raw scores{at(x)}, not log-probabilities: {told(loss)}it falls without bound below 0",
            case.confidence,
            cause=case.made,
        )
    elif x.kind == "log-probabilities":
        yield from _wrong_dim(case)
    yield from _before_log_softmax(case)
    yield from _logarithm(case)


def _wrong_dim(case: LossCall) -> list[Found]:
    """A log_softmax over another axis than the loss reads."""
    x, axis = case.x, case.class_axis
    if x.normal is None or x.logs is not None:
        return []
    if x.rank is None or axis is None:
        wrong = x.normal == 0 and case.y.rank != 0
        sure = case.y.rank is not None and case.y.kind in ("", "indices", "range") and case.y.dtype != "float"
        over, shown = f"axis {x.normal}", "1"
    else:
        # over the classes, but these are on another axis than the loss reads: then that is the mistake
        moved = x.normal == x.axis and x.rank > 2 and case.y.rank in (None, x.rank - 1)
        wrong, sure = x.normal != axis and x.rank > 1 and not moved, True
        over = f"axis {x.normal + x.rank}" if x.normal >= -x.rank else "an axis that is gone"
        shown = str(axis + x.rank)
    sums = "" if case.numbers is None or not wrong else f", they sum to {case.numbers.row_sums()} instead of 1"
    message = (
        f"log_softmax{at(x)} is taken over {over}, and {case.title} reads the classes along axis {shown}: rows are not "
        f"normalised{sums}"
    )
    return [Found("softmax-wrong-dim", message, case.confidence if sure else "likely", cause=x.made)] if wrong else []


def binary(case: LossCall) -> Iterator[Found]:
    """Activations before a binary cross entropy, or none."""
    x, takes_logits = case.x, case.loss.endswith("with_logits")
    outside = "" if case.numbers is None or takes_logits else case.numbers.outside()
    if x.kind == "probabilities":
        classes = x.count if isinstance(x.count, int) else "C"
        yield Found(
            "softmax-before-bce",
            f"softmax{at(x)} feeds {case.title}: its {classes} outputs sum to 1, so that several labels of a "
            "row cannot all be likely",
            "info" if classes == 2 else case.confidence,  # against one-hot rows of two it is cross_entropy
            cause=x.made,
        )
    elif x.kind in ("sigmoid", "column") and takes_logits:
        what = "sigmoid" if x.kind == "sigmoid" else "softmax"
        loss = "" if case.numbers is None else case.numbers.loss()
        yield Found(
            "sigmoid-before-bce-with-logits",
            f"{what}{at(x)} feeds {case.title}, which applies the sigmoid itself: {told(loss)}the loss can never go "
            "below 0.313 for a positive, 0.693 for a negative",
            case.confidence,
            cause=x.made,
        )
    elif x.kind == "log-probabilities" and not takes_logits:
        yield Found(
            "logits-into-bce",
            f"{case.title} takes probabilities and gets log-probabilities{at(x)}, of which none is above 0: use "
            "cross_entropy on the logits, or nll_loss",
            case.confidence,
            cause=x.made,
        )
    elif not takes_logits and ((x.kind in _RAW and x.kind != "relu") or outside):
        yield Found(
            "logits-into-bce",
            f"{case.title} takes probabilities and gets raw scores{at(x)}: {told(outside)}use "
            "binary_cross_entropy_with_logits",
            case.confidence,
            cause=case.made,
        )


def divergence(case: LossCall) -> Iterator[Found]:
    """kl_div: probabilities as its input, and means over too much or too little."""
    x = case.x
    if x.mixed is not None:
        yield mixed(f"{case.loss} at {case.place}", x.mixed, case.confidence)
    if x.kind in _PROBABILITIES:
        yield Found(
            "kl-div-on-probabilities",
            f"{_softmax(x)} feeds the input of {case.title}, which takes log-probabilities: give it log_softmax",
            _looks(case),
            cause=x.made,
        )
    elif x.kind == "log-probabilities" and x.rank == 2 and x.normal == -2 and x.logs is None:
        yield Found(
            "softmax-wrong-dim",
            f"log_softmax{at(x)} is taken over the rows and not over the classes that {case.title} compares",
            case.confidence,
            cause=x.made,
        )
    if case.settings.get("log_target", False) is False and not case.open:
        yield from _no_probabilities(case)
    yield from _logarithm(case)
    yield from _reduction(case)


def _no_probabilities(case: LossCall) -> Iterator[Found]:
    """A target of kl_div that is no distribution."""
    if case.y.kind == "log-probabilities":
        yield Found(
            "unnormalized-target",
            f"the target of {case.title} is log_softmax{at(case.y)}, and probabilities are expected: log_target=True",
            "likely" if case.y.likely else "certain",
            cause=case.y.made,
        )
    elif case.y.caller is not None and _makes_scores(case.y.caller):
        yield Found(
            "unnormalized-target",
            f"the target of {case.title} is what the model gives, and elsewhere that goes through softmax or "
            "log_softmax first: here its rows do not sum to 1",
            "likely",
        )
    else:
        yield from soft(case)


def _makes_scores(output: Output) -> bool:
    """Whether a model makes what is to be normalised, out of what is not scores already."""
    return TO_NORMALISE in output.function.members and not output.of_scores and not output.path


def of_distributions(case: LossCall) -> bool:
    """Whether a divergence is between distributions over several classes, as far as is known."""
    several = case.numbers is not None or any(map(_distribution, (case.x, case.y)))
    return case.loss == "kl_div" and case.x.count != 1 and several


def _reduction(case: LossCall) -> Iterator[Found]:
    x = case.x
    if case.open or not of_distributions(case):
        return
    if case.reduction == "mean" and (x.rank is None or x.rank > 1):
        classes = f"{x.count}" if isinstance(x.count, int) else "C"
        what = "divergence" if x.kind == "log-probabilities" and case.y.kind != "log-probabilities" else "result"
        entries, rows = times(x.shape or (Unknown(),)), times(((x.shape or (Unknown(),))[0], _positions(x)))
        yield Found(
            "kl-div-reduction",
            f"{case.title} with reduction='mean' divides by all {_number(entries)}entries and not by the "
            f"{_number(rows)}rows: the {what} is {classes}× too small — {_by_rows(x)}",
            case.confidence,
            cause=case.made,
        )
    elif case.reduction == "batchmean" and x.shape and len(x.shape) > 2 and _positions(x) != 1:
        positions = _positions(x)
        times_too_large = f"{positions}×" if isinstance(positions, int) else "as many times"
        yield Found(
            "kl-div-reduction",
            f"{case.title} with reduction='batchmean' divides by the first axis only, and the input has {x.rank}: the "
            f"divergence is {times_too_large} too large as a sample has positions — flatten to (N·T, C) first",
            case.confidence,
            cause=case.made,
        )


def _by_rows(x: Tensor) -> str:
    """What divides by the rows only: batchmean divides by the first axis, and sums over all others."""
    axis = x.axis if x.normal is None else x.normal
    rows = axis in (None, -1, 1) if x.rank is None else x.rank == 2 and axis in (None, -1)
    return BY_ROWS if rows else f"reduction='none', .sum({-1 if axis is None else axis}), then the mean over the rows"


def _positions(x: Tensor) -> Dim:
    """How many distributions a sample has."""
    entries = times((x.shape or ())[1:])
    if isinstance(entries, int) and isinstance(x.count, int) and x.count and entries % x.count == 0:
        return entries // x.count
    return times((x.shape or ())[1:-1])


def _number(count: Dim) -> str:
    """How many there are, where that is known."""
    return f"{count} " if isinstance(count, int) else ""


def _distribution(tensor: Tensor) -> bool:
    return tensor.kind in ("probabilities", "log-probabilities", "mixture", "soft")


def squared(case: LossCall) -> Iterator[Found]:
    """The squared error of a classifier."""
    x, y = (case.y, case.x) if case.x.kind == "one-hot" else (case.x, case.y)
    outputs = x.kind in ("probabilities", "logits", "sigmoid", "relu") or y.seen
    if y.kind == "one-hot" and outputs and x.graph:
        why = "a score far on the right side costs as much as one on the wrong side"
        if x.kind in ("probabilities", "sigmoid") or y.seen:
            why = "the gradient vanishes where the model is wrong and certain"
        yield Found(
            "mse-on-one-hot",
            f"{case.title} of class outputs{at(x)} against one-hot rows: {why}; "
            "cross_entropy on the logits is not like that",
            "likely" if y.seen and x.kind != "probabilities" else case.confidence,
        )


def cut(case: LossCall) -> Iterator[Found]:
    """A prediction that was made anew as a leaf of the graph, out of numbers that had one."""
    x = case.x
    if x.cut is not None and x.graph and not x.parts:
        yield Found(
            "detached-loss", f"the prediction was cut from the model at {x.cut}: no weight of the model gets a gradient"
        )
