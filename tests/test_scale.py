"""What losses over many ranks send, and what it costs to merge what they are told: as one of 512, of a fake group."""

import functools
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh

ROOT = Path(__file__).parent.parent


@functools.cache
def script() -> Any:
    spec = importlib.util.spec_from_file_location("benchmarks_scale", ROOT / "benchmarks" / "scale.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_is_sent() -> None:
    assert (ROOT / "docs" / "scale.md").read_text("utf-8") == script().page()


@pytest.mark.parametrize(
    ("name", "numbers", "backward"),
    [
        ("`cross_entropy`", 3, []),
        ("`cross_entropy`, smoothing", 4, []),
        ("`cross_entropy`, class probabilities", 5, []),
        ("`linear_cross_entropy`", 3, ["all-reduce"]),
        ("`linear_cross_entropy`, `reduce_input_grad=False`", 3, []),
        ("`token_statistics` of a head", 5, ["all-reduce"]),
    ],
)
@pytest.mark.parametrize("ranks", [2, 64, 512])
def test_one_message_of_a_few_numbers_a_row(name: str, numbers: int, backward: list[str], ranks: int) -> None:
    """Of 4 bytes, and 3 that the ranks must agree on; above 8 MB two or three of one size, whatever the ranks."""
    module = script()
    with module.one_of_many(ranks):
        forward, behind = module.count(module.CALLS[name], init_device_mesh("cpu", (ranks,)))
    if 4 * numbers * module.ROWS * ranks <= 8_000_000:
        assert forward == [("all-gather", 4 * ranks * (numbers * module.ROWS + 3))]
    else:
        assert {kind for kind, _ in forward} == {"all-reduce"}
        assert sum(size for _, size in forward) <= 4 * ((numbers + 2) * module.ROWS + 6)  # where the largest is: int64
    assert behind == [(kind, 4 * module.ROWS * module.FEATURES) for kind in backward]


def test_nothing_depends_on_the_number_of_data_parallel_ranks() -> None:
    module, sent = script(), []
    for data in (1, 64):
        with module.one_of_many(8 * data):
            mesh = init_device_mesh("cpu", (data, 8), mesh_dim_names=("dp", "tp"))
            sent.append([module.count(call, mesh["tp"]) for call in list(module.CALLS.values())[::3]])
            assert module.counted_tokens(mesh) == [("all-reduce", 8)] * (data > 1)
    assert sent[0] == sent[1]


def weighted(call: Any) -> torch.Tensor:
    return call.dense(label_smoothing=0.1, weight=torch.ones(script().VOCABULARY))


def test_there_is_no_loop_over_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A merge is at most 60 operations for any number of pairs, and there are 9 instead of 3."""
    module = script()
    monkeypatch.setattr(module, "ROWS", 64)  # few enough for one message of 512 ranks
    operations: dict[int, list[int]] = {}
    for ranks in (8, 512):
        with module.one_of_many(ranks):
            mesh = init_device_mesh("cpu", (ranks,))
            for call in (*module.CALLS.values(), weighted):
                with module.Watch() as watch:
                    call(module.Call(mesh))
                operations.setdefault(ranks, []).append(watch.operations)
    for few, many in zip(operations[8], operations[512]):
        assert many - few <= 60 * (9 - 3)
