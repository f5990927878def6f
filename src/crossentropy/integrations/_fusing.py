"""A model that is fused for a while whose beginning and end are events of a trainer."""

import logging
from contextlib import AbstractContextManager
from typing import Any

from torch import nn

from crossentropy.lazy import fused

_log = logging.getLogger("crossentropy.integrations")


class Fusing:
    """From `begin` to `end` a model is fused; heads that were fused before stay so after."""

    def __init__(self, head: Any = None) -> None:  # noqa: ANN401 (what `fuse` takes)
        self._head = head
        self._context: AbstractContextManager[nn.Module] | None = None

    def begin(self, model: nn.Module) -> None:
        """Fuse a model, and say what of it."""
        self.end()  # of a training that an error ended
        before = {module: type(module) for module in model.modules()}
        context = fused(model, self._head)
        context.__enter__()
        self._context = context
        heads = [name for name, module in model.named_modules() if type(module) is not before.get(module)]
        _log.info("fused %s of %s", ", ".join(heads) or "nothing that was not fused before", type(model).__name__)

    def end(self) -> None:
        """Give the heads back."""
        context, self._context = self._context, None
        if context is not None:
            context.__exit__(None, None, None)

    @property
    def active(self) -> bool:
        """Whether a model is fused now."""
        return self._context is not None
