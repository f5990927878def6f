"""Compiles the native backend's library: plain C, once for each instruction set, with GCC, Clang or zig.

    python build_native.py [--target TARGET] [--output FILE] [--sanitize]

Small problems have a library of their own, in C++ with the headers of the torch that is installed. It is compiled too,
on Linux, where there are these, Python's and a C++ compiler ($CXX, or c++).

By default with the compiler of this machine ($CC, or cc), into the package in `src`, where an editable installation
finds it. TARGET is one of those below; any machine compiles for them with zig, which is a package (ziglang).
Warnings are errors here, but not where users compile: their compiler may be newer than this.
"""

import argparse
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent / "src/crossentropy/_backends/native"
FLAGS = [
    "-std=gnu11",
    "-O3",
    "-fPIC",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
]
FLAGS += ["-Wall", "-Wextra", "-Wno-psabi"]
SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]

X86 = {
    "sse4": "-DW=4 -msse4.1",
    "avx2": "-DW=8 -mavx2 -mfma -mf16c",
    "avx512": "-DW=16 -mavx512f -mavx512bw -mavx512vl -mfma -mf16c -mprefer-vector-width=512",
}
ARM = {"neon": "-DW=4"}


class Target(NamedTuple):
    """A kind of machine."""

    zig: str
    """What zig calls it; the number is the version of the C library that is asked for."""
    tag: str
    """What wheels call it."""
    library: str
    sets: dict[str, str]
    """Instruction sets, and how they are compiled."""


TARGETS = {
    "linux-x86_64": Target("x86_64-linux-gnu.2.28", "manylinux_2_28_x86_64", "libcrossentropy.so", X86),
    "linux-aarch64": Target("aarch64-linux-gnu.2.28", "manylinux_2_28_aarch64", "libcrossentropy.so", ARM),
    "macos-arm64": Target("aarch64-macos.11.0", "macosx_11_0_arm64", "libcrossentropy.dylib", ARM),
    "windows-x86_64": Target("x86_64-windows-gnu", "win_amd64", "libcrossentropy.dll", X86),
}


def here() -> Target | None:
    """The target that this machine is, if it is one."""
    system = {"linux": "linux", "darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    return TARGETS.get(f"{system}-{machine}")


def compiler(target: Target) -> list[str]:
    """The command that compiles for a target."""
    return [sys.executable, "-m", "ziglang", "cc", "-target", target.zig]


def chosen(name: str | None) -> tuple[Target, list[str]]:
    """A target, this machine if there is no name, and the command that compiles for it; or an OSError."""
    if name:
        return TARGETS[name], compiler(TARGETS[name])
    target, command = here(), shlex.split(os.environ.get("CC", "cc"))
    if target is None:
        raise OSError(f"there are no compiled kernels for a {platform.machine()} machine with {platform.system()}")
    if not command or not shutil.which(command[0]):
        raise OSError("there is no C compiler (cc, or $CC)")
    return target, command


def build(target: Target, command: list[str], output: Path, *flags: str) -> None:
    """Compile the library for a target into a file, which is there when it is whole."""
    sources = FOLDER / "csrc"
    with (
        tempfile.TemporaryDirectory(dir=output.parent, prefix="libcrossentropy.") as folder,
        ThreadPoolExecutor() as pool,
    ):

        def run(*arguments: str) -> None:
            subprocess.run([*command, *FLAGS, *flags, *arguments], check=True, cwd=folder)

        def compiled(name: str, source: str, *arguments: str) -> str:
            run(*arguments, "-c", str(sources / source), "-o", f"{name}.o")
            return f"{name}.o"

        jobs = [
            pool.submit(compiled, name, "kernel.c", *arguments.split(), f"-DNAME=crossentropy_{name}")
            for name, arguments in target.sets.items()
        ]
        parts = [compiled("run", "run.c"), *(job.result() for job in jobs)]
        run("-shared", "-s", *parts, "-o", target.library)
        (Path(folder) / target.library).replace(output)


def build_small() -> None:
    """Compile the library for small problems, for the torch of this Python and for any Python."""
    found, python = importlib.util.find_spec("torch"), Path(sysconfig.get_paths()["include"])
    command = shlex.split(os.environ.get("CXX", "c++"))
    if sys.platform != "linux" or found is None or found.origin is None or not (python / "Python.h").is_file():
        return
    torch = Path(found.origin).parent
    if not (torch / "include").is_dir() or not command or not shutil.which(command[0]):
        return
    version = "_".join((torch / "version.py").read_text().split("__version__ = '")[1].split(".")[:2])
    command += ["-std=c++20", "-O2", "-fPIC", "-shared", "-s", "-fvisibility=hidden", "-Wall", "-Werror"]
    command += [
        f"-isystem{torch / 'include'}",
        f"-isystem{python}",
        str(FOLDER / "csrc/small.cpp"),
        f"-L{torch / 'lib'}",
    ]
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix="libcrossentropy.") as folder:
        whole = Path(folder) / f"libcrossentropy_small_{version}.so"
        subprocess.run([*command, "-ltorch_python", "-ltorch_cpu", "-lc10", "-o", str(whole)], check=True)
        whole.replace(FOLDER / whole.name)


def main() -> int:
    """Compile as the command line says."""
    parser = argparse.ArgumentParser(description="Compile the native backend's library.")
    parser.add_argument("--target", choices=TARGETS, help="another kind of machine, with zig")
    parser.add_argument("--output", type=Path, help="the file; by default in the package")
    parser.add_argument("--sanitize", action="store_true", help="let it look for its own errors, for tests")
    arguments = parser.parse_args()
    try:
        target, command = chosen(arguments.target)
    except OSError as error:
        if os.environ.get("CROSSENTROPY_NATIVE") == "1":
            raise
        print(f"No compiled library, for {error}: torch's operators are used instead.")
        return 0
    flags = ["-Werror", *(SANITIZERS if arguments.sanitize else ())]
    build(target, command, arguments.output or FOLDER / target.library, *flags)
    if not (arguments.target or arguments.output):
        build_small()
    return 0


if __name__ == "__main__":
    sys.exit(main())
