"""Shell completion: scripts for bash, zsh and fish, made of the parsers of the commands. They start no Python.

A script completes the name of a command, the options of the command on the line, and their values: what they may be, or
files. No package is needed for it: argparse knows everything, and a script is its table in another language.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Option(NamedTuple):
    """An option, or an argument without a name."""

    names: tuple[str, ...]
    """None: an argument by its place."""
    help: str
    values: tuple[str, ...]
    """What a value may be."""
    takes: str
    """What follows: "file", "folder", "value" or, where nothing does, ""."""
    many: bool
    """Whether several follow."""


class Command(NamedTuple):
    """A command, as a script sees it."""

    name: str
    summary: str
    options: list[Option]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command, and what they are for."""
    parser.description = "Print a script by which a shell completes the commands, their options and values."
    parser.epilog = (
        "bash:  crossentropy completion bash > ~/.local/share/bash-completion/completions/crossentropy\n"
        "zsh:   crossentropy completion zsh > a folder of $fpath/_crossentropy\n"
        "fish:  crossentropy completion fish > ~/.config/fish/completions/crossentropy.fish\n"
        'Or for one session: eval "$(crossentropy completion bash)"\n\nExit codes: 0 done · 2 wrong arguments.'
    )
    parser.add_argument("shell", choices=tuple(SHELLS), metavar="SHELL", help="bash, zsh or fish")


def commands(
    parsers: Mapping[str, argparse.ArgumentParser], summaries: Mapping[str, str], values: Mapping[str, Sequence[str]]
) -> list[Command]:
    """The commands with all options.

    Args:
        parsers: Of each command.
        summaries: What each command does.
        values: What may stand where a help text has some word, such as RULE.
    """
    return [
        Command(name, summaries[name], [_option(action, values) for action in parser._actions])
        for name, parser in parsers.items()
    ]


def _option(action: argparse.Action, values: Mapping[str, Sequence[str]]) -> Option:
    text = " ".join((action.help or "").replace("%%", "%").split())
    known = action.choices or values.get(str(action.metavar).removesuffix(",…"), ())
    is_path = action.type is Path or action.metavar in ("FILE", "PATH", "SCRIPT", "LOGITS", "TARGETS")
    takes = "" if action.nargs == 0 else "folder" if action.metavar == "DIR" else "file" if is_path else "value"
    return Option(tuple(action.option_strings), text, tuple(map(str, known)), takes, action.nargs in ("*", "+"))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# --- bash ---------------------------------------------------------------------------------------------------------


def bash(found: Sequence[Command]) -> str:
    """For bash 3.2 and later, with or without the package bash-completion."""
    names = " ".join(command.name for command in found)
    values = "\n".join(f"    {pattern}) {does}; return ;;" for pattern, does in _bash_values(found))
    options = "\n".join(
        f"    {command.name}) words={_quoted(' '.join(name for one in command.options for name in one.names))} ;;"
        for command in found
    )
    first = {command.name: one for command in found for one in reversed(command.options) if not one.names}
    places = "\n".join(f"    {name}) {_bash_completes(one)}; return ;;" for name, one in first.items())
    return f"""\
# bash completion for crossentropy
_crossentropy_words() {{
  COMPREPLY=($(compgen -W "$1" -- "$2"))
}}
_crossentropy_paths() {{
  local path
  compopt -o filenames 2>/dev/null
  while IFS= read -r path; do COMPREPLY+=("$path"); done < <(compgen "$1" -- "$2")
}}
_crossentropy() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" command="${{COMP_WORDS[1]}}" words=
  COMPREPLY=()
  if [[ $COMP_CWORD == 1 ]]; then
    _crossentropy_words {_quoted(names + " --help --version")} "$current"
    return
  fi
  [[ $before == = ]] && before="${{COMP_WORDS[COMP_CWORD-2]}}"
  [[ $current == = ]] && current=
  case "$command:$before" in
{values}
  esac
  if [[ $current != -* ]]; then
    case "$command" in
{places}
    esac
  fi
  case "$command" in
{options}
  esac
  _crossentropy_words "$words" "$current"
}}
complete -F _crossentropy crossentropy
"""


def _bash_values(found: Sequence[Command]) -> Iterator[tuple[str, str]]:
    """Options after which the same is completed, as a pattern, and how."""
    patterns: dict[str, list[str]] = {}
    for command in found:
        for one in command.options:
            if one.takes and one.names:
                patterns.setdefault(_bash_completes(one), []).extend(f"{command.name}:{name}" for name in one.names)
    yield from (("|".join(each), does) for does, each in patterns.items())


def _bash_completes(one: Option) -> str:
    """What completes a value."""
    if one.values:
        return f'_crossentropy_words {_quoted(" ".join(one.values))} "$current"'
    paths = {"file": '_crossentropy_paths -f "$current"', "folder": '_crossentropy_paths -d "$current"'}
    return paths.get(one.takes, ":")


# --- zsh ----------------------------------------------------------------------------------------------------------


def zsh(found: Sequence[Command]) -> str:
    """For zsh, as a file `_crossentropy` of $fpath, or by eval after compinit."""
    listed = " ".join(_quoted(f"{command.name}:{command.summary}") for command in found)
    cases = "\n".join(f"    {command.name}) _arguments {_zsh_arguments(command)} ;;" for command in found)
    return f"""\
#compdef crossentropy
_crossentropy() {{
  local -a commands
  commands=({listed})
  if (( CURRENT == 2 )); then
    _describe -t commands command commands
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
{cases}
  esac
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _crossentropy "$@"; else compdef _crossentropy crossentropy; fi
"""


def _zsh_arguments(command: Command) -> str:
    places = [one for one in command.options if not one.names]
    specs = [spec for one in command.options for spec in _zsh_specs(one, places.index(one) if one in places else 0)]
    return " ".join(map(_quoted, specs))


def _zsh_specs(one: Option, place: int) -> list[str]:
    actions = {"file": "_files", "folder": "_files -/", "value": " "}
    does = f"({' '.join(one.values)})" if one.values else actions.get(one.takes, "")
    text = "".join(f"\\{sign}" if sign in "[]:\\" else sign for sign in one.help)
    if not one.names:
        return [f"{'*' if one.many else place + 1}:{text}:{does}"]
    instead = f"({' '.join(one.names)})" if len(one.names) > 1 else ""
    value = f":value:{does}" if one.takes else ""
    return [f"{instead}{name}{'=' * (bool(one.takes) and name[1] == '-')}[{text}]{value}" for name in one.names]


# --- fish ---------------------------------------------------------------------------------------------------------


def fish(found: Sequence[Command]) -> str:
    """For fish 3 and later."""
    first = f"-n {_fish('not __fish_seen_subcommand_from ' + ' '.join(command.name for command in found))}"
    lines = ["# fish completion for crossentropy", f"complete -c crossentropy -f {first} -l version -l help"]
    for command in found:
        lines.append(f"complete -c crossentropy -f {first} -a {command.name} -d {_fish(command.summary)}")
        seen = f"complete -c crossentropy -n {_fish('__fish_seen_subcommand_from ' + command.name)}"
        for one in command.options:
            flags = "".join(f" -l {name[2:]}" if name[1] == "-" else f" -s {name[1]}" for name in one.names)
            lines.append(f"{seen}{flags}{_fish_value(one)} -d {_fish(one.help)}")
    return "\n".join(lines) + "\n"


def _fish_value(one: Option) -> str:
    if one.values:
        return f" {'-x' if one.names else '-f'} -a {_fish(' '.join(one.values))}"
    return {"": "", "value": " -x", "file": " -r -F", "folder": " -x -a '(__fish_complete_directories)'"}[one.takes]


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: dict[str, Callable[[Sequence[Command]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
"""By their names."""
