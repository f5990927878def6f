"""What logits that do not exist would be: an expression of hidden states and a head.

    z = c · tanh(s · (h Wᵀ + b) / c)      and then log p, −log p, p or p log p of p = softmax(z)

h (N, D) rows of hidden states · W (V, D) head · b (V) bias · s scale · c cap, or none.

Rows and classes can be viewed in any way that torch knows: a `twin` on the meta device, of shape and strides but no
memory, undergoes the same views, and its strides then tell which rows and which classes are meant. Row strides are
multiples of V, the class axis has the stride that is less. So no view needs a rule of its own, and what torch refuses
is refused.
"""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from crossentropy import _torch
from crossentropy._sharding import is_distributed
from crossentropy.lazy._parts import Part

Kind = Literal["logits", "log_probs", "bounded", "information", "probs", "p_log_p"]
"""z, log p, log p not below the least number, −log p, p, p log p."""
Step: TypeAlias = tuple[Any, ...]
"""A function that acts on rows one by one, classes last, and its further arguments."""


@dataclass(frozen=True, eq=False)
class Expression:
    """Logits to come, or what follows from them."""

    hidden: Tensor
    """h (N, D); D lies innermost."""
    weight: Tensor
    bias: Tensor | None
    twin: Tensor
    """Shape and strides, as a view of contiguous (N, V) logits."""
    dtype: torch.dtype
    product: torch.dtype | None
    """The dtype in which autocast multiplied, or None."""
    versions: tuple[tuple[int, int], ...] = ()
    """Those of the tensors, when the head was called, and where they were."""
    sources: tuple[Tensor, ...] = ()
    """Parameters of which head and bias are local copies, which may come and go: these change in their place."""
    part: Part | None = None
    """Of which classes head and bias are, where each rank has a part."""
    kind: Kind = "logits"
    scale: float = 1.0
    softcap: float | None = None
    steps: tuple[Step, ...] = ()
    """What was done to the product, step by step: the dense result repeats it to the bit."""
    contiguous: bool = False
    """Whether the dense result is a contiguous copy rather than a view."""

    @classmethod
    def of(
        cls,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        sources: tuple[Tensor, ...] = (),
        part: Part | None = None,
        class_dim: int = -1,
        contiguous: bool = False,
    ) -> "Expression":
        """Logits of hidden states (…, D), with their classes along `class_dim`; contiguous ones, or as the rows lie."""
        _watch_optimizers()
        # what does not require a gradient now will not get one later
        hidden, weight = (x if x.requires_grad else x.detach() for x in (hidden, weight))
        bias = bias if bias is None or bias.requires_grad else bias.detach()
        device, dtype, product = hidden.device.type, torch.promote_types(hidden.dtype, weight.dtype), None
        if torch.is_autocast_enabled(device) and dtype != torch.float64:
            dtype = product = torch.get_autocast_dtype(device)
        rows = hidden.reshape(hidden.shape[:-1].numel(), hidden.shape[-1])
        if rows.stride(1) != 1:
            rows = rows.contiguous()
        twin = _contiguous(*hidden.shape[:-1], len(weight) if part is None else part.seen).movedim(-1, class_dim)
        return cls(rows, weight, bias, twin, dtype, product, sources=sources, part=part, contiguous=contiguous)._now()

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that it depends on."""
        return (self.hidden, self.weight) if self.bias is None else (self.hidden, self.weight, self.bias)

    @property
    def classes(self) -> int:
        """How many classes the logits have of which these are a view."""
        return self.part.classes if self.part is not None and self.part.spread else len(self.weight)

    @functools.cached_property
    def class_dim(self) -> int | None:
        """The class axis; None where views have taken it away."""
        axes = _class_axes(self.twin, self.classes)
        return axes[0] if axes else None

    def rows(self) -> Tensor:
        """Hidden states in the shape of the rows: (…, D)."""
        class_dim = self.class_dim
        axes = [d for d in range(self.twin.dim()) if d != class_dim]
        shape = [self.twin.shape[d] for d in axes]
        strides = [self.twin.stride(d) // self.classes for d in axes]
        features, pitch = self.hidden.shape[1], self.hidden.stride(0)
        if torch.Size(shape).numel() == len(self.hidden) and _are_contiguous(shape, strides):
            return self.hidden.view(*shape, features)
        offset = self.hidden.storage_offset() + int(self.twin.storage_offset()) // self.classes * pitch
        return self.hidden.as_strided((*shape, features), (*(s * pitch for s in strides), 1), offset)

    def head(self) -> tuple[Tensor, Tensor | None]:
        """Head and bias of the classes that are in view."""
        classes, class_dim = self.classes, self.class_dim
        begin = self.twin.storage_offset() % classes
        count, step = (1, 1) if class_dim is None else (self.twin.shape[class_dim], self.twin.stride(class_dim))
        if count == classes:
            return self.weight, self.bias
        part = slice(begin, begin + (count - 1) * step + 1, step)
        return self.weight[part], None if self.bias is None else self.bias[part]

    def dense(self) -> Tensor:
        """The result of the expression, as if it had been computed at once."""
        self.check()
        weight, bias = self.head()
        with self.autocast():
            z = F.linear(self.rows(), weight, bias)
        z = z if self.part is None else self.part.shown(z)
        for function, *arguments in self.steps:
            z = function(z, *arguments)
        class_dim = self.class_dim
        if class_dim is None:
            z = z.squeeze(-1)
        elif class_dim != z.dim() - 1:
            z = z.movedim(-1, class_dim)
        return z.contiguous() if self.contiguous else z

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which the head was called."""
        device = self.hidden.device.type
        if self.product is not None:
            return torch.autocast(device, dtype=self.product)
        return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()

    def check(self) -> None:
        """Refuse to compute with tensors that were changed since the head was called."""
        if self._versions() != self.versions:
            raise RuntimeError(
                "lazy logits are looked at after their hidden states or head were changed in place (by an optimizer's "
                "step?), so what they were can no longer be computed. Use them before the change, keep "
                "`logits.detach().clone()` that was looked at, or call `crossentropy.unfuse(model)`."
            )
        if not self.weight.untyped_storage().size() and self.weight.numel():
            raise RuntimeError(
                "the head's weight has no memory any more: it is sharded, and was freed after the forward or backward "
                "pass. Look at lazy logits before that, or call `crossentropy.unfuse(model)`."
            )

    def _now(self) -> "Expression":
        """The same of its tensors as they are now."""
        return replace(self, versions=self._versions())

    def _versions(self) -> tuple[tuple[int, int], ...]:
        """How often tensors were changed in place, which inference mode does not count, and where they are.

        What was gathered of sharded parameters is written anew whenever it is gathered: these count, not it.
        """
        stay = (self.hidden,) if self.sources else self.inputs
        changes = [-1 if x.is_inference() else _torch.version(x) for x in (*stay, *self.sources)]
        return tuple(zip_longest(changes, (x.data_ptr() for x in stay), fillvalue=0))

    def same(self, other: "Expression") -> bool:
        """Whether both stand for the same logits, of whatever kind."""
        return (
            self.hidden is other.hidden
            and self.weight is other.weight
            and self.bias is other.bias
            and (self.scale, self.softcap) == (other.scale, other.softcap)
            and self.twin.shape == other.twin.shape
            and self.twin.stride() == other.twin.stride()
            and self.twin.storage_offset() == other.twin.storage_offset()
        )

    # --- what follows from it ---------------------------------------------------------------------------------------

    def viewed(self, view: Callable[[Tensor], Tensor]) -> "Expression | None":
        """The expression under a view of the logits; None where it would be a copy, or torch refuses it."""
        try:
            twin = view(self.twin)
        except (RuntimeError, IndexError, TypeError, ValueError):
            return None
        if not isinstance(twin, Tensor) or twin.untyped_storage() is not self.twin.untyped_storage():
            return None
        if _class_axes(twin, self.classes) is None:
            return None
        found = replace(self, twin=twin)
        if (self.kind != "logits" or self.part is not None) and found._classes() != self._classes():
            return None  # a softmax is over all its classes, and a part of a part is none of torch.chunk's
        return found

    def _classes(self) -> int:
        return 1 if self.class_dim is None else self.twin.shape[self.class_dim]

    def laid_out(self) -> Tensor:
        """Hidden states laid out like the logits, with D in place of the classes."""
        assert self.class_dim is not None
        return self.rows().movedim(-1, self.class_dim)

    def of_rows(self, laid_out: Tensor, class_dim: int) -> "Expression":
        """The expression of other rows, with their features along `class_dim`: a copy of what it stands for."""
        self.check()
        rows = laid_out.movedim(class_dim, -1)
        hidden = rows.reshape(rows.shape[:-1].numel(), rows.shape[-1])
        weight, bias = self.head()
        twin = _contiguous(*rows.shape[:-1], len(weight) if self.part is None else self.part.seen)
        twin = twin.movedim(-1, class_dim)
        # softmax and tanh save their result for their gradient, which a copy must not share
        steps = self.steps if self.kind == "logits" and self.softcap is None else (*self.steps, (torch.clone,))
        changes = {"hidden": hidden, "weight": weight, "bias": bias, "twin": twin}
        return replace(self, **changes, steps=steps, contiguous=class_dim != twin.dim() - 1)._now()

    def of_head(self, weight: Tensor, bias: Tensor | None) -> "Expression":
        """The expression of another head, of all the classes of which this is one."""
        twin = self.twin
        if len(weight) != len(self.weight):
            assert self.class_dim is not None
            rows = [n for d, n in enumerate(twin.shape) if d != self.class_dim]
            twin = _contiguous(*rows, len(weight)).movedim(-1, self.class_dim)
        return replace(self, weight=weight, bias=bias, twin=twin)._now()

    def local(self) -> "Expression | None":
        """This rank's part of logits that are spread over ranks; None where it takes more than its own tensors."""
        if self.part is None or self.kind != "logits" or self.class_dim is None:
            return None
        rows = self.of_rows(self.laid_out(), self.class_dim)
        twin = _contiguous(*self.rows().shape[:-1], self.part.own).movedim(-1, self.class_dim)
        return replace(rows, twin=twin, part=self.part.local())

    def then(self, *step: Any, **changes: Any) -> "Expression":
        """The expression after a step."""
        return replace(self, steps=(*self.steps, step), **changes)

    def rescaled(self, hidden: Tensor, bias: Tensor | None, dtype: torch.dtype) -> "Expression":
        """The expression of changed hidden states and bias."""
        self.check()
        return replace(self, hidden=hidden, bias=bias, dtype=dtype)._now()

    def of_views(self) -> "Expression":
        """The expression of views of its tensors: none of them can be reached through the history of another."""
        bias = None if self.bias is None else self.bias.view_as(self.bias)
        hidden, weight = self.hidden.view_as(self.hidden), self.weight.view_as(self.weight)
        return replace(self, hidden=hidden, weight=weight, bias=bias)

    def detached(self) -> "Expression":
        """The expression without its history."""
        bias = None if self.bias is None else self.bias.detach()
        return replace(self, hidden=self.hidden.detach(), weight=self.weight.detach(), bias=bias)


def _contiguous(*shape: int) -> Tensor:
    """Shape and strides, and no memory."""
    return torch.empty(shape, dtype=torch.uint8, device="meta")


def _class_axes(twin: Tensor, classes: int) -> list[int] | None:
    """The axis along which classes lie, if there is one; None where an axis leads through classes and rows."""
    axes = [d for d, (n, s) in enumerate(zip(twin.shape, twin.stride())) if n > 1 and s % classes]
    begin = int(twin.storage_offset()) % classes
    fits = all(begin + (twin.shape[d] - 1) * twin.stride(d) < classes for d in axes)
    return axes if len(axes) < 2 and fits else None


def _are_contiguous(shape: list[int], strides: list[int]) -> bool:
    step = 1
    for n, stride in zip(reversed(shape), reversed(strides)):
        if n != 1 and stride != step:
            return False
        step *= n
    return True


@functools.cache
def _watch_optimizers() -> None:
    """Count an optimizer's step as a change of its parameters: on a CPU fused ones do not, and few do of DTensors."""

    def changed(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        parameters = [p for group in optimizer.param_groups if group.get("fused") for p in group["params"]]
        parameters += [p for group in optimizer.param_groups for p in group["params"] if is_distributed(p)]
        torch.autograd.graph.increment_version([p for p in parameters if p.grad is not None])

    register_optimizer_step_post_hook(changed)
