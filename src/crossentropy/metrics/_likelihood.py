"""A model's likelihood of a text in the units that people compare: perplexity, and bits per token, byte, character.

    ℓ = −log softmax(z)_y     perplexity = exp(Σ t ℓ / Σ t)     bits = Σ t ℓ / (ln 2 · Σ t u)

u what a token counts: 1, or its bytes or characters. Perplexities of models with different tokens cannot be compared,
for their Σ t differ; bits per byte can.
"""

import math
from typing import Any

import torch
from torch import Tensor

from crossentropy import _contract as contract
from crossentropy import functional as F
from crossentropy._errors import ArgumentValueError
from crossentropy._keywords import hinting
from crossentropy.metrics._mean import RowMean, logits_of, weight_of, weighted


class Perplexity(RowMean):
    """Perplexity of a corpus, token-weighted.

        exp(Σ t ℓ / Σ t),   ℓ = −log softmax(z)_y

    The model is as uncertain as if it chose evenly among so many tokens. The mean is over all tokens of the corpus, and
    the exponential is taken last: neither the mean of batches' perplexities, nor the exponential of the mean of
    batches' losses, is that, unless all batches have as many tokens.

    `update(input, target, *, token_weight=None, linear_weight=None, linear_bias=None)`: logits (…, C) or, with a head,
    hidden states (…, D); class indices (…), already shifted; weights (…) of rows.

    Args:
        ignore_index: A target value whose rows do not count.
        kwargs: Settings of torchmetrics.Metric.

    Raises:
        ValueError, TypeError, IndexError: In `update`, as `crossentropy.functional.token_statistics`.

    Examples:
        >>> import torch
        >>> perplexity = Perplexity()
        >>> perplexity.update(torch.zeros(2, 3, 50), torch.randint(50, (2, 3)))
        >>> perplexity.compute().round(decimals=4)
        tensor(50., dtype=torch.float64)

    See Also:
        `BitsPerToken`, `BitsPerByte`; `crossentropy.information.perplexity`, of a distribution.

    References:
        F. Jelinek et al., Perplexity: a measure of the difficulty of speech recognition tasks, 1977;
        torchmetrics.text.Perplexity.
    """

    higher_is_better: bool | None = False

    def __init__(self, *, ignore_index: int = -100, **kwargs: Any) -> None:  # noqa: ANN401 (torchmetrics')
        super().__init__("nll", ignore_index, **kwargs)

    @hinting
    @torch.no_grad()
    def update(
        self,
        input: Tensor,
        target: Tensor,
        *,
        token_weight: Tensor | None = None,
        linear_weight: Tensor | None = None,
        linear_bias: Tensor | None = None,
    ) -> None:
        """Add rows of logits, or of hidden states under a head, with their labels."""
        logits = logits_of(input, linear_weight, linear_bias)
        self._add(*_nll(logits, target, token_weight, self.ignore_index))

    def compute(self) -> Tensor:
        """exp(Σ t ℓ / Σ t), float64."""
        return self._mean().exp()


class BitsPerToken(Perplexity):
    """Cross entropy of a corpus in bits per token: log2 of its perplexity.

        Σ t ℓ / (Σ t · ln 2),   ℓ = −log softmax(z)_y

    What a code made of the model needs for a token, on average.

    `update(input, target, *, token_weight=None, linear_weight=None, linear_bias=None)`, as for `Perplexity`.

    Args:
        ignore_index: A target value whose rows do not count.
        kwargs: Settings of torchmetrics.Metric.

    Raises:
        ValueError, TypeError, IndexError: In `update`, as `crossentropy.functional.token_statistics`.

    Examples:
        >>> import torch
        >>> bits = BitsPerToken()
        >>> bits.update(torch.zeros(4, 8), torch.tensor([0, 3, 7, -100]))
        >>> bits.compute().round(decimals=4)
        tensor(3., dtype=torch.float64)

    See Also:
        `BitsPerByte`, to compare models of different tokens.

    References:
        C. E. Shannon, Prediction and Entropy of Printed English, 1951.
    """

    def compute(self) -> Tensor:
        """Σ t ℓ / (Σ t · ln 2), float64."""
        return self._mean() / math.log(2)


class BitsPerByte(RowMean):
    """Cross entropy of a corpus in bits per byte of its text.

        Σ t ℓ / (Σ t u · ln 2),   ℓ = −log softmax(z)_y,   u bytes of the token

    Does not depend on how the text was cut into tokens, so that models of different vocabularies can be compared.

    `update(input, target, num_bytes, *, token_weight=None, linear_weight=None, linear_bias=None)`: as for `Perplexity`,
    and the bytes (UTF-8) of each target token, in the target's shape, of which those of ignored rows do not count; or
    one number, the bytes of all text that the batch's counted tokens stand for. Special tokens have none. A table
    `bytes_of[target]`, made once of the vocabulary, has them at hand.

    Args:
        ignore_index: A target value whose rows do not count.
        kwargs: Settings of torchmetrics.Metric.

    Raises:
        ValueError, TypeError, IndexError: In `update`, as `crossentropy.functional.token_statistics`; `num_bytes` has
            another shape, or is one number beside token weights, which say nothing of bytes then.

    Examples:
        >>> import torch
        >>> bits = BitsPerByte()
        >>> bits.update(torch.zeros(3, 16), torch.tensor([1, 2, -100]), torch.tensor([3, 5, 4]))  # 8 bits for 8 bytes
        >>> bits.compute().round(decimals=4)
        tensor(1., dtype=torch.float64)

    See Also:
        `BitsPerCharacter`, `BitsPerToken`.

    References:
        L. Gao et al., The Pile, 2020, section 3.1.
    """

    higher_is_better: bool | None = False

    def __init__(self, *, ignore_index: int = -100, **kwargs: Any) -> None:  # noqa: ANN401 (torchmetrics')
        super().__init__("nll_by_bytes", ignore_index, **kwargs)

    @hinting
    @torch.no_grad()
    def update(
        self,
        input: Tensor,
        target: Tensor,
        num_bytes: Tensor | float,
        *,
        token_weight: Tensor | None = None,
        linear_weight: Tensor | None = None,
        linear_bias: Tensor | None = None,
    ) -> None:
        """Add rows of logits, or of hidden states under a head, with their labels and their bytes."""
        logits = logits_of(input, linear_weight, linear_bias)
        nll, weight = _nll(logits, target, token_weight, self.ignore_index)
        self._add(nll, weight, _units("num_bytes", num_bytes, weight, token_weight))

    def compute(self) -> Tensor:
        """Σ t ℓ / (Σ t u · ln 2), float64."""
        return self._mean() / math.log(2)


class BitsPerCharacter(RowMean):
    """Cross entropy of a corpus in bits per character of its text.

        Σ t ℓ / (Σ t u · ln 2),   ℓ = −log softmax(z)_y,   u characters of the token

    As bits per byte, with Unicode's characters: the same where all text is ASCII, larger for other scripts.

    `update(input, target, num_characters, *, token_weight=None, linear_weight=None, linear_bias=None)`, as for
    `BitsPerByte`.

    Args:
        ignore_index: A target value whose rows do not count.
        kwargs: Settings of torchmetrics.Metric.

    Raises:
        ValueError, TypeError, IndexError: In `update`, as `crossentropy.functional.token_statistics`; `num_characters`
            has another shape, or is one number beside token weights, which say nothing of characters then.

    Examples:
        >>> import torch
        >>> bits = BitsPerCharacter()
        >>> bits.update(torch.zeros(3, 16), torch.tensor([1, 2, 3]), num_characters=6)  # 12 bits for 6 characters
        >>> bits.compute().round(decimals=4)
        tensor(2., dtype=torch.float64)

    See Also:
        `BitsPerByte`.

    References:
        A. Graves, Generating Sequences With Recurrent Neural Networks, 2013.
    """

    higher_is_better: bool | None = False

    def __init__(self, *, ignore_index: int = -100, **kwargs: Any) -> None:  # noqa: ANN401 (torchmetrics')
        super().__init__("nll_by_characters", ignore_index, **kwargs)

    @hinting
    @torch.no_grad()
    def update(
        self,
        input: Tensor,
        target: Tensor,
        num_characters: Tensor | float,
        *,
        token_weight: Tensor | None = None,
        linear_weight: Tensor | None = None,
        linear_bias: Tensor | None = None,
    ) -> None:
        """Add rows of logits, or of hidden states under a head, with their labels and their characters."""
        logits = logits_of(input, linear_weight, linear_bias)
        nll, weight = _nll(logits, target, token_weight, self.ignore_index)
        self._add(nll, weight, _units("num_characters", num_characters, weight, token_weight))

    def compute(self) -> Tensor:
        """Σ t ℓ / (Σ t u · ln 2), float64."""
        return self._mean() / math.log(2)


def _nll(logits: Tensor, target: Tensor, token_weight: Tensor | None, ignore_index: int) -> tuple[Tensor, Tensor]:
    """−log p of each row, and its weight."""
    log_prob = F.token_statistics(logits, target, ignore_index=ignore_index).log_prob
    assert log_prob is not None
    return -log_prob, weight_of(target, token_weight, ignore_index)


def _units(name: str, units: Tensor | float, weight: Tensor, token_weight: Tensor | None) -> Tensor:
    """The product t u of each row, or the sum of it where one number was given."""
    if isinstance(units, Tensor) and units.shape == weight.shape:
        return weighted(units.detach(), weight)
    one_each = f"{tuple(weight.shape)}: one number for each row"
    if isinstance(units, Tensor) and units.numel() != 1:
        raise ArgumentValueError(f"{name} has shape {tuple(units.shape)}, expected {one_each}; or one for all")
    if token_weight is not None:
        raise ArgumentValueError(f"{name} is one number beside token_weight, expected {one_each}")
    if isinstance(units, Tensor):
        return units.detach().double()
    return weight.new_full((), contract.number(name, units, low=0))
