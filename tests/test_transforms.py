"""What torch's material does not reach: the additions, alone and together, under every transform."""

import itertools
import os
import shutil
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import crossentropy.functional as F
from crossentropy import nn

N, C, D = 4, 5, 3
Y = torch.tensor([0, 3, -100, 1])
SETTINGS = {"softcap": 3.0, "logit_scale": 0.7, "z_loss": 0.01, "label_smoothing": 0.1}


def f64(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def dense(x: Tensor, weight: Tensor, t: Tensor, reduction: str = "mean") -> Tensor:
    return F.cross_entropy(x, Y, weight, reduction=reduction, token_weight=t, **SETTINGS)


def dense_probabilities(x: Tensor, p: Tensor, weight: Tensor) -> Tensor:
    return F.cross_entropy(x, p, weight, **SETTINGS)


def accumulated(x: Tensor, denominator: Tensor) -> Tensor:
    return F.cross_entropy(x, Y, denominator=denominator, **SETTINGS)


def linear(h: Tensor, w: Tensor, b: Tensor, weight: Tensor, t: Tensor) -> Tensor:
    return F.linear_cross_entropy(h, w, Y, linear_bias=b, weight=weight, token_weight=t, **SETTINGS)


def distillation(h: Tensor, w: Tensor, g: Tensor, v: Tensor, t: Tensor) -> Tensor:
    return F.linear_kl_div(h, w, g, v, token_weight=t, temperature=2.0, softcap=3.0, teacher_logit_scale=0.5)


def statistics(z: Tensor) -> Tensor:
    s = F.token_statistics(z, Y, softcap=3.0)
    assert s.log_prob is not None
    return s.log_prob + 2 * s.entropy + 3 * s.logsumexp


CASES: dict[str, tuple[Callable[..., Tensor], Callable[[], tuple[Tensor, ...]]]] = {
    "dense": (dense, lambda: (f64(N, C), f64(C).abs(), f64(N).abs())),
    "dense rows": (lambda *a: dense(*a, reduction="none"), lambda: (f64(N, C), f64(C).abs(), f64(N).abs())),
    "dense probabilities": (dense_probabilities, lambda: (f64(N, C), f64(N, C).softmax(1), f64(C).abs())),
    "accumulated": (accumulated, lambda: (f64(N, C), torch.tensor(7.0, dtype=torch.float64))),
    "linear": (linear, lambda: (f64(N, D), f64(C, D), f64(C), f64(C).abs(), f64(N).abs())),
    "distillation": (distillation, lambda: (f64(N, D), f64(C, D), f64(N, 2), f64(C, 2), f64(N).abs())),
    "statistics": (statistics, lambda: (f64(N, C),)),
}


@pytest.mark.parametrize("name", CASES)
def test_derivatives_of_first_and_second_order(name: str) -> None:
    function, make = CASES[name]
    inputs = [x.requires_grad_() for x in make()]
    assert torch.autograd.gradcheck(
        function, inputs, check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True
    )
    assert torch.autograd.gradgradcheck(function, inputs, check_fwd_over_rev=True)


@pytest.mark.parametrize("name", CASES)
def test_vmap_over_each_argument(name: str) -> None:
    function, make = CASES[name]
    inputs = make()
    for i in range(len(inputs)):
        batch = torch.stack([inputs[i], inputs[i] * 1.5])
        dims = tuple(0 if j == i else None for j in range(len(inputs)))
        arguments = [batch if j == i else x for j, x in enumerate(inputs)]
        expected = torch.stack([function(*(x[k] if j == i else x for j, x in enumerate(arguments))) for k in range(2)])
        torch.testing.assert_close(torch.func.vmap(function, in_dims=dims)(*arguments), expected)


def test_vmap_over_targets_and_hessians() -> None:
    x, targets = f64(N, C), torch.randint(0, C, (3, N))
    rows = torch.func.vmap(lambda y: F.cross_entropy(x, y))(targets)
    torch.testing.assert_close(rows, torch.stack([F.cross_entropy(x, y) for y in targets]))
    p = x[0].softmax(0)
    hessian = torch.func.hessian(lambda z: F.cross_entropy(z, targets[0, 0]))(x[0])
    torch.testing.assert_close(hessian, torch.diag(p) - torch.outer(p, p))


# a program of torch's log_softmax, gather and masked_fill has garbage in its gradient there, in torch 2.13
@pytest.mark.skipif(
    "ATEN_CPU_CAPABILITY" in os.environ, reason="torch's compiler is wrong for a capability set by hand"
)
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="Inductor needs a C++ compiler")
@pytest.mark.parametrize("name", CASES)
def test_compiled_by_inductor_without_a_graph_break(name: str) -> None:
    torch.compiler.reset()
    function, make = CASES[name]
    inputs = [x.float().requires_grad_() for x in make()]
    results = []
    for f in (function, torch.compile(function, fullgraph=True)):
        value = f(*inputs).sum()
        results.append([value, *torch.autograd.grad(value, inputs)])
    for expected, actual in zip(*results):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_compiled_with_dynamic_shapes(name: str) -> None:
    torch.compiler.reset()
    function, make = CASES[name]
    inputs = make()
    compiled = torch.compile(function, fullgraph=True, dynamic=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*inputs), function(*inputs))


@pytest.mark.parametrize("name", CASES)
def test_exported(name: str) -> None:
    function, make = CASES[name]

    class Model(torch.nn.Module):
        def forward(self, *inputs: Tensor) -> Tensor:
            return function(*inputs)

    inputs = make()
    torch.testing.assert_close(torch.export.export(Model(), inputs).module()(*inputs), function(*inputs))


def test_compiled_with_numbers_that_vary() -> None:
    torch.compiler.reset()
    x, y = torch.randn(N, C), torch.tensor([0, 1, 2, 3])
    settings = [
        {"label_smoothing": e, "z_loss": e, "softcap": 3 + e, "logit_scale": 1 + e, "denominator": d}
        for e, d in ((0.1, 3), (0.2, 4), (0.3, 5.5))
    ]
    compiled = torch.compile(F.cross_entropy, fullgraph=True, backend="aot_eager")
    for setting in settings:
        torch.testing.assert_close(compiled(x, y, **setting), F.cross_entropy(x, y, **setting))
    batch = torch.compile(lambda z, t: F.cross_entropy(z, t, denominator=len(z)), fullgraph=True, backend="aot_eager")
    for n in (2, 3, 4):
        torch.testing.assert_close(batch(x[:n], y[:n]), F.cross_entropy(x[:n], y[:n]))


@pytest.mark.filterwarnings("ignore:size_average and reduce")
def test_compiled_with_deprecated_arguments() -> None:
    torch.compiler.reset()
    x, y = torch.randn(N, C), torch.tensor([0, 1, 2, 3])
    compiled = torch.compile(F.cross_entropy, fullgraph=True, backend="aot_eager", dynamic=False)
    for size_average, reduce in itertools.product((None, True, False), repeat=2):
        if size_average is not None or reduce is not None:
            expected = torch.nn.functional.cross_entropy(x, y, size_average=size_average, reduce=reduce)
            torch.testing.assert_close(compiled(x, y, size_average=size_average, reduce=reduce), expected)
    implicit = torch.compile(lambda z: F.log_softmax(z), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(implicit(x), F.log_softmax(x, 1))


def test_compiled_modules_and_labels_out_of_range() -> None:
    torch.compiler.reset()
    loss = nn.CrossEntropyLoss(label_smoothing=0.1, validate=True)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    x, y = torch.randn(N, C), torch.tensor([0, 1, 2, 9])
    assert compiled(x, y).isnan()
    torch.testing.assert_close(compiled(x, y.clamp(max=4)), loss(x, y.clamp(max=4)))
    with pytest.raises(IndexError):
        loss(x, y)


def test_backward_twice_with_different_upstreams_and_through_a_checkpoint() -> None:
    x = torch.randn(N, C, requires_grad=True)
    rows = F.cross_entropy(x, Y, reduction="none")
    first, second, both = (
        torch.autograd.grad(rows, x, upstream, retain_graph=True)[0]
        for upstream in (torch.ones(N), 2 * torch.ones(N), 3 * torch.ones(N))
    )
    torch.testing.assert_close(first + second, both)
    again = checkpoint(lambda z: F.cross_entropy(z, Y, reduction="none"), x, use_reentrant=False)
    assert isinstance(again, Tensor)
    torch.testing.assert_close(torch.autograd.grad(again, x, torch.ones(N))[0], first)


@pytest.mark.parametrize("name", CASES)
def test_every_case_through_a_checkpoint_and_under_autocast(name: str) -> None:
    function, make = CASES[name]
    inputs = [x.requires_grad_() for x in make()]
    expected = torch.autograd.grad(function(*inputs).sum(), inputs)
    again = checkpoint(function, *inputs, use_reentrant=False)
    assert isinstance(again, Tensor)
    torch.testing.assert_close(torch.autograd.grad(again.sum(), inputs), expected)
    single = [x.detach().float().requires_grad_() for x in inputs]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = function(*single)
    assert value.dtype == torch.float32
    # a linear head is multiplied in bfloat16, which has 8 bits; everything else is float32
    torch.testing.assert_close(value.double(), function(*inputs), rtol=0.05, atol=0.05)
    assert all(g.isfinite().all() for g in torch.autograd.grad(value.sum(), single))


@pytest.mark.parametrize("frozen", ["input", "weight", "both"])
def test_frozen_input_or_head(frozen: str) -> None:
    h, w = torch.randn(N, D), torch.randn(C, D)
    h.requires_grad_(frozen == "weight")
    w.requires_grad_(frozen == "input")
    loss = F.linear_cross_entropy(h, w, Y)
    assert loss.requires_grad == (frozen != "both")
    if frozen != "both":
        loss.backward()
        assert (h.grad is None) == (frozen == "input")
        assert (w.grad is None) == (frozen == "weight")


def test_inference_mode_and_autocast(device: str) -> None:
    h, w, y = torch.randn(N, D, device=device), torch.randn(C, D, device=device), Y.to(device)
    with torch.inference_mode():
        loss = F.linear_cross_entropy(h, w, y)
    torch.testing.assert_close(loss.clone(), F.linear_cross_entropy(h, w, y))
    with torch.autocast(device, dtype=torch.bfloat16):
        half = F.linear_cross_entropy(h, w, y)
        expected = torch.nn.functional.cross_entropy(torch.nn.functional.linear(h, w), y)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, expected)  # the product in bfloat16, as torch's, and nothing else


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_under_autocast(dtype: torch.dtype) -> None:
    torch.compiler.reset()
    x, y = torch.randn(N, C, dtype=dtype), torch.tensor([0, 1, 2, 3])
    compiled = torch.compile(F.cross_entropy, fullgraph=True, backend="aot_eager")
    for enabled in (True, False):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            loss = compiled(x, y)
        assert loss.dtype == (torch.float32 if enabled else dtype)
        torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(x.float(), y).to(loss.dtype))


def test_no_side_effects_on_the_arguments() -> None:
    x, y, weight = torch.randn(N, C), Y.clone(), torch.rand(C)
    copies = x.clone(), y.clone(), weight.clone()
    F.cross_entropy(x, y, weight, token_weight=torch.ones(N), **SETTINGS)
    assert all(torch.equal(a, b) for a, b in zip((x, y, weight), copies))
