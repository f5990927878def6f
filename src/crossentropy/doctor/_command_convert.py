"""`crossentropy convert`: files and folders → their conversions. It prints nothing; `cli` does."""

import argparse
import gc
import io
import os
import re
import tempfile
import tokenize
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from crossentropy import _disk
from crossentropy._languages import Language
from crossentropy._progress import Progress, silent
from crossentropy._usage import UnusableInputError, installation
from crossentropy.doctor._finding import Finding, at_least
from crossentropy.doctor._source import examine
from crossentropy.doctor._source._files import discover, is_data
from crossentropy.doctor._translation import findings_in, say

if TYPE_CHECKING:
    from crossentropy.doctor._convert import Conversion


_PLACE = re.compile(r"([^\s:(]+\.py):(\d+)")
"""A place in a message: of a file whose path has no blanks."""


@dataclass(frozen=True)
class Text:
    """A file's text, and what it takes to write it back."""

    text: str
    encoding: str
    data: bytes
    """The file, to the byte."""

    @classmethod
    def read(cls, path: Path) -> "Text":
        """Read a Python file as it declares itself to be; line ends and a byte order mark stay."""
        try:
            kind = _disk.kind(path)
            if kind != "file" or path.suffix == ".ipynb":
                raise UnusableInputError(f"{path}: a {'notebook' if kind == 'file' else kind}, expected Python files")
            if is_data(path):
                raise UnusableInputError(f"{path}: not Python by its name")
            data = path.read_bytes()
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
            encoding = encoding.removesuffix("-sig")
            text = data.decode(encoding)
            if text.encode(encoding) != data:
                raise UnusableInputError(f"{path}: what {encoding} decodes it does not encode again: use UTF-8")
            return cls(text, encoding, data)
        except OSError as error:
            raise UnusableInputError(f"{path}: {error.strerror}") from error
        except (SyntaxError, UnicodeError, LookupError) as error:
            raise UnusableInputError(f"{path}: not in the encoding that it declares, or UTF-8") from error

    def encoded(self, text: str, path: Path) -> bytes:
        """Another text for the same file."""
        try:
            return text.encode(self.encoding)
        except UnicodeError as error:
            raise UnusableInputError(f"{path}: {self.encoding} lacks a character of what is to be written") from error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command, and what they are for."""
    parser.description = (
        "Rewrite losses as cross entropy. What is done by default keeps the value of the loss; each change says what "
        "it does to it, and what would be a guess is left as it is, with the reason."
    )
    parser.epilog = (
        "Exit codes: 0 done, or nothing to do · 1 with --check, something would change · 2 nothing was read."
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="the script, and the modules of its own that it imports; or folders of them",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="show what would change; exit with 1 if anything would")
    what.add_argument("--diff", action="store_true", help="show what would change, and write nothing (default)")
    what.add_argument("--write", action="store_true", help="change the files")
    parser.add_argument("--unsafe", action="store_true", help="also make changes that alter the value of the loss")
    parser.add_argument(
        "--to-linear", action="store_true", help="also compute the loss of a linear head without its logits"
    )
    parser.add_argument("--keep-torch", action="store_true", help="keep torch's losses, do not import crossentropy's")
    parser.add_argument("--lang", choices=("en", "zh"), help="language (default: that of the locale)")


def convert(
    options: argparse.Namespace, rules: Collection[str] | None = None, progress: Progress = silent
) -> "tuple[Mapping[Path, Text], Mapping[str, Conversion], list[str]]":
    """The files as they are, what becomes of them, and what is to be said of files that were passed over."""
    try:
        from crossentropy.doctor._convert import SourceError, check, convert_files
    except ModuleNotFoundError as error:
        raise UnusableInputError(f"{error.name} is missing — {installation('doctor')}") from error
    texts: dict[Path, Text] = {}
    notes: list[str] = []
    given: set[Path] = set()
    for path, is_given in _files(options.files, notes):
        progress("reading files", len(texts), 0)
        given |= {path} if is_given else set()
        try:
            texts[path] = Text.read(path)
            check(texts[path].text.removeprefix("\ufeff"), str(path))
        except (UnusableInputError, SourceError) as error:
            if is_given:
                raise UnusableInputError(str(error)) from error
            texts.pop(path, None)
            notes.append(_passed_over(error))
    if not texts:
        raise UnusableInputError(f"there is no Python file in {', '.join(map(str, options.files))}")
    progress("finding what to change", 0, 0)
    while True:
        try:
            conversions = convert_files(
                {str(path): text.text for path, text in texts.items()},
                unsafe=options.unsafe,
                to_linear=options.to_linear,
                package=not options.keep_torch,
                rules=rules,
            )
        except SourceError as error:  # noqa: PERF203 (as above)
            if Path(error.path) in given or len(texts) == 1:
                raise UnusableInputError(str(error)) from error
            del texts[Path(error.path)]
            notes.append(_passed_over(error))
        else:
            return texts, conversions, notes


def _passed_over(error: Exception) -> str:
    return f"passed over: {error}; what it does with the other files is not seen"


def _files(paths: Sequence[Path], notes: list[str]) -> Iterator[tuple[Path, bool]]:
    """The files, each once by its first name, and whether it was named, or found in a folder."""
    seen: set[str] = set()
    for path in paths:
        is_given = _disk.kind(path) != "folder" if path.exists() else True
        found = [path] if is_given else sorted(discover([path], lambda at, why: notes.append(f"{at}: {why}")))
        for file in found:
            if os.path.realpath(file) not in seen and (is_given or file.suffix == ".py"):
                seen.add(os.path.realpath(file))
                yield file, is_given


def concerned(paths: Sequence[Path], findings: Sequence[Finding]) -> list[Path]:
    """The paths, and files elsewhere in which there is something to change, such as those of models."""
    causes = sorted({Path(finding.cause.path) for finding in findings if finding.cause is not None})
    given = [path.resolve() for path in paths]
    return [*paths, *(path for path in causes if not any(path.resolve().is_relative_to(one) for one in given))]


def mended(paths: Sequence[Path], findings: Sequence[Finding]) -> "Mapping[str, Conversion]":
    """What `convert --unsafe` would make of the files, as far as it mends what was found."""
    files = [path for path in paths if path.suffix != ".ipynb"]
    given = argparse.Namespace(files=files, unsafe=True, to_linear=False, keep_torch=True)
    return convert(given, rules={finding.rule for finding in findings})[1] if files and findings else {}


def left(conversions: "Mapping[str, Conversion]", *, written: bool, lang: Language = "en") -> list[str]:
    """What stays as it is and why: what was refused, and what the doctor still finds, each once.

    Lines are those of the files: as they were, unless they have been `written`.
    """
    from crossentropy.doctor._convert import Reasons

    findings = remaining(conversions)
    reasons = Reasons({path: one.source for path, one in conversions.items()}) if findings else None

    def place(path: str, line: int) -> tuple[str, int]:
        moved = not written and path in conversions
        return path, conversions[path].line_before(line) if moved else line

    said: list[str] = []
    explained: set[tuple[str, int, str]] = set()
    for finding in findings:
        path, line = place(finding.path, finding.line)
        reason = None if reasons is None else reasons.of(finding.rule, finding.path, finding.line)
        message = _PLACE.sub(lambda found: ":".join(map(str, place(found[1], int(found[2])))), finding.message)
        (shown,) = findings_in(lang, [replace(finding, line=line, message=message)])
        text = f"still to be mended: {shown}"
        if reason is not None:
            made, number = reason.made
            explained.add((made, conversions[made].line_before(number), finding.rule))
            where = _named(place(*reason.at), (path, line))
            text += f"; not rewritten: {say(f'{reason.text}{where}', lang)}. {say(reason.question, lang)}"
        said.append(say(text.rstrip(". "), lang))
    for path, one in conversions.items():
        for refusal in one.refusals:
            if (path, refusal.line, refusal.rule) not in explained:
                line = one.line_after(refusal.line) if written else refusal.line
                words = {"reason": say(refusal.reason, lang), "question": say(refusal.question, lang)}
                said.append(say(f"not rewritten: {path}:{replace(refusal, line=line, **words)}", lang))
    return said


def _named(place: tuple[str, int], beside: tuple[str, int]) -> str:
    """A place, as it is named in a line about another."""
    if place == beside:
        return ""
    return f" (line {place[1]})" if place[0] == beside[0] else f" ({place[0]}:{place[1]})"


def remaining(conversions: "Mapping[str, Conversion]") -> list[Finding]:
    """What the doctor finds in the converted files: what could not be followed, or is to be mended by hand."""
    paths = {path: Path(path).absolute() for path in conversions}
    common = os.path.commonpath([path.parent for path in paths.values()])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        copies = {str(root / path.relative_to(common)): given for given, path in paths.items()}
        for copy, given in copies.items():
            Path(copy).parent.mkdir(parents=True, exist_ok=True)
            Path(copy).write_text(conversions[given].source, "utf-8")
        found = list(at_least(examine([root]).findings, "likely"))
        gc.freeze()  # as in _command
    for copy, given in copies.items():
        found = [
            replace(one, path=one.path.replace(copy, given), message=one.message.replace(copy, given)) for one in found
        ]
    return found


def write(texts: Mapping[Path, Text], conversions: "Mapping[str, Conversion]") -> list[str]:
    """Write the files that change, all or none, and return what is to be said of them."""
    changed = {path: text for path, text in texts.items() if conversions[str(path)].source != text.text}
    notes = [f"{path}: other names of this file (hard links) keep the old text" for path in changed if _is_linked(path)]
    contents = {path: text.encoded(conversions[str(path)].source, path) for path, text in changed.items()}
    _disk.write(contents, instead_of={path: text.data for path, text in changed.items()})
    return notes


def _is_linked(path: Path) -> bool:
    return path.stat().st_nlink > 1
