"""A language model under FSDP2 × tensor parallelism, as in torchtitan: the head is sharded, and so is its loss.

torchrun --nproc-per-node 2 examples/distributed_fsdp_tp.py    # 1 × 2 processes; with 4, 2 × 2
"""

import copy
import os
from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

from crossentropy.distributed import token_denominator, vocab_parallel_linear_cross_entropy
from crossentropy.functional import linear_cross_entropy

VOCABULARY, WIDTH, BATCH, LENGTH, STEPS = 1001, 32, 8, 16, 20
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of hidden states, the head and labels."""


class Layer(nn.Module):
    """Causal attention of one head, and an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Of (B, S, D)."""
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        x = x + F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + self.down(F.gelu(self.up(x)))


class Model(nn.Module):
    """A language model whose loss is taken where the head is, within the forward."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(2))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor, labels: Tensor, loss: Loss) -> Tensor:
        """The loss of next tokens."""
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x)
        return loss(self.norm(x), self.head.weight, labels)


def batches(device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Sequences of unlike length, and their next tokens."""
    generator = torch.Generator().manual_seed(1)
    text = [torch.randint(VOCABULARY // 20, (BATCH, LENGTH + 1), generator=generator) for _ in range(STEPS)]
    padded = [torch.arange(LENGTH) >= torch.randint(1, LENGTH, (BATCH, 1), generator=generator) for _ in text]
    return [(x[:, :-1].to(device), x[:, 1:].masked_fill(pad, -100).to(device)) for x, pad in zip(text, padded)]


def train(model: Model, loss: Loss, device: torch.device, part: int, parts: int) -> list[Tensor]:
    """Train on a part of all rows; the loss of each step."""
    optimizer, losses = torch.optim.AdamW(model.parameters(), 3e-3), []
    for tokens, labels in batches(device):
        value = model(tokens.chunk(parts)[part], labels.chunk(parts)[part], loss)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(value.detach())
    return losses


def main() -> None:
    """Train by all processes and by one, and compare."""
    gpu = torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"])
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if gpu else "gloo")
    mesh = init_device_mesh(device.type, (dist.get_world_size() // 2, 2), mesh_dim_names=("dp", "tp"))

    tp, dp = mesh["tp"], mesh["dp"]

    torch.manual_seed(0)
    alone = Model().to(device)
    model = copy.deepcopy(alone)
    plan = {"layers.*.up": ColwiseParallel(), "layers.*.down": RowwiseParallel(), "head": ColwiseParallel()}
    parallelize_module(model, tp, plan)
    for part in (*model.layers, model):
        fully_shard(part, mesh=dp)

    def loss_of_part(hidden: Tensor, head: Tensor, labels: Tensor) -> Tensor:
        assert isinstance(head, DTensor)
        denominator = token_denominator(labels, group=dp)  # FSDP averages over dp, whose batches have unlike lengths
        return vocab_parallel_linear_cross_entropy(hidden, head.to_local(), labels, group=tp, denominator=denominator)

    losses = torch.stack(train(model, loss_of_part, device, dp.get_local_rank(), dp.size()))
    dist.all_reduce(losses, group=dp.get_group())
    losses /= dp.size()  # the mean over dp, as of the gradients
    expected = torch.stack(train(alone, linear_cross_entropy, device, 0, 1))
    if dist.get_rank() == 0:
        difference = float((losses - expected).abs().max())
        print(
            f"mesh {tuple(mesh.shape)}: loss {losses[0]:.3f} → {losses[-1]:.3f}, as in one process to {difference:.1e}"
        )
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=0.0)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
