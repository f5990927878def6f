"""What the compilers make of the Triton kernels, without a GPU: `python tests/kernel_report.py --help`.

A variant is a call of the package's own code, on tensors without memory. Its launches are caught before they reach a
device, and compiled for each target as a launch would compile them: with the same constants, types and alignments. Read
are registers, spills, shared memory, the width of loads, products of matrices, copies by descriptors, atomics and the
width of offsets. tests/kernel_budgets.json holds them for each version of Triton; nothing may become worse.

No variable of the environment may ask for the interpreter: a test runs this in a process of its own.
"""

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime import JITFunction
from triton.tools.tensor_descriptor import TensorDescriptor

import triton_variants

BUDGETS = Path(__file__).with_name("kernel_budgets.json")
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16", torch.int64: "i64", torch.bool: "i1"}


@dataclass(frozen=True)
class Report:
    """What became of one kernel."""

    registers: int
    spilled: int
    """Bytes."""
    shared: int
    """Bytes."""
    narrow: int
    """Loads of less than 16 bytes: those of what belongs to rows are."""
    atomics: int
    short: int
    """Offsets of 32 bits: those of what belongs to classes, and of nothing that has a row's or a head's size."""
    wide: int
    """Loads of 16 bytes."""
    products: int
    """Instructions that multiply matrices."""
    copies: int
    """Instructions that copy by descriptors."""

    def worse(self, budget: dict[str, int]) -> Iterator[str]:
        """What is not within a budget: more of what costs, or none of what there was."""
        for name, value in asdict(self).items():
            lost = name in ("wide", "products", "copies")
            if (budget[name] and not value) if lost else value > budget[name]:
                yield f"{name} {value}, budget {budget[name]}"


# --- launches -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Launch:
    """A kernel, and what it is launched with."""

    kernel: JITFunction
    arguments: dict[str, Any]
    options: dict[str, int]


@contextlib.contextmanager
def caught() -> Iterator[list[Launch]]:
    """The launches of a block of code; none is made."""
    launches: list[Launch] = []
    run = JITFunction.run

    def catch(self: JITFunction, *args: Any, grid: object, warmup: bool, **kwargs: Any) -> None:
        options = {name: kwargs.pop(name) for name in ("num_warps", "num_stages") if name in kwargs}
        options |= {name: kwargs.pop(name) for name in list(kwargs) if name not in self.arg_names}
        launches.append(Launch(self, dict(zip(self.arg_names, args)) | kwargs, options))

    JITFunction.run = catch
    try:
        yield launches
    finally:
        JITFunction.run = run


def source(launch: Launch) -> ASTSource:
    """What a launch compiles: types of its arguments, constants among them, and what is known to be a multiple of 16."""
    signature, constants, attributes = {}, {}, {}
    for at, parameter in enumerate(launch.kernel.params):
        value = launch.arguments.get(parameter.name, parameter.default)
        kind = "constexpr" if parameter.is_constexpr or value is None or value is True else _type(value)
        if isinstance(value, int) and value == 1 and kind != "i1":
            kind = "constexpr"
        signature[parameter.name] = kind
        if kind == "constexpr":
            constants[(at,)] = value
        elif isinstance(value, Tensor) or (isinstance(value, int) and value % 16 == 0):
            attributes[(at,)] = [["tt.divisibility", 16]]
    return ASTSource(launch.kernel, signature, constants, attributes)


def _type(value: object) -> str:
    if isinstance(value, Tensor):
        return f"*{TYPES[value.dtype]}"
    if isinstance(value, TensorDescriptor):
        return f"tensordesc<{TYPES[value.base.dtype]}{list(value.block_shape)}>"
    if isinstance(value, bool):
        return "i1"
    if isinstance(value, int):
        return "i32" if -(2**31) <= value < 2**31 else "i64"
    assert isinstance(value, float), value
    return "fp32"


# --- reports ------------------------------------------------------------------------------------------------------


def report(launch: Launch, target: str) -> Report:
    """Compile a launch for a target, and read what came out."""
    made = triton.compile(source(launch), target=TARGETS[target], options=launch.options)
    offsets = re.findall(r"tt\.addptr .*, (?:tensor<[\dx]+x)?(i\d+)>?(?: loc|$)", made.asm["ttir"], re.MULTILINE)
    short = offsets.count("i32")
    if target.startswith("sm"):
        usage, code = _disassembled(made.asm["cubin"])
        wide, loads = _count(r"\bLDG\.E\.[A-Z.]*128", code), _count(r"\bLDG\.E", code)
        # copies to shared memory, which are not loads; 16 bytes each, or less
        wide += _count(r"\bLDGSTS\.E\.[A-Z.]*128", code)
        loads += _count(r"\bLDGSTS\.E", code)
        return Report(
            registers=usage("REG"),
            spilled=usage("STACK") + usage("LOCAL"),
            shared=made.metadata.shared,
            narrow=loads - wide,
            atomics=_count(r"\b(?:atom|red)\.", made.asm["ptx"]),
            short=short,
            wide=wide,
            products=_count(r"\b(?:HGMMA|HMMA|UTC[A-Z]*MMA)", code),
            copies=_count(r"\bUTMA|\bUBLKCP", code),
        )
    code = made.asm["amdgcn"]
    wide = _count(r"(?:global|buffer)_load_(?:b128|dwordx4)", code)
    return Report(
        registers=_most(r"\.vgpr_count:\s+(\d+)", code),
        spilled=4 * _most(r"\.vgpr_spill_count:\s+(\d+)", code),
        shared=made.metadata.shared,
        narrow=_count(r"(?:global|buffer)_load_", code) - wide,
        atomics=_count(r"(?:global|buffer|flat)_atomic_", code),
        short=short,
        wide=wide,
        products=_count(r"v_mfma", code),
        copies=0,
    )


def _disassembled(cubin: bytes) -> tuple[Callable[[str], int], str]:
    """What a kernel of NVIDIA's uses, by name, and its instructions."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        usage, code = (
            subprocess.run([TOOLS / tool, *options, file.name], capture_output=True, text=True, check=True).stdout
            for tool, options in (("cuobjdump", ["-res-usage"]), ("nvdisasm", []))
        )
    return lambda name: _most(rf"\b{name}:(\d+)", usage), code


def _count(pattern: str, text: str) -> int:
    return len(re.findall(pattern, text))


def _most(pattern: str, text: str) -> int:
    return max(map(int, re.findall(pattern, text)), default=0)


# --- the command --------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table of all variants that are asked for; 1 if one does not compile or is not within its budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", default=",".join(TARGETS), help="default: %(default)s")
    parser.add_argument("--only", default="", help="a regular expression for the names of variants")
    parser.add_argument("--write", action="store_true", help="make what is found the budgets")
    asked = parser.parse_args(arguments)
    budgets = json.loads(BUDGETS.read_text("utf-8")) if BUDGETS.exists() else {}
    known = budgets.setdefault(triton.__version__, {})
    print(f"Triton {triton.__version__}")
    print(f"{'kernel':52}{'target':8}", *(f"{name:>9}" for name in Report.__dataclass_fields__))
    failed = []
    for name, call in triton_variants.VARIANTS.items():
        for target in asked.targets.split(","):
            if not re.search(asked.only, name):
                continue
            with caught() as launches:
                call(target)
            (launch,) = launches
            key = f"{name} {target}"
            try:
                found = report(launch, target)
            except Exception as error:  # noqa: BLE001 (of any compiler: a finding, beside which the others are wanted)
                failed.append(f"{key}: {type(error).__name__}: {error}")
                continue
            print(f"{name:52}{target:8}", *(f"{value:9}" for value in asdict(found).values()), flush=True)
            if asked.write:
                known[key] = asdict(found)
            elif key not in known:
                failed.append(f"{key}: no budget for Triton {triton.__version__}")
            else:
                failed += [f"{key}: {what}" for what in found.worse(known[key])]
    if asked.write:
        BUDGETS.write_text(json.dumps(budgets, indent=1, sort_keys=True) + "\n", "utf-8")
    print(*failed, sep="\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
