import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

df = pd.read_csv("a.csv")
x = torch.tensor(df[["a", "b"]].values, dtype=torch.float32)
model = nn.Linear(2, 3)
F.cross_entropy(model(x), torch.tensor(df[["p", "q", "r"]].values, dtype=torch.float32))
F.cross_entropy(model(x), torch.tensor(df["label"].values, dtype=torch.long))
F.cross_entropy(model(x), torch.tensor(df["label"].astype("int64").values))
