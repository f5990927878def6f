"""What commands say of what they are doing: after two seconds, and on standard error only."""

import contextlib
import io
import time
from pathlib import Path

import pytest

from crossentropy import _progress, cli
from crossentropy._progress import progress


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "PATIENCE", 0.0)


class Terminal(io.StringIO):
    """What rich and we take for a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def two_steps() -> None:
    with progress() as show:
        for done in range(3):
            show("counting sheep", done, 1_200)
        show("sleeping", 0, 0)


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, kind: str = "xterm") -> str:
    monkeypatch.setenv("TERM", kind)
    with contextlib.redirect_stderr(Terminal()) as shown:
        two_steps()
    return shown.getvalue()


@pytest.mark.usefixtures("_at_once")
def test_a_pipe_gets_a_line_for_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    two_steps()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "counting sheep (1,200) …\nsleeping …\n"


@pytest.mark.usefixtures("_at_once")
def test_a_dumb_terminal_is_written_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert on_a_terminal(monkeypatch, "dumb") == "counting sheep (1,200) …\nsleeping …\n"


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize("has_rich", [True, False])
def test_a_terminal_has_a_line_that_is_gone_in_the_end(has_rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_rich:
        monkeypatch.setattr(_progress, "find_spec", lambda name: None)
    shown = on_a_terminal(monkeypatch)
    assert "counting sheep" in shown
    assert "sleeping" in shown
    assert shown.endswith("\x1b[2K" if has_rich else "\r\x1b[K")  # the last line is erased
    assert shown.count("\n") < 3


def test_what_is_done_in_two_seconds_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "PATIENCE", 600.0)
    assert on_a_terminal(monkeypatch) == ""


def test_a_long_step_is_told_while_it_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "PATIENCE", 0.02)
    with progress() as show:
        show("first", 0, 0)
        show("second", 0, 0)
        for _ in range(500):
            time.sleep(0.02)
            said = capsys.readouterr().err
            if said:
                break
        assert said == "second …\n"
    with progress(quiet=True) as show:
        show("third", 0, 0)
        time.sleep(0.05)
    with progress() as show:
        show("fourth", 0, 0)
    time.sleep(0.05)  # nothing is said of what is done
    assert capsys.readouterr().err in ("", "fourth …\n")


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize(
    ("line", "steps"),
    [
        ("doctor .", ["examining files …"]),
        ("doctor . --lang zh", ["检查文件 …"]),
        ("convert a.py", ["reading files …", "finding what to change …", "checking what remains …"]),
        ("convert a.py --lang zh", ["读取文件 …", "寻找可改之处 …", "检查改后的文件 …"]),
        ("explain z.csv y.csv", ["computing …"]),
        ("explain z.csv y.csv --lang zh", ["正在计算 …"]),
        ("plan --shape 8,9 --device H100", ["loading torch …"]),
    ],
)
def test_commands_tell_their_steps(
    line: str, steps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text("import torch\n", "utf-8")
    Path("z.csv").write_text("1,2\n")
    Path("y.csv").write_text("0\n")
    assert cli.main(line.split()) == 0
    loud = capsys.readouterr()
    assert cli.main([*line.split(), "--quiet"]) == 0
    quiet = capsys.readouterr()
    assert quiet.out == loud.out
    told = [said for said in loud.err.splitlines() if said not in quiet.err.splitlines()]
    assert told == steps
