"""Names of what is not read: several names of the same thing, and constants."""

from __future__ import annotations

import ast
import math
import re

from crossentropy.doctor._knowledge._loss_call import ALIKE, OF_TEACHERS
from crossentropy.doctor._source._values import External, Value

_CONSTANTS: dict[str, Value] = {
    "torch.inf": math.inf, "numpy.inf": math.inf, "math.inf": math.inf, "math.pi": math.pi, "math.e": math.e,
    "numpy.pi": math.pi, "torch.pi": math.pi, "torch.nan": math.nan, "numpy.newaxis": None, "numpy.nan": math.nan,
}  # fmt: skip
_OURS = re.compile(r"^crossentropy\.(?:nn\.|functional\.)?(\w+)$")
_OUR_FUNCTIONS = ("softmax", "log_softmax", "nll_loss", "cross_entropy", "linear_cross_entropy", "kl_div",
                  "binary_cross_entropy", "binary_cross_entropy_with_logits", *ALIKE, *OF_TEACHERS)  # fmt: skip
_OUR_CLASSES = ("Softmax", "LogSoftmax", "NLLLoss", "CrossEntropyLoss", "LinearCrossEntropyLoss",
                "KLDivLoss", "BCELoss",
                "BCEWithLogitsLoss", "FocalLoss", "Poly1Loss", "GeneralizedCrossEntropyLoss", "CosineCrossEntropyLoss",
                "KLDivWithLogitsLoss", "JSDivWithLogitsLoss", "LinearKLDivLoss", "LinearJSDivLoss")  # fmt: skip


def canonical(name: str) -> str:
    """The name under which torch documents something."""
    if name.startswith("torch.nn.modules."):
        return f"torch.nn.{name.rpartition('.')[2]}"
    if name.startswith("torch.functional."):
        return f"torch.nn.{name[6:]}"
    if name.startswith("crossentropy.") and (match := _OURS.match(name)):
        if match[1] in _OUR_FUNCTIONS:
            return f"torch.nn.functional.{match[1]}"
        if match[1] in _OUR_CLASSES:
            return f"torch.nn.{match[1]}"
    return name


def constant(name: str) -> Value:
    """A member of a module that is not read."""
    return _CONSTANTS.get(name, External(name))


def used_in(node: ast.AST) -> set[str]:
    """The names that are used in a definition; remembered in its node."""
    known = getattr(node, "_used", None)
    if known is None:
        parts = [part for part in ast.walk(node) if isinstance(part, (ast.Name, ast.Attribute))]
        known = {part.id if isinstance(part, ast.Name) else part.attr for part in parts}
        node._used = known  # type: ignore[attr-defined]
    return known
