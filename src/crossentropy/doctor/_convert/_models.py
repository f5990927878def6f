"""Models of a script: the activation that one ends in, and the calls that give its output."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import libcst as cst

from crossentropy.doctor._convert._activations import Activation, activation, layer
from crossentropy.doctor._convert._edits import Edit, Refused
from crossentropy.doctor._convert._flow import ITSELF, Flow, Objects
from crossentropy.doctor._convert._functions import is_export, method, names_type
from crossentropy.doctor._convert._imports import rename
from crossentropy.doctor._convert._options import Options
from crossentropy.doctor._convert._returns import Returned, returned
from crossentropy.doctor._convert._script import Script
from crossentropy.doctor._convert._sources import Unwrapping
from crossentropy.doctor._convert._statements import without_element, without_statement
from crossentropy.doctor._convert._uses import Part

_IDENTITY = "torch.nn.Identity"


@dataclass(frozen=True)
class Tail:
    """The activation at the end of a model, or of one part of its output."""

    activation: Activation
    edits: tuple[Edit, ...]
    """What takes it away."""
    imports: frozenset[Edit] = frozenset()
    doubt: tuple[cst.CSTNode, str] | None = None
    """Why it may not be there, and where."""


_tails: WeakKeyDictionary[Objects, dict[tuple[cst.Call, Part], Tail | None]] = WeakKeyDictionary()


def tail(script: Script, objects: Objects, flow: Flow, part: Part = None) -> Tail | None:
    """The activation that a model ends in, if that can be seen."""
    known = _tails.setdefault(objects, {})
    if (flow.made, part) not in known:
        known[flow.made, part] = None  # for a model that calls itself
        known[flow.made, part] = _tail(script, objects, flow, part)
    return known[flow.made, part]


def _tail(script: Script, objects: Objects, flow: Flow, part: Part) -> Tail | None:
    function = flow.made.func
    if script.imported(function) == "torch.nn.Sequential":
        if flow.added:
            return _last_added(script, objects, flow) if part is None else None
        return _last_layer(script, objects, flow.made.args) if part is None else None
    if (path := script.missing(function)) is not None:
        raise Refused(function, f"{script.text(function)} comes from {path}, which was not given: pass it too")
    ends = [Ends(script, objects, owner, flow.made).tail(part) for owner in objects.classes_of(flow.made)]
    return _joint([end for end in ends if end is not None], len(ends), function, "the class that is made here")


def called(script: Script, objects: Objects, call: cst.Call) -> list[Flow]:
    """The models that a call may call; of a class that calls itself, its objects."""
    found = objects.may_be_called_by(call)
    owner = script.around(call, cst.ClassDef)
    if found or owner is None or script.text(call.func) not in ("self", "self.forward", "self.__call__"):
        return found
    if not objects.made_of(owner) and Ends(script, objects, owner, None).tail(None) is not None:
        raise _unseen(call, f"no {owner.name.value} is made here")
    return found


def outputs(script: Script, objects: Objects, flow: Flow, *, certain: bool = True) -> list[cst.Call]:
    """All calls of a model, which must be in sight, and if `certain`, not of something else at times."""
    calls = list(flow.calls)
    for at, how in (*flow.lost, *flow.mixed * certain):
        raise _unseen(at, how)
    for owner in objects.classes_of(flow.made):
        _require_only_made(script, objects, owner)
    if flow.saved:
        _require_not_loaded(script)
    return calls


def _unseen(at: cst.CSTNode, how: str) -> Refused:
    """A refusal of a model that goes out of sight."""
    question = "Is its output used as probabilities there?"
    return Refused(at, f"other uses of the model's output cannot be seen: {how}", question)


def _joint(found: Sequence[Tail], expected: int, at: cst.CSTNode, what: str) -> Tail | None:
    """One tail of several that are taken away together."""
    if not found:
        return None
    first = found[0]
    doubt = next((one.doubt for one in found if one.doubt is not None), None)
    if len(found) < expected:
        doubt = (at, f"{what} ends in {first.activation.kind} only at times")
    if len({one.activation.kind for one in found}) > 1 or {one.activation.dim for one in found} - {"1", "-1", None}:
        doubt = (
            (at, f"{what} ends in different activations")
            if len({one.activation.suffix for one in found}) > 1
            else doubt
        )
    edits = tuple(dict.fromkeys(edit for one in found for edit in one.edits))
    return Tail(first.activation, edits, frozenset().union(*(one.imports for one in found)), doubt)


def _last_layer(script: Script, objects: Objects, arguments: Sequence[cst.Arg]) -> Tail | None:
    """The activation at the end of a Sequential, which may be given a list or an ordered dictionary."""
    if len(arguments) == 1 and (found := _given_whole(script, arguments[0])) is not None:
        return _last_element(script, objects, found)
    if len(arguments) < 2 or arguments[-1].star or arguments[-1].keyword:
        return None
    return _of_layer(script, objects, arguments[-1].value, without_element(script, arguments, len(arguments) - 1))


def _given_whole(script: Script, argument: cst.Arg) -> cst.BaseExpression | None:
    """The list that a Sequential is given with a star, or the entries of its ordered dictionary."""
    value = argument.value
    if not argument.star and isinstance(value, cst.Call):
        is_ordered = script.imported(value.func) == "collections.OrderedDict" and len(value.args) == 1
        return value.args[0].value if is_ordered else None
    return value if argument.star == "*" or _is_ordered(script, value) else None


def _is_ordered(script: Script, value: cst.BaseExpression) -> bool:
    """Whether a name holds an ordered dictionary, whose entries are put in by themselves."""
    bound = [node for variable in script.variables(value) for node in script.bindings(variable)]
    made = script.assigned(bound[0]) if isinstance(value, cst.Name) and len(bound) == 1 else None
    return isinstance(made, cst.Call) and script.imported(made.func) == "collections.OrderedDict"


def _last_element(script: Script, objects: Objects, given: cst.BaseExpression) -> Tail | None:
    if isinstance(given, cst.Name):
        return _last_appended(script, objects, given)
    if not isinstance(given, cst.List | cst.Tuple) or len(given.elements) < 2:
        return None
    last = given.elements[-1]
    value = last.value
    if isinstance(value, cst.Tuple) and len(value.elements) == 2:
        value = value.elements[1].value
    if isinstance(last, cst.StarredElement):
        return None
    return _of_layer(script, objects, value, without_element(script, given.elements, len(given.elements) - 1))


def _last_appended(script: Script, objects: Objects, name: cst.Name) -> Tail | None:
    """The activation that was put last on a list, by the statement before the one that uses it or where it was made."""
    function = script.around(name, cst.FunctionDef)
    line = next((one for one in script.ancestors(name) if isinstance(one, cst.SimpleStatementLine)), None)
    body = () if function is None or not isinstance(function.body, cst.IndentedBlock) else function.body.body
    if line is None or line not in body:
        return None
    after = (node for one in body[body.index(line) :] for node in script.inside(one))
    if any(isinstance(node, cst.Name) and node is not name and node.value == name.value for node in after):
        return None
    for before in reversed(body[: body.index(line)]):
        named = [one for one in script.inside(before) if isinstance(one, cst.Name) and one.value == name.value]
        if not named:
            continue
        statement = before.body[0] if isinstance(before, cst.SimpleStatementLine) and len(before.body) == 1 else None
        return _put_last(script, objects, statement, named)
    return None


def _put_last(
    script: Script, objects: Objects, statement: cst.CSTNode | None, named: Sequence[cst.Name]
) -> Tail | None:
    if len(named) != 1:
        return None
    entry = statement.targets[0].target if isinstance(statement, cst.Assign) else None
    if isinstance(statement, cst.Assign) and isinstance(entry, cst.Subscript):
        around = script.inside(script.around(statement, cst.FunctionDef) or statement)
        alike = [one for one in around if isinstance(one, cst.Subscript) and one.deep_equals(entry)]
        edit = without_statement(script, statement)
        return _of_layer(script, objects, statement.value, edit) if alike == [entry] else None
    if isinstance(statement, cst.Assign | cst.AugAssign):
        return _last_element(script, objects, statement.value) if not isinstance(statement.value, cst.Name) else None
    call = statement.value if isinstance(statement, cst.Expr) else None
    if not isinstance(statement, cst.Expr) or not isinstance(call, cst.Call) or len(call.args) != 1:
        return None
    found = script.method_call(named[0])
    if found is None or found != ("append", call):
        return None
    return _of_layer(script, objects, call.args[0].value, without_statement(script, statement))


def _last_added(script: Script, objects: Objects, flow: Flow) -> Tail | None:
    """The activation that was put last into a Sequential, in the block in which it was made."""
    last = max(flow.added, key=script.span)
    statement, block = script.parent(last), script.around(flow.made, cst.BaseSuite)
    if not isinstance(statement, cst.Expr) or script.around(last, cst.BaseSuite) is not block or not last.args:
        return None
    return _of_layer(script, objects, last.args[-1].value, without_statement(script, statement))


def _of_layer(script: Script, objects: Objects, last: cst.BaseExpression, edit: Edit) -> Tail | None:
    """The activation that the last layer of several is, or ends in; the edit takes the layer away."""
    if (found := layer(script, last)) is not None:
        return Tail(found, (edit,))
    flow = objects.flows.get(last) if isinstance(last, cst.Call) else None
    if isinstance(last, cst.Name):
        flows = [one for one in objects.flows.values() if last in one.stands]
        flow = flows[0] if len(flows) == 1 and [node for node, _ in flows[0].lost] == [script.parent(last)] else None
    if flow is None or flow.calls or script.imported(flow.made.func) != "torch.nn.Sequential":
        return None
    return _last_layer(script, objects, flow.made.args)


class Ends:
    """Where `forward` of an object ends, on each way that its settings leave open."""

    def __init__(self, script: Script, objects: Objects, owner: cst.ClassDef, made: cst.Call | None) -> None:
        self._script = script
        self._objects = objects
        self._owner = owner
        self._options = Options(script, owner, made)

    def tail(self, part: Part) -> Tail | None:
        """The activation that a part of the output ends in."""
        forward = method(self._owner, "forward")
        results = None if forward is None else returned(self._script, forward, self._options, part)
        if not results:
            return None
        unwrapping = Unwrapping(self._script, "logits")
        found = [(result, self._end(result, unwrapping)) for result in results]
        ends = [end for _, end in found if end is not None]
        joint = _joint(ends, len(found), results[0].way, "forward")
        if joint is None:
            return None
        edits = tuple(dict.fromkeys([*joint.edits, *unwrapping.edits()]))
        return Tail(joint.activation, edits, joint.imports, self._doubt(found) or joint.doubt)

    def _doubt(self, found: Sequence[tuple[Returned, Tail | None]]) -> tuple[cst.CSTNode, str] | None:
        """What has to be known for the activation to be there."""
        with_it = {test for result, end in found if end is not None for test in result.tests}
        without = {test for result, end in found if end is None for test in result.tests}
        if all(end is not None for _, end in found):
            return None
        tests = [test for result, _ in found for test in result.tests if test in with_it | without]
        if not tests:
            return None
        text = self._script.text(tests[0])
        return tests[0], f"the activation is applied or not by {text}, which is known only when the script runs"

    def _end(self, result: Returned, unwrapping: Unwrapping) -> Tail | None:
        """The activation that makes a result."""
        if (applied := self._applied(result.value)) is not None:
            found, edits, imports = applied
            if edits is None:
                edits = tuple(self._taken(result, found, unwrapping))
            return Tail(found, edits, imports)
        if not isinstance(result.value, cst.Call):
            return None
        flows = called(self._script, self._objects, result.value)
        tails = [tail(self._script, self._objects, flow) for flow in flows]
        joint = _joint([one for one in tails if one is not None], len(tails), result.value, "the model that is called")
        if joint is not None:
            self._require_no_more(result, flows)
        return joint

    def _applied(self, value: cst.BaseExpression) -> tuple[Activation, tuple[Edit, ...] | None, frozenset[Edit]] | None:
        """The activation that an expression applies, and the edits, if it is taken away where its layer is made."""
        found = activation(self._script, self._objects, value)
        if found is not None:
            return None if found.operand is None else (found, None, frozenset())
        if not isinstance(value, cst.Call) or not isinstance(value.func, cst.Attribute) or len(value.args) != 1:
            return None
        name = value.func
        made = self._options.attribute(name.attr.value) if self._script.text(name.value) == "self" else None
        chosen = None if made is None else layer(self._script, made)
        if chosen is None or made is None:
            return None
        calls = [
            node for node in self._script.find(cst.Call) if self._script.text(node.func) == self._script.text(name)
        ]
        if sum(self._script.around(node, cst.ClassDef) is self._owner for node in calls) > 1:
            raise Refused(value, f"{self._script.text(name)} is used for more than this result")
        edit, imports = self._without(made)
        return Activation(chosen.kind, chosen.call, chosen.function, chosen.dim, value.args[0].value), (edit,), imports

    def _without(self, made: cst.BaseExpression) -> tuple[Edit, frozenset[Edit]]:
        """The edit that puts a layer that does nothing in the place of another."""
        function = made.func if isinstance(made, cst.Call) else made
        edit, spelling = rename(self._script, function, _IDENTITY)
        return Edit(*self._script.span(made), f"{self._head(edit, function)}()"), spelling.imports

    def _head(self, edit: Edit, function: cst.BaseExpression) -> str:
        start, end = self._script.span(function)
        return (
            self._script.source[start : edit.start].decode() + edit.text + self._script.source[edit.end : end].decode()
        )

    def _taken(self, result: Returned, found: Activation, unwrapping: Unwrapping) -> Iterator[Edit]:
        """What takes an activation out of the expression that makes a result."""
        assert found.operand is not None
        if result.statement is None:
            yield self._script.replace(found.call, found.operand)
            return
        certain = result.definition is not None and result.definition.value is found.call
        if certain and (result.used_between or self._is_beside(result)):
            unwrapping.unwrap(result.argument, result.source, found.operand)
            return
        if result.used_between:
            raise Refused(found.call, f"{result.name} is used for more than the result of forward")
        if isinstance(found.operand, cst.Name) and found.operand.value == result.name and found.call is result.value:
            yield without_statement(self._script, result.statement)
        else:
            yield self._script.replace(found.call, found.operand)

    def _is_beside(self, result: Returned) -> bool:
        """Whether a result is assigned in the block in which it is returned."""
        blocks = [self._script.around(one, cst.BaseSuite) for one in (result.statement, result.way) if one is not None]
        return blocks[0] is blocks[-1]

    def _require_no_more(self, result: Returned, flows: Sequence[Flow]) -> None:
        for flow in flows:
            owners = self._objects.classes_of(flow.made)
            beside = [one for owner in owners for one in self._objects.made_of(owner)] or [flow]
            several = len({call for one in beside for call in outputs(self._script, self._objects, one)}) > 1
            if several or result.used_between or (result.definition is not None and len(result.definition.uses) > 1):
                text = self._script.text(flow.made.func)
                raise Refused(result.argument, f"the output of {text} is used for more than this result")


def _require_not_loaded(script: Script) -> None:
    """Raise if a model that was saved as a whole may be loaded again in these files, where it is not followed."""
    for call in script.calling("torch.load"):
        statement = script.parent(call)
        name = statement.targets[0].target if isinstance(statement, cst.Assign) else None
        named = [] if name is None else [read for one in script.variables(name) for read in script.reads(one)]
        if any(script.called(use) is not None or _is_model(script, use) for use in (call, *named)):
            raise _unseen(call, "a model that is saved as a whole may be loaded here")


def _is_model(script: Script, use: cst.BaseExpression) -> bool:
    """Whether a method of modules is called on an expression."""
    method = script.method_call(use)
    return method is not None and method[0] in ITSELF | {"forward", "parameters"}


def _is_static(script: Script, owner: cst.ClassDef, node: cst.BaseExpression) -> bool:
    """Whether of a class a static method is used here, which has no object."""
    attribute = script.parent(node)
    found = method(owner, attribute.attr.value) if isinstance(attribute, cst.Attribute) else None
    return found is not None and [script.text(one.decorator) for one in found.decorators] == ["staticmethod"]


def _require_only_made(script: Script, objects: Objects, owner: cst.ClassDef) -> None:
    """Raise if a class is used for anything but making its objects and naming its type."""
    variable = script.variable(owner)
    if script.is_decorated(owner):
        raise _unseen(owner, f"{owner.name.value} has a decorator")
    for node in script.reads(variable):
        if is_export(script, node) or _is_static(script, owner, node):
            continue
        makes = script.called(node) or names_type(script, node) or objects.is_chosen_from(node)
        if script.named(node) is not owner or not makes:
            text = script.text(node)
            raise _unseen(node, f"{text} is used as a value")
    for leak in script.leaks(variable):
        raise _unseen(leak, f"{owner.name.value} may be used by this")
