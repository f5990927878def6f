"""What functions that follow one kind of call ask of the interpreter that follows them all."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Protocol

from crossentropy.doctor._source._journal import Journal
from crossentropy.doctor._source._options import Options
from crossentropy.doctor._source._report import Report
from crossentropy.doctor._source._values import Call, Function, Instance, Layer, Module, Place, Value


class Interpreter(Protocol):
    """Follows a program, in abstract values."""

    report: Report
    journal: Journal
    steps: int
    """That are left."""
    depth: int
    """Of calls."""
    options: Options
    endless: int
    """Loops within loops that are followed for fewer turns than they take, or may take."""
    uncounted: dict[int, list[Value]]
    """Lists that grew in such a loop, by their identity: how long they are is not known."""
    inside: Module | None
    """The module whose text is followed."""

    def truth(self, value: Value) -> bool | None:
        """Whether a value is true, if that is known."""
        ...

    def combine(self, op: ast.operator, left: Value, right: Value, place: Place) -> Value:
        """A binary operation."""
        ...

    def iterate(self, value: Value) -> Iterable[Value]:
        """The elements of a value."""
        ...

    def attribute(self, owner: Value, name: str) -> Value:
        """An attribute."""
        ...

    def set_attribute(self, owner: Value, name: str, value: Value) -> None:
        """Set it."""
        ...

    def report_place(self, function: Function) -> Value:
        """Where a function is defined."""
        ...

    def refuse(self, error: Exception) -> None:
        """An operation that certainly fails: what would catch the error is followed, if it is in the same function."""
        ...

    def find_module(self, name: str) -> Value:
        """A module by its whole name, as what is followed would import it."""
        ...

    def file_beside(self, path: str) -> bytes | None:
        """A small file of the project, by its path from the module that is followed or a folder above it."""
        ...

    def call(self, function: Value, call: Call) -> Value:
        """The result of calling anything."""
        ...

    def call_function(self, function: Function, call: Call) -> Value:
        """The result of a function of the program."""
        ...

    def call_instance(self, instance: Instance, call: Call) -> Value:
        """The result of calling an object of a class of the program."""
        ...

    def external(self, name: str, call: Call) -> Value:
        """The result of a function of a library."""
        ...

    def apply(self, layer: Layer, call: Call) -> Value:
        """The output of a layer."""
        ...

    def method(self, owner: Value, name: str, call: Call) -> Value:
        """The result of a method."""
        ...
