"""A loss that keeps its parts, until they are logged.

    loss = nll + smoothing + z_loss      nll = −log p_y      smoothing = ε (mean_c −log p_c − nll)      z_loss = λ lse²

Sums over tokens, in float64, on the device of the logits: nobody waits for them before they are logged. The loss is one
pass over the logits. A plain loss is its nll; where there is smoothing or a z-loss, a second pass, without gradients,
tells the parts apart.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import functional as F
from crossentropy._errors import ArgumentValueError
from crossentropy._keywords import hinting
from crossentropy._logspace import wide
from crossentropy._targets import long
from crossentropy._tensors import check_floating, check_tensor


class LossParts:
    """Cross entropy of logits whose parts can be logged.

        loss = nll + smoothing + z_loss

    Called, it gives the loss, with which a model is trained, and adds what it consists of to its sums; `take` gives
    their means over tokens and begins anew. What is computed without gradients, in an evaluation, has sums of its own.

    Args:
        label_smoothing: Label smoothing ε in [0, 1]: the part of the target that is spread over the classes.
        z_loss: λ ≥ 0 of the added term λ · lse², which draws the logsumexp of a row to 0.
        ignore_index: A target value whose rows do not count.

    Raises:
        ValueError, TypeError: A number is not what it should be; in a call, as `crossentropy.functional.cross_entropy`.

    Examples:
        >>> import torch
        >>> loss = LossParts(z_loss=0.01)
        >>> logits = torch.zeros(2, 3, 4, requires_grad=True)
        >>> loss(logits, torch.tensor([[0, 1, 2], [3, 3, -100]])).item()  # log 4 + 0.01 (log 4)²
        1.4055...
        >>> {name: round(value, 4) for name, value in loss.take().items()}
        {'nll': 1.3863, 'perplexity': 4.0, 'z_loss': 0.0192}

    See Also:
        `crossentropy.functional.cross_entropy`; `crossentropy.metrics.Perplexity`, of a corpus.
    """

    @hinting
    def __init__(self, *, label_smoothing: float = 0.0, z_loss: float = 0.0, ignore_index: int = -100) -> None:
        self.label_smoothing: float = contract.smoothing(label_smoothing)
        self.z_loss: float = contract.number("z_loss", z_loss, low=0.0)
        self.ignore_index: int = contract.label_to_ignore(ignore_index)
        self._sums: dict[bool, Tensor] = {}

    @hinting
    def __call__(self, input: Tensor, target: Tensor, *, denominator: Tensor | float | None = None) -> Tensor:
        """The loss.

        Args:
            input: Logits (…, C), the classes last; lazy ones stay lazy.
            target: Class indices (…).
            denominator: What the mean divides by instead of the number of rows that count.

        Returns:
            The loss, a scalar, at least in float32.
        """
        logits, labels = check_floating("input", input), check_tensor("target", target)
        if logits.shape[:-1] != labels.shape:
            raise ArgumentValueError(
                f"target has shape {tuple(labels.shape)}, expected {tuple(logits.shape[:-1])} for logits (…, C) of "
                f"shape {tuple(logits.shape)}: the classes are the last axis here"
            )
        logits, labels = logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)
        loss = F.cross_entropy(
            logits,
            labels,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            z_loss=self.z_loss,
            denominator=denominator,
            out_dtype=wide(logits.dtype),
        )
        training = torch.is_grad_enabled()
        with torch.no_grad():
            added = self._of(loss.detach(), logits.detach(), labels, denominator)
        sums = self._sums.get(training)
        self._sums[training] = added if sums is None else sums + added
        return loss

    def _of(self, loss: Tensor, logits: Tensor, labels: Tensor, denominator: Tensor | float | None) -> Tensor:
        """Sums over rows: nll, the loss without z-loss, z-loss; and how many rows count."""
        counted = long(labels) != self.ignore_index
        tokens = counted.sum().double()
        total = torch.where(tokens > 0, loss.double() * (tokens if denominator is None else denominator), 0.0)
        if not self.label_smoothing and not self.z_loss:
            return torch.stack([total, total.new_zeros(()), total.new_zeros(()), tokens])
        statistics = F.token_statistics(logits, labels, ignore_index=self.ignore_index)
        assert statistics.log_prob is not None
        nll = -statistics.log_prob.double().sum()
        z_loss = self.z_loss * statistics.logsumexp.double().square().masked_fill(~counted, 0.0).sum()
        return torch.stack([nll, total - nll - z_loss, z_loss, tokens])

    def take(
        self, *, training: bool = True, total: Callable[[Tensor], Tensor] | None = None, prefix: str = ""
    ) -> dict[str, float]:
        """The means over tokens since this was last asked, for a logger; this waits for the device.

        Args:
            training: Those that were computed with gradients, or those without.
            total: Adds a tensor, which is on a CPU where nothing was computed, up over processes. All call this.
                Default: the parts are those of this process.
            prefix: Goes before each name.

        Returns:
            nll, perplexity = exp(nll), and smoothing and z_loss if there are any; nothing, if no token counted.
        """
        sums = self._sums.pop(training, torch.zeros(4, dtype=torch.float64))  # zeros count, for others wait for them
        nll, smoothing, z_loss, tokens = (sums if total is None else total(sums)).tolist()
        if not tokens:
            return {}
        found = {"nll": nll / tokens, "perplexity": _exp(nll / tokens)}
        if self.label_smoothing:
            found["smoothing"] = smoothing / tokens
        if self.z_loss:
            found["z_loss"] = z_loss / tokens
        return {prefix + name: value for name, value in found.items()}


def _exp(x: float) -> float:
    return math.exp(x) if x < 709 else math.inf if x == x else x
