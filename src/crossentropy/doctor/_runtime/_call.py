"""One call of a loss, with its tensors."""

from typing import Any, NamedTuple

from torch import Tensor

from crossentropy._targets import long
from crossentropy._tensors import INTEGERS
from crossentropy.doctor._runtime._trace import Place, Trace


class Call(NamedTuple):
    """One call of a loss, with its arguments by torch's names; those of a teacher are the target."""

    loss: str
    arguments: dict[str, Any]
    input: Trace
    target: Trace
    place: Place | None
    weighing: Trace
    """Of the class weights; of the input where there are none."""
    name: str = ""
    """What the loss is called, where it is one like `loss`."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return self.arguments.get(name)

    @property
    def x(self) -> Tensor:
        """The input, or the student's log-probabilities."""
        return self.arguments["input"]

    @property
    def y(self) -> Tensor:
        """The target; labels of any integers as int64: −100 is 156 in uint8, which may be a class."""
        target = self.arguments["target"]
        return long(target) if target.dtype in INTEGERS else target


def class_axis(call: Call) -> int:
    if call.loss == "linear_cross_entropy":
        return call.x.dim() - 1
    return 0 if call.x.dim() == 1 else 1


def num_classes(call: Call) -> int:
    return call.x.shape[class_axis(call)] if call.loss != "linear_cross_entropy" else call.linear_weight.shape[0]


def ignored_label(call: Call) -> int:
    return -100 if call.ignore_index is None else call.ignore_index


def place_of(trace: Trace) -> str:
    return "" if trace.place is None else f" at {trace.place}"
