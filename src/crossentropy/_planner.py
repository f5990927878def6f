"""Plans: how the logits of a loss are cut into pieces. A pure function of shapes, dtypes, the device and a budget.

    tile      logits that are worked on at once, in the accumulation dtype; they stay in cache
    chunk     rows whose logits under all classes exist at once, for a linear head; whose losses are concluded together
    block     classes whose logits of all rows exist at once, for a linear head

Logits that are given (dense) need no more than that. Those of a linear head are made by one or two sweeps:

    statistics            N × block    forward alone: blocks merge                                   2 NVD FLOP
    rows                  chunk × V    loss and gradients; the head's accumulates over the chunks    6 NVD FLOP
    rows, then classes    chunk × V    loss and gradient of the input; and then                      8 NVD FLOP
                          N × block    the head's, each entry of which is one product, rounded once

The second sweep over classes is for a head in half precision and more than one chunk: a sum over chunks would round
its gradient once per chunk, or need a float32 copy of the head. On a CPU it costs little: blocks stay in cache, chunks
do not.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from crossentropy._logspace import wide

CPU_BUDGET = 64_000_000
"""Bytes of workspace for a linear head on a CPU: larger chunks are not faster there."""
ACCELERATOR_BUDGET = 512_000_000
"""The same on an accelerator, whose products need more rows to be efficient."""
CPU_TILE = 1 << 21
"""Bytes of a tile on a CPU, about its L2 cache. Flat between 1 and 4 MB: 4096 × 32000, two cores."""
ACCELERATOR_TILE = 1 << 26
"""The same on an accelerator, where a kernel must be large to be worth its launch."""
CPU_TILE_ACROSS = 1 << 23
"""The same where classes do not lie innermost: rows lie together, and gathering needs many of them to use all cores.
(8, 21, 256, 256), two cores: 14 ms in tiles of 5.5 MB, 21 ms in tiles of 2 MB."""
DENSE_CHUNK = 1 << 15
"""Rows of given logits whose losses are concluded together: a dozen operators, not worth their calls for one tile; and
few enough that their statistics are small beside logits of any size."""
CPU_BLOCK = 8 << 20
"""Bytes of a block of logits on a CPU: its shared cache. 1024 × 768 × 32000 bfloat16: the products take 22 ms in
blocks of 4000 classes and 52 ms at once."""


@dataclass(frozen=True)
class Workload:
    """What there is to compute, without the numbers."""

    rows: int
    """Rows of hidden states, or of outer axes of dense logits; with positions, each stands for that many rows."""
    classes: int
    """C."""
    dtype: torch.dtype
    """Dtype of the logits: as given, or as the product makes them."""
    positions: int = 1
    """Rows for which one class lies together: d1 · … · dK of a head, or of dense logits (N, C, d1, …, dK)."""
    features: int | None = None
    """D, or None for dense logits."""
    head_dtype: torch.dtype | None = None
    device: str = "cpu"
    input_gradient: bool = False
    head_gradient: bool = False
    scratch: int = 0
    """Tiles beside the one that is worked on: for a softcap, for class probabilities, for a teacher."""
    converted: bool = False
    """Whether input and head are converted to `dtype`, by chunks and blocks."""


@dataclass(frozen=True)
class Plan:
    """How a loss is executed: sizes of the pieces, what they cost, and why."""

    strategy: str
    """"dense", "statistics", "rows" or "rows, then classes"."""
    tile: int
    """Logits in a tile."""
    chunk: int
    """Rows of hidden states, or of outer axes of dense logits, in a chunk."""
    block: int
    """Classes in a block."""
    workspace: int
    """Bytes of temporary memory."""
    gradients: int
    """Bytes of gradients."""
    flops: int
    """Of products."""
    reason: str

    @property
    def second_sweep(self) -> bool:
        """Whether the head's gradient is made by a sweep over classes."""
        return self.strategy == "rows, then classes"

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as JSON can hold them."""
        return asdict(self)

    def __str__(self) -> str:
        pieces = f"tiles of {self.tile:,} logits"
        if self.strategy != "dense":
            pieces += f", chunks of {self.chunk:,} rows, blocks of {self.block:,} classes"
        return (
            f"{self.strategy}: {pieces}\n"
            f"workspace {self.workspace / 1e6:,.1f} MB, gradients {self.gradients / 1e6:,.1f} MB, "
            f"products {self.flops / 1e9:,.1f} GFLOP\n{self.reason}"
        )


def plan(work: Workload, budget: int | None = None, most_rows: int | None = None) -> Plan:
    """The plan of a workload.

    Args:
        work: What there is to compute.
        budget: Bytes of workspace, by default those of the device's kind. Never read from free memory: a result must
            not depend on what else runs. A head is cut into pieces of one row and 16 classes at the least.
        most_rows: Upper bound of a chunk.
    """
    on_cpu = work.device == "cpu"
    budget = budget or (CPU_BUDGET if on_cpu else ACCELERATOR_BUDGET)
    cache = CPU_TILE if work.positions == 1 else CPU_TILE_ACROSS
    tile_bytes = min(cache if on_cpu else ACCELERATOR_TILE, max(budget // (4 * (1 + work.scratch)), 1))
    tile = max(tile_bytes // wide(work.dtype).itemsize, work.classes)
    in_place = work.dtype == wide(work.dtype)
    if work.features is None:
        return _dense(work, tile, in_place)
    tiles = tile * wide(work.dtype).itemsize * (work.scratch + (not in_place))
    return _linear(work, tile, budget - tiles, tiles, most_rows, on_cpu)


def _dense(work: Workload, tile: int, in_place: bool) -> Plan:
    tile = min(tile, work.rows * work.positions * work.classes)
    chunk = min(work.rows, max(tile // max(work.classes, 1), DENSE_CHUNK) // max(work.positions, 1) or 1)
    scratch = work.scratch + (not (in_place and work.input_gradient))
    gradient = work.rows * work.positions * work.classes * work.dtype.itemsize * work.input_gradient
    reason = "the gradient is computed with the loss, in place" if gradient else "the logits are read once"
    return Plan("dense", tile, chunk, 0, tile * wide(work.dtype).itemsize * scratch, gradient, 0, reason)


def _linear(work: Workload, tile: int, budget: int, tiles: int, most_rows: int | None, on_cpu: bool) -> Plan:
    assert work.features is not None
    size, width = work.dtype.itemsize, work.classes * work.positions
    head_dtype = work.head_dtype or work.dtype
    # converted pieces: the hidden states of a chunk, and of the head an eighth of the logits' size
    logit = size * (1.125 if work.converted else 1)
    conversion = work.features * size * work.converted
    # a block holds logits of all rows, and a product before its rounding
    per_class = int(work.positions * (work.rows * logit + conversion))
    block = max(16, min(budget // 2, CPU_BLOCK if on_cpu else budget) // max(per_class, 1))
    block = min(block, work.classes)
    per_row = int(width * logit + conversion)
    hidden = work.rows * conversion  # of all rows, for a sweep over classes: beside the budget, no piece can shrink it
    cap = max(1, min(work.rows, budget // max(per_row, 1), most_rows or work.rows))
    chunk = _even(work.rows, cap)
    chunks = -(-work.rows // max(chunk, 1))
    gradients = work.rows * work.features * size * work.input_gradient
    gradients += width * work.features * head_dtype.itemsize * work.head_gradient
    product = 2 * work.rows * width * work.features
    flops = product * (1 + work.input_gradient + work.head_gradient)
    if not (work.input_gradient or work.head_gradient):
        workspace = block * per_class + tiles + hidden
        return Plan(
            "statistics", tile, chunk, block, workspace, 0, flops, "blocks of classes merge; the head is read once"
        )
    workspace = chunk * per_row + tiles
    if not work.head_gradient:
        return Plan("rows", tile, chunk, block, workspace, gradients, flops, "only the input needs a gradient")
    if work.dtype == head_dtype and (chunks == 1 or work.dtype == wide(work.dtype)):
        why = "one chunk" if chunks == 1 else f"the head's gradient accumulates in {_name(head_dtype)}"
        return Plan("rows", tile, chunk, block, workspace, gradients, flops, why)
    workspace = max(workspace, block * per_class + tiles) + hidden
    why = f"a head in {_name(head_dtype)} gets each entry of its gradient from one product, rounded once"
    return Plan("rows, then classes", tile, chunk, block, workspace, gradients, flops + product, why)


def _even(rows: int, cap: int) -> int:
    """The chunk for the fewest chunks of at most `cap` rows, of equal size up to a multiple of 16."""
    chunks = max(1, -(-rows // cap))
    even = -(-rows // chunks)
    return min(cap, -(-even // 16) * 16)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
