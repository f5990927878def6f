"""`crossentropy doctor`: arguments → findings. It prints nothing; `cli` does.

With `--run` a script is watched in a process of its own; else files are read, never imported or run.
"""

import argparse
import gc
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossentropy._languages import Language
from crossentropy._usage import UnusableInputError, positive
from crossentropy.doctor import _config
from crossentropy.doctor._config import Settings, rules
from crossentropy.doctor._finding import Finding, Passed
from crossentropy.doctor._lines import not_silenced
from crossentropy.doctor._output import FORMATS, LANGUAGES
from crossentropy.doctor.rules import CONFIDENCES, RULES, Rule

MOST_NOTES = 10
"""Files that are named where there is no more to say than that they were examined in part."""


@dataclass(frozen=True)
class Examination:
    """What was examined, and what of it is reported."""

    findings: list[Finding]
    what: str
    """In words: "12 files", "3 steps of train.py"."""
    notes: tuple[str, ...] = ()
    """What is said besides: files passed over, how a script ended."""
    passed: tuple[Passed, ...] = ()
    """Files that were passed over, in whole or in part."""
    failed: bool = False
    """Whether the watched script failed."""
    nothing: bool = False
    """Whether nothing could be examined, which the notes say."""
    signal: int = 0
    """The signal that ended the watch before its time."""

    def code(self, wanted: Settings) -> int:
        """The exit code of the command."""
        if self.signal:
            return 128 + self.signal  # as shells have it
        if self.nothing:
            return 2
        return 1 if self.failed or wanted.fails(self.findings) else 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command, but for those of the script, which follow `--`; and what they are for."""
    parser.usage = "%(prog)s [PATH …] [options]\n       %(prog)s --run SCRIPT [options] [-- ARGUMENT …]"
    parser.description = (
        "Read Python files and notebooks, or run a script and watch its losses; report the mistakes around cross "
        "entropy, with what they cost and how to mend them."
    )
    parser.epilog = (
        "Exit codes: 0 nothing found · 1 something found, or the script failed · 2 nothing could be examined, as where "
        "no file is readable or the script fails before its first loss · 128 + n ended by signal n. Files that are "
        "given up do not change it."
    )
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="files, folders and notebooks to examine (default: .)"
    )
    parser.add_argument("--run", metavar="SCRIPT", help="run a script and watch its losses; its arguments follow --")
    parser.add_argument(
        "--steps", type=positive, default=3, metavar="N", help="with --run: optimizer steps to watch (default: 3)"
    )
    parser.add_argument(
        "--output-format", choices=tuple(FORMATS), default="text", help="form of the report (default: text)"
    )
    parser.add_argument("--lang", choices=tuple(LANGUAGES), help="language (default: that of the locale)")
    parser.add_argument("--select", metavar="RULE,…", help="report only these rules")
    parser.add_argument("--ignore", metavar="RULE,…", help="do not report these rules")
    parser.add_argument(
        "--min-confidence",
        choices=CONFIDENCES,
        help="the least confidence that makes the exit code 1 (default: likely)",
    )
    parser.add_argument("--fix", action="store_true", help="also show the changes by which convert would mend it")
    parser.add_argument("--explain", metavar="RULE", help="describe a rule, or all of them, and exit")
    parser.add_argument(
        "--jobs", type=positive, metavar="N", help="processes that read files (default: by their number)"
    )


def settings(options: argparse.Namespace) -> Settings:
    """What is to be reported."""
    return _config.load(Path.cwd()).with_options(options.select, options.ignore, options.min_confidence)


def described(name: str) -> list[Rule]:
    """The rules that `--explain` asks for."""
    return list(RULES.values()) if name == "all" else [RULES[rule] for rule in rules([name], "--explain")]


def examine(
    options: argparse.Namespace,
    arguments: Sequence[str],
    wanted: Settings,
    progress: Callable[[int, int], None] | None,
    lang: Language = "en",
) -> Examination:
    """Watch a script, or read files."""
    if options.run is None:
        return _read(options, wanted, progress, lang)
    if options.paths:
        raise UnusableInputError(f"{options.paths[0]}: paths are read, --run runs: give one of the two")
    return _watch(options.run, arguments, options.steps, wanted, lang)


def _watch(script: str, arguments: Sequence[str], steps: int, wanted: Settings, lang: Language) -> Examination:
    from crossentropy.doctor._runtime._run import run

    if not Path(script).is_file():
        raise UnusableInputError(f"--run {script}: there is no such file")
    if script.endswith(".ipynb"):
        raise UnusableInputError(f"--run {script}: a notebook cannot be run here; leave out --run to have it read")
    done = run(script, arguments, steps=steps)
    seen = LANGUAGES[lang].steps(done.steps, done.calls, script)
    called = done.calls or done.findings  # a call that failed is explained by a finding
    notes = [] if called else [f"{script} called no loss that is known here"]
    if done.signal:
        notes.append(f"{script} was ended by {signal.Signals(done.signal).name}, which was passed on to it")
    elif done.code:
        end = f"ended with exit code {done.code}" if done.code > 0 else f"was ended by signal {-done.code}"
        notes = [f"{script} {end}{'' if called else ' before it called a loss that is known here'}"]
    found = wanted.reported(not_silenced(done.findings))
    failed = done.code != 0
    nothing = failed and not called
    return Examination(found, seen, tuple(notes), failed=failed, nothing=nothing, signal=done.signal)


def _read(
    options: argparse.Namespace, wanted: Settings, progress: Callable[[int, int], None] | None, lang: Language
) -> Examination:
    from crossentropy.doctor._source import examine as examine_source

    paths = options.paths or [Path()]
    for path in paths:
        if not _may_exist(path):
            raise UnusableInputError(f"{path}: there is no such file or folder")
    done = examine_source(paths, jobs=options.jobs or _jobs(), progress=progress)
    gc.freeze()  # at its end Python looks for cycles in all that was made of the files: a quarter of the time
    read = done.files - sum(not file.partly and not file.folder for file in done.passed)
    partly = [file for file in done.passed if file.partly]
    notes = [str(file) for file in done.passed if not file.partly or file in partly[:MOST_NOTES]]
    if len(partly) > MOST_NOTES:
        notes.append(f"{len(partly) - MOST_NOTES} more files were examined in part: --output-format json names them")
    if not done.files:
        notes.append(f"there is no Python file or notebook in {', '.join(map(str, paths))}")
    found = wanted.reported(done.findings)
    return Examination(found, LANGUAGES[lang].files(read), tuple(notes), done.passed, nothing=not read)


def _may_exist(path: Path) -> bool:
    """Whether something is there, or in a folder that may not be searched."""
    try:
        os.lstat(path)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def _jobs() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
