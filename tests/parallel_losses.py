"""Losses of DTensors, by two processes: each is that of one process, with its gradients, or an error that says why.

Each function is a case, which both processes run; `test_parallel.py` starts them and reads what became of each.
"""

import copy
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, loss_parallel, parallelize_module
from torch.utils._pytree import tree_leaves

import crossentropy
import crossentropy.functional as F
from crossentropy import nn
from crossentropy.lazy import LazyLogits

Case = Callable[[], None]
Tensors = dict[str, Tensor]
N, C, D = 5, 7, 4

AXES = {
    "z": "NC", "log_p": "NC", "p": "NC", "y": "N", "w": "C", "t": "N", "h": "ND", "head": "CD", "b": "C",
    "teacher": "ND", "teacher_head": "CD", "total": "",
}  # fmt: skip
"""The axes of each tensor: N rows, C classes, D features."""

FUNCTIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "cross_entropy": ("z y", lambda z, y: F.cross_entropy(z, y)),
    "cross_entropy, none": ("z y", lambda z, y: F.cross_entropy(z, y, reduction="none")),
    "cross_entropy, sum": ("z y", lambda z, y: F.cross_entropy(z, y, reduction="sum")),
    "cross_entropy, smoothing": ("z y w", lambda z, y, w: F.cross_entropy(z, y, w, label_smoothing=0.1)),
    "cross_entropy, probabilities": ("z p", lambda z, p: F.cross_entropy(z, p)),
    "cross_entropy, all": (
        "z y t total",
        lambda z, y, t, total: F.cross_entropy(
            z, y, token_weight=t, denominator=total, z_loss=0.1, softcap=3.0, logit_scale=0.5
        ),
    ),
    "nll_loss": ("log_p y", lambda log_p, y: F.nll_loss(log_p, y)),
    "nll_loss, weight": ("log_p y w", lambda log_p, y, w: F.nll_loss(log_p, y, w, reduction="none")),
    "nll_loss of log_softmax": ("z y", lambda z, y: F.nll_loss(F.log_softmax(z, 1), y)),
    "nll_loss of torch's log_softmax": ("z y", lambda z, y: F.nll_loss(z.log_softmax(1), y)),
    "linear_cross_entropy": ("h head y b", lambda h, head, y, b: F.linear_cross_entropy(h, head, y, linear_bias=b)),
    "linear_cross_entropy, probabilities": ("h head p", lambda h, head, p: F.linear_cross_entropy(h, head, p)),
    "kl_div, mean": ("log_p p", lambda log_p, p: F.kl_div(log_p, p)),
    "kl_div": ("log_p p", lambda log_p, p: F.kl_div(log_p, p, reduction="batchmean")),
    "kl_div of log_softmax": ("z p", lambda z, p: F.kl_div(F.log_softmax(z, 1), p, reduction="none")),
    "kl_div of torch's log_softmax": ("z p", lambda z, p: F.kl_div(z.log_softmax(1), p, reduction="sum")),
    "linear_kl_div": (
        "h head teacher teacher_head",
        lambda h, head, teacher, teacher_head: F.linear_kl_div(h, head, teacher, teacher_head, temperature=2.0),
    ),
    "token_statistics": ("z y", lambda z, y: F.token_statistics(z, y)),
    "token_statistics of a head": ("h head y", lambda h, head, y: F.token_statistics(h, y, linear_weight=head)),
    "log_softmax": ("z", lambda z: F.log_softmax(z, 1)),
    "softmax": ("z", lambda z: F.softmax(z, 1)),
    "CrossEntropyLoss": ("z y w", lambda z, y, w: nn.CrossEntropyLoss(w)(z, y)),
    "NLLLoss": ("log_p y", lambda log_p, y: nn.NLLLoss()(log_p, y)),
    "KLDivLoss": ("log_p p", lambda log_p, p: nn.KLDivLoss(reduction="batchmean")(log_p, p)),
    "LogSoftmax": ("z", lambda z: nn.LogSoftmax(1)(z)),
    "LazyLogits": ("h head y", lambda h, head, y: F.cross_entropy(LazyLogits(h, head), y)),
}
"""What is tried, and the tensors that it takes."""


def tensors(names: str) -> Tensors:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    every = {
        "z": normal(N, C), "log_p": normal(N, C).log_softmax(1), "p": normal(N, C).softmax(1),
        "y": torch.tensor([0, 6, -100, 5, 2]), "w": normal(C).exp(), "t": normal(N).exp(), "h": normal(N, D),
        "head": normal(C, D), "b": normal(C), "teacher": normal(N, D), "teacher_head": normal(C, D),
        "total": torch.tensor(5.0, dtype=torch.float64),
    }  # fmt: skip
    return {name: every[name] for name in names.split()}


GIVEN = ("y", "p", "w", "t", "total")
"""What has no gradient here."""


def outcome(function: Callable[..., Any], arguments: Tensors) -> tuple[list[Tensor], dict[str, Tensor]]:
    """The results, and the gradients of a sum of them in which no two numbers weigh the same."""
    leaves = {n: x.detach().requires_grad_() if n not in GIVEN else x for n, x in arguments.items()}
    results = [x for x in tree_leaves(function(**leaves)) if isinstance(x, Tensor)]
    weighed = []
    for x in results:
        if x.requires_grad:
            factor = torch.arange(1.0, x.numel() + 1, dtype=x.dtype).view(x.shape)
            weighed.append(
                (x * (spread(factor, x.device_mesh, Replicate()) if isinstance(x, DTensor) else factor)).sum()
            )
    total = weighed[0]
    for x in weighed[1:]:
        total = total + x
    total.backward()
    return [whole(x) for x in results], {n: whole(x.grad) for n, x in leaves.items() if x.grad is not None}


def spread(x: Tensor, mesh: Any, placement: Placement) -> Tensor:
    """The same on a mesh; as a partial sum, by a part from each process."""
    if isinstance(placement, Partial):
        return DTensor.from_local(x * (0.25 if dist.get_rank() else 0.75), mesh, [placement], run_check=False)
    return distribute_tensor(x, mesh, [placement])


def whole(x: Any) -> Tensor:
    return (x.full_tensor() if isinstance(x, DTensor) else x).detach()


def placed(arguments: Tensors, mesh: Any, how: str) -> Tensors:
    """Tensors on the mesh: cut along an axis, whole everywhere, or the first of them in parts to be added."""

    def one(name: str, x: Tensor) -> Tensor:
        if how == "P":
            return spread(x, mesh, Partial() if name == next(iter(arguments)) else Replicate())
        return spread(x, mesh, Shard(AXES[name].index(how)) if how in AXES[name] else Replicate())

    return {name: one(name, x) for name, x in arguments.items()}


REMEDIES = r"distribute_tensor\(|full_tensor\(\)|outside loss_parallel\(\)|linear_cross_entropy\("


def assert_right_or_refused(name: str, distributed: Tensors, arguments: Tensors) -> bool:
    """Whether the result is right; False where an error says what to do."""
    function = FUNCTIONS[name][1]
    expected, gradients = outcome(function, arguments)
    try:
        found, found_gradients = outcome(function, distributed)
    except (ValueError, TypeError) as error:
        ours = isinstance(error, RuntimeError) and re.search(REMEDIES, str(error))
        torchs = "torch's" in name and str(error).startswith("loss_parallel() ")  # which refuses it first
        if not ours and not torchs:
            raise
        return False
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, msg=lambda text: f"result: {text}")
    assert found_gradients.keys() == gradients.keys()
    for key in gradients:
        torch.testing.assert_close(found_gradients[key], gradients[key], msg=lambda text, key=key: f"{key}: {text}")
    return True


@contextmanager
def inside_loss_parallel() -> Iterator[None]:
    """That of torch, which stays switched on if an error leaves it."""
    failure = None
    with loss_parallel():
        try:
            yield
        except BaseException as error:
            failure = error
    if failure is not None:
        raise failure


def placements() -> Iterator[tuple[str, Case]]:
    for name in FUNCTIONS:
        for inside in (False, True):

            def case(name: str = name, inside: bool = inside) -> None:
                arguments = tensors(FUNCTIONS[name][0])
                mesh = dist.device_mesh.init_device_mesh("cpu", (2,))
                for how in "RNCDP":
                    distributed = placed(arguments, mesh, how)
                    with inside_loss_parallel() if inside else nullcontext():
                        right = assert_right_or_refused(name, distributed, arguments)
                    assert right or inside or name == "LazyLogits", f"{how} is refused"

            yield f"{name}{' in loss_parallel()' * inside}", case


def plain_beside_distributed() -> Iterator[tuple[str, Case]]:
    for name, (names, _) in FUNCTIONS.items():

        def case(name: str = name, names: str = names) -> None:
            arguments = tensors(names)
            mesh = dist.device_mesh.init_device_mesh("cpu", (2,))
            for alone in names.split():
                for how in "RNC":
                    distributed = placed(arguments, mesh, how)
                    right = assert_right_or_refused(name, {**distributed, alone: arguments[alone]}, arguments)
                    assert len(names.split()) == 1 or alone == "total" or not right, (alone, how)

        yield f"{name} with one plain tensor", case


# --- a part of the classes ----------------------------------------------------------------------------------------


class Language(torch.nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head = torch.nn.Embedding(classes, D), torch.nn.Linear(D, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embedding(tokens))


def parts_of_a_vocabulary() -> Iterator[tuple[str, Case]]:
    """Labels that all happen to be in the first part of the vocabulary: a number came out, of a softmax over a part."""
    labels = torch.tensor([[0, 1, 2], [3, 0, 1]])
    losses: dict[str, Callable[[Tensor], Any]] = {
        "of (N, C)": lambda z: F.cross_entropy(z.flatten(0, 1), labels.flatten()),
        "of (N, C), in chunks": lambda z: F.cross_entropy(z.flatten(0, 1), labels.flatten()),
        "with options": lambda z: F.cross_entropy(z.view(-1, z.shape[-1]).float(), labels.flatten(), z_loss=0.1),
        "of (N, C, T)": lambda z: F.cross_entropy(z.transpose(1, 2), labels),
        "permuted": lambda z: F.cross_entropy(z.permute(0, -1, 1), labels),
        "of some tokens": lambda z: F.cross_entropy(z[:, :-1].reshape(-1, z.shape[-1]) / 2, labels[:, 1:].flatten()),
        "chosen": lambda z: F.cross_entropy(z[labels >= 0], labels[labels >= 0]),
        "of log-probabilities": lambda z: F.nll_loss(z.log_softmax(-1).flatten(0, 1), labels.flatten()),
        "statistics": lambda z: F.token_statistics(z, labels),
        "module": lambda z: nn.CrossEntropyLoss()(z.flatten(0, 1), labels.flatten()),
    }
    for fused, (name, loss) in itertools.product((False, True), losses.items()):

        def case(fused: bool = fused, name: str = name, loss: Callable[[Tensor], Any] = loss) -> None:
            mesh = dist.device_mesh.init_device_mesh("cpu", (2,))
            single = Language(400_000 if "chunks" in name else 8)  # of which a part makes more than 2^20 logits
            model = crossentropy.fuse(copy.deepcopy(single)) if fused else single
            parallelize_module(model.head, mesh, ColwiseParallel())
            z = model(labels)
            assert z.shape[-1] == model.head.out_features // 2
            if fused:
                for found, expected in zip(tree_leaves(loss(z)), tree_leaves(loss(single(labels)))):
                    torch.testing.assert_close(found, expected)
                return
            with pytest.raises(ValueError, match=r"this process's part of .*output_layouts=Replicate\(\)"):
                loss(z)
            z.logsumexp(-1).sum().backward()  # what is not a loss is as it was

        yield f"part of a vocabulary, {name}{', fused' * fused}", case


def parts_that_are_whole() -> None:
    """Parts of the rows, gathered logits, and parts of what is not the class axis, are as good as any tensor."""
    mesh = dist.device_mesh.init_device_mesh("cpu", (2,))
    labels = torch.tensor([[0, 7, 2], [3, 0, 1]])
    model = Language(8)
    expected = F.cross_entropy(model(labels).flatten(0, 1), labels.flatten())
    parallelize_module(model.head, mesh, ColwiseParallel(output_layouts=Replicate()))
    torch.testing.assert_close(F.cross_entropy(model(labels).flatten(0, 1), labels.flatten()), expected)
    rows = distribute_tensor(torch.randn(2 * C, C), mesh, [Shard(0)]).requires_grad_()
    mine = rows.to_local()
    assert mine.shape == (C, C)  # as many rows as classes, all of which are here
    for z in (mine, mine.clone(), mine.view(C, C), mine.t().t()):
        F.cross_entropy(z, torch.arange(C)).backward()
    head = distribute_tensor(torch.randn(10, D), mesh, [Shard(0)]).requires_grad_()
    with pytest.raises(ValueError, match="linear_weight has 5 classes, which are this process's part of 10"):
        F.linear_cross_entropy(torch.randn(3, D), head.to_local(), torch.arange(3))
    with pytest.raises(ValueError, match="linear_weight has 5 classes, which are this process's part of 10"):
        F.cross_entropy(LazyLogits(torch.randn(3, D), head.to_local()), torch.arange(3))


def labels_of_other_parts() -> None:
    with pytest.raises(IndexError, match="sharded vocabulary"):
        F.cross_entropy(torch.randn(2, 4), torch.tensor([1, 6]))


CASES: dict[str, Case] = {
    **dict(placements()),
    **dict(plain_beside_distributed()),
    **dict(parts_of_a_vocabulary()),
    "parts that are whole": parts_that_are_whole,
    "labels of other parts": labels_of_other_parts,
}
