"""Torch's operations: their names, and what each does to the numbers, so that both examiners know the same ones.

An operation has several names (`swapaxes` is `transpose`, `__add__` is `add`), and most have one that ends in an
underscore and changes the tensor in place. What it does is a word:

    moves      the same numbers, other axes             chooses    some of the numbers
    joins      several tensors in one                   keeps      the same numbers, or what stands for them
    casts      another dtype                            cuts       the same numbers, without a graph
    fills      other numbers at some places             reduces    one number of several, along axes
    scores     numbers of any size, by weights          maps       other numbers, one for one
    creates    numbers of its own                       others are named for what they make

The axes are those of `_axes`, the arguments those of `_signatures`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

_TABLE = """
moves: view reshape resize view_as reshape_as flatten ravel unflatten
moves: permute transpose=swapaxes=swapdims t T H mT=adjoint=mH
moves: movedim=moveaxis squeeze unsqueeze=expand_dims as_strided expand=broadcast_to expand_as
moves: flip fliplr flipud roll rearrange
chooses: __getitem__ select narrow index_select masked_select gather take take_along_dim unbind=__iter__
chooses: diagonal diag split=split_with_sizes chunk tensor_split hsplit vsplit
joins: cat=concat=concatenate stack vstack=row_stack hstack
repeats: repeat tile repeat_interleave
keeps: contiguous clone dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout
keeps: nan_to_num positive=__pos__ cpu cuda pin_memory share_memory coalesce resolve_conj retain_grad numpy
keeps: cast identity
leaf: requires_grad
casts: to type type_as astype float double half bfloat16 long int short bool byte
copies: copy
cuts: detach data
reads: item tolist
softmax: softmax=_softmax=softmin log_softmax=_log_softmax
sigmoid: sigmoid=expit
relu: relu=relu6
limits: clamp=clip=clamp_min hardtanh threshold=_threshold
exponential: exp log logsumexp
arithmetic: add=__add__=__radd__=__iadd__ sub=subtract=__sub__=__isub__ rsub=__rsub__ reciprocal
arithmetic: mul=multiply=__mul__=__rmul__=__imul__ div=divide=true_divide=__truediv__=__itruediv__
arithmetic: __rtruediv__=__rdiv__ pow=__pow__=__ipow__ neg=negative=__neg__ fmod remainder=__mod__
compares: eq=__eq__ ne=__ne__=not_equal gt=__gt__=greater ge=__ge__=greater_equal lt=__lt__=less le=__le__=less_equal
fills: masked_fill where one_hot scatter pad fill_diagonal
scores: linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d bilinear addmm
scores: matmul=__matmul__=mm=bmm=dot
contracts: einsum
normalises: batch_norm layer_norm instance_norm group_norm
maps: gelu silu elu celu selu leaky_relu softplus mish hardswish hardsigmoid logsigmoid abs=absolute sqrt rsqrt square
maps: sin cos round floor ceil sign log1p expm1 log2 log10 fill bernoulli erf logit cumsum cumprod normal uniform
maps: xavier_uniform kaiming_normal glu index_add addcmul maximum minimum trunc=fix index_fill index_copy lerp
maps: scatter_add clamp_max poisson gumbel_softmax tanh normalize
reduces: sum mean std var prod norm all any amax amin median mode nanmean nansum count_nonzero argmin argmax
reduces: max min quantile
sorts: topk kthvalue sort
counts: bucketize=digitize
embeds: embedding
measures: size numel=nelement dim=ndimension is_floating_point
"""


@dataclass(frozen=True)
class Operation:
    """One of torch's operations."""

    name: str
    does: str
    """What it does to the numbers."""
    others: tuple[str, ...] = ()
    """Its other names."""


OPERATIONS: dict[str, Operation] = {
    names[0]: Operation(names[0], does, tuple(names[1:]))
    for does, _, row in (line.partition(": ") for line in _TABLE.strip().splitlines())
    for names in (word.split("=") for word in row.split())
}
_NAMES = {name: operation for operation in OPERATIONS.values() for name in (operation.name, *operation.others)}


def operation(name: str) -> Operation | None:
    """The operation that has a name, or that changes its tensor in place under it; None for what is not known."""
    name = name.removeprefix("special_")
    if name not in _NAMES and name.endswith("_") and not name.endswith("__"):
        name = name[:-1]
    return _NAMES.get(name)


@cache
def canonical(name: str) -> str:
    """One name for each operation, whichever of its names was called: x.relu_() is a relu that changes x."""
    found = operation(name)
    if found is not None:
        return found.name
    return name.rstrip("_") if name.endswith("_") and not name.endswith("__") else name


def doing(*does: str) -> frozenset[str]:
    """The names of the operations that do one of some things."""
    return frozenset(name for name, found in OPERATIONS.items() if found.does in does)


MOVES = doing("moves", "chooses", "joins", "repeats", "keeps", "leaf", "casts", "cuts") | {"masked_fill"}
"""Operations that only move, choose or convert numbers."""
