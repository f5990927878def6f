"""validate=True looks at values, in pieces, changes nothing, and is not in the way where there are none."""

import math
import pickle
import warnings
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import crossentropy
import crossentropy.functional as F
from crossentropy import Options, _validation, doctor, nn
from crossentropy._tensors import INTEGERS
from crossentropy.testing import peak_bytes

INF = math.inf
Y = torch.tensor([0, 1, 2, 3])

LOSSES: dict[str, Callable[..., Tensor]] = {
    "tiny": lambda x, **v: F.cross_entropy(x, Y, **v),
    "chunked": lambda x, **v: F.cross_entropy(x, Y, z_loss=0.1, **v),
    "reference": lambda x, **v: F.cross_entropy(x, Y, reduction="sum", options=Options("reference"), **v),
    "weights": lambda x, **v: F.cross_entropy(
        x, Y, torch.arange(5.0), token_weight=torch.tensor([2, 0, 1, 1]), label_smoothing=0.1, softcap=3.0, **v
    ),
    "probabilities": lambda x, **v: F.cross_entropy(x, x.detach().flip(0).softmax(1), reduction="none", **v).sum(),
    "ignored": lambda x, **v: F.cross_entropy(x, torch.tensor([0, 9, 9, 1]), ignore_index=9, denominator=7, **v),
    "image": lambda x, **v: F.cross_entropy(x.expand(2, 4, 5), torch.tensor([[0, 1, 2, 3, 0]] * 2), **v),
    "nll": lambda x, **v: F.nll_loss(F.log_softmax(x, 1, **v), Y, **v),
    "kl_div": lambda x, **v: F.kl_div(x.log_softmax(1), x.detach().flip(0).softmax(1), reduction="batchmean", **v),
    "softmax": lambda x, **v: F.softmax(x, 1, **v).square().sum(),
    "head": lambda x, **v: F.linear_cross_entropy(x, torch.ones(6, 5).tril(), Y, linear_bias=torch.zeros(6), **v),
    "positions": lambda x, **v: F.linear_cross_entropy(
        x, torch.arange(60.0).view(4, 3, 5) / 60, Y[:, None].expand(4, 3), **v
    ),
    "statistics": lambda x, **v: sum(F.token_statistics(x, Y, **v)[:3], torch.zeros(4)).sum(),
    "distillation": lambda x, **v: F.linear_kl_div(
        x, torch.ones(6, 5).tril(), x.detach(), torch.ones(6, 5), temperature=2.0, **v
    ),
}  # fmt: skip


def logits(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()


def result(loss: Callable[..., Tensor], dtype: torch.dtype, **settings: bool) -> tuple[Tensor, Tensor]:
    x = logits(dtype)
    value = loss(x, **settings)
    value.backward()
    assert x.grad is not None
    return value.detach(), x.grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", LOSSES)
def test_results_and_gradients_are_the_same_to_the_bit(name: str, dtype: torch.dtype) -> None:
    if name in ("head", "positions", "distillation") and dtype == torch.float64:
        dtype = torch.float32
    for ours, asked in zip(result(LOSSES[name], dtype), result(LOSSES[name], dtype, validate=True)):
        assert torch.equal(ours, asked)


@pytest.mark.parametrize("name", LOSSES)
def test_where_there_are_no_values_nothing_is_looked_at(name: str) -> None:
    def loss(x: Tensor) -> Tensor:
        return LOSSES[name](x * math.nan, validate=True)

    x = logits().detach()
    torch.compiler.reset()
    assert torch.compile(loss, fullgraph=True, backend="aot_eager")(x).isnan()
    assert torch.func.vmap(loss)(x.expand(2, 4, 5)).isnan().all()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert loss(mode.from_tensor(x)).shape == ()


def test_the_meta_device_has_no_values() -> None:
    x, y = torch.empty(4, 5, device="meta"), torch.empty(4, dtype=torch.long, device="meta")
    assert F.cross_entropy(x, y, validate=True).device.type == "meta"
    assert F.linear_cross_entropy(x, x, y, validate=True).device.type == "meta"
    assert nn.NLLLoss(validate=True)(x, y).device.type == "meta"
    assert F.kl_div(x, x, reduction="sum", validate=True).device.type == "meta"


@pytest.mark.parametrize("name", LOSSES)
def test_other_transforms_are_looked_into(name: str) -> None:
    x = logits().detach()
    gradient = torch.func.grad(lambda z: LOSSES[name](z, validate=True))(x)
    assert torch.equal(gradient, torch.func.grad(LOSSES[name])(x))
    value, slope = torch.func.jvp(lambda z: LOSSES[name](z, validate=True), (x,), (torch.ones_like(x),))
    assert value.isfinite()
    assert slope.isfinite()
    with torch.inference_mode():
        assert LOSSES[name](x, validate=True).isfinite()
    with torch.autocast("cpu", torch.bfloat16):
        assert LOSSES[name](x, validate=True).isfinite()
    if name != "kl_div":  # whose gradient tracers see no value that is wrong: the softmax of nan is nan
        with pytest.raises(crossentropy.ArgumentError):
            torch.func.grad(lambda z: LOSSES[name](z * math.nan, validate=True))(x)


def test_rows_that_do_not_count_hold_anything() -> None:
    x = logits().detach()
    x[1], x[2] = math.nan, INF
    y, t = torch.tensor([0, -100, 2, 3]), torch.tensor([1.0, 1.0, 0.0, 1.0])
    assert F.cross_entropy(x, y, token_weight=t, validate=True).isfinite()
    assert F.linear_cross_entropy(x, torch.ones(4, 5).tril(), y, token_weight=t, validate=True).isfinite()
    p = torch.eye(5)[[0, 1, 2, 3]]
    p[1:3] = -7
    assert F.cross_entropy(logits(), p, token_weight=torch.tensor([1.0, 0.0, 0.0, 1.0]), validate=True).isfinite()
    log_p = logits().detach().log_softmax(1)
    log_p[1] = 7
    assert F.nll_loss(log_p, y, validate=True).isfinite()


def test_what_is_meant_passes() -> None:
    x = logits().detach()
    advantages = torch.tensor([-1.0, 2.0, -3.0, 1.0])
    assert F.cross_entropy(x, Y, token_weight=advantages, reduction="sum", validate=True).isfinite()
    assert F.cross_entropy(x, Y, token_weight=advantages, denominator=4, validate=True).isfinite()
    assert F.cross_entropy(x, Y * 0 - 100, denominator=4, validate=True) == 0
    assert F.cross_entropy(x, Y * 0 - 100, denominator=0, validate=True) == 0
    x[:, 4] = -INF
    assert F.cross_entropy(x, Y, validate=True).isfinite()
    assert F.cross_entropy(x - INF, Y, softcap=2.0, validate=True).isfinite()
    assert F.linear_cross_entropy(
        x[:, :4], torch.eye(5)[:, :4], Y, linear_bias=torch.tensor([0.0, 0.0, 0.0, 0.0, -INF]), validate=True
    ).isfinite()


MASKED = torch.tensor([0.0, 0.0, -INF, 0.0, 0.0])


@pytest.mark.parametrize("weight", [None, torch.ones(5), torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0])])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("at_once", [1, 1 << 22])
@pytest.mark.parametrize("probabilities", [False, True])
def test_an_infinite_loss_is_reported_and_no_other(
    weight: Tensor | None, smoothing: float, at_once: int, probabilities: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_validation, "_AT_ONCE", at_once)
    x, head = logits().detach(), torch.randn(5, 5, generator=torch.Generator().manual_seed(2))
    for labels in (Y, torch.tensor([0, 1, 3, 4])):
        target = torch.eye(5)[labels] if probabilities else labels
        settings = {"weight": weight, "label_smoothing": smoothing, "reduction": "sum"}
        for loss in (
            lambda v, y=target, s=settings: F.cross_entropy(x + MASKED, y, **s, validate=v),
            lambda v, y=target, s=settings: F.cross_entropy((x - MASKED).neg(), y, **s, logit_scale=1.0, validate=v),
            lambda v, y=target, s=settings: F.linear_cross_entropy(x, head, y, linear_bias=MASKED, **s, validate=v),
            lambda v, y=target, s=settings: F.cross_entropy(
                (x + MASKED)[..., None].expand(4, 5, 2), y[..., None].expand(*y.shape, 2), **s, validate=v
            ),
        ):
            if loss(False).isfinite():
                assert loss(True).isfinite()
            else:
                with pytest.raises(ValueError, match="gives probability to one of them, class 2: the loss is inf"):
                    loss(True)


def test_what_smoothing_trains_counts() -> None:
    weight = torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for settings in ({"reduction": "sum"}, {"reduction": "none"}, {"denominator": 4}):
            x = logits()
            F.cross_entropy(x, Y * 0, weight, label_smoothing=0.1, **settings, validate=True).sum().backward()
            assert x.grad is not None
            assert x.grad.any(1).all()
    with pytest.raises(ValueError, match="denominator is 0 and 4 rows count"):
        F.cross_entropy(logits(), Y * 0, weight, label_smoothing=0.1, denominator=0, validate=True)
    with pytest.raises(ValueError, match="the mean, over the class weights of the labels, is nan"):
        F.cross_entropy(logits(), Y * 0, weight, label_smoothing=0.1, validate=True)
    assert torch.nn.functional.cross_entropy(logits(), Y * 0, weight, label_smoothing=0.1).isnan()


def test_targets_made_in_float32_are_distributions_in_float64() -> None:
    x = torch.randn(64, 1000, generator=torch.Generator().manual_seed(0))
    p = x.softmax(1).double()
    assert F.cross_entropy(x.double(), p, validate=True).isfinite()
    assert F.nll_loss(p.log(), torch.arange(64), validate=True).isfinite()


@pytest.mark.parametrize("settings", [{"logit_scale": 10.0}, {"logit_scale": -3.0}, {"softcap": 30.0}])
def test_probabilities_are_recognised_as_they_were_given(settings: dict[str, float]) -> None:
    p = logits().detach().softmax(1)
    for x, message in ((p, "holds probabilities"), (p.log(), "holds log-probabilities")):
        with pytest.warns(crossentropy.ArgumentWarning, match=message):
            F.cross_entropy(x, Y, **settings, validate=True)
    with pytest.warns(crossentropy.ArgumentWarning, match="holds probabilities"):
        F.token_statistics(p, **settings, validate=True)


def test_labels_of_all_dtypes_and_hidden_labels() -> None:
    class Mask(Tensor):
        pass

    for dtype in INTEGERS:
        assert F.cross_entropy(logits(), Y.to(dtype), validate=True).isfinite()
        assert F.cross_entropy(logits(), Y, token_weight=Y.to(dtype), validate=True).isfinite()
    with pytest.raises(RuntimeError, match=r"target\[0\] is 9"):
        F.cross_entropy(logits(), (Y + 9).as_subclass(Mask), validate=True)


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(2, 40), st.integers(1, 3)),
    at=st.tuples(st.integers(0, 4), st.integers(0, 39), st.integers(0, 2)),
    at_once=st.sampled_from([1, 7, 64, 1 << 22]),
    value=st.sampled_from([math.nan, INF]),
)
def test_the_first_offence_is_found_in_pieces_of_any_size(
    shape: tuple[int, int, int], at: tuple[int, int, int], at_once: int, value: float
) -> None:
    n, c, k = shape
    row, label, position = at[0] % n, at[1] % c, at[2] % k
    x, y = torch.zeros(n, c, k), torch.zeros(n, k).long()
    x[row, label, position] = value
    place = rf"row \[{row}, {position}\] holds {value} at class {label}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_validation, "_AT_ONCE", at_once)
        with pytest.raises(crossentropy.ArgumentError, match=place):
            F.cross_entropy(x, y, validate=True)
        head = torch.zeros(c, k, 2)
        head[label, position, 0] = 1e38  # and overflows where the hidden state is large
        hidden = torch.zeros(n, 2)
        hidden[row, 0] = 1e38
        with pytest.raises(crossentropy.ArgumentError, match=rf"row \[{row}, {position}\] holds inf at class {label}"):
            F.linear_cross_entropy(hidden, head, y, validate=True)


@pytest.mark.parametrize("at_once", [1, 50, 1 << 22])
def test_kinds_of_rows_are_told_in_pieces_of_any_size(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_validation, "_AT_ONCE", at_once)
    x = torch.randn(6, 40, generator=torch.Generator().manual_seed(1))
    y = torch.arange(6)
    for function, message in ((torch.softmax, "probabilities"), (torch.log_softmax, "log-probabilities")):
        for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
            with pytest.warns(crossentropy.ArgumentWarning, match=f"input holds {message}"):
                F.cross_entropy(function(x.to(dtype), 1), y, validate=True)
        rows = function(x, 1)
        with pytest.warns(crossentropy.ArgumentWarning, match=f"linear_weight.T holds {message}"):
            F.linear_cross_entropy(torch.eye(6), rows.T.contiguous(), y, validate=True)
        rows[3] += 0.1
        assert F.cross_entropy(rows, y, validate=True).isfinite()
    p = x.softmax(1)
    p[4, 7] += 0.1
    with pytest.raises(ValueError, match=r"target: row \[4\] sums to 1.1"):
        F.cross_entropy(x, p, validate=True)
    with pytest.raises(ValueError, match=r"exp\(input\): row \[4\] sums to 1.1"):
        F.nll_loss(p.log(), y, validate=True)
    p[4, 7] = -1.0
    with pytest.raises(ValueError, match=r"target: row \[4\] holds -1 at class 7"):
        F.cross_entropy(x, p, validate=True)


def test_the_logits_of_a_head_are_not_built() -> None:
    hidden, head, y = torch.randn(2048, 8), torch.randn(32_000, 8), torch.randint(32_000, (2048,))
    loss, spec = _loss_of(hidden, head, y)
    built = 2048 * 32_000 * 4
    # four numbers of each piece of 2^22, and as much for what else a peak holds
    assert peak_bytes(lambda: _validation.check_loss(loss, *spec)) < 8 * 4 * (1 << 22) < built
    dense = torch.randn(2048, 32_000)
    assert peak_bytes(lambda: F.token_statistics(dense, validate=True)) < built


def _loss_of(hidden: Tensor, head: Tensor, y: Tensor):
    from crossentropy import _contract as contract

    shape = torch.Size((*hidden.shape[:-1], len(head)))
    tensors, spec = contract.resolve(contract.LossTensors(hidden, y, linear_weight=head), shape, hidden.dim() - 1)
    return contract.make_loss("cross_entropy", shape, ((tensors, spec),)), (tensors, spec)


def test_lazy_logits_stay_lazy() -> None:
    hidden, head = torch.randn(4, 3), torch.randn(50, 3)
    for call in (
        lambda z: F.cross_entropy(z, Y, validate=True),
        lambda z: nn.CrossEntropyLoss(validate=True)(z, Y),
        lambda z: F.token_statistics(z, Y, validate=True),
        lambda z: F.nll_loss(nn.LogSoftmax(1)(z), Y, validate=True),
        lambda z: F.nll_loss(F.log_softmax(z, 1), Y, validate=True),
    ):
        z = crossentropy.LazyLogits(hidden, head)
        call(z)
        assert all(event.fused for event in crossentropy.lazy.explain(z).events)
        with pytest.raises(crossentropy.ArgumentError, match=r"input\[0, 0\] is nan"):
            call(crossentropy.LazyLogits(hidden * math.nan, head))
    with pytest.raises(crossentropy.ArgumentError, match=r"row \[0\] holds nan"):
        F.log_softmax(crossentropy.LazyLogits(hidden * math.nan, head), 1, validate=True)


def test_the_doctor_sees_the_program_and_not_the_look() -> None:
    model = torch.nn.Linear(5, 5)
    with doctor.watch() as report:
        for name in ("tiny", "weights", "image", "head"):
            LOSSES[name](model(logits()), validate=True).backward()
    assert [finding.rule for finding in report.findings] == []


def test_random_numbers_are_not_drawn() -> None:
    before = torch.get_rng_state()
    for loss in LOSSES.values():
        loss(logits(), validate=True)
    assert torch.equal(before, torch.get_rng_state())


def test_warnings_are_one_for_each_line_that_calls() -> None:
    criterion = nn.CrossEntropyLoss(validate=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            criterion(logits().softmax(1), Y)
    assert [(w.category, w.filename) for w in caught] == [(crossentropy.ArgumentWarning, __file__)]


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [ValueError, TypeError, IndexError])
def test_errors_are_caught_by_public_names_and_pythons(family: type[Exception]) -> None:
    error = getattr(crossentropy, f"Argument{family.__name__}")
    assert issubclass(error, (crossentropy.ArgumentError))
    assert issubclass(error, family)
    assert issubclass(error, RuntimeError)
    again = pickle.loads(pickle.dumps(error("what is wrong")))
    assert (type(again), str(again)) == (error, "what is wrong")


# --- repr ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "shown"),
    [
        (nn.Softmax(), "Softmax()"),
        (nn.Softmax(1, validate=True), "Softmax(dim=1, validate=True)"),
        (nn.LogSoftmax(-1), "LogSoftmax(dim=-1)"),
        (nn.NLLLoss(), "NLLLoss()"),
        (nn.NLLLoss(torch.ones(3), ignore_index=2), "NLLLoss(weight=<(3,), torch.float32>, ignore_index=2)"),
        (nn.KLDivLoss(log_target=True, reduction="sum"), "KLDivLoss(reduction='sum', log_target=True)"),
        (nn.CrossEntropyLoss(), "CrossEntropyLoss()"),
        (
            nn.CrossEntropyLoss(label_smoothing=0.1, softcap=30.0, out_dtype=torch.float64, validate=True),
            "CrossEntropyLoss(label_smoothing=0.1, softcap=30.0, out_dtype=torch.float64, validate=True)",
        ),
        (
            nn.LinearCrossEntropyLoss(3, 5, bias=True, z_loss=1e-4, options=Options(memory_budget=9)),
            "LinearCrossEntropyLoss(\n  in_features=3, num_classes=5, bias=True, options=Options(backend='auto', "
            "memory_budget=9, valid_rows=None), z_loss=0.0001\n"
            "  (linear): Linear(in_features=3, out_features=5, bias=True)\n)",
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)  # fmt: skip
def test_repr_shows_what_differs_from_the_defaults(module: torch.nn.Module, shown: str) -> None:
    assert repr(module) == shown


def test_repr_of_a_subclass_shows_the_settings_of_its_base() -> None:
    class Mine(nn.CrossEntropyLoss):
        def __init__(self, scale: float) -> None:
            super().__init__(logit_scale=scale)

    assert repr(Mine(2.0)) == "Mine(logit_scale=2.0)"
