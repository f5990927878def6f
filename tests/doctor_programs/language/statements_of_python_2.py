import torch.nn.functional as F
from torch import nn


def train(model, loader):
    for step, (rows, labels) in enumerate(loader):
        labels = labels.cuda(async=True)
        scores = F.softmax(model(rows), 1)
        loss = nn.CrossEntropyLoss()(scores, labels)  # finds softmax-before-cross-entropy certain
        loss.backward()
        print "step", step, "loss %.3f" % loss.data[0]  # shown
        if step % 10 == 0: print 'ten'; print -step
	print step,
    try:
        open("log")
    except IOError, error:
        print(error)
