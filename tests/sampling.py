"""How much of a product of cases is run: a part that is spread over all of it, or everything by `make exhaustive`."""

import os
from collections.abc import Iterable
from typing import TypeVar

_T = TypeVar("_T")

EXHAUSTIVE = os.environ.get("CROSSENTROPY_TESTS") == "exhaustive"


def some(cases: Iterable[_T], most: int) -> list[_T]:
    """At most so many of the cases, at even distances from the first on."""
    listed = list(cases)
    if EXHAUSTIVE or len(listed) <= most:
        return listed
    return [listed[i * len(listed) // most] for i in range(most)]
