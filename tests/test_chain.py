"""The chain as one page, in a real browser: what it computes as things move is what the package computes."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import Page, sync_playwright
from torch import Tensor
from torch.distributions import Normal

from crossentropy import continuous, explain, functional, information
from crossentropy._explain._chain import _numbers
from crossentropy._explain._chain._words import WORDS
from crossentropy._explain._frame import framed
from test_explain_page import CONTRAST, REQUIRED, chromium, parsed

LARGEST = 250_000
OTHERWISE = (
    "<p>从信息量到训练好的模型: <code>"
    "crossentropy.explain.chain(&quot;zh&quot;).to_html(&quot;chain.html&quot;)</code></p>"
)
CUT = """() => [...document.querySelectorAll('.formula, .matrix button, .matrix span, .run code, .live')].filter(
  e => e.scrollWidth > e.clientWidth + 1).map(e => e.outerHTML.slice(0, 90))"""
"""What has less room than it needs."""
BESIDE = CONTRAST.replace("style,script,option", "style,script,option,.on,.inside")
"""Of all text but what stands on bars, whose colour no style says."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The English page, loaded once; it may say nothing and ask for nothing."""
    executable = chromium()
    if executable is None and not REQUIRED:
        pytest.skip("no browser is installed; `.ci/browser` installs one or says why it cannot")
    assert executable is not None, "CROSSENTROPY_BROWSER=required, and .ci/browser could install none"
    folder = tmp_path_factory.mktemp("chain")
    for lang in ("en", "zh"):
        explain.chain(lang).to_html(folder / f"{lang}.html")
        assert (folder / f"{lang}.html").stat().st_size <= LARGEST
    said: list[str] = []
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((folder / "en.html").as_uri())
        yield page
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for lang in ("en", "zh"):
                page.goto((folder / f"{lang}.html").as_uri())
                for width in (360, 768, 900, 1280, 1920):
                    page.set_viewport_size({"width": width, "height": 900})
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, (lang, width)
                    assert page.evaluate(CUT) == [], (lang, width)
                worst = page.evaluate(BESIDE)
                assert worst[0] >= 4.5, (scheme, lang, worst)
        browser.close()
    assert said == []
    assert all(url.startswith(("file:", "data:")) for url in asked), asked


def shown(page: Page, name: str) -> float:
    text = page.locator(f'[data-n="{name}"]').first.inner_text()
    return math.inf if text == "∞" else parsed(text)


def holds(page: Page, name: str, true: Tensor | float, digits: int = 4) -> None:
    """A number as the page writes it: within half a unit of its last digit, and a rounding."""
    assert shown(page, name) == pytest.approx(float(true), abs=0.51 * 10**-digits), name


def values(page: Page, stage: str) -> list[float]:
    """What the handles of a stage stand at, in full."""
    return [
        float(v) for v in page.eval_on_selector_all(f"{stage} [role=slider]", "all => all.map(e => e.ariaValueNow)")
    ]


def press(page: Page, handle: str, key: str, times: int = 1) -> None:
    page.locator(handle).focus()
    for _ in range(times):
        page.keyboard.press(key)


def test_the_first_numbers_are_those_that_the_package_computed(page: Page) -> None:
    """Scripts have computed all of them again by now."""
    for name, true in _numbers.numbers().items():
        digits = int(page.locator(f'[data-n="{name}"]').first.get_attribute("data-digits") or 4)
        holds(page, name, true, digits)


def test_information_and_entropy(page: Page) -> None:
    press(page, "#information [role=slider]", "ArrowRight", 3)
    (p,) = values(page, "#information")
    assert p == pytest.approx(1 / 6 + 0.03)
    holds(page, "information.value", information.information(p))
    page.click("#information [data-bit]")
    holds(page, "information.value", information.information(p, unit="bit"))
    holds(page, "entropy.value", information.entropy(_numbers.DIE, unit="bit"))
    page.click("#information [data-nat]")
    press(page, "#entropy [data-stage=bars] [role=slider] >> nth=0", "PageUp", 2)
    p = values(page, "#entropy [data-stage=bars]")
    assert p[0] == pytest.approx(0.3)
    holds(page, "entropy.value", information.entropy(p))
    page.click("#even")
    holds(page, "entropy.value", math.log(6))
    page.click("[data-kind=three]")
    press(page, "#entropy [data-stage=land] [role=slider]", "ArrowUp", 4)
    p = values(page, "#entropy [data-stage=bars]")
    assert p == pytest.approx([0.58, 0.28, 0.14])
    holds(page, "entropy.value", information.entropy(p))


def test_a_pointer_drags(page: Page) -> None:
    knob = page.locator("#information [role=slider] .knob")
    knob.scroll_into_view_if_needed()
    box = knob.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 30)
    page.mouse.up()
    (p,) = values(page, "#information")
    assert p > 0.35
    holds(page, "information.value", information.information(p))


def test_divergence(page: Page) -> None:
    press(page, "#divergence [data-stage=both] [role=slider] >> nth=1", "ArrowUp", 10)
    both = values(page, "#divergence [data-stage=both]")
    p, q = both[0::2], both[1::2]
    assert q[0] == pytest.approx(0.4)
    assert sum(q) == pytest.approx(1.0)
    holds(page, "divergence.kl", information.kl_divergence(p, q))
    holds(page, "divergence.ce", information.cross_entropy(p, q))
    page.click("#swap")
    holds(page, "divergence.kl", information.kl_divergence(q, p))
    holds(page, "divergence.h", information.entropy(q))
    page.click("#sure")
    press(page, "#divergence [data-stage=both] [role=slider] >> nth=3", "Home")
    assert shown(page, "divergence.kl") == math.inf
    page.click("#equal")
    holds(page, "divergence.kl", 0.0)


def test_densities(page: Page) -> None:
    press(page, "#densities [role=slider] >> nth=0", "ArrowLeft", 6)  # the mean of q, which is drawn first
    page.locator('[data-normal="sigma_p"]').focus()
    page.keyboard.press("ArrowRight")
    inputs = "all => all.map(e => [e.dataset.normal, Number(e.value)])"
    n = dict(page.eval_on_selector_all("[data-normal]", inputs))
    assert n["mu_q"] == pytest.approx(1.2)
    assert n["sigma_p"] == pytest.approx(1.05)
    p, q = (Normal(torch.tensor(n[f"mu_{k}"]).double(), torch.tensor(n[f"sigma_{k}"]).double()) for k in "pq")
    holds(page, "densities.kl", continuous.kl_divergence(p, q).value)
    holds(page, "densities.h", continuous.entropy(p).value)
    holds(page, "densities.ce", continuous.cross_entropy(p, q).value)


def test_label(page: Page) -> None:
    page.click("[data-label='2']")
    holds(page, "label.loss", -math.log(0.7))
    press(page, "#label [role=slider] >> nth=2", "End")
    holds(page, "label.loss", 0.0)


def test_batch(page: Page) -> None:
    page.locator('[data-cell="z.1.2"]').fill("3.5")
    page.click('[data-cell="log.0.4"]')
    z, y = torch.tensor(_numbers.LOGITS, dtype=torch.float64), torch.tensor([4, 3, 4])
    z[1, 2] = 3.5
    log_q = functional.log_softmax(z, 1)
    for i in range(3):
        holds(page, f"batch.nll.{i}", -log_q[i, y[i]])
        for k in range(5):
            holds(page, f"batch.q.{i}.{k}", log_q[i, k].exp(), 3)
            holds(page, f"batch.log.{i}.{k}", log_q[i, k], 3)
    holds(page, "batch.loss", functional.cross_entropy(z, y))
    page.locator('[data-cell="q.0.1"]').hover()
    assert page.locator("#batch-formula b.hot").count() == 1
    for cell, typed in (("z.0.0", "1e300"), ("z.1.1", "-1234.5678"), ("z.2.1", "")):
        page.locator(f'[data-cell="{cell}"]').fill(typed)
    page.set_viewport_size({"width": 360, "height": 900})
    assert page.evaluate(CUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.set_viewport_size({"width": 1200, "height": 900})
    assert shown(page, "batch.log.0.1") == -1e300
    z[1, 1] = -1234.5678
    holds(page, "batch.log.1.1", functional.log_softmax(z[1], 0)[1], 1)
    page.locator('[data-cell="log.2.4"]').focus()
    assert page.locator('[data-cell="z.2.1"]').input_value() == "1.1"  # what is no number is not kept


def test_paper_has_the_figures_and_no_controls(page: Page) -> None:
    page.emulate_media(media="print")
    assert page.locator("#temperature rect.bar").first.is_visible()
    assert (
        page.locator("#batch .matrix [aria-pressed=true]").first.evaluate("e => getComputedStyle(e).printColorAdjust")
        == "exact"
    )
    assert not page.locator("nav, div.bar, .sliders, #next").first.is_visible()
    page.emulate_media(media="screen")


def test_temperature_and_gradient(page: Page) -> None:
    page.locator("#heat").evaluate("e => { e.value = 0.5; e.dispatchEvent(new Event('input')); }")
    z = torch.tensor(_numbers.ROW, dtype=torch.float64)
    q = functional.softmax(z / 10**0.5, 0)
    holds(page, "temperature.most", q.max())
    holds(page, "temperature.h", information.entropy(q))
    for _ in range(3):
        page.click("#step")
        z = z - _numbers.RATE * (z.softmax(0) - F.one_hot(torch.tensor(_numbers.TRUE_CLASS), 5))
    holds(page, "gradient.loss", functional.cross_entropy(z, torch.tensor(_numbers.TRUE_CLASS)))
    page.click("#unstep")
    holds(page, "gradient.loss", _numbers.numbers()["gradient.loss"])


LOSSES: dict[str, Any] = {
    "mse": lambda z, y: (z.softmax(1) - F.one_hot(y, 3)).square().sum(1).mean(),
    "double": lambda z, y: F.cross_entropy(z.softmax(1), y),
    "own": F.cross_entropy,
}


def trained(kind: str, scale: float, steps: int) -> list[float]:
    """The same training by torch: the mean of −log q_y before each step, and at the end."""
    x, y, parameters = _numbers.classifier()
    parameters[2] = parameters[2] * scale
    w, b, v, c = (p.requires_grad_() for p in parameters)
    losses = []
    for _ in range(steps + 1):
        z = torch.tanh(x @ w + b) @ v + c
        losses.append(F.cross_entropy(z, y).item())
        slopes = torch.autograd.grad(LOSSES[kind](z, y), (w, b, v, c))
        with torch.no_grad():
            for p, slope in zip((w, b, v, c), slopes):
                p -= _numbers.STEP * slope
    return losses


def test_three_trainings_are_torchs(page: Page) -> None:
    """Rounding grows with each step where a training turns: after 400 of them six digits remain."""
    page.click("#train")
    page.wait_for_function("document.getElementById('steps').textContent === '400'")
    history = page.evaluate("document.getElementById('training').history")
    for kind in LOSSES:
        assert [m["loss"] for m in history[kind]] == pytest.approx(trained(kind, 3.0, 400), rel=1e-6)
    assert history["own"][-1]["right"] == 1.0
    assert history["double"][-1]["right"] < 0.7
    page.click("#restart")
    assert page.locator("#steps").inner_text() == "0"


def test_the_theme_is_chosen(page: Page) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(paper)
    page.click("#theme")
    assert page.evaluate(paper) != before
    page.click("#theme")
    assert page.evaluate(paper) == before


def test_every_word_is_there_twice_and_used() -> None:
    for lang in ("en", "zh"):
        text = explain.chain(lang).to_html()
        assert "[[" not in text.split("<script type")[0]
        assert "$$" not in text
    assert all(en and zh for en, zh in WORDS.values())
    frame = explain.chain("zh")._repr_html_()
    assert frame == framed(explain.chain("zh").to_html(), explain.chain("zh").title, 704, OTHERWISE)
    with pytest.raises(ValueError, match="lang is 'fr'"):
        explain.chain("fr")
