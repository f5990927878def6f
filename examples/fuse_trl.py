"""One line for TRL: a callback that fuses the model while it trains.

From version 1.16 on, TRL's trainers compute their losses from the head's weight themselves, and a fused model changes
nothing there. Its functions on logits, which one's own trainer may use, need no logits of a fused model.
"""

import tempfile

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer
from trl.trainer.utils import selective_log_softmax

import crossentropy
from crossentropy.integrations.transformers import FuseCallback
from crossentropy.lazy import explain

WORDS = ["<pad>", "<s>", "</s>", "<unk>", "the", "cat", "dog", "sat", "ran", "on", "mat"]


def make_model() -> LlamaForCausalLM:
    """A tiny language model."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=997,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config)


def train(*, fuse: bool) -> list[float]:
    """Fine-tune on a few sentences, and return the losses."""
    model = make_model()
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model,
            args=SFTConfig(
                folder,
                max_steps=2,
                per_device_train_batch_size=2,
                logging_steps=1,
                report_to=[],
                save_strategy="no",
                disable_tqdm=True,
                use_cpu=True,
                bf16=False,
            ),
            callbacks=[FuseCallback()] if fuse else [],
            train_dataset=Dataset.from_dict({"text": ["the cat sat on the mat", "the dog ran"] * 4}),
            processing_class=PreTrainedTokenizerFast(
                tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
            ),
        )
        trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def log_probabilities() -> bool:
    """Whether TRL's log-probabilities of a fused model are those of the plain one, and needed no logits."""
    model, text = make_model(), torch.randint(4, 997, (2, 9))
    expected = selective_log_softmax(model(input_ids=text).logits, text)
    logits = crossentropy.fuse(model)(input_ids=text).logits
    torch.testing.assert_close(selective_log_softmax(logits, text), expected)
    print(explain(logits))
    return not explain(logits).materialized


def main() -> float:
    """Return the largest difference between the losses of both ways."""
    plain, fused = train(fuse=False), train(fuse=True)
    print("plain", plain, "fused", fused)
    return max(abs(a - b) for a, b in zip(plain, fused))


if __name__ == "__main__":
    main()
    log_probabilities()
