"""What a file holds: named arrays, of which those of a table are columns; and the error of a file that is unusable.

numbers   a tensor: (N,) a column, (N, C) a column of lists, any shape elsewhere
Words     a column that holds anything else, as it is written: names of classes, or what nothing can be made of
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple

from torch import Tensor

from crossentropy._explain._words import say
from crossentropy._languages import Language
from crossentropy._terminal import escaped
from crossentropy._usage import installation

Role = Literal["input", "target", "weight", "token_weight", "linear_weight", "linear_bias"]

STDIN = "standard input"

_EXTRAS = {"pyarrow": "tables"}
"""The extra that has a package, if that is not `explain`."""
_SHOWN_CHARACTERS, _SHOWN_NAMES = 60, 12


class UnusableFileError(Exception):
    """A file from which the arrays cannot be had: the key of its words, without "file.", and what they are about."""

    def __init__(self, key: str, file: str, **values: str | int | Sequence[str]) -> None:
        super().__init__(key, file)
        self.key, self.file, self.values = key, file, values

    def message(self, lang: Language) -> str:
        """The error in one line."""
        package = self.values.get("package")
        command = installation(_EXTRAS.get(package, "explain") if isinstance(package, str) else "explain")
        shown = {name: shown_in(value, lang) for name, value in self.values.items()}
        return say(lang, f"file.{self.key}", file=file_name(self.file, lang), command=command, **shown)

    def __str__(self) -> str:
        return self.message("en")


class Words(NamedTuple):
    """A column that is no numbers."""

    cells: Sequence[str]
    """The text of each row; empty if it is no text either."""
    fault: UnusableFileError
    """Why there are no numbers, and where."""
    numeric: bool = False
    """Whether some of it are numbers, so that it may be meant to be some and is not left out."""


@dataclass(frozen=True)
class Arrays:
    """The arrays of a file by name, "" for the one without."""

    file: str
    arrays: Mapping[str, Tensor | Words]
    is_table: bool = False
    """Whether the arrays are columns, one entry for each row."""
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Names of the classes that a column of labels counts, by the name of the column."""


def file_name(file: str, lang: Language) -> str:
    """The file as messages name it."""
    return say(lang, "file.stdin") if file == STDIN else escaped(file)


def shown_in(value: str | int | Sequence[str], lang: Language) -> str:
    """A value as messages show it: escaped, and short."""
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        more = ["…"] if len(value) > _SHOWN_NAMES else []
        return ("、" if lang == "zh" else ", ").join([shown_in(name, lang) for name in value[:_SHOWN_NAMES]] + more)
    if len(value) > _SHOWN_CHARACTERS:
        value = f"{value[: _SHOWN_CHARACTERS // 2]}…{value[-_SHOWN_CHARACTERS // 2 :]}"
    return escaped(value) or say(lang, "file.nameless")
