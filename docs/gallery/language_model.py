"""Train a language model of characters on Python's own source, and see which characters surprise it."""

import argparse
import inspect

import matplotlib.pyplot as plt
import torch

import crossentropy.functional as F
from crossentropy import information

source = inspect.getsource(argparse)
alphabet = sorted(set(source))
text = torch.tensor([alphabet.index(character) for character in source])
held_out, text = text[:3000], text[3000:]


class Model(torch.nn.Module):
    """The hidden state (N, T, D) before each next character, and the head that makes logits of it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(len(alphabet), 32)
        self.layer = torch.nn.GRU(32, 128, batch_first=True)
        self.head = torch.nn.Linear(128, len(alphabet))

    def loss(self, text: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
        hidden, _ = self.layer(self.embedding(text[:, :-1]))
        head, bias = self.head.weight, self.head.bias
        return F.linear_cross_entropy(hidden, head, text[:, 1:], linear_bias=bias, reduction=reduction)


torch.manual_seed(0)
model, losses, bit = Model(), [], torch.tensor(2.0).log().item()
optimizer = torch.optim.Adam(model.parameters(), 0.01)
for step in range(200):
    starts = torch.randint(len(text) - 48, (24, 1))
    loss = model.loss(text[starts + torch.arange(49)])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item() / bit)
with torch.no_grad():
    surprise = model.loss(held_out[None], reduction="none")[0] / bit
print(f"{surprise.mean().item():.2f} bits per character of text that it has never seen")

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", width_ratios=(2, 3))
left.plot(losses)
frequencies = text.bincount(minlength=len(alphabet)) / len(text)
for name, p in {"uniform": torch.ones(len(alphabet)) / len(alphabet), "frequencies": frequencies}.items():
    entropy = information.entropy(p, unit="bit")
    left.axhline(entropy.item(), linestyle="--", color="0.5", linewidth=1)
    left.annotate(name, (200, entropy.item()), ha="right", va="bottom")
left.set(xlabel="step", ylabel="bits per character", ylim=(0, 7))
start = 1500
for place, (character, bits) in enumerate(zip(source[start + 1 :], surprise[start : start + 396].tolist())):
    x, y = place % 44, place // 44
    right.add_patch(plt.Rectangle((x, y), 1, 1, color="C1", alpha=min(bits / 10, 1)))
    character = " " if character == "\n" else character
    right.text(x + 0.5, y + 0.55, character, ha="center", va="center", family="monospace", fontsize=7, parse_math=False)
right.set(xlim=(0, 44), ylim=(9, 0), title="what surprises it")
right.axis("off")
figure.savefig("language_model.svg")
