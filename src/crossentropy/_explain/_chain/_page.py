"""The page: a template with words of one language, formulae, numbers, and the scripts that move it.

    [[key]]   the words of a key      [[n name]]   a number of the first state; [[n3 name]] with three decimals
    $…$       a formula               [[batch]]    the tables of the batch

Figures are the scripts'.
"""

import html
import json
import re
from importlib import resources

from crossentropy._explain._chain._mathml import with_formulae
from crossentropy._explain._chain._numbers import LABELS, LOGITS, data, numbers
from crossentropy._explain._chain._words import WORDS
from crossentropy._explain._html import LANGUAGES
from crossentropy._explain._words import languages
from crossentropy._languages import Language

SCRIPTS = (
    *("kit", "bars", "information", "entropy", "divergence", "densities", "label", "batch", "temperature", "gradient"),
    *("training", "start"),
)
"""In the order in which they run: each but the first two and the last moves a section."""


def page(lang: Language) -> str:
    """The page."""
    said = {key: words(key, lang) for key in WORDS}
    first = numbers()
    body = re.sub(
        r"\[\[n(\d?) ([\w.]+)\]\]", lambda found: _number(found[2], first, int(found[1] or 4)), _read("chain.html")
    )
    body = body.replace("[[batch]]", _batch(said, first))
    body = re.sub(r"\[\[([\w.]+)\]\]", lambda found: said[found[1]], body)
    moved = {key.removeprefix("js."): text for key, text in said.items() if key.startswith("js.")}
    moving = json.dumps({**data(), "words": moved}, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return (
        with_formulae(body)
        .replace("%lang%", LANGUAGES[lang])
        .replace("%style%", _read("chain.css"))
        .replace("%data%", moving)
        .replace("%script%", "\n".join(_read(f"{name}.js") for name in SCRIPTS))
    )


def words(key: str, lang: Language) -> str:
    """The words of a key in a language."""
    return WORDS[key][languages().index(lang)]


def _number(name: str, first: dict[str, float], digits: int = 4) -> str:
    """A number of the first state as the scripts write it, where they find it."""
    written = f"{first[name]:.{digits}f}".replace("-", "−")
    return f'<output data-n="{name}" data-digits="{digits}">{written}</output>'


def _batch(said: dict[str, str], first: dict[str, float]) -> str:
    """The tables of the batch: logits that can be typed, and what becomes of them."""
    rows, columns = range(len(LOGITS)), range(len(LOGITS[0]))
    names = [chr(ord("A") + k) for k in columns]
    head = "".join(f'<th scope="col">{name}</th>' for name in names)

    def table(key: str, caption: str, cell: dict[tuple[int, int], str]) -> str:
        lines = "".join(
            f'<tr data-row="{i}"><th scope="row">{i}</th>{"".join(f"<td>{cell[i, k]}</td>" for k in columns)}</tr>'
            for i in rows
        )
        caption = f"<caption>{caption}</caption>"
        top = f"<thead><tr><td></td>{head}</tr></thead>"
        return f'<table class="matrix {key}">{caption}{top}<tbody>{lines}</tbody></table>'

    places = [(i, k) for i in rows for k in columns]
    label = html.escape(said["batch.logit"])
    logits = {
        (i, k): f'<input type="number" step="0.1" value="{LOGITS[i][k]}" data-cell="z.{i}.{k}" '
        f'aria-label="{label.format(row=i, name=names[k])}">'
        for i, k in places
    }
    q = {(i, k): f'<span data-cell="q.{i}.{k}">{_number(f"batch.q.{i}.{k}", first, 3)}</span>' for i, k in places}
    log = {
        (i, k): f'<button type="button" data-cell="log.{i}.{k}" aria-pressed="{str(LABELS[i] == k).lower()}">'
        f"{_number(f'batch.log.{i}.{k}', first, 3)}</button>"
        for i, k in places
    }
    return (
        table("z", said["batch.logits"], logits)
        + table("q", said["batch.softmax"], q)
        + table("log", said["batch.log_softmax"], log)
    )


def _read(name: str) -> str:
    return resources.files("crossentropy._explain._chain").joinpath(name).read_text("utf-8")
