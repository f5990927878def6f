"""The files that the static analysis examines: notebooks, links, those that cannot be read, and large packages."""

import json
from pathlib import Path

import pytest
import torch

import crossentropy
from crossentropy.doctor._source import examine

MISTAKE = "nn.CrossEntropyLoss(label_smoothing=10)"
WRONG = f"import torch.nn as nn\n{MISTAKE}\n"


def test_notebooks_have_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = [
        {"cell_type": "markdown", "source": ["# title"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "import torch.nn as nn\n"]},
        {"cell_type": "code", "source": f"!pip install torch\nloss = {MISTAKE}"},
    ]
    Path("a.ipynb").write_text(json.dumps({"cells": cells}))
    (finding,) = examine([Path("a.ipynb")]).findings
    assert (finding.cell, finding.line, finding.column) == (2, 2, 8)


UNREADABLE = {
    "syntax.py": b"def f(:\n",
    "python1.py": b"print 'a' if\n",
    "encoding.py": b"# -*- coding: no-such -*-\n",
    "latin.py": b"x = '\xe4'\n",
    "null.py": b"x = 1\x00\n",
    "deep.py": b"x = " + b"(" * 5000 + b")" * 5000 + b"\n",
    "large.py": b"# " + b"x" * 3_000_000,
    "list.ipynb": b"[]",
    "broken.ipynb": b"{",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_passed_over_and_said(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(UNREADABLE[name])
    (tmp_path / "right.py").write_text(WRONG)
    examined = examine([tmp_path])
    assert [Path(file.path).name for file in examined.passed] == [name]
    assert len(examined.findings) == 1  # what else there is, is examined all the same


def test_links_are_not_followed_in_circles(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(WRONG)
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "nowhere.py").symlink_to(tmp_path / "nothing")
    examined = examine([tmp_path, tmp_path / "a.py"])
    assert examined.files == 2
    assert len(examined.findings) == 1
    assert [Path(file.path).name for file in examined.passed] == ["nowhere.py"]


def test_progress_and_processes(tmp_path: Path) -> None:
    for i in range(70):
        (tmp_path / f"m{i}.py").write_text(WRONG)
    seen: list[tuple[int, int]] = []
    examined = examine([tmp_path], jobs=2, progress=lambda done, total: seen.append((done, total)))
    assert examined.files == len(examined.findings) == 70
    assert seen[-1] == (70, 70)


@pytest.mark.parametrize("folder", [Path(crossentropy.__file__).parent, Path(torch.nn.__file__).parent])
def test_large_packages_are_examined_without_a_finding(folder: Path) -> None:
    examined = examine([folder])
    assert examined.files > 20
    strong = {Path(finding.path).name for finding in examined.findings if finding.confidence != "info"}
    assert strong <= {"digits.py", "_inputs.py"}  # where softmax is taken twice on purpose, to show what it costs
    # one method of ours, followed for itself, leads into all rewrites
    assert [(Path(passed.path).name, passed.partly) for passed in examined.passed] in ([], [("_activated.py", True)])


def test_a_function_that_another_process_sees_called_is_not_followed_alone(tmp_path: Path) -> None:
    """Its defaults are not what it is given there; which files a process has is chance."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "focal.py").write_text(
        "import torch\nimport torch.nn.functional as F\n"
        "def focal(x, y, r='mean'):\n    ce = F.cross_entropy(x, y, reduction=r)\n"
        "    return ((1 - torch.exp(-ce)) ** 2 * ce).mean()\n"
        "class Loss(torch.nn.Module):\n    def __init__(self, reduction='mean'):\n        super().__init__()\n"
        "        self.reduction = reduction\n    def forward(self, x, y):\n"
        "        ce = F.cross_entropy(x, y, reduction=self.reduction)\n"
        "        return ((1 - torch.exp(-ce)) ** 2 * ce).mean()\n",
        "utf-8",
    )
    (tmp_path / "a" / "train.py").write_text(
        "from focal import focal, Loss\nloss = focal(model(x), y, r='none')\nloss.backward()\n"
        "loss = Loss(reduction='none')(model(x), y)\nloss.backward()\n",
        "utf-8",
    )
    for number in range(100):
        (tmp_path / "a" / f"g{number}.py").write_text("import torch\n", "utf-8")
    for jobs in (1, 2, 3):  # the files lie in one process, or in two
        assert examine([tmp_path], jobs=jobs).findings == ()
    (tmp_path / "a" / "train.py").unlink()
    assert [f.rule for f in examine([tmp_path], jobs=2).findings] == ["focal-on-reduced-loss"] * 2
