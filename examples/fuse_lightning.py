"""One line for Lightning: fuse the model where the module is made; the training step stays as it is."""

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

import crossentropy


class LanguageModel(lightning.LightningModule):
    """Predict each word from the one before it."""

    def __init__(self, words: int, features: int, *, fuse: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model: torch.nn.Module = torch.nn.Sequential(
            torch.nn.Embedding(words, features), torch.nn.Tanh(), torch.nn.Linear(features, words)
        )
        if fuse:
            crossentropy.fuse(self.model)
        self.losses: list[float] = []

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        """The loss of a batch of sentences (N, T)."""
        (text,) = batch
        logits = self.model(text[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), 0.01)


def train(*, fuse: bool) -> list[float]:
    """Train for some steps, and return the losses."""
    module = LanguageModel(997, 16, fuse=fuse)
    text = torch.randint(997, (32, 12), generator=torch.Generator().manual_seed(1))
    trainer = lightning.Trainer(
        max_steps=6,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(TensorDataset(text), batch_size=8))
    return module.losses


def main() -> float:
    """Return the largest difference between the losses of both ways."""
    plain, fused = train(fuse=False), train(fuse=True)
    print("plain", plain, "fused", fused)
    return max(abs(a - b) for a, b in zip(plain, fused))


if __name__ == "__main__":
    main()
