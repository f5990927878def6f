import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.autograd import Variable

model = nn.Sequential(nn.Linear(4, 3), nn.Softmax())
x, y = Variable(torch.Tensor(8, 4)), Variable(torch.LongTensor(8).random_(0, 3))
F.cross_entropy(model(x), y).backward()  # finds softmax-before-cross-entropy certain
F.cross_entropy(model(x).resize(4, 6), y)  # finds softmax-before-cross-entropy certain

pixels = nn.Conv2d(3, 5, 1)(Variable(torch.randn(2, 3, 4, 4)))
flat = pixels.resize(2 * 4 * 4, 5)  # finds view-instead-of-permute certain
F.cross_entropy(flat, torch.randint(0, 5, (32,)))

leaf = Variable(torch.randn(8, 3), requires_grad=True)
F.nll_loss(leaf.softmax(1), y).backward()  # finds softmax-before-nll certain
F.cross_entropy(Variable(model(x).data), y).backward()  # finds softmax-before-cross-entropy certain; detached-loss certain
