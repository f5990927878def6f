"""The figures of one row, as SVG: its probabilities as bars, and its loss as an area.

    bars    a bar of height q_c for each class, and a dashed outline of height p_c: where the bar should end
    areas   a block of width p_c for each class, −log q_c high: their area is H(p, q). Filled up to −log p_c, which is
            H(p); what lies between is KL(p‖q), hatched, and shaded the other way where q_c > p_c

Every element that stands for a number names it ("bar:0:2" is class 2 of the first row), so that a page can
move it. The geometry is in `bar` and `block`, and once more in page.js.
"""

import html
import math
from typing import NamedTuple

from crossentropy._explain._data import Computation, number
from crossentropy._explain._layout import class_name, place
from crossentropy._explain._words import say

WIDTH, HEIGHT, TOP, BOTTOM, LEFT, RIGHT = 440, 170, 22, 26, 26, 4
"""Of the view, and the margins of its axes."""


class Row(NamedTuple):
    """What the figures show of a row: target p and belief q of the columns, the last being the rest."""

    p: list[float]
    q: list[float]
    names: list[str]


def row(e: Computation, i: int) -> Row | None:
    """The distributions of row i, if the computation has them."""
    if e.lab is None:
        return None
    belief = next((step for key in ("softmax", "probabilities", "q", "p") if (step := e.step(key))), None)
    assert belief is not None
    names = [class_name(e, i, k) for k in range(e.shown.classes.shape[1])]
    p, q = e.lab.p[i].tolist(), belief.tensor[i].tolist()
    if not e.shown.aligned and belief.rest is not None:
        names.append(f"+{e.shown.hidden_classes:,}")
        p, q = [*p, float(e.lab.rest.p[i])], [*q, float(belief.rest[i])]
    return Row(p, q, names)


def bars(e: Computation, i: int) -> str:
    """The probabilities of row i, or nothing."""
    r = row(e, i)
    if r is None:
        return ""
    slot = (WIDTH - LEFT - RIGHT) / len(r.q)
    small = ' class="small"' if slot < 60 else ""
    parts = [_tick(0.5, bar(0.5)[0]), _tick(1, bar(1.0)[0]), _tick(0, HEIGHT - BOTTOM, "axis")]
    for k, (p, q, name) in enumerate(zip(r.p, r.q, r.names)):
        x, middle = LEFT + slot * (k + 0.15), LEFT + slot * (k + 0.5)
        column = -1 if k >= e.shown.classes.shape[1] else k
        parts.append(
            f'<g data-n="bars:{i}:{column}">{_rect(x, slot * 0.7, *bar(q), "q", f"bar:{i}:{column}")}'
            + (_rect(x, slot * 0.7, *bar(p), "p", "") if e.kind != "entropy" and p > 0 else "")
            + f'<text x="{middle:.1f}" y="{above(p, q):.1f}" data-n="bartext:{i}:{column}"{small}>{number(q)}</text> '
            f'<text x="{middle:.1f}" y="{HEIGHT - 8}" class="name">{html.escape(_short(name, slot))}</text></g> '
        )
    return _figure(parts, say(e.lang, "figure.bars.label"))


def bar(q: float) -> tuple[float, float]:
    """Top and height of a bar; nan has none."""
    height = 0.0 if math.isnan(q) else q * (HEIGHT - TOP - BOTTOM)
    return HEIGHT - BOTTOM - height, height


def above(p: float, q: float) -> float:
    """Where the number of a bar stands: above it, and not across the dashed line of p."""
    return bar(p if q < p < q + 0.15 else q)[0] - 5


def areas(e: Computation, i: int) -> str:
    """The loss of row i as an area, or nothing where the target has mass on classes that are not shown."""
    r = row(e, i)
    if r is None or (not e.shown.aligned and r.p[-1] > 0) or math.isclose(sum(r.p), 0.0):
        return ""
    scale = highest(r.p, r.q)
    total = place(*total_of(e, i))
    unit, step = per_nat(e), step_of(scale * per_nat(e))
    ticks = [(v, HEIGHT - BOTTOM - v / unit / scale * (HEIGHT - TOP - BOTTOM)) for v in (step, 2 * step, 3 * step)]
    parts, x = [_tick(v, y, kind="scale", hidden=y < TOP) for v, y in ticks], 0.0
    peak, middle = float(HEIGHT), WIDTH / 2
    for k, (p, q, name) in enumerate(zip(r.p, r.q, r.names)):
        if p > 0 or e.kind == "entropy":
            left, width, base, gap = block(x, p, q, scale)
            kind = "gap" if q <= p else "surplus"
            if gap[0] < peak:
                peak, middle = gap[0], left + width / 2
            parts.append(
                f'<g data-n="area:{i}:{k}">{_rect(left, width, *base, "own", f"own:{i}:{k}")}'
                f"{_rect(left, width, *gap, kind, f'gap:{i}:{k}')}"
                f'<text x="{left + width / 2:.1f}" y="{HEIGHT - 8}" class="name" data-n="areatext:{i}:{k}">'
                f"{html.escape(_short(name, width))}</text></g> "
            )
        x += p
    parts.append(_tick(0, HEIGHT - BOTTOM, "axis"))
    x, y = total_place(middle, peak)
    shown = f'<text x="{x:.2f}" y="{y:.2f}" class="total" data-n="{total}">{number(_total(e, i))}</text> '
    return _figure([_HATCH, *parts, shown], say(e.lang, "figure.areas.label"), f' data-scale="{scale:.4f}"')


def total_of(e: Computation, i: int) -> tuple[str, int | None, None]:
    """The place of the number that is the whole area of row i."""
    key = {"cross_entropy": "nll", "kl": "cross_entropy"}.get(e.kind, "entropy")
    step = e.step(key)
    return key, (i if step is not None and step.tensor.dim() else None), None


def _total(e: Computation, i: int) -> float:
    key, row, _ = total_of(e, i)
    step = e.step(key)
    assert step is not None
    return float(step.tensor if row is None else step.tensor[row])


def total_place(middle: float, peak: float) -> tuple[float, float]:
    """Where the whole area's number stands: just above the highest block, and within the figure."""
    return min(max(middle, LEFT + 24.0), WIDTH - RIGHT - 24.0), max(peak, float(TOP)) - 5


def per_nat(e: Computation) -> float:
    """Of the unit of an area, how many are a nat: a row's loss is in nats, a quantity in its own unit."""
    return 1.0 if e.kind == "cross_entropy" or e.lab is None else e.lab.per_nat


def step_of(most: float) -> float:
    """The distance of ticks on an axis that ends at `most`: at most three have room."""
    return next((step for step in (0.5, 1.0, 2.0, 5.0) if 3.5 * step >= most), 10.0)


def _tick(v: float, y: float, line: str = "grid", kind: str = "fixed", *, hidden: bool = False) -> str:
    """A value of an axis and its line."""
    visibility = "hidden" if hidden else "visible"
    return (
        f'<g class="{kind}" transform="translate(0 {y:.2f})" visibility="{visibility}">'
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" class="{line}"/>'
        f'<text x="{LEFT - 5}" y="3.5" class="tick">{v:g}</text></g> '
    )


def highest(p: list[float], q: list[float]) -> float:
    """The −log that reaches the top of the figure: with room above, at least 1, and not more than 12."""
    heights = [_surprise(x) for target, belief in zip(p, q) if target > 0 for x in (target, belief)]
    return min(1.25 * max([1.0, *heights]), 12.0)


def block(x: float, p: float, q: float, scale: float) -> tuple[float, float, tuple[float, float], tuple[float, float]]:
    """Left, width, and top and height of the filled and of the hatched part, for a class that begins at x in [0, 1]."""
    room, unit = WIDTH - LEFT - RIGHT, (HEIGHT - TOP - BOTTOM) / scale
    low, high = (min(h, scale) * unit for h in sorted((_surprise(p), _surprise(q))))
    ground = HEIGHT - BOTTOM
    return LEFT + x * room, p * room, (ground - low, low), (ground - high, high - low)


def _surprise(p: float) -> float:
    return math.inf if p <= 0 else -math.log(p) if p < 1 else 0.0


def _rect(x: float, width: float, y: float, height: float, kind: str, name: str) -> str:
    n = f' data-n="{name}"' if name else ""
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" class="{kind}"{n}/>'


def _short(name: str, room: float) -> str:
    """The name, cut to what has room (a letter is about 7 wide, a Chinese character 12)."""
    kept, used = "", 0.0
    for c in name:
        used += 12 if ord(c) > 0x2E80 else 7
        if used > max(room, 14):
            return kept + "…" if kept else c
        kept += c
    return kept


def _figure(parts: list[str], label: str, scale: str = "") -> str:
    view = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(label)}"'
    return f"<svg {view}{scale}>{''.join(parts)}</svg>"


_HATCH = (
    '<defs><pattern id="ce-hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="3.5" height="7" class="stripe"/></pattern></defs>'
)
