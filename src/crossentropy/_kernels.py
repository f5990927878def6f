"""Kernels: what each kind of loss does to a tile of logits, in place, in torch operators.

A tile goes through three steps, while it is in cache:

    load        z = softcap · tanh(logit_scale · logits / softcap) / temperature           in the accumulation dtype
    measure     z → exp(z − m), and the statistics of its rows (see _statistics)
    derive      exp(z − m) → the gradient with respect to the logits

    cross entropy    ℓ = Σ_c τ_c (lse − z_c) + λ n lse²           G = A p − τ,  A = Στ + 2 λ n lse
    statistics       log p_y, H, lse                              G = p (g_lse − g_y − g_H (log p + H)) + g_y 1_y
    divergence       ℓ = Σ p' (log p' − log p) − p' + p           G = p − p',   G' = p' (log p' − log p − ℓ)

p = softmax(z) · τ = w ((1 − ε) p_target + ε/C) · n what the row counts: w_y, or 1 · p' the teacher's p · g upstream of
a statistic. Everything is multiplied by the row's coefficient c and by the derivative of the loading.

The class k that is kept apart is the target, or the largest where there is no single one: its exponential is set to 0
and its gradient computed from the sum of the others, which keeps relative accuracy (p_k − 1 = −Σ of the others).

A row is *idle* if it is ignored or its coefficient is 0: its gradient is 0 whatever it holds.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor

from crossentropy import _statistics as statistics
from crossentropy._contract import Loss, LossSpec, rows_shape
from crossentropy._logspace import product
from crossentropy._planner import Plan
from crossentropy._statistics import RowStatistics

View: TypeAlias = Callable[[Tensor], Tensor]
Tensors: TypeAlias = tuple[Tensor, ...]
_Kind = TypeVar("_Kind", bound="_Rows")


class Kernel(Protocol):
    """What a kernel can do. Rows' tensors are views into those of the whole loss, so that results end up there."""

    @property
    def dtype(self) -> torch.dtype:
        """The accumulation dtype."""
        ...

    @property
    def merges(self) -> bool:
        """Whether blocks of classes can be accumulated."""
        ...

    def chunk(self, index: tuple[slice, ...]) -> "Kernel":
        """The kernel of some of the rows, with room for their statistics."""
        ...

    def at(self, index: tuple[slice, ...]) -> "Kernel":
        """The kernel of some of the rows of a chunk."""
        ...

    def tile(self, logits: Tensors, works: Tensors, *, gradient: bool) -> None:
        """Store the statistics of complete rows; leave gradients in `works` if wanted."""
        ...

    def block(self, logits: Tensors, works: Tensors, begin: int) -> None:
        """Leave gradients of the classes from `begin` on in `works`, for rows that went through `tile`."""
        ...

    def accumulate(self, logits: Tensor, work: Tensor, begin: int) -> None:
        """Merge the classes from `begin` on into the statistics of the rows."""
        ...

    def conclude(self) -> None:
        """Store the results of the rows of a chunk, which have their statistics."""
        ...

    def results(self) -> tuple[Tensors, Tensor | None]:
        """The K results of all rows, and their argmax for statistics."""
        ...


def make(loss: Loss, coefficient: Tensor | None, rows: View, blocks: View, plan: Plan) -> Kernel:
    """The kernel of a loss.

    Args:
        loss: The loss.
        coefficient: Coefficients (K, rows) or (1, rows), where a gradient is wanted.
        rows: Lays out what belongs to rows, with a class axis of 1.
        blocks: Lays out what belongs to logits.
        plan: How the loss is executed.
    """
    kinds = {"cross_entropy": CrossEntropy, "statistics": Statistics, "divergence": Divergence}
    return kinds[loss.kind].of(loss, coefficient, rows, blocks, plan)


@dataclass(frozen=True)
class _Rows:
    """What all kernels have: tensors of the rows by name, cut together, and scratch for a tile."""

    spec: LossSpec
    rows: dict[str, Tensor]
    slopes: tuple[Tensor | None, ...]
    """Tiles that keep tanh for the gradient of a softcap."""

    @property
    def merges(self) -> bool:
        return True

    @property
    def dtype(self) -> torch.dtype:
        return self.spec.dtype

    def at(self: "_Kind", index: tuple[slice, ...]) -> "_Kind":
        return replace(self, rows={name: tensor[index] for name, tensor in self.rows.items()})

    def chunk(self: "_Kind", index: tuple[slice, ...]) -> "_Kind":
        return self.at(index)

    def _store(self, **values: Tensor) -> None:
        """Store what there is room for, because something later needs it."""
        for name, value in values.items():
            if name in self.rows and value is not self.rows[name]:
                self.rows[name].copy_(value)

    def _clean(self, gradient: Tensor, witness: Tensor | None = None) -> None:
        """Set the gradient of a tile to 0 in idle rows that hold what is not finite: there `witness` is not 0."""
        if "idle" not in self.rows:
            return
        poisoned = self.rows["poisoned"]
        if witness is not None:
            torch.logical_and(self.rows["idle"], ~(witness == 0), out=poisoned)
        if poisoned.device.type != "cpu" or bool(poisoned.any()):
            gradient.masked_fill_(poisoned, 0.0)

    def _slope(self, side: int, work: Tensor) -> Tensor | None:
        slope = self.slopes[side]
        return None if slope is None else slope[: work.numel()].view(work.shape)


def _load(logits: Tensor, work: Tensor, spec: LossSpec, slope: Tensor | None = None) -> Tensor:
    """Transformed logits in the accumulation dtype: `logits` itself, or `work`. `slope` receives tanh."""
    scaled = spec.logit_scale != 1.0 or spec.temperature != 1.0 or spec.softcap is not None
    if not scaled and logits.dtype == work.dtype:
        return logits
    if work.data_ptr() != logits.data_ptr():
        work.copy_(logits)
    if spec.softcap is None:
        return work.mul_(spec.logit_scale / spec.temperature) if scaled else work
    torch.tanh(work.mul_(spec.logit_scale / spec.softcap), out=work if slope is None else slope)
    return torch.mul(work if slope is None else slope, spec.softcap / spec.temperature, out=work)


def _unload(gradient: Tensor, slope: Tensor | None) -> None:
    """Multiply by the derivative of the loading, all but its constant factor."""
    if slope is not None:
        torch.ops.aten.tanh_backward.grad_input(gradient, slope, grad_input=gradient)


def _factor(spec: LossSpec) -> float:
    """The constant factor of the loading's derivative."""
    return spec.logit_scale / spec.temperature


def _local(label: Tensor, begin: int, classes: int, num_classes: int) -> tuple[Tensor, Tensor | None]:
    """Labels within a block of classes, and which rows have theirs there (None for all)."""
    if classes == num_classes:
        return label, None
    local = label - begin
    return local.clamp(0, classes - 1), (local >= 0) & (local < classes)


def _put(work: Tensor, label: Tensor, inside: Tensor | None, value: Tensor | float) -> None:
    """Set one class of each row that is inside."""
    if inside is not None:
        value = torch.where(inside, value, work.gather(1, label))
    work.scatter_(1, label, value)


def _weigh(weights: Tensor | float, differences: Tensor) -> Tensor:
    """Sum over the classes of weights times z − m, where 0 · (−inf) is 0."""
    if not isinstance(weights, Tensor):
        total = differences.sum(1, keepdim=True).mul_(weights)
    elif weights.shape[0] == 1 and weights.dim() == 2:
        total = differences @ weights.T
    else:
        total = (weights * differences).sum(1, keepdim=True)
    if total.is_cpu and bool(total.isfinite().all()):
        return total
    # weighted first: a sum of differences may overflow where the weighted one does not
    return product(weights, differences).sum(1, keepdim=True)


def _prepare(loss: Loss, coefficient: Tensor | None, rows: View, names: Sequence[str]) -> dict[str, Tensor]:
    """Tensors of the rows: room for `names`, label and coefficients, and which rows are idle.

    `ignored` and `unknown` are left out where no label can be either, as the contract found.
    """
    spec, device = loss.sides[0].spec, loss.sides[0].input.device
    prepared = {name: rows(torch.zeros(rows_shape(loss), dtype=spec.dtype, device=device)) for name in names}
    if loss.target is not None and not spec.probabilities:
        label = rows(loss.target)
        if spec.ignores:
            ignored = label == spec.ignore_index
            unknown = ((label < 0) | (label >= spec.num_classes)) & ~ignored
            prepared["unknown"] = torch.zeros_like(label, dtype=spec.dtype).masked_fill_(unknown, torch.nan)
            prepared["ignored"] = ignored
            label = torch.where(ignored | unknown, 0, label)
        prepared["label"] = label
    if coefficient is not None:
        coefficients = [_scaled(rows(c), spec) for c in coefficient]
        if "ignored" in prepared:
            coefficients[0] = coefficients[0].masked_fill(prepared["ignored"], 0.0) + prepared["unknown"]
        idle = functools.reduce(torch.logical_and, (_each(c, lambda x: x == 0) for c in coefficients))
        if device.type != "cpu" or bool(_once(idle).any()):
            prepared["idle"], prepared["poisoned"] = idle, torch.zeros_like(idle)
        prepared.update({f"coefficient{k}": c for k, c in enumerate(coefficients)})
    return prepared


def _scaled(coefficient: Tensor, spec: LossSpec) -> Tensor:
    factor = _factor(spec)
    return coefficient.to(spec.dtype) if factor == 1.0 else _each(coefficient, lambda c: c.to(spec.dtype) * factor)


def _each(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """A function of each entry, computed once where one number stands for all of them."""
    return function(_once(x)).expand(x.shape)


def _once(x: Tensor) -> Tensor:
    """The one number that stands for all entries, or all entries."""
    return x if any(x.stride()) or not x.numel() else x[(0,) * x.dim()]


def _slopes(loss: Loss, coefficient: Tensor | None, plan: Plan) -> tuple[Tensor | None, ...]:
    return tuple(
        None
        if coefficient is None or side.spec.softcap is None
        else side.input.new_empty(plan.tile, dtype=side.spec.dtype)
        for side in loss.sides
    )


# --- cross entropy ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CrossEntropy(_Rows):
    """Cross entropy against labels or class probabilities."""

    weight: Tensor | None = None
    """Class weights (1, C) or (1, C, 1), in the accumulation dtype."""
    uniform: Tensor | float = 0.0
    """What smoothing puts on all classes together: ε times the mean class weight."""
    spare: Tensor | None = None
    """A tile for τ, against class probabilities."""
    room: tuple[str, ...] = ("maximum", "others", "apart")
    """Statistics that the rows of a chunk have until they are concluded; no more, because where there are few classes
    they are as large as logits."""
    modest: list[bool] = field(default_factory=lambda: [True])
    """Whether no row was met so far whose exponentials need a maximum."""

    @classmethod
    def of(cls, loss: Loss, coefficient: Tensor | None, rows: View, blocks: View, plan: Plan) -> "CrossEntropy":
        """The kernel of a loss."""
        spec, x = loss.sides[0].spec, loss.sides[0].input
        names = ["loss", *(("maximum", "alpha", "peak") if plan.second_sweep else ())]
        prepared = _prepare(loss, coefficient, rows, names)
        weight, uniform, spare = None, spec.label_smoothing, None
        if loss.weight is not None:
            weight = loss.weight.detach().to(spec.dtype).reshape(1, -1, *[1] * (prepared["loss"].dim() - 2))
            uniform = spec.label_smoothing * weight.mean() if spec.label_smoothing else 0.0  # and not 0 · inf
        if spec.probabilities:
            assert loss.target is not None
            prepared["probabilities"] = blocks(loss.target)
            prepared["label"] = torch.empty_like(prepared["loss"], dtype=torch.int64)
            spare = x.new_empty(plan.tile, dtype=spec.dtype)
        elif weight is not None:
            prepared["picked"] = weight.flatten()[prepared["label"]]
        room = (
            *cls.room,
            *(("weighted",) if spec.probabilities or spec.label_smoothing else ()),
            *(("weight",) if spec.probabilities else ()),
        )
        return cls(spec, prepared, _slopes(loss, coefficient, plan), weight, uniform, spare, room)

    def chunk(self, index: tuple[slice, ...]) -> "CrossEntropy":
        part = self.at(index)
        room = {name: torch.zeros_like(part.rows["loss"]) for name in self.room}
        return replace(part, rows=room | part.rows)

    @property
    def merges(self) -> bool:
        return not self.spec.probabilities

    def results(self) -> tuple[Tensors, None]:
        return (self.rows["loss"],), None

    def tile(self, logits: Tensors, works: Tensors, *, gradient: bool) -> None:
        work = works[0]
        slope = self._slope(0, work) if gradient else None
        label, tau = self.rows["label"], self._tau(0, work)
        row = self._measure_as_is(logits[0], work, tau, slope)
        if row is None:
            row = self._measure(_load(logits[0], work, self.spec, slope), work, tau, label, None)
            self._keep(row)
        if gradient:
            alpha, peak = self._pull(row, tau)
            self._store(alpha=alpha, peak=peak)
            self._derive(work, tau, (alpha, peak), label, None, slope)
            self._clean(work, alpha)

    def block(self, logits: Tensors, works: Tensors, begin: int) -> None:
        r, work = self.rows, works[0]
        slope = self._slope(0, work)
        label, inside = _local(r["label"], begin, work.shape[1], self.spec.num_classes)
        torch.sub(_load(logits[0], work, self.spec, slope), r["maximum"], out=work).exp_()
        self._derive(work, self._tau(begin, work), (r["alpha"], r["peak"]), label, inside, slope)
        self._clean(work)

    def accumulate(self, logits: Tensor, work: Tensor, begin: int) -> None:
        r, classes = self.rows, work.shape[1]
        label, inside = _local(r["label"], begin, classes, self.spec.num_classes)
        row = self._measure(_load(logits, work, self.spec), work, self._tau(begin, work), label, inside)
        if begin:
            before = RowStatistics(r["maximum"], r["others"], r["apart"], r.get("weighted"), self._smoothed(0, begin))
            row = statistics.merge(before, row._replace(weight=self._smoothed(begin, classes)))
        self._keep(row)

    def _keep(self, row: RowStatistics) -> None:
        """Store the statistics of rows until they are concluded."""
        self._store(**{name: value for name, value in row._asdict().items() if value is not None})

    def _tau(self, begin: int, work: Tensor) -> Tensor | float | None:
        """What target or smoothing put on each class of a block, but for the label; a number if the same on all."""
        spec, end = self.spec, begin + work.shape[1]
        share = spec.label_smoothing / spec.num_classes
        if not spec.probabilities:
            if not spec.label_smoothing:
                return None
            return share if self.weight is None else share * self.weight[:, begin:end]
        assert self.spare is not None
        tau = self.spare[: work.numel()].view(work.shape).copy_(self.rows["probabilities"][:, begin:end])
        if spec.label_smoothing:
            tau.mul_(1 - spec.label_smoothing).add_(share)
        return tau if self.weight is None else tau.mul_(self.weight[:, begin:end])

    def _smoothed(self, begin: int, classes: int) -> Tensor:
        """Sum of what smoothing put on a block of classes."""
        share = self.spec.label_smoothing / self.spec.num_classes
        total = float(classes) if self.weight is None else self.weight[:, begin : begin + classes].sum()
        return share * torch.as_tensor(total, dtype=self.dtype, device=self.rows["loss"].device)

    def _on_label(self) -> Tensor | float:
        """τ of the label, without the smoothing."""
        return (1 - self.spec.label_smoothing) * self.rows.get("picked", 1.0)

    def _measure(
        self, z: Tensor, work: Tensor, tau: Tensor | float | None, label: Tensor, inside: Tensor | None
    ) -> RowStatistics:
        """Leave exp(z − m) in `work`, with 0 at the class apart, and give the statistics."""
        if self.spec.probabilities:
            apart, top = z.max(1, keepdim=True)
            maximum = apart.clamp(min=statistics.lowest(z.dtype))
            label.copy_(top)
        else:
            maximum = z.amax(1, keepdim=True).clamp_(min=statistics.lowest(z.dtype))
            apart = z.gather(1, label)
            apart = apart if inside is None else apart.masked_fill_(~inside, -torch.inf)
        torch.sub(z, maximum, out=work)
        weighted = weight = None
        if tau is not None:
            weighted = _weigh(tau, work)
            weight = tau.sum(1, keepdim=True) if isinstance(tau, Tensor) else None
        work.exp_()
        _put(work, label, inside, 0.0)
        return RowStatistics(maximum, work.sum(1, keepdim=True), apart, weighted, weight)

    def _measure_as_is(
        self, logits: Tensor, work: Tensor, tau: Tensor | float | None, slope: Tensor | None
    ) -> RowStatistics | None:
        """The same with m = 0, which saves two of five passes, if exp(z) then stays in range; else None.

        With s in [2^−23, 2^23], log s and so every rounding is of size 16 at most. Where one tile fails, no other is
        tried. The logits must survive a failure.
        """
        if tau is not None or not self.modest[0] or work.data_ptr() == logits.data_ptr() or not work.is_cpu:
            return None
        z = _load(logits, work, self.spec, slope)
        label, maximum, others, apart = (self.rows[name] for name in ("label", "maximum", "others", "apart"))
        torch.gather(z, 1, label, out=apart)
        torch.exp(z, out=work).scatter_(1, label, 0.0)
        torch.sum(work, 1, keepdim=True, out=others)
        least, most = (others + apart.exp()).aminmax()
        if not (least.item() >= 2.0**-23 and most.item() <= 2.0**23):
            self.modest[0] = False
            return None
        return RowStatistics(maximum, others, apart)

    def conclude(self) -> None:
        r, spec = self.rows, self.spec
        row = RowStatistics(r["maximum"], r["others"], r["apart"], r.get("weighted"), r.get("weight"))
        if spec.probabilities:
            assert row.weighted is not None
            assert row.weight is not None
            loss = _times(row.weight, statistics.log_total(row)) - row.weighted
        else:
            loss = _times(self._on_label(), statistics.information(row))
            if row.weighted is not None:
                loss = loss + (self.uniform * statistics.log_total(row) - row.weighted)
        if spec.z_loss:
            loss = loss + spec.z_loss * _times(r.get("picked", 1.0), statistics.logsumexp(row).square())
        if "ignored" in r:
            loss = (loss + r["unknown"]).masked_fill_(r["ignored"], 0.0)
        r["loss"].copy_(loss)

    def _pull(self, row: RowStatistics, tau: Tensor | float | None) -> tuple[Tensor, Tensor]:
        """Of each row alpha = c A / s, which multiplies exp(z − m), and the gradient at the class apart.

        That is c (Στ elsewhere − Στ · o / s + pull · p), with pull = 2 λ n lse: differences of what is small, never
        of 1 and nearly 1.
        """
        r, spec = self.rows, self.spec
        apart = torch.exp(row.apart - row.maximum)
        scale = r["coefficient0"] / (row.others + apart)
        if tau is None and self.weight is None and not spec.z_loss:  # Στ = 1, all of it on the label
            return scale, (scale * row.others).neg_()
        if spec.probabilities:
            assert isinstance(tau, Tensor)
            assert row.weight is not None
            everywhere, elsewhere = row.weight, tau.scatter_(1, r["label"], 0.0).sum(1, keepdim=True)
        else:
            share = spec.label_smoothing / spec.num_classes
            everywhere, elsewhere = self.uniform + self._on_label(), self.uniform - share * r.get("picked", 1.0)
        pull = 2 * spec.z_loss * statistics.logsumexp(row) * r.get("picked", 1.0) if spec.z_loss else 0.0
        peak = r["coefficient0"] * elsewhere - scale * (everywhere * row.others) + scale * (pull * apart)
        return scale * (everywhere + pull), peak

    def _derive(
        self,
        work: Tensor,
        tau: Tensor | float | None,
        pulls: tuple[Tensor, Tensor],
        label: Tensor,
        inside: Tensor | None,
        slope: Tensor | None,
    ) -> None:
        """Turn exp(z − m) into the gradient."""
        c = self.rows["coefficient0"]
        alpha, peak = pulls
        work.mul_(alpha)
        if isinstance(tau, Tensor):
            work.addcmul_(c, tau, value=-1)
        elif tau is not None:
            work.sub_(c * tau)
        _put(work, label, inside, peak)
        _unload(work, slope)


def _times(weight: Tensor | float, value: Tensor) -> Tensor:
    """Weight times value, where a weight of 0 annihilates infinity."""
    return value if not isinstance(weight, Tensor) and weight == 1.0 else product(weight, value)


# --- statistics ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Statistics(_Rows):
    """Log-probability of a label (if there is one), entropy, logsumexp and argmax."""

    @classmethod
    def of(cls, loss: Loss, coefficient: Tensor | None, rows: View, blocks: View, plan: Plan) -> "Statistics":
        """The kernel of a loss."""
        names = ("log_prob", "entropy", "logsumexp", "maximum", "others", "apart", "energy", "target")
        prepared = _prepare(loss, coefficient, rows, names)
        prepared["top"] = torch.empty_like(prepared["maximum"], dtype=torch.int64)
        return cls(loss.sides[0].spec, prepared, _slopes(loss, coefficient, plan))

    def results(self) -> tuple[Tensors, Tensor]:
        r = self.rows
        return (r["log_prob"], r["entropy"], r["logsumexp"]), r["top"]

    def tile(self, logits: Tensors, works: Tensors, *, gradient: bool) -> None:
        slope = self._slope(0, works[0]) if gradient else None
        self._measure(_load(logits[0], works[0], self.spec, slope), works[0], 0)
        if gradient:
            self._derive(works[0], 0, slope)

    def block(self, logits: Tensors, works: Tensors, begin: int) -> None:
        slope = self._slope(0, works[0])
        torch.sub(_load(logits[0], works[0], self.spec, slope), self.rows["maximum"], out=works[0])
        self._derive(works[0], begin, slope)

    def accumulate(self, logits: Tensor, work: Tensor, begin: int) -> None:
        r = self.rows
        before = {name: x.clone() for name, x in r.items()} if begin else {}
        self._measure(_load(logits, work, self.spec), work, begin)
        if begin:
            old = RowStatistics(*(before[name] for name in ("maximum", "others", "apart")), energy=before["energy"])
            if "label" in r:
                r["target"].copy_(torch.where(r["label"] < begin, before["target"], r["target"]))
            # of equal ones the first, and the first nan: as torch.argmax
            r["top"].copy_(torch.where((old.apart >= r["apart"]) | old.apart.isnan(), before["top"], r["top"]))
            merged = statistics.merge(old, self._stored())
            assert merged.energy is not None
            self._store(maximum=merged.maximum, others=merged.others, apart=merged.apart, energy=merged.energy)

    def conclude(self) -> None:
        r, row = self.rows, self._stored()
        log_prob = torch.zeros_like(row.maximum)
        if "label" in r:
            log_prob = (r["target"] - row.maximum) - statistics.log_total(row)
        if "ignored" in r:
            log_prob = (log_prob + r["unknown"]).masked_fill(r["ignored"], 0.0)
        self._store(log_prob=log_prob, entropy=statistics.entropy(row), logsumexp=statistics.logsumexp(row))

    def _stored(self) -> RowStatistics:
        r = self.rows
        return RowStatistics(r["maximum"], r["others"], r["apart"], energy=r["energy"])

    def _measure(self, z: Tensor, work: Tensor, begin: int) -> None:
        """Leave z − m in `work`, and store the statistics, the argmax and the label's logit."""
        r = self.rows
        apart, top = z.max(1, keepdim=True)
        if "label" in r:
            self._store(target=z.gather(1, _local(r["label"], begin, z.shape[1], self.spec.num_classes)[0]))
        maximum = apart.clamp(min=statistics.lowest(z.dtype))
        torch.sub(z, maximum, out=work)
        p = work.exp()
        energy = statistics.finite(work).mul_(p).sum(1, keepdim=True)
        others = p.scatter_(1, top, 0.0).sum(1, keepdim=True)
        self._store(apart=apart, maximum=maximum, others=others, energy=energy, top=top + begin)

    def _derive(self, work: Tensor, begin: int, slope: Tensor | None) -> None:
        """Turn z − m into the gradient under the coefficients of the three statistics."""
        r, row = self.rows, self._stored()
        assert row.energy is not None
        total = statistics.total(row)
        of_log_prob, of_entropy, of_logsumexp = (r[f"coefficient{k}"] for k in range(3))
        p = work.exp().div_(total)
        # log p + H
        outer = statistics.finite(work).sub_(row.energy / total).mul_(of_entropy).neg_().add_(of_logsumexp)
        if "label" not in r:
            torch.mul(outer, p, out=work)
        else:
            top, at_top = _local(r["top"], begin, work.shape[1], self.spec.num_classes)
            label, at_label = _local(r["label"], begin, work.shape[1], self.spec.num_classes)
            certain = p.gather(1, top)
            peak = outer.gather(1, top) * certain
            peak = peak + of_log_prob * torch.where(r["label"] == r["top"], row.others / total, -certain)
            torch.mul(outer.sub_(of_log_prob), p, out=work)
            _put(work, label, at_label, work.gather(1, label) + of_log_prob)
            _put(work, top, at_top, peak)
        _unload(work, slope)
        self._clean(work, row.others * 0)


# --- divergence ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Divergence(_Rows):
    """Divergence of a student, side 0, from a teacher, side 1."""

    teacher: LossSpec | None = None

    @classmethod
    def of(cls, loss: Loss, coefficient: Tensor | None, rows: View, blocks: View, plan: Plan) -> "Divergence":
        """The kernel of a loss."""
        names = ("loss", "maximum0", "log_total0", "maximum1", "log_total1")
        prepared = _prepare(loss, coefficient, rows, names)
        if coefficient is not None:  # each side has a factor of its own
            prepared["coefficient0"] = rows(coefficient[0]).to(loss.sides[0].spec.dtype)
        return cls(loss.sides[0].spec, prepared, _slopes(loss, coefficient, plan), teacher=loss.sides[1].spec)

    @property
    def merges(self) -> bool:
        return False

    def results(self) -> tuple[Tensors, None]:
        return (self.rows["loss"],), None

    def accumulate(self, logits: Tensor, work: Tensor, begin: int) -> None:
        raise NotImplementedError("terms of a divergence need both rows complete")

    def conclude(self) -> None:
        """Nothing: the gradient needed the loss already."""

    def tile(self, logits: Tensors, works: Tensors, *, gradient: bool) -> None:
        r, slopes = self.rows, []
        for side, (spec, x, work) in enumerate(zip(self._specs(), logits, works)):
            slopes.append(self._slope(side, work) if gradient else None)
            z = _load(x, work, spec, slopes[side])
            top, label = z.max(1, keepdim=True)
            torch.clamp(top, min=statistics.lowest(z.dtype), out=r[f"maximum{side}"])
            torch.sub(z, r[f"maximum{side}"], out=work)
            others = work.exp().scatter_(1, label, 0.0).sum(1, keepdim=True)
            r[f"log_total{side}"].copy_(statistics.log_total(RowStatistics(r[f"maximum{side}"], others, top)))
            work.sub_(r[f"log_total{side}"])
        q, p, terms = self._terms(works)
        torch.sum(terms - p + q, 1, keepdim=True, out=r["loss"])
        if gradient:
            self._derive(works, q, p, terms, slopes)

    def block(self, logits: Tensors, works: Tensors, begin: int) -> None:
        slopes = []
        for side, (spec, x, work) in enumerate(zip(self._specs(), logits, works)):
            slopes.append(self._slope(side, work))
            z = _load(x, work, spec, slopes[side])
            torch.sub(z, self.rows[f"maximum{side}"], out=work).sub_(self.rows[f"log_total{side}"])
        self._derive(works, *self._terms(works), slopes)

    def _specs(self) -> tuple[LossSpec, LossSpec]:
        assert self.teacher is not None
        return self.spec, self.teacher

    @staticmethod
    def _terms(works: Tensors) -> tuple[Tensor, Tensor, Tensor]:
        """From log q and log p: q, p, and p (log p − log q): 0 where p = 0, inf where p has underflowed and q is 0."""
        log_q, log_p = works
        p = log_p.exp()
        differences = log_p - log_q
        impossible = differences == torch.inf
        return log_q.exp(), p, differences.masked_fill_(p == 0, 0.0).mul_(p).masked_fill_(impossible, torch.inf)

    def _derive(self, works: Tensors, q: Tensor, p: Tensor, terms: Tensor, slopes: list[Tensor | None]) -> None:
        student, teacher = self._specs()
        c = self.rows["coefficient0"]
        torch.sub(q, p, out=works[0]).mul_(c * _factor(student))
        torch.sub(terms, p.mul_(self.rows["loss"]), out=works[1]).mul_(c * _factor(teacher))
        for work, slope in zip(works, slopes):
            _unload(work, slope)
            self._clean(work, self.rows["loss"] * 0)
