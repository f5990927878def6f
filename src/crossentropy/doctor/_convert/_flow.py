"""Where an object goes after it is made: all its calls in these files, or the place where it is lost from sight.

An object here is a module of torch or of these files: a model, a layer, a criterion. It is followed through names,
attributes of self, parameters and results of their functions, and methods that return the module itself.
"""

from dataclasses import dataclass, field

import libcst as cst
from libcst.metadata import FunctionScope, Scope

from crossentropy.doctor._convert._file import walk
from crossentropy.doctor._convert._script import Script, Variable

ITSELF = frozenset(["to", "cuda", "cpu", "train", "eval", "half", "float", "double", "bfloat16", "requires_grad_"])
"""Methods of a module that return it."""
_SEEING = frozenset(["forward", "register_forward_hook", "register_full_backward_hook"])
"""Attributes of a module through which its output is seen."""
WRAPPERS = frozenset(["torch.compile", "torch.nn.DataParallel", "torch.nn.parallel.DistributedDataParallel"])
HARMLESS = frozenset(["print", "len", "isinstance", "type", "id", "repr", "str"])


@dataclass
class Flow:
    """What becomes of the object that a call makes."""

    made: cst.Call
    calls: list[cst.Call] = field(default_factory=list)
    """The calls of the object, as they stand in the source."""
    lost: list[tuple[cst.CSTNode, str]] = field(default_factory=list)
    """Where it goes out of sight, and how: it may be called elsewhere."""
    mixed: list[tuple[cst.CSTNode, str]] = field(default_factory=list)
    """Where a name of it may hold something else."""
    stands: list[cst.BaseExpression] = field(default_factory=list)
    """The expressions that are the object."""


class Objects:
    """The flows of all objects that a script makes."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.flows = {call: Follower(script).follow(call) for call in script.find(cst.Call) if self._makes(call)}
        self._callers: dict[cst.Call, list[Flow]] = {}
        for flow in self.flows.values():
            for call in flow.calls:
                self._callers.setdefault(call, []).append(flow)

    def called_by(self, call: cst.Call) -> Flow | None:
        """The flow of the object that a call calls, if it can be no other."""
        flows = self.may_be_called_by(call)
        return flows[0] if len(flows) == 1 and not flows[0].mixed else None

    def may_be_called_by(self, call: cst.Call) -> list[Flow]:
        """The flows of all objects that a call may call."""
        return self._callers.get(call, [])

    def made_of(self, owner: cst.ClassDef) -> list[Flow]:
        """The flows of all objects of a class."""
        return [flow for flow in self.flows.values() if self.class_of(flow.made) is owner]

    def class_of(self, made: cst.Call) -> cst.ClassDef | None:
        """The class of these files that a call makes an object of."""
        named = self.script.named(made.func)
        return named if isinstance(named, cst.ClassDef) else None

    def _makes(self, call: cst.Call) -> bool:
        name = self.script.imported(call.func) or ""
        if name in WRAPPERS:
            return False
        module, _, last = name.rpartition(".")
        if module.partition(".")[0] == "torch":
            return module == "torch.nn" and last[:1].isupper()
        return self.class_of(call) is not None or self.script.missing(call.func) is not None


class Follower:
    """Follows one object."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._seen: set[cst.CSTNode] = set()
        self._variables: set[Variable] = set()
        self._parameters: set[tuple[cst.FunctionDef, str]] = set()
        self._attributes: set[tuple[cst.ClassDef, str]] = set()

    def follow(self, made: cst.Call) -> Flow:
        """The flow of the object that a call makes."""
        self._flow = Flow(made)
        self._visit(made)
        for variable in self._variables:
            self._check_bindings(variable)
        for function, name in self._parameters:
            self._check_arguments(function, name)
        self._flow.calls.sort(key=self._script.span)
        return self._flow

    def _visit(self, node: cst.BaseExpression) -> None:
        """What is done with an expression that is the object."""
        if node in self._seen:
            return
        self._seen.add(node)
        self._flow.stands.append(node)
        parent = self._script.parent(node)
        if isinstance(parent, cst.Call):
            self._flow.calls.append(parent)
        elif isinstance(parent, cst.Attribute):
            self._visit_attribute(parent)
        elif isinstance(parent, cst.Arg):
            self._visit_argument(parent)
        elif isinstance(parent, cst.Assign) and len(parent.targets) == 1:
            self._bind(parent.targets[0].target)
        elif isinstance(parent, cst.AnnAssign) and parent.value is node:
            self._bind(parent.target)
        elif isinstance(parent, cst.Return):
            self._visit_result(parent)
        elif isinstance(parent, cst.AssignTarget):
            self._mix(node, f"{self._name(node)} may also hold something else")
        elif not isinstance(parent, cst.Expr | cst.Del):
            self._lose(node, f"{self._name(node)} is put where its use cannot be seen")

    def _visit_attribute(self, attribute: cst.Attribute) -> None:
        call = self._script.called(attribute)
        if call is not None and attribute.attr.value in ITSELF:
            self._visit(call)
        elif call is not None and attribute.attr.value == "forward":
            self._flow.calls.append(call)
        elif attribute.attr.value == "module":
            self._visit(attribute)
        elif attribute.attr.value in _SEEING:
            self._lose(attribute, f"{self._name(attribute)} gives its output away")

    def _visit_argument(self, argument: cst.Arg) -> None:
        call = self._script.parent(argument)
        if not isinstance(call, cst.Call) or argument.star:
            return self._lose(argument, f"{self._name(argument.value)} is put where its use cannot be seen")
        name, function = self._script.imported(call.func), self._script.named(call.func)
        if name in WRAPPERS and call.args[0] is argument:
            return self._visit(call)
        if isinstance(call.func, cst.Name) and call.func.value in HARMLESS and name is None:
            return None
        parameter = _parameter(function, call, argument) if isinstance(function, cst.FunctionDef) else None
        if not isinstance(function, cst.FunctionDef) or parameter is None:
            how = f"{self._name(argument.value)} is given to {self._name(call.func)}, whose use of it cannot be seen"
            path = self._script.missing(call.func)
            return self._lose(argument, how if path is None else f"{how}: pass {path} too")
        self._parameters.add((function, parameter))
        return self._visit_variable(Variable(self._script.scope(function.body.body[0]), parameter))

    def _visit_result(self, statement: cst.Return) -> None:
        function = self._script.around(statement, cst.FunctionDef)
        returns = [node for node in walk(function) if isinstance(node, cst.Return)] if function else []
        if function is None or len(returns) != 1 or self._script.around(function, cst.ClassDef):
            return self._lose(statement, "it is returned to where its use cannot be seen")
        variable = self._script.variable(function)
        if self._script.is_decorated(function):
            self._lose(function, f"{function.name.value} is given to its decorator")
        if self._script.bindings(variable) != [function]:
            self._mix(function, f"{function.name.value} may also be another function")
        for read in self._reads(variable):
            if (call := self._script.called(read)) is not None:
                self._visit(call)
            else:
                self._lose(read, f"{function.name.value} is put where its use cannot be seen")
        return None

    def _bind(self, target: cst.BaseExpression) -> None:
        if isinstance(target, cst.Name):
            self._seen.add(target)
            for variable in self._script.variables(target):
                self._visit_variable(variable)
        elif isinstance(target, cst.Attribute) and _is_self(target.value):
            self._seen.add(target)
            self._visit_field(target)
        else:
            self._lose(target, "it is put where its use cannot be seen")

    def _visit_variable(self, variable: Variable) -> None:
        if variable not in self._variables:
            self._variables.add(variable)
            for read in self._reads(variable):
                self._visit(read)

    def _reads(self, variable: Variable) -> list[cst.BaseExpression]:
        """The reads of a variable, which are all that there are unless its file is given away as a whole."""
        for leak in self._script.leaks(variable):
            self._lose(leak, f"{variable.name} may be used through {self._name(leak)}")
        return self._script.reads(variable)

    def _visit_field(self, target: cst.Attribute) -> None:
        """An attribute of self: all attributes of its name, which must be those of self in the class."""
        owner, name = self._script.around(target, cst.ClassDef), target.attr.value
        if owner is None or (owner, name) in self._attributes:
            return
        self._attributes.add((owner, name))
        for node in self._script.find(cst.Attribute):
            if node.attr.value != name or node in self._seen:
                continue
            stored = isinstance(self._script.parent(node), cst.AssignTarget)
            inside = _is_self(node.value) and self._script.around(node, cst.ClassDef) is owner
            if stored and inside:
                self._mix(node, f"self.{name} is assigned more than once")
            elif inside:
                self._visit(node)
            elif not stored:
                self._lose(node, f"{self._script.text(node)} may be the same object")

    def _check_bindings(self, variable: Variable) -> None:
        for node in self._script.bindings(variable):
            parameter = isinstance(node, cst.Param) or isinstance(self._script.parent(node), cst.Param)
            followed = (_owner(variable.scope), variable.name) in self._parameters
            if node not in self._seen and not (parameter and followed):
                self._mix(node, f"{variable.name} may also hold something else")

    def _check_arguments(self, function: cst.FunctionDef, parameter: str) -> None:
        for read in self._reads(self._script.variable(function)):
            call = self._script.called(read)
            given = call and next((arg for arg in call.args if _parameter(function, call, arg) == parameter), None)
            if not given:
                self._mix(read, f"{function.name.value} may be called with something else")
            elif given.value not in self._seen:
                self._mix(given, f"{function.name.value} is called with something else as well")

    def _lose(self, node: cst.CSTNode, how: str) -> None:
        self._flow.lost.append((node, how))

    def _mix(self, node: cst.CSTNode, how: str) -> None:
        self._flow.mixed.append((node, how))

    def _name(self, node: cst.CSTNode) -> str:
        text = self._script.text(node)
        return text if len(text) < 30 and "\n" not in text else "the object"


def _owner(scope: Scope) -> cst.CSTNode | None:
    return scope.node if isinstance(scope, FunctionScope) else None


def _parameter(function: cst.FunctionDef, call: cst.Call, argument: cst.Arg) -> str | None:
    """The parameter that an argument is for."""
    names = [param.name.value for param in (*function.params.posonly_params, *function.params.params)]
    if argument.keyword is not None:
        named = argument.keyword.value
        return named if named in (*names, *(param.name.value for param in function.params.kwonly_params)) else None
    before = call.args[: call.args.index(argument)]
    index = len(before)
    return names[index] if index < len(names) and not argument.star and not any(arg.star for arg in before) else None


def _is_self(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Name) and node.value == "self"
