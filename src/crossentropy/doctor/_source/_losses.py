"""Calls of losses: which arguments they have, which checks they pass through, and what comes out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from crossentropy.doctor._knowledge import _inputs, _targets
from crossentropy.doctor._knowledge._checks import check, check_input
from crossentropy.doctor._knowledge._facts import times
from crossentropy.doctor._knowledge._loss_call import ALIKE, OF_TEACHERS, Found, LossCall, reduction
from crossentropy.doctor._source import _operations
from crossentropy.doctor._source._arithmetic import DIVERGENCE
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._joins import LIKELY, doubtful
from crossentropy.doctor._source._report import Report
from crossentropy.doctor._source._values import Call, Dim, Instance, Layer, Place, Tensor, Unknown, Value


@dataclass(frozen=True)
class Loss:
    """A loss of torch."""

    name: str
    function: tuple[str, ...]
    """Arguments of the function, after its inputs."""
    constructor: tuple[str, ...]
    """Arguments of the class."""
    inputs: tuple[str, ...] = ("input", "target")
    """The first arguments of the function, which are given by position."""
    alike: str = ""
    """That of torch which it is like, in what is checked."""


_CE = ("weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing")
_REDUCE = ("size_average", "reduce", "reduction")
_HEADS = ("input", "linear_weight", "teacher_input", "teacher_weight")
_LOSSES = (
    Loss("cross_entropy", _CE, _CE),
    Loss("nll_loss", _CE[:-1], _CE[:-1]),
    Loss("binary_cross_entropy", ("weight", *_REDUCE), ("weight", *_REDUCE)),
    Loss("binary_cross_entropy_with_logits", ("weight", *_REDUCE, "pos_weight"), ("weight", *_REDUCE, "pos_weight")),
    Loss("kl_div", (*_REDUCE, "log_target"), (*_REDUCE, "log_target")),
    Loss("mse_loss", _REDUCE, _REDUCE),
    Loss("l1_loss", _REDUCE, _REDUCE),
    Loss("smooth_l1_loss", (*_REDUCE, "beta"), (*_REDUCE, "beta")),
    Loss("huber_loss", ("reduction", "delta"), ("reduction", "delta")),
    Loss("linear_cross_entropy", (), ("in_features", "num_classes"), ("input", "linear_weight", "target")),
    *(Loss(name, (), ()) for name, like in ALIKE.items() if like == "cross_entropy" and name != "row_loss"),
    Loss("row_loss", (), (), ("function", "input", "target")),
    Loss("topk_kl_div_with_logits", (), (), ("input", "teacher_indices", "teacher_log_probs")),
    Loss("linear_topk_kl_div", (), (), ("input", "linear_weight", "teacher_indices", "teacher_log_probs")),
    *(
        Loss(name, (), ("in_features", "num_classes"), ("input", "linear_weight", "target"))
        for name, like in ALIKE.items()
        if like == "linear_cross_entropy"
    ),
    *(
        Loss(name, (), (), _HEADS if name.startswith("linear_") else ("input", "teacher_input"))
        for name in OF_TEACHERS
        if "topk" not in name
    ),
)
_OF_CLASSES = ("cross_entropy", "nll_loss", "linear_cross_entropy")
"""Losses with one label for each row."""
_ENTROPIES = (*_OF_CLASSES, "binary_cross_entropy", "binary_cross_entropy_with_logits")
FUNCTIONS = {loss.name: loss for loss in _LOSSES}
CLASSES = {
    "CrossEntropyLoss": FUNCTIONS["cross_entropy"], "NLLLoss": FUNCTIONS["nll_loss"],
    "NLLLoss2d": FUNCTIONS["nll_loss"], "BCELoss": FUNCTIONS["binary_cross_entropy"],
    "BCEWithLogitsLoss": FUNCTIONS["binary_cross_entropy_with_logits"], "KLDivLoss": FUNCTIONS["kl_div"],
    "MSELoss": FUNCTIONS["mse_loss"], "L1Loss": FUNCTIONS["l1_loss"], "SmoothL1Loss": FUNCTIONS["smooth_l1_loss"],
    "HuberLoss": FUNCTIONS["huber_loss"], "LinearCrossEntropyLoss": FUNCTIONS["linear_cross_entropy"],
    "FocalLoss": FUNCTIONS["focal_loss"], "Poly1Loss": FUNCTIONS["poly1_loss"],
    "GeneralizedCrossEntropyLoss": FUNCTIONS["generalized_cross_entropy"],
    "CosineCrossEntropyLoss": FUNCTIONS["cosine_cross_entropy"],
    "KLDivWithLogitsLoss": FUNCTIONS["kl_div_with_logits"], "JSDivWithLogitsLoss": FUNCTIONS["js_div_with_logits"],
    "LinearKLDivLoss": FUNCTIONS["linear_kl_div"], "LinearJSDivLoss": FUNCTIONS["linear_js_div"],
}  # fmt: skip


_BASES = {"_Loss": _REDUCE, "_WeightedLoss": ("weight", *_REDUCE)}
"""The classes that torch's own criteria inherit from, and programs' too."""
_SETTINGS = ("weight", "ignore_index", "reduction", "label_smoothing")
"""What a criterion reads when it is called, and a program may set before."""
BASES = frozenset(_BASES)
RIGHT = {
    "log-probabilities": ("nll_loss", "kl_div"), "sigmoid": ("binary_cross_entropy",),
    "logits": ("cross_entropy", "binary_cross_entropy_with_logits"),
}  # fmt: skip
"""The losses that outputs of a kind are right for."""
NAMES = frozenset([*FUNCTIONS, *CLASSES])
"""What programs call them."""


def _named(names: tuple[str, ...], call: Call) -> dict[str, Value]:
    return dict(zip(names, call.args)) | call.kwargs


def construct(report: Report, layer: Layer) -> None:
    """Look at the arguments that a criterion is made with."""
    loss, call = CLASSES[layer.kind], layer.call
    tensors = [value for value in call.args if isinstance(value, Tensor)]
    first = tensors[0] if tensors else None
    predicted = first is not None and (first.graph or first.kind in ("logits", "probabilities", "log-probabilities"))
    if len(tensors) > 1 or (predicted and len(call.args) > 1):
        constructed_for_call(report, layer)
        return
    arguments = _named(loss.constructor, call)
    _settings(report, arguments, call)
    layer.attributes.update({"ignore_index": arguments.get("ignore_index", -100)} | _of_base(arguments, call))


def base(layer: Layer) -> Layer:
    """The part of a criterion that torch's base class makes."""
    layer.attributes.update(_of_base(_named(_BASES[layer.kind], layer.call), layer.call))
    return layer


def as_set(layer: Layer, instance: Instance) -> Layer:
    """The part of a criterion that torch makes, with the settings that the object has been given since."""
    settings = {name: instance.attributes[name] for name in _SETTINGS if name in instance.attributes}
    if layer.kind not in CLASSES or not settings:
        return layer
    call = Call(layer.call.args, layer.call.kwargs | settings, layer.call.place, layer.call.open)
    return Layer(layer.name, call, attributes=layer.attributes)


def _of_base(arguments: dict[str, Value], call: Call) -> dict[str, Value]:
    """The attributes that every criterion of torch has."""
    given = {name for name in _REDUCE if name in arguments}
    how = Unknown() if call.open and not given else reduction(arguments)
    weight = arguments.get("weight", Unknown() if call.open else None)
    return {"reduction": how, "weight": weight}


def constructed_for_call(report: Report, layer: Layer) -> None:
    """A criterion that is made where it should be called."""
    report.add(
        "loss-constructor-call",
        layer.call.place,
        f"the prediction and the target are given to the constructor of {layer.kind}: {layer.kind}()(input, target)",
    )


def _settings(report: Report, arguments: dict[str, Value], call: Call) -> None:
    """Mistakes that show without input and target."""
    _tell(report, _targets.deprecated(arguments), call.place)
    _tell(report, _targets.smoothing_value(arguments.get("label_smoothing")), call.place)


def _tell(report: Report, found: Iterable[Found], place: Place) -> None:
    for one in found:
        report.tell(one, place)


def apply(report: Report, layer: Layer, call: Call) -> Value:
    """criterion(input, target)."""
    loss = CLASSES[layer.kind]
    settings = _named(loss.constructor, layer.call)
    x, y = call.get("input", 0), call.get("target", 1)
    if loss.name in OF_TEACHERS:
        return _of_roles(report, loss, _named(loss.inputs, call), settings, call, layer)
    if "num_classes" in loss.constructor:
        x = _scores(x, settings.get("num_classes", Unknown()), call)
    return _evaluate(report, loss, x, y, settings, call, layer)


def function(report: Report, name: str, call: Call) -> Value:
    """A loss of torch.nn.functional, or of this package."""
    loss = FUNCTIONS[name]
    settings = _named((*loss.inputs, *loss.function), call)
    _settings(report, settings, call)
    given = {role: settings.pop(role, Unknown()) for role in loss.inputs}
    if loss.name in ALIKE and settings.get("linear_weight") is not None:
        given["linear_weight"] = settings.pop("linear_weight")
        loss = replace(loss, alike="linear_cross_entropy")
    return _of_roles(report, loss, given, settings, call, None)


def _of_roles(
    report: Report, loss: Loss, given: dict[str, Value], settings: dict[str, Value], call: Call, layer: Layer | None
) -> Value:
    """A loss of what its arguments are named for: logits or a head's hidden states, labels or what a teacher has."""
    x, y = (
        given.get("input", Unknown()),
        given.get("target", given.get("teacher_input", given.get("teacher_log_probs"))),
    )
    if "linear_weight" in given:
        x = _of_head(x, given["linear_weight"], call)
    if "teacher_weight" in given:
        y = _of_head(y, given["teacher_weight"], call)
    return _evaluate(report, loss, x, y, settings, call, layer)


def _of_head(hidden: Value, weight: Value, call: Call) -> Tensor:
    """The logits of a head of which only the weight is given."""
    return _scores(hidden, as_tensor(weight).size(0), call)


def _scores(hidden: Value, classes: Value, call: Call) -> Tensor:
    return _operations.scores(as_tensor(hidden), classes, call, -1)


def _evaluate(
    report: Report, loss: Loss, x: Value, y: Value, settings: dict[str, Value], call: Call, layer: Layer | None
) -> Value:
    made = None if layer is None else layer.call.place
    is_open = call.open or (layer is not None and layer.call.open)
    known = not is_open or any(name in settings for name in _REDUCE)
    alike = loss.alike or ALIKE.get(loss.name, loss.name)
    case = LossCall(
        alike,
        as_tensor(x),
        as_tensor(y),
        settings,
        call.place,
        reduction(settings) if known else "",
        made,
        open=is_open,
        name=loss.name if alike != loss.name else "",
    )
    if layer is not None and layer.attributes.get(LIKELY):
        case = replace(case, x=doubtful(case.x))
    report.examined(case)
    _tell(report, check(case), case.place)
    return _result(report, case)


def examine_input(report: Report, case: LossCall, x: Tensor) -> None:
    """Look at the input alone, where it was found out later what it is."""
    _tell(report, check_input(replace(case, x=x)), case.place)


def _result(report: Report, case: LossCall) -> Tensor:
    x, y = case.x, case.y
    graph = True if x.graph or y.graph else x.graph
    if case.loss not in _ENTROPIES:
        graph = None if y.graph is None and not graph else graph  # both arguments may be outputs of models
    rows = _rows(case)
    ignored = case.ignore_index
    uneven = isinstance(ignored, int) and ignored in y.fills and not y.picked and case.loss in _OF_CLASSES
    part = report.part(case.place, rows, uneven, entropy=case.loss in _ENTROPIES)
    shape = None if case.reduction == "none" else ()
    if case.reduction == "none" and y.rank is not None:
        shape = y.shape
    cut = None if graph else x.cut or y.cut
    terms = case.reduction == "none" and _inputs.of_distributions(case)
    return Tensor(
        kind=DIVERGENCE if terms else "loss",
        made=case.place,
        shape=x.shape if terms else shape,
        dtype="float",
        normal=x.normal if x.normal is not None else y.normal,
        graph=graph,
        cut=cut,
        reduction=case.reduction,
        count=case.classes if case.loss == "kl_div" and case.reduction == "mean" else None,
        parts=frozenset({part}),
        likely=x.likely,
    )


def _rows(case: LossCall) -> Dim | None:
    """How many rows the mean is over, where every label counts."""
    if case.y.shape is not None and case.loss in _OF_CLASSES:
        return times(case.rows or case.y.shape[:-1] if case.y.kind in ("one-hot", "soft") else case.y.shape)
    return case.x.shape[0] if case.x.shape else None
