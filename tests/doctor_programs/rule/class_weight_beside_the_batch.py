import torch
import torch.nn.functional as F
from torch import nn

BATCH = CLASSES = 10
model = nn.Linear(25, CLASSES)


def stream(n):
    for _ in range(n):
        trust = torch.rand(BATCH) + 0.1
        yield torch.randn(BATCH, 25), torch.randint(0, CLASSES, (BATCH,)), trust


def fields(n):
    for _ in range(n):
        x, y = torch.randn(BATCH, 25), torch.randint(0, CLASSES, (BATCH,))
        yield {"x": x, "y": y, "trust": torch.rand(BATCH)}


share = torch.rand(CLASSES)
for x, y, w in stream(8):
    loss = F.cross_entropy(model(x), y, weight=w / w.mean())  # finds class-weight-shape certain
    loss = (F.cross_entropy(model(x), y, reduction="none") * w).mean()
    loss = F.cross_entropy(model(x), y, weight=share)
for batch in fields(8):
    loss = F.cross_entropy(model(batch["x"]), batch["y"], weight=batch["trust"].sqrt())  # finds class-weight-shape certain


def boosted(x):
    y = torch.randint(0, CLASSES, (len(x),))
    weights = torch.ones(len(y))
    return nn.CrossEntropyLoss(weight=weights)(model(x), y)  # finds class-weight-shape certain


def contrasted(z):
    y = torch.arange(len(z))
    return F.cross_entropy(z @ z.t(), y, weight=torch.ones(len(z)))


boosted(torch.load("rows.pt"))
contrasted(torch.load("embeddings.pt"))
