"""Compiled code on any shape, stride, offset and label, beside torch's operators: `make sanitize` runs it sanitized."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crossentropy import Options
from crossentropy import functional as F
from crossentropy._backends.native import _library

pytestmark = pytest.mark.skipif(_library.LIBRARY is None, reason=_library.MISSING)

DTYPES = {torch.float32: 2e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}
SPECIAL = [float("-inf"), float("inf"), float("nan"), 3e38, -3e38, 1e4, 0.0]


@st.composite
def views(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Logits, part of something larger, and labels, of which some are ignored."""
    outer, classes = draw(st.integers(1, 9)), draw(st.integers(1, 70) | st.sampled_from([255, 1023, 1025, 4100]))
    inner = draw(st.none() | st.integers(2, 40) | st.sampled_from([255, 257]))
    offset, gap, step = draw(st.integers(0, 5)), draw(st.integers(0, 5)), draw(st.integers(1, 2))
    sizes = (outer, classes) if inner is None else (outer, classes, inner)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    whole = torch.randn((outer * step, *sizes[1:-1], offset + sizes[-1] + gap), generator=generator) * 3
    logits = whole.to(draw(st.sampled_from(list(DTYPES))))[::step, ..., offset : offset + sizes[-1]]
    for _ in range(draw(st.integers(0, 3))):
        logits[tuple(draw(st.integers(0, n - 1)) for n in sizes)] = draw(st.sampled_from(SPECIAL))
    rows = sizes[:1] + sizes[2:]
    labels = torch.randint(classes, (*rows[:-1], 2 * rows[-1]), generator=generator)[..., ::2]
    ignored = torch.rand(rows, generator=generator) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    return logits, labels.masked_fill(ignored, -100)


OPTIONS = {
    "label_smoothing": st.sampled_from([0.0, 0.1]),
    "z_loss": st.sampled_from([0.0, 1e-3]),
    "softcap": st.sampled_from([None, 5.0]),
    "logit_scale": st.sampled_from([1.0, 0.5]),
    "reduction": st.sampled_from(["none", "sum", "mean"]),
}


@given(views(), st.fixed_dictionaries(OPTIONS), st.booleans(), st.integers(1, 3))
def test_any_logits_and_labels(
    view: tuple[Tensor, Tensor], options: dict[str, Any], weighted: bool, threads: int
) -> None:
    compare(*view, options, weighted, threads)


@given(views(), st.fixed_dictionaries(OPTIONS), st.booleans(), st.integers(1, 3), st.booleans(), st.integers(0, 3))
def test_any_logits_and_probabilities(
    view: tuple[Tensor, Tensor], options: dict[str, Any], weighted: bool, threads: int, half: bool, gap: int
) -> None:
    logits, _ = view
    generator = torch.Generator().manual_seed(gap)
    whole = torch.randn((*logits.shape[:-1], logits.shape[-1] + gap), generator=generator)
    target = (
        whole.mul(3).softmax(1).mul_(whole > -1)[..., : logits.shape[-1]].to(logits.dtype if half else torch.float32)
    )
    compare(logits, target, options, weighted, threads)


def compare(logits: Tensor, target: Tensor, options: dict[str, Any], weighted: bool, threads: int) -> None:
    """Loss and gradient are those of torch's operators."""
    weight = torch.linspace(0.1, 2.0, logits.shape[1]) if weighted else None
    before, found = torch.get_num_threads(), []
    torch.set_num_threads(threads)
    try:
        for backend in ("native", "chunked"):
            x = logits.detach().requires_grad_()
            loss = F.cross_entropy(x, target, weight, options=Options(backend), **options)
            found.append((loss.detach(), *torch.autograd.grad(loss.sum(), x)))
    finally:
        torch.set_num_threads(before)
    near, least = (
        DTYPES[logits.dtype],
        0.1 * logits.shape[1] / logits.numel(),
    )  # what a row weighs, whose gradient may cancel
    for ours, theirs in zip(*found):
        finite = theirs[theirs.isfinite()]
        scale = finite.abs().max().item() if finite.numel() else 0.0
        torch.testing.assert_close(ours, theirs, rtol=4 * near, atol=8 * near * max(scale, least), equal_nan=True)


@given(views(), st.data())
def test_a_label_that_is_no_class_raises(view: tuple[Tensor, Tensor], data: st.DataObject) -> None:
    logits, labels = view
    wrong = data.draw(st.sampled_from([logits.shape[1], -1, -101, 2**40, -(2**40)]))
    labels = labels.clone()
    labels.view(-1)[data.draw(st.integers(0, labels.numel() - 1))] = wrong
    with pytest.raises(IndexError):
        F.cross_entropy(logits.detach().requires_grad_(), labels, options=Options("native"))


WEIGHTS = st.sampled_from(["none", "one", "last", "each"])


@given(views(), WEIGHTS, WEIGHTS, st.sampled_from(["none", "sum", "mean"]), st.booleans(), st.integers(1, 3))
def test_any_binary_losses(
    view: tuple[Tensor, Tensor], by: str, positive: str, reduction: str, small: bool, threads: int
) -> None:
    """Values and gradients are those of torch's operators in float64; what is not contiguous goes another way."""
    logits, labels = view
    logits = logits.masked_fill(logits.abs() > 1e30, 3.0).nan_to_num(1.0).contiguous()
    generator = torch.Generator().manual_seed(int(labels.sum()) & 1023)
    y = torch.rand(logits.shape, generator=generator).mul(1.5).sub(0.25).clamp(0, 1)
    y = y.to(logits.dtype) if small else y
    shapes = {"one": (1,), "last": logits.shape[-1:], "each": logits.shape}
    weight, pos_weight = (
        None if kind == "none" else torch.rand(shapes[kind], generator=generator) for kind in (by, positive)
    )
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = []
        for dtype in (None, torch.float64):
            x = logits.detach().to(dtype or logits.dtype).requires_grad_()
            w, p = (v if v is None or dtype is None else v.to(dtype) for v in (weight, pos_weight))
            loss = F.binary_cross_entropy_with_logits(
                x, y if dtype is None else y.to(dtype), w, pos_weight=p, reduction=reduction
            )
            found.append((loss.detach().double(), torch.autograd.grad(loss.sum(), x)[0].double()))
    finally:
        torch.set_num_threads(before)
    near, info = 4 * max(DTYPES[logits.dtype], 2e-6), torch.finfo(logits.dtype)
    least = info.tiny * info.eps  # of which gradients are multiples
    for ours, theirs in zip(*found):
        torch.testing.assert_close(ours, theirs, rtol=near, atol=near * theirs.abs().max().item() + least)
