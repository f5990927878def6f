"""Which backend executes a loss, and why: chosen, asked for, refused, told; and slices of classes, asked of it."""

import functools
import itertools
import logging
from typing import get_args, get_type_hints

import pytest
import torch
from torch import Tensor

import backends
from crossentropy import Options, _dispatch
from crossentropy import _statistics as statistics
from crossentropy import functional as F
from crossentropy._backends import chunked, native, reference
from crossentropy._dispatch import BACKENDS, NAMED, PLAIN, select
from crossentropy._loss import Collector, Loss, LossSpec, Side, without
from crossentropy._statistics import merge

CLASSES = 5


def loss(**changes) -> Loss:
    z, y = torch.randn(3, CLASSES, requires_grad=True), torch.tensor([0, 4, 2])
    spec = LossSpec(1, CLASSES, False, torch.float32)
    return Loss("cross_entropy", (Side(z, None, None, spec),), z.shape, y)._replace(**changes)


def test_options_name_every_backend() -> None:
    assert get_args(get_type_hints(Options)["backend"]) == ("auto", *sorted(NAMED, reverse=True))
    assert set(NAMED.values()) == set(BACKENDS)
    assert BACKENDS[-1] is PLAIN


@pytest.mark.parametrize("backend", [NAMED[name] for name in backends.ALL], ids=_dispatch.name_of)
def test_a_backend_has_all_that_is_asked_of_it(backend: _dispatch.Backend) -> None:
    given, wanted = loss(), (True, False, False)
    assert backend.eligible(given) == ()
    assert backend.plan(given, wanted).gradients == 3 * CLASSES * 4
    found = backend.execute(given, torch.full((1, 3), 0.5), wanted)
    z, y = given.sides[0].input, given.target
    assert y is not None
    rows = torch.nn.functional.cross_entropy(z, y, reduction="none")
    torch.testing.assert_close(found.rows, rows.detach().unsqueeze(0))
    assert found.argmax is None
    gradient, *others = found.gradients
    torch.testing.assert_close(gradient, torch.autograd.grad(rows.sum() / 2, z)[0])
    assert others == [None, None]
    empty = backend.empty_gradient(z, 1)
    assert gradient is not None
    assert (empty.shape, empty.stride(), empty.dtype) == (z.shape, gradient.stride(), z.dtype)


def test_the_preferred_backend_is_chosen_unless_it_cannot() -> None:
    assert select(loss()) == (native, ()) if backends.NATIVE else (chunked, (native._library.MISSING,))
    weighted = loss(weight=torch.ones(CLASSES, requires_grad=True))
    reasons = ("class weights that require gradients need every log-probability",)
    assert select(weighted) == (reference, reasons if backends.NATIVE else (native._library.MISSING, *reasons))
    assert select(loss(), "reference") == (reference, ())
    assert str(select(weighted)).startswith("reference, because ")
    with torch.no_grad():
        assert select(weighted).backend is select(loss()).backend


def test_an_explicit_choice_never_falls_back() -> None:
    z, w = torch.randn(3, CLASSES), torch.ones(CLASSES, requires_grad=True)
    with pytest.raises(
        ValueError, match=r"'chunked' cannot execute this loss: class weights that require .* use 'auto'"
    ):
        F.cross_entropy(z, torch.tensor([0, 4, 2]), w, options=Options("chunked"))


def test_the_log_tells_which_was_chosen_and_why(caplog: pytest.LogCaptureFixture) -> None:
    z, y = torch.randn(3, CLASSES), torch.tensor([0, 4, 2])
    with caplog.at_level(logging.DEBUG, "crossentropy"):
        F.cross_entropy(z, y, options=Options("chunked"))
        torch.func.vmap(lambda z: F.cross_entropy(z, y, label_smoothing=0.1))(z.expand(2, 3, CLASSES))
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "cross_entropy of (3, 5) logits by chunked"
    assert told[-1].startswith("cross_entropy of (3, 5) logits by reference, because vmap has rules for plain")


# --- a slice of the classes ---------------------------------------------------------------------------------------

CUTS = {"halves": (0, 3, 7), "many": (0, 1, 2, 6, 7), "one": (0, 7), "some without classes": (0, 0, 4, 4, 7, 7)}
N, C, D = 6, 7, 4


def whole(kind: str, form: str, dtype: torch.dtype = torch.float64) -> tuple[Loss, Tensor]:
    """A loss of all classes, and coefficients: logits in both layouts, or a head; hostile rows; each option."""
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(N, C, generator=generator, dtype=dtype)
    z[0], z[1, 2], z[2, :3] = -torch.inf, 60.0, -torch.inf
    z[0, 5] = 1.0
    hidden, head = (torch.randn(n, D, generator=generator, dtype=dtype) for n in (N, C))
    bias = torch.randn(C, generator=generator, dtype=dtype)
    soft = kind == "soft"
    target = torch.tensor([5, 2, 6, -100, 0, 3])
    if soft:
        target = torch.randn(N, C, generator=generator, dtype=dtype).softmax(1).masked_fill(z == -torch.inf, 0)
    plain = kind in ("plain", "statistics")
    spec = LossSpec(
        1, C, soft, dtype, label_smoothing=0.0 if plain else 0.1, z_loss=0.0 if plain else 0.01,
        softcap=None if plain else 8.0, logit_scale=1.0 if plain else 0.7, ignores=not soft,
    )  # fmt: skip
    side = Side(hidden, head, bias, spec) if form == "head" else Side(z, None, None, spec)
    if form == "across":
        side = side._replace(input=z.reshape(2, 3, C).movedim(2, 1).contiguous())
        target = target.reshape(2, 3, C).movedim(2, 1) if soft else target.reshape(2, 3)
    shape = torch.Size((N, C)) if form == "head" else side.input.shape
    weight = torch.rand(C, generator=generator, dtype=dtype) if kind in ("weights", "soft") else None
    name = "statistics" if kind == "statistics" else "cross_entropy"
    rows = without(shape, 1)
    coefficient = torch.rand(3 if kind == "statistics" else 1, *rows, generator=generator, dtype=dtype)
    coefficient[(slice(None), *(n - 1 for n in rows))] = 0.0
    return Loss(name, (side,), shape, target, weight, budget=2_000), coefficient


def part(loss: Loss, begin: int, end: int) -> Loss:
    """The slice of a loss that has these classes; labels and class weights are those of all."""
    (side,), target = loss.sides, loss.target
    if side.weight is None:
        side = side._replace(input=side.input[:, begin:end].contiguous())
    else:
        assert side.bias is not None
        side = side._replace(weight=side.weight[begin:end], bias=side.bias[begin:end])
    if side.spec.probabilities:
        assert target is not None
        target = target[:, begin:end]
    return loss._replace(sides=(side,), target=target)


@pytest.mark.usefixtures("sweeps")
def test_the_gradient_of_hidden_states_is_left_where_it_is_collected() -> None:
    """All of it, in the collector's dtype; and it is told of each row in turn, of the last in the end."""
    loss, coefficient = whole("options", "head", torch.float32)
    row, wanted, told = chunked.measure(loss, 0), (True, True, True), []
    expected = chunked.derive(loss, 0, row, coefficient, wanted)
    for dtype in (torch.float32, torch.float64):
        collector = Collector(torch.full((N, D), torch.nan, dtype=dtype), told.append)
        found = chunked.derive(loss, 0, row, coefficient, wanted, [collector])
        assert told[-1] == N
        for a, e in zip((collector.buffer, *found[1:]), expected):
            assert a is not None
            assert e is not None
            torch.testing.assert_close(a.float(), e)


SLICES = [(chunked, kind, torch.float64) for kind in ("plain", "options", "weights", "soft", "statistics")]
SLICES += [(native, kind, torch.float32) for kind in ("plain", "options", "weights", "statistics") if backends.NATIVE]


@pytest.mark.usefixtures("sweeps")
@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("form", ["innermost", "across", "head"])
@pytest.mark.parametrize(("backend", "kind", "dtype"), SLICES)
def test_slices_of_the_classes_are_measured_merged_and_derived(
    backend: _dispatch.Slicing, kind: str, dtype: torch.dtype, form: str, cuts: str
) -> None:
    loss, coefficient = whole(kind, form, dtype)
    wanted = (True, form == "head", form == "head")
    exact = backend.execute(loss, coefficient, wanted)
    ends = CUTS[cuts]
    parts = [(part(loss, a, b), a) for a, b in itertools.pairwise(ends)]
    row = functools.reduce(merge, [backend.measure(one, begin) for one, begin in parts])
    assert all(x is None or x.shape == without(loss.shape, 1) for x in row)
    found = [backend.derive(one, begin, row, coefficient, wanted) for one, begin in parts]
    if kind == "statistics":
        torch.testing.assert_close(row.top, exact.argmax)
        torch.testing.assert_close(statistics.logsumexp(row), exact.rows[2])
        torch.testing.assert_close(statistics.entropy(row), exact.rows[1])
    elif kind == "plain":
        counts = loss.target != -100
        torch.testing.assert_close(statistics.information(row)[counts], exact.rows[0][counts])
    if form == "head":
        hidden, head, bias = zip(*found)
        torch.testing.assert_close(sum(hidden), exact.gradients[0])
        torch.testing.assert_close(torch.cat(head), exact.gradients[1])
        torch.testing.assert_close(torch.cat(bias), exact.gradients[2])
    else:
        gradients = torch.cat([gradient for gradient, *_ in found], 1)
        torch.testing.assert_close(gradients, exact.gradients[0], check_stride=False)


@pytest.mark.parametrize("form", ["innermost", "head"])
def test_a_slice_of_no_rows_has_gradients_of_zero(form: str) -> None:
    loss, coefficient = whole("plain", form)
    (side,), target = loss.sides, loss.target
    assert target is not None
    none = loss._replace(sides=(side._replace(input=side.input[:0]),), target=target[:0], shape=torch.Size((0, C)))
    row = chunked.measure(none, 0)
    assert row.maximum.shape == (0,)
    wanted = (True, form == "head", form == "head")
    for gradient, x in zip(chunked.derive(none, 0, row, coefficient[:, :0], wanted), none.sides[0][:3]):
        assert (gradient is None) == (x is None)
        assert gradient is None or torch.equal(gradient, torch.zeros_like(gradient))


def test_a_divergence_needs_complete_rows() -> None:
    z = torch.randn(3, CLASSES)
    side = Side(z, None, None, LossSpec(1, CLASSES, False, torch.float32))
    with pytest.raises(NotImplementedError, match="terms of a divergence need both rows complete"):
        chunked.measure(Loss("divergence", (side, side), z.shape), 0)
