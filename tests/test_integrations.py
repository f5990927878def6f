"""Fused models under the packages that train them: the real ones, on tiny random models."""

import copy
import csv
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
from sampling import some
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


@pytest.fixture(autouse=True)
def _settings_of_accelerate() -> None:
    """Nobody's before: they are the process's, and an example may have made them."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(True)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    return build("LlamaForCausalLM", "causal")[1]


@pytest.fixture
def model() -> Any:
    return build("LlamaForCausalLM", "causal")[0]


# --- transformers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), some(((kind, name) for kind, names in NAMES.items() for name in names), 90))
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
    model = adapted(target_modules=["q_proj", "lm_head"], init_lora_weights=False)
    found = crossentropy.fuse(model, verify=batch)
    assert found.fused, found
    assert [head.name.rpartition("lm_head.")[2] for head in crossentropy.fused(model).heads] == [
        "base_layer",
        "lora_B.default",
    ]
    with model.disable_adapter(), observe() as events:
        model(**batch)
    assert [event.fused for event in events] == [True]
    crossentropy.fuse(crossentropy.unfuse(model), example=batch)
    assert len(crossentropy.fused(model).heads) == 2
    with pytest.raises(ValueError, match="an adapter around a linear layer"):
        crossentropy.fuse(adapted(target_modules=["q_proj", "lm_head"], use_dora=True))


class Language(nn.Module):
    """A model that is not of transformers, and whose head may have another name."""

    def __init__(self, head: str = "lm_head") -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 8))
        self.name = head
        self.add_module(head, nn.Linear(8, 30))

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.name)(self.body(x))


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"target_modules": ["0", "lm_head"]}, ["base_layer", "lora_B.default"]),
        ({"target_modules": ["0"], "modules_to_save": ["lm_head"]}, ["original_module", "modules_to_save.default"]),
    ],
)
def test_adapters_on_heads_of_any_module(settings: dict[str, Any], parts: list[str]) -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(Language(), LoraConfig(r=2, init_lora_weights=False, **settings))
    hidden, labels = torch.randn(5, 8), torch.arange(5)
    found = crossentropy.fuse(model, verify=hidden, loss=lambda z: nn.functional.cross_entropy(z, labels))
    assert found.fused, found
    prefix = "base_model.model.lm_head."
    assert [head.name for head in crossentropy.fused(model).heads] == [prefix + part for part in parts]


def test_candidates_among_adapters() -> None:
    from peft import LoraConfig, get_peft_model

    settings = {"target_modules": ["0", "unusual"]}
    with pytest.raises(ValueError, match=r"layers \(base_model.model.body.0, base_model.model.unusual\)"):
        crossentropy.fuse(get_peft_model(Language("unusual"), LoraConfig(r=2, **settings)))
    with pytest.raises(ValueError, match=r"layers \(there are none\)"):
        crossentropy.fuse(get_peft_model(Language("unusual"), LoraConfig(r=2, use_dora=True, **settings)))
    with pytest.raises(ValueError, match="an adapter around a linear layer"):
        crossentropy.fuse(get_peft_model(Language(), LoraConfig(r=2, use_dora=True, target_modules=["lm_head"])))


def test_outputs_of_attrs() -> None:
    import attrs

    model = Language("unusual")
    model.register_forward_hook(lambda _, __, output: attrs.make_class("Output", ["logits"])(output))
    assert [head.name for head in crossentropy.fused(crossentropy.fuse(model, example=torch.randn(5, 8))).heads] == [
        "unusual"
    ]


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


# --- crossentropy.integrations ------------------------------------------------------------------------------------


def test_callback_of_transformers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Evaluated, saved, loaded and resumed, a run with the callback is the run without, and leaves a plain model."""
    module = example("fuse_trainer")
    settings: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "eval_strategy": "steps", "eval_steps": 2}
    settings |= {"load_best_model_at_end": True, "metric_for_best_model": "loss"}
    runs = {}
    for name, callbacks in (("plain", []), ("fused", [module.FuseCallback()])):
        trainer = module.make_trainer(callbacks, folder=str(tmp_path / name), **settings)
        with observe() as events, caplog.at_level("INFO", "crossentropy"):
            trainer.train()
        runs[name] = trainer
        assert len(events) == (4 + 2 * 2 if callbacks else 0)  # four steps, two evaluations of two batches
        assert all(event.fused for event in events)
        assert type(trainer.model.lm_head) is nn.Linear
    said = [record.getMessage() for record in caplog.records if record.name.startswith("crossentropy")]
    (head,) = crossentropy.fused(crossentropy.fuse(copy.deepcopy(runs["fused"].model))).heads
    assert said == [f"fused {head} of LlamaForCausalLM"]
    histories = [[e.get("loss", e.get("eval_loss")) for e in run.state.log_history[:-1]] for run in runs.values()]
    assert histories[1] == pytest.approx(histories[0], rel=1e-5)
    for run in runs.values():  # the last two steps again, with the callback or without
        again = module.make_trainer([module.FuseCallback()], folder=str(tmp_path / "again"), **settings)
        again.train(resume_from_checkpoint=f"{run.args.output_dir}/checkpoint-2")
        assert again.state.log_history[-3]["loss"] == pytest.approx(histories[0][-2], rel=1e-5)
    again.save_model(str(tmp_path / "saved"))
    assert type(transformers.LlamaForCausalLM.from_pretrained(tmp_path / "saved").lm_head) is nn.Linear


def test_callback_gives_back_what_it_took() -> None:
    from crossentropy.integrations.transformers import FuseCallback

    callback, model = FuseCallback("0"), nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 7))
    crossentropy.fuse(model)  # the last layer, by somebody else
    nothing: Any = None
    callback.on_train_begin(nothing, nothing, nothing, model=model)
    assert [type(layer) is nn.Linear for layer in model] == [False, False]
    callback.on_train_begin(nothing, nothing, nothing, model=model)  # after an error in training
    callback.on_train_end(nothing, nothing, nothing)
    assert [type(layer) is nn.Linear for layer in model] == [True, False]
    with pytest.raises(ValueError, match="'nowhere' is no module"):
        FuseCallback("nowhere").on_train_begin(nothing, nothing, nothing, model=model)
    assert [type(layer) is nn.Linear for layer in model] == [True, False]


def parts_of(logits: Tensor, target: Tensor, smoothing: float, z_loss: float) -> dict[str, float]:
    """By definition, in float64."""
    logits, target = logits.detach().double()[target != -100], target[target != -100]
    log_p = logits.log_softmax(-1)
    nll = nn.functional.nll_loss(log_p, target)
    parts = {"nll": nll, "perplexity": nll.exp()}
    parts |= {"smoothing": smoothing * (-log_p.mean() - nll)} if smoothing else {}
    parts |= {"z_loss": z_loss * logits.logsumexp(-1).square().mean()} if z_loss else {}
    return {name: value.item() for name, value in parts.items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("smoothing", "z_loss"), [(0.0, 0.0), (0.1, 0.0), (0.0, 1e-2), (0.1, 1e-2)])
def test_parts_of_a_loss(smoothing: float, z_loss: float, dtype: torch.dtype) -> None:
    from crossentropy.integrations import LossParts

    loss = LossParts(label_smoothing=smoothing, z_loss=z_loss)
    logits = (3 * torch.randn(4, 5, 11)).to(dtype).requires_grad_()
    target = torch.randint(11, (4, 5))
    target[0] = -100  # a batch of its own, in which nothing counts
    target[2, 1:] = -100
    logits.data[0] = torch.nan
    values = [loss(z, y, denominator=7.5) for z, y in zip(logits, target)]
    with torch.no_grad():  # an evaluation between two logs of training
        loss(logits[3], target[3])
        assert loss(logits[:1], target[:1]).isnan()
    expected = parts_of(logits.flatten(0, 1), target.flatten(), smoothing, z_loss)
    found = loss.take()
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)  # rows in float32
    assert loss.take() == {}
    assert loss.take(training=False, prefix="eval/") == pytest.approx(
        {f"eval/{k}": v for k, v in parts_of(logits[3], target[3], smoothing, z_loss).items()}, rel=1e-5, abs=1e-6
    )
    whole = sum(value for name, value in found.items() if name != "perplexity")
    assert torch.stack(values).sum().item() * 7.5 / 11 == pytest.approx(whole, rel=1e-5)  # of 11 tokens
    torch.stack(values).sum().backward()
    wanted = nn.functional.cross_entropy(
        logits[1:].flatten(0, 1).double(), target[1:].flatten(), label_smoothing=smoothing
    )
    if not z_loss and dtype == torch.float32:
        (gradient,) = torch.autograd.grad(wanted * 11 / 7.5, logits)
        torch.testing.assert_close(logits.grad[1:], gradient[1:], rtol=1e-4, atol=1e-6)
    assert logits.grad[0].eq(0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda kind: kind(z_loss=-1.0), "z_loss is -1.0, expected a finite number ≥ 0"),
        (lambda kind: kind(label_smoothing=2), "label_smoothing is 2, expected"),
        (lambda kind: kind(smoothing=0.1), "'smoothing' — it is label_smoothing here"),
        (lambda kind: kind()(torch.zeros(2, 5, 3), torch.zeros(2, 3).long()), "the classes are the last axis here"),
        (lambda kind: kind()(torch.zeros(2, 3), torch.tensor([0, 3])), r"target\[1\] is 3"),
    ],
)
def test_errors_of_parts(call: Any, message: str) -> None:
    from crossentropy.integrations import LossParts

    with pytest.raises(crossentropy.ArgumentError, match=message):
        call(LossParts)


def test_parts_in_the_logs_of_transformers(tmp_path: Path) -> None:
    """To the history, to the reporters, and back from evaluate(); over accumulated batches; without logits."""
    module = example("fuse_trainer")
    reported: list[dict[str, float]] = []

    class Reporter(transformers.TrainerCallback):  # where TensorBoard and W&B get theirs
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            reported.append(dict(logs))

    loss = module.CausalLoss(label_smoothing=0.1, z_loss=1e-2)
    trainer = module.make_trainer(
        [Reporter(), module.FuseCallback()], loss, str(tmp_path), gradient_accumulation_steps=2, max_steps=2,
        learning_rate=0.0, eval_strategy="steps", eval_steps=2, per_device_eval_batch_size=5,
    )  # fmt: skip
    with observe() as events:
        trainer.train()
    assert events
    assert all(event.fused for event in events)
    found = trainer.evaluate()
    text = torch.stack([row["input_ids"] for row in trainer.eval_dataset])
    with torch.no_grad():
        logits = trainer.model(input_ids=text).logits[:, :-1]
    expected = parts_of(logits.flatten(0, 1), text[:, 1:].flatten(), 0.1, 1e-2)
    assert {name: found[f"eval_{name}"] for name in expected} == pytest.approx(expected, rel=1e-5, abs=2e-6)
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(history) == 2
    for entry in history:  # of eight of sixteen sentences each, which a model that does not learn finds alike
        assert entry["loss"] == pytest.approx(entry["nll"] + entry["smoothing"] + entry["z_loss"], rel=1e-5)
    assert sum(entry["nll"] for entry in history) / 2 == pytest.approx(expected["nll"], rel=1e-5)
    for entries in (trainer.state.log_history, reported):
        names = [{*entry} & {"perplexity", "eval_perplexity"} for entry in entries]
        assert names == [{"perplexity"}, {"perplexity"}, {"eval_perplexity"}, set(), {"eval_perplexity"}]
    trainer.compute_loss_func = None
    with pytest.raises(TypeError, match=r"compute_loss_func is None, expected a .*CausalLoss"):
        trainer.evaluate()


def test_causal_loss_is_that_of_transformers(model: Any, batch: dict[str, Tensor]) -> None:
    from crossentropy.integrations.transformers import CausalLoss

    output, labels = model(**batch), batch["labels"]
    torch.testing.assert_close(CausalLoss()(output, labels), output.loss)
    total, masked = 2 * labels.numel(), labels.index_fill(1, torch.tensor([0]), -100)  # the first is never predicted
    for n in (total, torch.tensor(total)):
        expected = model(**batch, num_items_in_batch=n).loss
        torch.testing.assert_close(CausalLoss()((output.logits,), masked, n), expected)
    torch.testing.assert_close(
        CausalLoss()(output, labels.clamp(0, 9).to(torch.uint8)), CausalLoss()(output, labels.clamp(0, 9))
    )
    shifted = nn.functional.pad(labels[:, 1:], (0, 1), value=-100)
    torch.testing.assert_close(CausalLoss(shift=False)(output, shifted), output.loss)
    with pytest.raises(ValueError, match="no labels in the batch"):
        CausalLoss()(output, None)
    with pytest.raises(ValueError, match="a process for each GPU"):
        CausalLoss()(output, labels, torch.tensor([7, 7]))


class Plain(nn.Module):
    """A language model that transformers does not know."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.lm_head = nn.Embedding(50, 8), nn.Linear(8, 50)

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        return {"logits": self.lm_head(self.table(input_ids))}


def data_of(labels: Tensor) -> list[dict[str, Tensor]]:
    torch.manual_seed(1)
    return [{"input_ids": row, "labels": y} for row, y in zip(torch.randint(1, 50, labels.shape), labels)]


def unequal_labels() -> Tensor:
    """Of four sentences, of one of which only the first two tokens count."""
    labels = torch.randint(1, 50, (4, 7))
    labels[0, 2:] = -100
    labels[1, :3] = -100
    return labels


@pytest.mark.parametrize(
    ("options", "known"),
    [({}, False), ({"ignore_index": 0}, False), ({"shift": False}, False), ({}, True), ({"shift": False}, True)],
    ids=str,
)
@pytest.mark.parametrize("steps", [1, 2])
def test_the_loss_is_divided_by_the_tokens_that_it_sums(
    options: dict[str, Any], known: bool, steps: int, tmp_path: Path
) -> None:
    """Also if transformers' Trainer counts others; where they cannot be known, it says so."""
    from crossentropy.integrations.transformers import CausalLoss, LossPartsMixin

    class Mixed(LossPartsMixin, transformers.Trainer):
        pass

    labels = unequal_labels()
    data = data_of(labels.masked_fill(labels == -100, options.get("ignore_index", -100)))
    text = torch.stack([row["input_ids"] for row in data])
    for kind in (Mixed, transformers.Trainer):
        model = build("LlamaForCausalLM", "causal")[0] if known else Plain()
        z = model(input_ids=text)["logits"].double()
        z, y = (z, labels) if options.get("shift") is False else (z[:, :-1], labels[:, 1:])
        expected = nn.functional.cross_entropy(z.flatten(0, 1), y.flatten(), ignore_index=-100)
        gradient = torch.autograd.grad(expected, model.lm_head.weight)[0]
        before = model.lm_head.weight.detach().clone()
        arguments = transformers.TrainingArguments(
            str(tmp_path), max_steps=1, logging_steps=1, report_to=[], save_strategy="no", use_cpu=True, optim="sgd",
            disable_tqdm=True, per_device_train_batch_size=4 // steps, gradient_accumulation_steps=steps,
            learning_rate=1.0, max_grad_norm=0.0, lr_scheduler_type="constant", per_device_eval_batch_size=4,
        )  # fmt: skip
        trainer = kind(model, arguments, train_dataset=data, eval_dataset=data, compute_loss_func=CausalLoss(**options))  # pyright: ignore[reportArgumentType]
        if kind is Mixed:
            assert trainer.evaluate()["eval_loss"] == pytest.approx(expected.item(), rel=1e-5)
        elif steps == 2:  # its counts may not be known from one of two batches
            with pytest.raises(ValueError, match=r"num_items_in_batch is \d+, of several batches .*LossPartsMixin"):
                trainer.train()
            continue
        trainer.train()
        assert trainer.state.log_history[-2]["loss"] == pytest.approx(expected.item(), abs=1e-4)  # rounded by it
        change = before - model.lm_head.weight
        torch.testing.assert_close(change, gradient.float(), rtol=1e-4, atol=1e-6)


def test_labels_that_any_trainer_counts_alike_need_no_help(tmp_path: Path) -> None:
    from crossentropy.integrations.transformers import CausalLoss

    labels = unequal_labels().index_fill(1, torch.tensor([0]), -100)  # nothing predicts the first
    losses = []
    for steps in (1, 2):
        arguments = transformers.TrainingArguments(
            str(tmp_path), max_steps=1, logging_steps=1, report_to=[], save_strategy="no", use_cpu=True,
            disable_tqdm=True, per_device_train_batch_size=4 // steps, gradient_accumulation_steps=steps,
        )  # fmt: skip
        trainer = transformers.Trainer(
            Plain(), arguments, train_dataset=data_of(labels), compute_loss_func=CausalLoss()
        )  # pyright: ignore[reportArgumentType]
        trainer.train()
        losses.append(trainer.state.log_history[0]["loss"])
    assert losses[1] == pytest.approx(losses[0], abs=2e-4)


def test_an_evaluation_is_of_its_own_tokens(tmp_path: Path) -> None:
    """Not of those that were predicted before it; nor is a training of those that another ended with."""
    from crossentropy.integrations.transformers import CausalLoss, LossPartsMixin

    class Mixed(LossPartsMixin, transformers.Trainer):
        pass

    data, other = data_of(torch.randint(1, 50, (4, 7))), data_of(torch.randint(1, 50, (8, 7)))
    arguments = transformers.TrainingArguments(
        str(tmp_path), max_steps=3, logging_steps=2, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
        per_device_train_batch_size=4, learning_rate=0.0,
    )  # fmt: skip
    trainer = Mixed(Plain(), arguments, train_dataset=other, eval_dataset=data, compute_loss_func=CausalLoss())  # pyright: ignore[reportArgumentType]
    first = trainer.evaluate()["eval_nll"]
    trainer.predict(other)  # pyright: ignore[reportArgumentType]
    assert trainer.evaluate()["eval_nll"] == first
    trainer.train()
    trainer.train_dataset = data
    trainer.train()  # of the four sentences that it was evaluated on
    assert trainer.state.log_history[0]["nll"] == pytest.approx(first, rel=1e-6)


def test_callbacks_of_lightning(tmp_path: Path) -> None:
    from lightning.pytorch.loggers import CSVLogger

    module = example("fuse_lightning")
    logs = {}
    for fuse in (False, True):
        logger = CSVLogger(tmp_path, str(fuse))
        trained = module.train(
            fuse=fuse, logger=logger, enable_checkpointing=True, accumulate_grad_batches=2, max_steps=4
        )
        assert type(trained.model[2]) is nn.Linear
        with open(Path(logger.log_dir, "metrics.csv"), newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            logs[fuse] = [{name: float(value) for name, value in row.items() if value} for row in rows]
        (path,) = Path(logger.log_dir).rglob("*.ckpt")
        saved = torch.load(path, weights_only=True)
        assert all(x.equal(saved["state_dict"][name]) for name, x in trained.state_dict().items())
    named = {name for entry in logs[True] for name in entry}
    assert {f"{when}/{part}" for when in ("train", "val") for part in ("nll", "perplexity", "z_loss")} <= named
    assert len([entry for entry in logs[True] if "train/nll" in entry]) == 2  # every second of four steps
    assert len(logs[False]) == len(logs[True])
    for plain, fused in zip(logs[False], logs[True]):
        assert fused == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("manual", [False, True])
def test_parts_are_those_since_lightning_last_logged(manual: bool) -> None:
    """Also of two optimizers, which are two steps a batch; of this fit, not of the last one, nor of predictions."""
    import lightning
    from lightning.pytorch.loggers.logger import DummyLogger

    from crossentropy.integrations import LossParts
    from crossentropy.integrations.lightning import LossPartsCallback

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.loss, self.automatic_optimization = Plain(), LossParts(), not manual
            self.seen: list[float] = []

        def training_step(self, batch: Tensor, index: int) -> Tensor:
            loss = self.validation_step(batch, index)
            self.seen.append(loss.item())
            for optimizer in self.optimizers() if manual else []:  # pyright: ignore[reportGeneralTypeIssues]
                optimizer.zero_grad()
                self.manual_backward(loss, retain_graph=True)
                optimizer.step()
            return loss

        def validation_step(self, batch: Tensor, index: int) -> Tensor:
            return self.loss(self.model(batch[:, :-1])["logits"], batch[:, 1:])

        predict_step = validation_step

        def configure_optimizers(self) -> Any:
            layers = [self.model.table, self.model.lm_head] if manual else [self.model]
            return [torch.optim.SGD(layer.parameters(), 0.1) for layer in layers]

    class Logged(DummyLogger):
        def log_metrics(self, metrics: Any, step: Any = None) -> None:
            for name in ("train/nll", "val/nll"):
                if name in metrics:
                    logged.append((name, float(metrics[name])))

    logged: list[tuple[str, float]] = []
    settings: Any = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    module, callback = Module(), LossPartsCallback()
    data = torch.utils.data.DataLoader(torch.randint(50, (22, 7)).split(2), batch_size=None)  # eleven batches
    held_out = torch.utils.data.DataLoader(torch.randint(50, (2, 7)).split(2), batch_size=None)
    for _ in range(2):
        logged, module.seen = [], []
        trainer = lightning.Trainer(
            accelerator="cpu", callbacks=[callback], logger=Logged(), log_every_n_steps=4, max_epochs=1, **settings
        )
        trainer.fit(module, data)
        means = [sum(module.seen[i : i + 4]) / 4 for i in (0, 4)]
        assert [value for _, value in logged] == pytest.approx(means, rel=1e-6)
    trainer.predict(module, data)
    logged = []
    (found,) = trainer.validate(module, held_out, verbose=False)
    (batch,) = held_out
    with torch.no_grad():
        assert found["val/nll"] == pytest.approx(module.validation_step(batch, 0).item(), rel=1e-6)
    assert [name for name, _ in logged] == ["val/nll"]


def test_lightning_gives_the_head_back_after_an_error() -> None:
    import lightning

    from crossentropy.integrations.lightning import FuseCallback, LossPartsCallback

    module = example("fuse_lightning").LanguageModel(50, 4)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.full((2, 3), 50)), batch_size=2)  # no class
    settings: Any = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "max_steps": 1}
    with pytest.raises(IndexError):
        lightning.Trainer(accelerator="cpu", callbacks=[FuseCallback("model.2")], **settings).fit(module, data)
    assert type(module.model[2]) is nn.Linear
    del module.loss
    with pytest.raises(TypeError, match=r"no attribute of LanguageModel is a .*LossParts"):
        lightning.Trainer(accelerator="cpu", callbacks=[LossPartsCallback()], **settings).fit(module, data)


def test_accelerate_helper() -> None:
    """Unequal micro-batches have the gradient of the whole batch; parts go to the trackers."""
    from accelerate import Accelerator
    from accelerate.tracking import GeneralTracker

    from crossentropy.integrations import LossParts
    from crossentropy.integrations import accelerate as helper

    seen: list[tuple[dict[str, float], int | None]] = []

    class Tracker(GeneralTracker):
        name, requires_logging_directory, tracker = "mine", False, None

        def store_init_configuration(self, values: Any) -> None: ...

        def log(self, values: dict[str, float], step: int | None = None, **kwargs: Any) -> None:
            seen.append((values, step))

    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=3, log_with=Tracker())
    accelerator.init_trackers("run")
    plain = nn.Sequential(nn.Linear(6, 40))
    x, target = torch.randn(3, 4, 6), torch.randint(40, (3, 4))
    target[0, 1:] = -100
    whole = nn.functional.cross_entropy(plain(x).flatten(0, 1), target.flatten())
    (expected,) = torch.autograd.grad(whole, plain[0].weight)
    model, optimizer = helper.prepare(accelerator, plain, torch.optim.SGD(plain.parameters(), 0.1), head="0")
    loss, total = LossParts(), helper.denominator(accelerator, list(target))
    assert total.item() == 3
    for inputs, labels in zip(x, target):
        logits = model(inputs)
        accelerator.backward(loss(logits, labels, denominator=total))
        assert explain(logits).materialized == ()
    torch.testing.assert_close(plain[0].weight.grad, expected)
    optimizer.step()
    found = helper.log(accelerator, loss, 5, prefix="train/")
    assert seen == [(found, 5)]
    assert found["train/nll"] == pytest.approx(whole.item(), rel=1e-6)
    with pytest.raises(TypeError, match=r"parts is a CrossEntropyLoss, expected .*LossParts"):
        helper.log(accelerator, nn.CrossEntropyLoss())  # pyright: ignore[reportArgumentType]
