"""What compilers make of the Triton kernels, of some of them on two targets; `make kernels` looks at all."""

import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed")

from kernel_report import BUDGETS, TARGETS, Report
from triton_heads import heads
from triton_variants import variants

CHOSEN = [
    "rows 1000 bf16", "rows 128256 bf16", "rows 128256 bf16, every option", "statistics 128256 bf16",
    "segmentation 21 fp32", "divergence 1000 bf16", "label logits bf16", "scale unless one bf16",
    "linear rows bf16", "linear rows bf16, token statistics",
]  # fmt: skip


@pytest.mark.parametrize("target", ["sm_90", "gfx942"])
def test_kernels_are_within_their_budgets(target: str, tmp_path: Path) -> None:
    """A process that does not interpret them, as this one does, and finds nothing compiled before."""
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    script = Path(__file__).with_name("kernel_report.py")
    command = [sys.executable, script, "--targets", target, "--only", f"^({'|'.join(CHOSEN)})$"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"\n{name} " in done.stdout for name in CHOSEN)


def test_every_variant_has_a_budget() -> None:
    names = {f"{x.name} {target}" for target in TARGETS for x in (*variants(), *heads(target))}
    budgets = json.loads(BUDGETS.read_text("utf-8"))
    assert {version: set(known) for version, known in budgets.items()} == dict.fromkeys(("3.6", "3.7", "3.9"), names)
    assert not any(budget["atomics"] for known in budgets.values() for budget in known.values())


def test_what_is_worse_is_found() -> None:
    names = [field.name for field in fields(Report)]
    budget = dict.fromkeys(names, 4)
    assert not list(Report(*[4] * len(names)).worse(budget))
    assert not list(Report(*[2] * len(names)).worse(budget))
    for name in names:
        lost = name in ("wide", "products", "copies")
        worse = Report(**{**budget, name: 0 if lost else 5})
        assert list(worse.worse(budget)) == [f"{name} {0 if lost else 5}, budget 4"]
