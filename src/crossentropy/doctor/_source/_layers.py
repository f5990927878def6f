"""Layers of torch.nn: what they make of what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from crossentropy.doctor._source import _losses, _operations, _shapes
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._report import Report
from crossentropy.doctor._source._values import Call, Layer, Tensor, Unknown, Value, length

Application: TypeAlias = Callable[[Report, Layer, Tensor, Call], Value]


def _linear(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
    return _operations.scores(x, length(layer.call.get("out_features", 1)), call, -1)


def _bilinear(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
    return _operations.scores(x, length(layer.call.get("out_features", 2)), call, -1)


def _window(size: Value, kernel: Value, stride: Value, padding: Value, dilation: Value) -> Value:
    """How many windows there are along one axis."""
    if padding == "same":
        return size
    numbers = (size, kernel, stride, padding, dilation)
    if all(type(number) is int for number in numbers) and stride > 0:
        return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    return Unknown()


def _of_axis(value: Value, axis: int, default: Value) -> Value:
    if isinstance(value, (list, tuple)):
        return value[axis] if axis < len(value) else default
    return default if value is None else value


def _convolution(axes: int, transposed: bool = False) -> Application:
    def run(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
        out, made = length(layer.call.get("out_channels", 1)), layer.call
        kernel, stride, padding = made.get("kernel_size", 2), made.get("stride", 3, 1), made.get("padding", 4, 0)
        dilation = made.get("dilation", 5, 1) if not transposed else 1
        if x.rank == axes + 1:  # one sample
            batch, inner = (), (x.shape or ())[1:]
        else:
            batch = ((x.shape or (Unknown(),))[0],)
            inner = x.shape[2:] if x.shape and len(x.shape) == axes + 2 else (Unknown(),) * axes
        sizes = tuple(
            Unknown()
            if transposed
            else _window(
                size,
                _of_axis(kernel, i, None),
                _of_axis(stride, i, 1),
                _of_axis(padding, i, 0),
                _of_axis(dilation, i, 1),
            )
            for i, size in enumerate(inner)
        )
        return _operations.scores(x, out, call, -1 - axes, (*batch, out, *sizes)).to(source=None)

    return run


def _pool(axes: int) -> Application:
    def run(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
        return pooled(x, layer.call, axes, 0)

    return run


def pooled(x: Tensor, made: Call, axes: int, first: int) -> Tensor:
    """Windows of the last axes; `first` is the position of kernel_size."""
    kernel = made.get("kernel_size", first)
    stride, padding = made.get("stride", first + 1), made.get("padding", first + 2, 0)
    if x.shape is None or len(x.shape) < axes:
        return x.plain(source=None)
    sizes = tuple(
        _window(
            size, _of_axis(kernel, i, None), _of_axis(stride, i, _of_axis(kernel, i, None)), _of_axis(padding, i, 0), 1
        )
        for i, size in enumerate(x.shape[len(x.shape) - axes :])
    )
    return x.plain(shape=(*x.shape[: len(x.shape) - axes], *sizes), source=None)


def _adaptive(axes: int) -> Application:
    def run(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
        return adapted(x, layer.call.get("output_size", 0), axes)

    return run


def adapted(x: Tensor, size: Value, axes: int) -> Tensor:
    """Adaptive pooling to a size."""
    sizes = tuple(length(_of_axis(size, i, Unknown())) for i in range(axes))
    shape = None if x.shape is None else (*x.shape[: max(len(x.shape) - axes, 0)], *sizes)
    return x.plain(kind="logits" if x.kind == "logits" else "", made=x.made, shape=shape, source=None)


def _normalisation(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
    return x.to(graph=True, total=None) if x.kind == "logits" else x.plain(graph=True)


def _recurrent(gates: int) -> Application:
    def run(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
        hidden = length(layer.call.get("hidden_size", 1))
        if layer.call.get("bidirectional", default=False) is True:
            hidden = hidden * 2 if isinstance(hidden, int) else Unknown()
        shape = None if x.shape is None else (*x.shape[:-1], hidden)
        out = Tensor(shape=shape, dtype="float", graph=True, source=x.source, offset=x.offset)
        batch = (
            x.shape[0 if layer.call.get("batch_first", default=False) is True else 1]
            if x.rank == 3 and x.shape
            else Unknown()
        )
        last = Tensor(shape=(Unknown(), batch, hidden), dtype="float", graph=True)
        return (out, (last, last) if gates == 4 else last)

    return run


def _cell(gates: int) -> Application:
    def run(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
        hidden = length(layer.call.get("hidden_size", 1))
        out = Tensor(shape=None if x.shape is None else (*x.shape[:-1], hidden), dtype="float", graph=True)
        return (out, out) if gates == 4 else out

    return run


def _embedding(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
    return _operations.embedded(x, length(layer.call.get("embedding_dim", 1)), layer.call.get("padding_idx", 2))


def _bag(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
    rows = x.shape[:1] if x.rank == 2 and x.shape else None
    width = length(layer.call.get("embedding_dim", 1))
    return Tensor(shape=None if rows is None else (*rows, width), dtype="float", graph=True)


def _mixing(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
    """Layers that keep the shape and mix positions: encoders, decoders."""
    return Tensor(shape=x.shape, dtype="float", graph=True, source=x.source, offset=x.offset)


def _transformer(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
    return _mixing(report, layer, as_tensor(call.get("tgt", 1)), call)


def _attention(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
    return (_mixing(report, layer, x, call), Tensor(graph=True))


def _activation(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
    settings = {"dim": layer.call.get("dim", 0)} if layer.kind in ("Softmax", "LogSoftmax", "Softmin") else {}
    if layer.kind == "Softmax2d":
        settings = {"dim": -3}
    name = {"softmax2d": "softmax", "logsoftmax": "log_softmax", "relu": "relu"}.get(
        layer.kind.lower(), layer.kind.lower()
    )
    return _operations.operate(report, name, Call([x], settings, call.place))


def _limited(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
    """Threshold and Hardtanh, which have the arguments of their functions."""
    return _operations.operate(report, layer.kind.lower(), Call([x, *layer.call.args], layer.call.kwargs, call.place))


def _same(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
    return x


def _flatten(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
    given = {"start_dim": layer.call.get("start_dim", 0, 1), "end_dim": layer.call.get("end_dim", 1, -1)}
    return _shapes.moved(x, "flatten", given, call.place)


def _unflatten(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
    given = {"dim": layer.call.get("dim", 0), "sizes": layer.call.get("unflattened_size", 1)}
    return _shapes.moved(x, "unflatten", given, call.place)


def _upsample(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
    return upsampled(x)


def upsampled(x: Tensor) -> Tensor:
    """Other spatial sizes, the same channels."""
    shape = None if x.shape is None else (*x.shape[:2], *(Unknown() for _ in x.shape[2:]))
    return x.to(shape=shape, total=None)


def _adaptive_softmax(report: Report, layer: Layer, x: Tensor, call: Call) -> Value:
    return Unknown()


_ACTIVATIONS = [
    "Softmax",
    "LogSoftmax",
    "Softmin",
    "Softmax2d",
    "Sigmoid",
    "ReLU",
    "ReLU6",
    "Tanh",
    "GELU",
    "SiLU",
    "ELU",
    "CELU",
    "SELU",
    "Mish",
    "Hardswish",
    "Hardsigmoid",
    "Softplus",
    "LogSigmoid",
]
_NORMS = ["BatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm", "RMSNorm", "SyncBatchNorm"]

LAYERS: dict[str, Application] = {
    "Linear": _linear, "LazyLinear": lambda r, layer, x, c: _operations.scores(x,
    length(layer.call.get("out_features", 0)), c, -1),
    "Bilinear": _bilinear, "Embedding": _embedding, "EmbeddingBag": _bag, "Flatten": _flatten, "Unflatten": _unflatten,
    "Upsample": _upsample, "UpsamplingBilinear2d": _upsample, "UpsamplingNearest2d": _upsample, "Identity": _same,
    "LSTM": _recurrent(4), "GRU": _recurrent(3), "RNN": _recurrent(1), "LSTMCell": _cell(4), "GRUCell": _cell(3),
    "RNNCell": _cell(1), "TransformerEncoderLayer": _mixing, "TransformerEncoder": _mixing,
    "TransformerDecoderLayer": _mixing, "TransformerDecoder": _mixing, "Transformer": _transformer,
    "MultiheadAttention": _attention, "AdaptiveLogSoftmaxWithLoss": _adaptive_softmax,
    "LeakyReLU": lambda r, layer, x, c: x.plain(), "PReLU": lambda r, layer, x, c: x.plain(),
    "Threshold": _limited, "Hardtanh": _limited, "GLU": lambda r, layer, x, c: x.plain(shape=None),
    **dict.fromkeys(_ACTIVATIONS, _activation),
    **{f"{norm}{d}": _normalisation for norm in _NORMS for d in ("", "1d", "2d", "3d")},
    **{f"{name}{d}": _same for name in ("Dropout", "AlphaDropout", "FeatureAlphaDropout") for d in ("", "1d", "2d",
    "3d")},
    **{f"Conv{d}d": _convolution(d) for d in (1, 2, 3)},
    **{f"ConvTranspose{d}d": _convolution(d, transposed=True) for d in (1, 2, 3)},
    **{f"{kind}Pool{d}d": _pool(d) for kind in ("Max", "Avg") for d in (1, 2, 3)},
    **{f"Adaptive{kind}Pool{d}d": _adaptive(d) for kind in ("Max", "Avg") for d in (1, 2, 3)},
}  # fmt: skip
"""By the name of the class; containers are followed by the interpreter."""


def apply(report: Report, layer: Layer, call: Call) -> Value:
    """layer(input)."""
    if layer.kind in _losses.CLASSES:
        return _losses.apply(report, layer, call)
    application = LAYERS.get(layer.kind)
    first = call.get("input", 0, call.get("src", default=Unknown()))
    return Unknown() if application is None else application(report, layer, as_tensor(first), call)


def functional(report: Report, name: str, call: Call) -> Value:
    """The functions of torch.nn.functional that are layers; None for others."""
    x = as_tensor(call.get("input", 0))
    for axes in (1, 2, 3):
        if name in (f"max_pool{axes}d", f"avg_pool{axes}d"):
            return pooled(x, call, axes, 1)
        if name in (f"adaptive_avg_pool{axes}d", f"adaptive_max_pool{axes}d"):
            return adapted(x, call.get("output_size", 1), axes)
        if name == f"conv{axes}d":
            weight = as_tensor(call.get("weight", 1))
            count = weight.shape[0] if weight.shape else Unknown()
            return _operations.scores(x, count, call, -1 - axes, (Unknown(), count, *(Unknown(),) * axes)).to(
                source=None
            )
    return upsampled(x) if name in ("interpolate", "upsample") else None
