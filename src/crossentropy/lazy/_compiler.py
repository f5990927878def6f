"""torch.compile and lazy logits: the model up to its head is one graph, and the loss runs after it, in chunks.

The marks are those of `torch.compiler.disable` and `torch.compiler.assume_constant_result`, which would import the
compiler to set them: a second, for everyone who only imports this package.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch._C._dynamo import eval_frame

_Function = TypeVar("_Function", bound=Callable[..., Any])


def not_compiled(reason: str) -> Callable[[_Function], _Function]:
    """Mark a function that the compiler neither enters nor follows where it leads."""

    def mark(function: _Function) -> _Function:
        function._torchdynamo_disable = True  # pyright: ignore[reportFunctionMemberAccess]
        function._torchdynamo_disable_msg = reason  # pyright: ignore[reportFunctionMemberAccess]
        skip = eval_frame._FrameExecStrategy(eval_frame._FrameAction.SKIP, eval_frame._FrameAction.SKIP)
        eval_frame.set_code_exec_strategy(function.__code__, skip)
        return function

    return mark


def _one_graph() -> bool:
    from torch._dynamo.symbolic_convert import InstructionTranslator

    return bool(InstructionTranslator.current_tx().one_graph)


_one_graph._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


def wants_values() -> bool:
    """Whether a compiler is at work that was asked for a single graph, in which lazy logits cannot be."""
    return torch.compiler.is_compiling() and (torch.compiler.is_exporting() or _one_graph())
