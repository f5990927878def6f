"""`crossentropy explain`: arguments and files → explanations. It prints nothing; `cli` does.

Without files it explains the examples of the tutorial that this package grew from. All words are in two languages.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossentropy._explain import _files
from crossentropy._explain._api import explain
from crossentropy._explain._data import Language
from crossentropy._explain._explanation import Explanation
from crossentropy._explain._files import Arrays, Role, UnusableFileError
from crossentropy._explain._words import say
from crossentropy._targets import LabelMistake, label_mistake
from crossentropy._terminal import escaped
from crossentropy._usage import UnusableInputError

_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)
"""Dtypes of which torch has little more than the name."""


def add_arguments(parser: argparse.ArgumentParser, lang: Language) -> None:
    """The arguments of the command."""

    def words(key: str) -> str:
        return say(lang, f"cli.{key}")

    files = parser.add_argument_group(words("files"))
    files.add_argument("logits", nargs="?", metavar="LOGITS", help=words("logits"))
    files.add_argument("targets", nargs="?", metavar="TARGETS", help=words("targets"))
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
    logits = torch.tensor(
        [[1.2, 2.4, -0.3, 0.1, -1.0], [0.4, -0.6, 0.9, 0.2, 0.5], [-0.2, 1.1, 0.3, -0.8, 1.3]], dtype=torch.float64
    )
    names = [say(lang, f"example.{name}") for name in ("one_six", "all_sixes")]
    return [
        explain.information([1 - (5 / 6) ** 6, (1 / 6) ** 6], class_names=names, **shown),
        explain.entropy([[1.0, 0.0], [0.9, 0.1], [0.5, 0.5]], **shown),
        explain.kl([0.0, 1.0, 0.0], [0.1, 0.2, 0.7], class_names=["x1", "x2", "x3"], **shown),
        explain(
            probs=[[0.1, 0.2, 0.7]], target=torch.tensor([[0.0, 1.0, 0.0]]), class_names=["x1", "x2", "x3"], **shown
        ),
        explain(logits, torch.tensor([1, 3, 4]), class_names=list("ABCDE"), **shown),
    ]


def _of_files(options: argparse.Namespace, lang: Language) -> Explanation:
    if options.logits == options.targets == "-":
        raise UnusableInputError(say(lang, "cli.one_stdin"))
    first = _files.load(options.logits)
    alone = options.targets is None
    if alone and len(first.arrays) == 1:
        single = Path(first.file).suffix.lower() in (".csv", ".tsv", ".npy")
        raise UnusableInputError(say(lang, "cli.alone_kind" if single else "cli.alone", file=escaped(first.file)))
    second = first if alone else _files.load(options.targets)
    x, target = _files.pick(first, "input", shared=alone), _files.pick(second, "target", shared=alone)
    x = _real(x)
    if not x.dim():
        raise UnusableInputError(say(lang, "cli.scalar", file=escaped(first.file), role="input"))
    source = "hidden" if options.linear_weight is not None else "probs" if options.probs else "input"
    keywords = _keywords(options) | {source: x, "lang": lang, "class_names": _names(options, first)}
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
        return explain(target=target, **keywords)
    except (ValueError, TypeError, IndexError, RuntimeError, MemoryError) as error:  # torch's own are RuntimeErrors
        files = " ".join(dict.fromkeys((first.file, second.file)))
        raise UnusableInputError(f"{escaped(files)}: {' '.join(str(error).split())}") from error


def _keywords(options: argparse.Namespace) -> dict[str, Any]:
    """The keywords of `explain` that were given."""
    names = ("ignore_index", "label_smoothing", "denominator", "z_loss", "softcap", "logit_scale")
    numbers = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    roles: tuple[Role, ...] = ("weight", "token_weight", "linear_weight", "linear_bias")
    tensors = {role: _tensor(getattr(options, role), role) for role in roles if getattr(options, role) is not None}
    shown = {name: getattr(options, name) for name in ("reduction", "unit", "max_rows", "max_classes")}
    return numbers | tensors | shown


def _tensor(source: str, role: Role) -> Tensor:
    return _real(_files.pick(_files.load(source), role))


def _real(tensor: Tensor) -> Tensor:
    """The tensor in a dtype that torch computes in, which those of eight bits are not."""
    return tensor if tensor.is_floating_point() and tensor.itemsize > 1 else tensor.float()


def _names(options: argparse.Namespace, first: Arrays) -> list[str] | None:
    """The names of classes, from the option or from the first line of a CSV file."""
    if options.class_names is not None:
        return [name.strip() for name in options.class_names.split(",")]
    return None if first.header is None else list(first.header)


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
    ignored = -100 if options.ignore_index is None else options.ignore_index
    marked = target == ignored
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
