"""Lightning's Trainer.

FuseCallback        the module is fused while it is fitted, validated or tested, and plain after
LossPartsCallback   logs the parts of its losses, and the perplexity, by the module's own log
"""

from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from crossentropy._errors import ArgumentTypeError
from crossentropy._exports import Listing, listing
from crossentropy.integrations._fusing import Fusing
from crossentropy.integrations._parts import LossParts

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import STEP_OUTPUT

__all__ = ["FuseCallback", "LossPartsCallback"]


class FuseCallback(Callback):
    """Fuse the module when it begins to be fitted, validated, tested or to predict, and give its head back at the end.

        Trainer(callbacks=[FuseCallback("model.lm_head")])

    It begins when strategies have spread the module, and ends with an error too. Checkpoints are those of a plain
    module, because a fused head has the same parameters of the same names. What was fused is logged by
    `crossentropy.integrations` at level INFO.

    Args:
        head: The head, or its name in the LightningModule, as for `crossentropy.fuse`. By default the head that `fuse`
        finds
            in the module.

    Raises:
        ValueError: As it begins: no head was found, or none that can be fused.

    Examples:
        >>> callback = FuseCallback("model.lm_head")  # Trainer(callbacks=[callback]) calls the rest

    See Also:
        `crossentropy.fuse`; `LossPartsCallback`.
    """

    def __init__(self, head: Any = None) -> None:  # noqa: ANN401 (what `fuse` takes)
        self._fusing = Fusing(head)

    def _begin(self, module: LightningModule) -> None:
        if not self._fusing.active:  # a validation within fit
            self._fusing.begin(module)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fuse the module."""
        self._begin(pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fuse the module."""
        self._begin(pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fuse the module."""
        self._begin(pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fuse the module."""
        self._begin(pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the head back."""
        self._fusing.end()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the head back."""
        self._fusing.end()


class LossPartsCallback(Callback):
    """Log the parts of the losses that a module computes by `LossParts`, and the perplexity.

        self.loss = LossParts(z_loss=1e-4)    in the module;    Trainer(callbacks=[LossPartsCallback()])

    While training, whenever Lightning writes its logs, every log_every_n_steps: train/nll, train/perplexity,
    train/smoothing and train/z_loss, means over the tokens since the last time. With manual optimization each batch is
    a step, however many optimizers it has. After each validation and test the same of all its tokens, as val/… and
    test/….

    Args:
        prefixes: What goes before the names while training, in validation and in tests.

    Raises:
        TypeError: As it begins: no attribute of the module is a `LossParts`.

    Examples:
        >>> callback = LossPartsCallback()  # Trainer(callbacks=[callback]) calls the rest

    See Also:
        `crossentropy.integrations.LossParts`; `crossentropy.metrics.Perplexity`, which self.log takes as well.
    """

    def __init__(self, prefixes: tuple[str, str, str] = ("train/", "val/", "test/")) -> None:
        self._train, self._val, self._test = prefixes

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See that there is something to log."""
        if not _losses(pl_module):
            raise ArgumentTypeError(
                f"no attribute of {type(pl_module).__name__} is a crossentropy.integrations.LossParts: set one, as in "
                "self.loss = LossParts(), and compute losses by it"
            )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: "STEP_OUTPUT",
        batch: Any,  # noqa: ANN401 (Lightning's)
        batch_idx: int,
    ) -> None:
        """Log where Lightning writes its logs after this batch."""
        accumulating = pl_module.automatic_optimization and trainer.fit_loop._should_accumulate()
        if trainer._logger_connector.should_update_logs and not accumulating:  # as its own callbacks ask
            self._log(trainer, pl_module, self._train, training=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what an earlier fit ended with."""
        _forget(pl_module, training=True)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what was computed without gradients before, by predictions or a sanity check."""
        _forget(pl_module, training=False)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what was computed without gradients before."""
        _forget(pl_module, training=False)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log what the validation gave."""
        if not trainer.sanity_checking:
            self._log(trainer, pl_module, self._val, training=False)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log what the test gave."""
        self._log(trainer, pl_module, self._test, training=False)

    def _log(self, trainer: Trainer, module: LightningModule, prefix: str, *, training: bool) -> None:
        def total(sums: Tensor) -> Tensor:
            return trainer.strategy.reduce(sums.to(module.device), reduce_op="sum")  # pyright: ignore[reportReturnType]

        losses = _losses(module)
        for name, loss in losses.items():
            own = prefix if len(losses) == 1 else f"{prefix}{name}/"
            module.log_dict(dict(loss.take(training=training, total=total, prefix=own)))


def _forget(module: LightningModule, *, training: bool) -> None:
    for loss in _losses(module).values():
        loss.take(training=training)


def _losses(module: LightningModule) -> dict[str, LossParts]:
    return {name: value for name, value in vars(module).items() if isinstance(value, LossParts)}


__dir__: Listing = listing(__name__)
