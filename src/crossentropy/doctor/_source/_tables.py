"""Tables: pandas and scikit-learn, as far as columns, rows and dtypes of what is made of them are known."""

from __future__ import annotations

from crossentropy.doctor._source._creation import dtype_of
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._interpreter import Interpreter
from crossentropy.doctor._source._values import Call, External, Layer, Tensor, Unknown, Value

FRAME, SERIES, ROW = "pandas.DataFrame", "pandas.Series", "pandas.row"
TABLES = (FRAME, SERIES, ROW)
_INDEXERS = ("iloc", "loc", "iat", "at")
_SAME = ("copy", "dropna", "fillna", "reset_index", "sample", "head", "tail", "drop", "sort_values", "set_index",
         "rename", "query", "drop_duplicates", "replace", "to_frame", "clip", "assign")  # fmt: skip
_ENCODERS = ("LabelEncoder", "OrdinalEncoder")
_SCALERS = ("StandardScaler", "MinMaxScaler", "RobustScaler", "Normalizer", "MaxAbsScaler", "SimpleImputer")


def make(name: str, call: Call) -> Value:
    """Functions of pandas and scikit-learn; NotImplemented for others."""
    root, last = name.partition(".")[0], name.rpartition(".")[2]
    if root == "pandas" and (last == "DataFrame" or last.startswith("read_")):
        return Layer(FRAME, call)
    if root == "pandas" and last == "Series":
        return Layer(SERIES, call)
    if root == "sklearn" and last == "train_test_split":
        return [part for value in call.args for part in (_some_rows(value), _some_rows(value))]
    return NotImplemented


def _some_rows(value: Value) -> Value:
    if isinstance(value, Tensor) and value.shape:
        return value.to(shape=(Unknown(), *value.shape[1:]))
    return value if isinstance(value, (Tensor, Layer)) else Unknown()


def attribute(table: Layer, name: str) -> Value:
    """table.name; None where it is a method."""
    if name in ("values", "array"):
        return _numbers(table, "")
    if name in _INDEXERS:
        return Layer("pandas.indexer", table.call, [table])
    if name == "codes":
        return Layer(SERIES, table.call, attributes={"dtype": "long"})
    return table if name == "cat" else None


def item(table: Layer, index: Value) -> Value:
    """table[index], and table.iloc[index]."""
    if table.name == "pandas.indexer":
        return _located(table.items[0], index)
    if table.name == FRAME:
        return Layer(SERIES if isinstance(index, str) else FRAME, table.call)
    if table.name == ROW and not isinstance(index, (list, slice)):
        return Tensor(shape=(), graph=False)
    return table


def _located(table: Layer, index: Value) -> Value:
    rows, columns = index if isinstance(index, tuple) and len(index) == 2 else (index, slice(None))
    one = not isinstance(rows, (slice, list, Tensor))
    if table.name != FRAME:
        return Tensor(shape=(), graph=False) if one else table
    several = isinstance(columns, (slice, list))
    if one:
        return Layer(ROW, table.call) if several else Tensor(shape=(), graph=False)
    return Layer(FRAME if several else SERIES, table.call)


def method(run: Interpreter, table: Layer, name: str, call: Call) -> Value:
    """table.name(…)."""
    if name in ("to_numpy", "tolist", "to_list"):
        return _numbers(table, dtype_of(call.get("dtype", 0)))
    if name == "astype":
        dtype = dtype_of(call.get("dtype", 0))
        return Layer(table.name, table.call, attributes={"dtype": dtype})
    if name in _SAME:
        return table
    if name == "pop" and table.name == FRAME:
        return Layer(SERIES, table.call)
    return Layer(table.name, table.call) if name in ("map", "apply") and table.name == SERIES else Unknown()


def _numbers(table: Layer, dtype: str) -> Tensor:
    """The numbers of a table, without its names."""
    shape = (Unknown(), Unknown()) if table.name == FRAME else (Unknown(),)
    return Tensor(shape=shape, dtype=dtype or table.attributes.get("dtype", ""), graph=False)


def as_numbers(value: Value) -> Value:
    """What a tensor is made of: a table, or what is no table."""
    return _numbers(value, "") if isinstance(value, Layer) and value.name in TABLES else value


def without(call: Call) -> Call:
    """A call whose tables are numbers."""
    args = [as_numbers(value) for value in call.args]
    return Call(args, {name: as_numbers(value) for name, value in call.kwargs.items()}, call.place, call.open)


def transformed(layer: Layer, name: str, call: Call) -> Value:
    """Encoders and scalers of scikit-learn; NotImplemented for others."""
    if name not in ("fit_transform", "transform"):
        return NotImplemented
    x = as_tensor(as_numbers(call.get("X", 0, call.get("y"))))
    if layer.kind in _ENCODERS:
        return Tensor(kind="indices", dtype="long", shape=x.shape, graph=False)
    return x.plain(dtype="float", graph=False) if layer.kind in _SCALERS else NotImplemented


def loaded(call: Call) -> Tensor:
    """np.loadtxt(…) and np.genfromtxt(…): rows and columns, where there is a delimiter."""
    dtype = call.get("dtype", 1)
    named = dtype_of(dtype) if isinstance(dtype, (External, str)) else "float"
    shape = (Unknown(), Unknown()) if call.given("delimiter") else None
    return Tensor(shape=shape, dtype=named, graph=False)
