"""The steps of a loss, from what was given to the gradient.

    z → m = max z → z − m → exp → s = Σ exp → lse = m + log s → log q = z − lse → −log q_y → ℓ → L → ∂L/∂z

z logits (rows, classes) · q softmax(z) · y target · ℓ the rows' losses · L the reduced loss. The value, the rows'
losses, log_softmax, softmax and the gradient are those of this package's functions; the steps between are written out.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from crossentropy import functional, information
from crossentropy._explain import _reference
from crossentropy._explain._batch import Batch, Problem, position
from crossentropy._explain._data import Landmark, Ref, Step, number
from crossentropy._explain._explanation import Explanation
from crossentropy._explain._rows import pieces
from crossentropy._explain._steps import MOST_TERMS, Steps, joined
from crossentropy._explain._words import languages, say
from crossentropy._languages import Language
from crossentropy.information import Unit, per_nat


def explain(
    problem: Problem, *, max_rows: int, max_classes: int, names: Sequence[str] | None, unit: Unit, lang: Language
) -> Explanation:
    """The explanation of a loss."""
    x, spec = problem.tensors, problem.spec
    value = problem.call(spec.reduction, x.token_weight, x.denominator, problem.out_dtype)
    losses = problem.call("none", None, None, spec.dtype)
    reference, rows_apart, largest = _reference.reduced(x, spec, losses)
    batch = Batch(problem, losses, max_rows, max_classes, names)
    steps = _steps(batch, lang, unit, value)
    apart = max(rows_apart, _reference.difference(value, reference), batch.apart(largest))
    tolerance = _tolerance(batch, value, max(1.0, largest, batch.steepest()))
    key = "check.agrees" if apart <= tolerance else "check.differs"
    shown_value = reference if reference.dim() == 0 else reference.sum()
    return Explanation(
        kind="cross_entropy",
        titles={each: _title(problem, each) for each in languages()},
        lang=lang,
        unit=unit,
        steps=steps,
        value=value,
        reference=reference,
        max_abs_diff=apart,
        tolerance=tolerance,
        check=say(lang, key, torch=number(float(shown_value)), apart=number(apart), tolerance=number(tolerance)),
        landmarks=_landmarks(batch, lang, value),
        shown=batch.shown,
        settings=_settings(problem),
        lab=batch.lab(unit),
    )


def _steps(batch: Batch, lang: Language, unit: Unit, value: Tensor) -> tuple[Step, ...]:
    steps = Steps(lang, batch.shown)
    _add_target(steps, batch)
    log_q, q = _add_probabilities(steps, batch) if batch.problem.source == "probs" else _add_softmax(steps, batch)
    _add_surprise(steps, batch, log_q, unit)
    rows = _add_weights(steps, batch)
    _add_value(steps, batch, log_q, rows, value, unit)
    _add_gradient(steps, batch, q)
    return steps.done()


def _add_target(steps: Steps, batch: Batch) -> None:
    problem, shown, lang = batch.problem, batch.shown, steps.lang
    notes = [
        say(
            lang,
            f"given.{problem.source}",
            shape=_shape(problem.given),
            dtype=_dtype(problem.dtype),
            C=batch.spec.num_classes,
            N=shown.all_rows,
            dim=batch.spec.class_dim,
        ),
        say(lang, "path.probabilities" if batch.spec.probabilities else "path.indices"),
    ]
    if shown.hidden_rows:
        notes.append(say(lang, "shown.rows", rows=len(shown.positions), N=f"{shown.all_rows:,}"))
    if shown.hidden_classes:
        notes.append(say(lang, "shown.classes", classes=shown.classes.shape[1], C=f"{shown.all_classes:,}"))
    if any(shown.ignored):
        notes.append(say(lang, "ignored", index=number(batch.spec.ignore_index)))
    if batch.spec.probabilities:
        steps.add("target", "p_ic", batch.gather(batch.target), rest=batch.rest(batch.target), notes=notes)
    else:
        steps.add("target", "y_i", batch.target[:, 0], notes=notes)


def _add_probabilities(steps: Steps, batch: Batch) -> tuple[str, str]:
    q = batch.z.exp()
    steps.add("probabilities", "q_ic", batch.gather(q), rest=batch.rest(q))
    k = steps.target_column()
    steps.add(
        "log_probabilities",
        "log q_ic",
        batch.gather(batch.z),
        lambda s: ("log ", s.at("probabilities", k), " = ", s.at("log_probabilities", k)),
    )
    return "log_probabilities", "probabilities"


def _add_softmax(steps: Steps, batch: Batch) -> tuple[str, str]:
    spec, z, k = batch.spec, batch.z, steps.target_column()
    formula = "z_ic" if batch.problem.source == "input" else "z_ic = Σ_d h_id W_cd + b_c"
    if spec.logit_scale != 1.0 or spec.softcap is not None:
        scale, cap = number(spec.logit_scale), None if spec.softcap is None else number(spec.softcap)
        steps.add("raw", formula.replace("z", "x"), batch.gather(batch.raw))
        scaled = [f"{scale} · "] if spec.logit_scale != 1.0 else []
        steps.add(
            "logits",
            f"z_ic = {''.join(scaled)}x_ic" if cap is None else f"z_ic = {cap} · tanh({''.join(scaled)}x_ic / {cap})",
            batch.gather(z),
            lambda s: (
                *([f"{cap} · tanh("] if cap else []),
                *scaled,
                s.at("raw", k),
                *([f" / {cap})"] if cap else []),
                " = ",
                s.at("logits", k),
            ),
        )
    else:
        steps.add("logits", formula, batch.gather(z))
    top = z.amax(1)
    shift = torch.where(top.isinf(), 0.0, top)  # as the package does, so that inf − inf is nowhere
    shifted = z - shift.unsqueeze(1)
    exp = shifted.exp()
    total = exp.sum(1)
    steps.add(
        "max",
        "m_i = max_c z_ic",
        top,
        lambda s: ("max(", *joined(_first(s, "logits"), ", "), ") = ", s.at("max")),
    )
    steps.add(
        "shifted",
        "z_ic − m_i",
        batch.gather(shifted),
        lambda s: (
            (s.at("logits", k), " − (", s.at("max"), ") = ", s.at("shifted", k))
            if float(s.at("max").value) < 0
            else (s.at("logits", k), " − ", s.at("max"), " = ", s.at("shifted", k))
        ),
    )
    steps.add(
        "exp",
        "exp(z_ic − m_i)",
        batch.gather(exp),
        lambda s: ("exp(", s.at("shifted", k), ") = ", s.at("exp", k)),
        rest=batch.rest(exp),
    )
    steps.add("sum", "s_i = Σ_c exp(z_ic − m_i)", total, lambda s: (*s.sum("exp"), " = ", s.at("sum")))
    steps.add(
        "lse",
        "lse_i = m_i + log s_i",
        shift + total.log(),
        lambda s: (s.at("max"), " + log ", s.at("sum"), " = ", s.at("lse")),
    )
    log_q = functional.log_softmax(z, 1)
    q = functional.softmax(z, 1)
    steps.add(
        "log_softmax",
        "log q_ic = z_ic − lse_i",
        batch.gather(log_q),
        lambda s: (s.at("logits", k), " − ", *_bracketed(s.at("lse")), " = ", s.at("log_softmax", k)),
    )
    steps.add(
        "softmax",
        "q_ic = exp(z_ic − m_i) / s_i",
        batch.gather(q),
        lambda s: (s.at("exp", k), " / ", s.at("sum"), " = ", s.at("softmax", k)),
        rest=batch.rest(q),
    )
    return "log_softmax", "softmax"


def _add_surprise(steps: Steps, batch: Batch, log_q: str, unit: Unit) -> None:
    k, rows = steps.target_column(), _surprise(batch)
    if batch.spec.probabilities:
        formula = "−Σ_c p_ic log q_ic"

        def numbers(s: Steps) -> list[str | Ref]:
            present = [k for k, p in enumerate(batch.gather(batch.target)[s.worked].tolist()) if p > 0]
            columns = present[:MOST_TERMS]
            terms = [part for c in columns for part in (" − ", s.at("target", c), " · (", s.at(log_q, c), ")")]
            gap = [" − …"] if s.shown.hidden_classes or len(columns) < len(present) else []
            return [*terms[1:], *gap, " = ", s.at("nll")] if columns else []
    else:
        formula = "−log q_{i, y_i}"

        def numbers(s: Steps) -> list[str | Ref]:
            return ["−(", s.at(log_q, k), ") = ", s.at("nll")]

    steps.add("nll", formula, rows, numbers, rest=_rest_of_rows(batch) if not _weighted(batch) else None)
    second: Unit = "hartley" if unit == "hartley" else "bit"
    base = "₁₀" if second == "hartley" else "₂"
    steps.add(
        second,
        formula.replace("log", f"log{base}"),
        rows * per_nat(second),
        lambda s: (s.at("nll"), f" / ln {10 if second == 'hartley' else 2} = ", s.at(second)),
        unit=second,
    )


def _add_weights(steps: Steps, batch: Batch) -> str:
    """Steps for what weighs classes and rows; the key of the step that holds the rows' losses."""
    x, spec, lang = batch.problem.tensors, batch.spec, steps.lang
    if spec.label_smoothing or (spec.probabilities and x.weight is not None):
        steps.add(
            "tau",
            "τ_ic = w_c ((1 − ε) p_ic + ε/C)",
            batch.gather(batch.tau),
            rest=batch.rest(batch.tau),
            notes=[say(lang, "tau.smoothing", eps=f"{spec.label_smoothing:g}", C=spec.num_classes)]
            if spec.label_smoothing
            else [],
        )
    if x.weight is not None and not spec.probabilities:
        steps.add("weight", "n_i = w_{y_i}", batch.n)
    if spec.z_loss:
        lse = torch.logsumexp(batch.z, 1).masked_fill(batch.n == 0, 0.0)
        steps.add(
            "z_loss",
            f"{number(spec.z_loss)} · n_i lse_i²",
            spec.z_loss * batch.n * lse.square(),
        )
    if x.token_weight is not None:
        steps.add("token_weight", "t_i", batch.t)
    if not _weighted(batch):
        return "nll"
    formula = (
        "ℓ_i = −Σ_c τ_ic log q_ic" if spec.label_smoothing or spec.probabilities else "ℓ_i = −w_{y_i} log q_{i, y_i}"
    )
    if x.weight is None and not spec.label_smoothing:
        formula = "ℓ_i = −log q_{i, y_i}" if not spec.probabilities else "ℓ_i = −Σ_c p_ic log q_ic"
    steps.add("loss", formula + (" + λ n_i lse_i²" if spec.z_loss else ""), batch.loss, rest=_rest_of_rows(batch))
    return "loss"


def _add_value(steps: Steps, batch: Batch, log_q: str, rows: str, value: Tensor, unit: Unit) -> None:
    spec, lang = batch.spec, steps.lang
    has_t = batch.problem.tensors.token_weight is not None
    if spec.reduction == "none":
        weighed = torch.where(batch.t == 0, 0.0, batch.t * batch.loss)
        steps.add("rows", "L_i = t_i ℓ_i" if has_t else "L_i = ℓ_i", weighed)
        return
    mean = spec.reduction == "mean"
    if mean:
        steps.add(
            "denominator",
            _denominator_formula(batch),
            torch.tensor(batch.denominator, dtype=torch.float64),
            notes=[_counts(batch, lang)],
        )
    symbols = "t_i ℓ_i" if has_t else "ℓ_i"

    def numbers(s: Steps) -> list[str | Ref]:
        over = [" / ", s.ref("denominator")] if mean else []
        counted = batch.counted[: 2 * MOST_TERMS]
        if not _weighted(batch) and not has_t and not batch.shown.hidden_rows and not spec.probabilities:
            terms = [s.ref(log_q, row, batch.shown.labels[row][0], signed=True) for row in counted]
            gap = [" …"] if len(counted) < len(batch.counted) else []
            inside = joined(terms, " ")
            return ["−(", *inside, *gap, ")", *over, " = ", s.ref("value")]
        terms: list[str | Ref] = []
        for row in counted:
            weight = [s.ref("token_weight", row), " · "] if has_t else []
            terms += [*([" + "] if terms else []), *weight, s.ref(rows, row)]
        if batch.shown.hidden_rows or len(counted) < len(batch.counted):
            terms += [" + …"]
        if batch.shown.hidden_rows:
            terms += [" + ", s.ref(rows, None, -1)]
        return ["(", *terms, ")", *over, " = ", s.ref("value")]

    steps.add("value", f"L = Σ_i {symbols} / n" if mean else f"L = Σ_i {symbols}", value, numbers)
    if unit != "nat":
        steps.add(
            "value_in_unit",
            f"L / ln {2 if unit == 'bit' else 10}",
            value.double() * per_nat(unit),
            lambda s: (s.ref("value"), f" / ln {2 if unit == 'bit' else 10} = ", s.ref("value_in_unit"), f" {unit}"),
            unit=unit,
        )


def _add_gradient(steps: Steps, batch: Batch, q: str) -> None:
    spec, k = batch.spec, steps.target_column()
    gradient = batch.gradient()
    symbol, over = ("x" if steps.has("raw") else "z"), " / n" if spec.reduction == "mean" else ""
    plain = not _weighted(batch) and batch.problem.tensors.token_weight is None and symbol == "z"
    if plain:
        formula = f"∂L/∂z_ic = (q_ic − p_ic){over}"
    else:
        inner = "q_ic Σ_k τ_ik − τ_ic" + (" + 2 λ n_i lse_i q_ic" if spec.z_loss else "")
        formula = f"∂L/∂{symbol}_ic = t_i ({inner}){over}" + (" · ∂z_ic/∂x_ic" if symbol == "x" else "")

    def numbers(s: Steps) -> list[str | Ref]:
        if not plain or not batch.counted or not batch.shown.labels[s.worked]:
            return []
        p = s.at("target", k) if spec.probabilities else "1"
        division = [" / ", s.ref("denominator")] if spec.reduction == "mean" else []
        return ["(", s.at(q, k), " − ", p, ")", *division, " = ", s.at("gradient", k)]

    zero = [] if spec.z_loss or symbol == "x" else [say(steps.lang, "gradient.sum")]
    steps.add("gradient", formula, batch.gather(gradient), numbers, rest=batch.rest(gradient), notes=zero)


# --- parts --------------------------------------------------------------------------------------------------------


def _first(s: Steps, key: str) -> list[str | Ref]:
    columns = s.shown.classes.shape[1]
    gap = ["…"] if columns > MOST_TERMS or s.shown.hidden_classes else []
    return [*(s.at(key, column) for column in range(min(columns, MOST_TERMS))), *gap]


def _bracketed(ref: Ref) -> tuple[str | Ref, ...]:
    return ("(", ref, ")") if ref.value < 0 else (ref,)


def _weighted(batch: Batch) -> bool:
    """Whether a row's loss is more than its −log q."""
    return batch.problem.tensors.weight is not None or bool(batch.spec.label_smoothing or batch.spec.z_loss)


def _surprise(batch: Batch) -> Tensor:
    """−log q of the target of each shown row, or −Σ p log q; 0 in rows that are ignored."""
    target = batch.target if batch.spec.probabilities else batch.target[:, 0]
    return functional.cross_entropy(batch.z, target, ignore_index=batch.spec.ignore_index, reduction="none")


def _rest_of_rows(batch: Batch) -> Tensor | None:
    """What the rows that are not shown add to Σ t ℓ."""
    if not batch.shown.hidden_rows:
        return None
    return torch.tensor(batch.other_rows, dtype=torch.float64)


def _denominator_formula(batch: Batch) -> str:
    x = batch.problem.tensors
    if x.denominator is not None:
        return "n"
    weights = ("t_i " if x.token_weight is not None else "") + (
        "w_{y_i}" if x.weight is not None and not batch.spec.probabilities else ""
    )
    return f"n = Σ_i {weights}".rstrip() if weights else "n = N"


def _counts(batch: Batch, lang: Language) -> str:
    """What the denominator is, in words."""
    if batch.problem.tensors.denominator is not None:
        return say(lang, "denominator.given")
    skipped = int((batch.all_n == 0).sum()) if not batch.spec.probabilities else 0
    return say(lang, "denominator.rows", counted=f"{batch.all_n.numel() - skipped:,}", skipped=f"{skipped:,}")


def _landmarks(batch: Batch, lang: Language, value: Tensor) -> tuple[Landmark, ...]:
    spec, classes = batch.spec, batch.spec.num_classes
    marks: list[tuple[str, float, dict[str, object]]] = [("uniform", math.log(classes), {"C": classes})]
    if batch.problem.source != "probs":
        marks.append(("double_softmax", math.log1p((classes - 1) / math.e), {"C": classes}))
    marks.append(("label_entropy.probabilities" if spec.probabilities else "label_entropy", _label_entropy(batch), {}))
    if spec.label_smoothing and batch.problem.tensors.weight is None and not spec.probabilities:
        ε = spec.label_smoothing
        smoothed = torch.full((classes,), ε / classes, dtype=torch.float64)
        smoothed[0] += 1 - ε
        marks.append(("smoothing", float(information.entropy(smoothed, validate=False)), {"eps": f"{ε:g}"}))
    if spec.reduction == "mean" and not _weighted(batch):
        marks.append(("perplexity", float(value.double().exp()), {}))
    counted = batch.losses.masked_fill((batch.all_n == 0).to(batch.losses.device), -torch.inf).flatten()
    if len(counted) > 1 and float(counted.max()) > -math.inf:
        worst = int(counted.nan_to_num(nan=torch.inf).argmax())
        where = ", ".join(map(str, position(worst, batch.losses.shape)))
        marks.append(("worst", float(batch.losses.flatten()[worst]), {"row": where}))
    return tuple(
        Landmark(key.partition(".")[0], say(lang, f"mark.{key}"), mark, say(lang, f"mark.{key}.note", **values))
        for key, mark, values in marks
    )


def _label_entropy(batch: Batch) -> float:
    """The entropy of the labels that count or, for class probabilities, the mean of their entropies."""
    x, spec = batch.problem.tensors, batch.spec
    assert x.target is not None
    if spec.probabilities:
        total = sum(
            float(information.entropy(piece.target, dim=spec.class_dim, validate=False).sum(dtype=torch.float64))
            for piece, _ in pieces(x, spec, batch.losses)
        )
        return total / batch.losses.numel()
    labels = x.target[x.target != spec.ignore_index]
    if labels.numel() == 0:
        return math.nan
    counts = torch.bincount(labels.flatten()).double()
    return float(information.entropy(counts / counts.sum(), validate=False))


def _settings(problem: Problem) -> dict[str, Any]:
    """Keywords that are not at their default."""
    spec, x = problem.spec, problem.tensors
    defaults = {
        "reduction": "mean",
        "ignore_index": -100,
        "label_smoothing": 0.0,
        "z_loss": 0.0,
        "softcap": None,
        "logit_scale": 1.0,
    }
    settings = {name: getattr(spec, name) for name, default in defaults.items() if getattr(spec, name) != default}
    tensors = {name: list(t.shape) for name in ("weight", "token_weight") if (t := getattr(x, name)) is not None}
    denominator = {} if x.denominator is None else {"denominator": float(x.denominator)}
    return settings | tensors | denominator


def _tolerance(batch: Batch, value: Tensor, largest: float) -> float:
    """Eight roundings of the largest number on the way, and that of the result to its dtype."""
    dtypes = [batch.spec.dtype, batch.raw.dtype if batch.problem.source == "hidden" else batch.spec.dtype]
    way, result = max(torch.finfo(dtype).eps for dtype in dtypes), torch.finfo(value.dtype).eps
    smallest = torch.finfo(value.dtype).tiny  # below it roundings are no smaller
    return 8 * way * largest + result * max(smallest, _reference.largest_of(value.double()))


def _title(problem: Problem, lang: Language) -> str:
    return say(lang, f"title.{problem.source}", shape=_shape(problem.given), target=_target_words(problem, lang))


def _target_words(problem: Problem, lang: Language) -> str:
    assert problem.tensors.target is not None
    kind = "target.probabilities" if problem.spec.probabilities else "target.indices"
    return say(lang, kind, shape=_shape(problem.tensors.target.shape))


def _shape(shape: torch.Size) -> str:
    return " × ".join(f"{size:,}" for size in shape) if shape else "1"


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
