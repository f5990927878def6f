import torch
from torch.nn import *
from torch.nn.functional import *

model = Sequential(Linear(3, 4), Softmax(dim=1))
loss = CrossEntropyLoss()(model(torch.randn(2, 3)), torch.randint(0, 4, (2,)))  # finds softmax-before-cross-entropy certain
loss = cross_entropy(Linear(3, 4)(torch.randn(2, 3)), torch.randint(0, 4, (2,)))
