"""What calls put together: containers of layers, what frozen models make, and what a function may return."""

from __future__ import annotations

from crossentropy.doctor._source import _losses, _records
from crossentropy.doctor._source._joins import join
from crossentropy.doctor._source._journal import Journal
from crossentropy.doctor._source._values import Call, Layer, Maybe, Tensor, Unknown, Value


def layer_place(layer: Value, call: Call) -> Value:
    """Activations that are layers are shown where they are made."""
    return layer.call.place if isinstance(layer, Layer) and layer.kind not in _losses.CLASSES else call.place


CONTAINERS = ("Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict")


def container(name: str, last: str, call: Call) -> Layer:
    """A container of layers, with what it is made of."""
    layer = Layer(name, call)
    given: Value = call.args[0] if call.args else call.kwargs.get("modules", [])
    rows = entries(given) if last.endswith("Dict") or isinstance(given, dict) else []
    if rows:
        layer.names, layer.items = [name for name, _ in rows], [value for _, value in rows]
    elif isinstance(given, (list, tuple)) and len(call.args) < 2:
        layer.items = list(given)
    else:
        layer.items = list(call.args)
    layer.items = layer.items + ([Unknown()] if call.open else [])
    layer.names = layer.names or [str(i) for i in range(len(layer.items))]
    return layer


def entries(given: Value) -> list[tuple[str, Value]]:
    """The names and parts of a dictionary, of pairs, or of another container."""
    if isinstance(given, Layer):
        return list(zip(map(str, given.names), given.items))
    rows = list(given.items()) if isinstance(given, dict) else given if isinstance(given, (list, tuple)) else []
    return [(str(row[0]), row[1]) for row in rows if isinstance(row, (list, tuple)) and len(row) == 2]


def unpacked(value: Value) -> list[Value] | None:
    """What a star in a call gives, where it is known."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, Layer) and value.kind in ("Sequential", "ModuleList") and value.items:
        return list(value.items)
    return _records.values(value)


def pairs(layer: Layer) -> list[Value]:
    """The names of a container's parts, each with the part."""
    return [
        Maybe((_plain(name), item.value)) if isinstance(item, Maybe) else (_plain(name), item)
        for name, item in zip(layer.names, layer.items)
    ]


def _plain(name: Value) -> Value:
    return name.value if isinstance(name, Maybe) else name


def kept(journal: Journal, layer: Layer, name: str, value: Value) -> None:
    """A part of a container under a name, in the place of what had that name."""
    if name in layer.names:
        journal.change(layer.items)[layer.names.index(name)] = value
        return
    journal.change(layer.items).append(value)
    journal.change(layer.names).append(name)


def stored(journal: Journal, layer: Layer, index: Value, value: Value) -> None:
    """container[index] = value."""
    if type(index) is int and -len(layer.items) <= index < len(layer.items):
        journal.change(layer.items)[index] = value
    elif isinstance(index, str):
        kept(journal, layer, index, value)


def removed(journal: Journal, layer: Layer, index: Value) -> Value:
    """A part is taken out of a container, and given; where it is not known which, nothing is known of the others."""
    at = layer.names.index(index) if isinstance(index, str) and index in layer.names else index
    items, names = journal.change(layer.items), journal.change(layer.names)
    if type(at) is not int or not -len(items) <= at < len(items) or any(isinstance(item, Maybe) for item in items):
        items[:], names[:] = [Unknown()], [Unknown()]
        return items[0]
    del names[at]
    names[:] = names if layer.kind.endswith("Dict") else map(str, range(len(names)))
    return items.pop(at)


def frozen(result: Value) -> Value:
    """What a model makes whose parameters are not trained."""
    if isinstance(result, Tensor):
        return result.to(graph=False, cut=None)
    if isinstance(result, (tuple, list)):
        return type(result)(frozen(item) for item in result)
    if isinstance(result, dict):
        return {key: frozen(item) for key, item in result.items()}
    return result


def merged(first: Value, second: Value) -> Value:
    """Several values that a function may return; nothing and something is something."""
    if first is None or second is None:
        return second if first is None else first
    return join(first, second)
