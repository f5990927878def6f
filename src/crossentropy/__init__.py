"""crossentropy: the cross-entropy library for PyTorch.

information −log p  →  entropy  →  KL divergence  →  cross entropy  →  a loss  →  a model trained with it

    crossentropy.information   the quantities on discrete distributions
    crossentropy.continuous    the same quantities for densities
    crossentropy.functional    losses, drop-in for torch.nn.functional
    crossentropy.nn            losses, drop-in for torch.nn
    crossentropy.distributed   losses of what is spread over the ranks of torch.distributed
    crossentropy.explain       every step of a loss, with its numbers
    crossentropy.fuse          one line for a model that exists: its loss never builds the logits
    crossentropy.lazy          how: logits that are not computed, and what became of them
    crossentropy.doctor        what is wrong with the losses of a program
    crossentropy.metrics       perplexity, accuracy and calibration of a whole corpus       (needs the extra `metrics`)
    crossentropy.integrations  callbacks and logs for transformers, Lightning, Accelerate   (needs what each is for)
"""

from typing import TYPE_CHECKING

from crossentropy._exports import on_demand

if TYPE_CHECKING:
    from crossentropy import continuous, distributed, doctor, functional, information, lazy, nn
    from crossentropy._contract import Options
    from crossentropy._errors import (
        ArgumentError,
        ArgumentIndexError,
        ArgumentTypeError,
        ArgumentValueError,
        ArgumentWarning,
    )
    from crossentropy._explain import Difference, Explanation, ExplanationDisplay, Landmark, Step, explain
    from crossentropy.functional import LossStatistics, TokenStatistics
    from crossentropy.lazy import LazyLogits, fuse, fused, unfuse
else:  # torch takes a second to import: what needs it is loaded when it is used
    __getattr__, __dir__ = on_demand(
        __name__,
        submodules=("continuous", "distributed", "doctor", "functional", "information", "lazy", "nn"),
        optional={"integrations": "torch", "metrics": "torchmetrics"},
        names={
            "_contract": ("Options",),
            "_errors": (
                "ArgumentError",
                "ArgumentIndexError",
                "ArgumentTypeError",
                "ArgumentValueError",
                "ArgumentWarning",
            ),
            "_explain": ("Difference", "Explanation", "ExplanationDisplay", "Landmark", "Step", "explain"),
            "functional": ("LossStatistics", "TokenStatistics"),
            "lazy": ("LazyLogits", "fuse", "fused", "unfuse"),
        },
    )

__all__ = [
    "ArgumentError",
    "ArgumentIndexError",
    "ArgumentTypeError",
    "ArgumentValueError",
    "ArgumentWarning",
    "Difference",
    "Explanation",
    "ExplanationDisplay",
    "Landmark",
    "LazyLogits",
    "LossStatistics",
    "Options",
    "Step",
    "TokenStatistics",
    "continuous",
    "distributed",
    "doctor",
    "explain",
    "functional",
    "fuse",
    "fused",
    "information",
    "lazy",
    "nn",
    "unfuse",
]

__version__ = "0.1.0"
