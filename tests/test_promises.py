"""Promises that a plausible change would break without any other test noticing it."""

import itertools

import pytest
import torch
import torch.nn.functional as TF
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils.flop_counter import FlopCounterMode

import crossentropy.functional as F
from backends import ALL, FAST
from crossentropy import Options, _tiny, information
from crossentropy._tensors import INTEGERS
from crossentropy._values import readable
from crossentropy.testing import assert_accurate, peak_bytes

BACKENDS = [None, *map(Options, ALL)]


# --- tiny problems ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["sum", "mean", "none"])
def test_a_large_sum_of_tiny_losses_is_accurate(reduction: str) -> None:
    # each loss, 2e-6, is off by 3 % in torch's float32; that their sum is large does not mend them
    z, y = torch.tensor([[13.0, 0.0]]).repeat(1 << 17, 1), torch.zeros(1 << 17).long()
    exact = torch.log1p(torch.exp(torch.tensor(-13.0, dtype=torch.float64)))
    scale = {"sum": len(y), "mean": 1, "none": torch.ones(len(y))}[reduction]
    assert_accurate(F.cross_entropy(z, y, reduction=reduction), exact * scale, roundings=40)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("options", BACKENDS)
@pytest.mark.parametrize("needs", [True, False])
@pytest.mark.parametrize("scale", [0.3, 3.0])  # no class is likely, or some are
def test_half_precision_is_summed_in_float32_and_rounded_once(
    dtype: torch.dtype, options: Options | None, needs: bool, scale: float
) -> None:
    z, y = (scale * torch.randn(500, 7)).to(dtype).requires_grad_(needs), torch.randint(7, (500,))
    x = z.detach().double().requires_grad_()
    exact = TF.cross_entropy(x, y)
    loss = F.cross_entropy(z, y, options=options)
    assert_accurate(loss, exact.detach(), roundings=1.01)
    if needs:
        (gradient,), (slope,) = torch.autograd.grad(loss, z), torch.autograd.grad(exact, x)
        assert_accurate(gradient, slope, roundings=1.01, magnitude=1e-6)


@pytest.mark.parametrize("offset", [80.0, -80.0, 66.0, -66.0, 12.0, -12.0, 0.0])
def test_a_common_offset_of_the_logits_costs_no_accuracy(offset: float) -> None:
    # Sums of exponentials stay within 2^±23 = e^±16, so that their logarithm is off by an ulp of 8 … 16 at most, 2^-20,
    # which is 16 roundings of 1. exp is off by an ulp, two roundings, and the sum of six by 5 more; the difference by
    # one of the loss, which is 1.18 at least. (A logarithm of 66 would be off by half an ulp of its own: 64 roundings.)
    z = torch.linspace(0, 0.5, 6).repeat(3000, 1).add(0.5 * torch.rand(3000, 6)).add(offset)
    y = torch.randint(6, (3000,))
    exact = TF.cross_entropy(z.double(), y, reduction="none")
    for options in BACKENDS:
        assert_accurate(
            F.cross_entropy(z, y, reduction="none", options=options), exact, roundings=(16 + 2 + 5) / 1.18 + 1
        )


def test_gradients_of_certain_predictions_are_accurate() -> None:
    # exp of an exact argument is off by an ulp, two roundings, and so are the other functions; the reference has
    # rounded log p to half an ulp of 16 … 32, which is 16 roundings of 1
    for gap in torch.arange(14, 32, 0.25):
        for options in BACKENDS:
            z = torch.tensor([[gap, 0.0]], requires_grad=True)
            (slope,) = torch.autograd.grad(F.cross_entropy(z, torch.tensor([0]), options=options), z)
            true = torch.tensor([[-1.0, 1.0]]) * torch.sigmoid(-gap.double())
            assert_accurate(slope, true, roundings=6 + 16 * (options == Options("reference")))


# --- labels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", BACKENDS)
@pytest.mark.parametrize("ignored", [0, 2])
def test_a_class_can_be_ignored(options: Options | None, ignored: int) -> None:
    z, y = torch.randn(40, 3), torch.randint(3, (40,))
    head, hidden = torch.randn(3, 4), torch.randn(40, 4)
    for settings in ({}, {"weight": torch.rand(3)}, {"label_smoothing": 0.1}):
        for reduction in ("mean", "sum", "none"):
            x = z.clone().requires_grad_()
            ours, torchs = (
                f(x, y, ignore_index=ignored, reduction=reduction, **settings, **more)
                for f, more in ((F.cross_entropy, {"options": options}), (TF.cross_entropy, {}))
            )
            torch.testing.assert_close(ours, torchs)
            slopes = [torch.autograd.grad(loss.sum(), x)[0] for loss in (ours, torchs)]
            torch.testing.assert_close(*slopes)
            loss = F.linear_cross_entropy(
                hidden, head, y, ignore_index=ignored, reduction=reduction, options=options, **settings
            )
            expected = TF.cross_entropy(hidden @ head.T, y, ignore_index=ignored, reduction=reduction, **settings)
            torch.testing.assert_close(loss, expected)
    chosen = F.token_statistics(z, y, ignore_index=ignored, options=options or Options())
    assert chosen.log_prob is not None
    assert chosen.log_prob[y == ignored].eq(0).all()
    assert chosen.log_prob[y != ignored].lt(0).all()


def test_a_label_that_a_compiler_cannot_read_makes_its_row_nan() -> None:
    step = torch.compile(
        lambda z, y: F.cross_entropy(z, y, reduction="none", options=Options("chunked")),
        fullgraph=True,
        backend="aot_eager",
    )
    z, y = torch.randn(6, 5, requires_grad=True), torch.tensor([0, 7, 2, -3, -100, 4])
    rows = step(z, y)
    assert rows.isnan().tolist() == [False, True, False, True, False, False]
    assert rows[4] == 0
    known = torch.tensor([0, 2, 5])
    torch.testing.assert_close(rows[known], TF.cross_entropy(z, y.clamp(0, 4), reduction="none")[known])
    (gradient,) = torch.autograd.grad(rows.nansum(), z)
    assert gradient[known].isfinite().all()
    assert gradient[known].ne(0).all()


@pytest.mark.parametrize("backend", ALL)
def test_unread_labels_pick_no_class_weight(backend: str) -> None:
    step = torch.compile(
        lambda z, y, w: F.cross_entropy(z, y, w, reduction="none", options=Options(backend)), backend="aot_eager"
    )
    z, y, w = torch.randn(7, 5), torch.tensor([0, 7, 2, -3, -100, 4, 5]), torch.rand(5)
    rows = step(z, y, w)
    assert rows.isnan().tolist() == [False, True, False, True, False, False, True]
    assert rows[4] == 0
    known = torch.tensor([0, 2, 5])
    torch.testing.assert_close(rows[known], TF.cross_entropy(z[known], y[known], w, reduction="none"))


@pytest.mark.parametrize("options", BACKENDS)
def test_a_single_class_may_be_ignored(options: Options | None) -> None:
    z, y, w = torch.zeros(3, 1, requires_grad=True), torch.tensor([0, -100, 0]), torch.tensor([2.0])
    for settings in ({}, {"z_loss": 0.1}, {"token_weight": torch.ones(3)}):
        loss = F.cross_entropy(z, y, w, options=options, **settings)
        assert loss.item() == 0.0
        assert torch.autograd.grad(loss, z)[0].eq(0).all()


# --- rows that count for nothing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", BACKENDS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_only_a_token_weight_of_0_hides_what_is_not_finite(options: Options | None, bad: float) -> None:
    z, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    z[2, 0] = bad
    for weight in (0.0, 1.0, 0.5):
        t = torch.tensor([1.0, 0.5, weight, 0.0])
        for reduction in ("none", "sum", "mean"):
            x = z.clone().requires_grad_()
            loss = F.cross_entropy(x, y, token_weight=t, reduction=reduction, options=options)
            (slope,) = torch.autograd.grad(loss.sum(), x)
            assert bool(loss.isfinite().all()) == (weight == 0)
            assert bool(slope.isfinite().all()) == (weight == 0)
            if reduction == "none":
                assert loss[[0, 1, 3]].isfinite().all()
                assert loss[3] == 0
                if weight == 0:
                    assert loss[2] == 0


@pytest.mark.parametrize("options", BACKENDS)
@pytest.mark.parametrize("shapes", [((2, 3, 4), (5, 4)), ((6, 4), (5, 2, 4)), ((6, 4), (5, 1, 2, 4))], ids=str)
def test_hidden_states_of_any_shape_may_count_for_nothing(options: Options | None, shapes: tuple) -> None:
    h, w = (torch.randn(shape) for shape in shapes)
    rows = (*h.shape[:-1], *w.shape[1:-1])
    y, t = torch.randint(5, rows), torch.rand(rows)
    h[1, ..., 0], t[1] = torch.nan, 0.0
    w.requires_grad_()
    h.requires_grad_()
    loss = F.linear_cross_entropy(h, w, y, token_weight=t, softcap=3.0, options=options)
    kept = [x.detach()[torch.arange(len(h)) != 1] for x in (h, y, t)]
    expected = F.linear_cross_entropy(kept[0], w, kept[1], token_weight=kept[2], softcap=3.0)
    torch.testing.assert_close(loss, expected)
    of_hidden, of_head = torch.autograd.grad(loss, (h, w))
    assert of_hidden[1].eq(0).all()
    torch.testing.assert_close(of_head, torch.autograd.grad(expected, w)[0])


# --- statistics and distillation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("needs", [True, False])
def test_the_argmax_of_equal_logits_is_the_first(needs: bool) -> None:
    classes = 100
    logits = torch.zeros(5, classes)
    for row, places in enumerate([(3, 90), (17, 18), (99,), (0, 50, 99), (40, 41, 80)]):
        logits[row, list(places)] = 7.0
    hidden, head = torch.eye(5), logits.T.clone().requires_grad_(needs)
    expected = torch.tensor([3, 17, 99, 0, 40])
    for budget in (None, 1, 1000, 3000):
        for options in (Options(backend, budget) for backend in ALL):
            assert torch.equal(F.token_statistics(hidden, linear_weight=head, options=options).argmax, expected)
            assert torch.equal(F.token_statistics(logits, options=options).argmax, expected)
    head.data[70] = torch.nan
    for budget in (None, 1, 1000):
        for backend in FAST:
            argmax = F.token_statistics(hidden, linear_weight=head, options=Options(backend, budget)).argmax
            assert argmax.eq(70).all()


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("budget", [None, 1, 3000])
def test_statistics_have_gradients_without_a_target(budget: int | None, softcap: float | None) -> None:
    h, w = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((9, 4), (50, 4)))
    expected = None
    for backend in ("reference", "chunked"):
        options = Options(backend, budget)
        for s in (
            F.token_statistics(h, linear_weight=w, softcap=softcap, options=options),
            F.token_statistics(h @ w.T, softcap=softcap, options=options),
        ):
            assert s.log_prob is None
            slopes = torch.autograd.grad((s.entropy * s.logsumexp).sum(), (h, w))
            expected = expected or slopes
            torch.testing.assert_close(slopes, expected)


@pytest.mark.parametrize("budget", [None, 1, 3000])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("caps", [(1.5, None), (None, 2.0), (1.5, 2.0)])
def test_gradients_of_a_distillation_know_the_softcaps(
    caps: tuple[float | None, ...], temperature: float, budget: int | None
) -> None:
    leaves = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((9, 4), (50, 4), (9, 3), (50, 3))]
    student, teacher = (leaves[i] @ leaves[i + 1].T for i in (0, 2))
    capped = (z if c is None else c * (z / c).tanh() for z, c in zip((student, teacher), caps))
    q, p = ((z / temperature).log_softmax(1) for z in capped)
    expected = torch.autograd.grad((p.exp() * (p - q)).sum(1).mean(), leaves)
    for backend in ("chunked", "reference"):
        settings = {"softcap": caps[0], "teacher_softcap": caps[1], "temperature": temperature}
        loss = F.linear_kl_div(*leaves, **settings, options=Options(backend, budget))
        torch.testing.assert_close(torch.autograd.grad(loss, leaves), expected)


@pytest.mark.parametrize("temperature", [0.5, 2.0, 5.0])
@pytest.mark.parametrize("budget", [None, 1, 3000])
def test_gradients_of_a_distillation_know_the_temperature(temperature: float, budget: int | None) -> None:
    leaves = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((9, 4), (50, 4), (9, 3), (50, 3))]
    student, teacher = (leaves[i] @ leaves[i + 1].T for i in (0, 2))
    p, q = (teacher / temperature).log_softmax(1), (student / temperature).log_softmax(1)
    expected = torch.autograd.grad((p.exp() * (p - q)).sum(1).mean(), leaves)
    for backend in ("chunked", "reference"):
        loss = F.linear_kl_div(*leaves, temperature=temperature, options=Options(backend, budget))
        torch.testing.assert_close(torch.autograd.grad(loss, leaves), expected)


@pytest.mark.parametrize("options", BACKENDS)
@pytest.mark.parametrize("target", [torch.zeros(0).long(), None], ids=["labels", "none"])
def test_statistics_of_no_rows(options: Options | None, target: Tensor | None) -> None:
    chosen = options or Options()
    h, w = torch.zeros(0, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    for s in (
        F.token_statistics(h, target, linear_weight=w, options=chosen),
        F.token_statistics(h @ w.T, target, options=chosen),
    ):
        assert s.entropy.shape == s.logsumexp.shape == s.argmax.shape == (0,)
        assert s.argmax.dtype == torch.int64
        slopes = torch.autograd.grad((s.entropy + s.logsumexp).sum(), (h, w))
        assert slopes[0].shape == (0, 3)
        assert slopes[1].eq(0).all()


@pytest.mark.usefixtures("sweeps")
@pytest.mark.parametrize("options", BACKENDS)
@pytest.mark.parametrize("budget", [None, 1, 3000])
def test_ignored_rows_have_statistics_of_what_they_hold(options: Options | None, budget: int | None) -> None:
    h, w, y = torch.randn(4, 3), torch.randn(50, 3), torch.tensor([1, -100, -100, 2])
    h[2, 0] = torch.nan
    chosen = Options(options.backend, budget) if options else Options(memory_budget=budget)
    s = F.token_statistics(h, y, linear_weight=w, options=chosen)
    assert s.log_prob is not None
    assert s.log_prob[[1, 2]].eq(0).all()
    for values in (s.entropy, s.logsumexp):
        assert values.isnan().tolist() == [False, False, True, False]
        assert values[1] > 0


@pytest.mark.usefixtures("sweeps")
@pytest.mark.parametrize("budget", [None, 1, 3000])
def test_heads_with_positions_take_every_target(budget: int | None) -> None:
    leaves = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((6, 4), (5, 2, 3, 4), (5, 2, 3))]
    y, p = torch.randint(5, (6, 2, 3)), torch.rand(6, 5, 2, 3, dtype=torch.float64).softmax(1)
    logits = torch.einsum("nd,cpqd->ncpq", *leaves[:2]) + leaves[2]
    for target in (y, p):
        for settings in ({}, {"label_smoothing": 0.1, "weight": torch.rand(5, dtype=torch.float64)}):
            expected = TF.cross_entropy(logits, target, **settings)
            slopes = torch.autograd.grad(expected, leaves, retain_graph=True)
            for backend in ("chunked", "reference"):
                shared = {"linear_bias": leaves[2], "options": Options(backend, budget), **settings}
                loss = F.linear_cross_entropy(*leaves[:2], target, **shared)
                torch.testing.assert_close(loss, expected)
                torch.testing.assert_close(torch.autograd.grad(loss, leaves), slopes)


# --- frozen tensors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("budget", [None, 1, 3000])
def test_what_is_not_frozen_gets_its_gradient(budget: int | None, dtype: torch.dtype) -> None:
    tensors, y = [torch.randn(s).to(dtype) for s in ((9, 4), (50, 4), (50,))], torch.randint(50, (9,))
    exact = [x.double().requires_grad_() for x in tensors]
    expected = torch.autograd.grad(TF.cross_entropy(TF.linear(*exact), y), exact)
    for frozen in itertools.product([False, True], repeat=3):
        h, w, b = (x.detach().requires_grad_(not still) for x, still in zip(tensors, frozen))
        leaves = [x for x in (h, w, b) if x.requires_grad]
        if not leaves:
            continue
        loss = F.linear_cross_entropy(h, w, y, linear_bias=b, options=Options("chunked", budget))
        slopes = torch.autograd.grad(loss, leaves)
        for slope, true in zip(slopes, [e for e, still in zip(expected, frozen) if not still]):
            # bfloat16 rounds logits of size 8 by 2^-6 at most, and their gradients by as much of themselves
            near = 0.03 if dtype == torch.bfloat16 else 1e-5
            assert (slope.double() - true).norm() <= near * true.norm()


# --- means --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", BACKENDS)
def test_a_mean_over_infinite_weight_is_no_number(options: Options | None) -> None:
    z, y = torch.randn(4, 5, requires_grad=True), torch.tensor([0, 1, 2, 3])
    for settings in (
        {"weight": torch.full((5,), torch.inf)},
        {"weight": torch.tensor([1.0, 1.0, torch.inf, 1.0, 1.0])},
        {"token_weight": torch.tensor([1.0, torch.inf, 1.0, 1.0])},
        {"weight": torch.full((5,), 3e38)},  # whose sum is infinite
    ):
        losses = [
            F.cross_entropy(z, y, options=options, **settings),
            F.linear_cross_entropy(z, torch.eye(5), y, options=options, **settings),
        ]
        for loss in losses:
            assert loss.isnan()
            assert torch.autograd.grad(loss, z)[0].isnan().any()
    unused = F.cross_entropy(z, y, torch.tensor([1.0, 1.0, 1.0, 1.0, torch.inf]), options=options)
    torch.testing.assert_close(unused, TF.cross_entropy(z, y))


@pytest.mark.parametrize("options", BACKENDS)
def test_a_mean_over_no_weight_is_no_number_and_trains_nothing(options: Options | None) -> None:
    z, y, w = torch.randn(4, 5), torch.zeros(4).long(), torch.ones(5)
    z[1, 2], w[0] = torch.nan, 0.0
    z.requires_grad_()
    for settings in (
        {"weight": w},
        {"weight": w, "label_smoothing": 0.1},
        {"token_weight": torch.zeros(4), "z_loss": 0.1},
        {"ignore_index": 0, "z_loss": 0.1},
    ):
        loss = F.cross_entropy(z, y, options=options, **settings)
        assert loss.isnan()
        assert torch.autograd.grad(loss, z)[0].eq(0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"softcap": 1e39}, "softcap is 1e[+]39"),
        ({"softcap": 1e-300}, "logit_scale / softcap is 1e[+]300"),
        ({"logit_scale": 1e300}, "logit_scale is 1e[+]300"),
        ({"logit_scale": -1e39}, "logit_scale is -1e[+]39"),
        ({"z_loss": 1e39}, "z_loss is 1e[+]39"),
        ({"denominator": 1e39}, "denominator is 1e[+]39"),
        ({"denominator": torch.tensor(1e39, dtype=torch.float64)}, "denominator is 1e[+]39"),
    ],
)
def test_numbers_that_the_sums_cannot_hold_are_refused(settings: dict, message: str) -> None:
    z, y = torch.randn(2, 3), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=f"{message}, expected at most 3.403e[+]38 in size: .* torch.float32"):
        F.cross_entropy(z, y, **settings)
    with pytest.raises(ValueError, match=message):
        F.linear_cross_entropy(z.half(), torch.eye(3).half(), y, **settings)
    assert not F.cross_entropy(z.double(), y, **settings).isnan()


def test_temperatures_that_divide_to_infinity_are_refused() -> None:
    h, w = torch.randn(3, 2), torch.randn(4, 2)
    with pytest.raises(ValueError, match=r"logit_scale / temperature is 1e[+]40"):
        F.linear_kl_div(h, w, h, w, temperature=1e-40)
    with pytest.raises(ValueError, match=r"teacher_logit_scale is 1e[+]39"):
        F.linear_kl_div(h, w, h, w, teacher_logit_scale=1e39)


# --- layouts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["chunked", "auto"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_classes_may_lie_anywhere(backend: str, dtype: torch.dtype) -> None:
    makes = {
        "sequences": torch.randn(3, 7, 5).transpose(1, 2),
        "images": torch.randn(3, 5, 4, 2),
        "channels last": torch.randn(3, 5, 4, 2).to(memory_format=torch.channels_last),
        "classes first": torch.randn(5, 3, 7).movedim(0, 1),
        "every second": torch.randn(3, 10, 7)[:, ::2],
        "expanded": torch.randn(3, 5, 1).expand(3, 5, 7),
    }
    for z in makes.values():
        x = z.to(dtype).requires_grad_()
        y, exact = torch.randint(5, (3, *x.shape[2:])), x.detach().double().requires_grad_()
        loss, true = F.cross_entropy(x, y, options=Options(backend)), TF.cross_entropy(exact, y)
        (slope,), (expected,) = torch.autograd.grad(loss, x), torch.autograd.grad(true, exact)
        # two for each unit of the logits' range, which is 8, one for each of 5 classes, and 8: test_numerics.budget
        for actual, right in ((loss, true), (slope, expected)):
            assert_accurate(actual, right, roundings=2 * 8 + 5 + 8)


# --- devices ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("options", [None, Options("chunked"), Options("reference")])
def test_a_loss_stays_on_the_device_of_its_logits(options: Options | None, reduction: str) -> None:
    def on(*shape: int) -> Tensor:
        return torch.rand(shape, device="meta", requires_grad=True)

    def check(loss: Tensor, shape: tuple[int, ...], *leaves: Tensor) -> None:
        assert loss.is_meta
        assert loss.shape == shape
        for slope, leaf in zip(torch.autograd.grad(loss.sum(), leaves), leaves):
            assert slope.is_meta
            assert slope.shape == leaf.shape

    shared = {"reduction": reduction, "options": options}
    for settings in (
        {},
        {"weight": on(5).detach()},
        {"token_weight": on(6, 3).detach()},
        {"label_smoothing": 0.1, "z_loss": 0.1, "softcap": 3.0},
        *([{"denominator": 3.0}, {"denominator": on(1).detach()}] if reduction == "mean" else []),
    ):
        for target in (torch.zeros(6, 3, dtype=torch.int64, device="meta"), on(6, 5, 3).detach()):
            z = on(6, 5, 3)
            shape = (6, 3) if reduction == "none" else ()
            check(F.cross_entropy(z, target, **settings, **shared), shape, z)
    h, w, b, y = on(6, 4), on(5, 4), on(5), torch.zeros(6, dtype=torch.int64, device="meta")
    shape = (6,) if reduction == "none" else ()
    check(F.linear_cross_entropy(h, w, y, linear_bias=b, **shared), shape, h, w, b)
    check(F.linear_kl_div(h, w, h, w, **shared), shape, h, w)
    s = F.token_statistics(h, y, linear_weight=w, options=options or Options())
    check(s.log_prob + s.entropy + s.logsumexp, (6,), h, w)
    assert s.argmax.is_meta


# --- other classes of tensors -------------------------------------------------------------------------------------


def test_tensors_that_say_themselves_what_operators_do_are_asked() -> None:
    a, b = torch.randn(300, 40), torch.randn(300, 40)
    y = torch.randint(40, (300,))
    loss = F.cross_entropy(TwoTensor(a, b), TwoTensor(y, y), z_loss=0.01)
    assert isinstance(loss, TwoTensor)
    for half, logits in ((loss.a, a), (loss.b, b)):
        torch.testing.assert_close(half, F.cross_entropy(logits, y, z_loss=0.01))
    with pytest.raises(ValueError, match="a TwoTensor says itself what operators do"):
        F.cross_entropy(TwoTensor(a, b), TwoTensor(y, y), options=Options("chunked"))


# --- probabilities ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_rows_are_noticed_that_are_off_1_by_three_times_what_rounding_permits(dtype: torch.dtype) -> None:
    def row(classes: int, excess: float) -> Tensor:
        p = torch.rand(classes, dtype=torch.float64)
        return (p / p.sum() * (1 + excess)).to(dtype)

    rounded = torch.float32 if dtype == torch.float64 else dtype  # in which they may have been made
    for classes in (2, 30) if dtype == torch.bfloat16 else (2, 30, 1000):
        information.entropy(row(classes, 0.0))
        for sign in (1, -1):
            excess = sign * torch.finfo(rounded).eps * 3 * (8 + classes**0.5)
            with pytest.raises(ValueError, match=r"sums to .*, expected 1"):
                information.entropy(row(classes, excess))


def test_every_option_reaches_every_backend() -> None:
    z, y, w = torch.randn(64, 6), torch.randint(6, (64,)), torch.rand(6)
    settings = {"label_smoothing": 0.2, "z_loss": 0.1, "softcap": 2.0, "logit_scale": 0.7, "weight": w}
    plain = F.cross_entropy(z, y)
    for name, value in settings.items():
        losses = [F.cross_entropy(z, y, **{name: value}, options=options) for options in BACKENDS]
        for first, second in itertools.pairwise(losses):
            torch.testing.assert_close(first, second)
        assert (losses[0] - plain).abs() > 1e-3


# --- values -------------------------------------------------------------------------------------------------------


def test_values_are_read_only_where_there_are_some() -> None:
    x, seen = torch.ones(3), []

    def look(z: Tensor) -> Tensor:
        seen.append(readable(z, wait=True))
        return z * 2

    look(x)
    assert seen.pop()
    torch.func.grad(lambda z: look(z).sum())(x)
    assert seen.pop()
    torch.func.vmap(look)(x)
    assert not seen.pop()
    torch.jit.trace(look, x, check_trace=False)
    assert not seen.pop()
    make_fx(look)(x)
    assert not seen.pop()
    with FakeTensorMode():
        look(torch.ones(3))
        assert not seen.pop()
    look(x.to("meta"))
    assert not seen.pop()
    look(TwoTensor(x, x))
    assert not seen.pop()
    assert torch.compile(lambda z: z + readable(z), backend="eager", fullgraph=True)(x).eq(1).all()


# --- which problems are tiny --------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("needs", [False, True])
def test_torchs_own_operators_compute_small_losses(
    reduction: str, needs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tiny, "_small", None)  # tests/test_small.py has what compiled code does

    def of(z: Tensor, y: Tensor, ignored: int = -100) -> Tensor | None:
        return _tiny.cross_entropy(z.requires_grad_(needs), y, ignored, reduction)

    def agrees(z: Tensor, y: Tensor, ignored: int = -100) -> bool:
        result = of(z, y, ignored)
        expected = TF.cross_entropy(z.detach().double(), y.long(), ignore_index=ignored, reduction=reduction)
        assert result is not None
        assert result.requires_grad == needs
        assert result.dtype == z.dtype
        assert_accurate(result, expected, roundings=30)
        return True

    y = torch.randint(5, (12,))
    z = torch.randn(12, 5)
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        assert agrees(z.to(dtype), y)
    for dtype in sorted(INTEGERS, key=str):
        assert agrees(z, y.to(dtype))
    assert agrees(torch.nn.Parameter(z), y)
    if needs or reduction != "none":  # a loss of 0 may be a small one that was rounded
        assert agrees(z, y, 3)
    assert agrees(torch.randn(2, 5, 3), torch.randint(5, (2, 3)))
    assert agrees(torch.zeros(1 << 10, 1 << 10), torch.zeros(1 << 10).long())  # 2^20 logits, and one row more
    assert of(torch.zeros((1 << 10) + 1, 1 << 10), torch.zeros((1 << 10) + 1).long()) is None
    certain = torch.tensor([[60.0, 0.0]], dtype=torch.float64)
    assert (of(certain, torch.tensor([1])) is None) == needs  # p − 1 is lost, the loss of 60 is not
    for logits in (1 << 16, (1 << 16) + 2):  # float64 keeps float32's bits, for a few logits
        z_likely = torch.tensor([[10.0, 0.0]]).repeat(logits // 2, 1)
        y_unlikely = torch.ones(logits // 2).long()
        assert (of(z_likely, y_unlikely) is None) == (needs and logits > 1 << 16)
        assert (of(z_likely[:9].detach().double(), y_unlikely[:9]) is None) == needs
    assert of(z, y.int() + 5) is None  # torch refuses it
    assert of(z, y.float()) is None
    assert of(z, torch.rand(12, 5)) is None
    assert of(TwoTensor(z.detach(), z.detach()), y) is None
    assert of(z, TwoTensor(y, y)) is None
    assert of(z.detach().to("meta"), y.to("meta")) is None
    assert of(z.detach().to("meta"), y) is None


@pytest.mark.parametrize("where", ["torch.func", "forward mode", "a mode", "a trace", "torch.compile"])
def test_transforms_and_tracers_see_no_operators_for_tiny_problems(where: str) -> None:
    z, y = torch.randn(12, 5), torch.randint(5, (12,))
    seen: list[Tensor | None] = []

    def ask(x: Tensor) -> Tensor:
        seen.append(_tiny.cross_entropy(x, y, -100, "mean"))
        seen.append(_tiny.linear_cross_entropy(x, torch.eye(5), None, y, -100, "mean"))
        return x.sum()

    ask(z)
    assert all(x is not None for x in seen)
    seen.clear()
    if where == "torch.func":
        torch.func.grad(ask)(z)
    elif where == "forward mode":
        with forward_ad.dual_level():
            ask(z)
    elif where == "a mode":
        with FlopCounterMode(display=False):
            ask(z)
    elif where == "a trace":
        with pytest.warns(torch.jit.TracerWarning):
            torch.jit.trace(ask, z, check_trace=False)
    else:
        same = torch.compile(lambda x: 0 if _tiny.cross_entropy(x, y, -100, "mean") is None else 1, backend="eager")
        assert same(z) == 0
        return
    assert seen
    assert all(x is None for x in seen)


def test_only_plain_small_heads_are_computed_at_once() -> None:
    def of(h: Tensor, w: Tensor, y: Tensor, b: Tensor | None = None, reduction: str = "none") -> Tensor | None:
        return _tiny.linear_cross_entropy(h, w, b, y, -100, reduction)

    h, w, b, y = torch.randn(2, 6, 4), torch.randn(7, 4), torch.randn(7), torch.randint(7, (2, 6))
    for bias in (None, b):
        rows = of(h, w, y, bias)
        expected = TF.cross_entropy(TF.linear(h, w, bias).movedim(-1, 1), y, reduction="none")
        torch.testing.assert_close(rows, expected)
        torch.testing.assert_close(of(h[0], w, y[0], bias), expected[0])
        for reduction in ("mean", "sum"):
            total = getattr(expected, reduction)()
            torch.testing.assert_close(of(h, w, y, bias, reduction), total)
            torch.testing.assert_close(of(torch.nn.Parameter(h), torch.nn.Parameter(w), y, bias, reduction), total)
    wide = torch.zeros(1 << 10, 4)
    assert of(torch.zeros(1 << 10, 4), wide, torch.zeros(1 << 10).long()) is not None
    assert of(torch.zeros((1 << 10) + 1, 4), wide, torch.zeros((1 << 10) + 1).long()) is None
    for features in (1, 4):  # no logits are made to find out that they are many
        many, large, labels = (
            torch.zeros(1 << 11, features),
            torch.zeros(1 << 10, features),
            torch.zeros(1 << 11).long(),
        )
        assert peak_bytes(lambda: of(many, large, labels)) < 1 << 20  # noqa: B023
    assert of(h, w, y[:1]) is None
    assert of(h, w, y.T) is None
    assert of(h.half(), w.half(), y) is None
    assert of(h, w.double(), y) is None
    assert of(h, w[:, None], y) is None
    assert of(h[..., :0], w[:, :0], y) is None
    assert of(torch.tensor(1.0), w, torch.tensor(1)) is None
    assert of(h, TwoTensor(w, w), y) is None
    assert of(TwoTensor(h, h), w, y) is None
    assert of(h, w, TwoTensor(y, y)) is None
    assert of(h, w, y, TwoTensor(b, b)) is None
    assert of(h.to("meta"), w.to("meta"), y) is None
    assert of(h, w, y, b.to("meta")) is None


@pytest.mark.parametrize("classes", [16_000, 50_257, 128_256])
def test_no_sum_is_taken_for_1_that_is_off_by_a_quarter(classes: int) -> None:
    y = torch.zeros(2).long()
    soft = torch.zeros(2, classes, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="sums to 0"):
        F.cross_entropy(torch.randn(2, classes), soft, validate=True)
    for logits in (3 * torch.randn(2, classes) - 80, torch.zeros(2, classes)):
        F.cross_entropy(logits.bfloat16(), y, validate=True)  # warns of nothing


@pytest.mark.parametrize("backend", ["reference", "chunked"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(
    ("size", "dtype"),
    [
        (1e-37, torch.float32), (1e-40, torch.float32), (1e-45, torch.float32), (-1e-45, torch.float32),
        (1e30, torch.float32), (-1e30, torch.float32), (1e-310, torch.float64),
    ],
)  # fmt: skip
def test_a_mean_does_not_see_the_size_of_class_weights(
    size: float, dtype: torch.dtype, smoothing: float, backend: str
) -> None:
    # The weights are what float32 and float64 make of them, 2^-149 for 1e-45; in units of 2^-149 (2^-1074) they are
    # whole numbers, which float64 holds.
    unit = 2.0**-149 if dtype == torch.float32 else 2.0**-1074
    weight = torch.tensor([1.0, 2.0, 3.0, 1.0, 1.0], dtype=dtype) * size
    whole = torch.tensor([round(w / unit) for w in weight.tolist()], dtype=torch.float64)
    x, y = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3])
    settings = {"label_smoothing": smoothing, "z_loss": 1e-3}

    def results(x: Tensor, weight: Tensor, options: Options) -> tuple[Tensor, Tensor, Tensor]:
        z, w = x.clone().requires_grad_(), weight.clone().requires_grad_(backend == "reference")
        loss = F.cross_entropy(z, y, w, **settings, options=options)
        loss.backward()
        nll = F.nll_loss(x.log_softmax(1), y, weight)
        assert z.grad is not None
        return loss.detach(), z.grad, nll

    ours = results(x.to(dtype), weight, Options(backend))
    right = results(x.double(), whole, Options("reference"))
    # a few sums of at most 5 terms, each rounded once, of numbers below 8
    for a, b in zip(ours, right):
        torch.testing.assert_close(a.double(), b, rtol=0, atol=8 * 16 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("most", [3e38, torch.inf])
def test_the_weight_of_a_class_that_does_not_occur_is_not_seen(most: float, backend: str) -> None:
    y = torch.tensor([0, 1, 2, 0])
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    gradients = []
    for weight in (torch.tensor([1.0, 1.0, 1.0, most, most]), torch.ones(5)):
        z = x.clone().requires_grad_()
        F.cross_entropy(z, y, weight, options=Options(backend)).backward()
        gradients.append(z.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_denominator_over_which_every_loss_is_infinite_is_refused(dtype: torch.dtype) -> None:
    x, y = torch.zeros(2, 3, dtype=dtype), torch.tensor([0, 1])
    least = torch.finfo(dtype).smallest_normal
    assert F.cross_entropy(x * 0 + torch.eye(2, 3, dtype=dtype) * 1000, y, denominator=least) == 0
    with pytest.raises(
        ValueError, match=r"denominator is .*, expected 0 or at least .*: over less, a loss is infinite"
    ):
        F.cross_entropy(x, y, denominator=least / 2)
