"""The command `convert`: two files with three mistakes, from what is found to what is mended; and wrong input."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import crossentropy
from crossentropy.cli import main
from crossentropy.doctor import _command_convert
from crossentropy.doctor._convert import SourceError, _file

MODEL = """\
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(4, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        x = F.relu(self.hidden(x))
        return F.softmax(self.head(x), dim=1)  # probabilities
"""
TRAIN = """\
import torch
import torch.nn as nn
import torch.nn.functional as F

from model import Net

torch.manual_seed(0)
x, y = torch.randn(60, 4), torch.randint(0, 3, (60,))
model = Net()
criterion = nn.CrossEntropyLoss(size_average=True)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

for epoch in range(20):
    probabilities = model(x)
    target = F.one_hot(y, num_classes=3).float()
    loss = criterion(probabilities, target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

print(f"{loss.item():.4f}", f"{probabilities.sum(dim=1).mean().item():.4f}")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(TRAIN, "utf-8")
    (tmp_path / "model.py").write_text(MODEL, "utf-8")
    return tmp_path


def printed_by(script: str) -> str:
    return subprocess.run([sys.executable, "-W", "ignore", script], capture_output=True, text=True, check=True).stdout


def test_found_converted_and_clean(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = printed_by("train.py").split()
    assert main(["doctor", "."]) == 1
    found = capfd.readouterr().out
    for rule in ("softmax-before-cross-entropy", "deprecated-reduce", "one-hot-target"):
        assert rule in found
    assert main(["convert", "train.py", "model.py", "--unsafe", "--write"]) == 0
    assert "written" in capfd.readouterr().err
    for way in (["."], ["--run", "train.py"]):
        assert main(["doctor", *way, "--min-confidence", "info"]) == 0
        assert "Nothing found" in capfd.readouterr().out
    after = printed_by("train.py").split()
    assert float(after[0]) < float(before[0])  # the floor of the second softmax is gone
    assert after[1] == before[1] == "1.0000"  # what is shown still are probabilities
    assert main(["convert", "train.py", "model.py", "--unsafe"]) == 0
    again = capfd.readouterr()
    assert again.out == ""
    assert "0 changes, nothing to do" in again.err


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs the command patch")
@pytest.mark.parametrize("option", [[], ["--diff"]])
def test_a_diff_writes_nothing(option: list[str], project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "train.py", "model.py", "--unsafe", *option]) == 0
    printed = capsys.readouterr()
    assert "+++ b/train.py" in printed.out
    assert "+++ b/model.py" in printed.out
    assert "the loss changes: softmax is no longer applied twice" in printed.out
    assert "--write makes them" in printed.err
    assert (project / "train.py").read_text("utf-8") == TRAIN
    subprocess.run(["patch", "-p1"], input=printed.out, text=True, check=True, capture_output=True)
    assert main(["convert", "train.py", "model.py", "--unsafe"]) == 0
    assert capsys.readouterr().out == ""


def test_what_changes_the_loss_waits_for_unsafe(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "train.py", "model.py", "--write", "--keep-torch"]) == 0
    printed = capsys.readouterr()
    assert "still to be mended: train.py:15:12: softmax-before-cross-entropy" in printed.err
    assert "train.py:10:13: softmax-before-cross-entropy: --unsafe would rewrite this" in printed.err
    assert (project / "model.py").read_text("utf-8") == MODEL
    text = (project / "train.py").read_text("utf-8")
    assert 'nn.CrossEntropyLoss(reduction="mean")' in text
    assert "crossentropy" not in text


def test_what_convert_does_not_mend_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = TRAIN.replace("criterion(probabilities, target)", "criterion(shown, target)")
    text = text.replace("    target =", "    shown = probabilities.clamp(min=1e-9)\n    target =")
    (project / "train.py").write_text(text, "utf-8")
    assert main(["convert", "train.py", "model.py", "--unsafe"]) == 0
    said = "still to be mended: train.py:17:12: softmax-before-cross-entropy (certain) softmax at model.py:13"
    assert said in capsys.readouterr().err
    assert main(["convert", "train.py", "--unsafe"]) == 0  # alone, it does not know the model
    assert "still to be mended" not in capsys.readouterr().err


def test_bytes_that_are_not_rewritten_stay(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "\ufeff# coding: utf-8\r\nimport torch.nn as nn\r\nloss = nn.CrossEntropyLoss(size_average=False)  # é\r\n"
    (project / "train.py").write_bytes(text.encode())
    assert main(["convert", "train.py", "--write", "--keep-torch"]) == 0
    expected = text.replace("size_average=False", 'reduction="sum"')
    assert (project / "train.py").read_bytes() == expected.encode()
    latin = "# -*- coding: latin-1 -*-\nimport torch.nn as nn\nloss = nn.CrossEntropyLoss(size_average=False)  # é\n"
    (project / "train.py").write_bytes(latin.encode("latin-1"))
    assert main(["convert", "train.py", "--write", "--keep-torch"]) == 0
    assert (project / "train.py").read_bytes() == latin.replace("size_average=False", 'reduction="sum"').encode(
        "latin-1"
    )


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["nowhere.py"], "nowhere.py: No such file or directory"),
        (["empty"], "there is no Python file in empty"),
        (["book.ipynb"], "book.ipynb: a notebook, expected Python files"),
        (["train.py", "broken.py"], "broken.py: line 1, column"),
        (["bytes.py"], "bytes.py: not in the encoding that it declares, or UTF-8"),
        (["idle.py"], "idle.py: what utf-7 decodes it does not encode again: use UTF-8"),
        (["unknown.py"], "unknown.py: not in the encoding that it declares, or UTF-8"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_is_written(
    files: list[str], says: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "empty").mkdir()
    (project / "broken.py").write_text("loss = (\n")
    (project / "book.ipynb").write_text("{}")
    (project / "bytes.py").write_bytes(b"\xff\xfe loss")
    (project / "idle.py").write_bytes(b"# coding: utf-7\nloss = '+AGE-'\n")
    (project / "unknown.py").write_bytes(b"# coding: klingon\nloss = 1\n")
    assert main(["convert", *files, "--write"]) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.err.count("\n") == 1
    assert (project / "train.py").read_text("utf-8") == TRAIN


# files are replaced whole


def convert_in(project: Path, *limits: str) -> "subprocess.Popen[str]":
    """The command in a process of its own, after some lines of Python."""
    code = "\n".join(["import sys", *limits, "from crossentropy.cli import main", "sys.exit(main(sys.argv[1:]))"])
    line = [sys.executable, "-c", code, "convert", "train.py", "model.py", "--unsafe", "--write"]
    environment = os.environ | {"PYTHONPATH": str(Path(crossentropy.__file__).parents[1])}
    return subprocess.Popen(line, cwd=project, stdout=-1, stderr=-1, text=True, env=environment)


def test_a_limit_while_files_are_written_loses_nothing(project: Path) -> None:
    long = TRAIN + "# a comment\n" * 2000
    (project / "train.py").write_text(long, "utf-8")
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"
    late = f"_disk.write = lambda *a, **k: ({limit}, write(*a, **k))"  # the doctor's copies are written before
    lines = ["import resource", "from crossentropy import _disk", "write = _disk.write", late]
    with convert_in(project, *lines) as process:
        out, err = process.communicate()
    assert process.returncode == 2
    assert out == ""
    assert err.endswith("crossentropy convert: nothing was written: train.py: File too large\n")
    assert (project / "train.py").read_text("utf-8") == long
    assert (project / "model.py").read_text("utf-8") == MODEL
    assert sorted(os.listdir(project)) == ["model.py", "train.py"]


def test_a_kill_at_any_moment_leaves_whole_files(project: Path) -> None:
    with convert_in(project) as process:
        began = time.monotonic()
        process.communicate()
        took = time.monotonic() - began
    after = [(project / name).read_text("utf-8") for name in ("train.py", "model.py")]
    assert after != [TRAIN, MODEL]
    for turn in range(12):
        (project / "train.py").write_text(TRAIN, "utf-8")
        (project / "model.py").write_text(MODEL, "utf-8")
        with convert_in(project) as process:
            time.sleep(took * (0.4 + 0.05 * turn))
            process.send_signal(signal.SIGKILL)
        assert (project / "train.py").read_text("utf-8") in (TRAIN, after[0])
        assert (project / "model.py").read_text("utf-8") in (MODEL, after[1])


def test_what_an_editor_saved_meanwhile_stays(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def then_saved(options, **keywords):
        found = convert(options, **keywords)
        (project / "model.py").write_text(MODEL + "# saved\n", "utf-8")
        return found

    convert = _command_convert.convert
    monkeypatch.setattr(_command_convert, "convert", then_saved)
    assert main(["convert", "train.py", "model.py", "--unsafe", "--write"]) == 2
    said = "crossentropy convert: nothing was written: model.py: it changed meanwhile and was not overwritten\n"
    assert capsys.readouterr().err == said
    assert (project / "model.py").read_text("utf-8") == MODEL + "# saved\n"
    assert (project / "train.py").read_text("utf-8") == TRAIN


def test_links_stay_and_other_names_are_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "link.py").symlink_to("train.py")
    os.link(project / "train.py", project / "backup.txt")
    (project / "train.py").chmod(0o750)
    assert main(["convert", "link.py", "train.py", "./link.py", "--write"]) == 0  # one file
    err = capsys.readouterr().err
    assert "link.py: other names of this file (hard links) keep the old text" in err
    assert (project / "link.py").is_symlink()
    assert (project / "train.py").stat().st_mode & 0o777 == 0o750
    assert 'reduction="mean"' in (project / "train.py").read_text("utf-8")
    assert (project / "backup.txt").read_text("utf-8") == TRAIN


@pytest.mark.parametrize("text", [b"", b"\xef\xbb\xbf", b"# coding: latin-1\n", b"# vim: set fileencoding=gbk :\n"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_every_other_byte_stays(project: Path, text: bytes, end: bytes) -> None:
    before = b"s = '\xe9\x80'\nimport torch.nn.functional as F\nloss = F.nll_loss(F.log_softmax(z, 1), y)"
    text = text.replace(b"\n", end)
    if not text.startswith(b"#"):
        before = before.replace(b"\xe9\x80", "é猫".encode())
    (project / "train.py").write_bytes(text + before.replace(b"\n", end))
    assert main(["convert", "train.py", "--write"]) == 0
    after = before.replace(b"F.nll_loss(F.log_softmax(z, 1), y)", b"crossentropy.functional.cross_entropy(z, y)")
    found = (project / "train.py").read_bytes()
    assert found.replace(b"import crossentropy.functional" + end, b"").replace(b"import crossentropy" + end, b"") == (
        text + after.replace(b"\n", end)
    )


def test_a_folder_stands_for_its_files(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "broken.py").write_text("loss = (\n")
    (project / "book.ipynb").write_text("{}")
    (project / "venv").mkdir()
    (project / "venv" / "own.py").write_text(TRAIN, "utf-8")
    assert main(["convert", ".", "--unsafe", "--write"]) == 0
    printed = capsys.readouterr()
    assert "passed over: broken.py: line 1" in printed.err
    assert "model.py:13:1: softmax-before-cross-entropy: the activation is taken away" in printed.out
    assert (project / "venv" / "own.py").read_text("utf-8") == TRAIN
    assert main(["doctor", "train.py", "model.py"]) == 0


def test_check_is_for_continuous_integration(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "train.py", "model.py", "--check", "--unsafe"]) == 1
    assert "+++ b/model.py" in capsys.readouterr().out
    assert (project / "train.py").read_text("utf-8") == TRAIN
    assert main(["convert", "train.py", "model.py", "--unsafe", "--write"]) == 0
    assert main(["convert", "train.py", "model.py", "--check", "--unsafe"]) == 0
    with pytest.raises(SystemExit):
        main(["convert", "train.py", "--check", "--write"])


def test_what_stays_is_said_once_with_the_reason(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = TRAIN.replace("optimizer = torch", "import plugins\nplugins.register(model)\noptimizer = torch")
    (project / "train.py").write_text(text, "utf-8")
    assert main(["convert", "train.py", "model.py", "--unsafe"]) == 0
    lines = capsys.readouterr().err.splitlines()
    (told,) = [line for line in lines if "softmax-before-cross-entropy" in line]
    assert told.startswith(
        "still to be mended: train.py:18:12: softmax-before-cross-entropy (certain) softmax at model.py:13"
    )
    assert told.endswith(
        "not rewritten: other uses of the model's output cannot be seen: model is given to plugins.register, "
        "whose use of it cannot be seen (line 12). Is its output used as probabilities there?"
    )
    assert not any("left as it is" in line for line in lines)


def test_the_doctor_offers_what_convert_can_mend(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--fix", "."]) == 1
    printed = capsys.readouterr()
    assert "softmax-before-cross-entropy" in printed.out
    assert "-        return F.softmax(self.head(x), dim=1)  # probabilities\n" in printed.out
    assert "crossentropy convert --unsafe --keep-torch --write . makes these changes" in printed.err
    assert "import crossentropy" not in printed.out
    assert (project / "model.py").read_text("utf-8") == MODEL
    assert main(["doctor", "--fix", ".", "--select", "deprecated-reduce"]) == 1
    printed = capsys.readouterr()
    assert "-criterion = nn.CrossEntropyLoss(size_average=True)\n" in printed.out
    assert "-        return F.softmax" not in printed.out
    (project / "train.py").write_text("", "utf-8")
    assert main(["doctor", "--fix", "."]) == 0
    assert "there is nothing to mend" in capsys.readouterr().err
    assert main(["doctor", "--fix", "--output-format", "json"]) == 2


def test_the_doctor_offers_to_change_the_model_of_a_script(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which is in a file that was not given."""
    assert main(["doctor", "--fix", "train.py"]) == 1
    printed = capsys.readouterr()
    assert "-        return F.softmax(self.head(x), dim=1)  # probabilities\n" in printed.out
    assert "crossentropy convert --unsafe --keep-torch --write train.py model.py makes these changes" in printed.err


def test_lines_in_messages_are_those_of_the_files(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = TRAIN.replace("optimizer = torch", "import plugins\nplugins.register(model)\noptimizer = torch")
    (project / "train.py").write_text(text, "utf-8")
    for more, line in (["--unsafe"], 10), (["--unsafe", "--write"], 11):
        assert main(["convert", "train.py", "model.py", *more]) == 0
        assert f"feeds cross_entropy (made at train.py:{line})" in capsys.readouterr().err


def test_a_file_that_is_passed_over_is_one_whose_uses_are_not_seen(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "odd.py").write_text("x = 1\n", "utf-8")
    real = _file.File.__init__

    def read(self: _file.File, source: str, path: str) -> None:
        if path == "odd.py":
            raise SourceError(1, 1, "libcst cannot read this syntax", path)
        real(self, source, path)

    monkeypatch.setattr(_file.File, "__init__", read)
    assert main(["convert", ".", "--unsafe"]) == 0
    printed = capsys.readouterr()
    assert "passed over: odd.py: line 1, column 1: libcst cannot read this syntax; what it does" in printed.err
    assert "+++ b/model.py" in printed.out
    assert main(["convert", "odd.py", "model.py"]) == 2
