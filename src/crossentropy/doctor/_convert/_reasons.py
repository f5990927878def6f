"""Why a loss that the doctor has something to say of stays as it is."""

from collections.abc import Mapping
from typing import NamedTuple

import libcst as cst

from crossentropy.doctor._convert._activated import Group
from crossentropy.doctor._convert._edits import Refused
from crossentropy.doctor._convert._file import File
from crossentropy.doctor._convert._flow import Objects
from crossentropy.doctor._convert._losses import Loss, losses
from crossentropy.doctor._convert._rewrites import REWRITES, Rewrite
from crossentropy.doctor._convert._script import Script


class Reason(NamedTuple):
    """Why a loss is not rewritten."""

    text: str
    question: str
    """Whose answer would decide it."""
    at: tuple[str, int]
    """Where the reason lies: file and line."""
    made: tuple[str, int]
    """Where the loss is made, of which a refusal may have said the same."""


class Reasons:
    """The reasons of some files, as they are after a conversion."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._script = Script([File(text, path) for path, text in sources.items()])
        self._objects = Objects(self._script)

    def of(self, rule: str, path: str, line: int) -> Reason | None:
        """Why the loss on a line is not rewritten by a rule; None if no rewrite is of that rule."""
        for rewrite in REWRITES:
            if rewrite.rule != rule:
                continue
            for loss in losses(self._script, self._objects, *rewrite.losses):
                calls = [call for call in (*loss.calls, loss.made) if self._is_at(call, path, line)]
                if calls:
                    return self._reason(rewrite, loss, calls[0])
            text = "the loss that is computed here is not made or called by its name in these files"
            return Reason(text, "Which loss can it be?", (path, line), (path, line))
        return None

    def _is_at(self, node: cst.CSTNode, path: str, line: int) -> bool:
        return self._script.place(self._script.span(node)[0])[:2] == (path, line)

    def _reason(self, rewrite: Rewrite, loss: Loss, call: cst.Call) -> Reason | None:
        group = Group(self._script, self._objects, rewrite)
        try:
            proposal = group.propose(loss)
        except Refused as refused:
            at, text, question = refused.at, refused.reason, refused.question
        else:
            if proposal is not None:
                return None
            nothing = (call, f"no {rewrite.kind} is in sight before this call of the loss")
            at, text = group.obstacle(call) or nothing
            question = f"What makes it: a {rewrite.kind}, and of what?"
        place, made = (self._script.place(self._script.span(node)[0]) for node in (at, loss.made))
        return Reason(text, question, place[:2], made[:2])
