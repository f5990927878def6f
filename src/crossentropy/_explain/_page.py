"""An explanation as one self-contained page, whose numbers follow sliders.

The page holds the same elements as a notebook's, the `Lab` of the explanation as JSON, and page.js, which computes the
rows again from it. Nothing is loaded, and the page's own policy forbids it.
"""

import html
import json
from typing import Any

from crossentropy._explain import _svg
from crossentropy._explain._data import Computation, Lab, number, plain
from crossentropy._explain._html import LANGUAGES, body, figures, first_counted, read
from crossentropy._explain._layout import class_name, place, row_name
from crossentropy._explain._words import say


def page(e: Computation) -> str:
    """The page."""
    main = f'<div class="steps">{body(e)}</div>'
    script = ""
    if e.lab is not None:
        main = _panel(e, e.lab) + main
        data = json.dumps(_data(e, e.lab), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        data = data.replace("<", "\\u003c")
        script = f'<script type="application/json" id="data">{data}</script><script>{read("page.js")}</script>'
    return _PAGE.format(
        lang=LANGUAGES[e.lang],
        title=html.escape(e.title),
        style=read("style.css") + read("page.css"),
        intro=html.escape(say(e.lang, "page.intro" if e.lab else "page.intro.still")),
        main=main,
        script=script,
    )


def _panel(e: Computation, lab: Lab) -> str:
    first = first_counted(e)
    rows = "".join(
        f'<option value="{i}"{" selected" if i == first else ""}>{html.escape(row_name(e, i))}'
        f"{' ×' if e.shown.ignored[i] else ''}</option>"
        for i in range(len(e.shown.positions))
    )
    choice = ""
    if len(e.shown.positions) > 1:
        choice = f'<label class="pick">{say(e.lang, "row")} <select id="row">{rows}</select></label>'
    sliders = "".join(
        f'<label class="slider" data-n="slider:*:{k}"><span class="class"></span>'
        f'<input type="range" step="0.01" data-k="{k}"><output></output></label>'
        for k in range(lab.logits.shape[1])
    )
    heat = (
        f'<label class="slider heat"><span class="class">{say(e.lang, "page.temperature")}</span>'
        f'<input type="range" id="temperature" min="0" max="{len(lab.temperatures) - 1}" step="1">'
        f"<output></output></label>"
    )
    title = say(e.lang, "page.logits" if e.kind == "cross_entropy" else f"page.logits.{e.kind}")
    reset = f'<button type="button" id="reset">{say(e.lang, "page.reset")}</button>'
    return (
        f'<aside aria-label="{say(e.lang, "page.panel")}"><p class="live">{_live(e)}</p>'
        f"<fieldset><legend>{title}</legend>{choice}{sliders}{heat}{reset}</fieldset>"
        f'<div id="figures">{_figures(e)}</div></aside>'
    )


def _live(e: Computation) -> str:
    """The result, which stays in view."""
    key, symbol = {"kl": ("kl", "KL(p‖q)"), "entropy": ("entropy", "H(p)")}.get(e.kind, ("value", "L"))
    step = e.step(key)
    if step is None or step.tensor.dim():
        return ""
    return f'{symbol} = <b data-n="{place(key, None, None)}">{number(float(step.tensor))}</b>'


def _figures(e: Computation) -> str:
    """The figures of every row, of which the page shows one."""
    first = first_counted(e)
    return "".join(
        f'<div data-row="{i}"{"" if i == first else " hidden"}>{figures(e, i)}</div>'
        for i in range(len(e.shown.positions))
    )


def _data(e: Computation, lab: Lab) -> dict[str, Any]:
    """What page.js computes with."""
    tensors = ("logits", "p", "tau", "count", "coefficient", "temperatures")
    rows, columns = lab.logits.shape
    return {
        **{name: plain(getattr(lab, name)) for name in tensors},
        **{f"rest_{name}": plain(sums) for name, sums in lab.rest._asdict().items()},
        "other_rows": plain(lab.other_rows),
        "z_loss": lab.z_loss,
        "softcap": lab.softcap,
        "logit_scale": lab.logit_scale,
        "per_nat": lab.per_nat,
        "kind": e.kind,
        "first": first_counted(e),
        "hidden": e.shown.hidden_classes,
        "all_rows_shown": e.shown.hidden_rows == 0,
        "ignored": list(e.shown.ignored),
        "labels": [label[0] if label else None for label in e.shown.labels],
        "one_hot": _one_hot(e),
        "names": [[class_name(e, i, k) for k in range(columns)] for i in range(rows)],
        "rows": [row_name(e, i) for i in range(rows)],
        "kl_rest": _rest(e, "kl_terms"),
        "gradient_rest": _rest(e, "gradient"),
        "h": _entropies(e),
        "worst": say(e.lang, "mark.worst.note"),
        "stale": say(e.lang, "page.stale"),
        "view": [_svg.WIDTH, _svg.HEIGHT, _svg.TOP, _svg.BOTTOM, _svg.LEFT, _svg.RIGHT],
    }


def _one_hot(e: Computation) -> bool:
    """Whether the target is one class a row."""
    target = e.step("target")
    return target is not None and target.tensor.dim() == 1


def _entropies(e: Computation) -> Any:  # noqa: ANN401 (a list)
    """H(p) of each row of a divergence, which no slider changes."""
    step = e.step("entropy")
    return None if e.kind != "kl" or step is None else plain(step.tensor.reshape(-1))


def _rest(e: Computation, key: str) -> Any:  # noqa: ANN401 (nested lists)
    step = e.step(key)
    return None if step is None or step.rest is None else plain(step.rest)


_PAGE = """<!doctype html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body class="ce-explain page">
<header><h1>{title}</h1><p>{intro}</p></header>
<main>{main}</main>
{script}
</body>
</html>
"""
