"""Metrics of a whole corpus, on torchmetrics' base, and temperature scaling.

    Perplexity     exp(Σ t ℓ / Σ t)                    Accuracy                   Σ t [argmax z = y] / Σ t
    BitsPerToken   Σ t ℓ / (Σ t · ln 2)                TopKAccuracy               Σ t [y among the k largest] / Σ t
    BitsPerByte, BitsPerCharacter                      ExpectedCalibrationError   Σ_b w_b |accuracy_b − confidence_b|
                   Σ t ℓ / (Σ t u · ln 2)              TemperatureScaling         argmin_T  Σ t ℓ(z / T, y)

z logits (…, C) · y class indices (…) · ℓ = −log softmax(z)_y in nats · t token_weight (…), 1 by default · u bytes or
characters of a token · sums over rows whose label is not ignore_index.

`update` takes logits, dense or lazy (those of a fused model), or hidden states and a head: `linear_weight` (C, D),
`linear_bias` (C). Of the last two no logits are built. Numbers are summed in float64, over batches and over processes,
and divided last: a metric is that of the whole corpus, however it is batched and sharded. `update` waits for no device.

A row that is ignored, or has the weight 0, is not read. A row that has no distribution (nan, +inf, or nothing but −inf)
makes any metric nan, as does a label out of range where it cannot be read; where it can, it is an error. So is a metric
of no rows at all nan.

All else is torchmetrics': `forward`, `reset`, `merge_state`, MetricCollection, Lightning's self.log. A collection takes
metrics for one whose sums are equal after the first update: give it compute_groups=False where two metrics of a kind
differ in ignore_index.
"""

from crossentropy._exports import Listing, listing
from crossentropy._usage import installation as _installation

try:
    import torchmetrics as _  # noqa: F401
except ImportError as _error:
    raise ImportError(f"crossentropy.metrics needs torchmetrics: {_installation('metrics')}") from _error

from crossentropy.metrics._accuracy import Accuracy, TopKAccuracy
from crossentropy.metrics._calibration import ExpectedCalibrationError, Reliability
from crossentropy.metrics._likelihood import BitsPerByte, BitsPerCharacter, BitsPerToken, Perplexity
from crossentropy.metrics._temperature import Calibration, TemperatureScaling

__all__ = [
    "Accuracy",
    "BitsPerByte",
    "BitsPerCharacter",
    "BitsPerToken",
    "Calibration",
    "ExpectedCalibrationError",
    "Perplexity",
    "Reliability",
    "TemperatureScaling",
    "TopKAccuracy",
]


__dir__: Listing = listing(__name__)
