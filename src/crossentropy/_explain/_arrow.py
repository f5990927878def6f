"""Columns of Arrow's tables: .parquet, .arrow, .feather, and directories that `datasets.Dataset.save_to_disk` wrote.

pyarrow reads them, and nothing else of them is used: no extension type is made, no Python object unpickled. A column
of numbers becomes a tensor (N,), one of lists that are equally long (N, C), and so on; text is `Words`, and what is
neither cannot be chosen. Pieces are read one after the other, as long as they fit into the memory that is free.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import Tensor

from crossentropy._explain._arrays import Arrays, UnusableFileError, Words

CheckFits = Callable[[str, int], None]


def read(file: str, content: Path, check_fits: CheckFits) -> Arrays:
    """The columns of a table."""
    pieces: list[pa.Table] = []
    size = 0
    for piece in _pieces(file, content, check_fits):
        piece.validate(full=True)  # of places and offsets, which are read as they are
        size += piece.nbytes
        check_fits(file, size)
        pieces.append(piece)
    table = pa.concat_tables(pieces)
    if not table.num_rows:
        raise UnusableFileError("empty", file)
    names = table.column_names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UnusableFileError("duplicate", file, name=twice)
    columns = {name: _column(file, name, column) for name, column in zip(names, table.columns)}
    return Arrays(file, columns, is_table=True, class_names=_class_names(table.schema))


def _pieces(file: str, content: Path, check_fits: CheckFits) -> Iterator[pa.Table]:
    if content.is_dir():
        for part in _parts(file, content):
            yield from _batches(part)
    elif content.suffix.lower() == ".parquet":
        with pq.ParquetFile(content, memory_map=True, read_dictionary=_text_columns(content)) as opened:
            for group in range(opened.num_row_groups):
                check_fits(file, _unpacked(opened.metadata.row_group(group)))
                yield opened.read_row_group(group)
            if not opened.num_row_groups:
                yield opened.schema_arrow.empty_table()
    else:
        yield from _batches(content)


def _batches(content: Path) -> Iterator[pa.Table]:
    """The batches of Arrow's file format, or of its stream format."""
    with pa.memory_map(str(content)) as source:
        try:
            opened = pa.ipc.open_file(source)
            batches = (opened.get_batch(i) for i in range(opened.num_record_batches))
        except pa.ArrowInvalid:
            source.seek(0)
            opened = batches = pa.ipc.open_stream(source)
        yield opened.schema.empty_table()
        for batch in batches:
            yield pa.Table.from_batches([batch])


def _parts(file: str, folder: Path) -> list[Path]:
    """The files of a dataset, in order, which lie in its directory and nowhere else."""
    if (folder / "dataset_dict.json").is_file():
        splits = json.loads((folder / "dataset_dict.json").read_bytes())["splits"]
        raise UnusableFileError("splits", file, names=tuple(map(str, splits)))
    names = [part["filename"] for part in json.loads((folder / "state.json").read_bytes())["_data_files"]]
    return [folder / Path(name).name for name in names]


def _text_columns(content: Path) -> list[str]:
    """Columns that are read as places in a list of words, as they are stored: so a long word is there once."""
    schema = pq.read_schema(content)
    return [field.name for field in schema if _is_text(field.type)]


def _unpacked(group: pq.RowGroupMetaData) -> int:
    """Bytes of a row group in memory, at most: equal numbers are stored once, but are there each for itself."""
    columns = [group.column(i) for i in range(group.num_columns)]
    return sum(max(8 * column.num_values, column.total_uncompressed_size) for column in columns)


def _column(file: str, name: str, chunked: pa.ChunkedArray) -> Tensor | Words:
    column, shape = chunked.unify_dictionaries().combine_chunks(), [len(chunked)]
    if isinstance(column, pa.ChunkedArray):  # more text than one array holds
        raise UnusableFileError("memory", file)
    while True:
        if isinstance(column, pa.ExtensionArray):
            column = column.storage
        if column.null_count:
            row = pc.index(column.is_null(), True).as_py() * shape[0] // len(column)
            fault = UnusableFileError("null", file, name=name, row=row)
            return Words((), fault, _is_numeric(column.type) or len(shape) > 1)
        if not isinstance(column, (pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray)):
            break
        lengths = pc.call_function("list_value_length", [column]).unique().to_pylist()
        if len(lengths) > 1:
            fault = UnusableFileError("ragged", file, name=name, first=lengths[0], other=lengths[1])
            return Words((), fault, numeric=True)
        shape.append(lengths[0])
        column = column.flatten()
    return _leaves(file, name, column, shape, str(chunked.type))


def _leaves(file: str, name: str, column: pa.Array, shape: list[int], kind: str) -> Tensor | Words:
    """What the lists of a column hold, or the column itself."""
    if _is_text(column.type) and len(shape) == 1:
        column = column.dictionary_encode()
    if isinstance(column, pa.DictionaryArray):
        if _is_text(column.dictionary.type) and len(shape) == 1:
            words = column.dictionary.to_pylist()
            cells = [words[place] for place in column.indices.to_pylist()]  # a word is there once
            return Words(cells, UnusableFileError("text", file, name=name, cell=repr(cells[0])))
        column = column.dictionary_decode()
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if not _is_numeric(column.type):
        return Words((), UnusableFileError("dtype", file, name=name, dtype=kind))
    numbers = column.to_numpy(zero_copy_only=False)
    return torch.from_numpy(numbers.astype(numbers.dtype.newbyteorder("="))).reshape(shape)  # a copy


def _is_numeric(kind: pa.DataType) -> bool:
    types = pa.types
    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _class_names(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """The names of classes that the package `datasets` keeps beside its columns."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        named = {column: feature["names"] for column, feature in features.items() if "names" in feature}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}
    return {c: tuple(n) for c, n in named.items() if isinstance(n, list) and all(isinstance(name, str) for name in n)}
