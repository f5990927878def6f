"""The last lines of a run, and the lock: every package that the tests need is in it."""

import re
from pathlib import Path

import pytest

import closing

SAMPLE = """
import pytest

def test_runs():
    pass

@pytest.mark.parametrize("n", range(3))
def test_does_not(n):
    pytest.skip("needs a browser")
"""


def test_what_was_not_run_is_said_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    (tmp_path / "conftest.py").write_text((Path(__file__).parent / "conftest.py").read_text("utf-8"))
    pytest.main([str(tmp_path), f"--rootdir={tmp_path}", "-q", "-p", "no:cacheprovider"])
    said = capfd.readouterr().out.splitlines()
    assert "Not run: 3 of test_sample.py (needs a browser)" in said[-3:]


def test_a_run_without_skips_says_nothing_of_them() -> None:
    assert closing.not_run([]) == ""


def test_packages_that_are_not_those_of_the_lock_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pins, before = closing.LOCK.read_text("utf-8"), closing.unpinned()
    changed = re.sub(r"^pytest==.*", "pytest==1.0", re.sub(r"^pluggy==.*\n", "", pins, flags=re.M), flags=re.M)
    (tmp_path / "constraints.txt").write_text(changed, "utf-8")
    monkeypatch.setattr(closing, "LOCK", tmp_path / "constraints.txt")
    said = closing.differences()
    assert f"pytest {pytest.__version__} (1.0)" in said
    assert "pluggy" in said
    assert closing.unpinned() - before == {"pluggy"}


def test_every_package_is_pinned_whichever_python() -> None:
    lines = [line for line in closing.LOCK.read_text("utf-8").splitlines() if not line.startswith("#")]
    assert all(re.match(r"[a-z0-9.-]+==\S+( ; .*)?$", line) for line in lines)
    names = {line.partition("==")[0] for line in lines}
    assert {"crossentropy", "torch", "transformers", "sympy", "hatchling", "uv"} - names == {"crossentropy"}
    assert not [name for name in names if name.startswith(("nvidia", "cuda"))]


def test_no_package_that_is_needed_is_missing_from_the_lock() -> None:
    assert closing.changed() or not closing.unpinned()  # other versions may need what the lock's do not
