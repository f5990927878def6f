"""Which backend executes a loss, and why: chosen, asked for, refused, told."""

import logging
from typing import get_args, get_type_hints

import pytest
import torch

from crossentropy import Options, _dispatch
from crossentropy import functional as F
from crossentropy._backends import chunked, reference
from crossentropy._dispatch import BACKENDS, NAMED, PLAIN, select
from crossentropy._loss import Loss, LossSpec, Side

CLASSES = 5


def loss(**changes) -> Loss:
    z, y = torch.randn(3, CLASSES, requires_grad=True), torch.tensor([0, 4, 2])
    spec = LossSpec(1, CLASSES, False, torch.float32)
    return Loss("cross_entropy", (Side(z, None, None, spec),), z.shape, y)._replace(**changes)


def test_options_name_every_backend() -> None:
    assert get_args(get_type_hints(Options)["backend"]) == ("auto", *sorted(NAMED, reverse=True))
    assert set(NAMED.values()) == set(BACKENDS)
    assert BACKENDS[-1] is PLAIN


@pytest.mark.parametrize("backend", BACKENDS, ids=_dispatch.name_of)
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
    assert select(loss()) == (chunked, ())
    weighted = loss(weight=torch.ones(CLASSES, requires_grad=True))
    assert select(weighted) == (reference, ("class weights that require gradients need every log-probability",))
    assert select(loss(), "reference") == (reference, ())
    assert str(select(weighted)) == "reference, because class weights that require gradients need every log-probability"
    with torch.no_grad():
        assert select(weighted).backend is chunked


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
    assert told[-1] == "cross_entropy of (3, 5) logits by reference, because vmap has rules for plain operators"
