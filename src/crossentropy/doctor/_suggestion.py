"""The line that is to be changed, as it is and as it would be: the user's own.

A finding names the place of its cause; the syntax there says whether a change of that one expression mends it:

    an activation too many    x.softmax(1) → x      Sequential(a, Softmax()) → Sequential(a)      Softmax() → Identity()
    another one, or loss      softmax → log_softmax      NLLLoss → CrossEntropyLoss      BCELoss → BCEWithLogitsLoss
    another argument          reduction="mean" → reduction="batchmean"      size_average=False → reduction="sum"
    the target, or a total    y.float() → y.long()      total += loss → total += loss.item()

Where the place does not look like that there is no suggestion. Nothing is written here; `convert` does.
"""

import ast
import linecache
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from crossentropy.doctor._finding import Finding, Place
from crossentropy.doctor.rules import BY_ROWS


class Suggestion(NamedTuple):
    """Lines as they are, and as they would be."""

    place: Place
    old: str
    new: str

    def to_dict(self) -> dict[str, Any]:
        """The suggestion as JSON holds it."""
        return {"path": self.place.path, "line": self.place.line, "old": self.old, "new": self.new}


class _Source(NamedTuple):
    """A file: its text, and the calls and sums that begin on each line."""

    lines: list[str]
    nodes: dict[int, list[ast.AST]]
    parents: dict[ast.AST, ast.AST]

    def at(self, place: Place) -> Iterator[Any]:
        """What begins on a line, that of the column first, outer nodes before inner ones."""
        found = self.nodes.get(place.line, [])
        yield from sorted(found, key=lambda node: (_column(node) != place.column, -(_end(node) - _column(node))))


def suggestion(finding: Finding) -> Suggestion | None:
    """The change that mends a finding, if one expression is all that it takes."""
    change, place = _CHANGES.get(finding.rule), finding.cause or finding.place
    source = None if change is None or place.cell is not None else _read(str(Path(place.path).absolute()))
    if change is None or source is None:
        return None
    if finding.rule == "kl-div-reduction" and not finding.message.endswith(BY_ROWS):
        return None
    for node in source.at(place):
        for edited, text in change(node, source):
            return _suggested(source, place, edited, text)
    return None


@lru_cache(maxsize=64)
def _read(path: str) -> _Source | None:
    text = "".join(linecache.getlines(path))
    with suppress(SyntaxError, ValueError, RecursionError, MemoryError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nodes: dict[int, list[ast.AST]] = {}
        parents: dict[ast.AST, ast.AST] = {}
        for node in ast.walk(ast.parse(text)):
            parents |= dict.fromkeys(ast.iter_child_nodes(node), node)
            if isinstance(node, (ast.Call, ast.AugAssign)):
                nodes.setdefault(node.lineno, []).append(node)
        return _Source(text.splitlines(), nodes, parents)
    return None


_Edit = tuple[tuple[int, int, int, int], str]
"""First line and column, last line and the column after the end, in bytes as syntax trees have it; and the new text."""
_Change = Callable[[Any, _Source], Iterator[_Edit]]


def _suggested(source: _Source, place: Place, span: tuple[int, int, int, int], text: str) -> Suggestion:
    first, begin, last, end = span
    lines = source.lines[first - 1 : last]
    head, tail = lines[0].encode()[:begin].decode(), lines[-1].encode()[end:].decode()
    new = (head + text + tail).splitlines() or [""]
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return Suggestion(
        Place(place.path, first, place.column),
        "\n".join(line[indent:].rstrip() for line in lines),
        "\n".join(line[indent:].rstrip() for line in new if line.strip()),
    )


# --- what syntax says ---------------------------------------------------------------------------------------------


def _column(node: Any) -> int:  # noqa: ANN401
    return node.col_offset + 1


def _end(node: Any) -> int:  # noqa: ANN401
    return node.end_col_offset if node.end_lineno == node.lineno else 10_000


def _span(first: Any, last: Any = None) -> tuple[int, int, int, int]:  # noqa: ANN401
    last = last or first
    return first.lineno, first.col_offset, last.end_lineno, last.end_col_offset


def _text(source: _Source, node: Any) -> str:  # noqa: ANN401
    return ast.get_source_segment("\n".join(source.lines), node) or ""


def _name(call: ast.AST) -> str:
    """The last name of what is called."""
    function = call.func if isinstance(call, ast.Call) else None
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _name_span(call: ast.Call) -> tuple[int, int, int, int]:
    """Where that name stands."""
    function, length = call.func, len(_name(call).encode())
    last, end = function.end_lineno or 0, function.end_col_offset or 0
    return last, end - length, last, end


# --- changes ------------------------------------------------------------------------------------------------------


def _without(*names: str) -> _Change:
    """The activation away."""

    def change(node: ast.AST, source: _Source) -> Iterator[_Edit]:
        if not isinstance(node, ast.Call) or _name(node) not in names:
            return
        if _name(node)[0].isupper():
            yield _without_layer(node, source)
        elif node.args and not _is_number(node.args[0]):
            yield _span(node), _text(source, node.args[0])  # F.softmax(x, 1), self.softmax(x)
        elif isinstance(node.func, ast.Attribute) and not _is_module(node.func.value):
            yield _span(node), _text(source, node.func.value)  # x.softmax(1)

    return change


def _is_number(node: ast.AST) -> bool:
    """Whether an argument is an axis."""
    return isinstance(node.operand if isinstance(node, ast.UnaryOp) else node, ast.Constant)


def _is_module(owner: ast.AST) -> bool:
    """Whether a name is that of a module of functions."""
    return (isinstance(owner, ast.Name) and owner.id in ("F", "torch", "nn", "functional")) or (
        isinstance(owner, ast.Attribute) and owner.attr == "functional"
    )


def _without_layer(node: ast.Call, source: _Source) -> _Edit:
    """The last of several layers away; else one that does nothing in its place."""
    parent = source.parents.get(node)
    siblings: list[ast.expr] = getattr(parent, "args", None) or getattr(parent, "elts", None) or []
    among = isinstance(parent, (ast.List, ast.Tuple)) or (
        isinstance(parent, ast.Call) and _name(parent) == "Sequential"
    )
    if among and len(siblings) > 1 and siblings[-1] is node:
        before = siblings[-2]
        return (before.end_lineno or 0, before.end_col_offset or 0, node.end_lineno or 0, node.end_col_offset or 0), ""
    owner = _text(source, node.func).rpartition(".")[0]
    return _span(node), f"{owner}.Identity()" if owner else "nn.Identity()"


def _renamed(names: dict[str, str]) -> _Change:
    """Another function or class in its place."""

    def change(node: ast.AST, _: _Source) -> Iterator[_Edit]:
        if isinstance(node, ast.Call) and (new := names.get(_name(node))):
            yield _name_span(node), new

    return change


def _reduction(node: ast.AST, source: _Source) -> Iterator[_Edit]:
    """reduction="batchmean", given or in the place of another."""
    if not isinstance(node, ast.Call) or _name(node) not in ("KLDivLoss", "kl_div"):
        return
    given = [keyword for keyword in node.keywords if keyword.arg in ("reduction", "size_average", "reduce")]
    if given:
        if not (isinstance(given[0].value, ast.Constant) and given[0].value.value == "batchmean"):
            yield _span(given[0]), 'reduction="batchmean"'
        return
    if len(node.args) > 2 * (_name(node) == "kl_div"):
        return
    last = (node.args + [keyword.value for keyword in node.keywords])[-1:]
    line, end = node.end_lineno or 0, (node.end_col_offset or 0) - 1
    if last and last[0].end_lineno == line:
        end = last[0].end_col_offset or 0
    yield (line, end, line, end), f'{", " if node.args or node.keywords else ""}reduction="batchmean"'


_REDUCTIONS = {
    "size_average=True": "mean", "size_average=False": "sum", "reduce=True": "mean", "reduce=False": "none",
}  # fmt: skip


def _deprecated(node: ast.AST, _: _Source) -> Iterator[_Edit]:
    """The one keyword that says the same."""
    keywords = [
        k
        for k in (node.keywords if isinstance(node, ast.Call) else ())
        if k.arg in ("size_average", "reduce", "reduction")
    ]
    new = _REDUCTIONS.get(ast.unparse(keywords[0])) if len(keywords) == 1 else None
    if new is not None:
        yield _span(keywords[0]), f'reduction="{new}"'


def _item(node: ast.AST, source: _Source) -> Iterator[_Edit]:
    """The number of what is added up, or put into a list."""
    if isinstance(node, ast.AugAssign) and isinstance(node.value, (ast.Name, ast.Attribute, ast.Call)):
        yield _span(node.value), f"{_text(source, node.value)}.item()"
    elif _name(node) == "append" and isinstance(node, ast.Call) and isinstance(name := node.args[0], ast.Name):
        yield from () if _is_of_several(name.id, source) else [(_span(name), f"{name.id}.item()")]


def _is_of_several(name: str, source: _Source) -> bool:
    """Whether a name is given several values in one, of which there is no item()."""
    given = [node for node in source.parents if isinstance(node, ast.Assign)]
    several = [node for node in given if isinstance(node.value, (ast.Tuple, ast.List, ast.Dict))]
    return any(isinstance(target, ast.Name) and target.id == name for node in several for target in node.targets)


def _constructed(node: ast.AST, source: _Source) -> Iterator[_Edit]:
    """The criterion first."""
    if isinstance(node, ast.Call) and _name(node).endswith("Loss") and len(node.args) == 2 and not node.keywords:
        yield _span(node), f"{_text(source, node.func)}()({', '.join(_text(source, x) for x in node.args)})"


_SOFTMAX = ("softmax", "Softmax", "Softmax2d")
_SIGMOID = ("sigmoid", "Sigmoid")
_LOGARITHMS = {"softmax": "log_softmax", "Softmax": "LogSoftmax"}

_CHANGES: dict[str, _Change] = {
    "softmax-before-cross-entropy": _without(*_SOFTMAX),
    "sigmoid-before-cross-entropy": _without(*_SIGMOID),
    "log-softmax-before-cross-entropy": _without("log_softmax", "LogSoftmax"),
    "relu-before-cross-entropy": _without("relu", "ReLU"),
    "sigmoid-before-bce-with-logits": _without(*_SIGMOID, *_SOFTMAX),
    "softmax-before-nll": _renamed(_LOGARITHMS),
    "kl-div-on-probabilities": _renamed(_LOGARITHMS),
    "logits-into-nll": _renamed({"NLLLoss": "CrossEntropyLoss", "nll_loss": "cross_entropy"}),
    "logits-into-bce": _renamed(
        {"BCELoss": "BCEWithLogitsLoss", "binary_cross_entropy": "binary_cross_entropy_with_logits"}
    ),
    "kl-div-reduction": _reduction,
    "deprecated-reduce": _deprecated,
    "loss-graph-retained": _item,
    "loss-constructor-call": _constructed,
}
"""By the rules that one expression mends."""
