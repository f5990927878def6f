"""Plans: how the logits of a loss are cut into pieces. A pure function of shapes, dtypes, a machine and a budget.

    tile      logits that are worked on at once, in the accumulation dtype; they stay in cache
    chunk     rows whose logits under all classes exist at once, for a linear head; whose losses are concluded together
    block     classes whose logits of all rows exist at once, for a linear head

Logits that are given (dense) need no more than that. Those of a linear head are made by one or two sweeps:

    statistics            N × block    forward alone: blocks merge                                   2 NVD FLOP
    rows                  chunk × V    loss and gradients; the head's accumulates over the chunks    6 NVD FLOP
    rows, then classes    chunk × V    loss and gradient of the input; and then                      8 NVD FLOP
                          N × block    the head's, each entry of which is one product, rounded once
    classes               N × block    statistics, and then all gradients                            8 NVD FLOP

Each chunk reads the whole head, which costs as much as the products of a few dozen rows. So where there is room for
chunks of fewer only, as of millions of classes, both sweeps go over classes: the head is read three times in all. Each
block reads all hidden states instead, so it must be wider than the chunk is; and what it leaves of all rows must fit.

A sum over chunks would round the gradient of a head in half precision once per chunk. So it is collected in float32,
which takes a copy of the head, or made by the second sweep. On a CPU that costs little: blocks stay in cache, chunks do
not.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import torch

from crossentropy._logspace import wide


@dataclass(frozen=True)
class Machine:
    """What plans depend on of a device. Sizes are in bytes."""

    budget: int
    """Of workspace for a linear head."""
    tile: int
    tile_across: int
    """A tile where classes do not lie innermost: rows lie together, and gathering needs many of them."""
    block: int | None
    """At most, of logits; None: as many as there is room for."""
    rows: int
    """Of a chunk, at least: unless a budget is given there is room for them, as smaller products are not efficient."""
    narrow: int
    """Chunks of fewer rows are not worth their reads of the head, where the statistics of blocks merge."""
    even: int
    """Chunks are a multiple of as many rows."""
    halves: int
    """In how many chunks a head in half precision may collect its gradient in its own dtype."""
    widens: bool
    """Whether it is collected in float32 in more chunks; else a second sweep makes each entry at once."""
    flops: float
    """Of products in half precision (of a CPU: in float32), in a second."""
    bandwidth: float
    """Bytes read and written in a second."""
    passes: tuple[float, float, float]
    """Over the logits, as if each moved 4 bytes: forward, for a gradient, and for a second sweep."""


CPU = Machine(
    1 << 26,
    tile=1 << 21,
    tile_across=1 << 23,
    block=8 << 20,
    rows=1,
    narrow=48,
    even=16,
    halves=1,
    widens=False,
    flops=1.4e11,
    bandwidth=5.1e10,
    passes=(4, 5, 5),
)
"""Two cores of a server; rates of an AMD EPYC in float32, by `crossentropy plan`, passes by fitting times of losses.

Larger chunks are not faster. A tile is about the L2 cache: flat between 1 and 4 MB for 4096 × 32000; across,
(8, 21, 256, 256) takes 14 ms in tiles of 5.5 MB and 21 ms in tiles of 2 MB. A block is about the shared cache: the
products of 1024 × 768 × 32000 in bfloat16 take 22 ms in blocks of 4000 classes and 52 ms at once.

Time of sweeps over classes ÷ that of chunks, 256 rows, D from 64 to 1024: 0.57 to 0.81 for chunks of 16 rows, 0.81 to
1.09 of 32, 1.12 to 1.19 of 64; in bfloat16 0.25 of 16 and 0.44 to 0.51 of 32. Of 64 rows and 10 million classes: 0.2.
"""

H200 = Machine(
    512_000_000,
    tile=1 << 26,
    tile_across=1 << 26,
    block=None,
    rows=4096,
    narrow=1,
    even=1024,
    halves=2,
    widens=True,
    flops=7.9e14,
    bandwidth=4.3e12,
    passes=(0.5, 0.5, 1),
)
"""By a model of time, not by measurement, for H200 (790 TFLOP/s, 4.3 TB/s), in times of the three products alone:
chunks of 4096 rows 1.09, of 0.5 GB 1.21, two sweeps 1.41. The row kernel reads the two bytes of a logit, and writes its
gradient in their place. A tile must be large to be worth its launches. Products of
4096 features fill all multiprocessors at multiples of 1024 rows. The head's gradient in bfloat16 errs by 1.17 of one
rounding in two chunks, and by 1.32 in three; collected in float32, by one rounding in any."""

CARDS = {
    "A100": replace(H200, flops=2.6e14, bandwidth=1.75e12),
    "H100": replace(H200, flops=7.9e14, bandwidth=3.0e12),
    "H200": H200,
    "B200": replace(H200, flops=1.5e15, bandwidth=7.0e12),
}
"""Rates of H100 and H200 are public measurements of products and copies, the others are published ones less a tenth."""

DENSE_CHUNK = 1 << 15
"""Rows of given logits whose losses are concluded together: a dozen operators, not worth their calls for one tile; and
few enough that their statistics are small beside logits of any size."""


def machine_of(device: torch.device) -> Machine:
    """The machine that a device is; any accelerator is planned for as an H200, whose rates differ and rules do not."""
    return CPU if device.type == "cpu" else H200


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
    machine: Machine = CPU
    input_gradient: bool = False
    head_gradient: bool = False
    scratch: int = 0
    """Tiles beside the one that is worked on: for a softcap, for class probabilities, for a teacher."""
    in_place: bool = False
    """Whether tiles of any dtype are worked on where they are; else others are copied into the accumulation dtype."""
    converted: bool = False
    """Whether input and head are converted to `dtype`, by chunks and blocks."""
    merges: bool = True
    """Whether a row's statistics are merged from those of blocks; not those of two sides."""


@dataclass(frozen=True)
class Plan:
    """How a loss is executed: sizes of the pieces, what they cost, and why."""

    strategy: str
    """"dense", "statistics", "rows", "rows, then classes" or "classes"."""
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
    widens: bool = False
    """Whether the gradient of a head in half precision is collected in float32."""

    @property
    def blockwise(self) -> bool:
        """Whether the statistics of a row are merged from those of blocks of classes."""
        return self.strategy in ("statistics", "classes")

    @property
    def second_sweep(self) -> bool:
        """Whether the head's gradient is made by a sweep over classes."""
        return self.strategy in ("rows, then classes", "classes")

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
    machine, most = work.machine, budget or work.machine.budget
    cache = machine.tile if work.positions == 1 else machine.tile_across
    cache = min(cache, max(most // (4 * (1 + work.scratch)), 1))
    tile = max(cache // wide(work.dtype).itemsize, work.classes)
    in_place = work.in_place or work.dtype == wide(work.dtype)
    if work.features is None:
        return _dense(work, tile, in_place)
    tiles = tile * wide(work.dtype).itemsize * (work.scratch + (not in_place))
    return _linear(work, tile, tiles, most - tiles, most_rows, bounded=budget is not None)


def _dense(work: Workload, tile: int, in_place: bool) -> Plan:
    tile = min(tile, work.rows * work.positions * work.classes)
    chunk = min(work.rows, max(tile // max(work.classes, 1), DENSE_CHUNK) // max(work.positions, 1) or 1)
    scratch = work.scratch + (not (work.in_place or (in_place and work.input_gradient)))
    gradient = work.rows * work.positions * work.classes * work.dtype.itemsize * work.input_gradient
    reason = "the gradient is computed with the loss, in place" if gradient else "the logits are read once"
    return Plan("dense", tile, chunk, 0, tile * wide(work.dtype).itemsize * scratch, gradient, 0, reason)


_STATISTICS = 64
"""Bytes of a row's statistics, and of those that are merged with them."""


class _Sizes(NamedTuple):
    """Bytes of what a linear head makes, and FLOPs."""

    row: int
    """A row of logits under all classes."""
    column: int
    """The logits of all rows under one class, and a product before its rounding."""
    hidden: int
    """All hidden states, converted: for a sweep over classes, beside the budget, since no piece can shrink it."""
    head: int
    """The head's gradient in the accumulation dtype."""
    kept: int
    """What blocks leave of all rows: statistics, and the sum of the input's gradient where it is of another dtype."""
    gradients: int
    product: int
    """FLOPs of one product."""


def _sizes(work: Workload) -> _Sizes:
    assert work.features is not None
    size, width = work.dtype.itemsize, work.classes * work.positions
    # converted pieces: the hidden states of a chunk, and of the head an eighth of the logits' size
    logit = size * (1.125 if work.converted else 1)
    conversion = work.features * size * work.converted
    of_input = work.input_gradient * (size == 2 or work.converted)
    gradients = work.rows * work.features * size * work.input_gradient
    gradients += width * work.features * (work.head_dtype or work.dtype).itemsize * work.head_gradient
    return _Sizes(
        row=int(width * logit + conversion),
        column=int(work.positions * (work.rows * logit + conversion)),
        hidden=work.rows * conversion,
        head=width * work.features * wide(work.dtype).itemsize,
        kept=work.rows * (_STATISTICS * work.positions + work.features * 4 * of_input),
        gradients=gradients,
        product=2 * work.rows * width * work.features,
    )


def _linear(work: Workload, tile: int, tiles: int, room: int, most_rows: int | None, *, bounded: bool) -> Plan:
    sizes, machine, head = _sizes(work), work.machine, work.head_dtype or work.dtype
    room = room if bounded else max(room, machine.rows * sizes.row)
    block = max(16, min(room // 2, room if machine.block is None else machine.block) // max(sizes.column, 1))
    block = min(block, work.classes)
    chunk = _chunk(work, sizes, room, most_rows)
    flops = sizes.product * (1 + work.input_gradient + work.head_gradient)
    blocks = block * sizes.column + sizes.kept
    if not (work.input_gradient or work.head_gradient):
        if bounded and blocks > room and chunk * sizes.row < blocks:
            why = "blocks of all rows have no room"
            return Plan("rows", tile, chunk, block, chunk * sizes.row + tiles, 0, flops, why)
        why = "blocks of classes merge; the head is read once"
        return Plan("statistics", tile, chunk, block, blocks + tiles + sizes.hidden, 0, flops, why)
    few = room // max(sizes.row, 1) < min(work.rows, machine.narrow)
    if work.merges and few and chunk < block and blocks <= room:
        why = "chunks of few rows would read the head too often"
        workspace = blocks + tiles + sizes.hidden
        return Plan("classes", tile, chunk, block, workspace, sizes.gradients, flops + sizes.product, why)
    workspace, chunks = chunk * sizes.row + tiles, -(-work.rows // max(chunk, 1))
    if not work.head_gradient:
        why = "only the input needs a gradient"
        return Plan("rows", tile, chunk, block, workspace, sizes.gradients, flops, why)
    if chunks == 1 or (work.dtype == head and (chunks <= machine.halves or head == wide(head))):
        why = "one chunk" if chunks == 1 else f"the head's gradient accumulates in {_name(head)}"
        return Plan("rows", tile, chunk, block, workspace, sizes.gradients, flops, why)
    buffer = 0 if head == wide(head) else sizes.head
    least = min(work.rows, machine.even) * sizes.row
    if machine.widens and (not bounded or buffer + least <= room):
        chunk = _chunk(work, sizes, room - buffer if bounded else room, most_rows)
        workspace, why = chunk * sizes.row + tiles + buffer, f"the head's gradient accumulates in {_name(wide(head))}"
        return Plan("rows", tile, chunk, block, workspace, sizes.gradients, flops, why, widens=True)
    workspace = max(workspace, block * sizes.column + tiles) + sizes.hidden
    why = f"a head in {_name(head)} gets each entry of its gradient from one product, rounded once"
    return Plan("rows, then classes", tile, chunk, block, workspace, sizes.gradients, flops + sizes.product, why)


def _chunk(work: Workload, sizes: _Sizes, room: int, most_rows: int | None) -> int:
    """Rows of the fewest chunks that there is room for, of equal size up to a multiple."""
    cap, multiple = max(1, min(work.rows, room // max(sizes.row, 1), most_rows or work.rows)), work.machine.even
    if multiple <= cap < work.rows:
        cap -= cap % multiple
    chunks = max(1, -(-work.rows // cap))
    even = -(-work.rows // chunks)
    return min(cap, -(-even // multiple) * multiple)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
