"""transformers' Trainer, and those that are derived from it, TRL's among them.

FuseCallback      the model is fused while it trains, and plain after
CausalLoss        compute_loss_func: the language model's loss, with z-loss and smoothing, and its parts
LossPartsMixin    logs those parts and the perplexity where the trainer logs
"""

from typing import Any

import torch
import torch.nn.functional
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from crossentropy._errors import ArgumentTypeError, ArgumentValueError
from crossentropy._exports import Listing, listing
from crossentropy._keywords import hinting
from crossentropy.integrations._fusing import Fusing
from crossentropy.integrations._parts import LossParts

__all__ = ["CausalLoss", "FuseCallback", "LossPartsMixin"]


class FuseCallback(TrainerCallback):
    """Fuse the model when training begins, and give its head back when it ends.

        callbacks=[FuseCallback()]

    Between these, evaluations are fused too. Checkpoints are those of a plain model, because a fused head has the same
    parameters of the same names; training can resume from them with this callback or without. What was fused is logged
    by `crossentropy.integrations` at level INFO. If training ends with an error the model stays fused, and
    `crossentropy.unfuse(model)` gives the head back.

    Args:
        head: The head, or its name, as for `crossentropy.fuse`; by default the model's output embeddings.

    Raises:
        ValueError: As training begins: no head was found, or none that can be fused.

    Examples:
        >>> from transformers import LlamaConfig, LlamaForCausalLM
        >>> callback = FuseCallback()  # Trainer(model, args, callbacks=[callback]) calls the rest
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 10))
        >>> callback.on_train_begin(None, None, None, model=model)
        >>> type(model(torch.zeros(2, 4))).__name__
        'LazyLogits'
        >>> callback.on_train_end(None, None, None)
        >>> type(model[0]).__name__
        'Linear'

    See Also:
        `crossentropy.fuse`; `CausalLoss`.
    """

    def __init__(self, head: Any = None) -> None:  # noqa: ANN401 (what `fuse` takes)
        self._fusing = Fusing(head)

    def on_train_begin(
        self,
        args: TrainingArguments | None,
        state: TrainerState | None,
        control: TrainerControl | None,
        model: nn.Module | None = None,
        **kwargs: Any,  # noqa: ANN401 (transformers')
    ) -> None:
        """Fuse the model."""
        assert model is not None
        self._fusing.begin(model)

    def on_train_end(
        self,
        args: TrainingArguments | None,
        state: TrainerState | None,
        control: TrainerControl | None,
        **kwargs: Any,  # noqa: ANN401 (transformers')
    ) -> None:
        """Give the head back."""
        self._fusing.end()


class CausalLoss(LossParts):
    """The loss of a causal language model, for `Trainer(compute_loss_func=…)`, which keeps its parts.

        mean of −log p(token at t + 1 | tokens to t), with label smoothing and z-loss

    Divides by the tokens of all accumulated micro-batches and processes, which the trainer counts. Of a fused model the
    loss needs no logits. TrainingArguments' own label_smoothing_factor is not used where there is a compute_loss_func.

    Args:
        label_smoothing: Label smoothing ε in [0, 1]: the part of the target that is spread over the classes.
        z_loss: λ ≥ 0 of the added term λ · lse², which draws the logsumexp of a row to 0.
        ignore_index: A label whose tokens do not count.
        shift: Whether labels are the tokens of the same place, to be shifted by one, as those of models are.

    Raises:
        ValueError: A number is not what it should be; or there are no labels.

    Examples:
        >>> loss = CausalLoss(z_loss=1e-4)  # Trainer(model, args, compute_loss_func=loss)
        >>> logits, labels = torch.zeros(1, 3, 4), torch.tensor([[3, 0, 1]])
        >>> loss({"logits": logits}, labels).item()  # of two tokens
        1.3864...

    See Also:
        `LossPartsMixin`, which logs the parts; `FuseCallback`.
    """

    @hinting
    def __init__(
        self, *, label_smoothing: float = 0.0, z_loss: float = 0.0, ignore_index: int = -100, shift: bool = True
    ) -> None:
        super().__init__(label_smoothing=label_smoothing, z_loss=z_loss, ignore_index=ignore_index)
        self.shift = shift

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        outputs: Any,  # noqa: ANN401 (a model's)
        labels: Tensor | None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The loss of a model's outputs, as the trainer asks for it."""
        if labels is None:
            raise ArgumentValueError(
                "there are no labels in the batch whose loss is asked for: does the collator make them?"
            )
        if isinstance(num_items_in_batch, Tensor) and num_items_in_batch.numel() != 1:
            raise ArgumentValueError(
                "the trainer runs torch.nn.DataParallel over several GPUs, with a count for each: start a process for "
                "each GPU instead, with torchrun or accelerate launch"
            )
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        target = labels.to(logits.device)
        if self.shift:  # the last logits of a sequence predict nothing
            target = torch.nn.functional.pad(target[..., 1:], (0, 1), value=self.ignore_index)
        return super().__call__(logits, target, denominator=num_items_in_batch)


class LossPartsMixin:
    """A Trainer that logs the parts of its loss, and the perplexity, wherever it logs the loss.

        class MyTrainer(LossPartsMixin, Trainer): ...        MyTrainer(model, args, compute_loss_func=CausalLoss())

    With "loss" go nll, perplexity, smoothing and z_loss of the tokens since the last time; with "eval_loss" those of
    the evaluation, eval_nll and so on. All are means over the tokens of all processes, where the trainer's losses are
    means over batches. They go the way of the loss: to the history, to report_to, and evaluate() returns them too, so
    that metric_for_best_model may be "perplexity".

    Over several processes the trainer evaluates some samples twice where they cannot be shared out evenly.

    Args:
        args, kwargs: Those of the Trainer that it is mixed into.

    Raises:
        TypeError: compute_loss_func is no `LossParts`.

    Examples:
        >>> from transformers import Trainer
        >>> class MyTrainer(LossPartsMixin, Trainer):
        ...     pass

    See Also:
        `CausalLoss`; `crossentropy.metrics.Perplexity`.
    """

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the parts, and log."""
        trainer: Any = self
        parts = trainer.compute_loss_func
        if not isinstance(parts, LossParts):
            raise ArgumentTypeError(
                f"compute_loss_func is {parts!r:.60}, expected a crossentropy.integrations.transformers.CausalLoss, "
                "whose parts are logged"
            )
        for name in [name for name in logs if name == "loss" or name.endswith("_loss")]:
            if name != "train_loss":  # the mean of all losses, at the end
                prefix = name.removesuffix("loss")
                logs.update(parts.take(training=not prefix, total=self._total, prefix=prefix))
        parent: Any = super()
        parent.log(logs, start_time)

    def _total(self, sums: Tensor) -> Tensor:
        trainer: Any = self
        return trainer.accelerator.reduce(sums.to(trainer.accelerator.device), reduction="sum")


__dir__: Listing = listing(__name__)
