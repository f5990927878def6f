"""Where tensors come from: every call of torch that made one, remembered for as long as the tensor lives.

While a program is watched, each call of a torch function leaves a `Trace` of its result: the operation, the user's
place, and the traces of what went in. What fed a loss is then read off by following traces through operations
that only move numbers (views, permutations, casts, cats) to the one that made them. Where a tensor has no trace,
because it was made out of Python's sight, its autograd graph says the same.
"""

import os
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from crossentropy import _torch
from crossentropy.doctor._finding import Place as FindingPlace
from crossentropy.doctor._knowledge._axes import Mask, Picked
from crossentropy.doctor._knowledge._binding import bound
from crossentropy.doctor._knowledge._operations import MOVES, canonical


@dataclass(frozen=True)
class Place(FindingPlace):
    """A line of the user's code, shown by the name of its file."""

    def __str__(self) -> str:
        return f"{Path(self.path).name}:{self.line}"


@dataclass(eq=False)
class Trace:
    """What made a tensor."""

    op: str
    place: Place | None
    parents: tuple["Trace", ...] = ()
    shape: tuple[int, ...] = ()
    arguments: dict[str, Any] = field(default_factory=dict)
    """Numbers and strings among the arguments, by torch's names; by position where those are not known."""
    requires_grad: bool = False
    depth: int = 0
    """How many operations are behind it, on the longest path that is remembered."""

    def __post_init__(self) -> None:
        self.depth = 1 + max((parent.depth for parent in self.parents), default=0)
        if self.depth > _DEEPEST:  # what is updated in each step would remember all steps
            self.parents, self.depth = (), 1

    def back(self) -> "Trace":
        """The operation that made the numbers: this one, or what comes before moves."""
        trace = self
        while trace.op in MOVES and trace.parents:
            trace = trace.parents[0]
        return trace


_DEEPEST = 1000


class Traces:
    """The traces of tensors that are alive."""

    def __init__(self) -> None:
        self._traces: dict[int, tuple[weakref.ref[Tensor], Trace]] = {}

    def __getitem__(self, tensor: Tensor) -> Trace:
        found = self._traces.get(id(tensor))
        if found is not None and found[0]() is tensor:
            return found[1]
        return of_graph(tensor)

    def __setitem__(self, tensor: Tensor, trace: Trace) -> None:
        key = id(tensor)
        self._traces[key] = (weakref.ref(tensor, lambda _: self._traces.pop(key, None)), trace)

    def record(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any], result: object
    ) -> None:
        """Remember what made the tensors of a result."""
        made = [t for t in _tensors(result) if isinstance(t, Tensor)]
        if not made:
            return
        name = function.__name__.partition(".")[0]  # operators of compilers are named softmax.int
        if name in ("__get__", "__set__"):
            name = getattr(getattr(function, "__self__", None), "__name__", name)
        inputs = [self[t] for t in _tensors((arguments, tuple(keywords.values())))]
        plain = {key: x for key, x in bound(name, arguments, keywords).items() if _plain(x)}
        if name == "__getitem__" and (index := _index(arguments[1])) is not None:
            plain["indices"] = index
        place = users_place(sys._getframe(1))
        for tensor in made:
            if self._is_updated(tensor, arguments):
                continue
            shape = _shape(tensor)
            self[tensor] = Trace(canonical(name), place, tuple(inputs), shape, plain, tensor.requires_grad)

    def _is_updated(self, tensor: Tensor, arguments: tuple[Any, ...]) -> bool:
        """Whether a parameter was changed in place: it is as before what nothing made."""
        if not arguments or tensor is not arguments[0] or not tensor.requires_grad:
            return False
        _, before = self._traces.get(id(tensor), (None, None))
        if before is None:
            return isinstance(tensor, torch.nn.Parameter)
        return before.requires_grad and not any(parent.requires_grad for parent in before.parents)


def _tensors(x: object) -> Iterator[Tensor]:
    if isinstance(x, Tensor):
        yield x
    elif isinstance(x, (tuple, list)):
        for part in x:
            yield from _tensors(part)
    elif isinstance(x, dict):
        yield from _tensors(tuple(x.values()))


def _shape(tensor: Tensor) -> tuple[int, ...]:
    try:
        return tuple(tensor.shape)
    except RuntimeError:  # of nested tensors, and parameters of lazy modules
        return ()


def _plain(x: object) -> bool:
    if isinstance(x, (tuple, list)):
        return all(isinstance(part, (int, float, str, slice, type(None), type(Ellipsis))) for part in x)
    return isinstance(x, (int, float, str, bool, slice, type(Ellipsis), torch.dtype)) or x is None


def _index(key: object) -> tuple[object, ...] | None:
    """An index, with the shapes of tensors and lists in their place; None where it holds something else."""
    parts = tuple(map(_part, key if isinstance(key, tuple) else (key,)))
    return None if NotImplemented in parts else parts


def _part(key: object) -> object:
    if isinstance(key, Tensor):
        return Mask(key.dim()) if key.dtype in (torch.bool, torch.uint8) else Picked(_shape(key))
    if isinstance(key, list) and all(type(item) is int for item in key):
        return Picked((len(key),))
    plain = key is None or key is Ellipsis or isinstance(key, slice) or type(key) is int
    return key if plain else NotImplemented


# --- places -------------------------------------------------------------------------------------------------------

LIBRARIES = (str(Path(torch.__file__).parent) + os.sep, str(Path(__file__).parents[2]) + os.sep)
_INSTALLED = ("site-packages", "dist-packages", f"{sys.base_prefix}{'/' if '/' in sys.base_prefix else chr(92)}lib")


def users_place(frame: FrameType | None) -> Place | None:
    """The innermost line outside torch and this package; one outside installed packages, if there is any."""
    first: Place | None = None
    while frame is not None:
        path = frame.f_code.co_filename
        dispatch = frame.f_code.co_name == "__torch_function__"  # of a mode of the program
        if not dispatch and not path.startswith((*LIBRARIES, "<frozen", "<eval_with_key")):
            place = Place(path, frame.f_lineno)
            first = first or place
            if not any(part in path for part in _INSTALLED):
                return place
        frame = frame.f_back
    return first


def called_by_user() -> bool:
    """Whether the torch function that is being handled was called by the program itself, not by torch."""
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith(LIBRARIES[1]) and Path(path).name not in ("overrides.py", "_tensor.py", "contextlib.py"):
            return not path.startswith(LIBRARIES[0])
        frame = frame.f_back
    return False


# --- graphs -------------------------------------------------------------------------------------------------------

_NODES = {
    "SoftmaxBackward": "softmax", "LogSoftmaxBackward": "log_softmax", "SigmoidBackward": "sigmoid",
    "ReluBackward": "relu", "LogBackward": "log", "ExpBackward": "exp", "ViewBackward": "view",
    "UnsafeViewBackward": "view", "ReshapeAliasBackward": "view", "TransposeBackward": "transpose",
    "PermuteBackward": "permute", "TBackward": "t", "CloneBackward": "clone", "ToCopyBackward": "to",
    "SqueezeBackward": "squeeze", "UnsqueezeBackward": "unsqueeze", "SelectBackward": "select",
    "SliceBackward": "__getitem__", "IndexBackward": "__getitem__", "CatBackward": "cat", "StackBackward": "stack",
    "ExpandBackward": "expand", "AliasBackward": "view", "LogSigmoidBackward": "logsigmoid",
}  # fmt: skip


def of_graph(tensor: Tensor) -> Trace:
    """The trace that an autograd graph tells, of a tensor that was made out of sight."""
    trace = Trace("", None, (), _shape(tensor), {}, tensor.requires_grad)
    try:
        node = tensor.grad_fn
    except RuntimeError:  # of a view that another view was written to
        node = None
    return trace if node is None else _of_node(node, trace.shape, 0)


def _of_node(node: Any, shape: tuple[int, ...], depth: int) -> Trace:  # noqa: ANN401 (a node of autograd)
    name = type(node).__name__.rstrip("0123456789")
    op, arguments = _NODES.get(name, name), {}
    if name == "CompiledFunctionBackward":  # which says nothing of what was compiled
        return Trace("", None, (), shape, {}, True)
    if op in ("softmax", "log_softmax"):
        dim = _torch.saved(node, "dim")
        if dim is None:
            return Trace("", None, (), shape, {}, True)
        arguments = {"dim": dim - 2**64 if dim >= 2**63 else dim}
    parents = [parent for parent, _ in node.next_functions if parent is not None]
    if depth > 64 or op == name:  # enough is known: something else made the numbers
        return Trace(op, None, (), shape, arguments, True)
    inner = tuple(_torch.saved(node, "self_sym_sizes") or ()) if op == "view" else ()
    return Trace(op, None, tuple(_of_node(p, inner, depth + 1) for p in parents), shape, arguments, True)
