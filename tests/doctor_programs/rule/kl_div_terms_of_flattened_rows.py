"""The terms of a divergence are summed over the classes of rows that were flattened, by a size that is not known."""

import torch.nn.functional as F


def by_rows(a, b):
    classes = a.shape[-1]
    p = F.log_softmax(a, dim=-1).reshape(-1, classes)
    q = F.log_softmax(b, dim=-1).reshape(-1, classes)
    return F.kl_div(q, p, reduction="none", log_target=True).sum(-1).mean()


def by_entries(a, b):
    classes = a.shape[-1]
    p = F.log_softmax(a, dim=-1).reshape(-1, classes)
    q = F.log_softmax(b, dim=-1).reshape(-1, classes)
    return F.kl_div(q, p, reduction="none", log_target=True).mean()  # finds kl-div-reduction certain
