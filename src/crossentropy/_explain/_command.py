"""`crossentropy explain`: files → explanations, and a line that says which columns were taken for what.

Without files it explains the examples of the tutorial that this package grew from. All words are in two languages.
"""

import argparse
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossentropy import _terminal
from crossentropy._explain import _columns, _files
from crossentropy._explain._api import explain
from crossentropy._explain._arguments import ASKED
from crossentropy._explain._arrays import Arrays, Role, UnusableFileError
from crossentropy._explain._chain._numbers import LABELS, LOGITS
from crossentropy._explain._explanation import Explanation
from crossentropy._explain._words import say
from crossentropy._languages import Language
from crossentropy._targets import LabelMistake, label_mistake
from crossentropy._terminal import escaped
from crossentropy._usage import UnusableInputError

_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)
"""Dtypes of which torch has little more than the name."""


def explanations(options: argparse.Namespace, lang: Language) -> list[Explanation]:
    """What the command explains."""
    if options.logits is None:
        return examples(options, lang)
    try:
        return [_of_files(options, lang)]
    except UnusableFileError as error:
        raise UnusableInputError(error.message(lang)) from None


def examples(options: argparse.Namespace, lang: Language) -> list[Explanation]:
    """The tutorial's: two outcomes of six rolls of a die, coins, a label and a prediction, a batch of three images."""
    shown: dict[str, Any] = {"lang": lang, "unit": options.unit}
    logits, labels = torch.tensor(LOGITS, dtype=torch.float64), torch.tensor(LABELS)
    names = [say(lang, f"example.{name}") for name in ("one_six", "all_sixes")]
    return [
        explain.information([1 - (5 / 6) ** 6, (1 / 6) ** 6], class_names=names, **shown),
        explain.entropy([[1.0, 0.0], [0.9, 0.1], [0.5, 0.5]], **shown),
        explain.kl([0.0, 1.0, 0.0], [0.1, 0.2, 0.7], class_names=["x1", "x2", "x3"], **shown),
        explain(
            probs=[[0.1, 0.2, 0.7]], target=torch.tensor([[0.0, 1.0, 0.0]]), class_names=["x1", "x2", "x3"], **shown
        ),
        explain(logits, labels, class_names=list("ABCDE"), **shown),
    ]


def _of_files(options: argparse.Namespace, lang: Language) -> Explanation:
    first, second = _loaded(options, lang)
    wanted = _wanted(options, lang)
    asked = {ASKED[word]: names for word, names in wanted.items()}
    alone = second is first
    y = _columns.columns(second, "target", asked.get("target", ()), shared=alone)
    taken = y if alone else ()
    rows = _columns.columns(first, "token_weight", asked["token_weight"]) if "token_weight" in asked else ()
    x_columns = _columns.columns(first, "input", asked.get("input", ()), shared=alone, taken=(*taken, *rows))
    x = _real(_columns.numbers(first, x_columns))
    if not x.dim():
        raise UnusableInputError(say(lang, "cli.scalar", file=escaped(first.file), role="input"))
    head, probs = options.linear_weight is not None, options.probs or "probs" in wanted
    names = _names(options) or _columns.class_names(first, () if head else x_columns, second, y)
    target = _columns.labels(second, y, names, _ignored(options))
    source = "hidden" if head else "probs" if probs else "input"
    keywords = _keywords(options) | {source: x, "lang": lang, "class_names": names}
    if rows:
        keywords["token_weight"] = _real(_columns.numbers(first, rows))
    if target.dtype in _UNSIGNED:
        target = target.long()
    if target.is_floating_point():
        target = _real(target)
    if target.is_floating_point() and bool((target == target.round()).all()) and target.dim() < x.dim():
        target = target.long()  # labels of a file that knows no integers
    if not target.is_floating_point() and target.shape == x.shape and x.dim() > 1:
        target = target.to(x.dtype)  # one-hot rows, of a file that knows no fractions
    if options.linear_weight is None:
        _check_target(target, x, options, second, lang)
    try:
        explanation = explain(target=target, **keywords)
    except (ValueError, TypeError, IndexError, RuntimeError, MemoryError) as error:  # torch's own are RuntimeErrors
        files = " ".join(dict.fromkeys((first.file, second.file)))
        raise UnusableInputError(f"{escaped(files)}: {' '.join(str(error).split())}") from error
    if not {"input", "target"} <= {*asked}:
        word = "hidden" if head else "probs" if probs else "logits"
        _tell(first, {word: x_columns, "label": taken, "weight": rows}, lang)
        _tell(second, {} if alone else {"label": y}, lang)
    if source == "input" and _like_probabilities(x):
        _terminal.print_line(say(lang, "cli.like_probs", file=escaped(first.file)), error=True)
    return explanation


def _like_probabilities(x: Tensor) -> bool:
    """Whether each row sums to 1, as probabilities do that are rounded to two digits: by 0.005 for each class."""
    dim = 1 if x.dim() > 1 else 0
    sums = x.double().sum(dim)
    return x.numel() > 0 and bool((x >= 0).all()) and bool(((sums - 1).abs() <= 0.005 * x.shape[dim]).all())


def _loaded(options: argparse.Namespace, lang: Language) -> tuple[Arrays, Arrays]:
    """The file with the logits and the one with the targets, which may be the same."""
    if options.logits == options.targets == "-":
        raise UnusableInputError(say(lang, "cli.one_stdin"))
    first = _files.load(options.logits)
    if options.targets is not None:
        return first, _files.load(options.targets)
    if len(first.arrays) == 1:
        single = Path(first.file).suffix.lower() in (".csv", ".tsv", ".npy") and not first.is_table
        raise UnusableInputError(say(lang, "cli.alone_kind" if single else "cli.alone", file=escaped(first.file)))
    return first, first


def _wanted(options: argparse.Namespace, lang: Language) -> dict[str, tuple[str, ...]]:
    """The columns that `--from` asks for, by the word that it has for them; each role is said once."""
    wanted: dict[str, tuple[str, ...]] = {}
    for word, names in getattr(options, "from"):
        role = ASKED[word]
        if role in map(ASKED.__getitem__, wanted):
            raise UnusableInputError(say(lang, "cli.role_twice", word=word, role=role))
        if role == "token_weight" and options.token_weight is not None:
            raise UnusableInputError(say(lang, "cli.given_twice", word=word, role=role))
        wanted[word] = names
    return wanted


def _tell(arrays: Arrays, taken: dict[str, tuple[str, ...]], lang: Language) -> None:
    """Say what was taken for what in a table, where that was not said by the user."""
    if arrays.is_table and taken and len(arrays.arrays) > 1:
        _terminal.print_line(_columns.summary(arrays, taken, lang), error=True)


def _keywords(options: argparse.Namespace) -> dict[str, Any]:
    """The keywords of `explain` that were given."""
    names = ("ignore_index", "label_smoothing", "denominator", "z_loss", "softcap", "logit_scale")
    numbers = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    roles: tuple[Role, ...] = ("weight", "token_weight", "linear_weight", "linear_bias")
    tensors = {role: _tensor(getattr(options, role), role) for role in roles if getattr(options, role) is not None}
    shown = {name: getattr(options, name) for name in ("reduction", "unit", "max_rows", "max_classes")}
    return numbers | tensors | shown


def _tensor(source: str, role: Role) -> Tensor:
    return _real(_columns.pick(_files.load(source), role))


def _real(tensor: Tensor) -> Tensor:
    """The tensor in a dtype that torch computes in, which those of eight bits are not."""
    return tensor if tensor.is_floating_point() and tensor.itemsize > 1 else tensor.float()


def _names(options: argparse.Namespace) -> tuple[str, ...] | None:
    """The names of classes that the option gives."""
    if options.class_names is None:
        return None
    return tuple(name.strip() for name in re.split("[,，]", options.class_names))


def _ignored(options: argparse.Namespace) -> int:
    return -100 if options.ignore_index is None else options.ignore_index


def _check_target(target: Tensor, x: Tensor, options: argparse.Namespace, arrays: Arrays, lang: Language) -> None:
    """Targets fit the logits and labels are in range: otherwise file, row and label are named."""
    dim = 1 if x.dim() > 1 else 0
    rows, classes = (*x.shape[:dim], *x.shape[dim + 1 :]), x.shape[dim]
    if target.shape == x.shape:
        return
    if target.shape != rows:
        got, rows, full = (" × ".join(map(str, shape)) or "1" for shape in (target.shape, rows, x.shape))
        file = escaped(arrays.file)
        raise UnusableInputError(say(lang, "cli.shape", file=file, got=got, rows=rows, full=full))
    if target.is_floating_point():
        broken = (target != target.round()).nonzero()[0].tolist()
        at = {"row": ", ".join(map(str, broken)), "label": f"{target[tuple(broken)].item():g}"}
        raise UnusableInputError(say(lang, "cli.label_broken", file=escaped(arrays.file), **at))
    marked = target == _ignored(options)
    wrong = ((target < 0) | (target >= classes)) & ~marked
    if wrong.any():
        place = ", ".join(str(int(i)) for i in wrong.nonzero()[0])
        label = int(target[tuple(wrong.nonzero()[0])])
        mistake = label_mistake(target[wrong], target[~marked], classes, marked=bool(marked.any()))
        file, hint = escaped(arrays.file), _label_hint(mistake, marked=bool(marked.any()), lang=lang)
        raise UnusableInputError(say(lang, "cli.label", file=file, row=place, label=label, last=classes - 1, hint=hint))


def _label_hint(mistake: LabelMistake, *, marked: bool, lang: Language) -> str:
    """The likely mistake behind labels out of range, in words."""
    if mistake.kind == "padding":
        return say(lang, "cli.label_padding", label=mistake.labels[0])
    if mistake.kind == "paddings":
        return say(lang, "cli.label_paddings")
    if mistake.kind == "from_one":
        return say(lang, "cli.label_from_one_but" if marked else "cli.label_from_one")
    most = mistake.labels[-1]
    return say(lang, "cli.label_classes", most=most, needed=most + 1) if mistake.kind == "too_few_classes" else ""
