"""Files that are given alone: what they import is read where it lies in their project, and what is found is theirs."""

from pathlib import Path

import pytest

from crossentropy.doctor._source import examine

NET = """\
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 4)

    def forward(self, rows):
        return self.head(rows).softmax(1)
"""
TRAIN = """\
import torch
import torch.nn.functional as F
from models.net import Net

net = Net()
loss = F.cross_entropy(net(torch.randn(2, 3)), torch.randint(0, 4, (2,)))
loss.backward()
"""
SHARED = """\
import torch.nn.functional as F

def loss_of(scores, labels, squash=True):
    if squash:
        scores = scores.softmax(1)
    return F.cross_entropy(scores, labels)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose scripts import its models."""
    for name, text in {
        "pyproject.toml": "", "models/__init__.py": "", "models/net.py": NET, "scripts/train.py": TRAIN,
        "shared.py": SHARED, "broken.py": "def (",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _found(path: str) -> list[tuple[str, int, str, str]]:
    return [(f.path, f.line, f.rule, f.confidence) for f in examine([Path(path)]).findings]


def test_a_script_that_is_given_alone_has_the_model_that_it_imports(project: Path) -> None:
    assert _found("scripts/train.py") == [("scripts/train.py", 6, "softmax-before-cross-entropy", "certain")]


def test_nothing_is_told_of_files_that_were_not_given(project: Path) -> None:
    (project / "models/net.py").write_text(f"{NET}\nimport shared\nshared.loss_of(Net()(None), None)\n", "utf-8")
    assert [path for path, *_ in _found("scripts/train.py")] == ["scripts/train.py"]


def test_what_a_script_imports_may_be_no_python(project: Path) -> None:
    (project / "scripts/train.py").write_text(f"import broken\n{TRAIN}", "utf-8")
    examined = examine([Path("scripts/train.py")])
    assert [f.line for f in examined.findings] == [7]
    assert not examined.passed
    assert examined.files == 1


def test_files_outside_of_the_project_are_not_read(project: Path) -> None:
    inner = project / "scripts"
    (inner / "setup.py").write_text("", "utf-8")  # now the script's project is its own folder
    assert _found("scripts/train.py") == []


def test_a_finding_that_hangs_on_a_default_says_that_callers_were_not_given(project: Path) -> None:
    (alone,) = examine([Path("shared.py")]).findings
    assert alone.confidence == "likely"
    assert "the callers of this function were not given" in alone.message
    (whole,) = (f for f in examine([project]).findings if f.path.endswith("shared.py"))
    assert "callers" not in whole.message
