"""Which files matter: those that mention a loss, and, of few files, those that import one that does, directly or not.

Nothing that the others do can lead to a finding, so they are followed only where a file that matters imports them.
Imports are read from the text, so that what does not matter is not parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_TORCH = re.compile(rb"torch|crossentropy|lightning|transformers|backward\(")
_CALLED = r"cross_entropy|CrossEntropy|nll_loss|NLLLoss|BCE|kl_div|KLDiv|mse_loss|MSELoss|[Cc]riterion|\.backward\("
_FILLS = (
    r"""\b(?:padding=(?:True|padding\b|["'](?:max_length|longest))|pad_to_max_length=)"""
    r"""|["']labels["']\s*(?::|\]\s*=[^=])"""
)
"""Calls of tokenizers that fill rows up, which may become labels, and labels for models that compute their loss."""
_GIVEN = r"\btrain_dataset\s*="
"""What trainers of models that compute their loss are given."""
_LOSSES = rf"{_CALLED}|{_GIVEN}|[Ll]oss\w*\(|training_step|{_FILLS}"
_IN_TEXT = re.compile(_LOSSES)
_IN_BYTES = re.compile(_LOSSES.encode())
_WORDS = r"[Ll]oss|LOSS|[Cc]riterion|backward|CrossEntropy|cross_entropy|NLL|nll|BCE|bce|kl_div|KLDiv|training_step"
LOSS = re.compile(f"{_WORDS}|{_GIVEN}")
"""Words of programs that compute a loss, or write one by hand."""
_LOSS_IN_BYTES = re.compile(f"{_WORDS}|{_FILLS}".encode())
_IMPORT = re.compile(
    rb'^[ \t"]*(?:from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]*(?:\(([^)]*)\)|([^\n]*))|import[ \t]+([\w., \t]+))',
    re.MULTILINE,
)
"""Also in the lines of a notebook, which are strings of JSON."""
FEW = 600
"""Files of a tree, of more of which what only imports a loss is taken not to matter."""
_NAME = re.compile(rb"\w[\w.]*")


def mentions_loss(text: str) -> bool:
    """Whether a piece of a program may compute a loss."""
    return _IN_TEXT.search(text) is not None


def imported_names(data: bytes) -> Iterator[tuple[int, str, str]]:
    """What a file may import: the level of a relative import, the module and a name in it (empty: none)."""
    for base, inside, beside, plain in _IMPORT.findall(data):
        for whole in _NAME.findall(plain):
            yield 0, whole.decode("ascii", "replace"), ""
        module = base.decode("ascii", "replace")
        for name in [b"", *_NAME.findall(inside or beside)] if base else ():
            yield len(module) - len(module.lstrip(".")), module.lstrip("."), name.decode("ascii", "replace")


class Relevance:
    """Which files of a project matter."""

    def __init__(
        self, files: int, text: Callable[[str], bytes], find: Callable[[str, int, str, str], str | None]
    ) -> None:
        self._few = files <= FEW
        self._text = text
        self._find = find
        """The file that a file imports by the level, module and name."""
        self._reaches: dict[str, bool] = {}
        self._read: dict[str, tuple[bool, list[str]]] = {}

    def matters(self, path: str) -> bool:
        """Whether a file is to be followed."""
        return self.reaches_loss(path) if self._few else self._looked_at(path)[0]

    def reaches_loss(self, path: str) -> bool:
        """Whether a file, or what it imports, may hold a loss."""
        seen, waiting = {path}, [path]
        while waiting:
            current = waiting.pop()
            held, imported = self._looked_at(current)
            if held or self._reaches.get(current):
                self._reaches[path] = True
                return True
            new = set() if current in self._reaches else set(imported) - seen
            seen |= new
            waiting += new
        self._reaches.update(dict.fromkeys(seen, False))
        return False

    def _looked_at(self, path: str) -> tuple[bool, list[str]]:
        """Whether a file holds a loss, and what it imports."""
        if path not in self._read:
            data = self._text(path)
            found = (self._find(path, *name) for name in imported_names(data)) if self._few else ()
            words = _LOSS_IN_BYTES if self._few else _IN_BYTES
            holds = _TORCH.search(data) is not None and words.search(data) is not None
            self._read[path] = holds, [file for file in found if file is not None]
        return self._read[path]
