"""What is wrong with what a program makes of losses: sums, means and weights of them, and logarithms of a softmax."""

from __future__ import annotations

from collections.abc import Iterable

from crossentropy.doctor._finding import Place
from crossentropy.doctor._knowledge._facts import DRAWN, Dim, Part, Unknown
from crossentropy.doctor._knowledge._loss_call import Found
from crossentropy.doctor.rules import UNDERFLOWS, Confidence

DIFFERENT = "over numbers of rows that are drawn at random"
VARYING = "over the labels that are not ignored, whose number varies,"
"""Of which losses it is not known that their numbers of rows differ."""


def focal(reduction: str, rows: int | None = None, parts: Iterable[Part] = ()) -> Found:
    """A focal factor of a loss that is one number for all rows."""
    parts = list(parts)
    of = "" if rows is None else f" over {rows} rows"
    reduced = {part.place for part in parts}
    return Found(
        "focal-on-reduced-loss",
        f"the focal factor is computed from a loss that was already reduced to its {reduction}{of}{places(parts)}: one "
        "number weighs the whole batch — reduction='none'",
        cause=reduced.pop() if len(reduced) == 1 else None,
    )


def modulated(reduction: str, parts: Iterable[Part] = ()) -> Found:
    """A loss that is one number for all rows, times one number for each."""
    return focal(reduction, parts=parts)._replace(
        message=f"this factor has a number for each row, and the loss was already reduced to its {reduction}"
        f"{places(parts)}: all rows are weighed alike — reduction='none'"
    )


def mean_of_classes(terms: str, classes: Dim | None, axis: int, confidence: Confidence = "certain") -> Found:
    """A mean over the terms of kl_div, of which a row has one for each class."""
    many = f"{classes}" if isinstance(classes, int) else "C"
    return Found(
        "kl-div-reduction",
        f"this mean divides the terms of kl_div{terms} by the number of classes too: the divergence is {many}× too "
        f"small — .sum({axis}) first, then the mean over the rows",
        confidence,
    )


def mean_of_means(why: str, confidence: Confidence = "certain") -> Found:
    """A mean over means of different numbers of rows."""
    return Found("mean-of-means", f"means {why} are averaged with equal weight", confidence)


def unequal(parts: Iterable[Part]) -> str:
    """In which way the means that a sum consists of are over different numbers of rows; empty if they are not."""
    parts = list(parts)
    for place in {part.place for part in parts}:
        same = [part for part in parts if part.place == place]
        rows = {part.rows for part in same if isinstance(part.rows, int)}
        if len(rows) > 1:
            return f"over {' and '.join(map(str, sorted(rows, reverse=True)))} rows"
        if len(same) > 1 and any(part.uneven for part in same):
            return VARYING
        if len({part.rows for part in same if isinstance(part.rows, Unknown) and part.rows.number == DRAWN}) > 1:
            return DIFFERENT
    return ""


def log_of_softmax(where: str, confidence: Confidence = "certain") -> Found:
    """The logarithm of a softmax, in a loss or in what is differentiated."""
    return Found("log-of-softmax", f"the logarithm of a softmax, in two steps, {where}: {UNDERFLOWS}", confidence)


def mixed(by: str, view: Place, confidence: Confidence) -> Found:
    """A view that makes the axis of the classes of numbers of other axes, and is used by a loss."""
    return Found(
        "view-instead-of-permute",
        f"this view feeds {by}, and the classes of what it is given are on another axis than it makes of them: rows "
        "and classes are mixed — permute the class axis to the end first",
        confidence,
        place=view,
    )


def diluted(parts: Iterable[Part]) -> Found:
    """A mean over all positions of a loss that a mask has set to zero at some."""
    return Found(
        "padding-not-ignored",
        f"a mask sets the loss{places(parts)} to zero at padding, and this mean counts those positions all the same: "
        "the more padding, the smaller the loss — (loss * mask).sum() / mask.sum()",
        "likely",
    )


def idle_mask(reduction: str, parts: Iterable[Part]) -> Found:
    """A mask that comes when the mean was taken."""
    return Found(
        "padding-not-ignored",
        f"the loss{places(parts)} is one number already, its mean, when it is multiplied by this mask: padding counts "
        "in it — reduction='none', then (loss * mask).sum() / mask.sum()",
        "likely",
    )


def idle_term(loss: str, confidence: Confidence = "certain") -> Found:
    """A term of a sum of losses that was cut from its graph."""
    return Found(
        "detached-loss",
        f"this term of the loss{loss} loses its graph here: it changes the value of the loss, and trains nothing",
        confidence,
    )


def kept(losses: str, cause: Place | None = None) -> Found:
    """Losses of several steps that are kept with their graph."""
    return Found(
        "loss-graph-retained",
        f"losses of earlier steps{losses} are kept here with their graph: memory grows each step",
        cause=cause,
    )


def places(parts: Iterable[Part]) -> str:
    """Where losses are computed."""
    shown = sorted({str(part.place) for part in parts})
    return f" (at {', '.join(shown[:2])})" if shown else ""
