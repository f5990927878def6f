"""Every message about an argument is given to somebody: each place that raises or warns is reached by a call here."""

import ast
import contextlib
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Normal, TransformedDistribution, Wishart
from torch.distributions.transforms import AbsTransform

import crossentropy
import crossentropy.distributed as D
import crossentropy.functional as F
import messages_of_families as families
from crossentropy import Options, continuous, doctor, explain, information, nn
from crossentropy._ranks import _agreement

PACKAGE = Path(crossentropy.__file__).parent
INF, NAN = math.inf, math.nan

X, Y = torch.zeros(4, 5), torch.tensor([0, 1, 2, 3])
H, W = torch.ones(4, 3), torch.zeros(5, 3)
P = torch.full((4, 5), 0.2)
LOG_P = P.log()
NONE = torch.full((4,), -100)


def put(x: Tensor, *places: tuple[int, ...], value: float) -> Tensor:
    """A copy with another value in some places."""
    x = x.clone()
    for place in places:
        x[place] = value
    return x


class Head(torch.nn.Module):
    """A model whose head has a name that nobody knows, beside another."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.one, self.two = torch.nn.Linear(3, 3), torch.nn.Linear(3, 5, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x)) * 1


def spread(call: Callable[..., object]) -> Callable[[], object]:
    """A call with a function that cuts a tensor in two along an axis, between processes of which one is here."""

    def run() -> object:
        import torch.distributed as dist
        from torch.distributed.tensor import Shard, distribute_tensor
        from torch.testing._internal.distributed.fake_pg import FakeStore

        def cut(x: Tensor, axis: int, name: str | None = None) -> Tensor:
            mesh = dist.device_mesh.init_device_mesh("cpu", (2,), mesh_dim_names=name and (name,))
            return distribute_tensor(x, mesh, [Shard(axis)])

        dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
        try:
            return call(cut)
        finally:
            dist.destroy_process_group()

    return run


def ranks(call: Callable[[], object]) -> Callable[[], object]:
    """A call in a group of two processes of which one is here, and whose messages are echoes of its own."""

    def run() -> object:
        import torch.distributed as dist
        from torch.testing._internal.distributed.fake_pg import FakeStore

        dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
        try:
            return call()
        finally:
            dist.destroy_process_group()

    return run


def mesh(shape: tuple[int, ...], names: tuple[str, ...]) -> object:
    """A mesh of processes."""
    return torch.distributed.device_mesh.init_device_mesh("cpu", shape, mesh_dim_names=names)


def in_loss_parallel(call: Callable[[], object]) -> None:
    """Call inside torch's loss_parallel, which an error must not leave."""
    from torch.distributed.tensor.parallel import loss_parallel

    failure = None
    with loss_parallel():
        try:
            call()
        except crossentropy.ArgumentError as error:
            failure = error
    if failure is not None:
        raise failure


# message: call
ARGUMENTS: dict[str, Callable[[], object]] = {
    # tensors that are spread over processes
    "input is a plain tensor beside linear_weight, a DTensor: is it the whole, or this process's part?": spread(
        lambda cut: F.linear_cross_entropy(H, cut(W, 0), Y)
    ),
    "input is a plain tensor beside target, a DTensor": spread(lambda cut: F.cross_entropy(X, cut(Y, 0))),
    "target is a plain tensor of shape (1,) beside input, a DTensor: expected the whole, (4,) or (4, 5); for a part, "
    "DTensor.from_local(target, input.device_mesh, [Shard(0)])": spread(lambda cut: F.cross_entropy(cut(X, 0), Y[:1])),
    "class weights that require gradients need every log-probability — cut the rows instead": spread(
        lambda cut: F.cross_entropy(cut(X, 1), Y, torch.ones(5, requires_grad=True))
    ),
    "use distribute_tensor(linear_weight, input.device_mesh, [Replicate()])": spread(
        lambda cut: F.linear_cross_entropy(cut(H, 0), W, cut(Y, 0))
    ),
    "move it with distribute_tensor(target.full_tensor(), input.device_mesh": spread(
        lambda cut: F.cross_entropy(cut(X, 0), cut(Y, 0, "rows"))
    ),
    "inside torch's loss_parallel()": spread(
        lambda cut: in_loss_parallel(lambda: F.nll_loss(cut(LOG_P, 1).requires_grad_(), cut(Y, 0)))
    ),
    "input has 3 classes, which are this process's part of 5": spread(
        lambda cut: F.cross_entropy(cut(X, 1).requires_grad_().to_local(), Y % 3)
    ),
    "(a sharded vocabulary, as ColwiseParallel": spread(lambda _: F.cross_entropy(X, Y + 4)),
    "LazyLogits of DTensors": spread(lambda cut: crossentropy.LazyLogits(cut(H, 0), cut(W, 0))),
    "softcap is 1e+39, expected at most": lambda: F.cross_entropy(X, Y, softcap=1e39),
    # tensors
    "input is a list, expected a torch.Tensor — pass one of its tensors, input[0] say": lambda: F.cross_entropy([X], Y),
    "input is a tuple, expected a torch.Tensor — pass one of its tensors": lambda: F.cross_entropy((X, X), Y),
    "input is an ndarray, expected a torch.Tensor — use torch.as_tensor(input)": lambda: F.cross_entropy(np.ones(3), Y),
    "target is an int, expected a torch.Tensor — use torch.as_tensor(target)": lambda: F.cross_entropy(X[0], 3),
    "target is an ndarray": lambda: F.cross_entropy(X, Y.numpy()),
    "input is a SimpleNamespace, expected a torch.Tensor — pass input.logits": lambda: F.cross_entropy(
        SimpleNamespace(logits=X), Y
    ),
    "input is a Linear, expected a torch.Tensor — pass what the module returns": lambda: F.cross_entropy(Head().two, Y),
    "linear_weight is a Linear, expected a torch.Tensor — pass head.weight, linear_bias=head.bias": lambda: (
        F.linear_cross_entropy(H, Head().two, Y)
    ),
    "linear_weight is a Linear, expected a torch.Tensor — pass head.weight ": lambda: F.linear_cross_entropy(
        H, Head(bias=False).two, Y
    ),
    "teacher_weight is a Linear, expected a torch.Tensor — pass head.weight, teacher_bias=head.bias": lambda: (
        F.linear_kl_div(H, W, H, Head().two)
    ),
    "weight is a Linear, expected a torch.Tensor — class weights are one number a class": lambda: F.cross_entropy(
        X, Y, Head().two
    ),
    "weight is an int, expected a torch.Tensor of one number for each class": lambda: nn.CrossEntropyLoss(5),
    "token_weight is a float, expected a torch.Tensor of one number for each row": lambda: F.cross_entropy(
        X, Y, token_weight=2.0
    ),
    "input is torch.sparse_coo, expected a dense tensor — use input.to_dense()": lambda: F.cross_entropy(
        X.to_sparse(), Y
    ),
    "input has dtype torch.int64, expected a real floating dtype — convert with input.float()": lambda: F.cross_entropy(
        X.long(), Y
    ),
    "input has dtype torch.complex64, expected a real floating dtype — pass input.real": lambda: F.cross_entropy(
        X + 0j, Y
    ),
    "target is on meta and input on cpu: move it": lambda: F.cross_entropy(X, Y.to("meta")),
    "the arguments look swapped — the logits come first": lambda: F.cross_entropy(Y, X),
    "input has no axes, expected logits of shape": lambda: F.cross_entropy(X[0, 0], Y[0]),
    "the arguments look swapped — the head comes before": lambda: F.linear_cross_entropy(H, Y, W),
    "input has no axes, expected (D)": lambda: F.linear_cross_entropy(H[0, 0], W, Y),
    "linear_weight has shape (3,), expected (C, D) or": lambda: F.linear_cross_entropy(H, W[0], Y),
    "use linear_weight.T; if input holds the logits already": lambda: F.linear_cross_entropy(X, W, Y),
    "requires batched input (N, 3)": lambda: F.linear_cross_entropy(H[0], W[:, None], Y[:1]),
    "linear_bias has shape (3,), expected (5,)": lambda: F.linear_cross_entropy(H, W, Y, linear_bias=H[0]),
    "linear_weight has axes (5, 1) and D, expected (C, D)": lambda: F.token_statistics(H, linear_weight=W[:, None]),
    "dim is 0: with linear_weight the classes are the last axis": lambda: F.token_statistics(H, linear_weight=W, dim=0),
    "linear_bias is given and linear_weight is not": lambda: F.token_statistics(H, linear_bias=H[0]),
    "linear_weight has shape (5, 1, 3), expected (C, D)": lambda: F.linear_kl_div(H, W[:, None], H, W[:, None]),
    "and the teacher's (4, 4)": lambda: F.linear_kl_div(H, W, H, W[:4]),
    "weight has shape (3,), expected (5,): one number for each of": lambda: F.cross_entropy(X, Y, torch.ones(3)),
    "of the 3 classes — a head? linear_cross_entropy takes it": lambda: F.cross_entropy(H, Y[:4] % 3, W),
    "Labels? They are the target; with hidden states and a head": lambda: F.cross_entropy(H, W, Y),
    "weight has shape (4, 5), expected one number for each class — a loss is made first": lambda: nn.CrossEntropyLoss(
        X, Y
    ),
    "out_features is 2, expected a tuple": lambda: nn.LinearCrossEntropyLoss(3, 5, out_features=2),
    "num_classes is 5.0, expected a whole number ≥ 1": lambda: nn.LinearCrossEntropyLoss(3, 5.0),
    "in_features is 0, expected a whole number ≥ 1": lambda: nn.LinearCrossEntropyLoss(0, 5),
    "token_weight has dtype torch.complex64": lambda: F.cross_entropy(X, Y, token_weight=torch.ones(4) + 0j),
    "token_weight has shape (3,), expected (4,)": lambda: F.cross_entropy(X, Y, token_weight=torch.ones(3)),
    # targets
    "A one-hot target: pass class indices, target.argmax(1)": lambda: F.cross_entropy(X, torch.eye(5)[Y].long()),
    "A mask of classes: pass class indices, target.int().argmax(1)": lambda: F.cross_entropy(X, torch.eye(5)[Y].bool()),
    "Up to 5 classes in a row: use binary_cross_entropy_with_logits(logits, target.to(logits.dtype)), or": lambda: (
        F.cross_entropy(X, torch.ones(4, 5).long())
    ),
    "Up to 5 classes in a row: use binary_cross_entropy_with_logits(logits, target.to(logits.dtype)) ": lambda: (
        F.cross_entropy(X, put(torch.ones(4, 5), (1,), value=0).bool())
    ),
    "Rows without a class: use binary_cross_entropy_with_logits(logits, target.to(logits.dtype)), or ignore them, "
    "torch.where(target.any(1), target.argmax(1), -100)": lambda: F.cross_entropy(X, torch.eye(5)[:4].triu(1).long()),
    "One logit in a row: two classes take binary_cross_entropy_with_logits(logits, target.to(logits.dtype)); more take "
    "a logit each, and target.squeeze(1)": lambda: F.cross_entropy(X[:, :1], Y[:, None] % 2),
    "Logits of shape (4,) are one row of 4 classes, whose label has shape (); rows of logits are (N, C). One": lambda: (
        F.cross_entropy(X[:, 0], Y)
    ),
    "whose label has shape (); rows of logits are (N, C). One logit a row, for two classes, takes binary": lambda: (
        F.nll_loss(X[:, 0], Y)
    ),
    "expected () for logits of shape (4,). Logits of shape (4,) are one row of 4 classes": lambda: F.nll_loss(
        X[:, 0], Y[:3]
    ),
    "Class probabilities? cross_entropy takes them, with logits; kl_div": lambda: F.nll_loss(LOG_P, P),
    "for logits of shape (4, 5). A one-hot target: pass class indices, target.argmax(1) ": lambda: F.token_statistics(
        X, torch.eye(5)[Y].long()
    ),
    "class indices are integers — convert with target.long() ": lambda: F.nll_loss(LOG_P, Y.float()),
    "class indices are integers, and target[0] is 0.5": lambda: F.nll_loss(LOG_P, Y + 0.5),
    "Class indices have the shape of the rows": lambda: F.cross_entropy(X, torch.full((4, 5), 7)),
    "Class indices have the shape of the rows; class": lambda: F.cross_entropy(X, torch.full((4, 5), -1)),
    "class indices are integers — convert with target.long()": lambda: F.cross_entropy(X, Y.float()),
    "a binary target for one logit? use binary_cross_entropy_with_logits(logits.squeeze(1), target)": lambda: (
        F.cross_entropy(X[:, :1], Y.float())
    ),
    "for class indices use nll_loss": lambda: F.kl_div(LOG_P, Y, reduction="sum"),
    "the class axis must be 1 — use input.transpose(1, 2)": lambda: F.cross_entropy(X.expand(2, 4, 5), Y.expand(2, 4)),
    "use input.movedim(-1, 1)": lambda: F.cross_entropy(X.expand(2, 2, 4, 5), Y.expand(2, 2, 4)),
    "use target.squeeze(-1)": lambda: F.cross_entropy(X, Y[:, None]),
    "use target.squeeze(1)": lambda: F.cross_entropy(torch.zeros(4, 5, 2), torch.zeros(4, 1, 2).long()),
    "use target.reshape(-1)": lambda: F.cross_entropy(X, Y.view(2, 2)),
    "The target is flattened and the logits are not — use input.flatten(0, -2)": lambda: F.cross_entropy(
        X.view(2, 2, 5), Y
    ),
    "The target is flattened — use target.reshape(2, 7)": lambda: F.cross_entropy(
        torch.zeros(2, 5, 7), torch.zeros(14).long()
    ),
    "As many labels as classes": lambda: F.linear_cross_entropy(W, H, Y),
    "Expected input batch_size (4) to match target batch_size (3)": lambda: F.cross_entropy(X, Y[:3]),
    "A head? linear_cross_entropy(input, linear_weight, target)": lambda: F.cross_entropy(H, Head().two.weight),
    "target[3] is 5, expected a class in [0, 5) or ignore_index (-100) — labels that start at 1?": lambda: (
        F.cross_entropy(X, Y + 2)
    ),
    "target[1] is 5, expected a class in [0, 5) or ignore_index (-100) — there are 5 logits in a row, and labels up to "
    "5 need 6": lambda: F.cross_entropy(X, torch.tensor([0, 5, 1, 1])),
    "labels up to 9 need 10": lambda: F.cross_entropy(X, torch.tensor([1, 5, 9, 1])),
    "one logit for two classes? make it two": lambda: F.cross_entropy(X[:, :1], Y % 2),
    "target[0] is -1, expected a class in [0, 5) or ignore_index (-100) — padding? pass ignore_index=-1": lambda: (
        F.cross_entropy(X, Y - 1)
    ),
    "padding? pass ignore_index=255": lambda: F.cross_entropy(X, torch.tensor([0, 255, 1, 255])),
    "target[0] is -2, expected a class in [0, 5) or ignore_index (-100) ": lambda: F.cross_entropy(X, Y - 2),
    "padding? mark all of it alike, target.masked_fill(target == -1, -100)": lambda: F.cross_entropy(
        X, torch.tensor([0, -1, -100, 1])
    ),
    "padding? mark all of it alike, target.masked_fill((target == -1) | (target == 255), -100)": lambda: (
        F.cross_entropy(X, torch.tensor([0, -1, 255, 1]))
    ),
    "labels that start at 1? use torch.where(target == -100, target, target - 1)": lambda: F.cross_entropy(
        X, torch.tensor([1, 5, -100, 2])
    ),
    "labels that start at 1? use target.long() - 1, and ignore_index=-1": lambda: F.cross_entropy(
        X, torch.tensor([1, 5, 0, 2]), ignore_index=0
    ),
    "there are 5 logits in a row, and labels up to 255 need 256": lambda: F.cross_entropy(
        X, torch.tensor([0, 254, 255, 1])
    ),
    "target[0] is 255, expected a class in [0, 255) or ignore_index (-100) — labels that start at 1?": lambda: (
        F.cross_entropy(torch.zeros(1, 255), torch.tensor([255]))
    ),
    "target[3] is 156, expected a class in [0, 5) or ignore_index (-100) — is it -100 in torch.uint8?": lambda: (
        F.cross_entropy(X, torch.tensor([0, 1, 2, 156], dtype=torch.uint8))
    ),
    "target[3] is 9223372036854775807 or more, expected a class in [0, 5) or ignore_index (-100) — is it a negative "
    "label in torch.uint64?": lambda: F.cross_entropy(X, torch.tensor([0, 1, 2, 2**64 - 1], dtype=torch.uint64)),
    # settings
    "backend is 'gpu', expected": lambda: Options(backend="gpu"),
    "memory_budget is 0, expected": lambda: Options(memory_budget=0),
    "valid_rows is 0, expected a number of rows ≥ 1": lambda: Options(valid_rows=0),
    "Options(valid_rows=1) says how many rows count at most, and 4 of 4 do": lambda: F.linear_cross_entropy(
        X, torch.eye(5), Y, options=Options(valid_rows=1)
    ),
    "denominator divides the 'mean'": lambda: F.cross_entropy(X, Y, denominator=1, reduction="sum"),
    "denominator has shape (4,)": lambda: F.cross_entropy(X, Y, denominator=torch.ones(4)),
    "denominator is -3, expected a finite number ≥ 0": lambda: F.cross_entropy(X, Y, denominator=-3),
    "denominator is 1e-40, expected 0 or at least 1.175e-38: over less, a loss is infinite in torch.float32": lambda: (
        F.cross_entropy(X, Y, denominator=1e-40)
    ),
    "scale is a Tensor, expected a Python number — for a learned one": lambda: F.cosine_cross_entropy(
        torch.ones(2, 2),
        torch.ones(2, 2),
        torch.tensor([0, 1]),
        scale=torch.ones(()),  # pyright: ignore[reportArgumentType]
    ),
    "ignore_index is a Tensor, expected an int or a list of some: .tolist()": lambda: F.cross_entropy(
        torch.ones(2, 2),
        torch.tensor([0, 1]),
        ignore_index=torch.tensor([1, 2]),  # pyright: ignore[reportArgumentType]
    ),
    "logit_scale is a Tensor, expected a Python number — for a learned scale": lambda: F.cross_entropy(
        X, Y, logit_scale=torch.ones(())
    ),
    "softcap is a str, expected a Python number ": lambda: F.cross_entropy(X, Y, softcap="30"),
    "out_dtype is torch.int32": lambda: F.cross_entropy(X, Y, out_dtype=torch.int32),
    "ignore_index is 1.0, expected an integer": lambda: F.cross_entropy(X, Y, ignore_index=1.0),
    "class probabilities have no index to ignore": lambda: F.cross_entropy(X, P, ignore_index=1),
    "reduction is 'avg'": lambda: F.cross_entropy(X, Y, reduction="avg"),
    "options is a str": lambda: F.cross_entropy(X, Y, options="auto"),
    "ignore_index is 18446744073709551615, expected a label: an integer of 64 bits": lambda: F.cross_entropy(
        X, Y, ignore_index=2**64 - 1
    ),
    "size_average is 'sum', expected True, False or None: it is torch's deprecated argument": lambda: F.cross_entropy(
        X, Y, torch.ones(5), "sum"
    ),
    "size_average is -100, expected True, False or None": lambda: nn.NLLLoss(None, -100),
    "reduce is 'sum', expected True, False or None": lambda: nn.KLDivLoss(None, "sum"),
    "size_average is 0, expected": lambda: nn.CrossEntropyLoss(torch.ones(5), 0),
    "dtype is 'float32', expected a floating torch.dtype or None — use torch.float32": lambda: F.softmax(
        X, 1, dtype="float32"
    ),
    "dtype is torch.int32, expected a floating torch.dtype or None ": lambda: F.log_softmax(X, 1, dtype=torch.int32),
    "_stacklevel is 'float32', expected an int: it is the third argument, as in torch — give dtype by": lambda: (
        F.log_softmax(X, 1, "float32")
    ),
    "give dtype by keyword, dtype=torch.float64": lambda: F.softmax(X, 1, torch.float64),
    "dim is 5, expected an axis of input, which has shape (4, 5)": lambda: F.softmax(X, 5),
    "dim is -2, expected an axis of input, which has shape ()": lambda: F.log_softmax(X[0, 0], -2),
    "dim is (0, 1), expected an axis of input: a whole number": lambda: nn.LogSoftmax((0, 1))(X),
    "input is a list, expected a torch.Tensor — use torch.as_tensor(input) ": lambda: F.log_softmax(
        [0.5], 0, dtype=torch.float32
    ),
    "weight is a list, expected a torch.Tensor — use torch.as_tensor(weight, dtype=torch.float32)": lambda: (
        nn.CrossEntropyLoss([1, 2, 3, 4, 5])
    ),
    "weight is a str, expected a torch.Tensor of one number for each class — is it another argument's?": lambda: (
        nn.CrossEntropyLoss("sum")
    ),
    "input is a list, expected a torch.Tensor ": lambda: F.cross_entropy([[1.0], [1.0, 2.0]], Y),
    "cross_entropy() was given 9 arguments by position, expected at most 8: input, target, weight, size_av": lambda: (
        F.cross_entropy(X, Y, None, True, -100, True, "mean", 0.0, None)
    ),
    "linear_cross_entropy() was given 4 arguments by position, expected at most 3: input, linear": lambda: (
        F.linear_cross_entropy(H, W, Y, None)
    ),
    "CrossEntropyLoss() was given 8 arguments by position, expected at most 6": lambda: nn.CrossEntropyLoss(
        *[None] * 8
    ),
    "cross_entropy() was not given target, expected input, target": lambda: F.cross_entropy(X),
    "cross_entropy() was given input twice: by position, and by keyword": lambda: F.cross_entropy(X, Y, input=X),
    "has no argument 'temperature' — it is logit_scale=1 / temperature here": lambda: F.token_statistics(
        X, temperature=2.0
    ),
    "has no argument 'pos_weight' — it is of binary_cross_entropy_with_logits; here weight has": lambda: (
        F.cross_entropy(X, Y, pos_weight=torch.ones(5))
    ),
    "input has an empty class axis": lambda: F.cross_entropy(X[:, :0], Y),
    "backend 'chunked' cannot execute this loss": lambda: F.cross_entropy(
        X, P.clone().requires_grad_(), options=Options("chunked")
    ),
    "cross_entropy() has no argument 'labels' — it is target here": lambda: F.cross_entropy(X, labels=Y),
    "linear_cross_entropy() has no argument 'bias' — it is linear_bias here": lambda: F.linear_cross_entropy(
        H, W, Y, bias=H[0]
    ),
    "token_statistics() has no argument 'head' — it is linear_weight here": lambda: F.token_statistics(H, head=W),
    "CrossEntropyLoss() has no argument 'ignore_indx' — is it ignore_index?": lambda: nn.CrossEntropyLoss(
        ignore_indx=3
    ),
    "kl_div() has no argument 'hope': it takes input, target, size_average": lambda: F.kl_div(LOG_P, P, hope=1),
    "dim is None, expected an axis of input": lambda: F.token_statistics(X, dim=None),
    "dim is 2, expected an axis of input, which has shape (4, 5)": lambda: F.token_statistics(X, dim=2),
    "the shapes of input (4, 5) and target (3, 5) do not broadcast": lambda: F.kl_div(X, P[:3], reduction="sum"),
    # information
    "p: row [0] holds -0.5 at class 1": lambda: information.entropy([[1.5, -0.5]]),
    "p sums to 2, expected 1": lambda: information.entropy([1.0, 1.0]),
    "p[0] is 2, expected a number in [0, 1]": lambda: information.information([2.0]),
    "expected two different axes": lambda: information.mutual_information(P / 4, dim=(1, 1)),
    "unit is 'byte'": lambda: information.entropy([1.0], unit="byte"),
    "p is 'half', expected a tensor": lambda: information.information("half"),
    "p is torch.complex64, expected real numbers": lambda: information.information(X + 0j),
    "both were given of p (probabilities) and logits": lambda: information.entropy(P, logits=X),
    "neither was given of p (probabilities) and logits": lambda: information.entropy(),
    "p has 5 classes along dim -1 and q has 4": lambda: information.kl_divergence(P, torch.full((4, 4), 0.25)),
    "entropy() has no argument 'base': it takes p, logits": lambda: information.entropy(P, base=2),
    "kl_divergence() was given 3 arguments by position, expected at most 2: p, q": lambda: information.kl_divergence(
        P, P, 1
    ),
    # continuous
    "p is a Tensor, expected a torch.distributions.Distribution": lambda: continuous.kl_divergence(X, Normal(0.0, 1.0)),
    "method is 'guess'": lambda: continuous.entropy(Normal(0.0, 1.0), method="guess"),
    "method 'quadrature' does not apply to Wishart and Wishart": lambda: continuous.cross_entropy(
        Wishart(torch.tensor(3.0), torch.eye(2)), Wishart(torch.tensor(3.0), torch.eye(2)), method="quadrature"
    ),
    "p has events of shape () and q of shape (2, 2)": lambda: continuous.kl_divergence(
        Normal(0.0, 1.0), Wishart(torch.tensor(3.0), torch.eye(2))
    ),
    "do not broadcast": lambda: continuous.kl_divergence(Normal(torch.zeros(2), 1.0), Normal(torch.zeros(3), 1.0)),
    "samples is 1, expected": lambda: continuous.entropy(Normal(0.0, 1.0), samples=1),
    "has a transform that is not one-to-one": lambda: continuous.entropy(
        TransformedDistribution(Normal(0.0, 1.0), [AbsTransform()])
    ),
    "p is continuous and q is discrete": lambda: continuous.kl_divergence(Normal(0.0, 1.0), Categorical(torch.ones(3))),
    # explain
    "Explain() was given 3 arguments by position, expected at most 2: input, target — give": lambda: explain(X, Y, 3),
    "Explain() has no argument 'classnames' — is it class_names?": lambda: explain(X, Y, classnames=["a"]),
    "Explain.kl() was not given q, expected p, q": lambda: explain.kl(P),
    "none was given of input (logits), probs and hidden": lambda: explain(target=Y),
    "target is missing": lambda: explain(X),
    "hidden and linear_weight go together": lambda: explain(hidden=H, target=Y),
    "z_loss is 1: it changes logits, and probs are given": lambda: explain(probs=P, target=Y, z_loss=1),
    "there is no row to explain": lambda: explain(X[:0], Y[:0]),
    "max_rows is 0, expected a whole number ≥ 1": lambda: explain(X, Y, max_rows=0),
    "class_names: expected a sequence of strings": lambda: explain(X, Y, class_names="abcde"),
    "class_names has 2 names, expected 5": lambda: explain(X, Y, class_names=["a", "b"]),
    "dim is 3, expected an axis of p": lambda: explain.kl(P, P, dim=3),
    "lang is 'fr'": lambda: explain(X, Y, lang="fr"),
    "a is an int, expected a crossentropy.Explanation": lambda: explain.diff(1, 2),
    "a explains": lambda: explain.diff(explain(X, Y), explain.entropy(P)),
    "expected at least one outcome": lambda: explain.information([]),
    # fuse, doctor
    "model is an int, expected an nn.Module": lambda: crossentropy.fuse(3),
    "head is [], expected a module": lambda: crossentropy.fuse(Head(), head=[]),
    "head is an int, expected a module": lambda: crossentropy.fuse(Head(), head=[3]),
    "head is a Linear that is no module of Head": lambda: crossentropy.fuse(Head(), head=torch.nn.Linear(2, 2)),
    "head 'three' is no module of Head": lambda: crossentropy.fuse(Head(), head="three"),
    "cannot tell which layer of Head is its output head": lambda: crossentropy.fuse(Head()),
    "no layer makes what Embedding returns": lambda: crossentropy.fuse(torch.nn.Embedding(5, 3), example=Y),
    "the logits of '0', which has the most classes": lambda: crossentropy.fuse(
        torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Sigmoid()), example=H
    ),
    "of Sequential cannot be fused": lambda: crossentropy.fuse(torch.nn.Sequential(torch.nn.ReLU()), head="0"),
    "verify: loss gave a str, expected a tensor": lambda: crossentropy.fuse(
        torch.nn.Linear(3, 5), verify=H, loss=lambda _: "low"
    ),
    "verify: the model's output has no loss": lambda: crossentropy.fuse(torch.nn.Linear(3, 5), verify=H),
    "steps is 0, expected a whole number": lambda: doctor.watch(0),
    # ranks
    "group is given and torch.distributed is not initialised": lambda: D.shift_labels(Y, group=3),
    "group is a mesh of 2 dimensions, ('a', 'b'): pass one of them, as in mesh['a']": ranks(
        lambda: D.shift_labels(Y, group=mesh((1, 2), ("a", "b")))
    ),
    "group is an int, expected a ProcessGroup, a DeviceMesh or None": ranks(lambda: D.shift_labels(Y, group=3)),
    "group is one to which this process, rank 0 of all, does not belong": ranks(
        lambda: D.shift_labels(Y, group=torch.distributed.new_group([1]))
    ),
    "1 micro-batches in target and 2 in token_weight, expected as many": lambda: D.token_denominator(
        [Y], token_weight=[Y, Y]
    ),
    "target is an int, expected a tensor or a list of them, one for each micro-batch": lambda: D.token_denominator(4),
    "token_weight is a Tensor, expected a tensor or a list of them, one for each micro-batch — target is a list": (
        lambda: D.token_denominator([Y], token_weight=Y)
    ),
    "weight has shape (4, 5), expected (C,): one number for each class": lambda: D.token_denominator(Y, weight=X),
    "target[1] is a DTensor, expected this rank's labels, a plain tensor — pass target[1].to_local()": spread(
        lambda cut: D.token_denominator([Y, cut(Y, 0)])
    ),
    "target has dtype torch.float32, expected class indices: integers — rows of class probabilities count 1": (
        lambda: D.token_denominator(P)
    ),
    "layout is 'zigzag', expected 'contiguous' or 'balanced'": lambda: D.shift_labels(Y, layout="zigzag"),
    "labels have 3, 3 positions along the sequence, rank by rank, expected one even number on all": ranks(
        lambda: D.shift_labels(Y[:3], layout="balanced")
    ),
    "group is a mesh to which this process, rank 0, does not belong": ranks(
        lambda: D.shift_labels(Y, group=torch.distributed.device_mesh.DeviceMesh("cpu", [1]))
    ),
    "reduce_input_grad is a str, expected True or False": ranks(
        lambda: D.vocab_parallel_linear_cross_entropy(H, W, Y, reduce_input_grad="no")
    ),
    "comm_dtype is torch.float8_e4m3fn, expected float16": ranks(
        lambda: D.vocab_parallel_linear_cross_entropy(H, W, Y, comm_dtype=torch.float8_e4m3fn)
    ),
    "sequence_dim is True, expected an axis of input": ranks(
        lambda: D.vocab_parallel_linear_cross_entropy(H, W, Y, sequence_dim=True)
    ),
    "vocab_start is -1, expected a whole number": ranks(lambda: D.vocab_parallel_cross_entropy(X, Y, vocab_start=-1)),
    "num_classes is True, expected a whole number": ranks(
        lambda: D.vocab_parallel_cross_entropy(X, Y, num_classes=True)
    ),
    "vocab_start is 3 and num_classes 8, and the only process of the group holds the classes [0, 5)": lambda: (
        D.vocab_parallel_cross_entropy(X, Y, vocab_start=3, num_classes=8)
    ),
    "rank 0 has 5 classes, with vocab_start 0 and num_classes 11; expected 6 from 0 on, of 11: with both given": ranks(
        lambda: D.vocab_parallel_cross_entropy(X, Y, vocab_start=0, num_classes=11)
    ),
    "rank 0 has 5 classes, with vocab_start None and num_classes 11; expected 5 from 0 on, of 10 ": ranks(
        lambda: D.vocab_parallel_cross_entropy(X, Y, num_classes=11)
    ),
    "input has no class, on no rank of the group": ranks(lambda: D.vocab_parallel_cross_entropy(X[:, :0], Y)),
    "target has shape (3,), expected (4,)": ranks(lambda: D.vocab_parallel_cross_entropy(X, Y[:3])),
    "the ranks of the group disagree on target: rank 0 has 1 and rank 1 2": lambda: _agreement._raise_difference(
        [{"target": "1"}, {"target": "2"}]
    ),
    "the ranks of the group disagree on weight: rank 0 has none and rank 1 2": lambda: _agreement._raise_difference(
        [{"target": "1"}, {"target": "1", "weight": "2"}]
    ),
    "backend 'reference' knows no slices of the classes": ranks(
        lambda: D.vocab_parallel_cross_entropy(X, Y, options=Options(backend="reference"))
    ),
    "this loss cannot be computed of slices of the classes: class weights that require gradients": ranks(
        lambda: D.vocab_parallel_cross_entropy(X, Y, torch.ones(10).requires_grad_())
    ),
    "linear_bias is given and linear_weight is not: pass the head too ": ranks(
        lambda: D.vocab_parallel_token_statistics(X, linear_bias=X[0])
    ),
    "sequence_dim is 1, the axis of the features of input (4, 3)": ranks(
        lambda: D.vocab_parallel_linear_cross_entropy(H, W, Y, sequence_dim=1)
    ),
    "target has shape (), expected one with axis 0, the sequence": ranks(
        lambda: D.vocab_parallel_linear_cross_entropy(H, W, Y[0], sequence_dim=0)
    ),
    "input has 4 positions along axis 0, expected 2: of the 4 that the target has": ranks(
        lambda: D.vocab_parallel_linear_cross_entropy(H, W, Y, sequence_dim=0)
    ),
}

ARGUMENTS |= families.MESSAGES
ARGUMENTS |= {
    message: spread(lambda cut, message=message: families.distributed(cut)[message]())
    for message in families.distributed(lambda x, _: x)
}

VALUES: dict[str, Callable[[], object]] = {
    "weight[3] is -1, expected a finite number ≥ 0": lambda: F.cross_entropy(
        X, Y, put(torch.ones(5), (3,), value=-1), validate=True
    ),
    "weight[4] is inf, expected a finite number ≥ 0 — one of a class that never occurs?": lambda: (
        nn.LinearCrossEntropyLoss(3, 5, weight=put(torch.ones(5), (4,), value=INF), validate=True)(H, Y)
    ),
    "weight[4] is nan": lambda: F.nll_loss(LOG_P, Y, put(torch.ones(5), (4,), value=NAN), validate=True),
    "token_weight[0] is -1, expected a finite number ≥ 0 — advantages? sum them": lambda: F.cross_entropy(
        X, Y, token_weight=-torch.ones(4), validate=True
    ),
    "token_weight[2] is inf, expected a finite number — was it": lambda: F.linear_cross_entropy(
        H, W, Y, token_weight=put(torch.ones(4), (2,), value=INF), reduction="sum", validate=True
    ),
    "token_weight[1] is nan": lambda: F.linear_kl_div(
        H, W, H, W, token_weight=put(torch.ones(4), (1,), value=NAN), validate=True
    ),
    "denominator is 0 and 4 rows count": lambda: F.cross_entropy(X, Y, denominator=0, validate=True),
    "no row counts: of 4 rows, 4 with the label ignore_index (-100) — the mean is nan; where": lambda: F.cross_entropy(
        X, NONE, validate=True
    ),
    "no row counts: of 4 rows, 4 with token_weight 0 — the mean is nan": lambda: F.linear_kl_div(
        H, W, H, W, token_weight=torch.zeros(4), validate=True
    ),
    "1 with the label ignore_index (7), 1 with token_weight 0, 2 with a label of class weight 0 — the mean": lambda: (
        F.linear_cross_entropy(
            H, W, torch.tensor([7, 0, 1, 1]), weight=put(torch.ones(5), (1,), value=0), ignore_index=7,
            token_weight=torch.tensor([1, 0, 1, 1]), validate=True,
        )
    ),
    "4 with the label ignore_index (-100) — the mean is nan ": lambda: nn.NLLLoss(validate=True)(LOG_P, NONE),
    "(0, 5) logits have no row — the mean is nan": lambda: F.cross_entropy(X[:0], Y[:0], validate=True),
    "input has shape (0, 5): the mean over no elements is nan": lambda: F.kl_div(
        X[:0], X[:0], reduction="batchmean", validate=True
    ),
    "target: row [2] sums to 2, expected 1": lambda: F.cross_entropy(X, put(P, (2,), value=0.4), validate=True),
    "target: row [1] holds nan at class 3": lambda: F.linear_cross_entropy(
        H, W, put(P, (1, 3), value=NAN), validate=True
    ),
    "several classes in a row? use binary_cross_entropy_with_logits, or divide": lambda: F.cross_entropy(
        X, put(torch.eye(5)[Y], (0, 4), value=1), validate=True
    ),
    "target: row [0] sums to 0, expected 1 (± 1e-06): [0] — one logit for two classes?": lambda: F.cross_entropy(
        X[:, :1], X[:, :1], validate=True
    ),
    "[0, 0, 0, 0, 0] — a row without a class? give it token_weight 0, or": lambda: F.cross_entropy(
        X, put(P, (1,), value=0), validate=True
    ),
    "holds -0.1 at class 2, expected probabilities ≥ 0: [0.2, 0.2, -0.1, 0.2, 0.2] — logits? use softmax": lambda: (
        F.cross_entropy(X, put(P, (1, 2), value=-0.1), validate=True)
    ),
    "log-probabilities? use exp()": lambda: F.cross_entropy(X, LOG_P, validate=True),
    "expected finite probabilities: [inf, 0.2, 0.2, 0.2, 0.2] — did a number overflow?": lambda: F.cross_entropy(
        X, put(P, (0, 0), value=INF), validate=True
    ),
    "exp(input): row [1] sums to 5": lambda: F.nll_loss(put(LOG_P, (1,), value=0), Y, validate=True),
    "input holds probabilities: pass the logits to cross_entropy, or take": lambda: F.nll_loss(P, Y, validate=True),
    "input[1, 2] is 0.5, expected log-probabilities in [-inf, 0]": lambda: F.kl_div(
        put(LOG_P, (1, 2), value=0.5), P, reduction="sum", validate=True
    ),
    "for probabilities leave out log_target=True": lambda: F.kl_div(
        LOG_P, P, reduction="sum", log_target=True, validate=True
    ),
    "for logarithms log_target=True": lambda: nn.KLDivLoss(reduction="sum", validate=True)(LOG_P, LOG_P),
    "input: row [2] holds nan at class 3, expected numbers below inf": lambda: F.cross_entropy(
        put(X, (2, 3), value=NAN), Y, validate=True
    ),
    "input: row [1, 0] holds inf at class 4": lambda: F.cross_entropy(
        put(torch.zeros(2, 5, 2), (1, 4, 0), value=INF), torch.zeros(2, 2).long(), validate=True
    ),
    "input holds nan at class 3": lambda: F.cross_entropy(put(X[0], (3,), value=NAN), Y[0], validate=True),
    "holds inf at class 0, expected numbers below inf — overflow in torch.float16?": lambda: F.token_statistics(
        put(X.half(), (0, 0), value=INF), validate=True
    ),
    "input: row [3] is -inf at every class": lambda: F.log_softmax(put(X, (3,), value=-INF), 1, validate=True),
    "input: row [0] is -inf at every class": lambda: nn.Softmax(0, validate=True)(put(X, (..., 0), value=-INF)),
    "input: row [2] masks classes with -inf (2 of 5), and the target gives probability to one": lambda: F.cross_entropy(
        put(X, (2, 2), (2, 3), value=-INF), Y, validate=True
    ),
    "input: row [2] masks classes with -inf (1 of 5), and the target": lambda: F.cross_entropy(
        put(X, (2, 3), value=-INF), P, validate=True
    ),
    "input: row [1] masks classes with -inf (4 of 5), and the target gives probability to one": lambda: F.nll_loss(
        put(LOG_P, (1,), value=-INF).index_put((Y[1], Y[0]), torch.zeros(())), Y, validate=True
    ),
    "input: row [2] holds -inf at class 3, expected numbers below inf — times logit_scale, -2, it is inf": lambda: (
        F.cross_entropy(put(X, (2, 3), value=-INF), Y, logit_scale=-2, validate=True)
    ),
    "at [1, 1] input is -inf and the target is possible: the loss is inf": lambda: F.kl_div(
        put(LOG_P, (1, 1), value=-INF), P, reduction="sum", validate=True
    ),
    "linear_bias[2] is -inf, and the teacher gives probability to that class": lambda: F.linear_kl_div(
        H, W, H, W, linear_bias=put(torch.zeros(5), (2,), value=-INF), validate=True
    ),
    "weight[1] is 1e-50, expected a finite number ≥ 0 — it is 0 in torch.float32, in which": lambda: F.cross_entropy(
        X, Y, torch.tensor([1, 1e-50, 1, 1, 1], dtype=torch.float64), validate=True
    ),
    "token_weight[0] is 1e+50, expected a finite number — it is inf in torch.float32": lambda: F.cross_entropy(
        X, Y, token_weight=1e50 * torch.ones(4).double(), reduction="sum", validate=True
    ),
    "4 with a label of class weight 0 — the mean, over the class weights of the labels": lambda: F.cross_entropy(
        X, Y * 0, put(torch.ones(5), (0,), value=0), label_smoothing=0.1, validate=True
    ),
    "input @ linear_weight.T: row [0] masks classes with -inf (1 of 5), and label_smoothing": lambda: (
        F.linear_cross_entropy(
            H, W, Y, linear_bias=put(torch.zeros(5), (4,), value=-INF), label_smoothing=0.1, validate=True
        )
    ),
    "input[2, 1] is nan, expected finite hidden states": lambda: F.linear_cross_entropy(
        put(H, (2, 1), value=NAN), W, Y, validate=True
    ),
    "linear_weight[4, 0] is inf, expected finite numbers": lambda: F.token_statistics(
        H, linear_weight=put(W, (4, 0), value=INF), validate=True
    ),
    "teacher_weight[4, 0] is nan": lambda: F.linear_kl_div(H, W, H, put(W, (4, 0), value=NAN), validate=True),
    "linear_bias[4] is inf, expected numbers below inf (−inf masks": lambda: F.linear_cross_entropy(
        H, W, Y, linear_bias=put(torch.zeros(5), (4,), value=INF), validate=True
    ),
    "input @ linear_weight.T: row [0, 1] holds inf at class 3, expected numbers below inf — the product overflows in "
    "torch.float32": lambda: F.linear_cross_entropy(
        1e30 * H, put(torch.zeros(5, 2, 3), (3, 1, 0), value=1e30), torch.zeros(4, 2).long(), validate=True
    ),
}  # fmt: skip


def _replaced() -> object:
    model = torch.nn.Sequential(torch.nn.Embedding(5, 3))
    crossentropy.fuse(model, head="0")
    model[0] = torch.nn.Embedding(5, 3)
    return model(Y)


WARNINGS: dict[str, Callable[[], object]] = families.WARNINGS | {
    "'0' of Sequential was replaced since `fuse`": _replaced,
    "no product with the weight of '0' was seen in a call of Sequential": lambda: crossentropy.fuse(
        torch.nn.Sequential(torch.nn.Embedding(5, 3)), head="0"
    )(Y),
    "reduction 'mean' divides by the number of classes too": lambda: nn.KLDivLoss()(LOG_P, P),
    "no row counts: of 4 rows, 4 with the label ignore_index (-100) — nothing is trained": lambda: F.cross_entropy(
        X, NONE, reduction="sum", validate=True
    ),
    "no row counts: of 4 rows, 4 with class weights of 0 — nothing is trained": lambda: F.cross_entropy(
        X, P, torch.zeros(5), validate=True
    ),
    "The loss is right, but log_softmax is applied twice: pass the logits, or use nll_loss": lambda: F.cross_entropy(
        LOG_P, Y, torch.ones(5), validate=True
    ),
    "sum to 1. They are no input for softcap and z_loss: pass the logits": lambda: F.cross_entropy(
        LOG_P, Y, softcap=30.0, z_loss=0.1, validate=True
    ),
    "input has one class, whose probability is 1": lambda: F.softmax(X[:, :1], 1, validate=True),
    "input holds probabilities: each row is ≥ 0 and sums to 1": lambda: nn.CrossEntropyLoss(validate=True)(P, Y),
    "input @ linear_weight.T holds probabilities": lambda: F.linear_cross_entropy(
        torch.eye(4), P.T.contiguous(), Y, validate=True
    ),
    "teacher_input @ teacher_weight.T holds probabilities": lambda: F.linear_kl_div(
        H, W, torch.eye(4), P.T.contiguous(), validate=True
    ),
    "input holds log-probabilities: the exponentials of each row sum to 1": lambda: F.cross_entropy(
        LOG_P, Y, validate=True
    ),
}


def sites() -> set[tuple[str, int, int]]:
    """Module, first and last line of each place where an error or a warning of an argument is made."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name == "integrations":  # which speak to those who have a trainer: see test_integrations
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                name = node.func.id
                if name == "warn" or (name.startswith("Argument") and name.endswith("Error")):
                    found.add((str(path), node.lineno, node.end_lineno or node.lineno))
    return found


@contextlib.contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[str, int]]]:
    """The lines at which errors and warnings of arguments are made."""
    lines = set()

    def made(error: Exception, *args: object) -> None:
        frame = sys._getframe(1)
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        RuntimeError.__init__(error, *args)

    def shown(*_: object, **__: object) -> None:
        frame = sys._getframe()
        while frame.f_back is not None and frame.f_code.co_name != "warn":
            frame = frame.f_back
        assert frame.f_back is not None
        lines.add((frame.f_back.f_code.co_filename, frame.f_back.f_lineno))

    monkeypatch.setattr(crossentropy.ArgumentError, "__init__", made)
    with warnings.catch_warnings():
        warnings.simplefilter("always", crossentropy.ArgumentWarning)
        monkeypatch.setattr(warnings, "showwarning", shown)
        yield lines


@pytest.mark.parametrize("message", [*ARGUMENTS, *VALUES])
def test_error(message: str) -> None:
    with pytest.raises(crossentropy.ArgumentError) as error:
        {**ARGUMENTS, **VALUES}[message]()
    assert message in f"{error.value} "
    assert isinstance(error.value, (ValueError, TypeError, IndexError))
    assert error.type.__module__ == "crossentropy"


@pytest.mark.parametrize("message", WARNINGS)
def test_warning(message: str) -> None:
    with pytest.warns(crossentropy.ArgumentWarning) as caught:
        WARNINGS[message]()
    assert [message in str(warning.message) for warning in caught] == [True]
    assert caught[0].filename in (__file__, families.__file__)


KNOWN = {name for name in VALUES if "no elements" in name or "denominator" in name}  # without a look at values


@pytest.mark.parametrize("message", sorted(VALUES.keys() - KNOWN))
def test_values_that_cannot_be_read_are_not_looked_at(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossentropy._validation.readable", lambda *_, **__: False)
    assert VALUES[message]() is not None


def test_every_place_that_raises_or_warns_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded(monkeypatch) as lines:
        for call in (*ARGUMENTS.values(), *VALUES.values(), *WARNINGS.values()):
            with contextlib.suppress(crossentropy.ArgumentError):
                call()
    places = sites()
    assert len(places) > 90
    missed = [f"{Path(file).name}:{a}" for file, a, b in places if not any(f == file and a <= n <= b for f, n in lines)]
    assert sorted(missed) == []
