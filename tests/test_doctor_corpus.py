"""The published scores are those of the doctor as it is."""

from pathlib import Path

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
