"""How many steps each file may take, so that time is linear in the number of files, whatever they are.

A step is one expression that is evaluated, about 4 µs. Most files need few steps, some need many: each may take a
multiple of its share of what is left for all. So what is left falls with each that takes much, but is never used up.
"""

from __future__ import annotations

PER_FILE = 1000
"""Steps for each file of a tree, on average;"""
FEWEST = 1_000_000
"""and at least for all of them together: 4 s, in which small trees of long files are followed to their end."""
LEAST = 300
"""Steps that any file may take."""
_MULTIPLE = 8
_UNTIL = (0.6, 0.8, 1.0)
"""The part of all steps that has been taken after each pass: over files, functions and methods that nothing calls."""
_PART = 16
"""What one file may take in any case: this part of what is left."""


class Budget:
    """The steps that are left for a tree."""

    def __init__(self, files: int) -> None:
        self.spent = 0
        self.parts = 1
        """Files that are still to be followed in this pass."""
        self._until = 1.0
        self._all = max(FEWEST, PER_FILE * files)
        self.spare = self._all // 8
        """Steps besides, for what programs do with other options than their defaults."""

    def begin(self, number: int, parts: int) -> None:
        """Begin a pass over the files; those to come keep a part of the steps."""
        self.parts, self._until = parts, _UNTIL[number]

    def share(self, most: int) -> int:
        """Steps that may be taken now."""
        left = max(int(self._all * self._until) - self.spent, 0)
        return max(LEAST, min(most, max(_MULTIPLE * left // max(self.parts, 1), left // _PART)))
