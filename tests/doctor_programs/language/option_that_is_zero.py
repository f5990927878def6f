import argparse

import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--distillation", type=float, default=0)
parser.add_argument("--warmup", type=int, default=0)
args = parser.parse_args()


def train(model, teacher, loader, optimizer):
    for x, y in loader:
        scores = model(x)
        taught = F.softmax(teacher(x), 1).detach()
        loss = F.cross_entropy(scores, y)
        if args.distillation > 0:
            student = F.softmax(scores, 1)
            loss = loss + args.distillation * F.kl_div(student, taught, reduction="batchmean")  # finds kl-div-on-probabilities likely
        loss.backward()
        optimizer.step()


def train_slowly(model, loader, optimizer):
    for x, y in loader:
        scores = F.log_softmax(model(x), 1)
        if args.warmup > 0:  # then the other option may be on as well
            scores = scores.exp()
        if args.distillation > 0:
            loss = F.cross_entropy(scores, y)
        else:
            loss = F.nll_loss(scores, y)
        loss.backward()
        optimizer.step()
