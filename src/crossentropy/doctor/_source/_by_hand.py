"""Cross entropies written by hand, that take each row's label out of its log-probabilities."""

from __future__ import annotations

from crossentropy.doctor._knowledge._loss_call import known
from crossentropy.doctor._source._report import Report
from crossentropy.doctor._source._values import Place, Tensor, Value


def crossed(report: Report, scores: Tensor, index: tuple[Value, ...], place: Place) -> None:
    """Of scores[rows, labels]: a log_softmax over the rows, or one column too many, so that rows meet all labels."""
    if len(index) != 2 or scores.kind not in ("log-probabilities", "probabilities", "logits"):
        return
    rows, labels = index
    if isinstance(rows, range) or (isinstance(rows, Tensor) and rows.kind == "range"):
        picked(report, scores, labels, place)
    if not scores.graph or not isinstance(rows, Tensor) or not isinstance(labels, Tensor) or rows.kind != "range":
        return
    if rows.rank == 1 and labels.shape and len(labels.shape) == 2 and labels.shape[1] == 1 != labels.shape[0]:
        report.add(
            "target-extra-dim",
            place,
            f"the labels have shape {known(labels.shape)} and the rows {known(rows.shape)}: the label of every "
            "row is taken from every row — labels.squeeze(1)",
        )


def picked(report: Report, scores: Tensor, labels: Value, place: Place) -> None:
    """The log-probability of each row's label, of a log_softmax over the rows."""
    over_rows = scores.normal == -2 if scores.rank == 2 else scores.rank is None and scores.normal == 0
    diagonal = isinstance(labels, range) or (isinstance(labels, Tensor) and labels.kind == "range")
    if scores.kind == "log-probabilities" and over_rows and not diagonal:
        report.wrong_dim(scores, 1, place)
