"""The static analysis: programs are followed without being run, and what happens around their losses is examined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossentropy.doctor._finding import Finding, Passed, by_cause
from crossentropy.doctor._source._examination import examine_files


@dataclass(frozen=True)
class Examined:
    """What was found in source files."""

    findings: tuple[Finding, ...]
    passed: tuple[Passed, ...]
    """Files that could not be examined, or not to their end, and why."""
    files: int


def examine(paths: Sequence[Path], *, jobs: int = 1, progress: Callable[[int, int], None] | None = None) -> Examined:
    """Examine files and folders; nothing of them is imported or run.

    Args:
        paths: Python files, notebooks, and folders of such.
        jobs: Processes to use.
        progress: Called with the number of files that are done, and of all.

    Returns:
        Sorted findings without those that comments silence, what was passed over and why, and the number of files.
    """
    findings, passed, files = examine_files(paths, jobs, progress)
    return Examined(tuple(by_cause(findings)), tuple(sorted(passed)), files)
