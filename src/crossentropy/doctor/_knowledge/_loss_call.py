"""One call of a loss, with what is known of its input and target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from crossentropy.doctor._finding import Place
from crossentropy.doctor._knowledge._facts import Dim, Tensor, Value
from crossentropy.doctor.rules import Confidence

ALIKE = {
    **dict.fromkeys(("focal_loss", "poly1_loss", "generalized_cross_entropy", "row_loss"), "cross_entropy"),
    **dict.fromkeys(("cosine_cross_entropy", "sampled_linear_cross_entropy"), "linear_cross_entropy"),
}
"""Losses of this package, and that of torch to whose input, target and settings all that is checked of theirs
applies."""
OF_TEACHERS = (
    *("kl_div_with_logits", "reverse_kl_div_with_logits", "js_div_with_logits", "topk_kl_div_with_logits"),
    *("linear_kl_div", "linear_reverse_kl_div", "linear_js_div", "linear_topk_kl_div"),
)
"""Losses of this package between the logits of a student and a teacher, or of heads; the
teacher of topk_kl_div_with_logits gives log-probabilities."""


class Found(NamedTuple):
    """A mistake in a call."""

    rule: str
    message: str
    confidence: Confidence = "certain"
    place: Place | None = None
    """Where it is, if not at the call."""
    cause: Place | None = None
    """What is to be changed, if not that."""


class Numbers(Protocol):
    """The numbers of a call, where a program runs; each is a part of a message."""

    def loss(self) -> str:
        """What it is, and what it would be on the logits."""
        ...

    def gradient(self) -> str:
        """How much smaller it is than on the logits."""
        ...

    def zeros(self) -> str:
        """How many logits are 0."""
        ...

    def row_sums(self) -> str:
        """What rows of probabilities sum to, along the axis that the loss reads."""
        ...

    def ones(self) -> str:
        """How many ones a row of the target has on average."""
        ...

    def target_sums(self) -> str:
        """What rows of the target sum to, and whether it has negative entries."""
        ...

    def padding(self, label: int) -> str:
        """How many labels are padding, and what the loss would be if it did not count."""
        ...

    def ruled_out(self) -> str:
        """In how many rows the logit of the true class is −inf."""
        ...

    def outside(self) -> str:
        """A number that is no probability; empty if there is none."""
        ...


@dataclass(frozen=True)
class LossCall:
    """The arguments of a loss, by torch's names."""

    loss: str
    x: Tensor
    """The input."""
    y: Tensor
    """The target."""
    settings: Mapping[str, Value]
    place: Place
    reduction: str
    made: Place | None = None
    """Where the criterion was made."""
    open: bool = False
    """Whether there are settings that are not known."""
    numbers: Numbers | None = None
    """Those of the tensors, where they are known."""
    name: str = ""
    """What the loss is called, where it is one like `loss`."""

    @property
    def title(self) -> str:
        """The loss, and where its criterion was made, if elsewhere."""
        apart = self.made is not None and self.made.line != self.place.line
        name = self.name or self.loss
        return f"{name} (made at {self.made})" if apart else name

    @property
    def confidence(self) -> Confidence:
        """How certain a finding about the input is."""
        return "likely" if self.x.likely else "certain"

    @property
    def ignore_index(self) -> Value:
        """The label that is ignored; None where it is not known."""
        if self.open and "ignore_index" not in self.settings:
            return None
        value = self.settings.get("ignore_index")
        return -100 if value is None else value if isinstance(value, int) else None

    @property
    def class_axis(self) -> int | None:
        """The axis the loss reads classes from, counted from the end; None where the rank is not known."""
        if self.x.rank is None:
            return None
        return -1 if self.x.rank < 2 or self.loss == "linear_cross_entropy" else 1 - self.x.rank

    @property
    def classes(self) -> Dim | None:
        """The number of classes."""
        if self.x.shape and self.class_axis is not None:
            return self.x.shape[self.class_axis]
        return self.x.count

    @property
    def rows(self) -> tuple[Dim, ...] | None:
        """The shape of class indices that fit."""
        if not self.x.shape or self.class_axis is None:
            return None
        axis = len(self.x.shape) + self.class_axis
        return self.x.shape[:axis] + self.x.shape[axis + 1 :]


def reduction(settings: Mapping[str, Value]) -> str:
    """What becomes of the rows, also by arguments of old; empty where it is not known."""
    average, reduce = settings.get("size_average"), settings.get("reduce")
    if reduce is False:
        return "none"
    if average is False:
        return "sum"
    value = settings.get("reduction", "mean")
    return value if isinstance(value, str) else ""


def known(shape: tuple[Dim, ...] | None) -> str:
    """A shape as it is shown."""
    return "?" if shape is None else "(" + ", ".join(str(d) if isinstance(d, int) else "…" for d in shape) + ")"


def told(*parts: str) -> str:
    """What is told of numbers, as far as they are known, with a comma after each."""
    return "".join(f"{part}; " for part in parts if part)


def at(tensor: Tensor) -> str:
    """Where a tensor got its kind."""
    return f" at {tensor.made}" if tensor.made is not None else ""
