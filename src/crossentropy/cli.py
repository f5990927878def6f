"""The command line: `crossentropy COMMAND`, where `COMMANDS` lists the commands.

A command is imported when it runs, and torch by those that compute. Without arguments the overview is shown.
Exit codes: 0 done · 1 a check failed, or something was found · 2 wrong arguments or unusable files, with one line
that says what to do · 130 interrupted · 141 nobody reads what is printed.
"""

import _thread
import argparse
import contextlib
import functools
import importlib.util
import io
import json
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import crossentropy
from crossentropy import _disk, _terminal
from crossentropy._languages import Language, asked
from crossentropy._parser import Parser, nearest, say, wrapped
from crossentropy._progress import progress
from crossentropy._usage import UnusableInputError, installation

if TYPE_CHECKING:
    from crossentropy import Explanation
    from crossentropy.doctor import Finding


class Command(NamedTuple):
    """A command, before anything of it is imported."""

    group: str
    summary: str
    """In the overview."""
    arguments: str
    """What gives a parser its arguments, and says what they are for: a module, and a function of it."""
    run: Callable[[argparse.Namespace, Sequence[str], Language], int]
    """Of parsed arguments, those after `--`, and the language."""


# --- parsers --------------------------------------------------------------------------------------------------------


def parser_of(name: str, lang: Language) -> Parser:
    """The parser of a command, with the options that all have."""
    module, _, function = COMMANDS[name].arguments.partition(":")
    parser = Parser(prog=f"crossentropy {name}", lang=lang)
    getattr(import_module(f"crossentropy.{module}"), function)(parser)
    last = parser._action_groups[-1]
    if name != "completion":
        last.add_argument("-q", "--quiet", action="store_true", help="do not say what is being done")
    last.add_argument("-h", "--help", action="help", help="show this text")
    return parser


def _overview(lang: Language) -> str:
    """What `crossentropy` alone prints."""
    lines = [
        say("usage: crossentropy COMMAND [options]", lang),
        "",
        say("The cross-entropy library for PyTorch.", lang),
    ]
    for group in dict.fromkeys(command.group for command in COMMANDS.values()):
        lines += ["", say(group, lang)]
        members = [(name, command) for name, command in COMMANDS.items() if command.group == group]
        lines += [f"  {name:<12}{say(command.summary, lang)}" for name, command in members]
    examples = "\n".join(f"  {line:<48}# {say(what, lang)}" for line, what in EXAMPLES.items())
    codes = (
        "exit codes: 0 done · 1 a check failed, or something was found · 2 wrong arguments or unusable files · "
        "130 interrupted · 141 nobody reads what is printed"
    )
    more = say("crossentropy COMMAND --help describes a command; --version prints the version.", lang)
    return "\n".join([*lines, "", say("examples", lang), examples, "", more, *wrapped(say(codes, lang), 90)]) + "\n"


# --- the process --------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    _terminal.prepare()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    command = arguments[0] if arguments and not arguments[0].startswith("-") else ""
    name = f"crossentropy {command}" if command in COMMANDS else "crossentropy"
    try:
        with _interrupts_stay():
            try:
                return _run(command, arguments)
            finally:
                _terminal.flush()
    except UnusableInputError as error:
        return _fail(f"{name}: {error}")
    except KeyboardInterrupt:
        _terminal.print_line(f"{name}: {say('interrupted', asked(arguments))}", error=True)
        return 130
    except BrokenPipeError:  # the reader has seen enough, as head does
        _terminal.abandon()
        return 141
    except OSError as error:  # a full disk, also where standard output goes
        _terminal.abandon()
        return _fail(f"{name}: {_reason(error)}")


def _fail(message: str) -> int:
    _terminal.print_line(message, error=True)
    return 2


def _reason(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


@contextlib.contextmanager
def _interrupts_stay() -> Iterator[None]:
    """An interrupt ends the command as one, also where a library that is being imported makes another error of it.

    One that comes within a callback, of which Python makes a message on standard error, comes once more.
    """
    seen: list[int] = []
    pending: list[threading.Timer] = []

    def interrupt(number: int, _: object) -> NoReturn:
        seen.append(number)
        raise KeyboardInterrupt

    def swallowed(what: "sys.UnraisableHookArgs") -> None:
        if issubclass(what.exc_type, KeyboardInterrupt):
            pending.append(threading.Timer(0.01, _thread.interrupt_main))
            pending[-1].start()
        else:
            hook(what)

    before, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
    ours = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, interrupt)
        sys.unraisablehook = swallowed
    try:
        yield
    except Exception as error:
        if seen:
            raise KeyboardInterrupt from error
        raise
    finally:
        for again in pending:
            again.cancel()
        if ours:
            signal.signal(signal.SIGINT, before)
            sys.unraisablehook = hook


def _run(command: str, arguments: Sequence[str]) -> int:
    end = arguments.index("--") if "--" in arguments and command == "doctor" else len(arguments)
    lang = asked(arguments[:end])
    if command in COMMANDS:
        options = parser_of(command, lang).parse_args(arguments[1:end])
        return COMMANDS[command].run(options, arguments[end + 1 :], getattr(options, "lang", None) or lang)
    first = arguments[0] if arguments else "--help"
    if first == "--version":
        _terminal.print_line(f"crossentropy {crossentropy.__version__}")
    elif first.partition("=")[0] in ("-h", "--help", "--lang"):
        _terminal.print_text(_overview(lang))
    else:
        near = nearest(first, COMMANDS)
        what = f"there is no {'option' if first.startswith('-') else 'command'} {first}"
        hint = f"did you mean {near}? (see crossentropy --help)" if near else "crossentropy --help lists the commands"
        raise UnusableInputError(say(f"{what}; {hint}", lang))
    return 0


# --- commands -----------------------------------------------------------------------------------------------------


def _explain(options: argparse.Namespace, _: Sequence[str], lang: Language) -> int:
    from crossentropy._explain._words import say as say_in

    words = functools.partial(say_in, lang)
    unusable = _unusable_output(options, words)
    if unusable:
        raise UnusableInputError(unusable)
    with progress(quiet=options.quiet) as show:
        show(words("cli.working"), 0, 0)
        from crossentropy._explain import _command

        explanations = _command.explanations(options, lang)
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


def _files_of(e: "Explanation", options: argparse.Namespace, lang: Language) -> "Iterator[tuple[Path, str, bytes]]":
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
            _disk.check_writable(file, parents=True)
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


def _doctor(options: argparse.Namespace, arguments: Sequence[str], lang: Language) -> int:
    """The command `doctor`; the arguments are those of the script."""
    from crossentropy.doctor import _command, _output, _translation

    def words(text: str) -> str:
        return _translation.say(text, lang)

    def told(done: int, total: int) -> None:
        show(words("examining files"), done, total)

    language = _output.LANGUAGES[lang]
    try:
        if options.fix and (options.run is not None or options.output_format != "text"):
            raise UnusableInputError("--fix shows changes of files that are read, as text: no --run, no other format")
        if options.explain is not None:
            about = "\n\n\n".join(map(language.about, _command.described(options.explain)))
            _terminal.print_text(f"{about}\n")
            return 0
        wanted = _command.settings(options)
        with progress(quiet=options.quiet or options.run is not None) as show:
            told(0, 0)
            examination = _command.examine(options, arguments, wanted, told, lang)
    except (UnusableInputError, ChildProcessError) as error:
        raise UnusableInputError(words(str(error))) from error
    findings, as_text = examination.findings, options.output_format == "text"
    text = _output.FORMATS[options.output_format](findings, examination.passed, lang)
    if options.output_format in ("json", "sarif"):
        _terminal.print_json(text)
    elif text:
        _terminal.print_text(f"{text}\n")
    if as_text and not examination.nothing:
        _terminal.print_text(f"{chr(10) if text else ''}{language.summary(findings, examination.what)}\n")
    for note in (*examination.notes, *["nothing was examined"] * examination.nothing):
        _terminal.print_line(f"crossentropy doctor: {words(note)}", error=True)
    if options.fix:
        _offer(options, findings, words)
    return examination.code(wanted)


def _offer(options: argparse.Namespace, findings: "Sequence[Finding]", words: Callable[[str], str]) -> None:
    """Show what convert can mend of what the doctor found."""
    from crossentropy.doctor import _command_convert

    paths = _command_convert.concerned(options.paths or [Path()], findings)
    try:
        with progress(quiet=options.quiet) as show:
            show(words("finding what to change"), 0, 0)
            conversions = _command_convert.mended(paths, findings)
    except UnusableInputError as error:
        raise UnusableInputError(words(str(error))) from error
    for path, conversion in conversions.items():
        _terminal.print_text(conversion.diff(path, words))
    changes = sum(len(conversion.changes) for conversion in conversions.values())
    command = f"crossentropy convert --unsafe --keep-torch --write {shlex.join(map(str, paths))}"
    said = f"{command} makes these changes" if changes else "nothing of this can be mended by convert"
    _terminal.print_line(words(said if findings else "there is nothing to mend"), error=True)


def _convert(options: argparse.Namespace, _: Sequence[str], lang: Language) -> int:
    from crossentropy.doctor import _command_convert, _translation

    def words(text: str) -> str:
        return _translation.say(text, lang)

    def told(what: str, done: int, total: int) -> None:
        show(words(what), done, total)

    with progress(quiet=options.quiet) as show:
        try:
            texts, conversions, notes = _command_convert.convert(options, progress=told)
            notes += _command_convert.write(texts, conversions) if options.write else []
        except UnusableInputError as error:
            raise UnusableInputError(words(str(error))) from error
        except OSError as error:
            raise UnusableInputError(words(f"nothing was written: {_reason(error)}")) from error
        told("checking what remains", 0, 0)
        left = _command_convert.left(conversions, written=options.write, lang=lang)
    for path, conversion in conversions.items():
        if options.write:
            for change in conversion.changes:
                _terminal.print_line(
                    f"{path}:{change.line}:{change.column}: {change.rule}: {words(change.description)}"
                )
        else:
            diff = conversion.diff(path, words)
            _terminal.print_text(diff)
            if diff != _terminal.escaped(diff, lines=True):
                notes.append(f"{path}: control characters are shown escaped, so patch cannot apply this: use --write")
    for line in left:
        _terminal.print_line(line, error=True)
    for note in notes:
        _terminal.print_line(f"crossentropy convert: {words(note)}", error=True)
    count = sum(len(conversion.changes) for conversion in conversions.values())
    end = "written" if options.write else "--write makes them"
    said = f"{count} change{'s' * (count != 1)}{f': {end}' if count else ', nothing to do'}"
    _terminal.print_line(words(said), error=True)
    return int(options.check and count > 0)


def _bench(options: argparse.Namespace, _: Sequence[str], lang: Language) -> int:
    from crossentropy import _measuring

    return _measuring.bench(options)


def _plan(options: argparse.Namespace, _: Sequence[str], lang: Language) -> int:
    from crossentropy import _measuring

    return _measuring.plan(options)


def _demo(options: argparse.Namespace, _: Sequence[str], lang: Language) -> int:
    from crossentropy.demo import _command

    return _command.run(options, lang)


def _completion(options: argparse.Namespace, _: Sequence[str], lang: Language) -> int:
    from crossentropy import _completion
    from crossentropy.doctor.rules import RULES

    parsers = {name: parser_of(name, "en") for name in COMMANDS}
    summaries = {name: command.summary for name, command in COMMANDS.items()}
    found = _completion.commands(parsers, summaries, {"RULE": tuple(RULES)})
    _terminal.print_text(_completion.SHELLS[options.shell](found))
    return 0


COMMANDS: dict[str, Command] = {
    "explain": Command(
        "understand", "every step of a loss, with its numbers", "_explain._arguments:add_arguments", _explain
    ),
    "demo": Command(
        "understand", "from −log p to a trained language model, on real data", "demo._command:add_arguments", _demo
    ),
    "doctor": Command(
        "mend a program", "what is wrong with the losses of a program", "doctor._command:add_arguments", _doctor
    ),
    "convert": Command(
        "mend a program",
        "change a training script's loss to cross entropy",
        "doctor._command_convert:add_arguments",
        _convert,
    ),
    "plan": Command(
        "measure", "what a loss of some shape would need, without running it", "_measuring:add_plan_arguments", _plan
    ),
    "bench": Command(
        "measure", "time, memory and error of a loss on this machine", "_measuring:add_bench_arguments", _bench
    ),
    "completion": Command(
        "set up", "complete commands by Tab, in bash, zsh and fish", "_completion:add_arguments", _completion
    ),
}

EXAMPLES = {
    "crossentropy explain logits.csv labels.csv": "each number from logits to loss",
    "crossentropy doctor .": "read all files and notebooks here",
    "crossentropy doctor --run train.py": "run a script and watch its losses",
    "crossentropy convert train.py": "show what would change; --write changes it",
    "crossentropy plan --shape 8192,4096,128256": "memory and time of a language model's head",
}
