"""`make gpu`: every section runs, on small shapes and a CPU; and without a GPU it says so in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from test_docs import ROOT, load

SCRIPT = ROOT / "benchmarks" / "gpu.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command, environment = [sys.executable, str(SCRIPT), *arguments], {**os.environ, "TRITON_INTERPRET": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment, check=False)


def test_every_section_runs(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    done = run("--device", "cpu", "--tiny", "--out", str(file))
    assert done.returncode == 0, done.stderr
    stored = json.loads(file.read_text("utf-8"))
    assert {"processor", "torch", "date", "packages", "command"} <= stored.keys()
    assert stored["sections"].keys() == {section.__name__ for section in load(SCRIPT).SECTIONS}
    for section, numbers in stored["sections"].items():
        assert numbers, section
        for name, number in numbers.items():
            assert f"{name} " in done.stdout
            assert "failed" not in number, (section, name)
    head, dense = stored["sections"]["head"], stored["sections"]["dense"]
    assert head["crossentropy: dW"]["of one product's error"] < 1.25
    assert all(number["gradient error"] < 0.01 for name, number in dense.items())
    assert all(number["equal"] for name, number in stored["sections"]["determinism"].items() if "bits" in name)
    for section in ("rows", "launches"):
        assert all(number["error"] < 1e-5 for number in stored["sections"][section].values())
    assert all(number["error"] < 1e-2 for number in stored["sections"]["large_index"].values())
    assert stored["sections"]["tests"]["pytest -m cuda"]["exit code"] == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so() -> None:
    done = run()
    assert done.returncode == 1
    assert done.stderr == "benchmarks/gpu.py: torch sees no GPU on this machine, so there is nothing to measure\n"


def test_a_number_that_fails_is_kept_as_its_error(tmp_path: Path) -> None:
    gpu = load(SCRIPT)
    session = gpu.Session("cpu", tmp_path / "results.json", 100.0)

    def section(session) -> None:
        """Three numbers."""
        session.number("divided", lambda: {"ms": 1 / 0})
        session.number("slow", lambda: {"ms": 3.0, "of copy": 1.2}, most={"ms": 2.0}, least={"of copy": 1.0})
        raise ValueError("the rest")

    session.section(section)
    stored = json.loads((tmp_path / "results.json").read_text("utf-8"))["sections"]["section"]
    assert stored["divided"] == {"failed": "ZeroDivisionError: division by zero"}
    assert stored["slow"]["targets"] == {"ms": "≤ 2", "of copy": "≥ 1"}
    assert stored["the section"] == {"failed": "ValueError: the rest"}
    assert gpu.line("slow", stored["slow"]).endswith("3 ms (≤ 2, missed), 1.2 of copy (≥ 1)")


def test_no_number_is_begun_when_the_time_is_over(tmp_path: Path) -> None:
    gpu = load(SCRIPT)
    session = gpu.Session("cpu", tmp_path / "results.json", -1.0)
    with pytest.raises(gpu.TimeIsOverError):
        session.section(gpu.ceilings)
