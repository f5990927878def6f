"""The arguments of `crossentropy explain`, whose words are in two languages. Nothing here needs torch."""

import argparse
import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossentropy._explain._words import say
from crossentropy._languages import Language
from crossentropy._parser import Parser

if TYPE_CHECKING:
    from crossentropy._explain._arrays import Role

ASKED: "Mapping[str, Role]" = {
    **dict.fromkeys(("logits", "input", "probs"), "input"),
    **dict.fromkeys(("label", "target"), "target"),
    **dict.fromkeys(("weight", "token_weight"), "token_weight"),
}
"""What `--from` calls the roles."""


def add_arguments(parser: Parser) -> None:
    """The arguments of the command, and what they are for."""
    lang = parser.lang
    parser.description = say(lang, "cli.description")
    parser.epilog = "Exit codes: 0 done · 2 wrong arguments, or files that cannot be used."

    def words(key: str) -> str:
        return say(lang, f"cli.{key}")

    files = parser.add_argument_group(words("files"))
    files.add_argument("logits", nargs="?", metavar="LOGITS", help=words("logits"))
    files.add_argument("targets", nargs="?", metavar="TARGETS", help=words("targets"))
    files.add_argument(
        "--from", nargs="+", type=_of_columns(lang), default=[], metavar="ROLE=A,B,…", help=words("from")
    )
    files.add_argument("--probs", action="store_true", help=words("probs"))
    files.add_argument("--linear-weight", metavar="FILE", help=words("linear_weight"))
    files.add_argument("--linear-bias", metavar="FILE", help=words("linear_bias"))
    files.add_argument("--class-names", metavar="A,B,…", help=words("class_names"))
    loss = parser.add_argument_group(words("loss"))
    loss.add_argument("--weight", metavar="FILE", help=words("weight"))
    loss.add_argument("--token-weight", metavar="FILE", help=words("token_weight"))
    loss.add_argument("--ignore-index", type=_number(int, lang), metavar="N", help=words("ignore_index"))
    loss.add_argument("--reduction", choices=("mean", "sum", "none"), default="mean", help=words("reduction"))
    for name in ("label-smoothing", "denominator", "z-loss", "softcap", "logit-scale"):
        loss.add_argument(f"--{name}", type=_number(float, lang), metavar="X", help=words(name.replace("-", "_")))
    output = parser.add_argument_group(words("output"))
    output.add_argument("--html", type=Path, metavar="FILE", help=words("html"))
    output.add_argument("--plot", type=Path, metavar="FILE", help=words("plot"))
    kinds = output.add_mutually_exclusive_group()
    kinds.add_argument("--json", action="store_true", help=words("json"))
    kinds.add_argument("--markdown", action="store_true", help=words("markdown"))
    output.add_argument("--lang", choices=("en", "zh"), help=words("lang"))
    output.add_argument("--unit", choices=("nat", "bit", "hartley"), default="nat", help=words("unit"))
    output.add_argument("--max-rows", type=_number(int, lang), default=6, metavar="N", help=words("max_rows"))
    output.add_argument("--max-classes", type=_number(int, lang), default=8, metavar="N", help=words("max_classes"))


def _number(kind: type, lang: Language) -> Callable[[str], Any]:
    def parse(text: str) -> Any:  # noqa: ANN401 (int or float)
        try:
            return kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(say(lang, f"cli.no_{kind.__name__}", text=text)) from None

    return parse


def _of_columns(lang: Language) -> Callable[[str], tuple[str, tuple[str, ...]]]:
    def parse(text: str) -> tuple[str, tuple[str, ...]]:
        try:
            return asked(text)
        except (ValueError, csv.Error):
            known = ", ".join(ASKED)
            raise argparse.ArgumentTypeError(say(lang, "cli.no_role", text=text, known=known)) from None

    return parse


def asked(text: str) -> tuple[str, tuple[str, ...]]:
    """A word of `ASKED` and the columns behind it; ValueError if that is not what the text says."""
    word, _, names = text.partition("=")
    columns = next(csv.reader([names], skipinitialspace=True, strict=True), []) if names.isprintable() else []
    if word not in ASKED or not columns:
        raise ValueError(text)
    return word, tuple(columns)
