"""What was found, and what shows only when the whole program was followed: losses that are kept, and means of means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from typing import TypeAlias

from crossentropy.doctor._finding import Finding
from crossentropy.doctor._knowledge import _composed
from crossentropy.doctor._knowledge._facts import AS_TENSOR, times
from crossentropy.doctor._knowledge._loss_call import Found, LossCall, at
from crossentropy.doctor._source._values import Part, Place, Tensor, Unknown, Value, Written
from crossentropy.doctor.rules import RULES, Confidence

MOST_PARTS = 64
"""Losses of which a loss is known to consist; and elements of a container that are looked at."""
MASKED = "masked"
"""The reduction of a loss with a number for each position, which is 0 at padding;"""
DILUTED = "diluted"
"""and of its mean over all of them."""
MOST_KEPT = 8
"""Losses that are remembered as kept at one place."""


def together(first: frozenset[Part], second: frozenset[Part]) -> frozenset[Part]:
    """The losses that a sum consists of; of very many some."""
    return first if len(first) >= MOST_PARTS else first | second


Key: TypeAlias = "tuple[str, int | None, int, str, tuple[str, int] | None]"
"""Path, cell and line of a finding, its rule, and file and line of its cause."""
Findings: TypeAlias = dict[Key, Finding]
Root: TypeAlias = "tuple[Written | None, Written]"
"""A function that is followed although nothing calls it, and the class on whose object, if it is inherited."""


class Report:
    """Collects findings, and the history of losses."""

    def __init__(self) -> None:
        self.findings: Findings = {}
        self.number = 0
        self.events = 0
        """How often something was done that counts each time."""
        self.silent = False
        """Whether what is followed is not to be reported, and counts in no history."""
        self.aside = ""
        """What is to be said of findings that may not hold for all callers."""
        self._apart: Findings | None = None
        """What is found on one of several ways."""
        self._root: Root | None = None
        self.followed: set[Root] = set()
        """The functions that are followed although nothing calls them,"""
        self.roots: dict[Key, Root] = {}
        """and what is found from which of them, if from nowhere else."""
        self.unpaired: list[LossCall] = []
        """Losses whose input something unknown has made."""
        self.open_losses: set[tuple[Place, str]] = set()
        """Where losses are whose input is not known, and which."""
        self.seen: set[Place] = set()
        """Where the inputs and targets of the others were made."""
        self._kept: dict[Place, list[frozenset[Part]]] = {}
        self._open: dict[Place, list[Value]] = {}
        """What was kept last at a place, where it may turn out to be a loss, as its gradient is taken later."""
        self._sums: dict[Place, Place] = {}
        """Where sums of losses are kept, and where they were added up."""
        self._added: dict[Place, Place] = {}
        """Where losses of a place were added up last."""
        self._backward: list[tuple[frozenset[Part], int]] = []
        """The losses whose gradient was taken, and how many there had been by then."""
        self._since_step: list[tuple[Tensor, Place]] = []

    def add(
        self, rule: str, place: Place, message: str, confidence: Confidence = "certain", cause: Place | None = None
    ) -> None:
        """Add a finding, once for each rule, line and cause; a certain one takes the place of a likely one."""
        if self.silent and self._apart is None:
            return
        if RULES[rule].harmless:
            confidence = "info"
        if confidence == "likely":
            message += self.aside
        self.keep(
            Finding(
                place.path, place.line, place.column, rule, confidence, message, RULES[rule].remedy, place.cell, cause
            )
        )

    def tell(self, found: Found, place: Place) -> None:
        """Add what a check has found, at its own place or the one that was checked."""
        self.add(found.rule, found.place or place, found.message, found.confidence, cause=found.cause)

    def keep(self, finding: Finding) -> None:
        """Keep a finding, unless one like it is kept that is as certain."""
        findings = self.findings if self._apart is None else self._apart
        cause = None if finding.cause is None else (finding.cause.path, finding.cause.line)
        key = (finding.path, finding.cell, finding.line, finding.rule, cause)
        old = findings.get(key)
        if self._root is None:
            self.roots.pop(key, None)
        elif old is None:
            self.roots[key] = self._root
        if old is None or (old.confidence != "certain" and finding.confidence == "certain"):
            findings[key] = finding

    @contextmanager
    def following(self, root: Root) -> Iterator[None]:
        """Follow a function that nothing calls."""
        self._root = root
        self.followed.add(root)
        try:
            yield
        finally:
            self._root = None

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Follow something without reporting it."""
        with self._listening(True, None):
            yield

    @contextmanager
    def apart(self) -> Iterator[Findings]:
        """Follow one of several ways: what is found on it is given back, and counts in no history."""
        found: Findings = {}
        with self._listening(True, found if self.listens else None):
            yield found

    @contextmanager
    def _listening(self, silent: bool, apart: Findings | None) -> Iterator[None]:
        before = self.silent, self._apart
        self.silent, self._apart = silent, apart
        try:
            yield
        finally:
            self.silent, self._apart = before

    @property
    def listens(self) -> bool:
        """Whether what is found now is kept, or at least compared."""
        return not self.silent or self._apart is not None

    def several(self, ways: Sequence[Findings], is_likely: Callable[[Finding], bool]) -> None:
        """What is found on all of several ways, and what of the rest is worth being called likely."""
        for key, finding in (item for way in ways for item in way.items()):
            if all(key in way for way in ways):
                self.keep(finding)
            elif is_likely(finding):
                self.keep(replace(finding, confidence="likely" if finding.confidence == "certain" else "info"))

    def examined(self, case: LossCall) -> None:
        """A loss is computed: what its input is, is known now, perhaps later, or never."""
        if self.silent:
            return
        self.seen |= {tensor.made for tensor in (case.x, case.y) if tensor.kind and tensor.made is not None}
        if not case.x.kind:
            self.open_losses.add((case.place, case.loss))
            if case.x.caller is not None:
                self.unpaired.append(case)

    def part(self, place: Place, rows: Value, uneven: bool, entropy: bool = False) -> Part:
        """A loss that is computed."""
        self.number += 1
        return Part(place, self.number, rows, uneven, entropy)

    def own_loss(self, value: Value, place: Place) -> Tensor:
        """A loss that is known as one by having its gradient taken here."""
        loss = value if isinstance(value, Tensor) else Tensor()
        parts = frozenset({self.part(place, None, uneven=False)})
        return loss.to(kind="loss", made=place, graph=True, parts=parts)

    def focal(self, factor: Tensor, place: Place) -> None:
        """A power of one minus exp(−loss), or of one minus a loss that is multiplied by its logarithm."""
        if factor.reduction in ("mean", "sum"):
            self.tell(_composed.focal(factor.reduction, parts=factor.parts), place)

    def modulated(self, loss: Tensor, factor: Tensor, place: Place) -> None:
        """A loss is multiplied by numbers that are computed: one for each of its rows, where it is one for all."""
        rows = {part.rows for part in loss.parts} - {None, 1}
        each = bool(factor.shape) and not rows.isdisjoint((factor.size(0), times(factor.shape or ())))
        if loss.reduction in ("mean", "sum") and loss.shape == () and each:
            self.tell(_composed.modulated(loss.reduction, loss.parts), place)

    def mean_of_classes(self, terms: Tensor, place: Place) -> None:
        """A mean over the terms of a divergence."""
        confidence, axis = "likely" if terms.likely else "certain", -1 if terms.normal is None else terms.normal
        self.tell(_composed.mean_of_classes(at(terms), terms.count, axis, confidence), place)

    def wrong_dim(self, scores: Tensor, axis: int, place: Place, confidence: Confidence = "certain") -> None:
        """A cross entropy by hand, or a choice of classes, that reads along another axis than a softmax is of."""
        softmax = "softmax" if scores.kind == "probabilities" else "log_softmax"
        self.add(
            "softmax-wrong-dim",
            place,
            f"{softmax}{at(scores)} is taken over axis {scores.normal}, and the classes are read along axis {axis} "
            "here: rows are not normalised",
            "likely" if scores.likely else confidence,
            scores.made,
        )

    def summed(self, terms: Tensor, place: Place) -> None:
        """The terms of a cross entropy written by hand; whether it is differentiated may not be known."""
        if terms.logs is not None and terms.graph is None:
            self.tell(_composed.log_of_softmax(f"in the cross entropy of {place}", "likely"), terms.logs)
        if terms.mixed is not None:
            self.tell(_composed.mixed(f"the cross entropy of {place}", terms.mixed, "likely"), terms.mixed)

    def multiplied(self, mean: Tensor) -> None:
        """A mean of kl_div over all entries is multiplied by the number of classes: the divergence that was meant."""
        self._withdraw("kl-div-reduction", (part.place for part in mean.parts))

    def undiluted(self, mean: Tensor) -> None:
        """A mean over all positions is divided, by what may be the share of those that count."""
        if mean.made is not None:
            self._withdraw("padding-not-ignored", [mean.made])

    def _withdraw(self, rule: str, places: Iterable[Place]) -> None:
        """What was found turns out to be meant."""
        lines = {(place.path, place.cell, place.line, rule) for place in places}
        for findings in (self.findings, self._apart or {}):
            for key in [key for key in findings if key[:4] in lines]:
                del findings[key]

    # --- losses over time ---------------------------------------------------------------------------------------------

    def joined(self, tensor: Tensor, place: Place) -> None:
        """Losses were added up."""
        if not self.silent and _has_graph(tensor) and _repeated(tensor.parts):
            self._keep(place, tensor.parts)
            self._added.update((part.place, place) for part in tensor.parts)

    def kept(self, values: Iterable[Value], place: Place) -> None:
        """Losses were put into a container, whose values these are, the last first."""
        last = list(islice(chain.from_iterable(map(_held, values)), MOST_PARTS))
        if not self.silent and last and isinstance(last[0], Unknown):
            self._open[place] = last[:2]
        tensors = [tensor for tensor in map(_seen_as_tensor, last) if _has_graph(tensor) and tensor.parts]
        parts = frozenset(part for tensor in tensors for part in tensor.parts)
        if not self.silent and len(tensors) > 1 and _repeated(parts):
            self._keep(place, parts)
            total = next((part for tensor in tensors if _repeated(tensor.parts) for part in tensor.parts), None)
            if total is not None and total.place in self._added:
                self._sums.setdefault(place, self._added[total.place])

    def keeps(self, values: Iterable[Value]) -> bool:
        """Whether these losses are kept somewhere already."""
        parts = frozenset(part for value in values if isinstance(value, Tensor) for part in value.parts)
        return bool(parts) and any(parts <= last for several in self._kept.values() for last in several[-1:])

    def _keep(self, place: Place, parts: frozenset[Part]) -> None:
        self.events += 1
        same = self._kept.setdefault(place, [])
        del same[MOST_KEPT - 1 :]  # the first and the last show all that is to be seen
        same.append(parts)

    def backward(self, loss: Tensor, place: Place) -> None:
        """A loss whose gradient is taken."""
        if self.silent:
            return
        self.events += 1
        self._backward.append((loss.parts, self.number))
        self._since_step.append((loss, place))
        if loss.logs is not None:
            self.tell(_composed.log_of_softmax(f"in the loss of {place}"), loss.logs)
        for cut in loss.idle if loss.graph is not False else ():
            self.tell(
                _composed.idle_term(f" of {place}", "certain" if loss.graph and not loss.likely else "likely"), cut
            )
        if loss.cut is not None and loss.graph is False:
            self.add(
                "detached-loss",
                place,
                f"backward() is called on a loss whose graph was cut at {loss.cut}: no weight gets a gradient",
            )

    def step(self) -> None:
        """A step of an optimizer, or gradients set to zero: what was accumulated is over."""
        if self.silent:
            return
        self.events += 1
        accumulated, self._since_step = self._since_step, []
        parts = frozenset(part for loss, _ in accumulated for part in loss.parts)
        divided = all(loss.reduction == "averaged" for loss, _ in accumulated)
        if len(accumulated) > 1 and divided and (why := _composed.unequal(parts)):
            self._means(why, accumulated[-1][1])

    def divided(self, sum_of_losses: Tensor, place: Place) -> None:
        """A sum of losses was divided, or their mean taken."""
        if sum_of_losses.reduction == "mean" and (why := _composed.unequal(sum_of_losses.parts)):
            self._means(why, place)

    def averaged(self, sum_of_numbers: Tensor, place: Place) -> None:
        """A sum of numbers read from losses was divided: what trains is right, and only what is shown is off."""
        if sum_of_numbers.reduction == "mean" and (why := _composed.unequal(sum_of_numbers.parts)):
            trained = any(done & sum_of_numbers.parts for done, _ in self._backward)
            self._means(why, place, "info" if trained or why == _composed.VARYING else "certain")

    def _means(self, why: str, place: Place, confidence: Confidence = "certain") -> None:
        self.tell(_composed.mean_of_means(why, confidence), place)

    def finish(self) -> None:
        """What the whole program says about losses that were kept."""
        for place, values in self._open.items():
            if place not in self._kept:
                self.kept(values, place)
        for place, parts in ((place, parts) for place, several in self._kept.items() for parts in several):
            stepped = [part for part in parts if any(_at_once(part, parts, *done) for done in self._backward)]
            together = any(_repeated(done & parts) for done, _ in self._backward)
            if len(stepped) > 1 and not together:
                self.tell(_composed.kept(_composed.places(parts), self._sums.get(place)), place)


def _held(value: Value) -> Iterable[Value]:
    """What a value holds that is put into a container: the entries of a dictionary or a tuple."""
    if isinstance(value, Unknown):
        entries = (item for key, item in value.members.items() if isinstance(key, tuple) and key != AS_TENSOR)
        return (value, *entries)
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, tuple) else (value,)


def _seen_as_tensor(value: Value) -> Tensor:
    """A tensor, or what something unknown is as one."""
    known = value.members.get(AS_TENSOR) if isinstance(value, Unknown) else value
    return known if isinstance(known, Tensor) else Tensor()


def _has_graph(loss: Tensor) -> bool:
    """Whether a loss, or a sum of losses with something unknown, has the graph of a loss, as far as is known."""
    return loss.graph is True or (loss.graph is None and loss.cut is None)


def _repeated(parts: Iterable[Part]) -> bool:
    """Whether one loss call has contributed more than once."""
    return any(count > 1 for count in Counter(part.place for part in parts).values())


def _at_once(part: Part, parts: frozenset[Part], done: frozenset[Part], until: int) -> bool:
    """Whether the gradient of a loss was taken alone, and before the next loss of that place was computed."""
    alone = part in done and sum(other.place == part.place for other in done) == 1
    return alone and not any(other.place == part.place and part.number < other.number <= until for other in parts)
