"""A file that has been read: its syntax tree, and what libcst knows of the nodes."""

import ast
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import libcst as cst
from libcst.helpers import get_full_name_for_node
from libcst.metadata import (
    BaseAssignment,
    ByteSpanPositionProvider,
    MetadataWrapper,
    QualifiedName,
    Scope,
    ScopeProvider,
)

from crossentropy.doctor._convert._conversion import SourceError

_DEEPEST = 400
"""Of nesting that is read: libcst's parser has been seen to overflow its stack at 5000."""
_LONE_RETURN = re.compile(rb"\r(?!\n)")
"""The line end of old Macintoshes, after which nothing here looks."""
_TOO_DEEP = "expressions or blocks are nested too deeply to be read"


class File:
    """A file and what is known of its nodes."""

    def __init__(self, source: str, path: str) -> None:
        check(source, path)
        try:
            self.module = cst.parse_module(source)
            wrapper = MetadataWrapper(self.module, unsafe_skip_copy=True)
            self.scopes = cast(Mapping[cst.CSTNode, Scope | None], wrapper.resolve(ScopeProvider))
            self.spans = wrapper.resolve(ByteSpanPositionProvider)
        except cst.ParserSyntaxError as error:
            where = (error.editor_line, error.editor_column)
            raise SourceError(*where, "libcst cannot read this syntax", path) from error
        except RecursionError:
            raise SourceError(1, 1, _TOO_DEEP, path) from None
        self._require_same(source.encode(), self.module.code.encode(), path)
        self.path = path
        self.source = source.encode()
        self.nodes = tuple(walk(self.module))
        self.parents = {child: node for node in self.nodes for child in node.children}
        self._order = {node: index for index, node in enumerate(self.nodes)}
        self._sizes = self._sizes_of_subtrees()
        self.globals = cast(Scope, self.scopes[self.module])
        self.identifiers = frozenset(self._identifiers())
        self.unbound = tuple(self._unbound())
        """Names that are read and that nothing in this file binds."""
        self.fresh: dict[tuple[str, str], str] = {}
        """Names that were invented, by what they are for."""
        self._names: dict[cst.CSTNode, list[QualifiedName]] = {}

    def _require_same(self, source: bytes, read: bytes, path: str) -> None:
        """Raise if places in what libcst read are not those of the text, of which it drops some comments at the end."""
        spans = [self.spans[statement] for statement in self.module.body[-1:]]
        end = max((span.start + span.length for span in spans), default=0)
        rest = [line.strip() for line in source[end:].splitlines()]
        is_code = any(line and not line.startswith(b"#") for line in rest)
        if source != read and (source[:end] != read[:end] or is_code or _LONE_RETURN.search(source)):
            raise SourceError(1, 1, "the line ends of this file would not survive", path)

    def inside(self, node: cst.CSTNode) -> Sequence[cst.CSTNode]:
        """A node and all that it consists of: they follow each other among all nodes."""
        start = self._order[node]
        return self.nodes[start : start + self._sizes[node]]

    def _sizes_of_subtrees(self) -> dict[cst.CSTNode, int]:
        sizes = dict.fromkeys(self.nodes, 1)
        for node in reversed(self.nodes):
            if (parent := self.parents.get(node)) is not None:
                sizes[parent] += sizes[node]
        return sizes

    def qualified(self, node: cst.CSTNode) -> list[QualifiedName]:
        """All that an expression may name."""
        if node not in self._names:
            scope = self.scopes.get(node)
            self._names[node] = [] if scope is None else [*scope.get_qualified_names_for(node)]
        return self._names[node]

    def _unbound(self) -> Iterator[cst.Name]:
        for scope in {scope for scope in self.scopes.values() if scope is not None}:
            for access in scope.accesses:
                node = access.node
                while isinstance(node, cst.Attribute):
                    node = node.value
                if isinstance(node, cst.Name) and not access.referents:
                    yield node

    def _identifiers(self) -> Iterator[str]:
        """All names that are bound or read; those of attributes and keywords are none."""
        for scope in {scope for scope in self.scopes.values() if scope is not None}:
            for entry in (*scope.assignments, *scope.accesses):
                name = entry.name if isinstance(entry, BaseAssignment) else get_full_name_for_node(entry.node)
                yield (name or "").split(".")[0]


def walk(root: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """A node and all that it consists of, as they stand in the source."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack += reversed(node.children)


def check(source: str, path: str) -> None:
    """Raise for what is no Python, before libcst, whose messages say less and whose parser has no limit of depth."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except SyntaxError as error:
        where = (error.lineno or 1, max(error.offset or 1, 1))
        raise SourceError(*where, f"this is not Python ({error.msg})", path) from None
    except (RecursionError, MemoryError):
        raise SourceError(1, 1, _TOO_DEEP, path) from None
    except ValueError as error:
        raise SourceError(1, 1, f"this is not Python ({error})", path) from None
    level: list[ast.AST] = [tree]
    for _ in range(_DEEPEST):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise SourceError(getattr(level[0], "lineno", 1), 1, _TOO_DEEP, path)
