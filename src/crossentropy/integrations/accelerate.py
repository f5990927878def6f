"""A training loop of one's own with Accelerate.

model, optimizer = prepare(accelerator, model, optimizer)           the model fused, then all of it prepared
loss = parts(logits, target, denominator=denominator(accelerator, targets))     micro-batches, processes: one mean
log(accelerator, parts, step)                                       the parts of the loss, to the accelerator's
trackers
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from crossentropy._errors import ArgumentTypeError, kind_of
from crossentropy._exports import Listing, listing
from crossentropy.distributed import token_denominator
from crossentropy.integrations._parts import LossParts
from crossentropy.lazy import fuse

__all__ = ["denominator", "log", "prepare"]


def prepare(accelerator: Any, model: nn.Module, *others: Any, head: Any = None) -> Any:  # noqa: ANN401
    """Fuse a model, and prepare it with all else.

        prepare(accelerator, model, optimizer, loader) = accelerator.prepare(fuse(model), optimizer, loader)

    Args:
        accelerator: The Accelerator.
        model: The model, which is fused in place.
        others: What else is to be prepared: optimizers, loaders, schedulers.
        head: The head, or its name, as for `crossentropy.fuse`. By default the head that `fuse` finds in the model.

    Returns:
        What `accelerator.prepare` returns: all of them, in their order.
        `crossentropy.unfuse(accelerator.unwrap_model(model))` gives the head back.

    Raises:
        TypeError: The model is not an nn.Module.
        ValueError: No head was found, or none that can be fused.

    Examples:
        >>> import torch
        >>> from accelerate import Accelerator
        >>> accelerator, model = Accelerator(cpu=True), torch.nn.Sequential(torch.nn.Linear(4, 10))
        >>> model, optimizer = prepare(accelerator, model, torch.optim.SGD(model.parameters(), 0.1))
        >>> type(model(torch.zeros(2, 4))).__name__
        'LazyLogits'

    See Also:
        `crossentropy.fuse`.
    """
    return accelerator.prepare(fuse(model, head), *others)


def denominator(
    accelerator: Any,  # noqa: ANN401 (an Accelerator, whose package has no types)
    targets: Tensor | Sequence[Tensor],
    *,
    ignore_index: int = -100,
) -> Tensor:
    """What each micro-batch's loss is divided by, so that gradients are those of one mean over all tokens.

        d = Σ tokens / (processes · gradient_accumulation_steps)

    The tokens of all micro-batches of a step, on all processes. Gradients are averaged over processes, and
    `accelerator.backward` divides by the accumulation steps: of both d knows.

    Args:
        accelerator: The Accelerator.
        targets: The labels of this process's micro-batches of one step, as the loss is given them (shifted).
        ignore_index: The label whose rows count nothing.

    Returns:
        A float64 tensor of no dimensions.

    Raises:
        ValueError, TypeError: As `crossentropy.distributed.token_denominator`.

    Examples:
        >>> import torch
        >>> from accelerate import Accelerator
        >>> accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
        >>> denominator(accelerator, [torch.tensor([1, 2, -100]), torch.tensor([3, -100, -100])])  # 3 tokens
        tensor(1.5000, dtype=torch.float64)

    See Also:
        `crossentropy.distributed.token_denominator`.
    """
    return token_denominator(targets, ignore_index=ignore_index) / accelerator.gradient_accumulation_steps


def log(
    accelerator: Any,  # noqa: ANN401 (an Accelerator, whose package has no types)
    parts: LossParts,
    step: int | None = None,
    *,
    training: bool = True,
    prefix: str = "",
) -> dict[str, float]:
    """Log the parts of a loss, and the perplexity, to the accelerator's trackers. All processes call it.

        accelerator.log({nll, perplexity, smoothing, z_loss}, step)

    Args:
        accelerator: The Accelerator, whose trackers were begun by init_trackers.
        parts: The loss.
        step: The step, as trackers count. Default: as they count themselves.
        training: The parts of what was computed with gradients, or without.
        prefix: Goes before each name, "eval/" say.

    Returns:
        What was logged: means over the tokens of all processes since the last time.

    Raises:
        TypeError: `parts` is no `LossParts`.

    Examples:
        >>> import torch
        >>> from accelerate import Accelerator
        >>> loss = LossParts()
        >>> _ = loss(torch.zeros(3, 8, requires_grad=True), torch.tensor([0, 1, 2]))
        >>> log(Accelerator(cpu=True), loss, step=1)["perplexity"].__round__(4)
        8.0

    See Also:
        `crossentropy.integrations.LossParts`.
    """
    if not isinstance(parts, LossParts):
        raise ArgumentTypeError(f"parts is {kind_of(parts)}, expected a crossentropy.integrations.LossParts")

    def total(sums: Tensor) -> Tensor:
        return accelerator.reduce(sums.to(accelerator.device), reduction="sum")

    found = parts.take(training=training, total=total, prefix=prefix)
    accelerator.log(found, step=step)
    return found


__dir__: Listing = listing(__name__)
