"""Kernels whose tiles are compiled code's, whatever it is compiled from: what the backends of it share.

    _job        what such code is asked to do, and with what
    _kernels    what a loss asks of it
    _fits       what it can execute, and in which pieces

It reads a row of logits, of any of its dtypes, and leaves statistics, results and gradient while the row is at hand.
What belongs to rows is as in the chunked backend: coefficients, results of merged statistics, what makes a gradient.
"""

from crossentropy._backends.compiled._fits import plan, reasons
from crossentropy._backends.compiled._job import Job, Pair, Task
from crossentropy._backends.compiled._kernels import CrossEntropy, Divergence, TokenStatistics

__all__ = ["CrossEntropy", "Divergence", "Job", "Pair", "Task", "TokenStatistics", "plan", "reasons"]
