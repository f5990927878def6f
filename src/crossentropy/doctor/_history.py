"""What shows only over several calls: padding that counts, targets that are not shifted, losses that are kept.

Remembered for it are the losses that were computed, what they were divided by, the numbers that rows were filled up
with, the tokens that embeddings have read, and class weights.
"""

import inspect
import math
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.functional import cross_entropy, nll_loss

from crossentropy.doctor._call import Call, Found, class_axis, ignored_label, num_classes, place_of
from crossentropy.doctor._sources import made_by
from crossentropy.doctor._trace import MOVES, Place, Trace, called_by_user
from crossentropy.doctor._values import is_readable, one_sample

_FILLING = {"pad_sequence": "padding_value", "full": "fill_value", "new_full": "fill_value", "full_like": "fill_value",
            "masked_fill": "value", "masked_fill_": "value", "pad": "value"}  # fmt: skip
"""Operations that fill up, and their argument that says with what."""


class Loss(NamedTuple):
    """A loss that was computed."""

    value: "weakref.ref[Tensor]"
    step: int
    place: Place | None


class Share(NamedTuple):
    """A loss that was divided by a number, as when gradients are accumulated."""

    loss: Trace
    parts: float
    place: Place | None


class Read(NamedTuple):
    """Tokens that an embedding has read."""

    ids: Tensor
    embedded: Trace


class History:
    """What was seen so far."""

    def __init__(self) -> None:
        self.step = 0
        self._losses: list[Loss] = []
        self._shares: list[Share] = []
        self._padding: set[int] = set()
        self._read: list[Read] = []
        self._logs: list[tuple[Trace, Found]] = []
        self._weights: dict[Place | None, Tensor] = {}

    def add_loss(self, call: Call, result: Tensor, trace: Trace) -> None:
        """Remember a loss."""
        trace.op = "loss"
        trace.arguments |= {"reduced": result.dim() == 0, "rows": _rows(call), "step": self.step}
        self._losses.append(Loss(weakref.ref(result), self.step, call.place))

    def add(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor, trace: Trace
    ) -> Iterator[Found]:
        """Remember another operation; some are mistakes in themselves."""
        if name == "embedding":
            self._add_embedding(args, kwargs, trace)
        elif name in _FILLING:
            self._add_filling(name, args, kwargs, result, trace)
        elif trace.op in ("pow", "mul"):
            yield from focal(trace)
            self._logs = [log for log in self._logs if not _is_entropy(trace, log[0])]
            yield from self._add_share(trace)
        elif trace.op == "mean":
            yield from mean_of_means(trace)
        elif trace.op == "log" and result.requires_grad and called_by_user():
            yield from self._add_log(trace)
        elif trace.op == "div":
            yield from self._add_share(trace)
        elif trace.op == "add" and result.requires_grad:
            yield from running_sum(trace)
        elif trace.op == "tensor" and result.requires_grad:
            yield from made_anew(trace)

    def _add_filling(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor, trace: Trace
    ) -> None:
        value = kwargs.get(_FILLING[name], args[-1] if args and isinstance(args[-1], (int, float)) else 0)
        if not result.is_floating_point() and isinstance(value, (int, float)):
            self._padding.add(int(value))
            trace.arguments["filled with"] = int(value)

    def _add_log(self, trace: Trace) -> Iterator[Found]:
        """One of a softmax is a mistake; but kept from 0 by a small number it is none in an entropy, seen later."""
        inner = trace.parents[0].back() if trace.parents else trace
        if inner.op in ("add", "clamp"):
            self._logs += [(trace, found) for found in log_of_softmax(trace)]
        else:
            yield from log_of_softmax(trace)

    def logs_of_softmax(self) -> Iterator[Found]:
        """The logarithms that are in no entropy, at the time of the backward pass or at the end."""
        yield from (found for _, found in self._logs)
        self._logs.clear()

    def _add_embedding(self, args: tuple[Any, ...], kwargs: dict[str, Any], trace: Trace) -> None:
        bound = inspect.signature(F.embedding).bind_partial(*args, **kwargs).arguments
        ids, padding = bound.get("input"), bound.get("padding_idx")
        if isinstance(padding, int) and padding >= 0:
            self._padding.add(padding)
        if isinstance(ids, Tensor):
            ids = one_sample(ids)
            if is_readable(ids) and ids.dim() == 2:
                self._read = [*self._read[-3:], Read(ids, trace)]

    def _add_share(self, trace: Trace) -> Iterator[Found]:
        """A loss, or a sum of losses, divided by a number."""
        numbers = [n for n in trace.arguments.values() if isinstance(n, (int, float)) and not isinstance(n, bool)]
        if len(trace.parents) != 1 or len(numbers) != 1 or numbers[0] == 0:
            return
        parts = float(numbers[0] if trace.op == "div" else 1 / numbers[0])
        losses = summands(trace.parents[0])
        if len(losses) == 1 and losses[0].arguments["reduced"]:
            self._shares.append(Share(losses[0], parts, trace.place))
        elif len(losses) == parts and len({loss.place for loss in losses}) == 1:
            yield from _unequal(losses, trace.place)

    def check(self, call: Call) -> Iterator[Found]:
        """What earlier operations say of a call."""
        yield from self._weighed(call)
        behind = set(ancestors(call.input)) if self._logs else set()
        yield from (found for trace, found in self._logs if trace in behind)
        self._logs = [log for log in self._logs if log[0] not in behind]
        y = call.y
        if call.loss not in ("cross_entropy", "nll_loss", "linear_cross_entropy") or y.is_floating_point():
            return
        if call.reduction != "none" and y.numel():  # what becomes of the rows is not known
            yield from self._padded(call)
        yield from self._shifted(call)

    # --- padding ------------------------------------------------------------------------------------------------------

    def _padded(self, call: Call) -> Iterator[Found]:
        """Labels that are a padding index, at the ends of rows, and not ignored."""
        for padding in self._padding - {ignored_label(call)}:
            share = float((call.y == padding).double().mean())
            if share and self._fills_ends(call, padding) and not _is_weighed(call, padding):
                yield Found(
                    "padding-not-ignored",
                    "certain",
                    f"{share:.0%} of the labels are {padding}, which is padding, and count in the "
                    f"mean{_without(call, padding)} — ignore_index={padding}",
                )

    def _fills_ends(self, call: Call, padding: int) -> bool:
        """Whether labels were filled up with a number: it stands at the ends of rows, and there alone, by no chance."""
        rows = _by_rows(call)
        if rows is None:
            return False
        is_padding = rows == padding
        ends = is_padding.long().flip(-1).cumprod(-1).flip(-1).sum(-1)
        if not bool(ends.any()) or float(is_padding.sum()) > 1.05 * float(ends.sum()):
            return False
        last = padding == num_classes(call) - 1  # such as that of no object
        return _was_filled(call.target, padding, last) or any(
            _ends_alike(ends, read.ids, padding) for read in self._read
        )

    # --- shifts -------------------------------------------------------------------------------------------------------

    def _shifted(self, call: Call) -> Iterator[Found]:
        """Targets that are the tokens the model has read, unshifted or shifted by two."""
        y = call.y
        fitting = [
            (y.reshape(ids.shape[0], -1), ids, embedded)
            for ids, embedded in self._read
            if y.numel() >= 8 and ids.device == y.device and ids.numel() and y.numel() % ids.shape[0] == 0
        ]
        if any(_is_shifted(rows, ids, 1) for rows, ids, _ in fitting):
            return
        for rows, ids, embedded in fitting:
            if not _by_position(call.input, embedded, ids):
                continue
            for shift, what in ((0, "not shifted"), (2, "shifted twice")):
                if _is_shifted(rows, ids, shift):
                    trained = "to copy token t" if shift == 0 else "on token t + 2"
                    yield Found(
                        "causal-shift",
                        "certain",
                        f"the targets are the {tuple(ids.shape)} tokens that the model reads, {what}: position "
                        f"t is trained {trained}",
                    )
                    return

    # --- weights ------------------------------------------------------------------------------------------------------

    def _weighed(self, call: Call) -> Iterator[Found]:
        """Class weights that are others in each call, as many as there are rows: weights of the rows."""
        weight = call.weight
        if (
            call.loss not in ("cross_entropy", "nll_loss")
            or not isinstance(weight, Tensor)
            or call.y.is_floating_point()
        ):
            return
        before, self._weights[call.place] = self._weights.get(call.place), weight.detach().clone()
        rows = call.y.numel()
        if before is None or weight.shape != (rows,) or before.shape != weight.shape or before.equal(weight):
            return
        if not any(trace is other for trace in ancestors(call.weighing) for other in ancestors(call.target)):
            message = (
                f"weight has one number for each class, but changes with each batch of {rows} rows: weights of rows?"
            )
            yield Found("class-weight-shape", "likely", message)

    # --- losses that are divided --------------------------------------------------------------------------------------

    def _accumulated(self) -> Iterator[Found]:
        """Means over different numbers of rows, each divided by how many there are, of one step."""
        places = {share.place for share in self._shares}
        for place in places:
            shares = [share for share in self._shares if share.place == place]
            if len(shares) > 1 and all(share.parts == len(shares) for share in shares):
                yield from _unequal([share.loss for share in shares], place)
        self._shares.clear()

    # --- losses that are kept -----------------------------------------------------------------------------------------

    def after_step(self, step: int) -> Iterator[Found]:
        """After a step of an optimizer: losses of earlier steps that are kept with their graph."""
        self.step = step
        yield from self.logs_of_softmax()
        yield from self._accumulated()
        self._losses = [loss for loss in self._losses if loss.value() is not None]
        graphs = [loss for loss in self._losses if (value := loss.value()) is not None and value.grad_fn is not None]
        kept = Counter(loss.place for loss in graphs if loss.step < step - 1)
        for place, count in kept.items():
            if step >= 3:
                message = f"{count + 1} losses of earlier steps are alive with their graph: memory grows each step"
                yield Found("loss-graph-retained", "certain", message, place)


def _rows(call: Call) -> int:
    """How many rows the mean of a loss is over."""
    if call.y.is_floating_point():
        return call.y.shape[0] if call.y.dim() else 1
    return int((call.y != ignored_label(call)).sum())


def _by_rows(call: Call) -> Tensor | None:
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


def _was_filled(trace: Trace, padding: int, last: bool) -> bool:
    """Whether an operation that fills up with a number made the labels, or part of them.

    Labels that begin as the last class may be of what belongs to no other class.
    """
    filled = (before for before in ancestors(trace) if before.arguments.get("filled with") == padding)
    return any(not (last and before.op in ("full", "new_full", "full_like")) for before in filled)


def _is_weighed(call: Call, label: int) -> bool:
    """Whether a class has a weight of its own, so that it counts on purpose."""
    weight = call.weight
    if not isinstance(weight, Tensor) or weight.shape != (num_classes(call),) or label >= len(weight):
        return False
    return float(weight[label]) not in (0.0, float(weight.double().median())) and weight.unique().numel() == 2


def _ends_alike(ends: Tensor, ids: Tensor, padding: int) -> bool:
    """Whether the tokens that were read end in as much padding, give or take the one of a shift."""
    if ids.shape[0] != ends.shape[0] or ids.device != ends.device:
        return False
    read = (ids == padding).long().flip(-1).cumprod(-1).flip(-1).sum(-1)
    apart = ends - read
    return bool(read.any()) and int(apart.max() - apart.min()) <= 1 and int(apart.abs().max()) <= 1


def _without(call: Call, padding: int) -> str:
    """What the loss would be if padding did not count."""
    axis = class_axis(call)
    if call.loss == "linear_cross_entropy" or call.y.shape != (*call.x.shape[:axis], *call.x.shape[axis + 1 :]):
        return ""
    with torch.no_grad():
        loss = nll_loss if call.loss == "nll_loss" else cross_entropy
        value = float(loss(call.x.double(), call.y.long().where(call.y != padding, -100), ignore_index=-100))
    return f"; without them the loss would be {value:.4g}"


def _is_shifted(rows: Tensor, ids: Tensor, shift: int) -> bool:
    """Whether labels are the tokens, moved by some places; ignored ones fit anything."""
    length = min(rows.shape[1], ids.shape[1] - shift)
    if length < 2 or rows.shape[1] > ids.shape[1]:
        return False
    labels, tokens = rows[:, :length], ids[:, shift : shift + length]
    told = labels != -100
    same = bool(((labels == tokens) | ~told).all())
    return same and float(told.double().mean()) > 0.5 and ids.unique().numel() > 2 and labels.unique().numel() > 2


_RECURRENT = {"lstm", "gru", "rnn_tanh", "rnn_relu"}


def _by_position(logits: Trace, embedded: Trace, ids: Tensor) -> bool:
    """Whether tokens reach the logits by position, not by one vector for each row, as in autoencoders."""
    rows, length = ids.shape

    def has_positions(trace: Trace) -> bool:
        packed = "pack" in trace.op or (len(trace.shape) == 2 and trace.op in _RECURRENT)
        many = math.prod(trace.shape[:-1]) >= rows * (length - 2)
        last = len(trace.shape) == 3 and trace.shape[0] == rows and length - 2 <= trace.shape[2] <= length
        return packed or many or last

    return _reaches(logits, embedded, has_positions) or not _reaches(logits, embedded, lambda _: True)


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


def _is_entropy(product: Trace, log: Trace) -> bool:
    """Whether a product is p · log p, with a small number in the logarithm."""
    softmax = made_by(log, max(len(log.shape) - 1, 0)).softmax
    factors = [_through(parent, "neg", "mul") if parent.back() is not log else log for parent in product.parents]
    return log in factors and softmax in factors


def focal(weighing: Trace) -> Iterator[Found]:
    """(1 − exp(−CE))^γ of a mean, or (1 − exp(−CE)) · CE."""
    for inner in [_through(trace, "rsub", "sub", "add", "neg", "clamp") for trace in weighing.parents]:
        loss = _through(inner.parents[0], "neg", "mul", "clamp") if inner.op == "exp" and inner.parents else inner
        rows = loss.arguments.get("rows", 0)
        if inner.op == "exp" and loss.op == "loss" and loss.arguments["reduced"] and rows > 1:
            message = f"the focal factor is computed from the mean over {rows} rows: one number weighs the whole batch"
            yield Found("focal-on-reduced-loss", "certain", message, inner.place)


def _through(trace: Trace, *operations: str) -> Trace:
    """What went into some operations, or into moves."""
    trace = trace.back()
    while trace.op in operations and trace.parents:
        trace = trace.parents[0].back()
    return trace


def mean_of_means(mean: Trace) -> Iterator[Found]:
    """A mean over means of different numbers of rows."""
    stack = mean.parents[0] if mean.parents else mean
    losses = [loss.back() for loss in stack.parents]
    if stack.op in ("stack", "cat") and all(loss.op == "loss" and loss.arguments["reduced"] for loss in losses):
        yield from _unequal(losses, mean.place)


def _unequal(losses: list[Trace], place: Place | None) -> Iterator[Found]:
    rows = [loss.arguments["rows"] for loss in losses]
    if len(set(rows)) > 1:
        message = f"means over {', '.join(map(str, rows))} rows are averaged with equal weight"
        yield Found("mean-of-means", "certain", message, place)


def summands(trace: Trace, through: tuple[str, ...] = ("add",), *, differentiated: bool = False) -> list[Trace]:
    """The losses that a sum consists of; of long sums the last ones, and if asked for those with a graph."""
    losses, sums = list[Trace](), [trace]
    for _ in range(1024):
        if not sums:
            break
        made = sums.pop()
        if differentiated and not made.requires_grad:
            continue
        if made.op == "loss":
            losses.append(made)
        elif made.op in through:
            sums += made.parents
        elif made.op in MOVES:
            sums += made.parents[:1]
    return losses[::-1]


def running_sum(total: Trace) -> Iterator[Found]:
    """A sum over steps of losses with their graph."""
    steps = {loss.arguments["step"] for loss in summands(total, ("add", "mul", "div"), differentiated=True)}
    if len(steps) > 1:
        message = f"losses of {len(steps)} steps are added up with their graphs: memory grows each step"
        yield Found("loss-graph-retained", "certain", message, total.place)


def made_anew(tensor: Trace) -> Iterator[Found]:
    """torch.tensor([loss, …], requires_grad=True)."""
    if any(parent.requires_grad for parent in tensor.parents):
        message = (
            "a new tensor is made of losses: it has their values and not their graph, so that no weight is trained"
        )
        yield Found("detached-loss", "certain", message, tensor.place)


def trained_nothing(differentiated: Trace, is_leaf: bool) -> Iterator[Found]:
    """backward() of a tensor that nothing made: its own gradient is 1, and nothing else has one."""
    if is_leaf and not any(parent.requires_grad for parent in differentiated.parents):
        message = (
            f"backward() of a tensor{place_of(differentiated)} without a graph: nothing gets a gradient but itself"
        )
        yield Found("detached-loss", "certain", message)


def log_of_softmax(log: Trace) -> Iterator[Found]:
    """A logarithm of a softmax that is differentiated, wherever it goes."""
    made = made_by(log, max(len(log.shape) - 1, 0))
    if made.op == "log of softmax":
        message = (
            f"the logarithm of the softmax{place_of(made.softmax or made.trace)}: −inf, and nan in the "
            "gradient, where a probability underflows; log_softmax is the same without that"
        )
        yield Found("log-of-softmax", "certain", message, log.place)
