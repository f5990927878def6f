"""The classes: torch's constructors and state, agreement with the functions, copies."""

import copy
import inspect
import io
import pickle

import pytest
import torch
from torch import Tensor

import crossentropy.functional as F
from crossentropy import Options, nn

Y = torch.tensor([0, 1, 2, 3])
EXTRAS = {"z_loss": 0.01, "softcap": 3.0, "logit_scale": 0.5, "out_dtype": torch.float64, "options": Options()}


def make(name: str) -> torch.nn.Module:
    """A module of each class with settings that are not the defaults."""
    weight = torch.rand(5)
    return {
        "BCELoss": lambda: nn.BCELoss(weight, label_smoothing=0.1, ignore_index=2),
        "BCEWithLogitsLoss": lambda: nn.BCEWithLogitsLoss(pos_weight=weight, label_smoothing=0.1, ignore_index=2),
        "Softmax": lambda: nn.Softmax(1),
        "LogSoftmax": lambda: nn.LogSoftmax(1),
        "NLLLoss": lambda: nn.NLLLoss(weight, ignore_index=2, reduction="sum"),
        "KLDivLoss": lambda: nn.KLDivLoss(reduction="batchmean", log_target=True),
        "CrossEntropyLoss": lambda: nn.CrossEntropyLoss(weight, ignore_index=2, label_smoothing=0.1, **EXTRAS),
        "LinearCrossEntropyLoss": lambda: nn.LinearCrossEntropyLoss(3, 5, bias=True, weight=weight, **EXTRAS),
        "CosineCrossEntropyLoss": lambda: nn.CosineCrossEntropyLoss(3, 5, margin=0.2, weight=weight),
        "SampledLinearCrossEntropyLoss": lambda: nn.SampledLinearCrossEntropyLoss(3, 5, negatives="in_batch"),
        "FocalLoss": lambda: nn.FocalLoss(3.0, weight=weight, ignore_index=[2]),
        "Poly1Loss": lambda: nn.Poly1Loss(-1.0, weight=weight),
        "GeneralizedCrossEntropyLoss": lambda: nn.GeneralizedCrossEntropyLoss(0.3, softcap=3.0),
        "KLDivWithLogitsLoss": lambda: nn.KLDivWithLogitsLoss(reverse=True, skew=0.1),
        "JSDivWithLogitsLoss": lambda: nn.JSDivWithLogitsLoss(beta=0.3),
        "LinearKLDivLoss": lambda: nn.LinearKLDivLoss(skew=0.1, temperature=2.0),
        "LinearJSDivLoss": lambda: nn.LinearJSDivLoss(beta=0.3),
        "LinearTopKKLDivLoss": lambda: nn.LinearTopKKLDivLoss(tail="none"),
    }[name]()


def call(module: torch.nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    x, hidden = torch.randn(4, 5, generator=generator), torch.randn(4, 3, generator=generator)
    head = torch.randn(5, 3, generator=generator)
    if isinstance(module, (nn.Softmax, nn.LogSoftmax)):
        return module(x)
    if isinstance(module, nn.KLDivLoss):
        return module(x.log_softmax(1), x.flip(0).log_softmax(1))
    if isinstance(module, (nn.KLDivWithLogitsLoss, nn.JSDivWithLogitsLoss)):
        return module(x, x.flip(0))
    if isinstance(module, (nn.LinearKLDivLoss, nn.LinearJSDivLoss)):
        return module(hidden, head, hidden, head.flip(0))
    if isinstance(module, nn.LinearTopKKLDivLoss):
        log_p, index = x.log_softmax(1).topk(2)
        return module(hidden, head, index, log_p)
    if isinstance(module, (nn.LinearCrossEntropyLoss, nn.CosineCrossEntropyLoss, nn.SampledLinearCrossEntropyLoss)):
        return module(hidden, Y)
    if isinstance(module, nn.BCELoss):
        return module(x.sigmoid(), x.flip(0).sigmoid())
    return module(x, x.flip(0).sigmoid() if isinstance(module, nn.BCEWithLogitsLoss) else Y)


TORCHS = [name for name in nn.__all__ if hasattr(torch.nn, name)]


@pytest.mark.parametrize("name", TORCHS)
def test_constructors_begin_with_torchs(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(m, name)).parameters for m in (nn, torch.nn))
    for position, (key, parameter) in enumerate(theirs.items()):
        assert (ours[key].kind, ours[key].default) == (parameter.kind, parameter.default)
        if parameter.kind == parameter.POSITIONAL_OR_KEYWORD:
            assert list(ours)[position] == key
    assert all(p.kind == p.KEYWORD_ONLY for key, p in ours.items() if key not in theirs)


@pytest.mark.parametrize("name", TORCHS)
def test_state_dicts_are_interchangeable_with_torchs(name: str) -> None:
    settings = {
        "BCELoss": {"weight": torch.rand(5)},
        "BCEWithLogitsLoss": {"weight": torch.rand(5), "pos_weight": torch.rand(5)},
        "NLLLoss": {"weight": torch.rand(5)},
        "CrossEntropyLoss": {"weight": torch.rand(5)},
        "LinearCrossEntropyLoss": {"in_features": 3, "num_classes": 5, "bias": True, "weight": torch.rand(5)},
    }.get(name, {})
    ours, theirs = (getattr(m, name)(**settings) for m in (nn, torch.nn))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())
    if name != "LinearCrossEntropyLoss":
        assert isinstance(ours, getattr(torch.nn, name))


def test_the_classes_equal_the_functions() -> None:
    x = torch.randn(4, 5)
    weight, t = torch.rand(5), torch.rand(4)
    loss = make("CrossEntropyLoss")
    loss.weight = weight
    expected = F.cross_entropy(
        x, Y, weight, ignore_index=2, label_smoothing=0.1, token_weight=t, denominator=3, **EXTRAS
    )
    assert torch.equal(loss(x, Y, token_weight=t, denominator=3), expected)
    head = make("LinearCrossEntropyLoss")
    hidden = torch.randn(4, 3)
    w, b = head.linear.weight, head.linear.bias
    expected = F.linear_cross_entropy(
        hidden, w, Y, linear_bias=b, weight=head.weight, token_weight=t, denominator=3, **EXTRAS
    )
    assert torch.equal(head(hidden, Y, token_weight=t, denominator=3), expected)
    log_p = F.log_softmax(x, 1)
    assert torch.equal(nn.NLLLoss(weight, ignore_index=2)(log_p, Y), F.nll_loss(log_p, Y, weight, ignore_index=2))
    assert torch.equal(nn.LogSoftmax(1)(x), log_p)
    assert torch.equal(nn.Softmax(1)(x), F.softmax(x, 1))
    p = x.softmax(1)
    assert torch.equal(nn.KLDivLoss(reduction="sum")(log_p, p), F.kl_div(log_p, p, reduction="sum"))


def test_k_dimensional_heads() -> None:
    loss = nn.LinearCrossEntropyLoss(3, 5, out_features=(2, 6), bias=True)
    assert loss.linear.weight.shape == (5 * 2 * 6, 3)
    hidden, y = torch.randn(4, 3), torch.randint(0, 5, (4, 2, 6))
    logits = loss.linear(hidden).reshape(4, 5, 2, 6)
    torch.testing.assert_close(loss(hidden, y), F.cross_entropy(logits, y))
    assert "out_features=(2, 6)" in repr(loss)


@pytest.mark.parametrize("name", nn.__all__)
def test_modules_survive_deepcopy_pickle_and_save(name: str) -> None:
    module = make(name)
    expected = call(module)
    assert torch.equal(call(copy.deepcopy(module)), expected)
    assert torch.equal(call(pickle.loads(pickle.dumps(module))), expected)
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    assert torch.equal(call(torch.load(buffer, weights_only=False)), expected)


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
def test_implicit_axis_warns_at_the_callers_line(name: str) -> None:
    with pytest.warns(UserWarning, match="Implicit dimension choice") as record:
        getattr(nn, name)()(torch.randn(3, 4))
    assert record[0].filename == __file__


def test_the_mean_of_kl_div_warns_at_the_callers_line() -> None:
    x = torch.randn(3, 4).log_softmax(1)
    with pytest.warns(UserWarning, match="'batchmean' is the Kullback–Leibler divergence") as record:
        F.kl_div(x, x.exp())
    assert record[0].filename == __file__


@pytest.mark.parametrize(
    "settings",
    [{"label_smoothing": 2.0}, {"weight": torch.ones(3)}, {"reduction": "avg"}, {"softcap": -1.0}, {"options": 1}],
)
def test_a_head_checks_its_settings_when_it_is_made(settings: dict) -> None:
    with pytest.raises((ValueError, TypeError), match=next(iter(settings))):
        nn.LinearCrossEntropyLoss(3, 5, **settings)


def test_moving_a_module_moves_its_class_weights() -> None:
    loss = make("CrossEntropyLoss").to("meta")
    assert loss.weight.device.type == "meta"


@pytest.mark.parametrize("name", TORCHS)
def test_modules_are_traced_by_fx(name: str) -> None:
    module, x = make(name), torch.randn(4, 3 if name == "LinearCrossEntropyLoss" else 5)
    inputs = (x,) if "Softmax" in name else (x, x.flip(0).log_softmax(1) if name == "KLDivLoss" else Y)
    if name.startswith("BCE"):
        inputs = (x.sigmoid(), x.flip(0).sigmoid())
    traced = torch.fx.symbolic_trace(module)
    assert torch.equal(traced(*inputs), module(*inputs))
