"""The whole chain as one page that a reader can play with: `crossentropy.explain.chain`.

`_page` puts it together from chain.html, chain.css, a script for each section, the words of `_words` and the numbers of
`_numbers`; `_mathml` typesets its formulae. The page loads nothing, and is right without script.
"""

import html
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from crossentropy import _disk
from crossentropy._explain._chain._page import page, words
from crossentropy._explain._frame import framed
from crossentropy._languages import Language


@dataclass(frozen=True)
class Chain:
    """The chain from information to a trained model, as one page: what `explain.chain` returns."""

    lang: Language

    @property
    def title(self) -> str:
        """The page's title."""
        return words("title", self.lang)

    @overload
    def to_html(self, path: str | Path) -> None: ...
    @overload
    def to_html(self, path: None = None) -> str: ...
    def to_html(self, path: str | Path | None = None) -> str | None:
        """Write the page, or return its text.

        Args:
            path: The file to write; none by default.

        Returns:
            The page, where no path is given.

        Raises:
            OSError: It cannot be written.
        """
        if path is None:
            return page(self.lang)
        _disk.write({Path(path): page(self.lang).encode()})
        return None

    def _repr_html_(self) -> str:
        file = html.escape(f'crossentropy.explain.chain("{self.lang}").to_html("chain.html")')
        return framed(page(self.lang), self.title, 704, f"<p>{html.escape(self.title)}: <code>{file}</code></p>")
