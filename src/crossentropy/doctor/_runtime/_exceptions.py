"""What an exception of a training script means, where a loss is behind it."""

import re
import traceback
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from crossentropy.doctor._knowledge._loss_call import Found
from crossentropy.doctor._runtime._trace import LIBRARIES, Place


def meaning(error: BaseException) -> Iterator[Found]:
    """The rule behind an exception, at the user's line."""
    place, line = _users_line(error)
    text = str(error)
    if isinstance(error, AttributeError) and _is_criterion(getattr(error, "obj", None)):
        message = f"a criterion was made with tensors and not called: {text}"
        yield Found("loss-constructor-call", message, place=place)
    elif isinstance(error, AttributeError) and "has no attribute 'backward'" in text:
        yield Found("detached-loss", f"backward() of what is no tensor any more: {text}", place=place)
    elif isinstance(error, RuntimeError) and "does not require grad and does not have a grad_fn" in text:
        yield Found("detached-loss", "backward() of a loss without a graph: nothing can be trained by it", place=place)
    elif isinstance(error, TypeError) and re.search(r"'(Tensor|float)' object is not callable", text):
        if re.search(r"loss|criterion|crit|objective", line, re.IGNORECASE) or _calls_a_loss(error, line):
            message = f"the criterion has become {'a Tensor' if 'Tensor' in text else 'a number'}: {line.strip()}"
            yield Found("loss-name-shadowed", message, place=place)
    elif _in_a_constructor(error):
        message = f"tensors are given to the constructor of a loss, which takes its settings: {line.strip()}"
        yield Found("loss-constructor-call", message, place=place)


def _users_line(error: BaseException) -> tuple[Place | None, str]:
    """The innermost line outside torch and this package."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((*LIBRARIES, "<frozen")):
            return Place(frame.filename, frame.lineno or 0), frame.line or ""
    return None, ""


def _calls_a_loss(error: BaseException, line: str) -> bool:
    """Whether a line calls, by a name, a number that has a graph."""
    step, names = error.__traceback__, dict[str, Any]()
    while step is not None:
        if not step.tb_frame.f_code.co_filename.startswith(LIBRARIES):
            names = step.tb_frame.f_globals | step.tb_frame.f_locals
        step = step.tb_next
    for first, *rest in (name.split(".") for name in re.findall(r"([\w.]+)\s*\(", line)):
        value = names.get(first)
        for attribute in rest:
            value = getattr(value, "__dict__", {}).get(attribute)
        if isinstance(value, Tensor) and value.dim() == 0 and value.requires_grad:
            return True
    return False


def _in_a_constructor(error: BaseException) -> bool:
    """Whether it comes from the constructor of a loss that was given tensors as settings."""
    step = error.__traceback__
    while step is not None:
        frame, step = step.tb_frame, step.tb_next
        owner = frame.f_locals.get("self")
        if frame.f_code.co_name == "__init__" and isinstance(owner, torch.nn.Module) and _is_loss(type(owner)):
            return any(isinstance(v, Tensor) for k, v in frame.f_locals.items() if k not in ("weight", "pos_weight"))
    return False


def _is_criterion(value: object) -> bool:
    """Whether a module is a loss, or took what was computed for one of its settings."""
    if not isinstance(value, torch.nn.Module):
        return False
    settings = (*vars(value).values(), *value.buffers())
    return _is_loss(type(value)) or any(isinstance(v, Tensor) and v.grad_fn is not None for v in settings)


def _is_loss(kind: type) -> bool:
    return kind.__name__.endswith("Loss") or any(base.__name__ == "_Loss" for base in kind.__mro__)
