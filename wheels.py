"""Builds what is published, into dist/, and checks it: the source, the pure wheel, a wheel for each kind of machine.

    make wheels

zig compiles for all kinds of machines that build_native.py names. Their libraries are then run, by tests/native_rows.c,
as far as this machine can: through an emulator for another (qemu-user and libc6-arm64-cross, wine64), if it is there.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import build_native

ROOT = Path(__file__).resolve().parent
DIST = ROOT / "dist"
GLIBC = (2, 28)
"""The version of the C library that wheels for Linux ask for, as torch's do."""
EMULATORS = {
    "linux-x86_64": [],
    "linux-aarch64": ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"],
    "windows-x86_64": ["/usr/lib/wine/wine64"],
}
"""What runs a program of a target on this machine, if that is x86-64 with Linux."""


def python(*arguments: str, **environment: str) -> str:
    """What a module of this environment prints."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(
        command, check=True, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True
    ).stdout


def wheel(name: str) -> Path:
    """The wheel for a target, or the pure one."""
    tag = build_native.TARGETS[name].tag if name else "any"
    (path,) = DIST.glob(f"*-py3-none-{tag}.whl")
    return path


def make() -> None:
    """All files: the pure wheel from the source distribution, as whoever installs that builds it."""
    shutil.rmtree(DIST, ignore_errors=True)
    python("build", "--no-isolation", CROSSENTROPY_NATIVE="0")
    for name in build_native.TARGETS:
        python("build", "--no-isolation", "--wheel", CROSSENTROPY_NATIVE="1", CROSSENTROPY_TARGET=name)


def audit(name: str) -> None:
    """Whether a wheel for Linux needs no more of the system than its tag says."""
    told = python("auditwheel", "show", str(wheel(name)))
    version = re.search(r'platform tag:\s+"manylinux_(\d+)_(\d+)_', told)
    if version is None or tuple(map(int, version.groups())) > GLIBC:
        raise SystemExit(told)


def rows(name: str) -> str:
    """What the rows say that a wheel's library computes, or why nobody asked it."""
    emulator = EMULATORS.get(name)
    if platform.machine() != "x86_64" or sys.platform != "linux" or emulator is None:
        return "not run: no machine of its kind"
    if emulator and not shutil.which(emulator[0]):
        return f"not run: without {emulator[0]}"
    target = build_native.TARGETS[name]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, zipfile.ZipFile(wheel(name)) as archive:
        library = archive.extract(f"crossentropy/_backends/native/{target.library}", folder)
        program = str(Path(folder) / "rows.exe")
        source = [str(ROOT / "tests/native_rows.c"), "-I", str(build_native.FOLDER / "csrc"), "-o", program]
        subprocess.run([*build_native.compiler(target), "-std=gnu11", "-O2", *source, "-lm"], check=True)
        quiet = os.environ | {"WINEDEBUG": "-all", "WINEPREFIX": folder}
        told = subprocess.run([*emulator, program, library], check=True, env=quiet, stdout=subprocess.PIPE, text=True)
        return told.stdout.strip()


def main() -> None:
    """Build and check."""
    make()
    python("twine", "check", "--strict", *map(str, DIST.iterdir()))
    for name in build_native.TARGETS:
        if name.startswith("linux"):
            audit(name)
        print(f"{wheel(name).name}: {rows(name)}")


if __name__ == "__main__":
    main()
