"""What a module shows of itself."""

import inspect

import torch
from torch import Tensor


def settings(module: torch.nn.Module, made_by: type[torch.nn.Module]) -> str:
    """The settings of a module that are not the defaults of the class that made it, as its constructor takes them."""
    shown = []
    for name, parameter in inspect.signature(made_by).parameters.items():
        if parameter.default is parameter.empty or not hasattr(module, name):
            continue
        value = getattr(module, name)
        if isinstance(value, Tensor):
            shown.append(f"{name}=<{tuple(value.shape)}, {value.dtype}>")
        elif value != parameter.default:
            shown.append(f"{name}={value!r}")
    return ", ".join(shown)
