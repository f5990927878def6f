"""What the static analysis says of a finding, and the comments that silence one."""

from pathlib import Path

import pytest

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
