"""What a program makes of losses and of logarithms of a softmax: sums, means, weights; each from its trace alone."""

from collections.abc import Iterator

from crossentropy.doctor._knowledge import _composed
from crossentropy.doctor._knowledge._facts import Part
from crossentropy.doctor._knowledge._loss_call import Found
from crossentropy.doctor._knowledge._operations import MOVES
from crossentropy.doctor._runtime._call import place_of
from crossentropy.doctor._runtime._rows import ancestors
from crossentropy.doctor._runtime._sources import distribution_axis, made_by
from crossentropy.doctor._runtime._trace import Place, Trace


def is_entropy(product: Trace, log: Trace) -> bool:
    """Whether a product is p · log p, with a small number in the logarithm."""
    softmax = made_by(log, max(len(log.shape) - 1, 0)).softmax
    factors = [_through(parent, "neg", "mul") if parent.back() is not log else log for parent in product.parents]
    return log in factors and softmax in factors


def focal(weighing: Trace) -> Iterator[Found]:
    """(1 − exp(−CE))^γ of a mean, or (1 − exp(−CE)) · CE."""
    for inner in [_through(trace, "rsub", "sub", "add", "neg", "clamp") for trace in weighing.parents]:
        loss = _through(inner.parents[0], "neg", "mul", "clamp") if inner.op == "exp" and inner.parents else inner
        rows = _rows_of_mean(loss)
        if inner.op == "exp" and rows > 1:
            yield _composed.focal("mean", rows)._replace(place=weighing.place)


def focal_of_log(product: Trace) -> Iterator[Found]:
    """(1 − CE)^γ · log CE of a mean, which takes the loss for a probability."""
    powers = [_through(trace, "mul", "neg") for trace in product.parents]
    logs = [_through(trace, "neg") for trace in product.parents]
    for power in (power for power in powers if power.op == "pow" and power.parents):
        rest = power.parents[0].back()
        loss = _through(rest, "rsub", "sub", "add", "neg")
        logged = any(log.op == "log" and log.parents and log.parents[0].back() is loss for log in logs)
        rows = _rows_of_mean(loss)
        if logged and rest is not loss and rows > 1:
            yield _composed.focal("mean", rows)._replace(place=product.place)


def _rows_of_mean(trace: Trace) -> int:
    """How many rows are in a loss that is one number; 0 for what is none."""
    loss = trace.parents[0].back() if trace.op in ("mean", "sum") and trace.parents and not trace.shape else trace
    reduced = loss.op == "loss" and (loss is not trace or loss.arguments["reduced"])
    return loss.arguments["rows"] if reduced else 0


def mean_of_classes(mean: Trace) -> Iterator[tuple[Found, int]]:
    """A mean over the terms of kl_div with reduction="none", of which a row has one for each class; how many."""
    terms = mean.parents[0] if mean.parents else mean
    divergence = _through(terms, "mul", "div")
    if divergence.op != "loss" or divergence.arguments["name"] != "kl_div" or terms.shape != divergence.shape:
        return
    rank, over = len(terms.shape), mean.arguments.get("dim")
    given = over if isinstance(over, (tuple, list)) else range(rank) if over is None else [over]
    axis = distribution_axis(divergence.parents[0], rank) if divergence.parents else rank - 1
    classes = terms.shape[axis] if rank > 1 else 1
    if classes > 1 and any(isinstance(at, int) and at % rank == axis for at in given):
        yield _composed.mean_of_classes(place_of(divergence), classes, axis - rank)._replace(place=mean.place), classes


def _through(trace: Trace, *operations: str) -> Trace:
    """What went into some operations, or into moves."""
    trace = trace.back()
    while trace.op in operations and trace.parents:
        trace = trace.parents[0].back()
    return trace


def factors(product: Trace) -> Iterator[tuple[Trace, tuple[float, ...]]]:
    """Each tensor that has become a product with numbers, or a quotient, and the numbers that it met since."""
    numbers: tuple[float, ...] = ()
    trace = product.back()
    while trace.op in ("mul", "div") and len(trace.parents) == 1:
        given = [n for n in trace.arguments.values() if isinstance(n, (int, float)) and not isinstance(n, bool)]
        if len(given) != 1 or given[0] == 0:
            return
        numbers = (given[0] if trace.op == "mul" else 1 / given[0], *numbers)
        trace = trace.parents[0].back()
        yield trace, numbers


def mean_of_means(mean: Trace) -> Iterator[Found]:
    """A mean over means of different numbers of rows."""
    stack = mean.parents[0] if mean.parents else mean
    losses = [loss.back() for loss in stack.parents]
    if stack.op in ("stack", "cat") and all(loss.op == "loss" and loss.arguments["reduced"] for loss in losses):
        yield from unequal(losses, mean.place)


def unequal(losses: list[Trace], place: Place | None) -> Iterator[Found]:
    """Means that are averaged, if they are over different numbers of rows."""
    at = place or Place("", 0)
    parts = [Part(at, number, loss.arguments["rows"], uneven=False) for number, loss in enumerate(losses)]
    if why := _composed.unequal(parts):
        yield _composed.mean_of_means(why)._replace(place=place)


def summands(trace: Trace, through: tuple[str, ...] = ("add", "sum"), *, differentiated: bool = False) -> list[Trace]:
    """The losses that a sum consists of; of long sums the last ones, and if asked for those with a graph."""
    losses, sums = list[Trace](), [trace]
    for _ in range(1024):
        if not sums:
            break
        made = sums.pop()
        if differentiated and not made.requires_grad:
            continue
        if made.op == "loss":
            losses.append(made)
        elif made.op in (*through, "stack", "cat"):
            sums += made.parents
        elif made.op in MOVES:
            sums += made.parents[:1]
    return losses[::-1]


LINEAR = ("add", "mul", "div")
"""Operations that losses are put together by."""


def running_sum(total: Trace) -> Iterator[Found]:
    """A sum over steps of losses with their graph."""
    steps = {loss.arguments["step"] for loss in summands(total, LINEAR, differentiated=True)}
    if len(steps) > 1:
        yield _composed.kept(f", of {len(steps)} steps,")._replace(place=total.place)


def made_anew(tensor: Trace) -> Iterator[Found]:
    """torch.tensor([loss, …], requires_grad=True)."""
    if any(parent.requires_grad for parent in tensor.parents):
        message = (
            "a new tensor is made of losses: it has their values and not their graph, so that no weight is trained"
        )
        yield Found("detached-loss", message, place=tensor.place)


def trained_nothing(differentiated: Trace, is_leaf: bool) -> Iterator[Found]:
    """backward() of a tensor that nothing made: its own gradient is 1, and nothing else has one."""
    if is_leaf and not any(parent.requires_grad for parent in differentiated.parents):
        message = (
            f"backward() of a tensor{place_of(differentiated)} without a graph: nothing gets a gradient but itself"
        )
        yield Found("detached-loss", message)


def idle_terms(differentiated: Trace) -> Iterator[Found]:
    """Terms of a sum of losses that were cut from their graph; l + l.detach() is added on purpose."""
    trained = summands(differentiated, LINEAR, differentiated=True)
    terms, at = [differentiated], 0
    while at < min(len(terms), 1024):
        term, at = terms[at], at + 1
        cuts = term.op in ("detach", "data") and any(parent.requires_grad for parent in term.parents)
        lost = summands(term.parents[0], LINEAR) if cuts else []
        if lost and not any(loss in trained for loss in lost):
            yield _composed.idle_term("")._replace(place=term.place)
        if trained and (term.op == "loss" or term.op.endswith("_loss")):
            yield from (_composed.idle_term("")._replace(place=cut.place) for cut in _cut_before(term))
        if term.op in (*LINEAR, *MOVES) and not cuts:
            weighed = term.op in ("mul", "div") and len(term.parents) > 1  # a detached factor is a weight
            terms += [parent for parent in term.parents if parent.requires_grad or not weighed]


def _cut_before(loss: Trace) -> list[Trace]:
    """Where what a loss is computed from was cut from its graph, if the loss has none."""
    if loss.requires_grad:
        return []
    cuts = (trace for trace in ancestors(loss) if trace.op in ("detach", "data"))
    return [cut for cut in cuts if any(parent.requires_grad for parent in cut.parents)][:1]


def log_of_softmax(log: Trace) -> Iterator[Found]:
    """A logarithm of a softmax that is differentiated, wherever it goes."""
    made = made_by(log, max(len(log.shape) - 1, 0))
    if made.op == "log of softmax":
        where = f"after the softmax{place_of(made.softmax or made.trace)}"
        yield _composed.log_of_softmax(where)._replace(place=log.place)
