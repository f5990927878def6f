import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(4, 3)


def all_alike(batch):
    reference = next(model.parameters())
    return [part.to(reference) for part in batch]


def by_dtype(batch):
    dtype = next(model.parameters()).dtype
    return {name: part.to("cpu", dtype) for name, part in batch.items()}


def floats_alone(batch):
    reference = next(model.parameters())
    return [part.to(reference) if part.is_floating_point() else part.to(reference.device) for part in batch]


def floats_by_dtype(batch):
    return [part.to(torch.float32) if part.dtype.is_floating_point else part for part in batch]


def doubles(batch):
    return [part.float() if part.dtype == torch.float64 else part for part in batch]


def integers_apart(batch):
    return [part if part.dtype == torch.int64 else part.float() for part in batch]


def data():
    return torch.randn(8, 4, dtype=torch.float64), torch.randint(0, 3, (8,))


x, y = all_alike(data())
loss = F.cross_entropy(model(x), y)  # finds float-class-index certain
batch = by_dtype(dict(zip(("x", "y"), data())))
loss = F.cross_entropy(model(batch["x"]), batch["y"])  # finds float-class-index certain
for move in (floats_alone, floats_by_dtype, doubles, integers_apart):
    x, y = move(data())
    loss = F.cross_entropy(model(x), y)
