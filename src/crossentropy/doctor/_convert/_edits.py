"""Edits: spans of a text and what replaces them, so that whatever no edit names survives to the byte."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import libcst as cst


@dataclass(frozen=True, order=True)
class Edit:
    """Bytes of the source, in UTF-8, and their replacement."""

    start: int
    end: int
    text: str = ""


@dataclass(frozen=True)
class Proposal:
    """A rewrite: edits that are made together or not at all."""

    at: cst.CSTNode
    rule: str
    description: str
    """What it does to the value of the loss, and how."""
    edits: tuple[Edit, ...]
    safe: bool = True
    imports: frozenset[Edit] = field(default=frozenset())
    """Of packages that the new text names; other rewrites may need them as well."""
    restored: tuple[cst.CSTNode, ...] = ()
    """Where an activation that was taken away is put back."""
    saved: tuple[cst.CSTNode, ...] = ()
    """Where a model that has lost its activation is saved as a whole, for whoever loads it."""


class Refused(Exception):  # noqa: N818 (no error: a rule declines)
    """A rule declines, and says why, and what would have to be known."""

    def __init__(self, at: cst.CSTNode, reason: str, question: str = "") -> None:
        super().__init__(reason)
        self.at = at
        self.reason = reason
        self.question = question
        """Whose answer would decide it; none if there is nothing to decide, but something to do."""
        self.rule = ""
        self.loss: cst.CSTNode | None = None
        """The loss that stays as it is, if the reason lies elsewhere."""


def attempt(
    rule: Callable[[], Proposal | None], name: str = "", loss: cst.CSTNode | None = None
) -> Iterator[Proposal | Refused]:
    """What a rule proposes, or why it declines, or nothing."""
    try:
        proposal = rule()
    except Refused as refused:
        refused.rule, refused.loss = name, loss
        yield refused
    else:
        if proposal is not None:
            yield proposal


def apply(source: bytes, edits: Iterable[Edit]) -> bytes:
    """The source with the edits made, which must not overlap."""
    pieces, end = [], 0
    for edit in sorted(edits):
        pieces += [source[end : edit.start], edit.text.encode()]
        end = edit.end
    return b"".join([*pieces, source[end:]])


def overlap(edits: Iterable[Edit]) -> bool:
    """Whether some edits share text, or would be put at one place in an order that nobody has chosen."""
    ordered = sorted(set(edits))
    return any(after.start < before.end or after.start == before.start for before, after in pairwise(ordered))


def origin(offset: int, history: Sequence[Sequence[Edit]]) -> int:
    """Where the text at an offset was before all edits: for new text, where that was put in."""
    for edits in reversed(history):
        offset = _before(offset, sorted(edits))
    return offset


def _before(offset: int, edits: Sequence[Edit]) -> int:
    shift = 0
    for edit in edits:
        start, length = edit.start + shift, len(edit.text.encode())
        if offset < start:
            break
        if offset < start + length:
            return edit.start
        shift += length - (edit.end - edit.start)
    return offset - shift
