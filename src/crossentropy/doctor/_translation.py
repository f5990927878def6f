"""What the doctor found, and what it says, in the language that is asked for. Findings are kept in English."""

from collections.abc import Sequence
from dataclasses import replace

from crossentropy._languages import Language, PhraseBook
from crossentropy.doctor import _chinese, _chinese_changes, _chinese_findings
from crossentropy.doctor._chinese import Words
from crossentropy.doctor._finding import Finding, Passed
from crossentropy.doctor.rules import RULES, Rule

say = PhraseBook(_chinese_findings.PHRASES, _chinese_changes.PHRASES).say
"""An English sentence of the doctor or of convert in a language."""


def words(rule: Rule, lang: Language) -> Words:
    """What a rule says."""
    return Words(rule.meaning, rule.symptom, rule.fix) if lang == "en" else _chinese.RULES[rule.name]


def findings_in(lang: Language, findings: Sequence[Finding]) -> list[Finding]:
    """Findings whose words are in a language; places, rules and code stay."""
    return list(findings) if lang == "en" else [_translated(finding, lang) for finding in findings]


def _translated(finding: Finding, lang: Language) -> Finding:
    rule = RULES[finding.rule]
    fix = finding.fix.replace(rule.fix, words(rule, lang).fix, 1)
    return replace(finding, message=say(finding.message, lang), fix=fix)


def passed_in(lang: Language, passed: Sequence[Passed]) -> list[Passed]:
    """Files that were passed over, with the reasons in a language."""
    return list(passed) if lang == "en" else [replace(file, reason=say(file.reason, lang)) for file in passed]
