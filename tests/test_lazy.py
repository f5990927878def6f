"""Lazy logits: whatever torch does to them gives what it gives for logits, and what can be fused is."""

import copy
import functools
import io
import logging
import math
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as torch_functional
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import crossentropy
from crossentropy import LazyLogits, fuse, fused, unfuse
from crossentropy import functional as F
from crossentropy.lazy import explain
from crossentropy.testing import peak_bytes

B, T, D, V = 2, 5, 8, 40
Y = torch.randint(V, (B, T), generator=torch.Generator().manual_seed(1))
MASK = Y > 15


class Largest(TorchDispatchMode):
    """The most elements of any tensor that is made meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for x in tree_leaves(result):
            if type(x) is Tensor and x.device.type != "meta":
                self.numel = max(self.numel, x.numel())
        return result


@pytest.fixture
def tensors() -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    shapes = ((B, T, D), (V, D), (V,))
    hidden, weight, bias = (torch.randn(s, generator=g, dtype=torch.float64, requires_grad=True) for s in shapes)
    return hidden, weight, bias


def check(program: Callable[[Tensor], Any], tensors: tuple[Tensor, ...]) -> LazyLogits:
    """Compare values, kinds and gradients of a program on lazy logits with those on logits."""
    lazy, dense = LazyLogits(*tensors), torch_functional.linear(*tensors)
    results, expected = tree_leaves(program(lazy)), tree_leaves(program(dense))
    assert len(results) == len(expected)
    for a, b in zip(results, expected):
        if not isinstance(b, Tensor):
            assert a == b
            continue
        assert (a.shape, a.dtype, a.requires_grad) == (b.shape, b.dtype, b.requires_grad)
        rounding = 1e-9 if b.dtype == torch.float64 else 1e-5
        if b.requires_grad:
            upstream = torch.randn(b.shape, dtype=b.dtype, generator=torch.Generator().manual_seed(2))
            found = torch.autograd.grad(a, tensors, upstream, retain_graph=True, allow_unused=True)
            for x, y in zip(found, torch.autograd.grad(b, tensors, upstream, retain_graph=True, allow_unused=True)):
                torch.testing.assert_close(x, y, rtol=rounding, atol=rounding)
        torch.testing.assert_close(a + 0 if a.is_floating_point() else a, b, rtol=rounding, atol=rounding)
    return lazy


CLASSES = torch.arange(V) % 7 == 3
BIAS = torch.linspace(-2, 2, V, dtype=torch.float64)
ALLOWED = torch.zeros(V, dtype=torch.float64).masked_fill(torch.arange(V) % 3 == 1, -math.inf)
SECOND = torch.linspace(-1, 1, V * 3, dtype=torch.float64).view(V, 3)


def changed(change: Callable[[Tensor], Any]) -> Callable[[Tensor], Tensor]:
    """A loss of logits that were changed in place, with labels among all classes."""

    def run(z: Tensor) -> Tensor:
        change(z)
        return torch_functional.cross_entropy(z.view(-1, V), Y.view(-1), reduction="none")

    return run


def low_rank(z: Tensor) -> Tensor:
    """Logits and those of another head."""
    hidden = torch.linspace(-1, 1, B * T * 3, dtype=torch.float64).view(B, T, 3)
    second = LazyLogits(hidden, SECOND) if isinstance(z, LazyLogits) else hidden @ SECOND.T
    return torch_functional.cross_entropy((z / 3 + 0.5 * second).view(-1, V), Y.view(-1))


COUNT = torch.rand(V, generator=torch.Generator().manual_seed(6)) > 0.3
COUNT[Y] = True
COUNTS = (torch.rand(B, T, V, generator=torch.Generator().manual_seed(7)) > 0.3).scatter(-1, Y.unsqueeze(-1), True)
SQUARE = torch.arange(V).expand(1, V)
SQUARES = torch.tril(torch.ones(V, V, dtype=torch.bool)).T.unsqueeze(0)
"""As many rows as classes: which axis is which, no shape tells."""
TOP = tuple(
    x.transpose(1, 2) for x in (torch.arange(3).expand(B, T, 3), torch.tensor([-1.0, -2.0, -1.5]).expand(B, T, 3))
)


def square(z: Tensor) -> Tensor:
    """Logits (1, C, d1), C = d1, of which each row is one of the first two."""
    return z.flatten(0, 1)[torch.arange(V) % 2].unsqueeze(0).transpose(1, 2)


def another(z: Tensor) -> Tensor:
    """Logits of another head."""
    hidden, head = torch.linspace(-1, 1, B * T * 3, dtype=torch.float64).view(B, T, 3), SECOND.cos()
    return LazyLogits(hidden, head) if isinstance(z, LazyLogits) else hidden @ head.T


FUSED: dict[str, Callable[[Tensor], Any]] = {
    "a mask of the classes": lambda z: F.cross_entropy(z.transpose(1, 2), Y, class_mask=COUNT, label_smoothing=0.1),
    "a mask of the logits": lambda z: F.cross_entropy(z.transpose(1, 2)[..., :T], Y, class_mask=COUNTS.transpose(1, 2)),
    "a mask of a square": lambda z: F.cross_entropy(square(z), SQUARE, class_mask=SQUARES, reduction="none"),
    "num_classes": lambda z: F.cross_entropy(z.flatten(0, 1), Y.flatten().clamp(max=29), num_classes=30, z_loss=0.1),
    "probabilities of num_classes": lambda z: F.cross_entropy(
        z.transpose(1, 2), torch.full((B, 30, T), 1 / 30, dtype=z.dtype), num_classes=30
    ),
    "several ignored labels": lambda z: F.cross_entropy(z[0], Y[0], ignore_index=(int(Y[0, 1]), -100)),
    "loss and statistics": lambda z: F.cross_entropy(z.transpose(1, 2), Y, return_statistics=True),
    "statistics under a mask": lambda z: F.token_statistics(
        z.transpose(1, 2), Y, dim=1, class_mask=COUNTS.transpose(1, 2), ignore_index=(3, -100)
    ),
    "focal_loss": lambda z: F.focal_loss(2 * z.transpose(1, 2), Y, class_mask=COUNTS.transpose(1, 2), logit_scale=0.3),
    "poly1_loss": lambda z: F.poly1_loss((torch.tanh(z / 3) * 3)[0], Y[0], reduction="none"),
    "generalized_cross_entropy": lambda z: F.generalized_cross_entropy(z[0], Y[0], weight=BIAS.abs()),
    "row_loss": lambda z: F.row_loss(lambda row: row.entropy.square() + row.logsumexp, z.transpose(1, 2)),
    "topk_kl_div_with_logits": lambda z: F.topk_kl_div_with_logits(z.transpose(1, 2), *TOP, dim=1, temperature=2.0),
    "divergences of two heads": lambda z: [
        divergence(z, another(z)) for divergence in (F.kl_div_with_logits, F.reverse_kl_div_with_logits)
    ],
    "js_div of two heads": lambda z: F.js_div_with_logits(z.movedim(-1, 0), another(z).movedim(-1, 0), dim=0, beta=0.3),
    "cross_entropy of rows": lambda z: torch_functional.cross_entropy(z.view(-1, V), Y.view(-1)),
    "cross_entropy of (N, C, T)": lambda z: torch_functional.cross_entropy(z.transpose(1, 2), Y, reduction="none"),
    "… made contiguous": lambda z: torch_functional.cross_entropy(z.transpose(1, 2).contiguous(), Y),
    "every option": lambda z: torch_functional.cross_entropy(
        z.permute(0, 2, 1), Y, torch.arange(1.0, V + 1, dtype=z.dtype), ignore_index=3, label_smoothing=0.1
    ),
    "class probabilities": lambda z: torch_functional.cross_entropy(
        z.movedim(-1, 1), torch.full((B, V, T), 1 / V, dtype=z.dtype), label_smoothing=0.2
    ),
    "legacy reduction": lambda z: torch_functional.cross_entropy(z[0], Y[0], size_average=False),
    "one row": lambda z: torch_functional.cross_entropy(z[0, 0], Y[0, 0]),
    "the module": lambda z: nn.CrossEntropyLoss(label_smoothing=0.1)(z.flatten(0, 1), Y.flatten()),
    "ours": lambda z: F.cross_entropy(z.flatten(0, 1), Y.flatten()),
    "causal shift": lambda z: torch_functional.cross_entropy(
        z[..., :-1, :].contiguous().view(-1, V), Y[..., 1:].contiguous().view(-1)
    ),
    "causal shift, reshape": lambda z: torch_functional.cross_entropy(z[:, :-1].reshape(-1, V), Y[:, 1:].reshape(-1)),
    "float": lambda z: torch_functional.cross_entropy(z.float().view(-1, V), Y.view(-1)),
    "padded vocabulary": lambda z: torch_functional.cross_entropy(z[..., :30].transpose(1, 2), Y.clamp(max=29)),
    "every other class": lambda z: torch_functional.cross_entropy(z[0, :, 1::2], Y[0] // 2),
    "scale": lambda z: torch_functional.cross_entropy((2 * z / 3.0).view(-1, V), Y.view(-1)),
    "a tensor's scale": lambda z: torch_functional.cross_entropy((z * torch.tensor(0.3)).view(-1, V), Y.view(-1)),
    "softcap": lambda z: torch_functional.cross_entropy((torch.tanh(z / 30) * 30)[0], Y[0]),
    "scale, softcap, temperature": lambda z: torch_functional.cross_entropy((5 * (z * 2 / 5).tanh() / 0.7)[1], Y[1]),
    "bias": lambda z: torch_functional.cross_entropy((z + torch.ones(1, V, dtype=z.dtype))[0], Y[0]),
    "rows by mask": lambda z: torch_functional.cross_entropy(z[MASK], Y[MASK]),
    "rows by index": lambda z: torch_functional.cross_entropy(z[:, [0, -1]].flatten(0, 1), Y[:, [0, -1]].flatten()),
    "index_select": lambda z: torch_functional.cross_entropy(z.index_select(1, torch.tensor([2, 0]))[0], Y[0, [2, 0]]),
    "cat": lambda z: torch_functional.cross_entropy(torch.cat([z[1], z[0]]), Y.flip(0).flatten()),
    "stack": lambda z: torch_functional.cross_entropy(torch.stack([z[1], z[0]]).flatten(0, 1), Y.flip(0).flatten()),
    "chunk": lambda z: [torch_functional.cross_entropy(x.squeeze(0), Y[i]) for i, x in enumerate(z.chunk(2))],
    "iteration": lambda z: [torch_functional.cross_entropy(x, Y[i]) for i, x in enumerate(z)],
    "bias of channels": lambda z: torch_functional.cross_entropy(z.transpose(1, 2) + BIAS[:, None], Y),
    "bias after a scale": lambda z: torch_functional.cross_entropy((z * -0.3 + BIAS)[0], Y[0]),
    "priors taken off": lambda z: torch_functional.cross_entropy((z - BIAS)[0], Y[0]),
    "a mask added": lambda z: torch_functional.cross_entropy((z + ALLOWED)[0], Y[0], reduction="none"),
    "a mask added in place": changed(lambda z: z.add_(ALLOWED)),
    "masked_fill": lambda z: torch_functional.cross_entropy(
        z.masked_fill(CLASSES, -math.inf).view(-1, V), Y.view(-1), reduction="none"
    ),
    "masked_fill after a scale": lambda z: torch_functional.cross_entropy(
        (-2 * z).masked_fill(CLASSES, -math.inf)[0], Y[0], reduction="none"
    ),
    "masked_fill by the least number": lambda z: torch_functional.cross_entropy(
        z.masked_fill(CLASSES, torch.finfo(z.dtype).min)[0], Y[0], reduction="none"
    ),
    "masked_fill of channels": lambda z: torch_functional.cross_entropy(
        z.transpose(1, 2).masked_fill(CLASSES[:, None], -1e4), Y, reduction="none"
    ),
    "masked twice": lambda z: torch_functional.cross_entropy(
        (z.masked_fill(CLASSES, -math.inf) * 2).masked_fill(Y[0, 0] == torch.arange(V), -math.inf)[0], Y[0]
    ),
    "masked classes in view": lambda z: z[..., 5:25].masked_fill(CLASSES[5:25], -math.inf).logsumexp(-1),
    "where": lambda z: torch.where(CLASSES, -math.inf, z).logsumexp(-1) + torch.where(CLASSES, z, -1e9).logsumexp(-1),
    "where, by its method": lambda z: z.where(CLASSES, -math.inf).argmax(-1),
    "index_fill": lambda z: z.index_fill(-1, torch.tensor([0, 3]), -1e4).logsumexp(-1),
    "classes set": changed(lambda z: z.__setitem__((..., slice(30, None)), -math.inf)),
    "a class set": changed(lambda z: z.__setitem__((..., 0), 9.0)),
    "masked classes set": changed(lambda z: z.__setitem__((slice(None), slice(None), CLASSES), -math.inf)),
    "listed classes set": changed(lambda z: z.__setitem__((..., [0, -1]), torch.tensor(-5.0, dtype=z.dtype))),
    "masked_fill_, twice": changed(lambda z: z.masked_fill_(CLASSES, -math.inf).masked_fill_(~CLASSES, 1.0)),
    "without a gradient, set": lambda z: (z := z.detach().clone(), z.masked_fill_(CLASSES, -math.inf), z.logsumexp(-1))[
        2
    ],
    "some classes": lambda z: torch_functional.cross_entropy(z[..., [3, 5, -1]][0], Y[0] % 3),
    "masked classes": lambda z: z[:, 1:, CLASSES].log_softmax(-1).gather(-1, Y[:, 1:, None] % 6),
    "classes by index_select": lambda z: torch_functional.cross_entropy(
        z.transpose(1, 2).index_select(1, torch.arange(9)), Y % 9
    ),
    "two terms": low_rank,
    "nll_loss": lambda z: torch_functional.nll_loss(z.log_softmax(-1).view(-1, V), Y.view(-1), ignore_index=3),
    "nll_loss of images": lambda z: nn.NLLLoss()(nn.LogSoftmax(1)(z.transpose(1, 2)), Y),
    "gather of log_softmax": lambda z: torch.gather(torch.log_softmax(z, -1), -1, Y.unsqueeze(-1)).squeeze(-1),
    "gather along axis 1": lambda z: z.transpose(1, 2).log_softmax(1).gather(1, Y.unsqueeze(1)),
    "gather of two": lambda z: z.log_softmax(-1).gather(-1, torch.stack([Y, 39 - Y], -1)),
    "gather of logits": lambda z: z.gather(-1, Y.unsqueeze(-1)),
    "take_along_dim": lambda z: torch.take_along_dim(z, Y.unsqueeze(-1), -1),
    "index of log_softmax": lambda z: z.view(-1, V).log_softmax(-1)[torch.arange(B * T), Y.view(-1)],
    "negative index": lambda z: z.view(-1, V)[torch.arange(B * T), Y.view(-1) - V],
    "label smoothing by hand": lambda z: (
        0.9 * (i := -z.log_softmax(-1)).gather(-1, Y.unsqueeze(-1)) + 0.1 / V * i.sum(-1, keepdim=True)
    ),
    "logsumexp": lambda z: torch.logsumexp(z, dim=-1),
    "logits minus logsumexp": lambda z: (z - z.logsumexp(-1, keepdim=True)).gather(-1, Y.unsqueeze(-1)),
    "entropy": lambda z: -(torch_functional.softmax(z, -1) * torch_functional.log_softmax(z, -1)).sum(-1),
    "entropy by exp": lambda z: -(torch.exp(lp := z.log_softmax(-1)) * lp).sum(-1),
    "Categorical.log_prob": lambda z: Categorical(logits=z).log_prob(Y),
    "Categorical.entropy": lambda z: Categorical(logits=z).entropy(),
    "argmax": lambda z: (z.argmax(-1), z.transpose(1, 2).argmax(1, keepdim=True), z.softmax(-1).argmax(dim=2)),
    "max": lambda z: tuple(torch.max(z, -1)),
    "amax": lambda z: z.detach().amax(-1, keepdim=True),
    "topk": lambda z: tuple(z.topk(3)),
    "token_statistics": lambda z: F.token_statistics(z, Y),
    "shape": lambda z: (z.shape, z.size(-1), z.dim(), z.dtype, z.device, len(z), z.is_contiguous(), z.stride()),
}

COMPUTED: dict[str, Callable[[Tensor], Any]] = {
    "sum": lambda z: z.sum(),
    "arithmetic": lambda z: (z + z.mean()).square().mean(-1),
    "softmax": lambda z: z.softmax(-1) @ z.new_ones(V),
    "class axis gone": lambda z: z[..., 3],
    "one class in a list": lambda z: z[..., [3]],
    "a mask of rows and classes": lambda z: z.masked_fill(MASK.unsqueeze(-1) & CLASSES, -math.inf).logsumexp(-1),
    "a mask after the cap": lambda z: z.tanh().masked_fill(CLASSES, -math.inf).logsumexp(-1),
    "a bias after the cap": lambda z: torch_functional.cross_entropy((z.tanh() + BIAS)[0], Y[0]),
    "a mask of log-probabilities": lambda z: z.log_softmax(-1).masked_fill(CLASSES, 0.0).sum(-1),
    "classes of log-probabilities": lambda z: (
        z.log_softmax(-1)[..., :9].sum(-1) + z.log_softmax(-1)[..., CLASSES].sum(-1)
    ),
    "a number that a scale would round": lambda z: (z * 0.3).masked_fill(CLASSES, -7.7).logsumexp(-1),
    "all classes masked": lambda z: z.masked_fill(CLASSES | True, -math.inf).logsumexp(-1),
    "an infinite class": lambda z: z.masked_fill(CLASSES, math.inf).logsumexp(-1),
    "a view set": lambda z: (z[0].__setitem__((slice(None), CLASSES), -9.0), z.logsumexp(-1))[1],
    "all axes flattened": lambda z: z.flatten(),
    "where": lambda z: torch.where(MASK.unsqueeze(-1), z, 0.0),
    "wrong axis": lambda z: torch_functional.cross_entropy(z[:, :2], torch.zeros(B, V, dtype=torch.int64)),
    "in place": lambda z: (z.view(-1, V)[0].fill_(0.0), z.mul_(2), torch_functional.cross_entropy(z[0], Y[0]))[1:],
    "assignment of rows": lambda z: (z.__setitem__((0, ..., 0), 9.0), torch_functional.cross_entropy(z[0], Y[0]))[1],
    "assignment of a tensor": lambda z: (z.__setitem__((..., CLASSES), BIAS[CLASSES]), z.logsumexp(-1))[1],
    "mixed dtypes of softmax": lambda z: z.softmax(-1, dtype=torch.float32),
    "numbers": lambda z: (torch.tensor((d := z.detach())[0, 0].tolist()), str(d)[:6], round(float(d[0, 0, 0]), 6)),
}


def late_temperature(z: Tensor) -> Tensor:
    temperature = torch.tensor(2.0)
    y = z.detach() / temperature
    temperature.fill_(5.0)
    return y + 1


def constant_logsumexp(z: Tensor) -> Tensor:
    with torch.no_grad():
        constant = z.logsumexp(-1, keepdim=True)
    return z - constant


def own_mask(z: Tensor) -> Tensor:
    mask = z == z
    mask[0, 0] = False
    return mask


def leaf(z: Tensor) -> Tensor | None:
    d = z.detach().requires_grad_()
    torch_functional.cross_entropy(d.view(-1, V), Y.view(-1)).backward()
    return d.grad


def by_numpy(z: Tensor) -> Tensor:
    d = z.detach()
    d[0].numpy()[:] = 0
    return d * 1


def cleared_copy(z: Tensor) -> Tensor:
    p = z.softmax(-1).clone()
    p[p < 0.01] = 0
    return p


def under_autocast(program: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    def run(z: Tensor) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return program(z)

    return run


class Twice(torch.autograd.Function):
    """Code below Python, as far as torch's graph knows."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        return z * 2

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> Tensor:
        return g[0] * 2


ALIKE: dict[str, Callable[[Tensor], Any]] = {
    "classes split": lambda z: z.view(B, T, 4, V // 4) * 1,
    "classes unflattened": lambda z: z.unflatten(-1, (4, -1)).log_softmax(-1),
    "rows of half the classes": lambda z: torch_functional.cross_entropy(z.view(-1, V // 2), Y.view(-1).repeat(2) % 20),
    "seen as integers": lambda z: z.detach().view(torch.int64),
    "indexed by a range": lambda z: z[range(1, -1, -1)],
    "indexed by a tuple of tuples": lambda z: z[((1, 0),)] * 1,
    "indexed by a truth": lambda z: z[False] * 1,
    "indexed by an array": lambda z: z[torch.tensor([1, 0]).numpy()] * 1,
    "part of it detached": lambda z: torch.cat([z, z.detach()]) * 1,
    "a logsumexp without history": constant_logsumexp,
    "a temperature that changes later": late_temperature,
    "its own mask, changed": own_mask,
    "times a wider parameter": lambda z: z.float() * torch.ones(1, dtype=torch.float64, requires_grad=True),
    "an element times a tensor": lambda z: z[0, 0, 0] * torch.ones(1, dtype=z.dtype),
    "wider class probabilities": lambda z: torch_functional.cross_entropy(
        z.float()[0], torch.full((T, V), 1 / V, dtype=torch.float64)
    ),
    "log_softmax under autocast": under_autocast(lambda z: z.float().log_softmax(-1) * 1),
    "logits of labels under autocast": under_autocast(lambda z: z[0][torch.arange(T), Y[0]]),
    "a leaf of its own": leaf,
    "a parameter": lambda z: (nn.Parameter(z.detach()).requires_grad, nn.Parameter(z.detach()) * 1),
    "changed by numpy": by_numpy,
    "inplace=True on a view": lambda z: (z := z.detach(), torch_functional.relu(z[1:], inplace=True), z * 1)[1:],
    "a cleared copy": cleared_copy,
    "below Python and beside it": lambda z: Twice.apply(z) + z.sin(),
    "losses changed in place": lambda z: torch_functional.cross_entropy(z[0], Y[0], reduction="none").mul_(2),
    "log-probabilities changed in place": lambda z: z.log_softmax(-1).gather(-1, Y.unsqueeze(-1)).mul_(2),
    "keywords": lambda z: (torch.softmax(input=z, dim=-1) * 1, torch.take_along_dim(z, Y.unsqueeze(-1), dim=-1)),
    "take_along_dim without one": lambda z: z.take_along_dim(Y.view(-1)),
    "clamped by a tensor": lambda z: z.clamp(min=torch.zeros(V, dtype=z.dtype)),
    "negated": lambda z: torch_functional.cross_entropy(-z[0], Y[0]),
    "checkpointed": lambda z: torch.utils.checkpoint.checkpoint(lambda x: x.square(), z, use_reentrant=False),
    "vmap over a scale": lambda z: torch.func.vmap(lambda s: torch_functional.cross_entropy(z[0] * s, Y[0]))(
        torch.tensor([1.0, 2.0], dtype=z.dtype)
    ),
    "grad of a bias": lambda z: torch.func.grad(lambda b: torch_functional.cross_entropy(z.detach()[0] + b, Y[0]))(
        torch.zeros(V, dtype=z.dtype)
    ),
    "zeros_like": lambda z: torch.zeros_like(z),
}


@pytest.mark.parametrize("name", ALIKE)
def test_what_is_alike_either_way(name: str, tensors: tuple[Tensor, ...]) -> None:
    check(ALIKE[name], tensors)


@pytest.mark.filterwarnings("ignore:size_average and reduce")
@pytest.mark.parametrize("name", FUSED)
def test_what_is_fused(name: str, tensors: tuple[Tensor, ...]) -> None:
    lazy = check(FUSED[name], tensors)
    assert not explain(lazy).materialized, explain(lazy)


@pytest.mark.parametrize("name", COMPUTED)
def test_what_needs_the_logits(name: str, tensors: tuple[Tensor, ...]) -> None:
    assert explain(check(COMPUTED[name], tensors)).materialized


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.parametrize("reduction", ["batchmean", "sum", "mean"])
def test_distillation(log_target: bool, reduction: str, tensors: tuple[Tensor, ...]) -> None:
    teacher = torch.randn(V, D, dtype=torch.float64)

    def divergence(z: Tensor) -> Tensor:
        lazy, h = isinstance(z, LazyLogits), tensors[0].detach()
        t = LazyLogits(h, teacher) if lazy else torch_functional.linear(h, teacher)
        target = (t / 2).log_softmax(-1) if log_target else (t / 2).softmax(-1)
        return torch_functional.kl_div((z / 2).log_softmax(-1), target, reduction=reduction, log_target=log_target)

    assert not explain(check(divergence, tensors)).materialized


def test_second_derivatives_and_jvp(tensors: tuple[Tensor, ...]) -> None:
    def penalty(z: Tensor) -> Tensor:
        loss = torch_functional.cross_entropy(z.view(-1, V), Y.view(-1))
        return torch.autograd.grad(loss, tensors[1], create_graph=True)[0].square().sum()

    check(penalty, tensors)


@pytest.mark.parametrize("to", [("meta",), (torch.device("meta"), torch.float32), (torch.empty(0, device="meta"),)])
def test_the_shape_of_logits_without_their_values(to: tuple[Any, ...], tensors: tuple[Tensor, ...]) -> None:
    for change in (lambda z: z, lambda z: z.detach(), lambda z: z.transpose(1, 2), lambda z: z[:, ::2]):
        lazy, dense = change(LazyLogits(*tensors)), change(torch_functional.linear(*tensors))
        found, expected = lazy.to(*to), dense.to(*to)
        assert not explain(lazy).materialized
        assert type(found) is Tensor
        for name in ("shape", "dtype", "device", "requires_grad", "is_leaf"):
            assert getattr(found, name) == getattr(expected, name), name
        assert found.stride() == expected.stride()


def test_the_gradient_through_code_below_python(tensors: tuple[Tensor, ...]) -> None:
    check(lambda z: Twice.apply(z), tensors)
    for change in (lambda z: z.mul_(3), lambda z: z.view(-1)[0].zero_(), lambda z: z.register_hook(print)):
        lazy = LazyLogits(*tensors)
        change(lazy)
        with pytest.raises(RuntimeError, match=r"by a custom autograd function, and .*: give it `logits \+ 0` instead"):
            Twice.apply(lazy).sum().backward()
    hidden = tensors[0]
    head = fuse(nn.Linear(D, V, dtype=torch.float64))
    logits = torch.utils.checkpoint.checkpoint(head, hidden, use_reentrant=True)
    torch_functional.cross_entropy(logits.view(-1, V), Y.view(-1)).backward()
    assert head.weight.grad is not None


def test_gradient_modes(tensors: tuple[Tensor, ...]) -> None:
    with torch.no_grad():
        made_without = LazyLogits(*tensors)
    assert not made_without.requires_grad
    assert not torch_functional.cross_entropy(made_without[0], Y[0]).requires_grad

    lazy = LazyLogits(*tensors)
    with torch.no_grad():
        first = lazy.sum()
        assert not torch_functional.cross_entropy(lazy[0], Y[0]).requires_grad
    assert not first.requires_grad
    assert torch.autograd.grad(lazy.sum(), tensors)[2].equal(torch.full((V,), float(B * T), dtype=torch.float64))

    other = LazyLogits(*tensors)
    with torch.inference_mode():
        other.exp()
    assert torch.autograd.grad(other.sum(), tensors[2])[0].sum() == B * T * V
    assert not LazyLogits(*tensors).detach().requires_grad
    assert not LazyLogits(*tensors).data[0].requires_grad


def test_hooks_see_the_gradient_of_logits(tensors: tuple[Tensor, ...]) -> None:
    seen = []
    lazy = LazyLogits(*tensors)
    lazy.register_hook(lambda g: seen.append(g))
    torch_functional.cross_entropy(lazy.view(-1, V), Y.view(-1)).backward()
    assert seen[0].shape == (B, T, V)
    other = LazyLogits(*tensors)
    other.retain_grad()
    other.square().sum().backward()
    torch.testing.assert_close(other.grad, 2 * torch_functional.linear(*tensors))


def hook_of_torch_distributed(calls: list[Any]) -> Callable[[Tensor], Tensor]:
    """A hook as FSDP has one: it looks at no gradient."""

    def hook(gradient: Tensor) -> Tensor:
        calls.append(1)
        return gradient

    hook.__module__ = "torch.distributed.fsdp._fully_shard._fsdp_state"
    return hook


@pytest.mark.parametrize(
    "loss",
    [
        lambda z: torch_functional.cross_entropy(z.view(-1, V), Y.view(-1)),
        lambda z: torch_functional.cross_entropy(z.float()[:, 1:].reshape(-1, V), Y[:, 1:].reshape(-1)),
        lambda z: torch_functional.cross_entropy(torch.cat([z[0], z[1]]), Y.view(-1)),
        lambda z: torch_functional.nll_loss(z.log_softmax(-1).view(-1, V), Y.view(-1)),
        lambda z: torch_functional.kl_div(z.log_softmax(-1), z.detach().softmax(-1), reduction="sum"),
        lambda z: F.token_statistics(z, Y).entropy.sum(),
        lambda z: z.max(-1).values.sum(),
        lambda z: z.logsumexp(-1).sum(),
        lambda z: Categorical(logits=z).entropy().sum(),
        lambda z: z.square().sum(),
        lambda z: z[:, 0].exp().sum(),
        lambda z: z.mul_(3).sum(),
        lambda z: Twice.apply(z).sum(),
        lambda z: Twice.apply(z[0].double()).sum(),
    ],
)
def test_hooks_that_order_communication_are_called_by_all_losses(
    tensors: tuple[Tensor, ...], loss: Callable[[Tensor], Tensor]
) -> None:
    lazy, calls, removed = LazyLogits(*tensors), [], []
    handle = lazy.register_hook(hook_of_torch_distributed(removed))
    lazy.register_hook(functools.partial(hook_of_torch_distributed(calls)))
    handle.remove()
    assert not lazy._known()
    plain = loss(torch_functional.linear(*tensors))
    found = torch.autograd.grad(loss(lazy), tensors)
    for a, b in zip(found, torch.autograd.grad(plain, tensors)):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)  # some in float32
    assert calls
    assert not removed


def test_hooks_are_called_for_their_own_logits_only(tensors: tuple[Tensor, ...]) -> None:
    lazy, calls = LazyLogits(*tensors), []
    part = lazy[0]
    part.register_hook(hook_of_torch_distributed(calls))
    torch_functional.cross_entropy(lazy[1], Y[1]).backward()
    assert not calls
    loss = torch_functional.cross_entropy(part, Y[0])
    lazy.register_hook(hook_of_torch_distributed(calls))  # after the loss was taken
    loss.backward()
    assert len(calls) == 2


def test_what_pipelines_ask_of_logits_computes_none(tensors: tuple[Tensor, ...]) -> None:
    lazy = LazyLogits(*tensors)
    part = lazy.view(-1, V)
    loss = torch_functional.cross_entropy(part, Y.view(-1))
    assert not lazy._is_view()
    assert lazy.detach_() is lazy
    assert not lazy.requires_grad
    assert lazy.grad_fn is None
    assert not explain(lazy).materialized
    loss.backward()
    assert tensors[1].grad is not None
    assert not lazy.exp().requires_grad
    assert part.exp().requires_grad


def test_gradients_of_logits_that_do_not_exist_are_refused(tensors: tuple[Tensor, ...]) -> None:
    lazy = LazyLogits(*tensors)
    loss = torch_functional.cross_entropy(lazy.view(-1, V), Y.view(-1))
    with pytest.raises(RuntimeError, match=r"with respect to lazy logits .* call `logits.retain_grad\(\)` first"):
        torch.autograd.grad(loss, lazy)
    for late in (lambda: lazy.retain_grad(), lambda: lazy.register_hook(print)):
        with pytest.raises(RuntimeError, match="comes after lazy logits were used"):
            late()
    with pytest.raises(RuntimeError, match="would change the shape of lazy logits in place: use squeeze"):
        lazy.squeeze_()


def test_memory_of_lazy_logits_cannot_be_replaced(tensors: tuple[Tensor, ...]) -> None:
    x = torch.randn(LazyLogits(*tensors).shape, dtype=tensors[0].dtype)
    for name, change in (("data", lambda z: setattr(z, "data", x)), ("set_", lambda z: z.set_(x))):
        with pytest.raises(
            RuntimeError,
            match=rf"^{name} would change the memory of lazy logits in place: use logits.copy_\(x\), or logits = x$",
        ):
            change(LazyLogits(*tensors))
    with pytest.raises(RuntimeError, match="would change the shape of lazy logits in place: use reshape"):
        LazyLogits(*tensors).resize_(3)
    with torch.no_grad():
        assert LazyLogits(*tensors).copy_(x).mul(1).equal(x)


def test_values_are_freed_without_a_backward(tensors: tuple[Tensor, ...]) -> None:
    for program in (lambda z: z.softmax(-1), lambda z: z.log_softmax(-1), lambda z: torch.tanh(z / 3) * 3):
        part = program(LazyLogits(*tensors))
        total = part.cumsum(-1)
        values = weakref.ref(part._logits)
        del part, total
        assert values() is None


def test_second_derivatives_through_computed_probabilities(tensors: tuple[Tensor, ...]) -> None:
    def penalty(z: Tensor) -> Tensor:
        spread = z.softmax(-1).cumsum(-1).square().sum()
        return torch.autograd.grad(spread, tensors[1], create_graph=True)[0].square().sum()

    check(penalty, tensors)


def test_optimizers_of_other_models_see_no_change(tensors: tuple[Tensor, ...]) -> None:
    LazyLogits(*tensors)
    a, b = (nn.Parameter(torch.ones(3)) for _ in range(2))
    loss = (a * a).sum()
    b.grad = torch.ones(3)
    torch.optim.SGD([a, b], 0.1).step()
    loss.backward()
    assert a.grad is not None


def test_views_follow_changes_in_place(tensors: tuple[Tensor, ...]) -> None:
    for lazy in (LazyLogits(*tensors).detach(), torch_functional.linear(*tensors).detach()):
        before, row = lazy.view(-1, V), lazy[0]
        copied = lazy.clone()
        kept = row.sum().item()
        row[:, 0] = 7.0
        lazy.flatten()[-1] = 9.0
        assert before[:T, 0].eq(7.0).all()
        assert lazy[0, :, 0].eq(7.0).all()
        assert before[-1, -1] == 9.0
        assert copied[0].sum().item() == kept


@pytest.mark.parametrize("fused", [False, True])
def test_logits_are_refused_after_their_head_has_changed(fused: bool, tensors: tuple[Tensor, ...]) -> None:
    lazy = LazyLogits(*tensors)
    torch_functional.cross_entropy(lazy.view(-1, V), Y.view(-1)).backward()
    torch.optim.AdamW(tensors, 0.1, fused=fused).step()
    for use in (
        lambda: lazy.sum(),
        lambda: torch_functional.cross_entropy(lazy[0], Y[0]),
        lambda: lazy.argmax(-1),
        lambda: lazy[MASK],
        lambda: lazy.clone(),
    ):
        with pytest.raises(RuntimeError, match=r"looked at after .* changed in place"):
            use()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_loss_has_the_dtype_that_torch_gives(dtype: torch.dtype, tensors: tuple[Tensor, ...]) -> None:
    h, w, b = (x.detach().to(dtype).requires_grad_() for x in tensors)
    for context in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=context):
            lazy, dense = LazyLogits(h, w, b), torch_functional.linear(h, w, b)
            assert lazy.dtype == dense.dtype
            for convert in (lambda z: z, lambda z: z.float(), lambda z: z.to(torch.float64)):
                a, e = (torch_functional.cross_entropy(convert(z)[0], Y[0]) for z in (lazy, dense))
                assert a.dtype == e.dtype
                torch.testing.assert_close(a, e, rtol=4 * torch.finfo(dense.dtype).eps, atol=0)
        later = torch_functional.cross_entropy(LazyLogits(h, w, b)[0] if not context else lazy[0], Y[0])
        torch.testing.assert_close(later, torch_functional.cross_entropy(dense[0], Y[0]), rtol=2**-6, atol=0)
        later.backward()
        assert w.grad is not None


def test_wrong_targets_are_torchs_errors(tensors: tuple[Tensor, ...]) -> None:
    for target in (Y[0, :3], Y[0] + V, Y[0].float(), torch.zeros(T, V + 1, dtype=torch.float64)):
        errors = []
        for z in (LazyLogits(*tensors)[0], torch_functional.linear(*tensors)[0]):
            with pytest.raises((RuntimeError, IndexError, ValueError)) as error:
                torch_functional.cross_entropy(z, target)
            errors.append(error.type)
        assert issubclass(errors[0], errors[1])


def test_wrong_arguments(tensors: tuple[Tensor, ...]) -> None:
    hidden, weight, _ = tensors
    with pytest.raises(ValueError, match="hidden has 7 features"):
        LazyLogits(hidden[..., :7], weight)
    with pytest.raises(ValueError, match=r"weight has shape \(4, 10, 8\), expected \(C, D\)"):
        LazyLogits(hidden[0], weight.view(4, 10, 8))
    with pytest.raises(ValueError, match="bias has shape"):
        LazyLogits(hidden, weight, torch.zeros(3))
    with pytest.raises(TypeError, match="weight"):
        LazyLogits(hidden, weight.long())


def test_a_number_that_overflows_is_refused_as_by_torch(tensors: tuple[Tensor, ...]) -> None:
    hidden, weight, bias = (x.detach().bfloat16() for x in tensors)
    for z in (torch_functional.linear(hidden, weight, bias), LazyLogits(hidden, weight, bias)):
        with pytest.raises(RuntimeError, match="without overflow"):
            z.masked_fill(CLASSES, torch.finfo(torch.float32).min)


def test_losses_called_by_keywords(tensors: tuple[Tensor, ...]) -> None:
    """Whatever comes first in a call: row_loss has a function there."""
    check(lambda z: F.row_loss(function=lambda row: row.entropy, input=z[0]), tensors)
    check(lambda z: F.focal_loss(target=Y[0], input=z[0]), tensors)


def test_losses_of_lazy_logits_say_what_is_wrong(tensors: tuple[Tensor, ...]) -> None:
    z = LazyLogits(*tensors)[0]
    with pytest.raises(TypeError, match="logit_scale is"):
        F.cross_entropy(z, Y[0], logit_scale="1")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"class_mask has shape \(3,\)"):
        F.focal_loss(z, Y[0], class_mask=torch.ones(3, dtype=torch.bool))
    with pytest.raises(TypeError, match="class_mask is"):
        F.cross_entropy(z, Y[0], class_mask=[True])  # pyright: ignore[reportArgumentType, reportCallIssue]
    with pytest.raises(ValueError, match="target has shape"):
        F.focal_loss(z, Y)


def test_edge_shapes() -> None:
    for hidden, classes in (((0, D), 7), ((D,), 7), ((3, D), 1), ((3, 0), 7), ((1, 1, D), 2)):
        tensors = (torch.randn(hidden, requires_grad=True), torch.randn(classes, hidden[-1], requires_grad=True))
        lazy, dense = LazyLogits(*tensors), torch_functional.linear(*tensors)
        assert lazy.shape == dense.shape
        rows = dense.numel() // classes
        torch.testing.assert_close(lazy.reshape(rows, classes).sum(0), dense.reshape(rows, classes).sum(0))
        target = torch.zeros(rows, dtype=torch.int64)
        results = [torch_functional.cross_entropy(z.reshape(rows, classes), target) for z in (lazy, dense)]
        torch.testing.assert_close(*results, equal_nan=True)


def test_memory() -> None:
    hidden, weight = torch.randn(2048, 16, requires_grad=True), torch.randn(20_000, 16, requires_grad=True)
    target = torch.randint(20_000, (2048,))

    def step() -> None:
        torch_functional.cross_entropy(LazyLogits(hidden, weight).float(), target).backward()

    step()
    assert peak_bytes(step) < (1 << 26) + 2 * weight.nbytes < 4 * hidden.shape[0] * weight.shape[0]
    with torch.no_grad(), Largest() as largest:
        LazyLogits(hidden, weight).topk(2)
    assert largest.numel <= 1 << 24


# --- history ------------------------------------------------------------------------------------------------------


def test_explain_says_what_forced_the_logits(tensors: tuple[Tensor, ...], caplog: pytest.LogCaptureFixture) -> None:
    lazy = LazyLogits(*tensors)
    assert str(explain(lazy)) == "not used yet"
    with caplog.at_level(logging.DEBUG, "crossentropy.lazy"):
        torch_functional.cross_entropy(lazy.float().view(-1, V), Y.view(-1))
        lazy.float().std()
    first, second = explain(lazy).events
    assert (first.operation, first.fused) == ("cross_entropy", True)
    assert (second.operation, second.fused) == ("Tensor.std", False)
    assert "test_lazy.py:" in second.where
    assert str(second).endswith("needed [2, 5, 40] logits")
    assert caplog.messages == [str(first), str(second)]
    assert explain(lazy).to_dict()["events"][0]["fused"] is True
    assert explain(torch.zeros(1)).events == ()
    with pytest.raises(TypeError, match=r"logits is dict, expected a tensor \(output.logits\?\)"):
        explain({"logits": lazy})


# --- fuse ---------------------------------------------------------------------------------------------------------


class Language(nn.Module):
    """A language model with its loss inside, as nanoGPT has it."""

    def __init__(self, classes: int = V) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, D)
        self.middle = nn.Sequential(nn.Linear(D, D), nn.Tanh(), nn.Dropout(0.5))
        self.lm_head = nn.Linear(D, classes, bias=False)
        self.lm_head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        logits = self.lm_head(self.middle(self.embedding(tokens)))
        if targets is None:
            return logits, None
        return logits, torch_functional.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))


@pytest.fixture
def model() -> Language:
    torch.manual_seed(0)
    return Language()


def gradients(model: nn.Module, *inputs: Tensor) -> list[Tensor]:
    torch.manual_seed(3)
    model.zero_grad()
    _, loss = model(*inputs)
    loss.backward()
    return [loss.detach(), *(p.grad.clone() for p in model.parameters())]


def test_a_fused_model_is_the_same_model(model: Language) -> None:
    before, keys, kind = gradients(model, Y, Y), list(model.state_dict()), type(model.lm_head)
    assert fuse(fuse(model)) is model
    assert isinstance(model.lm_head, nn.Linear)
    assert repr(model.lm_head) == "FusedLinear(in_features=8, out_features=40, bias=False)"
    torch.testing.assert_close(gradients(model, Y, Y), before)
    logits, _ = model(Y)
    assert isinstance(logits, LazyLogits)
    assert list(model.state_dict()) == keys
    assert unfuse(model) is model
    assert type(model.lm_head) is kind
    assert type(model(Y)[0]) is Tensor


def test_nothing_of_the_logits_size_is_made() -> None:
    model = fuse(Language(20_000))
    tokens = torch.randint(20_000, (32, 64))
    with Largest() as largest:
        model(tokens, tokens)[1].backward()
    assert largest.numel <= 1 << 24 < tokens.numel() * 20_000


def test_copies_and_pickles_stay_fused(model: Language) -> None:
    fuse(model)
    memory = io.BytesIO()
    torch.save(model, memory)
    memory.seek(0)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(memory, weights_only=False)):
        assert isinstance(other(Y)[0], LazyLogits)
        assert other.lm_head.weight is other.embedding.weight
        torch.testing.assert_close(gradients(other, Y, Y), gradients(model, Y, Y))
        assert type(unfuse(other).lm_head) is nn.Linear


def test_fused_for_a_while(model: Language) -> None:
    with fused(model):
        assert isinstance(model(Y)[0], LazyLogits)
    assert type(model.lm_head) is nn.Linear
    with pytest.raises(IndexError), fused(model):
        model(Y + V)
    assert type(model.lm_head) is nn.Linear
    fuse(model)
    with fused(model):
        pass
    assert isinstance(model(Y)[0], LazyLogits)


def test_heads_are_found() -> None:
    head = nn.Linear(D, V)
    sequential = nn.Sequential(nn.Embedding(V, D), nn.Tanh(), head)
    assert isinstance(fuse(sequential)(Y), LazyLogits)
    assert isinstance(fuse(nn.Linear(D, V))(torch.zeros(2, D)), LazyLogits)
    convolutional = nn.ModuleDict({"a": nn.Conv2d(3, 4, 3), "b": nn.Linear(16, 5), "c": nn.Linear(16, 7)})

    class Images(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = convolutional

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            features = self.parts.a(x).flatten(1)
            return {"b": self.parts.b(features).float(), "c": self.parts.c(features)}

    images = Images()
    x = torch.randn(2, 3, 4, 4)
    with pytest.raises(ValueError, match=r"pass head= one of its linear layers \(parts.b, parts.c\), or example="):
        fuse(images)

    def loss(output: dict[str, Tensor]) -> Tensor:
        return sum(torch_functional.cross_entropy(z, torch.tensor([0, 3])) for z in output.values())

    assert fuse(images, example=x, verify=(x,), loss=loss).fused
    found = fuse(images, example=x)(x)
    assert all(isinstance(z, LazyLogits) for z in found.values())
    unfuse(images)
    assert [isinstance(z, LazyLogits) for z in fuse(images, "parts.c")(x).values()] == [False, True]
    assert isinstance(fuse(images, ["parts.b", convolutional.c])(x)["b"], LazyLogits)


def test_what_cannot_be_fused_says_why(model: Language) -> None:
    class Quantized(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input).round()

    class Adapter(nn.Module):
        base_layer = nn.Linear(2, 3)

    cases: list[tuple[nn.Module, str, str]] = [
        (nn.Sequential(Quantized(2, 3)), "0", "its class Quantized has a forward of its own"),
        (nn.Sequential(Adapter()), "0", "an adapter around a linear layer"),
        (nn.Sequential(nn.Tanh()), "0", "it is a Tanh, not an nn.Linear or a 1×1 convolution"),
        (nn.Sequential(nn.Conv2d(1, 2, 3)), "0", r"it is a Conv2d with kernel \(3, 3\)"),
        (nn.Sequential(nn.LazyLinear(2)), "0", "its weight has no shape yet: call the model once"),
        (nn.Sequential(nn.Linear(3, 1)), "0", "it has one class only"),
        (nn.Sequential(nn.Linear(3, 2)), "1", "head '1' is no module of Sequential; linear layers: 0"),
    ]
    for wrong, head, message in cases:
        with pytest.raises(ValueError, match=message):
            fuse(wrong, head)
    model.lm_head.forward = lambda x: x
    with pytest.raises(ValueError, match="its forward was replaced in the instance"):
        fuse(model)
    with pytest.raises(ValueError, match="is no module of Language"):
        fuse(model, nn.Linear(2, 3))
    with pytest.raises(TypeError, match=r"model is a str, expected an nn\.Module"):
        fuse("model")


def test_verify(model: Language) -> None:
    state = torch.get_rng_state()
    found = fuse(model, verify=(Y, Y))
    assert torch.get_rng_state().equal(state)
    assert found.fused
    assert found.loss == pytest.approx(found.fused_loss, rel=1e-6)
    assert found.gradient_difference <= found.tolerance == pytest.approx(2.4e-4, rel=0.05)
    assert "logits were never computed" in str(found)
    assert found.to_dict()["events"][0]["operation"] == "cross_entropy"
    assert isinstance(model(Y)[0], LazyLogits)
    with pytest.raises(ValueError, match="has no loss; pass loss="):
        fuse(model, verify=(Y,))
    by_function = fuse(model, verify=(Y,), loss=lambda output: output[0].square().mean())
    assert not by_function.fused
    assert "Tensor.square" in str(by_function)


def test_verify_refuses_a_difference(model: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    right = F.linear_cross_entropy
    monkeypatch.setattr(F, "linear_cross_entropy", lambda *a, **k: 1.01 * right(*a, **k))
    with pytest.raises(RuntimeError, match="the fused Language computes something else, and was left as it was"):
        fuse(model, verify=(Y, Y))
    assert type(model.lm_head) is nn.Linear


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # which the compiler reads of everything after a graph break
@pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace the builtin .*LazyLogits")  # of torch 2.10
@pytest.mark.parametrize("fullgraph", [False, True])
def test_compiled_models(model: Language, fullgraph: bool) -> None:
    model.middle[2].p = 0.0
    expected = gradients(model, Y, Y)
    torch.compiler.reset()
    compiled = torch.compile(fuse(model), fullgraph=fullgraph, backend="aot_eager")
    for _ in range(2):
        torch.testing.assert_close(gradients(compiled, Y, Y), expected)
    assert isinstance(compiled(Y)[0], LazyLogits) is not fullgraph  # a single graph holds the logits

    @torch.compile(backend="aot_eager")
    def loss(z: Tensor) -> Tensor:
        return torch_functional.cross_entropy(z.float().view(-1, V), Y.view(-1)) * 2

    torch.testing.assert_close(loss(model(Y)[0]).detach(), 2 * expected[0])


def test_transforms_and_exports_see_the_logits(model: Language) -> None:
    model.middle[2].p = 0.0
    fuse(model)
    parameters = dict(model.named_parameters())

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(model, parameters, (Y, Y), tie_weights=True)[1]

    found = torch.func.grad(loss)(parameters)
    torch.testing.assert_close(list(found.values()), gradients(model, Y, Y)[1:])
    rows = torch.func.vmap(lambda x: model.lm_head(x))(torch.randn(3, D))
    assert rows.shape == (3, V)
    assert type(torch.export.export(model, (Y,)).module()(Y)[0]) is Tensor


def test_threads(model: Language) -> None:
    model.middle[2].p = 0.0
    fuse(model)
    expected, found = gradients(model, Y, Y)[0], []

    def work() -> None:
        found.extend(model(Y, Y)[1].item() for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == pytest.approx([expected.item()] * 20)


def test_the_public_names() -> None:
    assert crossentropy.fuse is fuse
    assert crossentropy.lazy.explain is explain


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("hooked", [True, False])
def test_a_head_that_shares_its_weight_with_what_is_beneath(hooked: bool, create_graph: bool) -> None:
    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z, y):
            ctx.save_for_backward(z.detach(), y)
            return torch_functional.cross_entropy(z, y)

        @staticmethod
        def backward(ctx, upstream):
            z, y = ctx.saved_tensors
            return upstream * (z.softmax(1) - torch_functional.one_hot(y, z.shape[1])) / len(y), None

    def gradients(fused: bool) -> tuple[Tensor, ...]:
        torch.manual_seed(0)
        embedding, head = torch.nn.Embedding(7, 5), torch.nn.Linear(5, 7, bias=False)
        head.weight = embedding.weight
        model = torch.nn.Sequential(embedding, head).double()
        if fused:
            crossentropy.fuse(model)
        if hooked:
            model[-1].register_full_backward_hook(lambda *_: None)
        x, y = torch.arange(6), torch.arange(6).flip(0)
        loss = torch_functional.cross_entropy(model(x), y) if hooked else Loss.apply(model(x), y)
        return torch.autograd.grad(loss, list(model.parameters()), create_graph=create_graph)

    torch.testing.assert_close(gradients(True), gradients(False))
