"""The languages of what is printed: which one is meant, and a phrase book that says English sentences in another.

What commands find is English text, which is sorted, stored and sent between processes; it is said in another language
as it is printed. A phrase is a sentence with blanks, "{what} feeds {title}". What fills a blank is said in turn, and
what no phrase fits stays as it is: names, numbers, lines of source.
"""

import functools
import locale
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["en", "zh"]

_BLANK = re.compile(r"\{(\w+)\}")
_SIGN, _WIDE = "\u3000-\u303f\uff00-\uffef", "\u3000-\u303f\u4e00-\u9fff\uff00-\uffef"
_LOOSE = re.compile(rf"(?<=[{_SIGN}]) +(?=\S)|(?<=\S) +(?=[{_SIGN}])|(?<=[{_WIDE}]) +(?=[{_WIDE}])")
"""Spaces beside a full-width sign, or between two ideographs: what fills a blank may begin or end with either."""
_DEEPEST = 8
"""Phrases within phrases: text of a user's file may look like many of them."""


def of_locale() -> Language:
    """The language of the locale."""
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if os.environ.get(variable):
            return _of(os.environ[variable])
    return _of(locale.getlocale()[0] or "")


def _of(name: str) -> Language:
    return "zh" if name.lower().startswith(("zh", "chinese")) else "en"


def asked(arguments: Sequence[str]) -> Language:
    """The language that a command's arguments ask for, before they are parsed; that of the locale if they do not."""
    found = of_locale()
    for option, following in zip(arguments, [*arguments[1:], ""]):
        value = following if option == "--lang" else option.removeprefix("--lang=") if "=" in option else ""
        if value in ("en", "zh"):
            found: Language = "zh" if value == "zh" else "en"
    return found


@dataclass(frozen=True)
class Phrase:
    """A sentence with blanks, in two languages."""

    literals: tuple[str, ...]
    """What stands before, between and after the blanks."""
    blanks: tuple[str, ...]
    said: str

    @property
    def weight(self) -> int:
        """How much of a sentence it has to find: the phrase with most is tried first."""
        return sum(map(len, self.literals))

    def fill(self, text: str) -> dict[str, str] | None:
        """What stands in the blanks; None if the text is another sentence. Each part is sought once, from left."""
        first, *between, last = self.literals
        at, end = len(first), len(text) - len(last)
        if not (text.startswith(first) and text.endswith(last) and at <= end):
            return None
        values = []
        for literal in between:
            found = text.find(literal, at, end)
            if found < 0:
                return None
            values.append(text[at:found])
            at = found + len(literal)
        return dict(zip(self.blanks, [*values, text[at:end]]))


class PhraseBook:
    """Sentences of English, and what Chinese says for each."""

    def __init__(self, *chapters: Mapping[str, str]) -> None:
        self._all = {english: said for chapter in chapters for english, said in chapter.items()}
        self._whole = {english: said for english, said in self._all.items() if not _BLANK.search(english)}

    @functools.cached_property
    def _phrases(self) -> list[Phrase]:
        filled = [_phrase(english, said) for english, said in self._all.items() if english not in self._whole]
        return sorted(filled, key=lambda phrase: -phrase.weight)

    def say(self, text: str, lang: Language = "zh") -> str:
        """An English text in a language, as far as there are phrases for it."""
        if lang == "en":
            return text
        said = self._say(text, _DEEPEST)
        return text if said == text else _LOOSE.sub("", said)

    def _say(self, text: str, depth: int) -> str:
        if text in self._whole:
            return self._whole[text]
        if not depth or not text:
            return text
        for phrase in self._phrases:
            values = phrase.fill(text)
            if values is not None:
                return phrase.said.format(**{name: self._say(value, depth - 1) for name, value in values.items()})
        return self._parts(text, depth)

    def _parts(self, text: str, depth: int) -> str:
        """Sentences that were joined by semicolons."""
        parts = text.split("; ")
        said = [self._say(part, depth - 1) for part in parts] if len(parts) > 1 else parts
        return text if said == parts else "；".join(said)


def _phrase(english: str, said: str) -> Phrase:
    *pieces, last = _pieces(english)
    return Phrase((*(literal for literal, _ in pieces), last[0]), tuple(blank for _, blank in pieces), said)


def _pieces(english: str) -> Iterator[tuple[str, str]]:
    """Each blank with the text before it; the text after the last with none."""
    at = 0
    for blank in _BLANK.finditer(english):
        yield english[at : blank.start()], blank[1]
        at = blank.end()
    yield english[at:], ""
