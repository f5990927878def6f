"""Losses under autograd: one function whose precomputed gradients are outputs.

    (Σ c ℓ, ℓ, G_1, …, G_6) = losses(c, x_1, …, x_6)           G_j = ∂(Σ c ℓ) / ∂x_j

ℓ the K results of each row · c their coefficients, fixed before the losses are known · x_j input, head and bias of the
loss's sides.

    upstream of Σ c ℓ    times G_j, in place when the graph is freed: `backward()` copies no gradient
    upstream of ℓ        the function again, with the upstream as c: nothing but x_j was kept
    upstream of G_j      a Hessian product of the reference backend, hence derivatives of any order

So retained graphs, several upstreams, create_graph and torch.func.grad are ordinary uses. Forward mode and vmap take
the reference backend, whose operators have the rules. The compiler, which could not trace the kernels, sees one opaque
operator; its backward is the same.

G_j are not computed before the upstream is known where float16 would flush them to zero: a loss scale comes with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from crossentropy import _torch
from crossentropy._dispatch import NAMED, PLAIN, Backend, name_of, scale
from crossentropy._loss import (
    FIXED,
    Loss,
    LossSpec,
    Mixture,
    Side,
    rows_shape,
    tensors_of,
    with_tensors,
    without_tensors,
)
from crossentropy._torch import tracing

Tensors = tuple[Tensor | None, ...]
"""The coefficients, what is fixed (target, class weights), and the slots: input, head and bias of each side."""
SLOTS = 1 + FIXED
"""Where the slots begin, which are what has gradients, beside the coefficients."""


@dataclass(frozen=True)
class Call:
    """A call but for its tensors: no tuple, in which torch.func would look for them."""

    backend: Backend
    loss: Loss
    """Without its tensors. Under torch.compile, without the numbers that may vary: see `decoded`."""
    summed: bool
    """Whether Σ c ℓ is wanted."""
    wanted: tuple[bool, ...]
    """For each slot, whether its gradient is computed at once."""


class _Context(Protocol):
    """What autograd hands from forward to backward."""

    call: Call
    ready: list[Tensor] | None
    """The rows and the computed gradients, apart from the graph."""
    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...
    def set_materialize_grads(self, value: bool) -> None: ...
    def mark_non_differentiable(self, *tensors: Tensor) -> None: ...


def execute(backend: Backend, loss: Loss, coefficient: Tensor, summed: bool = True) -> tuple[Tensor, Tensor]:
    """Σ coefficient · rows (0 unless `summed`), and the rows (K, rows)."""
    return observed(backend, loss, coefficient, summed)[:2]


def statistics(backend: Backend, loss: Loss) -> tuple[Tensor, Tensor]:
    """The statistics (3, rows) of a loss of that kind, and the argmax of the rows."""
    return observed(backend, loss, None, False)[1:]


def observed(backend: Backend, loss: Loss, coefficient: Tensor | None, summed: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Σ coefficient · rows, the rows, and for statistics their argmax."""
    if backend is PLAIN:
        total, rows = PLAIN.compose(loss, torch.ones(()) if coefficient is None else coefficient, summed)
        return total, rows, PLAIN.argmax(loss) if loss.kind == "statistics" else torch.empty(0)
    tensors = (coefficient, *tensors_of(loss))
    slots = tensors[SLOTS:]
    # requires_grad is read here: inside the function the wrappers of torch.func are gone
    known = summed and torch.is_grad_enabled() and not any(_is_half(x) for x in slots)
    wanted = tuple([known and x is not None and x.requires_grad for x in slots])
    total, rows, index, *_ = _called(Call(backend, without_tensors(loss), summed, wanted), tensors)
    return total, rows, index


def _is_half(x: Tensor | None) -> bool:
    return x is not None and x.dtype == torch.float16


def _called(call: Call, tensors: Tensors, numbers: Tensor | None = None) -> Sequence[Tensor]:
    """One call of the function, or of the operator where someone looks for operators."""
    x = tensors[SLOTS]
    if torch.compiler.is_compiling() or tracing() or (x is not None and x.is_meta):
        return _operator(*encoded(call, tensors, numbers))
    return _Function.apply(complete(call, numbers), *tensors)  # pyright: ignore[reportReturnType]


def _compute(call: Call, tensors: Tensors) -> list[Tensor]:
    """Σ c ℓ, ℓ, argmax and the gradients of the slots; empty tensors for what is not wanted."""
    coefficient, *others = tensors
    result = call.backend.execute(with_tensors(call.loss, others), coefficient, call.wanted)
    rows = result.rows
    total = rows.new_zeros(())
    if call.summed:
        assert coefficient is not None
        total = _dot(coefficient, rows)
        if total.device.type != "cpu" or not total.isfinite():
            silent = (coefficient == 0) & ~rows.isfinite()
            counted = rows.masked_fill(silent, 0.0) if result.argmax is not None else rows.masked_fill_(silent, 0.0)
            total = (coefficient * counted).sum()  # the sum alone may overflow
    index = rows.new_empty(0, dtype=torch.int64) if result.argmax is None else result.argmax
    return [total, rows, index, *_or_empty(result.gradients, tensors)]


def _or_empty(gradients: Sequence[Tensor | None], tensors: Tensors) -> list[Tensor]:
    x = tensors[SLOTS]
    assert x is not None
    return [x.new_empty(0) if g is None else g for g in gradients]


def _dot(coefficient: Tensor, rows: Tensor) -> Tensor:
    """Σ coefficient · rows, where one number may stand for all coefficients."""
    if rows.numel() and not any(coefficient.stride()):
        return coefficient[(0,) * coefficient.dim()] * rows.sum()
    return (coefficient * rows).sum()


# --- derivatives --------------------------------------------------------------------------------------------------


def _keep(ctx: _Context, call: Call, tensors: Tensors, output: Sequence[Tensor], numbers: Tensor | None = None) -> None:
    """Store what derivatives need; absent upstreams stay None and cost nothing."""
    ctx.call, ctx.ready = call, None
    ctx.save_for_backward(*tensors, numbers, output[1], *output[3:])
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(output[2])


def _differentiate(ctx: _Context, upstream: Sequence[Tensor | None], wants: Sequence[bool]) -> list[Tensor | None]:
    """Gradients of the coefficients and the slots, as `wants` tells them wanted."""
    call = ctx.call
    if ctx.ready is not None and _ordinary(call, upstream, wants):
        return _finish(ctx, upstream[0], wants)
    saved = ctx.saved_tensors  # once: a checkpoint computes them anew
    slots = len(call.wanted)
    tensors, (numbers, rows, *computed) = saved[: SLOTS + slots], saved[SLOTS + slots :]
    coefficient, of_sum, of_rows, _, *of_computed = tensors[0], *upstream
    result: list[Tensor | None] = [None] * (1 + slots)
    if call.summed and of_rows is not None and coefficient is not None:
        of_rows = of_rows.masked_fill((coefficient == 0) & (rows == 0), 0.0)  # rows that were left out
    if of_sum is not None and call.summed:
        assert coefficient is not None
        if wants[0]:
            result[0] = of_sum * rows
        if any(want and not ready for want, ready in zip(wants[1:], call.wanted)):
            of_rows = _sum(of_rows, of_sum * coefficient)
        else:
            result[1:] = [_scaled(g, of_sum) if want else None for g, want in zip(computed, wants[1:])]
    if of_rows is not None and any(wants[1:]):
        result[1:] = map(_sum, result[1:], _again(call, (of_rows, *tensors[1:]), numbers, wants[1:]))
    of_computed = [g if ready else None for g, ready in zip(of_computed, call.wanted)]
    if any(g is not None for g in of_computed):
        result = list(map(_sum, result, _second(complete(call, numbers), tensors, of_computed, wants)))
    return result


def _again(call: Call, tensors: Tensors, numbers: Tensor | None, wants: Sequence[bool]) -> Sequence[Tensor | None]:
    """Gradients of Σ c ℓ for the upstream c, which is the coefficients by now."""
    wanted = tuple(map(bool, wants))
    upstream, *others = tensors
    assert upstream is not None
    if _is_batched(upstream):
        return PLAIN.execute(with_tensors(complete(call, numbers).loss, others), upstream, wanted).gradients
    output = _called(replace(call, wanted=wanted, summed=True), tensors, numbers)
    return [g if want else None for g, want in zip(output[3:], wants)]


def _second(
    call: Call, tensors: Tensors, directions: Sequence[Tensor | None], wants: Sequence[bool]
) -> list[Tensor | None]:
    """Gradients of Σ_j ⟨G_j, direction_j⟩ for the coefficients and the slots: a Hessian product."""
    moved = [i for i, direction in enumerate(directions) if direction is not None]
    chosen = [i for i in range(len(directions)) if wants[1 + i] or i in moved]
    dtype, coefficient = call.loss.sides[0].spec.dtype, tensors[0]
    assert coefficient is not None

    def slope(coefficient: Tensor, *some: Tensor) -> Tensor:
        def total(*moving: Tensor) -> Tensor:
            point = list(tensors[1:])
            for i, x in (*zip(chosen, some), *zip(moved, moving)):
                point[SLOTS - 1 + i] = x
            return PLAIN.compose(with_tensors(call.loss, point), coefficient)[0]

        start = tuple(some[chosen.index(i)] for i in moved)
        gradients = torch.func.grad(total, argnums=tuple(range(len(moved))))(*start)
        return torch.stack([(g * directions[i]).sum().to(dtype) for i, g in zip(moved, gradients)]).sum()

    values: list[Tensor] = [tensors[SLOTS + i] for i in chosen]  # pyright: ignore[reportAssignmentType]
    of_coefficient, *found = torch.func.grad(slope, argnums=tuple(range(1 + len(chosen))))(coefficient, *values)
    gradients = dict(zip(chosen, found))
    result = [of_coefficient, *(gradients.get(i) for i in range(len(directions)))]
    return [g if want else None for g, want in zip(result, wants)]


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _ordinary(call: Call, upstream: Sequence[Tensor | None], wants: Sequence[bool]) -> bool:
    """Whether this is a first derivative of the sum alone, all of whose gradients were computed."""
    of_sum, *others = upstream
    return (
        of_sum is not None
        and call.summed
        and not any(g is not None for g in others)
        and not any(want and not ready for want, ready in zip(wants[1:], call.wanted))
        and not (torch.is_grad_enabled() or _torch.transformed() or tracing() or _is_batched(of_sum))
    )


def _finish(ctx: _Context, of_sum: Tensor | None, wants: Sequence[bool]) -> list[Tensor | None]:
    """Such a derivative. Where the graph is freed the gradients are scaled in place: no one else will see them.

    What autograd saved is not touched, so the logits may have been changed since; but a second call without a retained
    graph finds nothing ready, looks for what autograd saved, and so raises as usual.
    """
    assert ctx.ready is not None
    assert of_sum is not None
    rows, *computed = ctx.ready
    result = [of_sum * rows if wants[0] else None]
    if _torch.graph_is_kept():
        return result + [_scaled(g, of_sum) if want else None for g, want in zip(computed, wants[1:])]
    ctx.ready = None
    return result + [scale(ctx.call.backend, g, of_sum) if want else None for g, want in zip(computed, wants[1:])]


def _scaled(gradient: Tensor, upstream: Tensor) -> Tensor:
    return (gradient * upstream).to(gradient.dtype)


def _is_batched(x: Tensor) -> bool:
    return _torch.is_legacy_batched(x) or _torch.unwrapped(x) is None


# --- the function, for programs -----------------------------------------------------------------------------------


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(call: Call, *tensors: Tensor | None) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return tuple(_compute(call, tensors))

    @staticmethod
    def setup_context(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: _Context, inputs: tuple, output: tuple[Tensor, ...]
    ) -> None:
        call, *tensors = inputs
        _keep(ctx, call, tuple(tensors), output)
        # a checkpoint, say, decides itself what to keep
        if not (_torch.saving_is_watched() or _torch.transformed()):
            ctx.ready = [output[1].detach(), *(x.detach() for x in output[3:])]

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: _Context, *upstream: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        needs = ctx.needs_input_grad
        of_coefficient, *of_slots = _differentiate(ctx, upstream, (needs[1], *needs[1 + SLOTS :]))
        return None, of_coefficient, *[None] * FIXED, *of_slots


# --- the operator, for compilers ----------------------------------------------------------------------------------

_DTYPES = {torch.float16: "float16", torch.bfloat16: "bfloat16", torch.float32: "float32", torch.float64: "float64"}
_NAMED_DTYPES: dict[str, torch.dtype | None] = {"none": None} | {name: dtype for dtype, name in _DTYPES.items()}


@torch.library.custom_op("crossentropy::losses", mutates_args=())
def _operator(
    tensors: Sequence[Tensor], constants: Sequence[float] | None, sizes: Sequence[int], key: str
) -> list[Tensor]:
    """A call of the function: its tensors that are there, its numbers, its integers, and all the rest in words."""
    call, given, numbers = decoded(tensors, constants, sizes, key)
    return _compute(complete(call, numbers), given)


def encoded(
    call: Call, tensors: Tensors, numbers: Tensor | None = None
) -> tuple[list[Tensor], list[float] | None, list[int], str]:
    """A call as the operator takes it.

    Numbers are ε, λ, those of a mixture, and softcap (0 for none), logit_scale and temperature of each side. Under
    torch.compile they are a tensor, the last one, so that a number that varies is no reason to compile again.
    """
    loss, spec = call.loss, call.loss.sides[0].spec
    constants = None
    if numbers is None:
        constants = [spec.label_smoothing, spec.z_loss, *spec.mixture]
        for side in loss.sides:
            constants += [side.spec.softcap or 0.0, side.spec.logit_scale, side.spec.temperature]
        if torch.compiler.is_compiling():
            numbers, constants = torch.tensor(constants, dtype=torch.float64), None
    sizes = [spec.class_dim, spec.ignore_index, loss.budget or 0, loss.most_rows or 0, *loss.shape]
    words = [name_of(call.backend), loss.kind, _DTYPES[spec.dtype]]
    words.append("none" if spec.autocast is None else _DTYPES[spec.autocast])
    flags = (spec.probabilities, spec.ignores, spec.masked, call.summed), call.wanted, [x is not None for x in tensors]
    words += ["".join(["1" if flag else "0" for flag in some]) for some in flags]
    present = [x for x in (*tensors, numbers) if x is not None]
    return present, constants, sizes, " ".join(words)


def decoded(
    tensors: Sequence[Tensor], constants: Sequence[float] | None, sizes: Sequence[int], key: str
) -> tuple[Call, Tensors, Tensor | None]:
    """The call, its tensors, and the numbers that it lacks."""
    class_dim, ignore_index, budget, most_rows, *shape = sizes
    backend, kind, dtype, autocast, *words = key.split()
    (probabilities, ignores, masked, summed), wanted, present = ([flag == "1" for flag in word] for word in words)
    given = iter(tensors)
    slots = tuple(next(given) if is_there else None for is_there in present)
    accumulation = _NAMED_DTYPES[dtype]
    assert accumulation is not None
    spec = LossSpec(
        class_dim=class_dim,
        num_classes=shape[class_dim],
        probabilities=probabilities,
        dtype=accumulation,
        ignore_index=ignore_index,
        ignores=ignores,
        masked=masked,
        autocast=_NAMED_DTYPES[autocast],
    )
    sides = tuple(Side(slots[SLOTS], None, None, spec) for _ in range(len(wanted) // 3))  # pyright: ignore[reportArgumentType]
    loss = without_tensors(
        Loss(kind, sides, torch.Size(shape), budget=budget or None, most_rows=most_rows or None)  # pyright: ignore[reportArgumentType]
    )
    call = Call(NAMED[backend], loss, summed, tuple(wanted))
    return (call, slots, next(given)) if constants is None else (_with_numbers(call, constants), slots, None)


def complete(call: Call, numbers: Tensor | None) -> Call:
    """A call with its numbers, if these are a tensor."""
    if numbers is None:
        return call
    if torch.compiler.is_compiling() or tracing():
        raise NotImplementedError(
            "second derivatives inside torch.compile: compile with options=Options(backend='reference')"
        )
    return _with_numbers(call, numbers.tolist())


def _with_numbers(call: Call, numbers: Sequence[float]) -> Call:
    smoothing, z_loss, *others = numbers
    mixture, others, sides = Mixture(*others[:4]), others[4:], []
    for i, side in enumerate(call.loss.sides):
        softcap, logit_scale, temperature = others[3 * i : 3 * i + 3]
        spec = replace(
            side.spec,
            label_smoothing=smoothing,
            z_loss=z_loss,
            softcap=softcap or None,
            logit_scale=logit_scale,
            temperature=temperature,
            mixture=mixture,
        )
        sides.append(side._replace(spec=spec))
    return replace(call, loss=call.loss._replace(sides=tuple(sides)))


@_operator.register_fake
def _(tensors: Sequence[Tensor], constants: Sequence[float] | None, sizes: Sequence[int], key: str) -> list[Tensor]:
    call, given, _ = decoded(tensors, constants, sizes, key)
    spec, shape, x = call.loss.sides[0].spec, rows_shape(call.loss), tensors[0]
    statistics = call.loss.kind == "statistics"
    gradients: list[Tensor | None] = []
    first = given[SLOTS]
    for i, (slot, want) in enumerate(zip(given[SLOTS:], call.wanted)):
        if not want or slot is None:
            gradients.append(None)
        elif i % 3 == 0 and given[SLOTS + 1] is None:
            assert first is not None
            gradients.append(call.backend.empty_gradient(first, spec.class_dim).to(slot.dtype))
        else:
            gradients.append(slot.new_empty(slot.shape))
    return [
        x.new_empty((), dtype=spec.dtype),
        x.new_empty((3 if statistics else 1, *shape), dtype=spec.dtype),
        x.new_empty(shape if statistics else 0, dtype=torch.int64),
        *_or_empty(gradients, given),
    ]


def _setup_operator(ctx: _Context, inputs: tuple, output: list[Tensor]) -> None:
    call, given, numbers = decoded(*inputs)
    _keep(ctx, call, given, output, numbers)


def _differentiate_operator(
    ctx: _Context, upstream: Sequence[Tensor | None]
) -> tuple[list[Tensor | None], None, None, None]:
    present = iter(ctx.needs_input_grad[0])
    tensors = ctx.saved_tensors[: SLOTS + len(ctx.call.wanted)]
    needs = [next(present) if x is not None else False for x in tensors]
    of_coefficient, *of_slots = _differentiate(ctx, upstream, (needs[0], *needs[SLOTS:]))
    found = zip(tensors, (of_coefficient, *[None] * FIXED, *of_slots))
    return [g for x, g in found if x is not None] + [None] * len(list(present)), None, None, None


_operator.register_autograd(_differentiate_operator, setup_context=_setup_operator)
