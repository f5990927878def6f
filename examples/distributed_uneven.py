"""DistributedDataParallel over batches with unlike numbers of tokens: one line makes it the mean over all tokens.

torchrun --nproc-per-node 2 examples/distributed_uneven.py
"""

import os

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import crossentropy.functional as F
from crossentropy.distributed import token_denominator

VOCABULARY, WIDTH = 500, 32


class Model(nn.Module):
    """An embedding and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits."""
        return self.head(self.embedding(tokens))


def loss_of(model: nn.Module, text: Tensor, denominator: Tensor | None) -> Tensor:
    """The loss of next tokens; padding is −100."""
    labels = text[:, 1:]
    return F.cross_entropy(model(text[:, :-1].clamp(min=0)).flatten(0, 1), labels.flatten(), denominator=denominator)


def gradient(model: nn.Module, batches: list[Tensor], *, counted: bool) -> Tensor:
    """The gradient of a step, over micro-batches of this process; each has a mean of its own, or all have one."""
    model.zero_grad()
    denominator = token_denominator([text[:, 1:] for text in batches]) if counted else None
    for text in batches:
        loss = loss_of(model, text, denominator)
        (loss if counted else loss / len(batches)).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def main() -> None:
    """Compare gradients with those of one process that has everything."""
    gpu = torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"])
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if gpu else "gloo")

    torch.manual_seed(0)
    alone = Model().to(device)
    model = DistributedDataParallel(Model().to(device))  # which sends the first process's parameters to all others
    alone.load_state_dict(model.module.state_dict())
    texts = []  # of each process two micro-batches of two sequences, which are longer with each process
    for longest in range(1, dist.get_world_size() + 1):
        text = torch.randint(VOCABULARY, (2, 2, 64))
        texts.append(text.masked_fill(torch.arange(64) > torch.randint(1, 15 * longest, (2, 2, 1)), -100).to(device))
    mine = list(texts[dist.get_rank()])

    whole = torch.cat([text.flatten(0, 1) for text in texts])
    exact = gradient(alone, [whole], counted=False)
    right, wrong = (gradient(model, mine, counted=counted) for counted in (True, False))
    off = [float((found - exact).norm() / exact.norm()) for found in (right, wrong)]
    if dist.get_rank() == 0:
        print(f"gradient of one process: to {off[0]:.1e} with token_denominator, off by {off[1]:.0%} without")
    assert off[0] < 1e-5 < off[1], off
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
