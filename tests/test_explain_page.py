"""The page of an explanation in a real browser: its numbers follow the sliders, and are torch's."""

import math
import os
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from IPython.core.formatters import DisplayFormatter
from playwright.sync_api import Browser, Page, sync_playwright
from torch import Tensor

import crossentropy
from crossentropy import Explanation, explain
from crossentropy._explain._data import number
from crossentropy._explain._frame import framed

REQUIRED = os.environ.get("CROSSENTROPY_BROWSER") == "required"


def chromium() -> str | None:
    """The executable of an installed Chromium: the system's, or playwright's own."""
    installed = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if installed is None:
        with sync_playwright() as playwright:
            own = playwright.chromium.executable_path
        installed = own if Path(own).exists() else None
    return installed


ALL = "all => all.map(e => [e.dataset.n, (e.querySelector('span') ?? e).textContent])"

HOSTILE = [
    '<script>document.title="owned"</script>',
    '"><img src=x onerror=alert(1)>',
    "</script><b>",
    "猫",
    "{0} %s",
    "\x1b[31m",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = chromium()
    if executable is None and not REQUIRED:
        pytest.skip("no browser is installed; `.ci/browser` installs one or says why it cannot")
    assert executable is not None, "CROSSENTROPY_BROWSER=required, and .ci/browser could install none"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page that is open, and everything it said or asked for."""

    def __init__(self, page: Page, e: Explanation, file: Path) -> None:
        self.page, self.said, self.requested = page, [], []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.requested.append(request.url))
        e.to_html(file)
        self.size = file.stat().st_size
        page.goto(file.as_uri())

    def number(self, place: str) -> float:
        element = self.page.locator(f'[data-n="{place}"]').last
        return parsed(element.evaluate("e => (e.querySelector('span') ?? e).textContent"))

    def row(self, step: str, row: int, columns: int) -> Tensor:
        return torch.tensor([self.number(f"{step}:{row}:{k}") for k in range(columns)], dtype=torch.float64)

    def slide(self, k: int, value: float) -> None:
        self._set(f'input[data-k="{k}"]', value)

    def heat(self, index: int) -> float:
        self._set("#temperature", index)
        return 10 ** (-1 + index / 20)

    def _set(self, selector: str, value: float) -> None:
        self.page.locator(selector).evaluate(
            "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }", str(value)
        )

    def hot(self) -> set[str]:
        return set(self.page.eval_on_selector_all(".hot", "all => all.map(e => e.dataset.n)"))


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    pages: list[Watched] = []

    def open_page(e: Explanation, width: int = 1200, scheme: Any = "light") -> Watched:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        pages.append(Watched(page, e, tmp_path / f"page{len(pages)}.html"))
        return pages[-1]

    yield open_page
    for watched in pages:
        assert watched.said == []
        assert all(url.startswith(("file:", "data:")) for url in watched.requested), watched.requested
        watched.page.close()


def parsed(text: str) -> float:
    return float(text.strip().strip("[]").replace("−", "-").replace(",", ""))


def assert_shown(shown: Tensor | float, true: Tensor | float) -> None:
    """Numbers as they are written, with four decimals or four digits, are the true ones."""
    shown, true = torch.as_tensor(shown).double(), torch.as_tensor(true).double()
    small = (true.abs() < 1e-3) | (true.abs() >= 1e5)
    tolerance = torch.where(small, 0.6e-3 * true.abs(), 0.6e-4)
    assert ((shown - true).abs() <= tolerance).all(), (shown, true)


def batch(rows: int = 3, classes: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(rows, classes, generator=generator, dtype=torch.float64) * 2
    return logits, torch.randint(classes, (rows,), generator=generator)


def test_sliders_move_every_number_to_what_torch_computes(opened: Any) -> None:
    logits, target = batch()
    page = opened(explain(logits, target, lang="en"))
    assert_shown(page.number("value::"), F.cross_entropy(logits, target))
    page.slide(2, 3.25)
    page.slide(0, -1.5)
    t = page.heat(28)
    moved = logits.clone()
    moved[0, 2], moved[0, 0] = 3.25, -1.5
    moved.requires_grad_()
    z = torch.cat([moved[:1] / t, moved[1:]])
    loss = F.cross_entropy(z, target)
    loss.backward()
    assert_shown(page.number("value::"), loss.detach())
    assert_shown(page.number("mark.perplexity::"), loss.detach().exp())
    losses = F.cross_entropy(z, target, reduction="none").detach()
    assert_shown(page.number("mark.worst::"), losses.max())
    assert f"[{int(losses.argmax())}]" in page.page.locator('[data-note="worst"]').inner_text()
    z = z.detach()
    for i in range(3):
        assert_shown(page.row("logits", i, 5), z[i])
        assert_shown(page.row("shifted", i, 5), z[i] - z[i].max())
        assert_shown(page.row("exp", i, 5), (z[i] - z[i].max()).exp())
        assert_shown(page.row("log_softmax", i, 5), z[i].log_softmax(0))
        assert_shown(page.row("softmax", i, 5), z[i].softmax(0))
        assert_shown(page.row("gradient", i, 5), moved.grad[i])
        assert_shown(page.number(f"max:{i}:"), z[i].max())
        assert_shown(page.number(f"sum:{i}:"), (z[i] - z[i].max()).exp().sum())
        assert_shown(page.number(f"lse:{i}:"), z[i].logsumexp(0))
        assert_shown(page.number(f"nll:{i}:"), losses[i])
        assert_shown(page.number(f"bit:{i}:"), losses[i] / math.log(2))
    page.page.locator("#reset").click()
    assert_shown(page.number("value::"), F.cross_entropy(logits, target))


def test_every_number_of_the_page_is_one_of_the_steps(opened: Any) -> None:
    """What the page computes of the logits as given is, to every digit shown, what the package computed."""
    logits, target = batch()
    e = explain(logits, target, lang="en", label_smoothing=0.1, weight=torch.arange(1.0, 6.0).double(), z_loss=0.01,
                softcap=4.0, token_weight=torch.tensor([1.0, 2.0, 0.5]).double(), unit="bit")  # fmt: skip
    page = opened(e)
    before = page.page.eval_on_selector_all("[data-n]", ALL)
    page.slide(1, 0.5)
    assert page.page.eval_on_selector_all("[data-n]", ALL) != before
    page.page.locator("#reset").click()
    after = page.page.eval_on_selector_all("[data-n]", ALL)
    assert len(after) > 200
    assert after == before


OPTIONS: list[dict[str, Any]] = [
    {},
    {"reduction": "sum"},
    {"label_smoothing": 0.2, "weight": torch.linspace(0.5, 2.0, 40).double()},
    {"z_loss": 0.05, "logit_scale": 0.7},
    {"softcap": 3.0},
    {"token_weight": torch.linspace(0.0, 1.0, 9).double(), "denominator": 7.0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "+".join(options) or "plain")
@pytest.mark.parametrize("kind", ["indices", "probabilities"])
def test_big_inputs_move_exactly(opened: Any, options: dict[str, Any], kind: str) -> None:
    """Of classes and rows that are not shown, the page has sums; its numbers are those of all of them."""
    logits, target = batch(9, 40)
    if kind == "probabilities":
        target = torch.rand(9, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64).softmax(1)
    else:
        target[1] = -100
    e = explain(logits, target, lang="en", max_rows=4, max_classes=6, **options)
    page = opened(e)
    assert_shown(page.number("value::"), e.value)
    page.page.locator("#row").select_option("2")
    k, position = 3, e.shown.positions[2]
    page.slide(k, -0.75)
    t = page.heat(15)
    moved = logits.clone()
    moved[position[0], int(e.shown.classes[2, k])] = -0.75
    heated = {**options, "token_weight": options.get("token_weight", torch.ones(9).double())}
    expected, gradient = _loss(moved, target, position[0], t, heated)
    assert_shown(page.number("value::"), expected)
    if "softcap" not in options:
        shown = page.row("gradient", 2, 6)
        assert_shown(shown, gradient[position[0]].gather(0, e.shown.classes[2]))
    q = _transformed(moved, position[0], t, heated)[position[0]].softmax(0)
    assert_shown(page.row("softmax", 2, 6), q.gather(0, e.shown.classes[2]))
    assert_shown(page.number("softmax:2:-1"), 1 - q.gather(0, e.shown.classes[2]).sum())


def _transformed(x: Tensor, hot: int, t: float, options: dict[str, Any]) -> Tensor:
    z = x * options.get("logit_scale", 1.0)
    if "softcap" in options:
        z = options["softcap"] * torch.tanh(z / options["softcap"])
    return torch.stack([row / t if i == hot else row for i, row in enumerate(z)])


def _loss(logits: Tensor, target: Tensor, hot: int, t: float, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The loss with one row's transformed logits divided by t, by this package in two parts, and its gradient."""
    x = logits.clone().requires_grad_()
    z = _transformed(x, hot, t, options)
    rest = {name: value for name, value in options.items() if name not in ("logit_scale", "softcap")}
    loss = crossentropy.functional.cross_entropy(z, target, **rest)
    return loss.detach(), torch.autograd.grad(loss, x)[0]


def test_divergence_and_entropy_move(opened: Any) -> None:
    p, q = (torch.tensor(p, dtype=torch.float64) for p in ([0.5, 0.3, 0.2], [0.2, 0.3, 0.5]))
    page = opened(explain.kl(p, q, unit="bit", lang="en"))
    page.slide(0, 1.0)
    moved = torch.stack([torch.tensor(1.0).double(), *q.log()[1:]]).softmax(0)
    kl = crossentropy.information.kl_divergence
    assert_shown(page.row("q", 0, 3), moved)
    assert_shown(page.number("kl::"), kl(p, moved, unit="bit"))
    assert_shown(page.number("cross_entropy::"), crossentropy.information.cross_entropy(p, moved, unit="bit"))
    assert_shown(page.number("mark.reverse::"), kl(moved, p, unit="bit"))
    assert_shown(page.number("mark.js::"), crossentropy.information.js_divergence(p, moved, unit="bit"))
    page = opened(explain.entropy(p, lang="zh"))
    page.slide(2, 0.0)
    moved = torch.stack([*p.log()[:2], torch.tensor(0.0).double()]).softmax(0)
    assert_shown(page.number("entropy::"), crossentropy.information.entropy(moved))
    assert_shown(page.number("mark.outcomes::"), crossentropy.information.perplexity(moved))
    assert_shown(page.row("information", 0, 3), -moved.log())


def test_divergence_of_many_outcomes_moves(opened: Any) -> None:
    p, q = (torch.randn(2, 30, generator=torch.Generator().manual_seed(i)).double().softmax(1) for i in (1, 2))
    e = explain.kl(p, q, lang="en", max_classes=5)
    page = opened(e)
    page.page.locator("#row").select_option("1")
    page.slide(2, -1.0)
    t = page.heat(30)
    z = q[1].log()
    z[e.shown.classes[1, 2]] = -1.0
    moved = (z / t).softmax(0)
    assert_shown(page.number("kl:1:"), crossentropy.information.kl_divergence(p[1], moved))
    assert_shown(page.number("kl:0:"), crossentropy.information.kl_divergence(p[0], q[0]))
    assert_shown(page.number("q:1:-1"), 1 - page.row("q", 1, 5).sum())


def test_what_is_pointed_at_lights_up(opened: Any) -> None:
    logits, target = batch()
    page = opened(explain(logits, target, lang="en"))
    page.page.locator('td[data-n="softmax:0:3"]').hover()
    for place in ("logits:0:3", "exp:0:3", "softmax:0:3", "gradient:0:3", "bars:0:3", "slider:*:3"):
        assert place in page.hot()
    assert all(place.split(":")[2] == "3" for place in page.hot())
    terms = page.page.locator(".numbers b.hot").all_inner_texts()
    assert len(terms) >= 2  # in the maximum and in the sum
    page.page.locator('td[data-n="softmax:1:2"]').hover()
    assert {"logits:1:2", "softmax:1:2"} <= page.hot()
    assert "slider:*:2" not in page.hot()  # which is of row 0
    page.page.locator("h1").hover()
    assert page.hot() == set()


def test_keyboard_alone_is_enough(opened: Any) -> None:
    logits, target = batch()
    page = opened(explain(logits, target, lang="en"))
    before = page.number("value::")
    for _ in range(10):
        page.page.keyboard.press("Tab")
        if page.page.evaluate("document.activeElement.dataset.k") == "1":
            break
    assert "softmax:0:1" in page.hot()  # focus points as well
    for _ in range(50):
        page.page.keyboard.press("ArrowRight")
    assert page.number("value::") != before
    assert page.page.locator(".where", has_text="not as moved").is_visible()
    page.page.locator("#reset").focus()
    page.page.keyboard.press("Enter")
    assert page.number("value::") == before


@pytest.mark.parametrize("width", [360, 768, 1200])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_nothing_overflows(opened: Any, width: int, lang: str) -> None:
    logits, target = torch.randn(60, 3000, generator=torch.Generator().manual_seed(0)), torch.arange(60)
    names = [f"a class whose name is long, number {i}" for i in range(3000)]
    page = opened(explain(logits, target, lang=lang, class_names=names, label_smoothing=0.1), width)
    assert page.size <= 150_000
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_text(opened: Any, scheme: str) -> None:
    """WCAG AA: 4.5 to 1, for every piece of text against what is behind it."""
    logits, target = batch()
    target[1] = -100
    page = opened(explain(logits, target, lang="en"), scheme=scheme)
    page.page.locator('td[data-n="softmax:0:3"]').hover()
    worst = page.page.evaluate(CONTRAST)
    assert worst[0] >= 4.5, worst


CONTRAST = """() => {
  const parse = s => (s.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = c => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => {
    const v = c[i] / 255; return sum + w * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); }, 0);
  let worst = [99, ''];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length || e.closest('style,script,option')) continue;
    const style = getComputedStyle(e), ink = parse(e.closest('svg') ? style.fill : style.color);
    let behind = e, paper = [0, 0, 0, 0];
    while (behind && (paper[3] ?? 1) === 0) {
      paper = parse(getComputedStyle(behind).backgroundColor);
      behind = behind.parentElement;
    }
    const [a, b] = [light(ink), light(paper)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 120), ink, paper];
  }
  return worst;
}"""


@pytest.mark.parametrize("width", [360, 900])
def test_nothing_is_cut_or_unnamed(opened: Any, width: int) -> None:
    logits, target = batch(1, 5)
    page = opened(explain(logits, target, lang="en"), width).page
    assert page.evaluate(CUT) == []
    assert page.locator(".scroll").evaluate_all("all => all.some(e => e.scrollWidth > e.clientWidth)") == (width == 360)
    names = page.locator('.steps th[scope="row"]').all_inner_texts()
    assert {"yi", "mi", "lsei"} <= set(names)
    assert all(names)
    assert "1 row, with 5 classes" in page.locator(".steps").inner_text()
    assert page.locator(".heat .class").evaluate("e => e.scrollWidth <= e.clientWidth")
    for value in (-4.0, 4.0):  # a large loss and a small one: its number stands on its block, at the height of the axis
        page.locator(f'input[data-k="{int(target)}"]').fill(str(value))
        figure = page.locator("#figures svg").last
        total, block = (figure.locator(name) for name in (".total", ".gap"))
        assert float(block.get_attribute("y") or 0) - float(total.get_attribute("y") or 0) == pytest.approx(5)
        ticks = figure.locator(".tick:visible").evaluate_all(
            "all => all.map(e => [+e.textContent, e.ownerSVGElement.getElementsByClassName('axis')[0].getCTM().f"
            " - e.getCTM().f, e.getCTM().a])"
        )
        nats = parsed(total.text_content() or "")
        height = float(block.get_attribute("height") or 0) * ticks[0][2]
        assert len(ticks) >= 2
        assert all(v / nats == pytest.approx(at / height, abs=2e-3 / nats) for v, at, _ in ticks)


CUT = """() => [...document.querySelectorAll('.scroll')].flatMap(frame => {
  const edge = frame.getBoundingClientRect().right;
  return [...frame.querySelectorAll('td, th')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.left < edge - 1 && box.right > edge + 1;
  }).map(e => e.textContent);
})"""
"""Cells across the edge of what scrolls."""


def test_hostile_names_are_inert(opened: Any) -> None:
    logits, target = batch(3, 6)
    page = opened(explain(logits, target, lang="en", class_names=HOSTILE))
    assert page.page.title().startswith("Cross entropy")
    assert page.page.locator("img").count() == 0
    assert page.page.locator("script").count() == 2
    names = page.page.locator("aside .slider .class").all_inner_texts()
    assert HOSTILE[0] in names
    page.slide(0, 1.0)


def test_a_row_of_infinities(opened: Any) -> None:
    logits = torch.tensor([[0.0, -math.inf, 1.0], [2.0, 1.0, -math.inf]])
    page = opened(explain(logits, torch.tensor([0, 1]), lang="en"))
    page.slide(1, 0.5)
    moved = torch.tensor([[0.0, 0.5, 1.0], [2.0, 1.0, -math.inf]])
    assert_shown(page.number("value::"), F.cross_entropy(moved, torch.tensor([0, 1])))
    assert page.page.locator('[data-n="softmax:1:2"]').inner_text() == "0"


def infinite_logits() -> Tensor:
    logits = batch()[0]
    logits[0] = -math.inf
    logits[1, 1] = math.inf
    return logits


UNUSUAL = {
    "everything ignored": lambda: explain(batch()[0], torch.full((3,), -100)),
    "infinite": lambda: explain(infinite_logits(), torch.tensor([0, 1, 2])),
    "capped and cut": lambda: explain(torch.arange(90.0).sin().view(3, 30), torch.tensor([0, 1, 2]), softcap=2.0),
    "an infinite divergence of what is not shown": lambda: explain.kl(
        torch.tensor([1.0] * 10 + [0.0] * 30) / 10, torch.tensor([1.0, 0.0] * 20) / 20
    ),
    "infinite in rows that are not shown": lambda: explain(
        torch.tensor([[0.0, 1.0]] * 3 + [[-math.inf, 1.0]] * 2), torch.zeros(5).long(), max_rows=2
    ),
}


@pytest.mark.parametrize("case", UNUSUAL)
def test_back_at_the_given_numbers_the_page_shows_those_of_the_explanation(opened: Any, case: str) -> None:
    page = opened(UNUSUAL[case]())
    before = dict(page.page.eval_on_selector_all("[data-n]", ALL))
    page.heat(30)
    page.page.locator("#reset").click()
    after = dict(page.page.eval_on_selector_all("[data-n]", ALL))
    for place, text in before.items():
        if re.fullmatch(r"(bars|area|areatext|slider):.*", place) or not text:
            continue
        if text == "…":
            assert after[place] == text
            continue
        shown, true = parsed(after[place]), parsed(text)
        assert shown == pytest.approx(true, rel=2e-3, abs=1e-4, nan_ok=True), place


# --- in a notebook ----------------------------------------------------------------------------------------------------
#
# `make notebook` does this in a real JupyterLab. Here the output is put into a page as JupyterLab and VS Code put it.

VS_CODE = (  # the policy of the page in which VS Code shows outputs
    "default-src 'none'; script-src https://*.vscode-cdn.net 'unsafe-inline' 'unsafe-eval'; "
    "style-src https://*.vscode-cdn.net 'unsafe-inline'; img-src https: http: data:; connect-src https:; "
    "child-src https: data:;"
)
HOST = """<!doctype html><meta http-equiv="Content-Security-Policy" content="{policy}"><body {theme}>
<div id="out"></div><script>document.cookie = "secret=1"; window.secret = 1</script>"""
HOSTS = {
    "JupyterLab": ("", 'data-jp-theme-light="false"'),
    "VS Code": (VS_CODE, 'class="vscode-dark"'),
    "Colab": ("", "></body><script>document.documentElement.setAttribute('theme', 'dark')</script"),
}


@pytest.fixture(scope="module")
def cell(browser: Browser) -> Iterator[Any]:
    """A page that takes the output of a cell, in a browser whose own scheme nobody chose."""
    context = browser.new_context(color_scheme="null")
    page = context.new_page()
    served: list[str] = [""]
    page.route("**/*", lambda route: route.fulfill(body=served[0], content_type="text/html"))

    def put(output: str, policy: str = "", theme: str = "") -> Page:
        served[0] = HOST.format(policy=policy, theme=theme)
        page.goto("http://notebook.test/lab")
        page.locator("#out").evaluate("(out, html) => { out.innerHTML = html }", output)
        return page

    yield put
    context.close()


@pytest.mark.parametrize("host", HOSTS)
def test_a_cell_shows_the_page_in_a_frame_of_its_own(cell: Any, host: str) -> None:
    logits, target = batch()
    page = cell(explain(logits, target, lang="en")._repr_html_(), *HOSTS[host])
    (frame,) = (frame for frame in page.frames if frame.parent_frame)
    frame.locator('input[data-k="2"]').fill("3.25")
    moved = logits.clone()
    moved[0, 2] = 3.25
    shown = parsed(frame.locator('[data-n="value::"] span, b[data-n="value::"]').last.inner_text())
    assert_shown(shown, F.cross_entropy(moved, target))
    for reach in ("parent.secret", "parent.document", "document.cookie", "localStorage"):
        reached = frame.evaluate(f"() => {{ try {{ return String({reach}) }} catch (e) {{ return e.name }} }}")
        assert reached == "SecurityError", reach
    assert not page.locator(".ce-otherwise").is_visible()
    assert page.locator(".ce-frame > div").first.bounding_box()["height"] == 640
    frame.wait_for_function("matchMedia('(prefers-color-scheme: dark)').matches")  # as its notebook
    page.emulate_media(media="print")
    assert page.locator(".ce-otherwise table").first.is_visible()
    assert not page.locator("iframe").is_visible()
    page.emulate_media(media="screen")


class Sanitized(HTMLParser):
    """HTML as JupyterLab's sanitizer leaves it of a notebook that is not trusted."""

    LOST = ("style", "script")
    DROPPED = ("iframe", "svg", "g", "rect", "text", "line", "path", "defs", "pattern", "title")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self._lost = "", False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._lost = tag in self.LOST
        if tag not in (*self.LOST, *self.DROPPED):
            kept = "".join(f' {name}="{value}"' for name, value in attrs if name in ("class", "style", "scope"))
            self.html += f"<{tag}{kept}>"

    def handle_endtag(self, tag: str) -> None:
        self._lost = False
        if tag not in (*self.LOST, *self.DROPPED):
            self.html += f"</{tag}>"

    def handle_data(self, data: str) -> None:
        self.html += "" if self._lost else data


def test_without_frames_a_cell_shows_the_tables(cell: Any) -> None:
    logits, target = batch()
    e = explain(logits, target, lang="en")
    page = cell(Sanitized(e._repr_html_()).html)
    assert page.locator("iframe").count() == 0
    assert page.locator(".ce-otherwise").bounding_box()["y"] < 20  # nothing is left of the frame, and no room for it
    assert number(float(e.value)) in page.locator(".ce-otherwise").inner_text()
    assert page.locator("td").all_inner_texts().count(number(float(logits[0, 0]))) >= 1
    page = cell(e._repr_html_().replace("<iframe", "<b").replace("</iframe", "</b"))  # the frame alone is taken out
    assert page.locator(".ce-otherwise").is_visible()
    assert page.locator(".ce-otherwise").bounding_box()["y"] < 20


def test_links_within_a_framed_page_stay_there(cell: Any) -> None:
    page = cell(
        framed('<html><head></head><a href="#there">go</a><p style="height:2000px"><p id="there">', 'a "page"', 200)
    )
    (frame,) = (frame for frame in page.frames if frame.parent_frame)
    frame.locator("a").click()
    frame.wait_for_function("scrollY > 500")
    assert page.locator("iframe").get_attribute("title") == 'a "page"'
    assert page.locator(".ce-frame > div").bounding_box()["height"] == 200
    assert page.locator(".ce-otherwise").count() == 0


def test_what_cannot_be_moved_has_no_frame() -> None:
    e = explain.information([0.5, 0.25])
    assert e.lab is None
    assert "iframe" not in e._repr_html_()


def test_what_a_notebook_keeps_of_an_explanation() -> None:
    e = explain(*batch(), lang="en")
    kept, _ = DisplayFormatter().format(e)
    assert kept == {"text/plain": str(e), "text/html": e._repr_html_()}
    assert len(kept["text/html"].encode()) <= 80_000
    assert repr(e) == f"<Explanation: {e.title} = {number(float(e.value))}>"
