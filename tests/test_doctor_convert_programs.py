"""Whole programs of several files: the old one and the new are run, and compared.

An old program is run with the loss that it should have had: what enters a cross entropy is what its softmax was
applied to. So both train in the same way, and all that they print agrees: losses, predictions, probabilities.
"""

import re
import runpy
import sys
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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PROGRAMS)
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
