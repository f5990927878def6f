"""The chunked backend: torch's operators on pieces of the logits, in place.

`_engine` executes losses; a kernel for each kind of loss (`_cross_entropy`, `_token_statistics`, `_divergence`,
`_mixture`) does to a tile of logits what `_tile` describes.
"""

import torch

from crossentropy import _planner
from crossentropy._backends.chunked._cross_entropy import CrossEntropy
from crossentropy._backends.chunked._engine import Engine, Kernels
from crossentropy._backends.chunked._mixture import divergence
from crossentropy._backends.chunked._token_statistics import TokenStatistics
from crossentropy._loss import Loss
from crossentropy._planner import Plan, Workload


def eligible(loss: Loss) -> tuple[str, ...]:
    """Reasons why this backend cannot execute a loss; none if it can."""
    reasons = []
    if not torch.is_grad_enabled():
        return ()
    if loss.weight is not None and loss.weight.requires_grad:
        reasons.append("class weights that require gradients need every log-probability")
    if loss.target is not None and loss.target.requires_grad:
        reasons.append("class probabilities that require gradients have one for every logit")
    return tuple(reasons)


def _plan(work: Workload, loss: Loss) -> Plan:
    return _planner.plan(work, loss.budget, loss.most_rows)


KERNELS: Kernels = {
    "cross_entropy": CrossEntropy.of,
    "statistics": TokenStatistics.of,
    "divergence": divergence,
}
_engine = Engine(KERNELS, _plan)

plan, execute, empty_gradient = _engine.plan, _engine.execute, _engine.empty_gradient
room, measure, conclude, compare, derive = (
    _engine.room, _engine.measure, _engine.conclude, _engine.compare, _engine.derive
)  # fmt: skip
