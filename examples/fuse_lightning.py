"""One line for Lightning: a callback that fuses the module while it is fitted. Two more log the parts of its loss."""

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

from crossentropy.integrations import LossParts
from crossentropy.integrations.lightning import FuseCallback, LossPartsCallback


class LanguageModel(lightning.LightningModule):
    """Predict each word from the one before it."""

    def __init__(self, words: int, features: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.loss = LossParts(z_loss=1e-4)
        self.model: torch.nn.Module = torch.nn.Sequential(
            torch.nn.Embedding(words, features), torch.nn.Tanh(), torch.nn.Linear(features, words)
        )
        self.losses: list[float] = []

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        """The loss of a batch of sentences (N, T)."""
        loss = self.validation_step(batch, index)
        self.losses.append(loss.item())
        return loss

    def validation_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        """The same, without a step."""
        (text,) = batch
        return self.loss(self.model(text[:, :-1]), text[:, 1:])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), 0.01)


def train(*, fuse: bool, **settings: object) -> LanguageModel:
    """Train for some steps."""
    module = LanguageModel(997, 16)
    text = torch.randint(997, (32, 12), generator=torch.Generator().manual_seed(1))
    arguments = {
        "max_steps": 6,
        "accelerator": "cpu",
        "logger": False,
        "log_every_n_steps": 2,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    callbacks = [LossPartsCallback(), *([FuseCallback("model.2")] if fuse else [])]
    trainer = lightning.Trainer(callbacks=callbacks, **{**arguments, **settings})  # pyright: ignore[reportArgumentType]
    data = DataLoader(TensorDataset(text), batch_size=8)
    trainer.fit(module, data, data)
    print({name: round(float(value), 4) for name, value in trainer.logged_metrics.items()})
    return module


def main() -> float:
    """Return the largest difference between the losses of both ways."""
    plain, fused = train(fuse=False).losses, train(fuse=True).losses
    print("plain", plain, "fused", fused)
    return max(abs(a - b) for a, b in zip(plain, fused))


if __name__ == "__main__":
    main()
