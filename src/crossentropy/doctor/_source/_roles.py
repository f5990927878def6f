"""What the names of arguments say of them: a target that is given where the prediction belongs, or the reverse.

F.binary_cross_entropy_with_logits(gt_mask, pred_mask)    # torch takes the prediction first
loss_of(logits, labels)                                   # of a function that is defined as loss_of(labels, logits)
"""

from __future__ import annotations

import ast
import re

from crossentropy.doctor._source import _losses
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._report import Report
from crossentropy.doctor._source._values import Bound, Call, Choice, External, Function, Layer, Value

_TARGETS = frozenset({"gt", "gts", "target", "targets", "tgt", "label", "labels", "truth", "groundtruth", "gold"})
_PREDICTIONS = frozenset({"pred", "preds", "prediction", "predictions", "predicted", "output", "outputs", "logit",
                          "logits"})  # fmt: skip
_DATA = frozenset({"image", "images", "img", "mask", "masks"})
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_LOSS = re.compile(r"loss|criterion|entropy", re.IGNORECASE)
_DIRECTED = ("cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits")
_MODELS = ("logits", "probabilities", "sigmoid", "log-probabilities", "relu")


def examine(report: Report, node: ast.Call, function: Value, call: Call) -> None:
    """A call of a loss of torch, or of a function that computes one."""
    if len(node.args) < 2 or any(isinstance(argument, ast.Starred) for argument in node.args):
        return
    first, second = node.args[:2]
    method = function.method if isinstance(function, Bound) else function
    if isinstance(method, Function):
        _crossed(report, node, method, call, skipped=int(isinstance(function, Bound)))
    elif (loss := _loss_of(function)) and _are_swapped(loss, _words(first), _words(second), call):
        text = f"{_shown(first)}, is the target and the second, {_shown(second)}, the prediction: input first"
        report.add("swapped-arguments", call.place, f"by their names the first argument of {loss}, {text}", "likely")


def _are_swapped(loss: str, first: frozenset[str], second: frozenset[str], call: Call) -> bool:
    x, y = map(as_tensor, call.args[:2])
    of_model = x.caller is not None and x.caller.called
    if of_model or x.graph or x.kind in _MODELS or (y.kind and y.kind not in _MODELS):
        return False
    of_second = bool(first & _TARGETS) and first - _TARGETS == second  # target_scores, scores
    if loss == "kl_div":
        return of_second
    return loss in _DIRECTED and (of_second or (_role(first) == "target" and _role(second) == "prediction"))


def _crossed(report: Report, node: ast.Call, function: Function, call: Call, skipped: int) -> None:
    """A target is given for a prediction, and a prediction for a target."""
    if not _LOSS.search(function.name):
        return
    names = [argument.arg for argument in function.node.args.args[skipped:]]
    pairs = [(name, _role(_split(name)), _role(_words(given))) for name, given in zip(names, node.args)]
    wrong = [(name, takes, gets) for name, takes, gets in pairs if takes and gets and takes != gets]
    if {takes for _, takes, _ in wrong} == {"target", "prediction"} and not any(
        takes == gets for _, takes, gets in pairs if takes
    ):
        text = " and ".join(f"a {gets} for {name!r}" for name, _, gets in wrong)
        report.add("swapped-arguments", call.place, f"by their names {function.name} is given {text}", "likely")


def _loss_of(function: Value) -> str:
    """The name of a loss of torch, if it is one."""
    if isinstance(function, Choice):
        found = {_loss_of(option) for option in function.options}
        return next((name for name in found if name == "kl_div"), "") or (found.pop() if len(found) == 1 else "")
    if isinstance(function, Layer) and function.name.startswith("torch.nn.") and function.kind in _losses.CLASSES:
        return _losses.CLASSES[function.kind].name
    last = function.name.rpartition(".")[2] if isinstance(function, External) else ""
    return last if last in _losses.FUNCTIONS and function.name.startswith("torch.nn.functional.") else ""


def _role(words: frozenset[str]) -> str:
    target, prediction = bool(words & _TARGETS), bool(words & _PREDICTIONS)
    return "" if target is prediction else "target" if target else "prediction"


def is_prediction(name: str) -> bool:
    """Whether a name is one of what a model gives."""
    return _role(_split(name)) == "prediction"


def is_given(name: str) -> bool:
    """Whether a name is one of what data give: targets, images, masks."""
    return _role(_split(name)) == "target" or bool(_split(name) & _DATA)


def _words(node: ast.expr) -> frozenset[str]:
    """The words that a value is called by: x.y["z"].log() by those of x, y and z."""
    if isinstance(node, ast.Name):
        return _split(node.id)
    if isinstance(node, ast.Attribute):
        return _words(node.value) | (_split(node.attr) if node.attr != "data" else frozenset())
    if isinstance(node, ast.Subscript):
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        return _words(node.value) | (_split(key) if isinstance(key, str) else frozenset())
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        of_module = isinstance(node.func.value, ast.Name) and node.func.value.id in ("torch", "F", "np", "nn")
        return _words(node.args[0]) if of_module and node.args else _words(node.func.value)
    return frozenset()


def _split(name: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(name))


def _shown(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 40 else "…"
