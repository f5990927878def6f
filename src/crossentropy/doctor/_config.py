"""What a project wants reported: `[tool.crossentropy]` of the nearest pyproject.toml, and the command line above it.

[tool.crossentropy]
select = ["softmax-before-cross-entropy"]   # only these rules; default: all
ignore = ["one-hot-target"]                 # not these
exclude = ["legacy/*"]                      # nothing in files that match
min-confidence = "likely"                   # certain, likely or info
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from crossentropy._parser import nearest
from crossentropy._usage import UnusableInputError
from crossentropy.doctor._finding import Finding, at_least
from crossentropy.doctor.rules import CONFIDENCES, RULES, Confidence


@dataclass(frozen=True)
class Settings:
    """What is reported."""

    select: tuple[str, ...] = ()
    """Rules; none: all of them."""
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    """Patterns of paths in which nothing is reported."""
    min_confidence: Confidence = "likely"

    def reported(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings that are wanted, by place."""
        wanted = [
            finding
            for finding in findings
            if (not self.select or finding.rule in self.select)
            and finding.rule not in self.ignore
            and not any(fnmatch(finding.path, pattern) for pattern in self.exclude)
        ]
        return sorted(wanted)

    def fails(self, findings: Iterable[Finding]) -> bool:
        """Whether any finding is as certain as is asked for."""
        return any(True for _ in at_least(findings, self.min_confidence))

    def with_options(self, select: str | None, ignore: str | None, min_confidence: Confidence | None) -> "Settings":
        """These settings, with what the command line says in their place; what it ignores is ignored besides."""
        return replace(
            self,
            select=self.select if select is None else rules(select.split(","), "--select"),
            ignore=self.ignore + (() if ignore is None else rules(ignore.split(","), "--ignore")),
            min_confidence=min_confidence or self.min_confidence,
        )


def load(folder: Path) -> Settings:
    """The settings of the project that a folder belongs to."""
    for place in (folder, *folder.parents):
        file = place / "pyproject.toml"
        if file.is_file():
            return _of_table(_table(file), file)
    return Settings()


def _table(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise UnusableInputError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnusableInputError(f"{file}: not UTF-8, which TOML is in") from error
    if "crossentropy" not in text:
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # pyright: ignore[reportMissingImports]
    try:
        table: Any = tomllib.loads(text)
    except ValueError as error:  # also of a number that is too long for Python
        raise UnusableInputError(f"{file}: {error}") from error
    except RecursionError as error:
        raise UnusableInputError(f"{file}: nested too deeply") from error
    for key in ("tool", "tool.crossentropy"):
        table = table.get(key.rpartition(".")[2], {})
        if not isinstance(table, dict):
            raise UnusableInputError(f"{file}: {key} is {table!r}, expected a table")
    return table


def _of_table(table: dict[str, Any], file: Path) -> Settings:
    where = f"{file}: [tool.crossentropy]"
    for key in table.keys() - {"select", "ignore", "exclude", "min-confidence"}:
        raise UnusableInputError(f"{where} {key}: unknown; expected select, ignore, exclude or min-confidence")
    least = table.get("min-confidence", "likely")
    if least not in CONFIDENCES:
        raise UnusableInputError(f"{where} min-confidence is {least!r}, expected one of {', '.join(CONFIDENCES)}")
    lists = {key: _strings(table, key, where) for key in ("select", "ignore", "exclude")}
    return Settings(
        rules(lists["select"], f"{where} select"), rules(lists["ignore"], f"{where} ignore"), lists["exclude"], least
    )


def _strings(table: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise UnusableInputError(f"{where} {key} is {value!r}, expected a list of strings")
    return tuple(value)


def rules(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Names of rules, all of which exist."""
    stripped = tuple(name.strip() for name in names if name.strip())
    for name in stripped:
        if name not in RULES:
            near = nearest(name, RULES)
            hint = f"; did you mean {near}?" if near else "; crossentropy doctor --explain all lists them"
            raise UnusableInputError(f"{where}: there is no rule {name!r}{hint}")
    return stripped
