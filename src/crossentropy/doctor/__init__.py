"""Find what is wrong with a loss: at run time exactly, in source with graded confidence.

    with doctor.watch() as report: ...     watch a training loop
    crossentropy doctor --run train.py     watch a script

`rules` is the one table of what can be wrong; a `Finding` names one of them, a place, and what it costs in the numbers
of the program.
"""

from typing import TYPE_CHECKING

from crossentropy._exports import on_demand
from crossentropy.doctor._finding import Finding
from crossentropy.doctor.rules import Rule

if TYPE_CHECKING:
    from crossentropy.doctor._runtime._watch import Report, watch
else:  # reading source needs no torch
    __getattr__, __dir__ = on_demand(__name__, names={"_runtime._watch": ("Report", "watch")})

__all__ = ["Finding", "Report", "Rule", "watch"]
