"""The functions and methods of these files: which one a call calls, and all calls of one."""

from collections.abc import Sequence

import libcst as cst

from crossentropy.doctor._convert._script import Script


def function_of(script: Script, call: cst.Call) -> cst.FunctionDef | None:
    """The function of these files whose body a call runs, if it can be no other: that of a class is its `__init__`."""
    named = script.named(call.func)
    if isinstance(named, cst.FunctionDef):
        return None if script.around(named, cst.ClassDef) else named
    if isinstance(named, cst.ClassDef):
        return method(named, "__init__")
    owner = class_of_receiver(script, call.func)
    found = None if owner is None or not isinstance(call.func, cst.Attribute) else method(owner, call.func.attr.value)
    return None if found is None or script.is_decorated(found) else found


def related(script: Script, one: cst.ClassDef, other: cst.ClassDef) -> bool:
    """Whether one of two classes is, or may be, derived from the other."""
    return one is other or other in _bases(script, one) or one in _bases(script, other)


def _bases(script: Script, owner: cst.ClassDef) -> set[cst.CSTNode]:
    """The classes of these files that a class is derived from."""
    found: set[cst.CSTNode] = set()
    pending: list[cst.CSTNode] = [owner]
    while pending:
        one = pending.pop()
        named = [script.named(base.value) for base in one.bases] if isinstance(one, cst.ClassDef) else []
        pending += [base for base in named if base is not None and base not in found]
        found |= {base for base in named if base is not None}
    return found


def calls_of(script: Script, function: cst.FunctionDef) -> Sequence[tuple[cst.CSTNode, cst.Call | None]] | None:
    """Where a function or method is named, with the call of it there, or None; None if it cannot be seen where."""
    owner = script.around(function, cst.ClassDef)
    if owner is None:
        reads = [read for read in script.reads(script.variable(function)) if not is_export(script, read)]
        return [(read, script.called(read)) for read in reads]
    name = function.name.value
    if name == "__init__":
        calls = [(read, script.called(read)) for read in script.reads(script.variable(owner))]
        return [(read, call) for read, call in calls if call is not None or not names_type(script, read)]
    if name.startswith("__") or name == "forward":
        return None
    found: list[tuple[cst.CSTNode, cst.Call | None]] = []
    for node in script.attributes(name):
        if script.imported(node):
            continue
        if may_be_of(script, node, owner):
            call = script.called(node)
            found.append((node, call if call is not None and function_of(script, call) is function else None))
    return found


def parameter_of(function: cst.FunctionDef, call: cst.Call, argument: cst.Arg) -> str | None:
    """The parameter that an argument is for."""
    names = [param.name.value for param in (*function.params.posonly_params, *function.params.params)]
    if argument.keyword is not None:
        named = argument.keyword.value
        return named if named in (*names, *(param.name.value for param in function.params.kwonly_params)) else None
    before = call.args[: call.args.index(argument)]
    index = len(before) + (names[:1] == ["self"])
    return names[index] if index < len(names) and not argument.star and not any(arg.star for arg in before) else None


def method(owner: cst.ClassDef, name: str) -> cst.FunctionDef | None:
    """The method of a class by its name, if the class defines one."""
    methods = [node for node in owner.body.body if isinstance(node, cst.FunctionDef) and node.name.value == name]
    return methods[0] if len(methods) == 1 else None


def class_of_receiver(script: Script, function: cst.BaseExpression) -> cst.ClassDef | None:
    """The class of these files whose object a method is called on: self, or a name that holds nothing else."""
    if not isinstance(function, cst.Attribute):
        return None
    if isinstance(function.value, cst.Name) and function.value.value == "self":
        return script.around(function, cst.ClassDef)
    made = made_by(script, function.value)
    named = None if made is None else script.named(made.func)
    return named if isinstance(named, cst.ClassDef) else None


def may_be_of(script: Script, attribute: cst.Attribute, owner: cst.ClassDef) -> bool:
    """Whether an attribute may be of an object of a class, or of one that is derived from it."""
    known = class_of_receiver(script, attribute)
    if known is not None:
        return related(script, known, owner)
    made = made_by(script, attribute.value)
    name = made.func.attr if made is not None and isinstance(made.func, cst.Attribute) else made and made.func
    if not isinstance(name, cst.Name) or script.named(name) is not None:
        return True
    classes = [one for one in script.find(cst.ClassDef) if related(script, one, owner)]
    return any(one.name.value == name.value for one in classes)


def made_by(script: Script, receiver: cst.BaseExpression) -> cst.Call | None:
    """The call that makes what an expression is, if that is all that its name is assigned."""
    made: cst.CSTNode | None = receiver
    if isinstance(receiver, cst.Name):
        bound = [node for variable in script.variables(receiver) for node in script.bindings(variable)]
        made = script.assigned(bound[0]) if len(bound) == 1 else None
    return made if isinstance(made, cst.Call) else None


def is_export(script: Script, node: cst.CSTNode) -> bool:
    """Whether a name stands in `__all__`."""
    statement = script.around(node, cst.Assign)
    return statement is not None and script.text(statement.targets[0].target) == "__all__"


def names_type(script: Script, node: cst.BaseExpression) -> bool:
    """Whether a class stands in super, isinstance or an annotation."""
    call = script.parent(script.parent(node))
    function = call.func if isinstance(call, cst.Call) else None
    if isinstance(function, cst.Name) and function.value in ("super", "isinstance"):
        return True
    return script.around(node, cst.Annotation) is not None
