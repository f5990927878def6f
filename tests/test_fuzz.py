"""No file, whatever is in it, ends a command in a traceback: seeds of every format, with some of their bytes changed.

A reader returns what it read, or raises its one error, of one line that names the file. The suite tries a few changes
of each; `make fuzz` tries ten thousand.
"""

import contextlib
import io
import json
import linecache
import os
import re
import struct
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import save as to_safetensors

from crossentropy._explain._files import UnusableFileError, load
from crossentropy._terminal import escaped
from crossentropy._usage import UnusableInputError
from crossentropy.cli import main
from crossentropy.doctor._config import Settings
from crossentropy.doctor._config import load as load_settings
from crossentropy.doctor._source._files import Source, Unreadable, read

LOGITS, LABELS = torch.tensor([[1.5, -2.0, 0.25], [0.0, 3.0, -1.0]]), torch.tensor([2, 0])
BOTH = {"logits": LOGITS, "labels": LABELS}
CORPUS = Path(__file__).parent / "doctor_corpus"


def npy(array: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array))
    return stream.getvalue()


def npz(**arrays: object) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **{name: np.asarray(array) for name, array in arrays.items()})
    return stream.getvalue()


def pt(value: object, **settings: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **settings)
    return stream.getvalue()


def deflated(content: bytes) -> bytes:
    """The same archive, compressed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    return stream.getvalue()


FLOAT8, EMPTY = LOGITS.to(torch.float8_e4m3fn), torch.zeros(0, 3)
VIEW = torch.arange(12.0).as_strided((2, 3), (1, 4), 2)
SEEDS: dict[str, list[bytes]] = {
    ".npy": [
        npy(LOGITS), npy(np.float32(3)), npy(LABELS), npy(np.zeros((0, 3))), npy(np.zeros(2, [("a", "f4")])),
        npy(LOGITS.half()), npy(np.asfortranarray(LOGITS)), npy(np.array(["a"])), npy(np.zeros(2, "M8[s]")),
        npy(LABELS.numpy().astype(">u8")),
    ],
    ".npz": [npz(logits=LOGITS, labels=LABELS), deflated(npz(a=np.zeros(500))), npz()],
    ".safetensors": [to_safetensors(BOTH), to_safetensors({"logits": FLOAT8}), to_safetensors({"a": EMPTY})],
    ".pt": [
        pt(BOTH), pt(LOGITS), pt(BOTH, _use_new_zipfile_serialization=False),
        pt({"a": VIEW, "b": [LABELS]}, _use_new_zipfile_serialization=False), pt(FLOAT8), pt({"n": 3}),
        pt(torch.eye(2).to_sparse()), pt(torch.nn.Linear(2, 2).state_dict(), _use_new_zipfile_serialization=False),
    ],
    ".json": [
        b'{"logits": [[1.5, -2, 0.25], [0, 3, -1]], "labels": [2, 0]}', b"[[1, 2], [3, NaN]]", b"5", b"[true, false]",
        b"[-Infinity, 1e400, 123456789012345678901234567890]", b'{"a": null, "\\u0000": []}', b"\xef\xbb\xbf[[[1]]]",
        b"[" * 70 + b"]" * 70, b"[" * 5000, b"[1" + b"0" * 5000 + b"]",
    ],
    ".csv": [
        b"1.5,-2,0.25\n0,3,-1\n", b"cat;dog\n1;2\n", b"2\n0\n", b'"1","2"\r\n"3","4"', b"a\tb\n\n1\t2", b"1,,null\n",
    ],
}  # fmt: skip
PROJECTS = [
    b'[tool.crossentropy]\nselect = ["causal-shift"]\nignore = []\nexclude = ["a/*"]\nmin-confidence = "likely"\n',
    b"[tool]\ncrossentropy = 3\n", b"tool = 5 # crossentropy\n", b"[[tool.crossentropy]]\nselect = 1\n",
    b"[tool.crossentropy]\nignore = [1, [2], {a = 1979-05-27}]\nmin-confidence = []\n",
    b'["tool"]\n"crossentropy" = {select = ["x"]}\n', b"[tool.crossentropy]\nselect = " + b"[" * 40 + b"]" * 40,
    b"[tool.crossentropy]\nselect = 1" + b"0" * 5000, b"\xef\xbb\xbf[tool.crossentropy]\n",
]  # fmt: skip
PROGRAMS = [
    *(path.read_bytes() for path in sorted(CORPUS.glob("*/buggy-*.py"))[::6]),
    "import torch.nn.functional as F\nx = F.nll_loss(F.log_softmax(z, 1), y, reduce=False)  # \x1b[2J\u202e\n".encode(),
    b"# coding: latin-1\nimport torch.nn as nn\nloss = nn.CrossEntropyLoss(size_average=False)  # \xe9\r\n",
    b"\xef\xbb\xbfimport torch\nloss = torch.nn.functional.nll_loss(torch.log_softmax(z, 1), y)\n",
]

CELLS = [
    {"cell_type": "code", "source": ["import torch\n", "import torch.nn.functional as F\n", "%time x"]},
    {"cell_type": "markdown", "source": "loss"},
    {"cell_type": "code", "source": "loss = F.cross_entropy(F.softmax(torch.randn(4, 3), 1), torch.arange(4) % 3)"},
]
BOOKS = [json.dumps({"cells": CELLS}).encode(), json.dumps({"cells": CELLS[2:], "nbformat": 4}, indent=1).encode()]

# changes: where, and what is put there in place of how many bytes
PIECES = st.one_of(
    st.binary(max_size=8),
    st.sampled_from([
        b"", b"\0", b"\xff\xff\xff\xff", b"\xff" * 8, b"\x7f", b"\x80", b"[", b"]" * 3, b"{", b"}", b'"', b"'", b"\\",
        b"\n", b"\r", b"NaN", b"null", b"-1", b"1e999", b"9" * 30, b"(" * 200, b"[" * 2000, b"\x1b[2J", b"\xe2\x80\xae",
        b"\xed\xa0\x80", b"loss", b"softmax", b"(1099511627776,)", b"(0,)", b"|O", b"<V8", b"lambda: ", b"yield ", b"*",
    ]),
    st.sampled_from([b"<Q", b"<I", b"<H"]).flatmap(
        lambda kind: st.sampled_from([0, 1, 255, 2**15, 2**16 - 1]).map(lambda n: struct.pack(kind.decode(), n))
    ),
)  # fmt: skip
CHANGES = st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0, 1, 2, 4, 8, 64, 10**6]), PIECES), max_size=4)


def changed(data: bytes, changes: Sequence[tuple[float, int, bytes]]) -> bytes:
    for place, count, piece in changes:
        at = int(place * len(data))
        data = data[:at] + piece + data[at + count :]
    return data


def variants(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(changed, st.sampled_from(seeds), CHANGES)


def repacked(data: bytes, changes: Sequence[tuple[float, int, bytes]], entry: int) -> bytes:
    """An archive whose checksums are right and one of whose entries is not."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        for number, name in enumerate(old.namelist()):
            content = old.read(name)
            new.writestr(name, changed(content, changes) if number == entry else content)
    return stream.getvalue()


def archives(suffix: str) -> st.SearchStrategy[bytes]:
    whole = [seed for seed in SEEDS[suffix] if seed.startswith(b"PK\x03\x04")]
    return st.builds(repacked, st.sampled_from(whole), CHANGES, st.integers(0, 3))


CONTENTS = {suffix: variants(seeds) for suffix, seeds in SEEDS.items()}
CONTENTS |= {suffix: CONTENTS[suffix] | archives(suffix) for suffix in (".npz", ".pt")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("fuzz")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def is_one_line_about(message: str, file: str) -> None:
    assert file in message
    assert not UNSAFE.search(message)
    assert "\n" not in message


@pytest.mark.parametrize("suffix", SEEDS)
def test_arrays(suffix: str, folder: Path) -> None:
    file = folder / f"a{suffix}"

    @given(CONTENTS[suffix])
    def reads(content: bytes) -> None:
        file.write_bytes(content)
        try:
            found = load(str(file))
        except UnusableFileError as error:
            is_one_line_about(error.message("en"), str(file))
            is_one_line_about(error.message("zh"), str(file))
        else:
            assert all(isinstance(array, torch.Tensor) for array in found.arrays.values())

    reads()


@given(st.sampled_from([*SEEDS]).flatmap(CONTENTS.__getitem__))
def test_standard_input(content: bytes) -> None:
    try:
        found = load("-", stdin=io.BytesIO(content))
    except UnusableFileError as error:
        is_one_line_about(error.message("en"), "standard input")
        is_one_line_about(error.message("zh"), "标准输入")
    else:
        assert found.arrays
        assert all(isinstance(array, torch.Tensor) for array in found.arrays.values())


def ran(*arguments: str) -> tuple[int, str, str]:
    """Exit code and output of a command, which must not raise."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    for text in (out.getvalue(), err.getvalue()):
        assert not UNSAFE.search(text)
    if code == 2 and "--output-format" not in arguments:
        assert out.getvalue() == ""
        assert err.getvalue().count("\n") == 1
    return code, out.getvalue(), err.getvalue()


OPTIONS = [[], ["--probs"], ["--weight", "w"], ["--token-weight", "w"], ["--label-smoothing", "0.1"], ["--json"]]


@pytest.mark.parametrize("suffix", SEEDS)
def test_explain(suffix: str, folder: Path) -> None:
    a, b, w = (str(folder / f"{name}{suffix}") for name in "abw")

    @given(CONTENTS[suffix], CONTENTS[suffix], st.sampled_from(SEEDS[suffix]), st.sampled_from(OPTIONS))
    def explains(first: bytes, second: bytes, weight: bytes, options: list[str]) -> None:
        for file, content in ((a, first), (b, second), (w, weight)):
            Path(file).write_bytes(content)
        options = [w if option == "w" else option for option in options]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about old files
            code, out, err = ran("explain", a, b, "--lang", "en", *options)
        assert code in (0, 2)
        if code == 2:
            assert str(folder) in err
        elif "--json" in options:
            json.loads(out)

    explains()


@given(variants(PROJECTS))
@example(b"[tool.crossentropy]\nselect = " + b"[" * 100_000)
def test_settings(folder: Path, content: bytes) -> None:
    (folder / "pyproject.toml").write_bytes(content)
    try:
        assert isinstance(load_settings(folder), Settings)
    except UnusableInputError as error:
        is_one_line_about(escaped(str(error)), "pyproject.toml")
    finally:
        (folder / "pyproject.toml").unlink()


FILES = pytest.mark.parametrize(("name", "seeds"), [("t.py", PROGRAMS), ("t.ipynb", BOOKS)], ids=("py", "ipynb"))


@FILES
def test_source(name: str, seeds: list[bytes], folder: Path) -> None:
    @given(variants(seeds))
    def reads(content: bytes) -> None:
        with contextlib.suppress(Unreadable):
            assert isinstance(read(folder / name, content), Source)

    reads()


@FILES
def test_doctor(name: str, seeds: list[bytes], folder: Path) -> None:
    @given(variants(seeds), st.sampled_from(["text", "json", "github", "sarif"]))
    def examines(content: bytes, form: str) -> None:
        (folder / name).write_bytes(content)
        linecache.clearcache()  # of the file before
        code, out, _ = ran("doctor", name, "--output-format", form, "--jobs", "1")
        assert code in (0, 1, 2)
        if form in ("json", "sarif"):
            json.loads(out)

    examines()


@given(variants(PROGRAMS))
def test_convert(folder: Path, content: bytes) -> None:
    (folder / "t.py").write_bytes(content)
    code, _, _ = ran("convert", "t.py", "--unsafe")
    assert code in (0, 2)
    assert (folder / "t.py").read_bytes() == content
    assert os.listdir(folder).count("t.py") == 1
