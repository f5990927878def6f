"""Shapes of losses in real models: rows N, classes C (vocabulary V), features D of the head.

Row counts are scaled down from a training batch to what a CPU does in about a second; a ratio to torch hardly depends
on them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dense:
    """Logits (N, C, d1, …, dK)."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class Linear:
    """Hidden states (N, D) and a head (V, D)."""

    name: str
    rows: int
    features: int
    vocabulary: int
    dtype: str = "float32"


DENSE = (
    Dense("small classifier", (32, 10)),
    Dense("ImageNet-1k", (1024, 1000)),
    Dense("ImageNet-1k", (1024, 1000), "bfloat16"),
    Dense("segmentation, 21 classes", (2, 21, 128, 128)),
    Dense("32k vocabulary", (512, 32_000)),
    Dense("32k vocabulary", (512, 32_000), "bfloat16"),
)

LINEAR = (
    Linear("GPT-2 head", 256, 768, 50_257),
    Linear("32k vocabulary head", 256, 768, 32_000),
)
