"""The command line: `crossentropy demo | explain | doctor | convert | bench | plan`. The only module that prints.

Exit codes: 0 done · 1 a check failed, or something was found · 2 wrong arguments or unusable files, with one line
that says what to do.
"""

import argparse
import contextlib
import functools
import importlib.util
import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import crossentropy

if TYPE_CHECKING:
    from rich.console import Console

    from crossentropy.demo.report import Progress, Section


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise SystemExit(_fail(f"{self.prog}: {message} (try {self.prog} --help)"))


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="crossentropy", description="The cross-entropy library for PyTorch.")
    parser.add_argument("--version", action="version", version=f"crossentropy {crossentropy.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    demo = commands.add_parser(
        "demo",
        help="from −log p to a trained language model, on real data",
        description="Compute the chain from information to the loss, train with three losses on scans of digits and "
        "train a language model; then write a report with figures.",
    )
    demo.add_argument("--quick", action="store_true", help="train for seconds instead of a minute")
    demo.add_argument("--seed", type=_seed, default=0, metavar="N", help="seed of all random numbers (default: 0)")
    demo.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where to write demo-report.html")
    demo.add_argument(
        "--text", type=Path, metavar="FILE", help="text of the language model (default: Python's library)"
    )
    commands.add_parser("explain", help="every step of a loss, with its numbers", add_help=False)  # see _explain
    _add_doctor(commands)
    _add_measuring(commands)
    return parser


def _add_doctor(commands: "argparse._SubParsersAction[_Parser]") -> None:
    from crossentropy.doctor import _command, _command_convert

    doctor = commands.add_parser(
        "doctor",
        help="what is wrong with the losses of a program",
        usage="%(prog)s [PATH …] [options]\n       %(prog)s --run SCRIPT [options] [-- ARGUMENT …]",
        description="Read Python files and notebooks, or run a script and watch its losses; report the mistakes around "
        "cross entropy, with what they cost and how to mend them.",
        epilog="Exit codes: 0 nothing found · 1 something found, or the script failed · 2 nothing could be examined · "
        "128 + n ended by signal n. Files that are given up do not change it.",
    )
    _command.add_arguments(doctor)
    convert = commands.add_parser(
        "convert",
        help="change a training script's loss to cross entropy",
        description="Rewrite losses as cross entropy. What is done by default keeps the value of the loss; each change "
        "says what it does to it, and what would be a guess is left as it is, with the reason.",
    )
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
        description="Print strategy, pieces, bytes, FLOPs and, from measured rates, the time to expect.",
    )
    for command in (bench, plan):
        command.add_argument(
            "--shape", type=_shape, required=True, help="N,C or N,C,d1,d2 of logits; N,D,V of hidden states and a head"
        )
        command.add_argument("--dtype", choices=("float32", "bfloat16", "float16", "float64"), default="float32")
        command.add_argument("--forward", action="store_true", help="forward alone, without gradients")
        command.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    bench.add_argument("--repeat", type=_positive, default=15, metavar="N", help="rounds (default: 15)")
    bench.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    bench.add_argument("--json", type=Path, metavar="FILE", help="also store the results")
    plan.add_argument("--memory", type=_bytes, metavar="SIZE", help="workspace, as 64MB or 2GB (default: by device)")


def _shape(text: str) -> tuple[int, ...]:
    sizes = text.replace("x", ",").replace("×", ",").split(",")
    if len(sizes) < 2 or not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is no shape, expected positive numbers as in 4096,32000")
    return tuple(map(int, sizes))


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number ≥ 1")
    return int(text)


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without − or Σ shows ? instead of ending the program
            stream.reconfigure(errors="replace")
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    command = arguments[0] if arguments else ""
    try:
        if command == "explain":
            return _explain(arguments[1:])
        if command == "doctor":
            return _doctor(arguments)
        options = _parser().parse_args(arguments)
        return {"demo": _run_demo, "convert": _convert, "bench": _bench, "plan": _plan}[options.command](options)
    except KeyboardInterrupt:
        print(f"crossentropy {command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader has seen enough, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


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
    except _command.UnusableInputError as error:
        return _fail(f"{name}: {error}")
    if options.json:
        contents = [e.to_dict() for e in explanations]
        print(json.dumps(contents[0] if len(contents) == 1 else contents, ensure_ascii=False, indent=1))
    else:
        for e in explanations:
            _show(e.to_markdown() if options.markdown else e)
    if options.html is not None:
        explanations[-1].to_html(options.html)
    if options.plot is not None:
        crossentropy.ExplanationDisplay(explanations[-1]).plot().figure_.savefig(options.plot)
    for file in (options.html, options.plot):
        if file is not None:
            print(words("cli.written", file=file, title=explanations[-1].title), file=sys.stderr)
    return 0


def _unusable_output(options: argparse.Namespace, words: Callable[..., str]) -> str | None:
    """Why a file could not be written, before anything is computed."""
    for option, file in (("--html", options.html), ("--plot", options.plot)):
        if file is None:
            continue
        if option == "--plot" and file.suffix.lower() not in (".png", ".svg", ".pdf"):
            return words("cli.figure", file=file)
        if option == "--plot" and importlib.util.find_spec("matplotlib") is None:
            return words("cli.missing", option=option, package="matplotlib")
        try:
            _check_writable(file)
        except OSError as error:
            return words("cli.unwritable", option=option, file=file, reason=error.strerror)
    return None


def _show(shown: object) -> None:
    """Print in colour on a terminal that has rich, else as text; signs that the terminal lacks get a likeness."""
    if not isinstance(shown, str) and sys.stdout.isatty() and importlib.util.find_spec("rich") is not None:
        from rich.console import Console

        return Console().print(shown)
    text = str(shown)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = text.translate(_LIKENESS)
    return print(text, end="\n\n")


_LIKENESS = str.maketrans(
    dict(zip("−–×·‖═₀₁₂“”", '--x*|=012""'))
    | {"…": "...", "²": "^2", "Σ": "sum", "∂": "d", "τ": "tau", "ℓ": "l", "λ": "lambda", "ε": "eps"}
    | {"✓": "ok", "✗": "WRONG"}
)
"""What stands for a sign on a terminal that cannot show it; a lost minus would be another number."""


def _doctor(arguments: Sequence[str]) -> int:
    """The command `doctor`: what follows `--` are arguments of the script."""
    from crossentropy.doctor import _command, _output
    from crossentropy.doctor._config import UnusableSettingsError

    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = _parser().parse_args(arguments[:end])
    try:
        if options.explain is not None:
            print("\n\n\n".join(map(_output.about, _command.described(options.explain))))
            return 0
        wanted = _command.settings(options)
        with _counting() as progress:
            examination = _command.examine(options, arguments[end + 1 :], wanted, progress)
    except (UnusableSettingsError, _command.UnusableInputError, ChildProcessError) as error:
        return _fail(f"crossentropy doctor: {error}")
    findings = examination.findings
    text = _output.FORMATS[options.output_format](findings, examination.passed)
    if text:
        print(text, flush=True)
    if options.output_format == "text":
        print(("\n" if text else "") + _output.summary(findings, examination.what))
    for note in examination.notes:
        print(f"crossentropy doctor: {note}", file=sys.stderr)
    return examination.code(wanted)


def _convert(options: argparse.Namespace) -> int:
    from crossentropy.doctor import _command_convert
    from crossentropy.doctor._command import UnusableInputError

    try:
        texts, conversions = _command_convert.convert(options)
        if options.write:
            _command_convert.write(texts, conversions)
    except (UnusableInputError, OSError) as error:
        return _fail(f"crossentropy convert: {error}")
    for path, conversion in conversions.items():
        if options.write:
            for change in conversion.changes:
                print(f"{path}:{change}")
        else:
            print(conversion.diff(path), end="")
    for path, conversion in conversions.items():
        for refusal in conversion.refusals:
            print(f"left as it is: {path}:{refusal}", file=sys.stderr)
    for finding in _command_convert.remaining(conversions):
        print(f"still to be mended: {finding}", file=sys.stderr)
    count = sum(len(conversion.changes) for conversion in conversions.values())
    end = "written" if options.write else "--write makes them"
    print(f"{count} change{'s' * (count != 1)}{f': {end}' if count else ', nothing to do'}", file=sys.stderr)
    return 0


@contextlib.contextmanager
def _counting() -> Iterator[Callable[[int, int], None] | None]:
    """A line on a terminal that counts files; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return

    def show(done: int, total: int) -> None:
        print(f"\r{done:,} of {total:,} files", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


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
    print(report)
    if options.json is not None:
        stored = {**_benchmark.machine(), "cases": [report.to_dict()]}
        options.json.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")
    return 0


def _plan(options: argparse.Namespace) -> int:
    import torch

    from crossentropy import _benchmark

    missing = _missing_device(options)
    if missing:
        return _fail(missing)
    case = _benchmark.Case("shape", options.shape, options.dtype, not options.forward)
    chosen = _benchmark.plan_of(case, options.device, options.memory)
    rates = _benchmark.Rates.measured(getattr(torch, options.dtype), options.device)
    seconds = _benchmark.predicted_seconds(case, chosen, rates)
    print(f"{case}\n{chosen}")
    print(
        f"about {seconds:.2g} s at the measured {rates.flops / 1e9:,.0f} GFLOP/s of products and "
        f"{rates.bytes / 1e9:,.0f} GB/s of copies"
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
        return _fail(f"crossentropy demo: {error.name} is missing — install the extra, as in pip install '.[demo]'")
    return _demo(options.quick, options.seed, options.out, options.text)


def _demo(quick: bool, seed: int, out: Path, text: Path | None) -> int:
    from rich.console import Console

    from crossentropy.demo import chain, digits, language
    from crossentropy.demo.report import to_html

    console, began = Console(), time.perf_counter()
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

    report.write_text(to_html("crossentropy: from −log p to a language model", sections), "utf-8")
    done = f"\nDone in {time.perf_counter() - began:.0f} s. The report, with figures: {report}"
    console.print(done, markup=False, highlight=False, soft_wrap=True)
    agree = all(thing.agrees for thing in (*quantities, batch, *trainings))
    if not agree:
        console.print("[bold red]A number differs from torch's: see above.[/bold red]")
    return 0 if agree else 1


def _check_writable(file: Path) -> None:
    """Raise OSError now rather than after the training, and leave nothing behind."""
    file.parent.mkdir(parents=True, exist_ok=True)
    existed = file.exists()
    with file.open("a"):
        pass
    if not existed:
        file.unlink()


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


def _print_briefly(console: "Console", e: crossentropy.Explanation) -> None:
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
