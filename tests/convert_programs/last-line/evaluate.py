import torch


def accuracy(output, target):
    pred = output.argmax(dim=1)
    return pred.eq(target).float().mean().item()


def evaluate(model, val_loader, criterion):
    model.eval()
    losses, accs = [], []
    with torch.no_grad():
        for x, y in val_loader:
            out = model(x)
            losses.append(criterion(out, y).item())
            accs.append(accuracy(out, y))
    return sum(losses) / len(losses), sum(accs) / len(accs)


def predict(model, images):
    classes, scores = [], []
    with torch.no_grad():
        for x, _ in images:
            probs = model(x)
            conf, idx = probs.max(1)
            classes += idx.tolist()
            scores += [round(c, 5) for c in conf.tolist()]
    return classes, scores
