"""torch's own test material, and a wider corpus, over our functions and classes.

A result passes if it is close to torch's, or closer to the result of a float64 run.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import ModuleErrorEnum, module_db
from torch.utils._pytree import tree_map

import crossentropy.functional as F
from crossentropy import nn
from crossentropy.testing import assert_no_worse
from sampling import some

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]

OURS: dict[str, Callable[..., Tensor]] = {
    "softmax": F.softmax,
    "log_softmax": F.log_softmax,
    "nn.functional.nll_loss": F.nll_loss,
    "nn.functional.cross_entropy": F.cross_entropy,
    "nn.functional.kl_div": F.kl_div,
    "nn.functional.binary_cross_entropy": F.binary_cross_entropy,
    "nn.functional.binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits,
    "nn.functional.linear_cross_entropy": F.linear_cross_entropy,
}
OPS = [op for op in op_db if op.name in OURS]
MODULES = [info for info in module_db if info.name.removeprefix("nn.") in nn.__all__]

pytestmark = pytest.mark.filterwarnings("ignore:reduction.? 'mean' divides", "ignore:linear_cross_entropy.*ignored")


def op_id(op: Any) -> str:
    return f"{op.name}{op.variant_test_name and '-' + op.variant_test_name}"


def module_id(info: Any) -> str:
    return info.name


def samples(op: Any, dtype: torch.dtype, device: str = "cpu") -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    torch.manual_seed(0)
    for sample in op.sample_inputs(device, dtype, requires_grad=True):
        yield (sample.input, *sample.args), sample.kwargs


def doubled(tree: Any) -> Any:
    """Every floating tensor in float64, as a new leaf; a requested dtype too."""

    def double(x: Any) -> Any:
        if isinstance(x, Tensor) and x.is_floating_point():
            return x.detach().double().requires_grad_(x.requires_grad)
        return torch.float64 if isinstance(x, torch.dtype) and x.is_floating_point else x

    return tree_map(double, tree)


def leaves(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    return [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor) and x.requires_grad]


def value_and_gradients(function: Callable[..., Tensor], args: Any, kwargs: Any) -> list[Tensor]:
    result = function(*args, **kwargs)
    inputs = leaves(args, kwargs)
    torch.manual_seed(1)
    upstream = torch.rand(result.shape, dtype=torch.float64).to(result)
    return [result, *torch.autograd.grad(result, inputs, upstream)]


def largest(x: Tensor) -> float:
    """Largest finite absolute value: what the terms of a sum, which may cancel, are made of."""
    return x.detach()[x.isfinite()].abs().max().item() if x.is_floating_point() and x.isfinite().any() else 0.0


def compare(ours: Callable[..., Tensor], theirs: Callable[..., Tensor], args: Any, kwargs: Any) -> None:
    plain = {**kwargs, "options": None} if "options" in kwargs else kwargs  # torch's chunks refuse some dtypes
    exact = value_and_gradients(theirs, *doubled((args, plain)))
    scale = max(largest(x) for x in (*args, *kwargs.values(), *exact) if isinstance(x, Tensor))
    try:
        rival = value_and_gradients(theirs, args, kwargs)
    except (RuntimeError, NotImplementedError):  # half precision that torch does not run on this device
        assert args[0].dtype.itemsize == 2
        rival = [x.to(a.dtype) for x, a in zip(exact, value_and_gradients(ours, args, kwargs))]
    for actual, other, true in zip(value_and_gradients(ours, args, kwargs), rival, exact, strict=True):
        assert actual.dtype == other.dtype
        assert_no_worse(actual, other, true, magnitude=scale)


# --- OpInfo -------------------------------------------------------------------------------------------------------


def test_torchs_material_is_there() -> None:
    assert {op.name for op in OPS} >= OURS.keys() - {"nn.functional.linear_cross_entropy"}  # which torch has since 2.13
    assert len(MODULES) >= 7


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("op", OPS, ids=op_id)
def test_values_and_gradients(op: Any, dtype: torch.dtype, device: str) -> None:
    count = 0
    for args, kwargs in some(samples(op, dtype, device), 60):
        compare(OURS[op.name], op.op, args, kwargs)
        count += 1
    assert count > 5


@pytest.mark.parametrize("op", [op for op in OPS if op.error_inputs_func], ids=op_id)
def test_error_inputs(op: Any) -> None:
    for error in op.error_inputs("cpu"):
        sample = error.sample_input
        with pytest.raises(error.error_type):
            OURS[op.name](sample.input, *sample.args, **sample.kwargs)


def closed_over(op: Any, args: Any, kwargs: Any) -> tuple[Callable[..., Tensor], list[Tensor]]:
    """The function of the tensors that require gradients, and those tensors."""
    names = [k for k, v in kwargs.items() if isinstance(v, Tensor) and v.requires_grad]
    places = [i for i, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad]

    def function(*tensors: Tensor) -> Tensor:
        given = dict(zip(places, tensors))
        keyword = dict(zip(names, tensors[len(places) :]))
        return OURS[op.name](*(given.get(i, x) for i, x in enumerate(args)), **{**kwargs, **keyword})

    return function, [args[i] for i in places] + [kwargs[k] for k in names]


@pytest.mark.parametrize("op", OPS, ids=op_id)
def test_gradcheck_in_both_modes_and_batched(op: Any) -> None:
    for args, kwargs in some(samples(op, torch.float64), 30):
        function, inputs = closed_over(op, args, kwargs)
        assert torch.autograd.gradcheck(
            function,
            inputs,
            check_forward_ad=True,
            check_batched_grad=True,
            check_batched_forward_grad=True,
            fast_mode=True,
        )


@pytest.mark.parametrize("op", OPS, ids=op_id)
def test_gradgradcheck_in_both_modes(op: Any) -> None:
    for args, kwargs in some(samples(op, torch.float64), 20):
        function, inputs = closed_over(op, args, kwargs)
        assert torch.autograd.gradgradcheck(function, inputs, check_fwd_over_rev=True, fast_mode=True)


@pytest.mark.parametrize("op", OPS, ids=op_id)
def test_functorch_transforms(op: Any) -> None:
    for args, kwargs in some(samples(op, torch.float64), 30):
        function, inputs = closed_over(op, args, kwargs)
        primals = tuple(x.detach() for x in inputs)
        tangents = tuple(torch.rand_like(x) for x in primals)
        batch = tuple(torch.stack([x, (x + t) / 2]) for x, t in zip(primals, tangents))

        def scalar(*tensors: Tensor, function: Callable[..., Tensor] = function) -> Tensor:
            return function(*tensors).sum()

        expected = torch.stack([function(*(x[i] for x in batch)) for i in range(2)]).detach()
        torch.testing.assert_close(torch.func.vmap(function)(*batch), expected)
        grads = torch.func.grad(scalar, argnums=tuple(range(len(primals))))
        by_backward = torch.autograd.grad(scalar(*inputs), inputs)
        torch.testing.assert_close(grads(*primals), by_backward)
        torch.testing.assert_close(torch.func.vmap(grads)(*batch)[0][0], by_backward[0])
        _, directional = torch.func.jvp(scalar, primals, tangents)
        torch.testing.assert_close(directional, sum((g * t).sum() for g, t in zip(by_backward, tangents)))


@pytest.mark.parametrize("op", OPS, ids=op_id)
def test_compile_without_a_graph_break(op: Any) -> None:
    # samples of one structure differ by numbers, also of rows in a chunk or of the ignored label: the first is compiled
    first: dict[str, Any] = {}
    binary = op.name.startswith("nn.functional.binary")  # whose samples differ in shapes: one of each set of options
    for args, kwargs in samples(op, torch.float32):
        structure = str(tree_map(lambda x: (x.dtype, x.dim()) if isinstance(x, Tensor) else x, (args, kwargs)))
        structure = str(sorted(kwargs)) if binary else structure
        first.setdefault(re.sub(r"(batch_chunk_size=|'ignore_index': )-?\d+", "", structure), (args, kwargs))
    for args, kwargs in some(first.values(), 6):
        torch.compiler.reset()
        compiled = torch.compile(OURS[op.name], fullgraph=True, backend="aot_eager")
        for actual, expected in zip(
            value_and_gradients(compiled, args, kwargs), value_and_gradients(OURS[op.name], args, kwargs)
        ):
            torch.testing.assert_close(actual, expected)


# --- ModuleInfo ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("info", MODULES, ids=module_id)
def test_modules_equal_their_reference_functions(info: Any, dtype: torch.dtype) -> None:
    ours, theirs = getattr(nn, info.name.removeprefix("nn.")), info.module_cls
    count = 0
    cases = info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=True)
    for case in some(cases, 16):
        made, given = case.constructor_input, case.forward_input
        module = ours(*made.args, **made.kwargs)
        rival = theirs(*made.args, **made.kwargs)
        rival.load_state_dict(module.state_dict())
        compare(module, _doubling(rival), given.args, given.kwargs)
        if dtype == torch.float64 and case.reference_fn is not None:
            inputs = [x.detach() for x in given.args]
            reference = torch.as_tensor(case.reference_fn(module, *inputs), dtype=dtype)
            torch.testing.assert_close(module(*inputs).detach(), reference.detach(), equal_nan=True)
        count += 1
    assert count >= 3


def _doubling(module: torch.nn.Module) -> Callable[..., Tensor]:
    """torch's module, which runs in float64 when its input is."""

    def call(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return module.to(input.dtype)(input, *args, **kwargs)

    return call


@pytest.mark.parametrize("info", [info for info in MODULES if info.module_error_inputs_func], ids=module_id)
def test_module_error_inputs(info: Any) -> None:
    ours = getattr(nn, info.name.removeprefix("nn."))
    for error in info.module_error_inputs_func(
        info, device="cpu", dtype=torch.float32, requires_grad=False, training=True
    ):
        made, given = error.module_error_input.constructor_input, error.module_error_input.forward_input
        if error.error_on == ModuleErrorEnum.CONSTRUCTION_ERROR:
            with pytest.raises(error.error_type):
                ours(*made.args, **made.kwargs)
        else:
            module = ours(*made.args, **made.kwargs)
            with pytest.raises(error.error_type):
                module(*given.args, **given.kwargs)


# --- what OpInfo lacks --------------------------------------------------------------------------------------------


def layouts(shape: tuple[int, ...], dtype: torch.dtype, device: str) -> dict[str, Tensor]:
    """One tensor of a shape, in memory in different ways."""
    x = torch.randn(shape, device=device).mul(3).to(dtype)
    return {
        "contiguous": x,
        "reversed strides": x.permute(*reversed(range(x.dim()))).contiguous().permute(*reversed(range(x.dim()))),
        "every second": torch.stack([x, x + 1], -1).flatten(-2)[..., ::2],
        "zero stride": x[..., :1].expand(shape),
    }


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(5,), (4, 5), (3, 5, 2), (2, 5, 2, 3)])
@pytest.mark.parametrize("kind", ["indices", "probabilities"])
def test_wide_corpus(dtype: torch.dtype, shape: tuple[int, ...], kind: str, device: str) -> None:
    c = 0 if len(shape) == 1 else 1
    rows = shape[:c] + shape[c + 1 :]
    weight = torch.rand(5, device=device).to(dtype)
    weights = [None, weight, weight.index_fill(0, torch.tensor([1], device=device), 0.0)]
    labels = torch.randint(0, 5, rows, device=device)
    ignored = labels.masked_fill(torch.rand(rows, device=device) < 0.5, -100)
    targets: list[Tensor] = [labels, ignored, labels.clone().fill_(-100)]
    if kind == "probabilities":
        soft = torch.randn(shape, device=device).softmax(c).to(dtype)
        hard = torch.nn.functional.one_hot(labels, 5).movedim(-1, c).to(dtype)
        targets = [soft, hard, layouts(shape, dtype, device)["zero stride"].abs()]
    product = itertools.product(
        layouts(shape, dtype, device).values(),
        targets,
        weights,
        (0.0, 0.1, 1.0),
        ("none", "mean", "sum"),
        (-100, 1) if kind == "indices" else (-100,),
    )
    for x, target, w, smoothing, reduction, ignore_index in some(product, 101):  # a prime: no setting is left out
        if kind == "indices" and ignore_index == 1 and (target == -100).any():
            continue  # -100 is out of range then
        settings = {
            "weight": w, "label_smoothing": smoothing, "reduction": reduction, "ignore_index": ignore_index
        }  # fmt: skip
        args = (x.detach().requires_grad_(), target)
        compare(F.cross_entropy, torch.nn.functional.cross_entropy, args, settings)
