"""`crossentropy convert`: files → their conversions. It prints nothing; `cli` does."""

import argparse
import io
import os
import tempfile
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from crossentropy.doctor._command import UnusableInputError
from crossentropy.doctor._finding import Finding, at_least
from crossentropy.doctor._source import examine

if TYPE_CHECKING:
    from crossentropy.doctor._convert import Conversion


@dataclass(frozen=True)
class Text:
    """A file's text, and what it takes to write it back."""

    text: str
    encoding: str

    @classmethod
    def read(cls, path: Path) -> "Text":
        """Read a Python file as it declares itself to be; line ends and a byte order mark stay."""
        try:
            data = path.read_bytes()
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
            encoding = encoding.removesuffix("-sig")
            return cls(data.decode(encoding), encoding)
        except OSError as error:
            raise UnusableInputError(f"{path}: {error.strerror}") from error
        except (SyntaxError, UnicodeDecodeError, LookupError) as error:
            raise UnusableInputError(f"{path}: not in the encoding that it declares, or UTF-8") from error


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
    for path in options.files:
        if path.is_dir() or path.suffix == ".ipynb":
            kind = "a folder" if path.is_dir() else "a notebook"
            raise UnusableInputError(f"{path}: {kind}, expected Python files")
    texts = {path: Text.read(path) for path in options.files}
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
    for copy, given in copies.items():
        found = [
            replace(one, path=one.path.replace(copy, given), message=one.message.replace(copy, given)) for one in found
        ]
    return found


def write(texts: Mapping[Path, Text], conversions: "Mapping[str, Conversion]") -> None:
    """Write the files that change."""
    for path, text in texts.items():
        converted = conversions[str(path)].source
        if converted != text.text:
            path.write_bytes(converted.encode(text.encoding))
