import torch
import torch.nn.functional as F
from torch import nn


def sequence_mask(x, lengths, value=0):
    mask = torch.arange(x.size(1))[None, :] < lengths[:, None]
    x[~mask] = value
    return x


class MaskedCrossEntropy(nn.CrossEntropyLoss):
    def forward(self, logits, labels, lengths):
        weights = sequence_mask(torch.ones_like(labels), lengths)
        self.reduction = "none"
        losses = super().forward(logits.permute(0, 2, 1), labels)
        return (losses * weights).mean(dim=1)  # finds padding-not-ignored likely


def train(model, batches):
    criterion = MaskedCrossEntropy()
    for x, y, lengths in batches:
        criterion(model(x), y, lengths).sum().backward()


def by_name(model, tokens, labels, attention_mask):
    losses = F.cross_entropy(model(tokens).transpose(1, 2), labels, reduction="none")
    losses = losses * attention_mask
    return losses.mean()  # finds padding-not-ignored likely


def by_comparison(model, tokens, labels, pad):
    mask = labels != pad
    losses = F.cross_entropy(model(tokens).flatten(0, 1), labels.flatten(), reduction="none")
    return torch.mean(losses.view(labels.shape) * mask.float())  # finds padding-not-ignored likely


def set_to_zero(model, tokens, labels, tokenizer):
    losses = F.cross_entropy(model(tokens).transpose(1, 2), labels, reduction="none")
    return losses.masked_fill(labels == tokenizer.pad_token_id, 0).mean()  # finds padding-not-ignored likely


def after_the_mean(model, tokens, labels, loss_mask):
    loss = F.cross_entropy(model(tokens).flatten(0, 1), labels.flatten(), ignore_index=-1)
    return torch.sum(loss * loss_mask.view(-1)) / loss_mask.sum()  # finds padding-not-ignored likely
