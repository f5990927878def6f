"""The native backend: the chunked backend's sweeps, with tiles that compiled code works on, on a CPU.

    _library        the library, and what it makes of a job; `csrc`, what it is made of
    _log_softmax    that function, and its gradient
    _small          small problems, in one call

A tile is all there is: the library itself keeps rows in cache, and divides them among torch's threads. So a result does
not depend on the number of threads, and little memory is needed beside logits and gradient.
"""

import torch

from crossentropy._backends import chunked, compiled
from crossentropy._backends.chunked._engine import Engine
from crossentropy._backends.native._library import MISSING, run
from crossentropy._loss import Loss


def eligible(loss: Loss) -> tuple[str, ...]:
    """Reasons why this backend cannot execute a loss; none if it can."""
    if MISSING:
        return (MISSING,)
    side = loss.sides[0]
    reasons = [*chunked.eligible(loss), *compiled.reasons(loss)]
    if side.input.device.type != "cpu":
        reasons.append(f"compiled code is for CPUs, and the logits are on {side.input.device}")
    if loss.kind == "divergence":
        reasons.append("compiled code compares logits with labels or probabilities, not with other logits")
    if side.weight is None and side.spec.probabilities and loss.target is not None:
        dtypes = dict.fromkeys((torch.float32, side.input.dtype))
        if loss.target.dtype not in dtypes:
            these = " or ".join(map(str, dtypes))
            reasons.append(f"compiled code reads probabilities of {these}, not {loss.target.dtype}")
    return tuple(reasons)


class _CrossEntropy(compiled.CrossEntropy):
    run = staticmethod(run)


class _TokenStatistics(compiled.TokenStatistics):
    run = staticmethod(run)


_engine = Engine({"cross_entropy": _CrossEntropy.of, "statistics": _TokenStatistics.of}, compiled.plan)

plan, execute, empty_gradient = _engine.plan, _engine.execute, _engine.empty_gradient
room, measure, conclude, compare, derive = (
    _engine.room, _engine.measure, _engine.conclude, _engine.compare, _engine.derive
)  # fmt: skip
