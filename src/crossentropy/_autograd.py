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
from typing import NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

from crossentropy import _torch
from crossentropy._backends import chunked, reference
from crossentropy._contract import Loss, LossSpec, Side
from crossentropy._errors import ArgumentValueError
from crossentropy._torch import tracing
from crossentropy._values import own_values

SLOTS = 6
"""Differentiable tensors beside the coefficients: input, head and bias of two sides."""

Numbers: TypeAlias = Sequence[float] | Tensor
"""ε, λ, and softcap (0 for none), logit_scale and temperature of each side. Under torch.compile they are a tensor, so
that a number that varies is no reason to compile again."""


class _Static(NamedTuple):
    """What a loss is, but for tensors and the numbers that may vary under torch.compile."""

    kind: str
    shape: list[int]
    class_dim: int
    probabilities: bool
    dtype: torch.dtype
    ignore_index: int
    ignores: bool
    autocast: torch.dtype | None
    budget: int | None
    most_rows: int | None
    summed: bool
    """Whether Σ c ℓ is wanted."""
    wanted: list[bool]
    """For each slot, whether its gradient is computed at once."""


class _Tensors(NamedTuple):
    """The tensors of a loss, in the order in which operators take them."""

    coefficient: Tensor | None
    target: Tensor | None
    weight: Tensor | None
    slots: tuple[Tensor | None, ...]

    @classmethod
    def of(cls, values: Sequence[Tensor | None]) -> "_Tensors":
        return cls(values[0], values[1], values[2], tuple(values[3 : 3 + SLOTS]))

    @property
    def input(self) -> Tensor:
        assert self.slots[0] is not None
        return self.slots[0]


class _Context(Protocol):
    """What autograd hands from forward to backward."""

    static: _Static
    numbers: Sequence[float] | None
    ready: list[Tensor] | None
    """The rows and the computed gradients, apart from the graph."""
    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...
    def set_materialize_grads(self, value: bool) -> None: ...
    def mark_non_differentiable(self, *tensors: Tensor) -> None: ...


def execute(loss: Loss, coefficient: Tensor, summed: bool = True, *, backend: str = "auto") -> tuple[Tensor, Tensor]:
    """Σ coefficient · rows (0 unless `summed`), and the rows (K, rows)."""
    if _use_reference(loss, backend):
        return reference.execute(loss, coefficient, summed)
    total, rows, _ = _chunked(loss, coefficient, summed)
    return total, rows


def statistics(loss: Loss, *, backend: str = "auto") -> tuple[Tensor, Tensor]:
    """The statistics (3, rows) of a loss of that kind, and the argmax of the rows."""
    if _use_reference(loss, backend):
        return reference.execute(loss, torch.ones(()), False)[1], reference.argmax(loss)
    _, rows, index = _chunked(loss, None, False)
    return rows, index


def _use_reference(loss: Loss, backend: str) -> bool:
    """Whether the reference backend executes a loss; an explicit choice of another raises if it cannot be followed."""
    if backend == "reference":
        return True
    reasons = (*_transforms(), *_foreign(loss), *chunked.eligible(loss))
    if reasons and backend != "auto":
        raise ArgumentValueError(f"backend 'chunked' cannot execute this loss: {'; '.join(reasons)} — use 'auto'")
    return bool(reasons)


def _transforms() -> tuple[str, ...]:
    """Transforms that need the rules of plain operators."""
    if torch.compiler.is_compiling():
        traced = "a transform of torch.func inside torch.compile is traced through plain operators"
        return (traced,) if _torch.transformed() else ()
    if _torch.scripting():
        return ("torch.jit.trace records plain operators",)
    if _torch.forward_mode():
        return ("forward-mode derivatives have rules for plain operators",)
    if _torch.maps():
        return ("vmap has rules for plain operators",)
    return ()


def _foreign(loss: Loss) -> tuple[str, ...]:
    """Tensors whose class says itself what operators do."""
    tensors = [x for side in loss.sides for x in side[:3]] + [loss.target, loss.weight]
    return tuple(
        f"a {type(x).__name__} says itself what operators do"
        for x in tensors
        if x is not None and not own_values(x) and not tracing()
    )


# --- calls --------------------------------------------------------------------------------------------------------


def _chunked(loss: Loss, coefficient: Tensor | None, summed: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Σ coefficient · rows, the rows, and their argmax, by the chunked backend."""
    first = loss.sides[0].spec
    slots = [x for side in loss.sides for x in side[:3]]
    slots += [None] * (SLOTS - len(slots))
    # requires_grad is read here: inside the function the wrappers of torch.func are gone
    known = summed and torch.is_grad_enabled() and not any(_is_half(x) for x in slots)
    static = _Static(
        kind=loss.kind,
        shape=list(loss.shape),
        class_dim=first.class_dim,
        probabilities=first.probabilities,
        dtype=first.dtype,
        ignore_index=first.ignore_index,
        ignores=first.ignores,
        autocast=loss.sides[0].autocast,
        budget=loss.budget,
        most_rows=loss.most_rows,
        summed=summed,
        wanted=[known and x is not None and x.requires_grad for x in slots],
    )
    numbers = [first.label_smoothing, first.z_loss]
    for side in loss.sides:
        numbers += [side.spec.softcap or 0.0, side.spec.logit_scale, side.spec.temperature]
    total, rows, index, *_ = _call(static, numbers, _Tensors(coefficient, loss.target, loss.weight, tuple(slots)))
    return total, rows, index


def _is_half(x: Tensor | None) -> bool:
    return x is not None and x.dtype == torch.float16


def _call(static: _Static, numbers: Numbers, tensors: _Tensors) -> tuple[Tensor, ...]:
    """One call of the function, or of the operator where someone looks for operators."""
    if torch.compiler.is_compiling() or tracing() or tensors.input.is_meta:
        if isinstance(numbers, Tensor):
            return _operator(*tensors[:3], *tensors.slots, numbers, [], *static)
        if torch.compiler.is_compiling():
            return _operator(*tensors[:3], *tensors.slots, torch.tensor(numbers, dtype=torch.float64), [], *static)
        return _operator(*tensors[:3], *tensors.slots, None, numbers, *static)
    return _Function.apply(static, numbers, *tensors[:3], *tensors.slots)  # pyright: ignore[reportReturnType]


def _loss(static: _Static, numbers: Numbers, tensors: _Tensors) -> Loss:
    """The loss that a call is about."""
    if isinstance(numbers, Tensor) and (torch.compiler.is_compiling() or tracing()):
        raise NotImplementedError(
            "second derivatives inside torch.compile: compile with options=Options(backend='reference')"
        )
    smoothing, z_loss, *sides = numbers.tolist() if isinstance(numbers, Tensor) else numbers

    def spec(softcap: float, logit_scale: float, temperature: float) -> LossSpec:
        return LossSpec(
            class_dim=static.class_dim,
            num_classes=static.shape[static.class_dim],
            probabilities=static.probabilities,
            dtype=static.dtype,
            ignore_index=static.ignore_index,
            ignores=static.ignores,
            label_smoothing=smoothing,
            z_loss=z_loss,
            softcap=softcap or None,
            logit_scale=logit_scale,
            temperature=temperature,
        )

    made = []
    for i in range(len(sides) // 3):
        input, weight, bias = tensors.slots[3 * i : 3 * i + 3]
        assert input is not None
        made.append(Side(input, weight, bias, spec(*sides[3 * i : 3 * i + 3]), static.autocast))
    return Loss(
        static.kind,  # pyright: ignore[reportArgumentType]
        tuple(made),
        torch.Size(static.shape),
        tensors.target,
        tensors.weight,
        static.budget,
        static.most_rows,
    )


def _compute(static: _Static, numbers: Numbers, tensors: _Tensors) -> tuple[Tensor, ...]:
    """Σ c ℓ, ℓ, argmax and the six gradients; empty tensors for what is not wanted."""
    x = tensors.input
    result = chunked.execute(_loss(static, numbers, tensors), tensors.coefficient, tuple(static.wanted))
    rows = result.rows
    total = rows.new_zeros(())
    if static.summed:
        assert tensors.coefficient is not None
        total = _dot(tensors.coefficient, rows)
        if total.device.type != "cpu" or not total.isfinite():
            rows.masked_fill_((tensors.coefficient == 0) & ~rows.isfinite(), 0.0)
            total = (tensors.coefficient * rows).sum()  # the sum alone may overflow
    index = x.new_empty(0, dtype=torch.int64) if result.argmax is None else result.argmax
    gradients = [g for side in result.gradients for g in side]
    gradients += [None] * (SLOTS - len(gradients))
    return total, rows, index, *(x.new_empty(0) if g is None else g for g in gradients)


def _dot(coefficient: Tensor, rows: Tensor) -> Tensor:
    """Σ coefficient · rows, where one number may stand for all coefficients."""
    if rows.numel() and not any(coefficient.stride()):
        return coefficient[(0,) * coefficient.dim()] * rows.sum()
    return (coefficient * rows).sum()


# --- derivatives --------------------------------------------------------------------------------------------------


def _keep(ctx: _Context, static: _Static, numbers: Numbers, tensors: _Tensors, output: tuple[Tensor, ...]) -> None:
    """Store what derivatives need; absent upstreams stay None and cost nothing."""
    ctx.static, ctx.numbers, ctx.ready, kept = static, None, None, None
    if isinstance(numbers, Tensor):
        kept = numbers
    else:
        ctx.numbers = numbers
    ctx.save_for_backward(*tensors[:3], *tensors.slots, kept, output[1], *output[3:])
    ctx.set_materialize_grads(False)


def _differentiate(ctx: _Context, upstream: tuple[Tensor | None, ...], wants: Sequence[bool]) -> list[Tensor | None]:
    """Gradients of the coefficients and the six slots, as `wants` tells them wanted."""
    if ctx.ready is not None and _ordinary(ctx.static, upstream, wants):
        return _finish(ctx, upstream[0], wants)
    saved = ctx.saved_tensors  # once: a checkpoint computes them anew
    static, tensors = ctx.static, _Tensors.of(saved)
    kept, rows, *computed = saved[3 + SLOTS :]
    numbers, coefficient = kept if ctx.numbers is None else ctx.numbers, tensors.coefficient
    of_sum, of_rows, _, *of_computed = upstream
    result: list[Tensor | None] = [None] * (1 + SLOTS)
    if static.summed and of_rows is not None and coefficient is not None:
        of_rows = of_rows.masked_fill((coefficient == 0) & (rows == 0), 0.0)  # rows that were left out
    if of_sum is not None and static.summed:
        assert coefficient is not None
        if wants[0]:
            result[0] = of_sum * rows
        if any(want and not ready for want, ready in zip(wants[1:], static.wanted)):
            of_rows = _sum(of_rows, of_sum * coefficient)
        else:
            result[1:] = [_scaled(g, of_sum) if want else None for g, want in zip(computed, wants[1:])]
    if of_rows is not None and any(wants[1:]):
        again = _again(static, numbers, tensors._replace(coefficient=of_rows), wants[1:])
        result[1:] = map(_sum, result[1:], again)
    of_computed = [g if ready else None for g, ready in zip(of_computed, static.wanted)]
    if any(g is not None for g in of_computed):
        result = list(map(_sum, result, _second(static, numbers, tensors, of_computed, wants)))
    return result


def _again(static: _Static, numbers: Numbers, tensors: _Tensors, wants: Sequence[bool]) -> list[Tensor | None]:
    """Gradients of Σ c ℓ for the upstream c."""
    assert tensors.coefficient is not None
    if _is_batched(tensors.coefficient):
        return _plain(static, numbers, tensors, wants)
    wanted = [bool(want) for want in wants]
    output = _call(static._replace(wanted=wanted, summed=True), numbers, tensors)
    return [g if want else None for g, want in zip(output[3:], wants)]


def _plain(static: _Static, numbers: Numbers, tensors: _Tensors, wants: Sequence[bool]) -> list[Tensor | None]:
    """The same by the reference backend, for upstreams that are batched."""
    chosen = [i for i, want in enumerate(wants) if want]

    def rows(*some: Tensor) -> Tensor:
        return reference.execute(_with(static, numbers, tensors, chosen, some), torch.ones(()), False)[1]

    values = [tensors.slots[i] for i in chosen]
    if _torch.transformed():
        gradients = torch.func.vjp(rows, *values)[1](tensors.coefficient)
    else:
        with torch.enable_grad():
            leaves = [x.detach().requires_grad_() for x in values if x is not None]
            gradients = torch.autograd.grad(rows(*leaves), leaves, tensors.coefficient)
    return _scatter(chosen, gradients)


def _second(
    static: _Static, numbers: Numbers, tensors: _Tensors, directions: list[Tensor | None], wants: Sequence[bool]
) -> list[Tensor | None]:
    """Gradients of Σ_j ⟨G_j, direction_j⟩ for the coefficients and the slots: a Hessian product."""
    moved = [i for i, u in enumerate(directions) if u is not None]
    chosen = [i for i in range(SLOTS) if wants[1 + i] or i in moved]

    assert tensors.coefficient is not None

    def slope(coefficient: Tensor, *some: Tensor) -> Tensor:
        def total(*moving: Tensor) -> Tensor:
            point = list(some)
            for i, x in zip(moved, moving):
                point[chosen.index(i)] = x
            return reference.execute(_with(static, numbers, tensors, chosen, point), coefficient)[0]

        start = tuple(some[chosen.index(i)] for i in moved)
        gradients = torch.func.grad(total, argnums=tuple(range(len(moved))))(*start)
        return torch.stack([(g * directions[i]).sum().to(static.dtype) for i, g in zip(moved, gradients)]).sum()

    values = [x for i, x in enumerate(tensors.slots) if i in chosen and x is not None]
    gradients = torch.func.grad(slope, argnums=tuple(range(1 + len(chosen))))(tensors.coefficient, *values)
    result = [gradients[0], *_scatter(chosen, gradients[1:])]
    return [g if want else None for g, want in zip(result, wants)]


def _with(static: _Static, numbers: Numbers, tensors: _Tensors, chosen: list[int], some: Sequence[Tensor]) -> Loss:
    """The loss with other tensors in the chosen slots."""
    slots = list(tensors.slots)
    for i, x in zip(chosen, some):
        slots[i] = x
    return _loss(static, numbers, tensors._replace(slots=tuple(slots)))


def _scatter(chosen: list[int], gradients: Sequence[Tensor]) -> list[Tensor | None]:
    result: list[Tensor | None] = [None] * SLOTS
    for i, g in zip(chosen, gradients):
        result[i] = g
    return result


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _ordinary(static: _Static, upstream: tuple[Tensor | None, ...], wants: Sequence[bool]) -> bool:
    """Whether this is a first derivative of the sum alone, all of whose gradients were computed."""
    of_sum, *others = upstream
    return (
        of_sum is not None
        and static.summed
        and not any(g is not None for g in others)
        and not any(want and not ready for want, ready in zip(wants[1:], static.wanted))
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
    same = of_sum.is_cpu and of_sum.item() == 1.0
    return result + [(g if same else g.mul_(of_sum)) if want else None for g, want in zip(computed, wants[1:])]


def _scaled(gradient: Tensor, upstream: Tensor) -> Tensor:
    return (gradient * upstream).to(gradient.dtype)


def _is_batched(x: Tensor) -> bool:
    return _torch.is_legacy_batched(x) or _torch.unwrapped(x) is None


# --- the function, for programs, and the operator, for compilers ---------------------------------------------------


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        static: _Static, numbers: Numbers, *tensors: Tensor | None
    ) -> tuple[Tensor, ...]:
        return _compute(static, numbers, _Tensors.of(tensors))

    @staticmethod
    def setup_context(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: _Context, inputs: tuple[object, ...], output: tuple[Tensor, ...]
    ) -> None:
        static, numbers, *tensors = inputs
        _keep(ctx, static, numbers, _Tensors.of(tensors), output)  # pyright: ignore[reportArgumentType]
        # a checkpoint, say, decides itself what to keep
        if not (_torch.saving_is_watched() or _torch.transformed()):
            ctx.ready = [output[1].detach(), *(x.detach() for x in output[3:])]
        ctx.mark_non_differentiable(output[2])

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: _Context, *upstream: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        needs = ctx.needs_input_grad
        of_coefficient, *of_slots = _differentiate(ctx, upstream, (needs[2], *needs[5:]))
        return None, None, of_coefficient, None, None, *of_slots


@torch.library.custom_op("crossentropy::losses", mutates_args=())
def _operator(
    coefficient: Tensor | None,
    target: Tensor | None,
    weight: Tensor | None,
    input: Tensor,
    head: Tensor | None,
    bias: Tensor | None,
    teacher_input: Tensor | None,
    teacher_head: Tensor | None,
    teacher_bias: Tensor | None,
    numbers: Tensor | None,
    constants: Sequence[float],
    kind: str,
    shape: list[int],
    class_dim: int,
    probabilities: bool,
    dtype: torch.dtype,
    ignore_index: int,
    ignores: bool,
    autocast: torch.dtype | None,
    budget: int | None,
    most_rows: int | None,
    summed: bool,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    slots = (input, head, bias, teacher_input, teacher_head, teacher_bias)
    static = _Static(
        kind, shape, class_dim, probabilities, dtype, ignore_index, ignores, autocast, budget, most_rows, summed, wanted
    )
    tensors = _Tensors(coefficient, target, weight, slots)
    return _compute(static, constants if numbers is None else numbers, tensors)  # pyright: ignore[reportReturnType]


@_operator.register_fake
def _(*arguments) -> tuple[Tensor, ...]:  # noqa: ANN002 (those of the operator)
    slots, static = arguments[3 : 3 + SLOTS], _Static(*arguments[5 + SLOTS :])
    x = slots[0]
    shape = [*static.shape[: static.class_dim], *static.shape[static.class_dim + 1 :]]
    count = 3 if static.kind == "statistics" else 1
    gradients = []
    for i, (slot, want) in enumerate(zip(slots, static.wanted)):
        if not want:
            gradients.append(x.new_empty(0))
        elif i == 0 and slots[1] is None:
            gradients.append(chunked.empty_gradient(slot, static.class_dim))
        else:
            gradients.append(slot.new_empty(slot.shape))
    return (
        x.new_empty((), dtype=static.dtype),
        x.new_empty((count, *shape), dtype=static.dtype),
        x.new_empty(shape if static.kind == "statistics" else 0, dtype=torch.int64),
        *gradients,
    )


def _setup_operator(ctx: _Context, inputs: tuple, output: tuple[Tensor, ...]) -> None:
    numbers, constants, *static = inputs[3 + SLOTS :]
    _keep(ctx, _Static(*static), constants if numbers is None else numbers, _Tensors.of(inputs), output)
    ctx.mark_non_differentiable(output[2])


def _differentiate_operator(ctx: _Context, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
    needs = ctx.needs_input_grad
    of_coefficient, *of_slots = _differentiate(ctx, upstream, (needs[0], *needs[3 : 3 + SLOTS]))
    return of_coefficient, None, None, *of_slots, *[None] * (2 + len(_Static._fields))


_operator.register_autograd(_differentiate_operator, setup_context=_setup_operator)
