"""The gallery: short programs, right but for one mistake, each with its page. Building the site runs them all."""

import re
import runpy
from pathlib import Path

import pytest

from crossentropy import cli

GALLERY = Path(__file__).parent.parent / "docs" / "gallery"
PROGRAMS = sorted(path.stem for path in GALLERY.glob("*.py"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_has_its_page(name: str) -> None:
    """With its picture, described; its file; the page that says more; and a place in the overviews."""
    page = (GALLERY / f"{name}.md").read_text("utf-8")
    program = (GALLERY / f"{name}.py").read_text("utf-8")
    assert re.search(rf"!\[[^\]]{{60,}}\]\(pictures/{name}\.svg\)", page)
    assert f"{{download}}`{name}.py`" in page
    assert f"{{literalinclude}} {name}.py" in page
    assert "More: [" in page
    assert f'savefig("{name}.svg")' in program
    assert program.count("\n") <= 64
    for overview in ("index.md", "zh.md"):
        assert f"({name}.md)" in (GALLERY / overview).read_text("utf-8")


def test_there_are_ten() -> None:
    assert len(PROGRAMS) == 10
    assert {path.stem for path in GALLERY.glob("*.md")} == {*PROGRAMS, "index", "zh"}


def test_the_doctor_finds_no_mistake_in_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", str(GALLERY)]) == 0
    assert "Nothing found in 10 files." in capsys.readouterr().out


def test_the_broken_program_is_what_its_picture_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    found = runpy.run_path(str(GALLERY / "doctor.py"))
    assert [finding.rule for finding in found["report"].findings] == ["causal-shift"]
    assert found["too_good"][-1] < 0.1 < found["rate"] < 1.05 * found["mended"]()[-1]
    assert (tmp_path / "doctor.svg").exists()
