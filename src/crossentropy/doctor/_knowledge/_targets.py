"""What is wrong with the target of a loss, with the axes of its input, or with its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from crossentropy.doctor._knowledge._axes import classes_last
from crossentropy.doctor._knowledge._composed import mixed
from crossentropy.doctor._knowledge._facts import (
    AS_TENSOR,
    Padding,
    SomePadding,
    Tensor,
    Unknown,
    Value,
    minus,
    times,
)
from crossentropy.doctor._knowledge._loss_call import Found, LossCall, at, known

_SOFT = ("probabilities", "mixture", "soft", "one-hot", "multi-hot", "bits", "uniform", "normal", "logits", "sigmoid")


_INDICES = ("indices", "range", "binary", "bits", "constant", "")
"""What may be meant as class indices."""


def swapped(case: LossCall) -> Iterator[Found]:
    """The target where the input belongs."""
    if why := _why_swapped(case):
        yield Found("swapped-arguments", why, "certain" if case.x.graph is not None or case.x.kind else "likely")


def _why_swapped(case: LossCall) -> str:
    """Why the first argument is the target and the second the prediction; empty if it is not so."""
    x, y = case.x, case.y
    if case.loss.startswith("linear_"):
        return ""
    integers = x.kind in ("indices", "one-hot", "bits") and y.kind not in ("indices", "one-hot", "bits", "binary")
    if integers and (y.graph or (x.dtype == "long" and y.dtype == "float")):
        return (
            f"the first argument of {case.title}{_shown(x)} is the target ({x.kind}) and the second{_shown(y)} the "
            "prediction: input first"
        )
    scores = (case.loss == "binary_cross_entropy" and y.kind == "sigmoid") or y.kind in ("logits", "relu")
    if y.graph and x.graph is None and not x.kind and not y.parts and scores:
        return f"the second argument of {case.title} is the model's output{at(y)}, which belongs first"
    logs = x.kind in ("probabilities", "mixture") and y.kind == "log-probabilities" and not (x.graph and not y.graph)
    if case.loss == "kl_div" and logs and case.settings.get("log_target", False) is False:
        return (
            f"the first argument of {case.title} is probabilities{at(x)} and the second log-probabilities{at(y)}: "
            "log-probabilities first"
        )
    backwards = y.graph and x.graph is False
    if backwards and case.loss != "kl_div":
        return (
            f"the first argument of {case.title}{_shown(x)} has no gradient and the second{_shown(y)} is the model's "
            "output: input first"
        )
    return ""


def _shown(tensor: Tensor) -> str:
    """The shape of an argument, where it is known."""
    return f", {known(tensor.shape)}," if tensor.shape else ""


def shapes(case: LossCall) -> Iterator[Found]:
    """One logit, and targets of other shapes or dtypes than class indices have."""
    x, y, rows = case.x, case.y, case.rows
    same = x.rank is not None and x.rank == y.rank
    if case.classes == 1:
        yield Found(
            "single-logit-cross-entropy",
            f"the input of {case.title} has one class{at(x)}: softmax of one logit is 1, so the loss is 0 and "
            "so is its gradient",
            case.confidence,
        )
        return
    if y.kind in ("one-hot", "multi-hot") or (_are_bits(case) and not _is_index(case)):
        yield from _hot(case)
    elif same and y.shape is not None and x.rank != 1 and y.kind not in _SOFT and _extra(case):
        yield Found(
            "target-extra-dim",
            f"the target of {case.title} has shape {known(y.shape)}, expected {known(rows)}: an axis of size 1 "
            f"too many — target.squeeze{_squeezed(y)}",
            case.confidence,
        )
    elif y.dtype == "float" and y.kind in _INDICES and rows is not None and y.rank == len(rows):
        yield Found(
            "float-class-index",
            f"class indices have a floating dtype: {case.title} expects integers — target.long()",
            case.confidence,
        )
    elif y.dtype == "float" and y.kind == "indices" and (y.rank is None or (y.rank == 1 and x.rank is None)):
        yield Found(
            "float-class-index",
            f"class indices are converted to floating point: {case.title} expects integers",
            "likely",
        )


def _are_bits(case: LossCall) -> bool:
    """Whether the target is rows of zeros and ones that do not hang on each other."""
    y = case.y
    drawn = y.kind == "indices" and y.dtype == "float" and (y.low, y.high) == (0, 1) and (y.rank or 0) > 1
    return y.kind == "bits" or (drawn and case.numbers is None)


def _is_index(case: LossCall) -> bool:
    """Whether a target of zeros and ones has one of them for each row, as far as is known."""
    x, y = case.x, case.y
    return y.rank == 1 if x.rank is None else y.rank is not None and y.rank != x.rank


def _extra(case: LossCall) -> bool:
    """Whether the target has an axis of size 1 too many: where the classes would be, if not all sizes are known."""
    y, axis, rows = case.y, case.class_axis, case.rows
    if not y.shape or axis is None or case.classes == 1 or rows is None:
        return False
    if all(isinstance(size, int) for size in (*y.shape, *rows)):
        return y.shape != case.x.shape and 1 in y.shape and times(y.shape) == times(rows)
    return y.shape[axis] == 1 or (y.shape[-1] == 1 and y.dtype == "long")


def _squeezed(y: Tensor) -> str:
    """The argument of squeeze, where one axis alone is of size 1."""
    ones = [axis for axis, size in enumerate(y.shape or ()) if size == 1]
    return f"({ones[0]})" if len(ones) == 1 else ""


def _hot(case: LossCall) -> Iterator[Found]:
    y = case.y
    if y.kind == "one-hot":
        integers = y.dtype in ("long", "bool")
        what = "integers" if integers else "floats: the same loss at C times the memory"
        yield Found(
            "one-hot-target",
            f"the target of {case.title} is one-hot{at(y)}, in {what} — class indices, target.argmax(1)",
            "certain" if integers else "info",
        )
    elif case.x.rank is None or case.x.rank == y.rank or y.rank is None:
        ones = "" if case.numbers is None else f", {case.numbers.ones()}"
        yield Found(
            "multi-hot-target",
            f"the rows of the target of {case.title} can hold several ones{at(y)}{ones}, and cross_entropy lets the "
            "labels of a row compete",
            "certain" if y.kind == "multi-hot" else "likely",
        )


def axes(case: LossCall) -> Iterator[Found]:
    """Classes elsewhere than on axis 1, and views that mix rows and classes."""
    x, y = case.x, case.y
    if x.mixed is not None:
        yield mixed(f"{case.loss} at {case.place}", x.mixed, case.confidence)
        return
    told = x.axis is None and x.shape is not None and y.shape is not None and classes_last(x.shape, y.shape)
    axis = -1 if told else x.axis
    soft = y.kind in _SOFT and not (y.kind == "bits" and _is_index(case))
    if axis is None or x.rank is None or x.rank < 3:
        return
    beside = y.dtype == "float" and y.rank == x.rank and y.axis == axis and y.kind in ("one-hot", "soft")
    if axis != case.class_axis and (beside or (not soft and y.rank in (None, x.rank - 1))):
        mend = "transpose(1, 2)" if x.rank == 3 else "movedim(-1, 1)"
        yield Found(
            "class-axis-not-one",
            f"the input of {case.title} has shape {known(x.shape)} with its classes on axis "
            f"{x.rank + axis}{at(x)}, and classes are read along axis 1 — input.{mend}",
            case.confidence,
        )


def labels(case: LossCall) -> Iterator[Found]:
    """Labels below 0, or not less than the number of classes."""
    y, classes, ignored = case.y, case.classes, case.ignore_index
    if ignored is None or y.kind not in ("indices", "range", "") or y.dtype == "float" or not isinstance(classes, int):
        return
    candidates = {fill for fill in y.fills if not isinstance(fill, Padding)}
    candidates |= {bound for bound in (y.low, y.high) if isinstance(bound, int)}
    wrong = sorted(label for label in candidates if label != ignored and not 0 <= label < classes)
    if not wrong or classes == 1:
        return
    label = wrong[-1]
    from_one = label == classes and isinstance(y.low, int) and y.low >= 1
    padding = label in y.fills or label < 0 or label == 255
    hint = " — labels that start at 1? use target - 1" if from_one else f" — pass ignore_index={label}" * padding
    may_be = "can be" if case.numbers is None else "is"
    yield Found(
        "label-out-of-range",
        f"a label of {case.title} {may_be} {label}, expected 0 … {classes - 1}, or ignore_index ({ignored}){hint}",
        case.confidence,
    )


def masked(case: LossCall) -> Iterator[Found]:
    """Classes that are ruled out by a logit of −inf, and occur as a target."""
    y, ignored = case.y, case.ignore_index
    if case.x.masked and case.x.graph and y.kind in ("indices", ""):
        yield Found(
            "masked-target-logit",
            f"all but the largest logits of a row are −inf, and the class of {case.title} can be any: where it "
            "is not among them the loss is inf",
            "likely",
        )
        return
    if case.x.diagonal and y.kind == "range" and y.low == 0 and y.rank == 1:
        yield Found(
            "masked-target-logit",
            f"the diagonal of the logits is −inf, and the labels of {case.title} are that diagonal, 0, 1, 2 …: the "
            "loss of each row is inf",
            case.confidence,
        )
        return
    if not isinstance(y.low, int) or not isinstance(y.high, int) or y.kind != "indices":
        return
    occurring = [label for label in case.x.banned if y.low <= label <= y.high and label != ignored]
    if occurring:
        rows = "" if case.numbers is None else f" {case.numbers.ruled_out()}"
        yield Found(
            "masked-target-logit",
            f"the logit of class {min(occurring)} is −inf{rows}, and the labels of {case.title} reach from {y.low} "
            f"to {y.high}: the loss of that class is inf",
            case.confidence,
        )


def padding(case: LossCall) -> Iterator[Found]:
    """Padded positions that count in the mean."""
    y, ignored = case.y, case.ignore_index
    if case.reduction not in ("mean", "sum") or ignored is None or y.kind not in ("indices", ""):
        return
    if isinstance(case.settings.get("weight"), (Tensor, Unknown)) and case.numbers is None:
        return  # a weight of 0 ignores the padding too
    wrong = [fill for fill in y.fills if isinstance(fill, Padding) and fill != ignored]
    if "ignore_index" in case.settings:  # which may be the padding of a tokenizer
        wrong = [fill for fill in wrong if not isinstance(fill, SomePadding)]
    if wrong:
        share = "" if case.numbers is None else f", {case.numbers.padding(wrong[0])}"
        yield Found(
            "padding-not-ignored",
            f"labels of {case.title} are padded with {wrong[0]}, and only {ignored} is ignored: padding counts "
            f"in the mean{share} — ignore_index={wrong[0]}",
            "likely" if y.likely or isinstance(wrong[0], SomePadding) else case.confidence,
        )
        return
    embedded = y.source.padding if y.source is not None else None
    if isinstance(embedded, int) and embedded != ignored and not y.fills and y.rank != 0:
        yield Found(
            "padding-not-ignored",
            f"the target is made of tokens whose embedding has padding_idx={embedded}, and {case.title} "
            f"ignores {ignored}: padding counts in the mean — ignore_index={embedded}",
            "likely",
        )


def shift(case: LossCall) -> Iterator[Found]:
    """Targets that are the tokens the model has read, unshifted or shifted by two."""
    x, y = case.x, case.y
    if x.source is None or x.source is not y.source or not (x.graph or case.numbers):
        return
    by = minus(y.offset, x.offset)
    x.source.predicted = x.source.predicted or by == 1
    if by == 0 or (by == 2 and not x.source.predicted):  # beside the next token, the one after it may be predicted
        what = (
            "not shifted: position t is trained to copy token t"
            if by == 0
            else ("shifted twice: position t is trained on token t + 2")
        )
        yield Found(
            "causal-shift",
            f"the targets of {case.title} are the tokens that the model reads, {what}",
            case.confidence,
        )


def weights(case: LossCall) -> Iterator[Found]:
    """Class weights that are not one number for each class."""
    weight, classes = case.settings.get("weight"), case.classes
    if _of_samples(weight, case.y) or _of_rows(weight, case):
        yield Found(
            "class-weight-shape",
            f"weight comes in batches, as the target of {case.loss} at {case.place} does: one number for each "
            "sample, where one for each class is expected",
            "certain" if isinstance(weight, Tensor) else "likely",
            place=case.made or case.place,
        )
        return
    if not isinstance(weight, Tensor) or weight.shape is None or not isinstance(classes, int):
        return
    if len(weight.shape) != 1 or (isinstance(weight.shape[0], int) and weight.shape[0] != classes):
        yield Found(
            "class-weight-shape",
            f"weight has shape {known(weight.shape)}, expected ({classes},) for {case.loss} at {case.place}: "
            f"one number for each of the {classes} classes",
            case.confidence,
            place=case.made or case.place,
        )


def _of_samples(weight: Value, y: Tensor) -> bool:
    """Whether weights come out of the same batch as the labels."""
    if isinstance(weight, Tensor):
        return weight.samples and weight.rank in (1, None)
    batch = weight.owner if isinstance(weight, Unknown) else None
    if batch is None or y.kind:
        return False
    parts = [value for key, value in batch.members.items() if isinstance(key, tuple) and type(key[0]) is int]
    labels = any(isinstance(part, Unknown) and part.members.get(AS_TENSOR) is y for part in parts)
    return labels and any(part is weight for part in parts)


def _of_rows(weight: Value, case: LossCall) -> bool:
    """Whether there are as many weights as labels, however many these are, and a number of classes that is known."""
    same = isinstance(weight, Tensor) and weight.rank == 1 and weight.shape == case.y.shape
    return same and isinstance(weight.size(0), Unknown) and isinstance(case.classes, int)


def ignored(case: LossCall) -> Iterator[Found]:
    """Nothing but ignored labels."""
    y, label = case.y, case.ignore_index
    if (
        label is not None
        and y.low == label
        and y.high == label
        and (y.shape != () or case.numbers)
        and case.reduction == "mean"
    ):
        yield Found(
            "all-targets-ignored",
            f"all labels of {case.title} are {label}, which is ignored: the mean is 0/0 = nan",
            case.confidence,
        )


def soft(case: LossCall) -> Iterator[Found]:
    """Class probabilities that are none."""
    x, y = case.x, case.y
    if case.classes == 1:  # whose softmax is 1, whatever is expected of it
        return
    names = {
        "logits": "logits", "normal": "random numbers of both signs", "sigmoid": "sigmoid scores",
        "uniform": "random numbers", "log-probabilities": "log-probabilities", "scores": "scores",
        "relu": "outputs of a ReLU", "tanh": "scores", "votes": "counts", "counts": "counts",
    }  # fmt: skip
    counts = y.kind == "indices" and y.dtype == "float" and x.rank is not None and x.rank == y.rank and x.rank > 1
    counts = counts and isinstance(y.high, int) and y.high > 1  # zeros and ones may be one-hot rows
    counts = counts and y.shape is not None and x.shape is not None and y.shape[-1] == x.shape[-1] != 1
    fits = x.rank is None or y.rank is None or x.rank == y.rank
    scaled = y.sums is not None and abs(y.sums - 1) > 0.01 and y.kind not in names
    if ((y.kind in names or scaled or y.weighed) and fits and y.dtype != "long") or counts:
        sums = (
            "a mixture whose weights do not sum to 1"
            if y.weighed
            else f"rows that sum to {y.sums or 0:g}"
            if case.numbers is None
            else case.numbers.target_sums()
        )
        what = "counts" if counts else names.get(y.kind, sums)
        yield Found(
            "unnormalized-target",
            f"the target of {case.title} is {what}{at(y)}, whose rows do not sum to 1: apply softmax to "
            "logits, or divide each row by its sum",
            "likely" if y.likely else case.confidence,
        )


def binary(case: LossCall) -> Iterator[Found]:
    """Class indices as the target of a binary cross entropy."""
    y = case.y
    if y.kind == "indices" and isinstance(y.high, int) and y.high > 1:
        yield Found(
            "class-index-into-bce",
            f"the target of {case.title} goes up to {y.high}: class indices, where 0 … 1 is expected",
            case.confidence,
        )


def binary_weights(case: LossCall) -> Iterator[Found]:
    """Weights that do not fit the outputs."""
    for name in ("pos_weight", "weight"):
        weight, x = case.settings.get(name), case.x
        if not isinstance(weight, Tensor) or not weight.shape or not x.shape:
            continue
        pairs = zip(weight.shape[::-1], x.shape[::-1])
        fits = all(a in (1, b) or not isinstance(a, int) or not isinstance(b, int) for a, b in pairs)
        if not fits or len(weight.shape) > len(x.shape):
            yield Found(
                "class-weight-shape",
                f"{name} has shape {known(weight.shape)} and the input of {case.loss} at {case.place} "
                f"{known(x.shape)}: expected one number for each class",
                case.confidence,
                place=case.made or case.place,
            )


def smoothing(case: LossCall) -> Iterator[Found]:
    """label_smoothing given to a function."""
    if case.made is None:
        yield from smoothing_value(case.settings.get("label_smoothing"))


def smoothing_value(value: Value) -> Iterator[Found]:
    """label_smoothing outside [0, 1]."""
    if isinstance(value, (int, float)) and not 0 <= value <= 1:
        done = "torch ignores it in silence" if value < 0 else "torch refuses it"
        yield Found("label-smoothing-range", f"label_smoothing is {value:g}, expected a number in [0, 1]: {done}")


def deprecated(settings: Mapping[str, Value]) -> Iterator[Found]:
    """size_average and reduce."""
    old = [name for name in ("size_average", "reduce") if isinstance(settings.get(name), bool)]
    if old:
        yield Found("deprecated-reduce", f"{' and '.join(old)} given: use reduction=")
