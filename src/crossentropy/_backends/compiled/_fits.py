"""What compiled code can execute, and in which pieces: all of them, for it keeps rows at hand by itself."""

from dataclasses import replace

import torch

from crossentropy import _planner
from crossentropy._backends.chunked._dense import Layout
from crossentropy._loss import Loss, moves_absent
from crossentropy._planner import Plan, Workload

MOST_CLASSES = 2**31 - 2**16
"""Classes are counted in 32 bits, up to a tile behind the last."""


def reasons(loss: Loss) -> tuple[str, ...]:
    """Reasons why no compiled code executes a loss; none if some may."""
    side, found = loss.sides[0], []
    if side.spec.dtype != torch.float32:
        found.append(f"compiled code sums in float32, this loss in {str(side.spec.dtype).removeprefix('torch.')}")
    if side.spec.num_classes > MOST_CLASSES:
        found.append(f"compiled code counts classes to {MOST_CLASSES:,}")
    if moves_absent(side.spec):
        found.append(
            "under a softcap or a scale ≤ 0 compiled code has a number for each class, and some are to be none"
        )
    if side.weight is None and not _lie_together(loss):
        found.append("neither the classes nor the last dimension of the logits lie together, or not in rows")
    return tuple(found)


def _lie_together(loss: Loss) -> bool:
    """Whether rows of classes, or positions of one class, can be read without a copy."""
    x, spec = loss.sides[0].input, loss.sides[0].spec
    if Layout.of(x, spec.class_dim).flat:
        return x.shape[spec.class_dim] <= 1 or x.stride(spec.class_dim) == 1
    last = max(d for d in range(spec.class_dim + 1, x.dim()) if x.shape[d] != 1)  # others have any stride
    return x.stride(last) == 1


def plan(work: Workload, loss: Loss) -> Plan:
    """The plan of a workload: a tile is all there is."""
    plan = _planner.plan(replace(work, in_place=True, scratch=0), loss.budget, loss.most_rows)
    if work.features is None:
        return replace(plan, tile=work.rows * work.positions * work.classes, chunk=work.rows)
    return replace(plan, tile=max(plan.chunk * work.classes, work.rows * plan.block) * work.positions)
