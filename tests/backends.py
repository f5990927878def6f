"""The backends that tests ask for by name: the native one where its library is."""

from torch import Tensor

from crossentropy._backends.native._library import LIBRARY

NATIVE = () if LIBRARY is None else ("native",)
FAST = (*NATIVE, "chunked")
ALL = (*FAST, "reference")


def fast(target: Tensor | None) -> tuple[str, ...]:
    """Those that take a target: the native one takes no class probabilities."""
    return FAST if target is None or not target.is_floating_point() else ("chunked",)
