"""`crossentropy convert`: files → their conversions. It prints nothing; `cli` does."""

import argparse
import gc
import io
import os
import tempfile
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from crossentropy import _disk
from crossentropy._usage import UnusableInputError
from crossentropy.doctor._finding import Finding, at_least
from crossentropy.doctor._source import examine

if TYPE_CHECKING:
    from crossentropy.doctor._convert import Conversion


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
    """The arguments of the command."""
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="the script, and the modules of its own that it imports"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--diff", action="store_true", help="show what would change, and write nothing (default)")
    what.add_argument("--write", action="store_true", help="change the files")
    parser.add_argument("--unsafe", action="store_true", help="also make changes that alter the value of the loss")
    parser.add_argument(
        "--to-linear", action="store_true", help="also compute the loss of a linear head without its logits"
    )
    parser.add_argument("--keep-torch", action="store_true", help="keep torch's losses, do not import crossentropy's")


def convert(options: argparse.Namespace) -> "tuple[Mapping[Path, Text], Mapping[str, Conversion]]":
    """The files as they are, and what becomes of them."""
    try:
        from crossentropy.doctor._convert import SourceError, convert_files
    except ModuleNotFoundError as error:
        raise UnusableInputError(f"{error.name} is missing — pip install 'crossentropy[doctor]'") from error
    files = {os.path.realpath(path): path for path in reversed(options.files)}  # each once, by its first name
    texts = {path: Text.read(path) for path in reversed(files.values())}
    try:
        conversions = convert_files(
            {str(path): text.text for path, text in texts.items()},
            unsafe=options.unsafe,
            to_linear=options.to_linear,
            package=not options.keep_torch,
        )
    except SourceError as error:
        raise UnusableInputError(str(error)) from error
    return texts, conversions


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
