"""Keywords that a function does not have: what they are called here."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
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

_Function = TypeVar("_Function", bound=Callable[..., object])


def check_keywords(function: Callable[..., object], given: Iterable[str], known: frozenset[str]) -> None:
    """All keywords that are given are known."""
    for name in given:
        if name not in known:
            raise ArgumentTypeError(
                f"{function.__qualname__.removesuffix('.__init__')}() has no argument {name!r}{_hint(name, function)}"
            )


def keywords(function: Callable[..., object]) -> frozenset[str]:
    """The names of a function's arguments."""
    return frozenset(inspect.signature(function).parameters)


def hinting(function: _Function) -> _Function:
    """Let a function say what a keyword that it does not have is called."""
    known = keywords(function)

    @functools.wraps(function)
    def hinted(*args, **kwargs):  # noqa: ANN002, ANN003, ANN202 (those of the function)
        check_keywords(function, kwargs, known)
        return function(*args, **kwargs)

    return hinted  # pyright: ignore[reportReturnType]


def _hint(name: str, function: Callable[..., object]) -> str:
    names = [known for known in inspect.signature(function).parameters if known != "self" and known[0] != "_"]
    if _SYNONYMS.get(name) in names:
        return f" — it is {_SYNONYMS[name]} here"
    close = difflib.get_close_matches(name, names, 1)
    return f" — is it {close[0]}?" if close else f": it takes {', '.join(names)}"
