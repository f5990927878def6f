"""The losses that want logits, or a loss of them, and which activation is taken away before each: a table."""

from dataclasses import dataclass

from crossentropy.doctor._convert._activations import Kind

_CROSS_ENTROPY = {"function": "torch.nn.functional.cross_entropy", "class": "torch.nn.CrossEntropyLoss"}
_WITH_LOGITS = {
    "function": "torch.nn.functional.binary_cross_entropy_with_logits",
    "class": "torch.nn.BCEWithLogitsLoss",
}
_NLL = {
    "torch.nn.functional.nll_loss": _CROSS_ENTROPY["function"],
    "torch.nn.NLLLoss": _CROSS_ENTROPY["class"],
    "torch.nn.NLLLoss2d": _CROSS_ENTROPY["class"],
}
_MSE = {
    "torch.nn.functional.mse_loss": _CROSS_ENTROPY["function"],
    "torch.nn.MSELoss": _CROSS_ENTROPY["class"],
}
_BCE = {
    "torch.nn.functional.binary_cross_entropy": _WITH_LOGITS["function"],
    "torch.nn.BCELoss": _WITH_LOGITS["class"],
}
_BCE_TO_CLASSES = {
    "torch.nn.functional.binary_cross_entropy": _CROSS_ENTROPY["function"],
    "torch.nn.BCELoss": _CROSS_ENTROPY["class"],
}


LOGITS = frozenset([*_CROSS_ENTROPY.values(), *_WITH_LOGITS.values()])
"""The losses of logits."""


@dataclass(frozen=True)
class Rewrite:
    """A loss of an activation, and the loss of the logits that takes its place."""

    rule: str
    kind: Kind
    losses: dict[str, str]
    """Names of the losses, and of those that replace them."""
    description: str
    safe: bool = False
    expected: bool = False
    """Whether the loss always wants the activation, so that one without it in sight is worth a word."""
    indices: bool = False
    """Whether one-hot targets become class indices."""

    @property
    def keeps_loss(self) -> bool:
        """Whether the loss takes logits already, so that what is given to it elsewhere may be anything."""
        return all(name == by for name, by in self.losses.items())


def _same(names: dict[str, str]) -> dict[str, str]:
    return {name: name for name in names.values()}


REWRITES = (
    Rewrite(
        "nll-of-log-softmax",
        "log_softmax",
        _NLL,
        "same value: nll_loss of log_softmax is cross_entropy of the logits",
        safe=True,
        expected=True,
    ),
    Rewrite(
        "log-softmax-before-cross-entropy",
        "log_softmax",
        _same(_CROSS_ENTROPY),
        "same value: cross_entropy of log-probabilities is that of the logits",
        safe=True,
    ),
    Rewrite(
        "softmax-before-cross-entropy",
        "softmax",
        _same(_CROSS_ENTROPY),
        "the loss changes: softmax is no longer applied twice",
    ),
    Rewrite(
        "sigmoid-before-cross-entropy",
        "sigmoid",
        _same(_CROSS_ENTROPY),
        "the loss changes: cross_entropy of the logits, without a sigmoid before its softmax",
    ),
    Rewrite(
        "softmax-before-nll",
        "softmax",
        _NLL,
        "the loss changes: cross entropy of the logits instead of minus a probability",
    ),
    Rewrite(
        "mse-on-one-hot",
        "softmax",
        _MSE,
        "the loss changes: cross entropy of the logits instead of the squared error of probabilities",
        indices=True,
    ),
    Rewrite(
        "softmax-before-bce",
        "softmax",
        _BCE_TO_CLASSES,
        "the loss changes: cross entropy of the logits instead of a binary cross entropy of each class",
        indices=True,
    ),
    Rewrite(
        "sigmoid-before-bce",
        "sigmoid",
        _BCE,
        "the loss changes only where it was cut off: binary_cross_entropy of probabilities never exceeds 100 a term",
        expected=True,
    ),
    Rewrite(
        "sigmoid-before-bce-with-logits",
        "sigmoid",
        _same(_WITH_LOGITS),
        "the loss changes: sigmoid is no longer applied twice",
    ),
)
