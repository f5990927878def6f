"""Mutation testing of the engine: small changes of its source, each of which some test should notice.

    make mutants ARGS="_tiny _statistics"          all mutants of two modules
    make mutants ARGS="_reduction --every 3"       every third one

mutmut makes the mutants. They are run here, and not by mutmut, because its mutated modules cannot be traced by
torch.compile, and because importing torch takes longer than most tests: pytest collects the tests once, and each mutant
is a fork of that process in which the changed functions have other code. The tests that are likely to notice something
(those that did, and fast ones) come first, and the first that fails ends the fork. So does too much time or memory: a
mutant that needs ten times as long as all tests took is noticed.

What decides about text is left out: string literals, and `None` in the place of an argument or a value, which nothing
survives. docs/mutants.md lists the survivors, and why each of them computes the same.
"""

import argparse
import difflib
import functools
import gc
import importlib
import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "crossentropy"
FILES = ["test_promises.py", "test_functional.py", "test_numerics.py", "test_agreement.py", "test_engine.py"]
MORE = {
    "_values": ["test_information.py", "test_errors.py"],
    "_tensors": ["test_errors.py"],
    "_targets": ["test_errors.py"],
    "_contract": ["test_errors.py"],
    "_autograd": ["test_autograd.py"],
}
"""Tests of single modules, which are not worth their time for the others."""
MODULES = [
    "_statistics", "_reduction", "_logspace", "_values", "_tiny", "_planner", "_backends.reference",
    "_backends.chunked._memory", "_backends.chunked._tile", "_backends.chunked._cross_entropy",
    "_backends.chunked._token_statistics", "_backends.chunked._divergence", "_backends.chunked._dense",
    "_backends.chunked._linear", "_tensors", "_targets", "_contract", "_dispatch", "_autograd",
]  # fmt: skip
SLOWEST = 4.0
"""Seconds; slower tests are left out."""
MEMORY = 8 << 30


class Mutant(NamedTuple):
    """One change of a module's source."""

    module: str
    source: str
    """The whole module, changed."""

    def diff(self) -> str:
        before = path_of(self.module).read_text("utf-8").splitlines()
        lines = list(difflib.unified_diff(before, self.source.splitlines(), n=0, lineterm=""))[2:]
        return "\n".join(lines)


def path_of(module: str) -> Path:
    return PACKAGE / f"{module.replace('.', '/')}.py"


def mutants(module: str, offset: int = 0, every: int = 1) -> list[Mutant]:
    """The mutants of a module, or one of `every` so many."""
    from mutmut.mutation.file_mutation import create_mutations

    path = path_of(module)
    tree, mutations, *_ = create_mutations(str(path), path.read_text("utf-8"))
    pairs = [(mutation.original_node, mutation.mutated_node) for mutation in mutations]
    pairs = [(old, new) for old, new in pairs if not of_text(old, new)][offset::every]
    return [Mutant(module, tree.deep_replace(old, new).code) for old, new in pairs]  # pyright: ignore[reportAttributeAccessIssue]


def of_text(old: object, new: object) -> bool:
    """Whether a mutant is left out: a string, or None in the place of a value or an argument."""
    import libcst as cst

    if isinstance(old, (cst.SimpleString, cst.Assign, cst.AnnAssign)):
        return True
    return isinstance(old, cst.Call) and isinstance(new, cst.Call) and len(old.args) == len(new.args)


# --- one mutant ---------------------------------------------------------------------------------------------------


def functions(code: CodeType) -> Iterator[CodeType]:
    """The code of the functions of a module and of the methods of its classes."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_flags & 1:  # CO_OPTIMIZED: a function, and not the body of a class
                yield inner
            else:
                yield from functions(inner)


def name_of(code: CodeType) -> str:
    return getattr(code, "co_qualname", code.co_name)  # Python 3.10 has none


def compiled() -> int:
    """How many functions torch.compile has been given so far."""
    from torch._dynamo.utils import counters

    return sum(counters["frames"].values())


def install(mutant: Mutant) -> list[str]:
    """Give the living functions of a module the mutant's code, or the module the mutant's constants.

    Returns:
        The names of the changed functions.
    """
    path = str(path_of(mutant.module))
    original = compile(Path(path).read_text("utf-8"), path, "exec")
    changed = compile(mutant.source, path, "exec")
    pairs = [(a, b) for a, b in zip(functions(original), functions(changed), strict=True) if a != b]
    for before, after in pairs:
        found = [f for f in living(mutant.module) if f.__code__ == before]
        assert found, f"{name_of(before)} is not to be found"
        for function in found:
            function.__code__ = after
    if not pairs:
        install_constants(importlib.import_module(f"crossentropy.{mutant.module}"), changed)
    return [name_of(before) for before, _ in pairs]


@functools.cache
def living(module: str) -> list[FunctionType]:
    """All functions of a module, wherever they are kept: in classes, properties, caches, operators."""
    path = str(path_of(module))
    return [f for f in gc.get_objects() if type(f) is FunctionType and f.__code__.co_filename == path]


def install_constants(module: ModuleType, changed: CodeType) -> None:
    fresh = ModuleType(module.__name__)
    fresh.__file__ = module.__file__
    exec(changed, fresh.__dict__)
    plain = (int, float, str, tuple, dict, set)
    values = {n: v for n, v in vars(fresh).items() if isinstance(v, plain) and not n.startswith("__")}
    values = {name: value for name, value in values.items() if value != getattr(module, name)}
    if not values:
        raise NotImplementedError("the default of a parameter or of a field")
    for name, value in values.items():
        setattr(module, name, value)


class Run(NamedTuple):
    """What became of one mutant."""

    outcome: str
    """"killed", "timeout", "survived", or "not made": what is neither code nor a constant, a field's default say."""
    by: str = ""
    """The test that failed."""


# --- all of them --------------------------------------------------------------------------------------------------


class Plugin:
    """After the collection of tests, runs the mutants instead of them."""

    def __init__(self, todo: list[Mutant], report: Path, seconds: float) -> None:
        self.todo, self.report, self.most = todo, report, seconds
        self.seconds: dict[str, float] = {}
        self.reached: dict[str, list[str]] = {}
        self.kills = Counter(line["by"] for line in lines(report))
        self.failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        measured = self.fork(session, None, 3600)
        if "outcome" in measured:
            raise pytest.UsageError(f"the tests fail without any mutant: {measured['by']}")
        self.seconds = {name: seconds for name, (seconds, _) in measured.items() if seconds <= SLOWEST}
        self.reached = {name: reached for name, (_, reached) in measured.items()}
        limit = 10 * sum(self.seconds.values()) + 30
        print(
            f"\n{len(self.seconds)} tests of {sum(self.seconds.values()):.0f} s, {len(self.todo)} mutants", flush=True
        )
        outcomes: dict[str, Counter[str]] = {}
        begin = time.monotonic()
        with self.report.open("a", encoding="utf-8") as file:
            for number, mutant in enumerate(self.todo, 1):
                living(mutant.module)  # before the fork, so that it is looked for once
                run = Run(**self.fork(session, mutant, limit))
                self.kills[run.by] += 1
                outcomes.setdefault(mutant.module, Counter())[run.outcome] += 1
                line = {"module": mutant.module, "diff": mutant.diff(), **run._asdict()}
                print(json.dumps(line, ensure_ascii=False), file=file, flush=True)
                if run.outcome in ("survived", "not made"):
                    after = time.monotonic() - begin
                    print(f"\n{number} ({after:.0f} s): {mutant.module} {run.outcome}\n{mutant.diff()}", flush=True)
        print("\nmodule                  mutants  killed  timeout  survived  not made")
        for module, count in outcomes.items():
            numbers = [sum(count.values()), *(count[o] for o in ("killed", "timeout", "survived", "not made"))]
            print(f"{module:22}" + "".join(f"{n:9}" for n in numbers))
        return True

    def fork(self, session: pytest.Session, mutant: Mutant | None, limit: float) -> dict:
        """What the tests say in a fork: without a mutant, the seconds that each of them takes."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            self.child(session, mutant, limit, writer)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            answer = pipe.read()
        _, status = os.waitpid(pid, 0)
        if answer:
            return json.loads(answer)
        name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "an exit"
        return {"outcome": "timeout" if name in ("SIGPROF", "SIGALRM") else "killed", "by": name}

    def child(self, session: pytest.Session, mutant: Mutant | None, limit: float, writer: int) -> None:
        nothing = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nothing, stream)
        signal.setitimer(signal.ITIMER_PROF, limit)
        signal.alarm(round(30 * limit))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        try:
            answer = self.baseline(session) if mutant is None else self.hunt(session, mutant)
        except BaseException as error:  # the tests end, whatever it was
            answer = {"outcome": "killed", "by": repr(error)}
        with os.fdopen(writer, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)

    def baseline(self, session: pytest.Session) -> dict[str, tuple[float, list[str]]]:
        """For each test its seconds, and the functions that it calls: all, where it compiles, which hides them."""
        files = {str(path_of(module)): module for module in MODULES}
        measured = {}
        for item in session.items:
            reached: set[str] = set()

            def note(frame: FrameType, event: str, _: object, reached: set[str] = reached) -> None:
                if event == "call" and frame.f_code.co_filename in files:
                    reached.add(f"{files[frame.f_code.co_filename]}.{name_of(frame.f_code)}")

            begin = time.process_time()
            frames = compiled()
            sys.setprofile(note)
            self.run(item)
            sys.setprofile(None)
            reached |= set(MODULES) if compiled() > frames else set()
            assert not self.failed, item.nodeid
            measured[item.nodeid] = time.process_time() - begin, sorted(reached)
        return measured

    def hunt(self, session: pytest.Session, mutant: Mutant) -> dict[str, str]:
        try:
            changed = install(mutant)
        except NotImplementedError as error:
            return Run("not made", str(error))._asdict()
        begin = time.process_time()
        for item in sorted(self.chosen(session, mutant.module, changed), key=self.patience):
            if time.process_time() - begin > self.most:
                break
            self.run(item)
            if self.failed:
                return Run("killed", item.nodeid)._asdict()
        return Run("survived")._asdict()

    def chosen(self, session: pytest.Session, module: str, changed: list[str]) -> list[pytest.Item]:
        """The tests that call what was changed."""

        def calls(reached: list[str]) -> bool:
            return module in reached or any(
                name.startswith(f"{module}.{c}") for name in reached for c in changed or [""]
            )

        items = [item for item in session.items if item.nodeid in self.seconds]
        return [item for item in items if calls(self.reached[item.nodeid])]

    def patience(self, item: pytest.Item) -> float:
        """What a test costs, over the mutants that it has killed; test_agreement sees most of what changes a number."""
        killed = self.kills[item.nodeid] + 50 * ("test_agreement" in item.nodeid)
        return (self.seconds[item.nodeid] + 0.01) / (1 + killed)

    def run(self, item: pytest.Item) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)


def lines(report: Path) -> list[dict]:
    """What a report says so far."""
    return [json.loads(line) for line in report.read_text("utf-8").splitlines()] if report.exists() else []


def main() -> int:
    parser = argparse.ArgumentParser(description="Mutation testing of the engine.")
    parser.add_argument("modules", nargs="*", default=MODULES, help=f"of {', '.join(MODULES)}")
    parser.add_argument("--every", type=int, default=1, help="take one of so many mutants")
    parser.add_argument("--offset", type=int, default=0, help="the first that is taken")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="of tests, before a mutant has survived")
    parser.add_argument("--report", type=Path, default=ROOT / "mutants.jsonl", help="where results are read and added")
    parser.add_argument("--again", action="store_true", help="run what survived again, and nothing new")
    chosen = parser.parse_args()
    before = {(line["module"], line["diff"]): line["outcome"] for line in lines(chosen.report)}
    todo = [m for module in chosen.modules for m in mutants(module, chosen.offset, chosen.every)]
    todo = [m for m in todo if before.get((m.module, m.diff()), "new") == ("survived" if chosen.again else "new")]
    files = [*FILES, *(name for module in chosen.modules for name in MORE.get(module, []))]
    os.chdir(ROOT)
    options = ["-q", "--no-header", "--no-summary", "--assert=plain", "-p", "no:cacheprovider", "--capture=no"]
    return pytest.main(
        [*options, *(f"tests/{name}" for name in files)], plugins=[Plugin(todo, chosen.report, chosen.seconds)]
    )


if __name__ == "__main__":
    sys.exit(main())
