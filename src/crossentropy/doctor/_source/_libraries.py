"""What losses and models of well-known libraries compute, in torch's terms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from crossentropy.doctor._source import _layers, _losses, _operations
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._interpreter import Interpreter
from crossentropy.doctor._source._values import Call, External, Layer, Tensor, Unknown, Value

_CONTAINERS = ("Module", "Parameter", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict")


@dataclass(frozen=True)
class _Criterion:
    """A loss of a library: the class of torch that it is like."""

    like: str
    settings: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Torch's arguments, and the name and position of the library's."""
    same_target: bool = True
    """Whether it takes the same shapes and targets; else it converts them."""


_SMOOTHING = {"label_smoothing": ("smoothing", 0)}
_CRITERIA = {
    "timm.LabelSmoothingCrossEntropy": _Criterion("CrossEntropyLoss", _SMOOTHING),
    "timm.SoftTargetCrossEntropy": _Criterion("CrossEntropyLoss"),
    "timm.BinaryCrossEntropy": _Criterion("BCEWithLogitsLoss", same_target=False),
    "segmentation_models_pytorch.SoftCrossEntropyLoss": _Criterion(
        "CrossEntropyLoss",
        {"reduction": ("reduction", 0), "label_smoothing": ("smooth_factor", 1), "ignore_index": ("ignore_index", 2)},
    ),
    "segmentation_models_pytorch.SoftBCEWithLogitsLoss": _Criterion("BCEWithLogitsLoss", same_target=False),
    "fastai.CrossEntropyLossFlat": _Criterion("CrossEntropyLoss", same_target=False),
    "fastai.LabelSmoothingCrossEntropy": _Criterion("CrossEntropyLoss", same_target=False),
    "fastai.LabelSmoothingCrossEntropyFlat": _Criterion("CrossEntropyLoss", same_target=False),
    "fastai.BCEWithLogitsLossFlat": _Criterion("BCEWithLogitsLoss", same_target=False),
    "fastai.BCELossFlat": _Criterion("BCELoss", same_target=False),
}
"""By package and name, wherever in the package that is."""
_SEGMENTATION = ("Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "PAN", "DeepLabV3", "DeepLabV3Plus",
                 "UPerNet", "Segformer", "DPT")  # fmt: skip
_ACTIVATIONS = {
    "sigmoid": ("sigmoid", {}), "softmax": ("softmax", {"dim": 1}), "softmax2d": ("softmax", {"dim": 1}),
    "logsoftmax": ("log_softmax", {"dim": 1}),
}  # fmt: skip
BASES = ("AutoregressiveWrapper",)
"""Classes that programs inherit from, and of which the arguments matter."""
_OVER_PROCESSES = ("horovod.allreduce", "horovod.allreduce_")
"""Means of a tensor over processes, with its graph."""
_STARS = ("timm", "segmentation_models_pytorch", "fastai", "skorch")


def _key(name: str) -> str:
    return f"{name.partition('.')[0]}.{name.rpartition('.')[2]}"


def make(run: Interpreter, name: str, call: Call) -> Value:
    """A loss, or what else is known of a library; NotImplemented for others."""
    key = _key(name)
    criterion = _CRITERIA.get(key)
    if criterion is not None and criterion.same_target:
        return run.external(f"torch.nn.{criterion.like}", _settings(criterion, call))
    if key == "x_transformers.AutoregressiveWrapper":
        _padding(run, call)
    if key.startswith("transformers.") and "Output" in key:
        held = [value for value in call.kwargs.values() if value is not None]
        return Layer(name, call, held, attributes=dict(call.kwargs))
    return call.get("tensor", 0, NotImplemented) if key in _OVER_PROCESSES else NotImplemented


def _settings(criterion: _Criterion, call: Call) -> Call:
    given = {torch: call.get(*at) for torch, at in criterion.settings.items() if call.given(*at)}
    return Call([], given, call.place, call.open)


def _padding(run: Interpreter, call: Call) -> None:
    """AutoregressiveWrapper(net, ignore_index=-100, pad_value=0) ignores ignore_index only, in the loss."""
    if call.given("pad_value", 2) and not call.given("ignore_index", 1) and not call.open:
        run.report.add(
            "padding-not-ignored",
            call.place,
            "AutoregressiveWrapper is told what padding is, but its loss ignores −100 unless ignore_index says "
            "otherwise: where sequences are padded with pad_value, the loss counts the padding",
            "likely",
        )


def apply(run: Interpreter, layer: Layer, call: Call) -> Value:
    """layer(input) of a library; NotImplemented for others."""
    criterion = _CRITERIA.get(_key(layer.name))
    if criterion is not None:
        torch = Layer(f"torch.nn.{criterion.like}", _settings(criterion, layer.call))
        x = as_tensor(call.get("input", 0, Unknown())).to(shape=None)  # it may be flattened
        return run.call(torch, Call([x, Unknown()], {}, call.place))
    if layer.name.startswith("segmentation_models_pytorch.") and layer.kind in _SEGMENTATION:
        return _segmented(run, layer)
    return NotImplemented


def _segmented(run: Interpreter, layer: Layer) -> Value:
    """Logits of each pixel, through an activation where one is named."""
    made, activation = layer.call, layer.call.get("activation")
    if activation is not None and activation not in _ACTIVATIONS:
        return Unknown()
    classes = made.get("classes", default=Unknown() if made.open or len(made.args) > 1 else 1)
    shape = (Unknown(), classes if isinstance(classes, int) else Unknown(), Unknown(), Unknown())
    scores = _operations.scores(Tensor(), shape[1], Call([], {}, made.place), -3, shape)
    if activation is None:
        return scores
    name, settings = _ACTIVATIONS[activation]
    return _operations.operate(run.report, name, Call([scores], settings, made.place))


def starred(modules: Iterable[str], name: str) -> Value:
    """A name that no module defines that is read: of one that `from … import *` has imported."""
    for module in modules:
        is_layer = module == "torch.nn" and (name in _CONTAINERS or name in _layers.LAYERS or name in _losses.CLASSES)
        is_function = module == "torch.nn.functional" and (name in _losses.FUNCTIONS or name in _operations.OPERATIONS)
        if is_layer or is_function or module.partition(".")[0] in _STARS:
            return External(f"{module}.{name}")
    return Unknown()
