"""Examining many files: which are followed, in how many processes, and which findings comments silence."""

from __future__ import annotations

import gc
import os
import symtable
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from crossentropy.doctor._finding import Finding, Passed
from crossentropy.doctor._lines import silences
from crossentropy.doctor._source._alone import Alone
from crossentropy.doctor._source._files import Roots, Unreadable, discover, is_data, read, shown, text_of
from crossentropy.doctor._source._pairing import Pairing
from crossentropy.doctor._source._project import Project
from crossentropy.doctor._source._report import Report, Root


class Result(NamedTuple):
    """What some of the files gave."""

    findings: list[tuple[Finding, Root | None]]
    """With the function that they were reached from, if nothing calls it."""
    passed: list[Passed]
    called: frozenset[Root]
    """The functions that something calls."""


STEPS = 3
"""Of each file: to follow it, and then functions and methods that nothing has called."""


def examine_files(
    paths: Sequence[Path], jobs: int, progress: Callable[[int, int], None] | None
) -> tuple[list[Finding], list[Passed], int]:
    """Findings, what was passed over and why, and the number of files."""
    passed: dict[Passed, None] = {}

    def unreadable(folder: Path, reason: str) -> None:
        passed[Passed(folder.as_posix(), reason, folder=True)] = None

    files = {os.path.realpath(path): path for path in discover(paths, unreadable)}
    roots = Roots.of(paths)
    names = list(files)
    parts = [names[i::jobs] for i in range(jobs)] if jobs > 1 and len(names) > 64 else [names]

    def show(done: int) -> None:
        if progress is not None:
            progress(min(done // STEPS, len(names)), len(names))

    if len(parts) == 1:
        results = [examine_part(files, roots, names, _counting(show))]
    else:
        from crossentropy.doctor._source._processes import in_processes

        results = in_processes(examine_part, files, roots, parts, show)
    called = frozenset().union(*(result.called for result in results))
    found: dict[Finding, None] = {}
    for result in results:  # what one process reached from a function that nothing calls, another may have seen called
        found.update((finding, None) for finding, root in result.findings if root is None or root not in called)
        passed.update(dict.fromkeys(result.passed))
    if progress is not None:
        progress(len(names), len(names))
    return list(found), list(passed), len(names)


def _counting(show: Callable[[int], None]) -> Callable[[int], None]:
    """Counts, and shows the sum."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        show(done)

    return count


def examine_part(files: dict[str, Path], roots: Roots, names: list[str], count: Callable[[int], None]) -> Result:
    """Examine some of the files; `count` is told of each step of each of them."""
    report = Report()
    project = Project(report, files, roots)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 3000))
    collecting = gc.isenabled()
    gc.disable()  # syntax trees are many small objects, and live until the end
    try:
        followed = [name for name in names if _is_followed(project, name)]
        count(STEPS * (len(names) - len(followed)))
        alone = Alone(project)
        for number, step in enumerate((project.examine, alone.functions, alone.methods)):
            project.budget.begin(number, len(followed))
            for name in followed:
                step(name)
                project.budget.parts -= 1
                count(1)
        Pairing(project).run()
        report.finish()
    finally:
        sys.setrecursionlimit(limit)
        if collecting:
            gc.enable()
    return Result(_told(report, project), list(project.passed.values()), _called(project))


def _called(project: Project) -> frozenset[Root]:
    """The functions that something calls, and not only the doctor itself."""
    on_objects = {(owner, function) for owner, function in project.called_on}
    return frozenset({(None, function) for function in project.called} | on_objects) - project.report.followed


def _is_followed(project: Project, name: str) -> bool:
    """Whether a file matters; of others it is only seen whether they are Python."""
    path = project.files[name]
    try:
        data = text_of(path)
        if is_data(path):
            raise Unreadable("not Python by its name; crossentropy explain reads tables")
        if project.relevance.matters(name):
            return True
        _check(path, data)
    except Unreadable as error:
        project.pass_over(path, str(error))
    return False


def _check(path: Path, data: bytes) -> None:
    if path.suffix != ".ipynb":
        with suppress(SyntaxError, ValueError, RecursionError, MemoryError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            symtable.symtable(data, path.name, "exec")  # type: ignore[arg-type]  # bytes are read too, faster than ast
            return
    read(path, data)


def _concerns(finding: Finding, given: set[str]) -> bool:
    return finding.path in given or (finding.cause is not None and finding.cause.path in given)


def _told(report: Report, project: Project) -> list[tuple[Finding, Root | None]]:
    """The findings that come from files that were given and no comment silences, and from where they were reached."""
    sources = {source.shown: source for source in project.sources.values() if source is not None}
    given = {shown(path) for path in project.given.values()}
    return [
        (finding, report.roots.get(key))
        for key, finding in report.findings.items()
        if _concerns(finding, given)
        and not silences(sources[finding.path].line(finding.line, finding.cell), finding.rule)
    ]
