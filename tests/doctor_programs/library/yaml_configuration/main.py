import json
from pathlib import Path

import torch
import yaml
from easydict import EasyDict
from torch import nn

with open("settings.yaml") as file:
    config = yaml.safe_load(file)
    settings = EasyDict(config)
model = nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1))
rows, labels = torch.randn(2, 3), torch.randint(0, 4, (2,))
if settings.train.loss == "ce":
    criterion = nn.CrossEntropyLoss()
else:
    criterion = nn.MSELoss()
loss = criterion(model(rows), labels)  # finds softmax-before-cross-entropy likely
if config["train"]["loss"] == "nll":
    loss = nn.NLLLoss()(model(rows), labels)

names = json.loads(Path("settings.json").read_text())
plain = nn.Sequential(nn.Linear(3, 4), getattr(nn, names["last"])(dim=1))
loss = getattr(nn, names["loss"])()(plain(rows), labels)  # finds log-softmax-before-cross-entropy info
absent = yaml.safe_load(open("nothing.yaml"))
loss = getattr(nn, absent["loss"])()(model(rows), labels)
