import torch
from torch.utils.data import Dataset

TAGS = ["beach", "people", "night", "animal", "food", "car"]


class TaggedImages(Dataset):
    def __init__(self, n):
        g = torch.Generator().manual_seed(0)
        self.images = torch.rand(n, 3, 8, 8, generator=g)
        self.tags = [sorted({i % 6, (i // 2) % 6, (i * i) % 6}) for i in range(n)]

    def __len__(self):
        return len(self.tags)

    def __getitem__(self, i):
        target = torch.zeros(len(TAGS))
        target[self.tags[i]] = 1.0  # here
        return self.images[i], target
