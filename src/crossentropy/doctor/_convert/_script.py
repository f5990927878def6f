"""What the nodes of the files name: what they import from elsewhere, and from each other."""

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import libcst as cst
from libcst.helpers import get_full_name_for_node
from libcst.metadata import Assignment, ImportAssignment, QualifiedNameSource, Scope

from crossentropy.doctor._convert._file import File
from crossentropy.doctor._convert._modules import Modules
from crossentropy.doctor._convert._tree import Tree

_OURS = re.compile(r"crossentropy\.(nn|functional)\.(\w+)")
_STORING = (cst.AssignTarget, cst.AugAssign, cst.AnnAssign, cst.Element, cst.For, cst.Del)
_PRIVATE = re.compile(r"torch\.nn\.modules\.\w+\.(\w+)")


class Variable(NamedTuple):
    """A name, in the scope that binds it."""

    scope: Scope
    name: str


class Script(Tree):
    """The files and what their nodes name."""

    def __init__(self, files: Sequence[File]) -> None:
        super().__init__(files)
        self._modules = Modules(file.path for file in files)
        self._by_path = {file.path: file for file in files}
        self._by_globals = {file.globals: file for file in files}
        self._reads: defaultdict[Variable, list[cst.BaseExpression]] = defaultdict(list)
        self._leaks: defaultdict[Scope, list[cst.CSTNode]] = defaultdict(list)
        self._stars: dict[File, list[cst.ImportFrom]] = {}
        self._calls: dict[str, dict[int, cst.Call]] = {}
        self._link()

    def imported(self, node: cst.CSTNode) -> str | None:
        """The dotted name of what an expression is certain to name, if that was imported; ours count as torch's."""
        name = self.original(node)
        return None if name is None else canonical(name)

    def calling(self, *names: str) -> list[cst.Call]:
        """The calls of what some dotted names name, as they stand in the source."""
        if not self._calls:
            for at, call in enumerate(self.find(cst.Call)):
                self._calls.setdefault(self.imported(call.func) or "", {})[at] = call
        found = {at: call for name in names for at, call in self._calls.get(name, {}).items()}
        return [found[at] for at in sorted(found)]

    def original(self, node: cst.CSTNode) -> str | None:
        """The same, as it was imported."""
        if not isinstance(node, cst.Name | cst.Attribute):
            return None
        names = self.file(node).qualified(node)
        if len(names) == 1 and names[0].source is QualifiedNameSource.IMPORT:
            return names[0].name
        return self._aliased(node) or self._by_star(node)

    def _by_star(self, node: cst.Name | cst.Attribute) -> str | None:
        """The dotted name, if it begins with what another file imports and gives to this one by *."""
        first, file = _leftmost(node), self.file(node)
        if file not in self._stars or not isinstance(first, cst.Name):
            return None
        if _assignments(Variable(self.scope(first), first.value)):
            return None
        found = self._imports_of(first.value, file)
        return found[0] + self.text(node)[len(first.value) :] if len(found) == 1 else None

    def _imports_of(self, name: str, file: File, seen: frozenset[File] = frozenset()) -> list[str]:
        """What a file has imported by a name: from elsewhere, or by * from a file that has."""
        for statement in reversed(self._stars.get(file, ())):
            for other in self._files_of(statement, file):
                bindings = _assignments(Variable(other.globals, name))
                if bindings or other in seen:
                    imports = [one for one in bindings if isinstance(one, ImportAssignment)]
                    names = {one.name for each in imports for one in each.get_qualified_names_for(name)}
                    return [*names] if len(imports) == len(bindings) else []
                if found := self._imports_of(name, other, seen | {file}):
                    return found
        return []

    def _aliased(self, node: cst.Name | cst.Attribute) -> str | None:
        """The dotted name, if it begins with a name that holds something imported: F = nn.functional."""
        first = _leftmost(node)
        if isinstance(node, cst.Attribute) and node.value is first and self.text(first) == "self":
            first, bound = node, self._stores(node)
        else:
            bound = _assignments(Variable(self.scope(first), first.value)) if isinstance(first, cst.Name) else []
            bound = [one.node for one in bound]
        held = None if len(bound) != 1 else self.assigned(bound[0])
        if not isinstance(held, cst.Name | cst.Attribute) or _leftmost(held).deep_equals(_leftmost(node)):
            return None
        name = self.original(held)
        return None if name is None else name + self.text(node)[len(self.text(first)) :]

    def assigned(self, target: cst.CSTNode) -> cst.BaseExpression | None:
        """What is assigned to a target, if it is all that it is assigned to."""
        statement = self.parent(parent) if isinstance(parent := self.parent(target), cst.AssignTarget) else None
        return statement.value if isinstance(statement, cst.Assign) and len(statement.targets) == 1 else None

    def _stores(self, attribute: cst.Attribute) -> list[cst.Attribute]:
        """Where an attribute of self may be assigned: of self in its class, or in one that may be related to it."""
        owner = self.around(attribute, cst.ClassDef)
        stored = [one for one in self.attributes(attribute.attr.value) if isinstance(self.parent(one), _STORING)]
        owners = [(one, self.around(one, cst.ClassDef) if self.text(one.value) == "self" else None) for one in stored]
        return [
            one
            for one, other in owners
            if other is owner or other is None or any(map(self._is_derived, (owner, other)))
        ]

    def _is_derived(self, owner: cst.ClassDef | None) -> bool:
        """Whether a class has a base in these files."""
        return owner is None or any(self.named(base.value) is not None for base in owner.bases)

    def may_be_module(self, name: cst.Name) -> bool:
        """Whether a name may hold what an import gives: by an assignment, or from a file that is imported by *."""
        bindings = _assignments(Variable(self.scope(name), name.value))
        return any(map(self._gives_import, bindings)) or (not bindings and self.file(name) in self._stars)

    def _gives_import(self, binding: Assignment) -> bool:
        held = None if isinstance(binding, ImportAssignment) else self.assigned(binding.node)
        return isinstance(binding, ImportAssignment) or (held is not None and self.original(held) is not None)

    def _imported(self, node: cst.CSTNode) -> list[str]:
        """All dotted names that an expression may have been imported by."""
        return [one.name for one in self.file(node).qualified(node) if one.source is QualifiedNameSource.IMPORT]

    def named(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The function or class of these files that an expression is certain to name."""
        found = [made for variable in self.variables(node) for made in self.bindings(variable) or [None]]
        return found[0] if len(found) == 1 and not self.is_decorated(found[0]) else None

    def is_decorated(self, made: cst.CSTNode | None) -> bool:
        """Whether a function or class is given to a decorator that is not torch's."""
        decorators = made.decorators if isinstance(made, cst.FunctionDef | cst.ClassDef) else ()
        functions = [one.decorator.func if isinstance(one.decorator, cst.Call) else one.decorator for one in decorators]
        return any(not (self.imported(function) or "").startswith("torch.") for function in functions)

    def variable(self, made: cst.FunctionDef | cst.ClassDef) -> Variable:
        """The variable that a function or class is bound to."""
        return Variable(self.scope(made), made.name.value)

    def variables(self, node: cst.CSTNode) -> set[Variable]:
        """The variables that an expression may name: one if it is certain; nobody binds that of an unknown file."""
        if isinstance(node, cst.Name):
            bindings = _assignments(Variable(self.scope(node), node.value))
            found = set[Variable]().union(*map(self._variables_of, bindings))
            return found or self._starred(node.value, self.file(node))
        names = self._imported(node) if isinstance(_leftmost(node), cst.Name) else []
        return set[Variable]().union(*(self._resolved(name, self.file(node)) for name in names))

    def bindings(self, variable: Variable) -> list[cst.CSTNode]:
        """What gives a variable its values, in its own file."""
        return [binding.node for binding in _assignments(variable)]

    def reads(self, variable: Variable) -> list[cst.BaseExpression]:
        """The expressions that are a variable, in all files."""
        accesses = [access.node for binding in _assignments(variable) for access in binding.references]
        here = [name for node in accesses if isinstance(name := _leftmost(node), cst.BaseExpression)]
        aliases = {read: self._alias(read) for read in (*here, *self._reads[variable])}
        return [one for read, other in aliases.items() for one in ([read] if other is None else self.reads(other))]

    def _alias(self, read: cst.BaseExpression) -> Variable | None:
        """The variable that is another name of the function that an expression names."""
        target = statement.targets[0].target if isinstance(statement := self.parent(read), cst.Assign) else None
        if not isinstance(target, cst.Name) or self.assigned(target) is not read:
            return None
        variable = Variable(self.scope(target), target.value)
        return variable if self._function_of(variable) else None

    def _function_of(self, variable: Variable) -> set[Variable]:
        """The function that a variable is another name of, and nothing else."""
        bound = self.bindings(variable)
        held = self.assigned(bound[0]) if len(bound) == 1 else None
        if not isinstance(held, cst.Name | cst.Attribute) or self.text(held) == variable.name:
            return set()
        found = self.variables(held)
        made = [one for other in found for one in self.bindings(other)]
        return found if len(made) == 1 and isinstance(made[0], cst.FunctionDef) else set()

    def leaks(self, variable: Variable) -> list[cst.CSTNode]:
        """Where a variable is given away with its whole file, which is imported by * or used as a value."""
        return self._leaks[variable.scope]

    def is_shared(self, variable: Variable) -> bool:
        """Whether another file reads a variable."""
        return bool(self._reads[variable] or self._leaks[variable.scope])

    def missing(self, node: cst.CSTNode) -> str | None:
        """The file that tells what an expression names, if it was not given and it is known where it lies."""
        unknown = [variable for variable in self.variables(node) if not _assignments(variable)]
        files = [(name, self._by_globals[scope].path) for scope, name in unknown]
        return next((path for name, at in files if (path := self._modules.missing(name, at)) is not None), None)

    def _variables_of(self, binding: Assignment, seen: frozenset[Variable] = frozenset()) -> set[Variable]:
        if not isinstance(binding, ImportAssignment):
            variable = Variable(binding.scope, binding.name)
            return self._function_of(variable) or {variable}
        names = [one.name for one in binding.get_qualified_names_for(binding.name)]
        return set[Variable]().union(*(self._resolved(name, self.file(binding.node), seen) for name in names))

    def _resolved(self, name: str, file: File, seen: frozenset[Variable] = frozenset()) -> set[Variable]:
        """The variables that an imported name may be: through files that only import it, to where it is made."""
        paths, rest = self._found(name, file)
        variables = {Variable(self._by_path[path].globals, rest[0]) for path in paths if len(rest) == 1}
        if not variables or variables <= seen:
            return {Variable(file.globals, name)}
        bindings = [binding for variable in variables for binding in _assignments(variable)]
        found = [self._variables_of(binding, seen | variables) for binding in bindings]
        found += [self._starred(rest[0], self._by_path[path]) for path in paths if not bindings]
        return set[Variable]().union(*found) or variables

    def _found(self, name: str, file: File) -> tuple[list[str], list[str]]:
        """The files that a dotted name begins with, and what is left of it: the name in a package before its module."""
        paths, rest = self._modules.find(name, file.path)
        package, _, last = name.rpartition(".")
        if rest or not package.strip("."):
            return paths, rest
        others, more = self._modules.find(package, file.path)
        hides = [other for other in others if not more and self._holds_no_module(last, self._by_path[other])]
        return (hides, [last]) if hides else (paths, rest)

    def _holds_no_module(self, name: str, file: File) -> bool:
        """Whether a name of a file is bound to something else than another file."""
        names = [
            one.name
            for binding in _assignments(Variable(file.globals, name))
            for one in (binding.get_qualified_names_for(name) if isinstance(binding, ImportAssignment) else ())
        ]
        return any(self._modules.find(one, file.path)[1] for one in names)

    def _starred(self, name: str, file: File, seen: frozenset[File] = frozenset()) -> set[Variable]:
        """The variable that a file has by this name from what it imports by *: from the last that has it."""
        for statement in reversed(self._stars.get(file, ())):
            paths = self._files_of(statement, file)
            if not paths or name.startswith("_"):
                return set()
            for other in paths:
                variable = Variable(other.globals, name)
                bindings = _assignments(variable)
                found = set[Variable]().union(*map(self._variables_of, bindings))
                if not bindings and other not in seen:
                    found = self._starred(name, other, seen | {file})
                if found:
                    return found
        return set()

    def _files_of(self, statement: cst.ImportFrom, file: File) -> list[File]:
        """The given files that a statement imports names of."""
        module = "" if statement.module is None else get_full_name_for_node(statement.module)
        name = f"{'.' * len(statement.relative)}{module}"
        paths, rest = self._modules.find(name, file.path)
        return [] if rest else [self._by_path[path] for path in paths]

    def _link(self) -> None:
        """Find what each file reads of the others."""
        for statement in self.find(cst.ImportFrom):
            file = self.file(statement)
            if isinstance(statement.names, cst.ImportStar) and self.scope(statement) is file.globals:
                self._stars.setdefault(file, []).append(statement)
        for node in self.nodes:
            if isinstance(node, cst.Name | cst.Attribute) and not self._is_imported(node):
                for name in self._imported(node):
                    self._read(node, name)
        for file in self._stars:
            for node in file.unbound:
                for variable in self._starred(node.value, file):
                    self._reads[variable].append(node)

        for call in self.find(cst.Call):
            for other in self._looked_up(call):
                self._leak_all(call, other)

    def _looked_up(self, call: cst.Call) -> list[File]:
        """The files that a call gives away: modules named by a text, or its own, of which a text names something."""
        function = call.func.value if isinstance(call.func, cst.Name) else self.imported(call.func)
        if function in ("importlib.import_module", "import_module", "__import__"):
            used = bool(call.args) and not isinstance(self.parent(call), cst.Expr) and not self._tells_of_file(call)
            paths = self._modules.named_by(call.args[0].value, self.file(call).path) if used else []
            return [self._by_path[path] for path in paths]
        if function == "globals" or (function == "eval" and self._is_called_somewhere(call)):
            imports = [one for one in self.find(cst.ImportFrom) if self.file(one) is self.file(call)]
            return [self.file(call), *chain.from_iterable(self._files_of(one, self.file(call)) for one in imports)]
        return []

    def _is_called_somewhere(self, call: cst.Call) -> bool:
        """Whether what a call gives is called, at once or by the name that it is assigned to."""
        return any(self.called(one) is not None for one in (call, *self._named_reads(call)))

    def _tells_of_file(self, call: cst.Call) -> bool:
        """Whether of the module that a call gives nothing is taken but its version, or where it lies."""
        around = [self.parent(one) for one in self._named_reads(call)]
        told = [isinstance(one, cst.Attribute) and one.attr.value in ("__version__", "__file__") for one in around]
        return bool(told) and all(told)

    def _named_reads(self, call: cst.Call) -> list[cst.BaseExpression]:
        """The uses of the name that a call is assigned to."""
        statement = self.parent(call)
        target = statement.targets[0].target if isinstance(statement, cst.Assign) else None
        return [] if not isinstance(target, cst.Name) else self.reads(Variable(self.scope(target), target.value))

    def _is_imported(self, node: cst.CSTNode) -> bool:
        return self.around(node, cst.Import) is not None or self.around(node, cst.ImportFrom) is not None

    def _read(self, node: cst.Name | cst.Attribute, name: str) -> None:
        paths, rest = self._found(name, self.file(node))
        if len(rest) == 1 and any(_assignments(Variable(self._by_path[path].globals, rest[0])) for path in paths):
            for variable in self._resolved(name, self.file(node)):
                self._reads[variable].append(node)
        elif len(rest) == 1 or not isinstance(self.parent(node), cst.Attribute):
            self._leak(node, name)

    def _leak(self, node: cst.CSTNode, name: str) -> None:
        paths, rest = self._found(name, self.file(node))
        if len(rest) < 2:
            for path in paths:
                self._leak_all(node, self._by_path[path])

    def _leak_all(self, node: cst.CSTNode, file: File) -> None:
        """A file is given away, with those whose names it has by *."""
        if node not in self._leaks[file.globals]:
            self._leaks[file.globals].append(node)
            for other in (one for statement in self._stars.get(file, ()) for one in self._files_of(statement, file)):
                self._leak_all(node, other)


def canonical(name: str) -> str:
    """The public name in torch of what may be ours, or torch's by a private name."""
    name = _OURS.sub(lambda match: f"torch.nn{'' if match[1] == 'nn' else '.functional'}.{match[2]}", name)
    return _PRIVATE.sub(r"torch.nn.\1", name)


def _assignments(variable: Variable) -> list[Assignment]:
    return [binding for binding in variable.scope[variable.name] if isinstance(binding, Assignment)]


def _leftmost(node: cst.CSTNode) -> cst.CSTNode:
    """The name in what libcst calls an access of it, which may have attributes after it."""
    while isinstance(node, cst.Attribute):
        node = node.value
    return node
