"""Calls of what is not known, which may be a model."""

from __future__ import annotations

from crossentropy.doctor._knowledge._facts import AS_TENSOR
from crossentropy.doctor._source import _tokenizers
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._interpreter import Interpreter
from crossentropy.doctor._source._values import Call, Instance, Layer, Output, Sequence, Tensor, Unknown, Value

_HEADS = ("fc", "classifier", "head", "heads", "last_linear")
"""Names of last layers in collections of models."""
MODEL = "*model"
"""The member of something unknown that has been used as a model."""
AS_MODEL = ("eval", "train", "parameters", "state_dict", "load_state_dict", "named_parameters", "requires_grad_")
"""Methods of models, and of little else."""
_OWN = ("importlib", "hydra", "torch.load", "copy", "pydoc", "functools", "builtins")
"""What libraries give back may be of the program all the same, where they are these."""


def call_unknown(run: Interpreter, function: Unknown, call: Call) -> Value:
    """A call of something unknown: of a model whose last layer was replaced, that layer is known."""
    if "*backward" in function.members:
        run.report.add(
            "loss-name-shadowed",
            call.place,
            "what is called here is not the criterion any more but a loss, whose backward() was called at "
            f"{function.members['*backward']}: give the value another name",
        )
    if _tokenizers.fills_up(call):
        return _tokenizers.encoding()
    for name in _HEADS:
        if isinstance(head := function.members.get(name), (Layer, Instance)):
            return run.call(head, Call([Unknown()], {}, call.place))
    result = Unknown(owner=function if function.foreign else None)
    if _may_be_model(function, call):
        of_scores = any(as_tensor(value).kind for value in (*call.args, *call.kwargs.values()))
        output = Output(function, len(call.args), tuple(call.kwargs), of_scores=of_scores)
        result.members[AS_TENSOR] = Tensor(source=Sequence(), caller=output)
    return result


def _may_be_model(function: Unknown, call: Call) -> bool:
    """Whether numbers go in, and no other model's outputs, which a function may change further."""
    if function.foreign or not (call.args or call.kwargs):
        return False
    callers = [tensor.caller for value in call.args if (tensor := as_tensor(value)).caller is not None]
    used = MODEL in function.members
    whole = (caller for caller in callers if caller is not None and not caller.path)
    return all(used and MODEL not in caller.function.members for caller in whole)


def made_by_library(name: str, value: Value) -> Value:
    """What a library gives back that is not read."""
    if isinstance(value, Unknown) and not name.startswith(_OWN):
        value.foreign = True
    return value
