"""Whole programs of several files: the old one and the new are run, and compared.

An old program is run with the loss that it should have had: what enters a cross entropy is what its softmax was
applied to. So both train in the same way, and all that they print agrees: losses, predictions, probabilities.
"""

import itertools
import re
import runpy
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from crossentropy.doctor._convert import Conversion, convert_files
from crossentropy.doctor._source import examine
from sampling import some

FOLDER = Path(__file__).parent / "convert_programs"
PROGRAMS = sorted(path.name for path in FOLDER.iterdir())
START = ("train.py", "trainer.py", "main.py", "distill.py")
CLOSE = {"rel": 2e-3, "abs": 2e-4}  # five digits are printed at times, of float32 through a few steps of training


def read(name: str) -> dict[str, str]:
    root = FOLDER / name
    return {str(path.relative_to(root)): path.read_text("utf-8") for path in sorted(root.rglob("*.py"))}


def converted(sources: dict[str, str], **options: bool) -> tuple[dict[str, Conversion], dict[str, str]]:
    found = convert_files(sources, **({"unsafe": True, "package": False} | options))
    after = {path: one.source for path, one in found.items()}
    again = convert_files(after, **({"unsafe": True, "package": False} | options))
    assert not any(one.changes for one in again.values())
    return found, after


def write(sources: dict[str, str], folder: Path) -> None:
    for path, text in sources.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")


def printed(
    sources: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[float]:
    """The numbers that a program prints."""
    write(sources, folder)
    start = next(name for name in START if name in sources)
    known = {*sys.modules}
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(folder))
        try:
            capsys.readouterr()
            runpy.run_path(str(folder / start), run_name="__main__")
        finally:
            for module in {*sys.modules} - known:
                if str(getattr(sys.modules[module], "__file__", "")).startswith(str(folder)):
                    del sys.modules[module]
    return [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", capsys.readouterr().out)]


@contextmanager
def losses_of_logits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give losses the logits of the softmax, or the sigmoid, that made their input."""
    logits: dict[int, tuple[Tensor, Tensor]] = {}

    def remembering(activation: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(z: Tensor, *arguments: Any, **options: Any) -> Tensor:
            p = activation(z, *arguments, **options)
            logits.setdefault(p.data_ptr(), (z, p))
            return p

        return call

    def of(p: Tensor) -> Tensor | None:
        z = logits.get(p.data_ptr(), (None, p))[0]
        return None if z is None else z.contiguous().as_strided(p.shape, p.stride(), p.storage_offset())

    entropy, squared, nll, binary = F.cross_entropy, F.mse_loss, F.nll_loss, F.binary_cross_entropy_with_logits

    def first(*candidates: Tensor | None) -> Tensor:
        return next(one for one in candidates if one is not None)

    def nll_loss(p: Tensor, y: Tensor, *a: Any, **k: Any) -> Tensor:
        z = of(p)
        return nll(p, y, *a, **k) if z is None or bool((p < 0).any()) else entropy(z, y, *a, **k)

    def mse_loss(p: Tensor, t: Tensor, **k: Any) -> Tensor:
        z = of(p)
        return squared(p, t, **k) if z is None else entropy(z, t.argmax(1), **k)

    with monkeypatch.context() as patch:
        for owner in (torch, F, torch.Tensor):
            for name in ("softmax", "sigmoid"):
                patch.setattr(owner, name, remembering(getattr(owner, name)))
        patch.setattr(F, "cross_entropy", lambda p, *a, **k: entropy(first(of(p), p), *a, **k))
        patch.setattr(F, "nll_loss", nll_loss)
        patch.setattr(F, "mse_loss", mse_loss)
        with_logits = lambda p, *a, **k: binary(first(of(p), p), *a, **k)  # noqa: E731
        patch.setattr(F, "binary_cross_entropy_with_logits", with_logits)
        yield


OTHER_LOSSES = {"focal-mean", "kl-reduction"}
"""Programs whose loss is not one of other logits; tests/test_doctor_convert.py compares what becomes of it."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in OTHER_LOSSES])
def test_a_program_is_what_it_should_have_been(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read(name)
    found, after = converted(before)
    assert any(one.changes for one in found.values())
    assert not any(one.refusals for one in found.values())
    with losses_of_logits(monkeypatch):
        old = printed(before, tmp_path / "old", monkeypatch, capsys)
    new = printed(after, tmp_path / "new", monkeypatch, capsys)
    assert len(old) > 3
    assert new == pytest.approx(old, **CLOSE)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_doctor_is_silent_afterwards(name: str, tmp_path: Path) -> None:
    before = read(name)
    write(before, tmp_path / "old")
    write(converted(before)[1], tmp_path / "new")
    assert (
        [one for one in examine([tmp_path / "old"]).findings if one.confidence != "info"]
        or "nll" in name
        or "column" in name
    )
    assert not examine([tmp_path / "new"]).findings


# Forms of a model and of its use, each with each

HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\nfrom collections import OrderedDict\n\n"
CLASS = """class Net(nn.Module):
    def __init__(self, probs=True, act="softmax"):
        super().__init__()
        self.fc = nn.Linear(5, 5)
        self.probs = probs
{init}

    def forward(self, x):
        z = self.fc(x)
{forward}


{make}
"""
ENDS = {  # what __init__ does, how forward ends, what of the output are probabilities
    "function": ("", "return F.softmax(z, dim=1)", "{}"),
    "layer": ("self.out = nn.Softmax(dim=1)", "p = self.out(z)\nreturn p", "{}"),
    "return by option": ("", "if self.probs:\n    return F.softmax(z, dim=1)\nreturn z", "{}"),
    "name by option": ("", "if self.probs:\n    z = z.softmax(1)\nreturn z", "{}"),
    "expression by option": ("", "return F.softmax(z, dim=1) if self.probs else z", "{}"),
    "not an option": ("", "if not self.probs:\n    return z\nelse:\n    p = torch.softmax(z, dim=1)\nreturn p", "{}"),
    "layer by option": ("self.out = nn.Softmax(dim=1) if probs else nn.Identity()", "return self.out(z)", "{}"),
    "layer by branch": (
        "if act == 'softmax':\n    self.out = nn.Softmax(dim=1)\nelif act == 'tanh':\n    self.out = nn.Tanh()\n"
        "else:\n    self.out = None",
        "if self.out is not None:\n    z = self.out(z)\nreturn z",
        "{}",
    ),
    "layer of a dictionary": (
        "self.out = {'softmax': nn.Softmax(dim=1), 'none': nn.Identity()}[act]",
        "return self.out(z)",
        "{}",
    ),
    "tuple": ("", "return F.softmax(z, dim=1), z * 2", "{}[0]"),
    "end of a tuple": ("", "h = z.relu()\np = F.softmax(z, dim=1)\nreturn h, p", "{}[1]"),
    "dictionary": ("", "return {'h': z, 'p': F.softmax(z, dim=1)}", "{}['p']"),
    "entry": ("", "found = {'h': z}\nfound['p'] = F.softmax(z, dim=1)\nreturn found", "{}['p']"),
    "dict()": ("", "return dict(h=z, p=F.softmax(z, dim=1))", "{}['p']"),
    "sequential": ("self.out = nn.Sequential(nn.Linear(5, 5), nn.Softmax(dim=1))", "return self.out(z)", "{}"),
    "list": (
        "layers = [nn.Linear(5, 5)]\nlayers.append(nn.Softmax(dim=1))\nself.out = nn.Sequential(*layers)",
        "return self.out(z)",
        "{}",
    ),
    "ordered": (
        "self.out = nn.Sequential(OrderedDict([('a', nn.Linear(5, 5)), ('b', nn.Softmax(dim=1))]))",
        "return self.out(z)",
        "{}",
    ),
    "parts": (
        "head = nn.Sequential(nn.Linear(5, 5), nn.Softmax(dim=1))\nself.out = nn.Sequential(nn.Tanh(), head)",
        "return self.out(z)",
        "{}",
    ),
    "two ways": ("", "if x.sum() > 0:\n    return F.softmax(z, dim=1)\nreturn F.softmax(z * 2, dim=1)", "{}"),
    "kept": ("", "p = F.softmax(z, dim=1)\nself.last = p.detach()\nreturn p", "{}"),
    "unknown": ("", "if x.sum() > 1e6:\n    z = F.softmax(z, dim=1)\nreturn z", "{}"),
    "in a loop": ("", "for _ in range(1):\n    z = F.softmax(z, dim=1)\nreturn z", "{}"),
    "changed": ("", "p = F.softmax(z, dim=1)\np *= 1\nreturn p", "{}"),
    "twice": ("self.out = nn.Softmax(dim=1)", "z = z * self.out(z)\nreturn self.out(z)", "{}"),
    "another part": ("", "return z, F.softmax(z, dim=1)", "{}[0]"),
}
STAY = {"unknown", "in a loop", "changed", "another part"}
"""Where nothing is to be done, or would be a guess."""
LAYERS = {"layer by branch", "layer of a dictionary"}
SPENDS = {
    "plain": "model = Net()\np = {}\nloss = F.cross_entropy(p, y)\nshow(p, p.argmax(1))",
    "criterion": "model, c = Net(), nn.CrossEntropyLoss()\nout = {0}\np = {1}\nloss = c(p, y)\nshow(p > 0.2)",
    "function": (
        "def compute(pred, y):\n    show(pred.sum(1))\n    return F.cross_entropy(pred, y)\n"
        "model = Net()\np = {}\nloss = compute(p, y)\nshow(p.max(1)[0])"
    ),
    "module": (
        "class Loss(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.ce = nn.CrossEntropyLoss()\n\n    def forward(self, a, b):\n        return self.ce(a, b)\n"
        "criterion = Loss()\nmodel = Net()\np = {}\nloss = criterion(p, y)\nshow(p[0])"
    ),
    "trainer": (
        "class Trainer:\n    def __init__(self, model, criterion):\n        self.model = model\n"
        "        self.criterion = criterion\n\n    def fit(self, x, y):\n        model = self.model\n"
        "        p = {}\n        show(p.mean(0))\n        return self.criterion(p, y)\n\n"
        "    def predict(self, x):\n        model = self.model\n        return {}\n"
        "trainer = Trainer(Net(), nn.CrossEntropyLoss())\nloss = trainer.fit(x, y)\nshow(trainer.predict(x))"
    ),
    "accuracy": (
        "def accuracy(pred, y):\n    return (pred.argmax(1) == y).float().mean()\n"
        "model = Net()\np = {}\nloss = F.cross_entropy(p, y)\nshow(accuracy(p, y))"
    ),
    "built": (
        "def build():\n    model = Net()\n    return model, nn.CrossEntropyLoss()\n"
        "model, c = build()\np = {}\nloss = c(p, y)\nshow(p.log())"
    ),
    "two models": (
        "if flag:\n    model = Net()\nelse:\n    model = Net(probs=False, act='none')\np = {}\n"
        "loss = F.cross_entropy(p, y)\nshow(p)"
    ),
    "off": "model = Net(False, act='none')\np = {}\nloss = F.cross_entropy(p, y)\nshow(p)",
    "both": (
        "model, plain = Net(), Net(probs=False, act='none')\np = {}\nq = plain(x)\n"
        "loss = F.cross_entropy(p, y)\nshow(p, q if torch.is_tensor(q) else 0)"
    ),
    "several": ("model = Net()\nif flag:\n    p = {}\nelse:\n    p = {}\nloss = F.cross_entropy(p, y)\nshow(p + 1)"),
    "chosen class": ("nets = {'net': Net}\nmodel = nets['net']()\np = {}\nloss = F.cross_entropy(p, y)\nshow(p.exp())"),
    "chosen loss": (
        "model = Net()\nif flag:\n    c = nn.CrossEntropyLoss()\nelse:\n    c = nn.CrossEntropyLoss(weight=None)\n"
        "p = {}\nloss = c(p, y)\nshow(p)"
    ),
    "penalty": "model = Net()\np = {}\nloss = F.cross_entropy(p, y) + (p**2).mean()\nshow(p)",
}


def program(end: str, spend: str) -> str:
    init, forward, of = ENDS[end]
    init, forward = (textwrap.indent(text, "        ") for text in (init, forward))
    whole = "model(x)"
    value = of.format(whole)
    text = SPENDS[spend]
    if "{0}" in text:
        text = text.replace("{0}", whole).replace("{1}", of.format("out"))
    return HEAD + CLASS.format(init=init, forward=forward, make="") + text.replace("{}", value) + "\n"


def seen(source: str) -> tuple[Tensor, list[Tensor]]:
    """The loss of a program, and what it shows."""
    generator = torch.Generator().manual_seed(0)
    shown: list[Tensor] = []
    values: dict[str, Any] = {
        "x": torch.randn(6, 5, generator=generator),
        "y": torch.randint(0, 5, (6,), generator=generator),
        "flag": True,
        "show": lambda *things: shown.extend(torch.as_tensor(one).detach().clone() for one in things),
    }
    torch.manual_seed(0)
    exec(compile(source, "program", "exec"), values)
    return values["loss"].detach(), shown


def stays(end: str, spend: str) -> bool:
    """Whether a model is used in a way in which it has no softmax, may be another, or cannot be followed."""
    chosen, part = "option" in end or end in LAYERS, ENDS[end][2] != "{}"
    return (chosen and spend in ("two models", "off")) or (part and spend in ("both", "several"))


@pytest.mark.parametrize(("end", "spend"), some(itertools.product(ENDS, SPENDS), 71))
def test_forms_of_models_and_of_their_use(end: str, spend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = program(end, spend)
    loss, shown = seen(before)
    with losses_of_logits(monkeypatch):
        ideal, _ = seen(before)
    (conversion,) = converted({"": before})[0].values()
    other, others = seen(conversion.source)
    close = {"rtol": 1e-5, "atol": 1e-6, "equal_nan": True}  # float32, a few roundings on each side
    torch.testing.assert_close(others, shown, **close)
    assert bool(conversion.changes) is not (end in STAY or stays(end, spend))
    torch.testing.assert_close(other, ideal if conversion.changes else loss, **close)
