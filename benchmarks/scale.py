"""What is sent by losses that are spread over 512 ranks, and a model of how long it takes: writes docs/scale.md.

Nothing is measured but what is sent: the process that runs this is one of 512, of torch's fake process group.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from crossentropy.distributed import (
    token_denominator,
    vocab_parallel_cross_entropy,
    vocab_parallel_linear_cross_entropy,
    vocab_parallel_linear_kl_div,
    vocab_parallel_token_statistics,
)

PAGE = Path(__file__).parent.parent / "docs" / "scale.md"
RANKS, ROWS, FEATURES, VOCABULARY = 512, 1024, 64, 128_256
MESHES = {"64 dp × 8 tp": (64, 8), "512 tp": (1, 512), "16 dp × 4 cp × 8 tp": (16, 4, 8)}

# --- counting -----------------------------------------------------------------------------------------------------

Sent = list[tuple[str, int]]
"""Collectives, and the bytes of the whole tensor of each: what a gather returns, what a reduction takes."""

_NAMES = {
    "_allgather_base_": "all-gather",
    "allgather_into_tensor": "all-gather",
    "all_gather_into_tensor": "all-gather",
    "allreduce_": "all-reduce",
    "all_reduce": "all-reduce",
    "_reduce_scatter_base_": "reduce-scatter",
    "reduce_scatter_tensor": "reduce-scatter",
}


class Watch(TorchDispatchMode):
    """Notes every collective, and how many operations there are."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: Sent = []
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operations += 1
        if func.namespace == "c10d" or (func.namespace == "_c10d_functional" and "wait" not in func.__name__):
            tensors = [x for x in tree_leaves((args, result)) if isinstance(x, Tensor)]
            self.sent.append((_NAMES[func.overloadpacket.__name__], max(x.nbytes for x in tensors)))
        return result


@contextmanager
def one_of_many(ranks: int) -> Iterator[None]:
    """Be the first of so many processes, all others of which say what this one says."""
    dist.init_process_group("fake", rank=0, world_size=ranks, store=FakeStore())
    try:
        yield
    finally:
        dist.destroy_process_group()


class Call:
    """One call of a loss, in float32, by a rank that has the first classes."""

    def __init__(self, group: DeviceMesh) -> None:
        self.group, self.size = group, group.size()
        self.target = torch.arange(ROWS) % VOCABULARY
        self.own = -(-VOCABULARY // self.size)
        self.place: dict[str, Any] = {"group": group, "vocab_start": 0, "num_classes": VOCABULARY}

    def made(self, *shape: int) -> Tensor:
        """Any numbers."""
        return torch.zeros(shape, requires_grad=True)

    def dense(self, **settings: Any) -> Tensor:
        """From logits."""
        return vocab_parallel_cross_entropy(self.made(ROWS, self.own), self.target, **{**self.place, **settings})

    def linear(self, rows: int | None = None, **settings: Any) -> Tensor:
        """From hidden states and a head."""
        hidden, head = self.made(ROWS if rows is None else rows, FEATURES), self.made(self.own, FEATURES)
        return vocab_parallel_linear_cross_entropy(hidden, head, self.target, **{**self.place, **settings})

    def sequence(self) -> Tensor:
        """From a part of the hidden states."""
        return self.linear(-(-ROWS // self.size), sequence_dim=0)

    def probabilities(self) -> Tensor:
        """With class probabilities."""
        target = torch.full((ROWS, self.own), 1 / VOCABULARY)
        return vocab_parallel_cross_entropy(self.made(ROWS, self.own), target, **self.place)

    def divergence(self) -> Tensor:
        """Of a student's head and a teacher's, which learns nothing."""
        hidden, head = self.made(ROWS, FEATURES), self.made(self.own, FEATURES)
        return vocab_parallel_linear_kl_div(hidden, head, hidden.detach(), head.detach(), **self.place)

    def statistics(self) -> Tensor:
        """Log-probabilities and entropy of a head."""
        hidden, head = self.made(ROWS, FEATURES), self.made(self.own, FEATURES)
        found = vocab_parallel_token_statistics(hidden, self.target, linear_weight=head, **self.place)
        assert found.log_prob is not None
        return (found.log_prob + found.entropy).sum()


CALLS: dict[str, Callable[[Call], Tensor]] = {
    "`cross_entropy`": Call.dense,
    "`cross_entropy`, without `vocab_start`": lambda call: call.dense(vocab_start=None, num_classes=None),
    "`cross_entropy`, smoothing": lambda call: call.dense(label_smoothing=0.1),
    "`cross_entropy`, class probabilities": Call.probabilities,
    "`linear_cross_entropy`": Call.linear,
    "`linear_cross_entropy`, `reduce_input_grad=False`": lambda call: call.linear(reduce_input_grad=False),
    "`linear_cross_entropy`, `sequence_dim`": Call.sequence,
    "`token_statistics` of a head": Call.statistics,
    "`linear_kl_div`": Call.divergence,
}


def count(call: Callable[[Call], Tensor], group: DeviceMesh) -> tuple[Sent, Sent]:
    """What the forward and the backward of a call send."""
    with Watch() as forward:
        loss = call(Call(group))
    with Watch() as backward:
        loss.backward()
    return forward.sent, backward.sent


def counted_tokens(mesh: DeviceMesh) -> Sent:
    """What a step's denominator sends, over all dimensions but the vocabulary's."""
    names = mesh.mesh_dim_names
    assert names is not None
    data = mesh[names[:-1]]
    with Watch() as watch:
        token_denominator(torch.arange(ROWS), group=data if data.ndim == 1 else data._flatten("data"))
    return watch.sent


def _said(sent: Sent) -> str:
    return "; ".join(f"{name} {size:,}" for name, size in sent) or "–"


def _counts() -> Iterator[str]:
    """A table: what is sent, function by function and mesh by mesh."""
    yield f"| | {' | '.join(MESHES)} |"
    yield f"|{'---|' * (1 + len(MESHES))}"
    meshes = []
    for shape in MESHES.values():
        names = ("dp", "cp", "tp") if len(shape) == 3 else ("dp", "tp")
        meshes.append(init_device_mesh("cpu", shape, mesh_dim_names=names))
    for name, call in CALLS.items():
        both = [count(call, mesh["tp"]) for mesh in meshes]
        yield f"| {name} | {' | '.join(_said(forward) for forward, _ in both)} |"
        yield f"| … backward | {' | '.join(_said(backward) for _, backward in both)} |"
    yield f"| `token_denominator`, once a step | {' | '.join(_said(counted_tokens(mesh)) for mesh in meshes)} |"


# --- the model ----------------------------------------------------------------------------------------------------

LAUNCH, HOP = 15e-6, 5e-6
"""Seconds: of a collective within a node, and of each doubling of nodes."""
NODE = 8
"""Ranks."""
WITHIN, BETWEEN = 450e9, 50e9
"""Bytes per second and rank."""
TOKENS, WIDTH, MICRO_BATCHES = 8192, 4096, 16
"""Rows of a micro-batch, features, and micro-batches of a step."""
ACCURATE = 4
"""Bytes of a float32."""


def latency(ranks: int) -> float:
    """Seconds of a collective that carries nothing; one rank has nobody to wait for."""
    return 0.0 if ranks == 1 else LAUNCH + HOP * math.log2(max(ranks / NODE, 1))


def bandwidth(ranks: int) -> float:
    """Bytes per second."""
    return WITHIN if ranks <= NODE else BETWEEN


def gather(size: float, ranks: int) -> float:
    """Seconds of an all-gather, or of a reduce-scatter, of a whole of so many bytes."""
    return latency(ranks) + (ranks - 1) / ranks * size / bandwidth(ranks)


def reduction(size: float, ranks: int) -> float:
    """Seconds of an all-reduce: a reduce-scatter and an all-gather."""
    return latency(ranks) + 2 * (ranks - 1) / ranks * size / bandwidth(ranks)


def scalar(ranks: int) -> float:
    """Seconds until one number is summed over ranks, each on a node of its own, there and back."""
    return 0.0 if ranks == 1 else LAUNCH + 2 * HOP * math.log2(ranks)


def fold(ranks: int) -> float:
    """Seconds of a micro-batch's statistics: the gather, or above 8 MB the largest and the sum."""
    message = 3 * ACCURATE * TOKENS
    if message * ranks <= 8e6:
        return gather(message * ranks, ranks)
    return reduction(2 * message / 3, ranks) + reduction(message / 3, ranks)


def three(ranks: int) -> float:
    """The same by three reductions of one number a row."""
    return 3 * reduction(ACCURATE * TOKENS, ranks)


def _micro(seconds: float) -> str:
    return f"{1e6 * seconds:,.0f}"


def _by_data() -> Iterator[str]:
    """A table: more data-parallel ranks."""
    yield "| ranks | data × tp | a step: statistics, µs | by three reductions, µs | denominator, µs |"
    yield "|---|---|---|---|---|"
    for ranks in (8, 64, 512, 4096):
        data = ranks // NODE
        cells = (_micro(MICRO_BATCHES * fold(NODE)), _micro(MICRO_BATCHES * three(NODE)), _micro(scalar(data)))
        yield f"| {ranks:,} | {data} × {NODE} | {' | '.join(cells)} |"


def _by_vocabulary() -> Iterator[str]:
    """A table: more ranks of one vocabulary."""
    yield "| tp | statistics, µs | by three reductions, µs | hidden gradient, µs | all logits, µs |"
    yield "|---|---|---|---|---|"
    for ranks in (2, 8, 64, 512, 4096):
        hidden, logits = reduction(ACCURATE * TOKENS * WIDTH, ranks), gather(2 * TOKENS * VOCABULARY, ranks)
        yield f"| {ranks:,} | {' | '.join(map(_micro, (fold(ranks), three(ranks), hidden, logits)))} |"


# --- the page -----------------------------------------------------------------------------------------------------

TEXT = f"""# Losses on many ranks

What `crossentropy.distributed` sends, by `benchmarks/scale.py`; a test holds that these are the numbers.
[Over many devices](use/distributed.md) says how the functions are used.

## What is sent

Seen by one of {RANKS} ranks of torch's fake process group, in float32: N = {ROWS:,} rows a rank of the mesh's data
dimensions, D = {FEATURES} features, V = {VOCABULARY:,} classes. The number behind each collective is the bytes of its
whole tensor: what a gather returns, what a reduction takes.

{{counts}}

    statistics     (K · N + 3) · W numbers gathered; K = 3, with smoothing 4, class probabilities or statistics 5; 4
                   and then 1 for a divergence. Above 8 MB the largest, and then a sum, whatever W is
    handshake      where `vocab_start` and `num_classes` are not both given: 5 integers a rank
    linear         + N · D numbers summed, once; that, and the hidden states gathered, with `sequence_dim`
    denominator    one number a step, over the ranks that have rows of their own

No logits are sent, and nothing depends on the number of data-parallel ranks but whom the one number of a step goes to.
The gradients of the head and of all other parameters over data-parallel ranks are sent by their owner,
DistributedDataParallel or FSDP, and are not counted here.

Each rank merges the gathered statistics of W ranks as a tree: neighbours together, all pairs at once, log₂ W times.
For W = 512 these are 9 merges of 15 to 50 operations, and no loop over ranks; of 1,024 rows they took 8 ms on one
x86-64 core.

## How long it would take

**This is a model, and nothing here was measured on such a machine.** A collective of B bytes on W ranks takes

    all-gather, reduce-scatter    a(W) + (W − 1)/W · B/b(W)
    all-reduce                    a(W) + 2 (W − 1)/W · B/b(W)
    a(W)                          15 µs + 5 µs · log₂(nodes)
    b(W)                          450 GB/s a rank within a node of {NODE} ranks, 50 GB/s between nodes
    one number over R nodes       15 µs + 2 · 5 µs · log₂ R

with micro-batches of N = {TOKENS:,} rows, D = {WIDTH:,}, V = {VOCABULARY:,}, and {MICRO_BATCHES} micro-batches a step.

The vocabulary over the {NODE} ranks of a node, and more and more data:

{{data}}

The statistics are waited for in each micro-batch, and their time is the same for any number of ranks. The denominator
is summed once a step, before the first forward, where it can hide behind the loading of data. "Three reductions" are
those of the largest logit, of the sum and of the target's logit, one number a row each, as other implementations do it.

One vocabulary over more and more ranks, one micro-batch:

{{vocabulary}}

The reduction of the hidden states' gradient is the larger part, and begins while later rows are still multiplied: in
buckets of 16 MB. It is in float32; in bfloat16 (`comm_dtype`) it takes half of that. The last column is what
gathering the logits, in bfloat16, would take.
"""


def page() -> str:
    """The whole page."""
    with one_of_many(RANKS):
        counts = list(_counts())
    tables = {"counts": counts, "data": _by_data(), "vocabulary": _by_vocabulary()}
    return TEXT.format(**{name: "\n".join(lines) for name, lines in tables.items()})


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
