import torch
import torch.nn.functional as F


def over_its_sum(model, tokens, labels, attention_mask):
    losses = F.cross_entropy(model(tokens).transpose(1, 2), labels, reduction="none")
    return (losses * attention_mask).sum() / attention_mask.sum()


def over_its_mean(model, tokens, labels, attention_mask):
    losses = F.cross_entropy(model(tokens).transpose(1, 2), labels, reduction="none")
    return (losses * attention_mask).mean() / attention_mask.mean()


def of_each_row(model, tokens, labels, pad):
    mask = (labels != pad).float()
    losses = F.cross_entropy(model(tokens).transpose(1, 2), labels, reduction="none") * mask
    return (losses.sum(1) / mask.sum(1)).mean()


def over_a_part(model, tokens, labels, pad):
    mask = labels != pad
    losses = F.cross_entropy(model(tokens).transpose(1, 2), labels, reduction="none") * mask
    return losses[mask].mean()


def of_normalised_weights(model, tokens, labels, pad):
    mask = (labels != pad).float()
    mask /= mask.mean()
    losses = F.cross_entropy(model(tokens).transpose(1, 2), labels, reduction="none")
    return (losses * mask).mean()


def of_confident_rows(model, weak, strong, threshold):
    confidence, labels = model(weak).detach().softmax(1).max(1)
    mask = confidence.ge(threshold).float()
    return (F.cross_entropy(model(strong), labels, reduction="none") * mask).mean()


def of_a_distance(model, x, y, loss_mask):
    return (F.mse_loss(model(x), y, reduction="none") * loss_mask).mean()
