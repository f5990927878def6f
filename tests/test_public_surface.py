"""What the package offers, exactly; what importing it costs; and that its documentation is complete."""

import argparse
import copy
import doctest
import importlib
import inspect
import io
import pickle
import pkgutil
import re
import subprocess
import sys
import traceback
import typing

import pytest
import torch

import crossentropy
from crossentropy import cli

SURFACE = {
    "crossentropy": [
        "ArgumentError", "ArgumentIndexError", "ArgumentTypeError", "ArgumentValueError", "ArgumentWarning",
        "Difference", "Explanation", "ExplanationDisplay", "Landmark", "LazyLogits", "Options", "Step",
        "LossStatistics", "TokenStatistics", "continuous", "distributed", "doctor", "explain", "functional", "fuse",
        "fused", "information", "lazy", "nn", "unfuse",
    ],
    "crossentropy.information": [
        "cross_entropy", "entropy", "information", "js_divergence", "kl_divergence", "mutual_information",
        "perplexity",
    ],
    "crossentropy.continuous": ["Estimate", "cross_entropy", "entropy", "kl_divergence"],
    "crossentropy.functional": [
        "LossStatistics", "TokenStatistics", "binary_cross_entropy", "binary_cross_entropy_with_logits",
        "cosine_cross_entropy", "cross_entropy", "focal_loss", "generalized_cross_entropy",
        "js_div_with_logits", "kl_div", "kl_div_with_logits", "linear_cross_entropy", "linear_js_div",
        "linear_kl_div", "linear_reverse_kl_div", "linear_topk_kl_div", "log_softmax", "nll_loss", "poly1_loss",
        "reverse_kl_div_with_logits", "row_loss", "sampled_linear_cross_entropy", "softmax", "token_statistics",
        "topk_kl_div_with_logits",
    ],
    "crossentropy.distributed": [
        "shift_labels", "token_denominator", "vocab_parallel_cross_entropy", "vocab_parallel_linear_cross_entropy",
        "vocab_parallel_linear_kl_div", "vocab_parallel_token_statistics",
    ],
    "crossentropy.nn": [
        "BCELoss", "BCEWithLogitsLoss", "CosineCrossEntropyLoss", "CrossEntropyLoss", "FocalLoss",
        "GeneralizedCrossEntropyLoss", "JSDivWithLogitsLoss", "KLDivLoss", "KLDivWithLogitsLoss",
        "LinearCrossEntropyLoss", "LinearJSDivLoss", "LinearKLDivLoss", "LinearTopKKLDivLoss", "LogSoftmax", "NLLLoss",
        "Poly1Loss", "SampledLinearCrossEntropyLoss", "Softmax",
    ],
    "crossentropy.lazy": [
        "Event", "Head", "History", "LazyLogits", "Verification", "explain", "fuse", "fused", "unfuse",
    ],
    "crossentropy.metrics": [
        "Accuracy", "BitsPerByte", "BitsPerCharacter", "BitsPerToken", "Calibration",
        "ExpectedCalibrationError", "Perplexity", "Reliability", "TemperatureScaling", "TopKAccuracy",
    ],
    "crossentropy.integrations": ["LossParts"],
    "crossentropy.integrations.transformers": ["CausalLoss", "FuseCallback", "LossPartsMixin"],
    "crossentropy.integrations.lightning": ["FuseCallback", "LossPartsCallback"],
    "crossentropy.integrations.accelerate": ["denominator", "log", "prepare"],
    "crossentropy.doctor": ["Finding", "Report", "Rule", "watch"],
    "crossentropy.testing": ["assert_accurate", "assert_no_worse", "hostile_logits", "peak_bytes"],
}  # fmt: skip

OPTIONAL_MODULES = {
    "crossentropy": ["integrations", "metrics"],
    "crossentropy.integrations": ["accelerate", "lightning", "transformers"],
}
"""Public modules that are in no `__all__`, for `import *` must not need what they need."""

CALLABLES = [
    (module, name)
    for module, names in SURFACE.items()
    for name in names
    if not inspect.ismodule(getattr(importlib.import_module(module), name))
]

RESULTS = (
    "Calibration", "Difference", "Estimate", "Event", "Explanation", "Finding", "Head", "History", "Landmark",
    "LossStatistics", "Reliability", "Report", "Rule", "Step", "TokenStatistics", "Verification",
)  # fmt: skip
# come from no paper and no page of torch
OWN = (
    "shift_labels",
    "token_denominator",
    "vocab_parallel_token_statistics",
    "Options",
    "token_statistics",
    "row_loss",
    "ExplanationDisplay",
    "CausalLoss",
    "FuseCallback",
    "LossParts",
    "LossPartsCallback",
    "LossPartsMixin",
    "denominator",
    "log",
    "prepare",
    "LazyLogits",
    "explain",
    "fuse",
    "fused",
    "unfuse",
    "watch",
)

# caught, not called
CAUGHT = ("ArgumentError", "ArgumentIndexError", "ArgumentTypeError", "ArgumentValueError", "ArgumentWarning")

OPTIONAL = (
    "matplotlib",
    "rich",
    "safetensors",
    "sklearn",
    "scipy",
    "numpy.testing",
    "hypothesis",
    "pytest",
    "crossentropy.demo",
    "libcst",
    "torchmetrics",
    "transformers",
    "lightning",
    "accelerate",
)

LOADED = """
import sys
import torch
before = set(sys.modules)
{statement}
new = set(sys.modules) - before
print(sorted(name for name in new if name.startswith({optional!r})))
"""


@pytest.mark.parametrize("module", SURFACE)
def test_surface(module: str) -> None:
    assert sorted(importlib.import_module(module).__all__) == sorted(SURFACE[module])


def test_every_public_module_is_here() -> None:
    walked = {
        info.name for info in pkgutil.walk_packages(crossentropy.__path__, "crossentropy.") if "._" not in info.name
    }
    commands = {name for name in walked if name.startswith(("crossentropy.cli", "crossentropy.demo"))}
    assert walked - commands - {"crossentropy.doctor.rules"} == {*SURFACE} - {"crossentropy"}


@pytest.mark.parametrize("module", SURFACE)
def test_completion_shows_what_is_public(module: str) -> None:
    shown = [name for name in dir(importlib.import_module(module)) if not (name[:2] == name[-2:] == "__")]
    assert shown == sorted([*SURFACE[module], *OPTIONAL_MODULES.get(module, ())])


def test_completion_shows_no_module_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torchmetrics", "lightning"):
        monkeypatch.setitem(sys.modules, package, None)
    shown = {*dir(crossentropy), *dir(importlib.import_module("crossentropy.integrations"))}
    assert shown & {"metrics", "integrations", "transformers", "lightning"} == {"integrations", "transformers"}


@pytest.mark.parametrize(("module", "name"), CALLABLES)
def test_tools_find_what_is_public(module: str, name: str) -> None:
    """Source, type hints, pickles, copies and examples are found by what a class or function says of itself."""
    thing = getattr(importlib.import_module(module), name)
    if name == "explain" and module == "crossentropy":  # an object that is called
        thing = type(thing)
    assert copy.deepcopy(thing) is thing
    assert pickle.loads(pickle.dumps(thing)) is thing
    if inspect.isclass(thing) and name != "ExplanationDisplay":  # whose fields are matplotlib's, which is optional
        typing.get_type_hints(thing)
    if name in CAUGHT:  # of the package, where they are caught; where they are written Python does not find then
        assert thing.__module__ == "crossentropy"
        with pytest.raises(OSError, match=r"could not find class definition|source code not available"):
            inspect.getsource(thing)
        return
    kind = "class" if inspect.isclass(thing) else "def"
    assert re.search(rf"(?m)^{kind} {thing.__name__}\b", inspect.getsource(thing))
    home = inspect.getmodule(thing)
    assert home is not None
    assert inspect.getsourcefile(inspect.unwrap(thing)) == home.__file__
    assert getattr(home, thing.__name__) is thing


@pytest.mark.parametrize(("module", "name"), CALLABLES)
def test_examples_are_collected(module: str, name: str) -> None:
    thing = inspect.unwrap(getattr(importlib.import_module(module), name))
    if ">>>" not in (inspect.getdoc(thing) or ""):
        return
    home = importlib.import_module("crossentropy._errors") if name in CAUGHT else inspect.getmodule(thing)
    assert home is not None
    names = {found.name.rpartition(".")[2] for found in doctest.DocTestFinder().find(home)}
    assert (type(thing).__name__ if name == "explain" and module == "crossentropy" else name) in names


@pytest.mark.parametrize("name", CAUGHT)
def test_errors_are_named_as_they_are_caught(name: str) -> None:
    error = getattr(crossentropy, name)("x is 3")
    assert traceback.format_exception_only(error) == [f"crossentropy.{name}: x is 3\n"]
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert again.args == error.args


@pytest.mark.parametrize("name", SURFACE["crossentropy.nn"])
def test_modules_are_saved_whole(name: str) -> None:
    cls = getattr(crossentropy.nn, name)
    needed = [p for p in inspect.signature(cls).parameters.values() if p.default is p.empty]
    module = cls(*[4] * len(needed), **({"num_samples": 2} if name.startswith("Sampled") else {}))
    for safe in (False, True):
        file = io.BytesIO()
        torch.save(module if not safe else module.state_dict(), file)
        file.seek(0)
        loaded = torch.load(file, weights_only=safe)
        assert (type(loaded) is cls and str(loaded) == str(module)) or safe
    assert str(copy.deepcopy(module)) == str(module)


@pytest.mark.parametrize(("module", "name"), CALLABLES)
def test_docstrings_have_every_part(module: str, name: str) -> None:
    doc = inspect.getdoc(getattr(importlib.import_module(module), name)) or ""
    thing = getattr(importlib.import_module(module), name)
    assert doc.split("\n", 1)[0].endswith((".", "`."))
    parts = ["Args:", "Examples:", ">>>"]
    if name in RESULTS:  # read, not called: their fields are documented
        parts = []
    elif name in CAUGHT:
        parts = ["Examples:", ">>>", "See Also:"]
    elif module == "crossentropy.testing":
        parts += ["Raises:"] if name.startswith("assert_") else ["Returns:"]
    else:
        parts += ["Raises:", "See Also:"]
        parts += ["Shape:"] if module == "crossentropy.nn" else ["Returns:"] if inspect.isfunction(thing) else []
        parts += ["References:"] if name not in OWN else []
    missing = [part for part in parts if part not in doc]
    assert not missing


@pytest.mark.parametrize(("module", "name"), CALLABLES)
def test_every_argument_is_documented(module: str, name: str) -> None:
    thing = getattr(importlib.import_module(module), name)
    if (name in RESULTS and name != "Estimate") or name in CAUGHT:  # fields are documented one by one
        return
    doc = inspect.getdoc(thing) or ""
    undocumented = [
        p for p in inspect.signature(thing).parameters if not p.startswith("_") and f"\n    {p}: " not in doc
    ]
    assert not undocumented


@pytest.mark.parametrize(("module", "name"), CALLABLES)
def test_arguments_say_what_happens_without_them(module: str, name: str) -> None:
    """A default of None says nothing: the words do. Numbers and strings are read in the signature."""
    thing = getattr(importlib.import_module(module), name)
    if (name in RESULTS and name != "Estimate") or name in CAUGHT:
        return
    entries = dict(re.findall(r"(?ms)^ {4}(\w+): (.*?)(?=^ {4}\w+: |^\S|^$|\Z)", inspect.getdoc(thing) or ""))
    for parameter, p in inspect.signature(thing).parameters.items():
        words = " ".join(entries.get(parameter, "").split())
        if p.default is None:
            assert re.search(r"[Dd]efault|\bNone\b|[Ww]ithout|instead of|[Dd]eprecated|As for", words), parameter


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("command", cli.COMMANDS)
def test_options_of_commands_say_what_they_are(command: str, lang: typing.Literal["en", "zh"]) -> None:
    for action in cli.parser_of(command, lang)._actions:
        assert action.help, action.dest
        if action.default not in (None, False, [], argparse.SUPPRESS) and action.option_strings:
            assert re.search("default|默认", action.help), action.dest


def loaded_by(statement: str) -> list[str]:
    """Optional modules that a statement loads in a fresh interpreter."""
    code = LOADED.format(statement=statement, optional=OPTIONAL)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return eval(result.stdout)


def test_import_loads_nothing_optional() -> None:
    everything = "from crossentropy import *; from crossentropy.doctor import *"  # names are loaded on demand
    assert loaded_by(everything) == []


def test_that_test_can_fail() -> None:
    assert "matplotlib" in loaded_by("import crossentropy, matplotlib")


def test_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert version("crossentropy") == crossentropy.__version__


def test_torch_is_of_a_supported_version() -> None:
    assert tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 10)
