"""Watching a program: each rule on a mistake and on what looks like it and is right; and that nothing is changed."""

import json
import runpy
import subprocess
import sys
import textwrap
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torch.optim.optimizer as optimizers
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack

import crossentropy
from crossentropy import doctor
from crossentropy.doctor._finding import Finding
from crossentropy.doctor._runtime import _run
from crossentropy.doctor.rules import RULES

N, C, T = 6, 5, 7


def logits(*shape: int) -> Tensor:
    """The output of a model, of some shape, classes last."""
    model = nn.Linear(4, (shape or (N, C))[-1])
    return model(torch.randn(*(shape or (N, C))[:-1], 4))


def pixels(classes: int) -> Tensor:
    return nn.Conv2d(3, classes, 1)(torch.randn(2, 3, 4, 6))


def labels(*shape: int, classes: int = C) -> Tensor:
    return torch.randint(classes, shape or (N,))


def found(program: Callable[[], Any]) -> dict[str, str]:
    """Rules that a program breaks, with the confidence; what it raises is looked at as well."""
    torch.manual_seed(0)
    watching = doctor.watch()
    try:
        with warnings.catch_warnings(), watching:
            warnings.simplefilter("ignore")
            program()
    except (RuntimeError, IndexError, ValueError, TypeError, AttributeError):
        pass
    return {finding.rule: finding.confidence for finding in watching.report.findings}


def one_hot() -> Tensor:
    return F.one_hot(labels(), C)


def variational_autoencoder() -> Tensor:
    torch.manual_seed(0)
    ids = labels(4, 12)
    read = nn.Embedding(C, 16)(ids)
    mean, spread = nn.Linear(16, 3)(read), nn.Linear(16, 3)(read).exp()
    return CE(nn.Linear(3, C)(mean + spread * torch.randn_like(mean)).flatten(0, 1), ids.flatten())


def with_value_of(loss: Tensor, other: Tensor) -> Tensor:
    return loss + (other - loss).detach() + 0.1 * loss.detach()


def focal_of_log(reduction: str) -> Tensor:
    ce = CE(logits(), labels(), reduction=reduction)
    return (-0.25 * (1 - ce) ** 2 * torch.log(ce)).mean()


def terms_of_kl(*shape: int) -> Tensor:
    shape = shape or (N, C)
    return F.kl_div(logits(*shape).log_softmax(-1), logits(*shape).softmax(-1), reduction="none")


def mean_of_kl(*shape: int, temperature: float = 1.0, classes: int = C, reduction: str = "mean") -> Tensor:
    """Of logits over a temperature."""
    shape = shape or (N, classes)
    student, teacher = logits(*shape) / temperature, logits(*shape).detach() / temperature
    return F.kl_div(student.log_softmax(-1), teacher.softmax(-1), reduction=reduction)


def terms_of_kl_of_pixels() -> Tensor:
    student, teacher = (nn.Conv2d(3, C, 1)(torch.randn(2, 3, 4, 6)) for _ in range(2))
    return F.kl_div(student.log_softmax(1), teacher.softmax(1).detach(), reduction="none")


def focal(reduction: str) -> Tensor:
    ce = F.cross_entropy(logits(), labels(), reduction=reduction)
    return ((1 - torch.exp(-ce)) ** 2 * ce).mean()


def focal_of_rows(reduce: Callable[[Tensor], Tensor]) -> Tensor:
    ce = reduce(CE(logits(), labels(), reduction="none"))
    return ((1 - torch.exp(-ce)).square() * ce).mean()


def kept_totals(keep: Callable[[list[Tensor], Tensor], Any]) -> None:
    """What is kept of a loss with a penalty."""
    model = nn.Linear(4, C)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history: list[Tensor] = []
    for _ in range(6):
        loss = F.cross_entropy(model(torch.randn(N, 4)), labels()) + 0.1 * model.weight.pow(2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        keep(history, loss)


def kept(detach: bool) -> None:
    model = nn.Linear(4, C)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = []
    for _ in range(6):
        loss = F.cross_entropy(model(torch.randn(N, 4)), labels())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.detach() if detach else loss)


def padded(*, batch_first: bool = True, left: bool = False, **keywords: Any) -> Tensor:
    rows = [torch.randint(1, 9, (n,)) for n in (3, 7, 5)]
    tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=0)
    tokens = tokens.flip(1) if left else tokens
    read, said = (tokens[:, :-1], tokens[:, 1:]) if batch_first else (tokens.T[:-1], tokens.T[1:])
    hidden = nn.Embedding(9, 4, padding_idx=0)(read)
    return F.cross_entropy(nn.Linear(4, 9)(hidden).flatten(0, 1), said.flatten(), **keywords)


def language_model_of(rows: list[list[int]], **keywords: Any) -> dict[str, str]:
    """What is found where a model reads rows, and is trained on what comes next."""
    tokens = torch.tensor(rows)

    def program() -> None:
        out = nn.Linear(4, 9)(nn.Embedding(9, 4)(tokens[:, :-1]))
        CE(out.mT, tokens[:, 1:], **keywords).backward()

    return found(program)


def language_model(shift: int) -> Tensor:
    tokens = torch.randint(30, (4, 12))
    out = nn.Linear(4, 30)(nn.Embedding(30, 4)(tokens))
    end = tokens.shape[1] - shift
    return F.cross_entropy(out[:, :end].transpose(1, 2), tokens[:, shift:])


def two_tokens(*shifts: int) -> None:
    """A head for the next token, and one for the token after it."""
    tokens = torch.randint(30, (4, 12))
    hidden = nn.Embedding(30, 4)(tokens)
    losses = [CE(nn.Linear(4, 30)(hidden)[:, :-n].transpose(1, 2), tokens[:, n:]) for n in shifts]
    (losses[0] + 0.3 * losses[1]).backward()


def time_first(shift: int) -> None:
    tokens = torch.randint(30, (12, 4))
    out = nn.Linear(8, 30)(nn.GRU(4, 8)(nn.Embedding(30, 4)(tokens))[0])
    CE(out[:-shift].flatten(0, 1), tokens[shift:].flatten()).backward()


def weighed_mean(sizes: tuple[int, ...]) -> Tensor:
    return torch.stack([F.cross_entropy(logits(n, C), labels(n)) for n in sizes]).mean()


class Weighed(nn.CrossEntropyLoss):
    """A criterion of a program, which has a name of its own."""


class Focal(nn.Module):
    """One that takes what it is given for its settings."""

    def __init__(self, gamma: Any, alpha: Any = None) -> None:
        super().__init__()
        self.gamma, self.alpha = gamma, alpha


def stacked_sum(sizes: tuple[int, ...]) -> Tensor:
    return torch.stack([F.cross_entropy(logits(n, C), labels(n)) for n in sizes]).sum()


CE, NLL, BCE, BCEL = F.cross_entropy, F.nll_loss, F.binary_cross_entropy, F.binary_cross_entropy_with_logits

# rule: (mistakes, look-alikes that are right)
CASES: dict[str, tuple[list[Callable[[], Any]], list[Callable[[], Any]]]] = {
    "softmax-before-cross-entropy": (
        [
            lambda: CE(logits().softmax(1), labels()),
            lambda: nn.CrossEntropyLoss()(nn.Softmax(dim=-1)(logits(N, T, C)).transpose(1, 2), labels(N, T)),
            lambda: CE(logits().log_softmax(1).exp().float(), labels()),
            lambda: CE((e := logits().exp()) / e.sum(1, keepdim=True), labels()),
            lambda: crossentropy.nn.CrossEntropyLoss()(torch.cat([logits().softmax(1)] * 2), labels(2 * N)),
            lambda: CE(torch.special.softmax(logits(), -1)[:, :], labels()),
        ],
        [
            lambda: (CE(z := logits(), labels()), z.softmax(1).max()),
            lambda: CE(logits() @ torch.randn(C, C).softmax(1), labels()),
            lambda: CE(nn.Linear(C, C)(logits().softmax(1)), labels()),
            lambda: CE(logits(), logits().softmax(1)),
        ],
    ),
    "sigmoid-before-cross-entropy": (
        [
            lambda: CE(logits().sigmoid(), labels()),
            lambda: CE(nn.Sigmoid()(logits()).view(N, C), labels()),
            lambda: CE(torch.cat([1 - (p := logits(N, 1).sigmoid()), p], 1), labels(classes=2)),
            lambda: CE(nn.Conv2d(3, C, 1)(torch.randn(2, 3, 4, 6)).sigmoid().mean((2, 3)), labels(2)),
            lambda: CE(F.logsigmoid(logits()).exp(), labels()),
        ],
        [lambda: CE(nn.Linear(C, C)(logits().sigmoid()), labels()), lambda: CE(F.silu(logits()), labels())],
    ),
    "log-softmax-before-cross-entropy": (
        [
            lambda: CE(logits().log_softmax(1), labels()),
            lambda: CE((z := logits()) - z.exp().sum(1, keepdim=True).log(), labels()),
        ],
        [lambda: CE(logits(), labels()), lambda: CE((z := logits()) - z.exp().sum(0, keepdim=True).sqrt(), labels())],
    ),
    "relu-before-cross-entropy": (
        [
            lambda: CE(logits().relu(), labels()),
            lambda: CE(logits().clamp(min=0), labels()),
            lambda: NLL(logits().relu().log_softmax(1), labels()),
            lambda: CE(logits().relu() / 2.0, labels()),
            lambda: CE(torch.max(z := logits(), torch.zeros_like(z)), labels()),
            lambda: CE((z := logits()) * (z > 0), labels()),
            lambda: CE(torch.where((z := logits()) > 0, z, 0.0), labels()),
        ],
        [
            lambda: CE(nn.Linear(C, C)(logits().relu()), labels()),
            lambda: CE(logits().clamp(-50, 50), labels()),
            lambda: CE(-logits().relu(), labels()),
            lambda: CE(logits().relu() / -2.0, labels()),
            lambda: CE(torch.maximum(logits(), logits()), labels()),
            lambda: CE(logits() * (logits() > 0).float().mean(), labels()),
            lambda: NLL(nn.Linear(C, C)(logits().relu()).log_softmax(1), labels()),
        ],
    ),
    "softmax-before-nll": (
        [
            lambda: NLL(logits().softmax(1), labels()),
            lambda: NLL((logits(N, 1, 3).softmax(2) @ logits(N, 3, C).softmax(2)).squeeze(1), labels()),
        ],
        [
            lambda: NLL(logits().log_softmax(1), labels()),
            lambda: NLL(crossentropy.functional.log_softmax(logits(), 1), labels()),
        ],
    ),
    "logits-into-nll": (
        [lambda: NLL(logits(), labels()), lambda: nn.NLLLoss()(logits(N, T, C).transpose(1, 2), labels(N, T))],
        [
            lambda: NLL((logits().softmax(1) * 0.5 + 0.1).log(), labels()),
            lambda: NLL((1 - (log := logits().log_softmax(1)).exp()) ** 2 * log, labels()),
            lambda: NLL(logits().log_softmax(1) * torch.rand(C), labels()),
        ],
    ),
    "log-of-softmax": (
        [
            lambda: NLL(logits().softmax(1).log(), labels()),
            lambda: NLL(torch.log(F.softmax(logits(), 1) + 1e-9), labels()),
            lambda: F.kl_div(torch.log(F.softmax(logits(), 1)), logits().softmax(1), reduction="batchmean"),
        ],
        [lambda: NLL((0.9 * logits().softmax(1) + 0.1 / C).log(), labels())],
    ),
    "sigmoid-before-bce-with-logits": (
        [
            lambda: BCEL(logits().sigmoid(), labels(N, C, classes=2).float()),
            lambda: BCEL(1 - logits(N, 1).sigmoid(), torch.rand(N, 1)),
            lambda: BCEL(F.interpolate(logits(2, 1, 4, 6).sigmoid(), scale_factor=2), torch.rand(2, 1, 8, 12)),
            lambda: BCEL(logits(N, 2).softmax(1)[:, 1:], torch.rand(N, 1)),
        ],
        [lambda: BCEL(logits(), logits().sigmoid().detach()), lambda: BCE(logits().sigmoid(), torch.rand(N, C))],
    ),
    "softmax-before-bce": (
        [
            lambda: BCE(logits().softmax(1), one_hot().float()),
            lambda: BCE(logits().softmax(1)[:, 1:4], torch.rand(N, 3)),
            lambda: BCE(logits(N, 1).softmax(1), torch.rand(N, 1)),
        ],
        [
            lambda: BCE(logits(N, 2).softmax(1)[:, 1], torch.rand(N)),
            lambda: BCE(logits(N, 2).softmax(1)[:, 1:], torch.rand(N, 1)),
            lambda: BCE(logits(N, T, 2).softmax(-1)[..., [1]].flatten(1), torch.rand(N, T)),
            lambda: BCE(nn.Conv2d(3, 2, 1)(torch.randn(2, 3, 4, 6)).softmax(1).chunk(2, 1)[1], torch.rand(2, 1, 4, 6)),
        ],
    ),
    "logits-into-bce": (
        [lambda: BCE(3 * logits(), torch.rand(N, C))],
        [lambda: BCE(logits().clamp(0, 1), torch.rand(N, C))],
    ),
    "softmax-wrong-dim": (
        [
            lambda: NLL(logits().log_softmax(0), labels()),
            lambda: NLL(logits(N, T, C).log_softmax(1).transpose(1, 2), labels(N, T)),
        ],
        [
            lambda: NLL(logits(N, T, C).log_softmax(-1).transpose(1, 2), labels(N, T)),
            lambda: NLL(logits(N, T, C).log_softmax(2).flatten(0, 1), labels(N * T)),
            lambda: NLL(logits(N, T, C).permute(0, 2, 1)[:, :, 1:].log_softmax(1), labels(N, T - 1)),
        ],
    ),
    "class-axis-not-one": (
        [
            lambda: CE(logits(N, T, C), labels(N, T)),
            lambda: CE(logits(N, C, C), labels(N, C)),
            lambda: CE(logits(N, C, C) / 2, labels(N, C)),
            lambda: CE(nn.LayerNorm(C)(logits(N, C, C)), labels(N, C)),
            lambda: CE(torch.stack([logits() for _ in range(C)], 1), labels(N, C)),
            lambda: NLL(logits(N, C, C).log_softmax(-1), labels(N, C)),
            lambda: NLL(logits(N, T, C).log_softmax(-1), labels(N, T)),
            lambda: CE(logits(N, T, C), F.one_hot(labels(N, T), C).float()),
            lambda: CE(logits(N, T, C), torch.randn(N, T, C).softmax(-1)),
        ],
        [
            lambda: CE(logits(N, C, C).transpose(1, 2), labels(N, C)),
            lambda: CE(logits(N, T, C).mT, labels(N, T)),
            lambda: CE(torch.stack([logits() for _ in range(C)], 2), labels(N, C)),
            lambda: CE(logits(N, T, C).mT, torch.randn(N, T, C).softmax(-1).mT),
            lambda: CE(logits(N, T, C), torch.randn(N, T, C).softmax(1)),
        ],
    ),
    "view-instead-of-permute": (
        [
            lambda: CE(nn.Conv2d(3, C, 1)(torch.randn(2, 3, C, C)).view(-1, C), labels(2 * C * C)),
            lambda: NLL(pixels(C).log_softmax(1).view(-1, C), labels(48)),
            lambda: CE((pixels(C) / 2).view(-1, C), labels(48)),
            lambda: CE(F.interpolate(pixels(C), size=(8, 12)).view(-1, C), labels(192)),
            lambda: CE(pixels(2 * C).view(2, -1, C).flatten(0, 1), labels(96)),
            lambda: CE(torch.cat([pixels(2 * C).view(2, -1, C) for _ in range(2)], 1).mT, labels(2, 96)),
            lambda: CE(logits(N, T, 2 * C).mT.reshape(-1, C), labels(2 * N * T)),
        ],
        [
            lambda: CE(pixels(2 * C).view(2, 2, C, 4, 6).permute(0, 1, 3, 4, 2).reshape(-1, C), labels(96)),
            lambda: CE(pixels(2 * C).permute(0, 2, 3, 1).reshape(2, -1, C).mT, labels(2, 48)),
            lambda: CE(pixels(2 * C).view(2, 2 * C, -1).mT.reshape(-1, C), labels(96)),
            lambda: CE(pixels(2 * C).view(4, C, 4, 6), labels(4, 4, 6)),
            lambda: CE(pixels(24).flatten(2).flatten(0, 1), labels(48, classes=24)),
            lambda: CE(pixels(48).flatten(2).flatten(0, 1), labels(96, classes=24)),
            lambda: CE(logits(N, 2 * C).view(N, C, 2), labels(N, 2)),
            lambda: CE(nn.Conv2d(3, C, 1)(torch.randn(2, 3, 4, 4)).permute(0, 2, 3, 1).reshape(-1, C), labels(32)),
            lambda: CE(logits(N, T, C)[:, :-1].reshape(-1, C), labels(N * (T - 1))),
            lambda: CE(nn.Conv2d(3, C, 1)(torch.randn(2, 3, 4, 4)).flatten(2), labels(2, 16)),
        ],
    ),
    "single-logit-cross-entropy": (
        [lambda: CE(logits(N, 1), torch.zeros(N, dtype=torch.long))],
        [lambda: BCEL(logits(N, 1), torch.rand(N, 1))],
    ),
    "target-extra-dim": ([lambda: CE(logits(), labels(N, 1))], [lambda: CE(logits(), labels(N, 1).squeeze(1))]),
    "float-class-index": ([lambda: CE(logits(), labels().float())], [lambda: CE(logits(), labels().float().long())]),
    "one-hot-target": (
        [lambda: CE(logits(), one_hot()), lambda: CE(logits(), one_hot().float())],
        [lambda: CE(logits(), one_hot().argmax(1))],
    ),
    "multi-hot-target": (
        [lambda: CE(logits(), (torch.arange(C) < 2).float().expand(N, C))],
        [lambda: CE(logits(), (torch.arange(C) < 2).float().expand(N, C) / 2)],
    ),
    "unnormalized-target": (
        [
            lambda: CE(logits(), logits().detach()),
            lambda: CE(logits(), torch.rand(N, C) * 3),
            lambda: F.kl_div(logits().log_softmax(1), logits().log_softmax(1).detach(), reduction="batchmean"),
            lambda: F.kl_div(logits().log_softmax(1), logits().detach(), reduction="batchmean"),
            lambda: F.kl_div(logits().log_softmax(1), one_hot() + 0.1, reduction="batchmean"),
        ],
        [
            lambda: CE(logits(), logits().softmax(1).detach()),
            lambda: CE(logits(), logits().softmax(1).detach() * (torch.arange(N) < 4)[:, None]),
            lambda: F.kl_div(logits().log_softmax(1), 0.9 * one_hot() + 0.1 / C, reduction="batchmean"),
        ],
    ),
    "label-out-of-range": (
        [lambda: CE(logits(), labels() + 1 - labels().min() + C), lambda: CE(logits(), torch.full((N,), 255))],
        [lambda: CE(logits(), torch.tensor([255, 0, 1, 2, 3, 4]), ignore_index=255)],
    ),
    "class-index-into-bce": (
        [lambda: BCEL(logits()[:, 0], torch.tensor([0.0, 1, 2, 3, 4, 1]))],
        [lambda: BCEL(logits()[:, 0], torch.tensor([0.0, 1, 0, 1, 1, 1]))],
    ),
    "swapped-arguments": (
        [
            lambda: CE(labels(), logits()),
            lambda: BCE(torch.rand(N, C), logits().sigmoid()),
            lambda: CE(torch.randn(N, C).softmax(1), logits()),
            lambda: F.kl_div(torch.randn(N, C).softmax(1), logits().log_softmax(1), reduction="batchmean"),
            lambda: F.kl_div(logits().softmax(1).detach(), logits().log_softmax(1), reduction="batchmean"),
        ],
        [
            lambda: CE(input=logits(), target=torch.randn(N, C).softmax(1)),
            lambda: F.kl_div(torch.randn(N, C).log_softmax(1), logits().softmax(1), reduction="batchmean"),
            lambda: F.kl_div(logits().log_softmax(1), logits().log_softmax(1), reduction="batchmean", log_target=True),
        ],
    ),
    "padding-not-ignored": (
        [padded, lambda: padded(batch_first=False), lambda: padded(left=True)],
        [
            lambda: padded(left=True, ignore_index=0),
            lambda: CE(logits(N, T, 2).mT, torch.full((N, T), 0)),  # all are of one class
            lambda: padded(ignore_index=0),
            lambda: padded(reduction="none"),
            lambda: padded(weight=(torch.arange(9) > 0).float()),
        ],
    ),
    "all-targets-ignored": (
        [lambda: CE(logits(), torch.full((N,), -100))],
        [lambda: CE(logits(), torch.tensor([-100] * 5 + [1]))],
    ),
    "class-weight-shape": (
        [
            lambda: CE(logits(), labels(), weight=torch.rand(N)),
            lambda: BCEL(logits(), torch.rand(N, C), pos_weight=torch.rand(N)),
        ],
        [
            lambda: CE(logits(), labels(), weight=torch.rand(C)),
            lambda: BCEL(logits(), torch.rand(N, C), pos_weight=torch.rand(C)),
        ],
    ),
    "focal-on-reduced-loss": (
        [lambda: focal("mean"), lambda: focal_of_log("mean"), lambda: focal_of_rows(Tensor.mean)],
        [
            lambda: focal("none"),
            lambda: focal_of_log("none"),
            lambda: focal_of_rows(Tensor.clone),
            lambda: torch.exp(CE(logits(), labels())),
        ],
    ),
    "mean-of-means": (
        [lambda: weighed_mean((2, 4, 1)), lambda: stacked_sum((6, 3)) / 2],
        [lambda: weighed_mean((3, 3)), lambda: stacked_sum((6, 3)) / 9],
    ),
    "kl-div-on-probabilities": (
        [lambda: F.kl_div(logits().softmax(1), logits().softmax(1), reduction="batchmean")],
        [lambda: F.kl_div(logits().log_softmax(1), logits().softmax(1), reduction="batchmean")],
    ),
    "kl-div-reduction": (
        [
            lambda: nn.KLDivLoss()(logits().log_softmax(1), logits().softmax(1)),
            lambda: F.kl_div(logits(N, T, C).log_softmax(2), logits(N, T, C).softmax(2), reduction="batchmean"),
            lambda: terms_of_kl().mean(),
            lambda: (terms_of_kl() * 4).mean(1).mean(),
            lambda: terms_of_kl(N, T, C).mean((-1, -2)).mean(),
            lambda: (mean_of_kl(temperature=2.0, classes=4) * 2.0**2).backward(),
            lambda: terms_of_kl_of_pixels().mean(),
        ],
        [
            lambda: F.kl_div(logits().log_softmax(1), logits().softmax(1), reduction="sum"),
            lambda: F.kl_div(logits(N, 1, C).log_softmax(2), logits(N, 1, C).softmax(2), reduction="batchmean"),
            lambda: terms_of_kl().sum(1).mean() + terms_of_kl().mean(0).sum(),
            lambda: (3.0**2 * mean_of_kl(temperature=3.0) * C).backward(),
            lambda: (mean_of_kl(temperature=3.0) * (9 * C)).backward(),
            lambda: (mean_of_kl() * (N * C) / N).backward(),
            lambda: (mean_of_kl(N, T, C, reduction="batchmean") / T).backward(),
            lambda: (terms_of_kl().mean() * C).backward(),
            lambda: terms_of_kl_of_pixels().mean((2, 3)).sum(1).mean(),
        ],
    ),
    "causal-shift": (
        [lambda: language_model(0), lambda: language_model(2), lambda: time_first(2)],
        [lambda: language_model(1), variational_autoencoder, lambda: two_tokens(1, 2), lambda: two_tokens(2, 1)],
    ),
    "loss-constructor-call": (
        [
            lambda: nn.CrossEntropyLoss(logits(), labels()),
            lambda: Weighed(logits(), labels()),
            lambda: nn.CrossEntropyLoss(logits()).backward(),  # pyright: ignore[reportCallIssue]
            lambda: Focal(logits(), labels()).backward(),  # pyright: ignore[reportCallIssue]
        ],
        [
            lambda: nn.CrossEntropyLoss(torch.rand(C))(logits(), labels()),
            lambda: Weighed(torch.rand(C))(logits(), labels()),
        ],
    ),
    "detached-loss": (
        [
            lambda: CE(logits(), labels()).item().backward(),  # pyright: ignore[reportAttributeAccessIssue]
            lambda: CE(logits().detach(), labels()).backward(),
            lambda: BCEL(logits().argmax(1).float().requires_grad_(), torch.rand(N)).backward(),
            lambda: (CE(logits(), labels()) + 0.5 * BCEL(logits(), torch.rand(N, C)).detach()).backward(),
            lambda: (CE(logits(), labels()) + F.smooth_l1_loss(2 * logits().data, torch.rand(N, C))).backward(),
            lambda: CE(F.one_hot(logits().argmax(1), C).float().requires_grad_(), labels()).backward(),
        ],
        [
            lambda: CE(logits(), labels()).backward(),
            lambda: with_value_of(CE(logits(), labels()), BCEL(logits(), torch.rand(N, C))).backward(),
            lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 9, [3])(torch.randn(N, 4), labels(classes=9)).loss.backward(),
            lambda: CE(torch.randn(N, C, requires_grad=True), labels()).backward(),
            lambda: (CE(logits(), labels()) * BCEL(logits(), torch.rand(N, C)).detach()).backward(),
            lambda: (CE(z := logits(), labels()) + F.mse_loss(z, logits().detach())).backward(),
        ],
    ),
    "loss-graph-retained": (
        [lambda: kept(False), lambda: kept_totals(lambda history, loss: history.append(loss))],
        [
            lambda: kept(True),
            lambda: kept_totals(lambda history, loss: history.append(loss.detach())),
            lambda: kept_totals(lambda history, loss: history.__setitem__(slice(None), [loss])),
        ],
    ),
    "mse-on-one-hot": (
        [
            lambda: F.mse_loss(logits().softmax(1), one_hot().float()),
            lambda: F.mse_loss(pixels(C).softmax(1), F.one_hot(labels(2, 4, 6), C).movedim(-1, 1).float()),
        ],
        [
            lambda: F.mse_loss(logits(), torch.rand(N, C)),
            lambda: F.mse_loss(logits().softmax(1).detach(), one_hot().float()),
        ],
    ),
    "label-smoothing-range": (
        [lambda: CE(logits(), labels(), label_smoothing=-0.1), lambda: CE(logits(), labels(), label_smoothing=10.0)],
        [lambda: CE(logits(), labels(), label_smoothing=0.1)],
    ),
    "masked-target-logit": (
        [lambda: CE(logits().masked_fill(torch.arange(C) == 2, -torch.inf), torch.full((N,), 2))],
        [lambda: CE(logits().masked_fill(torch.arange(C) == 2, -torch.inf), torch.full((N,), 1))],
    ),
}


@pytest.mark.parametrize(("rule", "i"), [(rule, i) for rule, (wrong, _) in CASES.items() for i in range(len(wrong))])
def test_a_mistake_is_found_and_nothing_else(rule: str, i: int) -> None:
    rules = found(CASES[rule][0][i])
    costs_memory_only = rule == "one-hot-target" and i == 1
    assert rules.pop(rule, None) == ("info" if RULES[rule].harmless or costs_memory_only else "certain")
    together = {"single-logit-cross-entropy": {"label-out-of-range"}, "unnormalized-target": {"multi-hot-target"}}
    assert {name for name, confidence in rules.items() if confidence != "info"} <= together.get(rule, set())


@pytest.mark.parametrize(("rule", "i"), [(rule, i) for rule, (_, right) in CASES.items() for i in range(len(right))])
def test_what_looks_like_it_and_is_right_is_not(rule: str, i: int) -> None:
    assert {name for name, confidence in found(CASES[rule][1][i]).items() if confidence != "info"} == set()


def test_every_rule_of_run_time_is_tested() -> None:
    elsewhere = {"loss-name-shadowed", "deprecated-reduce"}  # which need a script
    assert set(CASES) | elsewhere == {name for name, rule in RULES.items() if rule.run}


EXAMPLES = """
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
N, C, PAD = 6, 5, 0
model, head, embedding, out = nn.Linear(4, C), nn.Linear(4, C), nn.Embedding(30, 4, padding_idx=PAD), nn.Linear(4, 30)
def lm(tokens):
    return out(embedding(tokens))
optimizer = torch.optim.SGD([*model.parameters(), *head.parameters(), *out.parameters()], lr=0.1)
criterion, history = nn.CrossEntropyLoss(), []
banned = torch.arange(C) == 2
padded = nn.utils.rnn.pad_sequence([torch.randint(1, 30, (n,)) for n in (9, 4, 7)], batch_first=True)
for step in range(6):
    x, labels, tags = torch.randn(N, 4), torch.arange(N) % C, (torch.rand(N, C) < 0.5).float()
    logits, p, row_weights = model(x), torch.rand(N, C).softmax(1), torch.rand(N) + 0.1
    teacher_logits, tokens = 3 * torch.randn(N, C), torch.randint(1, 30, (4, 12))
    token_logits, token_labels = model(torch.randn(2, 3, 4)), torch.randint(C, (2, 3))
    pixel_logits = F.conv2d(torch.randn(2, 4, C, C), model.weight[:, :, None, None])
    pixel_labels, score = torch.randint(C, (2, C, C)), logits[:, :1].matmul(torch.ones(1, 1))
    uneven_batches = [(logits[:2], labels[:2]), (logits[2:], labels[2:])]
    word_logits = lm(padded[:, :-1])
    SNIPPET
    optimizer.zero_grad()
    if isinstance(globals().get("loss"), torch.Tensor) and loss.requires_grad:
        loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if name != "deprecated-reduce"])
def test_the_examples_of_the_rules_are_what_they_say(name: str, tmp_path: Path) -> None:
    def rules(snippet: str) -> dict[str, str]:
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.py"
        file.write_text(EXAMPLES.replace("SNIPPET", snippet.replace("\n", "\n    ")), "utf-8")
        return found(lambda: runpy.run_path(str(file)))

    assert name in rules(RULES[name].wrong)
    assert rules(RULES[name].right) == {}


def test_the_message_has_the_users_numbers() -> None:
    z, y = torch.tensor([[4.0, 0.0, 0.0]], requires_grad=True), torch.tensor([0])
    with doctor.watch() as report:
        loss = F.cross_entropy(z.softmax(1), y)
    right, floor = F.cross_entropy(z, y).item(), torch.log1p(torch.tensor(2) / torch.e).item()
    (finding,) = report.findings
    for number in (f"the loss is {loss.item():.4g}", f"would be {right:.4g}", f"below {floor:.3f} for 3 classes"):
        assert number in finding.message
    assert finding.path.endswith("test_doctor_watch.py")
    assert "softmax at test_doctor_watch.py:" in finding.message
    assert finding.line == finding_line(F.cross_entropy, "F.cross_entropy(z.softmax(1), y)")


def finding_line(_: object, text: str) -> int:
    lines = Path(__file__).read_text("utf-8").splitlines()
    return next(i for i, line in enumerate(lines, 1) if line.strip() == f"loss = {text}")


def train(steps: int) -> tuple[list[float], Tensor, Tensor]:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, C), nn.Softmax(1))
    optimizer = torch.optim.Adam(model.parameters())
    losses = []
    for _ in range(steps):
        loss = nn.CrossEntropyLoss()(model(torch.randn(N, 4)), labels())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    return losses, gradient, torch.random.get_rng_state()


def test_nothing_is_changed() -> None:
    alone = train(5)
    with doctor.watch(steps=3) as report:
        watched = train(5)
    assert watched[0] == alone[0]
    assert watched[1].equal(alone[1])
    assert watched[2].equal(alone[2])
    assert report.steps == 3
    assert len(report.findings) == 1  # once, not once a step


def test_after_the_steps_nothing_remains() -> None:
    before = dict(optimizers._global_optimizer_post_hooks)  # lazy logits, once used, have one
    inside = []
    model = nn.Linear(4, C)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with doctor.watch(steps=2):
        for _ in range(4):
            inside.append(len(_get_current_function_mode_stack()))
            F.cross_entropy(model(torch.randn(N, 4)), labels()).backward()
            optimizer.step()
    assert inside == [1, 1, 0, 0]
    assert _get_current_function_mode_stack() == []
    assert dict(optimizers._global_optimizer_post_hooks) == before


@pytest.mark.parametrize("steps", [0, -1, 1.5, True, "3"])
def test_wrong_steps(steps: Any) -> None:
    with pytest.raises(ValueError, match="expected a whole number"):
        doctor.watch(steps)


def test_errors_of_the_program_pass_through() -> None:
    with pytest.raises(IndexError, match="out of bounds"), doctor.watch() as report:
        F.cross_entropy(logits(), torch.full((N,), C))
    assert report.findings[0].rule == "label-out-of-range"
    assert _get_current_function_mode_stack() == []


def test_a_graph_made_out_of_sight_is_walked() -> None:
    torch.manual_seed(0)
    q = logits().softmax(1).clone()
    with doctor.watch() as report:
        F.cross_entropy(q, labels())
    assert report.findings[0].rule == "softmax-before-cross-entropy"
    assert report.findings[0].confidence == "certain"
    detached = q.detach()
    with doctor.watch() as report:
        F.cross_entropy(detached, labels())
    assert report.findings[0].confidence == "likely"


class CompiledFunction(torch.autograd.Function):
    """A softmax out of sight, like a compiler's."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        with torch._C.DisableTorchFunction():
            return z.softmax(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients


@pytest.mark.filterwarnings("ignore")  # compilers warn
def test_compiled_code_is_left_alone() -> None:
    model = nn.Sequential(nn.Linear(4, C), nn.Softmax(1))
    loss_of = torch.compile(lambda x, y: F.cross_entropy(model(x), y), backend="aot_eager", fullgraph=True)
    x, y = torch.randn(N, 4), labels()
    with doctor.watch() as report:
        inside = loss_of(x, y)
    assert inside.equal(loss_of(x, y))
    assert report.calls == 0
    with doctor.watch() as report:
        F.cross_entropy(CompiledFunction.apply(logits()), y)  # pyright: ignore[reportArgumentType]
    (finding,) = report.findings
    assert (finding.rule, finding.confidence) == ("softmax-before-cross-entropy", "likely")


# --- scripts ----------------------------------------------------------------------------------------------------------

HEAD = """
import os, sys, torch
import torch.nn.functional as F
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 5), nn.Softmax(dim=1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
criterion = nn.CrossEntropyLoss()
def step():
    loss = criterion(model(torch.randn(6, 4)), torch.randint(5, (6,)))
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    return loss
"""


def script(folder: Path, text: str, *arguments: str, steps: int = 3) -> _run.Run:
    file = folder / "train it.py"
    file.write_text(HEAD + textwrap.dedent(text), "utf-8")
    return _run.run(str(file), arguments, steps=steps)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("step()", 0),
        ("step(); raise SystemExit(7)", 7),
        ("step(); sys.exit('broken')", 1),
        ("step(); 1 / 0", 1),
        ("step(); os._exit(9)", 9),
        ("step()\nif os.fork() == 0:\n    sys.exit(3)\nos.wait()", 0),
        ("assert sys.argv[1:] == ['--lr', '0.1']; print('out'); step()", 0),
        ("import helper; helper.run(step)", 0),
    ],
)
def test_a_script_is_watched_whatever_becomes_of_it(
    text: str, code: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "helper.py").write_text("def run(f):\n    f()\n")
    done = script(tmp_path, text, "--lr", "0.1")
    assert [finding.rule for finding in done.findings] == ["softmax-before-cross-entropy"]
    assert done.findings[0].line == 10
    assert done.code == code
    assert capfd.readouterr().out == ""  # what the script prints is not the report


def test_a_script_is_stopped_after_its_steps(tmp_path: Path) -> None:
    done = script(tmp_path, "for _ in range(10**9): step()", steps=2)
    assert done.stopped
    assert done.steps == 2
    assert done.code == 0


def test_a_shadowed_criterion_and_deprecated_arguments(tmp_path: Path) -> None:
    done = script(tmp_path, "criterion = step()\nstep()")
    assert "loss-name-shadowed" in {finding.rule for finding in done.findings}
    done = script(tmp_path, "nn.CrossEntropyLoss(size_average=False)(torch.randn(2, 3), torch.tensor([0, 1]))")
    assert [(f.rule, f.line) for f in done.findings] == [("deprecated-reduce", 13)]


def test_the_report_is_json(tmp_path: Path) -> None:
    done = script(tmp_path, "step()")
    (finding,) = done.findings
    data = json.loads(json.dumps(finding.to_dict()))
    assert set(data) == {"rule", "path", "line", "column", "confidence", "message", "fix", "cause"}
    assert Finding.from_dict(data) == finding


def test_the_child_is_a_module() -> None:
    result = subprocess.run([sys.executable, "-m", "crossentropy.doctor._runtime._run"], capture_output=True, text=True)
    assert result.returncode != 0


# --- programs of other kinds --------------------------------------------------------------------------------------


def test_losses_under_vmap_are_examined_by_their_first_sample():
    def loss(weight: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy((x @ weight).softmax(-1), y)

    def program() -> None:
        gradient = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
        gradient(torch.randn(4, C), torch.randn(N, 4), labels())

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with doctor.watch() as report:
            program()
    assert [finding.rule for finding in report.findings] == ["softmax-before-cross-entropy"]


def test_tensors_without_numbers_are_left_alone():
    with warnings.catch_warnings(), doctor.watch() as report:
        warnings.simplefilter("error")
        with torch.device("meta"):
            F.cross_entropy(torch.randn(N, C), torch.zeros(N, dtype=torch.long), weight=torch.ones(C))
        nn.LazyLinear(3)(torch.randn(2, 4))
    assert not report.findings


def test_a_replaced_loss_is_called_once_and_seen(monkeypatch: pytest.MonkeyPatch):
    calls = []
    torchs = F.cross_entropy

    def counted(*arguments: Any, **keywords: Any) -> Tensor:
        calls.append(1)
        return torchs(*arguments, **keywords)

    monkeypatch.setattr(F, "cross_entropy", counted)
    with doctor.watch() as report:
        F.cross_entropy(logits().softmax(1), labels())
    assert len(calls) == 1
    assert [finding.rule for finding in report.findings] == ["softmax-before-cross-entropy"]


@pytest.mark.parametrize("entropy", [True, False])
def test_a_logarithm_that_is_kept_from_zero_is_right_in_an_entropy(entropy: bool):
    def program() -> None:
        p = logits().softmax(1)
        (-(p if entropy else one_hot()) * torch.log(p + 1e-9)).sum().backward()

    assert found(program) == ({} if entropy else {"log-of-softmax": "certain"})


def test_the_background_of_a_detector_is_no_padding():
    def program() -> None:
        target = torch.full((3, T), C - 1)
        target[:, :2] = labels(3, 2, classes=C - 1)
        F.cross_entropy(logits(3, T, C).transpose(1, 2), target)

    assert not found(program)


def test_a_label_of_uint8_is_not_ignored():
    """156 is −100 modulo 256, and a class like any other."""
    logits = torch.zeros(4, 171).index_fill(1, torch.tensor([156]), -torch.inf).requires_grad_()
    with doctor.watch() as watch:
        F.cross_entropy(logits, torch.tensor([156, 3, 156, 7], dtype=torch.uint8))
    assert [finding.rule for finding in watch.findings] == ["masked-target-logit"]
    assert "of class 156 is −inf in 2 of 4 rows" in str(watch)


def test_rows_that_are_filled_up_out_of_sight():
    filled = [[1, 2, 3, 0, 0, 0, 0], [4, 6, 5, 7, 8, 2, 0], [3, 5, 4, 6, 0, 0, 0]]
    assert language_model_of(filled) == {"padding-not-ignored": "likely"}
    assert language_model_of(filled, ignore_index=0) == {}
    assert language_model_of(filled, weight=(torch.arange(9) > 0).float()) == {}
    assert language_model_of([sorted(row) for row in filled]) == {}  # such as where a model learns to sort
    assert language_model_of([[1, 2, 3, 4, 0], [4, 6, 5, 7, 0], [3, 5, 4, 6, 0]]) == {}  # an end that is learnt


def test_an_autoencoder_is_no_language_model():
    def program() -> None:
        tokens = labels(4, T, classes=9)
        row = nn.Embedding(9, 8)(tokens).mean(1)
        F.cross_entropy(nn.Linear(8, T * 9)(row).view(4 * T, 9), tokens.flatten())

    assert not found(program)


def test_what_was_watched_is_forgotten():
    ids = torch.randint(9, (4, T))
    kept = weakref.ref(ids)
    with doctor.watch() as report:
        F.cross_entropy(nn.Embedding(9, 9)(ids).flatten(0, 1), ids.flatten().roll(1))
    del ids
    assert kept() is None
    assert report.calls == 1


def test_a_script_that_catches_everything_is_stopped(tmp_path: Path):
    script = tmp_path / "train.py"
    script.write_text(
        "import torch\n"
        "x = torch.zeros(2, 3, requires_grad=True)\n"
        "optimizer = torch.optim.SGD([x], 0.1)\n"
        "while True:\n"
        "    try:\n"
        "        torch.nn.functional.cross_entropy(x, torch.tensor([0, 1])).backward()\n"
        "        optimizer.step()\n"
        "    except BaseException:\n"
        "        pass\n"
    )
    done = _run.run(str(script), steps=2)
    assert (done.code, done.stopped, done.steps) == (0, True, 2)
