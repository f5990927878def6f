"""Methods and attributes of what is not read: tensors, layers, lists, dictionaries, strings."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from crossentropy.doctor._knowledge._facts import minus
from crossentropy.doctor._knowledge._loss_call import LossCall
from crossentropy.doctor._knowledge._operations import canonical
from crossentropy.doctor._knowledge._targets import padding
from crossentropy.doctor._source import (
    _configurations,
    _libraries,
    _losses,
    _operations,
    _options,
    _parts,
    _random,
    _records,
    _registries,
    _shapes,
    _tables,
    _tokenizers,
    _trainers,
)
from crossentropy.doctor._source._creation import CREATION, shape_of, share
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._interpreter import Interpreter
from crossentropy.doctor._source._report import Report
from crossentropy.doctor._source._unknowns import AS_MODEL, MODEL
from crossentropy.doctor._source._values import (
    Bound,
    Bounded,
    Call,
    External,
    Function,
    Instance,
    Layer,
    Maybe,
    Number,
    Super,
    Tensor,
    Unknown,
    Value,
    as_settings,
    is_known,
    is_setting,
)

_ITSELF = (
    "to",
    "cuda",
    "cpu",
    "float",
    "half",
    "double",
    "bfloat16",
    "share_memory",
    "apply",
    "type",
    "compile",
    "clone",
)
_CHEAP = frozenset((
    "lower", "upper", "strip", "split", "startswith", "endswith", "replace", "join", "index", "find", "rfind", "rindex",
    "count", "lstrip", "rstrip", "casefold", "isdigit", "isdecimal", "isnumeric", "isalpha", "isalnum",
    "isidentifier", "title", "capitalize", "rsplit", "partition", "rpartition", "removeprefix", "removesuffix",
    "splitlines",
))  # fmt: skip
"""Methods of strings that are run."""
_WRITES = ("append", "extend", "insert", "add", "clear", "pop", "reverse", "remove", "sort", "appendleft")
_TENSOR_METHODS = frozenset(
    [
        "softmax",
        "log_softmax",
        "sigmoid",
        "argmax",
        "backward",
        "view",
        "reshape",
        "permute",
        "transpose",
        "unsqueeze",
        "squeeze",
        "long",
        "detach",
        "masked_fill",
        "flatten",
        "item",
        "contiguous",
        "logsumexp",
    ]
)


def tensor_attribute(x: Tensor, name: str) -> Value:
    """x.name."""
    if name == "shape":
        return _operations.shape_value(x)
    if name in ("T", "mT", "H", "mH"):
        return _shapes.moved(x, canonical(name), {})
    if name == "dtype":
        return External(f"torch.{'float32' if x.dtype == 'float' else x.dtype}") if x.dtype else Unknown()
    if name == "ndim":
        return x.rank if x.rank is not None else Unknown()
    if name in ("grad", "device", "is_cuda", "requires_grad", "grad_fn"):
        return Unknown()
    if name in ("logits", "loss", "last_hidden_state", "pooler_output"):
        return Unknown()
    return Bound(x, name)


def layer_attribute(layer: Layer, name: str) -> Value:
    """An attribute of an object of a class that is not read."""
    if layer.name in _tables.TABLES and (found := _tables.attribute(layer, name)) is not None:
        return found
    names = {"out_features": ("out_features", 1), "in_features": ("in_features", 0), "out_channels": ("out_channels",
    1),
             "num_embeddings": ("num_embeddings", 0), "embedding_dim": ("embedding_dim", 1)}  # fmt: skip
    if name in names:
        return layer.call.get(*names[name])
    if name in ("weight", "bias") and layer.name.startswith("torch.nn"):
        rows = layer.call.get("out_features", 1) if layer.kind == "Linear" else layer.call.get("num_embeddings", 0)
        size = rows if isinstance(rows, (int, Unknown)) else Unknown()
        return Tensor(dtype="float", graph=True, shape=(size, Unknown()) if name == "weight" else (size,))
    if name in ("pad_token_id", "pad_id", "pad_index"):
        return layer.attributes.setdefault(name, Unknown())
    if name == "training":
        return True
    if name == "dtype" and layer.kind == "parameters":
        return External("torch.float32")
    if name in ("config", "hparams", "args") or _configurations.is_entry(layer, name):
        return layer.attributes.setdefault(name, Unknown())
    return Bound(layer, name)


def call(run: Interpreter, owner: Value, name: str, arguments: Call) -> Value:
    """owner.name(...)."""
    if isinstance(owner, Tensor):
        return _of_tensor(run, owner, name, arguments)
    if isinstance(owner, Number):
        return _of_number(run, owner, name, arguments)
    if isinstance(owner, list):
        return _of_list(run, owner, name, arguments)
    if isinstance(owner, dict):
        return _of_dict(run, owner, name, arguments)
    if isinstance(owner, (Layer, Instance)):
        return _of_object(run, owner, name, arguments)
    if isinstance(owner, Super):
        return _of_super(run, owner, name, arguments)
    if isinstance(owner, Unknown):
        return _of_unknown(run, owner, name, arguments)
    if isinstance(owner, (str, bytes, int, float, tuple, range)):
        return _of_constant(owner, name, arguments)
    return Unknown()


def _of_tensor(run: Interpreter, x: Tensor, name: str, arguments: Call) -> Value:
    if name == "backward":
        run.report.backward(x, arguments.place)
        return None
    if name == "where":
        condition = as_tensor(arguments.get("condition", 0))
        return _operations.operate(
            run.report, "where", Call([condition, x, arguments.get("other", 1)], {}, arguments.place)
        )
    if name in ("new_zeros", "new_ones", "new_full", "new_tensor", "new_empty"):
        return CREATION[name[4:]](arguments)
    return _operations.operate(run.report, name, arguments.before(x))


def _of_number(run: Interpreter, number: Number, name: str, arguments: Call) -> Value:
    if name == "backward":
        run.report.backward(number.tensor, arguments.place)
    return number if name in ("item", "detach", "cpu", "numpy", "__float__") else Unknown()


def _of_unknown(run: Interpreter, owner: Unknown, name: str, arguments: Call) -> Value:
    if name in AS_MODEL and MODEL not in owner.members:
        run.journal.store(owner.members, MODEL, True)
    if name in ("eval", "train", "to", "cuda", "cpu", "requires_grad_", "float", "double", "half", "bfloat16"):
        return owner
    if name in ("forward", "__call__"):
        return run.call(owner, arguments)
    if name in ("step", "zero_grad"):
        return _step(run, arguments)
    if name == "backward" and (arguments.args or "loss" in arguments.kwargs):
        return _backward_of(run, arguments)
    if name == "backward":
        run.journal.store(owner.members, "*backward", arguments.place)
    if _tokenizers.fills_up(arguments):
        return _tokenizers.encoding()
    if name in _TENSOR_METHODS or (name == "clone" and _tokenizers.is_filled_up(owner)):
        return _of_tensor(run, as_tensor(owner), name, arguments)
    if name in ("size", "parameters", "keys", "items", "values"):
        return owner.member((name, *(a for a in arguments.args if is_known(a))))
    run.report.kept([value for value in arguments.args if isinstance(value, list)], arguments.place)
    if name in ("mean", "sum"):
        return Unknown.of(owner)
    return Unknown(owner=owner if owner.foreign else None)


def _step(run: Interpreter, arguments: Call) -> Value:
    """optimizer.step(), which may be given a function that computes the loss."""
    run.report.step()
    closure = arguments.get("closure", 0)
    if isinstance(closure, (Function, Bound)):
        return run.call(closure, Call([], {}, arguments.place))
    return Unknown()


def _of_list(run: Interpreter, rows: list[Value], name: str, arguments: Call) -> Value:
    first = arguments.args[0] if arguments.args else None
    if name in _WRITES:
        run.journal.change(rows)
        if run.endless:
            run.uncounted[id(rows)] = rows
    if name in ("append", "add", "appendleft"):
        rows.append(first) if len(rows) < 4096 else None
        if not isinstance(rows, Bounded):
            run.report.kept(reversed(rows), arguments.place)
    elif name == "extend":
        rows.extend(list(run.iterate(first))[:4096])
        run.report.kept(reversed(rows), arguments.place)
    elif name == "insert" and len(arguments.args) == 2:
        at = first if type(first) is int else len(rows)
        rows.insert(at, arguments.args[1])
    elif name == "clear":
        rows.clear()
    elif name == "reverse":
        rows.reverse()
    elif name == "pop":
        item = rows.pop(first if type(first) is int and -len(rows) <= first < len(rows) else -1) if rows else Unknown()
        return Unknown() if isinstance(item, Maybe) else item
    elif name == "copy":
        return list(rows)
    elif name == "index" and is_known(first) and first in [row for row in rows if is_known(row)]:
        return next(i for i, row in enumerate(rows) if is_known(row) and row == first)
    elif name not in ("remove", "sort"):
        return Unknown()
    return None


def _of_dict(run: Interpreter, table: dict[Value, Value], name: str, arguments: Call) -> Value:
    key = arguments.args[0] if arguments.args else None
    if name in ("items", "keys", "values"):
        return list(getattr(table, name)())
    if name in ("get", "pop", "setdefault"):
        return _entry(run, table, name, key, arguments)
    if name == "update":
        given = key if isinstance(key, dict) else {}
        for item, value in (given | arguments.kwargs).items():
            run.journal.store(table, item, value)
        return None
    return dict(table) if name == "copy" else Unknown()


def _entry(run: Interpreter, table: dict[Value, Value], name: str, key: Value, arguments: Call) -> Value:
    default = arguments.args[1] if len(arguments.args) > 1 else None
    if not is_known(key) and not isinstance(key, (External, tuple)):
        return Unknown()
    with suppress(TypeError):
        if name == "setdefault" and key not in table:
            run.journal.store(table, key, default)
        return table.get(key, default if "*" not in table else Unknown())
    return Unknown()


def _of_constant(owner: Value, name: str, arguments: Call) -> Value:
    """Methods of strings and numbers are run, if they are cheap."""
    values = [*arguments.args, *arguments.kwargs.values()]
    plain = all(is_known(value) or (isinstance(value, list) and all(map(is_known, value))) for value in values)
    if name == "format" or name not in _CHEAP or not plain or (isinstance(owner, (str, bytes)) and len(owner) > 10_000):
        return Unknown()
    with suppress(TypeError, ValueError, AttributeError):
        result = getattr(owner, name)(*arguments.args, **arguments.kwargs)
        return as_settings(result) if any(map(is_setting, (owner, *values))) else result
    return Unknown()


def _of_super(run: Interpreter, owner: Super, name: str, arguments: Call) -> Value:
    instance = owner.owner
    if not isinstance(instance, Instance):
        return Unknown()
    if name == "__init__":
        base = instance.cls.external()
        of_torch = base.startswith("torch.") and base != "torch.nn.Module"
        of_library = base.rpartition(".")[2] in ("DataLoader", *_libraries.BASES) or _trainers.known(base) is not None
        if of_library and "*made" in instance.attributes:
            arguments = replace(arguments, place=instance.attributes["*made"])
        if of_torch or of_library:
            instance.attributes["*base"] = run.external(base, arguments)
        return None
    if name in ("forward", "__call__"):
        base, forward = instance.attributes.get("*base"), instance.cls.find("forward")
        if name == "__call__" and isinstance(forward, Function):
            return run.call_function(forward, arguments.before(instance))
        return run.call(_losses.as_set(base, instance), arguments) if isinstance(base, Layer) else Unknown()
    return _of_object(run, instance, name, arguments)


def _of_object(run: Interpreter, owner: Layer | Instance, name: str, arguments: Call) -> Value:
    """Methods of models, criteria, optimizers and loaders."""
    first = arguments.args[0] if arguments.args else None
    if isinstance(owner, Layer) and owner.name in _tables.TABLES:
        return _tables.method(run, owner, name, arguments)
    if name in ("eval", "train"):
        run.journal.store(owner.attributes, "training", name == "train" and arguments.get("mode", 0, True) is not False)
        return owner
    if name == "requires_grad_":
        run.journal.store(owner.attributes, "frozen", arguments.get("requires_grad", 0, True) is False)
        return owner
    if name in ("parameters", "named_parameters"):
        handle = Layer("parameters", arguments, attributes={"owner": owner})
        return [handle] if name == "parameters" else [(Unknown(), handle)]
    if name in ("register_buffer", "register_parameter", "add_module", "register_module") and isinstance(first, str):
        value = arguments.args[1] if len(arguments.args) > 1 else arguments.kwargs.get("tensor", Unknown())
        return _registered(run, owner, first, value)
    if name in ("forward", "__call__"):
        return run.call(owner, arguments)
    if name in ("step", "zero_grad"):
        return _step(run, arguments)
    if name == "backward" and isinstance(owner, Layer) and owner.kind in _losses.CLASSES:
        _losses.constructed_for_call(run.report, owner)
        return None
    if name in _ITSELF:
        return owner
    if name == "backward" and isinstance(first, Tensor):
        return _backward_of(run, arguments)
    if isinstance(owner, Layer):
        return _of_layer(run, owner, name, arguments)
    return _inherited(run, owner, name, arguments)


def _backward_of(run: Interpreter, arguments: Call) -> None:
    """engine.backward(loss); of loss.backward(gradient), where the loss is not known, nothing is said."""
    loss = arguments.get("loss", 0)
    if isinstance(loss, Tensor) and loss.parts:
        run.report.backward(loss, arguments.place)


def _registered(run: Interpreter, owner: Layer | Instance, name: str, value: Value) -> None:
    if isinstance(owner, Layer):
        _parts.kept(run.journal, owner, name, value)
    elif isinstance(base := owner.attributes.get("*base"), Layer) and base.kind in _parts.CONTAINERS:
        _parts.kept(run.journal, base, name, value)
    run.journal.store(owner.attributes, name, value)


def _inherited(run: Interpreter, owner: Instance, name: str, arguments: Call) -> Value:
    if (found := _records.method(owner, name, arguments)) is not NotImplemented:
        return found
    base = owner.attributes.get("*base")
    if isinstance(base, (Layer, list, dict)):
        return run.method(base, name, arguments)
    return Unknown()


def _of_layer(run: Interpreter, layer: Layer, name: str, arguments: Call) -> Value:
    first = arguments.args[0] if arguments.args else None
    if (found := _tables.transformed(layer, name, arguments)) is not NotImplemented:
        return found
    if layer.kind in ("ModuleList", "Sequential", "ParameterList") and name in ("append", "extend", "insert"):
        run.journal.change(layer.items)
        given = list(run.iterate(first)) if name == "extend" else [arguments.args[-1] if arguments.args else Unknown()]
        at = first if name == "insert" and type(first) is int else len(layer.items)
        layer.items[at:at] = given
        layer.names = [str(i) for i in range(len(layer.items))]
        return None
    if layer.kind in ("ModuleDict", "ParameterDict") and name == "update":
        for key, value in _parts.entries(first):
            _parts.kept(run.journal, layer, key, value)
        return None
    if layer.kind in _parts.CONTAINERS and name in ("pop", "popitem"):
        return _parts.removed(run.journal, layer, -1 if first is None else first)
    if name in ("items", "named_children", "named_modules"):
        return _parts.pairs(layer)
    if name in ("values", "children", "modules"):
        return list(layer.items)
    if name == "keys":
        return list(layer.names)
    if _tokenizers.fills_up(arguments):
        return _tokenizers.encoding()
    for library in (_configurations.method, _registries.method):
        if (found := library(run, layer, name, arguments)) is not NotImplemented:
            return found
    if layer.kind == "ArgumentParser":
        return _of_parser(run, layer, name, arguments)
    if layer.kind in ("default_rng", "Generator", "RandomState") and name in CREATION:
        return CREATION[name](arguments)
    if layer.name in _random.GENERATORS:
        return Unknown() if (drawn := _random.draw(run, name, arguments)) is NotImplemented else drawn
    if layer.kind == "Scaler" or layer.kind == "GradScaler":
        return first if name == "scale" else run.report.step() if name == "step" else Unknown()
    if name == "sample" or name == "rsample":
        return _sampled(layer, arguments)
    if name == "log_prob" and layer.kind == "AdaptiveLogSoftmaxWithLoss":
        return Tensor(kind="log-probabilities", made=arguments.place, graph=True, axis=-1, normal=-1)
    return Unknown()


def _sampled(layer: Layer, arguments: Call) -> Tensor:
    if layer.kind == "Beta" and all(isinstance(number, (int, float)) for number in layer.call.args):
        return share(shape_of([arguments.get("sample_shape", 0, ())]))
    kinds = {"Dirichlet": "soft", "Normal": "normal", "Uniform": "", "Categorical": "indices"}
    return Tensor(kind=kinds.get(layer.kind, ""), graph=False)


def _of_parser(run: Interpreter, parser: Layer, name: str, arguments: Call) -> Value:
    """Options with their defaults; of an option with choices the value is not known."""
    if name == "add_argument":
        flags = [flag for flag in arguments.args if isinstance(flag, str)]
        long = next((flag for flag in flags if flag.startswith("--")), flags[0] if flags else "")
        dest = arguments.kwargs.get("dest", long.lstrip("-").replace("-", "_"))
        action = arguments.kwargs.get("action")
        default = arguments.kwargs.get(
            "default", action != "store_true" and (True if action == "store_false" else Unknown())
        )
        if "choices" in arguments.kwargs or default is None:
            default = Unknown()
        run.journal.store(parser.attributes, f"--{dest}", default)
        return Unknown()
    if name in ("parse_args", "parse_known_args"):
        defaults = {key[2:]: value for key, value in parser.attributes.items() if key.startswith("--")}
        options = {name: _options.named(name, value) for name, value in defaults.items()}
        space = Layer("argparse.Namespace", arguments, attributes=options)
        return (space, []) if name == "parse_known_args" else space
    return parser if name.startswith("add_") else Unknown()


def is_language_model(layer: Layer) -> bool:
    """Whether an object is a model of the transformers library."""
    return layer.name.startswith("transformers.") and ("For" in layer.kind or "LMHead" in layer.kind)


def language_model(report: Report, layer: Layer, arguments: Call) -> Value:
    """model(input_ids, labels=…) of the transformers library, which applies its loss itself."""
    ids, labels = arguments.get("input_ids", 0), arguments.get("labels")
    logits = Tensor(kind="logits", made=arguments.place, dtype="float", graph=True, axis=-1)
    causal = "CausalLM" in layer.kind or "LMHead" in layer.kind
    if isinstance(ids, (Tensor, Unknown)):
        tokens = as_tensor(ids)
        logits = logits.to(source=tokens.source, offset=tokens.offset) if causal else logits
    out = Layer("transformers.output", arguments, attributes={"logits": logits})
    if labels is not None:
        y = as_tensor(labels)
        part = report.part(arguments.place, None, uneven=False)
        out.attributes["loss"] = Tensor(kind="loss", made=arguments.place, shape=(), graph=True, reduction="mean",
                                        parts=frozenset({part}))  # fmt: skip
        case = LossCall("cross_entropy", logits, y, {}, arguments.place, "mean", layer.call.place)
        for found in padding(case):
            report.tell(found, arguments.place)
        if causal and y.source is not None and y.source is logits.source and minus(y.offset, logits.offset) == 1:
            report.add(
                "causal-shift",
                arguments.place,
                f"labels are shifted by one already, and {layer.kind} shifts them itself: position t is "
                "trained on token t + 2",
            )
    return out
