"""Accumulate gradients over micro-batches of uneven length: with denominator= they are those of the whole batch."""

import torch

import crossentropy.functional as F


def main() -> float:
    """Return the largest difference between accumulated gradients and those of one batch."""
    torch.manual_seed(0)
    hidden, head = torch.randn(12, 8), torch.randn(20, 8, requires_grad=True)
    target = torch.randint(0, 20, (12,))
    target[[1, 2, 3, 9]] = -100  # padding, more of it in some micro-batches than in others
    tokens = (target != -100).sum()

    for part, labels in zip(hidden.split(4), target.split(4)):
        F.linear_cross_entropy(part, head, labels, denominator=tokens).backward()
    accumulated = head.grad
    assert accumulated is not None

    (whole,) = torch.autograd.grad(F.linear_cross_entropy(hidden, head, target), head)
    difference = (accumulated - whole).abs().max().item()
    print(f"largest difference {difference:.1e}, largest gradient {whole.abs().max().item():.3f}")
    return difference


if __name__ == "__main__":
    main()
