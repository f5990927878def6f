"""`crossentropy completion`: the script for bash completes in bash; those for zsh and fish say the same."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from crossentropy import cli
from crossentropy.doctor.rules import RULES

BASH = """
source "$1"
while IFS= read -r line; do
  read -ra COMP_WORDS <<<"$line"
  [[ $line == *' ' ]] && COMP_WORDS+=('')
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  _crossentropy
  echo "${COMPREPLY[*]}"
done
"""
OPTIONS = {"plan": "--shape --dtype --forward --device --memory --json -q --quiet -h --help"}
CASES = {
    "crossentropy ": f"{' '.join(cli.COMMANDS)} --help --version",
    "crossentropy do": "doctor",
    "crossentropy plan ": OPTIONS["plan"],
    "crossentropy plan -": OPTIONS["plan"],
    "crossentropy plan --d": "--dtype --device",
    "crossentropy plan --device H": "H100 H200",
    "crossentropy plan --dtype ": "float32 bfloat16 float16 float64",
    "crossentropy plan --shape ": "",
    "crossentropy plan --json ": OPTIONS["plan"],  # takes nothing, where that of bench takes a file
    "crossentropy bench --json lo": "logits.csv",
    "crossentropy explain lo": "logits.csv",
    "crossentropy explain logits.csv la": "labels.csv",
    "crossentropy explain --lang = z": "zh",  # as bash takes --lang=z apart
    "crossentropy explain --lang =": "en zh",
    "crossentropy demo --out ": "folder",
    "crossentropy doctor --explain softmax-b": " ".join(name for name in RULES if name.startswith("softmax-b")),
    "crossentropy doctor fo": "folder",
    "crossentropy convert --w": "--write",
    "crossentropy completion ": "bash zsh fish",
    "crossentropy nothing ": "",
}


@pytest.fixture
def scripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Path]:
    files = {}
    for shell in ("bash", "zsh", "fish"):
        assert cli.main(["completion", shell]) == 0
        files[shell] = tmp_path / f"crossentropy.{shell}"
        files[shell].write_text(capsys.readouterr().out, "utf-8")
    return files


def test_bash_completes_commands_options_values_and_files(scripts: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "here"
    (folder / "folder").mkdir(parents=True)
    for name in ("logits.csv", "labels.csv", "a b.csv"):
        (folder / name).touch()
    line = ["bash", "-c", BASH, "bash", str(scripts["bash"])]
    given = "".join(f"{case}\n" for case in (*CASES, "crossentropy explain a"))
    done = subprocess.run(line, input=given, capture_output=True, text=True, cwd=folder, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [*CASES.values(), "a b.csv"]


def test_every_shell_knows_every_option(scripts: dict[str, Path]) -> None:
    texts = {shell: file.read_text("utf-8") for shell, file in scripts.items()}
    for name in cli.COMMANDS:
        parser = cli.parser_of(name, "en")
        (bash,) = re.findall(rf"(?m)^    {name}\) words='(.*)' ;;$", texts["bash"])
        (zsh,) = re.findall(rf"(?m)^    {name}\) _arguments (.*) ;;$", texts["zsh"])
        fish = [line for line in texts["fish"].splitlines() if f"seen_subcommand_from {name}'" in line]
        options = [option for action in parser._actions for option in action.option_strings]
        assert bash.split() == options
        for option in options:
            assert re.search(rf"'(\([^)]*\))?{option}=?\[", zsh), (name, option)
            assert any(f" {'-l' if option[1] == '-' else '-s'} {option.lstrip('-')} " in line for line in fish)
        places = [spec for spec in re.findall(r"'((?:[^']|'\\'')*)'", zsh) if re.match(r"[\d*]:", spec)]
        assert len(places) == len({spec[0] for spec in places})  # zsh takes each place once


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_one(shell: str, scripts: dict[str, Path]) -> None:
    """By the shell itself, where it is installed."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", str(scripts[shell])], check=True)


def test_an_unknown_shell_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["completion", "tcsh"])
    assert ended.value.code == 2
    assert "choose from" in capsys.readouterr().err
