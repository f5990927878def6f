"""One line for transformers' Trainer: a callback that fuses the model while it trains; and logs of its loss's parts."""

import tempfile

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

from crossentropy.integrations.transformers import CausalLoss, FuseCallback, LossPartsMixin


class LoggingTrainer(LossPartsMixin, Trainer):
    """A Trainer that logs nll, z-loss and perplexity beside the loss."""


def make_trainer(
    callbacks: list[TrainerCallback], loss: CausalLoss | None = None, folder: str = "", **arguments: object
) -> Trainer:
    """A trainer of a tiny language model that is to learn sixteen sentences by heart."""
    config = LlamaConfig(
        vocab_size=997,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    text = torch.randint(3, config.vocab_size, (16, 12))
    data = [{"input_ids": row, "labels": row.clone()} for row in text]
    settings = {
        "max_steps": 4,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "report_to": [],
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
    }
    kind = Trainer if loss is None else LoggingTrainer
    return kind(
        model,
        TrainingArguments(folder, **{**settings, **arguments}),
        train_dataset=data,  # pyright: ignore[reportArgumentType]
        eval_dataset=data,  # pyright: ignore[reportArgumentType]
        callbacks=callbacks,
        compute_loss_func=loss,
    )


def train(callbacks: list[TrainerCallback], loss: CausalLoss | None = None, **arguments: object) -> list[dict]:
    """Train, and return what was logged of each step."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(callbacks, loss, folder, **arguments)
        trainer.train()
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def main() -> float:
    """Return the largest difference between the losses of both ways."""
    plain, fused = train([]), train([FuseCallback()])
    with_parts = train([FuseCallback()], CausalLoss(z_loss=1e-4))
    for step in range(len(plain)):
        print(f"plain {plain[step]['loss']:.4f}, fused {fused[step]['loss']:.4f}, with z-loss {with_parts[step]}")
    return max(abs(a["loss"] - b["loss"]) for a, b in zip(plain, fused))


if __name__ == "__main__":
    main()
