"""Keywords that a function does not have: what they are called here."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

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

_ELSEWHERE = {
    "pos_weight": "it is of binary_cross_entropy_with_logits; here weight has a number for each class, of two "
    "torch.tensor([1.0, pos_weight])",
    "from_logits": "input holds logits, always",
    "num_classes": "it is the size of the class axis of input",
    "temperature": "it is logit_scale=1 / temperature",
}
"""What arguments of others are replaced by, if not by one argument."""

_Function = TypeVar("_Function", bound=Callable[..., object])


class Signature:
    """The names of a function's arguments, to which calls are compared before Python does so."""

    def __init__(self, function: Callable[..., object]) -> None:
        parameters = {name: p for name, p in inspect.signature(function).parameters.items() if name != "self"}
        self._function = function
        self.known: frozenset[str] = frozenset(parameters)
        self.positional: tuple[str, ...] = tuple(
            name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD
        )
        self.required: tuple[str, ...] = tuple(name for name, p in parameters.items() if p.default is p.empty)
        self.most: int = len(self.positional)

    def check(self, args: Sequence[object], kwargs: Iterable[str], made_by: type | None = None) -> None:
        """A call gives each argument that is needed, each once, and no other. `made_by` is a called loss's class."""
        for name in kwargs:
            if name not in self.known:
                raise ArgumentTypeError(f"{self._name()}() has no argument {name!r}{self._hint(name, made_by)}")
            if name in self.positional[: len(args)]:
                raise ArgumentTypeError(f"{self._name()}() was given {name} twice: by position, and by keyword")
        if len(args) > self.most:
            raise ArgumentTypeError(
                f"{self._name()}() was given {len(args)} arguments by position, expected at most {self.most}: "
                f"{', '.join(self.positional)} — "
                + (f"settings are for {made_by.__name__}(…)" if made_by else "give what follows by keyword")
            )
        for name in self.required[len(args) :]:
            if name not in kwargs:
                raise ArgumentTypeError(f"{self._name()}() was not given {name}, expected {', '.join(self.required)}")

    def _name(self) -> str:
        return self._function.__qualname__.removesuffix(".__init__")

    def _hint(self, name: str, made_by: type | None) -> str:
        if made_by is not None and name in inspect.signature(made_by).parameters:
            return f" — it is a setting, for {made_by.__name__}(…)"
        names = [
            known for known in inspect.signature(self._function).parameters if known in self.known and known[0] != "_"
        ]
        if _SYNONYMS.get(name) in names:
            return f" — it is {_SYNONYMS[name]} here"
        if name in _ELSEWHERE:
            return f" — {_ELSEWHERE[name]}"
        close = difflib.get_close_matches(name, names, 1)
        return f" — is it {close[0]}?" if close else f": it takes {', '.join(names)}"


def hinting(function: _Function) -> _Function:
    """Let a function, or a method, say what is wrong with a call of it: an argument too many, too few or unknown."""
    signature = Signature(function)
    bound = "self" in inspect.signature(function).parameters
    called = bound and function.__name__ != "__init__"

    @functools.wraps(function)
    def hinted(*args, **kwargs):  # noqa: ANN002, ANN003, ANN202 (those of the function)
        signature.check(args[bound:], kwargs, type(args[0]) if called else None)
        return function(*args, **kwargs)

    return hinted  # pyright: ignore[reportReturnType]
