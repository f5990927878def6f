"""Datasets and their loaders: which batches a loop over a loader sees."""

from __future__ import annotations

from crossentropy.doctor._knowledge._facts import is_integer
from crossentropy.doctor._source import _assignment, _records, _shapes
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._interpreter import Interpreter
from crossentropy.doctor._source._values import (
    Bound,
    Call,
    Function,
    Instance,
    Layer,
    Maybe,
    Number,
    Sequence,
    Tensor,
    Unknown,
    Value,
    is_counted,
)

ITERABLE = ("DataLoader", "TensorDataset", "Subset", "ConcatDataset", "parameters")


def make(last: str, name: str, call: Call) -> Value:
    """DataLoader(…) and what it is given."""
    if last == "from_numpy":
        return as_tensor(call.get("ndarray", 0)).to(graph=False)
    if last == "random_split":
        lengths = call.get("lengths", 1)
        count = len(lengths) if isinstance(lengths, (list, tuple)) else 2
        sizes = lengths if isinstance(lengths, (list, tuple)) else [Unknown()] * count
        return [
            Layer("torch.utils.data.Subset", call, [call.get("dataset", 0)], attributes={"length": size})
            for size in sizes
        ]
    if last == "Subset":
        indices = call.get("indices", 1)
        size = len(indices) if isinstance(indices, (list, tuple, range)) else as_tensor(indices).size(0)
        return Layer(name, call, [call.get("dataset", 0)], attributes={"length": size})
    layer = Layer(name, call)
    if last == "DataLoader":
        layer.attributes["dataset"] = call.get("dataset", 0, Unknown())
        layer.attributes["batch_size"] = call.get("batch_size", 1, 1)
    if last == "TensorDataset":
        layer.attributes["tensors"] = tuple(call.args)
    return layer


def length(run: Interpreter, dataset: Value) -> Value:
    """How many samples a dataset has."""
    if id(dataset) in run.uncounted:
        return Unknown()
    if isinstance(dataset, (list, tuple, dict, str, range)):
        return len(dataset) if is_counted(dataset) else Unknown()
    if isinstance(dataset, Tensor):
        return dataset.shape[0] if dataset.shape else Unknown()
    if isinstance(dataset, Layer):
        if "length" in dataset.attributes:
            return dataset.attributes["length"]
        if dataset.kind == "TensorDataset" and dataset.call.args:
            return length(run, as_tensor(dataset.call.args[0]))
        if dataset.kind == "DataLoader":
            return _batch_count(run, dataset)
        return len(dataset.items) if dataset.items else Unknown()
    if (held := _records.values(dataset)) is not None:
        return len(held)
    method = dataset.cls.find("__len__") if isinstance(dataset, Instance) else None
    if isinstance(method, Function):
        value = run.call_function(method, Call([dataset], {}, run.report_place(method)))
        return value if isinstance(value, int) else Unknown()
    return Unknown()


def _batch_count(run: Interpreter, loader: Layer) -> Value:
    size, samples = loader.attributes.get("batch_size"), length(run, loader.attributes.get("dataset"))
    if type(size) is int and size > 0 and isinstance(samples, int):
        whole = loader.call.get("drop_last", default=False) is True
        return (samples // size if whole else -(-samples // size)) or Unknown()  # who has a loader has batches
    return Unknown()


def batches(run: Interpreter, loader: Layer) -> list[Value]:
    """Two batches of a loader; the second is the last, which may be smaller."""
    if loader.kind == "parameters":
        return [loader]
    if loader.kind != "DataLoader":
        return [sample(run, loader), sample(run, loader)]
    dataset, size = loader.attributes.get("dataset"), loader.attributes.get("batch_size")
    if "batch_sampler" in loader.call.kwargs:
        size = Unknown()
    if size is None or size is False:
        return [sample(run, dataset), sample(run, dataset)]
    first: Value = size if isinstance(size, int) else Unknown()
    last, samples = first, length(run, dataset)
    if isinstance(samples, int) and isinstance(first, int) and first > 0:
        whole = loader.call.get("drop_last", default=False) is not False
        first = min(first, samples)
        last = samples % first or first if not whole and first else first
    return [_batch(run, loader, dataset, size) for size in (first, last)]


def _batch(run: Interpreter, loader: Layer, dataset: Value, size: Value) -> Value:
    item = sample(run, dataset)
    collate = loader.call.get("collate_fn")
    if collate is not None:
        other = sample(run, dataset[::-1] if isinstance(dataset, (list, tuple)) else dataset)  # perhaps not as long
        return run.call(collate, Call([[item, other]], {}, loader.call.place))
    return _collated(item, size)


def sample(run: Interpreter, dataset: Value) -> Value:
    """One sample of a dataset."""
    if isinstance(dataset, Layer) and dataset.kind == "TensorDataset":
        return tuple(_assignment.row(as_tensor(value)) for value in dataset.call.args)
    if isinstance(dataset, Layer) and dataset.kind == "Subset":
        return sample(run, dataset.items[0])
    if isinstance(dataset, Layer) and dataset.kind == "ConcatDataset":
        parts = dataset.call.get("datasets", 0)
        return sample(run, parts[0]) if isinstance(parts, (list, tuple)) and parts else Unknown()
    if isinstance(dataset, Instance):
        method = dataset.cls.find("__getitem__")
        if isinstance(method, Function):
            return run.call(Bound(dataset, method), Call([Unknown()], {}, run.report_place(method)))
        if dataset.cls.find("__iter__") is not None:
            return next(iter(run.iterate(dataset)), Unknown())
    if isinstance(dataset, (list, tuple)) and dataset:
        return dataset[0].value if isinstance(dataset[0], Maybe) else dataset[0]
    if isinstance(dataset, Tensor):
        return _assignment.row(dataset)
    return Unknown()


def side_by_side(value: Value) -> Value:
    """What a generator of batches gives: three tensors or more that are as long have one row for each sample."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    tensors = [part for part in parts if isinstance(part, Tensor)]
    lengths = {tensor.shape[0] if tensor.shape else Unknown() for tensor in tensors}
    if len(tensors) < 3 or len(lengths) > 1:
        return value
    if isinstance(value, dict):
        return {name: _of_samples(part) for name, part in value.items()}
    return type(value)(map(_of_samples, parts))


def _of_samples(part: Value) -> Value:
    numbers = isinstance(part, Tensor) and part.rank == 1 and part.dtype == "float" and not part.graph
    return part.to(samples=True) if numbers else part


def _collated(item: Value, size: Value) -> Value:
    """What the default collation makes of samples like this one."""
    shared: dict[int, Sequence] = {}
    if isinstance(item, Tensor):
        return _shapes.moved(item, "unsqueeze", {"dim": 0}).to(
            shape=None if item.shape is None else (size, *item.shape), source=Sequence(), samples=True
        )
    if isinstance(item, (tuple, list)):
        return [_with_source(_collated(part, size), part, shared) for part in item]
    if isinstance(item, dict):
        return {name: _with_source(_collated(part, size), part, shared) for name, part in item.items()}
    if isinstance(item, bool):
        return Tensor(kind="binary", dtype="bool", shape=(size,), graph=False)
    if is_integer(item):
        return Tensor(kind="indices", dtype="long", shape=(size,), graph=False)
    if isinstance(item, float):
        return Tensor(kind="constant", dtype="float", shape=(size,), graph=False, samples=True)
    return Tensor(dtype="long", shape=(size,), graph=False) if isinstance(item, Number) else Unknown()


def _with_source(batch: Value, item: Value, shared: dict[int, Sequence]) -> Value:
    """Entries that are cut out of the same sequence stay so."""
    if isinstance(item, Tensor) and isinstance(batch, Tensor) and item.source is not None:
        return batch.to(source=shared.setdefault(id(item.source), Sequence()), offset=item.offset)
    return batch
