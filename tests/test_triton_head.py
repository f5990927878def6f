"""Triton's kernels beside the products of a head, interpreted."""

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from crossentropy import Options, _loss, _planner
from crossentropy import _statistics as statistics
from crossentropy import functional as F
from crossentropy._backends import triton
from crossentropy._backends.chunked._linear import Head
from crossentropy._loss import LossSpec, Side
from sampling import some
from triton_interpreter import as_a_gpu

pytest.importorskip("triton", reason="Triton is not installed")

from crossentropy._backends.triton import _head

INF, NAN = torch.inf, torch.nan
SMALL = _head.Machine(_head.Tile(16, 32, 16, 1, 4), 1, False)


@pytest.fixture(autouse=True)
def _as_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Products in half precision, and kernels that round."""
    monkeypatch.setattr(_loss, "cpu_multiplies", lambda dtype: True)
    with as_a_gpu():
        yield


def spec_of(classes: int, **options: Any) -> LossSpec:
    return LossSpec(1, classes, False, torch.float32, **options)


# --- logits of labels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("inner", [(), (3,)], ids=["rows", "positions"])
@pytest.mark.parametrize("laid", ["together", "apart"])
def test_logits_of_labels_are_those_of_float64(dtype: torch.dtype, inner: tuple[int, ...], laid: str) -> None:
    """A sum of D products, each exact in float32, and the bias: an error of D u Σ |h w| at most."""
    n, classes, features = 13, 50, 37
    h, w = torch.randn(n, features).to(dtype), torch.randn(classes, *inner, features).to(dtype)
    b = torch.randn(classes, *inner)  # which an autocast rounds
    if laid == "apart":  # no row's entries lie together
        h, w = h.T.contiguous().T, w.movedim(0, -1).contiguous().movedim(-1, 0)
    y = torch.randint(classes, (n, *inner))
    nowhere = torch.tensor([-100, -1, classes, 2**40, -(2**40)])
    y.view(-1)[: len(nowhere)] = nowhere
    side = Side(h, w, b, spec_of(classes, autocast=dtype))
    found = _head.label_logits(side, y)
    logits = torch.einsum("nd,v...d->nv...", h.double(), w.double()) + b.to(dtype).double()
    bound = torch.einsum("nd,v...d->nv...", h.double().abs(), w.double().abs()) + b.to(dtype).double().abs()
    known = (y >= 0) & (y < classes)
    expected, bound = (x.gather(1, (y * known).unsqueeze(1)).squeeze(1) * known for x in (logits, bound))
    assert ((found.view(y.shape) - expected).abs() <= (features + 1) * 2**-24 * bound).all()
    assert not _head.label_logits(side, torch.full_like(y, -100)).any()


def test_logits_of_labels_in_a_slice_of_the_classes() -> None:
    h, w, y = torch.randn(6, 8).half(), torch.randn(10, 8).half(), torch.tensor([19, 20, 25, 29, 30, -100])
    found = _head.label_logits(Side(h, w, None, spec_of(100)), y, 20)
    expected = torch.stack([x @ w[k - 20].float() if 20 <= k < 30 else torch.zeros(()) for x, k in zip(h.float(), y)])
    torch.testing.assert_close(found.flatten(), expected)
    assert found.shape == (6, 1)
    assert _head.label_logits(Side(h[:0], w, None, spec_of(100)), y[:0]).shape == (0, 1)


# --- the upstream -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", [0, 1, 4096, 4096 * 3 + 5])
def test_a_gradient_is_scaled(dtype: torch.dtype, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_head, "PROGRAMS", 2)  # so that each has two pieces
    whole = torch.randn(size + 1).to(dtype)
    whole[-1] = 7
    gradient, expected = whole[:size], whole[:size] * 0.5  # exact in all of them
    assert triton.scale(gradient, torch.tensor(0.5))
    assert torch.equal(gradient, expected)
    assert whole[-1] == 7


def test_an_upstream_of_one_leaves_every_bit() -> None:
    bits = torch.tensor([0x7FC00001, 0x7F800001, -1, 0, 1], dtype=torch.int32)
    gradient = bits.clone().view(torch.float32)
    assert triton.scale(gradient, torch.tensor(1.0))
    assert torch.equal(gradient.view(torch.int32), bits)


def test_an_upstream_that_torch_stores_negated_scales_by_its_value() -> None:
    """As that of an imaginary part comes."""
    gradient = torch.ones(5)
    assert triton.scale(gradient, torch.tensor(1 + 2j).conj().imag)
    assert torch.equal(gradient, torch.full((5,), -2.0))


def test_gradients_of_any_dense_layout_are_scaled_and_others_are_not() -> None:
    x = torch.randn(2, 3, 4)
    dense, sparse = x.clone().permute(2, 0, 1), x.clone()[:, ::2]
    assert triton.scale(dense, torch.tensor(3.0))
    assert torch.equal(dense, (x * 3).permute(2, 0, 1))
    for other in (sparse, x.double()):
        before = other.clone()
        assert not triton.scale(other, torch.tensor(3.0))
        assert torch.equal(other, before)


# --- rows of a head -----------------------------------------------------------------------------------------------


def head_of(h: Tensor, w: Tensor, b: Tensor | None) -> Head:
    plan = _planner.plan(_planner.Workload(len(h), len(w), h.dtype, features=h.shape[1]))
    return Head(Side(h, w, b, spec_of(len(w))), (False,) * 3, plan)


TRANSFORMS = [{}, {"softcap": 3.0, "temperature": 1.5}, {"logit_scale": 0.5}]


@pytest.mark.parametrize("options", TRANSFORMS, ids=["plain", "softcap", "scale"])
@pytest.mark.parametrize("of_largest", [False, True], ids=["labels", "token statistics"])
def test_statistics_without_stored_logits(options: dict[str, Any], of_largest: bool) -> None:
    """Of any number of splits: products are exact in float32, and sums of 32 err by 32 u of their size."""
    n, classes, features = 19, 150, 32
    h, w, b = torch.randn(n, features).half(), torch.randn(classes, features).half(), torch.randn(classes).half()
    y = torch.randint(classes, (n,))
    y[3] = -100
    z = h.double() @ w.double().T + b.double()
    z = z * options.get("logit_scale", 1.0)
    if "softcap" in options:
        z = options["softcap"] * torch.tanh(z / options["softcap"]) / options["temperature"]
    for processors in (1, 2, 40):  # one split, four, and more than there are tiles
        machine = SMALL._replace(processors=processors)
        row = _head.linear_rows(head_of(h, w, b), spec_of(classes, **options), y, machine, of_largest=of_largest)
        torch.testing.assert_close(statistics.logsumexp(row), z.logsumexp(1, keepdim=True).float())
        picked = z.gather(1, y.clamp(min=0)[:, None]).float().masked_fill(y[:, None] < 0, -INF)
        if of_largest:
            entropy = -(z.softmax(1) * z.log_softmax(1)).sum(1, keepdim=True)
            torch.testing.assert_close(statistics.entropy(row), entropy.float(), rtol=1e-5, atol=1e-5)
            assert torch.equal(row.top, z.argmax(1, keepdim=True))
            assert row.target is not None
        near = row.target if of_largest else row.apart
        torch.testing.assert_close(near, picked, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 16), (16, 32, 16), (17, 33, 48), (5, 31, 32)], ids=str)
def test_ends_of_tiles_are_not_read(shape: tuple[int, int, int]) -> None:
    """The matrices are parts of others, which are nan; their rows do not begin at multiples of 16 bytes."""
    n, classes, features = shape
    whole_h, whole_w = (torch.full((size + 1, features + 1), NAN).half() for size in (n, classes))
    h, w = whole_h[:n, :features], whole_w[:classes, :features]
    h.copy_(torch.randn(n, features))
    w.copy_(torch.randn(classes, features))
    row = _head.linear_rows(head_of(h, w, None), spec_of(classes), torch.zeros(n).long(), SMALL)
    torch.testing.assert_close(statistics.logsumexp(row), (h.float() @ w.float().T).logsumexp(1, keepdim=True))
    assert row.maximum.shape == (n, 1)


HOSTILE = [
    [0.0] * 70, [-INF] * 70, [INF, 0.0] * 35, [0.0] * 69 + [INF], [NAN] + [0.0] * 69, [0.0] * 40 + [NAN] * 30,
    [INF] * 33 + [NAN] + [0.0] * 36, [-INF] * 69 + [5.0], [5.0] + [-INF] * 69, [-3e38] * 69 + [3e38],
    [3e38] * 35 + [-3e38] * 35, [1.0] * 32 + [2.0] * 38, [-60.0] * 33 + [0.0] + [-100.0] * 36,
]  # fmt: skip


@pytest.mark.parametrize(("z", "options"), some(itertools.product(HOSTILE, TRANSFORMS), 20))  # no multiple of three
def test_hostile_logits_are_as_the_chunked_backend_has_them(z: list[float], options: dict[str, Any]) -> None:
    """One feature makes these logits; a tile holds 64 classes, and each has a split."""
    y = torch.tensor([0, 31, 33, 63, 64, 69, -100])
    h, w, options = torch.zeros(len(y), 16), torch.zeros(len(z), 16), dict(options)
    h[:, 3], w[:, 3] = 1, torch.tensor(z)
    options.pop("temperature", None)
    ours, expected = (
        [
            F.linear_cross_entropy(h, w, y, reduction="none", options=Options(backend), **options),
            *F.token_statistics(h, y, linear_weight=w, options=Options(backend), **options),
        ]
        for backend in ("triton", "chunked")
    )
    for a, e in zip(ours, expected):
        torch.testing.assert_close(a, e, equal_nan=True, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("change", [{}, {"label_smoothing": 0.1}, {"weight": torch.rand(70)}], ids=["plain", "ε", "w"])
def test_a_loss_takes_the_way_that_is_made_for_it(change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without stored logits where features are few and even, and labels are not smoothed; all are the reference's."""
    calls, linear_rows = [], _head.linear_rows
    monkeypatch.setattr(_head, "linear_rows", lambda *a, **k: calls.append(a[0].hidden.shape) or linear_rows(*a, **k))
    for features in (16, 17, 1552):
        h, w, y = torch.randn(9, features) / features**0.5, torch.randn(70, features), torch.randint(70, (9,))
        ours, expected = (
            F.linear_cross_entropy(h, w, y, options=Options(name), **change) for name in ("triton", "reference")
        )
        torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)
    assert calls == ([] if "label_smoothing" in change else [(9, 16)])


def test_cards_whose_products_triton_does_not_know_use_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled for sm_75 the kernel spills 7 kB of each thread, and has no product of matrices in it."""
    h, w, y = torch.randn(9, 16), torch.randn(70, 16), torch.randint(70, (9,))
    monkeypatch.setattr(_head, "machine_of", lambda x: SMALL._replace(multiplies=False))
    monkeypatch.setattr(_head, "linear_rows", lambda *_, **__: pytest.fail("Triton multiplies"))
    found, expected = (F.linear_cross_entropy(h, w, y, options=Options(name)) for name in ("triton", "reference"))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("major", "multiplies", "describes"), [(7, False, False), (8, True, False), (9, True, True)])
def test_what_a_card_can_do(major: int, multiplies: bool, describes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    properties = SimpleNamespace(major=major, multi_processor_count=68, shared_memory_per_block_optin=65_536)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.version, "hip", None)
    with FakeTensorMode():
        machine = _head.machine_of(torch.empty(3, device="cuda"))
    assert machine == (_head.SMALL, 68, describes, multiplies)


# --- logits of labels, in losses ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("budget", [None, 3_000], ids=["a chunk", "two sweeps"])
@pytest.mark.parametrize("softcap", [None, 50.0])
def test_a_confident_log_probability_does_not_depend_on_rounded_logits(
    dtype: torch.dtype, budget: int | None, softcap: float | None
) -> None:
    """All other logits are 0. The label's, of 16 to 32, would be rounded to 2^-3 in bfloat16: 6 % of the loss.

    As it is, it errs by 64 u Σ |h w| = 2^-13, and the loss by as much of itself; gradients are rounded besides.
    """
    n, classes, features = 20, 50, 64
    h, w = torch.rand(n, features) * 0.5 + 0.5, torch.zeros(classes, features)
    y, w[7] = torch.full((n,), 7), torch.rand(features) * 0.5 + 0.2
    h, w, e, v = (x.to(dtype).to(d).requires_grad_() for d in (dtype, torch.float64) for x in (h, w))
    options = Options("triton", memory_budget=budget)
    z = e @ v.T
    exact = torch.nn.functional.cross_entropy(
        z if softcap is None else softcap * torch.tanh(z / softcap), y, reduction="none"
    )
    more = {"softcap": softcap, "options": options, "out_dtype": torch.float32}
    ours = F.linear_cross_entropy(h, w, y, reduction="sum", **more)
    torch.testing.assert_close(ours.double(), exact.sum(), rtol=2**-12, atol=0)
    with torch.no_grad():
        alone = F.linear_cross_entropy(h, w, y, reduction="none", **more)
    statistics = F.token_statistics(h, y, linear_weight=w, **more)
    for found in (alone, -statistics.log_prob):
        torch.testing.assert_close(found.double(), exact, rtol=2**-12, atol=0)
    if dtype == torch.bfloat16:  # in float16 gradients of 1e-9 are 0
        expected = torch.autograd.grad(exact.sum(), (e, v))
        for total in (ours, -statistics.log_prob.sum()):
            for found, right in zip(torch.autograd.grad(total, (h, w)), expected):
                near = right.abs() > 1e-3 * right.abs().max()
                torch.testing.assert_close(found.double()[near], right[near], rtol=2**-6, atol=0)
