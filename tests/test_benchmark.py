"""`crossentropy bench` and `crossentropy plan`: what they print and store, and wrong input. No time is tested."""

import importlib.util
import json
import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from crossentropy import _benchmark, _parser, cli
from crossentropy._backends import triton
from crossentropy._benchmark import BASELINE, FLOORS, Case
from crossentropy._forecast import eager_bytes, scaled
from crossentropy._planner import CPU
from crossentropy.testing import peak_bytes

ROOT = Path(__file__).parent.parent


def test_bench_measures_and_stores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results.json"
    shape = ["bench", "--shape", "8,4,30", "--dtype", "bfloat16"]
    assert cli.main([*shape, "--repeat", "2", "--no-compile", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    stored = json.loads(file.read_text("utf-8"))
    (case,) = stored["cases"]
    assert {"processor", "torch", "date"} <= stored.keys()
    assert case["shape"] == [8, 4, 30]
    for name, result in case["results"].items():
        assert name in printed
        assert result["milliseconds"] > 0
        assert result["bytes"] > 0
        assert name in FLOORS or 0 <= result["loss_error"] < 0.05
        assert name in FLOORS or 0 <= result["gradient_error"] < 0.05
    assert case["results"][BASELINE]["ratio"] == 1


def test_measured_memory_and_errors_are_those_of_the_contender() -> None:
    case = Case("test", (64, 500))
    report = _benchmark.measure(case, repeat=2, compiled=False, memory=False)
    ours, torchs = report.measurements["crossentropy"], report.measurements[BASELINE]
    assert torchs.bytes >= 3 * 64 * 500 * 4
    assert ours.bytes >= 64 * 500 * 4
    assert max(ours.gradient_error, torchs.gradient_error) < 1e-6
    forward = _benchmark.measure(Case("test", (16, 8, 60), gradient=False), repeat=2, compiled=False, memory=False)
    assert {"products", "crossentropy"} <= forward.measurements.keys()
    assert math.isnan(forward.measurements["products"].loss_error)
    settings = {"class_weight": True, "label_smoothing": 0.1, "softcap": 5.0}
    every = _benchmark.measure(Case("test", (16, 8, 60), settings=settings), repeat=2, compiled=False, memory=False)
    assert every.measurements["crossentropy"].loss_error < 1e-6
    assert "crossentropy, plain" in str(every)


def test_plan_predicts_without_running(capsys: pytest.CaptureFixture[str]) -> None:
    shape = ["plan", "--shape", "4096,4096,128256", "--dtype", "bfloat16"]
    assert cli.main([*shape, "--memory", "256MB"]) == 0
    printed = capsys.readouterr().out
    assert "rows, then classes" in printed
    assert "FLOP/s" in printed
    assert "rates measured here" in printed
    assert cli.main(["plan", "--shape", "8x21x64x64", "--forward"]) == 0
    printed = capsys.readouterr().out
    assert "forward alone, gradients not counted" in printed
    assert "the logits are read once" in printed
    assert cli.main([*shape, "--device", "H200"]) == 0  # which need not be here
    printed = capsys.readouterr().out
    assert "chunks of 4,096 rows" in printed
    assert "forward and gradients (--forward: without)" in printed
    assert "about 16.8 ms: 12.9 TFLOP of products at 790 TFLOP/s + 2.1 GB moved" in printed  # 16.3 + 0.5 ms
    assert "memory   2.13 GB: workspace 1.05 GB, gradients 1.08 GB\n" in printed
    assert "torch    3.15 GB, eager: log_softmax and gradients of logits in bfloat16 (1.05 GB); 1.5× ours" in printed
    assert "torch    6.3 GB, eager: log_softmax and gradients of logits in float32 (2.1 GB); 3.0× ours" in printed
    assert cli.main([*shape[:3], "--device", "A100", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["torch"]["logits"] == 4 * 4096 * 128256
    assert printed["bytes"] == printed["plan"]["workspace"] + printed["plan"]["gradients"]
    assert cli.main([*shape[:3], "--device", "A100"]) == 0
    printed = capsys.readouterr().out
    assert "time     more than " in printed
    assert "rates of A100 in half precision, which float32 does not reach" in printed
    assert cli.main([*shape[:3], "--device", "a100", "--dtype", "fp32"]) == 0
    assert capsys.readouterr().out == printed


def test_rates_are_of_products_in_the_dtype_that_is_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU without products in bfloat16 takes a minute for what is a hundredth of a second in float32."""
    multiplied: list[torch.dtype] = []
    product = torch.mm

    def recorded(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        multiplied.append(a.dtype)
        return product(a.float(), b.float())

    monkeypatch.setattr(torch, "mm", recorded)
    for multiplies, expected in ((False, torch.float32), (True, torch.bfloat16)):
        monkeypatch.setattr(_benchmark, "cpu_multiplies", lambda dtype, multiplies=multiplies: multiplies)
        multiplied.clear()
        _benchmark.measured(CPU, torch.bfloat16, "cpu")
        assert set(multiplied) == {expected}


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_a_plan_for_a_card_is_that_of_a_machine_with_triton(
    dtype: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["plan", "--shape", "8192,4096,128256", "--dtype", dtype, "--device", "H200"]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr().out
    assert ("backend  triton\n" in printed) == (dtype != "float64")
    monkeypatch.setattr(triton, "MISSING", "Triton is not installed")
    assert cli.main(arguments) == 0
    if dtype != "float64":
        assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shape", "5"], "'5' is no shape, expected positive numbers as in 4096,32000"),
        (["--shape", "5,0"], "'5,0' is no shape"),
        (["--shape", "5,a"], "'5,a' is no shape"),
        (["--shape", "5,3", "--memory", "lots"], "'lots' is no size, expected a number with its unit"),
        (["--shape", "5,3", "--memory", "0"], "'0' is no size"),
        (["--shape", "5,3", "--memory", "2"], "'2' is no size, expected a number with its unit, as in 64MB or 2GiB"),
        (["--shape", "99999999999,99999999999"], "is larger than any memory"),
        (["--shape", "5,3", "--dtype", "int8"], "invalid choice: 'int8'"),
        ([], "required: --shape"),
    ],
)
def test_wrong_arguments_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        cli.main(["plan", *arguments])
    error = capsys.readouterr().err
    assert exit.value.code == 2
    assert message in error
    assert error.count("\n") == 1


def test_wrong_files_and_devices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--shape", "4,5", "--json", str(tmp_path)]) == 2
    assert "cannot write" in capsys.readouterr().err
    if not torch.cuda.is_available():
        for command in ("bench", "plan"):
            assert cli.main([command, "--shape", "4,5", "--device", "cuda"]) == 2
            assert "--device cuda: this machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "size"),
    [("7B", 7), ("3 b", 3), ("4K", 4000), ("2kB", 2000), ("1.5mb", 1_500_000), ("1 GiB", 2**30), ("1T", 10**12)],
)
def test_sizes(text: str, size: int) -> None:
    assert _parser.size(text) == size


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (999_499, "999 kB"), (999_500, "1 MB"), (1.05e9, "1.05 GB"), (7.9e18, "7,900 PB")],
)
def test_numbers_have_three_digits_and_a_prefix(number: float, text: str) -> None:
    assert scaled(number, "B") == text


def test_small_times_have_a_prefix() -> None:
    assert [scaled(t, "s") for t in (0, 4e-8, 1.684e-2, 0.9996, 75)] == ["0 µs", "0.04 µs", "16.8 ms", "1 s", "75 s"]


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("shape", [(64, 500), (64, 32, 500), (16, 256, 600)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_memory_of_torch_is_what_torch_takes(shape: tuple[int, ...], dtype: str, gradient: bool) -> None:
    """To the byte, but for the loss and the sum of weights. No name keeps the logits."""
    given = getattr(torch, dtype)
    sizes = [shape] if len(shape) == 2 else [shape[:2], (shape[2], shape[1])]
    head = len(sizes) > 1
    tensors = [torch.zeros(size, dtype=given, requires_grad=gradient) for size in sizes]
    target = torch.zeros(shape[0], dtype=torch.int64)
    for wide in {dtype, "float32"}:

        def step(wide: str = wide) -> object:
            to = getattr(torch, wide)
            loss = functional.cross_entropy((functional.linear(*tensors) if head else tensors[0]).to(to), target)
            return torch.autograd.grad(loss, tensors) if gradient else loss

        assert 0 <= peak_bytes(step) - eager_bytes(Case("memory", shape, dtype, gradient), wide) <= 16


def test_the_cases_of_make_bench_can_be_planned() -> None:
    spec = importlib.util.spec_from_file_location("shapes", ROOT / "benchmarks" / "shapes.py")
    assert spec is not None
    assert spec.loader is not None
    shapes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shapes)
    for case in (*shapes.TARGETS, *shapes.MODELS):
        selection, plan = _benchmark.plan_of(case, "cpu", None)
        assert str(selection).startswith(("native", "chunked"))
        assert plan.workspace <= 1 << 26
