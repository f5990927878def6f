"""What does a whole training step cost, plain, compiled and fused? See README.md for the protocol.

A Llama of transformers, four layers of 256 features and a tied head of 128,256 classes, random weights; 4 × 256 tokens;
forward, backward and AdamW. Needs transformers: `pip install '.[integrations]'`.
"""

import argparse
import json
import math
import multiprocessing
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

import crossentropy
from crossentropy import _benchmark
from crossentropy.testing import peak_bytes

RESULTS = Path(__file__).parent / "results"
CLASSES, SENTENCES, WORDS = 128_256, 4, 256


def plain(dtype: torch.dtype, device: str) -> nn.Module:
    """The model as transformers has it."""
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=CLASSES,
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model: nn.Module = cast(Any, transformers).LlamaForCausalLM(config)
    return model.to(device=torch.device(device), dtype=dtype)


CONTENDERS: dict[str, Callable[[nn.Module], Callable[..., object]]] = {
    "plain": lambda model: model,
    "torch.compile": torch.compile,
    "fuse": crossentropy.fuse,
    "torch.compile of fuse": lambda model: torch.compile(crossentropy.fuse(model)),
}


def training_step(name: str, dtype: torch.dtype, device: str) -> Callable[[], float]:
    """A step of training a fresh model, which gives its loss."""
    model = plain(dtype, device)
    prepared, optimizer = CONTENDERS[name](model), torch.optim.AdamW(model.parameters(), 1e-3)
    tokens = torch.randint(CLASSES, (SENTENCES, WORDS), device=device)

    def step() -> float:
        loss = prepared(input_ids=tokens, labels=tokens).loss  # pyright: ignore[reportAttributeAccessIssue]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def peak(name: str, dtype: torch.dtype, device: str) -> int:
    """Most bytes above model and optimizer during a step, gradients included."""
    step = training_step(name, dtype, device)
    step()
    step()
    if device == "cpu":
        return peak_bytes(step)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    return torch.cuda.max_memory_allocated() - before


def measure(dtype: torch.dtype, device: str, repeat: int) -> dict[str, dict[str, float]]:
    """Milliseconds, peak bytes and first losses of all contenders, which take turns."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        sizes = {name: pool.apply(peak, (name, dtype, device)) for name in CONTENDERS}
    steps = {name: training_step(name, dtype, device) for name in CONTENDERS}
    losses = {name: step() for name, step in steps.items()}
    seconds = _benchmark._interleaved({**steps}, repeat, device)
    return {
        name: {"milliseconds": 1e3 * statistics.median(seconds[name]), "bytes": sizes[name], "loss": losses[name]}
        for name in CONTENDERS
    }


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="rounds (default: 5)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS / "training_step.local.json", metavar="FILE")
    options = parser.parse_args()
    stored = {**_benchmark.machine(), "classes": CLASSES, "tokens": SENTENCES * WORDS, "dtypes": {}}
    for dtype in (torch.float32, torch.bfloat16):
        found = measure(dtype, options.device, options.repeat)
        stored["dtypes"][str(dtype).removeprefix("torch.")] = found
        print(dtype)
        for name, result in found.items():
            ratio = result["milliseconds"] / found["plain"]["milliseconds"]
            print(
                f"  {name:24}{result['milliseconds']:9.0f} ms {ratio:6.2f}{result['bytes'] / 1e6:10.0f} MB"
                f"   loss {result['loss']:.6f}"
            )
            assert math.isclose(result["loss"], found["plain"]["loss"], rel_tol=1e-2)
        options.out.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
