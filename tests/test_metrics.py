"""Metrics of a corpus: however it is batched, sharded, moved and resumed, they are those of the whole."""

import copy
import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import pytest
import torch
from torch import Tensor, nn

import crossentropy
from crossentropy._usage import installation
from crossentropy.integrations import LossParts
from crossentropy.lazy import explain
from crossentropy.metrics import (
    Accuracy,
    BitsPerByte,
    BitsPerCharacter,
    BitsPerToken,
    ExpectedCalibrationError,
    Perplexity,
    TemperatureScaling,
    TopKAccuracy,
)
from parallel_metrics import EXACT, METRICS, corpus, update, whole


def by_hand(name: str, data: dict[str, Tensor]) -> float:
    """The definitions, row by row, in mpmath and Python's integers."""
    total = weight = mpmath.mpf(0)
    bins = [[mpmath.mpf(0)] * 3 for _ in range(5)]
    for z, y, t, u in zip(*(data[k].tolist() for k in ("input", "target", "token_weight", "units"))):
        if y == -100 or not t:
            continue
        p = [mpmath.exp(x) for x in z]
        p = [x / mpmath.fsum(p) for x in p]
        bits = -mpmath.log(p[y], 2)
        value = {
            "accuracy": z.index(max(z)) == y,
            "top_3": sum(x >= z[y] for x in z) <= 3,
            "perplexity": -mpmath.log(p[y]),
        }.get(name, bits)
        total, weight = total + t * value, weight + t * (u if name in ("bits_per_byte", "bits_per_character") else 1)
        b = bins[math.ceil(max(p) * 5) - 1]
        b[:] = [b[0] + t * max(p), b[1] + t * (z.index(max(z)) == y), b[2] + t]
    if name == "calibration":
        return float(sum(abs(a - c) for c, a, _ in bins) / weight)
    return float(mpmath.exp(total / weight) if name == "perplexity" else total / weight)


@pytest.mark.parametrize("name", METRICS)
def test_definition(name: str) -> None:
    data = corpus()
    data["token_weight"] = data["token_weight"].double()
    # log p of each row in float32: relative errors of some ulps, 2^-24 each, and of their mean no more
    assert whole(name, data).item() == pytest.approx(by_hand(name, data), rel=8 * 2**-24)


@pytest.mark.parametrize("name", METRICS)
def test_any_batches_are_the_corpus(name: str) -> None:
    data = corpus()
    expected = whole(name, data)
    cuts = sorted(torch.randint(201, (9,)).tolist())
    metric = METRICS[name]()
    for begin, end in zip([0, *cuts, 50], [*cuts, 200, 50]):  # the last one is empty
        update(metric, data, slice(begin, end))
    ignored = {
        **data,
        "target": torch.full_like(data["target"], -100),
        "input": torch.full_like(data["input"], torch.nan),
    }
    update(metric, ignored)
    torch.testing.assert_close(metric.compute(), expected, **EXACT)
    metric.reset()
    update(metric, ignored)
    assert metric.compute().isnan()  # of no rows


@pytest.mark.parametrize("name", METRICS)
def test_forward_gives_the_batch_and_keeps_the_corpus(name: str) -> None:
    data, metric = corpus(), METRICS[name]()
    for part in (slice(0, 70), slice(70, 200)):
        batch = {key: x[part] for key, x in data.items()}
        units = batch.pop("units")
        named = {"bits_per_byte": {"num_bytes": units}, "bits_per_character": {"num_characters": units}}.get(name, {})
        found = metric(**batch, **named)
        torch.testing.assert_close(found, whole(name, {key: x[part] for key, x in data.items()}), **EXACT)
    torch.testing.assert_close(metric.compute(), whole(name, data), **EXACT)


@pytest.mark.parametrize("name", METRICS)
def test_pickled_copied_merged_and_resumed(name: str) -> None:
    data, first, second = corpus(), METRICS[name](), METRICS[name]()
    first.persistent(True)
    update(first, data, slice(0, 80))
    update(second, data, slice(80, 200))
    resumed = METRICS[name]()
    resumed.persistent(True)
    resumed.load_state_dict(first.state_dict())
    update(resumed, data, slice(80, 200))
    torch.testing.assert_close(resumed.compute(), whole(name, data), **EXACT)
    for one in (pickle.loads(pickle.dumps(first)), copy.deepcopy(first)):
        one.merge_state(second)
        torch.testing.assert_close(one.compute(), whole(name, data), **EXACT)


@pytest.mark.parametrize("name", METRICS)
def test_stays_in_float64_where_a_model_does_not(name: str) -> None:
    data, metric = corpus(), METRICS[name]()
    model = torch.nn.ModuleList([metric])
    update(metric, data, slice(0, 80))
    model.to(torch.bfloat16).half().to("cpu")
    update(metric, data, slice(80, 200))
    torch.testing.assert_close(metric.compute(), whole(name, data), **EXACT)
    metric.reset()
    assert {x.dtype for x in metric.metric_state.values()} == {torch.float64}
    assert {x.device.type for x in METRICS[name]().to("meta").metric_state.values()} == {"meta"}


@pytest.mark.parametrize("name", METRICS)
def test_hidden_states_need_no_logits(name: str) -> None:
    data = corpus(48, 501)
    data["target"][:16] = torch.arange(16)
    hidden, head, bias = torch.randn(48, 8), torch.randn(501, 8), torch.randn(501)
    expected = whole(name, {**data, "input": hidden @ head.T + bias})
    for input, extra in (
        (hidden, {"linear_weight": head, "linear_bias": bias}),
        (crossentropy.LazyLogits(hidden, head, bias), {}),
    ):
        metric, named = METRICS[name](), {key: x.reshape(4, 12) for key, x in data.items() if key != "input"}
        units = named.pop("units")
        named |= {"bits_per_byte": {"num_bytes": units}, "bits_per_character": {"num_characters": units}}.get(name, {})
        metric.update(input.reshape(4, 12, -1), **named, **extra)
        # products in another order: ulps of the logits
        torch.testing.assert_close(metric.compute(), expected, rtol=1e-5, atol=0)
        if isinstance(input, crossentropy.LazyLogits):
            assert explain(input).materialized == ()
            assert explain(input).events


def test_a_fused_model_in_half_precision() -> None:
    model = crossentropy.fuse(torch.nn.Sequential(torch.nn.Linear(8, 300, dtype=torch.bfloat16)))
    x, target = torch.randn(40, 8, dtype=torch.bfloat16), torch.randint(300, (40,))
    dense = (x @ model[0].weight.T + model[0].bias).detach()
    for make in METRICS.values():
        if "Bits" not in make().__class__.__name__:
            a, b = make(), make()
            a.update(model(x), target)
            b.update(dense, target)
            # a logit in bfloat16 and one that was not rounded differ by 2^-8 of themselves, which are below 4
            torch.testing.assert_close(a.compute(), b.compute(), rtol=0.05, atol=0.05)


def test_a_long_corpus_loses_no_digits() -> None:
    metric, logits = BitsPerToken(), torch.zeros(1000, 2)
    metric.nll = torch.tensor(math.log(2) * 1e9, dtype=torch.float64)  # of a billion tokens: float32 counts to 2^24
    metric.weight_of_nll = torch.tensor(1e9, dtype=torch.float64)
    for _ in range(3):
        metric.update(logits, torch.zeros(1000, dtype=torch.long))
    assert metric.weight_of_nll.item() == 1e9 + 3000
    assert metric.compute().item() == pytest.approx(1, rel=1e-13)


def test_tiny_losses_keep_their_digits() -> None:
    metric = BitsPerToken()
    metric.update(torch.tensor([[60.0, 0.0]]), torch.tensor([0]))
    assert metric.compute().item() == pytest.approx(math.exp(-60) / math.log(2), rel=1e-6)


def test_equal_logits() -> None:
    same, target = torch.zeros(4, 4), torch.arange(4)
    scores = {1: Accuracy()} | {-k: TopKAccuracy(k) for k in (1, 2, 3, 4)}
    for metric in scores.values():
        metric.update(same, target)
    assert {k: m.compute().item() for k, m in scores.items()} == {1: 0.25, -1: 0, -2: 0, -3: 0, -4: 1}
    z = torch.tensor([[3.0, 2.0, 2.0, 1.0]])
    for label, k, hit in ((0, 1, 1), (1, 2, 0), (2, 2, 0), (1, 3, 1), (2, 3, 1), (3, 3, 0), (3, 4, 1)):
        metric = TopKAccuracy(k)
        metric.update(z, torch.tensor([label]))
        assert metric.compute().item() == hit, (label, k)


@pytest.mark.parametrize("name", METRICS)
def test_what_is_no_distribution_is_nan_and_what_does_not_count_is_not_read(name: str) -> None:
    for bad in (torch.nan, torch.inf):
        data = corpus()
        chosen = int((data["target"] >= 0).logical_and(data["token_weight"] > 0).nonzero()[0])
        data["input"][chosen, 3] = bad
        assert whole(name, data).isnan()
        data = corpus()
        expected = whole(name, data)
        silent = (data["target"] < 0) | (data["token_weight"] == 0)
        data["input"][silent] = bad
        torch.testing.assert_close(whole(name, data), expected, **EXACT)


def test_a_masked_label_is_infinitely_surprising() -> None:
    z = torch.tensor([[0.0, -torch.inf, 1.0]])
    perplexity, top = Perplexity(), TopKAccuracy(2)
    perplexity.update(z, torch.tensor([1]))
    top.update(z, torch.tensor([1]))
    assert perplexity.compute().item() == math.inf
    assert top.compute().item() == 0


def test_ignored_label_of_choice_and_other_integers() -> None:
    metric = Accuracy(ignore_index=255)
    metric.update(torch.eye(3), torch.tensor([0, 255, 1], dtype=torch.uint8))
    assert metric.compute().item() == 0.5


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.uint16, torch.uint64])
def test_labels_of_any_integers_count_as_they_do_in_int64(dtype: torch.dtype) -> None:
    """What −100 becomes in an unsigned dtype is a class as any other, 156 in uint8 and 65436 in uint16."""
    classes = 65_500 if dtype == torch.uint16 else 171
    label = min(-100 % 2 ** (8 * dtype.itemsize), 156) if dtype != torch.uint16 else 65_436
    target = torch.tensor([label, 3, 17, 7]) if dtype != torch.int8 else torch.tensor([-100, 3, 17, 7])
    logits = torch.randn(4, classes)
    logits[1, 3] = 20
    made = [Accuracy, lambda: TopKAccuracy(5), ExpectedCalibrationError, Perplexity, BitsPerToken, BitsPerByte]
    for make in made:
        values = []
        for labels in (target, target.to(dtype)):
            metric: Any = make()
            metric.update(logits, labels, *([torch.ones(4)] if isinstance(metric, BitsPerByte) else []))
            values.append(metric.compute().item())
        assert values[1] == values[0] > 0
    for labels in (target, target.to(dtype)):
        parts = LossParts(z_loss=0.1)
        parts(logits, labels)
        assert parts.take(training=True)["nll"] == pytest.approx(
            nn.functional.cross_entropy(logits.double(), target).item(), rel=1e-6
        )


def test_one_number_of_bytes() -> None:
    data = corpus()
    per_row, total = BitsPerByte(), BitsPerByte()
    data["token_weight"] = torch.ones(200)
    update(per_row, data)
    total.update(data["input"], data["target"], int(data["units"][data["target"] >= 0].sum()))
    torch.testing.assert_close(total.compute(), per_row.compute(), **EXACT)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Accuracy().update(torch.zeros(2, 3), torch.tensor([0, 3])), r"target\[1\] is 3, expected a class"),
        (
            lambda: TopKAccuracy(2).update(torch.zeros(2, 3), torch.tensor([0, 3])),
            r"target\[1\] is 3, expected a class",
        ),
        (lambda: TopKAccuracy(4).update(torch.zeros(2, 3), torch.tensor([0, 1])), "k is 4, expected at most 3"),
        (lambda: TopKAccuracy(0), "k is 0, expected a whole number ≥ 1"),
        (lambda: ExpectedCalibrationError(0), "bins is 0, expected a whole number ≥ 1"),
        (lambda: Perplexity(ignore_index=1.5), "ignore_index is 1.5, expected an integer"),
        (lambda: Perplexity().update(torch.zeros(2, 3), torch.zeros(3, dtype=torch.long)), "target has shape"),
        (lambda: Perplexity().update(torch.zeros(2, 3), labels=torch.zeros(2)), "'labels' — it is target here"),
        (lambda: Perplexity().update(torch.zeros(2, 3, dtype=torch.long), torch.zeros(2)), "input has dtype"),
        (
            lambda: Accuracy().update(torch.zeros(2, 3), torch.tensor([0, 1]), linear_bias=torch.zeros(3)),
            "linear_bias is given and linear_weight is not",
        ),
        (
            lambda: Accuracy().update(torch.zeros(2, 3), torch.tensor([0, 1]), token_weight=torch.ones(3)),
            r"token_weight has shape \(3,\), expected \(2,\)",
        ),
        (
            lambda: Accuracy().update(torch.zeros(2, 3), torch.tensor([0, 1]), linear_weight=torch.zeros(5, 4)),
            r"input has 3 features \(its last axis\) and linear_weight 4",
        ),
        (lambda: TemperatureScaling(0), "temperature is 0, expected a finite number > 0"),
        (lambda: BitsPerByte().update(torch.zeros(2, 3), torch.tensor([0, 1]), -1), "num_bytes is -1, expected"),
        (
            lambda: BitsPerByte().update(torch.zeros(2, 3), torch.tensor([0, 1]), torch.ones(3)),
            r"num_bytes has shape \(3,\), expected \(2,\): one number for each row; or one for all",
        ),
        (
            lambda: BitsPerCharacter().update(torch.zeros(2, 3), torch.tensor([0, 1]), 4, token_weight=torch.ones(2)),
            "num_characters is one number beside token_weight",
        ),
        (lambda: BitsPerByte().update(torch.zeros(2, 3), torch.tensor([0, 1])), "was not given num_bytes"),
    ],
)
def test_errors(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(crossentropy.ArgumentError, match=message):
        call()


def test_parts_of_the_classes_are_refused(tmp_path: Path) -> None:
    import torch.distributed as dist
    from torch.distributed.tensor import DTensor, Shard

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        mesh = dist.device_mesh.init_device_mesh("cpu", (1,))
        logits = DTensor.from_local(torch.zeros(2, 3), mesh, [Shard(1)])
        with pytest.raises(TypeError, match="input is spread over ranks"):
            TopKAccuracy(1).update(logits, torch.tensor([0, 1]))
    finally:
        dist.destroy_process_group()


def test_collections_keep_metrics_apart() -> None:
    from torchmetrics import MetricCollection

    both = MetricCollection({"top": Accuracy(), "top_2": TopKAccuracy(2), "ppl": Perplexity(), "bits": BitsPerToken()})
    both.update(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0]))  # after this one, accuracies are equal
    both.update(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([1]))
    found = both.compute()
    assert (found["top"].item(), found["top_2"].item()) == (0.5, 1.0)
    torch.testing.assert_close(found["ppl"].log2(), found["bits"], **EXACT)


# --- calibration --------------------------------------------------------------------------------------------------


def test_bins_and_their_edges() -> None:
    error = ExpectedCalibrationError(4)
    p = torch.tensor([0.5, 0.75, 0.75000006, 1.0], dtype=torch.float64)  # edges belong to the bin below
    error.update(torch.stack([p, 1 - p], -1).log(), torch.zeros(4, dtype=torch.long))
    assert error.reliability().weight.tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_edges_that_are_no_binary_numbers(dtype: torch.dtype) -> None:
    """1/n is k bins of k n, whatever exp(log p) is rounded to; what is above the edge is in the next bin."""
    for n in (3, 6, 7, 8, 20, 49):
        for k in (1, 5):
            error = ExpectedCalibrationError(k * n)
            error.update(torch.zeros(1, n, dtype=dtype), torch.tensor([0]))
            error.update(torch.full((1, n), 1 / n, dtype=dtype).log(), torch.tensor([0]))
            assert error.reliability().weight[k - 1] == 2
    error = ExpectedCalibrationError(40)
    p = torch.tensor([0.625, 0.375], dtype=dtype)
    p[0] += 32 * torch.finfo(dtype).eps
    error.update(p.log()[None], torch.tensor([0]))
    assert error.reliability().weight[25] == 1


def test_metrics_are_drawn_as_those_of_torchmetrics() -> None:
    import matplotlib.pyplot as plt
    from torchmetrics import MetricCollection

    logits, target = torch.randn(9, 4), torch.randint(4, (9,))
    collection = MetricCollection([ExpectedCalibrationError(), Accuracy(), TopKAccuracy(2), Perplexity()])
    values = [collection(logits, target) for _ in range(2)]
    assert [len(axes.lines) for _, axes in collection.plot()] == [1] * 4
    for _, axes in collection.plot(values):
        assert len(axes.lines[0].get_xdata()) == 2
    perplexity = Perplexity()
    perplexity.update(logits, target)
    _, axes = perplexity.plot()
    assert axes.lines[0].get_ydata().item() == pytest.approx(perplexity.compute().item())
    error = ExpectedCalibrationError()
    assert error.plot(torch.tensor(0.25))[1].lines[0].get_ydata().item() == 0.25
    plt.close("all")


def test_reliability_diagram() -> None:
    data, error = corpus(), ExpectedCalibrationError(5)
    update(error, data)
    found = error.reliability()
    share = found.weight / found.weight.sum()
    gap = (share * (found.accuracy - found.confidence).abs()).nansum()
    torch.testing.assert_close(gap, error.compute(), **EXACT)
    figure, axes = error.plot()
    assert axes.get_title() == f"ECE {error.compute():.3f}"
    heights = [bar.get_height() for bar in axes.patches[:5]]
    assert heights == pytest.approx(found.accuracy.nan_to_num(0).tolist())
    assert error.plot(ax=axes)[0] is figure
    empty, axes = ExpectedCalibrationError(5).plot()
    empty.draw_without_rendering()
    assert axes.get_title() == "ECE 0.000"


def calibrated(rows: int, classes: int, scale: float) -> tuple[Tensor, Tensor]:
    """Logits that are `scale` times those that the labels were drawn from; classes are not balanced."""
    z = torch.randn(rows, classes, dtype=torch.float64) + torch.arange(classes) / 2
    return scale * z, torch.distributions.Categorical(logits=z).sample()


@pytest.mark.parametrize("scale", [1e-4, 0.3, 1.0, 3.0, 1e4])
def test_temperature_is_that_which_spoiled_the_logits(scale: float) -> None:
    z, target = calibrated(4000, 8, scale)
    target[::7] = -100
    before, scaling = z.clone(), TemperatureScaling()
    found = scaling.fit(z, target)
    assert scaling.temperature == found.temperature == pytest.approx(scale, rel=0.1)
    # the optimum: the loss is the entropy, d nll / d log T = 0. LBFGS ends at slopes of 1e-8
    p = scaling(z)[target >= 0].log_softmax(-1)
    nll = torch.nn.functional.nll_loss(p, target[target >= 0])
    assert nll.item() == pytest.approx(-(p.exp() * p).sum(-1).mean().item(), abs=1e-6)
    assert found.nll_after == pytest.approx(nll.item(), rel=1e-9)
    assert found.nll_after <= found.nll_before
    assert found.ece_after < 0.05
    assert z.equal(before)
    assert scaling(z).argmax(-1).equal(z.argmax(-1))
    again = TemperatureScaling()
    again.load_state_dict(scaling.state_dict())
    assert again.temperature == scaling.temperature
    assert str(found).startswith("T = ")
    assert set(found.to_dict()) == {"temperature", "nll_before", "nll_after", "ece_before", "ece_after"}


def test_temperature_of_hidden_states() -> None:
    hidden, head = torch.randn(600, 6), torch.randn(40, 6)
    target = torch.distributions.Categorical(logits=hidden @ head.T / 2).sample()
    dense, lazy = TemperatureScaling(), TemperatureScaling()
    expected, found = dense.fit(hidden @ head.T, target), lazy.fit(hidden, target, linear_weight=head)
    assert found.to_dict() == pytest.approx(expected.to_dict(), rel=1e-3)  # float32 there, float64 here
    logits = crossentropy.LazyLogits(hidden, head)
    torch.testing.assert_close(lazy(logits).argmax(-1), logits.argmax(-1))
    assert explain(logits).materialized == ()
    assert lazy(torch.ones(2, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16
    before = lazy.temperature
    assert lazy.to(torch.bfloat16).temperature == before
    assert repr(lazy) == f"TemperatureScaling(temperature={before:.4g})"
    z = torch.randn(3, requires_grad=True)
    lazy(z).sum().backward()
    assert z.grad is not None


def test_weights_are_repetitions_of_rows() -> None:
    z, target = calibrated(50, 4, 2.0)
    times = torch.randint(0, 4, (50,))
    one, other = TemperatureScaling(), TemperatureScaling()
    weighted = one.fit(z, target, token_weight=times)
    repeated = other.fit(z.repeat_interleave(times, 0), target.repeat_interleave(times))
    assert weighted.to_dict() == pytest.approx(repeated.to_dict(), rel=1e-6)


@pytest.mark.parametrize(
    ("z", "target", "message"),
    [
        (torch.randn(3, 4), torch.full((3,), -100), "no row counts: all 3 are ignored"),
        (10 * torch.eye(3), torch.arange(3), "in all 3 rows that count the label has the largest logit"),
        (torch.zeros(4, 3), torch.tensor([0, 1, 2, 0]), "all logits are equal, and the loss is the same at any T"),
        (torch.randn(4, 1).expand(4, 3), torch.tensor([0, 1, 2, 0]), "all logits are equal"),
        (
            torch.tensor([[1.0, 1.0, 0.0]]),
            torch.tensor([1]),
            "in all 1 rows that count the label has the largest logit",
        ),
        (torch.eye(3), torch.tensor([1, 2, 0]), "the loss falls without end as T grows"),
        (torch.tensor([[0.0, torch.nan]]), torch.tensor([0]), "not finite"),
        (torch.tensor([[0.0, -torch.inf]]), torch.tensor([1]), "not finite"),
    ],
)
def test_where_there_is_no_best_temperature(z: Tensor, target: Tensor, message: str) -> None:
    scaling = TemperatureScaling(2.0)
    with pytest.raises(ValueError, match=message):
        scaling.fit(z, target)
    assert scaling.temperature == pytest.approx(2)


# --- the extra ----------------------------------------------------------------------------------------------------


def test_what_is_missing_is_named() -> None:
    code = "import sys; sys.modules['torchmetrics'] = None\nimport crossentropy\ntry: crossentropy.metrics\n"
    code += "except ImportError as error: print(error)\ncrossentropy.integrations.LossParts\n"
    code += "print([name for name in ('transformers', 'lightning', 'accelerate') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    missing, imported = done.stdout.splitlines()
    assert missing == f"crossentropy.metrics needs torchmetrics: {installation('metrics')}"
    assert imported == "[]"  # each module of integrations imports its trainer when it is used
