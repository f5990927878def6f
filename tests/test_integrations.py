"""Fused models under the packages that train them: the real ones, on tiny random models."""

import copy
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import transformers
from packaging.version import Version
from torch import Tensor, nn

import crossentropy
from crossentropy.lazy import explain
from crossentropy.lazy._fuse import FusedHead
from crossentropy.lazy._tensor import observe
from fused_models import NAMES, PAGE, LogitsLike, UnknownModelError, examine, in_chunks, training_step
from tiny_transformers import build

EXAMPLES = Path(__file__).parent.parent / "examples"

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other packages


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def documented() -> dict[str, str]:
    """Outcomes in docs/models.md by class."""
    rows = (line.strip("| ").split(" | ") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| "))
    return {name: outcome for name, outcome in rows if name != "class"}


DOCUMENTED = documented()
OLDER = Version(transformers.__version__) < Version(re.findall(r" transformers (\S+),", PAGE.read_text("utf-8"))[0])
"""Whether the page is of a later version, in which the same classes may be made otherwise."""


@pytest.fixture
def batch() -> dict[str, Tensor]:
    return build("LlamaForCausalLM", "causal")[1]


@pytest.fixture
def model() -> Any:
    return build("LlamaForCausalLM", "causal")[0]


# --- transformers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names])
def test_every_language_model(kind: str, name: str) -> None:
    """Right or refused, and as documented; but for what this transformers does not make as the page's does."""
    try:
        outcome = examine(name, kind)
    except UnknownModelError as unknown:
        if name in DOCUMENTED and not OLDER:
            raise
        pytest.xfail(f"in transformers {transformers.__version__}, to be made tiny: {unknown}")
    assert name not in DOCUMENTED or DOCUMENTED[name].startswith("fused") == outcome.fused, outcome


def test_the_page_names_every_class_of_its_version() -> None:
    names = {name for names in NAMES.values() for name in names}
    assert f"transformers {transformers.__version__}," not in PAGE.read_text("utf-8") or names == set(DOCUMENTED)


def test_a_class_that_the_page_does_not_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LlamaForCausalLM", "MusicgenForCausalLM"):
        monkeypatch.delitem(DOCUMENTED, name)
        test_every_language_model("causal", name)
    forward = nn.Linear.forward
    with monkeypatch.context() as wrong:
        wrong.setattr(FusedHead, "forward", lambda self, x: forward(self, x) * 1.001)
        with pytest.raises(AssertionError, match="differs by"):
            test_every_language_model("causal", "LlamaForCausalLM")
    monkeypatch.setattr("fused_models.build", lambda name, kind: 1 / 0)
    with pytest.raises(pytest.xfail.Exception, match="to be made tiny: LlamaForCausalLM: ZeroDivisionError"):
        test_every_language_model("causal", "LlamaForCausalLM")
    monkeypatch.setitem(globals(), "OLDER", False)
    with pytest.raises(UnknownModelError):
        test_every_language_model("causal", "MistralForCausalLM")


def test_the_walk_would_see_logits(model: Any, batch: dict[str, Tensor]) -> None:
    with in_chunks(), LogitsLike(batch["labels"].numel(), model.config.vocab_size) as like:
        training_step(model, batch)
    assert like.found


def test_most_models_are_fused() -> None:
    assert len(DOCUMENTED) >= 265
    assert sum(outcome == "fused" for outcome in DOCUMENTED.values()) >= len(DOCUMENTED) - 6


def test_trainer() -> None:
    module = example("fuse_trainer")
    assert module.main() < 1e-5
    for arguments in ({"label_smoothing_factor": 0.1}, {"gradient_accumulation_steps": 2}, {"bf16": True}):
        plain = [entry["loss"] for entry in module.train([], **arguments)]
        with observe() as events:
            fused = [entry["loss"] for entry in module.train([module.FuseCallback()], **arguments)]
        assert fused == pytest.approx(plain, rel=2**-8 if "bf16" in arguments else 1e-5)
        assert events
        assert all(event.fused for event in events)


def test_gradient_checkpointing_and_num_items_in_batch(model: Any, batch: dict[str, Tensor]) -> None:
    model.gradient_checkpointing_enable()
    for extra in ({}, {"num_items_in_batch": torch.tensor(7)}, {"shift_labels": batch["labels"]}):
        found = crossentropy.fuse(copy.deepcopy(model), verify={**batch, **extra})
        assert found.fused, found


def test_evaluation_and_generation(model: Any, batch: dict[str, Tensor]) -> None:
    fused = crossentropy.fuse(copy.deepcopy(model)).eval()
    model.eval()
    with torch.no_grad():
        plain, lazy = model(**batch), fused(**batch)
        assert explain(lazy.logits).materialized == ()
        torch.testing.assert_close(lazy.loss, plain.loss)
        assert lazy.logits.argmax(-1).equal(plain.logits.argmax(-1))
        assert explain(lazy.logits).materialized == ()
        torch.testing.assert_close(lazy.logits * 1, plain.logits, rtol=0, atol=0)
    for how in ({}, {"num_beams": 3}, {"do_sample": True, "top_k": 20}):
        texts = []
        for one in (model, fused):
            torch.manual_seed(0)
            texts.append(one.generate(batch["input_ids"], max_new_tokens=6, **how))
        assert texts[0].equal(texts[1])


def test_save_pretrained(model: Any, batch: dict[str, Tensor], tmp_path: Path) -> None:
    crossentropy.fuse(model).save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert type(again.lm_head) is nn.Linear
    assert all(a.equal(b) for a, b in zip(again.state_dict().values(), model.state_dict().values()))


@pytest.mark.parametrize("tied", [False, True])
def test_resized_embeddings(tied: bool) -> None:
    """A head that is replaced is not fused, and its loss is right; to fuse again is harmless where it was not."""
    config = transformers.LlamaConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=64, tie_word_embeddings=tied,
    )  # fmt: skip
    text = torch.randint(64, (2, 8))
    batch = {"input_ids": text, "labels": text}
    model = crossentropy.fuse(transformers.LlamaForCausalLM(config))
    model.resize_token_embeddings(80)
    resized = model(**batch)
    assert isinstance(resized.logits, crossentropy.LazyLogits) == tied
    again = crossentropy.fuse(model)(**batch)
    assert isinstance(again.logits, crossentropy.LazyLogits)
    assert again.logits.shape[-1] == 80
    plain = crossentropy.unfuse(model)(**batch)
    torch.testing.assert_close(resized.loss, plain.loss)
    torch.testing.assert_close(again.loss, plain.loss)


def test_compiled(model: Any, batch: dict[str, Tensor]) -> None:
    expected = model(**batch).loss
    torch.compiler.reset()
    compiled = torch.compile(crossentropy.fuse(model), backend="aot_eager")
    output = compiled(**batch)
    torch.testing.assert_close(output.loss, expected)
    assert explain(output.logits).events
    assert explain(output.logits).materialized == ()


# --- peft, accelerate, lightning, trl -----------------------------------------------------------------------------


def test_adapters(batch: dict[str, Tensor]) -> None:
    from peft import LoraConfig, get_peft_model

    def adapted(**settings: Any) -> Any:
        torch.manual_seed(0)
        return get_peft_model(build("LlamaForCausalLM", "causal")[0], LoraConfig(r=4, lora_dropout=0.0, **settings))

    for settings in ({"target_modules": ["q_proj"]}, {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}):
        found = crossentropy.fuse(adapted(**settings), verify=batch)
        assert found.fused, found
    with pytest.raises(ValueError, match="an adapter around a linear layer"):
        crossentropy.fuse(adapted(target_modules=["q_proj", "lm_head"]))


def test_accelerate(model: Any, batch: dict[str, Tensor]) -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(mixed_precision="bf16", cpu=True)
    expected = model(**batch).loss
    prepared, optimizer = accelerator.prepare(crossentropy.fuse(model), torch.optim.SGD(model.parameters(), 0.1))
    output = prepared(**batch)
    accelerator.backward(output.loss)
    optimizer.step()
    torch.testing.assert_close(output.loss, expected, rtol=2**-7, atol=0)
    assert [event.fused for event in explain(output.logits).events] == [True]
    assert model.lm_head.weight.grad is not None


def test_hooks_of_accelerate_on_the_head(model: Any, batch: dict[str, Tensor]) -> None:
    from accelerate.hooks import ModelHook, add_hook_to_module

    add_hook_to_module(model.lm_head, ModelHook())
    output = crossentropy.fuse(model)(**batch)
    assert [event.fused for event in explain(output.logits).events] == [True]
    assert type(crossentropy.unfuse(model)(**batch).logits) is Tensor


def test_lightning() -> None:
    module = example("fuse_lightning")
    with observe() as events:
        assert module.main() < 1e-5
    assert events
    assert all(event.fused for event in events)


def test_trl() -> None:
    module = example("fuse_trl")
    assert module.main() < 1e-5
    assert module.log_probabilities()


def test_fully_sharded(model: Any, batch: dict[str, Tensor], tmp_path: Path) -> None:
    import torch.distributed as dist
    from torch.distributed.fsdp import fully_shard

    expected = model(**batch).loss
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        mesh = dist.device_mesh.init_device_mesh("cpu", (1,))
        for head_alone in (False, True):
            sharded = crossentropy.fuse(copy.deepcopy(model))
            for module in (*sharded.model.layers, *([sharded.lm_head] if head_alone else []), sharded):
                fully_shard(module, mesh=mesh)
            output = sharded(**batch)
            output.loss.backward()
            torch.testing.assert_close(output.loss, expected)
            assert sharded.lm_head.weight.grad.full_tensor().norm() > 0
            assert [event.fused for event in explain(output.logits).events] == [True]
    finally:
        dist.destroy_process_group()


def test_distributed_data_parallel(model: Any, batch: dict[str, Tensor], tmp_path: Path) -> None:
    import torch.distributed as dist

    expected = model(**batch).loss
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        for settings in ({}, {"find_unused_parameters": True}):
            parallel = nn.parallel.DistributedDataParallel(crossentropy.fuse(model), **settings)
            model.zero_grad()
            loss = parallel(**batch).loss
            loss.backward()
            torch.testing.assert_close(loss, expected)
            assert model.lm_head.weight.grad is not None
    finally:
        dist.destroy_process_group()
