"""Findings as text for people, JSON for programs, annotations for GitHub, SARIF for code-scanning services."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple
from urllib.parse import quote

from crossentropy._languages import Language
from crossentropy._terminal import escaped
from crossentropy.doctor import _chinese
from crossentropy.doctor._finding import Finding, Passed, Place
from crossentropy.doctor._lines import line_of
from crossentropy.doctor._suggestion import Suggestion, suggestion
from crossentropy.doctor._translation import findings_in, passed_in, say, words
from crossentropy.doctor.rules import CONFIDENCES, RULES, Confidence, Rule


def as_text(findings: Sequence[Finding], passed: Sequence[Passed] = ()) -> str:
    """For people: each finding with its line of source and its fix. Files that were passed over are notes."""
    return "\n\n".join(_described(finding, str(finding), _also(finding), "for example:") for finding in findings)


def _as_chinese(findings: Sequence[Finding]) -> str:
    """What the rule says, and the finding's own words, with its numbers."""
    return "\n\n".join(map(_described_in_chinese, findings_in("zh", findings)))


def _described_in_chinese(finding: Finding) -> str:
    rule, cell = _chinese.RULES[finding.rule], "" if finding.cell is None else f"{finding.cell}:"
    place = f"{finding.path}:{cell}{finding.line}:{finding.column}"
    heading = f"{place}: {finding.rule}（{_chinese.CONFIDENCES[finding.confidence]}）{rule.meaning}"
    here, others, more = _places(finding)
    shown = (
        [f"第 {'、'.join(here)} 行"] * bool(here)
        + [say(place, "zh") for place in others]
        + [f"以及另外 {more} 处"] * bool(more)
    )
    also = [f"同样见于 {'，'.join(shown)}"] if shown else []
    cause = [] if finding.cause is None else [f"原因在 {say(str(finding.cause), 'zh')}"]
    notes = [*also, *cause, f"后果：{rule.symptom}", f"详情：{finding.message}"]
    return _described(finding, heading, notes, "例如：")


def _also(finding: Finding) -> list[str]:
    here, others, more = _places(finding)
    shown = [f"line{'s' * (len(here) > 1)} {', '.join(here)}"] * bool(here) + others
    shown[-1:] = [f"{place} and {plural(more, 'more place')}" if more else place for place in shown[-1:]]
    return [f"also at {', '.join(shown)}"] if shown else []


def _described(finding: Finding, heading: str, notes: Sequence[str], example: str) -> str:
    """With the user's own lines as they would be; where these are not known, with an example, announced by a word."""
    source, margin = escaped(line_of(finding)), " " * len(str(finding.line))
    shown = [f"{finding.line} | {source}"] if source else []
    said = [f"{margin} = {escaped(note)}" for note in notes]
    remedy, *snippet = finding.fix.split("\n")
    change = suggestion(finding)
    announced = [f"{margin} = {example}"] + [f"{margin}       {line}" for line in snippet]
    new = announced * bool(snippet) if change is None else list(_changed(change, margin))
    return "\n  ".join([escaped(heading), *shown, *said, f"{margin} = {remedy}", *new])


_MOST_PLACES = 8
"""That are listed of one finding."""


def _places(finding: Finding) -> tuple[list[str], list[str], int]:
    """The other places: lines of the same file, places of others, and how many more there are."""
    here = [str(place.line) for place in finding.also if (place.path, place.cell) == (finding.path, finding.cell)]
    others = [str(p) for p in finding.also if (p.path, p.cell) != (finding.path, finding.cell)]
    more = sum(max(0, len(places) - _MOST_PLACES) for places in (here, others))
    return here[:_MOST_PLACES], others[:_MOST_PLACES], more


def _changed(change: Suggestion, margin: str) -> Iterator[str]:
    """The lines to be changed, before and after."""
    yield f"{margin} --> {escaped(str(change.place))}"
    for sign, text in (("-", change.old), ("+", change.new)):
        yield from (f"{margin} {sign} {escaped(line)}" for line in text.splitlines())


def _summary(findings: Sequence[Finding], examined: str) -> str:
    """One line: how much was found, and in what."""
    if not findings:
        return f"Nothing found in {examined}."
    counts = Counter(finding.confidence for finding in findings)
    kinds = ", ".join(f"{counts[confidence]} {confidence}" for confidence in CONFIDENCES if counts[confidence])
    return f"{plural(len(findings), 'finding')} ({kinds}) in {examined}."


def _summary_in_chinese(findings: Sequence[Finding], examined: str) -> str:
    """The same line in Chinese."""
    if not findings:
        return f"没有发现问题（{examined}）。"
    counts = Counter(finding.confidence for finding in findings)
    kinds = "，".join(f"{_chinese.CONFIDENCES[c]} {counts[c]} 处" for c in CONFIDENCES if counts[c])
    return f"共发现 {len(findings)} 处问题：{kinds}（{examined}）。"


def plural(count: int, noun: str) -> str:
    """A number of things."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def as_json(findings: Sequence[Finding], passed: Sequence[Passed] = ()) -> str:
    """For programs."""
    listed = {"findings": findings, "passed_over": passed}
    contents: dict[str, list[dict[str, Any]]] = {
        name: [item.to_dict() for item in items] for name, items in listed.items()
    }
    for finding, described in zip(findings, contents["findings"]):
        if (change := suggestion(finding)) is not None:
            described["change"] = change.to_dict()
    return json.dumps(contents, ensure_ascii=False, indent=1)


_COMMANDS: Mapping[Confidence, str] = {"certain": "error", "likely": "warning", "info": "notice"}


def as_github(findings: Sequence[Finding], passed: Sequence[Passed] = (), lang: Language = "en") -> str:
    """Workflow commands, which GitHub shows beside the lines of a change."""
    notices = (f"::notice file={_property(file.path)}::{_escaped(say(str(file), lang))}" for file in passed)
    return "\n".join([*map(_annotation, findings), *notices])


def _annotation(finding: Finding) -> str:
    place = f"file={_property(finding.path)},line={finding.line},col={finding.column},title={_property(finding.rule)}"
    return f"::{_COMMANDS[finding.confidence]} {place}::{_escaped(finding.message)}%0A{_escaped(finding.fix)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


_LEVELS: Mapping[Confidence, str] = {"certain": "error", "likely": "warning", "info": "note"}


def as_sarif(findings: Sequence[Finding], passed: Sequence[Passed] = (), lang: Language = "en") -> str:
    """The standard of static analysis, version 2.1.0; the language is that of the rules' own words."""
    from importlib.metadata import version

    rules = list(RULES)
    driver = {
        "name": "crossentropy doctor",
        "version": version("crossentropy"),
        "rules": [_sarif_rule(rule, lang) for rule in RULES.values()],
    }
    results = [_sarif_result(finding, rules.index(finding.rule)) for finding in findings]
    invocation = {"executionSuccessful": True, "toolExecutionNotifications": list(map(_sarif_notification, passed))}
    run = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    log = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(log, ensure_ascii=False, indent=1)


def _sarif_rule(rule: Rule, lang: Language) -> dict[str, Any]:
    meaning, symptom, fix = words(rule, lang)
    return {
        "id": rule.name,
        "shortDescription": {"text": meaning},
        "fullDescription": {"text": f"{meaning} {symptom}"},
        "help": {"text": fix},
        "defaultConfiguration": {"level": "note" if rule.harmless else "error"},
    }


def _sarif_result(finding: Finding, index: int) -> dict[str, Any]:
    region = {"startLine": finding.line, "startColumn": finding.column}
    cell = "" if finding.cell is None else f" (cell {finding.cell})"
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.confidence],
        "message": {"text": f"{finding.message}{cell}\n{finding.fix}"},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": _uri(finding.path)}, "region": region}},
        ],
        "relatedLocations": [_sarif_place(place) for place in _related(finding)],
        "properties": {"confidence": finding.confidence},
    }


def _related(finding: Finding) -> list[Place]:
    return [*([] if finding.cause is None else [finding.cause]), *finding.also]


def _sarif_place(place: Place) -> dict[str, Any]:
    region = {"startLine": place.line, "startColumn": place.column}
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(place.path)}, "region": region}}


def _sarif_notification(file: Passed) -> dict[str, Any]:
    place = {"physicalLocation": {"artifactLocation": {"uri": _uri(file.path)}}}
    return {"level": "warning", "message": {"text": str(file)}, "locations": [place]}


def _uri(path: str) -> str:
    pure = PurePath(path)
    return pure.as_uri() if pure.is_absolute() else quote(os.fsencode(pure.as_posix()))


FORMATS: Mapping[str, Callable[[Sequence[Finding], Sequence[Passed], Language], str]] = {
    "text": lambda findings, passed, lang: LANGUAGES[lang].findings(findings),
    "json": lambda findings, passed, lang: as_json(findings_in(lang, findings), passed_in(lang, passed)),
    "github": lambda findings, passed, lang: as_github(findings_in(lang, findings), passed_in(lang, passed), lang),
    "sarif": lambda findings, passed, lang: as_sarif(findings_in(lang, findings), passed_in(lang, passed), lang),
}
"""By the names of `--output-format`; names of rules, keys and places are the same in all languages."""


def _about_in_chinese(rule: Rule) -> str:
    """The same in Chinese."""
    meaning, symptom, fix = _chinese.RULES[rule.name]
    lines = [rule.name, "=" * len(rule.name), "", meaning, "", f"后果：{symptom}", f"改法：{fix}", ""]
    lines += [f"  - {line}" for line in rule.wrong.split("\n")] + [f"  + {line}" for line in rule.right.split("\n")]
    seen = "、".join(name for name, can in (("运行时", rule.run), ("源代码中", rule.source)) if can)
    harmless = ["损失本身没有错：只作为提示给出。"] if rule.harmless else []
    return "\n".join([*lines, "", f"可见于：{seen}。", *harmless, f"文档：{rule.page}"])


def _about(rule: Rule) -> str:
    """What `--explain RULE` prints."""
    seen = " and ".join(name for name, can in (("at run time", rule.run), ("in source", rule.source)) if can)
    lines = [rule.name, "=" * len(rule.name), "", rule.meaning, "", f"Symptom: {rule.symptom}", f"Fix: {rule.fix}", ""]
    lines += [f"  - {line}" for line in rule.wrong.split("\n")] + [f"  + {line}" for line in rule.right.split("\n")]
    harmless = ["The loss is right all the same: reported as info."] if rule.harmless else []
    return "\n".join([*lines, "", f"Seen: {seen}.", *harmless, f"Documentation: {rule.page}"])


class Telling(NamedTuple):
    """How people are told."""

    findings: Callable[[Sequence[Finding]], str]
    summary: Callable[[Sequence[Finding], str], str]
    """One line: how much was found, and in what."""
    about: Callable[[Rule], str]
    """What `--explain RULE` prints."""
    files: Callable[[int], str]
    """How many files were examined."""
    steps: Callable[[int, int, str], str]
    """How many steps and loss calls of a script were watched."""


LANGUAGES: Mapping[Language, Telling] = {
    "en": Telling(
        as_text,
        _summary,
        _about,
        lambda count: plural(count, "file"),
        lambda steps, calls, script: f"{plural(steps, 'step')} and {plural(calls, 'loss call')} of {script}",
    ),
    "zh": Telling(
        _as_chinese,
        _summary_in_chinese,
        _about_in_chinese,
        lambda count: f"检查了 {count:,} 个文件",
        lambda steps, calls, script: f"观察了 {script} 的 {steps} 步、{calls} 次损失计算",
    ),
}
"""By the names of `--lang`."""
