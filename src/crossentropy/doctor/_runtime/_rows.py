"""Labels in their rows: padding that fills up the ends, and tokens that a model reads and is trained on."""

import math
from collections.abc import Callable, Iterator

from torch import Tensor

from crossentropy.doctor._runtime._call import Call, num_classes
from crossentropy.doctor._runtime._trace import Trace


def by_rows(call: Call) -> Tensor | None:
    """The labels in the rows they had before they were flattened."""
    trace = call.target
    while trace.parents and len(trace.shape) < 2:
        trace = trace.parents[0]
    y = call.y
    if len(trace.shape) == 2 and math.prod(trace.shape) == y.numel():
        y = y.reshape(trace.shape)
    return y if y.dim() == 2 else None


def ancestors(trace: Trace) -> Iterator[Trace]:
    """A trace and what went into it, near ones first; of long histories the near part."""
    traces = [trace]
    for _ in range(64):
        if not traces:
            return
        yield (trace := traces.pop(0))
        traces += trace.parents


def was_filled(trace: Trace, padding: int, last: bool) -> bool:
    """Whether an operation that fills up with a number made the labels, or part of them.

    Labels that begin as the last class may be of what belongs to no other class.
    """
    filled = (before for before in ancestors(trace) if before.arguments.get("filled with") == padding)
    return any(not (last and before.op in ("full", "new_full", "full_like")) for before in filled)


def is_weighed(call: Call, label: int) -> bool:
    """Whether a class has a weight of its own, so that it counts on purpose; or the weight 0, and does not count."""
    weight = call.weight
    if not isinstance(weight, Tensor) or weight.shape != (num_classes(call),) or label >= len(weight):
        return False
    own = float(weight[label])
    return own == 0 or (own != float(weight.double().median()) and weight.unique().numel() == 2)


def turned(rows: Tensor) -> tuple[Tensor, ...]:
    """Rows, and columns, to be read from the front and from the back."""
    return rows, rows.flip(1), rows.T, rows.T.flip(1)


def runs(rows: Tensor, label: int) -> Tensor:
    """How many of the last labels of each row are one number."""
    return (rows == label).long().flip(-1).cumprod(-1).flip(-1).sum(-1)


def fillings(ids: Tensor) -> set[int]:
    """Numbers that rows of tokens seem to be filled up with.

    Such a number stands at the end of most rows, in some more often than in others, and nowhere else; and what is
    before it is in no order, in which it could be the last.
    """
    return {number for rows in turned(ids) for number in _filling(rows)}


def _filling(rows: Tensor) -> Iterator[int]:
    last = int(rows[:, -1].mode().values)
    ends, places = runs(rows, last), rows == last
    most = int((ends > 0).sum()) >= max(2, 0.6 * len(rows))
    if not most or int(ends.sum()) < 4 or int(ends.min()) == int(ends.max()) or int(ends.max()) < 2:
        return
    steps = rows.diff(dim=1)[~(places[:, 1:] | places[:, :-1])]
    if int(places.sum()) == int(ends.sum()) and bool((steps > 0).any()) and bool((steps < 0).any()):
        yield last


def end_alike(ends: Tensor, ids: Tensor, padding: int) -> bool:
    """Whether the tokens that were read end in as much padding, give or take the one of a shift."""
    if ids.shape[0] != ends.shape[0] or ids.device != ends.device:
        return False
    read = runs(ids, padding)
    apart = ends - read
    return bool(read.any()) and int(apart.max() - apart.min()) <= 1 and int(apart.abs().max()) <= 1


def beside(y: Tensor, ids: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Labels in rows beside the tokens that were read, whether rows are the first axis or the second."""
    if y.numel() < 8 or not ids.numel() or ids.device != y.device:
        return
    if y.numel() % ids.shape[0] == 0:
        yield y.reshape(ids.shape[0], -1), ids
    if y.numel() % ids.shape[1] == 0:
        yield y.reshape(-1, ids.shape[1]).T, ids.T


def is_shifted(rows: Tensor, ids: Tensor, shift: int) -> bool:
    """Whether labels are the tokens, moved by some places; ignored ones fit anything."""
    length = min(rows.shape[1], ids.shape[1] - shift)
    if length < 2 or rows.shape[1] > ids.shape[1]:
        return False
    labels, tokens = rows[:, :length], ids[:, shift : shift + length]
    told = labels != -100
    same = bool(((labels == tokens) | ~told).all())
    return same and float(told.double().mean()) > 0.5 and ids.unique().numel() > 2 and labels.unique().numel() > 2


_RANDOM = {"randn", "randn_like", "normal"}
_RECURRENT = {"lstm", "gru", "rnn_tanh", "rnn_relu"}


def is_by_position(logits: Trace, embedded: Trace, ids: Tensor) -> bool:
    """Whether tokens reach the logits by position, not by one vector for each row, as in autoencoders."""
    rows, length = ids.shape

    def has_positions(trace: Trace) -> bool:
        if _is_drawn(trace):
            return False
        packed = "pack" in trace.op or (len(trace.shape) == 2 and trace.op in _RECURRENT)
        many = math.prod(trace.shape[:-1]) >= rows * (length - 2)
        last = len(trace.shape) == 3 and trace.shape[0] == rows and length - 2 <= trace.shape[2] <= length
        return packed or many or last

    return _reaches(logits, embedded, has_positions) or not _reaches(logits, embedded, lambda _: True)


def _is_drawn(trace: Trace) -> bool:
    """Whether numbers were drawn around others, with a spread that is trained, as in variational autoencoders."""
    spreads = (parent.back() for parent in trace.parents if trace.op == "add")
    return any(
        spread.op == "mul" and spread.requires_grad and any(factor.back().op in _RANDOM for factor in spread.parents)
        for spread in spreads
    )


def _reaches(later: Trace, earlier: Trace, passable: Callable[[Trace], bool]) -> bool:
    """Whether one trace went into another, by way of traces of some kind."""
    seen, traces = {later}, [later]
    while traces:
        trace = traces.pop()
        if trace is earlier:
            return True
        new = [parent for parent in trace.parents if parent not in seen and passable(parent)]
        seen.update(new)
        traces += new
    return False
