"""What the page opens with: its data, and each number of its first state as this package computes it.

The scripts compute the same numbers again as soon as something moves; names are theirs, "section.number".
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal

from crossentropy import continuous, functional, information

SIX = 1 / 6
DIE = [0.1, 0.1, 0.1, 0.1, 0.1, 0.5]
TRUTH, BELIEF = [0.6, 0.3, 0.1], [0.3, 0.2, 0.5]
PREDICTION, LABEL = [0.1, 0.2, 0.7], 1
NORMALS = {"mu_p": 0.0, "sigma_p": 1.0, "mu_q": 1.5, "sigma_q": 1.6}
LOGITS = [[1.2, 2.4, -0.3, 0.1, -1.0], [0.4, -0.6, 0.9, 0.2, 0.5], [-0.2, 1.1, 0.3, -0.8, 1.3]]
LABELS = [1, 3, 4]
ROW = [2.0, 1.0, 0.2, -0.5, -1.2]
"""Logits of the sections on temperature and gradient."""
TRUE_CLASS = 2
RATE = 1.0
HIDDEN, POINTS, STEP = 12, 25, 0.5
"""Of the classifier: hidden units, points a class, and its step size."""


def numbers() -> dict[str, float]:
    """Every number of the page's first state."""
    return {
        "information.p": SIX,
        "information.value": float(information.information(SIX)),
        **_entropy(),
        **_divergence(),
        **_densities(),
        "label.loss": float(information.cross_entropy([0.0, 1.0, 0.0], PREDICTION)),
        **_batch(),
        **_temperature(),
        **_gradient(),
    }


def data() -> dict[str, Any]:
    """What the scripts begin with."""
    points, labels, parameters = classifier()
    return {
        "information": SIX,
        "die": DIE,
        "truth": TRUTH,
        "belief": BELIEF,
        "prediction": PREDICTION,
        "label": LABEL,
        "normals": NORMALS,
        "logits": LOGITS,
        "labels": LABELS,
        "row": ROW,
        "true_class": TRUE_CLASS,
        "rate": RATE,
        "step": STEP,
        "points": points.tolist(),
        "classes": labels.tolist(),
        "parameters": [parameter.tolist() for parameter in parameters],
    }


def classifier() -> tuple[Tensor, Tensor, list[Tensor]]:
    """Points (N, 2) on three arms of a spiral, their classes, and the first parameters of a network: one hidden layer.

    All are rounded to hundredths, so that a page has them to the digit.
    """
    generator = torch.Generator().manual_seed(9)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    radius = torch.linspace(0.15, 1.0, POINTS, dtype=torch.float64)
    angles = [2.6 * radius + 2 * math.pi / 3 * arm + 0.175 * noise(POINTS) for arm in range(3)]
    points = torch.cat([torch.stack([radius * a.cos(), radius * a.sin()], 1) for a in angles])
    shapes = (2.0 * noise(2, HIDDEN), 0.5 * noise(HIDDEN), 1.5 * HIDDEN**-0.5 * noise(HIDDEN, 3), torch.zeros(3))
    labels = torch.arange(3).repeat_interleave(POINTS)
    return points.mul(100).round() / 100, labels, [x.double().mul(100).round() / 100 for x in shapes]


def _entropy() -> dict[str, float]:
    return {"entropy.value": float(information.entropy(DIE)), "entropy.most": math.log(len(DIE))}


def _divergence() -> dict[str, float]:
    p, q = TRUTH, BELIEF
    return {
        "divergence.h": float(information.entropy(p)),
        "divergence.kl": float(information.kl_divergence(p, q)),
        "divergence.reverse": float(information.kl_divergence(q, p)),
        "divergence.ce": float(information.cross_entropy(p, q)),
    }


def _densities() -> dict[str, float]:
    p = Normal(torch.tensor(NORMALS["mu_p"]).double(), torch.tensor(NORMALS["sigma_p"]).double())
    q = Normal(torch.tensor(NORMALS["mu_q"]).double(), torch.tensor(NORMALS["sigma_q"]).double())
    h, ce = float(continuous.entropy(p).value), float(continuous.cross_entropy(p, q).value)
    return {
        "densities.h": h,
        "densities.ce": ce,
        "densities.kl": float(continuous.kl_divergence(p, q).value),
        "densities.mean_log_p": -h,
        "densities.mean_log_q": -ce,
        "densities.ratio": math.log(NORMALS["sigma_q"] / NORMALS["sigma_p"]),
        "densities.spread": (NORMALS["sigma_p"] ** 2 + (NORMALS["mu_p"] - NORMALS["mu_q"]) ** 2)
        / (2 * NORMALS["sigma_q"] ** 2),
    }


def _batch() -> dict[str, float]:
    z, y = torch.tensor(LOGITS, dtype=torch.float64), torch.tensor(LABELS)
    q, log_q = functional.softmax(z, 1), functional.log_softmax(z, 1)
    cells = {
        f"batch.{name}.{i}.{k}": float(matrix[i, k])
        for name, matrix in (("q", q), ("log", log_q))
        for i in range(z.shape[0])
        for k in range(z.shape[1])
    }
    rows = functional.nll_loss(log_q, y, reduction="none")
    losses = {f"batch.nll.{i}": float(loss) for i, loss in enumerate(rows)}
    return {**cells, **losses, "batch.loss": float(functional.cross_entropy(z, y))}


def _temperature() -> dict[str, float]:
    q = functional.softmax(torch.tensor(ROW, dtype=torch.float64), 0)
    return {"temperature.t": 1.0, "temperature.most": float(q.max()), "temperature.h": float(information.entropy(q))}


def _gradient() -> dict[str, float]:
    z = torch.tensor([ROW], dtype=torch.float64, requires_grad=True)
    loss = functional.cross_entropy(z, torch.tensor([TRUE_CLASS]))
    (slope,) = torch.autograd.grad(loss, z)
    return {"gradient.loss": loss.item(), **{f"gradient.{k}": float(g) for k, g in enumerate(slope[0])}}
