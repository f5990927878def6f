# run time only
import torch
import torch.nn as nn
import torch.nn.functional as F


class MovePolicy(nn.Module):
    """Scores of the nine fields; fields which are taken cannot be chosen."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(9, 32), nn.ReLU(), nn.Linear(32, 9))

    def forward(self, board):
        scores = self.net(board)
        return scores.masked_fill(board != 0, float("-inf"))  # here


def positions(n, generator):
    board = torch.randint(-1, 2, (n, 9), generator=generator)
    board[:, 4] = 0
    board[torch.arange(n), torch.randint(0, 4, (n,), generator=generator)] = 1
    move = torch.randint(0, 9, (n,), generator=generator)
    return board.float(), move


torch.manual_seed(341)
gen = torch.Generator().manual_seed(341)
policy = MovePolicy()
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
for game in range(4):
    board, move = positions(16, gen)
    loss = F.cross_entropy(policy(board), move)  # here
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(game, loss.item())
