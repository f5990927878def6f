"""Losses of DTensors, by two processes: each is that of one process, with its gradients, and sends no logits.

Each function is a case, which all processes run; `test_parallel.py` starts them and reads what became of each.
"""

import copy
import functools
import itertools
import random
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, loss_parallel, parallelize_module
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import crossentropy
import crossentropy.functional as F
from crossentropy import _torch, nn
from crossentropy.distributed import vocab_parallel_linear_cross_entropy
from crossentropy.lazy import LazyLogits
from sampling import EXHAUSTIVE, some

Case = Callable[[], None]
Tensors = dict[str, Tensor]
N, C, D, T = 5, 7, 4, 3

AXES = {
    "z": "NC", "log_p": "NC", "p": "NC", "y": "N", "w": "C", "t": "N", "h": "ND", "head": "CD", "b": "C",
    "teacher": "ND", "teacher_head": "CD", "total": "", "z3": "NCT", "y3": "NT", "t3": "NT", "h3": "NTD",
    "head3": "CTD", "b3": "CT", "p3": "NCT",
}  # fmt: skip
"""The axes of each tensor: N rows, C classes, D features, T positions."""

FUNCTIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "cross_entropy": ("z y", lambda z, y: F.cross_entropy(z, y)),
    "cross_entropy, none": ("z y", lambda z, y: F.cross_entropy(z, y, reduction="none")),
    "cross_entropy, sum": ("z y", lambda z, y: F.cross_entropy(z, y, reduction="sum")),
    "cross_entropy, smoothing": ("z y w", lambda z, y, w: F.cross_entropy(z, y, w, label_smoothing=0.1)),
    "cross_entropy, probabilities": ("z p", lambda z, p: F.cross_entropy(z, p)),
    "cross_entropy, all": (
        "z y t total",
        lambda z, y, t, total: F.cross_entropy(
            z, y, token_weight=t, denominator=total, z_loss=0.1, softcap=3.0, logit_scale=0.5
        ),
    ),
    "nll_loss": ("log_p y", lambda log_p, y: F.nll_loss(log_p, y)),
    "nll_loss, weight": ("log_p y w", lambda log_p, y, w: F.nll_loss(log_p, y, w, reduction="none")),
    "nll_loss of log_softmax": ("z y", lambda z, y: F.nll_loss(F.log_softmax(z, 1), y)),
    "nll_loss of torch's log_softmax": ("z y", lambda z, y: F.nll_loss(z.log_softmax(1), y)),
    "linear_cross_entropy": ("h head y b", lambda h, head, y, b: F.linear_cross_entropy(h, head, y, linear_bias=b)),
    "linear_cross_entropy, probabilities": ("h head p", lambda h, head, p: F.linear_cross_entropy(h, head, p)),
    "cross_entropy, positions": ("z3 y3 t3", lambda z3, y3, t3: F.cross_entropy(z3, y3, token_weight=t3)),
    "cross_entropy, probabilities of positions": ("z3 p3", lambda z3, p3: F.cross_entropy(z3, p3, reduction="none")),
    "linear_cross_entropy, sequences": ("h3 head y3", lambda h3, head, y3: F.linear_cross_entropy(h3, head, y3)),
    "linear_cross_entropy, positions": (
        "h head3 y3 b3",
        lambda h, head3, y3, b3: F.linear_cross_entropy(h, head3, y3, linear_bias=b3, reduction="none"),
    ),
    "token_statistics, positions": ("z3 y3", lambda z3, y3: F.token_statistics(z3, y3, dim=1)),
    "nll_loss, positions": ("z3 y3", lambda z3, y3: F.nll_loss(F.log_softmax(z3, 1), y3, reduction="none")),
    "binary_cross_entropy": ("z p", lambda z, p: F.binary_cross_entropy(z.sigmoid(), p)),
    "binary_cross_entropy_with_logits": (
        "z p w",
        lambda z, p, w: F.binary_cross_entropy_with_logits(z, p, pos_weight=w, label_smoothing=0.1, reduction="none"),
    ),
    "binary_cross_entropy_with_logits, mean": (
        "z p total",
        lambda z, p, total: F.binary_cross_entropy_with_logits(
            z, p, ignore_index=0, token_weight=torch.ones(1, 1), denominator=total
        ),
    ),
    "kl_div, mean": ("log_p p", lambda log_p, p: F.kl_div(log_p, p)),
    "kl_div": ("log_p p", lambda log_p, p: F.kl_div(log_p, p, reduction="batchmean")),
    "kl_div of log_softmax": ("z p", lambda z, p: F.kl_div(F.log_softmax(z, 1), p, reduction="none")),
    "kl_div of torch's log_softmax": ("z p", lambda z, p: F.kl_div(z.log_softmax(1), p, reduction="sum")),
    "linear_kl_div": (
        "h head teacher teacher_head",
        lambda h, head, teacher, teacher_head: F.linear_kl_div(h, head, teacher, teacher_head, temperature=2.0),
    ),
    "linear_reverse_kl_div": (
        "h head teacher teacher_head",
        lambda h, head, teacher, teacher_head: F.linear_reverse_kl_div(h, head, teacher, teacher_head, softcap=2.0),
    ),
    "linear_js_div": (
        "h head teacher teacher_head",
        lambda h, head, teacher, teacher_head: F.linear_js_div(h, head, teacher, teacher_head, beta=0.3),
    ),
    "kl_div_with_logits, skewed": (
        "z log_p",
        lambda z, log_p: F.kl_div_with_logits(z, log_p, dim=1, skew=0.2, temperature=2.0),
    ),
    "reverse_kl_div_with_logits": (
        "z log_p",
        lambda z, log_p: F.reverse_kl_div_with_logits(z, log_p, dim=1, reduction="none"),
    ),
    "token_statistics": ("z y", lambda z, y: F.token_statistics(z, y)),
    "token_statistics of a head": ("h head y", lambda h, head, y: F.token_statistics(h, y, linear_weight=head)),
    "log_softmax": ("z", lambda z: F.log_softmax(z, 1)),
    "softmax": ("z", lambda z: F.softmax(z, 1)),
    "CrossEntropyLoss": ("z y w", lambda z, y, w: nn.CrossEntropyLoss(w)(z, y)),
    "NLLLoss": ("log_p y", lambda log_p, y: nn.NLLLoss()(log_p, y)),
    "KLDivLoss": ("log_p p", lambda log_p, p: nn.KLDivLoss(reduction="batchmean")(log_p, p)),
    "LogSoftmax": ("z", lambda z: nn.LogSoftmax(1)(z)),
    "LazyLogits": ("h head y", lambda h, head, y: F.cross_entropy(LazyLogits(h, head), y)),
}
"""What is tried, and the tensors that it takes."""


def tensors(names: str, n: int = N, c: int = C, d: int = D) -> Tensors:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    every = {
        "z": normal(n, c), "log_p": normal(n, c).log_softmax(1), "p": normal(n, c).softmax(1),
        "y": torch.tensor([c - 1, 0, -100, c - 2, 1]).repeat(-(-n // 5))[:n],
        "w": normal(c).exp(), "t": normal(n).exp(),
        "h": normal(n, d), "head": normal(c, d), "b": normal(c), "teacher": normal(n, d), "teacher_head": normal(c, d),
        "total": torch.tensor(5.0, dtype=torch.float64), "z3": normal(n, c, T), "t3": normal(n, T).exp(),
        "y3": torch.tensor([0, c - 1, -100]).repeat(n)[:n * T].view(n, T), "h3": normal(n, T, d),
        "head3": normal(c, T, d), "b3": normal(c, T), "p3": normal(n, c, T).softmax(1),
    }  # fmt: skip
    return {name: every[name] for name in names.split()}


GIVEN = ("y", "p", "w", "t", "total", "y3", "t3", "p3")
"""What has no gradient here."""


def outcome(name: str, arguments: Tensors) -> tuple[list[Tensor], dict[str, Tensor]]:
    """The results, and the gradients of a sum of them in which no two numbers weigh the same."""
    leaves = {n: x.detach().requires_grad_() if n not in GIVEN else x for n, x in arguments.items()}
    results = [x for x in tree_leaves(FUNCTIONS[name][1](**leaves)) if isinstance(x, Tensor)]
    weighed = []
    for x in results:
        if x.requires_grad:
            factor = torch.arange(1.0, x.numel() + 1, dtype=x.dtype).view(x.shape)
            if isinstance(x, DTensor):
                factor = spread(factor, x.device_mesh, *[R] * x.device_mesh.ndim)
            weighed.append((x * factor).sum())
    total = weighed[0]
    for x in weighed[1:]:
        total = total + x
    total.backward()
    for x in results:
        if isinstance(x, DTensor) and all(p.is_replicate() for p in x.placements):
            same_on_all_ranks(x.to_local())
    gradients = {n: x for n, x in leaves.items() if x.grad is not None}
    for x in gradients.values():
        # a gradient is placed as its tensor; what is a part of a sum has a whole one
        if isinstance(x, DTensor) and "torch's" not in name:
            expected = tuple(R if p.is_partial() else p for p in x.placements)
            # before 2.13 torch made gradients whole that are of uneven parts
            assert x.grad.placements == expected or (OLDER and x.grad.placements == (R,) * x.device_mesh.ndim)
    return [whole(x) for x in results], {n: whole(x.grad) for n, x in gradients.items()}


R = Replicate()
OLDER = not _torch.DTENSORS_DIFFERENTIATE_TWICE
"""Whether torch is one before 2.13."""


@functools.cache
def mesh_of(shape: tuple[int, ...]) -> Any:
    return dist.device_mesh.init_device_mesh("cpu", shape)


def spread(x: Tensor, mesh: Any, *placements: Placement) -> Tensor:
    """The same on a mesh; as a partial sum, by a part from each process."""
    found = distribute_tensor(x, mesh, [R if p.is_partial() else p for p in placements])
    sums = [dim for dim, p in enumerate(placements) if p.is_partial()]
    if not sums:
        return found
    share = 1.0
    for dim in sums:
        share *= 0.25 if mesh.get_local_rank(dim) else 0.75
    return DTensor.from_local(
        found.to_local() * share, mesh, placements, run_check=False, shape=found.shape, stride=found.stride()
    )


def whole(x: Any) -> Tensor:
    return (x.full_tensor() if isinstance(x, DTensor) else x).detach()


def same_on_all_ranks(x: Tensor) -> None:
    """A tensor has the same bits on every rank."""
    bits = x.detach().flatten().view(torch.uint8)
    every = [torch.empty_like(bits) for _ in range(dist.get_world_size())]
    dist.all_gather(every, bits)
    for other in every:
        assert torch.equal(other, bits)


def close(found: Tensor, exact: Tensor) -> None:
    """Equal up to 2^9 roundings of the largest entry: sums here have 250 terms of either sign at most, of one size."""
    assert found.shape == exact.shape
    if found.is_floating_point():
        allowed = 2**9 * torch.finfo(exact.dtype).eps * exact.abs().nan_to_num(0.0, 0.0, 0.0).max()
        torch.testing.assert_close(found, exact, rtol=0.0, atol=float(allowed), equal_nan=True)
    else:
        assert torch.equal(found, exact)


def placed(arguments: Tensors, mesh: Any, how: str) -> Tensors:
    """Tensors on the mesh: cut along an axis, whole everywhere, or the first of them in parts to be added."""

    def one(name: str, x: Tensor) -> Tensor:
        if how == "P":
            return spread(x, mesh, Partial() if name == next(iter(arguments)) else R)
        return spread(x, mesh, Shard(AXES[name].index(how)) if how in AXES[name] else R)

    return {name: one(name, x) for name, x in arguments.items()}


REMEDIES = r"distribute_tensor\(|full_tensor\(\)|outside loss_parallel\(\)|linear_cross_entropy\("


def assert_right_or_refused(name: str, distributed: Tensors, arguments: Tensors) -> bool:
    """Whether the result is right; False where an error says what to do."""
    expected, gradients = outcome(name, arguments)
    try:
        found, found_gradients = outcome(name, distributed)
    except (ValueError, TypeError) as error:
        ours = isinstance(error, RuntimeError) and re.search(REMEDIES, str(error))
        torchs = "torch's" in name and str(error).startswith("loss_parallel() ")  # which refuses it first
        if not ours and not torchs:
            raise
        return False
    for a, b in zip(found, expected, strict=True):
        close(a, b)
    assert found_gradients.keys() == gradients.keys()
    for key in gradients:
        close(found_gradients[key], gradients[key])
    return True


@contextmanager
def inside_loss_parallel() -> Iterator[None]:
    """That of torch, which stays switched on if an error leaves it."""
    failure = None
    with loss_parallel():
        try:
            yield
        except BaseException as error:
            failure = error
    if failure is not None:
        raise failure


def placements() -> Iterator[tuple[str, Case]]:
    for name in FUNCTIONS:
        for inside in (False, True):

            def case(name: str = name, inside: bool = inside) -> None:
                arguments = tensors(FUNCTIONS[name][0])
                mesh = mesh_of((2,))
                for how in "RNCDP":
                    distributed = placed(arguments, mesh, how)
                    with inside_loss_parallel() if inside else nullcontext():
                        right = assert_right_or_refused(name, distributed, arguments)
                    assert right or inside or name == "LazyLogits", f"{how} is refused"

            yield f"{name}{' in loss_parallel()' * inside}", case


WHOLE = ("y", "p", "w", "t", "b", "total", "y3", "t3", "p3", "b3")
"""What is the whole if it is plain: its shape tells."""


def plain_beside_distributed() -> Iterator[tuple[str, Case]]:
    for name, (names, _) in FUNCTIONS.items():

        def case(name: str = name, names: str = names) -> None:
            arguments = tensors(names)
            mesh = mesh_of((2,))
            for alone in names.split():
                for how in "RNC":
                    distributed = placed(arguments, mesh, how)
                    right = assert_right_or_refused(name, {**distributed, alone: arguments[alone]}, arguments)
                    lazy = name == "LazyLogits"
                    assert lazy or right == (alone in WHOLE or len(names.split()) == 1), (alone, how)

        yield f"{name} with one plain tensor", case


# --- placements of each tensor ------------------------------------------------------------------------------------


def any_placements(name: str, dims: int, choose: random.Random) -> list[Placement]:
    """One of those that a tensor can have on a mesh of some dimensions."""
    return [R if (axis := choose.randrange(-1, len(AXES[name]))) < 0 else Shard(axis) for _ in range(dims)]


SHAPES = {"": (N, C, D), ", empty parts": (1, 2, 3)}


def mixed_placements(shape: tuple[int, ...], tries: int) -> Iterator[tuple[str, Case]]:
    """Tensors that are placed without regard to each other."""
    for (name, (names, _)), (title, sizes) in itertools.product(FUNCTIONS.items(), SHAPES.items()):
        if name == "LazyLogits" or "torch's" in name:
            continue

        def case(name: str = name, names: str = names, sizes: Any = sizes) -> None:
            choose, arguments = random.Random(name), tensors(names, *sizes)
            mesh = mesh_of(shape)
            expected, gradients = outcome(name, arguments)
            for _ in range(tries):
                how = {n: any_placements(n, len(shape), choose) for n in arguments}
                try:
                    found = outcome(name, {n: spread(x, mesh, *how[n]) for n, x in arguments.items()})
                    for a, b in zip(found[0], expected, strict=True):
                        close(a, b)
                    assert found[1].keys() == gradients.keys()
                    for key in gradients:
                        close(found[1][key], gradients[key])
                except Exception as error:
                    raise AssertionError(f"{how}") from error

        yield f"{name} on {'×'.join(map(str, shape))}{title}", case


# --- what is sent -------------------------------------------------------------------------------------------------


class Sent(TorchDispatchMode):
    """Counts the bytes of what collectives take or give, whichever is more."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if DTensor in types:  # whose collectives come by themselves
            return NotImplemented
        found = func(*args, **(kwargs or {}))
        if func.namespace in ("c10d", "_c10d_functional") and "wait" not in str(func):
            self.calls += 1
            self.bytes += max(x.nbytes for x in tree_leaves((args, found)) if isinstance(x, Tensor))
        return found


def sent(name: str, arguments: Tensors) -> Sent:
    """What a function and its gradients send."""
    leaves = {n: x.detach().requires_grad_() if n not in GIVEN else x for n, x in arguments.items()}
    with Sent() as counted:
        results = [x for x in tree_leaves(FUNCTIONS[name][1](**leaves)) if isinstance(x, Tensor) and x.requires_grad]
        torch.autograd.backward([x.to_local() for x in results], [torch.ones_like(x.to_local()) for x in results])
    return counted


MANY, FEW = 128, 2
"""Rows and features beside 256 classes: of one row the statistics are smaller than the logits, and so is the head."""


def what_is_sent(shape: tuple[int, ...], placements: Iterable[str]) -> Iterator[tuple[str, Case]]:
    """The logits are not: statistics of rows, hidden states and heads, which are together less than a quarter."""
    for (name, (names, _)), how in itertools.product(FUNCTIONS.items(), placements):
        if name == "LazyLogits" or "torch's" in name:
            continue

        def case(name: str = name, names: str = names, how: str = how) -> None:
            mesh = mesh_of(shape)
            arguments = tensors(names, MANY, 256, FEW)
            cuts = {n: [AXES[n].find(letter) for letter in how] for n in arguments}
            placed = {n: [R if at < 0 else Shard(at) for at in cuts[n]] for n in arguments}
            counted = sent(name, {n: spread(x, mesh, *placed[n]) for n, x in arguments.items()})
            rows = MANY * (T if any("T" in AXES[n] for n in arguments) else 1)
            assert counted.bytes < rows * 256 * 8 / 4, f"{counted.bytes} bytes, {counted.calls} messages"
            if how == "C" and name == "cross_entropy":  # three numbers of each row, and a checksum
                assert (counted.bytes, counted.calls) == (3 * (MANY + 1) * 8 * 2, 1)

        yield f"{name}, what is sent for {how}", case


# --- what is asked of them ----------------------------------------------------------------------------------------


def second_derivatives() -> None:
    """They are those of one process where rows are cut, and raise where classes are."""
    mesh = mesh_of((2,))

    def penalty(z: Tensor, y: Tensor) -> Tensor:
        loss = F.cross_entropy(z, y)
        (gradient,) = torch.autograd.grad(loss, z, create_graph=True)
        (second,) = torch.autograd.grad(loss + gradient.square().sum(), z)
        return second

    arguments = tensors("z y")
    exact = penalty(arguments["z"].requires_grad_(), arguments["y"])
    if OLDER:
        with pytest.raises(NotImplementedError, match="second derivatives of DTensors"):
            penalty(spread(arguments["z"].detach(), mesh, Shard(0)).requires_grad_(), arguments["y"])
        return
    for placement in (R, Shard(0)):
        close(whole(penalty(spread(arguments["z"].detach(), mesh, placement).requires_grad_(), arguments["y"])), exact)
    with pytest.raises(NotImplementedError, match="second derivatives of a loss whose classes are shared out"):
        penalty(spread(arguments["z"].detach(), mesh, Shard(1)).requires_grad_(), arguments["y"])


def sums_of_half_precision() -> None:
    """The hidden states' gradient is summed in float32 and rounded once, as of plain parts: the same bits."""
    mesh = mesh_of((2,))
    g = torch.Generator().manual_seed(0)
    h, head = (torch.randn(n, 16, generator=g).bfloat16() for n in (64, 50))
    y = torch.randint(50, (64,), generator=g)
    part = head.chunk(mesh.size())[dist.get_rank()]
    plain = h.clone().requires_grad_()
    vocab_parallel_linear_cross_entropy(plain, part, y).backward()
    for placement in (R, Shard(0), Shard(1)):
        x = spread(h, mesh, placement).requires_grad_()
        F.linear_cross_entropy(x, spread(head, mesh, Shard(0)), spread(y, mesh, R)).backward()
        assert x.grad is not None
        assert torch.equal(whole(x.grad), plain.grad)  # pyright: ignore[reportArgumentType]


def labels_out_of_range() -> None:
    """They are not read, for a rank that raises alone would leave the others waiting: the loss is nan on all."""
    mesh = mesh_of((2,))
    z, y = tensors("z y").values()
    y[-1] = C
    for placement, reduction in itertools.product((R, Shard(0), Shard(1)), ("mean", "sum")):
        logits = spread(z, mesh, placement)
        for loss in (F.cross_entropy(logits, y, reduction=reduction), F.nll_loss(logits, y, reduction=reduction)):
            assert loss.to_local().isnan()


def values_on_request() -> None:
    """The same error on every rank, whichever has the row; and the next loss is right."""
    mesh = mesh_of((2,))
    arguments = tensors("z y h head")
    y = arguments["y"].clone()
    y[-1] = 99
    t = torch.ones(len(y), dtype=torch.float64)
    t[-1] = torch.nan
    for at in (Shard(0), R):
        z, h = (spread(arguments[name], mesh, at) for name in ("z", "h"))
        head = spread(arguments["head"], mesh, R)
        for wrong in (spread(y, mesh, at), spread(y, mesh, R)):
            with pytest.raises(crossentropy.ArgumentIndexError, match="is 99"):
                F.cross_entropy(z, wrong, validate=True)
            with pytest.raises(crossentropy.ArgumentIndexError, match="is 99"):
                F.linear_cross_entropy(h, head, wrong, validate=True)
        right = spread(arguments["y"], mesh, at)
        with pytest.raises(crossentropy.ArgumentValueError, match=r"token_weight.* is nan"):
            F.cross_entropy(z, right, token_weight=spread(t, mesh, at), validate=True)
        close(whole(F.cross_entropy(z, right, validate=True)), F.cross_entropy(arguments["z"], arguments["y"]))
    cut = spread(arguments["z"], mesh, Shard(0))
    y[-1] = 0
    y[: len(y) // 2] = -100  # all rows of a rank, and others count
    close(whole(F.cross_entropy(cut, spread(y, mesh, Shard(0)), validate=True)), F.cross_entropy(arguments["z"], y))


def labels_that_differ() -> None:
    """Labels that are not the same on ranks that share out the classes make the loss nan on all of them."""
    mesh = mesh_of((2,))
    z, y = tensors("z y").values()
    z = spread(z, mesh, Shard(1)).requires_grad_()
    loss = F.cross_entropy(z, y.roll(dist.get_rank()))
    loss.backward()
    assert loss.to_local().isnan()
    assert z.grad.to_local().isnan().any()
    assert F.cross_entropy(z, y).to_local().isfinite()


def gradients_of_settings() -> None:
    """Weights that require gradients have those of one process, as plain tensors and as DTensors, or raise."""
    mesh = mesh_of((2,))
    arguments = tensors("z y w t total")

    def outcomes(z: Tensor, w: Tensor, t: Tensor, total: Tensor) -> list[Tensor]:
        leaves = [x.detach().requires_grad_() for x in (w, t, total)]
        F.cross_entropy(z, arguments["y"], leaves[0], token_weight=leaves[1], denominator=leaves[2]).backward()
        F.cross_entropy(z, arguments["y"], leaves[0], token_weight=leaves[1]).backward()
        return [whole(x.grad) for x in leaves]

    z, given = arguments["z"], [arguments[name] for name in ("w", "t", "total")]
    exact = outcomes(z, *given)
    for placement, plain in itertools.product((R, Shard(0)), (True, False)):
        found = outcomes(spread(z, mesh, placement), *(x if plain else spread(x, mesh, R) for x in given))
        for a, b in zip(found, exact, strict=True):
            close(a, b)
    with pytest.raises(ValueError, match=r"class weights that require gradients .* — cut the rows instead"):
        outcomes(spread(z, mesh, Shard(1)), *given)


def collectives_under_way() -> None:
    """DTensors whose collective is still under way."""
    mesh = mesh_of((2,))
    z, y = tensors("z y").values()
    rows = spread(z, mesh, Shard(0)).requires_grad_()
    F.cross_entropy(rows.redistribute(placements=[R], async_op=True), y).backward()
    plain = z.requires_grad_()
    F.cross_entropy(plain, y).backward()
    close(whole(rows.grad), plain.grad)


def compiled(*placements: tuple[Placement, ...]) -> None:
    """A single graph; in several before torch 2.13, whose compiler sees no types of placements."""
    mesh = mesh_of((2,) * len(placements[0]))
    functions = ("cross_entropy", "linear_cross_entropy", "log_softmax")
    for name, how in some(itertools.product(functions, placements), len(placements) + 1):
        names = FUNCTIONS[name][0].split()
        arguments = tensors(" ".join(names))
        x = arguments.pop(names[0])
        if "head" in names:  # the hidden states are cut where rows are, and the head where classes are
            cuts = [R if p == Shard(1) else p for p in how], [Shard(0) if p == Shard(1) else R for p in how]
        else:
            cuts = how, [R] * len(how)
        exact, found = x.clone().requires_grad_(), spread(x, mesh, *cuts[0]).requires_grad_()
        others = {
            n: spread(y, mesh, *(cuts[1] if n in ("head", "b") else [R] * len(how))) for n, y in arguments.items()
        }
        torch._dynamo.reset()
        function = torch.compile(FUNCTIONS[name][1], backend="aot_eager", fullgraph=not OLDER)
        a, b = FUNCTIONS[name][1](exact, **arguments), function(found, **others)
        close(whole(b), a.detach())
        a.sum().backward()
        b.sum().backward()
        close(whole(found.grad), exact.grad)


# --- a part of the classes ----------------------------------------------------------------------------------------


class Language(torch.nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head = torch.nn.Embedding(classes, D), torch.nn.Linear(D, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embedding(tokens))


def parts_of_a_vocabulary() -> Iterator[tuple[str, Case]]:
    """Labels that all happen to be in the first part of the vocabulary: a number came out, of a softmax over a part."""
    labels = torch.tensor([[0, 1, 2], [3, 0, 1]])
    losses: dict[str, Callable[[Tensor], Any]] = {
        "of (N, C)": lambda z: F.cross_entropy(z.flatten(0, 1), labels.flatten()),
        "of (N, C), in chunks": lambda z: F.cross_entropy(z.flatten(0, 1), labels.flatten()),
        "with options": lambda z: F.cross_entropy(z.view(-1, z.shape[-1]).float(), labels.flatten(), z_loss=0.1),
        "of (N, C, T)": lambda z: F.cross_entropy(z.transpose(1, 2), labels),
        "permuted": lambda z: F.cross_entropy(z.permute(0, -1, 1), labels),
        "of some tokens": lambda z: F.cross_entropy(z[:, :-1].reshape(-1, z.shape[-1]) / 2, labels[:, 1:].flatten()),
        "chosen": lambda z: F.cross_entropy(z[labels >= 0], labels[labels >= 0]),
        "of log-probabilities": lambda z: F.nll_loss(z.log_softmax(-1).flatten(0, 1), labels.flatten()),
        "statistics": lambda z: F.token_statistics(z, labels),
        "module": lambda z: nn.CrossEntropyLoss()(z.flatten(0, 1), labels.flatten()),
    }
    for fused, (name, loss) in itertools.product((False, True), losses.items()):

        def case(fused: bool = fused, name: str = name, loss: Callable[[Tensor], Any] = loss) -> None:
            mesh = mesh_of((2,))
            single = Language(400_000 if "chunks" in name else 8)  # of which a part makes more than 2^20 logits
            model = crossentropy.fuse(copy.deepcopy(single)) if fused else single
            parallelize_module(model.head, mesh, ColwiseParallel())
            z = model(labels)
            assert z.shape[-1] == model.head.out_features // 2
            if fused:
                for found, expected in zip(tree_leaves(loss(z)), tree_leaves(loss(single(labels)))):
                    torch.testing.assert_close(found, expected)
                return
            with pytest.raises(ValueError, match=r"this process's part of .*output_layouts=Replicate\(\)"):
                loss(z)
            z.logsumexp(-1).sum().backward()  # what is not a loss is as it was

        yield f"part of a vocabulary, {name}{', fused' * fused}", case


def parts_that_are_whole() -> None:
    """Parts of the rows, gathered logits, and parts of what is not the class axis, are as good as any tensor."""
    mesh = mesh_of((2,))
    labels = torch.tensor([[0, 7, 2], [3, 0, 1]])
    model = Language(8)
    expected = F.cross_entropy(model(labels).flatten(0, 1), labels.flatten())
    parallelize_module(model.head, mesh, ColwiseParallel(output_layouts=Replicate()))
    torch.testing.assert_close(F.cross_entropy(model(labels).flatten(0, 1), labels.flatten()), expected)
    rows = distribute_tensor(torch.randn(2 * C, C), mesh, [Shard(0)]).requires_grad_()
    mine = rows.to_local()
    assert mine.shape == (C, C)  # as many rows as classes, all of which are here
    for z in (mine, mine.clone(), mine.view(C, C), mine.t().t()):
        F.cross_entropy(z, torch.arange(C)).backward()
    head = distribute_tensor(torch.randn(10, D), mesh, [Shard(0)]).requires_grad_()
    with pytest.raises(ValueError, match="linear_weight has 5 classes, which are this process's part of 10"):
        F.linear_cross_entropy(torch.randn(3, D), head.to_local(), torch.arange(3))
    with pytest.raises(ValueError, match="linear_weight has 5 classes, which are this process's part of 10"):
        F.cross_entropy(LazyLogits(torch.randn(3, D), head.to_local()), torch.arange(3))


def labels_of_other_parts() -> None:
    with pytest.raises(IndexError, match="sharded vocabulary"):
        F.cross_entropy(torch.randn(2, 4), torch.tensor([1, 6]))


CASES: dict[str, Case] = {
    **dict(placements()),
    **dict(plain_beside_distributed()),
    **dict(mixed_placements((2,), 8 if EXHAUSTIVE else 3)),
    **dict(what_is_sent((2,), "RNCD")),
    "second derivatives": second_derivatives,
    "sums of half precision": sums_of_half_precision,
    "labels out of range": labels_out_of_range,
    "values on request": values_on_request,
    "labels that differ": labels_that_differ,
    "gradients of settings": gradients_of_settings,
    "collectives under way": collectives_under_way,
    "compiled": functools.partial(compiled, (R,), (Shard(0),), (Shard(1),)),
    **dict(parts_of_a_vocabulary()),
    "parts that are whole": parts_that_are_whole,
    "labels of other parts": labels_of_other_parts,
}
