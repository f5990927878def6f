"""`crossentropy explain`: files in, words out, and one line when something is wrong."""

import io
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import crossentropy
from crossentropy import cli

LOGITS = torch.tensor([[2.0, 0.5, 0.0], [0.0, 0.25, 3.0]])
LABELS = torch.tensor([0, 2])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    np.save(tmp_path / "logits.npy", LOGITS.numpy())
    np.save(tmp_path / "labels.npy", LABELS.numpy())
    np.savez(tmp_path / "batch.npz", logits=LOGITS.numpy(), labels=LABELS.numpy())
    save_file({"input": LOGITS, "target": LABELS}, tmp_path / "batch.safetensors")
    torch.save({"logits": LOGITS, "y": LABELS}, tmp_path / "batch.pt")
    (tmp_path / "logits.csv").write_text("cat,dog,<b>\n2,0.5,0\n0,0.25,3\n")
    (tmp_path / "labels.csv").write_text("0\n2\n")
    (tmp_path / "batch.json").write_text(json.dumps({"logits": LOGITS.tolist(), "labels": LABELS.tolist()}))
    (tmp_path / "probs.csv").write_text("0.1,0.2,0.7\n0.5,0.25,0.25\n")
    (tmp_path / "one_hot.csv").write_text("1,0,0\n0,0,1\n")
    (tmp_path / "floats.csv").write_text("0.0\n2.0\n")
    np.save(tmp_path / "weight.npy", np.array([1, 2, 3]))
    np.save(tmp_path / "hidden.npy", np.eye(2, dtype=np.float32))
    np.save(tmp_path / "head.npy", LOGITS.T.contiguous().numpy())
    return tmp_path


def run(files: Path, *arguments: str, code: int = 0) -> str:
    """Run the command in a folder."""
    try:
        result = cli.main(["explain", *(str(files / a) if (files / a).is_file() else a for a in arguments)])
    except SystemExit as ended:
        result = ended.code
    assert result == code
    return ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("logits.npy", "labels.npy"), ("batch.npz",), ("batch.safetensors",), ("batch.pt",), ("batch.json",),
        ("logits.csv", "labels.csv"), ("logits.npy", "labels.csv"), ("logits.csv", "floats.csv"),
        ("logits.csv", "one_hot.csv"),
        ("hidden.npy", "labels.npy", "--linear-weight", "head.npy"),
    ],
)  # fmt: skip
def test_every_format(files: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    run(files, *arguments, "--json")
    data = json.loads(capsys.readouterr().out)
    assert data["value"] == pytest.approx(crossentropy.functional.cross_entropy(LOGITS, LABELS).item(), abs=1e-6)
    assert data["agrees"]


@pytest.mark.parametrize("kind", ["json", "csv", "npy", "npz"])
def test_standard_input(
    files: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = {"json": "batch.json", "csv": "logits.csv", "npy": "logits.npy", "npz": "batch.npz"}[kind]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((files / source).read_bytes())))
    run(files, "-", *(["labels.csv"] if kind in ("csv", "npy") else []), "--json")
    assert json.loads(capsys.readouterr().out)["all_rows"] == 2


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8, torch.uint16, torch.bool])
def test_dtypes_that_torch_hardly_computes_in(
    files: Path, dtype: torch.dtype, capsys: pytest.CaptureFixture[str]
) -> None:
    logits = LOGITS.abs().to(dtype)
    save_file({"logits": logits, "labels": LABELS.to(torch.uint16)}, files / "few.safetensors")
    run(files, "few.safetensors", "--json")
    expected = crossentropy.functional.cross_entropy(logits.float(), LABELS)
    assert json.loads(capsys.readouterr().out)["value"] == pytest.approx(expected.item(), rel=1e-6)


def test_options_mirror_the_function(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(files, "logits.npy", "labels.npy", "--json", "--weight", "weight.npy", "--label-smoothing", "0.1", "--z-loss",
        "0.01", "--softcap", "5", "--logit-scale", "0.5", "--reduction", "sum", "--unit", "bit")  # fmt: skip
    data = json.loads(capsys.readouterr().out)
    expected = crossentropy.functional.cross_entropy(
        LOGITS, LABELS, weight=torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1, z_loss=0.01, softcap=5.0,
        logit_scale=0.5, reduction="sum",
    )  # fmt: skip
    assert data["value"] == pytest.approx(expected.item(), abs=1e-6)
    in_bits = next(step for step in data["steps"] if step["key"] == "value_in_unit")
    assert (data["unit"], in_bits["unit"]) == ("nat", "bit")  # the function's value is in nats, whatever is shown
    assert in_bits["value"] == pytest.approx(data["value"] / math.log(2))
    run(files, "logits.npy", "labels.npy", "--json", "--ignore-index", "2", "--denominator", "4")
    expected = crossentropy.functional.cross_entropy(LOGITS, LABELS, ignore_index=2, denominator=4.0)
    assert json.loads(capsys.readouterr().out)["value"] == pytest.approx(expected.item(), abs=1e-6)
    run(files, "probs.csv", "labels.csv", "--probs", "--lang", "en")
    assert "log 0.1000 = −2.3026" in capsys.readouterr().out


def test_names_come_from_the_first_line_or_the_option(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(files, "logits.csv", "labels.csv", "--lang", "en")
    assert re.search(r"class +cat +dog +<b>", capsys.readouterr().out)
    run(files, "logits.csv", "labels.csv", "--lang", "en", "--class-names", "x,y,z")
    assert re.search(r"class +x +y +z", capsys.readouterr().out)


def test_a_table_is_logits_and_labels(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "t.csv").write_text("id,cat,dog,owl,label,w\n7,2,.5,0,cat,1\n8,0,.25,3,owl,3\n")
    expected = crossentropy.functional.cross_entropy(LOGITS, LABELS).item()
    weighted = crossentropy.functional.cross_entropy(LOGITS, LABELS, token_weight=torch.tensor([1.0, 3.0])).item()
    asked = ["--from", "logits=cat,dog,owl", "label=label"]
    for options, value in ((asked, expected), ([*asked, "weight=w"], weighted)):
        run(files, "t.csv", *options, "--json", "--lang", "en")
        out, said = capsys.readouterr()
        data = json.loads(out)
        assert data["value"] == pytest.approx(value, abs=1e-6)
        assert data["class_names"] == ["cat", "dog", "owl"]
        assert said == ""  # the user has said it
    for lang, told in (("en", "logits = cat, dog, owl; label = label; weight = w; left out: id"), ("zh", "未用：id")):
        run(files, "t.csv", "--from", "weight=w", "--json", "--lang", lang)
        out, said = capsys.readouterr()
        assert json.loads(out)["value"] == pytest.approx(weighted, abs=1e-6)
        assert told in said
    (files / "p.csv").write_text("a,b,label\n.5,.5,b\n")
    run(files, "p.csv", "--from", "probs=a,b", "label=label", "--json")
    assert json.loads(capsys.readouterr().out)["value"] == pytest.approx(np.log(2))


@pytest.mark.parametrize(("lang", "told"), [("en", "did you mean --probs?"), ("zh", "是不是应该加 --probs？")])
def test_probabilities_that_are_taken_for_logits(
    files: Path, capsys: pytest.CaptureFixture[str], lang: str, told: str
) -> None:
    run(files, "probs.csv", "labels.csv", "--lang", lang)
    assert told in capsys.readouterr().err
    run(files, "probs.csv", "labels.csv", "--lang", lang, "--probs")
    assert told not in capsys.readouterr().err
    run(files, "logits.csv", "labels.csv", "--lang", lang)
    assert told not in capsys.readouterr().err


def test_a_table_in_chinese(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Full-width commas, as a Chinese keyboard writes them, and a column called label."""
    for text in ("猫,狗,标签\n.5,.5,狗\n", "猫，狗，标签\n.5，.5，狗\n"):
        (files / "zh.csv").write_text(text, "utf-8")
        run(files, "zh.csv", "--probs", "--json", "--lang", "zh")
        data = json.loads(capsys.readouterr().out)
        assert data["value"] == pytest.approx(np.log(2))
        assert data["class_names"] == ["猫", "狗"]
    run(files, "logits.csv", "labels.csv", "--class-names", "甲，乙，丙", "--json")
    assert json.loads(capsys.readouterr().out)["class_names"] == ["甲", "乙", "丙"]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_tutorials_examples(lang: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "--lang", lang, "--html", str(tmp_path / "e.html"), "--plot", str(tmp_path / "e.svg"))
    text, said = capsys.readouterr()
    for part in ("0.4078", "10.7506", "1 · (−1.6094) = 1.6094", "0 + 1.6094 = 1.6094"):
        assert part in text
    assert text.count("✓") == 5
    assert ("参照值" in text) == (lang == "zh")
    assert "e.html" in said
    assert (tmp_path / "e.html").read_text("utf-8").startswith("<!doctype html>")
    assert (tmp_path / "e.svg").read_text("utf-8").count("<svg") == 1
    if lang == "zh":  # no English sentence is left
        assert not re.findall(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}", text)


def test_markdown_and_terminal(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(files, "batch.npz", "--markdown", "--lang", "en")
    assert capsys.readouterr().out.startswith("# Cross entropy of logits")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    run(files, "batch.npz", "--lang", "en")
    assert "[2]" in capsys.readouterr().out


def test_a_terminal_without_the_minus_sign_keeps_the_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), "ascii", errors="strict")
    monkeypatch.setattr("sys.stdout", out)
    assert cli.main(["explain", "--lang", "en"]) == 0
    out.flush()
    text = out.buffer.getvalue().decode("ascii")  # pyright: ignore[reportAttributeAccessIssue]
    assert "-(-0.4068 -1.7975 -0.9291) / 3 = 1.0445" in text
    assert "?" not in text


WRONG: dict[str, tuple[list[str], str, str]] = {
    "missing file": (["none.npy", "labels.npy"], "none.npy: there is no such file", "文件不存在"),
    "no target": (["logits.npy"], "logits.npy: one array alone, as a file of this kind", "里面只有一个数组"),
    "no target in CSV": (["probs.csv"], "probs.csv: one array alone, as a file of this kind", "里面只有一个数组"),
    "no label in CSV": (["logits.csv"], "which column is target? It has cat, dog, <b>;", "哪一列是 target"),
    "no such column": (["logits.csv", "--from", "label=x"], "--from: there is no x; it has cat,", "没有 x；"),
    "no role": (["logits.csv", "--from", "id=a"], "'id=a': expected as in logits=a,b,c, with a word of", "等号前可用"),
    "role twice": (["logits.csv", "--from", "probs=cat", "logits=dog"], "--from: logits, though", "已经指定过"),
    "weights twice": (
        ["logits.csv", "labels.csv", "--from", "weight=cat", "--token-weight", "weight.npy"],
        "--from weight=…: the token_weight is in a file of its own already",
        "已经由另一个文件给出",
    ),
    "no columns": (
        ["logits.csv", "--from"],
        "argument --from: expected at least one argument",
        "参数 --from：缺少取值",
    ),
    "no target in JSON": (["alone.json"], "alone.json: one array alone; give the targets in a second", "或把两个数组"),
    "no logits": (["hidden.npz"], "which array is target?", "哪个数组是 target？"),
    "bad cell": (["bad.csv", "labels.csv"], "bad.csv: line 2, column 3: 'x' is no number", "第 2 行第 3 列"),
    "label": (
        ["logits.npy", "wrong.csv"],
        "wrong.csv: the label of row [1] is 3, expected one of 0 … 2 — labels up to 3 need 4 columns",
        "第 [1] 行的标签是 3，应在 0 … 2 之间——标签最大为 3，logits 需要 4 列",
    ),
    "labels from one": (["logits.npy", "ones.csv"], "0 … 2 — labels that start at 1? subtract 1", "标签从 1 开始？"),
    "labels from one, some ignored": (
        ["logits.npy", "marked.csv", "--ignore-index", "-1"],
        "is 3, expected one of 0 … 2 — labels that start at 1? subtract 1 from all but the ignored ones",
        "除被忽略的以外，请减去 1",
    ),
    "two kinds of padding": (
        ["logits.npy", "padded.csv", "--ignore-index", "0"],
        "is -1, expected one of 0 … 2 — padding? give all of it one label, and --ignore-index",
        "——填充？请统一用同一个标签",
    ),
    "padding": (["logits.npy", "padded.csv"], "0 … 2, or --ignore-index -1", "或用 --ignore-index -1 忽略"),
    "broken label": (["logits.npy", "half.csv"], "the label of row [1] is 1.5, expected a whole", "1.5，应为整数"),
    "shape": (["logits.npy", "short.csv"], "the targets have shape (1), expected (2)", "目标的形状是（1），应为（2"),
    "both stdin": (["-", "-"], "- can stand for one file only", "- 只能代替一个文件"),
    "no number": (["batch.npz", "--softcap", "much"], "argument --softcap: 'much' is no number", "'much' 不是数"),
    "choice": (["batch.npz", "--reduction", "min"], "argument --reduction: invalid choice", "无效的取值"),
    "unknown": (["batch.npz", "--foo"], "unrecognized arguments: --foo", "无法识别的参数：--foo"),
    "no value": (["batch.npz", "--html"], "argument --html: expected one argument", "参数 --html：缺少取值"),
    "folder": (["batch.npz", "--html", "/"], "--html: cannot write", "--html：无法写入"),
    "figure": (["batch.npz", "--plot", "x.doc"], "expected .png, .svg or .pdf", "扩展名应为"),
    "probabilities": (["logits.npy", "labels.npy", "--probs"], "logits.npy", "logits.npy"),
    "names": (["batch.npz", "--class-names", "a,b"], "class_names has 2 names, expected 3", "class_names"),
    "smoothing": (["batch.npz", "--label-smoothing", "7"], "label_smoothing is 7.0", "label_smoothing is 7.0"),
    "scalar": (["scalar.npy", "labels.npy"], "scalar.npy: input is a single number, expected", "只是一个数"),
    "scalar text": (["scalar.json", "labels.npy"], "scalar.json: input is a single number", "只是一个数"),
    "scalar target": (["logits.npy", "scalar.npy"], "scalar.npy: the targets have shape (1), expected (2)", "应为（2"),
    "scalar weight": (["batch.npz", "--weight", "scalar.npy"], "batch.npz: weight", "batch.npz: weight"),
    "records": (["records.npy", "labels.npy"], "records.npy: the nameless array is of [(", "的类型是 [("),
    "objects": (
        ["objects.npy", "labels.npy"],
        "objects.npy: corrupt, no .npy file, or with Python objects",
        "Python 对象",
    ),
    "two kinds": (["batch.npz", "--json", "--markdown"], "not allowed with argument --json", "不能与"),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_line_and_exit_code_2(files: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "bad.csv").write_text("1,2,3\n4,5,x\n")
    (files / "alone.json").write_text("[[1, 2]]")
    (files / "ones.csv").write_text("1\n3\n")
    (files / "marked.csv").write_text("-1\n3\n")
    (files / "padded.csv").write_text("0\n-1\n")
    (files / "half.csv").write_text("0\n1.5\n")
    (files / "wrong.csv").write_text("0\n3\n")
    (files / "short.csv").write_text("0\n")
    np.save(files / "scalar.npy", np.float32(3))
    (files / "scalar.json").write_text("5")
    np.save(files / "records.npy", np.zeros(2, [("a", "f4")]))
    np.save(files / "objects.npy", np.array([{}]), allow_pickle=True)
    np.savez(files / "hidden.npz", logits=LOGITS.numpy(), other=LABELS.numpy())
    arguments, english, chinese = WRONG[case]
    for lang, part in (("en", english), ("zh", chinese)):
        run(files, *arguments, "--lang", lang, code=2)
        out, said = capsys.readouterr()
        assert part in said
        assert said.count("\n") == 1
        assert out == ""


def test_help_is_in_both_languages(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    texts = []
    for lang in ("en", "zh"):
        run(tmp_path, "--help", "--lang", lang)
        texts.append(capsys.readouterr().out)
    options = [re.findall(r"(?m)^  (?:-h, )?(--[\w-]+)", text) for text in texts]
    assert options[0] == options[1]
    assert len(options[0]) == 23
    assert "usage:" not in texts[1]
    assert not re.findall(r"[a-z]{3,} [a-z]{2,} [a-z]{3,}", texts[1])


def test_a_reader_that_leaves(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import sys

    command = f"{sys.executable} -m crossentropy explain -q --lang en | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout == "Information −log p of 2 outcomes\n"
    assert done.stderr == ""


@pytest.mark.parametrize("link", [False, True])
def test_a_file_that_is_read_is_not_overwritten(tmp_path: Path, link: bool) -> None:
    logits, target, out = tmp_path / "z.npy", tmp_path / "y.npy", tmp_path / "out.html"
    np.save(logits, np.eye(3, dtype=np.float32))
    np.save(target, np.arange(3))
    before = logits.read_bytes()
    out.symlink_to(logits)
    command = [sys.executable, "-m", "crossentropy", "explain", str(logits), str(target), "--html"]
    done = subprocess.run([*command, str(out if link else logits)], capture_output=True, text=True)
    assert done.returncode == 2
    assert "is read as well, and would be lost" in done.stderr
    assert logits.read_bytes() == before


def test_without_input_the_page_is_the_chain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "chain.html"
    assert cli.main(["explain", "--html", str(page), "--lang", "zh"]) == 0
    assert page.read_text("utf-8") == crossentropy.explain.chain("zh").to_html()
    assert crossentropy.explain.chain("zh").title in (said := capsys.readouterr().err)
    assert "--unit" not in said
    assert cli.main(["explain", "--html", str(page), "--lang", "en", "--unit", "bit"]) == 0
    assert "a switch of its own between nats and bits" in capsys.readouterr().err
