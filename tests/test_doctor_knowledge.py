"""What the doctor knows of torch is so: its table against torch itself, in source and at run time."""

import contextlib
import inspect
import re
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from crossentropy.doctor._knowledge import _axes, _binding, _operations, _signatures
from crossentropy.doctor._knowledge._facts import Tensor as Facts
from crossentropy.doctor._knowledge._facts import Unknown
from crossentropy.doctor._knowledge._loss_call import LossCall
from crossentropy.doctor._runtime._axes import source
from crossentropy.doctor._runtime._trace import Traces
from crossentropy.doctor._source import examine
from crossentropy.doctor._source._creation import CREATION
from crossentropy.doctor._source._report import Report

SIZES = (2, 3, 5)
MOVED = """\
x.view(6, 5)
x.view((6, 5))
x.view(-1, 5)
x.view(size=(-1, 5))
x.view(30)
x.view(-1)
x.view(2, 15)
x.view(2, -1)
x.view(2, 3, 5, 1)
x.view(1, 2, 3, 5)
x.view(3, 2, 5)
x.reshape(6, 5)
x.reshape(shape=(6, 5))
torch.reshape(x, (2, 15))
x.resize_(6, 5)
torch.reshape(input=x, shape=(2, -1))
x.view_as(torch.zeros(6, 5))
x.view_as(other=torch.zeros(2, 15))
x.reshape_as(torch.zeros(6, 5))
x.flatten()
x.flatten(1)
x.flatten(0, 1)
x.flatten(start_dim=0, end_dim=-2)
torch.flatten(x, 1)
torch.flatten(x, end_dim=1)
x.ravel()
torch.ravel(x)
x.unflatten(2, (5, 1))
x.unflatten(1, (1, 3))
x.unflatten(dim=-1, sizes=(1, -1))
torch.unflatten(x, 0, (2, 1))
x.permute(2, 0, 1)
x.permute((2, 0, 1))
x.permute(-1, 0, -2)
x.permute(dims=(1, 2, 0))
torch.permute(x, (0, 2, 1))
torch.permute(input=x, dims=(2, 1, 0))
x.transpose(0, 2)
x.transpose(-1, 1)
x.transpose(dim0=0, dim1=1)
x.transpose(0, dim1=1)
torch.transpose(x, 1, 2)
torch.transpose(input=x, dim0=1, dim1=2)
x.transpose_(0, 2)
x.swapaxes(0, 2)
x.swapaxes(axis0=0, axis1=-1)
x.swapaxes_(1, 2)
torch.swapaxes(x, 0, 1)
x.swapdims(0, 2)
x.swapdims(dim0=1, dim1=2)
x.swapdims_(1, 2)
torch.swapdims(x, dim0=0, dim1=1)
x[0].t()
x[0].t_()
torch.t(x[0])
x[0].T
x[0].H
x.mT
x[0].mH
x.adjoint()
torch.adjoint(x)
x.movedim(2, 0)
x.movedim(-1, 1)
x.movedim((0, 1), (2, 0))
x.movedim(source=0, destination=-1)
torch.movedim(x, 0, 2)
torch.movedim(x, source=(0, 2), destination=(1, 0))
x.moveaxis(2, 0)
torch.moveaxis(x, source=2, destination=1)
x.squeeze()
x[:, :1].squeeze()
x[:, :1].squeeze(1)
x[:, :1].squeeze(dim=1)
x[:, :1].squeeze_(1)
x[:1, :1].squeeze((0, 1))
torch.squeeze(x[:1])
torch.squeeze(x[:1], 0)
torch.squeeze(x[:1], dim=0)
x.squeeze(1)
x.unsqueeze(0)
x.unsqueeze(-1)
x.unsqueeze(-2)
x.unsqueeze(dim=2)
x.unsqueeze_(1)
torch.unsqueeze(x, 3)
torch.unsqueeze(input=x, dim=0)
x.select(1, 0)
x.select(dim=-1, index=2)
torch.select(x, 0, 1)
x.diagonal()
x.diagonal(0, 1, 2)
x.diagonal(offset=0, dim1=-1, dim2=0)
torch.diagonal(x, dim1=0, dim2=2)
x[0].diag()
torch.diag(x[0])
torch.diag(x[0, 0])
x.narrow(2, 1, 3)
x.narrow(dim=0, start=0, length=1)
torch.narrow(x, 1, 0, 2)
x.index_select(2, torch.arange(4))
x.index_select(dim=1, index=torch.tensor([0, 2]))
torch.index_select(x, 0, torch.tensor([1, 0]))
x.unbind()[0]
x.unbind(1)[0]
x.unbind(dim=-1)[1]
torch.unbind(x, 2)[0]
x.split(2, 2)[0]
x.split(1)[0]
x.split(split_size=2, dim=-1)[0]
x.split([1, 2], dim=1)[1]
torch.split(x, 3, dim=2)[0]
torch.split(x, split_size_or_sections=1, dim=1)[0]
x.chunk(2, 2)[0]
x.chunk(chunks=2)[0]
torch.chunk(x, 2, dim=-1)[0]
x.tensor_split(2, 2)[0]
torch.tensor_split(x, 2, dim=2)[0]
x.hsplit(3)[0]
torch.hsplit(x, 3)[0]
x.vsplit(2)[0]
torch.cat([x, x])
torch.cat([x, x], 2)
torch.cat((x, x), dim=-1)
torch.cat(tensors=[x, x], dim=1)
torch.concat([x, x], 1)
torch.concatenate([x, x], dim=1)
torch.concatenate((x, x), axis=2)
torch.stack([x, x])
torch.stack([x, x], 1)
torch.stack((x, x), dim=-1)
torch.stack(tensors=[x, x], dim=3)
torch.vstack([x, x])
torch.vstack((x[0, 0], x[0, 0]))
torch.row_stack([x, x])
torch.hstack([x, x])
torch.hstack((x[0, 0], x[0, 0]))
x.expand(2, 3, 5)
x.expand(7, 2, 3, 5)
x.expand(7, -1, -1, -1)
x.expand((7, 2, 3, 5))
x.expand(size=(2, 3, 5))
x.unsqueeze(1).expand(2, 7, 3, 5)
x.expand_as(torch.zeros(7, 2, 3, 5))
x.expand_as(other=torch.zeros(2, 3, 5))
torch.broadcast_to(x, (7, 2, 3, 5))
x.broadcast_to((2, 3, 5))
x.repeat(1, 1, 1)
x.repeat(2, 1, 3)
x.repeat((7, 1, 1, 1))
x.repeat(repeats=(1, 2, 1))
x.tile(2)
x.tile((1, 2, 1))
torch.tile(x, dims=(3, 1, 1))
x.repeat_interleave(2)
x.repeat_interleave(2, 1)
x.repeat_interleave(repeats=2, dim=-1)
torch.repeat_interleave(x, 2, dim=0)
x.gather(1, torch.zeros(2, 2, 5, dtype=torch.long))
torch.gather(x, dim=2, index=torch.zeros(2, 3, 1, dtype=torch.long))
torch.take_along_dim(x, torch.zeros(2, 3, 1, dtype=torch.long), 2)
x.take_along_dim(indices=torch.zeros(2, 1, 5, dtype=torch.long), dim=1)
x.masked_select(x > -1)
torch.masked_select(x, x > -1)
x.take(torch.tensor([7, 21, 2]))
x.as_strided((2, 3, 5), (15, 5, 1))
torch.as_strided(x, (5, 2), (1, 15))
x.flip(0)
x.flip((0, 2))
x.flip(dims=(1,))
torch.flip(x, (0,))
torch.fliplr(x)
x.fliplr()
x.flipud()
x.roll(1, 0)
torch.roll(x, shifts=1, dims=2)
x[0]
x[:, 0]
x[..., 0]
x[0, ..., 1]
x[:, None]
x[None]
x[..., None]
x[:, 1:]
x[..., :-1]
x[::2]
x[0, 1:, None]
x[:, :, 1:3]
x[torch.tensor([0, 1])]
x[:, torch.tensor([0, 2])]
x[:, [0, 2]]
x[[0, 1]]
x[torch.tensor([0, 1]), torch.tensor([0, 1])]
x[torch.tensor([0, 1]), :, torch.tensor([0, 1])]
x[:, torch.tensor([0, 1]), torch.tensor([0, 1])]
x[0, :, torch.tensor([0, 1])]
x[torch.tensor([[0, 1], [1, 0]])]
x[torch.tensor([True, False])]
x[:, torch.tensor([True, False, True])]
x[torch.ones(2, 3, dtype=torch.bool)]
x.sum(1)
x.sum(-1, True)
x.sum(dim=(0, 2))
x.sum(dim=1, keepdim=True)
x.sum(axis=1, keepdims=True)
torch.sum(x, 0)
x.mean(0)
torch.mean(x, dim=(1, 2), keepdim=True)
x.prod(1)
x.amax(1)
x.amin((0, 1), True)
x.max(1)[0]
torch.max(x, dim=2, keepdim=True)[0]
x.min(dim=0)[0]
x.argmax(1)
x.argmax(dim=-1, keepdim=True)
torch.argmin(x, 0)
x.std(1)
x.var(dim=2, keepdim=True)
x.all(1)
x.any(dim=2)
x.nanmean(1)
x.nansum(1)
x.logsumexp(1)
torch.logsumexp(x, dim=1, keepdim=True)
x.norm(2, 1)
x.norm(p=2, dim=-1, keepdim=True)
x.count_nonzero(1)
x.median(1)[0]
x.mode(1)[0]
x.clone()
x.contiguous()
x.double()
x.to(torch.float64)
x.sigmoid()
x.relu_()
x.exp()
x + 1
1 - x
x * x
-x
x.clamp(min=0)
F.relu(x, inplace=True)
F.dropout(x, 0.0)
F.gelu(x)
x.masked_fill(x > 100, 0.0)
x.masked_fill(mask=x > 100, value=0.0)
x.nan_to_num()
x.detach()
""".splitlines()
NAMESPACE = {"torch": torch, "F": F}
JOINS = ("torch.cat", "torch.concat", "torch.vstack", "torch.hstack", "torch.row_stack")


def varying(axis: int) -> Tensor:
    """A tensor whose entries say where they are along an axis."""
    shape = [1] * len(SIZES)
    shape[axis] = SIZES[axis]
    return torch.arange(SIZES[axis], dtype=torch.double).view(shape).expand(SIZES).clone()


def changes(result: Tensor) -> list[int]:
    """The axes along which a tensor varies."""
    return [axis for axis in range(result.dim()) if not bool((result == result.narrow(axis, 0, 1)).all())]


def one_axis(result: Tensor, joined: bool) -> int | None:
    """The axis along which alone a tensor varies, if no number is there twice; as there may be of tensors joined."""
    axes = changes(result)
    if len(axes) != 1:
        return None
    line = result.movedim(axes[0], 0).reshape(result.shape[axes[0]], -1)[:, 0]
    return axes[0] if joined or line.unique().numel() == len(line) else None


def truth(expression: str) -> tuple[tuple[int, ...], list[set[int | None]]]:
    """The shape of a result, and which of its axes each axis of x may be called; None where it is none of them.

    An axis of which one place is left may be called gone or there. What says nothing of the numbers is, for its axes, a
    largest one.
    """
    expression = re.sub(r"\b(std|var|all|any|argmin|argmax|count_nonzero)\(", "amax(", expression)
    moves = [eval(expression, {**NAMESPACE, "x": varying(axis)}) for axis in range(len(SIZES))]
    shape, alone = tuple(moves[0].shape), [one_axis(move, expression.startswith(JOINS)) for move in moves]
    ones = {axis for axis, size in enumerate(shape) if size == 1}
    left = [set() if changes(move) else ones for move in moves]
    return shape, [{at if alone.count(at) == 1 else None} | one for at, one in zip(alone, left)]


class Recorded(TorchFunctionMode):
    """Leaves the traces that a watched program would."""

    def __init__(self) -> None:
        super().__init__()
        self.traces = Traces()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.traces.record(func, args, kwargs or {}, result)
        return result


def moves_numbers(expression: str) -> bool:
    """Whether only numbers of x are in the result, at other places."""
    return not any(word in expression for word in ARITHMETIC)


ARITHMETIC = (
    *("sum(", "mean(", "prod(", "max(", "min(", "std(", "var(", "all(", "any(", "logsumexp(", "norm(", "nonzero("),
    *("median(", "mode(", "sigmoid(", "relu", "exp()", " + ", " - ", " * ", "-x", "clamp(", "gelu("),
)


@pytest.mark.parametrize("expression", [line for line in MOVED if moves_numbers(line)])
def test_an_axis_is_followed_back_at_run_time(expression):
    _, expected = truth(expression)
    with Recorded() as recorded:
        x = torch.zeros(SIZES).double()
        result = eval(expression, {**NAMESPACE, "x": x})
    trace = recorded.traces[result]
    olds = [source(trace, axis)[1] for axis in range(result.dim())]
    for old, called in enumerate(expected):
        assert (olds.index(old) if old in olds else None) in called


@pytest.fixture
def followed(tmp_path, monkeypatch):
    """The facts of an expression of a tensor x, of which some are known, as a loss gets them."""

    def follow(expression: str, x: Facts) -> Facts:
        found: list[LossCall] = []
        monkeypatch.setattr(Report, "examined", lambda report, case: found.append(case))
        monkeypatch.setitem(CREATION, "empty", lambda call: x)
        lines = ("import torch", "import torch.nn.functional as F", "x = torch.empty(0)")
        (tmp_path / "a.py").write_text("\n".join((*lines, f"F.cross_entropy({expression}, x)")))
        assert not examine([tmp_path]).passed
        return found[0].x

    return follow


@pytest.mark.parametrize("expression", MOVED)
@pytest.mark.parametrize("axis", range(len(SIZES)))
def test_an_axis_is_followed_in_source(followed, expression, axis):
    shape, expected = truth(expression)
    x = Facts(kind="logits", shape=SIZES, axis=axis - len(SIZES), dtype="float", count=SIZES[axis])
    result = followed(expression, x)
    assert result.shape is not None
    assert len(result.shape) == len(shape)
    assert all(not isinstance(a, int) or a == b for a, b in zip(result.shape, shape))
    if moves_numbers(expression):
        assert result.kind == x.kind
    if result.mixed is None and result.kind == x.kind:
        assert (None if result.axis is None else result.axis + len(shape)) in expected[axis]


GUESSED = ("x.squeeze(1)",)
"""An axis of unknown size that is squeezed away by name is taken to be of size 1."""


@pytest.mark.parametrize("expression", [line for line in MOVED if line not in GUESSED])
@pytest.mark.parametrize("axis", range(len(SIZES)))
def test_nothing_wrong_is_said_of_axes_whose_sizes_are_not_known(followed, expression, axis):
    shape, expected = truth(expression)
    sizes = (Unknown(), Unknown(), 5)
    x = Facts(kind="logits", shape=sizes, axis=axis - len(SIZES), dtype="float")
    result = followed(expression, x)
    if result.shape is not None:
        assert len(result.shape) == len(shape)
        assert all(not isinstance(a, int) or a == b for a, b in zip(result.shape, shape))
    assert result.axis is None or result.mixed is not None or result.axis + len(shape) in expected[axis]


def test_each_operation_of_which_axes_are_known_is_tried():
    tried = {name for line in MOVED for name in _operations.OPERATIONS if any(
        f".{spelled}(" in line or f".{spelled}_(" in line or line.endswith(f".{spelled}")
        for spelled in (name, *_operations.OPERATIONS[name].others)
    )}  # fmt: skip
    assert set(_axes.RULES) - tried == {"__getitem__"}  # which is written x[…]


@pytest.mark.parametrize("name", sorted(_axes.RULES))
@pytest.mark.parametrize("rank", range(4))
def test_shapes_and_origins_are_of_one_length(name, rank):
    axes = {"dim": 0, "dim0": 0, "dim1": -1, "dims": tuple(range(rank)), "source": 0, "destination": -1}
    sizes = {"size": (1, 2), "sizes": (1, -1), "repeats": (1,) * rank, "stride": (1, 1), "indices": None}
    found = _axes.moved(name, SIZES[:rank], {**axes, **sizes})
    assert found is None or len(found.shape) == len(found.origin)


def test_lists_and_masks_in_an_index_leave_their_axes():
    assert _axes.indexed((2, 3, 5), [_axes.Mask(2)]) == ((None, 5), (None, 2))
    assert _axes.indexed((2, 3), [0, 0, 0]) is None


# --- names ----------------------------------------------------------------------------------------------------------

HOMES = (torch, torch.Tensor, F, torch.special, torch.nn.init)
ELSEWHERE = {"astype", "cast", "identity", "copy", "digitize", "expand_dims", "rearrange"}
"""Of numpy, TensorFlow and einops."""


def test_each_name_of_the_table_is_one_of_torch():
    names = [name for row in _operations.OPERATIONS.values() for name in (row.name, *row.others)]
    assert len(names) == len(set(names))
    spelled = [(name, f"{name}_") for name in names]
    unknown = {name for name, changing in spelled if not any(hasattr(h, n) for h in HOMES for n in (name, changing))}
    assert unknown == ELSEWHERE - {"copy"}


def test_the_signatures_are_those_of_torch():
    from torch_signatures import table

    found = {group: {name: [" ".join(form) for form in forms] for name, forms in of.items()}
             for group, of in table().items()}  # fmt: skip
    for group, lines in _signatures.TABLE.items():
        for line in lines.strip().splitlines():
            name, forms = line.split(maxsplit=1)
            for form in forms.split(" | ") if name in found[group] else ():
                # torch adds arguments from version to version
                assert any(new.startswith(form) or form.startswith(new) for new in found[group][name]), name


def test_each_loss_with_arguments_of_old_is_among_the_signatures():
    for module in (torch.nn, F):
        for name, thing in vars(module).items():
            if callable(thing) and not name.startswith("_") and "oss" in name:
                with contextlib.suppress(ValueError):
                    if {"size_average", "reduce"} <= {*inspect.signature(thing).parameters}:
                        assert f"{module.__name__}.{name}" in _binding.SIGNATURES


BOUND = [
    ("transpose", ("x", 0), {"dim1": 1}, {"input": "x", "dim0": 0, "dim1": 1}),
    ("swapaxes", ("x", 0), {"axis1": 1}, {"input": "x", "dim0": 0, "dim1": 1}),
    ("permute", ("x", 0, 2, 1), {}, {"input": "x", "dims": (0, 2, 1)}),
    ("permute", ("x", (0, 2, 1)), {}, {"input": "x", "dims": (0, 2, 1)}),
    ("view", ("x", -1), {}, {"input": "x", "size": (-1,)}),
    ("sum", ("x",), {"axis": 1, "keepdims": True}, {"input": "x", "dim": 1, "keepdim": True}),
    ("max", ("x", 1), {}, {"input": "x", "dim": 1}),
    ("mm", ("x", "y"), {}, {"input": "x", "other": "y"}),
    ("relu_", ("x",), {}, {"input": "x"}),
    ("expit", ("x",), {}, {"input": "x"}),
    ("clamp_min", ("x", 0), {}, {"input": "x", "min": 0}),
    ("dropout", ("x", 0.5, True, True), {}, {"input": "x", "p": 0.5, "training": True, "inplace": True}),
    ("where", ("m", "x", 0), {}, {"condition": "m", "input": "x", "other": 0}),
    ("norm", ("x", 2, 1), {}, {"input": "x", "p": 2, "dim": 1}),
    ("nothing", ("x", 1), {"a": 2}, {"0": "x", "1": 1, "a": 2}),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "expected"), BOUND)
def test_arguments_are_bound_by_name(name, args, kwargs, expected):
    assert _binding.bound(name, args, kwargs) == expected


def test_knowledge_is_had_without_torch():
    modules = "crossentropy.doctor._knowledge._binding, crossentropy.doctor._knowledge._axes"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
