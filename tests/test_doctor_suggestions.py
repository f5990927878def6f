"""One cause is one finding, with all its places; and the user's own line, as it is and as it would be."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from crossentropy.doctor._finding import Finding, Place, by_cause
from crossentropy.doctor._output import as_json, as_sarif, as_text
from crossentropy.doctor._source import examine
from crossentropy.doctor._suggestion import suggestion

HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"
MODEL = (
    "model = nn.Linear(3, 4)\nx, y = torch.randn(2, 3), torch.randint(0, 4, (2,))\ntags = torch.rand(2, 4).round()\n"
)

# The line below HEAD and MODEL that is to be changed, what it becomes, and what follows.
CHANGES = {
    "method": ("z = model(x).softmax(1)", "z = model(x)", "loss = F.cross_entropy(z, y)"),
    "function": ("loss = F.cross_entropy(F.softmax(model(x), dim=1), y)", "loss = F.cross_entropy(model(x), y)", ""),
    "last-layer": (
        "net = nn.Sequential(model, nn.Softmax(dim=1))", "net = nn.Sequential(model)",
        "loss = F.cross_entropy(net(x), y)",
    ),
    "layer": (
        "last = nn.Sigmoid()", "last = nn.Identity()", "loss = F.cross_entropy(last(model(x)), y)",
    ),
    "listed-layer": (
        "layers = [model, nn.ReLU()]", "layers = [model]", "loss = F.cross_entropy(nn.Sequential(*layers)(x), y)",
    ),
    "negative-axis": ("z = model(x).softmax(-1)", "z = model(x)", "loss = F.cross_entropy(z, y)"),
    "method-of-its-own": (
        "def softmax(z): return torch.softmax(z, 1)", "def softmax(z): return z",
        "loss = F.cross_entropy(softmax(model(x)), y)",
    ),
    "logarithm": ("z = model(x).log_softmax(1)", "z = model(x)", "loss = F.cross_entropy(z, y)"),
    "nll": ("p = torch.softmax(model(x), 1)", "p = torch.log_softmax(model(x), 1)", "loss = F.nll_loss(p, y)"),
    "nll-layer": ("last = nn.Softmax(1)", "last = nn.LogSoftmax(1)", "loss = nn.NLLLoss()(last(model(x)), y)"),
    "criterion": ("criterion = nn.NLLLoss()", "criterion = nn.CrossEntropyLoss()", "loss = criterion(model(x), y)"),
    "bce": (
        "loss = F.binary_cross_entropy(model(x), tags)",
        "loss = F.binary_cross_entropy_with_logits(model(x), tags)", "",
    ),
    "sigmoid": (
        "z = torch.sigmoid(model(x))", "z = model(x)", "loss = F.binary_cross_entropy_with_logits(z, tags)",
    ),
    "divergence": (
        "q = F.softmax(model(x), 1)", "q = F.log_softmax(model(x), 1)",
        'loss = F.kl_div(q, tags.softmax(1), reduction="batchmean")',
    ),
    "batchmean": (
        "loss = F.kl_div(model(x).log_softmax(1), tags.softmax(1))",
        'loss = F.kl_div(model(x).log_softmax(1), tags.softmax(1), reduction="batchmean")', "",
    ),
    "batchmean-made": (
        "kl = nn.KLDivLoss()", 'kl = nn.KLDivLoss(reduction="batchmean")',
        "loss = kl(model(x).log_softmax(1), tags.softmax(1))",
    ),
    "mean-given": (
        'kl = nn.KLDivLoss(reduction="mean")', 'kl = nn.KLDivLoss(reduction="batchmean")',
        "loss = kl(model(x).log_softmax(1), tags.softmax(1))",
    ),
    "deprecated": (
        "loss = F.cross_entropy(model(x), y, size_average=False)",
        'loss = F.cross_entropy(model(x), y, reduction="sum")',
        "",
    ),
    "constructor": (
        "loss = nn.CrossEntropyLoss(model(x), y)", "loss = nn.CrossEntropyLoss()(model(x), y)", "",
    ),
}  # fmt: skip


def _examined(folder: Path, program: str) -> list[Finding]:
    file = folder / "train.py"
    file.write_text(program, "utf-8")
    return [finding for finding in examine([file]).findings if finding.rule != "label-out-of-range"]


@pytest.mark.parametrize("name", CHANGES)
def test_the_line_that_is_changed_is_the_users_own(name: str, tmp_path: Path) -> None:
    old, new, rest = CHANGES[name]
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    (found,) = _examined(tmp_path / "old", f"{HEAD}{MODEL}{old}\n{rest}\n")
    change = suggestion(found)
    assert change is not None
    assert (change.old, change.new) == (old, new)
    assert change.place.line == (HEAD + MODEL).count("\n") + 1
    assert _examined(tmp_path / "new", f"{HEAD}{MODEL}{new}\n{rest}\n") == []


def test_a_total_of_losses(tmp_path: Path) -> None:
    program = f"""{HEAD}{MODEL}opt = torch.optim.SGD(model.parameters(), 0.1)
total = 0
for x, y in data:
    loss = F.cross_entropy(model(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    total += loss
print(total)
"""
    (found,) = _examined(tmp_path, program)
    change = suggestion(found)
    assert change is not None
    assert (change.old, change.new) == ("total += loss", "total += loss.item()")


def test_no_number_of_several_losses(tmp_path: Path) -> None:
    program = f"""{HEAD}{MODEL}opt = torch.optim.SGD(model.parameters(), 0.1)
losses = []
for x, y in data:
    loss = F.cross_entropy(model(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    both = (loss, loss)
    losses.append(both)
"""
    (found,) = _examined(tmp_path, program)
    assert found.rule == "loss-graph-retained"
    assert suggestion(found) is None


@pytest.mark.parametrize(
    "program",
    [
        "act = {'s': torch.softmax}['s']\nloss = F.cross_entropy(act(model(x), 1), y)",  # under another name
        "loss = F.kl_div(model(x)[None].log_softmax(2), tags[None].softmax(2), reduction='batchmean')",  # needs a view
        "loss = F.kl_div(model(x)[None].log_softmax(2), tags[None].softmax(2))",  # batchmean: of the first axis only
        "loss = F.kl_div(model(x).log_softmax(1), tags.softmax(1), reduction='none').mean()",  # a sum and a mean
        "ce = F.cross_entropy(model(x), y)\nloss = (1 - torch.exp(-ce)) ** 2 * ce",  # two lines
    ],
)
def test_no_suggestion_where_one_expression_does_not_do(program: str, tmp_path: Path) -> None:
    (found,) = _examined(tmp_path, f"{HEAD}{MODEL}{program}\n")
    assert suggestion(found) is None
    assert found.fix.splitlines()[1] in as_text([found])  # the example of the rule instead


def test_a_call_over_several_lines(tmp_path: Path) -> None:
    (found,) = _examined(
        tmp_path,
        f"{HEAD}{MODEL}loss = F.cross_entropy(\n    F.softmax(\n        model(x),\n        dim=1,\n    ),\n    y,\n)\n",
    )
    change = suggestion(found)
    assert change is not None
    assert change.new == "model(x),"
    assert change.old.startswith("F.softmax(\n    model(x),")


def test_one_cause_is_one_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(
        f"{HEAD}class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.fc = nn.Linear(3, 4)\n    def forward(self, x):\n        return F.softmax(self.fc(x), dim=1)\n",
        "utf-8",
    )
    loop = "from model import Net\nimport torch\ncriterion = torch.nn.CrossEntropyLoss()\nnet = Net()\n"
    loop += "for x, y in data:\n    loss = criterion(net(x), y)\nfor x, y in other:\n    loss = criterion(net(x), y)\n"
    Path("train.py").write_text(loop, "utf-8")
    Path("again.py").write_text(loop, "utf-8")
    (found,) = examine([Path()]).findings
    assert (found.path, found.line) == ("again.py", 6)
    assert found.cause is not None
    assert (found.cause.path, found.cause.line) == ("model.py", 9)
    assert [(place.path, place.line) for place in found.also] == [("again.py", 8), ("train.py", 6), ("train.py", 8)]
    text = as_text([found])
    assert "also at line 8, train.py:6, train.py:8" in text
    assert "--> model.py:9" in text
    assert "- return F.softmax(self.fc(x), dim=1)" in text
    assert "+ return self.fc(x)" in text
    (listed,) = json.loads(as_json([found]))["findings"]
    assert listed["cause"]["path"] == "model.py"
    assert [place["line"] for place in listed["also"]] == [8, 6, 8]
    assert listed["change"]["new"] == "return self.fc(x)"
    (result,) = json.loads(as_sarif([found]))["runs"][0]["results"]
    assert len(result["relatedLocations"]) == 4
    assert Finding.from_dict({name: value for name, value in listed.items() if name != "change"}) == found


def test_the_strongest_finding_of_a_cause_is_told() -> None:
    cause = Place("model.py", 3)
    weak, strong = (
        Finding("train.py", line, 1, "softmax-before-nll", confidence, "…", "…", cause=cause)
        for line, confidence in ((4, "likely"), (9, "certain"))
    )
    (found,) = by_cause([weak, strong])
    assert (found.line, found.also) == (9, (weak.place,))


def test_many_places_are_counted() -> None:
    also = (*(Place("train.py", line) for line in range(10, 30)), Place("other.py", 3))
    found = Finding("train.py", 4, 1, "softmax-before-nll", "certain", "…", "…", also=also)
    assert "also at lines 10, 11, 12, 13, 14, 15, 16, 17, other.py:3 and 12 more places" in as_text([found])


def test_a_sum_of_losses_and_where_it_is_kept_are_one_finding() -> None:
    """Only the sum is to be mended: after that the list holds numbers."""
    program = Path(__file__).parent / "doctor_programs" / "rule" / "sum_of_losses_that_is_kept.py"
    (found,) = examine([program]).findings
    assert [place.line for place in (found.place, *found.also)] == [14, 15]
    change = suggestion(found)
    assert change is not None
    assert change.new == "total += loss.item()  # finds loss-graph-retained certain"


def test_at_run_time_the_line_is_that_of_the_call(tmp_path: Path) -> None:
    program = f"""{HEAD}{MODEL}class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.softmax = nn.Linear(3, 4), nn.Softmax(dim=1)

    def forward(self, x):
        x = self.softmax(self.fc(x))
        return x


net, criterion = Net(), nn.CrossEntropyLoss()
for _ in range(3):
    criterion(net(x), y).backward()
    criterion(net(x), y)
"""
    (tmp_path / "train.py").write_text(program, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "crossentropy", "doctor", "--run", "train.py"],
        cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("softmax-before-cross-entropy (certain)") == 1
    assert "also at line 20" in done.stdout
    assert "- x = self.softmax(self.fc(x))" in done.stdout
    assert "+ x = self.fc(x)" in done.stdout
