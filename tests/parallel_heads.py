"""Fused heads whose classes are spread over two processes, by torch's tensor parallelism.

Each function is a case, which both processes run; `test_parallel.py` starts them and reads what became of each.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as torch_functional
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

import crossentropy
import crossentropy.functional as F
from crossentropy import _torch
from crossentropy.lazy import explain
from crossentropy.lazy._tensor import observe
from parallel_losses import inside_loss_parallel
from parallel_training import Collectives

Case = Callable[[], None]
CLASSES, WIDTH, ROWS = 51, 8, 6  # the parts have 26 and 25 classes


class Language(nn.Module):
    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Linear(WIDTH, WIDTH, dtype=torch.float64)
        self.head = nn.Linear(WIDTH, CLASSES, bias=bias, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).tanh())


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, ROWS // 2, WIDTH, generator=generator, dtype=torch.float64)
    labels = torch.tensor([[0, 50, 25], [-100, 26, 7]])
    return x, labels


def whole(x: Any) -> Tensor:
    return (x.full_tensor() if isinstance(x, DTensor) else x).detach()


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: whole(p.grad) for name, p in model.named_parameters()}


def parallel(model: nn.Module, **style: Any) -> nn.Module:
    mesh = dist.device_mesh.init_device_mesh("cpu", (2,))
    return parallelize_module(model, mesh, {"head": ColwiseParallel(**style)})


probabilities = torch.randn(ROWS, CLASSES, generator=torch.Generator().manual_seed(2), dtype=torch.float64).softmax(1)
class_weight = probabilities[0] * CLASSES
token_weight = probabilities[:, 0] * CLASSES


def per_row(loss: Tensor) -> Tensor:
    """A sum of the losses of rows in which no two weigh the same."""
    loss = loss.to_local() if isinstance(loss, DTensor) else loss
    return (loss.flatten() * torch.arange(1.0, loss.numel() + 1, dtype=loss.dtype)).sum()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "torch's": lambda z, y: torch_functional.cross_entropy(z.flatten(0, 1), y.flatten()),
    "torch's class": lambda z, y: nn.CrossEntropyLoss(label_smoothing=0.1)(z.flatten(0, 1), y.flatten()),
    "ours": lambda z, y: F.cross_entropy(z.flatten(0, 1), y.flatten()),
    "our class": lambda z, y: crossentropy.nn.CrossEntropyLoss()(z.flatten(0, 1), y.flatten()),
    "with options": lambda z, y: F.cross_entropy(
        z.flatten(0, 1).float(), y.flatten(), class_weight, label_smoothing=0.1, z_loss=0.1,
        token_weight=token_weight, denominator=5.0, out_dtype=torch.float64,
    ),
    "capped and scaled": lambda z, y: torch_functional.cross_entropy(
        ((z * 0.5 / 3.0).tanh() * 3.0).flatten(0, 1), y.flatten(), class_weight, reduction="sum"
    ),
    "of (N, C, T)": lambda z, y: torch_functional.cross_entropy(z.transpose(1, 2), y),
    "of log-probabilities": lambda z, y: torch_functional.nll_loss(z.log_softmax(-1).flatten(0, 1), y.flatten()),
    "of next tokens": lambda z, y: F.cross_entropy(z[:, :-1].contiguous().flatten(0, 1), y[:, 1:].flatten()),
    "of chosen rows": lambda z, y: F.cross_entropy(z[y >= 0], y[y >= 0]),
    "of some rows": lambda z, y: F.cross_entropy(torch.cat([z[0], z[1, 1:]]), torch.cat([y[0], y[1, 1:]])),
    "of each row": lambda z, y: per_row(F.cross_entropy(z.flatten(0, 1), y.flatten(), reduction="none")),
    "log-probabilities": lambda z, y: per_row(F.token_statistics(z, y).log_prob),
    "entropy": lambda z, y: per_row(F.token_statistics(z).entropy),
}  # fmt: skip


def expected(loss: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    model = Language()
    value = loss(model(data()[0]), data()[1])
    value.backward()
    return value.detach(), gradients(model)


def losses() -> Iterator[tuple[str, Case]]:
    for local, inside, name in itertools.product((True, False), (False, True), LOSSES):

        def case(local: bool = local, inside: bool = inside, name: str = name) -> None:
            value, wanted = expected(LOSSES[name])
            model = parallel(crossentropy.fuse(Language()), use_local_output=local)
            x, labels = data()
            with inside_loss_parallel() if inside else nullcontext():
                z = model(x)
                assert z.shape[-1] == (CLASSES if not local else (26, 25)[dist.get_rank()])
                loss = LOSSES[name](z, labels)
                loss.backward()
            tolerance = 1e-6 if "options" in name else 1e-12  # in float32; in float64
            torch.testing.assert_close(whole(loss), value, rtol=tolerance, atol=tolerance)
            for key, gradient in gradients(model).items():
                torch.testing.assert_close(gradient, wanted[key], rtol=tolerance, atol=tolerance, msg=key)
            assert explain(z).events
            assert not explain(z).materialized

        kind = "local part" if local else "DTensor"
        yield f"ColwiseParallel {kind}, {name}{', in loss_parallel()' * inside}", case


def class_probabilities() -> None:
    x, _ = data()
    single = Language()
    F.cross_entropy(single(x).flatten(0, 1), probabilities).backward()
    mesh = dist.device_mesh.init_device_mesh("cpu", (2,))
    spread = distribute_tensor(probabilities, mesh, [Shard(1)])
    for local, target in ((True, spread.to_local()), (False, spread), (False, probabilities)):
        model = parallel(crossentropy.fuse(Language()), use_local_output=local)
        z = model(x)
        F.cross_entropy(z.flatten(0, 1), target).backward()
        assert not explain(z).materialized
        torch.testing.assert_close(gradients(model), gradients(single))


def distributed_labels() -> None:
    value, wanted = expected(LOSSES["torch's"])
    mesh = dist.device_mesh.init_device_mesh("cpu", (2,))
    for local, placement in itertools.product((True, False), (Replicate(), Shard(0))):
        model = parallel(crossentropy.fuse(Language()), use_local_output=local)
        z = model(data()[0])
        loss = torch_functional.cross_entropy(
            z.flatten(0, 1), distribute_tensor(data()[1].flatten(), mesh, [placement])
        )
        loss.backward()
        assert not explain(z).materialized
        torch.testing.assert_close(whole(loss), value)
        torch.testing.assert_close(gradients(model), wanted)


def everything_else() -> None:
    """What is no loss gives what torch gives, with its gradients, and its placements."""
    uses: list[Callable[[Any], Any]] = [
        lambda z: z.sigmoid(),
        lambda z: z.argmax(-1),
        lambda z: z.logsumexp(-1),
        lambda z: z.log_softmax(-1) * 2,
        lambda z: z.float().softmax(-1).max(-1).values,
        lambda z: z.flatten(0, 1)[2:4] + 1,
        lambda z: z[..., :20].exp(),
        lambda z: (z / 2).tanh().transpose(0, 1).mean(),
        lambda z: torch.cat([z, z], 0) - 1,
        lambda z: z.div_(2).exp() if isinstance(z, DTensor) or z.shape[-1] == CLASSES else z,
        lambda z: z.topk(3).values,
    ]  # fmt: skip
    for local, (number, use) in itertools.product((True, False), enumerate(uses)):
        if not _torch.DTENSORS_DIFFERENTIATE_TWICE and not local and number in (4, 10):
            continue  # before 2.13 torch has no gradient of the largest of a DTensor
        found = []
        for fuse in (crossentropy.unfuse, crossentropy.fuse):
            model = parallel(fuse(Language()), use_local_output=local)
            x = data()[0].requires_grad_()
            result = use(model(x))
            if result.requires_grad:
                (result * result).sum().backward()
            found.append((result, x.grad, [p.grad for p in model.parameters()]))
        (plain, *theirs), (fused, *ours) = found
        assert isinstance(plain, DTensor) == isinstance(fused, DTensor) == (not local), number
        if not local:
            assert plain.placements == fused.placements, number
        torch.testing.assert_close(whole(fused), whole(plain), msg=lambda text, number=number: f"{number}: {text}")
        for a, b in zip(torch.utils._pytree.tree_leaves(ours), torch.utils._pytree.tree_leaves(theirs), strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(whole(a), whole(b), msg=lambda text, number=number: f"{number}: {text}")


def as_dtensor() -> None:
    """Lazy logits that stand for a DTensor have its attributes."""
    fused, plain = (parallel(f(Language()), use_local_output=False) for f in (crossentropy.fuse, crossentropy.unfuse))
    z, x = fused(data()[0]), plain(data()[0])
    assert z.placements == x.placements == (Shard(2),)
    assert z.device_mesh == x.device_mesh
    assert z.transpose(1, 2).placements == (Shard(1),)
    assert z.shape == x.shape
    assert z.stride() == x.stride()
    torch.testing.assert_close(z.to_local() * 1, x.to_local())
    torch.testing.assert_close(z.full_tensor(), x.full_tensor())
    assert repr(z).partition(", dtype")[0] == repr(x).partition(", dtype")[0]
    for function in (Twice, Copied):
        for model in (fused, plain):
            model.zero_grad()
            found: Any = function.apply(model(data()[0]))
            torch.testing.assert_close(found.full_tensor(), x.full_tensor() * 2)
            (found * found).sum().backward()
        torch.testing.assert_close(gradients(fused), gradients(plain))
    gathered = fused(data()[0]).redistribute(placements=[Replicate()])
    torch.testing.assert_close(gathered.to_local(), x.full_tensor())


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return gradients[0] * 2


class Copied(torch.autograd.Function):
    """Twice, of what torch's operators see."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        with _torch.without_overrides():
            return x * 2

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return gradients[0] * 2


def gathered_logits() -> None:
    """`output_layouts=Replicate()`: the logits of all ranks are on each, which is not fused."""
    value, wanted = expected(LOSSES["torch's"])
    for local in (True, False):
        model = parallel(crossentropy.fuse(Language()), use_local_output=local, output_layouts=Replicate())
        with observe() as events:
            z = model(data()[0])
        assert "each rank has logits of other ranks" in events[0].operation
        labels = data()[1] if local else distribute_tensor(data()[1], z.device_mesh, [Replicate()])
        loss = LOSSES["torch's"](z, labels)
        loss.backward()
        torch.testing.assert_close(whole(loss), value)
        torch.testing.assert_close(gradients(model), wanted)


def sequence_parallel_input() -> None:
    """Hidden states of which each rank has some positions; their gradient comes back as these."""
    single = Language()
    x, labels = data()
    x = torch.cat([x, x[:, :1]], 1)  # four positions
    labels = torch.cat([labels, labels[:, :1]], 1)
    hidden = single.body(x).tanh().detach().requires_grad_()
    value = LOSSES["torch's"](single.head(hidden), labels)
    value.backward()
    mine = slice(2 * dist.get_rank(), 2 * dist.get_rank() + 2)
    for local in (True, False):
        model = parallel(crossentropy.fuse(Language()), input_layouts=Shard(1), use_local_output=local)
        part = hidden.detach()[:, mine].clone().requires_grad_()
        z = model.head(part)
        loss = LOSSES["torch's"](z, labels)
        loss.backward()
        assert not explain(z).materialized
        torch.testing.assert_close(whole(loss), value.detach())
        torch.testing.assert_close(part.grad, hidden.grad[:, mine])
        torch.testing.assert_close(whole(model.head.weight.grad), single.head.weight.grad)


def without_gradients() -> None:
    value, _ = expected(LOSSES["torch's"])
    for local in (True, False):
        model = parallel(crossentropy.fuse(Language()), use_local_output=local)
        with torch.no_grad():
            z = model(data()[0])
            torch.testing.assert_close(whole(LOSSES["torch's"](z, data()[1])), value)
        assert not explain(z).materialized


def under_autocast() -> None:
    """As one process under autocast; sums of bfloat16 in another order differ by some 2^-8."""
    x, labels = data()
    single = Language().float()
    with torch.autocast("cpu", torch.bfloat16):
        value = LOSSES["torch's"](single(x.float()), labels)
    value.backward()
    for local in (True, False):
        model = parallel(crossentropy.fuse(Language().float()), use_local_output=local)
        with torch.autocast("cpu", torch.bfloat16):
            z = model(x.float())
            loss = LOSSES["torch's"](z, labels)
        loss.backward()
        assert not explain(z).materialized
        assert (z.dtype, loss.dtype) == (torch.bfloat16, value.dtype)
        torch.testing.assert_close(whole(loss), value.detach(), rtol=2**-6, atol=0)
        for name, gradient in gradients(model).items():
            wanted = gradients(single)[name]
            assert float((gradient - wanted).norm() / wanted.norm()) < 2**-5, name


def compiled() -> None:
    value, wanted = expected(LOSSES["torch's"])
    for local in (True, False):
        torch.compiler.reset()
        model = parallel(crossentropy.fuse(Language()), use_local_output=local)
        z = torch.compile(model, backend="aot_eager")(data()[0])
        loss = LOSSES["torch's"](z, data()[1])
        loss.backward()
        assert not explain(z).materialized
        torch.testing.assert_close(whole(loss), value)
        torch.testing.assert_close(gradients(model), wanted)


def changed_head() -> None:
    """Logits are not those of a head that an optimizer has changed, with any of torch's ways to step."""
    for settings in ({"foreach": True}, {"foreach": False}, {"fused": True}):
        model = parallel(crossentropy.fuse(Language()))
        optimizer = torch.optim.AdamW(model.head.parameters(), 0.1, **settings)
        z = model(data()[0])
        LOSSES["torch's"](z, data()[1]).backward()
        z.argmax(-1)  # before the step; they are computed
        later = model(data()[0])
        optimizer.step()
        with pytest.raises(RuntimeError, match="optimizer's step"):
            LOSSES["torch's"](later, data()[1])


def refused() -> None:
    """A part of a part of the classes is none that a loss can be of."""
    model = parallel(crossentropy.fuse(Language()))
    with pytest.raises(ValueError, match="this process's part of 51"):
        F.cross_entropy(model(data()[0])[..., :20].flatten(0, 1), data()[1].flatten().clamp(0, 19))
    with pytest.raises(IndexError, match="target"):
        F.cross_entropy(model(data()[0]).flatten(0, 1), data()[1].flatten() + 1)
    LOSSES["ours"](model(data()[0]), data()[1])


def few_collectives() -> None:
    """Statistics of the rows are sent, and the gradient of the hidden states, once; nothing as large as the logits."""
    for local, sequence in itertools.product((True, False), (True, False)):
        style = {"input_layouts": Shard(1)} if sequence else {}
        model: Any = parallel(crossentropy.fuse(Language()), use_local_output=local, **style)
        hidden = data()[0][:, :1].clone().requires_grad_()
        labels = data()[1][:, : 2 if sequence else 1]
        with Collectives() as calls:
            LOSSES["torch's"](model.head(hidden), labels).backward()
        assert hidden.grad is not None
        assert bool((hidden.grad != 0).any())
        of_hidden_states = ["all_gather_into_tensor", "reduce_scatter_tensor"] if sequence else ["all_reduce"]
        assert calls.counts == {"_allgather_base_": 1, **dict.fromkeys(of_hidden_states, 1)}, calls.counts


CASES: dict[str, Case] = {
    **dict(losses()),
    "ColwiseParallel class probabilities": class_probabilities,
    "ColwiseParallel labels that are DTensors": distributed_labels,
    "ColwiseParallel everything else": everything_else,
    "ColwiseParallel as a DTensor": as_dtensor,
    "ColwiseParallel gathered": gathered_logits,
    "ColwiseParallel sequence": sequence_parallel_input,
    "ColwiseParallel without gradients": without_gradients,
    "ColwiseParallel under autocast": under_autocast,
    "ColwiseParallel compiled": compiled,
    "ColwiseParallel changed head": changed_head,
    "ColwiseParallel refused": refused,
    "ColwiseParallel few collectives": few_collectives,
}
