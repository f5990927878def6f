# run time only
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

UNKNOWN = -1


def survey(n_labelled, n_unlabelled):
    answers = torch.randn(n_labelled + n_unlabelled, 10)
    group = answers[:, :3].argmax(1)
    group[n_labelled:] = UNKNOWN
    return TensorDataset(answers, group)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(10, 6), nn.Tanh())
        self.decode = nn.Linear(6, 10)
        self.classify = nn.Linear(6, 3)

    def forward(self, x):
        z = self.encode(x)
        return self.decode(z), self.classify(z)


torch.manual_seed(202)
loader = DataLoader(survey(24, 40), batch_size=16)
model = Model()
supervised = nn.CrossEntropyLoss(ignore_index=UNKNOWN)  # here
reconstruction = nn.MSELoss()
opt = torch.optim.Adam(model.parameters(), lr=0.01)
for x, group in loader:
    decoded, logits = model(x)
    loss = reconstruction(decoded, x)
    loss = loss + supervised(logits, group)  # here
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(loss.item())
