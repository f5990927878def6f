"""Examining files in several processes, which count together."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from crossentropy.doctor._source._files import Roots

_T = TypeVar("_T")
Examine: TypeAlias = Callable[[dict[str, Path], Roots, list[str], Callable[[int], None]], _T]
"""Examines some of the files under some roots, and counts."""

_counters: list[Any] = []
"""Of a process of several: the integer that they share."""


def in_processes(
    examine: Examine[_T], files: dict[str, Path], roots: Roots, parts: list[list[str]], show: Callable[[int], None]
) -> list[_T]:
    """What is found in each part, in a process for each; `show` is told how much is done."""
    done = multiprocessing.Value("i", 0)
    with ProcessPoolExecutor(len(parts), initializer=_counters.append, initargs=(done,)) as pool:
        futures = [pool.submit(_examine, examine, files, roots, part) for part in parts]
        while wait(futures, timeout=0.2).not_done:
            show(done.value)
        return [future.result() for future in futures]


def _examine(examine: Examine[_T], files: dict[str, Path], roots: Roots, names: list[str]) -> _T:
    return examine(files, roots, names, _count)


def _count(more: int) -> None:
    with _counters[0].get_lock():
        _counters[0].value += more
