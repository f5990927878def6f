"""What shows only over several calls: padding that counts, targets that are not shifted, losses that are kept.

Remembered for it are the losses that were computed, what they were divided by, the numbers that rows were filled up
with, the tokens that embeddings have read, and class weights.
"""

import inspect
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from crossentropy.doctor._knowledge._composed import kept
from crossentropy.doctor._knowledge._facts import Padding, Sequence
from crossentropy.doctor._knowledge._loss_call import Found
from crossentropy.doctor._runtime._call import Call, ignored_label, num_classes
from crossentropy.doctor._runtime._composed import (
    LINEAR,
    focal,
    focal_of_log,
    log_of_softmax,
    made_anew,
    mean_of_classes,
    mean_of_means,
    running_sum,
    summands,
    unequal,
)
from crossentropy.doctor._runtime._held import Held
from crossentropy.doctor._runtime._rows import (
    ancestors,
    beside,
    by_rows,
    end_alike,
    fillings,
    is_by_position,
    is_shifted,
    is_weighed,
    runs,
    turned,
    was_filled,
)
from crossentropy.doctor._runtime._trace import Place, Trace, called_by_user
from crossentropy.doctor._runtime._values import is_readable, one_sample

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
    tokens: Sequence
    fillings: set[int]
    """Numbers that its rows seem to be filled up with."""


class Remembered(NamedTuple):
    """What earlier operations tell of labels."""

    padding: frozenset[Padding] = frozenset()
    """The numbers that rows were filled up with;"""
    seems: bool = False
    """whether that is told by their places alone;"""
    shift: int | None = None
    """and by how much they are shifted against the tokens that the model has read."""
    tokens: Sequence | None = None
    """Those tokens."""


class History:
    """What was seen so far."""

    def __init__(self) -> None:
        self.step = 0
        self._losses: list[Loss] = []
        self._shares: list[Share] = []
        self._padding: set[int] = set()
        self._read: list[Read] = []
        self._held = Held()
        self._weights: dict[Place | None, Tensor] = {}

    def add_loss(self, call: Call, result: Tensor, trace: Trace) -> None:
        """Remember a loss."""
        trace.op = "loss"
        trace.arguments |= {
            "name": call.loss, "reduced": result.dim() == 0, "rows": _rows(call), "step": self.step,
        }  # fmt: skip
        self._losses.append(Loss(weakref.ref(result), self.step, call.place))
        self._held.made(trace)

    def add(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor, trace: Trace
    ) -> Iterator[Found]:
        """Remember another operation; some are mistakes in themselves."""
        if trace.op in LINEAR and result.dim() == 0 and result.requires_grad:
            self._add_total(result, trace)
        if name == "embedding":
            self._add_embedding(args, kwargs, trace)
        elif name in _FILLING:
            self._add_filling(name, args, kwargs, result, trace)
        elif trace.op in ("pow", "mul"):
            yield from focal(trace)
            yield from focal_of_log(trace)
            self._held.product(trace)
            yield from self._add_share(trace)
        elif trace.op == "mean":
            yield from mean_of_means(trace)
            for found, classes in mean_of_classes(trace):
                self._held.mean(found, trace, classes)
        elif trace.op == "log" and result.requires_grad and called_by_user():
            yield from self._add_log(trace)
        elif trace.op == "div":
            self._held.product(trace)
            yield from self._add_share(trace)
        elif trace.op == "square":
            yield from focal(trace)
        elif trace.op == "add" and result.requires_grad:
            yield from running_sum(trace)
        elif trace.op == "tensor" and result.requires_grad:
            yield from made_anew(trace)

    def _add_total(self, total: Tensor, trace: Trace) -> None:
        """Remember a sum of losses and other terms as what it is, a loss."""
        losses = summands(trace, LINEAR, differentiated=True)
        of_one_step = len({loss.arguments["step"] for loss in losses}) == 1  # others are found as running sums
        if of_one_step and not any(old.value() is total for old in self._losses):
            self._losses.append(Loss(weakref.ref(total), self.step, losses[0].place))

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
            for found in log_of_softmax(trace):
                self._held.log(trace, found)
        else:
            yield from log_of_softmax(trace)

    def held(self) -> Iterator[Found]:
        """What was held back and has not proved right, at the time of the backward pass or at the end."""
        return self._held.told()

    def _add_embedding(self, args: tuple[Any, ...], kwargs: dict[str, Any], trace: Trace) -> None:
        bound = inspect.signature(F.embedding).bind_partial(*args, **kwargs).arguments
        ids, padding = bound.get("input"), bound.get("padding_idx")
        if isinstance(padding, int) and padding >= 0:
            self._padding.add(padding)
        if isinstance(ids, Tensor):
            ids = one_sample(ids)
            if is_readable(ids) and ids.dim() == 2:
                same = (read.tokens for read in self._read if read.ids.device == ids.device and read.ids.equal(ids))
                filled = fillings(ids) if ids.numel() else set[int]()
                self._read = [*self._read[-3:], Read(ids, trace, next(same, Sequence()), filled)]

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
            yield from unequal(losses, trace.place)

    def check(self, call: Call) -> Iterator[Found]:
        """What earlier operations say of a call."""
        yield from self._weighed(call)
        yield from self._held.logs_before(call)

    def told(self, call: Call, remembered: Remembered, findings: Iterable[Found]) -> Iterator[Found]:
        """What is wrong with a call whatever follows; the rest is held back."""
        for found in findings:
            if found.rule == "kl-div-reduction":
                self._held.divergence(found, call)
            elif found.rule == "causal-shift" and remembered.shift == 2 and remembered.tokens is not None:
                self._held.shift(found._replace(place=found.place or call.place), remembered.tokens)
            else:
                yield found

    def remembered(self, call: Call) -> Remembered:
        """What earlier operations tell of the labels of a call."""
        y = call.y
        if call.loss not in ("cross_entropy", "nll_loss", "linear_cross_entropy") or y.is_floating_point():
            return Remembered()
        counts = call.reduction != "none" and y.numel()  # of rows alone it is not known what becomes of them
        padding = frozenset(self._padding_of(call)) if counts else frozenset[Padding]()
        return Remembered(padding, not padding & self._padding, *self._shift_of(call))

    # --- padding ------------------------------------------------------------------------------------------------------

    def _padding_of(self, call: Call) -> Iterator[Padding]:
        """Labels that are a padding index, or look like one, at the ends of rows."""
        for padding in self._padding.union(*(read.fillings for read in self._read)):
            places = call.y == padding
            some = bool(places.any()) and not bool(places.all())
            if some and self._fills_ends(call, padding) and not is_weighed(call, padding):
                yield Padding(padding)

    def _fills_ends(self, call: Call, padding: int) -> bool:
        """Whether labels were filled up with a number: it stands at the ends of rows, and there alone, by no chance."""
        rows = by_rows(call)
        if rows is None:
            return False
        last = padding == num_classes(call) - 1  # such as that of no object
        for way, labels in enumerate(turned(rows)):
            ends = runs(labels, padding)
            if bool(ends.any()) and int((labels == padding).sum()) <= 1.05 * float(ends.sum()):
                filled = way == 0 and was_filled(call.target, padding, last)
                if filled or any(end_alike(ends, turned(read.ids)[way], padding) for read in self._read):
                    return True
        return False

    # --- shifts -------------------------------------------------------------------------------------------------------

    def _shift_of(self, call: Call) -> tuple[int | None, Sequence | None]:
        """By how much the targets are shifted against the tokens that the model has read; None if they are others."""
        fitting = [(rows, ids, read) for read in self._read for rows, ids in beside(call.y, read.ids)]
        for rows, ids, read in fitting:
            if is_shifted(rows, ids, 1):
                return 1, read.tokens
        for rows, ids, read in fitting:
            if is_by_position(call.input, read.embedded, ids):
                for shift in (0, 2):
                    if is_shifted(rows, ids, shift):
                        return shift, read.tokens
        return None, None

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
            yield Found("class-weight-shape", message, "likely")

    # --- losses that are divided --------------------------------------------------------------------------------------

    def _accumulated(self) -> Iterator[Found]:
        """Means over different numbers of rows, each divided by how many there are, of one step."""
        places = {share.place for share in self._shares}
        for place in places:
            shares = [share for share in self._shares if share.place == place]
            if len(shares) > 1 and all(share.parts == len(shares) for share in shares):
                yield from unequal([share.loss for share in shares], place)
        self._shares.clear()

    # --- losses that are kept -----------------------------------------------------------------------------------------

    def after_step(self, step: int) -> Iterator[Found]:
        """After a step of an optimizer: losses of earlier steps that are kept with their graph."""
        self.step = step
        yield from self.held()
        yield from self._accumulated()
        self._losses = [loss for loss in self._losses if loss.value() is not None]
        graphs = [loss for loss in self._losses if (value := loss.value()) is not None and value.grad_fn is not None]
        places = Counter(place for place, _ in {(loss.place, loss.step) for loss in graphs if loss.step < step - 1})
        for place, count in places.items():
            if count > 1:  # one may be kept to be compared with the next
                yield kept(f", {count + 1} of them,")._replace(place=place)


def _rows(call: Call) -> int:
    """How many rows the mean of a loss is over."""
    if call.y.is_floating_point():
        return call.y.shape[0] if call.y.dim() else 1
    return int((call.y != ignored_label(call)).sum())
