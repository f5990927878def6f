"""Options that a program is started with, and what it does where others are given than the defaults.

parser.add_argument("--net", default="plain")
net = Squashed() if args.net == "squashed" else Plain()    # followed with Plain, and then again with Squashed
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from crossentropy.doctor._finding import Finding
from crossentropy.doctor._source._values import SettingFlag, SettingText, Value, option
from crossentropy.doctor.rules import RULES

MOST = 6
"""Ways besides that of the defaults that one program is followed on."""
_OF_INPUTS = ("-before-", "-into-", "-on-probabilities")
"""What the rules are called that say that an input does not fit a loss."""


class Options:
    """The options of a program that is followed."""

    def __init__(self) -> None:
        self.chosen: tuple[str, Value] | None = None
        """The one that is not as its default has it."""
        self._others: dict[tuple[str, Value], None] = {}

    def read(self, value: Value) -> Value:
        """What an option is, where it is read."""
        return self.chosen[1] if self.chosen is not None and _name(value) == self.chosen[0] else value

    def compared(self, value: Value, others: Iterable[Value]) -> None:
        """An option is compared with other values that it may have."""
        name = _name(value)
        if name and self.chosen is None:
            plain = str if isinstance(value, SettingText) else bool
            self._others.update(((name, other), None) for other in others if type(other) is plain and other != value)

    @contextmanager
    def ways(self) -> Iterator[list[tuple[str, Value]]]:
        """Follow a program with its defaults; the options that it was seen to have besides are then in the list."""
        before, self._others = self._others, {}
        ways: list[tuple[str, Value]] = []
        yield ways
        if self.chosen is None:
            ways += list(self._others)[:MOST]
        self._others = before


def named(name: str, default: Value) -> Value:
    """A default that knows of which option it is, if that is a text or a flag."""
    value = option(default)
    if isinstance(value, (SettingText, SettingFlag)) and isinstance(default, (str, bool)):
        value = type(value)(value)
        value.option = name
    return value


def _name(value: Value) -> str:
    return value.option if isinstance(value, (SettingText, SettingFlag)) else ""


def of_way(finding: Finding, way: tuple[str, Value]) -> Finding | None:
    """What is found with an option: that an input does not fit its loss, likely, if it hangs on no other."""
    if not any(part in finding.rule for part in _OF_INPUTS):
        return None
    if finding.confidence != "certain" and not RULES[finding.rule].harmless:
        return None
    confidence = "likely" if finding.confidence == "certain" else finding.confidence
    message = f"{finding.message} (where the option {way[0]} is {way[1]!r})"
    return replace(finding, confidence=confidence, message=message)
