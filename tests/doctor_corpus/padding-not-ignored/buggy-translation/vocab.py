import random

import torch

PAD, BOS, EOS = 0, 1, 2


def pad(rows):
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def pairs(n, seed):
    """Sequences and their reversals."""
    rng = random.Random(seed)
    words = [[rng.randint(3, 29) for _ in range(rng.randint(2, 9))] for _ in range(n)]
    return pad([w + [EOS] for w in words]), pad([[BOS, *reversed(w), EOS] for w in words])
