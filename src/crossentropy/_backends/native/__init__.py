"""The native backend: the chunked backend's sweeps, with tiles that compiled code works on, on a CPU.

    _library        the library, and what it makes of a job; `csrc`, what it is made of
    _log_softmax    that function, and its gradient
    _small          small problems, in one call

A tile is all there is: the library itself keeps rows in cache, and divides them among torch's threads. So a result does
not depend on the number of threads, and little memory is needed beside logits and gradient.
"""

from dataclasses import replace

import torch

from crossentropy import _planner
from crossentropy._backends import chunked, compiled
from crossentropy._backends.chunked._dense import Layout
from crossentropy._backends.chunked._engine import Engine
from crossentropy._backends.native._library import MISSING, run
from crossentropy._loss import Loss
from crossentropy._planner import Plan, Workload

MOST_CLASSES = 2**31 - 64


def eligible(loss: Loss) -> tuple[str, ...]:
    """Reasons why this backend cannot execute a loss; none if it can."""
    if MISSING:
        return (MISSING,)
    side = loss.sides[0]
    reasons = list(chunked.eligible(loss))
    if side.input.device.type != "cpu":
        reasons.append(f"compiled code is for CPUs, and the logits are on {side.input.device}")
    if loss.kind == "divergence" or side.spec.probabilities:
        reasons.append("compiled code compares logits with labels, not with probabilities")
    if side.spec.dtype != torch.float32:
        reasons.append(f"compiled code sums in float32, this loss in {str(side.spec.dtype).removeprefix('torch.')}")
    if side.spec.num_classes > MOST_CLASSES:
        reasons.append(f"compiled code counts classes to {MOST_CLASSES:,}")
    if side.weight is None and not _lie_together(loss):
        reasons.append("neither the classes nor the last dimension of the logits lie together, or not in rows")
    return tuple(reasons)


def _lie_together(loss: Loss) -> bool:
    """Whether rows of classes, or positions of one class, can be read without a copy."""
    x, spec = loss.sides[0].input, loss.sides[0].spec
    if Layout.of(x, spec.class_dim).flat:
        return x.shape[spec.class_dim] <= 1 or x.stride(spec.class_dim) == 1
    last = max(d for d in range(spec.class_dim + 1, x.dim()) if x.shape[d] != 1)  # others have any stride
    return x.stride(last) == 1


def _plan(work: Workload, loss: Loss) -> Plan:
    plan = _planner.plan(replace(work, in_place=True, scratch=0), loss.budget, loss.most_rows)
    if work.features is None:
        return replace(plan, tile=work.rows * work.positions * work.classes, chunk=work.rows)
    return replace(plan, tile=max(plan.chunk * work.classes, work.rows * plan.block) * work.positions)


class _CrossEntropy(compiled.CrossEntropy):
    run = staticmethod(run)


class _TokenStatistics(compiled.TokenStatistics):
    run = staticmethod(run)


_engine = Engine({"cross_entropy": _CrossEntropy.of, "statistics": _TokenStatistics.of}, _plan)

plan, execute, empty_gradient = _engine.plan, _engine.execute, _engine.empty_gradient
room, measure, conclude, compare, derive = (
    _engine.room, _engine.measure, _engine.conclude, _engine.compare, _engine.derive
)  # fmt: skip
