"""Every wrong argument gets an error of the right type that names it, what came, what was expected and the fix."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as TF
from torch import Tensor

import crossentropy.functional as F
from crossentropy import nn

X = torch.zeros(4, 5)
Y = torch.tensor([0, 1, 2, 3])
H, W = torch.zeros(4, 3), torch.zeros(5, 3)


def linear(module, x: Tensor, y: Tensor, **settings) -> Tensor:
    return module.linear_cross_entropy(x, W, y, **settings)


# name: (call on a module of functions, error type, message)
CASES: dict[str, tuple[Callable, type[Exception], str]] = {
    "label smoothing above 1": (
        lambda m: m.cross_entropy(X, Y, label_smoothing=1.5),
        ValueError,
        r"label_smoothing is 1.5, expected a finite number in \[0, 1\]",
    ),
    "label smoothing nan": (
        lambda m: m.cross_entropy(X, Y, label_smoothing=math.nan),
        ValueError,
        "label_smoothing is nan",
    ),
    "unknown reduction": (
        lambda m: m.cross_entropy(X, Y, reduction="avg"),
        ValueError,
        "reduction is 'avg', expected one of 'none', 'mean', 'sum'",
    ),
    "unknown reduction of nll_loss": (lambda m: m.nll_loss(X, Y, reduction="batchmean"), ValueError, "is 'batchmean'"),
    "unknown reduction of kl_div": (lambda m: m.kl_div(X, X, reduction="avg"), ValueError, "'batchmean', 'sum'"),
    "class weight of the wrong length": (
        lambda m: m.cross_entropy(X, Y, torch.ones(3)),
        ValueError,
        r"weight has shape \(3,\), expected \(5,\): one number for each of the 5 classes",
    ),
    "class weight of the wrong shape": (
        lambda m: m.cross_entropy(X, Y, torch.ones(1, 5)),
        ValueError,
        r"weight has shape \(1, 5\)",
    ),
    "class weight of integers": (
        lambda m: m.cross_entropy(X, Y, torch.ones(5).long()),
        TypeError,
        r"weight has dtype torch.int64, .*weight.float\(\)",
    ),
    "label out of range": (
        lambda m: m.cross_entropy(X, Y + 2),
        IndexError,
        r"target\[3\] is 5, expected a class in \[0, 5\) or ignore_index \(-100\) — labels that start at 1\? use target - 1",  # noqa: E501
    ),
    "label out of range in an image": (
        lambda m: m.nll_loss(torch.zeros(2, 5, 3), torch.tensor([[0, 1, 2], [0, 255, 2]])),
        IndexError,
        r"target\[1, 1\] is 255, .* — padding\? pass ignore_index=255",
    ),
    "negative label": (lambda m: m.cross_entropy(X, Y - 1), IndexError, r"target\[0\] is -1, .* pass ignore_index=-1"),
    "class axis last": (
        lambda m: m.cross_entropy(torch.zeros(4, 7, 5), torch.zeros(4, 7).long()),
        ValueError,
        r"target has shape \(4, 7\), expected \(4, 5\) .*\(N, T, C\) logits: the class axis must be 1 — use input.transpose\(1, 2\)",  # noqa: E501
    ),
    "class axis last in an image": (
        lambda m: m.cross_entropy(torch.zeros(2, 8, 9, 5), torch.zeros(2, 8, 9).long()),
        ValueError,
        r"\(N, d1, d2, C\) logits: the class axis must be 1 — use input.movedim\(-1, 1\)",
    ),
    "trailing axis of size 1": (
        lambda m: m.cross_entropy(X, Y[:, None]),
        ValueError,
        r"target has shape \(4, 1\), expected \(4,\) .* use target.squeeze\(-1\)",
    ),
    "class axis of size 1 in a mask": (
        lambda m: m.cross_entropy(torch.zeros(2, 5, 8, 8), torch.zeros(2, 1, 8, 8).long()),
        ValueError,
        r"use target.squeeze\(1\)",
    ),
    "flattened logits": (
        lambda m: m.cross_entropy(torch.zeros(6, 5), torch.zeros(2, 3).long()),
        ValueError,
        r"use target.reshape\(-1\)",
    ),
    "batch sizes differ": (
        lambda m: m.cross_entropy(X, Y[:3]),
        ValueError,
        r"Expected input batch_size \(4\) to match target batch_size \(3\)",
    ),
    "float class indices": (
        lambda m: m.cross_entropy(X, Y.float()),
        TypeError,
        r"target has dtype torch.float32 and shape \(4,\): class indices are integers — convert with target.long\(\)",
    ),
    "integer one-hot": (
        lambda m: m.cross_entropy(X, TF.one_hot(Y, 5)),
        TypeError,
        r"target has dtype torch.int64 and the shape of the logits.* target.argmax\(1\), or .* target.to\(logits.dtype\)",  # noqa: E501
    ),
    "mask of classes": (
        lambda m: m.cross_entropy(X, TF.one_hot(Y, 5).bool()),
        TypeError,
        r"A mask of classes.*int\(\).argmax",
    ),
    "boolean labels": (lambda m: m.cross_entropy(X[:, :2], Y.bool()), TypeError, "torch.bool"),
    "swapped arguments": (
        lambda m: m.cross_entropy(Y, X),
        TypeError,
        "input has dtype torch.int64 and target torch.float32: the arguments look swapped",
    ),
    "logits of integers": (
        lambda m: m.cross_entropy(X.long(), Y),
        TypeError,
        r"input has dtype torch.int64, .*input.float\(\)",
    ),
    "complex logits": (lambda m: m.cross_entropy(X + 0j, Y), TypeError, "input has dtype torch.complex64"),
    "logits in a list": (
        lambda m: m.cross_entropy([[1.0, 2.0]], Y),
        TypeError,
        "input is a list, expected a torch.Tensor",
    ),
    "empty class axis": (
        lambda m: m.cross_entropy(X[:, :0], Y),
        IndexError,
        "input has an empty class axis",
    ),
    "logits without axes": (
        lambda m: m.cross_entropy(X[0, 0], Y[0]),
        ValueError,
        r"input has no axes, expected .*\(N, C\)",
    ),
    "ignored class probabilities": (
        lambda m: m.cross_entropy(X, X.softmax(1), ignore_index=1),
        ValueError,
        "ignore_index is 1, and class probabilities have no index to ignore — give such rows token_weight 0",
    ),
    "shapes of kl_div": (
        lambda m: m.kl_div(X, X[:3], reduction="sum"),
        ValueError,
        r"input \(4, 5\) and target \(3, 5\)",
    ),
    "integers in kl_div": (lambda m: m.kl_div(X, X.long(), reduction="sum"), TypeError, "target has dtype torch.int64"),
    "axis out of range": (
        lambda m: m.log_softmax(X, 3),
        IndexError,
        r"dim is 3, expected an axis of input, which has shape \(4, 5\)",
    ),
    "softmax of integers": (lambda m: m.softmax(X.long(), 1), TypeError, "input has dtype torch.int64"),
    "features differ": (
        lambda m: m.linear_cross_entropy(H, W.T.contiguous(), Y),
        ValueError,
        r"input has 3 features .* linear_weight 5: .* — the head is \(C, D\): use linear_weight.T",
    ),
    "head without classes axis": (lambda m: m.linear_cross_entropy(H, W[0], Y), ValueError, r"expected \(C, D\)"),
    "head bias of the wrong shape": (
        lambda m: linear(m, H, Y, linear_bias=torch.zeros(3)),
        ValueError,
        r"linear_bias has shape \(3,\), expected \(5,\)",
    ),
    "k-dimensional head without batch": (
        lambda m: m.linear_cross_entropy(H[0], torch.zeros(5, 2, 3), torch.zeros(2).long()),
        ValueError,
        r"requires batched input \(N, 3\), got shape \(3,\)",
    ),
    "swapped target and head": (
        lambda m: m.linear_cross_entropy(H, Y, W),
        TypeError,
        "linear_weight has dtype torch.int64: the arguments look swapped — the head comes before the target",
    ),
    "linear label out of range": (lambda m: linear(m, H, Y + 2), IndexError, r"target\[3\] is 5"),
    "linear ignored probabilities": (
        lambda m: linear(m, H, X.softmax(1), ignore_index=0),
        ValueError,
        "ignore_index is 0",
    ),
}

NOT_AN_ERROR_IN_TORCH = {"label smoothing nan"}  # there smoothing is off, in silence


@pytest.mark.parametrize("name", CASES)
def test_message(name: str) -> None:
    call, error, message = CASES[name]
    with pytest.raises(error, match=message):
        call(F)


@pytest.mark.parametrize("name", sorted(CASES.keys() - NOT_AN_ERROR_IN_TORCH))
def test_code_that_catches_torchs_error_catches_ours(name: str) -> None:
    call, _, _ = CASES[name]
    try:
        call(TF)
    except AttributeError:
        pytest.skip(f"torch {torch.__version__} has no such function")
    except Exception as error:  # whatever torch raises is what its users catch
        theirs = type(error)
    else:
        pytest.fail("torch takes this: list it in NOT_AN_ERROR_IN_TORCH")
    caught = next(base for base in theirs.__mro__ if base in (IndexError, ValueError, TypeError, RuntimeError))
    with pytest.raises((caught, IndexError) if caught is RuntimeError else caught):
        call(F)


def test_ignore_index_is_an_integer_of_64_bits() -> None:
    for index in (2**63 - 1, -(2**63)):
        assert F.cross_entropy(X, Y, ignore_index=index).isfinite()
    for index in (2**63, -(2**63) - 1):
        with pytest.raises(ValueError, match=f"ignore_index is {index}, expected a label"):
            F.cross_entropy(X, Y, ignore_index=index)


def test_axes_of_any_integer_type() -> None:
    assert F.softmax(X, np.int64(1)).shape == X.shape
    for axis in (True, 1.0):
        with pytest.raises(TypeError, match=f"dim is {axis}, expected an axis of input: a whole number"):
            F.log_softmax(X, axis)
    for axis in (0, -1):
        assert F.softmax(X[0, 0], axis) == 1


ADDITIONS = {
    "token weight of the wrong shape": ({"token_weight": torch.ones(3)}, r"token_weight has shape \(3,\), expected \(4,\): one number for each row"),  # noqa: E501
    "token weight no tensor": ({"token_weight": 2.0}, "token_weight is a float"),
    "negative z-loss": ({"z_loss": -1.0}, "z_loss is -1.0, expected a finite number ≥ 0"),
    "softcap of zero": ({"softcap": 0.0}, "softcap is 0.0, expected a finite number > 0"),
    "infinite softcap": ({"softcap": math.inf}, "softcap is inf"),
    "learned scale": ({"logit_scale": torch.ones(())}, "logit_scale is a Tensor, expected a Python number — for a learned scale multiply"),  # noqa: E501
    "integer out_dtype": ({"out_dtype": torch.int32}, "out_dtype is torch.int32"),
    "denominator of a sum": ({"denominator": 3, "reduction": "sum"}, "denominator divides the 'mean', and reduction is 'sum'"),  # noqa: E501
    "negative denominator": ({"denominator": -3}, "denominator is -3, expected a finite number ≥ 0"),
    "nan denominator": ({"denominator": torch.tensor(math.nan)}, "denominator is nan"),
    "denominator per row": ({"denominator": torch.ones(4)}, r"denominator has shape \(4,\), expected a single real number"),  # noqa: E501
    "options": ({"options": "auto"}, "options is a str, expected crossentropy.Options or None"),
    "ignore_index": ({"ignore_index": 1.0}, "ignore_index is 1.0, expected an integer"),
}  # fmt: skip


@pytest.mark.parametrize("name", ADDITIONS)
def test_messages_of_the_additions(name: str) -> None:
    settings, message = ADDITIONS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        F.cross_entropy(X, Y, **settings)
    with pytest.raises((ValueError, TypeError), match=message):
        F.linear_cross_entropy(H, W, Y, **settings)


def test_devices_must_agree() -> None:
    elsewhere = torch.zeros(4, dtype=torch.long, device="meta")
    with pytest.raises(ValueError, match=r"target is on meta and input on cpu: move it with target.to\(input.device\)"):
        F.cross_entropy(X, elsewhere)
    with pytest.raises(RuntimeError, match="weight is on meta"):
        F.cross_entropy(X, Y, torch.zeros(5, device="meta"))
    with pytest.raises(ValueError, match="linear_weight is on meta"):
        F.linear_cross_entropy(H, W.to("meta"), Y)


def test_shapes_follow_on_the_meta_device() -> None:
    x = torch.zeros(4, 5, 3, device="meta")
    assert F.cross_entropy(x, torch.zeros(4, 3, dtype=torch.long, device="meta"), reduction="none").shape == (4, 3)


@pytest.mark.cuda
def test_a_bad_label_on_cuda_ends_no_process() -> None:
    x = X.cuda().requires_grad_()
    loss = F.cross_entropy(x, (Y + 2).cuda(), reduction="none")
    assert loss.isnan().tolist() == [False, False, False, True]
    with pytest.raises(IndexError, match=r"target\[3\] is 5"):
        nn.CrossEntropyLoss(validate=True)(x, (Y + 2).cuda())


def test_arrays_and_lists_are_pointed_to_as_tensor() -> None:
    for call in (F.nll_loss, F.cross_entropy):
        with pytest.raises(TypeError, match=r"input is an ndarray, expected .* — use torch.as_tensor\(input\)"):
            call(np.zeros((4, 5)), Y)
        with pytest.raises(TypeError, match="input is a NoneType"):
            call(None, Y)


def test_a_teacher_is_named() -> None:
    with pytest.raises(ValueError, match="teacher_weight is on meta and teacher_input on cpu"):
        F.linear_kl_div(H, W, H, W.to("meta"))
    with pytest.raises(IndexError, match="input has an empty class axis"):
        F.linear_kl_div(H, W[:0], H, W[:0])


@pytest.mark.parametrize("make", [nn.CrossEntropyLoss, lambda **s: nn.LinearCrossEntropyLoss(3, 5, **s)])
@pytest.mark.parametrize("settings", [{"z_loss": -1}, {"softcap": 0}, {"out_dtype": torch.int32}, {"options": 1}])
def test_modules_check_the_settings_that_torch_does_not_have(make: Callable, settings: dict) -> None:
    with pytest.raises((ValueError, TypeError), match=next(iter(settings))):
        make(**settings)


# --- validate=True ------------------------------------------------------------------------------------------------


def test_probabilities_are_validated_only_when_asked() -> None:
    p = X.softmax(1)
    unnormalised, negative = p.clone(), p.clone()
    unnormalised[2] *= 2
    negative[1, :2] = torch.tensor([-0.2, 0.6])
    for bad, message in (
        (unnormalised, r"target: row \[2\] sums to 2, expected 1"),
        (negative, r"target: row \[1\] holds -0.2 at class 0"),
    ):
        assert F.cross_entropy(X, bad).isfinite()
        assert nn.CrossEntropyLoss()(X, bad).isfinite()
        with pytest.raises(ValueError, match=message):
            nn.CrossEntropyLoss(validate=True)(X, bad)
        with pytest.raises(ValueError, match=message):
            nn.LinearCrossEntropyLoss(3, 5, validate=True)(H, bad)
    loss = nn.CrossEntropyLoss(validate=True)
    assert loss(X, p).isfinite()
    assert loss(X, Y.to(torch.uint16)).isfinite()
    assert loss(X, unnormalised, token_weight=torch.tensor([1.0, 1.0, 0.0, 1.0])).isfinite()

    class Mask(Tensor):
        pass

    with pytest.raises(RuntimeError, match=r"target\[0\] is 9"):
        loss(X, (Y + 9).as_subclass(Mask))
    assert nn.LinearCrossEntropyLoss(3, 5, validate=True)(H, Y).isfinite()


def test_log_probabilities_are_validated_only_when_asked() -> None:
    y = Y.clone()
    y[0] = -100
    log_p = X.log_softmax(1)
    log_p[0] = 7.0  # ignored
    assert nn.NLLLoss(validate=True)(log_p, y).isfinite()
    assert nn.NLLLoss()(X + 1, y).isfinite()
    with pytest.raises(
        ValueError, match=r"row \[1\] sums to 13.59.* — input must be log-probabilities: apply log_softmax"
    ):
        nn.NLLLoss(validate=True)(X + 1, y)
    loss = nn.KLDivLoss(reduction="sum", validate=True)
    assert loss(X.log_softmax(1), X.softmax(1)).isfinite()
    with pytest.raises(
        ValueError, match=r"input\[0, 0\] is 0.2, expected log-probabilities in \[-inf, 0\] — apply log_softmax"
    ):
        loss(X.softmax(1), X.softmax(1))
    with pytest.raises(
        ValueError, match=r"target\[0, 0\] is -1.609.*, expected probabilities in \[0, 1\] — .*log_target=True"
    ):
        loss(X.log_softmax(1), X.log_softmax(1))
