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
    """How a head is swept, whatever the budget: over chunks of rows, or over several blocks of classes."""
    if request.param == "rows":
        monkeypatch.setattr(_planner, "CPU", replace(_planner.CPU, narrow=1))
        return
    plan = _planner.plan

    def over_classes(work: _planner.Workload, budget: int | None, most_rows: int | None) -> _planner.Plan:
        chosen = plan(work, budget, most_rows)
        wanted = work.input_gradient or work.head_gradient
        if not (work.merges and wanted and chosen.strategy.startswith("rows")):
            return chosen
        return replace(chosen, strategy="classes", widens=False, block=min(chosen.block, -(-work.classes // 3)))

    monkeypatch.setattr(_planner, "plan", over_classes)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    yield
    for line in (closing.differences(), closing.not_run(terminalreporter.stats.get("skipped", ()))):
        if line:
            terminalreporter.write_line(line, yellow=True)
