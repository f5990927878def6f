"""Commands in two languages: which one is meant, and that nothing of help, overview and errors is left in English."""

import re
from collections.abc import Mapping

import pytest

from crossentropy import _chinese, _parser, cli
from crossentropy._languages import PhraseBook, asked, of_locale
from crossentropy._parser import wrapped
from crossentropy.demo import _chinese as _chinese_of_demo

SENTENCE = re.compile(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}")
IDEOGRAPH = re.compile("[\u4e00-\u9fff]")


def test_the_language_is_known_before_arguments_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert asked(["--foo"]) == "zh"
    assert asked(["--foo", "--lang", "en"]) == "en"
    assert asked(["--lang=en"]) == "en"
    assert asked(["--lang"]) == "zh"
    assert asked(["--lang", "fr"]) == "zh"
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert of_locale() == asked(["zh"]) == "en"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_is_chinese(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    parser = cli.parser_of(name, "zh")
    for action in parser._actions:
        assert IDEOGRAPH.search(_parser.say(action.help or "", "zh")), action.help
    assert not SENTENCE.search(parser.format_help().replace("crossentropy completion", ""))
    assert parser.format_help().startswith("用法：")


@pytest.mark.parametrize("name", cli.COMMANDS)
@pytest.mark.parametrize("wrong", ["--fast", "--lang", "--lang=fr", "--quiet=1"])
def test_wrong_arguments_are_told_in_chinese(
    name: str, wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "x", wrong] if name != "demo" else [name, wrong])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert IDEOGRAPH.search(said)
    assert not SENTENCE.search(said)


def test_the_overview_is_chinese(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--lang", "zh"]) == 0
    said = capsys.readouterr().out
    for line in said.splitlines():
        assert not line or IDEOGRAPH.search(line), line


def test_a_command_that_is_no_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for lang, near, far in (
        ("en", "did you mean doctor?", "lists the commands"),
        ("zh", "是不是 doctor？", "列出所有命令"),
    ):
        monkeypatch.setenv("LC_ALL", lang)
        for wrong, said in (("docter", near), ("xyzzy", far), ("--xyzzy", far)):
            assert cli.main([wrong]) == 2
            error = capsys.readouterr().err
            assert said in error
            assert error.count("\n") == 1


@pytest.mark.parametrize("phrases", [_chinese.PHRASES, _chinese_of_demo.PHRASES])
def test_every_phrase_is_found_by_its_own_sentence(phrases: Mapping[str, str]) -> None:
    """No phrase is hidden by another, and none loses what is filled in."""
    book = PhraseBook(phrases)
    for english, chinese in phrases.items():
        blanks = dict.fromkeys(re.findall(r"\{(\w+)\}", english))
        assert {*blanks} == {*re.findall(r"\{(\w+)\}", chinese)}, english
        filled = {name: f"⟦{i}⟧" for i, name in enumerate(blanks)}
        given, expected = (text.format(**filled) if blanks else text for text in (english, chinese))
        assert book.say(given).replace(" ", "") == expected.replace(" ", "")


def test_lines_are_as_wide_as_a_terminal_shows_them() -> None:
    text = "损失 cross_entropy 的梯度，是 p − y。" * 3
    for width in (10, 20, 40):
        lines = wrapped(text, width)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        for line in lines:
            assert (
                sum(1 + bool(re.match("[\u3000-\u9fff\uff00-\uffef]", sign)) for sign in line) <= width + 5
            )  # a word stays
            assert not re.match("[，。]", line)
    assert wrapped("plain words", 80) == ["plain words"]
    assert wrapped("", 5) == [""]
