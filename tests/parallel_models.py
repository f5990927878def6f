"""A fused Llama of transformers, spread by torch's tensor and sequence parallelism, and sharded too, by four processes.

Each function is a case, which all processes run; `test_parallel.py` starts them and reads what became of each.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as torch_functional
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    PrepareModuleInput,
    RowwiseParallel,
    SequenceParallel,
    parallelize_module,
)
from transformers import LlamaConfig, LlamaForCausalLM

import crossentropy
from crossentropy.lazy._tensor import observe
from sampling import some

Case = Callable[[], None]


def whole(x: Any) -> Tensor:
    return (x.full_tensor() if isinstance(x, DTensor) else x).detach()


def llama() -> nn.Module:
    config = LlamaConfig(
        vocab_size=131, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=8,
        num_key_value_heads=4, max_position_embeddings=64, tie_word_embeddings=False, attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).double()
    nn.init.normal_(model.lm_head.weight, std=0.5)  # logits far from uniform, as trained ones are
    return model


def along_the_sequence(model: Any, mesh: Any, *, local: bool) -> nn.Module:
    """Attention and MLP by heads and features, norms and what is added up by positions."""
    cut: Any = {"output_layouts": Shard(1), "use_local_output": False}
    plan: dict[str, Any] = {
        "model.embed_tokens": RowwiseParallel(input_layouts=Replicate(), **cut),
        "model.norm": SequenceParallel(),
        "lm_head": ColwiseParallel(input_layouts=Shard(1), use_local_output=local),
    }
    for i in range(len(model.model.layers)):
        layer = {
            "input_layernorm": SequenceParallel(),
            "self_attn": PrepareModuleInput(
                input_kwarg_layouts={"hidden_states": Shard(1)},
                desired_input_kwarg_layouts={"hidden_states": Replicate()},
            ),
            **{f"self_attn.{name}_proj": ColwiseParallel() for name in "qkv"},
            "self_attn.o_proj": RowwiseParallel(**cut),
            "post_attention_layernorm": SequenceParallel(),
            "mlp": PrepareModuleInput(input_layouts=(Shard(1),), desired_input_layouts=(Replicate(),)),
            **{f"mlp.{name}_proj": ColwiseParallel() for name in ("gate", "up")},
            "mlp.down_proj": RowwiseParallel(**cut),
        }
        plan.update({f"model.layers.{i}.{name}": style for name, style in layer.items()})
    return parallelize_module(model, mesh, plan)


def train(model: nn.Module, loss: Callable[[Any, Tensor, Tensor], Tensor], group: int, groups: int) -> list[Any]:
    """Some steps on the part of the batches that is for one of several groups of ranks."""
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    generator = torch.Generator().manual_seed(3)
    with observe() as events:
        for _ in range(5):
            tokens, labels = torch.randint(131, (2, 4, 8), generator=generator)
            mine = [x.chunk(groups)[group] for x in (tokens, labels)]
            loss(model, *mine).backward()
            optimizer.step()
            optimizer.zero_grad()
    return list(events)


@functools.cache
def one_process(loss: Callable[[Any, Tensor, Tensor], Tensor]) -> nn.Module:
    model = llama()
    train(model, loss, 0, 1)
    return model


def of_logits(model: Any, tokens: Tensor, labels: Tensor) -> Tensor:
    """A loss that is taken outside of the model."""
    logits = model(input_ids=tokens, use_cache=False).logits
    return torch_functional.cross_entropy(logits.flatten(0, 1), labels.flatten())


def inside(model: Any, tokens: Tensor, labels: Tensor) -> Tensor:
    """That of transformers, which shifts the labels."""
    return model(input_ids=tokens, labels=labels, use_cache=False).loss


def assert_same_parameters(model: nn.Module, expected: nn.Module, rounding: float) -> None:
    """What training moved is the same up to 1e4 roundings of how far: sums of five steps have some hundred terms."""
    start = dict(llama().named_parameters())
    found = {name: whole(p) for name, p in model.named_parameters()}
    for name, p in expected.named_parameters():
        moved = p.detach() - start[name].detach()
        assert moved.norm() > 1e-4, name
        difference = float((found[name] - p.detach()).norm() / moved.norm())
        assert difference < 1e4 * rounding, f"{name} moved otherwise: {difference:.1e} of the way"


def tensor_parallel_llama() -> Iterator[tuple[str, Case]]:
    for local, loss in ((True, of_logits), (False, of_logits), (False, inside)):

        def case(local: bool = local, loss: Callable[..., Tensor] = loss) -> None:
            mesh = dist.device_mesh.init_device_mesh("cpu", (dist.get_world_size(),))
            model = along_the_sequence(crossentropy.fuse(llama()), mesh, local=local)
            events = train(model, loss, 0, 1)
            # transformers' loss is of logits in float32
            assert_same_parameters(model, one_process(loss), 2.0**-24 if loss is inside else 2.0**-53)
            assert len(events) == 5
            assert all(event.fused for event in events), events

        yield f"Llama, {'local part' if local else 'DTensor'}, loss {loss.__name__}", case


def fully_sharded_too() -> Iterator[tuple[str, Case]]:
    """Heads that are spread over two ranks, and sharded over the others, which have other rows."""
    ways = itertools.product((True, False), ("root", "layers", "head"), (None, True, False))
    for local, units, reshard in some(ways, 5):

        def case(local: bool = local, units: str = units, reshard: bool | None = reshard) -> None:
            groups = dist.get_world_size() // 2
            mesh = dist.device_mesh.init_device_mesh("cpu", (groups, 2), mesh_dim_names=("data", "tensor"))
            model: Any = along_the_sequence(crossentropy.fuse(llama()), mesh["tensor"], local=local)
            layers = [] if units == "root" else list(model.model.layers)
            for part in [*layers, *([model.lm_head] if units == "head" else []), model]:
                fully_shard(part, mesh=mesh["data"], reshard_after_forward=reshard)
            events = train(model, of_logits, mesh.get_local_rank("data"), groups)
            assert_same_parameters(model, one_process(of_logits), 2.0**-53)
            assert len(events) == 5
            assert all(event.fused for event in events), events

        yield f"Llama, FSDP of {units}, reshard {reshard}, {'local part' if local else 'DTensor'}", case


CASES: dict[str, Case] = {**dict(tensor_parallel_llama()), **dict(fully_sharded_too())}
