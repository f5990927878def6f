"""Logits that are not computed: `LazyLogits`, and `fuse`, which lets an existing model return them.

    z = h Wᵀ + b      what a head returns: (N, V) numbers, of which a loss needs one sum a row

A fused model's head returns a tensor that stands for its logits. A loss of it is computed from hidden states h (N, D)
and head W (V, D), in chunks; whatever else looks at it gets the logits. No code of the model changes.

fuse, unfuse, fused    a model, in place        LazyLogits    the tensor        explain    what became of it
"""

from crossentropy._exports import Listing, listing
from crossentropy.lazy import _classes as _classes  # what torch's functions do to lazy logits
from crossentropy.lazy import _consumers as _consumers
from crossentropy.lazy._fuse import Head, Verification, fuse, fused, unfuse
from crossentropy.lazy._tensor import Event, History, LazyLogits, explain

__all__ = ["Event", "Head", "History", "LazyLogits", "Verification", "explain", "fuse", "fused", "unfuse"]


__dir__: Listing = listing(__name__)
