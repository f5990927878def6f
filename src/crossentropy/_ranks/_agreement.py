"""What all ranks of a group must share, and how they learn that they do not.

    handshake    one gather of a few integers, before anything else: whether a rank has an error, a checksum of what it
                 was called with, and which classes it has. Where these differ, two more gathers carry the words, so
                 that every rank raises the same error and the group stays usable
    checksum     otherwise it travels with the statistics, and where it differs all that is computed is nan

Ranks that disagree, on labels say, have each a finite loss that looks right. So nobody raises alone before a collective
that others wait at, and no number is computed of what they do not share.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeAlias

import torch
from torch import Tensor

from crossentropy._errors import ArgumentError, ArgumentIndexError, ArgumentTypeError, ArgumentValueError
from crossentropy._ranks._group import Group

Facts: TypeAlias = Mapping[str, object]
"""What a rank was called with, by the names of arguments; tensors by their checksum."""

_ERRORS: dict[str, type[ArgumentError]] = {
    error.__name__: error for error in (ArgumentValueError, ArgumentIndexError, ArgumentTypeError)
}
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

_MIXES = ((30, -4658895280553007687), (27, -7723592293110705685))
"""Of SplitMix64 (G. Steele and others, Fast Splittable Pseudorandom Number Generators, 2014), as signed integers."""

PIECES, BITS = 3, 21
"""A checksum of 63 bits as floats, each exact in float32."""


def checksum(x: Tensor) -> Tensor:
    """An int64 that depends on every bit of a tensor and its place."""
    bits = x.detach().contiguous().view(-1)
    bits = bits.view(torch.uint8) if bits.dtype == torch.bool else bits.view(_INTEGERS[bits.element_size()])
    mixed = bits.long() + torch.arange(1, bits.numel() + 1, device=x.device) * -7046029254386353131
    for shift, factor in _MIXES:
        mixed = (mixed ^ (mixed >> shift)) * factor
    return (mixed ^ (mixed >> 31)).sum()


def hashed(facts: Facts) -> int:
    """An integer of 32 bits that depends on all facts."""
    return zlib.crc32(_text(facts).encode())


def shake_hands(
    group: Group, own: Sequence[int], facts: Facts, error: Exception | None = None
) -> list[tuple[int, ...]]:
    """Numbers of each rank's own; the same error on every rank if one has an error, or facts differ."""
    mine = torch.tensor([error is not None, hashed(facts), *own], dtype=torch.int64, device=group.device)
    failed, hashes, *numbers = group.gather(mine).T.tolist()
    if any(failed):
        found = "" if error is None else json.dumps([type(error).__name__, str(error)])
        _raise_first(group, _tell(group, found), error)
    if len(set(hashes)) > 1:
        _raise_difference([json.loads(text) for text in _tell(group, _text(facts))])
    return list(zip(*numbers))


def _text(facts: Facts) -> str:
    return json.dumps({name: str(fact) for name, fact in facts.items()})


def _tell(group: Group, text: str) -> list[str]:
    """The texts of all ranks."""
    data = torch.tensor(list(text.encode()), dtype=torch.uint8, device=group.device)
    sizes = [size for (size,) in group.gather(torch.tensor([len(data)], device=group.device)).tolist()]
    padded = data.new_zeros(max(sizes))
    padded[: len(data)] = data
    return [bytes(row[:size]).decode() for row, size in zip(group.gather(padded).tolist(), sizes)]


def _raise_first(group: Group, texts: Sequence[str], own: Exception | None) -> NoReturn:
    rank = next(i for i, text in enumerate(texts) if text)
    kind, message = json.loads(texts[rank])
    if not all(text == texts[0] for text in texts):
        message = f"on rank {rank} of {group.size}: {message}"
    raise _ERRORS.get(kind, ArgumentValueError)(message) from own


def _raise_difference(facts: Sequence[dict[str, str]]) -> NoReturn:
    names = dict.fromkeys(name for some in facts for name in some)
    first, *rest = ([some.get(name, "none") for name in names] for some in facts)
    for name, fact, *others in zip(names, first, *rest):
        for rank, other in enumerate(others, 1):
            if other != fact:
                raise ArgumentValueError(
                    f"the ranks of the group disagree on {name}: rank 0 has {fact} and rank {rank} {other} — all of "
                    "them need the same rows, target and settings"
                )
    raise AssertionError("facts of different checksums are not the same")


def pieces(agreement: Tensor, dtype: torch.dtype) -> Tensor:
    """A checksum as floats."""
    return torch.stack([(agreement >> (BITS * i)) & ((1 << BITS) - 1) for i in range(PIECES)]).to(dtype)
