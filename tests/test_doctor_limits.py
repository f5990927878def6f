"""The static analysis is linear in what it reads; it says what it gives up; and remembers only what holds again."""

import ast
import itertools
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crossentropy.cli import main
from crossentropy.doctor._source import Examined, _budget, _operations, examine
from crossentropy.doctor._source._expressions import Expressions

HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"
MISTAKE = "nn.CrossEntropyLoss(label_smoothing=10)\n"
LIMIT = 15
"""Times what Python takes to read ten thousand lines, for one file; what takes longest here takes 6 of them."""


def chain(levels: int, body: str = "f{next}(f{next}(x))", last: str = "return x") -> str:
    """Functions, each of which calls the next twice."""
    calls = (f"def f{i}(x):\n    return {body.format(next=i + 1)}\n" for i in range(levels))
    return HEAD + "".join(calls) + f"def f{levels}(x):\n    {last}\n"


@contextmanager
def in_time() -> Iterator[None]:
    """Seconds say nothing of another processor: what a file takes is compared with what this one just took to read."""
    lines = "".join(f"x{i} = torch.randn(3, {i})\n" for i in range(10_000))
    begin = time.process_time()
    assert sum(1 for _ in ast.walk(ast.parse(lines))) == 100_001
    middle = time.process_time()
    yield
    assert time.process_time() - middle < LIMIT * (middle - begin)


TAIL = "z, y = torch.randn(4, 3), torch.arange(4) % 3\nloss = F.cross_entropy(f0(z), y)\n"


def evaluations(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many expressions are evaluated to follow a program to its end."""
    (folder / "t.py").write_text(text, encoding="utf-8")
    count, examined = counted_evaluations(folder, monkeypatch)
    assert not examined.passed
    return count


def counted_evaluations(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Examined]:
    """How many expressions are evaluated to examine a folder."""
    count = 0
    evaluate = Expressions.evaluate

    def counted(self: Expressions, *arguments: object) -> object:
        nonlocal count
        count += 1
        return evaluate(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Expressions, "evaluate", counted)
        examined = examine([folder])
    return count, examined


@pytest.mark.parametrize(
    ("body", "last"),
    [
        ("f{next}(f{next}(x))", "return x"),
        ("f{next}(x) + f{next}(x)", "return x.relu()"),
        ("[f{next}(x), f{next}(x)][0]", "return x"),
        ("f{next}(nn.Linear(3, 3)(f{next}(x)))", "return x"),
        ("f{next}(x if x.sum() else f{next}(x))", "return unknown(x)"),
    ],
)
def test_time_is_linear_in_how_deep_calls_are(
    body: str, last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each further level costs as much as the one before it: at 12 levels what it did at 8, and not sixteen times that.

    Each function is followed at most twice: once for each kind of argument it meets, the first time and when it is
    given back what the next has made of it; functions that have been found cheap are followed again (40 steps each).
    """
    counts = [evaluations(tmp_path, chain(n, body, last) + TAIL, monkeypatch) for n in (8, 12, 16, 20)]
    steps = [b - a for a, b in itertools.pairwise(counts)]
    assert max(steps) <= 2 * min(steps)


def test_forty_levels_come_to_an_end(tmp_path: Path) -> None:
    text = chain(40) + MISTAKE
    (tmp_path / "t.py").write_text(text + "f0(torch.randn(4, 3))\n", "utf-8")
    with in_time():
        examined = examine([tmp_path])
    assert [finding.rule for finding in examined.findings] == ["label-smoothing-range"]
    assert not examined.passed


def test_time_is_linear_in_the_number_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these files takes 60,000 steps; together they take what is there for a tree, and each is looked at."""
    text = HEAD + MISTAKE + HOSTILE["calls that multiply"] + "criterion = nn.MSELoss()\n"
    for number in range(180):
        (tmp_path / f"t{number}.py").write_text(text, encoding="utf-8")
    count, examined = counted_evaluations(tmp_path, monkeypatch)
    together = max(_budget.FEWEST, 180 * _budget.PER_FILE) + 2 * 180 * _budget.LEAST
    assert together / 2 < count < together
    assert len(examined.findings) == 180


def test_a_library_does_not_hide_the_program_that_calls_it(tmp_path: Path) -> None:
    """What takes too long in another file is not known; the lines after it are followed all the same."""
    (tmp_path / "library.py").write_text(HEAD + HOSTILE["calls that multiply"], encoding="utf-8")
    text = f"{HEAD}import library\nmodel = library.f0(nn.Linear(4, 3))\n{MISTAKE}"
    (tmp_path / "train.py").write_text(text, encoding="utf-8")
    examined = examine([tmp_path / "train.py", tmp_path / "library.py"])
    assert [finding.rule for finding in examined.findings] == ["label-smoothing-range"]
    assert [Path(file.path).name for file in examined.passed] == ["library.py"]


def test_what_leads_to_no_loss_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as the samples that a notebook draws at its end, from functions of its own or of other files."""
    (tmp_path / "models.py").write_text(HEAD + HOSTILE["calls that multiply"], encoding="utf-8")
    text = f"{HEAD}import matplotlib.pyplot as plt\nfrom models import f0\n{MISTAKE}losses = []\n"
    end = "for image in data:\n    shown = f0(image)\nf0(1)\nplt.plot(losses)\n"
    (tmp_path / "t.py").write_text(text, encoding="utf-8")
    less, _ = counted_evaluations(tmp_path, monkeypatch)
    (tmp_path / "t.py").write_text(text + end, encoding="utf-8")
    more, examined = counted_evaluations(tmp_path, monkeypatch)
    assert more == less
    assert len(examined.findings) == 1


HOSTILE = {
    "calls that multiply": "".join(
        f"def f{i}(x):\n    return [{', '.join(f'f{j}([x, {j}])' for j in range(12))}]\n" for i in range(12)
    )
    + "f0(torch.randn(3))\n",
    "arguments that grow": chain(24, "f{next}([f{next}(x), x])")[len(HEAD) :] + "f0(torch.randn(3))\n",
    "a long list": f"x = [{', '.join(map(str, range(100_000)))}]\n",
    "a long table": f"x = {{{', '.join(f'{i}: {i}' for i in range(50_000))}}}\n",
    "a long text": f"x = '{'a' * 1_500_000}'\ny = x.replace('a', 'bb')\n",
    "ten thousand lines": "".join(f"x{i} = torch.randn(3, {i})\n" for i in range(10_000)),
    "four thousand functions": "".join(
        f"def f{i}(x):\n    return F.cross_entropy(x, f{i - 1}(x))\n" for i in range(4000)
    ),
    "ten thousand branches": "".join(f"if a{i}: x = nn.Linear(3, {i})\nelse: x = 1\n" for i in range(5000)),
    "a long elif": "if a == 0:\n  x = 0\n" + "".join(f"elif a == {i}:\n  x = {i}\n" for i in range(1, 3000)),
    "a deep expression": f"x = {' + '.join('a' * 900)}\n",
    "a long chain": f"x = a{'.b()' * 3000}\n",
    "a long and": f"x = {' and '.join('a' * 5000)}\n",
    "a sum of many losses": "z = nn.Linear(3, 4)(torch.randn(5, 3))\nl, r = 0, []\n"
    + "l = l + F.cross_entropy(z, y)\nr.append(l)\n" * 1500
    + "l.backward()\n",
    "a line of classes": "class A0(nn.Module): pass\n"
    + "".join(f"class A{i}(A{i - 1}): x{i} = 1\n" for i in range(1, 2000))
    + "A1999().x\n" * 200,
    "diamonds of classes": "class A0: pass\nclass B0: pass\n"
    + "".join(f"class A{i}(A{i - 1}, B{i - 1}): pass\nclass B{i}(B{i - 1}, A{i - 1}): pass\n" for i in range(1, 200))
    + "A199().x\n" * 200,
    "decorators": "def d(f): return f\n" + "@d\n" * 1500 + "def g(): pass\n",
    "closures": "def twice(f):\n    def g(x): return f(f(x))\n    return g\nh = lambda x: x\n"
    + "h = twice(h)\n" * 30
    + "h(1)\n",
    "loops in loops": "".join(f"{' ' * i}for x{i} in range(10 ** 9):\n" for i in range(18)) + " " * 18 + "y = x0\n",
    "comprehensions": "x = [i for i in range(64) for j in range(64) for k in range(64) for l in range(64)]\n",
}  # fmt: skip


def is_parsed(text: str) -> bool:
    """Whether Python parses it. 3.12.1 refuses deep trees, whatever the limit of recursion."""
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(max(limit, 3000))
        ast.parse(text)
    except RecursionError:
        return False
    finally:
        sys.setrecursionlimit(limit)
    return True


@pytest.mark.parametrize("name", HOSTILE)
def test_no_file_takes_long_or_hides_what_comes_before(name: str, tmp_path: Path) -> None:
    text = HEAD + MISTAKE + HOSTILE[name]
    (tmp_path / "t.py").write_text(text, encoding="utf-8")
    with in_time():
        examined = examine([tmp_path])
    if is_parsed(text):
        assert [finding.rule for finding in examined.findings] == ["label-smoothing-range"]
    else:
        assert [file.reason for file in examined.passed] == ["nested too deeply"]


TANGLES = {
    "imports of each other": {"a.py": f"import b\n{HEAD}{MISTAKE}", "b.py": "import a\nfrom a import *\n"},
    "import of itself": {"a.py": f"import a\nfrom a import x\n{HEAD}{MISTAKE}"},
    "a function that calls itself": {"a.py": f"{HEAD}def f(n):\n    return f(n + 1) + f(n + 2)\nf(0)\n{MISTAKE}"},
    "a sum of many numbers": {"a.py": f"{HEAD}{MISTAKE}x = {' + '.join(['1'] * 900)}\n"},
    "a loop without an end": {"a.py": f"{HEAD}{MISTAKE}rows = [1]\nwhile True:\n    rows += rows\n"},
    "a class that is its own base": {"a.py": f"{HEAD}{MISTAKE}class A: pass\nclass A(A): pass\nA().x.y()\n"},
    "large numbers": {"a.py": f"{HEAD}{MISTAKE}x = 9 ** 9 ** 9 ** 9\ny = 'a' * 10 ** 12\nz = [0] * 10 ** 12\n"},
}


@pytest.mark.parametrize("name", TANGLES)
def test_tangles_come_to_an_end(name: str, tmp_path: Path) -> None:
    for file, text in TANGLES[name].items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    examined = examine([tmp_path])
    assert all(file.partly for file in examined.passed)
    assert [finding.rule for finding in examined.findings] == ["label-smoothing-range"]


def test_a_statement_that_is_nested_too_deeply_hides_no_other(tmp_path: Path) -> None:
    text = f"{HEAD}{HOSTILE['a long chain']}{MISTAKE}"
    (tmp_path / "t.py").write_text(text, encoding="utf-8")
    examined = examine([tmp_path])
    if is_parsed(text):
        assert [finding.rule for finding in examined.findings] == ["label-smoothing-range"]
        assert [file.reason for file in examined.passed] == ["line 4 is nested too deeply to follow"]
    else:
        assert [file.reason for file in examined.passed] == ["nested too deeply"]


def test_what_is_found_does_not_hang_on_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are counted, so that a slow machine gives up where a fast one does."""
    text = "".join(f"x{i} = [{', '.join(map(str, range(1000)))}]\n" for i in range(100))
    (tmp_path / "t.py").write_text(HEAD + text + MISTAKE, encoding="utf-8")
    (given_up,) = examine([tmp_path]).passed
    monkeypatch.setattr(time, "process_time", lambda: 0.0)
    assert examine([tmp_path]).passed == (given_up,)
    assert given_up.reason == "it takes too many steps to follow"


def test_a_file_is_not_charged_for_what_it_imports(tmp_path: Path) -> None:
    (tmp_path / "b.py").write_text(HEAD + HOSTILE["a long list"], encoding="utf-8")
    (tmp_path / "a.py").write_text(f"import b\n{HEAD}{MISTAKE}", encoding="utf-8")
    examined = examine([tmp_path])
    assert [Path(file.path).name for file in examined.passed] == ["b.py"]
    assert [Path(finding.path).name for finding in examined.findings] == ["a.py"]


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_a_file_that_is_given_up_is_named(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "long.py").write_text(HEAD + HOSTILE["a long list"] + "criterion = nn.MSELoss()\n", encoding="utf-8")
    (tmp_path / "broken.py").write_text("def\n", encoding="utf-8")
    assert main(["doctor", ".", "--output-format", form]) == 0
    out, err = capsys.readouterr()
    assert "long.py: examined in part: it takes too many steps to follow" in err
    if form == "text":
        assert "Nothing found in 1 file." in out
        return
    assert "long.py" in out
    assert "broken.py" in out
    if form == "json":
        passed = {file["path"]: file["partly"] for file in json.loads(out)["passed_over"]}
        assert passed == {"long.py": True, "broken.py": False}
    if form == "sarif":
        (told,) = json.loads(out)["runs"][0]["invocations"]
        assert len(told["toolExecutionNotifications"]) == 2


def test_an_error_of_the_doctor_is_said_and_hides_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("integer modulo by zero")

    monkeypatch.setitem(_operations.OPERATIONS, "tanh", fail)
    (tmp_path / "a.py").write_text(f"{HEAD}torch.randn(3).tanh()\nloss = nn.MSELoss()\n", encoding="utf-8")
    (tmp_path / "b.py").write_text(HEAD + MISTAKE, encoding="utf-8")
    examined = examine([tmp_path])
    assert len(examined.findings) == 1
    assert [(Path(file.path).name, "please report it" in file.reason) for file in examined.passed] == [("a.py", True)]


# --- what is remembered of a call holds only where the same would come of it ------------------------------------------

LONG = (
    "    w = [x.abs(), x.abs(), x.abs(), x.abs(), x.abs(), x.abs(), x.abs(), x.abs(), x.abs(), x.abs(), x.abs()]\n" * 4
)
"""Long enough that a call is looked up."""
DATA = "y = torch.arange(4) % 3\nmodel = nn.Linear(5, 3)\ndef batch(): return model(torch.randn(4, 5))\n"
SOFTMAX = "softmax-before-cross-entropy"
REMEMBERED = {
    "other arguments": (
        f"def f(x):\n{LONG}    return F.cross_entropy(x, y)\nf(batch())\nf(batch())\nf(batch().softmax(1))\n",
        {SOFTMAX},
    ),
    "a name that has changed": (
        f"act = nn.Identity()\ndef f(x):\n{LONG}    return act(x)\nF.cross_entropy(f(batch()), y)\n"
        "act = nn.Softmax(1)\nF.cross_entropy(f(batch()), y)\n",
        {SOFTMAX},
    ),
    "an attribute that has changed": (
        f"class M(nn.Module):\n  def __init__(self):\n    super().__init__()\n    self.act = None\n"
        f"  def forward(self, x):\n{LONG}    return x.softmax(1) if self.act else x\n"
        "m = M()\nF.cross_entropy(m(batch()), y)\nm.act = True\nF.cross_entropy(m(batch()), y)\n",
        {SOFTMAX},
    ),
    "an attribute of what a function reads": (
        f"class C:\n  act = None\nc = C()\nc.act = False\ndef f(x):\n{LONG}    return x.softmax(1) if c.act else x\n"
        "F.cross_entropy(f(batch()), y)\nc.act = True\nF.cross_entropy(f(batch()), y)\n",
        {SOFTMAX},
    ),
    "a list that a function fills": (
        f"rows = []\ndef f(x):\n{LONG}    rows.append(nn.Softmax(1))\nf(y)\nf(y)\n"
        "F.cross_entropy(rows[1](batch()), y)\n",
        {SOFTMAX},
    ),
    "an argument that a function changes": (
        f"class B: pass\ndef f(b, x):\n{LONG}    b.z = x.softmax(1)\n"
        "a, b = B(), B()\na.z = b.z = batch()\nf(a, batch())\nf(b, batch())\nF.cross_entropy(b.z, y)\n",
        {SOFTMAX},
    ),
    "a global name": (
        f"def f(x):\n    global z\n{LONG}    z = x.softmax(1)\nz = batch()\nf(batch())\nz = batch()\nf(batch())\n"
        "F.cross_entropy(z, y)\n",
        {SOFTMAX},
    ),
    "gradients that are switched off": (
        f"def f(x):\n{LONG}    return F.cross_entropy(model(x), y)\nf(torch.randn(4, 5)).backward()\n"
        "with torch.no_grad():\n    loss = f(torch.randn(4, 5))\nloss.backward()\n",
        {"detached-loss"},
    ),
    "new objects are new": (
        f"def f(x):\n{LONG}    return {{'act': nn.Identity()}}\na, b = f(y), f(y)\na['act'] = nn.Softmax(1)\n"
        "F.cross_entropy(b['act'](batch()), y)\n",
        set(),
    ),
    "the argument itself comes back": (
        f"def f(m, x):\n{LONG}    return m\na, b = {{'z': batch()}}, {{'z': batch()}}\nf(a, y)\n"
        "f(b, y)['z'] = batch().softmax(1)\nF.cross_entropy(b['z'], y)\n",
        {SOFTMAX},
    ),
    "unknown sizes are not the same": (
        f"def f(x):\n{LONG}    return x[1:], x[:-1]\n"
        "for ids in tokens:\n    a, b = f(ids)\n    c, d = f(ids)\n"
        "    logits = nn.Linear(8, 9)(nn.Embedding(9, 8)(b))\n    F.cross_entropy(logits, a)\n",
        set(),
    ),
    "losses are counted each time": (
        f"def f(x):\n{LONG}    return F.cross_entropy(model(x), y)\n"
        "losses = []\nfor _ in data:\n    loss = f(torch.randn(4, 5))\n    loss.backward()\n    losses.append(loss)\n",
        {"loss-graph-retained"},
    ),
    "a loss in a function that is called in one step": (
        f"def f(x):\n{LONG}    return F.cross_entropy(model(x), y)\n"
        "opt = torch.optim.SGD(model.parameters(), 1)\nfor a, b in data:\n    loss = f(a) + f(b)\n"
        "    opt.zero_grad()\n    loss.backward()\n    opt.step()\n",
        set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REMEMBERED)
def test_a_call_is_remembered_only_where_it_would_do_the_same(name: str, tmp_path: Path) -> None:
    text, expected = REMEMBERED[name]
    (tmp_path / "t.py").write_text(HEAD + DATA + text, encoding="utf-8")
    examined = examine([tmp_path])
    assert {finding.rule for finding in examined.findings if finding.confidence != "info"} == expected
    assert not examined.passed
