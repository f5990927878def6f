"""Calls with an argument too many, too few or unknown: what is wrong, and what an argument is called here."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import TypeVar, cast

from torch.overrides import handle_torch_function, has_torch_function

from crossentropy._errors import ArgumentTypeError

_SYNONYMS = {
    "bias": "linear_bias",
    "head": "linear_weight",
    "w": "linear_weight",
    "lm_head": "linear_weight",
    "hidden": "input",
    "hidden_states": "input",
    "logits": "input",
    "x": "input",
    "y": "target",
    "labels": "target",
    "label": "target",
    "class_weight": "weight",
    "class_weights": "weight",
    "sample_weight": "token_weight",
    "sample_weights": "token_weight",
    "num_items_in_batch": "denominator",
    "n_tokens": "denominator",
    "padding_idx": "ignore_index",
    "pad_token_id": "ignore_index",
    "smoothing": "label_smoothing",
    "lse_square_scale": "z_loss",
    "z_loss_weight": "z_loss",
    "logit_softcapping": "softcap",
    "final_logit_softcapping": "softcap",
    "scale": "logit_scale",
    "T": "temperature",
    "axis": "dim",
    "dtype": "out_dtype",
}
"""What other libraries, and people, call these arguments."""

_MADE_OF = {
    "pos_weight": (
        "weight",
        "it is of binary_cross_entropy_with_logits; here weight has a number for each class, of two "
        "torch.tensor([1.0, pos_weight])",
    ),
    "temperature": ("logit_scale", "it is logit_scale=1 / temperature here"),
}
"""Of arguments of others that are not an argument by another name: the one they are made into, and how."""

_Function = TypeVar("_Function", bound=Callable[..., object])


class Signature:
    """The names of a function's arguments, to which calls are compared before Python does so."""

    def __init__(self, function: Callable[..., object]) -> None:
        parameters = {name: p for name, p in inspect.signature(function).parameters.items() if name != "self"}
        by_position = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
        self._name: str = function.__qualname__.removesuffix(".__init__").removesuffix(".__call__")
        self._order: dict[str, int] = {name: place for place, name in enumerate(parameters)}
        self._by_position: tuple[str, ...] = tuple(by_position)
        self._most: int = len(by_position)
        self._needed: tuple[str, ...] = tuple(name for name, p in parameters.items() if p.default is p.empty)

    def check(self, count: int, kwargs: Iterable[str]) -> None:
        """A call by position, of so many, and by keyword gives each argument that is needed, once, and no other."""
        if count > self._most:
            raise ArgumentTypeError(
                f"{self._name}() was given {count} arguments by position, expected at most {self._most}: "
                f"{', '.join(self._by_position)} — give what follows by keyword"
            )
        for name in kwargs:
            if self._order.get(name, -1) < count:
                if name in self._order:
                    raise ArgumentTypeError(f"{self._name}() was given {name} twice: by position, and by keyword")
                raise ArgumentTypeError(f"{self._name}() has no argument {name!r}{self._hint(name)}")
        for name in self._needed[count:]:
            if name not in kwargs:
                raise ArgumentTypeError(f"{self._name}() was not given {name}, expected {', '.join(self._needed)}")

    def _hint(self, name: str) -> str:
        names = [known for known in self._order if known[0] != "_"]
        if _SYNONYMS.get(name) in names:
            return f" — it is {_SYNONYMS[name]} here"
        becomes, how = _MADE_OF.get(name, ("", ""))
        if becomes in names:
            return f" — {how}"
        close = difflib.get_close_matches(name, names, 1)
        return f" — is it {close[0]}?" if close else f": it takes {', '.join(names)}"


def hinting(function: _Function) -> _Function:
    """Let a function, or a method, say what is wrong with a call of it: an argument too many, too few or unknown.

    Not for the forward of modules, whose code torch.fx changes when it traces them.
    """
    signature = Signature(function)
    bound = "self" in inspect.signature(function).parameters

    @functools.wraps(function)
    def hinted(*args, **kwargs):  # noqa: ANN002, ANN003, ANN202 (those of the function)
        signature.check(len(args) - bound, kwargs)
        return function(*args, **kwargs)

    return hinted  # pyright: ignore[reportReturnType]


def overridable(function: _Function) -> _Function:
    """The same, for a function that tensor subclasses and tracers among its arguments override, as torch's own."""
    signature = Signature(function)

    @functools.wraps(function)
    def overridden(*args, **kwargs):  # noqa: ANN002, ANN003, ANN202 (those of the function)
        signature.check(len(args), kwargs)
        relevant = (*args, *kwargs.values()) if kwargs else args
        if has_torch_function(relevant):
            return handle_torch_function(overridden, relevant, *args, **kwargs)
        return function(*args, **kwargs)

    return cast(_Function, overridden)
