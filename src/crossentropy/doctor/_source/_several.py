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
from crossentropy.doctor._source._values import Call, Choice, External, Layer, Tensor, Value

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
    return _once(doubtful(result)) if isinstance(result, Tensor) else result


def _joined(values: list[Value]) -> Value:
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
    right = _losses.RIGHT.get(x.kind, ())
    return not x.likely and not any(_loss_of(option) in right for option in several.options)


def _loss_of(option: Value) -> str:
    """The name of a loss of torch; empty for anything else."""
    if isinstance(option, Layer) and option.kind in _losses.CLASSES:
        return _losses.CLASSES[option.kind].name
    return option.name.rpartition(".")[2] if isinstance(option, External) else ""
