"""The steps of the quantities behind a loss: information, entropy, divergence.

    p → I = −log p → p·I → H(p) = Σ p·I          p, q → log(p/q) → p·log(p/q) → KL(p‖q) → H(p, q) = H(p) + KL(p‖q)

The quantities are those of `crossentropy.information`; terms are written out in float64.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from crossentropy import information
from crossentropy._errors import ArgumentValueError
from crossentropy._explain._batch import TEMPERATURES, position, sums_of_hidden
from crossentropy._explain._data import Lab, Landmark, Ref, Shown, number
from crossentropy._explain._explanation import Explanation
from crossentropy._explain._reference import difference
from crossentropy._explain._rows import choose_classes
from crossentropy._explain._steps import MOST_TERMS, Steps
from crossentropy._explain._words import languages, say
from crossentropy._languages import Language
from crossentropy.information import Numbers as AnyNumbers
from crossentropy.information import Unit, per_nat


class _Table:
    """Distributions as rows, and which of their rows and outcomes are shown."""

    def __init__(self, p: Tensor, max_rows: int, max_classes: int, names: Sequence[str] | None) -> None:
        self.all = p.detach().cpu().double()
        flat = self.all.reshape(-1, p.shape[-1])
        self.rows = min(len(flat), max_rows)
        self.p = flat[: self.rows]
        self.classes = choose_classes(self.p, None, max_classes)
        self.shown = Shown(
            tuple(position(i, p.shape[:-1]) for i in range(self.rows)),
            len(flat),
            self.classes,
            p.shape[-1],
            ((),) * self.rows,
            (False,) * self.rows,
            None if names is None else tuple(names),
        )

    def cut(self, x: Tensor) -> Tensor:
        """The shown outcomes of rows (R, C)."""
        return x.gather(1, self.classes)

    def rest(self, x: Tensor) -> Tensor | None:
        """The sum over the outcomes that are not shown, or None if all are."""
        return None if self.shown.aligned else x.scatter(1, self.classes, 0.0).sum(1)

    def of(self, value: Tensor) -> Tensor:
        """The rows of a result that are shown; the result itself if there is but one distribution."""
        return value if value.dim() == 0 else value.reshape(-1)[: self.rows].detach().cpu()

    def notes(self, lang: Language) -> list[str]:
        """What is not shown, in words."""
        rows = {"rows": self.rows, "N": f"{self.shown.all_rows:,}"}
        classes = {"rows": self.classes.shape[1], "N": f"{self.shown.all_classes:,}"}
        notes = [say(lang, "shown.distributions", **rows)] if self.shown.hidden_rows else []
        return [*notes, *([say(lang, "shown.terms", **classes)] if self.shown.hidden_classes else [])]


def explain_information(p: AnyNumbers, *, unit: Unit, **how: Any) -> Explanation:  # noqa: ANN401
    """The explanation of −log p, outcome by outcome."""
    value = information.information(p, unit=unit)
    given = _tensor(p)
    table, lang = _Table(given.reshape(-1), 1, how["max_classes"], how["names"]), how["lang"]
    steps = Steps(lang, table.shown, unit)
    steps.add("p", "p_c", table.cut(table.p), notes=table.notes(lang), words="outcomes")
    ours = value.detach().cpu().reshape(1, -1)
    steps.add("information", f"−{_log(unit)} p_c", table.cut(ours), lambda s: _log_of(s, unit))
    theirs = 0 - table.all.reshape(given.shape).log() * per_nat(unit)
    return _explanation("information", table, steps, value, theirs, (), unit, given.shape, lang)


def explain_entropy(p: AnyNumbers, *, unit: Unit, dim: int, **how: Any) -> Explanation:  # noqa: ANN401
    """The explanation of H(p)."""
    value = information.entropy(p, unit=unit, dim=dim)
    given = _tensor(p).movedim(dim, -1)
    table, lang = _Table(given, how["max_rows"], how["max_classes"], how["names"]), how["lang"]
    steps = Steps(lang, table.shown, unit)
    steps.add("p", "p_c", table.cut(table.p), rest=table.rest(table.p), notes=table.notes(lang), words="outcomes")
    log = table.p.log() * per_nat(unit)
    steps.add("information", f"−{_log(unit)} p_c", table.cut(0 - log), lambda s: _log_of(s, unit))
    terms = _terms(table.p, -log)
    steps.add(
        "entropy_terms",
        f"p_c · (−{_log(unit)} p_c)",
        table.cut(terms),
        rest=table.rest(terms),
        numbers=lambda s: (s.at("p", 0), " · ", s.at("information", 0), " = ", s.at("entropy_terms", 0)),
    )
    steps.add(
        "entropy",
        f"H(p) = −Σ_c p_c {_log(unit)} p_c",
        table.of(value),
        lambda s: (*s.sum("entropy_terms"), " = ", _scalar(s, "entropy", value)),
    )
    theirs = torch.special.entr(table.all).sum(-1) * per_nat(unit)
    marks = [("uniform_entropy", math.log(given.shape[-1]) * per_nat(unit), {"C": given.shape[-1]})]
    if value.dim() == 0:
        marks.append(("outcomes", float(information.perplexity(given)), {}))
    landmarks = _landmarks(marks, lang)
    lab = _lab(table, table.p, table.p, unit) if table.shown.aligned else None
    return _explanation("entropy", table, steps, value, theirs, landmarks, unit, given.shape, lang, lab)


def explain_kl(p: AnyNumbers, q: AnyNumbers, *, unit: Unit, dim: int, **how: Any) -> Explanation:  # noqa: ANN401
    """The explanation of KL(p‖q), with H(p) and H(p, q)."""
    value = information.kl_divergence(p, q, unit=unit, dim=dim)
    truth, other = (x.movedim(dim, -1) for x in torch.broadcast_tensors(_tensor(p), _tensor(q)))
    table, lang = _Table(truth, how["max_rows"], how["max_classes"], how["names"]), how["lang"]
    belief = other.detach().cpu().double().reshape(-1, other.shape[-1])[: table.rows]
    steps = Steps(lang, table.shown, unit)
    steps.add("p", "p_c", table.cut(table.p), rest=table.rest(table.p), notes=table.notes(lang))
    steps.add("q", "q_c", table.cut(belief), rest=table.rest(belief))
    ratio = (table.p.log() - belief.log()) * per_nat(unit)
    column = int(table.cut(table.p)[0].argmax()) if table.rows else 0
    steps.add(
        "log_ratio",
        f"{_log(unit)}(p_c / q_c)",
        table.cut(ratio),
        lambda s: (f"{_log(unit)}(", s.at("p", column), " / ", s.at("q", column), ") = ", s.at("log_ratio", column)),
    )
    terms = _terms(table.p, ratio)
    steps.add(
        "kl_terms",
        f"p_c · {_log(unit)}(p_c / q_c)",
        table.cut(terms),
        rest=table.rest(terms),
        numbers=lambda s: (s.at("p", column), " · ", s.at("log_ratio", column), " = ", s.at("kl_terms", column)),
    )
    steps.add(
        "kl",
        f"KL(p‖q) = Σ_c p_c {_log(unit)}(p_c / q_c)",
        table.of(value),
        lambda s: (*s.sum("kl_terms", signed=True), " = ", _scalar(s, "kl", value)),
    )
    steps.add("entropy", f"H(p) = −Σ_c p_c {_log(unit)} p_c", table.of(information.entropy(truth, unit=unit)))
    both = information.cross_entropy(truth, other, unit=unit)
    steps.add(
        "cross_entropy",
        "H(p, q) = H(p) + KL(p‖q)",
        table.of(both),
        lambda s: (
            _scalar(s, "entropy", both),
            " + ",
            _scalar(s, "kl", both),
            " = ",
            _scalar(s, "cross_entropy", both),
        ),
    )
    log_q = torch.where((truth == 0) & (other == 0), 1.0, other.double()).log()  # torch multiplies 0 by −inf
    theirs = F.kl_div(log_q.cpu(), table.all, reduction="none").sum(-1) * per_nat(unit)
    marks = []
    if value.dim() == 0:
        marks = [
            ("reverse", float(information.kl_divergence(other, truth, unit=unit)), {}),
            ("js", float(information.js_divergence(truth, other, unit=unit)), {}),
        ]
    lab = _lab(table, belief, table.p, unit)
    return _explanation("kl", table, steps, value, theirs, _landmarks(marks, lang), unit, truth.shape, lang, lab)


def _explanation(
    kind: Literal["kl", "entropy", "information"],
    table: _Table,
    steps: Steps,
    value: Tensor,
    theirs: Tensor,
    landmarks: tuple[Landmark, ...],
    unit: Unit,
    shape: torch.Size,
    lang: Language,
    lab: Lab | None = None,
) -> Explanation:
    apart = difference(value.detach().cpu(), theirs)
    sizes = theirs[theirs.isfinite()].abs()
    tolerance = 8 * torch.finfo(value.dtype).eps * max(1.0, float(sizes.max()) if sizes.numel() else 0.0)
    key = "check.agrees" if apart <= tolerance else "check.differs"
    total = number(float(theirs)) if theirs.dim() == 0 else _list(theirs)
    shown, title = table.shown, f"title.{kind}.many" if len(shape) > 1 and kind != "information" else f"title.{kind}"
    return Explanation(
        kind=kind,
        titles={each: say(each, title, N=f"{shown.all_rows:,}", C=f"{shown.all_classes:,}") for each in languages()},
        lang=lang,
        unit=unit,
        steps=steps.done(),
        value=value,
        reference=theirs,
        max_abs_diff=apart,
        tolerance=tolerance,
        check=say(lang, key, torch=total, apart=number(apart), tolerance=number(tolerance)),
        landmarks=landmarks,
        shown=shown,
        settings={} if unit == "nat" else {"unit": unit},
        lab=lab,
    )


def _list(values: Tensor, most: int = MOST_TERMS) -> str:
    numbers = [number(x) for x in values.flatten()[:most].tolist()]
    return f"[{', '.join(numbers)}{', …' if values.numel() > most else ''}]"


def _lab(table: _Table, logits: Tensor, tau: Tensor, unit: Unit) -> Lab:
    """What the page needs to compute the shown rows of q (or p) again: their logarithms are their logits."""
    z = logits.log()
    return Lab(
        logits=table.cut(z),
        p=table.cut(tau),
        tau=table.cut(tau),
        count=z.new_ones(table.rows),
        coefficient=z.new_ones(table.rows),
        temperatures=TEMPERATURES,
        rest=sums_of_hidden(z, table.classes, tau, tau),
        other_rows=0.0,
        per_nat=per_nat(unit),
    )


def _landmarks(marks: list[tuple[str, float, dict[str, Any]]], lang: Language) -> tuple[Landmark, ...]:
    return tuple(
        Landmark(key, say(lang, f"mark.{key}"), value, say(lang, f"mark.{key}.note", **values))
        for key, value, values in marks
    )


def _tensor(p: AnyNumbers) -> Tensor:
    tensor = torch.as_tensor(p)
    if tensor.numel() == 0:
        raise ArgumentValueError(f"p has shape {tuple(tensor.shape)}, expected at least one outcome")
    return tensor if tensor.is_floating_point() else tensor.to(torch.get_default_dtype())


def _terms(p: Tensor, x: Tensor) -> Tensor:
    """Products p · x where a zero p annihilates an infinite x."""
    return torch.where(p == 0, 0.0, p * x)


def _log(unit: Unit) -> str:
    return {"nat": "log", "bit": "log₂", "hartley": "log₁₀"}[unit]


def _log_of(s: Steps, unit: Unit) -> tuple[str | Ref, ...]:
    return (f"−{_log(unit)} ", s.at("p", 0), " = ", s.at("information", 0))


def _scalar(s: Steps, key: str, value: Tensor) -> Ref:
    """The result of the worked row, or the only one."""
    return s.ref(key) if value.dim() == 0 else s.at(key)
