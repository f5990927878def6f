import ignite.engine
import numpy as np
import skorch
import torch
from fastai.learner import Learner
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import nn


class Small(nn.Module):
    def __init__(self, classes=2, squash=nn.ReLU()):
        super().__init__()
        self.squash = squash
        self.last = nn.Linear(20, classes)

    def forward(self, rows, **kwargs):
        return self.last(self.squash(rows)).softmax(-1)


net = NeuralNetClassifier(Small, criterion=nn.CrossEntropyLoss, max_epochs=3)  # finds softmax-before-cross-entropy certain
net.fit(np.random.randn(100, 20).astype("float32"), np.random.randint(0, 2, 100))
right = NeuralNetClassifier(Small, max_epochs=3, module__classes=4)
right = NeuralNetClassifier(module=Small, criterion=nn.NLLLoss)
plain = skorch.NeuralNet(Small(), nn.NLLLoss)  # finds softmax-before-nll certain
binary = NeuralNetBinaryClassifier(nn.Sequential(nn.Linear(20, 1), nn.Sigmoid()))  # finds sigmoid-before-bce-with-logits certain

model = Small(classes=4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
step = ignite.engine.create_supervised_trainer(model, optimizer, nn.CrossEntropyLoss())  # finds softmax-before-cross-entropy certain
step = ignite.engine.create_supervised_trainer(nn.Linear(3, 4), optimizer, nn.CrossEntropyLoss())
learner = Learner(None, model, loss_func=nn.CrossEntropyLoss())  # finds softmax-before-cross-entropy certain
