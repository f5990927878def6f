"""Python's random numbers, of the module and of generators like it."""

from __future__ import annotations

from crossentropy.doctor._knowledge._facts import DRAWN
from crossentropy.doctor._source._creation import share
from crossentropy.doctor._source._elements import item_of
from crossentropy.doctor._source._interpreter import Interpreter
from crossentropy.doctor._source._values import Call, Maybe, Unknown, Value, is_known

GENERATORS = ("random.Random", "random.SystemRandom")


def draw(run: Interpreter, name: str, call: Call) -> Value:
    """random.randint(…) and the like, by the last part of their names; NotImplemented for others."""
    if name in ("randint", "randrange"):
        return Unknown(number=DRAWN)
    if name in ("random", "betavariate"):
        return share()
    if name == "choice":
        return _one(_population(run, call), call)
    return _several(name, _population(run, call), call) if name in ("sample", "choices") else NotImplemented


def _population(run: Interpreter, call: Call) -> list[Value]:
    given = call.get("population", 0, call.get("seq"))
    rows = [] if isinstance(given, Unknown) else list(run.iterate(given))
    return [row.value if isinstance(row, Maybe) else row for row in rows]


def _one(rows: list[Value], call: Call) -> Value:
    found = item_of(rows, Unknown(), call.place) if rows else Unknown()
    return Unknown(number=DRAWN) if isinstance(found, Unknown) and found.number else found


def _several(name: str, rows: list[Value], call: Call) -> Value:
    """Some elements, any of which stands for the others; as many as are asked for, and one at least."""
    count = call.get("k", 1, 1 if name == "choices" else None)
    if not rows or (is_known(count) and type(count) is not int):
        return Unknown()
    if type(count) is not int:
        return [rows[0], *map(Maybe, rows[1:2])]
    return [rows[i % len(rows)] for i in range(max(0, min(count, 4096)))]
