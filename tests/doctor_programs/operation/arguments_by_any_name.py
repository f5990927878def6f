import torch
import torch.nn as nn
import torch.nn.functional as F

model = nn.Conv2d(3, 5, 1)
x, y = torch.randn(2, 3, 4, 7), torch.randint(0, 5, (2, 4, 7))

F.cross_entropy(torch.softmax(input=model(x), dim=1), y)  # finds softmax-before-cross-entropy certain
F.nll_loss(model(x).log_softmax(axis=2), y)  # finds softmax-wrong-dim certain
F.nll_loss(model(x).log_softmax(1).movedim(source=1, destination=-1).movedim(3, 1), y)
F.nll_loss(model(x).moveaxis(1, destination=-1).log_softmax(-1).mT.swapdims(1, 3).mT, y)  # finds class-axis-not-one certain
F.cross_entropy(model(x).swapaxes(axis0=1, axis1=3).adjoint().swapdims(dim0=1, dim1=2), y)
