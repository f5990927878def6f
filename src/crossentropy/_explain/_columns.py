"""Which arrays of a file are what: as `--from` says, else by their names.

    logits=a,b,c label=y   columns a, b, c are the logits of three classes, column y is the target
    logits=z_* weight=w    a pattern takes the columns that it fits, in the order of the file

Of a table, whose columns have names, the logits are a column of lists that is called so, or else every column of
numbers that is no label, weight or identifier. Whatever was not said by the user is told by `summary`.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from crossentropy._explain._arrays import Arrays, Role, UnusableFileError, Words, file_name, shown_in
from crossentropy._explain._words import say
from crossentropy._languages import Language

NAMES: Mapping[Role, tuple[str, ...]] = {
    "input": ("input", "logits", "scores", "output", "outputs", "z", "probs", "hidden", "hidden_states"),
    "target": ("target", "targets", "label", "labels", "y", "class", "标签", "目标", "类别"),
    "weight": ("weight", "weights", "class_weight", "class_weights"),
    "token_weight": ("token_weight", "token_weights", "sample_weight", "sample_weights"),
    "linear_weight": ("linear_weight", "linear.weight", "head.weight", "lm_head.weight"),
    "linear_bias": ("linear_bias", "linear.bias", "head.bias", "lm_head.bias"),
}
"""Names that arrays of a role have."""

_IDENTIFIERS = ("", "id", "idx", "index", "row", "uid", "uuid", "unnamed: 0", "__index_level_0__")


def pick(arrays: Arrays, role: Role, *, shared: bool = False) -> Tensor:
    """The numbers of a role: those of the only array, or of the one named so, which a file with several roles needs."""
    return numbers(arrays, columns(arrays, role, shared=shared))


def columns(
    arrays: Arrays, role: Role, wanted: Sequence[str] = (), *, shared: bool = False, taken: Sequence[str] = ()
) -> tuple[str, ...]:
    """The names of the arrays that are a role's.

    Args:
        arrays: What the file holds.
        role: What they are to be.
        wanted: Names and patterns that the user asks for.
        shared: Whether the file holds other roles too.
        taken: Names that another role has.
    """
    if wanted:
        return _wanted(arrays, wanted)
    names = tuple(arrays.arrays)
    found = tuple(name for name in names if name not in taken and name.lower() in NAMES[role])
    if role == "input" and arrays.is_table:
        found = tuple(name for name in found if _dim(arrays, name) > 1) or _classes(arrays, taken, shared=shared)
        return found if len(found) < 2 or _dim(arrays, found[0]) == 1 else _only(arrays, role, found)
    if arrays.is_table and not found and not shared:
        found = tuple(name for name in names if not _is_identifier(name))
        return found if role == "target" or len(found) == 1 else _only(arrays, role, ())
    if len(names) == 1 and not shared:
        found = names
    return _only(arrays, role, found)


def numbers(arrays: Arrays, names: Sequence[str]) -> Tensor:
    """One array, or several columns beside each other."""
    values = [arrays.arrays[name] for name in names]
    for value in values:
        if isinstance(value, Words):
            raise value.fault
    tensors = [value for value in values if isinstance(value, Tensor)]
    if len(tensors) == 1:
        joined = tensors[0]
    else:
        for name, tensor in zip(names, tensors):
            if tensor.dim() != 1 or tensor.shape != tensors[0].shape:
                shape = " × ".join(map(str, tensor.shape))
                raise UnusableFileError("column_shape", arrays.file, name=name, shape=shape)
        alike = len({tensor.dtype for tensor in tensors}) == 1
        joined = torch.stack([tensor if alike else tensor.double() for tensor in tensors], 1)
    if not arrays.is_table or joined.dtype is not torch.float64:
        return joined
    single = joined.float()  # as the numbers of a text without names
    return single if single.isinf().equal(joined.isinf()) else joined


def labels(arrays: Arrays, names: Sequence[str], classes: Sequence[str] | None, ignored: int) -> Tensor:
    """The target: numbers, or the places of names among the names of the classes.

    Where the classes are called by numbers, as in "1,2,3,label", so are the labels, but for `ignored`.
    """
    value = arrays.arrays[names[0]]
    if len(names) > 1 or (isinstance(value, Words) and not value.cells):
        return numbers(arrays, names)
    if isinstance(value, Tensor):
        counted = value.dim() == 1 and not value.is_floating_point() and value.dtype is not torch.bool
        called = classes is not None and all(name.isascii() and name.isdecimal() for name in classes)
        if not counted or not called or list(classes or ()) == list(map(str, range(len(classes or ())))):
            return numbers(arrays, names)
        cells: Sequence[str] = list(map(str, value.tolist()))
    else:
        cells = value.cells
    if classes is None:
        raise UnusableFileError("label_names", arrays.file, name=names[0], cell=repr(cells[0]))
    places = {name: place for place, name in enumerate(classes)} | ({str(ignored): ignored})
    for row, cell in enumerate(cells):
        if cell not in places:
            at = {"name": names[0], "row": row, "cell": repr(cell), "known": tuple(classes)}
            raise UnusableFileError("label_unknown", arrays.file, **at)
    return torch.tensor([places[cell] for cell in cells])


def class_names(inputs: Arrays, x: Sequence[str], targets: Arrays, y: Sequence[str]) -> tuple[str, ...] | None:
    """The names of the classes: those of the columns, or those that the labels' column counts."""
    if inputs.is_table and x and _dim(inputs, x[0]) == 1:
        return tuple(x)
    return targets.class_names.get(y[0])


def summary(arrays: Arrays, taken: Mapping[str, Sequence[str]], lang: Language) -> str:
    """Which columns of a table were taken for what, and which are left out; in one line."""
    parts = [f"{role} = {shown_in(names, lang)}" for role, names in taken.items() if names]
    used = {name for names in taken.values() for name in names}
    rest = tuple(name for name in arrays.arrays if name not in used)
    parts += [say(lang, "file.left_out", names=shown_in(tuple(name or '""' for name in rest), lang))] if rest else []
    return say(lang, "file.taken", file=file_name(arrays.file, lang), what=("；" if lang == "zh" else "; ").join(parts))


def _wanted(arrays: Arrays, wanted: Sequence[str]) -> tuple[str, ...]:
    """The names that are asked for, patterns among them."""
    found: list[str] = []
    for name in wanted:
        is_pattern = "*" in name and name not in arrays.arrays
        fitting = [held for held in arrays.arrays if held == name or (is_pattern and fnmatchcase(held, name))]
        if not fitting:
            raise UnusableFileError("no_column", arrays.file, name=name, names=tuple(arrays.arrays))
        found += fitting
    twice = next((name for name in found if found.count(name) > 1), None) if len(set(found)) < len(found) else None
    if twice is not None:
        raise UnusableFileError("column_twice", arrays.file, name=twice)
    return tuple(found)


def _only(arrays: Arrays, role: Role, found: tuple[str, ...]) -> tuple[str, ...]:
    if len(found) == 1:
        return found
    if found:
        raise UnusableFileError("ambiguous", arrays.file, role=role, names=found)
    key = "column" if arrays.is_table else "role"
    raise UnusableFileError(key, arrays.file, role=role, names=tuple(arrays.arrays), accepted=NAMES[role])


def _classes(arrays: Arrays, taken: Sequence[str], *, shared: bool) -> tuple[str, ...]:
    """Columns of numbers that are logits of one class each."""
    others = {name for role in ("target", "weight", "token_weight") for name in NAMES[role]}
    rest = {n: value for n, value in arrays.arrays.items() if n not in taken and not _is_identifier(n)}
    known = tuple(name for name in rest if name.lower() in others)
    if known and not shared:  # names of classes, or the columns that they look like?
        raise UnusableFileError("column_known", arrays.file, names=known)
    rest = {name: value for name, value in rest.items() if name not in known}
    for value in rest.values():
        if isinstance(value, Words) and value.numeric:
            raise value.fault
    found = tuple(name for name in rest if _dim(arrays, name) == 1)
    if not found:
        raise UnusableFileError(
            "column", arrays.file, role="input", names=tuple(arrays.arrays), accepted=NAMES["input"]
        )
    if len(found) > 1 and _counts(arrays, found):
        raise UnusableFileError("column_counts", arrays.file, name=found[0], names=found[1:])
    return found


def _counts(arrays: Arrays, found: Sequence[str]) -> bool:
    """Whether the first column counts the rows, beside others that hold fractions."""
    first, *others = (arrays.arrays[name] for name in found)
    if not isinstance(first, Tensor) or first.is_floating_point() or first.dtype is torch.bool or len(first) < 3:
        return False
    fractions = any(isinstance(other, Tensor) and other.is_floating_point() for other in others)
    return fractions and bool((first.long().diff() == 1).all())


def _is_identifier(name: str) -> bool:
    return name.lower() in _IDENTIFIERS or name.lower().endswith("_id")


def _dim(arrays: Arrays, name: str) -> int:
    """Axes of an array; 0 if it is no numbers."""
    value = arrays.arrays[name]
    return value.dim() if isinstance(value, Tensor) else 0
