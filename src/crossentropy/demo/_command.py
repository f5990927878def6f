"""`crossentropy demo`: its arguments, the three acts one after the other, the report and the page of the chain."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from crossentropy import _disk, _terminal
from crossentropy._parser import Parser, wrapped
from crossentropy._progress import progress
from crossentropy._usage import UnusableInputError, installation
from crossentropy.demo._translation import say

if TYPE_CHECKING:
    from rich.console import Console

    from crossentropy import Explanation
    from crossentropy._languages import Language
    from crossentropy.demo.report import Section


def add_arguments(parser: Parser) -> None:
    """The arguments of the command, and what they are for."""
    parser.description = (
        "Compute the chain from information to the loss, train with three losses on scans of digits and "
        "train a language model; then write a report with figures."
    )
    parser.epilog = (
        "Exit codes: 0 done · 1 a number differs from torch's · 2 wrong arguments, or files that cannot be used."
    )
    parser.add_argument("--quick", action="store_true", help="train for seconds instead of a minute")
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="seed of all random numbers (default: 0)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="where to write demo-report.html and demo-chain.html (default: here)",
    )
    parser.add_argument(
        "--text", type=Path, metavar="FILE", help="text of the language model (default: Python's library)"
    )
    parser.add_argument("--lang", choices=("en", "zh"), help="language (default: that of the locale)")


def _seed(text: str) -> int:
    seed = int(text) if text.isdecimal() else -1
    if not 0 <= seed < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number in [0, 2^63)")
    return seed


def run(options: argparse.Namespace, lang: "Language") -> int:
    """Show the three acts, and write the report."""

    def told(what: str, done: int, total: int) -> None:
        show(say(what, lang), done, total)

    began = time.perf_counter()
    with progress(quiet=options.quiet) as show:  # what can fail for the user's reasons comes first
        told("loading torch", 0, 0)
        _require_packages(lang)
        from crossentropy import explain
        from crossentropy.demo import chain, digits, language
        from crossentropy.demo.report import to_html

        report, page = (_writable(options.out / name, lang) for name in ("demo-report.html", chain.PAGE))
        told("reading the text", 0, 0)
        try:
            corpus = language.load(options.text)
        except language.UnusableTextError as error:
            raise UnusableInputError(say(f"--text: {error}", lang)) from error

    console = _terminal.console()
    sections: list[Section] = []
    quantities, batch = chain.lines(), chain.batch(options.seed, lang)
    sections.append(chain.section(quantities, batch, lang))
    _print(console, sections[-1], lang)
    with progress(quiet=options.quiet) as show:
        runs = digits.run(5 if options.quick else 30, options.seed, told)
    sections.append(digits.section(runs, lang))
    _print(console, sections[-1], lang)
    with progress(quiet=options.quiet) as show:
        trainings = language.run(corpus, 40 if options.quick else 400, options.seed, told)
    sections.append(language.section(corpus, trainings, lang))
    _print(console, sections[-1], lang)

    title = say("crossentropy: from −log p to a language model", lang)
    _disk.write({report: to_html(title, sections, lang).encode(), page: explain.chain(lang).to_html().encode()})
    done = say(f"Done in {time.perf_counter() - began:.0f} s. The report, with figures: {report}", lang)
    console.print(f"\n{done}", markup=False, highlight=False, soft_wrap=True)
    agree = all(thing.agrees for thing in (*quantities, batch, *trainings))
    if not agree:
        console.print(say("A number differs from torch's: see above.", lang), style="bold red")
    return 0 if agree else 1


def _require_packages(lang: "Language") -> None:
    try:
        import matplotlib  # noqa: F401
        import rich  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        raise UnusableInputError(say(f"{error.name} is missing — {installation('demo')}", lang)) from error


def _writable(report: Path, lang: "Language") -> Path:
    try:
        _disk.check_writable(report, parents=True)
    except OSError as error:
        raise UnusableInputError(say(f"--out: cannot write {report}: {error.strerror}", lang)) from error
    return report


def _print(console: "Console", section: "Section", lang: "Language") -> None:
    """A section as text; its figures are for the report."""
    from rich import box, markup
    from rich.table import Table as RichTable

    from crossentropy.demo.report import Figure, Table

    unbroken = {say(heading, lang) for heading in ("formula", "value")}
    console.rule(f"[bold]{markup.escape(section.title)}")
    for part in section.parts:
        if isinstance(part, Table):
            table = RichTable(box=box.SIMPLE)
            for heading in part.header:
                table.add_column(markup.escape(heading), no_wrap=heading in unbroken, overflow="fold")
            for row in part.rows:
                table.add_row(*map(markup.escape, row))
            console.print(table)
        elif isinstance(part, str):
            console.print("\n".join(wrapped(part, console.width)), markup=False, highlight=False)
        elif not isinstance(part, Figure):
            _print_briefly(console, part, lang)


def _print_briefly(console: "Console", e: "Explanation", lang: "Language") -> None:
    """The formulae of an explanation with their numbers, those of one row; the report has all of it."""
    from rich import box, markup
    from rich.table import Table as RichTable

    table = RichTable(box=box.SIMPLE)
    for heading in ("step", "its formula, with the numbers of the first row"):
        table.add_column(say(heading, lang))
    for step in e.steps:
        if step.numbers:
            table.add_row(*map(markup.escape, (step.name, str(step.numbers))))
    console.print(table)
    console.print(e.check, markup=False, highlight=False)
