"""Parsers of commands, whose words are in two languages.

A parser is given English and says it in its language as it prints (`_languages.PhraseBook`, with the phrases of
`_chinese`): the help of arguments, its own words, and errors, which are one line.
"""

import argparse
import difflib
import functools
import re
import unicodedata
from collections.abc import Collection
from typing import Any, NoReturn

from crossentropy import _chinese, _terminal
from crossentropy._languages import Language, PhraseBook


def size(text: str) -> int:
    """A number of bytes, for an argument of a command: 64MB, 1.5GiB, 4096B. Who writes 2 has a unit in mind."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?)b?|b)", text.strip(), re.IGNORECASE)
    number, prefix, binary = found.groups() if found else ("0", "", "")
    amount = int(float(number) * (1024 if binary else 1000) ** " kmgt".index((prefix or " ").lower()))
    if amount < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no size, expected a number with its unit, as in 64MB or 2GiB")
    return amount


def nearest(name: str, known: Collection[str]) -> str | None:
    """What was probably meant: the first that begins so, or else looks like it."""
    begun = (one for one in known if len(name) > 3 and one.startswith(name))
    return next(begun, None) or next(iter(difflib.get_close_matches(name, known, 1)), None)


say = PhraseBook(_chinese.PHRASES).say
"""An English sentence of a command in a language."""


def joined(*sentences: str) -> str:
    """Sentences in a row: no space beside a full-width sign."""
    return re.sub(r"(?<=[）。]) | (?=[（])", "", " ".join(sentences))


class Parser(argparse.ArgumentParser):
    """A parser of one command."""

    def __init__(self, *, prog: str, lang: Language = "en", **keywords: Any) -> None:  # noqa: ANN401
        super().__init__(
            prog=prog,
            formatter_class=functools.partial(_Formatter, lang=lang),
            add_help=False,
            allow_abbrev=False,  # a part of a name may be another's, or a mistake
            **keywords,
        )
        self.lang: Language = lang

    def error(self, message: str) -> NoReturn:
        """One line, on standard error, with what was probably meant."""
        unknown = re.fullmatch(r"unrecognized arguments: (--[^\s=]+).*", message)
        near = unknown and nearest(unknown[1], self._option_string_actions)
        hints = [f"(did you mean {near}? see {self.prog} --help)" if near else f"(try {self.prog} --help)"]
        if unknown and "--run" in self._option_string_actions:
            hints.append("(the arguments of a script that --run runs follow --)")
        sentences = [say(one, self.lang) for one in (message, *hints)]
        _terminal.print_line(f"{self.prog}: {joined(*sentences)}", error=True)
        raise SystemExit(2)


class _Formatter(argparse.HelpFormatter):
    """Help in a language; a text of several lines keeps them, and lines are as wide as a terminal shows them."""

    def __init__(self, *arguments: Any, lang: Language, **keywords: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, max_help_position=26, **keywords)
        self._lang: Language = lang

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:  # noqa: ANN401
        super().add_usage(usage, actions, groups, say("usage: " if prefix is None else prefix, self._lang))

    def start_section(self, heading: str | None) -> None:
        super().start_section(None if heading is None else say(heading, self._lang))

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return None if action.help is None else say(action.help, self._lang)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrapped(text, width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = say(text, self._lang).split("\n")
        return "\n".join(indent + line for line in (wrapped(lines[0], width) if len(lines) == 1 else lines))

    def format_help(self) -> str:
        return re.sub(r"(?m)^(\S.*[\u4e00-\u9fff）]):$", r"\1：", super().format_help())


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most so many columns: an ideograph takes two, and a line may end after it; one line stays one."""
    if _columns(text) <= width:
        return [text]
    lines = [""]
    for piece in re.findall(r"\s+|[^\s\u3000-\u9fff\uff00-\uffef]+[，。；：、）？]*|.[，。；：、）？]*", text):
        if _columns(lines[-1] + piece.rstrip()) > width and lines[-1].strip():
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return [line.rstrip() for line in lines]


def _columns(text: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in text)
