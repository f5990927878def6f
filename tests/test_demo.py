"""The demonstration, end to end and quick, and what it does with wrong input."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crossentropy import _progress, cli, explain
from crossentropy._usage import installation
from crossentropy.demo import chain, digits, language
from crossentropy.demo.report import Section, Table, to_html

SILENT = lambda *_: None  # noqa: E731


@pytest.fixture(scope="module")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of 6,000 words in which each word is followed by one of two."""
    words = [f"w{(7 * i * i + i) % 50} {'a' if i % 3 else 'b'}." for i in range(2_000)]
    path = tmp_path_factory.mktemp("text") / "<b>story<b>.txt"
    path.write_text(" ".join(words), "utf-8")
    return path


def test_every_number_of_the_chain_agrees_with_torch() -> None:
    batch = chain.batch(seed=0)
    assert batch.agrees
    lines = chain.lines()
    assert len(lines) == 11
    assert all(line.agrees for line in lines)
    wrong = chain.Line("", "", lines[0].ours + 0.01, lines[0].torchs)
    assert not wrong.agrees
    assert "NO" in str(chain.section([wrong], batch).parts)


def test_the_three_losses_on_digits() -> None:
    runs = digits.run(epochs=6, seed=0, progress=SILENT)
    squared, twice, right = runs
    assert right.accuracies[-1] > max(squared.accuracies[-1], twice.accuracies[-1])
    assert right.accuracies[-1] > 0.85
    assert min(twice.losses) > digits.SOFTMAX_FLOOR == pytest.approx(1.4612, abs=5e-5)
    assert right.losses[-1] < right.losses[0] < math.log(10)
    assert digits.run(epochs=1, seed=3, progress=SILENT) == digits.run(epochs=1, seed=3, progress=SILENT)
    text = str(digits.section(runs))
    assert "more than 6 epochs" in text
    assert "1.4612" in text


def test_a_language_model_with_each_program(text_file: Path) -> None:
    corpus = language.load(text_file)
    assert corpus.vocabulary <= 60
    seen = []
    ours, torchs, fused = language.run(corpus, 30, 0, lambda what, done, total: seen.append((what, done, total)))
    assert seen[29][1:] == (30, 30)
    assert fused.losses == pytest.approx(ours.losses, rel=1e-4)
    assert fused.peak_bytes <= ours.peak_bytes
    assert ours.losses[0] == pytest.approx(torchs.losses[0], rel=1e-6)
    assert ours.losses[-1] < corpus.unigram_nats < ours.losses[0]
    assert ours.disagreement < 1e-6
    assert ours.peak_bytes > 4 * corpus.vocabulary * language.SENTENCES * language.WORDS


def test_the_library_source_has_a_large_vocabulary() -> None:
    corpus = language.load(None)
    assert corpus.vocabulary == language.VOCABULARY >= 16_000
    assert len(corpus.words) > 1_000_000


def test_quick_demo_writes_a_self_contained_report(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "new" / "folder"
    assert (
        cli.main(["demo", "--quick", "--seed", "1", "--lang", "en", "--out", str(out), "--text", str(text_file)]) == 0
    )
    printed = capsys.readouterr().out
    report = out / "demo-report.html"
    assert "demo-report.html" in printed
    assert printed.index("1. The chain") < printed.index("2. Change the loss") < printed.index("3. A language model")
    page = report.read_text("utf-8")
    assert page.count("<svg") == page.count("<figcaption>") == 5
    assert not re.search(r"<(script|link|img|iframe)\b|@import|url\((?!#)", page)  # everything is inside
    assert (out / "demo-chain.html").read_text("utf-8") == explain.chain("en").to_html()
    assert "demo-chain.html" in printed
    assert "demo-chain.html" in page
    assert "&lt;b&gt;story&lt;b&gt;.txt" in page
    assert "<b>story" not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--seed", "x"], "argument --seed: 'x' is no whole number"),
        (["demo", "--seed", "-1"], "--seed"),
        (["demo", "--text", "missing.txt"], "--text: cannot read missing.txt: No such file or directory"),
        (["demo", "--fast"], "unrecognized arguments: --fast"),
        (["dance"], "there is no command dance; crossentropy --help lists the commands"),
    ],
)
def test_wrong_arguments_get_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = cli.main(arguments)
    except SystemExit as stop:
        code = stop.code
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_unusable_files_get_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    binary, short = tmp_path / "binary", tmp_path / "short.txt"
    binary.write_bytes(b"\xff\xfe\x00")
    short.write_text("too few words")
    for arguments, message in (
        (["--text", str(binary)], "not UTF-8 text"),
        (["--text", str(tmp_path)], "Is a directory"),
        (["--text", str(short)], "short.txt has 3 words, expected at least 2000"),
        (["--out", str(short)], "--out: cannot write"),
    ):
        assert cli.main(["demo", "--quick", *arguments]) == 2
        printed = capsys.readouterr().err
        assert message in printed
        assert printed.count("\n") == 1


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert cli.main(["demo"]) == 2
    assert f"sklearn is missing — {installation('demo')}\n" in capsys.readouterr().err


def test_the_command_and_the_module_are_the_same() -> None:
    for command in (["crossentropy"], [sys.executable, "-m", "crossentropy"]):
        path = [str(Path(sys.executable).parent / command[0])] if command[0] == "crossentropy" else command
        result = subprocess.run([*path, "--version"], capture_output=True, text=True, check=True)
        assert result.stdout.startswith("crossentropy 0.")


def test_html_is_escaped_everywhere() -> None:
    page = to_html("<t>", [Section("<s>", ("<p>", Table(("<h>",), (("<c>",),))))])
    for tag in ("<t>", "<s>", "<c>", "<h>"):
        assert tag not in page
    assert "<p>&lt;p&gt;</p>" in page


def test_the_demo_in_chinese(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained, run = digits.run, language.run
    monkeypatch.setattr(digits, "run", lambda epochs, seed, told: trained(1, seed, told))
    monkeypatch.setattr(language, "run", lambda corpus, steps, seed, told: run(corpus, 3, seed, told))
    monkeypatch.setattr(_progress, "PATIENCE", 0.0)
    monkeypatch.setenv("COLUMNS", "200")
    arguments = ["demo", "--quick", "--lang", "zh", "--out", str(tmp_path), "--text", str(text_file)]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr()
    assert (
        printed.out.index("一、从信息量到损失")
        < printed.out.index("二、把损失换成交叉熵")
        < printed.out.index("三、语言模型")
    )
    assert "带图的报告：" in printed.out
    assert {"加载 torch …", "读取文本 …", "三个训练交替进行 (3) …", "测试三个模型 (3) …"} <= {*printed.err.splitlines()}
    page = (tmp_path / "demo-report.html").read_text("utf-8")
    assert '<html lang="zh-CN">' in page
    assert (tmp_path / "demo-chain.html").read_text("utf-8") == explain.chain("zh").to_html()
    text = re.sub(r"<style.*?</style>|<svg.*?</svg>|<[^>]*>", " | ", page, flags=re.DOTALL)
    for shown in (printed.out, printed.err, text):
        assert not re.findall(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}", shown.replace(str(tmp_path), ""))
