"""Lines of source behind findings, and the comments on them that silence rules.

loss = F.cross_entropy(q, y)  # crossentropy: ignore[softmax-before-cross-entropy] q are logits here
"""

import linecache
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from crossentropy.doctor._finding import Finding

_IGNORE = re.compile(r"#\s*crossentropy:\s*ignore(?:\[([^\]]*)\])?")


def line_of(finding: Finding) -> str:
    """The line of a finding, without its indentation; empty where it is not to be had, as in notebooks."""
    if finding.cell is not None:
        return ""
    return linecache.getline(str(Path(finding.path).absolute()), finding.line).strip()


def silences(line: str, rule: str) -> bool:
    """Whether a line of source has a comment that silences a rule, or all rules."""
    found = _IGNORE.search(line)
    return found is not None and (found[1] is None or rule in {name.strip() for name in found[1].split(",")})


def not_silenced(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings that no comment silences."""
    return (finding for finding in findings if not silences(line_of(finding), finding.rule))
