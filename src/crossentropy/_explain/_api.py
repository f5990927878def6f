"""`explain`: arguments → a checked problem → its explanation."""

from collections.abc import Sequence

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy._contract import AnyOptions
from crossentropy._errors import ArgumentTypeError, ArgumentValueError
from crossentropy._explain import _diff, _loss, _quantities
from crossentropy._explain._batch import Problem
from crossentropy._explain._chain import Chain
from crossentropy._explain._explanation import Explanation
from crossentropy._explain._words import language
from crossentropy._keywords import hinting
from crossentropy._loss import LossSpec, LossTensors, without
from crossentropy._tensors import check_floating, check_statistics_head, class_axis
from crossentropy._values import check_probabilities, remedy
from crossentropy.information import Numbers, Unit, per_nat


class Explain:
    """Explain a loss: every step of its computation, with the numbers of this input.

        z → log_softmax(z) → −log q_y → mean → gradient

    Call it as you call `crossentropy.functional.cross_entropy`. What comes back is data: `print` shows it as text, a
    notebook as tables and figures, `to_html` writes a page with sliders. Its numbers are those of this package, and
    they are compared with torch's on every call. Of big inputs, some rows and classes are shown. Nothing is changed:
    inputs are read, detached, and no second copy of them is made.

    `explain.kl(p, q)`, `explain.entropy(p)` and `explain.information(p)` explain the quantities behind the loss, and
    `explain.diff(a, b)` finds the first step at which two explanations part. `explain.chain()` is a page on all of it.

    Args:
        input: Logits (C), (N, C) or (N, C, d1, …, dK), as for `cross_entropy`; or give probs or hidden instead of it.
        target: Class indices or class probabilities, as for `cross_entropy`; needed, without a default.
        probs: Probabilities instead of logits, in the same shapes.
        hidden: Hidden states (…, D) instead of logits, with linear_weight.
        linear_weight: Head (C, D) of hidden; without hidden, none.
        linear_bias: Bias (C) of the head. Default: none.
        weight: Class weights (C), as for `cross_entropy`, and so what follows. Default: 1.
        size_average: Deprecated, see reduction.
        ignore_index: The label whose rows are left out: padding, prompts.
        reduce: Deprecated, see reduction.
        reduction: "none", "mean" or "sum".
        label_smoothing: Label smoothing ε in [0, 1]: the part of the target that is spread over the classes.
        token_weight: Weight of each row. Default: 1.
        denominator: What "mean" divides by. Default: the weight of the rows that count, in sum.
        z_loss: λ ≥ 0 of the added term λ · lse², which draws the logsumexp of a row to 0.
        softcap: c > 0 of the cap c · tanh(z / c). Default: none.
        logit_scale: Factor on the logits, before the cap: 1 / T for a temperature T.
        out_dtype: Dtype of the value. Default: the input's, and float32 under autocast.
        options: How to execute it, a `crossentropy.Options`. Default: as it chooses.
        class_names: Names of the C classes. Default: their indices.
        max_rows: Rows shown at most; the one of the largest loss is always among them.
        max_classes: Classes shown at most in each row, at least 2; the target is always among them.
        unit: "bit" or "hartley" gives the loss in that unit as well.
        lang: "en" or "zh"; that of the locale by default.

    Returns:
        An `Explanation`.

    Raises:
        ValueError: As for `cross_entropy`; or a row of probs is no distribution, there are no rows, or the classes and
            their names differ in number.
        TypeError: As for `cross_entropy`; or not exactly one of input, probs and hidden was given.
        IndexError: A label is out of range.

    Examples:
        >>> import crossentropy
        >>> logits = torch.tensor([[2.0, 0.5, 0.0], [0.0, 0.0, 3.0]])
        >>> e = crossentropy.explain(logits, torch.tensor([0, 2]), lang="en")
        >>> print(e.step("value").numbers)
        −(−0.3064 −0.0949) / 2 = 0.2006
        >>> e.agrees
        True

    See Also:
        `crossentropy.functional.cross_entropy`, which is what is explained.
    """

    @hinting
    def __call__(
        self,
        input: Tensor | None = None,
        target: Tensor | None = None,
        *,
        probs: Numbers | None = None,
        hidden: Tensor | None = None,
        linear_weight: Tensor | None = None,
        linear_bias: Tensor | None = None,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        token_weight: Tensor | None = None,
        denominator: Tensor | float | None = None,
        z_loss: float = 0.0,
        softcap: float | None = None,
        logit_scale: float = 1.0,
        out_dtype: torch.dtype | None = None,
        options: AnyOptions = None,
        class_names: Sequence[str] | None = None,
        max_rows: int = 6,
        max_classes: int = 8,
        unit: Unit = "nat",
        lang: str | None = None,
    ) -> Explanation:
        """Explain a loss."""
        source, x = _source(input, probs, hidden)
        if target is None:
            raise ArgumentTypeError("target is missing: explain(input, target) takes what cross_entropy takes")
        if (source == "hidden") != (linear_weight is not None):
            raise ArgumentTypeError("hidden and linear_weight go together: the head makes logits of hidden states")
        given = x
        if source == "probs":
            _check_log_probabilities(z_loss, softcap, logit_scale)
            x = _log_probabilities(x, target)
        tensors = LossTensors(x, target, weight, token_weight, denominator, linear_weight, linear_bias)
        tensors = LossTensors._make(t.detach() if isinstance(t, Tensor) else t for t in tensors)
        if linear_weight is None:
            dim, shape = class_axis(x, target), x.shape
        else:
            dim, shape = x.dim() - 1, check_statistics_head(x, linear_weight, linear_bias, -1)
        with torch.no_grad(), _autocast_disabled(x):
            tensors, spec = contract.resolve(
                tensors,
                shape,
                dim,
                reduction=contract.resolve_reduction(reduction, size_average, reduce),
                ignore_index=ignore_index,
                label_smoothing=label_smoothing,
                z_loss=z_loss,
                softcap=softcap,
                logit_scale=logit_scale,
                out_dtype=out_dtype,
                options=options,
            )
            _check_rows(spec, shape)
            _check_shown(max_rows, max_classes, class_names, spec.num_classes)
            per_nat(unit)
            problem = Problem(tensors, spec, source, given.shape, given.dtype, out_dtype, options)
            return _loss.explain(
                problem,
                max_rows=max_rows,
                max_classes=max_classes,
                names=class_names,
                unit=unit,
                lang=language(lang),
            )

    @hinting
    def kl(
        self,
        p: Numbers,
        q: Numbers,
        *,
        dim: int = -1,
        class_names: Sequence[str] | None = None,
        max_rows: int = 6,
        max_classes: int = 8,
        unit: Unit = "nat",
        lang: str | None = None,
    ) -> Explanation:
        """Explain KL(p‖q), with the entropy of p and the cross entropy.

            KL(p‖q) = Σ_c p_c log(p_c / q_c) = H(p, q) − H(p)

        Args:
            p: True probabilities along `dim`.
            q: Predicted probabilities; broadcast against p.
            dim: The class axis.
            class_names: Names of the outcomes. Default: their indices.
            max_rows: Distributions shown at most.
            max_classes: Outcomes shown at most.
            unit: "nat", "bit" or "hartley".
            lang: "en" or "zh"; that of the locale by default.

        Returns:
            An `Explanation`.

        Raises:
            ValueError: A row is no distribution, or the shapes do not fit.

        Examples:
            >>> import crossentropy
            >>> e = crossentropy.explain.kl([0.5, 0.5], [0.9, 0.1], lang="en")
            >>> print(e.step("cross_entropy").numbers)  # H(p) + KL(p‖q) = H(p, q)
            0.6931 + 0.5108 = 1.2040
        """
        how = _how(p, dim, class_names, max_rows, max_classes, lang)
        return _quantities.explain_kl(p, q, unit=unit, dim=dim, **how)

    @hinting
    def entropy(
        self,
        p: Numbers,
        *,
        dim: int = -1,
        class_names: Sequence[str] | None = None,
        max_rows: int = 6,
        max_classes: int = 8,
        unit: Unit = "nat",
        lang: str | None = None,
    ) -> Explanation:
        """Explain H(p), information on average.

            H(p) = −Σ_c p_c log p_c

        Args:
            p: Probabilities along `dim`.
            dim: The class axis.
            class_names: Names of the outcomes. Default: their indices.
            max_rows: Distributions shown at most.
            max_classes: Outcomes shown at most.
            unit: "nat", "bit" or "hartley".
            lang: "en" or "zh"; that of the locale by default.

        Returns:
            An `Explanation`.

        Raises:
            ValueError: A row is no distribution.

        Examples:
            >>> import crossentropy
            >>> print(crossentropy.explain.entropy([0.5, 0.25, 0.25], unit="bit", lang="en").step("entropy").numbers)
            0.5000 + 0.5000 + 0.5000 = 1.5000
        """
        how = _how(p, dim, class_names, max_rows, max_classes, lang)
        return _quantities.explain_entropy(p, unit=unit, dim=dim, **how)

    @hinting
    def information(
        self,
        p: Numbers,
        *,
        class_names: Sequence[str] | None = None,
        max_classes: int = 8,
        unit: Unit = "nat",
        lang: str | None = None,
    ) -> Explanation:
        """Explain −log p, what an outcome tells when it happens.

            I(p) = −log p

        Args:
            p: Probabilities of outcomes, any shape; they need not sum to 1.
            class_names: Names of the outcomes. Default: their indices.
            max_classes: Outcomes shown at most.
            unit: "nat", "bit" or "hartley".
            lang: "en" or "zh"; that of the locale by default.

        Returns:
            An `Explanation`.

        Raises:
            ValueError: An entry is outside [0, 1].

        Examples:
            >>> import crossentropy
            >>> print(crossentropy.explain.information([0.125], unit="bit", lang="en").step("information").numbers)
            −log₂ 0.1250 = 3
        """
        outcomes = torch.as_tensor(p).numel()
        _check_shown(1, max_classes, class_names, outcomes)
        how = {"max_classes": max_classes, "names": class_names, "lang": language(lang)}
        return _quantities.explain_information(p, unit=unit, **how)

    @hinting
    def diff(self, a: Explanation, b: Explanation) -> _diff.Difference:
        """The first step at which two computations part, and how.

            a: z → log q → −log q_y → L          b: z → log q → −log q_y → L′

        Args:
            a: An explanation of a loss.
            b: Another, of the same kind.

        Returns:
            A `Difference`, which says where they part and what explains it.

        Raises:
            TypeError: a or b is no explanation.
            ValueError: They explain different quantities.

        Examples:
            >>> import crossentropy
            >>> z, y = torch.tensor([[2.0, 0.5, 0.0], [0.0, 0.0, 3.0]]), torch.tensor([0, 2])
            >>> a = crossentropy.explain(z, y, lang="en")
            >>> b = crossentropy.explain(z.softmax(1), y, lang="en")
            >>> crossentropy.explain.diff(a, b).cause
            'softmax'
        """
        return _diff.diff(a, b)

    @hinting
    def chain(self, lang: str | None = None) -> Chain:
        """The whole chain, from information to a trained model, as one page to play with.

            −log p → H(p) → KL(p‖q) → H(p, q) → log_softmax → nll_loss → cross_entropy → a trained model

        Every figure can be dragged, or moved with a keyboard. The page loads nothing, and the numbers that it opens
        with are those of this package.

        Args:
            lang: "en" or "zh"; that of the locale by default.

        Returns:
            An object with `to_html(path)`, which writes the page, and `to_html()`, which returns it; a notebook shows
            it in a frame of its own.

        Raises:
            ValueError: There are no words in that language.

        Examples:
            >>> import crossentropy
            >>> crossentropy.explain.chain(lang="en").to_html().startswith("<!doctype html>")
            True
        """
        return Chain(language(lang))


explain: Explain = Explain()


def _source(input: Tensor | None, probs: Numbers | None, hidden: Tensor | None) -> tuple[str, Tensor]:
    given = {"input": input, "probs": probs, "hidden": hidden}
    present = {name: x for name, x in given.items() if x is not None}
    if len(present) != 1:
        came = " and ".join(present) + " were" if present else "none was"
        raise ArgumentTypeError(f"{came} given of input (logits), probs and hidden: expected one of them")
    ((source, x),) = present.items()
    if source == "probs":
        x = torch.as_tensor(x)
    return source, check_floating(source, x)


def _check_log_probabilities(z_loss: float, softcap: float | None, logit_scale: float) -> None:
    for name, value, default in (
        ("z_loss", z_loss, 0.0),
        ("softcap", softcap, None),
        ("logit_scale", logit_scale, 1.0),
    ):
        if value != default:
            raise ArgumentValueError(
                f"{name} is {value}: it changes logits, and probs are given instead — leave it out"
            )


def _log_probabilities(q: Tensor, target: Tensor) -> Tensor:
    """Logarithms of q, whose softmax is q."""
    logits = "for logits use explain(input, target)"
    check_probabilities("probs", q, class_axis(q, target), hint=lambda row: remedy(row, logits))
    return q.detach().double().log()


def _check_rows(spec: LossSpec, shape: torch.Size) -> None:
    if without(shape, spec.class_dim).numel() == 0:
        raise ArgumentValueError(f"input has shape {tuple(shape)}: there is no row to explain")


def _check_shown(max_rows: int, max_classes: int, names: Sequence[str] | None, classes: int) -> None:
    for name, value, least in (("max_rows", max_rows, 1), ("max_classes", max_classes, 2)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ArgumentValueError(f"{name} is {value!r}, expected a whole number ≥ {least}")
    if names is None:
        return
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ArgumentTypeError("class_names: expected a sequence of strings, one for each class")
    if len(names) != classes:
        raise ArgumentValueError(f"class_names has {len(names)} names, expected {classes}: one for each class")


def _how(
    p: Numbers, dim: int, names: Sequence[str] | None, max_rows: int, max_classes: int, lang: str | None
) -> dict[str, object]:
    shape = torch.as_tensor(p).shape
    if not -len(shape) <= dim < len(shape):
        raise ArgumentValueError(f"dim is {dim}, expected an axis of p, which has shape {tuple(shape)}")
    _check_shown(max_rows, max_classes, names, shape[dim])
    return {"max_rows": max_rows, "max_classes": max_classes, "names": names, "lang": language(lang)}


def _autocast_disabled(x: Tensor) -> torch.autocast:
    return torch.autocast(x.device.type, enabled=False)
