import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.model_selection import train_test_split
from torch import nn

df = pd.read_csv("a.csv")
x, _, y, _ = train_test_split(df.drop("label", axis=1).values, df["label"].values)
F.cross_entropy(nn.Linear(4, 3)(torch.FloatTensor(x)), torch.tensor(y, dtype=torch.float32))  # finds float-class-index certain
