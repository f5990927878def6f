"""The command line: `crossentropy demo | explain | doctor | convert | bench | plan`.

A command is imported when it runs, and torch by those that compute. Without arguments the help is shown, exit code 0.
Exit codes: 0 done · 1 a check failed, or something was found · 2 wrong arguments or unusable files, with one line
that says what to do.
"""

import argparse
import contextlib
import functools
import importlib.util
import io
import json
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import crossentropy
from crossentropy import _disk, _terminal
from crossentropy._usage import UnusableInputError, installation, positive

if TYPE_CHECKING:
    from rich.console import Console

    from crossentropy import Explanation
    from crossentropy.demo.report import Progress, Section
    from crossentropy.doctor import Finding


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise SystemExit(_fail(f"{self.prog}: {message} (try {self.prog} --help)"))


def _fail(message: str) -> int:
    _terminal.print_line(message, error=True)
    return 2


def _reason(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


def _parser(chosen: str) -> argparse.ArgumentParser:
    """The parser of all commands, with the arguments of the one that is chosen."""
    parser = _Parser(prog="crossentropy", description="The cross-entropy library for PyTorch.")
    parser.add_argument("--version", action="version", version=f"crossentropy {crossentropy.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    demo = commands.add_parser(
        "demo",
        help="from −log p to a trained language model, on real data",
        description="Compute the chain from information to the loss, train with three losses on scans of digits and "
        "train a language model; then write a report with figures.",
    )
    demo.add_argument("--quick", action="store_true", help="train for seconds instead of a minute")
    demo.add_argument("--seed", type=_seed, default=0, metavar="N", help="seed of all random numbers (default: 0)")
    demo.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="where to write demo-report.html (default: here)"
    )
    demo.add_argument(
        "--text", type=Path, metavar="FILE", help="text of the language model (default: Python's library)"
    )
    commands.add_parser("explain", help="every step of a loss, with its numbers", add_help=False)  # see _explain
    _add_doctor(commands, chosen)
    _add_measuring(commands)
    return parser


def _add_doctor(commands: "argparse._SubParsersAction[_Parser]", chosen: str) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="what is wrong with the losses of a program",
        usage="%(prog)s [PATH …] [options]\n       %(prog)s --run SCRIPT [options] [-- ARGUMENT …]",
        description="Read Python files and notebooks, or run a script and watch its losses; report the mistakes around "
        "cross entropy, with what they cost and how to mend them.",
        epilog="Exit codes: 0 nothing found · 1 something found, or the script failed · 2 nothing could be examined, "
        "as where no file is readable or the script fails before its first loss · 128 + n ended by signal n. Files "
        "that are given up do not change it.",
    )
    convert = commands.add_parser(
        "convert",
        help="change a training script's loss to cross entropy",
        description="Rewrite losses as cross entropy. What is done by default keeps the value of the loss; each change "
        "says what it does to it, and what would be a guess is left as it is, with the reason.",
        epilog="Exit codes: 0 done, or nothing to do · 1 with --check, something would change · 2 nothing was read.",
    )
    if chosen == "doctor":
        from crossentropy.doctor import _command

        _command.add_arguments(doctor)
    if chosen == "convert":
        from crossentropy.doctor import _command_convert

        _command_convert.add_arguments(convert)


def _add_measuring(commands: "argparse._SubParsersAction[_Parser]") -> None:
    bench = commands.add_parser(
        "bench",
        help="time, memory and error of a loss on this machine, against torch",
        description="Measure forward and backward of one shape: ours, torch's eager and compiled functions and, for a "
        "head, torch's chunked one; on CUDA also peers that are installed.",
    )
    plan = commands.add_parser(
        "plan",
        help="how a loss of some shape would be executed, without running it",
        description="Print strategy, pieces, bytes, FLOPs and the time to expect, from measured rates of this machine "
        "or those of a card that need not be here.",
    )
    for command in (bench, plan):
        command.add_argument(
            "--shape", type=_shape, required=True, help="N,C or N,C,d1,d2 of logits; N,D,V of hidden states and a head"
        )
        command.add_argument(
            "--dtype",
            choices=("float32", "bfloat16", "float16", "float64"),
            default="float32",
            help="dtype of the logits, or of hidden states and head (default: float32)",
        )
        command.add_argument("--forward", action="store_true", help="forward alone, without gradients")
    bench.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to run it (default: cpu)")
    plan.add_argument(
        "--device",
        choices=("cpu", "cuda", "A100", "H100", "H200", "B200"),
        default="cpu",
        help="this machine's CPU or GPU, or a card (default: cpu)",
    )
    bench.add_argument("--repeat", type=positive, default=15, metavar="N", help="rounds (default: 15)")
    bench.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    bench.add_argument("--json", type=Path, metavar="FILE", help="also store the results")
    plan.add_argument("--memory", type=_bytes, metavar="SIZE", help="workspace, as 64MB or 2GB (default: by device)")


def _shape(text: str) -> tuple[int, ...]:
    sizes = text.replace("x", ",").replace("×", ",").split(",")
    if len(sizes) < 2 or not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is no shape, expected positive numbers as in 4096,32000")
    return tuple(map(int, sizes))


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMG]?)(i?)B?", text.strip())
    size = 0
    if found:
        size = int(float(found[1]) * (1024 if found[3] else 1000) ** " kMG".index(found[2] or " "))
    if size < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no size, expected a number of bytes as in 64MB or 2GiB")
    return size


def _seed(text: str) -> int:
    seed = int(text) if text.isdecimal() else -1
    if not 0 <= seed < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number in [0, 2^63)")
    return seed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    _terminal.prepare()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    name = f"crossentropy {command}".strip()
    try:
        with _interrupts_stay():
            try:
                return _run(command, arguments)
            finally:
                _terminal.flush()
    except KeyboardInterrupt:
        _terminal.print_line(f"{name}: interrupted", error=True)
        return 130
    except BrokenPipeError:  # the reader has seen enough, as head does
        _terminal.abandon()
        return 141
    except OSError as error:  # a full disk, also where standard output goes
        _terminal.abandon()
        return _fail(f"{name}: {_reason(error)}")


@contextlib.contextmanager
def _interrupts_stay() -> Iterator[None]:
    """An interrupt ends the command as one, also where a library that is being imported makes another error of it."""
    seen: list[int] = []

    def interrupt(number: int, _: object) -> NoReturn:
        seen.append(number)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    ours = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except Exception as error:
        if seen:
            raise KeyboardInterrupt from error
        raise
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


def _run(command: str, arguments: Sequence[str]) -> int:
    if command == "explain" and arguments[0] == command:
        return _explain(arguments[1:])
    if command == "doctor":
        return _doctor(arguments)
    parser = _parser(command)
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    return {"demo": _run_demo, "convert": _convert, "bench": _bench, "plan": _plan}[options.command](options)


def _explain(arguments: Sequence[str]) -> int:
    """The command `explain`, whose words, unlike the others', are in two languages."""
    from crossentropy._explain import _command
    from crossentropy._explain._words import say

    lang = _command.language_of(arguments)
    name, words = "crossentropy explain", functools.partial(say, lang)
    parser = _command.Parser(prog=name, description=words("cli.description"), lang=lang)
    _command.add_arguments(parser, lang)
    options = parser.parse_args(arguments)
    unusable = _unusable_output(options, words)
    if unusable:
        return _fail(f"{name}: {unusable}")
    try:
        explanations = _command.explanations(options, lang)
    except UnusableInputError as error:
        return _fail(f"{name}: {error}")
    if options.json:
        contents = [e.to_dict() for e in explanations]
        shown = contents[0] if len(contents) == 1 else contents
        _terminal.print_json(json.dumps(shown, ensure_ascii=False, indent=1))
    else:
        for e in explanations:
            _show(e.to_markdown() if options.markdown else e)
    for file, title, data in _files_of(explanations[-1], options, lang):
        _disk.write({file: data})
        _terminal.print_line(words("cli.written", file=file, title=title), error=True)
    if options.html is not None and options.logits is None and options.unit != "nat":
        _terminal.print_line(words("cli.unit_of_chain"), error=True)
    return 0


def _files_of(e: "Explanation", options: argparse.Namespace, lang: str) -> "Iterator[tuple[Path, str, bytes]]":
    """The files that are asked for, and what is in them, each made when its turn comes; without input, the chain."""
    from crossentropy._explain._page import page

    if options.html is not None and options.logits is None:
        chain = crossentropy.explain.chain(lang)
        yield options.html, chain.title, chain.to_html().encode()
    elif options.html is not None:
        yield options.html, e.title, page(e).encode()
    if options.plot is not None:
        figure = io.BytesIO()
        crossentropy.ExplanationDisplay(e).plot().figure_.savefig(figure, format=options.plot.suffix[1:].lower())
        yield options.plot, e.title, figure.getvalue()


def _unusable_output(options: argparse.Namespace, words: Callable[..., str]) -> str | None:
    """Why a file could not be written, before anything is computed."""
    for option, file in (("--html", options.html), ("--plot", options.plot)):
        if file is None:
            continue
        if any(read is not None and _same_file(file, Path(read)) for read in _inputs(options)):
            return words("cli.overwrites", option=option, file=file)
        if option == "--plot" and file.suffix.lower() not in (".png", ".svg", ".pdf"):
            return words("cli.figure", file=file)
        if option == "--plot" and importlib.util.find_spec("matplotlib") is None:
            return words("cli.missing", option=option, package="matplotlib", command=installation("explain"))
        try:
            _check_writable(file)
        except OSError as error:
            return words("cli.unwritable", option=option, file=file, reason=error.strerror)
    return None


def _inputs(options: argparse.Namespace) -> tuple[str | None, ...]:
    """The files that are read."""
    return (
        *(options.logits, options.targets, options.linear_weight, options.linear_bias),
        *(options.weight, options.token_weight),
    )


def _same_file(file: Path, other: Path) -> bool:
    """Whether two paths lead to one file that exists."""
    try:
        return file.samefile(other)
    except OSError:
        return False


def _show(shown: object) -> None:
    """Print in colour on a terminal that has rich, else as text."""
    if not isinstance(shown, str) and sys.stdout.isatty() and importlib.util.find_spec("rich") is not None:
        _terminal.console().print(shown)
    else:
        _terminal.print_text(f"{shown}\n\n")


def _doctor(arguments: Sequence[str]) -> int:
    """The command `doctor`: what follows `--` are arguments of the script."""
    from crossentropy.doctor import _command, _output

    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = _parser("doctor").parse_args(arguments[:end])
    if options.fix and (options.run is not None or options.output_format != "text"):
        return _fail(
            "crossentropy doctor: --fix shows changes of files that are read, as text: no --run, no other format"
        )
    try:
        if options.explain is not None:
            about = _output.LANGUAGES[options.lang].about
            _terminal.print_text("\n\n\n".join(map(about, _command.described(options.explain))) + "\n")
            return 0
        wanted = _command.settings(options)
        with _counting() as progress:
            examination = _command.examine(options, arguments[end + 1 :], wanted, progress)
    except (UnusableInputError, ChildProcessError) as error:
        return _fail(f"crossentropy doctor: {error}")
    findings = examination.findings
    language = _output.LANGUAGES[options.lang]
    if options.output_format == "text":
        text = language.findings(findings)
    else:
        text = _output.FORMATS[options.output_format](findings, examination.passed)
    if options.output_format in ("json", "sarif"):
        _terminal.print_json(text)
    elif text:
        _terminal.print_text(f"{text}\n")
    if options.output_format == "text" and not examination.nothing:
        _terminal.print_text(f"{chr(10) if text else ''}{language.summary(findings, examination.what)}\n")
    for note in (*examination.notes, *["nothing was examined"] * examination.nothing):
        _terminal.print_line(f"crossentropy doctor: {note}", error=True)
    if options.fix:
        return _offer(options, findings) or examination.code(wanted)
    return examination.code(wanted)


def _offer(options: argparse.Namespace, findings: "Sequence[Finding]") -> int:
    """Show what convert can mend of what the doctor found."""
    from crossentropy.doctor import _command_convert

    paths = options.paths or [Path()]
    try:
        conversions = _command_convert.mended(paths, findings)
    except UnusableInputError as error:
        return _fail(f"crossentropy doctor: {error}")
    for path, conversion in conversions.items():
        _terminal.print_text(conversion.diff(path))
    changes = sum(len(conversion.changes) for conversion in conversions.values())
    command = f"crossentropy convert --unsafe --keep-torch --write {' '.join(map(str, paths))}"
    said = f"{command} makes these changes" if changes else "nothing of this can be mended by convert"
    _terminal.print_line(said if findings else "there is nothing to mend", error=True)
    return 0


def _convert(options: argparse.Namespace) -> int:
    from crossentropy.doctor import _command_convert

    try:
        texts, conversions, notes = _command_convert.convert(options)
        notes += _command_convert.write(texts, conversions) if options.write else []
    except UnusableInputError as error:
        return _fail(f"crossentropy convert: {error}")
    except OSError as error:
        return _fail(f"crossentropy convert: nothing was written: {_reason(error)}")
    for path, conversion in conversions.items():
        if options.write:
            for change in conversion.changes:
                _terminal.print_line(f"{path}:{change}")
        else:
            diff = conversion.diff(path)
            _terminal.print_text(diff)
            if diff != _terminal.escaped(diff, lines=True):
                notes.append(f"{path}: control characters are shown escaped, so patch cannot apply this: use --write")
    for line in _command_convert.left(conversions, written=options.write):
        _terminal.print_line(line, error=True)
    for note in notes:
        _terminal.print_line(f"crossentropy convert: {note}", error=True)
    count = sum(len(conversion.changes) for conversion in conversions.values())
    end = "written" if options.write else "--write makes them"
    _terminal.print_line(f"{count} change{'s' * (count != 1)}{f': {end}' if count else ', nothing to do'}", error=True)
    return int(options.check and count > 0)


@contextlib.contextmanager
def _counting() -> Iterator[Callable[[int, int], None] | None]:
    """A line on a terminal that counts files; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return

    def show(done: int, total: int) -> None:
        _terminal.show_progress(f"{done:,} of {total:,} files")

    try:
        yield show
    finally:
        _terminal.show_progress("")


def _bench(options: argparse.Namespace) -> int:
    from crossentropy import _benchmark

    missing = _missing_device(options)
    if missing:
        return _fail(missing)
    if options.json is not None:
        try:
            _check_writable(options.json)
        except OSError as error:
            return _fail(f"crossentropy bench: --json: cannot write {options.json}: {error.strerror}")
    case = _benchmark.Case("shape", options.shape, options.dtype, not options.forward)
    try:
        report = _benchmark.measure(case, device=options.device, repeat=options.repeat, compiled=not options.no_compile)
    except (MemoryError, RuntimeError) as error:
        if "memory" not in str(error) and not isinstance(error, MemoryError):
            raise
        return _fail(f"crossentropy bench: {case} does not fit into memory: {error}")
    _terminal.print_text(f"{report}\n")
    if options.json is not None:
        stored = {**_benchmark.machine(), "cases": [report.to_dict()]}
        _disk.write({options.json: (json.dumps(stored, indent=1) + "\n").encode()})
    return 0


def _plan(options: argparse.Namespace) -> int:
    import torch

    from crossentropy import _benchmark, _dispatch
    from crossentropy._planner import CARDS, machine_of

    missing = _missing_device(options)
    if missing:
        return _fail(missing)
    case = _benchmark.Case("shape", options.shape, options.dtype, not options.forward)
    card = CARDS.get(options.device)
    device = options.device if card is None else "cuda"
    backend = None if card is None or options.dtype == "float64" else _dispatch.CARDS
    selection, chosen = _benchmark.plan_of(case, device, options.memory, backend)
    machine = card or _benchmark.measured(machine_of(torch.device(device)), getattr(torch, options.dtype), device)
    _terminal.print_text(f"{case}\nbackend {selection}\n{chosen}\n")
    _terminal.print_line(
        f"about {_benchmark.predicted_seconds(case, chosen, machine):.2g} s at {'the measured ' * (card is None)}"
        f"{machine.flops / 1e9:,.0f} GFLOP/s of products and {machine.bandwidth / 1e9:,.0f} GB/s of copies"
    )
    return 0


def _missing_device(options: argparse.Namespace) -> str | None:
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        return f"crossentropy {options.command}: --device cuda: this machine, or this build of torch, has none"
    return None


def _run_demo(options: argparse.Namespace) -> int:
    try:
        import matplotlib  # noqa: F401
        import rich  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        return _fail(f"crossentropy demo: {error.name} is missing — {installation('demo')}")
    return _demo(options.quick, options.seed, options.out, options.text)


def _demo(quick: bool, seed: int, out: Path, text: Path | None) -> int:
    from crossentropy.demo import chain, digits, language
    from crossentropy.demo.report import to_html

    console, began = _terminal.console(), time.perf_counter()
    report = out / "demo-report.html"
    try:  # what can fail for the user's reasons comes first
        corpus = language.load(text)
        _check_writable(report)
    except language.UnusableTextError as error:
        return _fail(f"crossentropy demo: --text: {error}")
    except OSError as error:
        return _fail(f"crossentropy demo: --out: cannot write {report}: {error.strerror}")

    sections: list[Section] = []

    def show(section: "Section") -> None:
        sections.append(section)
        _print(console, section)

    quantities, batch = chain.lines(), chain.batch(seed)
    show(chain.section(quantities, batch))
    with _progress(console) as progress:
        runs = digits.run(5 if quick else 30, seed, progress)
    show(digits.section(runs))
    with _progress(console) as progress:
        trainings = language.run(corpus, 40 if quick else 400, seed, progress)
    show(language.section(corpus, trainings))

    _disk.write({report: to_html("crossentropy: from −log p to a language model", sections).encode()})
    done = f"\nDone in {time.perf_counter() - began:.0f} s. The report, with figures: {report}"
    console.print(done, markup=False, highlight=False, soft_wrap=True)
    agree = all(thing.agrees for thing in (*quantities, batch, *trainings))
    if not agree:
        console.print("[bold red]A number differs from torch's: see above.[/bold red]")
    return 0 if agree else 1


def _check_writable(file: Path) -> None:
    """Raise OSError now rather than after the training."""
    file.parent.mkdir(parents=True, exist_ok=True)
    _disk.check_writable(file)


def _print(console: "Console", section: "Section") -> None:
    """A section as text; its figures are for the report."""
    from rich import box, markup
    from rich.table import Table as RichTable

    from crossentropy.demo.report import Figure, Table

    console.rule(f"[bold]{markup.escape(section.title)}")
    for part in section.parts:
        if isinstance(part, Table):
            table = RichTable(box=box.SIMPLE)
            for heading in part.header:
                table.add_column(
                    markup.escape(heading), no_wrap=heading in ("formula", "value", "logits z"), overflow="fold"
                )
            for row in part.rows:
                table.add_row(*map(markup.escape, row))
            console.print(table)
        elif isinstance(part, crossentropy.Explanation):
            _print_briefly(console, part)
        elif not isinstance(part, Figure):
            console.print(part, markup=False, highlight=False)


def _print_briefly(console: "Console", e: "Explanation") -> None:
    """The formulae of an explanation with their numbers, those of one row; the report has all of it."""
    from rich import box, markup
    from rich.table import Table as RichTable

    table = RichTable(box=box.SIMPLE)
    for heading in ("step", "its formula, with the numbers of the first row"):
        table.add_column(heading)
    for step in e.steps:
        if step.numbers:
            table.add_row(*map(markup.escape, (step.name, str(step.numbers))))
    console.print(table)
    console.print(e.check, markup=False, highlight=False)


@contextlib.contextmanager
def _progress(console: "Console") -> "Iterator[Progress]":
    """A bar for each thing that is done in steps."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console) as bars:
        tasks = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        yield progress
