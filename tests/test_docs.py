"""The examples run, the two READMEs show the same code, and no document has outgrown its size."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_classifier_learns() -> None:
    assert load("train_classifier").main() > 0.97


def test_accumulated_gradients_are_those_of_the_batch() -> None:
    assert load("accumulate_gradients").main() < 1e-6


def test_every_example_is_tested() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == {"train_classifier", "accumulate_gradients"}


def statements(readme: str) -> list[str]:
    return re.findall(r"^>>> (.*?)(?:  # .*)?$", (ROOT / readme).read_text("utf-8"), re.MULTILINE)


def test_both_readmes_show_the_same_code() -> None:
    assert statements("README.md") == statements("README.zh-CN.md")
    assert len(statements("README.md")) > 10


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readmes_figures_are_those_of_the_results(readme: str) -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "time_and_memory.xeon-2-cores.json").read_text("utf-8"))[
        "results"
    ]
    measured = [(f"{r['time_ratio']:.1f}", f"{r['bytes'] / r['torch_bytes']:.1f}") for r in results]
    shown = re.findall(r"^\| .*×.* \| ([\d.]+) \| ([\d.]+) \|$", (ROOT / readme).read_text("utf-8"), re.MULTILINE)
    assert shown == measured


@pytest.mark.parametrize(("document", "most"), [("ARCHITECTURE.md", 150), ("CONTRIBUTING.md", 60)])
def test_documents_stay_short(document: str, most: int) -> None:
    assert len((ROOT / document).read_text("utf-8").splitlines()) <= most


def test_modules_stay_short() -> None:
    long = [p.name for p in (ROOT / "src").rglob("*.py") if len(p.read_text("utf-8").splitlines()) > 700]
    assert not long
