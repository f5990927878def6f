"""What calls put together: containers of layers, what frozen models make, and what a function may return."""

from __future__ import annotations

from crossentropy.doctor._source import _losses
from crossentropy.doctor._source._joins import join
from crossentropy.doctor._source._values import Call, Layer, Tensor, Unknown, Value


def layer_place(layer: Value, call: Call) -> Value:
    """Activations that are layers are shown where they are made."""
    return layer.call.place if isinstance(layer, Layer) and layer.kind not in _losses.CLASSES else call.place


def container(name: str, last: str, call: Call) -> Layer:
    """A container of layers, with what it is made of."""
    layer = Layer(name, call)
    given: Value = call.args[0] if call.args else call.kwargs.get("modules", [])
    if isinstance(given, dict):
        layer.items, layer.names = list(given.values()), [str(key) for key in given]
    elif isinstance(given, (list, tuple)) and len(call.args) == 1:
        layer.items = [item[1] if last == "ModuleDict" and isinstance(item, tuple) else item for item in given]
    else:
        layer.items = list(call.args)
    layer.items = layer.items + ([Unknown()] if call.open else [])
    layer.names = layer.names or [str(i) for i in range(len(layer.items))]
    return layer


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
