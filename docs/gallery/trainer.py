"""Fuse a language model in transformers' Trainer: one callback, the same losses, and no logits in memory."""

import tempfile

import matplotlib.pyplot as plt
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from crossentropy.integrations.transformers import FuseCallback
from crossentropy.testing import peak_bytes


def make_trainer(*callbacks: FuseCallback) -> Trainer:
    """A trainer of a small model that is to learn 32 sequences by heart."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=16_000, **sizes))
    data = [{"input_ids": row, "labels": row} for row in torch.randint(3, 16_000, (32, 32))]
    settings = {"max_steps": 20, "per_device_train_batch_size": 8, "learning_rate": 1e-2, "logging_steps": 1}
    quiet = {"report_to": [], "save_strategy": "no", "disable_tqdm": True, "use_cpu": True}
    arguments = TrainingArguments(tempfile.mkdtemp(), **settings, **quiet)
    return Trainer(model, arguments, train_dataset=data, callbacks=list(callbacks))


plain, fused = make_trainer(), make_trainer(FuseCallback())
peaks = [peak_bytes(trainer.train) / 2**20 for trainer in (plain, fused)]

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained", width_ratios=(3, 2))
for trainer, name, style in ((plain, "plain", "-"), (fused, "fused", "o")):
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    left.plot(range(1, len(losses) + 1), losses, style, label=name, markersize=4)
left.set(xlabel="step", ylabel="loss", ylim=(0, None))
left.legend(frameon=False)
right.bar(["plain", "fused"], peaks, color=["C0", "C1"])
right.set(ylabel="peak memory of training, MiB")
figure.savefig("trainer.svg")
