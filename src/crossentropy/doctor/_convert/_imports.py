"""How a function of a package is written in a script: by the imports that are there, or by one that is added."""

from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst
from libcst.helpers import get_full_name_for_node
from libcst.metadata import QualifiedNameSource

from crossentropy.doctor._convert._edits import Edit, Refused
from crossentropy.doctor._convert._file import File
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._statements import after


class Spelling(NamedTuple):
    """How a name is written, and what has to be imported for it."""

    text: str
    imports: frozenset[Edit] = frozenset()


def spell(script: Script, name: str, at: cst.CSTNode) -> Spelling:
    """How the dotted name `name` is written at a place."""
    spellings = (
        bound + name[len(path) :] for bound, path in _bindings(script.file(at)) if f"{name}.".startswith(f"{path}.")
    )
    usable = sorted((text for text in spellings if _means(script, text, name, at)), key=len)
    if usable:
        return Spelling(usable[0])
    package = name.split(".")[0]
    if package in script.file(at).identifiers:
        raise Refused(at, f"{name} cannot be written here: the name {package} is used for something else")
    anchor = _anchor(script.file(at))
    if anchor is None:
        raise Refused(at, f"there is no import of torch at the top of the file, after which to import {package}")
    return Spelling(name, frozenset({after(script, anchor, f"import {package}")}))


def rename(script: Script, function: cst.BaseExpression, name: str) -> tuple[Edit, Spelling]:
    """The edit that makes an expression name another function: by its last part if it is of the same module."""
    module, last = name.rsplit(".", 1)
    beside = (script.imported(function) or "").rpartition(".")[0] == module
    if isinstance(function, cst.Attribute) and beside and script.original(function.value) is not None:
        return script.write(function.attr, last), Spelling(last)
    spelling = spell(script, name, function)
    return script.write(function, spelling.text), spelling


def _bindings(file: File) -> Iterator[tuple[str, str]]:
    """The names that imports at the top of the file bind, and what to."""
    for statement in _imports(file):
        if isinstance(statement, cst.Import):
            for alias in statement.names:
                path = get_full_name_for_node(alias.name) or ""
                root = path.split(".")[0]
                yield (root, root) if alias.asname is None else (alias.evaluated_alias or "", path)
        elif (
            not isinstance(statement.names, cst.ImportStar) and statement.module is not None and not statement.relative
        ):
            module = get_full_name_for_node(statement.module)
            for alias in statement.names:
                yield alias.evaluated_alias or alias.evaluated_name, f"{module}.{alias.evaluated_name}"


def _means(script: Script, text: str, name: str, at: cst.CSTNode) -> bool:
    found = script.scope(at).get_qualified_names_for(text)
    return [(one.name, one.source) for one in found] == [(name, QualifiedNameSource.IMPORT)]


def _imports(file: File) -> Iterator[cst.Import | cst.ImportFrom]:
    for line in file.module.body:
        if isinstance(line, cst.SimpleStatementLine):
            yield from (part for part in line.body if isinstance(part, cst.Import | cst.ImportFrom))


def _anchor(file: File) -> cst.BaseSmallStatement | None:
    """The import after which others are added: the last of torch in the first run of imports that has one."""
    anchor = None
    for line in file.module.body:
        statements = line.body if isinstance(line, cst.SimpleStatementLine) else ()
        imports = [part for part in statements if isinstance(part, cst.Import | cst.ImportFrom)]
        if anchor is not None and not imports:
            break
        anchor = next((part for part in imports if _of_torch(part)), anchor)
    return anchor


def _of_torch(statement: cst.Import | cst.ImportFrom) -> bool:
    if isinstance(statement, cst.Import):
        names = [get_full_name_for_node(alias.name) for alias in statement.names]
    else:
        names = [get_full_name_for_node(statement.module)] if statement.module is not None else []
    return any((name or "").split(".")[0] in ("torch", "crossentropy") for name in names)
