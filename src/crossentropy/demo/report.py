"""What an act of the demonstration has to say, and the self-contained page that shows it."""

import html
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossentropy import Explanation
from crossentropy._explain._html import fragment
from crossentropy._languages import Language
from crossentropy.demo._translation import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure


@dataclass(frozen=True)
class Table:
    """Rows of text under a header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A drawing, as SVG, and what it shows."""

    caption: str
    svg: str


@dataclass(frozen=True)
class Section:
    """An act's title and, in order, its paragraphs, tables, figures and explanations."""

    title: str
    parts: tuple[str | Table | Figure | Explanation, ...]


def translated(section: Section, lang: Language) -> Section:
    """An act in a language: its paragraphs, tables and captions. Figures and explanations are made in it."""
    return Section(say(section.title, lang), tuple(_translated(part, lang) for part in section.parts))


def _translated(part: str | Table | Figure | Explanation, lang: Language) -> str | Table | Figure | Explanation:
    def words(cells: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(say(cell, lang) for cell in cells)

    if isinstance(part, Table):
        return Table(words(part.header), tuple(map(words, part.rows)))
    if isinstance(part, Figure):
        return Figure(say(part.caption, lang), part.svg)
    return say(part, lang) if isinstance(part, str) else part


def draw(caption: str, paint: "Callable[[MatplotlibFigure], None]", lang: Language = "en") -> Figure:
    """A figure painted with matplotlib, leaving its global state alone; in English where no font has the language."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas
    from matplotlib.text import Text

    from crossentropy._explain._fonts import families

    with rc_context({"svg.fonttype": "path", "svg.hashsalt": "crossentropy", "axes.grid": True, "grid.alpha": 0.3}):
        canvas = Canvas(figsize=(8.0, 3.2), layout="constrained")
        paint(canvas)
        texts = [text for text in canvas.findobj(Text) if isinstance(text, Text)]
        said = [say(text.get_text(), lang) for text in texts]
        found, missing = families("".join(said))
        for text, words in zip(texts, said) if not missing and lang != "en" else ():
            text.set(text=words, fontfamily=found)
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    return Figure(caption, svg[svg.index("<svg") :])


def to_html(title: str, sections: Sequence[Section], lang: Language = "en") -> str:
    """One page with everything inside it. Text is escaped; figures are our own SVG."""
    body = "\n".join(_section(section) for section in sections)
    return _PAGE.format(title=html.escape(title), style=_STYLE, body=body, lang={"en": "en", "zh": "zh-CN"}[lang])


def _section(section: Section) -> str:
    parts = "\n".join(_part(part) for part in section.parts)
    return f"<section>\n<h2>{html.escape(section.title)}</h2>\n{parts}\n</section>"


def _part(part: str | Table | Figure | Explanation) -> str:
    if isinstance(part, Explanation):
        return fragment(part)
    if isinstance(part, Table):
        return f"<table>\n{_row('th', part.header)}\n" + "\n".join(_row("td", row) for row in part.rows) + "\n</table>"
    if isinstance(part, Figure):
        return f"<figure>\n{part.svg}\n<figcaption>{html.escape(part.caption)}</figcaption>\n</figure>"
    return f"<p>{html.escape(part)}</p>"


def _row(tag: str, cells: tuple[str, ...]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


_STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
table { display: block; overflow-x: auto; border-collapse: collapse; margin: 1rem 0; }
td { font-variant-numeric: tabular-nums; }
th, td { text-align: left; white-space: pre-line; padding: .25rem .8rem; border-bottom: 1px solid #ddd; }
figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; } figcaption { color: #555; }
"""

_PAGE = """<!doctype html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
