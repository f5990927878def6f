"""Divergences of a student from a teacher: against float64, near equality, at the ends, in every way there is."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import crossentropy.functional as F
from crossentropy import Options, information, nn
from crossentropy.testing import assert_accurate, hostile_logits, peak_bytes

INF = math.inf
BACKENDS = ["chunked", "reference"]


class Case(NamedTuple):
    """One of the family, by its two functions: a KL(p‖m) + b KL(q‖m), m = λ p + μ q."""

    dense: Callable[..., Tensor]
    linear: Callable[..., Tensor]
    a: float
    b: float
    of_p: float
    of_q: float

    def exact(self, q: Tensor, p: Tensor, dim: int = -1) -> Tensor:
        """By the quantity, from logits in float64."""
        if self.of_p in (0, 1):
            believed, true = (q, p) if self.of_q else (p, q)
            return information.kl_divergence(p_logits=true.double(), q_logits=believed.double(), dim=dim)
        p, q = p.double().softmax(dim), q.double().softmax(dim)
        m = self.of_p * p + self.of_q * q
        terms = [(w, x) for w, x in ((self.a, p), (self.b, q)) if w]
        return sum(w * information.kl_divergence(x, m, dim=dim, validate=False) for w, x in terms)  # pyright: ignore[reportReturnType]


def _kl(name: str, a: float, b: float, share: float, **number: float) -> Case:
    dense, linear = getattr(F, f"{name}_with_logits"), getattr(F, f"linear_{name}")
    return Case(functools.partial(dense, **number), functools.partial(linear, **number), a, b, share, 1 - share)


CASES = {
    "kl": _kl("kl_div", 1, 0, 0),
    "skewed": _kl("kl_div", 1, 0, 0.1, skew=0.1),
    "hardly skewed": _kl("kl_div", 1, 0, 1e-9, skew=1e-9),
    "reverse": _kl("reverse_kl_div", 0, 1, 1),
    "skewed reverse": _kl("reverse_kl_div", 0, 1, 0.9, skew=0.1),
    "js": _kl("js_div", 0.5, 0.5, 0.5),
    "js of 0.9": _kl("js_div", 0.9, 0.1, 0.9, beta=0.9),
}
MIXED = [name for name, case in CASES.items() if 0 < case.of_p < 1]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def rows_of(case: Case, q: Tensor, p: Tensor, backend: str, **settings: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of each row, and the gradients of those that are finite."""
    q, p = q.clone().requires_grad_(), p.clone().requires_grad_()
    rows = case.dense(q, p, reduction="none", options=Options(backend), **settings)
    return rows.detach(), *torch.autograd.grad(rows[rows.isfinite()].sum(), (q, p))


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_hostile_rows_against_float64(case: Case, backend: str) -> None:
    torch.manual_seed(0)
    for name, z in hostile_logits(5, 9).items():
        q, p = z, z.flip(0)
        rows, *gradients = rows_of(case, q, p, backend)
        exact = case.exact(q, p)
        defined = ~(q.amax(-1) == -INF) & ~(p.amax(-1) == -INF) & (q < INF).all(-1) & (p < INF).all(-1)
        # log-probabilities err by two roundings of their size, which is at most what the divergence of a row adds up
        size = 1 + torch.nan_to_num(exact, posinf=0.0)[defined]
        assert torch.equal(rows[defined].isinf(), exact[defined].isinf()), name
        finite = defined & exact.isfinite()
        assert_accurate(rows[finite], exact[finite], roundings=64, magnitude=size[exact[defined].isfinite()])
        assert all(g[finite].isfinite().all() for g in gradients), name


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [name for name in MIXED if name != "hardly skewed"])
def test_near_equality_losses_and_gradients_keep_their_digits(name: str, backend: str) -> None:
    case = CASES[name]
    torch.manual_seed(0)
    # multiples of 2^-20 below 4: float32 holds them, and their differences, exactly
    q = torch.randint(-(2**21), 2**21, (6, 12)).float() / 2**20
    p = q + torch.randint(-8, 9, (6, 12)).float() / 2**14
    rows, *gradients = rows_of(case, q, p, backend)
    exact, *slopes = rows_of(case, q.double(), p.double(), "reference")
    # d = log p − log q is about 3e-4 and errs by a few roundings of log p, of size 4: relatively by 4 · 2^-24 / 3e-4;
    # and of parts λ and μ of it, which are subtracted, there remains λ μ
    less = 1 / (4 * case.of_p * case.of_q)
    assert_accurate(rows, exact, roundings=2.0**15 * less)
    for g, slope in zip(gradients, slopes):
        assert_accurate(g, slope, roundings=64, magnitude=slope.abs().max() * 2**9 * less)
    assert (rows > 0).all()
    plain = F.kl_div_with_logits(q, q, reduction="none", options=Options(backend))
    assert torch.equal(case.dense(q, q, reduction="none", options=Options(backend)), torch.zeros(6))
    assert plain.abs().max() <= 12 * 2**-24


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_certain_class_leaves_the_divergence_of_the_others(backend: str) -> None:
    q, p = torch.tensor([[50.0, 0.0, 1.0]]), torch.tensor([[51.0, 0.5, 0.0]])
    exact = case_js().exact(q, p)
    assert 0 < exact.item() < 1e-20
    loss, *gradients = rows_of(case_js(), q, p, backend)
    assert_accurate(loss, exact, roundings=64 * 50)  # of logarithms of size 50
    x, y = q.double().requires_grad_(), p.double().requires_grad_()
    slopes = torch.autograd.grad(F.js_div_with_logits(x, y, options=Options("reference")), (x, y))
    for g, slope in zip(gradients, slopes):
        assert_accurate(g, slope, roundings=64 * 50)


def case_js() -> Case:
    return CASES["js"]


def test_js_is_that_of_information_and_bounded() -> None:
    torch.manual_seed(0)
    q, p = 30 * torch.randn(64, 7), 30 * torch.randn(64, 7)
    rows = F.js_div_with_logits(q, p, reduction="none")
    assert_accurate(
        rows, information.js_divergence(p_logits=p.double(), q_logits=q.double()), roundings=64, magnitude=1.0
    )
    assert (rows <= math.log(2) * (1 + 2**-22)).all()
    disjoint = F.js_div_with_logits(torch.tensor([0.0, -INF]), torch.tensor([-INF, 0.0]))
    assert_accurate(disjoint, torch.tensor(math.log(2), dtype=torch.float64), roundings=2)
    assert_accurate(rows, F.js_div_with_logits(p, q, reduction="none").double(), roundings=16, magnitude=1.0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_ends(backend: str) -> None:
    q, p = torch.tensor([[0.0, 0.0, -INF]]), torch.tensor([[0.0, -INF, 0.0]])
    options = {"options": Options(backend)}
    assert F.kl_div_with_logits(q, p, **options) == INF
    assert F.reverse_kl_div_with_logits(q, p, **options) == INF
    ln2 = math.log(2)
    # p = (½, 0, ½), q = (½, ½, 0): KL(p ‖ α p + (1 − α) q) = ½ · 0 + ½ log(1/α)
    for skew in (0.5, 0.1, 1e-30):
        for function in (F.kl_div_with_logits, F.reverse_kl_div_with_logits):
            x, y = q.clone().requires_grad_(), p.clone().requires_grad_()
            loss = function(x, y, skew=skew, **options)
            assert loss.item() == pytest.approx(-math.log(skew) / 2, rel=1e-6)
            assert all(g.isfinite().all() for g in torch.autograd.grad(loss, (x, y)))
    assert F.js_div_with_logits(q, p, **options).item() == pytest.approx(ln2 / 2, rel=1e-6)


def test_small_skews_and_betas_become_the_plain_ones() -> None:
    torch.manual_seed(0)
    q, p = torch.randn(2, 5, 7, dtype=torch.float64)
    close = functools.partial(torch.testing.assert_close, rtol=1e-6, atol=0.0)
    close(F.kl_div_with_logits(q, p, skew=1e-12), F.kl_div_with_logits(q, p))
    close(F.reverse_kl_div_with_logits(q, p, skew=1e-12), F.reverse_kl_div_with_logits(q, p))
    close(F.js_div_with_logits(q, p, beta=1e-9) / 1e-9, F.kl_div_with_logits(q, p))
    close(F.reverse_kl_div_with_logits(q, p), F.kl_div_with_logits(p, q))


@pytest.mark.parametrize("name", ["kl_div", "reverse_kl_div", "js_div"])
def test_numbers_that_are_no_part_of_a_mixture(name: str) -> None:
    z, number = torch.zeros(2, 3), "beta" if name == "js_div" else "skew"
    function = getattr(F, f"{name}_with_logits")
    for value in (1.0, -0.1, 1.5, math.nan, 1e-40):
        with pytest.raises(ValueError, match=rf"{number} is .*expected"):
            function(z, z, **{number: value})
    with pytest.raises(TypeError, match=f"{number} is a str"):
        function(z, z, **{number: "0.5"})
    if name == "js_div":
        with pytest.raises(ValueError, match=r"beta is 0.*others mean the kl_div"):
            function(z, z, beta=0)
    with pytest.raises(ValueError, match=r"input has shape \(2, 3\) and teacher_input \(3, 2\)"):
        function(z, z.T)


# --- every way to compute them ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_heads_in_pieces_agree_with_their_logits(case: Case, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    leaves = [torch.randn(n, d).to(dtype).requires_grad_() for n, d in ((7, 4), (11, 4), (7, 3), (11, 3))]
    bias, other = torch.randn(11).to(dtype).requires_grad_(), torch.randn(11).to(dtype).requires_grad_()
    t = torch.rand(7)
    settings = {"temperature": 2.0, "softcap": 3.0, "teacher_logit_scale": 0.5}
    h, w, g, v = (x.double() for x in leaves)
    dense = case.dense(h @ w.T + bias.double(), g @ v.T + other.double(), token_weight=t, **settings)
    exact = torch.autograd.grad(dense, (*leaves, bias, other))
    u = torch.finfo(dtype).eps / 2
    for backend, budget in (
        ("chunked", None),
        ("chunked", 1),
        ("chunked", 600),
        ("chunked", 3000),
        ("reference", None),
    ):
        loss = case.linear(
            *leaves, linear_bias=bias, teacher_bias=other, token_weight=t, out_dtype=torch.float64,
            options=Options(backend, budget), **settings,
        )  # fmt: skip
        found = torch.autograd.grad(loss, (*leaves, bias, other))
        # logits of size 8 are rounded to dtype, and gradients, of size 1, as they are summed
        torch.testing.assert_close(loss, dense, rtol=64 * u, atol=16 * u)
        for a, b in zip(found, exact):
            torch.testing.assert_close(a, b, rtol=64 * u, atol=64 * u)


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("teacher", [torch.float32, torch.bfloat16])
def test_classes_lie_along_any_axis(case: Case, dim: int, teacher: torch.dtype) -> None:
    torch.manual_seed(0)
    q, p = torch.randn(4, 5, 6), torch.randn(5, 6, 4).permute(2, 0, 1).to(teacher)
    exact = case.exact(q, p, dim)
    for backend in BACKENDS:
        x, y = q.clone().requires_grad_(), p.clone().requires_grad_()
        rows = case.dense(x, y, dim=dim, reduction="none", options=Options(backend))
        assert_accurate(rows, exact, roundings=64, magnitude=1.0)
        found = torch.autograd.grad(rows.sum(), (x, y))
        moved = [z.detach().movedim(dim, -1).contiguous().requires_grad_() for z in (x, y)]
        expected = torch.autograd.grad(case.dense(*moved, reduction="sum"), moved)
        for a, b in zip(found, expected):
            torch.testing.assert_close(
                a, b.movedim(-1, dim), rtol=1e-2 if a.dtype == torch.bfloat16 else 1e-5, atol=1e-6
            )


@pytest.mark.parametrize("backend", ["chunked", "reference"])
def test_rows_that_do_not_count_are_not_read(case: Case, backend: str) -> None:
    torch.manual_seed(0)
    q, p, t = torch.randn(5, 4), torch.randn(5, 4), torch.tensor([1.0, 0.0, 2.0, 0.0, 0.0])
    expected = case.dense(q[[0, 2, 2]], p[[0, 2, 2]])
    q[1], p[3], q[4], p[4] = math.nan, INF, -INF, -INF
    x, y = q.requires_grad_(), p.requires_grad_()
    loss = case.dense(x, y, token_weight=t, options=Options(backend))
    torch.testing.assert_close(loss, expected)
    for g in torch.autograd.grad(loss, (x, y)):
        assert (g[t == 0] == 0).all()
        assert g[t != 0].abs().min() > 0
    rows = case.dense(q, p, token_weight=t, reduction="none", options=Options(backend))
    assert (rows[t == 0] == 0).all()
    doubled = case.dense(q, p, token_weight=t, denominator=6, options=Options(backend))
    torch.testing.assert_close(2 * doubled, expected)


def test_a_row_without_a_class_is_nan(case: Case) -> None:
    q, p = torch.zeros(2, 3), torch.zeros(2, 3)
    q[0] = -INF
    for backend in BACKENDS:
        rows = case.dense(q, p, reduction="none", options=Options(backend))
        assert rows.isnan().tolist() == [True, False]


def test_no_rows(case: Case) -> None:
    z = torch.zeros(0, 3, requires_grad=True)
    assert case.dense(z, z).isnan()
    assert case.dense(z, z, reduction="sum") == 0
    assert case.dense(z, z, reduction="none").shape == (0,)


def test_the_reverse_is_the_divergence_with_the_sides_exchanged() -> None:
    """To the bit, gradients too: neither has a way of its own."""
    torch.manual_seed(0)
    heads = [torch.randn(n, d, requires_grad=True) for n, d in ((7, 4), (9, 4), (7, 5), (9, 5))]
    for backend in BACKENDS:
        found = F.linear_reverse_kl_div(*heads, options=Options(backend))
        expected = F.linear_kl_div(*heads[2:], *heads[:2], options=Options(backend))
        assert torch.equal(found, expected)
        for g, e in zip(torch.autograd.grad(found, heads), torch.autograd.grad(expected, heads)):
            assert torch.equal(g, e)


# --- derivatives, transforms and compilers ------------------------------------------------------------------------


def _doubles() -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    return tuple(
        torch.randn(n, d, dtype=torch.float64, requires_grad=True) for n, d in ((3, 2), (4, 2), (3, 3), (4, 3))
    )


def test_gradients_of_every_order(case: Case) -> None:
    leaves = _doubles()
    loss = functools.partial(case.linear, temperature=2.0, options=Options("chunked"))
    assert torch.autograd.gradcheck(loss, leaves)
    assert torch.autograd.gradgradcheck(loss, leaves)
    logits = [x.detach()[:, :2].clone().requires_grad_() for x in (leaves[1], leaves[3])]
    logits[1].data[0] = logits[0].data[0]  # equal rows, where the larger of the two changes
    dense = functools.partial(case.dense, options=Options("chunked"))
    assert torch.autograd.gradcheck(dense, logits)
    assert torch.autograd.gradgradcheck(dense, logits)


def test_transforms(case: Case) -> None:
    torch.manual_seed(0)
    q, p = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    each = torch.vmap(case.dense)(q, p)
    torch.testing.assert_close(each, torch.stack([case.dense(a, b) for a, b in zip(q, p)]))
    tangents = torch.randn_like(q), torch.randn_like(p)
    _, slope = torch.func.jvp(case.dense, (q, p), tangents)
    gradients = torch.func.grad(case.dense, argnums=(0, 1))(q, p)
    torch.testing.assert_close(slope, sum((g * t).sum() for g, t in zip(gradients, tangents)))


def test_compiled_in_one_graph(case: Case) -> None:
    torch.compiler.reset()
    torch.manual_seed(0)
    h, w, g, v = (x.detach().float().requires_grad_() for x in _doubles())
    z = torch.randn(3, 4, 5, requires_grad=True)
    teacher = torch.randn(3, 5, 4).transpose(1, 2).bfloat16().requires_grad_()

    def both() -> Tensor:
        return case.linear(h, w, g, v) + case.dense(z, teacher, dim=1)

    leaves = h, w, g, v, z, teacher
    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
    loss, expected = compiled(), both()
    torch.testing.assert_close(loss, expected)
    for a, b in zip(torch.autograd.grad(loss, leaves), torch.autograd.grad(expected, leaves)):
        torch.testing.assert_close(a, b)


# --- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reverse", "js"])
def test_heads_build_no_logits(name: str) -> None:
    rows, classes, size = 128, 20_000, 16
    h, w, v = torch.randn(rows, size), torch.randn(classes, size), torch.randn(classes, size)
    h.requires_grad_(), w.requires_grad_()

    def step() -> None:
        torch.autograd.grad(CASES[name].linear(h, w, h.detach(), v, options=Options("chunked", 1 << 21)), (h, w))

    step()
    assert peak_bytes(step) < rows * classes * 4 / 2  # of two logits of 10 MB each: budget 2 MB, gradients 1.3


def test_a_teacher_without_gradient_has_no_room_for_one() -> None:
    q, p = torch.randn(512, 8192, requires_grad=True), torch.randn(512, 8192)

    def step(teacher: Tensor) -> Callable[[], object]:
        leaves = [x for x in (q, teacher) if x.requires_grad]
        return lambda: torch.autograd.grad(F.js_div_with_logits(q, teacher, options=Options("chunked")), leaves)

    alone, both = peak_bytes(step(p)), peak_bytes(step(p.clone().requires_grad_()))
    assert alone < both - 0.75 * p.numel() * 4


# --- classes ------------------------------------------------------------------------------------------------------


def test_modules_hold_the_settings() -> None:
    torch.manual_seed(0)
    q, p, t = torch.randn(3, 5, 2), torch.randn(3, 5, 2), torch.rand(3, 2)
    shared = {"temperature": 2.0, "softcap": 3.0, "teacher_softcap": 4.0, "logit_scale": 0.5, "reduction": "sum"}
    shared |= {"teacher_logit_scale": 2.0, "out_dtype": torch.float64}
    pairs = [
        (nn.KLDivWithLogitsLoss, F.kl_div_with_logits, {"skew": 0.2}, {}),
        (nn.KLDivWithLogitsLoss, F.reverse_kl_div_with_logits, {"skew": 0.2}, {"reverse": True}),
        (nn.JSDivWithLogitsLoss, F.js_div_with_logits, {"beta": 0.2}, {}),
    ]
    for module, function, number, more in pairs:
        loss = module(dim=1, **number, **more, **shared)
        expected = function(q, p, dim=1, token_weight=t, **number, **shared)
        assert torch.equal(loss(q, p, token_weight=t), expected)
        assert "temperature=2.0" in repr(loss)
        assert "dim=1" in repr(loss)
    h, w, g, v = (x.detach() for x in _doubles())
    for module, function, number, more in (
        (nn.LinearKLDivLoss, F.linear_kl_div, {"skew": 0.2}, {}),
        (nn.LinearKLDivLoss, F.linear_reverse_kl_div, {"skew": 0.2}, {"reverse": True}),
        (nn.LinearJSDivLoss, F.linear_js_div, {"beta": 0.2}, {}),
    ):
        loss = module(**number, **more, **shared)
        bias = {"linear_bias": torch.randn(4).double(), "teacher_bias": torch.randn(4).double()}
        assert torch.equal(loss(h, w, g, v, **bias), function(h, w, g, v, **bias, **number, **shared))
    for wrong in ({"temperature": 0.0}, {"reduction": "batchmean"}, {"softcap": -1.0}, {"teacher_softcap": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            nn.JSDivWithLogitsLoss(**wrong)
    with pytest.raises(ValueError, match="beta"):
        nn.LinearJSDivLoss(beta=1.0)
    with pytest.raises(TypeError, match="reverse is a float"):
        nn.KLDivWithLogitsLoss(reverse=0.5)  # pyright: ignore[reportArgumentType]


def test_values_are_looked_at_when_asked() -> None:
    q, p = torch.zeros(2, 3), torch.zeros(2, 3)
    q[1, 2] = -INF
    with pytest.raises(ValueError, match=r"input\[1, 2\] is -inf, and the teacher gives probability"):
        F.kl_div_with_logits(q, p, validate=True)
    with pytest.raises(ValueError, match=r"teacher_input\[1, 2\] is -inf, and the student gives probability"):
        F.reverse_kl_div_with_logits(p, q, validate=True)
    for loss in (F.js_div_with_logits, functools.partial(F.kl_div_with_logits, skew=0.1)):
        assert loss(q, p, validate=True).isfinite()
    assert F.reverse_kl_div_with_logits(q, p, validate=True).isfinite()
    assert F.kl_div_with_logits(q, p, token_weight=torch.tensor([1.0, 0.0]), validate=True) == 0
    with pytest.raises(ValueError, match=r"teacher_input.* holds nan"):
        F.js_div_with_logits(p, p * math.nan, validate=True)
