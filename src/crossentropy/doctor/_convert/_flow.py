"""Where an object goes after it is made: all its calls in these files, or the place where it is lost from sight.

An object here is a module of torch or of these files: a model, a layer, a criterion. It is followed through names,
attributes of self, parameters and results of their functions and methods, and methods that return the module itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import libcst as cst
from libcst.metadata import FunctionScope, Scope

from crossentropy.doctor._convert._functions import calls_of, function_of, made_by, may_be_of, parameter_of
from crossentropy.doctor._convert._script import Script, Variable

ITSELF = frozenset(["to", "cuda", "cpu", "train", "eval", "half", "float", "double", "bfloat16", "requires_grad_"])
"""Methods of a module that return it."""
_CALLING = frozenset(["forward", "__call__"])
"""Methods that are a call of the module."""
_SEEING = frozenset(["forward", "register_forward_hook", "register_full_backward_hook"])
"""Attributes of a module through which its output is seen."""
_TAKING_APART = frozenset("children named_children _modules".split())  # noqa: SIM905 (of users, not ours)
"""Attributes of a module through which its layers are seen."""
_ADDING = frozenset(["append", "add_module"])
"""Methods of a Sequential that put a layer after the others."""
_BUILDING = frozenset(["extend", "insert", "pop", "register_module"])
"""Methods of a Sequential that change what its last layer is in other ways."""
WRAPPERS = frozenset(["torch.compile", "torch.nn.DataParallel", "torch.nn.parallel.DistributedDataParallel"])
_COPYING = frozenset(["copy.copy", "copy.deepcopy", "torch.jit.script", "torch.jit.trace"])
"""Functions that return what computes the same."""
HARMLESS = frozenset(["print", "len", "isinstance", "type", "id", "repr", "str", "hasattr", "super"])
_BLIND = frozenset(
    [
        *(
            "torch.save",
            "torchsummary.summary",
            "torchinfo.summary",
            "wandb.watch",
            "thop.profile",
            "torchviz.make_dot",
        ),
        *("torch.nn.utils.clip_grad_norm_", "torch.nn.utils.clip_grad_value_", "ptflops.get_model_complexity_info"),
        *("torch.nn.utils.parameters_to_vector", "torch.nn.init.xavier_uniform_", "torchsummaryX.summary"),
    ]
)
"""Functions that do not look at what the model they are given computes."""
_SAVING = frozenset(["torch.save", "torch.onnx.export", "torch.jit.save"])
"""Functions that write a model for programs that are not in sight."""
_FITTING = re.compile(r"(pytorch_)?lightning\..*\bTrainer(\.from_argparse_args)?\.(fit|test|validate|tune)")
"""Methods that call those of the object that train it, and use of them no more than the loss."""
_PREPARING = re.compile(r"(apex\.)?amp\.initialize|accelerate\..*\bAccelerator\.prepare")
"""Functions that return what they were given, each in its place."""
_BLIND_METHODS = frozenset(["add_graph", "watch"])
"""The same, methods of what writes logs."""


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
    """The expressions that are the object, or may be."""
    saved: list[cst.CSTNode] = field(default_factory=list)
    """Where it is saved as a whole."""
    added: list[cst.Call] = field(default_factory=list)
    """The calls that put a layer after the others."""
    seen: set[cst.CSTNode] = field(default_factory=set)
    """These expressions, and the names that they are assigned to."""
    others: "list[Flow]" = field(default_factory=list)
    """Objects that some of these expressions may be instead."""


class Objects:
    """The flows of all objects that a script makes."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.flows = {
            call: Follower(script).follow(call, self.classes_of(call))
            for call in script.find(cst.Call)
            if self._makes(call)
        }
        self._tell_apart()
        self._callers: dict[cst.Call, list[Flow]] = {}
        for flow in self.flows.values():
            for call in flow.calls:
                self._callers.setdefault(call, []).append(flow)

    def called_by(self, call: cst.Call) -> Flow | None:
        """The flow of the object that a call calls, if it can be no other."""
        flows = self.may_be_called_by(call)
        return flows[0] if len(flows) == 1 and not flows[0].mixed and not flows[0].others else None

    def may_be_called_by(self, call: cst.Call) -> list[Flow]:
        """The flows of all objects that a call may call."""
        return self._callers.get(call, [])

    def made_of(self, owner: cst.ClassDef) -> list[Flow]:
        """The flows of all objects of a class."""
        return [flow for flow in self.flows.values() if owner in self.classes_of(flow.made)]

    def classes_of(self, made: cst.Call) -> list[cst.ClassDef]:
        """The classes of these files that a call may make an object of: several if it chooses from a dictionary."""
        entries = self._choice(made.func) if isinstance(made.func, cst.Subscript) else None
        named = [self.script.named(one) for one in entries or [made.func]]
        return [one for one in named if isinstance(one, cst.ClassDef)] if all(named) else []

    def is_chosen_from(self, node: cst.BaseExpression) -> bool:
        """Whether a class is an entry of a dictionary from which nothing is taken but classes that are called."""
        entry = self.script.parent(node)
        entries = self.script.parent(entry) if isinstance(entry, cst.DictElement) and entry.value is node else None
        if not isinstance(entries, cst.Dict):
            return False
        name = self._holder(entries)
        if name is None or self.script.leaks(name):
            return False
        reads = self.script.reads(name)
        return bool(reads) and all(self._only_chooses(read) for read in reads)

    def _only_chooses(self, read: cst.BaseExpression) -> bool:
        """Whether a use of a dictionary calls one of its entries, or looks at its keys."""
        parent = self.script.parent(read)
        if isinstance(parent, cst.Attribute):
            return parent.attr.value == "keys"
        if isinstance(parent, cst.Comparison | cst.ComparisonTarget):
            return True
        return isinstance(parent, cst.Subscript) and self.script.called(parent) is not None

    def _choice(self, function: cst.Subscript) -> list[cst.BaseExpression] | None:
        """The entries of the dictionary that a call chooses what it calls from."""
        entries: cst.CSTNode | None = function.value
        if isinstance(function.value, cst.Name):
            bound = [
                one for variable in self.script.variables(function.value) for one in self.script.bindings(variable)
            ]
            entries = self.script.assigned(bound[0]) if len(bound) == 1 else None
        if not isinstance(entries, cst.Dict) or not entries.elements:
            return None
        return [one.value for one in entries.elements]

    def _holder(self, entries: cst.Dict) -> Variable | None:
        """The variable that a dictionary is assigned to, and nothing else."""
        statement = self.script.parent(entries)
        target = statement.targets[0].target if isinstance(statement, cst.Assign) else None
        variables = self.script.variables(target) if isinstance(target, cst.Name) else set[Variable]()
        return next(iter(variables)) if len(variables) == 1 else None

    def _tell_apart(self) -> None:
        """What a name may hold instead of an object may be another that is followed as well."""
        holders: dict[cst.CSTNode, list[Flow]] = {}
        for flow in self.flows.values():
            for node in flow.seen:
                holders.setdefault(node, []).append(flow)
        for flow in self.flows.values():
            known = [(node, [one for one in holders.get(node, ()) if one is not flow]) for node, _ in flow.mixed]
            flow.mixed = [problem for problem, (_, others) in zip(flow.mixed, known) if not others]
            flow.others = list({id(one): one for _, others in known for one in others}.values())

    def _makes(self, call: cst.Call) -> bool:
        name = self.script.imported(call.func) or ""
        if name in WRAPPERS:
            return False
        module, _, last = name.rpartition(".")
        if module.partition(".")[0] == "torch":
            return module == "torch.nn" and last[:1].isupper()
        return bool(self.classes_of(call)) or self.script.missing(call.func) is not None


class Follower:
    """Follows one object."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._seen: set[cst.CSTNode] = set()
        self._variables: set[Variable] = set()
        self._parameters: set[tuple[cst.FunctionDef, str]] = set()
        self._results: set[tuple[cst.FunctionDef, int | None]] = set()
        self._given: dict[tuple[cst.FunctionDef, str], list[cst.Call]] = {}
        self._returning: dict[tuple[cst.FunctionDef, str], list[int | None]] = {}
        self._attributes: set[tuple[cst.ClassDef, str]] = set()
        self._stored: list[cst.Attribute] = []

    def follow(self, made: cst.Call, owners: Sequence[cst.ClassDef] = ()) -> Flow:
        """The flow of the object that a call makes, of one of these classes."""
        self._flow = Flow(made, seen=self._seen)
        self._visit(made)
        for owner in owners:
            self._visit_self(owner)
        for variable in self._variables:
            self._check_bindings(variable)
        for node in self._stored:
            if node not in self._seen:
                self._mix(node, f"self.{node.attr.value} is assigned more than once")
        for function, name in self._parameters:
            self._check_arguments(function, name)
        for function, index in self._results:
            self._check_results(function, index)
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
        elif isinstance(parent, cst.IfExp) and parent.test is not node:
            other = parent.orelse if parent.body is node else parent.body
            self._mix(other, f"{self._name(parent)} may also be something else")
            self._visit(parent)
        else:
            self._visit_place(node, parent)

    def _visit_self(self, owner: cst.ClassDef) -> None:
        """What methods of its class do with the object, but for its attributes."""
        for node in self._script.selves(owner):
            parent = self._script.parent(node)
            attribute = parent.attr.value if isinstance(parent, cst.Attribute) else None
            calls = attribute in ITSELF | _CALLING and self._script.called(parent) is not None
            if not isinstance(parent, cst.Param) and (attribute is None or calls):
                self._visit(node)

    def _visit_place(self, node: cst.BaseExpression, parent: cst.CSTNode) -> None:
        """Where the object is put: the parent is a statement, or an element of a tuple in one."""
        listed = self._script.parent(parent) if isinstance(parent, cst.Element) else None
        if isinstance(listed, cst.List | cst.Tuple) and self._visit_listed(node, listed):
            return
        index, holder = None, parent
        if isinstance(parent, cst.Element) and isinstance(whole := self._script.parent(parent), cst.Tuple):
            index, holder = whole.elements.index(parent), self._script.parent(whole)
        if isinstance(holder, cst.Assign) and len(holder.targets) == 1:
            self._bind_part(holder.targets[0].target, index)
        elif isinstance(holder, cst.AnnAssign) and holder.value is node:
            self._bind(holder.target)
        elif isinstance(holder, cst.Return):
            self._visit_result(holder, index)
        elif isinstance(holder, cst.Param):
            self._visit_default(holder)
        elif isinstance(holder, cst.AssignTarget):
            self._mix(node, f"{self._name(node)} may also hold something else")
        elif not isinstance(holder, cst.Del | cst.Expr | cst.Comparison | cst.If | cst.Assert):
            self._lose(node, f"{self._name(node)} is put where its use cannot be seen")

    def _visit_listed(self, node: cst.BaseExpression, listed: cst.List | cst.Tuple) -> bool:
        """Whether an object is in a list that is but gone through, here or in a function that is given the list."""
        loops = self._loops_over(listed)
        for loop in loops:
            for one in listed.elements:
                if one.value is not node:
                    self._mix(one.value, f"{self._name(loop.target)} is something else at times")
            self._bind(loop.target)
        return bool(loops)

    def _loops_over(self, listed: cst.BaseExpression) -> list[cst.For]:
        """The loops that go through a list; none if it is used otherwise."""
        parent = self._script.parent(listed)
        if isinstance(parent, cst.For):
            return [parent] if parent.iter is listed and isinstance(parent.target, cst.Name) else []
        call = self._script.parent(parent) if isinstance(parent, cst.Arg) else None
        function = function_of(self._script, call) if isinstance(call, cst.Call) else None
        if function is None or not isinstance(parent, cst.Arg) or not isinstance(call, cst.Call):
            return []
        name = parameter_of(function, call, parent)
        reads = self._script.reads(Variable(self._script.scope(function.body.body[0]), name or ""))
        around = [one for read in reads if isinstance(one := self._script.parent(read), cst.For) and one.iter is read]
        known = len(around) == len(reads) and all(isinstance(one.target, cst.Name) for one in around)
        return around if known else []

    def _visit_default(self, parameter: cst.Param) -> None:
        """A parameter that is the object unless it is given something else."""
        function = self._script.around(parameter, cst.FunctionDef)
        if function is not None:
            self._parameters.add((function, parameter.name.value))
            self._visit_variable(Variable(self._script.scope(function.body.body[0]), parameter.name.value))

    def _visit_attribute(self, attribute: cst.Attribute) -> None:
        call = self._script.called(attribute)
        if call is not None and attribute.attr.value in ITSELF:
            self._visit(call)
        elif call is not None and attribute.attr.value in _CALLING:
            self._flow.calls.append(call)
        elif attribute.attr.value == "module":
            self._visit(attribute)
        elif attribute.attr.value in _SEEING:
            self._lose(attribute, f"{self._name(attribute)} gives its output away")
        elif attribute.attr.value in _TAKING_APART and self._is_taken_apart(attribute):
            self._lose(attribute, f"{self._name(attribute)} gives its layers away")
        elif call is not None and attribute.attr.value in _ADDING and self._is_sequential():
            self._flow.added.append(call)
        elif attribute.attr.value in _BUILDING | _ADDING and self._is_sequential():
            self._lose(attribute, f"{self._name(attribute)} changes its layers")

    def _is_taken_apart(self, attribute: cst.Attribute) -> bool:
        """Whether the layers that an attribute gives are called without the object, by themselves or in another one."""
        around = (one.func for one in self._script.ancestors(attribute) if isinstance(one, cst.Call))
        made = ((self._script.imported(function) or "").startswith("torch.nn.") for function in around)
        return self._is_sequential() or any(made)

    def _is_sequential(self) -> bool:
        return self._script.imported(self._flow.made.func) == "torch.nn.Sequential"

    def _visit_argument(self, argument: cst.Arg) -> None:
        call = self._script.parent(argument)
        if not isinstance(call, cst.Call) or argument.star:
            return self._lose(argument, f"{self._name(argument.value)} is put where its use cannot be seen")
        name = self._script.imported(call.func)
        if name in WRAPPERS | _COPYING and call.args[0] is argument:
            return self._visit(call)
        if name in _SAVING:
            return self._flow.saved.append(call)
        called = name or self._of_import(call.func)
        if _PREPARING.fullmatch(called):
            return self._visit_prepared(call, argument)
        if _FITTING.fullmatch(called) and argument is call.args[0]:
            return None
        if self._is_blind(call, name):
            return None
        function = function_of(self._script, call)
        parameter = parameter_of(function, call, argument) if function is not None else None
        if function is None or parameter is None:
            how = f"{self._name(argument.value)} is given to {self._name(call.func)}, whose use of it cannot be seen"
            path = self._script.missing(call.func)
            return self._lose(argument, how if path is None else f"{how}: pass {path} too")
        self._parameters.add((function, parameter))
        self._given.setdefault((function, parameter), []).append(call)
        for result in self._returning.get((function, parameter), ()):
            self._visit_call(call, result)
        return self._visit_variable(Variable(self._script.scope(function.body.body[0]), parameter))

    def _of_import(self, function: cst.BaseExpression) -> str:
        """The dotted name of a method of what something imported makes."""
        made = made_by(self._script, function.value) if isinstance(function, cst.Attribute) else None
        name = None if made is None else self._script.imported(made.func)
        return "" if name is None or not isinstance(function, cst.Attribute) else f"{name}.{function.attr.value}"

    def _visit_prepared(self, call: cst.Call, argument: cst.Arg) -> None:
        alone = len([one for one in call.args if one.keyword is None]) == 1
        self._visit_call(call, None if alone else call.args.index(argument))

    def _is_blind(self, call: cst.Call, name: str | None) -> bool:
        """Whether a function that is given the object does not look at what it computes."""
        if name is not None:
            return name in _BLIND
        function = call.func
        if isinstance(function, cst.Name):
            return function.value in HARMLESS
        return isinstance(function, cst.Attribute) and function.attr.value in _BLIND_METHODS

    def _visit_result(self, statement: cst.Return, index: int | None) -> None:
        function = self._script.around(statement, cst.FunctionDef)
        calls = None if function is None else calls_of(self._script, function)
        if function is None or calls is None:
            return self._lose(statement, "it is returned to where its use cannot be seen")
        if (function, index) in self._results:
            return None
        self._results.add((function, index))
        given = self._parameter_in(statement, function, index)
        if given in self._given:
            self._returning.setdefault(given, []).append(index)
            for call in self._given[given]:
                self._visit_call(call, index)
            return None
        if self._script.is_decorated(function):
            self._lose(function, f"{function.name.value} is given to its decorator")
        for read, call in calls:
            if call is None:
                self._lose(read, f"{function.name.value} is put where its use cannot be seen")
            else:
                self._visit_call(call, index)
        return None

    def _parameter_in(
        self, statement: cst.Return, function: cst.FunctionDef, index: int | None
    ) -> tuple[cst.FunctionDef, str]:
        """The parameter that a function returns: each call of it then gives what it was given."""
        value = statement.value
        if index is not None and isinstance(value, cst.Tuple):
            value = value.elements[index].value
        return function, value.value if isinstance(value, cst.Name) else ""

    def _visit_call(self, call: cst.Call, index: int | None) -> None:
        """A call that returns the object, or a tuple of which it is an element."""
        if index is None:
            self._visit(call)
        else:
            self._visit_part(call, index)

    def _visit_part(self, call: cst.Call, index: int) -> None:
        """A call of which one element is the object."""
        parent = self._script.parent(call)
        if isinstance(parent, cst.Assign) and len(parent.targets) == 1:
            return self._bind_part(parent.targets[0].target, index)
        return self._lose(call, f"what {self._name(call)} returns is put where its use cannot be seen")

    def _bind_part(self, target: cst.BaseExpression, index: int | None) -> None:
        """Assign the object, or a tuple of which it is an element."""
        if index is None:
            return self._bind(target)
        elements = target.elements if isinstance(target, cst.Tuple | cst.List) else ()
        if index < len(elements) and not any(isinstance(one, cst.StarredElement) for one in elements):
            return self._bind(elements[index].value)
        return self._lose(target, "it is put where its use cannot be seen")

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
        for node in self._script.attributes(name):
            if node in self._seen:
                continue
            stored = isinstance(self._script.parent(node), cst.AssignTarget)
            if not may_be_of(self._script, node, owner):
                continue
            inside = _is_self(node.value) and self._script.around(node, cst.ClassDef) is not None
            if stored and inside:
                self._stored.append(node)
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
        name = function.name.value
        for leak in self._script.leaks(self._script.variable(function)):
            self._lose(leak, f"{name} may be used through {self._name(leak)}")
        for read, call in calls_of(self._script, function) or [(function, None)]:
            given = call and next((arg for arg in call.args if parameter_of(function, call, arg) == parameter), None)
            if call is not None and not given and self._is_default(function, parameter, call):
                continue
            if not given:
                self._mix(read, f"{name} may be called with something else")
            elif given.value not in self._seen and self._script.text(given.value) != "None":
                self._mix(given.value, f"{name} is called with something else as well")

    def _is_default(self, function: cst.FunctionDef, parameter: str, call: cst.Call) -> bool:
        """Whether a call leaves a parameter to its default, which is the object."""
        given = [*function.params.params, *function.params.kwonly_params]
        mine = any(one.default in self._seen for one in given if one.name.value == parameter)
        return mine and not any(one.star for one in call.args)

    def _check_results(self, function: cst.FunctionDef, index: int | None) -> None:
        """Whether a function may return something else."""
        if self._script.bindings(self._script.variable(function)) != [function]:
            self._mix(function, f"{function.name.value} may also be another function")
        for node in self._script.inside(function.body):
            if not isinstance(node, cst.Return) or self._script.around(node, cst.FunctionDef) is not function:
                continue
            value = node.value
            if index is not None and isinstance(value, cst.Tuple) and index < len(value.elements):
                value = value.elements[index].value
            if value not in self._seen:
                self._mix(value or node, f"{function.name.value} may also return something else")

    def _lose(self, node: cst.CSTNode, how: str) -> None:
        self._flow.lost.append((node, how))

    def _mix(self, node: cst.CSTNode, how: str) -> None:
        self._flow.mixed.append((node, how))

    def _name(self, node: cst.CSTNode) -> str:
        text = self._script.text(node)
        return text if len(text) < 30 and "\n" not in text else "the object"


def _owner(scope: Scope) -> cst.CSTNode | None:
    return scope.node if isinstance(scope, FunctionScope) else None


def _is_self(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Name) and node.value == "self"
