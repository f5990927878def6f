"""Configurations: files of the project that a program reads, and objects whose attributes are their entries.

YAML and JSON are parsed, never executed; what a file says is a default, as that of an option is.
"""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Callable
from typing import TypeAlias

from crossentropy.doctor._source._interpreter import Interpreter
from crossentropy.doctor._source._values import Call, Layer, Unknown, Value, is_known, is_setting, setting

LARGEST = 65_536
"""Bytes of a file; and of what it holds at most so many entries, of which aliases could make very many:"""
_MOST = 4096
_DEEPEST = 32
_Loader: TypeAlias = Callable[[bytes], Value]
_TABLES = ("easydict.EasyDict", "omegaconf.OmegaConf.create", "omegaconf.DictConfig", "munch.Munch", "munch.munchify",
           "munch.Munch.fromDict", "addict.Dict", "box.Box", "ml_collections.ConfigDict", "mmengine.ConfigDict",
           "mmengine.Config", "mmcv.ConfigDict", "mmcv.Config")  # fmt: skip
_LOADERS = ("yaml.safe_load", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "json.load", "json.loads",
            "tomllib.load", "tomli.load", "toml.load",
            "omegaconf.OmegaConf.load")  # fmt: skip
_PATHS: dict[str, Callable[..., Value]] = {
    "os.path.join": os.path.join, "os.path.dirname": os.path.dirname, "os.path.normpath": os.path.normpath,
}  # fmt: skip
_OF_ENVIRONMENT = ("os.environ.get", "os.getenv", "os.environ.setdefault")
_OF_NODES = ("merge_from_file", "merge_from_list", "merge_from_other_cfg", "clone", "freeze", "defrost", "dump")
_SAME = ("os.path.abspath", "os.path.realpath", "os.path.expanduser", "hydra.utils.to_absolute_path")


def call(run: Interpreter, name: str, arguments: Call) -> Value:
    """A function that reads or makes a configuration, or puts its path together; NotImplemented for others."""
    first = arguments.args[0] if arguments.args else None
    if name in ("builtins.open", "hydra.main"):
        return Layer(name, arguments)
    if name in _OF_TEXT and isinstance(first, str) and os.path.splitext(first)[1].lower() not in _BY_SUFFIX:
        return _of_text(run, _OF_TEXT[name], first)
    if name in _LOADERS:
        return _loaded(run, _path(first))
    if name in _TABLES:
        return (dict(first) if isinstance(first, dict) else {}) | arguments.kwargs
    if name in _OF_ENVIRONMENT:
        return setting(arguments.get("default", 1, Unknown()))
    if name in _PATHS and arguments.args and all(isinstance(part, str) for part in arguments.args):
        return setting(_PATHS[name](*arguments.args))
    return first if name in _SAME and isinstance(first, str) else NotImplemented


def is_entry(layer: Layer, name: str) -> bool:
    """Whether a name is an entry of yacs' configurations, and no method."""
    return layer.kind == "CfgNode" and not hasattr(dict, name) and name not in _OF_NODES


def method(run: Interpreter, layer: Layer, name: str, arguments: Call) -> Value:
    """Files, whose text is the file; and what is merged into yacs' configurations. NotImplemented for others."""
    if layer.kind in ("open", "Path") and name in ("open", "read", "read_text", "read_bytes"):
        return layer
    if layer.kind != "CfgNode" or name != "merge_from_file":
        return NotImplemented
    table = _loaded(run, _path(arguments.get("cfg_filename", 0)))
    if isinstance(table, dict):
        _merge(run, layer, table)
    return None


def _merge(run: Interpreter, node: Layer, table: dict[Value, Value]) -> None:
    for name, value in table.items():
        inner = node.attributes.get(name)
        if isinstance(inner, Layer) and isinstance(value, dict):
            _merge(run, inner, value)
        else:
            run.journal.store(node.attributes, name, value)


def composed(run: Interpreter, main: Layer) -> Value:
    """The configuration that hydra.main gives a function: a file, and those that its list of defaults names."""
    folder, name = main.call.get("config_path", 0), main.call.get("config_name", 1)
    if not isinstance(name, str):
        return Unknown()
    stem = os.path.join(folder, name) if isinstance(folder, str) else name
    table = _loaded(run, _yaml(stem))
    if not isinstance(table, dict):
        return Unknown()
    groups: dict[Value, Value] = {}
    for default in table.pop("defaults", None) or ():
        for group, choice in default.items() if isinstance(default, dict) else ():
            if isinstance(group, str) and isinstance(choice, str) and "/" not in group:
                groups[group] = _loaded(run, _yaml(os.path.join(os.path.dirname(stem), group, choice)))
    return _over(groups, table)


def _yaml(stem: str) -> str:
    return stem if stem.endswith((".yaml", ".yml")) else f"{stem}.yaml"


def _over(below: dict[Value, Value], above: dict[Value, Value]) -> dict[Value, Value]:
    both = below.keys() & above.keys()
    inner = {k: _over(below[k], above[k]) for k in both if isinstance(below[k], dict) and isinstance(above[k], dict)}
    return below | above | inner


def _path(value: Value) -> str | None:
    """The path of something that is read: itself, or that of a file or of a path object."""
    while isinstance(value, Layer) and value.kind in ("open", "Path"):
        value = value.call.args[0] if value.call.args else None
    return value if isinstance(value, str) else None


def _loaded(run: Interpreter, path: str | None) -> Value:
    load = _BY_SUFFIX.get(os.path.splitext(path)[1].lower()) if path is not None else None
    data = run.file_beside(path) if path is not None and load is not None else None
    if load is None or data is None:
        return Unknown()
    try:
        return _Reading().value(load(data), _DEEPEST)
    except (ValueError, TypeError, RecursionError, ImportError):
        return Unknown()


def _of_text(run: Interpreter, load: _Loader, text: str) -> Value:
    """What a text of the program says; of a text that is a default, defaults."""
    if len(text) > LARGEST:
        return Unknown()
    try:
        return _Reading(sure=not is_setting(text)).value(load(text.encode()), _DEEPEST)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, ImportError) as error:
        run.refuse(error)
        return Unknown()


class _Reading:
    """Makes values of what a file holds, up to a number of them."""

    def __init__(self, sure: bool = False) -> None:
        self._left, self._sure = _MOST, sure

    def value(self, data: Value, deep: int) -> Value:
        """Defaults; what refers to another entry is not known."""
        self._left -= 1
        if self._left < 0 or deep == 0:
            return Unknown()
        if isinstance(data, dict):
            return {key: self.value(item, deep - 1) for key, item in data.items() if is_known(key)}
        if isinstance(data, (list, tuple)):
            return [self.value(item, deep - 1) for item in data]
        if not is_known(data) or (isinstance(data, str) and "${" in data):
            return Unknown()
        return data if self._sure else setting(data)


def _of_yaml(data: bytes) -> Value:
    import yaml  # an extra, and slow to import

    try:
        return yaml.load(data, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError from error


def _of_toml(data: bytes) -> Value:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # pyright: ignore[reportMissingImports]
    return tomllib.loads(data.decode())


_BY_SUFFIX: dict[str, _Loader] = {".yaml": _of_yaml, ".yml": _of_yaml, ".json": json.loads, ".toml": _of_toml}
_OF_TEXT: dict[str, _Loader] = {
    "json.loads": json.loads, **dict.fromkeys(("tomllib.loads", "tomli.loads", "toml.loads"), _of_toml),
    "yaml.safe_load": _of_yaml, "yaml.load": _of_yaml, "yaml.full_load": _of_yaml,
    "ast.literal_eval": lambda data: ast.literal_eval(data.decode().strip()),
}  # fmt: skip
"""Functions that take a text."""
