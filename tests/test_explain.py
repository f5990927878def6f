"""Explanations: every step recomputed in float64, every number of a renderer found in a step, both languages whole."""

import ast
import io
import itertools
import json
import math
import re
import string
import unicodedata
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import crossentropy
from crossentropy import Explanation, explain, information
from crossentropy._explain import _words
from crossentropy._explain._data import Ref, number
from crossentropy._explain._html import fragment
from crossentropy.testing import peak_bytes

ROOT = Path(__file__).parent.parent
KINDS = ("indices", "probabilities")


def problem(
    kind: str = "indices", rows: int = 4, classes: int = 6, dtype: torch.dtype = torch.float64, seed: int = 0
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(rows, classes, generator=generator, dtype=torch.float64) * 3).to(dtype)
    if kind == "indices":
        return logits, torch.randint(classes, (rows,), generator=generator)
    return logits, torch.randn(rows, classes, generator=generator, dtype=torch.float64).softmax(1).to(dtype)


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "weight": {"weight": torch.linspace(0.2, 2.0, 6)},
    "smoothing": {"label_smoothing": 0.2},
    "both": {"label_smoothing": 0.2, "weight": torch.linspace(0.2, 2.0, 6)},
    "z_loss": {"z_loss": 0.1},
    "softcap": {"softcap": 2.0, "logit_scale": 0.5},
    "token_weight": {"token_weight": torch.tensor([1.0, 0.0, 2.0, 0.5])},
    "denominator": {"denominator": 7.0},
    "ignored": {"ignore_index": 3},
    "everything": {
        "label_smoothing": 0.1, "weight": torch.linspace(0.2, 2.0, 6), "z_loss": 0.01, "softcap": 4.0,
        "token_weight": torch.tensor([1.0, 0.0, 2.0, 0.5]), "denominator": 3.0,
    },
}  # fmt: skip

# class probabilities have no index to ignore
CASES = [(name, kind) for name in OPTIONS for kind in KINDS if (name, kind) != ("ignored", "probabilities")]


def independent(z: Tensor, target: Tensor, options: dict[str, Any]) -> dict[str, Tensor]:
    """The steps of a loss by an independent few lines, in float64."""
    x = z.double().detach().requires_grad_()
    s, cap = options.get("logit_scale", 1.0), options.get("softcap")
    z = x * s if cap is None else cap * torch.tanh(x * s / cap)
    steps = {"max": z.max(1).values, "logits": z, "raw": x}
    steps["shifted"] = z - steps["max"][:, None]
    steps["exp"] = steps["shifted"].exp()
    steps["sum"] = steps["exp"].sum(1)
    steps["lse"] = steps["max"] + steps["sum"].log()
    steps["log_softmax"] = z - steps["lse"][:, None]
    steps["softmax"] = steps["exp"] / steps["sum"][:, None]
    classes, w = z.shape[1], options.get("weight", torch.ones(z.shape[1])).double()
    if target.is_floating_point():
        p, counted, n = target.double(), torch.ones(len(z)).double(), torch.ones(len(z)).double()
    else:
        counted = (target != options.get("ignore_index", -100)).double()
        p = F.one_hot(target.where(counted > 0, 0), classes).double()
        n = w[target.where(counted > 0, 0)] * counted
    steps["nll"] = -(p * steps["log_softmax"]).sum(1) * counted
    steps["bit"] = steps["nll"] / math.log(2)
    ε = options.get("label_smoothing", 0.0)
    steps["tau"] = w * ((1 - ε) * p + ε / classes) * counted[:, None]
    steps["weight"] = n
    steps["z_loss"] = options.get("z_loss", 0.0) * n * steps["lse"] ** 2
    steps["loss"] = -(steps["tau"] * steps["log_softmax"]).sum(1) + steps["z_loss"]
    t = options.get("token_weight", torch.ones(len(z))).double()
    steps["token_weight"] = t * counted
    steps["rows"] = t * counted * steps["loss"]
    given = options.get("denominator")
    steps["denominator"] = (t * n).sum() if given is None else torch.tensor(given).double()
    total = steps["rows"].sum()
    mean = options.get("reduction", "mean") == "mean"
    steps["value"] = total / steps["denominator"] if mean else total
    steps["gradient"] = torch.autograd.grad(steps["value"], x, retain_graph=True)[0]
    return {name: step.detach() for name, step in steps.items()}


@pytest.mark.parametrize(("name", "kind"), CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_step_is_that_of_an_independent_computation(kind: str, name: str, dtype: torch.dtype) -> None:
    logits, target = problem(kind, dtype=dtype)
    e = explain(logits, target, lang="en", **OPTIONS[name])
    true = independent(logits, target, OPTIONS[name])
    # each number is a few roundings of the largest, which is a logit of at most 12
    tolerance = 64 * torch.finfo(dtype).eps * 12
    compared = [step for step in e.steps if step.key != "target"]
    assert len(compared) >= 12
    for step in compared:
        torch.testing.assert_close(step.tensor.double(), true[step.key], rtol=0, atol=tolerance, msg=step.key)
    expected = crossentropy.functional.cross_entropy(logits, target, **OPTIONS[name])
    assert e.value.equal(expected)
    assert e.agrees, e.check
    torch.testing.assert_close(e.value.double(), e.reference, rtol=0, atol=e.tolerance)


@pytest.mark.parametrize("name", ["plain", "weight", "smoothing", "ignored", "sum"])
def test_reference_is_torchs_own_result(name: str) -> None:
    logits, target = problem()
    e = explain(logits, target, **OPTIONS[name])
    weight = OPTIONS[name].get("weight")
    torchs = OPTIONS[name] | ({} if weight is None else {"weight": weight.double()})
    torch.testing.assert_close(e.reference, F.cross_entropy(logits, target, **torchs), rtol=1e-14, atol=0)


def test_a_wrong_value_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, target = problem()
    right = crossentropy.functional.cross_entropy

    def wrong(*arguments: Any, **keywords: Any) -> Tensor:
        return right(*arguments, **keywords) * (1 + 1e-9)

    monkeypatch.setattr(crossentropy.functional, "cross_entropy", wrong)
    e = explain(logits, target, lang="en")
    assert not e.agrees
    assert "✗" in str(e)
    assert "more than rounding" in e.check


@pytest.mark.parametrize("mask", [-1e9, torch.finfo(torch.float32).min])
def test_a_wrong_value_is_noticed_where_classes_are_masked(monkeypatch: pytest.MonkeyPatch, mask: float) -> None:
    logits, target = problem(dtype=torch.float32)
    logits[:, 4:] = mask
    assert explain(logits, target % 4).agrees
    right = crossentropy.functional.cross_entropy
    monkeypatch.setattr(crossentropy.functional, "cross_entropy", lambda *a, **k: right(*a, **k) * (1 + 1e-4))
    assert not explain(logits, target % 4).agrees


def test_rounding_to_half_precision_hides_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, target = problem(rows=100, dtype=torch.bfloat16)
    assert explain(logits * 4, target).agrees
    right = crossentropy.functional.cross_entropy
    monkeypatch.setattr(crossentropy.functional, "cross_entropy", lambda *a, **k: right(*a, **k) * 1.02)
    assert not explain(logits * 4, target).agrees


def infinite(*places: tuple[int, int]) -> Tensor:
    logits = torch.randn(4, 6)
    for place in places:
        logits[place] = -math.inf
    return logits


ROUNDING: dict[str, tuple[Tensor, Tensor, dict[str, Any]]] = {
    "large logits in a row that is not shown": (
        torch.cat([torch.randn(40, 6), torch.randn(1, 6) + 1e6, torch.randn(9, 6) * 3]),
        torch.randint(6, (50,)),
        {"logit_scale": 0.3},
    ),
    "gradient of a large scale": (torch.zeros(1, 3), torch.tensor([1]), {"logit_scale": 100.0, "z_loss": 1e-4}),
    "terms that cancel": (torch.randn(50, 6), torch.arange(50) % 6, {"token_weight": torch.randn(50) * 1e3}),
    "overflow of the result": (torch.tensor([[300.0, 0.0]] * 300).half(), torch.ones(300).long(), {"reduction": "sum"}),
    "subnormal result": (torch.tensor([[14.4, 0.0]]).half(), torch.tensor([0]), {}),
    "nothing to count, denominator 0": (torch.randn(2, 3), torch.tensor([-100, -100]), {"denominator": 0.0}),
    "token weights that sum to 0": (
        torch.randn(2, 3), torch.tensor([0, 1]), {"token_weight": torch.tensor([1.0, -1.0])}
    ),
    "class without weight, ruled out": (
        infinite((0, 1)), torch.tensor([0, 1, 2, 3]),
        {"label_smoothing": 0.1, "weight": torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0, 1.0])},
    ),
    "label without weight, ruled out": (
        infinite((1, 1)), torch.tensor([0, 1, 2, 3]), {"weight": torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0, 1.0])}
    ),
    "probability without weight, ruled out": (
        infinite((0, 1)), torch.full((4, 6), 1 / 6), {"weight": torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0, 1.0])}
    ),
    "row without weight and with inf": (
        torch.tensor([[math.inf, 0.0], [1.0, 2.0]]), torch.tensor([0, 1]), {"token_weight": torch.tensor([0.0, 1.0])}
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ROUNDING)
def test_rounding_is_no_difference(case: str) -> None:
    logits, target, options = ROUNDING[case]
    e = explain(logits, target, max_rows=2, lang="en", **options)
    assert e.agrees, e.check


SHAPES = [((5,), ()), ((3, 5), (3,)), ((2, 5, 3), (2, 3)), ((2, 5, 2, 3), (2, 2, 3))]


@pytest.mark.parametrize(("shape", "rows"), SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_shapes(shape: tuple[int, ...], rows: tuple[int, ...], kind: str) -> None:
    logits = torch.randn(shape, dtype=torch.float64)
    dim = min(len(shape) - 1, 1)
    target = torch.randint(5, rows) if kind == "indices" else torch.randn(shape, dtype=torch.float64).softmax(dim)
    for max_rows in (3, 100):
        e = explain(logits, target, max_rows=max_rows, lang="en")
        assert e.agrees
        log_p = logits.log_softmax(dim).movedim(dim, -1)
        step = e.step("log_softmax")
        assert step is not None
        for i, position in enumerate(e.shown.positions):
            torch.testing.assert_close(step.tensor[i], log_p[position])
        assert len(e.shown.positions) == min(max_rows, math.prod(rows))
        assert str(e)


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_instead_of_logits(kind: str) -> None:
    logits, target = problem(kind)
    q = logits.softmax(1)
    e = explain(probs=q, target=target, lang="en")
    assert e.agrees
    torch.testing.assert_close(e.value, F.cross_entropy(logits, target))
    p = e.step("probabilities")
    assert p is not None
    torch.testing.assert_close(p.tensor, q)
    gradient = e.step("gradient")
    assert gradient is not None
    truth = F.one_hot(target, 6) if kind == "indices" else target
    torch.testing.assert_close(gradient.tensor, (q - truth) / 4)


def test_the_tutorials_prediction() -> None:
    e = explain(probs=[[0.1, 0.2, 0.7]], target=torch.tensor([[0.0, 1.0, 0.0]]), lang="en")
    assert e.value.item() == pytest.approx(-math.log(0.2), abs=1e-7)
    nll = e.step("nll")
    assert nll is not None
    assert str(nll.numbers) == "1 · (−1.6094) = 1.6094"
    assert explain(probs=[[0.0, 1.0, 0.0]], target=torch.tensor([1])).value == 0
    assert explain(probs=[[0.0, 1.0, 0.0]], target=torch.tensor([[0.0, 1.0, 0.0]])).agrees
    assert explain(probs=[[0.0, 1.0, 0.0]], target=torch.tensor([0])).value == math.inf


def test_the_mean_is_written_as_arithmetic() -> None:
    log_q = torch.tensor([[-0.2338], [-1.8039], [-1.0224]]).double()
    logits = torch.cat([log_q, torch.log1p(-log_q.exp())], 1)
    e = explain(logits, torch.tensor([0, 0, 0]), lang="en")
    value = e.step("value")
    assert value is not None
    assert str(value.numbers) == "−(−0.2338 −1.8039 −1.0224) / 3 = 1.0200"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bias", [True, False])
def test_a_head(dtype: torch.dtype, bias: bool) -> None:
    hidden, weight = torch.randn(2, 5, 16).to(dtype), torch.randn(300, 16).to(dtype)
    b, target = torch.randn(300).to(dtype) if bias else None, torch.randint(300, (2, 5))
    e = explain(hidden=hidden, linear_weight=weight, linear_bias=b, target=target, lang="en")
    assert e.agrees, e.check
    loss = crossentropy.functional.linear_cross_entropy(hidden, weight, target, linear_bias=b)
    assert e.value.equal(loss)
    logits = hidden.double() @ weight.double().T + (0 if b is None else b.double())
    step = e.step("logits")
    assert step is not None
    for i, position in enumerate(e.shown.positions):
        expected = logits[position][e.shown.classes[i]]
        torch.testing.assert_close(step.tensor[i].double(), expected, rtol=0, atol=8 * torch.finfo(dtype).eps * 30)


def test_lazy_logits_are_explained() -> None:
    head = torch.nn.Linear(8, 200)
    hidden, target = torch.randn(6, 8), torch.randint(200, (6,))
    e = explain(crossentropy.LazyLogits(hidden, head.weight, head.bias), target, lang="en")
    assert e.agrees
    torch.testing.assert_close(e.value, F.cross_entropy(head(hidden), target).detach())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    logits, target = problem(rows=300, dtype=dtype)
    e = explain(logits, target, lang="en")
    assert e.value.dtype == dtype
    assert e.agrees, e.check


def test_hostile_numbers() -> None:
    z = torch.tensor([[60.0, 0.0, -math.inf], [1e4, 1e4 - 1, 0.0], [-1e-8, 0.0, 1e-8], [math.nan, 0.0, 0.0]])
    e = explain(z, torch.tensor([0, 1, 2, -100]), lang="en")
    assert e.agrees, e.check
    nll = e.step("nll")
    assert nll is not None
    assert nll.tensor[0].item() == pytest.approx(math.exp(-60), rel=1e-6)
    assert "8.757e−27" in str(e)
    gradient = e.step("gradient")
    assert gradient is not None
    assert gradient.tensor[3].tolist() == [0, 0, 0]
    everything_ignored = explain(z, torch.tensor([-100] * 4), lang="en")
    assert everything_ignored.value.isnan()
    assert "nan" in str(everything_ignored)
    json.dumps(everything_ignored.to_dict(), allow_nan=False)
    overflowed = explain(torch.tensor([[math.inf, 0.0]]), torch.tensor([0]), lang="en")
    assert overflowed.value.isnan()
    assert overflowed.agrees


def test_views_without_memory_of_their_own() -> None:
    logits, target = problem()
    expanded = logits[:1].expand(4, 6)
    assert explain(expanded, target).agrees
    assert explain(logits.T.contiguous().T, target).value.equal(explain(logits, target).value)


def test_nothing_is_changed() -> None:
    logits, target = problem()
    logits.requires_grad_()
    before, state = logits.detach().clone(), torch.random.get_rng_state()
    e = explain(logits, target, label_smoothing=0.1)
    assert logits.grad is None
    assert not e.value.requires_grad
    assert logits.detach().equal(before)
    assert torch.random.get_rng_state().equal(state)


# --- big inputs -------------------------------------------------------------------------------------------------------


def test_a_big_input_is_cut_and_not_copied() -> None:
    logits, target = torch.randn(256, 50_000), torch.randint(50_000, (256,))
    found: list[Explanation] = []
    peak = peak_bytes(lambda: found.append(explain(logits, target, lang="en")))
    e = found[0]
    of_half = peak_bytes(lambda: explain(logits[:128], target[:128], lang="en"))
    # pieces in float64 and a few rows, however many there are: 118 rows' bytes of 256, and with torch 2.10 136;
    # torch's log_softmax of all of it in float64 would be twice its size
    assert peak < 1.01 * of_half, (peak, of_half)
    assert peak < 0.6 * logits.nbytes, peak
    assert e.shown.classes.shape == (6, 8)
    losses = F.cross_entropy(logits, target, reduction="none")
    assert e.shown.positions[-1] == (int(losses.argmax()),)
    for i, position in enumerate(e.shown.positions):
        assert int(target[position]) in e.shown.classes[i]
        assert int(logits[position].argmax()) in e.shown.classes[i]
    softmax = e.step("softmax")
    assert softmax is not None
    assert softmax.rest is not None
    torch.testing.assert_close(softmax.tensor.sum(1) + softmax.rest, torch.ones(6))
    assert "+49,992" in str(e)
    assert "+250" in str(e)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["plain", "everything"])
def test_what_is_not_shown_is_summed(kind: str, name: str) -> None:
    logits, target = problem(kind, rows=12, classes=40, seed=3)
    options = dict(OPTIONS[name])
    for key, size in (("weight", 40), ("token_weight", 12)):
        if key in options:
            options[key] = torch.rand(size)
    e = explain(logits, target, max_rows=5, max_classes=7, lang="en", **options)
    true = independent(logits, target, options)
    rows = [position[0] for position in e.shown.positions]
    for step in e.steps:
        if step.key == "target" or step.tensor.dim() != 2:
            continue
        whole = true[step.key][rows]
        shown = whole.gather(1, e.shown.classes)
        torch.testing.assert_close(step.tensor.double(), shown, rtol=0, atol=1e-11, msg=step.key)
        if step.rest is not None:
            torch.testing.assert_close(step.rest.double(), whole.sum(1) - shown.sum(1), rtol=0, atol=1e-11)
    last = e.step("loss") or e.step("nll")
    assert last is not None
    assert last.rest is not None
    hidden = [i for i in range(12) if i not in rows]
    assert last.rest.item() == pytest.approx(true["rows"][hidden].sum().item(), abs=1e-6)


def test_rows_that_are_not_shown_and_infinite_make_a_page(tmp_path: Path) -> None:
    logits = torch.zeros(9, 3)
    logits[6:, 0] = -math.inf
    explain(logits, torch.zeros(9).long(), max_rows=3).to_html(tmp_path / "page.html")
    assert '"other_rows":"inf"' in (tmp_path / "page.html").read_text("utf-8")


# --- renderers --------------------------------------------------------------------------------------------------------


def several() -> Iterator[Explanation]:
    for lang, (name, kind) in itertools.product(("en", "zh"), CASES):
        yield explain(*problem(kind), lang=lang, **OPTIONS[name])
    for lang, kind in itertools.product(("en", "zh"), KINDS):
        yield explain(*problem(kind, 20, 30), lang=lang, unit="bit", max_rows=3, max_classes=5)
    for lang in ("en", "zh"):
        yield explain(probs=[[0.1, 0.2, 0.7]], target=torch.tensor([1]), lang=lang, unit="hartley")
        yield explain.kl([[0.5, 0.5], [0.1, 0.9]], [0.9, 0.1], lang=lang)
        yield explain.kl(torch.randn(3, 40).softmax(1), torch.randn(3, 40).softmax(1), lang=lang, unit="bit")
        yield explain.entropy([0.5, 0.25, 0.25], lang=lang, unit="bit")
        yield explain.information([0.5, 0.0, 1e-9], lang=lang)


EXPLANATIONS = list(several())


def written(e: Explanation) -> set[str]:
    """Every number that a renderer may write, as it is written."""
    numbers = {number(float(x)) for step in e.steps for x in step.tensor.flatten()}
    numbers |= {number(float(x)) for step in e.steps if step.rest is not None for x in step.rest.flatten()}
    return numbers | {number(mark.value) for mark in e.landmarks}


NUMBER = re.compile(r"−?(?:\d+\.\d{3,4}(?:e−?\d+)?|\d+e−?\d+|\binf\b|\bnan\b)")


@pytest.mark.parametrize("i", range(len(EXPLANATIONS)))
def test_every_number_of_the_text_comes_from_a_step(i: int) -> None:
    e = EXPLANATIONS[i]
    known = {text.lstrip("−") for text in written(e)}
    settings_given = {number(value) for value in e.settings.values() if isinstance(value, float)}
    for rendered in (str(e), e.to_markdown().replace("\\", "")):
        body = rendered.rpartition("✓")[0]
        found = [text.lstrip("−") for text in NUMBER.findall(body)]
        assert len(found) > 3
        assert set(found) - known - settings_given == set()


@pytest.mark.parametrize("i", range(len(EXPLANATIONS)))
def test_every_reference_is_the_entry_it_names(i: int) -> None:
    e = EXPLANATIONS[i]
    refs = [ref for step in e.steps for ref in step.numbers.refs]
    assert refs or e.kind == "information"
    for ref in refs:
        step = e.step(ref.step)
        assert step is not None
        assert same(entry(step, ref), ref.value)


def entry(step: Any, ref: Ref) -> float:
    source = step.rest if ref.column == -1 else step.tensor
    for index in (ref.row, None if ref.column == -1 else ref.column):
        source = source if index is None else source[index]
    return float(source)


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


class Cells(HTMLParser):
    """The texts of elements that name the place of their number, and the tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.cells: dict[str, list[str]] = {}
        self.tags: list[str] = []
        self._open: list[str | None] = []
        self._name = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in ("td", "b", "text"):
            self._open.append(dict(attrs).get("data-n"))
        self._name = self._name or tag == "small"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "b", "text"):
            self._open.pop()
        self._name = self._name and tag != "small"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] and not self._name:
            self.cells.setdefault(self._open[-1], []).append(data)


@pytest.mark.parametrize("i", range(len(EXPLANATIONS)))
def test_html_parses_back_to_the_steps(i: int, tmp_path: Path) -> None:
    e = EXPLANATIONS[i]
    e.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert len(page.encode()) <= 150_000
    for html in (fragment(e), page):
        found = Cells(html).cells
        for step in e.steps:
            for place, value in places(step):
                assert {text.strip("[]") for text in found[place]} <= {number(value), number(value, signed=True)}
        for mark in e.landmarks:
            assert found[f"mark.{mark.key}::"] == [number(mark.value)]
    assert "script" not in Cells(fragment(e)).tags
    assert not re.search(r"https?://|\bsrc=|@import", page)


def places(step: Any) -> Iterator[tuple[str, float]]:
    if step.tensor.dim() == 2:
        for i, row in enumerate(step.tensor.tolist()):
            yield from ((f"{step.key}:{i}:{k}", x) for k, x in enumerate(row))
            if step.rest is not None:
                yield f"{step.key}:{i}:-1", float(step.rest[i])
    elif step.tensor.dim() == 1:
        yield from ((f"{step.key}:{i}:", x) for i, x in enumerate(step.tensor.tolist()))
    else:
        yield f"{step.key}::", float(step.tensor)


def columns(line: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 9),
    classes=st.integers(1, 20),
    names=st.booleans(),
    lang=st.sampled_from(["en", "zh"]),
    scale=st.sampled_from([1e-6, 1.0, 1e4, 1e30]),
    max_classes=st.integers(2, 20),
    data=st.data(),
)
def test_text_fits_100_columns(
    rows: int, classes: int, names: bool, lang: str, scale: float, max_classes: int, data: st.DataObject
) -> None:
    labels = data.draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows))
    class_names = data.draw(st.lists(st.text(), min_size=classes, max_size=classes)) if names else None
    logits = torch.randn(rows, classes, dtype=torch.float64) * scale
    e = explain(logits, torch.tensor(labels), lang=lang, class_names=class_names, max_classes=max_classes)
    lines = str(e).split("\n")
    assert max(map(columns, lines)) <= 100
    assert all(c.isprintable() for line in lines for c in line)
    assert e.agrees, e.check
    json.dumps(e.to_dict(), allow_nan=False)


def test_rich_shows_the_same_numbers() -> None:
    from rich.console import Console

    logits, target = problem()
    target[1] = -100
    e = explain(logits, target, lang="en", class_names=[f"[bold]{i}" for i in range(6)])
    console = Console(width=100, force_terminal=True, record=True, file=io.StringIO())
    console.print(e)
    text = console.export_text()
    assert "[bold]3" in text  # no markup of ours
    assert set(NUMBER.findall(str(e).rpartition("✓")[0])) <= set(NUMBER.findall(text))
    assert "× 1" in text


def test_markdown_is_escaped() -> None:
    logits, target = problem()
    names = ["a|b", "*c*", "<script>", "[x](y)", "`d`", "_e_"]
    text = explain(logits, target, class_names=names, lang="en").to_markdown()
    assert "a\\|b" in text
    assert not re.search(r"(?<!\\)<script>", text)


def test_dict_is_strict_json_and_complete() -> None:
    e = explain(*problem(), lang="en")
    data = json.loads(json.dumps(e.to_dict(), allow_nan=False))
    assert [step["key"] for step in data["steps"]] == [step.key for step in e.steps]
    assert data["value"] == e.value.item()
    assert torch.tensor(data["steps"][1]["table"]["values"], dtype=torch.float64).equal(e.steps[1].tensor)
    assert (data["format"], data["unit"]) == (1, "nat")


def frame(table: dict) -> "pandas.DataFrame":
    return pandas.DataFrame(table["values"], index=table["rows"], columns=table["columns"])


EXPLAINED = {
    "names": lambda: explain(Z, Y, class_names=["cat", "dog", "owl", "fox", "cow", "hen"]),
    "options": lambda: explain(Z, Y, **OPTIONS["everything"], unit="bit"),
    "axes": lambda: explain(torch.randn(2, 3, 2), torch.ones(2, 2).long(), reduction="none"),
    "one row": lambda: explain(torch.tensor([1.0, -torch.inf, 0.0]), torch.tensor(0)),
    "probabilities": lambda: explain(probs=[[0.2, 0.8]], target=torch.tensor([[0.5, 0.5]]), label_smoothing=0.1),
    "many": lambda: explain(torch.randn(9, 20), torch.arange(9), max_rows=3, max_classes=4),
    "kl": lambda: explain.kl([[0.0, 1.0], [0.5, 0.5]], [[0.1, 0.9], [1.0, 0.0]], unit="bit"),
    "entropy": lambda: explain.entropy(torch.full((8, 30), 1 / 30)),
    "information": lambda: explain.information(0.5, unit="hartley"),
}


@pytest.mark.parametrize("make", EXPLAINED.values(), ids=EXPLAINED.keys())
def test_steps_are_tables_that_pandas_loads(make: Callable[[], Explanation]) -> None:
    e = make()
    data = json.loads(json.dumps(e.to_dict(), allow_nan=False))
    names = list(map(len, e.shown.names()))
    classes = frame(data["classes"])
    assert classes.to_numpy().tolist() == e.shown.classes.tolist()
    assert len(data["positions"]) == len(data["ignored"]) == names[0]
    for found, step in zip(data["steps"], e.steps, strict=True):
        assert found == json.loads(json.dumps(step.to_dict()))
        assert (found["table"] is None) == (step.tensor.dim() == 0) == (found["value"] is not None)
        if step.tensor.dim():
            table = frame(found["table"]).astype(float)
            assert list(table.index) == list(classes.index)
            assert list(table.columns) == (list(classes.columns) if step.tensor.dim() == 2 else [step.key])
            shown = torch.tensor(table.to_numpy().tolist(), dtype=torch.float64).reshape(step.tensor.shape)
            assert torch.equal(shown.nan_to_num(), step.tensor.double().nan_to_num())
            assert torch.equal(shown.isinf(), step.tensor.double().isinf())
        else:
            assert float(found["value"]) == step.tensor.item()


def test_tables_have_names_and_units() -> None:
    def table(e: Explanation, key: str) -> tuple:
        found = next(step for step in e.to_dict()["steps"] if step["key"] == key)
        return found["unit"], found["table"]["rows"], found["table"]["columns"]

    z = torch.tensor([[1.0, 2.0, 3.0]] * 2)
    named = explain(z, torch.tensor([0, -100]), class_names=["cat", "dog", "owl"], unit="hartley")
    assert table(named, "softmax") == (None, ["0", "1"], ["cat", "dog", "owl"])
    assert table(named, "log_softmax") == ("nat", ["0", "1"], ["cat", "dog", "owl"])
    assert table(named, "nll") == ("nat", ["0", "1"], ["nll"])
    assert table(named, "hartley") == ("hartley", ["0", "1"], ["hartley"])
    assert named.to_dict()["ignored"] == [False, True]
    few = explain(z, torch.tensor([0, 1]), max_classes=2)
    assert table(few, "softmax") == (None, ["0", "1"], ["#1", "#2"])
    assert few.to_dict()["classes"]["values"] == [[2, 0], [2, 1]]
    softmax = few.step("softmax")
    assert softmax is not None
    assert softmax.to_dict()["others"] == pytest.approx(z.softmax(1)[[0, 1], [1, 0]].tolist())
    grid = explain(torch.zeros(1, 3, 2), torch.zeros(1, 2).long())
    assert table(grid, "max") == ("nat", ["0, 0", "0, 1"], ["max"])
    assert table(explain.entropy([0.5, 0.5], unit="bit"), "information") == ("bit", ["0"], ["0", "1"])
    assert table(explain.kl([0.5, 0.5], [0.9, 0.1], unit="bit"), "kl_terms") == ("bit", ["0"], ["0", "1"])


def test_every_logarithm_has_a_unit() -> None:
    plain = {"target", "raw", "exp", "sum", "softmax", "probabilities", "tau", "weight", "token_weight", "denominator"}
    for make in EXPLAINED.values():
        for step in make().steps:
            assert (step.unit is None) == (step.key in plain | {"gradient", "p", "q"})


def test_plot_keeps_its_artists() -> None:
    from matplotlib.figure import Figure

    logits, target = problem()
    display = crossentropy.ExplanationDisplay(explain(logits, target, lang="en")).plot()
    assert display.im_ is not None
    softmax = explain(logits, target).step("softmax")
    assert softmax is not None
    array = display.im_.get_array()
    assert array is not None
    assert torch.tensor(array.data).equal(softmax.tensor)
    assert [text.get_text() for text in display.text_] == [number(x) for x in softmax.tensor.flatten().tolist()]
    assert [box.get_x() + 0.48 for box in display.boxes_] == pytest.approx(target.tolist())
    axes = Figure().subplots()
    assert explain(logits, target, lang="en").plot(axes) is axes
    p, q = (torch.tensor(p, dtype=torch.float64) for p in ([0.5, 0.3, 0.2], [0.2, 0.3, 0.5]))
    bars = crossentropy.ExplanationDisplay(explain.kl(p, q, lang="en")).plot().bars_
    own, gap, surplus = (sum(bar.get_width() * bar.get_height() for bar in bar_set) for bar_set in bars)
    assert own + gap == pytest.approx(information.cross_entropy(p, q).item())
    assert own + surplus == pytest.approx(information.entropy(p).item())
    assert crossentropy.ExplanationDisplay(explain.information([0.5, 0.25], lang="en")).plot().bars_


def drawn(e: Explanation) -> list[str]:
    """The texts of a figure, which is drawn: a glyph that no font has is warned of, and a warning is an error."""
    from matplotlib.text import Text

    figure = crossentropy.ExplanationDisplay(e).plot().figure_
    figure.canvas.draw()
    return [text for artist in figure.findobj(Text) if (text := artist.get_text())]


def explanations(names: list[str] | None) -> list[Explanation]:
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.3, 0.5])
    return [
        explain(torch.eye(3), torch.tensor([0, 1, 2]), lang="zh", class_names=names),
        explain(torch.eye(3), torch.tensor([0, 1, 2]), lang="zh", class_names=names, max_classes=2),
        explain.kl(p, q, lang="zh", class_names=names),
        explain.information(p, lang="zh", class_names=names),
    ]


@pytest.mark.parametrize("names", [None, ["猫", "dog", "🐦"]], ids=["indices", "names"])
def test_a_figure_without_a_chinese_font_is_in_english(
    names: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib import font_manager

    own = [font for font in font_manager.fontManager.ttflist if font.name in ("DejaVu Sans", "cmr10")]
    last_resort = [font for font in font_manager.fontManager.ttflist if "Last Resort" in font.name]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own + last_resort)
    for e in explanations(names):
        texts = drawn(e)
        assert all(character < "\u2e80" for character in "".join(texts)), texts
        assert e.titles["en"] in texts
        assert {"class", "outcome"} & set(texts)
        if names:  # "dog" can be shown; the others are their indices
            assert any("dog" in text for text in texts)
            assert any(re.match(r"[02]\b", text) for text in texts)


def make_font(path: Path, family: str, characters: str) -> None:
    """A font file in which each of some characters is a square."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    for draw, corner in zip((pen.moveTo, pen.lineTo, pen.lineTo, pen.lineTo), ((0, 0), (0, 900), (900, 900), (900, 0))):
        draw(corner)
    pen.closePath()
    square, names = pen.glyph(), [".notdef", *(f"u{ord(c):X}" for c in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(c): f"u{ord(c):X}" for c in characters})
    builder.setupGlyf(dict.fromkeys(names, square))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)


def test_a_figure_finds_the_fonts_that_have_its_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import font_manager

    words = "".join(text for pair in _words.WORDS.values() for text in pair)
    names = ["𓀀", "dog", "𓀁"]
    own = [font for font in font_manager.fontManager.ttflist if font.name == "DejaVu Sans"]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    for family, characters in (("Square Latin", "abc"), ("Square Words", words), ("Square Names", "".join(names))):
        path = tmp_path / f"{family}.ttf"
        make_font(path, family, "".join(sorted(set(characters))))
        font_manager.fontManager.addfont(path)
    for e in explanations(names):
        texts = drawn(e)
        assert e.titles["zh"] in texts
        assert all(any(name in text for text in texts) for name in names[: 2 if e.shown.hidden_classes else 3])
        display = crossentropy.ExplanationDisplay(e).plot()
        assert display.ax_.title.get_fontfamily()[-2:] == ["Square Words", "Square Names"]


# --- quantities -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["nat", "bit", "hartley"])
def test_quantities(unit: Any) -> None:
    p, q = torch.tensor([0.5, 0.5, 0.0]).double(), torch.tensor([0.25, 0.5, 0.25]).double()
    base = {"nat": math.e, "bit": 2, "hartley": 10}[unit]
    kl = explain.kl(p, q, unit=unit, lang="en")
    assert kl.agrees
    assert kl.value.item() == pytest.approx(0.5 * math.log(2, base))
    both = kl.step("cross_entropy")
    own = kl.step("entropy")
    assert both is not None
    assert own is not None
    assert both.tensor.item() == pytest.approx(own.tensor.item() + kl.value.item())
    assert own.tensor.item() == pytest.approx(math.log(2, base))
    assert explain.entropy(p, unit=unit).value.item() == pytest.approx(math.log(2, base))
    assert explain.information(q, unit=unit).value.tolist() == pytest.approx([-math.log(x, base) for x in q.tolist()])
    assert {mark.key: mark.value for mark in kl.landmarks}["reverse"] == math.inf


def test_quantities_along_another_axis() -> None:
    p = torch.randn(4, 3).double().softmax(0)
    assert explain.entropy(p, dim=0).value.equal(information.entropy(p, dim=0))
    assert explain.kl(p, p.flip(1), dim=0).agrees
    terms = explain.entropy(p, dim=0).step("entropy_terms")
    assert terms is not None
    torch.testing.assert_close(terms.tensor, (-p * p.log()).T)


# --- differences ------------------------------------------------------------------------------------------------------

Z, Y = problem()
CAUSES: dict[str, tuple[dict[str, Any], str | None]] = {
    "none": ({}, None),
    "softmax": ({"input": Z.softmax(1)}, "logits"),
    "log_softmax": ({"input": Z.log_softmax(1)}, "logits"),
    "sigmoid": ({"input": Z.sigmoid()}, "logits"),
    "relu": ({"input": Z.relu()}, "logits"),
    "scale": ({"input": Z / 0.07}, "logits"),
    "shift": ({"input": Z + 3}, "logits"),
    "entries": ({"input": Z.flip(1)}, "logits"),
    "off_by_one": ({"target": torch.where(Y > 0, Y, 5) - 1}, "target"),
    "labels": ({"target": torch.tensor([0, 0, 0, 0])}, "target"),
    "ignored": ({"ignore_index": int(Y[0])}, "target"),
    "path": ({"target": F.one_hot(Y, 6).double()}, "target"),
    "shape": ({"input": Z[:3], "target": Y[:3]}, "target"),
    "weight": ({"weight": torch.linspace(1.0, 2.0, 6)}, "weight"),
    "tau": ({"label_smoothing": 0.1}, "tau"),
    "z_loss": ({"z_loss": 0.1}, "z_loss"),
    "token_weight": ({"token_weight": torch.ones(4)}, "token_weight"),
    "raw": ({"softcap": 3.0}, "raw"),
    "denominator": ({"denominator": 9.0}, "denominator"),
    "reduction": ({"reduction": "sum"}, "denominator"),
}


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("cause", CAUSES)
def test_the_first_difference_and_its_cause(cause: str, lang: str) -> None:
    changed, step = CAUSES[cause]
    y = torch.where(Y > 0, Y, 5) if cause == "off_by_one" else Y
    a = explain(Z, y, lang=lang)
    b = explain(**{"input": Z, "target": y, **changed}, lang=lang)
    found = explain.diff(a, b)
    assert found.cause == cause
    assert found.step == step
    assert str(found) == found.message
    assert json.dumps(found.to_dict(), allow_nan=False)
    if cause in ("log_softmax", "shift"):
        assert ("all the same" if lang == "en" else "同为") in found.message
    if cause in ("softmax", "log_softmax"):
        assert explain.diff(b, a).cause == f"{cause}_reversed"


def test_difference_of_other_things() -> None:
    kl = explain.kl([0.5, 0.5], [0.9, 0.1])
    assert explain.diff(kl, explain.kl([0.5, 0.5], [0.8, 0.2])).step == "q"
    with pytest.raises(ValueError, match="expected two of the same kind"):
        explain.diff(kl, explain(Z, Y))
    with pytest.raises(TypeError, match=r"expected a crossentropy\.Explanation"):
        explain.diff(kl, 1.83)  # pyright: ignore[reportArgumentType]


# --- words and errors -------------------------------------------------------------------------------------------------


def test_every_word_is_in_both_languages() -> None:
    for key, (english, chinese) in _words.WORDS.items():
        assert fields(english) == fields(chinese), key
        assert bool(english) == bool(chinese), key
        assert not re.search("[\u4e00-\u9fff]", english), key
        known = re.fullmatch(r"(log_)?softmax|z-loss|\+\{count\}|\{where\}：|\(.*\) or more", chinese)
        assert not chinese or known or re.search("[\u4e00-\u9fff]|λ|tanh", chinese), key
        assert not re.search("[\u4e00-\u9fff][,;:?(]|[,;:?)][\u4e00-\u9fff]", chinese), f"{key}: ASCII punctuation"


def fields(text: str) -> list[tuple[str, str]]:
    return sorted((field, spec or "") for _, field, spec, _ in string.Formatter().parse(text) if field)


def test_every_word_is_used_and_every_one_used_is_there() -> None:
    """Keys are literals, but for those that a step, a landmark or an option makes of its own name."""
    used = set()
    for file in (ROOT / "src/crossentropy/_explain").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                used.add(node.value)
    loose = (
        "mark.",
        "diff.",
        "title.",
        "given.",
        "file.",
        "cli.",
        "argparse.",
        "figure.",
        "page.",
        "legend.",
        "example.",
    )
    for key in _words.WORDS:
        base = key.removesuffix(".note")
        tail = base.partition(".")[2]
        tails = {tail, tail.partition(".")[0], tail.rpartition(".")[2]}
        assert base in used or (base.startswith(loose) and tails & (used | LATE)), key


LATE = {  # parts of keys that are computed: reversed causes, options of the command, kinds of numbers
    "softmax_reversed", "log_softmax_reversed", "label_smoothing", "z_loss", "softcap", "logit_scale", "denominator",
    "no_int", "no_float", "same_value", "values",
}  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "lang"),
    [
        ({"LC_ALL": "zh_CN.UTF-8"}, "zh"),
        ({"LC_ALL": "", "LANG": "zh_TW.UTF-8"}, "zh"),
        ({"LC_ALL": "de_DE.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, "zh"),
    ],
)
def test_language_is_that_of_the_locale(variables: dict[str, str], lang: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert explain(Z, Y).lang == lang


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no target": ({"input": Z}, "target is missing"),
    "nothing": ({"target": Y}, "none was given of input (logits), probs and hidden"),
    "two": ({"input": Z, "probs": Z.softmax(1), "target": Y}, "input and probs were given"),
    "no head": ({"hidden": Z, "target": Y}, "hidden and linear_weight go together"),
    "head alone": ({"input": Z, "linear_weight": Z, "target": Y}, "hidden and linear_weight go together"),
    "no distribution": ({"probs": Z, "target": Y}, "expected probabilities"),
    "softcap on probs": ({"probs": Z.softmax(1), "target": Y, "softcap": 2.0}, "softcap is 2.0: it changes logits"),
    "label": ({"input": Z, "target": Y + 5}, "expected a class in [0, 6)"),
    "shape": ({"input": Z, "target": Y[:2]}, "target has shape (2,)"),
    "no rows": ({"input": Z[:0], "target": Y[:0]}, "there is no row to explain"),
    "max_rows": ({"input": Z, "target": Y, "max_rows": 0}, "max_rows is 0, expected a whole number ≥ 1"),
    "max_classes": ({"input": Z, "target": Y, "max_classes": 1}, "max_classes is 1, expected a whole number ≥ 2"),
    "names": ({"input": Z, "target": Y, "class_names": ["a"]}, "class_names has 1 names, expected 6"),
    "one name": ({"input": Z, "target": Y, "class_names": "abcdef"}, "a sequence of strings"),
    "language": ({"input": Z, "target": Y, "lang": "fr"}, "lang is 'fr', expected 'en' or 'zh'"),
    "unit": ({"input": Z, "target": Y, "unit": "ban"}, "unit is 'ban'"),
    "integers": ({"input": Z.long(), "target": Y}, "expected a real floating dtype"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments(case: str) -> None:
    keywords, message = WRONG[case]
    with pytest.raises((ValueError, TypeError, IndexError), match=re.escape(message)):
        explain(**keywords)


def test_wrong_distributions() -> None:
    with pytest.raises(ValueError, match="sums to"):
        explain.entropy([0.5, 0.6])
    with pytest.raises(ValueError, match="expected an axis"):
        explain.entropy([0.5, 0.5], dim=1)
    with pytest.raises(ValueError, match="expected the same"):
        explain.kl([0.5, 0.5], [0.2, 0.3, 0.5])
    with pytest.raises(ValueError, match="at least one outcome"):
        explain.information([])
