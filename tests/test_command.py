"""What holds for every command: what it imports, what a terminal is sent, and how it ends when it is cut short."""

import ast
import io
import json
import os
import pickle
import runpy
import shutil
import signal
import subprocess
import sys
import time
import unicodedata
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import crossentropy
from crossentropy import _terminal, cli, doctor
from crossentropy._terminal import escaped
from crossentropy._usage import installation
from sampling import some

MISTAKE = """\
import torch
import torch.nn.functional as F
z, y = torch.randn(4, 3), torch.arange(4) % 3
loss = F.cross_entropy(F.softmax(z, dim=1), y, size_average=False)
"""
HOSTILE = "\x1b[2J\u202e\x9b31m\x07\x7f\u2066"
BIDIRECTIONAL = ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")
ROOT = Path(crossentropy.__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(MISTAKE, "utf-8")
    return tmp_path


def controls_nothing(text: str) -> bool:
    """By Unicode's tables, whether a terminal shows what the text says; CR LF is an end of a line."""
    return not any(
        unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(sign) in BIDIRECTIONAL
        for sign in text.replace("\r\n", "").translate({10: None, 9: None})
    )


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-m", "crossentropy", *arguments]
    return subprocess.run(line, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)} | environment)


# what is imported

LOADED = """
import sys
sys.argv[0] = "crossentropy"
from crossentropy.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
print(code, sorted({"torch", "numpy"} & {*sys.modules}), file=sys.stderr)
"""


def test_what_is_missing_is_installed_where_the_package_is(tmp_path: Path) -> None:
    assert installation("doctor") == f"pip install -e '{ROOT.parent}[doctor]'"
    installed = tmp_path / "site-packages" / "crossentropy"
    installed.mkdir(parents=True)
    shutil.copy(ROOT / "crossentropy" / "_usage.py", installed)
    usage = runpy.run_path(str(installed / "_usage.py"))
    assert usage["installation"]("doctor") == "pip install 'crossentropy[doctor]'"
    (tmp_path / "libcst.py").write_text("raise ModuleNotFoundError(name='libcst')", "utf-8")
    (tmp_path / "train.py").write_text("import torch", "utf-8")
    done = command("convert", str(tmp_path / "train.py"), PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.returncode == 2
    assert done.stderr.decode() == f"crossentropy convert: libcst is missing — {installation('doctor')}\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 0),
        (["--version"], 0),
        (["--help"], 0),
        (["dance"], 2),
        (["explain", "--help"], 0),
        (["completion", "bash"], 0),
        (["doctor", "--help"], 0),
        (["doctor", "train.py"], 1),
        (["doctor", ".", "--output-format", "sarif"], 1),
        (["doctor", "--explain", "all"], 0),
        (["convert", "--help"], 0),
        (["convert", "train.py", "--unsafe", "--to-linear"], 0),
        (["convert", "train.py", "--unsafe", "--write"], 0),
        (["convert", "nowhere.py"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_needs_no_torch_does_not_import_it(arguments: list[str], code: int, project: Path) -> None:
    line = [sys.executable, "-c", LOADED, *arguments]
    done = subprocess.run(line, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.stderr.splitlines()[-1] == f"{code} []"


@pytest.mark.parametrize("package", [crossentropy, doctor])
def test_what_is_loaded_on_demand_is_what_type_checkers_see(package) -> None:
    """The imports under TYPE_CHECKING, and what is in their place at run time, are the same."""
    assert package.__file__ is not None
    tree = ast.parse(Path(package.__file__).read_text("utf-8"))
    (branch,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {}
    for node in branch.body:
        assert isinstance(node, ast.ImportFrom)
        assert node.module is not None
        seen |= {alias.name: node.module for alias in node.names}
    imported = [name for node in tree.body if isinstance(node, ast.ImportFrom) for name in [a.name for a in node.names]]
    assert {*seen} == {*package.__all__} - {*imported}
    names = sorted(seen)
    code = f"import {package.__name__} as p; print([n for n in {names} if n in vars(p)], *map(p.__getattr__, {names}))"
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert fresh.stdout.startswith("[] ")  # nothing is there until it is asked for
    for name, home in seen.items():
        found = getattr(package, name)
        module = sys.modules[f"{home}.{name}" if f"{home}.{name}" in sys.modules and home == package.__name__ else home]
        assert found is (module if home == package.__name__ else getattr(module, name))


def test_names_on_demand_are_ordinary_names() -> None:
    for package in (crossentropy, doctor):
        assert {*package.__all__} <= {*dir(package)}
        with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'nothing'"):
            package.nothing  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(ImportError, match="cannot import name 'nothing'"):
            exec(f"from {package.__name__} import nothing")
    for thing in (crossentropy.fuse, crossentropy.Options, crossentropy.LazyLogits, doctor.watch, doctor.Report):
        assert pickle.loads(pickle.dumps(thing)) is thing
    names = {}
    exec("from crossentropy import *", names)
    assert {*crossentropy.__all__} <= {*names}


def test_a_compiler_reads_names_that_were_not_loaded() -> None:
    code = """
import torch, crossentropy
f = torch.compile(lambda z, y: crossentropy.functional.cross_entropy(z, y), fullgraph=True, backend="eager")
print(f(torch.zeros(2, 4), torch.tensor([0, 1])).item())
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("1.386"), done.stderr


def test_a_bare_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("usage: crossentropy COMMAND [options]")
    for name in cli.COMMANDS:
        assert f"\n  {name} " in printed.out
    assert max(map(len, printed.out.splitlines())) <= 96
    assert printed.err == ""


# what a terminal is sent


@given(st.text(st.characters() | st.sampled_from(HOSTILE + "\n\t\r\u2029\ud800")))
def test_escaped_text_controls_nothing(text: str) -> None:
    line, lines = escaped(text), escaped(text, lines=True)
    assert controls_nothing(line)
    assert controls_nothing(lines)
    assert not any(sign in line for sign in "\n\r\t")
    assert escaped(line) == line
    assert lines.count("\n") == text.count("\n")
    assert text.isascii() is False or not text.isprintable() or line == lines == text


@given(
    st.recursive(
        st.text(st.characters() | st.sampled_from(HOSTILE)), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_json_is_valid_and_says_the_same(value: object) -> None:
    for encoding in ("utf-8", "ascii", "gbk"):
        out = io.TextIOWrapper(io.BytesIO(), encoding, newline="")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdout", out)
            _terminal.print_json(json.dumps(value, ensure_ascii=False, indent=1))
        out.flush()
        text = out.buffer.getvalue().decode(encoding)  # pyright: ignore[reportAttributeAccessIssue]
        assert controls_nothing(text)
        assert json.loads(text) == value


def hostile(project: Path) -> None:
    """Control characters wherever a file can hold some: its name, its lines, names in it."""
    text = MISTAKE.replace("False)", f"False)  # {HOSTILE}").replace("y =", "y, label = ''  # \f\n#", 0)
    (project / f"a{HOSTILE}\nb.py").write_text(text, "utf-8")
    (project / "train.py").write_text(text, "utf-8")
    (project / "broken.py").write_text(f"loss = '{HOSTILE}\n", "utf-8")
    (project / f"no{HOSTILE}.py").write_text("print 1\n")
    (project / f"logits{HOSTILE}.csv").write_text(f"cat{HOSTILE},dog\n1,2\n", "utf-8")
    (project / "labels.csv").write_text("0\n")
    (project / "bad.csv").write_text(f"1,{HOSTILE}\n", "utf-8")
    (project / "named.json").write_text(json.dumps({f"a{HOSTILE}": [[1, 2]], f"b{HOSTILE}": [0]}), "utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ["doctor", "."],
        ["doctor", ".", "--jobs", "1", "--output-format", "github"],
        ["doctor", ".", "--output-format", "json"],
        ["doctor", ".", "--output-format", "sarif"],
        ["doctor", f"nowhere{HOSTILE}\n"],
        ["doctor", "--explain", HOSTILE],
        ["doctor", "--run", f"nowhere{HOSTILE}.py"],
        ["convert", "train.py", f"a{HOSTILE}\nb.py", "--unsafe"],
        ["convert", "train.py", f"a{HOSTILE}\nb.py", "--unsafe", "--write"],
        ["convert", "broken.py"],
        ["convert", f"nowhere{HOSTILE}.py"],
        ["explain", f"logits{HOSTILE}.csv", "labels.csv"],
        ["explain", f"logits{HOSTILE}.csv", "labels.csv", "--json"],
        ["explain", f"logits{HOSTILE}.csv", "labels.csv", "--markdown", "--html", f"a{HOSTILE}.html"],
        ["explain", "labels.csv", "labels.csv", "--class-names", HOSTILE],
        ["explain", "bad.csv", "labels.csv"],
        ["explain", "named.json"],
        ["explain", f"--{HOSTILE}"],
        [f"{HOSTILE}"],
        ["plan", "--shape", HOSTILE],
        ["demo", "--text", f"nowhere{HOSTILE}"],
    ],
    ids=repr,
)
def test_no_control_character_is_printed(
    arguments: list[str], project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hostile(project)
    try:
        code = cli.main(arguments)
    except SystemExit as ended:
        code = ended.code
    printed = capfd.readouterr()
    assert code in (0, 1, 2)
    assert printed.out + printed.err
    for text in printed:
        assert controls_nothing(text)
    if code == 2:
        assert printed.err.count("\n") == 1
    if "json" in arguments or "sarif" in arguments or "--json" in arguments:
        said = json.dumps(json.loads(printed.out))
        assert r"\u202e" in said or "%E2%80%AE" in said


def test_no_control_character_is_printed_in_colour(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.text import Text

    shown = escaped(HOSTILE.replace("\x07", ""))  # rich leaves out what rings
    _terminal.console().print(Text(f"a{HOSTILE}b\n", style="bold"), markup=False)
    assert capsys.readouterr().out == f"a{shown}b\n\n"
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    _terminal.console().print(Text(f"a{HOSTILE}b", style="bold"))
    out = capsys.readouterr().out
    assert out.startswith("\x1b[1m")  # rich's own
    assert shown in out


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs the command patch")
def test_a_diff_that_patch_cannot_apply_says_so(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "train.py").write_text(MISTAKE.replace("\n", "\r\n"), "utf-8", newline="")
    assert cli.main(["convert", "train.py", "--keep-torch"]) == 0
    printed = capsys.readouterr()
    assert "patch cannot" not in printed.err
    subprocess.run(["patch", "-p1", "--binary"], input=printed.out.encode(), check=True, capture_output=True)
    text = MISTAKE.replace("import torch\n", "import torch  # \x1b[2J\n")
    (project / "train.py").write_text(text, "utf-8")
    assert cli.main(["convert", "train.py", "--keep-torch"]) == 0
    assert "train.py: control characters are shown escaped, so patch cannot apply" in capsys.readouterr().err
    assert cli.main(["convert", "train.py", "--keep-torch", "--write"]) == 0
    assert (project / "train.py").read_text("utf-8") == text.replace("size_average=False", 'reduction="sum"')


# how it ends


@pytest.mark.parametrize(
    "line",
    some(
        ["--help", "doctor train.py", "explain --lang en", "doctor --explain all", "plan --shape 8,9", "explain --json",
         "convert train.py", "", "doctor train.py --output-format sarif", "explain --help", "completion zsh"], 6,
    ),
)  # fmt: skip
def test_output_that_nobody_reads_or_nothing_holds(line: str, project: Path) -> None:
    run = f"{sys.executable} -m crossentropy {line}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
    for end in some(("| head -1 >/dev/null", "| true"), 1):
        done = subprocess.run(["bash", "-c", f"{run} {end}"], capture_output=True, text=True, env=environment)
        assert "Traceback" not in done.stderr
        assert "Exception" not in done.stderr
        assert "Broken" not in done.stderr
    if Path("/dev/full").exists():
        done = subprocess.run(["bash", "-c", f"{run} >/dev/full"], capture_output=True, text=True, env=environment)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].endswith("No space left on device")
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "line",
    ["--help", "--lang zh", "doctor .", "doctor . --lang zh", "convert train.py", "convert train.py --unsafe --lang zh",
     "explain", "explain --lang zh", "explain --json", "demo --help --lang zh"],
)  # fmt: skip
def test_a_terminal_of_ascii(line: str, project: Path) -> None:
    (project / "träin.py").write_text(MISTAKE.replace("False)", "False)  # é−猫"), "utf-8")
    ascii_only = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "LANG": "C", "PYTHONIOENCODING": ""}
    done = command(*line.split(), **ascii_only)
    assert done.returncode in (0, 1), done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout.decode("ascii")
    if "--json" in line:
        assert any("−" in step["numbers"] for e in json.loads(done.stdout) for step in e["steps"])


def test_names_of_files_that_are_no_utf_8(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(b"\xff.py")
    try:
        (project / name).write_text(MISTAKE)
    except OSError:
        pytest.skip("this file system knows Unicode only")
    assert cli.main(["doctor", name]) == 1
    assert capsys.readouterr().out.startswith(r"\udcff.py:4:")
    for form in ("json", "sarif", "github"):
        assert cli.main(["doctor", name, "--output-format", form]) == 1
        printed = capsys.readouterr().out
        assert controls_nothing(printed)
        assert r"\udcff.py" in printed or "%FF.py" in printed
    assert cli.main(["convert", name]) == 0
    assert r"+++ b/\udcff.py" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["doctor", "."], ["convert", "train.py"], ["explain", "--lang", "en"]])
def test_an_interrupt_is_one_line(arguments: list[str], project: Path) -> None:
    ended = set()
    for turn in range(6):
        line, environment = [sys.executable, "-c", INTERRUPTED, *arguments], os.environ | {"PYTHONPATH": str(ROOT)}
        pipe = subprocess.PIPE
        with subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.005 + 0.03 * turn)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate()
        ended.add(process.returncode)
        assert "Traceback" not in err or "crossentropy" not in err  # it came before the command began
        if process.returncode == 130:
            assert err.endswith(f"crossentropy {arguments[0]}: interrupted\n")
    assert ended & {130, -signal.SIGINT}


@pytest.fixture
def _pythons_own_handler() -> Iterator[None]:
    """Of interrupts, whatever a library that an earlier test of this process used has set."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_pythons_own_handler")
def test_an_interrupt_within_a_callback_comes_once_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Thing:
        pass

    def run(command: str, arguments: list[str]) -> int:
        thing = Thing()
        reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
        del thing  # the callback's error is only told
        time.sleep(5)
        return 0 if reference() is None else 1

    monkeypatch.setattr(cli, "_run", run)
    assert cli.main(["doctor"]) == 130
    assert capsys.readouterr().err == "crossentropy doctor: interrupted\n"


@pytest.mark.usefixtures("_pythons_own_handler")
def test_an_interrupt_of_which_an_import_makes_another_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(command: str, arguments: list[str]) -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("cannot load module more than once per process") from None
        return 0

    monkeypatch.setattr(cli, "_run", run)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert cli.main(["explain", "z.npy"]) == 130
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "crossentropy explain: interrupted\n"


INTERRUPTED = """
import os, signal, sys
from crossentropy.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs the tests behind its back ignores it
print("begins", flush=True)
code = main(sys.argv[1:])
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.exit(code)
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["p.npy", "p.npz", "p.pt", "p.safetensors", "p.json", "p.csv", "p.py", "p.ipynb"])
def test_pipes_and_devices_are_refused_at_once(name: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(name)  # to open it would wait for ever
    (project / f"d{name}").symlink_to("/dev/zero")  # to read it too
    for file in (name, f"d{name}"):
        for arguments in (["explain", file], ["convert", file], ["demo", "--text", file], ["doctor", "--run", file]):
            assert cli.main(arguments) == 2
            printed = capsys.readouterr()
            assert file in printed.err
            assert printed.err.count("\n") == 1
        assert cli.main(["doctor", file]) == 2
        assert f"{file}: passed over: not a file" in capsys.readouterr().err
