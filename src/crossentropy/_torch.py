"""Torch's private names: every one that the package uses, and what is done in a torch that has it no more.

They tell what no public name tells: which transform is at work, whether a graph is kept, whether a tensor was changed.
Each is looked up once, at import. What stands for an absent one gives the same results, later or with more memory:
where something cannot be known, the worst is assumed.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _found(name: str, absent: Any = None) -> Any:  # noqa: ANN401 (whatever torch has)
    """What torch has under a name; where it has nothing, what stands for it."""
    thing: Any = torch
    for part in name.split("."):
        thing = getattr(thing, part, None)
    return absent if thing is None else thing


def _yes(*_: object) -> bool:
    return True


# --- transforms of torch.func -------------------------------------------------------------------------------------

transform = _found("_C._functorch.peek_interpreter_stack", _yes)
"""The innermost transform that is at work, or None. Absent: there seems to be one, and plain operators run."""

transformed = _found("_C._are_functorch_transforms_active", _yes)
"""The same in a form that torch.compile can trace."""

_levels = _found("_C._functorch.get_interpreter_stack")
_kinds = _found("_C._functorch.TransformType")


def maps() -> bool:
    """Whether a transform other than reverse mode is at work: vmap or forward mode. Absent: each may be one."""
    if _levels is None or _kinds is None:
        return transform() is not None
    return any(level.key() not in (_kinds.Grad, _kinds.Functionalize) for level in _levels() or ())


_is_wrapped = _found("_C._functorch.is_functorch_wrapped_tensor")
_is_batched = _found("_C._functorch.is_batchedtensor")
_unwrap = _found("_C._functorch.get_unwrapped")
_batch_axis = _found("_C._functorch.maybe_get_bdim")


def unwrapped(x: Tensor) -> Tensor | None:
    """The tensor that transforms wrap, None where vmap maps over it. Absent: every transform may be vmap."""
    if _is_wrapped is None or _is_batched is None or _unwrap is None:
        return x if transform() is None else None
    while _is_wrapped(x):
        if _is_batched(x):
            return None
        x = _unwrap(x)
    return x


def one_sample(x: Tensor) -> Tensor | None:
    """The first of the tensors over which vmap maps. Absent: None, for it cannot be told which axis is mapped."""
    if _is_wrapped is None or _is_batched is None or _unwrap is None or _batch_axis is None:
        return unwrapped(x)
    while _is_wrapped(x):
        inner = _unwrap(x)
        x = inner.select(_batch_axis(x), 0) if _is_batched(x) else inner
    return x


def _without_memory(x: Tensor) -> bool:
    try:
        x.untyped_storage()
    except (NotImplementedError, RuntimeError):
        return True
    return False


is_legacy_batched = _found("_C._functorch.is_legacy_batchedtensor", _without_memory)
"""Whether a tensor is one of many that `is_grads_batched` made. Absent: whether it has no memory of its own."""

# --- who else is at work ------------------------------------------------------------------------------------------

if _found("autograd.forward_ad._current_level") is None:

    def forward_mode() -> bool:
        """Whether forward-mode derivatives are computed: a level cannot be entered inside another."""
        try:
            with forward_ad.dual_level():
                return False
        except RuntimeError:
            return True

else:

    def forward_mode() -> bool:
        """Whether forward-mode derivatives are computed."""
        return forward_ad._current_level >= 0


modes = _found("_C._len_torch_dispatch_stack", _yes)
"""How many modes see the operators. Absent: there seems to be one, and torch's shortcuts are not taken."""

_mode = _found("_C._get_dispatch_mode")
_fake, _proxy = _found("_C._TorchDispatchModeKey.FAKE"), _found("_C._TorchDispatchModeKey.PROXY")


def tracing() -> bool:
    """Whether operators are recorded, or computed without values. Absent: every mode may do so."""
    if _mode is None or _fake is None or _proxy is None:
        return bool(modes())
    return _mode(_fake) is not None or _mode(_proxy) is not None


scripting = _found("_C._is_tracing", _found("jit.is_tracing", bool))
"""Whether torch.jit.trace records operators. Absent: the public function; without it there is no tracer."""

_function_modes = _found("overrides._get_current_function_mode_stack")


def function_modes() -> list[TorchFunctionMode] | None:
    """The modes that see functions, the innermost last. Absent: None, they are not known."""
    return None if _function_modes is None else list(_function_modes())


def is_innermost(mode: object) -> bool | None:
    """Whether no other mode of functions was entered since this one. Absent: None, it is not known."""
    stack = function_modes()
    return None if stack is None else bool(stack) and stack[-1] is mode


_default_device = _found("_GLOBAL_DEVICE_CONTEXT")


def enter_beneath(mode: TorchFunctionMode) -> None:
    """Let a mode of functions see them after all others, which then leave as they came, whenever this one does.

    A default device must be the lowest, and stays so. Absent: before the others.
    """
    stack = (function_modes() or []) if _default_device is not None else []
    default = bool(stack) and stack[0] is getattr(_default_device, "device_context", None)
    _lift(stack[default:])
    TorchFunctionMode.__enter__(mode)
    _lower(stack[default:])


def leave_mode(mode: TorchFunctionMode) -> None:
    """Let a mode of functions see them no more, wherever it is among others. Absent: it is the last."""
    known = function_modes()
    stack = [mode] if known is None else known
    place = next((i for i, x in enumerate(stack) if x is mode), None)
    if place is not None:
        above = stack[place + 1 :]
        _lift([mode, *above])
        _lower(above)


def _lift(modes: list[TorchFunctionMode]) -> None:
    for mode in reversed(modes):
        TorchFunctionMode.__exit__(mode, None, None, None)


def _lower(modes: list[TorchFunctionMode]) -> None:
    for mode in modes:
        TorchFunctionMode.__enter__(mode)


FakeTensor: tuple[type, ...] | type = _found("_subclasses.fake_tensor.FakeTensor", ())
"""The class of tensors without values. Absent: none is; their class says itself what operators do, which is seen."""

fake_mode: Callable[[], Any] = _found("_subclasses.fake_tensor.FakeTensorMode", nullcontext)
"""A mode in which tensors have no memory. Absent: they have."""

# --- autograd -----------------------------------------------------------------------------------------------------

all_gather = _found("distributed.all_gather_single", _found("distributed.all_gather_into_tensor"))
reduce_scatter = _found("distributed.reduce_scatter_single", _found("distributed.reduce_scatter_tensor"))
"""Both by their names since 2.13, or by those that it warns of."""

DTENSORS_DIFFERENTIATE_TWICE = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 13)
"""Whether gradients that pass from a DTensor to a rank's tensor have gradients; before, what they hang on was lost."""

group_named = _found("distributed.distributed_c10d._resolve_process_group")
"""The process group of a name; None in a torch without: then nothing over ranks is compiled."""

graph_is_kept = _found("_C._autograd._get_current_graph_task_keep_graph", _yes)
"""Whether the graph that is being differentiated may be again. Absent: it may, so that gradients are copied."""

_top_hooks = _found("_C._autograd._top_saved_tensors_default_hooks", _yes)


def saving_is_watched() -> bool:
    """Whether hooks decide what is kept for the backward pass. Absent: they do, so that all goes through them."""
    return _top_hooks(True) is not None


def saved(node: object, name: str) -> Any:  # noqa: ANN401 (of any type)
    """What a node of a graph has saved under a name. Absent: None."""
    return getattr(node, f"_saved_{name}", None)


# --- functions ----------------------------------------------------------------------------------------------------

_REDUCTIONS = ("none", "mean", "sum")


def _nll_loss(z: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int) -> Tensor:
    return F.nll_loss(z, target, weight, ignore_index=ignore_index, reduction=_REDUCTIONS[reduction])


def _cross_entropy(z: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int) -> Tensor:
    return F.cross_entropy(z, target, weight, ignore_index=ignore_index, reduction=_REDUCTIONS[reduction])


nll_loss = _found("_C._nn.nll_loss_nd", _nll_loss)
cross_entropy = _found("_C._nn.cross_entropy_loss", _cross_entropy)


def _bce(p: Tensor, y: Tensor, weight: Tensor | None, reduction: int) -> Tensor:
    return F.binary_cross_entropy(p, y, weight, reduction=_REDUCTIONS[reduction])


binary_cross_entropy = _found("_C._nn.binary_cross_entropy", _bce)
"""What torch's functions call. Absent: those functions, a microsecond later."""


def _unparsed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (those of Tensor.to)
    raise TypeError("the arguments of Tensor.to cannot be told apart")


parse_to = _found("_C._nn._parse_to", _unparsed)
"""Device, dtype, … of the arguments of `Tensor.to`. Absent: they are never understood, and lazy logits computed."""

# --- tensors that stand for others --------------------------------------------------------------------------------

without_overrides = _found("_C.DisableTorchFunctionSubclass")
without_dispatch = _found("_C._DisableTorchDispatch")
make_wrapper = _found("Tensor._make_wrapper_subclass")
CAN_BE_LAZY = None not in (without_overrides, without_dispatch, make_wrapper, _found("Tensor._version"))
"""Whether there can be lazy logits. Absent: logits are computed where they are asked for."""

METHODS = tuple(x for x in (_found("Tensor._is_view"),) if x is not None)
PROPERTIES = tuple(x for x in (_found("Tensor._version"), _found("Tensor._base")) if x is not None)
"""Methods and properties that ask for no values. Absent: nobody can ask."""

_has_hooks = _found("Tensor._backward_hooks") is not None


def version(x: Tensor) -> int:
    """How often a tensor was changed in place. Absent: never asked, for there are no lazy logits."""
    return x._version


_has_address = _found("Tensor._cdata") is not None


def address(x: Tensor) -> int | None:
    """Where the tensor is that a Python object stands for. Absent: None, and nothing looks there."""
    return x._cdata if _has_address else None


_has_base = _found("Tensor._base") is not None


def viewed(x: Tensor) -> Tensor:
    """The tensor of which another is a view, or the tensor itself. Absent: itself."""
    return x._base if _has_base and x._base is not None else x


def is_watched(x: Tensor) -> bool:
    """Whether somebody wants the gradient of a tensor. Absent: somebody may."""
    return x.retains_grad or not _has_hooks or bool(x._backward_hooks)


# --- ranks --------------------------------------------------------------------------------------------------------


def in_loss_parallel() -> bool:
    """Whether torch's loss_parallel replaces the operators of a loss of DTensors. Absent: it does."""
    from torch.distributed.tensor import DTensor

    handlers = getattr(getattr(DTensor, "_op_dispatcher", None), "_custom_op_handlers", None)
    return handlers is None or torch.ops.aten._log_softmax_backward_data.default in handlers


def sharded_modules() -> dict[nn.Module, Callable[[], Any]] | None:
    """What torch.distributed keeps of the modules that FSDP wraps. Absent: None, where it may wrap some."""
    if "torch.distributed.fsdp._fully_shard" not in sys.modules:
        return {}
    return getattr(sys.modules.get("torch.distributed._composable_state"), "_module_state_mapping", None)


def _groups(state: Any) -> list[Any]:  # noqa: ANN401 (torch's)
    """The groups of parameters of a module that FSDP wraps; several since 2.12."""
    groups = getattr(state, "_fsdp_param_groups", None)
    return [getattr(state, "_fsdp_param_group", None)] if groups is None else groups


def frees_at_the_end(state: Any) -> bool:  # noqa: ANN401 (torch's)
    """Whether FSDP frees the parameters of a module when that returns. Absent: it does."""
    return any(group is not None and getattr(group, "_reshard_after_forward", True) for group in _groups(state))


def gathered_from(state: Any, x: Tensor) -> Tensor | None:  # noqa: ANN401 (torch's)
    """The sharded parameter from which FSDP has gathered another. Absent: None, it is not known."""
    for group in _groups(state):
        for parameter in getattr(group, "fsdp_params", ()):
            if getattr(parameter, "_unsharded_param", None) is x:
                return getattr(parameter, "sharded_param", None)
    return None


# --- trees of arguments -------------------------------------------------------------------------------------------


def _map(function: Callable[[Any], Any], tree: Any) -> Any:  # noqa: ANN401 (of any type)
    if isinstance(tree, dict):
        return {key: _map(function, value) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        parts = [_map(function, part) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return function(tree)


def _leaves(tree: Any) -> list[Any]:  # noqa: ANN401 (of any type)
    found: list[Any] = []
    _map(found.append, tree)
    return found


def _map_only(kind: type, function: Callable[[Any], Any], tree: Any) -> Any:  # noqa: ANN401 (of any type)
    return _map(lambda x: function(x) if isinstance(x, kind) else x, tree)


leaves: Callable[[Any], list[Any]] = _found("utils._pytree.tree_leaves", _leaves)
map_only: Callable[..., Any] = _found("utils._pytree.tree_map_only", _map_only)
"""Of nested arguments. Absent: of tuples, lists and dictionaries, but not of classes that were made known to torch."""

# --- compilers ----------------------------------------------------------------------------------------------------

_strategy = _found("_C._dynamo.eval_frame._FrameExecStrategy")
_action = _found("_C._dynamo.eval_frame._FrameAction.SKIP")
_set_strategy = _found("_C._dynamo.eval_frame.set_code_exec_strategy")


def not_compiled(reason: str) -> Callable[[_Function], _Function]:
    """Mark a function that the compiler neither enters nor follows where it leads.

    The marks are those of `torch.compiler.disable`, which would import the compiler to set them: a second, for everyone
    who only imports this package. Absent: that second.
    """

    def mark(function: _Function) -> _Function:
        if _strategy is None or _action is None or _set_strategy is None:
            return torch.compiler.disable(function, reason=reason)  # pyright: ignore[reportReturnType]
        function._torchdynamo_disable = True  # pyright: ignore[reportFunctionMemberAccess]
        function._torchdynamo_disable_msg = reason  # pyright: ignore[reportFunctionMemberAccess]
        _set_strategy(function.__code__, _strategy(_action, _action))
        return function

    return mark


def uncompiled() -> AbstractContextManager[object]:
    """A context in which what was compiled runs as it is written. Where no compiler was loaded, nothing was."""
    loaded = "torch._dynamo" in sys.modules  # which takes seconds to import
    return torch.compiler.set_stance("force_eager") if loaded else nullcontext()


def one_graph() -> bool:
    """Whether the compiler that is at work was asked for a single graph. Absent: it was."""
    try:
        from torch._dynamo.symbolic_convert import InstructionTranslator

        return bool(InstructionTranslator.current_tx().one_graph)
    except (ImportError, AttributeError):
        return True


one_graph._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


def apply_to_all(base: Any, fn: Callable[[Tensor], Tensor], *args: Any) -> Any:  # noqa: ANN401 (a super() of a module)
    """A module's `_apply`, which calls what a subclass makes of it: where torch has none, nothing asks."""
    return base._apply(fn, *args)
