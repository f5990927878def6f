"""The published scores are those of the doctor as it is."""

import subprocess
from pathlib import Path

import pytest

import doctor_real
import doctor_scores
from crossentropy.doctor.rules import RULES

PAGE = Path(__file__).parent.parent / "docs" / "doctor-scores.md"


def test_the_published_scores_are_true() -> None:
    verdicts = doctor_scores.score(doctor_scores.cases(), jobs=2)
    page = doctor_scores.markdown(verdicts, doctor_scores.MODES)
    assert page == PAGE.read_text("utf-8"), "\n".join(doctor_scores.details(verdicts))
    for mode, recall, precision in (("run", 0.95, 0.98), ("source", 0.80, 0.95)):
        tally = doctor_scores.tally(verdict for verdict in verdicts if verdict.mode == mode)
        assert tally.recall >= recall
        assert tally.precision >= precision


def test_every_rule_has_scripts_of_each_kind() -> None:
    for rule in RULES:
        kinds = [case.kind for case in doctor_scores.cases(rule)]
        assert min(kinds.count("buggy"), kinds.count("fixed")) >= 2
        assert "right" in kinds


def test_a_real_program_is_fetched_and_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that is found, one that is not, and a finding that nobody has judged; what cannot be had is no tree."""
    origin = tmp_path / "someone" / "classifier"
    origin.mkdir(parents=True)
    (origin / "train.py").write_text(
        "import torch.nn.functional as F\nq = model(x).softmax(1)\nloss = F.cross_entropy(q, y)\n"
        "loss = F.nll_loss(model(x).softmax(1), y)\n",
        "utf-8",
    )
    git = [
        "git",
        "-C",
        str(origin),
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "-c",
        "uploadpack.allowAnySHA1InWant=1",
    ]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    monkeypatch.setattr(doctor_real, "ORIGIN", str(tmp_path))
    reports = [
        doctor_real.Report(rule, "someone/classifier", commit, rule, "train.py", line, "tune")
        for rule, line in (("softmax-before-cross-entropy", 3), ("causal-shift", 3))
    ]
    score, lines = doctor_real.score(reports, tmp_path / "trees")
    assert (score.found, score.reports, score.true, score.unjudged) == (1, 2, 1, 1)
    assert any(line.startswith("miss   causal-shift") for line in lines)
    with pytest.raises(subprocess.CalledProcessError):
        doctor_real.tree("someone/else", commit, tmp_path / "trees")
    assert not (tmp_path / "trees" / "someone__else").exists()
