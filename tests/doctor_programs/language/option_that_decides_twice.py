"""One option decides of the model and of the loss: each fits the other, whatever is chosen."""

import argparse

import torch
import torch.nn.functional as F
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--loss", default="logits")
parser.add_argument("--probabilities", action="store_true")
options = parser.parse_args()

model = nn.Linear(8, 4)
rows, labels = torch.randn(16, 8), torch.randint(0, 4, (16,))
scores = model(rows) if options.loss == "logits" else F.log_softmax(model(rows), dim=1)
criterion = {"logits": nn.CrossEntropyLoss(), "nll": nn.NLLLoss()}[options.loss]
criterion(scores, labels).backward()

output = model(rows)
if options.probabilities:
    output = torch.sigmoid(output)
binary = nn.BCELoss() if options.probabilities else nn.BCEWithLogitsLoss()
binary(output, F.one_hot(labels, 4).float()).backward()
