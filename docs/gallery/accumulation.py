"""Accumulate gradients over micro-batches with unlike numbers of tokens, with the right denominator and without."""

import copy

import matplotlib.pyplot as plt
import torch

import crossentropy.functional as F

VOCABULARY, STEPS = 200, 40
torch.manual_seed(0)
lengths = torch.randint(2, 48, (STEPS, 4, 2, 1))  # of each step 4 micro-batches, of each two sequences
texts = torch.distributions.Geometric(0.05).sample((STEPS, 4, 2, 49)).long().clamp(max=VOCABULARY - 1)
texts = texts.masked_fill(torch.arange(49) > lengths, -100)
start = torch.nn.Sequential(torch.nn.Embedding(VOCABULARY, 32), torch.nn.Linear(32, VOCABULARY))


def loss_of(model: torch.nn.Module, text: torch.Tensor, denominator: torch.Tensor | None) -> torch.Tensor:
    """The loss of next tokens; padding is -100."""
    logits = model(text[:, :-1].clamp(min=0))
    return F.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten(), denominator=denominator)


def train(way: str) -> list[torch.Tensor]:
    """The parameters after each step."""
    model, history = copy.deepcopy(start), []
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    for step in texts:
        tokens = (step[:, :, 1:] != -100).sum()
        if way == "one batch":
            loss_of(model, step.flatten(0, 1), tokens).backward()
        for micro_batch in step if way != "one batch" else ():
            if way == "denominator":
                loss_of(model, micro_batch, tokens).backward()
            else:
                mean = F.cross_entropy(model(micro_batch[:, :-1].clamp(min=0)).mT, micro_batch[:, 1:])
                (mean / len(step)).backward()  # crossentropy: ignore[mean-of-means]
        optimizer.step()
        optimizer.zero_grad()
        history.append(torch.nn.utils.parameters_to_vector(model.parameters()).detach())
    return history


exact = train("one batch")
for way, label in (("mean of means", "mean of means"), ("denominator", "denominator=tokens")):
    off = [((found - whole).norm() / whole.norm()).item() for found, whole in zip(train(way), exact)]
    plt.semilogy(range(1, STEPS + 1), off, "o-", markersize=3, label=label)
plt.xlabel("step")
plt.ylabel("parameters, relative difference to one batch")
plt.ylim(1e-9, 1)
plt.legend(frameon=False)
plt.tight_layout()
plt.savefig("accumulation.svg")
