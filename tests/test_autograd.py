"""The chunked backend under autograd, transforms and the compiler, against torch's plain composition in float64."""

import copy
import threading
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as TF
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

import crossentropy.functional as F
from crossentropy import Options, _autograd
from crossentropy._backends.chunked import _memory

N, D, C = 11, 4, 7
# 2 kB hold a few rows: many chunks, and tiles of one row
CHUNKED = Options(backend="chunked", memory_budget=2_000)
Y = torch.tensor([0, 6, -100, 1, 2, 3, 4, 5, -100, 0, 1])
Loss = Callable[..., Tensor]


def dense(smoothing: float, reduction: str) -> tuple[Loss, Loss, tuple[Tensor, ...]]:
    """Ours and torch's loss of the same tensors."""
    settings = {"label_smoothing": smoothing, "reduction": reduction}

    def ours(x: Tensor, y: Tensor = Y, options: Options | None = CHUNKED) -> Tensor:
        return F.cross_entropy(x, y, options=options, **settings)

    def torchs(x: Tensor, y: Tensor = Y) -> Tensor:
        return TF.cross_entropy(x, y, **settings)

    return ours, torchs, (torch.randn(N, C, dtype=torch.float64),)


def linear(smoothing: float, reduction: str) -> tuple[Loss, Loss, tuple[Tensor, ...]]:
    settings = {"label_smoothing": smoothing, "reduction": reduction}

    def ours(h: Tensor, w: Tensor, y: Tensor = Y, options: Options | None = CHUNKED) -> Tensor:
        return F.linear_cross_entropy(h, w, y, options=options, **settings)

    def torchs(h: Tensor, w: Tensor, y: Tensor = Y) -> Tensor:
        return TF.cross_entropy(h @ w.T, y, **settings)

    return ours, torchs, (torch.randn(N, D, dtype=torch.float64), torch.randn(C, D, dtype=torch.float64))


FORMS = pytest.mark.parametrize("form", [dense, linear])
SMOOTHINGS = pytest.mark.parametrize("smoothing", [0.0, 0.1])
REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def leaves(tensors: tuple[Tensor, ...]) -> list[Tensor]:
    return [x.clone().requires_grad_() for x in tensors]


def upstream(loss: Tensor, seed: int) -> Tensor:
    return torch.randn(loss.shape, dtype=loss.dtype, generator=torch.Generator().manual_seed(seed))


def check_loss_and_gradients(ours: Loss, torchs: Loss, tensors: tuple[Tensor, ...]) -> None:
    results = []
    for function in (ours, torchs):
        inputs = leaves(tensors)
        loss = function(*inputs)
        results.append((loss, *torch.autograd.grad(loss, inputs, upstream(loss, 1))))
    torch.testing.assert_close(results[0], results[1])


@FORMS
@SMOOTHINGS
@REDUCTIONS
def test_losses_and_gradients(form: Callable, smoothing: float, reduction: str) -> None:
    ours, torchs, tensors = form(smoothing, reduction)
    check_loss_and_gradients(ours, torchs, tensors)


@FORMS
@SMOOTHINGS
@REDUCTIONS
def test_retained_graphs_and_several_upstreams(form: Callable, smoothing: float, reduction: str) -> None:
    ours, torchs, tensors = form(smoothing, reduction)
    results = []
    for function in (ours, torchs):
        inputs = leaves(tensors)
        loss = function(*inputs)
        first = torch.autograd.grad(loss, inputs, upstream(loss, 1), retain_graph=True)
        kept = [g.clone() for g in first]
        second = torch.autograd.grad(loss, inputs, upstream(loss, 2), retain_graph=True)
        torch.testing.assert_close(list(first), kept, rtol=0, atol=0)  # a later call changes no earlier result
        alone = [torch.autograd.grad(loss, x, upstream(loss, 3), retain_graph=True)[0] for x in inputs]
        loss.backward(upstream(loss, 4))
        results.append([*first, *second, *alone, *(x.grad for x in inputs)])
    torch.testing.assert_close(results[0], results[1])


@FORMS
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_backward_copies_no_gradient(form: Callable, scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _, tensors = form(0.0, "mean")
    made: list[int] = []

    def empty(*arguments):
        tensor = original(*arguments)
        made.append(tensor.data_ptr())
        return tensor

    original = _memory.empty
    monkeypatch.setattr(_memory, "empty", empty)
    inputs = leaves(tensors)
    (scale * ours(*inputs)).backward()
    for x in inputs:
        assert x.grad is not None
        assert x.grad.data_ptr() in made


@FORMS
@SMOOTHINGS
@REDUCTIONS
def test_gradient_penalties_and_hessians(form: Callable, smoothing: float, reduction: str) -> None:
    ours, torchs, tensors = form(smoothing, reduction)
    results = []
    for function in (ours, torchs):
        inputs = leaves(tensors)
        loss = function(*inputs)
        gradients = torch.autograd.grad(loss, inputs, upstream(loss, 1), create_graph=True)
        penalty = sum(g.square().sum() for g in gradients)
        (loss.sum() + penalty).backward()
        third = torch.autograd.functional.hessian(lambda *x, f=function: f(*x).square().sum(), tuple(tensors))
        results.append([*(x.grad for x in inputs), *(block for row in third for block in row)])
    torch.testing.assert_close(results[0], results[1])


@FORMS
@REDUCTIONS
def test_gradcheck_of_all_orders(form: Callable, reduction: str) -> None:
    ours, _, tensors = form(0.1, reduction)
    inputs = leaves(tensors)
    assert torch.autograd.gradcheck(ours, inputs, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(ours, inputs)


@FORMS
@SMOOTHINGS
def test_forward_mode(form: Callable, smoothing: float) -> None:
    ours, torchs, tensors = form(smoothing, "mean")
    tangents = tuple(torch.randn_like(x) for x in tensors)
    auto = lambda *x: ours(*x, options=None)  # noqa: E731
    torch.testing.assert_close(torch.func.jvp(auto, tensors, tangents), torch.func.jvp(torchs, tensors, tangents))
    with forward_ad.dual_level():
        values = [
            forward_ad.unpack_dual(f(*map(forward_ad.make_dual, tensors, tangents))).tangent for f in (auto, torchs)
        ]
    torch.testing.assert_close(*values)


@FORMS
@SMOOTHINGS
@pytest.mark.parametrize("transform", ["grad", "jacrev", "jacfwd", "hessian", "vjp of grad"])
def test_function_transforms(form: Callable, smoothing: float, transform: str) -> None:
    ours, torchs, tensors = form(smoothing, "none" if transform.startswith("jac") else "mean")
    auto = lambda *x: ours(*x, options=None)  # noqa: E731
    every = tuple(range(len(tensors)))

    def apply(f: Loss) -> object:
        if transform == "vjp of grad":
            gradients, pull = torch.func.vjp(torch.func.grad(f, argnums=every), *tensors)
            return gradients, pull(tuple(map(torch.ones_like, gradients)))
        return getattr(torch.func, transform)(f, argnums=every)(*tensors)

    torch.testing.assert_close(apply(auto), apply(torchs))


@FORMS
def test_one_level_of_grad_runs_the_chunks(form: Callable) -> None:
    ours, torchs, tensors = form(0.1, "mean")
    torch.testing.assert_close(torch.func.grad(ours)(*tensors), torch.func.grad(torchs)(*tensors))  # backend="chunked"


@FORMS
@SMOOTHINGS
@REDUCTIONS
def test_vmap_over_input_target_weight_and_of_grad(form: Callable, smoothing: float, reduction: str) -> None:
    ours, torchs, tensors = form(smoothing, reduction)
    auto = lambda *x: ours(*x, options=None)  # noqa: E731
    batched = [torch.stack([x, 2 * x, -x]) for x in tensors]
    targets = torch.stack([Y, Y.flip(0), Y.roll(3)])

    def check(f: Callable) -> None:
        for i in range(len(tensors)):
            dims = tuple(0 if j == i else None for j in range(len(tensors)))
            inputs = [batched[j] if j == i else x for j, x in enumerate(tensors)]
            actual, expected = (torch.func.vmap(f(g), in_dims=dims)(*inputs) for g in (auto, torchs))
            torch.testing.assert_close(actual, expected)
        actual = torch.func.vmap(lambda y: f(lambda *x: auto(*x, y))(*tensors))(targets)
        # one by one: torch 2.13 has no rule for smoothed losses of batched targets
        expected = torch.stack([f(lambda *x, y=y: torchs(*x, y))(*tensors) for y in targets])
        torch.testing.assert_close(actual, expected)

    check(lambda g: g)
    check(lambda g: torch.func.grad(lambda *x: g(*x).sum()))


@FORMS
@SMOOTHINGS
@REDUCTIONS
def test_compiled_in_one_graph(form: Callable, smoothing: float, reduction: str) -> None:
    torch.compiler.reset()
    ours, torchs, tensors = form(smoothing, reduction)
    compiled = torch.compile(
        lambda *x: ours(*x, options=Options(memory_budget=2_000)), fullgraph=True, backend="aot_eager"
    )
    check_loss_and_gradients(compiled, torchs, tensors)


@FORMS
def test_a_new_number_of_rows_compiles_nothing_anew(form: Callable) -> None:
    torch.compiler.reset()
    ours, torchs, tensors = form(0.1, "mean")
    counter, frames = CompileCounterWithBackend("aot_eager"), []
    compiled = torch.compile(lambda *x: ours(*x, options=None), fullgraph=True, dynamic=True, backend=counter)
    for n in (N, 5, 8):
        inputs, y = leaves((tensors[0][:n], *tensors[1:])), Y[:n].clone()
        expected = torch.autograd.grad(torchs(*inputs, y), inputs)
        torch.testing.assert_close(torch.autograd.grad(compiled(*inputs, y), inputs), expected)
        frames.append(counter.frame_count)
    assert frames[0] == frames[-1]


@FORMS
def test_the_compiler_sees_one_operator(form: Callable) -> None:
    torch.compiler.reset()
    ours, _, tensors = form(0.1, "mean")
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> Callable:
        graphs.append(graph)
        return graph.forward

    torch.compile(lambda *x: ours(*x, options=None), fullgraph=True, backend=backend)(*leaves(tensors))
    names = [str(node.target) for node in graphs[0].graph.nodes]
    assert sum("crossentropy.losses" in name for name in names) == 1
    assert not any("softmax" in name for name in names)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch hides it, from users
@pytest.mark.parametrize("kind", ["dense", "linear", "rows", "statistics", "divergence"])
def test_the_operator_by_torchs_own_checks(kind: str) -> None:
    calls: list[tuple] = []
    operator = torch.ops.crossentropy.losses.default
    x, h, w, b = (torch.randn(s, requires_grad=True) for s in ((N, C), (N, D), (C, D), (C,)))
    recorded = _Recorder(calls)
    losses: dict[str, Callable[[], object]] = {
        "dense": lambda: F.cross_entropy(x, Y, label_smoothing=0.1, softcap=3.0),
        "linear": lambda: F.linear_cross_entropy(h, w, Y, linear_bias=b, z_loss=0.1),
        "rows": lambda: F.linear_cross_entropy(h, w, Y, reduction="none", label_smoothing=0.1),
        "statistics": lambda: F.token_statistics(x, Y),
        "divergence": lambda: F.linear_kl_div(h, w, h.detach(), 2 * w.detach()),
    }
    with recorded:
        losses[kind]()
    assert calls
    for arguments in calls:
        torch.library.opcheck(operator, arguments)


class _Recorder:
    """Records the calls that would be made of the operator."""

    def __init__(self, calls: list[tuple]) -> None:
        self.calls, self.original = calls, _autograd._called

    def __enter__(self) -> None:
        def called(call, tensors, numbers=None):
            self.calls.append(_autograd.encoded(call, tensors, numbers))
            return self.original(call, tensors, numbers)

        _autograd._called = called

    def __exit__(self, *_: object) -> None:
        _autograd._called = self.original


@pytest.mark.parametrize("frozen", ["input", "head", "both"])
def test_frozen_tensors_cost_nothing(frozen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, torchs, tensors = linear(0.1, "mean")
    inputs = [x.clone().requires_grad_(frozen not in (name, "both")) for x, name in zip(tensors, ("input", "head"))]
    made: list[tuple[int, ...]] = []
    original = _memory.empty
    monkeypatch.setattr(_memory, "empty", lambda shape, *rest: made.append(shape) or original(shape, *rest))
    loss = ours(*inputs)
    torch.testing.assert_close(loss, torchs(*tensors), check_stride=False)
    assert ((C, 1, D) in made) == (frozen == "input")
    assert ((N, D) in made) == (frozen == "head")
    wanted = [x for x in inputs if x.requires_grad]
    assert loss.requires_grad == bool(wanted)
    if wanted:
        torch.testing.assert_close(torch.autograd.grad(loss, wanted), torch.autograd.grad(torchs(*inputs), wanted))


@FORMS
@REDUCTIONS
def test_checkpoints_of_both_kinds(form: Callable, reduction: str) -> None:
    ours, torchs, tensors = form(0.1, reduction)
    expected_inputs = leaves(tensors)
    expected = torch.autograd.grad(torchs(*expected_inputs).sum(), expected_inputs)
    for reentrant in (False, True):
        inputs = leaves(tensors)
        checkpoint(ours, *inputs, use_reentrant=reentrant).sum().backward()
        torch.testing.assert_close(tuple(x.grad for x in inputs), expected)


@FORMS
def test_threads_that_share_parameters(form: Callable) -> None:
    ours, torchs, tensors = form(0.1, "mean")
    inputs = leaves(tensors)
    expected_inputs = leaves(tensors)
    threads = [threading.Thread(target=lambda: ours(*inputs).backward()) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (4 * torchs(*expected_inputs)).backward()
    for x, y in zip(inputs, expected_inputs):
        torch.testing.assert_close(x.grad, y.grad)


@FORMS
@REDUCTIONS
def test_inference_mode_and_no_grad(form: Callable, reduction: str) -> None:
    ours, torchs, tensors = form(0.1, reduction)
    for mode in (torch.inference_mode(), torch.no_grad()):
        with mode:
            inputs = leaves(tensors)
            torch.testing.assert_close(ours(*inputs), torchs(*inputs), check_stride=False)


@FORMS
def test_hooks_and_copies_of_what_required_a_gradient(form: Callable) -> None:
    ours, torchs, tensors = form(0.0, "mean")
    inputs = leaves(tensors)
    seen: list[Tensor] = []
    inputs[0].register_hook(lambda g: seen.append(g.clone()) or 2 * g)
    ours(*inputs).backward()
    expected = torch.autograd.grad(torchs(*(again := leaves(tensors))), again)
    torch.testing.assert_close(seen[0], expected[0])
    assert inputs[0].grad is not None
    torch.testing.assert_close(inputs[0].grad, 2 * expected[0])
    copied = copy.deepcopy(inputs)
    torch.testing.assert_close(copied[0].grad, inputs[0].grad)


def test_what_is_not_supported_says_what_to_use() -> None:
    ours, _, tensors = dense(0.0, "mean")
    with pytest.raises(ValueError, match=r"forward-mode derivatives have rules for plain operators — use 'auto'"):
        torch.func.jvp(ours, tensors, tensors)
    with pytest.raises(ValueError, match=r"vmap has rules for plain operators — use 'auto'"):
        torch.func.vmap(ours)(torch.stack(tensors))


@FORMS
def test_gradients_are_no_part_of_the_graph(form: Callable) -> None:
    ours, _, tensors = form(0.0, "mean")
    inputs = leaves(tensors)
    loss = ours(*inputs)
    for retain in (True, False):
        assert not any(g.requires_grad for g in torch.autograd.grad(loss, inputs, retain_graph=retain))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


@FORMS
def test_logits_may_change_in_place_after_the_loss(form: Callable) -> None:
    ours, torchs, tensors = form(0.1, "mean")
    inputs, again = leaves(tensors), leaves(tensors)
    changed = [x * 1 for x in inputs]
    loss = ours(*changed)
    for x in changed:
        x.zero_()
    loss.backward()
    torch.testing.assert_close([x.grad for x in inputs], list(torch.autograd.grad(torchs(*again), again)))


def test_second_derivatives_of_token_weights_leave_out_what_is_not_finite() -> None:
    h = torch.randn(3, 2, dtype=torch.float64)
    h[1] = torch.nan
    results = []
    for backend in ("chunked", "reference"):
        hidden, w = h.clone().requires_grad_(), torch.ones(4, 2, dtype=torch.float64).mul_(0.3).requires_grad_()
        t = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
        y, options = torch.tensor([0, 1, 2]), Options(backend=backend)
        loss = F.linear_cross_entropy(hidden, w, y, token_weight=t, reduction="sum", options=options)
        (g,) = torch.autograd.grad(loss, t, create_graph=True)
        results.append(torch.autograd.grad(g.sum(), (hidden, w)))
    torch.testing.assert_close(*results)
    assert all(g.isfinite().all() for g in results[0])


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_traced_programs() -> None:
    x, h, w = torch.randn(N, C), torch.randn(N, D), torch.randn(C, D)
    for f, inputs in ((lambda a: F.cross_entropy(a, Y), (x,)), (lambda a, b: F.linear_cross_entropy(a, b, Y), (h, w))):
        torch.testing.assert_close(torch.jit.trace(f, inputs)(*inputs), f(*inputs))
