"""One line for transformers' Trainer: a callback that fuses the model when training begins."""

import tempfile

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

import crossentropy


class Fuse(TrainerCallback):
    """Compute the loss without the logits while the model trains."""

    def on_train_begin(self, *args, model: torch.nn.Module, **kwargs) -> None:
        """Fuse the model's head."""
        crossentropy.fuse(model)

    def on_train_end(self, *args, model: torch.nn.Module, **kwargs) -> None:
        """Give the head back."""
        crossentropy.unfuse(model)


def train(callbacks: list[TrainerCallback], **arguments: object) -> list[float]:
    """Train a tiny language model to copy, and return its losses."""
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
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model,
            TrainingArguments(
                folder,
                max_steps=4,
                per_device_train_batch_size=4,
                learning_rate=1e-2,
                logging_steps=1,
                report_to=[],
                save_strategy="no",
                disable_tqdm=True,
                use_cpu=True,
                **arguments,  # pyright: ignore[reportArgumentType]
            ),
            train_dataset=[{"input_ids": row, "labels": row.clone()} for row in text],  # pyright: ignore[reportArgumentType]
            callbacks=callbacks,
        )
        trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def main() -> float:
    """Return the largest difference between the losses of both ways."""
    plain, fused = train([]), train([Fuse()])
    print("plain", plain, "fused", fused)
    return max(abs(a - b) for a, b in zip(plain, fused))


if __name__ == "__main__":
    main()
