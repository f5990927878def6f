"""What was found: data, which the renderers of `_output` print."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from crossentropy.doctor.rules import CONFIDENCES, Confidence


@dataclass(frozen=True, order=True)
class Finding:
    """One mistake at one place."""

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

    def __str__(self) -> str:
        cell = "" if self.cell is None else f"cell {self.cell}:"
        return f"{self.path}:{cell}{self.line}:{self.column}: {self.rule} ({self.confidence}) {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON holds it."""
        fields = ("rule", "path", "line", "column", "confidence", "message", "fix")
        return {name: getattr(self, name) for name in fields} | ({} if self.cell is None else {"cell": self.cell})


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
