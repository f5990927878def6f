"""What the READMEs claim: each row of their table of differences from torch, on both sides; names, links and extras."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as T
from torch import Tensor

import crossentropy
import crossentropy.functional as F
from crossentropy import integrations, metrics
from crossentropy.testing import assert_accurate, peak_bytes

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.zh-CN.md")
THE_TORCH = torch.__version__.startswith("2.13.")
"""Whether this is the torch of which the table speaks; of others our column alone is checked."""


def cells(name: str, above: str) -> list[list[str]]:
    """The rows of the table that follows a text in a file, without its head."""
    table = (ROOT / name).read_text("utf-8").partition(above)[2].partition("\n|")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.split("\n")[2:]]


# --- what is better than torch ------------------------------------------------------------------------------------


def raises(call: Callable[[], object]) -> bool:
    try:
        call()
    except (RuntimeError, ValueError, IndexError, TypeError):
        return True
    return False


def far_above(lib: ModuleType) -> object:
    z = torch.tensor([[60.0] + 9 * [0.0]], requires_grad=True)
    loss = lib.cross_entropy(z, torch.tensor([0]))
    (slope,) = torch.autograd.grad(loss, z)
    return [abs(value / (9 * math.exp(-60)) - 1) < 1e-6 for value in (loss.item(), -slope[0, 0].item())]


def float16_mean(lib: ModuleType) -> object:
    torch.manual_seed(0)
    z, y = torch.randn(70_000, 10).half(), torch.randint(10, (70_000,))
    probable = torch.tensor([4.6, 0.0]).half().expand(70_000, 2)
    cases = [(z, y), (z, z.float().softmax(1).half()), (probable, torch.zeros_like(y))]
    return [relative(lib.cross_entropy(*case).item(), exactly(*case)) for case in cases]


def exactly(z: Tensor, y: Tensor) -> float:
    return T.cross_entropy(z.double(), y.double() if y.is_floating_point() else y).item()


def relative(value: float, exact: float) -> float:
    """A number in units of what it should be; 1 where it is right to one rounding of float16, of half an ulp."""
    quotient = value / exact
    return 1.0 if abs(quotient - 1) <= 2**-11 else quotient


def bfloat16_mean(lib: ModuleType) -> object:
    torch.manual_seed(0)
    z, y = torch.randn(8192, 1000).bfloat16(), torch.randint(1000, (8192,))
    loss, exact = lib.cross_entropy(z, y), T.cross_entropy(z.double(), y)
    if lib is F:
        assert_accurate(loss, exact, roundings=1)
    return f"{loss.item():.2f} for {exact.item():.2f}"


def ignored_nan(lib: ModuleType) -> object:
    torch.manual_seed(0)
    hidden, head, y = torch.randn(3, 4), torch.randn(5, 4, requires_grad=True), torch.tensor([0, 1, -100])
    hidden[2] = torch.nan
    z = torch.randn(3, 5)
    z[2] = torch.nan
    z.requires_grad_()
    of_head = F.linear_cross_entropy(hidden, head, y) if lib is F else lib.cross_entropy(hidden @ head.T, y)
    gradients = torch.autograd.grad(lib.cross_entropy(z, y), z) + torch.autograd.grad(of_head, head)
    return [bool(gradient.isnan().any()) for gradient in gradients]


def nothing_times_infinity(lib: ModuleType) -> object:
    z, zero = torch.tensor([[0.0, 1.0, -torch.inf]]), torch.tensor([1.0, 1.0, 0.0])
    probability = lib.cross_entropy(z, torch.tensor([[0.5, 0.5, 0.0]])).item()
    weight = lib.cross_entropy(z, torch.tensor([2]), zero, reduction="sum").item()
    return [math.isnan(probability), math.isnan(weight), weight == 0]


def binary(lib: ModuleType) -> object:
    z = torch.tensor([-20.0, -torch.inf])
    return [
        f"{value:.1e}" for value in lib.binary_cross_entropy_with_logits(z, torch.zeros(2), reduction="none").tolist()
    ]


def integer_target(lib: ModuleType) -> object:
    integers = (torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32, torch.uint64)
    rows = [raises(lambda d=d: lib.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1]).to(d))) for d in integers]
    image = torch.zeros(2, 2, 2, dtype=torch.uint8)
    return [any(rows), raises(lambda: lib.cross_entropy(torch.zeros(2, 3, 2, 2), image))]


def other_weights(lib: ModuleType) -> object:
    z, y = torch.zeros(2, 3), torch.tensor([0, 1])
    dtypes = (torch.float64, torch.float16, torch.bfloat16)
    return {raises(lambda d=d: lib.cross_entropy(z, y, torch.ones(3, dtype=d))) for d in dtypes}


def gradient_of_weights(lib: ModuleType) -> object:
    z, w = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0]]), torch.tensor([1.0, 2.0, 1.0], requires_grad=True)
    if raises(lambda: lib.cross_entropy(z, torch.tensor([0, 1]), w)):
        return "error"
    (found,) = torch.autograd.grad(lib.cross_entropy(z, torch.tensor([0, 1]), w), w)
    losses = -z.log_softmax(1)[[0, 1], [0, 1]]
    mean = (losses[0] + 2 * losses[1]) / 3  # d/dw_y of Σ w ℓ / Σ w is (ℓ − mean) / Σ w
    torch.testing.assert_close(found[:2], (losses - mean) / 3)
    return "exact"


def nan_smoothing(lib: ModuleType) -> object:
    return raises(lambda: lib.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1]), label_smoothing=math.nan))


def out_of_range(lib: ModuleType) -> object:
    if lib is T:
        return None  # needs CUDA
    with pytest.raises(IndexError):
        F.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 3]), validate=True)
    return None


def sequence_last(lib: ModuleType) -> object:
    with pytest.raises(RuntimeError) as caught:
        lib.cross_entropy(torch.zeros(2, 7, 5), torch.zeros(2, 7, dtype=torch.long))
    return "Expected target size [2, 5], got [2, 7]" in str(caught.value), "transpose(1, 2)" in str(caught.value)


BETTER: dict[str, tuple[Callable[[ModuleType], object], object, object]] = {
    "loss of a class 60 above nine others": (far_above, [False, False], [True, True]),
    "float16 mean over 70,000 rows": (float16_mean, [math.nan, math.inf, 0.0], [1.0, 1.0, 1.0]),
    "bfloat16 mean over 8,192 × 1,000": (bfloat16_mean, "7.50 for 7.43", "7.44 for 7.43"),
    "an ignored row holds nan": (ignored_nan, [True, True], [False, False]),
    "probability 0, or weight 0, on a logit of −inf": (
        nothing_times_infinity,
        [True, True, False],
        [False, False, True],
    ),
    "binary loss of a no at −20, and at −inf": (binary, ["0.0e+00", "nan"], ["2.1e-09", "0.0e+00"]),
    "target of int32, or uint8 for images": (integer_target, [True, True], [False, False]),
    "class weights in another float dtype": (other_weights, {True}, {False}),
    "gradient of class weights": (gradient_of_weights, "error", "exact"),
    "`label_smoothing=nan`": (nan_smoothing, False, True),
    "label out of range on CUDA": (out_of_range, None, None),
    "logits of shape (N, T, C)": (sequence_last, (True, False), (False, True)),
}
"""Of each row by its first cell: what is seen, of torch, and of this package."""


def test_every_row_of_the_table_is_tried() -> None:
    assert [row[0] for row in cells("README.md", "## What is better than torch")] == list(BETTER)
    assert len(cells("README.zh-CN.md", "## 比 torch")) == len(BETTER)


@pytest.mark.filterwarnings("ignore::crossentropy.ArgumentWarning")
@pytest.mark.parametrize("row", BETTER)
def test_what_is_better_than_torch(row: str) -> None:
    seen, theirs, ours = BETTER[row]
    assert repr(seen(F)) == repr(ours)  # of which nan equals nan
    if THE_TORCH:
        assert repr(seen(T)) == repr(theirs)


# --- pages and names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("readme", READMES)
def test_links_lead_somewhere(readme: str) -> None:
    text = (ROOT / readme).read_text("utf-8")
    links = set(re.findall(r"\]\(([^)#]+)", text))
    assert len(links) > 25
    assert {link for link in links if not (ROOT / link).is_file()} == set()


@pytest.mark.parametrize("readme", READMES)
def test_extras_are_those_of_the_package(readme: str) -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    extras = [row[0].strip("`") for row in cells(readme, "pip install '.[")]
    assert extras == ["explain", "tables", "doctor", "metrics", "integrations", "demo"]
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras)


def heads() -> dict[str, Callable[[], Any]]:
    """What takes hidden states and a head: of 64 rows and 4,096 classes, whose logits are 2²⁰ bytes."""
    torch.manual_seed(0)
    h, W, y = torch.randn(64, 8), torch.randn(4096, 8), torch.randint(4096, (64,))
    teacher = torch.randn(4096, 8)
    best = (h @ teacher.T).log_softmax(1).topk(4, 1)
    small = crossentropy.Options(memory_budget=100_000)
    keywords = {"linear_weight": W, "options": small}
    return {
        "linear_cross_entropy": lambda: F.linear_cross_entropy(h, W, y, options=small),
        "token_statistics": lambda: F.token_statistics(h, y, **keywords),
        "focal_loss": lambda: F.focal_loss(h, y, **keywords),
        "poly1_loss": lambda: F.poly1_loss(h, y, **keywords),
        "generalized_cross_entropy": lambda: F.generalized_cross_entropy(h, y, **keywords),
        "row_loss": lambda: F.row_loss(lambda row: -row.log_prob - row.entropy, h, y, **keywords),
        "linear_kl_div": lambda: F.linear_kl_div(h, W, h, teacher, options=small),
        "linear_reverse_kl_div": lambda: F.linear_reverse_kl_div(h, W, h, teacher, skew=0.1, options=small),
        "linear_js_div": lambda: F.linear_js_div(h, W, h, teacher, options=small),
        "linear_topk_kl_div": lambda: F.linear_topk_kl_div(h, W, best.indices, best.values, options=small),
        "sampled_linear_cross_entropy": lambda: F.sampled_linear_cross_entropy(h, W, y, num_samples=64),
        "cosine_cross_entropy": lambda: F.cosine_cross_entropy(h, W, y, margin=0.3, angular_margin=0.1, options=small),
    }


def test_where_a_head_is_given_the_logits_are_not_built() -> None:
    steps = heads().values()
    assert peak_bytes(lambda: [step() for step in steps]) < 64 * 4096 * 4
    assert peak_bytes(lambda: torch.randn(64, 8) @ torch.randn(8, 4096)) > 64 * 4096 * 4


def test_names_of_the_table_of_pages_exist() -> None:
    public = {*F.__all__, *metrics.__all__, *integrations.__all__, *crossentropy.distributed.__all__}
    named = {"Perplexity", "BitsPerByte", "Accuracy", "ExpectedCalibrationError"}
    named |= {"js_div_with_logits", "kl_div_with_logits", "reverse_kl_div_with_logits", "topk_kl_div_with_logits"}
    assert named | set(heads()) <= public
