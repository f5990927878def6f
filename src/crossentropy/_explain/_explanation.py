"""What `crossentropy.explain` returns: a computation that every renderer can draw."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crossentropy import _disk
from crossentropy._explain import _markdown, _text
from crossentropy._explain._data import Computation, number
from crossentropy._explain._frame import framed
from crossentropy._explain._html import fragment
from crossentropy._explain._page import page
from crossentropy._explain._plot import ExplanationDisplay

if TYPE_CHECKING:
    from IPython.lib.pretty import PrettyPrinter
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Explanation(Computation):
    """Every step of a computation, with its numbers.

    What `crossentropy.explain` returns. Printed, it is text of at most 100 columns; last in a notebook's cell, a page
    with sliders, or its tables and figures where a notebook shows no frames. `to_html` writes the page, `to_markdown`
    and `to_dict` say the same for other readers, `plot` draws the matrix of probabilities.
    """

    def __repr__(self) -> str:
        value = "" if self.value.dim() else f" = {number(float(self.value))}"
        return f"<Explanation: {self.title}{value}>"

    def __str__(self) -> str:
        return _text.render(self)

    def __rich__(self) -> object:
        """The explanation for `rich.print`."""
        from crossentropy._explain._rich import render

        return render(self)

    def _repr_pretty_(self, printer: "PrettyPrinter", cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        still = fragment(self)
        return still if self.lab is None else framed(page(self), self.title, otherwise=still)

    def to_html(self, path: str | Path) -> None:
        """Write one self-contained page, with sliders for the logits of one row and for the temperature.

        The page loads nothing, needs no network and works with a keyboard.

        Args:
            path: The file to write.

        Raises:
            OSError: It cannot be written.
        """
        _disk.write({Path(path): page(self).encode()})

    def to_markdown(self) -> str:
        """The explanation as Markdown: headings, formulae and tables."""
        return _markdown.render(self)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the probabilities of each row, its target boxed and its loss beside it, or a quantity as areas.

        Needs matplotlib. `crossentropy.ExplanationDisplay` does the same and keeps the artists.

        Args:
            ax: Axes to draw on; new ones by default.

        Returns:
            The axes.
        """
        return ExplanationDisplay(self).plot(ax).ax_
