import torch


def loader(seed):
    generator = torch.Generator().manual_seed(seed)
    return [_batch(generator) for _ in range(3)]


def _batch(generator):
    return torch.randn(6, 1, 8, 8, generator=generator), torch.randint(0, 4, (6,), generator=generator)
