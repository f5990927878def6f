"""Options(valid_rows=…): products see the rows that count alone, and the loss is what it is without."""

from typing import Any

import pytest
import torch
from torch import Tensor

from crossentropy import Options, _planner, _valid_rows
from crossentropy import functional as F

D, C = 6, 11
SHAPES = {"rows": ((20,), ()), "sequences": ((4, 5), ()), "positions": ((20,), (2, 3))}
"""Axes of the hidden states before D, and of the head between C and D."""
CHANGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "smoothing": {"label_smoothing": 0.1, "z_loss": 1e-2},
    "class weights": {"weight": torch.rand(C, dtype=torch.float64)},
    "denominator": {"denominator": 7.0},
}


def problem(shape: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states, head, bias, and labels of which those of about half of the rows are ignored."""
    generator = torch.Generator().manual_seed(0)
    before, inner = SHAPES[shape]
    h, w, b = (
        torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_()
        for size in ((*before, D), (C, *inner, D), (C, *inner))
    )
    y = torch.randint(C, (*before, *inner), generator=generator)
    idle = torch.rand((*before, *[1] * len(inner)), generator=generator) < 0.5
    y = y.masked_fill(idle, -100)
    if inner:
        y[:, 1] = -100  # a row counts if one of its positions does
    return h, w, b, y


def counting(y: Tensor, before: int) -> int:
    return int((y != -100).reshape(before, -1).any(1).sum())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_loss_is_what_it_is_without(shape: str, change: str, reduction: str) -> None:
    h, w, b, y = problem(shape)
    options = dict(CHANGES[change])
    if reduction != "mean":
        options.pop("denominator", None)
    t = torch.rand(y.shape, dtype=torch.float64, requires_grad=True)
    count, found = counting(y, 20), []
    for bound in (None, count, count + 3, 20, 1000):
        loss = F.linear_cross_entropy(
            h, w, y, linear_bias=b, token_weight=t, reduction=reduction, options=Options(valid_rows=bound), **options
        )
        upstream = torch.linspace(1, 2, loss.numel(), dtype=torch.float64).reshape(loss.shape)
        found.append((loss, *torch.autograd.grad(loss, (h, w, b, t), upstream)))
    for other in found[1:]:
        for ours, expected in zip(other, found[0]):  # of other orders of the same few sums
            torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


def test_products_see_no_other_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    h, w, _, y = problem("sequences")
    seen, plan = [], _planner.plan
    monkeypatch.setattr(_planner, "plan", lambda work, *more: seen.append(work.rows) or plan(work, *more))
    count = counting(y, 20)
    F.linear_cross_entropy(h, w, y, options=Options("chunked", valid_rows=count)).backward()
    assert set(seen) == {count}


def test_rows_that_count_for_nothing_may_be_chosen() -> None:
    h, w, _, y = problem("rows")
    y[:] = -100
    h.data[3] = torch.nan
    options = Options(valid_rows=5)
    loss = F.linear_cross_entropy(h, w, y, reduction="sum", options=options)
    assert loss == 0
    assert not any(g.any() for g in torch.autograd.grad(loss, (h, w)))
    assert F.linear_cross_entropy(h, w, y, options=options).isnan()


def test_more_rows_than_said_are_an_error() -> None:
    h, w, _, y = problem("rows")
    with pytest.raises(ValueError, match=rf"valid_rows=2\).*{counting(y, 20)} of 20 do"):
        F.linear_cross_entropy(h, w, y, options=Options(valid_rows=2))
    with pytest.raises(ValueError, match=r"valid_rows=19\).* 20 of 20 do"):
        F.linear_cross_entropy(h, w, y.clamp(min=0), options=Options(valid_rows=19))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_more_rows_than_said_are_nan_where_labels_cannot_be_read(
    reduction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    h, w, _, y = problem("rows")
    monkeypatch.setattr(_valid_rows, "readable", lambda _: False)
    count = counting(y, 20)
    for bound, wrong in ((count, False), (count - 1, True)):
        loss = F.linear_cross_entropy(h, w, y, reduction=reduction, options=Options(valid_rows=bound))
        gradients = torch.autograd.grad(loss.sum(), (h, w))
        assert bool(loss.isnan().any()) == wrong
        assert [bool(g.isnan().any()) for g in gradients] == [wrong, wrong]


def test_derivatives_of_higher_order_and_compilers_know_of_it() -> None:
    h, w, _, y = problem("rows")
    options = Options(valid_rows=counting(y, 20))

    def loss(h: Tensor, options: Options | None = options) -> Tensor:
        return F.linear_cross_entropy(h, w, y, options=options)

    torch.testing.assert_close(
        torch.autograd.functional.hvp(loss, h.detach(), h.detach())[1],
        torch.autograd.functional.hvp(lambda x: loss(x, None), h.detach(), h.detach())[1],
    )
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(torch.autograd.grad(compiled(h), h), torch.autograd.grad(loss(h), h))


def test_other_losses_are_not_changed() -> None:
    h, w, _, y = problem("rows")
    options, p = Options(valid_rows=2), torch.full((20, C), 1 / C, dtype=torch.float64)
    assert torch.equal(F.linear_cross_entropy(h, w, p, options=options), F.linear_cross_entropy(h, w, p))
    assert torch.equal(F.cross_entropy(h, y % D, options=options), F.cross_entropy(h, y % D, options=Options()))
    ours, expected = (F.token_statistics(h, y, linear_weight=w, options=o) for o in (options, None))
    assert all(map(torch.equal, ours, expected))
