"""A loss below the entropy of its source is too good to be true: the doctor finds the labels that were not shifted."""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from crossentropy import doctor, information

torch.manual_seed(0)
following = (2 * torch.randn(12, 12)).softmax(1)  # the probabilities of the next token
text = torch.randint(12, (400, 1))
for _ in range(32):
    text = torch.cat([text, following[text[:, -1]].multinomial(1)], 1)
rate = (information.entropy(following) * text.flatten().bincount(minlength=12) / text.numel()).sum().item()


def make_model() -> torch.nn.Module:
    """An embedding and a head: enough for a chain."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Embedding(12, 16), torch.nn.Linear(16, 12))


def broken() -> list[float]:
    """The labels are the inputs."""
    model, losses = make_model(), []
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(60):
        logits = model(text)
        loss = F.cross_entropy(logits.view(-1, 12), text.view(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def mended() -> list[float]:
    """The labels are the tokens that follow."""
    model, losses = make_model(), []
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(60):
        logits = model(text[:, :-1])
        loss = F.cross_entropy(logits.reshape(-1, 12), text[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


with doctor.watch() as report:
    too_good = broken()
print(report)
plt.plot(too_good, label=f"doctor: {', '.join(finding.rule for finding in report.findings)}")
plt.plot(mended(), label="mended")
plt.axhline(rate, color="0.5", linestyle="--", linewidth=1)
plt.annotate("entropy of the source", (59, rate), ha="right", va="bottom")
plt.xlabel("step")
plt.ylabel("loss")
plt.ylim(0, None)
plt.legend(frameon=False)
plt.tight_layout()
plt.savefig("doctor.svg")
