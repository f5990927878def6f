"""The static analysis of the programs of `doctor_programs`: exactly what their comments say is found, at these lines.

A program is a file or a folder of files, in a folder named for what it covers: `operation`, what torch's operations do;
`language`, how Python is followed; `library`, what other packages do; `rule`, when something is a mistake. A line at
which something is to be found ends in `# finds RULE CONFIDENCE`, several divided by semicolons. In a program without
such a line nothing may be found.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

from crossentropy.doctor._source import examine

PROGRAMS = Path(__file__).parent / "doctor_programs"
_FINDS = re.compile(r"# finds (.*)$")


def _programs() -> list[Path]:
    return sorted(path for folder in PROGRAMS.iterdir() for path in folder.iterdir() if path.name != "__pycache__")


def _expected(program: Path) -> Counter[tuple[str, int, str, str]]:
    found: Counter[tuple[str, int, str, str]] = Counter()
    for file in sorted(program.rglob("*.py")) if program.is_dir() else [program]:
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
            for finding in match[1].split(";") if (match := _FINDS.search(line)) else ():
                rule, confidence = finding.split()
                found[file.relative_to(PROGRAMS).as_posix(), number, rule, confidence] += 1
    return found


@pytest.mark.parametrize("program", _programs(), ids=lambda path: path.relative_to(PROGRAMS).as_posix())
def test_what_is_found_in_a_program(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROGRAMS)
    examined = examine([program.relative_to(PROGRAMS)])
    assert not examined.passed
    found = ((place, f) for f in examined.findings for place in (f.place, *f.also))
    assert Counter((place.path, place.line, f.rule, f.confidence) for place, f in found) == _expected(program)
