"""What is counted and shifted before a loss, by one process; `parallel_labels` has the same by several."""

import re

import pytest
import torch
from torch import Tensor

import crossentropy.functional as F
from crossentropy.distributed import shift_labels, token_denominator

LABELS = torch.tensor([[3, -100, 1], [0, 2, -100]])
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 4.0])
TOKENS = torch.tensor([[1.0, 9.0, 0.0], [2.0, 0.25, 9.0]])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 4.0),
        ({"weight": WEIGHT}, 4.0 + 1.0 + 0.5 + 2.0),
        ({"token_weight": TOKENS}, 1.0 + 0.0 + 2.0 + 0.25),
        ({"weight": WEIGHT, "token_weight": TOKENS}, 4.0 + 0.0 + 1.0 + 0.5),
        ({"weight": WEIGHT.requires_grad_(), "token_weight": TOKENS.half()}, 5.5),
        ({"ignore_index": 3}, 5.0),
        ({"averaged": False}, 4.0),
    ],
)
def test_what_counts(settings: dict, expected: float) -> None:
    found = token_denominator(LABELS, **settings)
    assert (found.shape, found.dtype, found.requires_grad) == ((), torch.float64, False)
    assert float(found) == expected


@pytest.mark.parametrize("settings", [{}, {"weight": WEIGHT}, {"token_weight": TOKENS}, {"label_smoothing": 0.1}])
def test_the_denominator_is_that_of_the_mean(settings: dict) -> None:
    """In parts, as in one."""
    logits = torch.randn(2, 4, 3, dtype=torch.float64)
    counts = {name: value for name, value in settings.items() if name != "label_smoothing"}
    denominator = token_denominator(LABELS, **counts)
    mean = F.cross_entropy(logits, LABELS, **settings)
    torch.testing.assert_close(F.cross_entropy(logits, LABELS, denominator=denominator, **settings), mean)


def test_micro_batches_are_counted_together() -> None:
    assert float(token_denominator(LABELS.unbind())) == 4.0
    assert float(token_denominator([LABELS, LABELS[:0]], token_weight=[TOKENS, TOKENS[:0]])) == 3.25
    assert float(token_denominator([])) == 0.0


def test_what_ignored_rows_hold_is_not_counted() -> None:
    weighted = torch.where(LABELS == -100, torch.nan, TOKENS)
    assert float(token_denominator(LABELS, token_weight=weighted)) == 3.25
    assert float(token_denominator(torch.tensor([255, 3], dtype=torch.uint8), ignore_index=255)) == 1.0
    assert float(token_denominator(torch.tensor([156, 3], dtype=torch.uint8))) == 2.0  # 156 is −100 modulo 256


@pytest.mark.parametrize(
    ("target", "settings", "error", "words"),
    [
        (torch.rand(2, 4), {}, TypeError, "pass target.argmax(class_axis)"),
        ([LABELS, torch.rand(2, 4)], {}, TypeError, "target[1] has dtype torch.float32"),
        (LABELS > 0, {}, TypeError, "target has dtype torch.bool, expected class indices"),
        ([1, 2], {}, TypeError, "target[0] is an int"),
        (None, {}, TypeError, "target is a NoneType, expected a tensor or a list of them"),
        (LABELS, {"token_weight": TOKENS[0]}, ValueError, "token_weight has shape (3,), expected (2, 3)"),
        ([LABELS], {"token_weight": TOKENS}, TypeError, "token_weight is a Tensor, expected"),
        ([LABELS], {"token_weight": [TOKENS] * 2}, ValueError, "1 micro-batches in target and 2 in token_weight"),
        (LABELS, {"weight": WEIGHT[:3]}, IndexError, "is 3, expected a class in [0, 3)"),
        (LABELS, {"weight": WEIGHT[None]}, ValueError, "weight has shape (1, 4), expected (C,)"),
        (LABELS, {"weight": LABELS[0]}, TypeError, "weight"),
        (LABELS, {"ignore_index": 0.5}, TypeError, "ignore_index is 0.5"),
        (LABELS, {"group": "dp"}, ValueError, "torch.distributed is not initialised"),
    ],
)
def test_what_cannot_be_counted(target: object, settings: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        token_denominator(target, **settings)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("layout", ["contiguous", "balanced"])
def test_the_whole_sequence_is_shifted(layout: str) -> None:
    assert shift_labels(LABELS, layout=layout).tolist() == [[-100, 1, -100], [2, -100, -100]]
    assert shift_labels(LABELS, dim=0, ignore_index=-1, layout=layout).tolist() == [[0, 2, -100], [-1, -1, -1]]
    assert shift_labels(LABELS[:, :0], layout=layout).shape == (2, 0)
    assert shift_labels(LABELS[:0], layout=layout).shape == (0, 3)


@pytest.mark.parametrize(
    ("labels", "settings", "error", "words"),
    [
        (LABELS.float(), {}, TypeError, "labels has dtype torch.float32, expected class indices: integers"),
        ([1, 2], {}, TypeError, "labels is a list"),
        (torch.tensor(1), {}, IndexError, "expected an axis of labels"),
        (LABELS, {"dim": 1.0}, TypeError, "dim is 1.0"),
        (LABELS, {"layout": "zigzag"}, ValueError, "expected 'contiguous' or 'balanced'"),
        (LABELS, {"ignore_index": None}, TypeError, "ignore_index is None"),
    ],
)
def test_what_cannot_be_shifted(labels: Tensor, settings: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        shift_labels(labels, **settings)
