"""Binary losses: what torch does, and small losses, infinities, half precision, elements that are left out."""

import math

import mpmath
import pytest
import torch
import torch.nn.functional as TF
from torch import Tensor, tensor

import crossentropy
import crossentropy.functional as F
from crossentropy import LazyLogits, nn

INF, NAN = math.inf, math.nan
BOTH = [F.binary_cross_entropy, F.binary_cross_entropy_with_logits]
ids = {"ids": lambda f: f.__name__}


def with_gradient(function, x: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    loss = function(x, *args, **kwargs)
    return loss.detach(), torch.autograd.grad(loss.sum(), x)[0]


def exact(z: Tensor, y: Tensor) -> tuple[list, list]:
    """Losses and gradients of logits, by mpmath in 60 digits."""
    losses, gradients = [], []
    with mpmath.workdps(60):
        for a, b in zip(map(mpmath.mpf, z.tolist()), map(mpmath.mpf, y.tolist())):
            yes, no = 1 / (1 + mpmath.exp(-a)), 1 / (1 + mpmath.exp(a))
            losses.append(-b * mpmath.log(yes) - (1 - b) * mpmath.log(no))
            gradients.append((1 - b) * yes - b * no)
    return losses, gradients


# --- accuracy -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_losses_and_gradients_of_hard_targets_are_accurate_relative_to_themselves(dtype) -> None:
    # exp, log1p, the product and the sum: at most four roundings of one ulp; a subnormal has fewer digits
    z = torch.cat([torch.linspace(-80, 80, 161), torch.randn(100) * 20, tensor([1e-30, 0.0, 1e4, -1e4, 3e38])]).to(
        dtype
    )
    eps = torch.finfo(dtype).eps
    for y in (torch.ones_like(z), torch.zeros_like(z)):
        found = with_gradient(F.binary_cross_entropy_with_logits, z, y, reduction="none")
        for actual, expected in zip(found, exact(z, y)):
            for a, b in zip(actual.tolist(), expected):
                assert abs(a - b) <= 4 * eps * abs(b) + torch.finfo(dtype).smallest_normal


def test_soft_targets_are_accurate_relative_to_their_loss() -> None:
    z, y = torch.randn(200) * 10, torch.rand(200)
    found, _ = with_gradient(F.binary_cross_entropy_with_logits, z, y, reduction="none")
    for a, b in zip(found.tolist(), exact(z, y)[0]):
        assert abs(a - b) <= 4 * torch.finfo(torch.float32).eps * abs(b)


def test_torch_loses_what_is_kept_here() -> None:
    z, y = tensor([-20.0]), tensor([0.0])
    assert TF.binary_cross_entropy_with_logits(z, y).item() == 0
    assert F.binary_cross_entropy_with_logits(z, y).item() == pytest.approx(math.exp(-20), rel=1e-6)


def test_infinite_logits() -> None:
    z, y = tensor([INF, -INF, INF, -INF, INF, 3e38, -3e38]), tensor([1.0, 0.0, 0.0, 1.0, 0.5, 1.0, 0.0])
    loss, gradient = with_gradient(F.binary_cross_entropy_with_logits, z, y, reduction="none")
    assert loss.tolist() == [0, 0, INF, INF, INF, 0, 0]
    assert gradient.tolist() == [0, 0, 1, -1, 0.5, 0, 0]
    assert TF.binary_cross_entropy_with_logits(z, y, reduction="none")[:2].isnan().all()
    compiled = torch.compile(F.binary_cross_entropy_with_logits, fullgraph=True, backend="aot_eager")
    assert compiled(z, y, reduction="none").tolist() == loss.tolist()  # where nothing can be looked at
    assert torch.func.vmap(F.binary_cross_entropy_with_logits)(z, y).tolist() == loss.tolist()
    zero = F.binary_cross_entropy_with_logits(z, y, torch.zeros(7), pos_weight=torch.zeros(1), reduction="sum")
    assert zero.item() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_rounded_once(dtype) -> None:
    z, y = (torch.randn(3000) * 6).to(dtype), torch.rand(3000).round().to(dtype)
    truth = F.binary_cross_entropy_with_logits(z.double(), y.double())
    assert F.binary_cross_entropy_with_logits(z, y) == truth.float().to(dtype)
    p = tensor([0.0, 1.0, 0.25, 1.0], dtype=dtype)
    loss, gradient = with_gradient(F.binary_cross_entropy, p, tensor([0.0, 1.0, 1.0, 0.0]), reduction="sum")
    assert loss.dtype == torch.float32  # that of the target
    assert loss.item() == pytest.approx(math.log(4) + 100)
    assert gradient[:3].tolist() == [0, 0, -4]  # torch's are nan in float16
    assert gradient[3].item() == (INF if dtype == torch.float16 else tensor(1e12, dtype=dtype).item())


def test_probabilities_have_torchs_bounds() -> None:
    p, y = tensor([0.0, 1.0, 0.0, 1.0, 1e-30, 0.7]), tensor([0.0, 1.0, 1.0, 0.0, 0.0, 0.7])
    ours = with_gradient(F.binary_cross_entropy, p, y, reduction="none")
    for a, b in zip(ours, with_gradient(TF.binary_cross_entropy, p, y, reduction="none")):
        assert torch.equal(a, b)
    assert ours[0][2:4].tolist() == [100, 100]
    assert ours[1][:4].tolist() == pytest.approx([0, 0, -1e12, 1e12])


@pytest.mark.parametrize("function", BOTH, **ids)
def test_autocast_gives_float32(function) -> None:
    x, y = torch.rand(50, dtype=torch.bfloat16), torch.rand(50)
    with torch.autocast("cpu"):
        loss, gradient = with_gradient(function, x, y)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, function(x.float(), y))
    torch.testing.assert_close(gradient, with_gradient(function, x.float(), y)[1].bfloat16())


# --- options ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", BOTH, **ids)
def test_smoothing_is_that_of_the_target(function) -> None:
    x, y = torch.rand(4, 3), torch.rand(4, 3)
    torch.testing.assert_close(function(x, y, label_smoothing=0.2), function(x, 0.8 * y + 0.1))


@pytest.mark.parametrize("function", BOTH, **ids)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_elements_that_are_ignored_are_not_read(function, reduction: str) -> None:
    x, y = torch.rand(6, 2), torch.randint(0, 2, (6, 2))
    kept = torch.rand(6, 2) < 0.5
    for hole, mark in ((NAN, -1), (INF, 7), (-5.0, -1)):
        holed = x.where(kept, hole)
        loss, gradient = with_gradient(function, holed, y.where(kept, mark), ignore_index=mark, reduction=reduction)
        of_kept, gradient_of_kept = with_gradient(function, x[kept], y[kept].float(), reduction=reduction)
        torch.testing.assert_close(loss[kept] if reduction == "none" else loss, of_kept)
        torch.testing.assert_close(gradient[kept], gradient_of_kept)
        assert not gradient[~kept].any()
        by_weight = function(holed, y.float().where(kept, NAN), token_weight=kept, reduction=reduction)
        torch.testing.assert_close(by_weight, loss)


@pytest.mark.parametrize("function", BOTH, **ids)
def test_a_token_weight_counts_in_the_mean_and_a_weight_does_not(function) -> None:
    x, y, w, t = torch.rand(4, 3), torch.rand(4, 3), torch.rand(3), tensor([[2.0], [1.0], [0.0], [1.0]])
    repeated = tensor([0, 0, 1, 3])
    torch.testing.assert_close(function(x, y, w, token_weight=t), function(x[repeated], y[repeated], w))
    torch.testing.assert_close(function(x, y, 2 * w), 2 * TF_of(function)(x, y, w.expand(4, 3)))
    total = function(x, y, w, token_weight=t, reduction="sum")
    torch.testing.assert_close(function(x, y, w, token_weight=t, denominator=5), total / 5)
    torch.testing.assert_close(function(x, y, denominator=tensor([7.0])), function(x, y, reduction="sum") / 7)


def TF_of(function):  # noqa: N802
    return getattr(TF, function.__name__)


@pytest.mark.parametrize("function", BOTH, **ids)
def test_where_nothing_counts(function) -> None:
    x, y = torch.full((3,), NAN), torch.full((3,), -100)
    loss, gradient = with_gradient(function, x, y, ignore_index=-100)
    assert loss.isnan()
    assert not gradient.any()
    loss, gradient = with_gradient(function, x, y, ignore_index=-100, denominator=0)
    assert loss == 0
    assert not gradient.any()
    empty = torch.zeros(0, 3)
    assert function(empty, empty).isnan()
    assert function(empty, empty, denominator=0) == function(empty, empty, reduction="sum") == 0


@pytest.mark.parametrize("function", BOTH, **ids)
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float64, torch.float16], ids=str)
def test_targets_of_any_dtype(function, dtype) -> None:
    x, y = torch.rand(4, 3), torch.rand(4, 3).round()
    loss = function(x, y.to(dtype), ignore_index=-255)  # 1 in a byte
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(loss.float(), function(x, y))


@pytest.mark.parametrize("shape", [(), (5,), (4, 5), (2, 5, 3)])
def test_any_shape_and_strides(shape: tuple[int, ...]) -> None:
    x, y = torch.rand(shape), torch.rand(shape)
    for a in (x, torch.stack([x, x], -1)[..., 0], x.mT.contiguous().mT if x.dim() > 1 else x):
        for function in BOTH:
            torch.testing.assert_close(function(a, y), TF_of(function)(x, y))


# --- derivatives and transforms -----------------------------------------------------------------------------------


def everything(z: Tensor, y: Tensor, w: Tensor, pi: Tensor, t: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, y, w, pos_weight=pi, token_weight=t, label_smoothing=0.1)


def leaves() -> tuple[Tensor, ...]:
    shapes = ((2, 3), (2, 3), (3,), (2, 3), (2, 1))
    return tuple(torch.rand(shape, dtype=torch.float64).requires_grad_() for shape in shapes)


def test_derivatives_with_respect_to_everything() -> None:
    assert torch.autograd.gradcheck(everything, leaves(), check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(everything, leaves(), check_fwd_over_rev=True, fast_mode=True)


def test_third_derivative() -> None:
    z = torch.linspace(-3, 3, 7, dtype=torch.float64).requires_grad_()
    found = F.binary_cross_entropy_with_logits(z, torch.ones_like(z), reduction="sum")
    for _ in range(3):
        (found,) = torch.autograd.grad(found.sum(), z, create_graph=True)
    s = z.sigmoid()
    torch.testing.assert_close(found, s * (1 - s) * (1 - 2 * s))


def test_compiled_in_one_graph_with_every_option() -> None:
    given = leaves()
    compiled = torch.compile(everything, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*given), everything(*given))
    for a, b in zip(torch.autograd.grad(compiled(*given), given), torch.autograd.grad(everything(*given), given)):
        torch.testing.assert_close(a, b)


def test_lazy_logits() -> None:
    hidden, head, y = torch.randn(4, 3), torch.randn(5, 3), torch.rand(4, 5)
    loss = F.binary_cross_entropy_with_logits(LazyLogits(hidden, head), y)
    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(hidden @ head.T, y))


def test_the_classes_equal_the_functions() -> None:
    z, y, w, t = torch.randn(4, 3), torch.rand(4, 3), torch.rand(3), torch.rand(4, 1)
    loss = nn.BCEWithLogitsLoss(w, pos_weight=2 * w, label_smoothing=0.1, ignore_index=1, reduction="mean")
    expected = F.binary_cross_entropy_with_logits(
        z, y, w, pos_weight=2 * w, label_smoothing=0.1, ignore_index=1, token_weight=t, denominator=3
    )
    assert torch.equal(loss(z, y, token_weight=t, denominator=3), expected)
    assert repr(loss).startswith(
        "BCEWithLogitsLoss(weight=<(3,), torch.float32>, pos_weight=<(3,), torch.float32>, lab"
    )
    p = z.sigmoid()
    loss = nn.BCELoss(w, label_smoothing=0.1, reduction="sum")
    expected = F.binary_cross_entropy(p, y, w, label_smoothing=0.1, reduction="sum", token_weight=t)
    assert torch.equal(loss(p, y, token_weight=t), expected)


# --- errors -------------------------------------------------------------------------------------------------------

Z, Y = torch.zeros(4, 3), torch.ones(4, 3)
BINARY = F.binary_cross_entropy_with_logits
WRONG = {
    "target has shape (4,) and input (4, 3), expected the same shape: an answer for each element — class indices?": (
        lambda: BINARY(Z, torch.zeros(4, dtype=torch.int64))
    ),
    "use input.squeeze(-1)": lambda: BINARY(Z[:, :1], Y[:, 0]),
    "use target.squeeze(-1)": lambda: BINARY(Z[:, 0], Y[:, :1]),
    "target has dtype torch.complex64": lambda: BINARY(Z, Y + 0j),
    "input has dtype torch.int64, expected a real floating dtype": lambda: BINARY(Z.long(), Y),
    "weight has shape (4,), expected one that broadcasts to the input's, (4, 3) — for rows use weight[:, None]": (
        lambda: BINARY(Z, Y, torch.ones(4))
    ),
    "pos_weight has shape (3,), expected one that broadcasts to the input's, (2, 3, 5) — for classes, on axis 1, use "
    "pos_weight.reshape(-1, 1)": lambda: BINARY(torch.zeros(2, 3, 5), torch.zeros(2, 3, 5), pos_weight=torch.ones(3)),
    "token_weight has shape (3,), expected the input's, (3, 3), or axes of size 1 — for rows use token_weight[:,": (
        lambda: BINARY(Z[:3], Y[:3], token_weight=torch.ones(3))
    ),
    "reduction is 'avg'": lambda: BINARY(Z, Y, reduction="avg"),
    "label_smoothing is 2, expected": lambda: BINARY(Z, Y, label_smoothing=2),
    "ignore_index is 0.5, expected an integer": lambda: BINARY(Z, Y, ignore_index=0.5),
    "denominator divides the 'mean'": lambda: BINARY(Z, Y, reduction="sum", denominator=3),
    "input[0, 0] is 3, expected a probability in [0, 1] — for logits use": lambda: F.binary_cross_entropy(Z + 3, Y),
    "target[0, 0] is -1, expected a probability in [0, 1] — to leave": lambda: F.binary_cross_entropy(Z, Y - 2),
    "has no argument 'smoothing' — it is label_smoothing here": lambda: BINARY(Z, Y, smoothing=0.1),
    "size_average is tensor": lambda: nn.BCELoss(Z, Y),
    "pos_weight is a list, expected a torch.Tensor": lambda: nn.BCEWithLogitsLoss(pos_weight=[1.0]),
    "target[0, 0] is 2, expected a probability of yes in [0, 1]": lambda: BINARY(Z, 2 * Y, validate=True),
    "input[0, 0] is nan, expected a number": lambda: BINARY(Z * NAN, Y, validate=True),
    "input[0, 0] is -inf and target[0, 0] 1: the loss is inf": lambda: BINARY(Z - INF, Y, validate=True),
    "pos_weight[0] is inf, expected a finite number": (
        lambda: BINARY(Z, Y, pos_weight=tensor([INF, 1.0, 1.0]), validate=True)
    ),
    "token_weight[0, 0] is -1": lambda: BINARY(Z, Y, token_weight=tensor([[-1.0]]), validate=True),
    "no element counts, of 12: the mean is nan": lambda: BINARY(Z, Y, ignore_index=1, validate=True),
}


@pytest.mark.parametrize("message", WRONG)
def test_errors_say_what_to_do(message: str) -> None:
    with pytest.raises(crossentropy.ArgumentError) as error:
        WRONG[message]()
    assert message in str(error.value)


def test_validation_passes_what_is_right_and_warns_of_probabilities() -> None:
    z, y = torch.randn(20, 3), torch.rand(20, 3).round()
    assert torch.equal(BINARY(z, y, validate=True), BINARY(z, y))
    p = z.sigmoid()
    assert torch.equal(F.binary_cross_entropy(p, y, validate=True), F.binary_cross_entropy(p, y))
    holed = z.masked_fill(y == 1, NAN)
    assert torch.equal(BINARY(holed, y, ignore_index=1, validate=True), BINARY(holed, y, ignore_index=1))
    with pytest.warns(crossentropy.ArgumentWarning, match="input holds probabilities"):
        BINARY(p, y, validate=True)
    with pytest.warns(crossentropy.ArgumentWarning, match="nothing is trained"):
        BINARY(z, y, token_weight=torch.zeros(1, 1), denominator=1, validate=True)


def test_values_that_cannot_be_read_give_nan_where_torch_ends_a_process() -> None:
    p = tensor([0.5, 1.5, NAN])
    grad = torch.func.vmap(torch.func.grad(F.binary_cross_entropy))(p, torch.ones(3))
    assert grad.tolist()[0] == -2
    assert grad[1:].isnan().all()
