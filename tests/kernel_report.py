"""What the compilers make of the Triton kernels, without a GPU: `python tests/kernel_report.py --help`.

Each variant of `triton_variants` and `triton_heads` is compiled for each target. Read are registers, spills, shared
memory, the width of loads, products of matrices, copies by descriptors, atomics and the width of offsets.
tests/kernel_budgets.json holds them for each version of Triton; nothing may become worse. For another version, put it
first on the path:

    pip install --no-deps --target DIR triton==3.9.0;  PYTHONPATH=DIR python tests/kernel_report.py

No variable of the environment may ask for the interpreter: a test runs this in a process of its own.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from triton_heads import heads
from triton_variants import Variant, variants

BUDGETS = Path(__file__).with_name("kernel_budgets.json")
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}


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


# --- reports ------------------------------------------------------------------------------------------------------


def compiled(variant: Variant, target: str) -> Any:
    """What the compiler makes of a variant."""
    names = list(variant.signature)
    constants = {(names.index(name),): value for name, value in variant.constants.items()}
    aligned = {(names.index(name),): [["tt.divisibility", 16]] for name in variant.divisible}
    source = ASTSource(variant.kernel, variant.signature, constants, aligned)
    options = {"num_warps": variant.warps, "enable_fp_fusion": True}
    return triton.compile(source, target=TARGETS[target], options=options)


def report(variant: Variant, target: str) -> Report:
    """Compile a variant for a target, and read what came out."""
    made = compiled(variant, target)
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
    version = ".".join(triton.__version__.split(".")[:2])
    known = budgets.setdefault(version, {})
    print(f"Triton {triton.__version__}")
    print(f"{'kernel':52}{'target':8}", *(f"{name:>9}" for name in Report.__dataclass_fields__))
    failed = []
    for target in asked.targets.split(","):
        for variant in (*variants(), *heads(target)):
            if not re.search(asked.only, variant.name):
                continue
            key = f"{variant.name} {target}"
            try:
                found = report(variant, target)
            except Exception as error:  # of any compiler: a finding, beside which the others are wanted
                failed.append(f"{key}: {type(error).__name__}: {error}")
                continue
            print(f"{variant.name:52}{target:8}", *(f"{value:9}" for value in asdict(found).values()), flush=True)
            if asked.write:
                known[key] = asdict(found)
            elif key not in known:
                failed.append(f"{key}: no budget for Triton {version}: look at it, and --write it")
            else:
                failed += [f"{key}: {what}" for what in found.worse(known[key])]
    if asked.write:
        text = json.dumps(budgets, indent=1, sort_keys=True) + "\n"
        # a kernel is a line
        BUDGETS.write_text(re.sub(r"\{([^{}]*)\}", lambda one: f"{{{' '.join(one[1].split())}}}", text), "utf-8")
    print(*failed, sep="\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
