"""Vocabulary-parallel losses, by 1 to 4 processes: each is that of one process, with its gradients and the same bits.

Each case is a function, which all processes run; `test_distributed.py` starts them and reads what became of each.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

import crossentropy.distributed as D
import crossentropy.functional as F

Case = Callable[[], None]
N, V, FEATURES = 6, 13, 5


def cut(total: int, how: str, ranks: int) -> list[int]:
    """Sizes of the ranks' parts."""
    if how == "chunk":
        each = -(-total // ranks)
        return [max(0, min(each, total - i * each)) for i in range(ranks)]
    if how == "last":  # all others are empty
        return [0] * (ranks - 1) + [total]
    sizes = [total // (2**i) for i in range(1, ranks)]  # uneven
    return [*sizes, total - sum(sizes)]


class Mine(NamedTuple):
    """This rank's part of the classes."""

    begin: int
    end: int
    keywords: dict[str, Any]

    @classmethod
    def of(cls, how: str, total: int = V) -> "Mine":
        sizes = cut(total, how, dist.get_world_size())
        begin = sum(sizes[: dist.get_rank()])
        return cls(begin, begin + sizes[dist.get_rank()], {})


def same_on_all_ranks(x: Tensor) -> None:
    """A tensor has the same bits on every rank."""
    bits = x.detach().flatten().view(torch.uint8)
    every = [torch.empty_like(bits) for _ in range(dist.get_world_size())]
    dist.all_gather(every, bits)
    for other in every:
        assert torch.equal(other, bits)


def close(found: Tensor | None, exact: Tensor | None, factor: float = 1.0) -> None:
    """Equal up to 64 roundings of the largest entry: sums here have at most 13 · 6 terms of either sign, of one size."""
    assert found is not None
    assert exact is not None
    assert found.shape == exact.shape, (found.shape, exact.shape)
    if not found.numel():
        return
    allowed = 64 * factor * torch.finfo(found.dtype).eps * exact.abs().nan_to_num(0.0, 0.0, 0.0).max().clamp(min=1e-300)
    torch.testing.assert_close(found, exact.to(found.dtype), rtol=0.0, atol=float(allowed), equal_nan=True)


def made(seed: int = 0, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, V, (N,), generator=g)
    y[1] = -100
    return {
        "z": 3 * torch.randn(N, V, generator=g, dtype=torch.float64).to(dtype),
        "h": torch.randn(N, FEATURES, generator=g, dtype=torch.float64).to(dtype),
        "head": torch.randn(V, FEATURES, generator=g, dtype=torch.float64).to(dtype),
        "bias": torch.randn(V, generator=g, dtype=torch.float64).to(dtype),
        "y": y,
        "p": torch.randn(N, V, generator=g, dtype=torch.float64).softmax(1).to(dtype),
        "w": torch.rand(V, generator=g, dtype=torch.float64).to(dtype) + 0.5,
        "t": torch.rand(N, generator=g, dtype=torch.float64).to(dtype) + 0.5,
    }


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "none": {"reduction": "none"},
    "sum": {"reduction": "sum"},
    "weight": {"weight": "w"},
    "smoothing": {"label_smoothing": 0.1},
    "smoothing and weight": {"label_smoothing": 0.1, "weight": "w"},
    "z_loss": {"z_loss": 0.1, "token_weight": "t"},
    "softcap": {"softcap": 2.0, "logit_scale": 0.7},
    "denominator": {"denominator": 3.5},
    "all": {
        "label_smoothing": 0.2, "weight": "w", "z_loss": 0.05, "softcap": 5.0, "logit_scale": 1.3, "token_weight": "t",
        "denominator": 7.0,
    },
}  # fmt: skip


def settings(options: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    return {name: tensors[value] if name in ("weight", "token_weight") else value for name, value in options.items()}


def dense(target: str, options: dict[str, Any], how: str, given: bool) -> None:
    tensors = made()
    given_options = settings(options, tensors)
    y, z = tensors[target], tensors["z"]
    exact_z = z.clone().requires_grad_()
    exact = F.cross_entropy(exact_z, y, **given_options)
    upstream = torch.randn(exact.shape, generator=torch.Generator().manual_seed(1), dtype=exact.dtype)
    exact.backward(upstream)
    mine = Mine.of(how)
    local = z[:, mine.begin : mine.end].clone().requires_grad_()
    keywords = {"vocab_start": mine.begin, "num_classes": V} if given else {}
    own = y[:, mine.begin : mine.end] if target == "p" else y
    loss = D.vocab_parallel_cross_entropy(local, own, **given_options, **keywords)
    loss.backward(upstream)
    close(loss.detach(), exact.detach())
    same_on_all_ranks(loss)
    close(local.grad, exact_z.grad[:, mine.begin : mine.end])


def linear(target: str, options: dict[str, Any], how: str, given: bool) -> None:
    tensors = made()
    given_options = settings(options, tensors)
    y = tensors[target]
    whole = [tensors[name].clone().requires_grad_() for name in ("h", "head", "bias")]
    exact = F.linear_cross_entropy(whole[0], whole[1], y, linear_bias=whole[2], **given_options)
    upstream = torch.randn(exact.shape, generator=torch.Generator().manual_seed(1), dtype=exact.dtype)
    exact.backward(upstream)
    mine = Mine.of(how)
    at = slice(mine.begin, mine.end)
    h = tensors["h"].clone().requires_grad_()
    head, bias = (tensors[name][at].clone().requires_grad_() for name in ("head", "bias"))
    keywords = {"vocab_start": mine.begin, "num_classes": V} if given else {}
    own = y[:, at] if target == "p" else y
    loss = D.vocab_parallel_linear_cross_entropy(h, head, own, linear_bias=bias, **given_options, **keywords)
    loss.backward(upstream)
    close(loss.detach(), exact.detach())
    same_on_all_ranks(loss)
    close(h.grad, whole[0].grad)
    close(head.grad, whole[1].grad[at])
    close(bias.grad, whole[2].grad[at])


def statistics(with_target: bool, with_head: bool, how: str) -> None:
    tensors = made()
    y = tensors["y"] if with_target else None
    mine = Mine.of(how)
    at = slice(mine.begin, mine.end)
    if with_head:
        whole = [tensors["h"].clone().requires_grad_(), tensors["head"].clone().requires_grad_()]
        parts = [tensors["h"].clone().requires_grad_(), tensors["head"][at].clone().requires_grad_()]
        exact = F.token_statistics(whole[0], y, linear_weight=whole[1])
        found = D.vocab_parallel_token_statistics(parts[0], y, linear_weight=parts[1])
    else:
        whole = [tensors["z"].clone().requires_grad_()]
        parts = [tensors["z"][:, at].clone().requires_grad_()]
        exact = F.token_statistics(whole[0], y)
        found = D.vocab_parallel_token_statistics(parts[0], y)
    assert torch.equal(found.argmax, exact.argmax)
    used = ("log_prob", "entropy", "logsumexp") if with_target else ("entropy", "logsumexp")
    for i, name in enumerate(used):
        close(getattr(found, name).detach(), getattr(exact, name).detach())
        same_on_all_ranks(getattr(found, name))
    for x in (found, exact):
        sum((i + 1) * getattr(x, name).square().sum() for i, name in enumerate(used)).backward()
    close(parts[0].grad, whole[0].grad if with_head else whole[0].grad[:, at], 4.0)
    if with_head:
        close(parts[1].grad, whole[1].grad[at], 4.0)


def _cases() -> Iterator[tuple[str, Case]]:
    for how, given in (("chunk", True), ("chunk", False), ("uneven", False), ("last", False)):
        for target, (name, options) in itertools.product("yp", OPTIONS.items()):
            for function in (dense, linear):
                title = f"{function.__name__}, {target}, {name}, {how}, {'given' if given else 'asked'}"
                yield title, functools.partial(function, target, options, how, given)
        for with_target, with_head in itertools.product((True, False), repeat=2):
            title = f"statistics, {with_target}, {with_head}, {how}, {given}"
            yield title, functools.partial(statistics, with_target, with_head, how)


CASES: dict[str, Case] = dict(_cases())
