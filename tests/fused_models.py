"""Which of transformers' language models `fuse` serves: `python tests/fused_models.py` writes docs/models.md.

Each class is built tiny, and runs one batch plain and fused, in float32: loss, all gradients, logits and generated
tokens must be equal to rounding, and while the fused one trains no tensor of as many numbers as its logits may be made.
"""

import inspect
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import crossentropy
from crossentropy import _planner, _tiny
from crossentropy.lazy._tensor import observe
from tiny_transformers import NAMES, build

PAGE = Path(__file__).parent.parent / "docs" / "models.md"
KINDS = {
    "causal": "Causal language models",
    "masked": "Masked language models",
    "seq2seq": "Sequence-to-sequence models of text",
}
NOTE = (
    "The two assistants of Gemma 4 take no labels, and their loss is taken of their logits. FSMT is fused with "
    '`head="model.decoder.output_projection"`; the Musicgens stack the logits of several heads, Dory\'s head scales '
    "what it multiplies, and MobileBert multiplies by its head's weight itself."
)
ROUNDING = 1e-4
"""Norm of a difference relative to the norm: float32 has 6e-8, and tiny random models amplify it."""


@dataclass(frozen=True)
class Outcome:
    """What became of a model's logits."""

    fused: bool
    why: str = ""
    generates: bool = False
    """Whether the tiny model could generate, so that tokens were compared."""

    def __str__(self) -> str:
        return "fused" if self.fused else f"logits computed: {self.why}"


class LogitsLike(TorchDispatchMode):
    """Collects tensors of all rows, or but one of each sentence, and all classes, which are not the first axis."""

    def __init__(self, rows: int, classes: int) -> None:
        super().__init__()
        self.rows, self.classes = rows, classes
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for x in tree_leaves(result):
            if type(x) is Tensor and x.is_floating_point() and x.device.type != "meta" and self.classes in x.shape[1:]:
                rows = x.numel() // self.classes
                if self.rows - 2 <= rows <= self.rows:  # a shifted sentence has one row less
                    self.found.append(f"{func} {tuple(x.shape)}")
        return result


@contextmanager
def in_chunks() -> Iterator[None]:
    """Cut even tiny logits into chunks, as large ones are."""
    with mock.patch.object(_tiny, "MOST", 0), mock.patch.object(_planner, "CPU", replace(_planner.CPU, budget=2_000)):
        yield


def outputs_of(model: nn.Module, batch: dict[str, Any]) -> Any:
    """What a model gives; labels are for those that know them."""
    knows = "labels" in inspect.signature(model.forward).parameters
    return model(**{key: value for key, value in batch.items() if knows or key != "labels"})


def loss_of(model: nn.Module, batch: dict[str, Any]) -> Tensor:
    """Its own, or that of its logits."""
    output = outputs_of(model, batch)
    if "loss" in output:
        return output.loss
    return nn.functional.cross_entropy(output.logits.flatten(0, -2), batch["labels"].flatten())


def training_step(model: nn.Module, batch: dict[str, Any]) -> tuple[Tensor, list[Tensor | None]]:
    """Loss and gradients."""
    torch.manual_seed(1)
    model.zero_grad()
    loss = loss_of(model, batch)
    loss.backward()
    return loss.detach(), [None if p.grad is None else p.grad.clone() for p in model.parameters()]


def assert_equal(found: Tensor | None, expected: Tensor | None, what: str, least: float = 0.0) -> None:
    """Raise if two tensors differ by more than rounding, relative to the norm or to `least`.

    Some gradients are nothing but rounding: those of a bias of attention's keys are 0, because softmax ignores a shift.
    """
    assert (found is None) == (expected is None), what
    if found is None or expected is None or found.equal(expected):
        return
    difference = (found.double() - expected.double()).norm() / max(float(expected.norm()), least)
    assert difference <= ROUNDING, f"{what} differs by {difference:.1e}"


class UnknownModelError(Exception):
    """A class of which `tiny_transformers` does not know how to make a small one, or what to give it."""


def _prepared(name: str, kind: str) -> tuple[nn.Module, dict[str, Any], Tensor, list[Tensor | None], Tensor]:
    """A model, its batch, and what it gives as it is: loss, gradients, logits."""
    try:
        model, batch = build(name, kind)
        return model, batch, *training_step(model, batch), _logits(model, batch)
    except Exception as error:
        raise UnknownModelError(f"{name}: {type(error).__name__}: {error}") from error


def examine(name: str, kind: str) -> Outcome:
    """Run a model both ways; raise if it gives something else fused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, batch, loss, gradients, looked_at = _prepared(name, kind)
        inputs = {key: value for key, value in batch.items() if key != "labels"}
        generated = _generated(model, inputs)
        try:
            crossentropy.fuse(model)
        except ValueError as refusal:
            return Outcome(False, str(refusal))
        rows = batch["labels"].numel()
        classes = looked_at.shape[-1]
        with in_chunks(), observe() as events, LogitsLike(rows, classes) as like:
            fused_loss, fused_gradients = training_step(model, batch)
        assert_equal(fused_loss, loss, "the loss")
        largest = max(float(g.norm()) for g in gradients if g is not None)
        for (parameter, _), a, b in zip(model.named_parameters(), fused_gradients, gradients):
            assert_equal(a, b, f"the gradient of {parameter}", 0.01 * largest)
        assert_equal(_logits(model, batch), looked_at, "logits")
        again = _generated(model, inputs)
        assert (again is None) == (generated is None)
        assert again is None or again.equal(generated), "generated tokens differ"
    generates = generated is not None
    needed = [event for event in events if not event.fused]
    if needed:
        where = needed[0].where.rpartition("/")[2]
        return Outcome(False, f"by `{needed[0].operation}` at {where}", generates)
    if not events:
        return Outcome(False, "the loss is not taken of the head's output", generates)
    assert not like.found, like.found[:3]
    return Outcome(True, generates=generates)


def _logits(model: nn.Module, batch: dict[str, Any]) -> Tensor:
    torch.manual_seed(2)
    with torch.no_grad():
        output = outputs_of(model, batch)
    logits = output.logits if "logits" in output else output[0]
    return logits * 1


def _generated(model: Any, inputs: dict[str, Any]) -> Tensor | None:
    if not hasattr(model, "generate") or not model.can_generate():
        return None
    torch.manual_seed(3)
    accepted = {k: v for k, v in inputs.items() if not k.startswith("decoder_") and k != "bbox"}
    model.eval()
    try:
        return model.generate(**accepted, max_new_tokens=3, do_sample=False)
    except Exception:  # a tiny model may not be able to; then it is not able to when fused
        return None
    finally:
        model.train()


def page(outcomes: dict[str, dict[str, Outcome]]) -> str:
    """docs/models.md."""
    import transformers

    generated = sum(outcome.generates for found in outcomes.values() for outcome in found.values())
    lines = [
        "# Models",
        "",
        "Every class in the causal, masked and sequence-to-sequence mappings of "
        f"transformers {transformers.__version__}, unmodified, with `crossentropy.fuse(model)`: built tiny, trained on "
        "one batch both ways. For each that `fuse` accepts, loss, all gradients and logits are equal to rounding, and "
        f"generated tokens are the same (compared for the {generated} whose tiny model can generate). *Fused* means "
        "that no tensor of the logits' size was made, forward or backward. Where the logits were computed, the reason "
        "is given. Written by `python tests/fused_models.py`.",
    ]
    for kind, found in outcomes.items():
        count = sum(outcome.fused for outcome in found.values())
        lines += ["", f"## {KINDS[kind]}: {count} of {len(found)} fused", "", "| class | outcome |", "|---|---|"]
        lines += [f"| {name} | {outcome} |" for name, outcome in found.items()]
    lines += ["", NOTE]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Examine all classes and write the page."""
    torch.set_num_threads(1)
    outcomes: dict[str, dict[str, Outcome]] = {kind: {} for kind in KINDS}
    for kind, names in NAMES.items():
        for name in names:
            try:
                outcomes[kind][name] = examine(name, kind)
            except Exception as error:
                print(f"FAILED {kind} {name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
                outcomes[kind][name] = Outcome(False, f"failed: {type(error).__name__}")
            if not outcomes[kind][name].fused:
                print(kind, name, outcomes[kind][name], flush=True)
    PAGE.write_text(page(outcomes), "utf-8")


if __name__ == "__main__":
    main()
