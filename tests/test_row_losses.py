"""Losses that are made of a row's statistics, or of a few of its classes: against float64, by hand."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as T
from torch import Tensor

import crossentropy
from crossentropy import functional as F
from crossentropy import nn
from crossentropy.testing import peak_bytes

N, D, V, K = 7, 6, 19, 4


def _tensors(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    y = torch.randint(V, (N,))
    y[2] = -100
    return (
        torch.randn(N, D, dtype=dtype, requires_grad=True),
        torch.randn(V, D, dtype=dtype, requires_grad=True),
        torch.randn(V, dtype=dtype, requires_grad=True),
        y,
    )


def _agree(found: Tensor, expected: Tensor, of: tuple[Tensor, ...], tolerance: float = 1e-12) -> None:
    """A loss and its gradients, in float64: some roundings of sums of a few numbers of size 10."""
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    for g, e in zip(torch.autograd.grad(found, of, retain_graph=True), torch.autograd.grad(expected, of)):
        torch.testing.assert_close(g, e, rtol=0, atol=tolerance * max(1.0, e.abs().max().item()))


ROWS: dict[str, tuple[Callable[..., Tensor], Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
    "focal": (F.focal_loss, lambda log_p, _, __: -((1 - log_p.exp()) ** 2) * log_p),
    "focal 0.5": (
        lambda *x, **y: F.focal_loss(*x, gamma=0.5, **y),
        lambda log_p, _, __: -((1 - log_p.exp()) ** 0.5) * log_p,
    ),
    "poly": (F.poly1_loss, lambda log_p, _, __: -log_p + 1 - log_p.exp()),
    "generalised": (F.generalized_cross_entropy, lambda log_p, _, __: (1 - log_p.exp() ** 0.7) / 0.7),
    "q = 0": (lambda *x, **y: F.generalized_cross_entropy(*x, q=0, **y), lambda log_p, _, __: -log_p),
    "own": (
        lambda *x, **y: F.row_loss(lambda r: r.log_prob.square() - 0.1 * r.entropy + 0.01 * r.logsumexp, *x, **y),
        lambda log_p, entropy, lse: log_p.square() - 0.1 * entropy + 0.01 * lse,
    ),
}


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("name", ROWS)
def test_row_losses(name: str, linear: bool, backend: str) -> None:
    function, rows = ROWS[name]
    hidden, head, bias, y = _tensors()
    weight, t, counts = torch.rand(V).double(), torch.rand(N).double(), y != -100
    t[4] = 0.0
    z = hidden @ head.T + bias
    log_p, label = z.log_softmax(1), y.clamp(min=0)
    entropy, lse = -(log_p.exp() * log_p).sum(1), z.logsumexp(1)
    picked = t * weight[label] * counts
    expected = (picked * rows(log_p.gather(1, label[:, None])[:, 0], entropy, lse)).sum() / picked.sum()
    more = {"linear_weight": head, "linear_bias": bias} if linear else {}
    more["options"] = crossentropy.Options(backend=backend)
    found = function(hidden if linear else z, y, weight=weight, token_weight=t, **more)
    _agree(found, expected, (hidden, head, bias))


def test_rows_that_do_not_count_are_not_read() -> None:
    hidden, head, bias, y = (x.detach() for x in _tensors())
    t = torch.ones(N).double()
    t[5] = 0.0
    wild = hidden.clone()
    wild[2], wild[5] = torch.nan, torch.inf
    index, log_p = torch.arange(K).expand(N, K), torch.full((N, K), -2.0).double()
    for call in (
        lambda h, w: F.focal_loss(h, y, gamma=0.5, linear_weight=w, linear_bias=bias, token_weight=t),
        lambda h, w: F.row_loss(lambda r: (-r.log_prob).sqrt(), h, y, linear_weight=w, token_weight=t),
        lambda h, w: F.cosine_cross_entropy(h, w, y, scale=8.0, margin=0.1, angular_margin=0.2, token_weight=t),
        lambda h, w: F.sampled_linear_cross_entropy(h, w, y, negatives=torch.arange(5), token_weight=t),
        lambda h, w: F.linear_topk_kl_div(h, w, index, log_p, token_weight=t * (y != -100)),
    ):
        results = []
        for given in (hidden, wild):
            given, w = given.clone().requires_grad_(), head.clone().requires_grad_()
            loss = call(given, w)
            results.append((loss, *torch.autograd.grad(loss, (given, w))))
        for a, b in zip(*results):
            assert a.isfinite().all()
            torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_tiny_losses_keep_their_digits() -> None:
    """1 − p of a certain row is Σ of the other classes' p: 1e-26 here, where 1 − p is 0 in float32."""
    z = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    y, p = torch.tensor([0]), 2 * math.exp(-60)
    for loss, expected in (
        (F.focal_loss(z, y, gamma=0.0), p),
        (F.focal_loss(z, y, gamma=0.2), p**1.2),
        (F.poly1_loss(z, y), 2 * p),
        (F.generalized_cross_entropy(z, y), p),
    ):
        assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_certain_rows_have_a_finite_gradient() -> None:
    z = torch.tensor([[1e4, 0.0]], requires_grad=True)
    for gamma in (0.0, 0.3, 1.0, 2.0):
        F.focal_loss(z, torch.tensor([0]), gamma=gamma).backward()
        assert z.grad is not None
        assert not z.grad.any()


def test_modules() -> None:
    hidden, head, bias, y = _tensors()
    z, weight = hidden @ head.T + bias, torch.rand(V).double()
    for module, function in (
        (
            nn.FocalLoss(3.0, weight=weight, reduction="sum"),
            lambda: F.focal_loss(z, y, gamma=3.0, weight=weight, reduction="sum"),
        ),
        (nn.Poly1Loss(-1.0, logit_scale=0.5), lambda: F.poly1_loss(z, y, epsilon=-1.0, logit_scale=0.5)),
        (nn.GeneralizedCrossEntropyLoss(0.3), lambda: F.generalized_cross_entropy(z, y, q=0.3)),
    ):
        assert module(z, y) == function()
        assert "weight" in repr(nn.FocalLoss(weight=weight))
    cosine = nn.CosineCrossEntropyLoss(D, V, scale=8.0, angular_margin=0.3, dtype=torch.float64)
    expected = F.cosine_cross_entropy(hidden, cosine.linear_weight, y, scale=8.0, angular_margin=0.3)
    assert cosine(hidden, y) == expected
    expected.backward()
    assert cosine.linear_weight.grad is not None


# --- the most probable classes of a teacher -----------------------------------------------------------------------


@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("tail", ["rest", "none"])
def test_sparse_teacher(tail: str, temperature: float, softcap: float | None) -> None:
    hidden, head, bias, _ = _tensors()
    log_p, index = (torch.randn(N, V).double() / temperature).log_softmax(1).topk(K)
    more, of = {"tail": tail, "temperature": temperature, "softcap": softcap}, (hidden, head, bias)

    def expected() -> Tensor:
        z = hidden @ head.T + bias
        capped = z if softcap is None else softcap * torch.tanh(z / softcap)
        log_q = (capped / temperature).log_softmax(1).gather(1, index)
        rows = (log_p.exp() * (log_p - log_q)).sum(1)
        if tail == "rest":
            p, q = 1 - log_p.exp().sum(1), 1 - log_q.exp().sum(1)
            rows = rows + p * (p.log() - q.log())
        return rows.mean()

    _agree(F.linear_topk_kl_div(hidden, head, index, log_p, linear_bias=bias, **more), expected(), of)
    _agree(F.topk_kl_div_with_logits(hidden @ head.T + bias, index, log_p, **more), expected(), of)


@pytest.mark.parametrize("tail", ["rest", "none"])
def test_all_classes_of_a_teacher(tail: str) -> None:
    hidden, head, bias, _ = _tensors()
    log_p = torch.randn(N, V).double().log_softmax(1)
    index = torch.stack([torch.randperm(V) for _ in range(N)])
    expected = T.kl_div((hidden @ head.T + bias).log_softmax(1), log_p, log_target=True, reduction="batchmean")
    given = log_p.gather(1, index)
    _agree(
        F.linear_topk_kl_div(hidden, head, index, given, linear_bias=bias, tail=tail), expected, (hidden, head, bias)
    )


def test_a_class_axis_that_is_not_the_last() -> None:
    z, (log_p, index) = torch.randn(2, V, 3), torch.randn(2, V, 3).log_softmax(1).topk(K, 1)
    found = F.topk_kl_div_with_logits(z, index, log_p, dim=1, reduction="none")
    moved = F.topk_kl_div_with_logits(z.mT, index.mT, log_p.mT, reduction="none")
    assert found.shape == (2, 3)
    torch.testing.assert_close(found, moved)


@pytest.mark.parametrize("scale", [0.0, -1.0])
def test_a_scale_below_zero(scale: float) -> None:
    """Chosen classes are left out of the others by −inf, which such a scale would make nan or the largest."""
    hidden, head, bias, y = _tensors()
    log_p, index = torch.randn(N, V).double().log_softmax(1).topk(K)
    found = F.linear_topk_kl_div(hidden, head, index, log_p, linear_bias=bias, logit_scale=scale)
    torch.testing.assert_close(
        found, F.topk_kl_div_with_logits(hidden @ head.T + bias, index, log_p, logit_scale=scale)
    )
    if scale:
        found = F.sampled_linear_cross_entropy(hidden, head, y, negatives=torch.arange(V), logit_scale=scale)
        torch.testing.assert_close(found, T.cross_entropy(scale * hidden @ head.T, y))


def test_a_class_that_is_none() -> None:
    hidden, head, _, _ = _tensors()
    log_p, index = torch.randn(N, V).double().log_softmax(1).topk(K)
    padded = torch.cat([index, torch.full((N, 2), -1)], 1), torch.cat([log_p, torch.zeros(N, 2).double()], 1)
    assert F.linear_topk_kl_div(hidden, head, *padded) == F.linear_topk_kl_div(hidden, head, index, log_p)


def test_the_student_is_sure() -> None:
    """q_rest is a sum, e^-50, not 1 − q: in float32 that is 0, and the loss would be inf."""
    z = torch.tensor([[50.0, 0.0, -1.0]])
    p = torch.tensor([[0.9]])
    loss = F.topk_kl_div_with_logits(z, torch.tensor([[0]]), p.log())
    rest = torch.tensor([1 + math.exp(-1)]).double().log() - 50
    assert loss.item() == pytest.approx((0.9 * math.log(0.9) + 0.1 * (math.log(0.1) - rest)).item(), rel=1e-6)


@pytest.mark.parametrize(
    ("index", "log_p", "error", "says"),
    [
        (torch.zeros(N, K), torch.zeros(N, K), TypeError, "teacher_indices is .*expected classes"),
        (torch.zeros(N, K).long(), torch.zeros(N, K).long(), TypeError, "teacher_log_probs is"),
        (torch.zeros(K, N).long(), torch.zeros(K, N), ValueError, r"teacher_indices has shape .*expected \(7, K\)"),
        (
            torch.full((N, 1), V),
            torch.full((N, 1), -1.0),
            IndexError,
            r"teacher_indices\[0, 0\] is 19, expected a class",
        ),
        (torch.arange(K).expand(N, K), torch.zeros(N, K), ValueError, "the probabilities of row .* sum to 4"),
    ],
)
def test_wrong_teacher(index: Tensor, log_p: Tensor, error: type[Exception], says: str) -> None:
    hidden, head, _, _ = _tensors()
    with pytest.raises(error, match=says):
        F.linear_topk_kl_div(hidden, head, index, log_p)


# --- cosines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("margin", "angle"), [(0.0, 0.0), (0.35, 0.0), (0.0, 0.5), (0.2, 0.3), (0.0, 3.0)])
def test_margins(margin: float, angle: float) -> None:
    hidden, head, _, y = _tensors()
    cosines = T.normalize(hidden, dim=1) @ T.normalize(head, dim=1).T
    at = cosines.gather(1, y.clamp(min=0)[:, None])
    theta = at.acos()
    turned = torch.where(theta + angle < math.pi, (theta + angle).cos(), at - angle * math.sin(angle)) - margin
    expected = T.cross_entropy(8 * cosines.scatter(1, y.clamp(min=0)[:, None], turned), y)
    found = F.cosine_cross_entropy(hidden, head, y, scale=8.0, margin=margin, angular_margin=angle)
    _agree(found, expected, (hidden, head), 1e-11)  # acos loses some digits


def test_a_cosine_of_one_has_a_finite_gradient() -> None:
    hidden = torch.eye(3, requires_grad=True)
    F.cosine_cross_entropy(hidden, 2 * torch.eye(3), torch.arange(3), scale=8.0, angular_margin=0.5).backward()
    assert hidden.grad is not None
    assert hidden.grad.isfinite().all()


@pytest.mark.parametrize("factor", [2.0**-100, 2.0**-66, 2.0**66, 2.0**100])
def test_cosines_are_of_any_length(factor: float) -> None:
    """Squares of such numbers are 0 or infinite in float32; the numbers themselves are exact multiples."""
    hidden, head, y = torch.randn(6, 4), torch.randn(5, 4), torch.arange(6) % 5
    expected = F.cosine_cross_entropy(hidden, head, y, scale=8.0, angular_margin=0.3)
    for h, w in ((factor * hidden, head), (hidden, factor * head)):
        leaves = [x.requires_grad_() for x in (h.clone(), w.clone())]
        found = F.cosine_cross_entropy(*leaves, y, scale=8.0, angular_margin=0.3)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
        half, given = (F.cosine_cross_entropy(*x, y, scale=8.0) for x in ((h.bfloat16(), w), (hidden.bfloat16(), head)))
        torch.testing.assert_close(half, given, rtol=1e-5, atol=0)
        assert all(g.isfinite().all() and g.any() for g in torch.autograd.grad(found, leaves))


@pytest.mark.parametrize("angle", [1e-4, 1e-3, 1e-2, 0.3, 3.14])
def test_a_label_near_its_class_has_an_exact_margin(angle: float) -> None:
    """√(1 − cos²) of a cosine in float32 has no digit left at 1e-4; u and v are as exact as their lengths, 2⁻²² say."""
    u, v = torch.tensor([0.6, 0.8, 0.0]).double(), torch.tensor([-0.8, 0.6, 0.0]).double()
    hidden, head = u[None].float(), torch.eye(3)
    head[1] = (math.cos(angle) * u + math.sin(angle) * v).float()
    found, exact = [], []
    for dtype, result in ((torch.float32, found), (torch.float64, exact)):
        h, w = hidden.to(dtype).requires_grad_(), head.to(dtype).requires_grad_()
        loss = F.cosine_cross_entropy(h, w, torch.tensor([1]), scale=64.0, angular_margin=0.5)
        result += [loss.detach(), *torch.autograd.grad(loss, (h, w))]
    near = 64 * 2.0**-22 + 2.0**-22 / angle  # of a logit, whose scale is 64; of an angle, relatively
    for a, e in zip(found, exact):
        assert (a.double() - e).norm() <= near * e.norm()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_vectors_of_length_zero(margin: float, dtype: torch.dtype) -> None:
    """As padding has them, or an ignored row: their cosines are 0, and their gradient is, not 1e12."""
    hidden, head, _, y = (x.detach() for x in _tensors(dtype))
    hidden[0], head[(int(y[0]) + 1) % V] = 0.0, 0.0
    hidden.requires_grad_()
    head.requires_grad_()
    loss = F.cosine_cross_entropy(hidden, head, y, scale=8.0, margin=margin)
    loss.backward()
    assert loss.isfinite()
    for x in (hidden, head):
        assert x.grad is not None
        assert x.grad.isfinite().all()
        assert not x.grad[(x == 0).all(-1)].any()
    rows = F.cosine_cross_entropy(hidden, head, y, scale=8.0, reduction="none")
    assert rows[0].item() == pytest.approx(math.log(V), rel=2 * torch.finfo(dtype).eps)


# --- sampled classes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("corrected", [True, False])
def test_given_negatives(corrected: bool) -> None:
    hidden, head, bias, y = _tensors()
    negatives = torch.tensor([0, 3, 5, 5, int(y[0])])
    log_q = torch.randn(V).double().log_softmax(0) if corrected else None
    z = 2 * (hidden @ head.T + bias)
    others = z[:, negatives] - (0.0 if log_q is None else log_q[negatives] + math.log(len(negatives)))
    others = others.masked_fill(negatives == y[:, None], -torch.inf)
    rows = torch.cat([z.gather(1, y.clamp(min=0)[:, None]), others], 1)
    expected = T.cross_entropy(rows, torch.where(y == -100, -100, 0))
    more = {"negatives": negatives, "log_q": log_q, "linear_bias": bias, "logit_scale": 2.0}
    _agree(F.sampled_linear_cross_entropy(hidden, head, y, **more), expected, (hidden, head, bias))
    sparse = F.sampled_linear_cross_entropy(hidden, head, y, sparse=True, **more)
    (g,), (e,) = (
        torch.autograd.grad(sparse, head, retain_graph=True),
        torch.autograd.grad(F.sampled_linear_cross_entropy(hidden, head, y, **more), head),
    )
    assert g.layout == torch.sparse_coo
    torch.testing.assert_close(g.to_dense(), e)


@pytest.mark.parametrize("sampler", ["uniform", "log_uniform"])
def test_the_loss_tends_to_cross_entropy(sampler: str) -> None:
    """The error of a mean of S terms is their deviation / √S: here about 10 / 450 of a partition, 6 deviations."""
    hidden, head, bias, y = (x.detach() for x in _tensors())
    generator = torch.Generator().manual_seed(0)
    found = F.sampled_linear_cross_entropy(
        hidden, head, y, negatives=sampler, num_samples=200_000, linear_bias=bias, generator=generator
    )
    assert found.item() == pytest.approx(F.linear_cross_entropy(hidden, head, y, linear_bias=bias).item(), abs=0.02)


def test_modules_of_some_classes() -> None:
    hidden, head, _, y = _tensors()
    sampled = nn.SampledLinearCrossEntropyLoss(D, V, negatives="in_batch", bias=True, dtype=torch.float64)
    given = sampled.linear.weight, y
    expected = F.sampled_linear_cross_entropy(hidden, *given, negatives="in_batch", linear_bias=sampled.linear.bias)
    assert sampled(hidden, y) == expected
    assert sampled.eval()(hidden, y) == F.linear_cross_entropy(hidden, *given, linear_bias=sampled.linear.bias)
    log_p, index = torch.randn(N, V).double().log_softmax(1).topk(K)
    top = nn.LinearTopKKLDivLoss(tail="none", temperature=2.0)
    assert top(hidden, head, index, log_p) == F.linear_topk_kl_div(
        hidden, head, index, log_p, tail="none", temperature=2
    )
    assert repr(top) == "LinearTopKKLDivLoss(tail='none', temperature=2.0)"
    with pytest.raises(ValueError, match="tail is 'all', expected 'rest' or 'none'"):
        nn.LinearTopKKLDivLoss(tail="all")


@pytest.mark.parametrize("corrected", [True, False])
def test_negatives_in_the_batch(corrected: bool) -> None:
    """They are the labels of rows that count: of none that is ignored, or has a token weight of 0."""
    hidden, head, _, y = _tensors()
    t = torch.ones(N).double()
    t[1] = 0.0
    more = {"token_weight": t, "log_q": torch.randn(V).double().log_softmax(0) if corrected else None}
    given = F.sampled_linear_cross_entropy(hidden, head, y, negatives=y[(y != -100) & (t != 0)], **more)
    found = F.sampled_linear_cross_entropy(hidden, head, y, negatives="in_batch", **more)
    torch.testing.assert_close(found, given)


@pytest.mark.parametrize("rows", ["none", "ignored", "on meta"])
def test_batches_without_labels(rows: str) -> None:
    hidden, head, _, y = (x.detach() for x in _tensors())
    hidden, y = (hidden[:0], y[:0]) if rows == "none" else (hidden, torch.full_like(y, -100))
    if rows == "on meta":
        hidden, head, y = (x.to("meta") for x in (hidden, head, y))
    head.requires_grad_()
    loss = F.sampled_linear_cross_entropy(hidden, head, y, negatives="in_batch", reduction="sum")
    loss.backward()
    assert head.grad is not None
    if rows == "on meta":
        assert head.grad.is_meta
    else:
        assert loss == 0
        assert not head.grad.any()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"negatives": "uniform", "num_samples": 3, "generator": 3}, TypeError, "generator is"),
        ({"negatives": "in_batch", "sparse": "yes"}, TypeError, "sparse is 'yes', expected True or False"),
        ({"negatives": "best"}, TypeError, "negatives is 'best'"),
        ({"negatives": "uniform"}, ValueError, "num_samples is None, expected a number"),
        ({"negatives": torch.tensor([], dtype=torch.int64)}, ValueError, "negatives is empty"),
        ({"negatives": torch.tensor([V])}, IndexError, r"negatives\[0\] is 19, expected a class"),
        ({"negatives": "in_batch", "num_samples": 3}, ValueError, "num_samples is given"),
        ({"negatives": "in_batch", "log_q": torch.zeros(3)}, ValueError, "log_q is"),
    ],
)
def test_wrong_negatives(arguments: dict, error: type[Exception], says: str) -> None:
    hidden, head, _, y = _tensors()
    with pytest.raises(error, match=says):
        F.sampled_linear_cross_entropy(hidden, head, y, **arguments)


@pytest.mark.parametrize(
    ("log_q", "says"),
    [
        (torch.full((V,), 1 / V), r"log_q\[0\] is 0.0526316, expected log-probabilities, .* pass log_q.log\(\)"),
        (torch.eye(V)[2].half(), r"log_q\[2\] is 1, .* as probabilities do; pass log_q.log\(\)"),
        (torch.arange(0.0, V), r"log_q\[1\] is 1, expected log-probabilities, which are ≤ 0: of counts n, "),
        (torch.arange(-1.0, V - 1), r"log_q\[2\] is 1, .* \(n / n.sum\(\)\).log\(\)"),
        (torch.full((V,), math.nan), r"log_q\[0\] is nan"),
    ],
)
def test_what_is_no_log_probability(log_q: Tensor, says: str) -> None:
    hidden, head, _, y = _tensors()
    given = {"negatives": torch.arange(4), "log_q": log_q}
    F.sampled_linear_cross_entropy(hidden, head, y, **given)  # nobody looks
    with pytest.raises(ValueError, match=says):
        F.sampled_linear_cross_entropy(hidden, head, y, **given, validate=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_what_may_be_a_log_probability(dtype: torch.dtype) -> None:
    hidden, head, _, y = _tensors()
    above = torch.full((V,), -50.0).index_fill(0, torch.tensor(3), 2.0**-9 if dtype.itemsize == 2 else 2.0**-22)
    for log_q in (torch.zeros(V), torch.randn(V).log_softmax(0), above):  # zeros correct nothing but the count
        given = {"negatives": torch.arange(4), "log_q": log_q.to(dtype)}
        loss = F.sampled_linear_cross_entropy(hidden, head, y, **given, validate=True)
        assert loss.equal(F.sampled_linear_cross_entropy(hidden, head, y, **given))


def test_losses_need_labels() -> None:
    hidden, head, _, _ = _tensors()
    for call in (
        lambda y: F.focal_loss(hidden, y),
        lambda y: F.cosine_cross_entropy(hidden, head, y),
        lambda y: F.sampled_linear_cross_entropy(hidden, head, y, negatives="in_batch"),
    ):
        with pytest.raises(TypeError, match="target is a NoneType, expected"):
            call(None)


# --- all of them --------------------------------------------------------------------------------------------------


def _calls() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    y = torch.tensor([1, 0, 3])
    log_p, index = torch.randn(3, V, generator=torch.Generator().manual_seed(5)).double().log_softmax(1).topk(2)
    return {
        "focal": lambda h, w: F.focal_loss(h, y, linear_weight=w),
        "weighted": lambda h, w: F.poly1_loss(h, y, linear_weight=w, weight=torch.arange(1.0, 1 + len(w))),
        "topk": lambda h, w: F.linear_topk_kl_div(h, w, index, log_p),
        "cosine": lambda h, w: F.cosine_cross_entropy(h, w, y, scale=4.0, margin=0.1, angular_margin=0.2),
        "sampled": lambda h, w: F.sampled_linear_cross_entropy(h, w, y, negatives=torch.tensor([0, 4, 1, 5])),
        "in the batch": lambda h, w: F.sampled_linear_cross_entropy(
            h, w, y, negatives="in_batch", log_q=-w[:, 0].exp()
        ),
    }


@pytest.mark.parametrize("name", _calls())
def test_derivatives(name: str) -> None:
    call = _calls()[name]
    hidden, head, _, _ = _tensors()
    given = (hidden[:3].detach().requires_grad_(), head[:6].detach().requires_grad_() if name != "topk" else head)
    torch.autograd.gradcheck(call, given, fast_mode=True)
    torch.autograd.gradgradcheck(call, given, fast_mode=True)
    primals = tuple(x.detach() for x in given)
    directions = tuple(torch.ones_like(x) for x in primals)
    value, slope = torch.func.jvp(call, primals, directions)
    expected = sum((g * d).sum() for g, d in zip(torch.autograd.grad(call(*given), given), directions))
    torch.testing.assert_close(value, call(*primals))
    torch.testing.assert_close(slope, expected)
    compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*primals), call(*primals))


def test_no_logits() -> None:
    rows, classes, features = 512, 8192, 16
    hidden, head = torch.randn(rows, features), torch.randn(classes, features)
    y = torch.randint(classes, (rows,))
    logits = rows * classes * 4
    index = torch.randint(classes, (rows, 8)).sort(1).values
    log_p = torch.full((rows, 8), -4.0)
    budget = crossentropy.Options(memory_budget=logits // 16)

    def peak(call: Callable[[Tensor, Tensor], Tensor]) -> int:
        given = (hidden.clone().requires_grad_(), head.clone().requires_grad_())
        return peak_bytes(lambda: call(*given).backward())

    for call in (
        lambda h, w: F.focal_loss(h, y, linear_weight=w, options=budget),
        lambda h, w: F.linear_topk_kl_div(h, w, index, log_p, options=budget),
        lambda h, w: F.cosine_cross_entropy(h, w, y, margin=0.2, options=budget),
        lambda h, w: F.sampled_linear_cross_entropy(h, w, y, negatives="uniform", num_samples=4096, options=budget),
    ):
        assert peak(call) < logits / 2
