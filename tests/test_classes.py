"""Classes that count: num_classes, class_mask, several ignored labels; and what return_statistics tells."""

import itertools

import pytest
import torch
from torch import Tensor

import crossentropy
from crossentropy import functional as F
from crossentropy.functional import LossStatistics

N, D, V = 11, 8, 37
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 2.0**-7}
"""Of the largest entry: some roundings of sums in float32; one of the result, and one of each logit, in bfloat16."""


def _tensors(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    labels = torch.randint(V, (N,))
    labels[3] = -100
    return torch.randn(N, D, dtype=dtype), torch.randn(V, D, dtype=dtype), torch.randn(V, dtype=dtype), labels


def _mask(kind: str, labels: Tensor) -> Tensor:
    torch.manual_seed(2)
    if kind == "classes":
        mask = torch.rand(V) > 0.4
        mask[labels.clamp(min=0)] = True
        return mask
    mask = torch.rand(N, V) > 0.4
    mask[torch.arange(N), labels.clamp(min=0)] = True
    return mask


def _expected(z: Tensor, y: Tensor, mask: Tensor, smoothing: float, z_loss: float) -> Tensor:
    """The mean loss over the classes of a mask, in float64, by hand."""
    mask = mask.expand_as(z)
    log_p = z.masked_fill(~mask, -torch.inf).log_softmax(1)
    uniform = -log_p.masked_fill(~mask, 0.0).sum(1) / mask.sum(1)
    nll = -log_p.gather(1, y.clamp(min=0).unsqueeze(1)).squeeze(1)
    rows = (1 - smoothing) * nll + smoothing * uniform + z_loss * z.masked_fill(~mask, -torch.inf).logsumexp(1) ** 2
    return rows[y != -100].mean()


@pytest.mark.usefixtures("sweeps")
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("backend", ["auto", "chunked", "reference"])
@pytest.mark.parametrize("kind", ["classes", "rows"])
def test_masked_head(kind: str, backend: str, dtype: torch.dtype) -> None:
    hidden, head, bias, y = _tensors(dtype)
    mask = _mask(kind, y)
    for softcap, smoothing, z_loss, budget in itertools.product((None, 3.0), (0.0, 0.1), (0.0, 0.01), (200, None)):
        if smoothing and kind == "rows":
            continue
        given = [x.clone().requires_grad_() for x in (hidden, head, bias)]
        loss = F.linear_cross_entropy(
            given[0], given[1], y, linear_bias=given[2], class_mask=mask, softcap=softcap, label_smoothing=smoothing,
            z_loss=z_loss, options=crossentropy.Options(backend=backend, memory_budget=budget),
        )  # fmt: skip
        exact = [x.double().clone().requires_grad_() for x in (hidden, head, bias)]
        z = exact[0] @ exact[1].T + exact[2]
        z = z if softcap is None else softcap * torch.tanh(z / softcap)
        expected = _expected(z, y, mask, smoothing, z_loss)
        torch.testing.assert_close(loss.double(), expected, rtol=TOLERANCE[dtype], atol=0)
        found, wanted = torch.autograd.grad(loss, given), torch.autograd.grad(expected, exact)
        for g, e in zip(found, wanted):
            torch.testing.assert_close(g.double(), e, rtol=0, atol=4 * TOLERANCE[dtype] * e.abs().max().item())
        assert not found[1][~mask].any() if kind == "classes" else True


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("each", [False, True], ids=["classes", "rows"])
def test_what_a_class_that_does_not_count_has_in_the_head_is_not_seen(each: bool, value: float) -> None:
    """Padding of a vocabulary that was never set, say."""
    hidden, head, y = torch.randn(4, 3), torch.randn(10, 3), torch.tensor([0, 1, 2, 3])
    mask = torch.arange(10) != 7
    expected = F.linear_cross_entropy(hidden, head, y, class_mask=mask)
    head[7] = value
    leaves = hidden.requires_grad_(), head.requires_grad_()
    loss = F.linear_cross_entropy(*leaves, y, class_mask=mask.expand(4, 10) if each else mask)
    torch.testing.assert_close(loss, expected)
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss, leaves))
    tokens = F.token_statistics(hidden, y, linear_weight=head, class_mask=mask)
    assert tokens.log_prob is not None
    torch.testing.assert_close(-tokens.log_prob.mean(), expected)


@pytest.mark.parametrize("shape", [(N, V), (N, V, 5)])
@pytest.mark.parametrize("kind", ["classes", "logits"])
def test_masked_logits(kind: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(3)
    logits = torch.randn(shape, requires_grad=True)
    y = torch.randint(V, (shape[0], *shape[2:]))
    mask = torch.rand(V if kind == "classes" else shape) > 0.4
    if kind == "classes":
        y = mask.nonzero().flatten()[y % int(mask.sum())]
        over = mask.reshape(-1, *[1] * (len(shape) - 2))
    else:
        mask.scatter_(1, y.unsqueeze(1), True)
        over = mask
    loss = F.cross_entropy(logits, y, class_mask=mask)
    expected = torch.nn.functional.cross_entropy(logits.double().masked_fill(~over, -torch.inf), y)
    torch.testing.assert_close(loss.double(), expected, rtol=2e-6, atol=0)
    (g,), (e,) = torch.autograd.grad(loss, logits), torch.autograd.grad(expected, logits)
    torch.testing.assert_close(g, e, rtol=0, atol=2e-6 * e.abs().max().item())
    assert not g[~over.expand(shape)].any()


def test_nothing_of_a_masked_class_is_read() -> None:
    hidden, head, bias, y = _tensors()
    mask = _mask("classes", y)
    bias[~mask] = torch.nan
    loss = F.linear_cross_entropy(hidden, head, y, linear_bias=bias, class_mask=mask)
    assert loss == F.linear_cross_entropy(hidden, head, y, linear_bias=bias.nan_to_num(), class_mask=mask)


@pytest.mark.parametrize("backend", ["auto", "chunked", "reference"])
@pytest.mark.parametrize("scale", [0.0, -1.0])
@pytest.mark.parametrize("kind", ["classes", "rows"])
def test_masks_under_a_scale_below_zero(kind: str, scale: float, backend: str) -> None:
    """0 · (−inf) is nan, and −1 · (−inf) the most probable of all."""
    hidden, head, bias, y = _tensors()
    mask, options = _mask(kind, y), crossentropy.Options(backend=backend)
    z = scale * (hidden @ head.T + bias).double()
    settings = {"class_mask": mask, "logit_scale": scale, "options": options}
    found = F.linear_cross_entropy(hidden, head, y, linear_bias=bias, **settings)
    torch.testing.assert_close(found.double(), _expected(z, y, mask, 0.0, 0.0), rtol=2e-6, atol=0)
    given = (hidden @ head.T + bias).requires_grad_()
    loss = F.cross_entropy(given, y, **settings)
    torch.testing.assert_close(loss, found, rtol=2e-6, atol=0)
    (g,) = torch.autograd.grad(loss, given)
    assert g.isfinite().all()
    assert not g[~mask.expand_as(g)].any()


@pytest.mark.parametrize("dense", [True, False])
def test_padded_vocabulary(dense: bool) -> None:
    hidden, head, bias, y = _tensors()
    y = y.clamp(max=29)
    smooth = {"label_smoothing": 0.1, "z_loss": 0.01}
    if dense:
        z = hidden @ head.T + bias
        found, expected = F.cross_entropy(z, y, num_classes=30, **smooth), F.cross_entropy(z[:, :30], y, **smooth)
    else:
        found = F.linear_cross_entropy(hidden, head, y, linear_bias=bias, num_classes=30, **smooth)
        expected = F.linear_cross_entropy(hidden, head[:30], y, linear_bias=bias[:30], **smooth)
    assert found == expected
    with pytest.raises(IndexError, match="expected a class in"):
        F.linear_cross_entropy(hidden, head, torch.full((N,), 30), num_classes=30)


def test_several_ignored_labels() -> None:
    hidden, head, _, y = _tensors()
    y[5], y[6] = 7, -1
    for call in (
        lambda y, **ignored: F.linear_cross_entropy(hidden, head, y, **ignored),
        lambda y, **ignored: F.cross_entropy(hidden @ head.T, y, **ignored),
        lambda y, **ignored: F.focal_loss(hidden @ head.T, y, **ignored),
    ):
        one = torch.where((y == 7) | (y == -1), -100, y)
        torch.testing.assert_close(call(y, ignore_index=(-100, 7, -1)), call(one), rtol=1e-6, atol=0)
    loss = crossentropy.nn.CrossEntropyLoss(ignore_index=[7, -100, -1])
    torch.testing.assert_close(loss(hidden @ head.T, y), F.cross_entropy(hidden @ head.T, one), rtol=1e-6, atol=0)


def test_masks_of_statistics() -> None:
    hidden, head, bias, y = _tensors()
    for kind in ("classes", "rows"):
        mask = _mask(kind, y)
        found = F.token_statistics(hidden, y, linear_weight=head, linear_bias=bias, class_mask=mask)
        z = (hidden @ head.T + bias).masked_fill(~mask.expand(N, V), -torch.inf)
        expected = F.token_statistics(z, y)
        for a, b in zip(found, expected):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_labels_that_do_not_count() -> None:
    hidden, head, _, y = _tensors()
    mask = torch.ones(V, dtype=torch.bool)
    mask[y[4]] = False
    with pytest.raises(IndexError, match=rf"target\[4\] is class {int(y[4])}, which class_mask leaves out"):
        F.linear_cross_entropy(hidden, head, y, class_mask=mask)
    compiled = torch.compile(lambda h, m: F.linear_cross_entropy(h, head, y, class_mask=m), backend="aot_eager")
    assert compiled(hidden, mask).isnan()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"class_mask": torch.ones(V)}, TypeError, "class_mask is .*expected a tensor of torch.bool"),
        ({"class_mask": torch.ones(V + 1, dtype=torch.bool)}, ValueError, r"class_mask has shape \(38,\), expected"),
        ({"class_mask": torch.zeros(V, dtype=torch.bool), "label_smoothing": 0.1}, (IndexError, ValueError), "class"),
        ({"class_mask": torch.ones(N, V, dtype=torch.bool), "label_smoothing": 0.1}, ValueError, "smoothed already"),
        (
            {"class_mask": torch.ones(V, dtype=torch.bool, device="meta"), "label_smoothing": 0.1},
            ValueError,
            "class_mask is on meta",
        ),
        ({"num_classes": 0}, ValueError, r"num_classes is 0, expected a number in \[1, 37\]"),
        ({"num_classes": V + 1}, ValueError, r"num_classes is 38, expected a number in \[1, 37\]"),
        ({"num_classes": 3.0}, TypeError, "num_classes is .*expected an int"),
        ({"ignore_index": ()}, ValueError, r"ignore_index is \(\), expected one label or several"),
    ],
)
def test_wrong_classes(arguments: dict, error: type | tuple, says: str) -> None:
    hidden, head, _, y = _tensors()
    with pytest.raises(error, match=says):
        F.linear_cross_entropy(hidden, head, y, **arguments)


def test_a_mask_without_values() -> None:
    hidden, head, y, mask = (torch.empty(s, device="meta") for s in ((N, D), (V, D), (N,), (V,)))
    assert F.linear_cross_entropy(hidden, head, y.long(), class_mask=mask.bool()).is_meta
    with pytest.raises(ValueError, match="class_mask has no values to read here"):
        F.linear_cross_entropy(hidden, head, y.long(), class_mask=mask.bool(), label_smoothing=0.1)


def test_masks_differentiate_twice() -> None:
    hidden, head, bias, y = (x.double() if x.is_floating_point() else x for x in _tensors())
    few = slice(0, 3)
    for kind in ("classes", "rows"):
        mask = _mask(kind, y)
        mask = mask if kind == "classes" else mask[few]

        def loss(h: Tensor, b: Tensor, mask: Tensor = mask) -> Tensor:
            return F.linear_cross_entropy(h, head, y[few], linear_bias=b, class_mask=mask)

        given = (hidden[few].requires_grad_(), bias.requires_grad_())
        torch.autograd.gradcheck(loss, given)
        torch.autograd.gradgradcheck(loss, given, fast_mode=True)


# --- return_statistics --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight": torch.rand(V)},
        {"reduction": "sum"},
        {"reduction": "none"},
        {"z_loss": 0.01},
        {"label_smoothing": 0.1},
        {"weight": torch.rand(V), "z_loss": 0.01},
    ],
    ids=lambda options: " and ".join(options) or "plain",
)
@pytest.mark.parametrize("dense", [True, False])
def test_loss_with_statistics(dense: bool, options: dict) -> None:
    hidden, head, bias, y = _tensors()
    hidden.requires_grad_()

    def call(**more: object) -> tuple[Tensor, LossStatistics]:
        if dense:
            return F.cross_entropy(hidden @ head.T + bias, y, **options, **more)
        return F.linear_cross_entropy(hidden, head, y, linear_bias=bias, **options, **more)

    loss, found = call(return_statistics=True)
    expected: Tensor = call()
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-7)
    (g,), (e,) = torch.autograd.grad(loss.sum(), hidden), torch.autograd.grad(expected.sum(), hidden)
    torch.testing.assert_close(g, e, rtol=0, atol=2e-6 * e.abs().max().item())
    log_prob, entropy, lse, argmax = F.token_statistics((hidden @ head.T + bias).detach(), y)
    assert found.log_prob is not None
    assert found.correct is not None
    for a, b in ((found.log_prob, log_prob), (found.entropy, entropy), (found.logsumexp, lse)):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
        assert not a.requires_grad
    assert found.argmax.equal(argmax)
    assert found.correct.equal((argmax == y) & (y != -100))
    count = options.get("weight", torch.ones(V))[y.clamp(min=0)].masked_fill(y == -100, 0.0)
    torch.testing.assert_close(found.z_loss, options.get("z_loss", 0.0) * count * lse**2)


def test_the_parts_of_a_loss_add_up() -> None:
    hidden, head, _, y = _tensors()
    weight = torch.rand(V)
    loss, found = F.linear_cross_entropy(
        hidden, head, y, weight=weight, z_loss=0.1, reduction="sum", return_statistics=True
    )
    assert found.log_prob is not None
    torch.testing.assert_close(loss, (found.z_loss - weight[y.clamp(min=0)] * found.log_prob).sum())


@pytest.mark.parametrize("backend", ["chunked", "reference"])
@pytest.mark.parametrize("dense", [True, False])
def test_rows_that_are_not_read(dense: bool, backend: str) -> None:
    """What an ignored row holds reaches neither loss nor gradient of a loss with statistics, nor their derivatives."""
    hidden, head, _, y = _tensors()
    wild = hidden.clone()
    wild[y == -100] = torch.nan
    results = []
    for h in (hidden, wild):
        given = (h @ head.T if dense else h).detach().requires_grad_(), head.clone().requires_grad_()
        options = crossentropy.Options(backend=backend)
        if dense:
            loss, _ = F.cross_entropy(given[0], y, return_statistics=True, options=options)
        else:
            loss, _ = F.linear_cross_entropy(given[0], given[1], y, return_statistics=True, options=options)
        some = given[:1] if dense else given
        first = torch.autograd.grad(loss, some, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), some)
        results.append((loss, *first, *second))
    for a, b in zip(*results):
        torch.testing.assert_close(a, b)


def test_statistics_of_class_probabilities() -> None:
    hidden, head, _, _ = _tensors()
    loss, found = F.linear_cross_entropy(hidden, head, torch.full((N, V), 1 / V), return_statistics=True)
    assert loss == F.linear_cross_entropy(hidden, head, torch.full((N, V), 1 / V))
    assert found.log_prob is None
    assert found.correct is None


def test_statistics_come_with_one_product() -> None:
    """The head's logits are made once, and the gradient with them, as without statistics."""
    hidden, head, _, y = _tensors()
    hidden.requires_grad_()
    counts = []
    for extra in ({}, {"return_statistics": True}):
        with torch.utils.flop_counter.FlopCounterMode(display=False) as flops:
            result = F.linear_cross_entropy(hidden, head, y, options=crossentropy.Options(backend="chunked"), **extra)
            (result[0] if extra else result).backward()
        counts.append(flops.get_total_flops())
    assert counts[0] == counts[1] > 0
