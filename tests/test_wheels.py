"""What is published: what is in each file, what its tags say, and that what was installed computes."""

import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = "crossentropy/_backends/native"
C_COMPILER = shutil.which("cc")

needs_compiler = pytest.mark.skipif(
    C_COMPILER is None or platform.machine() not in ("x86_64", "aarch64", "arm64", "AMD64"),
    reason="no C compiler (cc), or no kernels for this kind of machine",
)


def build(source: Path, target: str, folder: Path, **environment: str) -> Path:
    """One file, as `pip install` builds it."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    subprocess.run(command, cwd=source, env=os.environ | environment, check=True)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def source(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked: wheels are built from it, so that nothing can be lacking there."""
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    (top,) = folder.iterdir()
    return top


@pytest.fixture(scope="module")
def pure(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(source, "wheel", tmp_path_factory.mktemp("pure"), CROSSENTROPY_NATIVE="0")


@pytest.fixture(scope="module")
def native(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By a compiler that remembers: where this checkout has its library, a minute less."""
    known = ROOT / "src" / FOLDER / library()
    remembers = tmp_path_factory.mktemp("compiler") / "cc"
    remembers.write_text(f"#!{sys.executable}\n{REMEMBERS.format(known=str(known))}")
    remembers.chmod(0o755)
    compiler = str(remembers) if known.is_file() else "cc"
    return build(source, "wheel", tmp_path_factory.mktemp("native"), CROSSENTROPY_NATIVE="1", CC=compiler)


REMEMBERS = """
import shutil, sys
shutil.copyfile({known!r}, sys.argv[sys.argv.index("-o") + 1])
"""


def library() -> str:
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    return f"libcrossentropy{suffix}"


def names(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def told(path: Path) -> list[str]:
    """The lines of a wheel's WHEEL."""
    with zipfile.ZipFile(path) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/WHEEL"))
        return archive.read(name).decode().splitlines()


def of_the_package() -> Iterator[str]:
    """What is beneath src, but the libraries and their sources, as it is called in a wheel."""
    for path in (ROOT / "src").rglob("*"):
        if (
            path.is_file()
            and not {"csrc", "__pycache__"} & {*path.parts}
            and not path.name.startswith("libcrossentropy")
        ):
            yield path.relative_to(ROOT / "src").as_posix()


METADATA = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


def test_the_pure_wheel_has_the_package_and_nothing_else(pure: Path) -> None:
    assert pure.name.endswith("-py3-none-any.whl")
    assert {"Root-Is-Purelib: true", "Tag: py3-none-any"} <= set(told(pure))
    info = pure.name.removesuffix("-py3-none-any.whl") + ".dist-info"
    assert names(pure) == {*of_the_package(), *(f"{info}/{name}" for name in METADATA)}


@needs_compiler
def test_a_machines_wheel_has_the_library_besides(pure: Path, native: Path) -> None:
    assert names(native) - names(pure) == {f"{FOLDER}/{library()}"}
    assert names(pure) <= names(native)
    tag = native.stem.split("-", 2)[2]
    assert tag.startswith("py3-none-")
    assert platform.machine().lower() in tag
    assert {"Root-Is-Purelib: false", f"Tag: {tag}"} <= set(told(native))


def test_the_source_distribution_has_the_source_of_the_kernels_and_no_library(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    sources = {f"src/{FOLDER}/csrc/{path.name}" for path in (ROOT / "src" / FOLDER / "csrc").iterdir()}
    assert {*sources, "build_native.py", "hatch_build.py", "pyproject.toml", "tests/test_wheels.py"} <= inside
    assert not [name for name in inside if "libcrossentropy" in name or "__pycache__" in name]


PROGRAM = """
import sys, torch, crossentropy
from crossentropy import Options, functional as F
z, y = torch.randn(50, 300), torch.randint(300, (50,))
assert crossentropy.__file__.startswith(sys.argv[1]), crossentropy.__file__
exact = torch.nn.functional.cross_entropy(z, y)
torch.testing.assert_close(F.cross_entropy(z, y), exact)
try:
    torch.testing.assert_close(F.cross_entropy(z, y, options=Options("native")), exact)
    print("native")
except ValueError as error:
    print(error)
"""


def run(wheel: Path, folder: Path, **environment: str) -> str:
    """What is printed where a wheel is installed, outside the sources."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    clean = {name: value for name, value in os.environ.items() if name != "CROSSENTROPY_NATIVE"}
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    where = clean | {"PYTHONPATH": str(folder)} | environment
    return subprocess.run(command, cwd=folder, env=where, check=True, capture_output=True, text=True).stdout


@needs_compiler
def test_a_machines_wheel_computes_by_its_library(native: Path, tmp_path: Path) -> None:
    assert run(native, tmp_path) == "native\n"
    assert "switches the compiled library off" in run(native, tmp_path, CROSSENTROPY_NATIVE="0")


def test_the_pure_wheel_computes_by_torchs_operators(pure: Path, tmp_path: Path) -> None:
    assert f"{library()} was not built for this machine" in run(pure, tmp_path)


@pytest.mark.parametrize("compiler", ["/nonexistent", "false"])
def test_without_a_compiler_that_works_the_pure_wheel_is_built(source: Path, tmp_path: Path, compiler: str) -> None:
    assert build(source, "wheel", tmp_path, CC=compiler, CROSSENTROPY_NATIVE="").name.endswith("-py3-none-any.whl")


def test_what_is_asked_for_and_cannot_be_is_an_error(source: Path, tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        build(source, "wheel", tmp_path, CC="/nonexistent", CROSSENTROPY_NATIVE="1")


@needs_compiler
def test_rows_are_what_double_precision_says(native: Path, tmp_path: Path) -> None:
    """The program that `make wheels` runs for other machines finds what is wrong."""
    with zipfile.ZipFile(native) as archive:
        file = archive.extract(f"{FOLDER}/{library()}", tmp_path)
    program, source = str(tmp_path / "rows"), str(ROOT / "tests/native_rows.c")
    compile_it = ["cc", "-std=gnu11", "-O2", "-I", str(ROOT / "src" / FOLDER / "csrc"), source, "-o", program, "-lm"]
    subprocess.run([*compile_it, "-Wall", "-Wextra", "-Werror"], check=True)
    found = subprocess.run([program, file], check=True, capture_output=True, text=True).stdout
    assert found.endswith("compared, 0 wrong\n")
