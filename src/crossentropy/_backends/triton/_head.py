"""Kernels of a linear head, beside the library's products.

    label_logits        z_y = h · W_y + b_y in float32            what is kept apart does not depend on rounded logits
    scale_unless_one    G ← u G, u read on the device             where u = 1 nothing is read, and no host waits for it
    linear_rows         statistics of h Wᵀ + b, none of it stored:

        for each tile of classes:    z = h Wᵀ + b in float32;  m, o, z_k (and e) of the tile;  merged with those so far

h hidden states (N, D) · W head (C, D), or (C, P, D) whose P positions share a hidden state · the statistics are those
of `crossentropy._statistics`, k the label, or the largest for token statistics. Nothing is summed by atomics.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from crossentropy import _statistics as statistics
from crossentropy._backends.chunked._linear import Head
from crossentropy._backends.chunked._tile import each
from crossentropy._backends.triton._elementary import FAINT, LOWEST, transform
from crossentropy._backends.triton._lanes import NOWHERE
from crossentropy._backends.triton._launch import start
from crossentropy._loss import LossSpec, Side, product_dtype
from crossentropy._statistics import RowStatistics

PROGRAMS = 4096
"""Programs that scale a gradient: enough to fill any card, and few where all of them return at once."""
DTYPES = {torch.float16: tl.float16, torch.bfloat16: tl.bfloat16}


# --- logits of labels ---------------------------------------------------------------------------------------------


def label_logits(side: Side, label: Tensor, begin: int = 0) -> Tensor:
    """Logits in float32 (rows, 1), of labels that count the head's classes from `begin` on; 0 where it has no such.

    Hidden states, head and bias are rounded to the product's dtype, as the other logits' are.
    """
    assert side.weight is not None
    head = side.weight.flatten(1, -2) if side.weight.dim() > 2 else side.weight.unsqueeze(1)
    hidden, label = side.input.reshape(-1, side.input.shape[-1]), label.reshape(-1)
    out = torch.empty((len(label), 1), dtype=torch.float32, device=label.device)
    block = min(512, 1 << (max(hidden.shape[1], 16) - 1).bit_length())
    rows = max(1, 2048 // block)
    bias = None if side.bias is None else side.bias.reshape(head.shape[:2])
    bias_row, bias_position = (0, 0) if bias is None else bias.stride()
    hidden_row, hidden_step = hidden.stride()
    head_row, head_position, head_step = head.stride()
    arguments = {
        "hidden": hidden, "head": head, "bias": bias, "label": label, "out": out,
        "rows": len(label), "features": hidden.shape[1], "classes": head.shape[0], "positions": head.shape[1],
        "hidden_row": hidden_row, "hidden_step": hidden_step,
        "head_row": head_row, "head_position": head_position, "head_step": head_step,
        "bias_row": bias_row, "bias_position": bias_position,
        "begin": begin, "ignore_index": side.spec.ignore_index,
        "DTYPE": DTYPES[product_dtype(side)], "ROWS": rows, "BLOCK": block,
    }  # fmt: skip
    start(_label_logits, out, (-(-len(label) // rows),), 4, arguments)
    return out


@triton.jit
def _label_logits(
    hidden, head, bias, label, out,
    rows, features, classes, positions,
    hidden_row, hidden_step, head_row, head_position, head_step, bias_row, bias_position,
    begin, ignore_index,
    DTYPE: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    y = tl.load(label + row, mask=row < rows, other=ignore_index)
    known = (y != ignore_index) & (y >= begin) & (y < begin + classes)
    y = tl.where(known, y - begin, 0)
    h = hidden + (row // positions) * hidden_row
    w = head + y * head_row + (row % positions) * head_position
    total = tl.zeros((ROWS, BLOCK), tl.float32)
    for first in range(0, features, BLOCK):
        k = first + tl.arange(0, BLOCK)
        mask = known[:, None] & (k < features)[None, :]
        a = tl.load(h[:, None] + k.to(tl.int64)[None, :] * hidden_step, mask=mask, other=0.0)
        b = tl.load(w[:, None] + k.to(tl.int64)[None, :] * head_step, mask=mask, other=0.0)
        total += a.to(DTYPE).to(tl.float32) * b.to(DTYPE).to(tl.float32)
    z = tl.sum(total, 1)
    if bias is not None:
        b = tl.load(bias + y * bias_row + (row % positions) * bias_position, mask=known, other=0.0)
        z += b.to(DTYPE).to(tl.float32)
    tl.store(out + row, z, mask=row < rows)


# --- the upstream -------------------------------------------------------------------------------------------------


def scale_unless_one(gradient: Tensor, upstream: Tensor) -> None:
    """Multiply a gradient whose memory is dense, in place, by one number that stays on the device."""
    entries = gradient.numel()
    upstream = upstream.resolve_neg()  # that of an imaginary part may be stored negated
    arguments = {"gradient": gradient, "upstream": upstream, "entries": entries, "BLOCK": 4096}
    start(_scale_unless_one, gradient, (min(PROGRAMS, -(-entries // 4096)),), 8, arguments)


@triton.jit
def _scale_unless_one(gradient, upstream, entries, BLOCK: tl.constexpr):
    scale = tl.load(upstream).to(tl.float32)
    if scale != 1.0:
        begin = tl.program_id(0).to(tl.int64) * BLOCK
        for first in range(begin, entries, tl.num_programs(0).to(tl.int64) * BLOCK):
            at = first + tl.arange(0, BLOCK)
            g = tl.load(gradient + at, mask=at < entries, other=0.0).to(tl.float32) * scale
            tl.store(gradient + at, g.to(gradient.dtype.element_ty), mask=at < entries)


# --- rows of a head, forward alone --------------------------------------------------------------------------------


class Tile(NamedTuple):
    """A tile of the product: rows, classes and features at once, and how many of the latter are on their way."""

    rows: int
    classes: int
    features: int
    stages: int
    warps: int


LARGE, SMALL = Tile(128, 128, 64, 3, 8), Tile(128, 128, 64, 2, 8)
"""Of 98 kB and of 66 kB of shared memory: for data-centre cards, and for all others."""


class Machine(NamedTuple):
    """What a launch depends on."""

    tile: Tile
    processors: int
    describes: bool
    """Whether it copies tiles by descriptors (TMA), beside the computation."""
    multiplies: bool = True
    """Whether Triton has its instructions for products: before Ampere it multiplies number by number."""


def machine_of(x: Tensor) -> Machine:
    """The machine that a tensor is on."""
    if x.is_cpu:  # the interpreter, whose cost is that of tensor operations, whatever their size
        return Machine(Tile(32, 64, 16, 1, 4), 2, False)
    properties = torch.cuda.get_device_properties(x.device)
    large = getattr(properties, "shared_memory_per_block_optin", 0) >= 160_000
    nvidia, major = torch.version.hip is None, properties.major
    tile, describes, multiplies = LARGE if large else SMALL, nvidia and major >= 9, not nvidia or major >= 8
    return Machine(tile, properties.multi_processor_count, describes, multiplies)


def linear_rows(
    head: Head,
    spec: LossSpec,
    label: Tensor | None,
    machine: Machine,
    begin: int = 0,
    *,
    of_largest: bool = False,
) -> RowStatistics:
    """Statistics (rows, 1) of the classes of a head from `begin` on; with energy and top where the largest is apart.

    Features are a multiple of a tile's, and lie together. Classes are divided among programs where rows are few, and
    their statistics merged: two at a time, in order.
    """
    hidden, weight, bias, tile = head.some(), head.head[:, 0], head.bias, machine.tile
    (rows, features), classes = hidden.shape, len(weight)
    programs, tiles = -(-rows // tile.rows), -(-classes // tile.classes)
    splits = 1 << (min(-(-2 * machine.processors // max(programs, 1)), tiles) - 1).bit_length()
    row = _room((splits, rows), hidden.device, labelled=label is not None, of_largest=of_largest)
    described = machine.describes and _describable(hidden) and _describable(weight)
    inner = spec.logit_scale / (spec.temperature if spec.softcap is None else spec.softcap)
    outer = 1.0 if spec.softcap is None else spec.softcap / spec.temperature
    arguments = {
        "hidden": TensorDescriptor.from_tensor(hidden, [tile.rows, tile.features]) if described else hidden,
        "head": TensorDescriptor.from_tensor(weight, [tile.classes, tile.features]) if described else weight,
        "bias": bias, "label": None if label is None else label.reshape(-1),
        "maximum_out": row.maximum, "others_out": row.others, "apart_out": row.apart,
        "energy_out": row.energy, "top_out": row.top, "target_out": row.target,
        "rows": rows, "classes": classes, "features": features,
        "hidden_row": hidden.stride(0), "head_row": weight.stride(0),
        "bias_step": 1 if bias is None else bias.stride(0), "begin": begin, "tiles": -(-tiles // splits),
        "inner": inner, "outer": outer,
        "CAPPED": spec.softcap is not None, "SCALED": inner != 1.0, "LARGEST": of_largest, "DESCRIBED": described,
        "ROWS": tile.rows, "CLASSES": tile.classes, "FEATURES": tile.features, "STAGES": tile.stages,
    }  # fmt: skip
    start(_linear_rows, hidden, (programs, splits), tile.warps, arguments)
    while len(row.maximum) > 1:
        row = statistics.merge(each(row, lambda x: x[0::2]), each(row, lambda x: x[1::2]))
    return each(row, lambda x: x.view(-1, 1))


def _room(shape: tuple[int, int], device: torch.device, *, labelled: bool, of_largest: bool) -> RowStatistics:
    def empty(wanted: bool = True, dtype: torch.dtype = torch.float32) -> Tensor | None:
        return torch.empty(shape, dtype=dtype, device=device) if wanted else None

    return RowStatistics(  # the label is apart, or beside what is
        empty(),  # pyright: ignore[reportArgumentType]
        empty(),  # pyright: ignore[reportArgumentType]
        empty(),  # pyright: ignore[reportArgumentType]
        energy=empty(of_largest),
        top=empty(of_largest, torch.int64),
        target=empty(of_largest and labelled),
    )


def _describable(x: Tensor) -> bool:
    """Whether rows are such as descriptors copy: apart, and 16 bytes are their unit."""
    return x.stride(0) >= x.shape[1] and x.stride(0) * x.itemsize % 16 == 0 and x.data_ptr() % 16 == 0


@triton.jit
def _linear_rows(
    hidden, head, bias, label,
    maximum_out, others_out, apart_out, energy_out, top_out, target_out,  # (splits, rows)
    rows, classes, features, hidden_row, head_row, bias_step,
    begin, tiles, inner, outer,
    CAPPED: tl.constexpr, SCALED: tl.constexpr, LARGEST: tl.constexpr, DESCRIBED: tl.constexpr,
    ROWS: tl.constexpr, CLASSES: tl.constexpr, FEATURES: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    first_row = tl.program_id(0) * ROWS
    row = first_row + tl.arange(0, ROWS)
    y = tl.full((ROWS,), -1, tl.int64)
    if label is not None:
        y = tl.load(label + row, mask=row < rows, other=-1) - begin
    maximum = tl.full((ROWS,), LOWEST, tl.float32)
    others = tl.zeros((ROWS,), tl.float32)
    apart = tl.full((ROWS,), -float("inf"), tl.float32)
    energy = tl.zeros((ROWS,), tl.float32)
    top = tl.zeros((ROWS,), tl.int64)
    target = tl.full((ROWS,), -float("inf"), tl.float32)
    first_tile = tl.program_id(1) * tiles
    for t in range(first_tile, tl.minimum(first_tile + tiles, tl.cdiv(classes, CLASSES))):
        z = _product(
            hidden, head, first_row, t * CLASSES, rows, classes, features,
            hidden_row, head_row,
            DESCRIBED, ROWS, CLASSES, FEATURES, STAGES,
        )  # fmt: skip
        column = t * CLASSES + tl.arange(0, CLASSES)
        inside = (column < classes)[None, :]
        if bias is not None:
            z += tl.load(bias + column * bias_step, mask=column < classes, other=0.0).to(tl.float32)[None, :]
        z, _ = transform(z, inner, outer, CAPPED, SCALED)
        z = tl.where(inside, z, -float("inf"))
        at_label = column[None, :] == y[:, None]
        # a sum, because a maximum would lose nan; one tile at the most has the label
        labelled = (y >= t * CLASSES) & (y < tl.minimum(t * CLASSES + CLASSES, classes))
        target = tl.where(labelled, tl.sum(tl.where(at_label, z, 0.0), 1), target)
        largest = tl.max(z, 1)
        if LARGEST:
            tile_top, largest = _largest(z, largest, column)
            tile_apart = largest
        tile_maximum = tl.maximum(largest, LOWEST, propagate_nan=tl.PropagateNan.ALL)
        new_maximum = tl.maximum(maximum, tile_maximum, propagate_nan=tl.PropagateNan.ALL)
        shift, tile_shift = maximum - new_maximum, tile_maximum - new_maximum
        d = z - tile_maximum[:, None]
        p = tl.exp(d)
        if LARGEST:
            p_elsewhere = tl.where(column[None, :] == tile_top[:, None], 0.0, p)
            tile_others, tile_energy = tl.reduce((p_elsewhere, p * tl.maximum(d, FAINT)), 1, _both)
            energy = tl.exp(shift) * (energy + (others + tl.exp(apart - maximum)) * tl.maximum(shift, FAINT))
            tile_total = tile_others + tl.exp(tile_apart - tile_maximum)
            energy += tl.exp(tile_shift) * (tile_energy + tile_total * tl.maximum(tile_shift, FAINT))
            stays = (apart >= tile_apart) | (apart != apart)
            joins = tl.where(stays, tile_apart, apart)
            top = tl.where(stays, top, begin + tile_top)
            apart = tl.where(stays, apart, tile_apart)
            others = others * tl.exp(shift) + tile_others * tl.exp(tile_shift) + tl.exp(joins - new_maximum)
        else:
            tile_others = tl.sum(tl.where(at_label, 0.0, p), 1)
            others = others * tl.exp(shift) + tile_others * tl.exp(tile_shift)
        maximum = new_maximum
    where = tl.program_id(1).to(tl.int64) * rows + row
    inside_rows = row < rows
    tl.store(maximum_out + where, maximum, mask=inside_rows)
    tl.store(others_out + where, others, mask=inside_rows)
    if LARGEST:
        tl.store(apart_out + where, apart, mask=inside_rows)
        tl.store(energy_out + where, energy, mask=inside_rows)
        tl.store(top_out + where, top, mask=inside_rows)
        if label is not None:
            tl.store(target_out + where, target, mask=inside_rows)
    else:
        tl.store(apart_out + where, target, mask=inside_rows)


@triton.jit
def _product(
    hidden, head, row, column, rows, classes, features, hidden_row, head_row,
    DESCRIBED: tl.constexpr,
    ROWS: tl.constexpr, CLASSES: tl.constexpr, FEATURES: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Logits (ROWS, CLASSES) of a tile; of anything beyond the last row or class."""
    z = tl.zeros((ROWS, CLASSES), tl.float32)
    k = tl.arange(0, FEATURES)
    if not DESCRIBED:
        # the last row again, not a mask, so that copies stay wide
        r = tl.minimum(row + tl.arange(0, ROWS), rows - 1).to(tl.int64)
        c = tl.minimum(column + tl.arange(0, CLASSES), classes - 1).to(tl.int64)
        hidden += r[:, None] * hidden_row + k[None, :]
        head += c[:, None] * head_row + k[None, :]
    for first in tl.range(0, features, FEATURES, num_stages=STAGES):
        if DESCRIBED:
            a = hidden.load([row, first])
            b = head.load([column, first])
        else:
            a = tl.load(hidden)
            b = tl.load(head)
        z = tl.dot(a, b.T, z)
        if not DESCRIBED:
            hidden += FEATURES
            head += FEATURES
    return z


@triton.jit
def _both(a, b, c, d):
    return a + c, b + d


@triton.jit
def _largest(z, largest, column):
    """The class and the logit of each row's first largest one, or of its first nan."""
    is_nan = z != z
    first_nan = tl.min(tl.where(is_nan, column[None, :], NOWHERE), 1)
    first = tl.min(tl.where(z == largest[:, None], column[None, :], NOWHERE), 1)
    found = first_nan != NOWHERE
    return tl.where(found, first_nan, first), tl.where(found, float("nan"), largest)
