"""What all tests share: the devices to run on, a fixed seed, and the last lines of a run."""

import os
from collections.abc import Generator
from dataclasses import replace

import pytest
import torch
from hypothesis import settings

import closing
from crossentropy import _planner, _progress

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before anything imports Triton, which reads it then

settings.register_profile("default", deadline=None, max_examples=60, derandomize=True)
settings.register_profile("fuzz", settings.get_profile("default"), max_examples=10_000, derandomize=False)
settings.load_profile("default")

CUDA = [pytest.param("cuda", marks=pytest.mark.cuda)] if torch.cuda.is_available() else []
DEVICES = ["cpu", *CUDA]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return request.param


def pytest_itemcollected(item: pytest.Item) -> None:
    if getattr(getattr(item, "module", None), "DEVICE", "") == "cuda":  # its tests run on a GPU where there is one
        item.add_marker("cuda")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What commands print does not depend on how long they take."""
    monkeypatch.setattr(_progress, "PATIENCE", 600.0)


@pytest.fixture(params=["rows", "classes"])
def sweeps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a head does where there is room for a few rows only: it sweeps over these rows, or over classes."""
    if request.param == "rows":
        monkeypatch.setattr(_planner, "CPU", replace(_planner.CPU, narrow=1))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    yield
    for line in (closing.differences(), closing.not_run(terminalreporter.stats.get("skipped", ()))):
        if line:
            terminalreporter.write_line(line, yellow=True)
