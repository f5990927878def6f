"""Which layer `fuse` takes, and every kind of head: the same loss and gradients as before, and without its logits."""

import collections
import copy
import gc
import logging
import math
import pickle
import random
import warnings
import weakref
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import crossentropy
from crossentropy import LazyLogits, _torch, fuse, fused, unfuse
from crossentropy.lazy import explain
from crossentropy.lazy._tensor import observe

D, V = 8, 30
TOKENS = torch.randint(V, (4, 6), generator=torch.Generator().manual_seed(0))
FEATURES = torch.randn(4, D, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([3, 29, 0, 7])
IMAGES = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(2))
PIXELS = torch.randint(V, (2, 5, 4), generator=torch.Generator().manual_seed(3))


def step(model: nn.Module, batch: tuple[Any, ...], loss: Callable[[Any], Tensor]) -> list[Tensor | None]:
    """Loss and gradients."""
    torch.manual_seed(5)
    model.zero_grad()
    value = loss(model(*batch))
    value.backward()
    return [value.detach(), *(None if p.grad is None else p.grad.clone() for p in model.parameters())]


def check(
    model: nn.Module,
    batch: tuple[Any, ...],
    loss: Callable[[Any], Tensor],
    *,
    lazy: bool = True,
    dtype: torch.dtype = torch.float32,
    **how: Any,
) -> nn.Module:
    """The same loss and gradients, in training and evaluation, fused and unfused; without logits, if so expected."""
    torch.manual_seed(0)
    for p in model.parameters():
        nn.init.normal_(p, std=0.4)
    model.to(dtype)
    batch = tuple(x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x for x in batch)
    keys = list(model.state_dict())
    for training in (True, False):
        model.train(training)
        expected = step(model, batch, loss)
        assert fuse(fuse(model, **how), **how) is model
        with observe() as events:
            found = step(model, batch, loss)
        assert events
        assert all(event.fused for event in events) is lazy, events
        assert list(model.state_dict()) == keys
        if training and lazy:
            for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
                with observe() as events:
                    assert_equal(step(other, batch, loss), expected, dtype)
                assert all(event.fused for event in events)
                assert str(fused(unfuse(other))) == "nothing is fused"
        assert_equal(found, expected, dtype)
        unfuse(model)
        with observe() as events:
            assert_equal(step(model, batch, loss), expected, dtype, rounding=0.0)
        assert not events
    return fuse(model, **how)


def assert_equal(found: list[Any], expected: list[Any], dtype: torch.dtype, rounding: float | None = None) -> None:
    """Equal to the rounding of sums of a few hundred products: 2⁻¹⁸ in float32, some ulps in bfloat16."""
    rounding = rounding if rounding is not None else {torch.float32: 2**-16, torch.bfloat16: 2**-5}[dtype]
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == b.dtype
            assert (a - b).norm() <= rounding * (1e-3 + b.norm()), (a - b).norm() / b.norm()


def cross_entropy(z: Tensor) -> Tensor:
    return F.cross_entropy(z, LABELS)


# --- segmentation -------------------------------------------------------------------------------------------------


class Segmenter(nn.Module):
    """A feature map, and a label for each pixel."""

    def __init__(self, last: bool = False) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, D, 3, padding=1)
        self.classifier = nn.Sequential(nn.Conv2d(D, D, 1), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(D, V, 1))
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        layout = torch.channels_last if self.last else torch.contiguous_format
        return self.classifier(self.body(x).contiguous(memory_format=layout))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_segmentation(dtype: torch.dtype, last: bool) -> None:
    model = check(Segmenter(last), (IMAGES,), lambda z: F.cross_entropy(z, PIXELS, ignore_index=3), dtype=dtype)
    assert str(fused(model)) == "classifier.3 (30 classes of 8 features)"
    z, dense = model(IMAGES.to(dtype)), unfuse(model)(IMAGES.to(dtype))
    assert isinstance(z, LazyLogits)
    assert (z.shape, z.dtype, z.stride(), z.is_contiguous()) == (
        dense.shape,
        dense.dtype,
        dense.stride(),
        dense.is_contiguous(),
    )
    assert z.argmax(1).equal(dense.argmax(1)) or dtype == torch.bfloat16
    rounding = 2**-5 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(
        z.flatten(2).log_softmax(1) * 1, dense.flatten(2).log_softmax(1), rtol=rounding, atol=rounding
    )


def test_other_losses_of_pixels() -> None:
    for loss in (
        lambda z: F.cross_entropy(z.permute(0, 2, 3, 1).reshape(-1, V), PIXELS.flatten()),
        lambda z: F.cross_entropy(z.flatten(2), PIXELS.flatten(1), label_smoothing=0.1),
        lambda z: F.cross_entropy(z.view(2, V, -1), PIXELS.flatten(1), torch.arange(1.0, V + 1)),
        lambda z: F.nll_loss(F.log_softmax(z, 1), PIXELS),
        lambda z: F.cross_entropy(z[:, :, 1:], PIXELS[:, 1:]),
        lambda z: crossentropy.functional.cross_entropy(z, F.one_hot(PIXELS, V).movedim(-1, 1).float()),
    ):
        check(Segmenter(), (IMAGES,), loss)


def test_upsampled_logits_are_computed() -> None:
    model = check(
        Segmenter(),
        (IMAGES,),
        lambda z: F.cross_entropy(F.interpolate(z, scale_factor=2), PIXELS.repeat(1, 2, 2).view(2, 10, 8)),
        lazy=False,
    )
    z = model(IMAGES)
    F.interpolate(z, scale_factor=2)
    assert "interpolate" in str(explain(z))


@pytest.mark.parametrize(("conv", "axes"), [(nn.Conv1d, 1), (nn.Conv3d, 3)])
def test_convolutions_of_other_dimensions(conv: Any, axes: int) -> None:
    shape = (3, 2, 4)[:axes]
    x = torch.randn(2, D, *shape)
    y = torch.randint(V, (2, *shape))
    check(nn.Sequential(conv(D, V, 1, bias=False)), (x,), lambda z: F.cross_entropy(z, y))
    single = fuse(conv(D, V, 1))(x[0])
    assert isinstance(single, LazyLogits)
    assert single.shape == (V, *shape)


def test_images_whose_logits_are_not_one_product() -> None:
    for wrong in (
        {"kernel_size": 3},
        {"kernel_size": 1, "stride": 2},
        {"kernel_size": 1, "padding": 1},
        {"kernel_size": 1, "groups": 2},
    ):
        with pytest.raises(ValueError, match=r"1×1 convolutions are"):
            fuse(nn.Sequential(nn.Conv2d(D, V, **wrong)), "0")
    with pytest.raises((RuntimeError, ValueError)):
        fuse(nn.Conv2d(D, V, 1))(torch.zeros(2, 2))


# --- what is around the head --------------------------------------------------------------------------------------


class Deep(nn.Module):
    """A head that is the last of several layers, with what comes after it."""

    def __init__(self, after: Callable[[Tensor], Tensor] = lambda z: z) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(D, D), nn.Tanh(), nn.Linear(D, V))
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.head(x))


def softcap(z: Tensor) -> Tensor:
    z = z / 4.0
    z = torch.tanh(z)
    return z * 4.0


def scaled(z: Tensor) -> Tensor:
    return z * 0.25


def tempered(z: Tensor) -> Tensor:
    return (z / 0.7).float()


def padded(z: Tensor) -> Tensor:
    z = z.float()
    z[..., V - 2 :] = -math.inf
    return z


def masked(z: Tensor) -> Tensor:
    return z.masked_fill(torch.arange(V) == 5, -math.inf)


def half_as_many(z: Tensor) -> Tensor:
    return z[..., [*range(0, V, 2), V - 1, 7]]


def many(z: Tensor) -> Tensor:
    return z.log_softmax(-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("after", [softcap, scaled, tempered, padded, masked, half_as_many])
def test_logits_that_are_changed(after: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
    labels = torch.tensor([3, 13, 0, 7])
    check(Deep(after), (FEATURES,), lambda z: F.cross_entropy(z, labels), dtype=dtype)


def test_a_softmax_after_the_head() -> None:
    tail = nn.Sequential(nn.Linear(D, D), nn.Sequential(nn.ReLU(), nn.Linear(D, V)), nn.LogSoftmax(dim=-1))
    model = check(tail, (FEATURES,), lambda z: F.nll_loss(z, LABELS))
    assert str(fused(model)) == "1.1 (30 classes of 8 features)"
    check(Deep(many), (FEATURES,), lambda z: nn.NLLLoss()(z, LABELS))
    with pytest.raises(ValueError, match="cannot tell which layer of Sequential"):
        fuse(nn.Sequential(nn.Linear(D, V), nn.ReLU()))


# --- several heads ------------------------------------------------------------------------------------------------


class Several(nn.Module):
    """Heads that predict one token after another, and one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Embedding(V, D)
        self.heads = nn.ModuleList([nn.Linear(D, V, bias=False) for _ in range(3)])

    def forward(self, tokens: Tensor) -> list[Tensor]:
        hidden = self.body(tokens)
        return [*(head(hidden) for head in self.heads), self.heads[0](hidden.tanh())]


def test_several_heads() -> None:
    def loss(found: list[Tensor]) -> Tensor:
        return sum(F.cross_entropy(z.flatten(0, 1), TOKENS.roll(i).flatten()) for i, z in enumerate(found))

    for how in ({"head": "heads"}, {"head": ["heads.0", "heads.1", "heads.2"]}, {"example": TOKENS}):
        model = check(Several(), (TOKENS,), loss, **how)
        assert [head.name for head in fused(model).heads] == ["heads.0", "heads.1", "heads.2"]


class LowRank(nn.Module):
    """A head with an adapter, written out."""

    def __init__(self) -> None:
        super().__init__()
        self.base, self.down, self.up = nn.Linear(D, V), nn.Linear(D, 2, bias=False), nn.Linear(2, V, bias=False)
        self.dropout = nn.Dropout(0.2)
        self.base.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(self.dropout(x))) * 1.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_low_rank_adapter(dtype: torch.dtype) -> None:
    model = check(LowRank(), (FEATURES,), cross_entropy, head=["base", "up"], dtype=dtype)
    assert model.base.weight.grad is None
    assert model.up.weight.grad is not None
    unfuse(model)
    assert [head.name for head in fused(fuse(model, example=FEATURES.to(dtype))).heads] == ["base", "up"]


# --- weights that are multiplied by -------------------------------------------------------------------------------


class Tied(nn.Module):
    """A language model that multiplies by its embedding's weight, within another module."""

    def __init__(self, product: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner = nn.ModuleDict({"embed_tokens": nn.Embedding(V, D), "mlp": nn.Linear(D, D)})
        self.product = product

    def forward(self, tokens: Tensor) -> Tensor:
        weight = self.inner.embed_tokens.weight
        return self.product(self.inner.mlp(self.inner.embed_tokens(tokens)), weight)


def by_linear(h: Tensor, w: Tensor) -> Tensor:
    return F.linear(h, w)


def by_matmul(h: Tensor, w: Tensor) -> Tensor:
    return (h @ w.T) / 3


def by_transpose(h: Tensor, w: Tensor) -> Tensor:
    return torch.matmul(h, w.transpose(0, 1))


def by_cosine(h: Tensor, w: Tensor) -> Tensor:
    return F.linear(F.normalize(h, dim=-1), F.normalize(w)) * 16.0


def by_hand(h: Tensor, w: Tensor) -> Tensor:
    return 16.0 * (h / h.norm(dim=-1, keepdim=True)).matmul((w / w.norm(dim=1, keepdim=True)).t())


class Wrapper(nn.Module):
    """A module that calls another."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.criterion = model, nn.CrossEntropyLoss()

    def forward(self, x: Tensor) -> Any:
        return self.model(x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("product", [by_linear, by_matmul, by_transpose, by_cosine, by_hand])
def test_a_weight_that_is_multiplied_by(product: Any, dtype: torch.dtype) -> None:
    def loss(z: Tensor) -> Tensor:
        return F.cross_entropy(z.flatten(0, 1), TOKENS.roll(1).flatten())

    model = check(Wrapper(Tied(product)), (TOKENS,), loss, head="model.inner.embed_tokens", dtype=dtype)
    assert isinstance(model.model(TOKENS), LazyLogits)  # as a trainer calls it
    assert str(fused(model)) == "model.inner.embed_tokens (30 classes of 8 features)"
    assert type(unfuse(model)(TOKENS)) is Tensor


class Cosine(nn.Module):
    """A cosine head, with its weight as (D, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(D, V))

    def forward(self, x: Tensor) -> Tensor:
        return 8.0 * F.normalize(x).mm(F.normalize(self.weight, dim=0))


def test_a_cosine_head() -> None:
    model = nn.Sequential(nn.Linear(D, D), Cosine())
    check(model, (FEATURES,), cross_entropy, head="1")
    assert fuse(unfuse(model), "1", verify=(FEATURES,), loss=cross_entropy).fused
    with pytest.raises(IndexError):
        fuse(Tied(by_linear), "inner.embed_tokens")(TOKENS + V)
    assert type(F.linear(FEATURES, model[1].weight.t())) is Tensor  # outside of a call


def test_a_weight_that_nobody_multiplies_by() -> None:
    model = fuse(Tied(lambda h, w: h), "inner.embed_tokens")
    with pytest.warns(
        UserWarning, match=r"no product with the weight of 'inner.embed_tokens' was seen in a call of Tied"
    ):
        model(TOKENS)
    with pytest.raises(ValueError, match=r"no layer makes what Tied returns: .*linear_cross_entropy"):
        fuse(unfuse(Tied(by_linear)), example=TOKENS)


class Interrupted(nn.Module):
    """A tied model, of which a call may be interrupted, and that may hide it."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.error, self.hides = Tied(self.product), None, False

    def product(self, h: Tensor, w: Tensor) -> Tensor:
        if self.error is not None:
            raise self.error
        return h @ w.T

    def forward(self, tokens: Tensor) -> Any:
        try:
            return self.model(tokens)
        except BaseException:
            if not self.hides:
                raise


class Silent(TorchFunctionMode):
    """A mode of somebody else."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_call_that_is_interrupted(error: type[BaseException]) -> None:
    model, modes = fuse(Interrupted(), "model.inner.embed_tokens"), _torch.function_modes()
    weight = model.model.inner.embed_tokens.weight
    activations = []
    model.model.inner.mlp.register_forward_hook(lambda _, __, output: activations.append(weakref.ref(output)))

    def interrupt() -> None:
        model.error = error()
        with suppress(error):
            model(TOKENS)
        model.error = None

    for others in (nullcontext(), Silent(), torch.device("meta")):
        model.error = error()
        with pytest.raises(error) as caught, others:
            model(TOKENS)
        assert type(FEATURES @ weight.T) is Tensor  # while the traceback has the frames
        del caught
        model.error = None
        assert activations.pop()() is None
        assert isinstance(model(TOKENS), LazyLogits)
        assert _torch.function_modes() == modes
    torch.set_default_device("cpu")
    try:
        interrupt()
    finally:
        torch.set_default_device(None)
    interrupt()
    unfuse(model)
    assert _torch.function_modes() == modes
    assert type(model(TOKENS)) is Tensor
    fuse(model, "model.inner.embed_tokens")
    model.error, model.hides = error(), True
    assert model(TOKENS) is None
    assert _torch.function_modes() == modes


def test_two_weights_that_are_multiplied_by() -> None:
    model, modes = nn.ModuleDict({"a": Tied(by_matmul), "b": Tied(by_linear)}), _torch.function_modes()
    model.forward = lambda tokens: [model["a"](tokens), model["b"](tokens)]
    fuse(model, ["a.inner.embed_tokens", "b.inner.embed_tokens"])
    for _ in range(2):
        assert all(isinstance(z, LazyLogits) for z in model(TOKENS))
        assert _torch.function_modes() == modes
    model["b"].product = interrupted
    with suppress(KeyboardInterrupt):
        model(TOKENS)
    model["b"].product = by_linear
    assert all(isinstance(z, LazyLogits) for z in model(TOKENS))
    assert _torch.function_modes() == modes


def interrupted(h: Tensor, w: Tensor) -> Tensor:
    raise KeyboardInterrupt


def test_a_model_that_is_unfused_while_it_is_called() -> None:
    def product(h: Tensor, w: Tensor) -> Tensor:
        unfuse(model)
        return h @ w.T

    model, modes = fuse(Tied(product), "inner.embed_tokens"), _torch.function_modes()
    assert type(model(TOKENS)) is Tensor
    assert _torch.function_modes() == modes


def called(model: nn.Module) -> None:
    with pytest.warns(
        UserWarning, match=r"'inner.embed_tokens' of Tied was replaced since `fuse`.*; fuse the model again"
    ):
        model(TOKENS)


@pytest.mark.parametrize("end", [unfuse, called, lambda model: fuse(model, "inner.embed_tokens")])
def test_a_weight_that_was_replaced(end: Callable[[nn.Module], Any]) -> None:
    model = fuse(Tied(by_matmul), "inner.embed_tokens")
    old = weakref.ref(model.inner.embed_tokens)
    model.inner.embed_tokens = nn.Embedding(V + 3, D)
    assert str(fused(model)) == "nothing is fused"
    end(model)
    gc.collect()
    assert old() is None
    model(TOKENS)  # without a word


@pytest.mark.parametrize("function", [torch.mm, torch.matmul])
def test_a_product_that_is_written_somewhere(function: Any) -> None:
    def product(h: Tensor, w: Tensor) -> Tensor:
        out = torch.empty(len(h), V)
        assert function(h, w.t(), out=out) is out
        return out

    model = Tied(product)
    with torch.no_grad():
        expected = model(TOKENS[0])
        with pytest.warns(UserWarning, match="no product with the weight"):
            assert fuse(model, "inner.embed_tokens")(TOKENS[0]).equal(expected)


def test_products_by_argument_names() -> None:
    bias = torch.randn(V)
    for product in (
        lambda h, w: torch.matmul(h, w.T, out=None),
        lambda h, w: h.matmul(other=w.T),
        lambda h, w: F.linear(weight=w, input=h),
        lambda h, w: F.linear(h, w, bias=bias),
        lambda h, w: torch.mm(input=h, mat2=w.t()),
    ):
        model = Tied(product)
        expected = model(TOKENS[0])
        found = fuse(model, "inner.embed_tokens")(TOKENS[0])
        assert isinstance(found, LazyLogits)
        assert (found * 1).equal(expected)
    model = Tied(lambda h, w: F.linear(h, w, torch.ones(len(h), V)))  # which is no bias of classes
    expected = model(TOKENS[0])
    with pytest.warns(UserWarning, match="no product with the weight"):
        assert fuse(model, "inner.embed_tokens")(TOKENS[0]).equal(expected)


# --- which layer --------------------------------------------------------------------------------------------------


class Auxiliary(nn.Module):
    """A loss of 100 classes that are scaled, one of 2 as they are, and a router whose logits others use."""

    def __init__(self, after: Callable[[Tensor], Tensor] = scaled) -> None:
        super().__init__()
        self.body, self.route = nn.Linear(D, D), nn.Linear(D, 4)
        self.zeta, self.alpha, self.value = nn.Linear(D, 100), nn.Linear(D, 2), nn.Linear(D, 1)
        self.after = after

    def forward(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        h = x + self.body(x).tanh()
        gate = self.route(h).softmax(-1)
        h = h * gate.max(-1, keepdim=True).values
        found = {"logits": self.after(self.zeta(h)), "aux": self.alpha(h), "value": self.value(h), "hidden": h}
        if y is not None:
            losses = [F.cross_entropy(found["logits"], y), F.cross_entropy(found["aux"], y % 2)]
            found["loss"] = losses[0] + 0.1 * losses[1] + 0.01 * gate.mean(0).square().sum()
        return found


def test_the_layer_that_makes_the_loss(caplog: pytest.LogCaptureFixture) -> None:
    for example in (FEATURES, (FEATURES, LABELS), {"x": FEATURES, "y": LABELS}):
        model = Auxiliary()
        with caplog.at_level(logging.INFO, "crossentropy"):
            fuse(model, example=example)
        assert [head.name for head in fused(model).heads] == ["zeta", "alpha"]
        assert caplog.messages[-2] == "fused zeta (100 classes of 8 features) of Auxiliary"
        count = len(caplog.messages)
        fuse(model, example=example)
        assert len(caplog.messages) == count
    check(Auxiliary(), (FEATURES, LABELS), lambda found: found["loss"], example=(FEATURES, LABELS))
    assert fused(model).heads[0].to_dict() == {"name": "zeta", "classes": 100, "in_features": 8}


def test_never_a_smaller_layer_than_the_one_that_makes_the_loss() -> None:
    model = Auxiliary(lambda z: z.sort(-1).values)
    with pytest.raises(
        ValueError, match=r"the logits of 'zeta', which has the most classes .*sort at .*linear_cross_entropy"
    ):
        fuse(model, example=FEATURES)
    assert str(fused(model)) == "nothing is fused"

    class Quantized(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input).round()

    model.zeta, model.after = Quantized(D, 100), scaled
    with pytest.raises(ValueError, match=r"the head 'zeta' of Auxiliary cannot be fused: its class Quantized"):
        fuse(model, example=FEATURES)
    with pytest.raises(
        ValueError, match=r"or example= inputs to find it by a call, which alone .*linear_cross_entropy"
    ):
        fuse(model)


def test_frozen_models_and_random_state() -> None:
    model = Auxiliary().requires_grad_(False)
    model.norm = nn.BatchNorm1d(D)
    state = torch.get_rng_state()
    fuse(model, example=FEATURES)
    assert torch.get_rng_state().equal(state)
    assert [head.name for head in fused(model).heads] == ["zeta", "alpha"]


class Random(nn.Module):
    """A model that draws numbers, and counts its calls."""

    def __init__(self, draw: Callable[[], float]) -> None:
        super().__init__()
        self.head, self.draw = nn.Linear(D, V), draw
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if math.isnan(number := self.draw()):
            raise ValueError
        return self.head(x * number)


@pytest.mark.parametrize("draw", [random.random, np.random.rand, lambda: torch.rand(()).item()])
def test_random_state_of_others(draw: Callable[[], float]) -> None:
    model = Random(draw)
    before = random.getstate(), np.random.get_state()[1].tolist()
    assert fuse(model, verify=FEATURES, loss=cross_entropy).gradient_difference < 1e-6
    fuse(model, example=FEATURES)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    model.draw = lambda: math.nan
    with pytest.raises(ValueError):
        fuse(model, example=FEATURES)
    assert model.calls == 0


@dataclass
class Output:
    """What a model may return."""

    logits: Any
    hidden: Tensor | None = None
    parent: "Output | None" = None


def circular(z: Tensor) -> Output:
    output = Output(z)
    output.parent = output
    return output


@pytest.mark.parametrize(
    "after",
    [
        Output,
        circular,
        lambda z: [{"found": Output(Output((z,)))}],
        lambda z: SimpleNamespace(logits=z),
        lambda z: MappingProxyType({"logits": [z]}),
        lambda z: (0, collections.UserDict(logits=z)),
    ],
)
def test_what_models_return(after: Callable[[Tensor], Any]) -> None:
    assert str(fused(fuse(Deep(after), example=FEATURES))) == "head.2 (30 classes of 8 features)"
    model = Deep(lambda z: after(cross_entropy(z)))
    assert fuse(model, "head", verify=FEATURES).fused


def test_a_class_is_no_container() -> None:
    model = Deep(lambda z: (z, Output, LABELS, object(), None))
    assert str(fused(fuse(model, example=FEATURES))) == "head.2 (30 classes of 8 features)"


class Language(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.lm_head = nn.Embedding(V, D), nn.Linear(D, V)

    def forward(self, x: Tensor) -> Tensor:
        return self.lm_head(self.body(x))


@pytest.mark.filterwarnings("ignore:The .grad attribute")
@pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace the builtin .*LazyLogits")
def test_wrapped_models() -> None:
    def loss(z: Tensor) -> Tensor:
        return F.cross_entropy(z.flatten(0, 1), TOKENS.flatten())

    check(Wrapper(Wrapper(Language())), (TOKENS,), loss)
    model = check(nn.DataParallel(Language()), (TOKENS,), loss, head="lm_head")
    assert str(fused(model)) == "module.lm_head (30 classes of 8 features)"
    language = Language()
    torch.compiler.reset()
    compiled = torch.compile(Wrapper(language), backend="aot_eager")
    expected = step(compiled, (TOKENS,), loss)
    fuse(compiled)
    if torch.__version__ < (2, 13):  # what was compiled before is not looked at again
        torch.compiler.reset()
    assert [head.name for head in fused(compiled).heads] == ["_orig_mod.model.lm_head"]
    with observe() as events:
        assert_equal(step(compiled, (TOKENS,), loss), expected, torch.float32)
    assert events
    assert all(event.fused for event in events)
    unfuse(compiled)
    fuse(compiled, example=TOKENS)
    assert [head.name for head in fused(compiled).heads] == ["_orig_mod.model.lm_head"]
    two = Wrapper(Language())
    two.teacher = Language()
    with pytest.raises(ValueError, match="cannot tell which layer of Wrapper"):
        fuse(two)


@pytest.mark.filterwarnings("ignore:The .grad attribute")
@pytest.mark.parametrize("fullgraph", [False, True])
@pytest.mark.parametrize("name", ["segmentation", "tied"])
def test_compiled_heads(name: str, fullgraph: bool) -> None:
    model, batch, loss, how = {
        "segmentation": (Segmenter().eval(), (IMAGES,), lambda z: F.cross_entropy(z, PIXELS), {}),
        "tied": (
            Tied(by_linear),
            (TOKENS,),
            lambda z: F.cross_entropy(z.flatten(0, 1), TOKENS.flatten()),
            {"head": "inner.embed_tokens"},
        ),
    }[name]
    expected = step(model, batch, loss)
    torch.compiler.reset()
    compiled = torch.compile(fuse(model, **how), fullgraph=fullgraph, backend="aot_eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            assert_equal(step(compiled, batch, loss), expected, torch.float32)


def test_fused_tells_and_restores() -> None:
    model = Auxiliary()
    with fused(model, "alpha") as same:
        assert same is model
        assert [head.classes for head in fused(model).heads] == [2]
        with fused(model, "zeta"):
            assert len(fused(model).heads) == 2
        assert [head.name for head in fused(model).heads] == ["alpha"]
    assert fused(model).heads == ()
