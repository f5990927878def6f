"""The functions as drop-ins: signatures, shapes, the improvements over torch one by one, and the additions."""

import inspect
import math
import warnings
from fractions import Fraction
from typing import ClassVar

import mpmath
import numpy as np
import pytest
import torch
import torch.nn.functional as TF
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

import crossentropy.functional as F
from crossentropy import Options, _tiny, information, nn
from crossentropy.testing import assert_accurate, hostile_logits

INTEGERS = [
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64,
]  # fmt: skip
BINARY = ["binary_cross_entropy", "binary_cross_entropy_with_logits"]
NAMES = ["softmax", "log_softmax", "nll_loss", "cross_entropy", "kl_div", "linear_cross_entropy", *BINARY]


def gradient(loss: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, inputs)


# --- drop-in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(TF, name)])
def test_signatures_begin_with_torchs(name: str) -> None:
    ours = inspect.signature(getattr(F, name)).parameters
    for position, (key, theirs) in enumerate(inspect.signature(getattr(TF, name)).parameters.items()):
        assert ours[key].kind == theirs.kind
        assert ours[key].default == theirs.default
        if theirs.kind == theirs.POSITIONAL_OR_KEYWORD:
            assert list(ours)[position] == key
    extra = [p for key, p in ours.items() if key not in inspect.signature(getattr(TF, name)).parameters]
    assert all(p.kind == p.KEYWORD_ONLY and p.default is not p.empty for p in extra)


@pytest.mark.parametrize("name", ["nll_loss", "cross_entropy", "kl_div", *BINARY])
@pytest.mark.parametrize(
    ("old", "new"), [({"size_average": False}, "sum"), ({"reduce": False}, "none"), ({"size_average": True}, "mean")]
)
def test_deprecated_arguments_work_and_warn_as_torchs(name: str, old: dict, new: str) -> None:
    x = torch.rand(3, 4) if name in BINARY else torch.randn(3, 4).log_softmax(1)
    y = torch.randn(3, 4).softmax(1) if name in ("kl_div", *BINARY) else torch.tensor([0, 1, 2])
    messages = []
    for module in (F, TF):
        with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated") as record:
            result = getattr(module, name)(x, y, **old)
        messages.append([str(w.message) for w in record])
    assert messages[0] == messages[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.testing.assert_close(result, getattr(F, name)(x, y, reduction=new))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_implicit_axis_warns_at_the_callers_line(name: str) -> None:
    x = torch.randn(3, 4)
    with pytest.warns(UserWarning, match="Implicit dimension choice") as record:
        result = getattr(F, name)(x)
    assert record[0].filename == __file__
    torch.testing.assert_close(result, getattr(F, name)(x, 1))


@pytest.mark.parametrize("shape", [(5,), (4, 5), (4, 5, 3), (2, 5, 3, 2), (0, 5), (0, 5, 2), (2, 5, 0)])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_every_shape_with_indices_and_probabilities(shape: tuple[int, ...], reduction: str, device: str) -> None:
    x = torch.randn(shape, device=device)
    c = 0 if len(shape) == 1 else 1
    y = torch.randint(0, 5, shape[:c] + shape[c + 1 :], device=device)
    p = torch.randn(shape, device=device).softmax(c)
    for target in (y, p):
        torch.testing.assert_close(
            F.cross_entropy(x, target, reduction=reduction),
            TF.cross_entropy(x, target, reduction=reduction),
            equal_nan=True,
        )
    result = F.nll_loss(x.log_softmax(c), y, reduction=reduction)
    torch.testing.assert_close(result, TF.nll_loss(x.log_softmax(c), y, reduction=reduction), equal_nan=True)


@pytest.mark.parametrize("kind", ["ordinary", "flat", "huge", "tiny", "one-hot", "peaked", "masked"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_cross_entropy_is_nll_loss_of_log_softmax(kind: str, reduction: str) -> None:
    x = hostile_logits(6, 5)[kind]
    y = torch.tensor([0, 2, 4, 0, 2, 4])
    weight = torch.rand(5)
    expected = F.nll_loss(F.log_softmax(x, 1), y, weight, reduction=reduction, ignore_index=4)
    # two orders of the same sums: a few roundings of each row, of which all terms are ≥ 0
    assert_accurate(F.cross_entropy(x, y, weight, reduction=reduction, ignore_index=4), expected.double(), roundings=12)


def test_cross_entropy_is_the_quantity_of_information_theory() -> None:
    x, p = torch.randn(6, 5, dtype=torch.float64), torch.randn(6, 5, dtype=torch.float64).softmax(1)
    expected = information.cross_entropy(p, q_logits=x)
    torch.testing.assert_close(F.cross_entropy(x, p, reduction="none"), expected)
    torch.testing.assert_close(
        F.kl_div(x.log_softmax(1), p, reduction="batchmean"), information.kl_divergence(p, q_logits=x).mean()
    )


def test_the_rest_of_torchs_modules_is_pointed_to() -> None:
    with pytest.raises(AttributeError, match=r"it is in torch\.nn\.functional, this module has .*cross_entropy"):
        F.relu
    with pytest.raises(AttributeError, match=r"it is in torch\.nn, this module has .*CrossEntropyLoss"):
        nn.Linear
    with pytest.raises(AttributeError, match=r"has no attribute 'crossentropy'$"):
        F.crossentropy


def test_numbers_of_numpy_and_others_are_taken() -> None:
    x, y = torch.randn(3, 4), torch.tensor([0, 1, 2])
    expected = F.cross_entropy(x, y, label_smoothing=0.125, z_loss=0.5, ignore_index=1)
    for half, one in ((np.float64(0.5), np.int64(1)), (Fraction(1, 2), 1), (np.float32(0.5), torch.tensor(1))):
        settings = {"label_smoothing": half / 4, "z_loss": half, "ignore_index": one}
        torch.testing.assert_close(F.cross_entropy(x, y, **settings), expected)
    torch.testing.assert_close(
        F.cross_entropy(x, y, label_smoothing=torch.tensor(0.125), z_loss=0.5, ignore_index=1), expected
    )


def test_labels_beyond_int64_are_out_of_range() -> None:
    with pytest.raises(IndexError, match="expected a class"):
        F.cross_entropy(torch.zeros(1, 3), torch.tensor([2**64 - 100], dtype=torch.uint64))


def test_a_nan_in_kl_div_is_not_hidden() -> None:
    assert F.kl_div(torch.tensor([torch.nan, 0.0]), torch.tensor([0.0, 1.0]), reduction="none").isnan().tolist() == [
        True,
        False,
    ]


def test_a_requested_dtype_is_kept_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert F.log_softmax(torch.randn(3), 0, dtype=torch.float16).dtype == torch.float16
        assert F.log_softmax(torch.randn(3).bfloat16(), 0).dtype == torch.float32


def test_tensor_subclasses_and_tracers_can_override() -> None:
    graph = torch.fx.symbolic_trace(lambda x, y: F.cross_entropy(x, y)).graph
    assert [node.target for node in graph.nodes if node.op == "call_function"] == [F.cross_entropy]

    class Logged(Tensor):
        called: ClassVar[list] = []

        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            cls.called.append(function)
            return super().__torch_function__(function, types, args, kwargs or {})

    x, y = torch.randn(2, 3), torch.tensor([0, 1])
    loss = F.cross_entropy(x.as_subclass(Logged), y)
    assert isinstance(loss, Logged)
    assert F.cross_entropy in Logged.called
    assert torch.equal(loss.as_subclass(Tensor), F.cross_entropy(x, y))


def test_export_and_fake_tensors() -> None:
    class Model(torch.nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return F.cross_entropy(x, y, z_loss=0.1)

    x, y = torch.randn(4, 3), torch.tensor([0, 1, 2, -100])
    exported = torch.export.export(Model(), (x, y)).module()
    torch.testing.assert_close(exported(x, y), Model()(x, y))
    graph = make_fx(Model(), tracing_mode="symbolic")(x, y)
    torch.testing.assert_close(graph(x[:2], y[:2]), Model()(x[:2], y[:2]))
    with FakeTensorMode() as mode:
        assert F.cross_entropy(mode.from_tensor(x), mode.from_tensor(y), reduction="none").shape == (4,)


def test_the_default_dtype_does_not_matter() -> None:
    x, y = torch.randn(4, 3), torch.tensor([0, 1, 2, -100])
    expected = F.cross_entropy(x, y, z_loss=0.1, label_smoothing=0.1)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(F.cross_entropy(x, y, z_loss=0.1, label_smoothing=0.1), expected)
    finally:
        torch.set_default_dtype(torch.float32)


# --- better than torch --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("shape", [(5,), (4, 5), (4, 5, 3)])
def test_any_integer_target(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    y = torch.randint(0, 5, shape[:1] + shape[2:] if len(shape) > 1 else ())
    assert torch.equal(F.cross_entropy(x, y.to(dtype)), F.cross_entropy(x, y))
    hidden = torch.randn(4, 3)
    head = torch.randn(5, 3)
    labels = torch.randint(0, 5, (4,))
    assert torch.equal(
        F.linear_cross_entropy(hidden, head, labels.to(dtype)), F.linear_cross_entropy(hidden, head, labels)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_class_weight_dtype_and_its_gradient(dtype: torch.dtype) -> None:
    x, y = torch.randn(6, 5), torch.tensor([0, 1, 2, 3, 4, 0])
    weight = torch.rand(5).to(dtype).requires_grad_()
    loss = F.cross_entropy(x, y, weight)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, TF.cross_entropy(x, y, weight.detach().float()))
    nll = TF.cross_entropy(x, y, reduction="none")
    ideal = weight.detach().double().requires_grad_()
    (expected,) = gradient((ideal[y] * nll).sum() / ideal[y].sum(), ideal)
    (actual,) = gradient(loss, weight)
    assert actual.dtype == dtype
    # a float64 weight is used, and its gradient computed, in the float32 of the logits
    assert_accurate(actual.float() if dtype == torch.float64 else actual, expected, roundings=32, magnitude=1.0)


def test_half_precision_sums_do_not_overflow_or_drift(device: str) -> None:
    x = torch.full((70_000, 2), 0.0, dtype=torch.float16, device=device)
    y = torch.zeros(70_000, dtype=torch.long, device=device)
    assert F.cross_entropy(x, y).item() == pytest.approx(math.log(2), rel=2**-11)
    assert F.nll_loss(x - 1, y).item() == 1
    x = torch.randn(8192, 1000, device=device).bfloat16()
    y = torch.randint(0, 1000, (8192,), device=device)
    true = TF.cross_entropy(x.double(), y)
    assert_accurate(F.cross_entropy(x, y), true, roundings=1.01)
    assert_accurate(F.cross_entropy(x, y, reduction="sum"), true * 8192, roundings=1.01)


@pytest.mark.parametrize("garbage", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_what_an_ignored_row_holds_reaches_nothing(garbage: float, smoothing: float) -> None:
    y = torch.tensor([1, -100, 2])
    clean = torch.randn(3, 4)
    x = clean.clone()
    x[1] = garbage
    x.requires_grad_()
    loss = F.cross_entropy(x, y, label_smoothing=smoothing)
    torch.testing.assert_close(loss, F.cross_entropy(clean, y, label_smoothing=smoothing))
    (g,) = gradient(loss, x)
    assert g.isfinite().all()
    assert not g[1].any()
    loss = F.nll_loss(x, torch.tensor([-100, -100, 2]))
    assert loss.isfinite()

    hidden, head = torch.randn(3, 5), torch.randn(4, 5, requires_grad=True)
    hidden[1] = garbage
    hidden.requires_grad_()
    loss = F.linear_cross_entropy(hidden, head, y, label_smoothing=smoothing)
    assert loss.isfinite()
    assert all(g.isfinite().all() for g in gradient(loss, hidden, head))


def test_zero_probability_or_weight_annihilates_an_infinite_log_probability() -> None:
    x = torch.tensor([[1.0, 2.0, -torch.inf]], requires_grad=True)
    p = torch.tensor([[0.5, 0.5, 0.0]], requires_grad=True)
    loss = F.cross_entropy(x, p)
    torch.testing.assert_close(loss.detach(), TF.cross_entropy(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 0.5]])))
    assert all(g.isfinite().all() for g in gradient(loss, x, p))
    weight = torch.tensor([1.0, 1.0, 0.0])
    loss = F.cross_entropy(x.repeat(2, 1), torch.tensor([0, 2]), weight)
    torch.testing.assert_close(loss, F.cross_entropy(x, torch.tensor([0])))
    assert gradient(loss, x)[0].isfinite().all()
    loss = F.cross_entropy(x, torch.tensor([0]), weight, label_smoothing=0.1)
    assert loss.isfinite()
    assert gradient(loss, x)[0].isfinite().all()
    assert F.cross_entropy(x, torch.tensor([0]), label_smoothing=1.0).item() == math.inf
    log_p = torch.tensor([-torch.inf, -0.5], requires_grad=True)
    loss = F.kl_div(log_p, torch.tensor([0.0, 1.0]), reduction="sum")
    assert loss.item() == 0.5
    assert gradient(loss, log_p)[0].tolist() == [0.0, -1.0]
    log_target = torch.tensor([-torch.inf, 0.0])
    assert F.kl_div(log_p, log_target, reduction="sum", log_target=True).item() == 0.5


@pytest.mark.parametrize("gap", [5.0, 20.0, 60.0, 80.0])
@pytest.mark.parametrize("target", ["index", "one-hot"])
def test_a_tiny_loss_and_its_gradient_keep_relative_accuracy(gap: float, target: str, device: str) -> None:
    x = torch.zeros(1, 10, device=device)
    x[0, 3] = gap
    x.requires_grad_()
    y = torch.tensor([3], device=device)
    loss = F.cross_entropy(x, y if target == "index" else TF.one_hot(y, 10).float())
    (g,) = gradient(loss, x)
    with mpmath.workdps(100):
        others = 9 * mpmath.exp(-gap)
        true_loss, true_gradient = float(mpmath.log1p(others)), float(-others / (1 + others))
        other_gradient = float(mpmath.exp(-gap) / (1 + others))
    assert loss.item() == pytest.approx(true_loss, rel=1e-6, abs=0)
    assert g[0, 3].item() == pytest.approx(true_gradient, rel=1e-6, abs=0)
    assert g[0, 0].item() == pytest.approx(other_gradient, rel=1e-6, abs=0)


def test_the_mean_over_nothing_is_nan_with_zero_gradients() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    hidden, head = torch.randn(3, 5, requires_grad=True), torch.randn(4, 5, requires_grad=True)
    y = torch.full((3,), -100)
    for smoothing in (0.0, 0.1):
        loss = F.cross_entropy(x, y, label_smoothing=smoothing)
        assert loss.isnan()
        assert not gradient(loss, x)[0].any()
        loss = F.linear_cross_entropy(hidden, head, y, label_smoothing=smoothing)
        assert loss.isnan()
        assert not any(g.any() for g in gradient(loss, hidden, head))
    for denominator in (7.0, 0, torch.tensor(0), torch.tensor([5])):
        loss = F.cross_entropy(x, y, denominator=denominator)
        assert loss.item() == 0
        assert not gradient(loss, x)[0].any()
    assert F.cross_entropy(x, torch.zeros(3, dtype=torch.long), denominator=0).item() == math.inf


def test_a_label_that_cannot_be_checked_makes_its_row_nan() -> None:
    x = torch.randn(2, 3, 4, requires_grad=True)
    y = torch.tensor([[0, 1, 9], [0, 1, 2]])
    loss = torch.func.vmap(lambda a, b: F.cross_entropy(a, b, reduction="none"))(x, y)
    assert loss.isnan().tolist() == [[False, False, True], [False, False, False]]
    (g,) = gradient(loss.sum(), x)
    assert g.isnan().any(-1).tolist() == [[False, False, True], [False, False, False]]


# --- the additions ------------------------------------------------------------------------------------------------


def test_additions_equal_their_formulae(device: str) -> None:
    x = 5 * torch.randn(6, 5, dtype=torch.float64, device=device)
    y = torch.tensor([0, 1, -100, 3, 4, 0], device=device)
    weight = torch.rand(5, dtype=torch.float64, device=device)
    t = torch.rand(6, dtype=torch.float64, device=device)
    z = 3.0 * torch.tanh(0.7 * x / 3.0)
    kept = y >= 0
    w = weight[y.clamp(min=0)] * kept
    rows = TF.cross_entropy(z, y, weight, reduction="none", label_smoothing=0.1) + 0.01 * w * z.logsumexp(1).square()
    settings = {"softcap": 3.0, "logit_scale": 0.7, "z_loss": 0.01, "label_smoothing": 0.1, "token_weight": t}
    expected = {"none": t * rows, "sum": (t * rows).sum(), "mean": (t * rows).sum() / (t * w).sum()}
    for reduction, value in expected.items():
        torch.testing.assert_close(F.cross_entropy(x, y, weight, reduction=reduction, **settings), value)
    torch.testing.assert_close(F.cross_entropy(x, y, weight, denominator=7, **settings), (t * rows).sum() / 7)
    p = x.softmax(1)
    rows = TF.cross_entropy(z, p, weight, reduction="none") + 0.01 * z.logsumexp(1).square()
    result = F.cross_entropy(x, p, weight, softcap=3.0, logit_scale=0.7, z_loss=0.01, token_weight=t)
    torch.testing.assert_close(result, (t * rows).sum() / t.sum())


def test_a_row_of_weight_two_counts_as_two_rows() -> None:
    x, y = torch.randn(4, 5, dtype=torch.float64), torch.tensor([0, 1, 2, 3])
    repeats = torch.tensor([1, 2, 0, 3])
    again = torch.arange(4).repeat_interleave(repeats)
    settings = {"weight": torch.rand(5, dtype=torch.float64), "z_loss": 0.1, "label_smoothing": 0.2}
    torch.testing.assert_close(
        F.cross_entropy(x, y, token_weight=repeats, **settings), F.cross_entropy(x[again], y[again], **settings)
    )


def test_rows_of_weight_zero_may_hold_anything_and_weights_have_gradients() -> None:
    x, y = torch.randn(3, 4), torch.tensor([0, 1, 2])
    t = torch.tensor([1.0, 0.0, 2.0], requires_grad=True)
    rows = F.cross_entropy(x, y, reduction="none")
    (g,) = gradient(F.cross_entropy(x, y, token_weight=t, reduction="sum"), t)
    torch.testing.assert_close(g, rows)  # at weight 0 too
    x[1] = torch.nan
    x.requires_grad_()
    loss = F.cross_entropy(x, y, token_weight=t)
    torch.testing.assert_close(loss, (rows[0] + 2 * rows[2]) / 3)
    assert all(g.isfinite().all() for g in gradient(loss, x, t))
    hidden, head = torch.randn(3, 5), torch.randn(4, 5, requires_grad=True)
    hidden[1] = torch.inf
    hidden.requires_grad_()
    loss = F.linear_cross_entropy(hidden, head, y, token_weight=t)
    assert all(g.isfinite().all() for g in gradient(loss, hidden, head, t))


@pytest.mark.parametrize("poison", ["all classes masked", "nan probabilities", "overflowing product", "bad label"])
def test_whatever_makes_a_row_of_weight_zero_infinite_stays_in_it(poison: str) -> None:
    t = torch.tensor([1.0, 0.0], requires_grad=True)
    x = torch.randn(2, 3, requires_grad=True)
    y = torch.tensor([1, 2])
    if poison == "all classes masked":
        x = torch.cat([x.detach()[:1], torch.full((1, 3), -torch.inf)]).requires_grad_()
    if poison == "nan probabilities":
        y = torch.tensor([[0.2, 0.3, 0.5], [torch.nan, 0.0, 1.0]])
    if poison == "overflowing product":
        h, w = torch.tensor([[1.0], [1e38]]), torch.tensor([[1.0], [2.0], [1e38]], requires_grad=True)
        loss = F.linear_cross_entropy(h, w, y, token_weight=t)
        x = w
    elif poison == "bad label":  # under vmap, where it cannot be refused
        loss = torch.func.vmap(lambda label: F.cross_entropy(x, label, token_weight=t))(torch.tensor([[1, 9]]))[0]
    else:
        loss = F.cross_entropy(x, y, token_weight=t)
    assert loss.isfinite()
    assert all(g.isfinite().all() for g in gradient(loss, x, t))


def test_token_weights_that_are_all_zero_are_no_rows() -> None:
    x, y, t = torch.randn(2, 3, requires_grad=True), torch.tensor([0, 1]), torch.zeros(2)
    h, w = torch.randn(2, 4, requires_grad=True), torch.randn(3, 4)
    for loss, inputs in (
        (F.cross_entropy(x, y, token_weight=t), x),
        (F.linear_cross_entropy(h, w, y, token_weight=t), h),
        (F.linear_kl_div(h, w, w[:2], w, token_weight=t), h),
    ):
        assert loss.isnan()
        assert not gradient(loss, inputs)[0].any()
    assert F.cross_entropy(x, y, token_weight=t, denominator=0).item() == 0


def test_infinite_weights_of_other_classes_do_not_reach_ignored_rows() -> None:
    h, w = torch.randn(2, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    b = torch.tensor([-torch.inf, 0.0, 0.0])
    y = torch.tensor([1, -100])
    weight = torch.tensor([torch.inf, 1.0, 1.0], requires_grad=True)
    t = torch.tensor([1.0, torch.nan], requires_grad=True)
    loss = F.linear_cross_entropy(h, w, y, linear_bias=b, weight=weight, token_weight=t)
    assert loss.isfinite()
    assert all(g.isfinite().all() for g in gradient(loss, h, w, weight, t))


def test_denominator_makes_accumulation_exact() -> None:
    x, y = torch.randn(10, 5, dtype=torch.float64), torch.randint(0, 5, (10,))
    y[[1, 7, 8]] = -100
    total = (y != -100).sum()
    parts = [F.cross_entropy(a, b, denominator=total) for a, b in ((x[:7], y[:7]), (x[7:9], y[7:9]), (x[9:], y[9:]))]
    torch.testing.assert_close(sum(parts), F.cross_entropy(x, y))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_result_dtypes(dtype: torch.dtype) -> None:
    x, y = torch.randn(3, 4).to(dtype), torch.tensor([0, 1, 2])
    assert F.cross_entropy(x, y).dtype == dtype
    assert F.cross_entropy(x, y, out_dtype=torch.float64).dtype == torch.float64
    assert F.cross_entropy(x, x.float().softmax(1)).dtype == torch.float32
    exact = TF.cross_entropy(x.double(), y)
    assert_accurate(F.cross_entropy(x, y, out_dtype=torch.float32), exact, roundings=16, magnitude=1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for module in (F, TF):
            assert module.cross_entropy(x, y).dtype == torch.float32
            assert module.nll_loss(x, y).dtype == torch.float32
            assert module.kl_div(x, x.softmax(1), reduction="sum").dtype == torch.float32


def test_options_choose_the_execution_and_never_the_result() -> None:
    hidden, head, y = torch.randn(4, 6), torch.randn(5, 6), torch.tensor([0, 1, 2, 3])
    expected = F.linear_cross_entropy(hidden, head, y)
    choices = [Options(), Options(backend="reference")]
    if hasattr(torch.nn, "LinearCrossEntropyOptions"):
        choices.append(torch.nn.LinearCrossEntropyOptions())
    for options in choices:
        torch.testing.assert_close(F.linear_cross_entropy(hidden, head, y, options=options), expected)
    with pytest.raises(
        ValueError, match="backend is 'fast', expected one of 'auto', 'triton', 'reference', 'native', 'chunked'"
    ):
        Options(backend="fast")
    for budget in (0, -1, 1.5, True, "2GB"):
        with pytest.raises(ValueError, match=r"memory_budget is .*, expected a number of bytes"):
            Options(memory_budget=budget)


def test_an_explicit_choice_never_falls_back() -> None:
    x, y, weight = torch.randn(4, 5), torch.tensor([0, 1, 2, 3]), torch.rand(5, requires_grad=True)
    chunked = Options(backend="chunked")
    with pytest.raises(ValueError, match="backend 'chunked' cannot execute this loss: class weights that require"):
        F.cross_entropy(x, y, weight, options=chunked)
    with pytest.raises(ValueError, match="class probabilities that require gradients"):
        F.cross_entropy(x, x.softmax(1).requires_grad_(), options=chunked)
    with pytest.raises(ValueError, match="vmap has rules for plain operators"):
        torch.func.vmap(lambda z: F.cross_entropy(z, y[0], options=chunked))(x)
    torch.testing.assert_close(F.cross_entropy(x, y, options=chunked), TF.cross_entropy(x, y))


# --- linear -------------------------------------------------------------------------------------------------------


def test_linear_cross_entropy_is_the_loss_of_the_logits(device: str) -> None:
    h, w, b = (torch.randn(s, dtype=torch.float64, device=device) for s in ((6, 4), (5, 4), (5,)))
    y = torch.tensor([0, 1, -100, 3, 4, 0], device=device)
    settings = {"label_smoothing": 0.1, "softcap": 3.0, "logit_scale": 0.7, "z_loss": 0.01, "weight": b.abs()}
    torch.testing.assert_close(
        F.linear_cross_entropy(h, w, y, linear_bias=b, **settings), F.cross_entropy(h @ w.T + b, y, **settings)
    )
    p = torch.randn(6, 5, dtype=torch.float64, device=device).softmax(1)
    torch.testing.assert_close(F.linear_cross_entropy(h, w, p), F.cross_entropy(h @ w.T, p))
    torch.testing.assert_close(F.linear_cross_entropy(h[0], w, y[0]), F.cross_entropy(w @ h[0], y[0]))


def test_linear_inputs_of_any_rank_and_targets_of_k_dimensions() -> None:
    h, w = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    y = torch.randint(0, 5, (2, 3))
    rows = F.linear_cross_entropy(h, w, y, reduction="none")
    assert rows.shape == (2, 3)
    torch.testing.assert_close(
        rows.flatten(), F.linear_cross_entropy(h.flatten(0, 1), w, y.flatten(), reduction="none")
    )
    p = torch.randn(2, 3, 5, dtype=torch.float64).softmax(-1)
    torch.testing.assert_close(
        F.linear_cross_entropy(h, w, p), F.cross_entropy((h @ w.T).flatten(0, 1), p.flatten(0, 1))
    )

    h, w, b = (torch.randn(s, dtype=torch.float64) for s in ((3, 4), (5, 2, 6, 4), (5, 2, 6)))
    y = torch.randint(0, 5, (3, 2, 6))
    y[0] = -100
    y[1, 0, 0] = -100
    logits = torch.einsum("nd,cijd->ncij", h, w) + b
    torch.testing.assert_close(F.linear_cross_entropy(h, w, y, linear_bias=b), TF.cross_entropy(logits, y))
    h[0] = torch.nan  # every position of this row is ignored
    assert F.linear_cross_entropy(h, w, y, linear_bias=b).isfinite()


def test_float16_heads_are_multiplied_in_float32_and_their_gradients_rounded_once() -> None:
    h, w = torch.randn(32, 16).half().requires_grad_(), torch.randn(50, 16).half().requires_grad_()
    y = torch.randint(0, 50, (32,))
    loss = F.linear_cross_entropy(h, w, y, reduction="sum")
    h64, w64 = h.detach().double().requires_grad_(), w.detach().double().requires_grad_()
    true = TF.cross_entropy(h64 @ w64.T, y, reduction="sum")
    assert_accurate(loss, true, roundings=1.01)
    for actual, exact in zip(gradient(loss, h, w), gradient(true, h64, w64)):
        # one rounding to the dtype, and float32 sums of up to 50 terms of size ≤ 4
        assert_accurate(actual, exact, roundings=1.01, magnitude=exact.abs() + 50 * 4 * 2**-13)


# --- distillation and statistics ----------------------------------------------------------------------------------


def test_linear_kl_div_equals_its_formula() -> None:
    h, w, g, v, b, c = (torch.randn(s, dtype=torch.float64) for s in ((2, 3, 4), (5, 4), (2, 3, 6), (5, 6), (5,), (5,)))
    t = torch.rand(2, 3, dtype=torch.float64)
    student = 3.0 * torch.tanh((h @ w.T + b) / 3.0) / 2.0
    teacher = 0.5 * (g @ v.T + c) / 2.0
    rows = TF.kl_div(student.log_softmax(-1), teacher.log_softmax(-1), reduction="none", log_target=True).sum(-1)
    settings = {
        "linear_bias": b, "teacher_bias": c, "softcap": 3.0, "teacher_logit_scale": 0.5, "temperature": 2.0,
        "token_weight": t,
    }  # fmt: skip
    torch.testing.assert_close(F.linear_kl_div(h, w, g, v, reduction="none", **settings), t * rows)
    torch.testing.assert_close(F.linear_kl_div(h, w, g, v, **settings), (t * rows).sum() / t.sum())
    torch.testing.assert_close(F.linear_kl_div(h, w, g, v, denominator=4, **settings), (t * rows).sum() / 4)
    assert F.linear_kl_div(h, w, h, w).item() == 0
    with pytest.raises(ValueError, match="the same rows and the same classes"):
        F.linear_kl_div(h, w, g[:1], v)
    with pytest.raises(ValueError, match="temperature is 0"):
        F.linear_kl_div(h, w, g, v, temperature=0.0)
    with pytest.raises(ValueError, match="teacher_softcap is -1"):
        F.linear_kl_div(h, w, g, v, teacher_softcap=-1.0)
    with pytest.raises(ValueError, match="teacher_input has 6 features"):
        F.linear_kl_div(h, w, g, w)


def test_linear_kl_div_leaves_padding_out_and_reaches_the_teacher() -> None:
    h, w, g, v = (torch.randn(s, dtype=torch.float64) for s in ((3, 4), (5, 4), (3, 6), (5, 6)))
    expected = F.linear_kl_div(h[:2], w, g[:2], v)
    h[2], g[2] = torch.nan, torch.inf
    tensors = [x.requires_grad_() for x in (h, w, g, v)]
    loss = F.linear_kl_div(*tensors, token_weight=torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(loss, expected)
    assert all(x.isfinite().all() and x.any() for x in gradient(loss, *tensors))


def test_a_class_that_only_the_student_masks_stays_in_its_row() -> None:
    # the row of weight 0 is infinite with blank hidden states too: its bias masks what the teacher does not
    h, w, g, v = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((2, 4), (3, 4), (2, 4), (3, 4)))
    bias = torch.tensor([-torch.inf, 0.0, 0.0], dtype=torch.float64)
    settings = {"linear_bias": bias, "token_weight": torch.tensor([0.0, 0.0]), "reduction": "sum"}
    loss = F.linear_kl_div(h, w, g, v, **settings)
    assert loss.item() == 0
    assert not any(x.any() for x in gradient(loss, h, w, g, v))


def test_token_statistics(device: str) -> None:
    z = 3 * torch.randn(2, 4, 7, dtype=torch.float64, device=device)
    y = torch.randint(0, 7, (2, 4), device=device)
    y[0, 0] = -100
    statistics = F.token_statistics(z, y)
    expected = z.log_softmax(-1).gather(-1, y.clamp(min=0)[..., None])[..., 0].masked_fill(y < 0, 0.0)
    torch.testing.assert_close(statistics.log_prob, expected)
    torch.testing.assert_close(statistics.entropy, information.entropy(logits=z))
    torch.testing.assert_close(statistics.logsumexp, z.logsumexp(-1))
    assert torch.equal(statistics.argmax, z.argmax(-1))
    moved = F.token_statistics(z.movedim(-1, 1), y, dim=1, softcap=2.0, logit_scale=0.5)
    torch.testing.assert_close(moved.entropy, information.entropy(logits=2 * torch.tanh(z / 4)))
    half = F.token_statistics(z.bfloat16())
    assert half.log_prob is None
    assert half.entropy.dtype == torch.float32
    with pytest.raises(IndexError, match="dim is 3"):
        F.token_statistics(z, dim=3)
    x = torch.tensor([[1.0, 2.0], [torch.nan, 0.0]], requires_grad=True)
    log_prob = F.token_statistics(x, torch.tensor([0, -100])).log_prob
    assert log_prob is not None
    assert gradient(log_prob.sum(), x)[0].isfinite().all()
    assert F.token_statistics(torch.tensor([[1.0, torch.inf]])).logsumexp.item() == math.inf

    class Named(Tensor):
        pass

    assert F.token_statistics(z.as_subclass(Named), y).entropy.shape == (2, 4)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_nll_loss_is_the_same_in_one_call_and_the_long_way(dtype: torch.dtype, reduction: str) -> None:
    """A class weight of 1 goes the long way."""
    generator = torch.Generator().manual_seed(0)
    for rows, classes in ((1, 1), (7, 3), (4000, 11)):
        x = torch.randn(rows, classes, generator=generator, dtype=dtype).log_softmax(1)
        y = torch.randint(classes, (rows,), generator=generator)
        for hostile in (0.0, -torch.inf, torch.nan):
            for ignored in (-100, int(y[0])):
                found = []
                for weight in (None, torch.ones(classes, dtype=dtype)):
                    z = x.index_fill(0, torch.tensor([rows // 2]), hostile).requires_grad_()
                    loss = F.nll_loss(z, y, weight, ignore_index=ignored, reduction=reduction)
                    found.append((loss.detach(), torch.autograd.grad(loss.sum(), z)[0]))
                torch.testing.assert_close(found[0], found[1], equal_nan=True)
    assert _tiny.nll_loss(x, y, -100, reduction) is not None
    y[3] = 11
    assert _tiny.nll_loss(x, y, -100, reduction) is None
    with pytest.raises(IndexError, match=r"target\[3\] is 11"):
        F.nll_loss(x, y, reduction=reduction)
    long_way = [(x.half(), y), (x[0], y[0]), (x, y.int()), (x[:0], y[:0]), (x.T[None], y[None]), (x, y[:-1])]
    assert all(_tiny.nll_loss(a, b, 11, reduction) is None for a, b in long_way)
    assert all(_tiny.nll_loss(x, y, wrong, reduction) is None for wrong in (11.0, None))  # pyright: ignore[reportArgumentType]
    assert _tiny.nll_loss(x, y, 11, "batchmean") is None
