"""One call of a loss, with what is known of its input and target."""

from __future__ import annotations

from dataclasses import dataclass

from crossentropy.doctor._source._values import Dim, Place, Tensor, Value
from crossentropy.doctor.rules import Confidence


@dataclass(frozen=True)
class LossCall:
    """The arguments of a loss, by torch's names."""

    loss: str
    x: Tensor
    """The input."""
    y: Tensor
    """The target."""
    settings: dict[str, Value]
    place: Place
    reduction: str
    made: Place | None = None
    """Where the criterion was made."""
    open: bool = False
    """Whether there are settings that are not known."""

    @property
    def title(self) -> str:
        """The loss, and where its criterion was made, if elsewhere."""
        apart = self.made is not None and self.made.line != self.place.line
        return f"{self.loss} (made at {self.made})" if apart else self.loss

    @property
    def confidence(self) -> Confidence:
        """How certain a finding about the input is."""
        return "likely" if self.x.likely else "certain"

    @property
    def ignore_index(self) -> Value:
        """The label that is ignored; None where it is not known."""
        if self.open and "ignore_index" not in self.settings:
            return None
        value = self.settings.get("ignore_index", -100)
        return value if isinstance(value, int) else None

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


def known(shape: tuple[Dim, ...] | None) -> str:
    """A shape as it is shown."""
    return "?" if shape is None else "(" + ", ".join(str(d) if isinstance(d, int) else "…" for d in shape) + ")"


def at(tensor: Tensor) -> str:
    """Where a tensor got its kind."""
    return f" at {tensor.made}" if tensor.made is not None else ""
