"""What the static analysis says of a finding, and the comments that silence one."""

import os
from pathlib import Path

import pytest

from crossentropy.doctor._runtime._trace import LIBRARIES
from crossentropy.doctor._source import examine
from crossentropy.doctor.rules import RULES

HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"


def test_messages_name_the_place_and_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = "m = nn.Sequential(nn.Linear(4, 10), nn.Softmax(dim=1))\n"
    text = HEAD + model + "F.cross_entropy(m(torch.randn(2, 4)), torch.zeros(2).long())\n"
    Path("a.py").write_text(text)
    (finding,) = examine([Path()]).findings
    assert "softmax at a.py:4 feeds cross_entropy" in finding.message
    assert "1.461 for 10 classes" in finding.message
    assert finding.fix == RULES["softmax-before-cross-entropy"].remedy


def test_the_cause_of_a_focal_loss_on_a_mean_is_the_mean(tmp_path: Path) -> None:
    model = "z, y = nn.Linear(4, 3)(torch.randn(8, 4)), torch.zeros(8).long()\n"
    (tmp_path / "a.py").write_text(f"{HEAD}{model}ce = F.cross_entropy(z, y)\n\n(1 - torch.exp(-ce)) ** 2 * ce\n")
    (finding,) = examine([tmp_path]).findings
    assert finding.cause is not None
    assert (finding.line, finding.cause.line) == (7, 5)


@pytest.mark.parametrize("last", ["Softmax", "LogSoftmax"])
def test_what_a_relu_comes_before_is_named(last: str, tmp_path: Path) -> None:
    model = f"m = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.{last}(1))\n"
    (tmp_path / "a.py").write_text(f"{HEAD}{model}F.cross_entropy(m(torch.randn(8, 4)), torch.zeros(8).long())\n")
    (message,) = (found.message for found in examine([tmp_path]).findings if found.rule.startswith("relu"))
    assert f"before {'log_' * (last == 'LogSoftmax')}softmax and cross_entropy" in message


@pytest.mark.parametrize(("target", "what"), [("softmax", "divergence"), ("log_softmax", "result")])
def test_a_mean_that_is_no_divergence_is_not_called_one(target: str, what: str, tmp_path: Path) -> None:
    scores = "z, t = nn.Linear(4, 3)(torch.randn(8, 4)), nn.Linear(4, 3)(torch.randn(8, 4)).detach()\n"
    (tmp_path / "a.py").write_text(f"{HEAD}{scores}F.kl_div(z.log_softmax(1), t.{target}(1))\n")
    (message,) = (found.message for found in examine([tmp_path]).findings if found.rule == "kl-div-reduction")
    assert f"the {what} is 3× too small" in message


def test_a_folder_beside_a_library_is_none_of_it() -> None:
    assert all(not f"{Path(folder)}_extra{os.sep}a.py".startswith(folder) for folder in LIBRARIES)
    assert all(f"{Path(folder)}{os.sep}a.py".startswith(folder) for folder in LIBRARIES)


@pytest.mark.parametrize(
    ("comment", "count"),
    [
        ("", 1),
        ("  # crossentropy: ignore[label-smoothing-range] a test", 0),
        ("  # crossentropy: ignore", 0),
        ("  # crossentropy: ignore[mean-of-means, label-smoothing-range]", 0),
        ("  # crossentropy: ignore[mean-of-means]", 1),
    ],
)
def test_comments_silence_the_line_they_are_on(comment: str, count: int, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"{HEAD}nn.CrossEntropyLoss(label_smoothing=10){comment}\n")
    assert len(examine([tmp_path]).findings) == count
