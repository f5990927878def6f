"""A model that is fused for a while whose beginning and end are events of a trainer."""

from contextlib import AbstractContextManager
from typing import Any

from torch import nn

from crossentropy.lazy import fused


class Fusing:
    """From `begin` to `end` a model is fused; heads that were fused before stay so after."""

    def __init__(self, head: Any = None) -> None:  # noqa: ANN401 (what `fuse` takes)
        self._head = head
        self._context: AbstractContextManager[nn.Module] | None = None

    def begin(self, model: nn.Module) -> None:
        """Fuse a model; `fuse` logs what of it."""
        self.end()  # of a training that an error ended
        context = fused(model, self._head)
        context.__enter__()
        self._context = context

    def end(self) -> None:
        """Give the heads back."""
        context, self._context = self._context, None
        if context is not None:
            context.__exit__(None, None, None)

    @property
    def active(self) -> bool:
        """Whether a model is fused now."""
        return self._context is not None
