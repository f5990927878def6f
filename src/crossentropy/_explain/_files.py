"""Arrays from users' files: NumPy's, safetensors', torch's, CSV and JSON. Files are data: nothing in them is ever run.

The suffix tells the format, on standard input the content does. Numbers in text become int64 where all are integers,
else float32, or float64 where float32 would make a finite one infinite.
"""

import csv
import functools
import io
import itertools
import json
import math
import os
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import torch
from torch import Tensor

from crossentropy import _disk
from crossentropy._explain._arrays import STDIN, Arrays, UnusableFileError, Words
from crossentropy._explain._columns import NAMES

if TYPE_CHECKING:
    import numpy

_INTEGERS = {torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64}
_FLOATS = {torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2}
_INTEGER = re.compile(r"\s*[+-]?\d{1,19}\s*")  # those of int64, and some more
_MOST_AXES = 64  # of torch's operators
_TORCHS = (".pt", ".pth", ".bin", ".ckpt")
_WITH_OBJECTS = (".npy", ".npz", *_TORCHS)
_DATASET = "dataset"
"""What stands for the suffix of a directory that `save_to_disk` of the package `datasets` wrote."""
_DATASET_FILES = ("state.json", "dataset_dict.json")
_TEXT_BYTES = 8
"""Bytes of memory for one of text: "0.5," becomes a pointer (8) and a float (24)."""


def load(source: str, *, stdin: BinaryIO | None = None) -> Arrays:
    """The arrays of a file, or of standard input for "-"."""
    file = STDIN if source == "-" else source
    try:
        loaded = _from_stream(file, stdin) if source == "-" else _from_file(file)
    except OSError as error:
        raise UnusableFileError("unreadable", file, reason=error.strerror or str(error)) from error
    if not loaded.arrays:
        raise UnusableFileError("empty", file)
    return loaded


def _from_file(file: str) -> Arrays:
    if any(os.path.isfile(os.path.join(file, name)) for name in _DATASET_FILES):
        return _from_binary(file, _DATASET, Path(file))
    _check_readable(file)
    suffix = Path(file).suffix.lower()
    if suffix in _TEXT_READERS:
        _check_fits(file, os.path.getsize(file) * _TEXT_BYTES)
        return _from_text(file, suffix, Path(file).read_bytes())
    if suffix in _BINARY_READERS:
        if suffix != ".npy":  # which is mapped
            _check_fits(file, os.path.getsize(file))
        return _from_binary(file, suffix, Path(file))
    raise UnusableFileError("suffix", file, known=tuple(_TEXT_READERS | _BINARY_READERS)[:-1])


def _check_readable(file: str) -> None:
    if not os.path.exists(file):
        raise UnusableFileError("missing", file)
    kind = _disk.kind(file)
    if kind != "file":
        raise UnusableFileError("directory" if kind == "folder" else "special", file)
    if not os.access(file, os.R_OK):
        raise UnusableFileError("permission", file)
    if not os.path.getsize(file):
        raise UnusableFileError("empty", file)


def _from_stream(file: str, stdin: BinaryIO | None) -> Arrays:
    most = _free_memory() / _TEXT_BYTES
    stream = stdin or getattr(sys.stdin, "buffer", io.BytesIO())  # a closed one is None
    data = stream.read(-1 if most == math.inf else int(most) + 1)
    _check_fits(file, len(data) * _TEXT_BYTES)  # it may never end
    if data.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        return _from_binary(file, ".npz" if data.startswith(b"PK") else ".npy", io.BytesIO(data))
    if b"\0" in data:
        raise UnusableFileError("stream", file)
    return _from_text(file, ".json" if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{") else ".csv", data)


def _from_text(file: str, kind: str, data: bytes) -> Arrays:
    try:
        return _TEXT_READERS[kind](file, data.decode("utf-8-sig"))
    except MemoryError as error:
        raise UnusableFileError("memory", file) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UnusableFileError("encoding", file, line=line) from error


def _from_binary(file: str, kind: str, content: Path | io.BytesIO) -> Arrays:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about torch's own past, when it reads old files
            return _BINARY_READERS[kind](file, content)
    except (UnusableFileError, OSError):
        raise
    except ImportError as error:
        raise UnusableFileError("package", file, package=error.name or str(error)) from error
    except MemoryError as error:
        raise UnusableFileError("memory", file) from error
    except Exception as error:  # of a corrupt file the libraries raise anything
        raise UnusableFileError("objects" if kind in _WITH_OBJECTS else "corrupt", file, kind=kind) from error


def _read_npy(file: str, content: Path | io.BytesIO) -> Arrays:
    from numpy.lib import format as npy

    mapped = isinstance(content, Path)
    array = npy.open_memmap(content, "c") if mapped else npy.read_array(content, allow_pickle=False)
    return Arrays(file, {"": _from_numpy(file, "", array)})


def _read_npz(file: str, content: Path | io.BytesIO) -> Arrays:
    from numpy.lib import format as npy

    arrays: dict[str, Tensor] = {}
    with zipfile.ZipFile(content) as archive:
        _check_unpacked(file, archive)
        entries = _named(file, ((entry.filename.removesuffix(".npy"), entry) for entry in archive.infolist()))
        for name, entry in entries.items():
            with archive.open(entry) as stream:
                arrays[name] = _from_numpy(file, name, npy.read_array(stream, allow_pickle=False))
    return Arrays(file, arrays)


def _from_numpy(file: str, name: str, array: "numpy.ndarray") -> Tensor:
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise UnusableFileError("dtype", file, name=name, dtype=str(array.dtype))
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))


def _read_safetensors(file: str, content: Path) -> Arrays:
    from safetensors.torch import load_file

    return Arrays(file, {name: _checked(file, name, tensor) for name, tensor in load_file(content).items()})


def _read_torch(file: str, content: Path) -> Arrays:
    if zipfile.is_zipfile(content):
        with zipfile.ZipFile(content) as archive:
            _check_unpacked(file, archive)
    loaded = torch.load(content, map_location="cpu", weights_only=True)
    pairs = loaded.items() if isinstance(loaded, dict) else [("", loaded)]
    tensors = ((str(name), value) for name, value in pairs if isinstance(value, Tensor))
    arrays = _named(file, ((name, _checked(file, name, tensor)) for name, tensor in tensors))
    if not arrays:
        raise UnusableFileError("tensors", file)
    _check_fits(file, sum(tensor.nbytes for tensor in arrays.values()))  # a small file can hold an expanded tensor
    return Arrays(file, arrays)


def _read_arrow(file: str, content: Path) -> Arrays:
    from crossentropy._explain import _arrow

    try:
        return _arrow.read(file, content, _check_fits)
    except OSError as error:
        if error.errno is None:  # it is Arrow's, about the content
            raise ValueError(str(error)) from error
        raise


def _checked(file: str, name: str, tensor: Tensor) -> Tensor:
    dense = tensor.layout is torch.strided and not tensor.is_nested and tensor.device.type == "cpu"
    if not dense or tensor.dtype not in {torch.bool, *_INTEGERS, *_FLOATS}:
        kind = f"{tensor.dtype} ({tensor.layout}, {tensor.device})"
        raise UnusableFileError("dtype", file, name=name, dtype=kind)
    return tensor.detach()


def _check_unpacked(file: str, archive: zipfile.ZipFile) -> None:
    """Refuse an archive that is small only because it is compressed."""
    _check_fits(file, sum(entry.file_size for entry in archive.infolist()))


def _check_fits(file: str, size: int) -> None:
    if size > _free_memory():
        raise UnusableFileError("memory", file)


def _free_memory() -> float:
    """Bytes that can be had without swapping; infinity where the system does not say."""
    free = math.inf
    if hasattr(os, "sysconf"):  # not on Windows
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    available = _counted("/proc/meminfo", "MemAvailable:")  # in KiB
    limit, used = (_counted(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if available is not None:
        free = min(free, available * 1024)
    if limit is not None and used is not None:  # of a container; what files occupy is given back
        free = min(free, limit - used + (_counted("/sys/fs/cgroup/memory.stat", "file ") or 0))
    return free


def _counted(file: str, name: str = "") -> int | None:
    """A number that Linux tells, after its name."""
    try:
        found = re.search(rf"^{name}\s*(\d+)", Path(file).read_text("ascii"), re.MULTILINE)
    except (OSError, ValueError):
        return None
    return None if found is None else int(found[1])


def _named(file: str, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for name, value in pairs:
        if name in named:
            raise UnusableFileError("duplicate", file, name=name)
        named[name] = value
    return named


def _read_json(file: str, text: str) -> Arrays:
    """Arrays by name, or one alone; or rows with named entries, in a list or each on a line of its own."""
    try:
        value = _parsed(file, text)
    except UnusableFileError:
        first, _, rest = text.lstrip().partition("\n")
        if first.startswith("{") and rest.strip() and first.rstrip().endswith("}"):
            return _read_json_lines(file, text)
        raise
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _of_rows(file, [(place, row) for place, row in enumerate(value)])
    arrays = value if isinstance(value, dict) else {"": value}
    return Arrays(file, {name: _from_lists(file, name, nested) for name, nested in arrays.items()})


def _read_json_lines(file: str, text: str) -> Arrays:
    """Rows, each an object on a line of its own."""
    lines = ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
    return _of_rows(file, [(number, _parsed(file, line, number)) for number, line in lines])


def _parsed(file: str, text: str, line: int = 1) -> Any:  # noqa: ANN401 (what JSON holds)
    named = functools.partial(_named, file)
    try:
        return json.loads(text, parse_int=_number, parse_float=_number, object_pairs_hook=named)
    except json.JSONDecodeError as error:
        raise UnusableFileError("json", file, line=line + error.lineno - 1, column=error.colno) from error
    except RecursionError as error:
        raise UnusableFileError("json_deep", file) from error


def _of_rows(file: str, rows: Sequence[tuple[int, Any]]) -> Arrays:
    """Columns of rows, all of which have the entries of the first."""
    if not rows:
        raise UnusableFileError("empty", file)
    columns: dict[str, list[Any]] = {name: [] for name in rows[0][1]} if isinstance(rows[0][1], dict) else {}
    for place, row in rows:
        if not isinstance(row, dict) or row.keys() != columns.keys():
            raise UnusableFileError("json_row", file, row=place, names=tuple(columns), first=rows[0][0])
        for name, value in row.items():
            columns[name].append(value)
    return Arrays(file, {name: _of_values(file, name, values) for name, values in columns.items()}, is_table=True)


def _of_values(file: str, name: str, values: list[Any]) -> Tensor | Words:
    """The numbers of a column; or its words, if it begins with one; or what is wrong with it."""
    try:
        return _from_lists(file, name, values)
    except UnusableFileError as fault:
        is_text = all(type(value) is str for value in values)
        numeric = any(isinstance(value, (int, float, list, _Huge)) for value in values)
        return Words(values if is_text else (), fault, numeric)


def _from_lists(file: str, name: str, nested: object) -> Tensor:
    """Nested lists, one axis after the other: a hostile depth cannot exhaust the stack."""
    shape: list[int] = []
    level: list[Any] = [nested]

    def error(key: str, index: int, **values: int) -> UnusableFileError:
        return UnusableFileError(key, file, where=name + _position(index, shape), cell=_spelled(level[index]), **values)

    while level and isinstance(level[0], list):
        expected = len(level[0])
        for index, part in enumerate(level):
            if not isinstance(part, list):
                raise error("json_list", index, expected=expected)
            if len(part) != expected:
                raise error("json_ragged", index, count=len(part), expected=expected)
        if len(shape) == _MOST_AXES:
            raise UnusableFileError("json_deep", file)
        level = list(itertools.chain.from_iterable(level))
        shape.append(expected)
    allowed = (bool,) if level and isinstance(level[0], bool) else (int, float)
    for index, number in enumerate(level):
        if type(number) not in allowed:
            raise error("json_huge" if isinstance(number, _Huge) else "json_number", index)
    return _tensor(level, shape)


def _position(index: int, shape: Sequence[int]) -> str:
    inner = [index // math.prod(shape[axis + 1 :]) % size for axis, size in enumerate(shape)]
    return "".join(f"[{i}]" for i in inner)


def _spelled(value: object) -> str:
    if isinstance(value, (list, dict)):
        return "[…]" if isinstance(value, list) else "{…}"
    return value if isinstance(value, _Huge) else json.dumps(value, ensure_ascii=False)


def _read_csv(file: str, text: str) -> Arrays:
    """Rows of numbers; or, below a line of names, columns of numbers or words."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), skipinitialspace=True, strict=True)
    header: tuple[str, ...] | None = None
    entries: list[Any] = []
    lines: list[int] = []
    width = first = 0
    try:
        for cells in reader:
            if len(cells) < 2 and not "".join(cells).strip():
                continue
            if not width:
                width, first = len(cells), reader.line_num
                if _is_header(cells):
                    header = tuple(cell.strip() for cell in cells)
                    continue
            if len(cells) != width:
                count = {"count": len(cells), "expected": width, "first": first}
                raise UnusableFileError("csv_ragged", file, line=reader.line_num, **count)
            entries += map(_entry, cells)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise UnusableFileError("csv", file, line=reader.line_num, reason=str(error)) from error
    if not entries:
        raise UnusableFileError("empty", file) if header is None else UnusableFileError("csv_names", file, names=header)
    if header is not None:
        columns = _named(file, ((name, _column(file, i, entries[i::width], lines)) for i, name in enumerate(header)))
        _check_some_use(columns)
        return Arrays(file, columns, is_table=True)
    for place, entry in enumerate(entries):
        if isinstance(entry, str):
            raise _no_number(file, lines[place // width], place % width, entry)
    return Arrays(file, {"": _tensor(entries, [-1] if width == 1 else [-1, width])})


def _check_some_use(columns: Mapping[str, Tensor | Words]) -> None:
    """Raise what is wrong with a cell where nothing is a number, and no column is one of words for labels."""
    labels = [name for name in columns if name.lower() in NAMES["target"]] or list(columns)[:1] * (len(columns) == 1)
    faults = []
    for name, column in columns.items():
        if isinstance(column, Tensor) or (name in labels and column.cells and not column.numeric):
            return
        faults.append(column.fault)
    raise faults[0]


def _is_header(cells: Sequence[str]) -> bool:
    """Whether the first line names the columns; one that names a column of labels may call classes by numbers."""
    kinds = set(map(_wrong, cells))
    labels = any(cell.strip().lower() in NAMES["target"] for cell in cells)
    return _NAME in kinds and (labels or kinds <= {_NAME, "csv_hole"})


def _entry(cell: str) -> int | float | str:
    """The number of a cell, or its text, once for all that have it."""
    number = _number(cell)
    return sys.intern(cell) if number is None else number


def _column(file: str, column: int, entries: Sequence[Any], lines: Sequence[int]) -> Tensor | Words:
    """The numbers of a column, exactly; or its words, with the first that is no number."""
    words = [row for row, entry in enumerate(entries) if isinstance(entry, str)]
    if not words:
        return torch.tensor(entries, dtype=None if set(map(type, entries)) == {int} else torch.float64)
    fault = _no_number(file, lines[words[0]], column, entries[words[0]])
    is_text = words[0] == 0 and fault.key == _NAME
    numeric = len(words) < len(entries) or any(_wrong(entry) in ("csv_huge", "csv_decimal") for entry in entries)
    return Words([str(entry).strip() for entry in entries] if is_text else (), fault, numeric)


def _no_number(file: str, line: int, column: int, cell: str) -> UnusableFileError:
    return UnusableFileError(_wrong(cell), file, line=line, column=column + 1, cell=repr(str(cell)))


def _delimiter(text: str) -> str:
    """What stands between the cells of the first line, outside quotes; a full-width comma if there is nothing else."""
    first = re.sub(r'"[^"]*"', "", text.lstrip().partition("\n")[0])
    return next((sign for sign in "\t;,，" if sign in first), ",")


_NAME = "csv_number"


def _wrong(cell: str) -> str:
    """The key of what is wrong with a cell that is no number."""
    if not cell.strip():
        return "csv_hole"
    if isinstance(_number(cell), _Huge):
        return "csv_huge"
    if _number(cell.replace(",", ".")) is not None:
        return "csv_decimal"
    return "csv_separator" if all(_number(part) is not None for part in re.split(r"[\s|:]+", cell)) else _NAME


class _Huge(str):
    """A number that float64 does not hold, as it is written."""


def _number(text: str) -> int | float | _Huge | None:
    if "_" in text:  # which Python takes for a separator of digits
        return None
    try:
        if _INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63:
            return int(text)
        number = float(text)
    except ValueError:
        return None
    return _Huge(text) if math.isinf(number) and any(map(str.isdigit, text)) else number


def _tensor(numbers: Sequence[Any], shape: Sequence[int]) -> Tensor:
    if set(map(type, numbers)) in ({bool}, {int}):
        return torch.tensor(numbers).reshape(shape)
    exact = torch.tensor(numbers, dtype=torch.float64).reshape(shape)
    single = exact.float()
    return single if single.isinf().equal(exact.isinf()) else exact


_TEXT_READERS: dict[str, Callable[[str, str], Arrays]] = {
    **dict.fromkeys((".csv", ".tsv"), _read_csv),
    ".json": _read_json,
    **dict.fromkeys((".jsonl", ".ndjson"), _read_json_lines),
}
_BINARY_READERS: dict[str, Callable[[str, Any], Arrays]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
    **dict.fromkeys((".parquet", ".arrow", ".feather"), _read_arrow),
    **dict.fromkeys(_TORCHS, _read_torch),
    _DATASET: _read_arrow,
}
