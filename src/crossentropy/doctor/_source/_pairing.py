"""Pairing by project: losses whose input an unknown model makes, and the only kind of model that the project has.

The project of a loss is the files that import it, directly or not, and all that these and it import.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from crossentropy.doctor._knowledge._facts import AS_TENSOR
from crossentropy.doctor._knowledge._loss_call import LossCall
from crossentropy.doctor._source import _layers, _losses
from crossentropy.doctor._source._names import used_in
from crossentropy.doctor._source._project import Project
from crossentropy.doctor._source._values import (
    Class,
    Function,
    Layer,
    Module,
    Output,
    Tensor,
    Unknown,
    Value,
    is_counted,
)

MOST_FILES = 80
"""Of a project; larger ones have more models than can be told apart."""
MOST_MODELS = 24

_BASES = ("Module", "LightningModule", "PreTrainedModel", "Sequential")
_KINDS = ("probabilities", "sigmoid", "log-probabilities", "relu", "logits")
_OTHER_MODELS = re.compile(
    r"^\s*(?:import|from)\s+(?:timm|transformers|torchvision\.models|segmentation_models_pytorch|open_clip|clip|monai)\b"
    r"|torchvision\.models|from torchvision import[^\n]*\bmodels\b|torch\.hub\.load",
    re.MULTILINE,
)
"""Where models of other projects are used, which one it is cannot be told."""
_NAMES_OF_LIBRARIES = ("logits", "out", "scores", "masks", "pred_logits", "last_hidden_state")
_OWN_LOSS = re.compile(r"(?:^|_)(?:loss|criterion)|(?:Loss|Criterion)$")
_DYNAMIC = re.compile(r"""import_module\((?:\s*f?["']([\w.]*))?""")


class Pairing:
    """Finds the models of a project, and gives losses their outputs."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._outputs: dict[tuple[int, int, tuple[str, ...], tuple[int | str, ...]], Tensor | None] = {}

    def run(self) -> None:
        """Examine each loss whose input has not been followed to its maker."""
        for case in self.project.report.unpaired:
            path = self._path(case)
            if path is None or case.x.caller is None:
                continue
            made = self._output(path, case, case.x.caller)
            if made is not None:
                x = case.x.to(kind=made.kind, made=made.made, count=made.count, logs=made.logs, graph=True, likely=True)
                _losses.examine_input(self.project.report, case, x)

    def _path(self, case: LossCall) -> str | None:
        return next(
            (path for path, module in self.project.modules.items() if module.source.shown == case.place.path), None
        )

    # --- files --------------------------------------------------------------------------------------------------------

    @cached_property
    def _importers(self) -> dict[str, set[str]]:
        importers: dict[str, set[str]] = {}
        for path, imported in self.project.links.items():
            for other in imported:
                importers.setdefault(other, set()).add(path)
        return importers

    def _files(self, path: str) -> set[str]:
        """The files of the programs that a file is part of."""
        above = _reached([path], lambda file: self._importers.get(file, set()))
        return _reached(above, self._imported)

    def _imported(self, path: str) -> set[str]:
        found = set(self.project.links.get(path, set()))
        module = self.project.modules.get(path)
        if module is None or len(found) > MOST_FILES:
            return found
        for match in _DYNAMIC.finditer(module.source.text):
            folder = os.path.join(os.path.dirname(path), *(match[1] or "").split(".")[:-1])
            found |= {file for file in self.project.files if file.startswith(folder + os.sep)}
        return found

    # --- models -------------------------------------------------------------------------------------------------------

    def _output(self, path: str, case: LossCall, caller: Output) -> Tensor | None:
        """What the models of a project make, if it is the same kind for all."""
        files = self._files(path)
        if len(files) > MOST_FILES:
            return None
        modules = [module for file in sorted(files) if (module := self.project.module_quietly(file)) is not None]
        if not _is_own_name(caller) and any(map(_may_be_others, modules)):
            return None
        models = list(_models(modules, case) if caller.called else _giving(modules, case, caller.path[0]))
        if not 0 < len(models) <= MOST_MODELS:
            return None
        outputs = [output for model in models for output in self._outputs_of(model, caller)]
        kinds = {output.kind for output in outputs}
        if len(kinds) != 1 or not kinds <= set(_KINDS) or self._used_rightly(outputs, files):
            return None
        return outputs[0]

    def _outputs_of(self, model: Class | Function | Layer, caller: Output) -> list[Tensor]:
        """What a model makes: nothing for those that cannot be meant, as they hold another or are a loss."""
        key = (id(model), caller.count, caller.names, caller.path)
        if key not in self._outputs:
            self._outputs[key] = self._follow(model, caller)
        output = self._outputs[key]
        return [] if output is None else [output]

    def _follow(self, model: Class | Function | Layer, caller: Output) -> Tensor | None:
        result = self.project.try_model(model, caller)
        for key in caller.path:
            result = _entry(result, key)
        if isinstance(result, Unknown):
            result = result.members.get(AS_TENSOR)
        if result is NotImplemented or (isinstance(result, Tensor) and (result.parts or result.caller is not None)):
            return None
        return result if isinstance(result, Tensor) else Tensor()

    def _used_rightly(self, outputs: list[Tensor], files: set[str]) -> bool:
        """Whether the outputs go into a loss that was followed, or there is another loss that they are right for."""
        report = self.project.report
        if any(output.made in report.seen for output in outputs):
            return True
        shown = {self.project.modules[file].source.shown for file in files if file in self.project.modules}
        fitting = _losses.RIGHT.get(outputs[0].kind, ())
        return any(place.path in shown and loss in fitting for place, loss in report.open_losses)


def _is_own_name(caller: Output) -> bool:
    """Whether what is read is an entry by a name that none of the libraries' models gives one."""
    return not caller.called and caller.path[0] not in _NAMES_OF_LIBRARIES


def _may_be_others(module: Module) -> bool:
    """Whether a module uses other projects' models, or has a loss of its own that outputs may be meant for."""
    return _OTHER_MODELS.search(module.source.text) is not None or _own_losses(module)


def _entry(outputs: Value, key: int | str) -> Value:
    """An entry of what a model gives; NotImplemented where it has none of that name."""
    if isinstance(outputs, dict):
        return outputs.get(key, NotImplemented)
    if isinstance(outputs, (tuple, list)) and isinstance(key, int) and is_counted(outputs):
        return outputs[key] if -len(outputs) <= key < len(outputs) else NotImplemented
    return Unknown()


def _reached(starts: Iterable[str], following: Callable[[str], set[str]]) -> set[str]:
    seen = set(starts)
    waiting = list(seen)
    while waiting and len(seen) <= MOST_FILES:
        new = following(waiting.pop()) - seen
        seen |= new
        waiting += new
    return seen


def _own_losses(module: Module) -> bool:
    """Whether a module defines a loss without torch's, which may take anything."""
    for value in module.scope.values():
        named = isinstance(value, (Class, Function)) and value.module is module and _OWN_LOSS.search(value.name)
        if named and not any(name in _losses.NAMES for name in used_in(value.node)):
            return True
        if isinstance(value, Class) and value.module is module and _is_model(value) and _compares(value):
            return True
    return False


def _compares(cls: Class) -> bool:
    """Whether a module without layers takes a prediction and a target."""
    forward = cls.scope.get("forward")
    if not isinstance(forward, Function) or not used_in(cls.node).isdisjoint(_layers.LAYERS):
        return False
    required = len(forward.node.args.args) - len(forward.node.args.defaults)
    return required > 2 and not any(name in _losses.NAMES for name in used_in(cls.node))


def _models(modules: list[Module], case: LossCall) -> Iterator[Class | Function | Layer]:
    """Classes of models, functions that make one and models themselves, but for parts of others."""
    classes = [value for module in modules for value in _own(module) if isinstance(value, Class) and _is_model(value)]
    makers = [value for module in modules for value in _own(module) if isinstance(value, Function) and _makes(value)]
    parts = {name for value in [*classes, *makers] for name in used_in(value.node) if name != value.name}
    for cls in classes:
        if cls.name not in parts and not _holds(cls, case):
            yield cls
    yield from (maker for maker in makers if maker.name not in parts)
    for module in modules:
        yield from (value for value in _own(module) if isinstance(value, Layer) and value.kind == "Sequential")


def _giving(modules: list[Module], case: LossCall, key: int | str) -> Iterator[Class]:
    """Models that write an entry of a name, of which one is likely what a loss reads it from."""
    written = re.compile(rf"""["']{re.escape(str(key))}["']\s*(?::|\]\s*=(?!=))|\b{re.escape(str(key))}=""")
    for value in (value for module in modules for value in _own(module)):
        if isinstance(value, Class) and _is_model(value) and not _holds(value, case) and written.search(_text(value)):
            yield value


def _makes(function: Function) -> bool:
    """Whether a function puts layers together."""
    return "Sequential" in used_in(function.node)


def _own(module: Module) -> list[Value]:
    """What a module defines."""
    return [value for value in module.scope.values() if getattr(value, "module", module) is module]


def _is_model(cls: Class) -> bool:
    return cls.external().rpartition(".")[2] in _BASES and isinstance(cls.find("forward"), Function)


def _text(cls: Class) -> str:
    return "\n".join(cls.module.source.lines[cls.node.lineno - 1 : cls.node.end_lineno])


def _holds(cls: Class, case: LossCall) -> bool:
    """Whether the loss is computed in the class itself."""
    lines = range(cls.node.lineno, (cls.node.end_lineno or cls.node.lineno) + 1)
    return cls.module.source.shown == case.place.path and case.place.line in lines
