"""Change training scripts so that their loss is cross entropy: source to source, and nothing is run.

    _file, _tree, _modules, _script    the text read: places, parents, names, also of one file in another
    _reach, _flow               where a local value and an object come from and go to: certain, or unknown
    _edits                      what is replaced; all else survives to the byte
    the rewrites                _reductions, _logarithms, _activated, _handed, _one_hot, _divergences, _focal, _linear,
                                _package

A rewrite is made if it keeps the loss, or if `unsafe` allows it to change the loss. What would be a guess is refused.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import libcst as cst

from crossentropy.doctor._convert import (
    _activated,
    _divergences,
    _focal,
    _handed,
    _linear,
    _logarithms,
    _one_hot,
    _package,
    _reductions,
)
from crossentropy.doctor._convert._alignment import realigned
from crossentropy.doctor._convert._conversion import Change, Conversion, Refusal, SourceError
from crossentropy.doctor._convert._edits import Edit, Proposal, Refused, apply, origin, overlap
from crossentropy.doctor._convert._file import File, check
from crossentropy.doctor._convert._flow import Objects
from crossentropy.doctor._convert._reasons import Reasons
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._tree import JOINT, Place

__all__ = ["Change", "Conversion", "Reasons", "Refusal", "SourceError", "check", "convert", "convert_files"]

_BOM = "\ufeff"
_LOSS = re.compile("loss|entropy|kl_div|softmax", re.IGNORECASE)
"""What is in every text in which there is anything to rewrite."""


def convert(source: str, *, unsafe: bool = False, to_linear: bool = False, package: bool = True) -> Conversion:
    """Convert one script, as `convert_files` does."""
    return convert_files({"": source}, unsafe=unsafe, to_linear=to_linear, package=package)[""]


def convert_files(
    sources: Mapping[str, str],
    *,
    unsafe: bool = False,
    to_linear: bool = False,
    package: bool = True,
    rules: Collection[str] | None = None,
) -> dict[str, Conversion]:
    """Convert files that may import each other to cross entropy.

    Args:
        sources: The files by their paths, which tell what an import names.
        unsafe: Also make rewrites that change the value of the loss.
        to_linear: Also take the loss of a linear head from its input, without the logits.
        package: Also take the losses from crossentropy in place of torch.
        rules: The rewrites that may be made; all, if None.

    Returns:
        The new sources, what was changed and what was not. Converting those again changes nothing more.

    Raises:
        SourceError: A file is no Python, or nested too deeply to be read.
    """
    texts = {path: source.removeprefix(_BOM) for path, source in sources.items()}
    for path, text in texts.items():
        check(text, path)
    if not any(map(_LOSS.search, texts.values())):
        return {path: Conversion(source, source) for path, source in sources.items()}
    script = Script([File(text, path) for path, text in texts.items()])
    first, history, changes = script, [], list[tuple[str, Change]]()
    while True:
        proposed = _proposals(script, to_linear=to_linear, package=package)
        found = [one for one in proposed if rules is None or one.rule in rules]
        chosen = _compatible(script, (one for one in found if isinstance(one, Proposal) and (one.safe or unsafe)))
        places = _Places(first, script, history)
        if not chosen:
            break
        changes += [change for proposal in chosen for change in places.changes(proposal)]
        edits = list({edit for one in chosen for edit in (*_edits(script, one), *one.imports)})
        edits += [edit for start, file in script.starts() for edit in realigned(file.source, start, edits)]
        script = _edited(script, edits)
        history.append(edits)
    refusals = [places.refusal(one) for one in found]
    return {
        path: Conversion(
            source,
            source[: len(source) - len(texts[path])] + file.source.decode(),
            tuple(sorted(change for at, change in changes if at == file.path)),
            tuple(sorted({refusal for at, refusal in refusals if at == file.path})),
        )
        for (path, source), file in zip(sources.items(), script.files)
    }


def _proposals(script: Script, *, to_linear: bool, package: bool) -> Iterator[Proposal | Refused]:
    objects = Objects(script)
    yield from _reductions.propose(script)
    yield from _logarithms.propose(script, objects)
    yield from _activated.propose(script, objects)
    yield from _handed.propose(script, objects)
    yield from _one_hot.propose(script, objects)
    yield from _divergences.propose(script, objects)
    yield from _focal.propose(script, objects)
    if to_linear:
        yield from _linear.propose(script, objects)
    if package:
        yield from _package.propose(script)


def _compatible(script: Script, proposals: Iterable[Proposal]) -> list[Proposal]:
    """The proposals that can be made at once; the others are found again afterwards."""
    chosen: list[Proposal] = []
    edits: list[Edit] = []
    for proposal in proposals:
        more = _edits(script, proposal)
        if more and not overlap([*edits, *more]) and not {*edits} & {*more}:
            chosen.append(proposal)
            edits += more
    return chosen


def _edits(script: Script, proposal: Proposal) -> list[Edit]:
    """The edits of a proposal that change anything."""
    return [edit for edit in proposal.edits if script.source[edit.start : edit.end] != edit.text.encode()]


def _edited(script: Script, edits: Iterable[Edit]) -> Script:
    """The script with edits made; only files that they change are read again."""
    texts = apply(script.source, edits).split(JOINT)
    files = zip(script.files, texts)
    return Script([file if text == file.source else File(text.decode(), file.path) for file, text in files])


class _Places:
    """Places of the text that was given, by nodes of a script that was made of it."""

    def __init__(self, first: Script, script: Script, history: Sequence[Sequence[Edit]]) -> None:
        self._first = first
        self._script = script
        self._history = tuple(history)

    def of(self, node: cst.CSTNode) -> Place:
        """Where a node began."""
        return self.at(self._script.span(node)[0])

    def at(self, offset: int) -> Place:
        """Where a byte was."""
        return self._first.place(origin(offset, self._history))

    def changes(self, proposal: Proposal) -> Iterator[tuple[str, Change]]:
        """The changes that a proposal makes, one to a file; what it does to the loss is said in that of the loss."""
        home = self.of(proposal.at)
        lines: defaultdict[str, set[int]] = defaultdict(set)
        for edit in (*_edits(self._script, proposal), *proposal.imports):
            for offset in (edit.start, max(edit.start, edit.end - 1)):
                place = self.at(offset)
                lines[place.path].add(place.line)
        told = home.path if home.path in lines else min(lines)
        for path, touched in lines.items():
            line, column = (home.line, home.column) if path == home.path else (min(touched), 1)
            text = self._described(proposal, path) if path == told else self._share(proposal, path, home)
            if path == told != home.path:
                text += f" (the loss is that of {home.path}:{home.line})"
            yield path, Change(line, column, proposal.rule, text, proposal.safe, tuple(sorted(touched)))

    def refusal(self, one: Proposal | Refused) -> tuple[str, Refusal]:
        """The refusal of what a rule declined, or proposed where that was not allowed."""
        place = self.of(one.at)
        if isinstance(one, Proposal):
            reason = f"--unsafe would rewrite this: {self._described(one, place.path)}"
            return place.path, Refusal(place.line, place.column, one.rule, reason)
        loss = place if one.loss is None else self.of(one.loss)
        where = "" if loss[:2] == place[:2] else f" ({self._named(place, loss.path)})"
        return loss.path, Refusal(loss.line, loss.column, one.rule, f"{one.reason}{where}", one.question)

    def _described(self, proposal: Proposal, path: str) -> str:
        """What a proposal does to the loss, and where else it reaches, as it is said in a file."""
        back = self._put_back(proposal.restored, path)
        saved = ", ".join(self._named(self.of(node), path) for node in proposal.saved)
        loaded = f"; what is written at {saved} now gives logits" if saved else ""
        return f"{proposal.description}{'; the activation is ' if back else ''}{back}{loaded}"

    def _share(self, proposal: Proposal, path: str, home: Place) -> str:
        """What a proposal does in a file that is not the one in which it is told what it does to the loss."""
        taken = any(
            self.at(edit.start).path == path for edit in _edits(self._script, proposal) if edit.end > edit.start
        )
        back = self._put_back([node for node in proposal.restored if self.of(node).path == path], path)
        done = " and ".join([*["taken away"] * taken, *[back] * bool(back)])
        return f"the activation is {done}, for the loss at {home.path}:{home.line}"

    def _put_back(self, restored: Sequence[cst.CSTNode], path: str) -> str:
        places = dict.fromkeys(self._named(place, path) for place in sorted(self.of(node) for node in restored))
        return f"put back where its result is used ({', '.join(places)})" if places else ""

    def _named(self, place: Place, path: str) -> str:
        """A place as it is named in a file."""
        return f"line {place.line}" if place.path == path else f"{place.path}:{place.line}"
