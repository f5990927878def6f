"""How well the doctor finds in real programs: public ones, read whole, whose mistakes somebody has reported.

    python tests/doctor_real.py [--split tune|held] [--kept] [--trees DIR] [--write]

`doctor_real/reports.json` names repositories and commits, and where what is wrong; nothing of theirs is kept here. They
are fetched by git into DIR, once. One half (`tune`) was looked at while the doctor was made, the other (`held`) not:
the half is the parity of a checksum of the repository's name. `doctor_real/kept.json` names well-kept repositories, in
which a finding is most likely a false alarm. What is found besides the reports was judged by reading it:
`doctor_real/judged.json`. `--write` keeps the result in `doctor_real/results.json`, which docs/doctor-scores.md shows.
"""

import argparse
import functools
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crossentropy.doctor._finding import Finding, Place
from crossentropy.doctor._source import examine
from crossentropy.doctor.rules import RULES

FOLDER = Path(__file__).parent / "doctor_real"
ORIGIN = "https://github.com"
SLACK = 2
"""Lines by which a finding may lie beside the place of a report."""


@dataclass(frozen=True)
class Report:
    """A mistake that is in a repository."""

    id: str
    repository: str
    commit: str
    rule: str
    file: str
    line: int
    split: str
    also: tuple[str, ...] = ()
    """Other places, as file:line, at which it may be found."""
    report: str = ""
    why: str = ""

    def found_by(self, finding: Finding, root: Path) -> bool:
        """Whether a finding is this one: at one of the places that either names."""
        strong = finding.confidence != "info" or RULES[self.rule].harmless
        places = [finding.place, *finding.also, *([] if finding.cause is None else [finding.cause])]
        return finding.rule == self.rule and strong and any(self._is_near(place, root) for place in places)

    def _is_near(self, place: Place, root: Path) -> bool:
        path = Path(place.path).relative_to(root).as_posix()
        others = (other.rpartition(":") for other in self.also)
        known = [(self.file, self.line), *((file, int(line)) for file, _, line in others)]
        number = place.line + (0 if place.cell is None else _before(place.path, place.cell))
        return any(path == file and abs(number - line) <= SLACK for file, line in known)


@functools.cache
def _before(notebook: str, cell: int) -> int:
    """Lines of the code cells before one: reports count all of a notebook's."""
    cells = json.loads(Path(notebook).read_text("utf-8-sig"))["cells"]
    sources = ["".join(one["source"]) for one in cells if one["cell_type"] == "code"]
    return sum(source.count("\n") + 1 for source in sources[: cell - 1])


@dataclass(frozen=True)
class Score:
    """What was found in some repositories."""

    found: int
    reports: int
    true: int
    false: int
    debatable: int
    unjudged: int
    files: int
    seconds: float

    @property
    def recall(self) -> float:
        return self.found / self.reports if self.reports else float("nan")

    @property
    def precision(self) -> float:
        """Of the findings that are right or wrong beyond doubt."""
        claims = self.true + self.false
        return self.true / claims if claims else float("nan")


def reports(split: str | None = None) -> list[Report]:
    """The reports of one half, or of both."""
    read = [Report(**entry | {"also": tuple(entry["also"])}) for entry in _read("reports.json")]
    return [report for report in read if split in (None, report.split)]


def _read(name: str) -> Any:
    return json.loads((FOLDER / name).read_text("utf-8"))


def tree(repository: str, commit: str, trees: Path) -> Path:
    """The files of a repository at a commit, fetched if they are not there."""
    folder = trees / f"{repository.replace('/', '__')}__{commit[:7]}"
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.part")  # so that what fails half-way is not taken for the whole
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        git = ["git", "-C", str(unfinished)]
        subprocess.run([*git, "init", "--quiet"], check=True)
        subprocess.run([*git, "fetch", "--quiet", "--depth=1", f"{ORIGIN}/{repository}", commit], check=True)
        subprocess.run([*git, "checkout", "--quiet", "FETCH_HEAD"], check=True)
        unfinished.rename(folder)
    return folder


def key(finding: Finding, repository: str, root: Path) -> str:
    """What names a finding in `judged.json`."""
    return f"{repository}/{Path(finding.path).relative_to(root).as_posix()}:{finding.line} {finding.rule}"


def score(chosen: Sequence[Report], trees: Path) -> tuple[Score, list[str]]:
    """How much of some reports is found, and a line for each miss and for each other finding."""
    verdicts, judged, lines, found = Counter[str](), _read("judged.json"), list[str](), 0
    files, began = 0, time.process_time()
    for repository, commit in sorted({(report.repository, report.commit) for report in chosen}):
        root = tree(repository, commit, trees)
        examined = examine([root])
        files += examined.files
        told = list(_told(examined.findings))
        here = [report for report in chosen if (report.repository, report.commit) == (repository, commit)]
        for report in here:
            hits = [finding for finding in examined.findings if report.found_by(finding, root)]
            found += bool(hits)
            if not hits:
                lines.append(f"miss   {report.id}: {report.rule} at {repository}/{report.file}:{report.line}")
        for finding in told:
            reported = any(report.found_by(finding, root) for report in here)
            name = key(finding, repository, root)
            verdict = "true" if reported else judged.get(name, "unjudged")
            verdicts[verdict] += 1
            if not reported:
                lines.append(f"{verdict:<6} {finding.confidence} {name}")
    return _counted(verdicts, found, len(chosen), files, time.process_time() - began), lines


def _told(findings: Sequence[Finding]) -> Iterator[Finding]:
    """What counts for precision: claims that are not a matter of a keyword's name."""
    return (f for f in findings if f.confidence != "info" and f.rule != "deprecated-reduce")


def kept(trees: Path) -> tuple[Score, list[str]]:
    """What is found in well-kept repositories."""
    verdicts, judged, lines, files, began = Counter[str](), _read("judged.json"), list[str](), 0, time.process_time()
    for entry in _read("kept.json"):
        root = tree(entry["repository"], entry["commit"], trees)
        examined = examine([root])
        files += examined.files
        for finding in _told(examined.findings):
            name = key(finding, entry["repository"], root)
            verdicts[judged.get(name, "unjudged")] += 1
            lines.append(f"{judged.get(name, 'unjudged'):<6} {finding.confidence} {name}")
    return _counted(verdicts, 0, 0, files, time.process_time() - began), lines


def _counted(verdicts: Counter[str], found: int, asked: int, files: int, seconds: float) -> Score:
    kinds = (verdicts[kind] for kind in ("true", "false", "debatable", "unjudged"))
    return Score(found, asked, *kinds, files, round(seconds, 1))


def section() -> Iterator[str]:
    """The recorded result, as a part of a page."""
    results = {name: Score(**result) for name, result in _read("results.json").items()}
    yield "| programs | mistakes | found | recall | findings: true | false | debatable | precision |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for name, title in (("tune", "looked at"), ("held", "not looked at")):
        s = results[name]
        shares = f"{s.recall:.2f} | {s.true} | {s.false} | {s.debatable} | {s.precision:.2f}"
        yield f"| {title} | {s.reports} | {s.found} | {shares} |"
    s = results["kept"]
    found = s.true + s.debatable + s.false
    yield ""
    yield (
        f"In {len(_read('kept.json'))} well-kept repositories, {s.files:,} files together, {found} findings were "
        f"certain or likely: {s.true} true, {s.debatable} debatable, {s.false} false, "
        f"{1000 * s.false / s.files:.2f} false ones for 1,000 files."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="How well the doctor finds in real programs.")
    parser.add_argument("--split", choices=["tune", "held"], help="one half of the reports")
    parser.add_argument("--kept", action="store_true", help="well-kept repositories instead")
    parser.add_argument("--trees", type=Path, default=Path("build/doctor_real"), help="where repositories are, or go")
    parser.add_argument("--write", action="store_true", help="keep the result for the documentation")
    options = parser.parse_args(arguments)
    name = "kept" if options.kept else options.split or "all"
    result, lines = kept(options.trees) if options.kept else score(reports(options.split), options.trees)
    print(*lines, sep="\n")
    print(f"{name}: recall {result.recall:.3f}, precision {result.precision:.3f}; {result}")
    if options.write:
        if result.unjudged:
            sys.exit(f"{result.unjudged} findings are not judged: see {FOLDER / 'judged.json'}")
        results = _read("results.json") | {name: asdict(result)}
        (FOLDER / "results.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
