"""One of several functions, models or criteria is called: what holds of all of them holds of the call.

criterion = nn.CrossEntropyLoss(weight=w) if balanced else nn.CrossEntropyLoss()
loss = criterion(probabilities, labels)    # wrong on both ways: found
criterion = nn.BCELoss() if squashed else nn.BCEWithLogitsLoss()
loss = criterion(squashed_scores, labels)  # right on one, which is why there are two: not found
criterion = nn.CrossEntropyLoss() if hard else nn.MSELoss()
loss = criterion(probabilities, labels)    # wrong on one, and no other is made for such an input: likely
"""

from __future__ import annotations

from crossentropy.doctor._finding import Finding
from crossentropy.doctor._source import _losses
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._interpreter import Interpreter
from crossentropy.doctor._source._joins import doubtful, join
from crossentropy.doctor._source._report import Findings
from crossentropy.doctor._source._values import Call, Choice, External, Instance, Layer, Tensor, Unknown, Value

_SQUASHED = ("probabilities", "sigmoid", "log-probabilities")
_OF_INPUTS = ("-before-", "-into-")
"""What the rules are called that say that an input does not fit a loss."""


def attribute(run: Interpreter, several: Choice, name: str) -> Value:
    """An attribute of one of several objects."""
    return _joined([run.attribute(option, name) for option in several.options])


def call(run: Interpreter, several: Choice, arguments: Call) -> Value:
    """One of several functions is called; mistakes within one of them are found where it is followed alone."""
    if len(several.options) == 1:
        return doubtful(run.call(several.options[0], arguments))
    before = run.report.number
    results: list[Value] = []
    ways: list[Findings] = []
    for option in several.options:
        run.report.number = before  # of the losses only one is computed
        with run.report.apart() as found:
            results.append(run.call(option, arguments))
        ways.append(found)
    if run.report.listens:
        run.report.several(ways, lambda finding: _is_likely(finding, several, arguments))
    result = _joined(results)
    if all(map(_is_model, several.options)):
        result = _activated(result, results)
    return _once(doubtful(result)) if isinstance(result, Tensor) else result


def _is_model(option: Value) -> bool:
    return isinstance(option, Instance) or (isinstance(option, Layer) and option.kind == "Sequential")


def _activated(result: Value, results: list[Value]) -> Value:
    """What one of several models squashes is squashed where it is that model."""
    if isinstance(result, (tuple, list)) and all(type(other) is type(result) for other in results):
        return type(result)(_activated(*item) for item in zip(result, map(list, zip(*results))))
    if isinstance(result, dict) and all(isinstance(other, dict) for other in results):
        return {
            key: _activated(value, [other[key] for other in results if key in other]) for key, value in result.items()
        }
    tensors = [value for value in results if isinstance(value, Tensor)]
    kinds = {tensor.kind for tensor in tensors} & set(_SQUASHED)
    if len(kinds) != 1 or not isinstance(result, (Tensor, Unknown)) or (isinstance(result, Tensor) and result.kind):
        return result
    first = next(tensor for tensor in tensors if tensor.kind in kinds)
    rest = result if isinstance(result, Tensor) else Tensor()
    return rest.to(kind=first.kind, made=first.made, axis=first.axis, normal=first.normal, count=first.count,
                   graph=first.graph, likely=True)  # fmt: skip


def _joined(values: list[Value]) -> Value:
    if all(isinstance(value, dict) for value in values):  # an entry that only some have is there where it is used
        keys = dict.fromkeys(key for value in values for key in value)
        return {key: _joined([value[key] for value in values if key in value]) for key in keys}
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result


def _once(loss: Tensor) -> Tensor:
    """A loss that consists of one of several computed at one place."""
    parts = {part.place: part for part in loss.parts}
    return loss if len(parts) == len(loss.parts) else loss.to(parts=frozenset(parts.values()))


def _is_likely(finding: Finding, several: Choice, arguments: Call) -> bool:
    """Whether a loss is the wrong one for its input, and none of the others is the right one."""
    place, x = arguments.place, as_tensor(arguments.get("input", 0))
    if (finding.path, finding.line) != (place.path, place.line) or not any(part in finding.rule for part in _OF_INPUTS):
        return False
    losses = {_loss_of(option) for option in several.options}
    if finding.rule == "softmax-before-bce" and "cross_entropy" in losses:
        return False  # where a binary loss is the other choice, there are two classes: then both are the same
    by_classes = x.count != 1 and losses == {"binary_cross_entropy", "cross_entropy"}  # a sigmoid fits two, never more
    fits_none = losses.isdisjoint(_losses.RIGHT.get(x.kind, ()))
    return not x.likely and (fits_none or (by_classes and finding.rule == "sigmoid-before-cross-entropy"))


def _loss_of(option: Value) -> str:
    """The name of a loss of torch; empty for anything else."""
    if isinstance(option, Layer) and option.kind in _losses.CLASSES:
        return _losses.CLASSES[option.kind].name
    return option.name.rpartition(".")[2] if isinstance(option, External) else ""
