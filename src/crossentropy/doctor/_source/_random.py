"""Python's random numbers, of the module and of generators like it."""

from __future__ import annotations

from crossentropy.doctor._knowledge._facts import DRAWN, INTEGER
from crossentropy.doctor._source._creation import share
from crossentropy.doctor._source._elements import item_of
from crossentropy.doctor._source._values import Call, Maybe, Unknown, Value

GENERATORS = ("random.Random", "random.SystemRandom")


def draw(name: str, call: Call) -> Value:
    """random.randint(…) and the like, by the last part of their names; NotImplemented for others."""
    if name in ("randint", "randrange"):
        return Unknown(number=DRAWN)
    if name in ("random", "betavariate"):
        return share()
    if name in ("sample", "choices"):
        return _several(call)
    return NotImplemented


def _several(call: Call) -> Value:
    """Some of a population, perhaps one alone."""
    population, count = call.get("population", 0), call.get("k", 1, 1)
    if type(count) is int and 0 < count <= 64:
        return [_one(population, call) for _ in range(count)]
    return [_one(population, call), Maybe(_one(population, call))]


def _one(population: Value, call: Call) -> Value:
    if isinstance(population, range):
        return Unknown(number=INTEGER)
    return item_of(population, Unknown(), call.place) if isinstance(population, (list, tuple)) else Unknown()
