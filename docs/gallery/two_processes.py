"""Two processes hold half of the vocabulary each, and train as one that holds it all."""

import socket

import matplotlib.pyplot as plt
import torch
import torch.distributed as dist
from torch.multiprocessing import spawn

from crossentropy.distributed import vocab_parallel_linear_cross_entropy

VOCABULARY, WIDTH, STEPS = 1000, 32, 30


def train(rank: int, ranks: int) -> list[float]:
    """Learn next tokens, with the rank's part of the head; the loss of each step."""
    torch.manual_seed(0)
    embedding = torch.randn(VOCABULARY, WIDTH, requires_grad=True)
    whole = torch.randn(VOCABULARY, WIDTH) / WIDTH**0.5
    head = whole.chunk(ranks)[rank].clone().requires_grad_()
    text = torch.randint(VOCABULARY, (8, 65))
    optimizer, losses = torch.optim.Adam([embedding, head], 0.03), []
    for _ in range(STEPS):
        loss = vocab_parallel_linear_cross_entropy(embedding[text[:, :-1]], head, text[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def work(rank: int, port: int) -> None:
    """What each of the two processes does; the first draws."""
    torch.set_num_threads(1)
    alone = train(0, 1)  # before there is a group, a process is the only one
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    together = train(rank, 2)
    dist.destroy_process_group()
    if rank == 0:
        figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
        left.plot(alone, label="one process")
        left.plot(together, "o", markersize=4, label="two processes")
        left.set(xlabel="step", ylabel="loss", ylim=(0, None))
        left.legend(frameon=False)
        right.plot([abs(a - b) / a for a, b in zip(alone, together)], "o", markersize=4)
        right.axhline(2**-23, color="0.5", linestyle="--", linewidth=1)
        right.annotate("$2^{-23}$, the spacing of float32", (STEPS, 2**-23), ha="right", va="bottom")
        right.set(xlabel="step", ylabel="relative difference", ylim=(0, 4e-7))
        figure.savefig("two_processes.svg")


if __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(work, (port,), nprocs=2)
