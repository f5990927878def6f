"""transformers' Trainer, and those that are derived from it, TRL's among them.

FuseCallback      the model is fused while it trains, and plain after
CausalLoss        compute_loss_func: the language model's loss, with z-loss and smoothing, and its parts
LossPartsMixin    counts the tokens that it sums, logs those parts and the perplexity where the trainer logs

A step's loss is Σ ℓ / n over the tokens of all its micro-batches, and only the trainer sees these together. Its own n
is of labels that are not −100: of labels[..., 1:] where it knows that the model's own loss shifts them, else of all.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from crossentropy._errors import ArgumentTypeError, ArgumentValueError
from crossentropy._exports import Listing, listing
from crossentropy._keywords import hinting
from crossentropy._targets import long
from crossentropy._tensors import INTEGERS
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

    Divides by the tokens of all accumulated micro-batches and processes, which are counted as they are summed by a
    trainer with `LossPartsMixin`. The plain Trainer may count others: the first label of a sequence, which nothing
    predicts, if the model is not one of transformers' causal ones; or labels of another ignore_index than -100. Where a
    step is one batch of one process this is mended; where it is several, its counts are taken if they agree with the
    loss's on every batch, or else an error says what to do.

    Of a fused model the loss needs no logits. TrainingArguments' own label_smoothing_factor is not used where there is
    a compute_loss_func.

    Args:
        label_smoothing: Label smoothing ε in [0, 1]: the part of the target that is spread over the classes.
        z_loss: λ ≥ 0 of the added term λ · lse², which draws the logsumexp of a row to 0.
        ignore_index: A label whose tokens do not count.
        shift: Whether labels are the tokens of the same place, to be shifted by one, as those of models are.

    Raises:
        ValueError: A number is not what it should be; there are no labels; or the trainer counts other tokens.

    Examples:
        >>> loss = CausalLoss(z_loss=1e-4)  # Trainer(model, args, compute_loss_func=loss)
        >>> logits, labels = torch.zeros(1, 3, 4), torch.tensor([[3, 0, 1]])
        >>> loss({"logits": logits}, labels).item()  # of two tokens
        1.3864...

    See Also:
        `LossPartsMixin`, which counts tokens and logs the parts; `FuseCallback`.
    """

    @hinting
    def __init__(
        self, *, label_smoothing: float = 0.0, z_loss: float = 0.0, ignore_index: int = -100, shift: bool = True
    ) -> None:
        super().__init__(label_smoothing=label_smoothing, z_loss=z_loss, ignore_index=ignore_index)
        self.shift = shift
        self._counted: Tensor | int | None = None

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
        if target.dtype in INTEGERS:  # of uint8 nothing can be filled up with −100
            target = long(target)
        tokens = num_items_in_batch
        if tokens is not None and tokens is not self._counted:
            tokens = self._denominator(target, tokens)
        if self.shift:  # the last logits of a sequence predict nothing
            target = torch.nn.functional.pad(target[..., 1:], (0, 1), value=self.ignore_index)
        return super().__call__(logits, target, denominator=tokens)

    def _as_counted(self, labels: Tensor) -> Tensor:
        """Labels of which any trainer counts those that the loss sums: −100 are the first, and all that are ignored."""
        labels = long(labels[..., 1:] if self.shift else labels)
        return torch.nn.functional.pad(labels.masked_fill(labels == self.ignore_index, -100), (1, 0), value=-100)

    def _denominator(self, labels: Tensor, counted: Tensor | int) -> Tensor | int:
        """A trainer's count of tokens, if it is of those that are summed; of a step of one batch, that of these."""
        summed, of_all, of_shifted = ((x != -100).sum() for x in (self._as_counted(labels), labels, labels[..., 1:]))
        # read at once: the trainer waits for each loss anyway, to see whether it is nan
        total, n, *own = torch.stack(
            [x.double() for x in (torch.as_tensor(counted, device=summed.device), summed, of_all, of_shifted)]
        ).tolist()
        if n == own[0] == own[1]:
            return counted
        if total in (n, *own):
            return n
        raise ArgumentValueError(
            f"num_items_in_batch is {total:g}, of several batches or processes, and of this batch's labels the loss "
            f"sums {n:g}, where the Trainer counts {own[0]:g}, or {own[1]:g} if it knows that the model shifts them: "
            "nothing says that the loss is divided by what it sums. Let the trainer count as the loss does, class "
            "MyTrainer(LossPartsMixin, Trainer)"
            + (", or mark by -100 all labels that do not count, the first of each sequence too" if self.shift else "")
        )


class LossPartsMixin:
    """A Trainer that logs the parts of its loss, and the perplexity, wherever it logs the loss.

        class MyTrainer(LossPartsMixin, Trainer): ...        MyTrainer(model, args, compute_loss_func=CausalLoss())

    It counts the tokens of a step as `CausalLoss` sums them, whatever the model, its ignore_index and shift.

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

    def train(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (the Trainer's)
        """Train; what was summed before, after the last log of another training say, is not of this one."""
        self._forget(training=True)
        parent: Any = super()
        return parent.train(*args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (the Trainer's)
        """Evaluate or predict; what was summed before, by a prediction say, which is not logged, is not of this one."""
        self._forget(training=False)
        parent: Any = super()
        return parent.evaluation_loop(*args, **kwargs)

    def _forget(self, *, training: bool) -> None:
        loss = getattr(self, "compute_loss_func", None)
        if isinstance(loss, LossParts):
            loss.take(training=training)

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

    def _get_num_items_in_batch(self, batch_samples: Sequence[Any], device: torch.device) -> Tensor | int | None:
        """Count the tokens of a step's batches that the loss sums; the trainer adds them up over processes."""
        loss = getattr(self, "compute_loss_func", None)
        parent: Any = super()
        if not isinstance(loss, CausalLoss):
            return parent._get_num_items_in_batch(batch_samples, device)
        counted = [
            {"labels": loss._as_counted(batch["labels"])} if _has_labels(batch) else batch for batch in batch_samples
        ]
        loss._counted = parent._get_num_items_in_batch(counted, device)
        return loss._counted

    def _total(self, sums: Tensor) -> Tensor:
        trainer: Any = self
        return trainer.accelerator.reduce(sums.to(trainer.accelerator.device), reduction="sum")


def _has_labels(batch: Any) -> bool:  # noqa: ANN401 (a collator's)
    return isinstance(batch, Mapping) and isinstance(batch.get("labels"), Tensor)


__dir__: Listing = listing(__name__)
