import torch

PROTOTYPES = torch.randn(6, 50, generator=torch.Generator().manual_seed(0))


def batches(n, size=24):
    for _ in range(n):
        topic = torch.randint(len(PROTOTYPES), (size,))
        bag = PROTOTYPES[topic] + 0.5 * torch.randn(size, 50)
        yield bag, topic
