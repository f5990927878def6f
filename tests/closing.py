"""What a run of the tests says last: which tests were not run, and which packages are not those of the lock."""

from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).parent.parent / "constraints.txt"


def not_run(skipped: Iterable[pytest.TestReport | pytest.CollectReport]) -> str:
    """How many tests of which files were skipped, and why, in one line; nothing if none was."""
    counts = Counter((report.nodeid.partition("::")[0], _reason(report)) for report in skipped)
    parts = [f"{count} of {file} ({reason})" for (file, reason), count in counts.items()]
    return f"Not run: {', '.join(parts)}" if parts else ""


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    assert isinstance(report.longrepr, tuple)
    return report.longrepr[2].removeprefix("Skipped: ")


def differences() -> str:
    """The installed packages that are not what the lock says, in one line; nothing if all are."""
    new = [f"{name} {_installed(name) or ''} (none)" for name in sorted(unpinned())]
    parts = [*changed(), *new]
    return f"Not as in {LOCK.name}: {', '.join(parts)}" if parts else ""


def changed() -> list[str]:
    """The installed packages of another version than the lock's, with both."""
    return [
        f"{pin.name} {found} ({str(pin.specifier).removeprefix('==')})"
        for pin in pins()
        if (found := _installed(pin.name)) and not pin.specifier.contains(found, prereleases=True)
    ]


def pins() -> Iterator[Requirement]:
    """The lines of the lock that hold in this environment."""
    for line in LOCK.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement


def unpinned() -> set[str]:
    """The packages that the tests need, dependencies of dependencies included, and that the lock does not name.

    What another package requires in exactly one version needs no line: torch's CUDA libraries.
    """
    pinned, missing = {canonicalize_name(pin.name) for pin in pins()}, set()
    seen, waiting = set(), [Requirement("crossentropy[dev]")]
    while waiting:
        needed = waiting.pop()
        name = canonicalize_name(needed.name)
        exact = any(bound.operator == "==" and "*" not in bound.version for bound in needed.specifier)
        if exact or (name, *needed.extras) in seen:
            continue
        seen.add((name, *needed.extras))
        if name not in pinned and name != "crossentropy":
            missing.add(name)
        waiting += _requirements(needed)
    return missing


def _requirements(needed: Requirement) -> list[Requirement]:
    """What an installed package requires here, with those of its extras that are asked for."""
    try:
        lines = distribution(needed.name).requires or []
    except PackageNotFoundError:
        return []
    environments = [{"extra": extra} for extra in ("", *needed.extras)]
    found = map(Requirement, lines)
    return [r for r in found if r.marker is None or any(map(r.marker.evaluate, environments))]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
