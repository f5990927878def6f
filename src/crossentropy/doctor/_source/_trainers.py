"""Trainers of libraries, which are given a model and a criterion, objects or classes, and apply one to the other.

net = NeuralNetClassifier(Net, criterion=nn.CrossEntropyLoss, module__classes=4)    # skorch makes both
trainer = create_supervised_trainer(net, optimizer, nn.CrossEntropyLoss())          # ignite is given both
"""

from __future__ import annotations

from dataclasses import dataclass

from crossentropy.doctor._source import _loaders
from crossentropy.doctor._source._interpreter import Interpreter
from crossentropy.doctor._source._values import (
    Call,
    Choice,
    Class,
    External,
    Instance,
    Layer,
    Tensor,
    Unknown,
    Value,
)


@dataclass(frozen=True)
class _Trainer:
    """How a trainer is called: the name and the position of its arguments."""

    model: tuple[str, int]
    criterion: tuple[str, int]
    default: str = ""
    """The criterion that is used unless one is given."""
    takes_logs: bool = False
    """Whether it takes the logarithm of what NLLLoss is given."""


_SKORCH = (("module", 0), ("criterion", 1))
_TRAINERS = {
    "skorch.NeuralNet": _Trainer(*_SKORCH),
    "skorch.NeuralNetClassifier": _Trainer(*_SKORCH, default="NLLLoss", takes_logs=True),
    "skorch.NeuralNetBinaryClassifier": _Trainer(*_SKORCH, default="BCEWithLogitsLoss"),
    "skorch.NeuralNetRegressor": _Trainer(*_SKORCH, default="MSELoss"),
    "ignite.create_supervised_trainer": _Trainer(("model", 0), ("loss_fn", 2)),
    "fastai.Learner": _Trainer(("model", 1), ("loss_func", 2)),
    "poutyne.Model": _Trainer(("network", 0), ("loss_function", 2)),
    "poutyne.ModelBundle": _Trainer(("network", 0), ("loss_function", 2)),
    "torchbearer.Trial": _Trainer(("model", 0), ("criterion", 2)),
    "torchtuples.Model": _Trainer(("net", 0), ("loss", 1)),
    "flash.Task": _Trainer(("model", 0), ("loss_fn", 1)),
    "segmentation_models_pytorch.TrainEpoch": _Trainer(("model", 0), ("loss", 1)),
}
"""By package and name, wherever in the package that is."""


def known(name: str) -> _Trainer | None:
    """The trainer that a class or a function of a library is."""
    return _TRAINERS.get(f"{name.partition('.')[0]}.{name.rpartition('.')[2]}")


def make(run: Interpreter, name: str, call: Call) -> Value:
    """A trainer, for which one step is followed; NotImplemented for anything else."""
    package, last = name.partition(".")[0], name.rpartition(".")[2]
    if package in ("transformers", "trl") and last.endswith("Trainer"):
        return _with_labels(run, name, call)
    trainer = known(name)
    if trainer is None:
        return NotImplemented
    model = _object(run, call.get(*trainer.model), trainer.model[0], call)
    criterion = call.get(*trainer.criterion)
    if criterion is None and trainer.default:
        criterion = External(f"torch.nn.{trainer.default}")
    criterion = _object(run, criterion, trainer.criterion[0], call)
    if isinstance(model, (Instance, Layer, Choice)) and not (trainer.takes_logs and _is_nll(criterion)):
        output = run.call(model, Call([Unknown()], {}, call.place))
        if isinstance(output, Tensor):
            run.call(criterion, Call([output, Unknown()], {}, call.place))
    return Layer(name, call)


def _with_labels(run: Interpreter, name: str, call: Call) -> Value:
    """A trainer of models that compute their own loss: a batch of the data is what such a model is called with."""
    model, data, collate = call.get("model", 0), call.get("train_dataset", 3), call.get("data_collator", 2)
    if isinstance(model, (Instance, Layer)) and isinstance(data, (Instance, Layer)):
        given = {} if collate is None else {"collate_fn": collate}
        loader = _loaders.make("DataLoader", "torch.utils.data.DataLoader", Call([data], given, call.place))
        batch = next(iter(_loaders.batches(run, loader)), None)
        if isinstance(batch, dict) and all(isinstance(key, str) for key in batch):
            run.call(model, Call([], batch, call.place))
    return Layer(name, call)


def _object(run: Interpreter, given: Value, role: str, call: Call) -> Value:
    """What a trainer uses: of a class an object, made with the arguments that begin with its role, as skorch has it."""
    is_class = isinstance(given, Class) or (isinstance(given, External) and given.name.rpartition(".")[2][:1].isupper())
    if not is_class:
        return given
    prefix = f"{role}__"
    settings = {name.removeprefix(prefix): value for name, value in call.kwargs.items() if name.startswith(prefix)}
    return run.call(given, Call([], settings, call.place))


def _is_nll(criterion: Value) -> bool:
    return isinstance(criterion, Layer) and criterion.kind == "NLLLoss"
