"""No host waits for a device: a loss is computed, reduced and differentiated without a look at a value.

Tensors without memory stand for those of an accelerator: whatever looks at a value of them, or copies one, raises.
"""

import itertools
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from crossentropy import _autograd, _dispatch, _planner, _reduction, _valid_rows
from crossentropy._backends import chunked, triton
from crossentropy._dispatch import Slicing
from crossentropy._loss import Loss, LossSpec, LossTensors, Side, rows_shape, tensors_of

N, C, D, P = 6, 48, 16, 3
BACKENDS = [chunked] if triton.MISSING else [chunked, triton]


@pytest.fixture(autouse=True)
def _accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is planned for as a card which small problems fill, and multiplies as CUDA does; kernels do nothing."""
    card = replace(_planner.H200, budget=400, tile=200, tile_across=200, rows=1, even=1)
    monkeypatch.setattr(_planner, "H200", card)
    monkeypatch.setattr(Tensor, "is_cuda", property(lambda x: x.is_meta))
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch.cuda, "device_of", lambda _: nullcontext())
    card = SimpleNamespace(major=9, multi_processor_count=132, shared_memory_per_block_optin=232_448)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    if not triton.MISSING:
        from triton.runtime import JITFunction
        from triton.runtime.interpreter import InterpretedFunction

        for launched in (JITFunction, InterpretedFunction):
            monkeypatch.setattr(launched, "__getitem__", lambda *_: lambda **__: None)


def new(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


LOOKS = {
    "bool": bool,
    "float": float,
    "item": Tensor.item,
    "tolist": Tensor.tolist,
    "nonzero": torch.nonzero,
    "cpu": Tensor.cpu,
    "equal": lambda x: torch.equal(x, x),
    "index": lambda x: range(3)[x.long()],
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_at_a_value_raises(look: str) -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        LOOKS[look](new())


# --- losses -------------------------------------------------------------------------------------------------------

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "smoothing": {"label_smoothing": 0.1},
    "z_loss": {"z_loss": 1e-3},
    "softcap": {"softcap": 5.0, "temperature": 2.0},
    "no label ignored": {"ignores": False},
    "a budget": {"budget": 400},
}
KINDS: dict[str, tuple[Any, bool]] = {
    "labels": ("cross_entropy", False),
    "probabilities": ("cross_entropy", True),
    "statistics": ("statistics", False),
}
SHAPES = {"flat": (N, C), "across": (N, C, P)}


def loss_of(kind: str, dtype: torch.dtype, shape: tuple[int, ...], head: bool, option: str = "plain") -> Loss:
    """A loss of logits (N, C) or (N, C, P), which are given, or made by a head (C, D) or (C, P, D)."""
    name, soft = KINDS.get(kind, (kind, False))
    options = dict(OPTIONS[option])
    budget = options.pop("budget", None)
    spec = LossSpec(1, C, soft, torch.float32, **{"ignores": not soft, **options})
    inner = shape[2:]
    sides = [Side(new(*shape, dtype=dtype), None, None, spec)]
    if head:
        bias = new(C, *inner, dtype=dtype)
        sides = [Side(new(N, D, dtype=dtype), new(C, *inner, D, dtype=dtype), bias, spec)]
    target = new(*shape, dtype=dtype) if soft else new(N, *inner, dtype=torch.int64)
    if name == "divergence":
        sides, target = sides * 2, None
    weight = new(C) if name == "cross_entropy" else None
    return Loss(name, tuple(sides), torch.Size(shape), target, weight, budget=budget)


PLAIN = list(
    itertools.product((*KINDS, "divergence"), SHAPES, (False, True), (torch.float32, torch.bfloat16), ["plain"])
)
CHANGED = list(itertools.product(["labels"], SHAPES, (False, True), [torch.bfloat16], OPTIONS))
CASES = {
    f"{kind}, {shape}, {'head' if head else 'given'}, {dtype}, {option}": (kind, dtype, SHAPES[shape], head, option)
    for kind, shape, head, dtype, option in PLAIN + CHANGED
    if head or kind != "divergence"
}


HEADS = [(torch.float32, SHAPES["flat"], True), (torch.bfloat16, SHAPES["flat"], True)]
HEADS += [(torch.bfloat16, SHAPES["flat"], True, "a budget")]


def coefficients(loss: Loss) -> Tensor:
    return new(3 if loss.kind == "statistics" else 1, *rows_shape(loss))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", BACKENDS, ids=_dispatch.name_of)
def test_a_loss_and_its_gradients(backend: Slicing, case: str) -> None:
    loss = loss_of(*CASES[case])
    tensors = (coefficients(loss), *tensors_of(loss))
    for wants in (True, False):
        wanted = tuple(wants and x is not None for x in tensors[_autograd.SLOTS :])
        call = _autograd.Call(backend, loss, loss.kind != "statistics", wanted)
        total, rows, _, *gradients = _autograd._compute(call, tensors)
        assert total.shape == ()
        assert rows.shape[1:] == rows_shape(loss)
        for x, want, gradient in zip(tensors[_autograd.SLOTS :], wanted, gradients):
            if want:
                assert x is not None
                assert gradient.shape == x.shape
                assert _dispatch.scale(backend, gradient, new()) is gradient


@pytest.mark.parametrize("case", [case for case in CASES if "divergence" not in case])
@pytest.mark.parametrize("backend", BACKENDS, ids=_dispatch.name_of)
def test_a_slice_of_the_classes(backend: Slicing, case: str) -> None:
    loss = loss_of(*CASES[case])
    wanted = tuple(x is not None for x in loss.sides[0][:3])
    statistics = backend.measure(loss, 0)
    assert backend.conclude(loss, statistics).rows.shape[1:] == rows_shape(loss)
    for x, gradient in zip(loss.sides[0], backend.derive(loss, 0, statistics, coefficients(loss), wanted)):
        assert gradient is None or gradient.shape == x.shape


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("token_weight", [False, True])
@pytest.mark.parametrize("denominator", [False, True])
def test_a_reduction(reduction: str, token_weight: bool, denominator: bool) -> None:
    loss = loss_of("labels", torch.float32, SHAPES["flat"], False)
    tensors = LossTensors(
        loss.sides[0].input,
        loss.target,
        token_weight=new(N) if token_weight else None,
        denominator=new() if denominator else None,
    )
    reduced = _reduction.reduce(loss, tensors, reduction, torch.float32, lambda *_: (new(), new(1, N)))
    assert reduced.shape == ((N,) if reduction == "none" else ())


def test_the_heads_are_of_every_strategy() -> None:
    """What they go through: a gradient that is collected in its own dtype, in float32, and by a second sweep."""
    wanted = (True, True, True)
    plans = [chunked.plan(loss_of("labels", *what), wanted) for what in HEADS]
    assert [(plan.strategy, plan.widens, plan.chunk < N) for plan in plans] == [
        ("rows", False, True),
        ("rows", True, True),
        ("rows, then classes", False, True),
    ]


@pytest.mark.skipif(bool(triton.MISSING), reason=triton.MISSING)
@pytest.mark.parametrize("kind", KINDS)
def test_all_rows_that_are_given_are_one_launch(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[object] = []
    for kernel in (triton._CrossEntropy, triton._TokenStatistics):
        monkeypatch.setattr(kernel, "run", staticmethod(jobs.append))
    loss = loss_of(kind, torch.bfloat16, SHAPES["flat"], False)
    triton.execute(loss, coefficients(loss), (True, False, False))
    assert len(jobs) == 1


class Recorder(TorchDispatchMode):
    """The operators that write to float32 tensors of a shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape, self.seen = shape, []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.dtype == torch.float32 and tuple(result.shape) == self.shape:
            self.seen.append(str(func))
        return result


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_that_count_are_gathered(shape: str) -> None:
    loss = loss_of("labels", torch.bfloat16, SHAPES[shape], True)
    tensors = LossTensors(loss.sides[0].input, loss.target, token_weight=new(*rows_shape(loss)))
    part, weights, restored = _valid_rows.gathered(loss, tensors, 5)
    assert weights.token_weight is not None
    assert part.shape[0] == 5 == len(weights.token_weight)
    assert restored(new(*rows_shape(part)), "none").shape == rows_shape(loss)


def test_a_gradient_in_float32_is_written_by_products_alone() -> None:
    """The first chunk's writes it, so that it is not filled with zeros; those of all others add to it."""
    loss = loss_of("labels", torch.bfloat16, SHAPES["flat"], True)
    with Recorder((C, D)) as recorder:
        chunked.execute(loss, coefficients(loss), (True, True, True))
    assert [name for name in recorder.seen if "view" not in name] == [
        "aten.mm.dtype_out", "aten.addmm.dtype_out", "aten.addmm.dtype_out"
    ]  # fmt: skip
