"""Every way of computing one thing gives one answer, and one gradient, for any options and any logits.

The ways: torch's operators for tiny problems, tiles and chunks of every size, blocks of classes, the reference; logits
that are given, made by a head, or lazy. The expectation is the reference backend in the same dtype, which
test_numerics holds against mpmath; where no difference of two logits overflows, float64 as well.

Logits are hostile: infinite, nan, and finite numbers as large as the dtype has, because finfo.min is what people
write into masked logits and everything between is legal.
"""

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import crossentropy.functional as F
from backends import FAST, fast
from crossentropy import LazyLogits, Options, _planner
from crossentropy.testing import assert_accurate

MOST = torch.finfo(torch.float32).max
FINITE = (0.0, 1.0, -1.0, 40.0, -40.0, 1e4, -1e4, 1e-30, -MOST, -MOST / 2, -MOST / 8, -1e30, 1e30)
"""No two differ by more than MOST: blocks of classes would add up what is infinite at once."""
EVERYTHING = (*FINITE, MOST / 8, MOST, -torch.inf, torch.inf, torch.nan)
EPS = torch.finfo(torch.float32).eps

settings = st.fixed_dictionaries(
    {},
    optional={
        "label_smoothing": st.sampled_from([0.1, 1.0]),
        "z_loss": st.just(0.01),
        "softcap": st.sampled_from([5.0, 30.0]),
        "logit_scale": st.sampled_from([0.5, -1.0, 3.0]),
        "weight": st.just("weight"),
        "token_weight": st.just("token_weight"),
        "reduction": st.sampled_from(["none", "sum"]),
    },
)
sizes = st.tuples(st.integers(1, 5), st.sampled_from([1, 2, 3, 17, 40]))
seeds = st.integers(0, 2**31)


def hostile(rows: int, classes: int, values: tuple[float, ...]) -> Tensor:
    """Rows of one value, of several, of ordinary numbers, and of ordinary numbers with a few of the values."""
    some = torch.tensor(values)
    mixed = some[torch.randint(len(values), (rows, classes))]
    ordinary = 3 * torch.randn(rows, classes)
    rare = torch.where(torch.rand(rows, classes) < 0.2, mixed, ordinary)
    kinds = torch.stack([mixed[:, :1].expand(rows, classes), mixed, ordinary, rare])
    return kinds[torch.randint(4, (rows,)), torch.arange(rows)]


def masks(classes: int) -> Tensor:
    """A bias that masks some of the classes, or none."""
    return torch.zeros(classes).masked_fill((torch.rand(classes) < 0.3) & (torch.rand(()) < 0.5), -torch.inf)


def filled(names: dict[str, Any], rows: tuple[int, ...], classes: int) -> dict[str, Any]:
    """Settings with tensors in them: weights, some of them zero, and some rows without weight."""
    made = dict(names)
    if "weight" in made:
        made["weight"] = (torch.rand(classes) * (torch.rand(classes) > 0.3)).index_fill(0, torch.tensor([0]), 1.0)
    if "token_weight" in made:
        made["token_weight"] = torch.rand(rows) * (torch.rand(rows) > 0.3)
    return made


def target_of(kind: str, rows: tuple[int, ...], classes: int) -> Tensor:
    if kind == "probabilities":
        p = torch.rand(*rows, classes) * (torch.rand(*rows, classes) > 0.5)
        p[..., 0] += 0.1
        return (p / p.sum(-1, keepdim=True)).movedim(-1, 1)
    y = torch.randint(classes, rows)
    return torch.where(torch.rand(rows) < 0.3, -100, y) if kind == "ignored" else y


@contextlib.contextmanager
def tiles_of(logits: int) -> Iterator[None]:
    """Dense logits in tiles and chunks of that many, instead of those that fit a cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_planner, "CPU", replace(_planner.CPU, tile=4 * logits, tile_across=4 * logits))
        patch.setattr(_planner, "DENSE_CHUNK", 1)
        yield


def with_gradient(loss: Callable[[Tensor], Tensor], leaf: Tensor) -> tuple[Tensor, Tensor]:
    x = leaf.detach().clone().requires_grad_()
    result = loss(x)
    upstream = torch.linspace(1.0, 0.5, result.numel()).view_as(result)
    return result.detach(), torch.autograd.grad(result, x, upstream)[0]


def dense_ways(z: Tensor, y: Tensor, options: dict[str, Any]) -> Iterator[tuple[str, Tensor, Tensor]]:
    for backend, logits in itertools.product(("auto", *fast(y)), (1, 64, 1 << 19)):
        with tiles_of(logits):
            loss = lambda x: F.cross_entropy(x, y, **options, options=Options(backend) if backend != "auto" else None)  # noqa: B023, E731
            result, gradient = with_gradient(loss, z)
            yield f"{backend} in tiles of {logits}", result, gradient
            yield f"{backend} in tiles of {logits}, forward alone", loss(z), gradient


def head_ways(z: Tensor, bias: Tensor, y: Tensor, options: dict[str, Any]) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Heads whose logits are z + bias exactly: hidden states are the rows of the identity."""
    identity = torch.eye(len(z))
    for budget in (None, 1, 600, 2000):
        for backend in ("auto", *fast(y)):
            chosen = Options(backend, budget) if budget or backend != "auto" else None

            def loss(head: Tensor, chosen: Options | None = chosen) -> Tensor:
                return F.linear_cross_entropy(identity, head, y, linear_bias=bias, **options, options=chosen)

            result, gradient = with_gradient(loss, z.T)
            yield f"{backend} head in {budget} bytes", result, gradient.T
            yield f"{backend} head in {budget} bytes, forward alone", loss(z.T), gradient.T
    lazy = with_gradient(lambda head: F.cross_entropy(LazyLogits(identity, head, bias), y, **options), z.T)
    yield "lazy", lazy[0], lazy[1].T


def magnitudes(z: Tensor, y: Tensor, options: dict[str, Any]) -> tuple[float, Tensor | float]:
    """Size of what is added up in the loss and, for each row, in the gradient, where terms cancel.

    That is the coefficient of the heaviest row, times 1 + 2 λ |lse| in a gradient and λ lse² in a loss.
    """
    lam, weight = options.get("z_loss", 0.0), options.get("weight")
    x = z.double() * options.get("logit_scale", 1.0)
    if "softcap" in options:
        x = options["softcap"] * torch.tanh(x / options["softcap"])
    lse = x.amax(1, keepdim=True).abs().nan_to_num(posinf=0.0) + torch.tensor(float(z.shape[1])).log()
    counts = torch.ones(lse.squeeze(1).shape) if y.is_floating_point() else (y != -100).float()
    t = counts * options.get("token_weight", 1.0)
    n = weight[y.clamp(min=0)] if weight is not None and not y.is_floating_point() else 1.0
    heaviest = (t.max() / ((t * n).sum() if "reduction" not in options else 1.0)).nan_to_num().item()
    return heaviest * lam * (lse**2).sum().item(), heaviest * (1 + 2 * lam * lse)


def check(
    ways: Iterator[tuple[str, Tensor, Tensor]], z: Tensor, y: Tensor, options: dict[str, Any], *, head: bool = False
) -> None:
    loss, gradient = with_gradient(lambda x: F.cross_entropy(x, y, **options, options=Options("reference")), z)
    if head:
        gradient = torch.eye(len(z)) @ gradient  # where 0 · nan is nan
    # exp's argument is rounded once, at most 104 before exp is 0: 208 roundings of a probability; sums of all entries
    work = 2 * (208 + z.numel() + 16)
    of_loss, of_gradient = magnitudes(z, y, options)
    cancels = "label_smoothing" in options or "z_loss" in options or y.is_floating_point()
    for name, actual, slope in ways:
        try:
            assert_accurate(actual, loss.double(), roundings=work, magnitude=of_loss)
            assert_accurate(slope, gradient.double(), roundings=work, magnitude=of_gradient if cancels else 0.0)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}\n{z.tolist()}\n{y.tolist()}\n{options}") from None


@given(seeds, sizes, settings, st.sampled_from(["labels", "ignored", "probabilities"]), st.booleans())
def test_logits_that_are_given(seed: int, size: tuple[int, int], names: dict, kind: str, across: bool) -> None:
    torch.manual_seed(seed)
    rows, classes = size
    z = hostile(rows, classes, EVERYTHING)
    if across:  # (N, C, d)
        z = torch.stack([z, hostile(rows, classes, EVERYTHING)], 2)
    shape = (rows, 2) if across else (rows,)
    y, options = target_of(kind, shape, classes), filled(names, shape, classes)
    check(dense_ways(z, y, options), z, y, options)


@given(seeds, sizes, settings, st.sampled_from(["labels", "ignored", "probabilities"]))
def test_logits_of_a_head(seed: int, size: tuple[int, int], names: dict, kind: str) -> None:
    torch.manual_seed(seed)
    rows, classes = size
    z = hostile(rows, classes, FINITE)
    bias = masks(classes)
    y, options = target_of(kind, (rows,), classes), filled(names, (rows,), classes)
    check(head_ways(z, bias, y, options), z + bias, y, options, head=True)


# --- statistics and divergences -----------------------------------------------------------------------------------


def statistics(input: Tensor, leaf: Tensor, y: Tensor, **more: Any) -> list[Tensor]:
    """Log-probability, entropy, logsumexp, argmax, and a gradient of all three."""
    s = F.token_statistics(input, y, **more)
    (slope,) = torch.autograd.grad((s.log_prob + 2 * s.entropy + 0.5 * s.logsumexp).sum(), leaf)
    return [s.log_prob, s.entropy, s.logsumexp, s.argmax, slope]


def statistics_ways(z: Tensor, bias: Tensor | None, y: Tensor, options: dict[str, Any]) -> Iterator[tuple[str, list]]:
    if bias is None:
        for backend, logits in itertools.product(("auto", *FAST), (1, 64, 1 << 19)):
            with tiles_of(logits):
                x = z.clone().requires_grad_()
                yield f"{backend} in tiles of {logits}", statistics(x, x, y, dim=1, **options, options=Options(backend))
        return
    identity, head = torch.eye(len(z)), z.T.clone().requires_grad_()
    for backend, budget in itertools.product(FAST, (None, 1, 600, 2000)):
        chosen = {"linear_weight": head, "linear_bias": bias, "options": Options(backend, budget)}
        *values, slope = statistics(identity, head, y, **chosen, **options)
        yield f"{backend} head in {budget} bytes", [*values, slope.T]
        forward = F.token_statistics(identity, y, **{**chosen, "linear_weight": head.detach()}, **options)
        yield f"{backend} head in {budget} bytes, forward alone", [*forward, slope.T]
    if "softcap" not in options and "logit_scale" not in options:
        *values, slope = statistics(LazyLogits(identity, head, bias), head, y)
        yield "lazy", [*values, slope.T]


def check_statistics(z: Tensor, bias: Tensor | None, y: Tensor, options: dict[str, Any]) -> None:
    x = (z if bias is None else z + bias).requires_grad_()
    *expected, slope = statistics(x, x, y, dim=1, **options, options=Options("reference"))
    expected.append(slope if bias is None else torch.eye(len(z)) @ slope)
    # as in `check`; the energy adds C terms more, and the gradient's terms are of size 1 + 2 (|log p| + H) p
    work, size = 2 * (208 + 2 * z.numel() + 16), 4 + 4 * torch.tensor(float(z.shape[1])).log().item()
    for name, actual in statistics_ways(z.detach(), bias, y, options):
        try:
            for value, true, magnitude in zip(actual, expected, (0.0, 0.0, 0.0, None, size)):
                if magnitude is None:
                    assert torch.equal(value, true)
                else:
                    assert_accurate(value, true.double(), roundings=work, magnitude=magnitude)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}\n{z.tolist()}\n{y.tolist()}\n{options}") from None


transforms = st.fixed_dictionaries(
    {}, optional={"softcap": st.sampled_from([5.0, 30.0]), "logit_scale": st.sampled_from([0.5, -1.0, 3.0])}
)


@given(seeds, sizes, transforms, st.sampled_from(["labels", "ignored"]), st.sampled_from(["rows", "across", "head"]))
def test_statistics(seed: int, size: tuple[int, int], options: dict, kind: str, layout: str) -> None:
    torch.manual_seed(seed)
    rows, classes = size
    if layout == "head":
        check_statistics(hostile(rows, classes, FINITE), masks(classes), target_of(kind, (rows,), classes), options)
        return
    z = hostile(rows, classes, EVERYTHING)
    shape = (rows,) if layout == "rows" else (rows, 2)
    if layout == "across":
        z = torch.stack([z, hostile(rows, classes, EVERYTHING)], 2)
    check_statistics(z, None, target_of(kind, shape, classes), options)


DIVERGENCES = {
    "kl": F.linear_kl_div,
    "skewed": functools.partial(F.linear_kl_div, skew=0.1),
    "reverse": F.linear_reverse_kl_div,
    "skewed reverse": functools.partial(F.linear_reverse_kl_div, skew=0.1),
    "js": functools.partial(F.linear_js_div, beta=0.3),
}


@given(seeds, sizes, st.sampled_from([1.0, 2.0, 0.5]), st.sampled_from(sorted(DIVERGENCES)))
def test_divergences(seed: int, size: tuple[int, int], temperature: float, kind: str) -> None:
    torch.manual_seed(seed)
    rows, classes = size
    z, other = hostile(rows, classes, FINITE), hostile(rows, classes, FINITE)
    identity, bias = torch.eye(rows), masks(classes)

    def divergence(teacher: Tensor, options: Options) -> tuple[Tensor, Tensor]:
        settings = {"linear_bias": bias, "teacher_bias": bias, "temperature": temperature, "reduction": "none"}
        loss = lambda head: DIVERGENCES[kind](identity, head, identity, teacher.T, **settings, options=options)  # noqa: E731
        return with_gradient(loss, z.T)

    for budget in (None, 1, 600, 2000):
        for teacher in (other, z):
            ours, expected = (
                divergence(teacher, options) for options in (Options("chunked", budget), Options("reference"))
            )
            # terms p (d − 1 + e^−d) of differences d of two logarithms, each of them rounded as a probability is
            p = ((torch.stack([teacher, z]) + bias).double() / temperature).softmax(2).amax(0)
            size = torch.nan_to_num(p.clamp(max=1)).amax(1) * 104 + 1
            assert_accurate(ours[0], expected[0].double(), roundings=2 * (208 + 4 * classes), magnitude=size)
            # q − p; of others q (d − ℓ), where d may be about ℓ
            slope = 1.0 if kind == "kl" else 1 + torch.nan_to_num(expected[0].double(), posinf=0.0)
            assert_accurate(ours[1], expected[1].double(), roundings=2 * (208 + 4 * classes), magnitude=slope)
    equal = divergence(z, Options("chunked"))[0]
    possible = ((z + bias) / temperature).amax(1) > -torch.inf
    assert_accurate(equal[possible], torch.zeros_like(equal[possible]).double(), roundings=208, magnitude=1.0)
