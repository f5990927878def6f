import torch.nn as nn

LOSSES = {
    "ce": nn.CrossEntropyLoss,
    "margin": nn.MultiMarginLoss,
}


def bow(vocab, hidden, topics):
    return nn.Sequential(
        nn.Linear(vocab, hidden),
        nn.Tanh(),
        nn.Linear(hidden, topics),
    )


MODELS = {"bow": bow}


def build_model(spec):
    spec = dict(spec)
    return MODELS[spec.pop("name")](**spec)


def build_loss(spec):
    spec = dict(spec)
    return LOSSES[spec.pop("name")](**spec)
