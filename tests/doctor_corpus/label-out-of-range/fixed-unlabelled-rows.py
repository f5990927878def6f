# run time only
import csv
import io

import torch
import torch.nn.functional as F
from torch import nn

RECORDS = """length,width,depth,habitat
5.1,3.5,1.4,0
4.9,3.0,1.4,2
7.0,3.2,4.7,1
6.4,3.2,4.5,-1
6.3,3.3,6.0,2
5.8,2.7,5.1,0
6.9,3.1,4.9,-1
5.5,2.3,4.0,1
"""


def read(text):
    rows = list(csv.DictReader(io.StringIO(text)))
    x = torch.tensor([[float(r[k]) for k in ("length", "width", "depth")] for r in rows])
    y = torch.tensor([int(r["habitat"]) for r in rows])
    return x, y


def main():
    torch.manual_seed(162)
    x, y = read(RECORDS)
    x = (x - x.mean(0)) / x.std(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(5):
        loss = F.cross_entropy(model(x), y, ignore_index=-1)
        opt.zero_grad()
        loss.backward()
        opt.step()
        print(epoch, loss.item())


if __name__ == "__main__":
    main()
