"""Recipes of docs/use/row-losses.md, as they stand there: values and gradients against dense logits, in float64."""

import doctest
import io
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as T
from torch import Tensor

from crossentropy import functional as F

PAGE = Path(__file__).parent.parent / "docs" / "use" / "row-losses.md"
B, L, D, V = 4, 7, 5, 23


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    """The page's functions by name."""
    found: dict[str, Any] = {}
    with redirect_stdout(io.StringIO()):
        for example in doctest.DocTestParser().get_examples(PAGE.read_text("utf-8")):
            exec(compile(example.source, str(PAGE), "exec"), found)
    return found


class Policy:
    """Hidden states, heads and labels; log-probabilities and divergences by torch's log_softmax of all logits."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.hidden, self.reference_hidden, self.old_hidden = (torch.randn(B, L, D).double() for _ in range(3))
        self.head, self.reference_head = torch.randn(V, D).double(), torch.randn(V, D).double()
        self.hidden.requires_grad_()
        self.head.requires_grad_()
        self.labels = torch.randint(V, (B, L))
        self.labels[0, :4] = self.labels[2, :1] = -100
        self.counts = self.labels != -100
        self.length = self.counts.sum(-1)
        self.all_log_probs = (self.hidden @ self.head.T).log_softmax(-1)
        self.all_reference = (self.reference_hidden @ self.reference_head.T).log_softmax(-1)
        self.log_prob = self._picked(self.all_log_probs)
        self.reference = self._picked(self.all_reference)
        # near the policy, so that ratios lie on both sides of each bound and between them
        self.old = self.log_prob.detach() + 0.4 * torch.randn(B, L).double()
        self.advantage = torch.randn(B, 1).double()
        self.entropy = -(self.all_log_probs.exp() * self.all_log_probs).sum(-1)

    def _picked(self, log_probs: Tensor) -> Tensor:
        return log_probs.gather(-1, self.labels.clamp(min=0).unsqueeze(-1)).squeeze(-1) * self.counts

    def row_loss(self, function: Callable[..., Tensor], **options: Any) -> Tensor:
        return F.row_loss(function, self.hidden, self.labels, linear_weight=self.head, **options)

    def agree(self, found: Tensor, expected: Tensor) -> None:
        """Values and gradients of numbers of size 10, some hundred roundings apart."""
        of, upstream = (self.hidden, self.head), torch.ones_like(found)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)
        gradients = torch.autograd.grad(found, of, upstream, retain_graph=True)
        for g, e in zip(gradients, torch.autograd.grad(expected, of, upstream, retain_graph=True)):
            assert e.abs().max() > 1e-3
            torch.testing.assert_close(g, e, rtol=1e-11, atol=1e-12)


@pytest.fixture
def policy() -> Policy:
    return Policy()


def test_sequence_log_probabilities(recipe: dict[str, Any], policy: Policy) -> None:
    sums = policy.log_prob.sum(-1)
    arguments = policy.hidden, policy.head, policy.labels
    policy.agree(recipe["sequence_log_prob"](*arguments), sums)
    policy.agree(recipe["mean_log_prob"](*arguments), sums / policy.length)


def test_dpo(recipe: dict[str, Any], policy: Policy) -> None:
    of = recipe["sequence_log_prob"]
    chosen, rejected = of(policy.hidden, policy.head, policy.labels).chunk(2)
    reference = of(policy.reference_hidden, policy.reference_head, policy.labels).chunk(2)
    found = recipe["dpo_loss"](chosen, rejected, *reference, beta=0.3)
    (a, b), (c, d) = policy.log_prob.sum(-1).chunk(2), policy.reference.sum(-1).chunk(2)
    policy.agree(found, T.softplus(-0.3 * (a - b - c + d)).mean())


def test_orpo(recipe: dict[str, Any], policy: Policy) -> None:
    chosen, rejected = recipe["mean_log_prob"](policy.hidden, policy.head, policy.labels).chunk(2)
    found = recipe["orpo_loss"](chosen, rejected, weight=0.2)
    p, q = (policy.log_prob.sum(-1) / policy.length).exp().chunk(2)
    ratio = (p / (1 - p)) / (q / (1 - q))
    policy.agree(found, (-p.log() + 0.2 * (1 + 1 / ratio).log()).mean())


def test_odds_of_a_sure_policy_are_finite(recipe: dict[str, Any]) -> None:
    """In float32, of an answer at 60 above all others: log p is −5e-26, and 1 − p is that, not 0."""
    hidden, labels = 60 * torch.eye(2, 3).unsqueeze(1), torch.tensor([[0], [2]])
    hidden.requires_grad_()
    chosen, rejected = recipe["mean_log_prob"](hidden, torch.eye(3), labels).chunk(2)
    loss = recipe["orpo_loss"](chosen, rejected)
    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, hidden)[0]).all()


def _clipped(policy: Policy, bonus: float = 0.0, beta: float = 0.0) -> Tensor:
    """The loss of each token."""
    ratio, gained = (policy.log_prob - policy.old).exp(), policy.advantage
    bound = 1 + 0.2 * gained.sign()
    beyond = torch.where(gained > 0, ratio > bound, ratio < bound)
    assert beyond[policy.counts].any()
    assert not beyond[policy.counts].all()
    d = policy.reference - policy.log_prob
    return -torch.where(beyond, bound, ratio) * gained - bonus * policy.entropy + beta * (d.exp() - d - 1)


def test_ppo_with_an_entropy_bonus(recipe: dict[str, Any], policy: Policy) -> None:
    found = policy.row_loss(recipe["clipped"](policy.old, policy.advantage, bonus=0.1))
    policy.agree(found, _clipped(policy, bonus=0.1)[policy.counts].mean())


@pytest.mark.parametrize("average", ["tokens", "sequences", "constant"])
def test_grpo(average: str, recipe: dict[str, Any], policy: Policy) -> None:
    options: dict[str, Any] = {}
    rows = _clipped(policy, beta=0.04) * policy.counts
    if average == "tokens":
        expected = rows.sum() / policy.counts.sum()
    elif average == "sequences":
        options["token_weight"] = policy.counts.double() / policy.length.unsqueeze(-1)
        expected = (rows.sum(-1) / policy.length).mean()
    else:
        options["denominator"] = B * L
        expected = rows.sum() / (B * L)
    function = recipe["clipped"](policy.old, policy.advantage, reference=policy.reference.detach(), beta=0.04)
    policy.agree(policy.row_loss(function, **options), expected)


def test_what_stands_at_a_prompt_does_not_matter(recipe: dict[str, Any], policy: Policy) -> None:
    expected = _clipped(policy)[policy.counts].mean()
    old = policy.old.masked_fill(~policy.counts, torch.nan)
    policy.agree(policy.row_loss(recipe["clipped"](old, policy.advantage)), expected)


def test_dft(recipe: dict[str, Any], policy: Policy) -> None:
    rows = -policy.log_prob.detach().exp() * policy.log_prob
    policy.agree(policy.row_loss(recipe["dft"]), rows[policy.counts].mean())


def test_exact_penalty(recipe: dict[str, Any], policy: Policy) -> None:
    heads = policy.hidden, policy.head, policy.reference_hidden, policy.reference_head
    p, log_p, log_q = policy.all_log_probs.exp(), policy.all_log_probs, policy.all_reference
    expected = (p * (log_p - log_q)).sum(-1) * policy.counts
    policy.agree(recipe["reference_penalty"](*heads, policy.counts), expected)
