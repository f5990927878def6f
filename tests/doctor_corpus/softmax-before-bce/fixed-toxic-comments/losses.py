import torch.nn.functional as F


def comment_loss(outputs, tags):
    probabilities = outputs.sigmoid()
    return F.binary_cross_entropy(probabilities, tags)
