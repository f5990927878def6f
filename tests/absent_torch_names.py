"""The package in a torch that lacks a private name, for each name on the command line; prints what went wrong, as JSON.

    python tests/absent_torch_names.py _C._len_torch_dispatch_stack …

Each name has a process of its own, forked from one that has loaded torch. The name is hidden from `crossentropy._torch`
alone: torch itself needs it. All of what depends on such names is then used once, and compared with torch in float64.
"""

import builtins
import faulthandler
import functools
import json
import os
import sys
import traceback
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

COMPILED = ("dynamo", "dispatch", "Dispatch", "are_functorch", "symbolic_convert")
"""Names with which compiled losses are tried as well, which takes a second."""


# --- the battery --------------------------------------------------------------------------------------------------


def close(found: Any, true: torch.Tensor) -> None:
    assert isinstance(found, torch.Tensor)
    torch.testing.assert_close(found, true.to(found.dtype), rtol=1e-4, atol=1e-6)


def data(rows: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(rows, classes, requires_grad=True), torch.randint(classes, (rows,))


def slope(loss: torch.Tensor, *of: torch.Tensor, **settings: Any) -> torch.Tensor:
    return torch.autograd.grad(loss, of, **settings)[0]


def losses(ours: Any) -> None:
    for rows, classes in ((8, 10), (1100, 1000)):
        z, y = data(rows, classes)
        zz = z.detach().double().requires_grad_()
        close(ours.cross_entropy(z.detach(), y), F.cross_entropy(zz, y))
        close(ours.nll_loss(z.log_softmax(1), y), F.cross_entropy(zz, y))
        loss, true = ours.cross_entropy(z, y), slope(F.cross_entropy(zz, y), zz)
        close(slope(loss, z, retain_graph=True) * 2, 2 * true)
        close(slope(loss, z), true)
        upstream = torch.rand(rows)
        close(
            slope(ours.cross_entropy(z, y, reduction="none"), z, grad_outputs=upstream),
            slope(F.cross_entropy(zz, y, reduction="none"), zz, grad_outputs=upstream.double()),
        )
        close(slope(checkpoint(ours.cross_entropy, z, y, use_reentrant=False), z), true)
    z, y = data(8, 10)
    try:
        ours.cross_entropy(z, y + 10)
    except IndexError:
        pass
    else:
        raise AssertionError("a label out of range was not seen")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        close(ours.log_softmax(z), F.log_softmax(z.double(), 1))
        close(ours.cross_entropy(z, y, size_average=False), F.cross_entropy(z.double(), y, reduction="sum"))
        close(torch.jit.trace(ours.cross_entropy, (z, y), check_trace=False)(z, y), F.cross_entropy(z.double(), y))


def derivatives(ours: Any) -> None:
    (z, y), t = data(6, 5), torch.randn(6, 5)
    zz, tt = z.detach().double().requires_grad_(), t.double()
    true = slope(F.cross_entropy(zz, y), zz, create_graph=True)
    second = slope((true * tt).sum(), zz)
    options = ours.Options(memory_budget=100)
    for more in ({}, {"options": options}):

        def loss(x: torch.Tensor, target: torch.Tensor = y, more: Any = more) -> torch.Tensor:
            return ours.cross_entropy(x, target, **more)

        close(slope((slope(loss(z), z, create_graph=True) * t).sum(), z), second)
        close(torch.func.grad(loss)(z.detach()), true)
        close(torch.func.jvp(loss, (z.detach(),), (t,))[1], (true * tt).sum())
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(z.detach(), t)
            close(torch.autograd.forward_ad.unpack_dual(loss(dual)).tangent, (true * tt).sum())
        close(torch.func.vmap(loss)(z.detach(), y), F.cross_entropy(zz, y, reduction="none"))
        each = slope(F.cross_entropy(zz, y, reduction="sum"), zz)
        close(torch.func.vmap(torch.func.grad(loss))(z.detach(), y), each)
        rows = ours.cross_entropy(z, y, reduction="none", **more)
        close(slope(rows, z, grad_outputs=torch.eye(6), is_grads_batched=True).sum(0), each)


class Tied(torch.nn.Module):
    """Multiplies by the weight of its embedding."""

    def __init__(self, classes: int, features: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(classes, features)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.embedding(y) @ self.embedding.weight.T


def heads(package: Any) -> None:
    hidden, y = data(12, 8)
    y = y % 20
    model = torch.nn.Linear(8, 20)
    double = torch.nn.Linear(8, 20).double()
    double.load_state_dict({k: v.double() for k, v in model.state_dict().items()})
    true = F.cross_entropy(double(hidden.double()), y)
    gradient = slope(true, double.weight)
    ours = package.functional
    close(slope(ours.linear_cross_entropy(hidden, model.weight, y, linear_bias=model.bias), model.weight), gradient)
    fused = package.fuse(model)
    close(slope(F.cross_entropy(fused(hidden), y), model.weight), gradient)
    logits = fused(hidden).to(torch.float32).view(3, 4, 20).reshape(12, 20)
    close(-(logits - logits.logsumexp(-1, keepdim=True)).gather(1, y[:, None]).mean(), true)
    close(torch.stack([fused(hidden), fused(hidden)])[0], double(hidden.double()))
    close(package.LazyLogits(hidden, model.weight, model.bias) + 0, double(hidden.double()))
    close(torch.func.grad(lambda w: F.cross_entropy(torch.func.functional_call(fused, {"weight": w}, hidden), y))(
        model.weight.detach()
    ), gradient)  # fmt: skip
    close(package.unfuse(fused)(hidden), double(hidden.double()))
    tied = Tied(20, 8)
    plain = tied(y).double()
    with torch.device("cpu"):
        lazy = package.fuse(tied, "embedding")(y)
    close(lazy + 0, plain)
    close(package.unfuse(tied)(y), plain)


def looking(package: Any) -> None:
    from crossentropy import _benchmark, doctor

    z, y = data(8, 10)
    with doctor.watch() as report, warnings.catch_warnings():
        warnings.simplefilter("error")
        F.cross_entropy(z.softmax(1), y)
        torch.func.vmap(F.cross_entropy)(z, y)
    assert [finding.rule for finding in report.findings] == ["softmax-before-cross-entropy"]
    assert torch.overrides._len_torch_function_stack() == 0
    hidden = z.softmax(1).view(8, 5, 2).view(8, 10)
    with doctor.watch() as report:
        F.cross_entropy(hidden, y)  # made out of sight
    assert len(report.findings) <= 1
    with torch._subclasses.fake_tensor.FakeTensorMode(), doctor.watch() as report:
        fake, labels = torch.empty(4, 5), torch.empty(4, dtype=torch.int64)
        assert package.functional.cross_entropy(fake, labels).shape == ()
        F.cross_entropy(fake, labels)
    assert not report.findings
    case = _benchmark.Case("loss", (64, 100))
    assert _benchmark.plan_of(case, "cpu", None)


def compiled(package: Any) -> None:
    z, y = data(64, 10)
    zz = z.detach().double().requires_grad_()
    true = F.cross_entropy(zz, y)
    loss = torch.compile(package.functional.cross_entropy, backend="aot_eager", fullgraph=True)(z, y)
    close(loss, true)
    close(slope(loss, z), slope(true, zz))
    model = package.fuse(torch.nn.Linear(10, 10))
    want = F.cross_entropy(F.linear(zz, model.weight.double(), model.bias.double()), y)
    for fullgraph in (False, True):
        torch._dynamo.reset()
        found = F.cross_entropy(torch.compile(model, backend="eager", fullgraph=fullgraph)(z), y)
        close(found, want)
        close(slope(found, z), slope(want, zz, retain_graph=True))


def warm_up() -> None:
    """What torch loads when it is first used, once for all processes. (But no gradient: its threads do not survive.)"""

    @torch.library.custom_op("absent::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    twice.register_fake(torch.empty_like)
    with torch.no_grad():
        z, y = data(2, 3)
        torch.compile(lambda z, y: F.cross_entropy(twice(z), y), backend="aot_eager")(z, y)
    torch.func.vmap(F.cross_entropy)(z.detach(), y)
    torch.func.jvp(lambda z: F.cross_entropy(z, y), (z.detach(),), (z.detach(),))
    torch._dynamo.reset()


# --- a name that is absent ----------------------------------------------------------------------------------------


def hide(name: str) -> list[str]:
    """Let `crossentropy._torch` find nothing under a name; the list grows each time it looks."""
    path, _, last = name.rpartition(".")
    owner = functools.reduce(getattr, path.split("."), torch) if path else None
    real, seen = builtins.getattr, []

    def found(thing: Any, attribute: str, *absent: Any) -> Any:
        hidden = attribute == last and (owner is None or thing is owner)
        if hidden and sys._getframe(1).f_globals["__name__"] == "crossentropy._torch":
            seen.append(attribute)
            return absent[0]
        return real(thing, attribute, *absent)

    builtins.getattr = found
    return seen


def hide_translator() -> list[str]:
    from torch._dynamo.symbolic_convert import InstructionTranslator

    real, seen = InstructionTranslator.current_tx, []

    def current_tx() -> Any:
        if sys._getframe(1).f_globals["__name__"] == "crossentropy._torch":
            seen.append("current_tx")
            raise AttributeError("current_tx")
        return real()

    InstructionTranslator.current_tx = staticmethod(current_tx)  # pyright: ignore[reportAttributeAccessIssue]
    return seen


def battery(name: str) -> None:
    """Everything, without a name."""
    real = builtins.getattr
    seen = hide_translator() if name.endswith("current_tx") else hide(name)
    import crossentropy
    import crossentropy._torch  # which looks them up

    if not name.startswith("_saved_"):  # those are looked up when they are asked for
        builtins.getattr = real
    losses(crossentropy.functional)
    derivatives(crossentropy.functional)
    heads(crossentropy)
    looking(crossentropy)
    if any(part in name for part in COMPILED):
        compiled(crossentropy)
    assert seen or not name, "it was not looked for"


def outcome(name: str) -> str:
    """What went wrong in a process of its own, or nothing."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        faulthandler.enable(write)
        torch.set_num_threads(1)  # makes the pool that a fork loses anew; of two autograd threads that do, one aborts
        try:
            battery(name)
            said = ""
        except BaseException:
            said = traceback.format_exc()
        os.write(write, said[-4000:].encode() or b"\0")
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return said.strip("\0") if said and not status else f"the process died, status {status}: {said}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    warm_up()
    print(json.dumps({name: outcome(name) for name in sys.argv[1:]}))  # noqa: T201
