"""Every step of a loss, with its numbers: `crossentropy.explain`.

    explain(input, target)         the computation of cross_entropy, step by step, checked against torch
    explain.kl(p, q)               KL(p‖q), with entropy and cross entropy
    explain.entropy(p)             H(p)
    explain.information(p)         −log p
    explain.chain()                all of it as one page to play with
    explain.diff(a, b)             the first step at which two computations part, and how

Data first: `_loss` and `_quantities` make an `Explanation`, whose steps hold tensors, formulae and words. Renderers
(`_text`, `_markdown`, `_html`, `_plot`) take that data and nothing else, so that no number is computed twice.
"""

from typing import TYPE_CHECKING

from crossentropy._exports import on_demand

if TYPE_CHECKING:
    from crossentropy._explain._api import explain
    from crossentropy._explain._data import Landmark, Step
    from crossentropy._explain._diff import Difference
    from crossentropy._explain._explanation import Explanation
    from crossentropy._explain._plot import ExplanationDisplay
else:  # the command's arguments need no torch
    __getattr__, __dir__ = on_demand(
        __name__,
        names={
            "_api": ("explain",),
            "_data": ("Landmark", "Step"),
            "_diff": ("Difference",),
            "_explanation": ("Explanation",),
            "_plot": ("ExplanationDisplay",),
        },
    )

__all__ = ["Difference", "Explanation", "ExplanationDisplay", "Landmark", "Step", "explain"]
