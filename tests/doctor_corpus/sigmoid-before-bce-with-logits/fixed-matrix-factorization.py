import torch
import torch.nn.functional as F

N_USERS, N_ITEMS, DIM = 30, 50, 8


class MF(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.users = torch.nn.Embedding(N_USERS, DIM)
        self.items = torch.nn.Embedding(N_ITEMS, DIM)
        self.bias = torch.nn.Parameter(torch.zeros(()))

    def forward(self, u, i):
        score = (self.users(u) * self.items(i)).sum(-1) + self.bias
        return score


def sample_batch(generator, n=64):
    u = torch.randint(N_USERS, (n,), generator=generator)
    i = torch.randint(N_ITEMS, (n,), generator=generator)
    clicked = ((u + i) % 3 == 0).float()
    return u, i, clicked


def main(steps=5):
    torch.manual_seed(42)
    gen = torch.Generator().manual_seed(42)
    mf = MF()
    optim = torch.optim.Adagrad(mf.parameters(), lr=0.1)
    for step in range(steps):
        u, i, clicked = sample_batch(gen)
        loss = F.binary_cross_entropy_with_logits(mf(u, i), clicked)
        optim.zero_grad()
        loss.backward()
        optim.step()
        print("step", step, "bce", round(loss.item(), 4))


main()
