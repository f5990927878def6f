"""Vocabulary-parallel losses, by 1 to 4 processes: each is that of one process, with its gradients and the same bits.

Each case is a function, which all processes run; `test_distributed.py` starts them and reads what became of each.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import crossentropy
import crossentropy.distributed as D
import crossentropy.functional as F
from crossentropy import _torch
from crossentropy._ranks import _fold, _hidden

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
    """Equal up to 64 roundings of the largest entry: sums here have at most 13 · 6 terms of one size."""
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
    for name in used:
        close(getattr(found, name).detach(), getattr(exact, name).detach())
        same_on_all_ranks(getattr(found, name))
    for x in (found, exact):
        sum((i + 1) * getattr(x, name).square().sum() for i, name in enumerate(used)).backward()
    close(parts[0].grad, whole[0].grad if with_head else whole[0].grad[:, at], 4.0)
    if with_head:
        close(parts[1].grad, whole[1].grad[at], 4.0)


DISTILLATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "none": {"reduction": "none"},
    "all": {
        "temperature": 2.0, "softcap": 4.0, "teacher_softcap": 6.0, "logit_scale": 1.5, "teacher_logit_scale": 0.5,
        "token_weight": "t", "denominator": 5.0,
    },
}  # fmt: skip


def distillation(options: dict[str, Any], how: str) -> None:
    tensors, others = made(), made(seed=1)
    given_options = settings(options, tensors)
    names = ("h", "head", "bias")
    whole = [x[name].clone().requires_grad_() for x in (tensors, others) for name in names]
    exact = F.linear_kl_div(*whole[:2], *whole[3:5], linear_bias=whole[2], teacher_bias=whole[5], **given_options)
    upstream = torch.randn(exact.shape, generator=torch.Generator().manual_seed(1), dtype=exact.dtype)
    exact.backward(upstream)
    mine = Mine.of(how)
    at = slice(mine.begin, mine.end)
    parts = [
        (x[name] if name == "h" else x[name][at]).clone().requires_grad_() for x in (tensors, others) for name in names
    ]
    loss = D.vocab_parallel_linear_kl_div(
        *parts[:2], *parts[3:5], linear_bias=parts[2], teacher_bias=parts[5], **given_options
    )
    loss.backward(upstream)
    close(loss.detach(), exact.detach())
    same_on_all_ranks(loss)
    for part, x in zip(parts, whole):
        close(part.grad, x.grad if part.shape == x.shape else x.grad[at], 4.0)


# --- how messages travel --------------------------------------------------------------------------------------------


@contextmanager
def counted() -> Iterator[list[tuple[str, int]]]:
    """Collectives that are called, and how many bytes each rank gives."""
    calls: list[tuple[str, int]] = []

    def watched(owner: ModuleType, name: str, position: int) -> Callable[..., Any]:
        original = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append((name, args[position].nbytes))
            return original(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner, name, position in (
            (_torch, "all_gather", 1),
            (_torch, "reduce_scatter", 1),
            (dist, "all_reduce", 0),
            (dist, "reduce", 0),
        ):
            patch.setattr(owner, name, watched(owner, name, position))
        yield calls


def large(function: Callable[..., None], *arguments: object) -> None:
    """The same, where messages are so large that they are reduced instead of gathered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_fold, "MOST", 0)
        function(*arguments)


def one_message_of_three_numbers_a_row() -> None:
    tensors, mine = made(), Mine.of("chunk")
    place = {"vocab_start": mine.begin, "num_classes": V}
    ranks = dist.get_world_size()
    sizes = {"plain": 3, "smoothing": 4, "all": 4}
    for name, numbers in sizes.items():
        z = tensors["z"][:, mine.begin : mine.end].clone().requires_grad_()
        with counted() as calls:
            D.vocab_parallel_cross_entropy(z, tensors["y"], **settings(OPTIONS[name], tensors), **place).backward()
        assert calls == [("all_gather", 8 * (numbers * N + 3))] * (ranks > 1), calls
    z = tensors["z"][:, mine.begin : mine.end].clone().requires_grad_()
    with counted() as calls:
        D.vocab_parallel_cross_entropy(z, tensors["p"][:, mine.begin : mine.end], **place).backward()
    assert calls == [("all_gather", 8 * (5 * N + 3))] * (ranks > 1), calls
    with counted() as calls:
        D.vocab_parallel_cross_entropy(z, tensors["y"])
    assert [name for name, _ in calls] == ["all_gather"] * 2 * (ranks > 1), calls


def a_head_sums_the_gradient_of_hidden_states_once() -> None:
    tensors, mine = made(), Mine.of("chunk")
    at = slice(mine.begin, mine.end)
    place = {"vocab_start": mine.begin, "num_classes": V}
    h, head = tensors["h"].clone().requires_grad_(), tensors["head"][at].clone().requires_grad_()
    with counted() as calls:
        loss = D.vocab_parallel_linear_cross_entropy(h, head, tensors["y"], **place)
    forward = len(calls)
    with counted() as calls:
        loss.backward()
    several = dist.get_world_size() > 1
    assert forward == several
    assert calls == [("all_reduce", h.nbytes)] * several
    for keywords in ({"reduce_input_grad": False}, {}):
        frozen = tensors["h"].clone().requires_grad_(bool(keywords))
        with counted() as calls:
            D.vocab_parallel_linear_cross_entropy(frozen, head, tensors["y"], **place, **keywords).backward()
        assert len(calls) == several, calls
        part = torch.zeros_like(h) if frozen.grad is None else frozen.grad
        dist.all_reduce(part)
        assert h.grad is not None
        close(part, h.grad if keywords else torch.zeros_like(h))


def buckets_of_the_hidden_gradient() -> None:
    """Many buckets and many chunks, which are not the same, and not the same on all ranks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_hidden, "BUCKET", 8 * FEATURES * 2)
        for how in ("uneven", "last"):
            linear("y", OPTIONS["all"], how, False)
            tight = {**OPTIONS["plain"], "options": crossentropy.Options(memory_budget=1)}
            linear("y", tight, how, False)


def gradients_of_a_graph_that_is_kept() -> None:
    """Logits that were kept are lost to the first backward; the second makes them again."""
    tensors, mine = made(), Mine.of("uneven")
    leaves = [x.clone().requires_grad_() for x in (tensors["h"], tensors["head"][mine.begin : mine.end])]
    losses = D.vocab_parallel_linear_cross_entropy(*leaves, tensors["y"], reduction="none")
    first = torch.autograd.grad(losses.sum(), leaves, retain_graph=True)
    second = torch.autograd.grad(2 * losses.sum(), leaves)
    for a, b in zip(first, second):
        close(2 * a, b)


def a_checkpoint_around_a_loss() -> None:
    """It computes again what backward needs, messages and all."""
    tensors, mine = made(), Mine.of("uneven")
    found = []
    for call in (lambda function, *x: function(*x), functools.partial(checkpoint, use_reentrant=False)):
        leaves = [x.clone().requires_grad_() for x in (tensors["h"], tensors["head"][mine.begin : mine.end])]
        call(D.vocab_parallel_linear_cross_entropy, *leaves, tensors["y"]).backward()
        found.append([x.grad for x in leaves])
    for a, b in zip(*found):
        assert torch.equal(a, b)


def sequence(dim: int, length: int, sums: str = "reduce_scatter") -> None:
    """Hidden states of which each rank has a part of the sequence."""
    g = torch.Generator().manual_seed(3)
    ranks, rank = dist.get_world_size(), dist.get_rank()
    shape = (2, length) if dim == 1 else (length, 2)
    h = torch.randn(*shape, FEATURES, generator=g, dtype=torch.float64)
    y = torch.randint(0, V, shape, generator=g)
    y[0, 0] = -100
    head = made()["head"]
    whole, exact_head = h.clone().requires_grad_(), head.clone().requires_grad_()
    exact = F.linear_cross_entropy(whole, exact_head, y)
    exact.backward()
    sizes = cut(length, "chunk", ranks)
    begin = sum(sizes[:rank])
    part = h.narrow(dim, begin, sizes[rank]).clone().requires_grad_()
    mine = Mine.of("chunk")
    weight = head[mine.begin : mine.end].clone().requires_grad_()
    place = {"vocab_start": mine.begin, "num_classes": V}
    with counted() as calls:
        loss = D.vocab_parallel_linear_cross_entropy(part, weight, y, sequence_dim=dim, **place)
        loss.backward()
    names = [name for name, _ in calls]
    assert names[:2] == ["all_gather", "all_gather"][: 2 * (ranks > 1)], calls
    if sums == "reduce_scatter":
        assert names[2:] == [sums][: ranks - 1], calls
    else:  # as many bytes, each for the rank whose rows they are
        assert set(names[2:]) == {sums}, calls
        assert sum(size for name, size in calls if name == sums) == h.nbytes
    close(loss.detach(), exact.detach())
    same_on_all_ranks(loss)
    assert whole.grad is not None
    assert exact_head.grad is not None
    close(part.grad, whole.grad.narrow(dim, begin, sizes[rank]))
    close(weight.grad, exact_head.grad[mine.begin : mine.end])


def a_sequence_summed_in_pieces() -> None:
    """Behind the products, each for the rank whose rows they are; and at once where the pieces would be small."""
    if dist.get_world_size() == 1:
        return
    row = 8 * FEATURES
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_hidden, "BUCKET", 3 * row)
        for smallest, sums in ((row, "reduce"), (100 * row, "reduce_scatter")):
            patch.setattr(_hidden, "SMALLEST", smallest)
            for dim, length in ((0, 7), (1, 9), (1, 3), (0, 2)):
                sequence(dim, length, sums)


def an_empty_batch_of_a_sequence() -> None:
    size = cut(4, "chunk", dist.get_world_size())[dist.get_rank()]
    h, head = torch.zeros(0, size, FEATURES, requires_grad=True), torch.ones(3, FEATURES, requires_grad=True)
    target = torch.zeros(0, 4, dtype=torch.int64)
    D.vocab_parallel_linear_cross_entropy(h, head, target, sequence_dim=1, reduction="sum").backward()
    assert head.grad is not None
    assert not head.grad.any()


# --- numbers --------------------------------------------------------------------------------------------------------


def a_tiny_loss_keeps_its_digits() -> None:
    """The label's logit is 60 above all others: the loss is (V − 1) e^−60, and so is the gradient at the label."""
    mine = Mine.of("chunk")
    for label in range(V):
        z = torch.zeros(1, V)
        z[0, label] = 60.0
        local = z[:, mine.begin : mine.end].clone().requires_grad_()
        loss = D.vocab_parallel_cross_entropy(local, torch.tensor([label]))
        loss.backward()
        exact = (V - 1) * math.exp(-60.0)
        # e^−60 in float32 errs by 2^−24 · 60 relative, and sums of 12 of it by less
        torch.testing.assert_close(loss.item(), exact, rtol=60 * 2**-23, atol=0.0)
        if mine.begin <= label < mine.end:
            assert local.grad is not None
            torch.testing.assert_close(local.grad[0, label - mine.begin].item(), -exact, rtol=60 * 2**-23, atol=0.0)


def hostile_rows() -> None:
    """Shards of −inf, finfo.min, an offset of 1e4, ignored rows of nan, a label at −inf: as one process."""
    mine = Mine.of("chunk")
    low = torch.finfo(torch.float64).min
    z = made()["z"]
    z[0, : V // 2] = -torch.inf
    z[1] = torch.nan
    z[2] += 1e4
    z[3, 1:] = -torch.inf
    z[4] = low
    z[5, V // 2 :] = low
    for y in ([12, -100, 3, 0, 5, 1], [0, -100, 3, 5, 12, 12]):
        target = torch.tensor(y)
        for options in ({}, {"z_loss": 1e-3}, {"reduction": "none"}):
            exact_z = z.clone().requires_grad_()
            exact = F.cross_entropy(exact_z, target, **options)
            local = z[:, mine.begin : mine.end].clone().requires_grad_()
            loss = D.vocab_parallel_cross_entropy(local, target, **options)
            torch.testing.assert_close(loss, exact, rtol=1e-13, atol=0.0, equal_nan=True)
            for x in (loss, exact):
                x.nan_to_num(0.0, 0.0, 0.0).sum().backward()
            assert exact_z.grad is not None
            assert local.grad is not None
            expected = exact_z.grad[:, mine.begin : mine.end]
            torch.testing.assert_close(local.grad, expected, rtol=1e-13, atol=1e-300, equal_nan=True)


def nothing_counts() -> None:
    mine = Mine.of("chunk")
    z, target = made()["z"], torch.full((N,), -100)
    local = z[:, mine.begin : mine.end].clone().requires_grad_()
    loss = D.vocab_parallel_cross_entropy(local, target)
    assert loss.isnan()
    loss.backward()
    assert local.grad is not None
    assert not local.grad.any()
    assert D.vocab_parallel_cross_entropy(local, target, denominator=4.0).item() == 0.0
    empty = D.vocab_parallel_cross_entropy(local[:0], target[:0], reduction="sum")
    assert empty.item() == 0.0


def half_precision(dtype: torch.dtype) -> None:
    """Hidden gradients are sums of float32 parts, rounded once; with comm_dtype each part is rounded, and their sum."""
    g = torch.Generator().manual_seed(4)
    rows, features, classes = 24, 16, 64
    mine = Mine.of("chunk", classes)
    h, head = torch.randn(rows, features, generator=g).to(dtype), torch.randn(classes, features, generator=g).to(dtype)
    y = torch.randint(0, classes, (rows,), generator=g)
    exact_h = h.double().requires_grad_()
    # G is rounded to the dtype before its product, as in one process: so compare with the product of what is rounded
    F.linear_cross_entropy(exact_h, head.double(), y).backward()
    assert exact_h.grad is not None
    errors = []
    for comm_dtype in (None, dtype):
        own = h.clone().requires_grad_()
        weight = head[mine.begin : mine.end].clone().requires_grad_()
        loss = D.vocab_parallel_linear_cross_entropy(own, weight, y, comm_dtype=comm_dtype)
        with counted() as calls:
            loss.backward()
        size = 4 if comm_dtype is None else 2
        assert calls == [("all_reduce", rows * features * size)] * (dist.get_world_size() > 1)
        assert own.grad is not None
        assert own.grad.dtype == dtype
        same_on_all_ranks(own.grad)
        errors.append(float((own.grad.double() - exact_h.grad).norm() / exact_h.grad.norm()))
    # logits, G and the gradient are rounded once each, by half an ulp at most; then W parts and W sums as well
    ulp = torch.finfo(dtype).eps
    assert errors[0] < 4 * ulp, errors
    assert errors[1] < (4 + dist.get_world_size()) * ulp, errors


# --- failures -------------------------------------------------------------------------------------------------------


def usable() -> None:
    """The group still works, and nobody is left waiting."""
    x = torch.ones(3)
    dist.all_reduce(x)
    assert x.tolist() == [dist.get_world_size()] * 3


def raises(call: Callable[[], object], pattern: str) -> None:
    """Every rank raises the same error."""
    with pytest.raises(RuntimeError, match=pattern) as caught:
        call()
    every: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(every, str(caught.value))
    assert len(set(every)) == 1, every
    usable()


def without_gradients_if(off: bool, function: Callable[..., Any], *arguments: object) -> Any:
    with torch.set_grad_enabled(not off):
        return function(*arguments)


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


def disagreements() -> None:
    """What differs between ranks raises everywhere, or where nobody asked is nan, loss and gradients."""
    ranks, rank = dist.get_world_size(), dist.get_rank()
    if ranks == 1:
        return
    tensors, mine = made(), Mine.of("chunk")
    last = rank == ranks - 1
    z = tensors["z"][:, mine.begin : mine.end].clone().requires_grad_()
    h, head = tensors["h"].clone().requires_grad_(), tensors["head"][mine.begin : mine.end]
    y, w, t = tensors["y"], tensors["w"], tensors["t"]
    other_y, other_w, other_t = y.roll(1) if last else y, w * (1 + last), t * (1 + last)
    place = {"vocab_start": mine.begin, "num_classes": V}
    loss = D.vocab_parallel_cross_entropy
    differing: dict[str, tuple[Callable[..., object], str]] = {
        "target": (lambda **k: loss(z, other_y, **k), "disagree on target"),
        "weight": (lambda **k: loss(z, y, other_w, **k), "disagree on weight"),
        "token_weight": (lambda **k: loss(z, y, token_weight=other_t, **k), "disagree on token_weight"),
        "ignore_index": (lambda **k: loss(z, y, ignore_index=-100 + last, **k), "disagree on ignore_index|on rank"),
        "z_loss": (lambda **k: loss(z, y, z_loss=0.1 + last, **k), "disagree on z_loss"),
        "softcap": (lambda **k: loss(z, y, softcap=1.0 + last, **k), "disagree on softcap"),
        "logit_scale": (lambda **k: loss(z, y, logit_scale=1.0 + last, **k), "disagree on logit_scale"),
        "denominator": (lambda **k: loss(z, y, denominator=1.0 + last, **k), "disagree on denominator"),
        "reduction": (lambda **k: loss(z, y, reduction="sum" if last else "mean", **k), "disagree on reduction"),
    }
    for name, (call, pattern) in differing.items():
        raises(call, pattern)
        raises(lambda call=call: call(validate=True, **place), pattern)
        if name != "ignore_index":
            found: Any = call(**place)
            assert found.isnan().all(), name
            (gradient,) = torch.autograd.grad(found.sum(), z)
            assert gradient[(y != -100) & (other_y != -100)].isnan().all(), name
            usable()
    asked: dict[str, tuple[Callable[[], object], str]] = {
        "rows": (lambda: loss(z[: N - last], y[: N - last]), "disagree on the rows' shape"),
        "dtype": (lambda: loss(z.float() if last else z, y), "disagree on the dtype of input"),
        "smoothing": (lambda: loss(z, y, label_smoothing=0.1 * (1 + last)), "disagree on label_smoothing"),
        "one smooths": (lambda: loss(z, y, label_smoothing=0.1 * last), "disagree on label_smoothing"),
        "shape": (lambda: loss(z, y[: N - last]), "on rank .*target has shape"),
        "type": (lambda: loss(z, y, softcap="high" if last else 1.0), "on rank .*softcap is a str"),
        "label": (lambda: loss(z, y + V), r"target\[0\] is .*expected a class in \[0, 13\)"),
        "classes": (lambda: loss(z, y, num_classes=V + 1), "num_classes 14; expected .* of 13"),
        "start": (lambda: loss(z, y, vocab_start=mine.begin + last), "rank .* has .* classes, with vocab_start"),
        "weights": (lambda: loss(z, y, w[1:]), "weight has shape"),
        "no gradient": (
            lambda: without_gradients_if(last, D.vocab_parallel_linear_cross_entropy, h, head, y),
            "disagree on whether input gets a gradient",
        ),
        "no tensor": (lambda: loss(3 if last else z, y), "on rank .*input is an int"),
        "no number": (lambda: loss(z, y, vocab_start=-1 if last else None), "on rank .*vocab_start is -1"),
        "no setting": (lambda: loss(z, y, reduction=Unprintable() if last else "mean"), "on rank .*no words"),
    }
    for call, pattern in asked.values():
        raises(call, pattern)


def errors_of_one_rank_alone() -> None:
    """Without asking: the rank that is wrong raises, after it took part in what the others wait at; they get nan."""
    ranks, rank = dist.get_world_size(), dist.get_rank()
    if ranks == 1:
        return
    tensors, mine = made(), Mine.of("chunk")
    at, last = slice(mine.begin, mine.end), rank == ranks - 1
    place = {"vocab_start": mine.begin, "num_classes": V}
    z, h, head = (x.clone().requires_grad_() for x in (tensors["z"][:, at], tensors["h"], tensors["head"][at]))
    y = tensors["y"].clone()
    y[0] = V if last else 0
    wrong: list[Callable[[], Any]] = [
        lambda: D.vocab_parallel_cross_entropy(z, y, **place),
        lambda: D.vocab_parallel_cross_entropy(z, y, label_smoothing=0.1, **place),
        lambda: D.vocab_parallel_cross_entropy(z, tensors["y"], vocab_start=mine.begin + last, num_classes=V),
        lambda: D.vocab_parallel_linear_cross_entropy(h, head, y, **place),
        lambda: D.vocab_parallel_linear_cross_entropy(h, head, y.repeat(ranks), sequence_dim=0, **place),
        lambda: D.vocab_parallel_token_statistics(z, y, **place).log_prob,
        lambda: D.vocab_parallel_token_statistics(h, y, linear_weight=head, **place).entropy,
        lambda: D.vocab_parallel_linear_kl_div(h, head, h, head, temperature=0.0 if last else 1.0, **place),
    ]
    for most in (_fold.MOST, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_fold, "MOST", most)
            for i, call in enumerate(wrong):
                if last:
                    with pytest.raises(crossentropy.ArgumentError):
                        call()
                else:
                    found = call()
                    assert found.isnan().all(), i
                    gradients = torch.autograd.grad(found.sum(), [z, h, head], allow_unused=True)
                    assert all(x.isnan().all() for x in gradients if x is not None), i
                usable()


def what_ranks_think_is_all(ranks: int) -> None:
    """Without asking: numbers of classes that all fit torch.chunk, and settings inside a compiler, are compared."""
    rank = dist.get_rank()
    if dist.get_world_size() != ranks:
        return
    classes = 8 - rank
    h, head = made()["h"], torch.ones(4 - rank, FEATURES, dtype=torch.float64)
    place = {"vocab_start": 4 * rank, "num_classes": classes}
    loss = D.vocab_parallel_linear_cross_entropy(h, head, torch.arange(N), label_smoothing=0.1, **place)
    assert loss.isnan()
    place = {"vocab_start": 4 * rank, "num_classes": 8}
    z = torch.ones(N, 4, dtype=torch.float64, requires_grad=True)
    for differing in ({"softcap": 1.0 + rank}, {"reduction": ("sum", "mean")[rank]}, {"denominator": 1.0 + rank}):
        torch.compiler.reset()
        call = functools.partial(D.vocab_parallel_cross_entropy, **differing, **place)
        found = torch.compile(call, backend="aot_eager", fullgraph=True)(z, torch.arange(N))
        assert found.isnan(), differing
    usable()


def what_is_not_supported_raises() -> None:
    if dist.get_world_size() == 1:
        return
    tensors, mine = made(), Mine.of("chunk")
    z = tensors["z"][:, mine.begin : mine.end].clone().requires_grad_()
    loss = D.vocab_parallel_cross_entropy(z, tensors["y"])
    (gradient,) = torch.autograd.grad(loss, z, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        gradient.sum().backward()
    w = tensors["w"].clone().requires_grad_()
    raises(lambda: D.vocab_parallel_cross_entropy(z, tensors["y"], w), "class weights that require gradients")
    reference = crossentropy.Options(backend="reference")
    raises(lambda: D.vocab_parallel_cross_entropy(z, tensors["y"], options=reference), "backend 'reference' knows no")


# --- compilers ------------------------------------------------------------------------------------------------------


def agrees_compiled(function: Callable[..., Any], *tensors: Tensor, backend: str = "aot_eager") -> None:
    """In one graph, a function and its gradients are what they are without a compiler."""
    torch.compiler.reset()
    found, exact = ([x.clone().requires_grad_() for x in tensors] for _ in range(2))
    for leaves, run in ((found, torch.compile(function, backend=backend, fullgraph=True)), (exact, function)):
        run(*leaves).sum().backward()
    for a, b in zip(found, exact):
        close(a.grad, b.grad)


def compiled() -> None:
    tensors, mine = made(), Mine.of("chunk")
    at = slice(mine.begin, mine.end)
    z, h, head, bias = tensors["z"][:, at], tensors["h"], tensors["head"][at], tensors["bias"][at]
    y, p, place = tensors["y"], tensors["p"][:, at], {"vocab_start": mine.begin, "num_classes": V}
    every = settings(OPTIONS["all"], tensors)
    agrees_compiled(lambda z: D.vocab_parallel_cross_entropy(2 * z, y, **every, **place), z)
    agrees_compiled(lambda z: D.vocab_parallel_cross_entropy(z, p, reduction="none", **place), z)
    agrees_compiled(
        lambda h, w, b: D.vocab_parallel_linear_cross_entropy(h, w, y, linear_bias=b, **every, **place), h, head, bias
    )
    agrees_compiled(
        lambda h, w: D.vocab_parallel_token_statistics(h, y, linear_weight=w, **place).entropy.square(),
        h,
        head,
        backend="inductor",
    )
    agrees_compiled(lambda h, w, b: D.vocab_parallel_linear_kl_div(h, w, b, w.detach(), **place), h, head, h.sin())
    begin, size = (f(N, "chunk", dist.get_world_size()) for f in (_begin, _size))
    agrees_compiled(
        lambda h, w: D.vocab_parallel_linear_cross_entropy(h, w, y, sequence_dim=0, **place),
        h[begin : begin + size],
        head,
    )


def _begin(total: int, how: str, ranks: int) -> int:
    return sum(cut(total, how, ranks)[: dist.get_rank()])


def _size(total: int, how: str, ranks: int) -> int:
    return cut(total, how, ranks)[dist.get_rank()]


def _cases() -> Iterator[tuple[str, Case]]:
    for how, given in (("chunk", True), ("chunk", False), ("uneven", False), ("last", False)):
        for target, (name, options) in itertools.product("yp", OPTIONS.items()):
            for function in (dense, linear):
                title = f"{function.__name__}, {target}, {name}, {how}, {'given' if given else 'asked'}"
                yield title, functools.partial(function, target, options, how, given)
        for with_target, with_head in itertools.product((True, False), repeat=2):
            title = f"statistics, {with_target}, {with_head}, {how}, {given}"
            yield title, functools.partial(statistics, with_target, with_head, how)
        for name, options in DISTILLATIONS.items():
            yield f"distillation, {name}, {how}", functools.partial(distillation, options, how)


def _others() -> Iterator[tuple[str, Case]]:
    for target, (name, options) in itertools.product("yp", OPTIONS.items()):
        yield f"large, {target}, {name}", functools.partial(large, dense, target, options, "uneven", False)
    for with_target in (True, False):
        yield f"large, statistics, {with_target}", functools.partial(large, statistics, with_target, True, "chunk")
    yield "large, distillation", functools.partial(large, distillation, DISTILLATIONS["all"], "uneven")
    for dim, length in itertools.product((0, 1), (1, 5, 8)):
        yield f"sequence, {dim}, {length}", functools.partial(sequence, dim, length)
    for dtype in (torch.bfloat16, torch.float16):
        yield f"half_precision, {dtype}", functools.partial(half_precision, dtype)
    for case in (
        one_message_of_three_numbers_a_row,
        a_head_sums_the_gradient_of_hidden_states_once,
        buckets_of_the_hidden_gradient,
        gradients_of_a_graph_that_is_kept,
        a_checkpoint_around_a_loss,
        an_empty_batch_of_a_sequence,
        a_sequence_summed_in_pieces,
        a_tiny_loss_keeps_its_digits,
        hostile_rows,
        nothing_counts,
        disagreements,
        errors_of_one_rank_alone,
        functools.partial(what_ranks_think_is_all, 2),
        what_is_not_supported_raises,
        compiled,
    ):
        yield getattr(case, "func", case).__name__, case


CASES: dict[str, Case] = {**dict(_cases()), **dict(_others())}
