"""Fused models and the parts of their losses under the packages that train them.

    .transformers   FuseCallback, CausalLoss and LossPartsMixin, for transformers' Trainer and TRL's
    .lightning      FuseCallback and LossPartsCallback, for Lightning's
    .accelerate     prepare, denominator and log, for a loop of one's own with an Accelerator
    LossParts       a loss that keeps its parts, for any of them

    loss = nll + smoothing + z_loss
    nll = −log p_y      smoothing = ε (mean_c −log p_c + log p_y)      z_loss = λ lse²

Each module imports at most the package that it is for, and nothing else does. Parts are logged by the trainer's own
log, so that they reach TensorBoard, W&B, or whatever the trainer was told to report to, and its history.
"""

from typing import TYPE_CHECKING

from crossentropy._exports import on_demand

if TYPE_CHECKING:
    from crossentropy.integrations._parts import LossParts
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        optional={name: name for name in ("accelerate", "lightning", "transformers")},
        names={"_parts": ("LossParts",)},
    )

__all__ = ["LossParts"]
