"""Fused models trained by two processes: parameters after some steps are those of one process with both halves.

Each function is a case, which both processes run; `test_parallel.py` starts them and reads what became of each.
"""

import copy
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as torch_functional
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.distributed.fsdp import FullyShardedDataParallel, MixedPrecisionPolicy, fully_shard
from torch.distributed.pipelining import (
    PipelineStage,
    Schedule1F1B,
    ScheduleGPipe,
    ScheduleInterleavedZeroBubble,
)
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import set_checkpoint_early_stop

import crossentropy
from crossentropy import _torch
from crossentropy.lazy import Event
from crossentropy.lazy._tensor import observe
from sampling import some

CLASSES, WIDTH, STEPS, RANKS = 50, 8, 3, 2
Case = Callable[[], None]


class Model(nn.Module):
    """A language model in small."""

    def __init__(self, *, tied: bool = False, loss_inside: bool = False, classes: int = CLASSES) -> None:
        super().__init__()
        self.loss_inside = loss_inside
        self.embedding = nn.Embedding(classes, WIDTH)
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()) for _ in range(2))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, classes, bias=not tied)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, labels: Tensor | None = None) -> Any:
        x = self.embedding(tokens)
        for layer in self.layers:
            x = x + layer(x)
        logits = self.head(self.norm(x))
        if not self.loss_inside:
            return logits
        assert labels is not None
        return {"loss": loss_of(logits, labels), "logits": logits}


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    return torch_functional.cross_entropy(logits.flatten(0, -2), labels.flatten())


def make(dtype: torch.dtype = torch.float64, **settings: Any) -> Model:
    torch.manual_seed(0)
    return Model(**settings).to(dtype)


def batches() -> list[tuple[Tensor, Tensor]]:
    """Tokens and labels of each step, for all processes."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(CLASSES, (2, 4, 5), generator=generator).unbind() for _ in range(STEPS)]  # pyright: ignore[reportReturnType]


def mine(x: Tensor) -> Tensor:
    return x.chunk(RANKS)[dist.get_rank()]


def train(model: nn.Module, *, halves: bool, accumulate: Callable[[bool], Any] | None = None) -> list[Event]:
    """Train on this process's half, or on all; by halves of that, if gradients are accumulated."""
    optimizer = torch.optim.SGD(model.parameters(), 0.5, momentum=0.9)
    with observe() as events:
        for tokens, labels in batches():
            tokens, labels = (mine(x) if halves else x for x in (tokens, labels))
            pieces = 1 if accumulate is None else 2
            for i, piece in enumerate(zip(tokens.chunk(pieces), labels.chunk(pieces))):
                if accumulate is not None:
                    with accumulate(i == pieces - 1):
                        (_loss(model, *piece) / pieces).backward()
                else:
                    _loss(model, *piece).backward()
            optimizer.step()
            optimizer.zero_grad()
    return list(events)


def _loss(model: nn.Module, tokens: Tensor, labels: Tensor) -> Tensor:
    inside = any(getattr(module, "loss_inside", False) for module in model.modules())
    output = model(tokens, labels) if inside else model(tokens)
    return output["loss"] if inside else loss_of(output, labels)


def whole(x: Tensor) -> Tensor:
    return (x.full_tensor() if isinstance(x, DTensor) else x).detach()


def assert_same_parameters(model: nn.Module, expected: nn.Module, tolerance: float) -> None:
    """Compare what training moved, relative to how far it moved."""
    start = dict(make(tied=expected.head.weight is expected.embedding.weight).named_parameters())
    found = {name.removeprefix("module.").replace("_orig_mod.", ""): whole(p) for name, p in model.named_parameters()}
    for name, p in expected.named_parameters():
        moved, wanted = found[name].double() - start[name], p.detach().double() - start[name]
        assert wanted.norm() > 0.01, name
        difference = float((moved - wanted).norm() / wanted.norm())
        assert difference <= tolerance, f"{name} moved otherwise: {difference:.1e} of the way"


class Collectives(TorchDispatchMode):
    """Counts what is sent. (Torch's CommDebugMode hangs hooks on modules, for which their logits are computed.)"""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(issubclass(x, (DTensor, crossentropy.LazyLogits)) for x in types):
            return NotImplemented  # these come again as what they do
        if func.namespace in ("c10d", "_c10d_functional") and not any(word in func.name() for word in ("wait", "wrap")):
            self.counts[func.name().rpartition("::")[2]] += 1
        return func(*args, **(kwargs or {}))


def assert_fused(events: list[Event]) -> None:
    assert events
    assert all(event.fused for event in events), events


ROUNDING = 1e-10
"""Float64 rounds by 1e-16; the sums of three steps have less than 1e3 terms, and no condition of more than 1e3."""


@functools.cache
def one_process(**settings: Any) -> Model:
    model = make(**settings)
    train(model, halves=False)
    return model


# --- FSDP ---------------------------------------------------------------------------------------------------------


def shard(model: Model, units: str, *, of_root: dict[str, Any] | None = None, **settings: Any) -> Model:
    """Wrap the root, and what else `units` says, each by itself."""
    mesh = dist.device_mesh.init_device_mesh("cpu", (RANKS,))
    parts: dict[str, list[Any]] = {
        "root": [],
        "layers": list(model.layers),
        "head": [model.head],
        "norm and head": [*model.layers, [model.norm, model.head]],
    }
    for part in parts[units]:
        fully_shard(part, mesh=mesh, **settings)
    return fully_shard(model, mesh=mesh, **{**settings, **(of_root or {})})


def fsdp(units: str, fuse_first: bool, tied: bool, inside: bool, **settings: Any) -> tuple[Model, list[Event]]:
    model = make(tied=tied, loss_inside=inside)
    for step in (crossentropy.fuse, lambda m: shard(m, units, **settings))[:: 1 if fuse_first else -1]:
        step(model)
    return model, train(model, halves=True)


def fully_sharded() -> Iterator[tuple[str, Case]]:
    for units, reshard, fuse_first, tied, inside in itertools.product(
        ("root", "layers", "head", "norm and head"), (None, True, False), (True, False), (False, True), (False, True)
    ):
        if tied and units in ("head", "norm and head"):
            continue  # FSDP refuses a parameter of two groups

        def case(units=units, reshard=reshard, fuse_first=fuse_first, tied=tied, inside=inside) -> None:
            settings = {} if reshard is None else {"reshard_after_forward": reshard}
            model, events = fsdp(units, fuse_first, tied, inside, **settings)
            assert_same_parameters(model, one_process(tied=tied, loss_inside=inside), ROUNDING)
            assert_fused(events)

        order = "fuse, shard" if fuse_first else "shard, fuse"
        yield f"FSDP {units}, reshard {reshard}, {order}{', tied' * tied}{', loss inside' * inside}", case


def mixed_precision() -> None:
    """Beside the same without `fuse`: each number on the way of a gradient is rounded by 2^−9, some ten times."""
    cases = [(units, tied, output) for units in UNITS for tied in (False, True) for output in (torch.float32, None)]
    for units, tied, output in cases:
        if tied and "head" in units:
            continue
        policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32)
        settings = {"mp_policy": policy, "reshard_after_forward": output is None}
        of_root = {"mp_policy": replace(policy, output_dtype=output)}
        models = [make(torch.float32, tied=tied) for _ in range(2)]
        crossentropy.fuse(models[1])
        events = [train(shard(model, units, of_root=of_root, **settings), halves=True) for model in models]
        plain = make(torch.float32, tied=tied)
        plain.load_state_dict({name: whole(x) for name, x in models[0].state_dict().items()})
        assert_same_parameters(models[1], plain, 2**-5)
        assert_fused(events[1])


def compiled() -> None:
    for units in some(UNITS, 2):
        torch.compiler.reset()
        model = shard(crossentropy.fuse(make()), units, reshard_after_forward=units != "layers")
        events = train(torch.compile(model, backend="eager"), halves=True)  # pyright: ignore[reportArgumentType]
        assert_same_parameters(model, one_process(), ROUNDING)
        assert_fused(events)


def fully_sharded_accumulation() -> None:
    """Gradients that are reduced with the last piece only, or with each; FSDP told which is the last, or not."""
    settings: list[Callable[[Any, bool], object]] = [
        lambda model, last: model.set_requires_gradient_sync(last),
        lambda model, last: model.set_is_last_backward(last),
        lambda model, last: model.set_reshard_after_backward(last),
        lambda model, last: None,
    ]
    for units, setting in itertools.product(UNITS, settings):
        model = shard(crossentropy.fuse(make()), units, reshard_after_forward=True)

        def accumulate(last: bool, model: Model = model, setting: Callable[[Any, bool], object] = setting) -> Any:
            setting(model, last)
            return nullcontext()

        events = train(model, halves=True, accumulate=accumulate)
        assert_same_parameters(model, one_process(), ROUNDING)
        assert_fused(events)


UNITS = ("root", "layers", "head", "norm and head")


def several_forward_passes() -> None:
    """One backward pass of two losses: of passes one after the other, or of which each has its loss at once."""
    for units, at_once in itertools.product(UNITS, (False, True)):
        model = shard(crossentropy.fuse(make()), units, reshard_after_forward=True)
        optimizer = torch.optim.SGD(model.parameters(), 0.5, momentum=0.9)
        with observe() as events:
            for tokens, labels in batches():
                pieces = list(zip(mine(tokens).chunk(2), mine(labels).chunk(2)))
                if at_once:
                    losses = [loss_of(model(x), y) for x, y in pieces]
                else:
                    outputs = [model(x) for x, _ in pieces]
                    losses = [loss_of(z, y) for z, (_, y) in zip(outputs, pieces)]
                (sum(losses) / 2).backward()
                optimizer.step()
                optimizer.zero_grad()
        assert_same_parameters(model, one_process(), ROUNDING)
        assert_fused(events)


def checkpointed() -> None:
    """Layers, or norm and head, whose forward pass is run again in the backward pass."""
    for units, inside, early in itertools.product(UNITS, (False, True), (False, True)):
        model = make(loss_inside=inside)
        for module in [*model.layers, model.norm, model.head]:
            checkpoint_wrapper(module)
        model = shard(crossentropy.fuse(model), units, reshard_after_forward=True)
        with set_checkpoint_early_stop(early):
            events = train(model, halves=True)
        found = {name.replace("_checkpoint_wrapped_module.", ""): p for name, p in model.named_parameters()}
        plain = make()
        plain.load_state_dict({name: whole(p) for name, p in found.items()})
        assert_same_parameters(plain, one_process(), ROUNDING)
        assert_fused(events)


def one_half_frozen() -> None:
    """A head that is trained alone, and all but the head."""
    for frozen, units in itertools.product(("head", "body"), UNITS):

        def freeze(model: Model, frozen: str = frozen) -> Model:
            for name, p in model.named_parameters():
                p.requires_grad_(name.startswith("head") != (frozen == "head"))
            return model

        expected, model = freeze(make()), crossentropy.fuse(freeze(make()))
        train(expected, halves=False)
        assert_fused(train(shard(model, units, reshard_after_forward=True), halves=True))
        for (name, a), (_, b) in zip(model.named_parameters(), expected.named_parameters()):
            torch.testing.assert_close(whole(a), b.detach(), rtol=ROUNDING, atol=ROUNDING, msg=name)


def large_vocabulary() -> None:
    """A loss in chunks, with gradients in the forward pass, or after it, when the head's weight is needed again."""
    for units, dtype in itertools.product(UNITS, (torch.float32, torch.float16)):
        models = [make(torch.float32, classes=70_000) for _ in range(2)]
        crossentropy.fuse(models[1])
        policy = MixedPrecisionPolicy(dtype, torch.float32)
        for model in models:
            shard(model, units, reshard_after_forward=True, mp_policy=policy)
            with observe() as events:
                (loss_of(model(mine(batches()[0][0])), mine(batches()[0][1])) * 1024).backward()
            assert bool(events) == (model is models[1])
            assert all(event.fused for event in events)
        # of the norm, a sum of thousands of products rounds by some 2^-11 of it in float16, of 2^-24 in float32
        tolerance = 2.0**-7 if dtype is torch.float16 else 2.0**-18
        for (name, a), (_, b) in zip(models[1].named_parameters(), models[0].named_parameters()):
            assert a.grad is not None, name
            assert b.grad is not None, name
            assert float((whole(a.grad) - whole(b.grad)).norm() / whole(b.grad).norm()) < tolerance, name


def same_communication() -> None:
    """A fused model gathers and reduces as often as FSDP does without it."""
    for units, reshard in itertools.product(UNITS, (None, True, False)):
        counts = []
        for fuse in (crossentropy.unfuse, crossentropy.fuse):
            model = shard(fuse(make()), units, reshard_after_forward=reshard)
            train(model, halves=True)
            with Collectives() as calls, observe() as events:
                loss_of(model(mine(batches()[0][0])), mine(batches()[0][1])).backward()
            assert [event.fused for event in events] == [True] * (fuse is crossentropy.fuse)
            counts.append(calls.counts)
        assert counts[0] == counts[1], (units, reshard, counts)
        assert sum(counts[0].values()) > 1


def no_backward_pass() -> None:
    """Weights that were kept for a backward pass that does not come are not those of the next forward pass."""
    for units in UNITS:
        model = shard(crossentropy.fuse(make()), units, reshard_after_forward=True)
        optimizer = torch.optim.SGD(model.parameters(), 0.5, momentum=0.9)
        for tokens, labels in batches():
            loss_of(model(mine(tokens)), mine(labels)).backward()
            unused = model(mine(labels))  # what it keeps is older than the step
            optimizer.step()
            optimizer.zero_grad()
            with pytest.raises(RuntimeError, match="optimizer's step"):
                unused.argmax(-1)
        assert_same_parameters(model, one_process(), ROUNDING)


def looked_at_by_one() -> None:
    """What one process does with logits needs none of the others, before the backward pass."""
    for units, reshard in itertools.product(UNITS, (None, True)):
        model = shard(crossentropy.fuse(make()), units, reshard_after_forward=reshard)
        expected = make()(mine(batches()[0][0]))
        logits = model(mine(batches()[0][0]))
        if dist.get_rank():
            torch.testing.assert_close(logits.argmax(-1), expected.argmax(-1))
            torch.testing.assert_close(logits.sigmoid(), expected.sigmoid())
        loss_of(logits, mine(batches()[0][1])).backward()


def unknown_names() -> None:
    """A torch of which it is not known what FSDP wraps, or gathers: logits are computed where weights may be freed."""
    for name, units, reshard in itertools.product(("sharded_modules", "gathered_from"), UNITS, (None, True)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_torch, name, lambda *_: None)
            model = shard(crossentropy.fuse(make()), units, reshard_after_forward=reshard)
            events = train(model, halves=True)
        assert_same_parameters(model, one_process(), ROUNDING)
        frees = reshard or "head" in units
        assert len(events) == (0 if name == "sharded_modules" else STEPS)
        assert all(event.fused != frees for event in events), events


def logits_looked_at() -> None:
    """A loss that needs the logits trains as well as one that does not; so does one of logits that were copied."""
    for change in (lambda z: z.sigmoid() * 8, lambda z: z.float().double()[:, :], lambda z: z * torch.ones(CLASSES)):
        expected = make()
        _steps(expected, change, halves=False)
        for units, settings in itertools.product(UNITS, ({}, {"reshard_after_forward": True})):
            model = shard(crossentropy.fuse(make()), units, **settings)
            _steps(model, change, halves=True)
            assert_same_parameters(model, expected, ROUNDING if change(torch.ones(1, 1, CLASSES)).max() > 7 else 1e-5)


def _steps(model: nn.Module, change: Callable[[Tensor], Tensor], *, halves: bool) -> None:
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    for tokens, labels in batches():
        tokens, labels = (mine(x) if halves else x for x in (tokens, labels))
        loss_of(change(model(tokens)), labels).backward()
        optimizer.step()
        optimizer.zero_grad()


def evaluation() -> None:
    expected = make()
    tokens, labels = batches()[0]
    for units, reshard in itertools.product(UNITS, (True, False)):
        model = shard(crossentropy.fuse(make()), units, reshard_after_forward=reshard)
        with torch.no_grad():
            logits = model(tokens)
            torch.testing.assert_close(loss_of(logits, labels), loss_of(expected(tokens), labels))
            torch.testing.assert_close(logits * 1, expected(tokens))
        events = crossentropy.lazy.explain(logits).events
        why = "without a backward pass" in events[0].operation
        assert why == reshard, events
        assert type(model.head.weight) is (nn.Parameter if not reshard else DTensor)


def first_fsdp() -> None:
    model = FullyShardedDataParallel(crossentropy.fuse(make()), use_orig_params=True, device_id=torch.device("cpu"))
    events = train(model, halves=True)
    assert all(event.fused for event in events)
    with FullyShardedDataParallel.summon_full_params(model):
        names = {name.replace("_fsdp_wrapped_module.", ""): p for name, p in model.named_parameters()}
        full = make()
        full.load_state_dict({name: p.detach().clone() for name, p in names.items()})
    assert_same_parameters(full, one_process(), ROUNDING)


# --- DistributedDataParallel --------------------------------------------------------------------------------------


def data_parallel() -> Iterator[tuple[str, Case]]:
    for settings, inside in itertools.product(
        ({}, {"static_graph": True}, {"find_unused_parameters": True}, {"gradient_as_bucket_view": True}), (False, True)
    ):

        def case(settings=settings, inside=inside) -> None:
            for no_sync in (False, True):
                model = make(loss_inside=inside)
                parallel = DistributedDataParallel(crossentropy.fuse(model), **settings)

                def synchronised(last: bool, parallel: DistributedDataParallel = parallel) -> Any:
                    return torch.enable_grad() if last else parallel.no_sync()

                if no_sync and settings.get("static_graph"):
                    continue  # torch's static graph cannot begin with no_sync
                events = train(parallel, halves=True, accumulate=synchronised if no_sync else None)
                assert_same_parameters(model, one_process(loss_inside=inside), ROUNDING)
                assert events
                assert all(event.fused for event in events), events

        yield f"DDP {settings}{', loss inside' * inside}", case


# --- pipelines ----------------------------------------------------------------------------------------------------


class First(nn.Module):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.embedding, self.layer = model.embedding, model.layers[0]

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        return x + self.layer(x)


class Last(nn.Module):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.layer, self.norm, self.head = model.layers[1], model.norm, model.head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x + self.layer(x)))


class Between(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 1


def pipelines() -> Iterator[tuple[str, Case]]:
    for schedule in (ScheduleGPipe, Schedule1F1B, ScheduleInterleavedZeroBubble):

        def case(schedule: Any = schedule) -> None:
            model, expected = crossentropy.fuse(make()), one_process()
            parts: list[nn.Module] = [First(model), Last(model)]
            if schedule is ScheduleInterleavedZeroBubble:
                parts = [First(model), Between(), Between(), Last(model)]
            device, rank = torch.device("cpu"), dist.get_rank()
            numbers = range(rank, len(parts), RANKS)
            stages = [PipelineStage(parts[i], i, len(parts), device) for i in numbers]
            several = len(parts) > RANKS
            run = schedule(stages if several else stages[0], n_microbatches=4, loss_fn=loss_of)
            optimizer = torch.optim.SGD(model.parameters(), 0.5, momentum=0.9)
            with observe() as events:
                for tokens, labels in batches():
                    last = rank == RANKS - 1
                    run.step(*(() if rank else (tokens,)), **({"target": labels} if last else {}))
                    optimizer.step()
                    optimizer.zero_grad()
            assert all(event.fused for event in events), events
            assert bool(events) == (rank == RANKS - 1)
            mine = {name for i in numbers for name in _names(model, parts[i])}
            other = copy.deepcopy(expected)
            other.load_state_dict({n: x for n, x in model.state_dict().items() if n in mine}, strict=False)
            assert_same_parameters(other, expected, ROUNDING)

        yield f"pipeline {schedule.__name__}", case


def _names(model: nn.Module, part: nn.Module) -> list[str]:
    own = {id(p) for p in part.parameters()}
    return [name for name, p in model.named_parameters() if id(p) in own]


CASES: dict[str, Case] = {
    **dict(fully_sharded()),
    "FSDP mixed precision": mixed_precision,
    "FSDP compiled": compiled,
    "FSDP accumulation": fully_sharded_accumulation,
    "FSDP several forward passes": several_forward_passes,
    "FSDP checkpointed": checkpointed,
    "FSDP one half frozen": one_half_frozen,
    "FSDP large vocabulary": large_vocabulary,
    "FSDP same communication": same_communication,
    "FSDP no backward pass": no_backward_pass,
    "FSDP looked at by one process": looked_at_by_one,
    "FSDP unknown names": unknown_names,
    "FSDP logits looked at": logits_looked_at,
    "FSDP evaluation": evaluation,
    "FSDP of old": first_fsdp,
    **dict(data_parallel()),
    **dict(pipelines()),
}
