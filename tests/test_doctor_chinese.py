"""The doctor and convert in Chinese: nothing they can say is left in English, and what is said names the same things."""

import ast
import re
from pathlib import Path

import crossentropy.doctor
from crossentropy._languages import PhraseBook
from crossentropy.doctor import _chinese_changes, _chinese_findings
from crossentropy.doctor._translation import say
from crossentropy.doctor.rules import UNDERFLOWS

FOLDER = Path(crossentropy.doctor.__file__).parent
SAYING = sorted(
    file
    for file in FOLDER.rglob("*.py")
    if not file.stem.startswith("_chinese")
    and file.stem not in ("rules", "_output", "_translation", "_operations", "_binding", "_signatures", "_axes")
)
VARIANTS = (
    "⟦0⟧ ended with exit code 3", "⟦0⟧ ended with exit code 3 before it called a loss that is known here",
    "⟦0⟧ was ended by signal 9", "--select: there is no rule 'x'; did you mean ⟦0⟧?",
    "--select: there is no rule 'x'; crossentropy doctor --explain all lists them",
    "same value: log_softmax is the logarithm of softmax, and does not underflow; with more than one axis, the classes may "
    "be another axis than now", "⟦0⟧: line 3, column 1: this is not Python (⟦1⟧)",
    "⟦0⟧: examined in part: it takes too many steps to follow", "⟦0⟧: passed over: nested too deeply",
    "log_softmax at ⟦0⟧ is taken over axis 0, and nll_loss reads the classes along axis 1: rows are not normalised, they "
    "sum to 0.3 … 2.1 instead of 1",
    "log_softmax is taken over an axis that is gone, and nll_loss reads the classes along axis 1: rows are not normalised",
    "what looks like probabilities at ⟦0⟧, rows that sum to 1, feeds cross_entropy, which applies log_softmax itself: the "
    "loss is 1.5; on the logits it would be 0.2; the loss can never go below 0.744 for 4 classes, and its gradient is "
    "0.1× smaller",
    "softmax at ⟦0⟧ feeds js_div_with_logits as the teacher's, which takes logits and applies softmax itself: numbers "
    "between 0 and 1 make distributions that are almost uniform",
    "kl_div with reduction='mean' divides by all 12 entries and not by the 4 rows: the divergence is 3× too small — "
    "reduction='batchmean'",
    "kl_div with reduction='mean' divides by all entries and not by the rows: the result is C× too small — "
    "reduction='none', .sum(1), then the mean over the rows",
    "kl_div with reduction='batchmean' divides by the first axis only, and the input has 3: the divergence is 7× too large "
    "as a sample has positions — flatten to (N·T, C) first",
    "kl_div with reduction='batchmean' divides by the first axis only, and the input has 3: the divergence is as many times "
    "too large as a sample has positions — flatten to (N·T, C) first",
    *(f"the first argument of cross_entropy{x} is the target (indices) and the second{y} the prediction: input first"
      for x in ("", ", (4),") for y in ("", ", (4, 3),")),
    *(f"the first argument of cross_entropy{x} has no gradient and the second{y} is the model's output: input first"
      for x in ("", ", (4),") for y in ("", ", (4, 3),")),
    "a label of cross_entropy (made at ⟦0⟧) can be 5, expected 0 … 4, or ignore_index (-100) — labels that start at 1? use "
    "target - 1", "a label of nll_loss is 255, expected 0 … 4, or ignore_index (-100) — pass ignore_index=255",
    "labels of cross_entropy are padded with 0, and only -100 is ignored: padding counts in the mean, 12% of the labels, "
    "without which the loss would be 2.1 — ignore_index=0",
    "the logit of class 3 is −inf in 2 of 8 rows, and the labels of cross_entropy reach from 0 to 9: the loss of that class "
    "is inf",
    "the criterion has become a number: ⟦0⟧", "the criterion has become a Tensor: ⟦0⟧",
    "the target of cross_entropy is rows that sum to 0.1 … 2, with negative entries, whose rows do not sum to 1: apply "
    "softmax to logits, or divide each row by its sum",
    "the target of cross_entropy is sigmoid scores at ⟦0⟧, whose rows do not sum to 1: apply softmax to logits, or divide "
    "each row by its sum",
    "by their names the first argument of cross_entropy, ⟦0⟧, is the target and the second, ⟦1⟧, the prediction: input first",
    "by their names ⟦0⟧ is given a target for 'logits' and a prediction for 'labels'",
    f"the logarithm of a softmax, in two steps, on its way to nll_loss at ⟦0⟧: {UNDERFLOWS}",
    f"the logarithm of a softmax, in two steps, after the softmax at ⟦0⟧: {UNDERFLOWS}",
    f"the logarithm of a softmax, in two steps, in the cross entropy of ⟦0⟧: {UNDERFLOWS}",
    "the ReLU at ⟦0⟧ is the last operation before softmax and cross_entropy: no class can be ruled out, and where all "
    "logits are 0 there is no gradient",
    "the ReLU is the last operation before cross_entropy: 50% of the logits are 0 and have no gradient; no class can be "
    "ruled out, and where all logits are 0 there is no gradient",
    "means over 12 and 4 rows are averaged with equal weight",
    "the focal factor is computed from a loss that was already reduced to its mean over 8 rows (at ⟦0⟧): one number weighs "
    "the whole batch — reduction='none'",
    "binary_cross_entropy takes probabilities and gets raw scores at ⟦0⟧: 1.7 is no probability; use "
    "binary_cross_entropy_with_logits",
    "this term of the loss of ⟦0⟧ loses its graph here: it changes the value of the loss, and trains nothing",
    "softmax at ⟦0⟧ feeds nll_loss, which takes log-probabilities: the loss is -0.3; it is minus a mean probability, between "
    "−1 and 0 (where the option softmax is True)",
)  # fmt: skip
"""Sentences that are put together of several texts of the sources."""
NOT_SAID = re.compile(
    r"^ast\.| \| |^tuple\[|^Mapping\[|^Callable|^\n|^\^|^children named|^to cuda|log of softmax|^filled with$|^log loss"
    r"|has no attribute|does not require|is not callable|size_average and reduce args|^from ⟦|Exception in thread"
    r"|linear_bias=|No newline|could not examine a call|^steps is |^nothing found in|^labels\[|^\*to normalise"
    r"|\[tool\.crossentropy\]$"
)
"""What looks like a sentence and is none, or is told to programs: types, patterns, errors of torch, the watcher's own."""
PARTS = re.compile(
    r"^(ended with exit code|was ended by signal|; did you mean|; crossentropy doctor --explain|; with |more than |⟦0⟧line"
    r"|examined in part$|passed over$|the logarithm of a softmax|log_softmax⟦1⟧ is taken over ⟦|what looks like prob"
    r"|, they sum to| as the teacher's|⟦0⟧ with reduction=|as many times$|the first argument of ⟦1⟧⟦2⟧|can be$"
    r"|a label of ⟦1⟧ ⟦|labels of ⟦1⟧ are padded|the criterion has become ⟦|, with negative|⟦0⟧, is the target"
    r"|by their names|⟦0⟧: there is no rule)"
)
"""What is only ever part of one of `VARIANTS`."""


def sentences(file: Path) -> set[str]:
    """The texts of a module that have two words or more, with ⟦i⟧ for what is filled in, but for the help of commands."""
    nodes = list(ast.walk(ast.parse(file.read_text("utf-8"))))
    parts = {id(v) for node in nodes if isinstance(node, ast.JoinedStr) for v in node.values}
    parts |= {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    parts |= {id(node.value) for node in nodes if isinstance(node, ast.keyword) and node.arg == "help"}
    parts |= {id(node.value) for node in nodes if isinstance(node, ast.Assign) and "parser." in ast.unparse(node)}
    found = set()
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            pieces = [v.value if isinstance(v, ast.Constant) else f"⟦{i}⟧" for i, v in enumerate(node.values)]
            found.add("".join(map(str, pieces)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            found.add(node.value)
    return {text for text in found if len(re.findall("[A-Za-z]{2,}", text)) > 1 and " " in text}


def assert_said(text: str) -> None:
    said = say(text, "zh")
    assert re.search("[\u4e00-\u9fff]", said), text
    assert not re.search(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}", said), said
    assert sorted(re.findall("⟦.⟧", said)) == sorted(re.findall("⟦.⟧", text)), said  # what is filled in is all there


def test_every_sentence_has_words_in_chinese() -> None:
    said = {text for file in SAYING for text in sentences(file)}
    wanted = {text for text in said if not NOT_SAID.search(text) and not PARTS.search(text)}
    assert len(wanted) > 200
    for text in wanted:
        assert_said(text)


def test_sentences_that_are_put_together() -> None:
    numbers = re.compile(r"\d+(?:\.\d+)?")
    for text in VARIANTS:
        assert_said(text)
        assert {*numbers.findall(text)} <= {*numbers.findall(say(text, "zh"))}


def test_every_phrase_is_found_by_its_own_sentence() -> None:
    """No phrase is hidden by another, and none loses what is filled in."""
    for english, chinese in {**_chinese_findings.PHRASES, **_chinese_changes.PHRASES}.items():
        blanks = dict.fromkeys(re.findall(r"\{(\w+)\}", english))
        filled = {name: f"⟦{i}⟧" for i, name in enumerate(blanks)}
        assert {*blanks} == {*re.findall(r"\{(\w+)\}", chinese)}, english
        expected = chinese.format(**filled) if blanks else chinese
        assert say(english.format(**filled) if blanks else english, "zh").replace(" ", "") == expected.replace(" ", "")


def test_what_is_no_sentence_stays_as_it_is() -> None:
    book = PhraseBook({"{a} at {b}": "{a}（{b}）", "xx {a} yy": "甲 {a} 乙", "long {a} at {b}": "长 {a} 于 {b}"})
    assert book.say("nothing of this; is known") == "nothing of this; is known"
    assert book.say("long p at q") == "长 p 于 q"  # the phrase that asks for most of it
    assert book.say("xx p at q yy") == "甲 p（q）乙"
    assert book.say("p at {q}") == "p（{q}）"  # braces of a program are no blanks
    assert book.say("p; xx q yy") == "p；甲 q 乙"
    assert book.say("") == ""
    many = " at ".join(["a"] * 5_000)
    assert book.say(many).count("（") == 8  # a line of somebody's program: no recursion without end
