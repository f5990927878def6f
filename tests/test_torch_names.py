"""Torch's private names: all in one module, and what happens where torch has them no more."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import crossentropy
from sampling import some

SOURCE = Path(crossentropy.__file__).parent
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.name != "_torch.py")
MARKS = ("_saved_", "_torchdynamo_", "_dynamo_")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


OF_OBJECTS = {
    name
    for kind in (torch.Tensor, torch.nn.Module, torch.optim.Optimizer, torch.autograd.Function)
    for name in (*dir(kind), *getattr(kind, "__annotations__", {}))
    if is_private(name)
}
"""What torch's own objects have and do not promise."""


def private_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of each use of what torch does not promise."""
    roots = set()
    for node in ast.walk(tree):
        imported = []
        if isinstance(node, ast.Import):
            imported = [(alias.name, alias.asname or alias.name.partition(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported = [(f"{node.module}.{alias.name}", alias.asname or alias.name) for alias in node.names]
        for path, name in imported:
            if path.partition(".")[0] == "torch":
                roots.add(name)
                if any(map(is_private, path.split("."))):
                    yield node.lineno, path
    own = {name for node in ast.walk(tree) for name in _own(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and ast.unparse(node) not in own:
            if _is_torchs(node.attr) or _root(node) in roots:
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_torchs(node.value):
            yield node.lineno, node.value


def _own(node: ast.AST) -> Iterator[str]:
    """What an object gives itself, whose name only looks like one of torch's."""
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
        yield ast.unparse(node)
    elif isinstance(node, ast.ClassDef):
        yield from (f"self.{ast.unparse(line.target)}" for line in node.body if isinstance(line, ast.AnnAssign))
        yield from (f"self.{line.name}" for line in node.body if isinstance(line, ast.FunctionDef))


def _is_torchs(name: str) -> bool:
    return name in OF_OBJECTS or name.startswith(MARKS)


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_private_names_are_in_one_module(path: Path) -> None:
    assert not list(private_names(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    "code",
    [
        "import torch._dynamo",
        "from torch._C import _functorch",
        "from torch.utils._pytree import tree_map",
        "from torch.overrides import _get_current_function_mode",
        "import torch.nn.functional as F\nF._get_softmax_dim('', 2, 1)",
        "import torch\ntorch._C._nn._parse_to()",
        "from torch.autograd import forward_ad\nforward_ad._current_level",
        "x._version",
        "getattr(x, '_base')",
        "node._saved_dim",
        "function._torchdynamo_disable = True",
    ],
)
def test_a_private_name_is_seen(code: str) -> None:
    assert list(private_names(ast.parse(code)))


# --- torch without them -------------------------------------------------------------------------------------------


def looked_up() -> list[str]:
    """The names that the module looks up."""
    tree = ast.parse((SOURCE / "_torch.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "_found"]
    return sorted({str(ast.literal_eval(call.args[0])) for call in calls})


LATE = ["_dynamo.symbolic_convert.InstructionTranslator.current_tx", "_saved_dim", "_saved_self_sym_sizes"]
"""Names that are looked up when they are needed."""
NAMES = ["", *some(looked_up(), 15), *LATE]


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    """What went wrong without each of the names."""
    script = Path(__file__).with_name("absent_torch_names.py")
    done = subprocess.run([sys.executable, "-W", "ignore", script, *NAMES], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_right_without(name: str, outcomes: dict[str, str]) -> None:
    assert outcomes[name] == ""
