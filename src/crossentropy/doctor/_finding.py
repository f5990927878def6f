"""What was found: data, which the renderers of `_output` print."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from crossentropy.doctor.rules import CONFIDENCES, Confidence


@dataclass(frozen=True)
class Place:
    """A place of a program."""

    path: str
    line: int
    """Counted from 1."""
    column: int = 1
    """Counted from 1."""
    cell: int | None = None
    """Of a notebook: its code cell, counted from 1; line and column are then those within the cell."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.cell is None else f"{self.path}, cell {self.cell}, line {self.line}"

    def to_dict(self) -> dict[str, Any]:
        """The place as JSON holds it."""
        named = {"path": self.path, "line": self.line, "column": self.column}
        return named if self.cell is None else {**named, "cell": self.cell}


@dataclass(frozen=True, order=True)
class Finding:
    """One mistake: where it shows first, and where else."""

    path: str
    line: int
    """Counted from 1."""
    column: int
    """Counted from 1."""
    rule: str
    confidence: Confidence
    message: str
    fix: str
    """A snippet, or what to do."""
    cell: int | None = None
    """Of a notebook: its code cell, counted from 1; line and column are then those within the cell."""
    cause: Place | None = field(default=None, compare=False)
    """What is to be changed, where that is not the place itself: an activation, or a criterion."""
    also: tuple[Place, ...] = field(default=(), compare=False)
    """Other places at which the same cause shows."""

    @property
    def place(self) -> Place:
        """Where it shows first."""
        return Place(self.path, self.line, self.column, self.cell)

    def __str__(self) -> str:
        cell = "" if self.cell is None else f"cell {self.cell}:"
        return f"{self.path}:{cell}{self.line}:{self.column}: {self.rule} ({self.confidence}) {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON holds it."""
        fields = ("rule", "path", "line", "column", "confidence", "message", "fix")
        more: dict[str, Any] = {} if self.cell is None else {"cell": self.cell}
        if self.cause is not None:
            more["cause"] = self.cause.to_dict()
        if self.also:
            more["also"] = [place.to_dict() for place in self.also]
        return {name: getattr(self, name) for name in fields} | more

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Finding":
        """A finding from what JSON holds of it."""
        cause, also = data.get("cause"), data.get("also", ())
        places = {"cause": cause and Place(**cause), "also": tuple(Place(**place) for place in also)}
        return cls(**data | places)


def by_cause(findings: Iterable[Finding]) -> list[Finding]:
    """The findings, sorted; those of one rule and one cause as one: the strongest, or else the one that came first."""
    groups: dict[object, list[Finding]] = {}
    for finding in findings:
        cause = finding.cause or finding.place
        groups.setdefault((finding.rule, cause.path, cause.cell, cause.line), []).append(finding)
    return sorted(_together(group) for group in groups.values())


def _together(group: list[Finding]) -> Finding:
    first = min(group, key=lambda finding: CONFIDENCES.index(finding.confidence))
    return replace(first, also=tuple(finding.place for finding in group if finding is not first))


def at_least(findings: Iterable[Finding], confidence: Confidence) -> Iterator[Finding]:
    """The findings of some confidence or a stronger one."""
    weakest = CONFIDENCES.index(confidence)
    return (finding for finding in findings if CONFIDENCES.index(finding.confidence) <= weakest)


@dataclass(frozen=True, order=True)
class Passed:
    """A file that was passed over, in whole or in part, or a folder."""

    path: str
    reason: str
    partly: bool = False
    """Whether it was examined in part; what was found there counts."""
    folder: bool = False
    """Whether it is a folder, of whose files nothing is known."""

    def __str__(self) -> str:
        return f"{self.path}: {'examined in part' if self.partly else 'passed over'}: {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """The file as JSON holds it."""
        return {"path": self.path, "reason": self.reason, "partly": self.partly}
