import torch
from torch import nn
from torch.utils.data import DataLoader


class Reviews:
    def __init__(self, n):
        self.words = torch.randn(n, 6).tolist()
        self.stars = [int(sum(w[:2]) > 0) + int(w[2] > 0) for w in self.words]

    def __len__(self):
        return len(self.stars)

    def __getitem__(self, i):
        return {"words": self.words[i], "stars": self.stars[i]}


def floats(rows):
    return {key: torch.tensor([row[key] for row in rows], dtype=torch.float32) for key in rows[0]}


def by_field(rows):
    dtypes = {"words": torch.float32, "stars": torch.long}
    return {key: torch.tensor([row[key] for row in rows], dtype=dtypes[key]) for key in rows[0]}


def by_kind(rows):
    batch = {key: torch.tensor([row[key] for row in rows]) for key in rows[0]}
    return {key: value.float() if value.is_floating_point() else value for key, value in batch.items()}


model = nn.Linear(6, 3)
criterion = nn.CrossEntropyLoss()
for batch in DataLoader(Reviews(32), batch_size=4, collate_fn=floats):
    loss = criterion(model(batch["words"]), batch["stars"])  # finds float-class-index likely
for batch in DataLoader(Reviews(32), batch_size=4, collate_fn=by_field):
    loss = criterion(model(batch["words"]), batch["stars"])
for batch in DataLoader(Reviews(32), batch_size=4, collate_fn=by_kind):
    loss = criterion(model(batch["words"]), batch["stars"])
