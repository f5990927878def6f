"""What a conversion is: the new text, what was changed, and what was not and why."""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass


class SourceError(ValueError):
    """The text cannot be read as Python."""

    def __init__(self, line: int, column: int, reason: str, path: str = "") -> None:
        super().__init__(f"{path + ': ' if path else ''}line {line}, column {column}: {reason}")
        self.path = path
        """Of the file, where there are several."""
        self.line = line
        """Counted from 1."""
        self.column = column
        """Counted from 1."""


@dataclass(frozen=True, order=True)
class Change:
    """One rewrite that was made. Places are those of the text that was given."""

    line: int
    """Counted from 1."""
    column: int
    """Counted from 1."""
    rule: str
    description: str
    """What it does to the value of the loss, and how."""
    safe: bool
    lines: tuple[int, ...]
    """All lines that it touches; those of new imports are where they were put in."""

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.rule}: {self.description}"

    def said_at(self, line: int) -> str:
        """What is said of it after some lines: all, or, where that was said already, which it is."""
        return self.description if line < min(self.lines) else f"{self.rule} of line {self.line}, as above"


@dataclass(frozen=True, order=True)
class Refusal:
    """One rewrite that was not made. The place is that of the text that was given."""

    line: int
    """Counted from 1."""
    column: int
    """Counted from 1."""
    rule: str
    """Empty where it is not known which rewrite it would have been."""
    reason: str
    """Why it would have been a guess, or what `unsafe` would do."""
    question: str = ""
    """Whose answer would decide it."""

    def __str__(self) -> str:
        rule = f"{self.rule}: " if self.rule else ""
        return f"{self.line}:{self.column}: {rule}{self.reason}{f'. {self.question}' if self.question else ''}"


@dataclass(frozen=True)
class Conversion:
    """A script converted."""

    original: str
    source: str
    changes: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    def diff(self, path: str, say: Callable[[str], str] = str) -> str:
        """The unified diff; the heading of each hunk says what it does to the loss. Empty if nothing changed.

        Args:
            path: Of the file.
            say: What says it in another language.
        """
        before, after = (_lines(text) for text in (self.original, self.source))
        matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
        hunks = [self._hunk(group, before, after, say) for group in matcher.get_grouped_opcodes() if before != after]
        name = path.lstrip("/")
        return f"--- a/{name}\n+++ b/{name}\n{''.join(hunks)}" if hunks else ""

    def line_before(self, line: int) -> int:
        """Where a line of the new text was in the text that was given; a new one, where it was put in."""
        return _moved(self.source, self.original, line)

    def line_after(self, line: int) -> int:
        """Where a line of the text that was given is in the new one."""
        return _moved(self.original, self.source, line)

    def _hunk(
        self,
        group: Sequence[tuple[str, int, int, int, int]],
        before: list[str],
        after: list[str],
        say: Callable[[str], str],
    ) -> str:
        (_, first, _, start, _), (_, _, last, _, end) = group[0], group[-1]
        touching = [change for change in self.changes if any(first < line <= last for line in change.lines)]
        effects = "; ".join(dict.fromkeys(say(change.said_at(first)) for change in touching))
        lines = [f"@@ -{_range(first, last)} +{_range(start, end)} @@ {effects}".rstrip() + "\n"]
        for kind, i, j, k, m in group:
            lines += [f" {line}" for line in before[i:j]] if kind == "equal" else [f"-{line}" for line in before[i:j]]
            lines += [] if kind == "equal" else [f"+{line}" for line in after[k:m]]
        return "".join(map(_ended, lines))


def _moved(text: str, other: str, line: int) -> int:
    """Where a line of a text is in another; where lines were replaced, at that which is most like it."""
    before, after = _lines(text), _lines(other)
    for kind, i, j, k, m in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if not i < line <= j:
            continue
        if kind == "equal":
            return k + line - i
        alike = [difflib.SequenceMatcher(None, before[line - 1], one).ratio() for one in after[k:m]]
        return k + 1 + (alike.index(max(alike)) if alike else 0)
    return line


def _range(start: int, end: int) -> str:
    """Lines from `start` on, counted from 0, as a diff writes them: the first, and how many."""
    count = end - start
    return f"{start + (count > 0)},{count}" if count != 1 else f"{start + 1}"


def _lines(text: str) -> list[str]:
    """Lines as diff counts them: str.splitlines would also part them at form feeds and other separators."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
